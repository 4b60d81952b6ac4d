/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor-slot.c - what sits where the monitor will be: it says that it is not there yet
 *
 * Tests    tests/cli/process.py
 */
#include "cli/monitor-slot.h"
#include "base/char/chardev.h"
#include <string.h>

static void say(Chardev *chardev)
{
    static const char text[] = "the monitor is not there yet; Ctrl-A c leads back to the console, Ctrl-A x quits\r\n";

    chardev_write(chardev, (const uint8_t *)text, strlen(text));
}

static size_t slot_can_read(void *opaque)
{
    (void)opaque;
    return 256;
}

static void slot_read(void *opaque, const uint8_t *data, size_t length)
{
    if (memchr(data, '\r', length) || memchr(data, '\n', length)) {
        say(opaque);
    }
}

/* The focus also comes once when the slot takes its place: nobody asked then. */
static void slot_event(void *opaque, ChardevEvent event)
{
    if (event == CHARDEV_FOCUS_IN && chardev_focus_asked(opaque)) {
        say(opaque);
    }
}

static const ChardevUser slot_user = { slot_can_read, slot_read, slot_event };

bool monitor_slots_open(const Value *monitors, GError **err)
{
    for (size_t i = 0; i < value_length(monitors); i++) {
        const Value *monitor = value_at(monitors, i);
        bool people = strcmp(value_get_string(monitor, "mode", "readline"), "readline") == 0;
        Chardev *chardev = people ? chardev_find(value_get_string(monitor, "chardev", "")) : NULL;
        if (chardev && !chardev_attach(chardev, &slot_user, chardev, err)) {
            return false;
        }
    }
    return true;
}
