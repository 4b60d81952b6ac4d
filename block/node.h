/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node.h - the block graph: named nodes, and requests to them in linear code
 *
 * A node is a protocol (file, nbd), a format (raw, qcow2) on its child "file", or a filter (throttle) on its child. All nodes
 * reachable from each other share one home loop. Every request passes the gate (request.c): it is checked against the node's size
 * and rights, aligned to the driver's limits (bounced and read-modify-written where finer), serialised against what overlaps where
 * that is needed, tracked for draining, and split at the driver's limits; so a driver sees only well-formed requests.
 *
 * co: inside a coroutine on the node's home loop only. Everything else: main thread, machine lock held (a tool's only thread).
 */
#pragma once
#include "base/io-loop.h"
#include "base/iov.h"
#include "base/value.h"

typedef struct Node Node;

/* ---- requests: 0 or -errno ---- */

typedef enum {
    REQ_FUA = 1,                           /* on stable storage when it returns */
    REQ_MAY_UNMAP = 2,                     /* zeroes: the space may be given back */
    REQ_NO_FALLBACK = 4,                   /* zeroes: -ENOTSUP instead of writing them out */
    REQ_COMPRESSED = 8,                    /* write: as compressed clusters; whole clusters, or the tail of the image */
    REQ_UNCHANGED = 16,                    /* write: the guest sees the same data as before (PERM_WRITE_UNCHANGED is enough) */
    REQ_COPY_ON_READ = 32,                 /* read: keep in this node what came from below it */
    REQ_PREFETCH = 64,                     /* with REQ_COPY_ON_READ: nobody wants the bytes */
    REQ_SERIALISE = 128,                   /* nothing that overlaps runs beside it */
    REQ_ZERO_WRITE = 256,                  /* truncate: what is new must read as zeroes */
} RequestFlags;

int node_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags);                        /* co */
int node_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags);                     /* co */
int node_pread(Node *node, uint64_t offset, void *buffer, uint64_t bytes);                       /* co */
int node_pwrite(Node *node, uint64_t offset, const void *buffer, uint64_t bytes);                /* co */
int node_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags);         /* co */
int node_pdiscard(Node *node, uint64_t offset, uint64_t bytes);                                  /* co */
int node_flush(Node *node);                /* co; what was written before is on stable storage (cache.no-flush: says so) */
/* co; file to file in the kernel or by sharing of clusters where both can, else -ENOTSUP: the caller copies */
int node_copy_range(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset, uint64_t bytes, RequestFlags flags);

typedef enum { PREALLOC_OFF, PREALLOC_METADATA, PREALLOC_FALLOC, PREALLOC_FULL } Preallocation;
extern const char *const preallocation_names[];            /* QEMU's, NULL-terminated */
/* co; a new size in bytes. exact false: larger will do. Waits for requests beyond the end; tells the Blk's device. */
int node_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err);
uint64_t node_length(const Node *node);    /* bytes the node's user sees; any time */
int64_t node_refresh_length(Node *node);   /* co; asks the driver again (a file that grew); bytes or -errno */
int64_t node_allocated_size(Node *node);   /* co; bytes on the host that hold it, children of the format included; or -errno */

/* Where a range's bytes are, as far as one answer reaches. */
typedef enum {
    STATUS_DATA = 1,                       /* there is data */
    STATUS_ZERO = 2,                       /* reads as zeroes */
    STATUS_OFFSET = 4,                     /* as they stand at *map of *file */
    STATUS_ALLOCATED = 8,                  /* this node decides what is read, not its backing node */
    STATUS_COMPRESSED = 16,
    STATUS_EOF = 32,                       /* *count reaches the node's end */
    STATUS_RECURSE = 64,                   /* a driver's answer: ask *file at *map for DATA and ZERO */
} StatusFlags;
/* co; flags or -errno; *count <= bytes is how far it holds (0 only at the end); map and file may be NULL. */
int node_block_status(Node *node, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file);
/* co; the same through the chain from node down to, not into, base (NULL: to its end). *depth (may be NULL): layers below node. */
int node_block_status_above(Node *node, Node *base, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file,
                            unsigned *depth);
/* co; 1, 0 or -errno: does a node from top down to base (excluded; included on demand) decide what is read here? */
int node_is_allocated_above(Node *top, Node *base, bool include_base, uint64_t offset, uint64_t bytes, uint64_t *count);

/* ---- the graph ---- */

typedef enum { PERM_CONSISTENT_READ = 1, PERM_WRITE = 2, PERM_WRITE_UNCHANGED = 4, PERM_RESIZE = 8, PERM_ALL = 15 } NodePerms;
typedef enum { CACHE_DIRECT = 1, CACHE_NO_FLUSH = 2, CACHE_WRITETHROUGH = 4 } CacheFlags;
typedef enum { DETECT_ZEROES_OFF, DETECT_ZEROES_ON, DETECT_ZEROES_UNMAP } DetectZeroes;

