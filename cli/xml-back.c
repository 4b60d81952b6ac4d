/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-back.c - options to a domain file: what stands beside <devices>, and what no element can say
 *
 * Tests    tests/xml/back.py
 */
#include "cli/xml-back.h"
#include "cli/xml-tables.h"
#include "base/option.h"
#include "cli/run.h"
#include "hw/core/exit-status.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the tree's parts ---------------------------------------------------------------------------------------------- */

Value *xml_back_find(const XmlBack *back, const char *list, const char *key, const char *name)
{
    const Value *items = value_get(back->config.tree, list);

    for (size_t i = 0; name && i < value_length(items); i++) {
        if (strcmp(value_get_string(value_at(items, i), key, ""), name) == 0) {
            return value_at(items, i);
        }
    }
    return NULL;
}

static void flatten(Value *out, const char *prefix, const Value *object)
{
    for (size_t i = 0; i < value_length(object); i++) {
        Value *member = value_member_at(object, i);
        g_autofree char *key = g_strdup_printf("%s%s", prefix, value_key_at(object, i));
        g_autofree char *longer = g_strdup_printf("%s.", key);
        if (value_kind(member) == VALUE_OBJECT) {
            flatten(out, longer, member);
        } else {
            value_set(out, key, value_ref(member));
        }
    }
}

Value *xml_back_flat(const Value *object)
{
    Value *out = value_new_object();

    flatten(out, "", object);
    return out;
}

static void remove_pending(XmlBack *back)
{
    static const char *const lists[] = { "blockdevs", "drives", "objects", "chardevs", "netdevs" };

    for (size_t l = 0; l < G_N_ELEMENTS(lists); l++) {
        Value *list = value_get(back->config.tree, lists[l]);
        for (size_t i = value_length(list); i-- > 0;) {
            if (g_ptr_array_find(back->pending, value_at(list, i), NULL)) {
                value_remove_at(list, i);
            }
        }
    }
}

/* In libvirt's order, whatever was found first. */
static int rank(const XmlNode *node)
{
    static const char *const order[] = { "driver", "mac", "source", "ip", "protocol", "log", "backingStore", "blockio", "geometry", "target", "iotune",
                                         "readonly", "shareable", "serial", "wwn", "vendor", "product", "script", "model", "mtu", "master", "rate", "stats",
                                         "backend", "boot", "alias", "address" };
    int place = 0;

    while (place < (int)G_N_ELEMENTS(order) && strcmp(order[place], node->name) != 0) {
        place++;
    }
    return place;
}

static int by_rank(gconstpointer a, gconstpointer b)
{
    const XmlNode *one = *(const XmlNode *const *)a, *other = *(const XmlNode *const *)b;
    int difference = rank(one) - rank(other);

    return difference ? difference : one->index < other->index ? -1 : 1;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    static const char *const order[] = { "name", "type", "cache" };
    const char *one = ((const XmlAttribute *)a)->name, *other = ((const XmlAttribute *)b)->name;

    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        if (strcmp(one, order[i]) == 0 || strcmp(other, order[i]) == 0) {
            return strcmp(other, order[i]) == 0 ? 1 : -1;
        }
    }
    return strcmp(one, other);
}

static void order_children(XmlNode *node)
{
    g_ptr_array_sort(node->children, by_rank);
    for (guint i = 0; i < node->children->len; i++) {
        XmlNode *child = node->children->pdata[i];
        child->index = i;
        if (strcmp(child->name, "driver") == 0) {
            g_array_sort(child->attributes, by_name);                 /* several options say them, in any order */
        }
    }
}

bool xml_back_try(XmlBack *back, const char *element, const Value *device, XmlBackConvert *convert, unsigned number)
{
    g_autoptr(Value) copy = xml_back_flat(device);
    XmlNode *node = xml_node_new(back->document, back->devices, element);

    g_ptr_array_set_size(back->pending, 0);
    if (!convert(back, copy, node, number) || value_length(copy)) {
        xml_drop(node);
        return false;
    }
    remove_pending(back);
    order_children(node);
    return true;
}

