/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmdk.c - "vmdk": the disk images of VMware
 *
 * Models   hosted sparse extents (monolithicSparse, twoGbMaxExtentSparse), flat ones (monolithicFlat, twoGbMaxExtentFlat), and
 *          streamOptimized with deflate; a descriptor inside the image or in a file of its own
 * Omits    images with a parent, COWD and SESPARSE extents of ESX, VMFS: refused. A flat or sparse extent is a file in the image's folder, or the
 *          image has to be trusted (docs/decisions/image-names.md)
 * Layout   header, little endian: 4 version, 8 flags, 12 capacity, 20 grain, 28 and 36 descriptor, 44 entries of a grain table, 48 and 56 the two
 *          grain directories, all in sectors; a directory: 32 bits for each grain table, a table: 32 bits for each grain, its sector. 0: reads
 *          as zeroes, 1: is zero. A compressed grain: its first sector (64 bits), a length (32 bits), zlib's stream
 * Order    a grain's data, then its entry in the table, then in the copy of it. A compressed grain that changes is written anew at the end
 * Threads  home loop
 * Tests    tests/block/formats.py, tests/fuzz/formats.c
 */
#include "block/drivers.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "block/format/vmdk.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { EXTENTS_MOST = 1024, TABLES_MOST = 64 << 20, GRAIN_MOST = 16 << 20 };
typedef enum { EXTENT_FLAT, EXTENT_SPARSE, EXTENT_ZERO } ExtentKind;

typedef struct Extent {
    ExtentKind kind;
    Node *file;
    uint64_t begin, length, flat_at;       /* bytes */
    uint32_t flags, grain, gt_entries, tables;
    uint32_t *gd, *rgd, **gt;              /* directories: as in the file; tables: read when first wanted */
    uint64_t end;                          /* of the file, where the next grain goes */
} Extent;

typedef struct Vmdk {
    Node node;
    Blocks blocks;
    Extent *extents;
    size_t count;
    bool compressed;
} Vmdk;

/* ---- where a byte is ---- */

static Extent *extent_of(Vmdk *vmdk, uint64_t offset)
{
    size_t low = 0, high = vmdk->count;

    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        *(vmdk->extents[middle].begin <= offset ? &low : &high) = middle;
    }
    return &vmdk->extents[low];
}

static int need_table(Extent *extent, uint32_t table)
{
    size_t bytes = extent->gt_entries * 4;
    uint64_t at = (uint64_t)le32toh(extent->gd[table]) * VMDK_SECTOR;

    if (extent->gt[table] || !extent->gd[table]) {
        return 0;
    }
    if (!range_within(at, bytes, node_length(extent->file))) {
        return -EIO;
    }
    uint32_t *entries = g_try_malloc(bytes);
    if (!entries) {
        return -ENOMEM;
    }
    int result = node_pread(extent->file, at, entries, bytes);
    if (result < 0 || extent->gt[table]) {                 /* another request was here meanwhile */
        g_free(entries);
        return result;
    }
    extent->gt[table] = entries;
    return 0;
}

static int grain_entry(Extent *extent, uint64_t in, uint32_t *entry)
{
    uint64_t grain = in / extent->grain;
    uint32_t table = (uint32_t)(grain / extent->gt_entries);
    int result = need_table(extent, table);

    *entry = result == 0 && extent->gt[table] ? le32toh(extent->gt[table][grain % extent->gt_entries]) : 0;
    *entry = *entry == 1 && (extent->flags & VMDK_ZEROED) ? 0 : *entry;
    return result;
}

static int vmdk_locate(Node *node, uint64_t offset, Place *place)
{
    Extent *extent = extent_of((Vmdk *)node, offset);
    uint64_t in = offset - extent->begin;
    uint32_t entry = 0;

    place->file = extent->file;
    if (extent->kind != EXTENT_SPARSE) {
        place->present = extent->kind == EXTENT_FLAT;
        place->at = extent->flat_at + in;
        place->count = extent->length - in;
        return 0;
    }
    int result = grain_entry(extent, in, &entry);
    place->present = entry != 0;
    place->at = (uint64_t)entry * VMDK_SECTOR + in % extent->grain;
    place->count = MIN(extent->grain - in % extent->grain, extent->length - in);
    return result;
}

