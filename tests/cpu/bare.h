/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bare.h - a software CPU's context over plain RAM, without threads and without a run loop: for truth tables
 */
#pragma once
#include "accel/memory/ram.h"
#include "accel/soft/mmu.h"
#include "accel/soft/state.h"
#include "accel/x86/bits.h"
#include <glib.h>

typedef struct Bare {
    SoftCpu *cpu;
    Region root, ram;
    uint8_t *memory;                       /* host address of guest-physical 0 */
} Bare;

/* A CPU in real mode after reset values, all features, 46 physical bits, and `bytes` of RAM at 0. */
Bare *bare_new(uint64_t bytes);
void bare_free(Bare *bare);
/* Sets the control registers without any check, and all that hangs on them; flushes. */
void bare_set_mode(Bare *bare, uint64_t cr0, uint64_t cr4, uint64_t efer, unsigned cpl);
static inline void bare_put64(Bare *bare, uint64_t physical, uint64_t value) { memcpy(bare->memory + physical, &value, 8); }
static inline void bare_put32(Bare *bare, uint64_t physical, uint32_t value) { memcpy(bare->memory + physical, &value, 4); }
static inline uint64_t bare_get64(Bare *bare, uint64_t physical) { uint64_t v; memcpy(&v, bare->memory + physical, 8); return v; }
static inline uint32_t bare_get32(Bare *bare, uint64_t physical) { uint32_t v; memcpy(&v, bare->memory + physical, 4); return v; }

/* Runs the statement; true when it raised (vector and error code are in cpu->sys.raised_*). */
#define BARE_RAISES(bare_, ...)                                                                     \
    __extension__ ({                                                                                \
        volatile bool raised_ = false;                                                              \
        if (_setjmp((bare_)->cpu->unwind) == 0) {                                                   \
            __VA_ARGS__;                                                                            \
        } else {                                                                                    \
            raised_ = true;                                                                         \
        }                                                                                           \
        raised_;                                                                                    \
    })
