/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8237.h - the DMA controller chip: registers and the addresses that its channels count through
 *
 * Pure: knows no memory, no pages and no devices. Whoever mounts it moves the bytes: i8237_run() says where the next ones go and how
 * many can move before the address wraps or the count ends, i8237_moved() counts them.
 */
#pragma once
#include "base/field.h"

enum { I8237_CHANNELS = 4, I8237_REGISTERS = 16 };
typedef enum { I8237_VERIFY, I8237_TO_MEMORY, I8237_FROM_MEMORY, I8237_ILLEGAL } I8237Transfer;

typedef struct I8237Channel {
    uint16_t base_address, base_count, address, count;     /* count: transfers less one; ffff after the last */
    uint8_t mode;
} I8237Channel;

typedef struct I8237 {
    I8237Channel channels[I8237_CHANNELS];
    uint8_t command, mask, terminal;       /* terminal: channels that reached the end since the status was read */
    uint8_t requests;                      /* DRQ lines, and software requests in the high nibble */
    bool high_byte;                        /* of the next address or count access */
} I8237;

typedef struct I8237Run {
    uint16_t address;
    uint32_t transfers;                    /* at most 65536 */
    bool down;                             /* the address counts down */
    I8237Transfer transfer;
} I8237Run;

void i8237_reset(I8237 *chip);
uint8_t i8237_read(I8237 *chip, unsigned reg);
void i8237_write(I8237 *chip, unsigned reg, uint8_t value);
void i8237_set_request(I8237 *chip, unsigned channel, bool high);
/* True when the channel may move data now. */
bool i8237_run(const I8237 *chip, unsigned channel, I8237Run *run);
/* `transfers` of them have moved; true at the terminal count. */
bool i8237_moved(I8237 *chip, unsigned channel, uint32_t transfers);
bool i8237_after_load(const I8237 *chip, GError **err);
extern const Field i8237_saved[];
