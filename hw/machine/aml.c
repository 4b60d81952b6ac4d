/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aml.c - an ACPI Machine Language writer; see aml.h
 *
 * Tests    tests/guest: a real kernel parses what it writes; iasl disassembles it in tests/unit/acpi.c where it is installed
 */
#include "hw/machine/aml.h"
#include "base/bytes.h"
#include <string.h>

enum { ZERO_OP = 0x00, ONE_OP = 0x01, NAME_OP = 0x08, BYTE_PREFIX = 0x0a, WORD_PREFIX = 0x0b, DWORD_PREFIX = 0x0c, STRING_PREFIX = 0x0d,
       QWORD_PREFIX = 0x0e, SCOPE_OP = 0x10, BUFFER_OP = 0x11, PACKAGE_OP = 0x12, METHOD_OP = 0x14, DUAL_NAME = 0x2e, MULTI_NAME = 0x2f,
       EXT_PREFIX = 0x5b, STORE_OP = 0x70, IF_OP = 0xa0, ELSE_OP = 0xa1, RETURN_OP = 0xa4, EXT_REGION = 0x80, EXT_FIELD = 0x81,
       EXT_DEVICE = 0x82, WHILE_OP = 0xa2, EXT_MUTEX = 0x01, EXT_ACQUIRE = 0x23, EXT_RELEASE = 0x27 };

void aml_init(Aml *aml)
{
    *aml = (Aml){ .bytes = g_byte_array_new() };
}

void aml_clear(Aml *aml)
{
    g_clear_pointer(&aml->bytes, g_byte_array_unref);
}

void aml_op(Aml *aml, uint8_t opcode)
{
    g_byte_array_append(aml->bytes, &opcode, 1);
}

void aml_no_target(Aml *aml)
{
    aml_op(aml, ZERO_OP);
}

static void put(Aml *aml, const void *data, size_t length)
{
    g_byte_array_append(aml->bytes, data, (guint)length);
}

static void put_word(Aml *aml, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    put(aml, bytes, sizeof bytes);
}

static void put_dword(Aml *aml, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    put(aml, bytes, sizeof bytes);
}

static void open_block(Aml *aml)
{
    g_return_if_fail(aml->depth < AML_DEPTH);
    aml->open[aml->depth++] = aml->bytes->len;
}

/* A package length counts itself: one byte up to 63, else 1 to 3 more bytes, the low nibble in the first (20.2.4). */
static unsigned encode_length(uint8_t out[4], unsigned body)
{
    for (unsigned extra = 0; extra < 4; extra++) {
        unsigned total = body + 1 + extra;
        if (extra == 0 && total < 64) {
            out[0] = (uint8_t)total;
            return 1;
        }
        if (extra > 0 && total < 1u << (4 + 8 * extra)) {
            out[0] = (uint8_t)(extra << 6 | (total & 15));
            for (unsigned i = 1; i <= extra; i++) {
                out[i] = (uint8_t)(total >> (8 * i - 4));
            }
            return 1 + extra;
        }
    }
    return 0;
}

void aml_end(Aml *aml)
{
    g_return_if_fail(aml->depth > 0);
    guint at = aml->open[--aml->depth], body = aml->bytes->len - at;
    uint8_t length[4];
    unsigned size = encode_length(length, body);

    g_byte_array_set_size(aml->bytes, aml->bytes->len + size);
    memmove(aml->bytes->data + at + size, aml->bytes->data + at, body);
    memcpy(aml->bytes->data + at, length, size);
}

void aml_path(Aml *aml, const char *path)
{
    for (; *path == '\\' || *path == '^'; path++) {
        aml_op(aml, (uint8_t)*path);
    }
    g_auto(GStrv) segments = g_strsplit(path, ".", -1);
    guint count = g_strv_length(segments);

    if (count == 0) {
        aml_op(aml, ZERO_OP);
    } else if (count == 2) {
        aml_op(aml, DUAL_NAME);
    } else if (count > 2) {
        aml_op(aml, MULTI_NAME);
        aml_op(aml, (uint8_t)count);
    }
    for (guint i = 0; i < count; i++) {
        char segment[4] = { '_', '_', '_', '_' };
        memcpy(segment, segments[i], MIN(strlen(segments[i]), sizeof segment));
        put(aml, segment, sizeof segment);
    }
}

