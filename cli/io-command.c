/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-command.c - a line of roost io: its command, options and operands; help, and opening and closing
 *
 * Words are parted by blanks; there are no quotes. What is wrong with a command's words is said on standard output, as qemu-io
 * says it.
 *
 * Threads  the tool's only one
 * Tests    tests/block/io-commands.py
 */
#include "base/field.h"
#include "base/option.h"
#include "cli/io.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

const IoCommand *const io_tables[] = { io_session_commands, io_request_commands, io_look_commands, NULL };

static const ToolOption no_options[] = { { .kind = TOOL_END } };

/* ---- numbers ------------------------------------------------------------------------------------------------ */

bool io_number(const char *text, uint64_t *out)
{
    if (!parse_size(text, 1, out)) {
        if (*text && strspn(text, "0123456789") + (strchr("kKmMgGtTpPeE", text[strlen(text) - 1]) != NULL) == strlen(text)) {
            *out = UINT64_MAX;             /* it is one, of more than 64 bits */
        } else {
            printf("Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n", text);
            return false;
        }
    }
    if (*out > INT64_MAX) {
        printf("Parsing error: argument too large -- %s\n", text);
        return false;
    }
    return true;
}

char *io_size_text(double value)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    g_autofree char *number = g_strdup_printf(unit ? "%.3f" : "%f", value);
    char *point = strchr(number, '.');
    if (point && strspn(point + 1, "0") == strlen(point + 1)) {
        *point = '\0';
    }
    return g_strdup_printf("%s %s", number, units[unit]);
}

/* ---- finding and running ------------------------------------------------------------------------------------ */

const IoCommand *io_command_find(const char *name)
{
    for (size_t i = 0; io_tables[i]; i++) {
        for (const IoCommand *command = io_tables[i]; command->name; command++) {
            if (strcmp(command->name, name) == 0 || (command->alias && strcmp(command->alias, name) == 0)) {
                return command;
            }
        }
    }
    return NULL;
}

void io_print_usage(const IoCommand *command)
{
    printf("%s%s%s -- %s\n", command->name, command->arguments ? " " : "", command->arguments ? command->arguments : "", command->summary);
}

/* How many words may follow the command. */
static bool check_count(const IoCommand *command, int count)
{
    if (count >= command->least && (command->most < 0 || count <= command->most)) {
        return true;
    }
    if (command->most < 0) {
        fprintf(stderr, "bad argument count %d to %s, expected at least %d arguments\n", count, command->name, command->least);
    } else if (command->least == command->most) {
        fprintf(stderr, "bad argument count %d to %s, expected %d arguments\n", count, command->name, command->least);
    } else {
        fprintf(stderr, "bad argument count %d to %s, expected between %d and %d arguments\n", count, command->name, command->least,
                command->most);
    }
    return false;
}

static bool check_session(IoSession *session, const IoCommand *command)
{
    if (command->without_image) {
        return true;
    }
    if (!tool_is_open(&session->image)) {
        fprintf(stderr, "no file open, try 'help open'\n");
        return false;
    }
    if (command->needs_write && node_readonly(session->image.node)) {
        tool_error("Block node is read-only");
        return false;
    }
    return true;
}

static bool run_words(IoSession *session, int argc, char **argv)
{
    const IoCommand *command = io_command_find(argv[0]);
    const ToolOption *options = command && command->options ? command->options : no_options;
    IoArguments arguments = { .command = command };
    g_autoptr(GError) err = NULL;
    int first;
    bool done;

    if (!command) {
        fprintf(stderr, "command \"%s\" not found\n", argv[0]);
        return false;
    }
    if (!check_session(session, command) || !check_count(command, argc - 1)) {
        return false;
    }
    if (!tool_options_read(options, &arguments, argc, argv, false, &first, &err)) {
        fprintf(stderr, "%s: %s\n", command->name, err->message);
        io_print_usage(command);
        return false;
    }
    arguments.count = argc - first;
    arguments.operands = argv + first;
    done = command->run(session, &arguments);
    tool_options_clear(options, &arguments);
    return done;
}

void io_command_run(IoSession *session, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    for (char **word = words; *word; word++) {
        if (**word) {
            g_ptr_array_add(argv, *word);
        }
    }
    if (!argv->len) {
        return;
    }
    g_ptr_array_add(argv, NULL);
    if (!run_words(session, (int)argv->len - 1, (char **)argv->pdata)) {
        session->failed = true;
    }
}

