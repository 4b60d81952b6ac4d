/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * luks.h - LUKS1 key management: for the format "luks", and for the header inside an encrypted qcow2 image
 *
 * Functions that read, write or derive keys are co: derivation runs on a worker thread.
 */
#pragma once
#include "base/field.h"
#include "base/secret.h"
#include "block/crypto/cipher.h"

enum { LUKS_SLOTS = 8, LUKS_HEADER_BYTES = 592, LUKS_STRIPES = 4000, LUKS_SALT = 32, LUKS_DIGEST = 20, LUKS_UUID = 40 };
#define LUKS_MAX_ITERATIONS (1u << 28)     /* of a header that is read: minutes of work, not hours */

typedef struct LuksSlot {
    bool active;
    uint32_t iterations, sectors_at, stripes;
    uint8_t salt[LUKS_SALT];
} LuksSlot;

typedef struct Luks {
    CryptSpec spec;
    HashName hash;
    uint32_t payload_sectors;              /* where the data begins */
    uint32_t key_bytes;
    uint8_t digest[LUKS_DIGEST], digest_salt[LUKS_SALT];
    uint32_t digest_iterations;
    char uuid[LUKS_UUID + 1];
    LuksSlot slots[LUKS_SLOTS];
} Luks;

typedef struct LuksStore {                 /* where header and key material are; 0 or -errno */
    int (*read)(void *opaque, uint64_t offset, void *data, size_t bytes);
    int (*write)(void *opaque, uint64_t offset, const void *data, size_t bytes);
    int (*flush)(void *opaque);
    void *opaque;
    uint64_t bytes;                        /* its size: nothing beyond is looked at */
    const char *name;                      /* for sentences */
} LuksStore;

typedef struct LuksKey { uint8_t bytes[CRYPT_MAX_KEY]; } LuksKey;
static inline void luks_key_wipe(LuksKey *key) { explicit_bzero(key, sizeof *key); }
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LuksKey, luks_key_wipe)

typedef struct LuksOptions {               /* -o keys of create */
    char *key_secret;
    int cipher_alg, cipher_mode, ivgen_alg, ivgen_hash_alg, hash_alg;          /* ivgen_hash_alg -1: not given */
    uint64_t iter_time;
} LuksOptions;
extern const Field luks_create_options[];
bool luks_options_parse(LuksOptions *out, const Value *options, const char *who, GError **err);
void luks_options_clear(LuksOptions *options);

bool luks_is_header(const uint8_t *head, size_t bytes);
/* A header with no active slot: offsets, cipher, no key yet. */
bool luks_plan(Luks *luks, const LuksOptions *options, const char *who, GError **err);
static inline uint64_t luks_payload(const Luks *luks) { return (uint64_t)luks->payload_sectors * 512; }
/* From the first LUKS_HEADER_BYTES, everything checked against store->bytes. */
bool luks_load(Luks *luks, const LuksStore *store, GError **err);              /* co */
bool luks_store(const Luks *luks, const LuksStore *store, GError **err);       /* co; the header alone */
/* The master key by a password, from whichever slot it opens. */
bool luks_unlock(const Luks *luks, const LuksStore *store, const Secret *password, LuksKey *key, GError **err);    /* co */
/* A new master key under the password of options, slot 0, header and material written. */
bool luks_create(Luks *luks, const LuksStore *store, const LuksOptions *options, LuksKey *key, GError **err);      /* co */
Crypt *luks_crypt(const Luks *luks, const LuksKey *key, const char *who, GError **err);

/* Key slots added and erased: {"state":"active"|"inactive","new-secret":...,"old-secret":...,"keyslot":...,"iter-time":...}. The key is
 * that of unlocking; force allows to erase the last one. co. */
extern const Field luks_amend_options[];
bool luks_amend(Luks *luks, const LuksStore *store, const Value *options, const LuksKey *key, bool force, GError **err);
/* QMP's ImageInfoSpecificLUKS, members only, in QEMU's order; format (may be NULL) is put in where qcow2's form has it. */
Value *luks_info(const Luks *luks, const char *format);

extern const struct NodeDriver luks_driver;  /* luks-driver.c */

/* af.c: a key spread over stripes such that all of them are needed (anti-forensic splitter). false: a key that is too long. */
bool af_split(HashName hash, const uint8_t *key, size_t key_bytes, uint32_t stripes, uint8_t *out);
bool af_merge(HashName hash, const uint8_t *material, size_t key_bytes, uint32_t stripes, uint8_t *key);
