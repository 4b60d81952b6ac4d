/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8042.c - keyboard controller with keyboard and mouse
 *
 * Models   the 8042 of the PS/2 (PS/2 Technical Reference, "Keyboard and Auxiliary Device Controller"): ports 60h and 64h,
 *          command byte, self tests, output port with A20 and reset, translation of set 2 to set 1, auxiliary device
 * Omits    timing (a byte is there as soon as the one before was read), the password commands' passwords, time-out and parity
 * Wires    IRQ 1 and 12 to ISA, a20 to the board's gate; keys and motion from ui/input.h
 * Threads  registers: any vCPU thread; input: main loop; machine lock held
 * Tests    tests/dev/i8042.c; keyboard and mouse alone in tests/dev/ps2.c
 *
 * The output buffer is one byte with its source. i8042_update() fills it when it is empty, in the order controller, mouse,
 * keyboard, and makes the interrupt levels from it; everything ends there. A read drops the levels first, so that the
 * next byte is an edge.
 */
#include "base/error.h"
#include "base/trace.h"
#include "hw/core/machine.h"
#include "hw/input/ps2.h"
#include "hw/isa/bus.h"
#include "hw/models.h"
#include "ui/input.h"
#include <errno.h>

enum { STATUS_OUTPUT_FULL = 0x01, STATUS_SYSTEM = 0x04, STATUS_COMMAND = 0x08, STATUS_UNLOCKED = 0x10, STATUS_MOUSE = 0x20 };
enum {
    MODE_KEYBOARD_IRQ = 0x01, MODE_MOUSE_IRQ = 0x02, MODE_SYSTEM = 0x04, MODE_NO_KEYBOARD = 0x10, MODE_NO_MOUSE = 0x20,
    MODE_TRANSLATE = 0x40,
};
enum { OUT_NO_RESET = 0x01, OUT_A20 = 0x02, OUT_KEYBOARD_FULL = 0x10, OUT_MOUSE_FULL = 0x20 };
enum {
    CMD_READ_RAM = 0x20, CMD_WRITE_RAM = 0x60, CMD_PASSWORD_INSTALLED = 0xa4, CMD_MOUSE_OFF = 0xa7, CMD_MOUSE_ON = 0xa8,
    CMD_MOUSE_TEST = 0xa9, CMD_SELF_TEST = 0xaa, CMD_KEYBOARD_TEST = 0xab, CMD_KEYBOARD_OFF = 0xad, CMD_KEYBOARD_ON = 0xae,
    CMD_READ_INPUT = 0xc0, CMD_READ_OUTPUT = 0xd0, CMD_WRITE_OUTPUT = 0xd1, CMD_AS_KEYBOARD = 0xd2, CMD_AS_MOUSE = 0xd3,
    CMD_TO_MOUSE = 0xd4, CMD_A20_OFF = 0xdd, CMD_A20_ON = 0xdf, CMD_READ_TEST = 0xe0, CMD_PULSE = 0xf0,
};
enum { RAM_SIZE = 32, SELF_TEST_PASSED = 0x55, NO_PASSWORD = 0xf1, INPUT_PORT = 0x80 };
typedef enum { FROM_KEYBOARD, FROM_MOUSE, FROM_CONTROLLER } Source;

typedef struct I8042 {
    Device device;
    uint8_t keyboard_irq, mouse_irq;
    IrqLine irq_keyboard, irq_mouse, a20;
    Region data_io, command_io;
    Ps2Keyboard keyboard;
    Ps2Mouse mouse;
    uint8_t ram[RAM_SIZE];                 /* [0] is the command byte */
    uint8_t output_port;
    uint8_t command;                       /* waits for its data byte, 0: none */
    bool system, last_was_command;
    bool full;                             /* the output buffer */
    uint8_t output, source;
    bool reply_waits, reply_as_mouse;      /* the controller's own next byte */
    uint8_t reply;
    bool after_f0;                         /* translation */
} I8042;

enum { TRACE_I8042_READ, TRACE_I8042_WRITE, TRACE_I8042_COMMAND };
static TracePoint i8042_trace[] = {
    [TRACE_I8042_READ] = { "i8042_read_data", "the guest read port 0x60" },
    [TRACE_I8042_WRITE] = { "i8042_write_data", "the guest wrote port 0x60" },
    [TRACE_I8042_COMMAND] = { "i8042_command", "the guest wrote port 0x64" },
};
TRACE_TABLE(i8042_trace)

static uint8_t mode(const I8042 *chip)
{
    return chip->ram[0];
}

static void fill(I8042 *chip, uint8_t byte, Source source)
{
    chip->full = true;
    chip->output = byte;
    chip->source = source;
}

