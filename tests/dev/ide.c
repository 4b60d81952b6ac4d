/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ide.c - IDE disks and the controller as drivers use them, and as nobody should; CD-ROM drives are in atapi.c
 */
#include "tests/dev/ide-rig.h"

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
    rig_outb(rig, DISK + 6, MASTER);
    rig_outb(rig, DISK + 7, 0x90);           /* diagnostic: both, and the first is selected */
    check_eq(rig_inb(rig, DISK + 1), 1);
    check_eq(rig_inb(rig, DISK + 6) & 0x10, 0);
    check(irq(rig, DISK));
    status(rig, DISK);
    check(!irq(rig, DISK));
}

static Value *one_disk(void)
{
    make_images();
    g_autofree char *text = g_strdup_printf("{'drives':[{'id':'disk','file':'%s','format':'raw','if':'ide','index':0}]}", disk_path);
    return json_parse(text, NULL);
}

static void empty_places(Rig *rig)
{
    rig_outb(rig, DISK + 6, SLAVE);          /* nothing there: no command, no answer */
    check_eq(status(rig, DISK), 0);
    rig_outb(rig, DISK + 7, 0xec);
    check_eq(status(rig, DISK), 0);
    check(!irq(rig, DISK));
    check_eq(rig_inb(rig, CD + 7), 0xff);    /* a cable without drives floats */
}

static void read_identify(Rig *rig, unsigned base, uint8_t device, uint8_t code, uint16_t words[256])
{
    command(rig, base, device, 0, 0, code);
    check_eq(status(rig, base), DRQ);
    for (unsigned i = 0; i < 256; i++) {
        words[i] = rig_inw(rig, (uint16_t)base);
    }
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
    static const struct { uint8_t word; uint16_t value; } expected[] = {
        { 0, 0x0040 }, { 1, 4 }, { 3, 16 }, { 6, 63 }, { 47, 0x8010 }, { 49, 0x0b00 }, { 53, 7 }, { 54, 4 }, { 55, 16 }, { 56, 63 },
        { 59, 0x0110 }, { 60, DISK_SECTORS }, { 63, 7 }, { 64, 3 }, { 80, 0x00f0 }, { 82, 0x4021 }, { 83, 0x7400 }, { 84, 0x4040 },
        { 85, 0x4021 }, { 86, 0x3400 }, { 87, 0x4040 }, { 88, 0x203f }, { 93, 0x6001 }, { 100, DISK_SECTORS }, { 106, 0x6000 }, { 128, 0 },
        { 169, 1 }, { 10, 'Q' << 8 | 'M' }, { 27, 'Q' << 8 | 'E' },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(expected); i++) {
        if (words[expected[i].word] != expected[i].value) {
            check_failed(__FILE__, __LINE__, "word %u is %04x, expected %04x", expected[i].word, words[expected[i].word], expected[i].value);
        }
    }
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
    rig_io(rig);
    uint32_t value = rig_inl(rig, DISK);     /* two words at once */
    check_eq(value, 7);
    check_eq(rig_inw(rig, DISK), 8);
    command(rig, DISK, MASTER, 0, 0, 0x20);  /* 0 means 256 */
    for (unsigned i = 0; i < 256; i++) {
        take_sector(rig, DISK, i, 256);
    }
    check_eq(status(rig, DISK), DRDY);
    command(rig, DISK, 0xaf, 32, 32, 0x91);  /* another translation: 16 heads of 32 sectors */
    check_eq(status(rig, DISK), DRDY);
    command(rig, DISK, 0xa0, 32 | 1 << 8 | 15u << 24, 1, 0x20);          /* 1/15/32 */
    take_sector(rig, DISK, 2 * 16 * 32 - 1, 256);
    command(rig, DISK, 0xa0, 33, 1, 0x20);
    check_eq(status(rig, DISK), ERR);
}

