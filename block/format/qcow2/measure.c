/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure.c - how large an image file will be: roost img measure
 *
 * Counted as for an image without snapshots whose every cluster has a place: header, L1 and L2 tables, refcount blocks and table for all of
 * that, data. An image that holds less of the data has all of the tables nevertheless: an upper bound, the one that QEMU gives.
 *
 * Tests    tests/block/img-commands.py, qcow2-crypt.py
 */
#include "block/crypto/luks.h"
#include "block/format/qcow2/parts.h"
#include <inttypes.h>
#include <string.h>

static uint64_t up(uint64_t n, uint64_t unit)
{
    return n / unit * unit + (n % unit ? unit : 0);
}

static uint64_t parts(uint64_t n, uint64_t unit)
{
    return n / unit + (n % unit != 0);
}

/* Refcount blocks and table, counting themselves. */
static uint64_t refcount_bytes(uint64_t clusters, uint64_t cluster, uint32_t refcount_order)
{
    uint64_t per_block = cluster * 8 >> refcount_order, blocks = 0, table = 0, total = 0, before;

    do {
        before = total;
        blocks = parts(clusters + table + blocks, per_block);
        table = parts(blocks, cluster / 8);
        total = blocks + table;
    } while (total != before);
    return total * cluster;
}

uint64_t qcow2_file_bytes(uint64_t size, uint32_t cluster_bits, uint32_t refcount_order, bool extended_l2)
{
    uint64_t cluster = 1ULL << cluster_bits, entry = extended_l2 ? 16 : 8, data = up(size, cluster);
    uint64_t l2_bytes = up(data / cluster, cluster / entry) * entry;
    uint64_t l1_bytes = up(l2_bytes / cluster, cluster / 8) * 8;
    uint64_t bytes = cluster + l2_bytes + l1_bytes + data;

    return bytes + refcount_bytes(bytes / cluster, cluster, refcount_order);
}

/* Whole clusters of the new image that hold something. */
static int used_bytes(Node *source, uint64_t cluster, uint64_t *used)
{
    uint64_t length = node_length(source), count;

    *used = 0;
    for (uint64_t offset = 0; offset < length; offset += count) {
        int status = node_block_status_above(source, NULL, offset, length - offset, &count, NULL, NULL, NULL);

        if (status < 0) {
            return status;
        }
        if (count == 0) {
            break;
        }
        if (!(status & STATUS_ZERO) && status & STATUS_DATA && status & STATUS_ALLOCATED) {
            count = up(offset + count, cluster) - offset;
            *used += offset % cluster + count;
        }
    }
    *used = MIN(*used, up(length, cluster));
    return 0;
}

static uint64_t bitmaps_bytes(Node *source, uint64_t cluster)
{
    g_autoptr(GArray) bitmaps = g_array_new(false, false, sizeof(ImageBitmap));
    uint64_t bytes = 0, directory = 0;

    if (source->driver->bitmaps->list(source, bitmaps) < 0) {
        return 0;
    }
    for (guint i = 0; i < bitmaps->len; i++) {
        const ImageBitmap *bitmap = &g_array_index(bitmaps, ImageBitmap, i);
        uint64_t clusters = parts(parts(parts(node_length(source), bitmap->granularity), 8), cluster);

        if (bitmap->in_use) {
            continue;                      /* inconsistent: convert leaves it behind */
        }
        bytes += up(clusters * 8, cluster) + clusters * cluster;
        directory += (24 + strlen(bitmap->name) + 7) & ~7ULL;
    }
    return bytes + up(directory, cluster);
}

static bool luks_bytes(const Qcow2Create *create, uint64_t cluster, uint64_t *bytes, GError **err)
{
    LuksOptions wanted = { 0 };
    Luks luks;
    bool done;

    *bytes = 0;
    if (g_strcmp0(create->encrypt_format, "luks") != 0) {
        return true;
    }
    done = qcow2_crypt_wanted(create, &wanted, err) && luks_plan(&luks, &wanted, "qcow2", err);
    if (done) {
        *bytes = up(luks_payload(&luks), cluster);
    }
    luks_options_clear(&wanted);
    return done;
}

static bool measure_inside(const Qcow2Create *create, Node *source, uint64_t size, ImageMeasure *measure, GError **err)
{
    uint64_t cluster = create->cluster_size, refcount_order = (uint64_t)__builtin_ctzll(create->refcount_bits);
    uint64_t bytes = source ? node_length(source) : size, data = up(bytes, cluster), used = 0, luks, full;
    int result;

    if (bytes > INT64_MAX || parts(data / cluster, cluster / (create->extended_l2 ? 16 : 8)) * 8 > Q2_MAX_L1_BYTES) {
        return fail(err, EFBIG, "The image size is too large (try using a larger cluster size)");
    }
    if (!luks_bytes(create, cluster, &luks, err)) {
        return false;
    }
    if (create->preallocation == PREALLOC_FULL || create->preallocation == PREALLOC_FALLOC || (source && create->backing_file)) {
        used = data;                       /* how much a new image shares with its backing file is not known */
    } else if (source) {
        result = used_bytes(source, cluster, &used);
        if (result < 0) {
            return fail(err, -result, "Unable to get block status of '%s': %s", node_filename(source), g_strerror(-result));
        }
    }
    full = qcow2_file_bytes(bytes, (uint32_t)__builtin_ctzll(cluster), (uint32_t)refcount_order, create->extended_l2) + luks;
    measure->fully_allocated = full;
    measure->required = full - data + used;
    if (source && source->driver == &qcow2_driver && QCOW2(source)->version >= 3 && create->version >= 3) {
        measure->has_bitmaps = true;
        measure->bitmaps = bitmaps_bytes(source, cluster);
    }
    return true;
}

bool qcow2_measure(const Value *options, Node *source, uint64_t size, ImageMeasure *measure, GError **err)
{
    Qcow2Create create;
    bool done = qcow2_create_parse(&create, options, source ? node_length(source) : size, err) &&
                measure_inside(&create, source, size, measure, err);

    qcow2_create_clear(&create);
    return done;
}
