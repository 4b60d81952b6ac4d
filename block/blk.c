/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.c - the door of a device to the block graph: its requests
 *
 * A request is checked against the medium, and then runs in a coroutine of its own on the home loop. What comes from another
 * thread is posted there. `done` is called at the end of that coroutine, or in a later turn when the request ended before
 * blk_submit() came back; so it must not wait.
 *
 * Hostile   offset, bytes and the pieces of a request come from a guest: checked in run()
 * Threads   requests: the home loop; the rest: main thread, machine lock held
 * Tests     tests/block/blk.c
 */
#include "block/blk-core.h"
#include "base/checked.h"
#include "base/timer.h"
#include "base/trace.h"
#include <errno.h>
#include <inttypes.h>

enum { TRACE_SUBMIT, TRACE_DONE };
static TracePoint blk_trace[] = {
    [TRACE_SUBMIT] = { "blk_submit", "a device asked its storage for something" },
    [TRACE_DONE] = { "blk_done", "its storage answered" } };
TRACE_TABLE(blk_trace)

static const char *const op_names[] = { "read", "write", "write-zeroes", "discard", "flush" };

/* ---- carrying out ---- */

static inline RequestFlags node_flags(const Blk *blk, const BlkRequest *request)
{
    return (request->flags & BLK_FUA) || !blk_write_cache(blk) ? REQ_FUA : 0;
}

static int run_data(Blk *blk, Node *node, const BlkRequest *request)
{
    Iov window = { request->iov, request->iov_count, 0, request->bytes };
    size_t there = iov_length(request->iov, request->iov_count);

    if (there == SIZE_MAX || there < request->bytes) {
        return -EINVAL;
    }
    return request->op == BLK_READ ? node_preadv(node, request->offset, window, 0)
                                   : node_pwritev(node, request->offset, window, node_flags(blk, request));
}

static int run(Blk *blk, const BlkRequest *request)
{
    NodeUser *user = blk_user(blk);
    Node *node = user ? node_user_node(user) : NULL;

    if (!node) {
        return -ENOMEDIUM;
    }
    if (request->op == BLK_FLUSH) {
        return node_flush(node);
    }
    if (!range_within(request->offset, request->bytes, node_length(node))) {
        return -EIO;
    }
    if (request->op != BLK_READ && blk_readonly(blk)) {
        return -EPERM;
    }
    switch (request->op) {
    case BLK_READ:
    case BLK_WRITE:
        return run_data(blk, node, request);
    case BLK_WRITE_ZEROES:
        return node_pwrite_zeroes(node, request->offset, request->bytes,
                                  node_flags(blk, request) | (request->flags & BLK_MAY_UNMAP ? REQ_MAY_UNMAP : 0));
    case BLK_DISCARD:
        return node_pdiscard(node, request->offset, request->bytes);
    default:
        return -EINVAL;
    }
}

/* ---- accounts: written on the home loop only, read from anywhere ---- */

static inline void add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static void account(Blk *blk, const BlkRequest *request)
{
    __typeof__(&blk->stats.of[0]) of = &blk->stats.of[MIN((unsigned)request->op, BLK_OPS - 1u)];
    int64_t now = clock_now(CLOCK_STEADY);

    __atomic_store_n(&blk->stats.last_access_ns, now, __ATOMIC_RELAXED);
    if (request->result < 0) {
        bool invalid = request->result == -EINVAL || request->result == -EPERM || request->result == -ENOMEDIUM;
        add(invalid ? &of->invalid : &of->failed, 1);
        return;
    }
    add(&of->operations, 1);
    add(&of->total_ns, (uint64_t)MAX(now - request->began_ns, 0));
    if (request->op != BLK_FLUSH) {
        add(&of->bytes, request->bytes);
    }
    if ((request->op == BLK_WRITE || request->op == BLK_WRITE_ZEROES) && request->offset + request->bytes > blk->stats.highest_write) {
        __atomic_store_n(&blk->stats.highest_write, request->offset + request->bytes, __ATOMIC_RELAXED);
    }
}

void blk_stats(const Blk *blk, BlkStats *stats)
{
    const uint64_t *from = (const uint64_t *)&blk->stats;
    uint64_t *to = (uint64_t *)stats;

    for (size_t i = 0; i < sizeof *stats / sizeof *to; i++) {
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
}

/* ---- the life of a request ---- */

static void left(Blk *blk)
{
    if (--blk->running == 0 && __atomic_load_n(&node_drains, __ATOMIC_RELAXED)) {
        node_idle(blk->loop);
    }
    if (__atomic_sub_fetch(&blk->in_flight, 1, __ATOMIC_SEQ_CST) == 0) {
        IoLoop *loop = blk->loop;
        __atomic_store_n(&blk->idle, true, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&blk->waiters, __ATOMIC_SEQ_CST)) {
            io_loop_kick_waiters(loop);    /* blk may be gone */
        }
    }
}

