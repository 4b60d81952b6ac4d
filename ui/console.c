/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console.c - screens: an adapter's surface, and who looks at it; see console.h
 *
 * Threads  main loop or a vCPU thread, machine lock held
 * Tests    tests/unit/console.c
 */
#include "ui/console.h"
#include <string.h>

typedef struct Watcher {
    const ConsoleViewer *viewer;
    void *opaque;
} Watcher;

struct Console {
    const ConsoleOps *ops;
    void *opaque, *device;
    unsigned head;
    Surface surface;
    GArray *watchers;
    Cursor *cursor;
    int cursor_x, cursor_y;
    bool cursor_shown;
};

static GPtrArray *consoles;                /* in the order of making */

Console *console_new(const ConsoleOps *ops, void *opaque, void *device, unsigned head)
{
    Console *console = g_new0(Console, 1);

    *console = (Console){ .ops = ops, .opaque = opaque, .device = device, .head = head };
    console->watchers = g_array_new(FALSE, FALSE, sizeof(Watcher));
    if (!consoles) {
        consoles = g_ptr_array_new();
    }
    g_ptr_array_add(consoles, console);
    return console;
}

void console_free(Console *console)
{
    if (!console) {
        return;
    }
    g_ptr_array_remove(consoles, console);
    if (consoles->len == 0) {
        g_ptr_array_free(g_steal_pointer(&consoles), TRUE);
    }
    g_array_free(console->watchers, TRUE);
    g_free(console->cursor);
    g_free(console->surface.pixels);
    g_free(console);
}

Console *console_first(void)
{
    return consoles ? consoles->pdata[0] : NULL;
}

Console *console_of(void *device, unsigned head)
{
    for (guint i = 0; consoles && i < consoles->len; i++) {
        Console *console = consoles->pdata[i];
        if (console->device == device && console->head == head) {
            return console;
        }
    }
    return NULL;
}

bool console_has_head(void *device)
{
    for (guint i = 0; consoles && i < consoles->len; i++) {
        if (((const Console *)consoles->pdata[i])->device == device) {
            return true;
        }
    }
    return false;
}

#define TELL(console, member, ...)                                                            \
    for (guint i_ = 0; i_ < (console)->watchers->len; i_++) {                                 \
        const Watcher *watcher_ = &g_array_index((console)->watchers, Watcher, i_);           \
        if (watcher_->viewer->member) {                                                       \
            watcher_->viewer->member(watcher_->opaque, __VA_ARGS__);                          \
        }                                                                                     \
    }

/* ---- by the adapter ---- */

bool console_resize(Console *console, unsigned width, unsigned height)
{
    uint32_t *pixels = width && height && width <= CONSOLE_WIDTH_MOST && height <= CONSOLE_HEIGHT_MOST ? g_try_new0(uint32_t, (size_t)width * height) : NULL;

    if (!pixels) {
        return false;
    }
    g_free(console->surface.pixels);
    console->surface = (Surface){ width, height, pixels };
    TELL(console, resized, &console->surface)
    return true;
}

Surface *console_surface(Console *console)
{
    return &console->surface;
}

void console_changed(Console *console, unsigned x, unsigned y, unsigned width, unsigned height)
{
    const Surface *surface = &console->surface;

    if (x >= surface->width || y >= surface->height) {
        return;
    }
    width = MIN(width, surface->width - x);
    height = MIN(height, surface->height - y);
    TELL(console, changed, x, y, width, height)
}

void console_set_cursor(Console *console, const Cursor *cursor)
{
    size_t pixels = cursor ? (size_t)cursor->width * cursor->height : 0;

    g_clear_pointer(&console->cursor, g_free);
    if (cursor && cursor->width <= CURSOR_MOST && cursor->height <= CURSOR_MOST) {
        console->cursor = g_memdup2(cursor, sizeof *cursor + pixels * sizeof(uint32_t));
    }
    TELL(console, cursor, console->cursor)
}

void console_move_cursor(Console *console, int x, int y, bool visible)
{
    console->cursor_x = x;
    console->cursor_y = y;
    console->cursor_shown = visible;
    TELL(console, cursor_moved, x, y, visible)
}

/* ---- by viewers ---- */

void console_watch(Console *console, const ConsoleViewer *viewer, void *opaque)
{
    const Watcher watcher = { viewer, opaque };

    g_array_append_val(console->watchers, watcher);
    if (!console->surface.pixels && console->ops->invalidate) {
        console->ops->invalidate(console->opaque);
        console_update(console);           /* the first one to look: it is drawn now, and that tells */
    }
    if (console->surface.pixels) {
        if (viewer->resized) {
            viewer->resized(opaque, &console->surface);
        }
        if (viewer->changed) {
            viewer->changed(opaque, 0, 0, console->surface.width, console->surface.height);
        }
    }
    if (viewer->cursor && console->cursor) {
        viewer->cursor(opaque, console->cursor);
    }
    if (viewer->cursor_moved) {
        viewer->cursor_moved(opaque, console->cursor_x, console->cursor_y, console->cursor_shown);
    }
}

void console_unwatch(Console *console, void *opaque)
{
    for (guint i = 0; i < console->watchers->len; i++) {
        if (g_array_index(console->watchers, Watcher, i).opaque == opaque) {
            g_array_remove_index(console->watchers, i--);
        }
    }
}

void console_update(Console *console)
{
    console->ops->update(console->opaque);
}

void console_ui_info(Console *console, unsigned width, unsigned height)
{
    if (console->ops->ui_info) {
        console->ops->ui_info(console->opaque, width, height);
    }
}

char *console_text(Console *console)
{
    return console->ops->text ? console->ops->text(console->opaque) : NULL;
}
