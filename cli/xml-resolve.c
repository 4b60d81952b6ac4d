/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml-resolve.c - names of pools and networks to directories and connections
 *
 * --pool and --network are asked first, then libvirt's own files: the user's (~/.config/libvirt), then the host's
 * (/etc/libvirt). A network whose bridge the host has not becomes user-mode networking with that network's addresses.
 *
 * Tests    tests/xml/resolve.py
 */
#include "cli/xml-work.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The value of NAME=VALUE in such a list; lent. */
static const char *given(const char *const *list, const char *name)
{
    size_t length = strlen(name);

    for (; list && *list; list++) {
        if (strncmp(*list, name, length) == 0 && (*list)[length] == '=') {
            return *list + length + 1;
        }
    }
    return NULL;
}

/* A name becomes part of a path. */
static bool is_leaf(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* libvirt's file about it, with a root of that name. *out stays NULL where there is none. */
static bool find_file(const XmlNode *node, const char *folder, const char *root, const char *name, XmlDocument **out, GError **err)
{
    const char *const homes[] = { g_get_user_config_dir(), "/etc" };
    g_autofree char *leaf = g_strdup_printf("%s.xml", name);

    *out = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(homes) && !*out; i++) {
        g_autofree char *path = g_build_filename(homes[i], "libvirt", folder, leaf, NULL);
        g_autoptr(GError) inner = NULL;
        if (access(path, R_OK) != 0) {
            continue;
        }
        *out = xml_read(path, &inner);
        if (!*out) {
            return xml_fail(node, err, EINVAL, "'%s' is described by %s, and that cannot be read: %s", name, path, inner->message);
        }
        if (strcmp((*out)->root->name, root) != 0) {
            g_clear_pointer(out, xml_free);
            return xml_fail(node, err, EINVAL, "%s does not describe a %s", path, root);
        }
    }
    return true;
}

/* ---- pools -------------------------------------------------------------------------------------------------------------- */

static char *pool_folder(const XmlWork *work, const XmlNode *node, const char *pool, GError **err)
{
    static const char *const kinds[] = { "dir", "fs", "netfs", "logical", "disk", NULL };
    const char *folder = given(work->options->pools, pool);
    g_autoptr(XmlDocument) document = NULL;

    if (folder) {
        return g_strdup(folder);
    }
    if (!find_file(node, "storage", "pool", pool, &document, err)) {
        return NULL;
    }
    if (!document) {
        xml_fail(node, err, ENOENT, "there is no pool '%.100s' in %s/libvirt/storage or /etc/libvirt/storage; --pool %.100s=DIRECTORY names it", pool,
                 g_get_user_config_dir(), pool);
        return NULL;
    }
    const char *type = xml_attribute(document->root, "type"), *path = xml_lookup(document->root, "target/path", NULL);
    if (!type || !g_strv_contains(kinds, type) || !path || !*path) {
        xml_fail(node, err, ENOTSUP, "pool '%s' is of type '%.100s'; what can be used are directories: --pool %s=DIRECTORY", pool, type ? type : "", pool);
        return NULL;
    }
    return g_strdup(path);
}

char *xml_volume(const XmlWork *work, const XmlNode *node, const char *pool, const char *volume, GError **err)
{
    if (!is_leaf(pool) || !is_leaf(volume)) {
        xml_fail(node, err, EINVAL, "pool='%.100s' volume='%.100s': neither is a path; each is a name without '/'", pool, volume);
        return NULL;
    }
    g_autofree char *folder = pool_folder(work, node, pool, err);
    char *path = folder ? g_build_filename(folder, volume, NULL) : NULL;
    if (path && work->options->has_model && access(path, F_OK) != 0) {
        xml_fail(node, err, errno, "volume '%s' of pool '%s': %s: %s", volume, pool, path, g_strerror(errno));
        g_clear_pointer(&path, g_free);
    }
    return path;
}

/* ---- networks ------------------------------------------------------------------------------------------------------------ */

static Value *user_network(void)
{
    Value *keys = value_new_object();

    value_set(keys, "type", value_new_string("user"));
    return keys;
}

static Value *bridge(const char *name)
{
    Value *keys = value_new_object();

    value_set(keys, "type", value_new_string("bridge"));
    value_set(keys, "br", value_new_string(name));
    return keys;
}

static Value *chosen(const XmlNode *node, const char *name, const char *choice, GError **err)
{
    if (strcmp(choice, "user") == 0) {
        return user_network();
    }
    if (strcmp(choice, "none") == 0) {
        return value_new_object();
    }
    if (g_str_has_prefix(choice, "bridge:") && choice[strlen("bridge:")]) {
        return bridge(choice + strlen("bridge:"));
    }
    xml_fail(node, err, EINVAL, "--network %.100s=%.100s: there are user, none and bridge:INTERFACE", name, choice);
    return NULL;
}

