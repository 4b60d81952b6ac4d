/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ps2.c - keyboard and mouse alone, as the controller sees them */
#include "hw/input/ps2.h"
#include "ui/input.h"
#include <glib.h>
#include <linux/input-event-codes.h>

/* Everything that waits, in hexadecimal: "fa aa". */
static char *keyboard_says(Ps2Keyboard *keyboard)
{
    GString *text = g_string_new(NULL);

    while (ps2_keyboard_pending(keyboard)) {
        g_string_append_printf(text, "%s%02x", text->len ? " " : "", ps2_keyboard_read(keyboard));
    }
    return g_string_free(text, FALSE);
}

static char *mouse_says(Ps2Mouse *mouse)
{
    GString *text = g_string_new(NULL);

    while (ps2_mouse_pending(mouse)) {
        g_string_append_printf(text, "%s%02x", text->len ? " " : "", ps2_mouse_read(mouse));
    }
    return g_string_free(text, FALSE);
}

static void expect(char *got, const char *wanted)
{
    g_assert_cmpstr(got, ==, wanted);
    g_free(got);
}

static void ask(Ps2Keyboard *keyboard, uint8_t byte, const char *wanted)
{
    ps2_keyboard_write(keyboard, byte);
    expect(keyboard_says(keyboard), wanted);
}

static void tell(Ps2Mouse *mouse, uint8_t byte, const char *wanted)
{
    ps2_mouse_write(mouse, byte);
    expect(mouse_says(mouse), wanted);
}

static void press(Ps2Keyboard *keyboard, unsigned key, const char *down, const char *up)
{
    ps2_keyboard_key(keyboard, key, true);
    expect(keyboard_says(keyboard), down);
    ps2_keyboard_key(keyboard, key, false);
    expect(keyboard_says(keyboard), up);
}

static void keyboard_commands(void)
{
    Ps2Keyboard keyboard;

    ps2_keyboard_init(&keyboard);
    ask(&keyboard, 0xff, "fa aa");
    ask(&keyboard, 0xf2, "fa ab 83");
    ask(&keyboard, 0xee, "ee");
    ask(&keyboard, 0xed, "fa");
    ask(&keyboard, 0x07, "fa");
    g_assert_cmpint(keyboard.leds, ==, 7);
    ask(&keyboard, 0xf3, "fa");
    ask(&keyboard, 0x20, "fa");
    ask(&keyboard, 0xf0, "fa");
    ask(&keyboard, 0x00, "fa 02");
    ask(&keyboard, 0xf0, "fa");
    ask(&keyboard, 0x09, "fe");
    ask(&keyboard, 0xed, "fa");
    ask(&keyboard, 0xf4, "fa");                              /* a command ends the wait for a parameter */
    ask(&keyboard, 0x00, "fe");
    ask(&keyboard, 0xef, "fe");
    ask(&keyboard, 0xfe, "fe");
    ask(&keyboard, 0xfb, "fa");
    ask(&keyboard, 0x1c, "fa");
    ask(&keyboard, 0x1b, "fa");
    ask(&keyboard, 0xf5, "fa");
    press(&keyboard, KEY_A, "", "");                         /* not scanning */
    ask(&keyboard, 0xf4, "fa");
    press(&keyboard, KEY_A, "1c", "f0 1c");
}