/* "0x5", "05.1": to <address type='pci'>. */
static bool pci_place(const char *addr, const Value *multifunction, XmlNode *node)
{
    unsigned slot, function = 0;
    int end = 0;
    bool whole = sscanf(addr, "%x.%x%n", &slot, &function, &end) == 2 && !addr[end];

    if (!whole) {
        function = 0;
        whole = sscanf(addr, "%x%n", &slot, &end) == 1 && !addr[end];
    }
    if (!whole || slot > 31 || function > 7) {
        return false;
    }
    XmlNode *address = xml_node_new(node->document, node, "address");
    g_autofree char *slot_text = g_strdup_printf("0x%02x", slot), *function_text = g_strdup_printf("0x%x", function);
    g_autofree char *many = xml_value_text(multifunction);
    xml_set(address, "type", "pci");
    xml_set(address, "domain", "0x0000");
    xml_set(address, "bus", "0x00");
    xml_set(address, "slot", slot_text);
    xml_set(address, "function", function_text);
    if (many) {
        xml_set(address, "multifunction", many);
    }
    return true;
}

void xml_back_common(XmlBack *back, Value *device, XmlNode *node, const char *canonical)
{
    const char *id = value_get_string(device, "id", NULL), *bus = value_get_string(device, "bus", NULL);
    g_autofree char *addr = xml_value_text(value_get(device, "addr")), *boot = xml_value_text(value_get(device, "bootindex"));
    uint64_t index;

    if (boot && parse_uint(boot, &index) && index < G_MAXINT32) {
        g_autofree char *order = g_strdup_printf("%" PRIu64, index + back->boot_shift);
        xml_store(node, "boot@order", order);
        value_remove(device, "bootindex");
    }
    if (id && (!canonical || strcmp(id, canonical) != 0)) {
        g_autofree char *alias = g_strdup_printf("%s%s", g_str_has_prefix(id, "ua-") ? "" : "ua-", id);
        xml_store(node, "alias@name", alias);
    }
    value_remove(device, "id");
    value_remove(device, "driver");
    if (bus && strcmp(bus, "pci.0") == 0 && (!addr || pci_place(addr, value_get(device, "multifunction"), node))) {
        value_remove(device, "bus");
        value_remove(device, "addr");
        value_remove(device, addr ? "multifunction" : "");
    } else if (!bus && addr && pci_place(addr, value_get(device, "multifunction"), node)) {
        value_remove(device, "addr");
        value_remove(device, "multifunction");
    }
}

/* ---- head of the domain ------------------------------------------------------------------------------------------------ */

static void move_text(Value *from, const char *key, XmlNode *node, const char *path)
{
    g_autofree char *text = xml_value_text(value_get(from, key));

    if (text && *text) {
        xml_store(node, path, text);
    }
    value_remove(from, key);
}

/* Elements that were kept, by name; NULL: those that no other place takes. */
static void kept(XmlBack *back, const char *const *names)
{
    static const char *const placed[] = { "title", "description", "metadata", "seclabel", NULL };
    const Value *list = value_get(back->config.tree, "domain-xml");

    for (size_t i = 0; i < value_length(list); i++) {
        const char *text = value_string(value_at(list, i));
        g_autoptr(XmlDocument) document = xml_parse("the element", text, strlen(text), NULL);
        const char *name = document ? document->root->name : "";
        if (document && (names ? g_strv_contains(names, name) : !g_strv_contains(placed, name))) {
            xml_node_new(back->document, back->root, name)->verbatim = g_strdup(text);
        }
    }
}

/* In whole MiB, as the way there rounds up. */
static void kibibytes(XmlNode *node, const char *path, uint64_t bytes)
{
    g_autofree char *number = g_strdup_printf("%" PRIu64, ((bytes >> 20) + ((bytes & 0xfffff) != 0)) << 10), *unit = g_strdup_printf("%s@unit", path);

    xml_store(node, path, number);
    xml_store(node, unit, "KiB");
}

