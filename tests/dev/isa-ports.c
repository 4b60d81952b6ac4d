/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-ports.c - the one-port devices: exit, debug, POST, pvpanic, port 92h, the test device; and the bus that carries them */
#include "base/error.h"
#include "base/char/chardev.h"
#include "hw/isa/bus.h"
#include "hw/models.h"
#include "tests/rig/rig.h"
#include <string.h>

static void exit_port(Rig *rig)
{
    check_eq(rig_inb(rig, 0x501), 0);
    check(!rig_machine(rig)->requests.exit);
    rig_outb(rig, 0x501, 0x2a);
    check(rig_machine(rig)->requests.exit);
    check_eq(rig_machine(rig)->exit_status, 0x55);
    rig_machine(rig)->requests.exit = false;
    rig_machine(rig)->exit_status = 0;
}

static void exit_port_wide(Rig *rig)
{
    rig_outl(rig, 0xf4, 0x10);
    check_eq(rig_machine(rig)->exit_status, 0x21);
    rig_machine(rig)->requests.exit = false;
    rig_machine(rig)->exit_status = 0;
}

static void debug_port(Rig *rig)
{
    check_eq(rig_inb(rig, 0x402), 0xe9);
    rig_outb(rig, 0x402, 'x');             /* without a stream it goes nowhere */
}

static void post_port(Rig *rig)
{
    rig_outb(rig, 0x80, 0x42);
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, 0x80), 0x42);
}

static void pvpanic(Rig *rig)
{
    check_eq(rig_inb(rig, 0x505), 3);
    rig_outb(rig, 0x505, 0x80);
    check_eq(rig_device(rig, "pvpanic")->guest_faults, 1);
    rig_outb(rig, 0x505, 2);               /* a crash kernel takes over: the machine goes on */
    check_eq(rig_machine(rig)->requests.shutdown, CAUSE_NONE);
    rig_outb(rig, 0x505, 1);
    check_eq(rig_machine(rig)->requests.shutdown, CAUSE_GUEST_PANIC);
    rig_machine(rig)->requests.shutdown = CAUSE_NONE;
}

static void port92(Rig *rig)
{
    check_eq(rig_inb(rig, 0x92), 0x02);
    rig_outb(rig, 0x92, 0x00);
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, 0x92), 0x00);
    rig_outb(rig, 0x92, 0x02);
    check_eq(rig_resets(rig), 0);
    rig_outb(rig, 0x92, 0x03);
    check_eq(rig_resets(rig), 1);
    rig_outb(rig, 0x92, 0x03);             /* a level: no second reset */
    check_eq(rig_resets(rig), 0);
}

static void testdev_register(Rig *rig)
{
    rig_outl(rig, 0xe0, 0x12345678);
    rig_checkpoint(rig);
    check_eq(rig_inb(rig, 0xe1), 0x56);
    check_eq(rig_inw(rig, 0xe2), 0x1234);
    check_eq(rig_inl(rig, 0xe8), 0x12345678);
    rig_outw(rig, 0xe8, 0xabcd);
    check_eq(rig_inl(rig, 0xe0), 0x1234abcd);
    rig_outl(rig, 0xe4, 0xfffff000);       /* no memory there: nothing happens */
}

static void testdev_window(Rig *rig)
{
    rig_store(rig, 0xff000000, 8, 0x1122334455667788);
    rig_store(rig, 0xff00fffc, 4, 0xdeadbeef);
    rig_checkpoint(rig);
    check_eq(rig_load(rig, 0xff000003, 1), 0x55);
    check_eq(rig_load(rig, 0xff000002, 2), 0x5566);
    check_eq(rig_load(rig, 0xff00fffc, 4), 0xdeadbeef);
}

static void testdev_lines(Rig *rig)
{
    rig_outb(rig, 0x200e, 1);
    check(rig_irq(rig, 14));
    rig_checkpoint(rig);
    check(rig_irq(rig, 14));
    check_eq(rig_irq_edges(rig, 14), 1);
    rig_outb(rig, 0x200e, 0);
    check(!rig_irq(rig, 14));
    rig_outb(rig, 0x2017, 1);
    check_eq(rig_device(rig, "pc-testdev")->guest_faults, 1);
}

