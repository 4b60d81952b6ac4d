/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aio.c - each engine against a shadow of the file: random transfers in parallel, ends of files, full disks, loops that move
 *
 * An engine that this host's kernel refuses is skipped, with the kernel's reason.
 */
#include "base/lock.h"
#include "base/loop.h"
#include "base/timer.h"
#include "block/aio/engine.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_SIZE = 1 << 20, WORKERS = 24, STEPS = 60, BLOCK = 4096 };

typedef struct Bench {
    AioKind kind;
    bool direct;
    IoLoop *loop;
    AioEngine *engine;
    AioFile file;
    char *path;
    uint8_t *shadow;
    GRand *random;
    unsigned running;
    bool ended;
    CoMutex blocks[FILE_SIZE / BLOCK];     /* a block belongs to one transfer at a time */
} Bench;

static void free_loop(IoLoop *loop)
{
    if (loop != io_loop_main()) {
        io_loop_free(loop);
    }
}

static bool bench_begin_on(Bench *bench, IoLoop *loop, AioKind kind, bool direct)
{
    g_autoptr(GError) err = NULL;

    *bench = (Bench){ .kind = kind, .direct = direct, .random = g_rand_new_with_seed(7), .loop = loop };
    bench->engine = aio_engine(bench->loop, kind, &err);
    if (!bench->engine) {
        g_test_skip(err->message);
        free_loop(bench->loop);
        g_rand_free(bench->random);
        return false;
    }
    bench->path = g_strdup("aio-XXXXXX");
    bench->file.fd = g_mkstemp(bench->path);
    g_assert_cmpint(bench->file.fd, >=, 0);
    g_assert_cmpint(ftruncate(bench->file.fd, FILE_SIZE), ==, 0);
    if (direct) {
        close(bench->file.fd);
        bench->file.fd = open(bench->path, O_RDWR | O_CLOEXEC | O_DIRECT);
        bench->file.alignment = BLOCK;
    }
    bench->shadow = g_malloc0(FILE_SIZE);
    return true;
}

static bool bench_begin(Bench *bench, AioKind kind, bool direct)
{
    g_autoptr(GError) err = NULL;
    IoLoop *loop = io_loop_new("test", &err);

    g_assert_no_error(err);
    return bench_begin_on(bench, loop, kind, direct);
}

static void bench_end(Bench *bench)
{
    free_loop(bench->loop);
    if (bench->file.fd >= 0) {
        close(bench->file.fd);
    }
    g_unlink(bench->path);
    g_free(bench->path);
    g_free(bench->shadow);
    g_rand_free(bench->random);
}

/* A buffer in a few pieces whose lengths direct files take too. */
static Iov make_pieces(uint8_t *buffer, size_t bytes, size_t unit, struct iovec *pieces)
{
    size_t count = 0;

    for (size_t at = 0; at < bytes; count++) {
        size_t length = count == 3 ? bytes - at : MIN(unit * (1 + count), bytes - at);

        pieces[count] = (struct iovec){ buffer + at, length };
        at += length;
    }
    return iov_all(pieces, count);
}

static void one_step(Bench *bench, uint8_t *buffer)
{
    unsigned first = (unsigned)g_rand_int_range(bench->random, 0, FILE_SIZE / BLOCK - 8);
    unsigned count = (unsigned)g_rand_int_range(bench->random, 1, 8);
    size_t unit = bench->direct ? BLOCK : 1, skip = bench->direct ? 0 : (size_t)g_rand_int_range(bench->random, 0, BLOCK);
    size_t offset = first * BLOCK + skip, bytes = (size_t)count * BLOCK - skip;
    bool write = g_rand_boolean(bench->random), fua = g_rand_int_range(bench->random, 0, 16) == 0;
    struct iovec pieces[4];
    Iov window = make_pieces(buffer, bytes, unit * 512, pieces);

    for (unsigned i = first; i < first + count; i++) {
        co_lock(&bench->blocks[i]);
    }
    if (write) {
        for (size_t i = 0; i < bytes; i++) {
            buffer[i] = (uint8_t)g_rand_int(bench->random);
        }
        g_assert_cmpint(aio_pwritev(bench->engine, &bench->file, offset, window, fua), ==, 0);
        memcpy(bench->shadow + offset, buffer, bytes);
    } else {
        g_assert_cmpint(aio_preadv(bench->engine, &bench->file, offset, window), ==, 0);
        g_assert_true(memcmp(bench->shadow + offset, buffer, bytes) == 0);
    }
    for (unsigned i = first; i < first + count; i++) {
        co_unlock(&bench->blocks[i]);
    }
}

