/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loop.c - the main loop: posts, watches, the machine lock around poll, and timers that fire on it */
#include "base/lock.h"
#include "base/loop.h"
#include "base/timer.h"
#include <unistd.h>

static void quit(void *opaque G_GNUC_UNUSED)
{
    g_assert_true(machine_lock_held());
    loop_quit();
}

static void quit_before_run(void)
{
    loop_quit();
    loop_run();                            /* returns at once */
}

static void post_in_order_entry(void *opaque)
{
    GString *order = opaque;

    g_string_append_c(order, (char)('a' + order->len));
}

static void posts_run_in_order(void)
{
    g_autoptr(GString) order = g_string_new(NULL);

    for (int i = 0; i < 5; i++) {
        loop_post(post_in_order_entry, order);
    }
    loop_post(quit, NULL);
    loop_run();
    g_assert_cmpstr(order->str, ==, "abcde");
}

static void repost(void *opaque)
{
    int *left = opaque;

    if (--*left > 0) {
        loop_post(repost, left);
    } else {
        loop_quit();
    }
}

static void post_may_post(void)
{
    int left = 1000;

    loop_post(repost, &left);
    loop_run();
    g_assert_cmpint(left, ==, 0);
}

enum { POSTERS = 4, POSTS_EACH = 2000 };

static void count_up(void *opaque)
{
    unsigned *count = opaque;

    g_assert_true(machine_lock_held());
    if (++*count == POSTERS * POSTS_EACH) {
        loop_quit();
    }
}

static void *poster(void *opaque)
{
    for (int i = 0; i < POSTS_EACH; i++) {
        loop_post(count_up, opaque);
    }
    return NULL;
}

static void posts_from_threads(void)
{
    pthread_t threads[POSTERS];
    unsigned count = 0;

    for (int i = 0; i < POSTERS; i++) {
        pthread_create(&threads[i], NULL, poster, &count);
    }
    loop_run();
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    g_assert_cmpuint(count, ==, POSTERS * POSTS_EACH);
}

static void *quit_later(void *opaque G_GNUC_UNUSED)
{
    g_usleep(20000);
    machine_lock();                        /* free, because the loop sleeps in poll */
    machine_unlock();
    loop_quit();
    return NULL;
}

static void poll_drops_the_lock(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, quit_later, NULL);
    loop_run();
    g_assert_true(machine_lock_held());
    pthread_join(thread, NULL);
}

typedef struct Pipe {
    int fds[2];
    LoopWatch *watch;
    unsigned calls;
    GIOCondition seen;
} Pipe;

static void pipe_ready(void *opaque, int fd, GIOCondition condition)
{
    Pipe *p = opaque;
    char byte;

    g_assert_true(machine_lock_held());
    p->calls++;
    p->seen |= condition;
    if (read(fd, &byte, 1) != 1 || byte == 'q') {
        loop_unwatch(g_steal_pointer(&p->watch));          /* inside its own callback */
        loop_quit();
    }
}

static void put(Pipe *p, const char *bytes, size_t length)
{
    g_assert_cmpint(write(p->fds[1], bytes, length), ==, (gssize)length);
}

static void watch_reads(void)
{
    Pipe p = { 0 };

    g_assert_cmpint(pipe(p.fds), ==, 0);
    p.watch = loop_watch(p.fds[0], G_IO_IN, pipe_ready, &p);
    put(&p, "abq", 3);
    loop_run();
    g_assert_cmpuint(p.calls, ==, 3);
    g_assert_null(p.watch);
    close(p.fds[0]);
    close(p.fds[1]);
}

static void paused_watch_is_silent(void)
{
    Pipe p = { 0 };

    g_assert_cmpint(pipe(p.fds), ==, 0);
    p.watch = loop_watch(p.fds[0], G_IO_IN, pipe_ready, &p);
    loop_watch_change(p.watch, 0);
    close(p.fds[1]);                       /* a hang-up, which poll reports even to who asks for nothing */
    for (int i = 0; i < 10; i++) {
        loop_iterate(false);
    }
    g_assert_cmpuint(p.calls, ==, 0);
    loop_watch_change(p.watch, G_IO_IN);
    loop_run();
    g_assert_cmpuint(p.calls, ==, 1);
    g_assert_true(p.seen & G_IO_HUP);
    close(p.fds[0]);
    loop_unwatch(NULL);
}

static void timer_fires(void)
{
    static const ClockKind clocks[] = { CLOCK_STEADY, CLOCK_HOST, CLOCK_GUEST };

    guest_clock_run(true);
    for (size_t i = 0; i < G_N_ELEMENTS(clocks); i++) {
        int64_t deadline = clock_now(clocks[i]) + 5 * NS_PER_MS;
        Timer timer;

        timer_init(&timer, clocks[i], quit, NULL);
        timer_arm(&timer, deadline);
        loop_run();
        g_assert_cmpint(clock_now(clocks[i]), >=, deadline);
        g_assert_false(timer_armed(&timer));
    }
    guest_clock_run(false);
}

static void *arm_from_thread(void *opaque)
{
    Timer *timer = opaque;

    g_usleep(10000);
    timer_arm(timer, clock_now(CLOCK_STEADY) + NS_PER_MS);
    return NULL;
}

static void timer_armed_elsewhere_wakes_the_loop(void)
{
    Timer far, near;
    pthread_t thread;
    int64_t start = clock_now(CLOCK_STEADY);

    timer_init(&far, CLOCK_STEADY, quit, NULL);
    timer_init(&near, CLOCK_STEADY, quit, NULL);
    timer_arm(&far, start + 30 * NS_PER_SECOND);
    pthread_create(&thread, NULL, arm_from_thread, &near);
    loop_run();
    pthread_join(thread, NULL);
    g_assert_cmpint(clock_now(CLOCK_STEADY), <, start + 20 * NS_PER_SECOND);
    timer_cancel(&far);
}

static void always_due(void *opaque)
{
    timer_arm(opaque, 0);
}

/* A timer that is due again whenever it fires leaves room for the rest of the loop. */
static void busy_timer_does_not_starve(void)
{
    Timer busy;

    timer_init(&busy, CLOCK_STEADY, always_due, &busy);
    timer_arm(&busy, 0);
    loop_iterate(true);
    loop_post(quit, NULL);
    loop_run();
    timer_cancel(&busy);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init();
    clocks_attach();
    g_test_add_func("/loop/quit-before-run", quit_before_run);
    g_test_add_func("/loop/posts-run-in-order", posts_run_in_order);
    g_test_add_func("/loop/post-may-post", post_may_post);
    g_test_add_func("/loop/posts-from-threads", posts_from_threads);
    g_test_add_func("/loop/poll-drops-the-lock", poll_drops_the_lock);
    g_test_add_func("/loop/watch-reads", watch_reads);
    g_test_add_func("/loop/paused-watch-is-silent", paused_watch_is_silent);
    g_test_add_func("/loop/timer-fires", timer_fires);
    g_test_add_func("/loop/timer-armed-elsewhere", timer_armed_elsewhere_wakes_the_loop);
    g_test_add_func("/loop/busy-timer-does-not-starve", busy_timer_does_not_starve);
    return g_test_run();
}
