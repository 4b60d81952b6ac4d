/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhdx-create.c - new VHDX images, dynamic and fixed
 *
 * Layout   in MiB: 0 identifier, headers, region tables; 1 the log; then metadata (1), the block table, the blocks of a fixed image
 * Threads  home loop
 * Tests    tests/block/formats.py, tests/fuzz/formats.c
 */
#include "block/format/vhdx.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/random.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const subformats[] = { "dynamic", "fixed", NULL };
typedef struct VhdxCreate { int subformat; uint64_t block_size, log_size; bool zero; } VhdxCreate;
const Field vhdx_create_options[] = {
    PROP_ENUM("subformat", VhdxCreate, subformat, subformats, 0, .help = "dynamic (grows) or fixed"),
    PROP_SIZE("block_size", VhdxCreate, block_size, 0, .help = "bytes of a block, 1M to 256M; default by the size of the disk"),
    PROP_SIZE("log_size", VhdxCreate, log_size, VHDX_MIB, .help = "bytes of the log, a multiple of 1M"),
    PROP_BOOL("block_state_zero", VhdxCreate, zero, true, .help = "absent blocks are marked as zero, not as absent"),
    FIELD_END };

static uint64_t default_block(uint64_t size)
{
    return size > UINT64_C(32) << 40 ? 64 * VHDX_MIB : size > UINT64_C(100) << 30 ? 32 * VHDX_MIB : size > UINT64_C(1) << 30 ? 16 * VHDX_MIB : 8 * VHDX_MIB;
}

static void put_header(uint8_t *bytes, uint64_t number, uint32_t log)
{
    memcpy(bytes, "head", 4);
    store_le64(bytes + 8, number);
    random_bytes(bytes + 16, 32);
    store_le16(bytes + 66, 1);
    store_le32(bytes + 68, log);
    store_le64(bytes + 72, VHDX_MIB);
    store_le32(bytes + 4, vhdx_crc(bytes, VHDX_HEADER, 4));
}

static void put_region(uint8_t *table, uint64_t bat_at, uint64_t bat, uint64_t metadata_at)
{
    memcpy(table, "regi", 4);
    store_le32(table + 8, 2);
    memcpy(table + 16, vhdx_bat_guid, 16);
    store_le64(table + 32, bat_at);
    store_le32(table + 40, (uint32_t)bat);
    store_le32(table + 44, 1);
    memcpy(table + 48, vhdx_metadata_guid, 16);
    store_le64(table + 64, metadata_at);
    store_le32(table + 72, VHDX_MIB);
    store_le32(table + 76, 1);
    store_le32(table + 4, vhdx_crc(table, VHDX_REGIONS, 4));
}

static void put_metadata(uint8_t *table, uint64_t size, uint64_t block, bool fixed)
{
    const struct { const uint8_t *guid; uint32_t at, bytes, flags; } items[] = {
        { vhdx_parameters_guid, 65536, 8, 4 }, { vhdx_size_guid, 65544, 8, 6 }, { vhdx_page83_guid, 65552, 16, 6 },
        { vhdx_logical_guid, 65568, 4, 6 }, { vhdx_physical_guid, 65572, 4, 6 },
    };

    memcpy(table, "metadata", 8);
    store_le16(table + 10, G_N_ELEMENTS(items));
    for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
        uint8_t *entry = table + 32 + i * 32;
        memcpy(entry, items[i].guid, 16);
        store_le32(entry + 16, items[i].at);
        store_le32(entry + 20, items[i].bytes);
        store_le32(entry + 24, items[i].flags);
    }
    store_le32(table + 65536, (uint32_t)block);
    store_le32(table + 65540, fixed);
    store_le64(table + 65544, size);
    random_bytes(table + 65552, 16);
    store_le32(table + 65568, 512);
    store_le32(table + 65572, 512);
}

bool vhdx_create(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err)
{
    VhdxCreate wanted;

    (void)how;
    fields_init(vhdx_create_options, &wanted);
    if (!fields_set(vhdx_create_options, &wanted, "vhdx", options, NULL, err)) {
        return false;
    }
    uint64_t block = wanted.block_size ? wanted.block_size : default_block(size);
    if (block < VHDX_MIB || block > 256 * VHDX_MIB || (block & (block - 1))) {
        return fail(err, EINVAL, "block_size=%" PRIu64 ": it takes a power of two from 1M to 256M", block);
    }
    if (wanted.log_size == 0 || wanted.log_size % VHDX_MIB || wanted.log_size > VHDX_LOG_MOST) {
        return fail(err, EINVAL, "log_size=%" PRIu64 ": it takes a multiple of 1M up to 64M", wanted.log_size);
    }
    size = (size + 511) / 512 * 512;
    uint64_t blocks = (size + block - 1) / block, ratio = (UINT64_C(512) << 23) / block, entries = blocks + (blocks ? (blocks - 1) / ratio : 0);
    uint64_t metadata_at = VHDX_MIB + wanted.log_size, bat_at = metadata_at + VHDX_MIB, bat = MAX((entries * 8 + VHDX_MIB - 1) / VHDX_MIB, 1) * VHDX_MIB;
    uint64_t end = bat_at + bat;
    if (size > UINT64_C(64) << 40 || bat > 64 * VHDX_MIB) {
        return fail(err, EFBIG, "Image size too large; max of 64TB, and 8 million blocks");
    }
    g_autofree uint8_t *bytes = g_try_malloc0(end);
    if (!bytes) {
        return fail(err, ENOMEM, "no memory for the tables of a VHDX image");
    }
    memcpy(bytes, "vhdxfile", 8);
    for (int i = 0; i < 5; i++) {
        store_le16(bytes + 8 + i * 2, (uint16_t)"Roost"[i]);
    }
    put_header(bytes + VHDX_HEADER_1, 1, (uint32_t)wanted.log_size);
    put_header(bytes + VHDX_HEADER_2, 2, (uint32_t)wanted.log_size);
    put_region(bytes + VHDX_REGION_1, bat_at, bat, metadata_at);
    put_region(bytes + VHDX_REGION_2, bat_at, bat, metadata_at);
    put_metadata(bytes + metadata_at, size, block, wanted.subformat == 1);
    for (uint64_t i = 0; i < blocks; i++) {
        store_le64(bytes + bat_at + (i + i / ratio) * 8, wanted.subformat == 1 ? (end + i * block) | VHDX_PRESENT : wanted.zero ? VHDX_ZERO : 0);
    }
    int result = blocks_write(file, 0, bytes, end);
    if (result == 0 && wanted.subformat == 1) {
        result = node_truncate(file, end + blocks * block, false, PREALLOC_OFF, 0, NULL);
    }
    return result == 0 || fail(err, -result, "'%s': the image cannot be written: %s", node_filename(file), g_strerror(-result));
}
