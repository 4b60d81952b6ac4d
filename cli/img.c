/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * img.c - roost img: the list of its subcommands, their help, and how one is run
 *
 * The options, outputs and exit codes are qemu-img's, so that what was written for that runs with this in its place, under its
 * name even: a symbolic link qemu-img to the executable.
 *
 * Threads  the tool's only one; workers compress
 * Tests    tests/block/img-commands.py
 */
#include "cli/img.h"
#include "block/driver.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

const ImgCommand *const img_commands[] = {
    &img_amend, &img_bench, &img_bitmap, &img_check, &img_commit, &img_compare, &img_convert, &img_create, &img_dd, &img_info,
    &img_map, &img_measure, &img_rebase, &img_resize, &img_snapshot, NULL };

static bool version_wanted(void *into, const char *text, GError **err)
{
    (void)text;
    (void)err;
    *(bool *)into = true;
    return true;
}

typedef struct Standard { bool version, help; } Standard;
static const ToolOption standard_options[] = {
    OPTION_FLAG('h', "help", Standard, help, "this help"),
    OPTION_CALL('V', "version", NULL, version_wanted, "the version"),
    OPTION_CALL('T', "trace", "PATTERN", tool_trace, "turn trace points on; 'help' lists them"),
    { .kind = TOOL_END } };

