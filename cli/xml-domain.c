/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-domain.c - a domain file to options: what stands beside <devices>
 *
 * The options come in the order in which libvirt writes them. Each part reads what it understands; xml-sweep.c looks at
 * what is left.
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "cli/xml-work.h"
#include "cli/xml-tables.h"
#include "base/checked.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { MOST_CPUS = 65535, NAME_MOST = 255 };

/* ---- name and machine ---------------------------------------------------------------------------------------- */

static const char *needed_text(XmlNode *domain, const char *name, GError **err)
{
    XmlNode *node = xml_child(domain, name);
    const char *text = xml_text(node);

    if (!text || !*text) {
        xml_fail(node ? node : domain, err, EINVAL, node ? "it is empty" : "<%s> is missing", name);
        return NULL;
    }
    return text;
}

static const char *domain_name(XmlNode *domain, GError **err)
{
    const char *name = needed_text(domain, "name", err);

    if (name && (strchr(name, '/') || strchr(name, '\n') || strlen(name) > NAME_MOST)) {
        xml_fail(xml_child(domain, "name"), err, EINVAL, "a name has at most %d bytes, no '/' and no line break", NAME_MOST);
        return NULL;
    }
    return name;
}

static const char *domain_uuid(XmlNode *domain, GError **err)
{
    XmlNode *node = xml_child(domain, "uuid");
    const char *uuid = xml_text(node);
    uint8_t bytes[16];

    if (uuid && (strlen(uuid) != 36 || !parse_uuid(uuid, bytes))) {
        xml_fail(node, err, EINVAL, "'%.100s': a UUID is written as 12345678-1234-1234-1234-123456789abc", uuid);
        return NULL;
    }
    return uuid ? uuid : "";
}

static bool name_and_uuid(XmlWork *work, XmlNode *domain, GError **err)
{
    const char *name = domain_name(domain, err), *uuid = name ? domain_uuid(domain, err) : NULL;

    if (!uuid) {
        return false;
    }
    Value *keys = value_new_object();
    value_set(keys, "guest", value_new_string(name));
    xml_say_keys(work, xml_child(domain, "name"), "name", NULL, keys);
    if (*uuid) {
        xml_say(work, xml_child(domain, "uuid"), "uuid", "%s", uuid);
    }
    return true;
}

static bool check_kind(XmlNode *domain, XmlNode *type, GError **err)
{
    const char *virt = xml_attribute(domain, "type"), *kind = xml_text(type), *arch = xml_attribute(type, "arch");

    if (!virt || (strcmp(virt, "kvm") != 0 && strcmp(virt, "qemu") != 0)) {
        return xml_fail(domain, err, ENOTSUP, "type='%.100s' is not supported; type='kvm' runs under KVM where there is one, type='qemu' in software", virt ? virt : "");
    }
    if (!type || strcmp(kind, "hvm") != 0) {
        return xml_fail(type ? type : domain, err, ENOTSUP, "<os> needs <type arch='x86_64' machine='pc'>hvm</type>; other kinds of guest are not supported");
    }
    return !arch || strcmp(arch, "x86_64") == 0 ||
           xml_fail(type, err, ENOTSUP, "arch='%.100s' is not supported; arch='x86_64' runs 32-bit x86 guests as well", arch);
}

/* Options as they are may name the accelerator, in a way that the domain's type cannot. */
static bool accel_is_raw(XmlNode *domain)
{
    XmlNode *node = xml_child(domain, "qemu:commandline");

    for (XmlNode *arg = xml_next(node, NULL, "qemu:arg"); arg; arg = xml_next(node, arg, "qemu:arg")) {
        const char *value = xml_attribute(arg, "value");
        if (value && (strcmp(value, "-accel") == 0 || strcmp(value, "-enable-kvm") == 0)) {
            return true;
        }
    }
    return false;
}

