/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-internal.h - what virtio.c and virtio-state.c have in common; main thread, machine lock held, unless said otherwise */
#pragma once
#include "hw/virtio/virtio.h"

void virtio_start(Virtio *virtio);         /* any thread with the machine lock; so is virtio_stop() */
void virtio_stop(Virtio *virtio);
void virtio_wait_idle(Virtio *virtio);     /* after virtio_stop() */
void virtio_pause(Virtio *virtio);         /* no queue is served, nothing is in flight but what the model keeps back, all is told */
void virtio_settle(Virtio *virtio);        /* interrupts due are sent, posts have arrived */
void virtio_resume_on_loop(Virtio *virtio);                /* the device's loop */
void virtio_interrupt_now(Virtio *virtio);                 /* the same */
