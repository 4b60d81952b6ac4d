/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * field-state.c - saved state: a struct as bytes that describe themselves, and back
 *
 * A table is its fields in order and a zero byte. A field is
 *
 *   +--------+------------+-----------+---------+
 *   | letter | 1 byte n   | n bytes   | payload |        the letter is the kind's, below; all numbers little-endian
 *   +--------+------------+-----------+---------+
 *
 * numbers: 1, 2, 4 or 8 bytes    bytes, string: u32 length, bytes      array: letter of the element, u32 count, elements
 * struct: a table                structs: u32 count, tables            timer: its deadline, i64
 *
 * Loading walks our own table and compares, so a stranger's bytes decide nothing but values: a field that is missing,
 * unknown, of another kind or another length is refused by name, and nothing is allocated before its length has been
 * compared with both the limit and the bytes that are left. A field with .needed may be absent.
 *
 * Threads  machine lock (timers)
 * Tests    tests/unit/field-state.c, tests/fuzz/fields-load.c
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/field.h"
#include "base/timer.h"
#include <errno.h>
#include <string.h>

#define STRING_LIMIT 65536
#define NO_STRING    UINT32_MAX            /* the length that stands for a NULL string */

/* The letters are part of the format: never reuse one. Kinds without a letter have no saved form. */
static const char letters[FIELD_LAST] = {
    [FIELD_BOOL] = 'b', [FIELD_U8] = '1', [FIELD_U16] = '2', [FIELD_U32] = '4', [FIELD_U64] = '8',
    [FIELD_I32] = 'i', [FIELD_I64] = 'l', [FIELD_SIZE] = '8', [FIELD_STR] = 's', [FIELD_ENUM] = 'e',
    [FIELD_ONOFFAUTO] = 'e', [FIELD_BYTES] = 'B', [FIELD_STRUCT] = 'S', [FIELD_STRUCTS] = 'R',
    [FIELD_ARRAY] = 'A', [FIELD_VARIABLE_BYTES] = 'V', [FIELD_TIMER] = 'T',
};
#define TABLE_END 0

static size_t number_size(FieldKind kind)
{
    switch (kind) {
    case FIELD_BOOL:
    case FIELD_U8:
        return 1;
    case FIELD_U16:
        return 2;
    case FIELD_U32:
    case FIELD_I32:
    case FIELD_ENUM:
    case FIELD_ONOFFAUTO:
        return 4;
    case FIELD_U64:
    case FIELD_I64:
    case FIELD_SIZE:
        return 8;
    default:
        return 0;
    }
}

/* ---- save ---- */

static void put_u32(GByteArray *out, uint32_t n)
{
    uint8_t bytes[4];

    store_le32(bytes, n);
    g_byte_array_append(out, bytes, sizeof bytes);
}

static void put_number(FieldKind kind, const void *member, GByteArray *out)
{
    uint8_t bytes[8];
    size_t size = number_size(kind);

    switch (size) {
    case 1:
        bytes[0] = *(const uint8_t *)member;
        break;
    case 2:
        store_le16(bytes, *(const uint16_t *)member);
        break;
    case 4:
        store_le32(bytes, *(const uint32_t *)member);
        break;
    default:
        store_le64(bytes, *(const uint64_t *)member);
        break;
    }
    g_byte_array_append(out, bytes, (guint)size);
}

static void put_bytes(const void *bytes, size_t length, GByteArray *out)
{
    put_u32(out, (uint32_t)length);
    g_byte_array_append(out, bytes, (guint)length);
}

static void put_string(const char *text, GByteArray *out)
{
    if (text) {
        put_bytes(text, strnlen(text, STRING_LIMIT), out);
    } else {
        put_u32(out, NO_STRING);
    }
}

static void put_array(const Field *field, const char *member, GByteArray *out)
{
    uint8_t letter = (uint8_t)letters[field->element];

    g_byte_array_append(out, &letter, 1);
    put_u32(out, (uint32_t)field->count);
    for (size_t i = 0; i < field->count; i++) {
        put_number(field->element, member + i * field->size, out);
    }
}