static bool machine(XmlWork *work, XmlNode *domain, GError **err)
{
    XmlNode *os = xml_child(domain, "os"), *type = xml_child(os, "type"), *features = xml_child(domain, "features");
    Value *keys = value_new_object();
    const char *name = xml_attribute(type, "machine");

    value_set(keys, "type", value_new_string(name && *name ? name : "pc"));
    if (!check_kind(domain, type, err) || !xml_map_in(xml_machine_map, domain, keys, err)) {
        value_unref(keys);
        return false;
    }
    xml_say_keys(work, type, "machine", "type", keys);
    xml_child(features, "apic");           /* a PC has it in any case, and so does its processor what <pae/> names */
    xml_child(features, "pae");
    if (!xml_child(features, "acpi")) {
        xml_say_alone(work, domain, "no-acpi");
    }
    if (accel_is_raw(domain)) {
        return true;
    }
    if (strcmp(xml_attribute(domain, "type"), "kvm") == 0) {
        xml_say(work, domain, "accel", "kvm");
    }
    xml_say(work, domain, "accel", "tcg");
    return true;
}

/* ---- memory and processors ----------------------------------------------------------------------------------- */

/* libvirt's units: without one KiB; "KB" and "kB" are thousands. */
static bool memory_bytes(XmlNode *node, uint64_t *bytes, GError **err)
{
    static const struct { const char *name; uint64_t factor; } units[] = {
        { "b", 1 }, { "bytes", 1 }, { "KB", 1000 }, { "k", 1024 }, { "KiB", 1024 }, { "MB", 1000000 }, { "M", 1 << 20 }, { "MiB", 1 << 20 },
        { "GB", 1000000000 }, { "G", 1 << 30 }, { "GiB", 1 << 30 }, { "TB", UINT64_C(1000000000000) }, { "T", UINT64_C(1) << 40 },
        { "TiB", UINT64_C(1) << 40 }, { "PB", UINT64_C(1000000000000000) }, { "P", UINT64_C(1) << 50 }, { "PiB", UINT64_C(1) << 50 },
        { "EB", UINT64_C(1000000000000000000) }, { "E", UINT64_C(1) << 60 }, { "EiB", UINT64_C(1) << 60 },
    };
    const char *unit = xml_attribute(node, "unit"), *text = xml_text(node);
    uint64_t number;

    if (!xml_number(node, "the size", text, UINT64_MAX, &number, err)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        if (g_ascii_strcasecmp(units[i].name, unit ? unit : "KiB") == 0) {
            return checked_mul(number, units[i].factor, bytes) ||
                   xml_fail(node, err, ERANGE, "%s %s are more than 2^64 bytes", text, unit ? unit : "KiB");
        }
    }
    return xml_fail(node, err, EINVAL, "unit='%.100s': there are b, KiB, MiB, GiB, TiB and PiB, and KB, MB, GB, TB, PB of thousands", unit);
}

/* What is no whole number of MiB is rounded up, as libvirt does. */
static char *memory_text(uint64_t bytes)
{
    return g_strdup_printf("%" PRIu64 "M", (bytes >> 20) + ((bytes & 0xfffff) != 0));
}

static bool set_memory(Value *keys, const char *key, XmlNode *node, uint64_t *bytes, GError **err)
{
    if (!memory_bytes(node, bytes, err)) {
        return false;
    }
    if (*bytes == 0) {
        return xml_fail(node, err, EINVAL, "a guest needs memory; 0 is none");
    }
    g_autofree char *text = memory_text(*bytes);
    value_set(keys, key, value_new_string(text));
    return true;
}

static bool memory(XmlWork *work, XmlNode *domain, GError **err)
{
    XmlNode *node = xml_child(domain, "memory"), *most_node = xml_child(domain, "maxMemory"), *current = xml_child(domain, "currentMemory");
    g_autoptr(Value) keys = value_new_object();
    const char *slots = xml_attribute(most_node, "slots");
    uint64_t size, most, now, number;

    if (!node) {
        return xml_fail(domain, err, EINVAL, "<memory> is missing: <memory unit='MiB'>512</memory>, say");
    }
    if (!set_memory(keys, "size", node, &size, err)) {
        return false;
    }
    if (slots) {
        if (!xml_number(most_node, "slots", slots, 256, &number, err)) {
            return false;
        }
        value_set(keys, "slots", value_new_uint(number));
    }
    if (most_node && !set_memory(keys, "maxmem", most_node, &most, err)) {
        return false;
    }
    if (current && !memory_bytes(current, &now, err)) {
        return false;
    }
    if (current && now > size) {
        return xml_fail(current, err, EINVAL, "it is above <memory>; what the guest has at the start cannot be more than all");
    }
    if (current && now >> 20 < size >> 20) {
        xml_warn(current, "the guest starts with all of <memory>; the balloon takes the rest away when it is told to");
    }
    xml_say_keys(work, node, "m", "size", g_steal_pointer(&keys));
    if (xml_child(xml_child(domain, "memoryBacking"), "locked")) {
        xml_say(work, xml_child(domain, "memoryBacking"), "overcommit", "mem-lock=on");
    }
    return true;
}

