/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node-open.c - from options to nodes: the common keys, children, and what is inherited
 *
 * Order     the node's own keys; child "file"; the driver's open; then the chain of backing files, one after the other and not
 *           one inside the other, so that a chain of two hundred needs no deeper stack than one of two
 * Trust     names that stand in options were given by a person. Names that stand in images go through node_open_named(), which
 *           follows them only into the image's own folder (docs/decisions/image-names.md)
 * Threads   coroutines on the new node's loop
 * Tests     tests/block/graph.c, tests/block/names.c
 */
#include "block/node-core.h"
#include "base/error.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MOST = 200 };

static const char *const common_keys[] = {
    "driver", "node-name", "read-only", "auto-read-only", "discard", "detect-zeroes", "force-share", "cache", "trust", NULL };
static const char *const detect_zeroes_names[] = { "off", "on", "unmap", NULL };

/* ---- the common keys ---- */

static bool take_flag(Value *options, const char *key, bool *out, GError **err)
{
    const Value *value = value_get(options, key);
    bool good = !value || value_to_bool(value, out) || (value_string(value) && parse_bool(value_string(value), out));

    if (!good) {
        return fail(err, EINVAL, "%s: it takes on or off", key);
    }
    value_remove(options, key);
    return true;
}

static bool take_word(Value *options, const char *key, const char *const *names, int *out, GError **err)
{
    const Value *value = value_get(options, key);
    const char *word = value_string(value);

    if (!value) {
        return true;
    }
    for (int i = 0; word && names[i]; i++) {
        if (strcmp(names[i], word) == 0) {
            *out = i;
            value_remove(options, key);
            return true;
        }
    }
    g_autofree char *list = g_strjoinv(", ", (char **)names);
    return fail(err, EINVAL, "%s=%s: it takes one of %s", key, word ? word : "?", list);
}

static bool take_cache(Value *options, CacheFlags *cache, GError **err)
{
    Value *given = value_get(options, "cache");
    bool direct = *cache & CACHE_DIRECT, no_flush = *cache & CACHE_NO_FLUSH;

    if (!given) {
        return true;
    }
    if (value_kind(given) != VALUE_OBJECT) {
        return fail(err, EINVAL, "cache: an object with 'direct' and 'no-flush' is needed");
    }
    if (!take_flag(given, "direct", &direct, err) || !take_flag(given, "no-flush", &no_flush, err)) {
        return false;
    }
    value_remove(given, "writeback");      /* -drive's: the drive's own */
    if (value_length(given)) {
        return fail(err, ENOENT, "cache.%s: there is no such key; there are direct and no-flush", value_key_at(given, 0));
    }
    *cache = (*cache & CACHE_WRITETHROUGH) | (direct ? CACHE_DIRECT : 0) | (no_flush ? CACHE_NO_FLUSH : 0);
    value_remove(options, "cache");
    return true;
}

/* From options into how; what is not said there stays as it was inherited. */
static bool take_common(Value *options, NodeOpen *how, GError **err)
{
    static const char *const discards[] = { "ignore", "off", "unmap", "on", NULL };
    bool readonly = !how->writable;
    int discard = how->discard ? 2 : 0, zeroes = (int)how->detect_zeroes;

    if (!take_flag(options, "read-only", &readonly, err) || !take_flag(options, "auto-read-only", &how->auto_readonly, err) ||
        !take_flag(options, "force-share", &how->share, err) || !take_flag(options, "trust", &how->trust, err) ||
        !take_word(options, "discard", discards, &discard, err) ||
        !take_word(options, "detect-zeroes", detect_zeroes_names, &zeroes, err) || !take_cache(options, &how->cache, err)) {
        return false;
    }
    how->writable = !readonly;
    how->discard = discard >= 2;
    how->detect_zeroes = (DetectZeroes)zeroes;
    if (zeroes == DETECT_ZEROES_UNMAP && !how->discard) {
        return fail(err, EINVAL, "detect-zeroes=unmap needs discard=unmap");
    }
    if (how->share && how->writable) {
        if (value_get(options, "read-only")) {
            return fail(err, EINVAL, "force-share=on is for reading only; give read-only=on too");
        }
        how->writable = false;
    }
    return true;
}

