/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bitmap-store.c - persistent bitmaps in the file: directory, tables, clusters of bits
 *
 * Directory entry, aligned to 8 bytes; big-endian:
 *
 *     0  u64 bitmap_table_offset      16  u8  type (1: dirty tracking)     24  extra data
 *     8  u32 bitmap_table_size        17  u8  granularity_bits             ..  name, padding
 *    12  u32 flags                    18  u16 name_size
 *                                     20  u32 extra_data_size
 *
 * Table entry: bits 9..55 offset of a cluster of bits; without one, bit 0 says that all its bits are set. Bit n of a bitmap stands for
 * [n << granularity_bits, ...) of the disk, in byte n / 8 with value 1 << n % 8.
 *
 * A writable image says "in use" of each bitmap that it may change, before the first write: after a crash it is known to be
 * incomplete. At close changed clusters, tables and the directory go to new places, are counted and flushed; then the header names the new
 * directory, and the old places are free.
 *
 * Hostile: sizes are held against their limits before anything is allocated by them; all bitmaps together have a limit too.
 *
 * Threads  coroutines; open and close, or gate exclusive
 * Tests    tests/block/qcow2-bitmap.py
 */
#include "block/format/qcow2/bitmap.h"
#include <inttypes.h>
#include <string.h>

enum { ENTRY_BYTES = 24, CHUNK = 64 * 1024 };
#define MEMORY_LIMIT (1ULL << 30)          /* of all chunk arrays */

/* ---- the directory ---- */

typedef struct DirectoryEntry {
    uint64_t table_offset;
    uint32_t table_entries, flags, extra_bytes;
    uint8_t type, granularity_bits;
    uint16_t name_bytes;
    const uint8_t *extra, *name;
} DirectoryEntry;

/* The entry at *at; false: it does not fit into the rest. */
static bool parse_entry(const uint8_t *directory, uint64_t bytes, uint64_t *at, DirectoryEntry *entry)
{
    const uint8_t *p = directory + *at;
    uint64_t length;

    if (bytes - *at < ENTRY_BYTES) {
        return false;
    }
    *entry = (DirectoryEntry){ load_be64(p), load_be32(p + 8), load_be32(p + 12), load_be32(p + 20), p[16], p[17], load_be16(p + 18), NULL,
                               NULL };
    length = ((uint64_t)ENTRY_BYTES + entry->extra_bytes + entry->name_bytes + 7) & ~7ULL;
    if (length > bytes - *at) {
        return false;
    }
    entry->extra = p + ENTRY_BYTES;
    entry->name = entry->extra + entry->extra_bytes;
    *at += length;
    return true;
}

static bool entry_within_limits(const Qcow2 *qcow2, const DirectoryEntry *entry)
{
    uint64_t bytes = (uint64_t)entry->table_entries << qcow2->cluster_bits;

    return entry->table_entries && entry->table_entries <= BITMAP_MAX_TABLE && bytes <= BITMAP_MAX_BYTES && entry->table_offset &&
           !(entry->table_offset & (qcow2->cluster_size - 1)) && entry->table_offset < INT64_MAX &&
           entry->granularity_bits >= BITMAP_MIN_BITS && entry->granularity_bits <= BITMAP_MAX_BITS && !(entry->flags & ~BITMAP_FLAGS) &&
           entry->type == BITMAP_TYPE_DIRTY && entry->name_bytes && entry->name_bytes <= BITMAP_MAX_NAME &&
           !memchr(entry->name, 0, entry->name_bytes) &&
           (entry->flags & BITMAP_IN_USE ||
            entry->table_entries == qcow2_bitmap_entries(qcow2, qcow2->node.length, entry->granularity_bits));
}

