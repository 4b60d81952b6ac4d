/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8237.c - a four-channel DMA controller without its bus
 *
 * Models   Intel 8237A (order number 231466): address and count with their base registers, mode, mask, request, status, auto-initialize,
 *          address decrement, the flip-flop, master clear
 * Omits    memory-to-memory, rotating priority and compressed timing: the bits are kept and do nothing; demand, single and block mode
 *          differ in bus timing only, which there is none of
 * Tests    tests/dev/i8237.c
 */
#include "hw/isa/i8237.h"
#include "base/error.h"
#include <errno.h>
#include <string.h>

enum { STATUS_COMMAND = 8, REQUEST, SINGLE_MASK, MODE, CLEAR_FLIP_FLOP, MASTER_CLEAR, CLEAR_MASK, ALL_MASK };
enum { COMMAND_DISABLE = 0x04, MODE_TRANSFER = 0x0c, MODE_AUTO = 0x10, MODE_DOWN = 0x20, MODE_SELECT = 0xc0, MODE_CASCADE = 0xc0 };

void i8237_reset(I8237 *chip)
{
    uint8_t lines = chip->requests & 15;

    memset(chip, 0, sizeof *chip);
    chip->mask = 15;
    chip->requests = lines;                /* wires do not know of resets */
}

static void master_clear(I8237 *chip)
{
    chip->command = chip->terminal = 0;
    chip->mask = 15;
    chip->requests &= 15;
    chip->high_byte = false;
}

uint8_t i8237_read(I8237 *chip, unsigned reg)
{
    if (reg < STATUS_COMMAND) {
        const I8237Channel *channel = &chip->channels[reg / 2];
        unsigned shift = chip->high_byte ? 8 : 0;
        chip->high_byte = !chip->high_byte;
        return (uint8_t)((reg & 1 ? channel->count : channel->address) >> shift);
    }
    switch (reg) {
    case STATUS_COMMAND: {
        uint8_t status = (uint8_t)(chip->terminal | chip->requests << 4);
        chip->terminal = 0;
        return status;
    }
    case ALL_MASK:
        return chip->mask | 0xf0;
    default:                               /* the temporary register, of memory-to-memory transfers */
        return 0;
    }
}

static void write_word(I8237 *chip, unsigned reg, uint8_t value)
{
    I8237Channel *channel = &chip->channels[reg / 2];
    uint16_t *base = reg & 1 ? &channel->base_count : &channel->base_address;

    *base = chip->high_byte ? (uint16_t)((*base & 0x00ff) | value << 8) : (uint16_t)((*base & 0xff00) | value);
    chip->high_byte = !chip->high_byte;
    *(reg & 1 ? &channel->count : &channel->address) = *base;
}

void i8237_write(I8237 *chip, unsigned reg, uint8_t value)
{
    uint8_t bit = (uint8_t)(1u << (value & 3));

    if (reg < STATUS_COMMAND) {
        write_word(chip, reg, value);
        return;
    }
    switch (reg) {
    case STATUS_COMMAND: chip->command = value; break;
    case REQUEST: chip->requests = (uint8_t)(value & 4 ? chip->requests | bit << 4 : chip->requests & ~(bit << 4)); break;
    case SINGLE_MASK: chip->mask = (uint8_t)(value & 4 ? chip->mask | bit : chip->mask & ~bit); break;
    case MODE: chip->channels[value & 3].mode = value & 0xfc; break;
    case CLEAR_FLIP_FLOP: chip->high_byte = false; break;
    case MASTER_CLEAR: master_clear(chip); break;
    case CLEAR_MASK: chip->mask = 0; break;
    case ALL_MASK: chip->mask = value & 15; break;
    default: break;
    }
}

void i8237_set_request(I8237 *chip, unsigned channel, bool high)
{
    uint8_t bit = (uint8_t)(1u << channel);

    chip->requests = (uint8_t)(high ? chip->requests | bit : chip->requests & ~bit);
}

bool i8237_run(const I8237 *chip, unsigned channel, I8237Run *run)
{
    const I8237Channel *c = &chip->channels[channel];
    uint8_t asked = (uint8_t)((chip->requests | chip->requests >> 4) & ~chip->mask);

    if ((chip->command & COMMAND_DISABLE) || !(asked >> channel & 1) || (c->mode & MODE_SELECT) == MODE_CASCADE) {
        return false;
    }
    run->down = c->mode & MODE_DOWN;
    run->transfer = (I8237Transfer)((c->mode & MODE_TRANSFER) >> 2);
    run->address = c->address;
    run->transfers = MIN(c->count + 1u, run->down ? c->address + 1u : 0x10000u - c->address);      /* then it wraps */
    return run->transfer != I8237_ILLEGAL;
}

bool i8237_moved(I8237 *chip, unsigned channel, uint32_t transfers)
{
    I8237Channel *c = &chip->channels[channel];
    uint8_t bit = (uint8_t)(1u << channel);
    bool end = transfers > c->count;

    c->address = (uint16_t)(c->mode & MODE_DOWN ? c->address - transfers : c->address + transfers);
    c->count = (uint16_t)(c->count - transfers);
    if (!end) {
        return false;
    }
    chip->terminal |= bit;
    chip->requests &= (uint8_t)~(bit << 4);
    if (c->mode & MODE_AUTO) {
        c->address = c->base_address;
        c->count = c->base_count;
    } else {
        chip->mask |= bit;
    }
    return true;
}

bool i8237_after_load(const I8237 *chip, GError **err)
{
    if (chip->mask > 15 || chip->terminal > 15) {
        return fail(err, EINVAL, "saved state: a DMA controller with channels that it does not have");
    }
    return true;
}

static const Field channel_saved[] = {
    SAVE_U16(I8237Channel, base_address), SAVE_U16(I8237Channel, base_count), SAVE_U16(I8237Channel, address), SAVE_U16(I8237Channel, count),
    SAVE_U8(I8237Channel, mode), FIELD_END };

const Field i8237_saved[] = {
    SAVE_STRUCTS(I8237, channels, channel_saved), SAVE_U8(I8237, command), SAVE_U8(I8237, mask), SAVE_U8(I8237, terminal), SAVE_U8(I8237, requests),
    SAVE_BOOL(I8237, high_byte), FIELD_END };
