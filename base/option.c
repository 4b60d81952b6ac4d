/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * option.c - QEMU's option text
 *
 * A key with dots stays one key until option_nest() is asked.
 *
 * Threads  none of its own
 * Tests    tests/unit/option.c, tests/fuzz/option.c
 */
#include "base/option.h"
#include "base/error.h"
#include "base/json.h"
#include <errno.h>
#include <string.h>

typedef struct Item {
    char *key;                             /* NULL: there was no "=" */
    char *value;                           /* or the bare word */
} Item;

static void item_clear(Item *item)
{
    g_free(item->key);
    g_free(item->value);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Item, item_clear)

/* Up to the next single comma, with doubled ones halved; *text moves behind that comma. */
static char *take_value(const char **text)
{
    GString *value = g_string_new(NULL);
    const char *p = *text;

    while (*p && (*p != ',' || p[1] == ',')) {
        p += *p == ',';
        g_string_append_c(value, *p++);
    }
    *text = p + (*p == ',');
    return g_string_free(value, FALSE);
}

static void take_item(const char **text, Item *item)
{
    size_t length = strcspn(*text, "=,");

    if ((*text)[length] == '=') {
        item->key = g_strndup(*text, length);
        *text += length + 1;
    }
    item->value = take_value(text);
}

/* A value as its key's Field wants it: set into a scratch place and read back, which checks kind, names and limits. */
static Value *typed(const OptionGrammar *grammar, const Field *field, Value *take, GError **err)
{
    union {
        bool boolean;
        uint64_t number;
        int choice;
        char *text;
    } scratch = { .number = 0 };
    g_autoptr(Value) value = take;
    Field at_scratch = *field;
    Value *result = NULL;

    if (field->kind == FIELD_VALUE || field->kind == FIELD_CALL || field->kind == FIELD_LINK) {
        return g_steal_pointer(&value);    /* whoever knows more will check it */
    }
    at_scratch.offset = 0;
    if (!field_set(&at_scratch, &scratch, grammar->who, value, err)) {
        return NULL;
    }
    field_get(&at_scratch, &scratch, &result, err);
    if (field->kind == FIELD_STR) {
        g_free(scratch.text);
    }
    return result;
}

static bool is_list(const OptionGrammar *grammar, const char *key)
{
    for (const char *const *list = grammar->lists; list && *list; list++) {
        if (strcmp(*list, key) == 0) {
            return true;
        }
    }
    return false;
}

static bool key_known(const OptionGrammar *grammar, const char *key)
{
    return field_find(grammar->keys, key) || is_list(grammar, key) ||
           (grammar->implied && strcmp(grammar->implied, key) == 0);
}

/* For the sentence about a key that there is not. */
static char *key_names(const OptionGrammar *grammar)
{
    GString *names = g_string_new(NULL);

    for (const Field *field = grammar->keys; field->kind != FIELD_LAST; field++) {
        g_string_append_printf(names, "%s%s", names->len ? ", " : "", field->name);
    }
    return g_string_free(names, FALSE);
}

static bool put(const OptionGrammar *grammar, Value *options, const char *key, Value *take, GError **err);

/* JSON may write the repetitions of a key as a list. */
static bool put_each(const OptionGrammar *grammar, Value *options, const char *key, Value *take, GError **err)
{
    g_autoptr(Value) list = take;

    for (size_t i = 0; i < value_length(list); i++) {
        if (value_kind(value_at(list, i)) == VALUE_LIST) {
            return fail(err, EINVAL, "%s: key '%s' has a list within a list", grammar->who, key);
        }
        if (!put(grammar, options, key, value_ref(value_at(list, i)), err)) {
            return false;
        }
    }
    return true;
}

static bool put(const OptionGrammar *grammar, Value *options, const char *key, Value *take, GError **err)
{
    const Field *field = field_find(grammar->keys, key);
    Value *value = take;

    if (is_list(grammar, key) && value_kind(take) == VALUE_LIST) {
        return put_each(grammar, options, key, take, err);
    }
    if (grammar->keys && !grammar->other_keys && !key_known(grammar, key)) {
        g_autofree char *names = key_names(grammar);
        value_unref(take);
        return fail(err, ENOENT, "%s: there is no key '%s'; the keys are %s", grammar->who, key, names);
    }
    if (field) {
        value = typed(grammar, field, take, err);
        if (!value) {
            return false;
        }
    }
    if (is_list(grammar, key)) {
        Value *list = value_get(options, key);

        if (!list) {
            list = value_new_list();
            value_set(options, key, list);
        }
        value_append(list, value);
    } else {
        value_set(options, key, value);
    }
    return true;
}

