/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga-draw.c - from the VGA's memory and registers to pixels: what mode it is, and the graphics modes' rows
 *
 * Models   the display half of the VGA: planes, CGA's two bits, 256 colours, palette and DAC; Bochs' linear modes
 * Omits    overscan, smooth panning of graphics, the line in which a compare begins anew when rows are doubled unevenly
 * Threads  machine lock held
 * Tests    tests/dev/vga.c, tests/fuzz/vga.c, tests/guest/screen.py
 *
 * Rows are drawn when one of their pages was written since the last time. Whether anything else has changed is seen by comparing the whole
 * VgaMode and palette with those of the last picture.
 */
#include "accel/memory/ram.h"
#include "base/bitmap.h"
#include "base/bytes.h"
#include "hw/display/vga.h"
#include <string.h>

enum { PAGE = 4096, SCREEN_OFF = 0x20, PALETTE_ON = 0x20, HALF_CLOCK = 0x08, GRAPHICS = 1 };

/* ---- the mode ---- */

static unsigned lines_shown(const Vga *vga)
{
    return (vga->cr[0x12] | (vga->cr[0x07] & 0x02u) << 7 | (vga->cr[0x07] & 0x40u) << 3) + 1;
}

static void dispi_mode(const Vga *vga, VgaMode *mode)
{
    static const VgaKind kinds[] = { [4] = VGA_PLANAR, [8] = VGA_INDEXED, [15] = VGA_RGB15, [16] = VGA_RGB16, [24] = VGA_RGB24, [32] = VGA_RGB32 };
    const uint16_t *dispi = vga->dispi;
    unsigned bits = dispi[DISPI_BPP] == 15 ? 16 : dispi[DISPI_BPP];

    mode->kind = kinds[MIN(dispi[DISPI_BPP], 32)];
    mode->width = dispi[DISPI_XRES];
    mode->height = dispi[DISPI_YRES];
    mode->dots = mode->scans = 1;
    mode->line_compare = UINT32_MAX;
    mode->stride = vga_dispi_stride(vga);
    mode->start = (uint32_t)dispi[DISPI_X_OFFSET] * bits / 8 + dispi[DISPI_Y_OFFSET] * mode->stride;
    mode->cr17 = 3;
}

static void graphics_mode(const Vga *vga, VgaMode *mode)
{
    unsigned shift = vga->gr[5] >> 5 & 3, doubled = vga->cr[0x09] >> 7;

    mode->kind = shift == 0 ? VGA_PLANAR : shift == 1 ? VGA_CGA : VGA_INDEXED;
    mode->dots = mode->kind == VGA_INDEXED || (vga->sr[1] & HALF_CLOCK) ? 2 : 1;
    mode->width = (vga->cr[0x01] + 1u) * 8 * (mode->kind != VGA_INDEXED ? mode->dots : 1);
    mode->height = lines_shown(vga);
    mode->scans = shift == 1 ? 1u << doubled : ((vga->cr[0x09] & 0x1fu) + 1) << doubled;
    mode->line_compare = vga->cr[0x18] | (vga->cr[0x07] & 0x10u) << 4 | (vga->cr[0x09] & 0x40u) << 3;
    mode->start = (vga->cr[0x0c] << 8 | vga->cr[0x0d]) * 4u;
    mode->stride = vga->cr[0x13] * 8u;
    mode->cr17 = vga->cr[0x17] & 0x43;
}

static void find_mode(const Vga *vga, VgaMode *mode)
{
    memset(mode, 0, sizeof *mode);         /* its padding is compared, too */
    if (!(vga->ar_index & PALETTE_ON) || (vga->sr[1] & SCREEN_OFF)) {
        mode->kind = VGA_BLANK;
        mode->width = vga->mode.width ? vga->mode.width : 640;
        mode->height = vga->mode.height ? vga->mode.height : 480;
    } else if (vga_dispi_on(vga)) {
        dispi_mode(vga, mode);
    } else if (vga->gr[6] & GRAPHICS) {
        graphics_mode(vga, mode);
    } else {
        mode->kind = VGA_TEXT;
        vga_text_mode(vga, mode);
    }
}

