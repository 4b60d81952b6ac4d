/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bootorder.h - which device firmware boots from first: the bootindex properties as the fw_cfg file "bootorder" */
#pragma once
#include "hw/chipset/fw_cfg.h"
#include "hw/core/machine.h"

/* Once all devices are there. first: a line that goes before them all, "" for none. False and *err for a bootindex used twice or a full
 * fw_cfg directory. No file where nothing has an index. */
bool bootorder_add(FwCfg *fw_cfg, const Machine *machine, const char *first, GError **err);