void aml_integer(Aml *aml, uint64_t value)
{
    if (value <= 1) {
        aml_op(aml, value ? ONE_OP : ZERO_OP);
    } else if (value <= UINT8_MAX) {
        aml_op(aml, BYTE_PREFIX);
        aml_op(aml, (uint8_t)value);
    } else if (value <= UINT16_MAX) {
        aml_op(aml, WORD_PREFIX);
        put_word(aml, (uint16_t)value);
    } else if (value <= UINT32_MAX) {
        aml_op(aml, DWORD_PREFIX);
        put_dword(aml, (uint32_t)value);
    } else {
        aml_op(aml, QWORD_PREFIX);
        put_dword(aml, (uint32_t)value);
        put_dword(aml, (uint32_t)(value >> 32));
    }
}

void aml_string(Aml *aml, const char *text)
{
    aml_op(aml, STRING_PREFIX);
    put(aml, text, strlen(text) + 1);
}

/* Three letters of five bits and four hexadecimal digits, as a big-endian number (6.1.5, EISAID). */
void aml_eisa_id(Aml *aml, const char *id)
{
    uint32_t number = (uint32_t)(id[0] - 0x40) << 26 | (uint32_t)(id[1] - 0x40) << 21 | (uint32_t)(id[2] - 0x40) << 16 |
                      (uint32_t)g_ascii_strtoull(id + 3, NULL, 16);

    aml_integer(aml, GUINT32_SWAP_LE_BE(number));
}

void aml_begin_scope(Aml *aml, const char *path)
{
    aml_op(aml, SCOPE_OP);
    open_block(aml);
    aml_path(aml, path);
}

void aml_begin_device(Aml *aml, const char *name)
{
    aml_op(aml, EXT_PREFIX);
    aml_op(aml, EXT_DEVICE);
    open_block(aml);
    aml_path(aml, name);
}

void aml_begin_method(Aml *aml, const char *name, unsigned arguments, bool serialized)
{
    aml_op(aml, METHOD_OP);
    open_block(aml);
    aml_path(aml, name);
    aml_op(aml, (uint8_t)(arguments | (serialized ? 8 : 0)));
}

void aml_begin_package(Aml *aml, uint8_t elements)
{
    aml_op(aml, PACKAGE_OP);
    open_block(aml);
    aml_op(aml, elements);
}

void aml_begin_field(Aml *aml, const char *region, unsigned access)
{
    aml_op(aml, EXT_PREFIX);
    aml_op(aml, EXT_FIELD);
    open_block(aml);
    aml_path(aml, region);
    aml_op(aml, (uint8_t)access);
}

void aml_field_unit(Aml *aml, const char *name, unsigned bits)
{
    uint8_t length[4];

    if (name) {
        put(aml, name, 4);
    } else {
        aml_op(aml, ZERO_OP);
    }
    /* A field's length does not count itself. */
    if (bits < 64) {
        aml_op(aml, (uint8_t)bits);
        return;
    }
    length[0] = (uint8_t)(0x40 | (bits & 15));
    length[1] = (uint8_t)(bits >> 4);
    put(aml, length, 2);
}

void aml_begin_if(Aml *aml)
{
    aml_op(aml, IF_OP);
    open_block(aml);
}

void aml_begin_else(Aml *aml)
{
    aml_op(aml, ELSE_OP);
    open_block(aml);
}

void aml_begin_while(Aml *aml)
{
    aml_op(aml, WHILE_OP);
    open_block(aml);
}

void aml_mutex(Aml *aml, const char *name)
{
    aml_op(aml, EXT_PREFIX);
    aml_op(aml, EXT_MUTEX);
    aml_path(aml, name);
    aml_op(aml, 0);
}

void aml_acquire(Aml *aml, const char *mutex)
{
    aml_op(aml, EXT_PREFIX);
    aml_op(aml, EXT_ACQUIRE);
    aml_path(aml, mutex);
    put_word(aml, 0xffff);
}

void aml_release(Aml *aml, const char *mutex)
{
    aml_op(aml, EXT_PREFIX);
    aml_op(aml, EXT_RELEASE);
    aml_path(aml, mutex);
}