static char *keys_of(const NodeDriver *driver)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (const Field *field = driver->options; field && field->kind != FIELD_LAST; field++) {
        g_string_append_printf(text, "%s, ", field->name);
    }
    g_string_append(text, driver->file_child ? "file, " : "");
    g_string_append(text, driver->backing_child ? "backing, " : "");
    for (size_t i = 1; common_keys[i]; i++) {
        g_string_append_printf(text, "%s%s", i > 1 ? ", " : "", common_keys[i]);
    }
    return g_strdup(text->str);
}

/* What is left after the common keys and the children is the driver's. */
static bool take_own(Node *node, const Value *rest, GError **err)
{
    g_autofree char *who = g_strdup_printf("%s", node->driver->name);

    for (size_t i = 0; i < value_length(rest); i++) {
        const char *key = value_key_at(rest, i);
        if (!node->driver->options || !field_find(node->driver->options, key)) {
            g_autofree char *keys = keys_of(node->driver);
            return fail(err, ENOENT, "%s: there is no key '%s'; there are %s", node->driver->name, key, keys);
        }
    }
    static const Field none[] = { FIELD_END };
    return fields_set(node->driver->options ? node->driver->options : none, node, who, rest, NULL, err);
}

/* ---- children ---- */

/* What a child takes from its parent. */
static NodeOpen child_how(const Node *parent, ChildRole role, const NodeOpen *how)
{
    NodeOpen child = *how;

    child.loop = parent->loop;
    child.writable = role != CHILD_BACKING && parent->writable;
    child.cache = parent->cache & ~CACHE_WRITETHROUGH;
    child.detect_zeroes = DETECT_ZEROES_OFF;
    child.discard = role == CHILD_BACKING ? how->discard : true;           /* the parent passes down what it wants discarded */
    child.probe = how->probe && role == CHILD_BACKING;
    child.no_backing = (role == CHILD_BACKING || parent->driver->kind == NODE_FILTER) && how->no_backing;
    return child;
}

static bool wants_a_format(const Node *parent, ChildRole role)
{
    return role == CHILD_BACKING || parent->driver->kind == NODE_FILTER;
}

/* An object without "driver" is a file's name and what is to be changed about it. */
static bool open_unnamed(Node **out, Node *parent, ChildRole role, const Value *options, const NodeOpen *how, GError **err)
{
    const char *filename = value_get_string(options, "filename", NULL);

    if (wants_a_format(parent, role)) {
        const Value *file = value_get(options, "file");
        filename = filename ? filename : value_kind(file) == VALUE_OBJECT ? value_get_string(file, "filename", NULL) : NULL;
        if (!filename) {
            return fail(err, EINVAL, "node '%s': driver= is missing", parent->name);
        }
        g_autoptr(Value) more = value_copy(options);
        value_remove(more, "filename");
        return node_open_file_under(out, filename, NULL, more, how, parent, err);
    }
    if (!filename) {
        return fail(err, EINVAL, "%s: file.driver= or file.filename= is missing", parent->driver->name);
    }
    g_autoptr(Value) merged = node_parse_filename(filename, err);
    if (!merged) {
        return false;
    }
    for (size_t i = 0; i < value_length(options); i++) {
        const char *key = value_key_at(options, i);
        if (strcmp(key, "filename") != 0) {
            value_set(merged, key, value_ref(value_member_at(options, i)));
        }
    }
    return node_open_under(out, merged, how, parent, err);
}

