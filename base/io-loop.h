/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-loop.h - a thread's loop for storage: descriptors, timers, posted calls, and coroutines that wait for them
 *
 * Three threads turn such a loop. The main thread's (io_loop_main) is a descriptor among others of the GMainContext once
 * io_loop_attach_main() was called, and its callbacks run with the machine lock held. An I/O thread (-object iothread) turns
 * its own, without any lock, and never takes the machine lock: what needs it is sent by loop_post(). A tool (roost img) turns
 * one until its work is done. A loop is never turned inside its own callbacks, except by io_loop_run() and io_loop_wait() on
 * the main thread, which turn this loop only: no monitor command runs inside them.
 *
 * Functions are for the loop's own thread unless they say "any thread". "The loop's own thread" of the main loop is the main
 * thread alone: a vCPU that holds the machine lock posts.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/coroutine.h"

typedef struct IoLoop IoLoop;

IoLoop *io_loop_new(const char *name, GError **err);
void io_loop_free(IoLoop *loop);           /* nothing may be pending; a thread is stopped first */
const char *io_loop_name(const IoLoop *loop);
IoLoop *io_loop_main(void);                /* made by its first caller, the main thread; any thread later. Ends the process by a
                                            * sentence when the host has no descriptors for it */
void io_loop_attach_main(void);            /* after loop_init() and clocks_attach() */
IoLoop *io_loop_current(void);             /* of the calling thread: the one it turns; the main thread: io_loop_main(), or the one inside
                                            * io_loop_run(). NULL on vCPU and worker threads */
bool io_loop_start_thread(IoLoop *loop, GError **err);     /* an I/O thread; any thread */
int io_loop_thread_id(const IoLoop *loop); /* Linux's, once its thread runs; 0 before. Any thread */
void io_loop_stop_thread(IoLoop *loop);    /* any other thread; waits for it */

/* One turn: posted calls, ready descriptors, due timers; before it waits, the engines hand over what they gathered. */
void io_loop_turn(IoLoop *loop, bool may_block);
/* Turns the loop until *done; main thread or a tool's thread, outside of coroutines. When the loop has a thread of its own, sleeps
 * until that thread has set *done and called io_loop_kick_waiters(). */
void io_loop_wait(IoLoop *loop, const bool *done);
void io_loop_kick_waiters(IoLoop *loop);
/* Runs entry(opaque) as a coroutine on the loop and waits for its end; what it returned. -ENOMEM without a stack. Same callers. */
int io_loop_run(IoLoop *loop, int (*entry)(void *opaque), void *opaque);

void io_loop_post(IoLoop *loop, void (*call)(void *opaque), void *opaque);     /* any thread; FIFO; runs in a later turn */
void io_loop_wake(IoLoop *loop, Coroutine *coroutine);     /* any thread: enters it in a turn of its loop */

typedef struct IoWatch IoWatch;
/* events as in epoll(7), level triggered. NULL and errno when the kernel takes no such descriptor (EPERM: a regular file). */
IoWatch *io_watch(IoLoop *loop, int fd, uint32_t events, void (*ready)(void *opaque, uint32_t events), void *opaque);
void io_watch_change(IoWatch *watch, uint32_t events);     /* 0 pauses */
void io_unwatch(IoWatch *watch);           /* NULL is ignored; allowed inside its own callback */

/* Embedded in the owner; CLOCK_STEADY's nanoseconds. */
typedef struct IoTimer {
    IoLoop *loop;
    void (*fire)(void *opaque);
    void *opaque;
    int64_t deadline;                      /* -1 not armed */
    struct IoTimer *next;
} IoTimer;
void io_timer_init(IoTimer *timer, IoLoop *loop, void (*fire)(void *opaque), void *opaque);
void io_timer_arm(IoTimer *timer, int64_t deadline_ns);
void io_timer_cancel(IoTimer *timer);

/* An asynchronous engine (block/aio) of this loop. submit() is called at the end of each turn, before the wait: what was gathered
 * is handed over. The others may be NULL: ready() looks, without a system call, whether something is done; complete() then enters
 * who waits for it. Between two turns of an idle loop another thread that makes ready() true calls io_loop_kick(). */
typedef struct IoHook {
    void (*submit)(void *opaque);
    bool (*ready)(void *opaque);
    void (*complete)(void *opaque);
    void *opaque;
    struct IoHook *next;
} IoHook;
void io_loop_add_hook(IoLoop *loop, IoHook *hook);
void io_loop_remove_hook(IoLoop *loop, IoHook *hook);
void io_loop_kick(IoLoop *loop);           /* any thread: ends its wait, if it waits */
/* Instead of the wait in epoll: hands over what was gathered and waits, in one system call, until something is done or the loop's
 * epoll descriptor is ready; true when that is so. One for each loop, of those that no GMainContext turns; NULL takes it away. */
typedef struct IoWaiter {
    void (*submit)(void *opaque);          /* in a turn that has no time to wait */
    bool (*wait)(void *opaque, int epoll_fd);
    void *opaque;
} IoWaiter;
bool io_loop_set_waiter(IoLoop *loop, const IoWaiter *waiter);         /* false: the loop cannot have one (now) */
/* A place for each engine's own object, found again by every file on this loop; freed with the loop. */
typedef enum { IO_SLOT_URING, IO_SLOT_LIBAIO, IO_SLOT_THREADS, IO_SLOTS } IoSlot;
void **io_loop_slot(IoLoop *loop, IoSlot slot, void (*free)(void *object));

/* Inside a coroutine on its loop's thread: each yields and comes back. */
void co_sleep(int64_t nanoseconds);
void co_yield_turn(void);                  /* lets the loop turn once: for long work that is fair */
uint32_t co_wait_fd(int fd, uint32_t events);              /* what is ready */
int co_work(int (*work)(void *opaque), void *opaque);      /* runs on a worker thread, meanwhile the loop goes on; its result */
