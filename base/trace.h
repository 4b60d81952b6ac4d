/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace.h - named trace points, off unless asked for by -trace or -d trace:PATTERN
 *
 * A file declares its points in one table and names them when it fires them:
 *
 *   enum { TRACE_PIT_WRITE, TRACE_PIT_IRQ };
 *   static TracePoint pit_trace[] = {
 *       [TRACE_PIT_WRITE] = { "pit_write", "a guest wrote a PIT port" },
 *       [TRACE_PIT_IRQ] = { "pit_irq", "counter 0 changed its output" } };
 *   TRACE_TABLE(pit_trace)                    once per file, at file scope
 *   ...
 *   TRACE(&pit_trace[TRACE_PIT_WRITE], "port %u value 0x%02x", port, value);
 *
 * An untaken point costs one load and a branch.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct TracePoint { const char *name, *help; bool on; } TracePoint;
typedef struct TraceTable { TracePoint *points; size_t count; } TraceTable;

/* Tables gather in one linker-named section, so "-trace help" needs no list that could be forgotten. */
#define TRACE_TABLE(points_) \
    static const TraceTable points_##_entry __attribute__((used, section("roost_trace"), aligned(8))) = \
        { points_, sizeof(points_) / sizeof((points_)[0]) };
#define TRACE(point, ...) do { if (__builtin_expect(__atomic_load_n(&(point)->on, __ATOMIC_RELAXED), 0)) { trace_fire((point), __VA_ARGS__); } } while (0)

void trace_fire(const TracePoint *point, const char *format, ...) G_GNUC_PRINTF(2, 3);
bool trace_enable(const char *pattern, GError **err);      /* glob; a leading '-' turns off; no match is an error */
bool trace_enable_file(const char *path, GError **err);    /* a pattern per line, # comments */
void trace_print_all(void);                                /* "-trace help" */
