/* SPDX-License-Identifier: GPL-2.0-or-later */
/* drive.c - -drive and -blockdev of the configuration tree: what is opened, what it is called, what is refused */
#include "tests/block/block.h"
#include "base/loop.h"
#include "base/timer.h"
#include "block/blk-core.h"
#include "block/drive.h"
#include <stdlib.h>
#include <unistd.h>

static char *folder;

static char *make_file(const char *name, const void *bytes, size_t length, uint64_t size)
{
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
    g_assert_cmpint(truncate(path, (off_t)size), ==, 0);
    return path;
}

static Value *with_path(const char *format, const char *path)
{
    g_autoptr(GString) text = g_string_new(format);

    g_string_replace(text, "@", path, 0);
    return from_json(text->str);
}

static Blk *open_drive(const char *format, const char *path)
{
    g_autoptr(Value) drive = with_path(format, path);
    g_autoptr(GError) error = NULL;
    Blk *blk = drive_open(drive, &error);

    g_assert_no_error(error);
    return blk;
}

static void refuse_drive(const char *format, const char *path, const char *words)
{
    g_autoptr(Value) drive = with_path(format, path);
    g_autoptr(GError) error = NULL;

    g_assert_null(drive_open(drive, &error));
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, words));
    g_assert_null(blk_next(NULL));
    g_assert_null(node_next(NULL));
}

static void close_drive(Blk *blk)
{
    blk_unref(blk);
    g_assert_null(blk_next(NULL));
    g_assert_null(node_next(NULL));
}

static void a_raw_file(void)
{
    g_autofree char *path = make_file("disk.img", "hello", 5, 65536);
    Blk *blk = open_drive("{'file':'@','format':'raw','id':'d0','if':'none'}", path);
    char bytes[5];

    g_assert_cmpstr(blk_id(blk), ==, "d0");
    g_assert_cmpuint(blk_length(blk), ==, 65536);
    g_assert_false(blk_readonly(blk));
    g_assert_true(blk_write_cache(blk));
    g_assert_true(blk_discard_wanted(blk));
    g_assert_cmpint(blk_pread(blk, 0, bytes, 5), ==, 0);
    g_assert_cmpint(memcmp(bytes, "hello", 5), ==, 0);
    g_assert_cmpstr(node_filename(blk_node(blk)), ==, path);
    close_drive(blk);
    blk = open_drive("{'file':'@','format':'raw','readonly':'on','cache':'directsync','discard':'unmap'}", path);
    g_assert_cmpstr(blk_id(blk), ==, "ide0-hd0");
    g_assert_true(blk_readonly(blk));
    g_assert_false(blk_write_cache(blk));
    g_assert_true(node_cache(blk_node(blk)) & CACHE_DIRECT);
    g_assert_true(blk_discard_wanted(blk));
    close_drive(blk);
    blk = open_drive("{'file':'@','format':'raw','cache':{'writeback':false,'no-flush':true}}", path);
    g_assert_false(blk_write_cache(blk));
    g_assert_true(node_cache(blk_node(blk)) & CACHE_NO_FLUSH);
    g_assert_false(blk_discard_wanted(blk));                   /* if=ide */
    close_drive(blk);
    blk = open_drive("{'file':{'driver':'file','filename':'@','locking':'off'},'driver':'raw','offset':512,'size':'1k','id':'w'}", path);
    g_assert_cmpuint(blk_length(blk), ==, 1024);
    close_drive(blk);
    blk = open_drive("{'file':{'filename':'@','locking':'off'},'id':'w'}", path);
    g_assert_cmpuint(blk_length(blk), ==, 65536);
    close_drive(blk);
}

static void spelled_out(void)
{
    g_autofree char *path = make_file("spelled.img", "x", 1, 65536);
    Blk *blk = open_drive("{'file':{'driver':'file','filename':'@'},'id':'a','aio':'threads'}", path);

    g_assert_cmpstr(node_driver_name(blk_node(blk)), ==, "raw");
    close_drive(blk);
    blk = open_drive("{'driver':'null-co','size':'1M','id':'a','aio':'threads'}", path);
    g_assert_cmpuint(blk_length(blk), ==, 1 << 20);
    close_drive(blk);
    blk = open_drive("{'file':'null-co://','id':'a','cache':'none'}", path);
    g_assert_cmpuint(blk_length(blk), ==, 1 << 30);
    close_drive(blk);
    blk = open_drive("{'file':'json:{\"driver\":\"raw\",\"size\":512,\"file\":{\"driver\":\"file\",\"filename\":\"@\"}}','id':'a'}", path);
    g_assert_cmpuint(blk_length(blk), ==, 512);
    close_drive(blk);
}

