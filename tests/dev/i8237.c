/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8237.c - the DMA controllers, with a device of the test's own on a channel
 */
#include "hw/isa/dma.h"
#include "tests/rig/rig.h"
#include <string.h>

/* Counts up what it gives and keeps what it takes, at most `room` bytes at a time. */
static struct { uint8_t next, taken[70000]; size_t room, count; unsigned calls, terminals; bool asks_again; Device *dma; unsigned channel; } device;

static size_t move(void *opaque, uint8_t *data, size_t length, bool to_memory, bool terminal)
{
    size_t moved = MIN(length, device.room);

    (void)opaque;
    for (size_t i = 0; i < moved; i++) {
        if (to_memory) {
            data[i] = device.next++;
        } else if (device.count < sizeof device.taken) {
            device.taken[device.count++] = data[i];
        }
    }
    device.room -= moved;
    device.calls++;
    device.terminals += terminal && moved == length;
    if (device.room == 0) {
        isa_dma_request(device.dma, device.channel, false);
    }
    if (device.asks_again) {
        isa_dma_request(device.dma, device.channel, true);
    }
    return moved;
}

static void attach(Rig *rig, unsigned channel)
{
    const IsaDmaClient client = { move, NULL };

    memset(&device, 0, sizeof device);
    device.dma = isa_dma_find(rig_machine(rig));
    device.channel = channel;
    check(isa_dma_take(device.dma, channel, &client, device.dma, NULL));
}

static void program(Rig *rig, unsigned channel, uint32_t address, uint16_t count, uint8_t mode)
{
    static const uint16_t pages[] = { 0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a };
    bool high = channel >= 4;
    uint16_t base = high ? 0xc0 : 0, step = high ? 2 : 1, n = channel & 3;

    rig_outb(rig, base + 0xa * step, (uint8_t)(4 | n));
    rig_outb(rig, base + 0xc * step, 0);
    uint16_t word = high ? (uint16_t)(address >> 1) : (uint16_t)address;
    rig_outb(rig, base + 2 * n * step, (uint8_t)word);
    rig_outb(rig, base + 2 * n * step, (uint8_t)(word >> 8));
    rig_outb(rig, base + (2 * n + 1) * step, (uint8_t)count);
    rig_outb(rig, base + (2 * n + 1) * step, (uint8_t)(count >> 8));
    rig_outb(rig, base + 0xb * step, (uint8_t)(mode | n));
    rig_outb(rig, pages[channel], (uint8_t)(address >> 16));
    rig_outb(rig, base + 0xa * step, (uint8_t)n);
}

static void registers(Rig *rig)
{
    rig_outb(rig, 0x0c, 0);
    rig_outb(rig, 0x02, 0x34);
    rig_outb(rig, 0x02, 0x12);
    rig_outb(rig, 0x03, 0x78);
    rig_checkpoint(rig);                     /* between the two bytes */
    rig_outb(rig, 0x03, 0x56);
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, 0x02), 0x34);
    check_eq(rig_inb(rig, 0x02), 0x12);
    check_eq(rig_inb(rig, 0x03), 0x78);
    rig_outb(rig, 0x0c, 0);                  /* the flip-flop is cleared */
    check_eq(rig_inb(rig, 0x03), 0x78);
    check_eq(rig_inb(rig, 0x03), 0x56);
    check_eq(rig_inb(rig, 0x0f) & 15, 15);   /* masked from reset */
    rig_outb(rig, 0x0a, 1);
    check_eq(rig_inb(rig, 0x0f) & 15, 13);
    rig_outb(rig, 0x0f, 3);
    check_eq(rig_inb(rig, 0x0f) & 15, 3);
    rig_outb(rig, 0x0e, 0);
    check_eq(rig_inb(rig, 0x0f) & 15, 0);
    rig_outb(rig, 0x0d, 0);                  /* master clear */
    check_eq(rig_inb(rig, 0x0f) & 15, 15);
    for (uint16_t port = 0x81; port <= 0x8f; port++) {       /* all of them keep what they get */
        rig_outb(rig, port, (uint8_t)port);
    }
    rig_checkpoint(rig);
    for (uint16_t port = 0x81; port <= 0x8f; port++) {
        check_eq(rig_inb(rig, port), port);
    }
    rig_outb(rig, 0xd4, 0);                  /* the other one's registers are at even ports */
    check_eq(rig_inb(rig, 0xde) & 15, 14);
    check_eq(rig_inb(rig, 0xdf), 0xff);
}

static void to_memory(Rig *rig)
{
    attach(rig, 1);
    program(rig, 1, 0x12345, 99, 0x44);
    device.room = 40;
    isa_dma_request(device.dma, 1, true);
    check_eq(rig_load(rig, 0x12345, 1), 0);
    check_eq(rig_load(rig, 0x12345 + 39, 1), 39);
    check_eq(rig_load(rig, 0x12345 + 40, 1), 0);
    check_eq(rig_inb(rig, 8) & 2, 0);
    device.room = 1000;
    isa_dma_request(device.dma, 1, true);
    check_eq(rig_load(rig, 0x12345 + 99, 1), 99);
    check_eq(rig_load(rig, 0x12345 + 100, 1), 0);
    check_eq(device.terminals, 1);
    check_eq(rig_inb(rig, 8), 0x22);         /* terminal count, and the request still stands */
    check_eq(rig_inb(rig, 8), 0x20);
    check_eq(rig_inb(rig, 0x0f) & 2, 2);     /* masked by it */
    rig_outb(rig, 0x0c, 0);
    check_eq(rig_inb(rig, 3), 0xff);
    check_eq(rig_inb(rig, 3), 0xff);
}

