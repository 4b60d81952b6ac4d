/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive.h - from the configuration tree to the block graph: blockdevs[] (-blockdev) and drives[] (-drive)
 *
 * Main thread, machine lock held, outside of coroutines (it runs io_loop_run() itself).
 */
#pragma once
#include "base/field.h"
#include "block/blk.h"

/* All of blockdevs[], then all of drives[], in order; temporary overlays where snapshot=on asks for one. On failure what was opened is
 * closed by blk_close_all(). */
bool drives_open(const Value *tree, GError **err);
/* One member of drives[]: makes the Blk of its id; nothing inserted when it names no file. */
Blk *drive_open(const Value *drive, GError **err);
/* -drive's keys, with help: what -drive, HMP's drive_add and the manual list. Keys with dots ("cache.direct") reach the nodes. */
extern const Field drive_keys[];
/* cache=none|writeback|unsafe|directsync|writethrough as flags; false when there is no such mode. */
bool cache_mode_parse(const char *mode, unsigned *flags);