/* ---- the palette ---- */

static uint32_t color_of(const Vga *vga, uint8_t index)
{
    const uint8_t *dac = vga->dac + (index & vga->dac_mask) * 3;
    uint32_t color = 0;

    for (unsigned i = 0; i < 3; i++) {
        uint8_t value = dac[i];
        if (!(vga->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC)) {
            value = (uint8_t)((value & 0x3f) << 2 | (value & 1) * 3);      /* six bits to eight: the last one fills up */
        }
        color = color << 8 | value;
    }
    return color;
}

/* Sixteen colours go through the attribute controller, 256 do not. True when the palette is another than last time. */
static bool make_palette(Vga *vga, VgaKind kind)
{
    uint32_t palette[VGA_PALETTE] = { 0 };

    for (unsigned i = 0; i < (kind == VGA_INDEXED ? VGA_PALETTE : 16); i++) {
        uint8_t index = (uint8_t)i;
        if (kind != VGA_INDEXED) {
            uint8_t value = vga->ar[i];
            index = vga->ar[0x10] & 0x80 ? (uint8_t)((vga->ar[0x14] & 0x0f) << 4 | (value & 0x0f)) : (uint8_t)((vga->ar[0x14] & 0x0c) << 4 | (value & 0x3f));
        }
        palette[i] = color_of(vga, index);
    }
    bool other = memcmp(palette, vga->palette, sizeof palette) != 0;
    memcpy(vga->palette, palette, sizeof palette);
    return other;
}

/* ---- rows ---- */

static uint32_t four_planes(const Vga *vga, uint32_t address)
{
    return load_le32(vga->vram + (address & (vga->vram_size - 1) & ~3u));
}

/* Eight pixels of a bit from each plane. */
static void draw_planar(const Vga *vga, uint32_t address, uint32_t *pixel, unsigned groups, unsigned dots)
{
    uint8_t enabled = vga->ar[0x12] & 0x0f;

    for (; groups; groups--, address += 4) {
        uint32_t planes = four_planes(vga, address);
        for (int bit = 7; bit >= 0; bit--) {
            unsigned index = (planes >> bit & 1) | (planes >> (bit + 7) & 2) | (planes >> (bit + 14) & 4) | (planes >> (bit + 21) & 8);
            for (unsigned dot = 0; dot < dots; dot++) {
                *pixel++ = vga->palette[index & enabled];
            }
        }
    }
}

/* Four pixels of two bits from planes 0 and 2, then four from 1 and 3. */
static void draw_cga(const Vga *vga, uint32_t address, uint32_t *pixel, unsigned groups, unsigned dots)
{
    uint8_t enabled = vga->ar[0x12] & 0x0f;

    for (; groups; groups--, address += 4) {
        uint32_t planes = four_planes(vga, address);
        for (unsigned half = 0; half < 16; half += 8) {
            for (int shift = 6; shift >= 0; shift -= 2) {
                unsigned low = planes >> (half + (unsigned)shift) & 3, high = planes >> (half + 16 + (unsigned)shift) & 3;
                for (unsigned dot = 0; dot < dots; dot++) {
                    *pixel++ = vga->palette[(low | high << 2) & enabled];
                }
            }
        }
    }
}

static void draw_indexed(const Vga *vga, uint32_t address, uint32_t *pixel, unsigned count, unsigned dots)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t color = vga->palette[vga->vram[(address + i) & (vga->vram_size - 1)]];
        for (unsigned dot = 0; dot < dots; dot++) {
            *pixel++ = color;
        }
    }
}

static uint32_t widen(unsigned value, unsigned bits)
{
    return bits == 5 ? value << 3 | value >> 2 : value << 2 | value >> 4;
}

