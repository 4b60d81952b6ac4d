/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scsi.c - SCSI without an adapter: CDBs in, data, status and sense out; disks, CD-ROM drives, units that are not there
 */
#include "base/bytes.h"
#include "hw/models.h"
#include "hw/scsi/bus.h"
#include "hw/scsi/mmc.h"
#include "tests/rig/memory-disk.h"
#include "tests/rig/rig.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DISK = 1 << 20, BUFFER = 256 << 10 };

typedef struct Command {
    ScsiRequest request;
    struct iovec in[3], out[3];
    bool done;
} Command;

static ScsiBus bus;
static MemoryDisk *disk;
static uint8_t in[BUFFER], out[BUFFER];
static unsigned parameters_told;

static void parameters_changed(void *opaque, ScsiDevice *scsi, ScsiSense sense)
{
    (void)opaque;
    (void)scsi;
    parameters_told += sense_equal(sense, SENSE_CAPACITY_CHANGED);
}

static const ScsiBusOps ops = { .parameters_changed = parameters_changed };

/* A device on the bus, with "property=value" texts, NULL-terminated. */
static Device *add(Rig *rig, const DeviceModel *model, const char *first, ...)
{
    g_autoptr(GError) err = NULL;
    Device *device = device_new(rig_machine(rig), model, &bus.bus, NULL, &err);
    va_list args;

    va_start(args, first);
    for (const char *text = first; device && !err && text; text = va_arg(args, const char *)) {
        g_auto(GStrv) pair = g_strsplit(text, "=", 2);
        g_autoptr(Value) value = value_new_string(pair[1]);
        device_set(device, pair[0], value, &err);
    }
    va_end(args);
    if (!err) {
        device_realize(device, &err);
    }
    if (err) {
        check_failed(__FILE__, __LINE__, "%s: %s", model->name, err->message);
    }
    return device;
}

static void begin(Rig *rig)
{
    disk = memory_disk_new("disk", DISK);
    for (unsigned i = 0; i < DISK / 512; i++) {
        store_le32(disk->bytes + (size_t)i * 512, i);
    }
    scsi_bus_init(&bus, "scsi0.0", rig_machine(rig), NULL, io_loop_main(), &ops, NULL);
}

static void end(void)
{
    while (bus.bus.devices->len) {
        device_unrealize(bus.bus.devices->pdata[bus.bus.devices->len - 1]);
    }
    scsi_bus_destroy(&bus);
    memory_disk_free(disk);
    memory_disk_settle();
}

static void done(ScsiRequest *request)
{
    Command *command = (Command *)request;

    check(!command->done);
    command->done = true;
}

static unsigned pieces(struct iovec iov[3], uint8_t *bytes, size_t length)
{
    size_t first = MIN(length, 5), second = MIN(length - first, 700);      /* odd pieces on purpose */

    iov[0] = (struct iovec){ bytes, first };
    iov[1] = (struct iovec){ bytes + first, second };
    iov[2] = (struct iovec){ bytes + first + second, length - first - second };
    return length > first + second ? 3 : length > first ? 2 : length ? 1 : 0;
}

static void start(Command *command, unsigned target, unsigned lun, const uint8_t *cdb, size_t length, size_t in_room, size_t out_room)
{
    memset(command, 0, sizeof *command);
    memcpy(command->request.cdb, cdb, length);
    command->request.tag = (uintptr_t)command;
    command->request.in = command->in;
    command->request.out = command->out;
    command->request.in_count = pieces(command->in, in, in_room);
    command->request.out_count = pieces(command->out, out, out_room);
    command->request.in_bytes = in_room;
    command->request.out_bytes = out_room;
    command->request.done = done;
    scsi_submit(&bus, target, lun, &command->request);
}

static Command last;

static const ScsiRequest *run_at(unsigned target, unsigned lun, const uint8_t *cdb, size_t length, size_t in_room, size_t out_room)
{
    memset(in, 0xee, sizeof in);
    start(&last, target, lun, cdb, length, in_room, out_room);
    memory_disk_settle();
    check(last.done);
    return &last.request;
}
#define RUN(in_room, out_room, ...) \
    run_at(0, 0, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), in_room, out_room)

#define check_good(request, bytes) \
    do { \
        const ScsiRequest *r_ = (request); \
        check_eq(r_->outcome, SCSI_DONE); \
        check_eq(r_->status, SCSI_GOOD); \
        check_eq(r_->moved, bytes); \
    } while (0)
#define check_sense(request, wanted) \
    do { \
        const ScsiRequest *r_ = (request); \
        check_eq(r_->outcome, SCSI_DONE); \
        check_eq(r_->status, SCSI_CHECK_CONDITION); \
        if (!sense_equal(r_->sense, wanted)) { \
            check_failed(__FILE__, __LINE__, "sense %s (%x/%02x/%02x), expected %s", sense_name(r_->sense), r_->sense.key, r_->sense.code, \
                         r_->sense.qualifier, sense_name(wanted)); \
        } \
    } while (0)

static void swallow_attention(void)
{
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_POWER_ON);
    check_good(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), 0);
}

/* ---- who is there ---- */

