/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-define.h - VMs that are defined: domain files in the user's configuration folder, by name
 */
#pragma once
#include "cli/runtime.h"

/* Adds to vms, by name, those that are defined and do not run (pid 0, "shut off"); marks those that run as persistent. */
void definitions_add(GPtrArray *vms);
char *definition_path(const char *name);   /* of the VM's domain file, be it there or not; the caller frees */
