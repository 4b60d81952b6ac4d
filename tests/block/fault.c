/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault.c - rules of blkdebug, the log of blklogwrites, and what qcow2 makes of errors, a full disk and torn writes below it
 *
 * After a run with faults the image is opened without them: a check may find leaks, never corruption, neither ours nor qemu-img's.
 */
#include "base/bytes.h"
#include "block/drivers.h"
#include "block/image.h"
#include "tests/block/block.h"
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY "{'driver':'null-co','size':65536,'read-zeroes':true}"

static char *folder;

static Node *open_printf(const char *format, ...) G_GNUC_PRINTF(1, 2);
static Node *open_printf(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return open_json(text);
}

static char *new_file(const char *name, uint64_t bytes)
{
    char *path = g_build_filename(folder, name, NULL);
    FILE *file = fopen(path, "w");

    g_assert_nonnull(file);
    g_assert_cmpint(ftruncate(fileno(file), (off_t)bytes), ==, 0);
    fclose(file);
    return path;
}

/* ---- rules ---- */

static int refused(void *opaque)
{
    (void)opaque;
    open_json_fails("{'driver':'blkdebug'}", "image= is missing");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'file':" MEMORY "}", "two words");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'config':'x'}", "no key 'config'");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'inject-error':[{'event':'l2_update'}]}", "event=l2_update");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'inject-error':[{'iotype':'read'}]}", "event");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'inject-error':[{'event':'none','state':2}]}", "states are not supported");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'inject-error':'x'}", "a list of rules");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'rules':[{'errno':'EODD'}]}", "errno=EODD");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'rules':[{'torn':1}]}", "torn is for op=write");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'rules':[{'probability':2}]}", "from 0 to 1");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'rules':[{'op':'erase'}]}", "erase");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'align':3}", "power of two");
    open_json_fails("{'driver':'blkdebug','image':" MEMORY ",'align':4096,'max-transfer':512}", "max-transfer");
    return 0;
}

static int qemu_rules(void *opaque)
{
    uint8_t bytes[1024] = { 0 };
    uint64_t count;
    Node *node = open_json("{'driver':'blkdebug','image':" MEMORY ",'inject-error':[{'event':'none','iotype':'read','sector':3,'errno':28},"
                           "{'event':'none','iotype':'write','once':true,'errno':'13','immediately':true},"
                           "{'event':'flush_to_disk','iotype':'discard'},{'event':'none','iotype':'block-status','sector':8}]}");

    (void)opaque;
    g_assert_cmpint(node_pread(node, 512, bytes, 1024), ==, 0);
    g_assert_cmpint(node_pread(node, 1024, bytes, 1024), ==, -ENOSPC);
    g_assert_cmpint(node_pread(node, 2047, bytes, 1), ==, -ENOSPC);
    g_assert_cmpint(node_pread(node, 2048, bytes, 1), ==, 0);
    g_assert_cmpint(node_pwrite(node, 0, bytes, 512), ==, -EACCES);
    g_assert_cmpint(node_pwrite(node, 0, bytes, 512), ==, 0);
    g_assert_cmpint(node_pdiscard(node, 0, 512), ==, 0);
    g_assert_cmpint(node_flush(node), ==, 0);
    g_assert_cmpint(node_pdiscard(node, 0, 512), ==, -EIO);
    g_assert_cmpint(node_block_status(node, 0, 4096, &count, NULL, NULL), >=, 0);
    g_assert_cmpint(node_block_status(node, 4096, 4096, &count, NULL, NULL), ==, -EIO);
    node_unref(node);
    return 0;
}

