/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vdi.c - "vdi": the disk images of VirtualBox, static and dynamic
 *
 * Models   version 1.1 headers, blocks of 1 MiB (and other powers of two), check
 * Omits    images with a parent (differencing): refused; shrinking, growing
 * Layout   header of 512 bytes, little endian: 64 signature, 68 version, 76 kind, 340 place of the map, 344 place of the data, 360 sector
 *          size, 368 disk size, 376 block size, 384 blocks, 388 blocks in use, 392 UUID; the map: 32 bits for each block, its place in
 *          blocks behind the beginning of the data, all ones where there is none
 * Threads  home loop
 * Tests    tests/block/formats.py, tests/fuzz/formats.c
 */
#include "block/drivers.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/random.h"
#include "block/format/blocks.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { HEADER = 512, DYNAMIC = 1, STATIC = 2, BLOCK = 1 << 20, BLOCKS_MOST = 0x3fffffff };
static const uint32_t SIGNATURE = 0xbeda107f, VERSION = 0x00010001, ABSENT = 0xffffffff, ZERO = 0xfffffffe;

typedef struct Vdi {
    Node node;
    Blocks blocks;
    uint32_t *map;                         /* as in the file: little endian */
    uint32_t count, in_use, map_at, data_at;
    bool is_static;
} Vdi;

static bool vdi_absent(uint32_t entry)
{
    return entry >= ZERO;
}

static int vdi_locate(Node *node, uint64_t offset, Place *place)
{
    Vdi *vdi = (Vdi *)node;
    uint64_t block = offset / vdi->blocks.size, in = offset % vdi->blocks.size;

    if (block >= vdi->count) {
        return -EIO;
    }
    uint32_t entry = le32toh(vdi->map[block]);
    place->present = !vdi_absent(entry);
    place->at = vdi->data_at + (uint64_t)(place->present ? entry : 0) * vdi->blocks.size + in;
    place->count = vdi->blocks.size - in;
    return 0;
}

static int vdi_allocate(Node *node, uint64_t block, uint64_t *at)
{
    Vdi *vdi = (Vdi *)node;

    (void)block;
    if (vdi->in_use >= vdi->count) {
        return -EIO;                       /* all are in use, and yet this one has none: the image is wrong */
    }
    *at = vdi->data_at + (uint64_t)vdi->in_use * vdi->blocks.size;
    return blocks_make_room(node->file, *at, vdi->blocks.size);
}

/* The count first: an entry beyond it would be an error, a count beyond the entries is a leak. */
static int vdi_enter(Node *node, uint64_t block, uint64_t at)
{
    Vdi *vdi = (Vdi *)node;
    uint32_t entry = (uint32_t)((at - vdi->data_at) / vdi->blocks.size);
    uint8_t count[4], place[4];

    store_le32(count, entry + 1);
    store_le32(place, entry);
    int result = node_pwrite(node->file, 388, count, 4);
    if (result == 0) {
        vdi->in_use = entry + 1;
        result = node_pwrite(node->file, vdi->map_at + block * 4, place, 4);
    }
    if (result == 0) {
        vdi->map[block] = htole32(entry);
    }
    return result;
}

static const BlocksOps vdi_ops = { .locate = vdi_locate, .allocate = vdi_allocate, .enter = vdi_enter };

static int vdi_probe(const uint8_t *head, size_t length, const char *filename)
{
    (void)filename;
    return length >= 68 && load_le32(head + 64) == SIGNATURE ? 100 : 0;
}

