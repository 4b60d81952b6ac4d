/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * amend.c - options of an image that is there: version, refcount width, lazy refcounts, data file, size, key slots
 *
 * An option that stays as it is, is no change. The image gets newer first and older last, so that all between can count on what the
 * versions have.
 *
 * Order on disk: each step writes and flushes what the header will mean, then the header's one sector.
 *
 * Threads  coroutines, gate exclusive, lock held where tables change
 * Tests    tests/block/qcow2-amend.py
 */
#include "block/format/qcow2/check.h"
#include "block/format/qcow2/snapshot.h"
#include <inttypes.h>
#include <string.h>

typedef struct AmendOptions {
    char *compat, *backing_file, *backing_format, *data_file;
    char *state, *keyslot, *old_secret, *new_secret, *iter_time;
    uint64_t refcount_bits, size;
    bool lazy_refcounts, data_file_raw;
} AmendOptions;

const Field qcow2_amend_options[] = {
    PROP_STR("backing_file", AmendOptions, backing_file, .help = "File name of a base image"),
    PROP_STR("backing_fmt", AmendOptions, backing_format, .help = "Image format of the base image"),
    PROP_STR("compat", AmendOptions, compat, .help = "Compatibility level (v2 [0.10] or v3 [1.1])"),
    PROP_STR("data_file", AmendOptions, data_file, .help = "File name of an external data file"),
    PROP_BOOL("data_file_raw", AmendOptions, data_file_raw, false, .help = "The external data file must stay valid as a raw image"),
    PROP_STR("encrypt.iter-time", AmendOptions, iter_time, .help = "Time to spend in PBKDF in milliseconds"),
    PROP_STR("encrypt.keyslot", AmendOptions, keyslot, .help = "Select a single keyslot to modify explicitly"),
    PROP_STR("encrypt.new-secret", AmendOptions, new_secret, .help = "New secret to set in the matching keyslots. Empty string to erase"),
    PROP_STR("encrypt.old-secret", AmendOptions, old_secret, .help = "Select all keyslots that match this password"),
    PROP_STR("encrypt.state", AmendOptions, state, .help = "Select new state of affected keyslots (active/inactive)"),
    PROP_BOOL("lazy_refcounts", AmendOptions, lazy_refcounts, false, .help = "Postpone refcount updates"),
    PROP_U64("refcount_bits", AmendOptions, refcount_bits, 0, .help = "Width of a reference count entry in bits"),
    PROP_SIZE("size", AmendOptions, size, 0, .help = "Virtual disk size"),
    FIELD_END
};

typedef struct Amend {
    Qcow2 *qcow2;
    const Value *options;
    AmendOptions to;
    Value *encrypt;                        /* members of "encrypt", or NULL */
    uint32_t version;
    bool force;
    ImageProgress *progress;
} Amend;

static bool given(const Amend *amend, const char *key)
{
    return value_get(amend->options, key) != NULL;
}

static void progress(const Amend *amend, uint64_t done)
{
    if (amend->progress) {
        amend->progress->report(amend->progress->opaque, done, 100);
    }
}

static bool told(int result, const char *what, GError **err)
{
    return result >= 0 || fail(err, -result, "%s: %s", what, g_strerror(-result));
}

/* ---- refcount width ---- */

/* All refcounts as they are, leaks included: a change of width is no repair. */
static int read_refcounts(Check *check, unsigned order, GError **err)
{
    Qcow2 *qcow2 = check->qcow2;
    uint64_t most = order == 6 ? UINT64_MAX : (1ULL << (1u << order)) - 1, per_block = 1ULL << qcow2->refblock_bits;

    for (uint64_t block = 0; block < qcow2->reftable_entries; block++) {
        uint64_t offset = qcow2->reftable[block] & Q2_REFTABLE_OFFSET;
        int result;

        if (!offset) {
            continue;
        }
        if (offset & (qcow2->cluster_size - 1) || !range_within(offset, qcow2->cluster_size, check->clusters << qcow2->cluster_bits)) {
            fail(err, EIO, "refcount block %" PRIu64 " is at an impossible place: repair the image first", block);
            return -EIO;
        }
        result = check_read(check, offset, check->block, qcow2->cluster_size);
        for (uint64_t i = 0; result >= 0 && i < per_block; i++) {
            uint64_t refcount = qcow2_refcount_load(check->block, qcow2->refcount_order, i), cluster = block * per_block + i;

            if (refcount > most) {
                fail(err, ERANGE, "Cannot decrease refcount entry width to %u bits: Cluster at offset 0x%" PRIx64 " has a refcount of %" PRIu64,
                     1u << order, cluster << qcow2->cluster_bits, refcount);
                return -ERANGE;
            }
            if (refcount && !refmap_set(check->refs, cluster, refcount)) {
                result = -ENOMEM;
            }
        }
        if (result < 0) {
            told(result, "Reading the refcounts", err);
            return result;
        }
    }
    return 0;
}

