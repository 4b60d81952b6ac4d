/* SPDX-License-Identifier: GPL-2.0-or-later */
/* blk.c - a device's requests: from its own thread and from others, with counters, media that come and go, and errors */
#include "tests/block/memory.h"
#include "base/event.h"
#include "base/lock.h"
#include "base/loop.h"
#include "base/timer.h"
#include "block/blk-core.h"

typedef struct Job {
    BlkRequest request;
    struct iovec piece;
    uint8_t bytes[4096];
    bool done, inside;
    int result;
} Job;

static bool submitting;

static void job_done(BlkRequest *request, int result)
{
    Job *job = (Job *)request;

    job->result = result;
    job->inside = submitting;
    __atomic_store_n(&job->done, true, __ATOMIC_RELEASE);
}

static void prepare(Job *job, BlkOp op, uint64_t offset, uint64_t bytes)
{
    *job = (Job){ .request = { .op = op, .offset = offset, .bytes = bytes, .iov_count = 1, .done = job_done } };
    job->piece = (struct iovec){ job->bytes, sizeof job->bytes };
    job->request.iov = &job->piece;
}

static int ask(Blk *blk, BlkOp op, uint64_t offset, uint64_t bytes)
{
    Job job;

    prepare(&job, op, offset, bytes);
    submitting = true;
    blk_submit(blk, &job.request);
    submitting = false;
    g_assert_false(job.done);              /* never inside blk_submit() */
    io_loop_wait(io_loop_main(), &job.done);
    g_assert_cmpuint(blk_in_flight(blk), ==, 0);
    return job.result;
}

static Blk *on_memory(Memory **out, NodeLimits limits)
{
    Blk *blk = blk_new("d0", NULL);

    *out = memory_new(65536, limits);
    g_assert_true(blk_insert(blk, &(*out)->node, NULL));
    node_unref(&(*out)->node);
    return blk;
}

static const NodeLimits sectors = { .request_alignment = 512, .memory_alignment = 1 };

static void requests(void)
{
    Memory *memory;
    Blk *blk = on_memory(&memory, sectors);
    BlkStats stats;

    g_assert_cmpint(ask(blk, BLK_WRITE, 0, 4096), ==, 0);
    g_assert_cmpint(ask(blk, BLK_READ, 61440, 4096), ==, 0);
    g_assert_cmpint(ask(blk, BLK_READ, 61441, 4096), ==, -EIO);
    g_assert_cmpint(ask(blk, BLK_READ, UINT64_MAX, 2), ==, -EIO);
    g_assert_cmpint(ask(blk, BLK_READ, 0, 4097), ==, -EINVAL);              /* more than its pieces hold */
    g_assert_cmpint(ask(blk, BLK_WRITE_ZEROES, 8192, 1024), ==, 0);
    g_assert_cmpint(ask(blk, BLK_DISCARD, 8192, 1024), ==, 0);
    g_assert_cmpint(ask(blk, BLK_FLUSH, 0, 0), ==, 0);
    g_assert_cmpuint(memory->flushes, ==, 1);
    g_assert_cmpint(ask(blk, (BlkOp)99, 0, 0), ==, -EINVAL);
    blk_set_write_cache(blk, false);
    g_assert_cmpint(ask(blk, BLK_WRITE, 0, 512), ==, 0);
    g_assert_cmpuint(memory->flushes, ==, 2);                  /* writethrough */
    memory->fail_after = 0;
    g_assert_cmpint(ask(blk, BLK_READ, 0, 512), ==, -EIO);
    blk_stats(blk, &stats);
    g_assert_cmpuint(stats.of[BLK_READ].operations, ==, 1);
    g_assert_cmpuint(stats.of[BLK_READ].bytes, ==, 4096);
    g_assert_cmpuint(stats.of[BLK_READ].invalid, ==, 1);
    g_assert_cmpuint(stats.of[BLK_READ].failed, ==, 3);
    g_assert_cmpuint(stats.of[BLK_WRITE].operations, ==, 2);
    g_assert_cmpuint(stats.highest_write, ==, 9216);
    blk_unref(blk);
    g_assert_null(blk_next(NULL));
    g_assert_null(node_next(NULL));
}