/* ---- new grains ---- */

static int room_at_the_end(Extent *extent, uint64_t bytes, uint64_t *at)
{
    *at = (MAX(extent->end, node_length(extent->file)) + VMDK_SECTOR - 1) / VMDK_SECTOR * VMDK_SECTOR;
    if (*at / VMDK_SECTOR > UINT32_MAX) {
        return -EFBIG;
    }
    extent->end = *at + bytes;
    return blocks_make_room(extent->file, *at, bytes);
}

static int enter(Extent *extent, uint64_t in, uint64_t at)
{
    uint64_t grain = in / extent->grain, slot = grain % extent->gt_entries;
    uint32_t table = (uint32_t)(grain / extent->gt_entries), entry = htole32((uint32_t)(at / VMDK_SECTOR));

    if (!extent->gt[table]) {
        return -EIO;                       /* a directory without this table: nobody makes such images */
    }
    int result = node_pwrite(extent->file, (uint64_t)le32toh(extent->gd[table]) * VMDK_SECTOR + slot * 4, &entry, 4);
    if (result == 0 && extent->rgd && extent->rgd[table]) {
        result = node_pwrite(extent->file, (uint64_t)le32toh(extent->rgd[table]) * VMDK_SECTOR + slot * 4, &entry, 4);
    }
    if (result == 0) {
        extent->gt[table][slot] = entry;
    }
    return result;
}

static int vmdk_allocate(Node *node, uint64_t block, uint64_t *at)
{
    Vmdk *vmdk = (Vmdk *)node;
    Extent *extent = extent_of(vmdk, block * vmdk->blocks.size);

    if (extent->kind != EXTENT_SPARSE) {
        return -EROFS;
    }
    uint64_t in = block * vmdk->blocks.size - extent->begin;
    if (!extent->gt[in / extent->grain / extent->gt_entries]) {
        return -EIO;
    }
    return room_at_the_end(extent, extent->grain, at);
}

static int vmdk_enter(Node *node, uint64_t block, uint64_t at)
{
    Vmdk *vmdk = (Vmdk *)node;
    Extent *extent = extent_of(vmdk, block * vmdk->blocks.size);

    return enter(extent, block * vmdk->blocks.size - extent->begin, at);
}

static const BlocksOps vmdk_ops = { .locate = vmdk_locate, .allocate = vmdk_allocate, .enter = vmdk_enter };

/* ---- compressed grains ---- */

typedef struct Pack { uint8_t *from, *to; size_t from_bytes, to_bytes; bool unpack; } Pack;

/* To a buffer of a grain's size: a stream that holds more ends in an error, not in memory. */
static int pack(void *opaque)
{
    Pack *job = opaque;
    uLongf bytes = job->to_bytes;
    int result = job->unpack ? uncompress(job->to, &bytes, job->from, job->from_bytes) : compress2(job->to, &bytes, job->from, job->from_bytes, 6);

    job->to_bytes = bytes;
    return result == Z_OK ? 0 : -EIO;
}

static int read_grain(Extent *extent, uint32_t entry, uint8_t *grain)
{
    uint64_t at = (uint64_t)entry * VMDK_SECTOR;
    uint8_t head[12];

    if (!entry) {
        memset(grain, 0, extent->grain);
        return 0;
    }
    int result = range_within(at, sizeof head, node_length(extent->file)) ? node_pread(extent->file, at, head, sizeof head) : -EIO;
    uint32_t bytes = result < 0 ? 0 : load_le32(head + 8);
    if (result < 0 || bytes == 0 || bytes > compressBound(extent->grain) + VMDK_SECTOR
        || !range_within(at + sizeof head, bytes, node_length(extent->file))) {
        return -EIO;
    }
    g_autofree uint8_t *packed = g_try_malloc(bytes);
    if (!packed) {
        return -ENOMEM;
    }
    result = node_pread(extent->file, at + sizeof head, packed, bytes);
    Pack job = { packed, grain, bytes, extent->grain, true };
    if (result == 0) {
        result = co_work(pack, &job);
    }
    if (result == 0) {
        memset(grain + job.to_bytes, 0, extent->grain - job.to_bytes);
    }
    return result;
}