static int read_directory(Qcow2 *qcow2, uint8_t **out)
{
    uint64_t bytes = qcow2->bitmap_directory_bytes;
    int result;

    if (bytes > BITMAP_MAX_DIRECTORY || !range_within(qcow2->bitmap_directory_offset, bytes, node_length(qcow2->node.file))) {
        return -EINVAL;
    }
    *out = g_try_malloc(bytes + 1);
    if (!*out) {
        return -ENOMEM;
    }
    result = node_pread(qcow2->node.file, qcow2->bitmap_directory_offset, *out, bytes);
    if (result < 0) {
        g_clear_pointer(out, g_free);
    }
    return result;
}

bool qcow2_bitmap_entry_sound(const Qcow2 *qcow2, uint64_t entry)
{
    uint64_t offset = entry & Q2_BITMAP_OFFSET;

    return !(entry & ~(Q2_BITMAP_OFFSET | BITMAP_ALL_ONES)) && (offset ? entry == offset : true) && !(offset & (qcow2->cluster_size - 1));
}

int qcow2_bitmaps_each_table(Qcow2 *qcow2, void (*each)(void *opaque, const char *name, uint64_t offset, uint32_t entries, bool sound),
                             void *opaque)
{
    g_autofree uint8_t *directory = NULL;
    int result = read_directory(qcow2, &directory);
    uint64_t at = 0;

    for (uint32_t i = 0; result >= 0 && i < qcow2->bitmap_count; i++) {
        g_autofree char *name = NULL;
        DirectoryEntry entry;

        if (!parse_entry(directory, qcow2->bitmap_directory_bytes, &at, &entry)) {
            return -EINVAL;
        }
        name = g_strndup((const char *)entry.name, MIN(entry.name_bytes, BITMAP_MAX_NAME));
        each(opaque, name, entry.table_offset, MIN(entry.table_entries, (uint32_t)BITMAP_MAX_TABLE), entry_within_limits(qcow2, &entry));
    }
    return result < 0 ? result : 0;
}

/* ---- loading ---- */

static int read_table(Qcow2 *qcow2, Bitmap *bitmap)
{
    g_autofree uint8_t *bytes = g_try_malloc(CHUNK);

    if (!bytes || !range_within(bitmap->table_offset, (uint64_t)bitmap->table_entries * 8, node_length(qcow2->node.file))) {
        return bytes ? -EINVAL : -ENOMEM;
    }
    for (uint64_t at = 0; at < (uint64_t)bitmap->table_entries * 8; at += CHUNK) {
        uint64_t length = MIN((uint64_t)CHUNK, (uint64_t)bitmap->table_entries * 8 - at);
        int result = node_pread(qcow2->node.file, bitmap->table_offset + at, bytes, length);

        if (result < 0) {
            return result;
        }
        for (uint64_t i = 0; i < length; i += 8) {
            bitmap->chunks[(at + i) / 8].entry = load_be64(bytes + i);
            if (!qcow2_bitmap_entry_sound(qcow2, load_be64(bytes + i))) {
                return -EINVAL;
            }
        }
    }
    return 0;
}

static bool chunks_new(Bitmap *bitmap, uint64_t *memory)
{
    uint64_t bytes = (uint64_t)bitmap->table_entries * sizeof(Chunk);

    if (bytes > MEMORY_LIMIT - *memory) {
        return false;
    }
    *memory += bytes;
    bitmap->chunks = g_try_new0(Chunk, bitmap->table_entries);
    bitmap->chunk_count = bitmap->table_entries;
    return bitmap->chunks != NULL;
}

