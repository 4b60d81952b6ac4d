/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decode.c - the decoder against a table written by hand, and against its own limits
 *
 * Bytes lie at the end of a page that nothing follows, so a read beyond those given ends the test.
 */
#include "accel/x86/decode.h"
#include "accel/x86/cpu-state.h"
#include <glib.h>
#include <string.h>
#include <sys/mman.h>

static uint8_t *wall;                      /* the first byte that cannot be read */

static DecodeMode mode_of(unsigned code_size)
{
    return (DecodeMode){ .code_size = (uint8_t)code_size, .protected_mode = true };
}

static DecodeResult decode_bytes(Insn *insn, const uint8_t *bytes, size_t count, DecodeMode mode)
{
    memcpy(wall - count, bytes, count);
    return decode(insn, wall - count, count, mode);
}

typedef struct Case {
    unsigned code_size;
    const char *bytes;                     /* hexadecimal */
    unsigned length;                       /* 0: invalid */
    unsigned op, form, size;
    int64_t imm;
} Case;

static const Case cases[] = {
    { 8, "90", 1, OP_NOP, FORM_NONE, 0, 0 }, { 8, "4190", 2, OP_XCHG, FORM_EG, 4, 0 }, { 8, "f390", 2, OP_PAUSE, FORM_NONE, 0, 0 }, { 8, "f34190", 3, OP_XCHG, FORM_EG, 4, 0 },
    { 8, "4801d8", 3, OP_ADD, FORM_EG, 8, 0 }, { 8, "0305f8ffffff", 6, OP_ADD, FORM_GE, 4, 0 },
    { 8, "48b88877665544332211", 10, OP_MOV, FORM_EI, 8, 0x1122334455667788 }, { 8, "48c7c0ffffffff", 7, OP_MOV, FORM_EI, 8, -1 },
    { 8, "66b83412", 4, OP_MOV, FORM_EI, 2, 0x1234 }, { 4, "b878563412", 5, OP_MOV, FORM_EI, 4, 0x12345678 }, { 2, "b83412", 3, OP_MOV, FORM_EI, 2, 0x1234 },
    { 8, "83c0ff", 3, OP_ADD, FORM_EI, 4, -1 }, { 8, "80e980", 3, OP_SUB, FORM_EI, 1, -128 }, { 4, "82c001", 3, OP_ADD, FORM_EI, 1, 1 }, { 8, "82c001", 0 },
    { 8, "54", 1, OP_PUSH, FORM_E, 8, 0 }, { 8, "6654", 2, OP_PUSH, FORM_E, 2, 0 }, { 4, "54", 1, OP_PUSH, FORM_E, 4, 0 }, { 8, "68ffffffff", 5, OP_PUSH, FORM_I, 8, -1 },
    { 8, "6668ffff", 4, OP_PUSH, FORM_I, 2, -1 }, { 8, "06", 0 }, { 4, "06", 1, OP_PUSH_SREG, FORM_NONE, 4, 0 }, { 8, "0fa0", 2, OP_PUSH_SREG, FORM_NONE, 8, 0 },
    { 8, "e8fbffffff", 5, OP_CALL, FORM_J, 8, -5 }, { 8, "66e8fbff", 4, OP_CALL, FORM_J, 2, -5 }, { 2, "e8fbff", 3, OP_CALL, FORM_J, 2, -5 },
    { 8, "7402", 2, OP_JCC, FORM_J, 8, 2 }, { 8, "0f8402000000", 6, OP_JCC, FORM_J, 8, 2 }, { 4, "9a785634120800", 7, OP_CALL_FAR, FORM_FAR, 4, 0x12345678 }, { 8, "9a785634120800", 0 },
    { 8, "ff1500000000", 6, OP_CALL, FORM_E, 8, 0 }, { 8, "ff18", 2, OP_CALL_FAR, FORM_M, 4, 0 }, { 8, "ffd8", 0 }, { 8, "fff8", 0 },
    { 8, "488d0500010000", 7, OP_LEA, FORM_GE, 8, 0 }, { 8, "8dc0", 0 }, { 8, "6763c1", 3, OP_MOVSX, FORM_GE, 4, 0 }, { 4, "63c1", 2, OP_ARPL, FORM_EG, 2, 0 },
    { 8, "a11122334455667788", 9, OP_MOV, FORM_AO, 4, (int64_t)0x8877665544332211 }, { 8, "67a111223344", 6, OP_MOV, FORM_AO, 4, 0x44332211 }, { 2, "a11122", 3, OP_MOV, FORM_AO, 2, 0x2211 },
    { 8, "f0480fb10f", 5, OP_CMPXCHG, FORM_EG, 8, 0 }, { 8, "f00fb1c1", 0 }, { 8, "f00307", 0 }, { 8, "f08b07", 0 }, { 8, "f0ff07", 3, OP_INC, FORM_E, 4, 0 }, { 8, "f03907", 0 },
    { 8, "f0870f", 3, OP_XCHG, FORM_EG, 4, 0 }, { 8, "f00fba2f01", 5, OP_BTS, FORM_EI, 4, 1 }, { 8, "f00fba2701", 0 },
    { 8, "0fc70f", 3, OP_CMPXCHG8B, FORM_M, 4, 0 }, { 8, "480fc70f", 4, OP_CMPXCHG8B, FORM_M, 8, 0 }, { 8, "0fc7c8", 0 }, { 8, "0fc7f0", 3, OP_RDRAND, FORM_E, 4, 0 },
    { 8, "f30fb8c1", 4, OP_POPCNT, FORM_GE, 4, 0 }, { 8, "0fb8c1", 0 }, { 8, "f30fbcc1", 4, OP_TZCNT, FORM_GE, 4, 0 }, { 8, "0fbcc1", 3, OP_BSF, FORM_GE, 4, 0 },
    { 8, "66f30fbdc1", 5, OP_LZCNT, FORM_GE, 2, 0 }, { 8, "f20f38f0c1", 5, OP_CRC32, FORM_GE, 4, 0 }, { 8, "66f20f38f1c1", 6, OP_CRC32, FORM_GE, 2, 0 },
    { 8, "0f38f007", 4, OP_MOVBE, FORM_GE, 4, 0 }, { 8, "0f38f0c1", 0 }, { 8, "660f38f6c1", 5, OP_ADCX, FORM_GE, 4, 0 }, { 8, "f30f38f6c1", 5, OP_ADOX, FORM_GE, 4, 0 },
    { 8, "c4e278f2c1", 5, OP_ANDN, FORM_GE, 4, 0 }, { 8, "c4e2f8f2c1", 5, OP_ANDN, FORM_GE, 8, 0 }, { 8, "c4e27cf2c1", 0 }, { 8, "66c4e278f2c1", 0 }, { 8, "f0c4e278f2c1", 0 }, { 8, "48c4e278f2c1", 0 },
    { 8, "c4e37bf0c105", 6, OP_RORX, FORM_GEI, 4, 5 }, { 8, "c4e36bf0c105", 0 }, { 4, "c4e278f2c1", 5, OP_ANDN, FORM_GE, 4, 0 }, { 4, "c407", 2, OP_LOAD_FAR, FORM_GE, 4, 0 },
    { 8, "c5f458c2", 4, OP_VECTOR_VEX, FORM_VEC, 0, 0 }, { 8, "f0c5f458c2", 0 }, { 8, "66c5f458c2", 0 }, { 8, "48c5f458c2", 0 },
    { 8, "c5f877", 3, OP_VZERO, FORM_NONE, 0, 0 }, { 8, "c5fc77", 3, OP_VZERO, FORM_NONE, 0, 0 }, { 8, "c5f077", 0 }, { 8, "c5f96ec0", 4, OP_VECTOR_VEX, FORM_VEC, 0, 0 }, { 8, "c5fd6ec0", 0 },
    { 8, "c5f06ec0", 0 }, { 8, "c5fa1000", 4, OP_VECTOR_VEX, FORM_VEC, 0, 0 }, { 8, "c5f21000", 0 }, { 8, "c5f210c0", 4, OP_VECTOR_VEX, FORM_VEC, 0, 0 },
    { 8, "c4e36d4acb40", 6, OP_VECTOR_VEX, FORM_VEC, 0, 0x40 }, { 8, "c4e3ed4acb40", 0 }, { 8, "c4e2699804ad00000000", 10, OP_VECTOR_VEX, FORM_VEC, 0, 0 },
    { 8, "c4e271901418", 6, OP_GATHER, FORM_VEC, 0, 0 }, { 8, "c4e271901410", 0 }, { 8, "c4e271901408", 0 }, { 8, "c4e271901018", 0 }, { 8, "c4e271900c18", 0 }, { 4, "67c4e271901418", 0 }, { 4, "c5f877", 3, OP_VZERO, FORM_NONE, 0, 0 },
    { 8, "0f0b", 2, OP_UD, FORM_NONE, 0, 0 }, { 8, "0fb9c0", 3, OP_UD, FORM_GE, 4, 0 }, { 8, "0fffc0", 3, OP_UD, FORM_GE, 4, 0 }, { 8, "d6", 0 }, { 4, "d6", 1, OP_SALC, FORM_NONE, 1, 0 },
    { 8, "f1", 1, OP_ICEBP, FORM_NONE, 4, 0 }, { 8, "27", 0 }, { 4, "27", 1, OP_DAA, FORM_NONE, 1, 0 }, { 4, "d40a", 2, OP_AAM, FORM_I, 1, 10 }, { 4, "6207", 2, OP_BOUND, FORM_GE, 4, 0 }, { 4, "62c0", 0 },
    { 8, "c8100003", 4, OP_ENTER, FORM_I, 8, 16 }, { 8, "c20800", 3, OP_RET, FORM_I, 8, 8 }, { 8, "f3c3", 2, OP_RET, FORM_NONE, 8, 0 },
    { 8, "0f1f840000000000", 8, OP_NOP, FORM_E, 4, 0 }, { 8, "66662e0f1f840000000000", 11, OP_NOP, FORM_E, 2, 0 }, { 8, "0f01d6", 0 },
    { 8, "f348a5", 3, OP_MOVS, FORM_STRING, 8, 0 }, { 8, "f26667ae", 4, OP_SCAS, FORM_STRING, 1, 0 }, { 8, "0f01f8", 3, OP_SWAPGS, FORM_NONE, 0, 0 }, { 4, "0f01f8", 0 },
    { 8, "0f22c0", 3, OP_MOV_TO_CR, FORM_SYS, 8, 0 }, { 8, "66480f38820f", 6, OP_INVPCID, FORM_GE, 8, 0 }, { 8, "8ec0", 2, OP_MOV_TO_SREG, FORM_SG, 4, 0 }, { 8, "8fc0", 2, OP_POP, FORM_E, 8, 0 }, { 8, "8fc8", 0 },
    { 8, "f6c801", 3, OP_TEST, FORM_EI, 1, 1 }, { 8, "48f7c8ffffff7f", 7, OP_TEST, FORM_EI, 8, 0x7fffffff }, { 8, "c1f003", 3, OP_SAL, FORM_EI, 4, 3 }, { 8, "d0f0", 2, OP_SAL, FORM_E1, 1, 0 },
    { 8, "0fa4c105", 4, OP_SHLD, FORM_EGI, 4, 5 }, { 8, "0f05", 2, OP_SYSCALL, FORM_NONE, 0, 0 }, { 8, "480f07", 3, OP_SYSRET, FORM_NONE, 8, 0 },
};

