/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region.h - the tree of guest address ranges: RAM, ROM, device registers, aliases, containers
 *
 * The same tree serves memory and the 64 KiB port space. Where ranges overlap, the higher priority wins, and among
 * equals the one added last. The owner embeds the Region; it must outlive its place in the tree (region_remove first).
 * Locking: machine lock for every change. Changes between region_begin() and region_commit() are published as one.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    WIDTH_8 = 1, WIDTH_16 = 2, WIDTH_32 = 4, WIDTH_64 = 8,            /* sums: what the device takes */
    WIDTH_8_16 = 3, WIDTH_8_16_32 = 7, WIDTH_ANY = 15, WIDTH_16_32 = 6, WIDTH_32_64 = 12,
} Widths;

/* offset is from the start of the region; size is 1, 2, 4 or 8 and one of .widths; values are little endian numbers.
 * The core splits wider and widens narrower accesses (a narrower read is cut out of the wider one; a narrower write to a
 * device without that width writes the wider one with the other bytes zero) before the device sees them; it
 * splits unaligned ones unless .unaligned. Called with the machine lock held unless .unlocked. */
typedef struct RegionOps {
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);    /* NULL reads as ones */
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);   /* NULL ignores */
    Widths widths;
    bool unaligned;
    bool unlocked;
} RegionOps;

typedef enum { REGION_CONTAINER, REGION_RAM, REGION_IO, REGION_ALIAS } RegionKind;

typedef struct RamBlock RamBlock;          /* ram.h */
typedef struct Region Region;
struct Region {
    const char *name;                      /* for info mtree and error sentences; not copied */
    RegionKind kind;
    bool enabled;
    bool readonly;                         /* RAM: guest writes are dropped (or go to ops when there are any: a flash or PAM) */
    int priority;
    uint64_t offset;                       /* in the parent */
    uint64_t size;                         /* bytes; UINT64_MAX means 2^64 */
    const RegionOps *ops;
    void *opaque;
    RamBlock *ram;
    uint64_t ram_offset;
    Region *target;                        /* alias */
    uint64_t target_offset;
    Region *parent;
    GPtrArray *children;                   /* sorted: highest priority first, last added first */
};

void region_init_container(Region *region, const char *name, uint64_t size);
void region_init_io(Region *region, const RegionOps *ops, void *opaque, const char *name, uint64_t size);
bool region_init_ram(Region *region, const char *name, uint64_t size, GError **err);   /* zeroed anonymous memory */
bool region_init_rom(Region *region, const char *name, uint64_t size, GError **err);   /* RAM that guests cannot write */
void region_init_alias(Region *region, const char *name, Region *target, uint64_t target_offset, uint64_t size);
void region_destroy(Region *region);       /* must have no parent; frees RAM when the last user is gone */
uint8_t *region_host(const Region *region);                           /* RAM only: host address of its first byte */

void region_add(Region *parent, uint64_t offset, Region *child, int priority);
void region_remove(Region *child);         /* a child without parent is ignored */
void region_move(Region *child, uint64_t offset);
void region_set_enabled(Region *region, bool enabled);
void region_set_readonly(Region *region, bool readonly);
void region_retarget(Region *alias, Region *target, uint64_t target_offset);
void region_begin(void);
void region_commit(void);
