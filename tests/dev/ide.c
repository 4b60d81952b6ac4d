/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ide.c - a disk, a CD-ROM drive and an empty one as drivers use them, and as nobody should
 *
 * Every sector of the images names itself, so that a test sees which one came. The disk is master of the first channel,
 * the CD-ROM drive with a disc master and the one without slave of the second.
 */
#include "base/bytes.h"
#include "base/json.h"
#include "hw/chipset/piix3.h"
#include "hw/ide/piix-ide.h"
#include "tests/rig/rig.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DISK = 0x1f0, CD = 0x170, CONTROL = 0x206, MASTER = 0xe0, SLAVE = 0xf0, BUS_MASTER = 0xc000, IDE_FUNCTION = 0x80000900 };
enum { DISK_SECTORS = 4096, CD_SECTORS = 150000, STAMPED = 600 };
enum { BSY = 0x80, DRDY = 0x50, DRQ = 0x58, ERR = 0x51 };
enum { TABLE = 0x10000, BUFFER = 0x20000, RAM_END = 16 << 20 };

/* Sector n of an image: n, n + 1, ... in le32. */
static char *make_image(const char *name, unsigned sector_size, unsigned stamped, uint64_t sectors)
{
    static char folder[] = "/tmp/roost-ide-XXXXXX";
    static bool made;

    made = made || mkdtemp(folder);
    char *path = g_build_filename(folder, name, NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (unsigned i = 0; i < stamped; i++) {
        uint32_t words[512];
        for (unsigned j = 0; j < G_N_ELEMENTS(words); j++) {
            words[j] = i + j;
        }
        if (write(fd, words, sector_size) != (ssize_t)sector_size) {
            printf("Bail out! %s cannot be written\n", path);
            exit(1);
        }
    }
    if (ftruncate(fd, (off_t)(sectors * sector_size)) < 0) {
        printf("Bail out! %s cannot be made that long\n", path);
        exit(1);
    }
    close(fd);
    return path;
}

static char *disk_path, *cd_path;

static void remove_images(void)
{
    g_autofree char *folder = g_path_get_dirname(disk_path);

    unlink(disk_path);
    unlink(cd_path);
    rmdir(folder);
    g_free(disk_path);
    g_free(cd_path);
}

static Value *drives(void)
{
    if (!disk_path) {
        disk_path = make_image("disk", 512, DISK_SECTORS, DISK_SECTORS);
        cd_path = make_image("cd", 2048, STAMPED, CD_SECTORS);
        atexit(remove_images);
    }
    g_autofree char *text = g_strdup_printf("{'drives':[{'file':'%s','readonly':true,'index':0},"
                                            "{'file':'%s','readonly':true,'media':'cdrom','index':2},"
                                            "{'media':'cdrom','readonly':true,'index':3}]}", disk_path, cd_path);
    return json_parse(text, NULL);
}

static bool irq(Rig *rig, unsigned channel)
{
    return piix3_isa_bus(rig_device(rig, "PIIX3"))->level[channel == DISK ? 14 : 15];
}

/* Sets the task file of a 28-bit command and gives it. */
static void command(Rig *rig, unsigned base, uint8_t device, uint32_t lba, uint8_t count, uint8_t code)
{
    rig_outb(rig, base + 6, (uint8_t)(device | (lba >> 24 & 15)));
    rig_outb(rig, base + 2, count);
    rig_outb(rig, base + 3, (uint8_t)lba);
    rig_outb(rig, base + 4, (uint8_t)(lba >> 8));
    rig_outb(rig, base + 5, (uint8_t)(lba >> 16));
    rig_outb(rig, base + 7, code);
}

static void command48(Rig *rig, unsigned base, uint8_t device, uint64_t lba, uint16_t count, uint8_t code)
{
    rig_outb(rig, base + 6, device);
    for (int high = 1; high >= 0; high--) {
        rig_outb(rig, base + 2, (uint8_t)(count >> 8 * high));
        for (unsigned i = 0; i < 3; i++) {
            rig_outb(rig, base + 3 + i, (uint8_t)(lba >> (8 * i + 24 * (unsigned)high)));
        }
    }
    rig_outb(rig, base + 7, code);
}

/* Takes a sector off the data port; it must be this one. */
static void take_sector(Rig *rig, unsigned base, uint32_t sector, unsigned words)
{
    uint32_t first = rig_inw(rig, base);
    first |= (uint32_t)rig_inw(rig, base) << 16;
    check_eq(first, sector);
    for (unsigned i = 2; i < words; i++) {
        rig_inw(rig, base);
    }
}

static uint8_t status(Rig *rig, unsigned base)
{
    return rig_inb(rig, base + 7);
}

static void enable_bus_master(Rig *rig)
{
    rig_outl(rig, 0xcf8, IDE_FUNCTION | 0x20);
    rig_outl(rig, 0xcfc, BUS_MASTER | 1);
    rig_outl(rig, 0xcf8, IDE_FUNCTION | 0x04);
    rig_outw(rig, 0xcfc, 5);
}

static void put_prd(Rig *rig, unsigned index, uint32_t address, uint16_t count, bool last)
{
    rig_store(rig, TABLE + 8 * index, 4, address);
    rig_store(rig, TABLE + 8 * index + 4, 4, count | (last ? 0x80000000u : 0));
}

static unsigned bm(unsigned base)
{
    return BUS_MASTER + (base == CD ? 8 : 0);
}

/* Points the channel's engine at TABLE, starts it, to memory, and stops it; what its status said before that. */
static uint8_t run_dma(Rig *rig, unsigned base)
{
    rig_outb(rig, bm(base), 0);
    rig_outb(rig, bm(base) + 2, 6);
    rig_outl(rig, bm(base) + 4, TABLE);
    rig_outb(rig, bm(base), 9);
    uint8_t bits = rig_inb(rig, bm(base) + 2) & 7;
    rig_outb(rig, bm(base), 0);
    return bits;
}

static void packet(Rig *rig, unsigned base, uint8_t device, const uint8_t bytes[12], uint16_t limit, bool dma)
{
    rig_outb(rig, base + 6, device);
    rig_outb(rig, base + 1, dma);
    rig_outb(rig, base + 4, (uint8_t)limit);
    rig_outb(rig, base + 5, (uint8_t)(limit >> 8));
    rig_outb(rig, base + 7, 0xa0);
    check_eq(status(rig, base), DRQ);
    check_eq(rig_inb(rig, base + 2) & 3, 1);
    for (unsigned i = 0; i < 12; i += 2) {
        rig_outw(rig, base, (uint16_t)(bytes[i] | bytes[i + 1] << 8));
    }
}

/* The whole reply of a packet command by PIO: how many bytes the pieces had. */
static unsigned take_reply(Rig *rig, unsigned base, uint8_t *out, unsigned most)
{
    unsigned total = 0;

    for (unsigned pieces = 0; pieces < 100000 && (status(rig, base) & 8); pieces++) {
        unsigned length = rig_inb(rig, base + 4) | rig_inb(rig, base + 5) << 8;
        check_eq(rig_inb(rig, base + 2) & 3, 2);
        for (unsigned i = 0; i < length; i += 2) {
            uint16_t word = rig_inw(rig, base);
            if (total + i + 1 < most) {
                out[total + i] = (uint8_t)word;
                out[total + i + 1] = (uint8_t)(word >> 8);
            }
        }
        total += length;
    }
    return total;
}

/* A packet command with a reply, default limit; how long it was, -1 for a check condition. */
static int ask(Rig *rig, uint8_t device, const uint8_t bytes[12], uint8_t *out, unsigned most)
{
    packet(rig, CD, device, bytes, 0xfffe, false);
    unsigned length = take_reply(rig, CD, out, most);
    return status(rig, CD) & 1 ? -1 : (int)length;
}

/* Key, code and qualifier of the last check condition. */
static unsigned sense(Rig *rig, uint8_t device)
{
    static const uint8_t request[12] = { 0x03, 0, 0, 0, 18 };
    uint8_t out[18] = { 0 };

    check_eq(ask(rig, device, request, out, sizeof out), 18);
    return (unsigned)out[2] << 16 | (unsigned)out[12] << 8 | out[13];
}

static void signatures(Rig *rig)
{
    check_eq(rig_inb(rig, DISK + 6) & 0x10, 0);
    check_eq(rig_inb(rig, DISK + 4), 0);
    check_eq(rig_inb(rig, DISK + 5), 0);
    check_eq(status(rig, DISK), DRDY);
    check_eq(rig_inb(rig, CD + 4), 0x14);
    check_eq(rig_inb(rig, CD + 5), 0xeb);
    check_eq(status(rig, CD), 0);
    rig_checkpoint(rig);
    rig_outb(rig, CD + 6, SLAVE);
    check_eq(rig_inb(rig, CD + 4), 0x14);
    rig_outb(rig, DISK + 6, SLAVE);          /* nothing there: no command, no answer */
    check_eq(status(rig, DISK), 0);
    rig_outb(rig, DISK + 7, 0xec);
    check_eq(status(rig, DISK), 0);
    check(!irq(rig, DISK));
    rig_outb(rig, DISK + 6, MASTER);
    rig_outb(rig, DISK + 7, 0x90);           /* diagnostic: both, and the first is selected */
    check_eq(rig_inb(rig, DISK + 1), 1);
    check_eq(rig_inb(rig, DISK + 6) & 0x10, 0);
    check(irq(rig, DISK));
    status(rig, DISK);
    check(!irq(rig, DISK));
}

static void identify(Rig *rig)
{
    uint16_t words[256];

    command(rig, DISK, MASTER, 0, 0, 0xec);
    check(irq(rig, DISK));
    rig_checkpoint(rig);
    check(irq(rig, DISK));
    check_eq(status(rig, DISK), DRQ);
    for (unsigned i = 0; i < 256; i++) {
        words[i] = rig_inw(rig, DISK);
        if (i == 100) {
            rig_checkpoint(rig);
        }
    }
    check_eq(status(rig, DISK), DRDY);
    check_eq(words[0], 0x0040);
    check_eq(words[1], 4);
    check_eq(words[3], 16);
    check_eq(words[6], 63);
    check_eq(words[54], 4);
    check_eq(words[60], DISK_SECTORS);
    check_eq(words[100], DISK_SECTORS);
    check_eq(words[27], 'Q' << 8 | 'E');
    check_eq(words[83] & 0x400, 0x400);
    check_eq(rig_inw(rig, DISK), 0xffff);    /* no more */
    command(rig, CD, MASTER, 0, 0, 0xec);
    check_eq(status(rig, CD), ERR);
    check_eq(rig_inb(rig, CD + 1), 4);
    check_eq(rig_inb(rig, CD + 4), 0x14);
    command(rig, CD, MASTER, 0, 0, 0xa1);
    check_eq(rig_inw(rig, CD), 0x85c0);
    command(rig, DISK, MASTER, 0, 0, 0xa1);
    check_eq(status(rig, DISK), ERR);
}

static void pio_reads(Rig *rig)
{
    command(rig, DISK, MASTER, 100, 3, 0x20);
    for (unsigned i = 0; i < 3; i++) {
        check(irq(rig, DISK));
        check_eq(status(rig, DISK), DRQ);
        check(!irq(rig, DISK));
        take_sector(rig, DISK, 100 + i, 100);
        rig_checkpoint(rig);
        for (unsigned j = 100; j < 256; j++) {
            check_eq(rig_inw(rig, DISK), j & 1 ? 0 : 100 + i + j / 2);
        }
    }
    check(!irq(rig, DISK));
    check_eq(status(rig, DISK), DRDY);
    command(rig, DISK, 0xa0, 1 | 2 << 8, 1, 0x20);           /* CHS 2/0/1 */
    take_sector(rig, DISK, 2 * 16 * 63, 256);
    command(rig, DISK, 0xa0, 63 | 0 << 8 | 15u << 24, 1, 0x21);          /* 0/15/63 */
    take_sector(rig, DISK, 16 * 63 - 1, 256);
    command48(rig, DISK, MASTER, 4000, 2, 0x24);
    take_sector(rig, DISK, 4000, 256);
    take_sector(rig, DISK, 4001, 256);
    rig_outb(rig, DISK + CONTROL, 0x80);     /* previous contents by HOB */
    check_eq(rig_inb(rig, DISK + 3), 0);
    rig_outb(rig, DISK + CONTROL, 0);
    check_eq(rig_inb(rig, DISK + 3), 4000 & 0xff);
    command(rig, DISK, MASTER, 7, 1, 0x20);
    uint32_t value = rig_inl(rig, DISK);     /* two words at once */
    check_eq(value, 7);
    check_eq(rig_inw(rig, DISK), 8);
    command(rig, DISK, MASTER, 0, 0, 0x20);  /* 0 means 256 */
    for (unsigned i = 0; i < 256; i++) {
        take_sector(rig, DISK, i, 256);
    }
    check_eq(status(rig, DISK), DRDY);
}

static void multiple_reads(Rig *rig)
{
    command(rig, DISK, MASTER, 0, 2, 0xc4);  /* not set up yet */
    check_eq(status(rig, DISK), ERR);
    command(rig, DISK, MASTER, 0, 3, 0xc6);
    check_eq(status(rig, DISK), ERR);
    command(rig, DISK, MASTER, 0, 32, 0xc6);
    check_eq(status(rig, DISK), ERR);
    command(rig, DISK, MASTER, 0, 4, 0xc6);
    check_eq(status(rig, DISK), DRDY);
    command(rig, DISK, MASTER, 50, 6, 0xc4);
    unsigned interrupts = 0;
    for (unsigned i = 0; i < 6; i++) {
        interrupts += irq(rig, DISK);
        status(rig, DISK);
        take_sector(rig, DISK, 50 + i, 256);
        rig_checkpoint(rig);
    }
    check_eq(interrupts, 2);
    check_eq(status(rig, DISK), DRDY);
    command48(rig, DISK, MASTER, 60, 4, 0x29);
    take_sector(rig, DISK, 60, 256);
}

static void beyond_the_end(Rig *rig)
{
    static const uint8_t reads[] = { 0x20, 0xc8, 0x40, 0x21, 0x41, 0xc9 }, wide[] = { 0x24, 0x25, 0x42 };
    static const uint64_t places[] = { DISK_SECTORS, 0xffffff, UINT64_C(1) << 32, (UINT64_C(1) << 48) - 1 };

    for (unsigned i = 0; i < sizeof reads; i++) {
        command(rig, DISK, MASTER, 0x0fffffff, 1, reads[i]);
        check_eq(status(rig, DISK), ERR);
        check_eq(rig_inb(rig, DISK + 1), 0x10);
    }
    for (unsigned i = 0; i < sizeof wide; i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(places); j++) {
            command48(rig, DISK, MASTER, places[j], 0, wide[i]);
            check_eq(status(rig, DISK), ERR);
        }
    }
    command(rig, DISK, MASTER, DISK_SECTORS - 1, 2, 0x20);   /* the first comes, the second does not */
    take_sector(rig, DISK, DISK_SECTORS - 1, 256);
    check_eq(status(rig, DISK), ERR);
    command(rig, DISK, MASTER, DISK_SECTORS - 1, 2, 0x40);
    check_eq(status(rig, DISK), ERR);
    command(rig, DISK, 0xa0, 0, 1, 0x20);    /* CHS sector 0 */
    check_eq(status(rig, DISK), ERR);
    command(rig, DISK, 0xa0, 64, 1, 0x20);
    check_eq(status(rig, DISK), ERR);
    command(rig, DISK, MASTER, 0, 0, 0xf8);  /* READ NATIVE MAX */
    check_eq(rig_inb(rig, DISK + 3) | rig_inb(rig, DISK + 4) << 8, DISK_SECTORS - 1);
    command(rig, CD, SLAVE, 0, 0, 0xf8);     /* on an empty drive */
    check_eq(status(rig, CD), ERR);
    command(rig, CD, MASTER, 0, 0, 0x27);
    check_eq(status(rig, CD), ERR);
}

