/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drivers.c - the one list of protocols, formats and filters
 *
 * `roost help blockdev`, the manual, -o help and the fuzzers walk it; probing asks the formats in this order.
 */
#include "block/drivers.h"
#include <string.h>

const NodeDriver *const node_drivers[] = {
    &file_driver,
    &host_device_driver,
    &host_cdrom_driver,
    &null_co_driver,
    &null_aio_driver,
    &nbd_driver,
    &raw_driver,
    &luks_driver,
    &qcow2_driver,
    &vdi_driver,
    &vmdk_driver,
    &vhdx_driver,
    &vpc_driver,
    &copy_on_read_driver,
    &throttle_driver,
    &fault_driver,
    &log_writes_driver,
    NULL
};

const NodeDriver *node_driver_find(const char *name)
{
    for (size_t i = 0; name && node_drivers[i]; i++) {
        if (strcmp(node_drivers[i]->name, name) == 0) {
            return node_drivers[i];
        }
    }
    return NULL;
}
