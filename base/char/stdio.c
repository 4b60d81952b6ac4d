/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stdio.c - standard input and output, be they a terminal, a pipe, a socket, a file or closed
 *
 * The descriptors are shared with whoever started us, so O_NONBLOCK is not set on them: a terminal or FIFO is opened
 * again, which gives a description of our own; where that is not allowed, writes are small and only made when there is room.
 *
 * Tests    tests/unit/chardev.c, tests/cli
 */
#include "base/char/backend.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct StdioChardev {
    Chardev chardev;
    bool signals;
    FdStream stream;
} StdioChardev;

static Chardev *owner;                     /* there is one terminal; two readers would tear its input apart */

/* A descriptor of our own for fd, with O_NONBLOCK where that harms nobody; -1 when fd is closed. */
static int private_descriptor(int fd, int access_mode, bool *may_block)
{
    struct stat status;

    if (fstat(fd, &status) != 0) {
        return -1;
    }
    if (S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode)) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
        int own = open(path, access_mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (own >= 0) {
            return own;
        }
        *may_block = true;
    }
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void stdio_ended(Chardev *chardev)
{
    fd_stream_stop_input(&((StdioChardev *)chardev)->stream);
    if (chardev->user && chardev->user->event) {
        chardev->user->event(chardev->opaque, CHARDEV_CLOSED);      /* output still goes out */
    }
}

static bool stdio_open(Chardev *chardev, GError **err)
{
    StdioChardev *stdio = (StdioChardev *)chardev;
    bool may_block = false;

    stdio->stream = (FdStream)FD_STREAM_NONE;
    if (owner) {
        return fail(err, EBUSY, "chardev '%s': standard input and output are already used by chardev '%s'; "
                    "give one of them another backend, or share one with mux=on", chardev->id, owner->id);
    }
    owner = chardev;
    terminal_claim(STDIN_FILENO, stdio->signals);
    int in = private_descriptor(STDIN_FILENO, O_RDONLY, &may_block);
    int out = private_descriptor(STDOUT_FILENO, O_WRONLY, &may_block);
    fd_stream_begin(&stdio->stream, chardev, in, out, stdio_ended);
    stdio->stream.may_block = may_block;
    stdio->stream.terminal = isatty(STDIN_FILENO);
    chardev->open = true;
    return true;
}

static void stdio_close(Chardev *chardev)
{
    fd_stream_end(&((StdioChardev *)chardev)->stream);
    if (owner == chardev) {
        owner = NULL;
        terminal_release();
    }
}

static size_t stdio_write(Chardev *chardev, const uint8_t *data, size_t length)
{
    StdioChardev *stdio = (StdioChardev *)chardev;

    return stdio->stream.out < 0 ? length : fd_stream_write(&stdio->stream, data, length);
}

static void stdio_update_input(Chardev *chardev)
{
    fd_stream_update(&((StdioChardev *)chardev)->stream);
}

/* After SIGCONT: raw again when in front, and input that paused in the background goes on. */
void chardev_resume_terminal(void)
{
    terminal_resume();
    if (owner) {
        stdio_update_input(owner);
    }
}

static const Field stdio_keys[] = {
    PROP_BOOL("signal", StdioChardev, signals, true, .help = "Ctrl-C ends Roost; off: the guest gets it"),
    FIELD_END };

const ChardevBackend stdio_backend = {
    .name = "stdio", .help = "standard input and output", .size = sizeof(StdioChardev), .keys = stdio_keys,
    .open = stdio_open, .close = stdio_close, .write = stdio_write, .update_input = stdio_update_input,
};