static int own_rules(void *opaque)
{
    uint8_t bytes[4096], back[4096];
    g_autofree char *path = new_file("own.raw", 65536);
    Node *node = open_printf("{'driver':'blkdebug','image':{'driver':'file','filename':'%s'},'rules':["
                             "{'op':'write','offset':4096,'length':4096,'torn':1536,'errno':'ENOSPC','after':1,'times':1},"
                             "{'op':'write','offset':'32k','torn':512,'errno':0},"
                             "{'op':'flush','times':2,'after':1},{'op':'read','offset':16384,'length':1,'delay-ns':20000000}]}", path);

    (void)opaque;
    memset(bytes, 1, sizeof bytes);
    g_assert_cmpint(node_pwrite(node, 4096, bytes, 4096), ==, 0);
    memset(bytes, 2, sizeof bytes);
    g_assert_cmpint(node_pwrite(node, 0, bytes, 4096), ==, 0);
    g_assert_cmpint(node_pwrite(node, 4096, bytes, 4096), ==, -ENOSPC);
    g_assert_cmpint(node_pread(node, 4096, back, 4096), ==, 0);
    for (int i = 0; i < 4096; i++) {
        g_assert_cmpint(back[i], ==, i < 1536 ? 2 : 1);
    }
    g_assert_cmpint(node_pwrite(node, 4096, bytes, 4096), ==, 0);
    g_assert_cmpint(node_pwrite(node, 32768, bytes, 4096), ==, 0);             /* the disk lies */
    g_assert_cmpint(node_pread(node, 32768, back, 4096), ==, 0);
    g_assert_true(back[511] == 2 && back[512] == 0);
    int expected[] = { 0, -EIO, -EIO, 0 };
    for (int i = 0; i < 4; i++) {
        g_assert_cmpint(node_flush(node), ==, expected[i]);
    }
    gint64 began = g_get_monotonic_time();
    g_assert_cmpint(node_pread(node, 0, back, 512), ==, 0);
    g_assert_cmpint(node_pread(node, 16384, back, 512), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - began, >=, 20000);
    node_unref(node);
    return 0;
}

static int chance_repeats(void *opaque)
{
    uint64_t pattern[2] = { 0 };
    uint8_t byte;

    (void)opaque;
    for (int run = 0; run < 2; run++) {
        Node *node = open_json("{'driver':'blkdebug','image':" MEMORY ",'rules':[{'op':'read','probability':0.5,'seed':7}]}");
        for (int i = 0; i < 64; i++) {
            pattern[run] |= (uint64_t)(node_pread(node, 0, &byte, 1) == -EIO) << i;
        }
        node_unref(node);
    }
    g_assert_true(pattern[0] == pattern[1]);
    g_assert_cmpint(__builtin_popcountll(pattern[0]), >, 16);
    g_assert_cmpint(__builtin_popcountll(pattern[0]), <, 48);
    return 0;
}

static int limits(void *opaque)
{
    Node *node = open_json("{'driver':'blkdebug','align':4096,'max-transfer':8192,'max-write-zero':'16k','opt-write-zero':8192,'max-discard':8192,"
                           "'opt-discard':4096,'image':" MEMORY ",'rules':[{'op':'read','after':4}]}");
    const NodeLimits *limit = node_limits(node);
    g_autofree uint8_t *bytes = g_malloc(65536);

    (void)opaque;
    g_assert_true(limit->request_alignment == 4096 && limit->max_transfer == 8192 && limit->max_zeroes == 16384 && limit->zeroes_alignment == 8192);
    g_assert_true(limit->max_discard == 8192 && limit->discard_alignment == 4096);
    g_assert_cmpint(node_pread(node, 0, bytes, 32768), ==, 0);                 /* four of 8 KiB each */
    g_assert_cmpint(node_pread(node, 0, bytes, 1), ==, -EIO);
    node_unref(node);
    return 0;
}

/* ---- under qcow2 ---- */

static void qemu_img_check(const char *path)
{
    const char *argv[] = { "qemu-img", "check", "-q", "-f", "qcow2", path, NULL };
    g_autofree char *out = NULL, *errors = NULL;
    int status = 0;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &errors, &status, NULL)) {
        return;                            /* not installed */
    }
    g_test_message("qemu-img check: %s%s", out, errors);
    g_assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3));
}

static void tell(void *opaque, const char *line)
{
    (void)opaque;
    g_test_message("%s", line);
}

static void check_image(const char *path)
{
    g_autofree char *text = g_strdup_printf("{'driver':'qcow2','read-only':true,'file':{'driver':'file','filename':'%s'}}", path);
    NodeOpen how = { .checking = true };
    g_autoptr(Value) options = from_json(text);
    ImageCheck check = { .tell = tell };
    g_autoptr(GError) error = NULL;
    Node *node = NULL;

    node_open(&node, options, &how, &error);
    g_assert_no_error(error);
    g_assert_cmpint(node_driver(node)->check(node, &check, 0), ==, 0);
    g_assert_cmpuint(check.corruptions, ==, 0);
    g_assert_cmpuint(check.check_errors, ==, 0);
    node_unref(node);
    qemu_img_check(path);
}

enum { DISK = 4 << 20, CLUSTER = 4096, BUFFER = 65536 };