static void fetch_from_keyboard(I8042 *chip)
{
    while (!chip->full && ps2_keyboard_pending(&chip->keyboard)) {
        int byte = ps2_keyboard_read(&chip->keyboard);
        if (mode(chip) & MODE_TRANSLATE) {
            byte = ps2_translate(byte, &chip->after_f0);
        }
        if (byte >= 0) {
            fill(chip, byte, FROM_KEYBOARD);
        }
    }
}

static void set_levels(I8042 *chip)
{
    bool mouse = chip->full && chip->source == FROM_MOUSE;

    irq_set(chip->irq_mouse, mouse && mode(chip) & MODE_MOUSE_IRQ);
    irq_set(chip->irq_keyboard, chip->full && !mouse && mode(chip) & MODE_KEYBOARD_IRQ);
}

static void i8042_update(I8042 *chip)
{
    if (!chip->full && chip->reply_waits) {
        chip->reply_waits = false;
        fill(chip, chip->reply, chip->reply_as_mouse ? FROM_MOUSE : FROM_CONTROLLER);
    }
    if (!chip->full && !(mode(chip) & MODE_NO_MOUSE) && ps2_mouse_pending(&chip->mouse)) {
        fill(chip, ps2_mouse_read(&chip->mouse), FROM_MOUSE);
    }
    if (!(mode(chip) & MODE_NO_KEYBOARD)) {
        fetch_from_keyboard(chip);
    }
    set_levels(chip);
}

static void say(I8042 *chip, uint8_t byte, bool as_mouse)
{
    chip->reply = byte;
    chip->reply_waits = true;
    chip->reply_as_mouse = as_mouse;
}

static void write_output_port(I8042 *chip, uint8_t value)
{
    chip->output_port = value & (OUT_NO_RESET | OUT_A20);
    irq_set(chip->a20, value & OUT_A20);
    if (!(value & OUT_NO_RESET)) {
        machine_request_reset(chip->device.machine, CAUSE_GUEST_RESET);
    }
}

static uint8_t read_output_port(const I8042 *chip)
{
    bool mouse = chip->source == FROM_MOUSE;

    return chip->output_port | 0xcc | (chip->full && !mouse ? OUT_KEYBOARD_FULL : 0) | (chip->full && mouse ? OUT_MOUSE_FULL : 0);
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    I8042 *chip = opaque;

    (void)offset, (void)size;
    TRACE(&i8042_trace[TRACE_I8042_READ], "value 0x%02x source %u", chip->output, chip->source);
    uint8_t value = chip->output;          /* an empty buffer gives its last byte again */
    chip->full = false;
    set_levels(chip);
    i8042_update(chip);
    return value;
}

static uint64_t status_read(void *opaque, uint64_t offset, unsigned size)
{
    const I8042 *chip = opaque;

    (void)offset, (void)size;
    return STATUS_UNLOCKED | (chip->system || mode(chip) & MODE_SYSTEM ? STATUS_SYSTEM : 0) |
           (chip->last_was_command ? STATUS_COMMAND : 0) | (chip->full ? STATUS_OUTPUT_FULL : 0) |
           (chip->full && chip->source == FROM_MOUSE ? STATUS_MOUSE : 0);
}

