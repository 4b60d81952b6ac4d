/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console.h - a screen: what a display adapter draws and who looks at it
 *
 * An adapter makes a Console, draws into its Surface when it is asked to, and says which part has changed. Viewers (VNC, a screendump) listen. Nothing
 * is drawn while nobody asks, so a screen without viewers costs nothing.
 * Threads: the main loop or a vCPU thread, machine lock held; a viewer with a thread of its own copies what it needs.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { CONSOLE_WIDTH_MOST = 16384, CONSOLE_HEIGHT_MOST = 16384, CURSOR_MOST = 512 };

typedef struct Surface {                   /* 0x00RRGGBB a pixel, host order, rows of `width` pixels without gaps */
    unsigned width, height;
    uint32_t *pixels;
} Surface;

typedef struct Cursor { unsigned width, height; int hot_x, hot_y; uint32_t pixels[]; } Cursor;     /* 0xAARRGGBB */

typedef struct Console Console;
typedef struct ConsoleOps {
    void (*update)(void *opaque);          /* draw what has changed since the last call, and tell by console_changed() */
    void (*invalidate)(void *opaque);      /* the next update() draws everything */
    void (*ui_info)(void *opaque, unsigned width, unsigned height);    /* a viewer would like this size (EDID); may be NULL */
    char *(*text)(void *opaque);           /* what a text mode shows, UTF-8, lines ended by \n; NULL: graphics. Caller frees; may be NULL */
} ConsoleOps;

/* device_id, head: what screendump's device= and head= name; device: its Device, opaque here. The first made is the default. */
Console *console_new(const ConsoleOps *ops, void *opaque, void *device, unsigned head);
void console_free(Console *console);
Console *console_first(void);              /* NULL: the machine has no display */
Console *console_of(void *device, unsigned head);
bool console_has_head(void *device);       /* some screen is that device's */

/* By the adapter. */
bool console_resize(Console *console, unsigned width, unsigned height);        /* a new, black surface; false: too large or no memory, old one stays */
Surface *console_surface(Console *console);                                    /* lent until the next resize */
void console_changed(Console *console, unsigned x, unsigned y, unsigned width, unsigned height);
void console_set_cursor(Console *console, const Cursor *cursor);               /* copied; NULL: none of the adapter's own */
void console_move_cursor(Console *console, int x, int y, bool visible);

/* By viewers. */
typedef struct ConsoleViewer {
    void (*resized)(void *opaque, const Surface *surface);
    void (*changed)(void *opaque, unsigned x, unsigned y, unsigned width, unsigned height);
    void (*cursor)(void *opaque, const Cursor *cursor);                        /* NULL: none */
    void (*cursor_moved)(void *opaque, int x, int y, bool visible);
} ConsoleViewer;
void console_watch(Console *console, const ConsoleViewer *viewer, void *opaque);    /* told resized() and all changed() at once */
void console_unwatch(Console *console, void *opaque);
void console_update(Console *console);     /* asks the adapter to draw now: changed() comes before it returns */
void console_ui_info(Console *console, unsigned width, unsigned height);
char *console_text(Console *console);
