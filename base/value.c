/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * value.c - the configuration tree and JSON documents in memory
 *
 * Models   null, booleans, 64-bit integers of both signs, doubles, strings, lists, and objects in insertion order
 * Omits    strings with NUL bytes inside (the JSON parser stores U+0000 as the two bytes C0 80, as QMP peers do)
 * Threads  none of its own: a value belongs to one thread at a time
 * Tests    tests/unit/value.c
 */
#include "base/value.h"
#include "base/error.h"
#include "base/random.h"
#include <errno.h>
#include <string.h>

typedef struct Member {
    char *key;
    Value *value;
} Member;

struct Value {
    ValueKind kind;
    int references;
    char *origin;
    union {
        bool boolean;
        int64_t number;
        uint64_t unsigned_number;
        double real;
        char *text;
        GPtrArray *items;
        struct {
            GArray *members;               /* of Member, in insertion order */
            GHashTable *index;             /* key -> position + 1; NULL while there are few members */
        } object;
    };
};

/* From here on a hash finds members faster than a walk; a peer may send an object with a million of them. */
#define INDEX_FROM 16

static Value *value_new(ValueKind kind)
{
    Value *value = g_new0(Value, 1);

    value->kind = kind;
    value->references = 1;
    return value;
}

Value *value_new_null(void)
{
    return value_new(VALUE_NULL);
}

Value *value_new_bool(bool b)
{
    Value *value = value_new(VALUE_BOOL);

    value->boolean = b;
    return value;
}

Value *value_new_int(int64_t n)
{
    Value *value = value_new(VALUE_INT);

    value->number = n;
    return value;
}

Value *value_new_uint(uint64_t n)
{
    Value *value;

    if (n <= INT64_MAX) {
        return value_new_int((int64_t)n);
    }
    value = value_new(VALUE_UINT);
    value->unsigned_number = n;
    return value;
}

Value *value_new_double(double d)
{
    Value *value = value_new(VALUE_DOUBLE);

    value->real = d;
    return value;
}

Value *value_new_string(const char *s)
{
    Value *value = value_new(VALUE_STRING);

    value->text = g_strdup(s ? s : "");
    return value;
}

Value *value_new_list(void)
{
    Value *value = value_new(VALUE_LIST);

    value->items = g_ptr_array_new_with_free_func((GDestroyNotify)value_unref);
    return value;
}

Value *value_new_object(void)
{
    Value *value = value_new(VALUE_OBJECT);

    value->object.members = g_array_new(FALSE, FALSE, sizeof(Member));
    return value;
}

Value *value_ref(Value *value)
{
    if (value) {
        value->references++;
    }
    return value;
}

static void members_free(Value *value)
{
    for (guint i = 0; i < value->object.members->len; i++) {
        Member *member = &g_array_index(value->object.members, Member, i);

        g_free(member->key);
        value_unref(member->value);
    }
    g_array_free(value->object.members, TRUE);
    g_clear_pointer(&value->object.index, g_hash_table_unref);
}

void value_unref(Value *value)
{
    if (!value || --value->references > 0) {
        return;
    }
    switch (value->kind) {
    case VALUE_STRING:
        g_free(value->text);
        break;
    case VALUE_LIST:
        g_ptr_array_unref(value->items);
        break;
    case VALUE_OBJECT:
        members_free(value);
        break;
    default:
        break;
    }
    g_free(value->origin);
    g_free(value);
}

Value *value_copy(const Value *value)
{
    Value *copy;

    switch (value_kind(value)) {
    case VALUE_STRING:
        copy = value_new_string(value->text);
        break;
    case VALUE_LIST:
        copy = value_new_list();
        for (size_t i = 0; i < value_length(value); i++) {
            value_append(copy, value_copy(value_at(value, i)));
        }
        break;
    case VALUE_OBJECT:
        copy = value_new_object();
        for (size_t i = 0; i < value_length(value); i++) {
            value_set(copy, value_key_at(value, i), value_copy(value_member_at(value, i)));
        }
        break;
    case VALUE_BOOL:
        copy = value_new_bool(value->boolean);
        break;
    case VALUE_INT:
        copy = value_new_int(value->number);
        break;
    case VALUE_UINT:
        copy = value_new_uint(value->unsigned_number);
        break;
    case VALUE_DOUBLE:
        copy = value_new_double(value->real);
        break;
    default:
        copy = value_new_null();
        break;
    }
    value_set_origin(copy, value_origin(value));
    return copy;
}

