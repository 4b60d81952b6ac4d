/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhdx.c - fuzz target: a VHDX image whose structures the input changes, and whose sums are right afterwards
 *
 * The image is one of ours, of three blocks, with a log of two entries that is not empty. The input is patches: which structure, where in it, how
 * many bytes, the bytes. Then headers, region tables and whatever looks like an entry of the log get the CRC-32C that they should have: random changes
 * would never come past it.
 *
 * Holds    what opens can be read, checked, and written; what had no log to replay opens again
 */
#include "block/drivers.h"
#include "block/format/vhdx.h"
#define DISK_MOST (8 << 20)
#include "tests/fuzz/disk.h"
#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LOG_AT = VHDX_MIB, METADATA_AT = 2 * VHDX_MIB, BAT_AT = 3 * VHDX_MIB, END = 4 * VHDX_MIB, SIZE = 3 * VHDX_MIB, PAGE = 4096, GUID = 16 };

static uint8_t *image;                     /* END bytes, made once */

typedef struct Input { const uint8_t *data; size_t size; } Input;

/* ---- the image ---- */

/* Its descriptors: a page of zeroes behind the block table's, and a page of data there. */
static void put_entry(uint8_t *entry, uint64_t number, uint32_t tail)
{
    memcpy(entry, "loge", 4);
    store_le32(entry + 8, 2 * PAGE);
    store_le32(entry + 12, tail);
    store_le64(entry + 16, number);
    store_le32(entry + 24, 2);
    memset(entry + 32, 0x4c, GUID);
    store_le64(entry + 48, END);
    store_le64(entry + 56, END);
    for (int i = 0; i < 2; i++) {
        uint8_t *descriptor = entry + 64 + i * 32;

        memcpy(descriptor, i ? "desc" : "zero", 4);
        store_le64(descriptor + 8, i ? 0 : PAGE);
        store_le64(descriptor + 16, BAT_AT + PAGE * (uint64_t)(1 + i));
        store_le64(descriptor + 24, number);
    }
    memcpy(entry + PAGE, "data", 4);
}

static int make_image(void *opaque)
{
    g_autoptr(Value) options = value_new_object();
    Node *disk = disk_new(NULL, 0);

    (void)opaque;
    value_set(options, "block_size", value_new_uint(VHDX_MIB));
    g_assert_true(vhdx_create(disk, SIZE, options, &(NodeOpen){ .writable = true }, NULL));
    g_assert_cmpuint(node_length(disk), ==, END);
    image = g_memdup2(((Disk *)disk)->bytes->data, END);
    node_unref(disk);
    for (uint64_t at = VHDX_HEADER_1; at <= VHDX_HEADER_2; at += VHDX_HEADER_2 - VHDX_HEADER_1) {
        memset(image + at + 16, 0x47, 2 * GUID);               /* nothing is random here */
        memset(image + at + 48, 0x4c, GUID);
    }
    memset(image + METADATA_AT + VHDX_REGIONS + 16, 0x50, GUID);
    put_entry(image + LOG_AT, 7, 0);
    put_entry(image + LOG_AT + 2 * PAGE, 8, 0);
    return 0;
}

static void patch(uint8_t *bytes, Input *input)
{
    static const struct { uint32_t at, room; } places[] = {
        { VHDX_HEADER_1, 128 }, { VHDX_HEADER_2, 128 }, { VHDX_REGION_1, 256 }, { VHDX_REGION_2, 256 }, { LOG_AT, 65000 }, { LOG_AT, 256 },
        { LOG_AT + VHDX_MIB - 65536, 65000 }, { METADATA_AT, 512 }, { METADATA_AT + VHDX_REGIONS, 64 }, { BAT_AT, 64 }, { BAT_AT, 65000 }, { 0, 65000 },
    };

    while (input->size >= 4) {
        const uint8_t *head = input->data;
        uint32_t place = head[0] % G_N_ELEMENTS(places), at = load_le16(head + 1) % places[place].room, count = MIN(head[3] % 40, input->size - 4);

        memcpy(bytes + places[place].at + at, head + 4, count);
        input->data += 4 + count;
        input->size -= 4 + count;
    }
}

