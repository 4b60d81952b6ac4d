/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xml.c - fuzz target: a domain file to options, all of them or those that could run; each refusal names the file in one line */
#include "cli/xml-work.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool half_of_them(const char *name)
{
    return strlen(name) % 2 == 0;
}

static const char *const pools[] = { "default=/p", NULL }, *const networks[] = { "default=user", "b=bridge:b0", NULL };
static const XmlRunOptions ways[] = {
    { .pools = pools, .networks = networks, .quiet = true },
    { .pools = pools, .networks = networks, .has_model = half_of_them, .has_option = half_of_them, .quiet = true },
};

static void check_refusal(GError *error)
{
    g_assert_nonnull(error);
    g_assert_true(g_str_has_prefix(error->message, "fuzz.xml:"));
    g_assert_null(strchr(error->message, '\n'));
    g_error_free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        GError *error = NULL;
        XmlDocument *document = xml_parse("fuzz.xml", (const char *)data, size, &error);
        XmlWork work;

        if (!document) {
            check_refusal(error);
            return 0;
        }
        g_autofree char *printed = xml_print(document);
        g_autoptr(XmlDocument) again = xml_parse("again.xml", printed, strlen(printed), NULL);
        g_assert_nonnull(again);
        if (!xml_translate(&work, document, &ways[i], &error)) {
            check_refusal(error);
        }
        xml_work_clear(&work);
    }
    return 0;
}
