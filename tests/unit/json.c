/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json.c - the JSON parser and printer, fed whole, in pieces, and broken */
#include "base/json.h"
#include <string.h>

static void check_prints(const char *text, const char *expected)
{
    GError *error = NULL;
    g_autoptr(Value) value = json_parse(text, &error);
    g_autofree char *printed = NULL;

    g_assert_no_error(error);
    printed = json_print(value, false);
    g_assert_cmpstr(printed, ==, expected);
}

static void check_refused(const char *text)
{
    GError *error = NULL;
    g_autoptr(Value) value = json_parse(text, &error);

    if (value || !error) {
        g_error("'%s' was accepted", text);
    }
    g_assert_null(strchr(error->message, '\n'));
    g_error_free(error);
}

static void scalars(void)
{
    check_prints("null", "null");
    check_prints(" true ", "true");
    check_prints("false", "false");
    check_prints("0", "0");
    check_prints("-0", "0");
    check_prints("9223372036854775807", "9223372036854775807");
    check_prints("-9223372036854775808", "-9223372036854775808");
    check_prints("18446744073709551615", "18446744073709551615");
    check_prints("18446744073709551616", "1.8446744073709552e+19");
    check_prints("1.5", "1.5");
    check_prints("1e3", "1000.0");
    check_prints("0.1", "0.1");
    check_prints("1E-2", "0.01");
}

static void number_kinds(void)
{
    g_autoptr(Value) value = json_parse("[1, 9223372036854775808, 1.0]", NULL);

    g_assert_cmpint(value_kind(value_at(value, 0)), ==, VALUE_INT);
    g_assert_cmpint(value_kind(value_at(value, 1)), ==, VALUE_UINT);
    g_assert_cmpint(value_kind(value_at(value, 2)), ==, VALUE_DOUBLE);
}

static void bad_numbers(void)
{
    static const char *const texts[] = { "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x10", "--1", "1e400", "1a", "NaN",
                                         "-Infinity", "1.2.3" };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        check_refused(texts[i]);
    }
}

static void strings(void)
{
    check_prints("'it\\'s \"x\"'", "\"it's \\\"x\\\"\"");
    check_prints("\"\\b\\f\\n\\r\\t\\/\\\\\"", "\"\\b\\f\\n\\r\\t/\\\\\"");
    check_prints("\"\xc3\xa9\xe2\x82\xac\\u0000\\u007f\"", "\"\\u00E9\\u20AC\\u0000\\u007F\"");
    check_prints("\"\\ud83d\\ude00\"", "\"\\uD83D\\uDE00\"");
    check_prints("'\xf0\x9f\x98\x80'", "\"\\uD83D\\uDE00\"");
}

static void bad_strings(void)
{
    static const char *const texts[] = { "\"a", "'a\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"",
                                         "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"a\nb\"", "\"\x01\"",
                                         "\"\xc3\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"" };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        check_refused(texts[i]);
    }
}

static void containers(void)
{
    check_prints("[]", "[]");
    check_prints("{}", "{}");
    check_prints("{ 'b' : [1 , [ ] , {}], \"a\":null }", "{\"b\": [1, [], {}], \"a\": null}");
}

static void bad_grammar(void)
{
    static const char *const texts[] = { "", " ", "[", "]", "{", "}", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "{]",
                                         "{1:2}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\" 1}", "{\"a\"::1}", ",", ":",
                                         "{\"a\":1,\"a\":2}", "nul", "TRUE", "[true false]", "1 2", "{} x", "{}{}",
                                         "[1]]", "\xff", "{\"a\":1\xff}", "(1)", "[[1],{\"a\":[}]" };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        check_refused(texts[i]);
    }
}

static void sentence_says_where(void)
{
    GError *error = NULL;

    g_assert_null(json_parse("{\n  \"a\": }", &error));
    g_assert_cmpstr(error->message, ==, "JSON parse error at line 2, column 8: a value is expected here, not '}'");
    g_error_free(error);
}

static void pretty(void)
{
    g_autoptr(Value) value = json_parse("{'a':[1,{}],'b':[]}", NULL);
    g_autofree char *printed = json_print(value, true);

    g_assert_cmpstr(printed, ==, "{\n    \"a\": [\n        1,\n        {\n        }\n    ],\n    \"b\": [\n    ]\n}");
}

static void byte_by_byte(void)
{
    static const char stream[] = "{\"a\": [1, \"x\\u00e9\"]} 12 true\n[]";
    static const char *const expected[] = { "{\"a\": [1, \"x\\u00E9\"]}", "12", "true", "[]" };
    g_autoptr(JsonParser) parser = json_parser_new((JsonLimits){ 0 });
    size_t documents = 0;

    for (size_t i = 0; i < sizeof stream - 1; i++) {
        GError *error = NULL;
        g_autoptr(Value) value = NULL;

        json_parser_feed(parser, &stream[i], 1);
        value = json_parser_next(parser, &error);
        g_assert_no_error(error);
        if (value) {
            g_autofree char *printed = json_print(value, false);

            g_assert_cmpuint(documents, <, G_N_ELEMENTS(expected));
            g_assert_cmpstr(printed, ==, expected[documents++]);
        }
    }
    g_assert_cmpuint(documents, ==, G_N_ELEMENTS(expected));
}

