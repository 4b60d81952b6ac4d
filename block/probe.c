/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe.c - the format of an image that nobody named
 *
 * A guest can write anything into the first bytes of a raw disk, so bytes alone never decide for a machine: the file's suffix
 * does, and bytes that belong to another format only refuse it. Tools, which show what they found and run no guest, ask the
 * bytes. docs/decisions/probing.md has the argument.
 *
 * Tests    tests/block/names.c
 */
#include "block/node-core.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

enum { HEAD_BYTES = 2048 };

static const struct { const char *suffix, *format; } suffixes[] = {
    { ".qcow2", "qcow2" }, { ".qcow2c", "qcow2" }, { ".vmdk", "vmdk" }, { ".vdi", "vdi" }, { ".vhdx", "vhdx" }, { ".vhd", "vpc" },
    { ".vpc", "vpc" },
};

const char *format_of_suffix(const char *filename)
{
    g_autofree char *lower = g_ascii_strdown(filename, -1);

    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        if (g_str_has_suffix(lower, suffixes[i].suffix)) {
            return suffixes[i].format;
        }
    }
    return "raw";
}

const NodeDriver *format_of_bytes(const uint8_t *head, size_t length, const char *filename)
{
    const NodeDriver *best = NULL;
    int best_score = 1;                    /* of raw, which everything is */

    for (size_t i = 0; node_drivers[i]; i++) {
        int score = node_drivers[i]->probe ? node_drivers[i]->probe(head, length, filename) : 0;
        if (score > best_score) {
            best = node_drivers[i];
            best_score = score;
        }
    }
    return best;
}

bool format_decide(const char **format, Node *file, const char *filename, bool probe, GError **err)
{
    g_autofree uint8_t *head = g_malloc0(HEAD_BYTES);
    size_t length = MIN(node_length(file), HEAD_BYTES);
    int result = length ? node_pread(file, 0, head, length) : 0;

    if (result < 0 && result != -ENOTSUP) {
        return fail(err, -result, "'%s': its first bytes cannot be read: %s", filename, strerror(-result));
    }
    const NodeDriver *found = format_of_bytes(head, length, filename);
    if (probe) {
        *format = found ? found->name : "raw";
        return true;
    }
    *format = format_of_suffix(filename);
    if (found && strcmp(found->name, *format) != 0) {
        return fail(err, EINVAL, "'%s': it begins as %s images do, its name says %s; say which it is: format=%s or format=%s", filename,
                    found->name, *format, found->name, *format);
    }
    return true;
}
