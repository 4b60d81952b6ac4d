/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit-calls.c - what translated code asks for: pages, whole instructions, where to go on
 *
 * The guest's state is in the context while these run. Each returns the host address to go on at, or NULL for the run loop; an exception
 * raised in here unwinds to the run loop as from any interpreted instruction.
 *
 * Tests    tests/cpu/jit.c
 */
#include "accel/soft/flat.h"
#include "accel/soft/fpu.h"
#include "accel/soft/jit-check.h"
#include "accel/soft/mmu.h"
#include "accel/soft/run.h"
#include "accel/soft/walk.h"
#include "accel/x86/optab.h"
#include <glib.h>

static void stop_here(SoftCpu *cpu, const Insn *insn) { (void)cpu, (void)insn; }

/* Blocks end here that would go on in the interpreter: nobody finds them by the jump cache. */
static void prevent_chains(SoftCpu *cpu)
{
    cpu->stamp = cpu->stamp_local = STAMP_NONE;
}

/* A copy, with nothing behind it that goes on, and without the branch's knowledge of other blocks. */
static void run_alone(SoftCpu *cpu, const Trans *trans, const Insn *insn)
{
    Insn alone[2];

    alone[0] = *insn;
    alone[1].run = stop_here;
    if (trans->block->linked && insn->start + insn->length == trans->block->length) {
        alone[0].stub = NULL;
    }
    cpu->block_rip = trans->rip;
    cpu->block = trans->block;
    cpu->link = NULL;
    prevent_chains(cpu);
    alone->run(cpu, alone);
    cpu->link = NULL;
}

static Trans *trans_of(const SoftCpu *cpu, const JitSite *site) { return jit_trans_of(cpu->jit.cache, site); }
static const Insn *insn_of(const SoftCpu *cpu, const JitSite *site) { return jit_insn_of(cpu->jit.cache, site); }
static const uint8_t *again(const SoftCpu *cpu, const JitSite *site) { return trans_of(cpu, site)->start + site->retry; }
static const uint8_t *behind(const SoftCpu *cpu, const JitSite *site) { return trans_of(cpu, site)->start + site->after; }

static void interpret(SoftCpu *cpu, const JitSite *site)
{
    run_alone(cpu, trans_of(cpu, site), insn_of(cpu, site));
}

static uint64_t target_rip(const SoftCpu *cpu, const JitSite *site, int32_t distance)
{
    const Insn *insn = insn_of(cpu, site);
    uint64_t rip = trans_of(cpu, site)->rip + insn->start + insn->length + (uint64_t)(int64_t)distance;

    return cpu->code_size == 8 ? rip : (uint32_t)rip;
}

static uint64_t next_rip(const SoftCpu *cpu, const JitSite *site) { return target_rip(cpu, site, 0); }

/* ---- where to go on ---------------------------------------------------------------------------------------------------------------------- */

static const uint8_t *leave(SoftCpu *cpu)
{
    cpu->jit.leaves++;
    return NULL;
}

/* In lockstep nothing is interpreted while translated code runs. */
static const uint8_t *stop_before(SoftCpu *cpu, const Trans *trans, const Insn *insn)
{
    jit_check_cut(cpu, trans, insn);
    return leave(cpu);
}

static void remember_jump(SoftCpu *cpu, const Trans *trans, bool global)
{
    JitJumps *jumps = &cpu->jit.jumps[jit_level(cpu)];
    unsigned slot = jit_jump_slot(trans->rip);

    if (jumps->slot[slot] == cpu->jit.cache->tramp[TRAMP_INDIRECT]) {
        if (jumps->count < JIT_JUMPS) {
            jumps->used[jumps->count] = (uint16_t)slot;
        }
        jumps->count++;
    }
    jumps->slot[slot] = trans->indirect;
    jumps->local |= !global;
}

