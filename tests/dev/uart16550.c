/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uart16550.c - the serial chip alone: no machine, no clock but the argument */
#include "base/timer.h"
#include "hw/char/uart16550.h"
#include <glib.h>

/* 115200 baud, 8N1: ten bits to a character. */
#define CHARACTER (NS_PER_SECOND * 10 / 115200)

static void start(Uart16550 *uart, uint8_t fifo_control)
{
    uart16550_init(uart, 115200);
    uart16550_write(uart, UART_LCR, LCR_DLAB, 0);
    uart16550_write(uart, UART_RBR_THR, 1, 0);
    uart16550_write(uart, UART_IER, 0, 0);
    uart16550_write(uart, UART_LCR, 3, 0);
    uart16550_write(uart, UART_IIR_FCR, fifo_control, 0);
}

static uint8_t get(Uart16550 *uart, unsigned reg)
{
    return uart16550_read(uart, reg, 0);
}

static void put(Uart16550 *uart, unsigned reg, uint8_t value)
{
    uart16550_write(uart, reg, value, 0);
}

static void divisor_latch(void)
{
    Uart16550 uart;

    uart16550_init(&uart, 115200);
    put(&uart, UART_LCR, LCR_DLAB | 3);
    g_assert_cmphex(get(&uart, UART_RBR_THR), ==, 12);
    put(&uart, UART_RBR_THR, 0x34);
    put(&uart, UART_IER, 0x12);
    g_assert_cmphex(get(&uart, UART_RBR_THR), ==, 0x34);
    g_assert_cmphex(get(&uart, UART_IER), ==, 0x12);
    put(&uart, UART_LCR, 3);
    g_assert_cmphex(get(&uart, UART_IER), ==, 0);
    g_assert_cmpint(uart16550_character_time(&uart), ==, NS_PER_SECOND * 10 * 0x1234 / 115200);
}

static void reset_values(void)
{
    Uart16550 uart;

    uart16550_init(&uart, 0);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x60);
    g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0x01);
    g_assert_cmphex(get(&uart, UART_MSR), ==, 0xb0);
    g_assert_cmphex(get(&uart, UART_SCR), ==, 0);
    put(&uart, UART_SCR, 0xa5);
    g_assert_cmphex(get(&uart, UART_SCR), ==, 0xa5);
    put(&uart, UART_MCR, 0xff);
    g_assert_cmphex(get(&uart, UART_MCR), ==, 0x1f);
    put(&uart, UART_IER, 0xff);
    g_assert_cmphex(get(&uart, UART_IER), ==, 0x0f);
}

static void transmit_holds_until_sent(void)
{
    Uart16550 uart;
    uint8_t out[UART_FIFO_SIZE];

    start(&uart, 0);
    put(&uart, UART_RBR_THR, 'a');
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0);
    g_assert_cmpint(uart16550_output(&uart, out), ==, 1);
    g_assert_cmpint(out[0], ==, 'a');
    uart16550_sent(&uart, 1);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x60);

    start(&uart, FCR_ENABLE);
    for (int i = 0; i < 20; i++) {
        put(&uart, UART_RBR_THR, 'a' + i);
    }
    g_assert_cmpint(uart16550_output(&uart, out), ==, 16);
    g_assert_cmpint(out[0], ==, 'a');
    g_assert_cmpint(out[15], ==, 'a' + 19);
    uart16550_sent(&uart, 15);
    g_assert_cmphex(get(&uart, UART_LSR) & LSR_THR_EMPTY, ==, 0);
    put(&uart, UART_IIR_FCR, FCR_ENABLE | FCR_CLEAR_TRANSMITTER);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x60);
}

static void holding_empty_interrupt(void)
{
    Uart16550 uart;

    start(&uart, FCR_ENABLE);
    g_assert_false(uart16550_irq(&uart));
    put(&uart, UART_IER, IER_THR_EMPTY);
    g_assert_true(uart16550_irq(&uart));
    g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xc2);
    g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xc1);     /* reading it ended it */
    g_assert_false(uart16550_irq(&uart));
    put(&uart, UART_IER, IER_THR_EMPTY);                     /* no new edge of the enable bit */
    g_assert_false(uart16550_irq(&uart));
    put(&uart, UART_IER, 0);
    put(&uart, UART_IER, IER_THR_EMPTY);                     /* re-armed */
    g_assert_true(uart16550_irq(&uart));
    put(&uart, UART_RBR_THR, 'x');
    g_assert_false(uart16550_irq(&uart));
    uart16550_sent(&uart, 1);
    g_assert_true(uart16550_irq(&uart));
}

