/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crypt.c - encrypted guest clusters: LUKS1 with its header inside the image, and the old AES method
 *
 * LUKS: header and key material lie in clusters of their own, which header extension 0537be77 names; the payload offset in there is not
 * used. Sectors are numbered by their place in the image file (with a data file: in that), so that equal clusters of the guest differ.
 * AES: the password's first 16 bytes are the key of AES-128 in CBC mode, sectors are numbered as the guest sees them, the initialization
 * vector is that number. It protects little; it is here for images that have it.
 * Metadata, compressed clusters (which are refused then) and the VM state's headers are as in a plain image; VM state is encrypted as guest data.
 *
 * Threads  coroutines on the home loop; long pieces on worker threads
 * Tests    tests/block/qcow2-crypt.py
 */
#include "block/crypto/luks.h"
#include "block/format/qcow2/parts.h"
#include <string.h>

struct Qcow2Crypt {
    Crypt *crypt;                          /* NULL: opened for its metadata alone */
    Luks luks;                             /* of LUKS */
    char *key_secret;
};

enum { AES_KEY_BYTES = 16 };
static const CryptSpec old_aes = { CIPHER_AES_128, MODE_CBC, IVGEN_PLAIN64, HASH_SHA256 };

/* ---- where the LUKS header is ---- */

static int store_read(void *opaque, uint64_t offset, void *data, size_t bytes)
{
    Qcow2 *qcow2 = opaque;

    return node_pread(qcow2->node.file, qcow2->crypto_offset + offset, data, bytes);
}

static int store_write(void *opaque, uint64_t offset, const void *data, size_t bytes)
{
    Qcow2 *qcow2 = opaque;

    return node_pwrite(qcow2->node.file, qcow2->crypto_offset + offset, data, bytes);
}

static int store_flush(void *opaque)
{
    Qcow2 *qcow2 = opaque;

    return node_flush(qcow2->node.file);
}

static LuksStore store_of(Qcow2 *qcow2)
{
    return (LuksStore){ store_read, store_write, store_flush, qcow2, qcow2->crypto_bytes, node_filename(qcow2->node.file) };
}

/* ---- open ---- */

static bool unlock(Qcow2 *qcow2, LuksKey *key, GError **err)
{
    LuksStore store = store_of(qcow2);
    g_auto(Secret) password = { 0 };

    if (!qcow2->crypt->key_secret) {
        return fail(err, EINVAL, "Parameter 'encrypt.key-secret' is required for cipher");
    }
    return secret_get_text(qcow2->crypt->key_secret, &password, err) && luks_unlock(&qcow2->crypt->luks, &store, &password, key, err);
}

static bool open_luks(Qcow2 *qcow2, bool keyless, GError **err)
{
    const char *name = node_filename(qcow2->node.file);
    LuksStore store = store_of(qcow2);
    g_auto(LuksKey) key;

    if (qcow2->crypto_bytes == 0) {
        return fail(err, EINVAL, "%s: the header says LUKS, but has no extension that says where its header is", name);
    }
    if (qcow2->crypto_offset == 0 || qcow2->crypto_offset % qcow2->cluster_size != 0 ||
        !range_within(qcow2->crypto_offset, qcow2->crypto_bytes, INT64_MAX)) {
        return fail(err, EINVAL, "%s: Encryption header offset '%" G_GUINT64_FORMAT "' is not a multiple of cluster size", name,
                    qcow2->crypto_offset);
    }
    if (!luks_load(&qcow2->crypt->luks, &store, err)) {
        return false;
    }
    if (keyless) {
        return true;
    }
    if (!unlock(qcow2, &key, err)) {
        return false;
    }
    qcow2->crypt->crypt = luks_crypt(&qcow2->crypt->luks, &key, name, err);
    return qcow2->crypt->crypt != NULL;
}

static bool open_aes(Qcow2 *qcow2, bool keyless, GError **err)
{
    const char *name = node_filename(qcow2->node.file);
    g_auto(Secret) password = { 0 };
    uint8_t key[AES_KEY_BYTES] = { 0 };

    if (keyless) {
        return true;
    }
    if (!qcow2->crypt->key_secret) {
        return fail(err, EINVAL, "Parameter 'encrypt.key-secret' is required for cipher");
    }
    if (!crypto_available(err) || !secret_get_text(qcow2->crypt->key_secret, &password, err)) {
        return false;
    }
    memcpy(key, password.bytes, MIN(password.length, sizeof key));
    qcow2->crypt->crypt = crypt_new(&old_aes, key, sizeof key, name, err);
    explicit_bzero(key, sizeof key);
    return qcow2->crypt->crypt != NULL;
}

bool qcow2_crypt_open(Qcow2 *qcow2, const NodeOpen *how, GError **err)
{
    bool is_luks = qcow2->crypt_method == Q2_CRYPT_LUKS;
    const char *method = is_luks ? "luks" : "aes", *format = value_get_string(qcow2->options.encrypt, "format", NULL);
    const char *key = value_get_string(qcow2->options.encrypt, "key-secret", NULL);

    if (format && strcmp(format, method) != 0) {
        return fail(err, EINVAL, "Header reported '%s' encryption format but options specify '%s'", method, format);
    }
    qcow2->crypt = g_new0(Qcow2Crypt, 1);
    qcow2->crypt->key_secret = g_strdup(key);
    qcow2->node.encrypted = true;
    if (is_luks ? open_luks(qcow2, how->no_io, err) : open_aes(qcow2, how->no_io, err)) {
        return true;
    }
    qcow2_crypt_close(qcow2);
    return false;
}

