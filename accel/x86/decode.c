/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decode.c - bytes to Insn: prefixes, opcode maps, ModRM, SIB, immediates, by the rows of optab*.c
 *
 * Models   AMD64 APM volume 3 and Intel SDM volume 2: legacy and VEX encodings in 16-, 32- and 64-bit mode. A 66 prefix on a
 *          near branch in 64-bit mode cuts it to 16 bits, as AMD has it
 * Omits    EVEX, XOP, 3DNow!, VEX forms that no row has: all #UD
 * Safety   bytes come from the guest: nothing beyond available is read, nothing is allocated, every loop ends by 15
 * Tests    tests/cpu/decode.c
 */
#include "accel/x86/decode.h"
#include "accel/x86/cpu-state.h"
#include "base/bytes.h"
#include <stdio.h>
#include <string.h>

enum { LENGTH_LIMIT = 15 };

typedef struct Decoder {
    Insn *insn;
    const uint8_t *bytes;
    size_t available;
    size_t at;
    bool short_of_bytes;
    DecodeMode mode;
    uint8_t rex;                           /* 40h-4Fh, 0 without */
    uint8_t repeat;                        /* the last of F2 and F3, 0 without */
    uint8_t segment;                       /* override, SEG_COUNT without */
    uint8_t map, modrm;
    bool has_modrm;
} Decoder;

/* Zero beyond the end, and remembers that. */
static uint64_t take(Decoder *d, unsigned size)
{
    uint8_t buffer[8] = { 0 };

    if (d->available - d->at < size) {
        d->short_of_bytes = true;
        return 0;
    }
    memcpy(buffer, d->bytes + d->at, size);
    d->at += size;
    return load_le64(buffer);
}

static int64_t take_signed(Decoder *d, unsigned size)
{
    uint64_t value = take(d, size);

    switch (size) {
    case 1: return (int8_t)value;
    case 2: return (int16_t)value;
    case 4: return (int32_t)value;
    default: return (int64_t)value;
    }
}

static uint8_t peek(Decoder *d, size_t ahead)
{
    if (d->available - d->at <= ahead) {
        d->short_of_bytes = true;
        return 0;
    }
    return d->bytes[d->at + ahead];
}

/* ---- prefixes ------------------------------------------------------------------------------------------------ */

static bool is_64(const Decoder *d)
{
    return d->mode.code_size == 8;
}

static bool take_prefix(Decoder *d, uint8_t byte)
{
    static const struct { uint8_t byte, segment; } overrides[] = {
        { 0x26, SEG_ES }, { 0x2e, SEG_CS }, { 0x36, SEG_SS }, { 0x3e, SEG_DS }, { 0x64, SEG_FS }, { 0x65, SEG_GS } };

    switch (byte) {
    case 0xf0: d->insn->prefixes |= PREFIX_LOCK; return true;
    case 0xf2: d->insn->prefixes |= PREFIX_REPNE, d->repeat = byte; return true;
    case 0xf3: d->insn->prefixes |= PREFIX_REP, d->repeat = byte; return true;
    case 0x66: d->insn->prefixes |= PREFIX_66; return true;
    case 0x67: d->insn->prefixes |= PREFIX_67; return true;
    default: break;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(overrides); i++) {
        if (overrides[i].byte == byte) {
            if (!is_64(d) || overrides[i].segment >= SEG_FS) {
                d->segment = overrides[i].segment;
                d->insn->prefixes |= PREFIX_SEGMENT;
            }
            return true;
        }
    }
    return false;
}

static void take_prefixes(Decoder *d)
{
    while (!d->short_of_bytes && d->at < LENGTH_LIMIT) {
        uint8_t byte = peek(d, 0);

        if (take_prefix(d, byte)) {
            d->rex = 0;                    /* REX counts only right before the opcode */
        } else if (is_64(d) && (byte & 0xf0) == 0x40) {
            d->rex = byte;
        } else {
            break;
        }
        d->at++;
    }
    if (d->rex) {
        d->insn->prefixes |= PREFIX_REX | (d->rex & 8 ? PREFIX_REX_W : 0);
    }
    /* The last of F2 and F3 counts. */
    if (d->repeat) {
        d->insn->prefixes &= (uint8_t)~(d->repeat == 0xf2 ? PREFIX_REP : PREFIX_REPNE);
    }
}

