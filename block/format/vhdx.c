/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhdx.c - "vhdx": Hyper-V's disk images
 *
 * Models   the VHDX specification 1.0 (MS-VHDX): dynamic and fixed disks, two headers, region and metadata tables, the log's replay
 * Omits    images with a parent: refused. An image whose log has to be replayed is refused where it is opened for reading only
 * Order    a new block's space is on the disk before the table names it. The table's entry is written in place and not by the log: 8 bytes in one
 *          sector are there or not, and nothing else changes with them
 * Layout   file identifier; headers at 64 and 128 KiB: 4 CRC-32C, 8 number, 16 and 32 GUIDs of what was written, 48 the log's GUID (all zeroes: it is
 *          empty), 66 version, 68 and 72 the log; region tables at 192 and 256 KiB; a table of 64 bits for each block: place in MiB and state,
 *          and between them one for a bitmap after so many blocks
 * Threads  home loop
 * Tests    tests/block/formats.py, tests/fuzz/vhdx.c
 */
#include "block/drivers.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/random.h"
#include "block/format/vhdx.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define GUID(a, b, c, d, e, f, g, h, i, j, k) { (a) & 0xff, (a) >> 8 & 0xff, (a) >> 16 & 0xff, (a) >> 24, (b) & 0xff, (b) >> 8, (c) & 0xff, (c) >> 8, d, e, f, g, h, i, j, k }
const uint8_t vhdx_bat_guid[16] = GUID(0x2dc27766u, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08);
const uint8_t vhdx_metadata_guid[16] = GUID(0x8b7ca206u, 0x4790, 0x4b9a, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e);
const uint8_t vhdx_parameters_guid[16] = GUID(0xcaa16737u, 0xfa36, 0x4d43, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b);
const uint8_t vhdx_size_guid[16] = GUID(0x2fa54224u, 0xcd1b, 0x4876, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8);
const uint8_t vhdx_page83_guid[16] = GUID(0xbeca12abu, 0xb2e6, 0x4523, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46);
const uint8_t vhdx_logical_guid[16] = GUID(0x8141bf1du, 0xa96f, 0x4709, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f);
const uint8_t vhdx_physical_guid[16] = GUID(0xcda348c7u, 0x445d, 0x4471, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56);
const uint8_t vhdx_parent_guid[16] = GUID(0xa8d35f2du, 0xb30b, 0x454d, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c);

enum { REGIONS_MOST = 2047, ITEMS_MOST = 2047 };
typedef struct Region { uint64_t at; uint32_t length; } Region;

typedef struct Vhdx {
    Node node;
    Blocks blocks;
    uint8_t header[VHDX_HEADER];
    uint64_t header_at;                    /* of the one in force */
    Region log, bat, metadata;
    uint64_t *table;                       /* as in the file: little endian */
    uint64_t count, ratio, end;            /* blocks; blocks for each bitmap; where the next one goes */
    uint32_t block_size, sector;
    bool touched;                          /* the headers say that it was written */
} Vhdx;

/* ---- blocks ---- */

static uint64_t slot_of(const Vhdx *vhdx, uint64_t block)
{
    return block + block / vhdx->ratio;
}

static int vhdx_locate(Node *node, uint64_t offset, Place *place)
{
    Vhdx *vhdx = (Vhdx *)node;
    uint64_t block = offset / vhdx->block_size, in = offset % vhdx->block_size;

    if (block >= vhdx->count) {
        return -EIO;
    }
    uint64_t entry = le64toh(vhdx->table[slot_of(vhdx, block)]);
    place->present = (entry & 7) == VHDX_PRESENT;
    place->at = place->present ? (entry & ~(uint64_t)(VHDX_MIB - 1)) + in : 0;
    place->count = vhdx->block_size - in;
    return 0;
}

