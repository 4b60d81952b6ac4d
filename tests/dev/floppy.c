/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * floppy.c - the floppy controller and its drives, as BIOSes and systems use them, and as nobody should
 *
 * A: has a disk of 1.44 MB whose sectors name themselves, B: one of 720 kB; a third image is put in instead. DMA goes over channel 2.
 */
#include "base/bytes.h"
#include "base/json.h"
#include "block/node.h"
#include "hw/chipset/piix3.h"
#include "hw/floppy/drive.h"
#include "hw/models.h"
#include "hw/timer/timers.h"
#include "tests/rig/rig.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DOR = 0x3f2, MSR = 0x3f4, FIFO = 0x3f5, DIR_CCR = 0x3f7, RQM = 0x80, BUFFER = 0x20000, SECTORS = 2880, IRQ = 6 };
static char *a_path, *b_path, *other_path;

static char *make_image(const char *name, unsigned sectors, unsigned stamp)
{
    static char folder[] = "/tmp/roost-floppy-XXXXXX";
    static bool made;

    made = made || mkdtemp(folder);
    char *path = g_build_filename(folder, name, NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (unsigned i = 0; i < sectors; i++) {
        uint32_t words[128];
        for (unsigned j = 0; j < 128; j++) {
            words[j] = stamp + i + (j << 16);
        }
        if (write(fd, words, sizeof words) != sizeof words) {
            printf("Bail out! %s cannot be written\n", path);
            exit(1);
        }
    }
    close(fd);
    return path;
}

static void remove_images(void)
{
    g_autofree char *folder = g_path_get_dirname(a_path);
    char *const paths[] = { a_path, b_path, other_path };

    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        unlink(paths[i]);
        g_free(paths[i]);
    }
    rmdir(folder);
}

static Value *drives(void)
{
    if (!a_path) {
        a_path = make_image("a", SECTORS, 0);
        b_path = make_image("b", 1440, 0x1000);
        other_path = make_image("other", SECTORS, 0x2000);
        atexit(remove_images);
    }
    g_autofree char *text = g_strdup_printf("{'drives':[{'id':'a','file':'%s','format':'raw','if':'floppy','index':0},"
                                            "{'id':'b','file':'%s','format':'raw','if':'floppy','index':1,'read-only':true}]}", a_path, b_path);
    return json_parse(text, NULL);
}

static bool line(Rig *rig)
{
    return piix3_isa_bus(rig_device(rig, "PIIX3"))->level[IRQ];
}

static bool irq(Rig *rig)
{
    rig_io(rig);
    return line(rig);
}

static void send(Rig *rig, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        check_eq(rig_inb(rig, MSR) & 0xc0, RQM);
        rig_outb(rig, FIFO, bytes[i]);
    }
}

/* All bytes of the result; how many. */
static unsigned result(Rig *rig, uint8_t *out)
{
    unsigned count = 0;

    for (; count < 20 && (rig_inb(rig, MSR) & 0xd0) == 0xd0; count++) {
        out[count] = rig_inb(rig, FIFO);
    }
    return count;
}

#define SEND(rig, ...) send(rig, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Until the interrupt, in guest time and with the storage's help. */
static void wait_irq(Rig *rig)
{
    for (unsigned i = 0; i < 100 && !irq(rig); i++) {
        rig_advance(rig, 100 * NS_PER_US);
        rig_io(rig);
    }
    check(irq(rig));
}

static void start(Rig *rig)
{
    uint8_t out[20];

    rig_outb(rig, DOR, 0x00);
    check_eq(rig_inb(rig, MSR), 0);
    rig_outb(rig, DOR, 0x0c);
    wait_irq(rig);
    for (unsigned i = 0; i < 4; i++) {
        SEND(rig, 0x08);
        check_eq(result(rig, out), 2);
        check_eq(out[0], 0xc0 | i);
        check(!irq(rig));
    }
    SEND(rig, 0x08);
    check_eq(result(rig, out), 1);
    check_eq(out[0], 0x80);
    SEND(rig, 0x03, 0xaf, 0x02);             /* SPECIFY, DMA */
    rig_outb(rig, DIR_CCR, 0);                   /* 500 kbit/s */
    rig_outb(rig, DOR, 0x1c);
}

