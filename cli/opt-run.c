/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-run.c - options about the guest's name and clock, and about the process around it
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "base/log.h"
#include "base/trace.h"
#include "cli/keyval.h"
#include "cli/options.h"
#include "hw/machine/firmware.h"
#include <errno.h>
#include <grp.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys into the top-level object that bears the option's path. */
static bool apply_keys(Config *config, const Option *option, const Field *keys, const char *text, const char *implied, GError **err)
{
    if (!*text) {
        return fail(err, EINVAL, "nothing was given; it takes %s", option->argument);
    }
    return keyval_apply(config, config_object(config, option->path), keys, text, implied, err);
}

const Field name_keys[] = {
    KEY_STR("guest", "name of the guest"), KEY_STR("process", "name of the process"), KEY_BOOL("debug-threads", "name the threads"), FIELD_END };

bool opt_name(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) keys = value_new_object();
    static const char *const run_keys[] = { "process", "debug-threads", NULL };

    (void)option;
    if (!keyval_apply(config, keys, name_keys, text, "guest", err)) {
        return false;
    }
    if (value_get(keys, "guest")) {
        value_set(config->tree, "name", value_ref(value_get(keys, "guest")));
    }
    for (const char *const *key = run_keys; *key; key++) {
        if (value_get(keys, *key)) {
            value_set(config_object(config, "run"), *key, value_ref(value_get(keys, *key)));
        }
    }
    return true;
}

bool opt_uuid(Config *config, const Option *option, const char *text, GError **err)
{
    uint8_t bytes[16];

    (void)option;
    if (strlen(text) != 36 || !parse_uuid(text, bytes)) {
        return fail(err, EINVAL, "a UUID is written as 12345678-1234-1234-1234-123456789abc");
    }
    value_set(config->tree, "uuid", value_new_string(text));
    return true;
}

static const char *const rtc_clocks[] = { "host", "rt", "vm", NULL };
static const char *const drift_fixes[] = { "none", "slew", NULL };
const Field rtc_keys[] = {
    KEY_STR("base", "utc, localtime, or a date as 2006-06-17T16:01:21 or 2006-06-17"),
    KEY_ENUM("clock", rtc_clocks, "what it follows: the host's wall clock, its steady clock, or guest time"),
    KEY_ENUM("driftfix", drift_fixes, "catch up on lost periodic interrupts"), FIELD_END };

static bool is_date(const char *text)
{
    int year, month, day, hour = 0, minute = 0, second = 0, end = 0;

    bool right = (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &end) == 6 && !text[end]) ||
                 (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &end) == 3 && !text[end]);
    if (!right || year < 1 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
        return false;
    }
    return g_date_valid_dmy((GDateDay)day, (GDateMonth)month, (GDateYear)year);
}

bool opt_rtc(Config *config, const Option *option, const char *text, GError **err)
{
    if (!apply_keys(config, option, rtc_keys, text, NULL, err)) {
        return false;
    }
    const char *base = value_get_string(value_get(config->tree, "rtc"), "base", "utc");
    return strcmp(base, "utc") == 0 || strcmp(base, "localtime") == 0 || is_date(base) ||
           fail(err, EINVAL, "base=%s: it is utc, localtime, or a date as 2006-06-17T16:01:21 or 2006-06-17", base);
}

static const char *const on_reboot[] = { "reset", "shutdown", NULL };
static const char *const on_shutdown[] = { "poweroff", "pause", NULL };
static const char *const on_panic[] = { "pause", "shutdown", "exit-failure", "none", NULL };
static const char *const on_watchdog[] = { "reset", "shutdown", "poweroff", "inject-nmi", "pause", "debug", "none", NULL };
const Field action_keys[] = {
    KEY_ENUM("reboot", on_reboot, "the guest reboots"), KEY_ENUM("shutdown", on_shutdown, "the guest powers off"),
    KEY_ENUM("panic", on_panic, "the guest says that it panicked"), KEY_ENUM("watchdog", on_watchdog, "a watchdog device runs out"), FIELD_END };

