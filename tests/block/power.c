/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * power.c - the power goes, at every moment of a recorded run, with a disk that had not yet kept what it was not asked to flush
 *
 * A workload runs on a qcow2 image whose file is a recorder: each write has a moment when it began and one when it ended, and so has each
 * flush. For every moment the image is built again as a disk might hold it: what a flush has covered is there; of the rest nothing, all,
 * some, some in halves (sectors are whole), or all in another order. Each such image must open, check clean of corruption (leaks are
 * allowed), and each sector must hold what a flush has acknowledged to the guest, or something written to it later.
 *
 *   block-power [-seed N] [-runs N] [-operations N]      prints TAP, a case for each run
 */
#include "base/bytes.h"
#include "block/drivers.h"
#include "block/image.h"
#include "base/json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512, GUEST_SIZE = 1 << 20, GUEST_SECTORS = GUEST_SIZE / SECTOR, FILE_MOST = 64 << 20, BURST = 6 };

/* ---- the recorder ---- */

typedef struct Event {
    enum { EVENT_WRITE, EVENT_FLUSH, EVENT_SIZE } kind;
    uint64_t offset, length;               /* EVENT_SIZE: the new length of the file */
    uint8_t *data;
    uint64_t begin, end;                   /* moments; end 0: not yet */
} Event;

typedef struct Disk {
    GByteArray *bytes;
    GPtrArray *events;                     /* NULL: nothing is recorded */
    GRand *random;
    uint64_t *clock;
} Disk;

static Disk *disk;                         /* that the next recorder opens */

typedef struct Recorder { Node node; Disk *disk; } Recorder;

static bool recorder_open(Node *node, const NodeOpen *how, GError **err)
{
    (void)how;
    (void)err;
    ((Recorder *)node)->disk = disk;
    node->length = disk->bytes->len;
    node->growable = node->zero_beyond = true;
    return true;
}

/* Others run while a request is under way. */
static void dawdle(Disk *on)
{
    for (int turns = on->events ? (int)(g_rand_int(on->random) % 3) : 0; turns > 0; turns--) {
        co_yield_turn();
    }
}

static Event *begin(Disk *on, int kind, uint64_t offset, uint64_t length)
{
    Event *event;

    if (!on->events) {
        return NULL;
    }
    event = g_new0(Event, 1);
    event->kind = kind;
    event->offset = offset;
    event->length = length;
    event->begin = ++*on->clock;
    g_ptr_array_add(on->events, event);
    return event;
}

static void end(Disk *on, Event *event)
{
    if (event) {
        event->end = ++*on->clock;
    }
}

static int recorder_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    Disk *on = ((Recorder *)node)->disk;
    uint64_t there = offset < on->bytes->len ? MIN(to.bytes, on->bytes->len - offset) : 0;

    (void)flags;
    dawdle(on);
    there = offset < on->bytes->len ? MIN(to.bytes, on->bytes->len - offset) : 0;
    iov_put(to, 0, on->bytes->data + offset, there);
    iov_set(to, there, 0, to.bytes - there);
    return 0;
}

static void place(GByteArray *bytes, uint64_t offset, const uint8_t *data, uint64_t length)
{
    if (offset + length > bytes->len) {
        guint old = bytes->len;
        g_byte_array_set_size(bytes, (guint)(offset + length));
        memset(bytes->data + old, 0, bytes->len - old);
    }
    memcpy(bytes->data + offset, data, length);
}

static int recorder_write(Node *node, uint64_t offset, uint8_t *take, uint64_t length)
{
    Disk *on = ((Recorder *)node)->disk;

    if (offset > FILE_MOST || length > FILE_MOST - offset) {
        g_free(take);
        return -ENOSPC;
    }
    Event *event = begin(on, EVENT_WRITE, offset, length);
    dawdle(on);
    place(on->bytes, offset, take, length);
    node->length = MAX(node->length, on->bytes->len);
    if (event) {
        event->data = take;
    } else {
        g_free(take);
    }
    end(on, event);
    return 0;
}