static void seek_to(Rig *rig, uint8_t drive, uint8_t cylinder)
{
    uint8_t out[20];

    SEND(rig, 0x0f, drive, cylinder);
    check_eq(rig_inb(rig, MSR) & 0x0f, 1 << (drive & 3));
    wait_irq(rig);
    SEND(rig, 0x08);
    check_eq(result(rig, out), 2);
    check_eq(out[0], 0x20 | (drive & 3));
    check_eq(out[1], cylinder);
    check(!irq(rig));
}

static void program_dma(Rig *rig, uint32_t address, unsigned bytes, bool to_memory)
{
    rig_outb(rig, 0x0a, 6);
    rig_outb(rig, 0x0c, 0);
    rig_outb(rig, 0x04, (uint8_t)address);
    rig_outb(rig, 0x04, (uint8_t)(address >> 8));
    rig_outb(rig, 0x05, (uint8_t)(bytes - 1));
    rig_outb(rig, 0x05, (uint8_t)((bytes - 1) >> 8));
    rig_outb(rig, 0x81, (uint8_t)(address >> 16));
    rig_outb(rig, 0x0b, to_memory ? 0x46 : 0x4a);
    rig_outb(rig, 0x0a, 2);
}

/* A transfer of whole sectors by DMA and its result. */
static void transfer(Rig *rig, uint8_t code, uint8_t drive, uint8_t c, uint8_t h, uint8_t r, uint8_t eot, unsigned bytes, uint8_t out[7])
{
    if (bytes) {
        program_dma(rig, BUFFER, bytes, (code & 0x1f) == 0x06 || (code & 0x1f) == 0x02 || (code & 0x1f) == 0x0c);
    }
    SEND(rig, code, (uint8_t)(h << 2 | drive), c, h, r, 2, eot, 0x1b, 0xff);
    wait_irq(rig);
    memset(out, 0xee, 7);
    check_eq(result(rig, out), 7);
    check(!irq(rig));
}

static void check_result(const uint8_t out[7], uint8_t st0, uint8_t st1, uint8_t st2, uint8_t c, uint8_t h, uint8_t r)
{
    check_eq(out[0], st0);
    check_eq(out[1], st1);
    check_eq(out[2], st2);
    check_eq(out[3], c);
    check_eq(out[4], h);
    check_eq(out[5], r);
    check_eq(out[6], 2);
}

static void resets(Rig *rig)
{
    start(rig);
    rig_outb(rig, MSR, 0x80);                /* by the data rate register: it comes back alone */
    wait_irq(rig);
    uint8_t out[20];
    SEND(rig, 0x08);
    check_eq(result(rig, out), 2);
    check_eq(out[0], 0xc0);
    start(rig);
    rig_outb(rig, DOR, 0x14);                /* without its gate the chip does not reach the bus */
    SEND(rig, 0x07, 0);
    rig_advance(rig, 5 * NS_PER_MS);
    check(!irq(rig));
    rig_outb(rig, DOR, 0x1c);
    check(irq(rig));
}

static void seeks(Rig *rig)
{
    uint8_t out[20];

    start(rig);
    seek_to(rig, 0, 40);
    seek_to(rig, 1, 3);
    SEND(rig, 0x04, 0);
    check_eq(result(rig, out), 1);
    check_eq(out[0], 0x28);
    SEND(rig, 0x07, 0);                      /* RECALIBRATE, both at a time */
    SEND(rig, 0x07, 1);
    check_eq(rig_inb(rig, MSR), 0x83);
    wait_irq(rig);
    SEND(rig, 0x08);
    check_eq(result(rig, out), 2);
    check_eq(out[0], 0x20);
    check_eq(out[1], 0);
    check(irq(rig));
    SEND(rig, 0x08);
    check_eq(result(rig, out), 2);
    check_eq(out[0], 0x21);
    SEND(rig, 0x04, 5);
    check_eq(result(rig, out), 1);
    check_eq(out[0], 0x28 | 0x10 | 0x40 | 5);/* track 0, write protected, head 1 */
    SEND(rig, 0x07, 2);                      /* no such drive: no track 0 */
    wait_irq(rig);
    SEND(rig, 0x08);
    check_eq(result(rig, out), 2);
    check_eq(out[0], 0x72);
    SEND(rig, 0xcf, 0, 5);                   /* RELATIVE SEEK inwards, outwards */
    wait_irq(rig);
    SEND(rig, 0x08);
    check_eq(result(rig, out), 2);
    check_eq(out[1], 5);
    SEND(rig, 0x8f, 0, 2);
    wait_irq(rig);
    SEND(rig, 0x08);
    check_eq(result(rig, out), 2);
    check_eq(out[1], 3);
}

