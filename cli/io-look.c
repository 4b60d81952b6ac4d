/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io-look.c - roost io's map, alloc, length, truncate and info
 *
 * Threads  the tool's only one
 * Tests    tests/block/io-commands.py
 */
#include "block/driver.h"
#include "cli/img.h"
#include "cli/io.h"
#include <errno.h>
#include <string.h>

/* How far one answer holds: 1 allocated in this image itself, 0 not, or -errno. */
static int allocated(Node *node, uint64_t offset, uint64_t bytes, uint64_t *count)
{
    int status = node_block_status(node, offset, bytes, count, NULL, NULL);

    return status < 0 ? status : *count == 0 ? -EIO : (status & STATUS_ALLOCATED) != 0;
}

static bool query_failed(int result)
{
    printf("Failed to query allocation status: %s\n", g_strerror(-result));
    return false;
}

static bool run_map(IoSession *session, IoArguments *arguments)
{
    Node *node = node_skip_filters(session->image.node);
    uint64_t length = node_length(node), count;

    (void)arguments;
    for (uint64_t at = 0; at < length;) {
        uint64_t begin = at;
        int first = allocated(node, at, length - at, &count), next = first;
        while (next == first && next >= 0 && (at += count) < length) {
            next = allocated(node, at, length - at, &count);
        }
        if (next < 0) {
            return query_failed(next);
        }
        g_autofree char *size = io_size_text((double)(at - begin)), *offset = io_size_text((double)begin);
        printf("%s (0x%" G_GINT64_MODIFIER "x) bytes %s allocated at offset %s (0x%" G_GINT64_MODIFIER "x)\n", size, at - begin,
               first ? "   " : "not", offset, begin);
    }
    return true;
}

static bool run_alloc(IoSession *session, IoArguments *arguments)
{
    Node *node = node_skip_filters(session->image.node);
    uint64_t start, bytes = 512, sum = 0, seen = 0, length = node_length(node), count;

    if (!io_number(arguments->operands[0], &start) || (arguments->count > 1 && !io_number(arguments->operands[1], &bytes))) {
        return false;
    }
    for (uint64_t at = start; seen < bytes && at < length; at += count, seen += count) {
        int result = allocated(node, at, MIN(bytes - seen, length - at), &count);
        if (result < 0) {
            return query_failed(result);
        }
        sum += result ? count : 0;
    }
    g_autofree char *offset = io_size_text((double)start);
    printf("%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " bytes allocated at offset %s\n", sum, seen, offset);
    return true;
}

static bool run_length(IoSession *session, IoArguments *arguments)
{
    g_autofree char *text = io_size_text((double)node_length(session->image.node));

    (void)arguments;
    printf("%s\n", text);
    return true;
}

static bool run_truncate(IoSession *session, IoArguments *arguments)
{
    Preallocation preallocation = PREALLOC_OFF;
    g_autoptr(GError) err = NULL;
    uint64_t size;

    if (arguments->count != 1) {
        io_print_usage(arguments->command);
        return false;
    }
    while (arguments->preallocation && preallocation_names[preallocation] &&
           strcmp(preallocation_names[preallocation], arguments->preallocation) != 0) {
        preallocation++;
    }
    if (!preallocation_names[preallocation]) {
        tool_error("Invalid preallocation mode '%s'", arguments->preallocation);
        return false;
    }
    if (!io_number(arguments->operands[0], &size)) {
        return false;
    }
    if (node_truncate(session->image.node, size, false, preallocation, 0, &err) < 0) {
        tool_complain(err);
        return false;
    }
    return true;
}

static bool run_info(IoSession *session, IoArguments *arguments)
{
    Node *node = session->image.node;
    ImageInfo info = { 0 };

    (void)arguments;
    if (node_driver(node)->info) {
        node_driver(node)->info(node, &info);
    }
    g_autofree char *cluster = io_size_text((double)info.cluster_size), *vmstate = io_size_text((double)info.vm_state_offset);
    printf("format name: %s\ncluster size: %s\nvm state offset: %s\n", node_driver_name(node), cluster, vmstate);
    img_print_specific(info.specific);
    value_unref(info.specific);
    return true;
}

static const ToolOption truncate_options[] = {
    OPTION_TEXT('m', NULL, "MODE", IoArguments, preallocation, "off, metadata, falloc or full for what is new"), { .kind = TOOL_END } };

const IoCommand io_look_commands[] = {
    { .name = "map", .arguments = "", .summary = "prints the allocated areas of a file", .run = run_map },
    { .name = "alloc", .alias = "a", .arguments = "offset [count]", .summary = "checks if offset is allocated in the file", .least = 1,
      .most = 2, .run = run_alloc },
    { .name = "length", .alias = "l", .summary = "gets the length of the current file", .run = run_length },
    { .name = "truncate", .alias = "t", .arguments = "[-m prealloc_mode] off", .summary = "truncates the current file at the given offset",
      .least = 1, .most = 3, .needs_write = true, .options = truncate_options, .run = run_truncate },
    { .name = "info", .alias = "i", .summary = "prints information about the current file", .run = run_info },
    { 0 } };