static void set_order(Qcow2 *qcow2, unsigned order)
{
    qcow2->refcount_order = order;
    qcow2->refblock_bits = qcow2->cluster_bits + 3 - order;
    qcow2->refcount_max = order == 6 ? INT64_MAX : (1ULL << (1u << order)) - 1;
}

static bool change_width(Qcow2 *qcow2, unsigned order, GError **err)
{
    ImageCheck out = { 0 };
    Check check = { .qcow2 = qcow2, .out = &out, .block_index = UINT64_MAX };
    unsigned before = qcow2->refcount_order;
    int64_t bytes = node_refresh_length(qcow2->node.file);
    int result = bytes < 0 ? (int)bytes : qcow2_caches_drop(qcow2);

    check.file_bytes = (uint64_t)MAX(bytes, 0);
    check.clusters = qcow2_clusters(qcow2, check.file_bytes);
    check.refs = refmap_new(1 << 30);
    check.block = g_try_malloc(qcow2->cluster_size);
    if (result >= 0 && !check.block) {
        result = -ENOMEM;
    }
    if (result < 0) {
        told(result, "The refcount width cannot be changed", err);
    } else {
        result = read_refcounts(&check, order, err);
        if (result >= 0) {
            set_order(qcow2, order);
            result = check_rebuild(&check);
            if (result < 0) {
                set_order(qcow2, before);
                told(result, "New refcounts cannot be written", err);
            }
        }
    }
    if (result >= 0) {
        qcow2->free_hint = 0;
        result = qcow2_regions_rebuild(qcow2);
    }
    refmap_free(check.refs);
    g_free(check.block);
    return result >= 0;
}

/* ---- version 2 has no zero clusters ---- */

typedef struct Expand { Qcow2 *qcow2; uint8_t *table, *zeroes; GHashTable *seen; } Expand;

/* The cluster of an entry that reads as zeroes, to be one that holds them; an entry of a table with `times` references. */
static int expand_entry(Expand *expand, uint64_t *entry, uint64_t times)
{
    Qcow2 *qcow2 = expand->qcow2;
    uint64_t offset = *entry & Q2_L2_OFFSET, refcount = 0;
    int64_t place = (int64_t)offset;
    int result = 0;

    if (offset) {
        result = qcow2_refcount_get(qcow2, offset >> qcow2->cluster_bits, &refcount);
    }
    if (result < 0) {
        return result;
    }
    if (!offset || refcount != times) {
        /* No place, or one whose data somebody else still reads. */
        if (offset) {
            result = qcow2_refcount_add(qcow2, offset, qcow2->cluster_size, -(int64_t)times, Q2_FREE_OTHER);
        }
        if (!qcow2->node.backing_name) {
            *entry = 0;
            return result;
        }
        place = result < 0 ? result : qcow2_alloc(qcow2, qcow2->cluster_size, NULL);
        if (place < 0) {
            return (int)place;
        }
        if (times > 1) {
            result = qcow2_refcount_add(qcow2, (uint64_t)place, qcow2->cluster_size, (int64_t)times - 1, Q2_FREE_OTHER);
        }
    }
    if (result >= 0) {
        result = qcow2_overlap_check(qcow2, 0, (uint64_t)place, qcow2->cluster_size);
    }
    if (result >= 0) {
        result = node_pwrite(qcow2->node.file, (uint64_t)place, expand->zeroes, qcow2->cluster_size);
    }
    *entry = (uint64_t)place | (times == 1 ? Q2_COPIED : 0);
    return result;
}

