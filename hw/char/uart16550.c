/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uart16550.c - universal asynchronous receiver and transmitter with FIFOs
 *
 * Models   National Semiconductor PC16550D (June 1995): both FIFOs, trigger levels, character time-out, interrupt
 *          priorities, loopback, break, overrun, divisor latch, scratch register
 * Omits    the time a character takes to leave (the stream sets the pace: the holding register is full until it took the
 *          byte), parity and framing errors (a stream has none), a break sent to the line, OUT2 as a gate of the
 *          interrupt (many guests rely on virtual machines not having it)
 * Wires    none; serial.c mounts it on ISA
 * Threads  none of its own; the caller's lock
 * Tests    tests/dev/uart16550.c
 */
#include "hw/char/uart16550.h"
#include "base/timer.h"
#include <string.h>

static bool fifos_on(const Uart16550 *uart)
{
    return (uart->fcr & FCR_ENABLE) != 0;
}

static unsigned capacity(const Uart16550 *uart)
{
    return fifos_on(uart) ? UART_FIFO_SIZE : 1;
}

static void fifo_push(UartFifo *fifo, uint8_t byte, uint8_t errors)
{
    unsigned at = (fifo->head + fifo->count) % UART_FIFO_SIZE;

    fifo->data[at] = byte;
    fifo->errors[at] = errors;
    fifo->count++;
}

static uint8_t fifo_pop(UartFifo *fifo)
{
    uint8_t byte = fifo->data[fifo->head];

    fifo->head = (fifo->head + 1) % UART_FIFO_SIZE;
    fifo->count--;
    return byte;
}

static void fifo_clear(UartFifo *fifo)
{
    fifo->head = fifo->count = 0;
}

/* Characters with an error that LSR has not shown yet. */
static bool fifo_has_errors(const UartFifo *fifo)
{
    for (unsigned i = 0; i < fifo->count; i++) {
        if (fifo->errors[(fifo->head + i) % UART_FIFO_SIZE]) {
            return true;
        }
    }
    return false;
}

static unsigned trigger_level(const Uart16550 *uart)
{
    static const uint8_t levels[4] = { 1, 4, 8, 14 };

    return fifos_on(uart) ? levels[uart->fcr >> 6] : 1;
}

int64_t uart16550_character_time(const Uart16550 *uart)
{
    /* A start bit, the word, parity, one stop bit or (as the data sheet counts 1.5 and 2) two. */
    unsigned bits = 1 + 5 + (uart->lcr & LCR_WORD) + !!(uart->lcr & LCR_PARITY) + 1 + !!(uart->lcr & LCR_STOP);
    unsigned divisor = uart->divisor ? uart->divisor : 1;

    return NS_PER_SECOND * bits * divisor / uart->baud_base;
}

/* Section 8.3: four character times without a character coming or going, and characters waiting. */
static void restart_timeout(Uart16550 *uart, int64_t now)
{
    uart->timed_out = false;
    uart->timeout_at = fifos_on(uart) && uart->received.count ? now + 4 * uart16550_character_time(uart) : -1;
}

/* LSR shows a character's errors when it is at the top of the FIFO. */
static void reveal_errors(Uart16550 *uart)
{
    if (uart->received.count) {
        uart->line_errors |= uart->received.errors[uart->received.head];
    }
}

static void receive(Uart16550 *uart, uint8_t byte, uint8_t errors, int64_t now)
{
    if (uart->received.count >= capacity(uart)) {
        uart->line_errors |= LSR_OVERRUN;
        if (!fifos_on(uart)) {                 /* the new character replaces the old; a FIFO keeps what it has */
            fifo_clear(&uart->received);
            fifo_push(&uart->received, byte, errors);
            reveal_errors(uart);
        }
        return;
    }
    fifo_push(&uart->received, byte, errors);
    if (uart->received.count == 1) {
        reveal_errors(uart);
    }
    restart_timeout(uart, now);
}

size_t uart16550_room(const Uart16550 *uart)
{
    /* In loopback the serial input is disconnected: what comes waits outside. */
    return uart->mcr & MCR_LOOPBACK ? 0 : capacity(uart) - uart->received.count;
}

void uart16550_receive(Uart16550 *uart, uint8_t byte, int64_t now)
{
    if (!(uart->mcr & MCR_LOOPBACK)) {
        receive(uart, byte, 0, now);
    }
}

void uart16550_receive_break(Uart16550 *uart, int64_t now)
{
    if (!(uart->mcr & MCR_LOOPBACK)) {
        receive(uart, 0, LSR_BREAK, now);
    }
}

size_t uart16550_output(const Uart16550 *uart, uint8_t out[UART_FIFO_SIZE])
{
    for (unsigned i = 0; i < uart->transmit.count; i++) {
        out[i] = uart->transmit.data[(uart->transmit.head + i) % UART_FIFO_SIZE];
    }
    return uart->transmit.count;
}

