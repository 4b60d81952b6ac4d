/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * value.h - the configuration tree and every JSON document: a value with its origin
 *
 * Signed and unsigned 64-bit integers are kept apart (a peer may send 18446744073709551615);
 * objects keep insertion order; each node may remember where a person wrote it.
 *
 * Ownership: values are reference counted, not thread safe; "take" parameters consume a
 * reference, getters lend one that lives as long as the container is unchanged.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Value Value;

typedef enum {
    VALUE_NULL, VALUE_BOOL, VALUE_INT, VALUE_UINT, VALUE_DOUBLE, VALUE_STRING, VALUE_LIST, VALUE_OBJECT,
} ValueKind;

Value *value_new_null(void);
Value *value_new_bool(bool b);
Value *value_new_int(int64_t n);
Value *value_new_uint(uint64_t n);         /* kind VALUE_INT when it fits, else VALUE_UINT */
Value *value_new_double(double d);
Value *value_new_string(const char *s);    /* copies */
Value *value_new_list(void);
Value *value_new_object(void);
Value *value_ref(Value *value);
void value_unref(Value *value);            /* NULL is ignored */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Value, value_unref)
Value *value_copy(const Value *value);     /* deep */
bool value_equal(const Value *a, const Value *b);

ValueKind value_kind(const Value *value);  /* VALUE_NULL for NULL */
const char *value_kind_name(ValueKind kind);
/* Each returns false (and leaves *out alone) when the value is NULL or not of, or not exactly convertible to, the type. */
bool value_to_bool(const Value *value, bool *out);
bool value_to_int(const Value *value, int64_t *out);
bool value_to_uint(const Value *value, uint64_t *out);
bool value_to_double(const Value *value, double *out);
const char *value_string(const Value *value);          /* NULL unless a string */

/* Where it came from, for error messages: "-drive" or "srv.xml:12"; copied; NULL when unknown. */
void value_set_origin(Value *value, const char *origin);
const char *value_origin(const Value *value);

/* Lists. value_at() lends item i or NULL beyond the end. */
size_t value_length(const Value *value);               /* items of a list, members of an object, else 0 */
Value *value_at(const Value *list, size_t i);
void value_append(Value *list, Value *take);
void value_remove_at(Value *list, size_t i);

/* Objects. value_get() lends the member or NULL; value_set() replaces in place or appends. */
Value *value_get(const Value *object, const char *key);
void value_set(Value *object, const char *key, Value *take);
bool value_remove(Value *object, const char *key);
const char *value_key_at(const Value *object, size_t i);
Value *value_member_at(const Value *object, size_t i);

/* Short cuts over value_get(): the member converted, or the fallback when it is absent or of another type. */
bool value_get_bool(const Value *object, const char *key, bool fallback);
int64_t value_get_int(const Value *object, const char *key, int64_t fallback);
uint64_t value_get_uint(const Value *object, const char *key, uint64_t fallback);
const char *value_get_string(const Value *object, const char *key, const char *fallback);

/* A dotted path from an object: "memory.size", "devices[0].id". value_path_set() makes objects on the way. */
Value *value_path(const Value *root, const char *path);
bool value_path_set(Value *root, const char *path, Value *take, GError **err);