/* No command code leaves a drive busy, or the machine without it. */
static void every_command(Rig *rig)
{
    for (unsigned drive = 0; drive < 3; drive++) {
        unsigned base = drive ? CD : DISK;
        for (unsigned code = 0; code < 256; code++) {
            for (unsigned count = 0; count < 256; count += 51) {
                command(rig, base, drive == 2 ? SLAVE : MASTER, count * 3, (uint8_t)count, (uint8_t)code);
                check_eq(status(rig, base) & BSY, 0);
                rig_inw(rig, base);
                rig_outw(rig, base, 0xffff);
            }
        }
        rig_checkpoint(rig);
        rig_outb(rig, base + CONTROL, 4);
        rig_outb(rig, base + CONTROL, 0);
    }
    command(rig, DISK, MASTER, 5, 1, 0x20);
    take_sector(rig, DISK, 5, 256);
}

static void dma_reads(Rig *rig)
{
    enable_bus_master(rig);
    put_prd(rig, 0, BUFFER, 1024, false);
    put_prd(rig, 1, BUFFER + 0x10002, 1024, true);           /* not a multiple of 4 */
    command(rig, DISK, MASTER, 30, 4, 0xc8);
    check(!irq(rig, DISK));
    check_eq(status(rig, DISK), DRQ);
    rig_checkpoint(rig);
    check_eq(run_dma(rig, DISK), 4);         /* interrupt, no more active, no error */
    check(irq(rig, DISK));
    check_eq(rig_load(rig, BUFFER, 4), 30);
    check_eq(rig_load(rig, BUFFER + 512, 4), 31);
    check_eq(rig_load(rig, BUFFER + 0x10002, 4), 32);
    check_eq(rig_load(rig, BUFFER + 0x10202, 4), 33);
    check_eq(rig_load(rig, BUFFER + 1024, 4), 0);
    check_eq(status(rig, DISK), DRDY);
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 4);
    rig_outb(rig, bm(DISK) + 2, 4);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 0);
    /* Entries that are no multiple of a sector, the engine started before the command, 64 KiB as 0. */
    for (unsigned i = 0; i < 512; i++) {
        put_prd(rig, i, BUFFER + i * 4, 2, false);
    }
    put_prd(rig, 512, BUFFER + 0x1000, 0, true);
    rig_outl(rig, bm(DISK) + 4, TABLE);
    rig_outb(rig, bm(DISK), 9);
    command48(rig, DISK, MASTER, 77, 130, 0x25);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 4);
    check_eq(rig_load(rig, BUFFER, 2), 77);
    check_eq(rig_load(rig, BUFFER + 4, 2), 0);
    check_eq(rig_load(rig, BUFFER + 8, 2), 78);
    check_eq(rig_load(rig, BUFFER + 0x1000, 4), 79);
    check_eq(rig_load(rig, BUFFER + 0x1000 + 127 * 512, 4), 79 + 127);
}

