/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump.h - inside monitor/: guest memory and registers as an ELF core file */
#pragma once
#include "hw/core/machine.h"

typedef struct Dump Dump;
typedef struct DumpFilter { bool paging, limited; uint64_t begin, length; } DumpFilter;    /* limited: physical addresses begin to begin+length */

/* Main loop, machine lock held, processors standing: takes registers, page tables and references to the memory. NULL: *err says why. */
Dump *dump_new(Machine *machine, const DumpFilter *filter, GError **err);
void dump_free(Dump *dump);
int dump_write(Dump *dump, int fd);        /* any thread, no lock: 0 or -errno */
uint64_t dump_total(const Dump *dump);     /* bytes of memory */
uint64_t dump_completed(const Dump *dump); /* of them in the file; any thread */
