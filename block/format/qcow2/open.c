/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open.c - opening and closing qcow2 images; the driver's options and its table
 *
 * Models   qcow2 versions 2 and 3 (the format's published specification); -blockdev's keys with QEMU's names and defaults
 * Omits    nothing of the specification that is not refused by name
 * Hostile  the image; header.c holds the header against its limits, here the tables that it points to are read
 * Threads  the node's home loop
 * Tests    tests/block/qcow2.c, tests/block/qcow2-headers.py
 */
#include "block/format/qcow2/qcow2.h"
#include "base/bitmap.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/trace.h"
#include "block/format/qcow2/parts.h"

enum { TRACE_OPEN, TRACE_CLOSE };
static TracePoint open_trace[] = {
    [TRACE_OPEN] = { "qcow2_open", "a qcow2 image was opened" },
    [TRACE_CLOSE] = { "qcow2_close", "a qcow2 image is closed" },
};
TRACE_TABLE(open_trace)

enum { L2_CACHE_MOST = 32 << 20, SLICE_MOST = 64 << 10, REFCOUNT_CACHE = 256 << 10, REFCOUNT_CACHE_CLUSTERS = 4, CLEAN_INTERVAL = 600 };
enum { CONSTANT_CHECKS = Q2_OL_HEADER | Q2_OL_ACTIVE_L1 | Q2_OL_REFTABLE | Q2_OL_SNAPSHOTS | Q2_OL_BITMAPS,
       CACHED_CHECKS = CONSTANT_CHECKS | Q2_OL_ACTIVE_L2 | Q2_OL_REFBLOCK | Q2_OL_INACTIVE_L1,
       ALL_CHECKS = CACHED_CHECKS | Q2_OL_INACTIVE_L2 };

static const Field options[] = {
    PROP_ONOFFAUTO("lazy-refcounts", Qcow2, options.lazy_refcounts, 2,
                   .help = "postpone refcount updates; after a crash they are repaired (default: as the image says)"),
    PROP_ONOFFAUTO("pass-discard-request", Qcow2, options.pass_discard_request, 2,
                   .help = "a guest's discards free space of the file (default: as discard= says)"),
    PROP_BOOL("pass-discard-snapshot", Qcow2, options.pass_discard_snapshot, true, .help = "so do deleted snapshots"),
    PROP_BOOL("pass-discard-other", Qcow2, options.pass_discard_other, false, .help = "so does all else that becomes free"),
    PROP_BOOL("discard-no-unref", Qcow2, options.discard_no_unref, false,
              .help = "discarded clusters keep their place in the file, so that it does not fragment"),
    PROP_VALUE("overlap-check", Qcow2, options.overlap_check,
               .help = "what is protected from being written over: none, constant, cached (default), all; or template= and single flags"),
    PROP_SIZE("cache-size", Qcow2, options.cache_size, 0, .help = "memory for L2 tables and refcount blocks together"),
    PROP_SIZE("l2-cache-size", Qcow2, options.l2_cache_size, 0, .help = "memory for L2 tables (default: all of the image, at most 32M)"),
    PROP_SIZE("l2-cache-entry-size", Qcow2, options.l2_cache_entry_size, 0, .help = "piece of an L2 table that is read at once (default: 64K, at most a cluster)"),
    PROP_SIZE("refcount-cache-size", Qcow2, options.refcount_cache_size, 0, .help = "memory for refcount blocks (default: 4 clusters, at least 256K)"),
    PROP_U64("cache-clean-interval", Qcow2, options.cache_clean_interval, CLEAN_INTERVAL,
             .help = "seconds after which unused metadata leaves the memory; 0: never"),
    PROP_VALUE("encrypt", Qcow2, options.encrypt, .help = "format= and key-secret= of an encrypted image"),
    PROP_VALUE("data-file", Qcow2, options.data_file, .help = "node or options of the external data file (default: as the image says)"),
    FIELD_END };

static const char *image_name(const Qcow2 *qcow2)
{
    return node_filename(qcow2->node.file);
}

/* ---- options ---- */

static bool parse_overlap_check(Qcow2 *qcow2, GError **err)
{
    static const struct { const char *name; unsigned bits; } templates[] = {
        { "none", 0 }, { "constant", CONSTANT_CHECKS }, { "cached", CACHED_CHECKS }, { "all", ALL_CHECKS } };
    const Value *given = qcow2->options.overlap_check;
    const char *word = value_string(given) ? value_string(given) : value_get_string(given, "template", "cached");
    size_t i = 0;

    while (i < G_N_ELEMENTS(templates) && strcmp(templates[i].name, word) != 0) {
        i++;
    }
    if (i == G_N_ELEMENTS(templates)) {
        return fail(err, EINVAL, "Unsupported value '%s' for qcow2 option 'overlap-check'. Allowed are any of the following: none, constant, cached, all",
                    word);
    }
    qcow2->overlap = templates[i].bits;
    for (size_t member = 0; value_kind(given) == VALUE_OBJECT && member < value_length(given); member++) {
        const char *key = value_key_at(given, member);
        const struct Qcow2OverlapName *name = qcow2_overlap_names;

        while (name->option && strcmp(name->option, key) != 0) {
            name++;
        }
        if (name->option) {
            qcow2->overlap = value_get_flag(given, key, qcow2->overlap & name->bit) ? qcow2->overlap | name->bit : qcow2->overlap & ~name->bit;
        } else if (strcmp(key, "template") != 0) {
            return fail(err, EINVAL, "qcow2: overlap-check has no member '%s'", key);
        }
    }
    return true;
}

typedef struct CacheSizes { uint64_t l2, refcount, slice; } CacheSizes;

static bool cache_sizes(const Qcow2 *qcow2, CacheSizes *out, GError **err)
{
    const struct Qcow2Options *given = &qcow2->options;
    uint64_t clusters = qcow2_clusters(qcow2, qcow2->node.length), needed = MAX(clusters * qcow2->l2_entry_bytes, qcow2->cluster_size);
    uint64_t least = MAX(REFCOUNT_CACHE_CLUSTERS * qcow2->cluster_size, REFCOUNT_CACHE);

    out->slice = given->l2_cache_entry_size ? given->l2_cache_entry_size : MIN(qcow2->cluster_size, SLICE_MOST);
    if ((out->slice & (out->slice - 1)) || out->slice < Q2_SECTOR || out->slice > qcow2->cluster_size) {
        return fail(err, EINVAL, "L2 cache entry size must be a power of two between 512 and the cluster size (%" PRIu64 ")", qcow2->cluster_size);
    }
    out->l2 = given->l2_cache_size ? given->l2_cache_size : MIN(needed, L2_CACHE_MOST);
    out->refcount = given->refcount_cache_size ? given->refcount_cache_size : least;
    if (given->cache_size) {
        if (given->l2_cache_size && given->refcount_cache_size) {
            return fail(err, EINVAL, "cache-size, l2-cache-size and refcount-cache-size may not be set at the same time");
        }
        if (given->l2_cache_size > given->cache_size) {
            return fail(err, EINVAL, "l2-cache-size may not exceed cache-size");
        }
        if (given->refcount_cache_size > given->cache_size) {
            return fail(err, EINVAL, "refcount-cache-size may not exceed cache-size");
        }
        if (given->l2_cache_size) {
            out->refcount = given->cache_size - out->l2;
        } else if (given->refcount_cache_size) {
            out->l2 = given->cache_size - out->refcount;
        } else {
            out->l2 = given->cache_size > needed + least ? needed : given->cache_size - MIN(given->cache_size, least);
            out->refcount = given->cache_size - out->l2;
        }
    }
    if (out->l2 / out->slice > INT32_MAX) {
        return fail(err, EINVAL, "L2 cache size too big");
    }
    if (out->refcount / qcow2->cluster_size > INT32_MAX) {
        return fail(err, EINVAL, "Refcount cache size too big");
    }
    return true;
}

/* All that options decide, but the caches. */
static bool apply_options(Qcow2 *qcow2, GError **err)
{
    const struct Qcow2Options *given = &qcow2->options;

    qcow2->lazy = given->lazy_refcounts == 2 ? (qcow2->compatible & Q2_COMPAT_LAZY) != 0 : given->lazy_refcounts;
    if (qcow2->lazy && qcow2->version < 3) {
        return fail(err, EINVAL, "Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level (version 3)");
    }
    if (given->cache_clean_interval > UINT32_MAX) {
        return fail(err, EINVAL, "Cache clean interval too big");
    }
    qcow2->discard_passes[Q2_FREE_NEVER] = false;
    qcow2->discard_passes[Q2_FREE_ALWAYS] = true;
    qcow2->discard_passes[Q2_FREE_REQUEST] = given->pass_discard_request == 2 ? qcow2->node.discard : given->pass_discard_request;
    qcow2->discard_passes[Q2_FREE_SNAPSHOT] = given->pass_discard_snapshot;
    qcow2->discard_passes[Q2_FREE_OTHER] = given->pass_discard_other;
    if (given->discard_no_unref && qcow2->version < 3) {
        return fail(err, EINVAL, "discard-no-unref is only supported since qcow2 version 3");
    }
    return parse_overlap_check(qcow2, err);
}

static bool make_caches(Qcow2 *qcow2, GError **err)
{
    CacheSizes sizes;

    if (!cache_sizes(qcow2, &sizes, err)) {
        return false;
    }
    qcow2->slice_bits = __builtin_ctzll(sizes.slice / qcow2->l2_entry_bytes);
    if (qcow2_cache_init(qcow2, &qcow2->l2_cache, Q2_OL_ACTIVE_L2, sizes.slice, sizes.l2) < 0 ||
        qcow2_cache_init(qcow2, &qcow2->refblock_cache, Q2_OL_REFBLOCK, qcow2->cluster_size, sizes.refcount) < 0) {
        return fail(err, ENOMEM, "qcow2 image '%s': no memory for metadata caches of %" PRIu64 " bytes", image_name(qcow2), sizes.l2 + sizes.refcount);
    }
    return true;
}

static void trim_caches(void *opaque)
{
    Qcow2 *qcow2 = opaque;

    qcow2_cache_trim(&qcow2->l2_cache);
    qcow2_cache_trim(&qcow2->refblock_cache);
    io_timer_arm(&qcow2->clean_timer, clock_now(CLOCK_STEADY) + (int64_t)qcow2->options.cache_clean_interval * 1000000000);
}

static void start_trimming(Qcow2 *qcow2, IoLoop *loop)
{
    io_timer_init(&qcow2->clean_timer, loop, trim_caches, qcow2);
    if (qcow2->options.cache_clean_interval) {
        io_timer_arm(&qcow2->clean_timer, clock_now(CLOCK_STEADY) + (int64_t)qcow2->options.cache_clean_interval * 1000000000);
    }
}

/* ---- opening ---- */

/* Big-endian entries of the file, in host order, and a bit for each sector of them. */
static bool load_table(Qcow2 *qcow2, uint64_t offset, uint64_t entries, const char *what, uint64_t **table, uint64_t **dirty, GError **err)
{
    int ret = -ENOMEM;

    *table = g_try_new0(uint64_t, entries + 1);
    *dirty = g_try_new0(uint64_t, bitmap_words(entries / (Q2_SECTOR / 8) + 1));
    if (*table && *dirty) {
        ret = entries ? node_pread(qcow2->node.file, offset, *table, entries * 8) : 0;
    }
    if (ret < 0) {
        return fail(err, -ret, "qcow2 image '%s': could not read its %s at 0x%" PRIx64 ": %s", image_name(qcow2), what, offset, strerror(-ret));
    }
    for (uint64_t i = 0; i < entries; i++) {
        (*table)[i] = load_be64(&(*table)[i]);
    }
    return true;
}

static bool load_tables(Qcow2 *qcow2, GError **err)
{
    qcow2->reftable_entries = (uint64_t)qcow2->reftable_clusters << (qcow2->cluster_bits - 3);
    qcow2->l1_allocated = qcow2->l1_size;
    if (!load_table(qcow2, qcow2->l1_offset, qcow2->l1_size, "L1 table", &qcow2->l1, &qcow2->l1_dirty, err) ||
        !load_table(qcow2, qcow2->reftable_offset, qcow2->reftable_entries, "refcount table", &qcow2->reftable, &qcow2->reftable_dirty, err)) {
        return false;
    }
    return qcow2_regions_rebuild(qcow2) == 0 || fail(err, ENOMEM, "qcow2 image '%s': no memory for its regions", image_name(qcow2));
}

static bool open_data_file(Qcow2 *qcow2, const NodeOpen *how, GError **err)
{
    bool named = qcow2->incompatible & Q2_INCOMPAT_DATA_FILE;
    bool good;

    qcow2->data = qcow2->node.file;
    if (qcow2->options.data_file && !named) {
        return fail(err, EINVAL, "'data-file' can only be set for images with an external data file; '%s' has none", image_name(qcow2));
    }
    if (!named) {
        return true;
    }
    qcow2->external = true;
    if (qcow2->options.data_file) {
        good = node_open_child(&qcow2->node, "data-file", CHILD_STORAGE, qcow2->options.data_file, how, err);
    } else if (qcow2->data_file_name) {
        g_autoptr(GError) why = NULL;

        good = node_open_named(&qcow2->node, "data-file", CHILD_STORAGE, qcow2->data_file_name, "raw", how, &why);
        if (!good && how->no_io) {
            return true;                   /* metadata alone was asked for */
        }
        if (!good) {
            g_propagate_error(err, g_steal_pointer(&why));
        }
    } else {
        return how->no_io || fail(err, EINVAL, "qcow2 image '%s': 'data-file' is required for this image: it does not name one", image_name(qcow2));
    }
    if (good) {
        qcow2->data = node_child(&qcow2->node, "data-file");
    }
    return good;
}

static void set_limits(Qcow2 *qcow2)
{
    NodeLimits *limits = &qcow2->node.limits;

    if (qcow2->crypt_method) {
        limits->request_alignment = Q2_SECTOR;
    }
    limits->zeroes_alignment = qcow2->autoclear & Q2_AUTOCLEAR_DATA_RAW ? 1 : 1u << qcow2->subcluster_bits;
    limits->discard_alignment = qcow2->cluster_size;
    limits->optimal_transfer = qcow2->cluster_size;
}

/* Where the file ends, and from where on it reads as zeroes: all that lies beyond, while it is ours alone. */
static void look_at_file(Qcow2 *qcow2)
{
    uint64_t mask = qcow2->cluster_size - 1;

    qcow2->file_end = node_length(qcow2->node.file);
    qcow2->zero_from = qcow2->node.file->growable && qcow2->node.file->zero_beyond ? (qcow2->file_end + mask) & ~mask : UINT64_MAX;
    qcow2->sparse = -1;
}

static bool repair_dirty(Qcow2 *qcow2, GError **err)
{
    ImageCheck check = { 0 };
    int ret = qcow2_check_inside(qcow2, &check, REPAIR_ERRORS | REPAIR_LEAKS);

    if (ret == 0 && check.corruptions) {
        ret = -EIO;
    }
    return ret == 0 || fail(err, -ret, "qcow2 image '%s': Could not repair dirty image: %s", image_name(qcow2), strerror(-ret));
}

/* For whoever will write: what only older writers' words vouched for is dropped, what they left unfinished is mended. */
static bool become_writable(Qcow2 *qcow2, const NodeOpen *how, GError **err)
{
    int ret = 0;

    if (how->checking) {
        return true;
    }
    if ((qcow2->incompatible & Q2_INCOMPAT_DIRTY) && !how->no_io && !repair_dirty(qcow2, err)) {
        return false;
    }
    if (qcow2->autoclear & ~Q2_AUTOCLEAR_ALL) {
        qcow2->autoclear &= Q2_AUTOCLEAR_ALL;
        ret = qcow2_header_commit(qcow2);
    }
    return ret == 0 || fail(err, -ret, "qcow2 image '%s': Could not update qcow2 header: %s", image_name(qcow2), strerror(-ret));
}

static bool open_image(Qcow2 *qcow2, const NodeOpen *how, GError **err)
{
    qcow2_gather_init(qcow2);
    qcow2->freed = g_array_new(FALSE, FALSE, sizeof(Qcow2Freed));
    qcow2->freed_written = g_array_new(FALSE, FALSE, sizeof(Qcow2Freed));
    qcow2->freed_stable = g_array_new(FALSE, FALSE, sizeof(Qcow2Freed));
    qcow2->freed_grace = g_array_new(FALSE, FALSE, sizeof(Qcow2Freed));
    if (!qcow2_header_read(qcow2, how, err) || !open_data_file(qcow2, how, err) || !apply_options(qcow2, err) || !make_caches(qcow2, err) ||
        !load_tables(qcow2, err)) {
        return false;
    }
    look_at_file(qcow2);
    set_limits(qcow2);
    qcow2->node.encrypted = qcow2->crypt_method != Q2_CRYPT_NONE;
    qcow2->node.zero_beyond = true;
    return qcow2_snapshots_load(qcow2, how, err) && (!qcow2->crypt_method || qcow2_crypt_open(qcow2, how, err)) &&
           (!qcow2->node.writable || become_writable(qcow2, how, err)) && (how->checking || qcow2_bitmaps_load(qcow2, err));
}

static void release_all(Qcow2 *qcow2)
{
    qcow2_bitmaps_free(qcow2);
    qcow2_crypt_close(qcow2);
    qcow2_snapshots_free(qcow2);
    qcow2_regions_free(qcow2);
    qcow2_gather_free(qcow2);
    qcow2_cache_free(&qcow2->l2_cache);
    qcow2_cache_free(&qcow2->refblock_cache);
    g_clear_pointer(&qcow2->l1, g_free);
    g_clear_pointer(&qcow2->l1_dirty, g_free);
    g_clear_pointer(&qcow2->reftable, g_free);
    g_clear_pointer(&qcow2->reftable_dirty, g_free);
    g_clear_pointer(&qcow2->freed, g_array_unref);
    g_clear_pointer(&qcow2->freed_written, g_array_unref);
    g_clear_pointer(&qcow2->freed_stable, g_array_unref);
    g_clear_pointer(&qcow2->freed_grace, g_array_unref);
    qcow2_header_free(qcow2);
}

static bool qcow2_open(Node *node, const NodeOpen *how, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);

    if (!open_image(qcow2, how, err)) {
        release_all(qcow2);
        return false;
    }
    start_trimming(qcow2, node->loop);
    TRACE(&open_trace[TRACE_OPEN], "file %s writable %d lazy %d overlap 0x%x", image_name(qcow2), node->writable, qcow2->lazy, qcow2->overlap);
    return true;
}