/* With the first write the image is another one: who keeps a cache or a difference of it sees new GUIDs. */
static int touch(Vhdx *vhdx)
{
    uint64_t other = vhdx->header_at == VHDX_HEADER_1 ? VHDX_HEADER_2 : VHDX_HEADER_1;
    int result = 0;

    for (int i = 0; i < 2 && result == 0; i++) {
        if (i == 0) {
            random_bytes(vhdx->header + 16, 32);
        }
        store_le64(vhdx->header + 8, load_le64(vhdx->header + 8) + 1);
        store_le32(vhdx->header + 4, vhdx_crc(vhdx->header, VHDX_HEADER, 4));
        result = node_pwrite(vhdx->node.file, other, vhdx->header, VHDX_HEADER);
        result = result == 0 ? node_flush(vhdx->node.file) : result;
        if (result == 0) {
            uint64_t was = vhdx->header_at;
            vhdx->header_at = other;
            other = was;
        }
    }
    vhdx->touched = result == 0;
    return result;
}

static int vhdx_allocate(Node *node, uint64_t block, uint64_t *at)
{
    Vhdx *vhdx = (Vhdx *)node;

    (void)block;
    *at = vhdx->end;
    int result = blocks_make_room(node->file, *at, vhdx->block_size);
    if (result == 0) {
        vhdx->end += vhdx->block_size;
    }
    return result;
}

static int vhdx_enter(Node *node, uint64_t block, uint64_t at)
{
    Vhdx *vhdx = (Vhdx *)node;
    uint64_t entry = htole64(at | VHDX_PRESENT);
    int result = node_flush(node->file);

    if (result == 0) {
        result = node_pwrite(node->file, vhdx->bat.at + slot_of(vhdx, block) * 8, &entry, 8);
    }
    if (result == 0) {
        vhdx->table[slot_of(vhdx, block)] = entry;
    }
    return result;
}

static const BlocksOps vhdx_ops = { .locate = vhdx_locate, .allocate = vhdx_allocate, .enter = vhdx_enter };

/* ---- opening ---- */

static int vhdx_probe(const uint8_t *head, size_t length, const char *filename)
{
    (void)filename;
    return length >= 8 && memcmp(head, "vhdxfile", 8) == 0 ? 100 : 0;
}

/* The valid one with the higher number. */
static bool read_headers(Vhdx *vhdx, GError **err)
{
    static const uint64_t places[] = { VHDX_HEADER_1, VHDX_HEADER_2 };
    g_autofree uint8_t *bytes = g_malloc(VHDX_HEADER);
    Node *file = vhdx->node.file;

    for (size_t i = 0; i < 2; i++) {
        if (range_within(places[i], VHDX_HEADER, node_length(file)) && node_pread(file, places[i], bytes, VHDX_HEADER) == 0 && memcmp(bytes, "head", 4) == 0
            && vhdx_crc(bytes, VHDX_HEADER, 4) == load_le32(bytes + 4) && load_le16(bytes + 66) == 1
            && (!vhdx->header_at || load_le64(bytes + 8) >= load_le64(vhdx->header + 8))) {
            memcpy(vhdx->header, bytes, VHDX_HEADER);
            vhdx->header_at = places[i];
        }
    }
    vhdx->log = (Region){ load_le64(vhdx->header + 72), load_le32(vhdx->header + 68) };
    return vhdx->header_at || fail(err, EINVAL, "'%s': no valid VHDX header is in it", node_filename(file));
}

static bool good_region(const Vhdx *vhdx, Region region)
{
    return region.at >= VHDX_MIB && region.at % VHDX_MIB == 0 && region.length && region.length % VHDX_MIB == 0
           && range_within(region.at, region.length, node_length(vhdx->node.file));
}