static bool containers_equal(const Value *a, const Value *b)
{
    if (value_length(a) != value_length(b)) {
        return false;
    }
    for (size_t i = 0; i < value_length(a); i++) {
        const Value *x = a->kind == VALUE_LIST ? value_at(a, i) : value_member_at(a, i);
        const Value *y = a->kind == VALUE_LIST ? value_at(b, i) : value_get(b, value_key_at(a, i));

        if (!y || !value_equal(x, y)) {
            return false;
        }
    }
    return true;
}

/* The order of an object's members does not count; 1 and 1.0 differ. */
bool value_equal(const Value *a, const Value *b)
{
    if (value_kind(a) != value_kind(b)) {
        return false;
    }
    switch (value_kind(a)) {
    case VALUE_BOOL:
        return a->boolean == b->boolean;
    case VALUE_INT:
        return a->number == b->number;
    case VALUE_UINT:
        return a->unsigned_number == b->unsigned_number;
    case VALUE_DOUBLE:
        return a->real == b->real;
    case VALUE_STRING:
        return strcmp(a->text, b->text) == 0;
    case VALUE_LIST:
    case VALUE_OBJECT:
        return containers_equal(a, b);
    default:
        return true;
    }
}

ValueKind value_kind(const Value *value)
{
    return value ? value->kind : VALUE_NULL;
}

const char *value_kind_name(ValueKind kind)
{
    static const char *const names[] = {
        [VALUE_NULL] = "null", [VALUE_BOOL] = "boolean", [VALUE_INT] = "integer", [VALUE_UINT] = "integer",
        [VALUE_DOUBLE] = "number", [VALUE_STRING] = "string", [VALUE_LIST] = "list", [VALUE_OBJECT] = "object",
    };
    return (unsigned)kind < G_N_ELEMENTS(names) ? names[kind] : "unknown";
}

bool value_to_bool(const Value *value, bool *out)
{
    if (value_kind(value) != VALUE_BOOL) {
        return false;
    }
    *out = value->boolean;
    return true;
}

bool value_to_int(const Value *value, int64_t *out)
{
    if (value_kind(value) == VALUE_INT) {
        *out = value->number;
        return true;
    }
    /* Both bounds are exact as doubles; the comparison also refuses NaN. */
    if (value_kind(value) == VALUE_DOUBLE && value->real >= -0x1p63 && value->real < 0x1p63 &&
        (double)(int64_t)value->real == value->real) {
        *out = (int64_t)value->real;
        return true;
    }
    return false;
}

bool value_to_uint(const Value *value, uint64_t *out)
{
    int64_t n;

    if (value_kind(value) == VALUE_UINT) {
        *out = value->unsigned_number;
        return true;
    }
    if (value_kind(value) == VALUE_DOUBLE && value->real >= 0x1p63 && value->real < 0x1p64) {
        *out = (uint64_t)value->real;      /* integral: a double this large has no fraction */
        return true;
    }
    if (value_to_int(value, &n) && n >= 0) {
        *out = (uint64_t)n;
        return true;
    }
    return false;
}

bool value_to_double(const Value *value, double *out)
{
    double d;

    switch (value_kind(value)) {
    case VALUE_DOUBLE:
        *out = value->real;
        return true;
    case VALUE_INT:
        d = (double)value->number;
        if (d >= 0x1p63 || (int64_t)d != value->number) {
            return false;
        }
        break;
    case VALUE_UINT:
        d = (double)value->unsigned_number;
        if (d >= 0x1p64 || (uint64_t)d != value->unsigned_number) {
            return false;
        }
        break;
    default:
        return false;
    }
    *out = d;
    return true;
}

const char *value_string(const Value *value)
{
    return value_kind(value) == VALUE_STRING ? value->text : NULL;
}

void value_set_origin(Value *value, const char *origin)
{
    char *copy = g_strdup(origin);

    g_free(value->origin);
    value->origin = copy;
}

const char *value_origin(const Value *value)
{
    return value ? value->origin : NULL;
}

