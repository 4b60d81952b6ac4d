/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * header.c - the first cluster of a qcow2 image: header, header extensions, backing file's name
 *
 * Models   versions 2 and 3 with all features named in the published specification
 * Omits    cluster sizes above 2 MiB; unknown incompatible features, which are refused by name
 * Hostile  every field: each is held against its limit here, before anything is allocated or read by it
 * Threads  the node's home loop; qcow2_header_write() with the lock held or with nobody else there
 * Tests    tests/block/qcow2-headers.py
 */
#include "block/format/qcow2/qcow2.h"
#include "base/log.h"
#include "base/trace.h"
#include <stdlib.h>

enum { TRACE_HEADER_READ, TRACE_HEADER_WRITE, TRACE_HEADER_SETTLE, TRACE_MARK };
static TracePoint header_trace[] = {
    [TRACE_HEADER_READ] = { "qcow2_header_read", "a qcow2 image's header was read" },
    [TRACE_HEADER_WRITE] = { "qcow2_header_write", "sectors of a qcow2 header were written" },
    [TRACE_HEADER_SETTLE] = { "qcow2_header_settle", "a change of the header had failed: it was written anew" },
    [TRACE_MARK] = { "qcow2_mark", "an image's dirty or corrupt bit changed" },
};
TRACE_TABLE(header_trace)

#define ROUND_UP_8(n) (((uint64_t)(n) + 7) & ~7ULL)
enum { V2_BYTES = 72, V3_BYTES = 104, V3_OUR_BYTES = 112, FEATURE_BYTES = 48, FEATURE_TABLE_MIN_CLUSTER = 8 << 10 };

