/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-stats.c - domstats, vcpuinfo, setmem, domiflist: what the VM and the host's kernel say about one that runs
 *
 * Tests    tests/verbs/block.py
 */
#include "cli/verb-block.h"
#include "cli/verb-list.h"
#include "base/field.h"
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- the host's view of a thread ------------------------------------------------------------------------------ */

typedef struct ThreadTimes { uint64_t user_ns, system_ns; unsigned cpu; } ThreadTimes;

/* Fields 14, 15 and 39 of /proc/PID/task/TID/stat; of the whole process without a thread. */
static bool thread_times(pid_t pid, int64_t thread, ThreadTimes *out)
{
    g_autofree char *path = thread ? g_strdup_printf("/proc/%ld/task/%" PRId64 "/stat", (long)pid, thread) : g_strdup_printf("/proc/%ld/stat", (long)pid);
    g_autofree char *text = NULL;
    long tick = sysconf(_SC_CLK_TCK);
    unsigned long user, system;

    if (!g_file_get_contents(path, &text, NULL, NULL) || !strrchr(text, ')')) {
        return false;
    }
    g_auto(GStrv) words = g_strsplit(strrchr(text, ')') + 2, " ", -1);
    if (g_strv_length(words) < 37) {
        return false;
    }
    user = strtoul(words[11], NULL, 10);
    system = strtoul(words[12], NULL, 10);
    *out = (ThreadTimes){ user * (1000000000u / (unsigned long)tick), system * (1000000000u / (unsigned long)tick),
                          (unsigned)strtoul(words[36], NULL, 10) };
    return true;
}

/* ---- vcpuinfo ------------------------------------------------------------------------------------------------- */

typedef struct VcpuInfo {
    Verb common;
    bool pretty;
} VcpuInfo;
static const ToolOption vcpuinfo_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "pretty", VcpuInfo, pretty, "the affinity as ranges"), VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

static char *affinity_text(pid_t thread, bool pretty)
{
    GString *text = g_string_new(NULL);
    long host = sysconf(_SC_NPROCESSORS_CONF);
    cpu_set_t set;

    CPU_ZERO(&set);
    sched_getaffinity(thread, sizeof set, &set);
    for (long i = 0; i < host && i < CPU_SETSIZE; i++) {
        bool here = CPU_ISSET(i, &set), before = i > 0 && CPU_ISSET(i - 1, &set), after = i + 1 < host && CPU_ISSET(i + 1, &set);
        if (!pretty) {
            g_string_append_c(text, here ? 'y' : '-');
        } else if (here && !before) {
            g_string_append_printf(text, "%s%ld", text->len ? "," : "", i);
        } else if (here && !after) {
            g_string_append_printf(text, "-%ld", i);
        }
    }
    if (pretty) {
        g_string_append_printf(text, " (out of %ld)", host);
    }
    return g_string_free(text, FALSE);
}

static int vcpuinfo(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = NULL;
    g_autoptr(QmpClient) client = verb_client(verb, &vm, err);
    g_autoptr(Value) list = client ? qmp_client_call(client, "query-cpus-fast", NULL, err) : NULL;

    for (size_t i = 0; i < value_length(list); i++) {
        int64_t thread = value_get_int(value_at(list, i), "thread-id", 0);
        ThreadTimes times = { 0, 0, 0 };
        g_autofree char *affinity = affinity_text((pid_t)thread, ((const VcpuInfo *)verb)->pretty);
        thread_times(vm->pid, thread, &times);
        printf("%s%-15s %zu\n%-15s %u\n%-15s running\n%-15s %.1fs\n%-15s %s\n", i ? "\n" : "", "VCPU:", i, "CPU:", times.cpu, "State:", "CPU time:",
               (double)(times.user_ns + times.system_ns) / 1e9, "CPU Affinity:", affinity);
    }
    return list ? 0 : 1;
}

/* ---- setmem --------------------------------------------------------------------------------------------------- */

typedef struct SetMem {
    Verb common;
    bool config, live, current;
} SetMem;
static const ToolOption setmem_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "config", SetMem, config, "refused: only the running VM is changed"),
    OPTION_FLAG(0, "live", SetMem, live, "the running VM, as without it"), OPTION_FLAG(0, "current", SetMem, current, "the running VM, as without it"),
    VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