/* Requests that were masked when the run loop looked may be open now. */
static bool is_wanted(const SoftCpu *cpu)
{
    uint32_t masked = (cpu->rflags & FLAG_IF ? 0 : REQUEST_INTR) | (cpu->nmi_masked ? REQUEST_NMI : 0);

    return !__atomic_load_n(&cpu->jit.calm, __ATOMIC_RELAXED) || __atomic_load_n(&cpu->request, __ATOMIC_RELAXED) & ~masked;
}

/* By the interpreter's cache of jumps first, which is emptied by the same generations. *global: in pages that stay when CR3 is loaded. */
static Block *find_block(SoftCpu *cpu, bool *global)
{
    JumpEntry *entry = &cpu->jumps[jump_slot(cpu->rip)];
    Block *block;

    if (entry->rip != cpu->rip || (entry->stamp != cpu->stamp && entry->stamp != cpu->stamp_local)) {
        block = block_find(cpu);
        if (!block || !block_is_watched(block)) {
            return NULL;
        }
        block_remember(cpu, block);
    }
    *global = entry->stamp != cpu->stamp_local;
    return entry->block;
}

/* The translation for cpu->rip, if there is one and nothing wants the run loop. */
static Trans *follow(SoftCpu *cpu, bool *global)
{
    Block *block;
    Trans *trans;

    if (cpu->interrupt_shadow || cpu->activity != CPU_RUNNABLE || is_wanted(cpu) || !jit_may_run(cpu) || cpu->jit.check) {
        return NULL;
    }
    tlb_stamp(cpu);
    cpu->jit.lookups++;
    block = find_block(cpu, global);
    trans = block ? jit_trans_at(block, cpu->rip) : NULL;
    if (trans) {
        remember_jump(cpu, trans, *global);
    }
    return trans;
}

static const uint8_t *go_on(SoftCpu *cpu)
{
    bool global;
    Trans *trans = follow(cpu, &global);

    return trans ? trans->entry : leave(cpu);
}

static bool can_link(const SoftCpu *cpu, const JitSite *site, const Trans *trans, bool global)
{
    return !trans->block->second_host && trans_of(cpu, site)->block->mode == trans->block->mode && !trans_of(cpu, site)->dead &&
           (!site->crosses_pages || (global && cpu->cpl != 3));
}

/* ---- the calls --------------------------------------------------------------------------------------------------------------------------- */

/* Behind an instruction in the middle of its block. */
static const uint8_t *after_insn(SoftCpu *cpu, const JitSite *site)
{
    if (trans_of(cpu, site)->dead || !jit_stack_is_even(cpu) || (trans_of(cpu, site)->uses_x87 && cpu->x87_state != X87_READY) || cpu->interrupt_shadow) {
        cpu->rip = next_rip(cpu, site);
        return leave(cpu);
    }
    return behind(cpu, site);
}

static const uint8_t *call_last(SoftCpu *cpu, uint32_t index, uint64_t operand)
{
    JitSite *site = &cpu->jit.cache->sites[index];

    (void)operand;
    if (cpu->jit.check) {
        return stop_before(cpu, trans_of(cpu, site), insn_of(cpu, site));
    }
    cpu->jit.lasts++;
    cpu->jit.live = 0;
    cpu->rip = next_rip(cpu, site);
    interpret(cpu, site);
    return go_on(cpu);
}

static const uint8_t *call_helper(SoftCpu *cpu, uint32_t index, uint64_t operand)
{
    JitSite *site = &cpu->jit.cache->sites[index];

    (void)operand;
    if (cpu->jit.check) {
        return stop_before(cpu, trans_of(cpu, site), insn_of(cpu, site));
    }
    cpu->jit.helpers++;
    interpret(cpu, site);
    return after_insn(cpu, site);
}

static bool fill(SoftCpu *cpu, const JitSite *site, uint64_t linear)
{
    if (!mmu_fill(cpu, linear, site->write) || (site->write && cpu->jit.check && !jit_check_will_store(cpu, linear))) {
        return false;
    }
    cpu->jit.fills++;
    return true;
}

