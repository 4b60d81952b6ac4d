/* SPDX-License-Identifier: GPL-2.0-or-later */
/* graph.c - options to nodes: names, children, rights, and the sentences of those that are refused */
#include "tests/block/block.h"

static int a_raw_null_reads(void *opaque)
{
    (void)opaque;
    Node *node = open_json("{'driver':'raw','node-name':'top','size':4096,'offset':512,'file':{'driver':'null-co','size':8192,"
                           "'read-zeroes':true}}");
    uint8_t bytes[512] = { 1 };

    g_assert_cmpuint(node_length(node), ==, 4096);
    g_assert_cmpint(node_pread(node, 3584, bytes, sizeof bytes), ==, 0);
    g_assert_cmpuint(bytes[0], ==, 0);
    g_assert_cmpint(node_pread(node, 3585, bytes, sizeof bytes), ==, -EIO);
    g_assert_cmpint(node_pwrite(node, 0, bytes, sizeof bytes), ==, 0);
    g_assert_cmpint(node_flush(node), ==, 0);
    g_assert_true(node_find("top") == node);
    g_assert_cmpstr(node_driver_name(node_child(node, "file")), ==, "null-co");
    node_unref(node);
    g_assert_null(node_find("top"));
    return 0;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test("/graph/a raw window of a null disk", a_raw_null_reads);
    return g_test_run();
}
