/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2.c - qcow2 images under random requests, several at once, against a shadow; and what a power cut at any moment leaves
 *
 * The image lies on a disk in memory that writes down every request with its begin and end. A cut at a moment keeps what a finished
 * flush covers, and of all else that was begun any part: dropped, kept, torn. Each such image must open, check clean but for leaks,
 * and hold in each sector what a flush acknowledged or something newer. A disk that fails requests now and then does no other harm
 * than to those.
 *
 * ROOST_TEST_SEED and ROOST_TEST_CUTS choose other runs and longer ones.
 */
#include "block/drivers.h"
#include "block/format/qcow2/qcow2.h"
#include "tests/block/block.h"
#include <stdlib.h>

enum { SECTOR = 512, SIZE = 3 << 20, SECTORS = SIZE / SECTOR, WORKERS = 6, ROUNDS = 12, STEPS = 10, MOST = 160 };

/* ---- chance ---- */

static uint64_t chance_state;

static uint64_t chance(uint64_t below)
{
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    chance_state ^= chance_state << 17;
    return (chance_state * 0x2545f4914f6cdd1dULL >> 16) % below;
}

/* ---- the disk that writes down ---- */

typedef struct Event {
    enum { WRITE, TRUNCATE, FLUSH } kind;
    uint64_t begin, end;                   /* moments; end UINT64_MAX: never */
    uint64_t offset, bytes;
    uint8_t *data;
    bool fua;
} Event;

typedef struct Disk {
    Node node;
    GByteArray *bytes;
    GArray *events;
    bool records, fails;
    /* After a write to the header: so many flushes fail; later writes to it too. */
    struct { bool armed, hit, stuck; unsigned flushes; } header;
} Disk;

static uint64_t now;                       /* a moment: one more with each thing that happens */

static void disk_length(Disk *disk, uint64_t length)
{
    uint64_t old = disk->bytes->len;

    g_assert_cmpuint(length, <, 512 << 20);
    g_byte_array_set_size(disk->bytes, length);
    if (length > old) {
        memset(disk->bytes->data + old, 0, length - old);
    }
    disk->node.length = length;
}

static size_t record(Disk *disk, int kind, uint64_t offset, uint64_t bytes)
{
    Event event = { .kind = kind, .begin = ++now, .end = UINT64_MAX, .offset = offset, .bytes = bytes };

    if (disk->records) {
        g_array_append_val(disk->events, event);
    }
    return disk->events->len - 1;
}

static void recorded(Disk *disk, size_t index)
{
    if (disk->records) {
        g_array_index(disk->events, Event, index).end = ++now;
    }
}

/* One request in so many is refused. */
static int maybe_fail(const Disk *disk, uint64_t one_in)
{
    return disk->fails && chance(one_in) == 0 ? (chance(2) ? -EIO : -ENOSPC) : 0;
}

static int disk_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    Disk *disk = (Disk *)node;
    uint64_t there = offset < disk->bytes->len ? MIN(to.bytes, disk->bytes->len - offset) : 0;

    (void)flags;
    if (chance(4) == 0) {
        co_yield_turn();
        there = offset < disk->bytes->len ? MIN(to.bytes, disk->bytes->len - offset) : 0;
    }
    iov_put(to, 0, disk->bytes->data + offset, there);
    iov_set(to, there, 0, to.bytes - there);
    return maybe_fail(disk, 60);
}

static int disk_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    Disk *disk = (Disk *)node;
    size_t index = record(disk, WRITE, offset, from.bytes);
    int ret = maybe_fail(disk, 20);

    if (offset == 0 && disk->header.armed) {
        ret = disk->header.hit && disk->header.stuck ? -EIO : 0;
        from = iov_part(from, 0, ret < 0 ? 0 : from.bytes);
        disk->header.hit = true;
    }
    if (ret < 0) {
        from = iov_part(from, 0, chance(from.bytes + 1));              /* its begin may be there */
    }
    if (disk->records) {
        uint8_t *data = g_malloc(from.bytes);

        iov_get(from, 0, data, from.bytes);
        g_array_index(disk->events, Event, index).data = data;
        g_array_index(disk->events, Event, index).fua = flags & REQ_FUA;
    }
    for (uint64_t turns = chance(3); turns; turns--) {
        co_yield_turn();
    }
    if (offset + from.bytes > disk->bytes->len) {
        disk_length(disk, offset + from.bytes);
    }
    iov_get(from, 0, disk->bytes->data + offset, from.bytes);
    recorded(disk, index);
    return ret;
}