static bool take_regions(Vhdx *vhdx, uint8_t *table, GError **err)
{
    const char *name = node_filename(vhdx->node.file);
    uint32_t count = load_le32(table + 8);

    if (count > REGIONS_MOST) {
        return fail(err, EINVAL, "'%s': a VHDX region table of %u entries", name, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = table + 16 + i * 32;
        Region region = { load_le64(entry + 16), load_le32(entry + 24) };
        Region *known = memcmp(entry, vhdx_bat_guid, 16) == 0 ? &vhdx->bat : memcmp(entry, vhdx_metadata_guid, 16) == 0 ? &vhdx->metadata : NULL;
        if (!known && (load_le32(entry + 28) & 1)) {
            return fail(err, ENOTSUP, "'%s': it needs a VHDX region that is not known here", name);
        }
        if (known && (known->length || !good_region(vhdx, region))) {
            return fail(err, EINVAL, "'%s': a VHDX region is there twice, or does not lie in the file", name);
        }
        if (known) {
            *known = region;
        }
    }
    return (vhdx->bat.length && vhdx->metadata.length) || fail(err, EINVAL, "'%s': its VHDX region table names no block table or no metadata", name);
}

static bool read_regions(Vhdx *vhdx, GError **err)
{
    static const uint64_t places[] = { VHDX_REGION_1, VHDX_REGION_2 };
    g_autofree uint8_t *table = g_malloc(VHDX_REGIONS);
    Node *file = vhdx->node.file;

    for (size_t i = 0; i < 2; i++) {
        if (range_within(places[i], VHDX_REGIONS, node_length(file)) && node_pread(file, places[i], table, VHDX_REGIONS) == 0 && memcmp(table, "regi", 4) == 0
            && vhdx_crc(table, VHDX_REGIONS, 4) == load_le32(table + 4)) {
            return take_regions(vhdx, table, err);
        }
    }
    return fail(err, EINVAL, "'%s': no valid VHDX region table is in it", node_filename(file));
}

typedef struct Item { const uint8_t *guid; uint32_t length; uint8_t bytes[16]; bool found; } Item;

static bool read_items(Vhdx *vhdx, Item *items, size_t wanted, GError **err)
{
    g_autofree uint8_t *table = g_malloc(VHDX_REGIONS);
    Node *file = vhdx->node.file;
    const char *name = node_filename(file);
    uint16_t count = node_pread(file, vhdx->metadata.at, table, VHDX_REGIONS) == 0 && memcmp(table, "metadata", 8) == 0 ? load_le16(table + 10) : 0;

    if (count == 0 || count > ITEMS_MOST) {
        return fail(err, EINVAL, "'%s': no valid VHDX metadata are in it", name);
    }
    for (uint16_t i = 0; i < count; i++) {
        const uint8_t *entry = table + 32 + i * 32;
        uint32_t at = load_le32(entry + 16), length = load_le32(entry + 20);
        Item *item = NULL;
        for (size_t k = 0; k < wanted; k++) {
            item = memcmp(entry, items[k].guid, 16) == 0 ? &items[k] : item;
        }
        if (!item) {
            if ((load_le32(entry + 24) & 4) && memcmp(entry, vhdx_parent_guid, 16) != 0 && memcmp(entry, vhdx_page83_guid, 16) != 0
                && memcmp(entry, vhdx_physical_guid, 16) != 0) {
                return fail(err, ENOTSUP, "'%s': it needs VHDX metadata that are not known here", name);
            }
            continue;
        }
        if (item->found || length != item->length || at < VHDX_REGIONS || !range_within(at, length, vhdx->metadata.length)
            || node_pread(file, vhdx->metadata.at + at, item->bytes, length) < 0) {
            return fail(err, EINVAL, "'%s': its VHDX metadata are there twice, or do not lie in the file", name);
        }
        item->found = true;
    }
    for (size_t k = 0; k < wanted; k++) {
        if (!items[k].found) {
            return fail(err, EINVAL, "'%s': its VHDX metadata do not say all they have to", name);
        }
    }
    return true;
}

static bool read_metadata(Vhdx *vhdx, GError **err)
{
    Item items[] = { { vhdx_parameters_guid, 8, { 0 }, false }, { vhdx_size_guid, 8, { 0 }, false }, { vhdx_logical_guid, 4, { 0 }, false } };
    const char *name = node_filename(vhdx->node.file);

    if (!read_items(vhdx, items, G_N_ELEMENTS(items), err)) {
        return false;
    }
    vhdx->block_size = load_le32(items[0].bytes);
    vhdx->node.length = load_le64(items[1].bytes);
    vhdx->sector = load_le32(items[2].bytes);
    if (load_le32(items[0].bytes + 4) & 2) {
        return fail(err, ENOTSUP, "'%s': VHDX images with a parent are not supported", name);
    }
    if (vhdx->block_size < VHDX_MIB || vhdx->block_size > 256 * VHDX_MIB || (vhdx->block_size & (vhdx->block_size - 1))
        || (vhdx->sector != 512 && vhdx->sector != 4096)) {
        return fail(err, EINVAL, "'%s': VHDX blocks of %u bytes with sectors of %u are not supported", name, vhdx->block_size, vhdx->sector);
    }
    if (vhdx->node.length > UINT64_C(64) << 40 || vhdx->node.length % vhdx->sector) {
        return fail(err, EINVAL, "'%s': %" PRIu64 " bytes are not what a VHDX disk can have", name, vhdx->node.length);
    }
    return true;
}

static bool apart(uint64_t at, uint64_t length, Region region)
{
    return at + length <= region.at || at >= region.at + region.length;
}

static bool check_table(Vhdx *vhdx, GError **err)
{
    vhdx->end = node_length(vhdx->node.file);
    for (uint64_t i = 0; i < vhdx->count; i++) {
        uint64_t entry = le64toh(vhdx->table[slot_of(vhdx, i)]), at = entry & ~(uint64_t)(VHDX_MIB - 1);
        if ((entry & 7) == 4 || (entry & 7) == 5 || (entry & 7) == 7) {
            return fail(err, EINVAL, "'%s': block %" PRIu64 " is in a state that this image cannot have", node_filename(vhdx->node.file), i);
        }
        if ((entry & 7) == VHDX_PRESENT) {
            if (at < VHDX_MIB || at > (uint64_t)INT64_MAX - vhdx->block_size || !apart(at, vhdx->block_size, vhdx->bat) || !apart(at, vhdx->block_size, vhdx->metadata)
                || !apart(at, vhdx->block_size, vhdx->log)) {
                return fail(err, EINVAL, "'%s': block %" PRIu64 " lies in the image's own tables", node_filename(vhdx->node.file), i);
            }
            vhdx->end = MAX(vhdx->end, at + vhdx->block_size);
        }
    }
    vhdx->end = (vhdx->end + VHDX_MIB - 1) / VHDX_MIB * VHDX_MIB;
    return true;
}

static bool empty_log(Vhdx *vhdx, GError **err)
{
    static const uint8_t none[16];
    Node *file = vhdx->node.file;

    if (memcmp(vhdx->header + 48, none, 16) == 0) {
        return true;
    }
    if (!vhdx->node.writable) {
        return fail(err, EPERM, "'%s': its VHDX log has to be replayed first: open it once for writing (roost img check -r all)", node_filename(file));
    }
    if (load_le16(vhdx->header + 64) != 0) {
        return fail(err, ENOTSUP, "'%s': VHDX log version %u is not supported", node_filename(file), load_le16(vhdx->header + 64));
    }
    if (!vhdx_replay(file, vhdx->header + 48, vhdx->log.at, vhdx->log.length, err)) {
        return false;
    }
    memset(vhdx->header + 48, 0, 16);
    int result = touch(vhdx);
    return result == 0 || fail(err, -result, "'%s': its header cannot be written: %s", node_filename(file), g_strerror(-result));
}

static bool vhdx_open(Node *node, const NodeOpen *how, GError **err)
{
    Vhdx *vhdx = (Vhdx *)node;
    uint8_t magic[8];

    (void)how;
    if (node_length(node->file) < VHDX_MIB || node_pread(node->file, 0, magic, 8) < 0 || memcmp(magic, "vhdxfile", 8) != 0) {
        return fail(err, EINVAL, "'%s' is no VHDX image", node_filename(node->file));
    }
    if (!read_headers(vhdx, err) || !empty_log(vhdx, err) || !read_regions(vhdx, err) || !read_metadata(vhdx, err)) {
        return false;
    }
    vhdx->ratio = ((uint64_t)vhdx->sector << 23) / vhdx->block_size;
    vhdx->count = (node->length + vhdx->block_size - 1) / vhdx->block_size;
    uint64_t entries = vhdx->count ? slot_of(vhdx, vhdx->count - 1) + 1 : 0;
    if (entries * 8 > vhdx->bat.length) {
        return fail(err, EINVAL, "'%s': its block table is too short for its size", node_filename(node->file));
    }
    vhdx->blocks = (Blocks){ .ops = &vhdx_ops, .size = vhdx->block_size };
    node->limits.request_alignment = vhdx->sector;
    vhdx->table = blocks_read_table(node->file, "the block table", vhdx->bat.at, entries, 8, err);
    if (vhdx->table && check_table(vhdx, err)) {
        return true;
    }
    g_clear_pointer(&vhdx->table, g_free);
    return false;
}

static void vhdx_close(Node *node)
{
    g_clear_pointer(&((Vhdx *)node)->table, g_free);
}

/* ---- requests ---- */

static int touch_once(Vhdx *vhdx)
{
    if (vhdx->touched) {
        return 0;
    }
    CO_SCOPE(&vhdx->blocks.lock);
    return vhdx->touched ? 0 : touch(vhdx);
}

static int vhdx_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    (void)flags;
    return blocks_preadv(node, &((Vhdx *)node)->blocks, offset, to);
}

