/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atapi.c - CD-ROM drives on an IDE channel, with a disc and without one: packets, replies of every length, raw sectors, tray, change of disc
 */
#include "block/node.h"
#include "hw/scsi/mmc.h"
#include "tests/dev/ide-rig.h"

static void packet(Rig *rig, uint8_t device, const uint8_t bytes[12], uint16_t limit, bool dma)
{
    rig_outb(rig, CD + 6, device);
    rig_outb(rig, CD + 1, dma);
    rig_outb(rig, CD + 4, (uint8_t)limit);
    rig_outb(rig, CD + 5, (uint8_t)(limit >> 8));
    rig_outb(rig, CD + 7, 0xa0);
    check_eq(status(rig, CD), DRQ);
    check_eq(rig_inb(rig, CD + 2) & 3, 1);
    for (unsigned i = 0; i < 12; i += 2) {
        rig_outw(rig, CD, (uint16_t)(bytes[i] | bytes[i + 1] << 8));
    }
}

/* The whole reply of a packet command by PIO: how many bytes the pieces had. */
static unsigned take_reply(Rig *rig, uint8_t *out, unsigned most)
{
    unsigned total = 0;

    for (unsigned pieces = 0; pieces < 100000 && (status(rig, CD) & 8); pieces++) {
        unsigned length = rig_inb(rig, CD + 4) | (unsigned)rig_inb(rig, CD + 5) << 8;
        check_eq(rig_inb(rig, CD + 2) & 3, 2);
        for (unsigned i = 0; i < length; i += 2) {
            uint16_t word = rig_inw(rig, CD);
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
    packet(rig, device, bytes, 0xfffe, false);
    unsigned length = take_reply(rig, out, most);
    return status(rig, CD) & 1 ? -1 : (int)length;
}

/* Key, code and qualifier of the last check condition. */
static unsigned sense(Rig *rig, uint8_t device)
{
    static const uint8_t request[12] = { 0x03, 0, 0, 0, 18 };
    uint8_t out[18] = { 0 };

    check_eq(ask(rig, device, request, out, sizeof out), 18);
    return (unsigned)(out[2] & 15) << 16 | (unsigned)out[12] << 8 | out[13];
}

static void inquiry_and_friends(Rig *rig)
{
    static const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 36 }, capacity[12] = { 0x25 }, toc[12] = { 0x43, 2, 0, 0, 0, 0, 0, 0, 20 };
    static const uint8_t modes[12] = { 0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 200 }, features[12] = { 0x46, 0, 0, 0, 0, 0, 0, 0, 200 };
    static const uint8_t event[12] = { 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 }, ready[12] = { 0 }, information[12] = { 0x51, 0, 0, 0, 0, 0, 0, 0, 34 };
    static const uint8_t mechanism[12] = { 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, raw_toc[12] = { 0x43, 2, 2, 0, 0, 0, 0, 0, 200 };
    static const uint8_t session[12] = { 0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x40 }, serial[12] = { 0x12, 1, 0x80, 0, 255 };
    uint8_t out[256];

    check_eq(ask(rig, MASTER, inquiry, out, sizeof out), 36);
    check_eq(out[0], 5);
    check(memcmp(out + 8, "QEMU    QEMU DVD-ROM", 20) == 0);
    check_eq(ask(rig, MASTER, serial, out, sizeof out), 24);
    check(memcmp(out + 4, "QM00003 ", 8) == 0);
    check_eq(ask(rig, MASTER, ready, out, sizeof out), 0);
    check_eq(ask(rig, MASTER, capacity, out, sizeof out), 8);
    check_eq(load_be32(out), CD_SECTORS - 1);
    check_eq(load_be32(out + 4), 2048);
    check_eq(ask(rig, MASTER, toc, out, sizeof out), 20);
    check_eq(load_be16(out), 18);
    check_eq(out[14], 0xaa);
    check_eq(out[17] * 60 * 75 + out[18] * 75 + out[19], CD_SECTORS + 150);
    check_eq(ask(rig, MASTER, session, out, sizeof out), 12);
    check_eq(out[6], 1);
    check_eq(ask(rig, MASTER, raw_toc, out, sizeof out), 4 + 4 * 11);
    check_eq(ask(rig, MASTER, modes, out, sizeof out), 8 + 22);
    check_eq(load_be16(out), 28);
    check_eq(out[2], 1);
    check(ask(rig, MASTER, features, out, sizeof out) > 20);
    check_eq(load_be16(out + 6), 8);
    check_eq(load_be32(out + 24), MMC_OVER_ATAPI);
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
    check(ask(rig, SLAVE, features, out, sizeof out) > 20);
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
    packet(rig, MASTER, bytes, limit, dma);
}

static void reads(Rig *rig)
{
    static const uint16_t limits[] = { 2048, 2, 1, 3, 511, 2047, 0x7fff, 0xfffe, 0xffff, 0 };
    static const uint8_t codes[] = { 0x28, 0xa8, 0xbe };
    static uint8_t out[80 * 2048];

    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        unsigned count = limits[i] < 100 && limits[i] ? 2 : 80;
        memset(out, 0, sizeof out);
        read_cd(rig, codes[i % 3], 5, count, limits[i], false);
        check_eq(rig_inb(rig, CD + 7), BSY);
        check_eq(take_reply(rig, out, sizeof out), count * 2048);
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

/* READ CD with everything around the data, by place and by time. */
static void raw_reads(Rig *rig)
{
    static const uint8_t by_place[12] = { 0xbe, 2 << 2, 0, 0, 0, 200, 0, 0, 120, 0xf8 };
    static const uint8_t by_time[12] = { 0xb9, 0, 0, 0, 4, 50, 0, 6, 20, 0xf8 };         /* 00:04:50 is sector 200, 00:06:20 is 320 */
    static const uint8_t nothing[12] = { 0xbe, 0, 0, 0, 0, 200, 0, 0, 120, 0x00 };
    static uint8_t out[120 * 2352];

    for (unsigned form = 0; form < 2; form++) {
        memset(out, 0, sizeof out);
        packet(rig, MASTER, form ? by_time : by_place, 2352, false);
        check_eq(rig_inb(rig, CD + 7), BSY);
        rig_checkpoint(rig);
        check_eq(take_reply(rig, out, sizeof out), sizeof out);
        check_eq(status(rig, CD), DRDY);
        for (unsigned i = 0; i < 120; i++) {
            const uint8_t *sector = out + i * 2352;
            unsigned frame = 200 + 150 + i;
            check_eq(load_be32(sector), 0x00ffffff);
            check_eq(load_be32(sector + 8), 0xffffff00);
            check_eq(sector[13], (frame / 75 / 10 << 4) | frame / 75 % 10);
            check_eq(sector[14], (frame % 75 / 10 << 4) | frame % 75 % 10);
            check_eq(sector[15], 1);
            check_eq(load_le32(sector + 16), 200 + i);
            check_eq(load_le32(sector + 16 + 2044), 200 + i + 511);
        }
    }
    check_eq(ask(rig, MASTER, nothing, out, sizeof out), 0);
}

static void bad_reads(Rig *rig)
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
    static const uint8_t subchannel[12] = { 0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 1 }, unknown[12] = { 0xf7 }, pages[12] = { 0x12, 1, 0x90, 0, 255 };
    static const uint8_t audio[12] = { 0xbe, 1 << 2, 0, 0, 0, 0, 0, 0, 1, 0x10 }, toc[12] = { 0x43, 0, 0, 0, 0, 0, 7, 0, 20 };
    static const uint8_t toc9[12] = { 0x43, 0, 9, 0, 0, 0, 0, 0, 20 }, saved[12] = { 0x5a, 0, 0xff, 0, 0, 0, 0, 0, 20 };
    static const uint8_t backwards[12] = { 0xb9, 0, 0, 0, 6, 0, 0, 4, 0, 0x10 };
    const uint8_t *const refused[] = { subchannel, audio, pages, toc, toc9, backwards };
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

static void dma(Rig *rig)
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
    packet(rig, MASTER, inquiry, 0, true);   /* shorter than its table */
    check_eq(run_dma(rig, CD), 5);
    check_eq(rig_load(rig, BUFFER + 16, 4), 0x554d4551);     /* "QEMU" */
    put_prd(rig, 0, BUFFER, 10, true);       /* longer than its table */
    packet(rig, MASTER, inquiry, 0, true);
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
    /* A mode page by DMA from the host. */
    static const uint8_t page[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x06, 0, 5, 0, 0, 0, 0 };
    static const uint8_t mode_select[12] = { 0x55, 0x10, 0, 0, 0, 0, 0, 0, sizeof page };
    rig_write(rig, BUFFER, page, sizeof page);
    put_prd(rig, 0, BUFFER, sizeof page, true);
    packet(rig, MASTER, mode_select, 0, true);
    check_eq(run_dma_to(rig, CD, false), 4);
    check_eq(status(rig, CD), DRDY);
}

static const uint8_t lock[12] = { 0x1e, 0, 0, 0, 1 }, unlock[12] = { 0x1e }, eject[12] = { 0x1b, 0, 0, 0, 2 }, load[12] = { 0x1b, 0, 0, 0, 3 };
static const uint8_t ready[12] = { 0 }, event[12] = { 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 };

static void tray(Rig *rig)
{
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
    check_eq(ask(rig, MASTER, event, out, 8), 8);
    check_eq(out[5], 1);
    read_cd(rig, 0x28, 0, 1, 2048, false);
    check_eq(status(rig, CD), ERR);
    check_eq(ask(rig, MASTER, load, out, 8), 0);
    check_eq(ask(rig, MASTER, ready, out, 8), 0);
    check_eq(ask(rig, MASTER, eject, out, 8), 0);
    machine_reset_now(rig_machine(rig), CAUSE_NONE);         /* draws it in */
    check_eq(ask(rig, MASTER, ready, out, 8), 0);
}

/* ---- another disc ---- */

static Node *other_disc(void)
{
    static const NodeOpen how = { .writable = true };
    g_autofree char *text = g_strdup_printf("{'driver':'raw','node-name':'other','read-only':true,'file':{'driver':'file','filename':'%s'}}", other_path);
    g_autoptr(Value) options = json_parse(text, NULL);
    g_autoptr(GError) err = NULL;

    if (!node_find("other") && !node_add(options, &how, &err)) {
        check_failed(__FILE__, __LINE__, "%s", err->message);
    }
    return node_find("other");
}

static Blk *cd_blk(Rig *rig, const char *id)
{
    (void)rig;
    return blk_find(id);
}

static void change_disc(Rig *rig)
{
    blk_remove(cd_blk(rig, "cd"));
    Node *node = other_disc();
    check(node && blk_insert(cd_blk(rig, "cd"), node, NULL));
    rig_io(rig);
}

/* What systems see: gone, then another one; and once by event. */
static void expect_new_disc(Rig *rig)
{
    static const uint8_t capacity[12] = { 0x25 };
    uint8_t out[8];

    check_eq(ask(rig, MASTER, event, out, 8), 8);
    check_eq(out[4], 2);
    check_eq(out[5], 2);
    check_eq(ask(rig, MASTER, event, out, 8), 8);
    check_eq(out[4], 0);
    check_eq(ask(rig, MASTER, ready, out, 8), -1);
    check_eq(sense(rig, MASTER), 0x023a00);
    check_eq(ask(rig, MASTER, ready, out, 8), -1);
    check_eq(sense(rig, MASTER), 0x062800);
    check_eq(ask(rig, MASTER, ready, out, 8), 0);
    check_eq(ask(rig, MASTER, capacity, out, 8), 8);
    check_eq(load_be32(out), STAMPED - 1);
    read_cd(rig, 0x28, 7, 1, 2048, false);
    take_sector(rig, CD, 70007, 1024);
    check_eq(status(rig, CD), DRDY);
}

static void another_disc(Rig *rig)
{
    uint8_t out[8];

    check_eq(ask(rig, MASTER, ready, out, 8), 0);
    change_disc(rig);
    expect_new_disc(rig);
    blk_remove(cd_blk(rig, "cd"));
    check_eq(ask(rig, MASTER, event, out, 8), 8);
    check_eq(out[4], 3);
    check_eq(out[5], 1);
    check_eq(ask(rig, MASTER, ready, out, 8), -1);
    check_eq(sense(rig, MASTER), 0x023a02);
}

/* While a long read is under way, by PIO and while the storage works. */
static void another_disc_in_the_middle(Rig *rig)
{
    read_cd(rig, 0xa8, 0, 400, 2048, false);
    take_sector(rig, CD, 0, 1024);
    take_sector(rig, CD, 1, 100);
    change_disc(rig);
    check(irq(rig, CD));
    check_eq(status(rig, CD), ERR);
    check_eq(sense(rig, MASTER), 0x023a00);
    expect_new_disc(rig);
    read_cd(rig, 0xa8, 0, 400, 2048, false);
    check_eq(rig_inb(rig, CD + 7), BSY);
    blk_remove(cd_blk(rig, "cd"));
    check_eq(status(rig, CD), ERR);
    check_eq(rig_inw(rig, CD), 0xffff);
}

/* The person wants the disc and the guest has locked the tray: it is asked. */
static void eject_request(Rig *rig)
{
    IdeDrive *drive = (IdeDrive *)rig_device(rig, "ide-cd");
    uint8_t out[8];

    check_eq(ask(rig, MASTER, lock, out, 8), 0);
    rig_checkpoint(rig);
    drive = (IdeDrive *)rig_device(rig, "ide-cd");
    check(drive->ata.tray_locked);
    atapi_eject_asked(&drive->ata);
    rig_checkpoint(rig);
    check_eq(ask(rig, MASTER, event, out, 8), 8);
    check_eq(out[4], 1);
    check_eq(ask(rig, MASTER, event, out, 8), 8);
    check_eq(out[4], 0);
}

/* MODE SELECT: what is well formed is taken, and nothing else; whatever the length, all of it is asked for. */
static void mode_select(Rig *rig)
{
    static const uint16_t lengths[] = { 0, 1, 2, 17, 18, 0x1000, 0xfffe, 0xffff };
    static const uint8_t good[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x06, 0, 5, 0, 0, 0, 0 };

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        uint8_t bytes[12] = { 0x55, 0x10 };
        store_be16(bytes + 7, lengths[i]);
        packet(rig, MASTER, bytes, 0xfffe, false);
        unsigned written = 0;
        for (; written < 0x20000 && (status(rig, CD) & 8); written += 2) {
            rig_outw(rig, CD, 0xaaaa);
        }
        check_eq(written, (lengths[i] + 1u) & ~1u);
        check_eq(status(rig, CD), lengths[i] ? ERR : DRDY);
    }
    uint8_t bytes[12] = { 0x55, 0x10, 0, 0, 0, 0, 0, 0, sizeof good };
    packet(rig, MASTER, bytes, 0xfffe, false);
    for (unsigned i = 0; i < sizeof good; i += 2) {
        rig_checkpoint(rig);
        rig_outw(rig, CD, (uint16_t)(good[i] | good[i + 1] << 8));
    }
    check_eq(status(rig, CD), DRDY);
}

static void reset_command(Rig *rig)
{
    rig_outb(rig, CD + 6, MASTER);
    rig_outb(rig, CD + 7, 0xa0);             /* half a packet */
    rig_outw(rig, CD, 0x28);
    rig_checkpoint(rig);
    rig_outb(rig, CD + 7, 0x08);
    check_eq(status(rig, CD), 0);
    check_eq(rig_inb(rig, CD + 5), 0xeb);
    read_cd(rig, 0x28, 5, 60, 2048, false);  /* while the storage works */
    check_eq(rig_inb(rig, CD + 7), BSY);
    rig_outb(rig, CD + 7, 0x08);
    check_eq(rig_inb(rig, CD + 7), 0);
    check(!irq(rig, CD));
    read_cd(rig, 0x28, 6, 1, 2048, false);
    take_sector(rig, CD, 6, 1024);
}

/* CVE-2020-29443, CVE-2015-5154: a reply ends where it ends, whatever is read beyond it. */
static void beyond_replies(Rig *rig)
{
    static const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 255 };

    for (unsigned limit = 0; limit < 0x10000; limit += limit < 64 ? 1 : 4093) {
        packet(rig, MASTER, inquiry, (uint16_t)limit, false);
        for (unsigned i = 0; i < 40; i++) {
            rig_inl(rig, CD);
        }
        check_eq(status(rig, CD), DRDY);
        check_eq(rig_inl(rig, CD), 0xffffffff);
    }
    read_cd(rig, 0x28, CD_SECTORS - 1, 1, 0xfffe, false);
    for (unsigned i = 0; i < 3000; i++) {
        rig_io(rig);
        rig_inl(rig, CD);
    }
    check_eq(status(rig, CD), DRDY);
    read_cd(rig, 0x28, UINT32_MAX, 0xffff, 0, false);
    check_eq(status(rig, CD), ERR);
    for (unsigned i = 0; i < 3000; i++) {
        check_eq(rig_inl(rig, CD), 0xffffffff);
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
            packet(rig, i & 1 ? SLAVE : MASTER, bytes, limits[i / 5], i % 3 == 0);
            for (unsigned j = 0; j < 40 && (status(rig, CD) & 8); j++) {
                rig_inl(rig, CD);
                rig_outw(rig, CD, 0);
            }
            check_eq(status(rig, CD) & BSY, 0);
        }
    }
    rig_checkpoint(rig);
    rig_outb(rig, CD + CONTROL, 4);
    rig_outb(rig, CD + CONTROL, 0);
    check_eq(rig_inb(rig, CD + 5), 0xeb);
}