static void settings(Rig *rig)
{
    uint8_t out[20];

    start(rig);
    SEND(rig, 0x10);
    check_eq(result(rig, out), 1);
    check_eq(out[0], 0x90);
    SEND(rig, 0x13, 0, 0x57, 0x11);          /* CONFIGURE */
    SEND(rig, 0x12, 0x85);                   /* PERPENDICULAR */
    SEND(rig, 0x94);                         /* LOCK */
    check_eq(result(rig, out), 1);
    check_eq(out[0], 0x10);
    rig_checkpoint(rig);
    SEND(rig, 0x0e);
    check_eq(result(rig, out), 10);
    check_eq(out[4], 0xaf);
    check_eq(out[5], 0x02);
    check_eq(out[7], 0x85);
    check_eq(out[8], 0x57);
    check_eq(out[9], 0x11);
    start(rig);
    SEND(rig, 0x0e);
    check_eq(result(rig, out), 10);
    check_eq(out[8], 0x07);                  /* the FIFO's settings are locked, the others not */
    check_eq(out[9], 0x11);
    SEND(rig, 0x14);
    check_eq(result(rig, out), 1);
    check_eq(out[0], 0);
    start(rig);
    SEND(rig, 0x0e);
    check_eq(result(rig, out), 10);
    check_eq(out[8], 0x20);
    SEND(rig, 0x18);
    check_eq(result(rig, out), 1);
    SEND(rig, 0x2e);
    check_eq(result(rig, out), 16);
    SEND(rig, 0x4e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaf, 0x02, 9, 0, 0x20, 0, 0);
    SEND(rig, 0x0e);
    check_eq(result(rig, out), 10);
    check_eq(out[6], 9);
    SEND(rig, 0x17, 3);
    check_eq(result(rig, out), 1);
    SEND(rig, 0x33, 0);
    check_eq(rig_inb(rig, MSR), 0x80);
}

static void reads(Rig *rig)
{
    uint8_t out[7];

    start(rig);
    seek_to(rig, 0, 2);
    transfer(rig, 0xe6, 0, 2, 0, 5, 18, 512 * 3, out);
    check_result(out, 0x00, 0, 0, 2, 0, 8);
    for (unsigned i = 0; i < 3; i++) {
        check_eq(rig_load(rig, BUFFER + 512 * i, 4), 2 * 36 + 4 + i);
        check_eq(rig_load(rig, BUFFER + 512 * i + 508, 4), 2 * 36 + 4 + i + (127 << 16));
    }
    transfer(rig, 0xe6, 0, 2, 0, 17, 18, 512 * 4, out);      /* over to the other side */
    check_result(out, 0x04, 0, 0, 2, 1, 3);
    check_eq(rig_load(rig, BUFFER + 512 * 2, 4), 2 * 36 + 18);
    transfer(rig, 0xe6, 0, 2, 1, 17, 18, 512 * 2, out);      /* to the cylinder's very end */
    check_result(out, 0x04, 0, 0, 3, 0, 1);
    transfer(rig, 0x46, 0, 2, 0, 18, 18, 512, out);          /* one side only */
    check_result(out, 0x00, 0, 0, 3, 0, 1);
    transfer(rig, 0x46, 0, 2, 0, 17, 18, 512 * 4, out);      /* the host wants more than there is */
    check_result(out, 0x40, 0x80, 0, 3, 0, 1);
    check_eq(rig_inb(rig, MSR), 0x80);
    transfer(rig, 0x46, 0, 2, 0, 5, 18, 100, out);           /* the count ends within a sector */
    check_result(out, 0x00, 0, 0, 2, 0, 6);
    transfer(rig, 0x42, 0, 2, 0, 9, 4, 512 * 4, out);        /* READ TRACK: from the index on */
    check_eq(out[0], 0);
    check_eq(rig_load(rig, BUFFER, 4), 2 * 36);
    check_eq(rig_load(rig, BUFFER + 1536, 4), 2 * 36 + 3);
    transfer(rig, 0x4c, 0, 2, 0, 5, 18, 512, out);           /* READ DELETED: it was not */
    check_eq(out[2], 0x40);
    rig_outb(rig, DOR, 0x2d);
    rig_outb(rig, DIR_CCR, 2);                   /* 250 kbit/s */
    seek_to(rig, 1, 1);
    transfer(rig, 0xe6, 1, 1, 0, 9, 9, 1024, out);
    check_result(out, 0x05, 0, 0, 1, 1, 2);
    check_eq(rig_load(rig, BUFFER, 4), 0x1000 + 18 + 8);
}

