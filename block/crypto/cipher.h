/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cipher.h - block ciphers over sectors of 512 bytes, hashes and key derivation, as disk encryption uses them
 *
 * Everything here computes only: any thread, no waiting. A Crypt does not change once it is made, so several threads use it at
 * once. Names are LUKS's and QEMU's. In a build without nettle crypt_new() and crypto_available() refuse.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CRYPT_SECTOR = 512, CRYPT_MAX_KEY = 64, CRYPT_MAX_DIGEST = 64 };

typedef enum { CIPHER_AES_128, CIPHER_AES_192, CIPHER_AES_256, CIPHER_CAST5_128, CIPHER_SERPENT_128, CIPHER_SERPENT_192,
               CIPHER_SERPENT_256, CIPHER_TWOFISH_128, CIPHER_TWOFISH_192, CIPHER_TWOFISH_256, CIPHERS } CipherName;
typedef enum { MODE_ECB, MODE_CBC, MODE_XTS, MODE_CTR } CipherMode;
typedef enum { IVGEN_PLAIN, IVGEN_PLAIN64, IVGEN_ESSIV } IvGenerator;
typedef enum { HASH_MD5, HASH_SHA1, HASH_SHA224, HASH_SHA256, HASH_SHA384, HASH_SHA512, HASH_RIPEMD160 } HashName;
extern const char *const cipher_names[], *const cipher_mode_names[], *const iv_generator_names[], *const hash_names[];

typedef struct CryptSpec {
    CipherName cipher;
    CipherMode mode;
    IvGenerator ivgen;
    HashName ivgen_hash;                   /* of ESSIV */
} CryptSpec;

bool crypto_available(GError **err);       /* false with a sentence: this build has no cryptography */
size_t crypt_key_bytes(const CryptSpec *spec);         /* XTS takes two keys of the cipher */
/* Combinations that do not exist are refused by a sentence; which `what` begins. */
bool crypt_check(const CryptSpec *spec, const char *what, GError **err);

typedef struct Crypt Crypt;
Crypt *crypt_new(const CryptSpec *spec, const uint8_t *key, size_t key_bytes, const char *what, GError **err);
void crypt_free(Crypt *crypt);             /* wipes; NULL is ignored */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Crypt, crypt_free)
/* In place; bytes is a multiple of CRYPT_SECTOR; sector counts these for the initialization vectors. */
void crypt_sectors(const Crypt *crypt, bool encrypt, uint64_t sector, uint8_t *data, size_t bytes);
/* co: the same, on a worker thread when it is long. */
void crypt_sectors_co(const Crypt *crypt, bool encrypt, uint64_t sector, uint8_t *data, size_t bytes);

size_t hash_bytes(HashName hash);
void hash_compute(HashName hash, const void *data, size_t bytes, uint8_t *out);
void pbkdf2_derive(HashName hash, const uint8_t *password, size_t password_bytes, const uint8_t *salt, size_t salt_bytes,
                   uint32_t iterations, uint8_t *out, size_t out_bytes);
/* How many iterations for an output of so many bytes fit into the time; at least `least`, at most `most`. Takes some 100 ms. */
uint32_t pbkdf2_iterations(HashName hash, size_t out_bytes, uint64_t milliseconds, uint32_t least, uint32_t most);
