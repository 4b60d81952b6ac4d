/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uart16550.h - the 16550A as a chip: registers in, line level out, time as an argument
 *
 * Whoever mounts it gives it eight register addresses, moves bytes between it and a stream, restates its interrupt line
 * after every call, and calls uart16550_tick() at uart16550_deadline(). It takes no lock, owns no memory and knows no
 * machine. now is nanoseconds on the guest's clock everywhere.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {                                     /* registers, as offsets from the base */
    UART_RBR_THR = 0,                      /* receiver buffer, transmitter holding; divisor low with DLAB */
    UART_IER = 1,                          /* interrupt enable; divisor high with DLAB */
    UART_IIR_FCR = 2,                      /* interrupt identification, FIFO control */
    UART_LCR = 3,                          /* line control */
    UART_MCR = 4,                          /* modem control */
    UART_LSR = 5,                          /* line status */
    UART_MSR = 6,                          /* modem status */
    UART_SCR = 7,                          /* scratch */
    UART_REGISTERS = 8,
};
enum { IER_RECEIVED = 0x01, IER_THR_EMPTY = 0x02, IER_LINE = 0x04, IER_MODEM = 0x08 };
enum { IIR_NONE = 0x01, IIR_MODEM = 0x00, IIR_THR_EMPTY = 0x02, IIR_RECEIVED = 0x04, IIR_LINE = 0x06, IIR_TIMEOUT = 0x0c, IIR_FIFOS = 0xc0 };
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RECEIVER = 0x02, FCR_CLEAR_TRANSMITTER = 0x04, FCR_DMA_MODE = 0x08, FCR_TRIGGER = 0xc0 };
enum { LCR_WORD = 0x03, LCR_STOP = 0x04, LCR_PARITY = 0x08, LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOPBACK = 0x10 };
enum {
    LSR_DATA_READY = 0x01, LSR_OVERRUN = 0x02, LSR_PARITY = 0x04, LSR_FRAMING = 0x08, LSR_BREAK = 0x10,
    LSR_THR_EMPTY = 0x20, LSR_EMPTY = 0x40, LSR_FIFO_ERROR = 0x80,
};
enum {
    MSR_DCTS = 0x01, MSR_DDSR = 0x02, MSR_TERI = 0x04, MSR_DDCD = 0x08,
    MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80,
};
enum { UART_FIFO_SIZE = 16 };

typedef struct UartFifo {
    uint8_t data[UART_FIFO_SIZE];
    uint8_t errors[UART_FIFO_SIZE];        /* LSR_BREAK and friends, of each received character */
    uint8_t head, count;                   /* head is the oldest */
} UartFifo;

typedef struct Uart16550 {
    uint8_t ier, fcr, lcr, mcr, scr;
    uint8_t line_errors;                   /* LSR bits 1 to 4, latched until LSR is read */
    uint8_t modem;                         /* MSR: the inputs from outside in bits 4 to 7, and the deltas below */
    uint16_t divisor;
    bool thr_interrupt;                    /* "transmitter holding register empty" waits to be reported */
    bool timed_out;                        /* characters wait in the receiver and none came or went for a while */
    int64_t timeout_at;                    /* when that while ends, or -1 */
    UartFifo received, transmit;
    uint32_t baud_base;                    /* rate at divisor 1: 115200 */
} Uart16550;

void uart16550_init(Uart16550 *uart, uint32_t baud_base);
void uart16550_reset(Uart16550 *uart);
uint8_t uart16550_read(Uart16550 *uart, unsigned reg, int64_t now);           /* reg is taken modulo 8 */
void uart16550_write(Uart16550 *uart, unsigned reg, uint8_t value, int64_t now);
bool uart16550_irq(const Uart16550 *uart);
int64_t uart16550_deadline(const Uart16550 *uart);                             /* -1: nothing to wait for */
void uart16550_tick(Uart16550 *uart, int64_t now);
int64_t uart16550_character_time(const Uart16550 *uart);                       /* ns per character at the set rate */

/* The wire. */
size_t uart16550_room(const Uart16550 *uart);                                  /* characters it takes without an overrun */
void uart16550_receive(Uart16550 *uart, uint8_t byte, int64_t now);
void uart16550_receive_break(Uart16550 *uart, int64_t now);
size_t uart16550_output(const Uart16550 *uart, uint8_t out[UART_FIFO_SIZE]);   /* what waits to be sent, oldest first */
void uart16550_sent(Uart16550 *uart, size_t count);                            /* the first count of these are gone */
void uart16550_set_modem(Uart16550 *uart, uint8_t inputs);                     /* MSR_CTS | MSR_DSR | MSR_RI | MSR_DCD */

/* After a load: false when the state could not have come from a 16550 (a hostile stream). */
bool uart16550_valid(const Uart16550 *uart);
