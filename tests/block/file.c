/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.c - files of the host as nodes: what is refused, O_DIRECT below requests of any size, holes, sizes, full disks, locks
 *
 * Locks are tried against this process itself and against Debian's qemu-io, where it is installed.
 */
#include "block/proto/file.h"
#include "tests/block/block.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 1 << 20, STEPS = 300, LONGEST = 40000 };

static char *folder;

static char *path_of(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static char *make_file(const char *name, size_t size)
{
    char *path = path_of(name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    close(fd);
    return path;
}

static Node *open_with(const char *path, const char *more, const NodeOpen *how)
{
    g_autofree char *text = g_strdup_printf("{'driver':'file','filename':'%s'%s}", path, more);
    g_autoptr(Value) options = from_json(text);
    g_autoptr(GError) error = NULL;
    Node *node = NULL;

    node_open(&node, options, how, &error);
    g_assert_no_error(error);
    return node;
}

static void open_fails(const char *path, const char *more, const char *words)
{
    g_autofree char *text = g_strdup_printf("{'driver':'file','filename':'%s'%s}", path, more);

    open_json_fails(text, words);
}

/* ---- what is refused ---- */

static int refusals(void *opaque)
{
    g_autofree char *fifo = path_of("fifo"), *missing = path_of("missing"), *plain = make_file("plain", 4096);

    (void)opaque;
    g_assert_cmpint(mkfifo(fifo, 0644), ==, 0);
    open_fails(folder, ",'read-only':true", "directory");
    open_fails(fifo, "", "FIFO");
    open_fails(missing, "", "No such file");
    open_fails("/dev/null", "", "regular file");
    open_fails("/dev/fdset/3", "", "add-fd");
    open_fails(plain, ",'pr-manager':'x'", "reservations");
    open_fails(plain, ",'x-check-cache-dropped':true", "not supported");
    open_fails(plain, ",'aio':'native'", "requires cache.direct=on");
    open_fails(plain, ",'aio':'magic'", "magic");
    g_unlink(fifo);
    g_unlink(plain);
    return 0;
}

/* ---- requests of any size against a shadow ---- */

static void random_step(Node *node, GRand *random, uint8_t *shadow, uint8_t *buffer, unsigned finest)
{
    uint64_t offset = (uint64_t)g_rand_int_range(random, 0, SIZE - LONGEST) / finest * finest;
    size_t bytes = (size_t)g_rand_int_range(random, 1, LONGEST);

    switch (g_rand_int_range(random, 0, 8)) {
    case 0:
        g_assert_cmpint(node_pwrite_zeroes(node, offset, bytes, g_rand_boolean(random) ? REQ_MAY_UNMAP : 0), ==, 0);
        memset(shadow + offset, 0, bytes);
        break;
    case 1:
        g_assert_cmpint(node_flush(node), ==, 0);
        break;
    case 2:
    case 3:
    case 4:
        for (size_t i = 0; i < bytes; i++) {
            buffer[i] = (uint8_t)g_rand_int(random);
        }
        g_assert_cmpint(node_pwrite(node, offset, buffer, bytes), ==, 0);
        memcpy(shadow + offset, buffer, bytes);
        break;
    default:
        g_assert_cmpint(node_pread(node, offset, buffer, bytes), ==, 0);
        g_assert_true(memcmp(buffer, shadow + offset, bytes) == 0);
    }
}

static int random_requests(const char *more)
{
    g_autofree char *path = make_file("random", SIZE);
    g_autofree uint8_t *shadow = g_malloc0(SIZE), *buffer = g_malloc(LONGEST);
    g_autoptr(GRand) random = g_rand_new_with_seed(3);
    g_autofree char *content = NULL;
    gsize length;
    Node *node = open_with(path, more, NULL);

    for (int i = 0; i < STEPS; i++) {
        random_step(node, random, shadow, buffer, i % 2 ? 512 : 1);
    }
    node_unref(node);
    g_assert_true(g_file_get_contents(path, &content, &length, NULL));
    g_assert_cmpuint(length, ==, SIZE);
    g_assert_true(memcmp(content, shadow, SIZE) == 0);
    g_unlink(path);
    return 0;
}

static int random_threads(void *opaque G_GNUC_UNUSED)
{
    return random_requests(",'aio':'threads'");
}

static int random_direct(void *opaque G_GNUC_UNUSED)
{
    return random_requests(",'cache':{'direct':true}");
}

static int random_direct_threads(void *opaque G_GNUC_UNUSED)
{
    return random_requests(",'aio':'threads','cache':{'direct':true}");
}

/* What this build or kernel has not is not a failure of the file. */
static int random_with(const char *engine)
{
    g_autofree char *path = make_file("random", SIZE), *more = g_strdup_printf(",'aio':'%s','cache':{'direct':true}", engine);
    g_autofree char *text = g_strdup_printf("{'driver':'file','filename':'%s'%s}", path, more);
    g_autoptr(Value) options = from_json(text);
    g_autoptr(GError) error = NULL;
    Node *node = NULL;

    if (!node_open(&node, options, NULL, &error)) {
        g_test_skip(error->message);
        return 0;
    }
    node_unref(node);
    return random_requests(more);
}

static int random_native(void *opaque G_GNUC_UNUSED)
{
    return random_with("native");
}

static int random_uring(void *opaque G_GNUC_UNUSED)
{
    return random_with("io_uring");
}

/* ---- space ---- */

static int64_t blocks_of(const char *path)
{
    struct stat info;

    g_assert_cmpint(stat(path, &info), ==, 0);
    return (int64_t)info.st_blocks * 512;
}

static void status_is(Node *node, uint64_t offset, uint64_t bytes, int flags, uint64_t expected)
{
    uint64_t count = 0, map = 0;
    Node *file = NULL;
    int result = node_block_status(node, offset, bytes, &count, &map, &file);

    g_assert_cmpint(result & (STATUS_DATA | STATUS_ZERO), ==, flags);
    g_assert_cmpuint(count, ==, expected);
    g_assert_cmpuint(map, ==, offset);
    g_assert_true(file == node);
}

static int holes(void *opaque G_GNUC_UNUSED)
{
    g_autofree char *path = make_file("holes", SIZE);
    g_autofree uint8_t *bytes = g_malloc(65536);
    Node *node = open_with(path, ",'discard':'unmap'", NULL);

    memset(bytes, 1, 65536);
    status_is(node, 0, SIZE, STATUS_ZERO, SIZE);
    g_assert_cmpint(node_pwrite(node, 65536, bytes, 65536), ==, 0);
    status_is(node, 0, SIZE, STATUS_ZERO, 65536);
    status_is(node, 65536, SIZE - 65536, STATUS_DATA, 65536);
    status_is(node, 65536 + 512, 1024, STATUS_DATA, 1024);
    g_assert_cmpint(node_pwrite(node, 0, bytes, 4096), ==, 0);
    status_is(node, 0, SIZE, STATUS_DATA, 4096);
    g_assert_cmpint(node_allocated_size(node), ==, blocks_of(path));
    g_assert_cmpint(node_pdiscard(node, 65536, 65536), ==, 0);
    status_is(node, 4096, SIZE - 4096, STATUS_ZERO, SIZE - 4096);
    g_assert_cmpint(node_pwrite_zeroes(node, 0, 4096, REQ_MAY_UNMAP), ==, 0);
    g_assert_cmpint(blocks_of(path), ==, 0);
    g_assert_cmpint(node_pwrite_zeroes(node, 0, 4096, 0), ==, 0);
    g_assert_cmpint(blocks_of(path), >=, 4096);            /* zeroes that may not be given back have space */
    g_assert_cmpint(node_pwrite_zeroes(node, SIZE - 4096, 8192, 0), ==, 0);
    g_assert_cmpuint(node_length(node), ==, SIZE + 4096);
    node_unref(node);
    g_unlink(path);
    return 0;
}

static int sizes(void *opaque G_GNUC_UNUSED)
{
    g_autofree char *path = make_file("sizes", 4096);
    g_autoptr(GError) error = NULL;
    Node *node = open_with(path, "", NULL);
    NodeUser *user = node_attach(node, "test", PERM_ALL, PERM_ALL, &error);

    g_assert_no_error(error);
    g_assert_cmpint(node_truncate(node, SIZE, true, PREALLOC_OFF, 0, &error), ==, 0);
    g_assert_cmpint(blocks_of(path), <, SIZE);
    g_assert_cmpint(node_truncate(node, 2 * SIZE, true, PREALLOC_FALLOC, 0, &error), ==, 0);
    g_assert_cmpint(blocks_of(path), >=, SIZE);
    g_assert_cmpint(node_truncate(node, 3 * SIZE, true, PREALLOC_FULL, 0, &error), ==, 0);
    g_assert_cmpint(blocks_of(path), >=, 2 * SIZE);
    g_assert_cmpuint(node_length(node), ==, 3 * SIZE);
    g_assert_cmpint(node_truncate(node, 4 * SIZE, true, PREALLOC_METADATA, 0, &error), <, 0);
    g_assert_nonnull(strstr(error->message, "metadata"));
    g_clear_error(&error);
    g_assert_cmpint(node_truncate(node, SIZE, true, PREALLOC_FALLOC, 0, &error), <, 0);
    g_clear_error(&error);
    g_assert_cmpint(node_truncate(node, 512, true, PREALLOC_OFF, 0, &error), ==, 0);
    g_assert_cmpuint(node_length(node), ==, 512);
    node_detach(user);
    node_unref(node);
    g_unlink(path);
    return 0;
}

static int new_files(void *opaque G_GNUC_UNUSED)
{
    g_autofree char *path = path_of("new");
    g_autoptr(Value) options = from_json("{'preallocation':'falloc','nocow':true}"), wrong = from_json("{'preallocation':'metadata'}");
    g_autoptr(GError) error = NULL;

    g_assert_true(file_driver.create_file(path, SIZE, NULL, &error));
    g_assert_cmpint(blocks_of(path), <, SIZE);
    g_assert_true(file_driver.create_file(path, SIZE, options, &error));
    g_assert_cmpint(blocks_of(path), >=, SIZE);
    g_assert_false(file_driver.create_file(path, SIZE, wrong, &error));
    g_clear_error(&error);
    g_assert_false(file_driver.create_file(folder, SIZE, NULL, &error));
    g_clear_error(&error);
    g_unlink(path);
    return 0;
}

static int copies_in_the_kernel(void *opaque G_GNUC_UNUSED)
{
    g_autofree char *from_path = make_file("from", SIZE), *to_path = make_file("to", SIZE), *content = NULL;
    g_autofree char *bytes = g_strnfill(SIZE, 'c');
    Node *from = open_with(from_path, "", NULL), *to = open_with(to_path, "", NULL);
    int result;

    g_assert_cmpint(node_pwrite(from, 0, bytes, SIZE), ==, 0);
    result = node_copy_range(from, 4096, to, 8192, 100000, 0);
    g_assert_true(result == 0 || result == -ENOTSUP);
    g_assert_true(g_file_get_contents(to_path, &content, NULL, NULL));
    for (size_t i = 0; result == 0 && i < SIZE; i++) {
        g_assert_cmpint(content[i], ==, i >= 8192 && i < 108192 ? 'c' : 0);
    }
    node_unref(from);
    node_unref(to);
    g_unlink(from_path);
    g_unlink(to_path);
    return 0;
}

/* ---- when the file or the disk behind it changes ---- */

static int shrinks_under_us(void *opaque G_GNUC_UNUSED)
{
    g_autofree char *path = make_file("shrinks", SIZE);
    uint8_t bytes[8192];
    Node *node = open_with(path, ",'read-only':true", NULL);

    g_assert_cmpint(truncate(path, 100), ==, 0);
    memset(bytes, 1, sizeof bytes);
    g_assert_cmpint(node_pread(node, 500000, bytes, sizeof bytes), ==, 0);
    g_assert_cmpuint(bytes[0] | bytes[8191], ==, 0);
    g_assert_cmpint(node_pwrite(node, 0, bytes, 512), ==, -EPERM);
    g_assert_cmpint(node_refresh_length(node), ==, 100);
    node_unref(node);
    g_unlink(path);
    return 0;
}

/* A tmpfs of 256 KiB in a mount namespace of this process's own. */
static bool small_disk(const char *where)
{
    g_mkdir(where, 0755);
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", where, "tmpfs", 0, "size=256k") == 0;
}

static int full_disk(void *opaque G_GNUC_UNUSED)
{
    g_autofree char *where = path_of("small"), *path = g_build_filename(where, "disk", NULL);
    g_autofree uint8_t *bytes = g_malloc0(65536);
    g_autoptr(GError) error = NULL;
    int result = 0;
    Node *node;

    if (!small_disk(where)) {
        g_test_skip("no mount namespace for this user");
        return 0;
    }
    g_assert_true(file_driver.create_file(path, SIZE, NULL, &error));
    node = open_with(path, "", NULL);
    for (uint64_t at = 0; result == 0 && at < SIZE; at += 65536) {
        memset(bytes, (int)(at >> 16) + 1, 65536);
        result = node_pwrite(node, at, bytes, 65536);
    }
    g_assert_cmpint(result, ==, -ENOSPC);
    g_assert_cmpint(node_pread(node, 65536, bytes, 65536), ==, 0);
    g_assert_cmpuint(bytes[65535], ==, 2);
    g_assert_cmpint(node_pwrite_zeroes(node, 600000, 65536, REQ_NO_FALLBACK), ==, -ENOSPC);
    g_assert_cmpint(node_truncate(node, 2 * SIZE, true, PREALLOC_FULL, 0, &error), ==, -ENOSPC);
    g_assert_cmpuint(node_length(node), ==, SIZE);
    node_unref(node);
    umount(where);
    return 0;
}

static int reopens(void *opaque G_GNUC_UNUSED)
{
    g_autofree char *path = make_file("reopen", SIZE);
    g_autoptr(Value) options = from_json("{}"), readonly = from_json("{'read-only':true}"), back = from_json("{'read-only':false}");
    g_autoptr(GError) error = NULL;
    uint8_t bytes[512] = { 7 };
    Node *node = open_with(path, "", NULL);

    g_assert_true(node_reopen(node, readonly, &error));
    g_assert_cmpint(node_pwrite(node, 0, bytes, 512), ==, -EPERM);
    g_assert_true(node_reopen(node, back, &error));
    g_assert_cmpint(node_pwrite(node, 0, bytes, 512), ==, 0);
    node_unref(node);
    g_unlink(path);
    return 0;
}

/* ---- locks ---- */

static NodeUser *claim(Node *node, NodePerms perms, NodePerms shared, const char *refusal)
{
    g_autoptr(GError) error = NULL;
    NodeUser *user = node_attach(node, "test", perms, shared, &error);

    if (!refusal) {
        g_assert_no_error(error);
        return user;
    }
    g_assert_null(user);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, refusal));
    g_assert_null(strchr(error->message, '\n'));
    return NULL;
}

