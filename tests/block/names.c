/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names.c - names that images hold: which are followed, which are refused and by which words; formats that nobody named */
#include "tests/block/block.h"
#include <glib/gstdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *folder;                       /* FOLDER/vm holds the images, FOLDER/secret what they must not reach */

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void make_file(const char *name, const void *bytes, size_t length, uint64_t size)
{
    g_autofree char *path = path_of(name), *above = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(above, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
    g_assert_cmpint(truncate(path, (off_t)size), ==, 0);
}

static void make_link(const char *to, const char *name)
{
    g_autofree char *path = path_of(name);

    g_assert_cmpint(symlink(to, path), ==, 0);
}

static Node *open_image(const char *name, bool trust)
{
    g_autofree char *path = path_of(name);
    NodeOpen how = { .trust = trust };
    g_autoptr(GError) error = NULL;
    Node *node = NULL;

    node_open_file(&node, path, "raw", NULL, &how, &error);
    g_assert_no_error(error);
    return node;
}

/* The sentence, or NULL when it was followed. */
static char *follow(const char *image, const char *name, const char *format, bool trust)
{
    Node *node = open_image(image, trust);
    NodeOpen how = node->core->how;
    g_autofree char *text = NULL;
    g_autoptr(GString) full = g_string_new(name);
    GError *error = NULL;
    bool good;

    g_string_replace(full, "@", folder, 0);
    good = node_open_named(node, "backing", CHILD_BACKING, full->str, format, &how, &error);
    g_assert_true(good == !error);
    g_assert_true(good == (node_child(node, "backing") != NULL));
    if (error) {
        text = g_strdup(error->message);
        g_test_message("%s", text);
        g_error_free(error);
    }
    node_unref(node);
    g_assert_null(node_next(NULL));
    return g_steal_pointer(&text);
}

static const char *const inside[] = { "base.img", "./base.img", "sub/deep.img", "@/vm/base.img", "sub/../base.img", "link-in", "@/vm/sub/deep.img" };
static const struct { const char *name, *words; } outside[] = {
    { "../secret/shadow", "lies outside" }, { "@/secret/shadow", "lies outside" }, { "/etc/passwd", "lies outside" },
    { "link-out", "lies outside" }, { "sub/../../secret/shadow", "lies outside" }, { "folder-out/shadow", "lies outside" },
    { "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}", "no plain path" }, { "nbd://localhost/x", "no plain path" },
    { "file:base.img", "no plain path" }, { "null-co://", "no plain path" }, { "host_device:/dev/null", "no plain path" },
    { "/dev/zero", "lies outside" }, { "/nowhere/x", "lies outside" }, { "../nobody", "lies outside" }, { "nobody.img", "No such file" }, { "@/vm-too/base.img", "lies outside" },
};

static int followed_into_the_own_folder(void *opaque)
{
    (void)opaque;
    for (size_t i = 0; i < G_N_ELEMENTS(inside); i++) {
        g_autofree char *refused = follow("vm/image.img", inside[i], "raw", false);
        g_assert_cmpstr(refused, ==, NULL);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(outside); i++) {
        g_autofree char *refused = follow("vm/image.img", outside[i].name, "raw", false);
        g_assert_nonnull(refused);
        g_assert_nonnull(strstr(refused, outside[i].words));
        g_assert_nonnull(strstr(refused, "image.img"));
        if (!strstr(refused, "No such file")) {
            g_assert_nonnull(strstr(refused, "backing.file.filename="));
            g_assert_nonnull(strstr(refused, "trust"));
        }
    }
    return 0;
}

static int a_link_into_a_store(void *opaque)
{
    (void)opaque;
    g_autofree char *beside_the_link = follow("vm/linked.img", "base.img", "raw", false);
    g_autofree char *beside_the_file = follow("vm/linked.img", "../store/base.img", "raw", false);
    g_autofree char *elsewhere = follow("vm/linked.img", "../secret/shadow", "raw", false);

    g_assert_cmpstr(beside_the_link, ==, NULL);
    g_assert_cmpstr(beside_the_file, ==, NULL);
    g_assert_nonnull(elsewhere);
    return 0;
}

static int trust_follows_anything(void *opaque)
{
    (void)opaque;
    g_autofree char *out = follow("vm/image.img", "../secret/shadow", "raw", true);
    g_autofree char *json = follow("vm/image.img", "json:{\"driver\":\"null-co\"}", NULL, true);
    g_autofree char *protocol = follow("vm/image.img", "null-co://", "raw", true);

    g_assert_cmpstr(out, ==, NULL);
    g_assert_cmpstr(json, ==, NULL);
    g_assert_cmpstr(protocol, ==, NULL);
    return 0;
}

static int formats_of_backing_files(void *opaque)
{
    (void)opaque;
    g_autofree char *raw = follow("vm/image.img", "base.img", NULL, false);
    g_assert_cmpstr(raw, ==, NULL);
    if (node_driver_find("qcow2")) {
        g_autofree char *refused = follow("vm/image.img", "disguised.img", NULL, false);
        g_assert_nonnull(refused);
        g_assert_nonnull(strstr(refused, "roost img rebase -u -F qcow2"));
    }
    g_autofree char *said = follow("vm/image.img", "disguised.img", "raw", false);
    g_assert_cmpstr(said, ==, NULL);
    return 0;
}

/* ---- whole images ---- */

static bool create(const char *name, const char *backing, const char *format)
{
    g_autofree char *path = path_of(name);
    g_autoptr(Value) options = value_new_object();
    g_autoptr(GError) error = NULL;

    if (backing) {
        value_set(options, "backing_file", value_new_string(backing));
    }
    if (format) {
        value_set(options, "backing_fmt", value_new_string(format));
    }
    bool good = image_create(path, "qcow2", 65536, options, false, true, NULL, &error);
    g_assert_no_error(error);
    return good;
}

static char *open_whole(const char *name, const Value *more, bool trust)
{
    g_autofree char *path = path_of(name);
    NodeOpen how = { .trust = trust };
    GError *error = NULL;
    char *text = NULL;
    Node *node;

    if (node_open_file(&node, path, "qcow2", more, &how, &error)) {
        node_unref(node);
    } else {
        text = g_strdup(error->message);
        g_test_message("%s", text);
        g_error_free(error);
    }
    g_assert_null(node_next(NULL));
    return text;
}

static int chains(void *opaque)
{
    (void)opaque;
    if (!node_driver_find("qcow2")) {
        g_test_skip("no qcow2");
        return 0;
    }
    create("vm/bottom.qcow2", NULL, NULL);
    create("vm/middle.qcow2", "bottom.qcow2", "qcow2");
    create("vm/top.qcow2", "middle.qcow2", "qcow2");
    g_autofree char *good = open_whole("vm/top.qcow2", NULL, false);
    g_assert_cmpstr(good, ==, NULL);
    create("vm/bottom.qcow2", "top.qcow2", "qcow2");           /* a circle now */
    g_autofree char *circle = open_whole("vm/top.qcow2", NULL, true);
    g_assert_nonnull(circle);
    g_assert_nonnull(strstr(circle, "its own chain"));
    create("vm/self.qcow2", "self.qcow2", "qcow2");
    g_autofree char *self = open_whole("vm/self.qcow2", NULL, true);
    g_assert_nonnull(self);

    create("vm/far.qcow2", "../secret/shadow", "raw");
    g_autofree char *far = open_whole("vm/far.qcow2", NULL, false);
    g_assert_nonnull(strstr(far, "lies outside"));
    g_autofree char *secret = path_of("secret/shadow");
    g_autoptr(Value) given = value_new_object();
    value_path_set(given, "backing.driver", value_new_string("raw"), NULL);
    value_path_set(given, "backing.file.filename", value_new_string(secret), NULL);
    g_autofree char *explicit = open_whole("vm/far.qcow2", given, false);
    g_assert_cmpstr(explicit, ==, NULL);
    g_autoptr(Value) none = value_new_object();
    value_set(none, "backing", value_new_null());
    g_autofree char *without = open_whole("vm/far.qcow2", none, false);
    g_assert_cmpstr(without, ==, NULL);
    /* An image that a person named has its own names checked all the same. */
    create("vm/over.qcow2", "far.qcow2", "qcow2");
    g_autofree char *below = open_whole("vm/over.qcow2", NULL, false);
    g_assert_nonnull(strstr(below, "lies outside"));
    return 0;
}

static int a_long_chain(void *opaque)
{
    enum { MOST = 200 };

    (void)opaque;
    if (!node_driver_find("qcow2")) {
        g_test_skip("no qcow2");
        return 0;
    }
    create("vm/chain0.qcow2", NULL, NULL);
    for (int i = 1; i <= MOST + 1; i++) {
        g_autofree char *name = g_strdup_printf("vm/chain%d.qcow2", i), *below = g_strdup_printf("chain%d.qcow2", i - 1);
        create(name, below, "qcow2");
    }
    g_autofree char *good = open_whole("vm/chain200.qcow2", NULL, false);
    g_assert_cmpstr(good, ==, NULL);
    g_autofree char *long_one = open_whole("vm/chain201.qcow2", NULL, false);
    g_assert_nonnull(strstr(long_one, "more than 200"));
    g_autofree char *path = path_of("vm/chain200.qcow2");
    Node *node;
    uint8_t bytes[512];
    g_assert_true(node_open_file(&node, path, "qcow2", NULL, &(NodeOpen){ 0 }, NULL));
    g_assert_cmpint(node_pread(node, 1000, bytes, sizeof bytes), ==, 0);   /* and read to its end */
    node_unref(node);
    return 0;
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("roost-names-XXXXXX", NULL);
    make_file("vm/image.img", "x", 1, 65536);
    make_file("vm/base.img", "x", 1, 65536);
    make_file("vm/sub/deep.img", "x", 1, 65536);
    make_file("vm/disguised.img", "QFI\373\0\0\0\003", 8, 65536);
    make_file("vm-too/base.img", "x", 1, 65536);
    make_file("secret/shadow", "x", 1, 65536);
    make_file("store/image.img", "x", 1, 65536);
    make_file("store/base.img", "x", 1, 65536);
    make_link("base.img", "vm/link-in");
    make_link("../secret/shadow", "vm/link-out");
    make_link("../secret", "vm/folder-out");
    make_link("../store/image.img", "vm/linked.img");
    block_test("/names/followed into the own folder", followed_into_the_own_folder);
    block_test("/names/a link into a store", a_link_into_a_store);
    block_test("/names/trust", trust_follows_anything);
    block_test("/names/formats", formats_of_backing_files);
    block_test("/names/chains", chains);
    block_test("/names/a long chain", a_long_chain);
    result = g_test_run();
    g_autofree char *remove = g_strdup_printf("rm -r '%s'", folder);
    return system(remove) != 0 || result;
}