/* Memory is a power of two long, and a row may go on at its start. */
static void draw_rgb(const Vga *vga, VgaKind kind, uint32_t address, uint32_t *pixel, unsigned count)
{
    uint32_t mask = vga->vram_size - 1;
    const uint8_t *vram = vga->vram;

    for (unsigned i = 0; i < count; i++) {
        if (kind == VGA_RGB32) {
            *pixel++ = vram[address & mask] | vram[(address + 1) & mask] << 8 | (uint32_t)vram[(address + 2) & mask] << 16;
            address += 4;
        } else if (kind == VGA_RGB24) {
            *pixel++ = vram[address & mask] | vram[(address + 1) & mask] << 8 | (uint32_t)vram[(address + 2) & mask] << 16;
            address += 3;
        } else {
            unsigned value = vram[address & mask] | vram[(address + 1) & mask] << 8, green = kind == VGA_RGB16 ? 6 : 5;
            uint32_t red = widen(value >> (green + 5) & 0x1f, 5), middle = widen(value >> 5 & ((1u << green) - 1), green), blue = widen(value & 0x1f, 5);
            *pixel++ = red << 16 | middle << 8 | blue;
            address += 2;
        }
    }
}

static void draw_rgb32(const Vga *vga, uint32_t address, uint32_t *pixel, unsigned count)
{
    if (address <= vga->vram_size && (uint64_t)count * 4 <= vga->vram_size - address) {
        for (unsigned i = 0; i < count; i++, address += 4) {
            *pixel++ = load_le32(vga->vram + address) & 0xffffff;
        }
    } else {
        draw_rgb(vga, VGA_RGB32, address, pixel, count);
    }
}

static void draw_row(const Vga *vga, const VgaMode *mode, uint32_t address, uint32_t *pixel)
{
    unsigned groups = mode->width / 8 / mode->dots;

    switch (mode->kind) {
    case VGA_PLANAR:
        draw_planar(vga, address, pixel, groups, mode->dots);
        break;
    case VGA_CGA:
        draw_cga(vga, address, pixel, groups, mode->dots);
        break;
    case VGA_INDEXED:
        draw_indexed(vga, address, pixel, mode->width / mode->dots, mode->dots);
        break;
    case VGA_RGB32:
        draw_rgb32(vga, address, pixel, mode->width);
        break;
    default:
        draw_rgb(vga, mode->kind, address, pixel, mode->width);
        break;
    }
}

/* Bytes of memory that a row takes. */
static uint32_t row_bytes(const VgaMode *mode)
{
    switch (mode->kind) {
    case VGA_PLANAR: case VGA_CGA:
        return mode->width / 2 / mode->dots;
    case VGA_INDEXED:
        return mode->width / mode->dots;
    case VGA_RGB24:
        return mode->width * 3;
    case VGA_RGB32:
        return mode->width * 4;
    default:
        return mode->width * 2;
    }
}

/* ---- a picture ---- */

/* Which pages were written, for all of the memory that the mode can show. */
static void harvest(Vga *vga, const VgaMode *mode)
{
    uint64_t bytes = (uint64_t)mode->height * mode->stride + row_bytes(mode) + VGA_WINDOW * 4ull;
    unsigned pages = vga->vram_size / PAGE, first = mode->start / PAGE % pages, count = (unsigned)MIN(bytes / PAGE + 2, pages);

    ram_dirty_sync(vga->ram);
    for (unsigned i = 0; i < count; i++) {
        unsigned page = (first + i) % pages;
        if (ram_dirty_test_and_clear(vga->ram, DIRTY_DISPLAY, (uint64_t)page * PAGE, PAGE)) {
            bitmap_set(vga->pages, page, 1);
        }
    }
}

static bool is_written(const Vga *vga, uint32_t address, uint32_t bytes)
{
    unsigned pages = vga->vram_size / PAGE;

    for (uint32_t page = address / PAGE; page <= (address + MAX(bytes, 1) - 1) / PAGE; page++) {
        if (bitmap_test(vga->pages, page % pages)) {
            return true;
        }
    }
    return false;
}