#define READ_SHARED (PERM_CONSISTENT_READ | PERM_WRITE_UNCHANGED | PERM_RESIZE)

/* Two nodes on one file are as two processes. */
static int locks_of_our_own(void *opaque G_GNUC_UNUSED)
{
    g_autofree char *path = make_file("locks", SIZE);
    g_autofree char *pid = g_strdup_printf("pid %d", (int)getpid());
    Node *one = open_with(path, "", NULL), *two = open_with(path, "", NULL), *free = open_with(path, ",'locking':'off'", NULL);
    NodeUser *first = claim(one, PERM_CONSISTENT_READ | PERM_WRITE, READ_SHARED, NULL), *second, *third;

    claim(two, PERM_WRITE, PERM_ALL, "Failed to get \"write\" lock");
    claim(two, PERM_WRITE, PERM_ALL, pid);
    claim(two, PERM_CONSISTENT_READ, READ_SHARED, "Failed to get shared \"write\" lock");
    second = claim(two, PERM_CONSISTENT_READ, PERM_ALL, NULL);             /* a reader that lets others write */
    third = claim(free, PERM_ALL, 0, NULL);
    node_detach(first);
    node_detach(second);
    second = claim(two, PERM_ALL, 0, NULL);
    node_detach(second);
    node_detach(third);
    node_unref(one);
    node_unref(two);
    node_unref(free);
    g_unlink(path);
    return 0;
}

