/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image-create.c - new images: the file on its protocol, the format in it, and qemu-img's rules for backing files
 *
 * Threads   home loop, in coroutines
 * Tests     tests/block/names.c, tests/block/img-*.py
 */
#include "block/node-core.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the file ---- */

/* What has no way to make one (a block device, an NBD export) must be there and be large enough. */
static bool use_what_is_there(Node *node, const char *filename, uint64_t size, GError **err)
{
    return node_length(node) >= size
           || fail(err, ENOSPC, "'%s' has %" PRIu64 " bytes, fewer than the %" PRIu64 " asked for", filename, node_length(node), size);
}

bool node_create_file(Node **out, const char *filename, uint64_t size, const Value *options, const NodeOpen *how, GError **err)
{
    g_autoptr(Value) file = node_parse_filename(filename, err);
    NodeOpen writable = how ? *how : (NodeOpen){ .discard = true };
    Node *node;

    if (!file) {
        return false;
    }
    const NodeDriver *driver = node_driver_find(value_get_string(file, "driver", NULL));
    if (!driver || driver->kind != NODE_PROTOCOL) {
        return fail(err, ENOTSUP, "'%s': driver=%s is no protocol that an image could be made on", filename,
                    value_get_string(file, "driver", "?"));
    }
    if (driver->create_file && !driver->create_file(value_get_string(file, "filename", filename), size, options, err)) {
        return false;
    }
    writable.writable = true;
    writable.auto_readonly = writable.share = writable.no_io = false;
    if (!node_open(&node, file, &writable, err)) {
        return false;
    }
    if (!driver->create_file && !use_what_is_there(node, filename, size, err)) {
        node_unref(node);
        return false;
    }
    *out = node;
    return true;
}

bool image_format(Node *file, const char *format, uint64_t size, const Value *options, const NodeOpen *how, GError **err)
{
    const NodeDriver *driver = node_driver_find(format);

    if (!driver || driver->kind != NODE_FORMAT) {
        return fail(err, ENOTSUP, "Unknown file format '%s'", format);
    }
    if (!driver->create) {
        return fail(err, ENOTSUP, "Format driver '%s' does not support image creation", format);
    }
    if (size > INT64_MAX) {
        return fail(err, EFBIG, "%" PRIu64 " bytes are more than a disk can have", size);
    }
    NodePerms writing = driver->create_opens ? 0 : PERM_WRITE | PERM_RESIZE;
    NodeUser *user = node_attach(file, "the maker of the image", PERM_CONSISTENT_READ | writing, driver->create_opens ? PERM_ALL : PERM_CONSISTENT_READ, err);
    if (!user) {
        return false;
    }
    bool good = driver->create(file, size, options, how, err);
    if (good) {
        int result = node_flush(file);
        good = result == 0 || fail(err, -result, "'%s': what was written may not be on the disk: %s", node_who(file), strerror(-result));
    }
    node_detach(user);
    return good;
}

/* ---- the backing file ---- */

static bool same_file(const char *a, const char *b)
{
    g_autofree char *one = g_canonicalize_filename(a, NULL), *other = g_canonicalize_filename(b, NULL);

    return strcmp(a, b) == 0 || (!strchr(a, ':') && !strchr(b, ':') && strcmp(one, other) == 0);
}

/* As the new image will look for it: beside itself. */
static char *full_name(const char *filename, const char *backing)
{
    g_autofree char *folder = g_path_get_dirname(filename);

    if (g_path_is_absolute(backing) || strchr(backing, ':') || strcmp(folder, ".") == 0) {
        return g_strdup(backing);
    }
    return g_build_filename(folder, backing, NULL);
}

static bool refuse_unnamed_format(const char *full, const NodeOpen *how, GError **err)
{
    NodeOpen look = how ? *how : (NodeOpen){ 0 };
    Node *node = NULL;

    look.writable = false;
    look.no_backing = look.probe = look.share = true;
    bool found = node_open_file(&node, full, NULL, NULL, &look, NULL);
    fail(err, EINVAL, "Backing file specified without backing format%s%s%s", found ? " (Detected format of " : "",
         found ? node_driver_name(node) : "", found ? ")" : "");
    node_unref(node);
    return false;
}

static bool look_at_backing(const char *full, const char *format, uint64_t *size, const NodeOpen *how, GError **err)
{
    NodeOpen look = how ? *how : (NodeOpen){ 0 };
    Node *node = NULL;

    look.writable = look.probe = false;
    look.share = look.share || *size != UINT64_MAX;
    if (!node_open_file(&node, full, format, NULL, &look, err)) {
        g_prefix_error(err, "Could not open backing image: ");
        return false;
    }
    *size = *size == UINT64_MAX ? node_length(node) : *size;
    node_unref(node);
    return true;
}

