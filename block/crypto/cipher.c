/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cipher.c - sectors through a block cipher: ECB, CBC, CTR and XTS, with the initialization vectors of dm-crypt
 *
 * Models   IEEE 1619 (XTS: 16-byte tweaks, doubled in GF(2^128) from block to block), NIST SP 800-38A (ECB, CBC, CTR), ESSIV
 *          (the sector number under a key that is the hash of the key). The ciphers are nettle's
 * Omits    XTS with a last block that is not whole: sectors have whole blocks
 * Threads  any; a Crypt is not changed after crypt_new()
 * Tests    tests/block/crypto.c
 */
#include "block/crypto/cipher.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/io-loop.h"
#include <errno.h>
#include <string.h>
#ifdef HAVE_NETTLE
#include <nettle/cast128.h>
#include <nettle/cbc.h>
#include <nettle/ctr.h>
#include <nettle/nettle-meta.h>
#endif

enum { BLOCK = 16, WORKER_BYTES = 64 * 1024 };         /* from here on a worker costs less than keeping the loop waiting */

const char *const cipher_names[] = { "aes-128", "aes-192", "aes-256", "cast5-128", "serpent-128", "serpent-192", "serpent-256",
                                     "twofish-128", "twofish-192", "twofish-256", NULL };
const char *const cipher_mode_names[] = { "ecb", "cbc", "xts", "ctr", NULL };
const char *const iv_generator_names[] = { "plain", "plain64", "essiv", NULL };

static const size_t key_bytes_of[CIPHERS] = { 16, 24, 32, 16, 16, 24, 32, 16, 24, 32 };

size_t crypt_key_bytes(const CryptSpec *spec)
{
    return key_bytes_of[spec->cipher] * (spec->mode == MODE_XTS ? 2 : 1);
}

/* ESSIV uses the cipher's own family with a key as long as the hash. */
static bool essiv_cipher(const CryptSpec *spec, CipherName *out)
{
    CipherName first = spec->cipher <= CIPHER_AES_256 ? CIPHER_AES_128 : spec->cipher <= CIPHER_CAST5_128 ? CIPHER_CAST5_128
                       : spec->cipher <= CIPHER_SERPENT_256 ? CIPHER_SERPENT_128 : CIPHER_TWOFISH_128;
    unsigned count = first == CIPHER_CAST5_128 ? 0 : 3;

    for (unsigned i = 0; i < count; i++) {
        if (key_bytes_of[first + i] == hash_bytes(spec->ivgen_hash)) {
            *out = first + i;
            return true;
        }
    }
    return false;
}

bool crypt_check(const CryptSpec *spec, const char *what, GError **err)
{
    CipherName unused;

    if (spec->mode == MODE_XTS && spec->cipher == CIPHER_CAST5_128) {
        return fail(err, ENOTSUP, "%s: Unsupported cipher mode xts: it needs blocks of 16 bytes, cast5-128 has 8", what);
    }
    if (spec->ivgen == IVGEN_ESSIV && spec->mode != MODE_ECB && !essiv_cipher(spec, &unused)) {
        return fail(err, ENOTSUP, "%s: Cipher %s not supported with essiv and hash %s: it has no keys of %zu bytes", what,
                    cipher_names[spec->cipher], hash_names[spec->ivgen_hash], hash_bytes(spec->ivgen_hash));
    }
    return true;
}

#ifdef HAVE_NETTLE

struct Crypt {
    const struct nettle_cipher *cipher, *essiv_cipher;
    CipherMode mode;
    IvGenerator ivgen;
    void *encrypt, *decrypt, *tweak, *essiv;           /* key schedules */
};

/* nettle offers CAST-128 with keys of any length; ours has 16 bytes. */
static const struct nettle_cipher *const ciphers[CIPHERS] = {
    &nettle_aes128, &nettle_aes192, &nettle_aes256, &nettle_cast128, &nettle_serpent128, &nettle_serpent192, &nettle_serpent256,
    &nettle_twofish128, &nettle_twofish192, &nettle_twofish256,
};

