/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balloon.h - what a monitor asks of the balloon: the guest's memory, wished and real, and what the guest tells of it
 *
 * Main thread, machine lock held.
 */
#pragma once
#include "hw/core/device.h"

typedef enum {                             /* Virtio 1.2, 5.5.6.5 */
    BALLOON_SWAP_IN, BALLOON_SWAP_OUT, BALLOON_MAJOR_FAULTS, BALLOON_MINOR_FAULTS, BALLOON_FREE_MEMORY, BALLOON_TOTAL_MEMORY,
    BALLOON_AVAILABLE_MEMORY, BALLOON_DISK_CACHES, BALLOON_HTLB_ALLOCATIONS, BALLOON_HTLB_FAILURES, BALLOON_STATS,
} BalloonStat;
extern const char *const balloon_stat_names[BALLOON_STATS];                    /* QEMU's: "stat-swap-in" */

Device *balloon_find(Machine *machine);    /* NULL: the machine has none */
/* How much memory the guest shall keep, in bytes; it is told when it listens. Refused for 0; more than there is means all. */
bool balloon_set_target(Device *balloon, uint64_t bytes, GError **err);
uint64_t balloon_actual(const Device *balloon);            /* bytes that the guest has now */
/* Seconds between two asks for statistics, 0: never. */
void balloon_set_polling(Device *balloon, uint32_t seconds);
/* What it said last: UINT64_MAX where it said nothing; *when: seconds since 1970, 0: never. */
void balloon_stats(const Device *balloon, uint64_t stats[BALLOON_STATS], int64_t *when);
