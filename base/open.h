/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open.h - the one place where host paths are opened and children started (confinement has one door)
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* open(2) with O_CLOEXEC and EINTR handled; "/dev/fdset/N" is a copy out of a set (fdset.h); -1 and a sentence: "kernel '/x': No such file or directory". what may be NULL. */
int host_open(const char *what, const char *path, int flags, mode_t mode, GError **err);
/* A whole regular file, at most limit bytes, into g_malloc memory. what names it: "kernel", "initrd", "firmware". */
bool host_read_opened(int fd, const char *what, const char *path, uint64_t limit, uint8_t **data, size_t *length, GError **err);     /* from its start */
bool host_read_file(const char *what, const char *path, uint64_t limit, uint8_t **data, size_t *length, GError **err);