static void what_is_not_there(Rig *rig)
{
    uint8_t out[7];

    start(rig);
    seek_to(rig, 0, 2);
    transfer(rig, 0x46, 0, 3, 0, 1, 18, 512, out);
    check_result(out, 0x40, 0x04, 0x10, 3, 0, 1);            /* the heads are elsewhere */
    transfer(rig, 0x46, 0, 2, 0, 19, 21, 512, out);
    check_result(out, 0x40, 0x04, 0, 2, 0, 19);
    transfer(rig, 0x46, 0, 2, 0, 0, 18, 512, out);
    check_result(out, 0x40, 0x04, 0, 2, 0, 0);
    SEND(rig, 0x46, 0, 2, 0, 1, 3, 18, 0x1b, 0xff);          /* sectors of 1024 bytes */
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_eq(out[1], 0x04);
    transfer(rig, 0x46, 1, 0, 0, 1, 9, 512, out);            /* at the wrong data rate */
    check_eq(out[0], 0x41);
    check_eq(out[1], 0x01);
    transfer(rig, 0x46, 2, 0, 0, 1, 18, 512, out);           /* no such drive: CVE-2021-20196 */
    check_eq(out[0], 0x42);
    check_eq(out[1], 0x01);
    transfer(rig, 0x45, 3, 0, 0, 1, 18, 512, out);
    check_eq(out[0], 0x43);
    SEND(rig, 0x4d, 3, 2, 18, 0x1b, 0xf6);
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    SEND(rig, 0x4a, 2);
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_eq(out[0], 0x42);
    seek_to(rig, 0, 81);                     /* beyond what is formatted */
    transfer(rig, 0x46, 0, 81, 0, 1, 18, 512, out);
    check_eq(out[0], 0x40);
    seek_to(rig, 0, 255);
    transfer(rig, 0x46, 0, 255, 1, 1, 18, 512, out);
    check_eq(out[0], 0x44);
    rig_outb(rig, DOR, 0x2d);
    rig_outb(rig, DIR_CCR, 2);
    transfer(rig, 0x45, 1, 0, 0, 1, 9, 512, out);            /* write protected */
    check_eq(out[0], 0x41);
    check_eq(out[1], 0x02);
}

static void writes(Rig *rig)
{
    uint8_t out[7];

    start(rig);
    seek_to(rig, 0, 70);
    for (unsigned i = 0; i < 2048; i += 4) {
        rig_store(rig, BUFFER + i, 4, 0xabc00000 + i);
    }
    transfer(rig, 0xc5, 0, 70, 0, 17, 18, 2048, out);
    check_result(out, 0x04, 0, 0, 70, 1, 3);
    for (unsigned i = 0; i < 2048; i += 4) {
        rig_store(rig, BUFFER + i, 4, 0);
    }
    rig_checkpoint(rig);
    transfer(rig, 0xe6, 0, 70, 0, 17, 18, 2048, out);
    for (unsigned i = 0; i < 2048; i += 4) {
        check_eq(rig_load(rig, BUFFER + i, 4), 0xabc00000 + i);
    }
    transfer(rig, 0x45, 0, 70, 0, 17, 18, 100, out);         /* a part of a sector: zeros behind it */
    transfer(rig, 0x46, 0, 70, 0, 17, 18, 512, out);
    check_eq(rig_load(rig, BUFFER + 96, 4), 0xabc00000 + 96);
    check_eq(rig_load(rig, BUFFER + 100, 4), 0);
    /* FORMAT TRACK: three sectors, one of which has a name that the image has no place for. */
    static const uint8_t names[] = { 70, 0, 1, 2, 70, 0, 99, 2, 70, 0, 3, 2 };
    rig_write(rig, BUFFER, names, sizeof names);
    program_dma(rig, BUFFER, sizeof names, false);
    SEND(rig, 0x4d, 0, 2, 3, 0x54, 0xf6);
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_eq(out[0], 0);
    transfer(rig, 0x46, 0, 70, 0, 1, 18, 512 * 3, out);
    check_eq(rig_load(rig, BUFFER, 4), 0xf6f6f6f6);
    check_eq(rig_load(rig, BUFFER + 512, 4), 70 * 36 + 1);
    check_eq(rig_load(rig, BUFFER + 1024 + 508, 4), 0xf6f6f6f6);
}

