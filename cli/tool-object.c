/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool-object.c - --object of the tools: secrets
 *
 * Omits    other kinds: nothing that the tools open asks for them
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "base/option.h"
#include "base/secret.h"
#include "cli/tool.h"
#include <errno.h>
#include <string.h>

bool tool_add_object(void *into, const char *text, GError **err)
{
    static const OptionGrammar grammar = { .who = "--object", .implied = "qom-type" };
    g_autoptr(Value) object = option_parse(&grammar, text, err);

    (void)into;
    if (!object) {
        return false;
    }
    if (strcmp(value_get_string(object, "qom-type", ""), "secret") != 0) {
        return fail(err, EINVAL, "--object %s: the tools know objects of the kind 'secret'", text);
    }
    return secret_add(object, err);
}
