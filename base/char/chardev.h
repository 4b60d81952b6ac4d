/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chardev.h - character streams: what a serial port, a monitor or a qtest session is plugged into
 *
 * One stream has at most one user (a mux gives each of its users a stream of its own).
 * All calls: main loop or a vCPU thread, machine lock held. Callbacks: main loop, machine lock held.
 */
#pragma once
#include "base/field.h"
#include "base/object.h"
#include "base/value.h"
#include <stddef.h>
#include <stdint.h>

typedef struct Chardev Chardev;            /* an Object of type "chardev-BACKEND" */

typedef enum {
    CHARDEV_OPENED,                        /* a peer connected (or the stream is simply there) */
    CHARDEV_CLOSED,
    CHARDEV_BREAK,
    CHARDEV_FOCUS_IN, CHARDEV_FOCUS_OUT,   /* mux */
    CHARDEV_WRITABLE,                      /* after a short chardev_write() */
} ChardevEvent;

typedef struct ChardevUser {
    size_t (*can_read)(void *opaque);                                 /* bytes the user will take now; 0 pauses input */
    void (*read)(void *opaque, const uint8_t *data, size_t length);   /* never more than can_read() said */
    void (*event)(void *opaque, ChardevEvent event);                  /* may be NULL */
    bool monitor;                          /* it controls the machine and is no device of it */
    void (*moved)(void *opaque, Chardev *now);     /* chardev_change() has attached it to now instead; NULL: it cannot move */
} ChardevUser;

/* config: an object of QEMU's -chardev keys: {"backend":"socket","id":"c0","path":"/x","server":true,"wait":false}.
 * The new stream hangs under /chardevs/ID; the caller owns one reference. NULL and *err on failure. */
Chardev *chardev_new(const Value *config, GError **err);
/* The same in no tree: nobody finds or lists it. Its maker frees it, and not inside a callback of it. */
Chardev *chardev_new_private(const Value *config, GError **err);
/* The same in the place of another stream, whose id and user it gets and which is closed; on failure nothing has changed. */
Chardev *chardev_change(Chardev *old, const Value *config, GError **err);
Chardev *chardev_find(const char *id);
void chardev_unref(Chardev *chardev);
void chardev_remove_all(void);             /* at the end of the process: every stream that is left, the newest first */
const char *chardev_id(const Chardev *chardev);
bool chardev_attach(Chardev *chardev, const ChardevUser *user, void *opaque, GError **err);   /* fails when in use */
void chardev_detach(Chardev *chardev);
/* Writes what the stream takes now and returns how much; the rest is the user's to keep until CHARDEV_WRITABLE.
 * A stream with nobody listening swallows everything, so a guest never stalls for a missing reader. */
size_t chardev_write(Chardev *chardev, const uint8_t *data, size_t length);
void chardev_accept_input(Chardev *chardev);                          /* can_read() would now say more */
void chardev_send_break(Chardev *chardev);
bool chardev_connected(const Chardev *chardev);
bool chardev_in_use(const Chardev *chardev);                          /* it has a user; of a mux: one of its ports has */
/* A device's guest may not have opened its end of the stream: query-chardev shows that, and a peer
 * that goes is missed at once, with what it left unread. Forgotten when the user goes. */
void chardev_set_user_away(Chardev *chardev, bool away);
bool chardev_user_away(const Chardev *chardev);
/* A UNIX socket's peer may send file descriptors along: the next one of its last message, the caller's from now on, or -1. */
int chardev_take_fd(Chardev *chardev);
/* For a user who must hear its peer even while the main loop waits in the middle of something: the descriptor that input comes from
 * (-1: there is none, or no peer), and "read what it has, as the loop would". */
int chardev_input_fd(const Chardev *chardev);
void chardev_read_now(Chardev *chardev);
/* The stream in a person's words, as query-chardev tells it: "pty:/dev/pts/3", "disconnected:unix:/x,server=on". Caller frees. */
char *chardev_describe(const Chardev *chardev);
/* Called on every way out of the process, signals included: restores terminals. Async-signal-safe. */
void chardev_restore_terminal(void);
extern const char *const chardev_backends[];                          /* NULL-terminated, for help */
/* The ring buffer's own access (QMP ringbuf-read/-write). */
size_t chardev_ringbuf_read(Chardev *chardev, uint8_t *out, size_t length);

/* chardev_unref() is for the maker: the stream leaves the tree and closes. A user only attaches and detaches.
 * A mux (mux=on with any backend) lends each caller of chardev_find() a port of its own, so users find it by id as they
 * find any other stream; the port attached last has the keyboard, and Ctrl-A c hands it on. */

/* The keys of a backend (NULL: there is no such backend), for help and for typing what a person wrote; id, mux, logfile
 * and logappend, which every backend takes, are in the second table. */
const Field *chardev_keys(const char *backend);
extern const Field chardev_common_keys[];
const char *chardev_backend_help(const char *backend);
/* Why a backend that other programs of this kind have is not here ("vc", "udp", ...), or NULL: a typing mistake. */
const char *chardev_backend_refusal(const char *backend);
/* During CHARDEV_FOCUS_IN: Ctrl-A c brought it, and not a user's coming or going. */
bool chardev_focus_asked(const Chardev *chardev);
bool chardev_is_shared(const Chardev *chardev);                       /* one user's share of a mux */
/* Ctrl-A x on a mux; called on the main loop. */
void chardev_on_quit(void (*quit)(void *opaque), void *opaque);
void chardev_set_escape(uint8_t key);                                 /* -echr; Ctrl-A (1) without */
/* After SIGCONT, or on the way back from the background: raw mode again. Main loop. */
void chardev_resume_terminal(void);
/* "/dev/pts/3", or NULL when it is not a pty. */
const char *chardev_pty_name(const Chardev *chardev);
/* The stream that a device has of that id, the mux's port of it where it is shared; NULL when no device has one. */
Chardev *chardev_of_device(const char *id);
/* Somebody who hears what the user writes, wherever it goes, and may type for the peer. Lent; NULL: nobody. */
typedef struct ChardevTap {
    void (*wrote)(void *opaque, const uint8_t *data, size_t length);  /* any thread, machine lock held */
    void (*wants)(void *opaque);           /* the user may take more of what is typed */
    void (*gone)(void *opaque);            /* the stream ends */
    void *opaque;
} ChardevTap;
void chardev_set_tap(Chardev *chardev, const ChardevTap *tap);
size_t chardev_type(Chardev *chardev, const uint8_t *data, size_t length);      /* how much of it the user took */
/* The last line that was written to it, without control characters: what to show when a guest did not end in time. */
char *chardev_last_line(const Chardev *chardev);
