/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive.c - -drive and -blockdev of the configuration tree, as drives and nodes
 *
 * Tests    tests/block/drive.c, tests/unit/blk.c
 */
#include "block/drive.h"
#include "block/blk-core.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

bool cache_mode_parse(const char *mode, unsigned *flags)
{
    static const struct { const char *name; unsigned flags; } modes[] = {
        { "none", CACHE_DIRECT }, { "off", CACHE_DIRECT }, { "writeback", 0 }, { "unsafe", CACHE_NO_FLUSH },
        { "directsync", CACHE_DIRECT | CACHE_WRITETHROUGH }, { "writethrough", CACHE_WRITETHROUGH },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(mode, modes[i].name) == 0) {
            *flags = modes[i].flags;
            return true;
        }
    }
    return false;
}
