/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-loop.c - one epoll descriptor: an eventfd that wakes, a timerfd, and what is watched
 *
 * A turn: hooks submit; wait (not when something is ready already); descriptors, timers, posted calls, woken coroutines. Posts
 * from other threads go into an array under a mutex; the eventfd is written only when the loop sleeps or may be about to
 * (`sleeping`), so that a busy loop is woken for nothing. The main loop is a source of the default GMainContext, whose poll
 * watches the epoll descriptor: prepare() does what comes before the wait, dispatch() is a turn that does not wait.
 *
 * Events that were fetched but not handled yet lie in the loop, not on a stack: a turn inside a callback (io_loop_run) fetches
 * them anew, and the outer turn then finds nothing left.
 *
 * Threads  `mutex` guards posts, wakes and the waiters' condition; all else is the loop's own thread's
 * Tests    tests/unit/io-loop.c
 */
#include "base/io-loop.h"
#include "base/error.h"
#include "base/lock.h"
#include "base/timer.h"
#include "base/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define EVENTS_MOST  64
#define UNPOLLED_MOST 16
#define TIMER_BUDGET 256                   /* that one turn fires: one that is always due must not starve the rest */

typedef struct Post {
    void (*call)(void *opaque);            /* NULL: opaque is a coroutine to enter */
    void *opaque;
} Post;

struct IoWatch {
    IoLoop *loop;
    int fd;
    bool own_fd;                           /* a duplicate: epoll knows a descriptor only once */
    bool dead;
    uint32_t events;
    void (*ready)(void *opaque, uint32_t events);
    void *opaque;
    IoWatch *next_dead;
};

struct IoLoop {
    char *name;
    int thread_id;                         /* atomic; of a loop with a thread of its own */
    int epoll_fd, event_fd, timer_fd;
    struct epoll_event events[EVENTS_MOST];
    int events_at, events_count;
    unsigned depth;                        /* turns inside turns */
    IoWatch *dead;                         /* freed when no turn runs */
    IoTimer *timers;                       /* by deadline */
    int64_t timer_set;                     /* what the timerfd is set to; -1 */
    IoHook *hooks;
    const IoWaiter *waiter;
    unsigned unpolled;                     /* turns in a row that had enough to do without a look at the descriptors */
    struct { void *object; void (*free)(void *object); } slots[IO_SLOTS];
    Post *local;                           /* coroutines woken by the loop's own thread: a ring */
    size_t local_at, local_count, local_room;
    GSource *source;                       /* of the main loop */

    pthread_mutex_t mutex;
    pthread_cond_t kicked;
    GArray *posts, *spare;                 /* of Post; two arrays take turns, so that posting seldom allocates */
    bool sleeping;                         /* atomic: whoever posts must write the eventfd */
    bool has_posts;                        /* atomic hint */
    bool stop;                             /* atomic */
    bool threaded;
    pthread_t thread;
};

static __thread IoLoop *current;
static IoLoop *main_loop;

/* ---- life ---- */

static bool add_fd(IoLoop *loop, int fd, void *tag)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = tag };

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool open_fds(IoLoop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return loop->epoll_fd >= 0 && loop->event_fd >= 0 && loop->timer_fd >= 0 && add_fd(loop, loop->event_fd, &loop->event_fd) &&
           add_fd(loop, loop->timer_fd, &loop->timer_fd);
}

IoLoop *io_loop_new(const char *name, GError **err)
{
    IoLoop *loop = g_new0(IoLoop, 1);

    loop->name = g_strdup(name);
    loop->timer_set = -1;
    loop->epoll_fd = loop->event_fd = loop->timer_fd = -1;
    pthread_mutex_init(&loop->mutex, NULL);
    pthread_cond_init(&loop->kicked, NULL);
    loop->posts = g_array_new(FALSE, FALSE, sizeof(Post));
    if (!open_fds(loop)) {
        fail(err, errno, "the I/O loop '%s' needs three file descriptors: %s", name, g_strerror(errno));
        io_loop_free(loop);
        return NULL;
    }
    return loop;
}

