/* SPDX-License-Identifier: GPL-2.0-or-later */
/* option.c - QEMU's option text: every rule of the grammar, typed keys, refusals, and printing back */
#include "base/json.h"
#include "base/option.h"

typedef struct Drive { char *file, *format; bool readonly; uint64_t size; uint8_t index; int media; } Drive;
static const char *const media_names[] = { "disk", "cdrom", NULL };
static const char *const drive_lists[] = { "note", NULL };
static const Field drive_keys[] = {
    PROP_STR("file", Drive, file),
    PROP_STR("format", Drive, format),
    PROP_BOOL("readonly", Drive, readonly, false),
    PROP_SIZE("size", Drive, size, 0),
    PROP_U8("index", Drive, index, 0, .max = 7),
    PROP_ENUM("media", Drive, media, media_names, 0),
    PROP_BOOL("notail", Drive, readonly, false),
    FIELD_END
};
static const OptionGrammar any = { .who = "-any" };
static const OptionGrammar device = { .who = "-device", .implied = "driver" };
static const OptionGrammar drive = { .who = "-drive", .keys = drive_keys, .lists = drive_lists };

static void check_json(const OptionGrammar *grammar, const char *text, const char *expected)
{
    GError *error = NULL;
    g_autoptr(Value) options = option_parse(grammar, text, &error);
    g_autofree char *json = NULL;

    g_assert_no_error(error);
    g_assert_cmpstr(value_origin(options), ==, grammar->who);
    json = json_print(options, false);
    g_assert_cmpstr(json, ==, expected);
}

static void check_refused(const OptionGrammar *grammar, const char *text, const char *sentence)
{
    GError *error = NULL;

    g_assert_null(option_parse(grammar, text, &error));
    g_assert_nonnull(error);
    g_assert_cmpstr(error->message, ==, sentence);
    g_error_free(error);
}

static void pairs(void)
{
    check_json(&any, "", "{}");
    check_json(&any, "a=b", "{\"a\": \"b\"}");
    check_json(&any, "a=b,c=d=e", "{\"a\": \"b\", \"c\": \"d=e\"}");
    check_json(&any, "a=,c=d,", "{\"a\": \"\", \"c\": \"d\"}");
    check_json(&any, "a=1,a=2", "{\"a\": \"2\"}");
}

static void doubled_commas(void)
{
    check_json(&any, "file=/a,,b,x=y", "{\"file\": \"/a,b\", \"x\": \"y\"}");
    check_json(&any, "a=,,,b=1", "{\"a\": \",\", \"b\": \"1\"}");
    check_json(&any, "a=,,,,", "{\"a\": \",,\"}");
    check_json(&device, "a,,b,c=d", "{\"driver\": \"a,b\", \"c\": \"d\"}");
}

static void implied(void)
{
    check_json(&device, "e1000", "{\"driver\": \"e1000\"}");
    check_json(&device, "e1000,id=n", "{\"driver\": \"e1000\", \"id\": \"n\"}");
    check_json(&device, "driver=e1000,id=n", "{\"driver\": \"e1000\", \"id\": \"n\"}");
    check_json(&device, "id=n,driver=e1000", "{\"id\": \"n\", \"driver\": \"e1000\"}");
}

static void flags(void)
{
    check_json(&any, "server,nowait", "{\"server\": \"on\", \"wait\": \"off\"}");
    check_json(&any, "no", "{\"no\": \"on\"}");
    check_json(&device, "x,server", "{\"driver\": \"x\", \"server\": \"on\"}");
    check_json(&drive, "readonly", "{\"readonly\": true}");
    check_json(&drive, "noreadonly", "{\"readonly\": false}");
    check_json(&drive, "notail", "{\"notail\": true}");    /* a key of this name goes before no + tail */
}

static void typed_keys(void)
{
    check_json(&drive, "file=1,size=1.5K,index=0x7,media=cdrom,readonly=yes",
               "{\"file\": \"1\", \"size\": 1536, \"index\": 7, \"media\": \"cdrom\", \"readonly\": true}");
    check_json(&drive, "note=a,note=b", "{\"note\": [\"a\", \"b\"]}");
}

static void json_form(void)
{
    check_json(&device, "{'driver':'e1000','x':[1,{}],'y':null}", "{\"driver\": \"e1000\", \"x\": [1, {}], \"y\": null}");
    check_json(&drive, "{'size':'1k','readonly':true,'note':['a']}", "{\"size\": 1024, \"readonly\": true, \"note\": [\"a\"]}");
    check_refused(&device, "{'a':1", "-device: JSON parse error: the text ends where ',' or '}' is expected");
    check_refused(&drive, "{'note':[['a']]}", "-drive: key 'note' has a list within a list");
    check_refused(&drive, "{'file':5}", "-drive: property 'file' is 5, but takes a string");
}

