/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random.c - random operations on chains of qcow2 images, every byte held against a shadow in memory
 *
 * A run makes an image with random options and does random things to it: writes (also compressed, also many at once side by side), zeroes,
 * discards, snapshots made, applied and removed, new sizes, overlays, commits, rebases, closing and opening. What is read is compared with
 * the shadow; at its end the run compares everything, checks the images by our own check and by qemu-img's. One seed is one run:
 *
 *   block-random ROOST FOLDER [-seed N] [-runs N] [-operations N] [-paranoid 1]      prints TAP, a case for each run
 *
 * -paranoid compares everything after every operation: which one it was that did it.
 */
#include "base/error.h"
#include "base/json.h"
#include "block/driver.h"
#include "block/image.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE_MOST = 6 << 20, DEPTH_MOST = 4, SNAPSHOTS_MOST = 4, LENGTH_MOST = 300 << 10, BURST_MOST = 12, HISTORY = 24 };

typedef struct Saved { char name[16]; uint8_t *data; uint64_t size; } Saved;

typedef struct Run {
    const char *roost, *folder;
    uint64_t seed, operations, done, paranoid;
    GRand *random;
    IoLoop *loop;
    Node *node;
    char *files[DEPTH_MOST];               /* the chain, base first */
    unsigned depth, made;
    uint64_t cluster;
    bool raw_data, version2, extended;
    uint8_t *data;                         /* SIZE_MOST bytes: what the guest sees */
    uint64_t size;
    Saved saved[SNAPSHOTS_MOST];
    unsigned snapshots, named;
    uint8_t *buffer;
    char history[HISTORY][120];
    char *failure;
} Run;

static uint64_t pick(Run *run, uint64_t most)              /* 0 to most - 1 */
{
    return most > 1 ? ((uint64_t)g_rand_int(run->random) << 32 | g_rand_int(run->random)) % most : 0;
}