static int write_grain(Extent *extent, uint64_t in, uint8_t *grain)
{
    size_t most = compressBound(extent->grain);
    g_autofree uint8_t *packed = g_try_malloc0(12 + most + VMDK_SECTOR);
    uint64_t at;

    if (!packed) {
        return -ENOMEM;
    }
    Pack job = { grain, packed + 12, extent->grain, most, false };
    int result = co_work(pack, &job);
    if (result < 0) {
        return result;
    }
    store_le64(packed, in / extent->grain * extent->grain / VMDK_SECTOR);
    store_le32(packed + 8, (uint32_t)job.to_bytes);
    size_t bytes = (12 + job.to_bytes + VMDK_SECTOR - 1) / VMDK_SECTOR * VMDK_SECTOR;
    memset(packed + 12 + job.to_bytes, 0, bytes - 12 - job.to_bytes);
    result = room_at_the_end(extent, bytes, &at);
    if (result == 0) {
        result = node_pwrite(extent->file, at, packed, bytes);
    }
    return result < 0 ? result : enter(extent, in, at);
}

/* One extent, all of it compressed. */
static int packed_request(Vmdk *vmdk, uint64_t offset, Iov window, bool write)
{
    Extent *extent = &vmdk->extents[0];
    g_autofree uint8_t *grain = g_try_malloc(extent->grain);
    int result = grain ? 0 : -ENOMEM;

    for (size_t at = 0, part; at < window.bytes && result == 0; at += part) {
        uint64_t in = offset + at;
        uint32_t entry;
        part = MIN(window.bytes - at, extent->grain - in % extent->grain);
        if (write) {
            CO_SCOPE(&vmdk->blocks.lock);
            result = grain_entry(extent, in, &entry);
            result = result == 0 ? read_grain(extent, entry, grain) : result;
            iov_get(window, at, grain + in % extent->grain, part);
            result = result == 0 ? write_grain(extent, in, grain) : result;
        } else {
            result = grain_entry(extent, in, &entry);
            result = result == 0 ? read_grain(extent, entry, grain) : result;
            if (result == 0) {
                iov_put(window, at, grain + in % extent->grain, part);
            }
        }
    }
    return result;
}

/* ---- opening ---- */

static uint32_t *directory(Extent *extent, const char *what, uint64_t sector, GError **err)
{
    uint64_t at;

    if (!checked_mul(sector, VMDK_SECTOR, &at)) {
        fail(err, EINVAL, "'%s': %s lies beyond the end of the file", node_filename(extent->file), what);
        return NULL;
    }
    return blocks_read_table(extent->file, what, at, extent->tables, 4, err);
}

static bool read_header(Node *file, uint8_t *head, GError **err)
{
    uint64_t length = node_length(file);

    if (length < VMDK_HEADER || node_pread(file, 0, head, VMDK_HEADER) < 0 || memcmp(head, "KDMV", 4) != 0) {
        return fail(err, EINVAL, "'%s' is no sparse VMDK extent", node_filename(file));
    }
    /* A stream's end says what its beginning did not know. */
    if (load_le64(head + 56) == UINT64_MAX && (length < 3 * VMDK_SECTOR || node_pread(file, length - 2 * VMDK_SECTOR, head, VMDK_HEADER) < 0
                                               || memcmp(head, "KDMV", 4) != 0)) {
        return fail(err, EINVAL, "'%s': a VMDK stream without its end", node_filename(file));
    }
    return true;
}

