/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vpc.c - "vpc": Microsoft's Virtual Hard Disk (VHD) images, fixed and dynamic
 *
 * Models   the VHD specification 1.0; QEMU's rules for sizes: by geometry, or by the footer's current size for creators known to mean it;
 *          subformat, force_size
 * Omits    differencing images: refused; sector bitmaps say nothing where there is no parent
 * Layout   a footer of 512 bytes at the end (a dynamic image: a copy at the beginning too), big endian; dynamic: 16 place of the header,
 *          which says 16 place of the table, 28 entries, 32 block size; the table: 32 bits for each block, its sector, all ones where there
 *          is none; a block: a bitmap of its sectors, then its data
 * Order    the footer's new place is written before a new block takes its old one; the copy at the beginning is there all the time
 * Threads  home loop
 * Tests    tests/block/formats.py, tests/fuzz/formats.c
 */
#include "block/drivers.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/random.h"
#include "base/timer.h"
#include "block/format/blocks.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { FOOTER = 512, HEADER = 1024, SECTOR = 512, BLOCK = 2 << 20, FIXED = 2, DYNAMIC = 3, DIFFERENCING = 4, EPOCH_2000 = 946684800 };
static const uint64_t GEOMETRY_MOST = UINT64_C(65535) * 16 * 255, SECTORS_MOST = UINT64_C(0xff000000);
static const uint32_t ABSENT = 0xffffffff;
static const char *const size_names[] = { "current_size", "chs", NULL };

typedef struct Vpc {
    Node node;
    char *force_size_calc;
    Blocks blocks;
    uint8_t footer[FOOTER];
    uint32_t *table;                       /* as in the file: big endian; NULL: fixed */
    uint32_t entries;
    uint64_t table_at, bitmap_bytes, end;  /* end: of the last block, where the footer is */
} Vpc;

static const Field vpc_options[] = {
    PROP_STR("force-size-calc", Vpc, force_size_calc, .help = "which size counts: current_size or chs; default by who made the image"),
    FIELD_END };

static uint32_t checksum(const uint8_t *bytes, size_t length, size_t field)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < length; i++) {
        sum += i - field < 4 ? 0 : bytes[i];
    }
    return ~sum;
}

/* ---- blocks ---- */

static int vpc_locate(Node *node, uint64_t offset, Place *place)
{
    Vpc *vpc = (Vpc *)node;
    uint64_t block, in;

    if (!vpc->table) {
        *place = (Place){ node->file, offset, node->length - offset, true };
        return 0;
    }
    block = offset / vpc->blocks.size;
    in = offset % vpc->blocks.size;
    if (block >= vpc->entries) {
        return -EIO;
    }
    uint32_t entry = be32toh(vpc->table[block]);
    place->present = entry != ABSENT;
    place->at = place->present ? (uint64_t)entry * SECTOR + vpc->bitmap_bytes + in : 0;
    place->count = vpc->blocks.size - in;
    return 0;
}

static int vpc_allocate(Node *node, uint64_t block, uint64_t *at)
{
    Vpc *vpc = (Vpc *)node;
    uint64_t begin = vpc->end, data = begin + vpc->bitmap_bytes;
    g_autofree uint8_t *bitmap = g_try_malloc(vpc->bitmap_bytes);

    (void)block;
    if (!bitmap) {
        return -ENOMEM;
    }
    if (begin / SECTOR >= ABSENT) {
        return -EFBIG;
    }
    memset(bitmap, 0xff, vpc->bitmap_bytes);
    int result = blocks_write(node->file, data + vpc->blocks.size, vpc->footer, FOOTER);
    if (result == 0) {
        result = blocks_make_room(node->file, data, vpc->blocks.size);
    }
    if (result == 0) {
        result = node_pwrite(node->file, begin, bitmap, vpc->bitmap_bytes);
    }
    if (result == 0) {
        vpc->end = data + vpc->blocks.size;
        *at = data;
    }
    return result;
}

static int vpc_enter(Node *node, uint64_t block, uint64_t at)
{
    Vpc *vpc = (Vpc *)node;
    uint8_t entry[4];

    store_be32(entry, (uint32_t)((at - vpc->bitmap_bytes) / SECTOR));
    int result = node_pwrite(node->file, vpc->table_at + block * 4, entry, 4);
    if (result == 0) {
        memcpy(&vpc->table[block], entry, 4);
    }
    return result;
}

