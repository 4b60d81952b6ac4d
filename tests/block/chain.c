/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chain.c - overlays and what is below them: status, copy-on-read, commit, reopening, sizes that differ */
#include "tests/block/block.h"
#include <glib/gstdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SIZE = 1 << 20, CLUSTER = 65536 };

static char *folder;

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void create(const char *name, const char *format, const char *backing, uint64_t size)
{
    g_autofree char *path = path_of(name);
    g_autoptr(Value) options = value_new_object();
    g_autoptr(GError) error = NULL;

    if (backing) {
        value_set(options, "backing_file", value_new_string(backing));
        value_set(options, "backing_fmt", value_new_string(g_str_has_suffix(backing, ".img") ? "raw" : "qcow2"));
    }
    image_create(path, format, size, options, true, true, NULL, &error);
    g_assert_no_error(error);
}

static Node *open_it(const char *name, bool writable)
{
    g_autofree char *path = path_of(name);
    NodeOpen how = { .writable = writable, .discard = true };
    g_autoptr(GError) error = NULL;
    Node *node = NULL;

    node_open_file(&node, path, g_str_has_suffix(name, ".img") ? "raw" : "qcow2", NULL, &how, &error);
    g_assert_no_error(error);
    return node;
}

static void write_pattern(Node *node, int pattern, uint64_t offset, size_t bytes)
{
    g_autofree uint8_t *buffer = g_malloc(bytes);

    memset(buffer, pattern, bytes);
    g_assert_cmpint(node_pwrite(node, offset, buffer, bytes), ==, 0);
}

static void check_pattern(Node *node, int pattern, uint64_t offset, size_t bytes)
{
    g_autofree uint8_t *buffer = g_malloc(bytes);

    memset(buffer, ~pattern, bytes);
    g_assert_cmpint(node_pread(node, offset, buffer, bytes), ==, 0);
    for (size_t i = 0; i < bytes; i++) {
        g_assert_cmpuint(buffer[i], ==, pattern);
    }
}

static bool is_allocated(Node *node, uint64_t offset)
{
    uint64_t count;
    int status = node_block_status(node, offset, 1, &count, NULL, NULL);

    g_assert_cmpint(status, >=, 0);
    return status & STATUS_ALLOCATED;
}

static void fresh_pair(const char *below, uint64_t size_below, uint64_t size)
{
    create(below, g_str_has_suffix(below, ".img") ? "raw" : "qcow2", NULL, size_below);
    Node *node = open_it(below, true);
    write_pattern(node, 0x11, 0, size_below / 2);
    node_unref(node);
    create("top.qcow2", "qcow2", below, size);
}

static int status_through_the_chain(void *opaque)
{
    Node *node, *file;
    uint64_t count, map;
    unsigned depth;
    int flags;

    (void)opaque;
    fresh_pair("below.qcow2", SIZE / 2, SIZE);
    node = open_it("top.qcow2", true);
    write_pattern(node, 0x22, CLUSTER, CLUSTER);
    flags = node_block_status_above(node, NULL, CLUSTER, SIZE, &count, &map, &file, &depth);
    g_assert_cmpint(flags & (STATUS_DATA | STATUS_ALLOCATED | STATUS_OFFSET), ==, STATUS_DATA | STATUS_ALLOCATED | STATUS_OFFSET);
    g_assert_cmpuint(count, ==, CLUSTER);
    g_assert_cmpuint(depth, ==, 0);
    g_assert_true(file == node_child(node, "file"));
    flags = node_block_status_above(node, NULL, 2 * CLUSTER, SIZE, &count, &map, &file, &depth);
    g_assert_true(flags & STATUS_DATA);
    g_assert_cmpuint(depth, ==, 1);
    g_assert_cmpuint(count, ==, SIZE / 4 - 2 * CLUSTER);
    flags = node_block_status_above(node, NULL, SIZE / 2 + 100, SIZE, &count, &map, &file, &depth);
    g_assert_cmpint(flags & (STATUS_DATA | STATUS_ZERO | STATUS_EOF), ==, STATUS_ZERO | STATUS_EOF);
    g_assert_cmpuint(count, ==, SIZE / 2 - 100);
    flags = node_block_status_above(node, node_backing(node), 0, SIZE, &count, NULL, NULL, NULL);
    g_assert_false(flags & STATUS_ALLOCATED);
    g_assert_cmpuint(count, ==, CLUSTER);
    g_assert_cmpint(node_is_allocated_above(node, node_backing(node), true, 0, SIZE, &count), ==, 1);
    g_assert_cmpint(node_is_allocated_above(node, node_backing(node), false, 0, SIZE, &count), ==, 0);
    node_unref(node);
    return 0;
}