/* ---- help, quit, sleep and the like ------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const IoCommand *const *)a)->name, (*(const IoCommand *const *)b)->name);
}

static void list_commands(void)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();

    for (size_t i = 0; io_tables[i]; i++) {
        for (const IoCommand *command = io_tables[i]; command->name; command++) {
            g_ptr_array_add(list, (IoCommand *)command);
        }
    }
    qsort(list->pdata, list->len, sizeof *list->pdata, by_name);
    for (guint i = 0; i < list->len; i++) {
        io_print_usage(list->pdata[i]);
    }
    printf("\nUse 'help commandname' for extended help.\n");
}

static bool run_help(IoSession *session, IoArguments *arguments)
{
    const IoCommand *command;

    (void)session;
    if (!arguments->count) {
        list_commands();
        return true;
    }
    command = io_command_find(arguments->operands[0]);
    if (!command) {
        printf("command %s not found\n", arguments->operands[0]);
        return false;
    }
    io_print_usage(command);
    if (command->details) {
        printf("\n%s\n", command->details);
    }
    for (const ToolOption *option = command->options; option && option->kind != TOOL_END; option++) {
        printf(" -%c%s%s, -- %s\n", option->letter, option->argument ? " " : "", option->argument ? option->argument : "", option->help);
    }
    return true;
}

static bool run_quit(IoSession *session, IoArguments *arguments)
{
    (void)arguments;
    session->quit = true;
    return true;
}

static bool run_sleep(IoSession *session, IoArguments *arguments)
{
    uint64_t milliseconds;

    (void)session;
    if (!parse_uint(arguments->operands[0], &milliseconds) || milliseconds > INT32_MAX) {
        printf("%s is not a valid number\n", arguments->operands[0]);
        return false;
    }
    co_sleep((int64_t)milliseconds * 1000000);
    return true;
}

static bool run_abort(IoSession *session, IoArguments *arguments)
{
    (void)session;
    (void)arguments;
    abort();
}

static bool run_sigraise(IoSession *session, IoArguments *arguments)
{
    uint64_t number;

    (void)session;
    if (!io_number(arguments->operands[0], &number)) {
        return false;
    }
    if (number >= NSIG) {
        printf("signal argument '%s' is too large to be a valid signal\n", arguments->operands[0]);
        return false;
    }
    fflush(stdout);                        /* it may be the last that we do */
    raise((int)number);
    return true;
}

/* ---- open, close, reopen ------------------------------------------------------------------------------------ */

static const ToolOption open_options[] = {
    OPTION_FLAG('r', NULL, IoArguments, readonly, "open file read-only"),
    OPTION_FLAG('s', NULL, IoArguments, snapshot, "use snapshot file"),
    OPTION_FLAG('C', NULL, IoArguments, copy_on_read, "use copy-on-read"),
    OPTION_FLAG('n', NULL, IoArguments, direct, "disable host cache, short for -t none"),
    OPTION_FLAG('U', NULL, IoArguments, share, "force shared permissions"),
    OPTION_FLAG('k', NULL, IoArguments, native, "use native AIO, short for -i native"),
    OPTION_TEXT('i', NULL, "ENGINE", IoArguments, engine, "threads, native or io_uring"),
    OPTION_TEXT('t', NULL, "CACHE", IoArguments, cache, "use the given cache mode for the image"),
    OPTION_TEXT('d', NULL, "MODE", IoArguments, discard, "use the given discard mode for the image"),
    OPTION_TEXTS('o', NULL, "OPTIONS", IoArguments, options, "options to be given to the block driver"),
    { .kind = TOOL_END } };

static Value *nested_options(const GPtrArray *texts, GError **err)
{
    static const OptionGrammar grammar = { .who = "-o" };
    static const char *const merge[] = { "file", "backing", NULL };
    g_autoptr(GString) all = g_string_new(NULL);
    g_autoptr(Value) flat = NULL;

    for (guint i = 0; texts && i < texts->len; i++) {
        g_string_append_printf(all, "%s%s", i ? "," : "", (const char *)texts->pdata[i]);
    }
    flat = all->len ? option_parse(&grammar, all->str, err) : value_new_object();
    return flat ? option_nest(flat, "-o", merge, err) : NULL;
}

