/* SPDX-License-Identifier: GPL-2.0-or-later */
/* smbios.h - the system management tables of a PC, entry point 2.8 */
#pragma once
#include "base/value.h"

typedef struct SmbiosConfig {
    const char *machine;                   /* "pc-i440fx-7.2" */
    const char *uuid;                      /* text form, or NULL */
    uint64_t ram_below_4g, ram_above_4g;   /* bytes */
    unsigned sockets, cores, threads;      /* cores and threads per socket */
    uint32_t cpu_signature, cpu_features;  /* CPUID 1 EAX and EDX */
} SmbiosConfig;

/* user: the configuration's smbios[] list, or NULL. Both arrays are the caller's. The anchor's address field is 0 until smbios_link(). */
bool smbios_build(const SmbiosConfig *config, const Value *user, GByteArray **anchor, GByteArray **tables, GError **err);
void smbios_link(GByteArray *anchor, uint32_t tables_address);