static void multiple_reads(Rig *rig)
{
    command(rig, DISK, MASTER, 0, 0, 0xc6);  /* 0 turns it off */
    check_eq(status(rig, DISK), DRDY);
    command(rig, DISK, MASTER, 0, 2, 0xc4);
    check_eq(status(rig, DISK), ERR);
    command(rig, DISK, MASTER, 0, 2, 0xc5);
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

/* Sectors of the blank disk by PIO: the first word of each must be this. */
static void expect_sectors(Rig *rig, uint32_t lba, unsigned count, uint16_t first, unsigned step)
{
    command48(rig, DISK, SLAVE, lba, (uint16_t)count, 0x24);
    for (unsigned i = 0; i < count; i++) {
        check_eq(status(rig, DISK), DRQ);
        for (unsigned j = 0; j < 256; j++) {
            uint16_t word = rig_inw(rig, DISK), wanted = (uint16_t)(step ? first + i * step + j : first);
            if (word != wanted) {
                check_failed(__FILE__, __LINE__, "sector %u word %u is %04x, expected %04x", lba + i, j, word, wanted);
                j = 256;
            }
        }
    }
    check_eq(status(rig, DISK), DRDY);
}

static void write_with(Rig *rig, uint32_t lba, unsigned count, uint8_t code, bool wide, unsigned block, uint16_t first)
{
    if (wide) {
        command48(rig, DISK, SLAVE, lba, (uint16_t)count, code);
    } else {
        command(rig, DISK, SLAVE, lba, (uint8_t)count, code);
    }
    for (unsigned i = 0; i < count; i++) {
        check_eq(irq(rig, DISK), i > 0 && i % block == 0);   /* none for the first block */
        check_eq(status(rig, DISK), DRQ);
        give_sector(rig, DISK, (uint16_t)(first + i * 3));
    }
    check(irq(rig, DISK));
    check_eq(status(rig, DISK), DRDY);
    check(!irq(rig, DISK));
}

static void pio_writes(Rig *rig)
{
    write_with(rig, 1000, 3, 0x30, false, 1, 0x1000);
    rig_checkpoint(rig);
    expect_sectors(rig, 1000, 3, 0x1000, 3);
    write_with(rig, 1001, 1, 0x31, false, 1, 0x2000);
    expect_sectors(rig, 1001, 1, 0x2000, 3);
    write_with(rig, SCRATCH_SECTORS - 700, 700, 0x34, true, 1, 0x3000);        /* more than the buffer holds */
    expect_sectors(rig, SCRATCH_SECTORS - 700, 700, 0x3000, 3);
    write_with(rig, 2000, 40, 0xc5, false, 16, 0x4000);
    expect_sectors(rig, 2000, 40, 0x4000, 3);
    command(rig, DISK, SLAVE, 0, 8, 0xc6);
    check_eq(status(rig, DISK), DRDY);
    write_with(rig, 3000, 300, 0x39, true, 8, 0x5000);
    expect_sectors(rig, 3000, 300, 0x5000, 3);
    write_with(rig, 4000, 20, 0xce, true, 8, 0x6000);        /* FUA */
    write_with(rig, 4020, 2, 0x3c, false, 1, 0x6800);
    rig_checkpoint(rig);
    expect_sectors(rig, 4000, 20, 0x6000, 3);
    expect_sectors(rig, 4020, 2, 0x6800, 3);
}

/* The storage is as slow as it can be: nothing moves before rig_io(). */
static void slow_storage(Rig *rig)
{
    command(rig, DISK, SLAVE, 500, 1, 0x20);
    check_eq(rig_inb(rig, DISK + 7), BSY);
    check_eq(rig_inb(rig, DISK + CONTROL), BSY);
    rig_outb(rig, DISK + 3, 77);             /* a busy drive does not listen */
    rig_outb(rig, DISK + 7, 0xec);
    rig_outb(rig, DISK + 6, MASTER);
    rig_outb(rig, DISK + 7, 0x90);
    check_eq(rig_inb(rig, DISK + 7), BSY);
    check_eq(rig_inb(rig, DISK + 3), 500 & 0xff);
    check_eq(rig_inw(rig, DISK), 0xffff);
    check(irq(rig, DISK));
    check_eq(rig_inb(rig, DISK + 7), DRQ);
    for (unsigned i = 0; i < 256; i++) {
        rig_inw(rig, DISK);
    }
    check_eq(rig_inb(rig, DISK + 7), DRDY);
    command(rig, DISK, SLAVE, 600, 1, 0x30);
    check_eq(rig_inb(rig, DISK + 7), DRQ);   /* a drive that writes wants its data at once */
    for (unsigned i = 0; i < 256; i++) {
        rig_outw(rig, DISK, 0x1111);
    }
    check_eq(rig_inb(rig, DISK + 7), BSY);
    rig_checkpoint(rig);                     /* a request under way goes along, or is done first */
    check(irq(rig, DISK));
    check_eq(rig_inb(rig, DISK + 7), DRDY);
    expect_sectors(rig, 600, 1, 0x1111, 0);
    command(rig, DISK, SLAVE, 0, 0, 0xe7);
    check_eq(rig_inb(rig, DISK + 7), BSY);
    check_eq(status(rig, DISK), DRDY);
    command(rig, DISK, SLAVE, 700, 200, 0x42);
    check_eq(rig_inb(rig, DISK + 7), BSY);
    check_eq(status(rig, DISK), DRDY);
}

/* A reset while the storage works: its result touches nothing, and what follows waits for it. */
static void resets_of_busy_drives(Rig *rig)
{
    command(rig, DISK, SLAVE, 800, 1, 0x30);
    for (unsigned i = 0; i < 256; i++) {
        rig_outw(rig, DISK, 0x2222);
    }
    check_eq(rig_inb(rig, DISK + 7), BSY);
    rig_outb(rig, DISK + CONTROL, 4);
    rig_outb(rig, DISK + CONTROL, 0);
    check_eq(rig_inb(rig, DISK + 7), DRDY);
    command(rig, DISK, SLAVE, 800, 1, 0x30); /* the next one writes elsewhere in memory, and comes second */
    check_eq(rig_inb(rig, DISK + 7), DRQ);
    for (unsigned i = 0; i < 256; i++) {
        rig_outw(rig, DISK, 0x3333);
    }
    check_eq(rig_inb(rig, DISK + 7), BSY);
    for (unsigned i = 0; i < 5; i++) {       /* again and again: no more than two requests are ever there */
        rig_outb(rig, DISK + CONTROL, 4);
        rig_outb(rig, DISK + CONTROL, 0);
        command(rig, DISK, SLAVE, 800, 2, 0x20);
        check_eq(rig_inb(rig, DISK + 7), BSY);
        check(blk_in_flight(((IdeDrive *)rig_device(rig, "ide-hd"))->conf.blk) <= 1);
    }
    rig_outb(rig, DISK + CONTROL, 4);
    rig_outb(rig, DISK + CONTROL, 0);
    command(rig, DISK, SLAVE, 0, 0, 0xec);   /* identify's data and a late read do not meet */
    check_eq(rig_inb(rig, DISK + 7), DRQ);
    check_eq(rig_inw(rig, DISK), 0x0040);
    rig_io(rig);
    for (unsigned i = 1; i < 10; i++) {
        rig_inw(rig, DISK);
    }
    check_eq(rig_inw(rig, DISK), 'Q' << 8 | 'M');
    rig_checkpoint(rig);
    rig_outb(rig, DISK + CONTROL, 4);
    rig_outb(rig, DISK + CONTROL, 0);
    check(!irq(rig, DISK));
    expect_sectors(rig, 800, 1, 0x2222, 0);
}

static void beyond_the_end(Rig *rig)
{
    static const uint8_t commands[] = { 0x20, 0xc8, 0x40, 0x21, 0x41, 0xc9, 0x30, 0xca, 0xc4, 0xc5 };
    static const uint8_t wide[] = { 0x24, 0x25, 0x42, 0x29, 0x34, 0x35, 0x39, 0x3d, 0xce };
    static const uint64_t places[] = { DISK_SECTORS, 0xffffff, UINT64_C(1) << 32, (UINT64_C(1) << 48) - 1 };

    for (unsigned i = 0; i < sizeof commands; i++) {
        command(rig, DISK, MASTER, 0x0fffffff, 1, commands[i]);
        check_eq(status(rig, DISK), ERR);
        check_eq(rig_inb(rig, DISK + 1), 0x10);
        command(rig, DISK, MASTER, DISK_SECTORS - 1, 2, commands[i]);          /* half of it: none of it */
        check_eq(status(rig, DISK), ERR);
        check_eq(rig_inb(rig, DISK + 1), 0x10);
    }
    for (unsigned i = 0; i < sizeof wide; i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(places); j++) {
            command48(rig, DISK, MASTER, places[j], 0, wide[i]);
            check_eq(status(rig, DISK), ERR);
        }
    }
    command(rig, DISK, MASTER, DISK_SECTORS - 1, 1, 0x40);
    check_eq(status(rig, DISK), DRDY);
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
                command(rig, base, drive == 1 ? MASTER : SLAVE, count * 3, (uint8_t)count, (uint8_t)code);
                check_eq(status(rig, base) & BSY, 0);
                rig_inw(rig, (uint16_t)base);
                rig_outw(rig, (uint16_t)base, 0xffff);
            }
        }
        rig_checkpoint(rig);
        rig_outb(rig, (uint16_t)(base + CONTROL), 4);
        rig_outb(rig, (uint16_t)(base + CONTROL), 0);
    }
    command(rig, DISK, MASTER, 5, 1, 0x20);
    take_sector(rig, DISK, 5, 256);
}