static int recorder_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    uint8_t *data = g_malloc(from.bytes);

    (void)flags;
    iov_get(from, 0, data, from.bytes);
    return recorder_write(node, offset, data, from.bytes);
}

static int recorder_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    (void)flags;
    return recorder_write(node, offset, g_malloc0(bytes), bytes);
}

/* The unkindest reading of a discard: what was there is gone, as if zeroes had been written. */
static int recorder_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    uint64_t length = ((Recorder *)node)->disk->bytes->len;

    return offset < length ? recorder_write(node, offset, g_malloc0(bytes), MIN(bytes, length - offset)) : 0;
}

static int recorder_flush(Node *node)
{
    Disk *on = ((Recorder *)node)->disk;
    Event *event = begin(on, EVENT_FLUSH, 0, 0);

    dawdle(on);
    end(on, event);
    return 0;
}

static void set_length(GByteArray *bytes, uint64_t length)
{
    guint old = bytes->len;

    g_byte_array_set_size(bytes, (guint)length);
    if (length > old) {
        memset(bytes->data + old, 0, length - old);
    }
}

static int recorder_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err)
{
    Disk *on = ((Recorder *)node)->disk;

    (void)exact;
    (void)preallocation;
    (void)flags;
    (void)err;
    if (size > FILE_MOST) {
        return -ENOSPC;
    }
    Event *event = begin(on, EVENT_SIZE, 0, size);
    set_length(on->bytes, size);
    node->length = size;
    end(on, event);
    return 0;
}

static int64_t recorder_length(Node *node)
{
    return ((Recorder *)node)->disk->bytes->len;
}

static const NodeDriver recorder_driver = {
    .name = "recorder", .help = "memory that remembers", .kind = NODE_PROTOCOL, .size = sizeof(Recorder),
    .open = recorder_open, .preadv = recorder_preadv, .pwritev = recorder_pwritev, .pwrite_zeroes = recorder_pwrite_zeroes,
    .pdiscard = recorder_pdiscard, .flush = recorder_flush, .truncate = recorder_truncate, .length = recorder_length,
};

/* In place of block/drivers.c. */
const NodeDriver *const node_drivers[] = { &recorder_driver, &raw_driver, &qcow2_driver, NULL };

const NodeDriver *node_driver_find(const char *name)
{
    for (size_t i = 0; name && node_drivers[i]; i++) {
        if (strcmp(node_drivers[i]->name, name) == 0) {
            return node_drivers[i];
        }
    }
    return NULL;
}

/* ---- what the guest did ---- */

typedef struct Version { uint32_t sector, tag; uint64_t begin, end; bool optional; } Version;    /* optional: a discard */
typedef struct GuestFlush { uint64_t begin, end; } GuestFlush;

typedef struct Run {
    uint64_t seed, operations;
    GRand *random;
    IoLoop *loop;
    Disk disk;
    uint64_t clock;
    GByteArray *start;
    GArray *versions[GUEST_SECTORS], *flushes;
    uint32_t tags;
    Node *node;
    bool lazy;
    const char *options;
    unsigned snapshots;
    char *failure;
    uint64_t images;                       /* looked at */
} Run;

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

static void fill_sector(uint8_t *out, uint32_t sector, uint32_t tag)
{
    for (unsigned i = 0; i < SECTOR; i += 8) {
        store_le64(out + i, tag ? (uint64_t)tag << 32 | sector : 0);
    }
}

typedef struct Work {
    Run *run;
    uint32_t sector, count, tag;
    enum { WORK_WRITE, WORK_ZERO, WORK_DISCARD, WORK_FLUSH } kind;
    unsigned *left;
    Coroutine *waiter;
} Work;

