/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-make.c - random instructions in every form that the decoder's table knows, and states to run them from
 *
 * A row gives opcode bytes; prefixes, ModRM, displacement and immediate are random; registers are random too and then
 * bent so that most memory operands fall into the arena. A case depends on (seed, mode, number) and the row selection only.
 */
#include "accel/x86/cpu-state.h"
#include "accel/x86/decode.h"
#include "tests/cpu/fuzz.h"
#include <string.h>

static struct {
    FuzzMode mode;
    uint64_t seed, random;
    unsigned count;
    uint16_t rows[4096];
} make;

/* ---- chance ------------------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t any(void) { return mix(make.random++); }
static unsigned below(unsigned limit) { return (unsigned)((any() >> 32) * limit >> 32); }
static bool chance(unsigned one_in) { return below(one_in) == 0; }

static uint64_t any_integer(void)
{
    static const uint64_t corners[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX,
        UINT64_MAX - 1, 0x100, 0x10000, UINT64_C(0x100000000), 0xffffffff80000000,
    };

    switch (below(4)) {
    case 0: return corners[below(sizeof corners / sizeof corners[0])];
    case 1: return any() >> below(64);
    case 2: return (uint64_t)((int64_t)any() >> below(64));
    default: return any();
    }
}

static uint32_t any_single(void)
{
    static const uint32_t corners[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0x00000001, 0x007fffff, 0x00800000, 0x7f7fffff,
        0x4f000000, 0xcf000000, 0x5f000000, 0x3f000000, 0x40490fdb,
    };

    switch (below(4)) {
    case 0: return corners[below(sizeof corners / sizeof corners[0])];
    case 1: return (uint32_t)(any() & 0x807fffff) | (96 + below(64)) << 23;      /* of middling size */
    default: return (uint32_t)any();
    }
}

static uint64_t any_double(void)
{
    static const uint64_t corners[] = {
        0, UINT64_C(1) << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001,
        1, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000, 0x43e0000000000000, 0x3fe0000000000000,
    };

    switch (below(4)) {
    case 0: return corners[below(sizeof corners / sizeof corners[0])];
    case 1: return (any() & UINT64_C(0x800fffffffffffff)) | (uint64_t)(960 + below(128)) << 52;
    default: return any();
    }
}

/* Sixteen bytes that are interesting as integers, singles or doubles. */
static void any_vector(uint8_t *out)
{
    uint64_t words[2];

    switch (below(4)) {
    case 0: words[0] = any_double(), words[1] = any_double(); break;
    case 1: words[0] = any_single() | (uint64_t)any_single() << 32, words[1] = any_single() | (uint64_t)any_single() << 32; break;
    case 2: words[0] = any_integer(), words[1] = any_integer(); break;
    default: words[0] = any(), words[1] = any(); break;
    }
    memcpy(out, words, 16);
}

static void any_extended(uint8_t *out)
{
    static const uint16_t exponents[] = { 0, 1, 0x3fff, 0x3ffe, 0x4000, 0x403e, 0x7ffe, 0x7fff, 0x3fc0, 0x3c01, 0x3f81 };
    uint64_t mantissa = chance(4) ? any_integer() : any() | UINT64_C(1) << 63;
    uint16_t exponent = chance(3) ? exponents[below(sizeof exponents / 2)] : chance(4) ? (uint16_t)any() & 0x7fff : (uint16_t)(0x3fff - 40 + below(80));

    if (chance(12)) {
        mantissa = UINT64_C(1) << 63;                      /* a power of two, or infinity */
    }
    exponent |= chance(2) ? 0x8000 : 0;
    memcpy(out, &mantissa, 8);
    memcpy(out + 8, &exponent, 2);
}

/* ---- which rows -------------------------------------------------------------------------------------------- */

/* Every row of optab-vex.c, not the BMI ones. */
static bool is_avx(const OptabRow *row) { return row->map >= MAP_VEX_0F && row->size != SIZE_Y; }

