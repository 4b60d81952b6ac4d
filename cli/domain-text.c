/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * domain-text.c - what a running VM is, as a domain file: its command line, a file's own options first, translated back
 *
 * Tests    tests/verbs/define.py
 */
#include "cli/domain-text.h"
#include "cli/options.h"
#include "cli/xml.h"
#include <string.h>

typedef struct Words {
    GPtrArray *own;                        /* of the command line; lent */
    GPtrArray *pools, *networks;
    const char *file;                      /* NULL: none */
} Words;

/* How the process is run is nothing that the domain is. */
static bool is_about_process(const char *name)
{
    static const char *const process[] = { "daemonize", "S", "list-as", "pidfile", "run-timeout", "run-with", "D", "d", "trace", "no-user-config", NULL };

    return g_strv_contains(process, name);
}

static void sort_option(Words *words, const char *word, const char *argument)
{
    const char *name = word + 1 + (word[1] == '-');

    if (strcmp(name, "pool") == 0 || strcmp(name, "network") == 0) {
        g_ptr_array_add(*name == 'p' ? words->pools : words->networks, (char *)argument);
    } else if (!is_about_process(name)) {
        g_ptr_array_add(words->own, (char *)word);
        if (argument) {
            g_ptr_array_add(words->own, (char *)argument);
        }
    }
}

static void sort_words(Words *words, const Value *line)
{
    for (size_t i = 0; i < value_length(line); i++) {
        const char *word = value_string(value_at(line, i));
        if (word[0] == '-' && word[1]) {
            const Option *option = option_find(word + 1 + (word[1] == '-'));
            bool takes = option && option->argument && i + 1 < value_length(line);
            sort_option(words, word, takes ? value_string(value_at(line, i + 1)) : NULL);
            i += takes;
        } else if (xml_is_domain_file(word)) {
            words->file = word;
        } else {
            g_ptr_array_add(words->own, (char *)word);
        }
    }
    g_ptr_array_add(words->pools, NULL);
    g_ptr_array_add(words->networks, NULL);
}

char *domain_text(const Value *line, bool *from_file, GError **err)
{
    g_autoptr(GPtrArray) own = g_ptr_array_new(), pools = g_ptr_array_new(), networks = g_ptr_array_new(), of_file = NULL;
    Words words = { own, pools, networks, NULL };

    sort_words(&words, line);
    if (from_file) {
        *from_file = words.file != NULL;
    }
    const XmlRunOptions options = { .pools = (const char *const *)pools->pdata, .networks = (const char *const *)networks->pdata };
    if (words.file && !(of_file = xml_to_argv(words.file, &options, err))) {
        return NULL;
    }
    for (guint i = 0; of_file && i < of_file->len; i++) {
        g_ptr_array_insert(own, (gint)i, of_file->pdata[i]);
    }
    int count = (int)own->len;
    g_ptr_array_add(own, NULL);
    return xml_from_argv(count, (char **)own->pdata, err);
}
