/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * create.c - new qcow2 images
 *
 * An image is made as the smallest one that can be opened (header, refcount table, one refcount block), opened, and grown to its size:
 *
 *   cluster 0  header      1  refcount table      2  refcount block      3...  L1 table, encryption header, preallocated clusters
 *
 * which is the layout that qemu-img gives it.
 *
 * Models   the -o keys of qemu-img 7.2 with its defaults, limits and sentences
 * Omits    nocow=on and extent_size_hint= are taken and mean nothing here: they are the file's, which exists already
 * Threads  the node's home loop
 * Tests    tests/block/qcow2-formats.py
 */
#include "block/format/qcow2/qcow2.h"
#include <stdlib.h>

enum { MIN_EXTENDED_CLUSTER = 16 << 10 };

static const char *const compression_names[] = { "zlib", "zstd", NULL };

/* Flat keys first, as they are spelled; gathered into the object by qcow2_create_parse(). */
static const char *const encrypt_keys[] = {
    "format", "key-secret", "cipher-alg", "cipher-mode", "ivgen-alg", "ivgen-hash-alg", "hash-alg", "iter-time", NULL };

typedef struct Options {                   /* what the table fills */
    Qcow2Create create;
    char *encrypt[G_N_ELEMENTS(encrypt_keys)];
} Options;

const Field qcow2_create_options[] = {
    PROP_STR("backing_file", Options, create.backing_file, .help = "file name of a base image"),
    PROP_STR("backing_fmt", Options, create.backing_format, .help = "format of the base image"),
    PROP_SIZE("cluster_size", Options, create.cluster_size, 65536, .help = "bytes of a cluster, 512 to 2M"),
    PROP_STR("compat", Options, create.compat, .help = "compatibility level: v2 (0.10) or v3 (1.1), the default"),
    PROP_ENUM("compression_type", Options, create.compression_type, compression_names, Q2_ZLIB,
              .help = "how compressed clusters are compressed: zlib or zstd"),
    PROP_STR("data_file", Options, create.data_file, .help = "file name of an external data file"),
    PROP_BOOL("data_file_raw", Options, create.data_file_raw, false, .help = "the external data file stays valid as a raw image"),
    PROP_STR("encrypt.cipher-alg", Options, encrypt[2], .help = "encryption cipher"),
    PROP_STR("encrypt.cipher-mode", Options, encrypt[3], .help = "its mode"),
    PROP_STR("encrypt.format", Options, encrypt[0], .help = "encrypt the image: aes or luks"),
    PROP_STR("encrypt.hash-alg", Options, encrypt[6], .help = "hash of the passphrase"),
    PROP_STR("encrypt.iter-time", Options, encrypt[7], .help = "milliseconds that deriving the key takes"),
    PROP_STR("encrypt.ivgen-alg", Options, encrypt[4], .help = "generator of initialization vectors"),
    PROP_STR("encrypt.ivgen-hash-alg", Options, encrypt[5], .help = "its hash"),
    PROP_STR("encrypt.key-secret", Options, encrypt[1], .help = "id of the secret that holds the passphrase"),
    PROP_BOOL("encryption", Options, create.encryption, false, .help = "old spelling of encrypt.format=aes"),
    PROP_BOOL("extended_l2", Options, create.extended_l2, false, .help = "allocate in 32nds of a cluster"),
    PROP_SIZE("extent_size_hint", Options, create.extent_size_hint, 0, .help = "taken for qemu-img's sake: the file system decides"),
    PROP_BOOL("lazy_refcounts", Options, create.lazy_refcounts, false, .help = "postpone refcount updates"),
    PROP_BOOL("nocow", Options, create.nocow, false, .help = "taken for qemu-img's sake: chattr +C the folder instead"),
    PROP_ENUM("preallocation", Options, create.preallocation, preallocation_names, PREALLOC_OFF,
              .help = "off, metadata, falloc or full"),
    PROP_U64("refcount_bits", Options, create.refcount_bits, 16, .help = "width of a refcount: 1 to 64"),
    FIELD_END };