/* ---- closing ---- */

/* All down, what is free counted as free, the file no longer than what is in use, the dirty bit gone. Nobody else is there. */
static int settle(Qcow2 *qcow2)
{
    int ret = qcow2_bitmaps_store(qcow2);

    co_lock(&qcow2->lock);
    ret = ret < 0 ? ret : qcow2_sync_locked(qcow2);
    if (ret == 0) {
        ret = qcow2_writeback(qcow2);      /* refcounts: of what was released, and all lazy ones */
    }
    if (ret == 0) {
        ret = qcow2_flush_files(qcow2);
    }
    co_unlock(&qcow2->lock);
    if (ret == 0) {
        ret = qcow2_mark(qcow2, 0, Q2_INCOMPAT_DIRTY);
    }
    if (ret == 0 && qcow2->file_grown && qcow2->zero_from < qcow2->file_end) {
        node_truncate(qcow2->node.file, qcow2->zero_from, true, PREALLOC_OFF, 0, NULL);        /* only neater without */
        qcow2->file_end = node_length(qcow2->node.file);
        qcow2->file_grown = false;
    }
    return ret;
}

static void qcow2_close(Node *node)
{
    Qcow2 *qcow2 = QCOW2(node);

    TRACE(&open_trace[TRACE_CLOSE], "file %s", image_name(qcow2));
    io_timer_cancel(&qcow2->clean_timer);
    if (node->writable && !qcow2->corrupt) {
        int ret = settle(qcow2);

        if (ret < 0) {
            report_error("qcow2 image '%s': could not be written back when it was closed: %s", image_name(qcow2), strerror(-ret));
        }
    }
    release_all(qcow2);
}