static int vhdx_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    int result = touch_once((Vhdx *)node);

    (void)flags;
    return result < 0 ? result : blocks_pwritev(node, &((Vhdx *)node)->blocks, offset, from);
}

static int vhdx_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    int result = touch_once((Vhdx *)node);

    return result < 0 ? result : blocks_pwrite_zeroes(node, &((Vhdx *)node)->blocks, offset, bytes, flags);
}

static int vhdx_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    (void)exact;
    return blocks_status(node, &((Vhdx *)node)->blocks, offset, bytes, count, map, file);
}

static void vhdx_info(Node *node, ImageInfo *info)
{
    info->cluster_size = ((Vhdx *)node)->block_size;
}

/* Opening has checked the tables and replayed the log; what is wrong with them does not open. */
static int vhdx_check(Node *node, ImageCheck *check, CheckRepair repair)
{
    Vhdx *vhdx = (Vhdx *)node;

    (void)repair;
    check->total_clusters = vhdx->count;
    for (uint64_t i = 0; i < vhdx->count; i++) {
        check->allocated_clusters += (le64toh(vhdx->table[slot_of(vhdx, i)]) & 7) == VHDX_PRESENT;
    }
    return 0;
}

const NodeDriver vhdx_driver = {
    .name = "vhdx",  .help = "disk image of Hyper-V",  .kind = NODE_FORMAT,  .size = sizeof(Vhdx),
    .file_child = true,  .file_role = CHILD_STORAGE,  .probe = vhdx_probe,  .open = vhdx_open,  .close = vhdx_close,
    .preadv = vhdx_preadv,  .pwritev = vhdx_pwritev,  .pwrite_zeroes = vhdx_pwrite_zeroes,  .block_status = vhdx_block_status,
    .create_options = vhdx_create_options,  .create = vhdx_create,  .info = vhdx_info,  .check = vhdx_check,  .supported_zero_flags = REQ_MAY_UNMAP,
};