static void back_memory(XmlBack *back)
{
    Value *memory = config_object(&back->config, "memory"), *machine = config_object(&back->config, "machine");
    uint64_t size = value_get_uint(memory, "size", UINT64_C(128) << 20), most = value_get_uint(memory, "maxmem", 0);

    if (most) {
        kibibytes(back->root, "maxMemory", most);
        move_text(memory, "slots", back->root, "maxMemory@slots");
    }
    kibibytes(back->root, "memory", size);
    move_text(machine, "dump-guest-core", back->root, "memory@dumpCore");
    kibibytes(back->root, "currentMemory", size);
    value_remove(back->config.tree, "memory");
    if (value_get_bool(value_get(back->config.tree, "overcommit"), "mem-lock", false)) {
        xml_make(back->root, "memoryBacking/locked");
    }
    if (!value_get_bool(value_get(back->config.tree, "overcommit"), "cpu-pm", false)) {
        value_remove(back->config.tree, "overcommit");
    }
}

static void back_processors(XmlBack *back)
{
    const Value *smp = value_get(back->config.tree, "smp");
    uint64_t cpus = value_get_uint(smp, "cpus", 1), most = value_get_uint(smp, "maxcpus", cpus);
    g_autofree char *number = g_strdup_printf("%" PRIu64, most), *current = g_strdup_printf("%" PRIu64, cpus);

    xml_store(back->root, "vcpu", number);
    xml_store(back->root, "vcpu@placement", "static");
    if (cpus != most) {
        xml_store(back->root, "vcpu@current", current);
    }
}

/* <iothreads> counts; where the numbers are not 1 to n, <iothreadids> tells them. */
static void back_threads(XmlBack *back)
{
    Value *objects = value_get(back->config.tree, "objects");
    XmlNode *ids = NULL;
    unsigned count = 0;

    for (size_t i = 0; i < value_length(objects); i++) {
        const Value *object = value_at(objects, i);
        const char *id = value_get_string(object, "id", "");
        uint64_t number;
        if (strcmp(value_get_string(object, "qom-type", ""), "iothread") != 0 || value_length(object) != 2 || !g_str_has_prefix(id, "iothread") ||
            !parse_uint(id + strlen("iothread"), &number) || number == 0) {
            continue;
        }
        if (!ids) {
            xml_make(back->root, "iothreads");
            ids = xml_node_new(back->document, back->root, "iothreadids");
        }
        g_autofree char *text = g_strdup_printf("%" PRIu64, number);
        xml_set(xml_node_new(back->document, ids, "iothread"), "id", text);
        count++;
        value_remove_at(objects, i--);
    }
    if (ids) {
        g_autofree char *text = g_strdup_printf("%u", count);
        xml_store(back->root, "iothreads", text);
    }
}

/* "type=1" alone says nothing. */
static void drop_empty_structures(XmlBack *back)
{
    Value *list = value_get(back->config.tree, "smbios");

    for (size_t i = value_length(list); i-- > 0;) {
        if (value_length(value_at(list, i)) == 1 && value_get(value_at(list, i), "type")) {
            value_remove_at(list, i);
        }
    }
}

static void back_os(XmlBack *back)
{
    static const char *const files[][2] = { { "firmware", "loader" }, { "kernel", "kernel" }, { "initrd", "initrd" }, { "append", "cmdline" } };
    Value *boot = config_object(&back->config, "boot"), *machine = config_object(&back->config, "machine");
    XmlNode *os = xml_make(back->root, "os");
    bool strict = value_get_flag(boot, "strict", false);
    g_autofree char *append = g_strdup(value_get_string(boot, "append", NULL));

    xml_store(os, "type", "hvm");
    xml_store(os, "type@arch", "x86_64");
    xml_store(os, "type@machine", value_get_string(machine, "type", "pc"));
    value_remove(machine, "type");
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        move_text(boot, files[i][0], os, files[i][1]);
    }
    if (append && *append) {
        g_string_assign(xml_make(os, "cmdline")->text, append);       /* with the spaces around it */
    }
    xml_map_out(xml_boot_map, boot, os);
    value_remove(boot, "strict");
    if (!strict) {
        value_set(boot, "strict", value_new_string("off"));           /* a domain has it on */
    }
    drop_empty_structures(back);
    if (value_length(value_get(back->config.tree, "smbios"))) {
        xml_store(os, "smbios@mode", "sysinfo");
    }
}