static bool open_reference(Node **out, Node *parent, const char *name, ChildRole role, const Value *reference, const NodeOpen *how,
                           GError **err)
{
    const char *node_name = value_string(reference);

    if (node_name) {
        Node *node = node_find(node_name);
        if (!node) {
            return fail(err, ENOENT, "%s: %s=%s: there is no node of that name", parent->driver->name, name, node_name);
        }
        *out = node_ref(node);
        return true;
    }
    if (value_kind(reference) != VALUE_OBJECT) {
        return fail(err, EINVAL, "%s: %s is missing", parent->driver->name, name);
    }
    NodeOpen child = child_how(parent, role, how);
    return value_get(reference, "driver") ? node_open_under(out, reference, &child, parent, err)
                                          : open_unnamed(out, parent, role, reference, &child, err);
}

static bool add_child(Node *parent, Node *take, const char *name, ChildRole role, GError **err)
{
    bool good = node_add_edge(parent, take, name, role, err);

    if (good && role == CHILD_BACKING) {
        take->core->depth = MAX(take->core->depth, parent->core->depth + 1);
    }
    node_unref(take);
    return good;
}

bool node_open_child(Node *parent, const char *name, ChildRole role, const Value *reference, const NodeOpen *how, GError **err)
{
    Node *node;

    return open_reference(&node, parent, name, role, reference, how, err) && add_child(parent, node, name, role, err);
}

/* ---- names that an image holds ---- */

char *node_full_backing_name(const Node *node, GError **err)
{
    const char *name = node->backing_name, *image = node->core->real_path ? node_filename(node) : NULL;

    if (!name) {
        fail(err, ENOENT, "'%s' names no backing file", node_who(node));
        return NULL;
    }
    if (g_path_is_absolute(name) || strstr(name, "://") || g_str_has_prefix(name, "json:") || !image || g_str_has_prefix(image, "json:")) {
        return g_strdup(name);
    }
    g_autofree char *folder = g_path_get_dirname(image);
    return strcmp(folder, ".") == 0 ? g_strdup(name) : g_build_filename(folder, name, NULL);
}

static bool is_plain(const char *filename)
{
    const char *colon = strchr(filename, ':'), *slash = strchr(filename, '/');

    return !colon || (slash && slash < colon);
}

/* A path beside the image, or as it stands. */
static char *path_from(const Node *image, const char *filename)
{
    if (g_path_is_absolute(filename) || !image->core->real_path) {
        return g_strdup(filename);
    }
    const char *own = node_filename(image);
    g_autofree char *folder = g_path_get_dirname(g_str_has_prefix(own, "json:") ? image->core->real_path : own);
    return strcmp(folder, ".") == 0 ? g_strdup(filename) : g_build_filename(folder, filename, NULL);
}

static bool is_inside(const char *folder, const char *path)
{
    size_t length = strlen(folder);

    return g_str_has_prefix(path, folder) && (strcmp(folder, "/") == 0 || path[length] == '/');
}

static bool refuse_name(const Node *image, const char *what, const char *filename, const char *why, GError **err)
{
    return fail(err, EACCES, "image '%s' names the %s file '%s', %s, and is not trusted: give it explicitly "
                "(%s.file.filename=...), or trust the image (-drive ...,trust=on; roost img --trust)", node_who(image), what, filename, why,
                what);
}

