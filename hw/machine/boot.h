/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot.h - direct kernel boot: what a boot loader would have left in memory and in the boot processor
 *
 * boot_open() reads and checks the files, with sentences for people; boot_place() runs at every machine reset, copies
 * into guest memory and sets the boot processor. A bzImage is not kept in between: the open file is read, and checked, again. Machine lock held, CPUs paused.
 */
#pragma once
#include "hw/core/machine.h"

enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };
typedef struct MapEntry { uint64_t start, size; uint32_t type; } MapEntry;
enum { MAP_MOST = 16 };
typedef struct MemoryMap {
    MapEntry entries[MAP_MOST];            /* ascending, disjoint */
    unsigned count;
    uint64_t below_4g;                     /* end of RAM below 4 GiB */
    uint64_t above_4g;                     /* bytes of RAM from 4 GiB up */
    uint64_t rsdp;                         /* guest address of the ACPI root pointer, 0 without ACPI */
} MemoryMap;
/* An entry as E820, PVH and multiboot all write it: 20 bytes, start, size and type. */
enum { MAP_ENTRY_BYTES = 20 };
void map_entry_store(const MapEntry *entry, uint8_t *out);
void map_add(MemoryMap *map, uint64_t start, uint64_t size, uint32_t type);

typedef struct Boot Boot;
/* config: the "boot" object (kernel, initrd, append). The map is copied. NULL and *err on a bad file. */
Boot *boot_open(Machine *machine, const Value *config, const MemoryMap *map, GError **err);
void boot_place(Boot *boot);
void boot_free(Boot *boot);
/* What the option ROM path needs when firmware runs first: the kernel as fw_cfg items. NULL when the kernel is no bzImage. */
typedef struct BootItems {
    const uint8_t *setup, *kernel, *initrd;
    size_t setup_size, kernel_size, initrd_size;
    uint32_t kernel_address, initrd_address, command_line_address, setup_address;
    const char *command_line;
} BootItems;
bool boot_items(const Boot *boot, BootItems *items);
