/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * field.c - fields set from text and JSON, read back, and reset to their defaults
 *
 * Omits    FIELD_IRQ and FIELD_LINK, which only their owner (hw/core/device.h) can set; saved state is in field-state.c
 * Threads  none of its own
 * Tests    tests/unit/field.c
 */
#include "base/field.h"
#include "base/error.h"
#include "base/timer.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const onoffauto_names[] = { "off", "on", "auto", NULL };

static const char *const kind_names[FIELD_LAST] = {
    [FIELD_BOOL] = "bool", [FIELD_U8] = "uint8", [FIELD_U16] = "uint16", [FIELD_U32] = "uint32",
    [FIELD_U64] = "uint64", [FIELD_I32] = "int32", [FIELD_I64] = "int64", [FIELD_SIZE] = "size",
    [FIELD_STR] = "str", [FIELD_ENUM] = "enum", [FIELD_ONOFFAUTO] = "OnOffAuto", [FIELD_IRQ] = "irq",
    [FIELD_LINK] = "str", [FIELD_VALUE] = "any", [FIELD_CALL] = "any", [FIELD_BYTES] = "bytes",
    [FIELD_STRUCT] = "struct", [FIELD_STRUCTS] = "structs", [FIELD_ARRAY] = "array",
    [FIELD_VARIABLE_BYTES] = "variable bytes", [FIELD_TIMER] = "timer",
};

const Field *field_find(const Field *table, const char *name)
{
    for (const Field *field = table; field && field->kind != FIELD_LAST; field++) {
        if (strcmp(field->name, name) == 0) {
            return field;
        }
    }
    return NULL;
}

const char *field_kind_name(FieldKind kind)
{
    return (unsigned)kind < FIELD_LAST ? kind_names[kind] : "unknown";
}

static inline void *member_of(const Field *field, void *object)
{
    return (char *)object + field->offset;
}

static const char *const *enum_names(const Field *field)
{
    return field->kind == FIELD_ONOFFAUTO ? onoffauto_names : field->names;
}

/* ---- text to number ---- */

bool parse_uint(const char *text, uint64_t *out)
{
    uint64_t n;
    char *end;

    if (!g_ascii_isdigit(*text)) {         /* strtoull would pass over blanks and take a sign */
        return false;
    }
    errno = 0;
    n = g_ascii_strtoull(text, &end, 0);
    if (errno || *end) {
        return false;
    }
    *out = n;
    return true;
}

static bool parse_int(const char *text, int64_t *out)
{
    bool negative = *text == '-';
    uint64_t n;

    if (!parse_uint(text + negative, &n) || n > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *out = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

/* The multiplier of a one-letter suffix; 0 when there is no such suffix. */
static uint64_t suffix_unit(char suffix)
{
    static const char letters[] = "bkmgtpe";
    const char *at = suffix ? strchr(letters, g_ascii_tolower(suffix)) : NULL;

    return at ? UINT64_C(1) << (10 * (at - letters)) : 0;
}

/* ".75" as a fraction of 10^digits; digits beyond the 18th cannot matter and are passed over. */
static const char *parse_fraction(const char *text, uint64_t *numerator, uint64_t *denominator)
{
    *numerator = 0;
    *denominator = 1;
    if (*text != '.') {
        return text;
    }
    for (text++; g_ascii_isdigit(*text); text++) {
        if (*denominator < UINT64_C(1000000000000000000)) {
            *numerator = *numerator * 10 + (uint64_t)(*text - '0');
            *denominator *= 10;
        }
    }
    return text;
}

bool parse_size(const char *text, uint64_t unit, uint64_t *out)
{
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    uint64_t whole, numerator, denominator;
    unsigned __int128 size;
    char *end;
    const char *rest;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    whole = g_ascii_strtoull(text, &end, hexadecimal ? 16 : 10);
    if (errno || (hexadecimal && end <= text + 2)) {
        return false;
    }
    rest = parse_fraction(end, &numerator, &denominator);
    if (rest != end && (hexadecimal || rest == end + 1)) {         /* "0x1.8", "1." */
        return false;
    }
    if (*rest) {
        unit = suffix_unit(*rest++);
    }
    if (*rest || unit == 0 || (unit == 1 && numerator)) {          /* there is no half a byte */
        return false;
    }
    size = (unsigned __int128)whole * unit + (unsigned __int128)numerator * unit / denominator;
    if (size > UINT64_MAX) {
        return false;
    }
    *out = (uint64_t)size;
    return true;
}

bool parse_bool(const char *text, bool *out)
{
    static const char *const words[] = { "off", "on", "no", "yes", "false", "true", "n", "y" };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i & 1;
            return true;
        }
    }
    return false;
}

