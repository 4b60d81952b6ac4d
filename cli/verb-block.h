/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-block.h - a running VM's drives under libvirt's names for them: vda, hdc, sda, fda
 */
#pragma once
#include "cli/qmp-client.h"

typedef struct VmDisk {
    char *target;                          /* "hdc" */
    const char *kind;                      /* "disk", "cdrom", "floppy" */
    const char *type;                      /* "file", "block", "network" */
    const char *id;                        /* what QMP's id= names it by; inside .info */
    const char *path;                      /* its image; NULL: it is empty */
    uint64_t capacity, allocation, physical;
    Value *info;                           /* of query-block */
} VmDisk;

GPtrArray *vm_disks(QmpClient *client, GError **err);      /* of VmDisk, which it owns, by target; NULL and *err */
VmDisk *vm_disk_find(GPtrArray *disks, const char *text, GError **err);      /* by target, image or device */
