/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * medium.c - media that come and go: tray, lock, who is told; and what the storage behind a drive tells it
 *
 * Threads  commands at home; what a person does and the image's news on the main thread. The few bits that both look at are atomic.
 * Tests    tests/dev/scsi.c
 */
#include "base/io-loop.h"
#include "hw/scsi/commands.h"

static bool get(const bool *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void set(bool *flag, bool value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

void drive_look_at_medium(ScsiDrive *drive)
{
    Blk *blk = drive->conf.blk;

    __atomic_store_n(&drive->blocks, blk_length(blk) / drive->scsi.block_size, __ATOMIC_RELEASE);
    set(&drive->read_only, blk_readonly(blk) || scsi_model(&drive->scsi)->type == 5);
}

bool drive_has_medium(const ScsiDrive *drive)
{
    return !get(&drive->tray_open) && drive_blocks(drive) > 0;
}

bool drive_ready(ScsiRequest *request)
{
    const ScsiDrive *drive = drive_of(request);

    if (drive_has_medium(drive)) {
        return true;
    }
    scsi_fail(request, get(&drive->tray_open) ? SENSE_NO_MEDIUM_TRAY_OPEN : SENSE_NO_MEDIUM_TRAY_CLOSED);
    return false;
}

/* ---- the guest's ---- */

/* The storage hears of the tray and its lock on the main thread, later: only where it stands then matters. */
static void tell_tray(void *opaque)
{
    ScsiDrive *drive = opaque;
    bool open = get(&drive->tray_open);

    __atomic_fetch_sub(&drive->scsi.posts, 1, __ATOMIC_ACQ_REL);
    if (drive->conf.blk && drive->tray_told != open) {
        drive->tray_told = open;
        blk_guest_tray(drive->conf.blk, open);
    }
    if (drive->conf.blk && drive->lock_told != get(&drive->locked)) {
        drive->lock_told = !drive->lock_told;
        blk_guest_lock(drive->conf.blk, drive->lock_told);
    }
}

static void post_tray(ScsiDrive *drive)
{
    __atomic_fetch_add(&drive->scsi.posts, 1, __ATOMIC_ACQ_REL);
    io_loop_post(io_loop_main(), tell_tray, drive);
}

static void lock_tray(ScsiDrive *drive, bool locked)
{
    if (get(&drive->locked) != locked) {
        set(&drive->locked, locked);
        post_tray(drive);
    }
}

static void move_tray(ScsiDrive *drive, bool open)
{
    set(&drive->tray_open, open);
    if (!open && drive_blocks(drive) > 0) {
        set(&drive->media_event, true);
        scsi_attention(&drive->scsi, SCSI_ATTENTION_MEDIUM_CHANGED);
    } else if (open) {
        set(&drive->media_event, true);
    }
    post_tray(drive);
}

void drive_start_stop(ScsiRequest *request)
{
    enum { START = 1, LOAD_EJECT = 2, POWER_CONDITION = 0xf0 };
    ScsiDrive *drive = drive_of(request);
    uint8_t action = request->cdb[4];
    bool open = !(action & START);

    if ((action & POWER_CONDITION) || !(action & LOAD_EJECT) || !drive->removable) {
        scsi_finish(request);
        return;
    }
    if (open && !get(&drive->tray_open) && get(&drive->locked)) {
        scsi_fail(request, drive_blocks(drive) ? SENSE_REMOVAL_PREVENTED : SENSE_NOT_READY_REMOVAL_PREVENTED);
        return;
    }
    if (get(&drive->tray_open) != open) {
        move_tray(drive, open);
    }
    scsi_finish(request);
}

void drive_prevent_allow(ScsiRequest *request)
{
    lock_tray(drive_of(request), request->cdb[4] & 1);
    scsi_finish(request);
}

/* As after power on: the tray is in, so that a machine can boot from its disc again. */
void drive_reset(ScsiDevice *scsi)
{
    ScsiDrive *drive = (ScsiDrive *)scsi;

    lock_tray(drive, false);
    set(&drive->eject_request, false);
    if (get(&drive->tray_open)) {
        move_tray(drive, false);
    }
    blk_set_write_cache(drive->conf.blk, drive->write_cache_at_first);
}

/* ---- the person's and the image's ---- */

static void resized(void *opaque)
{
    ScsiDrive *drive = opaque;

    bool was_read_only = drive_read_only(drive);
    drive_look_at_medium(drive);
    if (was_read_only != drive_read_only(drive)) {
        scsi_attention(&drive->scsi, SCSI_ATTENTION_MODE);
    }
    scsi_parameters_changed(&drive->scsi, SCSI_ATTENTION_CAPACITY);
}

/* A new medium is told of in two steps, since the old one went first: systems that wait for either see it. */
static void medium_changed(void *opaque, bool loaded)
{
    ScsiDrive *drive = opaque;

    drive_look_at_medium(drive);
    drive->tray_told = !loaded;
    set(&drive->tray_open, !loaded);
    set(&drive->eject_request, false);
    set(&drive->media_event, true);
    scsi_attention(&drive->scsi, SCSI_ATTENTION_MEDIUM_GONE);
    if (loaded) {
        scsi_attention(&drive->scsi, SCSI_ATTENTION_MEDIUM_CHANGED);
    }
}

static void eject_request(void *opaque, bool force)
{
    ScsiDrive *drive = opaque;

    set(&drive->eject_request, true);
    if (force) {
        lock_tray(drive, false);
    }
}

static bool tray_open(void *opaque)
{
    return get(&((ScsiDrive *)opaque)->tray_open);
}

static bool medium_locked(void *opaque)
{
    return get(&((ScsiDrive *)opaque)->locked);
}

static void retry(void *opaque)
{
    scsi_retry(opaque);
}

const BlkDeviceOps drive_storage_ops = {
    .resized = resized,  .medium_changed = medium_changed,  .eject_request = eject_request,  .tray_open = tray_open,
    .medium_locked = medium_locked,  .retry = retry,
};
