/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block.h - what the tests of the block layer share: a case is a coroutine on a loop of its own
 */
#pragma once
#include "base/error.h"
#include "base/json.h"
#include "block/blk.h"
#include "block/node-core.h"
#include <errno.h>
#include <glib.h>
#include <string.h>

static inline void run_case(gconstpointer entry)
{
    int (*call)(void *) = (int (*)(void *))(uintptr_t)entry;

    g_assert_cmpint(io_loop_run(io_loop_main(), call, NULL), ==, 0);
    g_assert_null(node_next(NULL));        /* nothing is left open */
}

static inline void block_test(const char *path, int (*entry)(void *opaque))
{
    g_test_add_data_func(path, (gconstpointer)(uintptr_t)entry, run_case);
}

static inline Value *from_json(const char *text)
{
    g_autoptr(GError) error = NULL;
    Value *value = json_parse(text, &error);

    g_assert_no_error(error);
    return value;
}

static inline Node *open_json(const char *text)
{
    g_autoptr(Value) options = from_json(text);
    g_autoptr(GError) error = NULL;
    Node *node = NULL;

    node_open(&node, options, NULL, &error);
    g_assert_no_error(error);
    return node;
}

/* Refused, with these words in the sentence. */
static inline void open_json_fails(const char *text, const char *words)
{
    g_autoptr(Value) options = from_json(text);
    g_autoptr(GError) error = NULL;
    Node *node = NULL;

    g_assert_false(node_open(&node, options, NULL, &error));
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, words));
}
