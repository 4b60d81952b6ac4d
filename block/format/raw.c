/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * raw.c - "raw": the bytes of a file as they are, or a window of them
 *
 * Models   offset= and size=; without them every request passes through as it came, to the file's own gate
 * Omits    looking at the bytes: what was opened as raw is never taken for another format
 * Threads  home loop
 * Tests    tests/block/graph.c
 */
#include "block/drivers.h"
#include "base/checked.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>

typedef struct Raw {
    Node node;
    uint64_t offset;
    uint64_t size;                         /* UINT64_MAX: to the end of the file */
} Raw;

static const Field raw_options[] = {
    PROP_SIZE("offset", Raw, offset, 0, .help = "bytes of the file before the disk begins"),
    PROP_SIZE("size", Raw, size, UINT64_MAX, .help = "bytes of the disk; default: to the end of the file"),
    FIELD_END };

static bool sized(const Raw *raw)
{
    return raw->size != UINT64_MAX;
}

/* What the window leaves of the file's length; the kernel takes no part of a disk, so a tail below 512 bytes stays as it is. */
static bool find_length(Raw *raw, GError **err)
{
    uint64_t file = node_length(raw->node.file);

    if (raw->offset > file) {
        return fail(err, EINVAL, "raw: offset=%" PRIu64 " lies beyond the end of the file, which has %" PRIu64 " bytes", raw->offset, file);
    }
    if (sized(raw) && raw->size > file - raw->offset) {
        return fail(err, EINVAL, "raw: offset=%" PRIu64 " and size=%" PRIu64 " reach beyond the end of the file, which has %" PRIu64 " bytes",
                    raw->offset, raw->size, file);
    }
    raw->node.length = sized(raw) ? raw->size : file - raw->offset;
    return true;
}

static bool raw_open(Node *node, const NodeOpen *how, GError **err)
{
    Raw *raw = (Raw *)node;
    uint32_t alignment = node->file->limits.request_alignment;

    (void)how;
    if (raw->offset % alignment || (sized(raw) && raw->size % alignment)) {
        return fail(err, EINVAL, "raw: offset and size must be multiples of the %u bytes that the file below can be read in", alignment);
    }
    node->limits = node->file->limits;
    node->zero_beyond = node->file->zero_beyond;
    node->encrypted = node->file->encrypted;
    return find_length(raw, err);
}

static int raw_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    return node_preadv(node->file, offset + ((Raw *)node)->offset, to, flags);
}

static int raw_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    return node_pwritev(node->file, offset + ((Raw *)node)->offset, from, flags);
}

static int raw_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    return node_pwrite_zeroes(node->file, offset + ((Raw *)node)->offset, bytes, flags | REQ_NO_FALLBACK);
}

static int raw_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    return node_pdiscard(node->file, offset + ((Raw *)node)->offset, bytes);
}

static int raw_flush(Node *node)
{
    return node_flush(node->file);
}

static int raw_copy_range(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset, uint64_t bytes, RequestFlags flags)
{
    return node_copy_range(from, from_offset, to->file, to_offset + ((Raw *)to)->offset, bytes, flags);
}

static int raw_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    (void)exact;
    *count = bytes;
    *map = offset + ((Raw *)node)->offset;
    *file = node->file;
    return STATUS_OFFSET | STATUS_RECURSE;
}

static int raw_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err)
{
    Raw *raw = (Raw *)node;
    uint64_t end;

    if (sized(raw)) {
        fail(err, ENOTSUP, "raw: a window with a size= of its own cannot be resized");
        return -ENOTSUP;
    }
    if (!checked_add(size, raw->offset, &end) || end > INT64_MAX) {
        fail(err, EFBIG, "raw: the size is too large");
        return -EFBIG;
    }
    int result = node_truncate(node->file, end, exact, preallocation, flags, err);
    return result < 0 ? result : (node->length = node_length(node->file) - raw->offset, 0);
}

static int64_t raw_length(Node *node)
{
    Raw *raw = (Raw *)node;
    int64_t file = node_refresh_length(node->file);

    if (file < 0) {
        return file;
    }
    return sized(raw) ? (int64_t)raw->size : (uint64_t)file < raw->offset ? 0 : file - (int64_t)raw->offset;
}

static bool raw_create(Node *file, uint64_t size, const Value *options, const NodeOpen *how, GError **err)
{
    Preallocation how_much = PREALLOC_OFF;
    const char *word = value_get_string(options, "preallocation", "off");

    (void)how;
    while (preallocation_names[how_much] && !g_str_equal(preallocation_names[how_much], word)) {
        how_much++;
    }
    if (!preallocation_names[how_much] || how_much == PREALLOC_METADATA) {
        return fail(err, EINVAL, "preallocation=%s: a raw image takes off, falloc or full", word);
    }
    return node_truncate(file, size, false, how_much, 0, err) == 0;
}

typedef struct RawCreate { int preallocation; } RawCreate;
static const Field raw_create_options[] = {
    PROP_ENUM("preallocation", RawCreate, preallocation, preallocation_names, PREALLOC_OFF,
              .help = "space that is taken at once: off, falloc or full"),
    FIELD_END };

static bool raw_measure(const Value *options, Node *source, uint64_t size, ImageMeasure *measure, GError **err)
{
    (void)options;
    (void)err;
    measure->required = measure->fully_allocated = source ? node_length(source) : size;
    return true;
}

/* Anything is raw, as a last resort. */
static int raw_probe(const uint8_t *head, size_t length, const char *filename)
{
    (void)head;
    (void)length;
    (void)filename;
    return 1;
}

const NodeDriver raw_driver = {
    .name = "raw",  .help = "the bytes of a file as they are, or a window of them",
    .kind = NODE_FORMAT,  .size = sizeof(Raw),  .options = raw_options,
    .file_child = true,  .file_role = CHILD_FILTERED,  .probe = raw_probe,
    .open = raw_open,  .preadv = raw_preadv,  .pwritev = raw_pwritev,  .pwrite_zeroes = raw_pwrite_zeroes,  .pdiscard = raw_pdiscard,
    .flush = raw_flush,  .copy_range = raw_copy_range,  .block_status = raw_block_status,  .truncate = raw_truncate,
    .length = raw_length,  .supported_write_flags = REQ_FUA,  .supported_zero_flags = REQ_FUA | REQ_MAY_UNMAP,
    .create_options = raw_create_options,  .create = raw_create,  .measure = raw_measure,
};
