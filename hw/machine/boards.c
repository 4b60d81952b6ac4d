/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boards.c - the one list of machines, a line each */
#include "hw/models.h"

const BoardModel *const board_models[] = {
    &pc_boards[0], &pc_boards[1], &pc_boards[2], &pc_boards[3], &pc_boards[4], &pc_boards[5], &pc_boards[6], &pc_boards[7],
    &pc_boards[8], &pc_boards[9], &pc_boards[10],
    &none_board,
    NULL,
};
