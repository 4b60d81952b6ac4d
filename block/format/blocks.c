/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blocks.c - what vdi, vpc, vmdk and vhdx share: a disk in blocks, and a table of where each one is
 *
 * Order    a new block's space, its data, then its entry in the table: whoever is interrupted leaves space that nobody names
 * Threads  home loop; blocks->lock is held while a block is allocated
 * Tests    tests/block/formats.py
 */
#include "block/format/blocks.h"
#include "base/checked.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>

enum { TABLE_MOST = 64 << 20 };

static int locate(Node *node, Blocks *blocks, uint64_t offset, uint64_t most, Place *place)
{
    *place = (Place){ .file = node->file };
    int result = blocks->ops->locate(node, offset, place);

    if (result == 0 && (place->count == 0 || (place->present && !range_within(place->at, place->count, INT64_MAX)))) {
        result = -EIO;
    }
    place->count = MIN(place->count, most);
    return result;
}

int blocks_preadv(Node *node, Blocks *blocks, uint64_t offset, Iov to)
{
    Place place;

    for (size_t at = 0; at < to.bytes; at += place.count) {
        int result = locate(node, blocks, offset + at, to.bytes - at, &place);
        if (result == 0 && place.present) {
            result = node_preadv(place.file, place.at, iov_part(to, at, place.count), 0);
        } else if (result == 0) {
            iov_set(to, at, 0, place.count);
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

static int write_absent(Node *node, Blocks *blocks, uint64_t offset, Iov from, size_t at, Place *place)
{
    uint64_t begin;

    CO_SCOPE(&blocks->lock);
    int result = locate(node, blocks, offset, from.bytes - at, place);
    if (result < 0 || place->present) {
        return result;                     /* somebody was faster: the caller looks again */
    }
    if (!blocks->ops->allocate) {
        return -ENOTSUP;
    }
    result = blocks->ops->allocate(node, offset / blocks->size, &begin);
    if (result == 0) {
        result = node_pwritev(place->file, begin + offset % blocks->size, iov_part(from, at, place->count), 0);
    }
    return result < 0 ? result : blocks->ops->enter(node, offset / blocks->size, begin);
}

int blocks_pwritev(Node *node, Blocks *blocks, uint64_t offset, Iov from)
{
    Place place;
    size_t at = 0;

    while (at < from.bytes) {
        int result = locate(node, blocks, offset + at, from.bytes - at, &place);
        bool was_there = place.present;
        if (result == 0 && !was_there) {
            result = write_absent(node, blocks, offset + at, from, at, &place);
            was_there = place.present;
            if (result == 0 && !was_there) {
                at += place.count;
                continue;
            }
        }
        if (result == 0 && was_there) {
            result = node_pwritev(place.file, place.at, iov_part(from, at, place.count), 0);
        }
        if (result < 0) {
            return result;
        }
        at += place.count;
    }
    return 0;
}

int blocks_pwrite_zeroes(Node *node, Blocks *blocks, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    Place place;

    for (uint64_t at = 0; at < bytes; at += place.count) {
        int result = locate(node, blocks, offset + at, bytes - at, &place);
        if (result == 0 && place.present) {
            result = node_pwrite_zeroes(place.file, place.at, place.count, flags & REQ_MAY_UNMAP);
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

int blocks_status(Node *node, Blocks *blocks, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    Place first, next;
    int result = locate(node, blocks, offset, bytes, &first);

    *count = first.count;
    while (result == 0 && *count < bytes) {                /* what goes on in the same way is one answer */
        result = locate(node, blocks, offset + *count, bytes - *count, &next);
        if (result < 0 || next.present != first.present || (first.present && (next.file != first.file || next.at != first.at + *count))) {
            break;
        }
        *count += next.count;
    }
    if (result < 0) {
        return result;
    }
    *map = first.at;
    *file = first.file;
    return first.present ? STATUS_DATA | STATUS_OFFSET | STATUS_RECURSE | STATUS_ALLOCATED : STATUS_ZERO;
}

int blocks_make_room(Node *file, uint64_t at, uint64_t bytes)
{
    uint64_t end, old = node_length(file);

    if (!checked_add(at, bytes, &end) || end > INT64_MAX) {
        return -EFBIG;
    }
    int result = end > old ? node_truncate(file, end, false, PREALLOC_OFF, REQ_ZERO_WRITE, NULL) : 0;
    if (result == 0 && at < old) {
        result = node_pwrite_zeroes(file, at, MIN(end, old) - at, REQ_MAY_UNMAP);
    }
    return result;
}

int blocks_write(Node *file, uint64_t at, const void *data, size_t bytes)
{
    int result = at + bytes > node_length(file) && !file->growable ? node_truncate(file, at + bytes, false, PREALLOC_OFF, 0, NULL) : 0;

    return result < 0 ? result : node_pwrite(file, at, data, bytes);
}

void *blocks_read_table(Node *file, const char *what, uint64_t at, uint64_t entries, unsigned width, GError **err)
{
    uint64_t bytes;

    if (!checked_mul(entries, width, &bytes) || bytes > TABLE_MOST) {
        fail(err, EFBIG, "'%s': %s has %" PRIu64 " entries, more than is supported", node_filename(file), what, entries);
        return NULL;
    }
    if (!range_within(at, bytes, node_length(file))) {
        fail(err, EINVAL, "'%s': %s lies beyond the end of the file", node_filename(file), what);
        return NULL;
    }
    void *table = g_try_malloc(bytes ? bytes : 1);
    if (!table) {
        fail(err, ENOMEM, "'%s': no memory for %s of %" PRIu64 " bytes", node_filename(file), what, bytes);
        return NULL;
    }
    int result = node_pread(file, at, table, bytes);
    if (result < 0) {
        g_free(table);
        fail(err, -result, "'%s': %s cannot be read: %s", node_filename(file), what, g_strerror(-result));
        return NULL;
    }
    return table;
}
