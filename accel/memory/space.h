/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * space.h - an address space: the flat view of a region tree, and access to it
 *
 * The view is immutable and published by one atomic pointer; a reader holds it between epoch_enter() and epoch_leave()
 * (base/epoch.h), which the functions here do for themselves. There are two spaces in a PC: memory and ports.
 */
#pragma once
#include "accel/memory/region.h"

typedef struct AddressSpace AddressSpace;

typedef struct FlatRange {
    uint64_t start, size;
    Region *region;                        /* REGION_RAM or REGION_IO */
    uint64_t offset;                       /* of start inside region */
    bool readonly;
    uint8_t *host;                         /* RAM: host address of start, else NULL */
    RamBlock *ram;                         /* RAM: kept alive by the view even when the region has gone */
    uint64_t ram_offset;                   /* of start inside ram */
} FlatRange;

typedef struct FlatView {
    size_t count;
    uint64_t generation;                   /* rises with every published view of the space */
    FlatRange ranges[];                    /* sorted by start, disjoint, neighbours merged where they continue each other */
} FlatView;

/* Told after a new view is published, machine lock held, vCPUs possibly running: KVM slots, the software CPU's TLBs. */
typedef struct SpaceListener {
    void (*changed)(void *opaque, const FlatView *old_view, const FlatView *new_view);
    void *opaque;
} SpaceListener;

AddressSpace *space_new(const char *name, Region *root);
void space_free(AddressSpace *space);
void space_listen(AddressSpace *space, const SpaceListener *listener);    /* called at once with an empty old view */
void space_unlisten(AddressSpace *space, const SpaceListener *listener);
const FlatView *space_view(AddressSpace *space);                      /* between epoch_enter and epoch_leave, or machine lock held */
const FlatRange *flat_find(const FlatView *view, uint64_t address);  /* NULL: nothing there */

typedef enum { MEM_OK, MEM_NOTHING_THERE, MEM_REFUSED } MemResult;

/* The processor's access: RAM or device registers, any size up to 8 for devices, split as RegionOps says; takes
 * the machine lock for a device unless the region says otherwise or it is held already. Unclaimed reads give ones. */
MemResult space_load(AddressSpace *space, uint64_t address, unsigned size, uint64_t *value);
MemResult space_store(AddressSpace *space, uint64_t address, unsigned size, uint64_t value);
/* Bytes, of any length, split at range ends (element by element at devices). */
MemResult space_read(AddressSpace *space, uint64_t address, void *data, uint64_t length);
MemResult space_write(AddressSpace *space, uint64_t address, const void *data, uint64_t length);
/* A loader's write: goes into ROM too. */
MemResult space_write_rom(AddressSpace *space, uint64_t address, const void *data, uint64_t length);

/* Doorbells: a store of size bytes (0: any) at address, with value when match is set, writes 1 to the eventfd and is done: no
 * machine lock, no device. Only stores to device registers look here. Machine lock held for changes. */
typedef struct Doorbell { uint64_t address, value; unsigned size; bool match; int fd; } Doorbell;
void space_add_doorbell(AddressSpace *space, const Doorbell *bell);
bool space_remove_doorbell(AddressSpace *space, const Doorbell *bell);      /* false: there was none like it */
