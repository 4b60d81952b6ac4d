/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block-bench.c - requests a second through our engines, beside `qemu-img bench` and a bare io_uring loop
 *
 *   block-bench FILE [ROUNDS [COUNT [ROWS [node]]]]
 *
 * FILE is overwritten; COUNT 0 is as many as each row needs; ROWS is a part of "threads direct 4 KiB random read"; node: nothing
 * but nodes, for a profiler. Each row is one way of access: engine, cache mode, operation. Columns: the fewest microseconds a request of all
 * rounds, with the processor time that it took, for the engine alone, for a node (the gate and the file driver), for the bare
 * loop, and for qemu-img.
 */
#include "block/aio/engine.h"
#include "block/node.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

enum { DEPTH = 64, FILE_SIZE = 1 << 30 };

typedef struct Row { const char *name; AioKind kind; bool direct, write, sequential; unsigned bytes; } Row;

static const Row rows[] = {
    { "4 KiB random read", AIO_THREADS, false, false, false, 4096 }, { "4 KiB random read", AIO_IO_URING, false, false, false, 4096 },
    { "4 KiB random write", AIO_THREADS, false, true, false, 4096 }, { "4 KiB random write", AIO_IO_URING, false, true, false, 4096 },
    { "64 KiB sequential read", AIO_THREADS, false, false, true, 65536 }, { "64 KiB sequential read", AIO_IO_URING, false, false, true, 65536 },
    { "64 KiB sequential write", AIO_THREADS, false, true, true, 65536 }, { "64 KiB sequential write", AIO_IO_URING, false, true, true, 65536 },
    { "4 KiB random read", AIO_THREADS, true, false, false, 4096 }, { "4 KiB random read", AIO_NATIVE, true, false, false, 4096 },
    { "4 KiB random read", AIO_IO_URING, true, false, false, 4096 },
    { "4 KiB random write", AIO_THREADS, true, true, false, 4096 }, { "4 KiB random write", AIO_NATIVE, true, true, false, 4096 },
    { "4 KiB random write", AIO_IO_URING, true, true, false, 4096 },
    { "64 KiB sequential read", AIO_THREADS, true, false, true, 65536 }, { "64 KiB sequential read", AIO_NATIVE, true, false, true, 65536 },
    { "64 KiB sequential read", AIO_IO_URING, true, false, true, 65536 },
    { "64 KiB sequential write", AIO_THREADS, true, true, true, 65536 }, { "64 KiB sequential write", AIO_NATIVE, true, true, true, 65536 },
    { "64 KiB sequential write", AIO_IO_URING, true, true, true, 65536 },
};

typedef struct Cost { double wall, cpu; } Cost;       /* microseconds a request */

typedef struct Bench {
    const Row *row;
    const char *path;
    unsigned count, begun, running;
    Coroutine *waiter;
    bool through_node;
    AioEngine *engine;
    AioFile file;
    Node *node;
    uint8_t *buffers;
    Cost cost;
} Bench;

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_seconds(int who)
{
    struct rusage usage;

    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* As qemu-img bench's -S: a step that visits blocks all over the file. */
static uint64_t offset_of(const Row *row, unsigned i)
{
    uint64_t step = row->sequential ? row->bytes : 8192000;

    return (uint64_t)i * step % (FILE_SIZE - row->bytes);  /* steps and the size are multiples of the request */
}

static void worker(void *opaque)
{
    Bench *bench = opaque;
    const Row *row = bench->row;
    struct iovec piece = { bench->buffers + (size_t)bench->running++ * row->bytes, row->bytes };
    Iov window = iov_all(&piece, 1);
    int result = 0;

    while (bench->begun < bench->count && result == 0) {
        uint64_t offset = offset_of(row, bench->begun++);

        if (bench->through_node) {
            result = row->write ? node_pwritev(bench->node, offset, window, 0) : node_preadv(bench->node, offset, window, 0);
        } else {
            result = row->write ? aio_pwritev(bench->engine, &bench->file, offset, window, false)
                                : aio_preadv(bench->engine, &bench->file, offset, window);
        }
    }
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", row->name, strerror(-result));
        exit(EXIT_FAILURE);
    }
    if (--bench->running == 0 && bench->waiter) {
        io_loop_wake(io_loop_current(), bench->waiter);
    }
}

