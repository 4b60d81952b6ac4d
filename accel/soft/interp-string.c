/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-string.c - string instructions and port input and output
 *
 * A repeated instruction goes in pieces that stay inside a page on both sides: the host's own instruction where it is RAM and the
 * direction is up, element by element else (devices, page crossings, downwards). Registers are exact after every piece, so a
 * fault or an interrupt finds them right. An instruction that is not done when it returns leaves RIP on itself; repeated
 * ones always end their block, and one element is a piece while single-stepping.
 *
 * Tests    tests/cpu/integer.c, tests/cpu/fuzz.c
 */
#include "accel/soft/alu.h"
#include "accel/soft/fpu.h"
#include "accel/soft/operand.h"

enum { PAGE_BYTES = 4096, PIECE_LIMIT = 4096 };

static bool repeats(const Insn *insn) { return insn->prefixes & (PREFIX_REP | PREFIX_REPNE); }
static unsigned address_bits(const Insn *insn) { return insn->address_size * 8u; }
static bool goes_down(const SoftCpu *cpu) { return cpu->rflags & FLAG_DF; }

/* One of the two sides: where it is now, and how many bytes from there lie in one page and one segment (0: the element crosses). */
typedef struct Side { uint64_t linear; uint64_t bytes; } Side;

static uint64_t offset_of(const SoftCpu *cpu, const Insn *insn, unsigned reg) { return reg_get(cpu, reg, address_bits(insn), 0); }

static Side side_at(SoftCpu *cpu, const Insn *insn, unsigned reg, unsigned segment, bool write)
{
    uint64_t offset = offset_of(cpu, insn, reg);
    Side side = { .linear = soft_linear(cpu, insn, segment, offset, insn->size, write) };

    side.bytes = PAGE_BYTES - (side.linear & (PAGE_BYTES - 1));
    if (cpu->code_size != 8) {
        const CpuSegment *s = &cpu->segment[segment];
        uint64_t end = s->attributes & 0x4 && !(s->attributes & 0x8) ? offset + insn->size : (uint64_t)s->limit + 1;   /* expand-down: one at a time */

        end = insn->address_size == 2 ? MIN(end, UINT64_C(0x10000)) : end;
        side.bytes = MIN(side.bytes, end - offset);
    }
    return side;
}

static void advance(SoftCpu *cpu, const Insn *insn, unsigned reg, uint64_t elements)
{
    uint64_t bytes = elements * insn->size, offset = cpu->gpr[reg];

    reg_set(cpu, reg, address_bits(insn), 0, goes_down(cpu) ? offset - bytes : offset + bytes);
}

static uint64_t count_left(const SoftCpu *cpu, const Insn *insn) { return repeats(insn) ? offset_of(cpu, insn, GPR_RCX) : 1; }

/* Elements are done: the counter goes down. True: go on with the next piece now. */
static bool next_piece(SoftCpu *cpu, const Insn *insn, uint64_t elements)
{
    if (!repeats(insn)) {
        return false;
    }
    uint64_t left = count_left(cpu, insn) - elements;

    reg_set(cpu, GPR_RCX, address_bits(insn), 0, left);
    cpu->budget -= (int32_t)(elements / 8 + 1);
    if (!left) {
        return false;
    }
    if (cpu->budget < 0 || cpu->sys.stepping || __atomic_load_n(&cpu->request, __ATOMIC_RELAXED) & cpu->poll_mask || cpu->block == NULL) {
        cpu->rip = insn_rip(cpu, insn);    /* again, after what wants attention */
        return false;
    }
    return true;
}

/* How many elements the next piece may have. */
static uint64_t piece(const SoftCpu *cpu, const Insn *insn, uint64_t bytes)
{
    uint64_t elements = bytes / insn->size;

    if (goes_down(cpu) || cpu->sys.stepping || mmu_alignment_checked(cpu)) {
        return MIN(elements, 1);
    }
    return MIN(elements, count_left(cpu, insn));
}

static const uint8_t *host_to_read(SoftCpu *cpu, const Insn *insn, uint64_t linear, uint64_t bytes)
{
    const uint8_t *host = fast_read(cpu, linear, 1);

    return host ? host : mmu_host(cpu, insn, linear, (unsigned)bytes, false);
}

static uint8_t *host_to_write(SoftCpu *cpu, const Insn *insn, uint64_t linear, uint64_t bytes)
{
    uint8_t *host = fast_write(cpu, linear, 1);

    return host ? host : mmu_host(cpu, insn, linear, (unsigned)bytes, true);
}

