/* SPDX-License-Identifier: GPL-2.0-or-later */
/* graph.c - options to nodes: names, children, rights, and the sentences of those that are refused */
#include "tests/block/block.h"

#define NULL_DISK "{'driver':'null-co','size':8192,'read-zeroes':true}"

static int a_raw_null_reads(void *opaque)
{
    (void)opaque;
    Node *node = open_json("{'driver':'raw','node-name':'top','size':4096,'offset':512,'file':" NULL_DISK "}");
    uint8_t bytes[512] = { 1 };

    g_assert_cmpuint(node_length(node), ==, 4096);
    g_assert_cmpint(node_pread(node, 3584, bytes, sizeof bytes), ==, 0);
    g_assert_cmpuint(bytes[0], ==, 0);
    g_assert_cmpint(node_pread(node, 3585, bytes, sizeof bytes), ==, -EIO);
    g_assert_cmpint(node_pread(node, UINT64_MAX - 1, bytes, sizeof bytes), ==, -EIO);
    g_assert_cmpint(node_pwrite(node, 0, bytes, sizeof bytes), ==, 0);
    g_assert_cmpint(node_pwrite(node, 4096, bytes, 1), ==, -EIO);
    g_assert_cmpint(node_flush(node), ==, 0);
    g_assert_true(node_find("top") == node);
    g_assert_cmpstr(node_driver_name(node_child(node, "file")), ==, "null-co");
    g_assert_true(g_str_has_prefix(node_name(node_child(node, "file")), "#block"));
    node_unref(node);
    g_assert_null(node_find("top"));
    return 0;
}

static int options_are_checked(void *opaque)
{
    (void)opaque;
    open_json_fails("{'driver':'nonsense'}", "driver=nonsense is not supported");
    open_json_fails("{'node-name':'a'}", "driver=");
    open_json_fails("{'driver':'null-co','sizes':1}", "there is no key 'sizes'; there are size, latency-ns, read-zeroes");
    open_json_fails("{'driver':'raw'}", "file= is missing");
    open_json_fails("{'driver':'raw','file':'nobody'}", "there is no node of that name");
    open_json_fails("{'driver':'raw','file':" NULL_DISK ",'offset':8193}", "beyond the end");
    open_json_fails("{'driver':'raw','file':" NULL_DISK ",'offset':4096,'size':4608}", "beyond the end");
    open_json_fails("{'driver':'null-co','size':18446744073709551615}", "size");
    open_json_fails("{'driver':'null-co','node-name':'1x'}", "a letter");
    open_json_fails("{'driver':'null-co','node-name':'#block001'}", "a letter");
    open_json_fails("{'driver':'null-co','node-name':'a12345678901234567890123456789012'}", "30 letters");
    open_json_fails("{'driver':'null-co','read-only':'perhaps'}", "on or off");
    open_json_fails("{'driver':'null-co','discard':'perhaps'}", "discard=perhaps");
    open_json_fails("{'driver':'null-co','detect-zeroes':'unmap','discard':'ignore'}", "needs discard=unmap");
    open_json_fails("{'driver':'null-co','cache':{'odd':true}}", "cache.odd");
    open_json_fails("{'driver':'null-co','cache':'none'}", "cache: an object");
    open_json_fails("{'driver':'file','filename':'/nonexistent/disk'}", "/nonexistent");
    open_json_fails("{'driver':'throttle','throttle-group':'g','file':" NULL_DISK "}", "no throttle group 'g'");
    return 0;
}

static int names_are_unique(void *opaque)
{
    (void)opaque;
    Node *node = open_json("{'driver':'null-co','node-name':'disk0'}");
    g_autoptr(GError) error = NULL;

    open_json_fails("{'driver':'null-co','node-name':'disk0'}", "a node of that name");
    g_assert_null(blk_new("disk0", &error));
    g_assert_nonnull(strstr(error->message, "disk0"));
    Blk *blk = blk_new("drive0", NULL);
    open_json_fails("{'driver':'null-co','node-name':'drive0'}", "a drive of that id");
    blk_unref(blk);
    node_unref(node);
    return 0;
}

static int text_values_count(void *opaque)
{
    (void)opaque;
    Node *node = open_json("{'driver':'raw','read-only':'on','cache':{'no-flush':'on'},'file':{'driver':'null-co','size':'64k'}}");
    uint8_t byte = 0;

    g_assert_cmpuint(node_length(node), ==, 65536);
    g_assert_true(node_readonly(node));
    g_assert_true(node_readonly(node_child(node, "file")));
    g_assert_true(node_cache(node_child(node, "file")) & CACHE_NO_FLUSH);
    g_assert_cmpint(node_pwrite(node, 0, &byte, 1), ==, -EPERM);
    g_assert_cmpint(node_pdiscard(node, 0, 512), ==, -EPERM);
    node_unref(node);
    return 0;
}

