/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-host.c - nodeinfo, host-validate: what this host is, and whether it is fit for VMs
 *
 * Tests    tests/verbs/host.py
 */
#include "cli/verb-list.h"
#include "cli/verb-host.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const ToolOption no_options[] = { VERB_HELP, VERB_OPTIONS_END };

/* ---- nodeinfo ------------------------------------------------------------------------------------------------- */

static char *file_text(const char *path)
{
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

/* "NAME : 123" somewhere in a file of such lines. */
static double number_in(const char *text, const char *name)
{
    const char *at = strstr(text, name), *colon = at ? strchr(at, ':') : NULL;

    return colon ? g_ascii_strtod(colon + 1, NULL) : 0;
}

static unsigned cpu_number(unsigned cpu, const char *what)
{
    g_autofree char *path = g_strdup_printf("/sys/devices/system/cpu/cpu%u/topology/%s", cpu, what), *text = file_text(path);

    return (unsigned)strtoul(text, NULL, 10);
}

/* How many different pairs there are of those: packages, or cores. */
static unsigned count_places(unsigned cpus, bool cores)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_autofree gint64 *places = g_new0(gint64, cpus);

    for (unsigned i = 0; i < cpus; i++) {
        places[i] = (gint64)cpu_number(i, "physical_package_id") << 32 | (cores ? cpu_number(i, "core_id") : 0);
        g_hash_table_add(seen, &places[i]);
    }
    return MAX(1, g_hash_table_size(seen));
}

static unsigned numa_cells(void)
{
    GDir *nodes = g_dir_open("/sys/devices/system/node", 0, NULL);
    unsigned count = 0;
    const char *name;

    while (nodes && (name = g_dir_read_name(nodes))) {
        count += g_str_has_prefix(name, "node") && g_ascii_isdigit(name[4]);
    }
    if (nodes) {
        g_dir_close(nodes);
    }
    return MAX(1, count);
}

HostInfo host_info(void)
{
    g_autofree char *cpu = file_text("/proc/cpuinfo"), *memory = file_text("/proc/meminfo");
    HostInfo info = { .cpus = (unsigned)MAX(1, sysconf(_SC_NPROCESSORS_ONLN)), .cells = numa_cells() };
    unsigned cores = count_places(info.cpus, true), sockets = count_places(info.cpus, false);

    info.mhz = (unsigned)number_in(cpu, "cpu MHz");
    info.sockets = MAX(1, sockets / info.cells);
    info.cores = MAX(1, cores / sockets);
    info.threads = MAX(1, info.cpus / cores);
    info.memory_kib = (uint64_t)number_in(memory, "MemTotal");
    info.virtualization = strstr(cpu, " vmx") || strstr(cpu, " svm");
    info.intel = strstr(cpu, "GenuineIntel") != NULL;
    return info;
}

static int nodeinfo(Verb *verb, GError **err)
{
    HostInfo info = host_info();

    (void)verb;
    (void)err;
    printf("%-20s %s\n%-20s %u\n%-20s %u MHz\n", "CPU model:", "x86_64", "CPU(s):", info.cpus, "CPU frequency:", info.mhz);
    printf("%-20s %u\n%-20s %u\n%-20s %u\n", "CPU socket(s):", info.sockets, "Core(s) per socket:", info.cores, "Thread(s) per core:", info.threads);
    printf("%-20s %u\n%-20s %" PRIu64 " KiB\n", "NUMA cell(s):", info.cells, "Memory size:", info.memory_kib);
    return 0;
}

/* ---- host-validate -------------------------------------------------------------------------------------------- */

typedef enum { PASS, WARN, FAIL } Verdict;

static Verdict worse(Verdict a, Verdict b)
{
    return a > b ? a : b;
}

static Verdict tell(const char *what, bool good, Verdict otherwise, const char *hint)
{
    Verdict verdict = good ? PASS : otherwise;

    printf("  QEMU: Checking %-60s: ", what);
    if (verdict == PASS) {
        puts("PASS");
    } else {
        printf("%s (%s)\n", verdict == WARN ? "WARN" : "FAIL", hint);
    }
    return verdict;
}