static bool load_one(Qcow2 *qcow2, const DirectoryEntry *entry, uint64_t *memory, GError **err)
{
    Bitmap *bitmap = g_new0(Bitmap, 1);
    int result = 0;

    bitmap->name = g_strndup((const char *)entry->name, entry->name_bytes);
    g_ptr_array_add(qcow2->bitmaps->list, bitmap);
    if (!entry_within_limits(qcow2, entry)) {
        return fail(err, EINVAL, "%s: Bitmap '%s' doesn't satisfy the constraints", node_filename(qcow2->node.file), bitmap->name);
    }
    bitmap->granularity_bits = entry->granularity_bits;
    bitmap->flags = entry->flags;
    bitmap->enabled = entry->flags & BITMAP_AUTO;
    bitmap->inconsistent = entry->flags & BITMAP_IN_USE;
    bitmap->table_offset = entry->table_offset;
    bitmap->table_entries = entry->table_entries;
    bitmap->extra_bytes = entry->extra_bytes;
    bitmap->extra = entry->extra_bytes ? g_memdup2(entry->extra, entry->extra_bytes) : NULL;
    if (!bitmap->inconsistent) {
        result = chunks_new(bitmap, memory) ? read_table(qcow2, bitmap) : -ENOMEM;
    }
    return result == 0 || fail(err, -result, "%s: Could not read bitmap_table table from image for bitmap '%s': %s",
                               node_filename(qcow2->node.file), bitmap->name, g_strerror(-result));
}

static Qcow2Bitmaps *bitmaps_new(void)
{
    Qcow2Bitmaps *bitmaps = g_new0(Qcow2Bitmaps, 1);

    bitmaps->list = g_ptr_array_new_with_free_func(qcow2_bitmap_free);
    bitmaps->dropped = g_array_new(false, false, sizeof(Qcow2Freed));
    return bitmaps;
}

Qcow2Bitmaps *qcow2_bitmaps_get(Qcow2 *qcow2)
{
    if (!qcow2->bitmaps) {
        qcow2->bitmaps = bitmaps_new();
    }
    return qcow2->bitmaps;
}

void qcow2_bitmaps_free(Qcow2 *qcow2)
{
    if (qcow2->bitmaps) {
        g_ptr_array_unref(qcow2->bitmaps->list);
        g_array_unref(qcow2->bitmaps->dropped);
        g_clear_pointer(&qcow2->bitmaps, g_free);
    }
}

/* The directory with other flags, at the place where it is: torn, it is still one of each entry's two states. */
static int write_flags(Qcow2 *qcow2, bool in_use)
{
    g_autofree uint8_t *directory = NULL;
    int result = read_directory(qcow2, &directory);
    uint64_t at = 0;

    for (guint i = 0; result >= 0 && i < qcow2->bitmaps->list->len; i++) {
        Bitmap *bitmap = g_ptr_array_index(qcow2->bitmaps->list, i);
        DirectoryEntry entry;
        uint64_t begin = at;

        if (!parse_entry(directory, qcow2->bitmap_directory_bytes, &at, &entry)) {
            return -EINVAL;
        }
        if (!bitmap->inconsistent) {
            store_be32(directory + begin + 12, (bitmap->flags & ~(uint32_t)BITMAP_IN_USE) | (in_use ? BITMAP_IN_USE : 0));
        }
    }
    if (result >= 0) {
        result = node_pwrite(qcow2->node.file, qcow2->bitmap_directory_offset, directory, qcow2->bitmap_directory_bytes);
    }
    return result < 0 ? result : node_flush(qcow2->node.file);
}

static bool load_all(Qcow2 *qcow2, GError **err)
{
    g_autofree uint8_t *directory = NULL;
    uint64_t at = 0, memory = 0;
    DirectoryEntry entry;
    int result = read_directory(qcow2, &directory);

    if (result < 0) {
        return fail(err, -result, "%s: the bitmap directory cannot be read: %s", node_filename(qcow2->node.file), g_strerror(-result));
    }
    for (uint32_t i = 0; i < qcow2->bitmap_count; i++) {
        if (!parse_entry(directory, qcow2->bitmap_directory_bytes, &at, &entry)) {
            return fail(err, EINVAL, "%s: the bitmap directory ends within entry %u", node_filename(qcow2->node.file), i);
        }
        if (!load_one(qcow2, &entry, &memory, err)) {
            return false;
        }
    }
    qcow2_bitmaps_recount(qcow2);
    return true;
}

