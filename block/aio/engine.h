/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine.h - how bytes reach a host file: io_uring, Linux AIO, or a pool of threads
 *
 * One engine object per loop and kind, shared by the files on that loop. All co: the coroutine yields until the operation is done.
 * Each moves all bytes or fails: short transfers are continued, EINTR and EAGAIN repeated; a read at the end of a file gives zeroes for
 * what is missing. Buffers and offsets are aligned by the gate where the file is O_DIRECT.
 */
#pragma once
#include "base/io-loop.h"
#include "base/iov.h"
#include <glib.h>

typedef enum { AIO_THREADS, AIO_NATIVE, AIO_IO_URING } AioKind;
extern const char *const aio_names[];      /* "threads", "native", "io_uring", NULL */

typedef struct AioEngine AioEngine;
/* NULL and a sentence: not built in, or this host's kernel refuses (which sysctl or limit). */
AioEngine *aio_engine(IoLoop *loop, AioKind kind, GError **err);
typedef struct AioOps {
    int (*preadv)(AioEngine *engine, int fd, uint64_t offset, Iov to);
    int (*pwritev)(AioEngine *engine, int fd, uint64_t offset, Iov from, bool fua);
    int (*flush)(AioEngine *engine, int fd);               /* fdatasync */
} AioOps;
struct AioEngine { const AioOps *ops; IoLoop *loop; };
