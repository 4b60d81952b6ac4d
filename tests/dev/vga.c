/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vga.c - the standard display adapter: registers, the window's modes, pictures of each kind of mode, VBE's limits, what the monitor says */
#include "base/bytes.h"
#include "hw/pci/pci.h"
#include "tests/rig/rig.h"
#include "ui/console.h"
#include <string.h>

#define CARD "VGA,id=v,addr=2"
enum { VRAM = 0xe0000000, REGISTERS = 0xe2000000, WINDOW = 0xa0000, WHITE = 0xffffff };

static void config_put(Rig *rig, unsigned offset, uint32_t value)
{
    rig_outl(rig, 0xcf8, 0x80000000u | 2 << 11 | offset);
    rig_outl(rig, 0xcfc, value);
}

static uint32_t config_get(Rig *rig, unsigned offset)
{
    rig_outl(rig, 0xcf8, 0x80000000u | 2 << 11 | offset);
    return rig_inl(rig, 0xcfc);
}

static void map(Rig *rig)
{
    config_put(rig, PCI_BASE_ADDRESS_0, VRAM);
    config_put(rig, PCI_BASE_ADDRESS_0 + 8, REGISTERS);
    config_put(rig, PCI_COMMAND, 3);
}

static void indexed(Rig *rig, uint16_t port, uint8_t index, uint8_t value)
{
    rig_outb(rig, port, index);
    rig_outb(rig, port + 1, value);
}

static void attribute(Rig *rig, uint8_t index, uint8_t value)
{
    rig_inb(rig, 0x3da);
    rig_outb(rig, 0x3c0, index);
    rig_outb(rig, 0x3c0, value);
}

static void dispi(Rig *rig, uint16_t index, uint16_t value)
{
    rig_outw(rig, 0x1ce, index);
    rig_outw(rig, 0x1d0, value);
}

static uint16_t dispi_get(Rig *rig, uint16_t index)
{
    rig_outw(rig, 0x1ce, index);
    return rig_inw(rig, 0x1d0);
}

/* Colours 0 to 15 are shades of gray, 0 black and 15 white; the picture is on. */
static void grays(Rig *rig)
{
    rig_outb(rig, 0x3c2, 1);
    for (unsigned i = 0; i < 16; i++) {
        attribute(rig, (uint8_t)i, (uint8_t)i);
        rig_outb(rig, 0x3c8, (uint8_t)i);
        for (unsigned part = 0; part < 3; part++) {
            rig_outb(rig, 0x3c9, (uint8_t)(i * 63 / 15));
        }
    }
    attribute(rig, 0x12, 0x0f);
    rig_inb(rig, 0x3da);
    rig_outb(rig, 0x3c0, 0x20);
}

static const Surface *picture(void)
{
    console_update(console_first());
    return console_surface(console_first());
}

static uint32_t pixel(const Surface *surface, unsigned x, unsigned y)
{
    check(x < surface->width && y < surface->height);
    return x < surface->width && y < surface->height ? surface->pixels[(size_t)y * surface->width + x] : 0;
}

static void the_function(Rig *rig)
{
    check_eq(config_get(rig, 0), 0x11111234);
    check_eq(config_get(rig, 8), 0x03000002);
    check_eq(config_get(rig, 0x2c), 0x11001af4);
    config_put(rig, PCI_BASE_ADDRESS_0, UINT32_MAX);
    check_eq(config_get(rig, PCI_BASE_ADDRESS_0), 0xff000008);
    config_put(rig, PCI_BASE_ADDRESS_0 + 8, UINT32_MAX);
    check_eq(config_get(rig, PCI_BASE_ADDRESS_0 + 8), 0xfffff000);
    map(rig);
    check_eq(rig_load(rig, REGISTERS, 8), UINT64_C(0x00ffffffffffff00));
    uint8_t sum = 0;
    for (unsigned i = 0; i < 128; i++) {
        sum = (uint8_t)(sum + rig_load(rig, REGISTERS + i, 1));
    }
    check_eq(sum, 0);
    check_eq(rig_load(rig, REGISTERS + 54 + 2, 1) | (rig_load(rig, REGISTERS + 54 + 4, 1) & 0xf0) << 4, 1280);
    check_eq(rig_load(rig, REGISTERS + 0x500, 2), 0xb0c5);
    check_eq(rig_load(rig, REGISTERS + 0x600, 4), 8);
}