/* Writes, zeroes, discards and flushes; what an operation said is believed: what succeeded reads back. Where one failed, anything
 * stands that was there or was to be written. */
static void work(Node *node, uint32_t seed, unsigned *failed)
{
    g_autofree uint8_t *shadow = g_malloc0(DISK), *known = g_malloc(DISK), *buffer = g_malloc(BUFFER);
    g_autoptr(GRand) random = g_rand_new_with_seed(seed);

    memset(known, 1, DISK);
    for (int i = 0; i < 150; i++) {
        uint64_t offset = (uint64_t)g_rand_int_range(random, 0, (DISK - BUFFER) / 512) * 512, bytes = (uint64_t)g_rand_int_range(random, 1, BUFFER / 512) * 512;
        int kind = g_rand_int_range(random, 0, 10), byte = kind < 7 ? g_rand_int_range(random, 1, 256) : 0, result;

        memset(buffer, byte, bytes);
        result = kind < 7 ? node_pwrite(node, offset, buffer, bytes) : kind == 7 ? node_pwrite_zeroes(node, offset, bytes, REQ_MAY_UNMAP)
                 : kind == 8 ? node_flush(node) : node_pread(node, offset, buffer, bytes);
        *failed += result < 0;
        if (kind < 8) {
            memset(shadow + offset, byte, bytes);
            memset(known + offset, result == 0, bytes);
        } else if (kind == 9 && result == 0) {
            for (uint64_t at = 0; at < bytes; at++) {
                g_assert_true(!known[offset + at] || buffer[at] == shadow[offset + at]);
            }
        }
    }
}

static void faulty_run(const char *rules, uint32_t seed)
{
    g_autofree char *path = new_file("faulty.qcow2", 0);
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) options = from_json("{'cluster_size':'4k'}");
    unsigned failed = 0;

    g_assert_true(image_create(path, "qcow2", DISK, options, false, true, NULL, &error));
    g_assert_no_error(error);
    g_autofree char *text = g_strdup_printf("{'driver':'qcow2','file':{'driver':'blkdebug','image':{'driver':'file','filename':'%s'},'rules':[%s]}}", path,
                                            rules);
    g_autoptr(Value) how = from_json(text);
    Node *node = NULL;
    if (!node_open(&node, how, NULL, &error)) {
        return;                            /* a fault met the opening */
    }
    work(node, seed, &failed);
    node_unref(node);
    g_test_message("seed %u: %u requests failed", seed, failed);
    check_image(path);
    g_unlink(path);
}

static int faults_under_qcow2(void *opaque)
{
    static const char *const rules[] = {
        "{'op':'write','errno':'EIO','probability':0.05,'seed':%u}",
        "{'op':'write','errno':'ENOSPC','after':%u}",
        "{'op':'write','torn':512,'probability':0.05,'seed':%u}",
        "{'op':'write','torn':1000,'errno':'ENOSPC','probability':0.1,'seed':%u}",
        "{'op':'any','errno':'EIO','probability':0.03,'seed':%u},{'op':'flush','probability':0.2,'seed':%u}",
        "{'op':'read','errno':'EIO','probability':0.05,'seed':%u}",
    };

    (void)opaque;
    for (uint32_t seed = 1; seed <= 5; seed++) {
        for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
            g_autofree char *text = NULL;
            g_auto(GStrv) parts = g_strsplit(rules[i], "%u", -1);
            g_autofree char *number = g_strdup_printf("%u", seed * 7);
            text = g_strjoinv(number, parts);
            faulty_run(text, seed);
        }
    }
    return 0;
}

/* ---- the log ---- */

static uint64_t replay(const char *log, uint8_t *disk, size_t length, uint64_t *flushes)
{
    g_autofree char *data = NULL;
    size_t size = 0;

    g_assert_true(g_file_get_contents(log, &data, &size, NULL));
    g_assert_cmpuint(load_le64(data), ==, UINT64_C(0x6a736677736872));
    g_assert_cmpuint(load_le64(data + 8), ==, 1);
    uint64_t entries = load_le64(data + 16), unit = load_le32(data + 24), at = unit;
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t sector = load_le64(data + at), sectors = load_le64(data + at + 8), flags = load_le64(data + at + 16);
        at += unit;
        if (flags & 4) {
            memset(disk + sector * unit, 0, sectors * unit);
            continue;
        }
        g_assert_cmpuint((sector + sectors) * unit, <=, length);
        g_assert_cmpuint(at + sectors * unit, <=, size);
        memcpy(disk + sector * unit, data + at, sectors * unit);
        at += sectors * unit;
        *flushes += flags & 1;
    }
    return entries;
}