static void back_features(XmlBack *back)
{
    Value *tree = back->config.tree, *machine = value_get(tree, "machine");
    XmlNode *features = xml_make(back->root, "features");

    if (!value_get_bool(tree, "no-acpi", false) && value_get_flag(machine, "acpi", true)) {
        xml_make(features, "acpi");
    }
    value_remove(tree, "no-acpi");
    value_remove(machine, "acpi");
    xml_make(features, "apic");
    xml_map_out(xml_machine_map, machine, back->root);
}

static bool cpu_features(const Value *list, XmlNode *cpu)
{
    for (size_t i = 0; i < value_length(list); i++) {
        const Value *item = value_at(list, i);
        const char *name = value_get_string(item, "name", "");
        XmlNode *model = xml_child(cpu, "model");
        bool on;
        if (strcmp(name, "vendor") == 0 && model) {
            xml_set(model, "vendor_id", value_get_string(item, "value", ""));
            continue;
        }
        if (!value_to_bool(value_get(item, "on"), &on)) {
            return false;
        }
        if (strcmp(name, "migratable") == 0 && !model) {
            xml_set(cpu, "migratable", on ? "on" : "off");
            continue;
        }
        XmlNode *feature = xml_node_new(cpu->document, cpu, "feature");
        xml_set(feature, "policy", on ? "require" : "disable");
        xml_set(feature, "name", name);
    }
    return true;
}

static void back_topology(const Value *smp, XmlNode *cpu)
{
    static const char *const names[] = { "sockets", "dies", "cores", "threads" };
    uint64_t most = value_get_uint(smp, "maxcpus", 1);

    if (!smp || value_get_uint(smp, "sockets", most) == most) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_strdup_printf("topology@%s", names[i]), *number = xml_value_text(value_get(smp, names[i]));
        if (number) {
            xml_store(cpu, path, number);
        }
    }
}

/* The option as it was written, where an element cannot say it. */
static char *cpu_text(const Value *cpu)
{
    GString *text = g_string_new(value_get_string(cpu, "model", "qemu64"));
    const Value *list = value_get(cpu, "features");

    for (size_t i = 0; i < value_length(list); i++) {
        const Value *item = value_at(list, i);
        g_autofree char *value = xml_value_text(value_get(item, value_get(item, "on") ? "on" : "value"));
        g_string_append_printf(text, ",%s=%s", value_get_string(item, "name", ""), value);
    }
    return g_string_free(text, FALSE);
}

static void back_cpu(XmlBack *back)
{
    Value *tree = back->config.tree;
    const Value *cpu = value_get(tree, "cpu"), *smp = value_get(tree, "smp");
    const char *model = value_get_string(cpu, "model", NULL);
    bool kvm = strcmp(xml_attribute(back->root, "type"), "kvm") == 0;
    XmlNode *node = xml_make(back->root, "cpu");

    if (model && strcmp(model, "host") == 0 && kvm) {
        xml_set(node, "mode", "host-passthrough");
        xml_set(node, "check", "none");
    } else if (model && strcmp(model, "max") == 0) {
        xml_set(node, "mode", "maximum");
        xml_set(node, "check", "none");
    } else if (model) {
        xml_set(node, "mode", "custom");
        xml_set(node, "match", "exact");
        xml_set(node, "check", "none");
        xml_store(node, "model", model);
        xml_store(node, "model@fallback", "forbid");
    }
    back_topology(smp, node);
    if (!cpu_features(value_get(cpu, "features"), node)) {
        g_autofree char *text = cpu_text(cpu);
        xml_drop(node);
        back_topology(smp, xml_make(back->root, "cpu"));
        xml_back_raw(back, "cpu", text);
    }
    node = xml_child(back->root, "cpu");
    if (node->children->len == 0 && node->attributes->len == 0) {
        xml_drop(node);
    }
    value_remove(tree, "cpu");
    value_remove(tree, "smp");
}

