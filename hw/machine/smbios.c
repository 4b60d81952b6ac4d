/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * smbios.c - what dmidecode shows: BIOS, system, board, chassis, processors, memory
 *
 * Follows  DSP0134 2.8: structures 0, 1, 2, 3, 4, 8, 11, 16, 17, 19, 32, 41, 127; a user's -smbios overrides fields of 0-4
 *          and 17, adds connectors (8), strings (11) and on-board devices (41), or gives whole structures in a file,
 *          which then replace those of the same type
 * Tests    tests/unit/smbios.c; tests/guest by /sys/class/dmi
 */
#include "hw/machine/smbios.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/field.h"
#include "base/open.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ANCHOR = 31, STRINGS_MOST = 255, FILE_LIMIT = 65535 };
enum { HANDLE_BIOS = 0x000, HANDLE_SYSTEM = 0x100, HANDLE_BOARD = 0x200, HANDLE_CHASSIS = 0x300, HANDLE_CPU = 0x400, HANDLE_CONNECTOR = 0x800, HANDLE_OEM = 0xe00,
       HANDLE_ARRAY = 0x1000, HANDLE_MEMORY = 0x1100, HANDLE_MAPPED = 0x1300, HANDLE_BOOT = 0x2000, HANDLE_ONBOARD = 0x2900, HANDLE_END = 0x7f00 };

