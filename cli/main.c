/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - table of contents: roost run (the default), roost help
 *
 * Tests    tests/cli
 */
#include "base/json.h"
#include "cli/help.h"
#include "cli/run.h"
#include "hw/core/exit-status.h"
#include <stdio.h>
#include <string.h>

static int run_command(int argc, char **argv)
{
    Config config = { 0 };
    g_autoptr(GError) err = NULL;
    int status = EXIT_STATUS_OK;

    signals_early();
    if (!config_read(&config, argc, argv, &err)) {
        complain(err);
        status = EXIT_STATUS_USAGE;
    } else if (config.print_config && !config.shown) {
        g_autofree char *text = json_print(config.tree, true);
        puts(text);
    } else if (!config.shown) {
        status = run(&config);
    }
    config_clear(&config);
    return status;
}

int main(int argc, char **argv)
{
    standard_descriptors();
    if (argc > 1 && strcmp(argv[1], "help") == 0) {
        return help_command(argc - 2, argv + 2);
    }
    if (argc > 1 && strcmp(argv[1], "run") == 0) {
        return run_command(argc - 2, argv + 2);
    }
    return run_command(argc - 1, argv + 1);
}