static size_t hex(const char *text, uint8_t *bytes)
{
    size_t count = 0;

    for (; text[0]; text += 2) {
        bytes[count++] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
    }
    return count;
}

static void test_table(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        uint8_t bytes[16];
        size_t count = hex(c->bytes, bytes);
        Insn insn;
        DecodeResult result = decode_bytes(&insn, bytes, count, mode_of(c->code_size));

        g_test_message("%s in %u-bit code", c->bytes, c->code_size * 8);
        if (!c->length) {
            g_assert_cmpint(result, ==, DECODE_INVALID);
            continue;
        }
        g_assert_cmpint(result, ==, DECODE_OK);
        g_assert_cmpuint(insn.length, ==, c->length);
        g_assert_cmpuint(insn.op, ==, c->op);
        g_assert_cmpuint(insn.form, ==, c->form);
        g_assert_cmpuint(insn.size, ==, c->size);
        g_assert_cmphex(insn.imm, ==, (uint64_t)c->imm);
    }
}

static void test_operands(void)
{
    Insn insn;
    uint8_t bytes[16];

    decode_bytes(&insn, bytes, hex("8a63f4", bytes), mode_of(8));          /* mov -12(%rbx), %ah */
    g_assert_true(insn.memory && insn.base == GPR_RBX && insn.index == INSN_NO_REG && insn.disp == -12);
    g_assert_true(insn.reg == GPR_RAX && insn.high == 1 && insn.segment == SEG_DS);
    decode_bytes(&insn, bytes, hex("408ae7", bytes), mode_of(8));          /* mov %dil, %spl */
    g_assert_true(!insn.memory && insn.rm == GPR_RDI && insn.reg == GPR_RSP && insn.high == 0);
    decode_bytes(&insn, bytes, hex("654b8b4c8510", bytes), mode_of(8));    /* mov %gs:16(%r13,%r8,4), %rcx */
    g_assert_true(insn.segment == SEG_GS && insn.base == 13 && insn.index == 8 && insn.scale == 2 && insn.disp == 16 && insn.reg == GPR_RCX);
    decode_bytes(&insn, bytes, hex("8b0424", bytes), mode_of(8));          /* mov (%rsp), %eax */
    g_assert_true(insn.base == GPR_RSP && insn.index == INSN_NO_REG && insn.segment == SEG_SS);
    decode_bytes(&insn, bytes, hex("8b0425785634f2", bytes), mode_of(8));  /* mov absolute, %eax: sign-extended */
    g_assert_true(insn.base == INSN_NO_REG && insn.index == INSN_NO_REG && insn.disp == (int32_t)0xf2345678);
    decode_bytes(&insn, bytes, hex("8b0510000000", bytes), mode_of(8));
    g_assert_cmpuint(insn.base, ==, INSN_RIP);
    decode_bytes(&insn, bytes, hex("8b0510000000", bytes), mode_of(4));
    g_assert_cmpuint(insn.base, ==, INSN_NO_REG);
    decode_bytes(&insn, bytes, hex("8b42fe", bytes), mode_of(2));          /* mov -2(%bp,%si), %ax */
    g_assert_true(insn.base == GPR_RBP && insn.index == GPR_RSI && insn.segment == SEG_SS && insn.disp == -2 && insn.address_size == 2);
    decode_bytes(&insn, bytes, hex("2e648b07", bytes), mode_of(8));        /* CS means nothing here, FS stays */
    g_assert_cmpuint(insn.segment, ==, SEG_FS);
    decode_bytes(&insn, bytes, hex("4866b80000", bytes), mode_of(8));      /* a REX that no opcode follows is void */
    g_assert_cmpuint(insn.size, ==, 2);
    decode_bytes(&insn, bytes, hex("0fb4460a", bytes), mode_of(4));
    g_assert_true(insn.op == OP_LOAD_FAR && insn.imm2 == SEG_FS && insn.reg == GPR_RAX);
    decode_bytes(&insn, bytes, hex("c4c27190542408", bytes), mode_of(8));  /* vpgatherdd with xmm4 for its index */
    g_assert_true(insn.op == OP_GATHER && insn.imm2 == 4 && insn.index == INSN_NO_REG && insn.base == 12 && insn.vvvv == 1 && insn.reg == 2 && insn.disp == 8);
    decode_bytes(&insn, bytes, hex("c8341205", bytes), mode_of(8));
    g_assert_true(insn.imm == 0x1234 && insn.imm2 == 5);
}