bool value_get_flag(const Value *object, const char *key, bool fallback)
{
    const Value *value = value_get(object, key);
    bool on = fallback;

    if (value_string(value)) {
        parse_bool(value_string(value), &on);
    } else {
        value_to_bool(value, &on);
    }
    return on;
}

bool parse_uuid(const char *text, uint8_t out[16])
{
    bool groups = strlen(text) == 36;

    memset(out, 0, 16);
    for (unsigned at = 0; at < 32; at++, text++) {
        if (groups && (at == 8 || at == 12 || at == 16 || at == 20) && *text++ != '-') {
            return false;
        }
        int digit = g_ascii_xdigit_value(*text);
        if (digit < 0) {
            return false;
        }
        out[at / 2] = (uint8_t)(out[at / 2] << 4 | digit);
    }
    return !*text;
}

/* ---- defaults ---- */

void fields_init(const Field *table, void *object)
{
    for (const Field *field = table; field && field->kind != FIELD_LAST; field++) {
        void *member = member_of(field, object);

        switch (field->kind) {
        case FIELD_BOOL:
            *(bool *)member = field->preset != 0;
            break;
        case FIELD_U8:
            *(uint8_t *)member = (uint8_t)field->preset;
            break;
        case FIELD_U16:
            *(uint16_t *)member = (uint16_t)field->preset;
            break;
        case FIELD_U32:
        case FIELD_I32:
            *(uint32_t *)member = (uint32_t)field->preset;
            break;
        case FIELD_U64:
        case FIELD_I64:
        case FIELD_SIZE:
            *(uint64_t *)member = (uint64_t)field->preset;
            break;
        case FIELD_ENUM:
        case FIELD_ONOFFAUTO:
            *(int *)member = (int)field->preset;
            break;
        case FIELD_STR:
            *(char **)member = g_strdup(field->preset_text);
            break;
        default:
            break;
        }
    }
}

void fields_clear(const Field *table, void *object)
{
    for (const Field *field = table; field && field->kind != FIELD_LAST; field++) {
        void *member = member_of(field, object);

        if (field->kind == FIELD_STR) {
            g_clear_pointer((char **)member, g_free);
        } else if (field->kind == FIELD_VALUE) {
            g_clear_pointer((Value **)member, value_unref);
        }
    }
}

/* ---- set ---- */

/* How a sentence shows the value that was given. */
static char *value_show(const Value *value)
{
    uint64_t u;
    int64_t i;
    bool b;

    if (value_string(value)) {
        return g_strdup_printf("'%s'", value_string(value));
    }
    if (value_to_bool(value, &b)) {
        return g_strdup(b ? "true" : "false");
    }
    if (value_to_int(value, &i)) {
        return g_strdup_printf("%" PRId64, i);
    }
    if (value_to_uint(value, &u)) {
        return g_strdup_printf("%" PRIu64, u);
    }
    return g_strdup_printf("a JSON %s", value_kind_name(value_kind(value)));
}

static bool fail_expects(const Field *field, const char *who, const Value *value, const char *expected, GError **err)
{
    g_autofree char *shown = value_show(value);

    return fail(err, EINVAL, "%s: property '%s' is %s, but takes %s", who, field->name, shown, expected);
}