bool qcow2_bitmaps_load(Qcow2 *qcow2, GError **err)
{
    int result;

    if (qcow2->bitmap_count == 0) {
        return true;
    }
    if (!qcow2->bitmaps) {
        qcow2->bitmaps = bitmaps_new();
        if (!load_all(qcow2, err)) {
            qcow2_bitmaps_free(qcow2);
            return false;
        }
    }
    if (qcow2->node.writable && !qcow2->bitmaps->marked) {
        result = write_flags(qcow2, true);
        if (result < 0) {
            qcow2_bitmaps_free(qcow2);
            return fail(err, -result, "%s: the bitmaps cannot be marked as in use: %s", node_filename(qcow2->node.file),
                        g_strerror(-result));
        }
        qcow2->bitmaps->marked = true;
    }
    return true;
}

int qcow2_chunk_load(Qcow2 *qcow2, Chunk *chunk)
{
    g_autofree uint8_t *old = NULL;
    int result = 0;

    if (chunk->whole || (!chunk->bits && !(chunk->entry & Q2_BITMAP_OFFSET))) {
        if (!chunk->bits) {
            chunk->bits = g_try_malloc(qcow2->cluster_size);
            if (!chunk->bits) {
                return -ENOMEM;
            }
            memset(chunk->bits, chunk->entry == BITMAP_ALL_ONES ? 0xff : 0, qcow2->cluster_size);
            chunk->whole = true;
        }
        return 0;
    }
    old = g_try_malloc0(qcow2->cluster_size);
    if (!old) {
        return -ENOMEM;
    }
    if (chunk->entry & Q2_BITMAP_OFFSET) {
        result = node_pread(qcow2->node.file, chunk->entry & Q2_BITMAP_OFFSET, old, qcow2->cluster_size);
    } else if (chunk->entry == BITMAP_ALL_ONES) {
        memset(old, 0xff, qcow2->cluster_size);
    }
    if (result < 0) {
        return result;
    }
    for (uint64_t i = 0; chunk->bits && i < qcow2->cluster_size; i++) {
        old[i] |= chunk->bits[i];
    }
    g_free(chunk->bits);
    chunk->bits = g_steal_pointer(&old);
    chunk->whole = true;
    return 0;
}

/* ---- storing ---- */

static void drop(Qcow2 *qcow2, uint64_t offset, uint64_t bytes)
{
    if (offset && bytes) {
        g_array_append_val(qcow2->bitmaps->dropped, ((Qcow2Freed){ offset, bytes, Q2_FREE_OTHER }));
    }
}

void qcow2_bitmap_drop_places(Qcow2 *qcow2, Bitmap *bitmap)
{
    for (uint32_t i = 0; i < bitmap->chunk_count; i++) {
        drop(qcow2, bitmap->chunks[i].entry & Q2_BITMAP_OFFSET, qcow2->cluster_size);
        bitmap->chunks[i].entry &= ~Q2_BITMAP_OFFSET;
    }
    drop(qcow2, bitmap->table_offset, (uint64_t)bitmap->table_entries * 8);
    bitmap->table_offset = 0;
}

int qcow2_bitmap_drop_unread(Qcow2 *qcow2, Bitmap *bitmap)
{
    uint64_t memory = 0;
    int result;

    if (!bitmap->chunks) {
        if (!chunks_new(bitmap, &memory)) {
            return -ENOMEM;
        }
        result = read_table(qcow2, bitmap);
        if (result < 0) {                  /* not sound: its clusters leak, rather than that others' are freed */
            memset(bitmap->chunks, 0, bitmap->chunk_count * sizeof *bitmap->chunks);
        }
    }
    qcow2_bitmap_drop_places(qcow2, bitmap);
    return 0;
}

static bool all_bytes(const uint8_t *bits, uint64_t bytes, uint8_t value)
{
    return bits[0] == value && memcmp(bits, bits + 1, bytes - 1) == 0;
}