/* Whether an image that nobody vouched for may make us open this path. */
static bool may_follow(const Node *image, const char *what, const char *filename, const char *path, GError **err)
{
    if (!is_plain(filename)) {
        return refuse_name(image, what, filename, "which is no plain path", err);
    }
    if (!image->core->real_path) {
        return refuse_name(image, what, filename, "though it has no folder of its own", err);
    }
    g_autofree char *folder = g_path_get_dirname(image->core->real_path);
    /* As it was opened, the image may be a link into a store: names are relative to the link, so its folder counts too. */
    g_autofree char *own = g_path_get_dirname(node_filename(image));
    char *own_folder = realpath(own, NULL), *real = realpath(path, NULL);
    int error = errno;
    bool good;

    if (!real) {
        g_autofree char *lexical = g_canonicalize_filename(path, NULL), *own_lexical = g_canonicalize_filename(own, NULL);
        good = !is_inside(own_lexical, lexical) && !is_inside(folder, lexical)             /* what is there is not said either */
               ? refuse_name(image, what, filename, "which lies outside of the image's folder", err)
               : fail(err, error, "image '%s': its %s file '%s': %s", node_who(image), what, path, strerror(error));
    } else {
        good = is_inside(folder, real) || (own_folder && is_inside(own_folder, real))
               || refuse_name(image, what, filename, "which lies outside of the image's folder", err);
    }
    free(own_folder);
    free(real);
    return good;
}

static bool in_a_loop(const Node *image, const char *path)
{
    char *real = realpath(path, NULL);
    bool found = false;

    for (const Node *at = image; real && at && !found; at = at->core->opener) {
        found = at->core->real_path && strcmp(at->core->real_path, real) == 0 && at->driver->kind == NODE_FORMAT;
    }
    free(real);
    return found;
}

/* Backing formats of images are guessed by nobody: raw, unless the bytes contradict it. */
static bool open_named_file(Node **out, Node *parent, const char *what, const char *path, const char *format, const Value *more,
                            const NodeOpen *how, GError **err)
{
    g_autoptr(GError) why = NULL;
    NodeOpen child = *how;

    if (format || child.probe || how->trust) {
        child.probe = !format;
        return node_open_file_under(out, path, format, more, &child, parent, err);
    }
    g_autoptr(Value) options = node_parse_filename(path, err);
    Node *file;
    if (!options || !node_open_under(&file, options, &child, parent, err)) {
        return false;
    }
    const char *found = NULL;
    bool good = format_decide(&found, file, path, true, err);
    node_unref(file);
    if (good && strcmp(found, "raw") != 0) {
        return fail(err, EINVAL, "image '%s' does not say which format its %s file '%s' has, and that one begins as %s images do; write it down: "
                    "roost img rebase -u -F %s -b '%s' '%s'", node_who(parent), what, path, found, found, path, node_who(parent));
    }
    return good && node_open_file_under(out, path, "raw", more, &child, parent, err);
}

static bool open_named(Node **out, Node *parent, const char *name, ChildRole role, const char *filename, const char *format,
                       const Value *more, const NodeOpen *how, GError **err)
{
    g_autofree char *path = is_plain(filename) ? path_from(parent, filename) : g_strdup(filename);
    const char *what = strcmp(name, "backing") == 0 ? "backing" : name;
    NodeOpen child = child_how(parent, role, how);

    if (!how->trust && !may_follow(parent, what, filename, path, err)) {
        return false;
    }
    if (role == CHILD_BACKING && in_a_loop(parent, path)) {
        return fail(err, ELOOP, "image '%s': its backing file '%s' is in its own chain", node_who(parent), path);
    }
    if (role == CHILD_BACKING) {
        return open_named_file(out, parent, what, path, format, more, &child, err);
    }
    g_autoptr(Value) options = node_parse_filename(path, err);
    return options && (format && strcmp(format, "raw") != 0 ? node_open_file_under(out, path, format, more, &child, parent, err)
                                                            : node_open_under(out, options, &child, parent, err));
}

bool node_open_named(Node *parent, const char *name, ChildRole role, const char *filename, const char *format, const NodeOpen *how,
                     GError **err)
{
    Node *node;

    return open_named(&node, parent, name, role, filename, format, NULL, how, err) && add_child(parent, node, name, role, err);
}

/* ---- one node ---- */

static void find_real_path(Node *node)
{
    NodeCore *core = node->core;

    if (node->file && node->file->core->real_path) {
        core->real_path = g_strdup(node->file->core->real_path);
    } else if (node->driver->kind == NODE_PROTOCOL) {
        const char *name = value_get_string(core->options, "filename", NULL);
        char *real = name ? realpath(name, NULL) : NULL;
        core->real_path = g_strdup(real);
        free(real);
    }
}

