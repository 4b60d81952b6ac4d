/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock.h - the machine lock, and locks held for a scope
 *
 * The machine lock guards all device models. The main loop holds it while it dispatches
 * (dropped in poll); a vCPU takes it to dispatch an exit. It is not recursive.
 * Order of all locks: docs/threads.md.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>

void machine_lock(void);
void machine_unlock(void);
bool machine_lock_held(void);              /* by the calling thread */

static inline void lock_scope_end_(pthread_mutex_t **mutex) { pthread_mutex_unlock(*mutex); }
static inline pthread_mutex_t *lock_scope_begin_(pthread_mutex_t *mutex) { pthread_mutex_lock(mutex); return mutex; }
#define LOCK_SCOPE_NAME_(line) lock_scope_##line
#define LOCK_SCOPE_AT_(mutex, line)                                                                             \
    __attribute__((cleanup(lock_scope_end_), unused)) pthread_mutex_t *LOCK_SCOPE_NAME_(line) = lock_scope_begin_(mutex)
#define LOCK_SCOPE(mutex) LOCK_SCOPE_AT_(mutex, __LINE__)
