/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * schema.c - what commands take, return and what events carry: checked, and told to whoever asks
 *
 * The notation of qmp.h is read when it is first needed, each text once. Types refer to each other in circles (a node's options hold
 * other nodes' options), so a name is entered before its text is read.
 *
 * Hostile  recursion follows the arguments, whose depth the JSON parser limits
 * Tests    tests/qmp (each reply is held against it)
 */
#include "monitor/qmp.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

typedef enum { TYPE_BUILTIN, TYPE_ENUM, TYPE_LIST, TYPE_OBJECT, TYPE_ALTERNATE } TypeKind;
typedef struct Type Type;
typedef struct Part {                      /* a member, a branch of a union, or of an alternate */
    const char *name;
    Type *type;
    bool optional;
} Part;
struct Type {
    TypeKind kind;
    const char *name;                      /* of a list: its element's */
    const char *json, *expected;           /* builtin: its JSON type; what an error says is expected */
    Type *element;
    GPtrArray *values;                     /* enum: of const char * */
    GArray *members, *branches;            /* of Part */
    const char *tag;                       /* of a union */
    bool open;                             /* "...": members beside these are the command's own affair */
    char *shown;                           /* the name in the schema, given when it is first told */
    bool told;
};

static Type builtins[] = {
    { .name = "str", .json = "string", .expected = "string" }, { .name = "bool", .json = "boolean", .expected = "boolean" },
    { .name = "int", .json = "int", .expected = "integer" }, { .name = "uint", .json = "int", .expected = "uint64" },
    { .name = "number", .json = "number", .expected = "number" }, { .name = "any", .json = "value" }, { .name = "null", .json = "null", .expected = "null" },
};
static GHashTable *named, *lists, *unnamed;    /* by name; by element's name; by text */

/* ---- reading the notation ---- */

static Type *type_of_text(const char *text);

static Type *find_builtin(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(builtins); i++) {
        if (strcmp(builtins[i].name, name) == 0) {
            return &builtins[i];
        }
    }
    return NULL;
}

static const char *text_of_name(const char *name)
{
    for (const QmpType *const *table = qmp_type_tables; *table; table++) {
        for (const QmpType *type = *table; type->name; type++) {
            if (strcmp(type->name, name) == 0) {
                return type->text;
            }
        }
    }
    for (size_t i = 0; qmp_made_types[i]; i++) {
        const char *text = qmp_made_types[i](name);
        if (text) {
            return text;
        }
    }
    return NULL;
}

static Type *list_of(Type *element)
{
    Type *list = g_hash_table_lookup(lists, element);

    if (!list) {
        list = g_new0(Type, 1);
        *list = (Type){ .kind = TYPE_LIST, .name = element->name, .element = element, .expected = "array" };
        g_hash_table_insert(lists, element, list);
    }
    return list;
}

/* "name:T", "?name:[T]". */
static void read_part(GArray *parts, char *word)
{
    Part part = { .optional = *word == '?' };
    char *colon = strchr(word, ':');

    *colon = '\0';
    part.name = g_intern_string(word + part.optional);
    part.type = type_of_text(colon + 1);
    g_array_append_val(parts, part);
}

/* The words after the kind: members ; tag ; branches. */
static void read_object(Type *type, char **words)
{
    unsigned section = 0;

    type->members = g_array_new(FALSE, FALSE, sizeof(Part));
    type->branches = g_array_new(FALSE, FALSE, sizeof(Part));
    for (; *words; words++) {
        if (strcmp(*words, "...") == 0) {
            type->open = true;
        } else if (strcmp(*words, ";") == 0) {
            section++;
        } else if (section == 1) {
            type->tag = g_intern_string(*words);
        } else if (**words) {
            read_part(section == 0 ? type->members : type->branches, *words);
        }
    }
}

static void read_enum(Type *type, char **words)
{
    type->values = g_ptr_array_new();
    for (; *words; words++) {
        g_ptr_array_add(type->values, (void *)g_intern_string(*words));
    }
}

static Type *type_named(const char *name)
{
    Type *type = g_hash_table_lookup(named, name);
    const char *text = type ? NULL : text_of_name(name);

    if (type || !text) {
        return type;
    }
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    type = g_new0(Type, 1);
    type->name = g_intern_string(name);
    g_hash_table_insert(named, (void *)type->name, type);
    if (strcmp(words[0], "enum") == 0) {
        *type = (Type){ .kind = TYPE_ENUM, .name = type->name, .expected = "string" };
        read_enum(type, words + 1);
    } else if (strcmp(words[0], "alternate") == 0) {
        *type = (Type){ .kind = TYPE_ALTERNATE, .name = type->name, .expected = type->name };
        read_object(type, words + 1);
    } else {
        *type = (Type){ .kind = TYPE_OBJECT, .name = type->name, .expected = "object" };
        read_object(type, words + 1);
    }
    return type;
}

