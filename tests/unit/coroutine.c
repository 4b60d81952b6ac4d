/* SPDX-License-Identifier: GPL-2.0-or-later */
/* coroutine.c - entering, yielding, nesting, many at once, and what a switch must keep */
#include "base/coroutine.h"
#include <fenv.h>
#include <glib.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

static void append(void *opaque)
{
    GString *order = opaque;

    for (int i = 0; i < 3; i++) {
        g_assert_nonnull(coroutine_self());
        g_string_append_c(order, (char)('a' + i));
        coroutine_yield();
    }
    g_string_append_c(order, 'd');
}

static void alternates(void)
{
    g_autoptr(GString) order = g_string_new(NULL);
    Coroutine *coroutine = coroutine_new(append, order);

    for (int i = 0; i < 4; i++) {
        g_string_append_c(order, '.');
        coroutine_enter(coroutine);
        g_assert_null(coroutine_self());
    }
    g_assert_cmpstr(order->str, ==, ".a.b.c.d");
}

static void inner(void *opaque)
{
    GString *order = opaque;

    g_string_append_c(order, '2');
    coroutine_yield();
    g_string_append_c(order, '4');
}

static void outer(void *opaque)
{
    GString *order = opaque;
    Coroutine *self = coroutine_self(), *nested = coroutine_new(inner, order);

    g_string_append_c(order, '1');
    coroutine_enter(nested);
    g_assert_true(coroutine_self() == self);
    g_string_append_c(order, '3');
    coroutine_yield();
    coroutine_enter(nested);
    g_string_append_c(order, '5');
}

static void nests(void)
{
    g_autoptr(GString) order = g_string_new(NULL);
    Coroutine *coroutine = coroutine_new(outer, order);

    coroutine_enter(coroutine);
    g_assert_cmpstr(order->str, ==, "123");
    coroutine_enter(coroutine);
    g_assert_cmpstr(order->str, ==, "12345");
}

static void rounds_up(void *opaque)
{
    double *result = opaque;
    volatile double one = 1, three = 3;

    fesetround(FE_UPWARD);
    coroutine_yield();
    *result = one / three;
    fesetround(FE_TONEAREST);
}

/* The rounding mode belongs to who set it, as a callee must keep it. */
static void keeps_floating_point_control(void)
{
    volatile double one = 1, three = 3;
    double up = 0, nearest = one / three;
    Coroutine *coroutine = coroutine_new(rounds_up, &up);

    coroutine_enter(coroutine);
    g_assert_cmpint(fegetround(), ==, FE_TONEAREST);
    coroutine_enter(coroutine);
    g_assert_cmpfloat(up, >, nearest);
}

static unsigned deep(unsigned depth)
{
    volatile char frame[1000];

    memset((char *)frame, (int)depth, sizeof frame);
    if (depth == 0) {
        coroutine_yield();
        return 0;
    }
    return deep(depth - 1) + ((unsigned char)frame[999] == (depth & 0xff));
}

static void go_deep(void *opaque)
{
    unsigned *depth = opaque;

    *depth = deep(*depth);
}

static void deep_stack(void)
{
    unsigned good = 200;
    Coroutine *coroutine = coroutine_new(go_deep, &good);

    coroutine_enter(coroutine);
    coroutine_enter(coroutine);
    g_assert_cmpuint(good, ==, 200);
}

static void count_twice(void *opaque)
{
    ++*(unsigned *)opaque;
    coroutine_yield();
    ++*(unsigned *)opaque;
}

static void many_at_once(void)
{
    enum { MANY = 200 };
    Coroutine *coroutines[MANY];
    unsigned count = 0;

    for (int round = 0; round < 3; round++) {              /* the later rounds run on pooled stacks */
        for (int i = 0; i < MANY; i++) {
            coroutines[i] = coroutine_new(count_twice, &count);
            coroutine_enter(coroutines[i]);
        }
        for (int i = MANY - 1; i >= 0; i--) {
            coroutine_enter(coroutines[i]);
        }
    }
    g_assert_cmpuint(count, ==, 3 * 2 * MANY);
}

static void *run_on_thread(void *opaque)
{
    for (int i = 0; i < 200; i++) {
        Coroutine *coroutine = coroutine_new(count_twice, opaque);

        coroutine_enter(coroutine);
        coroutine_enter(coroutine);
    }
    return NULL;
}

static void on_threads(void)
{
    pthread_t threads[4];
    unsigned counts[4] = { 0 };

    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, run_on_thread, &counts[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        g_assert_cmpuint(counts[i], ==, 400);
    }
}