/* Not to be compared with a host: privileged, different by design, or calls into the host's kernel. */
static bool excluded(const OptabRow *row)
{
    switch (row->op) {
    case OP_SYSCALL: case OP_SYSENTER: case OP_SYSRET: case OP_SYSEXIT: case OP_CPUID: case OP_RDTSC: case OP_RDTSCP: case OP_RDPID:
    case OP_RDPMC: case OP_RDRAND: case OP_RDSEED: case OP_XGETBV: case OP_SGDT: case OP_SIDT: case OP_SLDT: case OP_STR: case OP_SMSW:
    case OP_MONITOR: case OP_MWAIT: case OP_VMCALL: case OP_VMMCALL: case OP_IN: case OP_OUT: case OP_INS: case OP_OUTS: case OP_ICEBP:
    case OP_RSM: case OP_SERIALIZE: case OP_INVALID:
        return true;
    default:
        return false;
    }
}

static bool exposed(const OptabRow *row)
{
    if (is_avx(row) && !cpuid_has(soft_features(), FEATURE_AVX)) {
        return false;
    }
    return !row->feature || cpuid_has(soft_features(), row->feature) || row->fallback;
}

/* "vex": all of AVX and its kin. */
static bool selected(const OptabRow *row, const char *only)
{
    return strcmp(only, "vex") == 0 ? is_avx(row) : strcmp(only, row->name) == 0;
}

void make_open(FuzzMode mode, uint64_t seed, const char *only)
{
    make.mode = mode;
    make.seed = seed;
    make.count = 0;
    for (unsigned i = 0; i < optab_count() && make.count < 4096; i++) {
        const OptabRow *row = optab_row(i);

        if (excluded(row) || !exposed(row) || (only && !selected(row, only))) {
            continue;
        }
        if (row->flags & (mode == MODE_64 ? ROW_NO_64 : ROW_ONLY_64)) {
            continue;
        }
        make.rows[make.count++] = (uint16_t)i;
    }
}

unsigned make_rows(void) { return make.count; }
unsigned make_row(unsigned i) { return make.rows[i]; }

void make_pattern(FuzzBatch *batch, uint64_t first)
{
    make.random = mix(make.seed) ^ mix(first) ^ 0x5a5a;
    for (unsigned i = 0; i < sizeof batch->pattern; i += 16) {
        any_vector(batch->pattern + i);
        batch->pattern[i + 10] &= ~2;                      /* where FXRSTOR finds MXCSR: not the bit that AMD's hosts have */
    }
}

/* ---- bytes ------------------------------------------------------------------------------------------------- */

typedef struct Bytes {
    uint8_t *at;
    unsigned length, displacement_at, displacement_size;
} Bytes;

static void emit(Bytes *bytes, unsigned value) { bytes->at[bytes->length++] = (uint8_t)value; }

static void emit_prefixes(Bytes *bytes, const OptabRow *row)
{
    static const uint8_t segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
    static const uint8_t mandatory[] = { 0, 0, 0x66, 0xf3, 0xf2, 0 };
    bool string = row->form == FORM_STRING;

    if (chance(10)) {
        emit(bytes, segments[below(6)]);
    }
    if (chance(10)) {
        emit(bytes, 0x67);
    }
    /* Not for MOV CR and DR: LOCK makes another one of it on AMD. Nor for 0F 00, which reads its operand before it refuses. */
    if (!(row->flags & ROW_REG_IS_NOT_GPR) && !(row->map == MAP_0F && row->opcode == 0) && chance(row->flags & ROW_LOCK ? 5 : 60)) {
        emit(bytes, 0xf0);
    }
    if (row->map >= MAP_VEX_0F) {
        return;
    }
    if ((row->prefix == MANDATORY_ANY || row->prefix == MANDATORY_NO_REP) && chance(5)) {
        emit(bytes, 0x66);
    }
    /* LOOPE and LOOPNE take the condition from a rep prefix on some processors, whatever the opcode says. */
    if (row->prefix == MANDATORY_ANY && row->op != OP_LOOPE && row->op != OP_LOOPNE && chance(string ? 2 : row->map == MAP_ONE ? 12 : 200)) {
        emit(bytes, chance(2) ? 0xf2 : 0xf3);
    }
    if (mandatory[row->prefix]) {
        emit(bytes, mandatory[row->prefix]);
    }
}

