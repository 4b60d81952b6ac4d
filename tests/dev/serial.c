/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serial.c - the serial port on the ISA bus: ports, interrupt, stream */
#include "base/char/chardev.h"
#include "hw/char/uart16550.h"
#include "hw/models.h"
#include "tests/rig/rig.h"
#include <string.h>

enum { COM1 = 0x3f8 };

static void ports_by_index(Rig *rig)
{
    static const uint16_t bases[4] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };

    for (int i = 0; i < 4; i++) {
        rig_outb(rig, bases[i] + UART_SCR, 0x50 + i);
    }
    rig_checkpoint(rig);
    for (int i = 0; i < 4; i++) {
        check_eq(rig_inb(rig, bases[i] + UART_SCR), 0x50 + i);
        check_eq(rig_inb(rig, bases[i] + UART_LSR), 0x60);
    }
    g_autoptr(GError) err = NULL;
    Device *fifth = device_new(rig_machine(rig), &isa_serial_model, NULL, NULL, NULL);
    check(!device_realize(fifth, &err));
    check(err && strstr(err->message, "index 4"));
    object_unref(&fifth->object);
}

static void transmit_interrupt_edges(Rig *rig)
{
    rig_outb(rig, COM1 + UART_IER, IER_THR_EMPTY);
    check(rig_irq(rig, 4));
    rig_checkpoint(rig);
    check(rig_irq(rig, 4));
    check_eq(rig_irq_edges(rig, 4), 1);
    check_eq(rig_inb(rig, COM1 + UART_IIR_FCR), IIR_THR_EMPTY);
    check(!rig_irq(rig, 4));
    rig_outb(rig, COM1, 'a');
    rig_outb(rig, COM1, 'b');              /* no stream: each is gone at once, and each asks for the next by an edge */
    check_eq(rig_irq_edges(rig, 4), 2);
    check_eq(rig_inb(rig, COM1 + UART_LSR), 0x60);
}

static void loopback_and_timeout(Rig *rig)
{
    rig_outb(rig, COM1 + UART_LCR, 3);
    rig_outb(rig, COM1 + UART_IIR_FCR, FCR_ENABLE | 0x80);
    rig_outb(rig, COM1 + UART_MCR, MCR_LOOPBACK);
    rig_outb(rig, COM1 + UART_IER, IER_RECEIVED);
    rig_outb(rig, COM1, 'x');
    check(!rig_irq(rig, 4));
    rig_advance(rig, 3 * NS_PER_MS);       /* four characters at 9600 baud are 4.17 ms */
    check(!rig_irq(rig, 4));
    rig_advance(rig, 2 * NS_PER_MS);
    check(rig_irq(rig, 4));
    check_eq(rig_inb(rig, COM1 + UART_IIR_FCR), 0xcc);
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, COM1), 'x');
    check(!rig_irq(rig, 4));
}

static void reset_is_complete(Rig *rig)
{
    rig_outb(rig, COM1 + UART_IER, 0x0f);
    rig_outb(rig, COM1 + UART_MCR, MCR_LOOPBACK);
    rig_outb(rig, COM1, 'x');
    device_reset(rig_device(rig, "isa-serial"));
    check(!rig_irq(rig, 4));
    check_eq(rig_inb(rig, COM1 + UART_IER), 0);
    check_eq(rig_inb(rig, COM1 + UART_MCR), 0);
    check_eq(rig_inb(rig, COM1 + UART_LSR), 0x60);
}

static void random_pokes(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(3);

    for (int i = 0; i < 50000; i++) {
        uint32_t r = g_rand_int(random);
        if (r >> 31) {
            rig_outb(rig, COM1 + r % 8, r >> 8);
        } else {
            rig_inw(rig, COM1 + r % 8);
        }
        if (r % 997 == 0) {
            rig_advance(rig, r);
        }
    }
}

/* A stream: what the guest writes comes out of the ring, even when it is written faster than anyone reads. */
static void output_reaches_the_stream(Rig *rig)
{
    g_autoptr(Value) config = value_new_object();
    uint8_t text[64] = { 0 };

    value_set(config, "backend", value_new_string("ringbuf"));
    value_set(config, "id", value_new_string("ring"));
    value_set(config, "size", value_new_string("64"));
    Chardev *ring = chardev_new(config, NULL);
    check(ring != NULL);
    Device *serial = device_new(rig_machine(rig), &isa_serial_model, NULL, NULL, NULL);
    device_set_link(serial, "chardev", ring);
    check(device_realize(serial, NULL));
    Device *second = device_new(rig_machine(rig), &isa_serial_model, NULL, NULL, NULL);
    device_set_link(second, "chardev", ring);
    check(!device_realize(second, NULL));                    /* a stream has one user */
    object_unref(&second->object);
    for (const char *at = "hello"; *at; at++) {
        rig_outb(rig, COM1, *at);
    }
    check_eq(chardev_ringbuf_read(ring, text, sizeof text), 5);
    check(memcmp(text, "hello", 5) == 0);
    for (int i = 0; i < 100000; i++) {
        rig_outb(rig, COM1, i);
    }
    check_eq(chardev_ringbuf_read(ring, text, sizeof text), 64);
    device_unrealize(serial);
    chardev_unref(ring);
}

const Test serial_tests[] = {
    { "four ports by index", ports_by_index, "isa", "isa-serial isa-serial isa-serial isa-serial", FRESH | RESTORED },
    { "each written byte asks for the next", transmit_interrupt_edges, "isa", "isa-serial", FRESH | RESTORED },
    { "loopback, and the time-out on the guest's clock", loopback_and_timeout, "isa", "isa-serial", FRESH | RESTORED },
    { "reset", reset_is_complete, "isa", "isa-serial", FRESH | RESTORED },
    { "output reaches the stream", output_reaches_the_stream, "isa", NULL, FRESH },
    { "random accesses", random_pokes, "isa", "isa-serial", FRESH | RESTORED },
    { NULL } };