/* All four of the topology, or none: then each processor is a socket, as libvirt has it. */
static bool topology(XmlNode *domain, uint64_t most, Value *keys, GError **err)
{
    static const char *const names[] = { "sockets", "dies", "cores", "threads", NULL };
    XmlNode *node = xml_child(xml_child(domain, "cpu"), "topology");
    uint64_t product = 1;

    for (const char *const *name = names; *name; name++) {
        const char *text = xml_attribute(node, *name);
        uint64_t number = !node && name == names ? most : 1;
        if (text && !xml_number(node, *name, text, MOST_CPUS, &number, err)) {
            return false;
        }
        if (text || strcmp(*name, "dies") != 0) {
            value_set(keys, *name, value_new_uint(number));
        }
        if (number == 0 || !checked_mul(product, number, &product)) {
            return xml_fail(node, err, EINVAL, "%s='%s' is not possible", *name, text ? text : "");
        }
    }
    return !node || product == most ||
           xml_fail(node, err, EINVAL, "sockets * dies * cores * threads are %" PRIu64 ", and <vcpu> says %" PRIu64, product, most);
}

static bool processors(XmlWork *work, XmlNode *domain, GError **err)
{
    XmlNode *node = xml_child(domain, "vcpu");
    const char *text = xml_text(node), *current = xml_attribute(node, "current");
    g_autoptr(Value) keys = value_new_object();
    uint64_t most = 1, now;

    if (text && !xml_number(node, "the number of processors", text, MOST_CPUS, &most, err)) {
        return false;
    }
    if (most == 0) {
        return xml_fail(node, err, EINVAL, "a guest needs a processor at least");
    }
    now = most;
    if (current && !xml_number(node, "current", current, most, &now, err)) {
        return false;
    }
    if (now == 0) {
        return xml_fail(node, err, EINVAL, "current='0': a guest starts with one processor at least");
    }
    value_set(keys, "cpus", value_new_uint(now));
    if (now != most) {
        value_set(keys, "maxcpus", value_new_uint(most));
    }
    if (!topology(domain, most, keys, err)) {
        return false;
    }
    xml_say_keys(work, node ? node : domain, "smp", "cpus", g_steal_pointer(&keys));
    return true;
}

static bool io_threads(XmlWork *work, XmlNode *domain, GError **err)
{
    XmlNode *node = xml_child(domain, "iothreads"), *ids = xml_child(domain, "iothreadids");
    const char *text = xml_text(node);
    uint64_t number = 0, id, told = 0;

    for (XmlNode *one = xml_next(ids, NULL, "iothread"); one; one = xml_next(ids, one, "iothread")) {
        const char *said = xml_attribute(one, "id");
        if (!said || !xml_number(one, "id", said, MOST_CPUS, &id, err)) {
            return said ? false : xml_fail(one, err, EINVAL, "id=NUMBER is missing");
        }
        xml_say(work, one, "object", "iothread,id=iothread%" PRIu64, id);
        told++;
    }
    if (text && !xml_number(node, "the number of I/O threads", text, 1024, &number, err)) {
        return false;
    }
    for (id = told + 1; id <= number; id++) {
        xml_say(work, node, "object", "iothread,id=iothread%" PRIu64, id);
    }
    return true;
}

/* ---- clock, events, power ------------------------------------------------------------------------------------- */