static void *submit_both(void *opaque)
{
    Blk *blk = opaque;
    static Job jobs[2];

    g_assert_null(io_loop_current());
    machine_lock();
    for (int i = 0; i < 2; i++) {
        prepare(&jobs[i], BLK_WRITE, (uint64_t)i * 4096, 4096);
        blk_submit(blk, &jobs[i].request);
    }
    machine_unlock();
    while (!__atomic_load_n(&jobs[0].done, __ATOMIC_ACQUIRE) || !__atomic_load_n(&jobs[1].done, __ATOMIC_ACQUIRE)) {
        g_usleep(100);
    }
    loop_quit();
    return NULL;
}

/* As a vCPU does: posted, and done on the main thread. */
static void another_thread(void)
{
    Memory *memory;
    Blk *blk = on_memory(&memory, sectors);
    GThread *thread = g_thread_new("vcpu", submit_both, blk);

    loop_run();
    g_thread_join(thread);
    g_assert_cmpuint(memory->writes, ==, 2);
    blk_unref(blk);
}

/* ---- an I/O thread ---- */

typedef struct Stream { Blk *blk; Job job; unsigned left; bool ended; IoLoop *loop; } Stream;

static void next_of_stream(BlkRequest *request, int result)
{
    Stream *stream = (Stream *)((char *)request - offsetof(Stream, job));

    g_assert_cmpint(result, ==, 0);
    g_assert_true(io_loop_current() == blk_loop(stream->blk));
    if (--stream->left) {
        blk_submit(stream->blk, request);
    } else {
        __atomic_store_n(&stream->ended, true, __ATOMIC_RELEASE);
    }
}

static void start_stream(void *opaque)
{
    Stream *stream = opaque;

    blk_submit(stream->blk, &stream->job.request);
}

static void io_thread(void)
{
    Memory *memory;
    Blk *blk = on_memory(&memory, sectors);
    IoLoop *loop = io_loop_new("io0", NULL);
    Stream stream = { .blk = blk, .left = 20000 };
    g_autoptr(GError) error = NULL;

    memory->yields = true;
    g_assert_true(io_loop_start_thread(loop, NULL));
    g_assert_true(blk_set_loop(blk, loop, &error));
    g_assert_true(memory->node.loop == loop);
    prepare(&stream.job, BLK_WRITE, 0, 512);
    stream.job.request.done = next_of_stream;
    io_loop_post(loop, start_stream, &stream);
    for (int i = 0; i < 50; i++) {         /* drained from here while it streams there */
        node_drain_begin(&memory->node);
        g_assert_cmpuint(__atomic_load_n(&memory->at_once, __ATOMIC_SEQ_CST), ==, 0);
        node_drain_end(&memory->node);
    }
    while (!__atomic_load_n(&stream.ended, __ATOMIC_ACQUIRE)) {
        g_usleep(100);
    }
    blk_drain(blk);
    uint8_t byte;
    g_assert_cmpint(blk_pread(blk, 0, &byte, 1), ==, 0);
    g_assert_true(blk_set_loop(blk, io_loop_main(), &error));
    g_assert_cmpint(ask(blk, BLK_READ, 0, 512), ==, 0);
    g_assert_true(blk_set_loop(blk, loop, &error));
    blk_unref(blk);                        /* while it lives there */
    io_loop_stop_thread(loop);
    io_loop_free(loop);
    g_assert_null(node_next(NULL));
}

/* Requests that are under way while the Blk moves go after it. */
static void moves_under_load(void)
{
    Memory *memory;
    Blk *blk = on_memory(&memory, sectors);
    Job jobs[8];

    memory->yields = true;
    for (int i = 0; i < 8; i++) {
        prepare(&jobs[i], BLK_WRITE, (uint64_t)i * 4096, 4096);
        blk_submit(blk, &jobs[i].request);
    }
    node_drain_begin(&memory->node);
    g_assert_cmpuint(memory->writes, ==, 8);
    Job late;
    prepare(&late, BLK_READ, 0, 512);
    blk_submit(blk, &late.request);
    for (int i = 0; i < 10; i++) {
        io_loop_turn(io_loop_main(), false);
    }
    g_assert_false(late.done);
    g_assert_cmpuint(blk_in_flight(blk), ==, 1);
    node_drain_end(&memory->node);
    io_loop_wait(io_loop_main(), &late.done);
    blk_unref(blk);
}

