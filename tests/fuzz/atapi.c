/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atapi.c - fuzz target: packets to a CD-ROM drive with a disc and to one without, replies taken and parameters given to their ends or not
 *
 * Input    sixteen bytes a packet: its twelve, the host's byte limit, how (drive, DMA, what comes in between), and how much of the reply
 *          is taken
 * Holds    after each packet the drive is in a state that a saved one could have, and busy only while its storage works
 */
#include "base/bytes.h"
#include "base/json.h"
#include "hw/ide/piix-ide.h"
#include "tests/rig/run.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DRIVES = 2, CD = 0x170, BUS_MASTER = 0xc008, IDE_FUNCTION = 0x80000900, PACKETS_MOST = 256 };
enum { HOW_SLAVE = 0x01, HOW_DMA = 0x02, HOW_TO_DRIVE = 0x04, HOW_NO_WAIT = 0x08, HOW_RESET = 0x10, HOW_REMOVE = 0x20, HOW_INSERT = 0x40 };
static Rig *rig;
static Ata *drives[DRIVES];

static Value *settings(void)
{
    return json_parse("{'blockdevs':[{'driver':'null-co','node-name':'disc','size':2097152,'read-zeroes':true,'read-only':true}]}", NULL);
}

static void prepare(void)
{
    static const Test test = { .name = "atapi", .board = "pc", .settings = settings,
                               .devices = "ide-cd,bus=ide.1,unit=0,drive=disc,id=full ide-cd,bus=ide.1,unit=1,id=empty" };

    rig_prepare();
    rig = rig_new(&test, FRESH);
    drives[0] = &((IdeDrive *)rig_device(rig, "full"))->ata;
    drives[1] = &((IdeDrive *)rig_device(rig, "empty"))->ata;
    rig_outl(rig, 0xcf8, IDE_FUNCTION | 0x20);
    rig_outl(rig, 0xcfc, 0xc000 | 1);
    rig_outl(rig, 0xcf8, IDE_FUNCTION | 0x04);
    rig_outw(rig, 0xcfc, 5);
    rig_store(rig, 0x1000, 8, 0x8000000000010000);           /* one entry: 64 KiB at 64 KiB */
}

static void packet(const uint8_t *bytes, uint16_t limit, uint8_t how, unsigned words)
{
    rig_outb(rig, CD + 6, how & HOW_SLAVE ? 0x10 : 0);
    rig_outb(rig, CD + 1, !!(how & HOW_DMA));
    rig_outb(rig, CD + 4, (uint8_t)limit);
    rig_outb(rig, CD + 5, (uint8_t)(limit >> 8));
    rig_outb(rig, CD + 7, 0xa0);
    for (unsigned i = 0; i < 12; i += 2) {
        rig_outw(rig, CD, load_le16(bytes + i));
    }
    if (how & HOW_DMA) {
        rig_outl(rig, BUS_MASTER + 4, 0x1000);
        rig_outb(rig, BUS_MASTER, how & HOW_TO_DRIVE ? 1 : 9);
    }
    for (unsigned i = 0; i < words; i++) {
        if (!(how & HOW_NO_WAIT)) {
            rig_io(rig);
        }
        rig_inw(rig, CD);
        rig_outw(rig, CD, (uint16_t)i);
    }
    rig_outb(rig, BUS_MASTER, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig) {
        prepare();
    }
    for (unsigned i = 0; i < DRIVES; i++) {
        ata_power_on(drives[i]);
        drives[i]->tray_open = drives[i]->new_medium = false;
        drives[i]->change = 0;
    }
    for (size_t at = 0; at + 16 <= size && at < PACKETS_MOST * 16; at += 16) {
        uint8_t how = data[at + 14];
        packet(data + at, load_le16(data + at + 12), how, data[at + 15]);
        if (how & HOW_RESET) {
            rig_outb(rig, CD + 7, 0x08);
        }
        if (how & (HOW_REMOVE | HOW_INSERT)) {
            atapi_medium_changed(drives[how & HOW_SLAVE], how & HOW_INSERT);
        }
        for (unsigned i = 0; i < DRIVES; i++) {
            g_assert_true(ata_is_sane(drives[i]));
            g_assert_true(!ata_busy(drives[i]) || drives[i]->in_flight);
        }
    }
    rig_io(rig);
    return 0;
}
