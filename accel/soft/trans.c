/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trans.c - one block of decoded instructions into host code
 *
 *     indirect:   is RBP (where an indirect jump wanted to go) this block's RIP? else look it up; poll
 *     entry:      vector registers and x87 there, where the block has such instructions
 *                 the instructions, islands between them
 *                 exits
 *     cold:       for each island and exit: its site's number, a jump to the trampoline
 *
 * Loops poll at their backward jump, everything else at indirect jumps. An exit whose target lies in the same page, or, for the
 * kernel, in another global one, is a jump that is patched when the target has code; any other goes by the table of indirect jumps, which is
 * emptied when the mapping of code changes.
 *
 * Tests    tests/cpu/jit.c
 */
#include "accel/soft/trans.h"
#include "accel/soft/code-page.h"
#include "accel/soft/handlers.h"
#include "accel/soft/walk.h"
#include "base/log.h"
#include <glib.h>

enum { ROOM = 16384, PAGE_SHIFT = 12 };    /* no block is longer: 64 instructions of at most 200 bytes, cold parts included */

uint64_t trans_next_rip(const TransBuild *b, const Insn *insn)
{
    uint64_t rip = b->trans->rip + insn->start + insn->length;

    return b->long_code ? rip : (uint32_t)rip;
}

/* ---- exits ------------------------------------------------------------------------------------------------------------------------ */

static size_t slot_offset(const TransBuild *b)
{
    return offsetof(SoftCpu, jit.jumps) + (b->user ? JIT_USER : JIT_SUPERVISOR) * sizeof(JitJumps) + offsetof(JitJumps, slot);
}

void trans_exit_indirect(TransBuild *b)
{
    uint32_t site = trans_site(b, 0, false);

    emit_op(&b->e, 0, 0xc7, 0, rm_context(offsetof(SoftCpu, jit.from)), 4, site);
    emit_vex(&b->e, 2, 2, true, false, 0xf5, H_RCX, H_RBP, rm_constant(b->cache->constant[CONST_JUMP]), -1);
    emit_op(&b->e, 0, 0xff, 4, (Rm){ .kind = RM_CONTEXT_SCALED, .index = H_RCX, .scale = 3, .disp = (int32_t)slot_offset(b) }, 0, 0);
}

static bool code_is_global(const TransBuild *b)
{
    return tlb_fetch_entry(b->cpu, b->user, b->trans->rip)->global;
}

bool trans_can_link(const TransBuild *b, uint64_t target, bool *crosses)
{
    if (b->block->second_host || b->block->mode & KEY_SINGLE) {
        return false;
    }
    *crosses = target >> PAGE_SHIFT != b->trans->rip >> PAGE_SHIFT;
    return !*crosses || (!b->user && code_is_global(b));
}

void trans_exit(TransBuild *b, uint64_t target, bool polls)
{
    uint32_t index = trans_site(b, 0, false);
    bool crosses = false, links = trans_can_link(b, target, &crosses);

    if (b->e.full) {
        return;
    }
    b->cache->sites[index].distance = (int32_t)(target - trans_next_rip(b, b->insn));
    b->cache->sites[index].crosses_pages = crosses;
    if (polls) {
        trans_make_room(b);
        emit_load32(&b->e, H_RCX, rm_context(offsetof(SoftCpu, jit.calm)));
        trans_island(b, emit_jrcxz_open(&b->e), index, TRAMP_POLL, NOT_PINNED);
    }
    if (links) {
        uint8_t *jump = emit_jump_open(&b->e);

        b->cache->sites[index].patch = (uint16_t)(jump + b->e.shift - b->trans->start);
        trans_cold(b, jump, index, TRAMP_LINK);
    } else {
        emit_constant(&b->e, H_RBP, target);
        emit_jump_context(&b->e, slot_offset(b) + jit_jump_slot(target) * sizeof(uint8_t *));
    }
    trans_flush_islands(b, false);         /* nothing falls through to here */
}

/* ---- calls ------------------------------------------------------------------------------------------------------------------------ */