/* C4 and C5 are VEX in 64-bit mode, and elsewhere when what follows would be the register form that les and lds lack. */
static bool take_vex(Decoder *d, uint8_t escape)
{
    Insn *insn = d->insn;
    uint8_t first = (uint8_t)take(d, 1), second, map = 1;

    insn->vex = VEX_PRESENT;
    if (escape == 0xc5) {
        second = first;
        d->rex = 0x40 | (first & 0x80 ? 0 : 4);
    } else {
        second = (uint8_t)take(d, 1);
        map = first & 0x1f;
        d->rex = (uint8_t)(0x40 | (~first >> 5 & 7));
        if (second & 0x80) {
            d->rex |= 8;
            insn->vex |= VEX_W;
        }
    }
    if (!is_64(d)) {
        d->rex = 0;
    }
    insn->vvvv = (uint8_t)(~second >> 3 & (is_64(d) ? 15 : 7));
    insn->vex |= second & 4 ? VEX_L : 0;
    static const uint8_t mandatory[] = { 0, PREFIX_66, PREFIX_REP, PREFIX_REPNE };
    bool refused = insn->prefixes & (PREFIX_LOCK | PREFIX_66 | PREFIX_REP | PREFIX_REPNE | PREFIX_REX);
    insn->prefixes |= mandatory[second & 3];
    d->repeat = (second & 3) == 2 ? 0xf3 : (second & 3) == 3 ? 0xf2 : 0;
    if (d->rex & 8) {
        insn->prefixes |= PREFIX_REX_W;
    }
    if (map < 1 || map > 3 || !d->mode.protected_mode || d->mode.v8086) {
        refused = true;
    }
    d->map = (uint8_t)(map >= 1 && map <= 3 ? MAP_VEX_0F + map - 1 : MAP_VEX_0F);
    insn->opcode = (uint8_t)take(d, 1);
    return !refused;
}

/* False: nothing can have this opcode. */
static bool take_opcode(Decoder *d)
{
    uint8_t byte = (uint8_t)take(d, 1);

    d->map = MAP_ONE;
    if (byte == 0x0f) {
        d->map = MAP_0F;
        byte = (uint8_t)take(d, 1);
        if (byte == 0x38 || byte == 0x3a) {
            d->map = byte == 0x38 ? MAP_0F38 : MAP_0F3A;
            byte = (uint8_t)take(d, 1);
        }
    } else if ((byte == 0xc4 || byte == 0xc5) && (is_64(d) || peek(d, 0) >= 0xc0)) {
        return take_vex(d, byte);
    }
    d->insn->opcode = byte;
    return true;
}

/* ---- choosing the row ------------------------------------------------------------------------------------------ */

static bool form_has_modrm(const OptabRow *row)
{
    if (row->flags & ROW_NO_MODRM) {
        return false;
    }
    switch (row->form) {
    case FORM_NONE: case FORM_I: case FORM_J: case FORM_FAR: case FORM_OA: case FORM_AO: case FORM_STRING:
        return row->extension != 0 || row->mod != MOD_ANY;
    case FORM_E: case FORM_EI: case FORM_EG:
        return !(row->flags & ROW_PLUS_R);
    default:
        return true;
    }
}

static bool vex_matches(const Insn *insn, const OptabRow *row)
{
    unsigned length = row->vex & VEX_L_RULE, w = row->vex & VEX_W_RULE;

    if ((length != VEX_L_ANY && length != (insn->vex & VEX_L ? VEX_L_1 : VEX_L_0)) ||
        (w != VEX_W_ANY && w != (insn->vex & VEX_W ? VEX_W_1 : VEX_W_0))) {
        return false;
    }
    return !(row->flags & ROW_NO_VVVV) || insn->vvvv == 0;
}

static bool prefix_matches(const Decoder *d, const OptabRow *row)
{
    bool has_66 = d->insn->prefixes & PREFIX_66;

    if (row->flags & ROW_NO_REX_B && d->rex & 1) {
        return false;
    }
    if (d->map >= MAP_VEX_0F && !vex_matches(d->insn, row)) {
        return false;
    }
    switch (row->prefix) {
    case MANDATORY_NONE: return !d->repeat && !has_66;
    case MANDATORY_66: return !d->repeat && has_66;
    case MANDATORY_F3: return d->repeat == 0xf3;
    case MANDATORY_F2: return d->repeat == 0xf2;
    case MANDATORY_NO_REP: return !d->repeat;
    default: return true;
    }
}

static bool mode_matches(const Decoder *d, const OptabRow *row)
{
    if (row->flags & (is_64(d) ? ROW_NO_64 : ROW_ONLY_64)) {
        return false;
    }
    return !(row->flags & ROW_PROTECTED) || (d->mode.protected_mode && !d->mode.v8086);
}