static bool open_sparse(Extent *extent, uint64_t *capacity, GError **err)
{
    uint8_t head[VMDK_HEADER];
    uint64_t grain, grains;

    if (!read_header(extent->file, head, err)) {
        return false;
    }
    const char *name = node_filename(extent->file);
    extent->flags = load_le32(head + 8);
    grain = load_le64(head + 20);
    extent->gt_entries = load_le32(head + 44);
    if (load_le32(head + 4) < 1 || load_le32(head + 4) > 3) {
        return fail(err, ENOTSUP, "'%s': VMDK version %u is not supported", name, load_le32(head + 4));
    }
    if (grain == 0 || grain > GRAIN_MOST / VMDK_SECTOR || (grain & (grain - 1)) || extent->gt_entries == 0 || extent->gt_entries > 65536) {
        return fail(err, EINVAL, "'%s': VMDK grains of %" PRIu64 " sectors in tables of %u are not supported", name, grain, extent->gt_entries);
    }
    if ((extent->flags & VMDK_COMPRESSED) && load_le16(head + 77) != 1) {
        return fail(err, ENOTSUP, "'%s': VMDK compression %u is not supported", name, load_le16(head + 77));
    }
    if (load_le64(head + 12) > INT64_MAX / VMDK_SECTOR) {
        return fail(err, EFBIG, "'%s': it is larger than a disk can be", name);
    }
    *capacity = load_le64(head + 12) * VMDK_SECTOR;
    extent->grain = (uint32_t)grain * VMDK_SECTOR;
    grains = (*capacity + extent->grain - 1) / extent->grain;
    if (grains > TABLES_MOST / 4) {
        return fail(err, EFBIG, "'%s': %" PRIu64 " grains are more than is supported", name, grains);
    }
    extent->tables = (uint32_t)((grains + extent->gt_entries - 1) / extent->gt_entries);
    extent->gd = directory(extent, "the grain directory", load_le64(head + 56), err);
    if (!extent->gd) {
        return false;
    }
    if ((extent->flags & VMDK_REDUNDANT) && load_le64(head + 48)) {
        extent->rgd = directory(extent, "the redundant grain directory", load_le64(head + 48), err);
    }
    extent->gt = g_try_new0(uint32_t *, (gsize)extent->tables + 1);
    extent->end = node_length(extent->file);
    return extent->gt && (!(extent->flags & VMDK_REDUNDANT) || !load_le64(head + 48) || extent->rgd);
}

static void add_extent(Vmdk *vmdk, Extent extent)
{
    vmdk->extents = g_renew(Extent, vmdk->extents, vmdk->count + 1);
    vmdk->extents[vmdk->count++] = extent;
}

/* RW 4192256 SPARSE "name.vmdk" [offset] */
static bool take_extent(Vmdk *vmdk, const char *line, const NodeOpen *how, GError **err)
{
    char access[12], kind[16], file[512] = "";
    uint64_t sectors, offset = 0, capacity = 0;
    Extent extent = { .begin = vmdk->node.length };
    int count = sscanf(line, "%11s %" SCNu64 " %15s \"%511[^\n\"]\" %" SCNu64, access, &sectors, kind, file, &offset);
    const char *image = node_filename(vmdk->node.file);

    if (count < 3 || sectors == 0 || sectors > INT64_MAX / VMDK_SECTOR || offset > INT64_MAX / VMDK_SECTOR
        || vmdk->node.length + sectors * VMDK_SECTOR > INT64_MAX || vmdk->count >= EXTENTS_MOST) {
        return fail(err, EINVAL, "'%s': an extent of its VMDK descriptor makes no sense", image);
    }
    extent.length = sectors * VMDK_SECTOR;
    extent.flat_at = offset * VMDK_SECTOR;
    extent.kind = strcmp(kind, "SPARSE") == 0 ? EXTENT_SPARSE : strcmp(kind, "ZERO") == 0 ? EXTENT_ZERO : EXTENT_FLAT;
    if (strcmp(access, "RW") != 0 || (extent.kind == EXTENT_FLAT && strcmp(kind, "FLAT") != 0) || (extent.kind != EXTENT_ZERO && count < 4)) {
        return fail(err, ENOTSUP, "'%s': VMDK extents of the kind %s %s are not supported", image, access, kind);
    }
    if (extent.kind != EXTENT_ZERO) {
        g_autofree char *child = g_strdup_printf("extents.%zu", vmdk->count);
        if (!node_open_named(&vmdk->node, child, CHILD_STORAGE, file, NULL, how, err)) {
            return false;
        }
        extent.file = node_child(&vmdk->node, child);
    }
    bool good = extent.kind != EXTENT_SPARSE || open_sparse(&extent, &capacity, err);
    add_extent(vmdk, extent);
    vmdk->node.length += extent.length;
    if (good && extent.kind == EXTENT_SPARSE && (capacity < extent.length || (extent.flags & VMDK_COMPRESSED))) {
        return fail(err, EINVAL, "'%s': its extent '%s' is not what the descriptor says", image, node_filename(extent.file));
    }
    if (good && extent.kind == EXTENT_FLAT && !range_within(extent.flat_at, extent.length, node_length(extent.file))) {
        return fail(err, EINVAL, "'%s': its extent '%s' is shorter than the descriptor says", image, node_filename(extent.file));
    }
    return good || (err && *err) ? good : fail(err, ENOMEM, "'%s': no memory for its tables", image);
}

