/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock.h - locks on image files, as QEMU's programs take them
 */
#pragma once
#include "block/node.h"

typedef struct FileLock {
    bool wanted;                           /* locking=on, or auto and the file system has locks */
    bool mandatory;                        /* locking=on: a file system without locks is an error */
    NodePerms used, kept;                  /* whose bytes are locked: what we do, what others may not do */
    NodePerms next_used, next_kept;        /* between prepare and commit */
} FileLock;

/* Takes what is new, and looks for somebody whom it disturbs; a refusal leaves the locks as they were, and *err names the holder
 * and the fix. Then commit lets go what is not needed any more, or abort what was new. */
bool file_lock_prepare(FileLock *lock, int fd, const char *filename, NodePerms used, NodePerms shared, GError **err);
void file_lock_commit(FileLock *lock, int fd);
void file_lock_abort(FileLock *lock, int fd);
/* All that is held, on another descriptor of the same file too: reopen. False only if somebody came between with other locks. */
bool file_lock_move(FileLock *lock, int new_fd);
/* Opened without locks: says once in this process that what is read may be stale, when somebody has the right to write. */
void file_lock_warn_stale(int fd, const char *filename);
/* "pid 123 (qemu-system-x86_64, VM 'web')", or "another process"; caller owns. byte: one that it has locked. */
char *file_lock_holder(int fd, unsigned byte);
