/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-block.c - domblklist, domblkinfo, change-media, attach-disk, detach-disk
 *
 * Omits    drives that come and go with their device: attach-disk and detach-disk put a CD into a drive and take it out
 * Tests    tests/verbs/block.py
 */
#include "cli/verb-block.h"
#include "cli/verb-list.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- drives and their names ---------------------------------------------------------------------------------- */

/* vda ... vdz, vdaa ... */
static char *letters(const char *stem, unsigned number)
{
    char text[8];
    size_t at = sizeof text - 1;

    text[at] = '\0';
    for (unsigned rest = number + 1; rest && at; rest = (rest - 1) / 26) {
        text[--at] = (char)('a' + (rest - 1) % 26);
    }
    return g_strconcat(stem, text + at, NULL);
}

/* Names that -drive gives, and those that libvirt gives to -device, say where a drive is. */
static char *target_of(const char *name)
{
    unsigned a, b, c, d;
    int end = 0;

    if ((sscanf(name, "virtio%u%n", &a, &end) == 1 && !name[end]) || (sscanf(name, "virtio-disk%u%n", &a, &end) == 1 && !name[end])) {
        return letters("vd", a);
    }
    if ((sscanf(name, "ide%u-hd%u%n", &a, &b, &end) == 2 || sscanf(name, "ide%u-cd%u%n", &a, &b, &end) == 2) && !name[end]) {
        return letters("hd", a * 2 + b);
    }
    if (sscanf(name, "ide%u-%u-%u%n", &a, &b, &c, &end) == 3 && !name[end]) {
        return letters("hd", a * 4 + b * 2 + c);
    }
    if ((sscanf(name, "floppy%u%n", &a, &end) == 1 && !name[end]) || (sscanf(name, "fdc0-0-%u%n", &a, &end) == 1 && !name[end])) {
        return letters("fd", a);
    }
    if ((sscanf(name, "scsi%u-hd%u%n", &a, &b, &end) == 2 || sscanf(name, "scsi%u-cd%u%n", &a, &b, &end) == 2) && !name[end]) {
        return letters("sd", a * 7 + b);
    }
    if (sscanf(name, "scsi%u-%u-%u-%u%n", &a, &b, &c, &d, &end) == 4 && !name[end]) {
        return letters("sd", a * 7 + (c ? c : d));
    }
    return g_strdup(name);
}

/* "/machine/peripheral/virtio-disk0/virtio-backend": "virtio-disk0" */
static char *device_name(const Value *info)
{
    const char *drive = value_get_string(info, "device", ""), *path = value_get_string(info, "qdev", "");
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    guint count = g_strv_length(parts);

    if (*drive) {
        return g_strdup(drive);
    }
    if (count && strcmp(parts[count - 1], "virtio-backend") == 0) {
        count--;
    }
    return g_strdup(count ? parts[count - 1] : "");
}

static void disk_free(void *opaque)
{
    VmDisk *disk = opaque;

    g_free(disk->target);
    value_unref(disk->info);
    g_free(disk);
}

static void look_at_image(VmDisk *disk)
{
    const Value *inserted = value_get(disk->info, "inserted"), *image = value_get(inserted, "image");
    struct stat status;

    disk->path = value_get_string(inserted, "file", NULL);
    disk->type = "file";
    disk->capacity = disk->physical = value_get_uint(image, "virtual-size", 0);
    disk->allocation = value_get_uint(image, "actual-size", disk->capacity);
    if (disk->path && (g_str_has_prefix(disk->path, "nbd:") || g_str_has_prefix(disk->path, "nbd+"))) {
        disk->type = "network";
    } else if (disk->path && stat(disk->path, &status) == 0) {
        disk->type = S_ISBLK(status.st_mode) ? "block" : "file";
        disk->physical = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : disk->capacity;
    }
}

static VmDisk *disk_from(const Value *info)
{
    VmDisk *disk = g_new0(VmDisk, 1);
    g_autofree char *name = device_name(info);

    disk->info = value_copy(info);
    disk->target = target_of(name);
    disk->id = value_get_string(disk->info, "qdev", value_get_string(disk->info, "device", ""));
    disk->kind = !value_get_bool(info, "removable", false) ? "disk" : g_str_has_prefix(disk->target, "fd") ? "floppy" : "cdrom";
    look_at_image(disk);
    return disk;
}

static int by_target(const void *a, const void *b)
{
    return strcmp((*(VmDisk *const *)a)->target, (*(VmDisk *const *)b)->target);
}