static bool modrm_matches(uint8_t modrm, const OptabRow *row)
{
    bool is_register = modrm >= 0xc0;
    unsigned mod = row->vector & VECTOR_REG_ONLY ? MOD_REGISTER : row->vector & VECTOR_MEMORY_ONLY ? MOD_MEMORY : row->mod;

    if ((mod == MOD_MEMORY && is_register) || (mod == MOD_REGISTER && !is_register)) {
        return false;
    }
    if (row->extension && (modrm >> 3 & 7) != (row->extension & 7)) {
        return false;
    }
    if (row->vex & VEX_VSIB && (modrm & 7) != 4) {
        return false;
    }
    return !row->rm_extension || (modrm & 7) == (row->rm_extension & 7);
}

/* OPTAB_END: undefined. Reads the ModRM byte when any candidate has one. */
static unsigned find_row(Decoder *d)
{
    for (unsigned row = optab_first(d->map, d->insn->opcode); row != OPTAB_END; row = optab_next(row)) {
        const OptabRow *candidate = optab_row(row);
        bool has_modrm = form_has_modrm(candidate);

        if (!mode_matches(d, candidate)) {
            continue;
        }
        if (has_modrm && !d->has_modrm) {
            d->modrm = (uint8_t)take(d, 1);
            d->has_modrm = true;
            if (d->short_of_bytes) {
                return OPTAB_END;
            }
        }
        if (prefix_matches(d, candidate) && (!has_modrm || modrm_matches(d->modrm, candidate))) {
            return row;
        }
    }
    return OPTAB_END;
}

/* ---- operands -------------------------------------------------------------------------------------------------- */

static uint8_t operand_size(const Decoder *d, const OptabRow *row)
{
    bool wide = d->insn->prefixes & PREFIX_REX_W, other = d->insn->prefixes & PREFIX_66;

    switch (row->size) {
    case SIZE_1: return 1;
    case SIZE_2: return 2;
    case SIZE_4: return 4;
    case SIZE_8: return 8;
    case SIZE_16: return 16;
    case SIZE_Y: return wide ? 8 : 4;
    case SIZE_NATIVE: return is_64(d) ? 8 : 4;
    case SIZE_V: case SIZE_V64: break;
    default: return 0;
    }
    if (is_64(d)) {
        return wide ? 8 : other ? 2 : row->size == SIZE_V64 ? 8 : 4;
    }
    return (d->mode.code_size == 4) != other ? 4 : 2;
}

static void take_address_16(Decoder *d)
{
    static const struct { uint8_t base, index, segment; } pairs[] = {
        { GPR_RBX, GPR_RSI, SEG_DS }, { GPR_RBX, GPR_RDI, SEG_DS }, { GPR_RBP, GPR_RSI, SEG_SS }, { GPR_RBP, GPR_RDI, SEG_SS },
        { GPR_RSI, INSN_NO_REG, SEG_DS }, { GPR_RDI, INSN_NO_REG, SEG_DS }, { GPR_RBP, INSN_NO_REG, SEG_SS }, { GPR_RBX, INSN_NO_REG, SEG_DS } };
    unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
    Insn *insn = d->insn;

    insn->base = pairs[rm].base;
    insn->index = pairs[rm].index;
    insn->segment = pairs[rm].segment;
    if (mod == 0 && rm == 6) {
        insn->base = INSN_NO_REG;
        insn->segment = SEG_DS;
        insn->disp = (int32_t)take_signed(d, 2);
    } else if (mod) {
        insn->disp = (int32_t)take_signed(d, mod == 1 ? 1 : 2);
    }
}

static void take_address_32(Decoder *d)
{
    unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
    Insn *insn = d->insn;

    insn->base = (uint8_t)(rm | (d->rex & 1) << 3);
    insn->segment = SEG_DS;
    if (rm == 4) {
        uint8_t sib = (uint8_t)take(d, 1);
        uint8_t index = (uint8_t)((sib >> 3 & 7) | (d->rex & 2) << 2);

        insn->base = (uint8_t)((sib & 7) | (d->rex & 1) << 3);
        if (index != GPR_RSP) {
            insn->index = index;
            insn->scale = sib >> 6;
        }
        if ((sib & 7) == 5 && mod == 0) {
            insn->base = INSN_NO_REG;
            insn->disp = (int32_t)take(d, 4);
        }
    } else if (rm == 5 && mod == 0) {
        insn->base = is_64(d) ? INSN_RIP : INSN_NO_REG;
        insn->disp = (int32_t)take(d, 4);
    }
    if (insn->base == GPR_RSP || insn->base == GPR_RBP) {
        insn->segment = SEG_SS;
    }
    if (mod) {
        insn->disp = (int32_t)take_signed(d, mod == 1 ? 1 : 4);
    }
}