void uart16550_sent(Uart16550 *uart, size_t count)
{
    for (; count && uart->transmit.count; count--) {
        fifo_pop(&uart->transmit);
        if (!uart->transmit.count) {
            uart->thr_interrupt = true;
        }
    }
}

/* Notes changes of the modem inputs: any edge of CTS, DSR and DCD, the trailing edge of RI. */
static void set_modem_inputs(Uart16550 *uart, uint8_t before, uint8_t after)
{
    uint8_t changed = (before ^ after) >> 4;

    changed &= MSR_DCTS | MSR_DDSR | MSR_DDCD | (before & MSR_RI ? MSR_TERI : 0);
    uart->modem |= changed;
}

static uint8_t modem_inputs(const Uart16550 *uart)
{
    if (!(uart->mcr & MCR_LOOPBACK)) {
        return uart->modem & 0xf0;
    }
    return (uart->mcr & MCR_RTS ? MSR_CTS : 0) | (uart->mcr & MCR_DTR ? MSR_DSR : 0) |
           (uart->mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

void uart16550_set_modem(Uart16550 *uart, uint8_t inputs)
{
    uint8_t before = modem_inputs(uart);

    uart->modem = (uart->modem & 0x0f) | (inputs & 0xf0);
    set_modem_inputs(uart, before, modem_inputs(uart));
}

static void write_holding(Uart16550 *uart, uint8_t value, int64_t now)
{
    uart->thr_interrupt = false;
    if (uart->mcr & MCR_LOOPBACK) {
        receive(uart, value & (0xff >> (3 - (uart->lcr & LCR_WORD))), 0, now);
        uart->thr_interrupt = true;
        return;
    }
    if (uart->transmit.count >= capacity(uart)) {      /* the guest did not look: the newest is overwritten */
        uart->transmit.count--;
    }
    fifo_push(&uart->transmit, value, 0);
}

static void write_fifo_control(Uart16550 *uart, uint8_t value, int64_t now)
{
    bool toggled = (value ^ uart->fcr) & FCR_ENABLE;

    /* "Bit 0 must be a 1 when other FCR bits are written to or they will not be programmed." */
    uart->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_DMA_MODE | FCR_TRIGGER) : 0;
    if (toggled || (value & (FCR_ENABLE | FCR_CLEAR_RECEIVER)) == (FCR_ENABLE | FCR_CLEAR_RECEIVER)) {
        fifo_clear(&uart->received);
        uart->line_errors &= LSR_OVERRUN;
    }
    if ((toggled || (value & (FCR_ENABLE | FCR_CLEAR_TRANSMITTER)) == (FCR_ENABLE | FCR_CLEAR_TRANSMITTER)) &&
        uart->transmit.count) {
        fifo_clear(&uart->transmit);
        uart->thr_interrupt = true;
    }
    restart_timeout(uart, now);
}

static void write_modem_control(Uart16550 *uart, uint8_t value)
{
    uint8_t before = modem_inputs(uart);

    uart->mcr = value & 0x1f;
    set_modem_inputs(uart, before, modem_inputs(uart));
}

static void write_line_control(Uart16550 *uart, uint8_t value, int64_t now)
{
    bool break_begins = value & ~uart->lcr & LCR_BREAK;

    uart->lcr = value;
    if (break_begins && uart->mcr & MCR_LOOPBACK) {
        receive(uart, 0, LSR_BREAK, now);
    }
}

static uint8_t interrupt_identity(const Uart16550 *uart)
{
    bool data = uart->received.count >= trigger_level(uart);

    if (uart->ier & IER_LINE && uart->line_errors) {
        return IIR_LINE;
    }
    if (uart->ier & IER_RECEIVED && data) {
        return IIR_RECEIVED;
    }
    if (uart->ier & IER_RECEIVED && uart->timed_out) {
        return IIR_TIMEOUT;
    }
    if (uart->ier & IER_THR_EMPTY && uart->thr_interrupt) {
        return IIR_THR_EMPTY;
    }
    if (uart->ier & IER_MODEM && uart->modem & 0x0f) {
        return IIR_MODEM;
    }
    return IIR_NONE;
}

static uint8_t read_buffer(Uart16550 *uart, int64_t now)
{
    if (!uart->received.count) {
        return uart->received.data[(uart->received.head + UART_FIFO_SIZE - 1) % UART_FIFO_SIZE];   /* the last one again */
    }
    uint8_t byte = fifo_pop(&uart->received);
    reveal_errors(uart);
    restart_timeout(uart, now);
    return byte;
}

static uint8_t read_identity(Uart16550 *uart)
{
    uint8_t identity = interrupt_identity(uart);

    if (identity == IIR_THR_EMPTY) {       /* reading it is one of its two ways to end */
        uart->thr_interrupt = false;
    }
    return identity | (fifos_on(uart) ? IIR_FIFOS : 0);
}

static uint8_t read_line_status(Uart16550 *uart)
{
    uint8_t status = uart->line_errors;

    if (uart->received.count) {
        status |= LSR_DATA_READY;
        if (fifos_on(uart) && fifo_has_errors(&uart->received)) {
            status |= LSR_FIFO_ERROR;
        }
        uart->received.errors[uart->received.head] = 0;
    }
    if (!uart->transmit.count) {
        status |= LSR_THR_EMPTY | LSR_EMPTY;
    }
    uart->line_errors = 0;
    return status;
}

static uint8_t read_modem_status(Uart16550 *uart)
{
    uint8_t status = modem_inputs(uart) | (uart->modem & 0x0f);

    uart->modem &= 0xf0;
    return status;
}

uint8_t uart16550_read(Uart16550 *uart, unsigned reg, int64_t now)
{
    bool divisor = uart->lcr & LCR_DLAB;

    switch (reg % UART_REGISTERS) {
    case UART_RBR_THR:
        return divisor ? uart->divisor & 0xff : read_buffer(uart, now);
    case UART_IER:
        return divisor ? uart->divisor >> 8 : uart->ier;
    case UART_IIR_FCR:
        return read_identity(uart);
    case UART_LCR:
        return uart->lcr;
    case UART_MCR:
        return uart->mcr;
    case UART_LSR:
        return read_line_status(uart);
    case UART_MSR:
        return read_modem_status(uart);
    default:
        return uart->scr;
    }
}

static void write_interrupt_enable(Uart16550 *uart, uint8_t value)
{
    /* Enabling it while the register is empty reports that at once; drivers start their output so. */
    if (value & ~uart->ier & IER_THR_EMPTY && !uart->transmit.count) {
        uart->thr_interrupt = true;
    }
    uart->ier = value & 0x0f;
}

void uart16550_write(Uart16550 *uart, unsigned reg, uint8_t value, int64_t now)
{
    bool divisor = uart->lcr & LCR_DLAB;

    switch (reg % UART_REGISTERS) {
    case UART_RBR_THR:
        if (divisor) {
            uart->divisor = (uart->divisor & 0xff00) | value;
        } else {
            write_holding(uart, value, now);
        }
        break;
    case UART_IER:
        if (divisor) {
            uart->divisor = (uart->divisor & 0x00ff) | value << 8;
        } else {
            write_interrupt_enable(uart, value);
        }
        break;
    case UART_IIR_FCR:
        write_fifo_control(uart, value, now);
        break;
    case UART_LCR:
        write_line_control(uart, value, now);
        break;
    case UART_MCR:
        write_modem_control(uart, value);
        break;
    case UART_SCR:
        uart->scr = value;
        break;
    default:                               /* LSR and MSR: "intended for read operations only" */
        break;
    }
}

bool uart16550_irq(const Uart16550 *uart)
{
    return interrupt_identity(uart) != IIR_NONE;
}

int64_t uart16550_deadline(const Uart16550 *uart)
{
    return uart->timeout_at;
}

void uart16550_tick(Uart16550 *uart, int64_t now)
{
    if (uart->timeout_at >= 0 && now >= uart->timeout_at) {
        uart->timeout_at = -1;
        uart->timed_out = uart->received.count != 0;
    }
}

void uart16550_init(Uart16550 *uart, uint32_t baud_base)
{
    memset(uart, 0, sizeof *uart);
    uart->baud_base = baud_base ? baud_base : 115200;
    uart->modem = MSR_CTS | MSR_DSR | MSR_DCD;
    uart16550_reset(uart);
}

void uart16550_reset(Uart16550 *uart)
{
    uint8_t inputs = uart->modem & 0xf0;
    uint32_t baud_base = uart->baud_base;

    memset(uart, 0, sizeof *uart);
    uart->baud_base = baud_base;
    uart->modem = inputs;
    uart->divisor = 12;                    /* 9600, as firmware leaves it; the chip itself comes up with noise there */
    uart->timeout_at = -1;
    uart->thr_interrupt = true;            /* empty it is, once somebody enables that interrupt */
}

bool uart16550_valid(const Uart16550 *uart)
{
    return uart->received.head < UART_FIFO_SIZE && uart->transmit.head < UART_FIFO_SIZE &&
           uart->received.count <= capacity(uart) && uart->transmit.count <= capacity(uart) &&
           uart->baud_base != 0 && uart->timeout_at >= -1 && !(uart->mcr & ~0x1f) && !(uart->ier & ~0x0f) &&
           !(uart->line_errors & ~0x1e);
}
