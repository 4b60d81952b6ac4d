/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boards.c - the one list of machines, a line each */
#include "hw/models.h"

const BoardModel *const board_models[] = {
    &none_board,
    NULL,
};