/* The index is a vector register, and 4 is one as any other. */
static void take_address_vsib(Decoder *d)
{
    Insn *insn = d->insn;
    uint8_t sib = peek(d, 0);

    take_address_32(d);
    insn->imm2 = (uint16_t)((sib >> 3 & 7) | (d->rex & 2) << 2);
    insn->index = INSN_NO_REG;
    insn->scale = sib >> 6;
}

static void take_modrm_operands(Decoder *d, const OptabRow *row)
{
    Insn *insn = d->insn;

    insn->reg = (uint8_t)((d->modrm >> 3 & 7) | (d->rex & 4) << 1);
    if (d->modrm >= 0xc0) {
        insn->rm = (uint8_t)((d->modrm & 7) | (d->rex & 1) << 3);
    } else {
        insn->memory = MEMORY_ANY;
        if (insn->address_size == 2) {
            take_address_16(d);
        } else if (row->vex & VEX_VSIB) {
            take_address_vsib(d);
        } else {
            take_address_32(d);
        }
        if (d->segment != SEG_COUNT) {
            insn->segment = d->segment;
        }
    }
    if (row->form == FORM_SG || row->form == FORM_GS) {
        insn->reg &= 7;                    /* segment registers: REX.R is ignored */
    }
    if (row->form == FORM_X87) {
        insn->escape = (uint16_t)((insn->opcode & 7) << 8 | d->modrm);
    }
}

/* Without REX, byte registers 4 to 7 are ah, ch, dh, bh. */
static void find_high_bytes(const Decoder *d, const OptabRow *row)
{
    Insn *insn = d->insn;
    bool rm_is_byte = insn->size == 1 || row->flags & ROW_RM_BYTE, reg_is_byte = insn->size == 1;

    if (d->rex || row->form == FORM_VEC || row->form == FORM_X87 || insn->vex) {
        return;
    }
    if (rm_is_byte && !insn->memory && insn->rm >= 4) {
        insn->rm -= 4;
        insn->high |= 2;
    }
    if (reg_is_byte && insn->reg >= 4 && (row->form == FORM_EG || row->form == FORM_GE)) {
        insn->reg -= 4;
        insn->high |= 1;
    }
}

static void take_immediate(Decoder *d, const OptabRow *row)
{
    Insn *insn = d->insn;
    unsigned imm = row->imm, size = insn->size;

    if (row->form == FORM_VEC && row->vector & VECTOR_IMM8) {
        imm = IMM_U8;
    }
    switch (imm) {
    case IMM_U8: insn->imm = take(d, 1); break;
    case IMM_S8: insn->imm = (uint64_t)take_signed(d, 1); break;
    case IMM_Z: insn->imm = (uint64_t)take_signed(d, size > 4 ? 4 : size); break;
    case IMM_V: insn->imm = (uint64_t)take_signed(d, size); break;
    case IMM_16: insn->imm = take(d, 2); break;
    case IMM_16_8: insn->imm = take(d, 2), insn->imm2 = (uint16_t)take(d, 1); break;
    case IMM_FAR: insn->imm = take(d, size), insn->imm2 = (uint16_t)take(d, 2); break;
    case IMM_MOFFS: insn->imm = take(d, insn->address_size); break;
    default: break;
    }
}

static void take_operands(Decoder *d, const OptabRow *row)
{
    Insn *insn = d->insn;

    insn->form = row->form;
    insn->op = row->op;
    insn->size = operand_size(d, row);
    insn->vector = row->vector;
    if (d->has_modrm) {
        take_modrm_operands(d, row);
    } else if (row->flags & ROW_PLUS_R) {
        uint8_t number = (uint8_t)((insn->opcode & 7) | (d->rex & 1) << 3);

        if (row->form == FORM_EG) {
            insn->reg = number;
        } else {
            insn->rm = number;
        }
    }
    if (row->flags & ROW_SREG) {
        insn->reg = insn->opcode >> 3 & 7;
    }
    if (!insn->memory) {                   /* strings, moffs, xlat: DS unless overridden */
        insn->segment = d->segment == SEG_COUNT ? SEG_DS : d->segment;
    }
    find_high_bytes(d, row);
    take_immediate(d, row);
    if (row->constant) {
        insn->imm2 = row->constant;
    }
}

static bool lock_is_valid(const Insn *insn, const OptabRow *row)
{
    return !(insn->prefixes & PREFIX_LOCK) || (row->flags & ROW_LOCK && insn->memory);
}

