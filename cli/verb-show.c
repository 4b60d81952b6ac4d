/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-show.c - list, dominfo, domstate, domid, domname, domuuid: what the entries say, without asking a VM
 *
 * Tests    tests/verbs/verbs.py, tests/verbs/forms.py
 */
#include "cli/verb-list.h"
#include "base/json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- list --------------------------------------------------------------------------------------------------- */

typedef struct List {
    Verb common;
    bool all, inactive, transient, persistent, running, paused, shutoff, other, autostart, no_autostart, managed, no_managed;
    bool snapshot, no_snapshot, checkpoint, no_checkpoint;
    bool uuid, name, id, table, title, managed_save;
} List;
static const ToolOption list_options[] = {
    OPTION_FLAG(0, "inactive", List, inactive, "those that do not run"),
    OPTION_FLAG(0, "all", List, all, "those that run and those that do not"),
    OPTION_FLAG(0, "transient", List, transient, "those that are not defined"),
    OPTION_FLAG(0, "persistent", List, persistent, "those that are defined"),
    OPTION_FLAG(0, "with-snapshot", List, snapshot, "none: snapshots are not kept here"),
    OPTION_FLAG(0, "without-snapshot", List, no_snapshot, "all"),
    OPTION_FLAG(0, "with-checkpoint", List, checkpoint, "none: checkpoints are not kept here"),
    OPTION_FLAG(0, "without-checkpoint", List, no_checkpoint, "all"),
    OPTION_FLAG(0, "state-running", List, running, "those that run"),
    OPTION_FLAG(0, "state-paused", List, paused, "those that are paused"),
    OPTION_FLAG(0, "state-shutoff", List, shutoff, "those that are shut off"),
    OPTION_FLAG(0, "state-other", List, other, "those in any other state"),
    OPTION_FLAG(0, "autostart", List, autostart, "none: nothing starts by itself"),
    OPTION_FLAG(0, "no-autostart", List, no_autostart, "all"),
    OPTION_FLAG(0, "with-managed-save", List, managed, "none: saved VMs are not kept here"),
    OPTION_FLAG(0, "without-managed-save", List, no_managed, "all"),
    OPTION_FLAG(0, "uuid", List, uuid, "print uuids only"),
    OPTION_FLAG(0, "name", List, name, "print names only"),
    OPTION_FLAG(0, "id", List, id, "print ids only"),
    OPTION_FLAG(0, "table", List, table, "print a table, as without any of these"),
    OPTION_FLAG(0, "managed-save", List, managed_save, "accepted"),
    OPTION_FLAG(0, "title", List, title, "with the title"),
    VERB_HELP, VERB_OPTIONS_END };

static bool state_wanted(const List *list, const VmEntry *vm)
{
    bool running = strcmp(vm->state, "running") == 0, paused = strcmp(vm->state, "paused") == 0, shutoff = strcmp(vm->state, "shut off") == 0;

    if (!list->running && !list->paused && !list->shutoff && !list->other) {
        return true;
    }
    return (list->running && running) || (list->paused && paused) || (list->shutoff && shutoff) ||
           (list->other && !running && !paused && !shutoff);
}

/* Pairs of which one alone filters; both together say nothing. */
static bool wanted(const List *list, const VmEntry *vm)
{
    bool active = vm->pid != 0, defined = value_get_bool(vm->about, "persistent", false);
    bool none = (list->snapshot && !list->no_snapshot) || (list->checkpoint && !list->no_checkpoint) ||
                (list->autostart && !list->no_autostart) || (list->managed && !list->no_managed);

    if (none || (list->transient != list->persistent && list->persistent != defined)) {
        return false;
    }
    if (!active && !list->all && !list->inactive && !list->shutoff) {
        return false;
    }
    return (!active || list->all || !list->inactive) && state_wanted(list, vm);
}

static void id_text(const VmEntry *vm, char *out, size_t size)
{
    if (vm->pid) {
        snprintf(out, size, "%u", vm->id);
    } else {
        snprintf(out, size, "-");
    }
}

static void print_plain(const List *list, const VmEntry *vm)
{
    g_autofree char *name = verb_printable(vm->name);
    char id[16];
    const char *gap = "";

    id_text(vm, id, sizeof id);
    if (list->id) {
        printf("%s", id);
        gap = " ";
    }
    if (list->uuid) {
        printf("%s%s", gap, vm->uuid);
        gap = " ";
    }
    printf("%s%s\n", list->name ? gap : "", list->name ? name : "");
}

static void print_in_table(const List *list, const GPtrArray *vms)
{
    static const char *const plain[] = { "Id", "Name", "State", NULL }, *const titled[] = { "Id", "Name", "State", "Title", NULL };
    VerbTable *table = verb_table_new(list->title ? titled : plain);

    for (guint i = 0; i < vms->len; i++) {
        const VmEntry *vm = vms->pdata[i];
        if (wanted(list, vm)) {
            char id[16];
            id_text(vm, id, sizeof id);
            verb_table_row(table, (const char *const[]){ id, vm->name, vm->state, value_get_string(vm->about, "title", "") });
        }
    }
    verb_table_print(table);
}

