/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user-forward.c - ways into the user-mode network from the host (hostfwd) and out of it to a program or a stream (guestfwd)
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/net.py
 */
#include "net/user.h"
#include "base/char/chardev.h"
#include "base/error.h"
#include "base/log.h"
#include "net/forward.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PORT_TRIES = 16, CHUNK = 4096 };

/* ---- rules ---- */

typedef struct Rule {
    bool udp;
    struct sockaddr_in host, guest;        /* of a rule to be removed: host alone */
} Rule;

static bool read_port(const char *text, uint64_t least, in_port_t *port)
{
    uint64_t number;

    if (!parse_uint(text, &number) || number < least || number > 65535) {
        return false;
    }
    *port = htons((uint16_t)number);
    return true;
}

static bool read_address(const char *text, struct in_addr preset, struct in_addr *address)
{
    *address = preset;
    return !*text || inet_aton(text, address);
}

/* "[tcp|udp]:[ADDRESS]:PORT": three parts, or NULL. */
static char **read_host_part(const char *text, Rule *rule)
{
    char **parts = g_strsplit(text, ":", 0);

    rule->host.sin_family = AF_INET;
    rule->udp = parts[0] && strcmp(parts[0], "udp") == 0;
    if (g_strv_length(parts) != 3 || (!rule->udp && *parts[0] && strcmp(parts[0], "tcp") != 0) ||
        !read_address(parts[1], (struct in_addr){ INADDR_ANY }, &rule->host.sin_addr) || !read_port(parts[2], 0, &rule->host.sin_port)) {
        g_strfreev(parts);
        return NULL;
    }
    return parts;
}

static bool read_rule(const UserNet *user, const char *text, Rule *rule, GError **err)
{
    const char *dash = strchr(text, '-');
    g_autofree char *host = g_strndup(text, dash ? (size_t)(dash - text) : strlen(text));
    g_auto(GStrv) host_parts = read_host_part(host, rule), guest_parts = g_strsplit(dash ? dash + 1 : "", ":", 0);

    rule->guest.sin_family = AF_INET;
    if (!host_parts || g_strv_length(guest_parts) != 2 || !read_address(guest_parts[0], user->first, &rule->guest.sin_addr) ||
        !read_port(guest_parts[1], 1, &rule->guest.sin_port)) {
        return fail(err, EINVAL, "netdev '%s': hostfwd=%s is not [tcp|udp]:[HOSTADDRESS]:HOSTPORT-[GUESTADDRESS]:GUESTPORT", user->netdev.id, text);
    }
    return true;
}

/* ---- who has a port already ---- */

/* The inode of a socket that listens on the port, out of /proc/net/tcp or udp; 0: none that we may see. */
static unsigned long listener_inode(const Rule *rule)
{
    g_autofree char *table = NULL;
    unsigned long inode = 0;

    if (!g_file_get_contents(rule->udp ? "/proc/net/udp" : "/proc/net/tcp", &table, NULL, NULL)) {
        return 0;
    }
    g_auto(GStrv) lines = g_strsplit(table, "\n", 0);
    for (char **line = lines; *line && !inode; line++) {
        unsigned address, port, state;
        unsigned long found;
        if (sscanf(*line, " %*u: %x:%x %*x:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu", &address, &port, &state, &found) == 4 &&
            port == ntohs(rule->host.sin_port) && (rule->udp || state == 10) &&
            (address == 0 || rule->host.sin_addr.s_addr == INADDR_ANY || address == rule->host.sin_addr.s_addr)) {
            inode = found;
        }
    }
    return inode;
}

static bool process_has(const char *process, const char *wanted)
{
    g_autofree char *path = g_build_filename("/proc", process, "fd", NULL);
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *name;

    while (folder && (name = g_dir_read_name(folder))) {
        g_autofree char *file = g_build_filename(path, name, NULL), *link = g_file_read_link(file, NULL);
        if (g_strcmp0(link, wanted) == 0) {
            return true;
        }
    }
    return false;
}

/* ", which process 123 (sshd) uses", or "". */
static char *holder_of(const Rule *rule)
{
    unsigned long inode = listener_inode(rule);
    g_autofree char *wanted = g_strdup_printf("socket:[%lu]", inode);
    g_autoptr(GDir) processes = inode ? g_dir_open("/proc", 0, NULL) : NULL;
    const char *name;

    while (processes && (name = g_dir_read_name(processes))) {
        if (g_ascii_isdigit(*name) && process_has(name, wanted)) {
            g_autofree char *path = g_build_filename("/proc", name, "comm", NULL), *what = NULL;
            g_file_get_contents(path, &what, NULL, NULL);
            return g_strdup_printf(", which process %s (%s) uses", name, what ? g_strstrip(what) : "?");
        }
    }
    return g_strdup("");
}