static void test_modes(void)
{
    DecodeMode real = { .code_size = 2 }, v8086 = { .code_size = 2, .protected_mode = true, .v8086 = true };
    uint8_t bytes[16];
    Insn insn;
    size_t count = hex("0f00c0", bytes);   /* sldt */

    g_assert_cmpint(decode_bytes(&insn, bytes, count, real), ==, DECODE_INVALID);
    g_assert_cmpint(decode_bytes(&insn, bytes, count, v8086), ==, DECODE_INVALID);
    g_assert_cmpint(decode_bytes(&insn, bytes, count, mode_of(2)), ==, DECODE_OK);
    count = hex("c5f458c2", bytes);        /* vaddps, too */
    g_assert_cmpint(decode_bytes(&insn, bytes, count, real), ==, DECODE_INVALID);
    g_assert_cmpint(decode_bytes(&insn, bytes, count, v8086), ==, DECODE_INVALID);
    g_assert_cmpint(decode_bytes(&insn, bytes, count, mode_of(4)), ==, DECODE_OK);
    count = hex("c4e278f2c1", bytes);      /* andn: VEX is for protected mode */
    g_assert_cmpint(decode_bytes(&insn, bytes, count, real), ==, DECODE_INVALID);
    g_assert_cmpint(decode_bytes(&insn, bytes, count, mode_of(2)), ==, DECODE_OK);
}