static int carry_out(Work *work)
{
    Run *run = work->run;
    uint64_t offset = (uint64_t)work->sector * SECTOR, length = (uint64_t)work->count * SECTOR;

    if (work->kind == WORK_ZERO) {
        return node_pwrite_zeroes(run->node, offset, length, g_rand_int(run->random) % 2 ? REQ_MAY_UNMAP : 0);
    }
    if (work->kind == WORK_DISCARD) {
        return node_pdiscard(run->node, offset, length);
    }
    g_autofree uint8_t *data = g_malloc(length);
    for (uint32_t i = 0; i < work->count; i++) {
        fill_sector(data + i * SECTOR, work->sector + i, work->tag);
    }
    return node_pwrite(run->node, offset, data, length);
}

static void finish_versions(Work *work)
{
    uint64_t now = ++work->run->clock;

    for (uint32_t i = 0; i < work->count; i++) {
        GArray *list = work->run->versions[work->sector + i];
        for (guint j = list->len; j-- > 0;) {
            Version *version = &g_array_index(list, Version, j);
            if (version->tag == work->tag && !version->end) {
                version->end = now;
                break;
            }
        }
    }
}

static void work_entry(void *opaque)
{
    Work *work = opaque;
    Run *run = work->run;
    int result;

    if (work->kind == WORK_FLUSH) {
        GuestFlush flush = { ++run->clock, 0 };
        result = node_flush(run->node);
        flush.end = ++run->clock;
        g_array_append_val(run->flushes, flush);
    } else {
        for (uint32_t i = 0; i < work->count; i++) {
            Version version = { work->sector + i, work->tag, run->clock + 1, 0, work->kind == WORK_DISCARD };
            g_array_append_val(run->versions[work->sector + i], version);
        }
        run->clock++;
        result = carry_out(work);
        finish_versions(work);
    }
    if (result < 0) {
        broken(run, "a request of the workload: %s", g_strerror(-result));
    }
    if (--*work->left == 0 && work->waiter) {
        io_loop_wake(run->loop, work->waiter);
    }
}

/* Disjoint requests side by side; a flush among them now and then. */
static bool do_burst(Run *run)
{
    Work works[BURST];
    unsigned count = 1 + g_rand_int(run->random) % BURST, left = count;
    uint32_t span = 1 + g_rand_int(run->random) % (g_rand_int(run->random) % 4 ? 64 : 600);
    uint32_t at = g_rand_int(run->random) % GUEST_SECTORS;

    span = MIN(span, GUEST_SECTORS - at);
    for (unsigned i = 0; i < count; i++) {
        uint32_t first = at + span * i / count, behind = at + span * (i + 1) / count;
        unsigned dice = g_rand_int(run->random) % 16;
        works[i] = (Work){ run, first, behind - first, dice < 12 ? ++run->tags : 0,
                           behind == first || dice == 15 ? WORK_FLUSH : dice < 12 ? WORK_WRITE : dice < 14 ? WORK_ZERO : WORK_DISCARD, &left, NULL };
    }
    for (unsigned i = 0; i < count; i++) {
        Coroutine *coroutine = coroutine_new(work_entry, &works[i]);
        if (!coroutine) {
            return broken(run, "no memory for a coroutine");
        }
        coroutine_enter(coroutine);
    }
    if (left) {
        for (unsigned i = 0; i < count; i++) {
            works[i].waiter = coroutine_self();
        }
        coroutine_yield();
    }
    return !run->failure;
}

/* Version 2 has no dirty bit: a cut within a snapshot operation leaves COPIED flags that a check calls errors, and harms no data. */
static bool do_snapshot(Run *run)
{
    const ImageSnapshotOps *ops = node_driver(run->node)->snapshots;
    g_autoptr(GError) err = NULL;
    int result;

    if (run->snapshots < 3 && g_rand_int(run->random) % 2) {
        ImageSnapshot snapshot = { .name = g_strdup_printf("s%u", run->tags), .icount = -1 };
        result = ops->create(run->node, &snapshot, &err);
        run->snapshots += result == 0;
        image_snapshot_clear(&snapshot);
    } else {
        g_autoptr(GArray) list = g_array_new(FALSE, TRUE, sizeof(ImageSnapshot));
        g_array_set_clear_func(list, (GDestroyNotify)image_snapshot_clear);
        result = ops->list(run->node, list);
        if (result == 0 && list->len) {
            result = ops->remove(run->node, g_array_index(list, ImageSnapshot, g_rand_int(run->random) % list->len).id, &err);
            run->snapshots -= result == 0;
        }
    }
    return result >= 0 || broken(run, "snapshot: %s", err ? err->message : g_strerror(-result));
}

