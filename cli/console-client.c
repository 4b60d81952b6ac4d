/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console-client.c - a connection to a running VM's console
 *
 * Tests    tests/verbs/console.py
 */
#include "cli/console-client.h"
#include "base/error.h"
#include "cli/qmp-client.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_MOST = 40, AGAIN_US = 20000, REPLAY_MOST = 1 << 20 };

static bool readable_by(int fd, int64_t deadline)
{
    struct pollfd one = { .fd = fd, .events = POLLIN };
    int found;

    do {
        found = poll(&one, 1, patience_ms(deadline));
    } while (found < 0 && errno == EINTR);
    return found > 0;
}

/* Byte by byte to the end of its line: what follows is the guest's. */
static bool read_header(ConsoleClient *client, int64_t deadline)
{
    char line[HEADER_MOST];
    size_t length = 0;
    unsigned long replay;

    while (length < sizeof line - 1 && readable_by(client->fd, deadline)) {
        ssize_t got = read(client->fd, line + length, 1);
        if (got < 0 && errno == EAGAIN) {
            continue;
        }
        if (got != 1) {
            return false;
        }
        if (line[length++] == '\n') {
            line[length] = '\0';
            bool right = sscanf(line, "ROOST CONSOLE %lu\n", &replay) == 1 && replay <= REPLAY_MOST;
            client->replay = right ? replay : 0;
            return right;
        }
    }
    return false;
}

ConsoleClient *console_client_open(const VmEntry *vm, double seconds, GError **err)
{
    g_autoptr(ConsoleClient) client = g_new0(ConsoleClient, 1);
    int64_t deadline = patience_until(seconds);

    for (;;) {
        g_autoptr(GError) why = NULL;
        client->fd = runtime_connect(vm, "console", &why);
        if (client->fd >= 0) {
            break;
        }
        if (why->code == ENOENT && vm_lives(vm)) {
            fail(err, ENOENT, "'%s' has no console: neither a serial port nor a virtconsole", vm->name);
            return NULL;
        }
        if (why->code != EAGAIN || patience_ms(deadline) == 0) {
            fail(err, why->code, vm_lives(vm) ? "'%s': its console does not answer" : "'%s' has ended", vm->name);
            return NULL;
        }
        g_usleep(AGAIN_US);
    }
    if (!read_header(client, deadline)) {
        fail(err, ETIMEDOUT, vm_lives(vm) ? "'%s': its console does not answer" : "'%s' has ended", vm->name);
        return NULL;
    }
    return g_steal_pointer(&client);
}

void console_client_free(ConsoleClient *client)
{
    if (client && client->fd >= 0) {
        close(client->fd);
    }
    g_free(client);
}

GString *console_client_replay(ConsoleClient *client, double seconds)
{
    g_autoptr(GString) text = g_string_sized_new(client->replay);
    int64_t deadline = patience_until(seconds);

    while (client->replay) {
        char chunk[4096];
        if (!readable_by(client->fd, deadline)) {
            return NULL;
        }
        ssize_t got = read(client->fd, chunk, MIN(sizeof chunk, client->replay));
        if (got <= 0 && errno != EAGAIN) {
            return NULL;
        }
        if (got > 0) {
            g_string_append_len(text, chunk, got);
            client->replay -= (size_t)got;
        }
    }
    return g_steal_pointer(&text);
}

const char *last_lines(const char *text, size_t length, unsigned lines)
{
    const char *at = text + length;

    while (at > text && (at[-1] == '\n' || at[-1] == '\r')) {
        at--;                              /* empty lines at the end are not counted */
    }
    for (; at > text; at--) {
        if (at[-1] == '\n' && --lines == 0) {
            break;
        }
    }
    return at;
}
