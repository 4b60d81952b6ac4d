/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unknown.c - an option that is not in the table: not here yet, or a typing mistake
 *
 * The list has the options that QEMU 7.2 and its neighbours take on this architecture.
 *
 * Tests    tests/cli/options.py
 */
#include "cli/options.h"
#include <errno.h>
#include <string.h>

static const struct { const char *name, *instead; } known_elsewhere[] = {
    { "acpitable" }, { "alt-grab" }, { "async-teardown" }, { "audio" }, { "audio-help" }, { "audiodev" },
    { "balloon", "use -device virtio-balloon-pci" }, { "chroot" }, { "compat" }, { "ctrl-grab" }, { "curses" }, { "dfilter" },
    { "dtb" }, { "dump-vmstate" }, { "enable-fips" }, { "enable-sync-profile" }, { "fsdev" },
    { "full-screen" }, { "g" }, { "gdb" }, { "icount" }, { "incoming" }, { "iscsi" }, { "k" }, { "loadvm" }, { "mem-path" },
    { "mem-prealloc" }, { "mtdblock" }, { "no-fd-bootchk" }, { "no-quit" }, { "numa" },
    { "nouserconfig", "use -no-user-config" }, { "old-param" }, { "only-migratable" }, { "option-rom" },
    { "perfmap" }, { "pflash" }, { "plugin" }, { "portrait" }, { "preconfig" }, { "prom-env" }, { "qmp-pretty" },
    { "realtime", "use -overcommit" }, { "rotate" }, { "s" }, { "sd" }, { "sdl" }, { "seed" },
    { "semihosting" }, { "set" }, { "singlestep" }, { "soundhw" }, { "spice" }, { "tpmdev" }, { "usb" }, { "usbdevice" },
    { "virtfs" }, { "watchdog" }, { "watchdog-action", "use -action watchdog=..." }, { "win2k-hack" }, { "writeconfig" }, { "xen-attach" },
    { "xen-domid" }, { "xen-domid-restrict" },
};

/* Levenshtein's distance, for names of reasonable length. */
static unsigned distance(const char *a, const char *b)
{
    enum { MOST = 32 };
    unsigned row[MOST + 1];
    size_t a_length = strlen(a), b_length = strlen(b);

    if (a_length > MOST || b_length > MOST) {
        return MOST;
    }
    for (size_t j = 0; j <= b_length; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = MIN(changed, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

void option_unknown(const char *name, GError **err)
{
    const char *nearest = NULL;
    unsigned least = 3;

    for (size_t i = 0; i < G_N_ELEMENTS(known_elsewhere); i++) {
        if (strcmp(known_elsewhere[i].name, name) == 0) {
            const char *instead = known_elsewhere[i].instead;
            fail(err, ENOTSUP, "-%s is not supported yet%s%s", name, instead ? "; " : "", instead ? instead : "");
            return;
        }
    }
    for (const Option *option = run_options; option->name || option->help; option++) {
        unsigned far = option->name ? distance(name, option->name) : least;
        if (far < least && far * 2 < strlen(name)) {
            least = far;
            nearest = option->name;
        }
    }
    if (nearest) {
        fail(err, EINVAL, "-%s is not an option; did you mean -%s?", name, nearest);
    } else {
        fail(err, EINVAL, "-%s is not an option; -help lists them", name);
    }
}
