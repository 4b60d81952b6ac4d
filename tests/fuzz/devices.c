/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices.c - fuzz target: a guest's accesses to the devices of a PC board, in any order, at any time
 *
 * An operation is eight bytes: what to do, how wide, where (16 bits; memory windows and configuration space are named by the
 * kind), a 32-bit value. Every input meets a machine just made.
 */
#include "base/bytes.h"
#include "tests/rig/run.h"
#include "ui/input.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPERATION_SIZE = 8, MOST_OPERATIONS = 4096 };
typedef enum { OP_OUT, OP_IN, OP_CONFIG_WRITE, OP_CONFIG_READ, OP_STORE, OP_LOAD, OP_TIME, OP_PEOPLE, OP_KINDS } Operation;

static const Test machine = {
    .name = "devices", .board = "pc",
    .devices = "isa-serial isa-serial pvpanic pc-testdev isa-debug-exit isa-debugcon,iobase=0x402",
};

static uint64_t place(uint16_t where, uint32_t value)
{
    static const uint64_t windows[8] = { 0, 0xa0000, 0xe0000000, 0xff000000, 0xfec00000, 0xfed00000, 0xfee00000, 0x80000000 };

    return windows[where >> 13] + (value >> 31 ? value & 0x3ff0000 : 0) + (where & 0x1fff) * 4;
}

/* Most devices are below 1000h: half of all inputs go there. */
static uint16_t port_of(uint16_t where)
{
    return where & 0x8000 ? where : where & 0x0fff;
}

static void people(uint16_t where, uint32_t value)
{
    input_key(where % INPUT_KEY_LIMIT, value & 1);
    input_motion((int16_t)value, (int16_t)(value >> 16));
    input_button(where % INPUT_BUTTONS, value & 2);
    input_sync();
}

static void operate(Rig *rig, const uint8_t *bytes)
{
    unsigned size = 1u << bytes[1] % 3;
    uint16_t where = load_le16(bytes + 2);
    uint32_t value = load_le32(bytes + 4);
    uint64_t read;

    switch ((Operation)(bytes[0] % OP_KINDS)) {
    case OP_OUT:
        space_store(rig_machine(rig)->ports, port_of(where), size, value);
        break;
    case OP_IN:
        space_load(rig_machine(rig)->ports, port_of(where), size, &read);
        break;
    case OP_CONFIG_WRITE:
        rig_outl(rig, 0xcf8, 0x80000000 | (where & 0x1ffc));
        space_store(rig_machine(rig)->ports, 0xcfc + (bytes[1] >> 4) % 4, size, value);
        break;
    case OP_CONFIG_READ:
        rig_outl(rig, 0xcf8, 0x80000000 | where);
        space_load(rig_machine(rig)->ports, 0xcfc + (bytes[1] >> 4) % 4, size, &read);
        break;
    case OP_STORE:
        rig_store(rig, place(where, value), size, value);
        break;
    case OP_LOAD:
        rig_load(rig, place(where, value), size);
        break;
    case OP_TIME:
        guest_clock_step_to(clock_now(CLOCK_GUEST) + value % (3 * NS_PER_SECOND));
        break;
    default:
        people(where, value);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool prepared;

    if (!prepared) {
        rig_prepare();
        prepared = true;
    }
    Rig *rig = rig_new(&machine, FRESH);
    for (size_t i = 0; i + OPERATION_SIZE <= size && i < (size_t)MOST_OPERATIONS * OPERATION_SIZE; i += OPERATION_SIZE) {
        operate(rig, data + i);
    }
    rig_free(rig);
    return 0;
}
