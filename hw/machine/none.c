/* SPDX-License-Identifier: GPL-2.0-or-later */
/* none.c - the empty machine, for managers that start Roost only to ask it questions */
#include "hw/models.h"

static bool none_build(Machine *machine, GError **err)
{
    (void)machine;
    (void)err;
    return true;
}

const BoardModel none_board = {
    .name = "none", .help = "empty machine", .max_cpus = 1, .build = none_build,
};
