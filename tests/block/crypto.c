/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crypto.c - published vectors of ciphers, modes, hashes; LUKS headers made, opened, amended, and broken ones
 *
 * The sums of CBC, CTR and ECB are of what `openssl enc` makes of the same key and vector.
 */
#include "base/bytes.h"
#include "base/io-loop.h"
#include "base/json.h"
#include "block/crypto/luks.h"
#include <errno.h>
#include <string.h>

static void hex(const char *text, uint8_t *out)
{
    for (size_t i = 0; text[2 * i]; i++) {
        out[i] = (uint8_t)(g_ascii_xdigit_value(text[2 * i]) << 4 | g_ascii_xdigit_value(text[2 * i + 1]));
    }
}

static void check_hex(const uint8_t *bytes, const char *text)
{
    uint8_t expected[512];

    hex(text, expected);
    g_assert_cmpmem(bytes, strlen(text) / 2, expected, strlen(text) / 2);
}

static void check_sum(const uint8_t *bytes, size_t length, const char *sum)
{
    uint8_t digest[32];

    hash_compute(HASH_SHA256, bytes, length, digest);
    check_hex(digest, sum);
}

static void counting(uint8_t *out, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)i;
    }
}

/* IEEE 1619-2007, annex B, vectors 4 and 10. */
static void xts_vectors(void)
{
    static const struct { CipherName cipher; const char *key; uint64_t sector; const char *begins; } rows[] = {
        { CIPHER_AES_128, "2718281828459045235360287471352631415926535897932384626433832795", 0,
          "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c" },
        { CIPHER_AES_256, "2718281828459045235360287471352662497757247093699959574966967627"
          "3141592653589793238462643383279502884197169399375105820974944592", 0xff,
          "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        CryptSpec spec = { rows[i].cipher, MODE_XTS, IVGEN_PLAIN64, HASH_SHA256 };
        uint8_t key[64], data[512], plain[512];
        g_autoptr(Crypt) crypt = NULL;

        hex(rows[i].key, key);
        counting(data, sizeof data);
        counting(plain, sizeof plain);
        crypt = crypt_new(&spec, key, strlen(rows[i].key) / 2, "test", NULL);
        g_assert_nonnull(crypt);
        crypt_sectors(crypt, true, rows[i].sector, data, sizeof data);
        check_hex(data, rows[i].begins);
        crypt_sectors(crypt, false, rows[i].sector, data, sizeof data);
        g_assert_cmpmem(data, sizeof data, plain, sizeof plain);
    }
}

static void mode_vectors(void)
{
    static const struct { CryptSpec spec; const char *sum; } rows[] = {
        { { CIPHER_AES_256, MODE_CBC, IVGEN_PLAIN64, 0 }, "181b187eb4165a019c4f35862973e0ad8209defd49018af094b5092ca0e3a015" },
        { { CIPHER_AES_192, MODE_CBC, IVGEN_PLAIN64, 0 }, "00180d3674b4d4031490393cb44382e9ed8c1130a42a56c88bb16a7cb5a2b90c" },
        { { CIPHER_AES_128, MODE_CBC, IVGEN_PLAIN64, 0 }, "18dafd20b908ae7cef25d2ce7e2c7a8634f65e9962a3584b157bce4055c52257" },
        { { CIPHER_AES_256, MODE_CTR, IVGEN_PLAIN64, 0 }, "690b4b2a2f51bf2248b0ca7ec4600762d074b8063221d1cc319670a05c64cfa0" },
        { { CIPHER_AES_256, MODE_ECB, IVGEN_PLAIN64, 0 }, "351747fe1d6eb7e0737b9174af03a22f791bc584f71dffc7a560e1c6ef1d0677" },
        { { CIPHER_AES_256, MODE_CBC, IVGEN_ESSIV, HASH_SHA256 }, "6f4a32b627338c69318f7f6775cec3ab4db3fbc04ff9b5e2b64ff8349016f8cb" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint8_t key[64], data[512];
        g_autoptr(Crypt) crypt = NULL;

        counting(key, sizeof key);
        counting(data, sizeof data);
        crypt = crypt_new(&rows[i].spec, key, crypt_key_bytes(&rows[i].spec), "test", NULL);
        crypt_sectors(crypt, true, 0x0102030405060708, data, sizeof data);
        check_sum(data, sizeof data, rows[i].sum);
    }
}

/* Every combination that is allowed decrypts what it encrypted, and its sectors differ. */
static void all_there_and_back(void)
{
    unsigned allowed = 0;

    for (int cipher = 0; cipher_names[cipher]; cipher++) {
        for (int mode = 0; cipher_mode_names[mode]; mode++) {
            for (int ivgen = 0; iv_generator_names[ivgen]; ivgen++) {
                CryptSpec spec = { (CipherName)cipher, (CipherMode)mode, (IvGenerator)ivgen, HASH_SHA256 };
                uint8_t key[64], data[3 * 512], plain[3 * 512];
                g_autoptr(Crypt) crypt = NULL;

                counting(key, sizeof key);
                memset(data, 7, sizeof data);
                memset(plain, 7, sizeof plain);
                crypt = crypt_new(&spec, key, crypt_key_bytes(&spec), "test", NULL);
                if (!crypt) {
                    g_assert_cmpint(cipher, ==, CIPHER_CAST5_128);
                    continue;
                }
                allowed++;
                crypt_sectors(crypt, true, 5, data, sizeof data);
                g_assert_true((memcmp(data, data + 512, 512) == 0) == (mode == MODE_ECB));
                crypt_sectors(crypt, false, 6, data + 512, 512);
                crypt_sectors(crypt, false, 7, data + 1024, 512);
                crypt_sectors(crypt, false, 5, data, 512);
                g_assert_cmpmem(data, sizeof data, plain, sizeof plain);
            }
        }
    }
    g_assert_cmpuint(allowed, ==, 9 * 12 + 7);
}

/* RFC 6070, RFC 7914; SHA-512's from Python's hashlib. */
static void derivation(void)
{
    uint8_t out[64];

    pbkdf2_derive(HASH_SHA1, (const uint8_t *)"password", 8, (const uint8_t *)"salt", 4, 4096, out, 20);
    check_hex(out, "4b007901b765489abead49d926f721d065a429c1");
    pbkdf2_derive(HASH_SHA256, (const uint8_t *)"passwd", 6, (const uint8_t *)"salt", 4, 1, out, 64);
    check_hex(out, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
    pbkdf2_derive(HASH_SHA512, (const uint8_t *)"passwd", 6, (const uint8_t *)"salt", 4, 3, out, 64);
    check_hex(out, "2ad6a1074a28addf332db771afaa5928b0bebc600f287167c366a1d730f8835f94e70d2d478279cdc0dae70e154cc5fb0442760e84694adb85f6aa1db4e7807c");
}

/* ---- LUKS on memory ---- */

enum { STORE_BYTES = 4 * 1024 * 1024 };
static uint8_t store_bytes[STORE_BYTES];

static int memory_read(void *opaque, uint64_t offset, void *data, size_t bytes)
{
    memcpy(data, (uint8_t *)opaque + offset, bytes);
    return 0;
}

static int memory_write(void *opaque, uint64_t offset, const void *data, size_t bytes)
{
    memcpy((uint8_t *)opaque + offset, data, bytes);
    return 0;
}

static int memory_flush(void *opaque G_GNUC_UNUSED)
{
    return 0;
}

static const LuksStore store = { memory_read, memory_write, memory_flush, store_bytes, STORE_BYTES, "memory" };

static void secrets_add(void)
{
    static const char *const names[] = { "one", "two", NULL };

    for (size_t i = 0; names[i]; i++) {
        g_autofree char *text = g_strdup_printf("{'qom-type':'secret','id':'%s','data':'password %s'}", names[i], names[i]);
        g_autoptr(Value) object = json_parse(text, NULL);

        if (!secret_exists(names[i])) {
            g_assert_true(secret_add(object, NULL));
        }
    }
}

static bool opens(const char *secret, LuksKey *key)
{
    g_auto(Secret) password = { 0 };
    Luks luks;

    g_assert_true(luks_load(&luks, &store, NULL) && secret_get_text(secret, &password, NULL));
    return luks_unlock(&luks, &store, &password, key, NULL);
}

static void make(const char *options, LuksKey *key)
{
    g_autoptr(Value) object = json_parse(options, NULL);
    g_autoptr(GError) error = NULL;
    LuksOptions wanted;
    Luks luks;

    memset(store_bytes, 0, sizeof store_bytes);
    g_assert_true(luks_options_parse(&wanted, object, "test", &error));
    g_assert_true(luks_plan(&luks, &wanted, "test", &error));
    g_assert_true(luks_create(&luks, &store, &wanted, key, &error));
    luks_options_clear(&wanted);
}

static int made_and_opened(void *opaque G_GNUC_UNUSED)
{
    static const char *const options[] = {
        "{'key-secret':'one','iter-time':1}",
        "{'key-secret':'one','iter-time':1,'cipher-alg':'aes-192','cipher-mode':'cbc','ivgen-alg':'plain','hash-alg':'sha1'}",
        "{'key-secret':'one','iter-time':1,'cipher-alg':'aes-128','cipher-mode':'cbc','ivgen-alg':'essiv','ivgen-hash-alg':'sha256'}",
        "{'key-secret':'one','iter-time':1,'cipher-alg':'serpent-256','hash-alg':'sha512'}",
        "{'key-secret':'one','iter-time':1,'cipher-alg':'cast5-128','cipher-mode':'cbc','hash-alg':'ripemd160'}",
        "{'key-secret':'one','iter-time':1,'cipher-mode':'ecb'}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        LuksKey made, opened;
        Luks luks;

        make(options[i], &made);
        g_assert_true(luks_load(&luks, &store, NULL));
        g_assert_true(opens("one", &opened) && !opens("two", &opened));
        g_assert_true(opens("one", &opened));
        g_assert_cmpmem(made.bytes, luks.key_bytes, opened.bytes, luks.key_bytes);
    }
    return 0;
}

static bool amend(const char *options, const LuksKey *key, bool force, const char *words)
{
    g_autoptr(Value) object = json_parse(options, NULL);
    g_autoptr(GError) error = NULL;
    Luks luks;
    bool done;

    g_assert_true(object && luks_load(&luks, &store, NULL));
    done = luks_amend(&luks, &store, object, key, force, &error);
    if (words) {
        g_assert_false(done);
        g_assert_nonnull(strstr(error->message, words));
    } else {
        g_assert_no_error(error);
    }
    return done;
}

static int slots(void *opaque G_GNUC_UNUSED)
{
    LuksKey key, other;

    make("{'key-secret':'one','iter-time':1}", &key);
    amend("{'state':'active'}", &key, false, "new-secret");
    amend("{'state':'inactive'}", &key, false, "keyslot");
    amend("{'state':'active','new-secret':'two','keyslot':0}", &key, false, "Refusing to overwrite");
    amend("{'state':'active','new-secret':'two','keyslot':8}", &key, false, "Invalid keyslot");
    amend("{'state':'inactive','keyslot':0}", &key, false, "only active");
    amend("{'state':'inactive','old-secret':'one'}", &key, false, "refusing");
    g_assert_true(amend("{'state':'active','new-secret':'two','iter-time':1}", &key, false, NULL));
    g_assert_true(opens("one", &other) && opens("two", &other));
    g_assert_true(amend("{'state':'inactive','old-secret':'one'}", &key, false, NULL));
    g_assert_true(!opens("one", &other) && opens("two", &other));
    amend("{'state':'inactive','keyslot':0}", &key, false, "already erased");
    amend("{'state':'inactive','old-secret':'one'}", &key, false, "No keyslots match");
    g_assert_true(amend("{'state':'inactive','keyslot':1}", &key, true, NULL));
    g_assert_false(opens("two", &other));
    return 0;
}

static int broken(void *opaque G_GNUC_UNUSED)
{
    static const struct { unsigned at; uint32_t value; const char *words; } rows[] = {
        { 0, 0, "not in LUKS" }, { 4, 0xbabe0002, "version 2" }, { 104, 0, "payload offset 0" }, { 104, 1, "overlapping" },
        { 104, 500, "overlapping" }, { 108, 0, "key of 0" }, { 108, 0xffffffff, "key of" }, { 164, 0, "iterations" },
        { 164, 0xffffffff, "iterations" }, { 208, 5, "state" }, { 212, 0, "iterations" }, { 212, 0xfffffff0, "iterations" },
        { 248, 0, "overlapping" }, { 248, 0xffffffff, "overlapping" }, { 248, 600, "overlapping" }, { 252, 4001, "stripes" },
        { 252, 0, "stripes" }, { 8, 0x78787878, "cipher" }, { 40, 0x78787878, "mode" }, { 72, 0x78787878, "hash" },
    };
    uint8_t whole[592];
    LuksKey key;
    Luks luks;

    make("{'key-secret':'one','iter-time':1}", &key);
    memcpy(whole, store_bytes, sizeof whole);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        memcpy(store_bytes, whole, sizeof whole);
        store_be32(store_bytes + rows[i].at, rows[i].value);
        g_assert_false(luks_load(&luks, &store, &error));
        if (!strstr(error->message, rows[i].words)) {
            g_error("at %u: %s", rows[i].at, error->message);
        }
    }
    memcpy(store_bytes, whole, sizeof whole);
    memset(store_bytes + 8, 'a', 32);
    g_assert_false(luks_load(&luks, &store, NULL));
    return 0;
}

static void in_coroutine(gconstpointer entry)
{
    g_autoptr(GError) error = NULL;
    IoLoop *loop = io_loop_new("test", &error);

    secrets_add();
    io_loop_run(loop, (int (*)(void *))(uintptr_t)entry, NULL);
    io_loop_free(loop);
}

static int speeds(void *opaque G_GNUC_UNUSED)
{
    CryptSpec spec = { CIPHER_AES_256, MODE_XTS, IVGEN_PLAIN64, HASH_SHA256 };
    uint8_t key[64] = { 0 };
    g_autoptr(Crypt) crypt = crypt_new(&spec, key, sizeof key, "test", NULL);

    for (int way = 0; way < 2; way++) {
        gint64 began = g_get_monotonic_time(), took;

        for (int i = 0; i < 64; i++) {
            crypt_sectors(crypt, way, 0, store_bytes, STORE_BYTES);
        }
        took = g_get_monotonic_time() - began;
        g_test_message("aes-256-xts %s: %.0f MB/s", way ? "encrypts" : "decrypts", 64.0 * STORE_BYTES / (double)took);
    }
    g_test_message("pbkdf2-sha256: %u iterations in a second", pbkdf2_iterations(HASH_SHA256, 32, 1000, 1, UINT32_MAX));
    return 0;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crypto/xts", xts_vectors);
    g_test_add_func("/crypto/modes", mode_vectors);
    g_test_add_func("/crypto/there-and-back", all_there_and_back);
    g_test_add_func("/crypto/pbkdf2", derivation);
    g_test_add_data_func("/luks/made-and-opened", (gconstpointer)(uintptr_t)made_and_opened, in_coroutine);
    g_test_add_data_func("/luks/slots", (gconstpointer)(uintptr_t)slots, in_coroutine);
    g_test_add_data_func("/luks/broken", (gconstpointer)(uintptr_t)broken, in_coroutine);
    if (g_test_perf()) {
        g_test_add_data_func("/crypto/speed", (gconstpointer)(uintptr_t)speeds, in_coroutine);
    }
    return g_test_run();
}
