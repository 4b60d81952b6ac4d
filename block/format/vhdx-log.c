/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhdx-log.c - what a machine that lost power left in the log of a VHDX image goes to its places
 *
 * Layout   entries of whole sectors of 4 KiB in a ring, little endian: 4 CRC-32C, 8 length, 12 tail, 16 sequence number, 24 descriptors, 32 the log's
 *          GUID, 48 how long the file was, 56 how long it is; then descriptors of 32 bytes, then sectors of data
 * Bounds   each byte of the ring is summed at most four times, whatever the lengths in it say; numbers that do not go on end a sequence
 * Threads  home loop, while the image is opened
 * Tests    tests/block/formats.py, tests/fuzz/vhdx.c
 */
#include "block/format/vhdx.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

enum { SECTOR = 4096, ENTRY = 64, DESCRIPTOR = 32 };

typedef struct Log {
    Node *file;
    const uint8_t *guid;
    uint8_t *ring, *entry;                 /* the ring; the entry at hand, unwound */
    uint32_t length;
    uint64_t budget;
} Log;

uint32_t vhdx_crc(uint8_t *bytes, size_t length, size_t field)
{
    static uint32_t table[256];
    uint32_t crc = UINT32_MAX;

    for (uint32_t i = 0; !table[255] && i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++) {
            value = value >> 1 ^ (value & 1 ? 0x82f63b78 : 0);
        }
        table[i] = value;
    }
    for (size_t i = 0; i < length; i++) {
        crc = table[(crc ^ (i - field < 4 ? 0 : bytes[i])) & 0xff] ^ crc >> 8;
    }
    return ~crc;
}

/* The entry at this place of the ring into log->entry; its length, or 0 when there is none. */
static uint32_t read_entry(Log *log, uint32_t at)
{
    uint8_t *entry = log->entry;
    uint32_t length = load_le32(log->ring + at + 8), descriptors = load_le32(log->ring + at + 24);

    if (memcmp(log->ring + at, "loge", 4) != 0 || memcmp(log->ring + at + 32, log->guid, 16) != 0 || length == 0 || length % SECTOR || length > log->length
        || length > log->budget || (uint64_t)descriptors * DESCRIPTOR > length - ENTRY || load_le32(log->ring + at + 12) >= log->length
        || load_le32(log->ring + at + 12) % SECTOR) {
        return 0;
    }
    log->budget -= length;
    uint32_t first = MIN(length, log->length - at);
    memcpy(entry, log->ring + at, first);
    memcpy(entry + first, log->ring, length - first);
    return vhdx_crc(entry, length, 4) == load_le32(entry + 4) ? length : 0;
}

/* From this entry on as long as numbers follow each other: the last one's place, and whether its tail is where we began. */
static bool is_sequence(Log *log, uint32_t start, uint64_t *last)
{
    uint32_t at = start, length = read_entry(log, at), tail = 0;
    uint64_t number = 0, bytes = 0;

    while (length && (bytes == 0 || load_le64(log->entry + 16) == number + 1) && bytes + length <= log->length) {
        number = load_le64(log->entry + 16);
        tail = load_le32(log->entry + 12);
        bytes += length;
        at = (at + length) % log->length;
        length = read_entry(log, at);
    }
    *last = number;
    return bytes && tail == start;
}

static int apply_descriptor(Log *log, const uint8_t *descriptor, const uint8_t *data)
{
    uint64_t at = load_le64(descriptor + 16), end;

    if (load_le64(descriptor + 24) != load_le64(log->entry + 16) || at % SECTOR) {
        return -EINVAL;
    }
    if (memcmp(descriptor, "zero", 4) == 0) {
        uint64_t bytes = load_le64(descriptor + 8);
        if (bytes % SECTOR || !checked_add(at, bytes, &end) || end > node_length(log->file)) {
            return -EINVAL;
        }
        return node_pwrite_zeroes(log->file, at, bytes, 0);
    }
    if (memcmp(descriptor, "desc", 4) != 0 || !data || memcmp(data, "data", 4) != 0 || !range_within(at, SECTOR, node_length(log->file))) {
        return -EINVAL;
    }
    uint8_t sector[SECTOR];
    memcpy(sector, descriptor + 8, 8);
    memcpy(sector + 8, data + 8, SECTOR - 12);
    memcpy(sector + SECTOR - 4, descriptor + 4, 4);
    return node_pwrite(log->file, at, sector, SECTOR);
}

static int apply_entry(Log *log, uint32_t length)
{
    uint32_t count = load_le32(log->entry + 24), data = (ENTRY + count * DESCRIPTOR + SECTOR - 1) / SECTOR * SECTOR;
    uint64_t file = load_le64(log->entry + 56);
    int result = 0;

    if (file > node_length(log->file)) {
        if (file - node_length(log->file) > UINT64_C(1) << 40 || file > INT64_MAX) {
            return -EFBIG;
        }
        result = node_truncate(log->file, file, false, PREALLOC_OFF, REQ_ZERO_WRITE, NULL);
    }
    for (uint32_t i = 0; i < count && result == 0; i++) {
        const uint8_t *descriptor = log->entry + ENTRY + (size_t)i * DESCRIPTOR;
        bool has_data = memcmp(descriptor, "desc", 4) == 0 && data <= length - SECTOR;
        result = apply_descriptor(log, descriptor, has_data ? log->entry + data : NULL);
        data += has_data ? SECTOR : 0;
    }
    return result;
}

static int apply_sequence(Log *log, uint32_t at, uint64_t last)
{
    uint64_t number;
    int result = 0;

    do {
        log->budget = log->length;
        uint32_t length = read_entry(log, at);
        number = load_le64(log->entry + 16);
        result = length && number <= last ? apply_entry(log, length) : -EINVAL;
        at = (at + length) % log->length;
    } while (result == 0 && number < last);
    return result == 0 ? node_flush(log->file) : result;
}

bool vhdx_replay(Node *file, const uint8_t log_guid[16], uint64_t at, uint32_t length, GError **err)
{
    const char *name = node_filename(file);
    g_autofree uint8_t *ring = NULL, *entry = NULL;
    uint64_t best = 0, last;
    uint32_t start = UINT32_MAX;

    if (length == 0 || length % VHDX_MIB || length > VHDX_LOG_MOST || at % VHDX_MIB || at < VHDX_MIB || !range_within(at, length, node_length(file))) {
        return fail(err, EINVAL, "'%s': its VHDX log of %u bytes is not in the file, or larger than 64 MiB", name, length);
    }
    ring = g_try_malloc(length);
    entry = g_try_malloc(length);
    if (!ring || !entry) {
        return fail(err, ENOMEM, "'%s': no memory for its log", name);
    }
    Log log = { file, log_guid, ring, entry, length, (uint64_t)length * 4 };
    int result = node_pread(file, at, ring, length);
    for (uint32_t i = 0; i < length && result == 0; i += SECTOR) {
        if (is_sequence(&log, i, &last) && (start == UINT32_MAX || last > best)) {
            best = last;
            start = i;
        }
    }
    if (result == 0 && start == UINT32_MAX) {
        return fail(err, EINVAL, "'%s': its VHDX log has to be replayed, and nothing valid is in it", name);
    }
    result = result == 0 ? apply_sequence(&log, start, best) : result;
    return result == 0 || fail(err, -result, "'%s': its VHDX log cannot be replayed: %s", name, g_strerror(-result));
}
