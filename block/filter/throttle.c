/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle.c - "throttle": requests wait until the limits of their group let them pass
 *
 * Discards and zeroes count as writes of the bytes they name; flushes are free.
 *
 * Threads  home loop
 * Tests    tests/block/throttle.c
 */
#include "block/drivers.h"
#include "block/filter/throttle-group.h"
#include "base/error.h"
#include <errno.h>

typedef struct ThrottleNode {
    Node node;
    char *group;
    ThrottleMember *member;
} ThrottleNode;

static const Field throttle_options[] = {
    PROP_STR("throttle-group", ThrottleNode, group, .required = true, .help = "id of the throttle group whose limits hold"),
    FIELD_END };

static ThrottleMember *member(const Node *node)
{
    return ((const ThrottleNode *)node)->member;
}

static bool throttle_open(Node *node, const NodeOpen *how, GError **err)
{
    ThrottleNode *throttle = (ThrottleNode *)node;

    (void)how;
    node->zero_beyond = node->file->zero_beyond;
    throttle->member = throttle_member_new(throttle->group, node->loop, err);
    return throttle->member != NULL;
}

static void throttle_close(Node *node)
{
    throttle_member_free(member(node));
}

static int throttle_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    throttle_member_wait(member(node), false, to.bytes);
    return node_preadv(node->file, offset, to, flags);
}

static int throttle_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    throttle_member_wait(member(node), true, from.bytes);
    return node_pwritev(node->file, offset, from, flags);
}

static int throttle_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    throttle_member_wait(member(node), true, bytes);
    return node_pwrite_zeroes(node->file, offset, bytes, flags);
}

static int throttle_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    throttle_member_wait(member(node), true, bytes);
    return node_pdiscard(node->file, offset, bytes);
}

static void throttle_quiesce(Node *node, bool on)
{
    throttle_member_quiesce(member(node), on);
}

static void throttle_detach_loop(Node *node)
{
    throttle_member_detach_loop(member(node));
}

static void throttle_attach_loop(Node *node, IoLoop *loop)
{
    throttle_member_attach_loop(member(node), loop);
}

const NodeDriver throttle_driver = {
    .name = "throttle",  .help = "limits requests and bytes per second, together with the other drives of its group",
    .kind = NODE_FILTER,  .size = sizeof(ThrottleNode),  .options = throttle_options,  .file_child = true,  .file_role = CHILD_FILTERED,
    .open = throttle_open,  .close = throttle_close,  .preadv = throttle_preadv,  .pwritev = throttle_pwritev,
    .pwrite_zeroes = throttle_pwrite_zeroes,  .pdiscard = throttle_pdiscard,  .quiesce = throttle_quiesce,
    .detach_loop = throttle_detach_loop,  .attach_loop = throttle_attach_loop,
    .supported_write_flags = REQ_FUA | REQ_COMPRESSED,  .supported_zero_flags = REQ_FUA | REQ_MAY_UNMAP,
};
