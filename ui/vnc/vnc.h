/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vnc.h - the machine's first screen for VNC viewers, on libvncserver
 *
 * Machine lock held, main loop.
 */
#pragma once
#include "base/value.h"

/* config: {"vnc":"127.0.0.1:0" | "unix:/x" | "none","to":N,"password":bool,"share":"...","websocket":"on"|PORT}. NULL: false and *err. */
bool vnc_start(const Value *config, GError **err);
void vnc_stop_all(void);
bool vnc_set_password(const char *password, GError **err);             /* of the server that was started with password=on */
Value *vnc_query(void);                    /* QMP's VncInfo of the first server */
bool vnc_check(const Value *config, GError **err);         /* the spelling alone */

/* keysyms.c: X11's number of a key's sign to Linux's number of the key that has it on a US keyboard; 0: none. */
unsigned vnc_key_of(uint32_t keysym);
