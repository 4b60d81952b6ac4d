/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node-life.c - a graph while it is in use: draining, moving to another loop, reopening, changing edges, and images found corrupt
 *
 * Draining stops the users (drives, jobs) of everything that is reached from a node, and waits until no request is left there. The
 * requests of whoever drains pass, so that an image can be flushed and reopened meanwhile. Whether a graph is drained is derived:
 * it is while any of its nodes is, and it is looked at again whenever an edge comes or goes.
 *
 * Threads  main thread, machine lock held, except node_idle(). `mutex` guards the list of those who wait
 * Tests    tests/block/gate.c, tests/block/graph.c
 */
#include "block/node-core.h"
#include "block/blk.h"
#include "base/error.h"
#include "base/event.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/loop.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

typedef struct DrainWait DrainWait;
struct DrainWait {
    GPtrArray *nodes;
    IoLoop *loop;
    Coroutine *coroutine;                  /* NULL: a thread waits */
    bool done;
    DrainWait *next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static DrainWait *waits;
unsigned node_drains;                      /* atomic: the length of `waits` */

void node_run_on(IoLoop *loop, int (*call)(void *opaque), void *opaque)
{
    if (coroutine_self() && io_loop_current() == loop) {
        call(opaque);
    } else {
        io_loop_run(loop, call, opaque);
    }
}

/* ---- what hangs together ---- */

static void reach(Node *node, GPtrArray *out)
{
    if (g_ptr_array_find(out, node, NULL)) {
        return;
    }
    g_ptr_array_add(out, node);
    for (size_t i = 0; i < node->core->parents->len; i++) {
        reach(((Child *)node->core->parents->pdata[i])->parent, out);
    }
    for (size_t i = 0; i < node->core->children->len; i++) {
        reach(((Child *)node->core->children->pdata[i])->node, out);
    }
}

GPtrArray *node_component(Node *node)
{
    GPtrArray *nodes = g_ptr_array_new();

    reach(node, nodes);
    return nodes;
}

static void each_user(GPtrArray *nodes, void (*call)(NodeUser *user, const void *argument), const void *argument)
{
    for (size_t i = 0; i < nodes->len; i++) {
        Node *node = nodes->pdata[i];
        for (size_t k = 0; k < node->core->users->len; k++) {
            call(node->core->users->pdata[k], argument);
        }
    }
}

/* ---- drain ---- */

static void quiesce_user(NodeUser *user, const void *on)
{
    if (user->quiesced != *(const bool *)on) {
        user->quiesced = *(const bool *)on;
        if (user->ops && user->ops->quiesce) {
            user->ops->quiesce(user->opaque, user->quiesced);
        }
    }
}

static void quiesce_driver(Node *node, bool on)
{
    if (node->core->opened && node->driver->quiesce && node->core->quiesced != on) {
        node->driver->quiesce(node, on);
    }
    node->core->quiesced = on;
}

void node_drain_update(Node *node)
{
    g_autoptr(GPtrArray) nodes = node_component(node);
    bool drained = false;

    for (size_t i = 0; i < nodes->len; i++) {
        drained |= ((Node *)nodes->pdata[i])->core->drains > 0;
    }
    each_user(nodes, quiesce_user, &drained);
    for (size_t i = 0; i < nodes->len; i++) {
        quiesce_driver(nodes->pdata[i], drained);
    }
}

static bool is_idle(GPtrArray *nodes)
{
    for (size_t i = 0; i < nodes->len; i++) {
        Node *node = nodes->pdata[i];
        if (node->core->in_flight) {
            return false;
        }
        for (size_t k = 0; k < node->core->users->len; k++) {
            NodeUser *user = node->core->users->pdata[k];
            if (user->ops && user->ops->busy && user->ops->busy(user->opaque)) {
                return false;
            }
        }
    }
    return true;
}

/* The waiter's struct may be gone as soon as it is told. */
static void tell(DrainWait *wait)
{
    Coroutine *coroutine = wait->coroutine;
    IoLoop *loop = wait->loop;

    __atomic_store_n(&wait->done, true, __ATOMIC_RELEASE);
    if (coroutine) {
        io_loop_wake(loop, coroutine);
    } else {
        io_loop_kick_waiters(loop);
    }
}

void node_idle(IoLoop *loop)
{
    LOCK_SCOPE(&mutex);
    for (DrainWait *wait = waits, *next; wait; wait = next) {
        next = wait->next;
        if (wait->loop == loop && !wait->done && is_idle(wait->nodes)) {
            tell(wait);
        }
    }
}

static void look_again(void *loop)
{
    node_idle(loop);
}

static void add_wait(DrainWait *wait)
{
    LOCK_SCOPE(&mutex);
    wait->next = waits;
    waits = wait;
    __atomic_fetch_add(&node_drains, 1, __ATOMIC_SEQ_CST);
}

static void remove_wait(DrainWait *wait)
{
    LOCK_SCOPE(&mutex);
    for (DrainWait **at = &waits; *at; at = &(*at)->next) {
        if (*at == wait) {
            *at = wait->next;
            break;
        }
    }
    __atomic_fetch_sub(&node_drains, 1, __ATOMIC_SEQ_CST);
}

static void wait_idle(Node *node)
{
    g_autoptr(GPtrArray) nodes = node_component(node);
    bool here = io_loop_current() == node->loop;
    DrainWait wait = { .nodes = nodes, .loop = node->loop, .coroutine = here ? coroutine_self() : NULL };

    if (here && is_idle(nodes)) {
        return;
    }
    add_wait(&wait);
    io_loop_post(node->loop, look_again, node->loop);      /* on the thread that the counts belong to */
    if (wait.coroutine) {
        while (!wait.done) {
            coroutine_yield();
        }
    } else {
        io_loop_wait(node->loop, &wait.done);
    }
    remove_wait(&wait);
}

void node_drain_begin(Node *node)
{
    node->core->drains++;
    node_drain_update(node);
    wait_idle(node);
}

void node_drain_end(Node *node)
{
    node->core->drains--;
    node_drain_update(node);
}

/* ---- another loop ---- */

typedef struct Move { GPtrArray *nodes; IoLoop *loop; bool attach; } Move;

static int move_nodes(void *opaque)
{
    Move *move = opaque;

    for (size_t i = 0; i < move->nodes->len; i++) {
        Node *node = move->nodes->pdata[i];
        if (move->attach && node->core->opened && node->driver->attach_loop) {
            node->driver->attach_loop(node, move->loop);
        } else if (!move->attach && node->core->opened && node->driver->detach_loop) {
            node->driver->detach_loop(node);
        }
    }
    return 0;
}

static bool users_agree(GPtrArray *nodes, IoLoop *loop, GError **err)
{
    for (size_t i = 0; i < nodes->len; i++) {
        Node *node = nodes->pdata[i];
        for (size_t k = 0; k < node->core->users->len; k++) {
            NodeUser *user = node->core->users->pdata[k];
            if (user->ops && user->ops->may_move && !user->ops->may_move(user->opaque, loop, err)) {
                return false;
            }
        }
    }
    return true;
}

static void tell_moved(NodeUser *user, const void *loop)
{
    if (user->ops && user->ops->moved) {
        user->ops->moved(user->opaque, (IoLoop *)loop);
    }
}

bool node_set_loop(Node *node, IoLoop *loop, GError **err)
{
    g_autoptr(GPtrArray) nodes = node_component(node);
    Move move = { nodes, loop, false };

    if (node->loop == loop) {
        return true;
    }
    if (!users_agree(nodes, loop, err)) {
        return false;
    }
    node_drain_begin(node);
    node_run_on(node->loop, move_nodes, &move);
    for (size_t i = 0; i < nodes->len; i++) {
        ((Node *)nodes->pdata[i])->loop = loop;
    }
    each_user(nodes, tell_moved, loop);
    move.attach = true;
    node_run_on(loop, move_nodes, &move);
    node_drain_end(node);
    return true;
}

/* ---- reopen ---- */

/* A child that was opened for this node alone follows it. */
static bool follows(const Child *edge)
{
    const NodeCore *core = edge->node->core;

    return edge->role != CHILD_BACKING && core->parents->len == 1 && core->users->len == 0 && !core->monitor;
}

static bool reopen_tree(Node *node, const Value *own, bool writable, CacheFlags cache, GError **err);

static bool reopen_children(Node *node, const Value *own, bool was, bool writable, CacheFlags cache, GError **err)
{
    for (size_t i = 0; i < node->core->children->len; i++) {
        const Child *edge = node->core->children->pdata[i];
        const Value *theirs = value_get(own, edge->name);
        bool becomes = was == writable ? edge->node->writable : writable;

        if (follows(edge) && !reopen_tree(edge->node, value_kind(theirs) == VALUE_OBJECT ? theirs : NULL, becomes, cache, err)) {
            return false;
        }
        if (edge->role != CHILD_BACKING && writable && !edge->node->writable) {
            return fail(err, EACCES, "'%s' is read-only", node_who(edge->node));
        }
    }
    return true;
}

/* The rights on its children are had before a driver writes, and given back after it has written for the last time. */
static bool reopen_driver(Node *node, const Value *own, bool writable, GError **err)
{
    bool was = node->writable, good;

    node->core->will_write = writable;
    good = node_update_perms(node, err) && (!node->driver->reopen || node->driver->reopen(node, own, writable, err));
    if (good) {
        node->writable = node->core->how.writable = writable;
    }
    node->core->will_write = false;
    if (!good || !node_update_perms(node, err)) {
        node->writable = node->core->how.writable = was;
        node_update_perms(node, NULL);
        return false;
    }
    if (node->file && (node->driver->kind == NODE_FILTER || node->driver->file_role == CHILD_FILTERED)) {
        node->limits = node->file->limits;
    }
    return true;
}

static bool reopen_tree(Node *node, const Value *options, bool writable, CacheFlags cache, GError **err)
{
    g_autoptr(Value) own = options ? value_copy(options) : value_new_object();
    CacheFlags old = node->cache;
    bool was = node->writable, down = was && !writable, good;

    for (size_t i = 0; i < node->core->children->len; i++) {
        value_remove(own, ((Child *)node->core->children->pdata[i])->name);
    }
    if (value_length(own) && !node->driver->reopen) {
        return fail(err, ENOTSUP, "'%s': '%s' of a %s node cannot be changed while it is open", node_who(node), value_key_at(own, 0),
                    node->driver->name);
    }
    if (down) {
        node_flush(node);
    }
    node->cache = (old & CACHE_WRITETHROUGH) | (cache & (CACHE_DIRECT | CACHE_NO_FLUSH));
    good = (down || reopen_children(node, options, was, writable, cache, err)) &&
           ((was == writable && node->cache == old && !value_length(own)) || reopen_driver(node, own, writable, err)) &&
           (!down || reopen_children(node, options, was, writable, cache, err));
    if (!good) {
        node->cache = old;
    }
    return good;
}

static bool take_flag(Value *options, const char *key, bool *out, GError **err)
{
    const Value *value = value_get(options, key);

    if (value && !value_to_bool(value, out) && !(value_string(value) && parse_bool(value_string(value), out))) {
        return fail(err, EINVAL, "%s: it takes on or off", key);
    }
    value_remove(options, key);
    return true;
}

static bool take_cache(Value *options, CacheFlags *cache, GError **err)
{
    Value *given = value_get(options, "cache");
    bool direct = *cache & CACHE_DIRECT, no_flush = *cache & CACHE_NO_FLUSH;

    if (given && (!take_flag(given, "direct", &direct, err) || !take_flag(given, "no-flush", &no_flush, err))) {
        return false;
    }
    *cache = (direct ? CACHE_DIRECT : 0) | (no_flush ? CACHE_NO_FLUSH : 0);
    value_remove(options, "cache");
    return true;
}

static bool take_discard(Node *node, Value *options, GError **err)
{
    const char *word = value_get_string(options, "discard", NULL);

    if (word && strcmp(word, "unmap") != 0 && strcmp(word, "ignore") != 0) {
        return fail(err, EINVAL, "discard=%s: it takes one of ignore, unmap", word);
    }
    node->discard = word ? strcmp(word, "unmap") == 0 : node->discard;
    value_remove(options, "discard");
    return true;
}

/* A node's name, or null for none; an object says what is to change below, which its own reopening is for. */
static bool reopen_backing(Node *node, const Value *backing, GError **err)
{
    const char *name = value_string(backing);
    Node *below = name && *name ? node_find(name) : NULL;

    if (!backing || value_kind(backing) == VALUE_OBJECT) {
        return true;
    }
    if (name && *name && !below) {
        return fail(err, ENOENT, "there is no node '%s'", name);
    }
    return node_change_backing(node, below, err) == 0;
}

bool node_reopen(Node *node, const Value *options, GError **err)
{
    g_autoptr(Value) rest = options ? value_copy(options) : value_new_object();
    bool readonly = !node->writable, good;
    CacheFlags cache = node->cache;

    value_remove(rest, "driver");
    value_remove(rest, "node-name");
    if (!take_flag(rest, "read-only", &readonly, err) || !take_cache(rest, &cache, err) || !take_discard(node, rest, err)) {
        return false;
    }
    node_drain_begin(node);
    good = reopen_tree(node, rest, !readonly, cache, err) && reopen_backing(node, value_get(rest, "backing"), err);
    node_drain_end(node);
    return good;
}

/* ---- backing ---- */

int node_change_backing(Node *node, Node *backing, GError **err)
{
    Child *edge = node_child_edge(node, "backing");
    Node *old = edge ? edge->node : NULL;
    bool good = true;

    if (!node->driver->backing_child) {
        fail(err, ENOTSUP, "'%s': a %s image has no backing file", node_who(node), node->driver->name);
        return -ENOTSUP;
    }
    if (old == backing) {
        return 0;
    }
    node_drain_begin(node);
    if (old) {
        node_ref(old);
        node_remove_edge(edge);
    }
    good = !backing || node_add_edge(node, backing, "backing", CHILD_BACKING, err);
    if (!good && old) {
        node_add_edge(node, old, "backing", CHILD_BACKING, NULL);
    }
    node_drain_end(node);
    node_unref(old);
    return good ? 0 : -EBUSY;
}

int node_write_backing_name(Node *node, const char *file, const char *format, GError **err)
{
    if (!node->driver->write_backing_name) {
        fail(err, ENOTSUP, "'%s': a %s image names no backing file", node_who(node), node->driver->name);
        return -ENOTSUP;
    }
    if (!node->writable) {
        fail(err, EACCES, "'%s' is read-only", node_who(node));
        return -EACCES;
    }
    int result = node->driver->write_backing_name(node, file, format);
    if (result < 0) {
        fail(err, -result, "'%s': the name of the backing file could not be written: %s", node_who(node), strerror(-result));
        return result;
    }
    g_free(node->backing_name);
    g_free(node->backing_format);
    node->backing_name = g_strdup(file && *file ? file : NULL);
    node->backing_format = g_strdup(file && *file ? format : NULL);
    return 0;
}

/* ---- corrupt images ---- */

/* The drive above a node, if there is one. */
static const char *drive_above(const char *node_name_)
{
    Node *node = node_find(node_name_);
    g_autoptr(GPtrArray) nodes = node ? node_component(node) : NULL;

    for (Blk *blk = blk_next(NULL); node && blk; blk = blk_next(blk)) {
        if (*blk_id(blk) && blk_node(blk) && g_ptr_array_find(nodes, blk_node(blk), NULL)) {
            return blk_id(blk);
        }
    }
    return "";
}

static void emit_corrupt(void *data)
{
    value_set(data, "device", value_new_string(drive_above(value_get_string(data, "node-name", ""))));
    event_emit("BLOCK_IMAGE_CORRUPTED", data);
}

static void emit_threshold(void *opaque)
{
    event_emit("BLOCK_WRITE_THRESHOLD", opaque);
}

void node_tell_threshold(const Node *node, uint64_t end)
{
    uint64_t threshold = __atomic_load_n(&node->core->write_threshold, __ATOMIC_RELAXED);

    if (end <= threshold || __atomic_exchange_n(&node->core->write_threshold, 0, __ATOMIC_RELAXED) == 0) {
        return;
    }
    Value *data = value_new_object();
    value_set(data, "node-name", value_new_string(node->name));
    value_set(data, "amount-exceeded", value_new_uint(end - threshold));
    value_set(data, "write-threshold", value_new_uint(threshold));
    loop_post(emit_threshold, data);
}

void node_set_write_threshold(Node *node, uint64_t bytes)
{
    __atomic_store_n(&node->core->write_threshold, bytes, __ATOMIC_RELAXED);
}

uint64_t node_write_threshold(const Node *node)
{
    return __atomic_load_n(&node->core->write_threshold, __ATOMIC_RELAXED);
}

void node_corrupt(Node *node, bool fatal, uint64_t offset, uint64_t size, const char *format, ...)
{
    va_list arguments;

    if (node->core->corrupt) {
        return;                            /* one line per image */
    }
    va_start(arguments, format);
    g_autofree char *what = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    report_error("%s image '%s' is corrupt: %s%s", node->driver->name, node_who(node), what,
                 fatal ? "; writing to it stops here" : "");
    node->core->corrupt = fatal;
    Value *data = value_new_object();
    value_set(data, "device", value_new_string(""));
    value_set(data, "node-name", value_new_string(node->name));
    value_set(data, "msg", value_new_string(what));
    if (offset != UINT64_MAX) {
        value_set(data, "offset", value_new_uint(offset));
    }
    if (size != UINT64_MAX) {
        value_set(data, "size", value_new_uint(size));
    }
    value_set(data, "fatal", value_new_bool(fatal));
    loop_post(emit_corrupt, data);
}
