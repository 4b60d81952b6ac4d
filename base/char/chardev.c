/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chardev.c - what all character streams share: their list, their one user, the log file, the last line
 *
 * Threads  writes: any, machine lock held; the rest: main loop, same lock
 * Tests    tests/unit/chardev.c
 */
#include "base/char/backend.h"
#include "base/error.h"
#include "base/open.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHARDEV_HOME "/chardevs"

/* The one list of backends. */
static const ChardevBackend *const backends[] = {
    &null_backend, &stdio_backend, &pty_backend, &file_backend, &pipe_backend, &socket_backend, &ringbuf_backend,
};
const char *const chardev_backends[] = { "null", "stdio", "pty", "file", "pipe", "socket", "ringbuf", NULL };
G_STATIC_ASSERT(G_N_ELEMENTS(chardev_backends) == G_N_ELEMENTS(backends) + 1);

static const struct { const char *name, *reason; } refusals[] = {
    { "vc", "there is no display yet" }, { "udp", "it is not supported yet" }, { "parallel", "there is no parallel port yet" },
    { "parport", "there is no parallel port yet" }, { "serial", "a serial port of the host is not supported yet" },
    { "tty", "a serial port of the host is not supported yet" }, { "msmouse", "it is not supported yet" },
    { "wctablet", "it is not supported yet" }, { "testdev", "it is not supported yet" }, { "braille", "it is not supported yet" },
    { "spicevmc", "there is no SPICE yet" }, { "spiceport", "there is no SPICE yet" }, { "qemu-vdagent", "there is no display yet" },
    { "dbus", "it is not supported yet" }, { "mux", "say mux=on with the backend to be shared" },
    { "memory", "it is called ringbuf" },
};

const Field chardev_common_keys[] = {
    PROP_BOOL("mux", Chardev, mux, false, .help = "several users share it; Ctrl-A h tells the keys"),
    PROP_STR("logfile", Chardev, logfile, .help = "file that gets a copy of the output"),
    PROP_BOOL("logappend", Chardev, logappend, false, .help = "keep what the log file holds and add to it"),
    FIELD_END };

