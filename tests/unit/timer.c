/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timer.c - the guest clock, and timers on a clock that is turned by hand (on the host's clocks: loop.c) */
#include "base/timer.h"
#include <glib.h>
#include <pthread.h>
#include <unistd.h>

static GString *order;
static int64_t fired_at;

typedef struct Named {
    Timer timer;
    char name;
} Named;

static void note(void *opaque)
{
    Named *named = opaque;

    g_string_append_c(order, named->name);
    fired_at = clock_now(CLOCK_GUEST);
}

static void named_init(Named *named, char name)
{
    named->name = name;
    timer_init(&named->timer, CLOCK_GUEST, note, named);
}

/* First of all: the clock before anybody turns it by hand. */
static void guest_clock_follows_the_host(void)
{
    int64_t before;

    g_assert_cmpint(clock_now(CLOCK_GUEST), ==, 0);        /* it stands until the machine runs */
    guest_clock_run(true);
    before = clock_now(CLOCK_GUEST);
    usleep(2000);
    g_assert_cmpint(clock_now(CLOCK_GUEST), >=, before + 2 * NS_PER_MS);
    guest_clock_set(NS_PER_SECOND * 1000);
    g_assert_cmpint(clock_now(CLOCK_GUEST), >=, NS_PER_SECOND * 1000);
    guest_clock_run(false);
    before = clock_now(CLOCK_GUEST);
    usleep(2000);
    g_assert_cmpint(clock_now(CLOCK_GUEST), ==, before);
    guest_clock_run(true);
    g_assert_cmpint(clock_now(CLOCK_GUEST), <, before + NS_PER_SECOND * 10);
    guest_clock_run(false);
    guest_clock_set(5);
    g_assert_cmpint(clock_now(CLOCK_GUEST), ==, 5);
}

static void start(void)
{
    guest_clock_manual();
    guest_clock_set(0);
    g_string_truncate(order, 0);
}

static void fires_in_order(void)
{
    Named a, b, c, d;

    start();
    named_init(&a, 'a'), named_init(&b, 'b'), named_init(&c, 'c'), named_init(&d, 'd');
    timer_arm(&c.timer, 300);
    timer_arm(&a.timer, 100);
    timer_arm(&b.timer, 200);
    timer_arm(&d.timer, 300);              /* as late as c, armed later */
    g_assert_cmpint(clock_next_deadline(CLOCK_GUEST), ==, 100);
    guest_clock_step_to(250);
    g_assert_cmpstr(order->str, ==, "ab");
    g_assert_cmpint(fired_at, ==, 200);    /* the clock stood at the deadline */
    g_assert_cmpint(clock_now(CLOCK_GUEST), ==, 250);
    guest_clock_step_to(300);
    g_assert_cmpstr(order->str, ==, "abcd");
    g_assert_cmpint(clock_next_deadline(CLOCK_GUEST), ==, -1);
}

static void rearm_and_cancel(void)
{
    Named a, b;

    start();
    named_init(&a, 'a'), named_init(&b, 'b');
    timer_arm(&a.timer, 100);
    timer_arm(&b.timer, 150);
    timer_arm(&a.timer, 200);
    guest_clock_step_to(160);
    g_assert_cmpstr(order->str, ==, "b");
    timer_cancel(&a.timer);
    timer_cancel(&a.timer);
    g_assert_false(timer_armed(&a.timer));
    guest_clock_step_to(1000);
    g_assert_cmpstr(order->str, ==, "b");
    timer_arm(&a.timer, 10);               /* in the past: at once, and time does not run back */
    guest_clock_step_to(1000);
    g_assert_cmpstr(order->str, ==, "ba");
    g_assert_cmpint(fired_at, ==, 1000);
    timer_arm(&b.timer, -50);
    g_assert_true(timer_armed(&b.timer));
    guest_clock_step_to(1001);
    g_assert_cmpstr(order->str, ==, "bab");
}

typedef struct Periodic {
    Timer timer;
    int64_t period;
    unsigned count;
} Periodic;

static void tick(void *opaque)
{
    Periodic *periodic = opaque;

    periodic->count++;
    timer_arm(&periodic->timer, clock_now(CLOCK_GUEST) + periodic->period);
}

static void periodic_timer(void)
{
    Periodic periodic = { .period = 1000 };

    start();
    timer_init(&periodic.timer, CLOCK_GUEST, tick, &periodic);
    timer_arm(&periodic.timer, 1000);
    guest_clock_step_to(NS_PER_MS);
    g_assert_cmpuint(periodic.count, ==, 1000);
    periodic.period = 0;                   /* due forever: the step ends all the same */
    guest_clock_step_to(2 * NS_PER_MS);
    g_assert_cmpint(clock_now(CLOCK_GUEST), ==, 2 * NS_PER_MS);
    timer_cancel(&periodic.timer);
}

static void cancel_other(void *opaque)
{
    timer_cancel(opaque);
}

static void callback_cancels_another(void)
{
    Named victim;
    Timer killer;

    start();
    named_init(&victim, 'v');
    timer_init(&killer, CLOCK_GUEST, cancel_other, &victim.timer);
    timer_arm(&killer, 100);
    timer_arm(&victim.timer, 100);
    guest_clock_step_to(200);
    g_assert_cmpstr(order->str, ==, "");
}

static void far_deadlines(void)
{
    Named far;

    start();
    named_init(&far, 'f');
    timer_arm(&far.timer, INT64_MAX);
    guest_clock_step_to(INT64_MAX - 1);
    g_assert_cmpstr(order->str, ==, "");
    guest_clock_step_to(INT64_MAX);
    g_assert_cmpstr(order->str, ==, "f");
}

static void *arm_and_cancel(void *opaque)
{
    Named *mine = opaque;

    for (int i = 0; i < 20000; i++) {
        timer_arm(&mine->timer, 1000000 + i % 7);
        if (i % 3 == 0) {
            timer_cancel(&mine->timer);
        }
        g_assert_cmpint(clock_now(CLOCK_GUEST), >=, 0);
    }
    timer_cancel(&mine->timer);
    return NULL;
}

static void from_many_threads(void)
{
    pthread_t threads[4];
    Named named[4];

    start();
    for (int i = 0; i < 4; i++) {
        named_init(&named[i], 'x');
        pthread_create(&threads[i], NULL, arm_and_cancel, &named[i]);
    }
    for (int i = 0; i < 1000; i++) {
        guest_clock_step_to(i);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    g_assert_cmpint(clock_next_deadline(CLOCK_GUEST), ==, -1);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    order = g_string_new(NULL);
    g_test_add_func("/timer/1-guest-clock-follows-the-host", guest_clock_follows_the_host);
    g_test_add_func("/timer/fires-in-order", fires_in_order);
    g_test_add_func("/timer/rearm-and-cancel", rearm_and_cancel);
    g_test_add_func("/timer/periodic", periodic_timer);
    g_test_add_func("/timer/callback-cancels-another", callback_cancels_another);
    g_test_add_func("/timer/far-deadlines", far_deadlines);
    g_test_add_func("/timer/from-many-threads", from_many_threads);
    result = g_test_run();
    g_string_free(order, TRUE);
    return result;
}
