/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * luks-slot.c - LUKS1 key slots: opened by a password, filled, erased
 *
 * A slot holds the master key, split (af.c) and encrypted with the image's own cipher under a key that PBKDF2 makes of password and
 * salt. Whether what comes out is the master key, the header's digest tells.
 *
 * Order on disk: key material is written and flushed before the header names it; an erased slot's material is overwritten and flushed
 * before the header forgets the slot, so that a cut of power leaves a slot that opens nothing, never a key that lies around.
 *
 * Threads  coroutines; what takes time runs on a worker
 * Tests    tests/block/crypto.c, luks.py
 */
#include "base/error.h"
#include "base/io-loop.h"
#include "base/random.h"
#include "block/crypto/luks.h"
#include <errno.h>
#include <string.h>

enum { MIN_ITERATIONS = 1000 };

static const char *const state_names[] = { "inactive", "active", NULL };
typedef struct Amend { int state, keyslot; char *new_secret, *old_secret; uint64_t iter_time; } Amend;
const Field luks_amend_options[] = {
    PROP_ENUM("state", Amend, state, state_names, -1, .help = "Select new state of affected keyslots (active/inactive)"),
    PROP_I32("keyslot", Amend, keyslot, -1, .help = "Select a single keyslot to modify explicitly"),
    PROP_STR("old-secret", Amend, old_secret, .help = "Select all keyslots that match this password"),
    PROP_STR("new-secret", Amend, new_secret, .help = "New secret to set in the matching keyslots. Empty string to erase"),
    PROP_U64("iter-time", Amend, iter_time, 0, .help = "Time to spend in PBKDF in milliseconds"),
    FIELD_END
};

static size_t material_bytes(const Luks *luks)
{
    return ((size_t)luks->key_bytes * LUKS_STRIPES + 511) / 512 * 512;
}

static uint8_t *material_new(const Luks *luks, const LuksStore *store, GError **err)
{
    uint8_t *material = g_try_malloc0(material_bytes(luks));

    if (!material) {
        fail(err, ENOMEM, "%s: no memory for a key slot", store->name);
    }
    return material;
}

static void material_free(const Luks *luks, uint8_t *material)
{
    if (material) {
        explicit_bzero(material, material_bytes(luks));
        g_free(material);
    }
}

/* ---- on a worker ---- */

typedef struct Job {
    const Luks *luks;
    const LuksSlot *slot;
    const Secret *password;
    uint8_t *material;
    LuksKey *key;
} Job;

static Crypt *slot_crypt(const Job *job)
{
    g_auto(LuksKey) derived;

    pbkdf2_derive(job->luks->hash, job->password->bytes, job->password->length, job->slot->salt, LUKS_SALT, job->slot->iterations,
                  derived.bytes, job->luks->key_bytes);
    return luks_crypt(job->luks, &derived, "slot", NULL);
}

static int digest_key(void *opaque)
{
    const Job *job = opaque;

    pbkdf2_derive(job->luks->hash, job->key->bytes, job->luks->key_bytes, job->luks->digest_salt, LUKS_SALT,
                  job->luks->digest_iterations, job->material, LUKS_DIGEST);
    return 0;
}

static int open_slot(void *opaque)
{
    const Job *job = opaque;
    const Luks *luks = job->luks;
    g_autoptr(Crypt) crypt = slot_crypt(job);
    uint8_t digest[LUKS_DIGEST];
    Job check = { luks, NULL, NULL, digest, job->key };

    if (!crypt) {
        return -EINVAL;
    }
    crypt_sectors(crypt, false, 0, job->material, material_bytes(luks));
    if (!af_merge(luks->hash, job->material, luks->key_bytes, job->slot->stripes, job->key->bytes)) {
        return -EINVAL;
    }
    digest_key(&check);
    return memcmp(digest, luks->digest, sizeof digest) == 0;
}

static int fill_slot(void *opaque)
{
    const Job *job = opaque;
    g_autoptr(Crypt) crypt = slot_crypt(job);

    if (!crypt || !af_split(job->luks->hash, job->key->bytes, job->luks->key_bytes, job->slot->stripes, job->material)) {
        return -EINVAL;
    }
    crypt_sectors(crypt, true, 0, job->material, material_bytes(job->luks));
    return 0;
}

typedef struct Count { HashName hash; size_t bytes; uint64_t milliseconds; uint32_t result; } Count;

static int count(void *opaque)
{
    Count *job = opaque;

    job->result = pbkdf2_iterations(job->hash, job->bytes, job->milliseconds, MIN_ITERATIONS, LUKS_MAX_ITERATIONS);
    return 0;
}