static void dma_bad_tables(Rig *rig)
{
    enable_bus_master(rig);
    /* Longer than the transfer: done, and still active. */
    put_prd(rig, 0, BUFFER, 4096, true);
    command(rig, DISK, MASTER, 1, 1, 0xc8);
    check_eq(run_dma(rig, DISK), 5);
    check_eq(status(rig, DISK), DRDY);
    /* Shorter: neither active nor an interrupt; the drive waits until it is reset. */
    put_prd(rig, 0, BUFFER, 512, true);
    command(rig, DISK, MASTER, 1, 4, 0xc8);
    check_eq(run_dma(rig, DISK), 0);
    check_eq(status(rig, DISK), DRQ);
    rig_checkpoint(rig);
    rig_outb(rig, DISK + CONTROL, 4);
    check_eq(status(rig, DISK), BSY);
    rig_outb(rig, DISK + CONTROL, 0);
    check_eq(status(rig, DISK), DRDY);
    /* Into what is no RAM: an error, and the drive aborts. */
    static const uint32_t bad[] = { RAM_END, 0xa0000, 0xfec00000, 0xfffffffe, 0xffff0000, 0xcfc };
    for (unsigned i = 0; i < 5; i++) {
        put_prd(rig, 0, bad[i], 1024, true);
        command(rig, DISK, MASTER, 1, 2, 0xc8);
        check_eq(run_dma(rig, DISK), 6);
        check_eq(status(rig, DISK) & 0x81, 1);
    }
    put_prd(rig, 0, RAM_END - 512, 1024, true);              /* half of it */
    command(rig, DISK, MASTER, 1, 2, 0xc8);
    check_eq(run_dma(rig, DISK), 6);
    check_eq(rig_load(rig, RAM_END - 512, 4), 1);
    /* The table itself is not in RAM. */
    command(rig, DISK, MASTER, 1, 2, 0xc8);
    rig_outb(rig, bm(DISK), 0);
    rig_outb(rig, bm(DISK) + 2, 6);
    rig_outl(rig, bm(DISK) + 4, 0xfee00000);
    rig_outb(rig, bm(DISK), 9);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 6);
    rig_outb(rig, bm(DISK), 0);
    /* The wrong direction. */
    put_prd(rig, 0, BUFFER, 1024, true);
    command(rig, DISK, MASTER, 1, 2, 0xc8);
    rig_outb(rig, bm(DISK), 0);
    rig_outb(rig, bm(DISK) + 2, 6);
    rig_outl(rig, bm(DISK) + 4, TABLE);
    rig_outb(rig, bm(DISK), 1);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 6);
    rig_outb(rig, bm(DISK), 0);
    /* The bus master bit is off. */
    rig_outl(rig, 0xcf8, IDE_FUNCTION | 0x04);
    rig_outw(rig, 0xcfc, 1);
    command(rig, DISK, MASTER, 1, 2, 0xc8);
    check_eq(run_dma(rig, DISK) & 2, 2);
}

