/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firmware.h - BIOS images by name: a path, the folders of -L, or what the executable carries
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

void firmware_add_folder(const char *path);               /* -L, searched in order of adding; copied */
void firmware_print_folders(void);                        /* -L help */
/* what is for sentences: "firmware", "option ROM". *data is the caller's. */
bool firmware_read(const char *what, const char *name, uint8_t **data, size_t *length, GError **err);
extern const char *const firmware_embedded[];             /* names, NULL-terminated */
