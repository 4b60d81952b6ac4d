/* SPDX-License-Identifier: GPL-2.0-or-later */
/* option.c - fuzz target: option text with and without a table of keys; what is accepted prints to what is accepted */
#include "base/option.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Drive { char *file; bool readonly; uint64_t size; uint8_t index; int media, aio; int64_t offset; } Drive;
static const char *const media_names[] = { "disk", "cdrom", NULL };
static const char *const lists[] = { "fwd", NULL };
static const Field keys[] = {
    PROP_STR("file", Drive, file), PROP_BOOL("readonly", Drive, readonly, false), PROP_SIZE("size", Drive, size, 0),
    PROP_U8("index", Drive, index, 0, .max = 7), PROP_ENUM("media", Drive, media, media_names, 0),
    PROP_ONOFFAUTO("aio", Drive, aio, 2), PROP_I64("offset", Drive, offset, 0), FIELD_END
};
static const OptionGrammar grammars[] = {
    { .who = "-any" },
    { .who = "-device", .implied = "driver" },
    { .who = "-drive", .implied = "file", .keys = keys, .lists = lists },
    { .who = "-drive", .keys = keys, .other_keys = true, .lists = lists },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);

    option_wants_help(text);
    for (size_t i = 0; i < G_N_ELEMENTS(grammars); i++) {
        GError *error = NULL;
        g_autoptr(Value) options = option_parse(&grammars[i], text, &error), again = NULL;
        g_autofree char *printed = NULL;

        if (!options) {
            g_assert_nonnull(error);
            g_error_free(error);
            continue;
        }
        g_assert_no_error(error);
        printed = option_print(&grammars[i], options);
        /* A command line need not be UTF-8, JSON must be: only then may the way back be barred. */
        again = option_parse(&grammars[i], printed, NULL);
        g_assert_true(again || !g_utf8_validate(text, -1, NULL));
        if (again) {
            g_autofree char *twice = option_print(&grammars[i], again);

            g_assert_cmpstr(printed, ==, twice);
        }
    }
    return 0;
}