size_t value_length(const Value *value)
{
    switch (value_kind(value)) {
    case VALUE_LIST:
        return value->items->len;
    case VALUE_OBJECT:
        return value->object.members->len;
    default:
        return 0;
    }
}

Value *value_at(const Value *list, size_t i)
{
    return value_kind(list) == VALUE_LIST && i < list->items->len ? g_ptr_array_index(list->items, i) : NULL;
}

void value_append(Value *list, Value *take)
{
    g_assert(value_kind(list) == VALUE_LIST);
    g_ptr_array_add(list->items, take ? take : value_new_null());
}

void value_remove_at(Value *list, size_t i)
{
    if (value_at(list, i)) {
        g_ptr_array_remove_index(list->items, (guint)i);
    }
}

static Member *member_at(const Value *object, size_t i)
{
    if (value_kind(object) != VALUE_OBJECT || i >= object->object.members->len) {
        return NULL;
    }
    return &g_array_index(object->object.members, Member, i);
}

static Member *member_find(const Value *object, const char *key, size_t *position)
{
    if (value_kind(object) != VALUE_OBJECT) {
        return NULL;
    }
    if (object->object.index) {
        size_t found = GPOINTER_TO_SIZE(g_hash_table_lookup(object->object.index, key));

        *position = found - 1;
        return found ? member_at(object, found - 1) : NULL;
    }
    for (size_t i = 0; i < object->object.members->len; i++) {
        Member *member = member_at(object, i);

        if (strcmp(member->key, key) == 0) {
            *position = i;
            return member;
        }
    }
    return NULL;
}