static bool change_options(Qcow2 *qcow2, const Value *given, GError **err)
{
    static const char *const fixed[] = { "data-file", "encrypt", NULL };
    int ret;

    for (size_t i = 0; fixed[i]; i++) {
        if (value_get(given, fixed[i])) {
            return fail(err, ENOTSUP, "qcow2: '%s' cannot be changed while the image is open", fixed[i]);
        }
    }
    if (!fields_set(options, qcow2, "qcow2", given, NULL, err) || !apply_options(qcow2, err)) {
        return false;
    }
    co_lock(&qcow2->lock);
    ret = qcow2->node.writable ? qcow2_caches_drop(qcow2) : 0;
    co_unlock(&qcow2->lock);
    if (ret < 0) {
        return fail(err, -ret, "qcow2 image '%s': could not be written back: %s", image_name(qcow2), strerror(-ret));
    }
    qcow2_cache_free(&qcow2->l2_cache);
    qcow2_cache_free(&qcow2->refblock_cache);
    return make_caches(qcow2, err);
}

static bool qcow2_reopen(Node *node, const Value *given, bool writable, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    const NodeOpen how = { .loop = node->loop, .writable = writable };
    bool was = node->writable, good;

    if (given && value_length(given) && !change_options(qcow2, given, err)) {
        return false;
    }
    if (was && !writable) {
        int ret = qcow2->corrupt ? 0 : settle(qcow2);

        return ret == 0 || fail(err, -ret, "qcow2 image '%s': could not be written back: %s", image_name(qcow2), strerror(-ret));
    }
    if (was || !writable) {
        return true;
    }
    if (qcow2->incompatible & Q2_INCOMPAT_CORRUPT) {
        return fail(err, EACCES, "qcow2 image '%s': Image is corrupt; cannot be opened read/write ('roost img check -r all' repairs it)",
                    image_name(qcow2));
    }
    look_at_file(qcow2);
    node->writable = true;                 /* the repair writes */
    good = become_writable(qcow2, &how, err);
    node->writable = was;
    return good;
}

