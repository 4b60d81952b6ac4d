/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ide-errors.c - IDE and floppy drives whose storage fails, holds back and keeps count: werror, rerror, the write cache, flushes, trims
 */
#include "tests/dev/ide-rig.h"
#include "tests/rig/memory-disk.h"
#include <errno.h>

enum { SIZE = 1 << 20 };
static MemoryDisk *disk, *disc, *floppy;

static Value *nodes(void)
{
    if (!disk) {
        disk = memory_disk_new("disk", SIZE);
        disc = memory_disk_new("disc", SIZE);
        floppy = memory_disk_new("floppy", 1474560);
    }
    return NULL;
}

static Ata *drive(Rig *rig, const char *model)
{
    return &((IdeDrive *)rig_device(rig, model))->ata;
}

static void fail_next(MemoryDisk *which, unsigned times, int error)
{
    which->failures = times;
    which->fail_with = error;
}

static void give(Rig *rig, uint32_t lba, uint8_t byte)
{
    command(rig, DISK, MASTER, lba, 1, 0x30);
    for (unsigned i = 0; i < 256; i++) {
        rig_outw(rig, DISK, (uint16_t)(byte | byte << 8));
    }
}

static void reported(Rig *rig)
{
    fail_next(disk, 1, EIO);
    give(rig, 3, 0x11);
    check(irq(rig, DISK));
    check_eq(status(rig, DISK), ERR | 0x20); /* device fault */
    check_eq(rig_inb(rig, DISK + 1), 4);
    check_eq(rig_inb(rig, DISK + 3), 3);
    fail_next(disk, 1, EIO);
    command(rig, DISK, MASTER, 7, 1, 0x20);
    check(irq(rig, DISK));
    check_eq(status(rig, DISK), ERR);
    check_eq(rig_inb(rig, DISK + 1), 0x40);  /* cannot be corrected */
    check_eq(rig_inb(rig, DISK + 3), 7);
    fail_next(disk, 1, EIO);
    command(rig, DISK, MASTER, 0, 0, 0xe7);
    check_eq(status(rig, DISK), ERR | 0x20);
    fail_next(disk, 1, EIO);
    command48(rig, DISK, MASTER, 9, 2, 0x42);
    check_eq(status(rig, DISK), ERR);
    check_eq(rig_inb(rig, DISK + 1), 0x40);
    give(rig, 3, 0x12);
    check_eq(status(rig, DISK), DRDY);
    check_eq(disk->bytes[3 * 512], 0x12);
}

/* A read of many sectors is one request; where it fails, the good ones before the bad one are had all the same. */
static void sectors_before_the_bad_one(Rig *rig)
{
    for (unsigned i = 0; i < 8; i++) {
        store_le32(disk->bytes + (100 + i) * 512, 100 + i);
    }
    fail_next(disk, 1, EIO);                 /* only the big one */
    command(rig, DISK, MASTER, 100, 8, 0x20);
    for (unsigned i = 0; i < 8; i++) {
        take_sector(rig, DISK, 100 + i, 256);
        rig_checkpoint(rig);
    }
    check_eq(status(rig, DISK), DRDY);
    fail_next(disk, 1, EIO);
    command(rig, DISK, MASTER, 100, 8, 0x20);
    take_sector(rig, DISK, 100, 256);
    take_sector(rig, DISK, 101, 250);
    fail_next(disk, 1, EIO);
    for (unsigned i = 250; i < 256; i++) {
        rig_inw(rig, DISK);
    }
    check_eq(status(rig, DISK), ERR);
    check_eq(rig_inb(rig, DISK + 1), 0x40);
    check_eq(rig_inb(rig, DISK + 3), 102);
}

static unsigned wanted_stop(Rig *rig)
{
    Machine *machine = rig_machine(rig);

    while (g_main_context_iteration(NULL, FALSE)) {
    }
    bool stop = machine->requests.stop;
    machine->requests.stop = false;
    return stop || machine->state == RUN_IO_ERROR;
}

