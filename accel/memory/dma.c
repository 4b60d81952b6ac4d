/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dma.c - how devices reach guest memory, and only memory; see dma.h
 *
 * Threads  any, without locks: the view is held by epoch, a mapping by its reference on the RAM
 * Tests    tests/unit/memory-dma.c
 */
#include "accel/memory/dma.h"
#include "accel/memory/ram.h"
#include "base/epoch.h"
#include <string.h>

/* What a device writes is seen by whoever logs pages or keeps translated code of them. */
static void written(RamBlock *ram, uint64_t offset, uint64_t length)
{
    ram_mark_dirty(ram, offset, length);
    if (ram_code_written) {
        ram_code_written(ram, offset, length);
    }
}

/* The run of memory at address: how many of length bytes it serves. NULL: a device or nothing; *run is then the length to skip. */
static const FlatRange *memory_run(const FlatView *view, uint64_t address, size_t length, size_t *run)
{
    const FlatRange *range = flat_find(view, address);
    uint64_t left;

    if (range) {
        left = range->size - (address - range->start);
    } else {
        /* A hole: up to the next range. */
        left = UINT64_MAX;
        for (size_t i = 0; i < view->count; i++) {
            if (view->ranges[i].start > address) {
                left = view->ranges[i].start - address;
                break;
            }
        }
    }
    *run = (size_t)MIN(left, length);
    return range && range->host ? range : NULL;
}

bool dma_read(AddressSpace *space, uint64_t address, void *data, size_t length)
{
    uint8_t *bytes = data;
    bool complete = true;
    size_t run;

    if (length && length - 1 > UINT64_MAX - address) {
        memset(data, 0, length);
        return false;
    }
    epoch_enter();
    const FlatView *view = space_view(space);
    for (; length; address += run, bytes += run, length -= run) {
        const FlatRange *range = memory_run(view, address, length, &run);
        if (range) {
            memcpy(bytes, range->host + (address - range->start), run);
        } else {
            memset(bytes, 0, run);
            complete = false;
        }
    }
    epoch_leave();
    return complete;
}

bool dma_write(AddressSpace *space, uint64_t address, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    bool complete = true;
    size_t run;

    if (length && length - 1 > UINT64_MAX - address) {
        return false;
    }
    epoch_enter();
    const FlatView *view = space_view(space);
    for (; length; address += run, bytes += run, length -= run) {
        const FlatRange *range = memory_run(view, address, length, &run);
        if (range && !range->readonly) {
            uint64_t offset = address - range->start;
            memcpy(range->host + offset, bytes, run);
            written(range->ram, range->ram_offset + offset, run);
        } else {
            complete = false;
        }
    }
    epoch_leave();
    return complete;
}

bool dma_map(AddressSpace *space, uint64_t address, size_t length, bool write, DmaMap *map)
{
    size_t run;

    memset(map, 0, sizeof *map);
    if (length == 0) {
        return false;
    }
    epoch_enter();
    const FlatRange *range = memory_run(space_view(space), address, length, &run);
    if (range && !(write && range->readonly)) {
        uint64_t offset = address - range->start;
        *map = (DmaMap){ .host = range->host + offset, .length = run, .ram = ram_block_ref(range->ram),
                         .ram_offset = range->ram_offset + offset, .write = write };
    }
    epoch_leave();
    return map->host != NULL;
}

void dma_unmap(DmaMap *map, size_t bytes_used)
{
    if (!map->ram) {
        return;
    }
    if (map->write && bytes_used) {
        written(map->ram, map->ram_offset, MIN(bytes_used, map->length));
    }
    ram_block_unref(map->ram);
    memset(map, 0, sizeof *map);
}

void dma_written(const DmaMap *map, size_t offset, size_t length)
{
    if (map->ram && map->write && offset < map->length) {
        written(map->ram, map->ram_offset + offset, MIN(length, map->length - offset));
    }
}