/* A table without an end, that the transfer writes over while it is read. */
static void dma_table_in_its_own_way(Rig *rig)
{
    enable_bus_master(rig);
    for (unsigned i = 0; i < 8192; i++) {
        put_prd(rig, i, TABLE, 2, false);
    }
    command48(rig, DISK, MASTER, 0, 4000, 0x25);
    run_dma(rig, DISK);
    rig_checkpoint(rig);
    rig_outb(rig, DISK + CONTROL, 4);
    rig_outb(rig, DISK + CONTROL, 0);
    for (unsigned i = 0; i < 8192; i++) {
        put_prd(rig, i, 0xfffffffe, 0xffff, false);
    }
    command48(rig, DISK, MASTER, 0, 0, 0x25);
    run_dma(rig, DISK);
    command(rig, DISK, MASTER, 5, 1, 0x20);
    take_sector(rig, DISK, 5, 256);
}

static void reset_in_the_middle(Rig *rig)
{
    command(rig, DISK, MASTER, 3, 9, 0x20);
    take_sector(rig, DISK, 3, 77);
    rig_outb(rig, DISK + CONTROL, 4);
    check_eq(status(rig, DISK), BSY);
    check_eq(rig_inb(rig, DISK + CONTROL), BSY);
    rig_outb(rig, DISK + 7, 0x20);           /* nobody listens */
    rig_checkpoint(rig);
    rig_outb(rig, DISK + CONTROL, 0);
    check_eq(status(rig, DISK), DRDY);
    check_eq(rig_inb(rig, DISK + 1), 1);
    check_eq(rig_inw(rig, DISK), 0xffff);
    check(!irq(rig, DISK));
    command(rig, DISK, MASTER, 3, 1, 0x20);
    rig_outb(rig, DISK + CONTROL, 2);        /* nIEN */
    check(!irq(rig, DISK));
    rig_outb(rig, DISK + CONTROL, 0);
    check(irq(rig, DISK));
    command(rig, DISK, MASTER, 3, 2, 0x20);  /* a new command instead of the data */
    command(rig, DISK, MASTER, 9, 1, 0x20);
    take_sector(rig, DISK, 9, 256);
    check_eq(status(rig, DISK), DRDY);
    rig_outb(rig, CD + 6, MASTER);
    rig_outb(rig, CD + 7, 0xa0);             /* half a packet, then DEVICE RESET */
    rig_outw(rig, CD, 0x28);
    rig_checkpoint(rig);
    rig_outb(rig, CD + 7, 0x08);
    check_eq(status(rig, CD), 0);
    check_eq(rig_inb(rig, CD + 5), 0xeb);
}

