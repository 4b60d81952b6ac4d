/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ide-rig.h - IDE drives as drivers use them: what the tests of disks (ide.c) and CD-ROM drives (atapi.c) share
 *
 * Every sector of the images names itself, so that a test sees which one came. The disk is master of the first channel, a blank one
 * (for what is written) its slave; the CD-ROM drive with a disc is master of the second channel, the one without slave.
 */
#pragma once
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
enum { DISK_SECTORS = 4096, SCRATCH_SECTORS = 300000, CD_SECTORS = 150000, STAMPED = 600 };
enum { BSY = 0x80, DRDY = 0x50, DRQ = 0x58, ERR = 0x51 };
enum { TABLE = 0x10000, BUFFER = 0x20000, RAM_END = 16 << 20 };

static char *disk_path, *scratch_path, *cd_path, *other_path;

/* Sector n of an image: n, n + 1, ... in le32. */
static inline char *make_image(const char *name, unsigned sector_size, unsigned first, unsigned stamped, uint64_t sectors)
{
    static char folder[] = "/tmp/roost-ide-XXXXXX";
    static bool made;

    made = made || mkdtemp(folder);
    char *path = g_build_filename(folder, name, NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (unsigned i = 0; i < stamped; i++) {
        uint32_t words[512];
        for (unsigned j = 0; j < G_N_ELEMENTS(words); j++) {
            words[j] = first + i + j;
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

static inline void remove_images(void)
{
    char *const paths[] = { disk_path, scratch_path, cd_path, other_path };
    g_autofree char *folder = g_path_get_dirname(disk_path);

    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        unlink(paths[i]);
        g_free(paths[i]);
    }
    rmdir(folder);
}

static inline void make_images(void)
{
    if (!disk_path) {
        disk_path = make_image("disk", 512, 0, DISK_SECTORS, DISK_SECTORS);
        scratch_path = make_image("scratch", 512, 0, 0, SCRATCH_SECTORS);
        cd_path = make_image("cd", 2048, 0, STAMPED, CD_SECTORS);
        other_path = make_image("other", 2048, 70000, STAMPED, STAMPED);
        atexit(remove_images);
    }
}

/* The blank disk's further keys (",'werror':'stop'"), and what it lies on: its file, or another. */
static inline Value *drives_with(const char *scratch_keys)
{
    make_images();
    g_autofree char *text = g_strdup_printf(
        "{'drives':[{'id':'disk','file':'%s','format':'raw','if':'ide','index':0},{'id':'scratch','file':'%s','format':'raw','if':'ide','index':1%s},"
        "{'id':'cd','file':'%s','format':'raw','if':'ide','media':'cdrom','index':2},{'id':'empty','if':'ide','media':'cdrom','index':3}]}",
        disk_path, scratch_path, scratch_keys, cd_path);
    return json_parse(text, NULL);
}

static inline Value *drives(void)
{
    return drives_with("");
}

/* Once the storage has done what it was asked. */
static inline bool irq(Rig *rig, unsigned channel)
{
    rig_io(rig);
    return piix3_isa_bus(rig_device(rig, "PIIX3"))->level[channel == DISK ? 14 : 15];
}

static inline uint8_t status(Rig *rig, unsigned base)
{
    rig_io(rig);
    return rig_inb(rig, (uint16_t)(base + 7));
}

/* Sets the task file of a 28-bit command and gives it. */
static inline void command(Rig *rig, unsigned base, uint8_t device, uint32_t lba, uint8_t count, uint8_t code)
{
    rig_outb(rig, (uint16_t)(base + 6), (uint8_t)(device | (lba >> 24 & 15)));
    rig_outb(rig, (uint16_t)(base + 2), count);
    rig_outb(rig, (uint16_t)(base + 3), (uint8_t)lba);
    rig_outb(rig, (uint16_t)(base + 4), (uint8_t)(lba >> 8));
    rig_outb(rig, (uint16_t)(base + 5), (uint8_t)(lba >> 16));
    rig_outb(rig, (uint16_t)(base + 7), code);
}

static inline void command48(Rig *rig, unsigned base, uint8_t device, uint64_t lba, uint16_t count, uint8_t code)
{
    rig_outb(rig, (uint16_t)(base + 6), device);
    for (int high = 1; high >= 0; high--) {
        rig_outb(rig, (uint16_t)(base + 2), (uint8_t)(count >> 8 * high));
        for (unsigned i = 0; i < 3; i++) {
            rig_outb(rig, (uint16_t)(base + 3 + i), (uint8_t)(lba >> (8 * i + 24 * (unsigned)high)));
        }
    }
    rig_outb(rig, (uint16_t)(base + 7), code);
}

/* Takes a sector off the data port; it must be this one. */
static inline void take_sector(Rig *rig, unsigned base, uint32_t sector, unsigned words)
{
    rig_io(rig);
    uint32_t first = rig_inw(rig, (uint16_t)base);
    first |= (uint32_t)rig_inw(rig, (uint16_t)base) << 16;
    check_eq(first, sector);
    for (unsigned i = 2; i < words; i++) {
        rig_inw(rig, (uint16_t)base);
    }
}

/* A sector of these words, counting up, into the data port. */
static inline void give_sector(Rig *rig, unsigned base, uint16_t first)
{
    rig_io(rig);
    for (unsigned i = 0; i < 256; i++) {
        rig_outw(rig, (uint16_t)base, (uint16_t)(first + i));
    }
}

static inline void enable_bus_master(Rig *rig)
{
    rig_outl(rig, 0xcf8, IDE_FUNCTION | 0x20);
    rig_outl(rig, 0xcfc, BUS_MASTER | 1);
    rig_outl(rig, 0xcf8, IDE_FUNCTION | 0x04);
    rig_outw(rig, 0xcfc, 5);
}

static inline void put_prd(Rig *rig, unsigned index, uint32_t address, uint16_t count, bool last)
{
    rig_store(rig, TABLE + 8 * index, 4, address);
    rig_store(rig, TABLE + 8 * index + 4, 4, count | (last ? 0x80000000u : 0));
}

static inline uint16_t bm(unsigned base)
{
    return BUS_MASTER + (base == CD ? 8 : 0);
}

/* Points the channel's engine at TABLE and starts it. */
static inline void start_dma(Rig *rig, unsigned base, bool to_memory)
{
    rig_outb(rig, bm(base), 0);
    rig_outb(rig, bm(base) + 2, 6);
    rig_outl(rig, bm(base) + 4, TABLE);
    rig_outb(rig, bm(base), to_memory ? 9 : 1);
}

/* The same, waits for the storage, and stops it; what its status said before that. */
static inline uint8_t run_dma_to(Rig *rig, unsigned base, bool to_memory)
{
    start_dma(rig, base, to_memory);
    rig_io(rig);
    uint8_t bits = rig_inb(rig, bm(base) + 2) & 7;
    rig_outb(rig, bm(base), 0);
    return bits;
}

static inline uint8_t run_dma(Rig *rig, unsigned base)
{
    return run_dma_to(rig, base, true);
}
