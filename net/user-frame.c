/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user-frame.c - frames between the guest and the user-mode network's stack, which would like them larger than a wire's
 *
 * Models   Ethernet, IPv4 (RFC 791), IPv6 (RFC 8200), TCP's segment size option (RFC 9293, 3.7.1), ARP (RFC 826)
 * Threads  main loop or a vCPU thread, machine lock held
 * Tests    tests/fuzz/net-user.c, tests/guest/net.py
 *
 * The stack works segment by segment, and what a segment costs hardly depends on its size. So the guest's segments go in as the guest made them, up to
 * 64 KiB, and when a guest opens a connection the stack is told that it takes such segments, whatever it said; what it said is remembered, and what
 * then comes for it is a packet to be cut into segments of that size, by the card's driver or by the gate. Nobody else cuts UDP, so that is done here.
 */
#include "net/user.h"
#include "base/bytes.h"
#include "net/offload.h"
#include <string.h>

enum { ETHERTYPE = 12, ARP = 0x0806, IPV4 = 0x0800, IPV6 = 0x86dd, MTU = 1500 };
enum { IPV4_LEAST = 20, IPV6_HEADER = 40, TCP_LEAST = 20, PROTOCOL_TCP = 6, TCP_FLAGS = 13, TCP_SYN = 0x02, TCP_CHECKSUM = 16 };
enum { OPTION_END = 0, OPTION_NOTHING = 1, OPTION_MSS = 2, MSS_LEAST = 88, MSS_PRESET = 536, MSS_TOLD = 65000 };
enum { MORE_FRAGMENTS = 0x2000, FRAGMENT_OFFSET = 0x1fff };

/* Where TCP is in a frame; false: it is not TCP, or not all of its header is there. */
typedef struct TcpPlace {
    size_t ip, tcp, data;
    bool v4;
} TcpPlace;

static bool find_tcp(const uint8_t *frame, size_t bytes, TcpPlace *place)
{
    uint16_t type = bytes >= NET_HEADER + IPV4_LEAST ? load_be16(frame + ETHERTYPE) : 0;
    const uint8_t *ip = frame + NET_HEADER;

    place->ip = NET_HEADER;
    place->v4 = type == IPV4;
    if (type == IPV4 && ip[9] == PROTOCOL_TCP && !(load_be16(ip + 6) & (MORE_FRAGMENTS | FRAGMENT_OFFSET)) && (ip[0] & 15) >= 5) {
        place->tcp = NET_HEADER + (ip[0] & 15) * 4u;
    } else if (type == IPV6 && bytes >= NET_HEADER + IPV6_HEADER && ip[6] == PROTOCOL_TCP) {
        place->tcp = NET_HEADER + IPV6_HEADER;
    } else {
        return false;
    }
    if (place->tcp + TCP_LEAST > bytes) {
        return false;
    }
    place->data = place->tcp + (frame[place->tcp + 12] >> 4) * 4u;
    return place->data >= place->tcp + TCP_LEAST && place->data <= bytes;
}

/* The same for both directions: ours is the guest's end. */
static uint16_t *mss_of(UserNet *user, const uint8_t *frame, const TcpPlace *place, bool from_guest)
{
    unsigned guest_port = load_be16(frame + place->tcp + (from_guest ? 0 : 2)), other_port = load_be16(frame + place->tcp + (from_guest ? 2 : 0));
    uint32_t hash = (guest_port * 0x9e3779b1u) ^ (other_port * 0x85ebca6bu) ^ (place->v4 ? 0 : 0xc2b2ae35u);

    return &user->mss[(hash ^ hash >> 15) % USER_MSS_SLOTS];
}

/* Of two connections in one slot the smaller size counts, so that a guest never gets segments larger than it asked for. */
static void remember_mss(UserNet *user, const uint8_t *frame, const TcpPlace *place, uint16_t mss)
{
    uint16_t *slot = mss_of(user, frame, place, true);

    mss = MAX(mss, MSS_LEAST);
    *slot = *slot ? MIN(*slot, mss) : mss;
}