static void scan_codes(void)
{
    Ps2Keyboard keyboard;

    ps2_keyboard_init(&keyboard);
    press(&keyboard, KEY_ESC, "76", "f0 76");
    press(&keyboard, KEY_F7, "83", "f0 83");
    press(&keyboard, KEY_UP, "e0 75", "e0 f0 75");
    press(&keyboard, KEY_PAUSE, "e1 14 77 e1 f0 14 f0 77", "");
    press(&keyboard, KEY_SYSRQ, "e0 12 e0 7c", "e0 f0 7c e0 f0 12");
    ps2_keyboard_key(&keyboard, KEY_LEFTALT, true);
    expect(keyboard_says(&keyboard), "11");
    press(&keyboard, KEY_SYSRQ, "84", "f0 84");
    ps2_keyboard_key(&keyboard, KEY_LEFTALT, false);
    expect(keyboard_says(&keyboard), "f0 11");
    ask(&keyboard, 0xf0, "fa");
    ask(&keyboard, 1, "fa");
    press(&keyboard, KEY_ESC, "01", "81");
    press(&keyboard, KEY_UP, "e0 48", "e0 c8");
    press(&keyboard, KEY_PAUSE, "e1 1d 45 e1 9d c5", "");
    press(&keyboard, KEY_SYSRQ, "e0 2a e0 37", "e0 b7 e0 aa");
    ps2_keyboard_key(&keyboard, KEY_RIGHTCTRL, true);
    expect(keyboard_says(&keyboard), "e0 1d");
    press(&keyboard, KEY_PAUSE, "e0 46 e0 c6", "");
    ask(&keyboard, 0xf0, "fa");
    ask(&keyboard, 3, "fa");
    press(&keyboard, KEY_ESC, "08", "f0 08");
    press(&keyboard, KEY_UP, "63", "f0 63");
    press(&keyboard, 255, "", "");
    press(&keyboard, 100000, "", "");
}

/* The controller's translation of each key's set 2 is the same key's set 1. */
static void translation_is_set_1(void)
{
    for (unsigned key = 0; key < INPUT_KEY_LIMIT; key++) {
        for (int down = 1; down >= 0; down--) {
            Ps2Keyboard one, two;
            bool after_f0 = false;
            GString *translated = g_string_new(NULL);
            ps2_keyboard_init(&one);
            ps2_keyboard_init(&two);
            one.set = 1;
            ps2_keyboard_key(&one, key, down);
            ps2_keyboard_key(&two, key, down);
            while (ps2_keyboard_pending(&two)) {
                int byte = ps2_translate(ps2_keyboard_read(&two), &after_f0);
                if (byte >= 0) {
                    g_string_append_printf(translated, "%s%02x", translated->len ? " " : "", (unsigned)byte);
                }
            }
            expect(keyboard_says(&one), translated->str);
            g_string_free(translated, TRUE);
            g_assert_false(after_f0);
        }
    }
}

static void keyboard_overrun(void)
{
    Ps2Keyboard keyboard;
    unsigned bytes = 0;
    uint8_t last = 0xff;

    ps2_keyboard_init(&keyboard);
    for (int i = 0; i < 1000; i++) {
        ps2_keyboard_key(&keyboard, KEY_UP, i % 2);
        g_assert_true(ps2_keyboard_valid(&keyboard));
    }
    ps2_keyboard_write(&keyboard, 0xee);
    g_assert_cmphex(ps2_keyboard_read(&keyboard), ==, 0xee); /* replies overtake */
    while (ps2_keyboard_pending(&keyboard)) {
        last = ps2_keyboard_read(&keyboard);
        bytes++;
    }
    g_assert_cmpint(bytes, <=, 33);
    g_assert_cmphex(last, ==, 0);
}

static void mouse_commands(void)
{
    Ps2Mouse mouse;

    ps2_mouse_init(&mouse);
    tell(&mouse, 0xff, "fa aa 00");
    tell(&mouse, 0xe9, "fa 00 02 64");
    tell(&mouse, 0xe8, "fa");
    tell(&mouse, 0x03, "fa");
    tell(&mouse, 0xf3, "fa");
    tell(&mouse, 0x28, "fa");
    tell(&mouse, 0xe7, "fa");
    ps2_mouse_button(&mouse, 0, true);
    tell(&mouse, 0xf4, "fa");
    tell(&mouse, 0xe9, "fa 34 03 28");
    tell(&mouse, 0xf2, "fa 00");
    tell(&mouse, 0xee, "fa");
    tell(&mouse, 0xf2, "f2");
    tell(&mouse, 0x55, "55");
    tell(&mouse, 0xec, "fa");
    tell(&mouse, 0xf0, "fa");
    ps2_mouse_motion(&mouse, 5, 3, 0);
    ps2_mouse_sync(&mouse);
    expect(mouse_says(&mouse), "");                          /* remote: only when asked */
    tell(&mouse, 0xeb, "fa 29 05 fd");
    tell(&mouse, 0xf6, "fa");
    tell(&mouse, 0xe9, "fa 04 02 64");
    tell(&mouse, 0x12, "fe");
}