/* A bare number is in KiB; units as libvirt has them. */
bool verb_scaled_bytes(const char *text, uint64_t *bytes, GError **err)
{
    static const struct { const char *unit; uint64_t factor; } units[] = {
        { "", 1024 }, { "b", 1 }, { "byte", 1 }, { "bytes", 1 }, { "k", 1024 }, { "KiB", 1024 }, { "KB", 1000 }, { "M", 1 << 20 }, { "MiB", 1 << 20 },
        { "MB", 1000000 }, { "G", 1 << 30 }, { "GiB", 1 << 30 }, { "GB", 1000000000 }, { "T", UINT64_C(1) << 40 }, { "TiB", UINT64_C(1) << 40 },
    };
    size_t digits = strspn(text, "0123456789");
    g_autofree char *number = g_strndup(text, digits);
    uint64_t value;

    for (size_t i = 0; digits && digits < 16 && i < G_N_ELEMENTS(units); i++) {
        if (g_ascii_strcasecmp(text + digits, units[i].unit) == 0 && parse_uint(*number == '0' ? "0" : number, &value)) {
            return !__builtin_mul_overflow(value, units[i].factor, bytes) || fail(err, ERANGE, "numeric overflow: size '%s' is too large", text);
        }
    }
    return fail(err, EINVAL, "'%s' is not a size: a number of KiB, or one with b, k, M, G, T, KiB, MiB, GiB or TiB behind it", text);
}

static int setmem(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = NULL;
    g_autoptr(QmpClient) client = NULL;
    uint64_t bytes;

    if (((const SetMem *)verb)->config) {
        fail(err, ENOTSUP, "--config: only the running VM is changed; 'roost edit' changes its definition");
        return 1;
    }
    if (!verb_scaled_bytes(verb->operands[0], &bytes, err) || !(client = verb_client(verb, &vm, err))) {
        return 1;
    }
    if (bytes > value_get_uint(vm->about, "memory", 0) << 10) {
        fail(err, EINVAL, "invalid argument: cannot set memory higher than max memory");
        return 1;
    }
    Value *arguments = value_new_object();
    value_set(arguments, "value", value_new_uint(bytes));
    g_autoptr(Value) reply = qmp_client_call(client, "balloon", arguments, err);
    return reply ? 0 : 1;
}

/* ---- domiflist ------------------------------------------------------------------------------------------------ */

typedef struct IfList {
    Verb common;
    bool inactive;
} IfList;
static const ToolOption iflist_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "inactive", IfList, inactive, "accepted"), VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

static int domiflist(Verb *verb, GError **err)
{
    static const char *const columns[] = { "Interface", "Type", "Source", "Model", "MAC", NULL };
    g_autoptr(VmEntry) vm = verb_any(verb, err);
    const Value *cards = vm ? value_get(vm->about, "interfaces") : NULL;

    if (!vm) {
        return 1;
    }
    VerbTable *table = verb_table_new(columns);
    for (size_t i = 0; i < value_length(cards); i++) {
        const Value *card = value_at(cards, i);
        verb_table_row(table, (const char *const[]){ value_get_string(card, "name", "-"), value_get_string(card, "type", "-"), value_get_string(card, "source", "-"),
                                                     value_get_string(card, "model", "-"), value_get_string(card, "mac", "-") });
    }
    verb_table_print(table);
    return 0;
}

/* ---- domstats ------------------------------------------------------------------------------------------------- */

typedef struct Stats {
    Verb common;
    bool state, cpu, balloon, vcpu, interface, block, perf, iothread, memory, dirtyrate, vm;
    bool active, inactive, persistent, transient, running, paused, shutoff, other;
    bool raw, enforce, backing, nowait;
} Stats;
static const ToolOption stats_options[] = {
    OPTION_FLAG(0, "state", Stats, state, "its state"), OPTION_FLAG(0, "cpu-total", Stats, cpu, "the host's processor time"),
    OPTION_FLAG(0, "balloon", Stats, balloon, "memory"), OPTION_FLAG(0, "vcpu", Stats, vcpu, "its processors"),
    OPTION_FLAG(0, "interface", Stats, interface, "its network cards"), OPTION_FLAG(0, "block", Stats, block, "its drives"),
    OPTION_FLAG(0, "perf", Stats, perf, "nothing: not kept"), OPTION_FLAG(0, "iothread", Stats, iothread, "its I/O threads"),
    OPTION_FLAG(0, "memory", Stats, memory, "nothing: not kept"), OPTION_FLAG(0, "dirtyrate", Stats, dirtyrate, "nothing: not kept"),
    OPTION_FLAG(0, "vm", Stats, vm, "nothing: not kept"),
    OPTION_FLAG(0, "list-active", Stats, active, "of those that run"), OPTION_FLAG(0, "list-inactive", Stats, inactive, "of those that do not"),
    OPTION_FLAG(0, "list-persistent", Stats, persistent, "of those that are defined"), OPTION_FLAG(0, "list-transient", Stats, transient, "of those that are not"),
    OPTION_FLAG(0, "list-running", Stats, running, "of those in the state running"), OPTION_FLAG(0, "list-paused", Stats, paused, "of those that are paused"),
    OPTION_FLAG(0, "list-shutoff", Stats, shutoff, "of those that are shut off"), OPTION_FLAG(0, "list-other", Stats, other, "of those in other states"),
    OPTION_FLAG(0, "raw", Stats, raw, "accepted"), OPTION_FLAG(0, "enforce", Stats, enforce, "accepted"),
    OPTION_FLAG(0, "backing", Stats, backing, "accepted"), OPTION_FLAG(0, "nowait", Stats, nowait, "only what needs no answer of the VM"),
    VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

static int number_of(const char *const *words, const char *word)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    return 0;
}

