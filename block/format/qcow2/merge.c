/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * merge.c - small requests to neighbouring places of the file become one
 *
 * A guest that writes or reads in order has many small requests under way at once; clusters that were allocated one after the other lie one
 * after the other. What is asked for in one turn of the loop is gathered, sorted by its place in the file, and what touches goes down
 * as one request, which the first of them carries out for all. A request that is alone in the image is never held back.
 *
 * Groups are kept small enough that several run beside each other on worker threads.
 *
 * Threads  the node's home loop
 * Tests    tests/block/qcow2.c
 */
#include "block/format/qcow2/qcow2.h"
#include "base/trace.h"

enum { TRACE_MERGE };
static TracePoint merge_trace[] = { [TRACE_MERGE] = { "qcow2_merge", "small requests to a qcow2 image became one" } };
TRACE_TABLE(merge_trace)

enum { ITEM_MOST = 32 << 10, GROUP_MOST = 128 << 10, PIECES_MOST = 256 };

typedef struct Item Item;
struct Item {
    uint64_t host;
    Iov iov;
    bool write;
    int ret;
    Coroutine *coroutine;
    Item *next;                            /* of those gathered; later of the group, the first first */
};

struct Qcow2Gather {
    Item *first, **last;
    size_t count;
};

static int one(Qcow2 *qcow2, bool write, uint64_t host, Iov iov, RequestFlags flags)
{
    return write ? node_pwritev(qcow2->data, host, iov, flags) : node_preadv(qcow2->data, host, iov, flags);
}

static int compare(const void *a, const void *b)
{
    const Item *left = *(Item *const *)a, *right = *(Item *const *)b;

    return left->write != right->write ? left->write - right->write : left->host < right->host ? -1 : left->host > right->host;
}

/* Runs until each coroutine yields in its request; the groups hang on their first items. */
static void submit(void *opaque)
{
    Qcow2 *qcow2 = opaque;
    Qcow2Gather *gather = qcow2->gather;
    g_autofree Item **items = g_new(Item *, gather->count);
    size_t count = 0;

    for (Item *item = gather->first; item; item = item->next) {
        items[count++] = item;
    }
    gather->first = NULL;
    gather->last = &gather->first;
    gather->count = 0;
    qsort(items, count, sizeof *items, compare);
    for (size_t i = 0, next; i < count; i = next) {
        uint64_t bytes = items[i]->iov.bytes;
        size_t pieces = items[i]->iov.count;

        for (next = i + 1; next < count && items[next]->write == items[i]->write && items[next]->host == items[i]->host + bytes &&
                           bytes + items[next]->iov.bytes <= GROUP_MOST && pieces + items[next]->iov.count <= PIECES_MOST; next++) {
            bytes += items[next]->iov.bytes;
            pieces += items[next]->iov.count;
            items[next - 1]->next = items[next];
        }
        items[next - 1]->next = NULL;
        coroutine_enter(items[i]->coroutine);
    }
}

/* The first of a group: the request of all, and then their turn. */
static int lead(Qcow2 *qcow2, Item *first)
{
    struct iovec pieces[PIECES_MOST];
    size_t count = 0;
    unsigned items = 0;
    int ret;

    for (Item *item = first; item; item = item->next) {
        count += iov_plain(item->iov, pieces + count);
        items++;
    }
    TRACE(&merge_trace[TRACE_MERGE], "0x%" PRIx64 ": %u requests", first->host, items);
    ret = one(qcow2, first->write, first->host, iov_all(pieces, count), 0);
    for (Item *item = first->next, *next; item; item = next) {
        next = item->next;                 /* the item is on the stack of whom we enter */
        item->ret = ret;
        coroutine_enter(item->coroutine);
    }
    return ret;
}

int qcow2_data_request(Qcow2 *qcow2, bool write, uint64_t host, Iov iov, RequestFlags flags)
{
    Item item = { .host = host, .iov = iov, .write = write, .ret = 1, .coroutine = coroutine_self() };
    Qcow2Gather *gather = qcow2->gather;

    if (qcow2->phase_requests[0] + qcow2->phase_requests[1] < 2 || iov.bytes > ITEM_MOST || iov.count > PIECES_MOST / 8 || flags) {
        return one(qcow2, write, host, iov, flags);
    }
    if (!gather->first) {
        io_loop_post(qcow2->node.loop, submit, qcow2);
    }
    *gather->last = &item;
    gather->last = &item.next;
    gather->count++;
    coroutine_yield();
    if (item.ret <= 0) {
        return item.ret;                   /* another one carried it out */
    }
    return item.next ? lead(qcow2, &item) : one(qcow2, write, host, iov, 0);
}

void qcow2_gather_init(Qcow2 *qcow2)
{
    qcow2->gather = g_new0(Qcow2Gather, 1);
    qcow2->gather->last = &qcow2->gather->first;
}

void qcow2_gather_free(Qcow2 *qcow2)
{
    g_clear_pointer(&qcow2->gather, g_free);
}
