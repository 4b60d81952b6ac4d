/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * field.h - the one table idiom: a named, typed place in a struct
 *
 * Device properties, saved state, QMP arguments and option keys are tables of Field; help,
 * schema, type checks and migration come from them. A table ends with FIELD_END.
 *
 *   static const Field pit_props[] = {
 *       PROP_U16("iobase", Pit, iobase, 0x40, .help = "first I/O port"),
 *       FIELD_END };
 *
 * Trailing designated initialisers (.help, .min, .max, .needed) may follow in any macro.
 */
#pragma once
#include "base/value.h"
#include <stddef.h>

typedef enum {
    FIELD_BOOL, FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64, FIELD_I32, FIELD_I64,
    FIELD_SIZE,                            /* uint64_t; text may carry k M G T P E suffixes (powers of 1024) */
    FIELD_STR,                             /* char *, owned by the struct */
    FIELD_ENUM,                            /* int; .names lists the spellings */
    FIELD_ONOFFAUTO,                       /* int: OFF 0, ON 1, AUTO 2 */
    FIELD_IRQ,                             /* IrqLine, given by wiring and not by a person */
    FIELD_LINK,                            /* void *: an object of type .target found by id (a chardev, a drive) */
    FIELD_VALUE,                           /* Value *, owned: any JSON */
    FIELD_CALL,                            /* .get and .set compute it */
    /* only in saved state */
    FIELD_BYTES,                           /* .size bytes in place */
    FIELD_STRUCT,                          /* one embedded struct described by .fields */
    FIELD_STRUCTS,                         /* .count of them, each .size bytes */
    FIELD_ARRAY,                           /* .count numbers of .element kind in place */
    FIELD_VARIABLE_BYTES,                  /* *pointer to bytes; length in the uint32_t at .count_offset, at most .limit */
    FIELD_TIMER,                           /* Timer: its deadline, or -1 */
    FIELD_LAST,
} FieldKind;

typedef struct Field Field;
struct Field {
    const char *name;
    FieldKind kind;
    size_t offset;
    size_t size;                           /* of the member, or of one element of FIELD_STRUCTS */
    size_t count;                          /* FIELD_STRUCTS, FIELD_ARRAY */
    FieldKind element;                     /* FIELD_ARRAY */
    size_t count_offset;                   /* FIELD_VARIABLE_BYTES */
    size_t limit;
    const Field *fields;                   /* FIELD_STRUCT(S) */
    const char *const *names;              /* FIELD_ENUM, NULL-terminated */
    const char *target;                    /* FIELD_LINK: "chardev", "drive" */
    int64_t preset;                        /* default of a number, bool or enum */
    const char *preset_text;               /* default of a string */
    uint64_t min, max;                     /* checked on set when max != 0 */
    bool required;
    bool hidden;                           /* not in help (set by wiring) */
    const char *help;
    bool (*get)(void *object, Value **out, GError **err);
    bool (*set)(void *object, const Value *value, GError **err);
    bool (*needed)(const void *object);    /* saved state: this part is present only when true */
};

#define FIELD_END { .kind = FIELD_LAST }
#define FIELD_AT_(n, k, T, m, ...) { .name = n, .kind = k, .offset = offsetof(T, m), .size = sizeof(((T *)0)->m), __VA_ARGS__ }
#define PROP_BOOL(n, T, m, d, ...) FIELD_AT_(n, FIELD_BOOL, T, m, .preset = (d), ##__VA_ARGS__)
#define PROP_U8(n, T, m, d, ...)   FIELD_AT_(n, FIELD_U8, T, m, .preset = (d), ##__VA_ARGS__)
#define PROP_U16(n, T, m, d, ...)  FIELD_AT_(n, FIELD_U16, T, m, .preset = (d), ##__VA_ARGS__)
#define PROP_U32(n, T, m, d, ...)  FIELD_AT_(n, FIELD_U32, T, m, .preset = (d), ##__VA_ARGS__)
#define PROP_U64(n, T, m, d, ...)  FIELD_AT_(n, FIELD_U64, T, m, .preset = (int64_t)(d), ##__VA_ARGS__)
#define PROP_I32(n, T, m, d, ...)  FIELD_AT_(n, FIELD_I32, T, m, .preset = (d), ##__VA_ARGS__)
#define PROP_I64(n, T, m, d, ...)  FIELD_AT_(n, FIELD_I64, T, m, .preset = (d), ##__VA_ARGS__)
#define PROP_SIZE(n, T, m, d, ...) FIELD_AT_(n, FIELD_SIZE, T, m, .preset = (int64_t)(d), ##__VA_ARGS__)
#define PROP_STR(n, T, m, ...)     FIELD_AT_(n, FIELD_STR, T, m, ##__VA_ARGS__)
#define PROP_ENUM(n, T, m, list, d, ...) FIELD_AT_(n, FIELD_ENUM, T, m, .names = (list), .preset = (d), ##__VA_ARGS__)
#define PROP_ONOFFAUTO(n, T, m, d, ...) FIELD_AT_(n, FIELD_ONOFFAUTO, T, m, .preset = (d), ##__VA_ARGS__)
#define PROP_IRQ(n, T, m, ...)     FIELD_AT_(n, FIELD_IRQ, T, m, .hidden = true, ##__VA_ARGS__)
#define PROP_LINK(n, T, m, type, ...) FIELD_AT_(n, FIELD_LINK, T, m, .target = (type), ##__VA_ARGS__)
#define PROP_VALUE(n, T, m, ...)   FIELD_AT_(n, FIELD_VALUE, T, m, ##__VA_ARGS__)
#define PROP_CALL(n, g, s, ...)    { .name = n, .kind = FIELD_CALL, .get = (g), .set = (s), ##__VA_ARGS__ }

