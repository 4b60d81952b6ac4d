/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.h - what the drivers of host files share: file, host_device, host_cdrom
 */
#pragma once
#include "block/aio/engine.h"
#include "block/drivers.h"
#include "block/proto/lock.h"

typedef enum { FILE_REGULAR, FILE_DEVICE, FILE_CDROM } FileKind;

typedef struct FileNode {
    Node node;
    /* options */
    char *filename, *pr_manager;
    int aio;                               /* AioKind, or AIO_CHOOSE */
    int locking;                           /* OFF, ON, AUTO */
    bool drop_cache, check_cache_dropped;
    /* state */
    FileKind kind;
    AioFile file;                          /* fd -1: not open */
    AioEngine *engine;
    FileLock lock;
    bool exclusive;                        /* nobody else may write: holes that we have seen stay holes */
    bool flush_failed;                     /* the kernel forgets what it could not write: never say again that all is well */
    /* what this file does not do, found by trying */
    bool no_zero_range, no_punch, no_allocate, no_copy_range, no_seek;
    /* the last answer of block_status: [extent_begin, extent_end); equal: none */
    uint64_t extent_begin, extent_end;
    bool extent_is_data;
} FileNode;
enum { AIO_CHOOSE = AIO_IO_URING + 1 };

extern const Field file_options[];
extern const Field file_create_options[];

/* "file", "host_device" or "host_cdrom": the driver that a plain path means. */
const char *file_driver_for(const char *filename);

/* file-open.c */
bool file_open(Node *node, const NodeOpen *how, FileKind kind, GError **err);  /* co, like all that follow */
void file_close(Node *node);
bool file_reopen(Node *node, const Value *options, bool writable, GError **err);
int64_t file_length(Node *node);
int64_t file_allocated(Node *node);
bool file_perms_prepare(Node *node, NodePerms perms, NodePerms shared, GError **err);
void file_perms_commit(Node *node);
void file_perms_abort(Node *node);
void file_detach_loop(Node *node);
void file_attach_loop(Node *node, IoLoop *loop);
char *file_filename(const Node *node);
Value *file_parse_prefix(const char *filename, const char *prefix, const char *driver, GError **err);

/* file-space.c */
int file_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags);
int file_pdiscard(Node *node, uint64_t offset, uint64_t bytes);
int file_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file);
bool file_truncate(FileNode *file, uint64_t size, Preallocation preallocation, GError **err);     /* any thread; errno in *err's code */
int file_copy_range(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset, uint64_t bytes, RequestFlags flags);
void file_forget_extent(FileNode *file, bool was_written);

/* file.c */
int file_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags);
int file_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags);
int file_flush(Node *node);

static inline FileNode *FILE_NODE(Node *node) { return (FileNode *)node; }