static void put_variable(const Field *field, const void *object, const void *member, GByteArray *out)
{
    uint32_t length = *(const uint32_t *)((const char *)object + field->count_offset);

    g_assert(length <= field->limit);
    put_bytes(*(const uint8_t *const *)member, length, out);
}

static void put_payload(const Field *field, const void *object, GByteArray *out)
{
    const char *member = (const char *)object + field->offset;

    switch (field->kind) {
    case FIELD_STR:
        put_string(*(char *const *)member, out);
        break;
    case FIELD_BYTES:
        put_bytes(member, field->size, out);
        break;
    case FIELD_STRUCT:
        fields_save(field->fields, member, out);
        break;
    case FIELD_STRUCTS:
        put_u32(out, (uint32_t)field->count);
        for (size_t i = 0; i < field->count; i++) {
            fields_save(field->fields, member + i * field->size, out);
        }
        break;
    case FIELD_ARRAY:
        put_array(field, member, out);
        break;
    case FIELD_VARIABLE_BYTES:
        put_variable(field, object, member, out);
        break;
    case FIELD_TIMER:
        put_number(FIELD_I64, &((const Timer *)member)->deadline, out);
        break;
    default:
        put_number(field->kind, member, out);
        break;
    }
}

void fields_save(const Field *table, const void *object, GByteArray *out)
{
    static const uint8_t end = TABLE_END;

    for (const Field *field = table; field && field->kind != FIELD_LAST; field++) {
        uint8_t head[2] = { (uint8_t)letters[field->kind], (uint8_t)strlen(field->name) };

        g_assert(head[0] && strlen(field->name) <= UINT8_MAX);     /* a table of ours that names what cannot be saved */
        if (field->needed && !field->needed(object)) {
            continue;
        }
        g_byte_array_append(out, head, sizeof head);
        g_byte_array_append(out, (const uint8_t *)field->name, head[1]);
        put_payload(field, object, out);
    }
    g_byte_array_append(out, &end, 1);
}

/* ---- load ---- */

/* Where in the tree of tables the reader is, for sentences: "counter[1].latch". */
typedef struct Place Place;
struct Place {
    const Place *outer;
    const char *name;
    long index;                            /* of FIELD_STRUCTS; -1 for others */
};

typedef struct Source {
    const uint8_t *at;
    size_t left;
    const char *who;
    GError **err;
} Source;

static void place_print(const Place *place, GString *text)
{
    if (place->outer) {
        place_print(place->outer, text);
        g_string_append_c(text, '.');
    }
    g_string_append(text, place->name);
    if (place->index >= 0) {
        g_string_append_printf(text, "[%ld]", place->index);
    }
}