static Type *type_of_members(const char *text)
{
    Type *type = g_hash_table_lookup(unnamed, text);

    if (!type) {
        g_auto(GStrv) words = g_strsplit(text, " ", -1);
        type = g_new0(Type, 1);
        *type = (Type){ .kind = TYPE_OBJECT, .name = "", .expected = "object" };
        read_object(type, words);
        g_hash_table_insert(unnamed, (void *)g_intern_string(text), type);
    }
    return type;
}

/* A name, a list, or members. NULL text: no members. */
static Type *type_of_text(const char *text)
{
    if (!named) {
        named = g_hash_table_new(g_str_hash, g_str_equal);
        lists = g_hash_table_new(g_direct_hash, g_direct_equal);
        unnamed = g_hash_table_new(g_str_hash, g_str_equal);
    }
    if (text && *text == '[') {
        g_autofree char *inner = g_strndup(text + 1, strlen(text) - 2);
        return list_of(type_of_text(inner));
    }
    if (text && *text && !strchr(text, ':')) {
        Type *type = find_builtin(text);
        type = type ? type : type_named(text);
        if (type) {
            return type;
        }
    }
    return type_of_members(text && strchr(text, ':') ? text : "");
}

/* ---- checking ---- */

/* Where in the arguments: links on the stack, printed when something is wrong. */
typedef struct Place {
    const struct Place *outer;
    const char *name;                      /* NULL: item `at` of a list */
    size_t at;
} Place;

static char *place_name(const Place *place)
{
    GString *text = g_string_new(NULL);

    for (; place; place = place->outer) {
        bool first = text->len == 0 || *text->str == '[';
        g_autofree char *part = place->name ? g_strdup_printf("%s%s", place->name, first ? "" : ".")
                                            : g_strdup_printf("[%zu]%s", place->at, first ? "" : ".");
        g_string_prepend(text, part);
    }
    return g_string_free(text, FALSE);
}

static bool wrong(GError **err, const Place *place, const char *what)
{
    g_autofree char *name = place_name(place);

    return fail(err, EINVAL, "Parameter '%s' is %s", name, what);
}

static bool wrong_kind(GError **err, const Place *place, const char *expected)
{
    g_autofree char *name = place_name(place);

    return strcmp(expected, "uint64") == 0 ? fail(err, EINVAL, "Parameter '%s' expects uint64", name)      /* QEMU's two sentences */
                                           : fail(err, EINVAL, "Invalid parameter type for '%s', expected: %s", name, expected);
}

static bool check(const Type *type, const Value *value, const Place *place, GError **err);

static bool is_builtin(const Type *type, const Value *value)
{
    ValueKind kind = value_kind(value);
    int64_t i;
    uint64_t u;

    switch (type->name[0]) {
    case 's': return kind == VALUE_STRING;
    case 'b': return kind == VALUE_BOOL;
    case 'i': return kind == VALUE_INT && value_to_int(value, &i);
    case 'u': return (kind == VALUE_INT || kind == VALUE_UINT) && value_to_uint(value, &u);
    case 'a': return true;
    default:
        return type->name[1] == 'u' && type->name[2] == 'l' ? kind == VALUE_NULL
                                                            : kind == VALUE_INT || kind == VALUE_UINT || kind == VALUE_DOUBLE;
    }
}

static const Part *find_part(const GArray *parts, const char *name)
{
    for (guint i = 0; i < parts->len; i++) {
        const Part *part = &g_array_index(parts, Part, i);
        if (strcmp(part->name, name) == 0) {
            return part;
        }
    }
    return NULL;
}

/* The branch that the tag chooses; NULL for a value that has no members of its own. */
static const Type *chosen_branch(const Type *type, const Value *object)
{
    const char *tag = type->tag ? value_get_string(object, type->tag, NULL) : NULL;
    const Part *part = tag ? find_part(type->branches, tag) : NULL;

    return part ? part->type : NULL;
}

