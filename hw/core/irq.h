/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irq.h - a wire, as a value that is given to a device
 *
 * Machine lock held. Setting a level that the line already has is harmless; the sink decides what an edge is.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct IrqLine {
    void (*set)(void *sink, int pin, bool high);
    void *sink;
    int pin;
} IrqLine;

static inline void irq_set(IrqLine line, bool high)
{
    if (line.set) {
        line.set(line.sink, line.pin, high);
    }
}
static inline bool irq_connected(IrqLine line) { return line.set != NULL; }
