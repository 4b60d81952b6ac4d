/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk.h - the storage behind a drive, as hw/ sees it
 *
 * For now: raw images in regular files and block devices, opened read-only. Everything else is refused by name.
 * Machine lock held, except that blk_pread() may be called on any thread.
 */
#pragma once
#include "base/value.h"
#include <stddef.h>

typedef struct Blk Blk;

/* config: a member of the configuration's drives[]: file, format (raw), readonly, id. The caller owns *out. */
bool blk_open(Blk **out, const Value *config, GError **err);
void blk_close(Blk *blk);                  /* NULL is ignored */
uint64_t blk_length(const Blk *blk);       /* bytes */
bool blk_readonly(const Blk *blk);
const char *blk_file(const Blk *blk);      /* the path that the user named */
/* Reads exactly length bytes: 0, or -errno (beyond the end: -EIO). */
int blk_pread(Blk *blk, uint64_t offset, void *buffer, size_t length);
