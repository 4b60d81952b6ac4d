/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * coroutine.c - stacks, and the switch between them
 *
 * A switch saves what the System V ABI asks a callee to keep (rbx, rbp, r12 to r15, mxcsr, the x87 control word) on the
 * stack that it leaves. Stacks are mappings with a guard page below, and the Coroutine itself lies on top; each thread keeps
 * some for the next coroutine, without a lock. The address and thread sanitizers are told of every switch, since both keep
 * books per stack.
 *
 * Who is woken from a lock or a queue goes into the thread's list of those that are ready. It runs as soon as control is back
 * at the thread itself (coroutine_enter() of the outermost coroutine returns), or else in the loop's next turn.
 *
 * Threads  any, each coroutine on one
 * Tests    tests/unit/coroutine.c
 */
#include "base/coroutine.h"
#include <glib.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define WITH_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif

#define GUARD_SIZE  ((size_t)4096)
#define STACK_SIZE  ((size_t)1 << 20)      /* address space; only what is touched costs memory */
#define SPARE_MOST  64                     /* of each thread */
#define KEPT_SIZE   ((size_t)32 << 10)     /* of a spare stack, the part that is used all the time */
#define TRIM_EVERY  64                     /* uses of a stack after which what lies below that part goes back to the host */

struct Coroutine {                         /* lies at the top of its own stack */
    void (*entry)(void *opaque);
    void *opaque;
    void *sp;                              /* while it does not run */
    void *caller_sp;                       /* of who entered it */
    Coroutine *caller;                     /* the coroutine that entered it; NULL: the thread itself */
    Coroutine *next;                       /* in the list of spare stacks, or of those that are ready */
    bool running, ended;
    unsigned uses;                         /* of the stack; it outlives the coroutine */
    char *bottom;                          /* above the guard page */
    size_t size;                           /* from bottom to this struct */
#ifdef WITH_ASAN
    void *fake_stack, *caller_fake_stack;
    const void *caller_bottom;
    size_t caller_size;
#endif
#ifdef WITH_TSAN
    void *fiber, *caller_fiber;
#endif
};

/* What a thread keeps. `key` exists for the sake of its destructor. */
static __thread Coroutine *current;
static __thread Coroutine *spare;
static __thread unsigned spare_count;
static __thread Coroutine *first_ready, **last_ready;
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

/* coroutine_switch(save, load): pushes what the callee keeps, *save = rsp, rsp = load, pops, returns on the new stack.
 * coroutine_begin is where a new stack "returns" to, with the coroutine in rbx; nothing lies above it for a debugger. */
void coroutine_switch(void **save, void *load);
void coroutine_begin(void);
void coroutine_main(Coroutine *coroutine);
__asm__(".text\n"
        ".p2align 4\n"
        ".globl coroutine_switch\n"
        ".hidden coroutine_switch\n"
        ".type coroutine_switch, @function\n"
        "coroutine_switch:\n"
        "    .cfi_startproc\n"
        "    push %rbp\n"
        "    push %rbx\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    sub $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    add $8, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size coroutine_switch, . - coroutine_switch\n"
        ".p2align 4\n"
        ".globl coroutine_begin\n"
        ".hidden coroutine_begin\n"
        ".type coroutine_begin, @function\n"
        "coroutine_begin:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n"
        "    mov %rbx, %rdi\n"
        "    call coroutine_main\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size coroutine_begin, . - coroutine_begin\n");

/* ---- stacks ---- */

static void stack_unmap(Coroutine *stack)
{
    munmap(stack->bottom - GUARD_SIZE, GUARD_SIZE + STACK_SIZE);
}

static void unmap_spares(void *opaque)
{
    (void)opaque;
    while (spare) {
        Coroutine *stack = spare;

        spare = stack->next;
        stack_unmap(stack);
    }
    spare_count = 0;
}

static void make_key(void)
{
    pthread_key_create(&key, unmap_spares);
}

static Coroutine *stack_map(void)
{
    char *base = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    Coroutine *stack;

    if (base == MAP_FAILED) {
        return NULL;
    }
    if (mprotect(base, GUARD_SIZE, PROT_NONE) != 0) {
        munmap(base, GUARD_SIZE + STACK_SIZE);
        return NULL;
    }
    stack = (Coroutine *)((uintptr_t)(base + GUARD_SIZE + STACK_SIZE - sizeof *stack) & ~(uintptr_t)63);
    stack->bottom = base + GUARD_SIZE;
    stack->size = (size_t)((char *)stack - stack->bottom);
    return stack;
}