static int disk_flush(Node *node)
{
    Disk *disk = (Disk *)node;
    size_t index = record(disk, FLUSH, 0, 0);

    for (uint64_t turns = chance(4); turns; turns--) {
        co_yield_turn();
    }
    recorded(disk, index);
    if (disk->header.hit && disk->header.flushes) {
        disk->header.flushes--;
        return -EIO;
    }
    return maybe_fail(disk, 8);
}

static int disk_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err)
{
    Disk *disk = (Disk *)node;
    size_t index = record(disk, TRUNCATE, 0, size);

    (void)exact;
    (void)preallocation;
    (void)flags;
    if (maybe_fail(disk, 4) < 0) {
        fail(err, ENOSPC, "the disk fails");
        return -ENOSPC;
    }
    disk_length(disk, size);
    recorded(disk, index);
    return 0;
}

static void disk_close(Node *node)
{
    Disk *disk = (Disk *)node;

    for (guint i = 0; i < disk->events->len; i++) {
        g_free(g_array_index(disk->events, Event, i).data);
    }
    g_array_unref(disk->events);
    g_byte_array_unref(disk->bytes);
}

static const NodeDriver disk_driver = {
    .name = "disk",  .help = "memory that writes down what happens to it",  .kind = NODE_PROTOCOL,  .size = sizeof(Disk),
    .preadv = disk_preadv,  .pwritev = disk_pwritev,  .flush = disk_flush,  .truncate = disk_truncate,  .close = disk_close,
    .supported_write_flags = REQ_FUA,
};

static Disk *disk_new(const void *bytes, uint64_t length)
{
    Disk *disk = (Disk *)node_new(&disk_driver, NULL, io_loop_current(), NULL);

    disk->bytes = g_byte_array_new();
    disk->events = g_array_new(FALSE, FALSE, sizeof(Event));
    if (length) {
        g_byte_array_append(disk->bytes, bytes, length);
    }
    disk->node.length = length;
    disk->node.limits = (NodeLimits){ .request_alignment = 1, .memory_alignment = 1 };
    disk->node.writable = disk->node.growable = disk->node.zero_beyond = disk->node.discard = true;
    disk->node.core->opened = true;
    return disk;
}

/* ---- images ---- */

typedef struct Layout {
    const char *name, *create, *open;
    bool backing, compressed, zeroes;
} Layout;

static const Layout layouts[] = {
    { "plain", "{}", "", false, true, true },
    { "backing", "{}", "", true, true, true },
    { "clusters of 512", "{'cluster_size':512}", "", false, true, true },
    { "clusters of 4K, refcounts of 64 bits", "{'cluster_size':4096,'refcount_bits':64}", "", true, true, true },
    { "refcounts of 1 bit", "{'cluster_size':4096,'refcount_bits':1}", "", false, false, true },
    { "refcounts of 2 bits", "{'cluster_size':8192,'refcount_bits':2}", "", true, true, true },
    { "subclusters", "{'cluster_size':16384,'extended_l2':true}", "", false, true, true },
    { "subclusters, backing", "{'cluster_size':65536,'extended_l2':true}", "", true, true, true },
    { "version 2", "{'compat':'v2','cluster_size':4096}", "", false, true, false },
    { "lazy refcounts", "{'lazy_refcounts':true,'cluster_size':4096}", "", true, true, true },
    { "small caches", "{'cluster_size':4096}", ",'l2-cache-size':2048,'l2-cache-entry-size':512,'refcount-cache-size':4096", true, true, true },
    { "all checks", "{'cluster_size':16384}", ",'overlap-check':'all','discard-no-unref':true", false, true, true },
};

typedef struct Version { uint64_t value, begin, end, durable; } Version;         /* of a sector: submitted, done, done with FUA */
typedef struct FlushAck { uint64_t begin, end; } FlushAck;

typedef struct Bench {
    const Layout *layout;
    Disk *disk;
    Node *below, *image;
    GArray *history[SECTORS];              /* of Version */
    bool unknown[SECTORS];                 /* a write to it failed */
    GArray *acks;                          /* of FlushAck, by end */
    uint64_t next_value;
    unsigned running;
    CoQueue idle;
    uint64_t cluster;
} Bench;

