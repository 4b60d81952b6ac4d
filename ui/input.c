/* SPDX-License-Identifier: GPL-2.0-or-later */
/* input.c - routes keys, buttons and motion to the devices that take them; see input.h */
#include "ui/input.h"
#include <glib.h>

typedef struct Attached {
    const InputHandler *handler;
    void *opaque;
} Attached;

static GArray *attached;                   /* the last one comes first */
static unsigned lights;

void input_attach(const InputHandler *handler, void *opaque)
{
    Attached entry = { handler, opaque };

    if (!attached) {
        attached = g_array_new(FALSE, FALSE, sizeof(Attached));
    }
    g_array_prepend_val(attached, entry);
}

void input_detach(void *opaque)
{
    for (guint i = 0; attached && i < attached->len; i++) {
        if (g_array_index(attached, Attached, i).opaque == opaque) {
            g_array_remove_index(attached, i);
            i--;
        }
    }
    if (attached && attached->len == 0) {
        g_array_free(attached, TRUE);
        attached = NULL;
    }
}

#define ROUTE(member, ...)                                                                    \
    for (guint i = 0; attached && i < attached->len; i++) {                                   \
        const Attached *entry = &g_array_index(attached, Attached, i);                        \
        if (entry->handler->member) {                                                         \
            entry->handler->member(entry->opaque, __VA_ARGS__);                               \
            return;                                                                           \
        }                                                                                     \
    }

void input_key(unsigned key, bool down)
{
    if (key < INPUT_KEY_LIMIT) {
        ROUTE(key, key, down)
    }
}

void input_button(InputButton button, bool down)
{
    if (button < INPUT_BUTTONS) {
        ROUTE(button, button, down)
    }
}

void input_motion(int dx, int dy)
{
    ROUTE(motion, dx, dy)
}

void input_sync(void)
{
    for (guint i = 0; attached && i < attached->len; i++) {
        const Attached *entry = &g_array_index(attached, Attached, i);
        if (entry->handler->sync) {
            entry->handler->sync(entry->opaque);
        }
    }
}

bool input_is_taken(InputTakes kind)
{
    for (guint i = 0; attached && i < attached->len; i++) {
        const InputHandler *handler = g_array_index(attached, Attached, i).handler;
        if (kind == INPUT_TAKES_KEYS ? handler->key != NULL : kind == INPUT_TAKES_BUTTONS ? handler->button != NULL : handler->motion != NULL) {
            return true;
        }
    }
    return false;
}

void input_leds_set(unsigned leds)
{
    lights = leds;
}

unsigned input_leds(void)
{
    return lights;
}