static Coroutine *stack_get(void)
{
    Coroutine *stack = spare;

    if (stack) {
        spare = stack->next;
        spare_count--;
    } else {
        stack = stack_map();
    }
#ifdef WITH_ASAN
    if (stack) {                           /* it may hold the only pointer to something */
        __lsan_register_root_region(stack->bottom, stack->size + sizeof *stack);
    }
#endif
    return stack;
}

static void stack_put(Coroutine *stack)
{
#ifdef WITH_ASAN
    __lsan_unregister_root_region(stack->bottom, stack->size + sizeof *stack);
    __asan_unpoison_memory_region(stack->bottom, stack->size); /* frames that never returned left their red zones */
#endif
    if (spare_count >= SPARE_MOST) {
        stack_unmap(stack);
        return;
    }
    if (++stack->uses % TRIM_EVERY == 0) {
        madvise(stack->bottom, (stack->size - KEPT_SIZE) & ~(size_t)4095, MADV_DONTNEED);
    }
    if (!spare) {                          /* seldom: the list is empty when all that were made are in use */
        pthread_once(&key_once, make_key);
        pthread_setspecific(key, &spare);
    }
    stack->next = spare;
    spare = stack;
    spare_count++;
}

/* ---- life ---- */

/* The frame that coroutine_switch() will pop: control words, r15 r14 r13 r12, rbx, rbp, return address. */
static void prepare(Coroutine *coroutine)
{
    uint64_t *top = (uint64_t *)coroutine;
    uint64_t *frame = top - 10;            /* rsp is 16-aligned when coroutine_begin is reached, as before any call */
    uint32_t mxcsr;
    uint16_t x87;

    __asm__("stmxcsr %0" : "=m"(mxcsr));
    __asm__("fnstcw %0" : "=m"(x87));
    frame[0] = mxcsr | (uint64_t)x87 << 32;
    frame[1] = frame[2] = frame[3] = frame[4] = 0;
    frame[5] = (uintptr_t)coroutine;
    frame[6] = 0;
    frame[7] = (uintptr_t)coroutine_begin;
    frame[8] = frame[9] = 0;
    coroutine->sp = frame;
}

Coroutine *coroutine_new(void (*entry)(void *opaque), void *opaque)
{
    Coroutine *coroutine = stack_get();

    if (!coroutine) {
        return NULL;
    }
    coroutine->entry = entry;
    coroutine->opaque = opaque;
    coroutine->running = coroutine->ended = false;
#ifdef WITH_ASAN
    coroutine->fake_stack = NULL;
#endif
    prepare(coroutine);
#ifdef WITH_TSAN
    coroutine->fiber = __tsan_create_fiber(0);
#endif
    return coroutine;
}

static void coroutine_free(Coroutine *coroutine)
{
#ifdef WITH_TSAN
    __tsan_destroy_fiber(coroutine->fiber);
#endif
    stack_put(coroutine);
}

/* On the coroutine's stack, back to who entered it. */
static void leave(Coroutine *coroutine)
{
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(coroutine->ended ? NULL : &coroutine->fake_stack, coroutine->caller_bottom,
                                   coroutine->caller_size);
#endif
#ifdef WITH_TSAN
    __tsan_switch_to_fiber(coroutine->caller_fiber, 0);
#endif
    coroutine_switch(&coroutine->sp, coroutine->caller_sp);
}

/* On the coroutine's stack, just arrived. */
static void arrived(Coroutine *coroutine)
{
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(coroutine->fake_stack, &coroutine->caller_bottom, &coroutine->caller_size);
#else
    (void)coroutine;
#endif
}

void coroutine_main(Coroutine *coroutine)
{
    arrived(coroutine);
    coroutine->entry(coroutine->opaque);
    coroutine->ended = true;
    leave(coroutine);
}

static void enter(Coroutine *coroutine)
{
    g_assert(!coroutine->running);
    coroutine->running = true;
    coroutine->caller = current;
    current = coroutine;
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&coroutine->caller_fake_stack, coroutine->bottom, coroutine->size);
#endif
#ifdef WITH_TSAN
    coroutine->caller_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(coroutine->fiber, 0);
