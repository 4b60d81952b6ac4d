/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * luks-driver.c - the format "luks": a LUKS1 header, key material, and the encrypted disk
 *
 * Models   images of qemu-img -f luks and of cryptsetup --type luks1
 * Omits    headers apart from their data; discards, which would show where there is no data
 * Threads  coroutines on the home loop; long pieces are encrypted on worker threads
 * Tests    tests/block/luks.py, tests/fuzz/luks.c
 */
#include "base/checked.h"
#include "base/error.h"
#include "block/crypto/luks.h"
#include "block/driver.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1024 * 1024 };              /* of a request that is encrypted at once */

typedef struct LuksNode {
    Node node;
    char *key_secret, *header;
    Luks luks;
    Crypt *crypt;                          /* NULL: opened for its metadata alone */
} LuksNode;

static const Field luks_options[] = {
    PROP_STR("key-secret", LuksNode, key_secret, .help = "ID of the secret with the passphrase of a keyslot"),
    PROP_STR("header", LuksNode, header, .help = "a header apart from its data: not supported"),
    FIELD_END
};

/* ---- the header's place: the file itself ---- */

static int store_read(void *opaque, uint64_t offset, void *data, size_t bytes)
{
    return node_pread(opaque, offset, data, bytes);
}

static int store_write(void *opaque, uint64_t offset, const void *data, size_t bytes)
{
    return node_pwrite(opaque, offset, data, bytes);
}

static int store_flush(void *opaque)
{
    return node_flush(opaque);
}

static LuksStore store_of(Node *file, const char *name)
{
    return (LuksStore){ store_read, store_write, store_flush, file, node_length(file), name };
}

static int luks_probe(const uint8_t *head, size_t length, const char *filename G_GNUC_UNUSED)
{
    return luks_is_header(head, length) ? 100 : 0;
}

static bool unlock(LuksNode *image, LuksKey *key, GError **err)
{
    LuksStore store = store_of(image->node.file, node_filename(&image->node));
    g_auto(Secret) password = { 0 };

    if (!image->key_secret) {
        return fail(err, EINVAL, "Parameter 'key-secret' is required for cipher");
    }
    return secret_get_text(image->key_secret, &password, err) && luks_unlock(&image->luks, &store, &password, key, err);
}

static bool luks_open(Node *node, const NodeOpen *how, GError **err)
{
    LuksNode *image = (LuksNode *)node;
    LuksStore store = store_of(node->file, node_filename(node->file));
    g_auto(LuksKey) key;

    if (image->header) {
        return fail(err, ENOTSUP, "%s: a LUKS header apart from its data is not supported", store.name);
    }
    if (!luks_load(&image->luks, &store, err)) {
        return false;
    }
    if (luks_payload(&image->luks) > store.bytes) {
        return fail(err, EINVAL, "%s: the LUKS payload begins at %" G_GUINT64_FORMAT ", beyond the end of the file", store.name,
                    luks_payload(&image->luks));
    }
    if (!how->no_io) {
        if (!unlock(image, &key, err)) {
            return false;
        }
        image->crypt = luks_crypt(&image->luks, &key, store.name, err);
        if (!image->crypt) {
            return false;
        }
    }
    node->length = (store.bytes - luks_payload(&image->luks)) / CRYPT_SECTOR * CRYPT_SECTOR;
    node->limits.request_alignment = MAX(node->limits.request_alignment, (uint32_t)CRYPT_SECTOR);
    node->encrypted = true;
    return true;
}

static void luks_close(Node *node)
{
    LuksNode *image = (LuksNode *)node;

    g_clear_pointer(&image->crypt, crypt_free);
}

/* ---- requests ---- */

/* The bytes are decrypted aside and copied: a guest never sees, nor can change, what is half done. */
static int luks_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags G_GNUC_UNUSED)
{
    LuksNode *image = (LuksNode *)node;
    uint8_t *bounce = image->crypt ? node_memalign(node->file, MIN(to.bytes, (size_t)PIECE)) : NULL;
    int result = 0;

    if (!bounce) {
        return image->crypt ? -ENOMEM : -EACCES;
    }
    for (size_t at = 0; at < to.bytes && result >= 0;) {
        size_t bytes = MIN(to.bytes - at, (size_t)PIECE);

        result = node_pread(node->file, luks_payload(&image->luks) + offset + at, bounce, bytes);
        if (result >= 0) {
            crypt_sectors_co(image->crypt, false, (offset + at) / CRYPT_SECTOR, bounce, bytes);
            iov_put(iov_part(to, at, bytes), 0, bounce, bytes);
            at += bytes;
        }
    }
    free(bounce);
    return result;
}