static void it_says_who_it_is(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", "serial=S1234", "wwn=0x5000c50015ea71ac", "port_wwn=0x5000c50015ea71ad", "port_index=1",
        "rotation_rate=7200", "max_unmap_size=65536", "discard_granularity=4096", "opt_io_size=65536", NULL);
    check_good(RUN(255, 0, 0x12, 0, 0, 0, 255, 0), 36);    /* before the power-on attention is heard */
    check_eq(in[0], 0);
    check_eq(in[1], 0);
    check_eq(in[2], 5);
    check_eq(in[4], 31);
    check(memcmp(in + 8, "QEMU    QEMU HARDDISK   2.5+", 28) == 0);
    check_eq(in[36], 0xee);
    check_good(RUN(5, 0, 0x12, 0, 0, 0, 5, 0), 5);
    check_good(RUN(255, 0, 0x12, 1, 0x00, 0, 255, 0), 10);
    check(memcmp(in + 3, "\x06\x00\x80\x83\xb0\xb1\xb2", 7) == 0);
    check_good(RUN(255, 0, 0x12, 1, 0x80, 0, 255, 0), 9);
    check(memcmp(in + 4, "S1234", 5) == 0);
    check_good(RUN(255, 0, 0x12, 1, 0x83, 0, 255, 0), 4 + 4 + 5 + 12 + 12 + 8);
    check(memcmp(in + 8, "S1234", 5) == 0);
    check(memcmp(in + 13, "\x01\x03\x00\x08\x50\x00\xc5\x00\x15\xea\x71\xac", 12) == 0);
    check(memcmp(in + 25, "\x61\x93\x00\x08\x50\x00\xc5\x00\x15\xea\x71\xad", 12) == 0);
    check(memcmp(in + 37, "\x61\x94\x00\x04\x00\x00\x00\x01", 8) == 0);
    check_good(RUN(255, 0, 0x12, 1, 0xb0, 0, 255, 0), 64);
    check_eq(load_be32(in + 12), 128);     /* optimal transfer */
    check_eq(load_be32(in + 20), 128);     /* most of an UNMAP */
    check_eq(load_be32(in + 24), 255);
    check_eq(load_be32(in + 28), 8);
    check_good(RUN(255, 0, 0x12, 1, 0xb1, 0, 255, 0), 64);
    check_eq(load_be16(in + 4), 7200);
    check_good(RUN(255, 0, 0x12, 1, 0xb2, 0, 255, 0), 8);
    check_eq(in[5], 0xe0);
    check_eq(in[6], 2);
    check_sense(RUN(255, 0, 0x12, 1, 0xc0, 0, 255, 0), SENSE_BAD_FIELD);
    check_sense(RUN(255, 0, 0x12, 0, 0x80, 0, 255, 0), SENSE_BAD_FIELD);
    end();
}

static void nobody_is_there(Rig *rig)
{
    const uint8_t inquiry[] = { 0x12, 0, 0, 0, 36, 0 }, ready[] = { 0x00, 0, 0, 0, 0, 0 }, sense[] = { 0x03, 0, 0, 0, 18, 0 };
    const uint8_t luns[] = { 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0 };

    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", "scsi-id=3", "lun=5", NULL);
    check_eq(run_at(2, 0, ready, sizeof ready, 0, 0)->outcome, SCSI_NO_TARGET);
    check_eq(run_at(256, 0, ready, sizeof ready, 0, 0)->outcome, SCSI_NO_TARGET);
    check_eq(run_at(UINT32_MAX, 0, ready, sizeof ready, 0, 0)->outcome, SCSI_NO_TARGET);
    check_sense(run_at(3, 0, ready, sizeof ready, 0, 0), SENSE_NO_LUN);
    check_good(run_at(3, 0, inquiry, sizeof inquiry, 36, 0), 36);
    check_eq(in[0], 0x3f);
    check_eq(in[2], 5);                    /* else Linux does not ask for the other LUNs */
    check_good(run_at(3, 4, inquiry, sizeof inquiry, 36, 0), 36);
    check_eq(in[0], 0x7f);
    check_good(run_at(3, 4, sense, sizeof sense, 18, 0), 18);
    check_eq(in[2], 5);
    check_eq(in[12], 0x25);
    check_good(run_at(3, 0, luns, sizeof luns, 64, 0), 24);
    check_eq(load_be32(in), 16);
    check_eq(load_be64(in + 8), 0);
    check_eq(load_be64(in + 16), UINT64_C(5) << 48);
    check_eq(run_at(3, 16383, ready, sizeof ready, 0, 0)->status, SCSI_CHECK_CONDITION);
    end();
}

static void luns_are_reported(Rig *rig)
{
    begin(rig);
    MemoryDisk *other = memory_disk_new("other", DISK), *third = memory_disk_new("third", DISK);
    add(rig, &scsi_hd_model, "drive=disk", "lun=300", "scsi-id=0", NULL);
    add(rig, &scsi_hd_model, "drive=other", "lun=7", "scsi-id=0", NULL);
    Device *device = add(rig, &scsi_hd_model, "drive=third", NULL);        /* the first target with LUN 0 free: the same */
    check_eq(SCSI_DEVICE(device)->id, 0);
    check_eq(SCSI_DEVICE(device)->lun, 0);
    check_good(RUN(64, 0, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), 32);
    check_eq(load_be64(in + 8), 0);
    check_eq(load_be64(in + 16), UINT64_C(7) << 48);
    check_eq(load_be64(in + 24), UINT64_C(0x412c) << 48);
    check_good(RUN(64, 0, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0), 20);
    check_eq(load_be32(in), 24);
    check_good(RUN(64, 0, 0xa0, 0, 1, 0, 0, 0, 0, 0, 0, 64, 0, 0), 8);
    check_sense(RUN(64, 0, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0), SENSE_BAD_FIELD);
    check_sense(RUN(64, 0, 0xa0, 0, 9, 0, 0, 0, 0, 0, 0, 64, 0, 0), SENSE_BAD_FIELD);
    device_unrealize(device);
    check_good(RUN(64, 0, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), 32);    /* LUN 0 is told of, there or not */
    end();
    memory_disk_free(other);
    memory_disk_free(third);
}

