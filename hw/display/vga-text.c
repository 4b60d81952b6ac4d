/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga-text.c - the VGA's text modes: characters, attributes, two fonts of 256, a cursor that blinks
 *
 * Models   characters in plane 0, attributes in plane 1, fonts in plane 2; 8 and 9 dots; attributes' upper half is always a colour, as a
 *          display adapter for people reads better that way than blinking
 * Omits    smooth scrolling, underlines
 * Threads  machine lock held
 * Tests    tests/dev/vga.c, tests/guest/screen.py
 *
 * A cell is drawn when it, the mode, the palette or a font has changed; the cursor's when it moves or blinks.
 */
#include "accel/memory/ram.h"
#include "base/bytes.h"
#include "base/timer.h"
#include "hw/display/vga.h"
#include <limits.h>
#include <string.h>

enum { NINE_DOTS_NOT = 0x01, HALF_CLOCK = 0x08, LINE_GRAPHICS = 0x04, CURSOR_OFF = 0x20, FONT_BYTES = 8192, GLYPH_ROWS = 32, FONT_BIT = 0x0800 };
enum { BLINK_MS = 1000 * 2 * 16 / 70 / 2 };                /* sixteen frames of seventy a second */

static uint32_t font_at(unsigned number)
{
    return number * FONT_BYTES * 4u + 2;
}

void vga_text_mode(const Vga *vga, VgaMode *mode)
{
    unsigned lines = (vga->cr[0x12] | (vga->cr[0x07] & 0x02u) << 7 | (vga->cr[0x07] & 0x40u) << 3) + 1, select = vga->sr[3];

    mode->cell_width = vga->sr[1] & HALF_CLOCK ? 16 : vga->sr[1] & NINE_DOTS_NOT ? 8 : 9;
    mode->cell_height = (vga->cr[0x09] & 0x1fu) + 1;
    mode->columns = vga->cr[0x01] + 1u;
    mode->rows = MAX(MIN(lines / mode->cell_height, VGA_CELLS_MOST / mode->columns), 1u);
    mode->width = mode->columns * mode->cell_width;
    mode->height = mode->rows * mode->cell_height;
    mode->start = (vga->cr[0x0c] << 8 | vga->cr[0x0d]) * 4u;
    mode->stride = vga->cr[0x13] * 8u;
    mode->fonts[0] = font_at((select >> 4 & 1) | (select << 1 & 6));
    mode->fonts[1] = font_at((select >> 5 & 1) | (select >> 1 & 6));
    mode->cr17 = vga->ar[0x10] & LINE_GRAPHICS;            /* the ninth dot of line graphics */
}

/* One row of a cell: bits of the font, the ninth dot as the eighth where lines go through. */
static void draw_bits(uint32_t *pixel, uint8_t bits, unsigned width, bool through, uint32_t front, uint32_t back)
{
    unsigned dots = width == 16 ? 2 : 1;

    for (int bit = 7; bit >= 0; bit--) {
        for (unsigned dot = 0; dot < dots; dot++) {
            *pixel++ = bits >> bit & 1 ? front : back;
        }
    }
    if (width == 9) {
        *pixel = through && (bits & 1) ? front : back;
    }
}

static void draw_cell(const Vga *vga, unsigned column, unsigned row, uint16_t cell, bool cursor)
{
    const VgaMode *mode = &vga->mode;
    const Surface *surface = console_surface(vga->console);
    uint32_t *pixel = surface->pixels + (size_t)row * mode->cell_height * surface->width + column * mode->cell_width;
    uint32_t front = vga->palette[cell >> 8 & 15], back = vga->palette[cell >> 12 & 15], glyph = mode->fonts[cell & FONT_BIT ? 1 : 0] + (cell & 0xffu) * GLYPH_ROWS * 4;
    bool through = (cell & 0xff) >= 0xb0 && (cell & 0xff) <= 0xdf && mode->cr17;

    for (unsigned y = 0; y < mode->cell_height; y++, pixel += surface->width) {
        bool in_cursor = cursor && y >= vga->cursor_first && y <= vga->cursor_last;
        uint8_t bits = in_cursor ? 0xff : vga->vram[(glyph + y * 4) & (vga->vram_size - 1)];
        draw_bits(pixel, bits, mode->cell_width, in_cursor || through, front, back);
    }
}

/* The cell that shows the cursor now; UINT_MAX: none does. */
static unsigned find_cursor(const Vga *vga)
{
    const VgaMode *mode = &vga->mode;
    uint32_t at = (vga->cr[0x0e] << 8 | vga->cr[0x0f]) * 4u;
    bool dark = clock_now(CLOCK_GUEST) / NS_PER_MS / BLINK_MS & 1, shown = (vga->cr[0x0a] & 0x1f) <= (vga->cr[0x0b] & 0x1f);

    if ((vga->cr[0x0a] & CURSOR_OFF) || dark || !shown || mode->stride == 0 || at < mode->start) {
        return UINT_MAX;
    }
    unsigned row = (at - mode->start) / mode->stride, column = (at - mode->start) % mode->stride / 4;
    return row < mode->rows && column < mode->columns ? row * mode->columns + column : UINT_MAX;
}

static uint16_t cell_at(const Vga *vga, unsigned column, unsigned row)
{
    return load_le16(vga->vram + ((vga->mode.start + row * vga->mode.stride + column * 4) & (vga->vram_size - 1) & ~3u));
}

/* What is drawn of a row is told as one piece. */
static void update_row(Vga *vga, unsigned row, bool all, unsigned cursor, unsigned cursor_was)
{
    const VgaMode *mode = &vga->mode;
    unsigned first = UINT_MAX, last = 0;

    for (unsigned column = 0; column < mode->columns; column++) {
        unsigned index = row * mode->columns + column;
        uint16_t cell = cell_at(vga, column, row);
        if (!all && vga->cells[index] == cell && (cursor == cursor_was || (index != cursor && index != cursor_was))) {
            continue;
        }
        vga->cells[index] = cell;
        draw_cell(vga, column, row, cell, index == cursor);
        first = MIN(first, column);
        last = column;
    }
    if (first != UINT_MAX) {
        console_changed(vga->console, first * mode->cell_width, row * mode->cell_height, (last - first + 1) * mode->cell_width, mode->cell_height);
    }
}

void vga_text_update(Vga *vga, bool all)
{
    unsigned cursor_was = vga->cursor_cell;
    uint8_t first = vga->cr[0x0a] & 0x1f, last = vga->cr[0x0b] & 0x1f;

    if (!vga->cells) {
        vga->cells = g_new0(uint16_t, VGA_CELLS_MOST);
        all = true;
    }
    if (first != vga->cursor_first || last != vga->cursor_last || vga->font_written) {
        all = true;
    }
    vga->cursor_first = first;
    vga->cursor_last = last;
    vga->font_written = false;
    vga->cursor_cell = find_cursor(vga);
    for (unsigned row = 0; row < vga->mode.rows; row++) {
        update_row(vga, row, all, vga->cursor_cell, cursor_was);
    }
}
