/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host-device.c - drivers "host_device" and "host_cdrom": a device of the host as a disk
 *
 * Requests are those of a file. A device has the size it has, knows no holes, and zeroes and discards by its own commands. A CD-ROM
 * drive without a disc has length 0; its tray and lock (CDROM ioctls) follow the guest's, see block/blk-tray.c.
 *
 * Omits    SCSI commands passed through (SG_IO), zones
 * Threads  the node's home loop
 * Tests    tests/block/file.c, where a loop device can be had
 */
#include "block/proto/file.h"
#include "base/error.h"
#include <errno.h>
#include <inttypes.h>
#include <linux/cdrom.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

static int device_truncate(Node *node, uint64_t size, bool exact, Preallocation preallocation, RequestFlags flags, GError **err)
{
    int64_t length = file_length(node);

    (void)flags;
    if (length < 0) {
        fail(err, (int)-length, "Could not get the size of '%s': %s", FILE_NODE(node)->filename, g_strerror((int)-length));
        return (int)length;
    }
    if (preallocation != PREALLOC_OFF) {
        fail(err, ENOTSUP, "Preallocation mode '%s' unsupported for this non-regular file", preallocation_names[preallocation]);
        return -ENOTSUP;
    }
    if (size > (uint64_t)length) {
        fail(err, EINVAL, "Cannot grow device files: '%s' has %" PRId64 " bytes", FILE_NODE(node)->filename, length);
        return -EINVAL;
    }
    if (exact && size != (uint64_t)length) {
        fail(err, ENOTSUP, "Cannot resize device files: '%s' has %" PRId64 " bytes", FILE_NODE(node)->filename, length);
        return -ENOTSUP;
    }
    return 0;
}

/* A device is not made; one that is there and large enough will do. */
static bool device_create(const char *filename, uint64_t size, const Value *options, GError **err)
{
    FileNode file = { .filename = (char *)filename };
    NodeOpen how = { .writable = true };
    bool good;

    (void)options;
    file.aio = AIO_THREADS;
    file.node.loop = io_loop_current();
    if (!file_open(&file.node, &how, FILE_DEVICE, err)) {
        return false;
    }
    good = file.node.length >= size;
    if (!good) {
        fail(err, ENOSPC, "The image needs %" PRIu64 " bytes, and '%s' has only %" PRIu64, size, filename, file.node.length);
    }
    file_close(&file.node);
    return good;
}

static const Field device_create_options[] = {
    { .name = "size", .kind = FIELD_SIZE, .size = sizeof(uint64_t), .help = "Virtual disk size" },
    FIELD_END };

static bool device_open(Node *node, const NodeOpen *how, GError **err)
{
    return file_open(node, how, FILE_DEVICE, err);
}

static Value *device_parse(const char *filename, GError **err)
{
    return file_parse_prefix(filename, "host_device:", "host_device", err);
}

static const char *const device_prefixes[] = { "host_device:", NULL };

const NodeDriver host_device_driver = {
    .name = "host_device",
    .help = "a block device of the host",
    .kind = NODE_PROTOCOL,
    .size = sizeof(FileNode),
    .options = file_options,
    .prefixes = device_prefixes,
    .parse_filename = device_parse,
    .open = device_open,
    .close = file_close,
    .preadv = file_preadv,
    .pwritev = file_pwritev,
    .pwrite_zeroes = file_pwrite_zeroes,
    .pdiscard = file_pdiscard,
    .flush = file_flush,
    .truncate = device_truncate,
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
    .create_options = device_create_options,
    .create_file = device_create,
};

/* ---- CD-ROM drives ---- */

static bool cdrom_open(Node *node, const NodeOpen *how, GError **err)
{
    if (how->writable && !how->auto_readonly) {
        return fail(err, EROFS, "'%s' is a CD-ROM drive, which is only for reading: read-only=on", FILE_NODE(node)->filename);
    }
    NodeOpen readonly = *how;
    readonly.writable = false;
    return file_open(node, &readonly, FILE_CDROM, err);
}

/* 0 without a disc. */
static int64_t cdrom_length(Node *node)
{
    bool inserted = ioctl(FILE_NODE(node)->file.fd, CDROM_DRIVE_STATUS, CDSL_CURRENT) == CDS_DISC_OK;

    return inserted ? file_length(node) : 0;
}

static int cdrom_eject(Node *node, bool open)
{
    return ioctl(FILE_NODE(node)->file.fd, open ? CDROMEJECT : CDROMCLOSETRAY, NULL) < 0 ? -errno : 0;
}

static int cdrom_lock(Node *node, bool locked)
{
    return ioctl(FILE_NODE(node)->file.fd, CDROM_LOCKDOOR, locked) < 0 ? -errno : 0;
}

static Value *cdrom_parse(const char *filename, GError **err)
{
    return file_parse_prefix(filename, "host_cdrom:", "host_cdrom", err);
}

static const char *const cdrom_prefixes[] = { "host_cdrom:", NULL };

const NodeDriver host_cdrom_driver = {
    .name = "host_cdrom",
    .help = "a CD-ROM drive of the host",
    .kind = NODE_PROTOCOL,
    .size = sizeof(FileNode),
    .options = file_options,
    .prefixes = cdrom_prefixes,
    .parse_filename = cdrom_parse,
    .open = cdrom_open,
    .close = file_close,
    .preadv = file_preadv,
    .flush = file_flush,
    .truncate = device_truncate,
    .length = cdrom_length,
    .allocated = file_allocated,
    .perms_prepare = file_perms_prepare,
    .perms_commit = file_perms_commit,
    .perms_abort = file_perms_abort,
    .reopen = file_reopen,
    .detach_loop = file_detach_loop,
    .attach_loop = file_attach_loop,
    .filename = file_filename,
    .medium_eject = cdrom_eject,
    .medium_lock = cdrom_lock,
};