static bool open_file_child(Node *node, Value *rest, const NodeOpen *how, GError **err)
{
    const NodeDriver *driver = node->driver;

    if (!driver->file_child) {
        return true;
    }
    if (!value_get(rest, "file")) {
        return fail(err, EINVAL, "%s: file= is missing", driver->name);
    }
    if (!node_open_child(node, "file", driver->file_role, value_get(rest, "file"), how, err)) {
        return false;
    }
    value_remove(rest, "file");
    if (node->writable && !node->file->writable) {
        if (!how->auto_readonly) {
            return fail(err, EACCES, "'%s' is read-only", node_who(node->file));
        }
        node->writable = false;
    }
    node->limits = (NodeLimits){ .request_alignment = 1, .memory_alignment = 1 };
    if (driver->kind == NODE_FILTER || driver->file_role == CHILD_FILTERED) {
        node->limits = node->file->limits;
        node->length = node->file->length;
    }
    return true;
}

static bool open_node(Node *node, Value *rest, const NodeOpen *how, GError **err)
{
    NodeOpen mine = *how;
    ImageInfo info = { 0 };

    node->writable = mine.writable;
    node->cache = mine.cache;
    node->discard = mine.discard;
    node->detect_zeroes = mine.detect_zeroes;
    node->trust = mine.trust;
    mine.loop = node->loop;
    node->core->how = mine;
    if (!open_file_child(node, rest, &mine, err)) {
        return false;
    }
    find_real_path(node);
    if (node->driver->backing_child) {
        value_remove(rest, "backing");     /* core->options has it still */
    }
    mine.writable = node->writable;
    if (!take_own(node, rest, err) || !node->driver->open(node, &mine, err)) {
        return false;
    }
    if (!node->core->real_path) {
        find_real_path(node);
    }
    node->core->opened = true;
    node->core->how.writable = node->writable;
    if (node->length > INT64_MAX) {
        return fail(err, EFBIG, "'%s': %llu bytes are more than a disk can have", node_who(node), (unsigned long long)node->length);
    }
    if (node->driver->info && node->driver->kind == NODE_FORMAT) {
        node->driver->info(node, &info);
        node->core->cluster_size = (uint32_t)MIN(info.cluster_size, INT32_MAX);
        value_unref(info.specific);
    }
    return node_update_perms(node, err);
}

/* ---- the chain of backing files ---- */

static bool open_backing(Node *node, Node **out, const NodeOpen *how, GError **err)
{
    const Value *given = value_get(node->core->options, "backing");
    NodeOpen child = *how;
    bool good;

    if (node->core->depth >= CHAIN_MOST) {
        return fail(err, ELOOP, "'%s': more than %d backing files in a chain", node_who(node), CHAIN_MOST);
    }
    child.writable = false;
    if (given && (value_kind(given) != VALUE_OBJECT || value_get(given, "file") || value_get(given, "filename")
                  || (value_get(given, "driver") && node_driver_find(value_get_string(given, "driver", ""))
                      && node_driver_find(value_get_string(given, "driver", ""))->kind == NODE_PROTOCOL))) {
        good = open_reference(out, node, "backing", CHILD_BACKING, given, &child, err);
    } else {
        g_autoptr(Value) more = given ? value_copy(given) : NULL;
        g_autofree char *format = g_strdup(value_get_string(more, "driver", node->backing_format));
        if (more) {
            value_remove(more, "driver");
        }
        if (!node->backing_name) {
            return fail(err, EINVAL, "'%s': backing= gives no file, and the image names none", node_who(node));
        }
        good = open_named(out, node, "backing", CHILD_BACKING, node->backing_name, format, more, &child, err);
    }
    return good;
}

