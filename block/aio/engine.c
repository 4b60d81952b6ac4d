/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine.c - the door of the engines: all bytes or an error
 *
 * What is missing after a short transfer is asked for again; a read that meets the end of the file is filled up with zeroes, so
 * that a file that shrinks under us gives no errors.
 *
 * Threads  the loop's own
 * Tests    tests/block/aio.c
 */
#include "block/aio/engine.h"
#include "base/error.h"
#include "base/timer.h"
#include "base/trace.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#define INLINE_BYTES  (128 << 10)          /* copying more than that would keep the loop from others; two processors copy faster */
#define INLINE_BUDGET 64
#define RETRIES_MOST 1000                  /* of EAGAIN, a millisecond apart */

const char *const aio_names[] = { "threads", "native", "io_uring", NULL };

enum { TRACE_READ, TRACE_WRITE, TRACE_FLUSH, TRACE_DONE };
static TracePoint aio_trace[] = {
    [TRACE_READ] = { "aio_read", "an engine begins to read from a host file" },
    [TRACE_WRITE] = { "aio_write", "an engine begins to write to a host file" },
    [TRACE_FLUSH] = { "aio_flush", "an engine begins to flush a host file" },
    [TRACE_DONE] = { "aio_done", "an engine is done with a host file's request" } };
TRACE_TABLE(aio_trace)

AioEngine *aio_engine(IoLoop *loop, AioKind kind, GError **err)
{
    switch (kind) {
    case AIO_IO_URING:
        return aio_uring(loop, err);
    case AIO_NATIVE:
        return aio_libaio(loop, err);
    default:
        return aio_threads(loop, err);
    }
}

size_t aio_bytes(const AioOp *op)
{
    return iov_length(op->pieces, op->count);
}

ssize_t aio_do(const AioOp *op, int flags)
{
    int fd = op->file->fd, count = (int)op->count;
    ssize_t result;

    do {
        switch (op->what) {
        case AIO_READ:
            result = flags ? preadv2(fd, op->pieces, count, (off_t)op->offset, flags) : preadv(fd, op->pieces, count, (off_t)op->offset);
            break;
        case AIO_WRITE:
            flags |= op->fua ? RWF_DSYNC : 0;
            result = flags ? pwritev2(fd, op->pieces, count, (off_t)op->offset, flags) : pwritev(fd, op->pieces, count, (off_t)op->offset);
            break;
        default:
            result = fdatasync(fd);
        }
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

/* An answer that asks for another try; after the first ones the loop turns, and then time passes. */
static bool try_again(ssize_t result, unsigned *tries)
{
    if (result != -EINTR && result != -EAGAIN) {
        return false;
    }
    if (++*tries > RETRIES_MOST) {
        return false;
    }
    if (*tries > 8) {
        co_sleep(NS_PER_MS);
    } else {
        co_yield_turn();
    }
    return true;
}

static bool is_unsupported(ssize_t result)
{
    return result == -EOPNOTSUPP || result == -EINVAL || result == -ENOSYS;
}

/* What the page cache can do without waiting (RWF_NOWAIT) is done at once, whatever the engine: no system call is cheaper than one.
 * Many in a row let the loop turn now and then. True: done. */
static bool transfer_inline(AioEngine *engine, AioOp *op)
{
    bool *refused = op->what == AIO_READ ? &op->file->no_nowait_read : &op->file->no_nowait_write;

    if (*refused || op->fua || op->file->alignment || aio_bytes(op) > INLINE_BYTES) {
        return false;
    }
    if (++engine->inline_count >= INLINE_BUDGET) {
        engine->inline_count = 0;
        co_yield_turn();
    }
    op->result = aio_do(op, RWF_NOWAIT);
    if (is_unsupported(op->result)) {
        *refused = true;
        return false;
    }
    return op->result != -EAGAIN;
}

/* How far a transfer brought us: 0: no further. A direct one counts whole blocks, since the next one must begin at one. */
static size_t progress(const AioOp *op)
{
    size_t bytes = (size_t)op->result;

    return op->file->alignment ? bytes - bytes % op->file->alignment : bytes;
}

static int at_end(const AioOp *op, Iov window)
{
    size_t moved = (size_t)op->result;

    if (op->what == AIO_WRITE) {
        return moved ? -EIO : -ENOSPC;     /* a write that cannot go on and does not say why */
    }
    iov_set(window, moved, 0, window.bytes);
    return 0;
}

static int move(AioEngine *engine, AioFile *file, AioWhat what, uint64_t offset, Iov window, bool fua)
{
    unsigned tries = 0;

    while (window.bytes > 0) {
        size_t count = MIN(window.count, IOV_MAX), moved;
        struct iovec pieces[count];
        AioOp op = { .what = what, .file = file, .offset = offset, .pieces = pieces, .fua = fua, .engine = engine };

        op.count = (unsigned)iov_plain((Iov){ window.iov, count, window.skip, window.bytes }, pieces);
        op.coroutine = coroutine_self();
        if (!transfer_inline(engine, &op)) {
            engine->transfer(engine, &op);
        }
        if (op.result < 0) {
            if (try_again(op.result, &tries)) {
                continue;
            }
            return (int)op.result;
        }
        moved = progress(&op);
        if (moved == 0 || ((size_t)op.result != moved && (size_t)op.result < window.bytes)) {
            return at_end(&op, window);
        }
        tries = 0;
        offset += moved;
        window = iov_part(window, moved, window.bytes);
    }
    return 0;
}

int aio_preadv(AioEngine *engine, AioFile *file, uint64_t offset, Iov to)
{
    int result;

    TRACE(&aio_trace[TRACE_READ], "fd %d offset 0x%" PRIx64 " bytes 0x%zx", file->fd, offset, to.bytes);
    result = move(engine, file, AIO_READ, offset, to, false);
    TRACE(&aio_trace[TRACE_DONE], "fd %d offset 0x%" PRIx64 " result %d", file->fd, offset, result);
    return result;
}

int aio_pwritev(AioEngine *engine, AioFile *file, uint64_t offset, Iov from, bool fua)
{
    int result;

    TRACE(&aio_trace[TRACE_WRITE], "fd %d offset 0x%" PRIx64 " bytes 0x%zx%s", file->fd, offset, from.bytes, fua ? " fua" : "");
    result = move(engine, file, AIO_WRITE, offset, from, fua);
    TRACE(&aio_trace[TRACE_DONE], "fd %d offset 0x%" PRIx64 " result %d", file->fd, offset, result);
    return result;
}

int aio_flush(AioEngine *engine, AioFile *file)
{
    AioOp op = { .what = AIO_SYNC, .file = file, .engine = engine };
    unsigned tries = 0;

    TRACE(&aio_trace[TRACE_FLUSH], "fd %d", file->fd);
    do {
        op.coroutine = coroutine_self();
        engine->transfer(engine, &op);
    } while (op.result < 0 && try_again(op.result, &tries));
    TRACE(&aio_trace[TRACE_DONE], "fd %d flush result %d", file->fd, (int)op.result);
    return op.result < 0 ? (int)op.result : 0;
}
