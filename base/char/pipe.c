/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pipe.c - a pair of FIFOs PATH.in and PATH.out, or the one file PATH for both directions
 *
 * A FIFO keeps its first 64 KiB for a reader that comes late, because this side holds a reading end too. When it is
 * full, that end is given up: from then on a missing reader shows as EPIPE and the bytes are swallowed, while a slow
 * reader shows as EAGAIN and is waited for. So no guest stalls for want of a reader.
 *
 * Tests    tests/unit/chardev.c
 */
#include "base/char/backend.h"
#include "base/error.h"
#include "base/open.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct PipeChardev {
    Chardev chardev;
    char *path;
    int keeper;                            /* the reading end of PATH.out that we hold, or -1 */
    FdStream stream;
} PipeChardev;

static void pipe_ended(Chardev *chardev)
{
    fd_stream_stop_input(&((PipeChardev *)chardev)->stream);
}

/* A FIFO opened for both directions never ends, so that writers may come and go. */
static bool pipe_open_pair(PipeChardev *pipe, int *in, int *out, GError **err)
{
    g_autofree char *in_path = g_strconcat(pipe->path, ".in", NULL);
    g_autofree char *out_path = g_strconcat(pipe->path, ".out", NULL);

    if (access(in_path, F_OK) != 0 && access(out_path, F_OK) != 0) {
        *in = *out = host_open("chardev pipe", pipe->path, O_RDWR | O_NONBLOCK | O_NOCTTY, 0, err);
        return *in >= 0;
    }
    *in = host_open("chardev pipe", in_path, O_RDWR | O_NONBLOCK | O_NOCTTY, 0, err);
    if (*in < 0) {
        return false;
    }
    pipe->keeper = open(out_path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    *out = host_open("chardev pipe", out_path, O_WRONLY | O_NONBLOCK | O_NOCTTY, 0, err);
    if (*out < 0) {
        close(*in);
        return false;
    }
    return true;
}

static bool pipe_open(Chardev *chardev, GError **err)
{
    PipeChardev *pipe = (PipeChardev *)chardev;
    int in, out;

    pipe->stream = (FdStream)FD_STREAM_NONE;
    pipe->keeper = -1;
    if (!pipe_open_pair(pipe, &in, &out, err)) {
        g_prefix_error(err, "chardev '%s': ", chardev->id);
        return false;
    }
    fd_stream_begin(&pipe->stream, chardev, in, out, pipe_ended);
    chardev->open = true;
    return true;
}

static void drop_keeper(PipeChardev *pipe)
{
    if (pipe->keeper >= 0) {
        close(pipe->keeper);
        pipe->keeper = -1;
    }
}

static void pipe_close(Chardev *chardev)
{
    PipeChardev *pipe = (PipeChardev *)chardev;

    drop_keeper(pipe);
    fd_stream_end(&pipe->stream);
}

static size_t pipe_write(Chardev *chardev, const uint8_t *data, size_t length)
{
    PipeChardev *pipe = (PipeChardev *)chardev;
    size_t done = fd_stream_write(&pipe->stream, data, length);

    if (done < length && pipe->keeper >= 0) {
        drop_keeper(pipe);
        done += fd_stream_write(&pipe->stream, data + done, length - done);
    }
    return done;
}

static void pipe_update_input(Chardev *chardev)
{
    fd_stream_update(&((PipeChardev *)chardev)->stream);
}

static const Field pipe_keys[] = {
    PROP_STR("path", PipeChardev, path, .required = true, .help = "FIFOs PATH.in and PATH.out, or one file for both"),
    FIELD_END };

const ChardevBackend pipe_backend = {
    .name = "pipe", .help = "a pair of FIFOs", .size = sizeof(PipeChardev), .keys = pipe_keys,
    .open = pipe_open, .close = pipe_close, .write = pipe_write, .update_input = pipe_update_input,
};