static void inquiry_and_friends(Rig *rig)
{
    static const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 36 }, capacity[12] = { 0x25 }, toc[12] = { 0x43, 2, 0, 0, 0, 0, 0, 0, 20 };
    static const uint8_t modes[12] = { 0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 200 }, features[12] = { 0x46, 0, 0, 0, 0, 0, 0, 0, 100 };
    static const uint8_t event[12] = { 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 }, ready[12] = { 0 }, information[12] = { 0x51, 0, 0, 0, 0, 0, 0, 0, 34 };
    static const uint8_t mechanism[12] = { 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8 };
    uint8_t out[256];

    check_eq(ask(rig, MASTER, inquiry, out, sizeof out), 36);
    check_eq(out[0], 5);
    check(memcmp(out + 8, "QEMU    QEMU DVD-ROM", 20) == 0);
    check_eq(ask(rig, MASTER, ready, out, sizeof out), 0);
    check_eq(ask(rig, MASTER, capacity, out, sizeof out), 8);
    check_eq(load_be32(out), CD_SECTORS - 1);
    check_eq(load_be32(out + 4), 2048);
    check_eq(ask(rig, MASTER, toc, out, sizeof out), 20);
    check_eq(load_be16(out), 18);
    check_eq(out[14], 0xaa);
    check_eq(out[17] * 60 * 75 + out[18] * 75 + out[19], CD_SECTORS + 150);
    check_eq(ask(rig, MASTER, modes, out, sizeof out), 8 + 8 + 16 + 20);
    check_eq(load_be16(out), 50);
    check_eq(ask(rig, MASTER, features, out, sizeof out), 40);
    check_eq(load_be32(out), 36);
    check_eq(ask(rig, MASTER, event, out, sizeof out), 8);
    check_eq(out[5], 2);
    check_eq(ask(rig, MASTER, information, out, sizeof out), 34);
    check_eq(ask(rig, MASTER, mechanism, out, sizeof out), 8);
    check_eq(sense(rig, MASTER), 0);
    rig_checkpoint(rig);
    check_eq(ask(rig, SLAVE, inquiry, out, sizeof out), 36);
    check_eq(ask(rig, SLAVE, ready, out, sizeof out), -1);
    rig_checkpoint(rig);
    check_eq(sense(rig, SLAVE), 0x023a01);
    check_eq(sense(rig, SLAVE), 0);
    check_eq(ask(rig, SLAVE, capacity, out, sizeof out), -1);
    check_eq(ask(rig, SLAVE, toc, out, sizeof out), -1);
    check_eq(ask(rig, SLAVE, event, out, sizeof out), 8);
    check_eq(out[5], 0);
    check_eq(ask(rig, SLAVE, features, out, sizeof out), 40);
    check_eq(load_be16(out + 6), 0);
}

