/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * port92.h - the A20 gate of the board
 *
 * System control port A and the keyboard controller are two handles of one latch; port92 keeps and saves it. The board gives
 * port92 the line "a20" (to the processors) and gives i8042 the line port92_a20_input().
 */
#pragma once
#include "hw/core/device.h"

IrqLine port92_a20_input(Device *port92);
