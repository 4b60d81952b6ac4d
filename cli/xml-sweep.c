/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-sweep.c - what of a domain nobody understood: an error, unless a row here says that it is kept or may be missed
 *
 * Tests    tests/xml/translate.py, tests/xml/refuse.py
 */
#include "cli/xml-work.h"
#include "base/log.h"
#include <errno.h>
#include <string.h>

typedef enum {
    KEPT,                                  /* for dumpxml: it goes through the options as -domain-xml */
    QUIET,                                 /* it says nothing that matters here */
    WARNED,                                /* it does nothing, and the guest does not see that; a person may */
} Verdict;

typedef struct Rule { const char *pattern; Verdict verdict; const char *reason; } Rule;

/* The first that matches "domain/devices/disk" or "domain/devices/disk@snapshot" counts; '*' stands for anything. */
static const Rule rules[] = {
    { "domain/title", KEPT }, { "domain/description", KEPT }, { "domain/metadata", KEPT }, { "domain/seclabel", KEPT }, { "domain/resource", KEPT },
    { "domain@id", QUIET }, { "*@xmlns:*", QUIET }, { "*@xmlns", QUIET },
    { "domain/devices/emulator", QUIET }, { "*/alias", QUIET }, { "domain/on_lockfailure", QUIET }, { "domain/perf", QUIET },
    { "domain/cputune", WARNED, "processors are not pinned or weighed; taskset and cgroups do that from outside" },
    { "domain/numatune", WARNED, "memory is not bound to nodes; numactl does that from outside" },
    { "domain/blkiotune", WARNED, "disks are not weighed" }, { "domain/memtune", WARNED, "memory of the host is not limited; cgroups do that from outside" },
    { "domain/throttlegroups", WARNED, "it has no effect" }, { "domain/memoryBacking*", WARNED, "memory comes from anonymous pages" },
    { "domain/idmap", WARNED, "it has no effect" }, { "domain/vcpus", QUIET }, { "domain/vcpu@placement", QUIET },
    { "domain/vcpu@cpuset", WARNED, "processors are not pinned; taskset does that from outside" },
    { "domain/iothreadids/iothread*", WARNED, "it has no effect" }, { "domain/defaultiothread", WARNED, "it has no effect" },
    { "domain/qemu:commandline/qemu:env", WARNED, "the environment is not changed" }, { "domain/qemu:capabilities", QUIET },
    { "domain/qemu:deprecation", QUIET },
    { "domain/os/loader@*", QUIET }, { "domain/os/bios@useserial", WARNED, "the firmware's text goes to its serial console by fw_cfg only" },
    { "domain/os@firmware", WARNED, "the firmware is SeaBIOS" },
    { "domain/features/hyperv", WARNED, "the processor has no features of Hyper-V" },
    { "domain/features/kvm/*", WARNED, "the processor does not show it" }, { "domain/features/pvspinlock", WARNED, "the processor does not show it" },
    { "domain/features/apic@eoi", QUIET }, { "domain/features/hap", QUIET }, { "domain/features/privnet", QUIET },
    { "domain/features/ioapic", QUIET }, { "domain/features/tcg", QUIET },
    { "domain/cpu@match", QUIET }, { "domain/cpu@check", QUIET }, { "domain/cpu@migratable", QUIET }, { "domain/cpu/model@fallback", QUIET },
    { "domain/cpu/vendor", QUIET }, { "domain/cpu/cache", WARNED, "the processor shows the model's caches" },
    { "domain/cpu/maxphysaddr", WARNED, "the processor shows the model's width" }, { "domain/cpu/topology@clusters", QUIET },
    { "domain/clock/timer*", WARNED, "it has no effect" },
    { "*/disk/driver@name", QUIET }, { "*/disk@snapshot", QUIET }, { "*/disk@rawio", QUIET }, { "*/disk@sgio", QUIET }, { "*/disk/mirror", QUIET },
    { "*/disk/driver@copy_on_read", WARNED, "nothing is copied into the image" }, { "*/disk/driver@metadata_cache", QUIET },
    { "*/disk/driver/metadata_cache", WARNED, "the cache has its usual size" }, { "*/disk/driver@iothread", WARNED, "this kind of disk has no thread of its own" },
    { "*/disk/target@tray", WARNED, "the tray is closed" }, { "*/source@index", QUIET }, { "*/source@startupPolicy", QUIET }, { "*/source@mode", QUIET },
    { "*/source/seclabel", QUIET }, { "*/source/privateData", QUIET }, { "*/source@append", QUIET }, { "*/source@tls", QUIET },
    { "*/backingStore*", QUIET }, { "*/disk/geometry@trans", QUIET },
    { "*/interface/link", WARNED, "the link is up" }, { "*/interface/link@*", WARNED, "the link is up" },
    { "*/interface/bandwidth", WARNED, "packets are not limited" }, { "*/interface/filterref", WARNED, "packets are not filtered" },
    { "*/interface/driver", WARNED, "the card has its usual queues" }, { "*/interface/tune", WARNED, "it has no effect" },
    { "*/interface/coalesce", WARNED, "it has no effect" }, { "*/interface/virtualport", WARNED, "it has no effect" },
    { "*/interface/vlan", WARNED, "packets are not tagged" }, { "*/interface/port", QUIET }, { "*/interface/guest", QUIET },
    { "*/interface/target", QUIET }, { "*/interface/backend", QUIET }, { "*/interface/rom@*", QUIET }, { "*/interface/mac@*", QUIET },
    { "*/interface/ip", WARNED, "the guest asks by DHCP" }, { "*/interface/route", WARNED, "the guest asks by DHCP" },
    { "*/interface@*", QUIET }, { "*/interface/source*", QUIET },
    { "*/devices/audio", QUIET }, { "*/graphics/*", QUIET }, { "*/graphics@*", QUIET }, { "*/video/driver", QUIET }, { "*/input/driver", QUIET },
    { "*/memballoon/driver", WARNED, "it has no effect" }, { "*/rng/driver", WARNED, "it has no effect" }, { "*/controller/driver*", WARNED, "it has no effect" },
    { "*/controller@*", QUIET }, { "*/address@*", QUIET }, { "*/console@tty", QUIET }, { "*/protocol", QUIET }, { "*/watchdog@action", QUIET },
    { "*/channel/target@*", QUIET }, { "*/serial/target@*", QUIET },
};