static void read_cd(Rig *rig, uint8_t code, uint32_t lba, uint32_t count, uint16_t limit, bool dma)
{
    uint8_t bytes[12] = { code };

    store_be32(bytes + 2, lba);
    if (code == 0x28) {
        store_be16(bytes + 7, (uint16_t)count);
    } else if (code == 0xa8) {
        store_be32(bytes + 6, count);
    } else {
        bytes[6] = (uint8_t)(count >> 16);
        store_be16(bytes + 7, (uint16_t)count);
        bytes[9] = 0x10;
    }
    packet(rig, CD, MASTER, bytes, limit, dma);
}

static void cd_reads(Rig *rig)
{
    static const uint16_t limits[] = { 2048, 2, 1, 3, 511, 2047, 0x7fff, 0xfffe, 0xffff, 0 };
    static const uint8_t codes[] = { 0x28, 0xa8, 0xbe };
    static uint8_t out[40 * 2048];

    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        unsigned count = limits[i] < 100 && limits[i] ? 2 : 40;
        memset(out, 0, sizeof out);
        read_cd(rig, codes[i % 3], 5, count, limits[i], false);
        check_eq(take_reply(rig, CD, out, sizeof out), count * 2048);
        for (unsigned j = 0; j < count; j++) {
            check_eq(load_le32(out + j * 2048), 5 + j);
            check_eq(load_le32(out + j * 2048 + 2044), 5 + j + 511);
        }
        check_eq(status(rig, CD), DRDY);
        check_eq(rig_inb(rig, CD + 2) & 3, 3);
    }
    read_cd(rig, 0x28, 9, 3, 2048, false);   /* saved between and within pieces */
    for (unsigned i = 0; i < 3; i++) {
        rig_checkpoint(rig);
        check(irq(rig, CD));
        check_eq(status(rig, CD), DRQ);
        take_sector(rig, CD, 9 + i, 333);
        rig_checkpoint(rig);
        for (unsigned j = 333; j < 1024; j++) {
            rig_inw(rig, CD);
        }
    }
    check_eq(status(rig, CD), DRDY);
    read_cd(rig, 0xa8, 0, 140000, 2048, false);              /* more than any ATA command names, saved half-way */
    take_sector(rig, CD, 0, 1024);
    rig_checkpoint(rig);
    take_sector(rig, CD, 1, 1024);
    check_eq(rig_inb(rig, CD + CONTROL), DRQ);
}