typedef struct Builder {
    const SmbiosConfig *config;
    const Value *user;
    GByteArray *tables;
    uint16_t count, longest;
    guint start;                           /* of the structure being written */
    const char *strings[STRINGS_MOST];
    unsigned string_count;
    GPtrArray *texts;                      /* strings read from files */
    bool from_file[256];                   /* types that the user's files bring: not written here */
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

static bool is_type(const Value *item, unsigned type)
{
    return !value_get(item, "file") && value_get_uint(item, "type", UINT64_MAX) == type;
}

/* The user's word for a field of a type (the last one counts), or the fallback. */
static const char *asked(const Builder *b, unsigned type, const char *key, const char *fallback)
{
    const char *found = fallback;

    for (size_t i = 0; i < value_length(b->user); i++) {
        const Value *item = value_at(b->user, i);
        if (is_type(item, type)) {
            found = value_get_string(item, key, found);
        }
    }
    return found;
}

static uint64_t asked_number(const Builder *b, unsigned type, const char *key, uint64_t fallback)
{
    uint64_t found = fallback;

    for (size_t i = 0; i < value_length(b->user); i++) {
        const Value *item = value_at(b->user, i);
        if (is_type(item, type)) {
            found = value_get_uint(item, key, found);
        }
    }
    return found;
}

static bool asked_flag(const Builder *b, unsigned type, const char *key)
{
    bool found = false;

    for (size_t i = 0; i < value_length(b->user); i++) {
        const Value *item = value_at(b->user, i);
        if (is_type(item, type)) {
            found = value_get_bool(item, key, found);
        }
    }
    return found;
}

static bool write_bios(Builder *b, GError **err)
{
    unsigned major = 0, minor = 0;

    if (sscanf(asked(b, 0, "release", "0.0"), "%3u.%3u", &major, &minor) != 2 || major > UINT8_MAX || minor > UINT8_MAX) {
        return fail(err, EINVAL, "-smbios type=0: release=%s takes two numbers up to 255, as in 1.16", asked(b, 0, "release", ""));
    }
    begin(b, 0, HANDLE_BIOS);
    put_string(b, asked(b, 0, "vendor", "SeaBIOS"));
    put_string(b, asked(b, 0, "version", "rel-1.16.2"));
    put16(b, 0xe800);
    put_string(b, asked(b, 0, "date", "04/01/2014"));
    put8(b, 0);
    put64(b, 8);                           /* no characteristics */
    put8(b, 0);
    put8(b, (uint8_t)(4 | (asked_flag(b, 0, "uefi") ? 8 : 0)));    /* targeted content, UEFI */
    put8(b, (uint8_t)major);
    put8(b, (uint8_t)minor);
    put8(b, 0xff);
    put8(b, 0xff);
    end(b);
    return true;
}

/* The mixed-endian form: the first three groups are little endian (7.2.1). */
static bool uuid_bytes(const char *text, uint8_t out[16])
{
    static const uint8_t place[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
    uint8_t written[16] = { 0 };

    if (text && !parse_uuid(text, written)) {
        return false;
    }
    for (unsigned i = 0; i < sizeof written; i++) {
        out[place[i]] = written[i];
    }
    return true;
}

static bool write_system(Builder *b, GError **err)
{
    const char *text = asked(b, 1, "uuid", b->config->uuid);
    uint8_t uuid[16];

    if (!uuid_bytes(text, uuid)) {
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
        if (is_type(value_at(b->user, i), type)) {
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

static void write_processor(Builder *b, unsigned socket)
{
    const SmbiosConfig *config = b->config;
    g_autofree char *designation = g_strdup_printf("%s%2x", asked(b, 4, "sock_pfx", "CPU"), socket);

    begin(b, 4, (uint16_t)(HANDLE_CPU + socket));
    put_string(b, designation);
    put8(b, 3);                            /* central processor, family other */
    put8(b, 1);
    put_string(b, asked(b, 4, "manufacturer", "QEMU"));
    put64(b, asked_number(b, 4, "processor-id", config->cpu_signature | (uint64_t)config->cpu_features << 32));
    put_string(b, asked(b, 4, "version", config->machine));
    put8(b, 0);
    put16(b, 0);
    put16(b, (uint16_t)asked_number(b, 4, "max-speed", 2000));
    put16(b, (uint16_t)asked_number(b, 4, "current-speed", 2000));
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

/* A port connector for each of the user's. */
static void write_connectors(Builder *b)
{
    uint16_t count = 0;

    for (size_t i = 0; i < value_length(b->user); i++) {
        const Value *item = value_at(b->user, i);
        if (!is_type(item, 8)) {
            continue;
        }
        begin(b, 8, (uint16_t)(HANDLE_CONNECTOR + (count++ & 0xff)));
        put_string(b, value_get_string(item, "internal_reference", NULL));
        put8(b, 0);                        /* no connector inside */
        put_string(b, value_get_string(item, "external_reference", NULL));
        put8(b, (uint8_t)value_get_uint(item, "connector_type", 0));
        put8(b, (uint8_t)value_get_uint(item, "port_type", 0));
        end(b);
    }
}

/* The text of a type 11 item: value=, or the contents of path=. NULL with or without *err. */
static const char *oem_text(Builder *b, const Value *item, GError **err)
{
    const char *path = value_get_string(item, "path", NULL);
    uint8_t *data;
    size_t length;

    if (!is_type(item, 11) || !path) {
        return is_type(item, 11) ? value_get_string(item, "value", NULL) : NULL;
    }
    if (!host_read_file("-smbios type=11 path", path, FILE_LIMIT, &data, &length, err)) {
        return NULL;
    }
    g_ptr_array_add(b->texts, data);       /* ends with a zero */
    if (memchr(data, 0, length) || length == 0) {
        fail(err, EINVAL, "-smbios type=11 path '%s': a string has at least one byte, and no zero bytes", path);
        return NULL;
    }
    return (const char *)data;
}

static bool write_oem_strings(Builder *b, GError **err)
{
    GError *error = NULL;

    begin(b, 11, HANDLE_OEM);
    put8(b, 0);
    for (size_t i = 0; i < value_length(b->user) && !error; i++) {
        const char *text = oem_text(b, value_at(b->user, i), &error);
        if (text && *text && b->string_count == STRINGS_MOST) {
            fail(&error, E2BIG, "-smbios type=11: at most %d strings fit", STRINGS_MOST);
        } else if (text && *text) {
            b->strings[b->string_count++] = text;
        }
    }
    if (error) {
        g_propagate_error(err, error);
        return false;
    }
    if (!b->string_count) {
        g_byte_array_set_size(b->tables, b->start);
        return true;
    }
    b->tables->data[b->start + 4] = (uint8_t)b->string_count;
    end(b);
    return true;
}

/* On-board devices (extended), each as the user describes it; not at any place of the PCI bus. */
static bool write_onboard(Builder *b, GError **err)
{
    static const char *const kinds[] = { "other", "unknown", "video", "scsi", "ethernet", "tokenring", "sound", "pata", "sata", "sas" };
    uint16_t count = 0;

    for (size_t i = 0; i < value_length(b->user); i++) {
        const Value *item = value_at(b->user, i);
        const char *kind = value_get_string(item, "kind", "other");
        unsigned number = 0;
        if (!is_type(item, 41)) {
            continue;
        }
        while (number < G_N_ELEMENTS(kinds) && strcmp(kinds[number], kind) != 0) {
            number++;
        }
        if (number == G_N_ELEMENTS(kinds)) {
            return fail(err, EINVAL, "-smbios type=41: kind=%s takes other, unknown, video, scsi, ethernet, tokenring, sound, pata, sata or sas", kind);
        }
        if (value_get(item, "pcidev")) {
            return fail(err, ENOTSUP, "-smbios type=41: pcidev= is not supported yet; leave it out");
        }
        begin(b, 41, (uint16_t)(HANDLE_ONBOARD + (count++ & 0xff)));
        put_string(b, value_get_string(item, "designation", NULL));
        put8(b, (uint8_t)(0x80 | (number + 1)));             /* enabled */
        put8(b, (uint8_t)value_get_uint(item, "instance", 1));
        put16(b, 0xffff);
        put8(b, 0xff);
        put8(b, 0xff);
        end(b);
    }
    return true;
}

static void write_memory_array(Builder *b, uint64_t size)
{
    begin(b, 16, HANDLE_ARRAY);
    put8(b, 1);                            /* location other, system memory, multi-bit correction */
    put8(b, 3);
    put8(b, 6);
    put32(b, size < UINT64_C(0x80000000) * 1024 ? (uint32_t)(size >> 10) : 0x80000000);
    put16(b, 0xfffe);
    put16(b, 1);
    put64(b, size < UINT64_C(0x80000000) * 1024 ? 0 : size);
    end(b);
}

/* One memory device with everything in it. */
static void write_memory_device(Builder *b, uint64_t size)
{
    uint64_t mib = size >> 20;
    g_autofree char *slot = g_strconcat(asked(b, 17, "loc_pfx", "DIMM"), " 0", NULL);

    begin(b, 17, HANDLE_MEMORY);
    put16(b, HANDLE_ARRAY);
    put16(b, 0xfffe);
    put16(b, 0xffff);
    put16(b, 0xffff);
    put16(b, mib < 0x7fff ? (uint16_t)mib : 0x7fff);
    put8(b, 9);                            /* DIMM */
    put8(b, 0);
    put_string(b, slot);
    put_string(b, asked(b, 17, "bank", NULL));
    put8(b, 7);                            /* RAM */
    put16(b, 2);
    put16(b, (uint16_t)asked_number(b, 17, "speed", 0));
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

/* One structure and its strings, nothing behind: the first two zeros in a row after the formatted part end it. */
static bool is_structure(const uint8_t *data, size_t length)
{
    if (length < 6 || data[1] < 4 || data[1] + 2u > length) {
        return false;
    }
    size_t at = data[1];
    while (at + 2 <= length && (data[at] || data[at + 1])) {
        at++;
    }
    return at + 2 == length;
}

/* Whole structures from the user's files, already in their binary form. They come first. */
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
        if (!is_structure(data, length) || data[0] == 127) {
            return fail(err, EINVAL, "-smbios file '%s': it is not one SMBIOS structure with its strings", path);
        }
        if (user_has(b, data[0])) {
            return fail(err, EINVAL, "-smbios file '%s': type %u is given by type=%u too; use one of them", path, data[0], data[0]);
        }
        g_byte_array_append(b->tables, data, (guint)length);
        b->longest = MAX(b->longest, (uint16_t)length);
        b->count++;
        b->from_file[data[0]] = true;
        if (b->tables->len > UINT16_MAX) {
            break;                         /* told below */
        }
    }
    return true;
}

/* What is written here, in the order of types; false and *err on a bad word of the user's. */
static bool write_structures(Builder *b, GError **err)
{
    const SmbiosConfig *config = b->config;
    const bool *not = b->from_file;

    if ((!not[0] && !write_bios(b, err)) || (!not[1] && !write_system(b, err))) {
        return false;
    }
    if (!not[2]) {
        write_board(b);
    }
    if (!not[3]) {
        write_chassis(b);
    }
    for (unsigned i = 0; i < config->sockets && !not[4]; i++) {
        write_processor(b, i);
    }
    write_connectors(b);
    if (!write_oem_strings(b, err)) {
        return false;
    }
    if (!not[16]) {
        write_memory_array(b, config->ram_below_4g + config->ram_above_4g);
    }
    if (!not[17]) {
        write_memory_device(b, config->ram_below_4g + config->ram_above_4g);
    }
    if (!not[19]) {
        write_mapped(b, 0, 0, config->ram_below_4g);
        if (config->ram_above_4g) {
            write_mapped(b, 1, UINT64_C(1) << 32, config->ram_above_4g);
        }
    }
    if (!not[32]) {
        begin(b, 32, HANDLE_BOOT);
        for (unsigned i = 0; i < 7; i++) {
            put8(b, 0);
        }
        end(b);
    }
    if (!write_onboard(b, err)) {
        return false;
    }
    begin(b, 127, HANDLE_END);
    end(b);
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
    Builder b = { .config = config, .user = user, .tables = g_byte_array_new(), .texts = g_ptr_array_new_with_free_func(g_free) };
    bool ok = add_files(&b, err) && write_structures(&b, err);

    g_ptr_array_free(b.texts, TRUE);
    if (ok && b.tables->len > UINT16_MAX) {
        ok = fail(err, E2BIG, "-smbios: the tables have %u bytes, at most %u fit; give less", b.tables->len, UINT16_MAX);
    }
    if (!ok) {
        g_byte_array_unref(b.tables);
        return false;
    }
    *anchor = build_anchor(&b);
    *tables = b.tables;
    smbios_link(*anchor, 0);
    return true;
}