/* The backing file is shorter than the image; each sector says its number. */
enum { BELOW = SIZE / 2 + 3 * SECTOR };

static uint64_t below_value(const Bench *bench, uint64_t sector)
{
    return bench->layout->backing && sector * SECTOR < BELOW ? 0xb000000000000000ULL + sector : 0;
}

static Node *make_below(void)
{
    g_autofree uint64_t *bytes = g_new0(uint64_t, BELOW / 8);

    for (size_t i = 0; i < BELOW / 8; i++) {
        bytes[i] = 0xb000000000000000ULL + i / (SECTOR / 8);
    }
    return &disk_new(bytes, BELOW)->node;
}

static Node *open_on(const Bench *bench, Disk *disk)
{
    g_autofree char *backing = bench->below ? g_strdup_printf(",'backing':'%s'", node_name(bench->below)) : NULL;
    g_autofree char *text = g_strdup_printf("{'driver':'qcow2','file':'%s'%s%s}", node_name(&disk->node), backing ? backing : "",
                                            bench->layout->open);
    g_autoptr(Value) options = from_json(text);
    g_autoptr(GError) error = NULL;
    Node *node = NULL;

    node_open(&node, options, &(NodeOpen){ .writable = true, .discard = true, .trust = true }, &error);
    g_assert_no_error(error);
    return node;
}

static void bench_begin(Bench *bench, const Layout *layout)
{
    g_autoptr(Value) options = from_json(layout->create);
    g_autoptr(GError) error = NULL;

    *bench = (Bench){ .layout = layout, .disk = disk_new(NULL, 0), .acks = g_array_new(FALSE, FALSE, sizeof(FlushAck)) };
    image_format(&bench->disk->node, "qcow2", SIZE, options, &(NodeOpen){ .writable = true }, &error);
    g_assert_no_error(error);
    bench->below = layout->backing ? make_below() : NULL;
    bench->image = open_on(bench, bench->disk);
    bench->cluster = QCOW2(bench->image)->cluster_size;
    for (size_t i = 0; i < SECTORS; i++) {
        Version first = { below_value(bench, i), 0, 0, 0 };

        bench->history[i] = g_array_new(FALSE, FALSE, sizeof(Version));
        g_array_append_val(bench->history[i], first);
    }
}

static void bench_end(Bench *bench)
{
    node_unref(bench->image);
    node_unref(bench->below);
    node_unref(&bench->disk->node);
    for (size_t i = 0; i < SECTORS; i++) {
        g_array_unref(bench->history[i]);
    }
    g_array_unref(bench->acks);
}

static Version *last_version(Bench *bench, uint64_t sector)
{
    return &g_array_index(bench->history[sector], Version, bench->history[sector]->len - 1);
}

/* ---- requests ---- */

static void will_be(Bench *bench, uint64_t sector, uint64_t count, uint64_t value)
{
    Version version = { value, ++now, UINT64_MAX, UINT64_MAX };

    for (uint64_t i = 0; i < count; i++) {
        g_array_append_val(bench->history[sector + i], version);
    }
}

static void is_now(Bench *bench, uint64_t sector, uint64_t count)
{
    now++;
    for (uint64_t i = 0; i < count; i++) {
        last_version(bench, sector + i)->end = now;
    }
}

static void ended(Bench *bench, uint64_t sector, uint64_t count, int ret)
{
    if (!bench->disk->fails) {
        g_assert_cmpint(ret, ==, 0);
    }
    memset(bench->unknown + sector, ret < 0, count);
    is_now(bench, sector, count);
}

static void write_sectors(Bench *bench, uint64_t sector, uint64_t count, RequestFlags flags)
{
    g_autofree uint64_t *data = g_new(uint64_t, count * SECTOR / 8);
    uint64_t value = ++bench->next_value;
    struct iovec pieces[2] = { { data, SECTOR / 2 }, { data + SECTOR / 16, count * SECTOR - SECTOR / 2 } };

    for (uint64_t i = 0; i < count * SECTOR / 8; i++) {
        data[i] = value;
    }
    will_be(bench, sector, count, value);
    ended(bench, sector, count, node_pwritev(bench->image, sector * SECTOR, iov_all(pieces, 2), flags));
    for (uint64_t i = 0; (flags & REQ_FUA) && i < count; i++) {
        last_version(bench, sector + i)->durable = now;
    }
}