static const BlocksOps vpc_ops = { .locate = vpc_locate, .allocate = vpc_allocate, .enter = vpc_enter };

/* ---- opening ---- */

static int vpc_probe(const uint8_t *head, size_t length, const char *filename)
{
    (void)filename;
    return length >= 8 && memcmp(head, "conectix", 8) == 0 ? 100 : 0;
}

static bool read_footer(Vpc *vpc, bool *dynamic, GError **err)
{
    Node *file = vpc->node.file;
    uint64_t length = node_length(file);
    int result = length < FOOTER ? -EINVAL : node_pread(file, 0, vpc->footer, FOOTER);

    if (result == 0 && memcmp(vpc->footer, "conectix", 8) != 0) {
        result = node_pread(file, length - FOOTER, vpc->footer, FOOTER);
    }
    if (result < 0 || memcmp(vpc->footer, "conectix", 8) != 0) {
        return fail(err, result < 0 ? -result : EINVAL, "'%s' is no VHD image", node_filename(file));
    }
    if (load_be32(vpc->footer + 64) != checksum(vpc->footer, FOOTER, 64)) {
        return fail(err, EINVAL, "'%s': the checksum of its VHD footer is wrong", node_filename(file));
    }
    uint32_t kind = load_be32(vpc->footer + 60);
    *dynamic = kind == DYNAMIC;
    if (kind != FIXED && kind != DYNAMIC) {
        return fail(err, ENOTSUP, kind == DIFFERENCING ? "'%s': differencing VHD images are not supported" : "'%s': VHD images of its kind are not supported",
                    node_filename(file));
    }
    return true;
}

/* Some write a size that is no multiple of a cylinder, and mean it; others mean the geometry. */
static bool find_size(Vpc *vpc, GError **err)
{
    static const char *const exact[] = { "win ", "qem2", "d2v ", "CTXS" };
    const uint8_t *creator = vpc->footer + 28;
    uint64_t sectors = (uint64_t)load_be16(vpc->footer + 56) * vpc->footer[58] * vpc->footer[59];
    bool current = memcmp(creator, "tap", 4) == 0;

    for (size_t i = 0; i < G_N_ELEMENTS(exact); i++) {
        current |= memcmp(creator, exact[i], 4) == 0;
    }
    if (vpc->force_size_calc) {
        if (strcmp(vpc->force_size_calc, size_names[0]) && strcmp(vpc->force_size_calc, size_names[1])) {
            return fail(err, EINVAL, "force-size-calc=%s: it takes current_size or chs", vpc->force_size_calc);
        }
        current = strcmp(vpc->force_size_calc, size_names[0]) == 0;
    }
    if (current || sectors == GEOMETRY_MOST || sectors == 0) {
        sectors = load_be64(vpc->footer + 48) / SECTOR;
    }
    if (sectors > SECTORS_MOST) {
        return fail(err, EFBIG, "'%s': %" PRIu64 " sectors are more than a VHD image can have", node_filename(vpc->node.file), sectors);
    }
    vpc->node.length = sectors * SECTOR;
    return true;
}

/* Behind all blocks, whatever the file's length says. */
static uint64_t find_end(const Vpc *vpc)
{
    uint64_t end = (vpc->table_at + (uint64_t)vpc->entries * 4 + SECTOR - 1) / SECTOR * SECTOR;

    for (uint32_t i = 0; i < vpc->entries; i++) {
        uint32_t entry = be32toh(vpc->table[i]);
        if (entry != ABSENT) {
            end = MAX(end, (uint64_t)entry * SECTOR + vpc->bitmap_bytes + vpc->blocks.size);
        }
    }
    return end;
}

