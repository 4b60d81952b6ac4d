/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ps2-keyboard.c - a 105-key keyboard: scan code sets 1, 2 and 3, and its commands
 *
 * Models   IBM Enhanced Keyboard (PS/2 Technical Reference, "Keyboard"): all commands, Pause and Print Screen sequences,
 *          multimedia keys of common keyboards
 * Omits    repeat (whoever types repeats), the per-key types of set 3 (accepted), the shifts that old keyboards fake around
 *          grey keys, half a second of self test
 * Wires    none; i8042.c mounts it
 * Threads  none of its own; the caller's lock
 * Tests    tests/dev/ps2.c
 *
 * One table says set 1 for each key. Set 2 follows from it: the controller's translation, which every PC has in hardware,
 * read backwards.
 */
#include "hw/input/ps2.h"
#include "ui/input.h"
#include <linux/input-event-codes.h>
#include <string.h>

enum { SELF_TEST_PASSED = 0xaa, ECHO = 0xee, ACKNOWLEDGE = 0xfa, RESEND = 0xfe, OVERRUN = 0xff, BREAK_PREFIX = 0xf0 };
enum {
    CMD_LEDS = 0xed, CMD_ECHO = 0xee, CMD_SET = 0xf0, CMD_ID = 0xf2, CMD_RATE = 0xf3, CMD_ENABLE = 0xf4, CMD_DISABLE = 0xf5,
    CMD_DEFAULTS = 0xf6, CMD_ALL_KEYS_FIRST = 0xf7, CMD_ALL_KEYS_LAST = 0xfa, CMD_KEY_FIRST = 0xfb, CMD_KEY_LAST = 0xfd,
    CMD_RESEND = 0xfe, CMD_RESET = 0xff, CMD_LOWEST = CMD_LEDS,
};
enum { KEY_QUEUE_LIMIT = 32, DEFAULT_RATE = 0x2b };
enum { HELD_CONTROL = 0x03, HELD_ALT = 0x0c, HELD_SHIFT = 0x30 };
#define E0 0xe000

/* What the keyboard controller makes of set 2 (and so the meaning of set 2 in terms of set 1). */
static const uint8_t translation[0x80] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* Set 1 make codes of the keys that are not simply their KEY_ number (1 to 83 are). */
static const struct { uint16_t key, code; } set1_others[] = {
    { KEY_102ND, 0x56 }, { KEY_F11, 0x57 }, { KEY_F12, 0x58 }, { KEY_RO, 0x73 }, { KEY_HENKAN, 0x79 },
    { KEY_KATAKANAHIRAGANA, 0x70 }, { KEY_MUHENKAN, 0x7b }, { KEY_YEN, 0x7d }, { KEY_KPCOMMA, 0x7e }, { KEY_KPEQUAL, 0x59 },
    { KEY_KPENTER, E0 | 0x1c }, { KEY_RIGHTCTRL, E0 | 0x1d }, { KEY_KPSLASH, E0 | 0x35 }, { KEY_RIGHTALT, E0 | 0x38 },
    { KEY_HOME, E0 | 0x47 }, { KEY_UP, E0 | 0x48 }, { KEY_PAGEUP, E0 | 0x49 }, { KEY_LEFT, E0 | 0x4b },
    { KEY_RIGHT, E0 | 0x4d }, { KEY_END, E0 | 0x4f }, { KEY_DOWN, E0 | 0x50 }, { KEY_PAGEDOWN, E0 | 0x51 },
    { KEY_INSERT, E0 | 0x52 }, { KEY_DELETE, E0 | 0x53 }, { KEY_LEFTMETA, E0 | 0x5b }, { KEY_RIGHTMETA, E0 | 0x5c },
    { KEY_COMPOSE, E0 | 0x5d }, { KEY_POWER, E0 | 0x5e }, { KEY_SLEEP, E0 | 0x5f }, { KEY_WAKEUP, E0 | 0x63 },
    { KEY_MUTE, E0 | 0x20 }, { KEY_VOLUMEDOWN, E0 | 0x2e }, { KEY_VOLUMEUP, E0 | 0x30 }, { KEY_PLAYPAUSE, E0 | 0x22 },
    { KEY_NEXTSONG, E0 | 0x19 }, { KEY_PREVIOUSSONG, E0 | 0x10 }, { KEY_STOPCD, E0 | 0x24 }, { KEY_CALC, E0 | 0x21 },
    { KEY_MAIL, E0 | 0x6c }, { KEY_HOMEPAGE, E0 | 0x32 }, { KEY_SEARCH, E0 | 0x65 }, { KEY_BOOKMARKS, E0 | 0x66 },
    { KEY_REFRESH, E0 | 0x67 }, { KEY_FORWARD, E0 | 0x69 }, { KEY_BACK, E0 | 0x6a }, { KEY_COMPUTER, E0 | 0x6b },
};

