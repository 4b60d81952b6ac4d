/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io-loop.c - posts, timers, watches, coroutines that wait, threads, and the main loop inside the GMainContext */
#include "base/io-loop.h"
#include "base/lock.h"
#include "base/loop.h"
#include "base/timer.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static IoLoop *new_loop(void)
{
    g_autoptr(GError) err = NULL;
    IoLoop *loop = io_loop_new("test", &err);

    g_assert_no_error(err);
    return loop;
}

static void append_a(void *opaque)
{
    g_string_append_c(opaque, 'a');
}

static void append_b(void *opaque)
{
    g_string_append_c(opaque, 'b');
}

static void posts_keep_their_order(void)
{
    g_autoptr(GString) order = g_string_new(NULL);
    IoLoop *loop = new_loop();

    io_loop_post(loop, append_a, order);
    io_loop_post(loop, append_b, order);
    io_loop_post(loop, append_a, order);
    io_loop_turn(loop, true);
    g_assert_cmpstr(order->str, ==, "aba");
    io_loop_turn(loop, false);
    g_assert_cmpstr(order->str, ==, "aba");
    io_loop_free(loop);
}

typedef struct Again { IoLoop *loop; unsigned count; } Again;

static void post_again(void *opaque)
{
    Again *again = opaque;

    again->count++;
    io_loop_post(again->loop, post_again, again);
}

static void a_post_of_a_post_is_a_later_turn(void)
{
    IoLoop *loop = new_loop();
    Again again = { loop, 0 };

    io_loop_post(loop, post_again, &again);
    for (unsigned i = 1; i <= 5; i++) {
        io_loop_turn(loop, true);
        g_assert_cmpuint(again.count, ==, i);
    }
    io_loop_free(loop);
}

static void timers_fire_in_order(void)
{
    g_autoptr(GString) order = g_string_new(NULL);
    IoLoop *loop = new_loop();
    IoTimer first, second, never;
    int64_t now = clock_now(CLOCK_STEADY);

    io_timer_init(&first, loop, append_a, order);
    io_timer_init(&second, loop, append_b, order);
    io_timer_init(&never, loop, append_b, order);
    io_timer_arm(&never, now + NS_PER_MS);
    io_timer_arm(&second, now + 4 * NS_PER_MS);
    io_timer_arm(&first, now + 2 * NS_PER_MS);
    io_timer_cancel(&never);
    g_assert_cmpint(never.deadline, ==, -1);
    while (order->len < 2) {
        io_loop_turn(loop, true);
    }
    g_assert_cmpstr(order->str, ==, "ab");
    g_assert_cmpint(clock_now(CLOCK_STEADY) - now, >=, 4 * NS_PER_MS);
    io_loop_free(loop);
}

typedef struct Reader { IoWatch *watch; int fd; unsigned calls; bool once; } Reader;

static void read_byte(void *opaque, uint32_t events)
{
    Reader *reader = opaque;
    char byte;

    g_assert_true(events & EPOLLIN);
    g_assert_cmpint(read(reader->fd, &byte, 1), ==, 1);
    reader->calls++;
    if (reader->once) {
        io_unwatch(reader->watch);
    }
}

static void watches(void)
{
    IoLoop *loop = new_loop();
    int ends[2];
    Reader reader = { 0 };

    g_assert_cmpint(pipe(ends), ==, 0);
    reader.fd = ends[0];
    reader.watch = io_watch(loop, ends[0], EPOLLIN, read_byte, &reader);
    g_assert_cmpint(write(ends[1], "xyz", 3), ==, 3);
    io_loop_turn(loop, true);
    io_loop_turn(loop, true);
    g_assert_cmpuint(reader.calls, ==, 2);
    io_watch_change(reader.watch, 0);
    io_loop_turn(loop, false);
    g_assert_cmpuint(reader.calls, ==, 2);
    io_watch_change(reader.watch, EPOLLIN);
    reader.once = true;
    io_loop_turn(loop, true);
    g_assert_cmpuint(reader.calls, ==, 3);
    g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
    io_loop_turn(loop, false);
    g_assert_cmpuint(reader.calls, ==, 3);
    close(ends[0]);
    close(ends[1]);
    io_loop_free(loop);
}

static void regular_files_are_refused(void)
{
    IoLoop *loop = new_loop();
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    g_assert_null(io_watch(loop, fd, EPOLLIN, read_byte, NULL));
    g_assert_cmpint(errno, ==, EPERM);
    close(fd);
    io_loop_free(loop);
}