/* A drive that no device has is no drive of the guest's. */
GPtrArray *vm_disks(QmpClient *client, GError **err)
{
    g_autoptr(Value) list = qmp_client_call(client, "query-block", NULL, err);
    GPtrArray *disks;

    if (!list) {
        return NULL;
    }
    disks = g_ptr_array_new_with_free_func(disk_free);
    for (size_t i = 0; i < value_length(list); i++) {
        if (value_get(value_at(list, i), "qdev")) {
            g_ptr_array_add(disks, disk_from(value_at(list, i)));
        }
    }
    g_ptr_array_sort(disks, by_target);
    return disks;
}

VmDisk *vm_disk_find(GPtrArray *disks, const char *text, GError **err)
{
    for (guint i = 0; i < disks->len; i++) {
        VmDisk *disk = disks->pdata[i];
        g_autofree char *name = device_name(disk->info);
        if (strcmp(disk->target, text) == 0 || (disk->path && strcmp(disk->path, text) == 0) || strcmp(name, text) == 0) {
            return disk;
        }
    }
    fail(err, ENOENT, "invalid argument: invalid path %s not assigned to domain; roost domblklist shows them", text);
    return NULL;
}

static GPtrArray *disks_of(const Verb *verb, QmpClient **client, GError **err)
{
    g_autoptr(VmEntry) vm = NULL;

    *client = verb_client(verb, &vm, err);
    return *client ? vm_disks(*client, err) : NULL;
}

/* ---- domblklist, domblkinfo ---------------------------------------------------------------------------------- */

typedef struct BlkList {
    Verb common;
    bool details, inactive;
} BlkList;
static const ToolOption blklist_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "inactive", BlkList, inactive, "accepted"), OPTION_FLAG(0, "details", BlkList, details, "with kind and type"),
    VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

static int domblklist(Verb *verb, GError **err)
{
    static const char *const brief[] = { "Target", "Source", NULL }, *const detailed[] = { "Type", "Device", "Target", "Source", NULL };
    bool details = ((const BlkList *)verb)->details;
    g_autoptr(QmpClient) client = NULL;
    g_autoptr(GPtrArray) disks = disks_of(verb, &client, err);

    if (!disks) {
        return 1;
    }
    VerbTable *table = verb_table_new(details ? detailed : brief);
    for (guint i = 0; i < disks->len; i++) {
        const VmDisk *disk = disks->pdata[i];
        const char *path = disk->path ? disk->path : "-";
        verb_table_row(table, details ? (const char *const[]){ disk->type, disk->kind, disk->target, path } : (const char *const[]){ disk->target, path });
    }
    verb_table_print(table);
    return 0;
}

typedef struct BlkInfo {
    Verb common;
    const char *device;
    bool human, all;
} BlkInfo;
static const ToolOption blkinfo_options[] = {
    VERB_DOMAIN, OPTION_TEXT(0, "device", "DEVICE", BlkInfo, device, "which one, as the second word says it"),
    OPTION_FLAG(0, "human", BlkInfo, human, "with units"), OPTION_FLAG(0, "all", BlkInfo, all, "a table of all"),
    VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

static char *size_text(uint64_t bytes, bool human)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes;
    size_t unit = 0;

    if (!human) {
        return g_strdup_printf("%" PRIu64, bytes);
    }
    for (; value >= 1024 && unit + 1 < G_N_ELEMENTS(units); unit++) {
        value /= 1024;
    }
    return g_strdup_printf(unit ? "%.3f %s" : "%.0f %s", value, units[unit]);
}

static void print_all_sizes(const GPtrArray *disks, bool human)
{
    static const char *const columns[] = { "Target", "Capacity", "Allocation", "Physical", NULL };
    VerbTable *table = verb_table_new(columns);

    for (guint i = 0; i < disks->len; i++) {
        const VmDisk *disk = disks->pdata[i];
        g_autofree char *capacity = size_text(disk->capacity, human), *allocation = size_text(disk->allocation, human);
        g_autofree char *physical = size_text(disk->physical, human);
        verb_table_row(table, disk->path ? (const char *const[]){ disk->target, capacity, allocation, physical }
                                         : (const char *const[]){ disk->target, "-", "-", "-" });
    }
    verb_table_print(table);
}

static int domblkinfo(Verb *verb, GError **err)
{
    const BlkInfo *options = (const BlkInfo *)verb;
    const char *device = options->device ? options->device : verb->count ? verb->operands[0] : NULL;
    g_autoptr(QmpClient) client = NULL;

    if (!device && !options->all) {
        fail(err, EINVAL, "command 'domblkinfo' requires --device or --all");
        return 1;
    }
    g_autoptr(GPtrArray) disks = disks_of(verb, &client, err);
    if (disks && options->all) {
        print_all_sizes(disks, options->human);
        return 0;
    }
    const VmDisk *disk = disks ? vm_disk_find(disks, device, err) : NULL;
    if (!disk) {
        return 1;
    }
    g_autofree char *capacity = size_text(disk->capacity, options->human), *allocation = size_text(disk->allocation, options->human);
    g_autofree char *physical = size_text(disk->physical, options->human);
    printf("%-15s %s\n%-15s %s\n%-15s %s\n", "Capacity:", capacity, "Allocation:", allocation, "Physical:", physical);
    return 0;
}

