/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-string.c - string instructions and ports: the rows; their functions follow
 */
#include "accel/soft/handlers.h"

const SoftHandler string_handlers[] = { { .op = 0 } };
const SoftHandler port_handlers[] = { { .op = 0 } };
