/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * secret.c - passwords and keys under a name, read once, wiped when they go
 *
 * Models   QEMU's object "secret": data in the option or in a file, plain or base64, plain or encrypted under another secret
 * Omits    keyrings; a secret cannot be changed, only removed and added again
 * Threads  `lock` guards the table; the bytes of an entry never change while it is in there
 * Tests    tests/unit/secret.c
 */
#include "base/secret.h"
#include "base/error.h"
#include "base/open.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef HAVE_NETTLE
#include <nettle/aes.h>
#include <nettle/cbc.h>
#endif

#define SECRET_MOST (1024 * 1024)          /* bytes; a password is not longer, and a wrong file is */

typedef struct SecretKeys { char *id, *data, *file, *keyid, *iv; int format; } SecretKeys;

static const char *const format_names[] = { "raw", "base64", NULL };
enum { FORMAT_RAW, FORMAT_BASE64 };

const Field secret_fields[] = {
    PROP_STR("id", SecretKeys, id, .required = true, .help = "name under which others refer to it"),
    PROP_STR("data", SecretKeys, data, .help = "the secret itself; visible to others in the process list: better file="),
    PROP_STR("file", SecretKeys, file, .help = "a file with the secret, read once"),
    PROP_ENUM("format", SecretKeys, format, format_names, FORMAT_RAW, .help = "how data or file is written: raw or base64"),
    PROP_STR("keyid", SecretKeys, keyid, .help = "id of the secret with the AES-256 key under which this one is encrypted"),
    PROP_STR("iv", SecretKeys, iv, .help = "initialization vector of that encryption, base64"),
    FIELD_END
};
static const char *const not_ours[] = { "qom-type", NULL };

static GMutex lock;
static GHashTable *secrets;                /* id to Secret */

static void wipe(void *bytes, size_t length)
{
    if (bytes) {
        explicit_bzero(bytes, length);
    }
}

static void keys_clear(SecretKeys *keys)
{
    wipe(keys->data, keys->data ? strlen(keys->data) : 0);
    fields_clear(secret_fields, keys);
}

void secret_free(Secret *secret)
{
    wipe(secret->bytes, secret->length);
    g_clear_pointer(&secret->bytes, g_free);
    secret->length = 0;
}

static void entry_free(void *entry)
{
    secret_free(entry);
    g_free(entry);
}

static bool secret_set(Secret *out, const void *bytes, size_t length, GError **err)
{
    out->bytes = g_try_malloc(length + 1);
    if (!out->bytes) {
        return fail(err, ENOMEM, "secret: no memory for %zu bytes", length);
    }
    memcpy(out->bytes, bytes, length);
    out->bytes[length] = 0;
    out->length = length;
    return true;
}

/* A pipe will do (a shell's <(...)), so no size is asked for beforehand. */
static bool read_file(const SecretKeys *keys, Secret *out, GError **err)
{
    int fd = host_open("secret", keys->file, O_RDONLY, 0, err);
    size_t got = 0;
    ssize_t n = 0;

    if (fd < 0) {
        return false;
    }
    out->bytes = g_try_malloc0(SECRET_MOST + 1);
    if (!out->bytes) {
        close(fd);
        return fail(err, ENOMEM, "secret '%s': no memory", keys->id);
    }
    out->length = SECRET_MOST;             /* all of it is wiped, whatever happens */
    while (got < SECRET_MOST && ((n = read(fd, out->bytes + got, SECRET_MOST - got)) > 0 || (n < 0 && errno == EINTR))) {
        got += n > 0 ? (size_t)n : 0;
    }
    if (n < 0) {
        fail(err, errno, "secret '%s': reading '%s': %s", keys->id, keys->file, g_strerror(errno));
    } else if (got == SECRET_MOST) {
        fail(err, EFBIG, "secret '%s': '%s' is not shorter than the limit of %d bytes", keys->id, keys->file, SECRET_MOST);
    }
    close(fd);
    if (n < 0 || got == SECRET_MOST) {
        secret_free(out);
        return false;
    }
    out->length = got;
    return true;
}

static bool is_base64(const Secret *text)
{
    size_t digits = 0, pads = 0;

    for (size_t i = 0; i < text->length; i++) {
        char c = (char)text->bytes[i];

        if (c == '\n' || c == '\r') {
            continue;
        }
        if (c == '=' && digits > 0 && pads < 2) {
            pads++;
        } else if (pads == 0 && (g_ascii_isalnum(c) || c == '+' || c == '/')) {
            digits++;
        } else {
            return false;
        }
    }
    return (digits + pads) % 4 == 0;
}

static bool from_base64(const char *id, const char *what, Secret *text, GError **err)
{
    gsize length = 0;
    guchar *bytes;
    bool done;

    if (!is_base64(text)) {
        return fail(err, EINVAL, "secret '%s': %s is not valid base64", id, what);
    }
    bytes = g_base64_decode((const char *)text->bytes, &length);
    secret_free(text);
    done = secret_set(text, bytes, length, err);
    wipe(bytes, length);
    g_free(bytes);
    return done;
}