#endif
    coroutine_switch(&coroutine->caller_sp, coroutine->sp);
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(coroutine->caller_fake_stack, NULL, NULL);
#endif
    current = coroutine->caller;
    coroutine->running = false;
    if (coroutine->ended) {
        coroutine_free(coroutine);
    }
}

void coroutine_enter(Coroutine *coroutine)
{
    enter(coroutine);
    if (!current && first_ready) {
        coroutine_run_ready();
    }
}

/* ---- what is ready ---- */

void coroutine_ready(Coroutine *coroutine)
{
    coroutine->next = NULL;
    if (first_ready) {
        *last_ready = coroutine;
    } else {
        first_ready = coroutine;
    }
    last_ready = &coroutine->next;
}

bool coroutine_any_ready(void)
{
    return first_ready != NULL;
}

void coroutine_run_ready(void)
{
    while (first_ready) {
        Coroutine *coroutine = first_ready;

        first_ready = coroutine->next;
        enter(coroutine);
    }
}

void coroutine_yield(void)
{
    Coroutine *coroutine = current;

    g_assert(coroutine);
    leave(coroutine);
    arrived(coroutine);
}

Coroutine *coroutine_self(void)
{
    return current;
}

/* ---- waiting for each other ---- */

struct CoWaiter {                          /* on the stack of who waits */
    CoWaiter *next;
    Coroutine *coroutine;
};

static void queue_append(CoQueue *queue, CoWaiter *waiter)
{
    waiter->next = NULL;
    if (queue->last) {
        queue->last->next = waiter;
    } else {
        queue->first = waiter;
    }
    queue->last = waiter;
}

static Coroutine *queue_pop(CoQueue *queue)
{
    CoWaiter *waiter = queue->first;

    if (!waiter) {
        return NULL;
    }
    queue->first = waiter->next;
    if (!queue->first) {
        queue->last = NULL;
    }
    return waiter->coroutine;
}

void co_lock(CoMutex *lock)
{
    CoWaiter waiter = { .coroutine = current };

    g_assert(current && lock->owner != current);
    if (!lock->owner) {
        lock->owner = current;
        return;
    }
    queue_append(&lock->waiters, &waiter);
    coroutine_yield();                     /* it is ours when we come back */
}

void co_unlock(CoMutex *lock)
{
    g_assert(lock->owner == current);
    lock->owner = queue_pop(&lock->waiters);
    if (lock->owner) {
        coroutine_ready(lock->owner);
    }
}

void co_queue_wait(CoQueue *queue, CoMutex *lock)
{
    CoWaiter waiter = { .coroutine = current };

    queue_append(queue, &waiter);
    if (lock) {
        co_unlock(lock);
    }
    coroutine_yield();
    if (lock) {
        co_lock(lock);
    }
}

bool co_queue_wake(CoQueue *queue)
{
    Coroutine *coroutine = queue_pop(queue);

    if (coroutine) {
        coroutine_ready(coroutine);
    }
    return coroutine != NULL;
}

void co_queue_wake_all(CoQueue *queue)
{
    while (co_queue_wake(queue)) {
    }
}

/* Whoever leaves hands the lock over, so that nobody slips in between. */
static void rwlock_hand_over(CoRwlock *lock)
{
    if (lock->readers || lock->writer) {
        return;
    }
    if (co_queue_wake(&lock->waiting_writers)) {
        lock->writer = true;
        return;
    }
    while (co_queue_wake(&lock->waiting_readers)) {
        lock->readers++;
    }
}

void co_read_lock(CoRwlock *lock)
{
    if (lock->writer || !co_queue_is_empty(&lock->waiting_writers)) {
        co_queue_wait(&lock->waiting_readers, NULL);
    } else {
        lock->readers++;
    }
}

void co_read_unlock(CoRwlock *lock)
{
    g_assert(lock->readers > 0);
    lock->readers--;
    rwlock_hand_over(lock);
}

void co_write_lock(CoRwlock *lock)
{
    if (lock->writer || lock->readers) {
        co_queue_wait(&lock->waiting_writers, NULL);
    } else {
        lock->writer = true;
    }
}

/* Readers that queued while the writer wrote come first, so that a row of writers does not starve them. */
void co_write_unlock(CoRwlock *lock)
{
    g_assert(lock->writer);
    lock->writer = false;
    while (co_queue_wake(&lock->waiting_readers)) {
        lock->readers++;
    }
    rwlock_hand_over(lock);
}
