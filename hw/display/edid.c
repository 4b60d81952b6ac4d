/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * edid.c - what a monitor says of itself
 *
 * Models   VESA Enhanced EDID, release A, revision 2 (structure 1.4): the base block; further blocks are zero
 * Tests    tests/dev/vga.c
 */
#include "base/bytes.h"
#include "hw/display/vga.h"
#include <string.h>

enum { BLOCK = 128, STANDARD = 38, DETAILED = 54, DESCRIPTOR = 18, DOTS_PER_INCH = 100, SIZE_MOST = 4095 };

/* Width, height of standard timings, 60 Hz: those whose shape the two bits can say. */
static const struct { uint16_t width; uint8_t shape; } standard[] = {
    { 1920, 3 }, { 1680, 0 }, { 1600, 1 }, { 1440, 0 }, { 1280, 2 }, { 1280, 0 }, { 1024, 1 }, { 800, 1 },
};

static void detailed_timing(uint8_t *at, unsigned width, unsigned height, unsigned width_mm, unsigned height_mm)
{
    unsigned blank_x = width * 35 / 100, blank_y = height * 35 / 1000, front_x = width * 25 / 100, sync_x = width * 3 / 100, front_y = height * 5 / 1000,
             sync_y = height * 5 / 1000;
    uint64_t clock = (uint64_t)(width + blank_x) * (height + blank_y) * 75 / 10000;    /* in 10 kHz, for 75 Hz */

    store_le16(at, (uint16_t)MIN(clock, UINT16_MAX));
    at[2] = (uint8_t)width;
    at[3] = (uint8_t)blank_x;
    at[4] = (uint8_t)((width >> 4 & 0xf0) | (blank_x >> 8 & 0x0f));
    at[5] = (uint8_t)height;
    at[6] = (uint8_t)blank_y;
    at[7] = (uint8_t)((height >> 4 & 0xf0) | (blank_y >> 8 & 0x0f));
    at[8] = (uint8_t)front_x;
    at[9] = (uint8_t)sync_x;
    at[10] = (uint8_t)((front_y & 0x0f) << 4 | (sync_y & 0x0f));
    at[11] = (uint8_t)((front_x >> 8 & 3) << 6 | (sync_x >> 8 & 3) << 4 | (front_y >> 4 & 3) << 2 | (sync_y >> 4 & 3));
    at[12] = (uint8_t)width_mm;
    at[13] = (uint8_t)height_mm;
    at[14] = (uint8_t)((width_mm >> 4 & 0xf0) | (height_mm >> 8 & 0x0f));
    at[17] = 0x18;                         /* digital separate sync */
}

static void text_descriptor(uint8_t *at, uint8_t kind, const char *text)
{
    at[3] = kind;
    memset(at + 5, ' ', 13);
    memcpy(at + 5, text, MIN(strlen(text), 13));
    if (strlen(text) < 13) {
        at[5 + strlen(text)] = '\n';
    }
}

static void range_descriptor(uint8_t *at)
{
    static const uint8_t range[] = { 0, 0, 0, 0xfd, 0, 50, 125, 30, 160, 255, 1, '\n', ' ', ' ', ' ', ' ', ' ', ' ' };

    memcpy(at, range, sizeof range);
}

void edid_make(uint8_t *edid, size_t bytes, unsigned width, unsigned height)
{
    static const uint8_t header[] = { 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00 }, chromaticity[] = { 0xee, 0x95, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54 };
    unsigned width_mm, height_mm;
    uint8_t sum = 0;

    width = CLAMP(width, 8, SIZE_MOST);
    height = CLAMP(height, 1, SIZE_MOST);
    width_mm = width * 254 / 10 / DOTS_PER_INCH;
    height_mm = height * 254 / 10 / DOTS_PER_INCH;
    memset(edid, 0, bytes);
    memcpy(edid, header, sizeof header);
    store_be16(edid + 8, ('R' - 64) << 10 | ('S' - 64) << 5 | ('T' - 64));
    store_le16(edid + 10, 0x0001);
    edid[16] = 42;                         /* week; year since 1990 */
    edid[17] = 36;
    edid[18] = 1;
    edid[19] = 4;
    edid[20] = 0xa5;                       /* digital, 8 bits a colour, DisplayPort */
    edid[21] = (uint8_t)(width_mm / 10);
    edid[22] = (uint8_t)(height_mm / 10);
    edid[23] = 120;                        /* gamma 2.2 */
    edid[24] = 0x06;                       /* sRGB, the first timing is preferred */
    memcpy(edid + 25, chromaticity, sizeof chromaticity);
    edid[35] = 0x21;                       /* 640x480 and 800x600 at 60 Hz */
    edid[36] = 0x08;                       /* 1024x768 at 60 Hz */
    for (size_t i = 0; i < G_N_ELEMENTS(standard); i++) {
        edid[STANDARD + i * 2] = (uint8_t)(standard[i].width / 8 - 31);
        edid[STANDARD + i * 2 + 1] = (uint8_t)(standard[i].shape << 6);
    }
    detailed_timing(edid + DETAILED, width, height, width_mm, height_mm);
    range_descriptor(edid + DETAILED + DESCRIPTOR);
    text_descriptor(edid + DETAILED + 2 * DESCRIPTOR, 0xfc, "Roost Monitor");
    edid[DETAILED + 3 * DESCRIPTOR + 3] = 0x10;            /* nothing more */
    for (unsigned i = 0; i < BLOCK - 1; i++) {
        sum = (uint8_t)(sum + edid[i]);
    }
    edid[BLOCK - 1] = (uint8_t)-sum;
}