static void read_sectors(Bench *bench, uint64_t sector, uint64_t count)
{
    g_autofree uint64_t *data = g_new(uint64_t, count * SECTOR / 8);

    int ret = node_pread(bench->image, sector * SECTOR, data, count * SECTOR);

    if (ret < 0 && bench->disk->fails) {
        return;
    }
    g_assert_cmpint(ret, ==, 0);
    for (uint64_t i = 0; i < count * SECTOR / 8; i++) {
        if (!bench->unknown[sector + i / (SECTOR / 8)] && data[i] != last_version(bench, sector + i / (SECTOR / 8))->value) {
            g_error("sector %" PRIu64 " byte %" PRIu64 ": read %" PRIx64 ", expected %" PRIx64, sector + i / (SECTOR / 8), i * 8 % SECTOR, data[i],
                    last_version(bench, sector + i / (SECTOR / 8))->value);
        }
    }
}

static void flush(Bench *bench)
{
    FlushAck ack = { .begin = ++now };
    int ret = node_flush(bench->image);

    if (ret < 0 && bench->disk->fails) {
        return;
    }
    g_assert_cmpint(ret, ==, 0);
    ack.end = ++now;
    g_array_append_val(bench->acks, ack);
}

/* Each worker has sectors of its own, a few in each cluster, so that they meet in clusters and never in sectors. */
typedef struct Worker { Bench *bench; unsigned number; } Worker;
enum { STRIPE = 4 };

static void work(void *opaque)
{
    Worker *worker = opaque;
    Bench *bench = worker->bench;
    bool in_order = chance(2);
    uint64_t stripe = chance(SECTORS / STRIPE / WORKERS);

    for (int step = 0; step < STEPS; step++) {
        uint64_t sector, from = chance(STRIPE), count = 1 + chance(STRIPE - from);

        stripe = in_order ? (stripe + 1) % (SECTORS / STRIPE / WORKERS) : chance(SECTORS / STRIPE / WORKERS);
        sector = (stripe * WORKERS + worker->number) * STRIPE + from;
        switch (chance(8)) {
        case 0: read_sectors(bench, sector, count); break;
        case 1: if (worker->number == 0) { flush(bench); } break;
        default: write_sectors(bench, sector, count, chance(10) == 0 ? REQ_FUA : 0);
        }
    }
    if (--bench->running == 0) {
        co_queue_wake_all(&bench->idle);
    }
}

static void workers(Bench *bench)
{
    Worker all[WORKERS];

    bench->running = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        all[i] = (Worker){ bench, i };
        coroutine_enter(coroutine_new(work, &all[i]));
    }
    while (bench->running) {
        co_queue_wait(&bench->idle, NULL);
    }
}

static void snapshots(Bench *bench)
{
    Qcow2 *qcow2 = QCOW2(bench->image);
    const ImageSnapshotOps *ops = bench->image->driver->snapshots;
    ImageSnapshot snapshot = { .name = (char *)"s", .icount = -1 };
    g_autoptr(GError) error = NULL;

    if (bench->disk->fails || (bench->disk->records && qcow2->version < 3)) {
        return;                            /* no dirty bit there: a cut within leaves flags that a check calls wrong */
    }
    if (qcow2->snapshot_count && chance(2)) {
        g_autofree char *id = g_strdup(qcow2->snapshots[chance(qcow2->snapshot_count)].id);

        ops->remove(bench->image, id, &error);
    } else if (qcow2->refcount_order > 1 && qcow2->snapshot_count < 3) {
        ops->create(bench->image, &snapshot, &error);
        g_free(snapshot.id);
    }
    g_assert_no_error(error);
}

/* One request alone, of any length. */
static void alone(Bench *bench)
{
    uint64_t per = bench->cluster / SECTOR, sector = chance(SECTORS), count = 1 + chance(MIN(SECTORS - sector, MOST));
    uint64_t whole = sector / per * per, clusters = MIN(MAX(count / per, 1) * per, SECTORS - whole);

    switch (chance(8)) {
    case 0: flush(bench); break;
    case 1: read_sectors(bench, sector, count); break;
    case 2:
        will_be(bench, sector, count, 0);
        ended(bench, sector, count, node_pwrite_zeroes(bench->image, sector * SECTOR, count * SECTOR, chance(2) ? REQ_MAY_UNMAP : 0));
        break;
    case 3:
        if (bench->layout->zeroes) {       /* a discard in version 2 may do nothing */
            will_be(bench, whole, clusters, 0);
            ended(bench, whole, clusters, node_pdiscard(bench->image, whole * SECTOR, clusters * SECTOR));
        }
        break;
    case 4:
        if (bench->layout->compressed) {
            write_sectors(bench, whole, clusters, REQ_COMPRESSED);
        }
        break;
    case 5: snapshots(bench); break;
    default: write_sectors(bench, sector, count, 0);
    }
}