/* ---- media --------------------------------------------------------------------------------------------------- */

typedef struct Media {
    Verb common;
    const char *path, *source, *type, *mode, *driver, *subdriver, *bus, *source_type;
    bool eject, insert, update, current, live, config, force, print_xml, block, persistent;
} Media;

static bool insert_medium(QmpClient *client, const VmDisk *disk, const char *source, bool force, GError **err)
{
    Value *arguments = value_new_object();
    g_autofree char *absolute = g_canonicalize_filename(source, NULL);

    value_set(arguments, "id", value_new_string(disk->id));
    value_set(arguments, "filename", value_new_string(strstr(source, "://") ? source : absolute));
    if (force) {
        value_set(arguments, "force", value_new_bool(true));
    }
    g_autoptr(Value) reply = qmp_client_call(client, "blockdev-change-medium", arguments, err);
    return reply != NULL;
}

static bool eject_medium(QmpClient *client, const VmDisk *disk, bool force, GError **err)
{
    Value *arguments = value_new_object();

    value_set(arguments, "id", value_new_string(disk->id));
    value_set(arguments, "force", value_new_bool(force));
    g_autoptr(Value) reply = qmp_client_call(client, "eject", arguments, err);
    return reply != NULL;
}

static bool holds_media(const VmDisk *disk, GError **err)
{
    return strcmp(disk->kind, "disk") != 0 || fail(err, EINVAL, "'%s' is a disk, whose medium cannot be changed; CD and floppy drives have media", disk->target);
}

static bool check_scope(const Media *media, GError **err)
{
    if (media->config || media->persistent) {
        return fail(err, ENOTSUP, "%s: only the running VM is changed; 'roost edit' changes its definition", media->config ? "--config" : "--persistent");
    }
    return !media->print_xml || fail(err, ENOTSUP, "--print-xml: it is not supported yet");
}

static bool change(QmpClient *client, const Media *media, const VmDisk *disk, const char *source, GError **err)
{
    if (!holds_media(disk, err)) {
        return false;
    }
    if (media->eject) {
        return disk->path ? eject_medium(client, disk, media->force, err) : fail(err, EINVAL, "The disk device '%s' doesn't have media", disk->target);
    }
    if (media->insert && disk->path) {
        return fail(err, EEXIST, "The disk device '%s' already has media", disk->target);
    }
    if (!source) {
        return media->update && disk->path ? eject_medium(client, disk, media->force, err)
                                           : fail(err, EINVAL, "No disk source specified for '%s'", disk->target);
    }
    return insert_medium(client, disk, source, media->force, err);
}

static int change_media(Verb *verb, GError **err)
{
    const Media *media = (const Media *)verb;
    const char *path = media->path ? media->path : verb->count ? verb->operands[0] : NULL, *source = media->source;
    int used = media->path ? 0 : 1;
    g_autoptr(QmpClient) client = NULL;

    if (!path) {
        fail(err, EINVAL, "command 'change-media' requires <path> option");
        return 1;
    }
    if (!source && verb->count > used) {
        source = verb->operands[used];
    }
    if (media->eject + media->insert + media->update > 1) {
        fail(err, EINVAL, "--eject, --update, --insert are mutually exclusive");
        return 1;
    }
    g_autoptr(GPtrArray) disks = check_scope(media, err) ? disks_of(verb, &client, err) : NULL;
    const VmDisk *disk = disks ? vm_disk_find(disks, path, err) : NULL;
    if (!disk || !change(client, media, disk, source, err)) {
        return 1;
    }
    printf("Successfully %s media.\n", media->eject ? "ejected" : media->insert ? "inserted" : "updated");
    return 0;
}

static int attach_disk(Verb *verb, GError **err)
{
    const Media *media = (const Media *)verb;
    const char *source = verb->operands[0], *target = verb->operands[1];
    g_autoptr(QmpClient) client = NULL;
    g_autoptr(GError) missing = NULL;
    g_autoptr(GPtrArray) disks = check_scope(media, err) ? disks_of(verb, &client, err) : NULL;
    const VmDisk *disk = disks ? vm_disk_find(disks, target, &missing) : NULL;

    if (!disks) {
        return 1;
    }
    if (!disk || strcmp(disk->kind, "disk") == 0) {
        fail(err, ENOTSUP, "Failed to attach disk: '%s' is no CD or floppy drive of the VM, and disks cannot be plugged in yet", target);
        return 1;
    }
    if (disk->path) {
        fail(err, EEXIST, "Failed to attach disk: target %s already exists, and holds %s; change-media changes it", target, disk->path);
        return 1;
    }
    if (!insert_medium(client, disk, source, false, err)) {
        g_prefix_error(err, "Failed to attach disk: ");
        return 1;
    }
    puts("Disk attached successfully");
    return 0;
}

