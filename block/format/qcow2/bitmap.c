/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap.c - persistent bitmaps while the image is open: recording of writes, and what roost img bitmap does to them
 *
 * Recording never waits and never fails: bits are added beside what the file holds (bitmap-store.c brings the two together), and where no
 * memory is left, a whole chunk counts as written.
 *
 * Threads  the node's home loop; ops take the gate exclusively
 * Tests    tests/block/qcow2-bitmap.py
 */
#include "block/format/qcow2/bitmap.h"
#include <inttypes.h>
#include <string.h>

void qcow2_bitmap_free(void *opaque)
{
    Bitmap *bitmap = opaque;

    for (uint32_t i = 0; bitmap->chunks && i < bitmap->chunk_count; i++) {
        g_free(bitmap->chunks[i].bits);
    }
    g_free(bitmap->chunks);
    g_free(bitmap->extra);
    g_free(bitmap->name);
    g_free(bitmap);
}

static Bitmap *find(Qcow2 *qcow2, const char *name)
{
    for (guint i = 0; qcow2->bitmaps && i < qcow2->bitmaps->list->len; i++) {
        Bitmap *bitmap = g_ptr_array_index(qcow2->bitmaps->list, i);

        if (strcmp(bitmap->name, name) == 0) {
            return bitmap;
        }
    }
    return NULL;
}

void qcow2_bitmaps_recount(Qcow2 *qcow2)
{
    qcow2->bitmaps->enabled = 0;
    for (guint i = 0; i < qcow2->bitmaps->list->len; i++) {
        Bitmap *bitmap = g_ptr_array_index(qcow2->bitmaps->list, i);

        qcow2->bitmaps->enabled += bitmap->enabled && !bitmap->inconsistent;
    }
}

uint32_t qcow2_bitmap_entries(const Qcow2 *qcow2, uint64_t size, unsigned granularity_bits)
{
    uint64_t bits = (size >> granularity_bits) + ((size & ((1ULL << granularity_bits) - 1)) != 0);
    uint64_t entries = qcow2_clusters(qcow2, bits / 8 + (bits % 8 != 0));

    entries = MAX(entries, 1);
    return entries > BITMAP_MAX_TABLE || entries << qcow2->cluster_bits > BITMAP_MAX_BYTES ? UINT32_MAX : (uint32_t)entries;
}

/* ---- recording ---- */

static void set_bits(uint8_t *bits, uint64_t first, uint64_t count)
{
    while (count && first % 8) {
        bits[first / 8] |= (uint8_t)(1u << first % 8);
        first++;
        count--;
    }
    memset(bits + first / 8, 0xff, count / 8);
    first += count & ~7ULL;
    if (count % 8) {
        bits[first / 8] |= (uint8_t)((1u << count % 8) - 1);
    }
}

static void record(Qcow2 *qcow2, Bitmap *bitmap, uint64_t first, uint64_t last)
{
    uint64_t per_chunk = qcow2->cluster_size * 8;

    bitmap->changed = true;
    while (first <= last) {
        uint64_t number = first / per_chunk, end = MIN(last + 1, (number + 1) * per_chunk);
        Chunk *chunk;

        if (number >= bitmap->chunk_count) {
            return;
        }
        chunk = &bitmap->chunks[number];
        if (!chunk->bits && !(chunk->entry & BITMAP_ALL_ONES)) {
            chunk->bits = g_try_malloc0(qcow2->cluster_size);
        }
        if (chunk->bits) {
            set_bits(chunk->bits, first % per_chunk, end - first);
        } else if (!(chunk->entry & BITMAP_ALL_ONES)) {
            Qcow2Freed place = { chunk->entry & Q2_BITMAP_OFFSET, qcow2->cluster_size, Q2_FREE_OTHER };

            if (place.offset) {
                g_array_append_val(qcow2->bitmaps->dropped, place);
            }
            chunk->entry = BITMAP_ALL_ONES;
        }
        first = end;
    }
}

void qcow2_bitmaps_dirty(Qcow2 *qcow2, uint64_t guest, uint64_t bytes)
{
    if (!qcow2->bitmaps || qcow2->bitmaps->enabled == 0 || bytes == 0 || guest >= qcow2->node.length) {
        return;
    }
    bytes = MIN(bytes, qcow2->node.length - guest);
    for (guint i = 0; i < qcow2->bitmaps->list->len; i++) {
        Bitmap *bitmap = g_ptr_array_index(qcow2->bitmaps->list, i);

        if (bitmap->enabled && !bitmap->inconsistent) {
            record(qcow2, bitmap, guest >> bitmap->granularity_bits, (guest + bytes - 1) >> bitmap->granularity_bits);
        }
    }
}