static void trigger_and_timeout(void)
{
    static const uint8_t level[4] = { 1, 4, 8, 14 };

    for (unsigned t = 0; t < 4; t++) {
        Uart16550 uart;
        start(&uart, FCR_ENABLE | t << 6);
        put(&uart, UART_IER, IER_RECEIVED);
        for (unsigned i = 1; i < level[t]; i++) {
            uart16550_receive(&uart, i, i);
            g_assert_false(uart16550_irq(&uart));
        }
        uart16550_receive(&uart, 0x55, 100);
        g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xc4);
        g_assert_cmphex(uart16550_read(&uart, UART_RBR_THR, 200), ==, level[t] == 1 ? 0x55 : 1);
        g_assert_false(uart16550_irq(&uart));
        if (level[t] == 1) {
            g_assert_cmpint(uart16550_deadline(&uart), ==, -1);
            continue;
        }
        g_assert_cmpint(uart16550_deadline(&uart), ==, 200 + 4 * CHARACTER);
        uart16550_tick(&uart, 200 + 4 * CHARACTER - 1);
        g_assert_false(uart16550_irq(&uart));
        uart16550_tick(&uart, 200 + 4 * CHARACTER);
        g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xcc);
        get(&uart, UART_RBR_THR);                            /* ends it and starts anew */
        g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xc1);
    }
}

static void priorities(void)
{
    Uart16550 uart;

    start(&uart, FCR_ENABLE);
    put(&uart, UART_IER, 0x0f);
    get(&uart, UART_MSR);
    uart16550_set_modem(&uart, 0);
    uart16550_receive_break(&uart, 0);
    g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xc6);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0xf1);         /* break, error in FIFO, empty, data ready */
    g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xc4);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x61);
    get(&uart, UART_RBR_THR);
    g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xc2);
    g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xc0);
    g_assert_cmphex(get(&uart, UART_MSR), ==, 0x0b);         /* CTS, DSR and DCD fell */
    g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0xc1);
    g_assert_false(uart16550_irq(&uart));
}

static void overrun(void)
{
    Uart16550 uart;

    start(&uart, FCR_ENABLE | 0xc0);
    for (int i = 0; i < 17; i++) {
        uart16550_receive(&uart, i, 0);
    }
    g_assert_cmpint(uart16550_room(&uart), ==, 0);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x63);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x61);
    for (int i = 0; i < 16; i++) {
        g_assert_cmpint(get(&uart, UART_RBR_THR), ==, i);    /* the FIFO kept what it had */
    }
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x60);

    start(&uart, 0);
    uart16550_receive(&uart, 1, 0);
    uart16550_receive(&uart, 2, 0);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x63);
    g_assert_cmpint(get(&uart, UART_RBR_THR), ==, 2);        /* without one the newest replaces */
}

static void a_break_waits_for_its_turn(void)
{
    Uart16550 uart;

    start(&uart, FCR_ENABLE);
    uart16550_receive(&uart, 'a', 0);
    uart16550_receive_break(&uart, 0);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0xe1);
    g_assert_cmpint(get(&uart, UART_RBR_THR), ==, 'a');
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0xf1);
    g_assert_cmpint(get(&uart, UART_RBR_THR), ==, 0);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x60);
}

