/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk.c - fuzz target: a virtio disk with its PCI registers, by any sequence of accesses and ring contents
 *
 * Input    four bytes an action: what, where, and a 16-bit value. Besides registers of all kinds there are whole requests, descriptors, kicks,
 *          turns of the loop, storage that holds requests back or fails, resets and whole drivers.
 * Holds    no more requests in flight than two queues have entries; after a reset and what was held is let go, the device answers a read
 */
#include "base/bytes.h"
#include "base/io-loop.h"
#include "hw/virtio/virtio-pci.h"
#include "tests/dev/virtio-driver.h"
#include "tests/rig/memory-disk.h"
#include "tests/rig/run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SLOT = 4, DISK = 256 << 10, HEADERS = DRIVER_BUFFERS, STATUS = DRIVER_BUFFERS + 0x4000, DATA = DRIVER_BUFFERS + 0x8000,
       ACTIONS_MOST = 512, QUEUES = 2 };
static Rig *rig;
static MemoryDisk *disk;
static Driver driver;
static bool legacy;

static Value *storage(void)
{
    disk = disk ? disk : memory_disk_new("disk0", DISK);
    return NULL;
}

static void prepare(void)
{
    static const Test test = { .name = "virtio-blk", .board = "chipset", .settings = storage,
                               .devices = "virtio-blk-pci,id=vd,drive=disk0,addr=4,num-queues=2,queue-size=16" };

    rig_prepare();
    rig = rig_new(&test, FRESH);
}

static void turn(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        io_loop_turn(io_loop_main(), false);
    }
}

static void start_over(void)
{
    disk->hold = false;
    disk->failures = 0;
    co_queue_wake_all(&disk->held);
    turn(4);
    device_reset(rig_device(rig, "vd"));
    driver_find(&driver, rig, SLOT, legacy ? LEGACY : MODERN);
    driver_start(&driver, UINT64_MAX, QUEUES);
}

/* A request whose parts are mostly right. */
static void request(unsigned queue, uint8_t where, uint16_t value)
{
    static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 0x80000001, 2 };
    uint64_t header = HEADERS + 16 * where, data = DATA + 512 * (where % 32);
    bool write = (value & 7) != 0 && (value & 7) != 3;
    uint32_t length = (value >> 8 & 15) * 256;
    const Piece pieces[] = { { header, 16, 0, 0 }, { data, length, write ? 0 : WRITE, 0 }, { STATUS + where, 1, WRITE, 0 } };

    rig_store(rig, header, 4, types[value & 7]);
    rig_store(rig, header + 8, 8, value >> 12 == 15 ? UINT64_MAX - where : (value >> 12) * 32u + where);
    rig_store(rig, data, 8, value >> 3 & 0x1ff);
    rig_store(rig, data + 8, 8, value >> 6 & 0x3f);
    driver_offer(&driver, queue, driver_chain(&driver, queue, pieces, 3));
}

static void descriptor(unsigned queue, uint8_t where, uint16_t value)
{
    static const uint64_t places[] = { DATA, HEADERS, STATUS, 0xfee00000, UINT64_MAX - 15, 0x100000, 0xe0080000 + 0x100000 * SLOT, 0xfffff0 };
    const Piece piece = { places[value & 7] + (value >> 3 & 31) * 16, value >> 8 & 31 ? (value >> 8 & 31) * 16u : 0xffffffe0u, value >> 13,
                          (where + 1) % 16 };

    driver_describe(&driver, queue, where % 16, piece);
}

static void registers(uint8_t where, uint16_t value)
{
    static const uint8_t sizes[] = { 1, 2, 4, 8 };
    unsigned size = sizes[where >> 6];

    if (legacy) {
        switch (size) {
        case 1: rig_outb(rig, driver.port + where % 64, (uint8_t)value); break;
        case 2: rig_outw(rig, driver.port + where % 64, value); break;
        default: rig_outl(rig, driver.port + where % 64, value); break;
        }
        rig_inl(rig, driver.port + where % 64);
    } else {
        rig_store(rig, driver.common + where % 64, size, value);
        rig_load(rig, driver.common + where % 64, size);
    }
}

static void storage_acts(uint8_t how, uint16_t value)
{
    if (how & 1) {
        disk->hold = !disk->hold;
        co_queue_wake_all(&disk->held);
    } else {
        disk->fail_with = value & 1 ? EIO : ENOSPC;
        disk->failures = value >> 1 & 3;
    }
}

static void act(uint8_t what, uint8_t where, uint16_t value)
{
    unsigned queue = what >> 4 & 1;

    switch (what & 15) {
    case 0: case 1: case 2: request(queue, where, value); break;
    case 3: descriptor(queue, where, value); break;
    case 4: driver_offer(&driver, queue, where % 20); break;
    case 5: case 6: driver_kick(&driver, where % 3); break;
    case 7: turn(1 + where % 4); break;
    case 8: registers(where, value); break;
    case 9: driver_config_space_put(&driver, where & 0xfc, (uint32_t)value << (where & 1 ? 16 : 0)); break;
    case 10: storage_acts(where, value); break;
    case 11: driver_set_status(&driver, where & 1 ? 0 : (uint8_t)value); break;
    case 12: rig_store(rig, driver.rings[queue].available + where % 40, 2, value); break;
    case 13: driver_config_put(&driver, where % 64, 1, value); break;
    case 14:
        if (where & 1) {
            driver_find(&driver, rig, SLOT, legacy ? LEGACY : MODERN);
            driver_start(&driver, where & 2 ? UINT64_MAX : value, QUEUES);
        }
        break;
    default: driver_isr(&driver); break;
    }
    driver.rings[0].size = driver.rings[0].size ? driver.rings[0].size : 16;
    driver.rings[1].size = driver.rings[1].size ? driver.rings[1].size : 16;
}

static void must_answer(void)
{
    const Piece pieces[] = { { HEADERS, 16, 0, 0 }, { DATA, 512, WRITE, 0 }, { STATUS, 1, WRITE, 0 } };

    start_over();
    rig_store(rig, HEADERS, 8, 0);
    rig_store(rig, HEADERS + 8, 8, 1);
    g_assert_cmpint(driver_do(&driver, 0, pieces, 3), ==, 513);
    g_assert_cmpuint(rig_load(rig, STATUS, 1), ==, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig) {
        prepare();
    }
    legacy = size && data[0] & 1;
    start_over();
    for (size_t i = 1; i + 4 <= size && i < 4 * ACTIONS_MOST; i += 4) {
        act(data[i], data[i + 1], load_le16(data + i + 2));
        g_assert_cmpuint(disk->holding, <=, 2 * 16);
    }
    must_answer();
    return 0;
}
