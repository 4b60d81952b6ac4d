/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg.h - what the machine tells its firmware: numbered items and named files
 *
 * Machine lock held, before the first run. Items live as long as the device. Adding after realize is allowed; the file
 * directory is sorted by name when the guest first reads it.
 */
#pragma once
#include "hw/core/device.h"

typedef struct FwCfg FwCfg;

enum {                                     /* selector keys (the fw_cfg interface's own numbers) */
    FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03, FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05, FW_CFG_KERNEL_ADDR = 0x07, FW_CFG_KERNEL_SIZE = 0x08, FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b, FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f, FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11, FW_CFG_INITRD_DATA = 0x12, FW_CFG_CMDLINE_ADDR = 0x13, FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15, FW_CFG_SETUP_ADDR = 0x16, FW_CFG_SETUP_SIZE = 0x17, FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19, FW_CFG_FILE_FIRST = 0x20, FW_CFG_FILE_SLOTS = 0x40,
    FW_CFG_LOCAL = 0x8000, FW_CFG_IRQ0_OVERRIDE = FW_CFG_LOCAL + 2, FW_CFG_E820 = FW_CFG_LOCAL + 3, FW_CFG_HPET = FW_CFG_LOCAL + 4,
};

/* Each copies its data. A second item of the same key or name replaces the first. */
void fw_cfg_add(FwCfg *fw_cfg, uint16_t key, const void *data, size_t length);
void fw_cfg_add_u16(FwCfg *fw_cfg, uint16_t key, uint16_t value);
void fw_cfg_add_u32(FwCfg *fw_cfg, uint16_t key, uint32_t value);
void fw_cfg_add_u64(FwCfg *fw_cfg, uint16_t key, uint64_t value);
/* Names are at most 55 bytes; false with a sentence when the name is too long or the directory is full. */
bool fw_cfg_add_file(FwCfg *fw_cfg, const char *name, const void *data, size_t length, GError **err);
/* Lends a file's bytes, NULL when there is none. */
const GByteArray *fw_cfg_file(const FwCfg *fw_cfg, const char *name);
/* The user's own: the configuration's fw_cfg[] list, {"name":..,"file":..} or {"name":..,"string":..}. */
bool fw_cfg_add_user_files(FwCfg *fw_cfg, const Value *list, GError **err);