/* Now and then what the row forbids: #UD for both. */
static void emit_vex(Bytes *bytes, const OptabRow *row, unsigned pp)
{
    unsigned rxb = make.mode == MODE_64 ? below(8) << 5 : 0xe0;
    unsigned vvvv = row->flags & ROW_NO_VVVV && !chance(100) ? 15 : below(16);
    unsigned length = row->vex & VEX_L_RULE, w_rule = row->vex & VEX_W_RULE;
    bool wide = length == VEX_L_ANY ? chance(2) : (length == VEX_L_1) != chance(100);
    bool w = w_rule == VEX_W_ANY ? chance(3) : (w_rule == VEX_W_1) != chance(100);

    if (make.mode != MODE_64) {
        vvvv |= 8;
    }
    if (row->map == MAP_VEX_0F && !w && chance(2)) {       /* the short form has R alone */
        emit(bytes, 0xc5);
        emit(bytes, (rxb & 0x80) | vvvv << 3 | wide << 2 | pp);
        return;
    }
    emit(bytes, 0xc4);
    emit(bytes, rxb | (row->map - MAP_VEX_0F + 1));
    emit(bytes, (w ? 0x80 : 0) | vvvv << 3 | wide << 2 | pp);
}

static void emit_opcode(Bytes *bytes, const OptabRow *row)
{
    static const uint8_t pp[] = { 0, 0, 1, 2, 3, 0 };

    if (row->map >= MAP_VEX_0F) {
        emit_vex(bytes, row, pp[row->prefix]);
        emit(bytes, row->opcode);
        return;
    }
    if (make.mode == MODE_64 && chance(2)) {
        emit(bytes, 0x40 | below(16));
    }
    if (row->map != MAP_ONE) {
        emit(bytes, 0x0f);
        if (row->map == MAP_0F38 || row->map == MAP_0F3A) {
            emit(bytes, row->map == MAP_0F38 ? 0x38 : 0x3a);
        }
    }
    emit(bytes, row->opcode);
}

static bool has_modrm(const OptabRow *row)
{
    if (row->flags & (ROW_NO_MODRM | ROW_PLUS_R)) {
        return false;
    }
    switch (row->form) {
    case FORM_NONE: case FORM_I: case FORM_J: case FORM_FAR: case FORM_OA: case FORM_AO: case FORM_STRING: case FORM_G:
        return row->extension != 0;
    default:
        return true;
    }
}

static void emit_modrm(Bytes *bytes, const OptabRow *row, bool address16)
{
    bool memory = row->mod == MOD_MEMORY || (row->mod == MOD_ANY && !(row->vector & VECTOR_REG_ONLY) && !chance(3));
    if (row->form == FORM_VEC && row->vector & VECTOR_MEMORY_ONLY) {
        memory = true;
    }
    if (chance(100)) {
        memory = !memory;
    }
    unsigned mod = memory ? below(3) : 3;
    unsigned reg = row->extension ? row->extension & 7 : below(8);
    unsigned rm = row->rm_extension ? row->rm_extension & 7 : row->vex & VEX_VSIB && !chance(30) ? 4 : below(8);

    emit(bytes, mod << 6 | reg << 3 | rm);
    if (!memory) {
        return;
    }
    unsigned size = mod == 1 ? 1 : mod == 2 ? (address16 ? 2 : 4) : 0;
    if (address16) {
        size = mod == 0 && rm == 6 ? 2 : size;
    } else {
        if (rm == 4) {
            unsigned sib = below(256);
            emit(bytes, sib);
            size = mod == 0 && (sib & 7) == 5 ? 4 : size;
        }
        size = mod == 0 && rm == 5 ? 4 : size;
    }
    bytes->displacement_at = bytes->length, bytes->displacement_size = size;
    uint64_t displacement = any();
    for (unsigned i = 0; i < size; i++) {
        emit(bytes, displacement >> 8 * i);
    }
}

/* The bytes of one instruction, immediates random; what is behind its end is cut off by decoding it. */
static void make_bytes(FuzzCase *fuzz, const OptabRow *row, Bytes *bytes)
{
    memset(fuzz->bytes, 0, sizeof fuzz->bytes);
    uint8_t room[40] = { 0 };

    *bytes = (Bytes){ .at = room };
    emit_prefixes(bytes, row);
    bool short_address = memchr(room, 0x67, bytes->length) != NULL;
    emit_opcode(bytes, row);
    if (row->flags & ROW_PLUS_R && row->map != MAP_ONE) {
        /* the row's opcode already names the register */
    }
    if (has_modrm(row)) {
        emit_modrm(bytes, row, make.mode == MODE_16 ? !short_address : make.mode == MODE_32 && short_address);
    }
    for (unsigned i = 0; i < 8; i++) {
        emit(bytes, chance(2) ? below(256) : below(2) ? 0xff : below(4));
    }
    memcpy(fuzz->bytes, room, 15);
    bytes->at = fuzz->bytes;
}