static void verify_and_scan(Rig *rig)
{
    uint8_t out[7];

    start(rig);
    seek_to(rig, 0, 10);
    SEND(rig, 0x56, 0, 10, 0, 3, 2, 18, 0x1b, 0xff);         /* to the end of the track */
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_result(out, 0, 0, 0, 11, 0, 1);
    SEND(rig, 0xd6, 0x80, 10, 0, 17, 2, 18, 0x1b, 4);        /* four, over to the other side */
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_result(out, 0x04, 0, 0, 10, 1, 3);
    transfer(rig, 0x46, 0, 10, 0, 4, 18, 512, out);
    transfer(rig, 0x51, 0, 10, 0, 4, 18, 512, out);          /* SCAN EQUAL: it is */
    check_eq(out[0], 0);
    check_eq(out[2], 0x08);
    rig_store(rig, BUFFER + 5, 1, 0xff);     /* equal to anything */
    transfer(rig, 0x51, 0, 10, 0, 4, 18, 512, out);
    check_eq(out[2], 0x08);
    transfer(rig, 0x51, 0, 10, 0, 7, 7, 512, out);           /* it is not */
    check_eq(out[2], 0x04);
    for (unsigned i = 0; i < 512; i++) {
        rig_store(rig, BUFFER + i, 1, 0xfe);
    }
    transfer(rig, 0x59, 0, 10, 0, 4, 18, 512, out);          /* SCAN LOW OR EQUAL: the disk's bytes are lower */
    check_eq(out[2] & 0x0c, 0x00);
    transfer(rig, 0x5d, 0, 10, 0, 4, 4, 512, out);
    check_eq(out[2] & 0x0c, 0x04);
}

static void by_programmed_io(Rig *rig)
{
    uint8_t out[7];

    start(rig);
    SEND(rig, 0x03, 0xaf, 0x03);             /* no DMA */
    seek_to(rig, 0, 5);
    SEND(rig, 0x46, 0, 5, 0, 7, 2, 8, 0x1b, 0xff);
    for (unsigned i = 0; i < 2; i++) {
        wait_irq(rig);
        for (unsigned j = 0; j < 512; j++) {
            check_eq(rig_inb(rig, MSR), 0xf0);
            uint8_t byte = rig_inb(rig, FIFO);
            if (j % 4 == 0) {
                check_eq(byte, (uint8_t)(5 * 36 + 6 + i));
            }
            if (j == 200) {
                rig_checkpoint(rig);
            }
        }
    }
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_result(out, 0, 0, 0, 6, 0, 1);
    SEND(rig, 0x45, 0, 5, 0, 12, 2, 12, 0x1b, 0xff);
    wait_irq(rig);
    for (unsigned j = 0; j < 512; j++) {
        check_eq(rig_inb(rig, MSR), 0xb0);
        rig_outb(rig, FIFO, (uint8_t)(j ^ 0x5a));
    }
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_eq(out[0], 0);
    SEND(rig, 0x03, 0xaf, 0x02);
    transfer(rig, 0x46, 0, 5, 0, 12, 18, 512, out);
    for (unsigned j = 0; j < 512; j++) {
        check_eq(rig_load(rig, BUFFER + j, 1), (uint8_t)(j ^ 0x5a));
    }
}

