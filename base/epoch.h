/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epoch.h - retire what other threads may still be reading
 *
 * A reader brackets its use by epoch_enter/epoch_leave (they nest; cost: a few thread-local instructions). A writer
 * unpublishes a pointer and then retires the object: destroy(object) runs once every reader that was inside has left.
 * Any thread. destroy runs on whichever thread notices, without locks of the caller's.
 */
#pragma once

void epoch_enter(void);
void epoch_leave(void);
void epoch_retire(void (*destroy)(void *object), void *object);
void epoch_synchronize(void);              /* waits for all readers of now; never inside epoch_enter */
