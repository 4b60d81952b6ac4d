/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file-open.c - host files as nodes: opening, what O_DIRECT asks of requests, sizes, rights and locks
 *
 * The descriptor is opened without waiting (a FIFO, or a drive without a medium) and told to wait afterwards. Alignment is found out
 * once, here: statx says it on newer kernels, a device says its block size, else reads of growing size are tried.
 *
 * Threads  the node's home loop
 * Tests    tests/block/file.c
 */
#include "block/proto/file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/open.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/cdrom.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGNMENT_MOST 4096u               /* what is taken when nothing can be found out */
#define TRANSFER_MOST  (1u << 30)          /* the kernel cuts at 2 GiB less a page */

static const char *const aio_choices[] = { "threads", "native", "io_uring", "auto", NULL };

const Field file_options[] = {
    PROP_STR("filename", FileNode, filename, .required = true, .help = "path of the file"),
    PROP_ENUM("aio", FileNode, aio, aio_choices, AIO_CHOOSE,
              .help = "threads, native (Linux AIO; needs cache.direct=on) or io_uring; auto: io_uring for O_DIRECT where the kernel has it, else threads"),
    PROP_ONOFFAUTO("locking", FileNode, locking, 2, .help = "lock the image against other users; auto: where the file system can"),
    PROP_BOOL("drop-cache", FileNode, drop_cache, true, .help = "drop what the host has cached when the image comes from another host"),
    PROP_STR("pr-manager", FileNode, pr_manager, .help = "not supported: persistent reservations of SCSI disks"),
    PROP_BOOL("x-check-cache-dropped", FileNode, check_cache_dropped, false, .help = "not supported"),
    FIELD_END };

/* ---- names ---- */

Value *file_parse_prefix(const char *filename, const char *prefix, const char *driver, GError **err)
{
    Value *options = value_new_object();

    (void)err;
    filename += g_str_has_prefix(filename, prefix) ? strlen(prefix) : 0;
    value_set(options, "driver", value_new_string(driver));
    value_set(options, "filename", value_new_string(filename));
    return options;
}

static bool is_cdrom(const char *filename)
{
    int fd = host_open(NULL, filename, O_RDONLY | O_NONBLOCK, 0, NULL);
    bool cdrom = fd >= 0 && ioctl(fd, CDROM_DRIVE_STATUS, CDSL_CURRENT) >= 0;

    if (fd >= 0) {
        close(fd);
    }
    return cdrom;
}

const char *file_driver_for(const char *filename)
{
    struct stat info;

    if (stat(filename, &info) < 0 || !(S_ISBLK(info.st_mode) || S_ISCHR(info.st_mode))) {
        return "file";
    }
    return S_ISBLK(info.st_mode) && is_cdrom(filename) ? "host_cdrom" : "host_device";
}

char *file_filename(const Node *node)
{
    return g_strdup(((const FileNode *)node)->filename);
}

/* ---- opening ---- */

/* The folder on the way that this user may not pass: owned; NULL when it is the file itself. */
static char *blocking_folder(const char *path)
{
    for (const char *slash = strchr(path + (path[0] == '/'), '/'); slash; slash = strchr(slash + 1, '/')) {
        g_autofree char *folder = g_strndup(path, (gsize)(slash - path));

        if (access(folder, X_OK) < 0 && errno == EACCES) {
            return g_steal_pointer(&folder);
        }
    }
    return NULL;
}

static bool fail_open(GError **err, int error, const char *filename, bool writable)
{
    g_autofree char *folder = error == EACCES ? blocking_folder(filename) : NULL;

    if (folder) {
        return fail(err, error, "Could not open '%s': %s: this user may not pass through the folder '%s'", filename, g_strerror(error), folder);
    }
    return fail(err, error, "Could not open '%s': %s%s", filename, g_strerror(error),
                writable && (error == EACCES || error == EROFS || error == EPERM) && access(filename, R_OK) == 0 ?
                " (it can be read: read-only=on)" : "");
}

