/* SPDX-License-Identifier: GPL-2.0-or-later */
/* screendump.h - a picture of a surface in a file: PPM (P6) or PNG (8 bits a channel, RGB) */
#pragma once
#include "ui/console.h"

bool screendump_ppm(const Surface *surface, int fd, const char *path, GError **err);   /* path for the sentence; fd stays open */
bool screendump_png(const Surface *surface, int fd, const char *path, GError **err);