static bool clock_base(XmlNode *clock, Value *keys, GError **err)
{
    const char *offset = xml_attribute(clock, "offset"), *adjustment = xml_attribute(clock, "adjustment");
    const char *basis = xml_attribute(clock, "basis"), *start = xml_attribute(clock, "start");
    gint64 seconds = 0;

    if (!offset || strcmp(offset, "utc") == 0 || strcmp(offset, "localtime") == 0) {
        value_set(keys, "base", value_new_string(offset ? offset : "utc"));
        return true;
    }
    if (strcmp(offset, "variable") == 0) {
        if (adjustment && !g_ascii_string_to_signed(adjustment, 10, INT32_MIN, INT32_MAX, &seconds, NULL)) {
            return xml_fail(clock, err, EINVAL, "adjustment='%.100s' is not a number of seconds", adjustment);
        }
        if (seconds == 0) {
            value_set(keys, "base", value_new_string(basis ? basis : "utc"));
            return true;
        }
        seconds += g_get_real_time() / G_USEC_PER_SEC;
    } else if (strcmp(offset, "absolute") == 0) {
        if (!start || !g_ascii_string_to_signed(start, 10, 0, INT64_C(253402300799), &seconds, NULL)) {
            return xml_fail(clock, err, EINVAL, "start='%.100s' is not a number of seconds since 1970", start ? start : "");
        }
    } else {
        return xml_fail(clock, err, ENOTSUP, "offset='%.100s' is not supported; there are utc, localtime, variable and absolute", offset);
    }
    g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(seconds);
    g_autofree char *text = date ? g_date_time_format(date, "%Y-%m-%dT%H:%M:%S") : NULL;
    value_set(keys, "base", value_new_string(text ? text : "utc"));
    return true;
}

static bool timer(XmlWork *work, XmlNode *node, Value *keys, GError **err)
{
    const char *name = xml_attribute(node, "name"), *policy = xml_attribute(node, "tickpolicy"), *present = xml_attribute(node, "present");
    bool absent = present && strcmp(present, "no") == 0;

    if (!name) {
        return xml_fail(node, err, EINVAL, "name='rtc', 'pit', 'hpet' or 'kvmclock' is missing");
    }
    if (strcmp(name, "rtc") == 0) {
        return xml_map_in(xml_rtc_map, node, keys, err);
    }
    if (strcmp(name, "hpet") == 0 && absent) {
        xml_say_alone(work, node, "no-hpet");
    } else if (strcmp(name, "pit") == 0 && policy && strcmp(policy, "delay") != 0) {
        return xml_fail(node, err, ENOTSUP, "tickpolicy='%.100s' is not supported; the interval timer delays ticks: tickpolicy='delay'", policy);
    }
    if (strcmp(name, "hypervclock") == 0 && !absent) {
        xml_warn(node, "it is left out: there is no such clock");
    }
    return true;                           /* the processor's own clocks are xml-cpu.c's */
}

static bool clocks(XmlWork *work, XmlNode *domain, GError **err)
{
    XmlNode *clock = xml_child(domain, "clock");
    g_autoptr(Value) keys = value_new_object();

    if (!clock_base(clock, keys, err)) {
        return false;
    }
    for (XmlNode *node = xml_next(clock, NULL, "timer"); node; node = xml_next(clock, node, "timer")) {
        if (!timer(work, node, keys, err)) {
            return false;
        }
    }
    xml_say_keys(work, clock ? clock : domain, "rtc", NULL, g_steal_pointer(&keys));
    return true;
}

static bool events(XmlWork *work, XmlNode *domain, GError **err)
{
    g_autoptr(Value) keys = value_new_object();

    if (!xml_map_in(xml_event_map, domain, keys, err)) {
        return false;
    }
    if (value_length(keys)) {
        xml_say_keys(work, domain, "action", NULL, g_steal_pointer(&keys));
    }
    return true;
}