static void qcow2_detach_loop(Node *node)
{
    io_timer_cancel(&QCOW2(node)->clean_timer);
}

static void qcow2_attach_loop(Node *node, IoLoop *loop)
{
    start_trimming(QCOW2(node), loop);
}

static int qcow2_probe(const uint8_t *head, size_t length, const char *filename)
{
    (void)filename;
    return length >= 8 && load_be32(head) == Q2_MAGIC && load_be32(head + 4) >= 2 ? 100 : 0;
}

/* ---- names ---- */

static int qcow2_write_backing_name(Node *node, const char *file, const char *format)
{
    Qcow2 *qcow2 = QCOW2(node);
    char *old_name = node->backing_name, *old_format = node->backing_format;
    int ret;

    if (file && strlen(file) > Q2_MAX_BACKING_NAME) {
        return -EINVAL;
    }
    if (file && (qcow2->autoclear & Q2_AUTOCLEAR_DATA_RAW)) {
        return -EINVAL;
    }
    co_write_lock(&qcow2->gate);
    node->backing_name = file ? g_strdup(file) : NULL;
    node->backing_format = file && format ? g_strdup(format) : NULL;
    ret = qcow2_header_write(qcow2);
    if (ret < 0) {
        g_free(node->backing_name);
        g_free(node->backing_format);
        node->backing_name = old_name;
        node->backing_format = old_format;
    } else {
        g_free(old_name);
        g_free(old_format);
    }
    co_write_unlock(&qcow2->gate);
    return ret;
}

