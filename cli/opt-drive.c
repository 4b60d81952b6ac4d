/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-drive.c - -drive, -cdrom, -hda to -hdd, -fda, -fdb, -snapshot, and the bare image name
 *
 * A drive's own keys and what they mean are block/drive.h's; here is where it stands: interface, index, name.
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "block/drive.h"
#include "cli/keyval.h"
#include "cli/options.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { IDE_PLACES = 4, FLOPPY_PLACES = 2, ANY_PLACES = 1024, CD_INDEX = 2 };

/* What -drive if= takes: how many places there are, how many on each bus (0: one bus), and what a drive there is called. */
typedef struct Interface {
    const char *name;
    unsigned places, per_bus;
    const char *refused;                   /* why it cannot be, and what can */
} Interface;
static const Interface interfaces[] = {
    { "ide", IDE_PLACES, 2, NULL },  { "floppy", FLOPPY_PLACES, 0, NULL },  { "virtio", ANY_PLACES, 0, NULL },  { "none", ANY_PLACES, 0, NULL },
    { "scsi", 0, 0, "this machine has no SCSI controller of its own; use if=none,id=ID with -device virtio-scsi-pci -device scsi-hd,drive=ID" },
    { "pflash", 0, 0, "flash drives are not supported; -bios takes a firmware image" },
    { "sd", 0, 0, "this machine has no SD card controller" },  { "mtd", 0, 0, "this machine has no flash controller" },
    { "xen", 0, 0, "this is no Xen machine" },
};
/* QEMU took these once; the device has them now. */
static const char *const of_the_device[] = { "serial", "cyls", "heads", "secs", "trans", "addr", "boot", NULL };

static const Interface *interface_find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
        if (strcmp(interfaces[i].name, name) == 0) {
            return &interfaces[i];
        }
    }
    return NULL;
}

static const Interface *interface_of(const Value *drive, GError **err)
{
    const char *name = value_get_string(drive, "if", "ide");
    const Interface *interface = interface_find(name);

    if (!interface) {
        fail(err, EINVAL, "if=%s: there are ide, floppy, virtio and none", name);
        return NULL;
    }
    if (interface->refused) {
        fail(err, ENOTSUP, "if=%s: %s", name, interface->refused);
        return NULL;
    }
    return interface;
}

static bool is_cd(const Value *drive)
{
    return strcmp(value_get_string(drive, "media", "disk"), "cdrom") == 0;
}

/* bus and unit are another way to say index. */
static bool bus_to_index(Value *drive, const Interface *interface, GError **err)
{
    uint64_t bus = value_get_uint(drive, "bus", 0), unit = value_get_uint(drive, "unit", 0);
    bool by_bus = value_get(drive, "bus") || value_get(drive, "unit");

    if (by_bus && value_get(drive, "index")) {
        return fail(err, EINVAL, "index= and bus=,unit= say the same; use one of them");
    }
    if (by_bus && interface->per_bus && unit >= interface->per_bus) {
        return fail(err, EINVAL, "unit=%" PRIu64 ": a bus has units 0 to %u", unit, interface->per_bus - 1);
    }
    if (by_bus && (bus > ANY_PLACES || unit > ANY_PLACES || (bus && !interface->per_bus))) {
        return fail(err, EINVAL, "bus=%" PRIu64 ",unit=%" PRIu64 ": there is no such place for if=%s", bus, unit, interface->name);
    }
    if (by_bus) {
        value_set(drive, "index", value_new_uint(bus * interface->per_bus + unit));
    }
    value_remove(drive, "bus");
    value_remove(drive, "unit");
    return true;
}

static bool index_is_free(const Value *drives, const Interface *interface, uint64_t index)
{
    for (size_t i = 0; i < value_length(drives); i++) {
        const Value *drive = value_at(drives, i);
        if (strcmp(value_get_string(drive, "if", ""), interface->name) == 0 && value_get_uint(drive, "index", ANY_PLACES) == index) {
            return false;
        }
    }
    return true;
}

