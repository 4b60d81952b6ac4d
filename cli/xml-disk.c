/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-disk.c - <disk> to -blockdev and -device
 *
 * Each disk has a node for its storage and one for its format, under libvirt's names: libvirt-N-storage and
 * libvirt-N-format, N counted from the last disk. Backing files that the domain names, and limits, get nodes between.
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "cli/xml-tables.h"
#include "cli/xml-work.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WIDE_UNITS = 15, SCSI_SELF = 7, IDE_PLACES = 4, PLACES_MOST = 1 << 16, BACKING_MOST = 32 };

typedef struct Disk {
    XmlWork *work;
    XmlNode *node, *target;
    const char *kind, *bus;                /* disk, cdrom, floppy; ide, scsi, virtio, fdc, usb */
    unsigned number, place;                /* N of its nodes' names; from its target: vda 0, vdb 1 */
    bool empty, read_only;
    char *top;                             /* the node that the device uses; NULL when it is empty */
} Disk;

/* ---- where it is ---------------------------------------------------------------------------------------------------- */

/* "vda" is 0, "vdz" 25, "vdaa" 26. */
static bool place_of(const char *letters, unsigned *place)
{
    unsigned n = 0;

    for (; g_ascii_islower(*letters) && n < PLACES_MOST; letters++) {
        n = n * 26 + (unsigned)(*letters - 'a') + 1;
    }
    *place = n - 1;
    return n && n < PLACES_MOST && !*letters;
}

static bool read_target(Disk *disk, GError **err)
{
    static const struct { const char *prefix, *bus; } prefixes[] = { { "hd", "ide" }, { "vd", "virtio" }, { "sd", "scsi" }, { "fd", "fdc" }, { "ubd", NULL } };
    const char *dev = xml_attribute(disk->target, "dev");

    disk->bus = xml_attribute(disk->target, "bus");
    if (!dev) {
        return xml_fail(disk->target ? disk->target : disk->node, err, EINVAL, "<target dev='vda' bus='virtio'/> is missing");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (g_str_has_prefix(dev, prefixes[i].prefix) && place_of(dev + 2, &disk->place)) {
            disk->bus = disk->bus ? disk->bus : prefixes[i].bus;
            return true;
        }
    }
    return xml_fail(disk->target, err, EINVAL, "dev='%.100s': a name is hda, vda, sda or fda, and so on", dev);
}

static bool read_kind(Disk *disk, GError **err)
{
    static const char *const kinds[] = { "disk", "cdrom", "floppy", NULL };
    const char *device = xml_attribute(disk->node, "device");

    disk->kind = device ? device : "disk";
    if (!g_strv_contains(kinds, disk->kind)) {
        return xml_fail(disk->node, err, ENOTSUP, "device='%.100s' is not supported; there are disk, cdrom and floppy", disk->kind);
    }
    disk->read_only = xml_child(disk->node, "readonly") || strcmp(disk->kind, "cdrom") == 0;
    return true;
}

/* ---- its storage ------------------------------------------------------------------------------------------------------ */

static bool inet_server(XmlNode *source, Value *keys, GError **err)
{
    XmlNode *host = xml_child(source, "host");
    const char *name = xml_attribute(host, "name"), *port = xml_attribute(host, "port"), *transport = xml_attribute(host, "transport");
    const char *socket = xml_attribute(host, "socket"), *exported = xml_attribute(source, "name");
    bool local = transport && strcmp(transport, "unix") == 0;

    if (transport && !local && strcmp(transport, "tcp") != 0) {
        return xml_fail(host, err, ENOTSUP, "transport='%.100s' is not supported; there are tcp and unix", transport);
    }
    if (local ? !socket : !name) {
        return xml_fail(host ? host : source, err, EINVAL, local ? "socket='PATH' is missing" : "<host name='...' port='10809'/> is missing");
    }
    value_set(keys, "driver", value_new_string("nbd"));
    value_set(keys, "server.type", value_new_string(local ? "unix" : "inet"));
    if (local) {
        value_set(keys, "server.path", value_new_string(socket));
    } else {
        value_set(keys, "server.host", value_new_string(name));
        value_set(keys, "server.port", value_new_string(port ? port : "10809"));
    }
    if (exported) {
        value_set(keys, "export", value_new_string(exported));
    }
    return true;
}

