/* SPDX-License-Identifier: GPL-2.0-or-later */
/* linuxboot.h - -kernel through a BIOS: the kernel as fw_cfg items, and the option ROM that fetches them */
#pragma once
#include "hw/chipset/fw_cfg.h"
#include "hw/machine/boot.h"

/* Copies everything; false and a sentence when the kernel cannot be started this way. */
bool linuxboot_add(FwCfg *fw_cfg, const Boot *boot, GError **err);
extern const char linuxboot_order[];        /* its line in the boot order */
