/* SPDX-License-Identifier: GPL-2.0-or-later */
/* piix-ide.h - what sits on an IDE bus */
#pragma once
#include "hw/core/device.h"
#include "hw/ide/ata.h"

enum { IDE_UNIT_ANY = UINT32_MAX };

typedef struct IdeDrive {
    Device device;
    Ata ata;
    Blk *blk;                              /* lent by the board */
    uint32_t unit;                         /* 0 master, 1 slave */
    char *serial, *model, *version;
} IdeDrive;
