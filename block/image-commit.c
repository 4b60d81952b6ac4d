/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image-commit.c - what an image holds above its base, written into the base
 *
 * Order     data first, then a flush of the base; only then may the caller drop what the images above hold. Cut off anywhere, the
 *           chain reads as before, since all that was written below is still hidden by the same bytes above
 * Threads   home loop, in coroutines
 * Tests     tests/block/img-*.py
 */
#include "block/node-core.h"
#include "base/error.h"
#include "base/timer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20 };

typedef struct Commit {
    Node *node, *base;
    uint64_t rate;                         /* bytes per second; 0: no limit */
    ImageProgress *progress;
    void *buffer;
    int64_t began;
    uint64_t copied;
} Commit;

static void pace(Commit *commit, uint64_t bytes)
{
    commit->copied += bytes;
    if (commit->rate) {
        int64_t due = commit->began + (int64_t)((double)commit->copied / (double)commit->rate * (double)NS_PER_SECOND);
        int64_t now = clock_now(CLOCK_STEADY);
        if (due > now) {
            co_sleep(MIN(due - now, NS_PER_SECOND));
        }
    }
}

static int copy_part(Commit *commit, uint64_t offset, uint64_t bytes, int status)
{
    int result;

    if (status & STATUS_ZERO) {
        return node_pwrite_zeroes(commit->base, offset, bytes, REQ_MAY_UNMAP);
    }
    result = node_pread(commit->node, offset, commit->buffer, bytes);
    return result < 0 ? result : node_pwrite(commit->base, offset, commit->buffer, bytes);
}

static int copy_all(Commit *commit)
{
    uint64_t length = node_length(commit->node), count = 0;

    for (uint64_t at = 0; at < length; at += count) {
        int status = node_block_status_above(commit->node, commit->base, at, MIN(length - at, INT32_MAX), &count, NULL, NULL, NULL);
        int result = status < 0 ? status : count == 0 ? -EIO : 0;

        if (result == 0 && (status & STATUS_ALLOCATED)) {
            count = status & STATUS_ZERO ? count : MIN(count, CHUNK);
            result = copy_part(commit, at, count, status);
            pace(commit, status & STATUS_ZERO ? 0 : count);
        }
        if (result < 0) {
            return result;
        }
        if (commit->progress && commit->progress->report) {
            commit->progress->report(commit->progress->opaque, at + count, length);
        }
    }
    return node_flush(commit->base);
}

/* The images above share what they read with this one writer: it changes nothing that they see. */
static Child *edge_into(Node *node, const Node *base)
{
    while (node && node_backing(node) != base) {
        node = node_backing(node);
    }
    return node ? node_child_edge(node, node->driver->kind == NODE_FILTER ? "file" : "backing") : NULL;
}

static int commit_into(Node *node, Node *base, uint64_t rate, ImageProgress *progress, GError **err)
{
    Commit commit = { node, base, rate, progress, node_memalign(node, CHUNK), clock_now(CLOCK_STEADY), 0 };
    int result = commit.buffer ? 0 : -ENOMEM;

    if (result == 0 && node_length(node) > node_length(base)) {
        result = node_truncate(base, node_length(node), false, PREALLOC_OFF, 0, err);
        if (result < 0) {
            free(commit.buffer);
            return result;
        }
    }
    result = result < 0 ? result : copy_all(&commit);
    free(commit.buffer);
    if (result < 0) {
        fail(err, -result, "'%s' could not be committed to '%s': %s", node_who(node), node_who(base), strerror(-result));
    }
    return result;
}

int image_commit(Node *node, Node *base, uint64_t rate, ImageProgress *progress, GError **err)
{
    g_autoptr(Value) writable = value_new_object(), back = value_new_object();

    base = base ? base : node_backing(node_skip_filters(node));
    Child *edge = base ? edge_into(node, base) : NULL;
    if (!edge) {
        fail(err, ENOTSUP, "'%s' has no backing file to commit to", node_who(node));
        return -ENOTSUP;
    }
    bool was_readonly = node_readonly(base);
    value_set(writable, "read-only", value_new_bool(false));
    value_set(back, "read-only", value_new_bool(true));
    if (was_readonly && !node_reopen(base, writable, err)) {
        return -EACCES;
    }
    edge->own_writer = true;
    node_edge_default_perms(edge);
    NodeUser *user = node_attach(base, "commit", PERM_CONSISTENT_READ | PERM_WRITE | PERM_RESIZE, PERM_CONSISTENT_READ | PERM_WRITE_UNCHANGED, err);
    int result = user ? commit_into(node, base, rate, progress, err) : -EBUSY;
    node_detach(user);
    edge->own_writer = false;
    node_edge_default_perms(edge);
    if (was_readonly) {
        node_reopen(base, back, NULL);
    }
    return result;
}
