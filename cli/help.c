/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * help.c - roost help TOPIC: the same lists that the options print under "help"
 *
 * Tests    tests/cli/options.py
 */
#include "cli/help.h"
#include "base/log.h"
#include "cli/manual.h"
#include "cli/options.h"
#include "cli/verb.h"
#include "cli/xml.h"
#include "hw/core/exit-status.h"
#include "monitor/qmp.h"
#include <stdio.h>
#include <string.h>

/* A topic is an option asked for help. */
static const struct { const char *topic, *option; } topics[] = {
    { "machines", "machine" }, { "machine", "machine" }, { "devices", "device" }, { "device", "device" }, { "chardevs", "chardev" },
    { "chardev", "chardev" }, { "cpus", "cpu" }, { "cpu", "cpu" }, { "accels", "accel" }, { "accel", "accel" }, { "drive", "drive" },
    { "drives", "drive" }, { "log", "d" }, { "trace", "trace" }, { "smp", "smp" }, { "memory", "m" }, { "boot", "boot" },
    { "rtc", "rtc" }, { "action", "action" }, { "sandbox", "sandbox" }, { "blockdev", "blockdev" },
    { "objects", "object" }, { "object", "object" },
};

static bool show_topic(const char *topic)
{
    for (size_t i = 0; i < G_N_ELEMENTS(topics); i++) {
        if (strcmp(topics[i].topic, topic) == 0) {
            Config config = { .tree = value_new_object() };
            bool shown = option_apply(&config, option_find(topics[i].option), "help", NULL);
            config_clear(&config);
            return shown;
        }
    }
    return false;
}

/* A line for each command and event: name, arguments, help. */
static void print_qmp(void)
{
    for (const QmpCommand *const *table = qmp_command_tables; *table; table++) {
        for (const QmpCommand *command = *table; command->name; command++) {
            printf("%s\t%s\t%s\n", command->name, command->args ? command->args : "", command->help);
        }
    }
    for (const QmpEvent *event = qmp_events; event->name; event++) {
        printf("%s\t%s\t%s\n", event->name, event->data ? event->data : "", event->help);
    }
}

int help_command(int argc, char **argv)
{
    if (argc == 0) {
        options_print_help();
        return EXIT_STATUS_OK;
    }
    if (strcmp(argv[0], "options") == 0) {
        options_print_table();
        return EXIT_STATUS_OK;
    }
    if (strcmp(argv[0], "qmp") == 0) {
        print_qmp();
        return EXIT_STATUS_OK;
    }
    if (strcmp(argv[0], "xml") == 0) {
        xml_print_tables();
        return EXIT_STATUS_OK;
    }
    if (strcmp(argv[0], "completion") == 0) {
        if (argc < 2 || !verbs_print_completion(argv[1])) {
            report_error("completion is there for bash and zsh: roost help completion bash");
            return EXIT_STATUS_USAGE;
        }
        return EXIT_STATUS_OK;
    }
    if (strcmp(argv[0], "verbs") == 0) {
        verbs_print_help();
        return EXIT_STATUS_OK;
    }
    if (strcmp(argv[0], "manual") == 0) {
        manual_print();
        return EXIT_STATUS_OK;
    }
    if (!show_topic(argv[0])) {
        report_error("there is no help about '%s'; there is about options, machines, devices, chardevs, cpus, accels, drives, "
                     "blockdev, objects, smp, memory, boot, rtc, action, sandbox, log, trace, qmp, verbs, xml, completion and manual", argv[0]);
        return EXIT_STATUS_USAGE;
    }
    return EXIT_STATUS_OK;
}