static bool run_tool(const char *command, char **output)
{
    g_auto(GStrv) words = NULL;
    g_autofree char *out = NULL, *err = NULL;
    int status;

    g_assert_true(g_shell_parse_argv(command, NULL, &words, NULL));
    if (!g_spawn_sync(NULL, words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, NULL)) {
        return false;
    }
    *output = g_strconcat(out, err, NULL);
    return status == 0;
}

static bool have_tools(void)
{
    g_autofree char *tool = g_find_program_in_path("qemu-io");

    if (!tool) {
        g_test_skip("qemu-io is not installed");
    }
    return tool != NULL;
}

static int qemu_is_refused(void *opaque G_GNUC_UNUSED)
{
    if (!have_tools()) {
        return 0;
    }
    g_autofree char *path = path_of("image.qcow2"), *create = g_strdup_printf("qemu-img create -f qcow2 %s 1M", path);
    g_autofree char *write = g_strdup_printf("qemu-io -f qcow2 -c 'write 0 4k' %s", path), *info = g_strdup_printf("qemu-img info %s", path);
    g_autofree char *made = NULL, *written = NULL, *looked = NULL, *again = NULL;
    Node *node;
    NodeUser *user;

    g_assert_true(run_tool(create, &made));
    node = open_with(path, "", NULL);
    user = claim(node, PERM_CONSISTENT_READ | PERM_WRITE | PERM_RESIZE, PERM_CONSISTENT_READ | PERM_WRITE_UNCHANGED, NULL);
    g_assert_false(run_tool(write, &written));
    g_assert_nonnull(strstr(written, "lock"));
    g_assert_false(run_tool(info, &looked));
    g_assert_nonnull(strstr(looked, "lock"));
    node_detach(user);
    g_assert_true(run_tool(write, &again));
    node_unref(node);
    g_unlink(path);
    return 0;
}