static const uint8_t set3[INPUT_KEY_LIMIT] = {
    [KEY_ESC] = 0x08, [KEY_1] = 0x16, [KEY_2] = 0x1e, [KEY_3] = 0x26, [KEY_4] = 0x25, [KEY_5] = 0x2e, [KEY_6] = 0x36,
    [KEY_7] = 0x3d, [KEY_8] = 0x3e, [KEY_9] = 0x46, [KEY_0] = 0x45, [KEY_MINUS] = 0x4e, [KEY_EQUAL] = 0x55,
    [KEY_BACKSPACE] = 0x66, [KEY_TAB] = 0x0d, [KEY_Q] = 0x15, [KEY_W] = 0x1d, [KEY_E] = 0x24, [KEY_R] = 0x2d,
    [KEY_T] = 0x2c, [KEY_Y] = 0x35, [KEY_U] = 0x3c, [KEY_I] = 0x43, [KEY_O] = 0x44, [KEY_P] = 0x4d,
    [KEY_LEFTBRACE] = 0x54, [KEY_RIGHTBRACE] = 0x5b, [KEY_ENTER] = 0x5a, [KEY_LEFTCTRL] = 0x11, [KEY_A] = 0x1c,
    [KEY_S] = 0x1b, [KEY_D] = 0x23, [KEY_F] = 0x2b, [KEY_G] = 0x34, [KEY_H] = 0x33, [KEY_J] = 0x3b, [KEY_K] = 0x42,
    [KEY_L] = 0x4b, [KEY_SEMICOLON] = 0x4c, [KEY_APOSTROPHE] = 0x52, [KEY_GRAVE] = 0x0e, [KEY_LEFTSHIFT] = 0x12,
    [KEY_BACKSLASH] = 0x5c, [KEY_Z] = 0x1a, [KEY_X] = 0x22, [KEY_C] = 0x21, [KEY_V] = 0x2a, [KEY_B] = 0x32, [KEY_N] = 0x31,
    [KEY_M] = 0x3a, [KEY_COMMA] = 0x41, [KEY_DOT] = 0x49, [KEY_SLASH] = 0x4a, [KEY_RIGHTSHIFT] = 0x59,
    [KEY_KPASTERISK] = 0x7e, [KEY_LEFTALT] = 0x19, [KEY_SPACE] = 0x29, [KEY_CAPSLOCK] = 0x14, [KEY_F1] = 0x07,
    [KEY_F2] = 0x0f, [KEY_F3] = 0x17, [KEY_F4] = 0x1f, [KEY_F5] = 0x27, [KEY_F6] = 0x2f, [KEY_F7] = 0x37, [KEY_F8] = 0x3f,
    [KEY_F9] = 0x47, [KEY_F10] = 0x4f, [KEY_NUMLOCK] = 0x76, [KEY_SCROLLLOCK] = 0x5f, [KEY_KP7] = 0x6c, [KEY_KP8] = 0x75,
    [KEY_KP9] = 0x7d, [KEY_KPMINUS] = 0x84, [KEY_KP4] = 0x6b, [KEY_KP5] = 0x73, [KEY_KP6] = 0x74, [KEY_KPPLUS] = 0x7c,
    [KEY_KP1] = 0x69, [KEY_KP2] = 0x72, [KEY_KP3] = 0x7a, [KEY_KP0] = 0x70, [KEY_KPDOT] = 0x71, [KEY_102ND] = 0x13,
    [KEY_F11] = 0x56, [KEY_F12] = 0x5e, [KEY_KPENTER] = 0x79, [KEY_RIGHTCTRL] = 0x58, [KEY_KPSLASH] = 0x77,
    [KEY_SYSRQ] = 0x57, [KEY_RIGHTALT] = 0x39, [KEY_HOME] = 0x6e, [KEY_UP] = 0x63, [KEY_PAGEUP] = 0x6f, [KEY_LEFT] = 0x61,
    [KEY_RIGHT] = 0x6a, [KEY_END] = 0x65, [KEY_DOWN] = 0x60, [KEY_PAGEDOWN] = 0x6d, [KEY_INSERT] = 0x67,
    [KEY_DELETE] = 0x64, [KEY_PAUSE] = 0x62, [KEY_LEFTMETA] = 0x8b, [KEY_RIGHTMETA] = 0x8c, [KEY_COMPOSE] = 0x8d,
};

int ps2_translate(uint8_t byte, bool *after_f0)
{
    if (byte == BREAK_PREFIX) {
        *after_f0 = true;
        return -1;
    }
    uint8_t code = byte < 0x80 ? translation[byte] : byte == 0x83 ? 0x41 : byte == 0x84 ? 0x54 : byte;
    if (*after_f0) {
        code |= 0x80;
        *after_f0 = false;
    }
    return code;
}