static bool open_target(Bench *bench, GError **err)
{
    const Row *row = bench->row;
    NodeOpen how = { .writable = true, .cache = row->direct ? CACHE_DIRECT : 0 };

    if (!bench->through_node) {
        bench->file = (AioFile){ .fd = open(bench->path, O_RDWR | O_CLOEXEC | (row->direct ? O_DIRECT : 0)) };
        bench->file.alignment = row->direct ? 4096 : 0;
        bench->engine = aio_engine(io_loop_current(), row->kind, err);
        return bench->engine && bench->file.fd >= 0;
    }
    g_autoptr(Value) options = value_new_object();
    value_set(options, "driver", value_new_string("file"));
    value_set(options, "filename", value_new_string(bench->path));
    value_set(options, "aio", value_new_string(aio_names[row->kind]));
    return node_open(&bench->node, options, &how, err);
}

static int run_bench(void *opaque)
{
    Bench *bench = opaque;
    g_autoptr(GError) err = NULL;
    double wall, cpu;

    if (!open_target(bench, &err)) {
        return -ENOTSUP;
    }
    wall = seconds();
    cpu = cpu_seconds(RUSAGE_SELF);
    for (int i = 0; i < DEPTH; i++) {
        coroutine_enter(coroutine_new(worker, bench));
    }
    if (bench->running) {
        bench->waiter = coroutine_self();
        coroutine_yield();
    }
    bench->cost = (Cost){ (seconds() - wall) * 1e6 / bench->count, (cpu_seconds(RUSAGE_SELF) - cpu) * 1e6 / bench->count };
    if (bench->through_node) {
        node_unref(bench->node);
    } else {
        close(bench->file.fd);
    }
    return 0;
}

static Cost measure_ours(const Row *row, const char *path, unsigned count, bool through_node, uint8_t *buffers)
{
    Bench bench = { .row = row, .path = path, .count = count, .through_node = through_node, .buffers = buffers };
    IoLoop *loop = io_loop_new("bench", NULL);

    io_loop_run(loop, run_bench, &bench);
    io_loop_free(loop);
    return bench.cost;
}

/* ---- the bare loop: as little as there can be between a request and the kernel ---- */

static Cost measure_bare(const Row *row, const char *path, unsigned count, uint8_t *buffers)
{
#ifdef HAVE_LIBURING
    int fd = open(path, O_RDWR | O_CLOEXEC | (row->direct ? O_DIRECT : 0));
    unsigned begun = 0, done = 0;
    double wall, cpu;
    struct io_uring ring;

    if (fd < 0 || io_uring_queue_init(DEPTH, &ring, 0) < 0) {
        return (Cost){ 0, 0 };
    }
    wall = seconds();
    cpu = cpu_seconds(RUSAGE_SELF);
    while (done < count) {
        struct io_uring_cqe *entry;

        for (; begun < count && begun - done < DEPTH; begun++) {
            struct io_uring_sqe *request = io_uring_get_sqe(&ring);
            uint8_t *buffer = buffers + (size_t)(begun % DEPTH) * row->bytes;

            if (row->write) {
                io_uring_prep_write(request, fd, buffer, row->bytes, offset_of(row, begun));
            } else {
                io_uring_prep_read(request, fd, buffer, row->bytes, offset_of(row, begun));
            }
        }
        io_uring_submit_and_wait(&ring, 1);
        while (io_uring_peek_cqe(&ring, &entry) == 0) {
            io_uring_cqe_seen(&ring, entry);
            done++;
        }
    }
    Cost cost = { (seconds() - wall) * 1e6 / count, (cpu_seconds(RUSAGE_SELF) - cpu) * 1e6 / count };
    io_uring_queue_exit(&ring);
    close(fd);
    return cost;
#else
    (void)row, (void)path, (void)count, (void)buffers;
    return (Cost){ 0, 0 };
#endif
}

