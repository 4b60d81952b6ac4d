/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * filename.c - one word for an image, as people write it after file=, as the options of a protocol node
 *
 * A word with a protocol in front ("nbd://...") goes to the driver that lists the prefix; "json:" holds options as they are; a
 * plain path is a file, or a block device, by what stands there. "./a:b" is a path whatever it holds.
 *
 * Tests    tests/block/graph.c
 */
#include "block/node-core.h"
#include "base/error.h"
#include "base/json.h"
#include "block/proto/file.h"
#include <errno.h>
#include <string.h>

static const NodeDriver *driver_of_prefix(const char *filename)
{
    for (size_t i = 0; node_drivers[i]; i++) {
        for (const char *const *prefix = node_drivers[i]->prefixes; prefix && *prefix; prefix++) {
            if (g_str_has_prefix(filename, *prefix)) {
                return node_drivers[i];
            }
        }
    }
    return NULL;
}

/* Letters, digits, '+', '-' and '.' before a ':' that comes before any '/'. */
static size_t protocol_length(const char *filename)
{
    size_t length = 0;

    while (g_ascii_isalnum(filename[length]) || (filename[length] && strchr("+-.", filename[length]))) {
        length++;
    }
    return filename[length] == ':' ? length : 0;
}

static Value *path_options(const char *path)
{
    Value *options = value_new_object();

    value_set(options, "driver", value_new_string(file_driver_for(path)));
    value_set(options, "filename", value_new_string(path));
    return options;
}

static Value *json_options(const char *text, GError **err)
{
    g_autoptr(GError) why = NULL;
    Value *options = json_parse(text, &why);

    if (!options || value_kind(options) != VALUE_OBJECT) {
        value_unref(options);
        fail(err, EINVAL, "'json:%s': %s", text, why ? why->message : "an object is needed");
        return NULL;
    }
    return options;
}

Value *node_parse_filename(const char *filename, GError **err)
{
    if (!*filename) {
        fail(err, EINVAL, "the name of an image is empty");
        return NULL;
    }
    if (g_str_has_prefix(filename, "json:")) {
        return json_options(filename + strlen("json:"), err);
    }
    const NodeDriver *driver = driver_of_prefix(filename);
    if (driver && driver->parse_filename) {
        Value *options = driver->parse_filename(filename, err);
        if (options && !value_get(options, "driver")) {
            value_set(options, "driver", value_new_string(driver->name));
        }
        return options;
    }
    size_t length = protocol_length(filename);
    if (length && g_str_has_prefix(filename, "file:")) {
        return path_options(filename + (g_str_has_prefix(filename, "file://") ? strlen("file://") : strlen("file:")));
    }
    if (driver || (length && (g_str_has_prefix(filename, "host_device:") || g_str_has_prefix(filename, "host_cdrom:")))) {
        g_autofree char *name = g_strndup(filename, length);
        Value *options = value_new_object();
        value_set(options, "driver", value_new_string(name));
        value_set(options, "filename", value_new_string(filename + length + 1));
        return options;
    }
    if (length) {
        fail(err, ENOTSUP, "'%s': the protocol '%.*s' is not supported; for a file whose name begins so, write './%s'", filename,
             (int)length, filename, filename);
        return NULL;
    }
    return path_options(filename);
}
