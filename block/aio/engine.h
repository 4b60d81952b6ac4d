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
#include <sys/types.h>

typedef enum { AIO_THREADS, AIO_NATIVE, AIO_IO_URING } AioKind;
extern const char *const aio_names[];      /* "threads", "native", "io_uring", NULL */

typedef struct AioEngine AioEngine;
typedef struct AioOp AioOp;

/* A host file as the engines see it. The owner fills fd and alignment; the rest is theirs and begins as zeroes. Where transfers
 * run on threads, several are under way at once: the owner waits for all before it closes. */
typedef struct AioFile {
    int fd;
    uint32_t alignment;                    /* O_DIRECT: of offsets and lengths; 0: through the page cache */
    bool no_nowait_read, no_nowait_write;  /* the file system does not do RWF_NOWAIT */
    AioOp *writes, **last_write;           /* through the page cache: one thread at a time carries them out, as the kernel would */
    bool writing;
} AioFile;

/* NULL and a sentence: not built in, or this host's kernel refuses (which sysctl or limit). */
AioEngine *aio_engine(IoLoop *loop, AioKind kind, GError **err);
/* co; 0 or -errno. */
int aio_preadv(AioEngine *engine, AioFile *file, uint64_t offset, Iov to);
int aio_pwritev(AioEngine *engine, AioFile *file, uint64_t offset, Iov from, bool fua);
int aio_flush(AioEngine *engine, AioFile *file);           /* fdatasync */

/* ---- for the engines ---- */

typedef enum { AIO_READ, AIO_WRITE, AIO_SYNC } AioWhat;
struct AioOp {                             /* on the stack of the coroutine that waits for it */
    AioOp *next;
    AioWhat what;
    AioFile *file;
    uint64_t offset;
    const struct iovec *pieces;            /* at most IOV_MAX */
    unsigned count;
    bool fua;
    AioEngine *engine;
    Coroutine *coroutine;
    ssize_t result;                        /* bytes or -errno */
};
struct AioEngine {
    IoLoop *loop;
    void (*transfer)(AioEngine *engine, AioOp *op);        /* co: yields until op->result is there */
    unsigned inline_count;                 /* requests that took no wait, since the loop turned last because of them */
};
/* Each finds or makes the one of this loop. */
AioEngine *aio_threads(IoLoop *loop, GError **err);
AioEngine *aio_libaio(IoLoop *loop, GError **err);
AioEngine *aio_uring(IoLoop *loop, GError **err);
size_t aio_bytes(const AioOp *op);
ssize_t aio_do(const AioOp *op, int flags);                /* the system call itself, RWF_ flags added; bytes or -errno */
