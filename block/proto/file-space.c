/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file-space.c - where a host file has space: zeroes, discards, sizes, holes
 *
 * Each way is tried once; what the file system refuses as not supported is remembered, and the next way taken. -ENOTSUP sends the
 * gate to write the zeroes out. Calls that may block run on a worker; looking for holes does not block long enough for that.
 *
 *   zeroes, inside the file      may unmap: PUNCH_HOLE; else ZERO_RANGE, or PUNCH_HOLE and allocate again
 *   zeroes, beyond its end       allocate; never ftruncate(2): a write beside us may have made the file longer than we know
 *
 * Threads  the node's home loop, and workers
 * Tests    tests/block/file.c
 */
#include "block/proto/file.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_AT_ONCE (1u << 20)           /* bytes of a full preallocation's writes */
#define COPY_AT_ONCE  (64u << 20)

/* A write turns holes into data; everything else may turn data into holes as well. */
void file_forget_extent(FileNode *file, bool was_written)
{
    if (!was_written || !file->extent_is_data) {
        file->extent_begin = file->extent_end = 0;
    }
}

static bool is_unsupported(int result)
{
    return result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV || result == -ENOTTY || result == -EINVAL;
}

static int allocate(int fd, int mode, uint64_t offset, uint64_t bytes)
{
    int result;

    if (bytes == 0) {
        return 0;
    }
    do {
        result = fallocate(fd, mode, (off_t)offset, (off_t)bytes);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

/* ---- zeroes and discards ---- */

typedef struct Range { FileNode *file; uint64_t offset, bytes; bool unmap; } Range;

static int punch(FileNode *file, uint64_t offset, uint64_t bytes)
{
    int result = file->no_punch ? -ENOTSUP : allocate(file->file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);

    if (is_unsupported(result)) {
        file->no_punch = true;
        return -ENOTSUP;
    }
    return result;
}

static int zero_range(FileNode *file, uint64_t offset, uint64_t bytes)
{
    int result = file->no_zero_range ? -ENOTSUP : allocate(file->file.fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, bytes);

    if (is_unsupported(result)) {
        file->no_zero_range = true;
        return -ENOTSUP;
    }
    return result;
}

static int plain_allocate(FileNode *file, uint64_t offset, uint64_t bytes)
{
    int result = file->no_allocate ? -ENOTSUP : allocate(file->file.fd, 0, offset, bytes);

    if (is_unsupported(result)) {
        file->no_allocate = true;
        return -ENOTSUP;
    }
    return result;
}

static int zero_inside(FileNode *file, uint64_t offset, uint64_t bytes, bool unmap)
{
    int result = unmap ? punch(file, offset, bytes) : -ENOTSUP;

    if (result == -ENOTSUP) {
        result = zero_range(file, offset, bytes);
    }
    if (result == -ENOTSUP && !file->no_allocate && file->kind == FILE_REGULAR) {
        result = punch(file, offset, bytes);
        result = result == 0 ? plain_allocate(file, offset, bytes) : result;
    }
    if (result == -ENOTSUP && file->kind == FILE_DEVICE) {
        uint64_t range[2] = { offset, bytes };

        result = ioctl(file->file.fd, BLKZEROOUT, range) < 0 ? -errno : 0;
        result = is_unsupported(result) ? -ENOTSUP : result;
    }
    return result;
}

static int zero_beyond(FileNode *file, uint64_t offset, uint64_t bytes, bool unmap)
{
    int result = bytes ? plain_allocate(file, offset, bytes) : 0;

    if (result == 0 && bytes && unmap) {
        punch(file, offset, bytes);        /* the size stays; a file system that cannot has space taken, and zeroes all the same */
    }
    return result;
}

static int zero_on_worker(void *opaque)
{
    Range *range = opaque;
    FileNode *file = range->file;
    uint64_t inside = range->bytes;
    struct stat info;
    int result;

    if (file->kind == FILE_REGULAR) {
        if (fstat(file->file.fd, &info) < 0) {
            return -errno;
        }
        inside = (uint64_t)info.st_size > range->offset ? MIN(range->bytes, (uint64_t)info.st_size - range->offset) : 0;
    }
    result = inside ? zero_inside(file, range->offset, inside, range->unmap) : 0;
    return result < 0 ? result : zero_beyond(file, range->offset + inside, range->bytes - inside, range->unmap);
}

int file_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    FileNode *file = FILE_NODE(node);
    Range range = { file, offset, bytes, flags & REQ_MAY_UNMAP };
    int result = co_work(zero_on_worker, &range);

    file_forget_extent(file, false);
    return result;
}

static int discard_on_worker(void *opaque)
{
    Range *range = opaque;
    FileNode *file = range->file;
    uint64_t words[2] = { range->offset, range->bytes };
    int result;

    if (file->kind == FILE_REGULAR) {
        return punch(file, range->offset, range->bytes);
    }
    if (file->no_punch) {
        return -ENOTSUP;
    }
    result = ioctl(file->file.fd, BLKDISCARD, words) < 0 ? -errno : 0;
    if (is_unsupported(result)) {
        file->no_punch = true;
        return -ENOTSUP;
    }
    return result;
}

int file_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    FileNode *file = FILE_NODE(node);
    Range range = { file, offset, bytes, true };
    int result;

    if (file->no_punch) {
        return -ENOTSUP;
    }
    result = co_work(discard_on_worker, &range);
    file_forget_extent(file, false);
    return result;
}

