/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-capabilities.c - capabilities, domcapabilities: what VMs can be on this host, in libvirt's XML
 *
 * From the tables of boards, devices and processors; which processor models can be had is asked of a machine without a board.
 *
 * Tests    tests/verbs/host.py
 */
#include "cli/verb-list.h"
#include "accel/x86/cpuid.h"
#include "base/json.h"
#include "cli/verb-host.h"
#include "cli/xml-node.h"
#include "hw/core/machine.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- writing -------------------------------------------------------------------------------------------------- */

static XmlNode *add(XmlNode *parent, const char *name)
{
    return xml_node_new(parent->document, parent, name);
}

static XmlNode *add_text(XmlNode *parent, const char *name, const char *text)
{
    XmlNode *node = add(parent, name);

    xml_set_text(node, text);
    return node;
}

static void set_number(XmlNode *node, const char *name, uint64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);

    xml_set(node, name, text);
}

static XmlNode *add_supported(XmlNode *parent, const char *name, bool supported)
{
    XmlNode *node = add(parent, name);

    xml_set(node, "supported", supported ? "yes" : "no");
    return node;
}

static void add_enum(XmlNode *parent, const char *name, const char *const *values)
{
    XmlNode *node = add(parent, "enum");

    xml_set(node, "name", name);
    for (; values && *values; values++) {
        add_text(node, "value", *values);
    }
}

static char *own_path(void)
{
    char *path = g_file_read_link("/proc/self/exe", NULL);

    return path ? path : g_strdup("roost");
}

static const BoardModel *find_board(const char *name)
{
    for (const BoardModel *const *board = board_models; *board; board++) {
        if (strcmp((*board)->name, name) == 0 || g_strcmp0((*board)->alias, name) == 0) {
            return *board;
        }
    }
    return NULL;
}

/* ---- capabilities --------------------------------------------------------------------------------------------- */

static void add_host(XmlNode *root)
{
    HostInfo info = host_info();
    CpuidConfig host = { 0 };
    XmlNode *cpu = add(add(root, "host"), "cpu");

    cpuid_of_host(&host);
    add_text(cpu, "arch", "x86_64");
    add_text(cpu, "vendor", strcmp(host.vendor, "GenuineIntel") == 0 ? "Intel" : strcmp(host.vendor, "AuthenticAMD") == 0 ? "AMD" : host.vendor);
    XmlNode *topology = add(cpu, "topology");
    set_number(topology, "sockets", info.sockets * info.cells);
    set_number(topology, "dies", 1);
    set_number(topology, "cores", info.cores);
    set_number(topology, "threads", info.threads);
    for (unsigned i = 0; i < CPUID_WORDS * 32; i++) {
        const char *name = host.words[i / 32] >> (i % 32) & 1 ? cpuid_feature_name(i / 32, i % 32) : NULL;
        if (name) {
            xml_set(add(cpu, "feature"), "name", name);
        }
    }
    XmlNode *pages = add(cpu, "pages");
    xml_set(pages, "unit", "KiB");
    xml_set(pages, "size", "4");
}

static void add_machine(XmlNode *arch, const char *name, const BoardModel *board)
{
    XmlNode *machine = add_text(arch, "machine", name);

    if (name != board->name) {
        xml_set(machine, "canonical", board->name);
    }
    set_number(machine, "maxCpus", board->max_cpus);
}

static void add_guest(XmlNode *root, bool kvm)
{
    XmlNode *guest = add(root, "guest"), *arch;
    g_autofree char *emulator = own_path();

    add_text(guest, "os_type", "hvm");
    arch = add(guest, "arch");
    xml_set(arch, "name", "x86_64");
    add_text(arch, "wordsize", "64");
    add_text(arch, "emulator", emulator);
    for (const BoardModel *const *board = board_models; *board; board++) {
        if (strcmp((*board)->name, "none") != 0) {
            add_machine(arch, (*board)->name, *board);
            if ((*board)->alias) {
                add_machine(arch, (*board)->alias, *board);
            }
        }
    }
    xml_set(add(arch, "domain"), "type", "qemu");
    if (kvm) {
        xml_set(add(arch, "domain"), "type", "kvm");
    }
    XmlNode *acpi = add(add(guest, "features"), "acpi");
    xml_set(acpi, "default", "on");
    xml_set(acpi, "toggle", "yes");
}

static const ToolOption no_options[] = { VERB_HELP, VERB_OPTIONS_END };

static int capabilities(Verb *verb, GError **err)
{
    g_autoptr(XmlDocument) document = xml_new("capabilities");
    g_autofree char *why = NULL;

    (void)verb;
    (void)err;
    add_host(document->root);
    add_guest(document->root, accel_usable("kvm", &why));
    g_autofree char *text = xml_print(document);
    fputs(text, stdout);
    return 0;
}