static void tell(void *opaque, const char *line)
{
    unsigned *lines = opaque;

    if (!g_str_has_prefix(line, "Leaked") && (*lines)++ < 10) {
        g_test_message("%s", line);
    }
}

static void check_image(Node *image, bool leaks_allowed)
{
    unsigned lines = 0;
    ImageCheck check = { .tell = tell, .opaque = &lines };

    g_assert_cmpint(qcow2_check(image, &check, 0), ==, 0);
    g_assert_cmpuint(check.corruptions, ==, 0);
    g_assert_cmpuint(check.check_errors, ==, 0);
    g_assert_true(leaks_allowed || check.leaks == 0);
}

static void rounds(Bench *bench, unsigned count)
{
    for (unsigned round = 0; round < count; round++) {
        workers(bench);
        for (unsigned i = 0; i < 4; i++) {
            alone(bench);
        }
    }
}

static void seed(uint64_t number)
{
    const char *text = g_getenv("ROOST_TEST_SEED");

    chance_state = 0x9e3779b97f4a7c15ULL * ((text ? g_ascii_strtoull(text, NULL, 10) : 1) + number * 1000) | 1;
}

static int random_requests(void *opaque)
{
    const Layout *layout = opaque;
    Bench bench;

    seed(layout - layouts);
    bench_begin(&bench, layout);
    for (unsigned i = 0; i < 4; i++) {
        rounds(&bench, ROUNDS);
        read_sectors(&bench, 0, SECTORS);
        flush(&bench);
        check_image(bench.image, true);
        node_unref(bench.image);
        bench.image = open_on(&bench, bench.disk);
        check_image(bench.image, false);
        read_sectors(&bench, 0, SECTORS);
    }
    bench_end(&bench);
    return 0;
}

/* Refusals hit data, tables and flushes alike. What succeeded stays, and the tables stay sound. */
static int failing_disk(void *opaque)
{
    const Layout *layout = opaque;
    Bench bench;

    seed(200 + (layout - layouts));
    bench_begin(&bench, layout);
    for (unsigned i = 0; i < 4; i++) {
        bench.disk->fails = true;
        rounds(&bench, ROUNDS);
        bench.disk->fails = false;
        flush(&bench);
        read_sectors(&bench, 0, SECTORS);
        check_image(bench.image, true);
        node_unref(bench.image);
        bench.image = open_on(&bench, bench.disk);
        check_image(bench.image, true);
        read_sectors(&bench, 0, SECTORS);
    }
    bench_end(&bench);
    return 0;
}

/* ---- a header that was written, and a flush that failed ---- */

enum { FAR = 40 << 20 };                   /* beyond what one cluster of L1 or refcount table speaks of, in clusters of 512 */

static const Layout tiny = { "tiny", "{'cluster_size':512}", "", false, true, true };

static int change_l1(Bench *bench)
{
    g_autoptr(GError) error = NULL;

    return node_truncate(bench->image, FAR, false, PREALLOC_OFF, 0, &error);
}

static int change_snapshot(Bench *bench)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *id = g_strdup(QCOW2(bench->image)->snapshots[0].id);

    return bench->image->driver->snapshots->apply(bench->image, id, &error);
}

/* A refcount table of one cluster speaks of 64 blocks of 256 clusters; the file grows beyond. */
static int change_reftable(Bench *bench)
{
    g_autofree uint8_t *data = g_malloc0(1 << 20);
    int ret = 0;

    for (uint64_t at = 4 << 20; at < FAR && ret == 0 && !bench->disk->header.hit; at += 1 << 20) {
        ret = node_pwrite(bench->image, at, data, 1 << 20);
        ret = ret == 0 ? node_flush(bench->image) : ret;
    }
    return ret;
}

