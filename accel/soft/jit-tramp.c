/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit-tramp.c - the way into translated code and out of it: emitted once for each CPU, at the start of its cache
 *
 * A trampoline stores the guest's registers and flags, and, while they are the host's, its vector registers and MXCSR; calls its C function
 * with the site in ESI and RBP in RDX; then loads everything again and goes where the function said, or, for NULL, returns from jit_run().
 * The stack pointer is the same in all translated code: 16-byte aligned below the six registers that enter() pushed.
 */
#include "accel/soft/flags.h"
#include "accel/soft/flat.h"
#include "accel/soft/fpu.h"
#include "accel/soft/trans.h"

static void put_constants(JitCache *cache, Emit *e)
{
    static const uint64_t values[CONSTS] = {
        [CONST_INDEX_SUPERVISOR] = UINT64_C(0x0000fffffffff000), [CONST_INDEX_USER] = UINT64_C(0x00007ffffffff000),
        [CONST_JUMP] = JIT_JUMPS - 1, [CONST_CROSS_2] = 0xffe, [CONST_CROSS_4] = 0xffc, [CONST_CROSS_8] = 0xff8,
        [CONST_CROSS_16] = 0xff0, [CONST_CROSS_32] = 0xfe0, [CONST_CROSS_64] = 0xfc0, [CONST_CROSS_128] = 0xf80, [CONST_CROSS_256] = 0xf00, [CONST_NO_IF] = ~(uint64_t)FLAG_IF, [CONST_ARITHMETIC] = FLAG_ARITHMETIC,
        [CONST_LOW_THREE] = 7,
    };

    for (unsigned i = 0; i < CONSTS; i++) {
        cache->constant[i] = emit_here(e);
        emit_bytes(e, 8, values[i]);
    }
}

static void move_registers(Emit *e, bool store)
{
    for (unsigned guest = 0; guest < 16; guest++) {
        if (trans_host[guest] == NOT_PINNED || trans_host[guest] == H_RAX) {
            continue;
        }
        if (store) {
            emit_store(e, trans_slot(guest), trans_host[guest]);
        } else {
            emit_load(e, trans_host[guest], trans_slot(guest));
        }
    }
}

static size_t image(unsigned offset) { return offsetof(SoftCpu, xsave) + offset; }

/* Bits 128 to 255, when code with VEX made them live. C code then runs without the price of their being there. */
static void move_high_halves(Emit *e, bool store)
{
    if (!jit_host_has(FEATURE_AVX)) {
        return;
    }
    emit_op(e, 0, 0x83, 7, rm_context(offsetof(SoftCpu, jit.live)), 1, JIT_LIVE_YMM);
    uint8_t *skip = emit_jcc_open(e, 5);
    for (unsigned i = 0; i < 16; i++) {    /* vextractf128, vinsertf128 */
        emit_vex(e, 1, 3, false, true, store ? 0x19 : 0x18, i, store ? 0 : i, rm_context(image(IMAGE_EXTENDED + 16 * i)), 1);
    }
    if (store) {
        emit_bytes(e, 3, 0x77f8c5);        /* vzeroupper */
    }
    emit_patch(skip, e->shift, emit_here(e));
}

/* Sixteen registers and MXCSR, when they are live: flags are free here. */
static void move_vectors(Emit *e, bool store)
{
    emit_op(e, 0, 0x83, 7, rm_context(offsetof(SoftCpu, jit.live)), 1, 0);
    uint8_t *skip = emit_jcc_open(e, 4);
    for (unsigned i = 0; i < 16; i++) {
        emit_op(e, E_0F, store ? 0x29 : 0x28, i, rm_context(image(IMAGE_XMM + 16 * i)), 0, 0);
    }
    if (store) {
        emit_op(e, E_0F, 0xae, 3, rm_context(image(IMAGE_MXCSR)), 0, 0);
        emit_op(e, E_0F, 0xae, 2, rm_context(offsetof(SoftCpu, jit.mxcsr_default)), 0, 0);
    } else {
        emit_op(e, E_0F, 0xae, 2, rm_context(image(IMAGE_MXCSR)), 0, 0);
    }
    move_high_halves(e, store);
    emit_patch(skip, e->shift, emit_here(e));
}