static const Rule *rule_for(const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (g_pattern_match_simple(rules[i].pattern, path)) {
            return &rules[i];
        }
    }
    return NULL;
}

static void keep(XmlWork *work, XmlNode *node)
{
    g_autofree char *copy = xml_verbatim(node);

    if (node->parent == work->document->root) {
        xml_say(work, node, "domain-xml", "%s", copy);
    }
}

static bool unread_element(XmlWork *work, XmlNode *node, GError **err)
{
    g_autofree char *path = xml_path(node);
    const Rule *rule = rule_for(path);

    if (!rule) {
        for (guint i = 0; i < node->index; i++) {
            const XmlNode *earlier = node->parent->children->pdata[i];
            if (earlier->read && strcmp(earlier->name, node->name) == 0) {
                return xml_fail(node, err, EINVAL, "it is given twice in <%s>; one is taken, the first stands in line %u", node->parent->name, earlier->line);
            }
        }
        return xml_fail(node, err, ENOTSUP, "this element is not supported in <%.200s>; take it out", node->parent->name);
    }
    if (rule->verdict == WARNED) {
        xml_warn(node, "it has no effect: %s", rule->reason);
    }
    if (rule->verdict != QUIET) {
        keep(work, node);
    }
    return true;
}

static bool unread_attribute(XmlNode *node, const XmlAttribute *attribute, GError **err)
{
    g_autofree char *of = xml_path(node), *path = g_strdup_printf("%s@%s", of, attribute->name);
    const Rule *rule = rule_for(path);

    if (!rule) {
        return xml_fail(node, err, ENOTSUP, "%.200s='%.200s' is not supported; take the attribute out", attribute->name, attribute->value);
    }
    if (rule->verdict == WARNED) {
        xml_warn(node, "%.200s='%.200s' has no effect: %s", attribute->name, attribute->value, rule->reason);
    }
    return true;
}

static bool has_words(const char *text)
{
    return text[strspn(text, " \t\r\n")] != '\0';
}

/* As deep as the reader lets a document be. */
static bool sweep(XmlWork *work, XmlNode *node, GError **err)
{
    for (guint i = 0; i < node->attributes->len; i++) {
        const XmlAttribute *attribute = &g_array_index(node->attributes, XmlAttribute, i);
        if (!attribute->read && !unread_attribute(node, attribute, err)) {
            return false;
        }
    }
    if (!node->text_read && has_words(node->text->str)) {
        return xml_fail(node, err, EINVAL, "the text '%.100s' has no meaning here", g_strstrip(node->text->str));
    }
    for (guint i = 0; i < node->children->len; i++) {
        XmlNode *child = node->children->pdata[i];
        if (!(child->read ? sweep(work, child, err) : unread_element(work, child, err))) {
            return false;
        }
    }
    return true;
}

bool xml_sweep(XmlWork *work, GError **err)
{
    return sweep(work, work->document->root, err);
}