/* ---- ops ---- */

static bool may_change(Qcow2 *qcow2, GError **err)
{
    const char *name = node_filename(qcow2->node.file);

    if (!qcow2->node.writable) {
        return fail(err, EACCES, "%s: its bitmaps cannot be changed: the image is read-only", name);
    }
    return !qcow2->corrupt || fail(err, EIO, "%s: its bitmaps cannot be changed: the image is corrupt", name);
}

static Bitmap *usable(Qcow2 *qcow2, const char *name, GError **err)
{
    Bitmap *bitmap = find(qcow2, name);

    if (!bitmap) {
        fail(err, ENOENT, "Bitmap '%s' not found", name);
    } else if (bitmap->inconsistent) {
        fail(err, EINVAL, "Bitmap '%s' is inconsistent and cannot be used: it was in use when the image was not closed; remove it", name);
        bitmap = NULL;
    }
    return bitmap;
}

static Bitmap *changeable(Qcow2 *qcow2, const char *name, GError **err)
{
    return may_change(qcow2, err) ? usable(qcow2, name, err) : NULL;
}

static bool add_allowed(Qcow2 *qcow2, const char *name, uint32_t granularity, GError **err)
{
    if (qcow2->version < 3) {
        return fail(err, ENOTSUP, "Cannot store dirty bitmaps in qcow2 v2 files: amend -o compat=1.1 makes it version 3");
    }
    if (!*name || strlen(name) > BITMAP_MAX_NAME) {
        return fail(err, EINVAL, *name ? "Bitmap name is too long: the limit is %d bytes" : "Bitmap name cannot be empty", BITMAP_MAX_NAME);
    }
    if (find(qcow2, name)) {
        return fail(err, EEXIST, "Bitmap already exists: %s", name);
    }
    if (granularity & (granularity - 1)) {
        return fail(err, EINVAL, "Granularity must be power of 2");
    }
    if (granularity < 1u << BITMAP_MIN_BITS || granularity > 1u << BITMAP_MAX_BITS) {
        return fail(err, EINVAL, granularity < 1u << BITMAP_MIN_BITS ? "Granularity must be at least %u bytes"
                                                                     : "Granularity must be at most %u bytes",
                    granularity < 1u << BITMAP_MIN_BITS ? 1u << BITMAP_MIN_BITS : 1u << BITMAP_MAX_BITS);
    }
    if (qcow2->bitmaps && qcow2->bitmaps->list->len >= BITMAP_MAX_COUNT) {
        return fail(err, EFBIG, "Maximum number of persistent bitmaps is already reached");
    }
    return true;
}

static bool add_inside(Qcow2 *qcow2, const char *name, uint32_t granularity, bool enabled, GError **err)
{
    Bitmap *bitmap;
    uint32_t entries;

    granularity = granularity ? granularity : (uint32_t)MAX(qcow2->cluster_size, 4096);
    if (!may_change(qcow2, err) || !add_allowed(qcow2, name, granularity, err)) {
        return false;
    }
    entries = qcow2_bitmap_entries(qcow2, qcow2->node.length, (unsigned)__builtin_ctz(granularity));
    if (entries == UINT32_MAX) {
        return fail(err, EFBIG, "Too much space will be occupied by the bitmap. Use larger granularity");
    }
    bitmap = g_new0(Bitmap, 1);
    bitmap->chunks = g_try_new0(Chunk, entries);
    if (!bitmap->chunks) {
        g_free(bitmap);
        return fail(err, ENOMEM, "no memory for a bitmap of %u clusters", entries);
    }
    bitmap->name = g_strdup(name);
    bitmap->chunk_count = entries;
    bitmap->granularity_bits = (unsigned)__builtin_ctz(granularity);
    bitmap->enabled = enabled;
    bitmap->changed = true;
    g_ptr_array_add(qcow2_bitmaps_get(qcow2)->list, bitmap);
    qcow2->bitmaps->directory_changed = true;
    qcow2_bitmaps_recount(qcow2);
    return true;
}