static void store_state(Emit *e)
{
    emit_store(e, trans_slot(GPR_RAX), H_RAX);
    emit_bytes(e, 4, 0xc0900f9f);          /* lahf; seto al */
    emit_op(e, E_66, 0x89, H_RAX, rm_context(offsetof(SoftCpu, flags_both)), 0, 0);
    move_registers(e, true);
    move_vectors(e, true);
}

static void load_state(Emit *e)
{
    move_vectors(e, false);
    emit_op(e, E_0F, 0xb7, H_RAX, rm_context(offsetof(SoftCpu, flags_both)), 0, 0);
    emit_bytes(e, 3, 0x9e7f04);            /* add al, 7fh: OF as it was; sahf: the others */
    move_registers(e, false);
    emit_load(e, H_RAX, trans_slot(GPR_RAX));
    emit_jump_context(e, offsetof(SoftCpu, jit.resume));
}

static void pushes(Emit *e)
{
    emit_bytes(e, 1, 0x53);                /* rbx */
    emit_bytes(e, 1, 0x55);                /* rbp */
    emit_bytes(e, 8, 0x5741564155415441);  /* r12 to r15 */
    emit_bytes(e, 4, 0x08ec8348);          /* sub rsp, 8 */
}

static void pops_and_return(Emit *e)
{
    emit_bytes(e, 4, 0x08c48348);
    emit_bytes(e, 8, 0x5c415d415e415f41);  /* r15 to r12 */
    emit_bytes(e, 3, 0xc35b5d);
}

static const uint8_t *trampoline(Emit *e, JitCall *call, const uint8_t *load, const uint8_t *leave)
{
    const uint8_t *start = emit_here(e);

    store_state(e);
    emit_load(e, H_RDI, rm_context(offsetof(SoftCpu, jit.self)));
    emit_op(e, 0, 0x89, H_RCX, rm_register(H_RSI), 0, 0);
    emit_move(e, H_RDX, H_RBP);
    emit_constant(e, H_RAX, (uint64_t)(uintptr_t)call);
    emit_op(e, 0, 0xff, 2, rm_register(H_RAX), 0, 0);
    emit_op(e, E_W, 0x85, H_RAX, rm_register(H_RAX), 0, 0);
    emit_bytes(e, 2, 0x840f);
    emit_bytes(e, 4, (uint32_t)(leave - (emit_here(e) + 4)));
    emit_store(e, rm_context(offsetof(SoftCpu, jit.resume)), H_RAX);
    emit_jump(e, load);
    return start;
}

bool jit_make_trampolines(SoftCpu *cpu, JitCache *cache)
{
    Emit e = { .at = cache->write, .end = cache->write + cache->bytes, .shift = cache->execute - cache->write };
    const uint8_t *load, *leave;

    put_constants(cache, &e);
    load = emit_here(&e);
    load_state(&e);
    leave = emit_here(&e);
    emit_op(&e, 0, 0xc7, 0, rm_context(offsetof(SoftCpu, jit.live)), 4, 0);
    pops_and_return(&e);
    cache->enter = (void (*)(const uint8_t *))(uintptr_t)emit_here(&e);
    pushes(&e);
    emit_store(&e, rm_context(offsetof(SoftCpu, jit.resume)), H_RDI);
    emit_constant(&e, WRITE_TABLE, (uint64_t)(uintptr_t)flat_write_table(cpu));
    emit_jump(&e, load);
    for (unsigned i = 0; i < TRAMPS; i++) {
        cache->tramp[i] = trampoline(&e, jit_calls[i], load, leave);
    }
    cache->reserved = cache->used = ((size_t)(e.at - cache->write) + 63) & ~(size_t)63;
    return !e.full;
}
