/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp-info.c - info: what QMP's queries say, for people
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/hmp.py
 */
#include "base/json.h"
#include "monitor/hmp.h"
#include "monitor/memory.h"
#include <inttypes.h>
#include <string.h>

#define INFO(function) static void function(Session *session G_GNUC_UNUSED, const Words *words G_GNUC_UNUSED, GString *out)

static const char *text(const Value *object, const char *key)
{
    return value_get_string(object, key, "");
}

INFO(info_version)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-version", NULL);
    const Value *qemu = value_get(reply, "qemu");

    g_string_append_printf(out, "%" PRId64 ".%" PRId64 ".%" PRId64 "%s\n", value_get_int(qemu, "major", 0), value_get_int(qemu, "minor", 0),
                           value_get_int(qemu, "micro", 0), text(reply, "package"));
}

INFO(info_status)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-status", NULL);
    bool running = value_get_bool(reply, "running", false);
    const char *status = text(reply, "status");

    g_string_append_printf(out, "VM status: %s", running ? "running" : "paused");
    if (!running && strcmp(status, "paused") != 0) {
        g_string_append_printf(out, " (%s)", status);
    }
    g_string_append_c(out, '\n');
}

INFO(info_name)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-name", NULL);

    if (value_get(reply, "name")) {
        g_string_append_printf(out, "%s\n", text(reply, "name"));
    }
}

INFO(info_uuid)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-uuid", NULL);

    g_string_append_printf(out, "%s\n", text(reply, "UUID"));
}

static void human(Session *session, GString *out, const char *query)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, query, NULL);

    if (reply) {
        g_string_append(out, value_get_string(reply, "human-readable-text", ""));
    }
}

INFO(info_jit)
{
    human(session, out, "x-query-jit");
}

INFO(info_network)
{
    human(session, out, "x-query-network");
}

INFO(info_usernet)
{
    human(session, out, "x-query-usernet");
}

INFO(info_kvm)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-kvm", NULL);

    g_string_append_printf(out, "kvm support: %s\n", !value_get_bool(reply, "present", false) ? "not compiled"
                           : value_get_bool(reply, "enabled", false) ? "enabled" : "disabled");
}

INFO(info_cpus)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-cpus-fast", NULL);

    for (size_t i = 0; i < value_length(reply); i++) {
        const Value *cpu = value_at(reply, i);
        g_string_append_printf(out, "%c CPU #%" PRId64 ": thread_id=%" PRId64 "\n", i ? ' ' : '*', value_get_int(cpu, "cpu-index", 0),
                               value_get_int(cpu, "thread-id", 0));
    }
}

/* "-a": all processors; else the first. */
INFO(info_registers)
{
    Machine *machine = qmp_machine();
    bool all = words->count && strcmp(words->items[0], "-a") == 0;

    if (machine->cpus->len == 0) {
        g_string_append(out, "there is no processor\n");
    }
    for (guint i = 0; i < machine->cpus->len && (all || i == 0); i++) {
        g_autofree CpuState *state = g_new0(CpuState, 1);
        monitor_registers(machine, machine->cpus->pdata[i], state);
        g_autofree char *registers = cpu_state_describe(state);
        if (all) {
            g_string_append_printf(out, "\nCPU#%u\n", i);
        }
        g_string_append_printf(out, "%s%s", registers, g_str_has_suffix(registers, "\n") ? "" : "\n");
    }
}

INFO(info_chardev)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-chardev", NULL);

    for (size_t i = 0; i < value_length(reply); i++) {
        g_string_append_printf(out, "%s: filename=%s\n", text(value_at(reply, i), "label"), text(value_at(reply, i), "filename"));
    }
}

INFO(info_iothreads)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-iothreads", NULL);

    for (size_t i = 0; i < value_length(reply); i++) {
        const Value *thread = value_at(reply, i);
        g_string_append_printf(out, "%s:\n  thread_id=%" PRId64 "\n", text(thread, "id"), value_get_int(thread, "thread-id", 0));
    }
}

