/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * af.c - LUKS's anti-forensic splitter: a key spread over many stripes, so that losing any of them loses the key
 *
 * Models   LUKS1 on-disk format 1.2.3, chapter 2.4: stripes 1 to n-1 are random, d(0) = 0, d(k) = H(d(k-1) ^ stripe(k)), and the last
 *          stripe is d(n-1) ^ key. H hashes each digest-sized piece with its number before it
 * Threads  any
 * Tests    tests/block/crypto.c
 */
#include "base/bytes.h"
#include "base/random.h"
#include "block/crypto/luks.h"
#include <string.h>

/* H: piece i becomes hash(i, piece), cut to the piece's size. */
static void diffuse(HashName hash, uint8_t *block, size_t bytes)
{
    uint8_t in[4 + CRYPT_MAX_DIGEST], out[CRYPT_MAX_DIGEST];
    size_t piece = hash_bytes(hash);

    for (uint32_t i = 0; i * piece < bytes; i++) {
        size_t at = i * piece, length = MIN(piece, bytes - at);

        store_be32(in, i);
        memcpy(in + 4, block + at, length);
        hash_compute(hash, in, 4 + length, out);
        memcpy(block + at, out, length);
    }
    explicit_bzero(in, sizeof in);
    explicit_bzero(out, sizeof out);
}

static void xor_into(uint8_t *to, const uint8_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        to[i] ^= from[i];
    }
}

bool af_split(HashName hash, const uint8_t *key, size_t key_bytes, uint32_t stripes, uint8_t *out)
{
    uint8_t block[CRYPT_MAX_KEY] = { 0 };

    if (key_bytes > sizeof block || stripes == 0) {
        return false;
    }
    for (uint32_t i = 0; i + 1 < stripes; i++) {
        random_bytes(out + i * key_bytes, key_bytes);
        xor_into(block, out + i * key_bytes, key_bytes);
        diffuse(hash, block, key_bytes);
    }
    xor_into(block, key, key_bytes);
    memcpy(out + (size_t)(stripes - 1) * key_bytes, block, key_bytes);
    explicit_bzero(block, sizeof block);
    return true;
}

bool af_merge(HashName hash, const uint8_t *material, size_t key_bytes, uint32_t stripes, uint8_t *key)
{
    uint8_t block[CRYPT_MAX_KEY] = { 0 };

    if (key_bytes > sizeof block || stripes == 0) {
        return false;
    }
    for (uint32_t i = 0; i + 1 < stripes; i++) {
        xor_into(block, material + i * key_bytes, key_bytes);
        diffuse(hash, block, key_bytes);
    }
    xor_into(block, material + (size_t)(stripes - 1) * key_bytes, key_bytes);
    memcpy(key, block, key_bytes);
    explicit_bzero(block, sizeof block);
    return true;
}
