/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trans-operand.c - where the host's instruction finds the guest's registers and memory
 *
 * A memory operand becomes [delta + address]: the linear address (in RBP, or the guest's own register where that is all there is to it), its page
 * number by PEXT, the table's word in RCX, JRCXZ away when it is empty. No instruction of this changes a flag, so the guest's flags stay
 * in the host's from one instruction to the next. JRCXZ reaches 127 bytes: its targets are islands between the code, jumps to the cold part
 * behind it, which names the site and goes to a trampoline.
 *
 * An operand that may lie in two pages takes the slow way whenever its last byte is among the first of its page.
 */
#include "accel/soft/trans.h"
#include "accel/soft/flat.h"

const uint8_t trans_host[16] = { H_RAX, H_R10, H_RDX, H_RBX, H_R11, H_R13, H_RSI, H_RDI, H_R8, H_R9, NOT_PINNED, NOT_PINNED, H_R12, H_R14, NOT_PINNED, NOT_PINNED };

/* ---- sites and islands --------------------------------------------------------------------------------------------------------- */

uint32_t trans_site(TransBuild *b, unsigned size, bool write)
{
    uint32_t index;
    JitSite *site = jit_site_new(b->cache, &index);

    if (!site) {
        b->e.full = true;
        return 0;
    }
    *site = (JitSite){ .trans = b->trans->number, .insn = (uint8_t)(b->insn - b->block->insns), .size = (uint8_t)size, .write = write };
    if (b->fixup_count < sizeof b->fixups / sizeof *b->fixups) {
        b->fixups[b->fixup_count++] = index;
    } else {
        b->e.full = true;
    }
    return index;
}

void trans_cold(TransBuild *b, uint8_t *rel32, uint32_t site, unsigned tramp)
{
    if (b->cold_count == COLDS) {
        b->e.full = true;
        return;
    }
    b->colds[b->cold_count++] = (Cold){ .rel32 = rel32, .site = site, .tramp = (uint8_t)tramp, .move = NOT_PINNED };
}

void trans_flush_islands(TransBuild *b, bool jump_over)
{
    uint8_t *over = NULL;

    if (!b->island_count) {
        return;
    }
    if (jump_over) {
        emit_bytes(&b->e, 2, 0xeb);
        over = b->e.at - 1;
    }
    for (unsigned i = 0; i < b->island_count; i++) {
        const Island *island = &b->islands[i];
        int64_t distance = b->e.at - (island->rel8 + 1);

        if (distance > 127) {
            b->e.full = true;
        }
        if (!b->e.full) {
            *island->rel8 = (uint8_t)distance;
        }
        trans_cold(b, emit_jump_open(&b->e), island->site, island->tramp);
        if (!b->e.full) {
            b->colds[b->cold_count - 1].move = island->move;
        }
    }
    b->island_count = 0;
    if (over && !b->e.full) {
        *over = (uint8_t)(b->e.at - (over + 1));
    }
}

void trans_make_room(TransBuild *b)
{
    enum { LONGEST_PIECE = 52, ISLAND = 5 };       /* code until the next call of this, and each island's own bytes */

    if (b->island_count && (b->island_count >= ISLANDS - 4 ||
                            b->e.at - b->islands[0].rel8 + LONGEST_PIECE + ISLAND * (int)(b->island_count + 3) > 127)) {
        trans_flush_islands(b, true);
    }
}

void trans_island(TransBuild *b, uint8_t *rel8, uint32_t site, unsigned tramp, unsigned move)
{
    if (b->island_count == ISLANDS) {
        b->e.full = true;
        return;
    }
    b->islands[b->island_count++] = (Island){ .rel8 = rel8, .site = site, .tramp = (uint8_t)tramp, .move = (uint8_t)move };
}

/* ---- registers ------------------------------------------------------------------------------------------------------------------ */

unsigned trans_get(TransBuild *b, unsigned guest, unsigned temp)
{
    if (trans_host[guest] != NOT_PINNED) {
        return trans_host[guest];
    }
    emit_load(&b->e, temp, trans_slot(guest));
    return temp;
}

void trans_put(TransBuild *b, unsigned guest, unsigned from)
{
    if (trans_host[guest] == NOT_PINNED) {
        emit_store(&b->e, trans_slot(guest), from);
    } else if (trans_host[guest] != from) {
        emit_move(&b->e, trans_host[guest], from);
    }
}

/* ---- addresses ------------------------------------------------------------------------------------------------------------------ */

static bool has_segment_base(const TransBuild *b, const Insn *insn)
{
    return b->long_code && insn->segment >= SEG_FS;
}

/* Outside 64-bit mode only what the block cache found to be flat. */
static bool segment_is_known(const TransBuild *b, const Insn *insn)
{
    return b->long_code || insn->memory == MEMORY_FLAT32;
}

static void offset_to_temp(TransBuild *b, const Insn *insn, bool wide)
{
    Emit *e = &b->e;

    if (insn->base == INSN_RIP) {
        uint64_t offset = b->trans->rip + (uint64_t)(int64_t)insn->disp + (insn->vex & INSN_FAR_RIP ? insn->start + insn->length : 0u);

        emit_constant(e, TEMP_ADDRESS, wide ? offset : (uint32_t)offset);
    } else if (insn->base == INSN_NO_REG && insn->index == INSN_NO_REG) {
        emit_constant(e, TEMP_ADDRESS, wide ? (uint64_t)(int64_t)insn->disp : (uint32_t)insn->disp);
    } else if (insn->index == INSN_NO_REG) {
        emit_lea(e, wide, TEMP_ADDRESS, rm_at(trans_get(b, insn->base, TEMP_ADDRESS), insn->disp));
    } else if (insn->base == INSN_NO_REG) {
        unsigned index = trans_get(b, insn->index, TEMP_DELTA);

        emit_lea(e, wide, TEMP_ADDRESS, (Rm){ .kind = RM_SCALED, .index = (uint8_t)index, .scale = insn->scale, .disp = insn->disp });
    } else {
        unsigned base = trans_get(b, insn->base, TEMP_ADDRESS), index = trans_get(b, insn->index, TEMP_DELTA);

        emit_lea(e, wide, TEMP_ADDRESS, (Rm){ .kind = RM_INDEXED, .reg = (uint8_t)base, .index = (uint8_t)index, .scale = insn->scale, .disp = insn->disp });
    }
}

static void add_segment_base(TransBuild *b, const Insn *insn)
{
    emit_load(&b->e, TEMP_DELTA, rm_context(offsetof(SoftCpu, segment) + insn->segment * sizeof(CpuSegment) + offsetof(CpuSegment, base)));
    emit_lea(&b->e, true, TEMP_ADDRESS, (Rm){ .kind = RM_INDEXED, .reg = TEMP_ADDRESS, .index = TEMP_DELTA });
}

bool trans_address(TransBuild *b, const Insn *insn)
{
    if (!segment_is_known(b, insn) || insn->address_size == 2) {
        return false;
    }
    if (insn->form == FORM_OA || insn->form == FORM_AO) {
        emit_constant(&b->e, TEMP_ADDRESS, insn->address_size == 4 ? (uint32_t)insn->imm : insn->imm);
    } else {
        offset_to_temp(b, insn, insn->address_size == 8);
    }
    if (has_segment_base(b, insn)) {
        add_segment_base(b, insn);
    }
    return true;
}

/* ---- look-up -------------------------------------------------------------------------------------------------------------------- */

static unsigned crossing_constant(unsigned size)
{
    return size <= 2 ? CONST_CROSS_2 : size <= 4 ? CONST_CROSS_4 : size <= 8 ? CONST_CROSS_8 : size <= 16 ? CONST_CROSS_16 : CONST_CROSS_32;
}

static unsigned crossing_size(unsigned size)
{
    return size <= 2 ? 2 : size <= 4 ? 4 : size <= 8 ? 8 : size <= 16 ? 16 : 32;
}

/* RCX = 0 when the last byte is one of the first in its page: a new one, or the page's first operand, which the slow way finds to be good. */
static void check_crossing(TransBuild *b, unsigned reg, unsigned size, uint32_t site, unsigned move)
{
    Emit *e = &b->e;

    emit_lea(e, true, TEMP_DELTA, rm_at(reg, (int32_t)crossing_size(size) - 1));
    emit_vex(e, 2, 2, true, false, 0xf5, TEMP_DELTA, TEMP_DELTA, rm_constant(b->cache->constant[crossing_constant(size)]), -1);
    trans_island(b, emit_jrcxz_open(e), site, TRAMP_MISS, move);
}

static bool may_cross(const TransBuild *b, unsigned size)
{
    const OptabRow *row = optab_row(b->insn->row);

    return size > 1 && !(b->insn->form == FORM_VEC && row->vector & VECTOR_ALIGNED);
}

/* 64-bit code only runs here while RSP is a multiple of 8: what lies at such a distance from it lies in one page. */
static bool is_on_stack(const TransBuild *b, const Insn *insn, unsigned size)
{
    return b->long_code && insn->base == GPR_RSP && insn->index == INSN_NO_REG && insn->memory == MEMORY_FLAT64 && size <= 8 && !(insn->disp & (int)(size - 1)) &&
           !(size & (size - 1));
}

Rm trans_lookup(TransBuild *b, unsigned reg, unsigned size, bool write, bool one_page)
{
    Emit *e = &b->e;
    uint32_t site = trans_site(b, size, write);
    unsigned move = reg == TEMP_ADDRESS ? NOT_PINNED : reg;

    trans_make_room(b);
    if (!one_page && may_cross(b, size)) {
        check_crossing(b, reg, size, site, move);
    }
    if (!e->full) {
        b->cache->sites[site].retry = trans_offset(b);
    }
    emit_vex(e, 2, 2, true, false, 0xf5, TEMP_DELTA, reg, rm_constant(b->cache->constant[b->user ? CONST_INDEX_USER : CONST_INDEX_SUPERVISOR]), -1);
    if (write) {
        emit_load(e, TEMP_DELTA, (Rm){ .kind = RM_INDEXED, .reg = WRITE_TABLE, .index = TEMP_DELTA, .scale = 3 });
    } else {
        emit_load(e, TEMP_DELTA, (Rm){ .kind = RM_CONTEXT_SCALED, .index = TEMP_DELTA, .scale = 3, .disp = (int32_t)FLAT_CONTEXT });
    }
    trans_island(b, emit_jrcxz_open(e), site, TRAMP_MISS, move);
    return rm_sum(reg);
}

/* The whole address is one pinned register. */
static bool is_plain_register(const TransBuild *b, const Insn *insn)
{
    return insn->memory == MEMORY_FLAT64 && b->long_code && insn->form != FORM_OA && insn->form != FORM_AO && insn->base < 16 && insn->index == INSN_NO_REG &&
           !insn->disp && trans_host[insn->base] != NOT_PINNED;
}

bool trans_memory(TransBuild *b, const Insn *insn, unsigned size, bool write, bool plain_registers, Rm *rm)
{
    unsigned reg = TEMP_ADDRESS;

    trans_make_room(b);
    if (insn->index == INSN_NO_REG && insn->memory == MEMORY_FLAT64 && insn->form != FORM_OA && insn->form != FORM_AO && trans_shared(b, insn->base, insn->disp, rm)) {
        return true;
    }
    if (plain_registers && is_plain_register(b, insn)) {
        reg = trans_host[insn->base];
    } else if (!trans_address(b, insn)) {
        return false;
    }
    *rm = trans_lookup(b, reg, size, write, is_on_stack(b, insn, size));
    return true;
}