/* ---- state ------------------------------------------------------------------------------------------------- */

static uint64_t segment_base(const FuzzCase *fuzz, unsigned segment)
{
    if (make.mode == MODE_64) {
        return segment == SEG_FS ? fuzz->in.fs_base : segment == SEG_GS ? fuzz->in.gs_base : 0;
    }
    const uint16_t selectors[] = { fuzz->in.es, fuzz->in.cs, fuzz->in.ss, fuzz->in.ds, fuzz->in.fs, fuzz->in.gs };
    uint16_t selector = selectors[segment];
    return selector & 4 ? fuzz_segments[selector >> 3].base : 0;
}

/* Somewhere in the arena, mostly where data can be written. */
static uint64_t any_place(void)
{
    unsigned offset = DATA_OFFSET + below(DATA_BYTES - 64);

    switch (below(16)) {
    case 0: offset = READ_ONLY_OFFSET - 64 + below(80); break;
    case 1: offset = READ_ONLY_OFFSET + below(PAGE); break;
    case 2: offset = DATA_OFFSET - 32 + below(64); break;
    case 3: offset = DATA_OFFSET + PAGE - 32 + below(40); break;
    case 4: offset = READ_ONLY_OFFSET + PAGE - 32 + below(64); break;
    case 5: offset = below(PAGE); break;
    default: break;
    }
    if (!chance(4)) {
        offset &= ~(chance(4) ? 63u : 15u);
    }
    return ARENA + offset;
}

static void make_registers(FuzzCase *fuzz)
{
    FuzzState *in = &fuzz->in;

    for (unsigned i = 0; i < 16; i++) {
        in->gpr[i] = any_integer();
    }
    in->rflags = (any() & (FLAG_ARITHMETIC)) | FLAG_FIXED | FLAG_IF | FLAG_TF | (chance(4) ? FLAG_DF : 0) | (chance(16) ? FLAG_AC : 0) | (chance(20) ? FLAG_ID : 0) |
                 (chance(30) ? FLAG_NT : 0);
    in->fs_base = ARENA + 0x1800, in->gs_base = ARENA + DATA_OFFSET;
    in->fs = in->gs = 0;
    unsigned code = CODE_OFFSET + 0x100 + below(0xd0) * 16 + (chance(8) ? 0 : below(16));
    switch (make.mode) {
    case MODE_64:
        in->cs = USER_CS64, in->ss = in->ds = in->es = USER_DS;
        in->rip = ARENA + code;
        break;
    case MODE_32:
        in->cs = USER_CS32, in->ss = in->ds = in->es = USER_DS;
        in->rip = ARENA + code;
        if (chance(4)) {
            in->cs = LDT_SELECTOR(LDT_CODE32), in->rip = code;
        }
        in->fs = LDT_SELECTOR(chance(2) ? LDT_DATA32 : LDT_EXPAND_DOWN);
        in->gs = chance(6) ? 0 : LDT_SELECTOR(chance(2) ? LDT_READ_ONLY : LDT_DATA16);
        if (chance(6)) {
            in->es = LDT_SELECTOR(LDT_DATA32);
        }
        if (chance(8)) {
            in->ss = LDT_SELECTOR(chance(2) ? LDT_DATA16 : LDT_DATA32);
        }
        break;
    default:
        in->cs = LDT_SELECTOR(LDT_CODE16), in->rip = code;
        in->ss = in->ds = LDT_SELECTOR(LDT_DATA16);
        in->es = LDT_SELECTOR(chance(3) ? LDT_DATA16_SHORT : LDT_DATA16);
        in->fs = LDT_SELECTOR(chance(2) ? LDT_DATA16_SHORT : LDT_EXPAND_DOWN);
        in->gs = chance(4) ? USER_DS : LDT_SELECTOR(LDT_READ_ONLY);
        break;
    }
    for (unsigned i = 0; make.mode != MODE_64 && i < 8; i++) {
        in->gpr[i] = (uint32_t)in->gpr[i];
    }
}

