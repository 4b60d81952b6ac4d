/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console-client.h - a connection to a running VM's console (monitor/control.h)
 */
#pragma once
#include "cli/runtime.h"

typedef struct ConsoleClient {
    int fd;                                /* non-blocking; what is typed is written here */
    size_t replay;                         /* bytes of what the guest wrote before that are still to come */
} ConsoleClient;

/* NULL and *err: it has none, it ended, or nobody answered within seconds (0: for ever). */
ConsoleClient *console_client_open(const VmEntry *vm, double seconds, GError **err);
void console_client_free(ConsoleClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConsoleClient, console_client_free)
/* What was written before, within seconds; NULL: it could not be had. The caller frees. */
GString *console_client_replay(ConsoleClient *client, double seconds);
/* The beginning of the last so many lines of text. */
const char *last_lines(const char *text, size_t length, unsigned lines);
