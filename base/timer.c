/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timer.c - three clocks, and a sorted list of timers on each
 *
 * Guest and steady timers share a timerfd on CLOCK_MONOTONIC; wall-clock timers have one on CLOCK_REALTIME, so that
 * the kernel moves them when somebody sets the host's clock. The fds are set anew only when the earliest deadline of
 * theirs changes, which wakes the main loop from any thread.
 *
 * Threads  any; `mutex` guards the lists and is never held while a timer fires. Guest time is read without a lock.
 * Tests    tests/unit/timer.c
 */
#include "base/timer.h"
#include "base/error.h"
#include "base/lock.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Timers that one turn of the main loop, or one instant of a manual clock, may fire: a timer that a guest keeps
 * due forever must not starve everything else. */
#define TURN_BUDGET    256
#define INSTANT_BUDGET 100000

typedef enum { FD_MONOTONIC, FD_REALTIME, FD_KINDS } FdKind;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Timer *lists[CLOCK_KINDS];
static int fds[FD_KINDS] = { -1, -1 };
static int64_t fd_deadlines[FD_KINDS] = { -1, -1 };        /* what each fd is set to; -1: disarmed */

/* Guest time is guest_frozen when that is not negative, else the monotonic clock plus guest_offset. */
static int64_t guest_frozen;
static int64_t guest_offset;
static bool guest_manual;