static bool check_backing_rules(const char *filename, const NodeDriver *driver, const Value *options, uint64_t *size, bool check,
                                const NodeOpen *how, GError **err)
{
    const char *backing = value_get_string(options, "backing_file", NULL), *format = value_get_string(options, "backing_fmt", NULL);

    if (!backing || !*backing) {
        return true;
    }
    if (!driver->backing_child) {
        return fail(err, ENOTSUP, "Backing file not supported for file format '%s'", driver->name);
    }
    if (same_file(filename, backing)) {
        return fail(err, EINVAL, "Error: Trying to create an image with the same filename as the backing file");
    }
    if (format && !node_driver_find(format)) {
        return fail(err, EINVAL, "Unknown backing file format '%s'", format);
    }
    g_autofree char *full = full_name(filename, backing);
    if (!check && *size != UINT64_MAX) {
        return true;
    }
    return format ? look_at_backing(full, format, size, how, err) : refuse_unnamed_format(full, how, err);
}

/* ---- "Formatting ..." ---- */

static void append_option(GString *line, const char *key, const Value *value)
{
    bool flag;
    uint64_t number;

    if (value_string(value)) {
        g_string_append_printf(line, " %s=%s", key, value_string(value));
    } else if (value_kind(value) == VALUE_BOOL && value_to_bool(value, &flag)) {
        g_string_append_printf(line, " %s=%s", key, flag ? "on" : "off");
    } else if (value_to_uint(value, &number)) {
        g_string_append_printf(line, " %s=%" PRIu64, key, number);
    }
}

/* What the option's text means: "4k" is 4096. */
static Value *plain_value(const Field *field, const Value *given)
{
    union { bool flag; uint64_t number; char *text; int choice; uint8_t bytes[64]; } place = { 0 };
    Field local = *field;
    Value *value = NULL;

    local.offset = 0;
    if (field->size > sizeof place || field->kind == FIELD_STR || field->kind == FIELD_CALL || field->kind == FIELD_VALUE) {
        return value_copy(given);
    }
    fields_init((const Field[]){ local, FIELD_END }, &place);
    if ((given && !field_set(&local, &place, "", given, NULL)) || !field_get(&local, &place, &value, NULL)) {
        return given ? value_copy(given) : NULL;
    }
    return value;
}

static void append_key(GString *line, const NodeDriver *driver, const Value *options, uint64_t size, const char *key, bool always)
{
    const Field *field = driver->create_options ? field_find(driver->create_options, key) : NULL;
    const Value *given = value_get(options, key);

    if (strcmp(key, "size") == 0) {
        g_string_append_printf(line, " size=%" PRIu64, size);
    } else if (given || always) {
        g_autoptr(Value) value = field ? plain_value(field, given) : given ? value_copy(given) : NULL;
        if (value) {
            append_option(line, key, value);
        }
    }
}

static void print_formatting(const char *filename, const NodeDriver *driver, const Value *options, uint64_t size)
{
    g_autoptr(GString) line = g_string_new(NULL);

    if (driver->create_order) {
        g_auto(GStrv) keys = g_strsplit(driver->create_order, " ", -1);
        for (size_t i = 0; keys[i]; i++) {
            bool always = g_str_has_suffix(keys[i], "*");
            keys[i][strlen(keys[i]) - always] = 0;
            append_key(line, driver, options, size, keys[i], always);
        }
    } else {
        append_key(line, driver, options, size, "size", true);
        for (const Field *field = driver->create_options; field && field->kind != FIELD_LAST; field++) {
            append_key(line, driver, options, size, field->name, false);
        }
    }
    printf("Formatting '%s', fmt=%s%s\n", filename, driver->name, line->str);
}

/* ---- all of it ---- */

static bool known_options(const NodeDriver *driver, const Value *options, GError **err)
{
    for (size_t i = 0; i < value_length(options); i++) {
        const char *key = value_key_at(options, i);
        bool core = g_str_equal(key, "size") || g_str_equal(key, "backing_file") || g_str_equal(key, "backing_fmt");
        if (!core && (!driver->create_options || !field_find(driver->create_options, key))) {
            return fail(err, EINVAL, "Invalid parameter '%s'", key);
        }
    }
    return true;
}

bool image_create(const char *filename, const char *format, uint64_t size, const Value *options, bool check_backing, bool quiet,
                  const NodeOpen *how, GError **err)
{
    const NodeDriver *driver = node_driver_find(format);
    const Value *text = value_get(options, "size");
    Node *file;

    if (!driver || driver->kind != NODE_FORMAT) {
        return fail(err, EINVAL, driver ? "Format driver '%s' does not support image creation" : "Unknown file format '%s'", format);
    }
    if (!driver->create) {
        return fail(err, ENOTSUP, "Format driver '%s' does not support image creation", format);
    }
    if (text && size == UINT64_MAX && !value_to_uint(text, &size) && !(value_string(text) && parse_size(value_string(text), 1, &size))) {
        return fail(err, EINVAL, "Parameter 'size' expects a non-negative number below 2^64");
    }
    if (!known_options(driver, options, err) || !check_backing_rules(filename, driver, options, &size, check_backing, how, err)) {
        return false;
    }
    if (size == UINT64_MAX) {
        return fail(err, EINVAL, "Image creation needs a size parameter");
    }
    g_autoptr(Value) rest = options ? value_copy(options) : value_new_object();
    value_remove(rest, "size");
    if (!quiet) {
        print_formatting(filename, driver, rest, size);
    }
    if (!node_create_file(&file, filename, 0, NULL, how, err)) {
        return false;
    }
    bool good = image_format(file, format, size, rest, how, err);
    node_unref(file);
    return good;
}