static void worker(void *opaque)
{
    Bench *bench = opaque;
    void *buffer = NULL;

    g_assert_cmpint(posix_memalign(&buffer, BLOCK, 8 * BLOCK), ==, 0);
    for (int i = 0; i < STEPS; i++) {
        one_step(bench, buffer);
        if (i % 20 == 7) {
            g_assert_cmpint(aio_flush(bench->engine, &bench->file), ==, 0);
        }
    }
    free(buffer);
    bench->running--;
}

static int run_workers(void *opaque)
{
    Bench *bench = opaque;

    for (int i = 0; i < WORKERS; i++) {
        bench->running++;
        coroutine_enter(coroutine_new(worker, bench));
    }
    while (bench->running) {
        co_sleep(1000000);
    }
    return 0;
}

static void runs_workers(void *opaque)
{
    Bench *bench = opaque;

    run_workers(bench);
    bench->ended = true;
}

static void check_file(Bench *bench)
{
    g_autofree char *content = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(bench->path, &content, &length, NULL));
    g_assert_cmpuint(length, ==, FILE_SIZE);
    g_assert_true(memcmp(content, bench->shadow, FILE_SIZE) == 0);
}

static void random_transfers(AioKind kind, bool direct)
{
    Bench bench;

    if (bench_begin(&bench, kind, direct)) {
        g_assert_cmpint(io_loop_run(bench.loop, run_workers, &bench), ==, 0);
        check_file(&bench);
        bench_end(&bench);
    }
}

static void threads_random(void) { random_transfers(AIO_THREADS, false); }
static void threads_random_direct(void) { random_transfers(AIO_THREADS, true); }
static void native_random_direct(void) { random_transfers(AIO_NATIVE, true); }
static void uring_random(void) { random_transfers(AIO_IO_URING, false); }
static void uring_random_direct(void) { random_transfers(AIO_IO_URING, true); }

/* The same on a loop with a thread, after the engine was made by this one; and once more by this one. */
static void moves_between_threads(AioKind kind)
{
    g_autoptr(GError) err = NULL;
    Bench bench;

    if (bench_begin(&bench, kind, true)) {
        g_assert_true(io_loop_start_thread(bench.loop, &err));
        g_assert_cmpint(io_loop_run(bench.loop, run_workers, &bench), ==, 0);
        io_loop_stop_thread(bench.loop);
        g_assert_cmpint(io_loop_run(bench.loop, run_workers, &bench), ==, 0);
        check_file(&bench);
        bench_end(&bench);
    }
}

static void threads_moves(void) { moves_between_threads(AIO_THREADS); }
static void native_moves(void) { moves_between_threads(AIO_NATIVE); }
static void uring_moves(void) { moves_between_threads(AIO_IO_URING); }

/* The main loop inside the GMainContext, whose poll waits for the engine; the last case, since there is only one such loop. */
static void on_the_main_loop(AioKind kind)
{
    Bench bench;

    if (bench_begin_on(&bench, io_loop_main(), kind, true)) {
        Coroutine *runner = coroutine_new(runs_workers, &bench);

        coroutine_enter(runner);
        while (!bench.ended) {
            loop_iterate(true);
        }
        g_assert_cmpint(io_loop_run(bench.loop, run_workers, &bench), ==, 0);
        check_file(&bench);
        bench_end(&bench);
    }
}

static void all_on_the_main_loop(void)
{
    loop_init();
    clocks_attach();
    io_loop_attach_main();
    on_the_main_loop(AIO_THREADS);
    on_the_main_loop(AIO_NATIVE);
    on_the_main_loop(AIO_IO_URING);
    machine_unlock();
}

/* ---- ends ---- */

static int read_across_the_end(void *opaque)
{
    Bench *bench = opaque;
    void *buffer = NULL;
    uint8_t *bytes;
    struct iovec piece;

    g_assert_cmpint(posix_memalign(&buffer, BLOCK, 4 * BLOCK), ==, 0);
    bytes = buffer;
    piece = (struct iovec){ buffer, 4 * BLOCK };
    g_assert_cmpint(ftruncate(bench->file.fd, BLOCK + 100), ==, 0);
    memset(buffer, 0x55, 4 * BLOCK);
    g_assert_cmpint(aio_preadv(bench->engine, &bench->file, 0, iov_all(&piece, 1)), ==, 0);
    for (int i = 0; i < 4 * BLOCK; i++) {
        g_assert_cmpuint(bytes[i], ==, i < BLOCK + 100 ? 0x11 : 0);
    }
    memset(buffer, 0x55, 4 * BLOCK);
    g_assert_cmpint(aio_preadv(bench->engine, &bench->file, 8 * BLOCK, iov_all(&piece, 1)), ==, 0);
    for (int i = 0; i < 4 * BLOCK; i++) {
        g_assert_cmpuint(bytes[i], ==, 0);
    }
    free(buffer);
    return 0;
}

