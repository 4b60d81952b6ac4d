/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user.c - the user-mode network: a guest's own little network with a gateway that turns its connections into the process's sockets, on libslirp
 *
 * Models   the network of QEMU's -netdev user: keys, addresses and defaults
 * Omits    smb=
 * Threads  main loop, and vCPU threads for packets to the stack; machine lock held
 * Tests    tests/cli/options.py, tests/qmp/net.py, tests/guest/net.py
 *
 * The stack asks before each wait of the main loop which sockets it is interested in, and for how long at most: a GSource of its own.
 */
#include "net/user.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/timer.h"
#include "base/trace.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TRACE_ERROR };
static TracePoint user_trace[] = {
    [TRACE_ERROR] = { "net_user_error", "the guest did something that the stack does not understand" },
};
TRACE_TABLE(user_trace)

/* Longer than any guest's own packets, so that segments go in whole; towards the guest so much that several are on their way in a window of 64 KiB. */
enum { LONGEST_IN = 65521, LONGEST_OUT = 16384 };

/* ---- the main loop ---- */

typedef struct UserSource {
    GSource source;
    UserNet *user;
} UserSource;

static int add_poll(int fd, int events, void *opaque)
{
    UserNet *user = opaque;
    GPollFD poll = { .fd = fd };

    poll.events |= events & SLIRP_POLL_IN ? G_IO_IN : 0;
    poll.events |= events & SLIRP_POLL_OUT ? G_IO_OUT : 0;
    poll.events |= events & SLIRP_POLL_PRI ? G_IO_PRI : 0;
    g_array_append_val(user->polls, poll);
    return (int)user->polls->len - 1;
}

static int poll_result(int index, void *opaque)
{
    const UserNet *user = opaque;
    int events = g_array_index(user->polls, GPollFD, index).revents;

    return (events & G_IO_IN ? SLIRP_POLL_IN : 0) | (events & G_IO_OUT ? SLIRP_POLL_OUT : 0) | (events & G_IO_PRI ? SLIRP_POLL_PRI : 0) |
           (events & G_IO_ERR ? SLIRP_POLL_ERR : 0) | (events & G_IO_HUP ? SLIRP_POLL_HUP : 0);
}

static void forget_polls(UserNet *user)
{
    for (guint i = 0; i < user->polls->len; i++) {
        g_source_remove_poll(user->source, &g_array_index(user->polls, GPollFD, i));
    }
    g_array_set_size(user->polls, 0);
}

static gboolean source_prepare(GSource *source, int *timeout)
{
    UserNet *user = ((UserSource *)source)->user;
    uint32_t wait = UINT32_MAX;

    forget_polls(user);
    slirp_pollfds_fill(user->slirp, &wait, add_poll, user);
    for (guint i = 0; i < user->polls->len; i++) {         /* only now: the array does not move any more */
        g_source_add_poll(source, &g_array_index(user->polls, GPollFD, i));
    }
    *timeout = wait > INT32_MAX ? -1 : (int)wait;
    return FALSE;
}

