/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command-line.c - fuzz target: options, a word a line, to a domain; what it says is read again, and then no round changes a byte */
#include "cli/xml-work.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *domain_of(GPtrArray *argv, GError **err)
{
    return xml_from_argv((int)argv->len, (char **)argv->pdata, err);
}

static GPtrArray *options_of(const char *text, GError **err)
{
    static const XmlRunOptions options = { .quiet = true };
    XmlDocument *document = xml_parse("domain.xml", text, strlen(text), err);
    GPtrArray *argv = NULL;
    XmlWork work;

    if (!document) {
        return NULL;
    }
    if (xml_translate(&work, document, &options, err)) {
        argv = xml_work_argv(&work);
    }
    xml_work_clear(&work);
    return argv;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, MIN(size, 4096));
    g_auto(GStrv) words = g_strsplit(text, "\n", 64);
    g_autoptr(GPtrArray) argv = g_ptr_array_new(), second = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_utf8_validate(text, -1, NULL)) {
        return 0;                          /* XML cannot say it */
    }
    for (char **word = words; *word; word++) {
        g_ptr_array_add(argv, *word);
    }
    g_autofree char *first = domain_of(argv, &error), *again = NULL;
    if (!first) {
        g_assert_nonnull(error);
        return 0;
    }
    second = options_of(first, &error);
    if (!second) {
        g_assert_nonnull(error);           /* what a command line may say and a domain may not: a name with '/', say */
        return 0;
    }
    again = domain_of(second, &error);
    g_assert_true(again || error);         /* an id that the domain gives may be taken by an option that stands as it is */
    if (again) {
        g_assert_cmpstr(first, ==, again);
    }
    return 0;
}
