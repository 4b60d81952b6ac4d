/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node-perms.c - who may do what to a node: rights of users and of nodes above, and the drivers that lock by them
 *
 * Each user and each edge takes rights and says which ones it leaves to others. A node's rights are the sum of what is taken, and
 * what all of them leave. By its role an edge passes them down. A change is computed for the whole tree below first (new_perms),
 * then every driver may refuse (a file is locked by somebody else), and only then it holds.
 *
 * Threads  main thread, machine lock held
 * Tests    tests/block/graph.c
 */
#include "block/node-core.h"
#include "base/error.h"
#include <errno.h>

static const struct { NodePerms perm; const char *what; } words[] = {
    { PERM_WRITE, "write" }, { PERM_RESIZE, "resize" }, { PERM_CONSISTENT_READ, "consistent read" },
    { PERM_WRITE_UNCHANGED, "write unchanged data" },
};

static const char *describe(NodePerms perms)
{
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (perms & words[i].perm) {
            return words[i].what;
        }
    }
    return "nothing";
}

/* ---- what an edge asks for ---- */

static void edge_perms(const Child *edge, NodePerms perms, NodePerms shared, NodePerms *out, NodePerms *out_shared)
{
    const Node *parent = edge->parent;
    bool writes = (parent->writable || parent->core->will_write) && !parent->core->how.no_io;

    if (parent->core->how.share) {
        *out = 0;
        *out_shared = PERM_ALL;
        return;
    }
    switch (edge->role) {
    case CHILD_FILTERED:
        *out = perms | parent->driver->child_perms;
        *out_shared = shared | (parent->driver->child_perms & PERM_WRITE_UNCHANGED);
        break;
    case CHILD_STORAGE:                    /* metadata is written even where the guest only reads */
        *out = PERM_CONSISTENT_READ | (writes ? PERM_WRITE | PERM_RESIZE : 0);
        *out_shared = (shared & PERM_CONSISTENT_READ) | PERM_CONSISTENT_READ | PERM_WRITE_UNCHANGED;
        break;
    case CHILD_BACKING:
        *out = perms & PERM_CONSISTENT_READ;
        *out_shared = PERM_CONSISTENT_READ | PERM_WRITE_UNCHANGED | (shared & PERM_WRITE || edge->own_writer ? PERM_WRITE | PERM_RESIZE : 0);
        break;
    }
}

void node_edge_default_perms(Child *edge)
{
    edge_perms(edge, edge->parent->core->perms, edge->parent->core->shared, &edge->perms, &edge->shared);
}

/* ---- one node ---- */

typedef struct Claim { NodePerms perms, shared; const char *name; bool is_node; } Claim;

static Claim claim_at(const Node *node, size_t i)
{
    const NodeCore *core = node->core;

    if (i < core->users->len) {
        const NodeUser *user = core->users->pdata[i];
        return (Claim){ user->perms, user->shared, user->who, false };
    }
    const Child *edge = core->parents->pdata[i - core->users->len];
    Claim claim = { edge->perms, edge->shared, edge->parent->name, true };
    if (edge->parent->core->changing) {
        edge_perms(edge, edge->parent->core->new_perms, edge->parent->core->new_shared, &claim.perms, &claim.shared);
    }
    return claim;
}

static bool conflict(const Node *node, const Claim *a, const Claim *b, GError **err)
{
    NodePerms both = a->perms & ~b->shared;

    return both ? fail(err, EBUSY, "%s wants to %s '%s', but %s%s%s does not allow that", a->name, describe(both), node_who(node),
                       b->is_node ? "node '" : "", b->name, b->is_node ? "'" : "") : true;
}

static bool sum_claims(Node *node, GError **err)
{
    NodeCore *core = node->core;
    size_t count = core->users->len + core->parents->len;

    core->new_perms = 0;
    core->new_shared = PERM_ALL;
    for (size_t i = 0; i < count; i++) {
        Claim a = claim_at(node, i);
        core->new_perms |= a.perms;
        core->new_shared &= a.shared;
        for (size_t k = 0; k < i; k++) {
            Claim b = claim_at(node, k);
            if (!conflict(node, &a, &b, err) || !conflict(node, &b, &a, err)) {
                return false;
            }
        }
    }
    if ((core->new_perms & (PERM_WRITE | PERM_RESIZE)) && core->opened && !node->writable && !core->will_write) {
        return fail(err, EACCES, "'%s' is read-only", node_who(node));
    }
    return true;
}

/* ---- the tree below ---- */