#define ON_PC .board = "pc", .settings = drives
const Test atapi_tests[] = {
    { "packet commands that tell of drive and disc", inquiry_and_friends, ON_PC, .runs = FRESH | RESTORED },
    { "reads with every kind of byte limit", reads, ON_PC, .runs = FRESH | RESTORED },
    { "raw sectors", raw_reads, ON_PC, .runs = FRESH | RESTORED },
    { "reads that are refused", bad_reads, ON_PC, .runs = FRESH | RESTORED },
    { "packets by DMA", dma, ON_PC, .runs = FRESH | RESTORED },
    { "the tray", tray, ON_PC, .runs = FRESH | RESTORED },
    { "another disc", another_disc, ON_PC, .runs = FRESH },
    { "another disc in the middle of a read", another_disc_in_the_middle, ON_PC, .runs = FRESH },
    { "a person who wants the disc", eject_request, ON_PC, .runs = FRESH | RESTORED },
    { "MODE SELECT", mode_select, ON_PC, .runs = FRESH | RESTORED },
    { "DEVICE RESET", reset_command, ON_PC, .runs = FRESH | RESTORED },
    { "reading beyond replies", beyond_replies, ON_PC, .runs = FRESH | RESTORED },
    { "every packet command", every_packet, ON_PC, .runs = FRESH | RESTORED },
    { NULL }
};