/* The names that we write; what is read may name more. */
static const struct { uint8_t kind, bit; const char *name; } features[] = {
    { 0, 0, "dirty bit" }, { 0, 1, "corrupt bit" }, { 0, 2, "external data file" }, { 0, 3, "compression type" },
    { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" }, { 2, 0, "bitmaps" }, { 2, 1, "raw external data" },
};

static const char *image_name(const Qcow2 *qcow2)
{
    const char *name = qcow2->node.file ? node_filename(qcow2->node.file) : NULL;

    return name ? name : "?";
}

#define bad_image(qcow2, err, errnum, ...) bad_image_(qcow2, err, errnum, g_strdup_printf(__VA_ARGS__))
static bool bad_image_(const Qcow2 *qcow2, GError **err, int errnum, char *take)
{
    g_autofree char *why = take;

    (fail)(err, errnum, "qcow2 image '%s': %s", image_name(qcow2), why);
    return false;
}

bool qcow2_table_check(const Qcow2 *qcow2, uint64_t offset, uint64_t count, uint64_t entry_bytes, uint64_t max_bytes, const char *what,
                       GError **err)
{
    uint64_t bytes, end;

    if (!checked_mul(count, entry_bytes, &bytes) || bytes > max_bytes) {
        return bad_image(qcow2, err, EFBIG, "%s too large: %" PRIu64 " entries of %" PRIu64 " bytes, the limit is %" PRIu64 " bytes", what, count,
                         entry_bytes, max_bytes);
    }
    if (!checked_add(offset, bytes, &end) || end > INT64_MAX || (offset & (qcow2->cluster_size - 1))) {
        return bad_image(qcow2, err, EINVAL, "%s offset invalid: 0x%" PRIx64 " with clusters of %" PRIu64 " bytes", what, offset,
                         qcow2->cluster_size);
    }
    return true;
}

/* ---- reading ---- */

static bool read_extension(Qcow2 *qcow2, uint32_t type, uint32_t length, const uint8_t *data, GError **err)
{
    Qcow2Extension kept = { .type = type, .length = length };

    switch (type) {
    case Q2_EXT_BACKING_FORMAT:
        if (length >= 16) {
            return bad_image(qcow2, err, EINVAL, "backing format name too long: %u bytes, the limit is 15", length);
        }
        g_free(qcow2->node.backing_format);
        qcow2->node.backing_format = g_strndup((const char *)data, length);
        return true;
    case Q2_EXT_FEATURES:
        qcow2->feature_table = true;
        return true;
    case Q2_EXT_DATA_FILE:
        g_free(qcow2->data_file_name);
        qcow2->data_file_name = g_strndup((const char *)data, length);
        return true;
    case Q2_EXT_CRYPTO:
        if (qcow2->crypt_method != Q2_CRYPT_LUKS) {
            return bad_image(qcow2, err, EINVAL, "CRYPTO header extension only expected with LUKS encryption method");
        }
        if (length != 16) {
            return bad_image(qcow2, err, EINVAL, "CRYPTO header extension size %u, but expected size 16", length);
        }
        qcow2->crypto_offset = load_be64(data);
        qcow2->crypto_bytes = load_be64(data + 8);
        if (qcow2->crypto_offset & (qcow2->cluster_size - 1)) {
            return bad_image(qcow2, err, EINVAL, "encryption header offset 0x%" PRIx64 " is not a multiple of cluster size", qcow2->crypto_offset);
        }
        return true;
    case Q2_EXT_BITMAPS:
        if (length != 24) {
            return bad_image(qcow2, err, EINVAL, "bitmaps_ext: invalid extension length %u, expected 24", length);
        }
        if (!(qcow2->autoclear & Q2_AUTOCLEAR_BITMAPS)) {
            return true;                   /* written past by somebody who does not know bitmaps: dropped as the specification says */
        }
        qcow2->bitmap_count = load_be32(data);
        qcow2->bitmap_directory_bytes = load_be64(data + 8);
        qcow2->bitmap_directory_offset = load_be64(data + 16);
        if (load_be32(data + 4) != 0 || qcow2->bitmap_count == 0 || qcow2->bitmap_count > 65535 ||
            qcow2->bitmap_directory_bytes > 65535ULL * 1024) {
            return bad_image(qcow2, err, EINVAL, "bitmaps_ext: %u bitmaps in a directory of %" PRIu64 " bytes", qcow2->bitmap_count,
                             qcow2->bitmap_directory_bytes);
        }
        return qcow2_table_check(qcow2, qcow2->bitmap_directory_offset, qcow2->bitmap_directory_bytes, 1, 65535ULL * 1024, "bitmap directory",
                                 err);
    default:
        kept.data = g_memdup2(data, length);
        g_array_append_val(qcow2->unknown_extensions, kept);
        return true;
    }
}

/* From the header's end up to the backing file's name, or to the end of what was read. */
static bool read_extensions(Qcow2 *qcow2, const uint8_t *head, uint32_t end, GError **err)
{
    for (uint32_t at = qcow2->header_length; at + 8 <= end;) {
        uint32_t type = load_be32(head + at), length = load_be32(head + at + 4);

        at += 8;
        if (type == Q2_EXT_END) {
            return true;
        }
        if (length > end - at) {
            return bad_image(qcow2, err, EINVAL, "header extension 0x%08x too large: %u bytes, %u are left", type, length, end - at);
        }
        if (!read_extension(qcow2, type, length, head + at, err)) {
            return false;
        }
        at += MIN(ROUND_UP_8(length), end - at);
    }
    return true;
}

/* The feature table's words for bits that we do not know: "Feature A, Unknown incompatible feature: 40". */
static char *unknown_features(const Qcow2 *qcow2, const uint8_t *head, uint32_t end)
{
    GString *text = g_string_new(NULL);
    uint64_t unknown = qcow2->incompatible & ~Q2_INCOMPAT_ALL;
    uint32_t length = 0, at = qcow2->header_length;

    for (uint32_t next = at; next + 8 <= end && load_be32(head + next) != Q2_EXT_END; next = at + MIN(ROUND_UP_8(length), end - at)) {
        at = next + 8;
        length = MIN(load_be32(head + next + 4), end - at);
        if (load_be32(head + next) != Q2_EXT_FEATURES) {
            continue;
        }
        for (uint32_t i = 0; i + FEATURE_BYTES <= length; i += FEATURE_BYTES) {
            const uint8_t *row = head + at + i;

            if (row[0] == 0 && row[1] < 64 && (unknown & 1ULL << row[1])) {
                g_autofree char *name = g_strndup((const char *)row + 2, FEATURE_BYTES - 2), *shown = g_strescape(name, NULL);

                g_string_append_printf(text, "%s%s", text->len ? ", " : "", shown);
                unknown &= ~(1ULL << row[1]);
            }
        }
    }
    if (unknown) {
        g_string_append_printf(text, "%sUnknown incompatible feature: %" PRIx64, text->len ? ", " : "", unknown);
    }
    return g_string_free(text, FALSE);
}

static bool read_version_3(Qcow2 *qcow2, const uint8_t *head, GError **err)
{
    qcow2->incompatible = load_be64(head + 72);
    qcow2->compatible = load_be64(head + 80);
    qcow2->autoclear = load_be64(head + 88);
    qcow2->refcount_order = load_be32(head + 96);
    qcow2->header_length = load_be32(head + 100);
    if (qcow2->header_length < V3_BYTES) {
        return bad_image(qcow2, err, EINVAL, "qcow2 header too short: %u bytes, version 3 has at least %u", qcow2->header_length, V3_BYTES);
    }
    if (qcow2->header_length > qcow2->cluster_size) {
        return bad_image(qcow2, err, EINVAL, "qcow2 header exceeds cluster size: %u bytes in %" PRIu64, qcow2->header_length, qcow2->cluster_size);
    }
    if (qcow2->header_length > V3_BYTES) {
        qcow2->compression_type = head[104];
    }
    if (qcow2->header_length > V3_OUR_BYTES) {
        qcow2->header_tail_bytes = qcow2->header_length - V3_OUR_BYTES;
        qcow2->header_tail = g_memdup2(head + V3_OUR_BYTES, qcow2->header_tail_bytes);
    }
    return true;
}

static void derive(Qcow2 *qcow2)
{
    qcow2->l2_entry_bytes = qcow2->incompatible & Q2_INCOMPAT_EXTL2 ? 16 : 8;
    qcow2->l2_bits = qcow2->cluster_bits - (qcow2->l2_entry_bytes == 16 ? 4 : 3);
    qcow2->subclusters = qcow2->l2_entry_bytes == 16 ? Q2_MAX_SUBCLUSTERS : 1;
    qcow2->subcluster_bits = qcow2->cluster_bits - (qcow2->l2_entry_bytes == 16 ? 5 : 0);
    qcow2->refblock_bits = qcow2->cluster_bits + 3 - qcow2->refcount_order;
    qcow2->refcount_max = qcow2->refcount_order == 6 ? INT64_MAX : (1ULL << (1u << qcow2->refcount_order)) - 1;
    qcow2->compressed_shift = 62 - (qcow2->cluster_bits - 8);
    qcow2->compressed_sectors_mask = (1ULL << (qcow2->cluster_bits - 8)) - 1;
    /* With small clusters the field has bits above 55, which must be 0: masked out they cannot lead anywhere. */
    qcow2->compressed_offset_mask = (1ULL << MIN(qcow2->compressed_shift, 56)) - 1;
    qcow2->max_l1_entries = Q2_MAX_L1_BYTES / 8;
}

static bool check_features(Qcow2 *qcow2, const uint8_t *head, uint32_t end, const NodeOpen *how, GError **err)
{
    if (qcow2->incompatible & ~Q2_INCOMPAT_ALL) {
        g_autofree char *names = unknown_features(qcow2, head, end);

        return bad_image(qcow2, err, ENOTSUP, "Unsupported qcow2 feature(s): %s", names);
    }
    if ((qcow2->incompatible & Q2_INCOMPAT_COMPRESSION) ? qcow2->compression_type != Q2_ZSTD : qcow2->compression_type != Q2_ZLIB) {
        return bad_image(qcow2, err, ENOTSUP, "unknown compression type: %u %s", qcow2->compression_type,
                         qcow2->incompatible & Q2_INCOMPAT_COMPRESSION ? "(1 is zstd)" : "without its feature bit");
    }
#ifndef HAVE_ZSTD
    if (qcow2->compression_type == Q2_ZSTD) {
        return bad_image(qcow2, err, ENOTSUP, "its clusters are compressed with zstd, which is not built in");
    }
#endif
    if ((qcow2->incompatible & Q2_INCOMPAT_EXTL2) && qcow2->cluster_bits < 14) {
        return bad_image(qcow2, err, EINVAL, "extended L2 entries need clusters of at least 16384 bytes, it has %" PRIu64, qcow2->cluster_size);
    }
    if ((qcow2->autoclear & Q2_AUTOCLEAR_DATA_RAW) && !(qcow2->incompatible & Q2_INCOMPAT_DATA_FILE)) {
        qcow2->autoclear &= ~Q2_AUTOCLEAR_DATA_RAW;
    }
    if ((qcow2->incompatible & Q2_INCOMPAT_CORRUPT) && how->writable && !how->checking) {
        return bad_image(qcow2, err, EACCES, "Image is corrupt; cannot be opened read/write ('roost img check -r all' repairs it)");
    }
    if (qcow2->refcount_order > 6) {
        return bad_image(qcow2, err, EINVAL, "Reference count entry width too large; may not exceed 64 bits");
    }
    if (qcow2->crypt_method > Q2_CRYPT_LUKS) {
        return bad_image(qcow2, err, EINVAL, "Unsupported encryption method %u", qcow2->crypt_method);
    }
    return true;
}

static bool check_tables(Qcow2 *qcow2, const NodeOpen *how, GError **err)
{
    uint64_t size = qcow2->node.length, span = 1ULL << (qcow2->l2_bits + qcow2->cluster_bits), needed;

    if (size > INT64_MAX) {
        return bad_image(qcow2, err, EFBIG, "Image is too big: %" PRIu64 " bytes", size);
    }
    if ((qcow2->reftable_clusters == 0 || qcow2->reftable_offset == 0) && !how->checking) {
        return bad_image(qcow2, err, EINVAL, "Image does not contain a reference count table");
    }
    if (!qcow2_table_check(qcow2, qcow2->reftable_offset, qcow2->reftable_clusters, qcow2->cluster_size, Q2_MAX_REFTABLE_BYTES,
                           "Reference count table", err) ||
        !qcow2_table_check(qcow2, qcow2->l1_offset, qcow2->l1_size, 8, Q2_MAX_L1_BYTES, "Active L1 table", err)) {
        return false;
    }
    if (qcow2->l1_size && qcow2->l1_offset == 0) {
        return bad_image(qcow2, err, EINVAL, "Active L1 table offset invalid: 0");
    }
    needed = size / span + (size % span != 0);
    if (needed > INT32_MAX) {
        return bad_image(qcow2, err, EFBIG, "Image is too big: %" PRIu64 " bytes with clusters of %" PRIu64, size, qcow2->cluster_size);
    }
    if (qcow2->l1_size < needed) {
        return bad_image(qcow2, err, EINVAL, "L1 table is too small: %u entries, %" PRIu64 " are needed", qcow2->l1_size, needed);
    }
    return true;                           /* the snapshot table: qcow2_snapshots_load(), which check wants lenient */
}

static bool read_backing_name(Qcow2 *qcow2, const uint8_t *head, uint64_t offset, uint32_t length, GError **err)
{
    if (length > Q2_MAX_BACKING_NAME || length > qcow2->cluster_size - offset) {
        return bad_image(qcow2, err, EINVAL, "Backing file name too long: %u bytes, the limit is %u", length, Q2_MAX_BACKING_NAME);
    }
    g_free(qcow2->node.backing_name);
    qcow2->node.backing_name = length ? g_strndup((const char *)head + offset, length) : NULL;
    return true;
}

static bool parse(Qcow2 *qcow2, const uint8_t *head, const NodeOpen *how, GError **err)
{
    uint64_t backing_offset = load_be64(head + 8);
    uint32_t end = qcow2->cluster_size;

    if (qcow2->version == 2) {
        qcow2->refcount_order = 4;
        qcow2->header_length = V2_BYTES;
    } else if (!read_version_3(qcow2, head, err)) {
        return false;
    }
    qcow2->node.length = load_be64(head + 24);
    qcow2->crypt_method = load_be32(head + 32);
    qcow2->l1_size = load_be32(head + 36);
    qcow2->l1_offset = load_be64(head + 40);
    qcow2->reftable_offset = load_be64(head + 48);
    qcow2->reftable_clusters = load_be32(head + 56);
    qcow2->snapshot_count = load_be32(head + 60);
    qcow2->snapshots_offset = load_be64(head + 64);
    if (backing_offset > qcow2->cluster_size || (backing_offset && backing_offset < qcow2->header_length)) {
        return bad_image(qcow2, err, EINVAL, "Invalid backing file offset %" PRIu64, backing_offset);
    }
    if (backing_offset) {
        end = backing_offset;
    }
    if (!check_features(qcow2, head, end, how, err)) {
        return false;
    }
    derive(qcow2);
    return read_extensions(qcow2, head, end, err) &&
           (backing_offset == 0 || read_backing_name(qcow2, head, backing_offset, load_be32(head + 16), err)) && check_tables(qcow2, how, err);
}

bool qcow2_header_read(Qcow2 *qcow2, const NodeOpen *how, GError **err)
{
    uint8_t first[V3_OUR_BYTES];
    g_autofree uint8_t *head = NULL;
    int ret = node_pread(qcow2->node.file, 0, first, sizeof first);

    if (ret < 0) {
        return bad_image(qcow2, err, -ret, "Could not read qcow2 header: %s", strerror(-ret));
    }
    if (load_be32(first) != Q2_MAGIC) {
        return bad_image(qcow2, err, EINVAL, "Image is not in qcow2 format");
    }
    qcow2->version = load_be32(first + 4);
    if (qcow2->version != 2 && qcow2->version != 3) {
        return bad_image(qcow2, err, ENOTSUP, "Unsupported qcow2 version %u (2 and 3 are supported)", qcow2->version);
    }
    qcow2->cluster_bits = load_be32(first + 20);
    if (qcow2->cluster_bits < Q2_MIN_CLUSTER_BITS || qcow2->cluster_bits > Q2_MAX_CLUSTER_BITS) {
        return bad_image(qcow2, err, EINVAL, "Unsupported cluster size: 2^%u (2^9 to 2^21 are supported)", qcow2->cluster_bits);
    }
    qcow2->cluster_size = 1ULL << qcow2->cluster_bits;
    head = g_malloc(qcow2->cluster_size);
    ret = node_pread(qcow2->node.file, 0, head, qcow2->cluster_size);
    if (ret < 0) {
        return bad_image(qcow2, err, -ret, "Could not read qcow2 header: %s", strerror(-ret));
    }
    qcow2->unknown_extensions = g_array_new(FALSE, FALSE, sizeof(Qcow2Extension));
    if (!parse(qcow2, head, how, err)) {
        return false;
    }
    qcow2->header_on_disk = g_steal_pointer(&head);
    TRACE(&header_trace[TRACE_HEADER_READ], "file %s version %u cluster_bits %u size %" PRIu64 " incompatible 0x%" PRIx64, image_name(qcow2),
          qcow2->version, qcow2->cluster_bits, qcow2->node.length, qcow2->incompatible);
    return true;
}

void qcow2_header_free(Qcow2 *qcow2)
{
    for (guint i = 0; qcow2->unknown_extensions && i < qcow2->unknown_extensions->len; i++) {
        g_free(g_array_index(qcow2->unknown_extensions, Qcow2Extension, i).data);
    }
    g_clear_pointer(&qcow2->unknown_extensions, g_array_unref);
    g_clear_pointer(&qcow2->header_tail, g_free);
    g_clear_pointer(&qcow2->header_on_disk, g_free);
    g_clear_pointer(&qcow2->data_file_name, g_free);
}

/* ---- writing ---- */

typedef struct Page { uint8_t *bytes; uint64_t at, size; bool full; } Page;

static void put(Page *page, const void *data, uint32_t length)
{
    if (length > page->size - page->at) {
        page->full = true;
        return;
    }
    memcpy(page->bytes + page->at, data, length);
    page->at += length;
}

static void put_extension(Page *page, uint32_t type, const void *data, uint32_t length)
{
    uint8_t head[8];
    uint64_t padding = ROUND_UP_8(length) - length;

    store_be32(head, type);
    store_be32(head + 4, length);
    put(page, head, 8);
    if (length) {
        put(page, data, length);
    }
    if (padding > page->size - page->at) {
        page->full = true;
    } else {
        page->at += padding;
    }
}

static void put_features(Page *page)
{
    uint8_t table[G_N_ELEMENTS(features) * FEATURE_BYTES] = { 0 };

    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        table[i * FEATURE_BYTES] = features[i].kind;
        table[i * FEATURE_BYTES + 1] = features[i].bit;
        memcpy(table + i * FEATURE_BYTES + 2, features[i].name, strlen(features[i].name));
    }
    put_extension(page, Q2_EXT_FEATURES, table, sizeof table);
}

