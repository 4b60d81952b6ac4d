/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * optab-vex.c - the rows of AVX, AVX2, FMA, F16C, and of AES, PCLMULQDQ, VAES and VPCLMULQDQ with a VEX prefix
 *
 * Models   Intel SDM volume 2. One row for each value of VEX.L, so sizes are exact; scalars, which ignore L, have one
 * Omits    AVX-VNNI, GFNI, EVEX; the rows of BMI are in optab.c
 * Tests    tests/cpu/fuzz.c walks every row against the host
 */
#include "accel/x86/cpu-state.h"
#include "accel/x86/optab.h"

enum { N = MANDATORY_NONE, P66 = MANDATORY_66, PF3 = MANDATORY_F3, PF2 = MANDATORY_F2 };
enum {
    L0 = VEX_L_0, L1 = VEX_L_1, LIG = VEX_L_ANY, W0 = VEX_W_0, W1 = VEX_W_1, NDS = VVVV_READ, IS4 = VEX_IS4,
    REG128 = VEX_REG_128, RM128 = VEX_RM_128, FMA = VVVV_READ | VEX_READS_REG,
};

#define XX (VECTOR_REG(VECTOR_XMM) | VECTOR_RM(VECTOR_XMM))
#define XG (VECTOR_REG(VECTOR_XMM) | VECTOR_RM(VECTOR_GPR))
#define GX (VECTOR_REG(VECTOR_GPR) | VECTOR_RM(VECTOR_XMM))
#define MEM(n) VECTOR_MEMORY(n)
#define MEM_W VECTOR_MEMORY_W
#define W_REG VECTOR_WRITES_REG
#define W_RM VECTOR_WRITES_RM
#define IMM VECTOR_IMM8
#define MOVE VECTOR_MOVE
#define MEMORY VECTOR_MEMORY_ONLY
#define REGISTER VECTOR_REG_ONLY
#define ALIGNED VECTOR_ALIGNED
#define FP VECTOR_FP
#define FLAGS VECTOR_FLAGS
#define LOAD (XX | W_REG)                  /* reg written, rm read */
#define STORE (XX | W_RM)

