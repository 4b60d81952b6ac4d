/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * luks.c - the LUKS1 header: read, checked, planned, written, shown
 *
 *     0  magic "LUKS" ba be     104  u32 payload offset (sectors)      168  UUID, 40 bytes of text
 *     6  u16 version 1          108  u32 key bytes                     208  8 key slots of 48 bytes:
 *     8  cipher name, 32        112  digest of the master key, 20             0  u32 active 00ac71f3, or 0000dead
 *    40  cipher mode, 32        132  its salt, 32                             4  u32 iterations
 *    72  hash, 32               164  u32 its iterations                       8  salt, 32
 *                                                                            40  u32 key material (sectors), 44  u32 stripes
 *
 * Big-endian. Key material: the master key, split into stripes (af.c), encrypted under the key derived from the password.
 *
 * Models   LUKS1 on-disk format 1.2.3, with QEMU's layout when it makes one: header and each slot's material begin at multiples of 4 KiB
 * Omits    LUKS2, headers apart from their data, sectors other than 512 bytes
 * Threads  coroutines
 * Tests    tests/block/crypto.c, luks.py, tests/fuzz/luks.c
 */
#include "block/crypto/luks.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/random.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SLOT_ACTIVE = 0x00ac71f3, SLOT_DEAD = 0x0000dead, SLOT_TABLE = 208, SLOT_BYTES = 48, NAME_BYTES = 32, ALIGN = 4096 };
static const uint8_t magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

static const struct { const char *name; CipherName first; unsigned count; } families[] = {
    { "aes", CIPHER_AES_128, 3 }, { "cast5", CIPHER_CAST5_128, 1 }, { "serpent", CIPHER_SERPENT_128, 3 },
    { "twofish", CIPHER_TWOFISH_128, 3 },
};

const Field luks_create_options[] = {
    PROP_STR("key-secret", LuksOptions, key_secret, .help = "ID of the secret that provides the keyslot passphrase"),
    PROP_ENUM("cipher-alg", LuksOptions, cipher_alg, cipher_names, CIPHER_AES_256, .help = "Name of encryption cipher algorithm"),
    PROP_ENUM("cipher-mode", LuksOptions, cipher_mode, cipher_mode_names, MODE_XTS, .help = "Name of encryption cipher mode"),
    PROP_ENUM("ivgen-alg", LuksOptions, ivgen_alg, iv_generator_names, IVGEN_PLAIN64, .help = "Name of IV generator algorithm"),
    PROP_ENUM("ivgen-hash-alg", LuksOptions, ivgen_hash_alg, hash_names, -1, .help = "Name of IV generator hash algorithm"),
    PROP_ENUM("hash-alg", LuksOptions, hash_alg, hash_names, HASH_SHA256, .help = "Name of encryption hash algorithm"),
    PROP_U64("iter-time", LuksOptions, iter_time, 2000, .help = "Time to spend in PBKDF in milliseconds"),
    FIELD_END
};

bool luks_options_parse(LuksOptions *out, const Value *options, const char *who, GError **err)
{
    memset(out, 0, sizeof *out);
    fields_init(luks_create_options, out);
    out->ivgen_hash_alg = -1;
    if (options && !fields_set(luks_create_options, out, who, options, NULL, err)) {
        return false;
    }
    if (!out->key_secret) {
        return fail(err, EINVAL, "Parameter 'key-secret' is required for cipher");
    }
    if (out->iter_time == 0 || out->iter_time > 600000) {
        return fail(err, EINVAL, "%s: iter-time must be 1 to 600000 milliseconds", who);
    }
    return true;
}

void luks_options_clear(LuksOptions *options)
{
    fields_clear(luks_create_options, options);
}

bool luks_is_header(const uint8_t *head, size_t bytes)
{
    return bytes >= 8 && memcmp(head, magic, sizeof magic) == 0 && load_be16(head + 6) == 1;
}

/* Key material is encrypted in whole sectors. */
static uint32_t material_sectors(const Luks *luks)
{
    return (luks->key_bytes * LUKS_STRIPES + 511) / 512;
}

