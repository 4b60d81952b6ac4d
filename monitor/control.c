/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.c - QMP for whoever comes: a session for each client, which ends with it
 *
 * The verbs of the command line come this way (cli/verb.c), so that a machine's other monitors keep their clients. A verb that waits
 * for hours holds up no other.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/verbs/verbs.py
 */
#include "monitor/control.h"
#include "base/loop.h"
#include "base/trace.h"
#include "monitor/session.h"
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MOST = 200 };

enum { TRACE_CLIENT_CAME, TRACE_CLIENT_LEFT };
static TracePoint control_trace[] = {
    [TRACE_CLIENT_CAME] = { "control_client_came", "a verb, or a watcher of the console, connected" },
    [TRACE_CLIENT_LEFT] = { "control_client_left", "a verb's connection ended" } };
TRACE_TABLE(control_trace)

static LoopWatch *door;
static int door_fd = -1;
static unsigned clients;

static void client_left(void)
{
    TRACE(&control_trace[TRACE_CLIENT_LEFT], "%u are left", clients - 1);
    clients--;
    if (door) {
        loop_watch_change(door, G_IO_IN);
    }
}

Chardev *control_take(int listener, const char *id)
{
    g_autoptr(Value) config = value_new_object();
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        return NULL;
    }
    TRACE(&control_trace[TRACE_CLIENT_CAME], "%s", id);
    g_autofree char *text = g_strdup_printf("%d", fd);
    value_set(config, "backend", value_new_string("socket"));
    value_set(config, "id", value_new_string(id));
    value_set(config, "fd", value_new_string(text));
    value_set(config, "server", value_new_bool(false));
    Chardev *client = chardev_new_private(config, NULL);
    if (!client) {
        close(fd);
    }
    return client;
}

static void client_waits(void *opaque, int fd, GIOCondition condition)
{
    Chardev *client = control_take(fd, "control");

    (void)opaque;
    (void)condition;
    if (client && monitors_receive(client, client_left, NULL) && ++clients == CLIENTS_MOST) {
        loop_watch_change(door, 0);        /* the next one waits in the kernel's queue */
    }
}

void control_serve(int listener)
{
    door_fd = listener;
    door = loop_watch(listener, G_IO_IN, client_waits, NULL);
}

void control_close(void)
{
    loop_unwatch(door);
    door = NULL;
    if (door_fd >= 0) {
        close(door_fd);
        door_fd = -1;
    }
}