/* In the order that qemu-img writes them. */
static void put_extensions(const Qcow2 *qcow2, Page *page)
{
    if (qcow2->node.backing_format) {
        put_extension(page, Q2_EXT_BACKING_FORMAT, qcow2->node.backing_format, strlen(qcow2->node.backing_format));
    }
    if ((qcow2->incompatible & Q2_INCOMPAT_DATA_FILE) && qcow2->data_file_name) {
        put_extension(page, Q2_EXT_DATA_FILE, qcow2->data_file_name, strlen(qcow2->data_file_name));
    }
    if (qcow2->crypto_offset) {
        uint8_t data[16];

        store_be64(data, qcow2->crypto_offset);
        store_be64(data + 8, qcow2->crypto_bytes);
        put_extension(page, Q2_EXT_CRYPTO, data, sizeof data);
    }
    if (qcow2->version >= 3 && (qcow2->feature_table || qcow2->cluster_size >= FEATURE_TABLE_MIN_CLUSTER)) {
        put_features(page);
    }
    if (qcow2->bitmap_count) {
        uint8_t data[24] = { 0 };

        store_be32(data, qcow2->bitmap_count);
        store_be64(data + 8, qcow2->bitmap_directory_bytes);
        store_be64(data + 16, qcow2->bitmap_directory_offset);
        put_extension(page, Q2_EXT_BITMAPS, data, sizeof data);
    }
    for (guint i = 0; i < qcow2->unknown_extensions->len; i++) {
        const Qcow2Extension *extension = &g_array_index(qcow2->unknown_extensions, Qcow2Extension, i);

        put_extension(page, extension->type, extension->data, extension->length);
    }
    put_extension(page, Q2_EXT_END, NULL, 0);
}

