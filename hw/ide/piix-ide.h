/* SPDX-License-Identifier: GPL-2.0-or-later */
/* piix-ide.h - what sits on an IDE bus */
#pragma once
#include "hw/core/block-conf.h"
#include "hw/core/device.h"
#include "hw/ide/ata.h"

enum { IDE_UNIT_ANY = UINT32_MAX };

/* How a BIOS is to fold a disk's geometry into what INT 13h can name: SeaBIOS's codes in CMOS, plus one. */
typedef enum { CHS_AUTO, CHS_NONE, CHS_LBA, CHS_LARGE, CHS_RECHS } ChsTranslation;

typedef struct IdeDrive {
    Device device;
    Ata ata;
    BlockConf conf;
    uint32_t unit;                         /* 0 master, 1 slave */
    int translation;                       /* ChsTranslation; a chosen one after realize */
    uint32_t nominal_rotation;
    uint64_t wwn;
    char *model, *version;
    bool chip_made;
} IdeDrive;

/* What a BIOS wants to know of the disk at a place of an IDE controller; false: no disk there. */
typedef struct IdeGeometry { uint32_t cylinders, heads, sectors; ChsTranslation translation; } IdeGeometry;
bool piix_ide_geometry(Device *controller, unsigned channel, unsigned unit, IdeGeometry *geometry);