#define ROW(op_, prefix_, map_, opcode_, name_, feature_, word_, vex_, ...)                                        \
    { .name = "v" name_, .op = op_, .form = FORM_VEC, .map = MAP_VEX_0F - 1 + (map_), .opcode = opcode_, .prefix = prefix_, \
      .feature = FEATURE_##feature_, .vector = (word_), .vex = (vex_), .flags = (vex_) & VVVV_RULE ? 0 : ROW_NO_VVVV, \
      .flags_written = (word_) & VECTOR_FLAGS ? FLAG_ARITHMETIC : 0, ##__VA_ARGS__ }
#define V(prefix_, map_, opcode_, name_, feature_, word_, vex_) ROW(OP_VECTOR_VEX, prefix_, map_, opcode_, name_, feature_, word_, vex_)
/* 128 and 256 bits, with a memory operand as wide as the registers. */
#define BOTH(prefix_, map_, opcode_, name_, feature_, feature_256_, word_, vex_)                                   \
    V(prefix_, map_, opcode_, name_, feature_, (word_) | MEM(16), (vex_) | L0),                                     \
    V(prefix_, map_, opcode_, name_, feature_256_, (word_) | MEM(32), (vex_) | L1)
/* Integers of AVX and AVX2: three operands; two. */
#define INT(map_, opcode_, name_) BOTH(P66, map_, opcode_, name_, AVX, AVX2, LOAD, NDS)
#define INT2(prefix_, map_, opcode_, name_, word_) BOTH(prefix_, map_, opcode_, name_, AVX, AVX2, LOAD | (word_), 0)
/* The count of a shift is a whole XMM register or m128 whatever L says. */
#define SHIFT(opcode_, name_)                                                                                      \
    V(P66, 1, opcode_, name_, AVX, LOAD | MEM(16), NDS | L0), V(P66, 1, opcode_, name_, AVX2, LOAD | MEM(16), NDS | RM128 | L1)
#define COUNTED(opcode_, extension_, name_, feature_, l_)                                                          \
    ROW(OP_VECTOR_VEX, P66, 1, opcode_, name_, feature_, VECTOR_RM(VECTOR_XMM) | IMM | REGISTER, VVVV_WRITTEN | (l_), .extension = EXT(extension_))
#define SHIFT_IMM(opcode_, extension_, name_) COUNTED(opcode_, extension_, name_, AVX, L0), COUNTED(opcode_, extension_, name_, AVX2, L1)
/* Floating point of AVX: ps and pd; ss and sd. word_ is what else the operation has. */
#define PACKED_WITH(opcode_, name_, word_, vex_)                                                                   \
    BOTH(N, 1, opcode_, name_ "ps", AVX, AVX, LOAD | (word_), vex_), BOTH(P66, 1, opcode_, name_ "pd", AVX, AVX, LOAD | (word_), vex_)
#define SCALARS(opcode_, name_, word_)                                                                             \
    V(PF3, 1, opcode_, name_ "ss", AVX, LOAD | FP | (word_) | MEM(4), NDS | LIG), V(PF2, 1, opcode_, name_ "sd", AVX, LOAD | FP | (word_) | MEM(8), NDS | LIG)
#define FOUR(opcode_, name_) PACKED_WITH(opcode_, name_, FP, NDS), SCALARS(opcode_, name_, 0)
/* FMA: W chooses single or double. */
#define FMA_PACKED(opcode_, name_)                                                                                 \
    BOTH(P66, 2, opcode_, name_ "ps", FMA, FMA, LOAD | FP, FMA | W0), BOTH(P66, 2, opcode_, name_ "pd", FMA, FMA, LOAD | FP, FMA | W1)
#define FMA_SCALAR(opcode_, name_)                                                                                 \
    V(P66, 2, opcode_, name_ "ss", FMA, LOAD | FP | MEM(4), FMA | LIG | W0), V(P66, 2, opcode_, name_ "sd", FMA, LOAD | FP | MEM(8), FMA | LIG | W1)
#define FMA_ALL(base_, order_)                                                                                     \
    FMA_PACKED((base_) + 6, "fmaddsub" order_), FMA_PACKED((base_) + 7, "fmsubadd" order_),                         \
    FMA_PACKED((base_) + 8, "fmadd" order_), FMA_SCALAR((base_) + 9, "fmadd" order_),                               \
    FMA_PACKED((base_) + 10, "fmsub" order_), FMA_SCALAR((base_) + 11, "fmsub" order_),                             \
    FMA_PACKED((base_) + 12, "fnmadd" order_), FMA_SCALAR((base_) + 13, "fnmadd" order_),                           \
    FMA_PACKED((base_) + 14, "fnmsub" order_), FMA_SCALAR((base_) + 15, "fnmsub" order_)
/* Widening: small_ bytes become 16, twice as many become 32. */
#define WIDEN(prefix_, map_, opcode_, name_, feature_, feature_256_, small_, word_, vex_)                          \
    V(prefix_, map_, opcode_, name_, feature_, LOAD | MEM(small_) | (word_), (vex_) | L0),                          \
    V(prefix_, map_, opcode_, name_, feature_256_, LOAD | MEM(2 * (small_)) | (word_), (vex_) | RM128 | L1)
#define EXTEND(opcode_, name_, small_) WIDEN(P66, 2, opcode_, name_, AVX, AVX2, small_, 0, 0)
/* One element into all. */
#define SPREAD(opcode_, name_, size_)                                                                              \
    V(P66, 2, opcode_, name_, AVX2, LOAD | MEM(size_), W0 | L0), V(P66, 2, opcode_, name_, AVX2, LOAD | MEM(size_), RM128 | W0 | L1)
/* .constant: bytes of an element. */
#define MASKED(opcode_, name_, feature_, word_, size_, vex_)                                                       \
    ROW(OP_VMASKMOV, P66, 2, opcode_, name_, feature_, (word_) | MEMORY | MEM(16), NDS | (vex_) | L0, .constant = size_), \
    ROW(OP_VMASKMOV, P66, 2, opcode_, name_, feature_, (word_) | MEMORY | MEM(32), NDS | (vex_) | L1, .constant = size_)
/* MEM: bytes of all elements together. The mask is vvvv; both it and reg are as wide as the elements together, at least 16. */
#define GATHER(opcode_, name_, bytes_, vex_)                                                                       \
    ROW(OP_GATHER, P66, 2, opcode_, name_, AVX2, LOAD | MEMORY | MEM(bytes_), VVVV_MODIFIED | VEX_READS_REG | VEX_VSIB | (vex_))
#define STATE(prefix_, opcode_, extension_, mod_, name_, op_, feature_, form_, vex_)                               \
    { .name = "v" name_, .op = op_, .form = form_, .map = MAP_VEX_0F, .opcode = opcode_, .prefix = prefix_, .extension = extension_, .mod = mod_, \
      .feature = FEATURE_##feature_, .flags = ROW_NO_VVVV, .vex = vex_ }

const OptabRow optab_vex[] = {
    /* moves */
#define LOADED(prefix_, opcode_, name_, word_) BOTH(prefix_, 1, opcode_, name_, AVX, AVX, LOAD | MOVE | (word_), 0)
#define STORED(prefix_, opcode_, name_, word_) BOTH(prefix_, 1, opcode_, name_, AVX, AVX, STORE | MOVE | (word_), 0)
    LOADED(N, 0x10, "movups", 0), STORED(N, 0x11, "movups", 0), LOADED(P66, 0x10, "movupd", 0), STORED(P66, 0x11, "movupd", 0),
    LOADED(N, 0x28, "movaps", ALIGNED), STORED(N, 0x29, "movaps", ALIGNED), LOADED(P66, 0x28, "movapd", ALIGNED), STORED(P66, 0x29, "movapd", ALIGNED),
    LOADED(P66, 0x6f, "movdqa", ALIGNED), STORED(P66, 0x7f, "movdqa", ALIGNED), LOADED(PF3, 0x6f, "movdqu", 0), STORED(PF3, 0x7f, "movdqu", 0),
    LOADED(PF2, 0xf0, "lddqu", MEMORY), STORED(N, 0x2b, "movntps", ALIGNED | MEMORY), STORED(P66, 0x2b, "movntpd", ALIGNED | MEMORY),
    STORED(P66, 0xe7, "movntdq", ALIGNED | MEMORY), BOTH(P66, 2, 0x2a, "movntdqa", AVX, AVX2, LOAD | MOVE | ALIGNED | MEMORY, 0),
#undef LOADED
#undef STORED
    V(PF3, 1, 0x10, "movss", AVX, LOAD | MEM(4) | MOVE | MEMORY, LIG), V(PF3, 1, 0x11, "movss", AVX, STORE | MEM(4) | MOVE | MEMORY, LIG),
    V(PF2, 1, 0x10, "movsd", AVX, LOAD | MEM(8) | MOVE | MEMORY, LIG), V(PF2, 1, 0x11, "movsd", AVX, STORE | MEM(8) | MOVE | MEMORY, LIG),
    V(PF3, 1, 0x10, "movss", AVX, LOAD | REGISTER, NDS | LIG), V(PF3, 1, 0x11, "movss", AVX, STORE | REGISTER, NDS | LIG),
    V(PF2, 1, 0x10, "movsd", AVX, LOAD | REGISTER, NDS | LIG), V(PF2, 1, 0x11, "movsd", AVX, STORE | REGISTER, NDS | LIG),
    V(N, 1, 0x12, "movlps", AVX, LOAD | MEM(8), NDS | L0), V(N, 1, 0x13, "movlps", AVX, STORE | MEM(8) | MOVE | MEMORY, L0),       /* register form: vmovhlps */
    V(P66, 1, 0x12, "movlpd", AVX, LOAD | MEM(8) | MEMORY, NDS | L0), V(P66, 1, 0x13, "movlpd", AVX, STORE | MEM(8) | MOVE | MEMORY, L0),
    V(N, 1, 0x16, "movhps", AVX, LOAD | MEM(8), NDS | L0), V(N, 1, 0x17, "movhps", AVX, STORE | MEM(8) | MEMORY, L0),              /* vmovlhps */
    V(P66, 1, 0x16, "movhpd", AVX, LOAD | MEM(8) | MEMORY, NDS | L0), V(P66, 1, 0x17, "movhpd", AVX, STORE | MEM(8) | MEMORY, L0),
    BOTH(PF3, 1, 0x12, "movsldup", AVX, AVX, LOAD, 0), BOTH(PF3, 1, 0x16, "movshdup", AVX, AVX, LOAD, 0),
    V(PF2, 1, 0x12, "movddup", AVX, LOAD | MEM(8), L0), V(PF2, 1, 0x12, "movddup", AVX, LOAD | MEM(32), L1),
    BOTH(N, 1, 0x50, "movmskps", AVX, AVX, GX | W_REG | REGISTER, 0), BOTH(P66, 1, 0x50, "movmskpd", AVX, AVX, GX | W_REG | REGISTER, 0),
    BOTH(P66, 1, 0xd7, "pmovmskb", AVX, AVX2, GX | W_REG | REGISTER, 0),
    V(P66, 1, 0x6e, "movd", AVX, XG | MEM_W | W_REG | MOVE, L0), V(P66, 1, 0x7e, "movd", AVX, XG | MEM_W | W_RM | MOVE, L0),
    V(PF3, 1, 0x7e, "movq", AVX, LOAD | MEM(8) | MOVE, L0), V(P66, 1, 0xd6, "movq", AVX, STORE | MEM(8) | MOVE, L0),
    MASKED(0x2c, "maskmovps", AVX, LOAD, 4, W0), MASKED(0x2d, "maskmovpd", AVX, LOAD, 8, W0),
    MASKED(0x2e, "maskmovps", AVX, STORE, 4, W0), MASKED(0x2f, "maskmovpd", AVX, STORE, 8, W0),
    MASKED(0x8c, "pmaskmovd", AVX2, LOAD, 4, W0), MASKED(0x8c, "pmaskmovq", AVX2, LOAD, 8, W1),
    MASKED(0x8e, "pmaskmovd", AVX2, STORE, 4, W0), MASKED(0x8e, "pmaskmovq", AVX2, STORE, 8, W1),
    GATHER(0x90, "pgatherdd", 16, L0 | W0), GATHER(0x90, "pgatherdd", 32, VEX_INDEX_256 | L1 | W0), GATHER(0x90, "pgatherdq", 16, L0 | W1),
    GATHER(0x90, "pgatherdq", 32, L1 | W1), GATHER(0x91, "pgatherqd", 8, L0 | W0), GATHER(0x91, "pgatherqd", 16, VEX_INDEX_256 | REG128 | L1 | W0),
    GATHER(0x91, "pgatherqq", 16, L0 | W1), GATHER(0x91, "pgatherqq", 32, VEX_INDEX_256 | L1 | W1),
    GATHER(0x92, "gatherdps", 16, L0 | W0), GATHER(0x92, "gatherdps", 32, VEX_INDEX_256 | L1 | W0), GATHER(0x92, "gatherdpd", 16, L0 | W1),
    GATHER(0x92, "gatherdpd", 32, L1 | W1), GATHER(0x93, "gatherqps", 8, L0 | W0), GATHER(0x93, "gatherqps", 16, VEX_INDEX_256 | REG128 | L1 | W0),
    GATHER(0x93, "gatherqpd", 16, L0 | W1), GATHER(0x93, "gatherqpd", 32, VEX_INDEX_256 | L1 | W1),

    /* floating point */
    PACKED_WITH(0x51, "sqrt", FP, 0), SCALARS(0x51, "sqrt", 0), FOUR(0x58, "add"), FOUR(0x59, "mul"), FOUR(0x5c, "sub"), FOUR(0x5d, "min"),
    FOUR(0x5e, "div"), FOUR(0x5f, "max"),
    BOTH(N, 1, 0x52, "rsqrtps", AVX, AVX, LOAD | FP, 0), V(PF3, 1, 0x52, "rsqrtss", AVX, LOAD | FP | MEM(4), NDS | LIG),
    BOTH(N, 1, 0x53, "rcpps", AVX, AVX, LOAD | FP, 0), V(PF3, 1, 0x53, "rcpss", AVX, LOAD | FP | MEM(4), NDS | LIG),
    PACKED_WITH(0x14, "unpckl", 0, NDS), PACKED_WITH(0x15, "unpckh", 0, NDS), PACKED_WITH(0x54, "and", 0, NDS), PACKED_WITH(0x55, "andn", 0, NDS),
    PACKED_WITH(0x56, "or", 0, NDS), PACKED_WITH(0x57, "xor", VECTOR_CLEARS, NDS), PACKED_WITH(0xc2, "cmp", FP | IMM, NDS),
    SCALARS(0xc2, "cmp", IMM), PACKED_WITH(0xc6, "shuf", IMM, NDS),
    V(PF3, 1, 0x2a, "cvtsi2ss", AVX, XG | MEM_W | W_REG | FP, NDS | LIG), V(PF2, 1, 0x2a, "cvtsi2sd", AVX, XG | MEM_W | W_REG | FP, NDS | LIG),
    V(PF3, 1, 0x2c, "cvttss2si", AVX, GX | MEM(4) | W_REG | FP, LIG), V(PF2, 1, 0x2c, "cvttsd2si", AVX, GX | MEM(8) | W_REG | FP, LIG),
    V(PF3, 1, 0x2d, "cvtss2si", AVX, GX | MEM(4) | W_REG | FP, LIG), V(PF2, 1, 0x2d, "cvtsd2si", AVX, GX | MEM(8) | W_REG | FP, LIG),
    V(N, 1, 0x2e, "ucomiss", AVX, XX | MEM(4) | FLAGS | FP, LIG), V(P66, 1, 0x2e, "ucomisd", AVX, XX | MEM(8) | FLAGS | FP, LIG),
    V(N, 1, 0x2f, "comiss", AVX, XX | MEM(4) | FLAGS | FP, LIG), V(P66, 1, 0x2f, "comisd", AVX, XX | MEM(8) | FLAGS | FP, LIG),
    WIDEN(N, 1, 0x5a, "cvtps2pd", AVX, AVX, 8, FP, 0), BOTH(P66, 1, 0x5a, "cvtpd2ps", AVX, AVX, LOAD | FP, REG128),
    V(PF3, 1, 0x5a, "cvtss2sd", AVX, LOAD | FP | MEM(4), NDS | LIG), V(PF2, 1, 0x5a, "cvtsd2ss", AVX, LOAD | FP | MEM(8), NDS | LIG),
    BOTH(N, 1, 0x5b, "cvtdq2ps", AVX, AVX, LOAD | FP, 0), BOTH(P66, 1, 0x5b, "cvtps2dq", AVX, AVX, LOAD | FP, 0),
    BOTH(PF3, 1, 0x5b, "cvttps2dq", AVX, AVX, LOAD | FP, 0), BOTH(P66, 1, 0xe6, "cvttpd2dq", AVX, AVX, LOAD | FP, REG128),
    BOTH(PF2, 1, 0xe6, "cvtpd2dq", AVX, AVX, LOAD | FP, REG128), WIDEN(PF3, 1, 0xe6, "cvtdq2pd", AVX, AVX, 8, FP, 0),
    WIDEN(P66, 2, 0x13, "cvtph2ps", F16C, F16C, 8, FP, W0),
    V(P66, 3, 0x1d, "cvtps2ph", F16C, STORE | FP | IMM | MEM(8), W0 | L0), V(P66, 3, 0x1d, "cvtps2ph", F16C, STORE | FP | IMM | MEM(16), RM128 | W0 | L1),
    BOTH(P66, 1, 0x7c, "haddpd", AVX, AVX, LOAD | FP, NDS), BOTH(PF2, 1, 0x7c, "haddps", AVX, AVX, LOAD | FP, NDS),
    BOTH(P66, 1, 0x7d, "hsubpd", AVX, AVX, LOAD | FP, NDS), BOTH(PF2, 1, 0x7d, "hsubps", AVX, AVX, LOAD | FP, NDS),
    BOTH(P66, 1, 0xd0, "addsubpd", AVX, AVX, LOAD | FP, NDS), BOTH(PF2, 1, 0xd0, "addsubps", AVX, AVX, LOAD | FP, NDS),
    BOTH(P66, 3, 0x08, "roundps", AVX, AVX, LOAD | FP | IMM, 0), BOTH(P66, 3, 0x09, "roundpd", AVX, AVX, LOAD | FP | IMM, 0),
    V(P66, 3, 0x0a, "roundss", AVX, LOAD | FP | IMM | MEM(4), NDS | LIG), V(P66, 3, 0x0b, "roundsd", AVX, LOAD | FP | IMM | MEM(8), NDS | LIG),
    BOTH(P66, 3, 0x40, "dpps", AVX, AVX, LOAD | FP | IMM, NDS), V(P66, 3, 0x41, "dppd", AVX, LOAD | FP | IMM | MEM(16), NDS | L0),
    BOTH(P66, 2, 0x0e, "testps", AVX, AVX, XX | FLAGS, W0), BOTH(P66, 2, 0x0f, "testpd", AVX, AVX, XX | FLAGS, W0),
    FMA_ALL(0x90, "132"), FMA_ALL(0xa0, "213"), FMA_ALL(0xb0, "231"),

    /* permutations, broadcasts, halves, blends */
    BOTH(P66, 2, 0x0c, "permilps", AVX, AVX, LOAD, NDS | W0), BOTH(P66, 2, 0x0d, "permilpd", AVX, AVX, LOAD, NDS | W0),
    BOTH(P66, 3, 0x04, "permilps", AVX, AVX, LOAD | IMM, W0), BOTH(P66, 3, 0x05, "permilpd", AVX, AVX, LOAD | IMM, W0),
    V(P66, 2, 0x16, "permps", AVX2, LOAD | MEM(32), NDS | W0 | L1), V(P66, 2, 0x36, "permd", AVX2, LOAD | MEM(32), NDS | W0 | L1),
    V(P66, 3, 0x00, "permq", AVX2, LOAD | IMM | MEM(32), W1 | L1), V(P66, 3, 0x01, "permpd", AVX2, LOAD | IMM | MEM(32), W1 | L1),
    V(P66, 3, 0x06, "perm2f128", AVX, LOAD | IMM | MEM(32), NDS | W0 | L1), V(P66, 3, 0x46, "perm2i128", AVX2, LOAD | IMM | MEM(32), NDS | W0 | L1),
    V(P66, 2, 0x18, "broadcastss", AVX, LOAD | MEM(4) | MEMORY, W0 | L0), V(P66, 2, 0x18, "broadcastss", AVX, LOAD | MEM(4) | MEMORY, W0 | L1),
    V(P66, 2, 0x18, "broadcastss", AVX2, LOAD | REGISTER, W0 | L0), V(P66, 2, 0x18, "broadcastss", AVX2, LOAD | REGISTER, RM128 | W0 | L1),
    V(P66, 2, 0x19, "broadcastsd", AVX, LOAD | MEM(8) | MEMORY, W0 | L1), V(P66, 2, 0x19, "broadcastsd", AVX2, LOAD | REGISTER, RM128 | W0 | L1),
    V(P66, 2, 0x1a, "broadcastf128", AVX, LOAD | MEM(16) | MEMORY, W0 | L1), V(P66, 2, 0x5a, "broadcasti128", AVX2, LOAD | MEM(16) | MEMORY, W0 | L1),
    SPREAD(0x78, "pbroadcastb", 1), SPREAD(0x79, "pbroadcastw", 2), SPREAD(0x58, "pbroadcastd", 4), SPREAD(0x59, "pbroadcastq", 8),
    V(P66, 3, 0x18, "insertf128", AVX, LOAD | IMM | MEM(16), NDS | RM128 | W0 | L1), V(P66, 3, 0x38, "inserti128", AVX2, LOAD | IMM | MEM(16), NDS | RM128 | W0 | L1),
    V(P66, 3, 0x19, "extractf128", AVX, STORE | IMM | MEM(16), RM128 | W0 | L1), V(P66, 3, 0x39, "extracti128", AVX2, STORE | IMM | MEM(16), RM128 | W0 | L1),
    BOTH(P66, 3, 0x0c, "blendps", AVX, AVX, LOAD | IMM, NDS), BOTH(P66, 3, 0x0d, "blendpd", AVX, AVX, LOAD | IMM, NDS),
    BOTH(P66, 3, 0x0e, "pblendw", AVX, AVX2, LOAD | IMM, NDS), BOTH(P66, 3, 0x02, "pblendd", AVX2, AVX2, LOAD | IMM, NDS | W0),
    BOTH(P66, 3, 0x4a, "blendvps", AVX, AVX, LOAD | IMM, NDS | IS4 | W0), BOTH(P66, 3, 0x4b, "blendvpd", AVX, AVX, LOAD | IMM, NDS | IS4 | W0),
    BOTH(P66, 3, 0x4c, "pblendvb", AVX, AVX2, LOAD | IMM, NDS | IS4 | W0),
    V(P66, 1, 0xc4, "pinsrw", AVX, XG | MEM(2) | W_REG | IMM, NDS | L0), V(P66, 1, 0xc5, "pextrw", AVX, GX | W_REG | IMM | REGISTER, L0),
    V(P66, 3, 0x14, "pextrb", AVX, XG | MEM(1) | W_RM | IMM, L0), V(P66, 3, 0x15, "pextrw", AVX, XG | MEM(2) | W_RM | IMM, L0),
    V(P66, 3, 0x16, "pextrd", AVX, XG | MEM_W | W_RM | IMM, L0), V(P66, 3, 0x17, "extractps", AVX, XG | MEM(4) | W_RM | IMM, L0),
    V(P66, 3, 0x20, "pinsrb", AVX, XG | MEM(1) | W_REG | IMM, NDS | L0), V(P66, 3, 0x21, "insertps", AVX, LOAD | MEM(4) | IMM, NDS | L0),
    V(P66, 3, 0x22, "pinsrd", AVX, XG | MEM_W | W_REG | IMM, NDS | L0),

    /* integers */
    INT(1, 0x60, "punpcklbw"), INT(1, 0x61, "punpcklwd"), INT(1, 0x62, "punpckldq"), INT(1, 0x63, "packsswb"), INT(1, 0x64, "pcmpgtb"),
    INT(1, 0x65, "pcmpgtw"), INT(1, 0x66, "pcmpgtd"), INT(1, 0x67, "packuswb"), INT(1, 0x68, "punpckhbw"), INT(1, 0x69, "punpckhwd"),
    INT(1, 0x6a, "punpckhdq"), INT(1, 0x6b, "packssdw"), INT(1, 0x6c, "punpcklqdq"), INT(1, 0x6d, "punpckhqdq"),
    INT2(P66, 1, 0x70, "pshufd", IMM), INT2(PF3, 1, 0x70, "pshufhw", IMM), INT2(PF2, 1, 0x70, "pshuflw", IMM),
    SHIFT_IMM(0x71, 2, "psrlw"), SHIFT_IMM(0x71, 4, "psraw"), SHIFT_IMM(0x71, 6, "psllw"), SHIFT_IMM(0x72, 2, "psrld"), SHIFT_IMM(0x72, 4, "psrad"),
    SHIFT_IMM(0x72, 6, "pslld"), SHIFT_IMM(0x73, 2, "psrlq"), SHIFT_IMM(0x73, 6, "psllq"), SHIFT_IMM(0x73, 3, "psrldq"), SHIFT_IMM(0x73, 7, "pslldq"),
    INT(1, 0x74, "pcmpeqb"), INT(1, 0x75, "pcmpeqw"), INT(1, 0x76, "pcmpeqd"),
    SHIFT(0xd1, "psrlw"), SHIFT(0xd2, "psrld"), SHIFT(0xd3, "psrlq"), SHIFT(0xe1, "psraw"), SHIFT(0xe2, "psrad"),
    SHIFT(0xf1, "psllw"), SHIFT(0xf2, "pslld"), SHIFT(0xf3, "psllq"),
    INT(1, 0xd4, "paddq"), INT(1, 0xd5, "pmullw"), INT(1, 0xd8, "psubusb"), INT(1, 0xd9, "psubusw"), INT(1, 0xda, "pminub"), INT(1, 0xdb, "pand"),
    INT(1, 0xdc, "paddusb"), INT(1, 0xdd, "paddusw"), INT(1, 0xde, "pmaxub"), INT(1, 0xdf, "pandn"), INT(1, 0xe0, "pavgb"), INT(1, 0xe3, "pavgw"),
    INT(1, 0xe4, "pmulhuw"), INT(1, 0xe5, "pmulhw"), INT(1, 0xe8, "psubsb"), INT(1, 0xe9, "psubsw"), INT(1, 0xea, "pminsw"), INT(1, 0xeb, "por"),
    INT(1, 0xec, "paddsb"), INT(1, 0xed, "paddsw"), INT(1, 0xee, "pmaxsw"), BOTH(P66, 1, 0xef, "pxor", AVX, AVX2, LOAD | VECTOR_CLEARS, NDS),
    INT(1, 0xf4, "pmuludq"), INT(1, 0xf5, "pmaddwd"), INT(1, 0xf6, "psadbw"), INT(1, 0xf8, "psubb"), INT(1, 0xf9, "psubw"), INT(1, 0xfa, "psubd"),
    INT(1, 0xfb, "psubq"), INT(1, 0xfc, "paddb"), INT(1, 0xfd, "paddw"), INT(1, 0xfe, "paddd"),
    INT(2, 0x00, "pshufb"), INT(2, 0x01, "phaddw"), INT(2, 0x02, "phaddd"), INT(2, 0x03, "phaddsw"), INT(2, 0x04, "pmaddubsw"), INT(2, 0x05, "phsubw"),
    INT(2, 0x06, "phsubd"), INT(2, 0x07, "phsubsw"), INT(2, 0x08, "psignb"), INT(2, 0x09, "psignw"), INT(2, 0x0a, "psignd"), INT(2, 0x0b, "pmulhrsw"),
    INT2(P66, 2, 0x1c, "pabsb", 0), INT2(P66, 2, 0x1d, "pabsw", 0), INT2(P66, 2, 0x1e, "pabsd", 0), BOTH(P66, 3, 0x0f, "palignr", AVX, AVX2, LOAD | IMM, NDS),
    BOTH(P66, 2, 0x17, "ptest", AVX, AVX, XX | FLAGS, 0),
    EXTEND(0x20, "pmovsxbw", 8), EXTEND(0x21, "pmovsxbd", 4), EXTEND(0x22, "pmovsxbq", 2), EXTEND(0x23, "pmovsxwd", 8), EXTEND(0x24, "pmovsxwq", 4),
    EXTEND(0x25, "pmovsxdq", 8), EXTEND(0x30, "pmovzxbw", 8), EXTEND(0x31, "pmovzxbd", 4), EXTEND(0x32, "pmovzxbq", 2), EXTEND(0x33, "pmovzxwd", 8),
    EXTEND(0x34, "pmovzxwq", 4), EXTEND(0x35, "pmovzxdq", 8),
    INT(2, 0x28, "pmuldq"), INT(2, 0x29, "pcmpeqq"), INT(2, 0x2b, "packusdw"), INT(2, 0x37, "pcmpgtq"), INT(2, 0x38, "pminsb"), INT(2, 0x39, "pminsd"),
    INT(2, 0x3a, "pminuw"), INT(2, 0x3b, "pminud"), INT(2, 0x3c, "pmaxsb"), INT(2, 0x3d, "pmaxsd"), INT(2, 0x3e, "pmaxuw"), INT(2, 0x3f, "pmaxud"),
    INT(2, 0x40, "pmulld"), V(P66, 2, 0x41, "phminposuw", AVX, LOAD | MEM(16), L0), BOTH(P66, 3, 0x42, "mpsadbw", AVX, AVX2, LOAD | IMM, NDS),
    BOTH(P66, 2, 0x45, "psrlvd", AVX2, AVX2, LOAD, NDS | W0), BOTH(P66, 2, 0x45, "psrlvq", AVX2, AVX2, LOAD, NDS | W1),
    BOTH(P66, 2, 0x46, "psravd", AVX2, AVX2, LOAD, NDS | W0),
    BOTH(P66, 2, 0x47, "psllvd", AVX2, AVX2, LOAD, NDS | W0), BOTH(P66, 2, 0x47, "psllvq", AVX2, AVX2, LOAD, NDS | W1),
    V(P66, 3, 0x60, "pcmpestrm", AVX, XX | MEM(16) | IMM | FLAGS | VECTOR_COMPARES, L0), V(P66, 3, 0x61, "pcmpestri", AVX, XX | MEM(16) | IMM | FLAGS | VECTOR_COMPARES, L0),
    V(P66, 3, 0x62, "pcmpistrm", AVX, XX | MEM(16) | IMM | FLAGS | VECTOR_COMPARES, L0), V(P66, 3, 0x63, "pcmpistri", AVX, XX | MEM(16) | IMM | FLAGS | VECTOR_COMPARES, L0),

    /* AES, PCLMULQDQ: the feature beside AVX, which XCR0 stands for */
    V(P66, 2, 0xdb, "aesimc", AES, LOAD | MEM(16), L0), V(P66, 3, 0xdf, "aeskeygenassist", AES, LOAD | IMM | MEM(16), L0),
    BOTH(P66, 2, 0xdc, "aesenc", AES, VAES, LOAD, NDS), BOTH(P66, 2, 0xdd, "aesenclast", AES, VAES, LOAD, NDS),
    BOTH(P66, 2, 0xde, "aesdec", AES, VAES, LOAD, NDS), BOTH(P66, 2, 0xdf, "aesdeclast", AES, VAES, LOAD, NDS),
    BOTH(P66, 3, 0x44, "pclmulqdq", PCLMULQDQ, VPCLMULQDQ, LOAD | IMM, NDS),

    /* state */
    STATE(N, 0x77, 0, MOD_ANY, "zeroupper", OP_VZERO, AVX, FORM_NONE, L0), STATE(N, 0x77, 0, MOD_ANY, "zeroall", OP_VZERO, AVX, FORM_NONE, L1),
    STATE(N, 0xae, EXT(2), MOD_MEMORY, "ldmxcsr", OP_LDMXCSR, AVX, FORM_M, L0), STATE(N, 0xae, EXT(3), MOD_MEMORY, "stmxcsr", OP_STMXCSR, AVX, FORM_M, L0),
    STATE(P66, 0xf7, 0, MOD_REGISTER, "maskmovdqu", OP_MASKMOV, AVX, FORM_VEC, L0),
};

const unsigned optab_vex_count = sizeof optab_vex / sizeof optab_vex[0];