typedef struct Switch { const char *name; int (*change)(Bench *); bool wide, stuck; } Switch;
static const Switch switches[] = {
    { "L1 table", change_l1, false, false },           { "L1 table, not to be taken back", change_l1, false, true },
    { "snapshot", change_snapshot, false, false },     { "snapshot, not to be taken back", change_snapshot, false, true },
    { "refcount table", change_reftable, true, false },  { "refcount table, not to be taken back", change_reftable, true, true },
};

static void switch_begin(Bench *bench, const Switch *it)
{
    ImageSnapshot snapshot = { .name = (char *)"s", .icount = -1 };
    g_autoptr(GError) error = NULL;

    bench_begin(bench, &tiny);
    write_sectors(bench, 0, 64, 0);
    if (it->wide) {
        g_assert_cmpint(node_truncate(bench->image, FAR, false, PREALLOC_OFF, 0, &error), ==, 0);
    }
    if (it->change == change_snapshot) {
        bench->image->driver->snapshots->create(bench->image, &snapshot, &error);
        g_free(snapshot.id);
    }
    g_assert_no_error(error);
    write_sectors(bench, 32, 200, 0);
    flush(bench);
}

/* The change fails; what is written and flushed after is there when the file is opened again, or the flush says that it is not. */
static int half_switched(void *opaque)
{
    const Switch *it = opaque;
    bool held;
    Bench bench;

    seed(300 + (it - switches));
    switch_begin(&bench, it);
    bench.disk->header.armed = true;
    bench.disk->header.stuck = it->stuck;
    bench.disk->header.flushes = 1;
    g_assert_cmpint(it->change(&bench), <, 0);
    g_assert_true(bench.disk->header.hit);
    held = node_flush(bench.image) == 0;
    g_assert_true(held == !it->stuck);
    if (held) {
        for (uint64_t sector = 256; sector < SECTORS - 8; sector += 512) {         /* new L2 tables and blocks */
            write_sectors(&bench, sector, 8, 0);
        }
        flush(&bench);
        check_image(bench.image, true);
    } else {
        const uint8_t data[8 * SECTOR] = { 0 };

        node_pwrite(bench.image, SIZE / 2, data, sizeof data);         /* may be taken: its flush is not */
        memset(bench.unknown + SECTORS / 2, true, 8);
        g_assert_cmpint(node_flush(bench.image), <, 0);
    }
    if (!held && it->change != change_snapshot) {
        bench.disk->header.stuck = false;  /* the disk is well again: so is the image */
        write_sectors(&bench, SECTORS / 2, 8, 0);
        flush(&bench);
    }
    node_unref(bench.image);
    bench.disk->header.armed = bench.disk->header.hit = false;
    bench.image = open_on(&bench, bench.disk);
    check_image(bench.image, true);
    if (held || it->change != change_snapshot) {                       /* else it may have gone back */
        read_sectors(&bench, 0, SECTORS);
    }
    bench_end(&bench);
    return 0;
}

/* ---- power cuts ---- */

/* Of what is not covered by a flush: the whole, nothing, or some sectors. */
static void maybe_apply(Disk *cut, const Event *event, bool covered)
{
    if (!covered && chance(2)) {
        return;
    }
    if (event->kind == TRUNCATE) {
        disk_length(cut, event->bytes);
        return;
    }
    bool torn = !covered && chance(4) == 0;

    if (event->offset + event->bytes > cut->bytes->len) {
        disk_length(cut, event->offset + event->bytes);
    }
    for (uint64_t at = 0, here; at < event->bytes; at += here) {
        here = MIN(event->bytes - at, SECTOR - (event->offset + at) % SECTOR);
        if (!torn || chance(2)) {
            memcpy(cut->bytes->data + event->offset + at, event->data + at, here);
        }
    }
}

static Disk *cut_at(Disk *disk, const GByteArray *begin, uint64_t moment)
{
    Disk *cut = disk_new(begin->data, begin->len);
    uint64_t covered = 0;                  /* what ended before this moment is on disk */

    for (guint i = 0; i < disk->events->len; i++) {
        const Event *event = &g_array_index(disk->events, Event, i);

        if (event->kind == FLUSH && event->end <= moment) {
            covered = MAX(covered, event->begin);
        }
    }
    for (guint i = 0; i < disk->events->len; i++) {
        const Event *event = &g_array_index(disk->events, Event, i);

        if (event->kind != FLUSH && event->begin <= moment) {
            maybe_apply(cut, event, event->end < covered || (event->fua && event->end <= moment));
        }
    }
    return cut;
}