static GPid start_holder(const char *path)
{
    char *words[] = { "qemu-io", "-f", "qcow2", "-c", "sleep 30000", (char *)path, NULL };
    GPid pid;

    g_assert_true(g_spawn_async(NULL, words, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL));
    return pid;
}

static int we_are_refused(void *opaque G_GNUC_UNUSED)
{
    if (!have_tools()) {
        return 0;
    }
    g_autofree char *path = path_of("image.qcow2"), *create = g_strdup_printf("qemu-img create -f qcow2 %s 1M", path);
    g_autofree char *made = NULL, *pid_words = NULL;
    g_autoptr(GError) error = NULL;
    NodeUser *user = NULL;
    GPid holder;
    Node *node;

    g_assert_true(run_tool(create, &made));
    holder = start_holder(path);
    pid_words = g_strdup_printf("pid %d (qemu-io)", (int)holder);
    node = open_with(path, "", NULL);
    for (int i = 0; i < 200; i++) {        /* until it has come so far */
        g_clear_error(&error);
        user = node_attach(node, "test", PERM_WRITE, PERM_ALL, &error);
        if (!user) {
            break;
        }
        node_detach(user);
        co_sleep(20000000);
    }
    g_assert_null(user);
    claim(node, PERM_WRITE, PERM_ALL, pid_words);
    g_assert_false(file_driver.create_file(path, SIZE, NULL, NULL));       /* nor is its file emptied */
    g_assert_cmpuint(node_length(node), >, 65536);
    g_assert_cmpint(node_refresh_length(node), >, 65536);
    node_unref(node);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    g_unlink(path);
    return 0;
}

