/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * coroutine.c - stacks, and the switch between them
 *
 * A switch saves what the System V ABI asks a callee to keep (rbx, rbp, r12 to r15, mxcsr, the x87 control word) on the
 * stack that it leaves. Stacks are mappings with a guard page below; a few are kept for the next coroutine. The address
 * and thread sanitizers are told of every switch, since both keep books per stack.
 *
 * Threads  any, each coroutine on one; `mutex` guards the spare stacks
 * Tests    tests/unit/coroutine.c
 */
#include "base/coroutine.h"
#include "base/lock.h"
#include <glib.h>
#include <errno.h>
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
#define SPARE_MOST  32

typedef struct Stack Stack;
struct Stack {                             /* lies at the top of its own mapping */
    Stack *next;
    char *bottom;                          /* above the guard page */
    size_t size;                           /* from bottom to this struct */
};

struct Coroutine {
    void (*entry)(void *opaque);
    void *opaque;
    Stack *stack;
    void *sp;                              /* while it does not run */
    void *caller_sp;                       /* of who entered it */
    Coroutine *caller;                     /* the coroutine that entered it; NULL: the thread itself */
    bool running, ended;
#ifdef WITH_ASAN
    void *fake_stack, *caller_fake_stack;
    const void *caller_bottom;
    size_t caller_size;
#endif
#ifdef WITH_TSAN
    void *fiber, *caller_fiber;
#endif
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Stack *spare;
static unsigned spare_count;
static __thread Coroutine *current;

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

static Stack *stack_map(void)
{
    char *base = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    Stack *stack;

    if (base == MAP_FAILED || mprotect(base, GUARD_SIZE, PROT_NONE) != 0) {
        g_error("the host has no memory for the stack of a coroutine: %s", g_strerror(errno));
    }
    stack = (Stack *)(base + GUARD_SIZE + STACK_SIZE) - 1;
    stack->bottom = base + GUARD_SIZE;
    stack->size = (size_t)((char *)stack - stack->bottom);
    return stack;
}

static Stack *stack_get(void)
{
    Stack *stack = NULL;

    pthread_mutex_lock(&mutex);
    if (spare) {
        stack = spare;
        spare = stack->next;
        spare_count--;
    }
    pthread_mutex_unlock(&mutex);
    stack = stack ? stack : stack_map();
#ifdef WITH_ASAN
    __lsan_register_root_region(stack->bottom, stack->size);   /* it may hold the only pointer to something */
#endif
    return stack;
}

static void stack_put(Stack *stack)
{
    bool keep;

#ifdef WITH_ASAN
    __lsan_unregister_root_region(stack->bottom, stack->size);
    __asan_unpoison_memory_region(stack->bottom, stack->size); /* frames that never returned left their red zones */
#endif
    pthread_mutex_lock(&mutex);
    keep = spare_count < SPARE_MOST;
    if (keep) {
        stack->next = spare;
        spare = stack;
        spare_count++;
    }
    pthread_mutex_unlock(&mutex);
    if (!keep) {
        munmap(stack->bottom - GUARD_SIZE, GUARD_SIZE + STACK_SIZE);
    }
}

/* ---- life ---- */

/* The frame that coroutine_switch() will pop: control words, r15 r14 r13 r12, rbx, rbp, return address. */
static void prepare(Coroutine *coroutine)
{
    uint64_t *top = (uint64_t *)((uintptr_t)coroutine->stack & ~(uintptr_t)15);
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
    Coroutine *coroutine = g_new0(Coroutine, 1);

    coroutine->entry = entry;
    coroutine->opaque = opaque;
    coroutine->stack = stack_get();
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
    stack_put(coroutine->stack);
    g_free(coroutine);
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

void coroutine_enter(Coroutine *coroutine)
{
    g_assert(!coroutine->running);
    coroutine->running = true;
    coroutine->caller = current;
    current = coroutine;
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&coroutine->caller_fake_stack, coroutine->stack->bottom, coroutine->stack->size);
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