static bool volume_source(Disk *disk, XmlNode *source, Value *keys, GError **err)
{
    const char *pool = xml_attribute(source, "pool"), *volume = xml_attribute(source, "volume");

    if (!pool || !volume) {
        return xml_fail(source, err, EINVAL, "pool='...' and volume='...' are needed");
    }
    g_autofree char *path = xml_volume(disk->work, source, pool, volume, err);
    if (!path) {
        return false;
    }
    value_set(keys, "driver", value_new_string("file"));
    value_set(keys, "filename", value_new_string(path));
    return true;
}

/* A missing image of a removable drive leaves it empty where the domain says that this may be. */
static bool may_be_missing(const Disk *disk, XmlNode *source, const Value *keys)
{
    const char *policy = xml_attribute(source, "startupPolicy"), *file = value_get_string(keys, "filename", NULL);

    if (!policy || strcmp(policy, "mandatory") == 0 || !disk->work->options->has_model || !file || access(file, F_OK) == 0) {
        return false;
    }
    xml_warn(source, "'%s' is not there, and startupPolicy='%.20s' lets the drive be empty", file, policy);
    return true;
}

/* node is the <disk>, or a <backingStore>; *empty: it has no source. */
static bool storage(Disk *disk, XmlNode *node, Value *keys, bool *empty, GError **err)
{
    const char *type = xml_attribute(node, "type");
    XmlNode *source = xml_child(node, "source");
    bool removable = node == disk->node && strcmp(disk->kind, "disk") != 0, done;

    type = type ? type : "file";
    if (strcmp(type, "file") == 0) {
        value_set(keys, "driver", value_new_string("file"));
        done = xml_map_in(xml_file_map, node, keys, err);
    } else if (strcmp(type, "block") == 0) {
        value_set(keys, "driver", value_new_string(strcmp(disk->kind, "cdrom") == 0 ? "host_cdrom" : "host_device"));
        done = xml_map_in(xml_block_map, node, keys, err);
    } else if (strcmp(type, "volume") == 0) {
        done = !source || (volume_source(disk, source, keys, err) && xml_map_in(xml_file_map, node, keys, err));
    } else if (strcmp(type, "network") == 0) {
        const char *protocol = xml_attribute(source, "protocol");
        if (!protocol || strcmp(protocol, "nbd") != 0) {
            return xml_fail(source ? source : node, err, ENOTSUP, "protocol='%.100s' is not supported; there is nbd", protocol ? protocol : "");
        }
        done = inet_server(source, keys, err);
    } else {
        return xml_fail(node, err, ENOTSUP, "type='%.100s' is not supported; there are file, block, volume and network", type);
    }
    if (!done) {
        return false;
    }
    const char *filename = value_get_string(keys, "filename", NULL);
    *empty = !value_get(keys, "server.type") && (!filename || !*filename || may_be_missing(disk, source, keys));
    return !*empty || removable || xml_fail(source ? source : node, err, EINVAL, "the disk has no image: <source file='...'/>");
}

/* libvirt's modes, as bits: the host's page cache goes unused; flushes go unheard; the guest sees no write cache. */
static bool cache_mode(Disk *disk, Value *storage_keys, Value *device, GError **err)
{
    static const struct { const char *mode; bool direct, no_flush, write_cache; } modes[] = {
        { "none", true, false, true }, { "writeback", false, false, true }, { "writethrough", false, false, false },
        { "directsync", true, false, false }, { "unsafe", false, true, true } };
    XmlNode *driver = disk->node;
    const char *mode = xml_lookup(disk->node, "driver@cache", &driver);

    if (!mode || strcmp(mode, "default") == 0) {
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(mode, modes[i].mode) == 0) {
            value_set(storage_keys, "cache.direct", value_new_bool(modes[i].direct));
            value_set(storage_keys, "cache.no-flush", value_new_bool(modes[i].no_flush));
            if (strcmp(disk->kind, "disk") == 0) {
                value_set(device, "write-cache", value_new_string(modes[i].write_cache ? "on" : "off"));
            }
            return true;
        }
    }
    return xml_fail(driver, err, EINVAL, "cache='%.100s': there are default, none, writeback, writethrough, directsync and unsafe", mode);
}

/* ---- its nodes ---------------------------------------------------------------------------------------------------------- */

