/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uring.c - the engine on io_uring: one ring for each loop
 *
 * Requests gather in the submission queue over a turn. When nothing else is to do, one io_uring_enter(2) hands them over and
 * waits for the first result; the loop's epoll descriptor is polled through the ring then. The main loop waits in its
 * GMainContext instead, and an eventfd that the ring signals is one of those that its epoll watches. What the page cache holds is done
 * when the call returns, and the loop goes on without any other system call. Writes through the page cache go to the pool of
 * threads, which carries out in a row what the kernel would hand from one of its own to the next.
 *
 * Threads  the loop's own. The kernel binds a ring to the thread that uses it first; when a loop changes hands, it gets a new ring
 * Tests    tests/block/aio.c
 */
#include "base/error.h"
#include "block/aio/engine.h"
#include <errno.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE_DEPTH 256                    /* entries of the submission queue; a full one is handed over at once */
#define BATCH       4                      /* to a disk: it should begin while we still gather (docs/decisions/io-loop.md) */
#define IN_FLIGHT   2048                   /* as many results fit into the completion queue */

#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1U << 8)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

typedef struct Uring {
    AioEngine engine;
    IoHook hook;
    IoWaiter waiter;
    struct io_uring ring;
    bool made, deferred, waits;            /* deferred: results appear only inside io_uring_enter; waits: the loop waits in the ring */
    bool polling, epoll_ready;
    pthread_t owner;
    int event_fd;
    IoWatch *watch;
    unsigned in_flight;
    CoQueue room;
} Uring;

/* ---- the ring ---- */

/* The best that this kernel knows: results are delivered when we ask for them, without an interrupt of our thread. */
static int ring_make(Uring *this)
{
    static const unsigned flags[] = {
        IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN,
        IORING_SETUP_CQSIZE,
    };
    int result = -EINVAL;

    for (size_t i = 0; i < G_N_ELEMENTS(flags) && result == -EINVAL; i++) {
        struct io_uring_params params = { .flags = flags[i], .cq_entries = IN_FLIGHT };

        result = io_uring_queue_init_params(QUEUE_DEPTH, &this->ring, &params);
        this->deferred = flags[i] & IORING_SETUP_DEFER_TASKRUN;
    }
    this->made = result == 0;
    this->owner = pthread_self();
    return result;
}

static void ring_drop(Uring *this)
{
    if (this->made) {
        io_uring_queue_exit(&this->ring);
    }
    this->made = this->polling = false;
}

static void complete(void *opaque);

/* A deferred result becomes one only when we ask for it. */
static void signalled(void *opaque, uint32_t events)
{
    Uring *this = opaque;

    (void)events;
    if (this->deferred) {
        io_uring_get_events(&this->ring);
    }
    complete(this);
}

static void drop_watch(Uring *this)
{
    io_unwatch(this->watch);
    this->watch = NULL;
    if (this->event_fd >= 0) {
        close(this->event_fd);
    }
    this->event_fd = -1;
}

/* Of a loop that cannot wait in the ring: the kernel signals an eventfd, which is watched for edges. The ring's own descriptor will
 * not do: with deferred results it does not always become readable. */
static bool watch_ring(Uring *this)
{
    drop_watch(this);
    if (this->waits) {
        return true;
    }
    this->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (this->event_fd < 0 || io_uring_register_eventfd(&this->ring, this->event_fd) < 0) {
        return false;
    }
    this->watch = io_watch(this->engine.loop, this->event_fd, EPOLLIN | EPOLLET, signalled, this);
    return this->watch != NULL;
}

/* In use by one thread at a time; nothing is in flight when the loop goes to another one. */
static bool ring_is_ours(Uring *this)
{
    if (this->made && pthread_equal(this->owner, pthread_self())) {
        return true;
    }
    drop_watch(this);
    ring_drop(this);
    return ring_make(this) == 0 && watch_ring(this);
}

/* ---- submission ---- */

static void submit(Uring *this)
{
    if (this->made && io_uring_sq_ready(&this->ring)) {
        io_uring_submit(&this->ring);      /* what it does not take stays for the next turn */
    }
}

static void submit_hook(void *opaque)
{
    Uring *this = opaque;

    if (!this->waits) {
        submit(this);
    }
}

static void submit_at_once(void *opaque)
{
    submit(opaque);
}

static struct io_uring_sqe *get_entry(Uring *this)
{
    struct io_uring_sqe *entry;

    while (!(entry = io_uring_get_sqe(&this->ring))) {
        io_uring_submit(&this->ring);
        if (io_uring_sq_space_left(&this->ring) == 0) {
            co_yield_turn();
        }
    }
    return entry;
}

static void prepare(struct io_uring_sqe *entry, const AioOp *op)
{
    int fd = op->file->fd;
    bool one = op->count == 1 && op->pieces->iov_len <= UINT32_MAX;

    switch (op->what) {
    case AIO_READ:
        if (one) {
            io_uring_prep_read(entry, fd, op->pieces->iov_base, (unsigned)op->pieces->iov_len, op->offset);
        } else {
            io_uring_prep_readv(entry, fd, op->pieces, op->count, op->offset);
        }
        break;
    case AIO_WRITE:
        if (one) {
            io_uring_prep_write(entry, fd, op->pieces->iov_base, (unsigned)op->pieces->iov_len, op->offset);
        } else {
            io_uring_prep_writev(entry, fd, op->pieces, op->count, op->offset);
        }
        entry->rw_flags = op->fua ? RWF_DSYNC : 0;
        break;
    default:
        io_uring_prep_fsync(entry, fd, IORING_FSYNC_DATASYNC);
    }
}

