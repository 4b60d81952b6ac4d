/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * objects.c - the one list of what -object makes: things that devices and drives name by an id
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "hw/objects.h"
#include "base/error.h"
#include "base/secret.h"
#include "block/filter/throttle-group.h"
#include "hw/virtio/iothread.h"
#include "hw/virtio/rng-source.h"
#include <errno.h>
#include <string.h>

static bool add_throttle_group(const Value *object, GError **err)
{
    g_autoptr(Value) keys = value_copy(object);

    value_remove(keys, "qom-type");
    value_remove(keys, "id");
    return throttle_group_new(value_get_string(object, "id", ""), keys, err);
}

static bool add_rng_builtin(const Value *object, GError **err)
{
    return rng_source_add(object, false, err);
}

static bool add_rng_random(const Value *object, GError **err)
{
    return rng_source_add(object, true, err);
}

const ObjectKind object_kinds[] = {
    { "iothread", "a thread that serves the queues of virtio disks", iothread_keys, iothread_add, iothread_remove },
    { "rng-builtin", "random bytes of the host's kernel, for virtio-rng", rng_builtin_keys, add_rng_builtin, rng_source_remove },
    { "rng-random", "random bytes out of a file, for virtio-rng", rng_random_keys, add_rng_random, rng_source_remove },
    { "secret", "a password or key: data=TEXT or file=PATH", secret_fields, secret_add, secret_remove },
    { "throttle-group", "limits of throughput that drives share", throttle_keys, add_throttle_group, throttle_group_delete },
    { .name = NULL },
};

/* What QEMU makes besides, so that a typing mistake and a missing feature are told apart. */
static const char *const elsewhere[] = {
    "authz-list", "authz-list-file", "authz-pam", "authz-simple", "can-bus", "can-host-socketcan", "colo-compare", "cryptodev-backend",
    "cryptodev-backend-builtin", "cryptodev-vhost-user", "dbus-vmstate", "filter-buffer", "filter-dump", "filter-mirror", "filter-redirector",
    "filter-replay", "filter-rewriter", "input-barrier", "input-linux", "main-loop", "memory-backend-epc", "memory-backend-file",
    "memory-backend-memfd", "memory-backend-ram", "pr-manager-helper", "qtest", "rng-egd", "secret_keyring", "sev-guest",
    "thread-context", "tls-cipher-suites", "tls-creds-anon", "tls-creds-psk", "tls-creds-x509", "x-remote-object", "x-vfio-user-server", NULL };

const ObjectKind *object_kind_find(const char *name, GError **err)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (const ObjectKind *kind = object_kinds; kind->name; kind++) {
        if (strcmp(kind->name, name) == 0) {
            return kind;
        }
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", kind->name);
    }
    if (g_strv_contains(elsewhere, name)) {
        fail(err, ENOTSUP, "objects of type '%s' are not supported; there are %s", name, names->str);
    } else {
        fail(err, ENOENT, "there is no object type '%s'; there are %s", name, names->str);
    }
    return NULL;
}

bool objects_add(const Value *list, GError **err)
{
    for (size_t i = 0; i < value_length(list); i++) {
        const Value *object = value_at(list, i);
        const ObjectKind *kind = object_kind_find(value_get_string(object, "qom-type", ""), err);
        if (!kind || !kind->add(object, err)) {
            if (value_origin(object)) {
                g_prefix_error(err, "%s: ", value_origin(object));
            }
            return false;
        }
    }
    return true;
}

void objects_remove_all(void)
{
    iothread_remove_all();
    rng_source_remove_all();
}