static bool has_parent(const char *text)
{
    const char *parent = strstr(text, "parentCID=");

    return parent && g_ascii_strncasecmp(parent + strlen("parentCID="), "ffffffff", 8) != 0;
}

static bool open_descriptor(Vmdk *vmdk, const NodeOpen *how, GError **err)
{
    Node *file = vmdk->node.file;
    uint64_t length = MIN(node_length(file), VMDK_DESCRIPTOR_MOST);
    g_autofree char *text = g_malloc0(length + 1);

    if (node_pread(file, 0, text, length) < 0 || !strstr(text, "# Disk DescriptorFile") || strlen(text) >= VMDK_DESCRIPTOR_MOST) {
        return fail(err, EINVAL, "'%s' is no VMDK image", node_filename(file));
    }
    if (has_parent(text)) {
        return fail(err, ENOTSUP, "'%s': VMDK images with a parent are not supported", node_filename(file));
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if ((g_str_has_prefix(*line, "RW ") || g_str_has_prefix(*line, "RDONLY ") || g_str_has_prefix(*line, "NOACCESS ")) && !take_extent(vmdk, *line, how, err)) {
            return false;
        }
    }
    return vmdk->count || fail(err, EINVAL, "'%s': a VMDK descriptor without extents", node_filename(file));
}

static bool open_monolithic(Vmdk *vmdk, GError **err)
{
    Extent extent = { .kind = EXTENT_SPARSE, .file = vmdk->node.file };
    uint64_t capacity = 0, at, bytes;
    uint8_t head[VMDK_HEADER];
    bool good = open_sparse(&extent, &capacity, err);

    extent.length = capacity;
    add_extent(vmdk, extent);
    vmdk->node.length = capacity;
    vmdk->compressed = extent.flags & VMDK_COMPRESSED;
    if (!good) {
        return (err && *err) ? false : fail(err, ENOMEM, "'%s': no memory for its tables", node_filename(extent.file));
    }
    if (capacity == 0 || node_pread(extent.file, 0, head, sizeof head) < 0) {
        return capacity == 0 || fail(err, EIO, "'%s' cannot be read", node_filename(extent.file));
    }
    if (checked_mul(load_le64(head + 28), VMDK_SECTOR, &at) && checked_mul(MIN(load_le64(head + 36), VMDK_DESCRIPTOR_MOST / VMDK_SECTOR), VMDK_SECTOR, &bytes) && at
        && range_within(at, bytes, node_length(extent.file))) {
        g_autofree char *text = g_malloc0(bytes + 1);
        if (bytes && node_pread(extent.file, at, text, bytes) == 0 && has_parent(text)) {
            return fail(err, ENOTSUP, "'%s': VMDK images with a parent are not supported", node_filename(extent.file));
        }
    }
    return true;
}

/* Where all grains are alike, blocks can be allocated; where they are not, the image is for reading. */
static bool find_block_size(Vmdk *vmdk, GError **err)
{
    uint64_t size = 0;
    bool odd = false;

    for (size_t i = 0; i < vmdk->count; i++) {
        if (vmdk->extents[i].kind == EXTENT_SPARSE) {
            odd |= (size && size != vmdk->extents[i].grain) || vmdk->extents[i].begin % vmdk->extents[i].grain;
            size = vmdk->extents[i].grain;
        }
        if (vmdk->extents[i].file && !vmdk->extents[i].file->writable) {
            odd |= vmdk->node.writable;
        }
    }
    vmdk->blocks = (Blocks){ .ops = &vmdk_ops, .size = size ? size : VMDK_GRAIN };
    if (odd && vmdk->node.writable) {
        return fail(err, EROFS, "'%s': its VMDK extents differ in their grains, or are read-only; it can only be opened for reading (read-only=on)",
                    node_filename(vmdk->node.file));
    }
    return true;
}