static const ChardevBackend *backend_find(const char *name)
{
    for (size_t i = 0; name && i < G_N_ELEMENTS(backends); i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

const Field *chardev_keys(const char *name)
{
    const ChardevBackend *backend = backend_find(name);

    return backend ? backend->keys : NULL;
}

const char *chardev_backend_help(const char *name)
{
    const ChardevBackend *backend = backend_find(name);

    return backend ? backend->help : NULL;
}

const char *chardev_backend_refusal(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        if (strcmp(refusals[i].name, name) == 0) {
            return refusals[i].reason;
        }
    }
    return NULL;
}

static void chardev_finalize(Object *object)
{
    Chardev *chardev = (Chardev *)object;

    if (chardev->tap) {
        chardev->tap->gone(chardev->tap->opaque);
    }
    if (chardev->begun && chardev->backend->close) {
        chardev->backend->close(chardev);
    }
    if (chardev->log_fd >= 0) {
        close(chardev->log_fd);
    }
    fields_clear(chardev->backend->keys, chardev);
    fields_clear(chardev_common_keys, chardev);
    g_free(chardev->id);
    g_free(chardev);
}

Chardev *chardev_make(const ChardevBackend *backend, const char *id)
{
    Chardev *chardev = g_malloc0(backend->size);
    g_autofree char *type_name = g_strconcat("chardev-", backend->name, NULL);

    chardev->type = (ObjectType){ .name = g_intern_string(type_name), .parent = "chardev", .finalize = chardev_finalize };
    object_init(&chardev->object, &chardev->type);
    chardev->backend = backend;
    chardev->id = g_strdup(id);
    chardev->log_fd = -1;
    fields_init(backend->keys, chardev);
    fields_init(chardev_common_keys, chardev);
    return chardev;
}

/* The members without id and backend, in two objects: one for each table. */
static void split_keys(const Value *config, const Field *own, Value **common, Value **specific)
{
    *common = value_new_object();
    *specific = value_new_object();
    for (size_t i = 0; i < value_length(config); i++) {
        const char *key = value_key_at(config, i);
        if (strcmp(key, "id") == 0 || strcmp(key, "backend") == 0) {
            continue;
        }
        bool is_common = field_find(chardev_common_keys, key) && !field_find(own, key);
        value_set(is_common ? *common : *specific, key, value_ref(value_member_at(config, i)));
    }
}

static bool set_keys(Chardev *chardev, const Value *config, GError **err)
{
    g_autofree char *who = g_strdup_printf("chardev '%s'", chardev->id);
    g_autoptr(Value) common = NULL, specific = NULL;

    split_keys(config, chardev->backend->keys, &common, &specific);
    return fields_set(chardev_common_keys, chardev, who, common, NULL, err) &&
           fields_set(chardev->backend->keys, chardev, who, specific, NULL, err);
}

static bool open_log(Chardev *chardev, GError **err)
{
    if (!chardev->logfile) {
        return true;
    }
    int flags = O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | (chardev->logappend ? O_APPEND : O_TRUNC);
    chardev->log_fd = host_open("chardev logfile", chardev->logfile, flags, 0666, err);
    return chardev->log_fd >= 0;
}

static Chardev *chardev_lookup(const char *id)
{
    Object *home = object_container(CHARDEV_HOME);

    for (guint i = 0; home->children && i < home->children->len; i++) {
        Object *child = home->children->pdata[i];
        if (strcmp(child->name, id) == 0) {
            return (Chardev *)child;
        }
    }
    return NULL;
}

static const ChardevBackend *backend_of(const Value *config, const char *id, GError **err)
{
    const char *name = value_get_string(config, "backend", NULL);
    const ChardevBackend *backend = backend_find(name);

    if (!backend) {
        const char *refusal = name ? chardev_backend_refusal(name) : NULL;
        if (refusal) {
            fail(err, ENOTSUP, "chardev '%s': backend '%s' is refused: %s", id, name, refusal);
        } else {
            fail(err, EINVAL, "chardev '%s': there is no backend '%s'; '-chardev help' lists them", id, name ? name : "");
        }
    }
    return backend;
}

static bool begin(Chardev *chardev, GError **err)
{
    chardev->begun = true;
    return chardev->backend->open(chardev, err);
}

Chardev *chardev_new_private(const Value *config, GError **err)
{
    const char *id = value_get_string(config, "id", "");
    const ChardevBackend *backend = backend_of(config, id, err);

    if (!backend) {
        return NULL;
    }
    Chardev *chardev = chardev_make(backend, id);
    if (!set_keys(chardev, config, err) || !open_log(chardev, err) || !begin(chardev, err)) {
        object_unref(&chardev->object);
        return NULL;
    }
    return chardev;
}

Chardev *chardev_new(const Value *config, GError **err)
{
    const char *id = value_get_string(config, "id", NULL);

    if (!id) {
        fail(err, EINVAL, "a chardev needs id=NAME");
        return NULL;
    }
    if (backend_of(config, id, NULL) && chardev_lookup(id)) {
        fail(err, EEXIST, "chardev '%s': the id is taken; choose another id=", id);
        return NULL;
    }
    Chardev *chardev = chardev_new_private(config, err);
    if (!chardev) {
        return NULL;
    }
    g_autofree char *name = chardev->mux ? g_strconcat(id, "-base", NULL) : g_strdup(id);
    if (!object_add_child(object_container(CHARDEV_HOME), name, &chardev->object, err)) {
        object_unref(&chardev->object);
        return NULL;
    }
    if (!chardev->mux) {
        return chardev;
    }
    Chardev *shared = mux_new(chardev, id, err);
    if (shared && !object_add_child(object_container(CHARDEV_HOME), id, &shared->object, err)) {
        object_unref(&shared->object);
        return NULL;
    }
    return shared;
}

static void hand_over(Chardev *from, Chardev *to)
{
    const ChardevUser *user = from->user;
    void *opaque = from->opaque;
    bool was_open = from->open;

    if (user) {
        chardev_detach(from);
        user->moved(opaque, to);
        chardev_attach(to, user, opaque, NULL);
        if (was_open && !to->open && user->event) {
            user->event(opaque, CHARDEV_CLOSED);
        }
    }
}

Chardev *chardev_change(Chardev *old, const Value *config, GError **err)
{
    if (chardev_is_mux(old) || value_get_bool(config, "mux", false)) {
        fail(err, ENOTSUP, "Mux device hotswap not supported yet");
        return NULL;
    }
    if (old->user && !old->user->moved) {
        fail(err, ENOTSUP, "Chardev user does not support chardev hotswap");
        return NULL;
    }
    Chardev *chardev = chardev_new_private(config, err);
    if (chardev) {
        hand_over(old, chardev);
        g_autofree char *name = g_strdup(old->id);
        chardev_unref(old);
        object_add_child(object_container(CHARDEV_HOME), name, &chardev->object, NULL);      /* the name is free now */
    }
    return chardev;
}

Chardev *chardev_find(const char *id)
{
    Chardev *chardev = chardev_lookup(id);

    return chardev && chardev_is_mux(chardev) ? mux_lend_port(chardev) : chardev;
}

void chardev_unref(Chardev *chardev)
{
    if (chardev) {
        chardev->user = NULL;
        object_unparent(&chardev->object);
        object_unref(&chardev->object);
    }
}

void chardev_remove_all(void)
{
    Object *home = object_container(CHARDEV_HOME);

    while (home->children && home->children->len) {
        chardev_unref((Chardev *)home->children->pdata[home->children->len - 1]);
    }
}

const char *chardev_id(const Chardev *chardev)
{
    return chardev->id;
}

bool chardev_attach(Chardev *chardev, const ChardevUser *user, void *opaque, GError **err)
{
    if (chardev->user) {
        return fail(err, EBUSY, "chardev '%s' is already in use; give the other user a stream of its own, or share this one with mux=on",
                    chardev->id);
    }
    chardev->user = user;
    chardev->opaque = opaque;
    if (chardev->open && user->event) {
        user->event(opaque, CHARDEV_OPENED);
    }
    mux_user_came(chardev);
    chardev_accept_input(chardev);
    return true;
}

void chardev_detach(Chardev *chardev)
{
    chardev->user = NULL;
    chardev->opaque = NULL;
    chardev->writer_waits = chardev->user_away = false;
    chardev_accept_input(chardev);
}

static void remember(Chardev *chardev, const uint8_t *data, size_t length)
{
    size_t from = length > TAIL_BYTES ? length - TAIL_BYTES : 0;

    for (size_t i = from; i < length; i++) {
        chardev->tail[(chardev->written + i) % TAIL_BYTES] = data[i];
    }
    chardev->written += length;
}

size_t chardev_write(Chardev *chardev, const uint8_t *data, size_t length)
{
    size_t done = chardev->backend->write(chardev, data, length);

    remember(chardev, data, done);
    if (chardev->tap && done) {
        chardev->tap->wrote(chardev->tap->opaque, data, done);
    }
    if (chardev->log_fd >= 0 && write(chardev->log_fd, data, done) < 0 && errno != EAGAIN) {
        close(chardev->log_fd);            /* the disk is full, say: the guest goes on */
        chardev->log_fd = -1;
    }
    if (done < length) {
        chardev->writer_waits = true;
    }
    return done;
}

void chardev_accept_input(Chardev *chardev)
{
    if (chardev->backend->update_input) {
        chardev->backend->update_input(chardev);
    }
    if (chardev->tap && chardev->user) {
        chardev->tap->wants(chardev->tap->opaque);
    }
}

Chardev *chardev_of_device(const char *id)
{
    Chardev *chardev = chardev_lookup(id);

    if (chardev && chardev_is_mux(chardev)) {
        return mux_device_port(chardev);
    }
    return chardev && chardev->user && !chardev->user->monitor ? chardev : NULL;
}

void chardev_set_tap(Chardev *chardev, const ChardevTap *tap)
{
    chardev->tap = tap;
}

size_t chardev_type(Chardev *chardev, const uint8_t *data, size_t length)
{
    size_t taken = MIN(length, chardev_wanted(chardev));

    chardev_input(chardev, data, taken);
    return taken;
}

void chardev_send_break(Chardev *chardev)
{
    if (chardev->backend->send_break) {
        chardev->backend->send_break(chardev);
    }
}

bool chardev_connected(const Chardev *chardev)
{
    return chardev->open;
}

bool chardev_in_use(const Chardev *chardev)
{
    return chardev_is_mux(chardev) ? mux_in_use(chardev) : chardev->user != NULL;
}

void chardev_set_user_away(Chardev *chardev, bool away)
{
    if (chardev->user_away != away) {
        chardev->user_away = away;
        chardev_accept_input(chardev);
    }
}

bool chardev_user_away(const Chardev *chardev)
{
    return chardev->user_away;
}

int chardev_take_fd(Chardev *chardev)
{
    Chardev *base = (Chardev *)mux_base(chardev);

    return base->backend->take_fd ? base->backend->take_fd(base) : -1;
}

int chardev_input_fd(const Chardev *chardev)
{
    return chardev->backend->input_fd ? chardev->backend->input_fd(chardev) : -1;
}

void chardev_read_now(Chardev *chardev)
{
    if (chardev->backend->read_now) {
        chardev->backend->read_now(chardev);
    }
}

char *chardev_describe(const Chardev *chardev)
{
    const Chardev *base = mux_base(chardev);

    return base->backend->describe ? base->backend->describe(base) : g_strdup(base->backend->name);
}

size_t chardev_wanted(Chardev *chardev)
{
    return chardev->user && chardev->user->can_read ? chardev->user->can_read(chardev->opaque) : 0;
}

void chardev_input(Chardev *chardev, const uint8_t *data, size_t length)
{
    if (chardev->user && length) {
        chardev->user->read(chardev->opaque, data, length);
    }
}

void chardev_now_writable(Chardev *chardev)
{
    if (chardev->writer_waits) {
        chardev->writer_waits = false;
        if (chardev->user && chardev->user->event) {
            chardev->user->event(chardev->opaque, CHARDEV_WRITABLE);
        }
    }
}

void chardev_event(Chardev *chardev, ChardevEvent event)
{
    if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED) {
        chardev->open = event == CHARDEV_OPENED;
    }
    if (chardev->user && chardev->user->event) {
        chardev->user->event(chardev->opaque, event);
    }
    if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED) {
        chardev_now_writable(chardev);     /* to the new peer, or into nothing: either way no longer stuck */
    }
}

/* Walks back over trailing line ends to the line before them. */
char *chardev_last_line(const Chardev *shared)
{
    const Chardev *chardev = mux_base(shared);
    size_t kept = MIN(chardev->written, TAIL_BYTES);
    GString *line = g_string_new(NULL);

    for (size_t i = 0; i < kept; i++) {
        uint8_t byte = chardev->tail[(chardev->written - 1 - i) % TAIL_BYTES];
        if (byte == '\n' && line->len) {
            break;
        }
        if (byte >= 0x20 && byte < 0x7f) {
            g_string_prepend_c(line, (char)byte);
        }
    }
    return g_string_free(line, FALSE);
}