static Verdict check_processor(const HostInfo *info)
{
    Verdict worst = tell("for hardware virtualization", info->virtualization, FAIL,
                         "Host not compatible with KVM; HW virtualization CPU features not found. Only emulated CPUs are available; "
                         "performance will be significantly limited");

    if (worst == PASS) {
        worst = worse(worst, tell("if device /dev/kvm exists", access("/dev/kvm", F_OK) == 0, FAIL,
                                "Check that the 'kvm-intel' or 'kvm-amd' modules are loaded & the BIOS has enabled virtualization"));
        worst = worse(worst, tell("if device /dev/kvm is accessible", access("/dev/kvm", R_OK | W_OK) == 0, FAIL, "Check /dev/kvm is world writable or you are in a group that is allowed to access it"));
    }
    return worst;
}

/* Version 2 has one list; there "cpuacct" is part of "cpu", "blkio" is "io", and devices are a matter of BPF. */
static bool has_controller(const char *name)
{
    g_autofree char *list = file_text("/sys/fs/cgroup/cgroup.controllers"), *folder = g_build_filename("/sys/fs/cgroup", name, NULL);
    g_auto(GStrv) words = g_strsplit(g_strchomp(list), " ", -1);
    const char *wanted = strcmp(name, "cpuacct") == 0 ? "cpu" : strcmp(name, "blkio") == 0 ? "io" : name;

    if (!*list) {
        return g_file_test(folder, G_FILE_TEST_IS_DIR);
    }
    return strcmp(name, "devices") == 0 || g_strv_contains((const char *const *)words, wanted);
}

static Verdict check_controllers(void)
{
    static const char *const names[] = { "cpu", "cpuacct", "cpuset", "memory", "devices", "blkio" };
    Verdict worst = PASS;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *what = g_strdup_printf("for cgroup '%s' controller support", names[i]);
        g_autofree char *hint = g_strdup_printf("Enable '%s' in kernel Kconfig file or mount/enable cgroup controller in your system", names[i]);
        worst = worse(worst, tell(what, has_controller(names[i]), WARN, hint));
    }
    return worst;
}

static bool folder_has_entries(const char *path)
{
    GDir *folder = g_dir_open(path, 0, NULL);
    bool some = folder && g_dir_read_name(folder);

    if (folder) {
        g_dir_close(folder);
    }
    return some;
}

static Verdict check_iommu(const HostInfo *info)
{
    const char *table = info->intel ? "/sys/firmware/acpi/tables/DMAR" : "/sys/firmware/acpi/tables/IVRS";
    bool told = access(table, F_OK) == 0;
    Verdict worst = tell("for device assignment IOMMU support", told, WARN, info->virtualization ? "No ACPI table of an IOMMU found, IOMMU either disabled in BIOS or not supported by this hardware platform"
                                                                                                    : "Unknown if this platform has IOMMU support");

    return told ? worse(worst, tell("if IOMMU is enabled by kernel", folder_has_entries("/sys/kernel/iommu_groups"), WARN, "IOMMU appears to be disabled in kernel. Add intel_iommu=on to kernel cmdline arguments"))
                : worst;
}

static int host_validate(Verb *verb, GError **err)
{
    HostInfo info = host_info();

    if (verb->count && strcmp(verb->operands[0], "qemu") != 0) {
        fail(err, EINVAL, "'%s' is not validated here; qemu is", verb->operands[0]);
        return 1;
    }
    Verdict worst = check_processor(&info);
    worst = worse(worst, tell("if device /dev/vhost-net exists", access("/dev/vhost-net", F_OK) == 0, WARN, "Load the 'vhost_net' module to improve performance of virtio networking"));
    worst = worse(worst, tell("if device /dev/net/tun exists", access("/dev/net/tun", F_OK) == 0, FAIL, "Load the 'tun' module to enable networking for QEMU guests"));
    worst = worse(worst, check_controllers());
    worst = worse(worst, check_iommu(&info));
    worst = worse(worst, tell("for secure guest support", access("/sys/module/kvm_amd/parameters/sev", F_OK) == 0, WARN, "Unknown if this platform has Secure Guest support"));
    return worst == FAIL ? 1 : 0;
}

const VerbSpec verb_nodeinfo = { "nodeinfo", "", 0, 0, VERB_NO_VM, .help = "this host's processors and memory", .options = no_options, .size = sizeof(Verb),
                                 .run = nodeinfo };
const VerbSpec verb_host_validate = { "host-validate", "[qemu]", 0, 1, VERB_NO_VM, .raw = true, .help = "whether this host is fit for VMs, as virt-host-validate says it",
                                      .options = no_options, .size = sizeof(Verb), .run = host_validate };