static void gather(Node *node, GPtrArray *out)
{
    g_ptr_array_remove(out, node);         /* again: behind all that stand above it */
    g_ptr_array_add(out, node);
    for (size_t i = 0; i < node->core->children->len; i++) {
        gather(((Child *)node->core->children->pdata[i])->node, out);
    }
}

static bool prepare_drivers(GPtrArray *nodes, size_t *prepared, GError **err)
{
    for (*prepared = 0; *prepared < nodes->len; ++*prepared) {
        Node *node = nodes->pdata[*prepared];
        NodeCore *core = node->core;

        if (core->opened && node->driver->perms_prepare
            && !node->driver->perms_prepare(node, core->new_perms, core->new_shared, err)) {
            return false;
        }
    }
    return true;
}

static void settle(GPtrArray *nodes, size_t prepared, bool commit)
{
    for (size_t i = 0; i < nodes->len; i++) {
        Node *node = nodes->pdata[i];
        NodeCore *core = node->core;
        void (*tell)(Node *) = commit ? node->driver->perms_commit : node->driver->perms_abort;

        if (core->opened && i < prepared && tell) {
            tell(node);
        }
        if (commit) {
            core->perms = core->new_perms;
            core->shared = core->new_shared;
        }
        core->changing = false;
    }
    for (size_t i = 0; commit && i < nodes->len; i++) {
        Node *node = nodes->pdata[i];
        for (size_t k = 0; k < node->core->children->len; k++) {
            node_edge_default_perms(node->core->children->pdata[k]);
        }
    }
}

bool node_update_perms(Node *node, GError **err)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    size_t prepared = 0;
    bool good = true;

    gather(node, nodes);
    for (size_t i = 0; good && i < nodes->len; i++) {
        Node *at = nodes->pdata[i];
        good = sum_claims(at, err);
        at->core->changing = good;
    }
    good = good && prepare_drivers(nodes, &prepared, err);
    settle(nodes, prepared, good);
    return good;
}

/* ---- users ---- */

/* A graph that lives on another thread stands still while its users change. */
static bool stop_far(Node *node)
{
    bool far = io_loop_current() != node->loop;

    if (far) {
        node_drain_begin(node);
    }
    return far;
}

static void go_on(Node *node, bool far)
{
    if (far) {
        node_drain_end(node);
    }
}

NodeUser *node_attach(Node *node, const char *who, NodePerms perms, NodePerms shared, GError **err)
{
    NodeUser *user = g_new0(NodeUser, 1);
    bool far = stop_far(node_ref(node));

    *user = (NodeUser){ .node = node, .who = g_strdup(who), .perms = perms, .shared = shared };
    g_ptr_array_add(node->core->users, user);
    node_drain_update(node);
    bool good = node_update_perms(node, err);
    if (!good) {
        g_ptr_array_remove(node->core->users, user);
    }
    go_on(node, far);
    if (!good) {
        node_unref(node);
    }
    return good ? user : NULL;
}

bool node_user_change(NodeUser *user, NodePerms perms, NodePerms shared, GError **err)
{
    NodePerms old = user->perms, old_shared = user->shared;
    bool far = stop_far(user->node);

    user->perms = perms;
    user->shared = shared;
    bool good = node_update_perms(user->node, err);
    if (!good) {
        user->perms = old;
        user->shared = old_shared;
    }
    go_on(user->node, far);
    return good;
}

void node_detach(NodeUser *user)
{
    if (!user) {
        return;
    }
    Node *node = user->node;
    bool far = stop_far(node);
    g_ptr_array_remove(node->core->users, user);
    node_update_perms(node, NULL);         /* less is never refused */
    go_on(node, far);
    node_unref(node);
}

Node *node_user_node(const NodeUser *user)
{
    return user->node;
}

void node_user_rename(NodeUser *user, const char *who)
{
    g_free(user->who);
    user->who = g_strdup(who);
}

void node_user_set_ops(NodeUser *user, const NodeUserOps *ops, void *opaque)
{
    user->ops = ops;
    user->opaque = opaque;
    if (user->quiesced && ops->quiesce) {
        ops->quiesce(opaque, true);        /* it came into a graph that stands still */
    }
}

void node_tell_resized(Node *node)
{
    NodeCore *core = node->core;

    for (size_t i = 0; i < core->users->len; i++) {
        NodeUser *user = core->users->pdata[i];
        if (user->ops && user->ops->resized) {
            user->ops->resized(user->opaque);
        }
    }
}
