/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block-conf.h - the properties that every disk and CD-ROM model shares, and its hold on the storage behind it
 *
 * A model embeds a BlockConf, names BLOCK_PROPS(T, conf) among its properties, calls block_conf_realize() in realize and
 * block_conf_unrealize() in unrealize (harmless when repeated). Machine lock held, main thread.
 */
#pragma once
#include "block/blk.h"
#include "hw/core/device.h"

typedef struct BlockConf {
    char *drive;                           /* id of a -drive, or a node name */
    Blk *blk;                              /* after realize; NULL: a removable drive without any */
    uint64_t logical_block, physical_block, min_io, opt_io, discard_granularity;   /* bytes; 0: from the image, filled by realize */
    int32_t bootindex;                     /* -1: none */
    int write_cache;                       /* on, off, auto: the drive's own */
    bool share_rw;
    int rerror, werror;                    /* BlkErrorPolicy */
    uint32_t cylinders, heads, sectors;    /* cyls=, heads=, secs=; 0: guessed */
    char *serial;
    bool read_only;                        /* set by a model that never writes: a CD-ROM drive */
} BlockConf;

extern const char *const block_error_policies[];           /* "auto", "report", "ignore", "enospc", "stop" */

#define BLOCK_PROPS_NO_CHS(T, m) \
    PROP_STR("drive", T, m.drive, .help = "id of a -drive, or node-name of a -blockdev"), \
    PROP_SIZE("logical_block_size", T, m.logical_block, 0, .help = "bytes of a sector, a power of two from 512; default 512"), \
    PROP_SIZE("physical_block_size", T, m.physical_block, 0, .help = "bytes, as told to the guest; default 512"), \
    PROP_SIZE("min_io_size", T, m.min_io, 0, .help = "bytes"), \
    PROP_SIZE("opt_io_size", T, m.opt_io, 0, .help = "bytes"), \
    PROP_SIZE("discard_granularity", T, m.discard_granularity, UINT64_MAX, .help = "bytes; default: the image's"), \
    PROP_I32("bootindex", T, m.bootindex, -1, .help = "place in the boot order, 0 first; default: none"), \
    PROP_ONOFFAUTO("write-cache", T, m.write_cache, 2, .help = "whether the guest sees a write cache at first"), \
    PROP_BOOL("share-rw", T, m.share_rw, false, .help = "others may write the image too"), \
    PROP_ENUM("rerror", T, m.rerror, block_error_policies, BLK_ERROR_AUTO, .help = "what a failed read does"), \
    PROP_ENUM("werror", T, m.werror, block_error_policies, BLK_ERROR_AUTO, .help = "what a failed write does"), \
    PROP_STR("serial", T, m.serial, .help = "serial number")
#define BLOCK_PROPS(T, m) \
    BLOCK_PROPS_NO_CHS(T, m), \
    PROP_U32("cyls", T, m.cylinders, 0, .help = "cylinders"), \
    PROP_U32("heads", T, m.heads, 0, .help = "heads"), \
    PROP_U32("secs", T, m.sectors, 0, .help = "sectors per track")

/* Finds the storage, claims it (writable unless the drive is read-only; needs_write: read-only is refused), attaches ops, checks and
 * completes the sizes. removable: no drive= is fine (an empty Blk is made), and so is a drive without a medium. */
bool block_conf_realize(BlockConf *conf, Device *device, const BlkDeviceOps *ops, void *opaque, bool removable, bool needs_write,
                        GError **err);
void block_conf_unrealize(BlockConf *conf);
/* Cylinders, heads and sectors as the properties, the partition table, or the size say: what BIOSes expect. Reads sector 0. */
void block_conf_geometry(BlockConf *conf, uint32_t most_cylinders, uint32_t most_heads, uint32_t most_sectors);
