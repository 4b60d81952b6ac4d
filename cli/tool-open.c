/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool-open.c - how the tools open images
 *
 * A name on the command line is trusted, a name inside an image is not, unless --trust was said. No format named means that
 * the first bytes decide: nobody runs on the image meanwhile, or its lock would refuse us.
 *
 * Threads  the tool's only one
 * Tests    tests/block/img-commands.py
 */
#include "base/option.h"
#include "cli/tool.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* KEY=VALUE,... with dotted keys, as --image-opts takes it. */
static Value *image_options(const ToolOpen *how, GError **err)
{
    static const OptionGrammar grammar = { .who = "--image-opts" };
    static const char *const merge[] = { "file", "backing", NULL };
    g_autoptr(Value) flat = option_parse(&grammar, how->name, err);

    return flat ? option_nest(flat, "--image-opts", merge, err) : NULL;
}

static bool open_node(Node **out, const ToolOpen *how, const NodeOpen *flags, GError **err)
{
    if (!how->name) {
        return node_open(out, how->more, flags, err);
    }
    if (!how->image_opts) {
        return node_open_file(out, how->name, how->format, how->more, flags, err);
    }
    if (how->format) {
        return fail(err, EINVAL, "--image-opts and a format exclude each other: write driver=%s among the options", how->format);
    }
    g_autoptr(Value) options = image_options(how, err);
    if (!options) {
        return false;
    }
    for (size_t i = 0; i < value_length(how->more); i++) {
        value_set(options, value_key_at(how->more, i), value_ref(value_member_at(how->more, i)));
    }
    return node_open(out, options, flags, err);
}

static bool has_protocol(const char *name)
{
    const char *colon = strchr(name, ':'), *slash = strchr(name, '/');

    return colon && (!slash || colon < slash);
}

char *tool_beside(const char *image, const char *name)
{
    const char *slash = strrchr(image, '/');

    if (*name == '/' || has_protocol(name) || !slash || has_protocol(image)) {
        return g_strdup(name);
    }
    return g_strdup_printf("%.*s%s", (int)(slash - image + 1), image, name);
}

bool tool_open(ToolImage *image, const ToolOpen *how, GError **err)
{
    NodeOpen flags = {
        .writable = how->writable, .share = how->share, .no_backing = how->no_backing, .no_io = how->no_io,
        .checking = how->checking, .trust = how->trust, .probe = true, .discard = how->discard, .detect_zeroes = how->detect_zeroes,
    };
    NodePerms perms = PERM_CONSISTENT_READ | (how->writable ? PERM_WRITE : 0) |
                      (how->writable && how->resizable ? PERM_RESIZE : 0);
    NodePerms shared = how->exclusive && !how->share ? PERM_CONSISTENT_READ | PERM_WRITE_UNCHANGED : PERM_ALL;

    *image = (ToolImage){ 0 };
    if (how->cache && !tool_parse_cache(how->cache, &flags.cache, err)) {
        return false;
    }
    if (!open_node(&image->node, how, &flags, err)) {
        image->node = NULL;
        return false;
    }
    image->user = node_attach(image->node, tool_name, perms, shared, err);
    if (!image->user) {
        g_clear_pointer(&image->node, node_unref);
        return false;
    }
    image->write_flags = node_cache(image->node) & CACHE_WRITETHROUGH ? REQ_FUA : 0;
    return true;
}

/* What was begun and failed does not stay as an empty file. */
bool tool_make(const char *name, const char *format, uint64_t size, const Value *options, bool check_backing, bool quiet, const NodeOpen *how,
               GError **err)
{
    bool there = access(name, F_OK) == 0;

    if (image_create(name, format, size, options, check_backing, quiet, how, err)) {
        return true;
    }
    if (!there) {
        unlink(name);
    }
    return false;
}

int tool_close(ToolImage *image)
{
    int result = 0;

    if (!image->node) {
        return 0;
    }
    if (!node_readonly(image->node)) {
        result = node_flush(image->node);
    }
    if (image->user) {
        node_detach(image->user);
    }
    node_unref(image->node);
    *image = (ToolImage){ 0 };
    return result;
}

bool tool_close_written(ToolImage *image, const char *name, bool done, GError **err)
{
    int flushed = tool_close(image);

    return done && (flushed >= 0 || fail(err, -flushed, "'%s' could not be written back: %s", name, g_strerror(-flushed)));
}
