/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lock.c - the machine lock excludes, is fair, and scopes let go */
#include "base/lock.h"
#include <glib.h>

enum { THREADS = 4, ROUNDS = 20000 };
static unsigned count;

static void *add(void *opaque G_GNUC_UNUSED)
{
    for (int i = 0; i < ROUNDS; i++) {
        machine_lock();
        g_assert_true(machine_lock_held());
        count++;
        machine_unlock();
        g_assert_false(machine_lock_held());
    }
    return NULL;
}

static void excludes(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, add, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    g_assert_cmpuint(count, ==, THREADS * ROUNDS);
}

static bool stop;

static void *hog(void *opaque G_GNUC_UNUSED)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        machine_lock();
        for (volatile int i = 0; i < 20000; i++) {
        }
        machine_unlock();
    }
    return NULL;
}

/* Two threads that take the lock again as soon as they let go: a third still gets its turn, again and again. */
static void fair(void)
{
    pthread_t hogs[2];
    gint64 begin = g_get_monotonic_time();

    for (int i = 0; i < 2; i++) {
        pthread_create(&hogs[i], NULL, hog, NULL);
    }
    for (int i = 0; i < 200; i++) {
        machine_lock();
        machine_unlock();
    }
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 20 * G_USEC_PER_SEC);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        pthread_join(hogs[i], NULL);
    }
}

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;

static void check_free(pthread_mutex_t *mutex, bool expected)
{
    bool got = pthread_mutex_trylock(mutex) == 0;

    if (got) {
        pthread_mutex_unlock(mutex);
    }
    g_assert_true(got == expected);
}

static void leave_early(void)
{
    LOCK_SCOPE(&first);
    LOCK_SCOPE(&second);                   /* two in one function have two names */

    check_free(&first, false);
    check_free(&second, false);
}

static void scopes(void)
{
    leave_early();
    check_free(&first, true);
    check_free(&second, true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lock/excludes", excludes);
    g_test_add_func("/lock/fair", fair);
    g_test_add_func("/lock/scopes", scopes);
    return g_test_run();
}
