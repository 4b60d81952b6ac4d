/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool.c - option tables, numbers, sentences and progress of roost img and roost io
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "cli/tool.h"
#include "base/field.h"
#include "base/io-loop.h"
#include "base/log.h"
#include "base/option.h"
#include "base/trace.h"
#include "cli/options.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>

const char *tool_name = "roost";

/* ---- sentences ---------------------------------------------------------------------------------------------- */

/* One line, whatever file names hold. */
static void say(const char *kind, const char *format, va_list args) G_GNUC_PRINTF(2, 0);
static void say(const char *kind, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);

    fflush(stdout);                        /* in the order of events where both go to one place */
    for (char *c = text; *c; c++) {
        if (g_ascii_iscntrl(*c)) {
            *c = '?';
        }
    }
    fprintf(stderr, "%s: %s%s\n", tool_name, kind, text);
}

void tool_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say("", format, args);
    va_end(args);
}

void tool_warning(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say("warning: ", format, args);
    va_end(args);
}

void tool_complain(const GError *err)
{
    tool_error("%s", err->message);
}

/* ---- numbers ------------------------------------------------------------------------------------------------ */

bool tool_parse_size(const char *text, const char *what, uint64_t *out, GError **err)
{
    if (!parse_size(text, 1, out)) {
        return fail(err, EINVAL, "%s '%s' is not a size: a number of bytes, or one with k, M, G, T, P or E behind it", what, text);
    }
    if (*out > INT64_MAX) {
        return fail(err, EINVAL, "%s '%s' is too large: sizes are below 8 EiB", what, text);
    }
    return true;
}

char *tool_size_text(uint64_t size)
{
    static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    double value = (double)size;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    return g_strdup_printf("%0.3g %sB", value, units[unit]);
}

bool tool_parse_cache(const char *text, CacheFlags *out, GError **err)
{
    static const struct { const char *name; CacheFlags flags; } modes[] = {
        { "writeback", 0 }, { "none", CACHE_DIRECT }, { "off", CACHE_DIRECT }, { "writethrough", CACHE_WRITETHROUGH },
        { "directsync", CACHE_DIRECT | CACHE_WRITETHROUGH }, { "unsafe", CACHE_NO_FLUSH },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(text, modes[i].name) == 0) {
            *out = modes[i].flags;
            return true;
        }
    }
    return fail(err, EINVAL, "cache mode '%s' is not known: none, writeback, writethrough, directsync and unsafe are", text);
}

/* ---- options ------------------------------------------------------------------------------------------------ */

static bool number_in_row(const ToolOption *option, uint64_t number, const char *text, GError **err)
{
    if (option->max && (number < option->min || number > option->max)) {
        return fail(err, EINVAL, "%s '%s' is not between %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT, option->argument, text,
                    option->min, option->max);
    }
    return true;
}

static bool take(const ToolOption *option, void *into, const char *text, GError **err)
{
    void *at = (char *)into + option->offset;
    uint64_t number;

    switch (option->kind) {
    case TOOL_FLAG:
        *(bool *)at = true;
        return true;
    case TOOL_TEXT:
        *(const char **)at = text;
        return true;
    case TOOL_TEXTS:
        if (!*(GPtrArray **)at) {
            *(GPtrArray **)at = g_ptr_array_new();
        }
        g_ptr_array_add(*(GPtrArray **)at, (char *)text);
        return true;
    case TOOL_NUMBER:
        if (!parse_uint(text, &number)) {
            return fail(err, EINVAL, "%s '%s' is not a number", option->argument, text);
        }
        *(uint64_t *)at = number;
        return number_in_row(option, number, text, err);
    case TOOL_SIZE:
        if (!tool_parse_size(text, option->argument, &number, err)) {
            return false;
        }
        *(uint64_t *)at = number;
        return number_in_row(option, number, text, err);
    case TOOL_CALL:
        return option->take(into, text, err);
    case TOOL_END:
        break;
    }
    return true;
}

enum { LONG_BASE = 1000 };                 /* getopt's values of long names: the row's number above this */

/* getopt's own tables, from ours. */
static void getopt_tables(const ToolOption *table, bool in_order, GString *letters, GArray *names)
{
    g_string_assign(letters, in_order ? "+:" : ":");
    for (int i = 0; table[i].kind != TOOL_END; i++) {
        if (table[i].letter) {
            g_string_append_printf(letters, "%c%s", table[i].letter, table[i].argument ? ":" : "");
        }
        if (table[i].name) {
            struct option name = { table[i].name, table[i].argument ? required_argument : no_argument, NULL, LONG_BASE + i };
            g_array_append_val(names, name);
        }
    }
}

static const ToolOption *row_of(const ToolOption *table, int found)
{
    if (found >= LONG_BASE) {
        return &table[found - LONG_BASE];
    }
    while (table->kind != TOOL_END && table->letter != found) {
        table++;
    }
    return table->kind == TOOL_END ? NULL : table;
}

