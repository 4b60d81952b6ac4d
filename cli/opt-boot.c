/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-boot.c - -boot, -fw_cfg, -smbios: what the firmware is told
 *
 * Tests    tests/cli/config.py
 */
#include "cli/keyval.h"
#include "cli/options.h"
#include <errno.h>
#include <string.h>

const Field boot_keys[] = {
    KEY_STR("order", "drives in order: a, b floppies, c disk, d CD, n network"),
    KEY_STR("once", "the same for the first boot only"),
    KEY_ENUM("menu", on_off, "offer a menu"), KEY_STR("splash", "picture to show (there is no display yet)"),
    KEY_UINT("splash-time", 0, 65535, "milliseconds the picture stays"),
    KEY_INT("reboot-timeout", "milliseconds until a failed boot is tried again; -1: never"),
    KEY_ENUM("strict", on_off, "boot from nothing else"), FIELD_END };

static bool check_letters(const char *key, const char *letters, GError **err)
{
    bool seen[26] = { false };

    for (const char *letter = letters; *letter; letter++) {
        if (*letter < 'a' || *letter > 'p') {
            return fail(err, EINVAL, "%s=%s: '%c' is not a drive letter from a to p", key, letters, *letter);
        }
        if (seen[*letter - 'a']) {
            return fail(err, EINVAL, "%s=%s: '%c' is given twice", key, letters, *letter);
        }
        seen[*letter - 'a'] = true;
    }
    return *letters || fail(err, EINVAL, "%s= is empty; it takes letters from a to p", key);
}

bool opt_boot(Config *config, const Option *option, const char *text, GError **err)
{
    Value *boot = config_object(config, "boot");

    (void)option;
    if (!*text) {
        return fail(err, EINVAL, "nothing was given; order=LETTERS, say");
    }
    if (!keyval_apply(config, boot, boot_keys, text, "order", err)) {
        return false;
    }
    if (value_get(boot, "splash")) {
        return fail(err, ENOTSUP, "splash= is not supported yet: there is no display");
    }
    int64_t timeout = value_get_int(boot, "reboot-timeout", -1);
    if (timeout < -1 || timeout > 65535) {
        return fail(err, EINVAL, "reboot-timeout= takes -1 to 65535");
    }
    const char *order = value_get_string(boot, "order", NULL), *once = value_get_string(boot, "once", NULL);
    return (!order || check_letters("order", order, err)) && (!once || check_letters("once", once, err));
}

enum { FW_CFG_NAME_MOST = 55 };

const Field fw_cfg_keys[] = {
    KEY_STR("name", "the file's name, by custom opt/ORGANISATION/...", .required = true),
    KEY_STR("file", "host file with its contents"), KEY_STR("string", "its contents"), FIELD_END };

bool opt_fw_cfg(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) item = value_new_object();

    (void)option;
    if (!keyval_apply(config, item, fw_cfg_keys, text, "name", err)) {
        return false;
    }
    const char *name = value_get_string(item, "name", "");
    if (!*name || strlen(name) > FW_CFG_NAME_MOST) {
        return fail(err, EINVAL, "name=%s: a name has 1 to %d bytes", name, FW_CFG_NAME_MOST);
    }
    if (!value_get(item, "file") == !value_get(item, "string")) {
        return fail(err, EINVAL, "one of file= and string= is needed");
    }
    value_append(config_list(config, "fw_cfg"), g_steal_pointer(&item));
    return true;
}

static const Field smbios_file_keys[] = { KEY_STR("file", "structures as they are"), FIELD_END };
static const Field smbios_0[] = {
    KEY_UINT("type", 0, 255, "kind of structure"), KEY_STR("vendor", "of the firmware"), KEY_STR("version", "version"),
    KEY_STR("date", "date"), KEY_STR("release", "MAJOR.MINOR"),
    KEY_BOOL("uefi", "say that the firmware is UEFI"), FIELD_END };
static const Field smbios_1[] = {
    KEY_UINT("type", 0, 255, "kind of structure"), KEY_STR("manufacturer", "manufacturer"),
    KEY_STR("product", "product name"), KEY_STR("version", "version"), KEY_STR("serial", "serial number"),
    KEY_STR("uuid", "UUID; otherwise that of -uuid"),
    KEY_STR("sku", "stock keeping number"), KEY_STR("family", "product family"), FIELD_END };
static const Field smbios_2[] = {
    KEY_UINT("type", 0, 255, "kind of structure"), KEY_STR("manufacturer", "manufacturer"),
    KEY_STR("product", "product name"), KEY_STR("version", "version"), KEY_STR("serial", "serial number"),
    KEY_STR("asset", "asset tag"),
    KEY_STR("location", "place in the chassis"), FIELD_END };
