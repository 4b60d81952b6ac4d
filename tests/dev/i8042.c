/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i8042.c - the keyboard controller: commands, interrupts, translation, the way of keys and motion to the guest */
#include "tests/rig/rig.h"
#include "ui/input.h"
#include <linux/input-event-codes.h>

enum { DATA = 0x60, STATUS = 0x64, OUTPUT_FULL = 0x01, FROM_MOUSE = 0x20 };

static uint8_t ask(Rig *rig, uint8_t command)
{
    rig_outb(rig, STATUS, command);
    rig_checkpoint(rig);
    check(rig_inb(rig, STATUS) & OUTPUT_FULL);
    return rig_inb(rig, DATA);
}

static void tell(Rig *rig, uint8_t command, uint8_t value)
{
    rig_outb(rig, STATUS, command);
    rig_checkpoint(rig);
    rig_outb(rig, DATA, value);
}

static void commands(Rig *rig)
{
    check_eq(rig_inb(rig, STATUS), 0x18);
    check_eq(ask(rig, 0xaa), 0x55);
    check_eq(rig_inb(rig, STATUS), 0x1c);
    check_eq(ask(rig, 0xab), 0x00);
    check_eq(ask(rig, 0xa9), 0x00);
    check_eq(ask(rig, 0xa4), 0xf1);
    check_eq(ask(rig, 0xc0), 0x80);
    check_eq(ask(rig, 0x20), 0x03);
    tell(rig, 0x60, 0x47);
    check_eq(ask(rig, 0x20), 0x47);
    rig_outb(rig, STATUS, 0xad);
    check_eq(ask(rig, 0x20), 0x57);
    rig_outb(rig, STATUS, 0xa7);
    check_eq(ask(rig, 0x20), 0x77);
    rig_outb(rig, STATUS, 0xae);
    rig_outb(rig, STATUS, 0xa8);
    check_eq(ask(rig, 0x20), 0x47);
    tell(rig, 0x7f, 0x99);
    check_eq(ask(rig, 0x3f), 0x99);
    rig_outb(rig, STATUS, 0x01);
    check_eq(rig_device(rig, "i8042")->guest_faults, 1);
    check_eq(rig_inb(rig, STATUS) & OUTPUT_FULL, 0);
}

static void resets(Rig *rig)
{
    rig_outb(rig, STATUS, 0xff);
    check_eq(rig_resets(rig), 0);
    rig_outb(rig, STATUS, 0xfe);
    check_eq(rig_resets(rig), 1);
    tell(rig, 0xd1, 0x03);
    check_eq(rig_resets(rig), 0);
    tell(rig, 0xd1, 0x02);
    check_eq(rig_resets(rig), 1);
}

static void a20(Rig *rig)
{
    check_eq(ask(rig, 0xd0) & 0x03, 0x03);
    tell(rig, 0xd1, 0x01);
    rig_checkpoint(rig);
    check_eq(ask(rig, 0xd0) & 0x03, 0x01);
    rig_outb(rig, STATUS, 0xdf);
    check_eq(ask(rig, 0xd0) & 0x03, 0x03);
    rig_outb(rig, STATUS, 0xdd);
    check_eq(ask(rig, 0xd0) & 0x03, 0x01);
}

static void loop_bytes(Rig *rig)
{
    tell(rig, 0xd2, 0xa5);
    check(rig_irq(rig, 1));
    check_eq(rig_inb(rig, STATUS) & (OUTPUT_FULL | FROM_MOUSE), OUTPUT_FULL);
    check_eq(rig_inb(rig, DATA), 0xa5);
    check(!rig_irq(rig, 1));
    tell(rig, 0xd3, 0x5a);
    rig_checkpoint(rig);
    check(rig_irq(rig, 12));
    check_eq(rig_inb(rig, STATUS) & (OUTPUT_FULL | FROM_MOUSE), OUTPUT_FULL | FROM_MOUSE);
    check_eq(rig_inb(rig, DATA), 0x5a);
    check(!rig_irq(rig, 12));
}