/* The machine stops, is saved, loaded and run again: the command ends well. */
static void kept_until_it_runs(Rig *rig)
{
    fail_next(disk, 1000, ENOSPC);
    give(rig, 20, 0x21);
    check_eq(status(rig, DISK), BSY);
    check(drive(rig, "ide-hd")->kept);
    check(wanted_stop(rig));
    rig_checkpoint(rig);                     /* tries again, in vain */
    check_eq(status(rig, DISK), BSY);
    check(drive(rig, "ide-hd")->kept);
    disk->failures = 0;
    check_eq(status(rig, DISK), BSY);
    blk_machine_runs();
    check(irq(rig, DISK));
    check_eq(status(rig, DISK), DRDY);
    check_eq(disk->bytes[20 * 512], 0x21);
    check_eq(disk->bytes[20 * 512 + 511], 0x21);
    fail_next(disk, 1000, EIO);              /* a read by DMA */
    enable_bus_master(rig);
    put_prd(rig, 0, BUFFER, 512, true);
    command(rig, DISK, MASTER, 20, 1, 0xc8);
    start_dma(rig, DISK, true);
    check_eq(status(rig, DISK), BSY);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 1);
    rig_checkpoint(rig);
    rig_io(rig);
    disk->failures = 0;
    blk_machine_runs();
    rig_io(rig);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 4);
    check_eq(rig_load(rig, BUFFER, 4), 0x21212121);
    fail_next(disk, 1000, EIO);              /* a flush */
    command(rig, DISK, MASTER, 0, 0, 0xea);
    check_eq(status(rig, DISK), BSY);
    rig_checkpoint(rig);
    rig_io(rig);
    disk->failures = 0;
    blk_machine_runs();
    check_eq(status(rig, DISK), DRDY);
    fail_next(disk, 1, EIO);                 /* a reset lets go of what is kept */
    give(rig, 21, 0x99);
    check_eq(status(rig, DISK), BSY);
    rig_outb(rig, DISK + CONTROL, 4);
    rig_outb(rig, DISK + CONTROL, 0);
    blk_machine_runs();
    rig_io(rig);
    check_eq(disk->bytes[21 * 512], 0);
    check_eq(status(rig, DISK), DRDY);
}

static void ignored(Rig *rig)
{
    fail_next(disk, 1, EIO);
    give(rig, 30, 0x31);
    check_eq(status(rig, DISK), DRDY);
    memset(disk->bytes + 31 * 512, 0x55, 512);
    fail_next(disk, 1, EIO);
    command(rig, DISK, MASTER, 31, 1, 0x20);
    take_sector(rig, DISK, 0, 256);          /* zeroes, not what was in the buffer */
    check_eq(status(rig, DISK), DRDY);
}

/* With the write cache a write is a write; without it, and with FUA, it is on the disk before it is done. */
static void write_cache(Rig *rig)
{
    enum { FUA = 1 };
    unsigned flushes = disk->flushes;

    give(rig, 40, 1);
    check_eq(status(rig, DISK), DRDY);
    check_eq(disk->flushes, flushes);
    command(rig, DISK, MASTER, 0, 0, 0xe7);
    check_eq(status(rig, DISK), DRDY);
    check_eq(disk->flushes, flushes + 1);
    give(rig, 40, 2);
    rig_outb(rig, DISK + 1, 0x82);
    rig_io(rig);
    rig_outb(rig, DISK + 1, 0x82);
    command(rig, DISK, MASTER, 0, 0, 0xef);
    check_eq(status(rig, DISK), DRDY);
    check_eq(disk->flushes, flushes + 2);    /* turning it off empties it */
    rig_checkpoint(rig);
    unsigned before = disk->flushes;
    disk->flags = 0;
    give(rig, 41, 1);
    check_eq(status(rig, DISK), DRDY);
    check(disk->flushes > before || disk->flags);
    machine_reset_now(rig_machine(rig), CAUSE_NONE);         /* it wakes up with its own setting */
    check(blk_write_cache(drive(rig, "ide-hd")->blk));
    command48(rig, DISK, MASTER, 50, 1, 0xce);
    before = disk->flushes;
    disk->flags = 0;
    give_sector(rig, DISK, 0x1111);
    check_eq(status(rig, DISK), DRDY);
    check(disk->flushes > before || disk->flags);
}

/* Held back for ever so long: the drive is busy, and a reset does not wait. */
static void held_back(Rig *rig)
{
    disk->hold = true;
    command(rig, DISK, MASTER, 60, 1, 0x20);
    memory_disk_settle();
    check_eq(rig_inb(rig, DISK + 7), BSY);
    rig_outb(rig, DISK + CONTROL, 4);
    rig_outb(rig, DISK + CONTROL, 0);
    check_eq(rig_inb(rig, DISK + 7), DRDY);
    command(rig, DISK, MASTER, 0, 0, 0xec);  /* what needs no storage works meanwhile */
    check_eq(rig_inb(rig, DISK + 7), DRQ);
    for (unsigned i = 0; i < 256; i++) {
        rig_inw(rig, DISK);
    }
    command(rig, DISK, MASTER, 61, 1, 0x20);
    memory_disk_settle();
    check_eq(rig_inb(rig, DISK + 7), BSY);
    check_eq(disk->holding, 1);
    disk->hold = false;
    memory_disk_release(disk);
    check(irq(rig, DISK));
    check_eq(rig_inb(rig, DISK + 7), DRQ);
}

