/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop.h - the main thread's event loop, on a GMainContext
 *
 * Callbacks run on the main thread with the machine lock held; poll runs without it.
 */
#pragma once
#include <glib.h>
#include <stdbool.h>

void loop_init(void);                      /* main thread, once; takes the machine lock */
void loop_run(void);                       /* until loop_quit(); */
void loop_quit(void);                      /* any thread, not a signal handler */
bool loop_iterate(bool may_block);         /* one turn (tests) */

/* Runs call(opaque) on the main thread soon. Any thread. */
void loop_post(void (*call)(void *opaque), void *opaque);

typedef struct LoopWatch LoopWatch;
typedef void LoopReady(void *opaque, int fd, GIOCondition condition);
LoopWatch *loop_watch(int fd, GIOCondition condition, LoopReady *ready, void *opaque);
void loop_watch_change(LoopWatch *watch, GIOCondition condition);     /* 0 pauses it */
void loop_unwatch(LoopWatch *watch);                                  /* NULL is ignored; allowed inside its own callback */