/* The page is not in the table, or the access may lie in two, or the page cannot be in the table. */
static const uint8_t *call_miss(SoftCpu *cpu, uint32_t index, uint64_t linear)
{
    JitSite *site = &cpu->jit.cache->sites[index];
    bool one_page = (linear & 0xfff) + site->size <= 4096;

    cpu->jit.misses++;
    if (cpu->code_size != 8) {
        linear = (uint32_t)linear;
    }
    cpu->block_rip = trans_of(cpu, site)->rip;
    if (one_page && flat_is_filled(cpu, linear, site->write)) {
        return again(cpu, site);           /* it only looked as if it crossed */
    }
    if (one_page && fill(cpu, site, linear)) {
        return again(cpu, site);
    }
    if (soft_ends_block(insn_of(cpu, site))) {
        return call_last(cpu, index, 0);
    }
    return call_helper(cpu, index, 0);
}

static const uint8_t *call_link(SoftCpu *cpu, uint32_t index, uint64_t operand)
{
    JitSite *site = &cpu->jit.cache->sites[index];
    bool global;
    Trans *trans;

    (void)operand;
    cpu->rip = target_rip(cpu, site, site->distance);
    trans = follow(cpu, &global);
    if (!trans) {
        /* Nothing may come between STI and what follows, be it HLT: IF may have been set before, but one instruction more is nobody's loss. */
        cpu->interrupt_shadow |= insn_of(cpu, site)->op == OP_STI;
        return leave(cpu);
    }
    if (can_link(cpu, site, trans, global)) {
        jit_link(cpu, index, trans);
    }
    return trans->entry;
}

static const uint8_t *call_poll(SoftCpu *cpu, uint32_t index, uint64_t operand)
{
    const JitSite *site = &cpu->jit.cache->sites[index];

    (void)operand;
    cpu->rip = target_rip(cpu, site, site->distance);
    return leave(cpu);
}

/* A target that is not canonical: RSP as it was before the instruction, which the interpreter then finds at fault. */
static const uint8_t *refuse_target(SoftCpu *cpu)
{
    JitSite *site = &cpu->jit.cache->sites[cpu->jit.from];

    if (insn_of(cpu, site)->op == OP_CALL) {
        cpu->gpr[GPR_RSP] += 8;
    } else if (insn_of(cpu, site)->op == OP_RET) {
        cpu->gpr[GPR_RSP] -= 8 + insn_of(cpu, site)->imm;
    }
    if (cpu->jit.check) {
        return stop_before(cpu, trans_of(cpu, site), insn_of(cpu, site));
    }
    interpret(cpu, site);
    return leave(cpu);
}

static const uint8_t *call_indirect(SoftCpu *cpu, uint32_t index, uint64_t rip)
{
    (void)index;
    if (cpu->code_size == 8 && (uint64_t)((int64_t)(rip << 16) >> 16) != rip) {
        return refuse_target(cpu);
    }
    cpu->rip = rip;
    return go_on(cpu);
}

static const uint8_t *call_poll_indirect(SoftCpu *cpu, uint32_t index, uint64_t rip)
{
    (void)index;
    cpu->rip = rip;
    return leave(cpu);
}

/* The block is the interpreter's this time: an exception of its kind is unmasked, or pending. */
static const uint8_t *interpret_block(SoftCpu *cpu, const JitSite *site)
{
    if (cpu->jit.check) {
        return stop_before(cpu, trans_of(cpu, site), insn_of(cpu, site));
    }
    cpu->rip = trans_of(cpu, site)->rip;
    cpu->jit.interpret_once = true;
    return leave(cpu);
}

static const uint8_t *take_vectors(SoftCpu *cpu, const JitSite *site, uint32_t wanted)
{
    if (cpu->mxcsr_live) {
        fpu_park_mxcsr(cpu);
    }
    if ((image_u32(cpu, IMAGE_MXCSR) & MXCSR_MASKS) != MXCSR_MASKS) {
        return interpret_block(cpu, site);
    }
    if (cpu->jit.live < wanted) {
        cpu->jit.live = wanted;
    }
    return behind(cpu, site);
}