static void addresses_are_checked(Rig *rig)
{
    static const struct { const char *settings[4]; const char *words; } bad[] = {
        { { "scsi-id=256" }, "scsi-id=256" }, { { "lun=16384" }, "lun=16384" }, { { "channel=1" }, "channel 0" },
        { { "scsi-id=0", "lun=0" }, "is taken by" },
    };

    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) err = NULL;
        Device *device = device_new(rig_machine(rig), &scsi_cd_model, &bus.bus, NULL, NULL);
        for (unsigned j = 0; bad[i].settings[j]; j++) {
            g_auto(GStrv) pair = g_strsplit(bad[i].settings[j], "=", 2);
            g_autoptr(Value) value = value_new_string(pair[1]);
            check(device_set(device, pair[0], value, NULL));
        }
        check(!device_realize(device, &err));
        check(err && strstr(err->message, bad[i].words));
        object_unref(&device->object);
    }
    end();
}

/* ---- data ---- */

static void it_reads_and_writes(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", NULL);
    swallow_attention();
    check_good(RUN(8, 0, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 8);
    check_eq(load_be32(in), DISK / 512 - 1);
    check_eq(load_be32(in + 4), 512);
    check_good(RUN(32, 0, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), 32);
    check_eq(load_be64(in), DISK / 512 - 1);
    check_eq(in[14], 0x80);
    check_good(RUN(1024, 0, 0x28, 0, 0, 0, 0, 7, 0, 0, 2, 0), 1024);
    check_eq(load_le32(in), 7);
    check_eq(load_le32(in + 512), 8);
    check_good(RUN(2048, 0, 0x08, 0, 1, 2, 1, 0), 512);    /* a larger buffer than the CDB needs */
    check_eq(load_le32(in), 0x102);
    check_eq(in[512], 0xee);
    check_good(RUN(128 << 10, 0, 0x08, 0, 0, 0, 0, 0), 256 * 512);
    check_eq(load_le32(in + 255 * 512), 255);
    check_good(RUN(512, 0, 0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0), 512);
    check_eq(load_le32(in), 9);
    check_good(RUN(512, 0, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0), 512);
    check_eq(load_le32(in), 10);
    for (unsigned i = 0; i < 2048; i++) {
        out[i] = (uint8_t)(i * 7);
    }
    check_good(RUN(0, 2048, 0x2a, 0, 0, 0, 0, 20, 0, 0, 4, 0), 2048);
    check(memcmp(disk->bytes + 20 * 512, out, 2048) == 0);
    check_eq(disk->flags & REQ_FUA, 0);
    check_good(RUN(0, 2048, 0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 4, 0, 0), 2048);
    check(memcmp(disk->bytes + 40 * 512, out, 2048) == 0);
    check(disk->flags & REQ_FUA);
    check_good(RUN(0, 512, 0x0a, 0, 0, 60, 1, 0), 512);
    check_good(RUN(0, 512, 0xaa, 0, 0, 0, 0, 61, 0, 0, 0, 1, 0, 0), 512);
    check_good(RUN(0, 512, 0x2e, 0, 0, 0, 0, 62, 0, 0, 1, 0), 512);
    check(memcmp(disk->bytes + 62 * 512, out, 512) == 0);
    unsigned flushes = disk->flushes;
    check_good(RUN(0, 0, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
    check_eq(disk->flushes, flushes + 1);
    check_good(RUN(0, 0, 0x28, 0, 0, 0, 8, 0, 0, 0, 0, 0), 0);         /* nothing, at the end */
    end();
}

static void ranges_are_checked(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", NULL);
    swallow_attention();
    check_sense(RUN(512, 0, 0x28, 0, 0, 0, 8, 0, 0, 0, 1, 0), SENSE_BAD_LBA);
    check_sense(RUN(1024, 0, 0x28, 0, 0, 0, 7, 255, 0, 0, 2, 0), SENSE_BAD_LBA);
    check_sense(RUN(0, 512, 0x2a, 0, 255, 255, 255, 255, 0, 0, 1, 0), SENSE_BAD_LBA);
    check_sense(RUN(512, 0, 0x88, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0), SENSE_BAD_LBA);
    check_sense(RUN(512, 0, 0x88, 0, 0, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0), SENSE_BAD_LBA);       /* times 512 it would wrap */
    check_sense(RUN(0, 0, 0x28, 0, 0, 0, 8, 1, 0, 0, 0, 0), SENSE_BAD_LBA);
    check_sense(RUN(0, 0, 0x2b, 0, 0, 0, 8, 0, 0, 0, 0, 0), SENSE_BAD_LBA);
    check_sense(RUN(512, 0, 0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0), SENSE_BAD_FIELD);         /* protection information */
    /* More than the buffers hold. */
    check_eq(RUN(511, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0)->outcome, SCSI_OVERRUN);
    check_eq(RUN(BUFFER, 0, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0)->outcome, SCSI_OVERRUN);
    check_eq(RUN(512, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0)->outcome, SCSI_OVERRUN);         /* the wrong way */
    check_eq(RUN(10, 0, 0x12, 0, 0, 0, 36, 0)->outcome, SCSI_OVERRUN);
    check_eq(disk->writes, 0);
    end();
}

static void blocks_of_4096(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", "logical_block_size=4096", "physical_block_size=16384", NULL);
    swallow_attention();
    check_good(RUN(32, 0, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), 32);
    check_eq(load_be64(in), DISK / 4096 - 1);
    check_eq(load_be32(in + 8), 4096);
    check_eq(in[13], 2);
    check_good(RUN(4096, 0, 0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0), 4096);
    check_eq(load_le32(in), 8);
    check_sense(RUN(4096, 0, 0x28, 0, 0, 0, 1, 0, 0, 0, 1, 0), SENSE_BAD_LBA);
    memset(out, 0x5a, 4096);
    check_good(RUN(0, 4096, 0x41, 0, 0, 0, 0, 2, 0, 0, 40, 0), 4096);      /* WRITE SAME: more than one piece of 64 KiB */
    for (unsigned i = 0; i < 40 * 4096; i++) {
        if (disk->bytes[2 * 4096 + i] != 0x5a) {
            check_failed(__FILE__, __LINE__, "byte %u", i);
            break;
        }
    }
    check_eq(load_le32(disk->bytes + 42 * 4096), 42 * 8);
    end();
}

static void it_gives_back_space(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", NULL);
    swallow_attention();
    memset(out, 0, 64);
    store_be16(out, 38);
    store_be16(out + 2, 32);
    store_be64(out + 8, 16);
    store_be32(out + 16, 8);
    store_be64(out + 24, 2047);
    store_be32(out + 32, 1);
    check_good(RUN(0, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0), 40);
    check_eq(disk->discards, 2);
    check_eq(disk->bytes[16 * 512], 0xdd);
    check_eq(disk->bytes[24 * 512 - 1], 0xdd);
    check_eq(load_le32(disk->bytes + 24 * 512), 24);
    store_be32(out + 32, 2);               /* one block beyond the end: nothing of the list is done */
    check_sense(RUN(0, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0), SENSE_BAD_LBA);
    store_be64(out + 24, UINT64_MAX);
    check_sense(RUN(0, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0), SENSE_BAD_LBA);
    check_eq(disk->discards, 2);
    check_sense(RUN(0, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 7, 0), SENSE_PARAMETER_LENGTH);
    check_sense(RUN(0, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 39, 0), SENSE_PARAMETER_LENGTH);
    check_sense(RUN(0, 40, 0x42, 1, 0, 0, 0, 0, 0, 0, 40, 0), SENSE_BAD_FIELD);
    store_be16(out + 2, 31);
    check_sense(RUN(0, 40, 0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0), SENSE_PARAMETER_LENGTH);
    store_be16(out + 2, 65520);
    check_sense(RUN(0, 65535, 0x42, 0, 0, 0, 0, 0, 0, 255, 255, 0), SENSE_BAD_PARAMETER);
    store_be16(out + 2, 4080);
    check_sense(RUN(0, 65535, 0x42, 0, 0, 0, 0, 0, 0, 255, 255, 0), SENSE_PARAMETER_LENGTH);
    check_good(RUN(0, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
    /* WRITE SAME of zeroes, with and without the wish to unmap, with and without a block. */
    memset(out, 0, 512);
    check_good(RUN(0, 512, 0x93, 8, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 8, 0, 0), 512);
    check_eq(disk->zeroes, 1);
    check(disk->flags & REQ_MAY_UNMAP);
    check_eq(disk->bytes[16 * 512], 0);
    check_good(RUN(0, 0, 0x93, 1, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 8, 0, 0), 0);
    check_eq(disk->zeroes, 2);
    check(!(disk->flags & REQ_MAY_UNMAP));
    check_sense(RUN(0, 512, 0x93, 8, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0), SENSE_BAD_FIELD);
    check_sense(RUN(0, 512, 0x93, 0x18, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0), SENSE_BAD_FIELD);
    check_sense(RUN(0, 512, 0x93, 8, 0, 0, 0, 0, 0, 0, 0, 16, 255, 255, 255, 255, 0, 0), SENSE_BAD_LBA);
    end();
}

static void it_verifies(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", NULL);
    swallow_attention();
    memcpy(out, disk->bytes, 160 << 10);
    check_good(RUN(0, 0, 0x2f, 0, 0, 0, 0, 0, 0, 1, 64, 0), 0);
    check(disk->reads >= 3);
    check_good(RUN(0, 160 << 10, 0x2f, 2, 0, 0, 0, 0, 0, 1, 64, 0), 160 << 10);
    out[100 << 10] ^= 1;
    check_sense(RUN(0, 160 << 10, 0x2f, 2, 0, 0, 0, 0, 0, 1, 64, 0), SENSE_MISCOMPARED);
    check_sense(RUN(0, 160 << 10, 0x2f, 6, 0, 0, 0, 0, 0, 1, 64, 0), SENSE_BAD_FIELD);
    check_sense(RUN(0, 0, 0x8f, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0), SENSE_BAD_LBA);
    check_good(RUN(0, 0, 0xaf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
    end();
}

/* ---- modes ---- */

static void modes_can_be_asked_and_changed(Rig *rig)
{
    begin(rig);
    Device *device = add(rig, &scsi_hd_model, "drive=disk", "dpofua=on", NULL);
    swallow_attention();
    check_good(RUN(255, 0, 0x1a, 0, 0x3f, 0, 255, 0), 4 + 8 + 12 + 24 + 20 + 12);
    check_eq(in[0], 79);
    check_eq(in[2], 0x10);
    check_eq(in[3], 8);
    check_good(RUN(255, 0, 0x1a, 8, 0x08, 0, 255, 0), 24);
    check_eq(in[4], 0x08);
    check_eq(in[5], 18);
    check_eq(in[6], 4);                    /* WCE */
    check_good(RUN(255, 0, 0x5a, 8, 0x48, 0, 0, 0, 0, 0, 255, 0), 28);     /* what can be changed */
    check_eq(in[10], 4);
    check_sense(RUN(255, 0, 0x1a, 8, 0xc8, 0, 255, 0), SENSE_NOTHING_SAVED);
    check_sense(RUN(255, 0, 0x1a, 8, 0x09, 0, 255, 0), SENSE_BAD_FIELD);
    check_sense(RUN(255, 0, 0x1a, 8, 0x08, 1, 255, 0), SENSE_BAD_FIELD);
    check_good(RUN(24, 0, 0x1a, 8, 0x08, 0, 24, 0), 24);
    memcpy(out, in, 24);
    out[0] = out[6] = 0;
    check_good(RUN(0, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 512);
    unsigned flushes = disk->flushes;
    check_good(RUN(0, 24, 0x15, 0x10, 0, 0, 24, 0), 24);
    check_eq(disk->flushes, flushes + 1);  /* the cache's end */
    check_good(RUN(24, 0, 0x1a, 8, 0x08, 0, 24, 0), 24);
    check_eq(in[6], 0);
    check_good(RUN(0, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 512);
    check(disk->flags & REQ_FUA || disk->flushes > flushes + 1);           /* written through */
    out[6] = 4;
    out[12] = 1;                           /* a bit that cannot be changed: nothing is */
    check_sense(RUN(0, 24, 0x15, 0x10, 0, 0, 24, 0), SENSE_BAD_PARAMETER);
    check_good(RUN(24, 0, 0x1a, 8, 0x08, 0, 24, 0), 24);
    check_eq(in[6], 0);
    device_reset(device);                  /* nothing was saved */
    swallow_attention();
    check_good(RUN(24, 0, 0x1a, 8, 0x08, 0, 24, 0), 24);
    check_eq(in[6], 4);
    out[12] = 0;
    check_sense(RUN(0, 24, 0x15, 0x00, 0, 0, 24, 0), SENSE_BAD_FIELD);
    check_sense(RUN(0, 24, 0x15, 0x11, 0, 0, 24, 0), SENSE_BAD_FIELD);
    check_sense(RUN(0, 24, 0x15, 0x10, 0, 0, 3, 0), SENSE_PARAMETER_LENGTH);
    check_sense(RUN(0, 24, 0x15, 0x10, 0, 0, 23, 0), SENSE_PARAMETER_LENGTH);
    check_sense(RUN(0, 24, 0x15, 0x10, 0, 0, 5, 0), SENSE_PARAMETER_LENGTH);
    out[3] = 9;
    check_sense(RUN(0, 24, 0x15, 0x10, 0, 0, 24, 0), SENSE_BAD_PARAMETER);
    out[3] = 8;
    check_sense(RUN(0, 24, 0x15, 0x10, 0, 0, 8, 0), SENSE_PARAMETER_LENGTH);
    out[3] = 0;
    out[5] = 255;
    check_sense(RUN(0, 24, 0x15, 0x10, 0, 0, 24, 0), SENSE_PARAMETER_LENGTH);
    out[5] = 18;
    out[4] = 0x3f;
    check_sense(RUN(0, 24, 0x15, 0x10, 0, 0, 24, 0), SENSE_BAD_PARAMETER);
    check_sense(RUN(0, 4096, 0x55, 0x10, 0, 0, 0, 0, 0, 16, 0, 0), SENSE_PARAMETER_LENGTH);
    check_good(RUN(0, 0, 0x15, 0x10, 0, 0, 0, 0), 0);
    end();
}

static void reservations_succeed(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", NULL);
    swallow_attention();
    check_good(RUN(0, 0, 0x16, 0, 0, 0, 0, 0), 0);
    check_good(RUN(0, 0, 0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
    check_sense(RUN(0, 0, 0x56, 1, 0, 0, 0, 0, 0, 0, 0, 0), SENSE_BAD_FIELD);
    end();
}

/* ---- attentions, errors, cancelling ---- */

static void news_come_as_attentions(Rig *rig)
{
    begin(rig);
    Device *device = add(rig, &scsi_hd_model, "drive=disk", NULL);
    check_good(RUN(18, 0, 0x03, 0, 0, 0, 18, 0), 18);      /* asked for, and so taken away */
    check_eq(in[2], 6);
    check_eq(in[12], 0x29);
    check_good(RUN(18, 0, 0x03, 0, 0, 0, 18, 0), 18);
    check_eq(in[2], 0);
    check_good(RUN(18, 0, 0x03, 1, 0, 0, 18, 0), 8);
    check_eq(in[0], 0x72);
    parameters_told = 0;
    memory_disk_resize(disk, 2 * DISK);
    check_eq(parameters_told, 1);
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_CAPACITY_CHANGED);
    check_good(RUN(8, 0, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 8);
    check_eq(load_be32(in), 2 * DISK / 512 - 1);
    scsi_attention(SCSI_DEVICE(device), SCSI_ATTENTION_CAPACITY);
    device_reset(device);
    check_good(RUN(255, 0, 0x12, 0, 0, 0, 255, 0), 36);
    swallow_attention();                   /* and no other after it */
    end();
}

static void errors_become_sense(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", "werror=report", NULL);
    swallow_attention();
    disk->failures = 1;
    disk->fail_with = EIO;
    check_sense(RUN(512, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), SENSE_IO_ERROR);
    check_eq(last.request.moved, 0);
    disk->failures = 1;
    disk->fail_with = ENOSPC;
    check_sense(RUN(0, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), SENSE_SPACE);
    check_good(RUN(0, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 512);
    disk->failures = 1;
    disk->fail_with = EIO;
    check_sense(RUN(0, 0, 0x2f, 0, 0, 0, 0, 0, 0, 1, 64, 0), SENSE_IO_ERROR);
    end();
}

static void ignored_errors_are_no_errors(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", "werror=ignore", "rerror=ignore", NULL);
    swallow_attention();
    disk->failures = 2;
    disk->fail_with = EIO;
    check_good(RUN(512, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), 512);
    check_good(RUN(0, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), 512);
    end();
}

static unsigned stops;

static void stop_machine(void *opaque)
{
    (void)opaque;
    stops++;
}

static void a_stopped_machine_keeps_its_requests(Rig *rig)
{
    const uint8_t write[] = { 0x2a, 0, 0, 0, 0, 30, 0, 0, 1, 0 };
    Command first, second;

    begin(rig);
    blk_on_stop(stop_machine, NULL);
    Device *device = add(rig, &scsi_hd_model, "drive=disk", "werror=stop", NULL);
    swallow_attention();
    stops = 0;
    disk->failures = 2;
    disk->fail_with = ENOSPC;
    memset(out, 0x77, 512);
    start(&first, 0, 0, write, sizeof write, 0, 512);
    start(&second, 0, 0, write, sizeof write, 0, 512);
    memory_disk_settle();
    check(!first.done && !second.done);
    check_eq(stops, 2);
    disk->failures = 1;
    blk_machine_runs();
    memory_disk_settle();
    check(first.done != second.done);      /* one failed again */
    scsi_bus_drain(&bus);                  /* does not wait for what is kept */
    blk_machine_runs();
    memory_disk_settle();
    check(first.done && second.done);
    check_good(&first.request, 512);
    check_eq(disk->bytes[30 * 512], 0x77);
    disk->failures = 1;
    start(&first, 0, 0, write, sizeof write, 0, 512);
    memory_disk_settle();
    check(!first.done);
    device_unrealize(device);              /* nobody waits for ever */
    check(first.done);
    check_eq(first.request.outcome, SCSI_ABORTED);
    blk_on_stop(NULL, NULL);
    end();
}

typedef struct Tmf { ScsiTask task; bool done; } Tmf;

static void tmf_done(ScsiTask *task)
{
    ((Tmf *)task)->done = true;
}

static Tmf manage(unsigned lun, ScsiTaskKind kind, uint64_t tag)
{
    Tmf tmf = { .task.done = tmf_done };

    scsi_manage(&bus, 0, lun, kind, tag, &tmf.task);
    return tmf;
}

static void tasks_are_managed(Rig *rig)
{
    const uint8_t read[] = { 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0 };
    static Tmf abort, reset;
    Command first, second;

    begin(rig);
    add(rig, &scsi_hd_model, "drive=disk", NULL);
    swallow_attention();
    disk->hold = true;
    start(&first, 0, 0, read, sizeof read, 512, 0);
    start(&second, 0, 0, read, sizeof read, 512, 0);
    memory_disk_settle();
    check_eq(disk->holding, 2);
    check_eq(manage(0, SCSI_QUERY_TASK, (uintptr_t)&first).task.result, SCSI_TASK_SUCCEEDED);
    check_eq(manage(0, SCSI_QUERY_TASK, 99).task.result, SCSI_TASK_COMPLETE);
    check_eq(manage(0, SCSI_QUERY_TASK_SET, 0).task.result, SCSI_TASK_SUCCEEDED);
    check_eq(manage(1, SCSI_ABORT_TASK, 99).task.result, SCSI_TASK_NO_LUN);
    check(manage(0, SCSI_ABORT_TASK, 99).done);
    abort = (Tmf){ .task.done = tmf_done };
    scsi_manage(&bus, 0, 0, SCSI_ABORT_TASK, (uintptr_t)&first, &abort.task);
    check(!abort.done);                    /* it writes to the guest's memory still */
    reset = (Tmf){ .task.done = tmf_done };
    scsi_manage(&bus, 0, 0, SCSI_RESET_LUN, 0, &reset.task);
    check(!reset.done);
    memory_disk_release(disk);
    check(abort.done && reset.done && first.done && second.done);
    check_eq(first.request.outcome, SCSI_ABORTED);
    check_eq(second.request.outcome, SCSI_WAS_RESET);
    swallow_attention();
    check(manage(0, SCSI_RESET_NEXUS, 0).done);
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_POWER_ON);
    check_good(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), 0);
    end();
}

static void a_long_command_can_be_cancelled(Rig *rig)
{
    const uint8_t verify[] = { 0x2f, 0, 0, 0, 0, 0, 0, 8, 0, 0 };
    Command command;

    begin(rig);
    Device *device = add(rig, &scsi_hd_model, "drive=disk", NULL);
    swallow_attention();
    disk->hold = true;
    start(&command, 0, 0, verify, sizeof verify, 0, 0);
    memory_disk_settle();
    manage(0, SCSI_QUERY_TASK_SET, 0);
    scsi_bus_cancel(&bus, SCSI_WAS_RESET);
    unsigned reads = disk->reads;
    memory_disk_release(disk);
    check(command.done);
    check_eq(disk->reads, reads);          /* nothing more was asked of the image */
    disk->hold = false;
    device_unrealize(device);
    end();
}

/* ---- CD-ROM ---- */

static void a_drive_without_a_disc(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_cd_model, NULL);
    check_good(RUN(36, 0, 0x12, 0, 0, 0, 36, 0), 36);
    check_eq(in[0], 5);
    check_eq(in[1], 0x80);
    check(memcmp(in + 8, "QEMU    QEMU CD-ROM     2.5+", 28) == 0);
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_POWER_ON);
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_NO_MEDIUM_TRAY_CLOSED);
    check_sense(RUN(8, 0, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), SENSE_NO_MEDIUM_TRAY_CLOSED);
    check_sense(RUN(2048, 0, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), SENSE_NO_MEDIUM_TRAY_CLOSED);
    check_sense(RUN(32, 0, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), SENSE_NO_MEDIUM_TRAY_CLOSED);
    check_good(RUN(255, 0, 0x46, 0, 0, 0, 0, 0, 0, 0, 255, 0), load_be32(in) + 4);
    check_eq(load_be16(in + 6), 0);
    check_good(RUN(8, 0, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0), 8);
    check_eq(in[5], 0);
    end();
}

static void a_disc_is_read(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_cd_model, "drive=disk", NULL);
    swallow_attention();
    check_good(RUN(8, 0, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 8);
    check_eq(load_be32(in), DISK / 2048 - 1);
    check_eq(load_be32(in + 4), 2048);
    check_good(RUN(4096, 0, 0x28, 0, 0, 0, 0, 16, 0, 0, 2, 0), 4096);
    check_eq(load_le32(in), 64);
    check_good(RUN(2048, 0, 0xa8, 0, 0, 0, 0, 17, 0, 0, 0, 1, 0, 0), 2048);
    check_eq(load_le32(in), 68);
    check_good(RUN(2048, 0, 0xbe, 0, 0, 0, 0, 18, 0, 0, 1, 0x10, 0, 0), 2048);
    check_eq(load_le32(in), 72);
    check_good(RUN(40 * 2352, 0, 0xbe, 0, 0, 0, 0, 18, 0, 0, 40, 0xf8, 0, 0), 40 * 2352);
    check_eq(in[0], 0);
    check_eq(in[1], 0xff);
    check(memcmp(in + 12, "\x00\x02\x18\x01", 4) == 0);    /* 150 + 18 frames, in BCD */
    check_eq(load_le32(in + 16), 72);
    check_eq(load_le32(in + 39 * 2352 + 16), 72 + 39 * 4);
    check_good(RUN(2048, 0, 0xb9, 0, 0, 0, 2, 0, 0, 2, 1, 0x10, 0, 0), 2048);
    check_eq(load_le32(in), 0);
    check_sense(RUN(2048, 0, 0xb9, 0, 0, 0, 2, 1, 0, 2, 0, 0x10, 0, 0), SENSE_BAD_FIELD);
    check_sense(RUN(2048, 0, 0x28, 0, 0, 0, 2, 0, 0, 0, 1, 0), SENSE_BAD_LBA);
    check_sense(RUN(2048, 0, 0xbe, 0, 0, 0, 2, 0, 0, 0, 1, 0x10, 0, 0), SENSE_BAD_LBA);
    check_eq(RUN(2048, 0, 0xbe, 0, 0, 0, 0, 0, 255, 255, 255, 0xf8, 0, 0)->outcome, SCSI_OVERRUN);
    check_sense(RUN(0, 2048, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), SENSE_BAD_COMMAND);
    check_good(RUN(0, 0, 0x2f, 0, 0, 0, 0, 0, 0, 2, 0, 0), 0);
    check_good(RUN(0, 0, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
    end();
}

static void a_disc_is_described(Rig *rig)
{
    begin(rig);
    add(rig, &scsi_cd_model, "drive=disk", NULL);
    swallow_attention();
    check_good(RUN(255, 0, 0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0), 20);
    check_eq(load_be16(in), 18);
    check_eq(in[6], 1);
    check_eq(in[14], 0xaa);
    check_eq(load_be32(in + 16), 512);
    check_good(RUN(255, 0, 0x43, 2, 0, 0, 0, 0, 0xaa, 0, 255, 0), 12);
    check(memcmp(in + 8, "\x00\x00\x08\x3e", 4) == 0);     /* 662 frames */
    check_good(RUN(255, 0, 0x43, 0, 1, 0, 0, 0, 0, 0, 255, 0), 12);
    check_good(RUN(255, 0, 0x43, 2, 2, 0, 0, 0, 0, 0, 255, 0), 48);
    check_good(RUN(255, 0, 0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0x40), 12);     /* the format where SFF-8020i had it */
    check_sense(RUN(255, 0, 0x43, 0, 0, 0, 0, 0, 2, 0, 255, 0), SENSE_BAD_FIELD);
    check_sense(RUN(255, 0, 0x43, 0, 4, 0, 0, 0, 0, 0, 255, 0), SENSE_BAD_FIELD);
    check_good(RUN(255, 0, 0x46, 0, 0, 0, 0, 0, 0, 0, 255, 0), load_be32(in) + 4);
    check_eq(load_be16(in + 6), 8);
    check_good(RUN(255, 0, 0x46, 2, 0, 3, 0, 0, 0, 0, 255, 0), 16);
    check_eq(load_be16(in + 8), 3);
    check_good(RUN(255, 0, 0x46, 2, 0x77, 3, 0, 0, 0, 0, 255, 0), 8);
    check_sense(RUN(255, 0, 0x46, 3, 0, 0, 0, 0, 0, 0, 255, 0), SENSE_BAD_FIELD);
    check_good(RUN(255, 0, 0x51, 0, 0, 0, 0, 0, 0, 0, 255, 0), 34);
    check_good(RUN(255, 0, 0x52, 1, 0, 0, 0, 1, 0, 0, 255, 0), 36);
    check_good(RUN(255, 0, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0), 8);
    check_good(RUN(255, 0, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0), 4);
    check_sense(RUN(255, 0, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0), SENSE_INCOMPATIBLE_FORMAT);
    check_good(RUN(255, 0, 0xad, 0, 0, 0, 0, 0, 0, 0xff, 0, 255, 0), 20);
    check_good(RUN(255, 0, 0x1a, 0, 0x3f, 0, 255, 0), in[0] + 1);
    check_good(RUN(255, 0, 0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255, 0), 30);
    check_eq(in[8], 0x2a);
    memcpy(out, in, 30);
    memset(out, 0, 8);
    check_good(RUN(0, 30, 0x55, 0x10, 0, 0, 0, 0, 0, 0, 30, 0), 30);
    check_sense(RUN(0, 30, 0x55, 0x10, 0, 0, 0, 0, 0, 0, 29, 0), SENSE_PARAMETER_LENGTH);
    end();
}

static void a_dvd_is_described(Rig *rig)
{
    begin(rig);
    MemoryDisk *dvd = memory_disk_new("dvd", 2048 * (MMC_CD_SECTORS + UINT64_C(1)));
    add(rig, &scsi_cd_model, "drive=dvd", "scsi-id=0", NULL);
    swallow_attention();
    check_good(RUN(255, 0, 0x46, 0, 0, 0, 0, 0, 0, 0, 255, 0), load_be32(in) + 4);
    check_eq(load_be16(in + 6), 0x10);
    check_good(RUN(4096, 0, 0xad, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0), 2052);
    check_eq(load_be16(in), 2050);
    check_eq(load_be32(in + 12), 0x30000 + MMC_CD_SECTORS);
    check_sense(RUN(4096, 0, 0xad, 0, 0, 0, 0, 0, 1, 0, 16, 0, 0, 0), SENSE_BAD_FIELD);
    check_sense(RUN(4096, 0, 0xad, 0, 0, 0, 0, 0, 0, 9, 16, 0, 0, 0), SENSE_BAD_FIELD);
    end();
    memory_disk_free(dvd);
}

static void a_disc_comes_and_goes(Rig *rig)
{
    begin(rig);
    Blk *blk = blk_new("cd", NULL);
    Device *device = add(rig, &scsi_cd_model, "drive=cd", NULL);
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_POWER_ON);
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_NO_MEDIUM_TRAY_CLOSED);
    check(blk_insert(blk, &disk->node, NULL));
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_MEDIUM_GONE);
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_MEDIUM_CHANGED);
    check_good(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), 0);
    check_good(RUN(8, 0, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0), 8);
    check_eq(in[4], 2);                    /* new medium */
    check_eq(in[5], 2);
    check_good(RUN(8, 0, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0), 8);
    check_eq(in[4], 0);
    check_good(RUN(2048, 0, 0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0), 2048);
    /* The guest's own eject, refused while it holds the tray shut. */
    check_good(RUN(0, 0, 0x1e, 0, 0, 0, 1, 0), 0);
    check_sense(RUN(0, 0, 0x1b, 0, 0, 0, 2, 0), SENSE_REMOVAL_PREVENTED);
    check_good(RUN(0, 0, 0x1e, 0, 0, 0, 0, 0), 0);
    check_good(RUN(0, 0, 0x1b, 0, 0, 0, 2, 0), 0);
    check_sense(RUN(2048, 0, 0x28, 0, 0, 0, 0, 1, 0, 0, 1, 0), SENSE_NO_MEDIUM_TRAY_OPEN);
    check_good(RUN(8, 0, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0), 8);
    check_eq(in[4], 3);
    check_eq(in[5], 1);
    device_reset(device);                  /* draws the tray in */
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_POWER_ON);
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_MEDIUM_CHANGED);
    check_good(RUN(0, 0, 0x1b, 0, 0, 0, 2, 0), 0);
    check_good(RUN(0, 0, 0x1b, 0, 0, 0, 3, 0), 0);
    memory_disk_settle();
    if (blk_has_medium(blk)) {
        check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_MEDIUM_CHANGED);
        check_good(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), 0);
        blk_remove(blk);
    }
    check_sense(RUN(0, 0, 0x00, 0, 0, 0, 0, 0), SENSE_MEDIUM_GONE);
    check_eq(RUN(0, 0, 0x00, 0, 0, 0, 0, 0)->sense.code, 0x3a);
    blk_unref(blk);
    end();
}

