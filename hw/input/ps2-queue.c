/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ps2-queue.c - the bounded byte queue of PS/2 devices */
#include "hw/input/ps2.h"

void ps2_queue_clear(Ps2Queue *queue)
{
    queue->head = queue->count = 0;
}

bool ps2_queue_put(Ps2Queue *queue, const uint8_t *bytes, size_t length)
{
    if (length > (size_t)PS2_QUEUE_SIZE - queue->count) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        queue->data[(queue->head + queue->count++) % PS2_QUEUE_SIZE] = bytes[i];
    }
    return true;
}

uint8_t ps2_queue_get(Ps2Queue *queue)
{
    if (!queue->count) {
        return 0;
    }
    uint8_t byte = queue->data[queue->head];
    queue->head = (queue->head + 1) % PS2_QUEUE_SIZE;
    queue->count--;
    return byte;
}

bool ps2_queue_valid(const Ps2Queue *queue)
{
    return queue->head < PS2_QUEUE_SIZE && queue->count <= PS2_QUEUE_SIZE;
}