static void ends(void)
{
    g_autofree char *path = make_file("huge.img", "x", 1, UINT64_C(1) << 42);
    Blk *blk = open_drive("{'file':'@','format':'raw','readonly':true}", path);
    uint8_t bytes[2];

    g_assert_cmpuint(blk_length(blk), ==, UINT64_C(1) << 42);
    g_assert_cmpint(blk_pread(blk, (UINT64_C(1) << 42) - 1, bytes, 1), ==, 0);
    g_assert_cmpint(blk_pread(blk, (UINT64_C(1) << 42) - 1, bytes, 2), ==, -EIO);
    g_assert_cmpint(blk_pread(blk, UINT64_C(1) << 42, bytes, 0), ==, 0);
    g_assert_cmpint(blk_pread(blk, UINT64_MAX, bytes, 1), ==, -EIO);
    g_assert_cmpint(blk_pread(blk, UINT64_MAX, bytes, 2), ==, -EIO);
    close_drive(blk);
}

static void names(void)
{
    static const struct { const char *drive, *id; } cases[] = {
        { "{}", "ide0-hd0" }, { "{'index':2,'media':'cdrom'}", "ide1-cd0" }, { "{'if':'ide','bus':1,'unit':1}", "ide1-hd1" },
        { "{'if':'virtio','index':3}", "virtio3" }, { "{'if':'floppy','index':1}", "floppy1" }, { "{'if':'scsi','index':8}", "scsi1-hd1" },
        { "{'if':'none'}", "none0" }, { "{'id':'x'}", "x" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Blk *blk = open_drive(cases[i].drive, "");
        g_assert_cmpstr(blk_id(blk), ==, cases[i].id);
        g_assert_false(blk_has_medium(blk));
        close_drive(blk);
    }
    Blk *first = open_drive("{'if':'virtio'}", ""), *second = open_drive("{'if':'virtio'}", "");
    g_assert_cmpstr(blk_id(second), ==, "virtio1");
    blk_unref(second);
    close_drive(first);
}

static void refusals(void)
{
    g_autofree char *path = make_file("bad.img", "x", 1, 65536);

    refuse_drive("{'file':'@','format':'raw','nonsense':1}", path, "there is no key 'nonsense'");
    refuse_drive("{'file':'@','format':'nonsense'}", path, "format=nonsense is not supported");
    refuse_drive("{'file':'@.no','format':'raw','id':'q'}", path, "drive 'q': ");
    refuse_drive("{'file':'@','format':'raw','cache':'warm'}", path, "cache=warm");
    refuse_drive("{'file':'@','format':'raw','aio':'telepathy'}", path, "telepathy");
    refuse_drive("{'file':'@','format':'raw','werror':'cry'}", path, "werror=cry");
    refuse_drive("{'file':'@','format':'raw','rerror':'enospc'}", path, "rerror=enospc");
    refuse_drive("{'file':'@','format':'raw','readonly':'maybe'}", path, "readonly=");
    refuse_drive("{'file':'@','format':'raw','driver':'raw'}", path, "use one of them");
    refuse_drive("{'file':'@','format':'raw','bps':5,'throttling':{'bps-total':5}}", path, "use one of them");
    refuse_drive("{'file':'@','format':'raw','iops_max':5}", path, "needs iops-total");
    refuse_drive("{'file':'@','format':'raw','readonly':true,'copy-on-read':true}", path, "copy-on-read");
    refuse_drive("{'file':'ssh://host/x'}", path, "the protocol 'ssh' is not supported");
}

static void filters(void)
{
    g_autofree char *path = make_file("f.img", "x", 1, 65536);
    Blk *blk = open_drive("{'file':'@','format':'raw','id':'t','iops':100,'throttling':{'iops-total-max':200},'copy-on-read':'on'}", path);
    Node *node = blk_node(blk);
    char byte;

    g_assert_cmpstr(node_driver_name(node), ==, "copy-on-read");
    g_assert_cmpstr(node_driver_name(node_child(node, "file")), ==, "throttle");
    g_assert_cmpstr(node_driver_name(node_skip_filters(node)), ==, "raw");
    g_assert_cmpint(blk_pread(blk, 0, &byte, 1), ==, 0);
    g_assert_cmpuint(blk_length(blk), ==, 65536);
    close_drive(blk);
}

static void suffixes(void)
{
    g_autofree char *disguised = make_file("evil.img", "QFI\373\0\0\0\003", 8, 65536), *plain = make_file("plain", "x", 1, 4096);
    Blk *blk;

    if (node_driver_find("qcow2")) {
        refuse_drive("{'file':'@'}", disguised, "format=qcow2");
    }
    blk = open_drive("{'file':'@','format':'raw'}", disguised);            /* said is said */
    g_assert_cmpuint(blk_length(blk), ==, 65536);
    close_drive(blk);
    blk = open_drive("{'file':'@'}", plain);
    g_assert_cmpstr(node_driver_name(blk_node(blk)), ==, "raw");
    close_drive(blk);
}

static void written(BlkRequest *request, int result)
{
    (void)request;
    g_assert_cmpint(result, ==, 0);
}

static void temporary_overlay(void)
{
    g_autofree char *path = make_file("base.img", "base", 4, 65536);
    char bytes[4], *contents;
    Blk *blk;

    if (!node_driver_find("qcow2")) {
        g_test_skip("no qcow2");
        return;
    }
    blk = open_drive("{'file':'@','format':'raw','snapshot':'on'}", path);
    g_assert_false(blk_readonly(blk));
    g_assert_true(node_readonly(node_backing(blk_node(blk))));
    g_assert_cmpint(blk_pread(blk, 0, bytes, 4), ==, 0);
    g_assert_cmpint(memcmp(bytes, "base", 4), ==, 0);
    struct iovec piece = { (void *)"OVER", 4 };
    BlkRequest write = { .op = BLK_WRITE, .bytes = 4, .iov = &piece, .iov_count = 1, .done = written };
    blk_submit(blk, &write);
    blk_drain(blk);
    g_assert_cmpint(blk_pread(blk, 0, bytes, 4), ==, 0);
    g_assert_cmpint(memcmp(bytes, "OVER", 4), ==, 0);
    close_drive(blk);
    g_assert_true(g_file_get_contents(path, &contents, NULL, NULL));
    g_assert_cmpint(memcmp(contents, "base", 4), ==, 0);
    g_free(contents);
}

static void a_whole_tree(void)
{
    g_autofree char *path = make_file("tree.img", "x", 1, 65536);
    g_autoptr(Value) tree = with_path("{'blockdevs':[{'driver':'file','node-name':'f0','filename':'@'},"
                                      "{'driver':'raw','node-name':'r0','file':'f0'}],'drives':[{'file':'@','format':'raw','id':'d0','readonly':true},"
                                      "{'media':'cdrom','index':2}]}", path);
    g_autoptr(GError) error = NULL;

    g_assert_true(drives_open(tree, &error));
    g_assert_no_error(error);
    Blk *blk = blk_for_device("r0", &error);
    g_assert_no_error(error);
    g_assert_true(blk_attach_device(blk, "disk", NULL, NULL, false, &error));
    g_assert_true(blk_claim(blk, true, true, &error));
    g_assert_null(blk_for_device("nobody", &error));
    g_clear_error(&error);
    g_assert_nonnull(blk_find("ide1-cd0"));
    g_assert_false(node_del("r0", &error));
    g_assert_cmpstr(error->message, ==, "node 'r0' is in use by device 'disk'");
    blk_detach_device(blk);
    blk_unref(blk);
    g_assert_true(blk_flush_all());
    blk_close_all();
    g_assert_null(blk_next(NULL));
    g_assert_null(node_next(NULL));
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    loop_init();
    clocks_attach();
    io_loop_attach_main();
    folder = g_dir_make_tmp("roost-drive-XXXXXX", NULL);
    g_setenv("TMPDIR", folder, TRUE);
    g_test_add_func("/drive/a raw file", a_raw_file);
    g_test_add_func("/drive/spelled out", spelled_out);
    g_test_add_func("/drive/ends", ends);
    g_test_add_func("/drive/names", names);
    g_test_add_func("/drive/refusals", refusals);
    g_test_add_func("/drive/filters", filters);
    g_test_add_func("/drive/suffixes", suffixes);
    g_test_add_func("/drive/a temporary overlay", temporary_overlay);
    g_test_add_func("/drive/a whole tree", a_whole_tree);
    result = g_test_run();
    g_autofree char *remove = g_strdup_printf("rm -r '%s'", folder);
    return system(remove) != 0 || result;
}
