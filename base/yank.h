/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * yank.h - connections that somebody may cut because their peer hangs: QMP's yank
 *
 * Who has a connection registers it under a kind ("chardev", "block-node") and a name, and says which descriptor it is at the moment. Cutting shuts
 * the socket down; its owner then sees it end, as if the peer had gone. Any thread; the module locks for itself.
 */
#pragma once
#include <stdbool.h>

typedef struct Yankable Yankable;
Yankable *yank_register(const char *kind, const char *name);           /* both copied; no descriptor yet */
void yank_unregister(Yankable *yankable);                              /* NULL is ignored */
void yank_set_fd(Yankable *yankable, int fd);                          /* -1 before it is closed */

bool yank_knows(const char *kind, const char *name);
void yank_cut(const char *kind, const char *name);                     /* nothing where it is not known or not connected */
void yank_for_each(void (*each)(void *opaque, const char *kind, const char *name), void *opaque);     /* the module is locked meanwhile */