static void features(Rig *rig)
{
    static const uint8_t modes[] = { 0x00, 0x01, 0x08, 0x0c, 0x20, 0x22, 0x40, 0x45 }, no_modes[] = { 0x0d, 0x10, 0x23, 0x46, 0x80, 0xff };
    uint16_t words[256];

    rig_outb(rig, DISK + 1, 3);
    for (unsigned i = 0; i < sizeof modes; i++) {
        command(rig, DISK, MASTER, 0, modes[i], 0xef);
        check_eq(status(rig, DISK), DRDY);
    }
    for (unsigned i = 0; i < sizeof no_modes; i++) {
        command(rig, DISK, MASTER, 0, no_modes[i], 0xef);
        check_eq(status(rig, DISK), ERR);
    }
    command(rig, DISK, MASTER, 0, 0x21, 0xef);
    rig_checkpoint(rig);
    read_identify(rig, DISK, MASTER, 0xec, words);
    check_eq(words[63], 0x0207);
    check_eq(words[88], 0x003f);
    rig_outb(rig, DISK + 1, 0x82);           /* write cache off */
    command(rig, DISK, SLAVE, 0, 0, 0xef);
    check_eq(status(rig, DISK), DRDY);
    rig_checkpoint(rig);
    read_identify(rig, DISK, SLAVE, 0xec, words);
    check_eq(words[85] & 0x20, 0);
    write_with(rig, 5000, 2, 0x30, false, 1, 0x7000);
    rig_outb(rig, DISK + 1, 0x02);
    command(rig, DISK, SLAVE, 0, 0, 0xef);
    check_eq(status(rig, DISK), DRDY);
    read_identify(rig, DISK, SLAVE, 0xec, words);
    check_eq(words[85] & 0x20, 0x20);
    static const uint8_t refused[] = { 0x00, 0x01, 0x10, 0x90, 0xf1 };
    for (unsigned i = 0; i < sizeof refused; i++) {
        rig_outb(rig, DISK + 1, refused[i]);
        command(rig, DISK, MASTER, 0, 0, 0xef);
        check_eq(status(rig, DISK), ERR);
    }
}