static bool open_image(Run *run, Disk *on, bool writable, bool checking)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) options = json_parse("{\"driver\":\"qcow2\",\"file\":{\"driver\":\"recorder\"},\"discard\":\"unmap\"}", NULL);
    const NodeOpen how = { .loop = run->loop, .writable = writable, .checking = checking, .discard = true };

    disk = on;
    return node_open(&run->node, options, &how, &err) || broken(run, "open: %s", err->message);
}

static bool workload(Run *run)
{
    bool ok = open_image(run, &run->disk, true, false);

    for (uint64_t i = 0; ok && i < run->operations; i++) {
        ok = g_rand_int(run->random) % 24 || strstr(run->options, "0.10") ? do_burst(run) : do_snapshot(run);
    }
    if (run->node) {
        node_unref(g_steal_pointer(&run->node));
    }
    return ok;
}

/* ---- the disk after the cut ---- */

typedef enum { KEEP_NOTHING, KEEP_ALL, KEEP_SOME, KEEP_TORN, KEEP_REORDERED, VARIANTS } Variant;

static bool is_durable(const Run *run, const Event *event, uint64_t cut)
{
    for (guint i = 0; event->end && i < run->disk.events->len; i++) {
        const Event *flush = run->disk.events->pdata[i];
        if (flush->kind == EVENT_FLUSH && event->end < flush->begin && flush->end && flush->end <= cut) {
            return true;
        }
    }
    return false;
}

static void apply(Run *run, GByteArray *bytes, const Event *event, bool torn)
{
    if (event->kind == EVENT_SIZE) {
        set_length(bytes, event->length);
    } else if (!torn) {
        place(bytes, event->offset, event->data, event->length);
    } else {
        for (uint64_t at = 0; at < event->length;) {
            uint64_t piece = MIN(SECTOR - (event->offset + at) % SECTOR, event->length - at);
            if (g_rand_int(run->random) % 2) {
                place(bytes, event->offset + at, event->data + at, piece);
            }
            at += piece;
        }
    }
}

static GByteArray *disk_after(Run *run, uint64_t cut, Variant variant)
{
    GByteArray *bytes = g_byte_array_sized_new(run->start->len);
    g_autoptr(GPtrArray) lost = g_ptr_array_new();

    g_byte_array_append(bytes, run->start->data, run->start->len);
    for (guint i = 0; i < run->disk.events->len; i++) {
        Event *event = run->disk.events->pdata[i];
        if (event->kind == EVENT_FLUSH || event->begin > cut || (event->kind == EVENT_WRITE && !event->data)) {
            continue;
        }
        if (is_durable(run, event, cut)) {
            apply(run, bytes, event, false);
        } else {
            g_ptr_array_add(lost, event);
        }
    }
    for (guint i = 0; variant == KEEP_REORDERED && i + 1 < lost->len; i++) {
        guint j = i + g_rand_int(run->random) % (lost->len - i);
        gpointer swap = lost->pdata[i];
        lost->pdata[i] = lost->pdata[j];
        lost->pdata[j] = swap;
    }
    for (guint i = 0; i < lost->len; i++) {
        bool keep = variant == KEEP_ALL || variant == KEEP_REORDERED || (variant != KEEP_NOTHING && g_rand_int(run->random) % 2);
        if (keep) {
            apply(run, bytes, lost->pdata[i], variant == KEEP_TORN);
        }
    }
    return bytes;
}