/* The rows that CGA's and Hercules' addressing lays apart: bits of the row's number become address bits. */
static uint32_t scattered(const VgaMode *mode, uint32_t address, unsigned row)
{
    if (!(mode->cr17 & 1)) {
        unsigned shift = 14 + (mode->cr17 >> 6 & 1);
        address = (address & ~(1u << shift)) | (row & 1) << shift;
    }
    if (!(mode->cr17 & 2)) {
        address = (address & ~0x8000u) | (row & 2) << 14;
    }
    return address;
}

static void draw_graphics(Vga *vga, const VgaMode *mode, bool all)
{
    const Surface *surface = console_surface(vga->console);
    unsigned mask = (mode->cr17 & 3) ^ 3, row = 0, scan = mode->scans, first = UINT32_MAX;
    uint32_t address = mode->start, bytes = row_bytes(mode);

    harvest(vga, mode);
    for (unsigned y = 0; y < mode->height; y++) {
        uint32_t from = scattered(mode, address, row);
        if (all || is_written(vga, from, bytes)) {
            draw_row(vga, mode, from, surface->pixels + (size_t)y * surface->width);
            first = MIN(first, y);
        } else if (first != UINT32_MAX) {
            console_changed(vga->console, 0, first, mode->width, y - first);
            first = UINT32_MAX;
        }
        if (--scan == 0) {
            if ((row & mask) == mask) {
                address += mode->stride;
            }
            row++;
            scan = mode->scans;
        }
        if (y == mode->line_compare) {
            address = 0;
        }
    }
    if (first != UINT32_MAX) {
        console_changed(vga->console, 0, first, mode->width, mode->height - first);
    }
    memset(vga->pages, 0, bitmap_words(vga->vram_size / PAGE) * sizeof(uint64_t));
}

/* False: no memory for it; there is no picture then. */
static bool begin_picture(Vga *vga, const VgaMode *mode, bool *all)
{
    const Surface *surface = console_surface(vga->console);

    if (!vga->pages) {
        vga->pages = g_new0(uint64_t, bitmap_words(vga->vram_size / PAGE));
    }
    if (!vga->logging) {                   /* from now on writes are noted */
        vga->logging = ram_dirty_log(vga->ram, DIRTY_DISPLAY, true, NULL);
        *all = true;
    }
    if (surface->width != mode->width || surface->height != mode->height || !surface->pixels) {
        *all = true;
        return console_resize(vga->console, mode->width, mode->height);
    }
    return true;
}

void vga_update(void *opaque)
{
    Vga *vga = opaque;
    VgaMode mode;

    find_mode(vga, &mode);
    bool all = vga->all || memcmp(&mode, &vga->mode, sizeof mode) != 0 || !vga->logging;
    if (mode.kind != VGA_BLANK && make_palette(vga, mode.kind)) {
        all = true;
    }
    if (!begin_picture(vga, &mode, &all)) {
        return;
    }
    vga->mode = mode;
    vga->all = false;
    if (mode.kind == VGA_TEXT) {
        vga_text_update(vga, all);
    } else if (mode.kind != VGA_BLANK) {
        draw_graphics(vga, &mode, all);
    } else if (all) {
        memset(console_surface(vga->console)->pixels, 0, (size_t)mode.width * mode.height * sizeof(uint32_t));
        console_changed(vga->console, 0, 0, mode.width, mode.height);
    }
}

void vga_invalidate(void *opaque)
{
    ((Vga *)opaque)->all = true;
}

void vga_draw_free(Vga *vga)
{
    if (vga->logging) {
        ram_dirty_log(vga->ram, DIRTY_DISPLAY, false, NULL);
        vga->logging = false;
    }
    g_clear_pointer(&vga->cells, g_free);
    g_clear_pointer(&vga->pages, g_free);
}
