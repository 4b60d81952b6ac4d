/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timer.h - clocks in nanoseconds and the timers that hang on them
 *
 * Clocks: CLOCK_GUEST stands still while the machine is paused (and is turned by hand on a
 * rig or under qtest); CLOCK_HOST is wall time; CLOCK_STEADY is the host's monotonic time.
 * Timers fire on the main loop, off one timerfd, with the machine lock held.
 * Locking: every function may be called from any thread; a timer must not be freed while armed.
 * A callback may arm or cancel any timer, its own included.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define NS_PER_SECOND INT64_C(1000000000)
#define NS_PER_MS     INT64_C(1000000)
#define NS_PER_US     INT64_C(1000)

typedef enum { CLOCK_GUEST, CLOCK_HOST, CLOCK_STEADY, CLOCK_KINDS } ClockKind;

typedef struct Timer Timer;
typedef void TimerFire(void *opaque);
struct Timer {
    TimerFire *fire;
    void *opaque;
    ClockKind clock;
    int64_t deadline;                      /* ns on its clock; -1 when not armed */
    Timer *next;
};

int64_t clock_now(ClockKind clock);        /* ns; guest: since machine start; host: since 1970 */
void timer_init(Timer *timer, ClockKind clock, TimerFire *fire, void *opaque);
void timer_arm(Timer *timer, int64_t deadline_ns);     /* replaces an earlier deadline; the past means "as soon as possible" */
void timer_cancel(Timer *timer);
static inline bool timer_armed(const Timer *timer) { return __atomic_load_n(&timer->deadline, __ATOMIC_RELAXED) >= 0; }

/* The guest clock: running or stopped, and its value after a restore. */
void guest_clock_run(bool run);
void guest_clock_set(int64_t now_ns);
/* Rig and qtest: the guest clock leaves host time and moves only by guest_clock_step_to(), which fires due timers on
 * the calling thread (machine lock held) in order of deadline, the clock standing at each one's deadline as it fires. */
void guest_clock_manual(void);
void guest_clock_step_to(int64_t now_ns);
int64_t clock_next_deadline(ClockKind clock);          /* ns; -1 when no timer is armed */
void clocks_attach(void);                              /* main loop: creates the timerfd source; call once */