static void implied_seek_and_ids(Rig *rig)
{
    uint8_t out[7];

    start(rig);
    SEND(rig, 0x13, 0, 0x60, 0);
    transfer(rig, 0x46, 0, 33, 1, 2, 18, 512, out);
    check_result(out, 0x24, 0, 0, 33, 1, 3);
    check_eq(rig_load(rig, BUFFER, 4), 33 * 36 + 18 + 1);
    transfer(rig, 0x46, 0, 33, 1, 2, 18, 512, out);
    check_eq(out[0], 0x04);
    for (unsigned i = 0; i < 20; i++) {      /* READ ID: whatever passes */
        SEND(rig, 0x4a, 4);
        check_eq(rig_inb(rig, MSR), 0x10);
        wait_irq(rig);
        check_eq(result(rig, out), 7);
        check_eq(out[0], 0x04);
        check_eq(out[3], 33);
        check_eq(out[4], 1);
        check(out[5] >= 1 && out[5] <= 18);
        check_eq(out[6], 2);
    }
}

/* The storage is slow: the chip is busy, and a reset does not wait for it. */
static void slow_storage(Rig *rig)
{
    uint8_t out[7];

    start(rig);
    seek_to(rig, 0, 8);
    program_dma(rig, BUFFER, 512, true);
    rig_store(rig, BUFFER, 4, 0x77777777);
    SEND(rig, 0x46, 0, 8, 0, 1, 2, 18, 0x1b, 0xff);
    guest_clock_step_to(clock_now(CLOCK_GUEST) + NS_PER_MS);
    check_eq(rig_inb(rig, MSR), 0x10);
    check(!line(rig));
    rig_outb(rig, DOR, 0);
    rig_outb(rig, DOR, 0x1c);
    rig_io(rig);
    check_eq(rig_load(rig, BUFFER, 4), 0x77777777);
    start(rig);
    seek_to(rig, 0, 8);
    SEND(rig, 0x46, 0, 8, 0, 1, 2, 18, 0x1b, 0xff);          /* asked, forgotten, and asked for another one */
    guest_clock_step_to(clock_now(CLOCK_GUEST) + NS_PER_MS);
    rig_outb(rig, DOR, 0);
    rig_outb(rig, DOR, 0x1c);
    guest_clock_step_to(clock_now(CLOCK_GUEST) + NS_PER_MS);
    for (unsigned i = 0; i < 4; i++) {
        SEND(rig, 0x08);
        result(rig, out);
    }
    program_dma(rig, BUFFER, 512, true);
    SEND(rig, 0x46, 0, 8, 0, 2, 2, 18, 0x1b, 0xff);
    guest_clock_step_to(clock_now(CLOCK_GUEST) + NS_PER_MS);
    check_eq(rig_inb(rig, MSR), 0x10);
    rig_checkpoint(rig);
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_eq(rig_load(rig, BUFFER, 4), 8 * 36 + 1);
}

static void another_disk(Rig *rig)
{
    static const NodeOpen how = { .writable = true };
    g_autofree char *text = g_strdup_printf("{'driver':'raw','node-name':'other','file':{'driver':'file','filename':'%s'}}", other_path);
    g_autoptr(Value) options = json_parse(text, NULL);
    uint8_t out[7];

    start(rig);
    check_eq(rig_inb(rig, DIR_CCR), 0x80);       /* as after power-on */
    seek_to(rig, 0, 1);
    check_eq(rig_inb(rig, DIR_CCR), 0);
    transfer(rig, 0x46, 0, 1, 0, 1, 18, 512, out);
    blk_remove(blk_find("a"));
    check_eq(rig_inb(rig, DIR_CCR), 0x80);
    seek_to(rig, 0, 2);
    check_eq(rig_inb(rig, DIR_CCR), 0x80);       /* stays while there is none */
    transfer(rig, 0x46, 0, 2, 0, 1, 18, 512, out);
    check_eq(out[0], 0x40);
    check_eq(out[1], 0x01);
    check(node_add(options, &how, NULL));
    check(blk_insert(blk_find("a"), node_find("other"), NULL));
    seek_to(rig, 0, 1);
    check_eq(rig_inb(rig, DIR_CCR), 0);
    transfer(rig, 0x46, 0, 1, 0, 1, 18, 512, out);
    check_eq(out[0], 0);
    check_eq(rig_load(rig, BUFFER, 4), 0x2000 + 36);
    /* Gone while a sector is on its way. */
    program_dma(rig, BUFFER, 512, true);
    SEND(rig, 0x46, 0, 1, 0, 1, 2, 18, 0x1b, 0xff);
    guest_clock_step_to(clock_now(CLOCK_GUEST) + NS_PER_MS);
    blk_remove(blk_find("a"));
    wait_irq(rig);
    check_eq(result(rig, out), 7);
}

