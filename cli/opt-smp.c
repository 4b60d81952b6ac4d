/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-smp.c - -smp: how many processors, and how they are arranged
 *
 * What is left out follows from the rest: cores are filled up first, or sockets for machines before version 6.2; then
 * threads. The product of the arrangement is maxcpus.
 *
 * Tests    tests/cli/config.py
 */
#include "cli/keyval.h"
#include "cli/options.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MOST_CPUS = 65535 };

const Field smp_keys[] = {
    KEY_UINT("cpus", 1, MOST_CPUS, "processors at the start"), KEY_UINT("maxcpus", 1, MOST_CPUS, "processors there may be later"),
    KEY_UINT("sockets", 1, MOST_CPUS, "sockets"), KEY_UINT("dies", 1, MOST_CPUS, "dies in a socket"),
    KEY_UINT("clusters", 1, 1, "clusters in a die: a PC has none"),
    KEY_UINT("cores", 1, MOST_CPUS, "cores in a die"), KEY_UINT("threads", 1, MOST_CPUS, "threads in a core"), FIELD_END };

bool opt_smp(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    Value *smp = config_object(config, "smp");
    value_set_origin(smp, config->saying);
    return keyval_apply(config, smp, smp_keys, text, "cpus", err);
}

typedef struct Smp { uint64_t cpus, maxcpus, sockets, dies, cores, threads; } Smp;

static bool prefers_sockets(const Config *config)
{
    const char *type = value_get_string(value_get(config->tree, "machine"), "type", "pc");
    unsigned major, minor;

    return sscanf(type, "pc-i440fx-%u.%u", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 2));
}

static uint64_t or_one(uint64_t n)
{
    return n ? n : 1;
}

static void fill_up(Smp *smp, bool sockets_first)
{
    smp->dies = or_one(smp->dies);
    if (!smp->cpus && !smp->maxcpus) {
        smp->sockets = or_one(smp->sockets);
        smp->cores = or_one(smp->cores);
        smp->threads = or_one(smp->threads);
        smp->maxcpus = smp->sockets * smp->dies * smp->cores * smp->threads;
        smp->cpus = smp->maxcpus;
        return;
    }
    smp->maxcpus = smp->maxcpus ? smp->maxcpus : smp->cpus;
    uint64_t *first = sockets_first ? &smp->sockets : &smp->cores, *second = sockets_first ? &smp->cores : &smp->sockets;
    if (!*first) {
        *second = or_one(*second);
        smp->threads = or_one(smp->threads);
        *first = smp->maxcpus / (*second * smp->dies * smp->threads);
    } else if (!*second) {
        smp->threads = or_one(smp->threads);
        *second = smp->maxcpus / (*first * smp->dies * smp->threads);
    }
    if (!smp->threads) {
        smp->threads = smp->maxcpus / (smp->sockets * smp->dies * smp->cores);
    }
    smp->cpus = smp->cpus ? smp->cpus : smp->maxcpus;
}

static bool check(const Smp *smp, const char *text, GError **err)
{
    uint64_t product = smp->sockets * smp->dies * smp->cores * smp->threads;   /* four numbers below 2^16 */
    g_autofree char *spelled = g_strdup_printf("sockets (%" PRIu64 ") * dies (%" PRIu64 ") * cores (%" PRIu64 ") * threads (%" PRIu64 ")",
                                               smp->sockets, smp->dies, smp->cores, smp->threads);

    if (product != smp->maxcpus) {
        return fail(err, EINVAL, "%s: Invalid CPU topology: the product of %s must be maxcpus (%" PRIu64 "), and is %" PRIu64,
                    text, spelled, smp->maxcpus, product);
    }
    if (smp->maxcpus < smp->cpus) {
        return fail(err, EINVAL, "%s: Invalid CPU topology: maxcpus (%" PRIu64 ") must not be below cpus (%" PRIu64 ")",
                    text, smp->maxcpus, smp->cpus);
    }
    return true;
}

bool smp_complete(Config *config, GError **err)
{
    Value *tree = value_get(config->tree, "smp");

    if (!tree) {
        return true;
    }
    Smp smp = { value_get_uint(tree, "cpus", 0), value_get_uint(tree, "maxcpus", 0), value_get_uint(tree, "sockets", 0),
                value_get_uint(tree, "dies", 0), value_get_uint(tree, "cores", 0), value_get_uint(tree, "threads", 0) };
    fill_up(&smp, prefers_sockets(config));
    if (!check(&smp, value_origin(tree) ? value_origin(tree) : "-smp", err)) {
        return false;
    }
    Value *complete = value_new_object();
    value_set(complete, "cpus", value_new_uint(smp.cpus));
    value_set(complete, "maxcpus", value_new_uint(smp.maxcpus));
    value_set(complete, "sockets", value_new_uint(smp.sockets));
    value_set(complete, "dies", value_new_uint(smp.dies));
    value_set(complete, "cores", value_new_uint(smp.cores));
    value_set(complete, "threads", value_new_uint(smp.threads));
    value_set(config->tree, "smp", complete);
    return true;
}
