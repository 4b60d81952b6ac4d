/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mux.c - one stream for several users: all of them are heard, one has the keyboard
 *
 * Ctrl-A (or -echr's key) begins a command: h help, x quit, s save, b break, c next user, t time stamps, and the key
 * itself once more sends it. What is typed ahead for a busy user waits in its port, so that the commands work meanwhile.
 *
 * Threads  writes: any, machine lock held; the rest: main loop, same lock
 * Tests    tests/unit/chardev.c
 */
#include "base/char/backend.h"
#include "base/error.h"
#include "base/timer.h"
#include <errno.h>
#include <string.h>

enum { MUX_PORTS = 4, MUX_TYPED_AHEAD = 512 };

typedef struct MuxChardev MuxChardev;
typedef struct MuxPort {
    Chardev chardev;
    MuxChardev *mux;
    uint8_t typed[MUX_TYPED_AHEAD];
    unsigned first, count;
} MuxPort;

struct MuxChardev {
    Chardev chardev;
    Chardev *base;
    MuxPort *ports[MUX_PORTS];
    unsigned port_count;
    MuxPort *focus;
    bool escaped;                          /* the last key was the escape key */
    bool asked;                            /* the focus moves because somebody pressed a key */
    bool stamps, line_start;
    int64_t stamps_since;
};

static uint8_t escape_key = 1;
static struct { void (*quit)(void *opaque); void *opaque; } quit_key;

void chardev_set_escape(uint8_t key)
{
    escape_key = key;
}

void chardev_on_quit(void (*quit)(void *opaque), void *opaque)
{
    quit_key.quit = quit;
    quit_key.opaque = opaque;
}

static void say(MuxChardev *mux, const char *text)
{
    chardev_write(mux->base, (const uint8_t *)text, strlen(text));
}

static void print_help(MuxChardev *mux)
{
    g_autofree char *key = escape_key >= 1 && escape_key <= 26 ? g_strdup_printf("C-%c", 'a' + escape_key - 1)
                                                               : g_strdup_printf("key 0x%02x", escape_key);
    g_autofree char *text = g_strdup_printf(
        "\r\n%1$s h    this help\r\n%1$s x    quit Roost\r\n%1$s s    write snapshot disks back to their files\r\n"
        "%1$s t    time stamps on or off\r\n%1$s b    send a break\r\n%1$s c    on to the next: console, monitor, ...\r\n"
        "%1$s %1$s  send %1$s itself\r\n", key);
    say(mux, text);
}

static void deliver(MuxPort *port)
{
    size_t wanted;

    while (port->count && (wanted = chardev_wanted(&port->chardev)) > 0) {
        uint8_t chunk[MUX_TYPED_AHEAD];
        unsigned length = MIN(MIN(wanted, port->count), MUX_TYPED_AHEAD - port->first);
        memcpy(chunk, port->typed + port->first, length);
        port->first = (port->first + length) % MUX_TYPED_AHEAD;
        port->count -= length;
        chardev_input(&port->chardev, chunk, length);
    }
}

static void set_focus(MuxChardev *mux, MuxPort *port)
{
    if (mux->focus == port) {
        if (port && mux->asked) {          /* its only user: it may have something to say all the same */
            chardev_event(&port->chardev, CHARDEV_FOCUS_IN);
        }
        return;
    }
    if (mux->focus) {
        chardev_event(&mux->focus->chardev, CHARDEV_FOCUS_OUT);
    }
    mux->focus = port;
    if (port) {
        chardev_event(&port->chardev, CHARDEV_FOCUS_IN);
        deliver(port);
    }
}

static void focus_next(MuxChardev *mux)
{
    unsigned at = 0;

    while (at < mux->port_count && mux->ports[at] != mux->focus) {
        at++;
    }
    for (unsigned step = 1; step <= mux->port_count; step++) {
        MuxPort *port = mux->ports[(at + step) % mux->port_count];
        if (port->chardev.user) {
            set_focus(mux, port);
            return;
        }
    }
}

static void toggle_stamps(MuxChardev *mux)
{
    mux->stamps = !mux->stamps;
    mux->line_start = false;
    mux->stamps_since = clock_now(CLOCK_STEADY);
}

/* The key after the escape key. Returns true when it is to be sent on. */
static bool command_key(MuxChardev *mux, uint8_t key)
{
    if (key == escape_key) {
        return true;
    }
    switch (key) {
    case 'h': case '?':
        print_help(mux);
        return false;
    case 'x':
        say(mux, "Roost: terminated\r\n");
        if (quit_key.quit) {
            quit_key.quit(quit_key.opaque);
        }
        return false;
    case 's':
        say(mux, "\r\nno disk runs with snapshot=on: there is nothing to write back\r\n");
        return false;
    case 'b':
        if (mux->focus) {
            chardev_event(&mux->focus->chardev, CHARDEV_BREAK);
        }
        return false;
    case 'c':
        mux->asked = true;
        focus_next(mux);
        mux->asked = false;
        return false;
    case 't':
        toggle_stamps(mux);
        return false;
    default:
        return false;
    }
}

static size_t mux_can_read(void *opaque)
{
    MuxChardev *mux = opaque;

    return mux->focus ? MUX_TYPED_AHEAD - mux->focus->count : MUX_TYPED_AHEAD;
}

static void mux_read(void *opaque, const uint8_t *data, size_t length)
{
    MuxChardev *mux = opaque;

    for (size_t i = 0; i < length; i++) {
        if (!mux->escaped && data[i] == escape_key) {
            mux->escaped = true;
            if (mux->focus) {
                deliver(mux->focus);       /* what came before a command goes to who had the keyboard then */
            }
            continue;
        }
        bool sends = !mux->escaped || command_key(mux, data[i]);
        mux->escaped = false;
        MuxPort *port = mux->focus;
        if (sends && port && port->count < MUX_TYPED_AHEAD) {
            port->typed[(port->first + port->count++) % MUX_TYPED_AHEAD] = data[i];
        }
    }
    if (mux->focus) {
        deliver(mux->focus);
    }
}

static void mux_event(void *opaque, ChardevEvent event)
{
    MuxChardev *mux = opaque;

    for (unsigned i = 0; i < mux->port_count; i++) {
        Chardev *port = &mux->ports[i]->chardev;
        if (event == CHARDEV_WRITABLE) {
            chardev_now_writable(port);
        } else if (event != CHARDEV_BREAK || mux->ports[i] == mux->focus) {
            chardev_event(port, event);
        }
    }
}

static const ChardevUser mux_user = { mux_can_read, mux_read, mux_event };

/* Each line begins with the time since the stamps were asked for. */
static size_t write_stamped(MuxChardev *mux, const uint8_t *data, size_t length)
{
    size_t done = 0;

    while (done < length) {
        if (mux->line_start) {
            int64_t ms = (clock_now(CLOCK_STEADY) - mux->stamps_since) / NS_PER_MS;
            g_autofree char *stamp = g_strdup_printf("[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000), (int)(ms / 60000 % 60),
                                                     (int)(ms / 1000 % 60), (int)(ms % 1000));
            say(mux, stamp);
            mux->line_start = false;
        }
        const uint8_t *end = memchr(data + done, '\n', length - done);
        size_t part = end ? (size_t)(end - (data + done)) + 1 : length - done;
        size_t put = chardev_write(mux->base, data + done, part);
        done += put;
        if (put < part) {
            break;
        }
        mux->line_start = end != NULL;
    }
    return done;
}

static size_t port_write(Chardev *chardev, const uint8_t *data, size_t length)
{
    MuxChardev *mux = ((MuxPort *)chardev)->mux;

    return mux->stamps ? write_stamped(mux, data, length) : chardev_write(mux->base, data, length);
}

/* A user came (it gets the keyboard), went (the next one gets it), or takes more. */
static void port_update_input(Chardev *chardev)
{
    MuxPort *port = (MuxPort *)chardev;
    MuxChardev *mux = port->mux;

    if (!chardev->user && mux->focus == port) {
        mux->focus = NULL;
        focus_next(mux);
    } else if (mux->focus == port) {
        deliver(port);
    }
    chardev_accept_input(mux->base);
}

static void port_send_break(Chardev *chardev)
{
    chardev_send_break(((MuxPort *)chardev)->mux->base);
}

static const Field no_keys[] = { FIELD_END };

static const ChardevBackend port_backend = {
    .name = "mux-port", .help = "one user's share of a mux", .size = sizeof(MuxPort), .keys = no_keys,
    .write = port_write, .update_input = port_update_input, .send_break = port_send_break,
};

static void mux_close(Chardev *chardev)
{
    MuxChardev *mux = (MuxChardev *)chardev;

    if (mux->base) {
        chardev_detach(mux->base);
    }
    for (unsigned i = 0; i < mux->port_count; i++) {
        mux->ports[i]->chardev.user = NULL;
        object_unref(&mux->ports[i]->chardev.object);
    }
    if (mux->base) {
        chardev_unref(mux->base);
    }
}

static const ChardevBackend mux_backend = {
    .name = "mux", .help = "one stream for several users", .size = sizeof(MuxChardev), .keys = no_keys, .close = mux_close,
};

bool chardev_is_mux(const Chardev *chardev)
{
    return chardev->backend == &mux_backend;
}

bool mux_in_use(const Chardev *chardev)
{
    const MuxChardev *mux = (const MuxChardev *)chardev;

    for (unsigned i = 0; i < mux->port_count; i++) {
        if (mux->ports[i]->chardev.user) {
            return true;
        }
    }
    return false;
}

Chardev *mux_device_port(Chardev *chardev)
{
    const MuxChardev *mux = (const MuxChardev *)chardev;

    for (unsigned i = 0; i < mux->port_count; i++) {
        const ChardevUser *user = mux->ports[i]->chardev.user;
        if (user && !user->monitor) {
            return &mux->ports[i]->chardev;
        }
    }
    return NULL;
}

Chardev *mux_new(Chardev *base, const char *id, GError **err)
{
    MuxChardev *mux = (MuxChardev *)chardev_make(&mux_backend, id);

    mux->chardev.begun = true;
    mux->base = base;
    mux->chardev.open = base->open;
    if (!chardev_attach(base, &mux_user, mux, err)) {
        object_unref(&mux->chardev.object);
        return NULL;
    }
    return &mux->chardev;
}

/* A port nobody uses; with all in use the first is lent, and attaching to it says so. */
Chardev *mux_lend_port(Chardev *chardev)
{
    MuxChardev *mux = (MuxChardev *)chardev;

    for (unsigned i = 0; i < mux->port_count; i++) {
        if (!mux->ports[i]->chardev.user) {
            return &mux->ports[i]->chardev;
        }
    }
    if (mux->port_count == MUX_PORTS) {
        return &mux->ports[0]->chardev;
    }
    MuxPort *port = (MuxPort *)chardev_make(&port_backend, chardev->id);
    port->mux = mux;
    port->chardev.open = mux->base->open;
    mux->ports[mux->port_count++] = port;
    return &port->chardev;
}

void mux_user_came(Chardev *chardev)
{
    if (chardev->backend == &port_backend) {
        set_focus(((MuxPort *)chardev)->mux, (MuxPort *)chardev);
    }
}

bool chardev_focus_asked(const Chardev *chardev)
{
    return chardev->backend == &port_backend && ((const MuxPort *)chardev)->mux->asked;
}

bool chardev_is_shared(const Chardev *chardev)
{
    return chardev->backend == &port_backend;
}

const Chardev *mux_base(const Chardev *chardev)
{
    if (chardev->backend == &port_backend) {
        return ((const MuxPort *)chardev)->mux->base;
    }
    return chardev->backend == &mux_backend ? ((const MuxChardev *)chardev)->base : chardev;
}
