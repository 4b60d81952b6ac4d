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
/* One member of drives[]: makes the Blk of its id; nothing inserted when it names no file. The one reference is for whoever unplugs it,
 * or for blk_close_all(). */
Blk *drive_open(const Value *drive, GError **err);
/* A member's id, or QEMU's name for one without: "ide0-hd0", "ide1-cd0", "scsi0-hd0", "floppy0", "virtio0". Caller frees. */
char *drive_id(const Value *drive);
/* Where it hangs: from index=, or bus= and unit=; 0 and 0 without. */
void drive_place(const Value *drive, unsigned *bus, unsigned *unit);
/* -drive's keys, with help: what -drive, HMP's drive_add and the manual list. Keys with dots ("cache.direct") reach the nodes. */
extern const Field drive_keys[];
/* cache=none|writeback|unsafe|directsync|writethrough as flags; false when there is no such mode. */
bool cache_mode_parse(const char *mode, unsigned *flags);