/* The chain that the domain tells: *below becomes the node's name, or NULL for "it ends here"; false in *told: ask the image. */
static bool backing_chain(Disk *disk, XmlNode *above, unsigned depth, char **below, bool *told, GError **err)
{
    XmlNode *node = xml_child(above, "backingStore"), *format_node = xml_child(node, "format");
    const char *format = xml_attribute(format_node, "type");
    g_autofree char *deeper = NULL;
    bool more, empty;

    *told = node != NULL;
    if (!node || !xml_attribute(node, "type")) {
        return true;
    }
    if (depth > BACKING_MOST) {
        return xml_fail(node, err, E2BIG, "there are more than %d backing files", BACKING_MOST);
    }
    g_autoptr(Value) store = value_new_object(), image = value_new_object();
    if (!storage(disk, node, store, &empty, err) || !backing_chain(disk, node, depth + 1, &deeper, &more, err)) {
        return false;
    }
    if (empty) {
        return xml_fail(node, err, EINVAL, "it has no <source file='...'/>");
    }
    *below = g_strdup_printf("libvirt-%u-format-%u", disk->number, depth);
    g_autofree char *name = g_strdup_printf("libvirt-%u-storage-%u", disk->number, depth);
    value_set(store, "node-name", value_new_string(name));
    value_set(store, "auto-read-only", value_new_bool(true));
    value_set(image, "driver", value_new_string(format ? format : "raw"));
    value_set(image, "node-name", value_new_string(*below));
    value_set(image, "read-only", value_new_bool(true));
    value_set(image, "file", value_new_string(name));
    if (more && strcmp(format ? format : "raw", "raw") != 0) {
        value_set(image, "backing", deeper ? value_new_string(deeper) : value_new_null());
    }
    xml_say_keys(disk->work, node, "blockdev", "driver", g_steal_pointer(&store));
    xml_say_keys(disk->work, node, "blockdev", "driver", g_steal_pointer(&image));
    return true;
}

static bool limits(Disk *disk, GError **err)
{
    g_autoptr(Value) group = value_new_object(), filter = value_new_object();
    XmlNode *iotune = xml_child(disk->node, "iotune");
    const char *shared = xml_lookup(iotune, "group_name", NULL);

    if (!iotune) {
        return true;
    }
    g_autofree char *id = shared ? g_strdup(shared) : g_strdup_printf("throttle-libvirt-%u", disk->number);
    value_set(group, "qom-type", value_new_string("throttle-group"));
    value_set(group, "id", value_new_string(id));
    if (!xml_map_in(xml_throttle_map, disk->node, group, err)) {
        return false;
    }
    bool first = true;
    for (guint i = 0; i < disk->work->arguments->len; i++) {
        const XmlArgument *argument = &g_array_index(disk->work->arguments, XmlArgument, i);
        g_autofree char *begin = g_strdup_printf("throttle-group,id=%s,", id);
        first = first && !(argument->text && g_str_has_prefix(argument->text, begin));
    }
    if (first) {
        xml_say_keys(disk->work, iotune, "object", "qom-type", g_steal_pointer(&group));
    }
    g_autofree char *name = g_strdup_printf("libvirt-%u-filter", disk->number);
    value_set(filter, "driver", value_new_string("throttle"));
    value_set(filter, "node-name", value_new_string(name));
    value_set(filter, "throttle-group", value_new_string(id));
    value_set(filter, "file", value_new_string(disk->top));
    xml_say_keys(disk->work, iotune, "blockdev", "driver", g_steal_pointer(&filter));
    g_free(disk->top);
    disk->top = g_steal_pointer(&name);
    return true;
}

static bool nodes(Disk *disk, Value *device, GError **err)
{
    g_autoptr(Value) store = value_new_object(), image = value_new_object();
    g_autofree char *below = NULL, *storage_name = g_strdup_printf("libvirt-%u-storage", disk->number);
    XmlNode *source = disk->node;
    bool told;

    if (!storage(disk, disk->node, store, &disk->empty, err) || !cache_mode(disk, store, device, err) ||
        !xml_map_in(xml_format_map, disk->node, image, err)) {
        return false;
    }
    if (disk->empty) {
        xml_child(disk->node, "backingStore");
        return true;
    }
    if (!backing_chain(disk, disk->node, 1, &below, &told, err)) {
        return false;
    }
    disk->top = g_strdup_printf("libvirt-%u-format", disk->number);
    value_set(store, "node-name", value_new_string(storage_name));
    value_set(store, "auto-read-only", value_new_bool(true));
    value_set(store, "discard", value_new_string("unmap"));
    g_autofree char *format = g_strdup(value_get_string(image, "driver", "raw"));
    g_autoptr(Value) whole = value_new_object();
    value_set(whole, "driver", value_new_string(format));
    value_set(whole, "node-name", value_new_string(disk->top));
    value_set(whole, "read-only", value_new_bool(disk->read_only));
    value_remove(image, "driver");
    for (size_t i = 0; i < value_length(image); i++) {
        value_set(whole, value_key_at(image, i), value_ref(value_member_at(image, i)));
    }
    value_set(whole, "file", value_new_string(storage_name));
    if (told && strcmp(format, "raw") != 0) {
        value_set(whole, "backing", below ? value_new_string(below) : value_new_null());
    }
    xml_lookup(disk->node, "source", &source);
    xml_say_keys(disk->work, source, "blockdev", "driver", g_steal_pointer(&store));
    xml_say_keys(disk->work, source, "blockdev", "driver", g_steal_pointer(&whole));
    return limits(disk, err);
}