static void cd_bad_reads(Rig *rig)
{
    static const struct { uint32_t lba, count; } bad[] = {
        { CD_SECTORS, 1 }, { CD_SECTORS - 1, 2 }, { UINT32_MAX, 1 }, { 1, UINT32_MAX }, { UINT32_MAX, UINT32_MAX }, { 0x80000000, 0x80000000 },
        { 0, CD_SECTORS + 1 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        read_cd(rig, 0xa8, bad[i].lba, bad[i].count, 2048, false);
        check_eq(status(rig, CD), ERR);
        check_eq(rig_inb(rig, CD + 1) >> 4, 5);
        check_eq(rig_inb(rig, CD + 2) & 3, 3);
        check_eq(sense(rig, MASTER), 0x052100);
    }
    read_cd(rig, 0x28, 0, 0, 2048, false);   /* nothing to read is no error */
    check_eq(status(rig, CD), DRDY);
    static const uint8_t raw[12] = { 0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0xf8 }, unknown[12] = { 0xf7 }, pages[12] = { 0x12, 1, 0x80, 0, 255 };
    static const uint8_t toc[12] = { 0x43, 0, 0, 0, 0, 0, 7, 0, 20 }, toc9[12] = { 0x43, 0, 9, 0, 0, 0, 0, 0, 20 }, saved[12] = { 0x5a, 0, 0xff, 0, 0, 0, 0, 0, 20 };
    const uint8_t *const refused[] = { raw, pages, toc, toc9 };
    uint8_t out[64];
    for (unsigned i = 0; i < G_N_ELEMENTS(refused); i++) {
        check_eq(ask(rig, MASTER, refused[i], out, sizeof out), -1);
        check_eq(sense(rig, MASTER), 0x052400);
    }
    check_eq(ask(rig, MASTER, unknown, out, sizeof out), -1);
    check_eq(sense(rig, MASTER), 0x052000);
    check_eq(ask(rig, MASTER, saved, out, sizeof out), -1);
    check_eq(sense(rig, MASTER), 0x053900);
}

static void cd_dma(Rig *rig)
{
    static const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 36 };

    enable_bus_master(rig);
    for (unsigned i = 0; i < 3; i++) {
        put_prd(rig, i, BUFFER + i * 0x10000, 0, i == 2);
    }
    read_cd(rig, 0x28, 100, 96, 0, true);
    rig_checkpoint(rig);
    check_eq(run_dma(rig, CD), 4);
    check(irq(rig, CD));
    check_eq(status(rig, CD), DRDY);
    for (unsigned i = 0; i < 96; i++) {
        check_eq(rig_load(rig, BUFFER + i * 2048, 4), 100 + i);
    }
    packet(rig, CD, MASTER, inquiry, 0, true);               /* shorter than its table */
    check_eq(run_dma(rig, CD), 5);
    check_eq(rig_load(rig, BUFFER + 16, 4), 0x554d4551);     /* "QEMU" */
    put_prd(rig, 0, BUFFER, 10, true);                       /* longer than its table */
    packet(rig, CD, MASTER, inquiry, 0, true);
    check_eq(run_dma(rig, CD), 0);
    rig_checkpoint(rig);
    rig_outb(rig, CD + 7, 0x08);
    check_eq(status(rig, CD), 0);
    put_prd(rig, 0, 0xfec00000, 2048, true);
    read_cd(rig, 0x28, 0, 1, 0, true);
    check_eq(run_dma(rig, CD), 6);
    /* The whole disc through one table that never ends: bounded by the table. */
    for (unsigned i = 0; i < 8192; i++) {
        put_prd(rig, i, 0x200000, 4, false);
    }
    read_cd(rig, 0xa8, 0, 140000, 0, true);
    check_eq(run_dma(rig, CD) & 4, 0);
    rig_checkpoint(rig);
    rig_outb(rig, CD + 7, 0x08);
}

static void tray(Rig *rig)
{
    static const uint8_t lock[12] = { 0x1e, 0, 0, 0, 1 }, unlock[12] = { 0x1e }, eject[12] = { 0x1b, 0, 0, 0, 2 }, load[12] = { 0x1b, 0, 0, 0, 3 };
    static const uint8_t ready[12] = { 0 };
    uint8_t out[8];

    check_eq(ask(rig, MASTER, lock, out, 8), 0);
    rig_checkpoint(rig);
    check_eq(ask(rig, MASTER, eject, out, 8), -1);
    check_eq(sense(rig, MASTER), 0x055302);
    check_eq(ask(rig, MASTER, unlock, out, 8), 0);
    check_eq(ask(rig, MASTER, eject, out, 8), 0);
    rig_checkpoint(rig);
    check_eq(ask(rig, MASTER, ready, out, 8), -1);
    check_eq(sense(rig, MASTER), 0x023a02);
    read_cd(rig, 0x28, 0, 1, 2048, false);
    check_eq(status(rig, CD), ERR);
    check_eq(ask(rig, MASTER, load, out, 8), 0);
    check_eq(ask(rig, MASTER, ready, out, 8), 0);
}

/* MODE SELECT takes its parameters whatever their number. */
static void mode_select(Rig *rig)
{
    static const uint16_t lengths[] = { 0, 1, 2, 17, 18, 0x1000, 0xfffe, 0xffff };

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        uint8_t bytes[12] = { 0x55 };
        store_be16(bytes + 7, lengths[i]);
        packet(rig, CD, MASTER, bytes, 0xfffe, false);
        unsigned written = 0;
        for (; written < 0x20000 && (status(rig, CD) & 8); written += 2) {
            rig_outw(rig, CD, 0xaaaa);
        }
        check_eq(written, (lengths[i] + 1u) & ~1u);
        check_eq(status(rig, CD), DRDY);
    }
}