static bool place(const Value *drives, Value *drive, const Interface *interface, GError **err)
{
    uint64_t index = value_get_uint(drive, "index", UINT64_MAX);
    bool chosen = index != UINT64_MAX;

    if (!chosen) {
        bool cd_place = is_cd(drive) && strcmp(interface->name, "ide") == 0 && index_is_free(drives, interface, CD_INDEX);
        for (index = cd_place ? CD_INDEX : 0; index < interface->places && !index_is_free(drives, interface, index); index++) {
        }
    }
    if (!chosen && index == interface->places) {
        return fail(err, EBUSY, "all %u places for if=%s drives are taken", interface->places, interface->name);
    }
    if (index >= interface->places) {
        return fail(err, EINVAL, "index=%" PRIu64 ": if=%s has places 0 to %u", index, interface->name, interface->places - 1);
    }
    if (!index_is_free(drives, interface, index)) {
        return fail(err, EBUSY, "index=%" PRIu64 " is taken by an earlier if=%s drive", index, interface->name);
    }
    value_set(drive, "index", value_new_uint(index));
    return true;
}

/* As QEMU calls them: ide0-hd0, ide1-cd0, virtio0, floppy0, none0. */
static char *invented_id(const Value *drive, const Interface *interface)
{
    uint64_t index = value_get_uint(drive, "index", 0);

    if (interface->per_bus) {
        return g_strdup_printf("%s%" PRIu64 "-%s%" PRIu64, interface->name, index / interface->per_bus, is_cd(drive) ? "cd" : "hd",
                               index % interface->per_bus);
    }
    return g_strdup_printf("%s%" PRIu64, interface->name, index);
}

static bool name_it(const Value *drives, Value *drive, const Interface *interface, GError **err)
{
    const char *id = value_get_string(drive, "id", NULL);

    if (id && !name_is_well_formed(id)) {
        return fail(err, EINVAL, "id=%s: an id is a letter, then letters, digits and '-._'", id);
    }
    if (!id) {
        g_autofree char *invented = invented_id(drive, interface);
        value_set(drive, "id", value_new_string(invented));
        id = value_get_string(drive, "id", NULL);
    }
    for (size_t i = 0; i < value_length(drives); i++) {
        if (strcmp(value_get_string(value_at(drives, i), "id", ""), id) == 0) {
            return fail(err, EEXIST, "the id '%s' is taken by an earlier drive", id);
        }
    }
    return true;
}

static bool add_drive(Config *config, Value *take, GError **err)
{
    g_autoptr(Value) drive = take;
    Value *drives = config_list(config, "drives");
    const Interface *interface = interface_of(drive, err);

    if (!interface) {
        return false;
    }
    value_set(drive, "if", value_new_string(interface->name));
    if (!bus_to_index(drive, interface, err) || !place(drives, drive, interface, err) || !name_it(drives, drive, interface, err)) {
        return false;
    }
    if (is_cd(drive)) {
        value_set(drive, "readonly", value_new_bool(true));
    }
    value_append(drives, g_steal_pointer(&drive));
    return true;
}

static bool can_be_empty(const Value *drive)
{
    return is_cd(drive) || strcmp(value_get_string(drive, "if", "ide"), "floppy") == 0 ||
           strcmp(value_get_string(drive, "if", "ide"), "none") == 0;
}

