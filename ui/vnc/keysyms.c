/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keysyms.c - from what a viewer's key says (X11's keysyms) to the key that says it on a US keyboard
 *
 * A viewer sends Shift by itself, so both signs of a key are that key.
 *
 * Tests    tests/unit/vnc.c
 */
#include "ui/vnc/vnc.h"
#include <glib.h>
#include <linux/input-event-codes.h>
#include <string.h>

/* Latin 1 is its own keysym: pairs of signs by key. */
static const struct { char signs[3]; uint8_t key; } printing[] = {
    { "1!", KEY_1 }, { "2@", KEY_2 }, { "3#", KEY_3 }, { "4$", KEY_4 }, { "5%", KEY_5 }, { "6^", KEY_6 }, { "7&", KEY_7 }, { "8*", KEY_8 }, { "9(", KEY_9 },
    { "0)", KEY_0 }, { "-_", KEY_MINUS }, { "=+", KEY_EQUAL }, { "qQ", KEY_Q }, { "wW", KEY_W }, { "eE", KEY_E }, { "rR", KEY_R }, { "tT", KEY_T },
    { "yY", KEY_Y }, { "uU", KEY_U }, { "iI", KEY_I }, { "oO", KEY_O }, { "pP", KEY_P }, { "[{", KEY_LEFTBRACE }, { "]}", KEY_RIGHTBRACE }, { "aA", KEY_A },
    { "sS", KEY_S }, { "dD", KEY_D }, { "fF", KEY_F }, { "gG", KEY_G }, { "hH", KEY_H }, { "jJ", KEY_J }, { "kK", KEY_K }, { "lL", KEY_L },
    { ";:", KEY_SEMICOLON }, { "'\"", KEY_APOSTROPHE }, { "`~", KEY_GRAVE }, { "\\|", KEY_BACKSLASH }, { "zZ", KEY_Z }, { "xX", KEY_X }, { "cC", KEY_C },
    { "vV", KEY_V }, { "bB", KEY_B }, { "nN", KEY_N }, { "mM", KEY_M }, { ",<", KEY_COMMA }, { ".>", KEY_DOT }, { "/?", KEY_SLASH }, { "  ", KEY_SPACE },
};

static const struct { uint16_t keysym; uint8_t key; } others[] = {
    { 0xff08, KEY_BACKSPACE }, { 0xff09, KEY_TAB }, { 0xfe20, KEY_TAB }, { 0xff0d, KEY_ENTER }, { 0xff13, KEY_PAUSE }, { 0xff14, KEY_SCROLLLOCK },
    { 0xff15, KEY_SYSRQ }, { 0xff1b, KEY_ESC }, { 0xff50, KEY_HOME }, { 0xff51, KEY_LEFT }, { 0xff52, KEY_UP }, { 0xff53, KEY_RIGHT }, { 0xff54, KEY_DOWN },
    { 0xff55, KEY_PAGEUP }, { 0xff56, KEY_PAGEDOWN }, { 0xff57, KEY_END }, { 0xff61, KEY_SYSRQ }, { 0xff63, KEY_INSERT }, { 0xff67, KEY_COMPOSE },
    { 0xff6b, KEY_PAUSE }, { 0xff7e, KEY_RIGHTALT }, { 0xff7f, KEY_NUMLOCK }, { 0xff8d, KEY_KPENTER }, { 0xff95, KEY_KP7 }, { 0xff96, KEY_KP4 },
    { 0xff97, KEY_KP8 }, { 0xff98, KEY_KP6 }, { 0xff99, KEY_KP2 }, { 0xff9a, KEY_KP9 }, { 0xff9b, KEY_KP3 }, { 0xff9c, KEY_KP1 }, { 0xff9d, KEY_KP5 },
    { 0xff9e, KEY_KP0 }, { 0xff9f, KEY_KPDOT }, { 0xffaa, KEY_KPASTERISK }, { 0xffab, KEY_KPPLUS }, { 0xffad, KEY_KPMINUS }, { 0xffae, KEY_KPDOT },
    { 0xffaf, KEY_KPSLASH }, { 0xffb0, KEY_KP0 }, { 0xffb1, KEY_KP1 }, { 0xffb2, KEY_KP2 }, { 0xffb3, KEY_KP3 }, { 0xffb4, KEY_KP4 }, { 0xffb5, KEY_KP5 },
    { 0xffb6, KEY_KP6 }, { 0xffb7, KEY_KP7 }, { 0xffb8, KEY_KP8 }, { 0xffb9, KEY_KP9 }, { 0xffbe, KEY_F1 }, { 0xffbf, KEY_F2 }, { 0xffc0, KEY_F3 },
    { 0xffc1, KEY_F4 }, { 0xffc2, KEY_F5 }, { 0xffc3, KEY_F6 }, { 0xffc4, KEY_F7 }, { 0xffc5, KEY_F8 }, { 0xffc6, KEY_F9 }, { 0xffc7, KEY_F10 },
    { 0xffc8, KEY_F11 }, { 0xffc9, KEY_F12 }, { 0xffe1, KEY_LEFTSHIFT }, { 0xffe2, KEY_RIGHTSHIFT }, { 0xffe3, KEY_LEFTCTRL }, { 0xffe4, KEY_RIGHTCTRL },
    { 0xffe5, KEY_CAPSLOCK }, { 0xffe7, KEY_LEFTMETA }, { 0xffe8, KEY_RIGHTMETA }, { 0xffe9, KEY_LEFTALT }, { 0xffea, KEY_RIGHTALT }, { 0xffeb, KEY_LEFTMETA },
    { 0xffec, KEY_RIGHTMETA }, { 0xfe03, KEY_RIGHTALT }, { 0xffff, KEY_DELETE },
};

unsigned vnc_key_of(uint32_t keysym)
{
    for (size_t i = 0; i < G_N_ELEMENTS(printing); i++) {
        if (keysym && keysym < 0x80 && strchr(printing[i].signs, (int)keysym)) {
            return printing[i].key;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        if (others[i].keysym == keysym) {
            return others[i].key;
        }
    }
    return 0;
}
