/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * offload.c - finishing in software what one side of a link leaves to the other: checksums and segments
 *
 * Models   the offload header of Virtio 1.2, 5.1.6; TCP over IPv4 and IPv6 (RFC 791, 8200, 9293), the checksum of RFC 1071
 * Omits    UDP fragmentation (UFO), which no card here offers
 * Threads  any
 * Tests    tests/unit/netdev.c, tests/fuzz/virtio-net.c
 *
 * A packet is never copied: its headers are, into a buffer on the stack, and the rest of it follows as pieces of the caller's.
 */
#include "net/offload.h"
#include "base/bytes.h"
#include <string.h>

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd, ETHERTYPE_VLAN = 0x8100, ETHERTYPE_QINQ = 0x88a8 };
enum { IPV4_LEAST = 20, IPV6_HEADER = 40, TCP_LEAST = 20, TCP_FLAGS = 13, TCP_CHECKSUM = 16, TCP_SEQUENCE = 4, PROTOCOL_TCP = 6 };
enum { TCP_FIN = 0x01, TCP_PSH = 0x08, TCP_CWR = 0x80 };
enum { SEGMENTS_MOST = 65536 };

static Iov all_of(const NetPacket *packet)
{
    return (Iov){ packet->iov, packet->count, 0, packet->bytes };
}

/* ---- checksums ---- */

/* The sum of a run of bytes, as little-endian words: the byte order falls out when it is folded. Carries gather in the upper half. */
static uint64_t sum_bytes(const uint8_t *bytes, size_t length)
{
    uint64_t sum = 0;

    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t eight;
        memcpy(&eight, bytes, 8);
        sum += (eight & 0xffffffff) + (eight >> 32);
    }
    for (; length >= 2; bytes += 2, length -= 2) {
        sum += load_le16(bytes);
    }
    return sum + (length ? *bytes : 0);
}

