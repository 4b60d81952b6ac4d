/* SPDX-License-Identifier: GPL-2.0-or-later */
/* blk.c - raw images: what is opened and what is not, and reads at every edge */
#include "block/blk.h"
#include "base/json.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static char *image(const char *name, size_t length)
{
    char *path = g_build_filename(folder, name, NULL);
    g_autofree uint8_t *bytes = g_malloc(length + 1);

    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 512);
    }
    g_assert_true(g_file_set_contents(path, (const char *)bytes, (gssize)length, NULL));
    return path;
}

static bool open_with(Blk **blk, const char *path, const char *more, GError **err)
{
    g_autofree char *text = g_strdup_printf("{'file':'%s'%s}", path, more);
    g_autoptr(Value) config = json_parse(text, NULL);

    g_assert_nonnull(config);
    return blk_open(blk, config, err);
}

static void refused(const char *path, const char *more, const char *words)
{
    GError *error = NULL;
    Blk *blk = NULL;

    g_assert_false(open_with(&blk, path, more, &error));
    g_assert_null(blk);
    if (!strstr(error->message, words) || strchr(error->message, '\n')) {
        g_error("the sentence is '%s', '%s' was expected", error->message, words);
    }
    g_error_free(error);
}

static void refusals(void)
{
    g_autofree char *good = image("good", 4096), *small = image("small", 511), *empty = image("empty", 0);
    g_autofree char *fifo = g_build_filename(folder, "fifo", NULL);
    g_autoptr(Value) nameless = json_parse("{'id':'d0','readonly':true}", NULL);
    GError *error = NULL;
    Blk *blk = NULL;

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    refused(good, "", "writing is not supported yet; add readonly=on");
    refused(good, ",'readonly':false", "add readonly=on");
    refused(good, ",'readonly':true,'format':'qcow2'", "format=qcow2 is not supported yet; raw is");
    refused(good, ",'readonly':true,'cache':'none'", "the key 'cache' is not supported yet");
    refused("/nonexistent/disk", ",'readonly':true", "drive file '/nonexistent/disk': No such file or directory");
    refused("", ",'readonly':true", "No such file");
    refused(folder, ",'readonly':true", "neither a regular file nor a block device");
    refused("/dev/zero", ",'readonly':true", "neither a regular file nor a block device");
    refused(fifo, ",'readonly':true", "neither a regular file nor a block device");
    refused(small, ",'readonly':true", "511 bytes are less than one sector");
    refused(empty, ",'readonly':true", "0 bytes are less than one sector");
    g_assert_false(blk_open(&blk, nameless, &error));
    g_assert_cmpstr(error->message, ==, "drive 'd0': file=PATH is missing");
    g_error_free(error);
    blk_close(NULL);
}

static void reads(void)
{
    static const struct { uint64_t offset; size_t length; } bad[] = {
        { 0, 4097 }, { 1, 4096 }, { 4096, 1 }, { 4097, 0 }, { UINT64_MAX, 1 }, { UINT64_MAX, 0 }, { UINT64_MAX - 4095, 4096 },
        { INT64_MAX, 512 }, { (uint64_t)INT64_MAX + 1, 512 }, { 512, SIZE_MAX }, { 0, SIZE_MAX },
    };
    g_autofree char *path = image("good", 4096);
    uint8_t bytes[4096];
    Blk *blk;

    g_assert_true(open_with(&blk, path, ",'readonly':true,'format':'raw','id':'d0'", NULL));
    g_assert_cmpuint(blk_length(blk), ==, 4096);
    g_assert_cmpstr(blk_file(blk), ==, path);
    g_assert_true(blk_readonly(blk));
    g_assert_cmpint(blk_pread(blk, 0, bytes, sizeof bytes), ==, 0);
    g_assert_cmphex(bytes[513], ==, (uint8_t)(513 * 7 + 1));
    g_assert_cmpint(blk_pread(blk, 4095, bytes, 1), ==, 0);
    g_assert_cmphex(bytes[0], ==, (uint8_t)(4095 * 7 + 7));
    g_assert_cmpint(blk_pread(blk, 4096, bytes, 0), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(blk_pread(blk, bad[i].offset, bytes, bad[i].length), ==, -EIO);
    }
    g_assert_cmpint(truncate(path, 1024), ==, 0);            /* behind our back */
    g_assert_cmpint(blk_pread(blk, 0, bytes, 1024), ==, 0);
    g_assert_cmpint(blk_pread(blk, 0, bytes, 4096), ==, -EIO);
    g_assert_cmpint(blk_pread(blk, 2048, bytes, 512), ==, -EIO);
    blk_close(blk);
}

static void huge_and_sparse(void)
{
    g_autofree char *path = image("huge", 512);
    uint8_t byte = 1;
    Blk *blk;

    g_assert_cmpint(truncate(path, (off_t)1 << 42), ==, 0);
    g_assert_true(open_with(&blk, path, ",'readonly':true", NULL));
    g_assert_cmpuint(blk_length(blk), ==, UINT64_C(1) << 42);
    g_assert_cmpint(blk_pread(blk, (UINT64_C(1) << 42) - 1, &byte, 1), ==, 0);
    g_assert_cmphex(byte, ==, 0);
    blk_close(blk);
}

int main(int argc, char **argv)
{
    static const char *const names[] = { "good", "small", "empty", "fifo", "huge" };

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("roost-blk-XXXXXX", NULL);
    g_test_add_func("/blk/refusals", refusals);
    g_test_add_func("/blk/reads", reads);
    g_test_add_func("/blk/huge-and-sparse", huge_and_sparse);
    int status = g_test_run();
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free(folder);
    return status;
}