static void test_length_limit(void)
{
    uint8_t bytes[20];
    Insn insn;

    memset(bytes, 0x66, sizeof bytes);
    bytes[14] = 0x90;
    g_assert_cmpint(decode_bytes(&insn, bytes, 15, mode_of(8)), ==, DECODE_OK);
    g_assert_cmpuint(insn.length, ==, 15);
    bytes[14] = 0x66, bytes[15] = 0x90;
    g_assert_cmpint(decode_bytes(&insn, bytes, 16, mode_of(8)), ==, DECODE_TOO_LONG);
    g_assert_cmpint(decode_bytes(&insn, bytes, 14, mode_of(8)), ==, DECODE_SHORT);
    memset(bytes, 0x66, 14);
    bytes[13] = 0x81, bytes[14] = 0xc0;    /* add with an immediate that would be bytes 16 and 17 */
    g_assert_cmpint(decode_bytes(&insn, bytes, 20, mode_of(8)), ==, DECODE_TOO_LONG);
}

/* With every shorter piece of an instruction: "more bytes", never a decision of its own and never a read beyond. */
static void check_pieces(const uint8_t *bytes, DecodeMode mode)
{
    Insn insn, piece;
    DecodeResult result = decode_bytes(&insn, bytes, 15, mode);

    g_assert_true(result == DECODE_OK || result == DECODE_INVALID || result == DECODE_TOO_LONG);
    if (result != DECODE_OK) {
        return;
    }
    g_assert_true(insn.length >= 1 && insn.length <= 15 && insn.row < optab_count());
    for (unsigned count = 0; count < insn.length; count++) {
        g_assert_cmpint(decode_bytes(&piece, bytes, count, mode), ==, DECODE_SHORT);
    }
    g_assert_cmpint(decode_bytes(&piece, bytes, insn.length, mode), ==, DECODE_OK);
    g_assert_cmpmem(&piece, sizeof piece, &insn, sizeof insn);
}