bool opt_action(Config *config, const Option *option, const char *text, GError **err)
{
    return apply_keys(config, option, action_keys, text, NULL, err);
}

static const char *const allow_deny[] = { "allow", "deny", NULL };
static const char *const allow_deny_children[] = { "allow", "deny", "children", NULL };
const Field sandbox_keys[] = {
    KEY_ENUM("enable", on_off, "filter system calls"),
    KEY_ENUM("obsolete", allow_deny, "calls that no program of today needs (default: deny)"),
    KEY_ENUM("elevateprivileges", allow_deny_children, "change of user and group; children: only in programs that are started"),
    KEY_ENUM("spawn", allow_deny, "new processes and programs"),
    KEY_ENUM("resourcecontrol", allow_deny, "processor affinity, priority and limits"), FIELD_END };

bool opt_sandbox(Config *config, const Option *option, const char *text, GError **err)
{
    return apply_keys(config, option, sandbox_keys, text, "enable", err);
}

const Field msg_keys[] = {
    KEY_BOOL("timestamp", "the time before each message"), KEY_BOOL("guest-name", "the guest's name before each message"), FIELD_END };

bool opt_msg(Config *config, const Option *option, const char *text, GError **err)
{
    return apply_keys(config, option, msg_keys, text, NULL, err);
}

const Field overcommit_keys[] = {
    KEY_BOOL("mem-lock", "keep all memory in RAM"), KEY_BOOL("cpu-pm", "the guest idles the processor itself (not supported yet)"), FIELD_END };

bool opt_overcommit(Config *config, const Option *option, const char *text, GError **err)
{
    if (!apply_keys(config, option, overcommit_keys, text, NULL, err)) {
        return false;
    }
    return !value_get_bool(value_get(config->tree, "overcommit"), "cpu-pm", false) || fail(err, ENOTSUP, "cpu-pm=on is not supported yet");
}

const Field run_with_keys[] = {
    KEY_BOOL("exit-with-parent", "end as by SIGTERM when the process that started this one has ended, however it ended"),
    KEY_BOOL("async-teardown", "free memory in a process of its own (not supported yet)"), FIELD_END };

bool opt_run_with(Config *config, const Option *option, const char *text, GError **err)
{
    if (!apply_keys(config, option, run_with_keys, text, NULL, err)) {
        return false;
    }
    return !value_get_bool(value_get(config->tree, "run-with"), "async-teardown", false) || fail(err, ENOTSUP, "async-teardown=on is not supported yet");
}

bool opt_runas(Config *config, const Option *option, const char *text, GError **err)
{
    uint64_t uid, gid;
    const char *colon = strchr(text, ':');

    (void)option;
    if (colon) {
        g_autofree char *user = g_strndup(text, colon - text);
        if (!parse_uint(user, &uid) || !parse_uint(colon + 1, &gid) || uid >= UINT32_MAX || gid >= UINT32_MAX) {
            return fail(err, EINVAL, "UID:GID are two numbers below 4294967295");
        }
    } else {
        const struct passwd *entry = getpwnam(text);
        if (!entry) {
            return fail(err, ENOENT, "there is no user of that name; a number is given as UID:GID");
        }
        uid = entry->pw_uid;
        gid = entry->pw_gid;
    }
    Value *runas = value_new_object();
    if (!colon) {
        value_set(runas, "user", value_new_string(text));
    }
    value_set(runas, "uid", value_new_uint(uid));
    value_set(runas, "gid", value_new_uint(gid));
    value_set(config->tree, "runas", runas);
    return true;
}

bool opt_log(Config *config, const Option *option, const char *text, GError **err)
{
    if (strcmp(text, "help") == 0 || strcmp(text, "?") == 0) {
        log_print_items();
        return config_show(config);
    }
    if (strcmp(text, "trace:help") == 0) {
        trace_print_all();
        return config_show(config);
    }
    if (!*text) {
        return fail(err, EINVAL, "nothing was given; '-d help' lists the items");
    }
    if (!log_set_items(text, err)) {
        return false;
    }
    value_set(config->tree, option->path, value_new_string(text));
    return true;
}