/* ---- forwards from the host ---- */

/* The stack keeps a port 0 that it was given to itself, so a free one is chosen here: asked of the kernel, let go, and taken. */
static bool choose_port(const Rule *rule, in_port_t *port)
{
    struct sockaddr_in address = rule->host;
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, (rule->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    bool chosen = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && getsockname(fd, (struct sockaddr *)&address, &length) == 0;

    if (fd >= 0) {
        close(fd);
    }
    *port = address.sin_port;
    return chosen;
}

static bool add_to_stack(UserNet *user, Rule *rule)
{
    bool any = rule->host.sin_port == 0;

    for (unsigned i = 0; i < (any ? PORT_TRIES : 1); i++) {
        if (any && !choose_port(rule, &rule->host.sin_port)) {
            return false;
        }
        if (slirp_add_hostfwd(user->slirp, rule->udp, rule->host.sin_addr, ntohs(rule->host.sin_port), rule->guest.sin_addr, ntohs(rule->guest.sin_port)) == 0) {
            return true;
        }
        rule->host.sin_port = any ? 0 : rule->host.sin_port;
    }
    return false;
}

static bool add_forward(UserNet *user, const char *text, char **report, GError **err)
{
    Rule rule = { 0 };

    if (!read_rule(user, text, &rule, err)) {
        return false;
    }
    bool any = rule.host.sin_port == 0;
    if (!add_to_stack(user, &rule)) {
        int code = errno ? errno : EADDRINUSE;
        g_autofree char *holder = code == EADDRINUSE ? holder_of(&rule) : g_strdup("");
        g_autofree char *host = g_strdup(inet_ntoa(rule.host.sin_addr));
        return fail(err, code, "netdev '%s': hostfwd=%s: cannot listen on %s port %u (%s): %s%s", user->netdev.id, text, host, ntohs(rule.host.sin_port),
                    rule.udp ? "udp" : "tcp", g_strerror(code), holder);
    }
    g_autofree char *host = g_strdup(inet_ntoa(rule.host.sin_addr)), *guest = g_strdup(inet_ntoa(rule.guest.sin_addr));
    if (any) {
        *report = g_strdup_printf("netdev '%s': %s port %s:%u of the host leads to %s:%u", user->netdev.id, rule.udp ? "udp" : "tcp", host,
                                  ntohs(rule.host.sin_port), guest, ntohs(rule.guest.sin_port));
    }
    g_main_context_wakeup(NULL);
    return true;
}

static UserNet *user_of(NetDev *netdev)
{
    return netdev && strcmp(netdev_kind(netdev), "user") == 0 ? (UserNet *)netdev : NULL;
}

bool net_forward_add(NetDev *netdev, const char *rule, char **report, GError **err)
{
    UserNet *user = user_of(netdev);

    *report = NULL;
    return user ? add_forward(user, rule, report, err) : fail(err, EINVAL, "netdev '%s' is no user network", netdev_id(netdev));
}

bool net_forward_remove(NetDev *netdev, const char *text, bool *found, GError **err)
{
    UserNet *user = user_of(netdev);
    Rule rule = { 0 };
    g_auto(GStrv) parts = read_host_part(text, &rule);

    if (!user || !parts) {
        return fail(err, EINVAL, "invalid format");
    }
    *found = slirp_remove_hostfwd(user->slirp, rule.udp, rule.host.sin_addr, ntohs(rule.host.sin_port)) == 0;
    return true;
}

char *net_user_connections(NetDev *netdev)
{
    UserNet *user = user_of(netdev);
    char *text = user ? slirp_connection_info(user->slirp) : NULL;
    char *copy = text ? g_strdup(text) : NULL;

    free(text);
    return copy;
}

/* ---- forwards out of the guest's network ---- */

/* The stack has one connection at a time for a stream. */
typedef struct Outward {
    UserNet *user;
    Chardev *chardev;
    bool own;                              /* made here, of the rule's words */
    struct in_addr address;
    int port;
} Outward;

static ssize_t outward_write(const void *data, size_t length, void *opaque)
{
    const Outward *outward = opaque;

    chardev_write(outward->chardev, data, length);     /* what it does not take is lost, as with QEMU */
    return (ssize_t)length;
}

static size_t outward_can_read(void *opaque)
{
    const Outward *outward = opaque;

    return MIN(slirp_socket_can_recv(outward->user->slirp, outward->address, outward->port), CHUNK);
}

static void outward_read(void *opaque, const uint8_t *data, size_t length)
{
    const Outward *outward = opaque;

    slirp_socket_recv(outward->user->slirp, outward->address, outward->port, data, (int)length);
}

static void outward_moved(void *opaque, Chardev *now)
{
    ((Outward *)opaque)->chardev = now;
}

static const ChardevUser outward_user = { .can_read = outward_can_read, .read = outward_read, .moved = outward_moved };

static void outward_free(void *opaque)
{
    Outward *outward = opaque;

    if (outward->chardev) {
        chardev_detach(outward->chardev);
    }
    if (outward->own) {
        chardev_unref(outward->chardev);
    }
    g_free(outward);
}

static bool attach_stream(UserNet *user, Outward *outward, const char *target, const char *text, GError **err)
{
    const char *id = g_str_has_prefix(target, "chardev:") ? target + strlen("chardev:") : target;

    outward->chardev = chardev_find(id);
    if (!outward->chardev) {
        return fail(err, ENOENT, "netdev '%s': guestfwd=%s: there is no -chardev with id=%s (or say cmd:COMMAND)", user->netdev.id, text, id);
    }
    if (!chardev_attach(outward->chardev, &outward_user, outward, err)) {
        outward->chardev = NULL;
        return false;
    }
    return slirp_add_guestfwd(user->slirp, outward_write, outward, &outward->address, outward->port) == 0 ||
           fail(err, EINVAL, "netdev '%s': guestfwd=%s: the address and port are in use, or outside of the network", user->netdev.id, text);
}

static bool add_outward(UserNet *user, const char *text, GError **err)
{
    const char *dash = strchr(text, '-');
    g_autofree char *from = g_strndup(text, dash ? (size_t)(dash - text) : strlen(text));
    g_auto(GStrv) parts = g_strsplit(from, ":", 0);
    Outward *outward = g_new0(Outward, 1);
    in_port_t port = 0;

    g_ptr_array_add(user->chardevs, outward);
    outward->user = user;
    if (!dash || g_strv_length(parts) != 3 || (*parts[0] && strcmp(parts[0], "tcp") != 0) || !*parts[1] || !inet_aton(parts[1], &outward->address) ||
        !read_port(parts[2], 1, &port)) {
        return fail(err, EINVAL, "netdev '%s': guestfwd=%s is not [tcp]:ADDRESS:PORT-CHARDEV or [tcp]:ADDRESS:PORT-cmd:COMMAND", user->netdev.id, text);
    }
    outward->port = ntohs(port);
    if (g_str_has_prefix(dash + 1, "cmd:")) {
        return slirp_add_exec(user->slirp, dash + 5, &outward->address, outward->port) == 0 ||
               fail(err, EINVAL, "netdev '%s': guestfwd=%s: the address and port are in use, or outside of the network", user->netdev.id, text);
    }
    return attach_stream(user, outward, dash + 1, text, err);
}

bool user_forward_begin(UserNet *user, GError **err)
{
    g_autoptr(GPtrArray) inward = user_texts(user->hostfwd), outward = user_texts(user->guestfwd);

    user->chardevs = g_ptr_array_new_with_free_func(outward_free);
    for (guint i = 0; i < inward->len; i++) {
        g_autofree char *report = NULL;
        if (!add_forward(user, inward->pdata[i], &report, err)) {
            return false;
        }
        if (report) {
            report_info("%s", report);
        }
    }
    for (guint i = 0; i < outward->len; i++) {
        if (!add_outward(user, outward->pdata[i], err)) {
            return false;
        }
    }
    return true;
}

void user_forward_turn(UserNet *user)
{
    for (guint i = 0; i < user->chardevs->len; i++) {
        const Outward *outward = user->chardevs->pdata[i];
        if (outward->chardev) {
            chardev_accept_input(outward->chardev);
        }
    }
}

Value *net_user_addresses(NetDev *netdev)
{
    const UserNet *user = user_of(netdev);
    Value *list = user ? value_new_list() : NULL;

    for (unsigned i = 0; user && i < user->seen_count; i++) {
        char text[INET6_ADDRSTRLEN];
        Value *one = value_new_object();
        inet_ntop(user->seen[i].v6 ? AF_INET6 : AF_INET, user->seen[i].address, text, sizeof text);
        value_set(one, "ipv6", value_new_bool(user->seen[i].v6));
        value_set(one, "address", value_new_string(text));
        value_append(list, one);
    }
    return list;
}

void user_forward_end(UserNet *user)
{
    if (user->chardevs) {
        g_ptr_array_free(user->chardevs, TRUE);
    }
}