/* The byte of set 2 that translates to this one of set 1. */
static uint8_t set2_of(uint8_t code)
{
    if (code == 0x41) {                    /* F7, and Alt with Print Screen, are beyond the table */
        return 0x83;
    }
    if (code == 0x54) {
        return 0x84;
    }
    const uint8_t *found = memchr(translation + 1, code, sizeof translation - 1);
    return found ? found - translation : 0;
}

uint16_t ps2_set1_code(unsigned key)
{
    for (size_t i = 0; i < sizeof set1_others / sizeof set1_others[0]; i++) {
        if (set1_others[i].key == key) {
            return set1_others[i].code;
        }
    }
    return key >= KEY_ESC && key <= KEY_KPDOT ? key : 0;
}

typedef struct Sequence {
    uint8_t bytes[12];
    uint8_t length;
} Sequence;

static void add(Sequence *sequence, uint8_t byte)
{
    if (sequence->length < sizeof sequence->bytes) {
        sequence->bytes[sequence->length++] = byte;
    }
}

/* One make or break code, given as in set 1 (perhaps with the E0 prefix), in the keyboard's set 1 or 2. */
static void add_code(Sequence *sequence, const Ps2Keyboard *keyboard, uint16_t code, bool down)
{
    if (code & E0) {
        add(sequence, 0xe0);
    }
    if (keyboard->set == 1) {
        add(sequence, (code & 0x7f) | (down ? 0 : 0x80));
        return;
    }
    if (!down) {
        add(sequence, BREAK_PREFIX);
    }
    add(sequence, set2_of(code & 0x7f));
}

static void add_pause(Sequence *sequence, const Ps2Keyboard *keyboard, bool down)
{
    if (!down) {
        return;                            /* it has no break code: the make carries it */
    }
    if (keyboard->modifiers & HELD_CONTROL) {
        add_code(sequence, keyboard, E0 | 0x46, true);
        add_code(sequence, keyboard, E0 | 0x46, false);
        return;
    }
    add(sequence, 0xe1);
    add_code(sequence, keyboard, 0x1d, true);
    add_code(sequence, keyboard, 0x45, true);
    add(sequence, 0xe1);
    add_code(sequence, keyboard, 0x1d, false);
    add_code(sequence, keyboard, 0x45, false);
}

static void add_print(Sequence *sequence, const Ps2Keyboard *keyboard, bool down)
{
    bool alone = !(keyboard->modifiers & (HELD_CONTROL | HELD_SHIFT));

    if (keyboard->modifiers & HELD_ALT) {
        add_code(sequence, keyboard, 0x54, down);
        return;
    }
    if (alone && down) {
        add_code(sequence, keyboard, E0 | 0x2a, true);
    }
    add_code(sequence, keyboard, E0 | 0x37, down);
    if (alone && !down) {
        add_code(sequence, keyboard, E0 | 0x2a, false);
    }
}

static void note_modifier(Ps2Keyboard *keyboard, unsigned key, bool down)
{
    static const struct { uint16_t key; uint8_t bit; } held[] = {
        { KEY_LEFTCTRL, 0x01 }, { KEY_RIGHTCTRL, 0x02 }, { KEY_LEFTALT, 0x04 }, { KEY_RIGHTALT, 0x08 },
        { KEY_LEFTSHIFT, 0x10 }, { KEY_RIGHTSHIFT, 0x20 },
    };

    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        if (held[i].key == key) {
            keyboard->modifiers = down ? keyboard->modifiers | held[i].bit : keyboard->modifiers & ~held[i].bit;
        }
    }
}

static void make_sequence(Sequence *sequence, const Ps2Keyboard *keyboard, unsigned key, bool down)
{
    uint16_t code = ps2_set1_code(key);

    if (keyboard->set == 3) {
        if (set3[key]) {
            if (!down) {
                add(sequence, BREAK_PREFIX);
            }
            add(sequence, set3[key]);
        }
    } else if (key == KEY_PAUSE) {
        add_pause(sequence, keyboard, down);
    } else if (key == KEY_SYSRQ) {
        add_print(sequence, keyboard, down);
    } else if (code) {
        add_code(sequence, keyboard, code, down);
    }
}

