/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - the door of a machine's own: QMP for any number of clients, and its console for any number of watchers
 *
 * Main loop, machine lock held. Listeners are sockets in whose folder only their owner may look; both are closed at the end.
 */
#pragma once
#include "base/char/chardev.h"

void control_serve(int listener);          /* a QMP session for each client, beside those that -qmp and -mon brought */
void control_close(void);

/* console.c. The first line to a watcher is "ROOST CONSOLE N": N bytes of what was written before follow, then what is written from now on.
 * What a watcher sends is typed. */
void console_serve(int listener, Chardev *stream);
void console_close(void);
/* A client of a listener, as a stream of no tree; NULL: it went away already. */
Chardev *control_take(int listener, const char *id);