static void loopback(void)
{
    Uart16550 uart;
    uint8_t out[UART_FIFO_SIZE];

    start(&uart, 0);
    get(&uart, UART_MSR);
    put(&uart, UART_MCR, MCR_LOOPBACK | MCR_RTS | MCR_OUT2);
    g_assert_cmphex(get(&uart, UART_MSR), ==, 0x90 | MSR_DDSR);
    put(&uart, UART_MCR, MCR_LOOPBACK | MCR_OUT1 | MCR_DTR);
    g_assert_cmphex(get(&uart, UART_MSR), ==, 0x60 | MSR_DCTS | MSR_DDSR | MSR_DDCD);
    put(&uart, UART_MCR, MCR_LOOPBACK);
    g_assert_cmphex(get(&uart, UART_MSR), ==, MSR_TERI | MSR_DDSR);
    put(&uart, UART_RBR_THR, 0x7e);
    g_assert_cmpint(uart16550_output(&uart, out), ==, 0);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x61);
    g_assert_cmphex(get(&uart, UART_RBR_THR), ==, 0x7e);
    put(&uart, UART_LCR, 0);                                 /* five bits */
    put(&uart, UART_RBR_THR, 0xff);
    g_assert_cmphex(get(&uart, UART_RBR_THR), ==, 0x1f);
    uart16550_receive(&uart, 'x', 0);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x60);         /* the line is cut */
    g_assert_cmpint(uart16550_room(&uart), ==, 0);
    put(&uart, UART_LCR, 3 | LCR_BREAK);
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x71);
}

static void fifo_switch_clears(void)
{
    Uart16550 uart;

    start(&uart, FCR_ENABLE);
    uart16550_receive(&uart, 1, 0);
    uart16550_receive(&uart, 2, 0);
    put(&uart, UART_IIR_FCR, 0xc6);                          /* bit 0 clear: the rest is not programmed, but FIFOs go off */
    g_assert_cmphex(get(&uart, UART_LSR), ==, 0x60);
    g_assert_cmphex(get(&uart, UART_IIR_FCR), ==, 0x01);
    g_assert_cmpint(uart16550_deadline(&uart), ==, -1);
}

/* Whatever a guest, a line and a clock do in any order, the state stays a possible one. */
static void random_pokes(void)
{
    Uart16550 uart;
    uint8_t out[UART_FIFO_SIZE];
    int64_t now = 0;
    g_autoptr(GRand) random = g_rand_new_with_seed(16550);

    uart16550_init(&uart, 115200);
    for (int i = 0; i < 1000000; i++) {
        uint32_t r = g_rand_int(random);
        now += r % 1000;
        switch (r >> 28) {
        case 0: case 1: case 2: case 3: case 4:
            uart16550_write(&uart, r >> 8, r >> 16, now);
            break;
        case 5: case 6: case 7: case 8: case 9:
            uart16550_read(&uart, r >> 8, now);
            break;
        case 10: case 11:
            uart16550_receive(&uart, r >> 8, now);
            break;
        case 12:
            uart16550_receive_break(&uart, now);
            break;
        case 13:
            uart16550_set_modem(&uart, r);
            break;
        case 14:
            uart16550_sent(&uart, r % 20);
            break;
        default:
            uart16550_tick(&uart, now);
            break;
        }
        g_assert_true(uart16550_valid(&uart));
        g_assert_cmpint(uart16550_output(&uart, out), <=, UART_FIFO_SIZE);
    }
}

static void impossible_states(void)
{
    Uart16550 uart;

    uart16550_init(&uart, 115200);
    g_assert_true(uart16550_valid(&uart));
    uart.received.count = 2;                                 /* FIFOs are off */
    g_assert_false(uart16550_valid(&uart));
    uart16550_init(&uart, 115200);
    uart.transmit.head = 16;
    g_assert_false(uart16550_valid(&uart));
    uart16550_init(&uart, 115200);
    uart.fcr = FCR_ENABLE;
    uart.received.count = 200;
    g_assert_false(uart16550_valid(&uart));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/uart16550/reset", reset_values);
    g_test_add_func("/uart16550/divisor", divisor_latch);
    g_test_add_func("/uart16550/transmit", transmit_holds_until_sent);
    g_test_add_func("/uart16550/holding-empty", holding_empty_interrupt);
    g_test_add_func("/uart16550/trigger-and-timeout", trigger_and_timeout);
    g_test_add_func("/uart16550/priorities", priorities);
    g_test_add_func("/uart16550/overrun", overrun);
    g_test_add_func("/uart16550/break", a_break_waits_for_its_turn);
    g_test_add_func("/uart16550/loopback", loopback);
    g_test_add_func("/uart16550/fifo-switch", fifo_switch_clears);
    g_test_add_func("/uart16550/random", random_pokes);
    g_test_add_func("/uart16550/impossible", impossible_states);
    return g_test_run();
}
