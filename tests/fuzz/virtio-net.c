/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net.c - fuzz target: packets and wishes of a driver by any chains in three queues, over both interfaces, and packets from the network
 *
 * Input    16 bytes a step: a queue and up to four pieces, the first bytes of what is sent; or a reset, a new start, a packet for the card
 * Holds    at the end the device starts anew, and a packet gets through each way
 */
#include "base/bytes.h"
#include "base/io-loop.h"
#include "hw/virtio/virtio.h"
#include "tests/dev/virtio-driver.h"
#include "tests/rig/run.h"
#include "tests/rig/wire.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP = 16, STEPS_MOST = 300, SLOT = 4, QUEUES = 3, OUT_AT = DRIVER_BUFFERS, IN_AT = DRIVER_BUFFERS + 0x20000 };

static Rig *rig;
static Driver driver;
static Wire *wire;

static void prepare(void)
{
    static const Test test = { .name = "virtio-net", .board = "chipset", .devices = "virtio-net-pci,netdev=w,addr=4" };

    rig_prepare();
    wire = wire_new("w", 1, NET_TAKES_CSUM);       /* segments are cut by the gate */
    rig = rig_new(&test, FRESH);
}

static void begin(Interface interface, uint64_t features)
{
    driver_find(&driver, rig, SLOT, interface);
    driver_start(&driver, features, QUEUES);
}

static void turn(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        io_loop_turn(io_loop_main(), false);
    }
}

static void send_chain(const uint8_t *step)
{
    unsigned queue = step[0] % QUEUES, count = 1 + (step[1] & 3);
    Piece pieces[4];

    rig_write(rig, OUT_AT, step + 4, 12);
    for (unsigned i = 0; i < count; i++) {
        bool write = step[2 + (i & 1)] & (1u << (i * 2));
        pieces[i] = (Piece){ write ? IN_AT + 0x1000 * i : OUT_AT + 4 * i, (uint32_t)step[3] << (step[1] >> 4), write ? WRITE : 0, 0 };
    }
    if (step[0] & 0x40) {                  /* as a driver would have it */
        pieces[0] = queue == 0 ? (Piece){ IN_AT, 1526, WRITE, 0 } : (Piece){ OUT_AT, queue == 1 ? 60u + step[3] * 16u : 2u + (step[3] & 15), 0, 0 };
        pieces[1] = (Piece){ IN_AT + 0x8000, 1, WRITE, 0 };
        count = queue == 2 ? 2 : 1;
    }
    driver_offer(&driver, queue, driver_chain(&driver, queue, pieces, count));
    driver_kick(&driver, queue);
    turn(step[0] & 0x20 ? 8 : 1);
}

static void hear_packet(const uint8_t *step)
{
    uint8_t frame[4096] = { 0 };
    struct iovec piece = { frame, 14 + (size_t)step[2] * 16 };
    NetPacket packet = { .iov = &piece, .count = 1, .bytes = piece.iov_len };

    memcpy(frame, step + 4, 12);
    memcpy(frame + 12, step[3] & 1 ? "\x08\x00\x45" : "\x86\xdd\x60", 3);
    frame[23] = frame[20] = 6;
    frame[46] = 0x50;
    if (step[3] & 2) {
        packet.offload = (NetOffload){ step[3] >> 2 & 1, step[3] >> 3 & 7, 54, step[5], step[3] & 0x40 ? 34 : step[6], step[3] & 0x80 ? 16 : step[7] };
    }
    netdev_deliver(&wire->netdev, step[1] & 8 ? 1 : 0, &packet);
}

static void one_step(const uint8_t *step)
{
    if (step[0] < 0xe0) {
        send_chain(step);
        return;
    }
    switch (step[1] & 7) {
    case 0:
        begin(step[2] & 1 ? MODERN : LEGACY, load_le64(step + 4) | VIRTIO_BIT(32));
        break;
    case 1:
        driver_set_status(&driver, step[2]);
        break;
    case 2:
        wire->most = step[2] & 1 ? 0 : 100000;
        netdev_now_sendable(&wire->netdev, 0);
        break;
    case 3:
        netdev_set_link(&wire->netdev, step[2] & 1);
        break;
    case 4:
        driver_config_put(&driver, step[2] & 31, 1, step[3]);
        break;
    default:
        hear_packet(step);
        break;
    }
    turn(1);
}

static void check_alive(void)
{
    const Piece out = { OUT_AT, 72, 0, 0 }, in = { IN_AT, 1526, WRITE, 0 };
    uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    wire->most = 100000;
    netdev_set_link(&wire->netdev, true);
    driver_set_status(&driver, 0);
    turn(4);
    netdev_room(&wire->netdev, 0);
    begin(MODERN, VIRTIO_BIT(5) | VIRTIO_BIT(32));
    wire_forget(wire);
    rig_store(rig, OUT_AT, 8, 0);
    rig_store(rig, OUT_AT + 8, 4, 0);
    g_assert_cmpint(driver_do(&driver, 1, &out, 1), ==, 0);
    g_assert_cmpuint(wire->frames->len, ==, 1);
    driver_offer(&driver, 0, driver_chain(&driver, 0, &in, 1));
    driver_kick(&driver, 0);
    turn(4);
    wire_say(wire, frame, sizeof frame);
    g_assert_true(driver_used(&driver, 0, NULL, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig) {
        prepare();
    }
    begin(size & 1 ? MODERN : LEGACY, UINT64_MAX);
    for (size_t at = 0, steps = 0; at + STEP <= size && steps < STEPS_MOST; at += STEP, steps++) {
        one_step(data + at);
        wire_forget(wire);
    }
    check_alive();
    return 0;
}
