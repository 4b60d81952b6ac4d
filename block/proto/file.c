/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.c - driver "file": a regular file of the host; its requests, and making a new one
 *
 * Requests go to the engine of the node's loop (block/aio). A flush that has failed once fails for ever: the kernel forgets what it
 * could not write, and a later fdatasync(2) would say that all is well.
 *
 * Threads  the node's home loop
 * Tests    tests/block/file.c
 */
#include "block/proto/file.h"
#include "base/error.h"
#include "base/open.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXTENT_HINT (1u << 20)             /* against fragmentation by scattered first writes, where the file system takes hints */

/* ---- requests ---- */

int file_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    FileNode *file = FILE_NODE(node);

    (void)flags;
    return aio_preadv(file->engine, &file->file, offset, to);
}

int file_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    FileNode *file = FILE_NODE(node);
    int result = aio_pwritev(file->engine, &file->file, offset, from, flags & REQ_FUA && !(node->cache & CACHE_NO_FLUSH));

    file_forget_extent(file, true);
    return result;
}

int file_flush(Node *node)
{
    FileNode *file = FILE_NODE(node);
    int result;

    if (file->flush_failed) {
        return -EIO;
    }
    if (node->cache & CACHE_NO_FLUSH) {
        return 0;
    }
    result = aio_flush(file->engine, &file->file);
    if (result == -EIO && !file->file.alignment) {
        file->flush_failed = true;
    }
    return result;
}

typedef struct Resize { FileNode *file; uint64_t size; Preallocation preallocation; GError **err; } Resize;

static int resize_on_worker(void *opaque)
{
    Resize *resize = opaque;

    g_autoptr(GError) why = NULL;
    int result = 0;

    if (!file_truncate(resize->file, resize->size, resize->preallocation, &why)) {
        result = -why->code;
        g_propagate_error(resize->err, g_steal_pointer(&why));
    }
    return result;
}

static int regular_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err)
{
    FileNode *file = FILE_NODE(node);
    Resize resize = { file, size, preallocation, err };
    int result;

    (void)exact;
    (void)flags;                           /* what is new reads as zeroes anyway */
    result = co_work(resize_on_worker, &resize);
    if (result < 0) {
        return result;
    }
    file_forget_extent(file, false);
    node->length = size;
    return 0;
}

/* ---- new files ---- */

typedef struct CreateOptions { uint64_t size; int preallocation; bool nocow; uint64_t extent_size_hint; } CreateOptions;

const Field file_create_options[] = {
    PROP_SIZE("size", CreateOptions, size, 0, .help = "Virtual disk size"),
    PROP_ENUM("preallocation", CreateOptions, preallocation, preallocation_names, PREALLOC_OFF,
              .help = "Preallocation mode (allowed values: off, falloc, full)"),
    PROP_BOOL("nocow", CreateOptions, nocow, false, .help = "Turn off copy-on-write (valid only on btrfs)"),
    PROP_SIZE("extent_size_hint", CreateOptions, extent_size_hint, EXTENT_HINT, .help = "Extent size hint for the image file, 0 to disable"),
    FIELD_END };

static void set_nocow(int fd)
{
    int attributes;

    if (ioctl(fd, FS_IOC_GETFLAGS, &attributes) == 0) {
        attributes |= FS_NOCOW_FL;
        ioctl(fd, FS_IOC_SETFLAGS, &attributes);           /* only btrfs has it: elsewhere there is nothing to turn off */
    }
}

static void set_extent_hint(int fd, uint64_t bytes)
{
    struct fsxattr attributes;

    if (bytes > 0 && bytes <= UINT32_MAX && ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0) {
        attributes.fsx_xflags |= FS_XFLAG_EXTSIZE;
        attributes.fsx_extsize = (uint32_t)bytes;
        ioctl(fd, FS_IOC_FSSETXATTR, &attributes);         /* only XFS has it */
    }
}

typedef struct Creation { FileNode file; CreateOptions options; uint64_t size; GError **err; } Creation;

/* Emptied only once nobody else is found to use it. */
static int create_on_worker(void *opaque)
{
    Creation *creation = opaque;
    FileNode *file = &creation->file;
    struct stat info;

    if (fstat(file->file.fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        fail(creation->err, EINVAL, "Could not create '%s': it is there, and is not a regular file", file->filename);
        return -EINVAL;
    }
    if (!file_lock_prepare(&file->lock, file->file.fd, file->filename, PERM_WRITE | PERM_RESIZE, PERM_ALL & ~PERM_RESIZE, creation->err)) {
        return -EAGAIN;
    }
    if (ftruncate(file->file.fd, 0) < 0) {
        fail(creation->err, errno, "Could not empty '%s': %s", file->filename, g_strerror(errno));
        return -EIO;
    }
    if (creation->options.nocow) {
        set_nocow(file->file.fd);
    }
    set_extent_hint(file->file.fd, creation->options.extent_size_hint);
    return file_truncate(file, creation->size, (Preallocation)creation->options.preallocation, creation->err) ? 0 : -EIO;
}

static bool file_create(const char *filename, uint64_t size, const Value *options, GError **err)
{
    Creation creation = { .file = { .filename = (char *)filename, .lock = { .wanted = true } }, .size = size, .err = err };
    int result;

    fields_init(file_create_options, &creation.options);
    if (options && !fields_set(file_create_options, &creation.options, filename, options, NULL, err)) {
        return false;
    }
    if (creation.options.preallocation == PREALLOC_METADATA) {
        return fail(err, ENOTSUP, "Unsupported preallocation mode 'metadata'");
    }
    creation.file.file.fd = host_open(NULL, filename, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY, 0644, NULL);
    if (creation.file.file.fd < 0) {
        return fail(err, errno, "Could not create '%s': %s", filename, g_strerror(errno));
    }
    result = co_work(create_on_worker, &creation);
    close(creation.file.file.fd);
    return result == 0;
}

static bool regular_open(Node *node, const NodeOpen *how, GError **err)
{
    return file_open(node, how, FILE_REGULAR, err);
}

static Value *parse_filename(const char *filename, GError **err)
{
    return file_parse_prefix(filename, "file:", "file", err);
}

static const char *const prefixes[] = { "file:", NULL };

const NodeDriver file_driver = {
    .name = "file",
    .help = "a regular file of the host",
    .kind = NODE_PROTOCOL,
    .size = sizeof(FileNode),
    .options = file_options,
    .prefixes = prefixes,
    .parse_filename = parse_filename,
    .open = regular_open,
    .close = file_close,
    .preadv = file_preadv,
    .pwritev = file_pwritev,
    .pwrite_zeroes = file_pwrite_zeroes,
    .pdiscard = file_pdiscard,
    .flush = file_flush,
    .copy_range = file_copy_range,
    .block_status = file_block_status,
    .truncate = regular_truncate,
    .length = file_length,
    .allocated = file_allocated,
    .supported_write_flags = REQ_FUA,
    .supported_zero_flags = REQ_MAY_UNMAP,
    .perms_prepare = file_perms_prepare,
    .perms_commit = file_perms_commit,
    .perms_abort = file_perms_abort,
    .reopen = file_reopen,
    .detach_loop = file_detach_loop,
    .attach_loop = file_attach_loop,
    .filename = file_filename,
    .create_options = file_create_options,
    .create_file = file_create,
};