/* libvirt's virDomainState and the reasons of its states. */
static void print_state(const VmEntry *vm)
{
    static const char *const states[] = { "no state", "running", "idle", "paused", "in shutdown", "shut off", "crashed", "pmsuspended", NULL };
    static const char *const running[] = { "unknown", "booted", "migrated", "restored", "from snapshot", "unpaused", "migration canceled", "save canceled",
                                           "event wakeup", "crashed", "post-copy", NULL };
    static const char *const paused[] = { "unknown", "user", "migrating", "saving", "dumping", "I/O error", "watchdog", "from snapshot", "shutting down",
                                          "creating snapshot", "crashed", "starting up", NULL };
    static const char *const crashed[] = { "unknown", "panicked", NULL }, *const shutdown[] = { "unknown", "user", NULL };
    static const char *const shut_off[] = { "unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", NULL };
    int state = number_of(states, vm->state);
    const char *const *reasons = state == 1 ? running : state == 3 ? paused : state == 4 ? shutdown : state == 5 ? shut_off : crashed;

    printf("  state.state=%d\n  state.reason=%d\n", state, number_of(reasons, vm->reason));
}

static void print_cpu(const VmEntry *vm)
{
    ThreadTimes times;

    if (thread_times(vm->pid, 0, &times)) {
        printf("  cpu.time=%" PRIu64 "\n  cpu.user=%" PRIu64 "\n  cpu.system=%" PRIu64 "\n", times.user_ns + times.system_ns, times.user_ns, times.system_ns);
    }
}

static uint64_t resident_kib(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%ld/statm", (long)pid), *text = NULL;
    unsigned long pages = 0;

    return g_file_get_contents(path, &text, NULL, NULL) && sscanf(text, "%*u %lu", &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) >> 10 : 0;
}

static void print_balloon(const VmEntry *vm, QmpClient *client)
{
    uint64_t all = value_get_uint(vm->about, "memory", 0);
    g_autoptr(Value) balloon = client ? qmp_client_call(client, "query-balloon", NULL, NULL) : NULL;

    printf("  balloon.current=%" PRIu64 "\n  balloon.maximum=%" PRIu64 "\n  balloon.rss=%" PRIu64 "\n", value_get_uint(balloon, "actual", all << 10) >> 10, all,
           resident_kib(vm->pid));
}

static void print_vcpus(const VmEntry *vm, QmpClient *client)
{
    uint64_t count = value_get_uint(vm->about, "vcpus", 0);
    g_autoptr(Value) list = client ? qmp_client_call(client, "query-cpus-fast", NULL, NULL) : NULL;

    printf("  vcpu.current=%" PRIu64 "\n  vcpu.maximum=%" PRIu64 "\n", count, count);
    for (size_t i = 0; i < value_length(list); i++) {
        ThreadTimes times;
        if (thread_times(vm->pid, value_get_int(value_at(list, i), "thread-id", 0), &times)) {
            printf("  vcpu.%zu.state=1\n  vcpu.%zu.time=%" PRIu64 "\n", i, i, times.user_ns + times.system_ns);
        }
    }
}

static const Value *drive_stats(const Value *list, const VmDisk *disk)
{
    for (size_t i = 0; i < value_length(list); i++) {
        if (strcmp(value_get_string(value_at(list, i), "qdev", ""), disk->id) == 0) {
            return value_get(value_at(list, i), "stats");
        }
    }
    return NULL;
}

