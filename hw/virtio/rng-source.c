/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rng-source.c - the objects rng-builtin (the host's random bytes) and rng-random (a file that gives some)
 *
 * Omits    rng-egd
 * Threads  main loop, machine lock held
 * Tests    tests/dev/virtio.c
 */
#include "hw/virtio/rng-source.h"
#include "base/error.h"
#include "base/object.h"
#include "base/open.h"
#include "base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct RngSource {
    Object object;
    char *id, *filename;
    bool random;
    int fd;                                /* of rng-random; never waits */
    unsigned users;
};

static GPtrArray *sources;                 /* RngSource *, those with an id */

const Field rng_builtin_keys[] = {
    PROP_STR("id", RngSource, id, .required = true, .help = "the name that devices use: rng=ID"),
    FIELD_END };
const Field rng_random_keys[] = {
    PROP_STR("id", RngSource, id, .required = true, .help = "the name that devices use: rng=ID"),
    PROP_STR("filename", RngSource, filename, .preset_text = "/dev/urandom", .help = "where the bytes are read from"),
    FIELD_END };

static void source_finalize(Object *object)
{
    RngSource *source = (RngSource *)object;

    if (source->fd >= 0) {
        close(source->fd);
    }
    g_free(source->id);
    g_free(source->filename);
    g_free(source);
}

static const ObjectType builtin_type = { .name = "rng-builtin", .parent = "rng-backend", .finalize = source_finalize, .props = rng_builtin_keys };
static const ObjectType random_type = { .name = "rng-random", .parent = "rng-backend", .finalize = source_finalize, .props = rng_random_keys };

static RngSource *find(const char *id)
{
    for (guint i = 0; sources && i < sources->len; i++) {
        RngSource *source = sources->pdata[i];
        if (strcmp(source->id, id) == 0) {
            return source;
        }
    }
    return NULL;
}

static RngSource *source_new(bool random)
{
    RngSource *source = g_new0(RngSource, 1);

    object_init(&source->object, random ? &random_type : &builtin_type);
    fields_init(random ? rng_random_keys : rng_builtin_keys, source);
    source->random = random;
    source->fd = -1;
    return source;
}

static bool open_source(RngSource *source, GError **err)
{
    if (!source->random) {
        return true;
    }
    source->fd = host_open("rng-random", source->filename, O_RDONLY | O_NONBLOCK, 0, err);
    return source->fd >= 0;
}

bool rng_source_add(const Value *options, bool random, GError **err)
{
    static const char *const own[] = { "qom-type", "driver", NULL };
    RngSource *source = source_new(random);
    bool ok = fields_set(random ? rng_random_keys : rng_builtin_keys, source, random ? "object 'rng-random'" : "object 'rng-builtin'",
                         options, own, err);

    if (ok && find(source->id)) {
        ok = fail(err, EEXIST, "object '%s': the id is taken; choose another id=", source->id);
    }
    if (!ok || !open_source(source, err) || !object_add_child(object_container("/objects"), source->id, &source->object, err)) {
        object_unref(&source->object);
        return false;
    }
    sources = sources ? sources : g_ptr_array_new();
    g_ptr_array_add(sources, source);
    return true;
}

static void take_away(RngSource *source)
{
    g_ptr_array_remove(sources, source);
    object_unparent(&source->object);
    object_unref(&source->object);
}

bool rng_source_remove(const char *id, GError **err)
{
    RngSource *source = find(id);

    if (!source) {
        return fail(err, ENOENT, "object '%s' not found", id);
    }
    if (source->users) {
        return fail(err, EBUSY, "object '%s' is in use by %u device%s", id, source->users, source->users == 1 ? "" : "s");
    }
    take_away(source);
    return true;
}

void rng_source_remove_all(void)
{
    while (sources && sources->len) {
        take_away(sources->pdata[sources->len - 1]);
    }
}

RngSource *rng_source_for_device(const char *id, const char *device, GError **err)
{
    RngSource *source;

    if (!id || !*id) {
        source = source_new(false);
        source->users = 1;
        return source;
    }
    source = find(id);
    if (!source) {
        fail(err, ENOENT, "device '%s': rng=%s: there is no such object; add -object rng-random,id=%s", device, id, id);
        return NULL;
    }
    source->users++;
    object_ref(&source->object);
    return source;
}

void rng_source_unref(RngSource *source)
{
    source->users--;
    object_unref(&source->object);
}

size_t rng_source_read(RngSource *source, void *bytes, size_t length)
{
    if (!source->random) {
        random_bytes(bytes, length);
        return length;
    }
    ssize_t got = read(source->fd, bytes, length);
    return got > 0 ? (size_t)got : 0;
}