static void make_vectors(FuzzCase *fuzz)
{
    uint8_t *fx = fuzz->in.fx;
    uint16_t control = 0x37f, status = 0;
    uint32_t mxcsr = 0x1f80;

    memset(fx, 0, sizeof fuzz->in.fx);
    if (chance(3)) {
        control = (control & ~0xf00) | below(4) << 8 | below(4) << 10;
    }
    if (chance(5)) {
        control = (control & ~0x3f) | below(64);
    }
    status = (uint16_t)(below(8) << 11 | (any() & 0x4700));
    if (chance(3)) {
        status |= any() & 0x7f & (chance(20) ? 0x7f : control);
    }
    status |= status & ~control & 0x3f ? 0x8080 : 0;
    fx[4] = chance(3) ? 0xff : chance(4) ? 0 : (uint8_t)any();
    memcpy(fx, &control, 2);
    memcpy(fx + 2, &status, 2);
    for (unsigned i = 0; i < 8; i++) {
        any_extended(fx + 32 + 16 * i);
    }
    if (chance(3)) {
        mxcsr = (mxcsr & ~0x6000u) | below(4) << 13 | (chance(3) ? 0x40 : 0) | (chance(3) ? 0x8000 : 0);
    }
    if (chance(5)) {
        mxcsr = (mxcsr & ~0x1f80u) | below(64) << 7;
    }
    if (chance(3)) {
        mxcsr |= below(64);
    }
    memcpy(fx + 24, &mxcsr, 4);
    uint32_t mask = 0xffff;
    memcpy(fx + 28, &mask, 4);
    for (unsigned i = 0; i < 16; i++) {
        any_vector(fx + 160 + 16 * i);
    }
    memset(fuzz->in.ymm, 0, sizeof fuzz->in.ymm);
    for (unsigned i = 0; i < 16 && cpuid_has(soft_features(), FEATURE_AVX) && !chance(6); i++) {
        any_vector(fuzz->in.ymm + 16 * i);
    }
}

static uint64_t cut(uint64_t value, unsigned bytes) { return bytes == 8 ? value : bytes == 4 ? (uint32_t)value : (uint16_t)value; }

/* Bends a register or the displacement so that the operand lies at place. */
static void aim(FuzzCase *fuzz, const Insn *insn, const Bytes *bytes, uint64_t place)
{
    uint64_t *gpr = fuzz->in.gpr;
    uint64_t offset = place - segment_base(fuzz, insn->segment);
    uint64_t index = insn->index < 16 ? gpr[insn->index] << insn->scale : 0;
    int64_t displacement = insn->disp;

    if (insn->base < 16 && insn->base != insn->index) {
        gpr[insn->base] = cut(offset - index - (uint64_t)displacement, insn->address_size) | (insn->address_size < 8 && chance(3) ? any() << 8 * insn->address_size : 0);
        if (make.mode != MODE_64) {
            gpr[insn->base] = (uint32_t)gpr[insn->base];
        }
        return;
    }
    if (insn->base < 16) {
        return;
    }
    if (bytes->displacement_size < 2) {
        return;
    }
    if (insn->base == INSN_RIP) {
        offset -= fuzz->in.rip + insn->length;
    }
    uint64_t value = offset - index;
    if (insn->index < 16 && bytes->displacement_size == 4 && insn->address_size == 8) {
        gpr[insn->index] &= 0xffff;                        /* so that a signed displacement reaches */
        value = offset - (gpr[insn->index] << insn->scale);
    }
    memcpy(fuzz->bytes + bytes->displacement_at, &value, bytes->displacement_size);
}

/* Never from a 16-bit stack to 64-bit code: RSP then has bits of the kernel's espfix stack, and its faults repeat for ever. */
static uint16_t any_selector(const FuzzCase *fuzz)
{
    static const uint16_t known[] = {
        0, 3, USER_CS32, USER_DS, USER_CS64, 0x10, 0x18, 0x08, LDT_SELECTOR(LDT_CODE16), LDT_SELECTOR(LDT_DATA16), LDT_SELECTOR(LDT_DATA16_SHORT),
        LDT_SELECTOR(LDT_DATA32), LDT_SELECTOR(LDT_EXPAND_DOWN), LDT_SELECTOR(LDT_READ_ONLY), LDT_SELECTOR(LDT_CODE32), LDT_SELECTOR(LDT_ABSENT),
        LDT_SELECTOR(LDT_COUNT), 0x60, 0x88, 0xfff8,
    };
    uint16_t selector = known[below(sizeof known / sizeof known[0])];

    if ((selector & ~3) == (USER_CS64 & ~3) && make.mode != MODE_64 && fuzz->in.ss != USER_DS) {
        selector = USER_CS32;
    }
    return chance(6) ? selector ^ below(4) : selector;
}