const Field trace_keys[] = {
    KEY_STR("enable", "a pattern of names"), KEY_STR("events", "a file with a pattern per line"), KEY_STR("file", "where they are recorded"), FIELD_END };

bool opt_trace(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) item = value_new_object();

    if (option_wants_help(text)) {
        trace_print_all();
        return config_show(config);
    }
    if (!keyval_apply(config, item, trace_keys, text, "enable", err)) {
        return false;
    }
    const char *pattern = value_get_string(item, "enable", NULL), *events = value_get_string(item, "events", NULL);
    if (value_length(item) == 0 || (pattern && !*pattern)) {
        return fail(err, EINVAL, "a pattern is missing; '-trace help' lists the names");
    }
    if ((pattern && !trace_enable(pattern, err)) || (events && !trace_enable_file(events, err))) {
        return false;
    }
    value_append(config_list(config, "trace"), g_steal_pointer(&item));
    (void)option;
    return true;
}

bool opt_firmware_path(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    if (strcmp(text, "help") == 0) {
        firmware_print_folders();
        return config_show(config);
    }
    if (!*text) {
        return fail(err, EINVAL, "a directory is missing");
    }
    value_append(config_list(config, "firmware-path"), value_new_string(text));
    return true;
}

bool opt_nographic(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    (void)text;
    (void)err;
    config->nographic = true;
    value_set(config_object(config, "machine"), "graphics", value_new_string("off"));      /* firmware and tables know too */
    return true;
}

bool opt_vga(Config *config, const Option *option, const char *text, GError **err)
{
    static const char *const other[] = { "cirrus", "vmware", "qxl", "xenfb", "tcx", "cg3", "virtio", NULL };

    if (strcmp(text, "help") == 0) {
        puts("none                 no display adapter\nstd                  standard VGA");
        return config_show(config);
    }
    if (strcmp(text, "none") != 0 && strcmp(text, "std") != 0) {
        return g_strv_contains(other, text) ? fail(err, ENOTSUP, "that display adapter is not supported yet; there are std and none")
                                            : fail(err, EINVAL, "there is no such display adapter; there are std and none");
    }
    value_set(config->tree, option->path, value_new_string(text));
    return true;
}

bool opt_only_none(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    if (strcmp(text, "help") == 0) {
        puts("none");
        return config_show(config);
    }
    return strcmp(text, "none") == 0 || fail(err, ENOTSUP, "it is not supported yet; 'none' is all there is");
}

bool opt_run_timeout(Config *config, const Option *option, const char *text, GError **err)
{
    char *end;
    double seconds = g_ascii_strtod(text, &end);

    if (end == text || *end || !isfinite(seconds) || seconds <= 0 || seconds > 1e9) {
        return fail(err, EINVAL, "a number of seconds above 0 and up to 1000000000 is needed");
    }
    value_set(config->tree, option->path, value_new_double(seconds));
    return true;
}

bool opt_list_as(Config *config, const Option *option, const char *text, GError **err)
{
    if (!*text) {
        return fail(err, EINVAL, "a name is missing; none keeps the VM out of the list");
    }
    value_set(config->tree, option->path, value_new_string(text));
    return true;
}

bool opt_nothing(Config *config, const Option *option, const char *text, GError **err)
{
    (void)config;
    (void)option;
    (void)text;
    (void)err;
    return true;
}

bool opt_help(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    (void)text;
    (void)err;
    options_print_help();
    return config_show(config);
}

bool opt_version(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    (void)text;
    (void)err;
    printf("Roost version %s\n", ROOST_VERSION);
    return config_show(config);
}

bool opt_print_config(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    (void)text;
    (void)err;
    config->print_config = true;
    return true;
}