/* What a node takes from whoever opens it, where its own options are silent. */
typedef struct NodeOpen {
    IoLoop *loop;                          /* NULL: io_loop_current() */
    bool writable;
    bool auto_readonly;                    /* read-only instead of failing */
    bool share;                            /* read-only, no locks, may be stale: roost img -U */
    bool peek;                             /* a look before the real open: nobody is warned of anything */
    bool no_backing;                       /* leave the chain below unopened: info, rebase -u */
    bool no_io;                            /* metadata only: data files may be missing, no key is needed */
    bool checking;                         /* a dirty or corrupt image is opened as it is: check, repair */
    bool trust;                            /* follow any name that an image holds */
    bool probe;                            /* no format named: look at the first bytes (tools; never under a guest's writable disk) */
    bool discard;                          /* discard=unmap */
    CacheFlags cache;
    DetectZeroes detect_zeroes;
} NodeOpen;

/* co. options: a -blockdev object (nested: {"driver":"qcow2","file":{"driver":"file","filename":"/x"}}), or a string: the name of a
 * node that is there. The caller owns a reference to *out. */
bool node_open(Node **out, const Value *options, const NodeOpen *how, GError **err);
/* co. A spelling as -drive file= and roost img take it: a path, file:PATH, nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH,
 * nbd:HOST:PORT[:exportname=X], nbd:unix:PATH, host_device:PATH, host_cdrom:PATH, null-co://, json:{...}, or a driver's own. format
 * NULL: by probing when how->probe, else by the file's suffix, and refused where its first bytes belong to another format. */
bool node_open_file(Node **out, const char *filename, const char *format, const Value *more_options, const NodeOpen *how, GError **err);
/* What such a spelling means as options of a protocol node; {"driver":"file","filename":F} for a plain path. Caller owns. */
Value *node_parse_filename(const char *filename, GError **err);
/* co. A spelling for a new, not yet existing or to be truncated image of this size on its protocol: makes it there, and opens it
 * writable. */
bool node_create_file(Node **out, const char *filename, uint64_t size, const Value *options, const NodeOpen *how, GError **err);

Node *node_ref(Node *node);
void node_unref(Node *node);               /* the last one flushes and closes: inside or outside of coroutines. NULL is ignored */
/* The first write that ends beyond is told by BLOCK_WRITE_THRESHOLD, which forgets it; 0: none. */
void node_set_write_threshold(Node *node, uint64_t bytes);
uint64_t node_write_threshold(const Node *node);
Node *node_find(const char *name);         /* by node-name; NULL; lends */
Node *node_next(const Node *node);         /* all nodes, in order of making */
bool node_add(const Value *options, const NodeOpen *how, GError **err);        /* -blockdev, blockdev-add: the monitor owns it */
bool node_del(const char *name, GError **err);             /* blockdev-del: refused while somebody uses it, who is named */

const char *node_name(const Node *node);   /* "disk0" or "#block123" */
const char *node_driver_name(const Node *node);
const char *node_filename(const Node *node);               /* as the user would write it: a path, or json:{...} */
const Value *node_options(const Node *node);               /* as opened */
IoLoop *node_loop(const Node *node);
bool node_readonly(const Node *node);
bool node_encrypted(const Node *node);
CacheFlags node_cache(const Node *node);
Node *node_child(const Node *node, const char *role);      /* "file", "backing", "data-file"; NULL; lends */
Node *node_backing(const Node *node);      /* what is below in the chain: of a filter its child; NULL at the end */
Node *node_skip_filters(Node *node);
/* As the image says it, not as it was opened; NULL when it names none. full: relative names made absolute from where the image is. */
const char *node_backing_name(const Node *node);
const char *node_backing_format(const Node *node);
char *node_full_backing_name(const Node *node, GError **err);

typedef struct NodeLimits {
    uint32_t request_alignment;            /* bytes, a power of two, at least 1: the gate passes nothing finer down */
    uint32_t memory_alignment;             /* of buffers; at least 1 */
    uint32_t max_pieces;                   /* 0: none; so for all that follow */
    uint32_t max_transfer, optimal_transfer;
    uint32_t max_zeroes, zeroes_alignment; /* zeroes_alignment: finer ones are written out by the gate */
    uint32_t max_discard, discard_alignment;               /* finer discards are rounded inwards, what is left is ignored */
} NodeLimits;
const NodeLimits *node_limits(const Node *node);

/* Users: each takes what it will do and allows what others may; a conflict is a sentence naming both sides. */
typedef struct NodeUser NodeUser;
NodeUser *node_attach(Node *node, const char *who, NodePerms perms, NodePerms shared, GError **err);     /* takes a reference */
bool node_user_change(NodeUser *user, NodePerms perms, NodePerms shared, GError **err);
void node_detach(NodeUser *user);
Node *node_user_node(const NodeUser *user);

/* Nothing new starts until the end; what runs is waited for. Nests. Main thread or a tool's thread, or a coroutine on the home loop. */
void node_drain_begin(Node *node);
void node_drain_end(Node *node);
bool node_set_loop(Node *node, IoLoop *loop, GError **err);                    /* the whole graph around it; drained inside */
bool node_reopen(Node *node, const Value *options, GError **err);              /* co; read-only, cache, backing, ...: what is given changes */
int node_change_backing(Node *node, Node *backing, GError **err);              /* co; the edge only (node_write_backing_name: the image) */
int node_write_backing_name(Node *node, const char *file, const char *format, GError **err);             /* co */