void qcow2_crypt_close(Qcow2 *qcow2)
{
    if (qcow2->crypt) {
        crypt_free(qcow2->crypt->crypt);
        g_free(qcow2->crypt->key_secret);
        g_clear_pointer(&qcow2->crypt, g_free);
    }
}

int qcow2_crypt(Qcow2 *qcow2, bool encrypt, uint64_t host, uint64_t guest, void *data, size_t bytes)
{
    uint64_t place = qcow2->crypt_method == Q2_CRYPT_LUKS ? host : guest;

    if (!qcow2->crypt || !qcow2->crypt->crypt) {
        return -EACCES;                    /* opened without a key, for its metadata */
    }
    crypt_sectors_co(qcow2->crypt->crypt, encrypt, place / CRYPT_SECTOR, data, bytes);
    return 0;
}

/* ---- create ---- */

static bool create_luks(Qcow2 *qcow2, const LuksOptions *wanted, GError **err)
{
    LuksStore store;
    int64_t offset;
    int result;
    g_auto(LuksKey) key;

    if (!luks_plan(&qcow2->crypt->luks, wanted, "qcow2", err)) {
        return false;
    }
    qcow2->crypto_bytes = luks_payload(&qcow2->crypt->luks);
    co_lock(&qcow2->lock);
    offset = qcow2_alloc(qcow2, qcow2->crypto_bytes, NULL);
    co_unlock(&qcow2->lock);
    if (offset < 0) {
        return fail(err, (int)-offset, "Cannot allocate the LUKS header: %s", g_strerror((int)-offset));
    }
    qcow2->crypto_offset = (uint64_t)offset;
    result = node_pwrite_zeroes(qcow2->node.file, qcow2->crypto_offset, qcow2_clusters(qcow2, qcow2->crypto_bytes) << qcow2->cluster_bits, 0);
    if (result < 0) {
        return fail(err, -result, "Could not zero fill encryption header: %s", g_strerror(-result));
    }
    store = store_of(qcow2);
    if (!luks_create(&qcow2->crypt->luks, &store, wanted, &key, err)) {
        return false;
    }
    qcow2->crypt->crypt = luks_crypt(&qcow2->crypt->luks, &key, "qcow2", err);
    qcow2->crypt_method = Q2_CRYPT_LUKS;
    return qcow2->crypt->crypt != NULL;
}

/* The LUKS keys among "encrypt.*". */
bool qcow2_crypt_wanted(const Qcow2Create *create, LuksOptions *out, GError **err)
{
    g_autoptr(Value) members = create->encrypt ? value_copy(create->encrypt) : value_new_object();

    memset(out, 0, sizeof *out);
    value_remove(members, "format");
    if (!value_get_string(members, "key-secret", NULL)) {
        return fail(err, EINVAL, "Parameter 'encrypt.key-secret' is required for cipher");
    }
    return luks_options_parse(out, members, "encrypt", err);
}

bool qcow2_crypt_create(Qcow2 *qcow2, const Qcow2Create *create, GError **err)
{
    const char *format = create->encrypt_format ? create->encrypt_format : "aes";
    LuksOptions wanted;
    bool done;

    if (strcmp(format, "luks") != 0 && strcmp(format, "aes") != 0) {
        return fail(err, EINVAL, "Unknown encryption format %s", format);
    }
    if (!crypto_available(err)) {
        return false;
    }
    qcow2->crypt = g_new0(Qcow2Crypt, 1);
    qcow2->crypt->key_secret = g_strdup(value_get_string(create->encrypt, "key-secret", NULL));
    if (strcmp(format, "luks") == 0) {
        done = qcow2_crypt_wanted(create, &wanted, err) && create_luks(qcow2, &wanted, err);
        luks_options_clear(&wanted);
    } else {
        done = open_aes(qcow2, false, err);
        qcow2->crypt_method = Q2_CRYPT_AES;
    }
    qcow2->node.encrypted = done;
    if (!done) {
        qcow2_crypt_close(qcow2);
        qcow2->crypt_method = Q2_CRYPT_NONE;
    }
    return done;
}

/* ---- amend, info ---- */

bool qcow2_crypt_amend(Qcow2 *qcow2, const Value *options, bool force, GError **err)
{
    LuksStore store = store_of(qcow2);
    g_auto(LuksKey) key;

    if (!qcow2->crypt || qcow2->crypt_method == Q2_CRYPT_NONE) {
        return fail(err, EINVAL, "Can't amend encryption options - encryption not present");
    }
    if (qcow2->crypt_method != Q2_CRYPT_LUKS) {
        return fail(err, ENOTSUP, "Only LUKS encryption options can be amended for qcow2 with option 'encrypt'");
    }
    return unlock(qcow2, &key, err) && luks_amend(&qcow2->crypt->luks, &store, options, &key, force, err);
}

Value *qcow2_crypt_info(const Qcow2 *qcow2)
{
    Value *info;

    if (qcow2->crypt_method == Q2_CRYPT_NONE) {
        return NULL;
    }
    if (qcow2->crypt_method == Q2_CRYPT_LUKS && qcow2->crypt) {
        return luks_info(&qcow2->crypt->luks, "luks");
    }
    info = value_new_object();
    value_set(info, "format", value_new_string(qcow2->crypt_method == Q2_CRYPT_LUKS ? "luks" : "aes"));
    return info;
}