static void registers_and_their_places(Rig *rig)
{
    check_eq(rig_inb(rig, 0x3d4), 0xff);               /* monochrome after reset */
    indexed(rig, 0x3b4, 0x0c, 0x5a);
    check_eq(rig_inb(rig, 0x3b5), 0x5a);
    rig_outb(rig, 0x3c2, 1);
    check_eq(rig_inb(rig, 0x3b5), 0xff);
    check_eq(rig_inb(rig, 0x3d5), 0x5a);
    indexed(rig, 0x3d4, 0x11, 0x80);                   /* 0 to 7 are protected, but for a bit */
    indexed(rig, 0x3d4, 0x01, 0x4f);
    check_eq(rig_inb(rig, 0x3d5), 0);
    indexed(rig, 0x3d4, 0x07, 0xff);
    check_eq(rig_inb(rig, 0x3d5), 0x10);
    indexed(rig, 0x3c4, 0x02, 0xff);
    check_eq(rig_inb(rig, 0x3c5), 0x0f);
    rig_outw(rig, 0x3ce, 0xff08);                      /* index and data in one */
    check_eq(rig_inb(rig, 0x3cf), 0xff);
    attribute(rig, 0x10, 0xff);
    rig_inb(rig, 0x3da);
    rig_outb(rig, 0x3c0, 0x10);
    check_eq(rig_inb(rig, 0x3c1), 0xef);
    rig_advance(rig, 1000);
    rig_outb(rig, 0x3c8, 7);
    for (unsigned i = 0; i < 6; i++) {
        rig_outb(rig, 0x3c9, (uint8_t)(10 + i));
    }
    rig_outb(rig, 0x3c7, 7);
    for (unsigned i = 0; i < 6; i++) {
        check_eq(rig_inb(rig, 0x3c9), 10 + i);
    }
    check((rig_inb(rig, 0x3da) ^ rig_inb(rig, 0x3da)) == 9);
}

