/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock.c - the machine lock
 *
 * A plain mutex lets a vCPU that exits in a tight loop take the lock again and again before a sleeping waiter gets
 * to run. So whoever finds others waiting queues behind them on `queue`, and holds it only until the lock is his:
 * the thread that just let go stands behind the one that waited.
 *
 * Threads  any
 * Tests    tests/unit/lock.c
 */
#include "base/lock.h"
#include <glib.h>

static pthread_mutex_t machine_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t queue = PTHREAD_MUTEX_INITIALIZER;
static unsigned waiting;
static __thread bool held;

void machine_lock(void)
{
    g_assert(!held);
    if (__atomic_load_n(&waiting, __ATOMIC_RELAXED) != 0 || pthread_mutex_trylock(&machine_mutex) != 0) {
        __atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
        pthread_mutex_lock(&queue);
        pthread_mutex_lock(&machine_mutex);
        pthread_mutex_unlock(&queue);
        __atomic_sub_fetch(&waiting, 1, __ATOMIC_RELAXED);
    }
    held = true;
}

void machine_unlock(void)
{
    g_assert(held);
    held = false;
    pthread_mutex_unlock(&machine_mutex);
}

bool machine_lock_held(void)
{
    return held;
}