static void free_dead(IoLoop *loop)
{
    while (loop->dead) {
        IoWatch *watch = loop->dead;

        loop->dead = watch->next_dead;
        g_free(watch);
    }
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void io_loop_free(IoLoop *loop)
{
    if (!loop) {
        return;
    }
    for (size_t i = 0; i < IO_SLOTS; i++) {
        if (loop->slots[i].object) {
            loop->slots[i].free(loop->slots[i].object);
        }
    }
    if (loop->source) {
        g_source_destroy(loop->source);
        g_source_unref(loop->source);
    }
    free_dead(loop);
    close_fd(loop->epoll_fd);
    close_fd(loop->event_fd);
    close_fd(loop->timer_fd);
    g_array_free(loop->posts, TRUE);
    if (loop->spare) {
        g_array_free(loop->spare, TRUE);
    }
    pthread_mutex_destroy(&loop->mutex);
    pthread_cond_destroy(&loop->kicked);
    if (current == loop) {
        current = NULL;
    }
    g_free(loop->local);
    g_free(loop->name);
    g_free(loop);
}

const char *io_loop_name(const IoLoop *loop)
{
    return loop->name;
}

IoLoop *io_loop_main(void)
{
    IoLoop *loop = __atomic_load_n(&main_loop, __ATOMIC_ACQUIRE);
    g_autoptr(GError) err = NULL;

    if (!loop) {
        loop = io_loop_new("main", &err);
        if (!loop) {
            fprintf(stderr, "roost: %s\n", err->message);
            exit(EXIT_FAILURE);
        }
        current = current ? current : loop;
        __atomic_store_n(&main_loop, loop, __ATOMIC_RELEASE);
    }
    return loop;
}

IoLoop *io_loop_current(void)
{
    return current;
}

void **io_loop_slot(IoLoop *loop, IoSlot slot, void (*free)(void *object))
{
    loop->slots[slot].free = free;
    return &loop->slots[slot].object;
}

void io_loop_add_hook(IoLoop *loop, IoHook *hook)
{
    hook->next = loop->hooks;
    loop->hooks = hook;
}

void io_loop_remove_hook(IoLoop *loop, IoHook *hook)
{
    IoHook **link = &loop->hooks;

    while (*link && *link != hook) {
        link = &(*link)->next;
    }
    if (*link) {
        *link = hook->next;
    }
}

bool io_loop_set_waiter(IoLoop *loop, const IoWaiter *waiter)
{
    if (waiter && (loop->source || loop->waiter)) {
        return false;
    }
    loop->waiter = waiter;
    return true;
}

/* ---- posts and wakes ---- */

static void wake_sleeper(IoLoop *loop)
{
    uint64_t one = 1;

    if (__atomic_load_n(&loop->sleeping, __ATOMIC_SEQ_CST) && __atomic_exchange_n(&loop->sleeping, false, __ATOMIC_SEQ_CST)) {
        ssize_t written = write(loop->event_fd, &one, sizeof one);
        (void)written;                     /* fails only when the counter is full, and then it is readable anyway */
    }
}

static void post(IoLoop *loop, Post item)
{
    pthread_mutex_lock(&loop->mutex);
    g_array_append_val(loop->posts, item);
    __atomic_store_n(&loop->has_posts, true, __ATOMIC_SEQ_CST);
    wake_sleeper(loop);                    /* before the mutex is free: what was posted may be the loop's end */
    pthread_mutex_unlock(&loop->mutex);
}

void io_loop_kick(IoLoop *loop)
{
    wake_sleeper(loop);
}

void io_loop_post(IoLoop *loop, void (*call)(void *opaque), void *opaque)
{
    post(loop, (Post){ call, opaque });
}

static void local_grow(IoLoop *loop)
{
    size_t room = MAX(loop->local_room * 2, 64);
    Post *ring = g_new(Post, room);

    for (size_t i = 0; i < loop->local_count; i++) {
        ring[i] = loop->local[(loop->local_at + i) % loop->local_room];
    }
    g_free(loop->local);
    loop->local = ring;
    loop->local_at = 0;
    loop->local_room = room;
}

void io_loop_wake(IoLoop *loop, Coroutine *coroutine)
{
    Post item = { NULL, coroutine };

    if (loop != current) {
        post(loop, item);
        return;
    }
    if (loop->local_count == loop->local_room) {
        local_grow(loop);
    }
    loop->local[(loop->local_at + loop->local_count++) % loop->local_room] = item;
}

static void run_post(Post item)
{
    if (item.call) {
        item.call(item.opaque);
    } else {
        coroutine_enter(item.opaque);
    }
}

/* What a call posts or wakes runs in the next turn: work that goes on by itself does not hang the loop. */
static void run_posts(IoLoop *loop)
{
    GArray *batch;

    if (!__atomic_load_n(&loop->has_posts, __ATOMIC_ACQUIRE)) {
        return;
    }
    pthread_mutex_lock(&loop->mutex);
    batch = loop->posts;
    loop->posts = loop->spare ? loop->spare : g_array_new(FALSE, FALSE, sizeof(Post));
    loop->spare = NULL;
    __atomic_store_n(&loop->has_posts, false, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&loop->mutex);
    for (guint i = 0; i < batch->len; i++) {
        run_post(g_array_index(batch, Post, i));
    }
    g_array_set_size(batch, 0);
    pthread_mutex_lock(&loop->mutex);
    if (!loop->spare) {
        loop->spare = g_steal_pointer(&batch);
    }
    pthread_mutex_unlock(&loop->mutex);
    if (batch) {
        g_array_free(batch, TRUE);
    }
}

static void run_local(IoLoop *loop)
{
    for (size_t left = loop->local_count; left > 0 && loop->local_count > 0; left--) {
        Post item = loop->local[loop->local_at];

        loop->local_at = (loop->local_at + 1) % loop->local_room;
        loop->local_count--;
        run_post(item);
    }
}

/* ---- timers ---- */

static void timer_fd_set(IoLoop *loop)
{
    int64_t deadline = loop->timers ? MAX(loop->timers->deadline, 1) : -1;     /* zero would disarm it */
    struct itimerspec when = { 0 };

    if (deadline == loop->timer_set) {
        return;
    }
    loop->timer_set = deadline;
    if (deadline > 0) {
        when.it_value.tv_sec = deadline / NS_PER_SECOND;
        when.it_value.tv_nsec = deadline % NS_PER_SECOND;
    }
    timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void timer_unlink(IoTimer *timer)
{
    IoTimer **link = &timer->loop->timers;

    if (timer->deadline < 0) {
        return;
    }
    while (*link != timer) {
        link = &(*link)->next;
    }
    *link = timer->next;
    timer->deadline = -1;
}

void io_timer_init(IoTimer *timer, IoLoop *loop, void (*fire)(void *opaque), void *opaque)
{
    *timer = (IoTimer){ .loop = loop, .fire = fire, .opaque = opaque, .deadline = -1 };
}

/* The timerfd is set before the loop waits, since a timer is often cancelled or moved before that. */
void io_timer_arm(IoTimer *timer, int64_t deadline_ns)
{
    IoTimer **link;

    timer_unlink(timer);
    timer->deadline = MAX(deadline_ns, 0);
    for (link = &timer->loop->timers; *link && (*link)->deadline <= timer->deadline; link = &(*link)->next) {
    }
    timer->next = *link;
    *link = timer;
}

void io_timer_cancel(IoTimer *timer)
{
    timer_unlink(timer);
}

static void fire_timers(IoLoop *loop)
{
    int64_t now = loop->timers ? clock_now(CLOCK_STEADY) : 0;

    for (unsigned i = 0; i < TIMER_BUDGET && loop->timers && loop->timers->deadline <= now; i++) {
        IoTimer *timer = loop->timers;

        timer_unlink(timer);
        timer->fire(timer->opaque);
    }
}

/* ---- watches ---- */

static bool watch_control(IoWatch *watch, int operation, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = watch };

    return epoll_ctl(watch->loop->epoll_fd, operation, watch->fd, &event) == 0;
}

/* In the set while its events are not 0: a hang-up would be reported even with none asked for. */
static bool watch_enter(IoWatch *watch, uint32_t events)
{
    if (watch_control(watch, EPOLL_CTL_ADD, events)) {
        return true;
    }
    if (errno == EEXIST && !watch->own_fd) {
        int copy = fcntl(watch->fd, F_DUPFD_CLOEXEC, 0);

        if (copy >= 0) {
            watch->fd = copy;
            watch->own_fd = true;
            return watch_control(watch, EPOLL_CTL_ADD, events);
        }
    }
    return false;
}

static void watch_free(IoWatch *watch)
{
    if (watch->own_fd) {
        close(watch->fd);
    }
    watch->dead = true;
    watch->next_dead = watch->loop->dead;
    watch->loop->dead = watch;
    if (watch->loop->depth == 0) {
        free_dead(watch->loop);
    }
}

IoWatch *io_watch(IoLoop *loop, int fd, uint32_t events, void (*ready)(void *opaque, uint32_t events), void *opaque)
{
    IoWatch *watch = g_new0(IoWatch, 1);

    watch->loop = loop;
    watch->fd = fd;
    watch->ready = ready;
    watch->opaque = opaque;
    if (events && !watch_enter(watch, events)) {
        int error = errno;

        watch_free(watch);
        errno = error;
        return NULL;
    }
    watch->events = events;
    return watch;
}

void io_watch_change(IoWatch *watch, uint32_t events)
{
    if (events == watch->events) {
        return;
    }
    if (!events) {
        watch_control(watch, EPOLL_CTL_DEL, 0);
    } else if (!watch->events) {
        watch_enter(watch, events);
    } else {
        watch_control(watch, EPOLL_CTL_MOD, events);
    }
    watch->events = events;
}

void io_unwatch(IoWatch *watch)
{
    if (watch) {
        io_watch_change(watch, 0);
        watch_free(watch);
    }
}

/* Our own two are watched for edges: each write, and each arming that runs out, is one; nobody reads them. */
static void run_event(IoLoop *loop, const struct epoll_event *event)
{
    IoWatch *watch = event->data.ptr;

    if (event->data.ptr == &loop->timer_fd) {
        loop->timer_set = -1;              /* it has fired: whatever is first now is set anew */
    } else if (event->data.ptr == &loop->event_fd) {
        /* the turn has come, which is all that was wanted */
    } else if (!watch->dead && watch->events) {
        watch->ready(watch->opaque, event->events);
    }
}

/* ---- turns ---- */

static bool hooks_ready(IoLoop *loop)
{
    for (IoHook *hook = loop->hooks; hook; hook = hook->next) {
        if (hook->ready && hook->ready(hook->opaque)) {
            return true;
        }
    }
    return false;
}

/* What comes before a wait: true when there is something to do already, else the loop counts as asleep. */
static bool before_wait(IoLoop *loop)
{
    for (IoHook *hook = loop->hooks, *next; hook; hook = next) {
        next = hook->next;
        if (hook->submit) {
            hook->submit(hook->opaque);
        }
    }
    if (loop->local_count || coroutine_any_ready()) {
        return true;
    }
    timer_fd_set(loop);
    __atomic_store_n(&loop->sleeping, true, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&loop->has_posts, __ATOMIC_SEQ_CST) || hooks_ready(loop);
}

static void after_wait(IoLoop *loop)
{
    if (__atomic_load_n(&loop->sleeping, __ATOMIC_RELAXED)) {
        __atomic_store_n(&loop->sleeping, false, __ATOMIC_SEQ_CST);
    }
}

static void fetch_events(IoLoop *loop, bool may_block)
{
    int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MOST, may_block ? -1 : 0);

    loop->events_at = 0;
    loop->events_count = MAX(count, 0);
    loop->unpolled = 0;
}

