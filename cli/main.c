/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - table of contents: roost run (the default), roost help
 *
 * Tests    tests/cli
 */
#include "base/json.h"
#include "base/log.h"
#include "cli/help.h"
#include "cli/run.h"
#include "hw/core/exit-status.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A list that the disk had no room for must not pass for a whole one; a reader that had enough is no error. */
static int printed(int status)
{
    if (fflush(stdout) != 0 && errno != EPIPE) {
        report_error("standard output: %s; what was printed is not complete", g_strerror(errno));
        return EXIT_STATUS_USAGE;
    }
    return status;
}

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
        status = printed(status);
    } else if (config.shown) {
        status = printed(status);
    } else {
        status = run(&config);
    }
    config_clear(&config);
    return status;
}

int main(int argc, char **argv)
{
    standard_descriptors();
    if (argc > 1 && strcmp(argv[1], "help") == 0) {
        return printed(help_command(argc - 2, argv + 2));
    }
    if (argc > 1 && strcmp(argv[1], "run") == 0) {
        return run_command(argc - 2, argv + 2);
    }
    return run_command(argc - 1, argv + 1);
}