static void add_poke(FuzzCase *fuzz, unsigned slot, uint64_t linear, const void *data, unsigned length)
{
    uint64_t offset = linear - ARENA;

    if (offset < DATA_OFFSET || offset + length > DATA_OFFSET + DATA_BYTES || length > POKE_BYTES) {
        return;
    }
    fuzz->poke[slot].offset = (uint16_t)offset;
    fuzz->poke[slot].length = (uint16_t)length;
    memcpy(fuzz->poke[slot].bytes, data, length);
}

/* To be loaded: sometimes with reserved bits, but never with bit 17, which AMD's hosts have and guests do not. */
static uint32_t any_mxcsr(void)
{
    uint32_t mxcsr = (uint32_t)any() & 0xffff;

    return chance(10) ? mxcsr | ((uint32_t)any() & 0xfffd0000) : mxcsr;
}

/* Far pointers and return frames: each word of the operand's size. */
static void poke_words(FuzzCase *fuzz, uint64_t linear, unsigned size, const uint64_t *words, unsigned count)
{
    uint8_t bytes[POKE_BYTES];

    for (unsigned i = 0; i < count; i++) {
        memcpy(bytes + i * size, &words[i], size);
    }
    add_poke(fuzz, 0, linear, bytes, count * size);
}

static uint8_t *vector_byte(FuzzCase *fuzz, unsigned number, unsigned byte)
{
    return byte < 16 ? fuzz->in.fx + 160 + 16 * number + byte : fuzz->in.ymm + 16 * number + byte - 16;
}

/* The base is in the arena; indices that stay near it, most of the time. */
static void bend_gather(FuzzCase *fuzz, const Insn *insn, const OptabRow *row)
{
    unsigned size = insn->vex & VEX_W ? 8 : 4, count = vector_memory_bytes(row->vector, false) / size, index_size = insn->opcode & 1 ? 8 : 4;
    bool near = !chance(10);

    for (unsigned i = 0; i < count; i++) {
        int64_t index = (int64_t)below(2048) - 1024;

        if (near && !chance(40)) {
            index >>= insn->scale + below(4);
            memcpy(vector_byte(fuzz, insn->imm2, i * index_size), &index, index_size);
        }
        uint8_t *mask = vector_byte(fuzz, insn->vvvv, i * size + size - 1);
        *mask = chance(3) ? *mask & 0x7f : *mask | 0x80;
    }
}