/* CVE-2015-3456 and its like: more bytes than any command has, forty of them for each first byte, with any second one. */
static void every_command(Rig *rig)
{
    for (unsigned code = 0; code < 256; code++) {
        for (unsigned fill = 0; fill < 256; fill += 51) {
            start(rig);
            rig_outb(rig, FIFO, (uint8_t)code);
            for (unsigned i = 0; i < 40; i++) {
                rig_outb(rig, FIFO, (uint8_t)fill);
            }
            guest_clock_step_to(clock_now(CLOCK_GUEST) + 2 * NS_PER_MS);
            rig_io(rig);
            for (unsigned i = 0; i < 40; i++) {
                rig_inb(rig, FIFO);
            }
        }
    }
}

/* CVE-2015-3456: the two that were not counted. */
static void long_parameters(Rig *rig)
{
    uint8_t out[20];

    start(rig);
    SEND(rig, 0x8e);
    for (unsigned i = 0; i < 4; i++) {
        rig_outb(rig, FIFO, 0x3f);           /* not the last */
    }
    check_eq(result(rig, out), 4);
    SEND(rig, 0x8e, 0xc0);
    check_eq(rig_inb(rig, MSR), 0x80);
    SEND(rig, 0x4a, 0);
    for (unsigned i = 0; i < 5000; i++) {
        rig_outb(rig, FIFO, 0xff);
    }
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_eq(rig_inb(rig, MSR), 0x80);
}