/* ---- devices ---- */

static int devices(void *opaque G_GNUC_UNUSED)
{
    (void)opaque;
    open_json_fails("{'driver':'host_device','filename':'/etc/passwd','read-only':true}", "character or block device");
    open_json_fails("{'driver':'host_cdrom','filename':'/dev/null','read-only':false,'auto-read-only':false}", "only for reading");
    return 0;
}

/* A loop device on the file; -1: this user gets none. It goes by itself when it is closed. */
static int attach_loop(const char *path, char **device)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), file = open(path, O_RDWR | O_CLOEXEC), fd = -1, number;
    struct loop_config config = { .fd = (uint32_t)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR };

    number = control >= 0 ? ioctl(control, LOOP_CTL_GET_FREE) : -1;
    if (number >= 0 && file >= 0) {
        *device = g_strdup_printf("/dev/loop%d", number);
        fd = open(*device, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) < 0) {
            close(fd);
            fd = -1;
        }
    }
    if (control >= 0) {
        close(control);
    }
    close(file);
    return fd;
}

static void on_device(const char *path, const char *device, const char *more)
{
    g_autofree char *text = g_strdup_printf("{'driver':'host_device','filename':'%s'%s}", device, more);
    g_autofree uint8_t *shadow = g_malloc0(SIZE), *buffer = g_malloc(LONGEST);
    g_autoptr(GRand) random = g_rand_new_with_seed(5);
    g_autoptr(GError) error = NULL;
    g_autofree char *content = NULL;
    Node *node = open_json(text);
    NodeUser *user = claim(node, PERM_ALL, PERM_ALL, NULL);

    g_assert_cmpuint(node_length(node), ==, SIZE);
    g_assert_cmpint(node_pwrite_zeroes(node, 0, SIZE, 0), ==, 0);
    for (int i = 0; i < STEPS / 3; i++) {
        random_step(node, random, shadow, buffer, 512);
    }
    g_assert_cmpint(node_pdiscard(node, 65536, 65536), ==, 0);
    memset(shadow + 65536, 0, 65536);      /* what a loop device makes of it: a hole */
    g_assert_cmpint(node_pwrite(node, SIZE - 512, buffer, 1024), ==, -EIO);
    g_assert_cmpint(node_truncate(node, SIZE * 2, true, PREALLOC_OFF, 0, &error), ==, -EINVAL);
    g_assert_cmpint(node_flush(node), ==, 0);
    node_detach(user);
    node_unref(node);
    g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
    g_assert_true(memcmp(content, shadow, SIZE) == 0);
}