bool luks_plan(Luks *luks, const LuksOptions *options, const char *who, GError **err)
{
    uint32_t sectors;
    uint8_t id[16];

    *luks = (Luks){
        .spec = { (CipherName)options->cipher_alg, (CipherMode)options->cipher_mode, (IvGenerator)options->ivgen_alg,
                  options->ivgen_hash_alg < 0 ? HASH_SHA256 : (HashName)options->ivgen_hash_alg },
        .hash = (HashName)options->hash_alg,
    };
    if (!crypto_available(err) || !crypt_check(&luks->spec, who, err)) {
        return false;
    }
    luks->key_bytes = (uint32_t)crypt_key_bytes(&luks->spec);
    sectors = (material_sectors(luks) * 512 + ALIGN - 1) / ALIGN * (ALIGN / 512);
    for (uint32_t i = 0; i < LUKS_SLOTS; i++) {
        luks->slots[i].sectors_at = ALIGN / 512 + i * sectors;
        luks->slots[i].stripes = LUKS_STRIPES;
    }
    luks->payload_sectors = ALIGN / 512 + LUKS_SLOTS * sectors;
    random_bytes(id, sizeof id);
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    snprintf(luks->uuid, sizeof luks->uuid, "%08x-%04x-%04x-%04x-%04x%08x", load_be32(id), load_be16(id + 4), load_be16(id + 6),
             load_be16(id + 8), load_be16(id + 10), load_be32(id + 12));
    return true;
}

/* ---- reading ---- */

/* A name field: ends with a zero, or it is refused. */
static bool name_field(const uint8_t *at, const char *what, const char *who, char out[NAME_BYTES], GError **err)
{
    if (!memchr(at, 0, NAME_BYTES)) {
        return fail(err, EINVAL, "%s: LUKS header %s is not NUL terminated", who, what);
    }
    memcpy(out, at, NAME_BYTES);
    for (const char *c = out; *c; c++) {
        if (!g_ascii_isprint(*c)) {
            return fail(err, EINVAL, "%s: LUKS header %s is not a name", who, what);
        }
    }
    return true;
}

static bool name_find(const char *const *names, const char *name, const char *what, const char *who, int *out, GError **err)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = i;
            return true;
        }
    }
    return fail(err, ENOTSUP, "%s: %s '%s' is not supported", who, what, name);
}

/* "xts-plain64", "cbc-essiv:sha256", "ecb": mode, generator, and its hash. */
static bool parse_mode(CryptSpec *spec, char *mode, const char *who, GError **err)
{
    char *ivgen = strchr(mode, '-'), *hash = strchr(mode, ':');
    int number;

    if (hash) {
        *hash++ = 0;
        if (!name_find(hash_names, hash, "IV generator hash", who, &number, err)) {
            return false;
        }
        spec->ivgen_hash = (HashName)number;
    }
    if (ivgen) {
        *ivgen++ = 0;
        if (!name_find(iv_generator_names, ivgen, "IV generator", who, &number, err)) {
            return false;
        }
        spec->ivgen = (IvGenerator)number;
    } else if (strcmp(mode, "ecb") != 0) {
        return fail(err, EINVAL, "%s: LUKS cipher mode '%s' names no IV generator", who, mode);
    }
    if (!name_find(cipher_mode_names, mode, "cipher mode", who, &number, err)) {
        return false;
    }
    spec->mode = (CipherMode)number;
    return spec->ivgen != IVGEN_ESSIV || hash || fail(err, EINVAL, "%s: IV generator essiv without a hash", who);
}

static bool parse_cipher(Luks *luks, const char *name, const char *who, GError **err)
{
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        for (unsigned n = 0; n < families[i].count && strcmp(families[i].name, name) == 0; n++) {
            luks->spec.cipher = families[i].first + n;
            if (crypt_key_bytes(&luks->spec) == luks->key_bytes) {
                return crypt_check(&luks->spec, who, err);
            }
        }
    }
    return fail(err, ENOTSUP, "%s: cipher '%s' with a key of %u bytes is not supported", who, name, luks->key_bytes);
}