static void put_fields(const Qcow2 *qcow2, uint8_t *head, uint32_t length)
{
    store_be32(head, Q2_MAGIC);
    store_be32(head + 4, qcow2->version);
    store_be32(head + 20, qcow2->cluster_bits);
    store_be64(head + 24, qcow2->node.length);
    store_be32(head + 32, qcow2->crypt_method);
    store_be32(head + 36, qcow2->l1_size);
    store_be64(head + 40, qcow2->l1_offset);
    store_be64(head + 48, qcow2->reftable_offset);
    store_be32(head + 56, qcow2->reftable_clusters);
    store_be32(head + 60, qcow2->snapshot_count);
    store_be64(head + 64, qcow2->snapshots_offset);
    if (qcow2->version >= 3) {
        store_be64(head + 72, qcow2->incompatible);
        store_be64(head + 80, qcow2->compatible);
        store_be64(head + 88, qcow2->autoclear);
        store_be32(head + 96, qcow2->refcount_order);
        store_be32(head + 100, length);
        head[104] = qcow2->compression_type;
    }
}

static int compose(const Qcow2 *qcow2, uint8_t *head)
{
    uint32_t length = qcow2->version == 2 ? V2_BYTES : V3_OUR_BYTES + qcow2->header_tail_bytes;
    Page page = { head, length, qcow2->cluster_size, false };
    const char *name = qcow2->node.backing_name;

    put_fields(qcow2, head, length);
    if (qcow2->version >= 3 && qcow2->header_tail_bytes) {
        memcpy(head + V3_OUR_BYTES, qcow2->header_tail, qcow2->header_tail_bytes);
    }
    put_extensions(qcow2, &page);
    if (name && !page.full) {
        if (strlen(name) > Q2_MAX_BACKING_NAME) {
            return -EINVAL;
        }
        store_be64(head + 8, page.at);
        store_be32(head + 16, strlen(name));
        put(&page, name, strlen(name));
    }
    return page.full ? -ENOSPC : 0;
}

