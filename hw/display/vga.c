/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vga.c - the VGA's registers and its window on video memory, and the VBE registers of Bochs beside them
 *
 * Models   IBM's VGA (Personal System/2 technical reference), with the sequencer's chained and odd/even addressing; Bochs' DISPI 0xb0c5
 * Omits    light pen, CRTC timing (the retrace bits toggle at each read), interrupts, the diagnostic bits of the attribute controller
 * Threads  machine lock held
 * Tests    tests/dev/vga.c, tests/fuzz/vga.c
 */
#include "hw/display/vga.h"
#include "accel/memory/ram.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/trace.h"
#include <errno.h>
#include <string.h>

enum { TRACE_PORT, TRACE_DISPI };
static TracePoint vga_trace[] = {
    [TRACE_PORT] = { "vga_port_write", "a guest wrote a VGA port" },
    [TRACE_DISPI] = { "vga_dispi_write", "a guest wrote a VBE register" },
};
TRACE_TABLE(vga_trace)

enum { COLOR = 1, RETRACE = 0x08, DISPLAY_OFF = 0x01, PROTECT = 0x80, CHAIN_4 = 0x08, ODD_EVEN = 0x10, READ_COMPARE = 0x08 };
enum { DISPI_ID_MOST = 0xb0c5, DISPI_ID_LEAST = 0xb0c0, XRES_MOST = 16000, YRES_MOST = 12000, BPP_MOST = 32, BANK = 0x10000 };

