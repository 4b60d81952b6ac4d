/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-bit.c - bit tests, scans and counts, BMI1 and BMI2, crc32
 *
 * bt with a register offset reaches memory outside the operand: the address is shifted by whole operands first.
 *
 * Tests    tests/cpu/integer.c, tests/cpu/fuzz.c
 */
#include "accel/soft/alu.h"
#include "accel/soft/operand.h"

/* ---- bt, bts, btr, btc ---------------------------------------------------------------------------------------------------- */

typedef struct BitPlace { uint64_t linear; unsigned bit; } BitPlace;

static BitPlace bit_place(SoftCpu *cpu, const Insn *insn, unsigned bits, bool write)
{
    BitPlace place;

    if (insn->form == FORM_EI) {
        place.bit = (unsigned)insn->imm & (bits - 1);
        place.linear = operand_linear(cpu, insn, AT_ANY, bits / 8, write);
        return place;
    }
    uint64_t raw = reg_get(cpu, insn->reg, 64, 0);
    int64_t offset = bits == 64 ? (int64_t)raw : bits == 32 ? (int32_t)raw : (int16_t)raw;
    uint64_t address = soft_offset(cpu, insn) + (uint64_t)((offset >> (bits == 64 ? 6 : bits == 32 ? 5 : 4)) * (int64_t)(bits / 8));

    place.bit = (unsigned)offset & (bits - 1);
    address = insn->address_size == 8 ? address : insn->address_size == 4 ? (uint32_t)address : (uint16_t)address;
    place.linear = insn->memory == MEMORY_FLAT64 || insn->memory == MEMORY_FLAT32 ? address
                                                                              : soft_linear(cpu, insn, insn->segment, address, bits / 8, write);
    return place;
}

SOFT_INLINE uint64_t bit_changed(unsigned op, uint64_t value, uint64_t mask)
{
    return op == OP_BTS ? value | mask : op == OP_BTR ? value & ~mask : op == OP_BTC ? value ^ mask : value;
}

static uint64_t locked_bit(void *host, unsigned op, unsigned bits, uint64_t mask)
{
#define LOCKED(type) (op == OP_BTS ? __atomic_fetch_or((type *)host, (type)mask, __ATOMIC_SEQ_CST) \
                      : op == OP_BTR ? __atomic_fetch_and((type *)host, (type)~mask, __ATOMIC_SEQ_CST) \
                                     : __atomic_fetch_xor((type *)host, (type)mask, __ATOMIC_SEQ_CST))
    return bits == 16 ? LOCKED(uint16_t) : bits == 32 ? LOCKED(uint32_t) : LOCKED(uint64_t);
#undef LOCKED
}

SOFT_INLINE void bit_memory(SoftCpu *cpu, const Insn *insn, unsigned op, unsigned bits)
{
    BitPlace place = bit_place(cpu, insn, bits, op != OP_BT);
    uint64_t mask = UINT64_C(1) << place.bit, value;

    if (op == OP_BT) {
        value = mem_load(cpu, insn, place.linear, bits);
    } else {
        uint8_t *host = insn->prefixes & PREFIX_LOCK ? locked_host(cpu, insn, place.linear, bits / 8) : NULL;

        if (host) {
            value = locked_bit(host, op, bits, mask);
            mmu_written_late(cpu);
        } else if (insn->prefixes & PREFIX_LOCK) {
            Split split;

            value = two_steps_begin(cpu, insn, place.linear, bits, &split);
            two_steps_end(cpu, insn, place.linear, bits, &split, bit_changed(op, value, mask));
        } else if ((host = fast_write(cpu, place.linear, bits / 8)) != NULL) {
            value = host_load(host, bits);
            host_store(host, bits, bit_changed(op, value, mask));
        } else {
            mmu_probe(cpu, insn, place.linear, bits / 8, true);
            value = mmu_load_slow(cpu, insn, place.linear, bits / 8);
            mmu_store_slow(cpu, insn, place.linear, bits / 8, bit_changed(op, value, mask));
        }
    }
    flags_set_cf(cpu, value & mask);
}

