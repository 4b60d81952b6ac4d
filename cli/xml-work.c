/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-work.c - options that a domain's elements say, one after the other
 *
 * Tests    tests/xml/translate.py
 */
#include "cli/xml-work.h"
#include "base/log.h"
#include "base/option.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void xml_warn(const XmlNode *node, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *sentence = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (node->document->quiet) {
        return;
    }
    report_warning("%s:%u: <%.200s>: %s", node->document->file, node->line, node->name, sentence);
}

static void add(XmlWork *work, XmlNode *node, const char *option, char *take)
{
    XmlArgument argument = { option, take, node };

    g_array_append_vals(work->arguments, &argument, 1);
}

void xml_say(XmlWork *work, XmlNode *node, const char *option, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add(work, node, option, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

void xml_say_alone(XmlWork *work, XmlNode *node, const char *option)
{
    add(work, node, option, NULL);
}

void xml_say_keys(XmlWork *work, XmlNode *node, const char *option, const char *implied, Value *take)
{
    const OptionGrammar grammar = { .who = "", .implied = implied };

    if (work->options->has_option && !work->options->has_option(option)) {
        g_autofree char *what = g_strdup_printf("there is no -%s yet", option);
        xml_lacks(work, what);
    }
    add(work, node, option, option_print(&grammar, take));
    value_unref(take);
}

void xml_say_device(XmlWork *work, XmlNode *node, Value *take)
{
    const char *driver = value_get_string(take, "driver", "");

    if (work->options->has_model && !work->options->has_model(driver)) {
        g_autofree char *what = g_strdup_printf("there is no device model '%s' yet", driver);
        xml_lacks(work, what);
    }
    xml_say_keys(work, node, "device", "driver", take);
}

void xml_lacks(XmlWork *work, const char *why)
{
    if (!work->missing) {
        work->missing = g_strdup(why);
    }
}

void xml_begin(XmlWork *work)
{
    work->group = work->arguments->len;
    g_clear_pointer(&work->missing, g_free);
}

void xml_end(XmlWork *work, XmlNode *node)
{
    if (!work->missing || !work->options->has_model) {
        return;
    }
    xml_warn(node, "it is left out: %s", work->missing);
    g_array_set_size(work->arguments, work->group);
    g_clear_pointer(&work->missing, g_free);
}

bool xml_each(XmlWork *work, XmlNode *devices, const XmlKind *kinds, size_t count, GError **err)
{
    for (size_t i = 0; i < count; i++) {
        unsigned number = 0;

        for (XmlNode *node = xml_next(devices, NULL, kinds[i].name); node; node = xml_next(devices, node, kinds[i].name)) {
            xml_begin(work);
            if (!kinds[i].translate(work, node, number++, err)) {
                return false;
            }
            xml_end(work, node);
        }
    }
    return true;
}

Value *xml_device(const char *driver, XmlNode *node, const char *format, ...)
{
    const char *alias = xml_lookup(node, "alias@name", NULL);
    Value *device = value_new_object();
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *id = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    value_set(device, "driver", value_new_string(driver));
    value_set(device, "id", value_new_string(alias && g_str_has_prefix(alias, "ua-") ? alias : id));
    return device;
}

static bool hexadecimal(const XmlNode *node, const char *what, const char *text, uint64_t most, uint64_t *out, GError **err)
{
    if (!text) {
        *out = 0;
        return true;
    }
    if (!g_ascii_isdigit(*text) || !parse_uint(text, out) || *out > most) {
        return xml_fail(node, err, EINVAL, "%s '%.100s' is not a number from 0 to 0x%" PRIx64, what, text, most);
    }
    return true;
}

/* There is one PCI bus, number 0. */
bool xml_pci_place(XmlNode *node, Value *device, GError **err)
{
    XmlNode *address = xml_child(node, "address");
    const char *type = xml_attribute(address, "type"), *multifunction = xml_attribute(address, "multifunction");
    uint64_t domain, bus, slot, function;

    if (!address) {
        return true;
    }
    if (!type || strcmp(type, "pci") != 0) {
        return xml_fail(address, err, ENOTSUP, "an address of type '%.100s' is not for this device; it takes type='pci'", type ? type : "");
    }
    if (!hexadecimal(address, "domain", xml_attribute(address, "domain"), 0, &domain, err) ||
        !hexadecimal(address, "bus", xml_attribute(address, "bus"), 255, &bus, err) ||
        !hexadecimal(address, "slot", xml_attribute(address, "slot"), 31, &slot, err) ||
        !hexadecimal(address, "function", xml_attribute(address, "function"), 7, &function, err)) {
        return false;
    }
    if (bus != 0) {
        return xml_fail(address, err, ENOTSUP, "bus='%" PRIu64 "': there is only PCI bus 0; take the address out, or give it bus='0x00' and a free slot", bus);
    }
    g_autofree char *addr = function ? g_strdup_printf("0x%" PRIx64 ".0x%" PRIx64, slot, function) : g_strdup_printf("0x%" PRIx64, slot);
    value_set(device, "bus", value_new_string("pci.0"));
    value_set(device, "addr", value_new_string(addr));
    if (multifunction) {
        value_set(device, "multifunction", value_new_bool(strcmp(multifunction, "on") == 0));
    }
    return true;
}

bool xml_boot_place(XmlWork *work, XmlNode *node, Value *device, GError **err)
{
    XmlNode *boot = xml_child(node, "boot");
    const char *order = xml_attribute(boot, "order");
    uint64_t place;

    if (boot && !order) {
        return xml_fail(boot, err, EINVAL, "order=NUMBER is missing");
    }
    if (order) {
        if (!xml_number(boot, "order", order, G_MAXINT32, &place, err)) {
            return false;
        }
        if (place == 0) {
            return xml_fail(boot, err, EINVAL, "order='0': the first one is 1");
        }
        value_set(device, "bootindex", value_new_uint(place));
        return true;
    }
    for (guint i = 0; i < work->boots->len; i++) {
        if (work->boots->pdata[i] == node) {
            value_set(device, "bootindex", value_new_uint(i + 1));
        }
    }
    return true;
}

const char *xml_virtio_suffix(XmlNode *node, const char *path, const char *plain, GError **err)
{
    const char *model = xml_lookup(node, path, NULL);

    if (!model || strcmp(model, plain) == 0) {
        return "";
    }
    if (strcmp(model, "virtio-transitional") == 0) {
        return "-transitional";
    }
    if (strcmp(model, "virtio-non-transitional") == 0) {
        return "-non-transitional";
    }
    xml_fail(node, err, ENOTSUP, "model '%.100s' is not supported; there are virtio, virtio-transitional and virtio-non-transitional", model);
    return NULL;
}

void xml_ignore(XmlNode *node)
{
    node->read = node->text_read = true;
    for (guint i = 0; i < node->attributes->len; i++) {
        g_array_index(node->attributes, XmlAttribute, i).read = true;
    }
    for (guint i = 0; i < node->children->len; i++) {
        xml_ignore(node->children->pdata[i]);
    }
}

void xml_ignore_child(XmlNode *node, const char *name)
{
    XmlNode *child = xml_child(node, name);

    if (child) {
        xml_ignore(child);
    }
}