static int detach_disk(Verb *verb, GError **err)
{
    const Media *media = (const Media *)verb;
    const char *target = verb->operands[0];
    g_autoptr(QmpClient) client = NULL;
    g_autoptr(GPtrArray) disks = check_scope(media, err) ? disks_of(verb, &client, err) : NULL;
    const VmDisk *disk = disks ? vm_disk_find(disks, target, err) : NULL;

    if (!disk) {
        return 1;
    }
    if (strcmp(disk->kind, "disk") == 0) {
        fail(err, ENOTSUP, "Failed to detach disk: '%s' is no CD or floppy drive, and disks cannot be unplugged yet", target);
        return 1;
    }
    if (!disk->path || !eject_medium(client, disk, false, err)) {
        if (!disk->path) {
            fail(err, ENOENT, "Failed to detach disk: '%s' is empty", target);
        }
        return 1;
    }
    puts("Disk detached successfully");
    return 0;
}

#define SCOPE_OPTIONS                                                                                               \
    OPTION_FLAG(0, "current", Media, current, "the running VM, as without it"),                                     \
    OPTION_FLAG(0, "live", Media, live, "the running VM, as without it"),                                           \
    OPTION_FLAG(0, "config", Media, config, "refused: only the running VM is changed"),                             \
    OPTION_FLAG(0, "print-xml", Media, print_xml, "refused: not supported yet"), VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END
static const ToolOption change_options[] = {
    VERB_DOMAIN, OPTION_TEXT(0, "path", "PATH", Media, path, "the drive, as the second word says it: its target, or its image"),
    OPTION_TEXT(0, "source", "FILE", Media, source, "the image to put in, as the third word says it"),
    OPTION_FLAG(0, "eject", Media, eject, "take the medium out"), OPTION_FLAG(0, "insert", Media, insert, "put one into an empty drive"),
    OPTION_FLAG(0, "update", Media, update, "put another one in, as without any of these"),
    OPTION_FLAG(0, "force", Media, force, "even when the guest has locked the tray"),
    OPTION_FLAG(0, "block", Media, block, "accepted: a block device is known by itself"), SCOPE_OPTIONS };
static const ToolOption attach_options[] = {
    VERB_DOMAIN, OPTION_TEXT(0, "type", "cdrom|floppy", Media, type, "accepted: the drive says what it is"),
    OPTION_TEXT(0, "mode", "readonly", Media, mode, "accepted"), OPTION_TEXT(0, "driver", "qemu", Media, driver, "accepted"),
    OPTION_TEXT(0, "subdriver", "FORMAT", Media, subdriver, "accepted: the image's first bytes say it"),
    OPTION_TEXT(0, "targetbus", "BUS", Media, bus, "accepted: the drive has one"),
    OPTION_TEXT(0, "sourcetype", "file|block", Media, source_type, "accepted"),
    OPTION_FLAG(0, "persistent", Media, persistent, "refused: only the running VM is changed"), SCOPE_OPTIONS };
static const ToolOption detach_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "persistent", Media, persistent, "refused: only the running VM is changed"), SCOPE_OPTIONS };

const VerbSpec verb_domblklist = { "domblklist", "", 0, 0, VERB_ONE_VM, .help = "a VM's drives and their images", .options = blklist_options,
                                   .size = sizeof(BlkList), .run = domblklist };
const VerbSpec verb_domblkinfo = { "domblkinfo", "[DEVICE]", 0, 1, VERB_ONE_VM, .help = "how large an image is", .options = blkinfo_options,
                                   .size = sizeof(BlkInfo), .run = domblkinfo };
const VerbSpec verb_change_media = { "change-media", "PATH [SOURCE]", 0, 2, VERB_ONE_VM, .help = "put another CD or floppy disk into a drive, or take it out",
                                     .options = change_options, .size = sizeof(Media), .run = change_media };
const VerbSpec verb_attach_disk = { "attach-disk", "SOURCE TARGET", 2, 2, VERB_ONE_VM, .help = "put a CD into an empty drive", .options = attach_options,
                                    .size = sizeof(Media), .run = attach_disk };
const VerbSpec verb_detach_disk = { "detach-disk", "TARGET", 1, 1, VERB_ONE_VM, .help = "take a CD out of its drive", .options = detach_options,
                                    .size = sizeof(Media), .run = detach_disk };