/* ---- holes ---- */

/* The extent around offset, which lies inside the file; what cannot be asked is data. */
static int find_extent(FileNode *file, uint64_t offset)
{
    uint64_t length = file->node.length;
    off_t data = file->no_seek ? -1 : lseek(file->file.fd, (off_t)offset, SEEK_DATA), hole;

    file->extent_begin = offset;
    file->extent_end = length;
    file->extent_is_data = true;
    if (data < 0) {
        if (!file->no_seek && errno == ENXIO) {
            file->extent_is_data = false;  /* a hole up to the end */
            return 0;
        }
        if (!file->no_seek && errno == EIO) {
            return -errno;
        }
        file->no_seek = true;
        return 0;
    }
    if ((uint64_t)data > offset) {
        file->extent_end = MIN((uint64_t)data, length);
        file->extent_is_data = false;
        return 0;
    }
    hole = lseek(file->file.fd, (off_t)offset, SEEK_HOLE);
    if (hole > 0 && (uint64_t)hole > offset) {
        file->extent_end = MIN((uint64_t)hole, length);
    }
    return 0;
}

/* A hole is remembered only while nobody else may fill it. */
static bool is_known(const FileNode *file, uint64_t offset)
{
    return offset >= file->extent_begin && offset < file->extent_end && (file->extent_is_data || file->exclusive);
}

int file_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file_out)
{
    FileNode *file = FILE_NODE(node);
    int result;

    *map = offset;
    *file_out = node;
    *count = bytes;
    if (!exact || offset >= node->length) {
        return STATUS_DATA | STATUS_OFFSET | STATUS_ALLOCATED;
    }
    if (!is_known(file, offset)) {
        result = find_extent(file, offset);
        if (result < 0) {
            file_forget_extent(file, false);
            return result;
        }
    }
    /* Beyond the file's end, inside what alignment has added to it, is what its last extent is. */
    if (file->extent_end < node->length || offset + bytes <= file->extent_end) {
        *count = MIN(bytes, file->extent_end - offset);
    }
    return (file->extent_is_data ? STATUS_DATA : STATUS_ZERO) | STATUS_OFFSET | STATUS_ALLOCATED;
}

/* ---- sizes ---- */

