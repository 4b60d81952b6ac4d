/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-back-disk.c - drives, nodes of the block graph and disks' devices to <disk>
 *
 * Tests    tests/xml/back.py
 */
#include "cli/xml-back.h"
#include "cli/xml-tables.h"
#include "block/node-core.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WIDE_UNITS = 15, SCSI_SELF = 7, NODES_MOST = 40 };

static const struct { const char *driver, *bus, *kind, *prefix; } models[] = {
    { "virtio-blk-pci", "virtio", "disk", "vd" }, { "virtio-blk", "virtio", "disk", "vd" }, { "virtio-blk-pci-transitional", "virtio", "disk", "vd" },
    { "virtio-blk-pci-non-transitional", "virtio", "disk", "vd" }, { "ide-hd", "ide", "disk", "hd" }, { "ide-cd", "ide", "cdrom", "hd" },
    { "scsi-hd", "scsi", "disk", "sd" }, { "scsi-cd", "scsi", "cdrom", "sd" }, { "floppy", "fdc", "floppy", "fd" }, { "usb-storage", "usb", "disk", "sd" },
};

/* ---- the image ---------------------------------------------------------------------------------------------------------- */

/* A domain is read from anywhere. */
static char *whole_path(const char *path)
{
    return !*path || g_path_is_absolute(path) ? g_strdup(path) : g_canonicalize_filename(path, NULL);
}

static bool server_out(Value *flat, XmlNode *source)
{
    const char *type = value_get_string(flat, "server.type", ""), *host = value_get_string(flat, "server.host", NULL);
    const char *path = value_get_string(flat, "server.path", NULL), *exported = value_get_string(flat, "export", NULL);
    g_autofree char *port = xml_value_text(value_get(flat, "server.port"));

    xml_set(source, "protocol", "nbd");
    if (exported) {
        xml_set(source, "name", exported);
    }
    if (strcmp(type, "inet") == 0 && host && port) {
        xml_store(source, "host@name", host);
        xml_store(source, "host@port", port);
    } else if (strcmp(type, "unix") == 0 && path) {
        xml_store(source, "host@transport", "unix");
        xml_store(source, "host@socket", path);
    } else {
        return false;
    }
    value_remove(flat, "server.type");
    value_remove(flat, "server.host");
    value_remove(flat, "server.port");
    value_remove(flat, "server.path");
    value_remove(flat, "export");
    return true;
}

/* A protocol's node. element is the <disk> or a <backingStore>. */
static bool storage_out(Value *flat, XmlNode *element)
{
    const char *driver = value_get_string(flat, "driver", "");
    bool device = strcmp(driver, "host_device") == 0 || strcmp(driver, "host_cdrom") == 0;

    if (strcmp(driver, "nbd") == 0) {
        xml_set(element, "type", "network");
        if (!server_out(flat, xml_make(element, "source"))) {
            return false;
        }
    } else if (strcmp(driver, "file") == 0 || device) {
        g_autofree char *whole = whole_path(value_get_string(flat, "filename", ""));
        xml_set(element, "type", device ? "block" : "file");
        value_set(flat, "filename", value_new_string(whole));
        xml_map_out(device ? xml_block_map : xml_file_map, flat, element);
    } else {
        return false;
    }
    value_remove(flat, "driver");
    value_remove(flat, "node-name");
    value_remove(flat, "auto-read-only");
    value_remove(flat, "read-only");
    if (strcmp(value_get_string(flat, "discard", ""), "unmap") == 0) {
        value_remove(flat, "discard");
    }
    return true;
}

static void cache_out(Value *flat, Value *device, XmlNode *disk, bool is_disk)
{
    static const struct { const char *mode; bool direct, no_flush, write_cache; } modes[] = {
        { "none", true, false, true }, { "writeback", false, false, true }, { "writethrough", false, false, false },
        { "directsync", true, false, false }, { "unsafe", false, true, true } };
    bool said = value_get(flat, "cache.direct") || value_get(flat, "cache.no-flush") || value_get(device, "write-cache");
    bool direct = value_get_flag(flat, "cache.direct", false), no_flush = value_get_flag(flat, "cache.no-flush", false);
    bool write_cache = !is_disk || value_get_flag(device, "write-cache", true);

    for (size_t i = 0; said && i < G_N_ELEMENTS(modes); i++) {
        if (modes[i].direct == direct && modes[i].no_flush == no_flush && modes[i].write_cache == write_cache) {
            xml_store(disk, "driver@cache", modes[i].mode);
            value_remove(flat, "cache.direct");
            value_remove(flat, "cache.no-flush");
            value_remove(device, "write-cache");
            return;
        }
    }
}