static int64_t host_clock(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

int64_t clock_now(ClockKind clock)
{
    int64_t frozen;

    switch (clock) {
    case CLOCK_HOST:
        return host_clock(CLOCK_REALTIME);
    case CLOCK_STEADY:
        return host_clock(CLOCK_MONOTONIC);
    default:
        frozen = __atomic_load_n(&guest_frozen, __ATOMIC_ACQUIRE);
        return frozen >= 0 ? frozen : host_clock(CLOCK_MONOTONIC) + __atomic_load_n(&guest_offset, __ATOMIC_RELAXED);
    }
}

static bool clock_runs(ClockKind clock)
{
    return clock != CLOCK_GUEST || __atomic_load_n(&guest_frozen, __ATOMIC_RELAXED) < 0;
}

static int64_t list_deadline(ClockKind clock)
{
    return lists[clock] ? lists[clock]->deadline : -1;
}

/* The earlier of two deadlines, either of which may be -1 for none. */
static int64_t earlier(int64_t a, int64_t b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

static int64_t guest_to_steady(int64_t deadline)
{
    int64_t steady;

    if (deadline < 0) {
        return -1;
    }
    if (__builtin_sub_overflow(deadline, guest_offset, &steady)) {
        steady = INT64_MAX;
    }
    return MAX(steady, 0);
}

static void fd_set_deadline(FdKind kind, int64_t deadline)
{
    struct itimerspec when = { 0 };

    if (fds[kind] < 0 || fd_deadlines[kind] == deadline) {
        return;
    }
    fd_deadlines[kind] = deadline;
    if (deadline >= 0) {
        deadline = MAX(deadline, 1);       /* zero would disarm the fd */
        when.it_value.tv_sec = deadline / NS_PER_SECOND;
        when.it_value.tv_nsec = deadline % NS_PER_SECOND;
    }
    timerfd_settime(fds[kind], TFD_TIMER_ABSTIME, &when, NULL);
}

/* Mutex held. */
static void fds_update(void)
{
    int64_t guest = clock_runs(CLOCK_GUEST) ? guest_to_steady(list_deadline(CLOCK_GUEST)) : -1;

    fd_set_deadline(FD_MONOTONIC, earlier(guest, list_deadline(CLOCK_STEADY)));
    fd_set_deadline(FD_REALTIME, list_deadline(CLOCK_HOST));
}

static void set_deadline(Timer *timer, int64_t deadline)
{
    __atomic_store_n(&timer->deadline, deadline, __ATOMIC_RELAXED);
}

/* Mutex held. */
static void list_remove(Timer *timer)
{
    Timer **link = &lists[timer->clock];

    if (timer->deadline < 0) {
        return;
    }
    while (*link != timer) {
        link = &(*link)->next;
    }
    *link = timer->next;
    timer->next = NULL;
    set_deadline(timer, -1);
}

void timer_init(Timer *timer, ClockKind clock, TimerFire *fire, void *opaque)
{
    *timer = (Timer){ .fire = fire, .opaque = opaque, .clock = clock, .deadline = -1 };
}

void timer_arm(Timer *timer, int64_t deadline_ns)
{
    LOCK_SCOPE(&mutex);
    Timer **link = &lists[timer->clock];

    list_remove(timer);
    deadline_ns = MAX(deadline_ns, 0);
    while (*link && (*link)->deadline <= deadline_ns) {    /* equal deadlines fire in the order of arming */
        link = &(*link)->next;
    }
    set_deadline(timer, deadline_ns);
    timer->next = *link;
    *link = timer;
    fds_update();
}

void timer_cancel(Timer *timer)
{
    LOCK_SCOPE(&mutex);

    list_remove(timer);
    fds_update();
}

int64_t clock_next_deadline(ClockKind clock)
{
    LOCK_SCOPE(&mutex);

    return list_deadline(clock);
}

/* Unlinks the first timer of a clock that is due at `now`; NULL when there is none. */
static Timer *take_due(ClockKind clock, int64_t now, TimerFire **fire, void **opaque)
{
    LOCK_SCOPE(&mutex);
    Timer *timer = lists[clock];

    if (!timer || timer->deadline > now) {
        return NULL;
    }
    list_remove(timer);
    *fire = timer->fire;
    *opaque = timer->opaque;
    return timer;
}

static void fire_due(ClockKind clock)
{
    int64_t now = clock_now(clock);
    TimerFire *fire;
    void *opaque;

    for (int i = 0; i < TURN_BUDGET && clock_runs(clock) && take_due(clock, now, &fire, &opaque); i++) {
        fire(opaque);
    }
}

static gboolean fd_ready(gint fd, GIOCondition condition G_GNUC_UNUSED, gpointer opaque)
{
    FdKind kind = (FdKind)GPOINTER_TO_INT(opaque);
    uint64_t expirations;
    ssize_t got;

    do {
        got = read(fd, &expirations, sizeof expirations);
    } while (got < 0 && errno == EINTR);
    pthread_mutex_lock(&mutex);
    fd_deadlines[kind] = -1;               /* it has expired: whatever comes next has to be set */
    pthread_mutex_unlock(&mutex);
    if (kind == FD_MONOTONIC) {
        fire_due(CLOCK_GUEST);
        fire_due(CLOCK_STEADY);
    } else {
        fire_due(CLOCK_HOST);
    }
    pthread_mutex_lock(&mutex);
    fds_update();
    pthread_mutex_unlock(&mutex);
    return G_SOURCE_CONTINUE;
}

void clocks_attach(void)
{
    static const clockid_t ids[FD_KINDS] = { CLOCK_MONOTONIC, CLOCK_REALTIME };

    for (int kind = 0; kind < FD_KINDS; kind++) {
        int fd = timerfd_create(ids[kind], TFD_NONBLOCK | TFD_CLOEXEC);

        if (fd < 0) {
            g_error("cannot create a timer on the host: %s", g_strerror(errno));
        }
        g_unix_fd_add(fd, G_IO_IN, fd_ready, GINT_TO_POINTER(kind));
        pthread_mutex_lock(&mutex);
        fds[kind] = fd;
        pthread_mutex_unlock(&mutex);
    }
    LOCK_SCOPE(&mutex);
    fds_update();
}

/* Mutex held. Readers without the lock see the offset before they see that the clock runs. */
static void guest_set_running(int64_t now)
{
    __atomic_store_n(&guest_offset, now - host_clock(CLOCK_MONOTONIC), __ATOMIC_RELAXED);
    __atomic_store_n(&guest_frozen, -1, __ATOMIC_RELEASE);
}

static void guest_set_frozen(int64_t now)
{
    __atomic_store_n(&guest_frozen, now, __ATOMIC_RELEASE);
}

void guest_clock_run(bool run)
{
    LOCK_SCOPE(&mutex);

    if (guest_manual || run == clock_runs(CLOCK_GUEST)) {
        return;
    }
    if (run) {
        guest_set_running(guest_frozen);
    } else {
        guest_set_frozen(MAX(clock_now(CLOCK_GUEST), 0));
    }
    fds_update();
}

void guest_clock_set(int64_t now_ns)
{
    LOCK_SCOPE(&mutex);

    now_ns = MAX(now_ns, 0);
    if (clock_runs(CLOCK_GUEST)) {
        guest_set_running(now_ns);
    } else {
        guest_set_frozen(now_ns);
    }
    fds_update();
}

void guest_clock_manual(void)
{
    LOCK_SCOPE(&mutex);

    guest_manual = true;
    guest_set_frozen(MAX(clock_now(CLOCK_GUEST), 0));
    fds_update();
}

void guest_clock_step_to(int64_t now_ns)
{
    unsigned fired = 0;

    for (;;) {
        int64_t deadline = clock_next_deadline(CLOCK_GUEST);
        int64_t now = clock_now(CLOCK_GUEST);
        TimerFire *fire;
        void *opaque;

        if (deadline < 0 || deadline > now_ns || fired >= INSTANT_BUDGET) {
            break;
        }
        if (deadline > now) {
            guest_clock_set(deadline);
            fired = 0;
        }
        if (take_due(CLOCK_GUEST, deadline, &fire, &opaque)) {
            fire(opaque);
            fired++;
        }
    }
    guest_clock_set(MAX(now_ns, clock_now(CLOCK_GUEST)));
}