/* As the file's newest words about its log say; an entry may go round its end. */
static void sum_entries(uint8_t *bytes, uint64_t log, uint32_t length)
{
    static uint8_t entry[VHDX_MIB];

    if (length > VHDX_MIB || length < PAGE || log > END - length) {
        return;
    }
    for (uint32_t at = 0, summed = 0; at + PAGE <= length && summed < 4 * VHDX_MIB; at += PAGE) {
        uint32_t bytes_of = load_le32(bytes + log + at + 8), first = MIN(bytes_of, length - at);

        if (memcmp(bytes + log + at, "loge", 4) == 0 && bytes_of >= PAGE && bytes_of <= length) {
            memcpy(entry, bytes + log + at, first);
            memcpy(entry + first, bytes + log, bytes_of - first);
            store_le32(bytes + log + at + 4, vhdx_crc(entry, bytes_of, 4));
            summed += bytes_of;
        }
    }
}

static void sum(uint8_t *bytes)
{
    static const uint64_t headers[] = { VHDX_HEADER_1, VHDX_HEADER_2 };

    for (size_t i = 0; i < G_N_ELEMENTS(headers); i++) {
        sum_entries(bytes, load_le64(bytes + headers[i] + 72), load_le32(bytes + headers[i] + 68));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(headers); i++) {
        store_le32(bytes + headers[i] + 4, vhdx_crc(bytes + headers[i], VHDX_HEADER, 4));
    }
    store_le32(bytes + VHDX_REGION_1 + 4, vhdx_crc(bytes + VHDX_REGION_1, VHDX_REGIONS, 4));
    store_le32(bytes + VHDX_REGION_2 + 4, vhdx_crc(bytes + VHDX_REGION_2, VHDX_REGIONS, 4));
}

/* ---- what is done with it ---- */

static bool open_on(Node *disk, bool writable, Node **out)
{
    g_autoptr(Value) options = value_new_object();

    value_set(options, "driver", value_new_string("vhdx"));
    value_set(options, "file", value_new_string(node_name(disk)));
    return node_open(out, options, &(NodeOpen){ .writable = writable }, NULL);
}

static void use(Node *node, bool writable)
{
    enum { PART = 65536 };
    g_autofree uint8_t *bytes = g_malloc0(PART);
    uint64_t length = node_length(node), part = MIN(length, PART), count;
    ImageCheck check = { 0 };

    node_pread(node, 0, bytes, part);
    node_pread(node, length - part, bytes, part);
    node_block_status(node, 0, length, &count, NULL, NULL);
    vhdx_driver.check(node, &check, 0);
    if (writable) {
        node_pwrite(node, 0, bytes, part);
        node_pwrite(node, length - part, bytes, part);
        node_pwrite_zeroes(node, length / 2, part / 2, 0);
        node_flush(node);
    }
}

static int run(void *opaque)
{
    Input *input = opaque;
    bool writable = input->data[0] & 1, replays = !(input->data[0] & 2), opened;
    g_autofree uint8_t *bytes = g_memdup2(image, END);
    Node *disk, *node;

    if (!replays) {                        /* an empty log: all else comes to its turn */
        memset(bytes + VHDX_HEADER_1 + 48, 0, GUID);
        memset(bytes + VHDX_HEADER_2 + 48, 0, GUID);
    }
    input->data++;
    input->size--;
    patch(bytes, input);
    sum(bytes);
    disk = disk_new(bytes, END);
    opened = open_on(disk, writable, &node);
    if (opened) {
        use(node, writable);
        node_unref(node);
    }
    if (opened && writable) {              /* its log is empty now; but that may have brought anything to any place */
        opened = open_on(disk, false, &node);
        g_assert_true(opened || replays);
    }
    if (opened && writable) {
        node_unref(node);
    }
    node_unref(disk);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input input = { data, size };

    if (!image) {
        io_loop_run(io_loop_main(), make_image, NULL);
    }
    if (size > 0) {
        io_loop_run(io_loop_main(), run, &input);
    }
    return 0;
}
