/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-back-options.c - options to a tree that nothing runs; what the tree has no place for stays as it was written
 *
 * Tests    tests/xml/back.py
 */
#include "cli/xml-back.h"
#include "base/error.h"
#include "base/option.h"
#include "cli/run.h"
#include "cli/xml-tables.h"
#include <errno.h>
#include <string.h>

/* Of these the tree is all that they do. */
static const char *const of_the_tree[] = {
    "machine", "M", "accel", "enable-kvm", "cpu", "smp", "m", "boot", "device", "global", "name", "uuid", "blockdev", "drive", "cdrom", "fda", "fdb",
    "hda", "hdb", "hdc", "hdd", "nographic", "no-acpi", "no-hpet", "smbios", "chardev", "bios", "kernel", "append", "initrd", "fw_cfg", "serial", "mon",
    "object", "no-reboot", "no-shutdown", "action", "rtc", "nodefaults", "no-user-config", "overcommit", "domain-xml", NULL };

/* Nothing of them is left: a domain says the same by having none. */
static bool says_nothing(const char *name, const char *text)
{
    static const char *const none[] = { "display", "vga", "vnc", "nic", "net", "parallel", NULL };

    return text && strcmp(text, "none") == 0 && g_strv_contains(none, name);
}

/* -netdev and -vnc, which the tree has no readers for yet: keys as they are. */
static bool keep_keys(XmlBack *back, const char *list, const char *implied, const char *text, GError **err)
{
    const OptionGrammar grammar = { .who = list, .implied = implied };
    Value *keys = option_parse(&grammar, text, err);

    if (keys) {
        value_append(config_list(&back->config, list), keys);
    }
    return keys != NULL;
}

void xml_back_raw(XmlBack *back, const char *option, const char *text)
{
    g_autofree char *dashed = g_strdup_printf("-%s", option);

    if (!back->raw) {
        back->raw = xml_node_new(back->document, back->aside->root, "qemu:commandline");
    }
    xml_set(xml_node_new(back->document, back->raw, "qemu:arg"), "value", dashed);
    if (text) {
        xml_set(xml_node_new(back->document, back->raw, "qemu:arg"), "value", text);
    }
}

/* What is not supported stays as it was written; a typing mistake is an error. */
static bool take_option(XmlBack *back, const char *name, const char *text, GError **err)
{
    const Option *option = option_find(name);
    g_autoptr(GError) inner = NULL;

    if (says_nothing(name, text)) {
        return true;
    }
    if (strcmp(name, "netdev") == 0) {
        return keep_keys(back, "netdevs", "type", text, err);
    }
    if (strcmp(name, "vnc") == 0) {
        return keep_keys(back, "vncs", "vnc", text, err);
    }
    if (!option) {
        option_unknown(name, &inner);
        if (inner->code != ENOTSUP) {
            g_propagate_error(err, g_steal_pointer(&inner));
            return false;
        }
    }
    if (!option || !g_strv_contains(of_the_tree, name)) {
        xml_back_raw(back, name, text);
        return true;
    }
    if (option_apply(&back->config, option, text, &inner)) {
        return true;
    }
    if (inner->code == ENOTSUP) {
        xml_back_raw(back, name, text);
        return true;
    }
    g_propagate_error(err, g_steal_pointer(&inner));
    return false;
}

/* The program's own name, and "run", may stand before the options. */
static int first_option(int argc, char **argv)
{
    g_autofree char *leaf = argc ? g_path_get_basename(argv[0]) : g_strdup("");
    int at = g_str_has_prefix(leaf, "roost") || g_str_has_prefix(leaf, "qemu-system") || strcmp(leaf, "kvm") == 0;

    return at + (at < argc && strcmp(argv[at], "run") == 0);
}

/* XML has no way to write most control characters, nor bytes that are no text. */
static bool can_be_said(const char *word, GError **err)
{
    for (const char *c = word; *c; c++) {
        if ((unsigned char)*c < 0x20 && !strchr("\t\n\r", *c)) {
            return fail(err, EINVAL, "'%.100s': XML cannot hold the control character 0x%02x", word, (unsigned char)*c);
        }
    }
    return g_utf8_validate(word, -1, NULL) || fail(err, EINVAL, "'%.100s' is not UTF-8, which XML is", word);
}

bool xml_back_options(XmlBack *back, int argc, char **argv, GError **err)
{
    for (int at = first_option(argc, argv); at < argc; at++) {
        const char *word = argv[at], *name = word + (word[0] == '-') + (word[0] == '-' && word[1] == '-'), *text = NULL;
        if (!can_be_said(word, err)) {
            return false;
        }
        if (word[0] != '-' || !*name) {
            if (!drive_image(&back->config, word, err)) {
                return false;
            }
            continue;
        }
        if (xml_option_has_argument(name)) {
            if (++at == argc) {
                return fail(err, EINVAL, "-%s: its argument is missing", name);
            }
            text = argv[at];
        }
        if ((text && !can_be_said(text, err)) || !take_option(back, name, text, err)) {
            return false;
        }
        if (back->config.shown) {
            return fail(err, EINVAL, "-%s %s is a question, and no domain", name, text ? text : "");
        }
    }
    return smp_complete(&back->config, err) && chardev_defaults(&back->config, err) && drives_finish(&back->config, err);
}