static Cost measure_qemu(const Row *row, const char *path, unsigned count)
{
    g_autofree char *command = g_strdup_printf("qemu-img bench -f raw -t %s -i %s -c %u -d %d -s %u -S %u %s %s", row->direct ? "none" : "writeback",
                                               aio_names[row->kind], count, DEPTH, row->bytes, row->sequential ? row->bytes : 8192000,
                                               row->write ? "-w" : "", path);
    g_autofree char *out = NULL, *err = NULL;
    double cpu = cpu_seconds(RUSAGE_CHILDREN), wall = 0;
    const char *words = "Run completed in ", *found;

    if (!g_spawn_command_line_sync(command, &out, &err, NULL, NULL)) {
        return (Cost){ 0, 0 };
    }
    found = strstr(out, words);
    wall = found ? g_ascii_strtod(found + strlen(words), NULL) : 0;
    return (Cost){ wall * 1e6 / count, (cpu_seconds(RUSAGE_CHILDREN) - cpu) * 1e6 / count };
}

static void keep_least(Cost *least, Cost cost)
{
    if (cost.wall > 0 && (least->wall == 0 || cost.wall < least->wall)) {
        *least = cost;
    }
}

/* Each run begins with nothing left to be written by the host. */
static void settle(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        fdatasync(fd);
        close(fd);
    }
}

static void fill_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    g_autofree uint8_t *bytes = g_malloc(1 << 20);

    memset(bytes, 0x5a, 1 << 20);
    for (unsigned i = 0; fd >= 0 && i < FILE_SIZE >> 20; i++) {
        if (pwrite(fd, bytes, 1 << 20, (off_t)i << 20) != 1 << 20) {
            perror(path);
            exit(EXIT_FAILURE);
        }
    }
    fdatasync(fd);
    close(fd);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 5, count = argc > 3 ? (unsigned)atoi(argv[3]) : 0;
    const char *only = argc > 4 ? argv[4] : NULL;
    bool node_only = argc > 5 && strcmp(argv[5], "node") == 0;
    uint8_t *buffers;

    if (argc < 2 || posix_memalign((void **)&buffers, 4096, (size_t)DEPTH * 65536) != 0) {
        fprintf(stderr, "usage: block-bench FILE [ROUNDS [COUNT [ROWS [node]]]]\n");
        return EXIT_FAILURE;
    }
    memset(buffers, 0x5a, (size_t)DEPTH * 65536);
    if (!node_only) {
        fill_file(argv[1]);
    }
    printf("least of %u rounds, depth %d; microseconds a request: wall (processor)\n\n", rounds, DEPTH);
    printf("%-24s %-9s %-7s %16s %16s %16s %16s %8s\n", "", "engine", "cache", "engine alone", "node", "bare io_uring", "qemu-img", "qemu/node");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const Row *row = &rows[i];
        g_autofree char *label = g_strdup_printf("%s %s %s", aio_names[row->kind], row->direct ? "direct" : "page", row->name);

        if (only && !strstr(label, only)) {
            continue;
        }
        unsigned mine = count ? count : row->bytes == 65536 ? 8000 : row->direct ? 20000 : 50000;
        Cost engine = { 0 }, node = { 0 }, bare = { 0 }, qemu = { 0 };

        for (unsigned k = 0; k < rounds; k++) {
            if (!node_only) {
                settle(argv[1]);
                keep_least(&engine, measure_ours(row, argv[1], mine, false, buffers));
                settle(argv[1]);
                keep_least(&qemu, measure_qemu(row, argv[1], mine));
                settle(argv[1]);
                keep_least(&bare, measure_bare(row, argv[1], mine, buffers));
                settle(argv[1]);
            }
            keep_least(&node, measure_ours(row, argv[1], mine, true, buffers));
        }
        printf("%-24s %-9s %-7s %8.2f (%5.2f) %8.2f (%5.2f) %8.2f (%5.2f) %8.2f (%5.2f) %8.2f\n", row->name, aio_names[row->kind],
               row->direct ? "direct" : "page", engine.wall, engine.cpu, node.wall, node.cpu, bare.wall, bare.cpu, qemu.wall, qemu.cpu,
               node.wall > 0 ? qemu.wall / node.wall : 0.0);
        fflush(stdout);
    }
    free(buffers);
    return EXIT_SUCCESS;
}
