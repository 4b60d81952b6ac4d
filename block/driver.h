/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver.h - what a protocol, a format or a filter is
 *
 * A driver is a constant NodeDriver at the end of its file, named in block/drivers.c. Its struct begins with Node, zeroed, with
 * the defaults of its option table filled in. Everything marked co runs in a coroutine on the home loop; several requests run at
 * once, each between its yields: what must not interleave takes a CoMutex of the driver's own.
 *
 *   open: options are set, child "file" (drivers with .file_child) is open; set .length and .limits; backing is opened after it
 *   requests ... -> drained -> close
 */
#pragma once
#include "base/field.h"
#include "block/image.h"
#include "block/node.h"

typedef struct NodeDriver NodeDriver;
typedef struct Child Child;
typedef enum { NODE_PROTOCOL, NODE_FORMAT, NODE_FILTER } NodeKind;

typedef enum {                             /* what an edge means; its default rights follow from it (node-perms.c) */
    CHILD_STORAGE,                         /* a format's "file" or "data-file": ours alone to write and to resize */
    CHILD_FILTERED,                        /* a filter's child, raw's file: our users' rights pass through */
    CHILD_BACKING,                         /* read, and nobody else may change what is read */
} ChildRole;

struct Child {
    Node *parent, *node;
    const char *name;                      /* "file" */
    ChildRole role;
    NodePerms perms, shared;
    bool own_writer;                       /* commit writes below: what parent reads stays the same */
};

struct NodeDriver {
    const char *name;                      /* "qcow2" */
    const char *help;                      /* never empty */
    NodeKind kind;
    size_t size;                           /* of the struct that begins with Node */
    const Field *options;                  /* its own -blockdev keys; the common ones are the core's */
    bool file_child;                       /* key "file" is opened before .open and is node->file */
    ChildRole file_role;
    bool backing_child;                    /* key "backing" */
    NodePerms child_perms;                 /* a filter's own rights on its child, beside its users' */
    /* 0 to 100: is this such an image? head is what the file begins with, up to 2 KiB. NULL: never probed. */
    int (*probe)(const uint8_t *head, size_t length, const char *filename);
    /* A protocol's own spelling ("nbd:", "nbd+unix:"); NULL-terminated list of prefixes, and its parser into options. */
    const char *const *prefixes;
    Value *(*parse_filename)(const char *filename, GError **err);

    bool (*open)(Node *node, const NodeOpen *how, GError **err);                                 /* co */
    void (*close)(Node *node);                                                                   /* co; writes back what is cached */
    /* The gate's promises: inside .length (reads of a growable protocol may lie beyond), aligned, within limits. NULL: -ENOTSUP,
     * and the gate does without where it can (zeroes by writing, discard by ignoring). */
    int (*preadv)(Node *node, uint64_t offset, Iov to, RequestFlags flags);                      /* co */
    int (*pwritev)(Node *node, uint64_t offset, Iov from, RequestFlags flags);                   /* co */
    int (*pwrite_zeroes)(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags);       /* co */
    int (*pdiscard)(Node *node, uint64_t offset, uint64_t bytes);                                /* co */
    int (*flush)(Node *node);              /* co; own caches down, then the disk: a format ends by node_flush of its children */
    int (*copy_range)(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset, uint64_t bytes, RequestFlags flags);   /* co; of `to` */
    int (*block_status)(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file);   /* co */
    int (*truncate)(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err);   /* co */
    int64_t (*length)(Node *node);         /* co; asks again. NULL: .length stands */
    int64_t (*allocated)(Node *node);      /* co; host bytes. NULL: the sum of the storage children */
    /* Of REQ_FUA (else the gate flushes), REQ_COMPRESSED (else refused) and REQ_MAY_UNMAP. */
    unsigned supported_write_flags, supported_zero_flags;
    /* Rights changed (the file driver locks, reopens read-write); prepare may refuse, then commit or abort. NULL: nothing to do. */
    bool (*perms_prepare)(Node *node, NodePerms perms, NodePerms shared, GError **err);
    void (*perms_commit)(Node *node);
    void (*perms_abort)(Node *node);
    bool (*reopen)(Node *node, const Value *options, bool writable, GError **err);               /* co; drained */
    void (*detach_loop)(Node *node);       /* drained; timers, watches and engine slots go and come */
    void (*attach_loop)(Node *node, IoLoop *loop);
    void (*quiesce)(Node *node, bool on);  /* its graph is drained: let go of what waits for time alone. Main thread; may come twice */
    char *(*filename)(const Node *node);   /* NULL: the file child's, or json: of its options */

