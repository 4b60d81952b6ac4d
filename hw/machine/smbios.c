/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * smbios.c - what dmidecode shows: BIOS, system, board, chassis, processors, memory
 *
 * Follows  DSP0134 2.8: structures 0, 1, 2, 3, 4, 11, 16, 17, 19, 32, 127; a user's -smbios overrides strings of 0-4 and
 *          17, adds strings of 11, or adds whole structures from a file
 * Tests    tests/unit/smbios.c; tests/guest by /sys/class/dmi
 */
#include "hw/machine/smbios.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/open.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ANCHOR = 31, STRINGS_MOST = 64, FILE_LIMIT = 65535 };
enum { HANDLE_BIOS = 0x000, HANDLE_SYSTEM = 0x100, HANDLE_BOARD = 0x200, HANDLE_CHASSIS = 0x300, HANDLE_CPU = 0x400, HANDLE_OEM = 0xe00,
       HANDLE_ARRAY = 0x1000, HANDLE_MEMORY = 0x1100, HANDLE_MAPPED = 0x1300, HANDLE_BOOT = 0x2000, HANDLE_END = 0x7f00 };

typedef struct Builder {
    const SmbiosConfig *config;
    const Value *user;
    GByteArray *tables;
    uint16_t count, longest;
    guint start;                           /* of the structure being written */
    const char *strings[STRINGS_MOST];
    unsigned string_count;
} Builder;

static void put8(Builder *b, uint8_t value)
{
    g_byte_array_append(b->tables, &value, 1);
}

static void put16(Builder *b, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    g_byte_array_append(b->tables, bytes, sizeof bytes);
}

static void put32(Builder *b, uint32_t value)
{
    put16(b, (uint16_t)value);
    put16(b, (uint16_t)(value >> 16));
}

static void put64(Builder *b, uint64_t value)
{
    put32(b, (uint32_t)value);
    put32(b, (uint32_t)(value >> 32));
}

/* A string is a number here and stands behind the structure; an empty one is number 0. */
static void put_string(Builder *b, const char *text)
{
    if (!text || !*text || b->string_count == STRINGS_MOST) {
        put8(b, 0);
        return;
    }
    b->strings[b->string_count++] = text;
    put8(b, (uint8_t)b->string_count);
}

static void begin(Builder *b, uint8_t type, uint16_t handle)
{
    b->start = b->tables->len;
    b->string_count = 0;
    put8(b, type);
    put8(b, 0);
    put16(b, handle);
}

static void end(Builder *b)
{
    b->tables->data[b->start + 1] = (uint8_t)(b->tables->len - b->start);
    for (unsigned i = 0; i < b->string_count; i++) {
        g_byte_array_append(b->tables, (const uint8_t *)b->strings[i], (guint)strlen(b->strings[i]) + 1);
    }
    put8(b, 0);
    if (!b->string_count) {
        put8(b, 0);
    }
    b->longest = MAX(b->longest, (uint16_t)(b->tables->len - b->start));
    b->count++;
}

/* The user's word for a field of a type (the last one counts), or the fallback. */
static const char *asked(const Builder *b, unsigned type, const char *key, const char *fallback)
{
    const char *found = fallback;

    for (size_t i = 0; i < value_length(b->user); i++) {
        const Value *item = value_at(b->user, i);
        if (value_get_uint(item, "type", UINT64_MAX) == type) {
            found = value_get_string(item, key, found);
        }
    }
    return found;
}

static void write_bios(Builder *b)
{
    unsigned major = 0, minor = 0;
    const char *release = asked(b, 0, "release", "0.0");

    sscanf(release, "%u.%u", &major, &minor);
    begin(b, 0, HANDLE_BIOS);
    put_string(b, asked(b, 0, "vendor", "SeaBIOS"));
    put_string(b, asked(b, 0, "version", "rel-1.16.2"));
    put16(b, 0xe800);
    put_string(b, asked(b, 0, "date", "04/01/2014"));
    put8(b, 0);
    put64(b, 8);                           /* no characteristics */
    put8(b, 0);
    put8(b, (uint8_t)(4 | (strcmp(asked(b, 0, "uefi", "off"), "on") == 0 ? 8 : 0)));    /* targeted content, UEFI */
    put8(b, (uint8_t)major);
    put8(b, (uint8_t)minor);
    put8(b, 0xff);
    put8(b, 0xff);
    end(b);
}