static bool fail_range(const Field *field, const char *who, const Value *value, uint64_t min, uint64_t max, GError **err)
{
    g_autofree char *shown = value_show(value);

    return fail(err, ERANGE, "%s: property '%s' is %s, outside its limits %" PRIu64 " to %" PRIu64, who, field->name,
                shown, min, max);
}

static bool set_unsigned(const Field *field, void *member, const char *who, const Value *value, uint64_t top,
                         GError **err)
{
    const char *text = value_string(value);
    uint64_t n, max = field->max ? MIN(field->max, top) : top;
    int64_t negative;
    bool ok;

    if (!text) {
        ok = value_to_uint(value, &n);
    } else if (field->kind == FIELD_SIZE) {
        ok = parse_size(text, 1, &n);
    } else {
        ok = parse_uint(text, &n);
    }
    if (!ok && (text ? parse_int(text, &negative) : value_to_int(value, &negative))) {
        return fail_range(field, who, value, field->max ? field->min : 0, max, err);
    }
    if (!ok) {
        return fail_expects(field, who, value,
                            field->kind == FIELD_SIZE ? "a size such as 512, 64K or 1.5G" : "a whole number", err);
    }
    if (n > max || (field->max && n < field->min)) {
        return fail_range(field, who, value, field->max ? field->min : 0, max, err);
    }
    if (field->kind == FIELD_U8) {
        *(uint8_t *)member = (uint8_t)n;
    } else if (field->kind == FIELD_U16) {
        *(uint16_t *)member = (uint16_t)n;
    } else if (field->kind == FIELD_U32) {
        *(uint32_t *)member = (uint32_t)n;
    } else {
        *(uint64_t *)member = n;
    }
    return true;
}

/* min and max of a signed field are its non-negative limits; max 0 means that any number of its kind will do. */
static bool set_signed(const Field *field, void *member, const char *who, const Value *value, GError **err)
{
    const char *text = value_string(value);
    int64_t n;

    if (!(text ? parse_int(text, &n) : value_to_int(value, &n))) {
        return fail_expects(field, who, value, "a whole number", err);
    }
    if (field->max && (n < 0 || (uint64_t)n < field->min || (uint64_t)n > field->max)) {
        return fail_range(field, who, value, field->min, field->max, err);
    }
    if (field->kind == FIELD_I32) {
        if (n != (int32_t)n) {
            return fail_expects(field, who, value, "a number from -2147483648 to 2147483647", err);
        }
        *(int32_t *)member = (int32_t)n;
    } else {
        *(int64_t *)member = n;
    }
    return true;
}

static bool set_bool(const Field *field, void *member, const char *who, const Value *value, GError **err)
{
    const char *text = value_string(value);
    bool b;

    if (!(text ? parse_bool(text, &b) : value_to_bool(value, &b))) {
        return fail_expects(field, who, value, "on or off", err);
    }
    *(bool *)member = b;
    return true;
}

static bool set_enum(const Field *field, void *member, const char *who, const Value *value, GError **err)
{
    const char *const *names = enum_names(field);
    const char *text = value_string(value);
    g_autofree char *choices = NULL;
    bool b;

    if (field->kind == FIELD_ONOFFAUTO && (text ? parse_bool(text, &b) : value_to_bool(value, &b))) {
        *(int *)member = b;
        return true;
    }
    for (int i = 0; text && names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *(int *)member = i;
            return true;
        }
    }
    choices = g_strjoinv(", ", (char **)names);
    return fail_expects(field, who, value, choices, err);
}

