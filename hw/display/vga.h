/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga.h - inside hw/display: the VGA chip with Bochs' VBE registers, apart from how it is mounted
 *
 * Registers and memory in, pixels out (to a Console). Machine lock held.
 *
 * Video memory is kept as the four planes interleaved: byte 4n + p is byte n of plane p. Chained modes, text and VBE's see it as it lies.
 */
#pragma once
#include "base/field.h"
#include "ui/console.h"

typedef struct RamBlock RamBlock;

enum { VGA_WINDOW = 0x20000, VGA_PALETTE = 256, VGA_CELLS_MOST = 256 * 128, VGA_VRAM_MOST = 256 << 20 };

/* Registers of Bochs' VBE interface ("DISPI"), by index. */
typedef enum {
    DISPI_ID, DISPI_XRES, DISPI_YRES, DISPI_BPP, DISPI_ENABLE, DISPI_BANK, DISPI_VIRT_WIDTH, DISPI_VIRT_HEIGHT, DISPI_X_OFFSET, DISPI_Y_OFFSET,
    DISPI_MEMORY_64K, DISPI_REGISTERS,
} DispiIndex;
enum { DISPI_ENABLED = 1, DISPI_GETCAPS = 2, DISPI_8BIT_DAC = 0x20, DISPI_LFB = 0x40, DISPI_NOCLEARMEM = 0x80 };

typedef enum { VGA_BLANK, VGA_TEXT, VGA_PLANAR, VGA_CGA, VGA_INDEXED, VGA_RGB15, VGA_RGB16, VGA_RGB24, VGA_RGB32 } VgaKind;

/* All that decides how memory becomes a picture, but for the palette. */
typedef struct VgaMode {
    VgaKind kind;
    unsigned width, height;                /* of the surface */
    unsigned cell_width, cell_height, columns, rows;       /* text */
    unsigned dots;                         /* surface pixels for one of memory, across */
    unsigned scans;                        /* surface rows for one of memory */
    unsigned line_compare;                 /* surface row at which memory begins anew */
    uint32_t start, stride;                /* bytes of video memory */
    uint8_t cr17, pan;
    uint32_t fonts[2];
} VgaMode;

typedef struct Vga {
    uint8_t *vram;
    uint32_t vram_size;                    /* bytes, a power of two */
    RamBlock *ram;                         /* that vram lies in: dirty pages */
    Console *console;
    /* saved */
    uint8_t sr_index, gr_index, cr_index, ar_index, sr[8], gr[16], ar[21], cr[256];
    bool ar_has_index;                     /* the next write to 3c0h is data */
    uint8_t misc, feature, status1;
    uint8_t dac_state, dac_part, dac_read, dac_write, dac_mask, dac_cache[3], dac[VGA_PALETTE * 3];
    uint32_t latch;
    uint16_t dispi_index, dispi[DISPI_REGISTERS];
    /* drawing: what was drawn last */
    bool all, font_written, logging;
    VgaMode mode;
    uint32_t palette[VGA_PALETTE];
    uint16_t *cells;                       /* columns * rows */
    unsigned cursor_cell;                  /* UINT_MAX: none shown */
    uint8_t cursor_first, cursor_last;
    uint64_t *pages;                       /* bits: written since the last update() */
} Vga;

extern const Field vga_saved[];
#define SAVE_VGA(T, m) SAVE_STRUCT(T, m, vga_saved)

void vga_reset(Vga *vga);
bool vga_after_load(Vga *vga, const char *name, GError **err);

/* vga.c: ports 3b0h to 3dfh; offsets 0 to 1ffffh from a0000h. */
uint8_t vga_port_read(Vga *vga, uint16_t port);
void vga_port_write(Vga *vga, uint16_t port, uint8_t value);
uint8_t vga_memory_read(Vga *vga, uint32_t offset);
void vga_memory_write(Vga *vga, uint32_t offset, uint8_t value);
uint16_t vga_dispi_read(const Vga *vga, uint16_t index);
void vga_dispi_write(Vga *vga, uint16_t index, uint16_t value);
static inline bool vga_dispi_on(const Vga *vga) { return vga->dispi[DISPI_ENABLE] & DISPI_ENABLED; }
uint32_t vga_dispi_stride(const Vga *vga); /* bytes */

/* vga-draw.c, vga-text.c: ConsoleOps */
void vga_update(void *vga);
void vga_invalidate(void *vga);
void vga_draw_free(Vga *vga);
void vga_text_mode(const Vga *vga, VgaMode *mode);
void vga_text_update(Vga *vga, bool all);

/* edid.c: `bytes` of it, 128 at least: a monitor that likes width by height, in 1/10 mm where known (0: guessed). */
void edid_make(uint8_t *edid, size_t bytes, unsigned width, unsigned height);
