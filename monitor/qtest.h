/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qtest.h - QEMU's device test protocol: lines that drive a machine's ports, memory, clock and interrupt lines */
#pragma once
#include "base/char/chardev.h"
#include "hw/core/machine.h"

typedef struct Qtest Qtest;
/* Serves one stream until qtest_stop(). log: path of a transcript, "none", or NULL for stderr, as -qtest-log says. Without CPUs the guest clock is turned by hand. */
Qtest *qtest_start(Machine *machine, Chardev *chardev, const char *log, GError **err);
void qtest_stop(Qtest *qtest);             /* NULL is ignored */