/* A SYN's option becomes a large one. False: it has none, and the preset counts. */
static bool raise_mss(UserNet *user, uint8_t *frame, const TcpPlace *place)
{
    for (size_t at = place->tcp + TCP_LEAST; at < place->data && frame[at] != OPTION_END;) {
        size_t length = frame[at] == OPTION_NOTHING ? 1 : at + 1 < place->data ? frame[at + 1] : 0;
        if (length == 0 || (frame[at] != OPTION_NOTHING && length < 2) || at + length > place->data) {
            return false;
        }
        if (frame[at] == OPTION_MSS && length == 4) {
            uint16_t mss = load_be16(frame + at + 2);
            remember_mss(user, frame, place, mss);
            /* The checksum moves along (RFC 1624): ~(~old_sum + ~old + new). An option on an odd address changes the bytes' places. */
            uint32_t sum = (uint16_t)~load_be16(frame + place->tcp + TCP_CHECKSUM);
            uint16_t told = MSS_TOLD;
            bool odd = (at + 2 - place->tcp) & 1;
            sum += (uint16_t)~(odd ? GUINT16_SWAP_LE_BE(mss) : mss);
            sum += odd ? GUINT16_SWAP_LE_BE(told) : told;
            sum = (sum & 0xffff) + (sum >> 16);
            sum = (sum & 0xffff) + (sum >> 16);
            store_be16(frame + place->tcp + TCP_CHECKSUM, (uint16_t)~sum);
            store_be16(frame + at + 2, told);
            return true;
        }
        at += length;
    }
    return false;
}

/* ---- from the guest ---- */

/* For domifaddr: the addresses that the guest gives itself. */
static void see_address(UserNet *user, bool v6, const uint8_t *address)
{
    size_t bytes = v6 ? 16 : 4;

    if ((v6 && (address[0] == 0xff || (load_be64(address) == 0 && load_be64(address + 8) == 0))) || (!v6 && load_be32(address) == 0)) {
        return;
    }
    for (unsigned i = 0; i < user->seen_count; i++) {
        if (user->seen[i].v6 == v6 && memcmp(user->seen[i].address, address, bytes) == 0) {
            return;
        }
    }
    if (user->seen_count == USER_ADDRESSES) {      /* the oldest goes: a guest that tries many has the last ones shown */
        memmove(&user->seen[0], &user->seen[1], sizeof user->seen - sizeof user->seen[0]);
        user->seen_count--;
    }
    user->seen[user->seen_count].v6 = v6;
    memcpy(user->seen[user->seen_count++].address, address, bytes);
}

static void look_for_address(UserNet *user, const uint8_t *frame, size_t bytes)
{
    uint16_t type = load_be16(frame + ETHERTYPE);

    if (type == ARP && bytes >= NET_HEADER + 28) {
        see_address(user, false, frame + NET_HEADER + 14);
    } else if (type == IPV6 && bytes >= NET_HEADER + IPV6_HEADER) {
        see_address(user, true, frame + NET_HEADER + 8);
    }
}

static void fill_checksum(uint8_t *frame, size_t bytes, const NetOffload *offload)
{
    struct iovec rest = { frame + offload->csum_start, bytes - offload->csum_start };
    uint16_t sum = net_checksum_fold(net_checksum_add(0, (Iov){ &rest, 1, 0, rest.iov_len }));

    store_be16(frame + offload->csum_start + offload->csum_offset, sum ? sum : 0xffff);
}

/* A packet of segments has the length of all, but the sum over the pseudo header that its first segment would have. */
static void make_whole(uint8_t *frame, size_t bytes, const TcpPlace *place)
{
    uint8_t *ip = frame + place->ip, pseudo[8] = { 0, 0, 0, 0, 0, 0, 0, PROTOCOL_TCP };

    store_be32(pseudo, (uint32_t)(bytes - place->tcp));
    store_be16(frame + place->tcp + TCP_CHECKSUM, 0);
    struct iovec pieces[3] = { { ip + (place->v4 ? 12 : 8), place->v4 ? 8 : 32 }, { pseudo, sizeof pseudo }, { frame + place->tcp, bytes - place->tcp } };
    store_be16(frame + place->tcp + TCP_CHECKSUM, net_checksum_fold(net_checksum_add(0, iov_all(pieces, 3))));
    if (place->v4) {
        struct iovec header = { ip, place->tcp - place->ip };
        store_be16(ip + 2, (uint16_t)(bytes - place->ip));
        store_be16(ip + 10, 0);
        store_be16(ip + 10, net_checksum_fold(net_checksum_add(0, iov_all(&header, 1))));
    } else {
        store_be16(ip + 4, (uint16_t)(bytes - place->ip - IPV6_HEADER));
    }
}