/* ---- devices, media ---- */

static unsigned changes, loaded, resizes;

static void medium_changed(void *opaque, bool load)
{
    (void)opaque;
    changes++;
    loaded += load;
}

static void was_resized(void *opaque)
{
    (void)opaque;
    resizes++;
}

static int grow(void *opaque)
{
    return node_truncate(opaque, 131072, true, PREALLOC_OFF, 0, NULL);
}

static void media(void)
{
    static const BlkDeviceOps ops = { .medium_changed = medium_changed, .resized = was_resized };
    Memory *memory;
    Blk *blk = on_memory(&memory, sectors), *other;
    Node *node = node_ref(&memory->node);
    g_autoptr(GError) error = NULL;

    g_assert_true(blk_attach_device(blk, "cd", &ops, NULL, true, &error));
    g_assert_false(blk_attach_device(blk, "hd", &ops, NULL, false, &error));
    g_assert_cmpstr(error->message, ==, "drive 'd0' is in use by device 'cd' already");
    g_clear_error(&error);
    g_assert_true(blk_claim(blk, true, false, &error));
    other = blk_new("d1", NULL);
    g_assert_true(blk_insert(other, node, &error));            /* nothing claimed yet */
    g_assert_false(blk_claim(other, true, true, &error));
    g_assert_nonnull(strstr(error->message, "drive 'd0' does not allow"));
    g_clear_error(&error);
    blk_unref(other);
    g_assert_cmpint(io_loop_run(io_loop_main(), grow, node), ==, 0);
    for (int i = 0; i < 10 && !resizes; i++) {
        loop_iterate(false);
    }
    g_assert_cmpuint(resizes, ==, 1);
    g_assert_cmpuint(blk_length(blk), ==, 131072);
    blk_remove(blk);
    g_assert_cmpuint(blk_length(blk), ==, 0);
    g_assert_cmpint(ask(blk, BLK_READ, 0, 512), ==, -ENOMEDIUM);
    g_assert_cmpint(ask(blk, BLK_FLUSH, 0, 0), ==, -ENOMEDIUM);
    g_assert_true(blk_insert(blk, node, &error));
    g_assert_false(blk_insert(blk, node, &error));
    g_assert_cmpuint(changes, ==, 2);
    g_assert_cmpuint(loaded, ==, 1);
    g_assert_cmpint(ask(blk, BLK_READ, 0, 512), ==, 0);
    node_unref(node);
    blk_detach_device(blk);
    blk_unref(blk);
}

/* ---- a drive of the host that follows the guest's tray ---- */

static struct { GMutex lock; GString *told; } host;

static void host_told(const char *what)
{
    g_assert_null(io_loop_current());      /* it takes seconds: never on a loop */
    g_mutex_lock(&host.lock);
    g_string_append(host.told, what);
    g_mutex_unlock(&host.lock);
    g_usleep(2000);
}

static int host_eject(Node *node, bool open)
{
    __atomic_store_n(&((Memory *)node)->fail_after, open ? 0 : -1, __ATOMIC_RELAXED);
    host_told(open ? "open " : "close ");
    return 0;
}

static int host_lock(Node *node, bool locked)
{
    (void)node;
    host_told(locked ? "lock " : "let go ");
    return 0;
}

/* Another disc, once the tray was out. */
static int64_t host_length(Node *node)
{
    (void)node;
    return 32768;
}

static void follows(const char *expected, unsigned discs)
{
    for (int i = 0; i < 2000; i++) {
        g_mutex_lock(&host.lock);
        bool all = strcmp(host.told->str, expected) == 0;
        g_mutex_unlock(&host.lock);
        if (all && changes == discs) {
            break;
        }
        loop_iterate(false);
        g_usleep(500);
    }
    g_assert_cmpstr(host.told->str, ==, expected);
    g_assert_cmpuint(changes, ==, discs);
    g_string_truncate(host.told, 0);
}