static bool check_header(Vdi *vdi, const uint8_t *head, const char *name, GError **err)
{
    uint64_t size = load_le64(head + 368), block = load_le32(head + 376), blocks = load_le32(head + 384), room;
    static const uint8_t none[16];

    if (load_le32(head + 64) != SIGNATURE) {
        return fail(err, EINVAL, "'%s' is no VDI image", name);
    }
    if (load_le32(head + 68) != VERSION) {
        return fail(err, ENOTSUP, "'%s': VDI version %u.%u is not supported", name, load_le16(head + 70), load_le16(head + 68));
    }
    if (load_le32(head + 76) != DYNAMIC && load_le32(head + 76) != STATIC) {
        return fail(err, ENOTSUP, "'%s': VDI images of kind %u are not supported", name, load_le32(head + 76));
    }
    if (memcmp(head + 424, none, 16) || memcmp(head + 440, none, 16)) {
        return fail(err, ENOTSUP, "'%s': VDI images with a parent are not supported", name);
    }
    if (load_le32(head + 360) != 512) {
        return fail(err, ENOTSUP, "'%s': VDI sectors of %u bytes are not supported", name, load_le32(head + 360));
    }
    if (block < 512 || block > (64 << 20) || (block & (block - 1))) {
        return fail(err, ENOTSUP, "'%s': VDI blocks of %" PRIu64 " bytes are not supported", name, block);
    }
    if (load_le32(head + 340) % 512 || load_le32(head + 344) % 512 || load_le32(head + 340) < HEADER) {
        return fail(err, EINVAL, "'%s': its block map or its data do not begin at a sector", name);
    }
    if (!checked_mul(block, blocks, &room) || blocks > BLOCKS_MOST || size > room || size > INT64_MAX - 511
        || load_le32(head + 344) < load_le32(head + 340) + blocks * 4) {
        return fail(err, EINVAL, "'%s': %" PRIu64 " blocks are not what a disk of %" PRIu64 " bytes has", name, blocks, size);
    }
    vdi->node.length = (size + 511) / 512 * 512;
    vdi->blocks = (Blocks){ .ops = &vdi_ops, .size = block };
    vdi->count = (uint32_t)blocks;
    vdi->in_use = MIN(load_le32(head + 388), (uint32_t)blocks);
    vdi->map_at = load_le32(head + 340);
    vdi->data_at = load_le32(head + 344);
    vdi->is_static = load_le32(head + 76) == STATIC;
    return true;
}

/* Behind what the map names, too: a header that counts too few must not make us write over data. */
static void count_in_use(Vdi *vdi)
{
    for (uint32_t i = 0; i < vdi->count; i++) {
        uint32_t entry = le32toh(vdi->map[i]);
        if (!vdi_absent(entry) && entry >= vdi->in_use && entry < vdi->count) {
            vdi->in_use = entry + 1;
        }
    }
}

static bool vdi_open(Node *node, const NodeOpen *how, GError **err)
{
    Vdi *vdi = (Vdi *)node;
    uint8_t head[HEADER];
    int result = node_length(node->file) < sizeof head ? -EINVAL : node_pread(node->file, 0, head, sizeof head);

    (void)how;
    if (result < 0) {
        return fail(err, -result, "'%s': no VDI header can be read", node_filename(node->file));
    }
    if (!check_header(vdi, head, node_filename(node->file), err)) {
        return false;
    }
    vdi->map = blocks_read_table(node->file, "the block map", vdi->map_at, vdi->count, 4, err);
    if (!vdi->map) {
        return false;
    }
    count_in_use(vdi);
    node->limits.request_alignment = 512;
    return true;
}

static void vdi_close(Node *node)
{
    g_clear_pointer(&((Vdi *)node)->map, g_free);
}

static int vdi_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    (void)flags;
    return blocks_preadv(node, &((Vdi *)node)->blocks, offset, to);
}

static int vdi_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    (void)flags;
    return blocks_pwritev(node, &((Vdi *)node)->blocks, offset, from);
}

static int vdi_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    return blocks_pwrite_zeroes(node, &((Vdi *)node)->blocks, offset, bytes, flags);
}

static int vdi_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    (void)exact;
    return blocks_status(node, &((Vdi *)node)->blocks, offset, bytes, count, map, file);
}

static void vdi_info(Node *node, ImageInfo *info)
{
    info->cluster_size = ((Vdi *)node)->blocks.size;
}

static void vdi_finding(ImageCheck *check, const char *what, uint32_t block, uint32_t entry)
{
    g_autofree char *line = g_strdup_printf("ERROR: block index %u %s %u", block, what, entry);

    check->corruptions++;
    if (check->tell) {
        check->tell(check->opaque, line);
    }
}