/* Gathers: no 16-bit addresses; destination, mask and index are three registers. */
static bool vsib_is_valid(const Insn *insn, const OptabRow *row)
{
    return !(row->vex & VEX_VSIB) || (insn->address_size != 2 && insn->reg != insn->vvvv && insn->reg != insn->imm2 && insn->vvvv != insn->imm2);
}

DecodeResult decode(Insn *insn, const uint8_t *bytes, size_t available, DecodeMode mode)
{
    Decoder d = { .insn = insn, .bytes = bytes, .available = available > LENGTH_LIMIT ? LENGTH_LIMIT : available, .mode = mode,
                  .segment = SEG_COUNT };
    unsigned row = OPTAB_END;
    bool valid;

    memset(insn, 0, sizeof *insn);
    insn->base = insn->index = INSN_NO_REG;
    insn->segment = SEG_DS;
    take_prefixes(&d);
    bool other = insn->prefixes & PREFIX_67;
    insn->address_size = mode.code_size == 8 ? (other ? 4 : 8) : (mode.code_size == 4) != other ? 4 : 2;
    valid = take_opcode(&d);
    if (valid && !d.short_of_bytes) {
        row = find_row(&d);
        if (row != OPTAB_END) {
            insn->row = (uint16_t)row;
            take_operands(&d, optab_row(row));
            valid = lock_is_valid(insn, optab_row(row)) && insn->op != OP_INVALID && vsib_is_valid(insn, optab_row(row));
        } else {
            valid = false;
        }
    }
    if (d.short_of_bytes) {
        return available >= LENGTH_LIMIT ? DECODE_TOO_LONG : DECODE_SHORT;
    }
    insn->length = (uint8_t)d.at;
    if (!valid) {
        insn->op = OP_INVALID;
        return DECODE_INVALID;
    }
    return DECODE_OK;
}

/* ---- listings -------------------------------------------------------------------------------------------------- */

static const char *register_name(unsigned number, unsigned size, bool high)
{
    static const char *const names[][16] = {
        { "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b" },
        { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w" },
        { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d" },
        { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" } };
    static const char *const high_names[] = { "ah", "ch", "dh", "bh" };

    if (number == INSN_RIP) {
        return "rip";
    }
    if (number > 15) {
        return "";
    }
    return high ? high_names[number & 3] : names[size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3][number];
}

static void print_rm(const Insn *insn, char *text, size_t size)
{
    static const char segments[][4] = { "es:", "cs:", "ss:", "ds:", "fs:", "gs:" };

    if (!insn->memory) {
        snprintf(text, size, "%%%s", register_name(insn->rm, insn->size, insn->high & 2));
        return;
    }
    snprintf(text, size, "%s%s%#x(%s%s%s,%d)", insn->prefixes & PREFIX_SEGMENT ? "%" : "",
             insn->prefixes & PREFIX_SEGMENT ? segments[insn->segment] : "", (unsigned)insn->disp,
             insn->base == INSN_NO_REG ? "" : register_name(insn->base, insn->address_size, false), insn->index == INSN_NO_REG ? "" : ",",
             insn->index == INSN_NO_REG ? "" : register_name(insn->index, insn->address_size, false), 1 << insn->scale);
}

void insn_print(const Insn *insn, uint64_t rip, char *text, size_t size)
{
    const char *name = insn_name(insn), *reg = register_name(insn->reg, insn->size, insn->high & 1);
    char rm[64];

    print_rm(insn, rm, sizeof rm);
    switch (insn->form) {
    case FORM_EG: snprintf(text, size, "%s %%%s,%s", name, reg, rm); break;
    case FORM_GE: snprintf(text, size, "%s %s,%%%s", name, rm, reg); break;
    case FORM_EI: snprintf(text, size, "%s $%#lx,%s", name, (unsigned long)insn->imm, rm); break;
    case FORM_GEI: snprintf(text, size, "%s $%#lx,%s,%%%s", name, (unsigned long)insn->imm, rm, reg); break;
    case FORM_E: case FORM_E1: case FORM_EC: case FORM_M: snprintf(text, size, "%s %s", name, rm); break;
    case FORM_I: snprintf(text, size, "%s $%#lx", name, (unsigned long)insn->imm); break;
    case FORM_J: snprintf(text, size, "%s %#lx (%x)", name, (unsigned long)(rip + insn->length + insn->imm), insn->opcode); break;
    case FORM_X87: snprintf(text, size, "%s %03x %s", name, insn->escape, rm); break;
    case FORM_VEC: snprintf(text, size, "%s %u %s", name, insn->reg, rm); break;
    default: snprintf(text, size, "%s", name); break;
    }
}