static void note(Run *run, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void note(Run *run, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(run->history[run->done % HISTORY], sizeof run->history[0], format, arguments);
    va_end(arguments);
}

static bool broken(Run *run, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool broken(Run *run, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (!run->failure) {
        run->failure = g_strdup_vprintf(format, arguments);
    }
    va_end(arguments);
    return false;
}

static bool went_well(Run *run, const char *what, int result)
{
    return result >= 0 || broken(run, "%s: %s", what, g_strerror(-result));
}

static bool said_well(Run *run, const char *what, bool ok, GError *err)
{
    if (!ok) {
        broken(run, "%s: %s", what, err ? err->message : "no sentence");
    }
    g_clear_error(&err);
    return ok;
}

/* ---- images ---- */

static char *new_path(Run *run)
{
    return g_strdup_printf("%s/run%" PRIu64 "-%u.qcow2", run->folder, run->seed, run->made++);
}

static const char *one_of(Run *run, const char *const *list)
{
    return list[pick(run, g_strv_length((char **)list))];
}

static Value *creation_options(Run *run, const char *backing)
{
    static const char *const clusters[] = { "512", "1k", "4k", "16k", "64k", "64k", "256k", "2M", NULL };
    static const char *const widths[] = { "1", "2", "4", "8", "16", "16", "32", "64", NULL };
    static const char *const preallocations[] = { "off", "off", "off", "metadata", "falloc", "full", NULL };
    Value *options = value_new_object();
    const char *cluster = one_of(run, clusters);
    bool version2 = pick(run, 6) == 0;

    value_set(options, "cluster_size", value_new_string(cluster));
    value_set(options, "compat", value_new_string(version2 ? "0.10" : "1.1"));
    if (!version2) {
        value_set(options, "refcount_bits", value_new_string(one_of(run, widths)));
        if (pick(run, 4) == 0) {
            value_set(options, "lazy_refcounts", value_new_string("on"));
        }
        if (strcmp(cluster, "16k") == 0 || strcmp(cluster, "64k") == 0 || strcmp(cluster, "256k") == 0 || strcmp(cluster, "2M") == 0) {
            value_set(options, "extended_l2", value_new_string(pick(run, 2) ? "on" : "off"));
        }
        if (pick(run, 3) == 0) {
            value_set(options, "compression_type", value_new_string("zstd"));
        }
    }
    if (backing) {
        value_set(options, "backing_file", value_new_string(backing));
        value_set(options, "backing_fmt", value_new_string("qcow2"));
    } else {
        value_set(options, "preallocation", value_new_string(one_of(run, preallocations)));
    }
    return options;
}

static bool open_top(Run *run)
{
    static const char *const caches[] = { NULL, "{\"cache-size\":\"64k\"}", "{\"l2-cache-size\":\"8k\",\"l2-cache-entry-size\":\"512\"}",
                                          "{\"lazy-refcounts\":true}", "{\"overlap-check\":\"all\"}" };
    const char *extra = caches[pick(run, G_N_ELEMENTS(caches))];
    g_autoptr(Value) more = extra && run->cluster >= 4096 ? json_parse(extra, NULL) : NULL;
    NodeOpen how = { .loop = run->loop, .writable = true, .discard = pick(run, 4) != 0 };
    GError *err = NULL;

    if (run->version2 && more && value_get(more, "lazy-refcounts")) {
        value_remove(more, "lazy-refcounts");
    }
    note(run, "open %s with %s", run->files[run->depth - 1], extra && more ? extra : "nothing more");
    return said_well(run, "open", node_open_file(&run->node, run->files[run->depth - 1], "qcow2", more, &how, &err), err);
}

static void close_top(Run *run)
{
    node_unref(g_steal_pointer(&run->node));
}

static bool create_top(Run *run)
{
    const char *backing = run->depth ? run->files[run->depth - 1] : NULL;
    g_autofree char *path = new_path(run);
    g_autoptr(Value) options = creation_options(run, backing);
    g_autofree char *text = json_print(options, false);
    const NodeOpen how = { .loop = run->loop, .writable = true, .trust = true };
    GError *err = NULL;

    note(run, "create %s %" PRIu64 " %s", path, run->size, text);
    if (!said_well(run, text, image_create(path, "qcow2", run->size, options, true, true, &how, &err), err)) {
        return false;
    }
    run->cluster = 0;
    parse_size(value_get_string(options, "cluster_size", ""), 1, &run->cluster);
    run->version2 = strcmp(value_get_string(options, "compat", ""), "0.10") == 0;
    run->extended = strcmp(value_get_string(options, "extended_l2", "off"), "on") == 0;
    run->files[run->depth++] = g_steal_pointer(&path);
    return open_top(run);
}

static bool run_tool(Run *run, const char *const *argv)
{
    g_autofree char *out = NULL, *said = NULL;
    g_autofree char *line = g_strjoinv(" ", (char **)argv);
    int status = 0;
    GError *err = NULL;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &said, &status, &err)) {
        return said_well(run, line, false, err);
    }
    return status == 0 || broken(run, "%s: status %d: %s%s", line, status >> 8, out, said);
}

/* Ours counts; qemu-img's says the same of the file, where it is installed. */
static bool check_images(Run *run)
{
    static int have_qemu_img = -1;

    if (have_qemu_img < 0) {
        g_autofree char *found = g_find_program_in_path("qemu-img");
        have_qemu_img = found != NULL;
    }
    for (unsigned i = 0; i < run->depth; i++) {
        const char *ours[] = { run->roost, "img", "check", "-q", "-f", "qcow2", run->files[i], NULL };
        const char *theirs[] = { "qemu-img", "check", "-q", "-f", "qcow2", run->files[i], NULL };
        if (!run_tool(run, ours) || (have_qemu_img && !run_tool(run, theirs))) {
            return false;
        }
    }
    return true;
}

/* ---- comparing ---- */

static bool compare(Run *run, uint64_t offset, uint64_t length)
{
    if (!went_well(run, "read", node_pread(run->node, offset, run->buffer, length))) {
        return false;
    }
    for (uint64_t i = 0; i < length; i++) {
        if (run->buffer[i] != run->data[offset + i]) {
            return broken(run, "byte %" PRIu64 " (cluster %" PRIu64 " of %" PRIu64 " bytes) is %02x, should be %02x; read of %" PRIu64 " at %" PRIu64,
                          offset + i, (offset + i) / run->cluster, run->cluster, run->buffer[i], run->data[offset + i], length, offset);
        }
    }
    return true;
}

