/* SPDX-License-Identifier: GPL-2.0-or-later */
/* epoch.c - what readers see is never destroyed under them, and goes when they have left */
#include "base/epoch.h"
#include <glib.h>
#include <pthread.h>
#include <stdbool.h>

static void count_destroyed(void *opaque)
{
    __atomic_add_fetch((unsigned *)opaque, 1, __ATOMIC_RELAXED);
}

static unsigned load(unsigned *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static void without_readers(void)
{
    unsigned destroyed = 0;

    epoch_retire(count_destroyed, &destroyed);
    g_assert_cmpuint(load(&destroyed), ==, 1);
}

static void inside(void)
{
    unsigned destroyed = 0;

    epoch_enter();
    epoch_enter();
    epoch_retire(count_destroyed, &destroyed);
    epoch_leave();
    g_assert_cmpuint(load(&destroyed), ==, 0);             /* the outer one still holds it */
    epoch_leave();
    g_assert_cmpuint(load(&destroyed), ==, 1);
}

static void destroy_retires(void *opaque)
{
    epoch_retire(count_destroyed, opaque);
}

static void destroy_may_retire(void)
{
    unsigned destroyed = 0;

    epoch_retire(destroy_retires, &destroyed);
    epoch_synchronize();
    g_assert_cmpuint(load(&destroyed), ==, 1);
}

typedef struct Gate {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int stage;
} Gate;

static void reach(Gate *gate, int stage)
{
    pthread_mutex_lock(&gate->mutex);
    gate->stage = stage;
    pthread_cond_broadcast(&gate->cond);
    pthread_mutex_unlock(&gate->mutex);
}

static void await(Gate *gate, int stage)
{
    pthread_mutex_lock(&gate->mutex);
    while (gate->stage < stage) {
        pthread_cond_wait(&gate->cond, &gate->mutex);
    }
    pthread_mutex_unlock(&gate->mutex);
}

static void *stay(void *opaque)
{
    epoch_enter();
    reach(opaque, 1);
    await(opaque, 2);
    epoch_leave();
    return NULL;
}

static void held_by_another_thread(void)
{
    Gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };
    unsigned destroyed = 0;
    pthread_t thread;

    pthread_create(&thread, NULL, stay, &gate);
    await(&gate, 1);
    epoch_retire(count_destroyed, &destroyed);
    epoch_enter();                         /* a later reader's coming and going changes nothing */
    epoch_leave();
    g_assert_cmpuint(load(&destroyed), ==, 0);
    reach(&gate, 2);
    epoch_synchronize();
    g_assert_cmpuint(load(&destroyed), ==, 1);
    pthread_join(thread, NULL);
}

typedef struct Box { unsigned sum, a, b; } Box;
static Box *published;
static bool stop;
static unsigned live;

static Box *box_new(unsigned n)
{
    Box *box = g_new(Box, 1);

    *box = (Box){ n + 7, n, 7 };
    __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return box;
}

static void box_destroy(void *opaque)
{
    Box *box = opaque;

    box->sum = 0xdead;                     /* a reader that is still there would see it (or a sanitizer sees the reader) */
    g_free(box);
    __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
}

static void *read_boxes(void *opaque G_GNUC_UNUSED)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        epoch_enter();
        for (int i = 0; i < 10; i++) {
            Box *box = __atomic_load_n(&published, __ATOMIC_ACQUIRE);

            g_assert_cmpuint(box->sum, ==, box->a + box->b);
        }
        epoch_leave();
    }
    return NULL;
}

static void *write_boxes(void *opaque G_GNUC_UNUSED)
{
    for (unsigned i = 0; i < 5000; i++) {
        epoch_retire(box_destroy, __atomic_exchange_n(&published, box_new(i), __ATOMIC_ACQ_REL));
    }
    return NULL;
}

static void readers_and_writers(void)
{
    pthread_t readers[3], writers[2];

    published = box_new(0);
    for (int i = 0; i < 3; i++) {
        pthread_create(&readers[i], NULL, read_boxes, NULL);
    }
    for (int i = 0; i < 2; i++) {
        pthread_create(&writers[i], NULL, write_boxes, NULL);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(writers[i], NULL);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) {
        pthread_join(readers[i], NULL);
    }
    epoch_synchronize();
    g_assert_cmpuint(__atomic_load_n(&live, __ATOMIC_RELAXED), ==, 1);     /* none forgotten, none lost */
    g_free(published);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/epoch/without-readers", without_readers);
    g_test_add_func("/epoch/inside", inside);
    g_test_add_func("/epoch/destroy-may-retire", destroy_may_retire);
    g_test_add_func("/epoch/held-by-another-thread", held_by_another_thread);
    g_test_add_func("/epoch/readers-and-writers", readers_and_writers);
    return g_test_run();
}