const char qcow2_create_order[] =
    "encryption encrypt.format encrypt.key-secret encrypt.cipher-alg encrypt.cipher-mode encrypt.ivgen-alg encrypt.ivgen-hash-alg encrypt.hash-alg "
    "encrypt.iter-time cluster_size* extended_l2* preallocation compression_type* size* compat backing_file backing_fmt data_file data_file_raw "
    "lazy_refcounts* refcount_bits* nocow extent_size_hint";

/* ---- options ---- */

static bool parse_version(Qcow2Create *create, GError **err)
{
    static const struct { const char *name; unsigned version; } names[] = { { "0.10", 2 }, { "v2", 2 }, { "1.1", 3 }, { "v3", 3 } };

    create->version = 3;
    for (size_t i = 0; create->compat; i++) {
        if (i == G_N_ELEMENTS(names)) {
            return fail(err, EINVAL, "Parameter 'version' does not accept value '%s'", create->compat);
        }
        if (strcmp(names[i].name, create->compat) == 0) {
            create->version = names[i].version;
            break;
        }
    }
    return true;
}

static bool check_sizes(const Qcow2Create *create, uint64_t size, GError **err)
{
    uint64_t entry = create->extended_l2 ? 16 : 8, cluster = create->cluster_size;

    if (cluster < 1 << Q2_MIN_CLUSTER_BITS || cluster > 1 << Q2_MAX_CLUSTER_BITS || (cluster & (cluster - 1))) {
        return fail(err, EINVAL, "Cluster size must be a power of two between 512 and 2048k");
    }
    if (create->extended_l2 && cluster < MIN_EXTENDED_CLUSTER) {
        return fail(err, EINVAL, "Extended L2 entries are only supported with cluster sizes of at least %u bytes", MIN_EXTENDED_CLUSTER);
    }
    if (create->refcount_bits == 0 || create->refcount_bits > 64 || (create->refcount_bits & (create->refcount_bits - 1))) {
        return fail(err, EINVAL, "Refcount width must be a power of two and may not exceed 64 bits");
    }
    if (size / cluster / (cluster / entry) >= Q2_MAX_L1_BYTES / 8) {
        return fail(err, EFBIG, "The image size is too large for file format 'qcow2' (try using a larger cluster size)");
    }
    return true;
}