static void smart_command(Rig *rig, uint8_t feature, uint8_t count, uint8_t low)
{
    rig_outb(rig, DISK + 1, feature);
    command(rig, DISK, MASTER, 0xc24f00u | low, count, 0xb0);
}

static void smart(Rig *rig)
{
    static const uint8_t pages[][2] = { { 0xd0, 0 }, { 0xd1, 0 }, { 0xd5, 1 }, { 0xd5, 6 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
        uint8_t sum = 0;
        smart_command(rig, pages[i][0], 1, pages[i][1]);
        check_eq(status(rig, DISK), DRQ);
        for (unsigned j = 0; j < 256; j++) {
            uint16_t word = rig_inw(rig, DISK);
            sum = (uint8_t)(sum + word + (word >> 8));
        }
        check_eq(sum, 0);
    }
    smart_command(rig, 0xda, 0, 0);
    check_eq(status(rig, DISK), DRDY);
    check_eq(rig_inb(rig, DISK + 4), 0x4f);  /* well */
    check_eq(rig_inb(rig, DISK + 5), 0xc2);
    smart_command(rig, 0xd5, 1, 9);
    check_eq(status(rig, DISK), ERR);
    smart_command(rig, 0xd9, 0, 0);
    check_eq(status(rig, DISK), DRDY);
    rig_checkpoint(rig);
    smart_command(rig, 0xd0, 1, 0);
    check_eq(status(rig, DISK), ERR);
    smart_command(rig, 0xd8, 0, 0);
    check_eq(status(rig, DISK), DRDY);
    rig_outb(rig, DISK + 1, 0xd0);           /* without the key */
    command(rig, DISK, MASTER, 0, 1, 0xb0);
    check_eq(status(rig, DISK), ERR);
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
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 1);             /* active: the storage works */
    rig_io(rig);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 4);
    check_eq(rig_load(rig, BUFFER, 2), 77);
    check_eq(rig_load(rig, BUFFER + 4, 2), 0);
    check_eq(rig_load(rig, BUFFER + 8, 2), 78);
    check_eq(rig_load(rig, BUFFER + 0x1000, 4), 79);
    check_eq(rig_load(rig, BUFFER + 0x1000 + 127 * 512, 4), 79 + 127);
}

static void dma_writes(Rig *rig)
{
    static const struct { uint8_t code; bool wide; } forms[] = { { 0xca, false }, { 0xcb, false }, { 0x35, true }, { 0x3d, true } };

    enable_bus_master(rig);
    for (unsigned i = 0; i < 0x8000; i++) {
        rig_store(rig, BUFFER + 2 * i, 2, i / 256 * 3 + i % 256 + 0x100);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        put_prd(rig, 0, BUFFER, 3, false);   /* 2 bytes */
        put_prd(rig, 1, BUFFER + 2, 0x3ffe, false);
        put_prd(rig, 2, BUFFER + 0x4000, 0x1000, true);
        if (forms[i].wide) {
            command48(rig, DISK, SLAVE, 6000 + 100 * i, 40, forms[i].code);
        } else {
            command(rig, DISK, SLAVE, 6000 + 100 * i, 40, forms[i].code);
        }
        check_eq(rig_inb(rig, DISK + 7), DRQ);
        start_dma(rig, DISK, false);
        check_eq(rig_inb(rig, DISK + 7), BSY);
        rig_store(rig, BUFFER, 2, 0xdead);   /* the guest has its memory back: the drive has the data */
        rig_checkpoint(rig);
        check(irq(rig, DISK));
        check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 4);
        rig_outb(rig, bm(DISK), 0);
        check_eq(status(rig, DISK), DRDY);
        rig_store(rig, BUFFER, 2, 0x100);
        expect_sectors(rig, 6000 + 100 * i, 40, 0x100, 3);
    }
    /* More than the buffer holds, in one entry after the other. */
    for (unsigned i = 0; i < 8; i++) {
        put_prd(rig, i, BUFFER, 0, i == 7);
    }
    command48(rig, DISK, SLAVE, 7000, 1024, 0x35);
    check_eq(run_dma_to(rig, DISK, false), 4);
    check_eq(status(rig, DISK), DRDY);
    for (unsigned i = 0; i < 8; i++) {
        expect_sectors(rig, 7000 + i * 128, 128, 0x100, 3);
    }
    put_prd(rig, 0, 0xfec00000, 0x200, true);                /* from no RAM: nothing is written */
    command(rig, DISK, SLAVE, 7000, 1, 0xca);
    check_eq(run_dma_to(rig, DISK, false), 6);
    check_eq(status(rig, DISK), ERR);
    expect_sectors(rig, 7000, 1, 0x100, 3);
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
    for (unsigned write = 0; write < 2; write++) {
        put_prd(rig, 0, BUFFER, 512, true);
        command(rig, DISK, write ? SLAVE : MASTER, 1, 4, write ? 0xca : 0xc8);
        check_eq(run_dma_to(rig, DISK, !write), 0);
        check_eq(status(rig, DISK), DRQ);
        rig_checkpoint(rig);
        rig_outb(rig, DISK + CONTROL, 4);
        check_eq(status(rig, DISK), BSY);
        rig_outb(rig, DISK + CONTROL, 0);
        check_eq(status(rig, DISK), DRDY);
    }
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
    rig_io(rig);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 6);
    rig_outb(rig, bm(DISK), 0);
    /* The wrong direction, of both kinds. */
    put_prd(rig, 0, BUFFER, 1024, true);
    command(rig, DISK, MASTER, 1, 2, 0xc8);
    check_eq(run_dma_to(rig, DISK, false), 6);
    check_eq(status(rig, DISK), ERR);
    command(rig, DISK, SLAVE, 1, 2, 0xca);
    check_eq(run_dma_to(rig, DISK, true), 6);
    check_eq(status(rig, DISK), ERR);
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

