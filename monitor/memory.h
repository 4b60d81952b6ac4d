/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.h - guest memory and registers as a person at a monitor sees them
 *
 * Main loop, machine lock held, which is dropped while processors come to stand.
 */
#pragma once
#include "hw/core/machine.h"

/* A processor's registers; it stands meanwhile. */
void monitor_registers(Machine *machine, Cpu *cpu, CpuState *state);
/* Bytes at a virtual address, by the page tables that these registers name; false at the first page that is not there. */
bool monitor_read_virtual(Machine *machine, const CpuState *state, uint64_t address, void *data, size_t length);
bool monitor_read_physical(Machine *machine, uint64_t address, void *data, size_t length);
/* Where a virtual address lies; false: nowhere. */
bool monitor_translate(Machine *machine, const CpuState *state, uint64_t address, uint64_t *physical);

/* How the processor translates: state alone says it. */
typedef enum { PAGING_OFF, PAGING_32, PAGING_PAE, PAGING_4_LEVELS, PAGING_5_LEVELS } PagingMode;
PagingMode monitor_paging(const CpuState *state);
bool monitor_has_large_pages(const CpuState *state);       /* of PAGING_32: 4 MiB */

/* mappings.c: everything that is mapped, in order of linear addresses; appended to out. False: more than a dump can say. */
enum { MAPPINGS_MOST = 60000 };
typedef struct Mapping { uint64_t linear, physical, length; } Mapping;
bool monitor_mappings(Machine *machine, const CpuState *state, GArray *out, GError **err);
