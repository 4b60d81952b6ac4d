/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node-core.h - what the files of the block graph share with each other, and drivers do not see
 */
#pragma once
#include "block/driver.h"

/* A request at the gate, in order of arrival. One that serialises keeps what overlaps out until it ends; what came before it is
 * waited for. Nobody waits for what came later, so that two never wait for each other. */
typedef struct Tracked Tracked;
struct Tracked {
    Tracked *next, *previous;
    uint64_t offset, bytes;
    bool serialising;
    CoQueue waiting;
};

typedef struct NodeUserOps {
    void (*resized)(void *opaque);                     /* node_length() is another */
    void (*quiesce)(void *opaque, bool on);            /* start nothing new; go on. Any thread */
    bool (*busy)(void *opaque);                        /* home loop: what was started has not ended */
    bool (*may_move)(void *opaque, IoLoop *loop, GError **err);
    void (*moved)(void *opaque, IoLoop *loop);
} NodeUserOps;

struct NodeUser {
    Node *node;
    char *who;
    NodePerms perms, shared;
    const NodeUserOps *ops;                            /* NULL: it never has a request of its own in flight while others drain */
    void *opaque;
    bool quiesced;
};

typedef struct NodeCore {
    unsigned refs;
    Node *next, *previous;                             /* of all nodes */
    bool monitor;                                      /* node_add() holds one of the references */
    bool opened;                                       /* driver->open succeeded */
    bool corrupt;
    bool will_write;                                   /* while it is reopened: rights as if it were writable */
    bool quiesced;                                     /* what the driver was told */
    GPtrArray *users;                                  /* of NodeUser */
    GPtrArray *parents, *children;                     /* of Child */
    Value *options;
    NodeOpen how;                                      /* as it was opened, own options put in */
    const Node *opener;                                /* while it opens: whose child it will be */
    char *real_path;                                   /* of the file that its bytes are in; NULL: none */
    unsigned depth;                                    /* images above it in the chain */
    uint32_t cluster_size;                             /* 0: none */

    Tracked *first, *last;                             /* home loop */
    unsigned serialising;
    unsigned in_flight;
    unsigned drains;                                   /* node_drain_begin() calls on this node */
    uint64_t written, flushed;                         /* counts of writes done, and how many a flush has covered */
    uint64_t write_threshold;                          /* atomic; 0: none */
    bool flushing;
    uint64_t flush_covers;
    int flush_result;
    CoQueue flush_waiting;

    NodePerms perms, shared;                           /* what the driver was told last */
    NodePerms new_perms, new_shared;                   /* while they change */
    bool changing;
} NodeCore;

/* ---- node-life.c: a write goes beyond the threshold, which is over with that; any thread ---- */

void node_tell_threshold(const Node *node, uint64_t end);

/* ---- node.c ---- */

Node *node_new(const NodeDriver *driver, const char *name, IoLoop *loop, GError **err);    /* one reference; not open */
bool node_name_is_free(const char *name, GError **err);                                    /* and well formed */
Child *node_child_edge(const Node *node, const char *name);
bool node_add_edge(Node *parent, Node *child, const char *name, ChildRole role, GError **err);     /* takes a reference */
void node_remove_edge(Child *edge);
const char *node_who(const Node *node);                /* for sentences: a file, or a node name */
void node_close_all(void);                             /* the monitor's nodes go */

/* ---- node-perms.c ---- */

/* Recomputes the rights of a node and of what lies below it, tells the drivers; on refusal nothing has changed. */
bool node_update_perms(Node *node, GError **err);
void node_edge_default_perms(Child *edge);
void node_user_set_ops(NodeUser *user, const NodeUserOps *ops, void *opaque);
void node_user_rename(NodeUser *user, const char *who);
void node_tell_resized(Node *node);

/* ---- node-open.c ---- */

bool node_open_under(Node **out, const Value *options, const NodeOpen *how, const Node *opener, GError **err);
bool node_open_file_under(Node **out, const char *filename, const char *format, const Value *more_options, const NodeOpen *how,
                          const Node *opener, GError **err);

/* co. The format above a protocol node's options, by suffix or probing. */
bool node_open_protocol(Node **out, const Value *file, const Value *more, const NodeOpen *how, GError **err);

/* ---- node-life.c ---- */

GPtrArray *node_component(Node *node);                 /* every node that is reached from it by edges, parents first */
void node_drain_update(Node *node);                    /* tells users whether anything in their graph is drained */
extern unsigned node_drains;                           /* how many wait for a graph to be idle */
void node_idle(IoLoop *loop);                          /* something ended while they wait */
/* Home loop's thread: runs call(opaque) there, wherever the caller is. */
void node_run_on(IoLoop *loop, int (*call)(void *opaque), void *opaque);

/* ---- probe.c ---- */

const char *format_of_suffix(const char *filename);    /* "raw" where no suffix says more */
const NodeDriver *format_of_bytes(const uint8_t *head, size_t length, const char *filename);       /* NULL: none knows them */
/* co. The format of an open protocol node where nobody named one. */
bool format_decide(const char **format, Node *file, const char *filename, bool probe, GError **err);

/* ---- request.c, request-align.c ---- */

void request_begin(Node *node, Tracked *request, uint64_t offset, uint64_t bytes, bool serialising);       /* co */
void request_end(Node *node, Tracked *request);
/* co; aligned ranges: splits at the limits, bounces unaligned memory. */
int request_read(Node *node, uint64_t offset, Iov to, RequestFlags flags);
int request_write(Node *node, uint64_t offset, Iov from, RequestFlags flags);
int request_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags);
/* co; ranges that are not aligned. */
int request_read_unaligned(Node *node, uint64_t offset, Iov to, RequestFlags flags);
int request_write_unaligned(Node *node, uint64_t offset, Iov from, RequestFlags flags);
int request_copy_on_read(Node *node, uint64_t offset, Iov to, RequestFlags flags);