/* GLib's own hash of strings has no secret in it: a peer could send a million keys that all meet in one slot. */
static guint key_hash(gconstpointer key)
{
    static gsize secret;
    uint64_t hash;

    if (g_once_init_enter(&secret)) {
        g_once_init_leave(&secret, (gsize)random_u64() | 1);
    }
    hash = secret;
    for (const char *p = key; *p; p++) {
        hash = (hash ^ (unsigned char)*p) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return (guint)(hash >> 16);
}

static void index_build(Value *object)
{
    object->object.index = g_hash_table_new(key_hash, g_str_equal);
    for (size_t i = 0; i < object->object.members->len; i++) {
        g_hash_table_insert(object->object.index, member_at(object, i)->key, GSIZE_TO_POINTER(i + 1));
    }
}

Value *value_get(const Value *object, const char *key)
{
    size_t position;
    Member *member = member_find(object, key, &position);

    return member ? member->value : NULL;
}

void value_set(Value *object, const char *key, Value *take)
{
    size_t position;
    Member *member;
    Value *value = take ? take : value_new_null();

    g_assert(value_kind(object) == VALUE_OBJECT);
    member = member_find(object, key, &position);
    if (member) {
        Value *old = member->value;

        member->value = value;
        value_unref(old);
        return;
    }
    g_array_append_val(object->object.members, ((Member){ g_strdup(key), value }));
    position = object->object.members->len;
    if (object->object.index) {
        g_hash_table_insert(object->object.index, member_at(object, position - 1)->key, GSIZE_TO_POINTER(position));
    } else if (position >= INDEX_FROM) {
        index_build(object);
    }
}

bool value_remove(Value *object, const char *key)
{
    size_t position;
    Member *member = member_find(object, key, &position);
    Member gone;

    if (!member) {
        return false;
    }
    gone = *member;
    /* Positions behind it change: the next long look-up counts anew. */
    g_clear_pointer(&object->object.index, g_hash_table_unref);
    g_array_remove_index(object->object.members, (guint)position);
    if (object->object.members->len >= INDEX_FROM) {
        index_build(object);
    }
    g_free(gone.key);
    value_unref(gone.value);
    return true;
}

const char *value_key_at(const Value *object, size_t i)
{
    Member *member = member_at(object, i);

    return member ? member->key : NULL;
}

Value *value_member_at(const Value *object, size_t i)
{
    Member *member = member_at(object, i);

    return member ? member->value : NULL;
}

bool value_get_bool(const Value *object, const char *key, bool fallback)
{
    value_to_bool(value_get(object, key), &fallback);
    return fallback;
}

int64_t value_get_int(const Value *object, const char *key, int64_t fallback)
{
    value_to_int(value_get(object, key), &fallback);
    return fallback;
}

uint64_t value_get_uint(const Value *object, const char *key, uint64_t fallback)
{
    value_to_uint(value_get(object, key), &fallback);
    return fallback;
}

const char *value_get_string(const Value *object, const char *key, const char *fallback)
{
    const char *text = value_string(value_get(object, key));

    return text ? text : fallback;
}

/*
 * One step of a path: ".name" or "[n]" ("[]" asks for a new item at the end).
 * Consumes it from *path; false when the text is not a path.
 */
typedef struct Step {
    char *key;                             /* NULL for an index */
    size_t index;
    bool append;
} Step;

static bool step_next(const char **path, bool first, Step *step)
{
    const char *p = *path;
    size_t length;

    *step = (Step){ NULL };
    if (*p == '[') {
        char *end;

        p++;
        step->append = *p == ']';
        if (!step->append && !g_ascii_isdigit(*p)) {
            return false;
        }
        step->index = step->append ? 0 : g_ascii_strtoull(p, &end, 10);
        p = step->append ? p : end;
        if (*p != ']') {
            return false;
        }
        *path = p + 1;
        return true;
    }
    if (!first && *p++ != '.') {
        return false;
    }
    length = strcspn(p, ".[");
    if (length == 0) {
        return false;
    }
    step->key = g_strndup(p, length);
    *path = p + length;
    return true;
}

Value *value_path(const Value *root, const char *path)
{
    const Value *at = root;
    bool first = true;

    while (at && *path) {
        Step step;

        if (!step_next(&path, first, &step) || step.append) {
            return NULL;
        }
        at = step.key ? value_get(at, step.key) : value_at(at, step.index);
        g_free(step.key);
        first = false;
    }
    return (Value *)at;
}

/* The container below holder that the rest of the path asks for: made when it is absent, an error when it is another kind. */
static Value *step_into(Value *holder, const Step *step, ValueKind wanted, const char *path, GError **err)
{
    Value *next = step->key ? value_get(holder, step->key) : step->append ? NULL : value_at(holder, step->index);

    if (!next) {
        next = wanted == VALUE_LIST ? value_new_list() : value_new_object();
        if (step->key) {
            value_set(holder, step->key, next);
        } else {
            value_append(holder, next);
        }
    } else if (value_kind(next) != wanted) {
        fail(err, EINVAL, "'%s': there is %s already where the path goes through", path, value_kind_name(value_kind(next)));
        return NULL;
    }
    return next;
}

static bool step_fits(const Value *holder, const Step *step, const char *path, GError **err)
{
    ValueKind wanted = step->key ? VALUE_OBJECT : VALUE_LIST;

    if (value_kind(holder) != wanted) {
        return fail(err, EINVAL, "'%s': there is %s where the path needs %s", path,
                    value_kind_name(value_kind(holder)), value_kind_name(wanted));
    }
    if (!step->key && step->index > value_length(holder)) {
        return fail(err, EINVAL, "'%s': index %zu is beyond the %zu items that are there", path, step->index,
                    value_length(holder));
    }
    return true;
}

static void step_put(Value *holder, const Step *step, Value *take)
{
    if (step->key) {
        value_set(holder, step->key, take);
    } else if (step->append || step->index == value_length(holder)) {
        value_append(holder, take);
    } else {
        value_unref(g_ptr_array_index(holder->items, step->index));
        g_ptr_array_index(holder->items, step->index) = take;
    }
}

bool value_path_set(Value *root, const char *path, Value *take, GError **err)
{
    g_autoptr(Value) value = take ? take : value_new_null();
    Value *at = root;
    const char *rest = path;
    bool first = true, ok = true;

    while (ok) {
        Step step;

        if (!step_next(&rest, first, &step)) {
            return fail(err, EINVAL, "'%s' is not a path such as a.b[0].c", path);
        }
        first = false;
        ok = step_fits(at, &step, path, err);
        if (ok && !*rest) {
            step_put(at, &step, g_steal_pointer(&value));
            g_free(step.key);
            return true;
        }
        if (ok) {
            at = step_into(at, &step, *rest == '[' ? VALUE_LIST : VALUE_OBJECT, path, err);
            ok = at != NULL;
        }
        g_free(step.key);
    }
    return false;
}