static void bend_for_operation(FuzzCase *fuzz, const Insn *insn, const OptabRow *row, uint64_t place, uint64_t stack)
{
    uint64_t *gpr = fuzz->in.gpr;
    unsigned states = cpuid_has(soft_features(), FEATURE_AVX) ? 8 : 4;         /* XSAVE: 3 or 2 components */
    uint64_t target = chance(8) ? any_integer() : make.mode == MODE_64 ? ARENA + below(PAGE) : below(PAGE);
    unsigned size = insn->size == 2 ? 2 : insn->size == 8 ? 8 : 4;

    if ((row->form == FORM_OA || row->form == FORM_AO) && !chance(20)) {
        uint64_t offset = place - segment_base(fuzz, insn->segment);
        memcpy(fuzz->bytes + fuzz->length - insn->address_size, &offset, insn->address_size);
    }
    if (row->form == FORM_FAR && !chance(20)) {
        uint16_t selector = any_selector(fuzz);
        if ((selector & ~3) == (USER_CS64 & ~3)) {
            selector = USER_CS32;
        }
        memcpy(fuzz->bytes + fuzz->length - 2, &selector, 2);
        memcpy(fuzz->bytes + fuzz->length - 2 - size, &target, size);
    }
    switch (row->op) {
    case OP_BT: case OP_BTS: case OP_BTR: case OP_BTC:
        if (row->form == FORM_EG && insn->memory && !chance(16) && insn->reg != insn->base && insn->reg != insn->index) {
            gpr[insn->reg] = (uint64_t)((int64_t)(any() << 48) >> (48 + below(8)));
            if (make.mode != MODE_64) {
                gpr[insn->reg] = (uint32_t)gpr[insn->reg];
            }
        }
        break;
    case OP_MOV_TO_SREG:
        if (!insn->memory) {
            gpr[insn->rm] = (gpr[insn->rm] & ~UINT64_C(0xffff)) | any_selector(fuzz);
        } else {
            uint16_t selector = any_selector(fuzz);
            add_poke(fuzz, 0, place, &selector, 2);
        }
        break;
    case OP_LAR: case OP_LSL: case OP_VERR: case OP_VERW: case OP_ARPL:
        if (!insn->memory) {
            gpr[insn->rm] = (gpr[insn->rm] & ~UINT64_C(0xffff)) | any_selector(fuzz);
        } else {
            uint16_t selector = any_selector(fuzz);
            add_poke(fuzz, 0, place, &selector, 2);
        }
        break;
    case OP_POP_SREG: { uint64_t word = any_selector(fuzz); add_poke(fuzz, 0, stack, &word, 8); break; }
    case OP_LOAD_FAR: case OP_JMP_FAR: case OP_CALL_FAR:
        if (insn->memory) {
            uint8_t bytes[10];
            uint16_t selector = any_selector(fuzz);
            if (row->op == OP_CALL_FAR && make.mode != MODE_64 && (selector & ~3) == (USER_CS64 & ~3)) {
                selector = USER_CS32;      /* the same with a stack pointer that wraps */
            }
            memcpy(bytes, &target, size);
            memcpy(bytes + size, &selector, 2);
            add_poke(fuzz, 0, place, bytes, size + 2);
        }
        break;
    case OP_RET_FAR: { uint64_t words[2] = { target, any_selector(fuzz) }; poke_words(fuzz, stack, size, words, 2); break; }
    case OP_IRET: {
        uint64_t words[5] = { target, any_selector(fuzz), any() & 0x1fffff, any_place(), any_selector(fuzz) };
        if ((words[1] & ~3u) == (USER_CS64 & ~3u) && words[4] & 4) {
            words[4] = USER_DS;            /* the kernel's espfix stack again */
        }
        if (stack & 7) {
            words[2] &= ~(uint64_t)FLAG_AC;                /* Intel then faults for the frame, and Linux takes that for a split lock for ever */
        }
        poke_words(fuzz, stack, size, words, 5);
        break;
    }
    case OP_RET: poke_words(fuzz, stack, size, &target, 1); break;
    case OP_JMP: case OP_CALL:
        if (insn->memory) {
            poke_words(fuzz, place, size, &target, 1);
        }
        break;
    case OP_POPF: { uint64_t flags = any() & 0x3fffff; poke_words(fuzz, stack, size, &flags, 1); break; }
    case OP_DIV: case OP_IDIV:
        if (!chance(3)) {
            gpr[GPR_RDX] = row->op == OP_IDIV && chance(2) ? UINT64_MAX : below(4);
            if (make.mode != MODE_64) {
                gpr[GPR_RDX] = (uint32_t)gpr[GPR_RDX];
            }
        }
        break;
    case OP_FXRSTOR: case OP_LDMXCSR: {
        uint32_t mxcsr = any_mxcsr();
        add_poke(fuzz, 0, row->op == OP_LDMXCSR ? place : place + 24, &mxcsr, 4);
        break;
    }
    case OP_XSAVE: case OP_XSAVEOPT: case OP_XSAVEC: case OP_XRSTOR: {
        uint64_t header[8] = { below(states), 0 };
        uint32_t mxcsr = any_mxcsr();
        if (row->op == OP_XRSTOR && chance(3)) {
            header[1] = UINT64_C(1) << 63 | (header[0] | below(states));
        }
        if (chance(12)) {
            header[below(8)] ^= UINT64_C(1) << (20 + below(44));       /* not a component that only the host has */
        }
        add_poke(fuzz, 0, place + 24, &mxcsr, 4);
        add_poke(fuzz, 1, place + 512, header, 64);
        gpr[GPR_RAX] = (gpr[GPR_RAX] & ~UINT64_C(0xffffffff)) | below(states);
        gpr[GPR_RDX] &= ~UINT64_C(0xffffffff);
        break;
    }
    case OP_GATHER: bend_gather(fuzz, insn, row); break;
    case OP_WRFSBASE: case OP_WRGSBASE: gpr[insn->rm] = chance(4) ? any_integer() : any_place(); break;
    case OP_CMPXCHG:
        if (chance(2) && !insn->memory) {
            gpr[GPR_RAX] = gpr[insn->rm];
        }
        break;
    default: break;
    }
}