/* Two devices on one line: it is high while either of them is. */
static void shared_line(Rig *rig)
{
    Device *testdev = rig_device(rig, "pc-testdev");
    IrqLine other = isa_irq(testdev, 5);

    rig_outb(rig, 0x2005, 1);
    irq_set(other, true);
    rig_outb(rig, 0x2005, 0);
    check(rig_irq(rig, 5));
    irq_set(other, false);
    check(!rig_irq(rig, 5));
    check_eq(rig_irq_edges(rig, 5), 1);
    irq_set(isa_irq(testdev, 16), true);   /* no such line: nothing, and nothing breaks */
}

static void taken_ports(Rig *rig)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) base = value_new_string("0x502");
    Device *second = device_new(rig_machine(rig), &isa_debug_exit_model, NULL, "second", NULL);

    check(device_set(second, "iobase", base, NULL));
    check(!device_realize(second, &err));
    check(err && strstr(err->message, "second") && strstr(err->message, "in use by isa-debug-exit"));
    g_clear_error(&err);
    g_autoptr(Value) high = value_new_string("0xffff");
    check(device_set(second, "iobase", high, NULL));
    check(!device_realize(second, &err));
    check(err && strstr(err->message, "do not fit below 0x10000"));
    object_unref(&second->object);
}

static void random_pokes(Rig *rig)
{
    static const uint16_t bases[] = { 0x80, 0x92, 0xe0, 0x402, 0x501, 0x505, 0x2000 };
    g_autoptr(GRand) random = g_rand_new_with_seed(92);

    for (int i = 0; i < 20000; i++) {
        uint32_t r = g_rand_int(random), value = g_rand_int(random);
        uint16_t port = bases[r % G_N_ELEMENTS(bases)] + (r >> 8) % 24;
        switch (r >> 29) {
        case 0: rig_outb(rig, port, value); break;
        case 1: rig_outw(rig, port, value); break;
        case 2: rig_outl(rig, port, value); break;
        case 3: rig_inb(rig, port); break;
        case 4: rig_inw(rig, port); break;
        case 5: rig_inl(rig, port); break;
        case 6: rig_store(rig, 0xff000000 + value % 0x10010, 1 << r % 4, value); break;
        default: rig_load(rig, 0xff000000 + value % 0x10010, 1 << r % 4); break;
        }
        if (i % 5000 == 0) {
            rig_checkpoint(rig);
        }
    }
    memset(&rig_machine(rig)->requests, 0, sizeof rig_machine(rig)->requests);
    rig_machine(rig)->exit_status = 0;
}

const Test isa_ports_tests[] = {
    { "isa-debug-exit ends with (value << 1) | 1", exit_port, "isa", "isa-debug-exit", FRESH | RESTORED },
    { "isa-debug-exit takes wide writes", exit_port_wide, "isa", "isa-debug-exit,iobase=0xf4,iosize=4", FRESH | RESTORED },
    { "isa-debugcon reads as e9", debug_port, "isa", "isa-debugcon,iobase=0x402", FRESH | RESTORED },
    { "the POST port keeps its code", post_port, "isa", "post-port", FRESH | RESTORED },
    { "pvpanic tells its events and takes them", pvpanic, "isa", "pvpanic", FRESH | RESTORED },
    { "port 92h: A20 and reset", port92, "isa", "port92", FRESH | RESTORED },
    { "pc-testdev: the register at every width", testdev_register, "isa", "pc-testdev", FRESH | RESTORED },
    { "pc-testdev: the memory window", testdev_window, "isa", "pc-testdev", FRESH | RESTORED },
    { "pc-testdev: interrupt lines", testdev_lines, "isa", "pc-testdev", FRESH | RESTORED },
    { "two devices on one line are ORed", shared_line, "isa", "pc-testdev", FRESH },
    { "ports that are taken are refused by name", taken_ports, "isa", "isa-debug-exit", FRESH },
    { "random accesses", random_pokes, "isa", "pc-testdev isa-debug-exit isa-debugcon,iobase=0x402 pvpanic port92 post-port", FRESH | RESTORED },
    { NULL } };