/* ---- domcapabilities ------------------------------------------------------------------------------------------ */

typedef struct DomCaps {
    Verb common;
    const char *virttype, *emulator, *arch, *machine;
} DomCaps;
static const ToolOption domcaps_options[] = {
    OPTION_TEXT(0, "virttype", "kvm|qemu", DomCaps, virttype, "by KVM or by the software CPU (default: kvm where it is usable)"),
    OPTION_TEXT(0, "emulatorbin", "PATH", DomCaps, emulator, "accepted: this executable is the one"),
    OPTION_TEXT(0, "arch", "x86_64", DomCaps, arch, "x86_64 is the one there is"),
    OPTION_TEXT(0, "machine", "NAME", DomCaps, machine, "which machine (default: pc)"), VERB_HELP, VERB_OPTIONS_END };

/* The whole of what this executable, run with these words, answers to these lines; NULL when it cannot be run. */
static char *ask_executable(const char *const *words, const char *lines)
{
    g_autoptr(GString) said = g_string_new(NULL);
    int in, out;
    char chunk[4096];
    ssize_t got;

    if (!g_spawn_async_with_pipes(NULL, (char **)words, NULL, G_SPAWN_STDERR_TO_DEV_NULL | G_SPAWN_FILE_AND_ARGV_ZERO, NULL, NULL, NULL, &in, &out, NULL, NULL)) {
        return NULL;
    }
    bool written = write(in, lines, strlen(lines)) > 0;
    while (written && ((got = read(out, chunk, sizeof chunk)) > 0 || (got < 0 && errno == EINTR))) {
        g_string_append_len(said, chunk, MAX(got, 0));
    }
    close(in);
    close(out);
    return g_string_free(g_steal_pointer(&said), FALSE);
}

/* query-cpu-definitions' answer: the list among the replies. */
static Value *cpu_definitions(const char *accel)
{
    const char *const words[] = { "/proc/self/exe", "roost", "-S", "-machine", "none", "-accel", accel, "-nodefaults", "-display", "none", "-run-timeout", "60",
                                  "-qmp", "stdio", NULL };
    g_autofree char *said = ask_executable(words, "{'execute':'qmp_capabilities'}{'execute':'query-cpu-definitions'}{'execute':'quit'}\n");
    g_auto(GStrv) lines = g_strsplit(said ? said : "", "\r\n", -1);

    for (char **line = lines; *line; line++) {
        g_autoptr(Value) message = **line ? json_parse(*line, NULL) : NULL;
        Value *result = value_get(message, "return");
        if (value_kind(result) == VALUE_LIST) {
            return value_ref(result);
        }
    }
    return NULL;
}

static void add_cpu(XmlNode *root, bool kvm)
{
    g_autoptr(Value) models = cpu_definitions(kvm ? "kvm" : "tcg");
    XmlNode *cpu = add(root, "cpu"), *node = add(cpu, "mode");

    xml_set(node, "name", "host-passthrough");
    xml_set(node, "supported", kvm ? "yes" : "no");
    node = add(cpu, "mode");
    xml_set(node, "name", "maximum");
    xml_set(node, "supported", "yes");
    node = add(cpu, "mode");
    xml_set(node, "name", "custom");
    xml_set(node, "supported", "yes");
    for (size_t i = 0; i < value_length(models); i++) {
        const Value *model = value_at(models, i);
        const char *name = value_get_string(model, "name", "");
        if (strcmp(name, "max") != 0 && strcmp(name, "host") != 0) {
            XmlNode *entry = add_text(node, "model", name);
            xml_set(entry, "usable", value_length(value_get(model, "unavailable-features")) ? "no" : "yes");
        }
    }
}

static bool there_is(const char *model)
{
    return device_model_find(model) != NULL;
}

/* Names of libvirt's whose device is there. */
static void add_models(XmlNode *parent, const char *name, const char *const (*pairs)[2])
{
    XmlNode *node = add(parent, "enum");

    xml_set(node, "name", name);
    for (; (*pairs)[0]; pairs++) {
        if (there_is((*pairs)[1])) {
            add_text(node, "value", (*pairs)[0]);
        }
    }
}

