/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-smbios.c - <sysinfo> to -smbios and -fw_cfg
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "cli/xml-work.h"
#include <errno.h>
#include <string.h>

/* libvirt's names for the fields of an SMBIOS structure, and the option's. */
static const struct { const char *part; unsigned type; XmlWord entries[9]; } parts[] = {
    { "bios", 0, { { "vendor", "vendor" }, { "version", "version" }, { "date", "date" }, { "release", "release" }, { NULL } } },
    { "system", 1, { { "manufacturer", "manufacturer" }, { "product", "product" }, { "version", "version" }, { "serial", "serial" },
                     { "uuid", "uuid" }, { "sku", "sku" }, { "family", "family" }, { NULL } } },
    { "baseBoard", 2, { { "manufacturer", "manufacturer" }, { "product", "product" }, { "version", "version" }, { "serial", "serial" },
                        { "asset", "asset" }, { "location", "location" }, { NULL } } },
    { "chassis", 3, { { "manufacturer", "manufacturer" }, { "version", "version" }, { "serial", "serial" }, { "asset", "asset" },
                      { "sku", "sku" }, { NULL } } },
};

static bool entry(XmlNode *node, const XmlWord *entries, Value *keys, GError **err)
{
    const char *name = xml_attribute(node, "name");

    for (; entries->xml; entries++) {
        if (name && strcmp(name, entries->xml) == 0) {
            value_set(keys, entries->key, value_new_string(xml_text(node)));
            return true;
        }
    }
    return xml_fail(node, err, ENOTSUP, "name='%.100s' is not supported in <%s>", name ? name : "", node->parent->name);
}

static bool structures(XmlWork *work, XmlNode *sysinfo, GError **err)
{
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        for (XmlNode *part = xml_next(sysinfo, NULL, parts[i].part); part; part = xml_next(sysinfo, part, parts[i].part)) {
            g_autoptr(Value) keys = value_new_object();
            value_set(keys, "type", value_new_uint(parts[i].type));
            for (XmlNode *node = xml_next(part, NULL, "entry"); node; node = xml_next(part, node, "entry")) {
                if (!entry(node, parts[i].entries, keys, err)) {
                    return false;
                }
            }
            if (value_length(keys) > 1) {
                xml_say_keys(work, part, "smbios", NULL, g_steal_pointer(&keys));
            }
        }
    }
    return true;
}

static void oem_strings(XmlWork *work, XmlNode *sysinfo)
{
    XmlNode *strings = xml_child(sysinfo, "oemStrings");

    for (XmlNode *node = xml_next(strings, NULL, "entry"); node; node = xml_next(strings, node, "entry")) {
        Value *keys = value_new_object();
        value_set(keys, "type", value_new_uint(11));
        value_set(keys, "value", value_new_string(xml_text(node)));
        xml_say_keys(work, node, "smbios", NULL, keys);
    }
}

static bool firmware_files(XmlWork *work, XmlNode *sysinfo, GError **err)
{
    for (XmlNode *node = xml_next(sysinfo, NULL, "entry"); node; node = xml_next(sysinfo, node, "entry")) {
        const char *name = xml_attribute(node, "name"), *file = xml_attribute(node, "file");
        Value *keys = value_new_object();
        if (!name) {
            value_unref(keys);
            return xml_fail(node, err, EINVAL, "name='opt/...' is missing");
        }
        value_set(keys, "name", value_new_string(name));
        value_set(keys, file ? "file" : "string", value_new_string(file ? file : xml_text(node)));
        xml_say_keys(work, node, "fw_cfg", NULL, keys);
    }
    return true;
}

bool xml_smbios(XmlWork *work, XmlNode *domain, GError **err)
{
    XmlNode *choice = xml_child(xml_child(domain, "os"), "smbios");
    const char *mode = xml_attribute(choice, "mode");
    bool wanted = mode && strcmp(mode, "sysinfo") == 0;

    if (mode && !wanted && strcmp(mode, "emulate") != 0) {
        return xml_fail(choice, err, ENOTSUP, "mode='%.100s' is not supported; mode='sysinfo' takes what <sysinfo> says", mode);
    }
    for (XmlNode *node = xml_next(domain, NULL, "sysinfo"); node; node = xml_next(domain, node, "sysinfo")) {
        const char *type = xml_attribute(node, "type");
        if (type && strcmp(type, "fwcfg") == 0) {
            if (!firmware_files(work, node, err)) {
                return false;
            }
        } else if (!type || strcmp(type, "smbios") != 0) {
            return xml_fail(node, err, ENOTSUP, "type='%.100s' is not supported; there are smbios and fwcfg", type ? type : "");
        } else if (!wanted) {
            xml_warn(node, "it does nothing without <smbios mode='sysinfo'/> in <os>");
            xml_ignore(node);
        } else if (!structures(work, node, err)) {
            return false;
        } else {
            oem_strings(work, node);
        }
    }
    return true;
}
