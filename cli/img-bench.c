/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img-bench.c - roost img bench: how fast requests to an image go
 *
 * As many coroutines as requests shall be under way; each draws the next offset, until all were drawn.
 *
 * Threads  the tool's only one, and the engine's
 * Tests    tests/block/img-commands.py
 */
#include "base/timer.h"
#include "block/driver.h"
#include "cli/img.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Bench {
    Img img;
    uint64_t count, depth, size, step, offset, flush_interval, pattern;
    const char *engine;
    bool write, native, no_drain;
    /* while it runs */
    Node *node;
    RequestFlags flags;
    uint64_t length, at, begun, since_flush, running;
    CoQueue drained;
    bool draining;
    uint8_t *buffers;                      /* one for each request under way, touched before the clock runs */
    unsigned members;
    int result;
} Bench;

static const ToolOption bench_options[] = {
    OPTION_NUMBER('c', NULL, "COUNT", Bench, count, "how many requests (75000)", .min = 1, .max = INT32_MAX),
    OPTION_NUMBER('d', NULL, "DEPTH", Bench, depth, "how many at once (64)", .min = 1, .max = 4096),
    OPTION_SIZE('s', NULL, "BYTES", Bench, size, "how long each is (4096)", .min = 1, .max = 1 << 30),
    OPTION_SIZE('S', NULL, "BYTES", Bench, step, "how far the next one begins behind it (BYTES of -s)", .min = 0, .max = INT32_MAX),
    OPTION_SIZE('o', NULL, "OFFSET", Bench, offset, "where the first one begins (0)"),
    OPTION_FLAG('w', NULL, Bench, write, "write instead of read"),
    OPTION_NUMBER(0, "pattern", "BYTE", Bench, pattern, "what is written (0)", .min = 0, .max = 255),
    OPTION_NUMBER(0, "flush-interval", "COUNT", Bench, flush_interval, "a flush after so many writes", .min = 1, .max = INT32_MAX),
    OPTION_FLAG(0, "no-drain", Bench, no_drain, "do not wait for what is under way before a flush"),
    OPTION_TEXT('i', "aio", "ENGINE", Bench, engine, "threads, native or io_uring"),
    OPTION_FLAG('n', "native", Bench, native, "as --aio=native"),
    IMG_CACHE, IMG_FORMAT, IMG_IMAGE_OPTS, IMG_SHARE, IMG_QUIET, IMG_OBJECT, IMG_TRUST, IMG_HELP, IMG_OPTIONS_END };

static void bench_preset(Img *img)
{
    Bench *bench = (Bench *)img;

    bench->count = 75000;
    bench->depth = 64;
    bench->size = 4096;
}

/* The offset of the next request; at the image's end it goes on at its beginning. */
static uint64_t next_offset(Bench *bench)
{
    uint64_t offset = bench->at;

    bench->at += bench->step;
    if (bench->length <= bench->size) {
        bench->at = 0;
    } else {
        bench->at %= bench->length - bench->size;
    }
    return offset;
}

/* A flush sees either what was completed before it (and then the others wait), or whatever is under way. */
static int flush_now_and_then(Bench *bench)
{
    int result;

    if (!bench->flush_interval || ++bench->since_flush < bench->flush_interval) {
        return 0;
    }
    bench->since_flush = 0;
    if (bench->no_drain) {
        return node_flush(bench->node);
    }
    bench->draining = true;
    while (bench->running > 1) {
        co_queue_wait(&bench->drained, NULL);
    }
    result = node_flush(bench->node);
    bench->draining = false;
    co_queue_wake_all(&bench->drained);
    return result;
}

static int one_request(Bench *bench, Iov iov)
{
    uint64_t offset = next_offset(bench);
    int result;

    bench->running++;
    result = bench->write ? node_pwritev(bench->node, offset, iov, bench->flags) : node_preadv(bench->node, offset, iov, 0);
    if (result >= 0 && bench->write) {
        result = flush_now_and_then(bench);
    }
    if (--bench->running == 1 && bench->draining) {
        co_queue_wake_all(&bench->drained);
    }
    return result;
}

/* With the room that keeps the next one aligned. */
static uint64_t buffer_bytes(const Bench *bench)
{
    uint64_t alignment = MAX(4096, node_limits(bench->node)->memory_alignment);

    return (bench->size + alignment - 1) / alignment * alignment;
}