SOFT_INLINE void bit_operation(SoftCpu *cpu, const Insn *insn, unsigned op, unsigned bits)
{
    if (insn->memory) {
        bit_memory(cpu, insn, op, bits);
        return;
    }
    unsigned bit = (unsigned)(insn->form == FORM_EI ? insn->imm : cpu->gpr[insn->reg]) & (bits - 1);
    uint64_t value = get_rm_reg(cpu, insn, bits), mask = UINT64_C(1) << bit;

    if (op != OP_BT) {
        set_rm_reg(cpu, insn, bits, bit_changed(op, value, mask));
    }
    flags_set_cf(cpu, value & mask);
}
#define BIT(name, op)                                                                                                      \
    SOFT_INLINE void name(SoftCpu *cpu, const Insn *insn, unsigned bits) { bit_operation(cpu, insn, op, bits); }           \
    SOFT_SIZED_WIDE(name)
BIT(bt, OP_BT) BIT(bts, OP_BTS) BIT(btr, OP_BTR) BIT(btc, OP_BTC)

/* ---- scans and counts --------------------------------------------------------------------------------------------------------- */

SOFT_INLINE void scan(SoftCpu *cpu, const Insn *insn, unsigned op, unsigned bits)
{
    uint16_t flags = cpu->flags_both;
    uint64_t source = get_rm(cpu, insn, AT_EITHER, bits);
    uint64_t value = alu_scan(op, bits, cpu->gpr[insn->reg], source, &flags);

    cpu->gpr[insn->reg] = value;           /* all 64 bits as the host leaves them */
    cpu->flags_both = flags;
}
#define SCAN(name, op)                                                                                                     \
    SOFT_INLINE void name(SoftCpu *cpu, const Insn *insn, unsigned bits) { scan(cpu, insn, op, bits); }                    \
    SOFT_SIZED_WIDE(name)
SCAN(bsf, OP_BSF) SCAN(bsr, OP_BSR) SCAN(tzcnt, OP_TZCNT) SCAN(lzcnt, OP_LZCNT) SCAN(popcnt, OP_POPCNT)

/* ---- BMI1, BMI2 ------------------------------------------------------------------------------------------------------------------ */

#define WITH_FLAGS(mnemonic, operands, modifier_a, modifier_b, modifier_c)                                                    \
    __asm__(ALU_FLAGS_IN mnemonic operands ALU_KEEP : [a] "=&r"(result), [f] "+&a"(flags) : [b] "r"(source), [c] "r"(second) : "cc")
#define THREE(mnemonic)                                                                                                       \
    do {                                                                                                                      \
        if (insn->size == 8) { WITH_FLAGS(mnemonic, " %q[c], %q[b], %q[a]", , , ); } else { WITH_FLAGS(mnemonic, " %k[c], %k[b], %k[a]", , , ); } \
    } while (0)
#define TWO(mnemonic)                                                                                                         \
    do {                                                                                                                      \
        if (insn->size == 8) { WITH_FLAGS(mnemonic, " %q[b], %q[a]", , , ); } else { WITH_FLAGS(mnemonic, " %k[b], %k[a]", , , ); } \
    } while (0)

static void bmi(SoftCpu *cpu, const Insn *insn)
{
    uint64_t source = insn->size == 8 ? get_rm(cpu, insn, AT_EITHER, 64) : get_rm(cpu, insn, AT_EITHER, 32);
    uint64_t second = cpu->gpr[insn->vvvv], result = 0;
    uint16_t flags = cpu->flags_both;
    unsigned destination = insn->reg;

    switch (insn->op) {
    case OP_ANDN: { uint64_t swap = source; source = second; second = swap; THREE("andn"); break; }
    case OP_BEXTR: THREE("bextr"); break;
    case OP_BZHI: THREE("bzhi"); break;
    case OP_PDEP: { uint64_t swap = source; source = second; second = swap; THREE("pdep"); flags = cpu->flags_both; break; }
    case OP_PEXT: { uint64_t swap = source; source = second; second = swap; THREE("pext"); flags = cpu->flags_both; break; }
    case OP_BLSR: TWO("blsr"); destination = insn->vvvv; break;
    case OP_BLSMSK: TWO("blsmsk"); destination = insn->vvvv; break;
    default: TWO("blsi"); destination = insn->vvvv; break;
    }
    cpu->gpr[destination] = result;
    cpu->flags_both = flags;
}

