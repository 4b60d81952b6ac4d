/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json.c - fuzz target: a peer's bytes into the JSON parser, in pieces; what is accepted prints to what is accepted */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(JsonParser *parser)
{
    for (;;) {
        GError *error = NULL;
        g_autoptr(Value) value = json_parser_next(parser, &error), again = NULL;
        g_autofree char *text = NULL;

        if (error) {
            g_error_free(error);
            continue;
        }
        if (!value) {
            return;
        }
        text = json_print(value, value_length(value) & 1);
        again = json_parse(text, &error);
        g_assert_no_error(error);
        g_assert_true(value_equal(value, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Small limits, so that short inputs reach them. The first byte says how much is fed at a time. */
    g_autoptr(JsonParser) parser = json_parser_new((JsonLimits){ .depth = 16, .bytes = 2000, .tokens = 300 });
    size_t step = size ? data[0] % 32 + 1u : 1;

    for (size_t at = size ? 1 : 0; at < size; at += step) {
        json_parser_feed(parser, (const char *)data + at, MIN(step, size - at));
        drain(parser);
    }
    return 0;
}