static void bad_disc(Rig *rig)
{
    static const uint16_t read[6] = { 0x28, 0, 0x500, 0, 1, 0 };    /* READ (10), one sector at 5 */

    fail_next(disc, 1, EIO);
    rig_outb(rig, CD + 6, 0);
    rig_outb(rig, CD + 1, 0);
    rig_outb(rig, CD + 4, 0);
    rig_outb(rig, CD + 5, 8);
    rig_outb(rig, CD + 7, 0xa0);
    for (unsigned i = 0; i < 6; i++) {
        rig_outw(rig, CD, read[i]);
    }
    check_eq(status(rig, CD), ERR);
    check_eq(rig_inb(rig, CD + 1) >> 4, 3);
    Ata *ata = drive(rig, "ide-cd");
    check_eq(ata->sense_key, 3);
    check_eq(ata->sense_code, 0x11);
}

static void live_resize(Rig *rig)
{
    command(rig, DISK, MASTER, SIZE / 512, 1, 0x20);
    check_eq(status(rig, DISK), ERR);
    memory_disk_resize(disk, 2 * SIZE);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    rig_io(rig);
    command(rig, DISK, MASTER, SIZE / 512, 1, 0x20);
    check_eq(status(rig, DISK), DRQ);
    memory_disk_resize(disk, SIZE);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

/* ---- the floppy ---- */

static void send(Rig *rig, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        rig_outb(rig, 0x3f5, bytes[i]);
    }
}

static void floppy_pass(Rig *rig)
{
    for (unsigned i = 0; i < 5; i++) {
        guest_clock_step_to(clock_now(CLOCK_GUEST) + NS_PER_MS);
        rig_io(rig);
    }
}

static void floppy_write(Rig *rig, uint8_t byte)
{
    static const uint8_t specify[] = { 0x03, 0xaf, 0x03 }, write[] = { 0x45, 0, 0, 0, 4, 2, 4, 0x1b, 0xff };

    rig_outb(rig, 0x3f2, 0);
    rig_outb(rig, 0x3f2, 0x1c);
    floppy_pass(rig);
    for (unsigned i = 0; i < 4; i++) {
        rig_outb(rig, 0x3f5, 8);
        rig_inb(rig, 0x3f5);
        rig_inb(rig, 0x3f5);
    }
    rig_outb(rig, 0x3f7, 0);
    send(rig, specify, sizeof specify);
    send(rig, write, sizeof write);
    floppy_pass(rig);
    for (unsigned i = 0; i < 512; i++) {
        rig_outb(rig, 0x3f5, byte);
    }
    floppy_pass(rig);
}

static void floppy_errors(Rig *rig)
{
    fail_next(floppy, 1000, ENOSPC);
    floppy_write(rig, 0x41);
    check_eq(rig_inb(rig, 0x3f4), 0x30);     /* kept: werror=stop */
    rig_checkpoint(rig);
    rig_io(rig);
    check_eq(rig_inb(rig, 0x3f4), 0x30);
    floppy->failures = 0;
    blk_machine_runs();
    rig_io(rig);
    check_eq(rig_inb(rig, 0x3f4), 0xd0);
    check_eq(rig_inb(rig, 0x3f5), 0x00);
    check_eq(floppy->bytes[3 * 512], 0x41);
    fail_next(floppy, 1000, ENOSPC);         /* a reset lets go of it, and the next one is asked for */
    floppy_write(rig, 0x42);
    check_eq(rig_inb(rig, 0x3f4), 0x30);
    floppy->failures = 0;
    floppy_write(rig, 0x43);
    check_eq(rig_inb(rig, 0x3f4), 0xd0);
    check_eq(floppy->bytes[3 * 512], 0x43);
}

#define WITH(list) .board = "pc", .settings = nodes, .devices = list
#define HD "ide-hd,bus=ide.0,unit=0,drive=disk"
const Test ide_errors_tests[] = {
    { "errors that are reported", reported, WITH(HD), .runs = FRESH | RESTORED },
    { "sectors before the bad one", sectors_before_the_bad_one, WITH(HD), .runs = FRESH | RESTORED },
    { "requests that are kept until the machine runs", kept_until_it_runs, WITH(HD ",werror=stop,rerror=stop"), .runs = FRESH | RESTORED },
    { "errors that are ignored", ignored, WITH(HD ",werror=ignore,rerror=ignore"), .runs = FRESH | RESTORED },
    { "the write cache", write_cache, WITH(HD), .runs = FRESH | RESTORED },
    { "storage that does not answer", held_back, WITH(HD), .runs = FRESH },
    { "a bad disc", bad_disc, WITH("ide-cd,bus=ide.1,unit=0,drive=disc"), .runs = FRESH | RESTORED },
    { "a disk that grows", live_resize, WITH(HD), .runs = FRESH },
    { "a floppy that is full", floppy_errors, WITH("floppy,unit=0,drive=floppy,werror=stop"), .runs = FRESH | RESTORED },
    { NULL }
};