static void transfer(AioEngine *engine, AioOp *op)
{
    Uring *this = (Uring *)engine;
    struct io_uring_sqe *entry;

    if (op->what == AIO_WRITE && !op->file->alignment && !op->fua) {
        op->engine = aio_threads(engine->loop, NULL);
        op->engine->transfer(op->engine, op);
        return;
    }
    while (this->in_flight >= IN_FLIGHT - 1) {             /* one result is the epoll descriptor's */
        co_queue_wait(&this->room, NULL);
    }
    if (this->in_flight == 0 && !ring_is_ours(this)) {
        op->result = -ENOMEM;
        return;
    }
    this->in_flight++;
    entry = get_entry(this);
    prepare(entry, op);
    io_uring_sqe_set_data(entry, op);
    if (op->file->alignment && io_uring_sq_ready(&this->ring) >= BATCH) {
        io_uring_submit(&this->ring);
    }
    coroutine_yield();
}

/* ---- results ---- */

static bool ready(void *opaque)
{
    Uring *this = opaque;

    return this->made && *this->ring.cq.khead != __atomic_load_n(this->ring.cq.ktail, __ATOMIC_ACQUIRE);
}

/* The entry is the kernel's again before its coroutine runs, which may submit more. */
static void complete_one(Uring *this, struct io_uring_cqe *entry)
{
    AioOp *op = io_uring_cqe_get_data(entry);
    int result = entry->res;

    io_uring_cqe_seen(&this->ring, entry);
    if (!op) {
        this->polling = false;
        this->epoll_ready = true;
        return;
    }
    this->in_flight--;
    co_queue_wake(&this->room);
    op->result = result;
    coroutine_enter(op->coroutine);
}

static void complete(void *opaque)
{
    Uring *this = opaque;

    while (ready(this)) {
        struct io_uring *ring = &this->ring;

        complete_one(this, &ring->cq.cqes[*ring->cq.khead & *ring->cq.kring_mask]);
    }
}

/* The loop has nothing to do until a result comes or its epoll descriptor is ready, which is a result here too. */
static bool wait_in_ring(void *opaque, int epoll_fd)
{
    Uring *this = opaque;
    bool epoll_ready;

    if (!ring_is_ours(this)) {
        return true;
    }
    if (!this->polling) {
        struct io_uring_sqe *entry = io_uring_get_sqe(&this->ring);

        if (!entry) {
            io_uring_submit(&this->ring);
            return true;
        }
        io_uring_prep_poll_add(entry, epoll_fd, POLLIN);
        io_uring_sqe_set_data(entry, NULL);
        this->polling = true;
    }
    io_uring_submit_and_wait(&this->ring, 1);
    complete(this);
    epoll_ready = this->epoll_ready;
    this->epoll_ready = false;
    return epoll_ready;
}

/* ---- life ---- */

static void uring_free(void *object)
{
    Uring *this = object;

    io_loop_remove_hook(this->engine.loop, &this->hook);
    if (this->waits) {
        io_loop_set_waiter(this->engine.loop, NULL);
    }
    drop_watch(this);
    ring_drop(this);
    g_free(this);
}

static const char *reason(int error)
{
    g_autofree char *text = NULL;

    switch (error) {
    case ENOSYS:
        return "; this kernel has no io_uring, or a seccomp filter hides it: use aio=threads";
    case EPERM:
    case EACCES:
        if (g_file_get_contents("/proc/sys/kernel/io_uring_disabled", &text, NULL, NULL) && text[0] != '0') {
            return "; the sysctl kernel.io_uring_disabled forbids it: use aio=threads";
        }
        return "; a seccomp filter or a security module forbids it: use aio=threads";
    case ENOMEM:
        return "; the limit on locked memory (ulimit -l) is too small for its queues";
    default:
        return "";
    }
}

static AioEngine *engine_new(IoLoop *loop, GError **err)
{
    Uring *this = g_new0(Uring, 1);
    int result;

    this->event_fd = -1;
    this->engine = (AioEngine){ .loop = loop, .transfer = transfer };
    this->hook = (IoHook){ .submit = submit_hook, .ready = ready, .complete = complete, .opaque = this };
    this->waiter = (IoWaiter){ .submit = submit_at_once, .wait = wait_in_ring, .opaque = this };
    result = ring_make(this);
    if (result < 0) {
        fail(err, -result, "aio=io_uring: the host refuses a ring: %s%s", g_strerror(-result), reason(-result));
        g_free(this);
        return NULL;
    }
    this->waits = io_loop_set_waiter(loop, &this->waiter);
    io_loop_add_hook(loop, &this->hook);
    if (!watch_ring(this)) {
        fail(err, errno, "aio=io_uring: the loop cannot watch the ring: %s", g_strerror(errno));
        uring_free(this);
        return NULL;
    }
    return &this->engine;
}

AioEngine *aio_uring(IoLoop *loop, GError **err)
{
    void **slot = io_loop_slot(loop, IO_SLOT_URING, uring_free);

    if (!*slot) {
        *slot = engine_new(loop, err);
    }
    return *slot;
}
#else
AioEngine *aio_uring(IoLoop *loop G_GNUC_UNUSED, GError **err)
{
    fail(err, ENOTSUP, "aio=io_uring is not built in (this Roost was built without liburing); aio=threads does the same");
    return NULL;
}
#endif