static void from_memory(Rig *rig)
{
    attach(rig, 3);
    for (unsigned i = 0; i < 600; i++) {
        rig_store(rig, 0x20000 + i, 1, i * 7);
    }
    device.room = 10000;
    isa_dma_request(device.dma, 3, true);    /* nothing moves before it is programmed */
    check_eq(device.calls, 0);
    program(rig, 3, 0x20000, 599, 0x48);     /* and then at once */
    check_eq(device.count, 600);
    for (unsigned i = 0; i < 600; i++) {
        check_eq(device.taken[i], (uint8_t)(i * 7));
    }
    check_eq(device.terminals, 1);
}

static void auto_initialize(Rig *rig)
{
    attach(rig, 0);
    program(rig, 0, 0x30000, 63, 0x54);
    device.room = 64 * 3 + 5;
    isa_dma_request(device.dma, 0, true);
    check_eq(device.terminals, 3);
    check_eq(rig_load(rig, 0x30000, 1), 64 * 3);
    check_eq(rig_inb(rig, 0x0f) & 1, 0);
    rig_outb(rig, 0x0c, 0);
    check_eq(rig_inb(rig, 1), 63 - 5);
}

static void downwards(Rig *rig)
{
    attach(rig, 1);
    program(rig, 1, 0x400ff, 255, 0x64);
    device.room = 1000;
    isa_dma_request(device.dma, 1, true);
    for (unsigned i = 0; i < 256; i++) {
        check_eq(rig_load(rig, 0x400ff - i, 1), i);
    }
    for (unsigned i = 0; i < 256; i++) {
        rig_store(rig, 0x400ff - i, 1, i ^ 0x55);
    }
    program(rig, 1, 0x400ff, 255, 0x68);
    for (unsigned i = 0; i < 256; i++) {
        check_eq(device.taken[i], i ^ 0x55);
    }
}

/* A page does not count along: the address wraps in its 64 KiB, or 128 KiB of words. */
static void wraps(Rig *rig)
{
    attach(rig, 2 + 1);
    program(rig, 3, 0x5fff0, 31, 0x44);
    device.room = 100;
    isa_dma_request(device.dma, 3, true);
    check_eq(rig_load(rig, 0x5ffff, 1), 15);
    check_eq(rig_load(rig, 0x50000, 1), 16);
    check_eq(rig_load(rig, 0x60000, 1), 0);
    attach(rig, 6);
    program(rig, 6, 0x9fff0, 15, 0x44);
    device.room = 100;
    isa_dma_request(device.dma, 6, true);
    check_eq(rig_load(rig, 0x9ffff, 1), 15);
    check_eq(rig_load(rig, 0x80000, 1), 16);
    check_eq(device.terminals, 1);
}

static void verify_and_nonsense(Rig *rig)
{
    attach(rig, 1);
    device.room = 1000;
    program(rig, 1, 0x70000, 15, 0x40);      /* verify: the device gives, memory stays */
    isa_dma_request(device.dma, 1, true);
    check_eq(device.terminals, 1);
    check_eq(rig_load(rig, 0x70001, 1), 0);
    unsigned calls = device.calls;
    program(rig, 1, 0x70000, 15, 0x4c);      /* no such transfer; cascade */
    program(rig, 1, 0x70000, 15, 0xc4);
    check_eq(device.calls, calls);
    rig_outb(rig, 8, 4);                     /* the controller is off */
    program(rig, 1, 0x70000, 15, 0x44);
    check_eq(device.calls, calls);
    rig_outb(rig, 8, 0);
    check(device.calls > calls);
    device.asks_again = true;                /* a device that never has enough, with a channel that never ends, is not for ever */
    device.room = SIZE_MAX;
    program(rig, 1, 0x70000, 0xffff, 0x54);
    check(device.calls < 100000);
    device.asks_again = false;
    isa_dma_request(device.dma, 1, false);
    program(rig, 1, 0xff0000, 0xffff, 0x44); /* where there is no memory: the bytes are gone, and that is all */
    isa_dma_request(device.dma, 1, true);
    const IsaDmaClient client = { move, NULL };
    g_autoptr(GError) err = NULL;
    check(!isa_dma_take(device.dma, 1, &client, device.dma, NULL));
    check(!isa_dma_take(device.dma, 4, &client, device.dma, NULL));
    check(!isa_dma_take(device.dma, 8, &client, device.dma, &err));
    check(err != NULL);
    isa_dma_release(device.dma, 1);
    check(isa_dma_take(device.dma, 1, &client, device.dma, NULL));
}

#define DMA .devices = "i8257"
const Test i8237_tests[] = {
    { "registers", registers, DMA, .runs = FRESH | RESTORED | PLUGGED },
    { "from a device to memory", to_memory, DMA, .runs = FRESH },
    { "from memory to a device", from_memory, DMA, .runs = FRESH },
    { "auto-initialize", auto_initialize, DMA, .runs = FRESH },
    { "addresses that count down", downwards, DMA, .runs = FRESH },
    { "addresses that wrap", wraps, DMA, .runs = FRESH },
    { "verify, and what nobody should program", verify_and_nonsense, DMA, .runs = FRESH },
    { NULL }
};
