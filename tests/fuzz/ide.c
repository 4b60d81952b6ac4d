/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ide.c - fuzz target: both IDE channels with a disk, a CD-ROM drive with a disc and one without, by any sequence of accesses
 *
 * Input    four bytes an access: what, where, and a 16-bit value. Besides ports there are a whole task file with its command, a
 *          whole packet and a table entry.
 * Holds    after each access, the storage at rest or still at work, a drive is in a state that a saved one could have, and is busy only
 *          while its storage works
 */
#include "base/bytes.h"
#include "base/json.h"
#include "hw/ide/piix-ide.h"
#include "tests/rig/run.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DRIVES = 3, BUS_MASTER = 0xc000, IDE_FUNCTION = 0x80000900, TABLES = 0x20000, IMAGE = 256 << 10, ACCESSES_MOST = 1024 };
static Rig *rig;
static Ata *drives[DRIVES];

/* The drives' images take writes and hold zeroes. */
static Value *settings(void)
{
    return json_parse("{'blockdevs':[{'driver':'null-co','node-name':'disk','size':262144,'read-zeroes':true},"
                      "{'driver':'null-co','node-name':'disc','size':2097152,'read-zeroes':true,'read-only':true}]}", NULL);
}

static void prepare(void)
{
    static const Test test = { .name = "ide", .board = "pc", .settings = settings,
                               .devices = "ide-hd,bus=ide.0,unit=0,drive=disk ide-cd,bus=ide.1,unit=0,drive=disc ide-cd,bus=ide.1,unit=1" };
    unsigned found = 0;

    rig_prepare();
    rig = rig_new(&test, FRESH);
    Machine *machine = rig_machine(rig);
    for (guint i = 0; i < machine->devices->len; i++) {
        Device *device = machine->devices->pdata[i];
        if (strcmp(device->model->name, "ide-hd") == 0 || strcmp(device->model->name, "ide-cd") == 0) {
            g_assert_cmpuint(found, <, DRIVES);
            drives[found++] = &((IdeDrive *)device)->ata;
        }
    }
    g_assert_cmpuint(found, ==, DRIVES);
}

static void start_over(void)
{
    rig_io(rig);
    for (unsigned i = 0; i < DRIVES; i++) {
        ata_power_on(drives[i]);
        drives[i]->tray_open = drives[i]->new_medium = false;
        drives[i]->change = 0;
    }
    device_reset(rig_device(rig, "piix3-ide"));
    rig_outl(rig, 0xcf8, IDE_FUNCTION | 0x20);
    rig_outl(rig, 0xcfc, BUS_MASTER | 1);
    rig_outl(rig, 0xcf8, IDE_FUNCTION | 0x04);
    rig_outw(rig, 0xcfc, 5);
    memset(region_host(&rig_machine(rig)->ram), 0, TABLES);
}

static void task_file(unsigned base, uint8_t command, uint16_t value)
{
    rig_outb(rig, base + 6, (uint8_t)(0xe0 | (value & 0x10)));
    for (unsigned i = 1; i < 6; i++) {
        rig_outb(rig, base + i, (uint8_t)(value >> (i & 8)));
    }
    rig_outb(rig, base + 7, command);
}

/* A packet command whose parameters are all of one kind. */
static void packet(uint8_t code, uint16_t value)
{
    rig_outb(rig, 0x176, (uint8_t)(value & 0x10));
    rig_outb(rig, 0x171, value & 1);
    rig_outw(rig, 0x174, (uint16_t)(value >> 4));
    rig_outb(rig, 0x177, 0xa0);
    rig_outw(rig, 0x170, (uint16_t)(code | (value & 0xff00)));
    for (unsigned i = 0; i < 5; i++) {
        rig_outw(rig, 0x170, i & 1 ? value : 0);
    }
}

static void access_once(uint8_t what, uint8_t where, uint16_t value)
{
    unsigned channel = where >> 7, base = channel ? 0x170 : 0x1f0, port = base + (where & 7);
    unsigned master = BUS_MASTER + 8 * channel;

    switch (what & 15) {
    case 0: case 1: rig_outb(rig, port, (uint8_t)value); break;
    case 2: rig_outw(rig, port, value); break;
    case 3: rig_outl(rig, port, value * 0x10001u); break;
    case 4: rig_inb(rig, port); break;
    case 5: rig_inw(rig, port); break;
    case 6: rig_inl(rig, port); break;
    case 7: rig_outb(rig, base + 0x206, (uint8_t)value); break;
    case 8: task_file(base, where, value); break;
    case 9: packet(where, value); break;
    case 10: rig_store(rig, (uint32_t)(where & 63) * 8, 4, (uint32_t)value << 8); break;          /* a table entry's address */
    case 11: rig_store(rig, (uint32_t)(where & 63) * 8 + 4, 4, (uint32_t)(value & 0x8000) << 16 | (value & 0x7fff)); break;
    case 12: rig_outl(rig, master + 4, value & 0x3ff); break;
    case 13: rig_outb(rig, master, (uint8_t)value); break;
    case 14: rig_outb(rig, master + (where & 7), (uint8_t)(where & 4 ? 0 : value)); break;
    default:
        for (unsigned i = 0; i < (value & 0x3ff); i++) {
            rig_inw(rig, base);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig) {
        prepare();
    }
    start_over();
    for (size_t at = 0; at + 4 <= size && at < ACCESSES_MOST * 4; at += 4) {
        access_once(data[at], data[at + 1], load_le16(data + at + 2));
        if (data[at] & 0x80) {
            rig_io(rig);
        }
        for (unsigned i = 0; i < DRIVES; i++) {
            g_assert_true(ata_is_sane(drives[i]));
            g_assert_true(!ata_busy(drives[i]) || drives[i]->in_flight);
        }
    }
    return 0;
}
