/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * backend.h - inside base/char: what a backend is, and what the core does for it
 *
 * A backend is a constant ChardevBackend at the end of its file, named in chardev.c's list. Its struct begins with
 * Chardev; its keys are a Field table over that struct, filled in before open().
 */
#pragma once
#include "base/char/chardev.h"
#include "base/field.h"
#include "base/loop.h"

enum { TAIL_BYTES = 256, FDS_MOST = 16 };

typedef struct ChardevBackend {
    const char *name, *help;
    size_t size;                           /* of the struct that begins with Chardev */
    const Field *keys;                     /* its own; the common ones are chardev_common_keys */
    bool (*open)(Chardev *chardev, GError **err);
    void (*close)(Chardev *chardev);       /* also after a failed open(); may be NULL */
    /* Takes what it can now; what it could not take is announced later by chardev_now_writable(). */
    size_t (*write)(Chardev *chardev, const uint8_t *data, size_t length);
    void (*update_input)(Chardev *chardev);    /* a user came, went, or takes more; may be NULL */
    void (*send_break)(Chardev *chardev);      /* may be NULL */
    int (*take_fd)(Chardev *chardev);          /* chardev_take_fd(); NULL: it carries none */
    int (*input_fd)(const Chardev *chardev);   /* chardev_input_fd() and chardev_read_now(); NULL: never one */
    void (*read_now)(Chardev *chardev);
    char *(*describe)(const Chardev *chardev); /* what query-chardev calls its filename; NULL: the backend's name */
} ChardevBackend;

struct Chardev {
    Object object;
    ObjectType type;                       /* what object.type points at, made from the backend */
    const ChardevBackend *backend;
    char *id;
    const ChardevUser *user;
    void *opaque;
    const ChardevTap *tap;                 /* NULL: nobody listens */
    bool begun;                            /* open() was called, so close() must be */
    bool open;                             /* somebody is there */
    bool writer_waits;                     /* a write came up short: CHARDEV_WRITABLE is owed */
    bool user_away;                        /* chardev_set_user_away() */
    bool mux, logappend;
    char *logfile;
    int log_fd;
    uint8_t tail[TAIL_BYTES];              /* of what was written, a ring */
    uint64_t written;
};

extern const ChardevBackend null_backend, ringbuf_backend, file_backend, pipe_backend, stdio_backend, pty_backend,
                            socket_backend;

/* chardev.c. The three below call into the user, who may do anything but free the stream. */
size_t chardev_wanted(Chardev *chardev);                              /* what the user takes now; 0 without a user */
void chardev_input(Chardev *chardev, const uint8_t *data, size_t length);
void chardev_event(Chardev *chardev, ChardevEvent event);             /* OPENED and CLOSED also set .open */
void chardev_now_writable(Chardev *chardev);
Chardev *chardev_make(const ChardevBackend *backend, const char *id);     /* defaults filled in, not open, in no tree */

/* mux.c */
Chardev *mux_new(Chardev *base, const char *id, GError **err);        /* takes over the maker's reference on base */
bool chardev_is_mux(const Chardev *chardev);
Chardev *mux_lend_port(Chardev *mux);
const Chardev *mux_base(const Chardev *chardev);       /* what a mux or a port of it writes to; any other stream itself */
bool mux_in_use(const Chardev *mux);
Chardev *mux_device_port(Chardev *mux);    /* whose user is no monitor; NULL */
void mux_user_came(Chardev *chardev);      /* nothing unless it is a port of a mux */

/* fd-stream.c: a pair of file descriptors in the loop, for all backends that have them. */
typedef struct FdStream {
    Chardev *owner;
    int in, out;                           /* -1: none */
    bool in_socket, out_socket, may_block; /* may_block: could not be made non-blocking */
    bool terminal;                         /* of this process: not read while in the background */
    LoopWatch *in_watch, *out_watch;
    int fds[FDS_MOST];                     /* that came with the last message that brought some; the user takes them */
    unsigned first_fd, fd_count;
    void (*ended)(Chardev *owner);         /* end of input, or an error */
} FdStream;
#define FD_STREAM_NONE { .in = -1, .out = -1 }
void fd_stream_begin(FdStream *stream, Chardev *owner, int in, int out, void (*ended)(Chardev *owner));
void fd_stream_end(FdStream *stream);                                 /* leaves the loop and closes both; harmless twice */
void fd_stream_leave(FdStream *stream);                               /* the loop only */
void fd_stream_stop_input(FdStream *stream);
void fd_stream_update(FdStream *stream);                              /* chardev_wanted() may have changed */
size_t fd_stream_write(FdStream *stream, const uint8_t *data, size_t length);
int fd_stream_take_fd(FdStream *stream);
void fd_stream_read_now(FdStream *stream);
bool fd_set_nonblocking(int fd);

/* terminal.c: raw mode of the process's terminal; one owner at a time. */
void terminal_claim(int fd, bool signals);
void terminal_release(void);
void terminal_resume(void);                /* raw mode again, unless in the background */
bool terminal_in_background(int fd);       /* reading now would stop the process */
