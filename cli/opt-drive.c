/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-drive.c - -drive, -cdrom, -hda to -hdd, and the bare image name
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "cli/keyval.h"
#include "cli/options.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { IDE_DRIVES = 4, CD_INDEX = 2 };

static const char *const interfaces[] = { "ide", "none", NULL };
static const char *const media[] = { "disk", "cdrom", NULL };
static const char *const formats[] = { "raw", NULL };
const Field drive_keys[] = {
    KEY_STR("file", "the image"), KEY_ENUM("format", formats, "how the image is written"),
    KEY_ENUM("if", interfaces, "what it hangs on; none: on nothing"),
    KEY_UINT("index", 0, IDE_DRIVES - 1, "place among the IDE drives"), KEY_UINT("bus", 0, 1, "IDE channel"), KEY_UINT("unit", 0, 1, "drive on the channel"),
    KEY_ENUM("media", media, "kind of drive"), KEY_BOOL("readonly", "the guest cannot write"), KEY_STR("id", "its name"),
    FIELD_END };
static const char *const later_keys[] = {
    "snapshot", "cache", "aio", "discard", "detect-zeroes", "werror", "rerror", "copy-on-read", "bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr",
    "bps_max", "bps_rd_max", "bps_wr_max", "iops_max", "iops_rd_max", "iops_wr_max", "iops_size", "group", "serial", "backing", "driver", NULL };

static bool refuse_what_is_missing(const Config *config, const char *text, GError **err)
{
    g_autoptr(Value) given = keyval_parse(config, NULL, text, NULL, err);
    const char *format = value_get_string(given, "format", "raw"), *interface = value_get_string(given, "if", "ide");

    for (size_t i = 0; i < value_length(given); i++) {
        const char *key = value_key_at(given, i);
        if (g_strv_contains(later_keys, key) || strchr(key, '.')) {
            return fail(err, ENOTSUP, "%s= is not supported yet", key);
        }
    }
    if (strcmp(format, "raw") != 0) {
        return fail(err, ENOTSUP, "format=%s is not supported yet; raw is", format);
    }
    if (!g_strv_contains(interfaces, interface)) {
        return fail(err, ENOTSUP, "if=%s is not supported yet; ide and none are", interface);
    }
    return given != NULL;
}

/* bus and unit are another way to say index. */
static bool place(Value *drive, GError **err)
{
    bool ide = strcmp(value_get_string(drive, "if", "ide"), "ide") == 0;
    bool by_channel = value_get(drive, "bus") || value_get(drive, "unit");

    if (by_channel && value_get(drive, "index")) {
        return fail(err, EINVAL, "index= and bus=,unit= say the same; use one of them");
    }
    if (by_channel && ide) {
        uint64_t index = value_get_uint(drive, "bus", 0) * 2 + value_get_uint(drive, "unit", 0);
        value_set(drive, "index", value_new_uint(index));
    }
    value_remove(drive, "bus");
    value_remove(drive, "unit");
    return true;
}

static bool index_is_free(const Value *drives, uint64_t index)
{
    for (size_t i = 0; i < value_length(drives); i++) {
        const Value *drive = value_at(drives, i);
        if (strcmp(value_get_string(drive, "if", "ide"), "ide") == 0 && value_get_uint(drive, "index", IDE_DRIVES) == index) {
            return false;
        }
    }
    return true;
}

static bool add_drive(Config *config, Value *take, GError **err)
{
    g_autoptr(Value) drive = take;
    Value *drives = config_list(config, "drives");
    bool cd = strcmp(value_get_string(drive, "media", "disk"), "cdrom") == 0;
    const char *id = value_get_string(drive, "id", NULL);

    if (!value_get(drive, "if")) {
        value_set(drive, "if", value_new_string("ide"));
    }
    for (size_t i = 0; id && i < value_length(drives); i++) {
        if (strcmp(value_get_string(value_at(drives, i), "id", ""), id) == 0) {
            return fail(err, EEXIST, "the id '%s' is taken by an earlier drive", id);
        }
    }
    if (strcmp(value_get_string(drive, "if", ""), "ide") == 0) {
        uint64_t index = value_get_uint(drive, "index", IDE_DRIVES);
        if (index == IDE_DRIVES) {
            for (index = cd && index_is_free(drives, CD_INDEX) ? CD_INDEX : 0; index < IDE_DRIVES && !index_is_free(drives, index); index++) {
            }
        }
        if (index == IDE_DRIVES || !index_is_free(drives, index)) {
            return fail(err, EBUSY, index == IDE_DRIVES ? "all four places for IDE drives are taken%s"
                                                        : "index=%s is taken by an earlier drive", index == IDE_DRIVES ? "" : (char[]){ '0' + (char)index, 0 });
        }
        value_set(drive, "index", value_new_uint(index));
    }
    if (cd) {
        value_set(drive, "readonly", value_new_bool(true));
    }
    value_append(drives, g_steal_pointer(&drive));
    return true;
}

bool opt_drive(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) drive = value_new_object();

    (void)option;
    if (!refuse_what_is_missing(config, text, err) || !keyval_apply(config, drive, drive_keys, text, NULL, err) || !place(drive, err)) {
        return false;
    }
    const char *id = value_get_string(drive, "id", NULL), *file = value_get_string(drive, "file", NULL);
    if (id && !name_is_well_formed(id)) {
        return fail(err, EINVAL, "id=%s: an id is a letter, then letters, digits and '-._'", id);
    }
    bool cd = strcmp(value_get_string(drive, "media", "disk"), "cdrom") == 0;
    if ((!file && !cd) || (file && !*file)) {
        return fail(err, EINVAL, "file=FILE is missing; only a CD drive can be empty");
    }
    return add_drive(config, g_steal_pointer(&drive), err);
}

static Value *image_at(const char *path, unsigned index, bool cd)
{
    Value *drive = value_new_object();

    value_set(drive, "file", value_new_string(path));
    value_set(drive, "index", value_new_uint(index));
    value_set(drive, "media", value_new_string(cd ? "cdrom" : "disk"));
    return drive;
}

bool opt_drive_at(Config *config, const Option *option, const char *text, GError **err)
{
    bool cd = strcmp(option->name, "cdrom") == 0;

    if (!*text) {
        return fail(err, EINVAL, "the image's name is missing");
    }
    return add_drive(config, image_at(text, cd ? CD_INDEX : (unsigned)(option->name[2] - 'a'), cd), err);
}

bool drive_image(Config *config, const char *path, GError **err)
{
    if (!*path) {
        return fail(err, EINVAL, "an empty argument is neither an option nor a disk image");
    }
    if (!add_drive(config, image_at(path, 0, false), err)) {
        g_prefix_error(err, "disk image '%s': ", path);
        return false;
    }
    return true;
}