INFO(info_mice)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-mice", NULL);

    if (value_length(reply) == 0) {
        g_string_append(out, "No mouse devices connected\n");
    }
    for (size_t i = 0; i < value_length(reply); i++) {
        const Value *mouse = value_at(reply, i);
        g_string_append_printf(out, "%c Mouse #%" PRId64 ": %s%s\n", value_get_bool(mouse, "current", false) ? '*' : ' ', value_get_int(mouse, "index", 0),
                               text(mouse, "name"), value_get_bool(mouse, "absolute", false) ? " (absolute)" : "");
    }
}

INFO(info_memory)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-memory-size-summary", NULL);

    g_string_append_printf(out, "base memory: %" PRIu64 "\nplugged memory: %" PRIu64 "\n", value_get_uint(reply, "base-memory", 0),
                           value_get_uint(reply, "plugged-memory", 0));
}

INFO(info_balloon)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-balloon", NULL);

    if (reply) {
        g_string_append_printf(out, "balloon: actual=%" PRIu64 "\n", value_get_uint(reply, "actual", 0) >> 20);
    }
}

INFO(info_block)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-block", NULL);

    for (size_t i = 0; i < value_length(reply); i++) {
        const Value *drive = value_at(reply, i), *inserted = value_get(drive, "inserted");
        const char *name = *text(drive, "device") ? text(drive, "device") : text(inserted, "node-name");
        g_string_append(out, *name ? name : text(drive, "qdev"));
        if (inserted) {
            g_string_append_printf(out, " (%s): %s (%s%s)\n", text(inserted, "node-name"), text(inserted, "file"), text(inserted, "drv"),
                                   value_get_bool(inserted, "ro", false) ? ", read-only" : "");
        } else {
            g_string_append(out, ": [not inserted]\n");
        }
        if (*text(drive, "qdev")) {
            g_string_append_printf(out, "    Attached to:      %s\n", text(drive, "qdev"));
        }
        if (value_get_bool(drive, "removable", false)) {
            g_string_append_printf(out, "    Removable device: %slocked, tray %s\n", value_get_bool(drive, "locked", false) ? "" : "not ",
                                   value_get_bool(drive, "tray_open", false) ? "open" : "closed");
        }
        if (*text(inserted, "backing_file")) {
            g_string_append_printf(out, "    Backing file:     %s (chain depth: %" PRId64 ")\n", text(inserted, "backing_file"),
                                   value_get_int(inserted, "backing_file_depth", 0));
        }
    }
}

INFO(info_blockstats)
{
    static const char *const members[] = { "rd_bytes", "wr_bytes", "rd_operations", "wr_operations", "flush_operations", "wr_total_time_ns",
                                           "rd_total_time_ns", "flush_total_time_ns", "rd_merged", "wr_merged" };
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-blockstats", NULL);

    for (size_t i = 0; i < value_length(reply); i++) {
        const Value *drive = value_at(reply, i);
        g_string_append_printf(out, "%s:", *text(drive, "device") ? text(drive, "device") : text(drive, "qdev"));
        for (size_t j = 0; j < G_N_ELEMENTS(members); j++) {
            g_string_append_printf(out, " %s=%" PRIu64, members[j], value_get_uint(value_get(drive, "stats"), members[j], 0));
        }
        g_string_append_c(out, '\n');
    }
}

static void pci_region(const Value *region, GString *out)
{
    int64_t address = value_get_int(region, "address", -1), size = value_get_int(region, "size", 0);
    bool io = strcmp(text(region, "type"), "io") == 0;

    g_string_append_printf(out, "      BAR%" PRId64 ": ", value_get_int(region, "bar", 0));
    if (io) {
        g_string_append_printf(out, "I/O at 0x%04" PRIx64 " [0x%04" PRIx64 "].\n", address & 0xffff, (address + size - 1) & 0xffff);
    } else {
        g_string_append_printf(out, "%d bit%s memory at 0x%08" PRIx64 " [0x%08" PRIx64 "].\n", value_get_bool(region, "mem_type_64", false) ? 64 : 32,
                               value_get_bool(region, "prefetch", false) ? " prefetchable" : "", address, address + size - 1);
    }
}