static const uint8_t *call_vector(SoftCpu *cpu, uint32_t index, uint64_t operand)
{
    (void)operand;
    return take_vectors(cpu, &cpu->jit.cache->sites[index], JIT_LIVE_XMM);
}

static const uint8_t *call_avx(SoftCpu *cpu, uint32_t index, uint64_t operand)
{
    (void)operand;
    return take_vectors(cpu, &cpu->jit.cache->sites[index], JIT_LIVE_YMM);
}

static const uint8_t *call_x87(SoftCpu *cpu, uint32_t index, uint64_t operand)
{
    JitSite *site = &cpu->jit.cache->sites[index];

    (void)operand;
    if (!cpu->fpu_live) {
        fpu_enter_x87(cpu);
    }
    return cpu->x87_state == X87_READY ? behind(cpu, site) : interpret_block(cpu, site);
}

/* The group lies over a page's end, or its page cannot stand in the table: from here on the interpreter's. */
static const uint8_t *give_group_up(SoftCpu *cpu, const JitSite *site)
{
    Block *block = trans_of(cpu, site)->block;

    cpu->rip = trans_of(cpu, site)->rip + insn_of(cpu, site)->start;
    cpu->jit.interpret_once = true;
    if (++block->group_failures > 32) {
        block->no_groups = true;
        jit_block_dropped(cpu, block);     /* translated anew */
    }
    return cpu->jit.check ? stop_before(cpu, trans_of(cpu, site), insn_of(cpu, site)) : leave(cpu);
}

static const uint8_t *call_group_crosses(SoftCpu *cpu, uint32_t index, uint64_t base)
{
    (void)base;
    return give_group_up(cpu, &cpu->jit.cache->sites[index]);
}

static const uint8_t *call_group_miss(SoftCpu *cpu, uint32_t index, uint64_t base)
{
    JitSite *site = &cpu->jit.cache->sites[index];

    cpu->jit.misses++;
    cpu->block_rip = trans_of(cpu, site)->rip;
    if (fill(cpu, site, base + (uint64_t)(int64_t)site->distance)) {
        return again(cpu, site);
    }
    return give_group_up(cpu, site);
}

/* The host's processor refused: a division, an operand that is not aligned or not canonical. The interpreter says what it means to the guest. */
static const uint8_t *call_fault(SoftCpu *cpu, uint32_t index, uint64_t operand)
{
    const uint8_t *pc = (const uint8_t *)(uintptr_t)cpu->jit.fault_pc;
    Trans *trans = jit_find_trans(cpu->jit.cache, pc);
    unsigned at = jit_insn_at(trans, pc);
    JitSite site = { .trans = trans->number, .insn = (uint8_t)at, .after = trans->insn_at[at + 1] };

    (void)index, (void)operand;
    cpu->jit.faults++;
    if (cpu->jit.check) {
        return stop_before(cpu, trans, insn_of(cpu, &site));
    }
    cpu->rip = next_rip(cpu, &site);
    bool ends = soft_ends_block(insn_of(cpu, &site));
    interpret(cpu, &site);
    if (!ends && at + 1 < 64 && trans->inside_group >> (at + 1) & 1) {
        cpu->rip = next_rip(cpu, &site);   /* the next one wants what was in RCX */
        return leave(cpu);
    }
    return ends ? go_on(cpu) : after_insn(cpu, &site);
}

JitCall *const jit_calls[TRAMPS] = {
    [TRAMP_MISS] = call_miss, [TRAMP_HELPER] = call_helper, [TRAMP_LAST] = call_last, [TRAMP_LINK] = call_link, [TRAMP_POLL] = call_poll,
    [TRAMP_INDIRECT] = call_indirect, [TRAMP_POLL_INDIRECT] = call_poll_indirect, [TRAMP_VECTOR] = call_vector, [TRAMP_AVX] = call_avx, [TRAMP_X87] = call_x87,
    [TRAMP_FAULT] = call_fault, [TRAMP_GROUP_MISS] = call_group_miss, [TRAMP_GROUP_CROSSES] = call_group_crosses,
};