static bool try_case(FuzzCase *fuzz)
{
    const OptabRow *row = optab_row(make.rows[below(make.count)]);
    DecodeMode mode = { .code_size = make.mode == MODE_64 ? 8 : make.mode == MODE_32 ? 4 : 2, .protected_mode = true };
    Bytes bytes;
    Insn insn;

    make_bytes(fuzz, row, &bytes);
    make_registers(fuzz);
    make_vectors(fuzz);
    memset(fuzz->poke, 0, sizeof fuzz->poke);
    for (unsigned i = 0; i < POKES; i++) {
        fuzz->poke[i].offset = DATA_OFFSET;
    }
    DecodeResult result = decode(&insn, fuzz->bytes, 15, mode);
    if (result == DECODE_INVALID && is_avx(row) && !memchr(fuzz->bytes, 0xf0, 4)) {
        fuzz->length = insn.length;                        /* a wrong L, W, vvvv, ModRM.mod: nobody else's */
        fuzz->repeats = false;
        return insn.length < 15;
    }
    if (result == DECODE_INVALID && !memchr(fuzz->bytes, 0xf0, 4)) {
        return false;                                      /* what this table does not know the host may know */
    }
    if (result != DECODE_OK && result != DECODE_INVALID) {
        return false;
    }
    fuzz->length = insn.length;
    if (result == DECODE_INVALID) {
        uint8_t bare[15];
        unsigned length = 0;
        for (unsigned i = 0; i < 15; i++) {
            if (fuzz->bytes[i] != 0xf0 || i >= 4) {
                bare[length++] = fuzz->bytes[i];
            }
        }
        Insn same;
        if (decode(&same, bare, length, mode) != DECODE_OK || excluded(optab_row(same.row)) || same.length + 1 > 15) {
            return false;
        }
        fuzz->length = same.length + 1;
        fuzz->repeats = false;
        return true;
    }
    row = optab_row(insn.row);
    if (excluded(row) || !exposed(row) || (row->op == OP_INT && (uint8_t)insn.imm == 0x80)) {
        return false;
    }
    fuzz->repeats = (row->form == FORM_STRING && (insn.prefixes & (PREFIX_REP | PREFIX_REPNE))) || row->op == OP_GATHER;

    uint64_t place = any_place(), stack = any_place();
    uint64_t *gpr = fuzz->in.gpr;
    if (!chance(10)) {
        gpr[GPR_RSP] = stack - segment_base(fuzz, SEG_SS);
    }
    if (row->form == FORM_STRING || row->op == OP_MASKMOV || chance(6)) {
        gpr[GPR_RSI] = any_place() - segment_base(fuzz, SEG_DS);
        gpr[GPR_RDI] = any_place() - segment_base(fuzz, SEG_ES);
    }
    if (row->form == FORM_STRING) {
        gpr[GPR_RCX] = (gpr[GPR_RCX] & ~UINT64_C(0xffffffff)) | below(24);
        if (insn.address_size == 8) {
            gpr[GPR_RCX] = below(24);
        } else if (insn.address_size == 2) {
            gpr[GPR_RCX] |= any() & 0xffff0000;
        }
    }
    if (row->op == OP_XLAT) {
        gpr[GPR_RBX] = place - segment_base(fuzz, insn.segment);
    }
    if (row->op == OP_LEAVE || row->op == OP_ENTER) {
        gpr[GPR_RBP] = any_place() - segment_base(fuzz, SEG_SS);
    }
    if (insn.memory && !chance(20)) {
        aim(fuzz, &insn, &bytes, place);
    }
    bend_for_operation(fuzz, &insn, row, place, stack);
    return true;
}

void make_case(FuzzCase *fuzz, uint64_t number)
{
    make.random = mix(make.seed ^ mix(number) ^ (uint64_t)make.mode << 60);
    fuzz->number = number;
    fuzz->mode = make.mode;
    while (!try_case(fuzz)) {
    }
}
