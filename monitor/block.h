/* SPDX-License-Identifier: GPL-2.0-or-later */
/* block.h - inside monitor/: drives and nodes as QMP's arguments name them. Main loop, machine lock held. */
#pragma once
#include "block/blk.h"
#include "block/node.h"
#include "monitor/qmp.h"

/* The drive of "device" (a -drive's id) or "id" (a device's id or path): exactly one. who: what sentences call it. */
Blk *block_find_drive(const Value *args, const char **who, GError **err);
char *block_qdev(const Blk *blk);          /* its device as QEMU's clients know it: an id or a path; NULL: none. Caller frees */
Node *block_find_node(const char *name, GError **err);     /* with QEMU's sentence */
/* The node of "node-name", or of the drive "device" (which may be a node's name as well). */
Node *block_node_of(const Value *args, GError **err);
/* For QMP's type tables: what the drivers' own tables say. NULL: not such a name. */
const char *block_made_type(const char *name);
