/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb.c - roost list, suspend, console, ...: the list of verbs, their help, and how one is run
 *
 * What was written for virsh runs with this in its place: options, output and exit codes are virsh's, its sentences where it has one. There
 * is no daemon: a verb looks into the user's runtime folder (cli/runtime.h) and speaks QMP with the VM itself.
 *
 * Threads  the tool's only one
 * Tests    tests/verbs
 */
#include "cli/verb.h"
#include "base/option.h"
#include "cli/verb-define.h"
#include "cli/verb-list.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double usual_patience = 30;

const VerbSpec *const verb_specs[] = {
    &verb_list, &verb_dominfo, &verb_domstate, &verb_domid, &verb_domname, &verb_domuuid,
    &verb_define, &verb_undefine, &verb_edit, &verb_dumpxml, &verb_start, &verb_create,
    &verb_suspend, &verb_resume, &verb_shutdown, &verb_reboot, &verb_reset, &verb_destroy,
    &verb_domstats, &verb_domblklist, &verb_domblkinfo, &verb_domiflist, &verb_vcpuinfo, &verb_setmem,
    &verb_change_media, &verb_attach_disk, &verb_detach_disk, &verb_screenshot, &verb_send_key,
    &verb_console, &verb_wait, &verb_qmp, &verb_hmp, &verb_log,
    &verb_net_list, &verb_net_info, &verb_net_dumpxml, &verb_pool_list, &verb_vol_list,
    &verb_nodeinfo, &verb_host_validate, &verb_capabilities, &verb_domcapabilities, NULL };

const VerbSpec *verb_find(const char *name)
{
    for (size_t i = 0; verb_specs[i]; i++) {
        if (strcmp(verb_specs[i]->name, name) == 0) {
            return verb_specs[i];
        }
    }
    return NULL;
}

bool verb_take_timeout(void *into, const char *text, GError **err)
{
    char *end;
    double seconds = g_ascii_strtod(text, &end);

    if (end == text || *end || !isfinite(seconds) || seconds <= 0 || seconds > 1e9) {
        return fail(err, EINVAL, "--timeout '%s': a number of seconds above 0 and up to 1000000000 is needed", text);
    }
    ((Verb *)into)->seconds = seconds;
    return true;
}

/* ---- help --------------------------------------------------------------------------------------------------- */

static char *operands_text(const VerbSpec *spec)
{
    return g_strconcat(spec->needs == VERB_ONE_VM ? "DOMAIN" : "", spec->needs == VERB_ONE_VM && *spec->operands ? " " : "", spec->operands, NULL);
}

void verbs_print_help(void)
{
    for (size_t i = 0; verb_specs[i]; i++) {
        g_autofree char *operands = operands_text(verb_specs[i]), *line = g_strdup_printf("%s %s", verb_specs[i]->name, operands);
        printf("  %-28s %s\n", line, verb_specs[i]->help);
    }
}

void verbs_print_manual(void (*term)(const char *bold, const char *argument), void (*text)(const char *line))
{
    for (size_t i = 0; verb_specs[i]; i++) {
        const VerbSpec *spec = verb_specs[i];
        g_autofree char *operands = operands_text(spec);
        term(spec->name, operands);
        text(spec->help);
        for (const ToolOption *option = spec->options; option->kind != TOOL_END; option++) {
            if (option->name && strcmp(option->name, "help") != 0 && strcmp(option->name, "domain") != 0 && strcmp(option->name, "timeout") != 0) {
                g_autofree char *line = g_strdup_printf("--%s%s%s: %s", option->name, option->argument ? " " : "",
                                                        option->argument ? option->argument : "", option->help);
                text(line);
            }
        }
    }
}

static void print_verb_help(const VerbSpec *spec)
{
    g_autofree char *operands = operands_text(spec);

    printf("usage: roost %s [OPTIONS] %s\n%s\n\n", spec->name, operands, spec->help);
    tool_options_help(spec->options);
}

/* ---- running one -------------------------------------------------------------------------------------------- */