static void back_clock(XmlBack *back)
{
    Value *rtc = config_object(&back->config, "rtc");
    XmlNode *clock = xml_make(back->root, "clock"), *timer;
    const char *base = value_get_string(rtc, "base", "utc");
    bool zoned = strcmp(base, "utc") == 0 || strcmp(base, "localtime") == 0;
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autofree char *whole = strchr(base, 'T') ? g_strdup(base) : g_strdup_printf("%sT00:00:00", base);
    g_autoptr(GDateTime) date = zoned ? NULL : g_date_time_new_from_iso8601(whole, utc);

    if (date && g_date_time_to_unix(date) >= 0) {
        g_autofree char *seconds = g_strdup_printf("%" PRId64, g_date_time_to_unix(date));
        xml_set(clock, "offset", "absolute");
        xml_set(clock, "start", seconds);
        value_remove(rtc, "base");
    } else {
        xml_set(clock, "offset", zoned ? base : "utc");
        value_remove(rtc, zoned ? "base" : "");
    }
    timer = xml_node_new(back->document, clock, "timer");
    xml_set(timer, "name", "rtc");
    xml_map_out(xml_rtc_map, rtc, timer);
    if (timer->attributes->len == 1) {
        xml_drop(timer);
    }
    if (value_get_bool(back->config.tree, "no-hpet", false)) {
        timer = xml_node_new(back->document, clock, "timer");
        xml_set(timer, "name", "hpet");
        xml_set(timer, "present", "no");
    }
    value_remove(back->config.tree, "no-hpet");
}

static void back_events(XmlBack *back)
{
    Value *action = config_object(&back->config, "action");
    Value *run = value_get(back->config.tree, "run");
    g_autofree char *watchdog = xml_value_text(value_get(action, "watchdog"));

    if (value_get_bool(run, "no-reboot", false) && !value_get(action, "reboot")) {
        value_set(action, "reboot", value_new_string("shutdown"));
        value_remove(run, "no-reboot");
    }
    if (value_get_bool(run, "no-shutdown", false) && !value_get(action, "shutdown")) {
        value_set(action, "shutdown", value_new_string("pause"));
        value_remove(run, "no-shutdown");
    }
    value_remove(run, "debug-threads");
    if (watchdog && !xml_child(back->devices, "watchdog")) {
        g_autoptr(Value) rest = value_copy(action);
        value_remove(rest, "watchdog");
        xml_map_out(xml_event_map, rest, back->root);                 /* its element would be a device */
        g_autofree char *text = g_strdup_printf("watchdog=%s", watchdog);
        xml_back_raw(back, "action", text);
        value_remove(back->config.tree, "action");
        return;
    }
    value_remove(action, watchdog ? "watchdog" : "");
    xml_map_out(xml_event_map, action, back->root);
    if (watchdog) {
        xml_set(xml_child(back->devices, "watchdog"), "action", watchdog);
    }
}

static void back_power(XmlBack *back)
{
    static const char *const states[][2] = { { "disable_s3", "pm/suspend-to-mem@enabled" }, { "disable_s4", "pm/suspend-to-disk@enabled" } };
    Value *globals = value_get(back->config.tree, "globals");

    for (size_t s = 0; s < G_N_ELEMENTS(states); s++) {
        for (size_t i = 0; i < value_length(globals); i++) {
            const Value *global = value_at(globals, i);
            const char *value = value_get_string(global, "value", "");
            if (strcmp(value_get_string(global, "driver", ""), "PIIX4_PM") == 0 && strcmp(value_get_string(global, "property", ""), states[s][0]) == 0 &&
                (strcmp(value, "0") == 0 || strcmp(value, "1") == 0)) {
                xml_store(back->root, states[s][1], *value == '1' ? "no" : "yes");
                value_remove_at(globals, i--);
            }
        }
    }
}

/* ---- <sysinfo> ------------------------------------------------------------------------------------------------------------ */

