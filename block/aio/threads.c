/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads.c - the engine that works everywhere: blocking calls on a pool of threads
 *
 * What the page cache has already never comes here (engine.c). For the rest there are two ways:
 *
 *   serial   a write through the page cache: the kernel lets one writer at a time into a file, so one thread carries out all
 *            that a file has gathered, without a fight for the file's lock
 *   pool     all else blocks: a thread each, up to THREADS_MOST
 *
 * What a turn of the loop gathers is handed over with one lock, to the threads that fell asleep last, each of which is woken with
 * its request in its hand. Threads do not wake each other: that drove them from processor to processor, while the loop keeps one
 * and lets the pool have the rest. Results go on a list of the engine's, which the loop empties in its turn; it is kicked only
 * when it sleeps, and for serial writes only now and then.
 *
 * Threads  requests: the loop's own; `mutex` guards the pool and the files' lists of writes; `done` is a list without lock
 * Tests    tests/block/aio.c
 */
#include "base/error.h"
#include "base/lock.h"
#include "base/timer.h"
#include "block/aio/engine.h"
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MOST  64
#define IDLE_SECONDS  10
#define HOLD_MOST     16
#define HOLD_NS       (50 * NS_PER_US)
#define BATCH         4                    /* handed over at once: the disk should begin while we still gather */

typedef struct Threads {
    AioEngine engine;
    IoHook hook;
    AioOp *gathered, **last_gathered;      /* of this turn */
    unsigned gathered_count;
    AioOp *done;                           /* atomic stack */
    unsigned finishing;                    /* atomic: threads that are about to kick the loop */
} Threads;

typedef struct Hand {                      /* a thread of the pool */
    struct Hand *next;                     /* in the list of those that are idle */
    AioOp *op;                             /* what it was given while it was idle */
    uint32_t called;                       /* atomic; it sleeps on this (futex) until it is 1 */
    bool used;
} Hand;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Hand hands[THREADS_MOST], *idle;
static AioOp *queue, **queue_end = &queue;
static unsigned threads;

/* ---- the pool ---- */

static void append(AioOp *op)
{
    op->next = NULL;
    *queue_end = op;
    queue_end = &op->next;
}

static AioOp *pop(void)
{
    AioOp *op = queue;

    if (op) {
        queue = op->next;
        if (!queue) {
            queue_end = &queue;
        }
    }
    return op;
}

/* Between begin and end the engine stays, whatever becomes of its requests. */
static void finish_begin(Threads *this)
{
    __atomic_fetch_add(&this->finishing, 1, __ATOMIC_RELAXED);
}

static void finish_end(Threads *this)
{
    io_loop_kick(this->engine.loop);
    __atomic_fetch_sub(&this->finishing, 1, __ATOMIC_RELEASE);
}