static bool chain_out(XmlBack *back, const char *name, XmlNode *store, unsigned depth);

/* "backing" of a format's node: absent, null, or a name. */
static bool backing_out(XmlBack *back, Value *flat, XmlNode *element, unsigned depth)
{
    Value *backing = value_get(flat, "backing");
    const char *name = value_string(backing);

    if (!backing) {
        return true;
    }
    XmlNode *store = xml_node_new(element->document, element, "backingStore");
    bool done = value_kind(backing) == VALUE_NULL || (name && chain_out(back, name, store, depth));
    value_remove(flat, "backing");
    return done;
}

static bool chain_out(XmlBack *back, const char *name, XmlNode *store, unsigned depth)
{
    Value *image_node = xml_back_find(back, "blockdevs", "node-name", name);
    Value *file_node = xml_back_find(back, "blockdevs", "node-name", value_get_string(image_node, "file", NULL));

    if (!image_node || !file_node || depth > NODES_MOST) {
        return false;
    }
    g_autoptr(Value) image = xml_back_flat(image_node), file = xml_back_flat(file_node);
    xml_store(store, "format@type", value_get_string(image, "driver", "raw"));
    value_remove(image, "driver");
    value_remove(image, "node-name");
    value_remove(image, "read-only");
    value_remove(image, "file");
    if (!storage_out(file, store) || !backing_out(back, image, store, depth + 1) || value_length(file) || value_length(image)) {
        return false;
    }
    g_ptr_array_add(back->pending, image_node);
    g_ptr_array_add(back->pending, file_node);
    return true;
}

static bool limits_out(XmlBack *back, const Value *filter, XmlNode *disk)
{
    const char *id = value_get_string(filter, "throttle-group", NULL);
    Value *group = xml_back_find(back, "objects", "id", id);
    g_autoptr(Value) flat = xml_back_flat(group);

    if (!group || value_length(filter) != 4) {
        return false;
    }
    value_remove(flat, "qom-type");
    value_remove(flat, "id");
    xml_map_out(xml_throttle_map, flat, disk);
    xml_make(disk, "iotune");
    if (!g_str_has_prefix(id, "throttle-libvirt-")) {
        xml_store(disk, "iotune/group_name", id);
    } else {
        g_ptr_array_add(back->pending, group);                        /* a named one may have other users */
    }
    return value_length(flat) == 0;
}

/* The graph below a device, from its top. */
static bool nodes_out(XmlBack *back, const char *top, Value *device, XmlNode *disk, bool is_disk)
{
    Value *node = xml_back_find(back, "blockdevs", "node-name", top);

    if (node && strcmp(value_get_string(node, "driver", ""), "throttle") == 0) {
        if (!limits_out(back, node, disk)) {
            return false;
        }
        g_ptr_array_add(back->pending, node);
        node = xml_back_find(back, "blockdevs", "node-name", value_get_string(node, "file", NULL));
    }
    Value *below = xml_back_find(back, "blockdevs", "node-name", value_get_string(node, "file", NULL));
    if (!node || !below) {
        return false;
    }
    g_autoptr(Value) image = xml_back_flat(node), file = xml_back_flat(below);
    bool read_only = value_get_flag(image, "read-only", false);
    g_ptr_array_add(back->pending, node);
    g_ptr_array_add(back->pending, below);
    xml_store(disk, "driver@name", "qemu");
    cache_out(file, device, disk, is_disk);
    value_remove(image, "cache.direct");   /* the storage's counts */
    value_remove(image, "cache.no-flush");
    value_remove(image, "node-name");
    value_remove(image, "read-only");
    value_remove(image, "file");
    xml_map_out(xml_format_map, image, disk);
    if (!storage_out(file, disk) || !backing_out(back, image, disk, 1)) {
        return false;
    }
    if (read_only) {
        xml_make(disk, "readonly");
    }
    return value_length(file) == 0 && value_length(image) == 0;
}

