/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event.c - listeners, called in the order in which they registered
 *
 * Threads  machine lock
 * Tests    tests/unit/news.c
 */
#include "base/event.h"

typedef struct Listener {
    EventListener *call;                   /* NULL: it left while an event was on its way */
    void *opaque;
} Listener;

static GArray *listeners;
static unsigned emitting;

void event_listen(EventListener *listener, void *opaque)
{
    if (!listeners) {
        listeners = g_array_new(FALSE, FALSE, sizeof(Listener));
    }
    g_array_append_val(listeners, ((Listener){ listener, opaque }));
}

static void sweep(void)
{
    for (guint i = listeners->len; i-- > 0;) {
        if (!g_array_index(listeners, Listener, i).call) {
            g_array_remove_index(listeners, i);
        }
    }
}

void event_unlisten(EventListener *listener, void *opaque)
{
    for (guint i = 0; listeners && i < listeners->len; i++) {
        Listener *at = &g_array_index(listeners, Listener, i);

        if (at->call == listener && at->opaque == opaque) {
            at->call = NULL;
            break;
        }
    }
    if (listeners && !emitting) {
        sweep();
    }
}

void event_emit(const char *name, Value *take_data)
{
    guint count = listeners ? listeners->len : 0;          /* who registers during the event hears the next one */

    emitting++;
    for (guint i = 0; i < count; i++) {
        Listener listener = g_array_index(listeners, Listener, i);

        if (listener.call) {
            listener.call(listener.opaque, name, take_data);
        }
    }
    if (--emitting == 0 && listeners) {
        sweep();
    }
    value_unref(take_data);
}