static bool remove_inside(Qcow2 *qcow2, const char *name, GError **err)
{
    Bitmap *bitmap = find(qcow2, name);
    int result = 0;

    if (!may_change(qcow2, err)) {
        return false;
    }
    if (!bitmap) {
        return fail(err, ENOENT, "Bitmap '%s' not found", name);
    }
    if (bitmap->inconsistent) {
        result = qcow2_bitmap_drop_unread(qcow2, bitmap);
    } else {
        qcow2_bitmap_drop_places(qcow2, bitmap);
    }
    if (result < 0) {
        return fail(err, -result, "Bitmap '%s' cannot be removed: %s", name, g_strerror(-result));
    }
    g_ptr_array_remove(qcow2->bitmaps->list, bitmap);
    qcow2->bitmaps->directory_changed = true;
    qcow2_bitmaps_recount(qcow2);
    return true;
}

static void clear_chunks(Qcow2 *qcow2, Bitmap *bitmap, uint32_t from)
{
    for (uint32_t i = from; i < bitmap->chunk_count; i++) {
        Chunk *chunk = &bitmap->chunks[i];
        Qcow2Freed place = { chunk->entry & Q2_BITMAP_OFFSET, qcow2->cluster_size, Q2_FREE_OTHER };

        if (place.offset) {
            g_array_append_val(qcow2->bitmaps->dropped, place);
        }
        g_free(chunk->bits);
        *chunk = (Chunk){ 0 };
    }
    bitmap->changed = true;
}

static bool bitmap_add(Node *node, const char *name, uint32_t granularity, bool enabled, GError **err)
{
    bool done;

    co_write_lock(&QCOW2(node)->gate);
    done = add_inside(QCOW2(node), name, granularity, enabled, err);
    co_write_unlock(&QCOW2(node)->gate);
    return done;
}

static bool bitmap_remove(Node *node, const char *name, GError **err)
{
    bool done;

    co_write_lock(&QCOW2(node)->gate);
    done = remove_inside(QCOW2(node), name, err);
    co_write_unlock(&QCOW2(node)->gate);
    return done;
}

static bool bitmap_clear(Node *node, const char *name, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    Bitmap *bitmap;

    co_write_lock(&qcow2->gate);
    bitmap = changeable(qcow2, name, err);
    if (bitmap) {
        clear_chunks(qcow2, bitmap, 0);
    }
    co_write_unlock(&qcow2->gate);
    return bitmap != NULL;
}

static bool bitmap_enable(Node *node, const char *name, bool on, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    Bitmap *bitmap;

    co_write_lock(&qcow2->gate);
    bitmap = changeable(qcow2, name, err);
    if (bitmap) {
        bitmap->changed |= bitmap->enabled != on;
        bitmap->enabled = on;
        qcow2_bitmaps_recount(qcow2);
    }
    co_write_unlock(&qcow2->gate);
    return bitmap != NULL;
}

/* ---- merging ---- */

/* Each run of set bits of a chunk, as a range of the disk. */
static void add_chunk(Qcow2 *qcow2, Bitmap *bitmap, const Bitmap *source, const uint8_t *bits, uint64_t bytes, uint64_t first)
{
    uint64_t count = bytes * 8;

    for (uint64_t bit = 0; bit < count;) {
        uint64_t end = bit, from, to;

        if (bits[bit / 8] == 0 && bit % 8 == 0) {
            bit += 8;
            continue;
        }
        while (end < count && bits[end / 8] >> end % 8 & 1) {
            end++;
        }
        if (end == bit) {
            bit++;
            continue;
        }
        from = (first + bit) << source->granularity_bits;
        to = MIN((first + end) << source->granularity_bits, qcow2->node.length);
        if (from < to) {
            record(qcow2, bitmap, from >> bitmap->granularity_bits, (to - 1) >> bitmap->granularity_bits);
        }
        bit = end;
    }
}

