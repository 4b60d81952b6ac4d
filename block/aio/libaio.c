/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libaio.c - the engine on Linux AIO: files that are O_DIRECT
 *
 * A turn's requests go to the kernel by one io_submit(2). The kernel writes what is done into a ring that it shares with us, and
 * signals an eventfd; the ring is read without a system call, and the eventfd, watched for edges, is never read at all.
 *
 * Omits    files behind the page cache, for which io_submit would block: the file driver refuses them with aio=native
 * Threads  the loop's own
 * Tests    tests/block/aio.c
 */
#include "base/error.h"
#include "block/aio/engine.h"
#include <errno.h>
#ifdef HAVE_LIBAIO
#include <libaio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUEUE_DEPTH 1024                   /* requests in the kernel */
#define GATHERED    64                     /* that wait to be handed over */
#define BATCH       4                      /* of one io_submit: the disk should begin while we still gather (docs/decisions/io-loop.md) */

/* The ring's head in the first page of what io_setup maps, as the kernel's io_getevents does with it since 2.6. */
typedef struct AioRing {
    unsigned id, count, head, tail, magic, compat, incompat, header_length;
    struct io_event events[];
} AioRing;
#define AIO_RING_MAGIC 0xa10a10a1

typedef struct Libaio {
    AioEngine engine;
    IoHook hook;
    io_context_t context;
    bool ring_readable, signalled;
    int event_fd;
    IoWatch *watch;
    struct iocb *gathered[GATHERED];
    unsigned gathered_count, in_flight;
    CoQueue room;
} Libaio;

typedef struct Request { struct iocb control; AioOp *op; } Request;

static void done(Request *request, ssize_t result)
{
    request->op->result = result;
    coroutine_enter(request->op->coroutine);
}

/* What the kernel does not take now stays for the next turn, unless it refuses the first one for good. */
static void submit(void *opaque)
{
    Libaio *this = opaque;
    unsigned begin = 0;

    while (begin < this->gathered_count) {
        int taken = io_submit(this->context, this->gathered_count - begin, this->gathered + begin);

        if (taken > 0) {
            begin += (unsigned)taken;
        } else if (taken == -EAGAIN && this->in_flight > this->gathered_count - begin) {
            break;                         /* something will be done, and then there is room */
        } else if (taken != -EINTR) {
            struct iocb *control = this->gathered[begin++];
            Request *request = (Request *)control;

            request->op->result = taken < 0 ? taken : -EIO;
            this->in_flight--;
            co_queue_wake(&this->room);
            io_loop_wake(this->engine.loop, request->op->coroutine);
        }
    }
    this->gathered_count -= begin;
    memmove(this->gathered, this->gathered + begin, this->gathered_count * sizeof this->gathered[0]);
}

static AioRing *ring_of(const Libaio *this)
{
    return (AioRing *)this->context;
}

static bool ready(void *opaque)
{
    Libaio *this = opaque;
    AioRing *ring = ring_of(this);

    return this->ring_readable ? ring->head != __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) : this->signalled;
}

static bool next_event(Libaio *this, struct io_event *event)
{
    AioRing *ring = ring_of(this);
    struct timespec at_once = { 0 };

    if (!this->ring_readable) {
        return io_getevents(this->context, 0, 1, event, &at_once) == 1;
    }
    if (ring->head == __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)) {
        return false;
    }
    *event = ring->events[ring->head];
    __atomic_store_n(&ring->head, (ring->head + 1) % ring->count, __ATOMIC_RELEASE);
    return true;
}

static void complete(void *opaque)
{
    Libaio *this = opaque;
    struct io_event event;

    this->signalled = false;
    while (next_event(this, &event)) {
        this->in_flight--;
        co_queue_wake(&this->room);
        done((Request *)event.obj, (ssize_t)event.res);
    }
}

static void prepare(Request *request)
{
    const AioOp *op = request->op;
    struct iocb *control = &request->control;
    int fd = op->file->fd;

    switch (op->what) {
    case AIO_READ:
        io_prep_preadv(control, fd, op->pieces, (int)op->count, (long long)op->offset);
        break;
    case AIO_WRITE:
        io_prep_pwritev(control, fd, op->pieces, (int)op->count, (long long)op->offset);
        control->aio_rw_flags = op->fua ? RWF_DSYNC : 0;
        break;
    default:
        io_prep_fdsync(control, fd);
    }
}

static void transfer(AioEngine *engine, AioOp *op)
{
    Libaio *this = (Libaio *)engine;
    Request request = { .op = op };

    while (this->in_flight >= QUEUE_DEPTH) {
        co_queue_wait(&this->room, NULL);
    }
    while (this->gathered_count == GATHERED) {
        co_queue_wait(&this->room, NULL);
    }
    prepare(&request);
    io_set_eventfd(&request.control, this->event_fd);
    this->gathered[this->gathered_count++] = &request.control;
    this->in_flight++;
    if (this->gathered_count >= BATCH) {
        submit(this);
    }
    coroutine_yield();
}

static void signalled(void *opaque, uint32_t events)
{
    ((Libaio *)opaque)->signalled = true;  /* the turn looks at the ring */
    (void)events;
}

static void libaio_free(void *object)
{
    Libaio *this = object;

    io_loop_remove_hook(this->engine.loop, &this->hook);
    io_unwatch(this->watch);
    if (this->event_fd >= 0) {
        close(this->event_fd);
    }
    io_destroy(this->context);
    g_free(this);
}

static AioEngine *engine_new(IoLoop *loop, GError **err)
{
    Libaio *this = g_new0(Libaio, 1);
    int result = io_setup(QUEUE_DEPTH, &this->context);

    if (result < 0) {
        g_free(this);
        fail(err, -result, "aio=native: the host refuses a queue of %d requests: %s%s", QUEUE_DEPTH, g_strerror(-result),
             result == -EAGAIN ? "; the sysctl fs.aio-max-nr limits all queues together" : "");
        return NULL;
    }
    this->engine = (AioEngine){ .loop = loop, .transfer = transfer };
    this->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    this->watch = this->event_fd >= 0 ? io_watch(loop, this->event_fd, EPOLLIN | EPOLLET, signalled, this) : NULL;
    if (!this->watch) {
        fail(err, errno, "aio=native: no eventfd: %s", g_strerror(errno));
        libaio_free(this);
        return NULL;
    }
    this->ring_readable = ring_of(this)->magic == AIO_RING_MAGIC && ring_of(this)->incompat == 0;
    this->hook = (IoHook){ .submit = submit, .ready = ready, .complete = complete, .opaque = this };
    io_loop_add_hook(loop, &this->hook);
    return &this->engine;
}

AioEngine *aio_libaio(IoLoop *loop, GError **err)
{
    void **slot = io_loop_slot(loop, IO_SLOT_LIBAIO, libaio_free);

    if (!*slot) {
        *slot = engine_new(loop, err);
    }
    return *slot;
}
#else
AioEngine *aio_libaio(IoLoop *loop G_GNUC_UNUSED, GError **err)
{
    fail(err, ENOTSUP, "aio=native is not built in (this Roost was built without libaio); aio=threads and aio=io_uring do the same");
    return NULL;
}
#endif
