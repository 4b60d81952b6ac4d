/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node.c - nodes as things: names, references, edges, users, and what can be read off them
 *
 * Threads  main thread, machine lock held; getters of a node's size also on its home loop
 * Tests    tests/block/graph.c
 */
#include "block/node-core.h"
#include "block/blk.h"
#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static Node *first_node, *last_node;
static unsigned name_counter;

/* ---- names ---- */

static bool well_formed(const char *name)
{
    if (!g_ascii_isalpha(*name)) {
        return false;
    }
    while (*name && (g_ascii_isalnum(*name) || strchr("-._", *name))) {
        name++;
    }
    return !*name;
}

bool node_name_is_free(const char *name, GError **err)
{
    enum { NAME_MOST = 31 };

    if (!well_formed(name) || strlen(name) > NAME_MOST) {
        return fail(err, EINVAL, "node-name=%s: a name is a letter and then up to %d letters, digits, '-', '.' or '_'", name, NAME_MOST - 1);
    }
    if (node_find(name)) {
        return fail(err, EEXIST, "node-name=%s: there is a node of that name already", name);
    }
    if (blk_find(name)) {
        return fail(err, EEXIST, "node-name=%s: there is a drive of that id already", name);
    }
    return true;
}

static char *invent_name(void)
{
    for (;;) {
        g_autofree char *name = g_strdup_printf("#block%03u", name_counter++);
        if (!node_find(name)) {
            return g_steal_pointer(&name);
        }
    }
}

Node *node_find(const char *name)
{
    for (Node *node = first_node; name && node; node = node->core->next) {
        if (strcmp(node->name, name) == 0) {
            return node;
        }
    }
    return NULL;
}

Node *node_next(const Node *node)
{
    return node ? node->core->next : first_node;
}

const char *node_who(const Node *node)
{
    return node->core->real_path ? node->core->real_path : node->name;
}

/* ---- making and unmaking ---- */

static void user_free(gpointer user)
{
    g_free(((NodeUser *)user)->who);
    g_free(user);
}

Node *node_new(const NodeDriver *driver, const char *name, IoLoop *loop, GError **err)
{
    if (name && !node_name_is_free(name, err)) {
        return NULL;
    }
    Node *node = g_malloc0(driver->size);
    NodeCore *core = g_new0(NodeCore, 1);

    node->core = core;
    node->driver = driver;
    node->name = name ? g_strdup(name) : invent_name();
    node->loop = loop;
    node->limits = (NodeLimits){ .request_alignment = 1, .memory_alignment = 1 };
    core->refs = 1;
    core->users = g_ptr_array_new_with_free_func(user_free);
    core->parents = g_ptr_array_new();
    core->children = g_ptr_array_new();
    core->shared = PERM_ALL;
    if (driver->options) {
        fields_init(driver->options, node);
    }
    core->previous = last_node;
    *(last_node ? &last_node->core->next : &first_node) = node;
    last_node = node;
    return node;
}

static void unlink_node(NodeCore *core)
{
    *(core->previous ? &core->previous->core->next : &first_node) = core->next;
    *(core->next ? &core->next->core->previous : &last_node) = core->previous;
}

static int close_node(void *opaque)
{
    Node *node = opaque;

    if (node->core->opened) {
        if (node->writable) {
            int result = node_flush(node);
            if (result < 0) {
                report_error("'%s': what was written last may not be on the disk: %s", node_who(node), strerror(-result));
            }
        }
        if (node->driver->close) {
            node->driver->close(node);
        }
        node->core->opened = false;
    }
    return 0;
}

static void node_free(Node *node)
{
    NodeCore *core = node->core;

    node_run_on(node->loop, close_node, node);
    while (core->children->len) {
        node_remove_edge(core->children->pdata[core->children->len - 1]);
    }
    unlink_node(core);
    if (node->driver->options) {
        fields_clear(node->driver->options, node);
    }
    g_ptr_array_free(core->users, TRUE);
    g_ptr_array_free(core->parents, TRUE);
    g_ptr_array_free(core->children, TRUE);
    value_unref(core->options);
    g_free(core->real_path);
    g_free(core);
    g_free(node->backing_name);
    g_free(node->backing_format);
    g_free(node->name);
    g_free(node);
}

Node *node_ref(Node *node)
{
    node->core->refs++;
    return node;
}

void node_unref(Node *node)
{
    if (node && --node->core->refs == 0) {
        node->core->refs = 1;              /* closing it runs requests, which may come back here */
        node_drain_begin(node);
        node->core->drains--;
        node_free(node);
    }
}

/* ---- edges ---- */

Child *node_child_edge(const Node *node, const char *name)
{
    for (size_t i = 0; i < node->core->children->len; i++) {
        Child *edge = node->core->children->pdata[i];
        if (strcmp(edge->name, name) == 0) {
            return edge;
        }
    }
    return NULL;
}

static bool reaches(const Node *from, const Node *to)
{
    for (size_t i = 0; i < from->core->children->len; i++) {
        const Child *edge = from->core->children->pdata[i];
        if (edge->node == to || reaches(edge->node, to)) {
            return true;
        }
    }
    return from == to;
}