static void call_site(TransBuild *b, unsigned tramp)
{
    uint32_t site = trans_site(b, 0, false);

    emit_constant(&b->e, H_RCX, site);
    emit_jump(&b->e, b->cache->tramp[tramp]);
}

/* The guest's CPUID has it (an older meaning of the opcode is always there), and so does the host's processor. */
bool trans_is_there(const TransBuild *b, const Insn *insn)
{
    const OptabRow *row = optab_row(insn->row);

    return insn->op != OP_INVALID && !(insn->prefixes & PREFIX_LOCK && !insn->memory) &&
           (!row->feature || insn->op != row->op || (cpuid_has(b->cpu->features, row->feature) && jit_host_has(row->feature)));
}

static void translate_insn(TransBuild *b, const Insn *insn)
{
    if (trans_is_there(b, insn) &&
        (trans_integer(b, insn) || trans_stack(b, insn) || trans_system(b, insn) || trans_vector(b, insn) || trans_x87(b, insn))) {
        trans_check_stack(b, insn);
        return;
    }
    if (b->group.live) {                   /* it was taken for one that is done here: once more, without */
        b->block->no_groups = true;
        b->e.full = true;
    }
    trans_flush_islands(b, true);
    call_site(b, TRAMP_HELPER);
}

static void settle_fixups(TransBuild *b)
{
    for (unsigned i = 0; i < b->fixup_count && !b->e.full; i++) {
        b->cache->sites[b->fixups[i]].after = trans_offset(b);
    }
    b->fixup_count = 0;
}

/* ---- parts of a block --------------------------------------------------------------------------------------------------------------- */

static void emit_indirect_entry(TransBuild *b)
{
    Emit *e = &b->e;

    b->trans->indirect = emit_here(e);
    emit_constant(e, H_RCX, -b->trans->rip);
    emit_lea(e, true, H_RCX, (Rm){ .kind = RM_INDEXED, .reg = H_RCX, .index = H_RBP });
    emit_bytes(e, 2, 0x05e3);              /* jrcxz over the jump */
    emit_jump(e, b->cache->tramp[TRAMP_INDIRECT]);
    emit_load32(e, H_RCX, rm_context(offsetof(SoftCpu, jit.calm)));
    trans_island(b, emit_jrcxz_open(e), 0, TRAMP_POLL_INDIRECT, NOT_PINNED);
}

static void look_for_state(TransBuild *b)
{
    for (unsigned i = 0; i < b->block->count; i++) {
        b->vectors |= trans_needs_vectors(b, &b->block->insns[i]);
        b->avx |= trans_needs_avx(b, &b->block->insns[i]);
        b->x87 |= trans_needs_x87(b, &b->block->insns[i]);
    }
    b->trans->uses_x87 = b->x87;
    b->trans->uses_image = b->x87 || b->vectors || b->avx;
}

static void emit_state_checks(TransBuild *b)
{
    Emit *e = &b->e;

    if (b->avx) {
        uint32_t site = trans_site(b, 0, false);

        emit_load32(e, H_RCX, rm_context(offsetof(SoftCpu, jit.live)));
        emit_lea(e, false, H_RCX, rm_at(H_RCX, -JIT_LIVE_YMM));
        emit_bytes(e, 2, 0x05e3);
        trans_cold(b, emit_jump_open(e), site, TRAMP_AVX);
        settle_fixups(b);
    } else if (b->vectors) {
        emit_load32(e, H_RCX, rm_context(offsetof(SoftCpu, jit.live)));
        trans_island(b, emit_jrcxz_open(e), trans_site(b, 0, false), TRAMP_VECTOR, NOT_PINNED);
        settle_fixups(b);
    }
    if (b->x87) {
        uint32_t site = trans_site(b, 0, false);

        emit_load32(e, H_RCX, rm_context(offsetof(SoftCpu, x87_state)));
        emit_lea(e, false, H_RCX, rm_at(H_RCX, -X87_READY));
        emit_bytes(e, 2, 0x05e3);
        trans_cold(b, emit_jump_open(e), site, TRAMP_X87);
        settle_fixups(b);
    }
}