static bool compare_all(Run *run)
{
    if (node_length(run->node) != run->size) {
        return broken(run, "the image has %" PRIu64 " bytes, should have %" PRIu64, node_length(run->node), run->size);
    }
    for (uint64_t at = 0; at < run->size; at += LENGTH_MOST) {
        if (!compare(run, at, MIN(LENGTH_MOST, run->size - at))) {
            return false;
        }
    }
    return true;
}

/* A range inside the image; most often within few clusters, sometimes aligned. */
static uint64_t pick_range(Run *run, uint64_t *length)
{
    uint64_t grain = pick(run, 3) == 0 ? run->cluster : pick(run, 2) ? 512 : 1;
    uint64_t few = pick(run, 4) ? MIN(4 * run->cluster, LENGTH_MOST) : LENGTH_MOST, most = MIN(few, run->size);
    uint64_t offset = pick(run, run->size);

    offset -= offset % grain;
    *length = 1 + pick(run, most);
    if (*length > grain) {
        *length -= *length % grain;
    }
    *length = MIN(*length, run->size - offset);
    return offset;
}

/* Words that no two writes share; runs of zeroes among them now and then. */
static void fill(Run *run, uint8_t *out, uint64_t length)
{
    uint64_t word = run->seed * 0x9e3779b97f4a7c15u + run->done * 0xbf58476d1ce4e5b9u;
    bool zeroes = pick(run, 12) == 0;

    for (uint64_t i = 0; i < length; i++) {
        word = word * 6364136223846793005u + 1442695040888963407u;
        out[i] = zeroes ? 0 : (uint8_t)(word >> 56);
    }
}

/* ---- operations ---- */

static bool do_read(Run *run)
{
    uint64_t length, offset = pick_range(run, &length);

    note(run, "read %" PRIu64 " at %" PRIu64, length, offset);
    return compare(run, offset, length);
}

static bool do_write(Run *run)
{
    uint64_t length, offset = pick_range(run, &length);
    RequestFlags flags = pick(run, 8) == 0 ? REQ_FUA : 0;

    note(run, "write %" PRIu64 " at %" PRIu64, length, offset);
    fill(run, run->data + offset, length);
    struct iovec pieces[2] = { { run->data + offset, length / 3 }, { run->data + offset + length / 3, length - length / 3 } };
    return went_well(run, "write", node_pwritev(run->node, offset, iov_all(pieces, 2), flags));
}

static bool do_write_compressed(Run *run)
{
    uint64_t clusters = (run->size + run->cluster - 1) / run->cluster, first = pick(run, clusters), offset = first * run->cluster;
    uint64_t wanted = (1 + pick(run, 3)) * run->cluster, length = MIN(wanted, run->size - offset);

    if (length > LENGTH_MOST && run->cluster <= LENGTH_MOST) {
        length = run->cluster;
    }
    note(run, "write compressed %" PRIu64 " at %" PRIu64, length, offset);
    fill(run, run->data + offset, length);
    if (pick(run, 2)) {
        memset(run->data + offset, 0x5a, length / 2);
    }
    struct iovec piece = { run->data + offset, length };
    return went_well(run, "write compressed", node_pwritev(run->node, offset, iov_all(&piece, 1), REQ_COMPRESSED));
}

static bool do_zeroes(Run *run)
{
    uint64_t length, offset = pick_range(run, &length);
    bool unmap = pick(run, 2);

    note(run, "zeroes %" PRIu64 " at %" PRIu64 "%s", length, offset, unmap ? ", unmap" : "");
    memset(run->data + offset, 0, length);
    return went_well(run, "zeroes", node_pwrite_zeroes(run->node, offset, length, unmap ? REQ_MAY_UNMAP : 0));
}