/* The data byte of a command given before. */
static void command_data(I8042 *chip, uint8_t command, uint8_t value)
{
    switch (command) {
    case CMD_WRITE_RAM ... CMD_WRITE_RAM + RAM_SIZE - 1:
        chip->ram[command - CMD_WRITE_RAM] = value;
        break;
    case CMD_WRITE_OUTPUT:
        write_output_port(chip, value);
        break;
    case CMD_AS_KEYBOARD:
        say(chip, value, false);
        break;
    case CMD_AS_MOUSE:
        say(chip, value, true);
        break;
    default:                               /* CMD_TO_MOUSE */
        chip->ram[0] &= ~MODE_NO_MOUSE;
        ps2_mouse_write(&chip->mouse, value);
        break;
    }
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    I8042 *chip = opaque;
    uint8_t pending = chip->command;

    (void)offset, (void)size;
    TRACE(&i8042_trace[TRACE_I8042_WRITE], "value 0x%02x for command 0x%02x", (unsigned)value, pending);
    chip->command = 0;
    chip->last_was_command = false;
    if (pending) {
        command_data(chip, pending, value);
    } else {
        chip->ram[0] &= ~MODE_NO_KEYBOARD;             /* sending to the keyboard turns its clock on */
        ps2_keyboard_write(&chip->keyboard, value);
        input_leds_set(chip->keyboard.leds);
    }
    i8042_update(chip);
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    I8042 *chip = opaque;

    (void)offset, (void)size;
    TRACE(&i8042_trace[TRACE_I8042_COMMAND], "command 0x%02x", (unsigned)value);
    chip->command = 0;
    chip->last_was_command = true;
    switch (value) {
    case CMD_READ_RAM ... CMD_READ_RAM + RAM_SIZE - 1:
        say(chip, chip->ram[value - CMD_READ_RAM], false);
        break;
    case CMD_WRITE_RAM ... CMD_WRITE_RAM + RAM_SIZE - 1:
    case CMD_WRITE_OUTPUT: case CMD_AS_KEYBOARD: case CMD_AS_MOUSE: case CMD_TO_MOUSE:
        chip->command = value;
        break;
    case CMD_PASSWORD_INSTALLED:
        say(chip, NO_PASSWORD, false);
        break;
    case CMD_MOUSE_OFF:
        chip->ram[0] |= MODE_NO_MOUSE;
        break;
    case CMD_MOUSE_ON:
        chip->ram[0] &= ~MODE_NO_MOUSE;
        break;
    case CMD_MOUSE_TEST: case CMD_KEYBOARD_TEST: case CMD_READ_TEST:
        say(chip, 0, false);
        break;
    case CMD_SELF_TEST:
        chip->system = true;
        say(chip, SELF_TEST_PASSED, false);
        break;
    case CMD_KEYBOARD_OFF:
        chip->ram[0] |= MODE_NO_KEYBOARD;
        break;
    case CMD_KEYBOARD_ON:
        chip->ram[0] &= ~MODE_NO_KEYBOARD;
        break;
    case CMD_READ_INPUT:
        say(chip, INPUT_PORT, false);
        break;
    case CMD_READ_OUTPUT:
        say(chip, read_output_port(chip), false);
        break;
    case CMD_A20_OFF: case CMD_A20_ON:
        write_output_port(chip, OUT_NO_RESET | (value == CMD_A20_ON ? OUT_A20 : 0));
        break;
    case CMD_PULSE ... CMD_PULSE + 0x0f:   /* zeros name the lines that go low for 6 us; line 0 is reset */
        if (!(value & OUT_NO_RESET)) {
            machine_request_reset(chip->device.machine, CAUSE_GUEST_RESET);
        }
        break;
    default:
        guest_fault(&chip->device, "command 0x%02x is not one of this controller", (unsigned)value);
        break;
    }
    i8042_update(chip);
}

static void on_key(void *opaque, unsigned key, bool down)
{
    I8042 *chip = opaque;

    ps2_keyboard_key(&chip->keyboard, key, down);
    i8042_update(chip);
}

static void on_button(void *opaque, InputButton button, bool down)
{
    static const uint8_t bit[INPUT_BUTTONS] = {
        [INPUT_LEFT] = 0, [INPUT_RIGHT] = 1, [INPUT_MIDDLE] = 2, [INPUT_SIDE] = 3, [INPUT_EXTRA] = 4,
    };
    I8042 *chip = opaque;

    if (button == INPUT_WHEEL_UP || button == INPUT_WHEEL_DOWN) {
        ps2_mouse_motion(&chip->mouse, 0, 0, !down ? 0 : button == INPUT_WHEEL_UP ? -1 : 1);
    } else {
        ps2_mouse_button(&chip->mouse, bit[button], down);
    }
}

static void on_motion(void *opaque, int dx, int dy)
{
    ps2_mouse_motion(&((I8042 *)opaque)->mouse, dx, dy, 0);
}

static void on_sync(void *opaque)
{
    I8042 *chip = opaque;

    ps2_mouse_sync(&chip->mouse);
    i8042_update(chip);
}

static const InputHandler i8042_input = { .key = on_key, .button = on_button, .motion = on_motion, .sync = on_sync };
static const RegionOps data_ops = { .read = data_read, .write = data_write, .widths = WIDTH_8 };
static const RegionOps command_ops = { .read = status_read, .write = command_write, .widths = WIDTH_8 };

static void i8042_unrealize(Device *device)
{
    I8042 *chip = (I8042 *)device;

    input_detach(chip);
    isa_unmap(&chip->data_io);
    isa_unmap(&chip->command_io);
    region_destroy(&chip->data_io);
    region_destroy(&chip->command_io);
}

static bool i8042_realize(Device *device, GError **err)
{
    I8042 *chip = (I8042 *)device;

    if (!isa_irq_valid(device, chip->keyboard_irq, err) || !isa_irq_valid(device, chip->mouse_irq, err)) {
        return false;
    }
    region_init_io(&chip->data_io, &data_ops, chip, "i8042-data", 1);
    region_init_io(&chip->command_io, &command_ops, chip, "i8042-cmd", 1);
    if (!isa_map(device, &chip->data_io, 0x60, err) || !isa_map(device, &chip->command_io, 0x64, err)) {
        i8042_unrealize(device);
        return false;
    }
    chip->irq_keyboard = isa_irq(device, chip->keyboard_irq);
    chip->irq_mouse = isa_irq(device, chip->mouse_irq);
    ps2_keyboard_init(&chip->keyboard);
    ps2_mouse_init(&chip->mouse);
    input_attach(&i8042_input, chip);
    return true;
}

