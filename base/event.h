/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * event.h - news that travels upward: SHUTDOWN, RESET, STOP, ... in QMP's names
 *
 * Anyone may emit, with the machine lock held; listeners (the monitor, the run loop, tests) are called at once in
 * order of registration.
 */
#pragma once
#include "base/value.h"

typedef void EventListener(void *opaque, const char *name, const Value *data);
void event_listen(EventListener *listener, void *opaque);
void event_unlisten(EventListener *listener, void *opaque);
void event_emit(const char *name, Value *take_data);                  /* data may be NULL */