/* Text to the mixed-endian form: the first three groups are little endian (7.2.1). */
static bool uuid_bytes(const char *text, uint8_t out[16])
{
    static const uint8_t place[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
    unsigned at = 0;

    memset(out, 0, 16);
    for (; text && *text && at < 32; text++) {
        int digit = g_ascii_xdigit_value(*text);
        if (digit >= 0) {
            out[place[at / 2]] = (uint8_t)(out[place[at / 2]] << 4 | digit);
            at++;
        } else if (*text != '-') {
            return false;
        }
    }
    return at == 32;
}

static bool write_system(Builder *b, GError **err)
{
    const char *text = asked(b, 1, "uuid", b->config->uuid);
    uint8_t uuid[16];

    if (!uuid_bytes(text, uuid) && text) {
        return fail(err, EINVAL, "UUID '%s': it takes 32 hexadecimal digits, as in 8d1bcc12-7cd7-4c85-a3a4-3c0f5d1c3e10", text);
    }
    begin(b, 1, HANDLE_SYSTEM);
    put_string(b, asked(b, 1, "manufacturer", "QEMU"));
    put_string(b, asked(b, 1, "product", "Standard PC (i440FX + PIIX, 1996)"));
    put_string(b, asked(b, 1, "version", b->config->machine));
    put_string(b, asked(b, 1, "serial", NULL));
    g_byte_array_append(b->tables, uuid, sizeof uuid);
    put8(b, 6);                            /* woken by the power switch */
    put_string(b, asked(b, 1, "sku", NULL));
    put_string(b, asked(b, 1, "family", NULL));
    end(b);
    return true;
}

static bool user_has(const Builder *b, unsigned type)
{
    for (size_t i = 0; i < value_length(b->user); i++) {
        if (value_get_uint(value_at(b->user, i), "type", UINT64_MAX) == type) {
            return true;
        }
    }
    return false;
}

static void write_board(Builder *b)
{
    if (!user_has(b, 2)) {
        return;                            /* as on the peer's PC: only when asked for */
    }
    begin(b, 2, HANDLE_BOARD);
    put_string(b, asked(b, 2, "manufacturer", "QEMU"));
    put_string(b, asked(b, 2, "product", "Standard PC (i440FX + PIIX, 1996)"));
    put_string(b, asked(b, 2, "version", b->config->machine));
    put_string(b, asked(b, 2, "serial", NULL));
    put_string(b, asked(b, 2, "asset", NULL));
    put8(b, 1);                            /* hosting board */
    put_string(b, asked(b, 2, "location", NULL));
    put16(b, HANDLE_CHASSIS);
    put8(b, 10);                           /* motherboard */
    put8(b, 0);
    end(b);
}

static void write_chassis(Builder *b)
{
    begin(b, 3, HANDLE_CHASSIS);
    put_string(b, asked(b, 3, "manufacturer", "QEMU"));
    put8(b, 1);                            /* other */
    put_string(b, asked(b, 3, "version", b->config->machine));
    put_string(b, asked(b, 3, "serial", NULL));
    put_string(b, asked(b, 3, "asset", NULL));
    put8(b, 3);                            /* boot-up, power supply, thermal: safe */
    put8(b, 3);
    put8(b, 3);
    put8(b, 2);
    put32(b, 0);
    put8(b, 0);
    put8(b, 0);
    put8(b, 0);
    put8(b, 0);
    put_string(b, asked(b, 3, "sku", NULL));
    end(b);
}

static void write_processor(Builder *b, unsigned socket, char designation[16])
{
    const SmbiosConfig *config = b->config;

    g_snprintf(designation, 16, "%s %u", asked(b, 4, "sock_pfx", "CPU"), socket);
    begin(b, 4, (uint16_t)(HANDLE_CPU + socket));
    put_string(b, designation);
    put8(b, 3);                            /* central processor, family other */
    put8(b, 1);
    put_string(b, asked(b, 4, "manufacturer", "QEMU"));
    put32(b, config->cpu_signature);
    put32(b, config->cpu_features);
    put_string(b, asked(b, 4, "version", config->machine));
    put8(b, 0);
    put16(b, 0);
    put16(b, (uint16_t)g_ascii_strtoull(asked(b, 4, "max-speed", "2000"), NULL, 10));
    put16(b, (uint16_t)g_ascii_strtoull(asked(b, 4, "current-speed", "2000"), NULL, 10));
    put8(b, 0x41);                         /* populated, enabled */
    put8(b, 1);
    put16(b, 0xffff);                      /* no cache handles */
    put16(b, 0xffff);
    put16(b, 0xffff);
    put_string(b, asked(b, 4, "serial", NULL));
    put_string(b, asked(b, 4, "asset", NULL));
    put_string(b, asked(b, 4, "part", NULL));
    put8(b, (uint8_t)MIN(config->cores, 255u));
    put8(b, (uint8_t)MIN(config->cores, 255u));
    put8(b, (uint8_t)MIN(config->threads, 255u));
    put16(b, 2);
    put16(b, 1);
    put16(b, (uint16_t)config->cores);
    put16(b, (uint16_t)config->cores);
    put16(b, (uint16_t)config->threads);
    end(b);
}

static void write_oem_strings(Builder *b)
{
    unsigned count = 0;

    for (size_t i = 0; i < value_length(b->user); i++) {
        const Value *item = value_at(b->user, i);
        count += value_get_uint(item, "type", 0) == 11 && value_get_string(item, "value", NULL) && count < STRINGS_MOST;
    }
    if (!count) {
        return;
    }
    begin(b, 11, HANDLE_OEM);
    put8(b, (uint8_t)count);
    for (size_t i = 0; i < value_length(b->user) && b->string_count < count; i++) {
        const Value *item = value_at(b->user, i);
        if (value_get_uint(item, "type", 0) == 11 && value_get_string(item, "value", NULL)) {
            b->strings[b->string_count++] = value_get_string(item, "value", "");
        }
    }
    end(b);
}

static void write_memory(Builder *b)
{
    const SmbiosConfig *config = b->config;
    uint64_t size = config->ram_below_4g + config->ram_above_4g, mib = size >> 20;

    begin(b, 16, HANDLE_ARRAY);
    put8(b, 1);                            /* location other, system memory, multi-bit correction */
    put8(b, 3);
    put8(b, 6);
    put32(b, size < UINT64_C(0x80000000) * 1024 ? (uint32_t)(size >> 10) : 0x80000000);
    put16(b, 0xfffe);
    put16(b, 1);
    put64(b, size < UINT64_C(0x80000000) * 1024 ? 0 : size);
    end(b);
    begin(b, 17, HANDLE_MEMORY);
    put16(b, HANDLE_ARRAY);
    put16(b, 0xfffe);
    put16(b, 0xffff);
    put16(b, 0xffff);
    put16(b, mib < 0x7fff ? (uint16_t)mib : 0x7fff);
    put8(b, 9);                            /* DIMM */
    put8(b, 0);
    put_string(b, asked(b, 17, "loc_pfx", "DIMM 0"));
    put_string(b, asked(b, 17, "bank", NULL));
    put8(b, 7);                            /* RAM */
    put16(b, 2);
    put16(b, (uint16_t)g_ascii_strtoull(asked(b, 17, "speed", "0"), NULL, 10));
    put_string(b, asked(b, 17, "manufacturer", "QEMU"));
    put_string(b, asked(b, 17, "serial", NULL));
    put_string(b, asked(b, 17, "asset", NULL));
    put_string(b, asked(b, 17, "part", NULL));
    put8(b, 0);
    put32(b, mib < 0x7fff ? 0 : (uint32_t)mib);
    put16(b, 0);
    put16(b, 0);
    put16(b, 0);
    put16(b, 0);
    end(b);
}

static void write_mapped(Builder *b, uint16_t index, uint64_t start, uint64_t size)
{
    uint64_t last = start + size - 1;
    bool small = last >> 10 < UINT32_MAX;

    begin(b, 19, (uint16_t)(HANDLE_MAPPED + index));
    put32(b, small ? (uint32_t)(start >> 10) : UINT32_MAX);
    put32(b, small ? (uint32_t)(last >> 10) : UINT32_MAX);
    put16(b, HANDLE_ARRAY);
    put8(b, 1);
    put64(b, small ? 0 : start);
    put64(b, small ? 0 : last);
    end(b);
}

/* Whole structures from the user's files, already in their binary form. */
static bool add_files(Builder *b, GError **err)
{
    for (size_t i = 0; i < value_length(b->user); i++) {
        const char *path = value_get_string(value_at(b->user, i), "file", NULL);
        g_autofree uint8_t *data = NULL;
        size_t length;
        if (!path) {
            continue;
        }
        if (!host_read_file("-smbios file", path, FILE_LIMIT, &data, &length, err)) {
            return false;
        }
        if (length < 6 || data[1] < 4 || data[1] > length - 2 || data[length - 1] || data[length - 2]) {
            return fail(err, EINVAL, "-smbios file '%s': it is not one SMBIOS structure with its strings", path);
        }
        g_byte_array_append(b->tables, data, (guint)length);
        b->longest = MAX(b->longest, (uint16_t)length);
        b->count++;
    }
    return true;
}

static uint8_t checksum(const uint8_t *data, size_t length)
{
    uint8_t sum = 0;

    while (length--) {
        sum = (uint8_t)(sum + *data++);
    }
    return (uint8_t)-sum;
}

static GByteArray *build_anchor(const Builder *b)
{
    GByteArray *anchor = g_byte_array_new();
    uint8_t bytes[ANCHOR] = "_SM_";

    bytes[5] = ANCHOR;
    bytes[6] = 2;
    bytes[7] = 8;
    store_le16(bytes + 8, b->longest);
    memcpy(bytes + 16, "_DMI_", 5);
    store_le16(bytes + 22, (uint16_t)b->tables->len);
    store_le16(bytes + 28, b->count);
    bytes[30] = 0x28;
    g_byte_array_append(anchor, bytes, sizeof bytes);
    return anchor;
}

void smbios_link(GByteArray *anchor, uint32_t tables_address)
{
    uint8_t *bytes = anchor->data;

    store_le32(bytes + 24, tables_address);
    bytes[21] = 0;
    bytes[21] = checksum(bytes + 16, ANCHOR - 16);
    bytes[4] = 0;
    bytes[4] = checksum(bytes, ANCHOR);
}

bool smbios_build(const SmbiosConfig *config, const Value *user, GByteArray **anchor, GByteArray **tables, GError **err)
{
    Builder b = { .config = config, .user = user, .tables = g_byte_array_new() };

    write_bios(&b);
    if (!write_system(&b, err)) {
        goto bad;
    }
    write_board(&b);
    write_chassis(&b);
    for (unsigned i = 0; i < config->sockets; i++) {
        char designation[16];
        write_processor(&b, i, designation);
    }
    write_oem_strings(&b);
    write_memory(&b);
    write_mapped(&b, 0, 0, config->ram_below_4g);
    if (config->ram_above_4g) {
        write_mapped(&b, 1, UINT64_C(1) << 32, config->ram_above_4g);
    }
    begin(&b, 32, HANDLE_BOOT);
    for (unsigned i = 0; i < 7; i++) {
        put8(&b, 0);
    }
    end(&b);
    if (!add_files(&b, err)) {
        goto bad;
    }
    begin(&b, 127, HANDLE_END);
    end(&b);
    if (b.tables->len > UINT16_MAX) {
        fail(err, E2BIG, "-smbios: the tables have %u bytes, at most %u fit", b.tables->len, UINT16_MAX);
        goto bad;
    }
    *anchor = build_anchor(&b);
    *tables = b.tables;
    smbios_link(*anchor, 0);
    return true;
bad:
    g_byte_array_unref(b.tables);
    return false;
}
