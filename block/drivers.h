/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drivers.h - the names in drivers.c's list; each is defined at the end of its own file
 */
#pragma once
#include "block/driver.h"

extern const NodeDriver null_co_driver, null_aio_driver;
extern const NodeDriver raw_driver, luks_driver;
extern const NodeDriver copy_on_read_driver, throttle_driver, fault_driver, log_writes_driver;
extern const NodeDriver file_driver, host_device_driver, host_cdrom_driver;
extern const NodeDriver nbd_driver;
extern const NodeDriver qcow2_driver, vdi_driver, vhdx_driver, vmdk_driver, vpc_driver;