#ifdef HAVE_NETTLE
static bool decrypt_with(const SecretKeys *keys, const Secret *key, const Secret *iv, Secret *data, GError **err)
{
    struct CBC_CTX(struct aes256_ctx, AES_BLOCK_SIZE) context;
    uint8_t pad;

    if (key->length != AES256_KEY_SIZE) {
        return fail(err, EINVAL, "secret '%s': the key '%s' has %zu bytes, AES-256 wants 32", keys->id, keys->keyid, key->length);
    }
    if (iv->length != AES_BLOCK_SIZE) {
        return fail(err, EINVAL, "secret '%s': iv has %zu bytes instead of 16", keys->id, iv->length);
    }
    if (data->length == 0 || data->length % AES_BLOCK_SIZE != 0) {
        return fail(err, EINVAL, "secret '%s': encrypted data has %zu bytes, not a multiple of 16", keys->id, data->length);
    }
    aes256_set_decrypt_key(&context.ctx, key->bytes);
    CBC_SET_IV(&context, iv->bytes);
    CBC_DECRYPT(&context, aes256_decrypt, data->length, data->bytes, data->bytes);
    explicit_bzero(&context, sizeof context);
    pad = data->bytes[data->length - 1];
    if (pad == 0 || pad > AES_BLOCK_SIZE) {
        return fail(err, EINVAL, "secret '%s': the padding of the decrypted data is wrong: the key '%s' is another one", keys->id,
                    keys->keyid);
    }
    wipe(data->bytes + data->length - pad, pad);
    data->length -= pad;
    return true;
}
#else
static bool decrypt_with(const SecretKeys *keys, const Secret *key G_GNUC_UNUSED, const Secret *iv G_GNUC_UNUSED,
                         Secret *data G_GNUC_UNUSED, GError **err)
{
    return fail(err, ENOTSUP, "secret '%s': keyid needs a build with nettle, this one is without", keys->id);
}
#endif

static bool decrypt(const SecretKeys *keys, Secret *data, GError **err)
{
    g_auto(Secret) key = { 0 }, iv = { 0 };

    if (!keys->iv) {
        return fail(err, EINVAL, "secret '%s': keyid needs iv, the base64 initialization vector", keys->id);
    }
    return secret_get(keys->keyid, &key, err) && secret_set(&iv, keys->iv, strlen(keys->iv), err) &&
           from_base64(keys->id, "iv", &iv, err) && decrypt_with(keys, &key, &iv, data, err);
}

static bool load(const SecretKeys *keys, Secret *out, GError **err)
{
    if (!!keys->data == !!keys->file) {
        return fail(err, EINVAL, keys->data ? "secret '%s': 'file' and 'data' are mutually exclusive"
                                            : "secret '%s': must provide 'file' or 'data'", keys->id);
    }
    if (!(keys->file ? read_file(keys, out, err) : secret_set(out, keys->data, strlen(keys->data), err))) {
        return false;
    }
    if (keys->format == FORMAT_BASE64 && !from_base64(keys->id, keys->file ? "the file's text" : "data", out, err)) {
        return false;
    }
    if (keys->iv && !keys->keyid) {
        return fail(err, EINVAL, "secret '%s': iv without keyid", keys->id);
    }
    return !keys->keyid || decrypt(keys, out, err);
}

static bool insert(const char *id, Secret *take, GError **err)
{
    Secret *entry;

    g_mutex_lock(&lock);
    if (!secrets) {
        secrets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
    }
    if (g_hash_table_contains(secrets, id)) {
        g_mutex_unlock(&lock);
        return fail(err, EEXIST, "object '%s': the id is taken, give another one", id);
    }
    entry = g_new(Secret, 1);
    *entry = *take;
    *take = (Secret){ 0 };
    g_hash_table_insert(secrets, g_strdup(id), entry);
    g_mutex_unlock(&lock);
    return true;
}

bool secret_add(const Value *object, GError **err)
{
    SecretKeys keys = { 0 };
    g_auto(Secret) bytes = { 0 };
    bool done;

    fields_init(secret_fields, &keys);
    done = fields_set(secret_fields, &keys, "object 'secret'", object, not_ours, err) && load(&keys, &bytes, err) &&
           insert(keys.id, &bytes, err);
    keys_clear(&keys);
    return done;
}

bool secret_remove(const char *id, GError **err)
{
    bool there;

    g_mutex_lock(&lock);
    there = secrets && g_hash_table_remove(secrets, id);
    g_mutex_unlock(&lock);
    return there || fail(err, ENOENT, "No secret with id '%s'", id);
}

bool secret_exists(const char *id)
{
    bool there;

    g_mutex_lock(&lock);
    there = secrets && g_hash_table_contains(secrets, id);
    g_mutex_unlock(&lock);
    return there;
}

bool secret_get(const char *id, Secret *out, GError **err)
{
    const Secret *entry;
    bool done;

    g_mutex_lock(&lock);
    entry = secrets ? g_hash_table_lookup(secrets, id) : NULL;
    done = entry ? secret_set(out, entry->bytes, entry->length, err)
                 : fail(err, ENOENT, "No secret with id '%s': define it by --object secret,id=%s,file=...", id, id);
    g_mutex_unlock(&lock);
    return done;
}

bool secret_get_text(const char *id, Secret *out, GError **err)
{
    if (!secret_get(id, out, err)) {
        return false;
    }
    if (!g_utf8_validate((const char *)out->bytes, (gssize)out->length, NULL)) {
        secret_free(out);
        return fail(err, EINVAL, "Data from secret %s is not valid UTF-8", id);
    }
    return true;
}