static uint64_t fold_once(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

uint64_t net_checksum_add(uint64_t sum, Iov window)
{
    size_t done = 0, skip = window.skip;

    for (size_t i = 0; i < window.count && done < window.bytes; i++) {
        size_t length = window.iov[i].iov_len;
        if (skip >= length) {
            skip -= length;
            continue;
        }
        length = MIN(length - skip, window.bytes - done);
        uint64_t piece = sum_bytes((const uint8_t *)window.iov[i].iov_base + skip, length);
        if (done & 1) {                    /* it began on the odd byte of a word */
            piece = fold_once(piece);
            piece = (piece >> 8 | piece << 8) & 0xffff;
        }
        sum = fold_once(sum) + fold_once(piece);
        done += length;
        skip = 0;
    }
    return sum;
}

uint16_t net_checksum_fold(uint64_t sum)
{
    return GUINT16_SWAP_LE_BE((uint16_t)~fold_once(sum));
}

/* ---- what the header says ---- */

const char *net_offload_check(const NetPacket *packet)
{
    const NetOffload *offload = &packet->offload;
    uint8_t kind = offload->gso_type & (uint8_t)~NET_GSO_ECN;

    if (packet->bytes < NET_HEADER || packet->bytes > NET_FRAME_MOST) {
        return "a frame of that length is none";
    }
    if ((offload->flags & NET_NEEDS_CSUM) && (size_t)offload->csum_start + offload->csum_offset + 2 > packet->bytes) {
        return "the checksum lies outside of the frame";
    }
    if (kind == NET_GSO_NONE) {
        return offload->gso_type ? "a kind of segment that is none" : NULL;
    }
    if (kind != NET_GSO_TCPV4 && kind != NET_GSO_TCPV6) {
        return "a kind of segment that is not known";
    }
    if (offload->gso_size == 0 || !(offload->flags & NET_NEEDS_CSUM)) {
        return "segments without a size, or without a checksum to be made";
    }
    return NULL;
}

bool net_offload_fits(const NetOffload *offload, unsigned takes)
{
    unsigned kind = offload->gso_type & (uint8_t)~NET_GSO_ECN;
    unsigned needs = (offload->flags & NET_NEEDS_CSUM ? NET_TAKES_CSUM : 0u) | (offload->gso_type & NET_GSO_ECN ? NET_TAKES_ECN : 0u) |
                     (kind == NET_GSO_TCPV4 ? NET_TAKES_TSO4 : kind == NET_GSO_TCPV6 ? NET_TAKES_TSO6 : 0u);

    return (needs & ~takes) == 0;
}

/* ---- a packet with other headers ---- */

/* `head` bytes of ours, then `length` bytes of the packet from offset on. */
static NetResult send_parts(const NetPacket *packet, uint8_t *head, size_t head_bytes, size_t offset, size_t length, NetOffloadSend *send, void *opaque)
{
    struct iovec pieces[NET_PIECES_MOST];
    NetPacket out = { .iov = pieces, .bytes = head_bytes + length };

    if (packet->count >= NET_PIECES_MOST) {
        return NET_DONE;                   /* the gate has refused it before */
    }
    pieces[0] = (struct iovec){ head, head_bytes };
    out.count = 1 + (length ? iov_slice(packet->iov, packet->count, offset, length, pieces + 1) : 0);
    return send(opaque, &out);
}

static NetResult fill_checksum(const NetPacket *packet, NetOffloadSend *send, void *opaque)
{
    const NetOffload *offload = &packet->offload;
    size_t at = (size_t)offload->csum_start + offload->csum_offset, head_bytes = at + 2;
    uint8_t head[NET_HEADERS_MOST];

    if (head_bytes > sizeof head) {
        return NET_DONE;
    }
    iov_get(all_of(packet), 0, head, head_bytes);
    uint16_t sum = net_checksum_fold(net_checksum_add(0, iov_part(all_of(packet), offload->csum_start, packet->bytes)));
    store_be16(head + at, sum ? sum : 0xffff);     /* zero means "none" to UDP, and 0xffff is the same to TCP */
    return send_parts(packet, head, head_bytes, head_bytes, packet->bytes - head_bytes, send, opaque);
}

/* ---- segments ---- */

typedef struct Headers {
    uint8_t bytes[NET_HEADERS_MOST];
    size_t ip, tcp, length;                /* where each begins, and where the payload does */
    bool v4;
} Headers;

/* Finds IP and TCP; false for what is not TCP over IP with all its headers here. */
static bool read_headers(const NetPacket *packet, Headers *headers)
{
    size_t have = iov_get(all_of(packet), 0, headers->bytes, sizeof headers->bytes), ip = NET_HEADER;
    uint16_t type = load_be16(headers->bytes + 12);

    for (unsigned tags = 0; tags < 2 && (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ); tags++, ip += 4) {
        if (ip + 4 > have) {
            return false;
        }
        type = load_be16(headers->bytes + ip + 2);
    }
    headers->ip = ip;
    headers->tcp = packet->offload.csum_start;     /* after IPv6's extension headers, if any */
    headers->v4 = type == ETHERTYPE_IPV4;
    if ((!headers->v4 && type != ETHERTYPE_IPV6) || headers->tcp < ip + (headers->v4 ? IPV4_LEAST : IPV6_HEADER) || headers->tcp + TCP_LEAST > have ||
        packet->offload.csum_offset != TCP_CHECKSUM) {
        return false;
    }
    if (headers->v4 && (headers->bytes[ip + 9] != PROTOCOL_TCP || ip + (headers->bytes[ip] & 15) * 4u != headers->tcp)) {
        return false;
    }
    headers->length = headers->tcp + (headers->bytes[headers->tcp + 12] >> 4) * 4u;
    return headers->length >= headers->tcp + TCP_LEAST && headers->length <= have;
}

static uint64_t pseudo_header(const Headers *headers, size_t tcp_bytes)
{
    const uint8_t *ip = headers->bytes + headers->ip;
    uint8_t tail[8] = { 0, 0, 0, 0, 0, 0, 0, PROTOCOL_TCP };

    store_be32(tail, (uint32_t)tcp_bytes);
    return (headers->v4 ? sum_bytes(ip + 12, 8) : sum_bytes(ip + 8, 32)) + sum_bytes(tail, sizeof tail);
}

/* The headers of segment number nr, whose payload is `length` bytes that lie `offset` into the whole. */
static void segment_headers(Headers *headers, const Headers *whole, const NetPacket *packet, unsigned nr, size_t offset, size_t length, bool last)
{
    uint8_t *ip = headers->bytes + headers->ip, *tcp = headers->bytes + headers->tcp;
    size_t header_bytes = headers->length - headers->tcp;

    memcpy(headers->bytes, whole->bytes, whole->length);
    if (headers->v4) {
        store_be16(ip + 2, (uint16_t)(headers->length - headers->ip + length));
        store_be16(ip + 4, (uint16_t)(load_be16(ip + 4) + nr));
        store_be16(ip + 10, 0);
        store_be16(ip + 10, net_checksum_fold(sum_bytes(ip, headers->tcp - headers->ip)));
    } else {
        store_be16(ip + 4, (uint16_t)(headers->length - headers->ip - IPV6_HEADER + length));
    }
    store_be32(tcp + TCP_SEQUENCE, load_be32(tcp + TCP_SEQUENCE) + (uint32_t)offset);
    tcp[TCP_FLAGS] &= (uint8_t)~((last ? 0 : TCP_FIN | TCP_PSH) | (nr ? TCP_CWR : 0));
    store_be16(tcp + TCP_CHECKSUM, 0);
    uint64_t sum = pseudo_header(headers, header_bytes + length) + sum_bytes(tcp, header_bytes);
    store_be16(tcp + TCP_CHECKSUM, net_checksum_fold(net_checksum_add(sum, iov_part(all_of(packet), headers->length + offset, length))));
}

static NetResult cut_segments(const NetPacket *packet, unsigned *at, NetOffloadSend *send, void *opaque)
{
    Headers whole, headers;

    if (!read_headers(packet, &whole)) {
        return NET_DONE;
    }
    size_t payload = packet->bytes - whole.length, size = packet->offload.gso_size;
    headers = whole;
    for (unsigned nr = *at; nr < SEGMENTS_MOST && ((size_t)nr * size < payload || nr == 0); nr++) {
        size_t offset = (size_t)nr * size, length = MIN(size, payload - offset);
        segment_headers(&headers, &whole, packet, nr, offset, length, offset + length == payload);
        if (send_parts(packet, headers.bytes, headers.length, headers.length + offset, length, send, opaque) == NET_WAIT) {
            *at = nr;
            return NET_WAIT;
        }
    }
    return NET_DONE;
}

NetResult net_offload_finish(const NetPacket *packet, unsigned takes, unsigned *at, NetOffloadSend *send, void *opaque)
{
    NetResult result;

    if (net_offload_fits(&packet->offload, takes)) {
        result = send(opaque, packet);
    } else if (packet->offload.gso_type != NET_GSO_NONE) {
        result = cut_segments(packet, at, send, opaque);
    } else {
        result = fill_checksum(packet, send, opaque);
    }
    if (result == NET_DONE) {
        *at = 0;
    }
    return result;
}