static int loop_device(void *opaque G_GNUC_UNUSED)
{
    g_autofree char *path = make_file("loop", SIZE), *device = NULL;
    int fd = attach_loop(path, &device);

    if (fd < 0) {
        g_test_skip("no loop device for this user");
    } else {
        g_assert_cmpstr(file_driver_for(device), ==, "host_device");
        open_fails(device, "", "host_device");
        on_device(path, device, "");
        on_device(path, device, ",'cache':{'direct':true}");
        close(fd);
    }
    g_unlink(path);
    return 0;
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("roost-file-XXXXXX", NULL);
    g_assert_nonnull(folder);
    block_test("/file/refusals", refusals);
    block_test("/file/random/threads", random_threads);
    block_test("/file/random/direct", random_direct);
    block_test("/file/random/direct-threads", random_direct_threads);
    block_test("/file/random/direct-native", random_native);
    block_test("/file/random/direct-io_uring", random_uring);
    block_test("/file/holes", holes);
    block_test("/file/sizes", sizes);
    block_test("/file/new-files", new_files);
    block_test("/file/copies-in-the-kernel", copies_in_the_kernel);
    block_test("/file/shrinks-under-us", shrinks_under_us);
    block_test("/file/full-disk", full_disk);
    block_test("/file/reopens", reopens);
    block_test("/file/locks-of-our-own", locks_of_our_own);
    block_test("/file/qemu-is-refused", qemu_is_refused);
    block_test("/file/we-are-refused", we_are_refused);
    block_test("/file/devices", devices);
    block_test("/file/loop-device", loop_device);
    result = g_test_run();
    g_autofree char *small = path_of("small");
    g_rmdir(small);
    g_rmdir(folder);
    return result;
}
