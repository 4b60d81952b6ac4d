/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga.c - fuzz target: any registers and memory of the standard display adapter, and pictures of what comes of it
 *
 * Input    8 bytes a step: a port or a place, a value; or "draw"
 * Holds    every pixel is drawn from video memory; at the end VBE's mode shows a pixel that is written
 */
#include "base/bytes.h"
#include "tests/rig/rig.h"
#include "tests/rig/run.h"
#include "ui/console.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP = 8, STEPS_MOST = 400, DRAWN_MOST = 12, VRAM = 0xe0000000, REGISTERS = 0xe2000000, PIXELS_MOST = 4 << 20 };

static Rig *rig;

static void config_put(unsigned offset, uint32_t value)
{
    rig_outl(rig, 0xcf8, 0x80000000u | 2 << 11 | offset);
    rig_outl(rig, 0xcfc, value);
}

static void prepare(void)
{
    static const Test test = { .name = "vga", .board = "chipset", .devices = "VGA,id=v,addr=2" };

    rig_prepare();
    rig = rig_new(&test, FRESH);
    config_put(0x10, VRAM);
    config_put(0x18, REGISTERS);
    config_put(0x04, 3);
}

static void dispi(uint16_t index, uint16_t value)
{
    rig_outw(rig, 0x1ce, index);
    rig_outw(rig, 0x1d0, value);
}

/* Of the larger pictures not every one, for time's sake. */
static void draw(unsigned *drawn)
{
    const Surface *surface = console_surface(console_first());

    if ((*drawn)++ < DRAWN_MOST && (size_t)surface->width * surface->height <= PIXELS_MOST) {
        console_update(console_first());
    }
}

static void one_step(const uint8_t *step, unsigned *drawn)
{
    switch (step[0] & 7) {
    case 0: case 1:
        rig_outb(rig, (uint16_t)(0x3b0 + step[1] % 0x30), step[2]);
        rig_inb(rig, (uint16_t)(0x3b0 + step[3] % 0x30));
        break;
    case 2:
        rig_outw(rig, step[1] & 1 ? 0x3c4 : step[1] & 2 ? 0x3ce : 0x3d4, load_le16(step + 2));
        break;
    case 3:
        rig_store(rig, 0xa0000 + (load_le32(step + 2) & 0x1ffff), 1u << (step[1] & 3), load_le32(step + 4) * UINT64_C(0x100000001));
        break;
    case 4:
        rig_load(rig, 0xa0000 + (load_le32(step + 2) & 0x1ffff), 1u << (step[1] & 3));
        break;
    case 5:
        dispi(step[1] % 12, load_le16(step + 2));
        break;
    case 6:
        rig_store(rig, step[1] & 1 ? VRAM + (load_le32(step + 2) & 0xffffff) : REGISTERS + (load_le16(step + 2) & 0xfff), 1u << (step[1] >> 1 & 1), load_le16(step + 6));
        break;
    default:
        draw(drawn);
        break;
    }
}

static void check_alive(void)
{
    dispi(4, 0);
    dispi(1, 64);
    dispi(2, 64);
    dispi(3, 32);
    dispi(4, 0x41);
    rig_outb(rig, 0x3c2, 1);
    rig_outw(rig, 0x3c4, 0x0001);
    rig_inb(rig, 0x3da);
    rig_outb(rig, 0x3c0, 0x20);
    rig_store(rig, VRAM, 4, 0xabcdef);
    console_update(console_first());
    g_assert_cmphex(console_surface(console_first())->pixels[0], ==, 0xabcdef);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned drawn = 0;

    if (!rig) {
        prepare();
    }
    for (size_t at = 0, steps = 0; at + STEP <= size && steps < STEPS_MOST; at += STEP, steps++) {
        one_step(data + at, &drawn);
    }
    check_alive();
    return 0;
}