static bool take_operands(Verb *verb, int count, char **operands, GError **err)
{
    const VerbSpec *spec = verb->spec;

    if (spec->needs == VERB_ONE_VM && !verb->domain) {
        if (count == 0) {
            return fail(err, EINVAL, "command '%s' requires <domain> option", spec->name);
        }
        verb->domain = operands[0];
        operands++;
        count--;
    }
    verb->count = count;
    verb->operands = operands;
    if (count < spec->least) {
        return fail(err, EINVAL, "command '%s' requires %s", spec->name, spec->operands);
    }
    if (spec->most >= 0 && count > spec->most) {
        return fail(err, EINVAL, "unexpected data '%s'", operands[spec->most]);
    }
    return true;
}

static int run_it(Verb *verb)
{
    g_autoptr(GError) err = NULL;
    int status = verb->spec->run(verb, &err);

    if (err) {
        tool_complain(err);
        status = status ? status : 1;
    }
    if (!verb->spec->raw) {
        putchar('\n');
    }
    return status;
}

int verb_main(const VerbSpec *spec, int argc, char **argv)
{
    g_autoptr(GError) err = NULL;
    g_autofree Verb *verb = g_malloc0(spec->size);
    int first, status = 1;

    tool_name = "error";
    signal(SIGPIPE, SIG_IGN);
    verb->spec = spec;
    verb->seconds = spec->patient ? 0 : usual_patience;
    if (!tool_options_read(spec->options, verb, argc, argv, false, &first, &err)) {
        tool_error("command '%s': %s", spec->name, err->message);
    } else if (verb->help) {
        print_verb_help(spec);
        status = 0;
    } else if (!take_operands(verb, argc - first, argv + first, &err)) {
        tool_complain(err);
    } else {
        status = run_it(verb);
    }
    tool_options_clear(spec->options, verb);
    return status;
}

/* ---- what verbs share --------------------------------------------------------------------------------------- */

static bool is_meant(const VmEntry *vm, const char *text, uint64_t id, bool is_id)
{
    return (is_id && vm->id == id) || g_ascii_strcasecmp(vm->uuid, text) == 0 || strcmp(vm->name, text) == 0;
}

/* An id before a uuid before a name, as virsh has it. Two of one name: the sentence says how to tell them apart. */
static VmEntry *choose(GPtrArray *vms, const char *text, GError **err)
{
    VmEntry *found = NULL;
    uint64_t id = 0;
    bool is_id = g_ascii_isdigit(*text) && parse_uint(text, &id);

    for (guint i = 0; i < vms->len; i++) {
        VmEntry *vm = vms->pdata[i];
        if (is_id && vm->id == id) {
            return vm;
        }
        if (is_meant(vm, text, id, is_id)) {
            if (found) {
                fail(err, EINVAL, "domain '%s': two VMs are called so, with the ids %u and %u; name one by its id", text, found->id, vm->id);
                return NULL;
            }
            found = vm;
        }
    }
    if (!found) {
        fail(err, ENOENT, "failed to get domain '%s'", text);
    }
    return found;
}

GPtrArray *verb_all(GError **err)
{
    GPtrArray *vms = vm_entries(err);

    if (vms) {
        definitions_add(vms);
    }
    return vms;
}

VmEntry *verb_any(const Verb *verb, GError **err)
{
    g_autoptr(GPtrArray) vms = verb_all(err);
    VmEntry *found = vms ? choose(vms, verb->domain, err) : NULL;
    guint at;

    if (found && g_ptr_array_find(vms, found, &at)) {
        return g_ptr_array_steal_index(vms, at);
    }
    return NULL;
}

VmEntry *verb_vm(const Verb *verb, GError **err)
{
    g_autoptr(VmEntry) vm = verb_any(verb, err);

    if (vm && !vm->pid) {
        fail(err, ESRCH, "Requested operation is not valid: domain is not running");
        return NULL;
    }
    return g_steal_pointer(&vm);
}

QmpClient *verb_client(const Verb *verb, VmEntry **vm, GError **err)
{
    *vm = verb_vm(verb, err);
    return *vm ? qmp_client_open(*vm, verb->seconds, err) : NULL;
}

bool verb_command(const Verb *verb, const char *what, const char *command, GError **err)
{
    g_autoptr(VmEntry) vm = NULL;
    g_autoptr(QmpClient) client = verb_client(verb, &vm, err);
    g_autoptr(Value) reply = client ? qmp_client_call(client, command, NULL, err) : NULL;

    if (client && !reply) {
        g_prefix_error(err, "Failed to %s domain '%s': ", what, vm->name);
    }
    return reply != NULL;
}