/* Each turn: the stack looks at its own timers there, too. */
static gboolean source_check(GSource *source)
{
    (void)source;
    return TRUE;
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    UserNet *user = ((UserSource *)source)->user;

    (void)callback;
    (void)opaque;
    slirp_pollfds_poll(user->slirp, 0, poll_result, user);
    user_forward_turn(user);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_functions = { source_prepare, source_check, source_dispatch, NULL, NULL, NULL };

/* ---- what the stack asks of us ---- */

static ssize_t send_packet(const void *frame, size_t bytes, void *opaque)
{
    user_frame_in(opaque, frame, bytes);
    return (ssize_t)bytes;
}

static void guest_error(const char *message, void *opaque)
{
    const UserNet *user = opaque;

    TRACE(&user_trace[TRACE_ERROR], "netdev %s: %s", user->netdev.id, message);
}

static int64_t clock_ns(void *opaque)
{
    (void)opaque;
    return clock_now(CLOCK_GUEST);
}

typedef struct StackTimer {
    Timer timer;
    SlirpTimerCb fire;
    void *opaque;
} StackTimer;

static void timer_fired(void *opaque)
{
    StackTimer *timer = opaque;

    timer->fire(timer->opaque);
}

static void *timer_make(SlirpTimerCb fire, void *timer_opaque, void *opaque)
{
    StackTimer *timer = g_new0(StackTimer, 1);

    (void)opaque;
    timer->fire = fire;
    timer->opaque = timer_opaque;
    timer_init(&timer->timer, CLOCK_GUEST, timer_fired, timer);
    return timer;
}

static void timer_drop(void *timer, void *opaque)
{
    (void)opaque;
    timer_cancel(&((StackTimer *)timer)->timer);
    g_free(timer);
}

static void timer_set(void *timer, int64_t milliseconds, void *opaque)
{
    (void)opaque;
    timer_arm(&((StackTimer *)timer)->timer, milliseconds * NS_PER_MS);
}

static void poll_fd_changed(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void look_again(void *opaque)
{
    (void)opaque;
    g_main_context_wakeup(NULL);
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,  .guest_error = guest_error,  .clock_get_ns = clock_ns,  .timer_new = timer_make,  .timer_free = timer_drop,
    .timer_mod = timer_set,  .register_poll_fd = poll_fd_changed,  .unregister_poll_fd = poll_fd_changed,  .notify = look_again,
};

/* ---- addresses ---- */

static bool read_v4(const UserNet *user, const char *key, const char *text, struct in_addr *address, GError **err)
{
    if (text && !inet_aton(text, address)) {
        return fail(err, EINVAL, "netdev '%s': %s=%s is not an IPv4 address", user->netdev.id, key, text);
    }
    return true;
}

static bool inside(const UserNet *user, const char *key, struct in_addr address, GError **err)
{
    struct in_addr network = user->network, mask = user->mask;

    if ((address.s_addr & mask.s_addr) != network.s_addr || (address.s_addr & ~mask.s_addr) == ~mask.s_addr || !(address.s_addr & ~mask.s_addr)) {
        return fail(err, EINVAL, "netdev '%s': %s=%s is not a host's address inside the network %s/%d; give net= too", user->netdev.id, key,
                    inet_ntoa(address), user->net ? user->net : "10.0.2.0", __builtin_popcount(mask.s_addr));
    }
    return true;
}

/* "10.0.2.0/24", "10.0.2.0/255.255.255.0", or an address of one of the old classes. */
static bool read_network(UserNet *user, GError **err)
{
    g_autofree char *text = g_strdup(user->net ? user->net : "10.0.2.0/24");
    char *slash = strchr(text, '/');
    uint64_t bits = 24;

    if (slash) {
        *slash++ = '\0';
    }
    if (!inet_aton(text, &user->network)) {
        return fail(err, EINVAL, "netdev '%s': net=%s is not a network such as 10.0.2.0/24", user->netdev.id, user->net);
    }
    uint32_t value = ntohl(user->network.s_addr);
    if (!slash) {
        bits = value < 0x80000000 ? 8 : value < 0xc0000000 ? 16 : value < 0xf0000000 ? 24 : 4;
    }
    if (slash && strchr(slash, '.')) {
        if (!inet_aton(slash, &user->mask)) {
            return fail(err, EINVAL, "netdev '%s': net=%s: the mask is none", user->netdev.id, user->net);
        }
        uint32_t mask = ntohl(user->mask.s_addr);
        bits = (uint64_t)__builtin_popcount(mask);
        if (mask != (uint32_t)(UINT64_C(0xffffffff) << (32 - bits))) {
            return fail(err, EINVAL, "netdev '%s': net=%s: the mask's ones have gaps", user->netdev.id, user->net);
        }
    } else if (slash && !parse_uint(slash, &bits)) {
        return fail(err, EINVAL, "netdev '%s': net=%s: the mask is none", user->netdev.id, user->net);
    }
    if (bits < 4 || bits > 27) {           /* the first 32 addresses have parts to play */
        return fail(err, EINVAL, "netdev '%s': net=%s: a mask has 4 to 27 bits", user->netdev.id, user->net ? user->net : text);
    }
    user->mask.s_addr = htonl((uint32_t)(UINT64_C(0xffffffff) << (32 - bits)));
    user->network.s_addr &= user->mask.s_addr;
    return true;
}

static bool read_ipv4(UserNet *user, GError **err)
{
    if (!read_network(user, err)) {
        return false;
    }
    uint32_t network = user->network.s_addr;
    user->gateway.s_addr = network | htonl(2);
    user->nameserver.s_addr = network | htonl(3);
    user->first.s_addr = network | htonl(15);
    if (!read_v4(user, "host", user->host, &user->gateway, err) || !read_v4(user, "dns", user->dns, &user->nameserver, err) ||
        !read_v4(user, "dhcpstart", user->dhcpstart, &user->first, err) || !inside(user, "host", user->gateway, err) ||
        !inside(user, "dhcpstart", user->first, err)) {
        return false;
    }
    if (user->gateway.s_addr == user->nameserver.s_addr) {
        return fail(err, EINVAL, "netdev '%s': host= and dns= must be two addresses", user->netdev.id);
    }
    uint32_t first = ntohl(user->first.s_addr), gateway = ntohl(user->gateway.s_addr), nameserver = ntohl(user->nameserver.s_addr);
    if ((gateway >= first && gateway - first < 16) || (nameserver >= first && nameserver - first < 16)) {
        return fail(err, EINVAL, "netdev '%s': the 16 addresses from dhcpstart=%s on must not hold those of host= and dns=", user->netdev.id,
                    inet_ntoa(user->first));
    }
    return true;
}

static bool read_v6(const UserNet *user, const char *key, const char *text, struct in6_addr *address, GError **err)
{
    if (text && inet_pton(AF_INET6, text, address) != 1) {
        return fail(err, EINVAL, "netdev '%s': %s=%s is not an IPv6 address", user->netdev.id, key, text);
    }
    return true;
}

static bool read_ipv6(UserNet *user, GError **err)
{
    g_autofree char *text = g_strdup(user->ipv6_net ? user->ipv6_net : user->ipv6_prefix ? user->ipv6_prefix : "fec0::");
    char *slash = strchr(text, '/');
    uint64_t bits = (uint64_t)user->ipv6_prefixlen;

    if (slash) {
        *slash++ = '\0';
        if (!parse_uint(slash, &bits)) {
            return fail(err, EINVAL, "netdev '%s': ipv6-net=%s: the length is none", user->netdev.id, user->ipv6_net);
        }
    }
    if (bits > 126) {
        return fail(err, EINVAL, "netdev '%s': an IPv6 prefix has at most 126 bits", user->netdev.id);
    }
    if (!read_v6(user, "ipv6-net", text, &user->prefix6, err)) {
        return false;
    }
    user->ipv6_prefixlen = (int64_t)bits;
    user->gateway6 = user->nameserver6 = user->prefix6;
    user->gateway6.s6_addr[15] |= 2;
    user->nameserver6.s6_addr[15] |= 3;
    return read_v6(user, "ipv6-host", user->ipv6_host, &user->gateway6, err) && read_v6(user, "ipv6-dns", user->ipv6_dns, &user->nameserver6, err);
}

/* Both without a word; naming one by "on" leaves the other out. */
static bool choose_families(UserNet *user, GError **err)
{
    user->with_ipv4 = user->ipv4 == AUTO ? user->ipv6 != ON : user->ipv4 == ON;
    user->with_ipv6 = user->ipv6 == AUTO ? user->ipv4 != ON : user->ipv6 == ON;
    return user->with_ipv4 || user->with_ipv6 || fail(err, EINVAL, "netdev '%s': ipv4=off,ipv6=off leaves no network", user->netdev.id);
}

/* ---- coming and going ---- */

static bool check_names(const UserNet *user, GError **err)
{
    if (user->smb || user->smbserver) {
        return fail(err, ENOTSUP, "netdev '%s': smb= is not supported; share a folder by -virtfs or tftp=", user->netdev.id);
    }
    const struct { const char *key, *text; size_t most; } names[] = {
        { "hostname", user->hostname, 255 }, { "domainname", user->domainname, 255 }, { "tftp-server-name", user->tftp_server_name, 255 },
        { "bootfile", user->bootfile, 127 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (names[i].text && strlen(names[i].text) > names[i].most) {
            return fail(err, EINVAL, "netdev '%s': %s= is longer than %zu bytes", user->netdev.id, names[i].key, names[i].most);
        }
    }
    if (user->tftp && !g_file_test(user->tftp, G_FILE_TEST_IS_DIR)) {
        return fail(err, ENOTDIR, "netdev '%s': tftp=%s is not a folder", user->netdev.id, user->tftp);
    }
    return true;
}

GPtrArray *user_texts(const Value *given)
{
    GPtrArray *texts = g_ptr_array_new();

    if (value_string(given)) {
        g_ptr_array_add(texts, (void *)(uintptr_t)value_string(given));
    }
    for (size_t i = 0; !value_string(given) && i < value_length(given); i++) {
        const Value *item = value_at(given, i);                /* QMP's are {"str": TEXT} */
        const char *text = value_string(item) ? value_string(item) : value_get_string(item, "str", NULL);
        if (text) {
            g_ptr_array_add(texts, (void *)(uintptr_t)text);
        }
    }
    return texts;
}

static bool begin_stack(UserNet *user, GError **err)
{
    g_autoptr(GPtrArray) search = user_texts(user->dnssearch);
    bool has_search = search->len > 0;

    g_ptr_array_add(search, NULL);
    const SlirpConfig config = {
        .version = 4,  .restricted = user->restricted,  .in_enabled = user->with_ipv4,  .vnetwork = user->network,  .vnetmask = user->mask,
        .vhost = user->gateway,  .in6_enabled = user->with_ipv6,  .vprefix_addr6 = user->prefix6,  .vprefix_len = (uint8_t)user->ipv6_prefixlen,
        .vhost6 = user->gateway6,  .vhostname = user->hostname,  .tftp_server_name = user->tftp_server_name,  .tftp_path = user->tftp,
        .bootfile = user->bootfile,  .vdhcp_start = user->first,  .vnameserver = user->nameserver,  .vnameserver6 = user->nameserver6,
        .vdnssearch = has_search ? (const char **)search->pdata : NULL,  .vdomainname = user->domainname,  .if_mtu = LONGEST_OUT,  .if_mru = LONGEST_IN,
    };
    user->slirp = slirp_new(&config, &callbacks, user);
    return user->slirp != NULL || fail(err, EINVAL, "netdev '%s': the network stack refuses this configuration", user->netdev.id);
}

static bool user_open(NetDev *netdev, GError **err)
{
    UserNet *user = (UserNet *)netdev;

    if (!check_names(user, err) || !choose_families(user, err) || !read_ipv4(user, err) || !read_ipv6(user, err) || !begin_stack(user, err)) {
        return false;
    }
    user->polls = g_array_new(FALSE, FALSE, sizeof(GPollFD));
    user->frame = g_malloc(NET_FRAME_MOST);
    user->source = g_source_new(&source_functions, sizeof(UserSource));
    ((UserSource *)user->source)->user = user;
    g_source_set_name(user->source, "user network");
    g_source_attach(user->source, NULL);
    netdev->takes = NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_TSO6 | NET_TAKES_ECN;
    return user_forward_begin(user, err);
}

static void user_close(NetDev *netdev)
{
    UserNet *user = (UserNet *)netdev;

    if (user->source) {
        forget_polls(user);
        g_source_destroy(user->source);
        g_source_unref(user->source);
    }
    user_forward_end(user);
    if (user->slirp) {
        slirp_cleanup(user->slirp);
    }
    if (user->polls) {
        g_array_free(user->polls, TRUE);
    }
    g_free(user->frame);
}

static NetResult user_send(NetDev *netdev, unsigned queue, const NetPacket *packet)
{
    UserNet *user = (UserNet *)netdev;

    (void)queue;
    user_frame_out(user, packet);
    g_main_context_wakeup(NULL);           /* the stack may wait for other sockets now, and for less long */
    return NET_DONE;
}

static char *user_describe(const NetDev *netdev)
{
    const UserNet *user = (const UserNet *)netdev;

    return g_strdup_printf("net=%s,restrict=%s", inet_ntoa(user->network), user->restricted ? "on" : "off");
}

static const Field user_keys[] = {
    PROP_ONOFFAUTO("ipv4", UserNet, ipv4, AUTO, .help = "the network has IPv4; default: yes, unless ipv6=on is said alone"),
    PROP_ONOFFAUTO("ipv6", UserNet, ipv6, AUTO, .help = "the network has IPv6; default: yes, unless ipv4=on is said alone"),
    PROP_STR("net", UserNet, net, .help = "the guest's network, ADDRESS/BITS or ADDRESS/MASK; default 10.0.2.0/24"),
    PROP_STR("host", UserNet, host, .help = "the gateway's address; default: the network's .2"),
    PROP_STR("dhcpstart", UserNet, dhcpstart, .help = "the first of 16 addresses that DHCP gives away; default: the network's .15"),
    PROP_STR("dns", UserNet, dns, .help = "the name server's address; default: the network's .3"),
    PROP_VALUE("dnssearch", UserNet, dnssearch, .help = "a domain of DHCP's search list; may be given again"),
    PROP_STR("domainname", UserNet, domainname, .help = "the domain that DHCP tells"),
    PROP_STR("hostname", UserNet, hostname, .help = "the guest's name that DHCP tells"),
    PROP_BOOL("restrict", UserNet, restricted, false, .help = "the guest reaches neither the host nor the world, but by forwards"),
    PROP_STR("tftp", UserNet, tftp, .help = "a folder that the gateway serves by TFTP"),
    PROP_STR("tftp-server-name", UserNet, tftp_server_name, .help = "the server that DHCP names for TFTP; default: the gateway"),
    PROP_STR("bootfile", UserNet, bootfile, .help = "the file to boot from that DHCP names"),
    PROP_VALUE("hostfwd", UserNet, hostfwd, .help = "[tcp|udp]:[HOSTADDRESS]:HOSTPORT-[GUESTADDRESS]:GUESTPORT; port 0 picks a free one; may be given again"),
    PROP_VALUE("guestfwd", UserNet, guestfwd, .help = "[tcp]:ADDRESS:PORT-CHARDEV or -cmd:COMMAND: where the guest's connections there lead; may be given again"),
    PROP_STR("ipv6-net", UserNet, ipv6_net, .help = "the guest's IPv6 network, PREFIX/BITS; default fec0::/64"),
    PROP_STR("ipv6-prefix", UserNet, ipv6_prefix, .help = "the same without the length"),
    PROP_I64("ipv6-prefixlen", UserNet, ipv6_prefixlen, 64, .help = "bits of it"),
    PROP_STR("ipv6-host", UserNet, ipv6_host, .help = "the gateway's IPv6 address; default: the network's ::2"),
    PROP_STR("ipv6-dns", UserNet, ipv6_dns, .help = "the name server's IPv6 address; default: the network's ::3"),
    PROP_STR("smb", UserNet, smb, .help = "refused: a folder shared by SMB"),
    PROP_STR("smbserver", UserNet, smbserver, .help = "refused, as smb"),
    FIELD_END };

const NetBackend net_user_backend = {
    .name = "user",  .help = "a little network with a gateway that makes the guest's connections for it; needs no rights",  .size = sizeof(UserNet),
    .keys = user_keys,  .open = user_open,  .close = user_close,  .send = user_send,  .describe = user_describe,
};