static uint32_t iterations_for(const Luks *luks, size_t bytes, uint64_t milliseconds)
{
    Count job = { luks->hash, bytes, milliseconds, 0 };

    co_work(count, &job);
    return job.result;
}

/* ---- slots ---- */

/* 1: this slot opens, 0: it does not, or -errno. */
static int try_slot(const Luks *luks, unsigned n, const LuksStore *store, const Secret *password, LuksKey *key, GError **err)
{
    uint8_t *material = material_new(luks, store, err);
    Job job = { luks, &luks->slots[n], password, material, key };
    int result;

    if (!material) {
        return -ENOMEM;
    }
    result = store->read(store->opaque, (uint64_t)luks->slots[n].sectors_at * 512, material, material_bytes(luks));
    if (result < 0) {
        fail(err, -result, "%s: reading key slot %u: %s", store->name, n, g_strerror(-result));
    } else {
        result = co_work(open_slot, &job);
        if (result < 0) {
            fail(err, -result, "%s: key slot %u cannot be decrypted", store->name, n);
        }
    }
    material_free(luks, material);
    return result;
}

bool luks_unlock(const Luks *luks, const LuksStore *store, const Secret *password, LuksKey *key, GError **err)
{
    for (unsigned n = 0; n < LUKS_SLOTS; n++) {
        int opened = luks->slots[n].active ? try_slot(luks, n, store, password, key, err) : 0;

        if (opened != 0) {
            return opened > 0;
        }
    }
    luks_key_wipe(key);
    return fail(err, EPERM, "Invalid password, cannot unlock any keyslot");
}

static bool set_slot(Luks *luks, unsigned n, const LuksStore *store, const Secret *password, const LuksKey *key, uint64_t iter_time,
                     GError **err)
{
    LuksSlot slot = luks->slots[n];
    uint8_t *material = material_new(luks, store, err);
    LuksKey copy = *key;
    Job job = { luks, &slot, password, material, &copy };
    int result;

    if (!material) {
        return false;
    }
    random_bytes(slot.salt, sizeof slot.salt);
    slot.iterations = iterations_for(luks, luks->key_bytes, iter_time);
    slot.active = true;
    result = co_work(fill_slot, &job);
    luks_key_wipe(&copy);
    if (result == 0) {
        result = store->write(store->opaque, (uint64_t)slot.sectors_at * 512, material, material_bytes(luks));
    }
    if (result >= 0) {
        result = store->flush(store->opaque);
    }
    material_free(luks, material);
    if (result < 0) {
        return fail(err, -result, "%s: writing key slot %u: %s", store->name, n, g_strerror(-result));
    }
    luks->slots[n] = slot;
    return true;
}

static bool erase_slot(Luks *luks, unsigned n, const LuksStore *store, GError **err)
{
    uint8_t *material = material_new(luks, store, err);
    LuksSlot *slot = &luks->slots[n];
    int result;

    if (!material) {
        return false;
    }
    random_bytes(material, material_bytes(luks));
    result = store->write(store->opaque, (uint64_t)slot->sectors_at * 512, material, material_bytes(luks));
    if (result >= 0) {
        result = store->flush(store->opaque);
    }
    material_free(luks, material);
    if (result < 0) {
        return fail(err, -result, "%s: erasing key slot %u: %s", store->name, n, g_strerror(-result));
    }
    slot->active = false;
    slot->iterations = 0;
    memset(slot->salt, 0, sizeof slot->salt);
    return luks_store(luks, store, err);
}

bool luks_create(Luks *luks, const LuksStore *store, const LuksOptions *options, LuksKey *key, GError **err)
{
    g_auto(Secret) password = { 0 };

    if (!secret_get_text(options->key_secret, &password, err)) {
        return false;
    }
    random_bytes(key->bytes, luks->key_bytes);
    random_bytes(luks->digest_salt, sizeof luks->digest_salt);
    luks->digest_iterations = iterations_for(luks, LUKS_DIGEST, MAX(options->iter_time / 8, 1));
    co_work(digest_key, &(Job){ luks, NULL, NULL, luks->digest, key });
    return set_slot(luks, 0, store, &password, key, options->iter_time, err) && luks_store(luks, store, err);
}

/* ---- amend ---- */