/* While there is enough to do, the descriptors are looked at only now and then. */
static void wait_for_events(IoLoop *loop, bool may_block)
{
    bool busy = before_wait(loop);

    loop->events_at = loop->events_count = 0;
    if (loop->waiter && (busy || !may_block)) {
        loop->waiter->submit(loop->waiter->opaque);
    }
    if (busy && ++loop->unpolled < UNPOLLED_MOST) {
        return;
    }
    if (busy || !may_block || !loop->waiter) {
        fetch_events(loop, may_block && !busy);
    } else if (loop->waiter->wait(loop->waiter->opaque, loop->epoll_fd)) {
        fetch_events(loop, false);
    }
}

static void complete_hooks(IoLoop *loop)
{
    for (IoHook *hook = loop->hooks, *next; hook; hook = next) {
        next = hook->next;
        if (hook->ready && hook->ready(hook->opaque)) {
            hook->complete(hook->opaque);
        }
    }
}

void io_loop_turn(IoLoop *loop, bool may_block)
{
    IoLoop *outer = current;

    coroutine_run_ready();
    current = loop;
    loop->depth++;
    wait_for_events(loop, may_block);
    after_wait(loop);
    complete_hooks(loop);
    while (loop->events_at < loop->events_count) {
        run_event(loop, &loop->events[loop->events_at++]);
    }
    fire_timers(loop);
    run_posts(loop);
    run_local(loop);
    coroutine_run_ready();
    if (--loop->depth == 0) {
        free_dead(loop);
    }
    current = outer;
}