static uint64_t load_element(SoftCpu *cpu, const Insn *insn, uint64_t linear)
{
    switch (insn->size) {
    case 1: return mmu_load8(cpu, insn, linear);
    case 2: return mmu_load16(cpu, insn, linear);
    case 4: return mmu_load32(cpu, insn, linear);
    default: return mmu_load64(cpu, insn, linear);
    }
}

static void store_element(SoftCpu *cpu, const Insn *insn, uint64_t linear, uint64_t value)
{
    switch (insn->size) {
    case 1: mmu_store8(cpu, insn, linear, (uint8_t)value); break;
    case 2: mmu_store16(cpu, insn, linear, (uint16_t)value); break;
    case 4: mmu_store32(cpu, insn, linear, (uint32_t)value); break;
    default: mmu_store64(cpu, insn, linear, value); break;
    }
}

/* ---- movs, stos, lods ---------------------------------------------------------------------------------------------------- */

/* The host's instruction has the guest's meaning where the sides overlap, too. */
static void copy_up(unsigned size, uint8_t *to, const uint8_t *from, uint64_t elements)
{
    switch (size) {
    case 1: __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(elements) : : "memory"); break;
    case 2: __asm__ volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(elements) : : "memory"); break;
    case 4: __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(elements) : : "memory"); break;
    default: __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(elements) : : "memory"); break;
    }
}

static void fill_up(unsigned size, uint8_t *to, uint64_t value, uint64_t elements)
{
    switch (size) {
    case 1: __asm__ volatile("rep stosb" : "+D"(to), "+c"(elements) : "a"(value) : "memory"); break;
    case 2: __asm__ volatile("rep stosw" : "+D"(to), "+c"(elements) : "a"(value) : "memory"); break;
    case 4: __asm__ volatile("rep stosl" : "+D"(to), "+c"(elements) : "a"(value) : "memory"); break;
    default: __asm__ volatile("rep stosq" : "+D"(to), "+c"(elements) : "a"(value) : "memory"); break;
    }
}

/* ES:rDI, once DS:rSI is known to be readable: its page comes before the limit of ES. */
static Side second_side(SoftCpu *cpu, const Insn *insn, uint64_t first, bool write)
{
    if (!cpu->flat) {
        mmu_probe(cpu, insn, first, insn->size, false);
    }
    return side_at(cpu, insn, GPR_RDI, SEG_ES, write);
}

static uint64_t movs_piece(SoftCpu *cpu, const Insn *insn)
{
    Side from = side_at(cpu, insn, GPR_RSI, insn->segment, false), to = second_side(cpu, insn, from.linear, true);
    uint64_t elements = piece(cpu, insn, MIN(from.bytes, to.bytes));

    if (elements > 1) {
        const uint8_t *source = host_to_read(cpu, insn, from.linear, elements * insn->size);
        uint8_t *target = source ? host_to_write(cpu, insn, to.linear, elements * insn->size) : NULL;

        if (target) {
            copy_up(insn->size, target, source, elements);
            mmu_written_late(cpu);
            return elements;
        }
    }
    store_element(cpu, insn, to.linear, load_element(cpu, insn, from.linear));
    return 1;
}

static void movs(SoftCpu *cpu, const Insn *insn)
{
    uint64_t done = 0;

    do {
        if (!count_left(cpu, insn)) {
            return;
        }
        done = movs_piece(cpu, insn);
        advance(cpu, insn, GPR_RSI, done);
        advance(cpu, insn, GPR_RDI, done);
    } while (next_piece(cpu, insn, done));
}

static uint64_t stos_piece(SoftCpu *cpu, const Insn *insn)
{
    Side to = side_at(cpu, insn, GPR_RDI, SEG_ES, true);
    uint64_t elements = piece(cpu, insn, to.bytes);

    if (elements > 1) {
        uint8_t *target = host_to_write(cpu, insn, to.linear, elements * insn->size);

        if (target) {
            fill_up(insn->size, target, cpu->gpr[GPR_RAX], elements);
            mmu_written_late(cpu);
            return elements;
        }
    }
    store_element(cpu, insn, to.linear, cpu->gpr[GPR_RAX]);
    return 1;
}

static void stos(SoftCpu *cpu, const Insn *insn)
{
    uint64_t done = 0;

    do {
        if (!count_left(cpu, insn)) {
            return;
        }
        done = stos_piece(cpu, insn);
        advance(cpu, insn, GPR_RDI, done);
    } while (next_piece(cpu, insn, done));
}

