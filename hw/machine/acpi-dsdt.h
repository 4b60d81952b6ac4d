/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acpi-dsdt.h - the part of the DSDT that is AML */
#pragma once
#include "hw/machine/acpi.h"
#include "hw/machine/aml.h"

void dsdt_write(Aml *aml, const AcpiConfig *config);