static void i8042_reset(Device *device)
{
    I8042 *chip = (I8042 *)device;

    ps2_keyboard_init(&chip->keyboard);
    ps2_mouse_init(&chip->mouse);
    memset(chip->ram, 0, sizeof chip->ram);
    chip->ram[0] = MODE_KEYBOARD_IRQ | MODE_MOUSE_IRQ;
    chip->output_port = OUT_NO_RESET | OUT_A20;
    chip->command = 0;
    chip->system = chip->full = chip->reply_waits = chip->after_f0 = false;
    chip->last_was_command = true;
    input_leds_set(0);
    i8042_update(chip);
}

static bool i8042_after_load(Device *device, GError **err)
{
    I8042 *chip = (I8042 *)device;

    if (!ps2_keyboard_valid(&chip->keyboard) || !ps2_mouse_valid(&chip->mouse) || chip->source > FROM_CONTROLLER) {
        ps2_keyboard_init(&chip->keyboard);
        ps2_mouse_init(&chip->mouse);
        chip->source = FROM_CONTROLLER;
        return fail(err, EINVAL, "%s: the saved state is not that of a keyboard and a mouse (a queue with impossible contents)",
                    device_name(device));
    }
    input_leds_set(chip->keyboard.leds);
    set_levels(chip);
    return true;
}

static const Field i8042_props[] = {
    PROP_U8("kbd-irq", I8042, keyboard_irq, 1, .help = "interrupt of the keyboard"),
    PROP_U8("mouse-irq", I8042, mouse_irq, 12, .help = "interrupt of the mouse"),
    PROP_IRQ("a20", I8042, a20, .help = "the board's A20 gate"),
    FIELD_END };

static const Field queue_saved[] = { SAVE_BYTES(Ps2Queue, data), SAVE_U8(Ps2Queue, head), SAVE_U8(Ps2Queue, count), FIELD_END };
static const Field keyboard_saved[] = {
    SAVE_STRUCT(Ps2Keyboard, replies, queue_saved), SAVE_STRUCT(Ps2Keyboard, keys, queue_saved), SAVE_U8(Ps2Keyboard, set),
    SAVE_U8(Ps2Keyboard, leds), SAVE_U8(Ps2Keyboard, rate), SAVE_U8(Ps2Keyboard, expecting), SAVE_U8(Ps2Keyboard, last_sent),
    SAVE_BOOL(Ps2Keyboard, scanning), SAVE_U8(Ps2Keyboard, modifiers), FIELD_END };
static const Field mouse_saved[] = {
    SAVE_STRUCT(Ps2Mouse, replies, queue_saved), SAVE_STRUCT(Ps2Mouse, packets, queue_saved), SAVE_U8(Ps2Mouse, id),
    SAVE_U8(Ps2Mouse, resolution), SAVE_U8(Ps2Mouse, rate), SAVE_U8(Ps2Mouse, expecting), SAVE_U8(Ps2Mouse, last_sent),
    SAVE_BYTES(Ps2Mouse, knock), SAVE_BOOL(Ps2Mouse, enabled), SAVE_BOOL(Ps2Mouse, remote), SAVE_BOOL(Ps2Mouse, wrap),
    SAVE_BOOL(Ps2Mouse, twice), SAVE_U8(Ps2Mouse, buttons), SAVE_U8(Ps2Mouse, buttons_sent), SAVE_I32(Ps2Mouse, dx),
    SAVE_I32(Ps2Mouse, dy), SAVE_I32(Ps2Mouse, dz), FIELD_END };
static const Field i8042_saved[] = {
    SAVE_STRUCT(I8042, keyboard, keyboard_saved), SAVE_STRUCT(I8042, mouse, mouse_saved), SAVE_BYTES(I8042, ram),
    SAVE_U8(I8042, output_port), SAVE_U8(I8042, command), SAVE_BOOL(I8042, system), SAVE_BOOL(I8042, last_was_command),
    SAVE_BOOL(I8042, full), SAVE_U8(I8042, output), SAVE_U8(I8042, source), SAVE_BOOL(I8042, reply_waits),
    SAVE_BOOL(I8042, reply_as_mouse), SAVE_U8(I8042, reply), SAVE_BOOL(I8042, after_f0), FIELD_END };

const DeviceModel i8042_model = {
    .name = "i8042",  .bus = BUS_ISA,  .size = sizeof(I8042),
    .help = "keyboard controller with PS/2 keyboard and mouse",
    .props = i8042_props,  .saved = i8042_saved,  .saved_version = 1,
    .realize = i8042_realize,  .reset = i8042_reset,  .unrealize = i8042_unrealize,  .after_load = i8042_after_load,
};