static void lods(SoftCpu *cpu, const Insn *insn)
{
    do {
        if (!count_left(cpu, insn)) {
            return;
        }
        Side from = side_at(cpu, insn, GPR_RSI, insn->segment, false);

        reg_set(cpu, GPR_RAX, insn->size * 8u, 0, load_element(cpu, insn, from.linear));
        advance(cpu, insn, GPR_RSI, 1);
    } while (next_piece(cpu, insn, 1));
}

/* ---- cmps, scas ------------------------------------------------------------------------------------------------------------- */

SOFT_INLINE void compare(SoftCpu *cpu, const Insn *insn, uint64_t a, uint64_t b)
{
    uint16_t flags = cpu->flags_both;

    switch (insn->size) {
    case 1: alu_two(OP_CMP, 8, a, b, &flags); break;
    case 2: alu_two(OP_CMP, 16, a, b, &flags); break;
    case 4: alu_two(OP_CMP, 32, a, b, &flags); break;
    default: alu_two(OP_CMP, 64, a, b, &flags); break;
    }
    cpu->flags_both = flags;
}

/* repe goes on while equal, repne while not. */
static bool goes_on(const SoftCpu *cpu, const Insn *insn)
{
    return flags_zf(cpu) == !(insn->prefixes & PREFIX_REPNE);
}

SOFT_INLINE uint64_t element_at(const uint8_t *host, unsigned size)
{
    return size == 1 ? host_load(host, 8) : size == 2 ? host_load(host, 16) : size == 4 ? host_load(host, 32) : host_load(host, 64);
}

/* Elements looked at, up to and including the one that ends the search. other: the second side, or NULL for the constant. */
static uint64_t search(const Insn *insn, const uint8_t *host, const uint8_t *other, uint64_t constant, uint64_t elements)
{
    bool while_equal = !(insn->prefixes & PREFIX_REPNE);
    unsigned size = insn->size;
    uint64_t i = 0;

    while (i < elements) {
        bool equal = element_at(host + i * size, size) == (other ? element_at(other + i * size, size) : constant);

        i++;
        if (equal != while_equal) {
            break;
        }
    }
    return i;
}

static void cmps(SoftCpu *cpu, const Insn *insn)
{
    uint64_t done;

    do {
        if (!count_left(cpu, insn)) {
            return;
        }
        Side a = side_at(cpu, insn, GPR_RSI, insn->segment, false), b = second_side(cpu, insn, a.linear, false);
        uint64_t elements = piece(cpu, insn, MIN(a.bytes, b.bytes));
        const uint8_t *host_a = elements > 1 ? host_to_read(cpu, insn, a.linear, elements * insn->size) : NULL;
        const uint8_t *host_b = host_a ? host_to_read(cpu, insn, b.linear, elements * insn->size) : NULL;

        done = host_b ? search(insn, host_a, host_b, 0, elements) : 1;
        if (host_b) {
            compare(cpu, insn, element_at(host_a + (done - 1) * insn->size, insn->size), element_at(host_b + (done - 1) * insn->size, insn->size));
        } else {
            uint64_t first = load_element(cpu, insn, a.linear);

            compare(cpu, insn, first, load_element(cpu, insn, b.linear));
        }
        advance(cpu, insn, GPR_RSI, done);
        advance(cpu, insn, GPR_RDI, done);
        if (!goes_on(cpu, insn)) {
            if (repeats(insn)) {
                reg_set(cpu, GPR_RCX, address_bits(insn), 0, count_left(cpu, insn) - done);
            }
            return;
        }
    } while (next_piece(cpu, insn, done));
}

static void scas(SoftCpu *cpu, const Insn *insn)
{
    uint64_t wanted = reg_get(cpu, GPR_RAX, 64, 0), done;

    wanted = insn->size == 8 ? wanted : wanted & ((UINT64_C(1) << insn->size * 8) - 1);
    do {
        if (!count_left(cpu, insn)) {
            return;
        }
        Side at = side_at(cpu, insn, GPR_RDI, SEG_ES, false);
        uint64_t elements = piece(cpu, insn, at.bytes);
        const uint8_t *host = elements > 1 ? host_to_read(cpu, insn, at.linear, elements * insn->size) : NULL;

        done = host ? search(insn, host, NULL, wanted, elements) : 1;
        compare(cpu, insn, wanted, host ? element_at(host + (done - 1) * insn->size, insn->size) : load_element(cpu, insn, at.linear));
        advance(cpu, insn, GPR_RDI, done);
        if (!goes_on(cpu, insn)) {
            if (repeats(insn)) {
                reg_set(cpu, GPR_RCX, address_bits(insn), 0, count_left(cpu, insn) - done);
            }
            return;
        }
    } while (next_piece(cpu, insn, done));
}