static bool wants_backing(const Node *node)
{
    const Value *given = value_get(node->core->options, "backing");

    if (!node->driver->backing_child || node->backing || node->core->how.no_backing) {
        return false;
    }
    if (given) {
        const char *name = value_string(given);
        return value_kind(given) != VALUE_NULL && !(name && !*name);
    }
    return node->backing_name != NULL;
}

/* From node down: each image's backing file is opened without its own, which is the next step. */
static bool open_chain(Node *node, GError **err)
{
    Node *at = node_skip_filters(node);

    while (at && wants_backing(at)) {
        NodeOpen how = at->core->how, bare = how;
        Node *below = NULL;

        bare.no_backing = true;
        if (!open_backing(at, &below, &bare, err)) {
            g_prefix_error(err, "backing file of '%s': ", node_who(at));
            return false;
        }
        Node *next = node_skip_filters(below);
        for (Node *each = below; each; each = each == next ? NULL : each->file) {
            each->core->how.no_backing = false;
        }
        if (!add_child(at, below, "backing", CHILD_BACKING, err)) {
            return false;
        }
        next->core->opener = at;
        next->core->depth = at->core->depth + 1;
        at = next;
    }
    /* Who opened whom was needed to find loops. */
    for (Node *each = node_skip_filters(node); each; each = node_skip_filters(each->backing)) {
        each->core->opener = NULL;
    }
    return true;
}

/* ---- doors ---- */

static Node *new_node(const Value *options, NodeOpen *how, Value **rest, GError **err)
{
    const char *driver_name = value_get_string(options, "driver", NULL), *name = value_get_string(options, "node-name", NULL);
    const NodeDriver *driver = node_driver_find(driver_name);

    if (!driver_name) {
        fail(err, EINVAL, "a block node needs driver=");
        return NULL;
    }
    if (!driver) {
        fail(err, ENOTSUP, "driver=%s is not supported; 'roost help blockdev' lists the drivers", driver_name);
        return NULL;
    }
    *rest = value_copy(options);
    value_remove(*rest, "driver");
    value_remove(*rest, "node-name");
    if (!take_common(*rest, how, err)) {
        return NULL;
    }
    return node_new(driver, name, how->loop ? how->loop : io_loop_current(), err);
}

bool node_open_under(Node **out, const Value *options, const NodeOpen *given, const Node *opener, GError **err)
{
    NodeOpen how = given ? *given : (NodeOpen){ .writable = true, .discard = true };
    g_autoptr(Value) rest = NULL;
    Node *node;

    if (value_string(options)) {
        node = node_find(value_string(options));
        *out = node ? node_ref(node) : NULL;
        return node || fail(err, ENOENT, "there is no node '%s'", value_string(options));
    }
    node = new_node(options, &how, &rest, err);
    if (!node) {
        return false;
    }
    node->core->options = value_copy(options);
    node->core->opener = opener;
    node->core->depth = opener ? opener->core->depth : 0;
    if (!open_node(node, rest, &how, err) || (!how.no_backing && !open_chain(node, err))) {
        node_unref(node);
        return false;
    }
    node->core->opener = how.no_backing ? opener : NULL;
    *out = node;
    return true;
}

bool node_open(Node **out, const Value *options, const NodeOpen *how, GError **err)
{
    return node_open_under(out, options, how, NULL, err);
}

/* Options of a node above a file: what was given beside the name, with "file" as the protocol's. */
static Value *format_options(const char *format, const Value *file, const Value *more)
{
    Value *options = value_new_object();

    value_set(options, "driver", value_new_string(format));
    for (size_t i = 0; i < value_length(more); i++) {
        const char *key = value_key_at(more, i);
        if (strcmp(key, "file") != 0 && strcmp(key, "driver") != 0) {
            value_set(options, key, value_copy(value_member_at(more, i)));
        }
    }
    value_set(options, "file", value_copy(file));
    return options;
}

