/* SPDX-License-Identifier: GPL-2.0-or-later */
/* models.h - the device models and boards, declared where hw/models.c and hw/machine list them */
#pragma once
#include "hw/core/machine.h"

extern const BoardModel none_board;