static int bench_member(void *opaque)
{
    Bench *bench = opaque;
    struct iovec iov = { bench->buffers + bench->members++ * buffer_bytes(bench), bench->size };
    int result = 0;

    while (result >= 0 && bench->result >= 0) {
        while (bench->draining) {
            co_queue_wait(&bench->drained, NULL);
        }
        if (bench->begun == bench->count) {
            break;
        }
        bench->begun++;
        result = one_request(bench, iov_all(&iov, 1));
    }
    if (result < 0) {
        bench->result = result;
    }
    return result;
}

static bool measure(Bench *bench, GError **err)
{
    uint64_t team = MIN(bench->depth, bench->count);
    int64_t began, took;

    bench->buffers = tool_buffer(bench->node, NULL, team * buffer_bytes(bench));
    if (!bench->buffers) {
        return fail(err, ENOMEM, "no memory for %" G_GUINT64_FORMAT " requests of %" G_GUINT64_FORMAT " bytes", team, bench->size);
    }
    memset(bench->buffers, bench->write ? (int)bench->pattern : 0, team * buffer_bytes(bench));
    printf("Sending %" G_GUINT64_FORMAT " %s requests, %" G_GUINT64_FORMAT " bytes each, %" G_GUINT64_FORMAT
            " in parallel (starting at offset %" G_GUINT64_FORMAT ", step size %" G_GUINT64_FORMAT ")\n", bench->count,
            bench->write ? "write" : "read", bench->size, bench->depth, bench->offset, bench->step);
    if (bench->flush_interval) {
        printf("Sending flush every %" G_GUINT64_FORMAT " requests\n", bench->flush_interval);
    }
    fflush(stdout);
    began = clock_now(CLOCK_STEADY);
    tool_team((unsigned)team, bench_member, bench);
    took = clock_now(CLOCK_STEADY) - began;
    free(bench->buffers);
    if (bench->result < 0) {
        return fail(err, -bench->result, "Failed request: %s", g_strerror(-bench->result));
    }
    printf("Run completed in %3.3f seconds.\n", (double)took / NS_PER_SECOND);
    return true;
}

static bool usage_is_right(Bench *bench, GError **err)
{
    if (bench->native) {
        bench->engine = "native";
    }
    if (bench->engine && strcmp(bench->engine, "threads") != 0 && strcmp(bench->engine, "native") != 0 && strcmp(bench->engine, "io_uring") != 0) {
        return fail(err, EINVAL, "Invalid aio option: %s: threads, native and io_uring are known", bench->engine);
    }
    if (!bench->write && bench->flush_interval) {
        return fail(err, EINVAL, "--flush-interval is only available in write tests");
    }
    if (bench->flush_interval && bench->flush_interval < bench->depth) {
        return fail(err, EINVAL, "Flush interval can't be smaller than depth");
    }
    return true;
}

static int bench_run(Img *img, GError **err)
{
    Bench *bench = (Bench *)img;
    ToolOpen how = img_how(img, img->operands[0]);
    g_autoptr(Value) more = NULL;
    ToolImage image;
    bool done;

    if (!usage_is_right(bench, err)) {
        return 1;
    }
    if (bench->engine) {
        Value *file = value_new_object();
        more = value_new_object();
        value_set(file, "aio", value_new_string(bench->engine));
        value_set(more, "file", file);
        how.more = more;
    }
    how.writable = bench->write;
    if (!tool_open(&image, &how, err)) {
        return 1;
    }
    bench->node = image.node;
    bench->flags = image.write_flags;
    bench->length = node_length(image.node);
    bench->at = bench->offset;
    bench->step = bench->step ? bench->step : bench->size;
    done = bench->length >= bench->size || fail(err, EINVAL, "the image is shorter than one request of %" G_GUINT64_FORMAT " bytes", bench->size);
    done = done && measure(bench, err);
    done = tool_close_written(&image, img->operands[0], done, err);
    return done ? 0 : 1;
}

const ImgCommand img_bench = {
    .name = "bench", .operands = "FILE", .least = 1, .most = 1, .wanted = "Expecting one image file name", .size = sizeof(Bench),
    .preset = bench_preset,
    .help = "Times many requests to an image, one behind the other, several at once.",
    .options = bench_options, .run = bench_run,
};