static void pci_function(const Value *function, GString *out)
{
    const Value *class = value_get(function, "class_info"), *id = value_get(function, "id"), *regions = value_get(function, "regions");
    g_autofree char *number = g_strdup_printf("Class %04" PRId64, value_get_int(class, "class", 0));

    g_string_append_printf(out, "  Bus %2" PRId64 ", device %3" PRId64 ", function %" PRId64 ":\n    %s: PCI device %04" PRIx64 ":%04" PRIx64 "\n",
                           value_get_int(function, "bus", 0), value_get_int(function, "slot", 0), value_get_int(function, "function", 0),
                           value_get_string(class, "desc", number), value_get_int(id, "vendor", 0), value_get_int(id, "device", 0));
    if (value_get_int(function, "irq_pin", 0)) {
        g_string_append_printf(out, "      IRQ %" PRId64 ", pin %c\n", value_get_int(function, "irq", 0), (char)('A' + value_get_int(function, "irq_pin", 1) - 1));
    }
    for (size_t i = 0; i < value_length(regions); i++) {
        pci_region(value_at(regions, i), out);
    }
    g_string_append_printf(out, "      id \"%s\"\n", text(function, "qdev_id"));
}

INFO(info_pci)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-pci", NULL);

    for (size_t i = 0; i < value_length(reply); i++) {
        const Value *devices = value_get(value_at(reply, i), "devices");
        for (size_t j = 0; j < value_length(devices); j++) {
            pci_function(value_at(devices, j), out);
        }
    }
}

static void tree_of_regions(const Region *region, uint64_t base, unsigned depth, GString *out)
{
    static const char *const kinds[] = { [REGION_CONTAINER] = "container", [REGION_RAM] = "ram", [REGION_IO] = "i/o", [REGION_ALIAS] = "alias" };
    uint64_t last = base + (region->size == UINT64_MAX ? UINT64_MAX : region->size - 1);

    g_string_append_printf(out, "%*s%016" PRIx64 "-%016" PRIx64 " (prio %d, %s%s): %s", (int)depth * 2, "", base, last, region->priority,
                           region->readonly ? "rom " : "", kinds[region->kind], region->name);
    if (region->kind == REGION_ALIAS) {
        g_string_append_printf(out, " @%s %016" PRIx64 "-%016" PRIx64, region->target->name, region->target_offset, region->target_offset + region->size - 1);
    }
    g_string_append_printf(out, "%s\n", region->enabled ? "" : " [disabled]");
    for (guint i = 0; region->children && i < region->children->len; i++) {
        const Region *child = region->children->pdata[i];
        tree_of_regions(child, base + child->offset, depth + 1, out);
    }
}

INFO(info_mtree)
{
    g_string_append(out, "address-space: memory\n");
    tree_of_regions(&qmp_machine()->memory_root, 0, 1, out);
    g_string_append(out, "\naddress-space: I/O\n");
    tree_of_regions(&qmp_machine()->port_root, 0, 1, out);
}

static void tree_of_bus(const Bus *bus, unsigned depth, GString *out);

static void tree_of_device(Device *device, unsigned depth, GString *out)
{
    const GPtrArray *buses = qmp_machine()->buses;

    g_string_append_printf(out, "%*sdev: %s, id \"%s\"\n", (int)depth * 2, "", device->model->name, device->id ? device->id : "");
    for (const Field *field = device->model->props; field && field->kind != FIELD_LAST; field++) {
        g_autoptr(Value) value = NULL;
        if (field->kind != FIELD_IRQ && field->kind != FIELD_LINK && field_get(field, device, &value, NULL)) {
            g_autofree char *shown = value ? json_print(value, false) : g_strdup("null");
            g_string_append_printf(out, "%*s%s = %s\n", (int)depth * 2 + 2, "", field->name, shown);
        }
    }
    for (guint i = 0; i < buses->len; i++) {
        const Bus *bus = buses->pdata[i];
        if (bus->parent == device) {
            tree_of_bus(bus, depth + 1, out);
        }
    }
}

