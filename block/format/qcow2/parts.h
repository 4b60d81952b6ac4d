/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * parts.h - what check, repair, snapshots, bitmaps, encryption, amend, measure and info share among themselves
 */
#pragma once
#include "block/format/qcow2/qcow2.h"

typedef struct LuksOptions LuksOptions;

/* crypt.c */
bool qcow2_crypt_wanted(const Qcow2Create *create, LuksOptions *out, GError **err);           /* the caller clears *out either way */
bool qcow2_crypt_amend(Qcow2 *qcow2, const Value *options, bool force, GError **err);         /* co; members of "encrypt" */
Value *qcow2_crypt_info(const Qcow2 *qcow2);               /* NULL: not encrypted */

/* snapshot.c: what open with how->checking found wrong with the table is told and counted; afterwards the table is written anew where that
 * mends it. co, lock held. */
int qcow2_snapshots_check(Qcow2 *qcow2, ImageCheck *check, CheckRepair repair);
int qcow2_snapshots_mend(Qcow2 *qcow2, ImageCheck *check, CheckRepair repair);

/* bitmap.c */
#define Q2_BITMAP_OFFSET 0x00fffffffffffe00ULL
bool qcow2_bitmap_entry_sound(const Qcow2 *qcow2, uint64_t entry);
/* Calls each() with the place of each bitmap's table, as the directory in the file says; sound: all is within its limits. co. 0 or -errno. */
int qcow2_bitmaps_each_table(Qcow2 *qcow2, void (*each)(void *opaque, const char *name, uint64_t offset, uint32_t entries, bool sound),
                             void *opaque);
bool qcow2_bitmaps_any(const Qcow2 *qcow2);                /* in memory, stored or not */
Value *qcow2_bitmaps_info(const Qcow2 *qcow2);             /* NULL: there are none */

extern const Field qcow2_amend_options[];                  /* amend.c */
