/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmdk-create.c - new VMDK images: a sparse header with its tables, the descriptor, and the files of extents beside it
 *
 * Layout   sector 0 the header, 1 to 20 the descriptor, 21 the redundant directory and its tables, the directory and its tables, grains
 * Threads  home loop
 * Tests    tests/block/formats.py, tests/fuzz/formats.c
 */
#include "block/format/vmdk.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/random.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { DESCRIPTOR_AT = 1, DESCRIPTOR_SECTORS = 20, DIRECTORY_AT = 21 };
static const uint64_t SPLIT = UINT64_C(2) << 30;
static const char *const subformats[] = { "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized", NULL };
typedef enum { MONOLITHIC_SPARSE, MONOLITHIC_FLAT, SPLIT_SPARSE, SPLIT_FLAT, STREAM } Subformat;
static const char *const adapters[] = { "ide", "buslogic", "lsilogic", "legacyESX", NULL };

typedef struct VmdkCreate { int subformat, adapter; bool zeroed, compat6; char *hardware; } VmdkCreate;
const Field vmdk_create_options[] = {
    PROP_ENUM("subformat", VmdkCreate, subformat, subformats, MONOLITHIC_SPARSE,
              .help = "monolithicSparse, monolithicFlat, twoGbMaxExtentSparse, twoGbMaxExtentFlat or streamOptimized"),
    PROP_ENUM("adapter_type", VmdkCreate, adapter, adapters, 0, .help = "the disk's controller: ide, buslogic, lsilogic or legacyESX"),
    PROP_BOOL("zeroed_grain", VmdkCreate, zeroed, false, .help = "grains may be marked as zero"),
    PROP_BOOL("compat6", VmdkCreate, compat6, false, .help = "virtual hardware version 6 instead of 4"),
    PROP_STR("hwversion", VmdkCreate, hardware, .help = "virtual hardware version"),
    FIELD_END };

static int make_sparse(Node *file, uint64_t size, bool stream, bool zeroed, const char *descriptor)
{
    uint64_t sectors = (size + VMDK_SECTOR - 1) / VMDK_SECTOR, grain = VMDK_GRAIN / VMDK_SECTOR, grains = (sectors + grain - 1) / grain;
    uint64_t tables = (grains + VMDK_GT - 1) / VMDK_GT, directory = (tables * 4 + VMDK_SECTOR - 1) / VMDK_SECTOR, table = VMDK_GT * 4 / VMDK_SECTOR;
    uint64_t gd_at = DIRECTORY_AT + directory + tables * table, end = (gd_at + directory + tables * table + grain - 1) / grain * grain;
    g_autofree uint8_t *bytes = NULL;

    if (grains > (64 << 20) / 4) {
        return -EFBIG;
    }
    bytes = g_try_malloc0(end * VMDK_SECTOR);
    if (!bytes) {
        return -ENOMEM;
    }
    memcpy(bytes, "KDMV", 4);
    store_le32(bytes + 4, stream ? 3 : zeroed ? 2 : 1);
    store_le32(bytes + 8, VMDK_NEWLINES | VMDK_REDUNDANT | (stream ? VMDK_COMPRESSED | VMDK_MARKERS : 0) | (zeroed ? VMDK_ZEROED : 0));
    store_le64(bytes + 12, sectors);
    store_le64(bytes + 20, grain);
    if (descriptor) {
        store_le64(bytes + 28, DESCRIPTOR_AT);
        store_le64(bytes + 36, DESCRIPTOR_SECTORS);
        memcpy(bytes + DESCRIPTOR_AT * VMDK_SECTOR, descriptor, MIN(strlen(descriptor), DESCRIPTOR_SECTORS * VMDK_SECTOR));
    }
    store_le32(bytes + 44, VMDK_GT);
    store_le64(bytes + 48, DIRECTORY_AT);
    store_le64(bytes + 56, gd_at);
    store_le64(bytes + 64, end);
    memcpy(bytes + 73, "\n \r\n", 4);
    store_le16(bytes + 77, stream);
    for (uint64_t i = 0; i < tables; i++) {
        store_le32(bytes + DIRECTORY_AT * VMDK_SECTOR + i * 4, (uint32_t)(DIRECTORY_AT + directory + i * table));
        store_le32(bytes + gd_at * VMDK_SECTOR + i * 4, (uint32_t)(gd_at + directory + i * table));
    }
    return blocks_write(file, 0, bytes, end * VMDK_SECTOR);
}

