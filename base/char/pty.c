/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pty.c - a pseudo terminal, whose name is said on standard output
 *
 * Nobody has it open at first and people come and go. The master shows a missing peer as a hang-up that stays, so
 * its watch is taken out meanwhile and a slow timer looks again; each write looks too, and is swallowed when nobody is there.
 *
 * Tests    tests/unit/chardev.c
 */
#include "base/char/backend.h"
#include "base/error.h"
#include "base/timer.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define PTY_LOOK_AGAIN (NS_PER_SECOND / 4)

typedef struct PtyChardev {
    Chardev chardev;
    int master;
    char *name;                            /* "/dev/pts/3" */
    Timer look_again;
    FdStream stream;
} PtyChardev;

static bool somebody_there(const PtyChardev *pty)
{
    struct pollfd peer = { .fd = pty->master, .events = POLLOUT };

    return poll(&peer, 1, 0) >= 0 && !(peer.revents & POLLHUP);
}

static void pty_ended(Chardev *chardev)
{
    PtyChardev *pty = (PtyChardev *)chardev;

    fd_stream_leave(&pty->stream);
    timer_arm(&pty->look_again, clock_now(CLOCK_STEADY) + PTY_LOOK_AGAIN);
    if (chardev->open) {
        chardev_event(chardev, CHARDEV_CLOSED);
    }
}

static void pty_look(void *opaque)
{
    PtyChardev *pty = opaque;

    if (!somebody_there(pty)) {
        timer_arm(&pty->look_again, clock_now(CLOCK_STEADY) + PTY_LOOK_AGAIN);
        return;
    }
    timer_cancel(&pty->look_again);
    fd_stream_begin(&pty->stream, &pty->chardev, pty->master, pty->master, pty_ended);
    chardev_event(&pty->chardev, CHARDEV_OPENED);
}

/* Raw, so that a guest's bytes arrive as they are; set through the slave, which only has to be opened for that. */
static bool pty_make_raw(PtyChardev *pty)
{
    struct termios modes;
    int slave = open(pty->name, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (slave < 0) {
        return false;
    }
    bool raw = tcgetattr(slave, &modes) == 0;
    if (raw) {
        cfmakeraw(&modes);
        raw = tcsetattr(slave, TCSANOW, &modes) == 0;
    }
    close(slave);
    return raw;
}

static bool pty_open(Chardev *chardev, GError **err)
{
    PtyChardev *pty = (PtyChardev *)chardev;
    char name[64];

    pty->stream = (FdStream)FD_STREAM_NONE;
    timer_init(&pty->look_again, CLOCK_STEADY, pty_look, pty);
    pty->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (pty->master < 0 || grantpt(pty->master) != 0 || unlockpt(pty->master) != 0 ||
        ptsname_r(pty->master, name, sizeof name) != 0 || !fd_set_nonblocking(pty->master)) {
        return fail(err, errno, "chardev '%s': cannot make a pseudo terminal: %s", chardev->id, g_strerror(errno));
    }
    pty->name = g_strdup(name);
    if (!pty_make_raw(pty)) {
        return fail(err, errno, "chardev '%s': cannot set up %s: %s", chardev->id, name, g_strerror(errno));
    }
    printf("char device redirected to %s (label %s)\n", name, chardev->id);
    fflush(stdout);
    timer_arm(&pty->look_again, clock_now(CLOCK_STEADY) + PTY_LOOK_AGAIN);
    return true;
}

static void pty_close(Chardev *chardev)
{
    PtyChardev *pty = (PtyChardev *)chardev;

    timer_cancel(&pty->look_again);
    fd_stream_end(&pty->stream);
    if (pty->master >= 0 && pty->stream.owner == NULL) {
        close(pty->master);                /* never handed to the stream */
    }
    g_free(pty->name);
}

static size_t pty_write(Chardev *chardev, const uint8_t *data, size_t length)
{
    PtyChardev *pty = (PtyChardev *)chardev;

    if (!chardev->open) {
        if (!somebody_there(pty)) {
            return length;
        }
        timer_arm(&pty->look_again, clock_now(CLOCK_STEADY));       /* events are told on the main loop */
        ssize_t put = write(pty->master, data, length);
        return put < 0 ? length : (size_t)put;
    }
    return fd_stream_write(&pty->stream, data, length);
}

static void pty_update_input(Chardev *chardev)
{
    fd_stream_update(&((PtyChardev *)chardev)->stream);
}

const char *chardev_pty_name(const Chardev *chardev)
{
    return chardev->backend == &pty_backend ? ((const PtyChardev *)chardev)->name : NULL;
}

static char *pty_describe(const Chardev *chardev)
{
    return g_strdup_printf("pty:%s", ((const PtyChardev *)chardev)->name);
}

static const Field pty_keys[] = { FIELD_END };

const ChardevBackend pty_backend = {
    .name = "pty", .help = "a new pseudo terminal", .size = sizeof(PtyChardev), .keys = pty_keys,
    .open = pty_open, .close = pty_close, .write = pty_write, .update_input = pty_update_input,
    .describe = pty_describe,
};
