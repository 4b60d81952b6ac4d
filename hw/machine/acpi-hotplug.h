/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acpi-hotplug.h - the DSDT's part about what comes and goes; acpi-dsdt.c calls these where the objects belong */
#pragma once
#include "hw/machine/acpi.h"
#include "hw/machine/aml.h"

void hotplug_write_slots(Aml *aml, const AcpiConfig *config);       /* inside \_SB.PCI0 */
void hotplug_write_processors(Aml *aml, const AcpiConfig *config);  /* inside \_SB */
void hotplug_write_events(Aml *aml, const AcpiConfig *config);      /* inside \_GPE */