static void mulx(SoftCpu *cpu, const Insn *insn)
{
    if (insn->size == 8) {
        unsigned __int128 product = (unsigned __int128)get_rm(cpu, insn, AT_EITHER, 64) * cpu->gpr[GPR_RDX];

        cpu->gpr[insn->vvvv] = (uint64_t)product;
        cpu->gpr[insn->reg] = (uint64_t)(product >> 64);     /* the same register twice: the high half stays */
    } else {
        uint64_t product = get_rm(cpu, insn, AT_EITHER, 32) * (uint32_t)cpu->gpr[GPR_RDX];

        cpu->gpr[insn->vvvv] = (uint32_t)product;
        cpu->gpr[insn->reg] = product >> 32;
    }
}

static void add_with_one_flag(SoftCpu *cpu, const Insn *insn)
{
    uint64_t source = insn->size == 8 ? get_rm(cpu, insn, AT_EITHER, 64) : get_rm(cpu, insn, AT_EITHER, 32);
    bool carry = insn->op == OP_ADCX ? flags_cf(cpu) : cpu->flags_of;

    if (insn->size == 8) {
        unsigned __int128 sum = (unsigned __int128)cpu->gpr[insn->reg] + source + carry;

        cpu->gpr[insn->reg] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    } else {
        uint64_t sum = (uint64_t)(uint32_t)cpu->gpr[insn->reg] + source + carry;

        cpu->gpr[insn->reg] = (uint32_t)sum;
        carry = sum >> 32;
    }
    if (insn->op == OP_ADCX) {
        flags_set_cf(cpu, carry);
    } else {
        cpu->flags_of = carry;
    }
}

/* The host's instruction; a host without it does not offer SSE4.2 to guests. */
static void crc32(SoftCpu *cpu, const Insn *insn)
{
    uint64_t crc = (uint32_t)cpu->gpr[insn->reg];

    if (insn->opcode == 0xf0) {
        uint8_t byte = (uint8_t)get_rm(cpu, insn, AT_EITHER, 8);
        __asm__("crc32b %1, %k0" : "+r"(crc) : "q"(byte));
    } else if (insn->size == 2) {
        uint16_t word = (uint16_t)get_rm(cpu, insn, AT_EITHER, 16);
        __asm__("crc32w %1, %k0" : "+r"(crc) : "r"(word));
    } else if (insn->size == 4) {
        uint32_t dword = (uint32_t)get_rm(cpu, insn, AT_EITHER, 32);
        __asm__("crc32l %1, %k0" : "+r"(crc) : "r"(dword));
    } else {
        uint64_t qword = get_rm(cpu, insn, AT_EITHER, 64);
        __asm__("crc32q %1, %q0" : "+r"(crc) : "r"(qword));
    }
    cpu->gpr[insn->reg] = (uint32_t)crc;
}

const SoftHandler bit_handlers[] = {
    ROWS_SIZED_WIDE(BT, bt), ROWS_SIZED_WIDE(BTS, bts), ROWS_SIZED_WIDE(BTR, btr), ROWS_SIZED_WIDE(BTC, btc),
    ROWS_SIZED_WIDE(BSF, bsf), ROWS_SIZED_WIDE(BSR, bsr), ROWS_SIZED_WIDE(TZCNT, tzcnt), ROWS_SIZED_WIDE(LZCNT, lzcnt), ROWS_SIZED_WIDE(POPCNT, popcnt),
    { .op = OP_ANDN, .call = bmi }, { .op = OP_BEXTR, .call = bmi }, { .op = OP_BZHI, .call = bmi }, { .op = OP_PDEP, .call = bmi }, { .op = OP_PEXT, .call = bmi },
    { .op = OP_BLSR, .call = bmi }, { .op = OP_BLSMSK, .call = bmi }, { .op = OP_BLSI, .call = bmi }, { .op = OP_MULX, .call = mulx },
    { .op = OP_ADCX, .call = add_with_one_flag }, { .op = OP_ADOX, .call = add_with_one_flag }, { .op = OP_CRC32, .call = crc32 },
    { .op = 0 } };