/* Every packet command with every allocation length and limit that could be odd, then whatever is left over is read. */
static void every_packet(Rig *rig)
{
    static const uint16_t limits[] = { 0, 1, 7, 2048, 0xffff };
    static const uint8_t fills[] = { 0x00, 0x01, 0x10, 0x7f, 0xff };

    for (unsigned code = 0; code < 256; code++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(limits) * G_N_ELEMENTS(fills); i++) {
            uint8_t bytes[12];
            memset(bytes, fills[i % 5], sizeof bytes);
            bytes[0] = (uint8_t)code;
            packet(rig, CD, i & 1 ? SLAVE : MASTER, bytes, limits[i / 5], i % 3 == 0);
            for (unsigned j = 0; j < 40 && (status(rig, CD) & 8); j++) {
                rig_inl(rig, CD);
                rig_outw(rig, CD, 0);
            }
            check_eq(rig_inb(rig, CD + CONTROL) & BSY, 0);
        }
    }
    rig_checkpoint(rig);
    rig_outb(rig, CD + CONTROL, 4);
    rig_outb(rig, CD + CONTROL, 0);
    check_eq(rig_inb(rig, CD + 5), 0xeb);
}

/* States that no drive could have are refused, or do no harm. */
static void hostile_states(Rig *rig)
{
    static const struct { uint8_t phase; uint32_t position, end, filled, left; bool in_packet, ok_for_disk, ok_for_cd; } states[] = {
        { ATA_DMA_IN, 1, 0, 0, 0, false, false, false }, { ATA_DMA_IN, ATA_BUFFER + 1, ATA_BUFFER, 0, 0, false, false, false },
        { ATA_PIO_IN, 0, ATA_BUFFER + 2, 0, 0, false, false, false }, { ATA_PIO_IN, 0, UINT32_MAX, UINT32_MAX, 0, true, false, false },
        { ATA_PIO_IN, ATA_BUFFER, ATA_BUFFER, ATA_BUFFER, 65536, true, false, true }, { ATA_PIO_IN, 0, 512, 0, 65537, false, false, true },
        { ATA_PACKET_OUT, 0, 12, 0, 0, false, false, true }, { ATA_PACKET_OUT, 0, 14, 0, 0, false, false, false },
        { ATA_PARAMETERS_OUT, 0, ATA_BUFFER, 0, 0, false, false, true }, { 5, 0, 0, 0, 0, false, false, false }, { 255, 0, 0, 0, 0, false, false, false },
        { ATA_IDLE, 513, 512, 0, 0, false, true, true }, { ATA_IDLE, 514, 512, 0, 0, false, false, false }, { ATA_PIO_IN, 0, 512, 0, 1, true, false, true },
        { ATA_DMA_IN, 0, 0, 0, 65536, false, true, true }, { ATA_PIO_IN, 0, 512, 0, CD_SECTORS + 1, true, false, false },
    };
    for (unsigned cd = 0; cd < 2; cd++) {
        IdeDrive *drive = (IdeDrive *)rig_device(rig, cd ? "ide-cd" : "ide-hd");
        Ata *ata = &drive->ata;
        for (unsigned i = 0; i < G_N_ELEMENTS(states); i++) {
            g_autoptr(GError) err = NULL;
            ata_reset(ata);
            ata->phase = states[i].phase;
            ata->position = states[i].position;
            ata->end = states[i].end;
            ata->filled = states[i].filled;
            ata->sectors_left = states[i].left;
            ata->in_packet = states[i].in_packet;
            ata->next_sector = UINT64_MAX - 1;
            bool ok = drive->device.model->after_load(&drive->device, &err);
            check_eq(ok, cd ? states[i].ok_for_cd : states[i].ok_for_disk);
            check_eq(ok, err == NULL);
            for (unsigned j = 0; j < 70000 && ok; j++) {
                uint8_t bytes[64];
                ata_read_data(ata);
                ata_write_data(ata, 0);
                ata_dma_take(ata, bytes, sizeof bytes);
            }
        }
        ata_reset(ata);
    }
}

#define ON_PC .board = "pc", .runs = FRESH | RESTORED, .settings = drives
const Test ide_tests[] = {
    { "signatures tell disks, CD-ROM drives and empty places", signatures, ON_PC },
    { "identify", identify, ON_PC },
    { "PIO reads by CHS, LBA28 and LBA48", pio_reads, ON_PC },
    { "reads of several sectors a block", multiple_reads, ON_PC },
    { "places beyond the end", beyond_the_end, ON_PC },
    { "every command code", every_command, ON_PC },
    { "DMA reads", dma_reads, ON_PC },
    { "DMA with tables too short, too long, and into no memory", dma_bad_tables, ON_PC },
    { "DMA over its own table", dma_table_in_its_own_way, ON_PC },
    { "resets in the middle of a transfer", reset_in_the_middle, ON_PC },
    { "packet commands that tell of drive and disc", inquiry_and_friends, ON_PC },
    { "CD reads with every kind of byte limit", cd_reads, ON_PC },
    { "CD reads that are refused", cd_bad_reads, ON_PC },
    { "CD reads by DMA", cd_dma, ON_PC },
    { "the tray", tray, ON_PC },
    { "MODE SELECT", mode_select, ON_PC },
    { "every packet command", every_packet, ON_PC },
    { "hostile states", hostile_states, .board = "pc", .runs = FRESH, .settings = drives },
    { NULL }
};
