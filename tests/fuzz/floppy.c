/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * floppy.c - fuzz target: the floppy controller with a disk in A: and none in B:, and the DMA controllers
 *
 * Input    four bytes an access: what, where, and a 16-bit value. Besides ports there are whole commands, programmed DMA channels and the
 *          passing of time
 * Holds    after each access the chip is in a state that a saved one could have
 */
#include "base/bytes.h"
#include "base/json.h"
#include "hw/floppy/drive.h"
#include "tests/rig/run.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ACCESSES_MOST = 1024, FDC = 0x3f0 };
static Rig *rig;
static Device *controller;

/* A disk that takes writes and holds zeroes. */
static Value *settings(void)
{
    return json_parse("{'blockdevs':[{'driver':'null-co','node-name':'a','size':1474560,'read-zeroes':true}]}", NULL);
}

static void prepare(void)
{
    static const Test test = { .name = "floppy", .board = "pc", .settings = settings, .devices = "floppy,unit=0,drive=a floppy,unit=1" };

    rig_prepare();
    rig = rig_new(&test, FRESH);
    controller = rig_device(rig, "isa-fdc");
}

static void pass_time(unsigned microseconds)
{
    guest_clock_step_to(clock_now(CLOCK_GUEST) + microseconds * NS_PER_US);
}

/* A whole command of nine bytes, whose parameters make sense for the most part. */
static void command(uint8_t code, uint16_t value)
{
    const uint8_t bytes[9] = { code, (uint8_t)(value & 7), (uint8_t)(value >> 12), (uint8_t)(value >> 2 & 1), (uint8_t)(value >> 3 & 31), 2,
                               (uint8_t)(value >> 8), 0x1b, (uint8_t)value };

    for (unsigned i = 0; i < sizeof bytes; i++) {
        rig_outb(rig, FDC + 5, bytes[i]);
    }
}

static void program_dma(uint8_t mode, uint16_t count)
{
    rig_outb(rig, 0x0a, 6);
    rig_outb(rig, 0x0c, 0);
    rig_outb(rig, 0x04, 0);
    rig_outb(rig, 0x04, mode);
    rig_outb(rig, 0x05, (uint8_t)count);
    rig_outb(rig, 0x05, (uint8_t)(count >> 8));
    rig_outb(rig, 0x81, 1);
    rig_outb(rig, 0x0b, (uint8_t)((mode & 0xfc) | 2));
    rig_outb(rig, 0x0a, 2);
}

static void access_once(uint8_t what, uint8_t where, uint16_t value)
{
    switch (what & 15) {
    case 0: case 1: case 2: rig_outb(rig, FDC + 5, (uint8_t)value); break;
    case 3: rig_outb(rig, (uint16_t)(FDC + (where & 7)), (uint8_t)value); break;
    case 4: case 5: rig_inb(rig, (uint16_t)(FDC + (where & 7))); break;
    case 6: command(where, value); break;
    case 7: program_dma(where, value); break;
    case 8: rig_outb(rig, where & 15, (uint8_t)value); break;
    case 9: rig_outb(rig, FDC + 2, 0x1c | (where & 3)); break;
    case 10:
        rig_outb(rig, FDC + 2, 0);
        rig_outb(rig, FDC + 2, 0x1c);
        break;
    case 11:
        for (unsigned i = 0; i < (value & 0x3ff); i++) {
            rig_inb(rig, FDC + 5);
        }
        break;
    case 12:
        for (unsigned i = 0; i < (value & 0x3ff); i++) {
            rig_outb(rig, FDC + 5, where);
        }
        break;
    default: pass_time(value & 0xfff); break;
    }
}

/* Saved and loaded again into itself: what a peer would check. */
static bool sane(void)
{
    g_autoptr(GByteArray) state = g_byte_array_new();

    fields_save(controller->model->saved, controller, state);
    Fdc copy = { 0 };
    const uint8_t *at = state->data;
    size_t left = state->len;
    static const Field chip[] = { { .name = "chip", .kind = FIELD_STRUCT, .offset = 0, .size = sizeof(Fdc), .fields = fdc_saved }, FIELD_END };
    return fields_load(chip, &copy, "fuzz", &at, &left, NULL) && fdc_after_load(&copy, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!rig) {
        prepare();
    }
    rig_io(rig);
    device_reset(controller);
    for (size_t at = 0; at + 4 <= size && at < ACCESSES_MOST * 4; at += 4) {
        access_once(data[at], data[at + 1], load_le16(data + at + 2));
        if (data[at] & 0x80) {
            rig_io(rig);
        }
        g_assert_true(sane());
    }
    return 0;
}
