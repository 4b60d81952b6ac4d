/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fd-stream.c - a pair of file descriptors as a character stream
 *
 * Reads only what the user takes, so that flow control reaches the peer; writes without waiting. An error while
 * writing swallows the bytes: a peer that went away must not hold up a guest.
 *
 * Threads  writes: any, machine lock held; the rest: main loop, same lock
 * Tests    tests/unit/chardev.c
 */
#include "base/char/backend.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK = 4096, CAUTIOUS_CHUNK = 512 };

bool fd_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static bool is_socket(int fd)
{
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

static void drop_fds(FdStream *stream)
{
    int fd;

    while ((fd = fd_stream_take_fd(stream)) >= 0) {
        close(fd);
    }
}

int fd_stream_take_fd(FdStream *stream)
{
    return stream->first_fd < stream->fd_count ? stream->fds[stream->first_fd++] : -1;
}

/* A message that brings descriptors replaces what nobody took of an earlier one; what is too much is closed at once. */
static void keep_fds(FdStream *stream, struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS || part->cmsg_len < CMSG_LEN(sizeof(int))) {
            continue;
        }
        drop_fds(stream);
        stream->first_fd = 0;
        stream->fd_count = (unsigned)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(stream->fds, CMSG_DATA(part), stream->fd_count * sizeof(int));
    }
}

static ssize_t receive(FdStream *stream, uint8_t *buffer, size_t length)
{
    union {
        char bytes[CMSG_SPACE(FDS_MOST * sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct iovec piece = { buffer, length };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    ssize_t got = recvmsg(stream->in, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (got > 0 && message.msg_controllen) {
        keep_fds(stream, &message);
    }
    return got;
}

static ssize_t take(FdStream *stream, uint8_t *buffer, size_t length)
{
    ssize_t got;

    do {
        got = stream->in_socket ? receive(stream, buffer, length) : read(stream->in, buffer, length);
    } while (got < 0 && errno == EINTR);
    return got;
}

static bool has_reader(const Chardev *owner)
{
    return owner->user && !owner->user_away;
}

static void input_ready(void *opaque, int fd, GIOCondition condition)
{
    FdStream *stream = opaque;
    Chardev *owner = stream->owner;
    uint8_t buffer[READ_CHUNK];
    size_t wanted = MIN(chardev_wanted(owner), sizeof buffer);

    if (wanted == 0) {
        if (!has_reader(owner) && (condition & (G_IO_HUP | G_IO_ERR))) {
            stream->ended(owner);          /* nobody would miss what is unread */
        } else {
            fd_stream_update(stream);
        }
        return;
    }
    if (stream->terminal && terminal_in_background(fd)) {
        loop_watch_change(stream->in_watch, 0);
        return;
    }
    ssize_t got = take(stream, buffer, wanted);
    if (got > 0) {
        object_ref(&owner->object);        /* the user may let go of its stream while it reads */
        chardev_input(owner, buffer, got);
        object_unref(&owner->object);
    } else if (got == 0 || errno != EAGAIN) {
        stream->ended(owner);
    }
}

void fd_stream_read_now(FdStream *stream)
{
    if (stream->in_watch) {
        input_ready(stream, stream->in, G_IO_IN);
    }
}

static void output_ready(void *opaque, int fd, GIOCondition condition)
{
    FdStream *stream = opaque;

    (void)fd;
    (void)condition;
    loop_unwatch(stream->out_watch);
    stream->out_watch = NULL;
    chardev_now_writable(stream->owner);
}

void fd_stream_begin(FdStream *stream, Chardev *owner, int in, int out, void (*ended)(Chardev *owner))
{
    *stream = (FdStream){ .owner = owner, .in = in, .out = out, .ended = ended,
                          .in_socket = is_socket(in), .out_socket = is_socket(out) };
    if (in >= 0) {
        stream->in_watch = loop_watch(in, 0, input_ready, stream);
        fd_stream_update(stream);
    }
}

void fd_stream_stop_input(FdStream *stream)
{
    loop_unwatch(stream->in_watch);
    stream->in_watch = NULL;
}

void fd_stream_leave(FdStream *stream)
{
    fd_stream_stop_input(stream);
    loop_unwatch(stream->out_watch);
    stream->out_watch = NULL;
}

void fd_stream_end(FdStream *stream)
{
    fd_stream_leave(stream);
    drop_fds(stream);
    if (stream->in >= 0) {
        close(stream->in);
    }
    if (stream->out >= 0 && stream->out != stream->in) {
        close(stream->out);
    }
    stream->in = stream->out = -1;
}

/* A user that is full is asked again when it says so; without one that reads only a hang-up is of interest. */
void fd_stream_update(FdStream *stream)
{
    if (stream->in_watch) {
        GIOCondition condition = !has_reader(stream->owner) ? G_IO_HUP : chardev_wanted(stream->owner) ? G_IO_IN | G_IO_HUP : 0;
        loop_watch_change(stream->in_watch, condition);
    }
}

static ssize_t put(FdStream *stream, const uint8_t *data, size_t length)
{
    if (stream->out_socket) {
        return send(stream->out, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (stream->may_block) {
        struct pollfd room = { .fd = stream->out, .events = POLLOUT };
        if (poll(&room, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
        length = MIN(length, CAUTIOUS_CHUNK);
    }
    return write(stream->out, data, length);
}

size_t fd_stream_write(FdStream *stream, const uint8_t *data, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t put_now = put(stream, data + done, length - done);
        if (put_now >= 0) {
            done += put_now;
        } else if (errno == EAGAIN) {
            if (!stream->out_watch) {
                stream->out_watch = loop_watch(stream->out, G_IO_OUT, output_ready, stream);
            }
            return done;
        } else if (errno != EINTR) {
            return length;                 /* the peer is gone; its input side will say so */
        }
    }
    return length;
}