/* -drive's keys, which are nearly those of <driver>. */
static bool drive_out(Value *drive, XmlNode *disk)
{
    static const XmlMap map[] = {
        { "driver@cache", "cache" }, { "driver@io", "aio" }, { "driver@discard", "discard" }, { "driver@detect_zeroes", "detect-zeroes" },
        { "driver@error_policy", "werror" }, { "driver@rerror_policy", "rerror" }, { NULL } };
    const char *file = value_get_string(drive, "file", NULL), *format = value_get_string(drive, "format", NULL);
    bool read_only = value_get_flag(drive, "readonly", false) || value_get_flag(drive, "read-only", false);

    if (file && strchr(file, ':') && !strchr("/.", *file)) {
        return false;                      /* a protocol's name */
    }
    xml_set(disk, "type", file && g_str_has_prefix(file, "/dev/") ? "block" : "file");
    if (file) {
        g_autofree char *whole = whole_path(file);
        xml_store(disk, "driver@name", "qemu");
        xml_store(disk, "driver@type", format ? format : format_of_suffix(file));
        xml_map_out(map, drive, disk);
        xml_store(disk, g_str_has_prefix(file, "/dev/") ? "source@dev" : "source@file", whole);
    }
    if (read_only || strcmp(value_get_string(drive, "media", ""), "cdrom") == 0) {
        xml_make(disk, "readonly");
    }
    static const char *const said[] = { "file", "format", "readonly", "read-only", "media", "if", "index", "id" };
    for (size_t i = 0; i < G_N_ELEMENTS(said); i++) {
        value_remove(drive, said[i]);
    }
    return value_length(drive) == 0;
}

static bool image_out(XmlBack *back, Value *device, XmlNode *disk, bool is_disk)
{
    g_autofree char *top = xml_value_text(value_get(device, "drive"));
    Value *drive = xml_back_find(back, "drives", "id", top);

    value_remove(device, "drive");
    if (!top) {
        if (strcmp(xml_attribute(disk, "device"), "cdrom") == 0) {
            xml_make(disk, "readonly");
        }
        return !is_disk;
    }
    if (!drive) {
        return nodes_out(back, top, device, disk, is_disk);
    }
    g_autoptr(Value) flat = xml_back_flat(drive);
    g_ptr_array_add(back->pending, drive);
    return drive_out(flat, disk);
}

/* ---- its place ------------------------------------------------------------------------------------------------------------ */

/* 0 is "vda", 26 "vdaa". */
static char *target_name(const char *prefix, unsigned place)
{
    GString *letters = g_string_new(NULL);

    for (unsigned n = place + 1; n; n = (n - 1) / 26) {
        g_string_prepend_c(letters, (char)('a' + (n - 1) % 26));
    }
    g_string_prepend(letters, prefix);
    return g_string_free(letters, FALSE);
}

static bool target_is_taken(const XmlBack *back, const char *dev)
{
    for (guint i = 0; i < back->devices->children->len; i++) {
        XmlNode *node = back->devices->children->pdata[i];
        const char *taken = strcmp(node->name, "disk") == 0 ? xml_lookup(node, "target@dev", NULL) : NULL;
        if (taken && strcmp(taken, dev) == 0) {
            return true;
        }
    }
    return false;
}

/* A name that a later device has by its id stays free for it. */
static bool name_is_reserved(const XmlBack *back, unsigned place)
{
    g_autofree char *id = g_strdup_printf("virtio-disk%u", place);

    return xml_back_find(back, "devices", "id", id) != NULL;
}

static char *free_target(const XmlBack *back, const char *prefix)
{
    for (unsigned place = 0;; place++) {
        g_autofree char *dev = target_name(prefix, place);
        if (!target_is_taken(back, dev) && (strcmp(prefix, "vd") != 0 || !name_is_reserved(back, place))) {
            return g_steal_pointer(&dev);
        }
    }
}

static bool take_number(Value *device, const char *key, unsigned most, unsigned *out)
{
    g_autofree char *text = xml_value_text(value_get(device, key));
    uint64_t number;

    if (!text || !parse_uint(text, &number) || number > most) {
        return false;
    }
    *out = (unsigned)number;
    value_remove(device, key);
    return true;
}