/* The graphics controller on four planes at once. */
static void planes(Rig *rig)
{
    map(rig);
    indexed(rig, 0x3ce, 6, 0x05);                      /* graphics, a0000h */
    indexed(rig, 0x3c4, 2, 0x0f);
    indexed(rig, 0x3ce, 8, 0xff);
    rig_store(rig, WINDOW + 5, 1, 0xa5);
    check_eq(rig_load(rig, VRAM + 20, 4), 0xa5a5a5a5);
    indexed(rig, 0x3c4, 2, 0x05);
    rig_store(rig, WINDOW + 5, 1, 0x00);
    check_eq(rig_load(rig, VRAM + 20, 4), 0xa500a500);
    for (unsigned plane = 0; plane < 4; plane++) {
        indexed(rig, 0x3ce, 4, (uint8_t)plane);
        check_eq(rig_load(rig, WINDOW + 5, 1), plane & 1 ? 0xa5 : 0);
    }
    indexed(rig, 0x3c4, 2, 0x0f);
    indexed(rig, 0x3ce, 0, 0x03);                      /* set/reset: planes 0 and 1 get ones, bit mask: the upper half */
    indexed(rig, 0x3ce, 1, 0x0f);
    indexed(rig, 0x3ce, 8, 0xf0);
    rig_store(rig, WINDOW + 5, 1, 0x77);
    check_eq(rig_load(rig, VRAM + 20, 4), 0x0500f5f0);
    indexed(rig, 0x3ce, 1, 0x00);
    indexed(rig, 0x3ce, 8, 0xff);
    indexed(rig, 0x3ce, 3, 0x18 | 4);                  /* exclusive or, turned by four */
    rig_load(rig, WINDOW + 5, 1);
    rig_store(rig, WINDOW + 5, 1, 0x0f);
    check_eq(rig_load(rig, VRAM + 20, 4), 0xf5f00500);
    indexed(rig, 0x3ce, 3, 0);
    indexed(rig, 0x3ce, 5, 1);                         /* write mode 1: from the latch */
    rig_store(rig, WINDOW + 9, 1, 0);
    check_eq(rig_load(rig, VRAM + 36, 4), 0x0500f5f0);
    indexed(rig, 0x3ce, 5, 2);
    rig_store(rig, WINDOW + 9, 1, 0x09);
    check_eq(rig_load(rig, VRAM + 36, 4), 0xff0000ff);
    indexed(rig, 0x3ce, 5, 8);                         /* read mode 1 */
    indexed(rig, 0x3ce, 2, 0x09);
    indexed(rig, 0x3ce, 7, 0x0f);
    check_eq(rig_load(rig, WINDOW + 9, 1), 0xff);
    indexed(rig, 0x3ce, 2, 0x08);
    check_eq(rig_load(rig, WINDOW + 9, 1), 0x00);
    indexed(rig, 0x3ce, 6, 0x0d);                      /* b8000h: the window is elsewhere */
    check_eq(rig_load(rig, WINDOW + 9, 1), 0xff);
}

static void text(Rig *rig)
{
    map(rig);
    grays(rig);
    indexed(rig, 0x3c4, 2, 0x04);                      /* a font: letter 41h is a column of its leftmost dots */
    indexed(rig, 0x3c4, 4, 0x06);
    indexed(rig, 0x3ce, 6, 0x04);
    indexed(rig, 0x3ce, 8, 0xff);
    for (unsigned y = 0; y < 16; y++) {
        rig_store(rig, WINDOW + 0x41 * 32 + y, 1, 0x80);
    }
    indexed(rig, 0x3c4, 2, 0x03);
    indexed(rig, 0x3ce, 5, 0x10);
    indexed(rig, 0x3ce, 6, 0x0e);
    indexed(rig, 0x3d4, 0x01, 79);
    indexed(rig, 0x3d4, 0x07, 0x02);                   /* 400 lines */
    indexed(rig, 0x3d4, 0x12, 0x8f);
    indexed(rig, 0x3d4, 0x09, 0x0f);
    indexed(rig, 0x3d4, 0x13, 40);
    indexed(rig, 0x3d4, 0x0a, 0x20);
    rig_store(rig, 0xb8000 + 2 * (80 + 3), 2, 0x1f41); /* white on almost black, second line, fourth column */
    const Surface *surface = picture();
    check_eq(surface->width, 720);
    check_eq(surface->height, 400);
    check_eq(pixel(surface, 27, 16), WHITE);
    check_eq(pixel(surface, 28, 16), 0x101010);
    check_eq(pixel(surface, 35, 31), 0x101010);
    check_eq(pixel(surface, 27, 32), 0);
    rig_advance(rig, 1000);
    surface = picture();
    check_eq(pixel(surface, 27, 16), rig_load(rig, 0xb8000 + 2 * 83, 2) == 0x1f41 ? WHITE : pixel(surface, 27, 16));
    indexed(rig, 0x3c4, 1, 0x01);                      /* eight dots */
    check_eq(picture()->width, 640);
    indexed(rig, 0x3c4, 1, 0x21);                      /* off */
    check_eq(pixel(picture(), 24, 16), 0);
}