static void refuse_because(Source *source, const Place *place, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void refuse_because(Source *source, const Place *place, const char *format, ...)
{
    g_autoptr(GString) name = g_string_new(NULL);
    g_autofree char *reason = NULL;
    va_list args;

    va_start(args, format);
    reason = g_strdup_vprintf(format, args);
    va_end(args);
    place_print(place, name);
    fail(source->err, EINVAL, "%s: saved state: '%s' %s", source->who, name->str, reason);
}
#define refuse(source, place, ...) (refuse_because((source), (place), __VA_ARGS__), false)

/* Lends the next length bytes. */
static bool take(Source *source, const Place *place, size_t length, const uint8_t **bytes)
{
    if (length > source->left) {
        return refuse(source, place, "needs %zu bytes, and %zu are left", length, source->left);
    }
    *bytes = source->at;
    source->at += length;
    source->left -= length;
    return true;
}

static bool take_u32(Source *source, const Place *place, uint32_t *n)
{
    const uint8_t *bytes;

    if (!take(source, place, 4, &bytes)) {
        return false;
    }
    *n = load_le32(bytes);
    return true;
}

static bool check_enum(Source *source, const Place *place, const Field *field, uint32_t n)
{
    size_t count = 0;

    if (field->kind == FIELD_ONOFFAUTO) {
        count = 3;
    } else {
        while (field->names && field->names[count]) {
            count++;
        }
    }
    return n < count || refuse(source, place, "is %u, and only %zu values have a name", n, count);
}

/* Numbers that C would not forgive (a bool of 7, an enum without name) stop here; others are the device's to check. */
static bool take_number(Source *source, const Place *place, const Field *field, FieldKind kind, void *member)
{
    const uint8_t *bytes;
    size_t size = number_size(kind);

    if (!take(source, place, size, &bytes)) {
        return false;
    }
    switch (size) {
    case 1:
        if (kind == FIELD_BOOL && bytes[0] > 1) {
            return refuse(source, place, "is %u, which is neither true nor false", bytes[0]);
        }
        *(uint8_t *)member = bytes[0];
        break;
    case 2:
        *(uint16_t *)member = load_le16(bytes);
        break;
    case 4:
        if ((kind == FIELD_ENUM || kind == FIELD_ONOFFAUTO) && !check_enum(source, place, field, load_le32(bytes))) {
            return false;
        }
        *(uint32_t *)member = load_le32(bytes);
        break;
    default:
        *(uint64_t *)member = load_le64(bytes);
        break;
    }
    return true;
}

static bool take_string(Source *source, const Place *place, char **member)
{
    const uint8_t *bytes = NULL;
    uint32_t length;

    if (!take_u32(source, place, &length)) {
        return false;
    }
    if (length != NO_STRING) {
        if (length > STRING_LIMIT) {
            return refuse(source, place, "is %u bytes long, more than the limit of %u", length, STRING_LIMIT);
        }
        if (!take(source, place, length, &bytes)) {
            return false;
        }
        if (memchr(bytes, 0, length)) {
            return refuse(source, place, "has a NUL byte inside");
        }
    }
    g_free(*member);
    *member = bytes ? g_strndup((const char *)bytes, length) : NULL;
    return true;
}

static bool take_bytes(Source *source, const Place *place, const Field *field, void *member)
{
    const uint8_t *bytes;
    uint32_t length;

    if (!take_u32(source, place, &length)) {
        return false;
    }
    if (length != field->size) {
        return refuse(source, place, "is %u bytes long there and %zu here", length, field->size);
    }
    if (!take(source, place, length, &bytes)) {
        return false;
    }
    memcpy(member, bytes, length);
    return true;
}

static bool take_variable(Source *source, const Place *place, const Field *field, void *object, void *member)
{
    const uint8_t *bytes;
    uint8_t *copy;
    uint32_t length;

    if (!take_u32(source, place, &length)) {
        return false;
    }
    if (length > field->limit) {
        return refuse(source, place, "is %u bytes long, more than the limit of %zu", length, field->limit);
    }
    if (!take(source, place, length, &bytes)) {
        return false;
    }
    copy = length ? g_try_malloc(length) : NULL;
    if (length && !copy) {
        return refuse(source, place, "finds no memory for its %u bytes", length);
    }
    if (length) {
        memcpy(copy, bytes, length);
    }
    g_free(*(uint8_t **)member);
    *(uint8_t **)member = copy;
    *(uint32_t *)((char *)object + field->count_offset) = length;
    return true;
}

static bool take_count(Source *source, const Place *place, const Field *field)
{
    uint32_t count;

    if (!take_u32(source, place, &count)) {
        return false;
    }
    return count == field->count || refuse(source, place, "has %u elements there and %zu here", count, field->count);
}

static bool take_array(Source *source, const Place *place, const Field *field, char *member)
{
    const uint8_t *letter;

    if (!take(source, place, 1, &letter)) {
        return false;
    }
    if (*letter != (uint8_t)letters[field->element]) {
        return refuse(source, place, "has elements of another kind there than %s", field_kind_name(field->element));
    }
    if (!take_count(source, place, field)) {
        return false;
    }
    for (size_t i = 0; i < field->count; i++) {
        if (!take_number(source, place, field, field->element, member + i * field->size)) {
            return false;
        }
    }
    return true;
}

static bool take_timer(Source *source, const Place *place, Timer *timer)
{
    int64_t deadline;

    if (!take_number(source, place, NULL, FIELD_I64, &deadline)) {
        return false;
    }
    if (deadline < -1) {
        return refuse(source, place, "has a deadline before all time");
    }
    if (deadline < 0) {
        timer_cancel(timer);
    } else {
        timer_arm(timer, deadline);
    }
    return true;
}

static bool take_table(Source *source, const Place *outer, const Field *table, void *object);

static bool take_structs(Source *source, const Place *place, const Field *field, char *member)
{
    if (!take_count(source, place, field)) {
        return false;
    }
    for (size_t i = 0; i < field->count; i++) {
        Place item = { place->outer, place->name, (long)i };

        if (!take_table(source, &item, field->fields, member + i * field->size)) {
            return false;
        }
    }
    return true;
}

static bool take_payload(Source *source, const Place *place, const Field *field, void *object)
{
    char *member = (char *)object + field->offset;

    switch (field->kind) {
    case FIELD_STR:
        return take_string(source, place, (char **)member);
    case FIELD_BYTES:
        return take_bytes(source, place, field, member);
    case FIELD_STRUCT:
        return take_table(source, place, field->fields, member);
    case FIELD_STRUCTS:
        return take_structs(source, place, field, member);
    case FIELD_ARRAY:
        return take_array(source, place, field, member);
    case FIELD_VARIABLE_BYTES:
        return take_variable(source, place, field, object, member);
    case FIELD_TIMER:
        return take_timer(source, place, (Timer *)member);
    default:
        return take_number(source, place, field, field->kind, member);
    }
}

/* Compares the next head with our field: what is there is ours (*present), or absent. Leaves an absent one's bytes alone. */
static bool take_head(Source *source, const Place *place, const Field *field, bool *present)
{
    size_t length = strlen(field->name);

    *present = source->left >= 2 + length && source->at[0] != TABLE_END && source->at[1] == length &&
               memcmp(source->at + 2, field->name, length) == 0;
    if (!*present) {
        return true;
    }
    if (source->at[0] != (uint8_t)letters[field->kind]) {
        return refuse(source, place, "is of another kind there than %s", field_kind_name(field->kind));
    }
    source->at += 2 + length;
    source->left -= 2 + length;
    return true;
}

/* The stream goes on with something that our table does not expect there. */
static bool refuse_next(Source *source, const Place *outer, const Field *missing)
{
    Place place = { outer, missing ? missing->name : "the end", -1 };
    g_autofree char *found = NULL;

    if (source->left < 2 || source->at[0] == TABLE_END || source->at[1] > source->left - 2) {
        return refuse(source, &place, "is missing: the state is %s", source->left ? "of another layout" : "too short");
    }
    found = g_strndup((const char *)source->at + 2, source->at[1]);
    for (char *c = found; *c; c++) {
        *c = g_ascii_isprint(*c) ? *c : '?';
    }
    return refuse(source, &place, "is missing: '%s' stands in its place", found);
}

static bool take_table(Source *source, const Place *outer, const Field *table, void *object)
{
    for (const Field *field = table; field && field->kind != FIELD_LAST; field++) {
        Place place = { outer, field->name, -1 };
        bool present;

        if (!take_head(source, &place, field, &present)) {
            return false;
        }
        if (!present && field->needed) {
            continue;
        }
        if (!present) {
            return refuse_next(source, outer, field);
        }
        if (!take_payload(source, &place, field, object)) {
            return false;
        }
    }
    if (source->left < 1 || source->at[0] != TABLE_END) {
        return refuse_next(source, outer, NULL);
    }
    source->at++;
    source->left--;
    return true;
}

bool fields_load(const Field *table, void *object, const char *who, const uint8_t **at, size_t *left, GError **err)
{
    Source source = { *at, *left, who, err };

    if (!take_table(&source, NULL, table, object)) {
        return false;
    }
    *at = source.at;
    *left = source.left;
    return true;
}