/* Returns the id that goes without saying. */
static char *virtio_place(XmlBack *back, Value *device, XmlNode *disk)
{
    const char *id = value_get_string(device, "id", "");
    unsigned place;
    int end = 0;
    bool canonical = sscanf(id, "virtio-disk%u%n", &place, &end) == 1 && !id[end] && place < 10000;
    g_autofree char *dev = canonical ? target_name("vd", place) : free_target(back, "vd");

    xml_store(disk, "target@dev", dev);
    return canonical ? g_strdup(id) : NULL;
}

static char *ide_place(XmlBack *back, Value *device, XmlNode *disk)
{
    const char *bus_name = value_get_string(device, "bus", NULL);
    unsigned bus = 0, unit;

    if (!bus_name || sscanf(bus_name, "ide.%u", &bus) != 1 || bus > 1 || !take_number(device, "unit", 1, &unit)) {
        g_autofree char *dev = free_target(back, "hd");
        xml_store(disk, "target@dev", dev);
        return NULL;                       /* a bus without a unit stays in the device, and so does all of it */
    }
    value_remove(device, "bus");
    g_autofree char *dev = target_name("hd", 2 * bus + unit);
    xml_store(disk, "target@dev", dev);
    return g_strdup_printf("ide0-%u-%u", bus, unit);
}

static char *scsi_place(XmlBack *back, Value *device, XmlNode *disk)
{
    const char *bus = value_get_string(device, "bus", "scsi0.0");
    unsigned controller = 0, channel = 0, target = 0, lun = 0;

    if (sscanf(bus, "scsi%u.0", &controller) == 1 && controller < 1000) {
        value_remove(device, "bus");
    }
    take_number(device, "channel", 0, &channel);
    bool by_target = take_number(device, "scsi-id", 255, &target), by_lun = take_number(device, "lun", 16383, &lun);
    g_autofree char *drive = g_strdup_printf("drive-scsi%u-%u-%u-%u", controller, channel, target, lun);
    if (strcmp(value_get_string(device, "device_id", ""), drive) == 0) {
        value_remove(device, "device_id");
    }
    bool plain = channel == 0 && target == 0 && lun <= WIDE_UNITS && lun != SCSI_SELF;
    g_autofree char *dev = plain ? target_name("sd", controller * WIDE_UNITS + lun - (lun > SCSI_SELF)) : NULL;
    if ((!by_target && !by_lun) || !dev || target_is_taken(back, dev)) {
        g_free(dev);
        dev = free_target(back, "sd");
        plain = !by_target && !by_lun;
    }
    xml_store(disk, "target@dev", dev);
    if (!plain) {
        const char *const names[] = { "controller", "bus", "target", "unit" };
        const unsigned numbers[] = { controller, channel, target, lun };
        xml_store(disk, "address@type", "drive");
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
            g_autofree char *path = g_strdup_printf("address@%s", names[i]), *number = g_strdup_printf("%u", numbers[i]);
            xml_store(disk, path, number);
        }
    }
    return g_strdup_printf("scsi%u-%u-%u-%u", controller, channel, target, lun);
}

static char *floppy_place(XmlBack *back, Value *device, XmlNode *disk)
{
    unsigned unit;
    bool said = take_number(device, "unit", 1, &unit);
    g_autofree char *dev = said ? target_name("fd", unit) : free_target(back, "fd");

    xml_store(disk, "target@dev", dev);
    return said ? g_strdup_printf("fdc0-0-%u", unit) : NULL;
}

static char *usb_place(XmlBack *back, Value *device, XmlNode *disk)
{
    g_autofree char *dev = free_target(back, "sd"), *removable = xml_value_text(value_get(device, "removable"));

    xml_store(disk, "target@dev", dev);
    if (removable) {
        xml_store(disk, "target@removable", removable);
        value_remove(device, "removable");
    }
    value_remove(device, "bus");
    return NULL;
}