static void count_submit(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void hooks_run_before_each_wait(void)
{
    IoLoop *loop = new_loop();
    unsigned count = 0;
    IoHook hook = { .submit = count_submit, .opaque = &count };

    io_loop_add_hook(loop, &hook);
    io_loop_turn(loop, false);
    io_loop_turn(loop, false);
    g_assert_cmpuint(count, ==, 2);
    io_loop_remove_hook(loop, &hook);
    io_loop_turn(loop, false);
    g_assert_cmpuint(count, ==, 2);
    io_loop_free(loop);
}

static void slots_end_with_the_loop(void)
{
    IoLoop *loop = new_loop();
    unsigned count = 0;

    *io_loop_slot(loop, IO_SLOT_URING, count_submit) = &count;
    g_assert_true(*io_loop_slot(loop, IO_SLOT_URING, count_submit) == &count);
    g_assert_null(*io_loop_slot(loop, IO_SLOT_LIBAIO, count_submit));
    io_loop_free(loop);
    g_assert_cmpuint(count, ==, 1);
}

/* ---- coroutines ---- */

static int fortytwo(void *opaque)
{
    IoLoop *loop = opaque;

    g_assert_true(io_loop_current() == loop);
    g_assert_nonnull(coroutine_self());
    return 42;
}

static int sleep_a_little(void *opaque G_GNUC_UNUSED)
{
    int64_t begin = clock_now(CLOCK_STEADY);

    co_sleep(3 * NS_PER_MS);
    return clock_now(CLOCK_STEADY) - begin >= 3 * NS_PER_MS ? 0 : -EINVAL;
}

static int sum_on_worker(void *opaque)
{
    int *numbers = opaque;

    g_assert_null(io_loop_current());
    return numbers[0] + numbers[1];
}

static int work_elsewhere(void *opaque)
{
    return co_work(sum_on_worker, opaque);
}

static int wait_for_pipe(void *opaque)
{
    int *ends = opaque;
    char byte;

    if (co_wait_fd(ends[1], EPOLLOUT) != EPOLLOUT || write(ends[1], "!", 1) != 1) {
        return -EIO;
    }
    if (!(co_wait_fd(ends[0], EPOLLIN) & EPOLLIN) || read(ends[0], &byte, 1) != 1) {
        return -EIO;
    }
    return byte;
}

static void runs_coroutines(void)
{
    IoLoop *loop = new_loop();
    int numbers[2] = { 40, 2 }, ends[2];

    g_assert_cmpint(io_loop_run(loop, fortytwo, loop), ==, 42);
    g_assert_null(io_loop_current());
    g_assert_cmpint(io_loop_run(loop, sleep_a_little, NULL), ==, 0);
    g_assert_cmpint(io_loop_run(loop, work_elsewhere, numbers), ==, 42);
    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_cmpint(io_loop_run(loop, wait_for_pipe, ends), ==, '!');
    close(ends[0]);
    close(ends[1]);
    io_loop_free(loop);
}

typedef struct Both { int fd; unsigned done; uint32_t events[2]; } Both;

static void wait_both(void *opaque)
{
    Both *both = opaque;
    unsigned which = both->done++;

    both->events[which] = co_wait_fd(both->fd, EPOLLIN);
    both->done--;
}

static int two_wait(void *opaque)
{
    int *ends = opaque;
    Both both = { .fd = ends[0] };

    coroutine_enter(coroutine_new(wait_both, &both));
    coroutine_enter(coroutine_new(wait_both, &both));
    g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
    while (both.done) {
        co_yield_turn();
    }
    return both.events[0] == EPOLLIN && both.events[1] == EPOLLIN ? 0 : -EIO;
}

/* One reads, one writes: a socket has both, and epoll knows each descriptor once. */
static void two_wait_for_one_descriptor(void)
{
    IoLoop *loop = new_loop();
    int ends[2];

    g_assert_cmpint(pipe(ends), ==, 0);
    g_assert_cmpint(io_loop_run(loop, two_wait, ends), ==, 0);
    close(ends[0]);
    close(ends[1]);
    io_loop_free(loop);
}

static void yield_often(void *opaque)
{
    unsigned *left = opaque;

    for (int i = 0; i < 100; i++) {
        co_yield_turn();
    }
    --*left;
}

static int many_yield(void *opaque G_GNUC_UNUSED)
{
    unsigned left = 200;

    for (int i = 0; i < 200; i++) {
        coroutine_enter(coroutine_new(yield_often, &left));
    }
    while (left) {
        co_yield_turn();
    }
    return 0;
}

static void yields_are_fair(void)
{
    IoLoop *loop = new_loop();

    g_assert_cmpint(io_loop_run(loop, many_yield, NULL), ==, 0);
    io_loop_free(loop);
}

/* ---- threads ---- */

typedef struct Poster { IoLoop *loop; unsigned count; } Poster;

static void *post_many(void *opaque)
{
    Poster *poster = opaque;

    for (int i = 0; i < 5000; i++) {
        io_loop_post(poster->loop, count_submit, &poster->count);
    }
    return NULL;
}

static void wakes_a_sleeper(void)
{
    IoLoop *loop = new_loop();
    Poster posters[3];
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) {
        posters[i] = (Poster){ loop, 0 };
        pthread_create(&threads[i], NULL, post_many, &posters[i]);
    }
    while (posters[0].count + posters[1].count + posters[2].count < 15000) {
        io_loop_turn(loop, true);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    io_loop_free(loop);
}

static void an_io_thread(void)
{
    g_autoptr(GError) err = NULL;
    IoLoop *loop = new_loop();
    int numbers[2] = { 1, 2 };

    g_assert_true(io_loop_start_thread(loop, &err));
    for (int i = 0; i < 200; i++) {
        g_assert_cmpint(io_loop_run(loop, fortytwo, loop), ==, 42);
    }
    g_assert_cmpint(io_loop_run(loop, sleep_a_little, NULL), ==, 0);
    g_assert_cmpint(io_loop_run(loop, work_elsewhere, numbers), ==, 3);
    io_loop_stop_thread(loop);
    g_assert_cmpint(io_loop_run(loop, fortytwo, loop), ==, 42);            /* it can be turned by hand again */
    io_loop_free(loop);
}

/* ---- the main loop ---- */

static unsigned locked_calls;

static void with_lock(void *opaque)
{
    bool *done = opaque;

    g_assert_true(machine_lock_held());
    g_assert_true(io_loop_current() == io_loop_main());
    locked_calls++;
    *done = true;
}

static void *post_to_main(void *opaque)
{
    g_usleep(2000);
    io_loop_post(io_loop_main(), with_lock, opaque);
    return NULL;
}

static void long_sleeper(void *opaque)
{
    co_sleep(2 * NS_PER_MS);
    co_yield_turn();
    with_lock(opaque);
}

/* Posts, timers and coroutines of the main loop move while only the GMainContext turns. */
static void attached_to_the_main_context(void)
{
    bool posted = false, slept = false;
    pthread_t thread;

    loop_init();
    clocks_attach();
    io_loop_attach_main();
    pthread_create(&thread, NULL, post_to_main, &posted);
    coroutine_enter(coroutine_new(long_sleeper, &slept));
    while (!posted || !slept) {
        loop_iterate(true);
    }
    pthread_join(thread, NULL);
    g_assert_cmpuint(locked_calls, ==, 2);
    g_assert_cmpint(io_loop_run(io_loop_main(), sleep_a_little, NULL), ==, 0);
    machine_unlock();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io-loop/posts-keep-their-order", posts_keep_their_order);
    g_test_add_func("/io-loop/a-post-of-a-post-is-a-later-turn", a_post_of_a_post_is_a_later_turn);
    g_test_add_func("/io-loop/timers-fire-in-order", timers_fire_in_order);
    g_test_add_func("/io-loop/watches", watches);
    g_test_add_func("/io-loop/regular-files-are-refused", regular_files_are_refused);
    g_test_add_func("/io-loop/hooks-run-before-each-wait", hooks_run_before_each_wait);
    g_test_add_func("/io-loop/slots-end-with-the-loop", slots_end_with_the_loop);
    g_test_add_func("/io-loop/runs-coroutines", runs_coroutines);
    g_test_add_func("/io-loop/two-wait-for-one-descriptor", two_wait_for_one_descriptor);
    g_test_add_func("/io-loop/yields-are-fair", yields_are_fair);
    g_test_add_func("/io-loop/wakes-a-sleeper", wakes_a_sleeper);
    g_test_add_func("/io-loop/an-io-thread", an_io_thread);
    g_test_add_func("/io-loop/attached-to-the-main-context", attached_to_the_main_context);
    return g_test_run();
}