static int write_zeroes_out(int fd, uint64_t from, uint64_t to)
{
    g_autofree char *zeroes = g_try_malloc0(WRITE_AT_ONCE);

    if (!zeroes) {
        return -ENOMEM;
    }
    while (from < to) {
        ssize_t written = pwrite(fd, zeroes, MIN(WRITE_AT_ONCE, to - from), (off_t)from);

        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        from += written > 0 ? (uint64_t)written : 0;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

/* O_DIRECT would ask for aligned buffers: a descriptor of its own goes through the page cache. */
static int fill(FileNode *file, uint64_t from, uint64_t to)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", file->file.fd);
    int fd = file->file.alignment ? open(path, O_RDWR | O_CLOEXEC) : dup(file->file.fd), result;

    if (fd < 0) {
        return -errno;
    }
    result = write_zeroes_out(fd, from, to);
    close(fd);
    return result;
}

static int set_size(int fd, uint64_t size)
{
    int result;

    do {
        result = ftruncate(fd, (off_t)size);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

static int grow(FileNode *file, uint64_t from, uint64_t size, Preallocation preallocation)
{
    int result;

    if (preallocation == PREALLOC_FALLOC) {
        return allocate(file->file.fd, 0, from, size - from);
    }
    result = set_size(file->file.fd, size);
    return result == 0 && preallocation == PREALLOC_FULL ? fill(file, from, size) : result;
}

bool file_truncate(FileNode *file, uint64_t size, Preallocation preallocation, GError **err)
{
    struct stat info;
    int result;

    if (preallocation == PREALLOC_METADATA) {
        return fail(err, ENOTSUP, "Unsupported preallocation mode 'metadata'");
    }
    if (size > INT64_MAX) {
        return fail(err, EFBIG, "'%s': no file can have %" PRIu64 " bytes", file->filename, size);
    }
    if (fstat(file->file.fd, &info) < 0) {
        return fail(err, errno, "Could not get the size of '%s': %s", file->filename, g_strerror(errno));
    }
    if (size < (uint64_t)info.st_size && preallocation != PREALLOC_OFF) {
        return fail(err, EINVAL, "Preallocation can't be used for shrinking files");
    }
    if (size <= (uint64_t)info.st_size) {
        result = size < (uint64_t)info.st_size ? set_size(file->file.fd, size) : 0;
    } else {
        result = grow(file, (uint64_t)info.st_size, size, preallocation);
        if (result < 0) {
            set_size(file->file.fd, (uint64_t)info.st_size);
        }
    }
    if (result < 0) {
        return fail(err, -result, "Could not resize '%s' to %" PRIu64 " bytes%s: %s", file->filename, size,
                    preallocation == PREALLOC_OFF ? "" : " with all its space", g_strerror(-result));
    }
    return true;
}

/* ---- copies inside the kernel ---- */

typedef struct Copy { FileNode *from, *to; uint64_t from_offset, to_offset, bytes; } Copy;

static int copy_on_worker(void *opaque)
{
    Copy *copy = opaque;
    uint64_t left = copy->bytes;
    off_t in = (off_t)copy->from_offset, out = (off_t)copy->to_offset;

    while (left > 0) {
        ssize_t moved = copy_file_range(copy->from->file.fd, &in, copy->to->file.fd, &out, MIN(left, COPY_AT_ONCE), 0);

        if (moved < 0 && errno == EINTR) {
            continue;
        }
        if (moved <= 0) {                  /* 0: the source ends before; the caller's reads know what that means */
            return moved < 0 ? -errno : -ENOTSUP;
        }
        left -= (uint64_t)moved;
    }
    return 0;
}

int file_copy_range(Node *from, uint64_t from_offset, Node *to, uint64_t to_offset, uint64_t bytes, RequestFlags flags)
{
    FileNode *target = FILE_NODE(to);
    Copy copy = { FILE_NODE(from), target, from_offset, to_offset, bytes };
    int result;

    if (from->driver != &file_driver || to->driver != &file_driver || flags & REQ_FUA || target->no_copy_range) {
        return -ENOTSUP;
    }
    result = co_work(copy_on_worker, &copy);
    file_forget_extent(target, true);
    if (is_unsupported(result) || result == -EXDEV) {
        target->no_copy_range = result != -EINVAL;
        return -ENOTSUP;
    }
    return result;
}