/* ---- the main loop as a source of the GMainContext ---- */

typedef struct LoopSource { GSource source; IoLoop *loop; gpointer tag; } LoopSource;

static gboolean source_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return before_wait(((LoopSource *)source)->loop);
}

static gboolean source_check(GSource *source)
{
    LoopSource *this = (LoopSource *)source;
    IoLoop *loop = this->loop;

    after_wait(loop);
    return g_source_query_unix_fd(source, this->tag) != 0 || loop->local_count || coroutine_any_ready() ||
           __atomic_load_n(&loop->has_posts, __ATOMIC_ACQUIRE) || hooks_ready(loop);
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback G_GNUC_UNUSED, gpointer opaque G_GNUC_UNUSED)
{
    io_loop_turn(((LoopSource *)source)->loop, false);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_functions = { .prepare = source_prepare, .check = source_check, .dispatch = source_dispatch };

void io_loop_attach_main(void)
{
    IoLoop *loop = io_loop_main();

    g_assert(!loop->waiter);               /* no engine yet: it would wait in its own way */
    LoopSource *source = (LoopSource *)g_source_new(&source_functions, sizeof(LoopSource));

    source->loop = loop;
    source->tag = g_source_add_unix_fd(&source->source, loop->epoll_fd, G_IO_IN);
    g_source_set_name(&source->source, "I/O loop");
    g_source_attach(&source->source, NULL);
    loop->source = &source->source;
    current = loop;
}

/* ---- threads ---- */

static void *thread_main(void *opaque)
{
    IoLoop *loop = opaque;
    g_autofree char *name = g_strndup(loop->name, 15);

    pthread_setname_np(pthread_self(), name);
    __atomic_store_n(&loop->thread_id, gettid(), __ATOMIC_RELAXED);
    current = loop;
    while (!__atomic_load_n(&loop->stop, __ATOMIC_ACQUIRE)) {
        io_loop_turn(loop, true);
    }
    current = NULL;
    return NULL;
}

/* A signal is for the main thread: this one starts with all of them blocked. */
int io_loop_thread_id(const IoLoop *loop)
{
    return __atomic_load_n(&loop->thread_id, __ATOMIC_RELAXED);
}

bool io_loop_start_thread(IoLoop *loop, GError **err)
{
    sigset_t all, old;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    loop->threaded = true;
    failed = pthread_create(&loop->thread, NULL, thread_main, loop);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        loop->threaded = false;
        return fail(err, failed, "the host starts no thread for the I/O loop '%s': %s", loop->name, g_strerror(failed));
    }
    return true;
}

