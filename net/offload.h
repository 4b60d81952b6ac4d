/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * offload.h - finishing in software what one side of a link leaves to the other: checksums and segments
 *
 * Pure: no state, no locks. Packets come from guests and peers, so every length is checked here.
 */
#pragma once
#include "base/iov.h"
#include "net/netdev.h"

enum { NET_HEADERS_MOST = 256, NET_PIECES_MOST = 1100 };

/* The header fits its packet: offsets inside, sizes not zero, a kind that we know. NULL, or what is wrong. */
const char *net_offload_check(const NetPacket *packet);

/* The Internet checksum (RFC 1071) over a part of the packet, added to `sum`; fold with net_checksum_fold(). Reads past the end as nothing. */
uint64_t net_checksum_add(uint64_t sum, Iov window);
uint16_t net_checksum_fold(uint64_t sum);          /* complemented, host order */

typedef NetResult NetOffloadSend(void *opaque, const NetPacket *packet);
/* Sends the packet on as one or more that a side which takes only `takes` (NET_TAKES_*) can use. *at counts segments that have gone already: a call
 * that ended in NET_WAIT is repeated with the same packet and the same counter; NET_DONE sets it to 0. A packet that cannot be finished is dropped. */
NetResult net_offload_finish(const NetPacket *packet, unsigned takes, unsigned *at, NetOffloadSend *send, void *opaque);
/* The packet needs nothing done to it for such a side. */
bool net_offload_fits(const NetOffload *offload, unsigned takes);
