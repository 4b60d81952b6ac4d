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
