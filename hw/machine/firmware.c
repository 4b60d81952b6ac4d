/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firmware.c - the BIOS images that were embedded at build time, and the folders of -L
 *
 * The images are Debian's seabios package; firmware-images.S takes them into the executable.
 */
#include "hw/machine/firmware.h"
#include "base/error.h"
#include "base/open.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FIRMWARE_LIMIT = 16 << 20 };
extern const uint8_t image_bios[], image_bios_end[], image_vga_std[], image_vga_std_end[], image_vga_cirrus[], image_vga_cirrus_end[];

static const struct { const char *name; const uint8_t *start, *end; } images[] = {
    { "bios-256k.bin", image_bios, image_bios_end },
    { "vgabios-stdvga.bin", image_vga_std, image_vga_std_end },
    { "vgabios-cirrus.bin", image_vga_cirrus, image_vga_cirrus_end },
};
const char *const firmware_embedded[] = { "bios-256k.bin", "vgabios-stdvga.bin", "vgabios-cirrus.bin", NULL };

static GPtrArray *folders;

void firmware_add_folder(const char *path)
{
    if (!folders) {
        folders = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(folders, g_strdup(path));
}

void firmware_print_folders(void)
{
    for (guint i = 0; folders && i < folders->len; i++) {
        printf("%s\n", (const char *)folders->pdata[i]);
    }
    printf("(in the executable)");
    for (const char *const *name = firmware_embedded; *name; name++) {
        printf(" %s", *name);
    }
    printf("\n");
}

static char *in_folders(const char *name)
{
    for (guint i = 0; folders && i < folders->len; i++) {
        g_autofree char *path = g_build_filename(folders->pdata[i], name, NULL);
        if (access(path, R_OK) == 0) {
            return g_steal_pointer(&path);
        }
    }
    return NULL;
}

bool firmware_read(const char *what, const char *name, uint8_t **data, size_t *length, GError **err)
{
    bool plain = !strchr(name, '/');
    g_autofree char *found = plain ? in_folders(name) : NULL;

    if (found) {
        return host_read_file(what, found, FIRMWARE_LIMIT, data, length, err);
    }
    for (size_t i = 0; plain && i < G_N_ELEMENTS(images); i++) {
        if (strcmp(images[i].name, name) == 0) {
            *length = (size_t)(images[i].end - images[i].start);
            *data = g_memdup2(images[i].start, *length);
            return true;
        }
    }
    return host_read_file(what, name, FIRMWARE_LIMIT, data, length, err);
}
