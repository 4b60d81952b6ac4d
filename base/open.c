/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open.c - host paths are opened here and nowhere else
 *
 * Threads  any
 * Tests    tests/unit/news.c
 */
#include "base/open.h"
#include "base/error.h"
#include "base/fdset.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail_path(GError **err, int errnum, const char *what, const char *path)
{
    if (what) {
        fail(err, errnum, "%s '%s': %s", what, path, g_strerror(errnum));
    } else {
        fail(err, errnum, "'%s': %s", path, g_strerror(errnum));
    }
}

int host_open(const char *what, const char *path, int flags, mode_t mode, GError **err)
{
    int fd;

    do {
        fd = fdset_is_name(path) ? fdset_open(path, flags) : open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        fail_path(err, errno, what, path);
    }
    return fd;
}

static bool read_all(int fd, uint8_t *data, size_t length, size_t *got)
{
    *got = 0;
    while (*got < length) {
        ssize_t n = read(fd, data + *got, length - *got);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        if (n == 0) {
            break;
        }
        *got += (size_t)n;
    }
    return true;
}

bool host_read_opened(int fd, const char *what, const char *path, uint64_t limit, uint8_t **data, size_t *length, GError **err)
{
    g_autofree uint8_t *bytes = NULL;
    struct stat info;

    if (fstat(fd, &info) < 0) {
        fail_path(err, errno, what, path);
        return false;
    }
    if (!S_ISREG(info.st_mode)) {
        return fail(err, EINVAL, "%s '%s': it is not a regular file", what, path);
    }
    if ((uint64_t)info.st_size > limit) {
        return fail(err, EFBIG, "%s '%s': its %" PRIu64 " bytes are more than the limit of %" PRIu64, what, path,
                    (uint64_t)info.st_size, limit);
    }
    bytes = g_try_malloc((size_t)info.st_size + 1);
    if (!bytes) {
        return fail(err, ENOMEM, "%s '%s': no memory for %" PRIu64 " bytes", what, path, (uint64_t)info.st_size);
    }
    if (lseek(fd, 0, SEEK_SET) < 0 || !read_all(fd, bytes, (size_t)info.st_size, length)) {
        fail_path(err, errno, what, path);
        return false;
    }
    bytes[*length] = 0;                    /* texts may be read as strings */
    *data = g_steal_pointer(&bytes);
    return true;
}

bool host_read_file(const char *what, const char *path, uint64_t limit, uint8_t **data, size_t *length, GError **err)
{
    /* Without O_NONBLOCK, opening a FIFO by mistake would wait for its writer. */
    int fd = host_open(what, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
    bool ok;

    if (fd < 0) {
        return false;
    }
    ok = host_read_opened(fd, what ? what : "file", path, limit, data, length, err);
    close(fd);
    return ok;
}