/* The engine is stopped, or the bus reset, while the storage works. */
static void dma_stopped(Rig *rig)
{
    enable_bus_master(rig);
    put_prd(rig, 0, BUFFER, 1024, true);
    command(rig, DISK, MASTER, 40, 2, 0xc8);
    start_dma(rig, DISK, true);
    rig_outb(rig, bm(DISK), 0);
    rig_store(rig, BUFFER, 4, 0x12345678);   /* memory is the guest's again */
    rig_io(rig);
    check_eq(rig_load(rig, BUFFER, 4), 0x12345678);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 0);
    check_eq(status(rig, DISK), DRQ);        /* the drive still has them */
    rig_checkpoint(rig);
    check_eq(run_dma(rig, DISK), 4);
    check_eq(rig_load(rig, BUFFER, 4), 40);
    command(rig, DISK, MASTER, 50, 2, 0xc8);
    start_dma(rig, DISK, true);
    rig_outb(rig, DISK + CONTROL, 4);
    rig_outb(rig, DISK + CONTROL, 0);
    rig_store(rig, BUFFER, 4, 0x12345678);
    rig_io(rig);
    check_eq(rig_load(rig, BUFFER, 4), 0x12345678);
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 0);
    check_eq(status(rig, DISK), DRDY);
    command(rig, DISK, MASTER, 60, 2, 0xc8);
    start_dma(rig, DISK, true);
    rig_outb(rig, DISK + CONTROL, 4);        /* the next command's data come behind those that were forgotten */
    rig_outb(rig, DISK + CONTROL, 0);
    command(rig, DISK, MASTER, 70, 2, 0xc8);
    check_eq(run_dma(rig, DISK), 4);
    check_eq(rig_load(rig, BUFFER, 4), 70);
    check_eq(rig_load(rig, BUFFER + 512, 4), 71);
    command(rig, DISK, MASTER, 80, 2, 0xc8);
    start_dma(rig, DISK, true);
    machine_reset_now(rig_machine(rig), CAUSE_NONE);
    rig_io(rig);
    check_eq(status(rig, DISK), DRDY);
    check_eq(rig_inb(rig, DISK + 1), 1);
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
    rig_io(rig);
    command(rig, DISK, MASTER, 9, 1, 0x20);
    take_sector(rig, DISK, 9, 256);
    check_eq(status(rig, DISK), DRDY);
    command(rig, DISK, SLAVE, 900, 2, 0x30); /* half of what is to be written, and no more: nothing is */
    write_with(rig, 900, 2, 0x30, false, 1, 0x100);
    command(rig, DISK, SLAVE, 900, 2, 0x30);
    give_sector(rig, DISK, 0x9999);
    rig_checkpoint(rig);
    rig_outb(rig, DISK + CONTROL, 4);
    rig_outb(rig, DISK + CONTROL, 0);
    expect_sectors(rig, 900, 2, 0x100, 3);
}

/* ---- trimming ---- */

static Value *trimming_drives(void)
{
    return drives_with(",'discard':'unmap'");
}