static bool check_version(const Qcow2Create *create, GError **err)
{
    const struct { bool wanted; const char *what; } needs_3[] = {
        { create->extended_l2, "Extended L2 entries are only supported with" },
        { create->lazy_refcounts, "Lazy refcounts only supported with" },
        { create->refcount_bits != 16, "Different refcount widths than 16 bits require" },
        { create->data_file != NULL, "External data files are only supported with" },
        { create->compression_type != Q2_ZLIB, "Non-zlib compression type is only supported with" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(needs_3) && create->version < 3; i++) {
        if (needs_3[i].wanted) {
            return fail(err, EINVAL, "%s compatibility level 1.1 %s above (use version=v3 or greater)", needs_3[i].what,
                        strstr(needs_3[i].what, "require") ? "or" : "and");
        }
    }
    return true;
}

static bool check_together(const Qcow2Create *create, GError **err)
{
    if (create->backing_format && !create->backing_file) {
        return fail(err, EINVAL, "Backing format cannot be used without backing file");
    }
    if (create->preallocation != PREALLOC_OFF && create->backing_file && !create->extended_l2) {
        return fail(err, EINVAL, "Backing file and preallocation can only be used at the same time if extended_l2 is on");
    }
    if (create->data_file_raw && !create->data_file) {
        return fail(err, EINVAL, "data-file-raw requires data-file");
    }
    if (create->data_file_raw && create->backing_file) {
        return fail(err, EINVAL, "Backing file and data-file-raw cannot be used at the same time");
    }
    if (create->encrypt_format && create->data_file) {
        return fail(err, ENOTSUP, "External data files cannot be used with encryption");
    }
    if (create->backing_file && strlen(create->backing_file) > Q2_MAX_BACKING_NAME) {
        return fail(err, EINVAL, "Backing file name too long: %zu bytes, the limit is %u", strlen(create->backing_file), Q2_MAX_BACKING_NAME);
    }
#ifndef HAVE_ZSTD
    if (create->compression_type == Q2_ZSTD) {
        return fail(err, ENOTSUP, "compression_type=zstd: zstd is not built in");
    }
#endif
    return true;
}

/* "encrypt.format=luks" and {"encrypt": {"format": "luks"}} are the same. */
static void gather_encryption(Options *from, const Value *options)
{
    Qcow2Create *create = &from->create;
    const Value *nested = value_get(options, "encrypt");

    create->encrypt = value_kind(nested) == VALUE_OBJECT ? value_copy(nested) : NULL;
    for (size_t i = 0; encrypt_keys[i]; i++) {
        if (from->encrypt[i]) {
            create->encrypt = create->encrypt ? create->encrypt : value_new_object();
            value_set(create->encrypt, encrypt_keys[i], value_new_string(from->encrypt[i]));
        }
        g_clear_pointer(&from->encrypt[i], g_free);
    }
    if (create->encrypt || create->encryption) {
        create->encrypt_format = g_strdup(value_get_string(create->encrypt, "format", "aes"));
    }
}

bool qcow2_create_parse(Qcow2Create *out, const Value *options, uint64_t size, GError **err)
{
    static const char *const skipped[] = { "size", "encrypt", NULL };
    Options from = { 0 };
    bool good;

    fields_init(qcow2_create_options, &from);
    good = fields_set(qcow2_create_options, &from, "qcow2", options, skipped, err);
    gather_encryption(&from, options);
    *out = from.create;
    return good && parse_version(out, err) && check_sizes(out, size, err) && check_version(out, err) && check_together(out, err);
}

void qcow2_create_clear(Qcow2Create *create)
{
    g_free(create->backing_file);
    g_free(create->backing_format);
    g_free(create->data_file);
    g_free(create->compat);
    g_free(create->encrypt_format);
    value_unref(create->encrypt);
    *create = (Qcow2Create){ 0 };
}

/* ---- the smallest image ---- */

static int write_smallest(Node *file, const Qcow2Create *create)
{
    uint64_t cluster = create->cluster_size;
    g_autofree uint8_t *tables = g_malloc0(2 * cluster);
    Qcow2 *image = g_new0(Qcow2, 1);
    int ret;

    image->node.file = file;
    image->version = create->version;
    image->cluster_size = cluster;
    image->cluster_bits = __builtin_ctzll(cluster);
    image->refcount_order = __builtin_ctzll(create->refcount_bits);
    image->reftable_offset = cluster;
    image->reftable_clusters = 1;
    image->compression_type = create->compression_type;
    image->data_file_name = create->data_file;
    image->incompatible = (create->data_file ? Q2_INCOMPAT_DATA_FILE : 0) | (create->extended_l2 ? Q2_INCOMPAT_EXTL2 : 0) |
                          (create->compression_type != Q2_ZLIB ? Q2_INCOMPAT_COMPRESSION : 0);
    image->compatible = create->lazy_refcounts ? Q2_COMPAT_LAZY : 0;
    image->autoclear = create->data_file_raw ? Q2_AUTOCLEAR_DATA_RAW : 0;
    image->unknown_extensions = g_array_new(FALSE, FALSE, sizeof(Qcow2Extension));
    store_be64(tables, 2 * cluster);
    for (unsigned i = 0; i < 3; i++) {
        qcow2_refcount_store(tables + cluster, image->refcount_order, i, 1);
    }
    ret = node_pwrite(file, cluster, tables, 2 * cluster);
    if (ret == 0) {
        ret = qcow2_header_write(image);
    }
    image->data_file_name = NULL;
    qcow2_header_free(image);
    g_free(image);
    return ret;
}

static bool open_smallest(Node **out, Node *file, Node *data, const NodeOpen *how, GError **err)
{
    g_autoptr(Value) options = value_new_object();
    NodeOpen mine = { .loop = how ? how->loop : NULL, .writable = true, .no_backing = true, .discard = true,
                      .cache = how ? how->cache : 0, .trust = true };

    value_set(options, "driver", value_new_string("qcow2"));
    value_set(options, "file", value_new_string(node_name(file)));
    if (data) {
        value_set(options, "data-file", value_new_string(node_name(data)));
    }
    return node_open(out, options, &mine, err);
}

/* ---- what a person asked for ---- */

static bool complete(Qcow2 *qcow2, const Qcow2Create *create, uint64_t size, GError **err)
{
    /* A raw data file is read without us: all of it is mapped from the first day. */
    Preallocation preallocation = create->data_file_raw && create->preallocation == PREALLOC_OFF ? PREALLOC_METADATA : create->preallocation;
    int ret;

    qcow2->node.backing_name = g_strdup(create->backing_file);
    qcow2->node.backing_format = create->backing_file ? g_strdup(create->backing_format) : NULL;
    ret = qcow2_header_write(qcow2);
    if (ret < 0) {
        return fail(err, -ret, "Could not assign backing file '%s' with format '%s': %s", create->backing_file, create->backing_format,
                    strerror(-ret));
    }
    if (qcow2_truncate(&qcow2->node, size, true, PREALLOC_OFF, 0, err) < 0) {
        return false;
    }
    if (create->encrypt_format) {
        if (!qcow2_crypt_create(qcow2, create, err)) {
            return false;
        }
        ret = qcow2_header_write(qcow2);
        if (ret < 0) {
            return fail(err, -ret, "Could not write the encryption header: %s", strerror(-ret));
        }
    }
    if (preallocation != PREALLOC_OFF) {
        if (qcow2->external && preallocation != PREALLOC_METADATA &&
            (node_truncate(qcow2->data, 0, true, PREALLOC_OFF, 0, err) < 0 || node_truncate(qcow2->data, size, true, preallocation, 0, err) < 0)) {
            return false;
        }
        ret = qcow2_preallocate(qcow2, 0, size, preallocation);
        if (ret < 0) {
            return fail(err, -ret, "Could not preallocate: %s", strerror(-ret));
        }
    }
    return true;
}

/* The file ends with its L1 table's last byte where that is the last thing in it, as qemu-img leaves it. */
static uint64_t plain_end(const Qcow2 *qcow2)
{
    uint64_t end = qcow2->l1_offset + (uint64_t)qcow2->l1_size * 8, mask = qcow2->cluster_size - 1;

    return ((end + mask) & ~mask) == qcow2->zero_from ? end : 0;
}

static bool create_image(Node *file, Node *data, uint64_t size, const Qcow2Create *create, const NodeOpen *how, GError **err)
{
    int ret = write_smallest(file, create);
    uint64_t end;
    Node *node;
    bool good;

    if (ret < 0) {
        return fail(err, -ret, "Could not write qcow2 header: %s", strerror(-ret));
    }
    if (!open_smallest(&node, file, data, how, err)) {
        return false;
    }
    good = complete(QCOW2(node), create, size, err);
    end = good ? plain_end(QCOW2(node)) : 0;
    node_unref(node);
    if (end && end < node_length(file)) {
        node_truncate(file, end, true, PREALLOC_OFF, 0, NULL);
    }
    return good;
}

bool qcow2_create(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err)
{
    Qcow2Create create;
    Node *data = NULL;
    bool good;

    if (!checked_add(size, Q2_SECTOR - 1, &size)) {
        return fail(err, EFBIG, "The image size is too large for file format 'qcow2' (try using a larger cluster size)");
    }
    size &= ~(uint64_t)(Q2_SECTOR - 1);
    good = qcow2_create_parse(&create, options, size, err) && (!create.data_file || node_create_file(&data, create.data_file, 0, NULL, how, err)) &&
           create_image(file, data, size, &create, how, err);
    node_unref(data);
    qcow2_create_clear(&create);
    return good;
}
