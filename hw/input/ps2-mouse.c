/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ps2-mouse.c - a PS/2 mouse with wheel and five buttons
 *
 * Models   IBM PS/2 mouse (PS/2 Technical Reference, "Mouse"): stream, remote and wrap mode, scaling, resolution, sample rate;
 *          Microsoft's IntelliMouse and IntelliMouse Explorer, found by the knock of sample rates 200 100 80 and 200 200 80
 * Omits    pacing by the sample rate (packets go as fast as the controller takes them), resolution's effect on counts
 * Wires    none; i8042.c mounts it
 * Threads  none of its own; the caller's lock
 * Tests    tests/dev/ps2.c
 *
 * Motion adds up until there is room for a packet, so a slow guest loses no distance and the queue stays bounded.
 */
#include "hw/input/ps2.h"
#include <string.h>

enum { SELF_TEST_PASSED = 0xaa, ACKNOWLEDGE = 0xfa, RESEND = 0xfe };
enum {
    CMD_SCALE_1 = 0xe6, CMD_SCALE_2 = 0xe7, CMD_RESOLUTION = 0xe8, CMD_STATUS = 0xe9, CMD_STREAM = 0xea, CMD_READ = 0xeb,
    CMD_WRAP_OFF = 0xec, CMD_WRAP_ON = 0xee, CMD_REMOTE = 0xf0, CMD_ID = 0xf2, CMD_RATE = 0xf3, CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5, CMD_DEFAULTS = 0xf6, CMD_RESEND = 0xfe, CMD_RESET = 0xff,
};
enum { PACKET_LIMIT = 16, FARTHEST = 1 << 20, BUTTONS = 5 };
enum { BUTTON_LEFT = 0x01, BUTTON_RIGHT = 0x02, BUTTON_MIDDLE = 0x04, BUTTON_SIDE = 0x08, BUTTON_EXTRA = 0x10, BUTTONS_PLAIN = 0x07 };

static int32_t clamp(int64_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : (int32_t)value;
}

static void reply(Ps2Mouse *mouse, uint8_t byte)
{
    if (!ps2_queue_put(&mouse->replies, &byte, 1)) {
        ps2_queue_clear(&mouse->replies);
        ps2_queue_put(&mouse->replies, &byte, 1);
    }
}

/* 2:1 scaling of small movements, in stream mode only (the manual's table). */
static int scaled(const Ps2Mouse *mouse, int counts)
{
    static const uint8_t table[6] = { 0, 1, 1, 3, 6, 9 };
    int size = counts < 0 ? -counts : counts;

    if (!mouse->twice || mouse->remote) {
        return counts;
    }
    size = size < 6 ? table[size] : 2 * size;
    return counts < 0 ? -size : size;
}

/* Takes what fits in one packet from what adds up. */
static size_t make_packet(Ps2Mouse *mouse, uint8_t packet[4])
{
    int reach = mouse->twice && !mouse->remote ? 127 : 255, wheel_reach = mouse->id == PS2_MOUSE_EXPLORER ? 7 : 127;
    int dx = clamp(mouse->dx, -reach, reach), dy = clamp(mouse->dy, -reach, reach);
    int dz = clamp(mouse->dz, -wheel_reach, wheel_reach);

    mouse->dx -= dx;
    mouse->dy -= dy;
    mouse->dz = mouse->id == PS2_MOUSE_PLAIN ? 0 : mouse->dz - dz;
    mouse->buttons_sent = mouse->buttons;
    dx = scaled(mouse, dx);
    dy = scaled(mouse, dy);
    packet[0] = 0x08 | (mouse->buttons & BUTTONS_PLAIN) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0);
    packet[1] = dx;
    packet[2] = dy;
    packet[3] = dz;
    if (mouse->id == PS2_MOUSE_EXPLORER) {
        packet[3] = (dz & 0x0f) | (mouse->buttons & BUTTON_SIDE ? 0x10 : 0) | (mouse->buttons & BUTTON_EXTRA ? 0x20 : 0);
    }
    return mouse->id == PS2_MOUSE_PLAIN ? 3 : 4;
}

static bool has_news(const Ps2Mouse *mouse)
{
    uint8_t seen = mouse->id == PS2_MOUSE_EXPLORER ? 0x1f : BUTTONS_PLAIN;

    return mouse->dx || mouse->dy || (mouse->dz && mouse->id != PS2_MOUSE_PLAIN) || ((mouse->buttons ^ mouse->buttons_sent) & seen);
}

void ps2_mouse_sync(Ps2Mouse *mouse)
{
    uint8_t packet[4];

    if (!mouse->enabled || mouse->remote || mouse->wrap) {
        return;
    }
    while (has_news(mouse) && mouse->packets.count + sizeof packet <= PACKET_LIMIT) {
        ps2_queue_put(&mouse->packets, packet, make_packet(mouse, packet));
    }
}

void ps2_mouse_motion(Ps2Mouse *mouse, int dx, int dy, int dz)
{
    mouse->dx = clamp((int64_t)mouse->dx + dx, -FARTHEST, FARTHEST);
    mouse->dy = clamp((int64_t)mouse->dy - dy, -FARTHEST, FARTHEST);
    mouse->dz = clamp((int64_t)mouse->dz + dz, -FARTHEST, FARTHEST);
}

void ps2_mouse_button(Ps2Mouse *mouse, unsigned button, bool down)
{
    if (button < BUTTONS) {
        mouse->buttons = down ? mouse->buttons | 1u << button : mouse->buttons & ~(1u << button);
    }
}