static void stop_thread(void *opaque)
{
    __atomic_store_n(&((IoLoop *)opaque)->stop, true, __ATOMIC_RELEASE);
}

void io_loop_stop_thread(IoLoop *loop)
{
    io_loop_post(loop, stop_thread, loop);
    pthread_join(loop->thread, NULL);
    loop->threaded = false;
    loop->stop = false;
}

/* ---- waiting from outside ---- */

void io_loop_kick_waiters(IoLoop *loop)
{
    LOCK_SCOPE(&loop->mutex);
    pthread_cond_broadcast(&loop->kicked);
}

void io_loop_wait(IoLoop *loop, const bool *done)
{
    if (loop->threaded && current != loop) {
        LOCK_SCOPE(&loop->mutex);
        while (!__atomic_load_n(done, __ATOMIC_ACQUIRE)) {
            pthread_cond_wait(&loop->kicked, &loop->mutex);
        }
        return;
    }
    while (!__atomic_load_n(done, __ATOMIC_ACQUIRE)) {
        io_loop_turn(loop, true);
    }
}

typedef struct Job {
    IoLoop *loop;
    int (*entry)(void *opaque);
    void *opaque;
    int result;
    bool done;
} Job;

static void job_main(void *opaque)
{
    Job *job = opaque;
    IoLoop *loop = job->loop;

    job->result = job->entry(job->opaque);
    __atomic_store_n(&job->done, true, __ATOMIC_RELEASE);
    if (loop->threaded) {
        io_loop_kick_waiters(loop);        /* the job may be gone: its waiter looks by itself */
    }
}