static int vdi_check(Node *node, ImageCheck *check, CheckRepair repair)
{
    Vdi *vdi = (Vdi *)node;
    g_autofree uint8_t *used = g_try_malloc0(vdi->count / 8 + 1);
    uint8_t count[4];
    uint32_t found = 0;
    int result = node_pread(node->file, 388, count, 4);

    if (!used || result < 0) {
        return used ? result : -ENOMEM;
    }
    if (repair) {
        return -ENOTSUP;
    }
    check->total_clusters = vdi->count;
    for (uint32_t i = 0; i < vdi->count; i++) {
        uint32_t entry = le32toh(vdi->map[i]);
        if (vdi_absent(entry)) {
            continue;
        }
        if (entry >= vdi->count) {
            vdi_finding(check, "out of range, is", i, entry);
            continue;
        }
        found++;
        if (used[entry / 8] & 1 << entry % 8) {
            vdi_finding(check, "also used by", i, entry);
        }
        used[entry / 8] |= (uint8_t)(1 << entry % 8);
    }
    check->allocated_clusters = found;
    if (found != load_le32(count)) {
        vdi_finding(check, "s in use are not those in the header:", found, load_le32(count));
    }
    return 0;
}

/* ---- creating ---- */

typedef struct VdiCreate { bool is_static; } VdiCreate;
static const Field vdi_create_options[] = { PROP_BOOL("static", VdiCreate, is_static, false, .help = "all blocks are there from the start"), FIELD_END };

static void make_header(uint8_t *head, uint64_t size, uint32_t blocks, uint32_t map_bytes, bool is_static)
{
    strcpy((char *)head, "<<< Roost Virtual Disk Image >>>\n");
    store_le32(head + 64, SIGNATURE);
    store_le32(head + 68, VERSION);
    store_le32(head + 72, 0x180);
    store_le32(head + 76, is_static ? STATIC : DYNAMIC);
    store_le32(head + 340, HEADER);
    store_le32(head + 344, HEADER + map_bytes);
    store_le32(head + 360, 512);
    store_le64(head + 368, size);
    store_le32(head + 376, BLOCK);
    store_le32(head + 384, blocks);
    store_le32(head + 388, is_static ? blocks : 0);
    random_bytes(head + 392, 32);
}

static bool vdi_create(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err)
{
    bool is_static = value_get_flag(options, "static", false);
    uint64_t blocks = (size + BLOCK - 1) / BLOCK, map_bytes = (blocks * 4 + 511) / 512 * 512;

    (void)how;
    if (map_bytes > 64 << 20) {
        return fail(err, EFBIG, "%" PRIu64 " bytes are more than a VDI image can have here, which is 16 TiB", size);
    }
    g_autofree uint8_t *bytes = g_try_malloc0(HEADER + map_bytes);
    if (!bytes) {
        return fail(err, ENOMEM, "no memory for a VDI block map");
    }
    make_header(bytes, (size + 511) / 512 * 512, (uint32_t)blocks, (uint32_t)map_bytes, is_static);
    for (uint64_t i = 0; i < blocks; i++) {
        store_le32(bytes + HEADER + i * 4, is_static ? (uint32_t)i : ABSENT);
    }
    int result = node_truncate(file, HEADER + map_bytes + (is_static ? blocks * BLOCK : 0), false, PREALLOC_OFF, 0, err);
    if (result < 0) {
        return false;
    }
    result = node_pwrite(file, 0, bytes, HEADER + map_bytes);
    return result == 0 || fail(err, -result, "'%s': the header cannot be written: %s", node_filename(file), strerror(-result));
}

const NodeDriver vdi_driver = {
    .name = "vdi",  .help = "disk image of VirtualBox",  .kind = NODE_FORMAT,  .size = sizeof(Vdi),
    .file_child = true,  .file_role = CHILD_STORAGE,  .probe = vdi_probe,  .open = vdi_open,  .close = vdi_close,
    .preadv = vdi_preadv,  .pwritev = vdi_pwritev,  .pwrite_zeroes = vdi_pwrite_zeroes,  .block_status = vdi_block_status,
    .create_options = vdi_create_options,  .create = vdi_create,  .info = vdi_info,  .check = vdi_check,
    .supported_zero_flags = REQ_MAY_UNMAP,
};
