/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-scsi.c - fuzz target: the virtio SCSI adapter by any chains in its three queues, over both interfaces
 *
 * Input    32 bytes a step: a queue, up to eight pieces (where, how long, whose), and the first bytes of the request. Besides chains there are
 *          resets, a new start over the other interface, and an image that holds back or fails
 * Holds    at the end the device starts anew and answers a command
 */
#include "base/bytes.h"
#include "hw/virtio/virtio.h"
#include "tests/dev/virtio-driver.h"
#include "tests/rig/memory-disk.h"
#include "tests/rig/run.h"
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP = 32, STEPS_MOST = 200, SLOT = 4, HEADER = 19 + 32, ANSWER = 12 + 96, OUT_AT = DRIVER_BUFFERS, IN_AT = DRIVER_BUFFERS + 0x10000 };

static Rig *rig;
static Driver driver;
static MemoryDisk *disk;

static void prepare(void)
{
    static const Test test = { .name = "virtio-scsi", .board = "chipset",
                               .devices = "virtio-scsi-pci,id=scsi0,addr=4 scsi-hd,id=hd,drive=disk scsi-cd,id=cd" };

    rig_prepare();
    disk = memory_disk_new("disk", 256 << 10);
    rig = rig_new(&test, FRESH);
}

static void begin(Interface interface)
{
    driver_find(&driver, rig, SLOT, interface);
    driver_start(&driver, UINT64_MAX, 3);
}

static void turn(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        io_loop_turn(io_loop_main(), false);
    }
}

static void let_go(void)
{
    disk->hold = false;
    disk->failures = 0;
    co_queue_wake_all(&disk->held);
}

/* Mostly a request as it should be: header, answer, data; then bent by what the input says. */
static void send_chain(const uint8_t *step)
{
    unsigned queue = step[0] & 3 ? 2 : step[0] >> 2 & 1, count = 1 + (step[1] & 7);
    uint8_t header[HEADER] = { 1 };
    Piece pieces[8];

    memcpy(header + (queue == 2 ? 1 : 0), step + 12, STEP - 12 - 1);
    if (queue == 2) {
        memset(header + 2, 0, 17);
        header[1] = step[31] & 3;
        header[3] = step[31] >> 7;
        memcpy(header + 19, step + 12, 16);
    }
    rig_write(rig, OUT_AT, header, sizeof header);
    for (unsigned i = 0; i < count; i++) {
        uint8_t how = step[2 + i];
        bool write = how & 1;
        uint32_t length = how & 2 ? (uint32_t)(how & 0xf0) << 5 : how & 0xf0;
        pieces[i] = (Piece){ write ? IN_AT + 0x2000 * i : OUT_AT + 0x1000 * i, length, write ? WRITE : 0, 0 };
    }
    if (step[0] & 0x40) {
        pieces[0] = (Piece){ OUT_AT, queue == 2 ? HEADER : 24, 0, 0 };
        if (count > 1) {
            pieces[1] = (Piece){ IN_AT, ANSWER, WRITE, 0 };
        }
    }
    driver_offer(&driver, queue, driver_chain(&driver, queue, pieces, count));
    driver_kick(&driver, queue);
    turn(step[0] & 0x80 ? 8 : 1);
}

static void one_step(const uint8_t *step)
{
    if ((step[0] & 0x3c) != 0x3c) {
        send_chain(step);
        return;
    }
    switch (step[1] & 7) {
    case 0: driver_set_status(&driver, 0); break;
    case 1: begin(LEGACY); break;
    case 2: begin(MODERN); break;
    case 3: disk->hold = true; break;
    case 4: let_go(); break;
    case 5:
        disk->failures = step[2] & 3;
        disk->fail_with = EIO;
        break;
    case 6: driver_config_put(&driver, step[2] & 63, 4, step[3]); break;
    default: driver_kick(&driver, step[2]); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig) {
        prepare();
    }
    begin(MODERN);
    for (unsigned i = 0; (i + 1) * STEP <= size && i < STEPS_MOST; i++) {
        one_step(data + (size_t)i * STEP);
    }
    let_go();
    turn(64);
    begin(MODERN);
    const Piece pieces[] = { { OUT_AT, HEADER, 0, 0 }, { IN_AT, ANSWER, WRITE, 0 } };
    const uint8_t ready[HEADER] = { 1 };
    rig_write(rig, OUT_AT, ready, sizeof ready);
    g_assert_cmpint(driver_do(&driver, 2, pieces, 2), >=, 0);
    return 0;
}
