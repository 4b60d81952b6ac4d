/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verb-host.h - what a verb may want to know of this host */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct HostInfo {
    unsigned cpus, sockets, cores, threads, cells, mhz;    /* sockets of a cell, cores of a socket, threads of a core */
    uint64_t memory_kib;
    bool virtualization, intel;
} HostInfo;
HostInfo host_info(void);
