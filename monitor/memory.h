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