/* The op's coroutine may run, and the op be gone, as soon as it is on the list. */
static void push_result(AioOp *op, ssize_t result)
{
    Threads *this = (Threads *)op->engine;
    AioOp *first = __atomic_load_n(&this->done, __ATOMIC_RELAXED);

    op->result = result;
    do {
        op->next = first;
    } while (!__atomic_compare_exchange_n(&this->done, &first, op, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

static void finish(AioOp *op, ssize_t result)
{
    Threads *this = (Threads *)op->engine;

    finish_begin(this);
    push_result(op, result);
    finish_end(this);
}

static bool is_serial(const AioOp *op)
{
    return op->what == AIO_WRITE && !op->file->alignment && !op->fua;
}

static int64_t now(void)
{
    return clock_now(CLOCK_STEADY);
}

/* The next of what a file has gathered, once all that was taken is done; NULL: its list is empty, and somebody else may begin anew.
 * The file may be closed as soon as the last one has its result. */
static AioOp *more_writes(AioFile *file)
{
    AioOp *next;
    LOCK_SCOPE(&mutex);

    next = file->writes;
    file->writes = NULL;
    file->writing = next != NULL;
    return next;
}

/* Carries out op and all that its file has gathered meanwhile. While more is waiting here, the loop hears of results a few at a time:
 * it would wake for each and do little; but none is held back for longer than HOLD_NS and the write that runs then. */
static void serve_writes(AioOp *op)
{
    Threads *this = (Threads *)op->engine;
    AioFile *file = op->file;
    unsigned held = 0;
    int64_t since = 0;

    while (op) {
        AioOp *next = op->next;
        ssize_t result = aio_do(op, 0);

        next = next ? next : more_writes(file);
        if (held++ == 0) {
            finish_begin(this);
            since = next ? now() : 0;
        }
        push_result(op, result);
        if (!next || held == HOLD_MOST || now() - since > HOLD_NS) {
            finish_end(this);
            held = 0;
        }
        op = next;
    }
}

/* Mutex held on entry and return. */
static void serve(AioOp *op)
{
    pthread_mutex_unlock(&mutex);
    if (is_serial(op)) {
        op->next = NULL;
        serve_writes(op);
    } else {
        finish(op, aio_do(op, 0));
    }
    pthread_mutex_lock(&mutex);
}

/* Mutex held on entry and return: asleep until somebody gives it something, or NULL after a long time. What was given may be found
 * before the wake comes, which then wakes for nothing some time later. */
static AioOp *wait_for_work(Hand *hand)
{
    static const struct timespec long_time = { .tv_sec = IDLE_SECONDS };
    bool timed_out = false;

    hand->op = NULL;
    hand->next = idle;
    idle = hand;
    while (!hand->op && !timed_out) {
        pthread_mutex_unlock(&mutex);
        timed_out = syscall(SYS_futex, &hand->called, FUTEX_WAIT_PRIVATE, 0, &long_time, NULL, 0) < 0 && errno == ETIMEDOUT;
        __atomic_store_n(&hand->called, 0, __ATOMIC_RELAXED);
        pthread_mutex_lock(&mutex);
    }
    if (!hand->op) {
        Hand **link = &idle;

        while (*link != hand) {
            link = &(*link)->next;
        }
        *link = hand->next;
    }
    return hand->op;
}

static void *pool_thread(void *opaque)
{
    Hand *hand = opaque;
    AioOp *op;

    pthread_setname_np(pthread_self(), "aio");
    pthread_mutex_lock(&mutex);
    while ((op = pop()) || (op = wait_for_work(hand))) {
        serve(op);
    }
    hand->used = false;
    threads--;
    pthread_mutex_unlock(&mutex);
    return NULL;
}

/* Mutex held. A signal is for the main thread: this one starts with all of them blocked. */
static void start_thread(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    Hand *hand = hands;

    while (hand->used) {
        hand++;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, pool_thread, hand) == 0) {
        hand->used = true;
        threads++;
    }
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void wake(Hand *hand)
{
    __atomic_store_n(&hand->called, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &hand->called, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* ---- the loop's side ---- */

/* Who is to be woken once the mutex is free. He may have found his work by then, and be idle again: he is only woken, not looked at. */
typedef struct Wakes { Hand *hands[THREADS_MOST]; unsigned count; } Wakes;

/* Mutex held: to somebody idle, or else into the queue. */
static void give(AioOp *op, Wakes *wakes)
{
    Hand *hand = idle;

    if (hand) {
        idle = hand->next;
        hand->op = op;
        wakes->hands[wakes->count++] = hand;
        return;
    }
    append(op);
    if (threads < THREADS_MOST) {
        start_thread();
    }
}

static void hand_over(AioOp *op, Wakes *wakes)
{
    AioFile *file = op->file;

    if (!is_serial(op)) {
        give(op, wakes);
    } else if (!file->writing) {
        file->writing = true;
        give(op, wakes);
    } else {
        op->next = NULL;
        if (file->writes) {
            *file->last_write = op;
        } else {
            file->writes = op;
        }
        file->last_write = &op->next;
    }
}

/* A host that starts not even one thread gets its work done on the loop's. */
static void submit(Threads *this)
{
    AioOp *op, *next;
    Wakes wakes;

    if (!this->gathered) {
        return;
    }
    wakes.count = 0;
    pthread_mutex_lock(&mutex);
    for (op = this->gathered; op; op = next) {
        next = op->next;
        hand_over(op, &wakes);
    }
    this->gathered = NULL;
    this->gathered_count = 0;
    while (threads == 0 && (op = pop())) {
        serve(op);
    }
    pthread_mutex_unlock(&mutex);
    for (unsigned i = 0; i < wakes.count; i++) {
        wake(wakes.hands[i]);
    }
}

static void end_of_turn(void *opaque)
{
    submit(opaque);
}

static bool ready(void *opaque)
{
    return __atomic_load_n(&((Threads *)opaque)->done, __ATOMIC_SEQ_CST) != NULL;
}

/* The last one done lies on top. */
static void complete(void *opaque)
{
    Threads *this = opaque;
    AioOp *op = __atomic_exchange_n(&this->done, NULL, __ATOMIC_ACQUIRE), *first = NULL, *next;

    for (; op; op = next) {
        next = op->next;
        op->next = first;
        first = op;
    }
    for (op = first; op; op = next) {
        next = op->next;
        coroutine_enter(op->coroutine);
    }
}

static void transfer(AioEngine *engine, AioOp *op)
{
    Threads *this = (Threads *)engine;

    op->next = NULL;
    if (this->gathered) {
        *this->last_gathered = op;
    } else {
        this->gathered = op;
    }
    this->last_gathered = &op->next;
    if (++this->gathered_count >= BATCH && op->file->alignment) {
        submit(this);
    }
    coroutine_yield();
}

static void threads_free(void *object)
{
    Threads *this = object;

    while (__atomic_load_n(&this->finishing, __ATOMIC_ACQUIRE)) {
        sched_yield();
    }
    io_loop_remove_hook(this->engine.loop, &this->hook);
    g_free(this);
}

AioEngine *aio_threads(IoLoop *loop, GError **err G_GNUC_UNUSED)
{
    void **slot = io_loop_slot(loop, IO_SLOT_THREADS, threads_free);
    Threads *this = *slot;

    if (!this) {
        this = *slot = g_new0(Threads, 1);
        this->engine = (AioEngine){ .loop = loop, .transfer = transfer };
        this->hook = (IoHook){ .submit = end_of_turn, .ready = ready, .complete = complete, .opaque = this };
            io_loop_add_hook(loop, &this->hook);
    }
    return &this->engine;
}