static bool good_kind(const FileNode *file, mode_t mode, GError **err)
{
    if (S_ISDIR(mode)) {
        return fail(err, EISDIR, "Could not open '%s': it is a directory", file->filename);
    }
    if (S_ISFIFO(mode) || S_ISSOCK(mode)) {
        return fail(err, EINVAL, "Could not open '%s': it is a %s, and a disk needs a place to go back to", file->filename,
                    S_ISFIFO(mode) ? "FIFO" : "socket");
    }
    if (file->kind == FILE_REGULAR && !S_ISREG(mode)) {
        return fail(err, EINVAL, "'file' driver requires '%s' to be a regular file; for a device take driver host_device", file->filename);
    }
    if (file->kind != FILE_REGULAR && !S_ISBLK(mode) && !S_ISCHR(mode)) {
        return fail(err, EINVAL, "'%s' driver requires '%s' to be either a character or block device",
                    file->kind == FILE_CDROM ? "host_cdrom" : "host_device", file->filename);
    }
    return true;
}

static bool check_options(const FileNode *file, bool direct, GError **err)
{
    if (file->pr_manager) {
        return fail(err, ENOTSUP, "pr-manager of '%s': persistent reservations are not supported", file->filename);
    }
    if (file->check_cache_dropped) {
        return fail(err, ENOTSUP, "x-check-cache-dropped of '%s' is not supported", file->filename);
    }
    if (file->aio == AIO_NATIVE && !direct) {
        return fail(err, EINVAL, "aio=native was specified, but it requires cache.direct=on, which was not specified");
    }
    if (g_str_has_prefix(file->filename, "/dev/fdset/")) {
        return fail(err, ENOTSUP, "Could not open '%s': descriptors from add-fd are not supported; name the file itself", file->filename);
    }
    return true;
}

