/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * digest.c - hashes and PBKDF2
 *
 * Models   RFC 8018 (PBKDF2 with HMAC, RFC 2104). The hashes are nettle's
 * Threads  any
 * Tests    tests/block/crypto.c
 */
#include "block/crypto/cipher.h"
#include <string.h>
#include <time.h>
#ifdef HAVE_NETTLE
#include <nettle/hmac.h>
#include <nettle/nettle-meta.h>
#include <nettle/pbkdf2.h>
#endif

const char *const hash_names[] = { "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160", NULL };
static const uint8_t digest_bytes[] = { 16, 20, 28, 32, 48, 64, 20 };

size_t hash_bytes(HashName hash)
{
    return digest_bytes[hash];
}

#ifdef HAVE_NETTLE

enum { CONTEXT_MOST = 256 };               /* bytes; SHA-512's, the largest, has 216 */

typedef struct Mac {
    const struct nettle_hash *hash;
    _Alignas(16) uint8_t outer[CONTEXT_MOST], inner[CONTEXT_MOST], state[CONTEXT_MOST];
} Mac;

static const struct nettle_hash *hash_of(HashName hash)
{
    static const struct nettle_hash *const hashes[] = { &nettle_md5, &nettle_sha1, &nettle_sha224, &nettle_sha256, &nettle_sha384,
                                                        &nettle_sha512, &nettle_ripemd160 };

    return hashes[hash];
}

static void mac_update(void *opaque, size_t bytes, const uint8_t *data)
{
    Mac *mac = opaque;

    hmac_update(mac->state, mac->hash, bytes, data);
}

static void mac_digest(void *opaque, size_t bytes, uint8_t *out)
{
    Mac *mac = opaque;

    hmac_digest(mac->outer, mac->inner, mac->state, mac->hash, bytes, out);
}

void hash_compute(HashName name, const void *data, size_t bytes, uint8_t *out)
{
    const struct nettle_hash *hash = hash_of(name);
    _Alignas(16) uint8_t context[CONTEXT_MOST];

    hash->init(context);
    hash->update(context, bytes, data);
    hash->digest(context, hash->digest_size, out);
    explicit_bzero(context, sizeof context);
}

void pbkdf2_derive(HashName hash, const uint8_t *password, size_t password_bytes, const uint8_t *salt, size_t salt_bytes,
                   uint32_t iterations, uint8_t *out, size_t out_bytes)
{
    Mac mac = { .hash = hash_of(hash) };

    hmac_set_key(mac.outer, mac.inner, mac.state, mac.hash, password_bytes, password);
    pbkdf2(&mac, mac_update, mac_digest, mac.hash->digest_size, iterations, salt_bytes, salt, out_bytes, out);
    explicit_bzero(&mac, sizeof mac);
}

#else /* never reached: crypto_available() says no */

void hash_compute(HashName name, const void *data G_GNUC_UNUSED, size_t bytes G_GNUC_UNUSED, uint8_t *out)
{
    memset(out, 0, hash_bytes(name));
}

void pbkdf2_derive(HashName hash G_GNUC_UNUSED, const uint8_t *password G_GNUC_UNUSED, size_t password_bytes G_GNUC_UNUSED,
                   const uint8_t *salt G_GNUC_UNUSED, size_t salt_bytes G_GNUC_UNUSED, uint32_t iterations G_GNUC_UNUSED, uint8_t *out,
                   size_t out_bytes)
{
    memset(out, 0, out_bytes);
}

#endif

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Doubles the work until it takes long enough to be measured. The wall clock will do: on a busy host the password then becomes
 * cheaper to try than was asked for, which is why the callers have a floor; processor time is too coarse in some containers. */
uint32_t pbkdf2_iterations(HashName hash, size_t out_bytes, uint64_t milliseconds, uint32_t least, uint32_t most)
{
    uint8_t out[CRYPT_MAX_KEY];
    uint64_t iterations = 1024;
    int64_t took = 0;
    double wanted;

    for (; iterations <= most; iterations *= 2) {
        int64_t began = now_ns();

        pbkdf2_derive(hash, (const uint8_t *)"password", 8, (const uint8_t *)"salt", 4, (uint32_t)iterations, out,
                      MIN(out_bytes, sizeof out));
        took = now_ns() - began;
        if (took >= 25 * 1000 * 1000) {
            break;
        }
    }
    wanted = (double)iterations * ((double)milliseconds * 1e6) / (double)MAX(took, 1);
    return wanted < least ? least : wanted > most ? most : (uint32_t)wanted;
}