static bool check_slot(const Luks *luks, unsigned n, const LuksStore *store, GError **err)
{
    const LuksSlot *slot = &luks->slots[n];
    uint64_t from = slot->sectors_at, sectors = material_sectors(luks);

    if (slot->stripes != LUKS_STRIPES) {
        return fail(err, EINVAL, "%s: Keyslot %u is corrupted (stripes %u != %d)", store->name, n, slot->stripes, LUKS_STRIPES);
    }
    if (from < 2 || (luks->payload_sectors && from + sectors > luks->payload_sectors)) {
        return fail(err, EINVAL, "%s: Keyslot %u is overlapping with the LUKS header or the payload", store->name, n);
    }
    if (!range_within(from * 512, sectors * 512, store->bytes) && slot->active) {
        return fail(err, EINVAL, "%s: Keyslot %u lies beyond the end", store->name, n);
    }
    if (slot->active && (slot->iterations == 0 || slot->iterations > LUKS_MAX_ITERATIONS)) {
        return fail(err, EINVAL, "%s: Keyslot %u wants %u PBKDF2 iterations, allowed are 1 to %u", store->name, n, slot->iterations,
                    LUKS_MAX_ITERATIONS);
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t other = luks->slots[i].sectors_at;

        if (from < other + sectors && other < from + sectors) {
            return fail(err, EINVAL, "%s: Keyslots %u and %u are overlapping", store->name, i, n);
        }
    }
    return true;
}

static bool parse_slots(Luks *luks, const uint8_t *head, const LuksStore *store, GError **err)
{
    for (unsigned n = 0; n < LUKS_SLOTS; n++) {
        const uint8_t *at = head + SLOT_TABLE + n * SLOT_BYTES;
        LuksSlot *slot = &luks->slots[n];
        uint32_t state = load_be32(at);

        if (state != SLOT_ACTIVE && state != SLOT_DEAD) {
            return fail(err, EINVAL, "%s: Keyslot %u state (active/disable) is corrupted: 0x%08x", store->name, n, state);
        }
        slot->active = state == SLOT_ACTIVE;
        slot->iterations = load_be32(at + 4);
        memcpy(slot->salt, at + 8, LUKS_SALT);
        slot->sectors_at = load_be32(at + 40);
        slot->stripes = load_be32(at + 44);
        if (!check_slot(luks, n, store, err)) {
            return false;
        }
    }
    return true;
}

bool luks_load(Luks *luks, const LuksStore *store, GError **err)
{
    uint8_t head[LUKS_HEADER_BYTES];
    char cipher[NAME_BYTES], mode[NAME_BYTES], hash[NAME_BYTES];
    int result, number;

    *luks = (Luks){ 0 };
    if (store->bytes < sizeof head) {
        return fail(err, EINVAL, "%s: %" G_GUINT64_FORMAT " bytes are too short for a LUKS header", store->name, store->bytes);
    }
    result = store->read(store->opaque, 0, head, sizeof head);
    if (result < 0) {
        return fail(err, -result, "%s: Unable to read LUKS header: %s", store->name, g_strerror(-result));
    }
    if (memcmp(head, magic, sizeof magic) != 0) {
        return fail(err, EINVAL, "%s: Volume is not in LUKS format", store->name);
    }
    if (load_be16(head + 6) != 1) {
        return fail(err, ENOTSUP, "%s: LUKS version %u is not supported, only 1 is", store->name, load_be16(head + 6));
    }
    luks->payload_sectors = load_be32(head + 104);
    luks->key_bytes = load_be32(head + 108);
    memcpy(luks->digest, head + 112, LUKS_DIGEST);
    memcpy(luks->digest_salt, head + 132, LUKS_SALT);
    luks->digest_iterations = load_be32(head + 164);
    memcpy(luks->uuid, head + 168, LUKS_UUID);
    if (!crypto_available(err) || !name_field(head + 8, "cipher name", store->name, cipher, err) ||
        !name_field(head + 40, "cipher mode", store->name, mode, err) || !name_field(head + 72, "hash algorithm", store->name, hash, err) ||
        !parse_mode(&luks->spec, mode, store->name, err) || !name_find(hash_names, hash, "hash", store->name, &number, err)) {
        return false;
    }
    luks->hash = (HashName)number;
    if (!parse_cipher(luks, cipher, store->name, err)) {
        return false;
    }
    if (luks->payload_sectors == 0) {
        return fail(err, ENOTSUP, "%s: a LUKS header apart from its data (payload offset 0) is not supported", store->name);
    }
    if (luks->payload_sectors < 2) {
        return fail(err, EINVAL, "%s: LUKS payload is overlapping with the header", store->name);
    }
    if (luks->digest_iterations == 0 || luks->digest_iterations > LUKS_MAX_ITERATIONS) {
        return fail(err, EINVAL, "%s: the LUKS header wants %u PBKDF2 iterations for the master key, allowed are 1 to %u", store->name,
                    luks->digest_iterations, LUKS_MAX_ITERATIONS);
    }
    return parse_slots(luks, head, store, err);
}