/* What was discarded reads as before or as zeroes, and from then on stays so. */
static bool do_discard(Run *run)
{
    uint64_t length, offset = pick_range(run, &length);

    note(run, "discard %" PRIu64 " at %" PRIu64, length, offset);
    if (!went_well(run, "discard", node_pdiscard(run->node, offset, length)) ||
        !went_well(run, "read after discard", node_pread(run->node, offset, run->buffer, length))) {
        return false;
    }
    for (uint64_t i = 0; i < length; i++) {
        if (run->buffer[i] != 0 && run->buffer[i] != run->data[offset + i]) {
            return broken(run, "byte %" PRIu64 " is %02x after a discard, was %02x", offset + i, run->buffer[i], run->data[offset + i]);
        }
    }
    memcpy(run->data + offset, run->buffer, length);
    return true;
}

typedef struct Burst { Run *run; uint64_t offset, length; unsigned kind; unsigned *left; Coroutine *waiter; } Burst;

static void burst_entry(void *opaque)
{
    Burst *burst = opaque;
    Run *run = burst->run;
    struct iovec piece = { run->data + burst->offset, burst->length };
    int result = burst->kind == 0 ? node_pwrite_zeroes(run->node, burst->offset, burst->length, REQ_MAY_UNMAP)
                 : burst->kind == 1 ? node_flush(run->node) : node_pwritev(run->node, burst->offset, iov_all(&piece, 1), 0);

    went_well(run, "request of a burst", result);
    if (--*burst->left == 0 && burst->waiter) {
        io_loop_wake(run->loop, burst->waiter);
    }
}