static void job_start(void *opaque)
{
    Job *job = opaque;
    Coroutine *coroutine = coroutine_new(job_main, job);

    if (coroutine) {
        coroutine_enter(coroutine);
        return;
    }
    job->result = -ENOMEM;
    __atomic_store_n(&job->done, true, __ATOMIC_RELEASE);
    io_loop_kick_waiters(job->loop);
}

int io_loop_run(IoLoop *loop, int (*entry)(void *opaque), void *opaque)
{
    Job job = { .loop = loop, .entry = entry, .opaque = opaque };
    IoLoop *outer = current;

    if (loop->threaded && current != loop) {
        io_loop_post(loop, job_start, &job);
        io_loop_wait(loop, &job.done);
        return job.result;
    }
    coroutine_run_ready();
    current = loop;
    job_start(&job);
    io_loop_wait(loop, &job.done);
    current = outer;
    return job.result;
}

/* ---- coroutines ---- */

static void enter_coroutine(void *opaque)
{
    coroutine_enter(opaque);
}

void co_sleep(int64_t nanoseconds)
{
    IoTimer timer;

    io_timer_init(&timer, current, enter_coroutine, coroutine_self());
    io_timer_arm(&timer, clock_now(CLOCK_STEADY) + MAX(nanoseconds, 0));
    coroutine_yield();
}

void co_yield_turn(void)
{
    io_loop_wake(current, coroutine_self());
    coroutine_yield();
}

typedef struct FdWait { Coroutine *coroutine; IoWatch *watch; uint32_t events; } FdWait;

static void fd_is_ready(void *opaque, uint32_t events)
{
    FdWait *wait = opaque;

    wait->events = events;
    io_unwatch(wait->watch);
    coroutine_enter(wait->coroutine);
}

/* What epoll does not take (a regular file) is always ready. */
uint32_t co_wait_fd(int fd, uint32_t events)
{
    FdWait wait = { .coroutine = coroutine_self() };

    wait.watch = io_watch(current, fd, events, fd_is_ready, &wait);
    if (!wait.watch) {
        return errno == EPERM ? events : EPOLLERR;
    }
    coroutine_yield();
    return wait.events;
}

typedef struct WorkWait { IoLoop *loop; Coroutine *coroutine; int (*work)(void *opaque); void *opaque; int result; } WorkWait;

static void work_on_worker(void *opaque)
{
    WorkWait *wait = opaque;

    wait->result = wait->work(wait->opaque);
    io_loop_wake(wait->loop, wait->coroutine);             /* the last use: it lies on the coroutine's stack */
}

int co_work(int (*work)(void *opaque), void *opaque)
{
    WorkWait wait = { current, coroutine_self(), work, opaque, 0 };

    worker_submit(work_on_worker, NULL, &wait);
    coroutine_yield();
    return wait.result;
}
