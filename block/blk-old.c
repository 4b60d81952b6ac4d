/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk-old.c - a drive opened from one member of the configuration, for a board that does not call drives_open() yet: raw, read-only
 *
 * Tests     tests/unit/blk.c
 */
#include "block/blk-core.h"
#include "base/error.h"
#include "base/open.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool check_config(const Value *config, const char *file, GError **err)
{
    static const char *const known[] = { "file", "format", "readonly", "id", "if", "index", "bus", "unit", "media", NULL };
    const char *format = value_get_string(config, "format", NULL);

    if (!file) {
        return fail(err, EINVAL, "drive '%s': file=PATH is missing", value_get_string(config, "id", "?"));
    }
    if (format && strcmp(format, "raw") != 0) {
        return fail(err, ENOTSUP, "drive file '%s': format=%s is not supported yet; raw is", file, format);
    }
    for (size_t i = 0; i < value_length(config); i++) {
        if (!g_strv_contains(known, value_key_at(config, i))) {
            return fail(err, ENOTSUP, "drive file '%s': the key '%s' is not supported yet", file, value_key_at(config, i));
        }
    }
    if (!value_get_bool(config, "readonly", false)) {
        return fail(err, ENOTSUP, "drive file '%s': writing is not supported yet; add readonly=on", file);
    }
    return true;
}

/* A block device's size is where its end is; other kinds of file have no size a disk could have. */
static bool find_length(Blk *blk, GError **err)
{
    struct stat status;

    if (fstat(blk->fd, &status) < 0) {
        return fail(err, errno, "drive file '%s': %s", blk->file, strerror(errno));
    }
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        return fail(err, EINVAL, "drive file '%s': it is neither a regular file nor a block device", blk->file);
    }
    off_t end = lseek(blk->fd, 0, SEEK_END);
    if (end < 0) {
        return fail(err, errno, "drive file '%s': its size cannot be found: %s", blk->file, strerror(errno));
    }
    if (end < 512) {
        return fail(err, EINVAL, "drive file '%s': %lld bytes are less than one sector", blk->file, (long long)end);
    }
    blk->fd_length = (uint64_t)end;
    return true;
}

bool blk_open(Blk **out, const Value *config, GError **err)
{
    const char *file = value_get_string(config, "file", NULL);

    if (!check_config(config, file, err)) {
        return false;
    }
    Blk *blk = blk_new(NULL, err);
    blk->file = g_strdup(file);
    /* Without O_NONBLOCK, opening a FIFO by mistake would wait for its writer. */
    blk->fd = host_open("drive file", file, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
    if (blk->fd < 0 || !find_length(blk, err)) {
        blk_close(blk);
        return false;
    }
    *out = blk;
    return true;
}

void blk_close(Blk *blk)
{
    if (blk && blk->fd >= 0) {
        close(blk->fd);
        blk->fd = -1;
    }
    blk_unref(blk);
}

const char *blk_file(const Blk *blk)
{
    return blk->file;
}

int blk_pread_fd(Blk *blk, uint64_t offset, void *buffer, size_t length)
{
    while (length) {
        ssize_t got = pread(blk->fd, buffer, length, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? -errno : -EIO;        /* the file became shorter */
        }
        buffer = (char *)buffer + got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return 0;
}
