/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timers.h - the timer devices of a PC as its board wires them: "isa-pit", "hpet", "mc146818rtc"
 *
 * Lines, by device_set_line() before realize: "irq" of isa-pit and of mc146818rtc; "timer" (GSI 0), "rtc" (GSI 8) and
 * "gsi2" of hpet. With an HPET the PIT and the RTC go into it: device_set_line(pit, "irq", hpet_legacy_input(hpet, 0)),
 * device_set_line(rtc, "irq", hpet_legacy_input(hpet, 1)); without, straight to their GSIs. Where the PIT is KVM's, set its
 * "x-in-kernel", and device_set_link(hpet, "pit", pit).
 *
 * Machine lock held.
 */
#pragma once
#include "hw/core/device.h"

enum { HPET_INPUT_TIMER, HPET_INPUT_RTC };
IrqLine hpet_legacy_input(Device *hpet, unsigned input);
/* The HPET took IRQ 0 over, or gave it back. */
void pit_set_silent(Device *pit, bool silent);

/* CMOS bytes that the board fills in after realize; they survive resets. Clock registers are refused (false). */
bool rtc_set_cmos(Device *rtc, uint8_t index, uint8_t value);
uint8_t rtc_get_cmos(Device *rtc, uint8_t index);
/* The sizes that PC firmware looks for: 15h-18h, 30h-31h, 34h-35h, 5Bh-5Dh. */
void rtc_set_memory_size(Device *rtc, uint64_t below_4g, uint64_t above_4g);
