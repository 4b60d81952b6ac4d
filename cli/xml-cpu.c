/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-cpu.c - <cpu> to -cpu: model, features, and what <features> and <clock> say of the processor
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "cli/xml-work.h"
#include <errno.h>
#include <string.h>

/* A name goes between commas: letters, digits and what names of models and features hold. */
static bool plain(const XmlNode *node, const char *what, const char *name, GError **err)
{
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");

    return (*name && !name[good]) || xml_fail(node, err, EINVAL, "%s '%.100s' has other characters than letters, digits and '-._'", what, name);
}

/* NULL and *err; "" when the domain leaves the processor to the machine. */
static const char *model_of(XmlNode *domain, XmlNode *cpu, GError **err)
{
    const char *mode = xml_attribute(cpu, "mode"), *virt = xml_attribute(domain, "type");
    XmlNode *model = xml_child(cpu, "model");
    const char *name = xml_text(model);

    if (!mode || strcmp(mode, "custom") == 0) {
        return !model ? "" : plain(model, "the model", name, err) ? name : NULL;
    }
    if (strcmp(mode, "maximum") == 0) {
        return "max";
    }
    if (strcmp(mode, "host-passthrough") == 0 || strcmp(mode, "host-model") == 0) {
        return strcmp(virt, "kvm") == 0 ? "host" : "max";
    }
    xml_fail(cpu, err, ENOTSUP, "mode='%.100s' is not supported; there are custom, host-model, host-passthrough and maximum", mode);
    return NULL;
}

static bool feature(GString *text, XmlNode *node, GError **err)
{
    static const struct { const char *policy, *state; } policies[] = {
        { "require", "on" }, { "force", "on" }, { "optional", "on" }, { "disable", "off" }, { "forbid", "off" } };
    const char *name = xml_attribute(node, "name"), *policy = xml_attribute(node, "policy");

    if (!name) {
        return xml_fail(node, err, EINVAL, "name='...' is missing");
    }
    if (!plain(node, "the feature", name, err)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(policies); i++) {
        if (strcmp(policy ? policy : "require", policies[i].policy) == 0) {
            g_string_append_printf(text, ",%s=%s", name, policies[i].state);
            return true;
        }
    }
    return xml_fail(node, err, EINVAL, "policy='%.100s': there are require, force, optional, disable and forbid", policy);
}

/* Switches that stand elsewhere in the domain. */
static bool features_elsewhere(GString *text, XmlNode *domain, GError **err)
{
    static const struct { const char *path, *feature; bool inverted; } switches[] = {
        { "features/pmu@state", "pmu", false }, { "features/kvm/hidden@state", "kvm", true },
        { "features/kvm/hint-dedicated@state", "kvm-hint-dedicated", false }, { "features/kvm/poll-control@state", "kvm-poll-control", false },
    };
    XmlNode *clock = xml_child(domain, "clock");

    for (size_t i = 0; i < G_N_ELEMENTS(switches); i++) {
        XmlNode *holder = domain;
        const char *state = xml_lookup(domain, switches[i].path, &holder);
        if (state && strcmp(state, "on") != 0 && strcmp(state, "off") != 0) {
            return xml_fail(holder, err, EINVAL, "state='%.100s' is neither 'on' nor 'off'", state);
        }
        if (state) {
            g_string_append_printf(text, ",%s=%s", switches[i].feature, (strcmp(state, "on") == 0) != switches[i].inverted ? "on" : "off");
        }
    }
    for (XmlNode *timer = xml_next(clock, NULL, "timer"); timer; timer = xml_next(clock, timer, "timer")) {
        const char *name = xml_attribute(timer, "name"), *present = xml_attribute(timer, "present"), *frequency = xml_attribute(timer, "frequency");
        uint64_t hertz;
        if (name && present && strcmp(name, "kvmclock") == 0) {
            g_string_append_printf(text, ",kvmclock=%s", strcmp(present, "no") == 0 ? "off" : "on");
        } else if (name && frequency && strcmp(name, "tsc") == 0) {
            if (!xml_number(timer, "frequency", frequency, INT64_MAX, &hertz, err)) {
                return false;
            }
            g_string_append_printf(text, ",tsc-frequency=%s", frequency);
        }
    }
    return true;
}

bool xml_cpu(XmlWork *work, XmlNode *domain, GError **err)
{
    XmlNode *cpu = xml_child(domain, "cpu");
    g_autoptr(GString) text = g_string_new(NULL);
    const char *model = model_of(domain, cpu, err), *migratable = xml_attribute(cpu, "migratable"), *vendor = xml_lookup(cpu, "model@vendor_id", NULL);

    if (!model || (vendor && !plain(cpu, "vendor_id", vendor, err))) {
        return false;
    }
    if (vendor) {
        g_string_append_printf(text, ",vendor=%s", vendor);
    }
    if (migratable && strcmp(model, "host") == 0) {
        g_string_append_printf(text, ",migratable=%s", strcmp(migratable, "off") == 0 ? "off" : "on");
    }
    for (XmlNode *node = xml_next(cpu, NULL, "feature"); node; node = xml_next(cpu, node, "feature")) {
        if (!feature(text, node, err)) {
            return false;
        }
    }
    if (!features_elsewhere(text, domain, err)) {
        return false;
    }
    if (*model || text->len) {
        xml_say(work, cpu ? cpu : domain, "cpu", "%s%s", *model ? model : "qemu64", text->str);
    }
    return true;
}