/* ---- what no sane initiator sends ---- */

static void hostile_commands(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(3);
    unsigned bad = 0;

    begin(rig);
    Blk *blk = blk_new("cd", NULL);
    add(rig, &scsi_hd_model, "drive=disk", "removable=on", NULL);
    add(rig, &scsi_cd_model, "drive=cd", NULL);
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t cdb[SCSI_CDB];
        for (unsigned j = 0; j < sizeof cdb; j++) {
            uint32_t r = g_rand_int(random);
            cdb[j] = r & 0x300 ? 0 : (uint8_t)r;           /* mostly small numbers */
        }
        cdb[0] = (uint8_t)i;
        for (unsigned j = 0; j < 64; j++) {
            out[j] = (uint8_t)g_rand_int(random) & (uint8_t)g_rand_int(random);
        }
        memset(&last, 0, sizeof last);
        start(&last, i >> 8 & 1, 0, cdb, sizeof cdb, g_rand_int(random) % 8192, g_rand_int(random) % 8192);
        for (unsigned turns = 0; !last.done && turns < 100; turns++) {
            io_loop_turn(io_loop_main(), false);
        }
        if (!last.done) {
            check_failed(__FILE__, __LINE__, "command %u is not done", i);
            return;
        }
        bad += last.request.status != SCSI_GOOD;
        check(last.request.moved <= BUFFER);
        check((last.request.status == SCSI_CHECK_CONDITION) == (last.request.sense.key != 0));
    }
    check(bad > 1000);
    blk_unref(blk);
    end();
}