/* Bits of registers that exist. */
static const uint8_t sr_bits[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff };
static const uint8_t gr_bits[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
static const uint8_t ar_bits[21] = { [0x00 ... 0x0f] = 0x3f, [0x10] = 0xef, [0x11] = 0xff, [0x12] = 0x3f, [0x13] = 0x0f, [0x14] = 0x0f };

/* Four bits to four bytes. */
static uint32_t spread(uint8_t planes)
{
    return (planes & 1 ? 0xffu : 0) | (planes & 2 ? 0xff00u : 0) | (planes & 4 ? 0xff0000u : 0) | (planes & 8 ? 0xff000000u : 0);
}

/* ---- the palette ---- */

static uint8_t dac_data_read(Vga *vga)
{
    uint8_t value = vga->dac[vga->dac_read * 3 + vga->dac_part];

    if (++vga->dac_part == 3) {
        vga->dac_part = 0;
        vga->dac_read++;
    }
    return value;
}

static void dac_data_write(Vga *vga, uint8_t value)
{
    vga->dac_cache[vga->dac_part] = value;
    if (++vga->dac_part == 3) {            /* the three change together */
        vga->dac_part = 0;
        memcpy(vga->dac + vga->dac_write++ * 3, vga->dac_cache, sizeof vga->dac_cache);
    }
}

/* ---- ports ---- */

/* Half of the ports move with the I/O address bit of the miscellaneous output register; the other place is empty. */
static bool is_elsewhere(const Vga *vga, uint16_t port)
{
    return vga->misc & COLOR ? port < 0x3c0 : port >= 0x3d0;
}

static uint8_t read_status1(Vga *vga)
{
    vga->ar_has_index = false;
    vga->status1 ^= RETRACE | DISPLAY_OFF;
    return vga->status1;
}

uint8_t vga_port_read(Vga *vga, uint16_t port)
{
    if (is_elsewhere(vga, port)) {
        return 0xff;
    }
    switch (port) {
    case 0x3c0:
        return vga->ar_has_index ? 0 : vga->ar_index;
    case 0x3c1:
        return (vga->ar_index & 0x1f) < sizeof vga->ar ? vga->ar[vga->ar_index & 0x1f] : 0;
    case 0x3c2:
        return 0;
    case 0x3c4:
        return vga->sr_index;
    case 0x3c5:
        return vga->sr[vga->sr_index];
    case 0x3c6:
        return vga->dac_mask;
    case 0x3c7:
        return vga->dac_state;
    case 0x3c8:
        return vga->dac_write;
    case 0x3c9:
        return dac_data_read(vga);
    case 0x3ca:
        return vga->feature;
    case 0x3cc:
        return vga->misc;
    case 0x3ce:
        return vga->gr_index;
    case 0x3cf:
        return vga->gr[vga->gr_index];
    case 0x3b4: case 0x3d4:
        return vga->cr_index;
    case 0x3b5: case 0x3d5:
        return vga->cr[vga->cr_index];
    case 0x3ba: case 0x3da:
        return read_status1(vga);
    default:
        return 0;
    }
}

static void attribute_write(Vga *vga, uint8_t value)
{
    uint8_t index = vga->ar_index & 0x1f;

    if (!vga->ar_has_index) {
        vga->ar_index = value & 0x3f;
    } else if (index < sizeof vga->ar) {
        vga->ar[index] = value & ar_bits[index];
    }
    vga->ar_has_index = !vga->ar_has_index;
}

static void crtc_write(Vga *vga, uint8_t value)
{
    if ((vga->cr[0x11] & PROTECT) && vga->cr_index <= 7) {
        if (vga->cr_index == 7) {          /* but for bit 8 of the line compare */
            vga->cr[7] = (uint8_t)((vga->cr[7] & ~0x10) | (value & 0x10));
        }
        return;
    }
    vga->cr[vga->cr_index] = value;
}

void vga_port_write(Vga *vga, uint16_t port, uint8_t value)
{
    if (is_elsewhere(vga, port)) {
        return;
    }
    TRACE(&vga_trace[TRACE_PORT], "port 0x%03x value 0x%02x", port, value);
    switch (port) {
    case 0x3c0:
        attribute_write(vga, value);
        break;
    case 0x3c2:
        vga->misc = value & 0xef;
        break;
    case 0x3c4:
        vga->sr_index = value & 7;
        break;
    case 0x3c5:
        vga->sr[vga->sr_index] = value & sr_bits[vga->sr_index];
        break;
    case 0x3c6:
        vga->dac_mask = value;
        break;
    case 0x3c7:
        vga->dac_read = value;
        vga->dac_part = 0;
        vga->dac_state = 3;
        break;
    case 0x3c8:
        vga->dac_write = value;
        vga->dac_part = 0;
        vga->dac_state = 0;
        break;
    case 0x3c9:
        dac_data_write(vga, value);
        break;
    case 0x3ce:
        vga->gr_index = value & 0x0f;
        break;
    case 0x3cf:
        vga->gr[vga->gr_index] = value & gr_bits[vga->gr_index];
        break;
    case 0x3b4: case 0x3d4:
        vga->cr_index = value;
        break;
    case 0x3b5: case 0x3d5:
        crtc_write(vga, value);
        break;
    case 0x3ba: case 0x3da:
        vga->feature = value & 0x10;
        break;
    }
}

/* ---- the window on video memory ---- */

/* From an offset in the window to one in memory; false: the window does not reach there now. */
static bool find_address(const Vga *vga, uint32_t *offset)
{
    switch (vga->gr[6] >> 2 & 3) {
    case 0:
        return *offset < VGA_WINDOW;
    case 1:
        *offset += *offset < BANK ? (uint32_t)vga->dispi[DISPI_BANK] * BANK : UINT32_MAX / 2;
        return *offset < vga->vram_size;
    case 2:
        *offset -= 0x10000;
        return *offset < 0x8000;
    default:
        *offset -= 0x18000;
        return *offset < 0x8000;
    }
}

static uint32_t odd_even(const Vga *vga, uint32_t offset, unsigned *plane)
{
    *plane = (vga->gr[4] & 2) | (offset & 1);
    return (offset & ~1u) << 1 | *plane;
}

uint8_t vga_memory_read(Vga *vga, uint32_t offset)
{
    uint32_t mask = vga->vram_size - 1;
    unsigned plane;

    if (!find_address(vga, &offset)) {
        return 0xff;
    }
    if (vga->sr[4] & CHAIN_4) {
        return vga->vram[offset & mask];
    }
    if (vga->gr[5] & ODD_EVEN) {
        return vga->vram[odd_even(vga, offset, &plane) & mask];
    }
    vga->latch = load_le32(vga->vram + (offset * 4 & mask));
    if (!(vga->gr[5] & READ_COMPARE)) {
        return (uint8_t)(vga->latch >> vga->gr[4] * 8);
    }
    uint32_t differ = (vga->latch ^ spread(vga->gr[2])) & spread(vga->gr[7]);
    differ |= differ >> 16;
    return (uint8_t)~(differ | differ >> 8);
}

static void write_byte(Vga *vga, uint32_t address, unsigned plane, uint8_t value)
{
    if (vga->sr[2] & 1u << plane) {
        vga->vram[address & (vga->vram_size - 1)] = value;
        vga->font_written |= plane == 2;
        ram_mark_dirty(vga->ram, address & (vga->vram_size - 1), 1);
    }
}

static uint32_t all_planes(uint8_t value)
{
    return value * 0x01010101u;
}

/* What the graphics controller makes of a byte, for the four planes. */
static uint32_t planes_of(const Vga *vga, uint8_t value)
{
    unsigned turn = vga->gr[3] & 7;
    uint8_t turned = (uint8_t)(value >> turn | value << (8 - turn)), bits = vga->gr[8];
    uint32_t set = spread(vga->gr[1]), planes;

    switch (vga->gr[5] & 3) {
    case 0:
        planes = (all_planes(turned) & ~set) | (spread(vga->gr[0]) & set);
        break;
    case 1:
        return vga->latch;
    case 2:
        planes = spread(value);
        break;
    default:
        bits &= turned;
        planes = spread(vga->gr[0]);
        break;
    }
    switch (vga->gr[3] >> 3 & 3) {
    case 1:
        planes &= vga->latch;
        break;
    case 2:
        planes |= vga->latch;
        break;
    case 3:
        planes ^= vga->latch;
        break;
    }
    return (planes & all_planes(bits)) | (vga->latch & ~all_planes(bits));
}

void vga_memory_write(Vga *vga, uint32_t offset, uint8_t value)
{
    unsigned plane;

    if (!find_address(vga, &offset)) {
        return;
    }
    if (vga->sr[4] & CHAIN_4) {
        write_byte(vga, offset, offset & 3, value);
    } else if (vga->gr[5] & ODD_EVEN) {
        uint32_t address = odd_even(vga, offset, &plane);
        write_byte(vga, address, plane, value);
    } else {
        uint32_t address = offset * 4 & (vga->vram_size - 1), mask = spread(vga->sr[2]);
        store_le32(vga->vram + address, (load_le32(vga->vram + address) & ~mask) | (planes_of(vga, value) & mask));
        vga->font_written |= (vga->sr[2] & 4) != 0;
        ram_mark_dirty(vga->ram, address, 4);
    }
}

/* ---- VBE ---- */

static unsigned bits_of(const Vga *vga)
{
    return vga->dispi[DISPI_BPP] == 15 ? 16 : vga->dispi[DISPI_BPP];
}

uint32_t vga_dispi_stride(const Vga *vga)
{
    return vga->dispi[DISPI_VIRT_WIDTH] * bits_of(vga) / 8;
}

/* What a guest asks for becomes what there is memory for. */
static void fit(Vga *vga)
{
    uint16_t *dispi = vga->dispi;
    unsigned bits = bits_of(vga);

    if (bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
        dispi[DISPI_BPP] = 8;
        bits = 8;
    }
    dispi[DISPI_XRES] = (uint16_t)CLAMP(dispi[DISPI_XRES] & ~7, 8, XRES_MOST);
    dispi[DISPI_VIRT_WIDTH] = (uint16_t)CLAMP(dispi[DISPI_VIRT_WIDTH] & ~7, dispi[DISPI_XRES], XRES_MOST);
    uint32_t stride = vga_dispi_stride(vga), rows = vga->vram_size / stride;
    if (rows == 0) {                       /* one line is longer than memory */
        dispi[DISPI_XRES] = dispi[DISPI_VIRT_WIDTH] = (uint16_t)(vga->vram_size * 8 / bits & ~7u);
        stride = vga_dispi_stride(vga);
        rows = 1;
    }
    dispi[DISPI_YRES] = (uint16_t)CLAMP(dispi[DISPI_YRES], 1, MIN(rows, YRES_MOST));
    dispi[DISPI_VIRT_HEIGHT] = (uint16_t)MIN(rows, UINT16_MAX);
    if (dispi[DISPI_X_OFFSET] > XRES_MOST) {
        dispi[DISPI_X_OFFSET] = XRES_MOST;
    }
    uint64_t size = (uint64_t)dispi[DISPI_YRES] * stride, across = (uint64_t)dispi[DISPI_X_OFFSET] * bits / 8;
    if (across + (uint64_t)dispi[DISPI_Y_OFFSET] * stride + size > vga->vram_size) {
        dispi[DISPI_Y_OFFSET] = 0;
        if (across + size > vga->vram_size) {
            dispi[DISPI_X_OFFSET] = 0;
        }
    }
}

/* A program that goes on by VGA's registers finds in them what the VBE mode is. */
static void set_vga_registers(Vga *vga)
{
    const uint16_t *dispi = vga->dispi;
    unsigned end = dispi[DISPI_YRES] - 1u;
    bool planar = dispi[DISPI_BPP] == 4;

    vga->gr[6] = (uint8_t)((vga->gr[6] & ~0x0c) | 0x05);
    vga->cr[0x17] |= 3;
    vga->cr[0x13] = (uint8_t)(dispi[DISPI_VIRT_WIDTH] >> 3);
    vga->cr[0x01] = (uint8_t)((dispi[DISPI_XRES] >> 3) - 1);
    vga->cr[0x12] = (uint8_t)end;
    vga->cr[0x07] = (uint8_t)((vga->cr[0x07] & ~0x42) | (end >> 7 & 0x02) | (end >> 3 & 0x40) | 0x10);
    vga->cr[0x18] = 0xff;
    vga->cr[0x09] = (uint8_t)((vga->cr[0x09] | 0x40) & ~0x9f);
    if (planar) {
        vga->sr[1] &= (uint8_t)~0x08;
    } else {
        vga->sr[4] |= CHAIN_4;
        vga->sr[2] |= 0x0f;
    }
    vga->gr[5] = (uint8_t)((vga->gr[5] & ~0x60) | (planar ? 0 : 0x40));
}

static void enable(Vga *vga, uint16_t value)
{
    uint16_t *dispi = vga->dispi;
    bool was_on = vga_dispi_on(vga);

    dispi[DISPI_ENABLE] = value;
    if ((value & DISPI_ENABLED) && !was_on) {
        dispi[DISPI_VIRT_WIDTH] = dispi[DISPI_X_OFFSET] = dispi[DISPI_Y_OFFSET] = 0;
        fit(vga);
        set_vga_registers(vga);
        if (!(value & DISPI_NOCLEARMEM)) {
            uint32_t bytes = dispi[DISPI_YRES] * vga_dispi_stride(vga);
            memset(vga->vram, 0, bytes);
            ram_mark_dirty(vga->ram, 0, bytes);
        }
    } else if (!(value & DISPI_ENABLED)) {
        dispi[DISPI_BANK] = 0;
    }
}

uint16_t vga_dispi_read(const Vga *vga, uint16_t index)
{
    bool limits = vga->dispi[DISPI_ENABLE] & DISPI_GETCAPS;

    switch (index) {
    case DISPI_XRES:
        return limits ? XRES_MOST : vga->dispi[index];
    case DISPI_YRES:
        return limits ? YRES_MOST : vga->dispi[index];
    case DISPI_BPP:
        return limits ? BPP_MOST : vga->dispi[index];
    case DISPI_MEMORY_64K:
        return (uint16_t)(vga->vram_size / BANK);
    default:
        return index < DISPI_REGISTERS ? vga->dispi[index] : 0;
    }
}

void vga_dispi_write(Vga *vga, uint16_t index, uint16_t value)
{
    TRACE(&vga_trace[TRACE_DISPI], "index %u value 0x%04x", index, value);
    switch (index) {
    case DISPI_ID:
        if (value >= DISPI_ID_LEAST && value <= DISPI_ID_MOST) {
            vga->dispi[DISPI_ID] = value;
        }
        return;
    case DISPI_XRES: case DISPI_YRES: case DISPI_BPP: case DISPI_VIRT_WIDTH: case DISPI_X_OFFSET: case DISPI_Y_OFFSET:
        vga->dispi[index] = value;
        break;
    case DISPI_BANK:
        vga->dispi[DISPI_BANK] = (uint16_t)(value & (vga->vram_size / BANK - 1));
        return;
    case DISPI_ENABLE:
        enable(vga, value);
        return;
    default:
        return;
    }
    if (vga_dispi_on(vga)) {
        fit(vga);
        set_vga_registers(vga);
    }
}

/* ---- life ---- */

void vga_reset(Vga *vga)
{
    size_t begin = offsetof(Vga, sr_index), end = offsetof(Vga, all);

    memset((uint8_t *)vga + begin, 0, end - begin);
    vga->dac_mask = 0xff;
    vga->dispi[DISPI_ID] = DISPI_ID_MOST;
    vga->all = true;
}

bool vga_after_load(Vga *vga, const char *name, GError **err)
{
    if (vga->sr_index > 7 || vga->gr_index > 15 || vga->dac_part > 2 || vga->dispi[DISPI_BANK] >= vga->vram_size / BANK) {
        return fail(err, EINVAL, "device '%s': the saved state has a register index that is none", name);
    }
    if (vga_dispi_on(vga)) {
        fit(vga);
    }
    vga->all = true;
    return true;
}

const Field vga_saved[] = {
    SAVE_U8(Vga, sr_index), SAVE_U8(Vga, gr_index), SAVE_U8(Vga, cr_index), SAVE_U8(Vga, ar_index), SAVE_BYTES(Vga, sr), SAVE_BYTES(Vga, gr),
    SAVE_BYTES(Vga, ar), SAVE_BYTES(Vga, cr), SAVE_BOOL(Vga, ar_has_index), SAVE_U8(Vga, misc), SAVE_U8(Vga, feature), SAVE_U8(Vga, status1),
    SAVE_U8(Vga, dac_state), SAVE_U8(Vga, dac_part), SAVE_U8(Vga, dac_read), SAVE_U8(Vga, dac_write), SAVE_U8(Vga, dac_mask), SAVE_BYTES(Vga, dac_cache),
    SAVE_BYTES(Vga, dac), SAVE_U32(Vga, latch), SAVE_U16(Vga, dispi_index), SAVE_U16S(Vga, dispi),
    FIELD_END };
