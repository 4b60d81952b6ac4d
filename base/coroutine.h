/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * coroutine.h - functions that wait by yielding
 *
 * A coroutine runs on a stack of its own until it yields, and goes on when somebody enters it again. It stays on the
 * thread that entered it first; coroutines may enter other coroutines, a yield goes back to whoever entered.
 */
#pragma once
#include <stdbool.h>

typedef struct Coroutine Coroutine;

/* Made but not started; the first coroutine_enter() calls entry(opaque). When entry returns, the coroutine is gone.
 * One that is never entered leaks. NULL: the host has no memory for its stack (1 MiB of address space). */
Coroutine *coroutine_new(void (*entry)(void *opaque), void *opaque);
/* Runs it until it yields or ends. Never one that is running already. */
void coroutine_enter(Coroutine *coroutine);
void coroutine_yield(void);                /* inside a coroutine only */
Coroutine *coroutine_self(void);           /* NULL outside of all */

/* For what wakes a coroutine of the calling thread while another one may be running: it is entered once control is back at the
 * thread itself. The loop (io-loop.h) runs what became ready outside of coroutines. */
void coroutine_ready(Coroutine *coroutine);
bool coroutine_any_ready(void);
void coroutine_run_ready(void);            /* outside of all coroutines */

/* Who waits for something, first come first served. Coroutines of one thread only; all zero is ready for use. */
typedef struct CoWaiter CoWaiter;
typedef struct CoQueue { CoWaiter *first, *last; } CoQueue;

/* Not recursive. The unlocker hands it to the first waiter and goes on; that one runs when the loop (io-loop.h) turns or at
 * the unlocker's next yield. All zero is unlocked. */
typedef struct CoMutex { Coroutine *owner; CoQueue waiters; } CoMutex;
void co_lock(CoMutex *mutex);
void co_unlock(CoMutex *mutex);
static inline bool co_locked(const CoMutex *mutex) { return mutex->owner != 0; }

/* Waits; mutex (may be NULL) is unlocked meanwhile. Wake returns false when nobody waited. */
void co_queue_wait(CoQueue *queue, CoMutex *mutex);
bool co_queue_wake(CoQueue *queue);
void co_queue_wake_all(CoQueue *queue);
static inline bool co_queue_is_empty(const CoQueue *queue) { return queue->first == 0; }

/* Many readers or one writer; a waiting writer stops new readers. All zero is unlocked. */
typedef struct CoRwlock { unsigned readers; bool writer; CoQueue waiting_writers, waiting_readers; } CoRwlock;
void co_read_lock(CoRwlock *lock);
void co_read_unlock(CoRwlock *lock);
void co_write_lock(CoRwlock *lock);
void co_write_unlock(CoRwlock *lock);

static inline void co_scope_end_(CoMutex **mutex) { co_unlock(*mutex); }
static inline CoMutex *co_scope_begin_(CoMutex *mutex) { co_lock(mutex); return mutex; }
#define CO_SCOPE_NAME_(line) co_scope_##line
#define CO_SCOPE_AT_(mutex, line) \
    __attribute__((cleanup(co_scope_end_), unused)) CoMutex *CO_SCOPE_NAME_(line) = co_scope_begin_(mutex)
#define CO_SCOPE(mutex) CO_SCOPE_AT_(mutex, __LINE__)
