/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-command.c - roost xml2argv, roost help xml, and a domain file on the command line
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "base/log.h"
#include "cli/keyval.h"
#include "cli/run.h"
#include "cli/xml-tables.h"
#include "cli/xml-work.h"
#include "hw/core/machine.h"
#include "hw/core/exit-status.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- beside other options ------------------------------------------------------------------------------------------------ */

bool xml_is_domain_file(const char *word)
{
    return g_str_has_suffix(word, ".xml");
}

static bool has_model(const char *driver)
{
    return device_model_find(driver) != NULL;
}

static bool has_option(const char *name)
{
    return option_find(name) != NULL;
}

static bool name_and_value(const char *text, GPtrArray **list, GError **err)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text || !equals[1]) {
        return fail(err, EINVAL, "NAME=VALUE is needed");
    }
    if (!*list) {
        *list = g_ptr_array_new_with_free_func(g_free);
    } else {
        g_ptr_array_remove_index(*list, (*list)->len - 1);
    }
    g_ptr_array_add(*list, g_strdup(text));
    g_ptr_array_add(*list, NULL);
    return true;
}

bool opt_pool(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    return name_and_value(text, &config->pools, err);
}

bool opt_network(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    return name_and_value(text, &config->networks, err);
}

static const char *const *listed(GPtrArray *list)
{
    return list ? (const char *const *)list->pdata : NULL;
}

/* An element of a domain, kept for dumpxml. */
bool opt_domain_xml(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(XmlDocument) document = xml_parse("the element", text, strlen(text), err);

    (void)option;
    if (!document) {
        return false;
    }
    value_append(config_list(config, "domain-xml"), value_new_string(text));
    return true;
}

static bool apply_argument(Config *config, const XmlArgument *argument, GError **err)
{
    const Option *option = option_find(argument->option);
    const XmlNode *node = argument->node;
    g_autofree char *origin = g_strdup_printf("%s:%u: <%.200s>", node->document->file, node->line, node->name);

    if (!option) {
        option_unknown(argument->option, err);
        g_prefix_error(err, "%s: ", origin);
        return false;
    }
    config->origin = origin;
    bool done = option_apply(config, option, argument->text, err);
    config->origin = NULL;
    return done;
}

bool xml_apply(Config *config, const char *file, GError **err)
{
    const XmlRunOptions options = { listed(config->pools), listed(config->networks), has_model, has_option };
    XmlDocument *document = xml_read(file, err);
    XmlWork work;

    if (!document) {
        return false;
    }
    bool done = xml_translate(&work, document, &options, err);
    for (guint i = 0; done && i < work.arguments->len; i++) {
        done = apply_argument(config, &g_array_index(work.arguments, XmlArgument, i), err);
    }
    xml_work_clear(&work);
    config->domain_open = done;
    return done;
}

/* ---- subcommands ------------------------------------------------------------------------------------------------------------ */

/* An option and its argument a line, quoted for a shell. */
static void print_word(const char *word, const char *after)
{
    bool plain = *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/=,:+@%")];
    g_autofree char *quoted = plain ? g_strdup(word) : g_shell_quote(word);

    printf("%s%s", quoted, after);
}

static void print_argv(const GPtrArray *argv)
{
    for (guint i = 0; i < argv->len; i++) {
        const char *word = argv->pdata[i];
        if (i + 1 < argv->len && xml_option_has_argument(word + 1)) {
            print_word(word, " ");
            word = argv->pdata[++i];
        }
        print_word(word, i + 1 < argv->len ? " \\\n" : "\n");
    }
}

static int usage(void)
{
    report_error("usage: roost xml2argv FILE [--pool NAME=DIRECTORY]... [--network NAME=user|none|bridge:INTERFACE]...");
    return EXIT_STATUS_USAGE;
}

int xml2argv_main(int argc, char **argv)
{
    Config config = { .tree = value_new_object() };
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) words = NULL;
    const char *file = NULL;
    bool done = true;

    for (int i = 1; i < argc && done; i++) {
        const char *name = argv[i][0] == '-' ? argv[i] + 1 + (argv[i][1] == '-') : NULL;
        const Option *option = name && (strcmp(name, "pool") == 0 || strcmp(name, "network") == 0) ? option_find(name) : NULL;
        if (name && (strcmp(name, "help") == 0 || strcmp(name, "h") == 0)) {
            puts("usage: roost xml2argv FILE [--pool NAME=DIRECTORY]... [--network NAME=user|none|bridge:INTERFACE]...\n"
                 "prints the options that libvirt's domain file means, quoted for a shell");
            config_clear(&config);
            return EXIT_STATUS_OK;
        }
        if ((name && (!option || i + 1 == argc)) || (!name && file)) {
            config_clear(&config);
            return usage();
        }
        if (name) {
            done = option_apply(&config, option, argv[++i], &err);
        } else {
            file = argv[i];
        }
    }
    const XmlRunOptions options = { listed(config.pools), listed(config.networks), NULL, NULL };
    words = done && file ? xml_to_argv(file, &options, &err) : NULL;
    config_clear(&config);
    if (done && !file) {
        return usage();
    }
    if (!words) {
        complain(err);
        return EXIT_STATUS_USAGE;
    }
    print_argv(words);
    return EXIT_STATUS_OK;
}

void xml_print_tables(void)
{
    for (const XmlMapPlace *place = xml_map_places; place->element; place++) {
        for (const XmlMap *map = place->map; map->path; map++) {
            printf("%s\t%s\t%s\t%s\n", place->element, map->path, place->option, map->key);
        }
    }
}