static bool amend_add(Luks *luks, const LuksStore *store, const Amend *amend, const LuksKey *key, bool force, GError **err)
{
    g_auto(Secret) password = { 0 };
    int n = amend->keyslot;

    if (!amend->new_secret) {
        return fail(err, EINVAL, "'new-secret' is required to activate a keyslot");
    }
    if (amend->old_secret) {
        return fail(err, EINVAL, "'old-secret' must not be given when activating keyslots");
    }
    if (n >= 0 && luks->slots[n].active && !force) {
        return fail(err, EEXIST, "Refusing to overwrite active keyslot %d - please erase it first", n);
    }
    for (int i = 0; n < 0 && i < LUKS_SLOTS; i++) {
        n = luks->slots[i].active ? -1 : i;
    }
    if (n < 0) {
        return fail(err, ENOSPC, "Can't add a keyslot - all keyslots are in use");
    }
    return secret_get_text(amend->new_secret, &password, err) &&
           set_slot(luks, (unsigned)n, store, &password, key, amend->iter_time ? amend->iter_time : 2000, err) &&
           luks_store(luks, store, err);
}

static unsigned active_slots(const Luks *luks)
{
    unsigned active = 0;

    for (unsigned n = 0; n < LUKS_SLOTS; n++) {
        active += luks->slots[n].active;
    }
    return active;
}

static bool amend_erase_matching(Luks *luks, const LuksStore *store, const Amend *amend, bool force, GError **err)
{
    g_auto(Secret) password = { 0 };
    g_auto(LuksKey) key;
    bool matches[LUKS_SLOTS] = { false };
    unsigned found = 0;

    if (!secret_get_text(amend->old_secret, &password, err)) {
        return false;
    }
    for (unsigned n = 0; n < LUKS_SLOTS; n++) {
        bool asked = luks->slots[n].active && (amend->keyslot < 0 || amend->keyslot == (int)n);
        int opened = asked ? try_slot(luks, n, store, &password, &key, err) : 0;

        if (opened < 0) {
            return false;
        }
        matches[n] = opened;
        found += (unsigned)opened;
    }
    if (found == 0) {
        return fail(err, EPERM, amend->keyslot < 0 ? "No keyslots match given (old) password for erase operation"
                                                   : "Given keyslot %d doesn't contain the given (old) password", amend->keyslot);
    }
    if (found == active_slots(luks) && !force) {
        return fail(err, EPERM, "All the active keyslots match the (old) password that was given and erasing them will erase all the data "
                    "in the image irreversibly - refusing operation");
    }
    for (unsigned n = 0; n < LUKS_SLOTS; n++) {
        if (matches[n] && !erase_slot(luks, n, store, err)) {
            return false;
        }
    }
    return true;
}

static bool amend_erase(Luks *luks, const LuksStore *store, const Amend *amend, bool force, GError **err)
{
    if (amend->new_secret) {
        return fail(err, EINVAL, "'new-secret' must not be given when erasing keyslots");
    }
    if (amend->iter_time) {
        return fail(err, EINVAL, "'iter-time' must not be given when erasing keyslots");
    }
    if (amend->old_secret) {
        return amend_erase_matching(luks, store, amend, force, err);
    }
    if (amend->keyslot < 0) {
        return fail(err, EINVAL, "To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be "
                    "given");
    }
    if (!luks->slots[amend->keyslot].active && !force) {
        return fail(err, EINVAL, "Given keyslot %d is already erased (inactive)", amend->keyslot);
    }
    if (luks->slots[amend->keyslot].active && active_slots(luks) == 1 && !force) {
        return fail(err, EPERM, "Attempt to erase the only active keyslot %d which will erase all the data in the image irreversibly - "
                    "refusing operation", amend->keyslot);
    }
    return erase_slot(luks, (unsigned)amend->keyslot, store, err);
}

bool luks_amend(Luks *luks, const LuksStore *store, const Value *options, const LuksKey *key, bool force, GError **err)
{
    Amend amend = { 0 };
    bool done = false;

    fields_init(luks_amend_options, &amend);
    if (!fields_set(luks_amend_options, &amend, store->name, options, NULL, err)) {
        goto out;
    }
    if (amend.state < 0) {
        fail(err, EINVAL, "Parameter 'state' is missing");
    } else if (amend.keyslot < -1 || amend.keyslot >= LUKS_SLOTS) {
        fail(err, EINVAL, "Invalid keyslot %d. Must be between 0 and %d", amend.keyslot, LUKS_SLOTS - 1);
    } else if (amend.state) {
        done = amend_add(luks, store, &amend, key, force, err);
    } else {
        done = amend_erase(luks, store, &amend, force, err);
    }
out:
    fields_clear(luks_amend_options, &amend);
    return done;
}
