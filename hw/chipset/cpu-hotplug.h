/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu-hotplug.h - where the board and its ACPI tables find the processor registers
 *
 * The board realizes "acpi-cpu-hotplug" after setting line "gpe" (general purpose event 2), "cpus" and "max-cpus".
 */
#pragma once
#include "hw/core/device.h"

enum { CPU_HOTPLUG_BASE = 0xaf00, CPU_HOTPLUG_LENGTH = 12, CPU_HOTPLUG_GPE = 2, CPU_HOTPLUG_MOST = 255 };

/* Processor index is here now; the guest is told. */
void cpu_hotplug_arrived(Device *device, unsigned index);
/* The guest is asked to do without processor index. */
void cpu_hotplug_ask_removal(Device *device, unsigned index);
/* What command 3 tells of each processor, before realize. */
void cpu_hotplug_set_apic_ids(Device *device, const uint32_t *apic_ids, unsigned count);
