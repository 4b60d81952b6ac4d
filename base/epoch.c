/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epoch.c - objects outlive the readers that may still see them
 *
 * Each thread has a Reader that says in which epoch it entered (0: outside). Retiring an object closes the current
 * epoch: the object goes when no reader of that epoch or an older one is left.
 *
 * Entering must store the reader's epoch before it loads the published pointer. The expensive half of that order is
 * the writer's: membarrier(2) makes every running thread of the process pass a full barrier, so a reader pays plain
 * stores. On hosts that refuse membarrier, readers use a locked instruction instead.
 *
 *   reader                          writer
 *   reader.epoch = current          pointer = new
 *   (compiler barrier)              pending++, membarrier, stamp = current++
 *   use pointer                     any reader with 0 < epoch <= stamp: wait
 *
 * A reader that read a current above stamp did so after the barrier, and sees the new pointer. A reader that leaves
 * looks at pending after it stored its zero; the same barrier makes sure that either it sees the object pending, or
 * the writer's own look sees the zero. So nothing is left behind when readers are quiet.
 *
 * Threads  any; `mutex` guards both lists and is not held while destroy() runs
 * Tests    tests/unit/epoch.c
 */
#include "base/epoch.h"
#include "base/lock.h"
#include <glib.h>
#include <linux/membarrier.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct Reader Reader;
struct Reader {
    uint64_t epoch;                        /* when it entered; 0 while outside */
    unsigned depth;                        /* of nested epoch_enter(); its own thread's */
    Reader *next;
};

typedef struct Retired Retired;
struct Retired {
    void (*destroy)(void *object);
    void *object;
    uint64_t stamp;
    Retired *next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static bool cheap_readers;
static uint64_t current = 1;
static unsigned pending;
static Reader *readers;
static Retired *retired_first, **retired_last = &retired_first;    /* in order of their stamps */
static __thread Reader *self;

static void reader_exit(void *opaque)
{
    Reader *reader = opaque;

    LOCK_SCOPE(&mutex);
    for (Reader **link = &readers; *link; link = &(*link)->next) {
        if (*link == reader) {
            *link = reader->next;
            break;
        }
    }
    self = NULL;
    g_free(reader);
}

static void set_up(void)
{
    pthread_key_create(&exit_key, reader_exit);
    cheap_readers = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

static Reader *reader_new(void)
{
    Reader *reader = g_new0(Reader, 1);

    pthread_once(&once, set_up);
    pthread_setspecific(exit_key, reader);
    LOCK_SCOPE(&mutex);
    reader->next = readers;
    readers = reader;
    self = reader;
    return reader;
}

static inline void reader_store(Reader *reader, uint64_t epoch)
{
    if (__builtin_expect(cheap_readers, 1)) {
        __atomic_store_n(&reader->epoch, epoch, __ATOMIC_RELEASE);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } else {
        __atomic_exchange_n(&reader->epoch, epoch, __ATOMIC_SEQ_CST);
    }
}

static void writer_barrier(void)
{
    /* Without membarrier both sides use locked instructions: the writer's is the increment of pending. */
    if (cheap_readers && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
        g_error("the host took membarrier(2) away after it had granted it: a sandbox must let it pass");
    }
}

void epoch_enter(void)
{
    Reader *reader = self ? self : reader_new();

    if (reader->depth++ == 0) {
        reader_store(reader, __atomic_load_n(&current, __ATOMIC_ACQUIRE));
    }
}

/* Mutex held. The oldest epoch that somebody is still in; UINT64_MAX when nobody is in any. */
static uint64_t oldest_reader(void)
{
    uint64_t oldest = UINT64_MAX;

    for (Reader *reader = readers; reader; reader = reader->next) {
        uint64_t epoch = __atomic_load_n(&reader->epoch, __ATOMIC_ACQUIRE);

        oldest = epoch && epoch < oldest ? epoch : oldest;
    }
    return oldest;
}

/* Unlinks what no reader can see any more. */
static Retired *take_unseen(void)
{
    LOCK_SCOPE(&mutex);
    uint64_t oldest = oldest_reader();
    Retired *first = NULL, **last = &first;

    while (retired_first && retired_first->stamp < oldest) {
        *last = retired_first;
        last = &retired_first->next;
        retired_first = *last;
        __atomic_fetch_sub(&pending, 1, __ATOMIC_RELAXED);
    }
    *last = NULL;
    if (!retired_first) {
        retired_last = &retired_first;
    }
    return first;
}

static void reclaim(void)
{
    Retired *retired = take_unseen();

    while (retired) {
        Retired *next = retired->next;

        retired->destroy(retired->object);
        g_free(retired);
        retired = next;
    }
}

void epoch_leave(void)
{
    Reader *reader = self;

    g_assert(reader && reader->depth > 0);
    if (--reader->depth == 0) {
        reader_store(reader, 0);
        if (__builtin_expect(__atomic_load_n(&pending, __ATOMIC_RELAXED) != 0, 0)) {
            reclaim();
        }
    }
}

void epoch_retire(void (*destroy)(void *object), void *object)
{
    Retired *retired = g_new(Retired, 1);

    pthread_once(&once, set_up);
    *retired = (Retired){ destroy, object, 0, NULL };
    __atomic_fetch_add(&pending, 1, __ATOMIC_SEQ_CST);
    writer_barrier();
    pthread_mutex_lock(&mutex);
    retired->stamp = __atomic_fetch_add(&current, 1, __ATOMIC_ACQ_REL);
    *retired_last = retired;
    retired_last = &retired->next;
    pthread_mutex_unlock(&mutex);
    reclaim();
}

typedef struct Waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
} Waiter;

static void waiter_done(void *opaque)
{
    Waiter *waiter = opaque;

    LOCK_SCOPE(&waiter->mutex);
    waiter->done = true;
    pthread_cond_signal(&waiter->cond);
}

void epoch_synchronize(void)
{
    Waiter waiter = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

    g_assert(!self || self->depth == 0);
    epoch_retire(waiter_done, &waiter);
    pthread_mutex_lock(&waiter.mutex);
    while (!waiter.done) {
        pthread_cond_wait(&waiter.cond, &waiter.mutex);
    }
    pthread_mutex_unlock(&waiter.mutex);
}