static Node *over(const char *driver, Node *node)
{
    g_autofree char *text = g_strdup_printf("{'driver':'%s','file':'%s'}", driver, node_name(node));

    return open_json(text);
}

static int reads_are_kept(void *opaque)
{
    (void)opaque;
    fresh_pair("below.qcow2", SIZE, SIZE);
    Node *node = open_it("top.qcow2", true), *filter = over("copy-on-read", node);

    g_assert_false(is_allocated(node, 0));
    check_pattern(filter, 0x11, 1000, 100);
    g_assert_true(is_allocated(node, 0));
    g_assert_true(is_allocated(node, CLUSTER - 1));
    g_assert_false(is_allocated(node, CLUSTER));
    check_pattern(filter, 0x11, 2 * CLUSTER - 10, CLUSTER + 20);           /* three clusters in part */
    g_assert_true(is_allocated(node, CLUSTER) && is_allocated(node, 2 * CLUSTER) && is_allocated(node, 3 * CLUSTER));
    check_pattern(filter, 0, SIZE / 2, SIZE / 2);              /* zeroes too are known here now */
    g_assert_true(is_allocated(node, SIZE - 1));
    g_assert_cmpint(node_preadv(filter, 5 * CLUSTER, (Iov){ NULL, 0, 0, CLUSTER }, REQ_PREFETCH), ==, 0);
    g_assert_true(is_allocated(node, 5 * CLUSTER));
    check_pattern(filter, 0x11, 0, SIZE / 2);
    node_unref(filter);
    node_unref(node);
    return 0;
}

typedef struct Racer { Node *filter, *node; unsigned *left; bool writes; Coroutine *parent; } Racer;

static void race(void *opaque)
{
    Racer *racer = opaque;
    uint8_t bytes[512];

    for (unsigned i = 0; i < 64; i++) {
        uint64_t at = i * 4096;
        memset(bytes, 0x77, sizeof bytes);
        g_assert_cmpint(racer->writes ? node_pwrite(racer->filter, at, bytes, sizeof bytes) : node_pread(racer->filter, at, bytes, sizeof bytes), ==, 0);
    }
    if (--*racer->left == 0) {
        io_loop_wake(io_loop_current(), racer->parent);
    }
}

/* What is kept never overwrites what was written meanwhile. */
static int copies_and_writes(void *opaque)
{
    unsigned left = 6;
    Racer racers[6];

    (void)opaque;
    fresh_pair("below.qcow2", SIZE, SIZE);
    Node *node = open_it("top.qcow2", true), *filter = over("copy-on-read", node);
    for (unsigned i = 0; i < 6; i++) {
        racers[i] = (Racer){ filter, node, &left, i == 3, coroutine_self() };
        coroutine_enter(coroutine_new(race, &racers[i]));
    }
    coroutine_yield();
    for (unsigned i = 0; i < 64; i++) {
        check_pattern(node, 0x77, i * 4096, 512);
        check_pattern(node, 0x11, i * 4096 + 512, 4096 - 512);
    }
    node_unref(filter);
    node_unref(node);
    return 0;
}

static int commits(void *opaque)
{
    static const char *const bases[] = { "below.qcow2", "below.img" };
    g_autoptr(GError) error = NULL;

    (void)opaque;
    for (size_t i = 0; i < G_N_ELEMENTS(bases); i++) {
        fresh_pair(bases[i], SIZE / 2, SIZE);
        Node *node = open_it("top.qcow2", true), *below = node_backing(node);
        write_pattern(node, 0x33, 4096, 512);
        write_pattern(node, 0x44, SIZE - 512, 512);
        g_assert_cmpint(node_pwrite_zeroes(node, 2 * CLUSTER, CLUSTER, 0), ==, 0);
        NodeUser *user = node_attach(node, "drive 'a'", PERM_CONSISTENT_READ | PERM_WRITE, PERM_CONSISTENT_READ, &error);
        g_assert_no_error(error);
        image_commit(node, NULL, 0, NULL, &error);
        g_assert_no_error(error);
        g_assert_true(node_readonly(below));
        g_assert_true(node_readonly(node_child(below, "file")));
        g_assert_cmpuint(node_length(below), ==, SIZE);
        check_pattern(below, 0x11, 0, 4096);
        check_pattern(below, 0x33, 4096, 512);
        check_pattern(below, 0, 2 * CLUSTER, CLUSTER);
        check_pattern(below, 0x44, SIZE - 512, 512);
        g_assert_null(node_attach(below, "drive 'b'", PERM_WRITE, PERM_ALL, &error));
        g_clear_error(&error);
        node_detach(user);
        node_unref(node);
    }
    return 0;
}