static int vmdk_probe(const uint8_t *head, size_t length, const char *filename)
{
    (void)filename;
    if (length >= 4 && memcmp(head, "KDMV", 4) == 0) {
        return 100;
    }
    return length >= 21 && g_strstr_len((const char *)head, (gssize)MIN(length, 64), "# Disk DescriptorFile") ? 100 : 0;
}

static void vmdk_close(Node *node)
{
    Vmdk *vmdk = (Vmdk *)node;

    for (size_t i = 0; i < vmdk->count; i++) {
        Extent *extent = &vmdk->extents[i];
        for (uint32_t k = 0; extent->gt && k < extent->tables; k++) {
            g_free(extent->gt[k]);
        }
        g_free(extent->gt);
        g_free(extent->gd);
        g_free(extent->rgd);
    }
    g_clear_pointer(&vmdk->extents, g_free);
    vmdk->count = 0;
}

static bool vmdk_open(Node *node, const NodeOpen *how, GError **err)
{
    Vmdk *vmdk = (Vmdk *)node;
    uint8_t magic[4] = { 0 };
    bool sparse = node_length(node->file) >= 4 && node_pread(node->file, 0, magic, 4) == 0 && memcmp(magic, "KDMV", 4) == 0;

    node->limits.request_alignment = VMDK_SECTOR;
    if ((sparse ? open_monolithic(vmdk, err) : open_descriptor(vmdk, how, err)) && find_block_size(vmdk, err)) {
        return true;
    }
    vmdk_close(node);
    return false;
}

/* ---- requests ---- */

static int vmdk_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    Vmdk *vmdk = (Vmdk *)node;

    (void)flags;
    return vmdk->compressed ? packed_request(vmdk, offset, to, false) : blocks_preadv(node, &vmdk->blocks, offset, to);
}

static int vmdk_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    Vmdk *vmdk = (Vmdk *)node;

    (void)flags;
    return vmdk->compressed ? packed_request(vmdk, offset, from, true) : blocks_pwritev(node, &vmdk->blocks, offset, from);
}

static int vmdk_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    Vmdk *vmdk = (Vmdk *)node;

    return vmdk->compressed ? -ENOTSUP : blocks_pwrite_zeroes(node, &vmdk->blocks, offset, bytes, flags);
}

static int vmdk_flush(Node *node)
{
    Vmdk *vmdk = (Vmdk *)node;
    int result = node_flush(node->file);

    for (size_t i = 0; i < vmdk->count && result == 0; i++) {
        result = vmdk->extents[i].file && vmdk->extents[i].file != node->file ? node_flush(vmdk->extents[i].file) : 0;
    }
    return result;
}

static int vmdk_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    Vmdk *vmdk = (Vmdk *)node;
    Place place = { .file = node->file };

    (void)exact;
    if (!vmdk->compressed) {
        return blocks_status(node, &vmdk->blocks, offset, bytes, count, map, file);
    }
    int result = vmdk_locate(node, offset, &place);
    *count = MIN(place.count, bytes);
    return result < 0 ? result : place.present ? STATUS_DATA | STATUS_COMPRESSED : STATUS_ZERO;
}

static void vmdk_info(Node *node, ImageInfo *info)
{
    const Vmdk *vmdk = (const Vmdk *)node;

    for (size_t i = 0; i < vmdk->count; i++) {
        info->cluster_size = vmdk->extents[i].kind == EXTENT_SPARSE ? vmdk->extents[i].grain : info->cluster_size;
    }
    info->compressed = vmdk->compressed;
}

const NodeDriver vmdk_driver = {
    .name = "vmdk",  .help = "disk image of VMware: sparse, flat, split or compressed as a stream",  .kind = NODE_FORMAT,  .size = sizeof(Vmdk),
    .file_child = true,  .file_role = CHILD_STORAGE,  .probe = vmdk_probe,  .open = vmdk_open,  .close = vmdk_close,
    .preadv = vmdk_preadv,  .pwritev = vmdk_pwritev,  .pwrite_zeroes = vmdk_pwrite_zeroes,  .flush = vmdk_flush,  .block_status = vmdk_block_status,
    .create_options = vmdk_create_options,  .create = vmdk_create,  .info = vmdk_info,  .supported_write_flags = REQ_COMPRESSED,
    .supported_zero_flags = REQ_MAY_UNMAP,
};