static void reads_end_in_zeroes(AioKind kind, bool direct)
{
    Bench bench;

    if (bench_begin(&bench, kind, direct)) {
        int fd = open(bench.path, O_WRONLY | O_CLOEXEC);

        memset(bench.shadow, 0x11, 8 * BLOCK);
        g_assert_cmpint(pwrite(fd, bench.shadow, 8 * BLOCK, 0), ==, 8 * BLOCK);
        close(fd);
        g_assert_cmpint(io_loop_run(bench.loop, read_across_the_end, &bench), ==, 0);
        bench_end(&bench);
    }
}

static void threads_end(void) { reads_end_in_zeroes(AIO_THREADS, false); }
static void threads_end_direct(void) { reads_end_in_zeroes(AIO_THREADS, true); }
static void native_end_direct(void) { reads_end_in_zeroes(AIO_NATIVE, true); }
static void uring_end(void) { reads_end_in_zeroes(AIO_IO_URING, false); }
static void uring_end_direct(void) { reads_end_in_zeroes(AIO_IO_URING, true); }

static int write_too_much(void *opaque)
{
    Bench *bench = opaque;
    struct iovec piece = { bench->shadow, 4 * BLOCK };

    return aio_pwritev(bench->engine, &bench->file, 0, iov_all(&piece, 1), false);
}

/* /dev/full says ENOSPC; a descriptor that is not for writing says EBADF. */
static void errors_come_as_they_are(AioKind kind)
{
    Bench bench;

    if (bench_begin(&bench, kind, false)) {
        close(bench.file.fd);
        bench.file.fd = open("/dev/full", O_RDWR | O_CLOEXEC);
        g_assert_cmpint(io_loop_run(bench.loop, write_too_much, &bench), ==, -ENOSPC);
        close(bench.file.fd);
        bench.file.fd = open(bench.path, O_RDONLY | O_CLOEXEC);
        g_assert_cmpint(io_loop_run(bench.loop, write_too_much, &bench), ==, -EBADF);
        bench_end(&bench);
    }
}

static void threads_errors(void) { errors_come_as_they_are(AIO_THREADS); }
static void uring_errors(void) { errors_come_as_they_are(AIO_IO_URING); }

/* More pieces than one system call takes. */
static int many_pieces(void *opaque)
{
    Bench *bench = opaque;
    enum { MANY = 3000 };
    g_autofree struct iovec *pieces = g_new(struct iovec, MANY);
    g_autofree uint8_t *back = g_malloc(MANY);

    for (unsigned i = 0; i < MANY; i++) {
        bench->shadow[i] = (uint8_t)(i * 7);
        pieces[i] = (struct iovec){ bench->shadow + i, 1 };
    }
    g_assert_cmpint(aio_pwritev(bench->engine, &bench->file, 5, iov_all(pieces, MANY), false), ==, 0);
    for (unsigned i = 0; i < MANY; i++) {
        pieces[i] = (struct iovec){ back + i, 1 };
    }
    g_assert_cmpint(aio_preadv(bench->engine, &bench->file, 5, iov_all(pieces, MANY)), ==, 0);
    g_assert_true(memcmp(back, bench->shadow, MANY) == 0);
    return 0;
}

static void pieces_without_end(AioKind kind)
{
    Bench bench;

    if (bench_begin(&bench, kind, false)) {
        g_assert_cmpint(io_loop_run(bench.loop, many_pieces, &bench), ==, 0);
        bench_end(&bench);
    }
}

static void threads_pieces(void) { pieces_without_end(AIO_THREADS); }
static void uring_pieces(void) { pieces_without_end(AIO_IO_URING); }

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/aio/threads/random", threads_random);
    g_test_add_func("/aio/threads/random-direct", threads_random_direct);
    g_test_add_func("/aio/threads/moves-between-threads", threads_moves);
    g_test_add_func("/aio/threads/end-of-file", threads_end);
    g_test_add_func("/aio/threads/end-of-file-direct", threads_end_direct);
    g_test_add_func("/aio/threads/errors", threads_errors);
    g_test_add_func("/aio/threads/many-pieces", threads_pieces);
    g_test_add_func("/aio/native/random-direct", native_random_direct);
    g_test_add_func("/aio/native/moves-between-threads", native_moves);
    g_test_add_func("/aio/native/end-of-file-direct", native_end_direct);
    g_test_add_func("/aio/io_uring/random", uring_random);
    g_test_add_func("/aio/io_uring/random-direct", uring_random_direct);
    g_test_add_func("/aio/io_uring/moves-between-threads", uring_moves);
    g_test_add_func("/aio/io_uring/end-of-file", uring_end);
    g_test_add_func("/aio/io_uring/end-of-file-direct", uring_end_direct);
    g_test_add_func("/aio/io_uring/errors", uring_errors);
    g_test_add_func("/aio/io_uring/many-pieces", uring_pieces);
    g_test_add_func("/aio/main-loop", all_on_the_main_loop);
    return g_test_run();
}
