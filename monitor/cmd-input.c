/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-input.c - keys, buttons and motion for the guest, typed by a program; a picture of the screen
 *
 * send-key presses its keys one after the other and lets them go in reverse order, a moment after each, on the guest's clock: a machine
 * that stands is not typed at. What is to come waits in a queue of QUEUE_MOST changes.
 *
 * Threads  main loop, machine lock held
 * Tests    tests/qmp/input.py
 */
#include "base/error.h"
#include "base/open.h"
#include "base/timer.h"
#include "hw/input/ps2.h"
#include "monitor/commands.h"
#include "ui/console.h"
#include "ui/input.h"
#include "ui/keys.h"
#include "ui/screendump.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <unistd.h>

enum { QUEUE_MOST = 1024, HOLD_MS = 100, HOLD_MOST_MS = 60000, NUMBER_PREFIXED = 0x80, SET1_PREFIX = 0xe000 };

typedef struct Change {
    unsigned key;
    bool down;
    int64_t hold;                          /* ns, before the next one */
} Change;
static Change changes[QUEUE_MOST];         /* a ring */
static unsigned first, waiting;
static Timer pace;

/* ---- keys ---- */

/* Scan code set 1 in seven bits, the eighth for a prefix. 0: no such key. */
static unsigned key_of_number(int64_t number)
{
    unsigned code = number & NUMBER_PREFIXED ? SET1_PREFIX | (number & 0x7f) : (unsigned)number;

    if (number <= 0 || number > 0xff) {
        return KEY_RESERVED;
    }
    if (number == 0xc6) {                  /* these two are sequences on a keyboard's wire */
        return KEY_PAUSE;
    }
    if (number == 0x54 || number == 0xb7) {
        return KEY_SYSRQ;
    }
    for (unsigned key = KEY_ESC; key < INPUT_KEY_LIMIT; key++) {
        if (ps2_set1_code(key) == code) {
            return key;
        }
    }
    return KEY_RESERVED;
}

/* {"type":"qcode","data":"a"} or {"type":"number","data":30}. */
static unsigned key_of(const Value *key)
{
    const char *name = value_get_string(key, "data", NULL);
    const KeyName *found = name ? key_find(name) : NULL;

    return found ? found->key : key_of_number(value_get_int(key, "data", 0));
}

static bool guest_hears(void)
{
    return qmp_machine()->state == RUN_RUNNING || qmp_machine()->state == RUN_SUSPENDED;
}

static void press_next(void *opaque)
{
    (void)opaque;
    while (waiting) {
        const Change *change = &changes[first];
        int64_t hold = change->hold;
        input_key(change->key, change->down);
        input_sync();
        first = (first + 1) % QUEUE_MOST;
        waiting--;
        if (hold && waiting) {
            timer_arm(&pace, clock_now(CLOCK_GUEST) + hold);
            return;
        }
    }
}

static void queue_change(unsigned key, bool down, int64_t hold)
{
    changes[(first + waiting++) % QUEUE_MOST] = (Change){ key, down, hold };
}

QMP_HANDLER(send_key)
{
    const Value *keys = value_get(args, "keys");
    int64_t hold = CLAMP(value_get_int(args, "hold-time", HOLD_MS), 0, HOLD_MOST_MS) * NS_PER_MS;
    size_t count = value_length(keys);
    bool idle = waiting == 0;

    if (!guest_hears()) {
        return qmp_done();                 /* nobody is there to hear it */
    }
    if (count > (QUEUE_MOST - waiting) / 2) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "send-key: %zu keys are too many; %u more can wait", count, (QUEUE_MOST - waiting) / 2);
    }
    if (!pace.fire) {
        timer_init(&pace, CLOCK_GUEST, press_next, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        queue_change(key_of(value_at(keys, i)), true, hold);
    }
    for (size_t i = count; i-- > 0;) {
        queue_change(key_of(value_at(keys, i)), false, hold);
    }
    if (idle) {
        press_next(NULL);
    }
    return qmp_done();
}

/* ---- events ---- */

static InputButton button_of(const char *name)
{
    static const char *const names[] = { "left", "middle", "right", "wheel-up", "wheel-down", "side", "extra" };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    return INPUT_BUTTONS;                  /* wheel-left, wheel-right: no device has them */
}

static bool is_taken(const char *type)
{
    return strcmp(type, "key") == 0 ? input_is_taken(INPUT_TAKES_KEYS) : strcmp(type, "btn") == 0 ? input_is_taken(INPUT_TAKES_BUTTONS)
         : strcmp(type, "rel") == 0 && input_is_taken(INPUT_TAKES_MOTION);
}

static void send_event(const Value *event)
{
    const Value *data = value_get(event, "data");
    const char *type = value_get_string(event, "type", "");
    bool down = value_get_bool(data, "down", false);

    if (strcmp(type, "key") == 0) {
        input_key(key_of(value_get(data, "key")), down);
    } else if (strcmp(type, "btn") == 0) {
        input_button(button_of(value_get_string(data, "button", "")), down);
    } else if (strcmp(type, "rel") == 0) {
        int way = (int)CLAMP(value_get_int(data, "value", 0), -32768, 32767);
        bool across = strcmp(value_get_string(data, "axis", "x"), "x") == 0;
        input_motion(across ? way : 0, across ? 0 : way);
    }
}