/* ---- writing, showing ---- */

bool luks_store(const Luks *luks, const LuksStore *store, GError **err)
{
    uint8_t head[LUKS_HEADER_BYTES] = { 0 };
    int result;

    memcpy(head, magic, sizeof magic);
    store_be16(head + 6, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        if (luks->spec.cipher >= families[i].first && luks->spec.cipher < families[i].first + families[i].count) {
            g_strlcpy((char *)head + 8, families[i].name, NAME_BYTES);
        }
    }
    if (luks->spec.ivgen == IVGEN_ESSIV) {
        snprintf((char *)head + 40, NAME_BYTES, "%s-essiv:%s", cipher_mode_names[luks->spec.mode], hash_names[luks->spec.ivgen_hash]);
    } else {
        snprintf((char *)head + 40, NAME_BYTES, "%s-%s", cipher_mode_names[luks->spec.mode], iv_generator_names[luks->spec.ivgen]);
    }
    g_strlcpy((char *)head + 72, hash_names[luks->hash], NAME_BYTES);
    store_be32(head + 104, luks->payload_sectors);
    store_be32(head + 108, luks->key_bytes);
    memcpy(head + 112, luks->digest, LUKS_DIGEST);
    memcpy(head + 132, luks->digest_salt, LUKS_SALT);
    store_be32(head + 164, luks->digest_iterations);
    memcpy(head + 168, luks->uuid, LUKS_UUID);
    for (unsigned n = 0; n < LUKS_SLOTS; n++) {
        uint8_t *at = head + SLOT_TABLE + n * SLOT_BYTES;

        store_be32(at, luks->slots[n].active ? SLOT_ACTIVE : SLOT_DEAD);
        store_be32(at + 4, luks->slots[n].iterations);
        memcpy(at + 8, luks->slots[n].salt, LUKS_SALT);
        store_be32(at + 40, luks->slots[n].sectors_at);
        store_be32(at + 44, luks->slots[n].stripes);
    }
    result = store->write(store->opaque, 0, head, sizeof head);
    result = result < 0 ? result : store->flush(store->opaque);
    return result >= 0 || fail(err, -result, "%s: Unable to write LUKS header: %s", store->name, g_strerror(-result));
}

Crypt *luks_crypt(const Luks *luks, const LuksKey *key, const char *who, GError **err)
{
    return crypt_new(&luks->spec, key->bytes, luks->key_bytes, who, err);
}

Value *luks_info(const Luks *luks, const char *format)
{
    Value *info = value_new_object(), *slots = value_new_list();

    value_set(info, "ivgen-alg", value_new_string(iv_generator_names[luks->spec.ivgen]));
    value_set(info, "hash-alg", value_new_string(hash_names[luks->hash]));
    value_set(info, "cipher-alg", value_new_string(cipher_names[luks->spec.cipher]));
    value_set(info, "uuid", value_new_string(luks->uuid));
    if (luks->spec.ivgen == IVGEN_ESSIV) {
        value_set(info, "ivgen-hash-alg", value_new_string(hash_names[luks->spec.ivgen_hash]));
    }
    if (format) {
        value_set(info, "format", value_new_string(format));
    }
    value_set(info, "cipher-mode", value_new_string(cipher_mode_names[luks->spec.mode]));
    for (unsigned n = 0; n < LUKS_SLOTS; n++) {
        Value *slot = value_new_object();

        value_set(slot, "active", value_new_bool(luks->slots[n].active));
        if (luks->slots[n].active) {
            value_set(slot, "iters", value_new_uint(luks->slots[n].iterations));
            value_set(slot, "key-offset", value_new_uint((uint64_t)luks->slots[n].sectors_at * 512));
            value_set(slot, "stripes", value_new_uint(luks->slots[n].stripes));
        } else {
            value_set(slot, "key-offset", value_new_uint((uint64_t)luks->slots[n].sectors_at * 512));
        }
        value_append(slots, slot);
    }
    value_set(info, "slots", slots);
    value_set(info, "payload-offset", value_new_uint(luks_payload(luks)));
    value_set(info, "master-key-iters", value_new_uint(luks->digest_iterations));
    return info;
}