/* ---- its device ----------------------------------------------------------------------------------------------------------- */

typedef struct Place { uint64_t controller, bus, target, unit; } Place;

/* <address type='drive'> says it, or the target's name does. */
static bool drive_place(Disk *disk, Place *place, GError **err)
{
    static const char *const names[] = { "controller", "bus", "target", "unit" };
    XmlNode *address = xml_child(disk->node, "address");
    uint64_t *const fields[] = { &place->controller, &place->bus, &place->target, &place->unit };
    const char *type = xml_attribute(address, "type");

    if (address && (!type || strcmp(type, "drive") != 0)) {
        return xml_fail(address, err, ENOTSUP, "an address of type '%.100s' is not for a disk on bus='%s'; it takes type='drive'", type ? type : "", disk->bus);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *text = xml_attribute(address, names[i]);
        if (text && !xml_number(address, names[i], text, 16383, fields[i], err)) {
            return false;
        }
    }
    return true;
}

static Value *ide_device(Disk *disk, GError **err)
{
    Place place = { .bus = disk->place / 2, .unit = disk->place % 2 };
    bool cd = strcmp(disk->kind, "cdrom") == 0;

    if (!drive_place(disk, &place, err)) {
        return NULL;
    }
    if (place.controller || place.target || place.bus > 1 || place.unit > 1) {
        xml_fail(disk->target, err, EINVAL, "there are %d places for bus='ide': hda to hdd; bus='virtio' or bus='scsi' has more", IDE_PLACES);
        return NULL;
    }
    Value *device = xml_device(cd ? "ide-cd" : "ide-hd", disk->node, "ide0-%" PRIu64 "-%" PRIu64, place.bus, place.unit);
    g_autofree char *bus = g_strdup_printf("ide.%" PRIu64, place.bus);
    value_set(device, "bus", value_new_string(bus));
    value_set(device, "unit", value_new_uint(place.unit));
    return device;
}

/* A wide bus has 16 places, and number 7 is the adapter's own. */
static Value *scsi_device(Disk *disk, GError **err)
{
    unsigned unit = disk->place % WIDE_UNITS;
    Place place = { .controller = disk->place / WIDE_UNITS, .unit = unit + (unit >= SCSI_SELF) };
    bool cd = strcmp(disk->kind, "cdrom") == 0;

    if (!drive_place(disk, &place, err)) {
        return NULL;
    }
    Value *device = xml_device(cd ? "scsi-cd" : "scsi-hd", disk->node, "scsi%" PRIu64 "-%" PRIu64 "-%" PRIu64 "-%" PRIu64, place.controller,
                               place.bus, place.target, place.unit);
    g_autofree char *bus = g_strdup_printf("scsi%" PRIu64 ".0", place.controller);
    g_autofree char *name = g_strdup_printf("drive-scsi%" PRIu64 "-%" PRIu64 "-%" PRIu64 "-%" PRIu64, place.controller, place.bus, place.target, place.unit);
    value_set(device, "bus", value_new_string(bus));
    value_set(device, "channel", value_new_uint(place.bus));
    value_set(device, "scsi-id", value_new_uint(place.target));
    value_set(device, "lun", value_new_uint(place.unit));
    value_set(device, "device_id", value_new_string(name));
    if (!xml_map_in(xml_scsi_disk_map, disk->node, device, err)) {
        g_clear_pointer(&device, value_unref);
    }
    return device;
}

