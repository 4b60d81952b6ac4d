/* SPDX-License-Identifier: GPL-2.0-or-later */
/* manual.h - roost(1) as a man page, from the tables that the program itself reads */
#pragma once
#include "hw/core/device.h"

void manual_print(void);                   /* "roost help manual": roff on standard output */
/* A model's properties that a person can set, by name: const Field *. The caller owns the array (opt-device.c). */
GPtrArray *device_properties(const DeviceModel *model);

/* README.md and docs/exit-status.md, taken in at build time (texts.py). */
extern const char manual_readme[], manual_exit_status[];
