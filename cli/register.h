/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * register.h - a VM among the user's running VMs (cli/runtime.h), under its -name or -list-as
 *
 * Main loop, machine lock held, in this order. None of them fails: a VM that cannot be listed says so and runs.
 */
#pragma once
#include "hw/core/machine.h"

const char *register_name(const Value *tree);              /* NULL: it is not to be listed */
void register_log(const Value *tree, char *const *arguments);          /* from here on the log keeps what is reported */
void register_vm(const Machine *machine, const Value *tree, char *const *arguments);   /* listed, and open to verbs */
void register_end(void);
void register_log_end(int status);