int qcow2_header_write(Qcow2 *qcow2)
{
    g_autofree uint8_t *head = g_malloc0(qcow2->cluster_size);
    uint64_t from = 0, to = qcow2->cluster_size;
    int ret = compose(qcow2, head);

    if (ret < 0) {
        return ret;
    }
    if (qcow2->header_on_disk) {
        while (from < to && !memcmp(head + from, qcow2->header_on_disk + from, Q2_SECTOR)) {
            from += Q2_SECTOR;
        }
        while (from < to && !memcmp(head + to - Q2_SECTOR, qcow2->header_on_disk + to - Q2_SECTOR, Q2_SECTOR)) {
            to -= Q2_SECTOR;
        }
    }
    if (from == to) {
        return 0;
    }
    ret = node_pwrite(qcow2->node.file, from, head + from, to - from);
    TRACE(&header_trace[TRACE_HEADER_WRITE], "file %s bytes %" PRIu64 "..%" PRIu64 " result %d", image_name(qcow2), from, to, ret);
    if (ret < 0) {
        /* What is there now is not known: the next write brings all of it. */
        g_clear_pointer(&qcow2->header_on_disk, g_free);
        return ret;
    }
    g_free(qcow2->header_on_disk);
    qcow2->header_on_disk = g_steal_pointer(&head);
    return 0;
}