static char *place_out(XmlBack *back, Value *device, XmlNode *disk, const char *bus)
{
    return strcmp(bus, "virtio") == 0 ? virtio_place(back, device, disk) : strcmp(bus, "ide") == 0 ? ide_place(back, device, disk)
         : strcmp(bus, "scsi") == 0 ? scsi_place(back, device, disk) : strcmp(bus, "fdc") == 0 ? floppy_place(back, device, disk)
                                                                                               : usb_place(back, device, disk);
}

/* ---- a disk ----------------------------------------------------------------------------------------------------------------- */

static void thread_out(Value *device, XmlNode *disk)
{
    const char *thread = value_get_string(device, "iothread", NULL);
    uint64_t number;

    if (thread && g_str_has_prefix(thread, "iothread") && parse_uint(thread + strlen("iothread"), &number)) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, number);
        xml_store(disk, "driver@iothread", text);
        value_remove(device, "iothread");
    }
}

bool xml_back_disk(XmlBack *back, Value *device, XmlNode *disk, unsigned number)
{
    const char *driver = value_get_string(device, "driver", "");
    size_t m = 0;

    (void)number;
    for (; m < G_N_ELEMENTS(models) && strcmp(models[m].driver, driver) != 0; m++) {
    }
    if (m == G_N_ELEMENTS(models)) {
        return false;
    }
    bool is_disk = strcmp(models[m].kind, "disk") == 0, virtio = strcmp(models[m].bus, "virtio") == 0, scsi = strcmp(models[m].bus, "scsi") == 0;
    xml_set(disk, "type", "file");
    xml_set(disk, "device", models[m].kind);
    if (g_str_has_suffix(driver, "transitional")) {
        g_autofree char *model = g_strdup_printf("virtio-%s", driver + strlen("virtio-blk-pci-"));
        xml_set(disk, "model", model);
    }
    if (!image_out(back, device, disk, is_disk)) {
        return false;
    }
    g_autofree char *canonical = place_out(back, device, disk, models[m].bus), *wwn = xml_value_text(value_get(device, "wwn"));
    uint64_t name;
    xml_store(disk, "target@bus", models[m].bus);
    if (virtio) {
        thread_out(device, disk);
        xml_map_out(xml_virtio_blk_map, device, disk);
    }
    xml_map_out(xml_disk_map, device, disk);
    if (wwn && parse_uint(wwn, &name)) {
        g_autofree char *digits = g_strdup_printf("%016" PRIx64, name);
        xml_store(disk, "wwn", digits);
        value_remove(device, "wwn");
    }
    if (scsi) {
        xml_map_out(xml_scsi_disk_map, device, disk);
    }
    xml_back_common(back, device, disk, canonical);
    return true;
}

/* ---- drives of the board ------------------------------------------------------------------------------------------------------- */

/* The drive itself stands in for the device. */
static bool board_drive(XmlBack *back, Value *drive, XmlNode *disk, unsigned number)
{
    bool floppy = strcmp(value_get_string(drive, "if", ""), "floppy") == 0;
    bool cd = strcmp(value_get_string(drive, "media", ""), "cdrom") == 0;
    unsigned place = (unsigned)value_get_uint(drive, "index", 0);
    g_autofree char *dev = target_name(floppy ? "fd" : "hd", place);

    (void)number;
    g_ptr_array_add(back->pending, xml_back_find(back, "drives", "id", value_get_string(drive, "id", "")));
    xml_set(disk, "type", "file");
    xml_set(disk, "device", floppy ? "floppy" : cd ? "cdrom" : "disk");
    if (target_is_taken(back, dev) || !drive_out(drive, disk)) {
        return false;
    }
    xml_store(disk, "target@dev", dev);
    xml_store(disk, "target@bus", floppy ? "fdc" : "ide");
    return true;
}

void xml_back_drives(XmlBack *back)
{
    Value *drives = value_get(back->config.tree, "drives");

    for (size_t i = 0; i < value_length(drives);) {
        const char *type = value_get_string(value_at(drives, i), "if", "");
        bool of_the_board = strcmp(type, "ide") == 0 || strcmp(type, "floppy") == 0;
        if (!of_the_board || !xml_back_try(back, "disk", value_at(drives, i), board_drive, 0)) {
            if (!of_the_board) {
                value_set(value_at(drives, i), "if", value_new_string("none"));    /* its device is in the list already */
                value_remove(value_at(drives, i), "index");
            }
            i++;
        }
    }
}