static bool check_members(const Type *type, const Value *object, const Place *place, GError **err)
{
    for (guint i = 0; i < type->members->len; i++) {
        const Part *part = &g_array_index(type->members, Part, i);
        const Value *value = value_get(object, part->name);
        const Place here = { place, part->name, 0 };
        if (!value && !part->optional) {
            return wrong(err, &here, "missing");
        }
        if (value && !check(part->type, value, &here, err)) {
            return false;
        }
    }
    const Type *branch = chosen_branch(type, object);
    return !branch || check_members(branch, object, place, err);
}

static bool knows_member(const Type *type, const Value *object, const char *name)
{
    const Type *branch = chosen_branch(type, object);

    return find_part(type->members, name) || (branch && knows_member(branch, object, name));
}

static bool check_object(const Type *type, const Value *object, const Place *place, GError **err)
{
    if (!check_members(type, object, place, err)) {
        return false;
    }
    for (size_t i = 0; !type->open && i < value_length(object); i++) {
        const Place here = { place, value_key_at(object, i), 0 };
        if (!knows_member(type, object, here.name)) {
            return wrong(err, &here, "unexpected");
        }
    }
    return true;
}

static bool check_list(const Type *type, const Value *list, const Place *place, GError **err)
{
    for (size_t i = 0; i < value_length(list); i++) {
        const Place here = { place, NULL, i };
        if (!check(type->element, value_at(list, i), &here, err)) {
            return false;
        }
    }
    return true;
}

static bool check_enum(const Type *type, const Value *value, const Place *place, GError **err)
{
    const char *text = value_string(value);

    for (guint i = 0; i < type->values->len; i++) {
        if (strcmp(type->values->pdata[i], text) == 0) {
            return true;
        }
    }
    const char *name = place->name ? place->name : "null";     /* as QEMU says it: the last part alone */
    return fail(err, EINVAL, "Parameter '%s' does not accept value '%.200s'", name, text);
}

static ValueKind kind_of(const Type *type)
{
    return type->kind == TYPE_ENUM ? VALUE_STRING : type->kind == TYPE_LIST ? VALUE_LIST : VALUE_OBJECT;
}

/* The branches of an alternate differ in their JSON kind. */
static bool check_alternate(const Type *type, const Value *value, const Place *place, GError **err)
{
    for (guint i = 0; i < type->members->len; i++) {
        const Type *branch = g_array_index(type->members, Part, i).type;
        if (branch->kind == TYPE_BUILTIN ? is_builtin(branch, value) : kind_of(branch) == value_kind(value)) {
            return check(branch, value, place, err);
        }
    }
    return wrong_kind(err, place, type->expected);
}

static bool check(const Type *type, const Value *value, const Place *place, GError **err)
{
    if (type->kind == TYPE_ALTERNATE) {
        return check_alternate(type, value, place, err);
    }
    if (type->kind == TYPE_BUILTIN ? !is_builtin(type, value) : value_kind(value) != kind_of(type)) {
        return wrong_kind(err, place, type->expected);
    }
    switch (type->kind) {
    case TYPE_ENUM: return check_enum(type, value, place, err);
    case TYPE_LIST: return check_list(type, value, place, err);
    case TYPE_OBJECT: return check_object(type, value, place, err);
    default: return true;
    }
}

bool qmp_check_args(const QmpCommand *command, const Value *args, GError **err)
{
    return check(type_of_text(command->args), args, NULL, err);
}

/* ---- telling ---- */

typedef struct Telling {
    Value *out;
    GPtrArray *queue;                      /* types whose names were used and whose own entry is still to come */
    unsigned next;
} Telling;

/* QMP's clients must not rely on names of types, and so they are numbers. */
static const char *mention(Telling *telling, Type *type)
{
    if (type->kind == TYPE_LIST && type->element == find_builtin("uint")) {
        return mention(telling, list_of(find_builtin("int")));     /* the schema knows one kind of integer */
    }
    if (!type->shown) {
        type->shown = type->kind == TYPE_BUILTIN ? g_strdup(strcmp(type->name, "uint") == 0 ? "int" : type->name)
                    : type->kind == TYPE_LIST ? g_strdup_printf("[%s]", mention(telling, type->element))
                                              : g_strdup_printf("%u", telling->next++);
    }
    if (!type->told) {
        type->told = true;
        g_ptr_array_add(telling->queue, type);
    }
    return type->shown;
}

static Value *entry(Telling *telling, const char *name, const char *meta)
{
    Value *object = value_new_object();

    value_set(object, "name", value_new_string(name));
    value_set(object, "meta-type", value_new_string(meta));
    value_append(telling->out, object);
    return object;
}

