/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vnc.c - keys by what viewers call them; what -vnc takes */
#include "base/json.h"
#include "ui/vnc/vnc.h"
#include <glib.h>
#include <linux/input-event-codes.h>

static void keys(void)
{
    g_assert_cmpuint(vnc_key_of('a'), ==, KEY_A);
    g_assert_cmpuint(vnc_key_of('A'), ==, KEY_A);
    g_assert_cmpuint(vnc_key_of('!'), ==, KEY_1);
    g_assert_cmpuint(vnc_key_of(' '), ==, KEY_SPACE);
    g_assert_cmpuint(vnc_key_of(0xff0d), ==, KEY_ENTER);
    g_assert_cmpuint(vnc_key_of(0xffc9), ==, KEY_F12);
    for (uint32_t keysym = 0x21; keysym < 0x7f; keysym++) {
        g_assert_cmpuint(vnc_key_of(keysym), !=, 0);           /* every printing sign has a key */
    }
    static const uint32_t nothing[] = { 0, 1, 0x1f, 0x7f, 0x80, 0xff, 0x100, 0xff00, 0xfffe, 0x10000, 0x1000041, UINT32_MAX };
    for (size_t i = 0; i < G_N_ELEMENTS(nothing); i++) {
        g_assert_cmpuint(vnc_key_of(nothing[i]), ==, 0);
    }
}

static void spellings(void)
{
    static const struct { const char *config; bool good; } tries[] = {
        { "{'vnc':':0'}", true }, { "{'vnc':'none'}", true }, { "{'vnc':'unix:/x'}", true }, { "{'vnc':'[::1]:5','websocket':'on'}", true },
        { "{'vnc':'h:1','websocket':'8080','share':'ignore'}", true }, { "{'vnc':':0','power-control':'off'}", true },
        { "{'vnc':''}", false }, { "{'vnc':'x'}", false }, { "{'vnc':':x'}", false }, { "{'vnc':':-1'}", false }, { "{'vnc':':59636'}", false },
        { "{'vnc':'unix:'}", false }, { "{'vnc':'unix:/x','websocket':'on'}", false }, { "{'vnc':':0','websocket':'0'}", false },
        { "{'vnc':':0','share':'x'}", false }, { "{'vnc':':0','tls-creds':'t'}", false }, { "{'vnc':':0','reverse':true}", false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(tries); i++) {
        g_autoptr(Value) config = json_parse(tries[i].config, NULL);
        g_autoptr(GError) err = NULL;
        g_assert_nonnull(config);
        g_assert_true(vnc_check(config, &err) == tries[i].good);
        g_assert_true(!err == tries[i].good);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vnc/keys by their signs", keys);
    g_test_add_func("/vnc/spellings", spellings);
    return g_test_run();
}