static bool make_extent(const char *path, uint64_t size, bool flat, bool zeroed, const NodeOpen *how, GError **err)
{
    Node *file;

    if (!node_create_file(&file, path, 0, NULL, how, err)) {
        return false;
    }
    NodeUser *user = node_attach(file, "the maker of the image", PERM_ALL, PERM_CONSISTENT_READ, err);
    if (!user) {
        node_unref(file);
        return false;
    }
    int result = flat ? node_truncate(file, size, false, PREALLOC_OFF, 0, NULL) : make_sparse(file, size, false, zeroed, NULL);
    node_detach(user);
    node_unref(file);
    return result == 0 || fail(err, -result, "'%s': the extent cannot be written: %s", path, strerror(-result));
}

/* name.vmdk: name-flat.vmdk, name-f001.vmdk, name-s001.vmdk */
static bool make_extents(const char *path, uint64_t size, Subformat subformat, bool zeroed, GString *lines, const NodeOpen *how, GError **err)
{
    bool flat = subformat != SPLIT_SPARSE, split = subformat != MONOLITHIC_FLAT;
    g_autofree char *stem = g_strdup(path);
    uint64_t at = 0;

    if (g_str_has_suffix(stem, ".vmdk")) {
        stem[strlen(stem) - strlen(".vmdk")] = 0;
    }
    for (unsigned number = 1; at < size || number == 1; number++) {
        uint64_t part = split ? MIN(size - at, SPLIT) : size;
        g_autofree char *name = split ? g_strdup_printf("%s-%c%03u.vmdk", stem, flat ? 'f' : 's', number) : g_strdup_printf("%s-flat.vmdk", stem);
        g_autofree char *base = g_path_get_basename(name);
        if (!make_extent(name, part, flat, zeroed, how, err)) {
            return false;
        }
        g_string_append_printf(lines, "RW %" PRIu64 " %s \"%s\"%s\n", part / VMDK_SECTOR, flat ? "FLAT" : "SPARSE", base, flat ? " 0" : "");
        at += part;
    }
    return true;
}

static char *descriptor_of(const Value *options, Subformat subformat, const char *extents, uint64_t size)
{
    const char *adapter = value_get_string(options, "adapter_type", "ide"), *hardware = value_get_string(options, "hwversion", NULL);
    unsigned heads = strcmp(adapter, "ide") == 0 ? 16 : 255;

    hardware = hardware ? hardware : value_get_flag(options, "compat6", false) ? "6" : "4";
    return g_strdup_printf("# Disk DescriptorFile\nversion=1\nCID=%08x\nparentCID=ffffffff\ncreateType=\"%s\"\n\n# Extent description\n%s\n"
                           "# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"%s\"\nddb.geometry.cylinders = \"%" PRIu64 "\"\n"
                           "ddb.geometry.heads = \"%u\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"%s\"\n",
                           (unsigned)random_u64(), subformats[subformat], extents, hardware, size / (63 * heads * VMDK_SECTOR), heads, adapter);
}

bool vmdk_create(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err)
{
    const char *word = value_get_string(options, "subformat", subformats[0]), *path = node_filename(file);
    Subformat subformat = 0;
    bool zeroed = value_get_flag(options, "zeroed_grain", false);
    g_autoptr(GString) lines = g_string_new(NULL);

    while (subformats[subformat] && strcmp(subformats[subformat], word) != 0) {
        subformat++;
    }
    if (!subformats[subformat]) {
        return fail(err, EINVAL, "Invalid parameter '%s'", word);
    }
    bool alone = subformat == MONOLITHIC_SPARSE || subformat == STREAM;
    size = (size + VMDK_SECTOR - 1) / VMDK_SECTOR * VMDK_SECTOR;
    if (!alone && g_str_has_prefix(path, "json:")) {
        return fail(err, ENOTSUP, "subformat=%s makes files beside the image: it needs a plain path", word);
    }
    g_autofree char *base = g_path_get_basename(path);
    if (alone) {
        g_string_append_printf(lines, "RW %" PRIu64 " SPARSE \"%s\"\n", size / VMDK_SECTOR, strchr(base, '"') ? "disk.vmdk" : base);
    } else if (!make_extents(path, size, subformat, zeroed, lines, how, err)) {
        return false;
    }
    g_autofree char *descriptor = descriptor_of(options, subformat, lines->str, size);
    int result = alone ? make_sparse(file, size, subformat == STREAM, zeroed, descriptor) : blocks_write(file, 0, descriptor, strlen(descriptor));
    return result == 0 || fail(err, -result, "'%s': the image cannot be written: %s", path, strerror(-result));
}