void aml_buffer(Aml *aml, const void *data, uint8_t length)
{
    aml_op(aml, BUFFER_OP);
    open_block(aml);
    aml_integer(aml, length);
    put(aml, data, length);
    aml_end(aml);
}

void aml_name(Aml *aml, const char *name)
{
    aml_op(aml, NAME_OP);
    aml_path(aml, name);
}

void aml_region(Aml *aml, const char *name, unsigned space, uint64_t offset, uint64_t length)
{
    aml_op(aml, EXT_PREFIX);
    aml_op(aml, EXT_REGION);
    aml_path(aml, name);
    aml_op(aml, (uint8_t)space);
    aml_integer(aml, offset);
    aml_integer(aml, length);
}

void aml_return(Aml *aml)
{
    aml_op(aml, RETURN_OP);
}

void aml_store(Aml *aml)
{
    aml_op(aml, STORE_OP);
}

/* The buffer's size is an integer in front of its bytes, known at the close: a word is kept free for it. */
void aml_begin_resources(Aml *aml)
{
    aml_op(aml, BUFFER_OP);
    open_block(aml);
    aml_op(aml, WORD_PREFIX);
    put_word(aml, 0);
}

void aml_end_resources(Aml *aml)
{
    static const uint8_t end_tag[2] = { 0x79, 0 };
    guint at = aml->open[aml->depth - 1];

    put(aml, end_tag, sizeof end_tag);
    store_le16(aml->bytes->data + at + 1, (uint16_t)(aml->bytes->len - at - 3));
    aml_end(aml);
}

void aml_resource_io(Aml *aml, uint16_t first, uint16_t last, uint8_t align, uint8_t length)
{
    aml_op(aml, 0x47);
    aml_op(aml, 1);                        /* decodes 16 bits */
    put_word(aml, first);
    put_word(aml, last);
    aml_op(aml, align);
    aml_op(aml, length);
}

void aml_resource_irq(Aml *aml, uint16_t mask)
{
    aml_op(aml, 0x22);
    put_word(aml, mask);
}

void aml_resource_dma(Aml *aml, uint8_t channels)
{
    aml_op(aml, 0x2a);
    aml_op(aml, channels);
    aml_op(aml, 0);
}

void aml_resource_interrupts(Aml *aml, const uint32_t *gsis, uint8_t count)
{
    aml_op(aml, 0x89);
    put_word(aml, (uint16_t)(2 + 4 * count));
    aml_op(aml, 0x09);                     /* consumer, level, active high, shared */
    aml_op(aml, count);
    for (unsigned i = 0; i < count; i++) {
        put_dword(aml, gsis[i]);
    }
}

void aml_resource_memory(Aml *aml, uint32_t base, uint32_t length, bool writable)
{
    aml_op(aml, 0x86);
    put_word(aml, 9);
    aml_op(aml, writable);
    put_dword(aml, base);
    put_dword(aml, length);
}

/* An address space descriptor of 16 bits: type 0 memory, 1 I/O, 2 bus numbers; producer, fixed at both ends. */
static void window16(Aml *aml, uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
    aml_op(aml, 0x88);
    put_word(aml, 13);
    aml_op(aml, type);
    aml_op(aml, 0x0c);
    aml_op(aml, flags);
    put_word(aml, 0);
    put_word(aml, first);
    put_word(aml, last);
    put_word(aml, 0);
    put_word(aml, (uint16_t)(last - first + 1));
}

void aml_resource_bus_window(Aml *aml, uint16_t first, uint16_t last)
{
    window16(aml, 2, 0, first, last);
}

void aml_resource_io_window(Aml *aml, uint16_t first, uint16_t last)
{
    window16(aml, 1, 3, first, last);      /* the whole range, ISA and not */
}

void aml_resource_memory_window(Aml *aml, uint32_t first, uint32_t last, bool cacheable)
{
    aml_op(aml, 0x87);
    put_word(aml, 23);
    aml_op(aml, 0);
    aml_op(aml, 0x0c);
    aml_op(aml, cacheable ? 3 : 1);        /* read-write, cacheable or not */
    put_dword(aml, 0);
    put_dword(aml, first);
    put_dword(aml, last);
    put_dword(aml, 0);
    put_dword(aml, last - first + 1);
}
