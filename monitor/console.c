/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console.c - a guest's console for whoever comes: what it wrote last, what it writes, and their keys
 *
 * The guest's own stream goes where the command line sends it; this listens beside (ChardevTap). What was written lately is kept in one
 * ring, and each watcher has a place in it: one that does not read is overtaken, holds up nobody and costs no memory. All of them may type.
 *
 * Threads  what the guest writes: any, machine lock held; the rest: main loop, same lock
 * Tests    tests/verbs/console.py
 */
#include "monitor/control.h"
#include "base/loop.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RING = 256 << 10, TYPED_AHEAD = 512, WATCHERS_MOST = 32, HEADER = 32 };

typedef struct Watcher {
    Chardev *chardev;
    char header[HEADER];
    size_t header_left;                    /* of it, not yet sent */
    uint64_t at;                           /* counts the guest's bytes */
    uint8_t typed[TYPED_AHEAD];
    size_t typed_length;
    bool leaving;
} Watcher;

static struct {
    LoopWatch *door;
    int listener;
    Chardev *stream;
    uint8_t *ring;                         /* made when the guest first writes */
    uint64_t written;
    GPtrArray *watchers;
} console = { .listener = -1 };

/* ---- out ---- */

static bool send_header(Watcher *watcher)
{
    size_t length = strlen(watcher->header);

    if (watcher->header_left) {
        const char *rest = watcher->header + length - watcher->header_left;
        watcher->header_left -= chardev_write(watcher->chardev, (const uint8_t *)rest, watcher->header_left);
    }
    return watcher->header_left == 0;
}

static void send_ring(Watcher *watcher)
{
    if (!send_header(watcher)) {
        return;
    }
    if (console.written - watcher->at > RING) {
        watcher->at = console.written - RING;
    }
    while (watcher->at < console.written) {
        size_t from = watcher->at % RING, part = MIN(RING - from, console.written - watcher->at);
        size_t sent = chardev_write(watcher->chardev, console.ring + from, part);
        watcher->at += sent;
        if (sent < part) {
            return;                        /* CHARDEV_WRITABLE goes on */
        }
    }
}

static void guest_wrote(void *opaque, const uint8_t *data, size_t length)
{
    (void)opaque;
    if (!console.ring) {
        console.ring = g_malloc(RING);
    }
    for (size_t done = 0; done < length;) {
        size_t to = console.written % RING, part = MIN(RING - to, length - done);
        memcpy(console.ring + to, data + done, part);
        console.written += part;
        done += part;
    }
    for (guint i = 0; i < console.watchers->len; i++) {
        send_ring(console.watchers->pdata[i]);
    }
}

/* ---- in ---- */

static void type(Watcher *watcher)
{
    size_t taken = !console.stream ? watcher->typed_length : chardev_type(console.stream, watcher->typed, watcher->typed_length);

    watcher->typed_length -= taken;
    memmove(watcher->typed, watcher->typed + taken, watcher->typed_length);
}

static void guest_takes_more(void *opaque)
{
    (void)opaque;
    for (guint i = 0; i < console.watchers->len; i++) {
        Watcher *watcher = console.watchers->pdata[i];
        if (watcher->typed_length) {
            type(watcher);
            chardev_accept_input(watcher->chardev);
        }
    }
}

static void stream_ends(void *opaque)
{
    (void)opaque;
    console.stream = NULL;                 /* chardev-remove: what was written can still be read */
}

static const ChardevTap tap = { .wrote = guest_wrote, .wants = guest_takes_more, .gone = stream_ends };

static size_t can_read(void *opaque)
{
    return TYPED_AHEAD - ((const Watcher *)opaque)->typed_length;
}

static void keys_came(void *opaque, const uint8_t *data, size_t length)
{
    Watcher *watcher = opaque;

    memcpy(watcher->typed + watcher->typed_length, data, length);
    watcher->typed_length += length;
    type(watcher);
}

/* ---- watchers ---- */

static void watcher_free(void *opaque)
{
    Watcher *watcher = opaque;

    chardev_detach(watcher->chardev);
    chardev_unref(watcher->chardev);
    g_free(watcher);
}

static void leave(void *opaque)
{
    if (console.watchers && g_ptr_array_remove(console.watchers, opaque) && console.door) {
        loop_watch_change(console.door, G_IO_IN);
    }
}

static void watcher_event(void *opaque, ChardevEvent event)
{
    Watcher *watcher = opaque;

    if (event == CHARDEV_WRITABLE && !watcher->leaving) {
        send_ring(watcher);
    } else if (event == CHARDEV_CLOSED && !watcher->leaving) {
        watcher->leaving = true;
        loop_post(leave, watcher);
    }
}

static const ChardevUser watcher_user = { .can_read = can_read, .read = keys_came, .event = watcher_event, .monitor = true };

static void watcher_waits(void *opaque, int fd, GIOCondition condition)
{
    Chardev *client = control_take(fd, "watcher");
    uint64_t kept = MIN(console.written, RING);

    (void)opaque;
    (void)condition;
    if (!client) {
        return;
    }
    Watcher *watcher = g_new0(Watcher, 1);
    watcher->chardev = client;
    watcher->at = console.written - kept;
    snprintf(watcher->header, sizeof watcher->header, "ROOST CONSOLE %u\n", (unsigned)kept);
    watcher->header_left = strlen(watcher->header);
    g_ptr_array_add(console.watchers, watcher);
    chardev_attach(client, &watcher_user, watcher, NULL);
    send_ring(watcher);
    if (console.watchers->len == WATCHERS_MOST) {
        loop_watch_change(console.door, 0);
    }
}

void console_serve(int listener, Chardev *stream)
{
    console.listener = listener;
    console.stream = stream;
    console.watchers = g_ptr_array_new_with_free_func(watcher_free);
    console.door = loop_watch(listener, G_IO_IN, watcher_waits, NULL);
    chardev_set_tap(stream, &tap);
}

void console_close(void)
{
    if (!console.watchers) {
        return;
    }
    if (console.stream) {
        chardev_set_tap(console.stream, NULL);
    }
    loop_unwatch(console.door);
    close(console.listener);
    g_clear_pointer(&console.watchers, g_ptr_array_unref);
    g_clear_pointer(&console.ring, g_free);
    console.listener = -1;
    console.door = NULL;
}