static int store_chunk(Qcow2 *qcow2, Chunk *chunk)
{
    int64_t place;
    int result;

    if (!chunk->bits) {
        return 0;
    }
    result = qcow2_chunk_load(qcow2, chunk);
    if (result < 0) {
        return result;
    }
    drop(qcow2, chunk->entry & Q2_BITMAP_OFFSET, qcow2->cluster_size);
    if (all_bytes(chunk->bits, qcow2->cluster_size, 0) || all_bytes(chunk->bits, qcow2->cluster_size, 0xff)) {
        chunk->entry = chunk->bits[0] ? BITMAP_ALL_ONES : 0;
        return 0;
    }
    chunk->entry = 0;
    place = qcow2_alloc(qcow2, qcow2->cluster_size, NULL);
    if (place < 0) {
        return (int)place;
    }
    chunk->entry = (uint64_t)place;
    result = qcow2_overlap_check(qcow2, 0, chunk->entry, qcow2->cluster_size);
    return result < 0 ? result : node_pwrite(qcow2->node.file, chunk->entry, chunk->bits, qcow2->cluster_size);
}

static int store_bitmap(Qcow2 *qcow2, Bitmap *bitmap)
{
    uint64_t bytes = (uint64_t)bitmap->chunk_count * 8;
    g_autofree uint8_t *table = g_try_malloc(MAX(bytes, 8));
    int64_t place;
    int result = table ? 0 : -ENOMEM;

    for (uint32_t i = 0; result >= 0 && i < bitmap->chunk_count; i++) {
        result = store_chunk(qcow2, &bitmap->chunks[i]);
        store_be64(table + (size_t)i * 8, bitmap->chunks[i].entry);
    }
    if (result < 0) {
        return result;
    }
    drop(qcow2, bitmap->table_offset, (uint64_t)bitmap->table_entries * 8);
    bitmap->table_offset = 0;
    place = qcow2_alloc(qcow2, bytes, NULL);
    if (place < 0) {
        return (int)place;
    }
    bitmap->table_offset = (uint64_t)place;
    bitmap->table_entries = bitmap->chunk_count;
    result = qcow2_overlap_check(qcow2, 0, bitmap->table_offset, bytes);
    return result < 0 ? result : node_pwrite(qcow2->node.file, bitmap->table_offset, table, bytes);
}

static void append_entry(GByteArray *out, Bitmap *bitmap)
{
    static const uint8_t zeroes[8];
    uint8_t head[ENTRY_BYTES] = { 0 };

    bitmap->flags = (bitmap->flags & BITMAP_EXTRA_COMPATIBLE) | (bitmap->enabled ? BITMAP_AUTO : 0) |
                    (bitmap->inconsistent ? BITMAP_IN_USE : 0);
    store_be64(head, bitmap->table_offset);
    store_be32(head + 8, bitmap->table_entries);
    store_be32(head + 12, bitmap->flags);
    head[16] = BITMAP_TYPE_DIRTY;
    head[17] = (uint8_t)bitmap->granularity_bits;
    store_be16(head + 18, (uint16_t)strlen(bitmap->name));
    store_be32(head + 20, bitmap->extra_bytes);
    g_byte_array_append(out, head, sizeof head);
    if (bitmap->extra_bytes) {
        g_byte_array_append(out, bitmap->extra, bitmap->extra_bytes);
    }
    g_byte_array_append(out, (const uint8_t *)bitmap->name, (guint)strlen(bitmap->name));
    if (out->len % 8) {
        g_byte_array_append(out, zeroes, 8 - out->len % 8);
    }
}