static bool open_dynamic(Vpc *vpc, GError **err)
{
    uint8_t head[HEADER];
    Node *file = vpc->node.file;
    uint64_t at = load_be64(vpc->footer + 16), room;

    if (!range_within(at, HEADER, node_length(file)) || node_pread(file, at, head, HEADER) < 0 || memcmp(head, "cxsparse", 8) != 0
        || load_be32(head + 36) != checksum(head, HEADER, 36)) {
        return fail(err, EINVAL, "'%s': its dynamic VHD header is not where the footer says, or damaged", node_filename(file));
    }
    uint32_t size = load_be32(head + 32);
    if (size < SECTOR || size > (256 << 20) || (size & (size - 1))) {
        return fail(err, EINVAL, "'%s': VHD blocks of %u bytes are not supported", node_filename(file), size);
    }
    vpc->blocks.size = size;
    vpc->bitmap_bytes = ((uint64_t)size / SECTOR / 8 + SECTOR - 1) / SECTOR * SECTOR;
    vpc->entries = load_be32(head + 28);
    vpc->table_at = load_be64(head + 16);
    if (!checked_mul(vpc->entries, size, &room) || room < vpc->node.length) {
        return fail(err, EINVAL, "'%s': %u blocks are too few for its size", node_filename(file), vpc->entries);
    }
    vpc->table = blocks_read_table(file, "the block table", vpc->table_at, vpc->entries, 4, err);
    vpc->end = vpc->table ? find_end(vpc) : 0;
    return vpc->table != NULL;
}

static bool vpc_open(Node *node, const NodeOpen *how, GError **err)
{
    Vpc *vpc = (Vpc *)node;
    bool dynamic = false;

    (void)how;
    if (!read_footer(vpc, &dynamic, err) || !find_size(vpc, err)) {
        return false;
    }
    vpc->blocks = (Blocks){ .ops = &vpc_ops, .size = BLOCK };
    node->limits.request_alignment = SECTOR;
    if (!dynamic && node->length > node_length(node->file)) {
        return fail(err, EINVAL, "'%s': the file is shorter than the disk in it", node_filename(node->file));
    }
    return !dynamic || open_dynamic(vpc, err);
}

static void vpc_close(Node *node)
{
    g_clear_pointer(&((Vpc *)node)->table, g_free);
}

static int vpc_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    (void)flags;
    return blocks_preadv(node, &((Vpc *)node)->blocks, offset, to);
}

static int vpc_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    (void)flags;
    return blocks_pwritev(node, &((Vpc *)node)->blocks, offset, from);
}

static int vpc_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    return blocks_pwrite_zeroes(node, &((Vpc *)node)->blocks, offset, bytes, flags);
}

static int vpc_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    (void)exact;
    return blocks_status(node, &((Vpc *)node)->blocks, offset, bytes, count, map, file);
}

static void vpc_info(Node *node, ImageInfo *info)
{
    const Vpc *vpc = (const Vpc *)node;

    info->cluster_size = vpc->table ? vpc->blocks.size : 0;
}

/* ---- creating ---- */

typedef struct VpcCreate { int subformat; bool force_size; } VpcCreate;
static const char *const subformat_names[] = { "dynamic", "fixed", NULL };
static const Field vpc_create_options[] = {
    PROP_ENUM("subformat", VpcCreate, subformat, subformat_names, 0, .help = "dynamic (grows) or fixed"),
    PROP_BOOL("force_size", VpcCreate, force_size, false, .help = "exactly this size, instead of the next one that a geometry can express"),
    FIELD_END };

typedef struct Geometry { uint16_t cylinders; uint8_t heads, sectors; } Geometry;

/* The appendix of the specification. */
static Geometry geometry_of(uint64_t total)
{
    uint32_t sectors = 17, heads, tracks;

    total = MIN(total, GEOMETRY_MOST);
    if (total >= UINT64_C(65535) * 16 * 63) {
        sectors = 255;
        heads = 16;
        tracks = (uint32_t)(total / sectors);
    } else {
        tracks = (uint32_t)(total / sectors);
        heads = MAX((tracks + 1023) / 1024, 4);
        if (tracks >= heads * 1024 || heads > 16) {
            sectors = 31;
            heads = 16;
            tracks = (uint32_t)(total / sectors);
        }
        if (tracks >= heads * 1024) {
            sectors = 63;
            heads = 16;
            tracks = (uint32_t)(total / sectors);
        }
    }
    return (Geometry){ (uint16_t)(tracks / heads), (uint8_t)heads, (uint8_t)sectors };
}

static uint64_t geometry_sectors(Geometry geometry)
{
    return (uint64_t)geometry.cylinders * geometry.heads * geometry.sectors;
}

/* The next geometry that holds so many sectors. */
static Geometry geometry_for(uint64_t sectors)
{
    Geometry geometry = geometry_of(sectors);

    for (uint64_t more = 1; geometry_sectors(geometry) < MIN(sectors, GEOMETRY_MOST); more++) {
        geometry = geometry_of(sectors + more);
    }
    return geometry;
}