bool opt_drive(Config *config, const Option *option, const char *text, GError **err)
{
    static const char *const merge[] = { "file", "backing", NULL };
    const OptionGrammar grammar = { .who = config->saying, .keys = drive_keys, .other_keys = true };
    g_autoptr(Value) flat = option_parse(&grammar, text, err);
    g_autoptr(Value) drive = flat ? option_nest(flat, config->saying, merge, err) : NULL;

    (void)option;
    if (!drive) {
        return false;
    }
    for (const char *const *key = of_the_device; *key; key++) {
        if (value_get(drive, *key)) {
            return fail(err, EINVAL, "%s= belongs to the device: if=none,id=ID here, and -device ide-hd,drive=ID,%s=...", *key, *key);
        }
    }
    const Value *file = value_get(drive, "file");
    if (file && value_kind(file) == VALUE_STRING && !*value_string(file)) {
        value_remove(drive, "file");       /* file= is an empty drive, as for QEMU */
        file = NULL;
    }
    if (!file && !value_get(drive, "driver") && !value_get(drive, "format") && !can_be_empty(drive)) {
        return fail(err, EINVAL, "file=FILE is missing; only a CD or floppy drive can be empty");
    }
    return add_drive(config, g_steal_pointer(&drive), err);
}

static Value *image_at(const char *interface, const char *path, unsigned index, bool cd)
{
    Value *drive = value_new_object();

    if (path) {
        value_set(drive, "file", value_new_string(path));
    }
    value_set(drive, "if", value_new_string(interface));
    value_set(drive, "index", value_new_uint(index));
    if (strcmp(interface, "ide") == 0) {
        value_set(drive, "media", value_new_string(cd ? "cdrom" : "disk"));
    }
    return drive;
}

/* -cdrom, -hda to -hdd, -fda and -fdb: the last letter is the place. */
bool opt_drive_at(Config *config, const Option *option, const char *text, GError **err)
{
    bool cd = strcmp(option->name, "cdrom") == 0, floppy = option->name[0] == 'f';

    if (!*text) {
        return fail(err, EINVAL, "the image's name is missing");
    }
    Value *drive = image_at(floppy ? "floppy" : "ide", text, cd ? CD_INDEX : (unsigned)(option->name[2] - 'a'), cd);
    value_set_origin(drive, config->saying);
    return add_drive(config, drive, err);
}

bool drive_image(Config *config, const char *path, GError **err)
{
    if (!*path) {
        return fail(err, EINVAL, "an empty argument is neither an option nor a disk image");
    }
    if (!add_drive(config, image_at("ide", path, 0, false), err)) {
        g_prefix_error(err, "disk image '%s': ", path);
        return false;
    }
    return true;
}

bool opt_snapshot(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    (void)text;
    (void)err;
    config->snapshot = true;
    return true;
}

/* ---- once all options are read ---- */

static void add_virtio_device(Config *config, const Value *drive)
{
    Value *device = value_new_object();

    value_set(device, "driver", value_new_string("virtio-blk-pci"));
    value_set(device, "drive", value_new_string(value_get_string(drive, "id", "")));
    value_append(config_list(config, "devices"), device);
}

/* A PC has an empty CD drive and an empty floppy drive, unless it was asked not to have what nobody named. */
static bool default_drives(Config *config, GError **err)
{
    bool bare = value_get_bool(config->tree, "nodefaults", false) ||
                strcmp(value_get_string(value_get(config->tree, "machine"), "type", "pc"), "none") == 0;

    if (bare) {
        return true;
    }
    const Value *drives = config_list(config, "drives");
    if (index_is_free(drives, interface_find("ide"), CD_INDEX) && !add_drive(config, image_at("ide", NULL, CD_INDEX, true), err)) {
        return false;
    }
    return !index_is_free(drives, interface_find("floppy"), 0) || add_drive(config, image_at("floppy", NULL, 0, false), err);
}

bool drives_finish(Config *config, GError **err)
{
    const Value *drives;

    if (!default_drives(config, err)) {
        return false;
    }
    drives = value_get(config->tree, "drives");
    for (size_t i = 0; i < value_length(drives); i++) {
        Value *drive = value_at(drives, i);
        if (config->snapshot && value_get(drive, "file") && !is_cd(drive) && !value_get(drive, "snapshot")) {
            value_set(drive, "snapshot", value_new_bool(true));
        }
        if (strcmp(value_get_string(drive, "if", ""), "virtio") == 0) {
            add_virtio_device(config, drive);
        }
    }
    return true;
}
