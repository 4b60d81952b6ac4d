/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy-on-read.c - "copy-on-read": what is read through it and comes from a backing file is kept in the image
 *
 * The work is the gate's (request-align.c); this filter asks it for every read. Without the right to write, reads pass.
 *
 * Omits    bottom=, which limits how far down the chain copies are made
 * Threads  home loop
 * Tests    tests/block/gate.c
 */
#include "block/drivers.h"

static bool open_filter(Node *node, const NodeOpen *how, GError **err)
{
    (void)how;
    (void)err;
    node->zero_beyond = node->file->zero_beyond;
    return true;
}

static int read_and_keep(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    return node_preadv(node->file, offset, to, flags | (node->file->writable ? REQ_COPY_ON_READ : 0));
}

static int pass_write(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    return node_pwritev(node->file, offset, from, flags);
}

static int pass_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    return node_pwrite_zeroes(node->file, offset, bytes, flags);
}

static int pass_discard(Node *node, uint64_t offset, uint64_t bytes)
{
    return node_pdiscard(node->file, offset, bytes);
}

const NodeDriver copy_on_read_driver = {
    .name = "copy-on-read",  .help = "keeps in the image below what was read from its backing file",
    .kind = NODE_FILTER,  .size = sizeof(Node),  .file_child = true,  .file_role = CHILD_FILTERED,
    .child_perms = PERM_CONSISTENT_READ | PERM_WRITE_UNCHANGED,
    .open = open_filter,  .preadv = read_and_keep,  .pwritev = pass_write,  .pwrite_zeroes = pass_zeroes,  .pdiscard = pass_discard,
    .supported_write_flags = REQ_FUA | REQ_COMPRESSED,  .supported_zero_flags = REQ_FUA | REQ_MAY_UNMAP,
};
