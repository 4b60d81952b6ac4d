/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fdset.h - sets of file descriptors that somebody handed to us: what "/dev/fdset/N" means to host_open()
 *
 * A set holds descriptors of one file, opened in different ways; who opens the set's name gets a copy of the one that was opened
 * the way he asks for. Any thread; the module locks for itself.
 */
#pragma once
#include "base/value.h"

/* Takes over fd. id < 0: the first free set; else that set, made when it is not there. opaque (may be NULL) is a remark. Returns the set. */
int64_t fdset_add(int64_t id, int fd, const char *opaque, GError **err);
/* Closes one descriptor of a set, or (fd < 0) all: false when there is no such one. A set without descriptors is gone. */
bool fdset_remove(int64_t id, int64_t fd);
Value *fdset_list(void);                   /* QMP's FdsetInfo list; the caller owns it */
/* "/dev/fdset/N" opened with these flags: a new descriptor, or -1 and errno (ENOENT no such set, EACCES opened otherwise). */
int fdset_open(const char *path, int flags);
bool fdset_is_name(const char *path);
