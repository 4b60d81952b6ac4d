/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - lines for people on stderr, and the -d/-D log
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* "roost: warning: ..." and "roost: ..." on stderr; one line each. -msg timestamp=on and guest-name=on put those before. */
void report_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
void report_warning(const char *format, ...) G_GNUC_PRINTF(1, 2);
void report_info(const char *format, ...) G_GNUC_PRINTF(1, 2);
void report_keep(int fd);                  /* each of these lines also there, with its time; -1: no longer */
void report_style(bool timestamps, const char *guest_name);           /* guest_name NULL for none; copied */

typedef enum {
    LOG_GUEST_ERRORS = 1 << 0,             /* -d guest_errors */
    LOG_UNIMPLEMENTED = 1 << 1,            /* -d unimp */
    LOG_INTERRUPTS = 1 << 2,               /* -d int */
    LOG_CPU_RESET = 1 << 3,                /* -d cpu_reset */
    LOG_IN_ASM = 1 << 4,                   /* -d in_asm: blocks as they are decoded */
    LOG_EXEC = 1 << 5,                     /* -d exec: blocks as they run */
    LOG_CPU = 1 << 6,                      /* -d cpu: registers before each block */
    LOG_TRACE = 1 << 7,                    /* trace points */
    LOG_ACCEL = 1 << 8,                    /* -d accel: what the accelerator found and chose */
} LogMask;
extern uint32_t log_mask;
static inline bool log_enabled(LogMask item) { return __builtin_expect((__atomic_load_n(&log_mask, __ATOMIC_RELAXED) & item) != 0, 0); }
void log_line(LogMask item, const char *format, ...) G_GNUC_PRINTF(2, 3);      /* no newline in format */
bool log_set_items(const char *comma_list, GError **err);              /* "help" is handled by the caller with log_print_items() */
void log_print_items(void);
bool log_set_file(const char *path, GError **err);
