/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-memory.c - -m: how much memory, and how much more there may be later
 *
 * Tests    tests/cli/config.py
 */
#include "cli/keyval.h"
#include "cli/options.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
enum { MOST_SLOTS = 256, PAGE = 4096 };

const Field memory_keys[] = {
    KEY_STR("size", "at the start; a bare number is in MiB"), KEY_UINT("slots", 0, MOST_SLOTS, "places for more"),
    KEY_SIZE("maxmem", "how much there may be with all places filled"), FIELD_END };

bool opt_memory(Config *config, const Option *option, const char *text, GError **err)
{
    Value *memory = config_object(config, "memory");
    uint64_t size;

    (void)option;
    if (!*text) {
        return fail(err, EINVAL, "a size is missing, such as 512, 512M or 2G");
    }
    if (!keyval_apply(config, memory, memory_keys, text, "size", err)) {
        return false;
    }
    value_set_origin(memory, config->saying);
    const char *spelled = value_string(value_get(memory, "size"));
    if (!spelled) {
        return true;                       /* -m slots=2,maxmem=4G after an earlier -m */
    }
    if (!parse_size(spelled, MIB, &size)) {
        return fail(err, EINVAL, "'%s' is not a size below 2^64, such as 512, 512M or 2G", spelled);
    }
    if (size == 0) {
        value_remove(memory, "size");      /* QEMU's meaning: the machine's own default */
        return true;
    }
    if (size < PAGE || size > UINT64_MAX - PAGE) {
        return fail(err, EINVAL, "a machine needs 4 KiB of memory at least, and less than 2^64 bytes");
    }
    value_set(memory, "size", value_new_uint((size + PAGE - 1) & ~(uint64_t)(PAGE - 1)));
    return true;
}

bool memory_check(const Config *config, GError **err)
{
    const Value *memory = value_get(config->tree, "memory");
    uint64_t size = value_get_uint(memory, "size", 128 * MIB), slots = value_get_uint(memory, "slots", 0);
    const char *origin = value_origin(memory) ? value_origin(memory) : "-m";
    uint64_t most = value_get_uint(memory, "maxmem", size);

    if (slots && !value_get(memory, "maxmem")) {
        return fail(err, EINVAL, "%s: slots= needs maxmem=SIZE", origin);
    }
    if (most < size) {
        return fail(err, EINVAL, "%s: maxmem (%" PRIu64 " bytes) must not be below the size at the start (%" PRIu64 " bytes)", origin, most, size);
    }
    if (slots && most == size) {
        return fail(err, EINVAL, "%s: there is nothing to plug into slots when maxmem is the size at the start", origin);
    }
    return true;
}