static void trim(Rig *rig)
{
    enable_bus_master(rig);
    write_with(rig, 10000, 128, 0x34, true, 1, 0x4000);
    for (unsigned i = 0; i < 256; i++) {
        rig_store(rig, BUFFER + 8 * i, 8, 0);
    }
    rig_store(rig, BUFFER, 8, 10008 | UINT64_C(8) << 48);
    rig_store(rig, BUFFER + 8, 8, 10016 | UINT64_C(40) << 48);           /* adjoins the first */
    rig_store(rig, BUFFER + 512 + 8, 8, 10064 | UINT64_C(64) << 48);     /* in the second block */
    put_prd(rig, 0, BUFFER, 1024, true);
    rig_outb(rig, DISK + 1, 1);
    command48(rig, DISK, SLAVE, 0, 2, 0x06);
    check_eq(rig_inb(rig, DISK + 7), DRQ);
    start_dma(rig, DISK, false);
    check_eq(rig_inb(rig, DISK + 7), BSY);
    rig_checkpoint(rig);
    check(irq(rig, DISK));
    check_eq(rig_inb(rig, bm(DISK) + 2) & 7, 4);
    check_eq(status(rig, DISK), DRDY);
    expect_sectors(rig, 10000, 8, 0x4000, 3);
    expect_sectors(rig, 10008, 48, 0, 0);
    expect_sectors(rig, 10056, 8, 0x4000 + 56 * 3, 3);
    expect_sectors(rig, 10064, 64, 0, 0);
    static const uint64_t bad[] = { SCRATCH_SECTORS | UINT64_C(1) << 48, (SCRATCH_SECTORS - 1) | UINT64_C(2) << 48, UINT64_MAX };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        rig_store(rig, BUFFER, 8, bad[i]);
        put_prd(rig, 0, BUFFER, 512, true);
        command48(rig, DISK, SLAVE, 0, 1, 0x06);
        run_dma_to(rig, DISK, false);
        check_eq(status(rig, DISK), ERR);
    }
    rig_outb(rig, DISK + 1, 0);              /* not TRIM; none at all */
    command48(rig, DISK, SLAVE, 0, 1, 0x06);
    check_eq(status(rig, DISK), ERR);
    rig_outb(rig, DISK + 1, 1);
    command48(rig, DISK, SLAVE, 0, 0, 0x06);
    check_eq(status(rig, DISK), ERR);
}

/* ---- properties ---- */

static void identify_of_properties(Rig *rig)
{
    uint16_t words[256];

    read_identify(rig, DISK, MASTER, 0xec, words);
    check_eq(words[1], 20);
    check_eq(words[3], 4);
    check_eq(words[6], 32);
    check_eq(words[27], 'M' << 8 | 'y');
    check_eq(words[10], 'S' << 8 | '1');
    check_eq(words[23], '1' << 8 | '.');
    check_eq(words[84] & 0x100, 0x100);
    check_eq(words[108], 0x5000);
    check_eq(words[111], 0x1234);
    check_eq(words[217], 7200);
    check_eq(words[106], 0x6003);
    IdeGeometry geometry;
    Device *controller = rig_device(rig, "piix3-ide");
    check(piix_ide_geometry(controller, 0, 0, &geometry));
    check_eq(geometry.cylinders, 20);
    check_eq(geometry.translation, CHS_LARGE);
    check(!piix_ide_geometry(controller, 0, 1, &geometry));
    check(!piix_ide_geometry(controller, 1, 0, &geometry));
    check(!piix_ide_geometry(controller, 2, 0, &geometry));
    read_identify(rig, CD, SLAVE, 0xa1, words);
    check_eq(words[10], 'Q' << 8 | 'M');
    check_eq(words[12], '0' << 8 | '0');
    check_eq(words[13], '4' << 8 | ' ');
}

/* Drives that name no place take the next one, over to the second cable. */
static void next_free_places(Rig *rig)
{
    IdeGeometry geometry;
    Device *controller = rig_device(rig, "piix3-ide");

    check(piix_ide_geometry(controller, 0, 0, &geometry));
    check_eq(rig_inb(rig, CD + 4), 0x14);
    rig_outb(rig, CD + 6, SLAVE);
    check_eq(rig_inb(rig, CD + 4), 0x14);
    g_autoptr(GError) err = NULL;
    Device *fifth = device_new(rig_machine(rig), device_model_find("ide-cd"), NULL, NULL, &err);
    check(fifth && !device_realize(fifth, &err) && err);
    object_unref(&fifth->object);
}

static Value *loose_drive(void)
{
    make_images();
    g_autofree char *text = g_strdup_printf("{'drives':[{'id':'loose','file':'%s','format':'raw','if':'none'}]}", disk_path);
    return json_parse(text, NULL);
}

/* ---- hostile states ---- */