bool tool_options_read(const ToolOption *table, void *into, int argc, char **argv, bool in_order, int *first, GError **err)
{
    g_autoptr(GArray) names = g_array_new(TRUE, TRUE, sizeof(struct option));
    g_autoptr(GString) letters = g_string_new(NULL);
    int found;

    getopt_tables(table, in_order, letters, names);
    optind = 0;                            /* begin anew, glibc's way */
    opterr = 0;
    while ((found = getopt_long(argc, argv, letters->str, (const struct option *)(void *)names->data, NULL)) != -1) {
        const ToolOption *option = row_of(table, found);
        if (found == ':') {
            return fail(err, EINVAL, "missing argument for option '%s'", argv[optind - 1]);
        }
        if (found == '?' || !option) {
            char letter[3] = { '-', (char)optopt, '\0' };
            return fail(err, EINVAL, "unrecognized option '%s'", optopt > 0 && optopt < LONG_BASE ? letter : argv[optind - 1]);
        }
        if (!take(option, into, optarg, err)) {
            return false;
        }
    }
    *first = optind;
    return true;
}

void tool_options_clear(const ToolOption *table, void *into)
{
    for (; table->kind != TOOL_END; table++) {
        if (table->kind == TOOL_TEXTS) {
            GPtrArray **texts = (void *)((char *)into + table->offset);
            g_clear_pointer(texts, g_ptr_array_unref);
        }
    }
}

static char *spelling(const ToolOption *option)
{
    GString *text = g_string_new(NULL);

    if (option->letter) {
        g_string_append_printf(text, "-%c", option->letter);
    }
    if (option->name) {
        g_string_append_printf(text, "%s--%s", option->letter ? ", " : "", option->name);
    }
    if (option->argument) {
        g_string_append_printf(text, "%s%s", option->name ? "=" : " ", option->argument);
    }
    return g_string_free(text, FALSE);
}

void tool_options_help(const ToolOption *table)
{
    for (; table->kind != TOOL_END; table++) {
        g_autofree char *how = spelling(table);
        printf("  %-28s %s\n", how, table->help);
    }
}

char *tool_options_synopsis(const ToolOption *table)
{
    GString *text = g_string_new(NULL);

    for (; table->kind != TOOL_END; table++) {
        g_autofree char *name = table->letter ? g_strdup_printf("-%c", table->letter) : g_strdup_printf("--%s", table->name);
        g_string_append_printf(text, "[%s%s%s] ", name, table->argument ? (table->letter ? " " : "=") : "",
                               table->argument ? table->argument : "");
    }
    return g_string_free(text, FALSE);
}

/* [enable=]PATTERN,events=FILE,file=FILE, with the keys of -trace. A name that is not there is a warning: suites ask for QEMU's. */
bool tool_trace(void *into, const char *text, GError **err)
{
    static const OptionGrammar grammar = { .who = "--trace", .implied = "enable", .keys = trace_keys };
    g_autoptr(GError) unknown = NULL;
    g_autoptr(Value) item = NULL;

    (void)into;
    if (option_wants_help(text)) {
        trace_print_all();
        return true;
    }
    if (!(item = option_parse(&grammar, text, err))) {
        return false;
    }
    const char *pattern = value_get_string(item, "enable", NULL), *events = value_get_string(item, "events", NULL);
    const char *file = value_get_string(item, "file", NULL);
    if ((events && !trace_enable_file(events, err)) || (file && !log_set_file(file, err))) {
        return false;
    }
    if (pattern && !trace_enable(pattern, &unknown)) {
        tool_warning("%s", unknown->message);
    }
    return true;
}

/* ---- progress ----------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t asked;

static void usr1(int number)
{
    (void)number;
    asked = 1;
}

void tool_progress_prepare(void)
{
    struct sigaction action = { .sa_handler = usr1, .sa_flags = SA_RESTART };

    sigaction(SIGUSR1, &action, NULL);
}

void tool_progress_begin(ToolProgress *progress, bool shown, double step)
{
    *progress = (ToolProgress){ .shown = shown, .printed = -1, .step = step };
    tool_progress(progress, 0, 1);
}

void tool_progress(ToolProgress *progress, uint64_t done, uint64_t total)
{
    double percent = total ? MIN(100.0, 100.0 * (double)done / (double)total) : 100.0;

    progress->percent = percent;
    if (!progress->shown) {
        if (asked) {
            asked = 0;
            fprintf(stderr, "    (%3.2f/100%%)\n", percent);
        }
        return;
    }
    if (progress->printed < 0 || percent >= progress->printed + progress->step || (percent == 100.0 && progress->printed != 100.0)) {
        printf("    (%3.2f/100%%)\r", percent);
        fflush(stdout);
        progress->printed = percent;
    }
}

void tool_progress_end(ToolProgress *progress)
{
    if (progress->shown && progress->printed >= 0) {
        putchar('\n');
        progress->printed = -1;
    }
}

/* ---- the loop ----------------------------------------------------------------------------------------------- */

int tool_run(int (*work)(void *opaque), void *opaque)
{
    g_autoptr(GError) err = NULL;
    IoLoop *loop = io_loop_new(tool_name, &err);
    int result;

    if (!loop) {
        tool_complain(err);
        return 1;
    }
    result = io_loop_run(loop, work, opaque);
    io_loop_free(loop);
    if (result < 0) {
        tool_error("no memory to begin with");
        return 1;
    }
    return result;
}