static void test_every_opcode(void)
{
    static const char *const starts[] = { "", "66", "f3", "f2", "48", "0f", "660f", "f30f", "f20f", "480f", "0f38", "660f38", "f20f38", "0f3a", "660f3a", "c4e278", "c4e2fb", "c4e37b", "c5f9", "c5fe", "c4e26d", "c4e3f9", "f0", "67" };
    static const unsigned sizes[] = { 2, 4, 8 };

    for (unsigned s = 0; s < G_N_ELEMENTS(starts); s++) {
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            for (unsigned modrm = 0; modrm < 256; modrm++) {
                uint8_t bytes[32] = { 0 };
                size_t at = hex(starts[s], bytes);

                bytes[at] = (uint8_t)opcode;
                bytes[at + 1] = (uint8_t)modrm;
                bytes[at + 2] = (uint8_t)(modrm * 7 + opcode);
                check_pieces(bytes, mode_of(sizes[modrm % 3]));
            }
        }
    }
}

static void test_random(void)
{
    GRand *random = g_rand_new_with_seed(20);

    for (unsigned i = 0; i < 300000; i++) {
        uint8_t bytes[32];
        char text[80];
        Insn insn;

        for (unsigned b = 0; b < 15; b++) {
            bytes[b] = (uint8_t)g_rand_int(random);
        }
        check_pieces(bytes, mode_of(2u << i % 3));
        if (decode_bytes(&insn, bytes, 15, mode_of(8)) == DECODE_OK) {
            insn_print(&insn, i, text, sizeof text);
            g_assert_cmpuint(strlen(text), <, sizeof text);
        }
    }
    g_rand_free(random);
}

static void test_rows(void)
{
    unsigned reached = 0;

    for (unsigned map = 0; map < MAP_COUNT; map++) {
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            for (unsigned row = optab_first(map, (uint8_t)opcode); row != OPTAB_END; row = optab_next(row)) {
                g_assert_nonnull(optab_row(row)->name);
                g_assert_true(optab_row(row)->op < OP_COUNT);
                reached++;
            }
        }
    }
    g_assert_cmpuint(reached, ==, optab_count());          /* the index has room for all */
}

int main(int argc, char **argv)
{
    uint8_t *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    wall = pages + 4096;
    mprotect(wall, 4096, PROT_NONE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/decode/table", test_table);
    g_test_add_func("/decode/operands", test_operands);
    g_test_add_func("/decode/modes", test_modes);
    g_test_add_func("/decode/length-limit", test_length_limit);
    g_test_add_func("/decode/rows", test_rows);
    g_test_add_func("/decode/every-opcode", test_every_opcode);
    g_test_add_func("/decode/random", test_random);
    return g_test_run();
}