static void refusals(void)
{
    check_refused(&any, "a=b,,c=d,,e,=x", "-any: there is no key before '=x'");
    check_refused(&any, "a,=", "-any: there is no key before '='");
    check_refused(&drive, "colour=red", "-drive: there is no key 'colour'; the keys are file, format, readonly, size, index, media, notail");
    check_refused(&drive, "nocolour", "-drive: there is no key 'nocolour'; the keys are file, format, readonly, size, index, media, notail");
    check_refused(&drive, ",readonly", "-drive: there is nothing between two commas");
    check_refused(&drive, "index=8", "-drive: property 'index' is '8', outside its limits 0 to 7");
    check_refused(&drive, "size=big", "-drive: property 'size' is 'big', but takes a size such as 512, 64K or 1.5G");
    check_refused(&drive, "media=tape", "-drive: property 'media' is 'tape', but takes disk, cdrom");
    check_refused(&drive, "readonly=maybe", "-drive: property 'readonly' is 'maybe', but takes on or off");
}

static void help_wanted(void)
{
    g_assert_true(option_wants_help("help"));
    g_assert_true(option_wants_help("?"));
    g_assert_true(option_wants_help("e1000,help"));
    g_assert_true(option_wants_help("e1000,x=y,?"));
    g_assert_false(option_wants_help("e1000,x=help"));
    g_assert_false(option_wants_help("helper"));
    g_assert_false(option_wants_help("a=b,,help"));
    g_assert_false(option_wants_help("{'help':1}"));
    g_assert_false(option_wants_help(""));
}

static void check_printed(const char *json, const char *implied_key, const char *expected)
{
    static const char *const fwd[] = { "fwd", NULL };
    OptionGrammar grammar = { .who = "-x", .implied = implied_key, .lists = fwd };
    g_autoptr(Value) options = json_parse(json, NULL), again = NULL;
    g_autofree char *printed = option_print(&grammar, options);

    g_assert_cmpstr(printed, ==, expected);
    again = option_parse(&grammar, printed, NULL);
    g_assert_nonnull(again);
}

static void prints(void)
{
    check_printed("{'driver':'e1000','id':'a,b','on':true,'n':5}", "driver", "e1000,id=a,,b,on=on,n=5");
    check_printed("{'id':'a','driver':'e1000'}", "driver", "id=a,driver=e1000");
    check_printed("{'driver':'a=b'}", "driver", "driver=a=b");
    check_printed("{'fwd':['a','b']}", NULL, "fwd=a,fwd=b");
    check_printed("{'a':['a','b']}", NULL, "{\"a\": [\"a\", \"b\"]}");
    check_printed("{'a':{'b':1}}", NULL, "{\"a\": {\"b\": 1}}");
    check_printed("{'a':[]}", NULL, "{\"a\": []}");
    check_printed("{}", NULL, "{}");
}

static void check_nested(const char *text, const char *expected)
{
    static const char *const merge[] = { "file", NULL };
    g_autoptr(Value) flat = option_parse(&any, text, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) nested = option_nest(flat, "-any", merge, &error);
    g_autofree char *json = nested ? json_print(nested, false) : g_strdup(error->message);

    g_assert_cmpstr(json, ==, expected);
}

static void dotted_keys(void)
{
    check_nested("a=b,c.d=e,c.f.g=h", "{\"a\": \"b\", \"c\": {\"d\": \"e\", \"f\": {\"g\": \"h\"}}}");
    check_nested("server.0.host=x,server.1.host=y", "{\"server\": [{\"host\": \"x\"}, {\"host\": \"y\"}]}");
    check_nested("server.1.host=y", "{\"server\": {\"1\": {\"host\": \"y\"}}}");
    check_nested("0=a", "{\"0\": \"a\"}");
    check_nested("file=/x,file.locking=off", "{\"file\": {\"filename\": \"/x\", \"locking\": \"off\"}}");
    check_nested("file.locking=off,file=/x", "{\"file\": {\"locking\": \"off\", \"filename\": \"/x\"}}");
    check_nested("a=b,a.c=d", "-any: 'a' is given a value, and 'a.c' a part of it; use one of them");
    check_nested("a.c=d,a=b", "-any: 'a' is given a value, and a part of it too; use one of them");
    check_nested("a..b=c", "-any: the key 'a..b' has an empty part");
    check_nested("a.=c", "-any: the key 'a.' has an empty part");
    check_nested(".a=c", "-any: the key '.a' has an empty part");
    g_autofree char *dots = g_strnfill(40, '.');
    g_autofree char *deep = g_strdup_printf("a%sb=c", dots);
    check_nested(deep, "-any: the key 'a..........................................' has 41 parts; 32 are the most");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/option/pairs", pairs);
    g_test_add_func("/option/dotted-keys", dotted_keys);
    g_test_add_func("/option/doubled-commas", doubled_commas);
    g_test_add_func("/option/implied", implied);
    g_test_add_func("/option/flags", flags);
    g_test_add_func("/option/typed-keys", typed_keys);
    g_test_add_func("/option/json-form", json_form);
    g_test_add_func("/option/refusals", refusals);
    g_test_add_func("/option/help-wanted", help_wanted);
    g_test_add_func("/option/prints", prints);
    return g_test_run();
}