/* The screen that device= and head= name; *found NULL without device=. False: there is none, and *err says so. */
static bool find_screen(const Value *args, Console **found, GError **err)
{
    const char *id = value_get_string(args, "device", NULL);
    int64_t head = value_get_int(args, "head", 0);
    Device *device = id ? machine_find_device(qmp_machine(), id) : NULL;

    *found = device && head >= 0 && head <= UINT32_MAX ? console_of(device, (unsigned)head) : NULL;
    if (id && !device) {
        qmp_fail(err, QMP_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    } else if (id && !*found) {
        qmp_fail(err, QMP_GENERIC_ERROR, "Device %s (head %" G_GINT64_FORMAT ") is not bound to a QemuConsole", id, head);
    }
    return !id || *found;
}

QMP_HANDLER(input_send_event)
{
    const Value *events = value_get(args, "events");
    Console *screen;

    if (!find_screen(args, &screen, err)) {
        return NULL;
    }
    if (!guest_hears()) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "VM not running");
    }
    for (size_t i = 0; i < value_length(events); i++) {
        const char *type = value_get_string(value_at(events, i), "type", "");
        if (!is_taken(type)) {
            return qmp_fail(err, QMP_GENERIC_ERROR, "Input handler not found for event type %s", type);
        }
    }
    for (size_t i = 0; i < value_length(events); i++) {
        send_event(value_at(events, i));
    }
    input_sync();
    return qmp_done();
}

static bool write_picture(const Surface *surface, const char *path, bool png, GError **err)
{
    int fd = host_open("screendump", path, O_WRONLY | O_CREAT | O_TRUNC, 0666, err);

    if (fd < 0) {
        return false;
    }
    bool good = png ? screendump_png(surface, fd, path, err) : screendump_ppm(surface, fd, path, err);
    if (close(fd) != 0 && good) {
        good = fail(err, errno, "cannot write '%s': %s", path, g_strerror(errno));
    }
    if (!good) {
        unlink(path);
    }
    return good;
}

QMP_HANDLER(screendump)
{
    Console *screen;

    if (value_get(args, "head") && !value_get(args, "device")) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "'head' must be specified together with 'device'");
    }
    if (!find_screen(args, &screen, err)) {
        return NULL;
    }
    screen = screen ? screen : console_first();
    if (!screen) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "There is no console to take a screendump from");
    }
    console_update(screen);
    const Surface *surface = console_surface(screen);
    if (!surface->pixels) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "no surface");
    }
    bool png = strcmp(value_get_string(args, "format", "ppm"), "png") == 0;
    return write_picture(surface, value_get_string(args, "filename", ""), png, err) ? qmp_done() : NULL;
}

const char *input_made_type(const char *name)
{
    static char *text;

    if (strcmp(name, "QKeyCode") != 0) {
        return NULL;
    }
    if (!text) {
        GString *made = g_string_new("enum");
        for (const KeyName *key = key_names; key->name; key++) {
            g_string_append_printf(made, " %s", key->name);
        }
        text = g_string_free(made, FALSE);
    }
    return text;
}

const QmpType input_types[] = {
    { "KeyValueKind", "enum number qcode" },
    { "KeyValue", "union type:KeyValueKind ; type ; number:KeyNumberWrapper qcode:KeyCodeWrapper" },
    { "KeyNumberWrapper", "struct data:int" },
    { "KeyCodeWrapper", "struct data:QKeyCode" },
    { "InputButton", "enum left middle right wheel-up wheel-down side extra wheel-left wheel-right" },
    { "InputAxis", "enum x y" },
    { "InputEventKind", "enum key btn rel abs" },
    { "InputEvent", "union type:InputEventKind ; type ; key:InputKeyWrapper btn:InputButtonWrapper rel:InputMoveWrapper abs:InputMoveWrapper" },
    { "InputKeyWrapper", "struct data:InputKeyEvent" },
    { "InputKeyEvent", "struct key:KeyValue down:bool" },
    { "InputButtonWrapper", "struct data:InputBtnEvent" },
    { "InputBtnEvent", "struct button:InputButton down:bool" },
    { "InputMoveWrapper", "struct data:InputMoveEvent" },
    { "InputMoveEvent", "struct axis:InputAxis value:int" },
    { "ImageFormat", "enum ppm png" },
    { .name = NULL } };

const QmpCommand input_commands[] = {
    { "send-key", send_key, .args = "keys:[KeyValue] ?hold-time:int", .help = "presses keys in order and lets them go in reverse; hold-time in ms" },
    { "input-send-event", input_send_event, .args = "?device:str ?head:int events:[InputEvent]", .help = "keys, buttons and motion that belong together" },
    { "screendump", screendump, .args = "filename:str ?device:str ?head:int ?format:ImageFormat", .help = "a picture of the screen into a file" },
    { .name = NULL } };