bool crypto_available(GError **err G_GNUC_UNUSED)
{
    return true;
}

static void *schedule(const struct nettle_cipher *cipher, bool encrypt, const uint8_t *key)
{
    void *context = g_malloc0(cipher->context_size);

    (encrypt ? cipher->set_encrypt_key : cipher->set_decrypt_key)(context, key);
    return context;
}

static void schedule_free(void *context, const struct nettle_cipher *cipher)
{
    if (context) {
        explicit_bzero(context, cipher->context_size);
        g_free(context);
    }
}

Crypt *crypt_new(const CryptSpec *spec, const uint8_t *key, size_t key_bytes, const char *what, GError **err)
{
    Crypt *crypt;
    CipherName essiv;

    if (!crypt_check(spec, what, err)) {
        return NULL;
    }
    if (key_bytes != crypt_key_bytes(spec)) {
        fail(err, EINVAL, "%s: a key of %zu bytes where %s in mode %s takes %zu", what, key_bytes, cipher_names[spec->cipher],
             cipher_mode_names[spec->mode], crypt_key_bytes(spec));
        return NULL;
    }
    crypt = g_new0(Crypt, 1);
    crypt->cipher = ciphers[spec->cipher];
    crypt->mode = spec->mode;
    crypt->ivgen = spec->ivgen;
    crypt->encrypt = schedule(crypt->cipher, true, key);
    crypt->decrypt = schedule(crypt->cipher, false, key);
    if (spec->mode == MODE_XTS) {
        crypt->tweak = schedule(crypt->cipher, true, key + key_bytes / 2);
    }
    if (spec->ivgen == IVGEN_ESSIV && spec->mode != MODE_ECB && essiv_cipher(spec, &essiv)) {
        uint8_t salt[CRYPT_MAX_DIGEST];

        hash_compute(spec->ivgen_hash, key, key_bytes, salt);
        crypt->essiv_cipher = ciphers[essiv];
        crypt->essiv = schedule(crypt->essiv_cipher, true, salt);
        explicit_bzero(salt, sizeof salt);
    }
    return crypt;
}

void crypt_free(Crypt *crypt)
{
    if (crypt) {
        schedule_free(crypt->encrypt, crypt->cipher);
        schedule_free(crypt->decrypt, crypt->cipher);
        schedule_free(crypt->tweak, crypt->cipher);
        schedule_free(crypt->essiv, crypt->essiv_cipher);
        g_free(crypt);
    }
}

static void make_iv(const Crypt *crypt, uint64_t sector, uint8_t iv[BLOCK])
{
    memset(iv, 0, BLOCK);
    if (crypt->ivgen == IVGEN_PLAIN) {
        store_le32(iv, (uint32_t)sector);
    } else {
        store_le64(iv, sector);
    }
    if (crypt->ivgen == IVGEN_ESSIV) {
        crypt->essiv_cipher->encrypt(crypt->essiv, BLOCK, iv, iv);
    }
}

typedef struct Tweak { uint64_t low, high; } Tweak;