static void add_devices(XmlNode *root)
{
    static const char *const kinds[] = { "disk", "cdrom", "floppy", NULL };
    static const char *const buses[][2] = { { "ide", "ide-hd" }, { "fdc", "floppy" }, { "scsi", "scsi-hd" }, { "virtio", "virtio-blk-pci" }, { "usb", "usb-storage" }, { NULL, NULL } };
    static const char *const disks[][2] = { { "virtio", "virtio-blk-pci" }, { "virtio-transitional", "virtio-blk-pci-transitional" },
                                            { "virtio-non-transitional", "virtio-blk-pci-non-transitional" }, { NULL, NULL } };
    static const char *const videos[][2] = { { "vga", "VGA" }, { "cirrus", "cirrus-vga" }, { "virtio", "virtio-vga" }, { "bochs", "bochs-display" }, { NULL, NULL } };
    static const char *const channels[] = { "pty", "unix", NULL }, *const backends[] = { "random", "builtin", NULL };
    static const char *const rngs[][2] = { { "virtio", "virtio-rng-pci" }, { NULL, NULL } };
    XmlNode *devices = add(root, "devices"), *node = add_supported(devices, "disk", true);

    add_enum(node, "diskDevice", kinds);
    add_models(node, "bus", buses);
    add_models(node, "model", disks);
    bool video = there_is("VGA") || there_is("cirrus-vga");
    add_supported(devices, "graphics", video);
    node = add_supported(devices, "video", video);
    add_models(node, "modelType", videos);
    add_supported(devices, "hostdev", false);
    node = add_supported(devices, "rng", there_is("virtio-rng-pci"));
    add_models(node, "model", rngs);
    add_enum(node, "backendModel", backends);
    add_supported(devices, "filesystem", false);
    add_supported(devices, "tpm", false);
    add_supported(devices, "redirdev", false);
    node = add_supported(devices, "channel", there_is("virtserialport"));
    add_enum(node, "type", channels);
}

static void add_os(XmlNode *root)
{
    static const char *const types[] = { "rom", NULL }, *const yes_no[] = { "yes", "no", NULL }, *const no[] = { "no", NULL };
    XmlNode *os = add_supported(root, "os", true), *loader;

    add_enum(os, "firmware", NULL);
    loader = add_supported(os, "loader", true);
    add_enum(loader, "type", types);
    add_enum(loader, "readonly", yes_no);
    add_enum(loader, "secure", no);
}

static bool check_domcaps(const DomCaps *asked, const BoardModel *board, GError **err)
{
    if (!board || strcmp(board->name, "none") == 0) {
        return fail(err, EINVAL, "failed to get emulator capabilities: the machine '%s' is not supported; -machine help lists them", asked->machine);
    }
    if (asked->arch && strcmp(asked->arch, "x86_64") != 0) {
        return fail(err, EINVAL, "failed to get emulator capabilities: the architecture '%s' is not supported; x86_64 is", asked->arch);
    }
    return !asked->virttype || strcmp(asked->virttype, "kvm") == 0 || strcmp(asked->virttype, "qemu") == 0 ||
           fail(err, EINVAL, "failed to get emulator capabilities: the type '%s' is not supported; kvm and qemu are", asked->virttype);
}

static int domcapabilities(Verb *verb, GError **err)
{
    const DomCaps *asked = (const DomCaps *)verb;
    const BoardModel *board = find_board(asked->machine ? asked->machine : "pc");
    g_autoptr(XmlDocument) document = xml_new("domainCapabilities");
    g_autofree char *why = NULL, *path = own_path();
    bool usable = accel_usable("kvm", &why), kvm = asked->virttype ? strcmp(asked->virttype, "kvm") == 0 : usable;
    XmlNode *root = document->root;

    if (!check_domcaps(asked, board, err)) {
        return 1;
    }
    if (kvm && !usable) {
        fail(err, ENOENT, "failed to get emulator capabilities: KVM is not usable: %s", why);
        return 1;
    }
    add_text(root, "path", path);
    add_text(root, "domain", kvm ? "kvm" : "qemu");
    add_text(root, "machine", board->name);
    add_text(root, "arch", "x86_64");
    set_number(add(root, "vcpu"), "max", board->max_cpus);
    add_supported(root, "iothreads", true);
    add_os(root);
    add_cpu(root, kvm);
    add_supported(root, "memoryBacking", false);
    add_devices(root);
    XmlNode *features = add(root, "features");
    add_supported(features, "gic", false);
    add_supported(features, "sev", false);
    g_autofree char *text = xml_print(document);
    fputs(text, stdout);
    return 0;
}

const VerbSpec verb_capabilities = { "capabilities", "", 0, 0, VERB_NO_VM, .help = "this host and what runs on it, as XML", .options = no_options,
                                     .size = sizeof(Verb), .run = capabilities };
const VerbSpec verb_domcapabilities = { "domcapabilities", "", 0, 0, VERB_NO_VM, .help = "what a VM can be here: processors, devices, as XML",
                                        .options = domcaps_options, .size = sizeof(DomCaps), .run = domcapabilities };