/* Requests that touch each other's clusters and not each other's bytes, all at once. */
static bool do_burst(Run *run)
{
    unsigned count = 2 + (unsigned)pick(run, BURST_MOST - 2), left = count;
    uint64_t at = pick(run, run->size), span = MIN(run->size - at, (uint64_t)LENGTH_MOST);
    Burst bursts[BURST_MOST];

    note(run, "burst of %u within %" PRIu64 " at %" PRIu64, count, span, at);
    for (unsigned i = 0; i < count; i++) {
        uint64_t begin = at + span * i / count, end = at + span * (i + 1) / count;
        bursts[i] = (Burst){ run, begin, end - begin, (unsigned)pick(run, 8), &left, NULL };
        if (bursts[i].kind != 1 && end > begin) {
            if (bursts[i].kind == 0) {
                memset(run->data + begin, 0, end - begin);
            } else {
                fill(run, run->data + begin, end - begin);
            }
        } else {
            bursts[i].kind = 1;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        Coroutine *coroutine = coroutine_new(burst_entry, &bursts[i]);
        if (!coroutine) {
            return broken(run, "no memory for a coroutine");
        }
        coroutine_enter(coroutine);
    }
    if (left) {
        for (unsigned i = 0; i < count; i++) {
            bursts[i].waiter = coroutine_self();
        }
        coroutine_yield();
    }
    return !run->failure;
}

static bool do_flush(Run *run)
{
    note(run, "flush");
    return went_well(run, "flush", node_flush(run->node));
}

static bool do_reopen(Run *run)
{
    close_top(run);
    return open_top(run);
}

static bool do_snapshot(Run *run)
{
    const ImageSnapshotOps *ops = node_driver(run->node)->snapshots;
    GError *err = NULL;

    if (run->snapshots < SNAPSHOTS_MOST && pick(run, 2)) {
        Saved *saved = &run->saved[run->snapshots];
        ImageSnapshot snapshot = { .icount = -1 };
        snprintf(saved->name, sizeof saved->name, "s%u", run->named++);
        snapshot.name = g_strdup(saved->name);
        note(run, "snapshot create %s", saved->name);
        int result = ops->create(run->node, &snapshot, &err);
        if (result == -ENOTSUP || result == -ERANGE) {     /* one-bit refcounts cannot share */
            g_clear_error(&err);
            image_snapshot_clear(&snapshot);
            return compare_all(run);
        }
        bool ok = said_well(run, "snapshot create", result >= 0, err);
        image_snapshot_clear(&snapshot);
        saved->data = g_memdup2(run->data, run->size);
        saved->size = run->size;
        run->snapshots++;
        return ok;
    }
    if (!run->snapshots) {
        return true;
    }
    unsigned which = (unsigned)pick(run, run->snapshots);
    ImageSnapshot found = { 0 };
    if (!said_well(run, "snapshot find", image_snapshot_find(run->node, run->saved[which].name, &found, &err), err)) {
        return false;
    }
    bool apply = pick(run, 2);
    note(run, "snapshot %s %s", apply ? "apply" : "remove", run->saved[which].name);
    int result = apply ? ops->apply(run->node, found.id, &err) : ops->remove(run->node, found.id, &err);
    image_snapshot_clear(&found);
    if (apply && result == -ERANGE) {      /* a refcount at its limit: nothing has happened */
        g_clear_error(&err);
        return compare_all(run);
    }
    if (!said_well(run, "snapshot", result >= 0, err)) {
        return false;
    }
    if (apply) {
        memcpy(run->data, run->saved[which].data, run->saved[which].size);
        run->size = run->saved[which].size;
        return compare_all(run);
    }
    g_free(run->saved[which].data);
    run->saved[which] = run->saved[--run->snapshots];
    return true;
}

static bool do_resize(Run *run)
{
    uint64_t size = 512 * (1 + pick(run, SIZE_MOST / 512));
    GError *err = NULL;

    if (size < run->size && (run->snapshots || run->depth > 1)) {
        return true;                       /* below the end of a snapshot or of what the backing file shows */
    }
    note(run, "resize from %" PRIu64 " to %" PRIu64, run->size, size);
    int result = node_truncate(run->node, size, true, PREALLOC_OFF, REQ_ZERO_WRITE, &err);
    if (result == -ENOTSUP && run->snapshots) {            /* version 2 keeps no sizes in its snapshots */
        g_clear_error(&err);
        return true;
    }
    if (!said_well(run, "resize", result >= 0, err)) {
        return false;
    }
    if (size > run->size) {
        memset(run->data + run->size, 0, size - run->size);
    }
    run->size = size;
    return true;
}

static void forget_snapshots(Run *run)
{
    while (run->snapshots) {
        g_free(run->saved[--run->snapshots].data);
    }
}

static bool do_overlay(Run *run)
{
    if (run->depth == DEPTH_MOST) {
        return true;
    }
    close_top(run);
    forget_snapshots(run);                 /* they stay in the image below, which nobody touches now */
    return create_top(run);
}

static bool reopen_after_tool(Run *run)
{
    return open_top(run) && compare_all(run);
}

static bool do_commit(Run *run)
{
    if (run->depth < 2 || run->snapshots) {
        return true;
    }
    note(run, "commit %s", run->files[run->depth - 1]);
    close_top(run);
    const char *argv[] = { run->roost, "img", "commit", "-q", "-f", "qcow2", run->files[run->depth - 1], NULL };
    if (!run_tool(run, argv) && strstr(run->failure, "v2 image which has snapshots")) {
        g_clear_pointer(&run->failure, g_free);            /* the image below would have to grow and cannot: nothing has happened */
        return reopen_after_tool(run);
    }
    return !run->failure && reopen_after_tool(run);
}

static bool do_rebase(Run *run)
{
    if (run->depth < 3 || run->snapshots) {
        return true;
    }
    unsigned onto = (unsigned)pick(run, run->depth - 1);
    note(run, "rebase %s onto %s", run->files[run->depth - 1], run->files[onto]);
    close_top(run);
    const char *argv[] = { run->roost, "img", "rebase", "-q", "-f", "qcow2", "-F", "qcow2", "-b", run->files[onto], run->files[run->depth - 1], NULL };
    if (!run_tool(run, argv)) {
        return false;
    }
    if (onto != run->depth - 2) {          /* what lay between is not part of the chain any more */
        char *top = run->files[run->depth - 1];
        for (unsigned i = onto + 1; i < run->depth - 1; i++) {
            unlink(run->files[i]);
            g_free(run->files[i]);
        }
        run->files[onto + 1] = top;
        run->depth = onto + 2;
    }
    return reopen_after_tool(run);
}

static const struct { bool (*run)(Run *run); unsigned weight; } operations[] = {
    { do_read, 200 }, { do_write, 300 }, { do_write_compressed, 60 }, { do_zeroes, 80 }, { do_discard, 80 }, { do_burst, 60 }, { do_flush, 20 },
    { do_reopen, 10 }, { do_snapshot, 12 }, { do_resize, 10 }, { do_overlay, 2 }, { do_commit, 1 }, { do_rebase, 1 },
};

static bool step(Run *run)
{
    unsigned total = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        total += operations[i].weight;
    }
    uint64_t chosen = pick(run, total);
    for (size_t i = 0; i < G_N_ELEMENTS(operations); i++) {
        if (chosen < operations[i].weight) {
            return operations[i].run(run);
        }
        chosen -= operations[i].weight;
    }
    return true;
}

