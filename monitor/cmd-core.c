/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-core.c - commands about the protocol and the program: capabilities, version, lists of commands and events, schema, quit
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/core.py
 */
#include "monitor/commands.h"
#include "monitor/session.h"
#include <string.h>

/* What QEMU's clients may count on: commands and replies are those of 7.2. */
enum { QMP_MAJOR = 7, QMP_MINOR = 2, QMP_MICRO = 0 };

QMP_HANDLER(qmp_capabilities)
{
    const Value *enable = value_get(args, "enable");

    session_negotiate(session, value_length(enable) > 0);      /* the check let nothing but "oob" pass */
    return qmp_done();
}

QMP_HANDLER(query_version)
{
    Value *version = value_new_object(), *qemu = value_new_object();

    value_set(qemu, "micro", value_new_int(QMP_MICRO));
    value_set(qemu, "minor", value_new_int(QMP_MINOR));
    value_set(qemu, "major", value_new_int(QMP_MAJOR));
    value_set(version, "qemu", qemu);
    value_set(version, "package", value_new_string("Roost " ROOST_VERSION));
    return version;
}

static void append_name(Value *list, const char *name)
{
    Value *item = value_new_object();

    value_set(item, "name", value_new_string(name));
    value_append(list, item);
}

QMP_HANDLER(query_commands)
{
    Value *list = value_new_list();

    for (const QmpCommand *const *table = qmp_command_tables; *table; table++) {
        for (const QmpCommand *command = *table; command->name; command++) {
            append_name(list, command->name);
        }
    }
    return list;
}

QMP_HANDLER(query_events)
{
    Value *list = value_new_list();

    for (const QmpEvent *event = qmp_events; event->name; event++) {
        append_name(list, event->name);
    }
    return list;
}

QMP_HANDLER(query_qmp_schema)
{
    return qmp_schema();
}

const QmpType core_types[] = {
    { "QMPCapability", "enum oob" },
    { "VersionTriple", "struct major:int minor:int micro:int" },
    { "VersionInfo", "struct qemu:VersionTriple package:str" },
    { "CommandInfo", "struct name:str" },
    { "EventInfo", "struct name:str" },
    { "SchemaMetaType", "enum builtin enum array object alternate command event" },
    { "JSONType", "enum string number int boolean null object array value" },
    { "SchemaInfo", "union name:str meta-type:SchemaMetaType ?features:[str] ; meta-type ; builtin:SchemaInfoBuiltin enum:SchemaInfoEnum "
      "array:SchemaInfoArray object:SchemaInfoObject alternate:SchemaInfoAlternate command:SchemaInfoCommand event:SchemaInfoEvent" },
    { "SchemaInfoBuiltin", "struct json-type:JSONType" },
    { "SchemaInfoEnum", "struct members:[SchemaInfoEnumMember] values:[str]" },
    { "SchemaInfoEnumMember", "struct name:str ?features:[str]" },
    { "SchemaInfoArray", "struct element-type:str" },
    { "SchemaInfoObject", "struct members:[SchemaInfoObjectMember] ?tag:str ?variants:[SchemaInfoObjectVariant]" },
    { "SchemaInfoObjectMember", "struct name:str type:str ?default:any ?features:[str]" },
    { "SchemaInfoObjectVariant", "struct case:str type:str" },
    { "SchemaInfoAlternate", "struct members:[SchemaInfoAlternateMember]" },
    { "SchemaInfoAlternateMember", "struct type:str" },
    { "SchemaInfoCommand", "struct arg-type:str ret-type:str ?allow-oob:bool" },
    { "SchemaInfoEvent", "struct arg-type:str" },
    { .name = NULL } };

const QmpCommand core_commands[] = {
    { "qmp_capabilities", qmp_capabilities, .args = "?enable:[QMPCapability]",
      .help = "ends the negotiation that a session begins with; \"oob\" allows exec-oob" },
    { "query-version", query_version, .returns = "VersionInfo", .help = "the version of QEMU whose protocol this is, and the program's own" },
    { "query-commands", query_commands, .returns = "[CommandInfo]", .help = "the names of all commands" },
    { "query-events", query_events, .returns = "[EventInfo]", .help = "the names of all events" },
    { "query-qmp-schema", query_qmp_schema, .returns = "[SchemaInfo]", .help = "what all commands take and return, and what events carry" },
    { .name = NULL } };
