/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queue.h - a virtqueue (split ring): the one door between a guest's rings and a device
 *
 * The driver offers chains of descriptors; queue_pop() hands each out as a QueueElement whose pieces are checked and mapped guest
 * memory; queue_push() gives it back. Everything behind the ring is hostile: an index, address, length, loop or nesting that
 * cannot be followed makes the queue broken. Then it hands out nothing any more until it is started anew, and its owner is told
 * once; elements handed out before stay valid and are pushed as ever.
 *
 * Threads  a queue belongs to one thread at a time: its loop's (virtio.h), or whoever holds the machine lock while it is stopped.
 *          No locks here, no allocation per element, no system calls.
 */
#pragma once
#include "accel/memory/dma.h"
#include <sys/uio.h>

typedef struct Queue Queue;

enum { QUEUE_SIZE_MOST = 1024,             /* entries of a ring */
       QUEUE_PIECES_MOST = 1024 };         /* descriptors of a chain, and pieces they are mapped in: what one preadv() takes */

/* One chain. A device's request struct begins with it (QueueSetup.element_size); what stands behind it is the device's own, all
 * zero the first time and never touched here. Counts and pieces may be changed by the device, down to nothing. */
typedef struct QueueElement {
    Queue *queue;
    struct iovec *out, *in;                /* what the device may read, what it may write; pieces without bytes do not appear */
    unsigned out_count, in_count;
    size_t out_bytes, in_bytes;            /* at most UINT32_MAX together */
    size_t in_total;                       /* in_bytes as it was popped */
    uint16_t head;                         /* the driver's name for the chain; saved state holds it */
    /* the queue's own */
    bool busy, own_arrays;
    unsigned room, maps_used, out_maps;
    DmaMap *maps;                          /* of all pieces, readable ones first, as they were mapped */
    struct iovec *pieces;
    struct QueueElement *next_free;
} QueueElement;

typedef struct QueueOps {
    void (*broken)(void *opaque, const char *why);         /* once: a sentence for guest_fault() */
    void (*pushed)(void *opaque);          /* first push since the last queue_must_interrupt(): look at it at the end of this turn */
    void (*idle)(void *opaque);            /* a detached queue has its last element back */
} QueueOps;

typedef struct QueueSetup {
    AddressSpace *space;
    uint64_t descriptors, available, used; /* guest addresses: aligned to 16, 2 and 4 */
    uint16_t size;                         /* a power of two, 1 to QUEUE_SIZE_MOST */
    bool event_index, indirect, notify_on_empty;           /* what was negotiated */
    uint16_t next_available, next_used;    /* 0, or from a saved state */
    size_t element_size;                   /* at least sizeof(QueueElement) */
    const QueueOps *ops;
    void *opaque;
} QueueSetup;

Queue *queue_new(void);
void queue_free(Queue *queue);             /* NULL is ignored; stops it */

/* Maps the rings and makes `size` elements. A ring that is not RAM, crosses the end of its RAM or is not aligned: the queue is
 * broken from the start (ops->broken is called). false: the host has no memory for the elements, and *err says so. */
bool queue_start(Queue *queue, const QueueSetup *setup, GError **err);
/* From now on nothing is popped, and pushes do not reach the ring: the driver has taken it back. ops->idle is called by the last
 * push; with nothing handed out it is not called: see queue_in_flight(). */
void queue_detach(Queue *queue);
/* Detached and nothing handed out: lets go of rings and elements. */
void queue_stop(Queue *queue);
bool queue_started(const Queue *queue);    /* between queue_start() and queue_stop() */
bool queue_broken(const Queue *queue);
void queue_break(Queue *queue, const char *why);           /* a device's own complaint, as of a chain too short for a header */

/* The next chain; NULL: none now, or broken, or detached. At most `size` are handed out at any time. */
QueueElement *queue_pop(Queue *queue);
/* Is there something to pop? True for a broken ring index too: queue_pop() will say so. */
bool queue_has_more(Queue *queue);
/* Should the driver kick? Off while its chains are popped anyway. On: returns true when more came before it could know. */
void queue_kicks_off(Queue *queue);
bool queue_kicks_on(Queue *queue);
/* The loop of every device: queue_next() pops with kicks off, and turns them on again when there is nothing left (then NULL). */
QueueElement *queue_next(Queue *queue);
/* How many may be popped before queue_pop() says NULL although there is more, so that a driver who adds as fast as the device answers
 * does not hold its thread. The owner's; at first without limit. */
void queue_set_budget(Queue *queue, unsigned pops);
bool queue_budget_spent(const Queue *queue);

/* Gives it back; written: how many bytes of `in`, from its start, hold an answer (as it was popped). The memory is unmapped,
 * marked dirty, its translated code dropped. The driver is not interrupted yet. */
void queue_push(QueueElement *element, size_t written);
/* The same in two steps, for answers in several elements that the driver must see together or not at all: each is filled, all are published. */
void queue_fill(QueueElement *element, size_t written);
void queue_publish(Queue *queue);
/* As if it had never been popped; only the last one that was, and nothing was pushed or popped since. */
void queue_unpop(QueueElement *element);
/* After a batch of pushes: does the driver want an interrupt for them? Asks once. */
bool queue_must_interrupt(Queue *queue);

/* Saved state: indexes for QueueSetup, heads of what is handed out, and such a chain taken again (NULL: broken now). */
void queue_indexes(const Queue *queue, uint16_t *next_available, uint16_t *next_used);
unsigned queue_in_flight(const Queue *queue);
unsigned queue_heads(const Queue *queue, uint16_t *heads, unsigned most);
QueueElement *queue_take_again(Queue *queue, uint16_t head);

/* An element's pieces, cut in place. */
size_t queue_take_out(QueueElement *element, void *bytes, size_t length);      /* copies the first bytes of out and removes them; how many */
void queue_cut_in(QueueElement *element, size_t front, size_t back);           /* removes so many bytes from the ends of in */
/* Copies into the writable bytes as they were popped, whatever was cut since; how much fitted. A status byte at the end:
 * queue_answer(element, element->in_total - 1, &status, 1). */
size_t queue_answer(QueueElement *element, size_t offset, const void *bytes, size_t length);