/* ---- ports ---------------------------------------------------------------------------------------------------------------------- */

/* A device may have changed the memory map. */
static void after_port(SoftCpu *cpu, uint16_t port, unsigned size)
{
    debug_io(cpu, port, size);
    if (__atomic_load_n(&cpu->sys.flush_wanted, __ATOMIC_RELAXED)) {
        tlb_flush_take(cpu);
    }
}

static uint64_t port_read(SoftCpu *cpu, uint16_t port, unsigned size)
{
    uint64_t value = UINT64_MAX;

    fpu_park(cpu);
    space_load(cpu->ports, port, size, &value);
    after_port(cpu, port, size);
    return value;
}

static void port_write(SoftCpu *cpu, uint16_t port, unsigned size, uint64_t value)
{
    fpu_park(cpu);
    space_store(cpu->ports, port, size, size == 1 ? (uint8_t)value : size == 2 ? (uint16_t)value : (uint32_t)value);
    after_port(cpu, port, size);
}

/* There are no 8-byte ports: REX.W changes nothing. */
static unsigned port_size(const Insn *insn) { return insn->size == 8 ? 4 : insn->size; }
static uint16_t port_of(const SoftCpu *cpu, const Insn *insn)
{
    return insn->form == FORM_I ? (uint8_t)insn->imm : (uint16_t)cpu->gpr[GPR_RDX];
}

static void in(SoftCpu *cpu, const Insn *insn)
{
    unsigned size = port_size(insn);
    uint16_t port = port_of(cpu, insn);

    soft_io_check(cpu, insn, port, size);
    reg_set(cpu, GPR_RAX, size * 8, 0, port_read(cpu, port, size));
}

static void out(SoftCpu *cpu, const Insn *insn)
{
    unsigned size = port_size(insn);
    uint16_t port = port_of(cpu, insn);

    soft_io_check(cpu, insn, port, size);
    port_write(cpu, port, size, cpu->gpr[GPR_RAX]);
}

static void advance_port(SoftCpu *cpu, const Insn *insn, unsigned reg, unsigned size)
{
    uint64_t offset = cpu->gpr[reg];

    reg_set(cpu, reg, address_bits(insn), 0, goes_down(cpu) ? offset - size : offset + size);
}

static void ins(SoftCpu *cpu, const Insn *insn)
{
    unsigned size = port_size(insn);
    uint16_t port = (uint16_t)cpu->gpr[GPR_RDX];

    soft_io_check(cpu, insn, port, size);
    do {
        if (!count_left(cpu, insn)) {
            return;
        }
        uint64_t linear = soft_linear(cpu, insn, SEG_ES, offset_of(cpu, insn, GPR_RDI), size, true);

        mmu_probe(cpu, insn, linear, size, true);            /* a port is read only when its value has a place */
        uint64_t value = port_read(cpu, port, size);
        if (size == 1) {
            mmu_store8(cpu, insn, linear, (uint8_t)value);
        } else if (size == 2) {
            mmu_store16(cpu, insn, linear, (uint16_t)value);
        } else {
            mmu_store32(cpu, insn, linear, (uint32_t)value);
        }
        advance_port(cpu, insn, GPR_RDI, size);
    } while (next_piece(cpu, insn, 1));
}

static void outs(SoftCpu *cpu, const Insn *insn)
{
    unsigned size = port_size(insn);
    uint16_t port = (uint16_t)cpu->gpr[GPR_RDX];

    soft_io_check(cpu, insn, port, size);
    do {
        if (!count_left(cpu, insn)) {
            return;
        }
        uint64_t linear = soft_linear(cpu, insn, insn->segment, offset_of(cpu, insn, GPR_RSI), size, false);
        uint64_t value = size == 1 ? mmu_load8(cpu, insn, linear) : size == 2 ? mmu_load16(cpu, insn, linear) : mmu_load32(cpu, insn, linear);

        port_write(cpu, port, size, value);
        advance_port(cpu, insn, GPR_RSI, size);
    } while (next_piece(cpu, insn, 1));
}

const SoftHandler string_handlers[] = {
    { .op = OP_MOVS, .call = movs }, { .op = OP_STOS, .call = stos }, { .op = OP_LODS, .call = lods }, { .op = OP_CMPS, .call = cmps },
    { .op = OP_SCAS, .call = scas },
    { .op = 0 } };
const SoftHandler port_handlers[] = {
    { .op = OP_IN, .call = in }, { .op = OP_OUT, .call = out }, { .op = OP_INS, .call = ins }, { .op = OP_OUTS, .call = outs },
    { .op = 0 } };