const Test scsi_tests[] = {
    { "it says who it is", it_says_who_it_is, "bare", NULL, FRESH },
    { "nobody is there", nobody_is_there, "bare", NULL, FRESH },
    { "LUNs are reported", luns_are_reported, "bare", NULL, FRESH },
    { "addresses are checked", addresses_are_checked, "bare", NULL, FRESH },
    { "it reads and writes", it_reads_and_writes, "bare", NULL, FRESH },
    { "ranges are checked", ranges_are_checked, "bare", NULL, FRESH },
    { "blocks of 4096 bytes", blocks_of_4096, "bare", NULL, FRESH },
    { "it gives back space", it_gives_back_space, "bare", NULL, FRESH },
    { "it verifies", it_verifies, "bare", NULL, FRESH },
    { "modes can be asked and changed", modes_can_be_asked_and_changed, "bare", NULL, FRESH },
    { "reservations succeed", reservations_succeed, "bare", NULL, FRESH },
    { "news come as attentions", news_come_as_attentions, "bare", NULL, FRESH },
    { "errors become sense", errors_become_sense, "bare", NULL, FRESH },
    { "ignored errors are no errors", ignored_errors_are_no_errors, "bare", NULL, FRESH },
    { "a stopped machine keeps its requests", a_stopped_machine_keeps_its_requests, "bare", NULL, FRESH },
    { "tasks are managed", tasks_are_managed, "bare", NULL, FRESH },
    { "a long command can be cancelled", a_long_command_can_be_cancelled, "bare", NULL, FRESH },
    { "a CD-ROM drive without a disc", a_drive_without_a_disc, "bare", NULL, FRESH },
    { "a disc is read", a_disc_is_read, "bare", NULL, FRESH },
    { "a disc is described", a_disc_is_described, "bare", NULL, FRESH },
    { "a DVD is described", a_dvd_is_described, "bare", NULL, FRESH },
    { "a disc comes and goes", a_disc_comes_and_goes, "bare", NULL, FRESH },
    { "hostile commands", hostile_commands, "bare", NULL, FRESH },
    { NULL } };