static const Field smbios_3[] = {
    KEY_UINT("type", 0, 255, "kind of structure"), KEY_STR("manufacturer", "manufacturer"),
    KEY_STR("version", "version"), KEY_STR("serial", "serial number"), KEY_STR("asset", "asset tag"),
    KEY_STR("sku", "stock keeping number"),
    FIELD_END };
static const Field smbios_4[] = {
    KEY_UINT("type", 0, 255, "kind of structure"), KEY_STR("sock_pfx", "prefix of the socket's name"),
    KEY_STR("manufacturer", "manufacturer"), KEY_STR("version", "version"), KEY_STR("serial", "serial number"),
    KEY_STR("asset", "asset tag"), KEY_STR("part", "part number"), KEY_UINT("max-speed", 0, 65535, "MHz"),
    KEY_UINT("current-speed", 0, 65535, "MHz"),
    KEY_UINT("processor-id", 0, UINT64_MAX, "CPUID signature and features, as one number"), FIELD_END };
static const Field smbios_11[] = { KEY_UINT("type", 0, 255, "kind of structure"), KEY_STR("value", "a string"),
    KEY_STR("path", "a file with a string"), FIELD_END };
static const Field smbios_17[] = {
    KEY_UINT("type", 0, 255, "kind of structure"), KEY_STR("loc_pfx", "prefix of the socket's name"),
    KEY_STR("bank", "bank"), KEY_STR("manufacturer", "manufacturer"), KEY_STR("serial", "serial number"),
    KEY_STR("asset", "asset tag"),
    KEY_STR("part", "part number"), KEY_UINT("speed", 0, 65535, "MHz"), FIELD_END };

static const Field smbios_8[] = {
    KEY_UINT("type", 0, 255, "kind of structure"), KEY_STR("internal_reference", "name inside the case"),
    KEY_STR("external_reference", "name outside the case"), KEY_UINT("connector_type", 0, 255, "kind of connector"),
    KEY_UINT("port_type", 0, 255, "kind of port"), FIELD_END };
static const Field smbios_41[] = {
    KEY_UINT("type", 0, 255, "kind of structure"), KEY_STR("designation", "name of the slot or chip"),
    KEY_STR("kind", "video, ethernet, sound, ..."), KEY_UINT("instance", 0, 255, "which of its kind"),
    KEY_STR("pcidev", "not supported yet"), FIELD_END };

const Field *smbios_keys(uint64_t type)
{
    switch (type) {
    case 0: return smbios_0;
    case 1: return smbios_1;
    case 2: return smbios_2;
    case 3: return smbios_3;
    case 4: return smbios_4;
    case 8: return smbios_8;
    case 11: return smbios_11;
    case 17: return smbios_17;
    case 41: return smbios_41;
    default: return NULL;
    }
}

/* type=11 may name several strings: one item of the tree each. */
static bool add_strings(Config *config, const char *text, GError **err)
{
    static const char *const lists[] = { "value", "path", NULL };
    const OptionGrammar grammar = { .who = config->saying, .keys = smbios_11, .lists = lists };
    g_autoptr(Value) given = option_parse(&grammar, text, err);

    for (const char *const *key = lists; given && *key; key++) {
        const Value *list = value_get(given, *key);
        for (size_t i = 0; i < value_length(list); i++) {
            Value *item = value_new_object();
            value_set(item, "type", value_new_uint(11));
            value_set(item, *key, value_ref(value_at(list, i)));
            value_append(config_list(config, "smbios"), item);
        }
    }
    return given != NULL;
}

bool opt_smbios(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) given = keyval_parse(config, NULL, text, NULL, err);
    const char *type_text = value_get_string(given, "type", NULL);
    uint64_t type;

    (void)option;
    if (!given) {
        return false;
    }
    g_autoptr(Value) item = value_new_object();
    if (!type_text) {
        if (!keyval_apply(config, item, smbios_file_keys, text, NULL, err)) {
            return false;
        }
        if (value_length(item) == 0) {
            return fail(err, EINVAL, "type=NUMBER or file=FILE is needed");
        }
    } else {
        const Field *keys = parse_uint(type_text, &type) ? smbios_keys(type) : NULL;
        if (!keys) {
            return fail(err, EINVAL, "type=%s: fields can be given for types 0, 1, 2, 3, 4, 8, 11, 17 and 41", type_text);
        }
        if (type == 11) {
            return add_strings(config, text, err);
        }
        if (!keyval_apply(config, item, keys, text, NULL, err)) {
            return false;
        }
    }
    value_append(config_list(config, "smbios"), g_steal_pointer(&item));
    return true;
}