/* The protocol's options: from the name, then what "file": {...} adds. */
static Value *file_options(const char *filename, const Value *more, GError **err)
{
    Value *options = node_parse_filename(filename, err);
    const Value *added = value_get(more, "file");

    for (size_t i = 0; options && i < value_length(added); i++) {
        const char *key = value_key_at(added, i);
        if (strcmp(key, "filename") != 0) {
            value_set(options, key, value_copy(value_member_at(added, i)));
        }
    }
    return options;
}

static bool probe_format(char **format, const char *filename, const Value *file, const NodeOpen *how, GError **err)
{
    NodeOpen look = *how;
    const char *found = NULL;
    Node *node;

    look.writable = false;
    look.share = look.peek = true;         /* a look takes no lock: the open that follows does */
    if (!node_open_under(&node, file, &look, NULL, err)) {
        return false;
    }
    bool good = format_decide(&found, node, filename, how->probe, err);
    node_unref(node);
    *format = g_strdup(found);
    return good;
}

/* filename: as a person knows it, for its suffix and for sentences. */
static bool open_over(Node **out, const Value *file, const char *filename, const char *format, const Value *more, const NodeOpen *how,
                      const Node *opener, GError **err)
{
    const NodeDriver *protocol = node_driver_find(value_get_string(file, "driver", NULL));
    g_autofree char *chosen = g_strdup(format);

    if (!protocol) {
        return fail(err, ENOTSUP, "'%s': driver=%s is not supported", filename, value_get_string(file, "driver", "?"));
    }
    if (format && !node_driver_find(format)) {
        return fail(err, ENOTSUP, "'%s': format=%s is not supported; 'roost help blockdev' lists the formats", filename, format);
    }
    if (protocol->kind != NODE_PROTOCOL || (format && strcmp(format, protocol->name) == 0)) {
        return node_open_under(out, file, how, opener, err);               /* json: of a whole image, or the bare protocol */
    }
    if (!chosen && !probe_format(&chosen, filename, file, how, err)) {
        return false;
    }
    g_autoptr(Value) options = format_options(chosen, file, more);
    return node_open_under(out, options, how, opener, err);
}

static const NodeOpen plain_how = { .writable = true, .discard = true };

bool node_open_file_under(Node **out, const char *filename, const char *format, const Value *more, const NodeOpen *how,
                          const Node *opener, GError **err)
{
    g_autoptr(Value) file = file_options(filename, more, err);

    return file && open_over(out, file, filename, format, more, how ? how : &plain_how, opener, err);
}

bool node_open_protocol(Node **out, const Value *file, const Value *more, const NodeOpen *how, GError **err)
{
    const char *filename = value_get_string(file, "filename", NULL);

    return open_over(out, file, filename ? filename : value_get_string(file, "driver", "?"), NULL, more, how, NULL, err);
}

bool node_open_file(Node **out, const char *filename, const char *format, const Value *more_options, const NodeOpen *how, GError **err)
{
    return node_open_file_under(out, filename, format, more_options, how, NULL, err);
}

typedef struct AddJob { const Value *options; const NodeOpen *how; GError **err; Node *node; } AddJob;

static int add_in_coroutine(void *opaque)
{
    AddJob *job = opaque;

    return node_open(&job->node, job->options, job->how, job->err) ? 0 : -1;
}

bool node_add(const Value *options, const NodeOpen *how, GError **err)
{
    AddJob job = { options, how, err, NULL };

    if (!value_get_string(options, "node-name", NULL)) {
        return fail(err, EINVAL, "a -blockdev needs node-name=");
    }
    node_run_on(how && how->loop ? how->loop : io_loop_main(), add_in_coroutine, &job);
    if (!job.node) {
        return err && *err ? false : fail(err, ENOMEM, "a block node could not be opened");
    }
    job.node->core->monitor = true;
    return true;
}
