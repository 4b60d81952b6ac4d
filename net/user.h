/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user.h - inside net/: the user-mode network, shared by its stack (user.c), its packets (user-frame.c) and its forwards (user-forward.c)
 */
#pragma once
#include "net/backend.h"
#include <netinet/in.h>
#include <slirp/libslirp.h>

enum { OFF, ON, AUTO };
enum { USER_MSS_SLOTS = 4096, USER_ADDRESSES = 8 };

typedef struct UserNet {
    NetDev netdev;
    /* as written; each may be NULL */
    int ipv4, ipv6;                        /* OFF, ON, AUTO */
    bool restricted;
    char *net, *host, *dhcpstart, *dns, *hostname, *domainname, *tftp, *tftp_server_name, *bootfile, *smb, *smbserver;
    char *ipv6_net, *ipv6_prefix, *ipv6_host, *ipv6_dns;
    int64_t ipv6_prefixlen;
    Value *dnssearch, *hostfwd, *guestfwd;
    /* as read */
    bool with_ipv4, with_ipv6;
    struct in_addr network, mask, gateway, first, nameserver;
    struct in6_addr prefix6, gateway6, nameserver6;
    Slirp *slirp;
    GSource *source;
    GArray *polls;                         /* GPollFD, in the order in which the stack asked */
    GPtrArray *chardevs;                   /* of guestfwd: Outward */
    uint16_t mss[USER_MSS_SLOTS];          /* the least segment size that a guest offered, by a hash of the connection; 0: none */
    uint8_t *frame;                        /* a packet on its way to the stack, in one piece */
    struct { bool v6; uint8_t address[16]; } seen[USER_ADDRESSES];     /* of the guest, as it uses them */
    unsigned seen_count;
} UserNet;

/* The texts of a key that may be given again: one, a list, or QMP's list. They are the value's. */
GPtrArray *user_texts(const Value *given);

/* user-frame.c */
void user_frame_out(UserNet *user, const NetPacket *packet);   /* from the guest to the stack */
void user_frame_in(UserNet *user, const uint8_t *frame, size_t bytes);

/* user-forward.c */
bool user_forward_begin(UserNet *user, GError **err);      /* hostfwd= and guestfwd= */
void user_forward_turn(UserNet *user);     /* the stack may take more of the streams now */
void user_forward_end(UserNet *user);