/* Whether a sector may hold what this tag says: what the last flush acknowledged, or anything begun later. */
static bool may_hold(const Run *run, uint32_t sector, uint32_t tag, uint64_t cut)
{
    const GArray *list = run->versions[sector];
    uint64_t flushed = 0;

    for (guint i = 0; i < run->flushes->len; i++) {
        const GuestFlush *flush = &g_array_index(run->flushes, GuestFlush, i);
        if (flush->end <= cut) {
            flushed = MAX(flushed, flush->begin);
        }
    }
    for (guint i = list->len; i-- > 0;) {
        const Version *version = &g_array_index(list, Version, i);
        if (version->begin > cut) {
            continue;
        }
        if (version->tag == tag) {
            return true;
        }
        if (!version->optional && version->end && version->end < flushed) {
            return false;                  /* this one was acknowledged, and what is older is gone */
        }
    }
    return tag == 0;
}

static bool check_contents(Run *run, uint64_t cut)
{
    static uint8_t data[GUEST_SIZE];
    int result = node_pread(run->node, 0, data, sizeof data);

    if (result < 0) {
        return broken(run, "reading after the cut: %s", g_strerror(-result));
    }
    for (uint32_t sector = 0; sector < GUEST_SECTORS; sector++) {
        uint8_t expected[SECTOR];
        uint32_t tag = load_le32(data + sector * SECTOR + 4);

        fill_sector(expected, sector, tag);
        if (memcmp(expected, data + sector * SECTOR, SECTOR) != 0) {
            return broken(run, "sector %u holds what was never written to it", sector);
        }
        if (!may_hold(run, sector, tag, cut)) {
            return broken(run, "sector %u holds write %u, which a flush had replaced", sector, tag);
        }
    }
    return true;
}

static void tell(void *opaque, const char *line)
{
    Run *run = opaque;

    if (g_str_has_prefix(line, "ERROR")) {
        broken(run, "%s", line);
    }
}

static bool examine(Run *run, uint64_t cut, Variant variant)
{
    Disk after = { .bytes = disk_after(run, cut, variant) };
    ImageCheck check = { .tell = tell, .opaque = run };
    /* What says that it was left in the middle (lazy refcounts, a snapshot half taken) is mended by whoever opens it for writing. */
    bool dirty = run->lazy || (after.bytes->len > 79 && after.bytes->data[7] >= 3 && (after.bytes->data[79] & 1));
    bool ok = open_image(run, &after, dirty, !dirty);

    if (ok) {
        int result = node_driver(run->node)->check(run->node, &check, 0);
        ok = result >= 0 && !check.corruptions && !check.check_errors
                 ? true : broken(run, "check: %s, %" PRIu64 " corruptions, %" PRIu64 " errors", result < 0 ? g_strerror(-result) : "done",
                                 check.corruptions, check.check_errors);
        ok = ok && check_contents(run, cut);
        node_unref(g_steal_pointer(&run->node));
    }
    g_byte_array_unref(after.bytes);
    run->images++;
    return ok;
}

static bool cut_everywhere(Run *run)
{
    static const char *const names[] = { "nothing", "everything", "some", "torn", "reordered" };

    for (uint64_t cut = 1; cut <= run->clock; cut++) {
        for (Variant variant = 0; variant < VARIANTS; variant++) {
            if (!examine(run, cut, variant)) {
                g_autofree char *what = run->failure;
                run->failure = g_strdup_printf("cut at moment %" PRIu64 " of %" PRIu64 ", of what was not flushed %s was kept: %s", cut, run->clock,
                                               names[variant], what);
                return false;
            }
        }
    }
    return true;
}

/* ---- runs ---- */