void user_frame_out(UserNet *user, const NetPacket *packet)
{
    uint8_t *frame = user->frame;
    size_t bytes = iov_gather(packet->iov, packet->count, 0, frame, NET_FRAME_MOST);
    TcpPlace place;
    bool tcp = find_tcp(frame, bytes, &place);

    if (bytes - NET_HEADER > UINT16_MAX) {
        return;                            /* no IP packet is that long */
    }
    if (packet->offload.gso_type != NET_GSO_NONE && tcp) {
        make_whole(frame, bytes, &place);
    } else if (packet->offload.flags & NET_NEEDS_CSUM) {
        fill_checksum(frame, bytes, &packet->offload);         /* the gate has seen that it lies inside */
    }
    if (tcp && (frame[place.tcp + TCP_FLAGS] & TCP_SYN) && !raise_mss(user, frame, &place)) {
        remember_mss(user, frame, &place, MSS_PRESET);
    }
    look_for_address(user, frame, bytes);
    slirp_input(user->slirp, frame, (int)bytes);
}

/* ---- to the guest ---- */

static void deliver_segments(UserNet *user, const uint8_t *frame, size_t bytes, const TcpPlace *place, uint16_t mss)
{
    uint8_t head[NET_HEADERS_MOST], pseudo[8] = { 0, 0, 0, 0, 0, 0, 0, PROTOCOL_TCP };
    struct iovec pieces[2] = { { head, place->data }, { (void *)(uintptr_t)(frame + place->data), bytes - place->data } };
    NetPacket packet = { .iov = pieces, .count = 2, .bytes = bytes };

    memcpy(head, frame, place->data);
    store_be32(pseudo, (uint32_t)(bytes - place->tcp));
    struct iovec sum[2] = { { head + place->ip + (place->v4 ? 12 : 8), place->v4 ? 8 : 32 }, { pseudo, sizeof pseudo } };
    store_be16(head + place->tcp + TCP_CHECKSUM, (uint16_t)~net_checksum_fold(net_checksum_add(0, iov_all(sum, 2))));
    packet.offload = (NetOffload){ .flags = NET_NEEDS_CSUM, .gso_type = place->v4 ? NET_GSO_TCPV4 : NET_GSO_TCPV6, .header_bytes = (uint16_t)place->data,
                                   .gso_size = mss, .csum_start = (uint16_t)place->tcp, .csum_offset = TCP_CHECKSUM };
    netdev_deliver(&user->netdev, 0, &packet);
}

/* An IPv4 packet that is no TCP, in fragments for a wire of 1500 bytes. */
static void deliver_fragments(UserNet *user, const uint8_t *frame, size_t bytes)
{
    const uint8_t *ip = frame + NET_HEADER;
    size_t header = (ip[0] & 15) * 4u, start = NET_HEADER + header, most = (MTU - header) & ~(size_t)7;
    uint16_t place = load_be16(ip + 6);
    uint8_t head[NET_HEADER + 60];

    if (header < IPV4_LEAST || start > bytes) {
        return;
    }
    for (size_t at = start; at < bytes; at += most) {
        size_t length = MIN(most, bytes - at);
        bool more = at + length < bytes || (place & MORE_FRAGMENTS);
        memcpy(head, frame, start);
        store_be16(head + NET_HEADER + 2, (uint16_t)(header + length));
        store_be16(head + NET_HEADER + 6, (uint16_t)(((place & FRAGMENT_OFFSET) + (at - start) / 8) | (more ? MORE_FRAGMENTS : 0)));
        store_be16(head + NET_HEADER + 10, 0);
        struct iovec pieces[2] = { { head, start }, { (void *)(uintptr_t)(frame + at), length } }, sum = { head + NET_HEADER, header };
        store_be16(head + NET_HEADER + 10, net_checksum_fold(net_checksum_add(0, iov_all(&sum, 1))));
        netdev_deliver(&user->netdev, 0, &(NetPacket){ .iov = pieces, .count = 2, .bytes = start + length });
    }
}

void user_frame_in(UserNet *user, const uint8_t *frame, size_t bytes)
{
    TcpPlace place;

    if (bytes < NET_HEADER) {
        return;
    }
    if (find_tcp(frame, bytes, &place)) {
        uint16_t mss = *mss_of(user, frame, &place, false);
        mss = mss ? mss : MSS_PRESET;
        if (bytes - place.data > mss && place.data <= NET_HEADERS_MOST) {
            deliver_segments(user, frame, bytes, &place, mss);
            return;
        }
    } else if (bytes > NET_HEADER + MTU && load_be16(frame + ETHERTYPE) == IPV4) {
        deliver_fragments(user, frame, bytes);
        return;
    }
    netdev_deliver_bytes(&user->netdev, 0, frame, bytes);
}