static void back_sysinfo(XmlBack *back)
{
    static const struct { uint64_t type; const char *part; } parts[] = { { 0, "bios" }, { 1, "system" }, { 2, "baseBoard" }, { 3, "chassis" }, { 11, "oemStrings" } };
    Value *list = value_get(back->config.tree, "smbios"), *files = value_get(back->config.tree, "fw_cfg");
    XmlNode *node = NULL;

    for (size_t i = 0; i < value_length(list); i++) {
        g_autoptr(Value) copy = value_copy(value_at(list, i));
        uint64_t type = value_get_uint(copy, "type", UINT64_MAX);
        for (size_t p = 0; p < G_N_ELEMENTS(parts); p++) {
            if (parts[p].type != type || (type == 11 && !value_get(copy, "value"))) {
                continue;
            }
            node = node ? node : xml_node_new(back->document, back->root, "sysinfo");
            xml_set(node, "type", "smbios");
            XmlNode *part = type == 11 ? xml_make(node, parts[p].part) : xml_node_new(back->document, node, parts[p].part);
            value_remove(copy, "type");
            for (size_t k = 0; k < value_length(copy); k++) {
                g_autofree char *text = xml_value_text(value_member_at(copy, k));
                XmlNode *entry = xml_node_new(back->document, part, "entry");
                if (type != 11) {
                    xml_set(entry, "name", value_key_at(copy, k));
                }
                xml_set_text(entry, text);
            }
            value_remove_at(list, i--);
            break;
        }
    }
    for (size_t i = 0; i < value_length(files); i++) {
        if (i == 0) {
            node = xml_node_new(back->document, back->root, "sysinfo");
            xml_set(node, "type", "fwcfg");
        }
        const char *file = value_get_string(value_at(files, i), "file", NULL);
        XmlNode *entry = xml_node_new(back->document, node, "entry");
        xml_set(entry, "name", value_get_string(value_at(files, i), "name", ""));
        if (file) {
            xml_set(entry, "file", file);
        } else {
            xml_set_text(entry, value_get_string(value_at(files, i), "string", ""));
        }
    }
    value_remove(back->config.tree, "fw_cfg");
}

/* ---- what is left --------------------------------------------------------------------------------------------------------- */

static void left_list(XmlBack *back, const char *list_name, const char *option, const char *implied)
{
    const OptionGrammar grammar = { .who = "", .implied = implied };
    const Value *list = value_get(back->config.tree, list_name);

    for (size_t i = 0; i < value_length(list); i++) {
        g_autoptr(Value) flat = xml_back_flat(value_at(list, i));
        g_autofree char *text = option_print(&grammar, flat);
        xml_back_raw(back, option, text);
    }
}

static void left_object(XmlBack *back, const char *name, const char *option)
{
    const OptionGrammar grammar = { .who = "" };
    const Value *object = value_get(back->config.tree, name);

    if (value_length(object)) {
        g_autofree char *text = option_print(&grammar, object);
        xml_back_raw(back, option, text);
    }
}

static void left_globals(XmlBack *back)
{
    const Value *list = value_get(back->config.tree, "globals");

    for (size_t i = 0; i < value_length(list); i++) {
        const Value *global = value_at(list, i);
        g_autofree char *text = g_strdup_printf("%s.%s=%s", value_get_string(global, "driver", ""), value_get_string(global, "property", ""),
                                                value_get_string(global, "value", ""));
        xml_back_raw(back, "global", text);
    }
}