static int luks_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    LuksNode *image = (LuksNode *)node;
    uint8_t *bounce = image->crypt ? node_memalign(node->file, MIN(from.bytes, (size_t)PIECE)) : NULL;
    int result = 0;

    if (!bounce) {
        return image->crypt ? -ENOMEM : -EACCES;
    }
    for (size_t at = 0; at < from.bytes && result >= 0;) {
        size_t bytes = MIN(from.bytes - at, (size_t)PIECE);
        struct iovec piece = { bounce, bytes };

        iov_get(iov_part(from, at, bytes), 0, bounce, bytes);
        crypt_sectors_co(image->crypt, true, (offset + at) / CRYPT_SECTOR, bounce, bytes);
        result = node_pwritev(node->file, luks_payload(&image->luks) + offset + at, iov_all(&piece, 1), flags & REQ_FUA);
        at += bytes;
    }
    free(bounce);
    return result;
}

static int luks_flush(Node *node)
{
    return node_flush(node->file);
}

static int luks_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags G_GNUC_UNUSED,
                         GError **err)
{
    LuksNode *image = (LuksNode *)node;
    int result;

    if (size > INT64_MAX - luks_payload(&image->luks)) {
        fail(err, EFBIG, "The requested file size is too large");
        return -EFBIG;
    }
    result = node_truncate(node->file, luks_payload(&image->luks) + size, exact, preallocation, 0, err);
    if (result >= 0) {
        node->length = size / CRYPT_SECTOR * CRYPT_SECTOR;
    }
    return result;
}

static int64_t luks_length(Node *node)
{
    LuksNode *image = (LuksNode *)node;
    int64_t bytes = node_refresh_length(node->file);

    if (bytes < 0) {
        return bytes;
    }
    return (uint64_t)bytes < luks_payload(&image->luks) ? 0
           : (int64_t)(((uint64_t)bytes - luks_payload(&image->luks)) / CRYPT_SECTOR * CRYPT_SECTOR);
}

/* ---- images ---- */

static bool luks_format(Node *file, uint64_t size, const Value *options, const NodeOpen *how G_GNUC_UNUSED, GError **err)
{
    LuksOptions wanted;
    LuksStore store;
    Luks luks;
    g_auto(LuksKey) key;
    bool done = luks_options_parse(&wanted, options, "luks", err) && luks_plan(&luks, &wanted, "luks", err);

    if (done && size > INT64_MAX - luks_payload(&luks)) {
        done = fail(err, EFBIG, "The requested file size is too large");
    }
    if (done) {
        done = node_truncate(file, luks_payload(&luks) + size, false, PREALLOC_OFF, 0, err) >= 0;
    }
    if (done) {
        store = store_of(file, node_filename(file));
        done = luks_create(&luks, &store, &wanted, &key, err);
    }
    luks_options_clear(&wanted);
    return done;
}

static bool luks_measure(const Value *options, Node *source, uint64_t size, ImageMeasure *measure, GError **err)
{
    LuksOptions wanted;
    Luks luks;
    bool done = luks_options_parse(&wanted, options, "luks", err) && luks_plan(&luks, &wanted, "luks", err);

    if (done) {
        uint64_t bytes = source ? node_length(source) : size;

        if (!checked_add(bytes, luks_payload(&luks), &measure->required) || measure->required > INT64_MAX) {
            done = fail(err, EFBIG, "The image size is too large for file format 'luks'");
        }
        measure->fully_allocated = measure->required;
    }
    luks_options_clear(&wanted);
    return done;
}

static void luks_show(Node *node, ImageInfo *info)
{
    LuksNode *image = (LuksNode *)node;

    info->encrypted = true;
    info->specific = value_new_object();
    value_set(info->specific, "type", value_new_string("luks"));
    value_set(info->specific, "data", luks_info(&image->luks, NULL));
}

static bool luks_change(Node *node, const Value *options, bool force, ImageProgress *progress G_GNUC_UNUSED, GError **err)
{
    LuksNode *image = (LuksNode *)node;
    LuksStore store = store_of(node->file, node_filename(node));
    g_auto(LuksKey) key;

    return unlock(image, &key, err) && luks_amend(&image->luks, &store, options, &key, force, err);
}

const NodeDriver luks_driver = {
    .name = "luks", .help = "LUKS encrypted disk image", .kind = NODE_FORMAT, .size = sizeof(LuksNode), .options = luks_options,
    .file_child = true, .file_role = CHILD_STORAGE,
    .probe = luks_probe, .open = luks_open, .close = luks_close,
    .preadv = luks_preadv, .pwritev = luks_pwritev, .flush = luks_flush, .truncate = luks_truncate, .length = luks_length,
    .supported_write_flags = REQ_FUA,
    .create_options = luks_create_options, .create = luks_format, .measure = luks_measure, .info = luks_show, .amend = luks_change,
    .amend_options = luks_amend_options,
};
