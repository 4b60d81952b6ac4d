/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle-limits.h - how much a group of drives may do per second, and how long what comes next must wait; time is an argument
 */
#pragma once
#include "base/field.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum { LIMIT_BPS_TOTAL, LIMIT_BPS_READ, LIMIT_BPS_WRITE, LIMIT_IOPS_TOTAL, LIMIT_IOPS_READ, LIMIT_IOPS_WRITE, LIMITS } LimitKind;

typedef struct ThrottleConfig {
    struct { uint64_t average, most, length; } of[LIMITS];     /* per second; of a burst; seconds that it may last */
    uint64_t iops_size;                    /* a larger request counts as several; 0: as one */
} ThrottleConfig;

typedef struct Throttle {
    ThrottleConfig config;
    struct { double level, burst; } bucket[LIMITS];
    int64_t leaked_ns;                     /* when the levels were right */
} Throttle;

/* QEMU's keys: "iops-total", "iops-total-max", "iops-total-max-length", ..., "iops-size". */
extern const Field throttle_keys[];
/* A sentence where the numbers contradict each other. */
bool throttle_config_check(const ThrottleConfig *config, GError **err);
bool throttle_limits_anything(const ThrottleConfig *config);
void throttle_configure(Throttle *throttle, const ThrottleConfig *config, int64_t now_ns);
/* How long a request must wait; 0: it may go, and throttle_account() follows. */
int64_t throttle_wait_ns(Throttle *throttle, bool write, int64_t now_ns);
void throttle_account(Throttle *throttle, bool write, uint64_t bytes);
