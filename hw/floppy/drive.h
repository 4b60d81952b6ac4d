/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drive.h - what sits on a floppy controller's bus, and what the board asks the controller */
#pragma once
#include "hw/core/block-conf.h"
#include "hw/core/device.h"
#include "hw/floppy/fdc.h"

enum { FLOPPY_UNITS = 2, FLOPPY_UNIT_ANY = UINT32_MAX };
typedef enum { FLOPPY_144, FLOPPY_288, FLOPPY_120, FLOPPY_NONE, FLOPPY_AUTO, FLOPPY_TYPES } FloppyType;
extern const char *const floppy_types[];   /* "144", "288", "120", "none", "auto" */

typedef struct FloppyDrive FloppyDrive;
/* The controller's ear on its drives. */
typedef struct FloppyHost {
    void (*medium_changed)(void *opaque, FloppyDrive *drive);
    void (*retry)(void *opaque);           /* the machine runs (again) */
    void *opaque;
} FloppyHost;

struct FloppyDrive {
    Device device;
    BlockConf conf;
    uint32_t unit;
    int wanted, type;                      /* FloppyType: as asked for; as it is after realize */
    FdcMedium medium;                      /* what lies in it */
    const FloppyHost *host;                /* set by the bus before realize */
};

typedef struct FloppyBus {
    Bus bus;
    FloppyDrive *drives[FLOPPY_UNITS];
    FloppyHost host;
    int default_type, fallback;            /* of drives that say "auto", and for which no medium says more */
} FloppyBus;

/* The format of an image of so many bytes, in a drive of that type (FLOPPY_AUTO: any): tracks, heads, sectors, rate. The type that it
 * needs; FLOPPY_NONE where no format has that size: then it is cut into the drive's usual one. */
FloppyType floppy_format(uint64_t bytes, FloppyType type, FdcMedium *medium);

/* What CMOS byte 10h calls the drive at a unit of a controller ("isa-fdc"); 0: none. */
uint8_t isa_fdc_cmos_type(Device *controller, unsigned unit);
Bus *isa_fdc_bus(Device *controller);