/* CVE-2021-3507: a transfer whose DMA is longer than a sector, a track and the buffer, in the wrong direction, and masked. */
static void long_transfers(Rig *rig)
{
    uint8_t out[7];

    start(rig);
    seek_to(rig, 0, 0);
    SEND(rig, 0x07, 0);
    wait_irq(rig);
    SEND(rig, 0x08);
    result(rig, out);
    program_dma(rig, BUFFER, 0x10000, true);
    SEND(rig, 0xc6, 0, 0, 0, 1, 2, 0xff, 0x1b, 0xff);
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    check_eq(out[0], 0x40);                  /* there is no sector 19 */
    check_eq(out[1], 0x04);
    program_dma(rig, BUFFER, 0x10000, false);
    SEND(rig, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    wait_irq(rig);
    check_eq(result(rig, out), 7);
    rig_outb(rig, 0x0a, 6);                  /* masked: the chip waits, until it is reset */
    SEND(rig, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    rig_advance(rig, 5 * NS_PER_MS);
    rig_io(rig);
    check_eq(rig_inb(rig, MSR), 0x10);
    rig_checkpoint(rig);
    start(rig);
}

static void formats(Rig *rig)
{
    static const struct { unsigned sectors; FloppyType asked, fits; uint8_t tracks, heads, per_track, rate; } sizes[] = {
        { 2880, FLOPPY_AUTO, FLOPPY_144, 80, 2, 18, FDC_RATE_500 }, { 5760, FLOPPY_AUTO, FLOPPY_288, 80, 2, 36, FDC_RATE_1000 },
        { 2400, FLOPPY_AUTO, FLOPPY_120, 80, 2, 15, FDC_RATE_500 }, { 1440, FLOPPY_AUTO, FLOPPY_144, 80, 2, 9, FDC_RATE_250 },
        { 720, FLOPPY_AUTO, FLOPPY_120, 40, 2, 9, FDC_RATE_300 }, { 640, FLOPPY_AUTO, FLOPPY_120, 40, 2, 8, FDC_RATE_250 },
        { 1440, FLOPPY_120, FLOPPY_120, 80, 2, 9, FDC_RATE_250 }, { 3360, FLOPPY_AUTO, FLOPPY_144, 80, 2, 21, FDC_RATE_500 },
        { 12345, FLOPPY_144, FLOPPY_NONE, 80, 2, 18, FDC_RATE_500 }, { 0, FLOPPY_288, FLOPPY_NONE, 80, 2, 36, FDC_RATE_1000 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        FdcMedium medium = { 0 };
        check_eq(floppy_format((uint64_t)sizes[i].sectors * 512, sizes[i].asked, &medium), sizes[i].fits);
        check_eq(medium.tracks, sizes[i].tracks);
        check_eq(medium.heads, sizes[i].heads);
        check_eq(medium.sectors, sizes[i].per_track);
        check_eq(medium.rate, sizes[i].rate);
    }
    Device *fdc = rig_device(rig, "isa-fdc"), *rtc = rig_device(rig, "mc146818rtc");
    check_eq(isa_fdc_cmos_type(fdc, 0), 4);
    check_eq(isa_fdc_cmos_type(fdc, 1), 4);
    check_eq(isa_fdc_cmos_type(fdc, 2), 0);
    machine_reset_now(rig_machine(rig), CAUSE_NONE);
    check_eq(rtc_get_cmos(rtc, 0x10), 0x44);
    check_eq(rtc_get_cmos(rtc, 0x14), 0x47);
}

/* States that no controller could have are refused, or do no harm. */
static void hostile_states(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);
    Device *device = rig_device(rig, "isa-fdc");
    const DeviceModel *model = device->model;

    for (unsigned i = 0; i < 800; i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        start(rig);
        if (i & 1) {
            program_dma(rig, BUFFER, 512, true);
            SEND(rig, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
            guest_clock_step_to(clock_now(CLOCK_GUEST) + (i & 2 ? NS_PER_MS : 0));
        }
        fields_save(model->saved, device, stream);
        for (unsigned changes = 1 + i % 4; changes; changes--) {
            stream->data[g_rand_int(random) % stream->len] = (uint8_t)g_rand_int(random);
        }
        const uint8_t *at = stream->data;
        size_t left = stream->len;
        g_autoptr(GError) err = NULL;
        if (fields_load(model->saved, device, "fdc", &at, &left, &err)) {
            model->after_load(device, NULL);
        } else {
            device_reset(device);
        }
        blk_machine_runs();
        rig_io(rig);
        for (unsigned j = 0; j < 50; j++) {
            rig_outb(rig, FIFO, (uint8_t)j);
            rig_inb(rig, FIFO);
        }
        device_reset(device);
        rig_io(rig);
    }
}

#define ON_PC .board = "pc", .settings = drives
const Test floppy_tests[] = {
    { "resets", resets, ON_PC, .runs = FRESH | RESTORED },
    { "seeks", seeks, ON_PC, .runs = FRESH | RESTORED },
    { "settings", settings, ON_PC, .runs = FRESH | RESTORED },
    { "reads by DMA", reads, ON_PC, .runs = FRESH | RESTORED },
    { "sectors and drives that are not there", what_is_not_there, ON_PC, .runs = FRESH | RESTORED },
    { "writes and formatting", writes, ON_PC, .runs = FRESH | RESTORED },
    { "verify and scan", verify_and_scan, ON_PC, .runs = FRESH | RESTORED },
    { "transfers without DMA", by_programmed_io, ON_PC, .runs = FRESH | RESTORED },
    { "implied seek, READ ID", implied_seek_and_ids, ON_PC, .runs = FRESH | RESTORED },
    { "slow storage", slow_storage, ON_PC, .runs = FRESH | RESTORED },
    { "another disk", another_disk, ON_PC, .runs = FRESH },
    { "every first byte", every_command, ON_PC, .runs = FRESH },
    { "commands with many bytes", long_parameters, ON_PC, .runs = FRESH | RESTORED },
    { "transfers that are too long", long_transfers, ON_PC, .runs = FRESH | RESTORED },
    { "formats, and what CMOS says of them", formats, ON_PC, .runs = FRESH | RESTORED },
    { "hostile states", hostile_states, ON_PC, .runs = FRESH },
    { NULL }
};
