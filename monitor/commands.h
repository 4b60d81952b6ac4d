/* SPDX-License-Identifier: GPL-2.0-or-later */
/* commands.h - inside monitor/: the tables that dispatch.c lists, each at the end of its file */
#pragma once
#include "monitor/qmp.h"

extern const QmpCommand core_commands[], fd_commands[], run_commands[], machine_commands[], cpu_commands[], pci_commands[], memory_commands[],
                        hmp_qmp_commands[], block_commands[], media_commands[], blockdev_commands[], job_commands[],
                        device_commands[], qom_commands[], chardev_commands[], input_commands[], net_commands[], vnc_commands[], dump_commands[], yank_commands[];
extern const QmpType core_types[], fd_types[], run_types[], machine_types[], cpu_types[], pci_types[], event_types[], block_types[],
                     media_types[], blockdev_types[], job_types[], device_types[], qom_types[], chardev_types[], input_types[], net_types[], vnc_types[], dump_types[], yank_types[];
bool dump_is_active(void);                 /* the machine stands for it, and shall not be started */
const char *input_made_type(const char *name);           /* QKeyCode, from the keys' names */
const char *object_made_type(const char *name);          /* object-add's, from the list of what -object makes */