static void host_tray(void)
{
    static const BlkDeviceOps ops = { .medium_changed = medium_changed };
    static NodeDriver driver;
    Memory *memory;
    Blk *blk = on_memory(&memory, sectors);
    g_autoptr(GError) error = NULL;

    host.told = g_string_new(NULL);
    driver = *memory->node.driver;
    driver.medium_eject = host_eject;
    driver.medium_lock = host_lock;
    driver.length = host_length;
    memory->node.driver = &driver;
    changes = loaded = 0;
    g_assert_true(blk_attach_device(blk, "cd", &ops, NULL, true, &error));
    blk_guest_lock(blk, true);
    blk_guest_lock(blk, true);
    follows("lock ", 0);
    blk_guest_lock(blk, false);
    blk_guest_tray(blk, true);             /* while the lock is on its way: then both are done */
    follows("let go open ", 0);
    g_assert_cmpuint(blk_length(blk), ==, 65536);
    blk_guest_tray(blk, false);
    blk_guest_lock(blk, true);
    follows("close lock ", 1);
    g_assert_cmpuint(loaded, ==, 1);
    g_assert_cmpuint(blk_length(blk), ==, 32768);
    blk_guest_tray(blk, true);             /* out and in before the drive has begun: nothing moves twice */
    blk_guest_lock(blk, false);
    blk_guest_tray(blk, false);
    blk_remove(blk);                       /* and the medium is taken away meanwhile */
    for (int i = 0; i < 100; i++) {
        loop_iterate(false);
        g_usleep(500);
    }
    g_assert_cmpuint(changes, ==, 2);
    blk_detach_device(blk);
    blk_unref(blk);
    g_assert_null(node_next(NULL));
    g_string_free(host.told, TRUE);
}

/* ---- errors ---- */

static unsigned stops, retries;
static char *last_event;

static void stop(void *opaque)
{
    (void)opaque;
    stops++;
}

static void retry(void *opaque)
{
    (void)opaque;
    retries++;
}

static void heard(void *opaque, const char *name, const Value *data)
{
    (void)opaque;
    if (strcmp(name, "BLOCK_IO_ERROR") == 0) {
        g_free(last_event);
        last_event = json_print(data, false);
    }
}

static void errors(void)
{
    static const BlkDeviceOps ops = { .retry = retry };
    Memory *memory;
    Blk *blk = on_memory(&memory, sectors);

    event_listen(heard, NULL);
    g_assert_true(blk_attach_device(blk, "hd", &ops, NULL, false, NULL));
    blk->on_read = BLK_ERROR_REPORT;
    blk->on_write = BLK_ERROR_ENOSPC;
    blk_on_stop(stop, NULL);
    g_assert_cmpint(blk_error_action(blk, false, -EIO), ==, BLK_REPORT);
    g_assert_cmpint(blk_error_action(blk, true, -EIO), ==, BLK_REPORT);
    g_assert_cmpint(blk_error_action(blk, true, -ENOSPC), ==, BLK_STOP);
    while (!stops) {
        loop_iterate(false);
    }
    g_assert_nonnull(strstr(last_event, "\"device\": \"d0\""));
    g_assert_nonnull(strstr(last_event, "\"operation\": \"write\", \"action\": \"stop\", \"nospace\": true"));
    blk_set_error_policy(blk, BLK_ERROR_IGNORE, BLK_ERROR_STOP);
    g_assert_cmpint(blk_error_action(blk, false, -EIO), ==, BLK_IGNORE);
    g_assert_cmpint(blk_error_action(blk, true, -EIO), ==, BLK_STOP);
    while (stops < 2) {
        loop_iterate(false);
    }
    blk_machine_runs();
    g_assert_cmpuint(retries, ==, 1);
    blk_on_stop(NULL, NULL);
    event_unlisten(heard, NULL);
    g_clear_pointer(&last_event, g_free);
    blk_detach_device(blk);
    blk_unref(blk);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    loop_init();
    clocks_attach();
    io_loop_attach_main();
    g_test_add_func("/blk/requests", requests);
    g_test_add_func("/blk/another thread", another_thread);
    g_test_add_func("/blk/an iothread", io_thread);
    g_test_add_func("/blk/moves under load", moves_under_load);
    g_test_add_func("/blk/media", media);
    g_test_add_func("/blk/a tray of the host", host_tray);
    g_test_add_func("/blk/errors", errors);
    return g_test_run();
}
