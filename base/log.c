/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - lines for people, each written with one write(2) so that threads and processes never mix theirs
 *
 * Omits    rotation: -D names one file, opened when the option is read
 * Threads  any; the style and the file are set before other threads start
 * Tests    tests/unit/news.c
 */
#include "base/log.h"
#include "base/error.h"
#include "base/open.h"
#include "base/trace.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint32_t log_mask;

static bool show_time;
static char *show_name;
static int kept_fd = -1;
static int log_fd = STDERR_FILENO;

static const struct {
    const char *name;
    uint32_t mask;
    const char *help;
} items[] = {
    { "guest_errors", LOG_GUEST_ERRORS, "what the guest does and no sane guest would" },
    { "unimp", LOG_UNIMPLEMENTED, "what the guest asks for and is not there" },
    { "int", LOG_INTERRUPTS, "interrupts and exceptions as they are taken" },
    { "cpu_reset", LOG_CPU_RESET, "the registers when a processor is reset" },
    { "in_asm", LOG_IN_ASM, "guest code as it is decoded, block by block" },
    { "exec", LOG_EXEC, "each block of guest code that runs" },
    { "cpu", LOG_CPU, "the registers before each block" },
    { "accel", LOG_ACCEL, "what the accelerator found on this host and chose" },
    { "trace", LOG_TRACE, "trace points: trace:PATTERN turns some on, trace:help lists them" },
};

static void write_line(int fd, const char *line, size_t length)
{
    ssize_t done;

    do {
        done = write(fd, line, length);
    } while (done < 0 && errno == EINTR);
}

/* One line under way; what does not fit is cut. No allocation: a trace point may fire anywhere. */
typedef struct Line {
    char text[4096];
    size_t length;
} Line;

static void append_args(Line *line, const char *format, va_list args) G_GNUC_PRINTF(2, 0);
static void append_args(Line *line, const char *format, va_list args)
{
    size_t room = sizeof line->text - 1 - line->length;    /* one for the newline */
    int wanted = vsnprintf(line->text + line->length, room, format, args);

    if (wanted > 0) {
        line->length += MIN((size_t)wanted, room - 1);
    }
}

static void append(Line *line, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void append(Line *line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    append_args(line, format, args);
    va_end(args);
}

/* A line stays a line, and a file name or a guest's bytes cannot command the terminal. */
static void finish(Line *line, int fd)
{
    for (size_t i = 0; i < line->length; i++) {
        unsigned char c = (unsigned char)line->text[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            line->text[i] = c == '\n' ? ' ' : '?';
        }
    }
    line->text[line->length++] = '\n';
    write_line(fd, line->text, line->length);
}

static void append_time(Line *line)
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    append(line, "%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
           utc.tm_min, utc.tm_sec, now.tv_nsec / 1000);
}

static void append_style(Line *line)
{
    if (show_time) {
        append_time(line);
    }
    if (show_name) {
        append(line, "%s ", show_name);
    }
}

static void report(const char *kind, const char *format, va_list args) G_GNUC_PRINTF(2, 0);
static void report(const char *kind, const char *format, va_list args)
{
    Line line;

    line.length = 0;
    if (kept_fd >= 0) {
        va_list again;
        append_time(&line);
        append(&line, "%s", kind);
        va_copy(again, args);
        append_args(&line, format, again);
        va_end(again);
        finish(&line, kept_fd);
        line.length = 0;
    }
    append_style(&line);
    append(&line, "roost: %s", kind);
    append_args(&line, format, args);
    finish(&line, STDERR_FILENO);
}

void report_keep(int fd)
{
    kept_fd = fd;
}

#define REPORT(kind)                  \
    do {                              \
        va_list args;                 \
        va_start(args, format);       \
        report(kind, format, args);   \
        va_end(args);                 \
    } while (0)

void report_error(const char *format, ...)
{
    REPORT("");
}

void report_warning(const char *format, ...)
{
    REPORT("warning: ");
}

void report_info(const char *format, ...)
{
    REPORT("info: ");
}

void report_style(bool timestamps, const char *guest_name)
{
    g_free(show_name);
    show_name = g_strdup(guest_name);
    show_time = timestamps;
}

void log_line(LogMask item, const char *format, ...)
{
    Line line;
    va_list args;

    if (!log_enabled(item)) {
        return;
    }
    line.length = 0;
    va_start(args, format);
    append_args(&line, format, args);
    va_end(args);
    finish(&line, __atomic_load_n(&log_fd, __ATOMIC_RELAXED));
}

static bool item_mask(const char *name, uint32_t *mask, GError **err)
{
    if (strcmp(name, "all") == 0) {
        for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
            *mask |= items[i].mask;
        }
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
        if (strcmp(name, items[i].name) == 0) {
            *mask |= items[i].mask;
            return true;
        }
    }
    return fail(err, EINVAL, "log item '%s' is not known: '-d help' lists them", name);
}

bool log_set_items(const char *comma_list, GError **err)
{
    g_auto(GStrv) names = g_strsplit(comma_list, ",", -1);
    uint32_t mask = 0;

    if (strcmp(comma_list, "none") == 0) {
        __atomic_store_n(&log_mask, 0, __ATOMIC_RELAXED);
        return true;
    }
    for (char **name = names; *name; name++) {
        if (g_str_has_prefix(*name, "trace:")) {
            if (!trace_enable(*name + strlen("trace:"), err)) {
                return false;
            }
            mask |= LOG_TRACE;
        } else if (!item_mask(*name, &mask, err)) {
            return false;
        }
    }
    __atomic_or_fetch(&log_mask, mask, __ATOMIC_RELAXED);
    return true;
}

void log_print_items(void)
{
    printf("Log items (comma separated):\n");
    for (size_t i = 0; i < G_N_ELEMENTS(items); i++) {
        printf("%-15s %s\n", items[i].name, items[i].help);
    }
    printf("%-15s %s\n%-15s %s\n", "all", "all of the above", "none", "nothing any more");
}

/* One "%d" in the path stands for the process id. */
static char *log_path(const char *path)
{
    const char *pid = strstr(path, "%d");

    return pid ? g_strdup_printf("%.*s%d%s", (int)(pid - path), path, (int)getpid(), pid + 2) : g_strdup(path);
}

bool log_set_file(const char *path, GError **err)
{
    g_autofree char *name = log_path(path);
    int fd = host_open("log file", name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOCTTY, 0644, err);
    int old;

    if (fd < 0) {
        return false;
    }
    old = __atomic_exchange_n(&log_fd, fd, __ATOMIC_RELAXED);
    if (old != STDERR_FILENO) {
        close(old);
    }
    return true;
}