static void a_key_with_translation(Rig *rig)
{
    tell(rig, 0x60, 0x41);
    rig_outb(rig, DATA, 0xf4);
    check_eq(rig_inb(rig, DATA), 0xfa);
    rig_irq_edges(rig, 1);
    input_key(KEY_UP, true);
    input_key(KEY_UP, false);
    rig_checkpoint(rig);
    static const uint8_t wanted[] = { 0xe0, 0x48, 0xe0, 0xc8 };
    for (unsigned i = 0; i < sizeof wanted; i++) {
        check(rig_irq(rig, 1));
        check_eq(rig_inb(rig, DATA), wanted[i]);
        rig_checkpoint(rig);
    }
    check(!rig_irq(rig, 1));
    check_eq(rig_irq_edges(rig, 1), 4);
    rig_outb(rig, DATA, 0xf2);
    check_eq(rig_inb(rig, DATA), 0xfa);
    check_eq(rig_inb(rig, DATA), 0xab);
    check_eq(rig_inb(rig, DATA), 0x41);    /* the ID is translated like any byte */
}

static void a_key_without_translation(Rig *rig)
{
    tell(rig, 0x60, 0x00);
    input_key(KEY_A, false);
    check(!rig_irq(rig, 1));               /* not asked for */
    check_eq(rig_inb(rig, DATA), 0xf0);
    check_eq(rig_inb(rig, DATA), 0x1c);
    tell(rig, 0x60, 0x10);
    input_key(KEY_A, true);
    check_eq(rig_inb(rig, STATUS) & OUTPUT_FULL, 0);         /* the keyboard is held off */
    rig_checkpoint(rig);
    rig_outb(rig, STATUS, 0xae);
    check_eq(rig_inb(rig, DATA), 0x1c);
}

static void the_mouse(Rig *rig)
{
    tell(rig, 0x60, 0x03);
    tell(rig, 0xd4, 0xf4);
    check(rig_irq(rig, 12));
    check_eq(rig_inb(rig, DATA), 0xfa);
    input_motion(10, -4);
    input_button(INPUT_LEFT, true);
    check_eq(rig_inb(rig, STATUS) & OUTPUT_FULL, 0);         /* not before they are put together */
    input_sync();
    rig_checkpoint(rig);
    static const uint8_t wanted[] = { 0x09, 0x0a, 0x04 };
    for (unsigned i = 0; i < sizeof wanted; i++) {
        check_eq(rig_inb(rig, STATUS) & (OUTPUT_FULL | FROM_MOUSE), OUTPUT_FULL | FROM_MOUSE);
        check(rig_irq(rig, 12));
        check_eq(rig_inb(rig, DATA), wanted[i]);
    }
    check(!rig_irq(rig, 12));
    input_button(INPUT_WHEEL_UP, true);
    input_sync();
    check_eq(rig_inb(rig, STATUS) & OUTPUT_FULL, 0);         /* a plain mouse has no wheel */
}

static void lights(Rig *rig)
{
    rig_outb(rig, DATA, 0xed);
    rig_outb(rig, DATA, 0x02);
    rig_checkpoint(rig);
    check_eq(input_leds(), 2);
}

static void random_pokes(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(64);

    for (int i = 0; i < 50000; i++) {
        uint32_t r = g_rand_int(random);
        switch (r >> 29) {
        case 0: case 1: rig_outb(rig, DATA, r); break;
        case 2: rig_outb(rig, STATUS, r); break;
        case 3: case 4: rig_inb(rig, DATA); break;
        case 5: rig_inb(rig, STATUS); break;
        case 6: input_key(r % 300, r & 0x1000); break;
        default:
            input_motion((int)r >> 4, (int)(r << 4) >> 4);
            input_button(r % 9, r & 0x1000);
            input_sync();
            break;
        }
        if (i % 10000 == 0) {
            rig_checkpoint(rig);
        }
    }
    rig_resets(rig);
}

const Test i8042_tests[] = {
    { "commands", commands, "isa", "i8042", FRESH | RESTORED },
    { "reset by pulse and by output port", resets, "isa", "i8042", FRESH | RESTORED },
    { "A20 in the output port", a20, "isa", "i8042", FRESH | RESTORED },
    { "bytes that come back as keyboard and mouse", loop_bytes, "isa", "i8042", FRESH | RESTORED },
    { "a key, translated", a_key_with_translation, "isa", "i8042", FRESH | RESTORED },
    { "a key, as it is", a_key_without_translation, "isa", "i8042", FRESH | RESTORED },
    { "the mouse", the_mouse, "isa", "i8042", FRESH | RESTORED },
    { "lights", lights, "isa", "i8042", FRESH | RESTORED },
    { "random accesses and input", random_pokes, "isa", "i8042", FRESH | RESTORED },
    { NULL } };