static int reopens(void *opaque)
{
    g_autoptr(Value) readonly = from_json("{'read-only':true}"), writable = from_json("{'read-only':false,'cache':{'no-flush':true}}");
    g_autoptr(Value) odd = from_json("{'nonsense':1}"), detach = from_json("{'backing':null}"), nobody = from_json("{'backing':'nobody'}");
    g_autoptr(GError) error = NULL;

    (void)opaque;
    fresh_pair("below.qcow2", SIZE, SIZE);
    Node *node = open_it("top.qcow2", true);
    write_pattern(node, 0x55, 0, 512);
    NodeUser *user = node_attach(node, "drive 'a'", PERM_CONSISTENT_READ | PERM_WRITE, PERM_CONSISTENT_READ, &error);
    g_assert_false(node_reopen(node, readonly, &error));       /* somebody writes */
    g_assert_nonnull(error);
    g_clear_error(&error);
    write_pattern(node, 0x55, 512, 512);
    g_assert_true(node_user_change(user, PERM_CONSISTENT_READ, PERM_ALL, &error));
    node_reopen(node, readonly, &error);
    g_assert_no_error(error);
    g_assert_true(node_readonly(node) && node_readonly(node_child(node, "file")));
    g_assert_cmpint(node_pwrite(node, 0, "x", 1), ==, -EPERM);
    check_pattern(node, 0x55, 0, 1024);
    node_reopen(node, writable, &error);
    g_assert_no_error(error);
    g_assert_false(node_readonly(node) || node_readonly(node_child(node, "file")));
    g_assert_true(node_cache(node_child(node, "file")) & CACHE_NO_FLUSH);
    write_pattern(node, 0x66, 1024, 512);
    g_assert_false(node_reopen(node, odd, &error));
    g_clear_error(&error);
    g_assert_false(node_reopen(node, nobody, &error));
    g_clear_error(&error);
    node_reopen(node, detach, &error);
    g_assert_no_error(error);
    g_assert_null(node_backing(node));
    check_pattern(node, 0, CLUSTER, 512);
    node_detach(user);
    node_unref(node);
    return 0;
}

/* A disk that grows over a longer backing file shows zeroes, not what lies below. */
static int growing_over_a_backing_file(void *opaque)
{
    g_autoptr(GError) error = NULL;

    (void)opaque;
    create("below.qcow2", "qcow2", NULL, SIZE);
    Node *node = open_it("below.qcow2", true);
    write_pattern(node, 0x11, 0, SIZE);
    node_unref(node);
    create("top.qcow2", "qcow2", "below.qcow2", SIZE / 2);
    node = open_it("top.qcow2", true);
    node_truncate(node, SIZE, true, PREALLOC_OFF, 0, &error);
    g_assert_no_error(error);
    check_pattern(node, 0x11, 0, SIZE / 2);
    check_pattern(node, 0, SIZE / 2, SIZE / 2);
    node_unref(node);
    return 0;
}

static int who_else_is_there(void *opaque)
{
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    Node *node, *other = NULL;
    NodeOpen how = { .writable = true }, share = { .share = true };

    (void)opaque;
    create("top.qcow2", "qcow2", NULL, SIZE);
    path = path_of("top.qcow2");
    node = open_it("top.qcow2", true);
    g_assert_false(node_open_file(&other, path, "qcow2", NULL, &how, &error));
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, "top.qcow2"));
    g_clear_error(&error);
    g_assert_true(node_open_file(&other, path, "qcow2", NULL, &share, &error));
    g_assert_no_error(error);
    g_assert_true(node_readonly(other));
    check_pattern(other, 0, 0, 512);
    node_unref(other);
    node_unref(node);
    return 0;
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("roost-chain-XXXXXX", NULL);
    block_test("/chain/status", status_through_the_chain);
    block_test("/chain/copy-on-read", reads_are_kept);
    block_test("/chain/copies and writes", copies_and_writes);
    block_test("/chain/commit", commits);
    block_test("/chain/reopen", reopens);
    block_test("/chain/growing", growing_over_a_backing_file);
    block_test("/chain/locks", who_else_is_there);
    result = g_test_run();
    g_autofree char *remove = g_strdup_printf("rm -r '%s'", folder);
    return system(remove) != 0 || result;
}