/* States that no drive could have are refused, or do no harm. */
static void hostile_states(Rig *rig)
{
    static const struct { uint8_t phase, purpose; uint32_t position, end, filled, left; bool in_packet, ok_for_disk, ok_for_cd; } states[] = {
        { ATA_DMA_IN, ATA_FOR_READ, 1, 0, 0, 0, false, false, false }, { ATA_DMA_IN, ATA_FOR_READ, ATA_BUFFER, ATA_BUFFER, ATA_BUFFER, 0, false, false, false },
        { ATA_PIO_IN, ATA_FOR_REPLY, 0, 514, 512, 0, false, false, false }, { ATA_PIO_IN, ATA_FOR_REPLY, 0, 512, 512, 0, true, false, true },
        { ATA_PIO_IN, ATA_FOR_READ, 0, 512, 512, 65536, true, false, true }, { ATA_PIO_IN, ATA_FOR_READ, 0, 512, 512, 65537, false, false, true },
        { ATA_PIO_IN, ATA_FOR_READ, 0, 512, 512, 65536, false, true, true }, { ATA_PIO_OUT, ATA_FOR_WRITE, 0, 512, 512, 1, false, true, true },
        { ATA_PACKET_OUT, ATA_FOR_REPLY, 0, 0, 0, 0, false, false, true }, { ATA_PACKET_OUT, ATA_FOR_REPLY, 12, 0, 0, 0, false, false, false },
        { ATA_PIO_OUT, ATA_FOR_PARAMETERS, 0, 512, 512, 0, true, false, true }, { ATA_PHASES, 0, 0, 0, 0, 0, false, false, false },
        { 255, 0, 0, 0, 0, 0, false, false, false }, { ATA_IDLE, ATA_PURPOSES, 0, 0, 0, 0, false, false, false },
        { ATA_DMA_OUT, ATA_FOR_TRIM, 0, 500, 500, 1, false, false, false }, { ATA_DMA_OUT, ATA_FOR_TRIM, 0, 512, 512, 1, false, true, true },
        { ATA_PIO_IN, ATA_FOR_READ, 0, 512, 512, CD_SECTORS + 1, true, false, false }, { ATA_STORAGE, ATA_FOR_READ, 0, 0, 0, 1, false, false, false },
    };
    for (unsigned cd = 0; cd < 2; cd++) {
        IdeDrive *drive = (IdeDrive *)rig_device(rig, cd ? "ide-cd" : "ide-hd");
        Ata *ata = &drive->ata;
        for (unsigned i = 0; i < G_N_ELEMENTS(states); i++) {
            g_autoptr(GError) err = NULL;
            ata_reset(ata);
            ata->phase = states[i].phase;
            ata->purpose = states[i].purpose;
            ata->transfer = states[i].phase == ATA_DMA_IN || states[i].phase == ATA_DMA_OUT ? ATA_BY_DMA : ATA_BY_PIO;
            ata->position = states[i].position;
            ata->end = states[i].end;
            ata->filled = states[i].filled;
            ata->sectors_left = states[i].left;
            ata->in_packet = states[i].in_packet;
            ata->block_size = 512;
            ata->cd_sector = 2048;
            ata->next_sector = UINT64_C(1) << 47;
            drive->device.model->before_save(&drive->device);
            bool ok = drive->device.model->after_load(&drive->device, &err);
            if (ok != (cd ? states[i].ok_for_cd : states[i].ok_for_disk)) {
                check_failed(__FILE__, __LINE__, "state %u of the %s is %s", i, cd ? "CD" : "disk", ok ? "taken" : "refused");
            }
            check_eq(ok, err == NULL);
            for (unsigned j = 0; j < 2000 && ok; j++) {
                uint8_t bytes[64] = { 0 };
                ata_read_data(ata);
                ata_write_data(ata, 0);
                if (ata->phase == ATA_DMA_IN) {
                    ata_dma_take(ata, bytes, sizeof bytes);
                } else if (ata->phase == ATA_DMA_OUT) {
                    ata_dma_give(ata, bytes, sizeof bytes);
                }
                rig_io(rig);
            }
        }
        ata_reset(ata);
    }
}

/* What a saved state says of the storage is checked as well. */
static void hostile_jobs(Rig *rig)
{
    static const struct { AtaJob job; uint32_t filled; bool ok; } jobs[] = {
        { { true, BLK_READ, 0, 0, 512 }, 0, true }, { { true, BLK_READ, 0, 0, ATA_BUFFER + 512 }, 0, false },
        { { true, BLK_READ, 0, DISK_SECTORS * 512, 512 }, 0, false }, { { true, BLK_READ, 0, UINT64_MAX - 511, 512 }, 0, false },
        { { true, BLK_WRITE, 0, 0, 512 }, 512, true }, { { true, BLK_WRITE, 0, 0, 1024 }, 512, false }, { { true, BLK_WRITE, 0, 0, 512 }, 0, false },
        { { true, BLK_WRITE_ZEROES, 0, 0, 512 }, 0, false }, { { true, BLK_OPS, 0, 0, 0 }, 0, false }, { { true, 255, 0, 0, 0 }, 0, false },
        { { true, BLK_DISCARD, 0, 0, DISK_SECTORS * 512 }, 0, true }, { { true, BLK_DISCARD, 0, 512, DISK_SECTORS * 512 }, 0, false },
    };
    IdeDrive *drive = (IdeDrive *)rig_device(rig, "ide-hd");
    Ata *ata = &drive->ata;

    for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++) {
        g_autoptr(GError) err = NULL;
        ata_reset(ata);
        ata->job = jobs[i].job;
        ata->phase = ATA_STORAGE;
        ata->status = ATA_BSY;
        ata->filled = ata->end = jobs[i].filled;
        ata->purpose = jobs[i].job.op == BLK_READ ? ATA_FOR_READ : ATA_FOR_FLUSH;
        drive->device.model->before_save(&drive->device);
        bool ok = drive->device.model->after_load(&drive->device, &err);
        if (ok != jobs[i].ok) {
            check_failed(__FILE__, __LINE__, "job %u is %s", i, ok ? "taken" : "refused");
        }
        ata_reset(ata);                      /* never reaches the storage */
    }
    rig_io(rig);
}