static void knock(Ps2Mouse *mouse, uint8_t a, uint8_t b, uint8_t c)
{
    uint8_t rates[3] = { a, b, c };

    for (int i = 0; i < 3; i++) {
        tell(mouse, 0xf3, "fa");
        tell(mouse, rates[i], "fa");
    }
}

static void mouse_packets(void)
{
    Ps2Mouse mouse;

    ps2_mouse_init(&mouse);
    tell(&mouse, 0xf4, "fa");
    ps2_mouse_motion(&mouse, -1, -2, 1);
    ps2_mouse_button(&mouse, 1, true);
    ps2_mouse_sync(&mouse);
    expect(mouse_says(&mouse), "1a ff 02");
    ps2_mouse_motion(&mouse, 600, 0, 0);
    ps2_mouse_sync(&mouse);
    expect(mouse_says(&mouse), "0a ff 00 0a ff 00 0a 5a 00");
    knock(&mouse, 200, 100, 80);
    tell(&mouse, 0xf2, "fa 03");
    ps2_mouse_motion(&mouse, 0, 0, -1);
    ps2_mouse_sync(&mouse);
    expect(mouse_says(&mouse), "0a 00 00 ff");
    knock(&mouse, 200, 200, 80);
    tell(&mouse, 0xf2, "fa 04");
    ps2_mouse_button(&mouse, 3, true);
    ps2_mouse_button(&mouse, 1, false);
    ps2_mouse_motion(&mouse, 0, 0, 2);
    ps2_mouse_sync(&mouse);
    expect(mouse_says(&mouse), "08 00 00 12");
    ps2_mouse_sync(&mouse);
    expect(mouse_says(&mouse), "");
}

static void motion_is_bounded(void)
{
    Ps2Mouse mouse;

    ps2_mouse_init(&mouse);
    ps2_mouse_write(&mouse, 0xf4);
    for (int i = 0; i < 1000; i++) {
        ps2_mouse_motion(&mouse, G_MAXINT, G_MININT, G_MININT);
        ps2_mouse_sync(&mouse);
        g_assert_true(ps2_mouse_valid(&mouse));
    }
}

static void random_pokes(void)
{
    Ps2Keyboard keyboard;
    Ps2Mouse mouse;
    g_autoptr(GRand) random = g_rand_new_with_seed(8042);

    ps2_keyboard_init(&keyboard);
    ps2_mouse_init(&mouse);
    for (int i = 0; i < 500000; i++) {
        uint32_t r = g_rand_int(random);
        switch (r >> 29) {
        case 0: case 1:
            ps2_keyboard_write(&keyboard, r);
            ps2_mouse_write(&mouse, r >> 8);
            break;
        case 2:
            ps2_keyboard_write(&keyboard, 0xed + r % 19);
            ps2_mouse_write(&mouse, 0xe6 + r % 26);
            break;
        case 3: case 4:
            ps2_keyboard_read(&keyboard);
            ps2_mouse_read(&mouse);
            break;
        default:
            ps2_keyboard_key(&keyboard, r % 300, r & 0x1000);
            ps2_mouse_button(&mouse, r % 8, r & 0x1000);
            ps2_mouse_motion(&mouse, (int)r >> 8, (int)(r << 3) >> 8, (int)r % 9);
            ps2_mouse_sync(&mouse);
            break;
        }
        g_assert_true(ps2_keyboard_valid(&keyboard));
        g_assert_true(ps2_mouse_valid(&mouse));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ps2/keyboard-commands", keyboard_commands);
    g_test_add_func("/ps2/scan-codes", scan_codes);
    g_test_add_func("/ps2/translation", translation_is_set_1);
    g_test_add_func("/ps2/keyboard-overrun", keyboard_overrun);
    g_test_add_func("/ps2/mouse-commands", mouse_commands);
    g_test_add_func("/ps2/mouse-packets", mouse_packets);
    g_test_add_func("/ps2/mouse-bounded", motion_is_bounded);
    g_test_add_func("/ps2/random", random_pokes);
    return g_test_run();
}