/* "server" is server=on and "nowait" wait=off, unless a key is itself called "nowait". */
static bool put_flag(const OptionGrammar *grammar, Value *options, const char *word, GError **err)
{
    bool off = g_str_has_prefix(word, "no") && word[2] && !key_known(grammar, word);

    if (!*word) {
        return fail(err, EINVAL, "%s: there is nothing between two commas", grammar->who);
    }
    if (off && grammar->keys && !key_known(grammar, word + 2)) {
        off = false;                       /* neither is known: let the sentence name what was written */
    }
    return put(grammar, options, off ? word + 2 : word, value_new_string(off ? "off" : "on"), err);
}

static bool parse_items(const OptionGrammar *grammar, const char *text, Value *options, GError **err)
{
    for (bool first = true; *text; first = false) {
        g_auto(Item) item = { NULL, NULL };
        bool ok;

        take_item(&text, &item);
        if (item.key && !*item.key) {
            return fail(err, EINVAL, "%s: there is no key before '=%s'", grammar->who, item.value);
        }
        if (item.key) {
            ok = put(grammar, options, item.key, value_new_string(item.value), err);
        } else if (first && grammar->implied) {
            ok = put(grammar, options, grammar->implied, value_new_string(item.value), err);
        } else {
            ok = put_flag(grammar, options, item.value, err);
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool parse_json(const OptionGrammar *grammar, const char *text, Value *options, GError **err)
{
    g_autoptr(Value) json = json_parse(text, err);

    if (!json) {
        g_prefix_error(err, "%s: ", grammar->who);
        return false;
    }
    for (size_t i = 0; i < value_length(json); i++) {
        if (!put(grammar, options, value_key_at(json, i), value_copy(value_member_at(json, i)), err)) {
            return false;
        }
    }
    return true;
}

static bool check_required(const OptionGrammar *grammar, const Value *options, GError **err)
{
    for (const Field *field = grammar->keys; field && field->kind != FIELD_LAST; field++) {
        if (field->required && !value_get(options, field->name)) {
            return fail(err, EINVAL, "%s: key '%s' is missing", grammar->who, field->name);
        }
    }
    return true;
}

Value *option_parse(const OptionGrammar *grammar, const char *text, GError **err)
{
    g_autoptr(Value) options = value_new_object();
    bool ok = *text == '{' ? parse_json(grammar, text, options, err) : parse_items(grammar, text, options, err);

    if (!ok || !check_required(grammar, options, err)) {
        return NULL;
    }
    value_set_origin(options, grammar->who);
    return g_steal_pointer(&options);
}

/* ---- dotted keys ---- */

enum { NEST_MOST = 32 };                   /* parts of a key: option text is a person's, but list_up() walks by recursion */

/* The object that `part` names inside `object`, made when missing. */
static Value *step_into(Value *object, const char *part, const char *who, const char *key, const char *const *merge, GError **err)
{
    Value *member = value_get(object, part);

    if (!member) {
        member = value_new_object();
        value_set(object, part, member);
    } else if (value_kind(member) == VALUE_STRING && merge && g_strv_contains(merge, part)) {
        Value *parts = value_new_object();
        value_set(parts, "filename", value_ref(member));
        value_set(object, part, parts);
        member = parts;
    } else if (value_kind(member) != VALUE_OBJECT) {
        fail(err, EINVAL, "%s: '%s' is given a value, and '%s' a part of it; use one of them", who, part, key);
        return NULL;
    }
    return member;
}

static bool nest_one(Value *root, const char *key, Value *value, const char *who, const char *const *merge, GError **err)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);
    guint count = g_strv_length(parts);
    Value *at = root;

    if (count > NEST_MOST) {
        return fail(err, EINVAL, "%s: the key '%.40s...' has %u parts; %d are the most", who, key, count, NEST_MOST);
    }
    for (guint i = 0; i + 1 < count; i++) {
        at = *parts[i] ? step_into(at, parts[i], who, key, merge, err) : NULL;
        if (!at) {
            return *parts[i] ? false : fail(err, EINVAL, "%s: the key '%s' has an empty part", who, key);
        }
    }
    const char *last = count ? parts[count - 1] : "";
    if (!*last) {
        return fail(err, EINVAL, "%s: the key '%s' has an empty part", who, key);
    }
    Value *there = value_get(at, last);
    if (there && value_kind(there) == VALUE_OBJECT && value_kind(value) == VALUE_STRING && merge && g_strv_contains(merge, last)) {
        value_set(there, "filename", value_ref(value));
        return true;
    }
    if (there && value_kind(there) != value_kind(value)) {
        return fail(err, EINVAL, "%s: '%s' is given a value, and a part of it too; use one of them", who, key);
    }
    value_set(at, last, value_ref(value));
    return true;
}

/* Objects whose keys are 0, 1, 2... as lists, innermost first. A new reference. */
static Value *list_up(Value *value)
{
    g_autoptr(Value) list = value_new_list();
    bool numbered = value_length(value) > 0;

    if (value_kind(value) != VALUE_OBJECT) {
        return value_ref(value);
    }
    for (size_t i = 0; i < value_length(value); i++) {
        value_set(value, value_key_at(value, i), list_up(value_member_at(value, i)));
    }
    for (size_t i = 0; numbered && i < value_length(value); i++) {
        g_autofree char *number = g_strdup_printf("%zu", i);
        Value *item = value_get(value, number);
        numbered = item != NULL;
        if (item) {
            value_append(list, value_ref(item));
        }
    }
    return numbered ? g_steal_pointer(&list) : value_ref(value);
}

Value *option_nest(const Value *flat, const char *who, const char *const *merge, GError **err)
{
    g_autoptr(Value) root = value_new_object();

    for (size_t i = 0; i < value_length(flat); i++) {
        g_autoptr(Value) value = value_copy(value_member_at(flat, i));
        if (!nest_one(root, value_key_at(flat, i), value, who, merge, err)) {
            return NULL;
        }
    }
    Value *nested = value_new_object();
    value_set_origin(nested, value_origin(flat));
    for (size_t i = 0; i < value_length(root); i++) {      /* the root itself is never a list */
        value_set(nested, value_key_at(root, i), list_up(value_member_at(root, i)));
    }
    return nested;
}

bool option_wants_help(const char *text)
{
    while (*text && *text != '{') {
        g_auto(Item) item = { NULL, NULL };

        take_item(&text, &item);
        if (!item.key && (strcmp(item.value, "help") == 0 || strcmp(item.value, "?") == 0)) {
            return true;
        }
    }
    return false;
}

/* ---- printing ---- */

static bool is_scalar(const Value *value)
{
    return value_kind(value) != VALUE_LIST && value_kind(value) != VALUE_OBJECT && value_kind(value) != VALUE_NULL;
}

static bool printable(const OptionGrammar *grammar, const Value *options)
{
    for (size_t i = 0; i < value_length(options); i++) {
        const Value *value = value_member_at(options, i);
        const char *key = value_key_at(options, i);
        bool ok = is_scalar(value) || (is_list(grammar, key) && value_length(value) > 0);

        for (size_t j = 0; ok && value_kind(value) == VALUE_LIST && j < value_length(value); j++) {
            ok = is_scalar(value_at(value, j));
        }
        if (!ok || !*key || strpbrk(key, "=,") || *key == '{') {
            return false;
        }
    }
    return value_length(options) > 0;
}

static void print_scalar(const Value *value, GString *out)
{
    g_autofree char *json = NULL;
    const char *text = value_string(value);
    bool b;

    if (value_to_bool(value, &b)) {
        text = b ? "on" : "off";
    } else if (!text) {
        text = json = json_print(value, false);
    }
    for (; *text; text++) {
        if (*text == ',') {
            g_string_append_c(out, ',');
        }
        g_string_append_c(out, *text);
    }
}

static void print_item(const char *key, const Value *value, bool bare, GString *out)
{
    if (out->len) {
        g_string_append_c(out, ',');
    }
    if (!bare) {
        g_string_append_printf(out, "%s=", key);
    }
    print_scalar(value, out);
}

/* A first item may stand without its key when its text cannot be taken for something else. */
static bool may_be_bare(const char *key, const Value *value, const char *implied)
{
    const char *text = value_string(value);

    return implied && strcmp(key, implied) == 0 && text && *text && *text != '{' && *text != ',' && !strchr(text, '=');
}

char *option_print(const OptionGrammar *grammar, const Value *options)
{
    GString *out;

    if (!printable(grammar, options)) {
        return json_print(options, false);
    }
    out = g_string_new(NULL);
    for (size_t i = 0; i < value_length(options); i++) {
        const char *key = value_key_at(options, i);
        const Value *value = value_member_at(options, i);

        if (value_kind(value) == VALUE_LIST) {
            for (size_t j = 0; j < value_length(value); j++) {
                print_item(key, value_at(value, j), false, out);
            }
        } else {
            print_item(key, value, i == 0 && may_be_bare(key, value, grammar->implied), out);
        }
    }
    return g_string_free(out, FALSE);
}
