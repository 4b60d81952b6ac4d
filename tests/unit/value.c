/* SPDX-License-Identifier: GPL-2.0-or-later */
/* value.c - kinds, exact conversions, containers, paths */
#include "base/json.h"
#include "base/value.h"
#include <math.h>

static void conversions(void)
{
    g_autoptr(Value) list = json_parse("[-1, 9223372036854775808, 2.0, 2.5, 1e300, 9007199254740993, true, '1']", NULL);
    static const struct { bool i, u, d; } expected[] = {
        { true, false, true }, { false, true, true }, { true, true, true }, { false, false, true },
        { false, false, true }, { true, true, false }, { false, false, false }, { false, false, false },
    };

    for (size_t at = 0; at < G_N_ELEMENTS(expected); at++) {
        int64_t i = 77;
        uint64_t u = 77;
        double d = 77;

        g_assert_true(value_to_int(value_at(list, at), &i) == expected[at].i && (expected[at].i || i == 77));
        g_assert_true(value_to_uint(value_at(list, at), &u) == expected[at].u && (expected[at].u || u == 77));
        g_assert_true(value_to_double(value_at(list, at), &d) == expected[at].d && (expected[at].d || d == 77));
    }
}

static void conversion_limits(void)
{
    static const double beyond[] = { 0x1p64, -0x1p63 * 1.0001, NAN, INFINITY, -INFINITY };
    g_autoptr(Value) top = value_new_double(0x1p63), most = value_new_int(INT64_MAX), all = value_new_uint(UINT64_MAX);
    int64_t i;
    uint64_t u;
    double d;

    for (size_t at = 0; at < G_N_ELEMENTS(beyond); at++) {
        g_autoptr(Value) value = value_new_double(beyond[at]);

        g_assert_false(value_to_int(value, &i));
        g_assert_false(value_to_uint(value, &u));
    }
    g_assert_false(value_to_int(top, &i));
    g_assert_true(value_to_uint(top, &u) && u == UINT64_C(1) << 63);
    g_assert_false(value_to_double(most, &d));
    g_assert_false(value_to_double(all, &d));
    g_assert_false(value_to_int(NULL, &i));
    g_assert_null(value_string(NULL));
}

static void object_keeps_order(void)
{
    g_autoptr(Value) object = value_new_object();

    value_set(object, "z", value_new_int(1));
    value_set(object, "a", value_new_int(2));
    value_set(object, "z", value_new_int(3));
    g_assert_cmpuint(value_length(object), ==, 2);
    g_assert_cmpstr(value_key_at(object, 0), ==, "z");
    g_assert_cmpint(value_get_int(object, "z", 0), ==, 3);
    g_assert_cmpint(value_get_int(object, "y", 9), ==, 9);
    g_assert_true(value_remove(object, "z"));
    g_assert_false(value_remove(object, "z"));
    g_assert_cmpstr(value_key_at(object, 0), ==, "a");
    g_assert_null(value_key_at(object, 1));
}

static void large_object(void)
{
    enum { MEMBERS = 1000 };
    g_autoptr(Value) object = value_new_object();
    char key[16];

    for (int i = 0; i < MEMBERS; i++) {
        g_snprintf(key, sizeof key, "k%d", i);
        value_set(object, key, value_new_int(i));
    }
    for (int i = 0; i < MEMBERS; i += 3) {
        g_snprintf(key, sizeof key, "k%d", i);
        g_assert_true(value_remove(object, key));
    }
    for (int i = 0; i < MEMBERS; i++) {
        g_snprintf(key, sizeof key, "k%d", i);
        g_assert_cmpint(value_get_int(object, key, -1), ==, i % 3 == 0 ? -1 : i);
    }
}

static void lists(void)
{
    g_autoptr(Value) list = value_new_list();

    value_append(list, value_new_int(1));
    value_append(list, value_new_string("b"));
    value_remove_at(list, 7);
    value_remove_at(list, 0);
    g_assert_cmpuint(value_length(list), ==, 1);
    g_assert_cmpstr(value_string(value_at(list, 0)), ==, "b");
    g_assert_null(value_at(list, 1));
}

static void copies_are_deep(void)
{
    g_autoptr(Value) value = json_parse("{'a':[1,{'b':null}],'c':1.5,'d':18446744073709551615,'e':true}", NULL);
    g_autoptr(Value) copy = NULL, shuffled = json_parse("{'e':true,'d':18446744073709551615,'c':1.5,'a':[1,{'b':null}]}", NULL);

    value_set_origin(value_path(value, "a[1]"), "file:3");
    copy = value_copy(value);
    g_assert_true(value_equal(value, copy));
    g_assert_true(value_equal(value, shuffled));
    g_assert_cmpstr(value_origin(value_path(copy, "a[1]")), ==, "file:3");
    value_append(value_get(copy, "a"), value_new_null());
    g_assert_false(value_equal(value, copy));
}

static void paths(void)
{
    g_autoptr(Value) root = value_new_object();
    GError *error = NULL;

    g_assert_true(value_path_set(root, "memory.size", value_new_int(1), &error));
    g_assert_true(value_path_set(root, "devices[].id", value_new_string("x"), &error));
    g_assert_true(value_path_set(root, "devices[].id", value_new_string("y"), &error));
    g_assert_true(value_path_set(root, "devices[0].bus", value_new_string("b"), &error));
    g_assert_true(value_path_set(root, "devices[2]", value_new_int(5), &error));
    g_assert_true(value_path_set(root, "devices[2]", value_new_int(6), &error));
    g_assert_no_error(error);
    g_assert_cmpstr(value_string(value_path(root, "devices[1].id")), ==, "y");
    g_assert_cmpstr(value_string(value_path(root, "devices[0].bus")), ==, "b");
    g_assert_cmpint(value_get_int(value_get(root, "memory"), "size", 0), ==, 1);
    g_assert_null(value_path(root, "devices[9].id"));
    g_assert_null(value_path(root, "memory.size.more"));
    g_assert_true(value_path(root, "") == root);
}

static void bad_paths(void)
{
    static const char *const texts[] = { "", ".", "a.", "a..b", "a[", "a[x]", "a[1", "a[-1]", "s.b", "s[0]", "l[2]", "l.x",
                                         "a[99999999999999999999]", "a]b[" };
    g_autoptr(Value) root = json_parse("{'s':'text','l':[1]}", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        GError *error = NULL;

        if (value_path_set(root, texts[i], value_new_int(1), &error)) {
            g_error("path '%s' was accepted", texts[i]);
        }
        g_assert_nonnull(error);
        g_error_free(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/value/conversions", conversions);
    g_test_add_func("/value/conversion-limits", conversion_limits);
    g_test_add_func("/value/object-keeps-order", object_keeps_order);
    g_test_add_func("/value/large-object", large_object);
    g_test_add_func("/value/lists", lists);
    g_test_add_func("/value/copies-are-deep", copies_are_deep);
    g_test_add_func("/value/paths", paths);
    g_test_add_func("/value/bad-paths", bad_paths);
    return g_test_run();
}