static int expand_table(Expand *expand, uint64_t offset)
{
    Qcow2 *qcow2 = expand->qcow2;
    uint64_t times, *key;
    bool changed = false;
    int result;

    if (offset & (qcow2->cluster_size - 1) || g_hash_table_contains(expand->seen, &offset)) {
        return offset & (qcow2->cluster_size - 1) ? -EIO : 0;
    }
    key = g_new(uint64_t, 1);
    *key = offset;
    g_hash_table_add(expand->seen, key);
    result = qcow2_refcount_get(qcow2, offset >> qcow2->cluster_bits, &times);
    if (result >= 0) {
        result = node_pread(qcow2->node.file, offset, expand->table, qcow2->cluster_size);
    }
    for (uint64_t i = 0; result >= 0 && i < qcow2->cluster_size; i += 8) {
        uint64_t entry = load_be64(expand->table + i);

        if (!(entry & Q2_COMPRESSED) && entry & Q2_ZERO) {
            result = expand_entry(expand, &entry, times);
            store_be64(expand->table + i, entry);
            changed = true;
        }
    }
    if (result < 0 || !changed) {
        return result;
    }
    result = qcow2_sync_locked(qcow2);     /* counts and zeroes are there before an entry says so */
    return result < 0 ? result : node_pwrite(qcow2->node.file, offset, expand->table, qcow2->cluster_size);
}

static int expand_snapshot(Expand *expand, const Qcow2Snapshot *snapshot)
{
    uint64_t bytes = (uint64_t)snapshot->l1_size * 8;
    g_autofree uint8_t *l1 = bytes <= Q2_MAX_L1_BYTES ? g_try_malloc(bytes + 1) : NULL;
    int result = l1 ? 0 : -ENOMEM;

    if (result >= 0 && bytes) {
        result = node_pread(expand->qcow2->node.file, snapshot->l1_offset, l1, bytes);
    }
    for (uint64_t i = 0; result >= 0 && i < bytes; i += 8) {
        uint64_t offset = load_be64(l1 + i) & Q2_L1_OFFSET;

        result = offset ? expand_table(expand, offset) : 0;
    }
    return result;
}

static int expand_zeroes(Qcow2 *qcow2)
{
    Expand expand = { qcow2, g_try_malloc(qcow2->cluster_size), g_try_malloc0(qcow2->cluster_size),
                      g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL) };
    int result = expand.table && expand.zeroes ? qcow2_caches_drop(qcow2) : -ENOMEM;

    for (uint32_t i = 0; result >= 0 && i < qcow2->l1_size; i++) {
        uint64_t offset = qcow2->l1[i] & Q2_L1_OFFSET;

        result = offset ? expand_table(&expand, offset) : 0;
    }
    for (uint32_t i = 0; result >= 0 && i < qcow2->snapshot_count; i++) {
        result = expand_snapshot(&expand, &qcow2->snapshots[i]);
    }
    if (result >= 0) {
        result = qcow2_caches_drop(qcow2);
    }
    g_free(expand.table);
    g_free(expand.zeroes);
    g_hash_table_destroy(expand.seen);
    return result;
}

/* ---- versions ---- */

static bool downgrade_allowed(Qcow2 *qcow2, GError **err)
{
    uint64_t features = qcow2->incompatible & ~Q2_INCOMPAT_DIRTY;

    if (qcow2->incompatible & Q2_INCOMPAT_DATA_FILE) {
        return fail(err, ENOTSUP, "Cannot downgrade an image with a data file");
    }
    if (features) {
        return fail(err, ENOTSUP, "Cannot downgrade an image with incompatible features 0x%" PRIx64 " set", features);
    }
    if (qcow2->bitmap_count || qcow2_bitmaps_any(qcow2)) {
        return fail(err, ENOTSUP, "Cannot downgrade an image with persistent bitmaps: remove them first");
    }
    for (uint32_t i = 0; i < qcow2->snapshot_count; i++) {
        if (qcow2->snapshots[i].vm_state_size || qcow2->snapshots[i].disk_size != qcow2->node.length) {
            return fail(err, ENOTSUP, "Internal snapshots prevent downgrade of image");
        }
    }
    return true;
}