/* The guard page turns an overflow into a crash, not into another stack's bytes. */
static void guard_page(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    g_test_skip("a sanitizer reports the overflow in its own way");
#else
    if (g_test_subprocess()) {
        unsigned depth = 1000000;

        coroutine_enter(coroutine_new(go_deep, &depth));
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
#endif
}

/* ---- locks and queues ---- */

typedef struct Shared { CoMutex mutex; CoQueue queue; CoRwlock rwlock; GString *order; char name; } Shared;

static void holds_the_mutex(void *opaque)
{
    Shared *shared = opaque;
    char name = shared->name++;
    CO_SCOPE(&shared->mutex);

    g_string_append_c(shared->order, name);
    co_queue_wait(&shared->queue, NULL);
    g_string_append_c(shared->order, (char)(name - 'a' + 'A'));
}

/* The unlocker goes on; the next owner runs when it yields or ends. */
static void mutex_is_fair(void)
{
    Shared shared = { .order = g_string_new(NULL), .name = 'a' };

    for (int i = 0; i < 3; i++) {
        coroutine_enter(coroutine_new(holds_the_mutex, &shared));
    }
    g_assert_cmpstr(shared.order->str, ==, "a");
    for (int i = 0; i < 3; i++) {
        g_assert_true(co_locked(&shared.mutex));
        g_assert_true(co_queue_wake(&shared.queue));
        coroutine_run_ready();
    }
    g_assert_cmpstr(shared.order->str, ==, "aAbBcC");
    g_assert_false(co_locked(&shared.mutex));
    g_assert_false(co_queue_wake(&shared.queue));
    g_string_free(shared.order, TRUE);
}

static void waits_under_mutex(void *opaque)
{
    Shared *shared = opaque;
    CO_SCOPE(&shared->mutex);

    co_queue_wait(&shared->queue, &shared->mutex);
    g_assert_true(co_locked(&shared->mutex));
    g_string_append_c(shared->order, 'w');
}

static void wakes_all(void *opaque)
{
    Shared *shared = opaque;
    CO_SCOPE(&shared->mutex);

    co_queue_wake_all(&shared->queue);
    g_string_append_c(shared->order, '!');
}

static void queue_drops_the_mutex(void)
{
    Shared shared = { .order = g_string_new(NULL) };

    coroutine_enter(coroutine_new(waits_under_mutex, &shared));
    coroutine_enter(coroutine_new(waits_under_mutex, &shared));
    g_assert_false(co_locked(&shared.mutex));
    coroutine_enter(coroutine_new(wakes_all, &shared));
    g_assert_cmpstr(shared.order->str, ==, "!ww");
    g_string_free(shared.order, TRUE);
}

static void reads(void *opaque)
{
    Shared *shared = opaque;

    co_read_lock(&shared->rwlock);
    g_string_append_c(shared->order, 'r');
    coroutine_yield();
    co_read_unlock(&shared->rwlock);
}

static void writes(void *opaque)
{
    Shared *shared = opaque;

    co_write_lock(&shared->rwlock);
    g_string_append_c(shared->order, 'w');
    coroutine_yield();
    co_write_unlock(&shared->rwlock);
}

/* Two read; a writer waits, and a third reader behind it. */
static void rwlock_lets_writers_in(void)
{
    Shared shared = { .order = g_string_new(NULL) };
    Coroutine *first = coroutine_new(reads, &shared), *second = coroutine_new(reads, &shared);
    Coroutine *writer = coroutine_new(writes, &shared), *third = coroutine_new(reads, &shared);

    coroutine_enter(first);
    coroutine_enter(second);
    coroutine_enter(writer);
    coroutine_enter(third);
    g_assert_cmpstr(shared.order->str, ==, "rr");
    coroutine_enter(first);
    g_assert_cmpstr(shared.order->str, ==, "rr");
    coroutine_enter(second);
    g_assert_cmpstr(shared.order->str, ==, "rrw");
    coroutine_enter(writer);
    g_assert_cmpstr(shared.order->str, ==, "rrwr");
    coroutine_enter(third);
    g_assert_false(shared.rwlock.readers || shared.rwlock.writer);
    g_string_free(shared.order, TRUE);
}

/* Address space for stacks ends before memory does. */
static void no_memory_is_no_coroutine(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    g_test_skip("a sanitizer takes all of the address space");
#else
    enum { MANY = 400 };
    struct rlimit old, small;
    Coroutine *coroutines[MANY];
    unsigned count = 0, made = 0;

    getrlimit(RLIMIT_AS, &old);
    small = (struct rlimit){ (rlim_t)256 << 20, old.rlim_max };
    setrlimit(RLIMIT_AS, &small);
    while (made < MANY && (coroutines[made] = coroutine_new(count_twice, &count))) {
        made++;
    }
    setrlimit(RLIMIT_AS, &old);
    g_assert_cmpuint(made, <, MANY);
    for (unsigned i = 0; i < made; i++) {
        coroutine_enter(coroutines[i]);
        coroutine_enter(coroutines[i]);
    }
    g_assert_cmpuint(count, ==, 2 * made);
#endif
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/coroutine/alternates", alternates);
    g_test_add_func("/coroutine/nests", nests);
    g_test_add_func("/coroutine/keeps-floating-point-control", keeps_floating_point_control);
    g_test_add_func("/coroutine/deep-stack", deep_stack);
    g_test_add_func("/coroutine/many-at-once", many_at_once);
    g_test_add_func("/coroutine/on-threads", on_threads);
    g_test_add_func("/coroutine/guard-page", guard_page);
    g_test_add_func("/coroutine/mutex-is-fair", mutex_is_fair);
    g_test_add_func("/coroutine/queue-drops-the-mutex", queue_drops_the_mutex);
    g_test_add_func("/coroutine/rwlock-lets-writers-in", rwlock_lets_writers_in);
    g_test_add_func("/coroutine/no-memory-is-no-coroutine", no_memory_is_no_coroutine);
    return g_test_run();
}