int qcow2_header_commit(Qcow2 *qcow2)
{
    int ret = qcow2_header_write(qcow2);

    if (ret == 0) {
        ret = qcow2_flush_files(qcow2);
    }
    if (ret < 0) {
        qcow2->header_unsure = true;
    }
    return ret;
}

/* All of it, whatever is thought to be there, and read back. */
static int write_anew(Qcow2 *qcow2)
{
    g_autofree uint8_t *there = g_try_malloc(qcow2->cluster_size);
    int ret;

    g_clear_pointer(&qcow2->header_on_disk, g_free);
    ret = there ? qcow2_header_write(qcow2) : -ENOMEM;
    if (ret == 0) {
        ret = node_flush(qcow2->node.file);
    }
    if (ret == 0) {
        ret = node_pread(qcow2->node.file, 0, there, qcow2->cluster_size);
    }
    if (ret == 0 && (!qcow2->header_on_disk || memcmp(there, qcow2->header_on_disk, qcow2->cluster_size))) {
        ret = -EIO;
    }
    return ret;
}

int qcow2_header_settle(Qcow2 *qcow2)
{
    int ret = 0;

    while (ret == 0 && qcow2->header_unsure) {
        qcow2->header_unsure = false;      /* before all else: a change that fails meanwhile sets it again */
        ret = write_anew(qcow2);
        TRACE(&header_trace[TRACE_HEADER_SETTLE], "file %s result %d", image_name(qcow2), ret);
    }
    if (ret < 0) {
        qcow2->header_unsure = true;
        if (!qcow2->header_unsure_told) {
            report_error("qcow2 image '%s': a change of its header failed half-way and cannot be taken back: %s; nothing is written to its tables "
                         "until it can", image_name(qcow2), strerror(-ret));
        }
    }
    qcow2->header_unsure_told = ret < 0;
    return ret;
}

int qcow2_mark(Qcow2 *qcow2, uint64_t set, uint64_t clear)
{
    uint64_t before = qcow2->incompatible;
    int ret;

    if (qcow2->version < 3 || ((before | set) & ~clear) == before) {
        return 0;
    }
    qcow2->incompatible = (before | set) & ~clear;
    TRACE(&header_trace[TRACE_MARK], "file %s incompatible 0x%" PRIx64, image_name(qcow2), qcow2->incompatible);
    ret = qcow2_header_commit(qcow2);
    if (ret < 0) {
        qcow2->incompatible = before;
    }
    return ret;
}
