/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serial.c - the serial port on the ISA bus: ports, interrupt, stream */
#include "base/char/chardev.h"
#include "base/loop.h"
#include "hw/char/uart16550.h"
#include "hw/models.h"
#include "tests/rig/rig.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    check_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void turn_loop_for(int64_t ns)
{
    for (int64_t end = clock_now(CLOCK_STEADY) + ns; clock_now(CLOCK_STEADY) < end; ) {
        loop_iterate(false);
        g_usleep(1000);
    }
}

/* A reader that is there and does not read: first the guest waits for it as for a slow line, then output is dropped, and
 * when it reads again, output goes on. */
static void a_reader_that_sleeps(Rig *rig)
{
    g_autofree char *path = g_strdup_printf("/tmp/roost-test-serial.%d", (int)getpid());
    g_autoptr(Value) config = value_new_object();
    static uint8_t sink[1 << 16];
    GError *err = NULL;

    value_set(config, "backend", value_new_string("socket"));
    value_set(config, "id", value_new_string("sleepy"));
    value_set(config, "path", value_new_string(path));
    value_set(config, "server", value_new_string("on"));
    value_set(config, "wait", value_new_string("off"));
    Chardev *stream = chardev_new(config, &err);
    if (!stream) {
        check_failed(__FILE__, __LINE__, "%s", err->message);
        g_clear_error(&err);
        return;
    }
    Device *serial = device_new(rig_machine(rig), &isa_serial_model, NULL, NULL, NULL);
    device_set_link(serial, "chardev", stream);
    check(device_realize(serial, NULL));
    int reader = connect_to(path);
    turn_loop_for(50 * NS_PER_MS);
    unsigned written = 0;
    for (; written < 10000000 && rig_inb(rig, COM1 + UART_LSR) & LSR_THR_EMPTY; written++) {
        rig_outb(rig, COM1, written);
    }
    check(written > 0 && written < 10000000);
    turn_loop_for(200 * NS_PER_MS);
    check(!(rig_inb(rig, COM1 + UART_LSR) & LSR_THR_EMPTY));
    turn_loop_for(1100 * NS_PER_MS);
    check(rig_inb(rig, COM1 + UART_LSR) & LSR_THR_EMPTY);
    rig_outb(rig, COM1, 'x');
    check(rig_inb(rig, COM1 + UART_LSR) & LSR_THR_EMPTY);
    for (ssize_t got = 1; got > 0; ) {
        got = recv(reader, sink, sizeof sink, MSG_DONTWAIT);
    }
    turn_loop_for(50 * NS_PER_MS);
    rig_outb(rig, COM1, '!');
    turn_loop_for(50 * NS_PER_MS);
    ssize_t got = recv(reader, sink, sizeof sink, MSG_DONTWAIT);
    check(got > 0 && sink[got - 1] == '!');
    close(reader);
    turn_loop_for(20 * NS_PER_MS);
    device_unrealize(serial);
    chardev_unref(stream);
    unlink(path);
}

static void input_waits_outside(Rig *rig)
{
    g_autofree char *path = g_strdup_printf("/tmp/roost-test-serial.%d", (int)getpid());
    g_autoptr(Value) config = value_new_object();
    uint8_t text[1000];

    value_set(config, "backend", value_new_string("socket"));
    value_set(config, "id", value_new_string("talker"));
    value_set(config, "path", value_new_string(path));
    value_set(config, "server", value_new_string("on"));
    value_set(config, "wait", value_new_string("off"));
    Chardev *stream = chardev_new(config, NULL);
    Device *serial = device_new(rig_machine(rig), &isa_serial_model, NULL, NULL, NULL);
    device_set_link(serial, "chardev", stream);
    check(device_realize(serial, NULL));
    int talker = connect_to(path);
    for (unsigned i = 0; i < sizeof text; i++) {
        text[i] = i * 7;
    }
    check_eq(write(talker, text, sizeof text), (ssize_t)sizeof text);
    rig_outb(rig, COM1 + UART_IIR_FCR, FCR_ENABLE);
    unsigned received = 0;
    for (int64_t end = clock_now(CLOCK_STEADY) + 5 * NS_PER_SECOND; received < sizeof text && clock_now(CLOCK_STEADY) < end; ) {
        loop_iterate(false);
        while (rig_inb(rig, COM1 + UART_LSR) & LSR_DATA_READY) {
            check_eq(rig_inb(rig, COM1), (uint8_t)(received * 7));
            received++;
        }
        check_eq(rig_inb(rig, COM1 + UART_LSR) & LSR_OVERRUN, 0);
    }
    check_eq(received, sizeof text);
    close(talker);
    turn_loop_for(20 * NS_PER_MS);
    device_unrealize(serial);
    chardev_unref(stream);
    unlink(path);
}

const Test serial_tests[] = {
    { "four ports by index", ports_by_index, "isa", "isa-serial isa-serial isa-serial isa-serial", FRESH | RESTORED },
    { "each written byte asks for the next", transmit_interrupt_edges, "isa", "isa-serial", FRESH | RESTORED },
    { "loopback, and the time-out on the guest's clock", loopback_and_timeout, "isa", "isa-serial", FRESH | RESTORED },
    { "reset", reset_is_complete, "isa", "isa-serial", FRESH | RESTORED },
    { "output reaches the stream", output_reaches_the_stream, "isa", NULL, FRESH },
    { "a reader that sleeps holds the guest up for a second, not for ever", a_reader_that_sleeps, "isa", NULL, FRESH },
    { "input waits outside until there is room", input_waits_outside, "isa", NULL, FRESH },
    { "random accesses", random_pokes, "isa", "isa-serial", FRESH | RESTORED },
    { NULL } };