static void set_short_cut(Node *parent, const char *name, Node *child)
{
    if (strcmp(name, "file") == 0) {
        parent->file = child;
    } else if (strcmp(name, "backing") == 0) {
        parent->backing = child;
    }
}

bool node_add_edge(Node *parent, Node *child, const char *name, ChildRole role, GError **err)
{
    if (reaches(child, parent)) {
        return fail(err, ELOOP, "node '%s' cannot be below node '%s': it stands above it already", child->name, parent->name);
    }
    if (child->loop != parent->loop && !node_set_loop(child, parent->loop, err)) {
        return false;
    }
    Child *edge = g_new0(Child, 1);
    *edge = (Child){ .parent = parent, .node = node_ref(child), .name = g_intern_string(name), .role = role, .shared = PERM_ALL };
    g_ptr_array_add(parent->core->children, edge);
    g_ptr_array_add(child->core->parents, edge);
    set_short_cut(parent, name, child);
    node_edge_default_perms(edge);
    if (!node_update_perms(child, err)) {
        edge->perms = 0;
        edge->shared = PERM_ALL;
        node_remove_edge(edge);
        return false;
    }
    node_drain_update(child);
    return true;
}

void node_remove_edge(Child *edge)
{
    Node *parent = edge->parent, *child = edge->node;

    g_ptr_array_remove(parent->core->children, edge);
    g_ptr_array_remove(child->core->parents, edge);
    set_short_cut(parent, edge->name, NULL);
    g_free(edge);
    node_update_perms(child, NULL);        /* less is never refused */
    node_drain_update(parent);
    node_drain_update(child);
    node_unref(child);
}

void node_close_child(Node *parent, const char *name)
{
    Child *edge = node_child_edge(parent, name);

    if (edge) {
        node_remove_edge(edge);
    }
}

/* ---- what can be read off a node ---- */

const char *node_name(const Node *node)
{
    return node->name;
}

const char *node_driver_name(const Node *node)
{
    return node->driver->name;
}

static char *json_filename(const Node *node)
{
    g_autofree char *json = json_print(node->core->options, false);

    return g_strconcat("json:", json, NULL);
}

/* What names the bytes: the driver, the file below, or all options. Interned, since it is asked for its sight more than once. */
const char *node_filename(const Node *node)
{
    if (node->driver->filename) {
        g_autofree char *name = node->driver->filename(node);
        if (name) {
            return g_intern_string(name);
        }
    } else if (node->file && (node->driver->kind != NODE_PROTOCOL)) {
        return node_filename(node->file);
    }
    g_autofree char *json = json_filename(node);
    return g_intern_string(json);
}

const Value *node_options(const Node *node)
{
    return node->core->options;
}

IoLoop *node_loop(const Node *node)
{
    return node->loop;
}

bool node_readonly(const Node *node)
{
    return !node->writable;
}

bool node_encrypted(const Node *node)
{
    return node->encrypted;
}

CacheFlags node_cache(const Node *node)
{
    return node->cache;
}

Node *node_child(const Node *node, const char *role)
{
    Child *edge = node_child_edge(node, role);

    return edge ? edge->node : NULL;
}

Node *node_backing(const Node *node)
{
    if (node->driver->kind == NODE_FILTER) {
        return node->file;
    }
    return node->backing;
}

Node *node_skip_filters(Node *node)
{
    while (node && node->driver->kind == NODE_FILTER && node->file) {
        node = node->file;
    }
    return node;
}

const char *node_backing_name(const Node *node)
{
    return node->backing_name;
}

const char *node_backing_format(const Node *node)
{
    return node->backing_format;
}

const NodeLimits *node_limits(const Node *node)
{
    return &node->limits;
}

uint64_t node_length(const Node *node)
{
    return __atomic_load_n(&node->length, __ATOMIC_RELAXED);
}

void *node_memalign(const Node *node, size_t bytes)
{
    void *memory = NULL;
    size_t alignment = MAX(node->limits.memory_alignment, 64);

    return posix_memalign(&memory, alignment, MAX(bytes, 1)) == 0 ? memory : NULL;
}

/* ---- the monitor's nodes ---- */

bool node_del(const char *name, GError **err)
{
    Node *node = node_find(name);

    if (!node) {
        return fail(err, ENOENT, "there is no node '%s'", name);
    }
    NodeCore *core = node->core;
    if (core->users->len) {
        return fail(err, EBUSY, "node '%s' is in use by %s", name, ((NodeUser *)core->users->pdata[0])->who);
    }
    if (core->parents->len) {
        Child *edge = core->parents->pdata[0];
        return fail(err, EBUSY, "node '%s' is in use as %s of node '%s'", name, edge->name, edge->parent->name);
    }
    if (!core->monitor) {
        return fail(err, EPERM, "node '%s' was not made by -blockdev or blockdev-add", name);
    }
    core->monitor = false;
    node_unref(node);
    return true;
}

void node_close_all(void)
{
    Node *node = first_node;

    while (node) {
        if (node->core->monitor) {
            node->core->monitor = false;
            node_unref(node);
            node = first_node;             /* its children went too, perhaps */
        } else {
            node = node->core->next;
        }
    }
}