/* All of a sector's tweaks at once, so that the cipher sees blocks that do not depend on each other and interleaves them. */
static void xts_sector(const Crypt *crypt, bool encrypt, uint8_t iv[BLOCK], uint8_t *data)
{
    Tweak tweaks[CRYPT_SECTOR / BLOCK], tweak;

    crypt->cipher->encrypt(crypt->tweak, BLOCK, iv, iv);
    tweak = (Tweak){ load_le64(iv), load_le64(iv + 8) };
    for (size_t i = 0; i < CRYPT_SECTOR / BLOCK; i++) {
        uint64_t carry = (uint64_t)((int64_t)tweak.high >> 63) & 0x87;         /* x^128 = x^7 + x^2 + x + 1 */

        tweaks[i] = (Tweak){ htole64(tweak.low), htole64(tweak.high) };
        tweak = (Tweak){ tweak.low << 1 ^ carry, tweak.high << 1 | tweak.low >> 63 };
    }
    for (size_t i = 0; i < CRYPT_SECTOR; i += 8) {
        uint64_t word;

        memcpy(&word, data + i, 8);
        word ^= ((const uint64_t *)tweaks)[i / 8];
        memcpy(data + i, &word, 8);
    }
    (encrypt ? crypt->cipher->encrypt : crypt->cipher->decrypt)(encrypt ? crypt->encrypt : crypt->decrypt, CRYPT_SECTOR, data, data);
    for (size_t i = 0; i < CRYPT_SECTOR; i += 8) {
        uint64_t word;

        memcpy(&word, data + i, 8);
        word ^= ((const uint64_t *)tweaks)[i / 8];
        memcpy(data + i, &word, 8);
    }
}

static void sector_through(const Crypt *crypt, bool encrypt, uint64_t sector, uint8_t *data)
{
    const struct nettle_cipher *cipher = crypt->cipher;
    uint8_t iv[BLOCK];

    if (crypt->mode == MODE_ECB) {
        (encrypt ? cipher->encrypt : cipher->decrypt)(encrypt ? crypt->encrypt : crypt->decrypt, CRYPT_SECTOR, data, data);
        return;
    }
    make_iv(crypt, sector, iv);
    if (crypt->mode == MODE_XTS) {
        xts_sector(crypt, encrypt, iv, data);
    } else if (crypt->mode == MODE_CTR) {
        ctr_crypt(crypt->encrypt, cipher->encrypt, cipher->block_size, iv, CRYPT_SECTOR, data, data);
    } else if (encrypt) {
        cbc_encrypt(crypt->encrypt, cipher->encrypt, cipher->block_size, iv, CRYPT_SECTOR, data, data);
    } else {
        cbc_decrypt(crypt->decrypt, cipher->decrypt, cipher->block_size, iv, CRYPT_SECTOR, data, data);
    }
}

void crypt_sectors(const Crypt *crypt, bool encrypt, uint64_t sector, uint8_t *data, size_t bytes)
{
    for (size_t at = 0; at + CRYPT_SECTOR <= bytes; at += CRYPT_SECTOR) {
        sector_through(crypt, encrypt, sector++, data + at);
    }
}

#else /* without nettle: nobody gets a Crypt, so the others are never reached */

bool crypto_available(GError **err)
{
    return fail(err, ENOTSUP, "encryption is not built in: this build is without nettle");
}

Crypt *crypt_new(const CryptSpec *spec G_GNUC_UNUSED, const uint8_t *key G_GNUC_UNUSED, size_t key_bytes G_GNUC_UNUSED,
                 const char *what G_GNUC_UNUSED, GError **err)
{
    crypto_available(err);
    return NULL;
}

void crypt_free(Crypt *crypt G_GNUC_UNUSED)
{
}

void crypt_sectors(const Crypt *crypt G_GNUC_UNUSED, bool encrypt G_GNUC_UNUSED, uint64_t sector G_GNUC_UNUSED,
                   uint8_t *data G_GNUC_UNUSED, size_t bytes G_GNUC_UNUSED)
{
}

#endif

typedef struct Job { const Crypt *crypt; bool encrypt; uint64_t sector; uint8_t *data; size_t bytes; } Job;

static int work(void *opaque)
{
    const Job *job = opaque;

    crypt_sectors(job->crypt, job->encrypt, job->sector, job->data, job->bytes);
    return 0;
}

void crypt_sectors_co(const Crypt *crypt, bool encrypt, uint64_t sector, uint8_t *data, size_t bytes)
{
    Job job = { crypt, encrypt, sector, data, bytes };

    if (bytes < WORKER_BYTES) {
        work(&job);
    } else {
        co_work(work, &job);
    }
}