static int open_fd(const FileNode *file, bool writable, bool direct, GError **err)
{
    int flags = (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOCTTY | (direct ? O_DIRECT : 0);
    int fd = host_open(NULL, file->filename, flags, 0, NULL), error = errno;
    struct stat info;

    if (fd < 0 && direct && error == EINVAL) {
        fail(err, error, "Could not open '%s': its file system does not do O_DIRECT; use cache.direct=off", file->filename);
        return -1;
    }
    if (fd < 0) {
        fail_open(err, error, file->filename, writable);
        return -1;
    }
    if (fstat(fd, &info) < 0) {
        fail_open(err, errno, file->filename, writable);
        close(fd);
        return -1;
    }
    if (!good_kind(file, info.st_mode, err)) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

/* ---- what O_DIRECT asks ---- */

static bool can_read(int fd, void *buffer, size_t bytes)
{
    ssize_t got;

    do {
        got = pread(fd, buffer, bytes, 0);
    } while (got < 0 && errno == EINTR);
    return got >= 0 || errno != EINVAL;
}

/* An empty file takes any read: only a guess is left then. */
static uint32_t try_alignment(int fd, bool memory)
{
    struct stat info;
    char *buffer;
    uint32_t found = ALIGNMENT_MOST;

    if (fstat(fd, &info) < 0 || (S_ISREG(info.st_mode) && info.st_size < (off_t)ALIGNMENT_MOST) ||
        posix_memalign((void **)&buffer, 2 * ALIGNMENT_MOST, 4 * ALIGNMENT_MOST) != 0) {
        return ALIGNMENT_MOST;
    }
    for (uint32_t size = 512; size < ALIGNMENT_MOST; size *= 2) {
        if (memory ? can_read(fd, buffer + size, ALIGNMENT_MOST) : can_read(fd, buffer, size)) {
            found = size;
            break;
        }
    }
    free(buffer);
    return found;
}

static bool is_power(uint32_t number)
{
    return number > 0 && (number & (number - 1)) == 0;
}

static bool find_alignment(int fd, const char *filename, uint32_t *offsets, uint32_t *memory, GError **err)
{
    int sector = 0;

    *offsets = *memory = 0;
#ifdef STATX_DIOALIGN
    struct statx info = { 0 };

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 && info.stx_mask & STATX_DIOALIGN) {
        if (info.stx_dio_offset_align == 0) {
            return fail(err, EINVAL, "Could not open '%s': its file system does not do O_DIRECT for this file; use cache.direct=off", filename);
        }
        *offsets = info.stx_dio_offset_align;
        *memory = info.stx_dio_mem_align;
    }
#endif
    if (!is_power(*offsets)) {
        *offsets = ioctl(fd, BLKSSZGET, &sector) == 0 && is_power((uint32_t)sector) ? (uint32_t)sector : try_alignment(fd, false);
    }
    if (!is_power(*memory)) {
        *memory = try_alignment(fd, true);
    }
    return true;
}

static bool set_limits(FileNode *file, int fd, bool direct, GError **err)
{
    NodeLimits *limits = &file->node.limits;
    uint32_t offsets = 1, memory = 1;

    if (direct && !find_alignment(fd, file->filename, &offsets, &memory, err)) {
        return false;
    }
    file->file.alignment = direct ? offsets : 0;
    limits->request_alignment = offsets;
    limits->memory_alignment = memory;
    if (file->kind != FILE_REGULAR) {      /* its commands count in blocks, whatever its cache does */
        uint32_t sector = 512;

        if (ioctl(fd, BLKSSZGET, &sector) < 0 || !is_power(sector)) {
            sector = 512;
        }
        limits->zeroes_alignment = limits->discard_alignment = MAX(sector, offsets);
    }
    limits->max_pieces = IOV_MAX;
    limits->max_transfer = TRANSFER_MOST;
    return true;
}

static AioEngine *choose_engine(const FileNode *file, IoLoop *loop, bool direct, GError **err)
{
    AioEngine *engine = NULL;

    if (file->aio != AIO_CHOOSE) {
        return aio_engine(loop, (AioKind)file->aio, err);
    }
    if (direct) {
        engine = aio_engine(loop, AIO_IO_URING, NULL);
    }
    return engine ? engine : aio_engine(loop, AIO_THREADS, err);
}

static int64_t length_of(const FileNode *file, int fd)
{
    struct stat info;
    uint64_t bytes;
    off_t end;

    if (fstat(fd, &info) < 0) {
        return -errno;
    }
    if (S_ISREG(info.st_mode)) {
        return info.st_size;
    }
    if (S_ISBLK(info.st_mode)) {
        if (file->kind == FILE_CDROM && ioctl(fd, CDROM_DRIVE_STATUS, CDSL_CURRENT) != CDS_DISC_OK) {
            return 0;
        }
        return ioctl(fd, BLKGETSIZE64, &bytes) == 0 ? (int64_t)MIN(bytes, INT64_MAX) : -errno;
    }
    end = lseek(fd, 0, SEEK_END);
    return end < 0 ? -errno : end;
}

/* Read-write, or where that is asked for and only reading is allowed, read-only. */
static int open_as_allowed(FileNode *file, const NodeOpen *how, bool direct, bool *writable, GError **err)
{
    g_autoptr(GError) refused = NULL;
    int fd = open_fd(file, how->writable, direct, &refused);

    *writable = how->writable;
    if (fd < 0 && how->writable && how->auto_readonly && (refused->code == EACCES || refused->code == EROFS || refused->code == EPERM)) {
        *writable = false;
        g_clear_error(&refused);
        fd = open_fd(file, false, direct, &refused);
    }
    if (fd < 0) {
        g_propagate_error(err, g_steal_pointer(&refused));
    }
    return fd;
}

bool file_open(Node *node, const NodeOpen *how, FileKind kind, GError **err)
{
    FileNode *file = FILE_NODE(node);
    bool direct = node->cache & CACHE_DIRECT, writable;
    int64_t length;
    int fd;

    file->kind = kind;
    file->file.fd = -1;
    if (!check_options(file, direct, err)) {
        return false;
    }
    fd = open_as_allowed(file, how, direct, &writable, err);
    if (fd < 0) {
        return false;
    }
    length = length_of(file, fd);
    if (length < 0) {
        fail(err, (int)-length, "Could not get the size of '%s': %s", file->filename, g_strerror((int)-length));
    } else if (set_limits(file, fd, direct, err)) {
        file->engine = choose_engine(file, node->loop, direct, err);
    }
    if (!file->engine) {
        close(fd);
        return false;
    }
    file->file.fd = fd;
    file->lock.wanted = file->locking != 0 && !how->share;
    file->lock.mandatory = file->locking == 1 && !how->share;
    if (how->share && !how->peek) {
        file_lock_warn_stale(fd, file->filename);
    }
    node->length = (uint64_t)length;
    node->writable = writable;
    node->growable = node->zero_beyond = kind == FILE_REGULAR;
    return true;
}

void file_close(Node *node)
{
    FileNode *file = FILE_NODE(node);

    if (file->file.fd >= 0) {
        close(file->file.fd);              /* its locks go with it */
    }
    file->file.fd = -1;
}

static bool new_aio(FileNode *file, const Value *options, int *aio, GError **err)
{
    const char *name = options ? value_get_string(options, "aio", NULL) : NULL;

    *aio = file->aio;
    for (int i = 0; name; i++) {
        if (!aio_choices[i]) {
            return fail(err, EINVAL, "aio=%s: there is no such engine", name);
        }
        if (strcmp(aio_choices[i], name) == 0) {
            *aio = i;
            break;
        }
    }
    return true;
}

/* A new descriptor with the locks of the old one takes its place; or all stays as it was. */
bool file_reopen(Node *node, const Value *options, bool writable, GError **err)
{
    FileNode *file = FILE_NODE(node), old = *file;
    bool direct = node->cache & CACHE_DIRECT;
    AioEngine *engine = NULL;
    int fd = -1;

    if (new_aio(file, options, &file->aio, err) && check_options(file, direct, err)) {
        fd = open_fd(file, writable, direct, err);
    }
    if (fd >= 0 && set_limits(file, fd, direct, err)) {
        engine = choose_engine(file, node->loop, direct, err);
    }
    if (engine && !file_lock_move(&file->lock, fd)) {
        fail(err, EAGAIN, "'%s': another program has locked the image while it was reopened", file->filename);
        engine = NULL;
    }
    if (!engine) {
        if (fd >= 0) {
            close(fd);
        }
        file->aio = old.aio;
        file->file = old.file;
        node->limits = old.node.limits;
        return false;
    }
    close(old.file.fd);
    file->file.fd = fd;
    file->engine = engine;
    node->writable = writable;
    return true;
}

/* ---- what the core asks ---- */

int64_t file_length(Node *node)
{
    FileNode *file = FILE_NODE(node);
    int64_t length = length_of(file, file->file.fd);

    if (length >= 0) {
        file_forget_extent(file, false);
        node->length = (uint64_t)length;
    }
    return length;
}

int64_t file_allocated(Node *node)
{
    struct stat info;

    if (fstat(FILE_NODE(node)->file.fd, &info) < 0) {
        return -errno;
    }
    return (int64_t)info.st_blocks * 512;  /* POSIX's unit here, whatever the file system's blocks are */
}

bool file_perms_prepare(Node *node, NodePerms perms, NodePerms shared, GError **err)
{
    FileNode *file = FILE_NODE(node);

    return file_lock_prepare(&file->lock, file->file.fd, file->filename, perms, shared, err);
}

void file_perms_commit(Node *node)
{
    FileNode *file = FILE_NODE(node);

    file_lock_commit(&file->lock, file->file.fd);
    file->exclusive = file->lock.kept & PERM_WRITE;
    file_forget_extent(file, true);
}

void file_perms_abort(Node *node)
{
    FileNode *file = FILE_NODE(node);

    file_lock_abort(&file->lock, file->file.fd);
}

void file_detach_loop(Node *node)
{
    FILE_NODE(node)->engine = NULL;
}

/* The loop is given, and the threads are there always. */
void file_attach_loop(Node *node, IoLoop *loop)
{
    FileNode *file = FILE_NODE(node);
    g_autoptr(GError) err = NULL;

    file->engine = choose_engine(file, loop, file->file.alignment != 0, &err);
    if (!file->engine) {
        report_warning("'%s': %s; going on with aio=threads", file->filename, err->message);
        file->engine = aio_engine(loop, AIO_THREADS, NULL);
    }
}