static void make_footer(uint8_t *footer, uint64_t sectors, Geometry geometry, bool fixed, bool exact)
{
    memset(footer, 0, FOOTER);
    memcpy(footer, "conectix", 8);
    store_be32(footer + 8, 2);
    store_be32(footer + 12, 0x00010000);
    store_be64(footer + 16, fixed ? UINT64_MAX : FOOTER);
    store_be32(footer + 24, (uint32_t)(clock_now(CLOCK_HOST) / NS_PER_SECOND - EPOCH_2000));
    memcpy(footer + 28, exact ? "qem2" : "qemu", 4);       /* the readers' tables know these two, and what their sizes mean */
    store_be16(footer + 32, 5);
    store_be16(footer + 34, 3);
    memcpy(footer + 36, "Wi2k", 4);
    store_be64(footer + 40, sectors * SECTOR);
    store_be64(footer + 48, sectors * SECTOR);
    store_be16(footer + 56, geometry.cylinders);
    footer[58] = geometry.heads;
    footer[59] = geometry.sectors;
    store_be32(footer + 60, fixed ? FIXED : DYNAMIC);
    random_bytes(footer + 68, 16);
    store_be32(footer + 64, checksum(footer, FOOTER, 64));
}

static int create_dynamic(Node *file, const uint8_t *footer, uint64_t sectors)
{
    uint64_t entries = sectors / (BLOCK / SECTOR) + 1, table = (entries * 4 + SECTOR - 1) / SECTOR * SECTOR;
    size_t bytes = FOOTER + HEADER + table + FOOTER;
    g_autofree uint8_t *image = g_try_malloc0(bytes);
    uint8_t *head = image + FOOTER;

    if (!image) {
        return -ENOMEM;
    }
    memcpy(image, footer, FOOTER);
    memcpy(head, "cxsparse", 8);
    store_be64(head + 8, UINT64_MAX);
    store_be64(head + 16, FOOTER + HEADER);
    store_be32(head + 24, 0x00010000);
    store_be32(head + 28, (uint32_t)entries);
    store_be32(head + 32, BLOCK);
    store_be32(head + 36, checksum(head, HEADER, 36));
    memset(head + HEADER, 0xff, table);
    memcpy(head + HEADER + table, footer, FOOTER);
    return blocks_write(file, 0, image, bytes);
}

static bool vpc_create(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err)
{
    const char *subformat = value_get_string(options, "subformat", "dynamic");
    bool fixed = strcmp(subformat, "fixed") == 0, exact = value_get_flag(options, "force_size", false);
    uint64_t sectors = (size + SECTOR - 1) / SECTOR;
    Geometry geometry;
    uint8_t footer[FOOTER];

    (void)how;
    if (!fixed && strcmp(subformat, "dynamic") != 0) {
        return fail(err, EINVAL, "Invalid parameter '%s'", subformat);
    }
    if (sectors > SECTORS_MOST) {
        return fail(err, EFBIG, "Disk size is too large, max size is 2040 GiB");
    }
    geometry = exact ? (Geometry){ 65535, 16, 255 } : geometry_for(sectors);
    if (!exact && sectors <= GEOMETRY_MOST) {
        sectors = geometry_sectors(geometry);
    }
    make_footer(footer, sectors, geometry, fixed, exact);
    int result = fixed ? node_truncate(file, sectors * SECTOR, false, PREALLOC_OFF, 0, NULL) : create_dynamic(file, footer, sectors);
    if (result == 0 && fixed) {
        result = blocks_write(file, sectors * SECTOR, footer, FOOTER);
    }
    return result == 0 || fail(err, -result, "'%s': the image cannot be written: %s", node_filename(file), strerror(-result));
}

const NodeDriver vpc_driver = {
    .name = "vpc",  .help = "Virtual Hard Disk (VHD) of Virtual PC and Hyper-V",  .kind = NODE_FORMAT,  .size = sizeof(Vpc),  .options = vpc_options,
    .file_child = true,  .file_role = CHILD_STORAGE,  .probe = vpc_probe,  .open = vpc_open,  .close = vpc_close,
    .preadv = vpc_preadv,  .pwritev = vpc_pwritev,  .pwrite_zeroes = vpc_pwrite_zeroes,  .block_status = vpc_block_status,
    .create_options = vpc_create_options,  .create = vpc_create,  .info = vpc_info,  .supported_zero_flags = REQ_MAY_UNMAP,
};