bool field_set(const Field *field, void *object, const char *who, const Value *value, GError **err)
{
    void *member = member_of(field, object);

    switch (field->kind) {
    case FIELD_BOOL:
        return set_bool(field, member, who, value, err);
    case FIELD_U8:
        return set_unsigned(field, member, who, value, UINT8_MAX, err);
    case FIELD_U16:
        return set_unsigned(field, member, who, value, UINT16_MAX, err);
    case FIELD_U32:
        return set_unsigned(field, member, who, value, UINT32_MAX, err);
    case FIELD_U64:
    case FIELD_SIZE:
        return set_unsigned(field, member, who, value, UINT64_MAX, err);
    case FIELD_I32:
    case FIELD_I64:
        return set_signed(field, member, who, value, err);
    case FIELD_ENUM:
    case FIELD_ONOFFAUTO:
        return set_enum(field, member, who, value, err);
    case FIELD_STR:
        if (!value_string(value)) {
            return fail_expects(field, who, value, "a string", err);
        }
        g_free(*(char **)member);
        *(char **)member = g_strdup(value_string(value));
        return true;
    case FIELD_VALUE:
        value_unref(*(Value **)member);
        *(Value **)member = value_copy(value);
        return true;
    case FIELD_CALL:
        if (!field->set) {
            return fail(err, EPERM, "%s: property '%s' can be read, but not set", who, field->name);
        }
        return field->set(object, value, err);
    case FIELD_IRQ:
        return fail(err, EPERM, "%s: property '%s' is an interrupt line, which only the board connects", who, field->name);
    case FIELD_LINK:
        return fail(err, EPERM, "%s: property '%s' names a %s, which cannot be looked up here", who, field->name,
                    field->target);
    default:
        return fail(err, EPERM, "%s: '%s' is saved state and not a property", who, field->name);
    }
}

/* ---- get ---- */

bool field_get(const Field *field, void *object, Value **out, GError **err)
{
    void *member = member_of(field, object);

    switch (field->kind) {
    case FIELD_BOOL:
        *out = value_new_bool(*(bool *)member);
        return true;
    case FIELD_U8:
        *out = value_new_uint(*(uint8_t *)member);
        return true;
    case FIELD_U16:
        *out = value_new_uint(*(uint16_t *)member);
        return true;
    case FIELD_U32:
        *out = value_new_uint(*(uint32_t *)member);
        return true;
    case FIELD_U64:
    case FIELD_SIZE:
        *out = value_new_uint(*(uint64_t *)member);
        return true;
    case FIELD_I32:
        *out = value_new_int(*(int32_t *)member);
        return true;
    case FIELD_I64:
        *out = value_new_int(*(int64_t *)member);
        return true;
    case FIELD_ENUM:
    case FIELD_ONOFFAUTO:
        *out = value_new_string(enum_names(field)[*(int *)member]);
        return true;
    case FIELD_STR:
        *out = value_new_string(*(char **)member);
        return true;
    case FIELD_VALUE:
        *out = value_copy(*(Value **)member);
        return true;
    case FIELD_CALL:
        if (field->get) {
            return field->get(object, out, err);
        }
        break;
    default:
        break;
    }
    return fail(err, EPERM, "property '%s' cannot be read", field->name);
}

static bool listed(const char *const *names, const char *name)
{
    for (; names && *names; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

bool fields_set(const Field *table, void *object, const char *who, const Value *members, const char *const *skip,
                GError **err)
{
    if (members && value_kind(members) != VALUE_OBJECT) {
        return fail(err, EINVAL, "%s: a JSON %s stands where an object should", who, value_kind_name(value_kind(members)));
    }
    for (size_t i = 0; i < value_length(members); i++) {
        const char *name = value_key_at(members, i);
        const Field *field = field_find(table, name);

        if (listed(skip, name)) {
            continue;
        }
        if (!field) {
            return fail(err, ENOENT, "%s: there is no property '%s'", who, name);
        }
        if (!field_set(field, object, who, value_member_at(members, i), err)) {
            return false;
        }
    }
    for (const Field *field = table; field && field->kind != FIELD_LAST; field++) {
        if (field->required && !value_get(members, field->name) && !listed(skip, field->name)) {
            return fail(err, EINVAL, "%s: property '%s' is missing", who, field->name);
        }
    }
    return true;
}