static Value *tell_members(Telling *telling, const GArray *parts)
{
    Value *list = value_new_list();

    for (guint i = 0; i < parts->len; i++) {
        const Part *part = &g_array_index(parts, Part, i);
        Value *member = value_new_object();
        value_set(member, "name", value_new_string(part->name));
        value_set(member, "type", value_new_string(mention(telling, part->type)));
        if (part->optional) {
            value_set(member, "default", value_new_null());
        }
        value_append(list, member);
    }
    return list;
}

/* Each value of the tag is told, those without members of their own as branches of nothing. */
static Value *tell_branches(Telling *telling, const Type *type)
{
    const Part *tag = find_part(type->members, type->tag);
    Value *list = value_new_list();

    for (guint i = 0; i < tag->type->values->len; i++) {
        const char *value = tag->type->values->pdata[i];
        const Part *branch = find_part(type->branches, value);
        Value *variant = value_new_object();
        value_set(variant, "case", value_new_string(value));
        value_set(variant, "type", value_new_string(mention(telling, branch ? branch->type : type_of_text(NULL))));
        value_append(list, variant);
    }
    return list;
}

static void tell_enum(Value *object, const Type *type)
{
    Value *values = value_new_list(), *members = value_new_list();

    for (guint i = 0; i < type->values->len; i++) {
        Value *member = value_new_object();
        value_set(member, "name", value_new_string(type->values->pdata[i]));
        value_append(members, member);
        value_append(values, value_new_string(type->values->pdata[i]));
    }
    value_set(object, "members", members);
    value_set(object, "values", values);
}

static void tell_alternate(Telling *telling, Value *object, const Type *type)
{
    Value *members = value_new_list();

    for (guint i = 0; i < type->members->len; i++) {
        Value *member = value_new_object();
        value_set(member, "type", value_new_string(mention(telling, g_array_index(type->members, Part, i).type)));
        value_append(members, member);
    }
    value_set(object, "members", members);
}

static void tell_type(Telling *telling, Type *type)
{
    static const char *const metas[] = { "builtin", "enum", "array", "object", "alternate" };

    if (type->kind == TYPE_BUILTIN && strcmp(type->name, "uint") == 0) {
        mention(telling, find_builtin("int"));
        return;
    }
    Value *object = entry(telling, type->shown, metas[type->kind]);
    switch (type->kind) {
    case TYPE_BUILTIN:
        value_set(object, "json-type", value_new_string(type->json));
        break;
    case TYPE_ENUM:
        tell_enum(object, type);
        break;
    case TYPE_LIST:
        value_set(object, "element-type", value_new_string(mention(telling, type->element)));
        break;
    case TYPE_OBJECT:
        value_set(object, "members", tell_members(telling, type->members));
        if (type->tag) {
            value_set(object, "tag", value_new_string(type->tag));
            value_set(object, "variants", tell_branches(telling, type));
        }
        break;
    case TYPE_ALTERNATE:
        tell_alternate(telling, object, type);
        break;
    }
}

static void tell_command(Telling *telling, const QmpCommand *command)
{
    Value *object = entry(telling, command->name, "command");

    value_set(object, "arg-type", value_new_string(mention(telling, type_of_text(command->args))));
    value_set(object, "ret-type", value_new_string(mention(telling, type_of_text(command->returns))));
    if (command->out_of_band) {
        value_set(object, "allow-oob", value_new_bool(true));
    }
    if (command->features) {
        g_auto(GStrv) words = g_strsplit(command->features, " ", -1);
        Value *features = value_new_list();
        for (char **word = words; *word; word++) {
            value_append(features, value_new_string(*word));
        }
        value_set(object, "features", features);
    }
}

Value *qmp_schema(void)
{
    static Value *schema;                  /* it never changes: told once */

    if (!schema) {
        Telling telling = { .out = value_new_list(), .queue = g_ptr_array_new() };
        for (const QmpCommand *const *table = qmp_command_tables; *table; table++) {
            for (const QmpCommand *command = *table; command->name; command++) {
                tell_command(&telling, command);
            }
        }
        for (const QmpEvent *event = qmp_events; event->name; event++) {
            Value *object = entry(&telling, event->name, "event");
            value_set(object, "arg-type", value_new_string(mention(&telling, type_of_text(event->data))));
        }
        for (guint i = 0; i < telling.queue->len; i++) {
            tell_type(&telling, telling.queue->pdata[i]);
        }
        g_ptr_array_free(telling.queue, TRUE);
        schema = telling.out;
    }
    return value_ref(schema);
}