static void linear(Rig *rig)
{
    static const struct { uint16_t bits; uint32_t stored, shown; } depths[] = {
        { 32, 0x00123456, 0x123456 }, { 24, 0x123456, 0x123456 }, { 16, 0xf81f, 0xff00ff }, { 15, 0x7c1f, 0xff00ff },
    };

    map(rig);
    grays(rig);
    for (size_t i = 0; i < G_N_ELEMENTS(depths); i++) {
        unsigned bytes = (depths[i].bits + 7u) / 8;
        dispi(rig, 4, 0);
        dispi(rig, 1, 320);
        dispi(rig, 2, 200);
        dispi(rig, 3, depths[i].bits);
        dispi(rig, 4, 0x41);
        rig_write(rig, VRAM + (7 * 320 + 5) * bytes, &depths[i].stored, bytes);
        check_eq(picture()->width, 320);
        check_eq(pixel(picture(), 5, 7), depths[i].shown);
        check_eq(pixel(picture(), 6, 7), 0);
        rig_write(rig, VRAM + (9 * 320 + 5) * bytes, &depths[i].stored, bytes);        /* seen by its page alone */
        check_eq(pixel(picture(), 5, 9), depths[i].shown);
    }
    dispi(rig, 4, 0);
    dispi(rig, 3, 8);
    dispi(rig, 4, 0x41);
    dispi(rig, 6, 640);                                /* a wider memory, and a window into it */
    dispi(rig, 8, 16);
    dispi(rig, 9, 3);
    rig_store(rig, VRAM + 640 * 3 + 16, 1, 15);
    check_eq(pixel(picture(), 0, 0), WHITE);
    dispi(rig, 5, 1);                                  /* the second bank at a0000h */
    rig_store(rig, WINDOW, 1, 0x77);
    check_eq(rig_load(rig, VRAM + 0x10000, 1), 0x77);
}

static void limits_of_vbe(Rig *rig)
{
    map(rig);
    check_eq(dispi_get(rig, 0), 0xb0c5);
    check_eq(dispi_get(rig, 10), 256);
    dispi(rig, 4, 2);
    check_eq(dispi_get(rig, 1), 16000);
    check_eq(dispi_get(rig, 2), 12000);
    check_eq(dispi_get(rig, 3), 32);
    static const uint16_t sizes[][4] = { { 0, 0, 0, 0 }, { 65535, 65535, 32, 65535 }, { 7, 1, 99, 3 }, { 16000, 12000, 24, 16000 }, { 1024, 65535, 4, 0 } };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        dispi(rig, 4, 0);
        for (uint16_t k = 0; k < 3; k++) {
            dispi(rig, (uint16_t)(1 + k), sizes[i][k]);
        }
        dispi(rig, 4, 0x41);
        dispi(rig, 6, sizes[i][3]);
        dispi(rig, 8, 65535);
        dispi(rig, 9, 65535);
        uint64_t bits = dispi_get(rig, 3) == 15 ? 16 : dispi_get(rig, 3), stride = dispi_get(rig, 6) * bits / 8;
        check(dispi_get(rig, 1) >= 8 && dispi_get(rig, 2) >= 1 && dispi_get(rig, 6) >= dispi_get(rig, 1));
        check(dispi_get(rig, 8) * bits / 8 + (dispi_get(rig, 9) + (uint64_t)dispi_get(rig, 2)) * stride <= 16 << 20);
        grays(rig);
        picture();
    }
    dispi(rig, 0, 0xffff);
    check_eq(dispi_get(rig, 0), 0xb0c5);
    check_eq(dispi_get(rig, 99), 0);
}

#define CASE(sentence, function) { sentence, function, "chipset", CARD, FRESH | RESTORED, NULL, NULL }
const Test vga_tests[] = {
    CASE("the function and its monitor", the_function),
    CASE("registers and their places", registers_and_their_places),
    CASE("planes, and what the graphics controller makes of a byte", planes),
    CASE("text", text),
    CASE("linear modes of each depth", linear),
    CASE("what VBE is asked for and what there is memory for", limits_of_vbe),
    { NULL } };