static void print_drive(unsigned number, const VmDisk *disk, const Value *stats)
{
    static const struct { const char *ours, *theirs; } counters[] = {
        { "rd.reqs", "rd_operations" }, { "rd.bytes", "rd_bytes" }, { "rd.times", "rd_total_time_ns" }, { "wr.reqs", "wr_operations" },
        { "wr.bytes", "wr_bytes" }, { "wr.times", "wr_total_time_ns" }, { "fl.reqs", "flush_operations" }, { "fl.times", "flush_total_time_ns" },
    };

    printf("  block.%u.name=%s\n", number, disk->target);
    if (disk->path) {
        printf("  block.%u.path=%s\n", number, disk->path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(counters); i++) {
        printf("  block.%u.%s=%" PRIu64 "\n", number, counters[i].ours, value_get_uint(stats, counters[i].theirs, 0));
    }
    if (disk->path) {
        printf("  block.%u.allocation=%" PRIu64 "\n  block.%u.capacity=%" PRIu64 "\n  block.%u.physical=%" PRIu64 "\n", number, disk->allocation, number,
               disk->capacity, number, disk->physical);
    }
}

static void print_block(QmpClient *client)
{
    g_autoptr(GPtrArray) disks = client ? vm_disks(client, NULL) : NULL;
    g_autoptr(Value) stats = client ? qmp_client_call(client, "query-blockstats", NULL, NULL) : NULL;

    if (!disks) {
        return;
    }
    printf("  block.count=%u\n", disks->len);
    for (guint i = 0; i < disks->len; i++) {
        print_drive(i, disks->pdata[i], drive_stats(stats, disks->pdata[i]));
    }
}

static void print_iothreads(QmpClient *client)
{
    g_autoptr(Value) list = client ? qmp_client_call(client, "query-iothreads", NULL, NULL) : NULL;

    if (list) {
        printf("  iothread.count=%zu\n", value_length(list));
    }
}

static void print_stats(const Stats *stats, const VmEntry *vm)
{
    bool all = !(stats->state || stats->cpu || stats->balloon || stats->vcpu || stats->interface || stats->block || stats->perf || stats->iothread ||
                 stats->memory || stats->dirtyrate || stats->vm);
    bool asks = vm->pid && !stats->nowait && (all || stats->balloon || stats->vcpu || stats->block || stats->iothread);
    g_autoptr(QmpClient) client = asks ? qmp_client_open(vm, stats->common.seconds, NULL) : NULL;
    g_autofree char *name = verb_printable(vm->name);

    printf("Domain: '%s'\n", name);
    if (all || stats->state) {
        print_state(vm);
    }
    if (vm->pid && (all || stats->cpu)) {
        print_cpu(vm);
    }
    if (all || stats->balloon) {
        print_balloon(vm, client);
    }
    if (all || stats->vcpu) {
        print_vcpus(vm, client);
    }
    if (all || stats->interface) {
        printf("  net.count=%zu\n", value_length(value_get(vm->about, "interfaces")));
    }
    if (all || stats->block) {
        print_block(client);
    }
    if (all || stats->iothread) {
        print_iothreads(client);
    }
}

static bool is_of_interest(const Stats *stats, const VmEntry *vm)
{
    bool active = vm->pid != 0, defined = value_get_bool(vm->about, "persistent", false);
    bool by_state = stats->running || stats->paused || stats->shutoff || stats->other;
    bool running = strcmp(vm->state, "running") == 0, paused = strcmp(vm->state, "paused") == 0, shutoff = strcmp(vm->state, "shut off") == 0;

    if ((stats->active != stats->inactive && active != stats->active) || (stats->persistent != stats->transient && defined != stats->persistent)) {
        return false;
    }
    return !by_state || (running && stats->running) || (paused && stats->paused) || (shutoff && stats->shutoff) ||
           (stats->other && !running && !paused && !shutoff);
}

static int domstats(Verb *verb, GError **err)
{
    const Stats *stats = (const Stats *)verb;
    g_autoptr(GPtrArray) vms = NULL;

    for (int i = 0; i < verb->count; i++) {
        verb->domain = verb->operands[i];
        g_autoptr(VmEntry) vm = verb_any(verb, err);
        if (!vm) {
            return 1;
        }
        fputs(i ? "\n" : "", stdout);
        print_stats(stats, vm);
    }
    if (verb->count || !(vms = verb_all(err))) {
        return verb->count ? 0 : 1;
    }
    for (guint i = 0, shown = 0; i < vms->len; i++) {
        if (is_of_interest(stats, vms->pdata[i])) {
            fputs(shown++ ? "\n" : "", stdout);
            print_stats(stats, vms->pdata[i]);
        }
    }
    return 0;
}

const VerbSpec verb_vcpuinfo = { "vcpuinfo", "", 0, 0, VERB_ONE_VM, .help = "a VM's processors and where they run", .options = vcpuinfo_options,
                                 .size = sizeof(VcpuInfo), .run = vcpuinfo };
const VerbSpec verb_setmem = { "setmem", "SIZE", 1, 1, VERB_ONE_VM, .help = "how much memory the guest shall keep (by its balloon); a bare number is in KiB",
                               .options = setmem_options, .size = sizeof(SetMem), .run = setmem };
const VerbSpec verb_domiflist = { "domiflist", "", 0, 0, VERB_ONE_VM, .help = "a VM's network cards", .options = iflist_options, .size = sizeof(IfList),
                                  .run = domiflist };
const VerbSpec verb_domstats = { "domstats", "[DOMAIN]...", 0, -1, VERB_NO_VM, .help = "counters of some VMs, or of all", .options = stats_options,
                                 .size = sizeof(Stats), .run = domstats, .completes = "domain" };
