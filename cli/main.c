/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - table of contents: roost run (the default), roost img, roost io, roost xml2argv, roost argv2xml, roost help, and the verbs
 *
 * Tests    tests/cli
 */
#include "base/json.h"
#include "base/log.h"
#include "cli/help.h"
#include "cli/img.h"
#include "cli/io.h"
#include "cli/run.h"
#include "cli/verb.h"
#include "cli/xml.h"
#include "hw/core/exit-status.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A list that the disk had no room for must not pass for a whole one; a reader that had enough is no error. */
static int printed(int status)
{
    bool broken = ferror(stdout) != 0;     /* a part was lost when the buffer was full: one more byte tells why */

    if (broken) {
        clearerr(stdout);
        putchar('\n');
        errno = EIO;
    }
    if ((fflush(stdout) != 0 || broken) && errno != EPIPE) {
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

    config.arguments = argv;
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

/* Called by one of these names, through a symbolic link, the executable is that subcommand. */
static int run_as(const char *name, int argc, char **argv, bool *found)
{
    *found = true;
    if (strcmp(name, "qemu-img") == 0) {
        return printed(img_main(argc, argv, "qemu-img"));
    }
    if (strcmp(name, "qemu-io") == 0) {
        return printed(io_main(argc, argv, "qemu-io"));
    }
    *found = false;
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    bool found;
    int status;

    standard_descriptors();
    status = run_as(slash ? slash + 1 : argc > 0 ? argv[0] : "", argc, argv, &found);
    if (found) {
        return status;
    }
    if (argc > 1 && strcmp(argv[1], "img") == 0) {
        return printed(img_main(argc - 1, argv + 1, "roost img"));
    }
    if (argc > 1 && strcmp(argv[1], "io") == 0) {
        return printed(io_main(argc - 1, argv + 1, "roost io"));
    }
    if (argc > 1 && strcmp(argv[1], "xml2argv") == 0) {
        return printed(xml2argv_main(argc - 1, argv + 1));
    }
    if (argc > 1 && strcmp(argv[1], "argv2xml") == 0) {
        return printed(argv2xml_main(argc - 1, argv + 1));
    }
    if (argc > 1 && strcmp(argv[1], "help") == 0) {
        return printed(help_command(argc - 2, argv + 2));
    }
    if (argc > 1 && verb_find(argv[1])) {
        return printed(verb_main(verb_find(argv[1]), argc - 1, argv + 1));
    }
    if (argc > 1 && strcmp(argv[1], "run") == 0) {
        return run_command(argc - 2, argv + 2);
    }
    return run_command(argc - 1, argv + 1);
}