static bool power(XmlWork *work, XmlNode *domain, GError **err)
{
    static const struct { const char *path, *property; } states[] = { { "suspend-to-mem@enabled", "disable_s3" }, { "suspend-to-disk@enabled", "disable_s4" } };
    XmlNode *pm = xml_child(domain, "pm");

    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        XmlNode *holder = pm;
        const char *enabled = pm ? xml_lookup(pm, states[i].path, &holder) : NULL;
        if (enabled && strcmp(enabled, "no") != 0 && strcmp(enabled, "yes") != 0) {
            return xml_fail(holder, err, EINVAL, "enabled='%.100s' is neither 'yes' nor 'no'", enabled);
        }
        if (enabled) {
            xml_say(work, holder, "global", "PIIX4_PM.%s=%d", states[i].property, strcmp(enabled, "no") == 0);
        }
    }
    return true;
}

/* ---- boot ------------------------------------------------------------------------------------------------------ */

static const char *disk_kind(XmlNode *disk)
{
    const char *device = xml_attribute(disk, "device");

    return !device || strcmp(device, "disk") == 0 || strcmp(device, "lun") == 0 ? "hd" : strcmp(device, "cdrom") == 0 ? "cdrom" : "fd";
}

/* <boot dev='hd'/> is the first disk, dev='network' the first card. */
static bool boot_devices(XmlWork *work, XmlNode *os, XmlNode *devices, GError **err)
{
    for (XmlNode *boot = xml_next(os, NULL, "boot"); boot; boot = xml_next(os, boot, "boot")) {
        const char *dev = xml_attribute(boot, "dev");
        bool network = dev && strcmp(dev, "network") == 0;
        if (!dev || (!network && strcmp(dev, "hd") != 0 && strcmp(dev, "cdrom") != 0 && strcmp(dev, "fd") != 0)) {
            return xml_fail(boot, err, EINVAL, "dev='%.100s': there are hd, cdrom, fd and network", dev ? dev : "");
        }
        XmlNode *first = xml_child(devices, network ? "interface" : "disk");
        while (first && !network && strcmp(disk_kind(first), dev) != 0) {
            first = xml_next(devices, first, "disk");
        }
        if (first && !g_ptr_array_find(work->boots, first, NULL)) {
            g_ptr_array_add(work->boots, first);
        }
    }
    return true;
}

static bool boot(XmlWork *work, XmlNode *domain, GError **err)
{
    static const char *const files[][2] = { { "kernel", "kernel" }, { "initrd", "initrd" }, { "cmdline", "append" } };
    XmlNode *os = xml_child(domain, "os");
    g_autoptr(Value) keys = value_new_object();

    if (!boot_devices(work, os, xml_child(domain, "devices"), err) || !xml_map_in(xml_boot_map, os, keys, err)) {
        return false;
    }
    value_set(keys, "strict", value_new_string("on"));
    xml_say_keys(work, os, "boot", NULL, g_steal_pointer(&keys));
    XmlNode *loader = xml_child(os, "loader");
    const char *kind = xml_attribute(loader, "type");
    if (loader && kind && strcmp(kind, "rom") != 0) {
        return xml_fail(loader, err, ENOTSUP, "type='%.100s' is not supported; firmware in flash memory is not there yet, type='rom' is", kind);
    }
    if (loader && *xml_text(loader)) {
        xml_say(work, loader, "bios", "%s", xml_text(loader));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        XmlNode *node = xml_child(os, files[i][0]);
        if (node && node->text->len && strcmp(files[i][0], "cmdline") == 0) {      /* with the spaces around it */
            node->text_read = true;
            xml_say(work, node, files[i][1], "%s", node->text->str);
        } else if (node && *xml_text(node)) {
            xml_say(work, node, files[i][1], "%s", xml_text(node));
        }
    }
    return true;
}

static bool without_defaults(XmlWork *work, XmlNode *domain, GError **err)
{
    (void)err;
    xml_say_alone(work, domain, "no-user-config");
    xml_say_alone(work, domain, "nodefaults");
    return true;
}

/* ---- what goes to the command line as it is -------------------------------------------------------------------- */

