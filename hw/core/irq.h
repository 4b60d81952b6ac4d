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

/* A test's view of all wires (qtest's intercepts); NULL otherwise. Called before the sink, for lines without a sink too. */
extern void (*irq_observer)(IrqLine line, bool high);

static inline void irq_set(IrqLine line, bool high)
{
    if (__builtin_expect(irq_observer != NULL, 0)) {
        irq_observer(line, high);
    }
    if (line.set) {
        line.set(line.sink, line.pin, high);
    }
}
static inline bool irq_connected(IrqLine line) { return line.set != NULL; }