static int list(Verb *verb, GError **err)
{
    const List *this = (const List *)verb;
    g_autoptr(GPtrArray) vms = verb_all(err);
    bool plain = this->uuid || this->name || this->id;

    if (plain && (this->table || this->title)) {
        fail(err, EINVAL, "Only one argument from --table, --title and --name, --uuid, --id may be specified.");
        return 1;
    }
    if (!vms) {
        return 1;
    }
    if (!plain) {
        print_in_table(this, vms);
        return 0;
    }
    for (guint i = 0; i < vms->len; i++) {
        if (wanted(this, vms->pdata[i])) {
            print_plain(this, vms->pdata[i]);
        }
    }
    return 0;
}

/* ---- one VM ------------------------------------------------------------------------------------------------- */

static const ToolOption plain_options[] = { VERB_DOMAIN, VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

double vm_cpu_seconds(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%ld/stat", (long)pid), *text = NULL;
    unsigned long user, system;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return 0;
    }
    const char *after = strrchr(text, ')');                /* the name may have blanks and parentheses */
    bool read = after && sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2;
    return read ? (double)(user + system) / (double)sysconf(_SC_CLK_TCK) : 0;
}

/* What a balloon left it; a VM that has none, or does not answer soon, has all. */
static uint64_t used_kib(const VmEntry *vm)
{
    static const double soon = 2;
    uint64_t all = value_get_uint(vm->about, "memory", 0);
    g_autoptr(QmpClient) client = vm->pid ? qmp_client_open(vm, soon, NULL) : NULL;
    g_autoptr(Value) balloon = client ? qmp_client_call(client, "query-balloon", NULL, NULL) : NULL;

    return value_get_uint(balloon, "actual", all << 10) >> 10;
}

static int dominfo(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_any(verb, err);
    char id[16];

    if (!vm) {
        return 1;
    }
    g_autofree char *name = verb_printable(vm->name);
    id_text(vm, id, sizeof id);
    printf("%-15s %s\n%-15s %s\n%-15s %s\n%-15s %s\n", "Id:", id, "Name:", name, "UUID:", vm->uuid, "OS Type:", "hvm");
    printf("%-15s %s\n%-15s %" PRIu64 "\n", "State:", vm->state, "CPU(s):", value_get_uint(vm->about, "vcpus", 0));
    if (vm->pid) {
        printf("%-15s %.1fs\n", "CPU time:", vm_cpu_seconds(vm->pid));
    }
    printf("%-15s %" PRIu64 " KiB\n%-15s %" PRIu64 " KiB\n", "Max memory:", value_get_uint(vm->about, "memory", 0), "Used memory:", used_kib(vm));
    printf("%-15s %s\n%-15s %s\n%-15s %s\n", "Persistent:", value_get_bool(vm->about, "persistent", false) ? "yes" : "no",
           "Autostart:", "disable", "Managed save:", "no");
    printf("%-15s %s\n%-15s %s\n", "Security model:", "none", "Security DOI:", "0");
    return 0;
}

typedef struct State {
    Verb common;
    bool reason;
} State;
static const ToolOption state_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "reason", State, reason, "why it is so, too"), VERB_HELP, VERB_OPTIONS_END };

static int domstate(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_any(verb, err);

    if (!vm) {
        return 1;
    }
    if (((const State *)verb)->reason) {
        printf("%s (%s)\n", vm->state, vm->reason);
    } else {
        puts(vm->state);
    }
    return 0;
}

static int domid(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_any(verb, err);
    char id[16];

    if (vm) {
        id_text(vm, id, sizeof id);
        puts(id);
    }
    return vm ? 0 : 1;
}

static int domname(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_any(verb, err);
    g_autofree char *name = vm ? verb_printable(vm->name) : NULL;

    if (vm) {
        puts(name);
    }
    return vm ? 0 : 1;
}

static int domuuid(Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_any(verb, err);

    if (vm) {
        puts(vm->uuid);
    }
    return vm ? 0 : 1;
}

const VerbSpec verb_list = { "list", "", 0, 0, VERB_NO_VM, .help = "the VMs that run", .options = list_options, .size = sizeof(List), .run = list };
const VerbSpec verb_dominfo = { "dominfo", "", 0, 0, VERB_ONE_VM, .help = "a VM's name, state, processors and memory", .options = plain_options,
                                .size = sizeof(Verb), .run = dominfo };
const VerbSpec verb_domstate = { "domstate", "", 0, 0, VERB_ONE_VM, .help = "whether it runs", .options = state_options,
                                 .size = sizeof(State), .run = domstate };
const VerbSpec verb_domid = { "domid", "", 0, 0, VERB_ONE_VM, .help = "a VM's id", .options = plain_options, .size = sizeof(Verb), .run = domid };
const VerbSpec verb_domname = { "domname", "", 0, 0, VERB_ONE_VM, .help = "a VM's name", .options = plain_options, .size = sizeof(Verb), .run = domname };
const VerbSpec verb_domuuid = { "domuuid", "", 0, 0, VERB_ONE_VM, .help = "a VM's uuid", .options = plain_options, .size = sizeof(Verb), .run = domuuid };