static bool raw_options(XmlWork *work, XmlNode *domain, GError **err)
{
    XmlNode *node = xml_child(domain, "qemu:commandline");
    const char *option = NULL;

    for (XmlNode *arg = xml_next(node, NULL, "qemu:arg"); arg; arg = xml_next(node, arg, "qemu:arg")) {
        const char *value = xml_attribute(arg, "value");
        if (!value) {
            return xml_fail(arg, err, EINVAL, "value='...' is missing");
        }
        if (option) {
            xml_say(work, arg, option, "%s", value);
            option = NULL;
            continue;
        }
        if (value[0] != '-' || !value[1 + (value[1] == '-')]) {
            return xml_fail(arg, err, EINVAL, "'%.100s': an option begins with '-'; its argument stands in the <qemu:arg> after it", value);
        }
        option = value + 1 + (value[1] == '-');
        if (!xml_option_has_argument(option)) {
            xml_say_alone(work, arg, option);
            option = NULL;
        }
    }
    return !option || xml_fail(node, err, EINVAL, "-%.100s: its argument is missing; it stands in a <qemu:arg> after it", option);
}

static bool devices(XmlWork *work, XmlNode *domain, GError **err)
{
    XmlNode *node = xml_child(domain, "devices");

    return xml_controllers(work, node, err) && xml_disks(work, node, err) && xml_interfaces(work, node, err) &&
           xml_streams(work, node, err) && xml_display(work, node, err) && xml_others(work, node, err);
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static bool (*const parts[])(XmlWork *work, XmlNode *domain, GError **err) = {
    name_and_uuid, machine, xml_cpu, memory, processors, io_threads, without_defaults, clocks, events, power, boot, xml_smbios, devices, raw_options,
};

static bool is_domain(const XmlDocument *document, GError **err)
{
    XmlNode *root = document->root;

    root->read = true;
    return strcmp(root->name, "domain") == 0 || xml_fail(root, err, EINVAL, "this is not a domain; a domain file begins with <domain type='kvm'>");
}

static void argument_clear(void *opaque)
{
    g_free(((XmlArgument *)opaque)->text);
}

void xml_work_clear(XmlWork *work)
{
    xml_free(work->document);
    g_array_free(work->arguments, TRUE);
    g_ptr_array_free(work->boots, TRUE);
    g_free(work->missing);
}

bool xml_translate(XmlWork *work, XmlDocument *take, const XmlRunOptions *options, GError **err)
{
    static const XmlRunOptions none;

    *work = (XmlWork){ .document = take, .options = options ? options : &none, .boots = g_ptr_array_new(),
                       .arguments = g_array_new(FALSE, FALSE, sizeof(XmlArgument)) };
    g_array_set_clear_func(work->arguments, argument_clear);
    take->quiet = work->options->quiet;
    bool done = is_domain(take, err);
    for (size_t i = 0; done && i < G_N_ELEMENTS(parts); i++) {
        done = parts[i](work, take->root, err);
    }
    return done && xml_sweep(work, err);
}

GPtrArray *xml_work_argv(const XmlWork *work)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < work->arguments->len; i++) {
        const XmlArgument *argument = &g_array_index(work->arguments, XmlArgument, i);
        g_ptr_array_add(argv, g_strdup_printf("-%s", argument->option));
        if (argument->text) {
            g_ptr_array_add(argv, g_strdup(argument->text));
        }
    }
    g_ptr_array_add(argv, NULL);
    g_ptr_array_set_size(argv, (int)argv->len - 1);
    return argv;
}

GPtrArray *xml_to_argv(const char *file, const XmlRunOptions *options, GError **err)
{
    XmlDocument *document = xml_read(file, err);
    GPtrArray *argv = NULL;
    XmlWork work;

    if (!document) {
        return NULL;
    }
    if (xml_translate(&work, document, options, err)) {
        argv = xml_work_argv(&work);
    }
    xml_work_clear(&work);
    return argv;
}

bool xml_identify(const char *file, char **name, char **uuid, GError **err)
{
    g_autoptr(XmlDocument) document = xml_read(file, err);
    const char *called = document && is_domain(document, err) ? domain_name(document->root, err) : NULL;
    const char *number = called ? domain_uuid(document->root, err) : NULL;

    if (!number) {
        return false;
    }
    *name = g_strdup(called);
    *uuid = *number ? g_strdup(number) : NULL;
    return true;
}
