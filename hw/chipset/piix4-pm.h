/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * piix4-pm.h - what the board and hot-plug controllers ask of the power management function
 *
 * The board realizes "PIIX4_PM" at addr 01.3 after setting line "sci" (an input to ISA IRQ 9) and, where there is an RTC, line
 * "cmos-s3": raised as the guest goes to S3, so that the RTC leaves firmware the mark of a resume (CMOS 0Fh = FEh).
 */
#pragma once
#include "hw/core/device.h"

enum { PIIX4_GPE0_BASE = 0xafe0, PIIX4_GPE0_LENGTH = 4, PIIX4_SCI_IRQ = 9 };

/* A general purpose event happened (0 to 15): status bit set, SCI if the guest enabled it. */
void piix4_pm_raise_gpe(Device *pm, unsigned event);
/* Which sleep states it carries out, as its properties say: what the ACPI tables may offer. */
void piix4_pm_sleep_states(const Device *pm, bool *s3, bool *s4, uint8_t *s4_type);
/* The same as a wire: its rising edge raises the event. */
IrqLine piix4_pm_gpe(Device *pm, unsigned event);
