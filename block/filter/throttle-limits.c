/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle-limits.c - leaky buckets
 *
 * Each limit is a bucket that requests fill and time empties at the average rate. A request goes when no bucket that it fills is
 * over its brim, and then pours in all that it is, so a large one is paid for by those that come after it. Without a burst the brim
 * is a tenth of a second's worth. With a burst it is burst rate times burst length; when the burst may last longer than a second, a
 * second bucket, emptied at the burst rate and a tenth of a second deep, keeps the burst at its own rate.
 *
 * Threads  none of its own
 * Tests    tests/block/throttle.c
 */
#include "block/filter/throttle-limits.h"
#include "base/error.h"
#include "base/timer.h"
#include <errno.h>
#include <string.h>

#define MOST_PER_SECOND UINT64_C(1000000000000000)

#define LIMIT_KEYS(name, kind, what)                                                                                            \
    PROP_SIZE(name, ThrottleConfig, of[kind].average, 0, .help = what " per second"),                                           \
    PROP_SIZE(name "-max", ThrottleConfig, of[kind].most, 0, .help = what " per second in a burst"),                            \
    PROP_SIZE(name "-max-length", ThrottleConfig, of[kind].length, 1, .help = "seconds that such a burst may last")

const Field throttle_keys[] = {
    LIMIT_KEYS("bps-total", LIMIT_BPS_TOTAL, "bytes"), LIMIT_KEYS("bps-read", LIMIT_BPS_READ, "bytes read"),
    LIMIT_KEYS("bps-write", LIMIT_BPS_WRITE, "bytes written"), LIMIT_KEYS("iops-total", LIMIT_IOPS_TOTAL, "requests"),
    LIMIT_KEYS("iops-read", LIMIT_IOPS_READ, "reads"), LIMIT_KEYS("iops-write", LIMIT_IOPS_WRITE, "writes"),
    PROP_SIZE("iops-size", ThrottleConfig, iops_size, 0, .help = "bytes that count as one request; default: any"),
    FIELD_END };

static const char *const kind_names[LIMITS] = { "bps-total", "bps-read", "bps-write", "iops-total", "iops-read", "iops-write" };

static bool check_kind(const ThrottleConfig *config, LimitKind kind, GError **err)
{
    uint64_t average = config->of[kind].average, most = config->of[kind].most, length = config->of[kind].length;
    const char *name = kind_names[kind];

    if (average > MOST_PER_SECOND || most > MOST_PER_SECOND) {
        return fail(err, ERANGE, "%s and %s-max must be within 0 and 10^15", name, name);
    }
    if (length == 0) {
        return fail(err, EINVAL, "%s-max-length cannot be 0", name);
    }
    if (length > 1 && !most) {
        return fail(err, EINVAL, "%s-max-length needs %s-max", name, name);
    }
    if (most && length > MOST_PER_SECOND / most) {
        return fail(err, ERANGE, "%s-max-length is too long for this %s-max", name, name);
    }
    if (most && !average) {
        return fail(err, EINVAL, "%s-max needs %s", name, name);
    }
    if (most && most < average) {
        return fail(err, EINVAL, "%s-max cannot be lower than %s", name, name);
    }
    return true;
}

bool throttle_config_check(const ThrottleConfig *config, GError **err)
{
    for (LimitKind total = LIMIT_BPS_TOTAL; total < LIMITS; total += 3) {
        bool split = config->of[total + 1].average || config->of[total + 2].average || config->of[total + 1].most || config->of[total + 2].most;
        if ((config->of[total].average || config->of[total].most) && split) {
            return fail(err, EINVAL, "%s and %s or %s cannot be used at the same time", kind_names[total], kind_names[total + 1],
                        kind_names[total + 2]);
        }
    }
    for (LimitKind kind = 0; kind < LIMITS; kind++) {
        if (!check_kind(config, kind, err)) {
            return false;
        }
    }
    if (config->iops_size && !config->of[LIMIT_IOPS_TOTAL].average && !config->of[LIMIT_IOPS_READ].average
        && !config->of[LIMIT_IOPS_WRITE].average) {
        return fail(err, EINVAL, "iops-size needs one of iops-total, iops-read and iops-write");
    }
    return true;
}

bool throttle_limits_anything(const ThrottleConfig *config)
{
    for (LimitKind kind = 0; kind < LIMITS; kind++) {
        if (config->of[kind].average) {
            return true;
        }
    }
    return false;
}

void throttle_configure(Throttle *throttle, const ThrottleConfig *config, int64_t now_ns)
{
    *throttle = (Throttle){ .config = *config, .leaked_ns = now_ns };
}

static void leak(Throttle *throttle, int64_t now_ns)
{
    double seconds = (double)(now_ns - throttle->leaked_ns) / (double)NS_PER_SECOND;

    if (seconds <= 0) {
        return;
    }
    throttle->leaked_ns = now_ns;
    for (LimitKind kind = 0; kind < LIMITS; kind++) {
        double level = throttle->bucket[kind].level - (double)throttle->config.of[kind].average * seconds;
        double burst = throttle->bucket[kind].burst - (double)throttle->config.of[kind].most * seconds;
        throttle->bucket[kind].level = MAX(level, 0);
        throttle->bucket[kind].burst = MAX(burst, 0);
    }
}

static double seconds_over(double level, double brim, double rate)
{
    return level > brim ? (level - brim) / rate : 0;
}

static double bucket_wait(const Throttle *throttle, LimitKind kind)
{
    double average = (double)throttle->config.of[kind].average, most = (double)throttle->config.of[kind].most;
    uint64_t length = throttle->config.of[kind].length;

    if (average <= 0) {
        return 0;
    }
    double wait = seconds_over(throttle->bucket[kind].level, most > 0 ? most * (double)length : average / 10, average);
    double burst = most > 0 && length > 1 ? seconds_over(throttle->bucket[kind].burst, most / 10, most) : 0;
    return MAX(wait, burst);
}

static const LimitKind kinds_of[2][4] = {
    { LIMIT_BPS_TOTAL, LIMIT_IOPS_TOTAL, LIMIT_BPS_READ, LIMIT_IOPS_READ },
    { LIMIT_BPS_TOTAL, LIMIT_IOPS_TOTAL, LIMIT_BPS_WRITE, LIMIT_IOPS_WRITE },
};

int64_t throttle_wait_ns(Throttle *throttle, bool write, int64_t now_ns)
{
    double wait = 0;

    leak(throttle, now_ns);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds_of[write]); i++) {
        double each = bucket_wait(throttle, kinds_of[write][i]);
        wait = MAX(wait, each);
    }
    /* Rounded up, so that whoever waits so long need not wait again. */
    return wait > 0 ? (int64_t)(MIN(wait, 1e9) * (double)NS_PER_SECOND) + 1 : 0;
}

void throttle_account(Throttle *throttle, bool write, uint64_t bytes)
{
    uint64_t size = throttle->config.iops_size;
    double requests = size && bytes > size ? (double)bytes / (double)size : 1;

    for (size_t i = 0; i < G_N_ELEMENTS(kinds_of[write]); i++) {
        LimitKind kind = kinds_of[write][i];
        double units = kind < LIMIT_IOPS_TOTAL ? (double)bytes : requests;
        throttle->bucket[kind].level += units;
        throttle->bucket[kind].burst += units;
    }
}
