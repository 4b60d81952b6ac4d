/* SPDX-License-Identifier: GPL-2.0-or-later */
/* field.c - text to number, defaults, setting and reading every kind of property */
#include "base/error.h"
#include "base/field.h"
#include "base/json.h"
#include <string.h>

typedef struct Thing {
    bool on;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64, size;
    int32_t i32;
    int64_t i64;
    char *text;
    int shade, tri;
    Value *any;
    void *link;
    int computed;
} Thing;

static bool computed_get(void *object, Value **out, GError **err G_GNUC_UNUSED)
{
    *out = value_new_int(((Thing *)object)->computed);
    return true;
}

static bool computed_set(void *object, const Value *value, GError **err)
{
    int64_t n;

    if (!value_to_int(value, &n) || n > 10) {
        return fail(err, 1, "not this one");
    }
    ((Thing *)object)->computed = (int)n;
    return true;
}

static const char *const shades[] = { "dark", "light", NULL };
static const Field thing_props[] = {
    PROP_BOOL("on", Thing, on, true),
    PROP_U8("u8", Thing, u8, 8),
    PROP_U16("u16", Thing, u16, 16, .min = 10, .max = 1000),
    PROP_U32("u32", Thing, u32, 0xffffffff),
    PROP_U64("u64", Thing, u64, UINT64_MAX),
    PROP_SIZE("size", Thing, size, 4096),
    PROP_I32("i32", Thing, i32, -5),
    PROP_I64("i64", Thing, i64, INT64_MIN),
    PROP_STR("text", Thing, text, .preset_text = "hello"),
    PROP_ENUM("shade", Thing, shade, shades, 1),
    PROP_ONOFFAUTO("tri", Thing, tri, 2),
    PROP_VALUE("any", Thing, any),
    PROP_LINK("chardev", Thing, link, "chardev"),
    PROP_CALL("computed", computed_get, computed_set),
    PROP_CALL("read-only", computed_get, NULL),
    FIELD_END
};

static void check_json(const char *name, Thing *thing, const char *expected)
{
    GError *error = NULL;
    g_autoptr(Value) value = NULL;
    g_autofree char *json = NULL;

    field_get(field_find(thing_props, name), thing, &value, &error);
    g_assert_no_error(error);
    json = json_print(value, false);
    g_assert_cmpstr(json, ==, expected);
}

static void defaults(void)
{
    Thing thing = { 0 };

    fields_init(thing_props, &thing);
    check_json("on", &thing, "true");
    check_json("u8", &thing, "8");
    check_json("u16", &thing, "16");
    check_json("u32", &thing, "4294967295");
    check_json("u64", &thing, "18446744073709551615");
    check_json("size", &thing, "4096");
    check_json("i32", &thing, "-5");
    check_json("i64", &thing, "-9223372036854775808");
    check_json("text", &thing, "\"hello\"");
    check_json("shade", &thing, "\"light\"");
    check_json("tri", &thing, "\"auto\"");
    check_json("any", &thing, "null");
    fields_clear(thing_props, &thing);
    g_assert_null(thing.text);
}

/* Sets one property from JSON; expected NULL: it must be refused, with a sentence that names thing and property. */
static void set_and_check(const char *name, const char *json, const char *expected)
{
    Thing thing = { 0 };
    GError *error = NULL;
    g_autoptr(Value) value = json_parse(json, NULL);
    bool ok;

    fields_init(thing_props, &thing);
    ok = field_set(field_find(thing_props, name), &thing, "thing 'x'", value, &error);
    if (ok != (expected != NULL)) {
        g_error("%s=%s: %s", name, json, error ? error->message : "was accepted");
    }
    if (ok) {
        check_json(name, &thing, expected);
    } else if (strcmp(name, "computed") != 0) {
        g_assert_true(g_str_has_prefix(error->message, "thing 'x': property '"));
        g_assert_nonnull(strstr(error->message, name));
    }
    g_clear_error(&error);
    fields_clear(thing_props, &thing);
}