static void log_run(uint64_t unit, bool append)
{
    g_autofree char *disk = new_file("disk.raw", 1 << 20), *log = append ? g_build_filename(folder, "log", NULL) : new_file("log", 0);
    g_autofree uint8_t *bytes = g_malloc(8192), *model = g_malloc0(1 << 20), *real = g_malloc(1 << 20);
    uint64_t flushes = 0;
    Node *node = open_printf("{'driver':'blklogwrites','log-sector-size':%d,'log-super-update-interval':3,'log-append':%s,"
                             "'file':{'driver':'file','filename':'%s'},'log':{'driver':'%s'%s'filename':'%s'%s}}", (int)unit, append ? "true" : "false", disk,
                             append ? "raw" : "file", append ? ",'file':{'driver':'file'," : ",", log, append ? "}" : "");

    for (int i = 0; i < 20; i++) {
        memset(bytes, i + 1, 8192);
        g_assert_cmpint(node_pwrite(node, (uint64_t)i * 8192 + (i % 3 ? 0 : 100), bytes, 8192), ==, 0);
    }
    g_assert_cmpint(node_flush(node), ==, 0);
    g_assert_cmpint(node_pwrite_zeroes(node, 8192, 16384, 0), ==, 0);
    g_assert_cmpint(node_pdiscard(node, 65536, 8192), ==, 0);
    g_assert_cmpint(node_pread(node, 0, real, 1 << 20), ==, 0);
    node_unref(node);
    g_assert_cmpuint(replay(log, model, 1 << 20, &flushes), >=, append ? 46 : 23);
    g_assert_cmpuint(flushes, >=, append ? 2 : 1);
    g_assert_cmpint(memcmp(model, real, 1 << 20), ==, 0);
    g_unlink(disk);
}

static int logs(void *opaque)
{
    (void)opaque;
    log_run(4096, false);
    log_run(512, false);
    log_run(4096, true);                   /* the log's own sector size counts */
    return 0;
}

static int bad_logs(void *opaque)
{
    g_autofree char *log = new_file("bad", 4096), *text = NULL;
    uint8_t bytes[4096] = { 0 };

    (void)opaque;
    open_json_fails("{'driver':'blklogwrites','file':" MEMORY "}", "log= is missing");
    open_json_fails("{'driver':'blklogwrites','log-sector-size':768,'file':" MEMORY ",'log':{'driver':'null-co','size':4096,'read-zeroes':true}}",
                    "a power of two");
    text = g_strdup_printf("{'driver':'blklogwrites','log-append':true,'file':" MEMORY ",'log':{'driver':'file','filename':'%s'}}", log);
    open_json_fails(text, "no log of version 1");
    store_le64(bytes, UINT64_C(0x6a736677736872));
    store_le64(bytes + 8, 1);
    store_le64(bytes + 16, 3);
    store_le32(bytes + 24, 100);
    g_assert_true(g_file_set_contents(log, (char *)bytes, sizeof bytes, NULL));
    open_json_fails(text, "log-sector-size=100");
    store_le32(bytes + 24, 512);
    store_le64(bytes + 512 + 8, UINT64_MAX / 512);
    g_assert_true(g_file_set_contents(log, (char *)bytes, sizeof bytes, NULL));
    open_json_fails(text, "beyond the end of the log");
    store_le64(bytes + 16, UINT64_MAX);
    g_assert_true(g_file_set_contents(log, (char *)bytes, sizeof bytes, NULL));
    open_json_fails(text, "at most");
    return 0;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("roost-fault-XXXXXX", NULL);
    block_test("/fault/refused", refused);
    block_test("/fault/qemu-rules", qemu_rules);
    block_test("/fault/own-rules", own_rules);
    block_test("/fault/chance-repeats", chance_repeats);
    block_test("/fault/limits", limits);
    block_test("/fault/under-qcow2", faults_under_qcow2);
    block_test("/log-writes/replay", logs);
    block_test("/log-writes/refused", bad_logs);
    int result = g_test_run();
    g_autofree char *remove = g_strdup_printf("rm -rf '%s'", folder);
    g_assert_cmpint(system(remove), ==, 0);
    return result;
}