static void print_version(void)
{
    if (strcmp(tool_name, "qemu-img") == 0) {
        printf("qemu-img version 7.2.0 (Roost %s)\n", ROOST_VERSION);
    } else {
        printf("Roost version %s\n", ROOST_VERSION);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_formats(void)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (size_t i = 0; node_drivers[i]; i++) {
        g_ptr_array_add(names, (char *)node_drivers[i]->name);
    }
    qsort(names->pdata, names->len, sizeof *names->pdata, by_name);
    printf("\nSupported formats:");
    for (guint i = 0; i < names->len; i++) {
        printf(" %s", (const char *)names->pdata[i]);
    }
    putchar('\n');
}

void img_print_help(void)
{
    print_version();
    printf("usage: %s [-h] [-V] [-T PATTERN] COMMAND [OPTIONS] ...\nMakes, shows, checks, converts and changes disk images.\n\n", tool_name);
    tool_options_help(standard_options);
    printf("\nCommands ('%s COMMAND --help' explains one):\n", tool_name);
    for (size_t i = 0; img_commands[i]; i++) {
        g_autofree char *options = tool_options_synopsis(img_commands[i]->options);
        printf("  %s %s%s\n", img_commands[i]->name, options, img_commands[i]->operands);
    }
    print_formats();
}

void img_print_manual(void (*term)(const char *bold, const char *argument), void (*text)(const char *line))
{
    for (size_t i = 0; img_commands[i]; i++) {
        const ImgCommand *command = img_commands[i];
        term(command->name, command->operands);
        text(command->help);
        for (const ToolOption *option = command->options; option->kind != TOOL_END; option++) {
            g_autofree char *letter = option->letter ? g_strdup_printf("-%c", option->letter) : NULL;
            g_autofree char *line = g_strdup_printf("%s%s%s%s%s%s: %s", letter ? letter : "", letter && option->name ? ", " : "",
                                                    option->name ? "--" : "", option->name ? option->name : "",
                                                    option->argument ? " " : "", option->argument ? option->argument : "", option->help);
            text(line);
        }
    }
}

static void print_command_help(const ImgCommand *command)
{
    printf("usage: %s %s [OPTIONS] %s\n%s\n\n", tool_name, command->name, command->operands, command->help);
    tool_options_help(command->options);
}

/* ---- what subcommands share --------------------------------------------------------------------------------- */

ToolOpen img_how(const Img *img, const char *name)
{
    return (ToolOpen){ .name = name, .format = img->format, .cache = img->cache, .image_opts = img->image_opts, .share = img->share,
                       .trust = img->trust };
}

void img_say(const Img *img, const char *format, ...)
{
    va_list args;

    if (img->quiet) {
        return;
    }
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

/* ---- running one -------------------------------------------------------------------------------------------- */

static bool check_output(Img *img, GError **err)
{
    if (img->output && strcmp(img->output, "json") != 0 && strcmp(img->output, "human") != 0) {
        return fail(err, EINVAL, "--output must be used with human or json as argument.");
    }
    img->json = img->output && strcmp(img->output, "json") == 0;
    return true;
}

static bool check_count(const Img *img, GError **err)
{
    const ImgCommand *command = img->command;

    if (img->count < command->least) {
        return fail(err, EINVAL, "%s", command->wanted);
    }
    if (command->most >= 0 && img->count > command->most) {
        return command->most == 0 || command->least == command->most ? fail(err, EINVAL, "%s", command->wanted)
                                                                     : fail(err, EINVAL, "Unexpected argument: %s", img->operands[command->most]);
    }
    return true;
}

/* "-1G" at the end is a size and no option: it goes past getopt. */
static char *take_signed(const ImgCommand *command, int *argc, char **argv)
{
    return command->signed_operand && *argc > 2 && argv[*argc - 1][0] == '-' && g_ascii_isdigit(argv[*argc - 1][1])
               ? argv[--*argc] : NULL;
}

static bool read_line(Img *img, int argc, char **argv, GPtrArray *operands, GError **err)
{
    char *last = take_signed(img->command, &argc, argv);
    int first;

    if (!tool_options_read(img->command->options, img, argc, argv, false, &first, err)) {
        return false;
    }
    for (int i = first; i < argc; i++) {
        g_ptr_array_add(operands, argv[i]);
    }
    if (last) {
        g_ptr_array_add(operands, last);
    }
    img->count = (int)operands->len;
    img->operands = (char **)operands->pdata;
    return img->help || check_output(img, err);
}

typedef struct Job { Img *img; GError *err; } Job;

static int run_job(void *opaque)
{
    Job *job = opaque;

    return job->img->command->run(job->img, &job->err);
}

static int run_command(Img *img)
{
    Job job = { .img = img };
    int status = tool_run(run_job, &job);

    if (job.err) {
        tool_complain(job.err);
        g_error_free(job.err);
    }
    return status;
}

static int usage(const GError *err)
{
    tool_complain(err);
    fprintf(stderr, "Try '%s --help' for more information\n", tool_name);
    return 1;
}

static int start(const ImgCommand *command, int argc, char **argv)
{
    g_autoptr(GPtrArray) operands = g_ptr_array_new();
    g_autoptr(GError) err = NULL;
    g_autofree Img *img = g_malloc0(command->size);
    int status = 0;

    img->command = command;
    if (command->preset) {
        command->preset(img);
    }
    if (!read_line(img, argc, argv, operands, &err)) {
        status = usage(err);
    } else if (img->help) {
        print_command_help(command);
    } else if (!check_count(img, &err)) {
        status = usage(err);
    } else {
        status = run_command(img);
    }
    tool_options_clear(command->options, img);
    return status;
}

int img_main(int argc, char **argv, const char *as)
{
    g_autoptr(GError) err = NULL;
    Standard standard = { 0 };
    int first;

    tool_name = as;
    signal(SIGPIPE, SIG_IGN);
    tool_progress_prepare();
    if (!tool_options_read(standard_options, &standard, argc, argv, true, &first, &err)) {
        return usage(err);
    }
    if (standard.version) {
        print_version();
        return 0;
    }
    if (standard.help || (first < argc && strcmp(argv[first], "help") == 0)) {
        img_print_help();
        return 0;
    }
    if (first >= argc) {
        fail(&err, EINVAL, "Not enough arguments");
        return usage(err);
    }
    for (size_t i = 0; img_commands[i]; i++) {
        if (strcmp(img_commands[i]->name, argv[first]) == 0) {
            return start(img_commands[i], argc - first, argv + first);
        }
    }
    fail(&err, EINVAL, "Command not found: %s", argv[first]);
    return usage(err);
}