static void sets(void)
{
    static const struct { const char *name, *json, *expected; } cases[] = {
        { "on", "'off'", "false" }, { "on", "false", "false" }, { "on", "'maybe'", NULL }, { "on", "1", NULL },
        { "u8", "255", "255" }, { "u8", "256", NULL }, { "u8", "'0xff'", "255" }, { "u8", "'010'", "8" },
        { "u8", "'08'", NULL }, { "u8", "-1", NULL }, { "u8", "'-1'", NULL }, { "u8", "' 1'", NULL },
        { "u8", "'1 '", NULL }, { "u8", "''", NULL }, { "u8", "1.0", "1" }, { "u8", "1.5", NULL }, { "u8", "[]", NULL },
        { "u8", "null", NULL }, { "u8", "'+1'", NULL }, { "u8", "'1k'", NULL },
        { "u16", "9", NULL }, { "u16", "10", "10" }, { "u16", "1000", "1000" }, { "u16", "1001", NULL },
        { "u32", "4294967295", "4294967295" }, { "u32", "'4294967296'", NULL },
        { "u64", "'18446744073709551615'", "18446744073709551615" }, { "u64", "'18446744073709551616'", NULL },
        { "size", "'2G'", "2147483648" }, { "size", "'1.5k'", "1536" }, { "size", "'16E'", NULL }, { "size", "7", "7" },
        { "i32", "'-2147483648'", "-2147483648" }, { "i32", "-2147483649", NULL }, { "i32", "'0x10'", "16" },
        { "i64", "'-9223372036854775808'", "-9223372036854775808" }, { "i64", "'9223372036854775808'", NULL },
        { "i64", "'--1'", NULL },
        { "text", "'a,b'", "\"a,b\"" }, { "text", "5", NULL },
        { "shade", "'dark'", "\"dark\"" }, { "shade", "'Dark'", NULL }, { "shade", "0", NULL },
        { "tri", "'auto'", "\"auto\"" }, { "tri", "true", "\"on\"" }, { "tri", "'no'", "\"off\"" }, { "tri", "'x'", NULL },
        { "any", "{'a':[1]}", "{\"a\": [1]}" },
        { "chardev", "'c0'", NULL }, { "computed", "7", "7" }, { "computed", "11", NULL }, { "read-only", "1", NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        set_and_check(cases[i].name, cases[i].json, cases[i].expected);
    }
}

static void sizes(void)
{
    static const struct { const char *text; uint64_t unit, expected; } good[] = {
        { "0", 1, 0 }, { "128", 1 << 20, UINT64_C(128) << 20 }, { "1b", 1 << 20, 1 }, { "1K", 1, 1024 },
        { "1.5G", 1, UINT64_C(1536) << 20 }, { "0.5", 1 << 20, 512 << 10 }, { "0x10", 1, 16 }, { "0x10M", 1, 16 << 20 },
        { "15E", 1, UINT64_C(15) << 60 }, { "18446744073709551615", 1, UINT64_MAX }, { "0.1k", 1, 102 },
        { "1.99999999999999999999999999K", 1, 2047 }, { "7t", 1, UINT64_C(7) << 40 }, { "3P", 1, UINT64_C(3) << 50 },
        { "010", 1, 10 },
    };
    static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1KB", "1.", "1.K", ".5K", "1.5", "1.5b", "0x", "0x1.8K",
                                       "16E", "18446744073709551616", "99999999999999999999", "1e3k", "K", "1,5G", "1..5K" };
    uint64_t n;

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        if (!parse_size(good[i].text, good[i].unit, &n) || n != good[i].expected) {
            g_error("size '%s'", good[i].text);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        if (parse_size(bad[i], 1, &n)) {
            g_error("size '%s' was accepted as %" G_GUINT64_FORMAT, bad[i], n);
        }
    }
}

static void sets_of_fields(void)
{
    static const Field table[] = { PROP_U8("a", Thing, u8, 0, .required = true), PROP_U16("b", Thing, u16, 0), FIELD_END };
    static const char *const skip[] = { "driver", NULL };
    static const struct { const char *json, *sentence; } cases[] = {
        { "{'a':1,'b':2,'driver':'x'}", NULL },
        { "{'b':2}", "it: property 'a' is missing" },
        { "{'a':1,'c':2}", "it: there is no property 'c'" },
        { "[1]", "it: a JSON list stands where an object should" },
        { "{'a':'x'}", "it: property 'a' is 'x', but takes a whole number" },
        { "{'a':300}", "it: property 'a' is 300, outside its limits 0 to 255" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Thing thing = { 0 };
        GError *error = NULL;
        g_autoptr(Value) members = json_parse(cases[i].json, NULL);

        fields_set(table, &thing, "it", members, skip, &error);
        g_assert_cmpstr(error ? error->message : NULL, ==, cases[i].sentence);
        g_clear_error(&error);
    }
    g_assert_null(field_find(NULL, "x"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/field/defaults", defaults);
    g_test_add_func("/field/sets", sets);
    g_test_add_func("/field/sizes", sizes);
    g_test_add_func("/field/sets-of-fields", sets_of_fields);
    return g_test_run();
}
