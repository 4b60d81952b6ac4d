/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ui/input.h - what people do with keyboards and mice, on its way to the device that takes it
 *
 * Keys are Linux's KEY_* numbers (linux/input-event-codes.h). The handler attached last that takes a kind of event gets it.
 * Machine lock held. This is the one door for input, so that a recording sees all of it.
 */
#pragma once
#include <stdbool.h>

enum { INPUT_KEY_LIMIT = 256 };
typedef enum {
    INPUT_LEFT, INPUT_MIDDLE, INPUT_RIGHT, INPUT_WHEEL_UP, INPUT_WHEEL_DOWN, INPUT_SIDE, INPUT_EXTRA, INPUT_BUTTONS,
} InputButton;

typedef struct InputHandler {
    void (*key)(void *opaque, unsigned key, bool down);               /* each may be NULL: not taken */
    void (*button)(void *opaque, InputButton button, bool down);
    void (*motion)(void *opaque, int dx, int dy);                     /* right and down are positive */
    void (*sync)(void *opaque);                                       /* the events since the last belong together */
} InputHandler;

void input_attach(const InputHandler *handler, void *opaque);
void input_detach(void *opaque);

void input_key(unsigned key, bool down);
void input_button(InputButton button, bool down);
void input_motion(int dx, int dy);
void input_sync(void);
/* Somebody takes events of that kind. */
typedef enum { INPUT_TAKES_KEYS, INPUT_TAKES_BUTTONS, INPUT_TAKES_MOTION } InputTakes;
bool input_is_taken(InputTakes kind);
/* Keyboard lights, told by the device: bits 0 scroll, 1 num, 2 caps. */
void input_leds_set(unsigned leds);
unsigned input_leds(void);