static bool downgrade(Qcow2 *qcow2, GError **err)
{
    uint64_t compatible = qcow2->compatible, autoclear = qcow2->autoclear;
    int result;

    if (!downgrade_allowed(qcow2, err) || !told(qcow2_sync_locked(qcow2), "Writing back", err) ||
        !told(qcow2_mark(qcow2, 0, Q2_INCOMPAT_DIRTY), "Marking the image as clean", err) ||
        !told(expand_zeroes(qcow2), "Writing out zero clusters", err)) {
        return false;
    }
    qcow2->version = 2;
    qcow2->compatible = qcow2->autoclear = 0;
    qcow2->lazy = false;
    result = qcow2_header_commit(qcow2);
    if (result < 0) {
        qcow2->version = 3;
        qcow2->compatible = compatible;
        qcow2->autoclear = autoclear;
    }
    return told(result, "Writing the header", err);
}

/* Version 3 wants sizes of VM state and disk in the snapshots' extra data, which writing the table anew puts there. */
static bool upgrade(Qcow2 *qcow2, GError **err)
{
    bool table = false;
    int result;

    for (uint32_t i = 0; i < qcow2->snapshot_count; i++) {
        table |= qcow2->snapshots[i].extra_size < 16;
    }
    if (table && !told(qcow2_snapshots_store(qcow2), "Writing the snapshot table", err)) {
        return false;
    }
    for (uint32_t i = 0; table && i < qcow2->snapshot_count; i++) {
        qcow2->snapshots[i].extra_size = 24 + qcow2->snapshots[i].unknown_extra_size;
    }
    qcow2->version = 3;
    result = qcow2_header_commit(qcow2);
    if (result < 0) {
        qcow2->version = 2;
    }
    return told(result, "Writing the header", err);
}

/* ---- what is asked for ---- */

static bool check_width(Amend *amend, GError **err)
{
    uint64_t bits = given(amend, "refcount_bits") ? amend->to.refcount_bits : 1u << amend->qcow2->refcount_order;

    if (bits == 0 || bits > 64 || bits & (bits - 1)) {
        return fail(err, EINVAL, "Refcount width must be a power of two and may not exceed 64 bits");
    }
    if (amend->version < 3 && bits != 16) {
        return given(amend, "refcount_bits")
                   ? fail(err, EINVAL, "Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or "
                          "greater)")
                   : fail(err, EINVAL, "compat=0.10 requires refcount_bits=16");
    }
    amend->to.refcount_bits = bits;
    return true;
}

static bool check_data_file(const Amend *amend, GError **err)
{
    Qcow2 *qcow2 = amend->qcow2;

    if (given(amend, "data_file") && !(qcow2->incompatible & Q2_INCOMPAT_DATA_FILE)) {
        return fail(err, EINVAL, "data-file can only be set for images that use an external data file");
    }
    if (amend->to.data_file_raw && !(qcow2->autoclear & Q2_AUTOCLEAR_DATA_RAW)) {
        return fail(err, EINVAL, "data-file-raw cannot be set on existing images");
    }
    return true;
}

static bool check_asked(Amend *amend, GError **err)
{
    Qcow2 *qcow2 = amend->qcow2;

    amend->version = qcow2->version;
    if (amend->to.compat) {
        bool old = strcmp(amend->to.compat, "0.10") == 0 || strcmp(amend->to.compat, "v2") == 0;

        if (!old && strcmp(amend->to.compat, "1.1") != 0 && strcmp(amend->to.compat, "v3") != 0) {
            return fail(err, EINVAL, "Unknown compatibility level %s", amend->to.compat);
        }
        amend->version = old ? 2 : 3;
    }
    if ((given(amend, "backing_file") && g_strcmp0(amend->to.backing_file, qcow2->node.backing_name) != 0) ||
        (given(amend, "backing_fmt") && g_strcmp0(amend->to.backing_format, qcow2->node.backing_format) != 0)) {
        return fail(err, EINVAL, "Cannot amend the backing file: 'rebase' changes it");
    }
    if (amend->to.lazy_refcounts && amend->version < 3) {
        return fail(err, EINVAL, "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)");
    }
    return check_data_file(amend, err) && check_width(amend, err);
}

static bool change_lazy(Qcow2 *qcow2, bool on, GError **err)
{
    if (!on) {
        if (!told(qcow2_sync_locked(qcow2), "Writing back", err) ||
            !told(qcow2_mark(qcow2, 0, Q2_INCOMPAT_DIRTY), "Marking the image as clean", err)) {
            return false;
        }
        qcow2->lazy = false;
    }
    qcow2->compatible = on ? qcow2->compatible | Q2_COMPAT_LAZY : qcow2->compatible & ~Q2_COMPAT_LAZY;
    if (!told(qcow2_header_commit(qcow2), "Writing the header", err)) {
        return false;
    }
    qcow2->lazy = on;
    return true;
}

