/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block-conf.c - what every disk and CD-ROM model asks of the storage behind it
 *
 * Threads  main loop, machine lock held
 * Tests    tests/dev/block-conf.c
 */
#include "hw/core/block-conf.h"
#include "base/bytes.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { SECTOR = 512, BLOCK_MOST = 2 << 20, PARTITIONS = 0x1be, SIGNATURE = 0x1fe };

const char *const block_error_policies[] = { "auto", "report", "ignore", "enospc", "stop", NULL };

static bool is_power_of_two(uint64_t n)
{
    return n && !(n & (n - 1));
}

static bool check_block_size(const Device *device, const char *name, uint64_t size, GError **err)
{
    if (size < SECTOR || size > BLOCK_MOST || !is_power_of_two(size)) {
        return fail(err, EINVAL, "device '%s': %s=%" PRIu64 " is not a power of two from %d to %d", device_name(device), name, size,
                    SECTOR, BLOCK_MOST);
    }
    return true;
}

static bool check_multiple(const BlockConf *conf, const Device *device, const char *name, uint64_t size, GError **err)
{
    return size % conf->logical_block == 0 && size <= UINT32_MAX ? true :
           fail(err, EINVAL, "device '%s': %s=%" PRIu64 " is not a multiple of logical_block_size=%" PRIu64 " below 4 GiB",
                device_name(device), name, size, conf->logical_block);
}

/* What the person left out is what the image likes best, as far as a disk can say it. */
static bool complete_sizes(BlockConf *conf, const Device *device, GError **err)
{
    BlkLimits limits = { 0 };

    if (blk_has_medium(conf->blk)) {
        blk_limits(conf->blk, &limits);
    }
    conf->logical_block = conf->logical_block ? conf->logical_block : SECTOR;
    conf->physical_block = conf->physical_block ? conf->physical_block : MAX(conf->logical_block, SECTOR);
    if (conf->discard_granularity == UINT64_MAX) {
        uint64_t granularity = MAX(limits.discard_granularity, conf->logical_block);
        conf->discard_granularity = granularity % conf->logical_block == 0 ? granularity : conf->logical_block;
    }
    if (!check_block_size(device, "logical_block_size", conf->logical_block, err) ||
        !check_block_size(device, "physical_block_size", conf->physical_block, err) ||
        !check_multiple(conf, device, "min_io_size", conf->min_io, err) || !check_multiple(conf, device, "opt_io_size", conf->opt_io, err) ||
        !check_multiple(conf, device, "discard_granularity", conf->discard_granularity, err)) {
        return false;
    }
    if (conf->logical_block > conf->physical_block) {
        return fail(err, EINVAL, "device '%s': logical_block_size=%" PRIu64 " is larger than physical_block_size=%" PRIu64, device_name(device),
                    conf->logical_block, conf->physical_block);
    }
    return true;
}

static bool find_storage(BlockConf *conf, const Device *device, bool removable, GError **err)
{
    if (conf->drive && *conf->drive) {
        conf->blk = blk_for_device(conf->drive, err);
        if (!conf->blk) {
            g_prefix_error(err, "device '%s': drive=%s: ", device_name(device), conf->drive);
        }
    } else if (removable) {
        conf->blk = blk_new(NULL, err);
    } else {
        fail(err, EINVAL, "device '%s': drive= is missing; it takes the id of a -drive if=none or the node-name of a -blockdev", device_name(device));
    }
    return conf->blk != NULL;
}

static bool claim(BlockConf *conf, const Device *device, bool removable, bool needs_write, GError **err)
{
    if (!blk_has_medium(conf->blk)) {
        return removable || fail(err, ENOMEDIUM, "device '%s': drive '%s' has no medium; a disk needs an image: file=PATH", device_name(device),
                                 blk_name(conf->blk));
    }
    if (needs_write && blk_readonly(conf->blk)) {
        return fail(err, EROFS, "device '%s': '%s' is read-only, and this model cannot say so to its guest", device_name(device), blk_name(conf->blk));
    }
    if (!blk_claim(conf->blk, !conf->read_only && !blk_readonly(conf->blk), conf->share_rw, err)) {
        g_prefix_error(err, "device '%s': ", device_name(device));
        return false;
    }
    return true;
}

bool block_conf_realize(BlockConf *conf, Device *device, const BlkDeviceOps *ops, void *opaque, bool removable, bool needs_write,
                        GError **err)
{
    if (!find_storage(conf, device, removable, err)) {
        return false;
    }
    if (!blk_attach_device(conf->blk, device_name(device), ops, opaque, removable, err)) {
        blk_unref(g_steal_pointer(&conf->blk));
        return false;
    }
    if (!claim(conf, device, removable, needs_write, err) || !complete_sizes(conf, device, err)) {
        block_conf_unrealize(conf);
        return false;
    }
    blk_set_error_policy(conf->blk, (BlkErrorPolicy)conf->rerror, (BlkErrorPolicy)conf->werror);
    if (conf->write_cache != 2) {
        blk_set_write_cache(conf->blk, conf->write_cache == 1);
    }
    return true;
}

void block_conf_unrealize(BlockConf *conf)
{
    if (conf->blk) {
        blk_drain(conf->blk);
        blk_detach_device(conf->blk);
        blk_unref(g_steal_pointer(&conf->blk));
    }
}

/* ---- geometry ---- */

/* The heads and sectors that the first partition with an end wrote into its CHS fields: what the disk was partitioned with. */
static bool geometry_from_partitions(const uint8_t sector[SECTOR], uint32_t *heads, uint32_t *sectors)
{
    enum { ENTRIES = 4, ENTRY = 16, END_HEAD = 5, END_SECTOR = 6, LENGTH = 12 };

    if (load_le16(sector + SIGNATURE) != 0xaa55) {
        return false;
    }
    for (unsigned i = 0; i < ENTRIES; i++) {
        const uint8_t *entry = sector + PARTITIONS + i * ENTRY;
        if (load_le32(entry + LENGTH) && entry[END_HEAD] && (entry[END_SECTOR] & 0x3f)) {
            *heads = entry[END_HEAD] + 1u;
            *sectors = entry[END_SECTOR] & 0x3f;
            return true;
        }
    }
    return false;
}

void block_conf_geometry(BlockConf *conf, uint32_t most_cylinders, uint32_t most_heads, uint32_t most_sectors)
{
    uint64_t total = blk_has_medium(conf->blk) ? blk_length(conf->blk) / SECTOR : 0;
    uint8_t sector[SECTOR];
    uint32_t heads = 0, sectors = 0;

    if (conf->cylinders && conf->heads && conf->sectors) {
        return;
    }
    bool known = total && blk_pread(conf->blk, 0, sector, sizeof sector) == 0 && geometry_from_partitions(sector, &heads, &sectors);
    if (!known || heads > most_heads || sectors > most_sectors) {
        heads = MIN(most_heads, 16);
        sectors = MIN(most_sectors, 63);
    }
    uint64_t cylinders = total / (heads * sectors);
    conf->heads = heads;
    conf->sectors = sectors;
    conf->cylinders = (uint32_t)CLAMP(cylinders, 2, most_cylinders);
}