static int rights_meet(void *opaque)
{
    (void)opaque;
    g_autoptr(GError) error = NULL;
    Node *node = open_json("{'driver':'raw','node-name':'top','file':{'driver':'null-co','node-name':'below'}}"), *other;
    NodeUser *a = node_attach(node, "drive 'a'", PERM_CONSISTENT_READ | PERM_WRITE, PERM_CONSISTENT_READ, &error);

    g_assert_no_error(error);
    g_assert_null(node_attach(node, "drive 'b'", PERM_WRITE, PERM_ALL, &error));
    g_assert_cmpstr(error->message, ==, "drive 'b' wants to write 'top', but drive 'a' does not allow that");
    g_clear_error(&error);
    g_assert_null(node_attach(node_find("below"), "drive 'c'", PERM_WRITE, PERM_ALL, &error));
    g_assert_nonnull(strstr(error->message, "node 'top' does not allow that"));
    g_clear_error(&error);
    NodeUser *b = node_attach(node, "drive 'b'", PERM_CONSISTENT_READ, PERM_ALL, &error);
    g_assert_no_error(error);
    g_assert_false(node_user_change(b, PERM_WRITE, PERM_ALL, &error));
    g_clear_error(&error);
    g_assert_true(node_user_change(a, PERM_CONSISTENT_READ, PERM_ALL, &error));
    g_assert_true(node_user_change(b, PERM_WRITE, PERM_ALL, &error));
    /* A second raw node on the same file adds its users' rights there. */
    other = open_json("{'driver':'raw','node-name':'other','file':'below'}");
    NodeUser *c = node_attach(other, "drive 'c'", PERM_CONSISTENT_READ, PERM_CONSISTENT_READ, &error);
    g_assert_null(c);
    g_assert_nonnull(strstr(error->message, "drive 'c'") ? error->message : strstr(error->message, "'other'"));
    node_detach(a);
    node_detach(b);
    node_unref(other);
    node_unref(node);
    return 0;
}

static int read_only_is_no_place_to_write(void *opaque)
{
    (void)opaque;
    g_autoptr(GError) error = NULL;
    Node *node = open_json("{'driver':'null-co','read-only':true,'node-name':'ro'}");

    g_assert_null(node_attach(node, "drive 'a'", PERM_WRITE, PERM_ALL, &error));
    g_assert_cmpstr(error->message, ==, "'ro' is read-only");
    node_unref(node);
    return 0;
}

static int the_monitor_owns(void *opaque)
{
    g_autoptr(Value) options = from_json("{'driver':'null-co','node-name':'mine'}"), nameless = from_json("{'driver':'null-co'}");
    g_autoptr(GError) error = NULL;

    (void)opaque;
    g_assert_true(node_add(options, NULL, &error));
    g_assert_false(node_add(nameless, NULL, &error));
    g_clear_error(&error);
    Node *user = open_json("{'driver':'raw','node-name':'user','file':'mine'}");
    g_assert_false(node_del("mine", &error));
    g_assert_cmpstr(error->message, ==, "node 'mine' is in use as file of node 'user'");
    g_clear_error(&error);
    g_assert_false(node_del("user", &error));
    g_clear_error(&error);
    node_unref(user);
    g_assert_true(node_del("mine", &error));
    g_assert_false(node_del("mine", &error));
    return 0;
}

static int spellings(void *opaque)
{
    static const struct { const char *word, *json; } good[] = {
        { "/x/y.img", "{'driver':'file','filename':'/x/y.img'}" }, { "file:/x/y", "{'driver':'file','filename':'/x/y'}" },
        { "./a:b", "{'driver':'file','filename':'./a:b'}" }, { "x/a:b", "{'driver':'file','filename':'x/a:b'}" },
        { "null-co://", "{'driver':'null-co'}" }, { "null-aio://", "{'driver':'null-aio'}" },
        { "host_device:/dev/sdz", "{'driver':'host_device','filename':'/dev/sdz'}" },
        { "json:{\"driver\":\"null-co\",\"size\":7}", "{'driver':'null-co','size':7}" },
    };
    static const char *const bad[] = { "", "ssh://host/x", "http://x/y", "fat:/tmp", "fat:rw:/tmp", "json:{", "json:[]", "null-co://x", "rbd:pool/x" };

    (void)opaque;
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) got = node_parse_filename(good[i].word, &error), want = from_json(good[i].json);
        g_assert_no_error(error);
        g_assert_true(value_equal(got, want));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(node_parse_filename(bad[i], &error));
        g_assert_nonnull(error);
    }
    return 0;
}

static int status_of_raw(void *opaque)
{
    (void)opaque;
    Node *node = open_json("{'driver':'raw','size':4096,'offset':512,'file':" NULL_DISK "}"), *file;
    uint64_t count, map;

    g_assert_cmpint(node_block_status(node, 1024, 8192, &count, &map, &file), ==,
                    STATUS_ZERO | STATUS_OFFSET | STATUS_ALLOCATED | STATUS_EOF);
    g_assert_cmpuint(count, ==, 3072);
    g_assert_cmpuint(map, ==, 1536);
    g_assert_true(file == node_child(node, "file"));
    g_assert_cmpint(node_block_status(node, 4096, 1, &count, &map, &file), ==, STATUS_EOF);
    g_assert_cmpuint(count, ==, 0);
    node_unref(node);
    return 0;
}

static int a_node_below_itself(void *opaque)
{
    (void)opaque;
    g_autoptr(GError) error = NULL;
    Node *node = open_json("{'driver':'raw','node-name':'a','file':{'driver':'raw','node-name':'b','file':{'driver':'null-co'}}}");

    g_assert_false(node_add_edge(node_find("b"), node, "backing", CHILD_BACKING, &error));
    g_assert_nonnull(strstr(error->message, "above it already"));
    node_unref(node);
    return 0;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test("/graph/a raw window of a null disk", a_raw_null_reads);
    block_test("/graph/options", options_are_checked);
    block_test("/graph/names", names_are_unique);
    block_test("/graph/text values", text_values_count);
    block_test("/graph/rights", rights_meet);
    block_test("/graph/rights on a read-only node", read_only_is_no_place_to_write);
    block_test("/graph/nodes of the monitor", the_monitor_owns);
    block_test("/graph/spellings", spellings);
    block_test("/graph/status", status_of_raw);
    block_test("/graph/no circles", a_node_below_itself);
    return g_test_run();
}
