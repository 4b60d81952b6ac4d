/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-yank.c - connections whose peer hangs are cut, out of band: before whatever waits in the session's queue, perhaps for that peer
 *
 * Threads  main loop; nothing of the machine is touched
 * Tests    tests/qmp/oob.py
 */
#include "base/yank.h"
#include "monitor/commands.h"
#include <string.h>

static const char *name_of(const Value *instance)
{
    return value_get_string(instance, "node-name", value_get_string(instance, "id", ""));
}

QMP_HANDLER(yank)
{
    const Value *instances = value_get(args, "instances");

    for (size_t i = 0; i < value_length(instances); i++) {
        const Value *instance = value_at(instances, i);
        if (!yank_knows(value_get_string(instance, "type", ""), name_of(instance))) {
            return qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Instance not found");
        }
    }
    for (size_t i = 0; i < value_length(instances); i++) {
        yank_cut(value_get_string(value_at(instances, i), "type", ""), name_of(value_at(instances, i)));
    }
    return qmp_done();
}

static void append_instance(void *opaque, const char *kind, const char *name)
{
    Value *instance = value_new_object();

    value_set(instance, "type", value_new_string(kind));
    value_set(instance, strcmp(kind, "chardev") == 0 ? "id" : "node-name", value_new_string(name));
    value_append(opaque, instance);
}

QMP_HANDLER(query_yank)
{
    Value *list = value_new_list();

    yank_for_each(append_instance, list);
    return list;
}

const QmpType yank_types[] = {
    { "YankInstanceType", "enum block-node chardev migration" },
    { "YankInstance", "union type:YankInstanceType ; type ; block-node:YankInstanceBlockNode chardev:YankInstanceChardev" },
    { "YankInstanceBlockNode", "struct node-name:str" },
    { "YankInstanceChardev", "struct id:str" },
    { .name = NULL } };

const QmpCommand yank_commands[] = {
    { "yank", yank, .args = "instances:[YankInstance]", .help = "cuts connections whose peer hangs: all of them, or none", .out_of_band = true },
    { "query-yank", query_yank, .returns = "[YankInstance]", .help = "the connections that yank can cut", .out_of_band = true },
    { .name = NULL } };
