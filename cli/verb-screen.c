/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb-screen.c - screenshot, send-key: they ask the VM, and one without a display or a keyboard says so
 *
 * Tests    tests/verbs/block.py
 */
#include "cli/verb-list.h"
#include "base/field.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct Screen {
    Verb common;
    const char *file, *codeset;
    uint64_t screen, holdtime;
} Screen;

static const ToolOption screenshot_options[] = {
    VERB_DOMAIN, OPTION_TEXT(0, "file", "FILE", Screen, file, "where to, as the second word says it (default: NAME-DATE.ppm)"),
    OPTION_NUMBER(0, "screen", "N", Screen, screen, "which head"), VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };
static const ToolOption key_options[] = {
    VERB_DOMAIN, OPTION_TEXT(0, "codeset", "linux|qcode", Screen, codeset, "how keys are named: KEY_A and numbers of Linux, or a of QMP"),
    OPTION_NUMBER(0, "holdtime", "MS", Screen, holdtime, "how long they are held down"), VERB_TIMEOUT, VERB_HELP, VERB_OPTIONS_END };

static int screenshot(Verb *verb, GError **err)
{
    const Screen *screen = (const Screen *)verb;
    g_autoptr(VmEntry) vm = NULL;
    g_autoptr(QmpClient) client = verb_client(verb, &vm, err);
    const char *given = screen->file ? screen->file : verb->count ? verb->operands[0] : NULL;
    char date[32];
    time_t now = time(NULL);
    struct tm parts;

    if (!client) {
        return 1;
    }
    strftime(date, sizeof date, "%Y-%m-%d-%H:%M:%S", localtime_r(&now, &parts));
    g_autofree char *made = g_strdup_printf("%s-%s.ppm", vm->name, date), *name = given ? g_strdup(given) : g_strdelimit(g_steal_pointer(&made), "/\n", '_');
    g_autofree char *path = g_canonicalize_filename(name, NULL);
    Value *arguments = value_new_object();
    value_set(arguments, "filename", value_new_string(path));
    g_autoptr(Value) reply = qmp_client_call(client, "screendump", arguments, err);
    if (!reply) {
        g_prefix_error(err, "could not take a screenshot of '%s': ", vm->name);
        return 1;
    }
    printf("Screenshot saved to %s, with type of %s\n", name, "image/x-portable-pixmap");
    return 0;
}

/* KEY_LEFTCTRL is ctrl to QMP, and most names are theirs in small letters. */
static char *qcode_of(const char *word)
{
    static const struct { const char *linux_name, *qcode; } other[] = {
        { "leftctrl", "ctrl" }, { "rightctrl", "ctrl_r" }, { "leftalt", "alt" }, { "rightalt", "alt_r" }, { "leftshift", "shift" },
        { "rightshift", "shift_r" }, { "enter", "ret" }, { "space", "spc" }, { "leftmeta", "meta_l" }, { "rightmeta", "meta_r" },
        { "capslock", "caps_lock" }, { "numlock", "num_lock" }, { "scrolllock", "scroll_lock" }, { "pageup", "pgup" }, { "pagedown", "pgdn" },
        { "grave", "grave_accent" }, { "sysrq", "sysrq" }, { "leftbrace", "bracket_left" }, { "rightbrace", "bracket_right" },
    };
    char *name = g_ascii_strdown(g_str_has_prefix(word, "KEY_") ? word + 4 : word, -1);

    for (size_t i = 0; g_str_has_prefix(word, "KEY_") && i < G_N_ELEMENTS(other); i++) {
        if (strcmp(other[i].linux_name, name) == 0) {
            g_free(name);
            return g_strdup(other[i].qcode);
        }
    }
    return name;
}

static int send_key(Verb *verb, GError **err)
{
    const Screen *screen = (const Screen *)verb;
    Value *arguments = value_new_object(), *keys = value_new_list();

    for (int i = 0; i < verb->count; i++) {
        uint64_t number;
        bool is_number = parse_uint(verb->operands[i], &number);
        g_autofree char *qcode = qcode_of(verb->operands[i]);
        Value *key = value_new_object();
        value_set(key, "type", value_new_string(is_number ? "number" : "qcode"));
        value_set(key, "data", is_number ? value_new_uint(number) : value_new_string(qcode));
        value_append(keys, key);
    }
    value_set(arguments, "keys", keys);
    if (screen->holdtime) {
        value_set(arguments, "hold-time", value_new_uint(screen->holdtime));
    }
    g_autoptr(VmEntry) vm = NULL;
    g_autoptr(QmpClient) client = verb_client(verb, &vm, err);
    if (!client) {
        value_unref(arguments);
        return 1;
    }
    g_autoptr(Value) reply = qmp_client_call(client, "send-key", arguments, err);
    if (!reply) {
        g_prefix_error(err, "could not send keys to '%s': ", vm->name);
    }
    return reply ? 0 : 1;
}

const VerbSpec verb_screenshot = { "screenshot", "[FILE]", 0, 1, VERB_ONE_VM, .help = "what the guest's display shows, as a file", .options = screenshot_options,
                                   .size = sizeof(Screen), .run = screenshot };
const VerbSpec verb_send_key = { "send-key", "KEY...", 1, -1, VERB_ONE_VM, .help = "press keys of the guest's keyboard together", .options = key_options,
                                 .size = sizeof(Screen), .run = send_key };