const NodeDriver qcow2_driver = {
    .name = "qcow2",  .help = "QEMU's copy-on-write images: grow as they are written, snapshots, backing files, compression",
    .kind = NODE_FORMAT,  .size = sizeof(Qcow2),  .options = options,
    .file_child = true,  .file_role = CHILD_STORAGE,  .backing_child = true,  .probe = qcow2_probe,
    .open = qcow2_open,  .close = qcow2_close,  .reopen = qcow2_reopen,
    .detach_loop = qcow2_detach_loop,  .attach_loop = qcow2_attach_loop,
    .preadv = qcow2_preadv,  .pwritev = qcow2_pwritev,  .pwrite_zeroes = qcow2_pwrite_zeroes,  .pdiscard = qcow2_pdiscard,
    .flush = qcow2_flush,  .block_status = qcow2_block_status,  .truncate = qcow2_truncate,
    .supported_write_flags = REQ_FUA | REQ_COMPRESSED,  .supported_zero_flags = REQ_MAY_UNMAP,
    .create_options = qcow2_create_options,  .create = qcow2_create,  .create_opens = true,  .create_order = qcow2_create_order,
    .amend_options = qcow2_amend_options,
    .measure = qcow2_measure,  .info = qcow2_info,  .check = qcow2_check,  .snapshots = &qcow2_snapshot_ops,  .bitmaps = &qcow2_bitmap_ops,
    .amend = qcow2_amend,  .write_backing_name = qcow2_write_backing_name,  .make_empty = qcow2_make_empty,
    .save_vmstate = qcow2_save_vmstate,  .load_vmstate = qcow2_load_vmstate,
};