static void verify_cut(Bench *bench, Node *image, uint64_t moment)
{
    g_autofree uint64_t *data = g_new(uint64_t, SIZE / 8);
    uint64_t acked = 0;

    for (guint i = 0; i < bench->acks->len; i++) {
        const FlushAck *ack = &g_array_index(bench->acks, FlushAck, i);

        acked = ack->end <= moment ? MAX(acked, ack->begin) : acked;
    }
    g_assert_cmpint(node_pread(image, 0, data, SIZE), ==, 0);
    for (uint64_t sector = 0; sector < SECTORS; sector++) {
        const GArray *history = bench->history[sector];
        uint64_t found = data[sector * SECTOR / 8];
        guint i = history->len;
        bool good = false;

        while (i-- > 0 && !good) {
            const Version *version = &g_array_index(history, Version, i);

            good = version->begin <= moment && version->value == found;
            if (version->end <= acked || version->durable <= moment) {
                break;                     /* older ones are overwritten for good */
            }
        }
        if (!good) {
            g_error("moment %" PRIu64 ", acknowledged %" PRIu64 ": sector %" PRIu64 " holds %" PRIx64, moment, acked, sector, found);
        }
    }
}

static void cut_and_look(Bench *bench, const GByteArray *begin, uint64_t moment)
{
    Disk *cut = cut_at(bench->disk, begin, moment);
    bool lazy = QCOW2(bench->image)->lazy;
    Node *image = open_on(bench, cut);

    check_image(image, !lazy);             /* a dirty one was repaired as it was opened */
    verify_cut(bench, image, moment);
    node_unref(image);
    node_unref(&cut->node);
}

static int power_cuts(void *opaque)
{
    const Layout *layout = opaque;
    const char *text = g_getenv("ROOST_TEST_CUTS");
    unsigned cuts = text ? atoi(text) : 40;
    uint64_t first;
    Bench bench;

    seed(100 + (layout - layouts));
    bench_begin(&bench, layout);
    rounds(&bench, 1);
    flush(&bench);
    first = now;
    GByteArray *begin = g_byte_array_new();
    g_byte_array_append(begin, bench.disk->bytes->data, bench.disk->bytes->len);
    bench.disk->records = true;
    rounds(&bench, 4);
    bench.disk->records = false;
    for (unsigned i = 0; i < cuts; i++) {
        uint64_t last = now, moment = first + chance(last - first);

        cut_and_look(&bench, begin, moment);
        now = last;
    }
    g_byte_array_unref(begin);
    bench_end(&bench);
    return 0;
}

typedef struct Case { int (*call)(void *); void *opaque; } Case;

static void run_layout(gconstpointer opaque)
{
    const Case *it = opaque;

    g_assert_cmpint(io_loop_run(io_loop_main(), it->call, it->opaque), ==, 0);
    g_assert_null(node_next(NULL));
}

int main(int argc, char **argv)
{
    static Case cases[3 * G_N_ELEMENTS(layouts)];

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++) {
        g_autofree char *random = g_strdup_printf("/qcow2/random requests/%s", layouts[i].name);
        g_autofree char *failing = g_strdup_printf("/qcow2/failing disk/%s", layouts[i].name);
        g_autofree char *power = g_strdup_printf("/qcow2/power cuts/%s", layouts[i].name);

        cases[3 * i] = (Case){ random_requests, (void *)&layouts[i] };
        cases[3 * i + 1] = (Case){ power_cuts, (void *)&layouts[i] };
        cases[3 * i + 2] = (Case){ failing_disk, (void *)&layouts[i] };
        g_test_add_data_func(random, &cases[3 * i], run_layout);
        g_test_add_data_func(power, &cases[3 * i + 1], run_layout);
        g_test_add_data_func(failing, &cases[3 * i + 2], run_layout);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(switches); i++) {
        g_autofree char *name = g_strdup_printf("/qcow2/half switched/%s", switches[i].name);
        static Case half[G_N_ELEMENTS(switches)];

        half[i] = (Case){ half_switched, (void *)&switches[i] };
        g_test_add_data_func(name, &half[i], run_layout);
    }
    return g_test_run();
}