void ps2_keyboard_key(Ps2Keyboard *keyboard, unsigned key, bool down)
{
    Sequence sequence = { .length = 0 };

    if (key >= INPUT_KEY_LIMIT) {
        return;
    }
    note_modifier(keyboard, key, down);
    if (!keyboard->scanning) {
        return;
    }
    make_sequence(&sequence, keyboard, key, down);
    if (!sequence.length) {
        return;
    }
    Ps2Queue *keys = &keyboard->keys;
    if (keys->count + sequence.length <= KEY_QUEUE_LIMIT) {
        ps2_queue_put(keys, sequence.bytes, sequence.length);
        return;
    }
    uint8_t overrun = keyboard->set == 1 ? OVERRUN : 0x00;           /* said once, after what there was room for */
    if (keys->data[(keys->head + keys->count - 1) % PS2_QUEUE_SIZE] != overrun) {
        ps2_queue_put(keys, &overrun, 1);
    }
}

static void reply(Ps2Keyboard *keyboard, uint8_t byte)
{
    if (!ps2_queue_put(&keyboard->replies, &byte, 1)) {
        ps2_queue_clear(&keyboard->replies);           /* a guest that only ever asks and never reads */
        ps2_queue_put(&keyboard->replies, &byte, 1);
    }
}

static void set_defaults(Ps2Keyboard *keyboard)
{
    keyboard->set = 2;
    keyboard->rate = DEFAULT_RATE;
    keyboard->expecting = 0;
    ps2_queue_clear(&keyboard->keys);
}

void ps2_keyboard_init(Ps2Keyboard *keyboard)
{
    memset(keyboard, 0, sizeof *keyboard);
    set_defaults(keyboard);
    keyboard->scanning = true;
}

static void parameter(Ps2Keyboard *keyboard, uint8_t command, uint8_t value)
{
    switch (command) {
    case CMD_LEDS:
        keyboard->leds = value & 7;
        break;
    case CMD_RATE:
        keyboard->rate = value & 0x7f;
        break;
    case CMD_SET:
        if (value > 3) {
            reply(keyboard, RESEND);
            return;
        }
        reply(keyboard, ACKNOWLEDGE);
        if (value == 0) {
            reply(keyboard, keyboard->set);
        } else {
            keyboard->set = value;
            ps2_queue_clear(&keyboard->keys);
        }
        return;
    default:                               /* the keys whose type of set 3 changes: until the next command */
        keyboard->expecting = command;
        break;
    }
    reply(keyboard, ACKNOWLEDGE);
}

static void reset(Ps2Keyboard *keyboard)
{
    ps2_queue_clear(&keyboard->replies);
    set_defaults(keyboard);
    keyboard->leds = 0;
    keyboard->scanning = true;
    reply(keyboard, ACKNOWLEDGE);
    reply(keyboard, SELF_TEST_PASSED);
}

static void command(Ps2Keyboard *keyboard, uint8_t value)
{
    switch (value) {
    case CMD_ECHO:
        reply(keyboard, ECHO);
        return;
    case CMD_RESEND:
        reply(keyboard, keyboard->last_sent);
        return;
    case CMD_RESET:
        reset(keyboard);
        return;
    case CMD_LEDS: case CMD_SET: case CMD_RATE: case CMD_KEY_FIRST ... CMD_KEY_LAST:
        keyboard->expecting = value;
        break;
    case CMD_ID:
        reply(keyboard, ACKNOWLEDGE);
        reply(keyboard, 0xab);
        reply(keyboard, 0x83);
        return;
    case CMD_ENABLE:
        ps2_queue_clear(&keyboard->keys);
        keyboard->scanning = true;
        break;
    case CMD_DISABLE:
        set_defaults(keyboard);
        keyboard->scanning = false;
        break;
    case CMD_DEFAULTS:
        set_defaults(keyboard);
        break;
    case CMD_ALL_KEYS_FIRST ... CMD_ALL_KEYS_LAST:
        break;
    default:
        reply(keyboard, RESEND);
        return;
    }
    reply(keyboard, ACKNOWLEDGE);
}

void ps2_keyboard_write(Ps2Keyboard *keyboard, uint8_t value)
{
    uint8_t expecting = keyboard->expecting;

    keyboard->expecting = 0;
    if (expecting && value < CMD_LOWEST) {
        parameter(keyboard, expecting, value);
    } else {
        command(keyboard, value);
    }
}

bool ps2_keyboard_pending(const Ps2Keyboard *keyboard)
{
    return keyboard->replies.count || keyboard->keys.count;
}

uint8_t ps2_keyboard_read(Ps2Keyboard *keyboard)
{
    keyboard->last_sent = ps2_queue_get(keyboard->replies.count ? &keyboard->replies : &keyboard->keys);
    return keyboard->last_sent;
}

bool ps2_keyboard_valid(const Ps2Keyboard *keyboard)
{
    return ps2_queue_valid(&keyboard->replies) && ps2_queue_valid(&keyboard->keys) && keyboard->set >= 1 && keyboard->set <= 3 &&
           (keyboard->expecting == 0 || keyboard->expecting >= CMD_LOWEST);
}