static bool bridge_is_there(const char *name)
{
    g_autofree char *path = name && is_leaf(name) ? g_build_filename("/sys/class/net", name, NULL) : NULL;

    return path && access(path, F_OK) == 0;
}

/* A host's reserved address where the card's own is told; else where the range begins. */
static const char *first_address(XmlNode *dhcp, const char *mac)
{
    for (XmlNode *host = xml_next(dhcp, NULL, "host"); host && mac; host = xml_next(dhcp, host, "host")) {
        const char *of = xml_attribute(host, "mac"), *address = xml_attribute(host, "ip");
        if (of && address && g_ascii_strcasecmp(of, mac) == 0) {
            return address;
        }
    }
    return xml_lookup(dhcp, "range@start", NULL);
}

/* The network's <ip> as -netdev user's keys. */
static bool user_addresses(XmlNode *ip, const char *mac, Value *keys, GError **err)
{
    const char *address = xml_attribute(ip, "address"), *netmask = xml_attribute(ip, "netmask"), *prefix = xml_attribute(ip, "prefix");
    const char *start = first_address(xml_child(ip, "dhcp"), mac);
    struct in_addr host, mask, first;
    uint64_t bits = 24;

    if (!address || inet_pton(AF_INET, address, &host) != 1) {
        return xml_fail(ip, err, EINVAL, "address='%.100s' is not an IPv4 address", address ? address : "");
    }
    if (netmask && inet_pton(AF_INET, netmask, &mask) != 1) {
        return xml_fail(ip, err, EINVAL, "netmask='%.100s' is not an IPv4 mask", netmask);
    }
    if (!netmask && prefix && !xml_number(ip, "prefix", prefix, 32, &bits, err)) {
        return false;
    }
    if (!netmask) {
        mask.s_addr = htonl(bits ? UINT32_MAX << (32 - bits) : 0);
    }
    if ((~ntohl(mask.s_addr) & (~ntohl(mask.s_addr) + 1)) != 0) {
        return xml_fail(ip, err, EINVAL, "netmask='%.100s' has gaps", netmask);
    }
    if (start && inet_pton(AF_INET, start, &first) != 1) {
        return xml_fail(ip, err, EINVAL, "'%.100s' is not an IPv4 address", start);
    }
    struct in_addr base = { host.s_addr & mask.s_addr };
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &base, text, sizeof text);
    g_autofree char *net = g_strdup_printf("%s/%d", text, __builtin_popcount(mask.s_addr));
    value_set(keys, "net", value_new_string(net));
    value_set(keys, "host", value_new_string(address));
    if (start) {
        value_set(keys, "dhcpstart", value_new_string(start));
    }
    return true;
}

static Value *from_file(XmlNode *root, const char *mac, GError **err)
{
    XmlNode *forward = xml_child(root, "forward");
    const char *mode = xml_attribute(forward, "mode"), *name = xml_lookup(root, "bridge@name", NULL), *domain = xml_lookup(root, "domain@name", NULL);
    bool of_the_host = forward && mode && strcmp(mode, "bridge") == 0;
    Value *keys;

    if (name && (of_the_host || bridge_is_there(name))) {
        return bridge(name);
    }
    keys = user_network();
    for (XmlNode *ip = xml_child(root, "ip"); ip; ip = xml_next(root, ip, "ip")) {
        const char *family = xml_attribute(ip, "family");
        if (family && strcmp(family, "ipv4") != 0) {
            continue;
        }
        if (!user_addresses(ip, mac, keys, err)) {
            value_unref(keys);
            return NULL;
        }
        break;
    }
    if (domain) {
        value_set(keys, "domainname", value_new_string(domain));
    }
    if (!forward) {
        value_set(keys, "restrict", value_new_bool(true));
    }
    return keys;
}

Value *xml_network(const XmlWork *work, const XmlNode *node, const char *name, GError **err)
{
    const char *choice = given(work->options->networks, name);
    g_autoptr(XmlDocument) document = NULL;

    if (!is_leaf(name)) {
        xml_fail(node, err, EINVAL, "network='%.100s' is not a name without '/'", name);
        return NULL;
    }
    if (choice) {
        return chosen(node, name, choice, err);
    }
    if (!find_file(node, "qemu/networks", "network", name, &document, err)) {
        return NULL;
    }
    if (!document) {
        xml_fail(node, err, ENOENT, "there is no network '%.100s' in %s/libvirt/qemu/networks or /etc/libvirt/qemu/networks; --network %.100s=user connects "
                 "the card without it", name, g_get_user_config_dir(), name);
        return NULL;
    }
    g_autoptr(GError) inner = NULL;
    Value *keys = from_file(document->root, xml_lookup(node->parent, "mac@address", NULL), &inner);
    if (!keys) {
        xml_fail(node, err, EINVAL, "network '%s': %s", name, inner->message);
    }
    return keys;
}
