/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-hmp.c - a line of the monitor for people, by way of QMP
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/hmp.py
 */
#include "monitor/commands.h"
#include "monitor/hmp.h"

QMP_HANDLER(human_monitor_command)
{
    int64_t cpu = value_get_int(args, "cpu-index", 0);
    g_autoptr(GString) said = g_string_new(NULL);

    if (value_get(args, "cpu-index") && (cpu < 0 || cpu >= qmp_machine()->cpus->len)) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "Parameter 'cpu-index' expects a CPU number");
    }
    hmp_execute(session, value_get_string(args, "command-line", ""), said);
    g_string_replace(said, "\n", "\r\n", 0);
    return value_new_string(said->str);
}

const QmpCommand hmp_qmp_commands[] = {
    { "human-monitor-command", human_monitor_command, .args = "command-line:str ?cpu-index:int", .returns = "str",
      .help = "carries out a line of the monitor for people; what it says is the reply" },
    { .name = NULL } };