static int merge_chunks(Qcow2 *qcow2, Bitmap *bitmap, Qcow2 *other, Bitmap *source)
{
    for (uint32_t i = 0; i < source->chunk_count; i++) {
        Chunk *chunk = &source->chunks[i];
        Chunk copy = { chunk->entry, NULL, false };
        int result;

        if (!chunk->bits && !chunk->entry) {
            continue;
        }
        if (chunk->bits) {
            copy.bits = g_try_malloc(other->cluster_size);
            if (!copy.bits) {
                return -ENOMEM;
            }
            memcpy(copy.bits, chunk->bits, other->cluster_size);
            copy.whole = chunk->whole;
        }
        result = qcow2_chunk_load(other, &copy);
        if (result >= 0) {
            add_chunk(qcow2, bitmap, source, copy.bits, other->cluster_size, i * other->cluster_size * 8);
        }
        g_free(copy.bits);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static bool merge_inside(Qcow2 *qcow2, const char *name, Qcow2 *other, const char *source_name, GError **err)
{
    Bitmap *bitmap = changeable(qcow2, name, err), *source = bitmap ? usable(other, source_name, err) : NULL;
    int result;

    if (!source) {
        return false;
    }
    if (qcow2->node.length != other->node.length) {
        return fail(err, EINVAL, "Bitmaps are of different sizes (destination size is %" PRIu64 ", source size is %" PRIu64
                    ") and can't be merged", qcow2->node.length, other->node.length);
    }
    result = merge_chunks(qcow2, bitmap, other, source);
    return result >= 0 || fail(err, -result, "Bitmap '%s' cannot be read: %s", source_name, g_strerror(-result));
}

static bool bitmap_merge(Node *node, const char *name, Node *source, const char *source_name, GError **err)
{
    Qcow2 *qcow2 = QCOW2(node);
    bool done;

    if (node_driver(source) != &qcow2_driver) {
        return fail(err, ENOTSUP, "%s: images of format '%s' have no bitmaps", node_filename(source), node_driver_name(source));
    }
    co_write_lock(&qcow2->gate);
    if (source != node) {
        co_write_lock(&QCOW2(source)->gate);
    }
    done = merge_inside(qcow2, name, QCOW2(source), source_name, err);
    if (source != node) {
        co_write_unlock(&QCOW2(source)->gate);
    }
    co_write_unlock(&qcow2->gate);
    return done;
}

/* ---- what there is ---- */

static uint64_t count_dirty(Qcow2 *qcow2, const Bitmap *bitmap)
{
    uint64_t bits = 0, total = (qcow2->node.length >> bitmap->granularity_bits) +
                               ((qcow2->node.length & ((1ULL << bitmap->granularity_bits) - 1)) != 0);

    for (uint32_t i = 0; i < bitmap->chunk_count; i++) {
        const Chunk *chunk = &bitmap->chunks[i];
        uint64_t first = i * qcow2->cluster_size * 8, room = total > first ? MIN(total - first, qcow2->cluster_size * 8) : 0;
        Chunk copy = { chunk->entry, chunk->bits ? g_memdup2(chunk->bits, qcow2->cluster_size) : NULL, chunk->whole };

        if (!copy.bits && !(copy.entry & Q2_BITMAP_OFFSET)) {
            bits += copy.entry ? room : 0;
        } else if (qcow2_chunk_load(qcow2, &copy) >= 0) {
            for (uint64_t bit = 0; bit < room; bit++) {
                bits += copy.bits[bit / 8] >> bit % 8 & 1;
            }
        }
        g_free(copy.bits);
    }
    return MIN(bits << bitmap->granularity_bits, qcow2->node.length);
}

static void clear_listed(void *opaque)
{
    image_bitmap_clear(opaque);
}

static int bitmap_list(Node *node, GArray *out)
{
    Qcow2 *qcow2 = QCOW2(node);

    g_array_set_clear_func(out, clear_listed);
    co_write_lock(&qcow2->gate);
    for (guint i = 0; qcow2->bitmaps && i < qcow2->bitmaps->list->len; i++) {
        Bitmap *bitmap = g_ptr_array_index(qcow2->bitmaps->list, i);
        ImageBitmap listed = { g_strdup(bitmap->name), 1u << bitmap->granularity_bits, bitmap->enabled, bitmap->inconsistent,
                               bitmap->enabled, bitmap->inconsistent ? 0 : count_dirty(qcow2, bitmap) };

        g_array_append_val(out, listed);
    }
    co_write_unlock(&qcow2->gate);
    return 0;
}

bool qcow2_bitmaps_any(const Qcow2 *qcow2)
{
    return qcow2->bitmaps && qcow2->bitmaps->list->len;
}

Value *qcow2_bitmaps_info(const Qcow2 *qcow2)
{
    Value *list;

    if (!qcow2->bitmaps || qcow2->bitmaps->list->len == 0) {
        return NULL;
    }
    list = value_new_list();
    for (guint i = 0; i < qcow2->bitmaps->list->len; i++) {
        const Bitmap *bitmap = g_ptr_array_index(qcow2->bitmaps->list, i);
        Value *entry = value_new_object(), *flags = value_new_list();

        if (bitmap->inconsistent || qcow2->node.writable) {
            value_append(flags, value_new_string("in-use"));
        }
        if (bitmap->enabled) {
            value_append(flags, value_new_string("auto"));
        }
        value_set(entry, "flags", flags);
        value_set(entry, "name", value_new_string(bitmap->name));
        value_set(entry, "granularity", value_new_uint(1u << bitmap->granularity_bits));
        value_append(list, entry);
    }
    return list;
}

/* ---- another size of the disk ---- */

/* Bits beyond the end of the disk are clear, so that they stay clear when it grows again. */
static int trim_last(Qcow2 *qcow2, Bitmap *bitmap, uint64_t size)
{
    uint64_t per_chunk = qcow2->cluster_size * 8, bits = (size >> bitmap->granularity_bits) +
             ((size & ((1ULL << bitmap->granularity_bits) - 1)) != 0), rest = bits % per_chunk;
    Chunk *chunk = &bitmap->chunks[bitmap->chunk_count - 1];
    int result;

    if ((rest == 0 && bits) || (!chunk->bits && !chunk->entry)) {
        return 0;
    }
    result = qcow2_chunk_load(qcow2, chunk);
    for (uint64_t bit = rest; result >= 0 && bit < per_chunk; bit++) {
        if (bit % 8 == 0) {
            memset(chunk->bits + bit / 8, 0, (per_chunk - bit) / 8);
            break;
        }
        chunk->bits[bit / 8] &= (uint8_t)~(1u << bit % 8);
    }
    return result;
}

static int resize_one(Qcow2 *qcow2, Bitmap *bitmap, uint64_t size, uint32_t entries)
{
    uint32_t old = bitmap->chunk_count;
    Chunk *chunks;
    int result = size < qcow2->node.length ? 0 : trim_last(qcow2, bitmap, qcow2->node.length);

    if (result < 0) {
        return result;
    }
    if (entries < old) {
        clear_chunks(qcow2, bitmap, entries);
    }
    chunks = g_try_renew(Chunk, bitmap->chunks, entries);
    if (!chunks) {
        return entries < old ? 0 : -ENOMEM;
    }
    bitmap->chunks = chunks;
    if (entries > old) {
        memset(chunks + old, 0, (entries - old) * sizeof *chunks);
    }
    bitmap->chunk_count = entries;
    bitmap->changed = true;
    return size < qcow2->node.length ? trim_last(qcow2, bitmap, size) : 0;
}

bool qcow2_bitmaps_resize(Qcow2 *qcow2, uint64_t size, GError **err)
{
    for (int pass = 0; pass < 2; pass++) {
        for (guint i = 0; qcow2->bitmaps && i < qcow2->bitmaps->list->len; i++) {
            Bitmap *bitmap = g_ptr_array_index(qcow2->bitmaps->list, i);
            uint32_t entries = qcow2_bitmap_entries(qcow2, size, bitmap->granularity_bits);
            int result;

            if (bitmap->inconsistent) {
                return fail(err, ENOTSUP, "Bitmap '%s' is inconsistent and cannot be resized with the image: remove it first", bitmap->name);
            }
            if (entries == UINT32_MAX) {
                return fail(err, EFBIG, "Bitmap '%s' would be too large for a disk of %" PRIu64 " bytes: remove it first", bitmap->name, size);
            }
            result = pass ? resize_one(qcow2, bitmap, size, entries) : 0;
            if (result < 0) {
                return fail(err, -result, "Bitmap '%s' cannot be resized: %s", bitmap->name, g_strerror(-result));
            }
        }
    }
    if (!qcow2->bitmaps && qcow2->bitmap_count) {
        return fail(err, ENOTSUP, "Cannot resize qcow2 with persistent bitmaps that were not loaded into memory");
    }
    return true;
}

const ImageBitmapOps qcow2_bitmap_ops = {
    .add = bitmap_add, .remove = bitmap_remove, .clear = bitmap_clear, .enable = bitmap_enable, .merge = bitmap_merge, .list = bitmap_list,
};
