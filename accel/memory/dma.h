/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dma.h - the one door through which devices touch guest memory
 *
 * Only RAM (and, for reading, ROM) can be reached: an address in device registers is refused, so a guest cannot turn a
 * device on itself. Lengths and wraps are checked here. Any thread; no lock needed; the view is held by epoch.
 * Writes set the dirty bits and drop translated code before they return (dma_unmap for mapped ones).
 */
#pragma once
#include "accel/memory/space.h"
#include <stddef.h>

bool dma_read(AddressSpace *space, uint64_t address, void *data, size_t length);       /* false: nothing or refused; data zeroed there */
bool dma_write(AddressSpace *space, uint64_t address, const void *data, size_t length);

typedef struct DmaMap { void *host; size_t length; RamBlock *ram; uint64_t ram_offset; bool write; } DmaMap;
/* Maps the longest run from address, at most length bytes; holds a reference on the RAM. false when not RAM. */
bool dma_map(AddressSpace *space, uint64_t address, size_t length, bool write, DmaMap *map);
void dma_unmap(DmaMap *map, size_t bytes_used);
/* Bytes of a map for writing that stays mapped were written: what dma_unmap() would say of them. */
void dma_written(const DmaMap *map, size_t offset, size_t length);

#define DMA_ACCESS(bits)                                                                                      \
    static inline bool dma_read_le##bits(AddressSpace *space, uint64_t address, uint##bits##_t *value)        \
    {                                                                                                         \
        return dma_read(space, address, value, sizeof *value);   /* hosts are little endian: x86-64 only */   \
    }                                                                                                         \
    static inline bool dma_write_le##bits(AddressSpace *space, uint64_t address, uint##bits##_t value)        \
    {                                                                                                         \
        return dma_write(space, address, &value, sizeof value);                                               \
    }
DMA_ACCESS(16) DMA_ACCESS(32) DMA_ACCESS(64)
#undef DMA_ACCESS