static void left_over(XmlBack *back)
{
    const Value *run = value_get(back->config.tree, "run"), *serials = value_get(back->config.tree, "serials");
    const char *process = value_get_string(run, "process", NULL);

    if (process) {
        g_autofree char *text = g_strdup_printf("process=%s", process);
        xml_back_raw(back, "name", text);
    }
    if (value_get_bool(run, "no-reboot", false)) {
        xml_back_raw(back, "no-reboot", NULL);
    }
    if (value_get_bool(run, "no-shutdown", false)) {
        xml_back_raw(back, "no-shutdown", NULL);
    }
    left_object(back, "machine", "machine");
    left_object(back, "boot", "boot");
    left_object(back, "rtc", "rtc");
    left_object(back, "action", "action");
    left_object(back, "overcommit", "overcommit");
    left_globals(back);
    left_list(back, "objects", "object", "qom-type");
    left_list(back, "chardevs", "chardev", "backend");
    left_list(back, "blockdevs", "blockdev", "driver");
    left_list(back, "drives", "drive", NULL);
    left_list(back, "netdevs", "netdev", "type");
    left_list(back, "devices", "device", "driver");
    for (size_t i = 0; i < value_length(serials); i++) {
        const char *id = value_string(value_at(serials, i));
        if (id) {
            g_autofree char *text = g_strdup_printf("isa-serial,chardev=%s,index=%zu", id, i);
            xml_back_raw(back, "device", text);
        }
    }
    left_list(back, "vncs", "vnc", "vnc");
    left_list(back, "smbios", "smbios", NULL);
    left_list(back, "monitors", "mon", NULL);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------- */

/* kvm, or kvm with the software CPU behind it, or that alone: more than that is told by options. */
static const char *kind_of(XmlBack *back)
{
    const Value *list = value_get(back->config.tree, "accel");
    bool kvm = false, plain = true;

    for (size_t i = 0; i < value_length(list); i++) {
        const char *name = value_get_string(value_at(list, i), "name", "");
        kvm |= strcmp(name, "kvm") == 0;
        plain &= value_length(value_at(list, i)) == 1 && strcmp(name, i ? "tcg" : kvm ? "kvm" : "tcg") == 0 && i < 2;
    }
    for (size_t i = 0; i < value_length(list) && !plain; i++) {
        Value *item = value_at(list, i);
        const OptionGrammar grammar = { .who = "", .implied = "name" };
        g_autofree char *text = option_print(&grammar, item);
        xml_back_raw(back, "accel", text);
    }
    return kvm || !list ? "kvm" : "qemu";
}

static void fill(XmlBack *back)
{
    static const char *const first[] = { "title", "description", "metadata", NULL }, *const last[] = { "seclabel", NULL };
    Value *tree = back->config.tree;

    xml_set(back->root, "type", kind_of(back));
    xml_store(back->root, "name", value_get_string(tree, "name", "guest"));
    if (value_get(tree, "uuid")) {
        xml_store(back->root, "uuid", value_get_string(tree, "uuid", ""));
    }
    kept(back, first);
    back_memory(back);
    back_processors(back);
    back_threads(back);
    kept(back, NULL);
    back_os(back);
    back_sysinfo(back);
    back_features(back);
    back_cpu(back);
    back_clock(back);
    back->devices = xml_node_new(back->document, back->aside->root, "devices");
    xml_back_devices(back);
    back_events(back);
    back_power(back);
    xml_adopt(back->root, back->devices);
    kept(back, last);
    left_over(back);
    if (back->raw) {
        xml_set(back->root, "xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0");
        xml_adopt(back->root, back->raw);
    }
}

static unsigned shift_of_boot(const Value *devices)
{
    for (size_t i = 0; i < value_length(devices); i++) {
        g_autofree char *index = xml_value_text(value_get(value_at(devices, i), "bootindex"));
        if (index && strcmp(index, "0") == 0) {
            return 1;
        }
    }
    return 0;
}

char *xml_from_argv(int argc, char **argv, GError **err)
{
    XmlBack back = { .config = { .tree = value_new_object() }, .document = xml_new("domain"), .aside = xml_new("aside"), .pending = g_ptr_array_new() };
    char *text = NULL;

    back.root = back.document->root;
    if (xml_back_options(&back, argc, argv, err)) {
        back.boot_shift = shift_of_boot(value_get(back.config.tree, "devices"));
        fill(&back);
        text = xml_print(back.document);
    }
    config_clear(&back.config);
    xml_free(back.aside);
    xml_free(back.document);
    g_ptr_array_free(back.pending, TRUE);
    return text;
}

int argv2xml_main(int argc, char **argv)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *text = NULL;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-help") == 0) {
        puts("usage: roost argv2xml OPTIONS...\nprints the domain file of libvirt that these options mean; what no element says stands in <qemu:commandline>");
        return argc < 2 ? EXIT_STATUS_USAGE : EXIT_STATUS_OK;
    }
    text = xml_from_argv(argc - 1, argv + 1, &err);
    if (!text) {
        complain(err);
        return EXIT_STATUS_USAGE;
    }
    fputs(text, stdout);
    return EXIT_STATUS_OK;
}