static void tell(BlkRequest *request)
{
    Blk *blk = request->blk;

    TRACE(&blk_trace[TRACE_DONE], "%s %s offset %" PRIu64 " result %d", blk_name(blk), op_names[MIN((unsigned)request->op, BLK_OPS - 1u)],
          request->offset, request->result);
    request->done(request, request->result);
    left(blk);
}

static void tell_finished(void *opaque)
{
    Blk *blk = opaque;
    BlkRequest *request = blk->finished;

    blk->finished = NULL;
    blk->finished_end = &blk->finished;
    while (request) {
        BlkRequest *next = request->next;
        tell(request);
        request = next;
    }
}

static void finish(BlkRequest *request, int result)
{
    Blk *blk = request->blk;

    request->result = result;
    account(blk, request);
    if (!blk->submitting) {
        tell(request);
        return;
    }
    request->next = NULL;
    if (!blk->finished) {
        io_loop_post(blk->loop, tell_finished, blk);
    }
    *blk->finished_end = request;
    blk->finished_end = &request->next;
}

static void request_main(void *opaque)
{
    BlkRequest *request = opaque;

    finish(request, run(request->blk, request));
}

static void start(BlkRequest *request)
{
    Blk *blk = request->blk;

    if (__atomic_load_n(&blk->quiesced, __ATOMIC_SEQ_CST)) {
        request->next = NULL;
        *blk->kept_end = request;
        blk->kept_end = &request->next;
        return;
    }
    blk->running++;
    Coroutine *coroutine = coroutine_new(request_main, request);
    if (coroutine) {
        coroutine_enter(coroutine);
    } else {
        finish(request, -ENOMEM);
    }
}

/* In a turn of the home loop; when the Blk moved on meanwhile, the request goes after it. */
static void start_posted(void *opaque)
{
    BlkRequest *request = opaque;
    IoLoop *loop = blk_loop(request->blk);

    if (loop != io_loop_current()) {
        io_loop_post(loop, start_posted, request);
    } else {
        start(request);
    }
}

void blk_submit(Blk *blk, BlkRequest *request)
{
    IoLoop *loop = blk_loop(blk);

    TRACE(&blk_trace[TRACE_SUBMIT], "%s %s offset %" PRIu64 " bytes %" PRIu64, blk_name(blk),
          op_names[MIN((unsigned)request->op, BLK_OPS - 1u)], request->offset, request->bytes);
    request->blk = blk;
    request->began_ns = clock_now(CLOCK_STEADY);
    __atomic_store_n(&blk->idle, false, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&blk->in_flight, 1, __ATOMIC_SEQ_CST);
    if (io_loop_current() != loop) {
        io_loop_post(loop, start_posted, request);
        return;
    }
    bool outer = blk->submitting;
    blk->submitting = true;
    start(request);
    blk->submitting = outer;
}

unsigned blk_in_flight(const Blk *blk)
{
    return __atomic_load_n(&blk->in_flight, __ATOMIC_SEQ_CST);
}

void blk_drain(Blk *blk)
{
    bool inside = coroutine_self() && io_loop_current() == blk_loop(blk);

    while (inside && blk_in_flight(blk)) {
        co_yield_turn();
    }
    __atomic_fetch_add(&blk->waiters, 1, __ATOMIC_SEQ_CST);
    while (blk_in_flight(blk)) {
        io_loop_wait(blk_loop(blk), &blk->idle);
    }
    __atomic_fetch_sub(&blk->waiters, 1, __ATOMIC_SEQ_CST);
}

/* ---- what the graph says to its users ---- */

static void start_kept(void *opaque)
{
    Blk *blk = opaque;
    BlkRequest *request = blk->kept;

    blk->kept = NULL;
    blk->kept_end = &blk->kept;
    while (request) {
        BlkRequest *next = request->next;
        start(request);                    /* keeps it again when another drain began */
        request = next;
    }
    blk_unref(blk);
}

void blk_quiesce(void *opaque, bool on)
{
    Blk *blk = opaque;

    __atomic_store_n(&blk->quiesced, on, __ATOMIC_SEQ_CST);
    if (!on && blk_in_flight(blk)) {       /* what was kept is in flight */
        io_loop_post(blk_loop(blk), start_kept, blk_ref(blk));
    }
}

bool blk_busy(void *opaque)
{
    return ((Blk *)opaque)->running != 0;
}

/* ---- for loaders ---- */

typedef struct ReadJob { Node *node; uint64_t offset; void *buffer; size_t length; int result; } ReadJob;

static int read_now(void *opaque)
{
    ReadJob *job = opaque;

    return job->result = node_pread(job->node, job->offset, job->buffer, job->length);
}

int blk_pread(Blk *blk, uint64_t offset, void *buffer, size_t length)
{
    ReadJob job = { blk_node(blk), offset, buffer, length, -ENOMEM };

    if (!job.node) {
        return -ENOMEDIUM;
    }
    node_run_on(blk_loop(blk), read_now, &job);
    return job.result;
}