static const char *const shapes[] = {
    "{}", "{\"lazy_refcounts\":\"on\"}", "{\"cluster_size\":\"4k\"}", "{\"cluster_size\":\"512\"}", "{\"extended_l2\":\"on\",\"cluster_size\":\"16k\"}",
    "{\"compat\":\"0.10\",\"cluster_size\":\"1k\"}", "{\"refcount_bits\":\"4\",\"cluster_size\":\"2k\"}", "{\"preallocation\":\"metadata\",\"cluster_size\":\"8k\"}",
};

static int run_entry(void *opaque)
{
    Run *run = opaque;
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) options = json_parse(run->options, NULL), file_options = json_parse("{\"driver\":\"recorder\"}", NULL);
    const NodeOpen how = { .loop = run->loop, .writable = true };
    Node *file = NULL;

    disk = &run->disk;
    if (!node_open(&file, file_options, &how, &err) || !image_format(file, "qcow2", GUEST_SIZE, options, &how, &err)) {
        node_unref(file);
        broken(run, "create: %s", err->message);
        return -EIO;
    }
    node_unref(file);
    g_byte_array_append(run->start, run->disk.bytes->data, run->disk.bytes->len);
    run->disk.events = g_ptr_array_new();
    return workload(run) && cut_everywhere(run) ? 0 : -EIO;
}

static void free_events(GPtrArray *events)
{
    for (guint i = 0; events && i < events->len; i++) {
        g_free(((Event *)events->pdata[i])->data);
        g_free(events->pdata[i]);
    }
    if (events) {
        g_ptr_array_free(events, TRUE);
    }
}

static bool one_run(uint64_t seed, uint64_t operations, unsigned number)
{
    g_autoptr(GError) err = NULL;
    Run run = { .seed = seed, .operations = operations, .random = g_rand_new_with_seed((guint32)seed), .loop = io_loop_new("power", &err),
                .start = g_byte_array_new(), .flushes = g_array_new(FALSE, FALSE, sizeof(GuestFlush)), .options = shapes[seed % G_N_ELEMENTS(shapes)] };

    run.disk = (Disk){ .bytes = g_byte_array_new(), .random = run.random, .clock = &run.clock };
    run.lazy = strstr(run.options, "lazy") != NULL;
    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        run.versions[i] = g_array_new(FALSE, FALSE, sizeof(Version));
    }
    int result = run.loop ? io_loop_run(run.loop, run_entry, &run) : -ENOMEM;
    printf("%s %u - seed %" PRIu64 " %s: %" PRIu64 " images after a cut\n", result ? "not ok" : "ok", number, seed, run.options, run.images);
    if (result) {
        printf("# %s\n# reproduce: block-power -seed %" PRIu64 " -runs 1 -operations %" PRIu64 "\n", run.failure ? run.failure : g_strerror(-result), seed,
               operations);
    }
    fflush(stdout);
    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        g_array_free(run.versions[i], TRUE);
    }
    free_events(run.disk.events);
    g_array_free(run.flushes, TRUE);
    g_byte_array_unref(run.disk.bytes);
    g_byte_array_unref(run.start);
    io_loop_free(run.loop);
    g_rand_free(run.random);
    g_free(run.failure);
    return result == 0;
}

int main(int argc, char **argv)
{
    uint64_t seed = 0, runs = G_N_ELEMENTS(shapes), operations = 12;
    bool ok = true;

    for (int i = 1; i < argc; i += 2) {
        uint64_t *number = strcmp(argv[i], "-seed") == 0 ? &seed : strcmp(argv[i], "-runs") == 0 ? &runs : strcmp(argv[i], "-operations") == 0 ? &operations : NULL;
        if (!number || i + 1 == argc || !parse_uint(argv[i + 1], number)) {
            fprintf(stderr, "usage: block-power [-seed N] [-runs N] [-operations N]\n");
            return 2;
        }
    }
    printf("TAP version 13\n1..%" PRIu64 "\n", runs);
    for (uint64_t i = 0; i < runs; i++) {
        ok = one_run(seed + i, operations, (unsigned)i + 1) && ok;
    }
    return ok ? 0 : 1;
}
