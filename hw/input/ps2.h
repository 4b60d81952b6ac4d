/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ps2.h - keyboard and mouse as chips at the end of a PS/2 wire: bytes in, bytes out
 *
 * No machine, no lock, no clock. i8042.c mounts both; another controller could.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PS2_QUEUE_SIZE = 64 };

/* Bytes on their way to the controller; bounded, and whole sequences or nothing. */
typedef struct Ps2Queue {
    uint8_t data[PS2_QUEUE_SIZE];
    uint8_t head, count;
} Ps2Queue;

void ps2_queue_clear(Ps2Queue *queue);
bool ps2_queue_put(Ps2Queue *queue, const uint8_t *bytes, size_t length);     /* false: no room for all of them, none taken */
uint8_t ps2_queue_get(Ps2Queue *queue);                                        /* 0 when empty */
bool ps2_queue_valid(const Ps2Queue *queue);                                   /* after a load */

typedef struct Ps2Keyboard {
    Ps2Queue replies, keys;                /* replies go first */
    uint8_t set;                           /* scan code set 1, 2 or 3 */
    uint8_t leds, rate;
    uint8_t expecting;                     /* the command whose parameter comes next, 0: none */
    uint8_t last_sent;                     /* for "resend" */
    bool scanning;
    uint8_t modifiers;                     /* held: bit 0 left and 1 right control, 2 and 3 alt, 4 and 5 shift */
} Ps2Keyboard;

void ps2_keyboard_init(Ps2Keyboard *keyboard);               /* power-on, without the AA of the self test */
void ps2_keyboard_write(Ps2Keyboard *keyboard, uint8_t value);
bool ps2_keyboard_pending(const Ps2Keyboard *keyboard);
uint8_t ps2_keyboard_read(Ps2Keyboard *keyboard);
void ps2_keyboard_key(Ps2Keyboard *keyboard, unsigned key, bool down);        /* key: Linux's KEY_ numbers */
bool ps2_keyboard_valid(const Ps2Keyboard *keyboard);
/* Set 1's make code, E000h added when it comes with a prefix; 0: none, or a sequence (Pause, Print Screen). */
uint16_t ps2_set1_code(unsigned key);
/* The controller's translation of one byte of set 2 into set 1; *after_f0 carries the break prefix along. -1: swallowed. */
int ps2_translate(uint8_t byte, bool *after_f0);

enum { PS2_MOUSE_PLAIN = 0, PS2_MOUSE_WHEEL = 3, PS2_MOUSE_EXPLORER = 4 };

typedef struct Ps2Mouse {
    Ps2Queue replies, packets;
    uint8_t id;                            /* PS2_MOUSE_... as the driver knocked */
    uint8_t resolution, rate, expecting, last_sent;
    uint8_t knock[2];                      /* the two sample rates before the last */
    bool enabled, remote, wrap, twice;     /* stream reporting on; remote mode; echo mode; 2:1 scaling */
    uint8_t buttons, buttons_sent;         /* bit 0 left, 1 right, 2 middle, 3 side, 4 extra */
    int32_t dx, dy, dz;                    /* not reported yet; up is positive */
} Ps2Mouse;

void ps2_mouse_init(Ps2Mouse *mouse);
void ps2_mouse_write(Ps2Mouse *mouse, uint8_t value);
bool ps2_mouse_pending(const Ps2Mouse *mouse);
uint8_t ps2_mouse_read(Ps2Mouse *mouse);
void ps2_mouse_motion(Ps2Mouse *mouse, int dx, int dy, int dz);               /* right, down, towards the user: positive */
void ps2_mouse_button(Ps2Mouse *mouse, unsigned button, bool down);           /* number of the bit in .buttons */
void ps2_mouse_sync(Ps2Mouse *mouse);                        /* send what came, if the driver wants it */
bool ps2_mouse_valid(const Ps2Mouse *mouse);
