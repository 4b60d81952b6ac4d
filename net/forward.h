/* SPDX-License-Identifier: GPL-2.0-or-later */
/* forward.h - what the monitor asks of a user network: its forwards and its connections. Machine lock held. */
#pragma once
#include "net/netdev.h"

/* rule as hostfwd= has it. report: a sentence that tells the port where the rule left it open, else NULL; the caller frees. */
bool net_forward_add(NetDev *netdev, const char *rule, char **report, GError **err);
/* "[tcp|udp]:[ADDRESS]:PORT"; found: there was such a forward. False: that is no rule, or no user network. */
bool net_forward_remove(NetDev *netdev, const char *rule, bool *found, GError **err);
char *net_user_connections(NetDev *netdev);        /* info usernet's lines; NULL: it is no user network. Caller frees */
/* The guest's addresses as the network has seen them: {"ipv6":bool,"address":"10.0.2.15"} each; NULL: it is no user network. */
Value *net_user_addresses(NetDev *netdev);