static void forget_motion(Ps2Mouse *mouse)
{
    mouse->dx = mouse->dy = mouse->dz = 0;
    mouse->buttons_sent = mouse->buttons;
    ps2_queue_clear(&mouse->packets);
}

static void set_defaults(Ps2Mouse *mouse)
{
    mouse->rate = 100;
    mouse->resolution = 2;
    mouse->twice = mouse->remote = mouse->wrap = mouse->enabled = false;
    mouse->expecting = 0;
    forget_motion(mouse);
}

void ps2_mouse_init(Ps2Mouse *mouse)
{
    memset(mouse, 0, sizeof *mouse);
    set_defaults(mouse);
}

static void set_rate(Ps2Mouse *mouse, uint8_t rate)
{
    if (rate == 80 && mouse->knock[0] == 200) {
        mouse->id = mouse->knock[1] == 100 ? PS2_MOUSE_WHEEL : mouse->knock[1] == 200 ? PS2_MOUSE_EXPLORER : mouse->id;
    }
    mouse->knock[0] = mouse->knock[1];
    mouse->knock[1] = rate;
    mouse->rate = rate;
}

static void reply_status(Ps2Mouse *mouse)
{
    reply(mouse, ACKNOWLEDGE);
    reply(mouse, (mouse->remote ? 0x40 : 0) | (mouse->enabled ? 0x20 : 0) | (mouse->twice ? 0x10 : 0) |
          (mouse->buttons & BUTTON_LEFT ? 4 : 0) | (mouse->buttons & BUTTON_MIDDLE ? 2 : 0) | (mouse->buttons & BUTTON_RIGHT ? 1 : 0));
    reply(mouse, mouse->resolution);
    reply(mouse, mouse->rate);
}

static void reply_packet(Ps2Mouse *mouse)
{
    uint8_t packet[4];
    size_t length = make_packet(mouse, packet);

    reply(mouse, ACKNOWLEDGE);
    for (size_t i = 0; i < length; i++) {
        reply(mouse, packet[i]);
    }
}

static void reset(Ps2Mouse *mouse)
{
    uint8_t buttons = mouse->buttons;

    ps2_mouse_init(mouse);
    mouse->buttons = mouse->buttons_sent = buttons;
    reply(mouse, ACKNOWLEDGE);
    reply(mouse, SELF_TEST_PASSED);
    reply(mouse, PS2_MOUSE_PLAIN);
}

static void command(Ps2Mouse *mouse, uint8_t value)
{
    switch (value) {
    case CMD_SCALE_1: case CMD_SCALE_2:
        mouse->twice = value == CMD_SCALE_2;
        break;
    case CMD_RESOLUTION: case CMD_RATE:
        mouse->expecting = value;
        break;
    case CMD_STATUS:
        reply_status(mouse);
        return;
    case CMD_STREAM: case CMD_REMOTE:
        mouse->remote = value == CMD_REMOTE;
        forget_motion(mouse);
        break;
    case CMD_READ:
        reply_packet(mouse);
        return;
    case CMD_WRAP_ON: case CMD_WRAP_OFF:
        mouse->wrap = value == CMD_WRAP_ON;
        forget_motion(mouse);
        break;
    case CMD_ID:
        reply(mouse, ACKNOWLEDGE);
        reply(mouse, mouse->id);
        return;
    case CMD_ENABLE: case CMD_DISABLE:
        mouse->enabled = value == CMD_ENABLE;
        forget_motion(mouse);
        break;
    case CMD_DEFAULTS:
        set_defaults(mouse);
        break;
    case CMD_RESEND:
        reply(mouse, mouse->last_sent);
        return;
    case CMD_RESET:
        reset(mouse);
        return;
    default:
        reply(mouse, RESEND);
        return;
    }
    reply(mouse, ACKNOWLEDGE);
}

void ps2_mouse_write(Ps2Mouse *mouse, uint8_t value)
{
    uint8_t expecting = mouse->expecting;

    mouse->expecting = 0;
    if (mouse->wrap && value != CMD_WRAP_OFF && value != CMD_RESET) {
        reply(mouse, value);
    } else if (expecting == CMD_RATE) {
        set_rate(mouse, value);
        reply(mouse, ACKNOWLEDGE);
    } else if (expecting == CMD_RESOLUTION) {
        mouse->resolution = value & 3;
        reply(mouse, ACKNOWLEDGE);
    } else {
        command(mouse, value);
    }
}

bool ps2_mouse_pending(const Ps2Mouse *mouse)
{
    return mouse->replies.count || mouse->packets.count;
}

uint8_t ps2_mouse_read(Ps2Mouse *mouse)
{
    mouse->last_sent = ps2_queue_get(mouse->replies.count ? &mouse->replies : &mouse->packets);
    ps2_mouse_sync(mouse);                 /* there may be room for what added up */
    return mouse->last_sent;
}

bool ps2_mouse_valid(const Ps2Mouse *mouse)
{
    return ps2_queue_valid(&mouse->replies) && ps2_queue_valid(&mouse->packets) &&
           (mouse->id == PS2_MOUSE_PLAIN || mouse->id == PS2_MOUSE_WHEEL || mouse->id == PS2_MOUSE_EXPLORER) &&
           mouse->dx >= -FARTHEST && mouse->dx <= FARTHEST && mouse->dy >= -FARTHEST && mouse->dy <= FARTHEST &&
           mouse->dz >= -FARTHEST && mouse->dz <= FARTHEST;
}
