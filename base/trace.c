/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace.c - turning trace points on and off, and the line that one writes
 *
 * Threads  any; points are turned on and off under the machine lock or before other threads start
 * Tests    tests/unit/news.c
 */
#include "base/trace.h"
#include "base/error.h"
#include "base/log.h"
#include "base/open.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The linker sets these around the section that TRACE_TABLE fills. Weak: a program may have no trace point at all. */
extern const TraceTable __start_roost_trace[] __attribute__((weak));
extern const TraceTable __stop_roost_trace[] __attribute__((weak));

/* The compiler takes two different symbols for different objects; ours are the two ends of one array. */
static const TraceTable *tables_end(void)
{
    const TraceTable *end = __stop_roost_trace;

    __asm__("" : "+r"(end));
    return end;
}

#define FOR_EACH_POINT(point)                                                                   \
    for (const TraceTable *table_ = __start_roost_trace; table_ != tables_end(); table_++)      \
        for (TracePoint *point = table_->points; point < table_->points + table_->count; point++)

void trace_fire(const TracePoint *point, const char *format, ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_line(LOG_TRACE, "%s %s", point->name, text);
}

bool trace_enable(const char *pattern, GError **err)
{
    bool on = pattern[0] != '-';
    const char *glob = on ? pattern : pattern + 1;
    unsigned hits = 0;

    FOR_EACH_POINT(point) {
        if (g_pattern_match_simple(glob, point->name)) {
            __atomic_store_n(&point->on, on, __ATOMIC_RELAXED);
            hits++;
        }
    }
    if (hits == 0) {
        return fail(err, EINVAL, "no trace point matches '%s': '-trace help' lists them", glob);
    }
    __atomic_or_fetch(&log_mask, on ? LOG_TRACE : 0, __ATOMIC_RELAXED);
    return true;
}

bool trace_enable_file(const char *path, GError **err)
{
    g_autofree uint8_t *text = NULL;
    g_auto(GStrv) lines = NULL;
    size_t length;

    if (!host_read_file("trace events file", path, 1 << 20, &text, &length, err)) {
        return false;
    }
    lines = g_strsplit((const char *)text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_strstrip(*line);
        if (**line && **line != '#' && !trace_enable(*line, err)) {
            g_prefix_error(err, "%s:%d: ", path, (int)(line - lines) + 1);
            return false;
        }
    }
    return true;
}

void trace_print_all(void)
{
    FOR_EACH_POINT(point) {
        printf("%-32s %s\n", point->name, point->help);
    }
}