static void tree_of_bus(const Bus *bus, unsigned depth, GString *out)
{
    g_string_append_printf(out, "%*sbus: %s\n%*stype %s\n", (int)depth * 2, "", bus->name, (int)depth * 2 + 2, "", bus_kind_name(bus->kind));
    for (guint i = 0; i < bus->devices->len; i++) {
        tree_of_device(bus->devices->pdata[i], depth + 1, out);
    }
}

INFO(info_qtree)
{
    const Machine *machine = qmp_machine();

    g_string_append(out, "bus: main-system-bus\n  type System\n");
    for (guint i = 0; i < machine->devices->len; i++) {
        Device *device = machine->devices->pdata[i];
        if (!device->bus) {
            tree_of_device(device, 1, out);
        }
    }
    for (guint i = 0; i < machine->buses->len; i++) {
        const Bus *bus = machine->buses->pdata[i];
        if (!bus->parent) {
            tree_of_bus(bus, 1, out);
        }
    }
}

static void tree_of_objects(const Object *object, unsigned depth, GString *out)
{
    g_string_append_printf(out, "%*s/%s (%s)\n", (int)depth * 2, "", object->name ? object->name : "", object->type->name);
    for (guint i = 0; object->children && i < object->children->len; i++) {
        tree_of_objects(object->children->pdata[i], depth + 1, out);
    }
}

INFO(info_qom_tree)
{
    const Object *from = words->count ? object_find(words->items[0]) : object_root();

    if (from) {
        tree_of_objects(from, 0, out);
    } else {
        g_string_append_printf(out, "Path '%s' could not be resolved.\n", words->items[0]);
    }
}

static void info_dump(Session *session, const Words *words, GString *out)
{
    g_autoptr(Value) reply = hmp_qmp(session, out, "query-dump", NULL);
    const char *status = value_get_string(reply, "status", "");

    (void)words;
    g_string_append_printf(out, "Status: %s\n", status);
    if (strcmp(status, "active") == 0) {
        g_string_append_printf(out, "Finished: %.2f %%\n", 100.0 * (double)value_get_uint(reply, "completed", 0) / (double)value_get_uint(reply, "total", 1));
    }
}

const HmpCommand hmp_infos[] = {
    { "balloon", NULL, "how much memory the guest has now", info_balloon },
    { "block", NULL, "drives and the images in them", info_block },
    { "blockstats", NULL, "what drives have done", info_blockstats },
    { "chardev", NULL, "character streams", info_chardev },
    { "cpus", NULL, "processors and their threads", info_cpus },
    { "dump", NULL, "how far the dump of guest memory is", info_dump },
    { "iothreads", NULL, "I/O threads", info_iothreads },
    { "jit", NULL, "what the translator of the software CPU did", info_jit },
    { "kvm", NULL, "whether KVM runs the guest", info_kvm },
    { "memory_size_summary", NULL, "how much memory the guest has", info_memory },
    { "mice", NULL, "pointing devices", info_mice },
    { "mtree", NULL, "what lies where in memory and port space", info_mtree },
    { "name", NULL, "the guest's name", info_name },
    { "network", NULL, "networks and the cards in them", info_network },
    { "pci", NULL, "PCI devices", info_pci },
    { "qom-tree", "[path]", "the tree of objects", info_qom_tree },
    { "qtree", NULL, "buses, devices and their properties", info_qtree },
    { "registers", "[-a]", "registers of the first processor, or of all", info_registers },
    { "status", NULL, "whether the guest runs", info_status },
    { "usernet", NULL, "connections and forwards of user networks", info_usernet },
    { "uuid", NULL, "the guest's UUID", info_uuid },
    { "version", NULL, "the version of the protocol and of the program", info_version },
    { .name = NULL } };