static int write_directory(Qcow2 *qcow2, uint64_t *offset, uint64_t *bytes)
{
    g_autoptr(GByteArray) directory = g_byte_array_new();
    int64_t place;
    int result;

    for (guint i = 0; i < qcow2->bitmaps->list->len; i++) {
        append_entry(directory, g_ptr_array_index(qcow2->bitmaps->list, i));
    }
    *offset = 0;
    *bytes = directory->len;
    if (directory->len > BITMAP_MAX_DIRECTORY) {
        return -EFBIG;
    }
    if (directory->len == 0) {
        return qcow2_sync_locked(qcow2);
    }
    place = qcow2_alloc(qcow2, directory->len, NULL);
    if (place < 0) {
        return (int)place;
    }
    *offset = (uint64_t)place;
    result = qcow2_overlap_check(qcow2, 0, *offset, directory->len);
    if (result >= 0) {
        result = node_pwrite(qcow2->node.file, *offset, directory->data, directory->len);
    }
    return result < 0 ? result : qcow2_sync_locked(qcow2);
}

static int store_all(Qcow2 *qcow2)
{
    uint64_t offset, bytes;
    int result = 0;

    for (guint i = 0; result >= 0 && i < qcow2->bitmaps->list->len; i++) {
        Bitmap *bitmap = g_ptr_array_index(qcow2->bitmaps->list, i);

        result = bitmap->changed && !bitmap->inconsistent ? store_bitmap(qcow2, bitmap) : 0;
    }
    if (result >= 0) {
        result = write_directory(qcow2, &offset, &bytes);
    }
    if (result < 0) {
        return result;
    }
    drop(qcow2, qcow2->bitmap_directory_offset, qcow2->bitmap_count ? qcow2->bitmap_directory_bytes : 0);
    qcow2->bitmap_count = qcow2->bitmaps->list->len;
    qcow2->bitmap_directory_offset = offset;
    qcow2->bitmap_directory_bytes = bytes;
    qcow2->autoclear = qcow2->bitmap_count ? qcow2->autoclear | Q2_AUTOCLEAR_BITMAPS : qcow2->autoclear & ~Q2_AUTOCLEAR_BITMAPS;
    result = qcow2_header_commit(qcow2);
    for (guint i = 0; result >= 0 && i < qcow2->bitmaps->dropped->len; i++) {
        Qcow2Freed *freed = &g_array_index(qcow2->bitmaps->dropped, Qcow2Freed, i);

        result = qcow2_refcount_add(qcow2, freed->offset, freed->bytes, -1, freed->why);
    }
    g_array_set_size(qcow2->bitmaps->dropped, 0);
    return result < 0 ? result : qcow2_regions_rebuild(qcow2);
}

static void stored(Qcow2 *qcow2)
{
    for (guint i = 0; i < qcow2->bitmaps->list->len; i++) {
        Bitmap *bitmap = g_ptr_array_index(qcow2->bitmaps->list, i);

        bitmap->changed = false;
        for (uint32_t n = 0; n < bitmap->chunk_count; n++) {
            g_clear_pointer(&bitmap->chunks[n].bits, g_free);
            bitmap->chunks[n].whole = false;
        }
    }
    qcow2->bitmaps->directory_changed = false;
    qcow2->bitmaps->marked = false;
}

int qcow2_bitmaps_store(Qcow2 *qcow2)
{
    bool anew;
    int result;

    if (!qcow2->bitmaps || !qcow2->node.writable || qcow2->corrupt) {
        return 0;
    }
    co_lock(&qcow2->lock);
    anew = qcow2->bitmaps->directory_changed;
    for (guint i = 0; i < qcow2->bitmaps->list->len; i++) {
        anew |= ((const Bitmap *)g_ptr_array_index(qcow2->bitmaps->list, i))->changed;
    }
    /* What the bitmaps record must not be older than what they say: data first. */
    result = qcow2_sync_locked(qcow2);
    if (result >= 0) {
        result = anew ? store_all(qcow2) : qcow2->bitmap_count ? write_flags(qcow2, false) : 0;
    }
    if (result >= 0) {
        stored(qcow2);
        result = qcow2_sync_locked(qcow2);
    }
    co_unlock(&qcow2->lock);
    return result;
}