    /* Images (tools and QMP). */
    const Field *create_options;           /* -o keys beside size; their help is -o help */
    const char *create_order;              /* keys as "Formatting ..." prints them, "size" among them, those with * always; NULL: size first */
    bool (*create)(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err);  /* co; a format, into file */
    bool create_opens;                     /* .create opens the image and writes through it: whoever calls claims no rights of writing */
    bool (*create_file)(const char *filename, uint64_t size, const Value *options, GError **err);        /* co; a protocol */
    bool (*measure)(const Value *options, Node *source, uint64_t size, ImageMeasure *measure, GError **err);   /* co */
    void (*info)(Node *node, ImageInfo *info);                                                   /* co; fills what it knows */
    int (*check)(Node *node, ImageCheck *check, CheckRepair repair);                             /* co; counts, 0 or -errno */
    const ImageSnapshotOps *snapshots;
    const ImageBitmapOps *bitmaps;
    const Field *amend_options;            /* of -o of amend, beside size; NULL: create_options */
    bool (*amend)(Node *node, const Value *options, bool force, ImageProgress *progress, GError **err);  /* co */
    int (*write_backing_name)(Node *node, const char *file, const char *format);                 /* co */
    int (*make_empty)(Node *node);         /* co; drops all clusters: commit */
    int (*save_vmstate)(Node *node, uint64_t position, Iov from);                                /* co */
    int (*load_vmstate)(Node *node, uint64_t position, Iov to);                                  /* co */
    /* A drive of the host with a tray, both or none; they block. A worker thread; 0 or -errno. */
    int (*medium_eject)(Node *node, bool open);
    int (*medium_lock)(Node *node, bool locked);
};

struct Node {
    const NodeDriver *driver;
    char *name;
    IoLoop *loop;
    Node *file, *backing;                  /* the nodes behind the children of those names; NULL */
    uint64_t length;                       /* bytes; the driver sets it at open, truncate and length() */
    NodeLimits limits;                     /* the core begins with the file child's; a driver narrows in open */
    bool writable;
    bool encrypted;
    bool growable;                         /* a protocol on which writes beyond the end extend it */
    bool zero_beyond;                      /* new space after truncate reads as zeroes */
    bool trust;
    CacheFlags cache;
    DetectZeroes detect_zeroes;
    bool discard;
    char *backing_name, *backing_format;   /* what the image says, set by open; owned */
    struct NodeCore *core;                 /* node.c's own: references, users, children, requests, options */
};
static inline const NodeDriver *node_driver(const Node *node) { return node->driver; }

extern const NodeDriver *const node_drivers[];             /* block/drivers.c: the one list, NULL-terminated */
const NodeDriver *node_driver_find(const char *name);

/* co, from open: a further child. reference: options or a node name. An image's own words go through node_open_named(). */
bool node_open_child(Node *parent, const char *name, ChildRole role, const Value *reference, const NodeOpen *how, GError **err);
/* co, from open or by the core: a file named inside the image. Allowed without trust: a plain path that resolves into the folder of the
 * image or below it. Everything else is a sentence that names the fix. format NULL: raw unless its first bytes say otherwise, then refused. */
bool node_open_named(Node *parent, const char *name, ChildRole role, const char *filename, const char *format, const NodeOpen *how,
                     GError **err);
void node_close_child(Node *parent, const char *name);

/* The image was found or made inconsistent: -EIO from now on for writes, BLOCK_IMAGE_CORRUPTED, a line for the person. Any coroutine.
 * offset and size UINT64_MAX: not known. */
void node_corrupt(Node *node, bool fatal, uint64_t offset, uint64_t size, const char *format, ...) G_GNUC_PRINTF(5, 6);

/* Memory for bounce buffers, aligned for O_DIRECT below; g_free-less: free(). NULL when the host has none. */
void *node_memalign(const Node *node, size_t bytes);