#define SAVE_BOOL(T, m, ...) FIELD_AT_(#m, FIELD_BOOL, T, m, ##__VA_ARGS__)
#define SAVE_U8(T, m, ...)   FIELD_AT_(#m, FIELD_U8, T, m, ##__VA_ARGS__)
#define SAVE_U16(T, m, ...)  FIELD_AT_(#m, FIELD_U16, T, m, ##__VA_ARGS__)
#define SAVE_U32(T, m, ...)  FIELD_AT_(#m, FIELD_U32, T, m, ##__VA_ARGS__)
#define SAVE_U64(T, m, ...)  FIELD_AT_(#m, FIELD_U64, T, m, ##__VA_ARGS__)
#define SAVE_I32(T, m, ...)  FIELD_AT_(#m, FIELD_I32, T, m, ##__VA_ARGS__)
#define SAVE_I64(T, m, ...)  FIELD_AT_(#m, FIELD_I64, T, m, ##__VA_ARGS__)
#define SAVE_BYTES(T, m, ...) FIELD_AT_(#m, FIELD_BYTES, T, m, ##__VA_ARGS__)
#define SAVE_STRUCT(T, m, table, ...) FIELD_AT_(#m, FIELD_STRUCT, T, m, .fields = (table), ##__VA_ARGS__)
#define SAVE_STRUCTS(T, m, table, ...)                                                              \
    { .name = #m, .kind = FIELD_STRUCTS, .offset = offsetof(T, m), .size = sizeof(((T *)0)->m[0]),  \
      .count = sizeof(((T *)0)->m) / sizeof(((T *)0)->m[0]), .fields = (table), ##__VA_ARGS__ }
#define SAVE_ARRAY_(T, m, k, ...)                                                                   \
    { .name = #m, .kind = FIELD_ARRAY, .offset = offsetof(T, m), .size = sizeof(((T *)0)->m[0]),    \
      .count = sizeof(((T *)0)->m) / sizeof(((T *)0)->m[0]), .element = (k), ##__VA_ARGS__ }
#define SAVE_U8S(T, m, ...)  SAVE_ARRAY_(T, m, FIELD_U8, ##__VA_ARGS__)
#define SAVE_U16S(T, m, ...) SAVE_ARRAY_(T, m, FIELD_U16, ##__VA_ARGS__)
#define SAVE_U32S(T, m, ...) SAVE_ARRAY_(T, m, FIELD_U32, ##__VA_ARGS__)
#define SAVE_U64S(T, m, ...) SAVE_ARRAY_(T, m, FIELD_U64, ##__VA_ARGS__)
#define SAVE_BOOLS(T, m, ...) SAVE_ARRAY_(T, m, FIELD_BOOL, ##__VA_ARGS__)
#define SAVE_TIMER(T, m, ...) FIELD_AT_(#m, FIELD_TIMER, T, m, ##__VA_ARGS__)
#define SAVE_VARIABLE_BYTES(T, m, counter, most, ...)                                               \
    FIELD_AT_(#m, FIELD_VARIABLE_BYTES, T, m, .count_offset = offsetof(T, counter), .limit = (most), ##__VA_ARGS__)

const Field *field_find(const Field *table, const char *name);        /* NULL when there is none */
const char *field_kind_name(FieldKind kind);                          /* QEMU's words: "bool", "uint16", "size", "str", ... */

/* Writes the defaults of every field (strings are duplicated) into object. */
void fields_init(const Field *table, void *object);
/* Frees strings and values. */
void fields_clear(const Field *table, void *object);
/* Sets one field. value may be the exact type or a string to be parsed ("on", "0x40", "2G"). Links and lines are refused
 * here: their owners set them. who names the object for the sentence: "device 'isa-serial'". */
bool field_set(const Field *field, void *object, const char *who, const Value *value, GError **err);
bool field_get(const Field *field, void *object, Value **out, GError **err);    /* caller owns *out */
/* Sets all members of an object value; an unknown or missing required name is an error naming it. skip (may be NULL) lists names to pass over. */
bool fields_set(const Field *table, void *object, const char *who, const Value *members, const char *const *skip, GError **err);

/* Text to number as QEMU's option parser does; the whole text must be consumed. */
bool parse_uint(const char *text, uint64_t *out);                     /* decimal, 0x, 0 octal */
bool parse_size(const char *text, uint64_t unit, uint64_t *out);      /* fractions and suffixes BkKmMgGtTpPeE; bare numbers times unit */
bool parse_bool(const char *text, bool *out);                         /* on off yes no true false y n */
/* A member that is a bool, or such a word; the fallback when it is missing or another word ("auto"). */
bool value_get_flag(const Value *object, const char *key, bool fallback);
/* 32 hexadecimal digits, in groups of 8-4-4-4-12 or in one, to bytes in the order of writing. */
bool parse_uuid(const char *text, uint8_t out[16]);

/* Saved state: a self-describing byte form. field_save appends to out; field_load returns false with a sentence for
 * anything short, long, of another layout, or beyond a limit. A variable array never allocates more than its limit. */
void fields_save(const Field *table, const void *object, GByteArray *out);
bool fields_load(const Field *table, void *object, const char *who, const uint8_t **at, size_t *left, GError **err);