/* The end, when the last instruction did not transfer control in its own code. */
static void emit_end(TransBuild *b, bool done)
{
    const Insn *last = &b->block->insns[b->block->count - 1];

    if (done) {
        return;
    }
    if (soft_ends_block(last)) {
        trans_flush_islands(b, true);
        call_site(b, TRAMP_LAST);
    } else {
        trans_exit(b, trans_next_rip(b, last), false);
    }
}

static void emit_body(TransBuild *b)
{
    Block *block = b->block;
    bool done = false;

    for (unsigned i = 0; i < block->count && !b->e.full; i++) {
        const Insn *insn = &block->insns[i];
        bool ends = soft_ends_block(insn);

        b->insn = insn;
        b->index = i;
        b->trans->insn_at[i] = trans_offset(b);
        trans_make_room(b);
        trans_group_begin(b, i);
        if (!ends) {
            translate_insn(b, insn);
            settle_fixups(b);
        } else {
            done = trans_branch(b, insn) || trans_system_end(b, insn);
        }
        if (i + 1u == block->count) {
            emit_end(b, done);
        }
        settle_fixups(b);
    }
    b->trans->insn_at[block->count] = trans_offset(b);
}

static void emit_cold(TransBuild *b)
{
    Emit *e = &b->e;

    trans_flush_islands(b, false);
    for (unsigned i = 0; i < b->cold_count && !e->full; i++) {
        const Cold *cold = &b->colds[i];

        emit_patch(cold->rel32, e->shift, emit_here(e));
        if (cold->tramp == TRAMP_LINK) {
            b->cache->sites[cold->site].retry = trans_offset(b);
        }
        if (cold->move != NOT_PINNED) {
            emit_move(e, H_RBP, cold->move);
        }
        emit_constant(e, H_RCX, cold->site);
        emit_jump(e, b->cache->tramp[cold->tramp]);
    }
}

/* ---- a block ------------------------------------------------------------------------------------------------------------------------ */

static bool build(TransBuild *b)
{
    b->trans->start = emit_here(&b->e);
    b->insn = &b->block->insns[0];
    look_for_state(b);
    emit_indirect_entry(b);
    b->trans->entry = emit_here(&b->e);
    emit_state_checks(b);
    emit_body(b);
    emit_cold(b);
    b->trans->end = emit_here(&b->e);
    return !b->e.full;
}

static Trans *trans_try(SoftCpu *cpu, Block *block, uint64_t rip)
{
    JitCache *cache = cpu->jit.cache;
    uint32_t sites = cache->site_count;
    TransBuild *b;
    Trans *trans;
    bool good;

    if (cache->used + ROOM > cache->bytes || !(trans = jit_trans_new(cache, block->count))) {
        return NULL;
    }
    b = g_new0(TransBuild, 1);
    trans->block = block;
    trans->rip = rip;
    b->cpu = cpu, b->cache = cache, b->block = block, b->trans = trans;
    b->long_code = (block->mode & KEY_CODE) == KEY_CODE_64;
    b->alone = code_cpu_count() == 1;
    cpu->jit.unlocked |= b->alone;
    b->user = (block->mode & KEY_CPL) == KEY_CPL;
    b->e = (Emit){ .at = cache->write + cache->used, .end = cache->write + cache->used + ROOM, .shift = cache->execute - cache->write };
    good = build(b);
    if (good) {
        cache->used = ((size_t)(b->e.at - cache->write) + 15) & ~(size_t)15;
        cpu->jit.translated++;
        cpu->jit.translated_bytes += (uint64_t)(trans->end - trans->start);
    } else {
        g_free(trans);
        cache->trans_count--;
        cache->site_count = sites;
    }
    g_free(b);
    return good ? trans : NULL;
}

Trans *trans_make(SoftCpu *cpu, Block *block, uint64_t rip)
{
    bool groups = !block->no_groups;
    Trans *trans = trans_try(cpu, block, rip);

    return trans || !groups || !block->no_groups ? trans : trans_try(cpu, block, rip);
}