static bool change_data_file(Amend *amend, GError **err)
{
    Qcow2 *qcow2 = amend->qcow2;

    if (given(amend, "data_file")) {
        g_free(qcow2->data_file_name);
        qcow2->data_file_name = amend->to.data_file && *amend->to.data_file ? g_strdup(amend->to.data_file) : NULL;
    }
    if (given(amend, "data_file_raw") && !amend->to.data_file_raw) {
        qcow2->autoclear &= ~Q2_AUTOCLEAR_DATA_RAW;
    }
    return told(qcow2_header_commit(qcow2), "Writing the header", err);
}

static bool change_inside(Amend *amend, GError **err)
{
    Qcow2 *qcow2 = amend->qcow2;
    unsigned order = (unsigned)__builtin_ctzll(amend->to.refcount_bits);
    bool lazy = qcow2->compatible & Q2_COMPAT_LAZY;

    if (amend->version > qcow2->version && !upgrade(qcow2, err)) {
        return false;
    }
    progress(amend, 10);
    if (amend->encrypt && !qcow2_crypt_amend(qcow2, amend->encrypt, amend->force, err)) {
        return false;
    }
    progress(amend, 30);
    if (order != qcow2->refcount_order && !change_width(qcow2, order, err)) {
        return false;
    }
    progress(amend, 60);
    if ((given(amend, "data_file") || given(amend, "data_file_raw")) && !change_data_file(amend, err)) {
        return false;
    }
    if (given(amend, "lazy_refcounts") && lazy != amend->to.lazy_refcounts && !change_lazy(qcow2, amend->to.lazy_refcounts, err)) {
        return false;
    }
    return amend->version >= qcow2->version || downgrade(qcow2, err);
}

/* "encrypt.state=..." or {"encrypt": {"state": ...}}. */
static void gather_encrypt(Amend *amend)
{
    static const char prefix[] = "encrypt.";
    const Value *nested = value_get(amend->options, "encrypt");

    amend->encrypt = value_kind(nested) == VALUE_OBJECT ? value_copy(nested) : NULL;
    for (size_t i = 0; i < value_length(amend->options); i++) {
        const char *key = value_key_at(amend->options, i);

        if (g_str_has_prefix(key, prefix)) {
            amend->encrypt = amend->encrypt ? amend->encrypt : value_new_object();
            value_set(amend->encrypt, key + strlen(prefix), value_ref(value_member_at(amend->options, i)));
        }
    }
}

static bool parse(Amend *amend, GError **err)
{
    static const char *const skipped[] = { "encrypt", NULL };

    for (size_t i = 0; i < value_length(amend->options); i++) {
        const char *key = value_key_at(amend->options, i);

        if (!field_find(qcow2_amend_options, key) && field_find(qcow2_create_options, key)) {
            return fail(err, EINVAL, "Invalid parameter '%s': This option is only supported for image creation", key);
        }
    }
    return fields_set(qcow2_amend_options, &amend->to, "qcow2", amend->options, skipped, err);
}

bool qcow2_amend(Node *node, const Value *options, bool force, ImageProgress *progress_, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    Amend amend = { .qcow2 = qcow2, .options = options, .force = force, .progress = progress_ };
    bool done;

    fields_init(qcow2_amend_options, &amend.to);
    gather_encrypt(&amend);
    co_write_lock(&qcow2->gate);
    done = parse(&amend, err) && check_asked(&amend, err);
    if (done && (!node->writable || qcow2->corrupt)) {
        done = fail(err, EACCES, "%s: it cannot be amended: the image is %s", node_filename(qcow2->node.file),
                    qcow2->corrupt ? "corrupt" : "read-only");
    }
    if (done) {
        co_lock(&qcow2->lock);
        done = change_inside(&amend, err);
        co_unlock(&qcow2->lock);
    }
    co_write_unlock(&qcow2->gate);
    if (done && given(&amend, "size") && amend.to.size != node->length) {
        done = node_truncate(node, amend.to.size, false, PREALLOC_OFF, 0, err) >= 0;
    }
    fields_clear(qcow2_amend_options, &amend.to);
    value_unref(amend.encrypt);
    return done;
}
