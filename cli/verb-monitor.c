/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-monitor.c - qmp, hmp, log: a VM's monitor from the shell, and what the VM said
 *
 * Tests    tests/verbs/verbs.py
 */
#include "cli/verb-list.h"
#include "base/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- qmp ---------------------------------------------------------------------------------------------------- */

typedef struct Qmp {
    Verb common;
    bool pretty;
} Qmp;
static const ToolOption qmp_options[] = {
    VERB_DOMAIN, OPTION_FLAG(0, "pretty", Qmp, pretty, "indent the answer"), VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

/* "query-status", or a whole request in braces; behind a name its arguments as KEY=JSON or KEY=TEXT. */
static Value *request_from(const Verb *verb, GError **err)
{
    const char *first = verb->operands[0];
    Value *request, *arguments = NULL;

    if (*first == '{') {
        return json_parse(first, err);
    }
    request = value_new_object();
    value_set(request, "execute", value_new_string(first));
    for (int i = 1; i < verb->count; i++) {
        const char *equals = strchr(verb->operands[i], '=');
        if (!equals) {
            value_unref(request);
            value_unref(arguments);
            fail(err, EINVAL, "'%s': an argument is KEY=VALUE; a whole request is written in braces", verb->operands[i]);
            return NULL;
        }
        g_autofree char *key = g_strndup(verb->operands[i], (gsize)(equals - verb->operands[i]));
        Value *value = json_parse(equals + 1, NULL);
        arguments = arguments ? arguments : value_new_object();
        value_set(arguments, key, value ? value : value_new_string(equals + 1));
    }
    if (arguments) {
        value_set(request, "arguments", arguments);
    }
    return request;
}

static int qmp(Verb *verb, GError **err)
{
    g_autoptr(Value) request = request_from(verb, err), reply = NULL;
    g_autoptr(VmEntry) vm = NULL;
    g_autoptr(QmpClient) client = request ? verb_client(verb, &vm, err) : NULL;

    if (!client || !(reply = qmp_client_ask(client, request, err))) {
        return 1;
    }
    g_autofree char *text = json_print(reply, ((const Qmp *)verb)->pretty);
    puts(text);
    return value_get(reply, "error") ? 1 : 0;
}

/* ---- hmp ---------------------------------------------------------------------------------------------------- */

static const ToolOption hmp_options[] = { VERB_DOMAIN, VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

static int hmp(Verb *verb, GError **err)
{
    g_autofree char *line = g_strjoinv(" ", verb->operands);
    Value *arguments = value_new_object();
    g_autoptr(VmEntry) vm = NULL;
    g_autoptr(QmpClient) client = verb_client(verb, &vm, err);

    value_set(arguments, "command-line", value_new_string(line));
    if (!client) {
        value_unref(arguments);
        return 1;
    }
    g_autoptr(Value) said = qmp_client_call(client, "human-monitor-command", arguments, err);
    for (const char *c = said && value_string(said) ? value_string(said) : ""; *c; c++) {
        if (*c != '\r') {
            putchar(*c);
        }
    }
    return said ? 0 : 1;
}

/* ---- log ---------------------------------------------------------------------------------------------------- */

static const ToolOption log_options[] = { VERB_DOMAIN, VERB_HELP, VERB_OPTIONS_END };

/* By name the log of one that ran before is found as well. */
static int show_log(Verb *verb, GError **err)
{
    g_autoptr(GError) nobody = NULL;
    g_autoptr(VmEntry) vm = verb_vm(verb, &nobody);
    g_autofree char *file = runtime_log_name(vm ? vm->name : verb->domain);
    int folder = runtime_open(false, NULL);
    g_autofree char *text = folder >= 0 ? runtime_read_tail(folder, file) : NULL;

    if (folder >= 0) {
        close(folder);
    }
    if (!text) {
        g_propagate_error(err, g_steal_pointer(&nobody));
        return vm ? fail(err, ENOENT, "'%s' keeps no log", vm->name), 1 : 1;
    }
    fputs(text, stdout);
    return 0;
}

const VerbSpec verb_qmp = { "qmp", "COMMAND [KEY=VALUE]... | '{REQUEST}'", 1, -1, VERB_ONE_VM, .raw = true,
                            .help = "one QMP command and its answer; status 1 when that is an error", .options = qmp_options, .size = sizeof(Qmp), .run = qmp };
const VerbSpec verb_hmp = { "hmp", "COMMAND...", 1, -1, VERB_ONE_VM, .raw = true, .help = "one line for the monitor for people", .options = hmp_options,
                            .size = sizeof(Verb), .run = hmp };
const VerbSpec verb_log = { "log", "", 0, 0, VERB_ONE_VM, .raw = true, .help = "a VM's command line, warnings and errors, also when it has ended",
                            .options = log_options, .size = sizeof(Verb), .run = show_log };