/* Feeds text and says what comes out: 'v' for a value, 'e' for an error. */
static char *outcome(JsonParser *parser, const char *text)
{
    GString *out = g_string_new(NULL);

    json_parser_feed(parser, text, strlen(text));
    for (;;) {
        GError *error = NULL;
        Value *value = json_parser_next(parser, &error);

        if (!value && !error) {
            return g_string_free(out, FALSE);
        }
        g_string_append_c(out, value ? 'v' : 'e');
        value_unref(value);
        g_clear_error(&error);
    }
}

static void recovers(void)
{
    static const struct {
        const char *text, *outcome;
    } cases[] = {
        { "{]garbage [ { \" \n{}", "ev" },     /* the rest of the line is skipped */
        { "{] x\xff{}", "ev" },                /* or up to the reset byte */
        { "{\"a\": \xff{}", "ev" },            /* which is one itself */
        { "\xff\xff[]", "eev" },
        { "\"a\n[]", "ev" },                   /* a newline in a string ends both */
        { "01\n[]", "ev" },
        { "nul\n\n7 ", "ev" },
        { "{} ] \n {}", "vev" },
        { "[1,2", "" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonParser) parser = json_parser_new((JsonLimits){ 0 });
        g_autofree char *got = outcome(parser, cases[i].text);

        g_assert_cmpstr(got, ==, cases[i].outcome);
    }
}

static void limits(void)
{
    g_autoptr(JsonParser) deep = json_parser_new((JsonLimits){ .depth = 3 });
    g_autoptr(JsonParser) small = json_parser_new((JsonLimits){ .bytes = 10 });
    g_autoptr(JsonParser) few = json_parser_new((JsonLimits){ .tokens = 5 });
    struct { JsonParser *parser; const char *text, *outcome; } cases[] = {
        { deep, "[[[]]]\n[[[[]]]]\n[]", "vev" },
        { small, "\"12345678\"            \"123456789\"\n[]", "vev" },
        { few, "[1,2]\n[1,2,3]\n[]", "vev" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *got = outcome(cases[i].parser, cases[i].text);

        g_assert_cmpstr(got, ==, cases[i].outcome);
    }
}

static void deep_but_allowed(void)
{
    GString *text = g_string_new(NULL);
    g_autoptr(Value) value = NULL;
    GError *error = NULL;

    for (int i = 0; i < 1024; i++) {
        g_string_append_c(text, '[');
    }
    for (int i = 0; i < 1024; i++) {
        g_string_append_c(text, ']');
    }
    value = json_parse(text->str, &error);
    g_assert_no_error(error);
    g_string_prepend_c(text, '[');
    check_refused(text->str);
    g_string_free(text, TRUE);
}

/* Whatever a mutation does, the parser ends with values or sentences, and what it accepts prints to what it accepts. */
static void mutations(void)
{
    static const char seed[] = "{\"execute\": \"x\", 'id': [1, -2.5e3, true, null, \"\\u00e9\\ud83d\\ude00\", {}], \"a\": {\"b\": []}}";
    g_autoptr(GRand) rand = g_rand_new_with_seed(20260101);
    gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC / 2;

    while (g_get_monotonic_time() < end) {
        char text[sizeof seed];
        int changes = g_rand_int_range(rand, 1, 6);
        g_autoptr(Value) value = NULL;

        memcpy(text, seed, sizeof seed);
        for (int i = 0; i < changes; i++) {
            size_t at = (size_t)g_rand_int_range(rand, 0, sizeof seed - 1);

            text[at] = g_rand_boolean(rand) ? seed[g_rand_int_range(rand, 0, sizeof seed - 1)]
                                            : (char)g_rand_int_range(rand, 1, 256);
        }
        value = json_parse(text, NULL);
        if (value) {
            g_autofree char *printed = json_print(value, g_rand_boolean(rand));
            g_autoptr(Value) again = json_parse(printed, NULL);

            g_assert_true(value_equal(value, again));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/scalars", scalars);
    g_test_add_func("/json/number-kinds", number_kinds);
    g_test_add_func("/json/bad-numbers", bad_numbers);
    g_test_add_func("/json/strings", strings);
    g_test_add_func("/json/bad-strings", bad_strings);
    g_test_add_func("/json/containers", containers);
    g_test_add_func("/json/bad-grammar", bad_grammar);
    g_test_add_func("/json/sentence-says-where", sentence_says_where);
    g_test_add_func("/json/pretty", pretty);
    g_test_add_func("/json/byte-by-byte", byte_by_byte);
    g_test_add_func("/json/recovers", recovers);
    g_test_add_func("/json/limits", limits);
    g_test_add_func("/json/deep-but-allowed", deep_but_allowed);
    g_test_add_func("/json/mutations", mutations);
    return g_test_run();
}