static bool run_open(IoSession *session, IoArguments *arguments)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) options = nested_options(arguments->options, &err);
    IoOpen how = { .name = arguments->count ? arguments->operands[0] : NULL, .cache = arguments->direct ? "none" : arguments->cache,
                   .engine = arguments->native ? "native" : arguments->engine, .discard = arguments->discard, .options = options,
                   .readonly = arguments->readonly, .snapshot = arguments->snapshot, .copy_on_read = arguments->copy_on_read,
                   .share = arguments->share };

    if (arguments->count > 1 || (!arguments->count && !arguments->options)) {
        io_print_usage(arguments->command);
        return false;
    }
    if (!options || !io_open(session, &how, &err)) {
        tool_complain(err);
        return false;
    }
    return true;
}

static bool run_close(IoSession *session, IoArguments *arguments)
{
    (void)arguments;
    return io_close(session);
}

static const ToolOption reopen_options[] = {
    OPTION_FLAG('r', NULL, IoArguments, readonly, "Reopen the image read-only"),
    OPTION_FLAG('w', NULL, IoArguments, writable, "Reopen the image read-write"),
    OPTION_TEXT('c', NULL, "CACHE", IoArguments, cache, "Change the cache mode to the given value"),
    OPTION_TEXTS('o', NULL, "OPTIONS", IoArguments, options, "Changes block driver options (cf. 'open' command)"),
    { .kind = TOOL_END } };

static void set_cache(Value *options, CacheFlags flags)
{
    Value *cache = value_new_object();

    value_set(cache, "direct", value_new_bool(flags & CACHE_DIRECT));
    value_set(cache, "no-flush", value_new_bool(flags & CACHE_NO_FLUSH));
    value_set(options, "cache", cache);
}

/* Rights go before they are lost and come after they are there. */
static bool reopen(IoSession *session, const IoArguments *arguments, Value *options, GError **err)
{
    ToolImage *image = &session->image;
    CacheFlags flags;

    if (arguments->cache) {
        if (!tool_parse_cache(arguments->cache, &flags, err)) {
            return false;
        }
        set_cache(options, flags);
        image->write_flags = flags & CACHE_WRITETHROUGH ? REQ_FUA : 0;
    }
    if (arguments->readonly && !node_user_change(image->user, PERM_CONSISTENT_READ, PERM_ALL, err)) {
        return false;
    }
    if (arguments->readonly || arguments->writable) {
        value_set(options, "read-only", value_new_bool(arguments->readonly));
    }
    return node_reopen(image->node, options, err) &&
           (!arguments->writable || node_user_change(image->user, PERM_CONSISTENT_READ | PERM_WRITE | PERM_RESIZE, PERM_ALL, err));
}

static bool run_reopen(IoSession *session, IoArguments *arguments)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) options = nested_options(arguments->options, &err);

    if (arguments->count) {
        io_print_usage(arguments->command);
        return false;
    }
    if (arguments->readonly && arguments->writable) {
        tool_error("Only one -r/-w option may be given");
        return false;
    }
    if (arguments->cache && value_get(options, "cache")) {
        tool_error("Cannot set both -c and the cache options");
        return false;
    }
    io_drain(session);
    if (!options || !reopen(session, arguments, options, &err)) {
        tool_complain(err);
        return false;
    }
    return true;
}

const IoCommand io_session_commands[] = {
    { .name = "help", .alias = "?", .arguments = "[command]", .summary = "help for one or all commands", .most = 1, .without_image = true,
      .run = run_help },
    { .name = "quit", .alias = "q", .summary = "exit the program", .most = -1, .without_image = true, .run = run_quit },
    { .name = "sleep", .summary = "waits for the given value in milliseconds", .least = 1, .most = 1, .without_image = true, .run = run_sleep },
    { .name = "abort", .summary = "simulate a program crash using abort(3)", .without_image = true, .run = run_abort },
    { .name = "sigraise", .arguments = "signal", .summary = "raises a signal", .least = 1, .most = 1, .without_image = true,
      .run = run_sigraise },
    { .name = "open", .alias = "o", .arguments = "[-rsCnkU] [-i engine] [-t cache] [-d discard] [-o options] [path]",
      .summary = "open the file specified by path", .details = " Opens an image for all commands that follow, read-write unless -r is said.\n",
      .least = 1, .most = -1, .without_image = true, .options = open_options, .run = run_open },
    { .name = "close", .alias = "c", .summary = "close the current open file", .run = run_close },
    { .name = "reopen", .arguments = "[(-r|-w)] [-c cache] [-o options]", .summary = "reopens an image with new options",
      .details = " Changes the options of the image that is open.\n", .most = -1, .options = reopen_options, .run = run_reopen },
    { 0 } };