static int run_entry(void *opaque)
{
    Run *run = opaque;

    run->size = 512 * (1 + pick(run, SIZE_MOST / 512));
    bool ok = create_top(run);
    for (run->done = 1; ok && run->done <= run->operations; run->done++) {
        ok = step(run) && (!run->paranoid || compare_all(run));
    }
    ok = ok && compare_all(run);
    if (run->node) {
        close_top(run);
    }
    ok = ok && check_images(run);
    return ok ? 0 : -EIO;
}

static bool one_run(const char *roost, const char *folder, uint64_t seed, uint64_t operations_wanted, uint64_t paranoid, unsigned number)
{
    g_autoptr(GError) err = NULL;
    Run run = { .roost = roost, .folder = folder, .seed = seed, .operations = operations_wanted, .paranoid = paranoid, .random = g_rand_new_with_seed((guint32)seed),
                .loop = io_loop_new("random", &err), .data = g_malloc0(SIZE_MOST), .buffer = g_malloc(SIZE_MOST) };
    int result = run.loop ? io_loop_run(run.loop, run_entry, &run) : -ENOMEM;

    printf("%s %u - seed %" PRIu64 ", %" PRIu64 " operations\n", result ? "not ok" : "ok", number, seed, operations_wanted);
    if (result) {
        printf("# operation %" PRIu64 ": %s\n# reproduce: block-random %s %s -seed %" PRIu64 " -runs 1 -operations %" PRIu64 "\n", run.done,
               run.failure ? run.failure : g_strerror(-result), roost, folder, seed, operations_wanted);
        for (uint64_t i = run.done >= HISTORY ? run.done - HISTORY + 1 : 0; i <= run.done; i++) {
            printf("# %" PRIu64 ": %s\n", i, run.history[i % HISTORY]);
        }
    }
    fflush(stdout);
    for (unsigned i = 0; i < run.depth; i++) {
        if (!result) {
            unlink(run.files[i]);
        }
        g_free(run.files[i]);
    }
    forget_snapshots(&run);
    io_loop_free(run.loop);
    g_rand_free(run.random);
    g_free(run.data);
    g_free(run.buffer);
    g_free(run.failure);
    return result == 0;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, runs = 8, count = 400, paranoid = 0;
    bool ok = true;

    for (int i = 3; i + 1 < argc; i += 2) {
        uint64_t *number = strcmp(argv[i], "-seed") == 0 ? &seed : strcmp(argv[i], "-runs") == 0 ? &runs : strcmp(argv[i], "-operations") == 0 ? &count :
                           strcmp(argv[i], "-paranoid") == 0 ? &paranoid : NULL;
        if (!number || !parse_uint(argv[i + 1], number)) {
            argc = 0;
        }
    }
    if (argc < 3) {
        fprintf(stderr, "usage: block-random ROOST FOLDER [-seed N] [-runs N] [-operations N] [-paranoid 1]\n");
        return 2;
    }
    g_autofree char *folder = g_strdup_printf("%s/roost-random-XXXXXX", argv[2]);
    if (!g_mkdtemp(folder)) {
        perror(folder);
        return 2;
    }
    printf("TAP version 13\n1..%" PRIu64 "\n", runs);
    for (uint64_t i = 0; i < runs; i++) {
        ok = one_run(argv[1], folder, seed + i, count, paranoid, (unsigned)i + 1) && ok;
    }
    rmdir(folder);
    return ok ? 0 : 1;
}
