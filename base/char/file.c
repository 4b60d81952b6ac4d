/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.c - output into a file, and optionally input out of another
 *
 * Tests    tests/unit/chardev.c
 */
#include "base/char/backend.h"
#include "base/error.h"
#include "base/open.h"
#include <errno.h>
#include <fcntl.h>

typedef struct FileChardev {
    Chardev chardev;
    char *path, *input_path;
    bool append;
    FdStream stream;
} FileChardev;

static void file_ended(Chardev *chardev)
{
    fd_stream_stop_input(&((FileChardev *)chardev)->stream);
}

static bool file_open(Chardev *chardev, GError **err)
{
    FileChardev *file = (FileChardev *)chardev;
    int in = -1;

    file->stream = (FdStream)FD_STREAM_NONE;
    /* Non-blocking matters when the path is a FIFO or a terminal. */
    int out = host_open("chardev file", file->path, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | (file->append ? O_APPEND : O_TRUNC), 0666, err);
    if (out < 0) {
        return false;
    }
    if (file->input_path) {
        in = host_open("chardev file", file->input_path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
    }
    fd_stream_begin(&file->stream, chardev, in, out, file_ended);
    chardev->open = in >= 0 || !file->input_path;
    return chardev->open;
}

static void file_close(Chardev *chardev)
{
    fd_stream_end(&((FileChardev *)chardev)->stream);
}

static size_t file_write(Chardev *chardev, const uint8_t *data, size_t length)
{
    return fd_stream_write(&((FileChardev *)chardev)->stream, data, length);
}

static void file_update_input(Chardev *chardev)
{
    fd_stream_update(&((FileChardev *)chardev)->stream);
}

static const Field file_keys[] = {
    PROP_STR("path", FileChardev, path, .required = true, .help = "file that takes the output"),
    PROP_BOOL("append", FileChardev, append, false, .help = "keep what the file holds and add to it"),
    PROP_STR("input-path", FileChardev, input_path, .help = "file that gives the input"),
    FIELD_END };

const ChardevBackend file_backend = {
    .name = "file", .help = "output into a file", .size = sizeof(FileChardev), .keys = file_keys,
    .open = file_open, .close = file_close, .write = file_write, .update_input = file_update_input,
};