static Value *virtio_device(Disk *disk, GError **err)
{
    const char *suffix = xml_virtio_suffix(disk->node, "@model", "virtio", err), *thread = xml_lookup(disk->node, "driver@iothread", NULL);
    g_autofree char *driver = g_strdup_printf("virtio-blk-pci%s", suffix ? suffix : "");
    uint64_t number;

    if (!suffix) {
        return NULL;
    }
    Value *device = xml_device(driver, disk->node, "virtio-disk%u", disk->place);
    bool done = xml_pci_place(disk->node, device, err) && xml_map_in(xml_virtio_blk_map, disk->node, device, err);
    if (done && thread) {
        done = xml_number(xml_child(disk->node, "driver"), "iothread", thread, UINT16_MAX, &number, err);
        g_autofree char *id = g_strdup_printf("iothread%s", thread);
        value_set(device, "iothread", value_new_string(id));
    }
    if (!done) {
        g_clear_pointer(&device, value_unref);
    }
    return device;
}

static Value *floppy_device(Disk *disk, GError **err)
{
    Place place = { .unit = disk->place };

    if (!drive_place(disk, &place, err)) {
        return NULL;
    }
    if (place.controller || place.bus || place.target || place.unit > 1) {
        xml_fail(disk->target, err, EINVAL, "there are two floppy drives: fda and fdb");
        return NULL;
    }
    Value *device = xml_device("floppy", disk->node, "fdc0-0-%" PRIu64, place.unit);
    value_set(device, "unit", value_new_uint(place.unit));
    return device;
}

static Value *usb_device(Disk *disk, GError **err)
{
    Value *device = xml_device("usb-storage", disk->node, "usb-disk%u", disk->place);
    const char *removable = xml_attribute(disk->target, "removable");

    (void)err;
    xml_ignore_child(disk->node, "address");
    value_set(device, "bus", value_new_string("usb.0"));
    if (removable) {
        value_set(device, "removable", value_new_bool(strcmp(removable, "on") == 0));
    }
    return device;
}

static Value *new_device(Disk *disk, GError **err)
{
    static const struct { const char *bus; Value *(*make)(Disk *disk, GError **err); } buses[] = {
        { "ide", ide_device }, { "scsi", scsi_device }, { "virtio", virtio_device }, { "fdc", floppy_device }, { "usb", usb_device } };
    bool floppy = strcmp(disk->kind, "floppy") == 0;

    if (floppy != (strcmp(disk->bus, "fdc") == 0)) {
        xml_fail(disk->target, err, EINVAL, "bus='%s' is not for device='%s'", disk->bus, disk->kind);
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(buses); i++) {
        if (strcmp(disk->bus, buses[i].bus) == 0) {
            return buses[i].make(disk, err);
        }
    }
    xml_fail(disk->target, err, ENOTSUP, "bus='%.100s' is not supported; there are ide, scsi, virtio, fdc and usb", disk->bus);
    return NULL;
}

/* 16 hexadecimal digits, which the property takes as a number. */
static bool world_wide_name(Disk *disk, Value *device, GError **err)
{
    XmlNode *node = xml_child(disk->node, "wwn");
    const char *text = xml_text(node);
    guint64 number;

    if (!node) {
        return true;
    }
    if (strlen(text) != 16 || !g_ascii_string_to_unsigned(text, 16, 0, UINT64_MAX, &number, NULL)) {
        return xml_fail(node, err, EINVAL, "'%.100s' is not 16 hexadecimal digits", text);
    }
    g_autofree char *spelled = g_strdup_printf("0x%s", text);
    value_set(device, "wwn", value_new_string(spelled));
    return true;
}

static bool translate(Disk *disk, GError **err)
{
    if (!read_kind(disk, err) || !read_target(disk, err)) {
        return false;
    }
    Value *device = new_device(disk, err);
    if (!device) {
        return false;
    }
    if (!nodes(disk, device, err) || !xml_map_in(xml_disk_map, disk->node, device, err) || !world_wide_name(disk, device, err) ||
        !xml_boot_place(disk->work, disk->node, device, err)) {
        value_unref(device);
        return false;
    }
    if (disk->top) {
        value_set(device, "drive", value_new_string(disk->top));
    }
    xml_say_device(disk->work, disk->node, device);
    return true;
}

bool xml_disks(XmlWork *work, XmlNode *devices, GError **err)
{
    unsigned number = 0;

    for (XmlNode *node = xml_next(devices, NULL, "disk"); node; node = xml_next(devices, node, "disk")) {
        number++;
    }
    for (XmlNode *node = xml_next(devices, NULL, "disk"); node; node = xml_next(devices, node, "disk")) {
        Disk disk = { .work = work, .node = node, .target = xml_child(node, "target"), .number = number-- };
        xml_begin(work);
        bool done = translate(&disk, err);
        g_free(disk.top);
        if (!done) {
            return false;
        }
        xml_end(work, node);
    }
    return true;
}