/* Streams with bytes changed, of drives and controller, idle and in the middle of things: taken or refused, and usable after a reset. */
static void hostile_streams(Rig *rig)
{
    static const char *const names[] = { "ide-hd", "ide-cd", "piix3-ide" };
    g_autoptr(GRand) random = g_rand_new_with_seed(1);

    enable_bus_master(rig);
    put_prd(rig, 0, BUFFER, 4096, true);
    for (unsigned i = 0; i < 1500; i++) {
        Device *device = rig_device(rig, names[i % 3]);
        const DeviceModel *model = device->model;
        g_autoptr(GByteArray) stream = g_byte_array_new();
        static const uint8_t codes[] = { 0x20, 0xc8, 0xec, 0xa1, 0xa0, 0x24 };
        command(rig, i % 3 == 1 ? CD : DISK, MASTER, i, 3, codes[i % sizeof codes]);
        if (i & 8) {
            start_dma(rig, DISK, true);
        }
        if (i & 16) {
            rig_io(rig);
        }
        if (model->before_save) {
            model->before_save(device);
        }
        fields_save(model->saved, device, stream);
        for (unsigned changes = i % 4; changes; changes--) {
            stream->data[g_rand_int(random) % MIN(stream->len, 700u)] = (uint8_t)g_rand_int(random);
        }
        const uint8_t *at = stream->data;
        size_t left = stream->len;
        if (!fields_load(model->saved, device, "ide", &at, &left, NULL) || !model->after_load(device, NULL)) {
            device_reset(device);
        }
        blk_machine_runs();
        for (unsigned j = 0; j < 20; j++) {
            rig_inw(rig, i % 3 == 1 ? CD : DISK);
            rig_io(rig);
        }
        device_reset(device);
        device_reset(rig_device(rig, "piix3-ide"));
        enable_bus_master(rig);
    }
    command(rig, DISK, MASTER, 5, 1, 0x20);
    take_sector(rig, DISK, 5, 256);
}

#define ON_PC .board = "pc", .runs = FRESH | RESTORED, .settings = drives
const Test ide_tests[] = {
    { "signatures tell disks, CD-ROM drives and empty places", signatures, ON_PC },
    { "empty places", empty_places, .board = "pc", .runs = FRESH | RESTORED, .settings = one_disk },
    { "identify", identify, ON_PC },
    { "PIO reads by CHS, LBA28 and LBA48", pio_reads, ON_PC },
    { "reads of several sectors a block", multiple_reads, ON_PC },
    { "PIO writes of every form", pio_writes, ON_PC },
    { "a drive is busy while its storage works", slow_storage, ON_PC },
    { "resets of busy drives", resets_of_busy_drives, ON_PC },
    { "places beyond the end", beyond_the_end, ON_PC },
    { "every command code", every_command, ON_PC },
    { "SET FEATURES", features, ON_PC },
    { "SMART", smart, ON_PC },
    { "DMA reads", dma_reads, ON_PC },
    { "DMA writes", dma_writes, ON_PC },
    { "DMA with tables too short, too long, and into no memory", dma_bad_tables, ON_PC },
    { "DMA over its own table", dma_table_in_its_own_way, ON_PC },
    { "DMA that is stopped while the storage works", dma_stopped, ON_PC },
    { "resets in the middle of a transfer", reset_in_the_middle, ON_PC },
    { "TRIM", trim, .board = "pc", .runs = FRESH | RESTORED, .settings = trimming_drives },
    { "properties", identify_of_properties, .board = "pc", .runs = FRESH | RESTORED, .settings = loose_drive,
      .devices = "ide-hd,bus=ide.0,unit=0,drive=loose,cyls=20,heads=4,secs=32,model=My-disk,serial=S1,ver=1.0,wwn=0x5000000000001234,"
                 "rotation_rate=7200,physical_block_size=4096,bios-chs-trans=large ide-cd,bus=ide.1,unit=1" },
    { "drives that name no place", next_free_places, .board = "pc", .runs = FRESH | RESTORED, .settings = loose_drive,
      .devices = "ide-hd,drive=loose ide-cd,id=b ide-cd,id=c ide-cd,id=d" },
    { "hostile states", hostile_states, .board = "pc", .runs = FRESH, .settings = drives },
    { "hostile streams", hostile_streams, .board = "pc", .runs = FRESH, .settings = drives },
    { "hostile jobs", hostile_jobs, .board = "pc", .runs = FRESH, .settings = drives },
    { NULL }
};
