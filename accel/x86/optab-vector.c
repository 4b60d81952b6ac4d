/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * optab-vector.c - the rows of x87, MMX and SSE to SSE4.2, AES, PCLMULQDQ, SHA, and of the state instructions beside them
 *
 * Models   AMD64 APM volumes 4 and 5 (26568, 26569), Intel SDM volume 2; the x87 aliases are those that processors run
 * Omits    3DNow!, SSE4A; VEX forms: optab-vex.c
 * Tests    tests/cpu/fuzz.c walks every row against the host
 */
#include "accel/x86/cpu-state.h"
#include "accel/x86/optab.h"

enum { N = MANDATORY_NONE, P66 = MANDATORY_66, PF3 = MANDATORY_F3, PF2 = MANDATORY_F2 };

#define XMM_XMM (VECTOR_REG(VECTOR_XMM) | VECTOR_RM(VECTOR_XMM))
#define MMX_MMX (VECTOR_REG(VECTOR_MMX) | VECTOR_RM(VECTOR_MMX))
#define XMM_MMX (VECTOR_REG(VECTOR_XMM) | VECTOR_RM(VECTOR_MMX))
#define MMX_XMM (VECTOR_REG(VECTOR_MMX) | VECTOR_RM(VECTOR_XMM))
#define XMM_GPR (VECTOR_REG(VECTOR_XMM) | VECTOR_RM(VECTOR_GPR))
#define MMX_GPR (VECTOR_REG(VECTOR_MMX) | VECTOR_RM(VECTOR_GPR))
#define GPR_XMM (VECTOR_REG(VECTOR_GPR) | VECTOR_RM(VECTOR_XMM))
#define GPR_MMX (VECTOR_REG(VECTOR_GPR) | VECTOR_RM(VECTOR_MMX))
#define MEM(n) VECTOR_MEMORY(n)
#define W_REG VECTOR_WRITES_REG
#define W_RM VECTOR_WRITES_RM

#define PACKED  (XMM_XMM | MEM(16) | VECTOR_ALIGNED | W_REG)          /* xmm, xmm/m128 */
#define FPACKED (PACKED | VECTOR_FP)
#define SCALAR(n) (XMM_XMM | MEM(n) | W_REG)                          /* xmm, xmm/m32 or m64: no alignment */
#define FSCALAR(n) (SCALAR(n) | VECTOR_FP)
#define STORED(n) (XMM_XMM | MEM(n) | W_RM)
#define MMX8    (MMX_MMX | MEM(8) | W_REG)
#define MMX4    (MMX_MMX | MEM(4) | W_REG)
#define IMM     VECTOR_IMM8
#define MOVE    VECTOR_MOVE
#define MEMORY  VECTOR_MEMORY_ONLY
#define REGISTER VECTOR_REG_ONLY
#define MEM_W   VECTOR_MEMORY_W

#define V(prefix_, map_, opcode_, name_, feature_, word_)                                                          \
    { .name = name_, .op = OP_VECTOR, .form = FORM_VEC, .map = map_, .opcode = opcode_, .prefix = prefix_, \
      .feature = FEATURE_##feature_, .vector = (word_), \
      .flags_written = (word_) & VECTOR_FLAGS ? FLAG_ARITHMETIC : 0 }
/* The MMX form and the SSE2 form of one operation. */
#define TWIN(opcode_, name_, mmx_, sse_) V(N, 1, opcode_, name_, mmx_, MMX8), V(P66, 1, opcode_, name_, sse_, PACKED)
#define TWIN38(opcode_, name_) V(N, 2, opcode_, name_, SSSE3, MMX8), V(P66, 2, opcode_, name_, SSSE3, PACKED)
/* ps, pd, ss, sd. */
#define FOUR(opcode_, name_)                                                                                       \
    V(N, 1, opcode_, name_ "ps", SSE, FPACKED), V(P66, 1, opcode_, name_ "pd", SSE2, FPACKED),                      \
    V(PF3, 1, opcode_, name_ "ss", SSE, FSCALAR(4)), V(PF2, 1, opcode_, name_ "sd", SSE2, FSCALAR(8))
/* Shift by an immediate: the register is ModRM.rm, ModRM.reg belongs to the opcode. */
#define SHIFT(prefix_, opcode_, extension_, name_, feature_, file_)                                                \
    { .name = name_, .op = OP_VECTOR, .form = FORM_VEC, .map = 1, .opcode = opcode_, .prefix = prefix_, .extension = EXT(extension_), .mod = MOD_REGISTER, \
      .feature = FEATURE_##feature_, .vector = VECTOR_REG(file_) | W_REG | IMM | REGISTER }
#define SHIFTS(opcode_, extension_, name_)                                                                         \
    SHIFT(N, opcode_, extension_, name_, MMX, VECTOR_MMX), SHIFT(P66, opcode_, extension_, name_, SSE2, VECTOR_XMM)

/* State and hints: handlers of their own. */
#define OTHER(prefix_, opcode_, extension_, mod_, name_, op_, feature_, flags_)                                    \
    { .name = name_, .op = op_, .form = (flags_) & ROW_NO_MODRM ? FORM_NONE : (mod_) == MOD_MEMORY ? FORM_M : FORM_VEC, .map = MAP_0F, \
      .opcode = opcode_, .prefix = prefix_, .extension = extension_, .mod = mod_, .feature = FEATURE_##feature_, .flags = (flags_) & ~ROW_NO_MODRM }

const OptabRow optab_vector[] = {
    /* moves */
    V(N, 1, 0x10, "movups", SSE, SCALAR(16) | MOVE), V(N, 1, 0x11, "movups", SSE, STORED(16) | MOVE),
    V(P66, 1, 0x10, "movupd", SSE2, SCALAR(16) | MOVE), V(P66, 1, 0x11, "movupd", SSE2, STORED(16) | MOVE),
    V(PF3, 1, 0x10, "movss", SSE, SCALAR(4) | MOVE), V(PF3, 1, 0x11, "movss", SSE, STORED(4) | MOVE),
    V(PF2, 1, 0x10, "movsd", SSE2, SCALAR(8) | MOVE), V(PF2, 1, 0x11, "movsd", SSE2, STORED(8) | MOVE),
    V(N, 1, 0x12, "movlps", SSE, SCALAR(8)), V(N, 1, 0x13, "movlps", SSE, STORED(8) | MOVE | MEMORY),      /* register form: movhlps */
    V(P66, 1, 0x12, "movlpd", SSE2, SCALAR(8) | MEMORY), V(P66, 1, 0x13, "movlpd", SSE2, STORED(8) | MOVE | MEMORY),
    V(PF3, 1, 0x12, "movsldup", SSE3, PACKED), V(PF2, 1, 0x12, "movddup", SSE3, SCALAR(8)),
    V(N, 1, 0x14, "unpcklps", SSE, PACKED), V(P66, 1, 0x14, "unpcklpd", SSE2, PACKED),
    V(N, 1, 0x15, "unpckhps", SSE, PACKED), V(P66, 1, 0x15, "unpckhpd", SSE2, PACKED),
    V(N, 1, 0x16, "movhps", SSE, SCALAR(8)), V(N, 1, 0x17, "movhps", SSE, STORED(8) | MEMORY),             /* register form: movlhps */
    V(P66, 1, 0x16, "movhpd", SSE2, SCALAR(8) | MEMORY), V(P66, 1, 0x17, "movhpd", SSE2, STORED(8) | MEMORY),
    V(PF3, 1, 0x16, "movshdup", SSE3, PACKED),
    V(N, 1, 0x28, "movaps", SSE, PACKED | MOVE), V(N, 1, 0x29, "movaps", SSE, STORED(16) | VECTOR_ALIGNED | MOVE),
    V(P66, 1, 0x28, "movapd", SSE2, PACKED | MOVE), V(P66, 1, 0x29, "movapd", SSE2, STORED(16) | VECTOR_ALIGNED | MOVE),
    V(N, 1, 0x2b, "movntps", SSE, STORED(16) | VECTOR_ALIGNED | MOVE | MEMORY),
    V(P66, 1, 0x2b, "movntpd", SSE2, STORED(16) | VECTOR_ALIGNED | MOVE | MEMORY),
    V(N, 1, 0x50, "movmskps", SSE, GPR_XMM | W_REG | REGISTER), V(P66, 1, 0x50, "movmskpd", SSE2, GPR_XMM | W_REG | REGISTER),
    V(N, 1, 0x6e, "movd", MMX, MMX_GPR | MEM_W | W_REG), V(P66, 1, 0x6e, "movd", SSE2, XMM_GPR | MEM_W | W_REG | MOVE),
    V(N, 1, 0x7e, "movd", MMX, MMX_GPR | MEM_W | W_RM), V(P66, 1, 0x7e, "movd", SSE2, XMM_GPR | MEM_W | W_RM | MOVE),
    V(N, 1, 0x6f, "movq", MMX, MMX8), V(N, 1, 0x7f, "movq", MMX, MMX_MMX | MEM(8) | W_RM),
    V(P66, 1, 0x6f, "movdqa", SSE2, PACKED | MOVE), V(P66, 1, 0x7f, "movdqa", SSE2, STORED(16) | VECTOR_ALIGNED | MOVE),
    V(PF3, 1, 0x6f, "movdqu", SSE2, SCALAR(16) | MOVE), V(PF3, 1, 0x7f, "movdqu", SSE2, STORED(16) | MOVE),
    V(PF3, 1, 0x7e, "movq", SSE2, SCALAR(8) | MOVE), V(P66, 1, 0xd6, "movq", SSE2, STORED(8) | MOVE),
    V(PF3, 1, 0xd6, "movq2dq", SSE2, XMM_MMX | W_REG | REGISTER), V(PF2, 1, 0xd6, "movdq2q", SSE2, MMX_XMM | W_REG | REGISTER),
    V(N, 1, 0xd7, "pmovmskb", MMXEXT, GPR_MMX | W_REG | REGISTER), V(P66, 1, 0xd7, "pmovmskb", SSE2, GPR_XMM | W_REG | REGISTER),
    V(N, 1, 0xe7, "movntq", MMXEXT, MMX_MMX | MEM(8) | W_RM | MEMORY),
    V(P66, 1, 0xe7, "movntdq", SSE2, STORED(16) | VECTOR_ALIGNED | MOVE | MEMORY),
    V(PF2, 1, 0xf0, "lddqu", SSE3, SCALAR(16) | MOVE | MEMORY),
    V(P66, 2, 0x2a, "movntdqa", SSE41, PACKED | MOVE | MEMORY),

    /* floating point */
    FOUR(0x51, "sqrt"), FOUR(0x58, "add"), FOUR(0x59, "mul"), FOUR(0x5c, "sub"), FOUR(0x5d, "min"), FOUR(0x5e, "div"), FOUR(0x5f, "max"),
    V(N, 1, 0x52, "rsqrtps", SSE, FPACKED), V(PF3, 1, 0x52, "rsqrtss", SSE, FSCALAR(4)),
    V(N, 1, 0x53, "rcpps", SSE, FPACKED), V(PF3, 1, 0x53, "rcpss", SSE, FSCALAR(4)),
    V(N, 1, 0x54, "andps", SSE, PACKED), V(P66, 1, 0x54, "andpd", SSE2, PACKED),
    V(N, 1, 0x55, "andnps", SSE, PACKED), V(P66, 1, 0x55, "andnpd", SSE2, PACKED),
    V(N, 1, 0x56, "orps", SSE, PACKED), V(P66, 1, 0x56, "orpd", SSE2, PACKED),
    V(N, 1, 0x57, "xorps", SSE, PACKED | VECTOR_CLEARS), V(P66, 1, 0x57, "xorpd", SSE2, PACKED | VECTOR_CLEARS),
    V(N, 1, 0x2a, "cvtpi2ps", SSE, XMM_MMX | MEM(8) | W_REG | VECTOR_FP | VECTOR_NO_MMX_STATE),
    V(P66, 1, 0x2a, "cvtpi2pd", SSE2, XMM_MMX | MEM(8) | W_REG | VECTOR_FP | VECTOR_NO_MMX_STATE),
    V(PF3, 1, 0x2a, "cvtsi2ss", SSE, XMM_GPR | MEM_W | W_REG | VECTOR_FP), V(PF2, 1, 0x2a, "cvtsi2sd", SSE2, XMM_GPR | MEM_W | W_REG | VECTOR_FP),
    V(N, 1, 0x2c, "cvttps2pi", SSE, MMX_XMM | MEM(8) | W_REG | VECTOR_FP),
    V(P66, 1, 0x2c, "cvttpd2pi", SSE2, MMX_XMM | MEM(16) | VECTOR_ALIGNED | W_REG | VECTOR_FP),
    V(PF3, 1, 0x2c, "cvttss2si", SSE, GPR_XMM | MEM(4) | W_REG | VECTOR_FP), V(PF2, 1, 0x2c, "cvttsd2si", SSE2, GPR_XMM | MEM(8) | W_REG | VECTOR_FP),
    V(N, 1, 0x2d, "cvtps2pi", SSE, MMX_XMM | MEM(8) | W_REG | VECTOR_FP),
    V(P66, 1, 0x2d, "cvtpd2pi", SSE2, MMX_XMM | MEM(16) | VECTOR_ALIGNED | W_REG | VECTOR_FP),
    V(PF3, 1, 0x2d, "cvtss2si", SSE, GPR_XMM | MEM(4) | W_REG | VECTOR_FP), V(PF2, 1, 0x2d, "cvtsd2si", SSE2, GPR_XMM | MEM(8) | W_REG | VECTOR_FP),
    V(N, 1, 0x2e, "ucomiss", SSE, XMM_XMM | MEM(4) | VECTOR_FLAGS | VECTOR_FP), V(P66, 1, 0x2e, "ucomisd", SSE2, XMM_XMM | MEM(8) | VECTOR_FLAGS | VECTOR_FP),
    V(N, 1, 0x2f, "comiss", SSE, XMM_XMM | MEM(4) | VECTOR_FLAGS | VECTOR_FP), V(P66, 1, 0x2f, "comisd", SSE2, XMM_XMM | MEM(8) | VECTOR_FLAGS | VECTOR_FP),
    V(N, 1, 0x5a, "cvtps2pd", SSE2, FSCALAR(8)), V(P66, 1, 0x5a, "cvtpd2ps", SSE2, FPACKED),
    V(PF3, 1, 0x5a, "cvtss2sd", SSE2, FSCALAR(4)), V(PF2, 1, 0x5a, "cvtsd2ss", SSE2, FSCALAR(8)),
    V(N, 1, 0x5b, "cvtdq2ps", SSE2, FPACKED), V(P66, 1, 0x5b, "cvtps2dq", SSE2, FPACKED), V(PF3, 1, 0x5b, "cvttps2dq", SSE2, FPACKED),
    V(P66, 1, 0xe6, "cvttpd2dq", SSE2, FPACKED), V(PF3, 1, 0xe6, "cvtdq2pd", SSE2, FSCALAR(8)), V(PF2, 1, 0xe6, "cvtpd2dq", SSE2, FPACKED),
    V(P66, 1, 0x7c, "haddpd", SSE3, FPACKED), V(PF2, 1, 0x7c, "haddps", SSE3, FPACKED),
    V(P66, 1, 0x7d, "hsubpd", SSE3, FPACKED), V(PF2, 1, 0x7d, "hsubps", SSE3, FPACKED),
    V(P66, 1, 0xd0, "addsubpd", SSE3, FPACKED), V(PF2, 1, 0xd0, "addsubps", SSE3, FPACKED),
    V(N, 1, 0xc2, "cmpps", SSE, FPACKED | IMM), V(P66, 1, 0xc2, "cmppd", SSE2, FPACKED | IMM),
    V(PF3, 1, 0xc2, "cmpss", SSE, FSCALAR(4) | IMM), V(PF2, 1, 0xc2, "cmpsd", SSE2, FSCALAR(8) | IMM),
    V(N, 1, 0xc6, "shufps", SSE, PACKED | IMM), V(P66, 1, 0xc6, "shufpd", SSE2, PACKED | IMM),
    V(P66, 3, 0x08, "roundps", SSE41, FPACKED | IMM), V(P66, 3, 0x09, "roundpd", SSE41, FPACKED | IMM),
    V(P66, 3, 0x0a, "roundss", SSE41, FSCALAR(4) | IMM), V(P66, 3, 0x0b, "roundsd", SSE41, FSCALAR(8) | IMM),
    V(P66, 3, 0x40, "dpps", SSE41, FPACKED | IMM), V(P66, 3, 0x41, "dppd", SSE41, FPACKED | IMM),

    /* integers */
    V(N, 1, 0x60, "punpcklbw", MMX, MMX4), V(P66, 1, 0x60, "punpcklbw", SSE2, PACKED),
    V(N, 1, 0x61, "punpcklwd", MMX, MMX4), V(P66, 1, 0x61, "punpcklwd", SSE2, PACKED),
    V(N, 1, 0x62, "punpckldq", MMX, MMX4), V(P66, 1, 0x62, "punpckldq", SSE2, PACKED),
    TWIN(0x63, "packsswb", MMX, SSE2), TWIN(0x64, "pcmpgtb", MMX, SSE2), TWIN(0x65, "pcmpgtw", MMX, SSE2), TWIN(0x66, "pcmpgtd", MMX, SSE2),
    TWIN(0x67, "packuswb", MMX, SSE2), TWIN(0x68, "punpckhbw", MMX, SSE2), TWIN(0x69, "punpckhwd", MMX, SSE2), TWIN(0x6a, "punpckhdq", MMX, SSE2),
    TWIN(0x6b, "packssdw", MMX, SSE2), V(P66, 1, 0x6c, "punpcklqdq", SSE2, PACKED), V(P66, 1, 0x6d, "punpckhqdq", SSE2, PACKED),
    V(N, 1, 0x70, "pshufw", MMXEXT, MMX8 | IMM), V(P66, 1, 0x70, "pshufd", SSE2, PACKED | IMM),
    V(PF3, 1, 0x70, "pshufhw", SSE2, PACKED | IMM), V(PF2, 1, 0x70, "pshuflw", SSE2, PACKED | IMM),
    SHIFTS(0x71, 2, "psrlw"), SHIFTS(0x71, 4, "psraw"), SHIFTS(0x71, 6, "psllw"),
    SHIFTS(0x72, 2, "psrld"), SHIFTS(0x72, 4, "psrad"), SHIFTS(0x72, 6, "pslld"), SHIFTS(0x73, 2, "psrlq"), SHIFTS(0x73, 6, "psllq"),
    SHIFT(P66, 0x73, 3, "psrldq", SSE2, VECTOR_XMM), SHIFT(P66, 0x73, 7, "pslldq", SSE2, VECTOR_XMM),
    TWIN(0x74, "pcmpeqb", MMX, SSE2), TWIN(0x75, "pcmpeqw", MMX, SSE2), TWIN(0x76, "pcmpeqd", MMX, SSE2),
    V(N, 1, 0xc4, "pinsrw", MMXEXT, MMX_GPR | MEM(2) | W_REG | IMM), V(P66, 1, 0xc4, "pinsrw", SSE2, XMM_GPR | MEM(2) | W_REG | IMM),
    V(N, 1, 0xc5, "pextrw", MMXEXT, GPR_MMX | W_REG | IMM | REGISTER), V(P66, 1, 0xc5, "pextrw", SSE2, GPR_XMM | W_REG | IMM | REGISTER),
    TWIN(0xd1, "psrlw", MMX, SSE2), TWIN(0xd2, "psrld", MMX, SSE2), TWIN(0xd3, "psrlq", MMX, SSE2), TWIN(0xd4, "paddq", SSE2, SSE2),
    TWIN(0xd5, "pmullw", MMX, SSE2), TWIN(0xd8, "psubusb", MMX, SSE2), TWIN(0xd9, "psubusw", MMX, SSE2), TWIN(0xda, "pminub", MMXEXT, SSE2),
    TWIN(0xdb, "pand", MMX, SSE2), TWIN(0xdc, "paddusb", MMX, SSE2), TWIN(0xdd, "paddusw", MMX, SSE2), TWIN(0xde, "pmaxub", MMXEXT, SSE2),
    TWIN(0xdf, "pandn", MMX, SSE2), TWIN(0xe0, "pavgb", MMXEXT, SSE2), TWIN(0xe1, "psraw", MMX, SSE2), TWIN(0xe2, "psrad", MMX, SSE2),
    TWIN(0xe3, "pavgw", MMXEXT, SSE2), TWIN(0xe4, "pmulhuw", MMXEXT, SSE2), TWIN(0xe5, "pmulhw", MMX, SSE2), TWIN(0xe8, "psubsb", MMX, SSE2),
    TWIN(0xe9, "psubsw", MMX, SSE2), TWIN(0xea, "pminsw", MMXEXT, SSE2), TWIN(0xeb, "por", MMX, SSE2), TWIN(0xec, "paddsb", MMX, SSE2),
    TWIN(0xed, "paddsw", MMX, SSE2), TWIN(0xee, "pmaxsw", MMXEXT, SSE2),
    V(N, 1, 0xef, "pxor", MMX, MMX8), V(P66, 1, 0xef, "pxor", SSE2, PACKED | VECTOR_CLEARS),
    TWIN(0xf1, "psllw", MMX, SSE2), TWIN(0xf2, "pslld", MMX, SSE2), TWIN(0xf3, "psllq", MMX, SSE2), TWIN(0xf4, "pmuludq", SSE2, SSE2),
    TWIN(0xf5, "pmaddwd", MMX, SSE2), TWIN(0xf6, "psadbw", MMXEXT, SSE2), TWIN(0xf8, "psubb", MMX, SSE2), TWIN(0xf9, "psubw", MMX, SSE2),
    TWIN(0xfa, "psubd", MMX, SSE2), TWIN(0xfb, "psubq", SSE2, SSE2), TWIN(0xfc, "paddb", MMX, SSE2), TWIN(0xfd, "paddw", MMX, SSE2),
    TWIN(0xfe, "paddd", MMX, SSE2),
    TWIN38(0x00, "pshufb"), TWIN38(0x01, "phaddw"), TWIN38(0x02, "phaddd"), TWIN38(0x03, "phaddsw"), TWIN38(0x04, "pmaddubsw"),
    TWIN38(0x05, "phsubw"), TWIN38(0x06, "phsubd"), TWIN38(0x07, "phsubsw"), TWIN38(0x08, "psignb"), TWIN38(0x09, "psignw"),
    TWIN38(0x0a, "psignd"), TWIN38(0x0b, "pmulhrsw"), TWIN38(0x1c, "pabsb"), TWIN38(0x1d, "pabsw"), TWIN38(0x1e, "pabsd"),
    V(N, 3, 0x0f, "palignr", SSSE3, MMX8 | IMM), V(P66, 3, 0x0f, "palignr", SSSE3, PACKED | IMM),

    /* SSE4 */
    V(P66, 2, 0x10, "pblendvb", SSE41, PACKED | VECTOR_XMM0), V(P66, 2, 0x14, "blendvps", SSE41, PACKED | VECTOR_XMM0),
    V(P66, 2, 0x15, "blendvpd", SSE41, PACKED | VECTOR_XMM0),
    V(P66, 2, 0x17, "ptest", SSE41, XMM_XMM | MEM(16) | VECTOR_ALIGNED | VECTOR_FLAGS),
    V(P66, 2, 0x20, "pmovsxbw", SSE41, SCALAR(8)), V(P66, 2, 0x21, "pmovsxbd", SSE41, SCALAR(4)), V(P66, 2, 0x22, "pmovsxbq", SSE41, SCALAR(2)),
    V(P66, 2, 0x23, "pmovsxwd", SSE41, SCALAR(8)), V(P66, 2, 0x24, "pmovsxwq", SSE41, SCALAR(4)), V(P66, 2, 0x25, "pmovsxdq", SSE41, SCALAR(8)),
    V(P66, 2, 0x30, "pmovzxbw", SSE41, SCALAR(8)), V(P66, 2, 0x31, "pmovzxbd", SSE41, SCALAR(4)), V(P66, 2, 0x32, "pmovzxbq", SSE41, SCALAR(2)),
    V(P66, 2, 0x33, "pmovzxwd", SSE41, SCALAR(8)), V(P66, 2, 0x34, "pmovzxwq", SSE41, SCALAR(4)), V(P66, 2, 0x35, "pmovzxdq", SSE41, SCALAR(8)),
    V(P66, 2, 0x28, "pmuldq", SSE41, PACKED), V(P66, 2, 0x29, "pcmpeqq", SSE41, PACKED), V(P66, 2, 0x2b, "packusdw", SSE41, PACKED),
    V(P66, 2, 0x37, "pcmpgtq", SSE42, PACKED), V(P66, 2, 0x38, "pminsb", SSE41, PACKED), V(P66, 2, 0x39, "pminsd", SSE41, PACKED),
    V(P66, 2, 0x3a, "pminuw", SSE41, PACKED), V(P66, 2, 0x3b, "pminud", SSE41, PACKED), V(P66, 2, 0x3c, "pmaxsb", SSE41, PACKED),
    V(P66, 2, 0x3d, "pmaxsd", SSE41, PACKED), V(P66, 2, 0x3e, "pmaxuw", SSE41, PACKED), V(P66, 2, 0x3f, "pmaxud", SSE41, PACKED),
    V(P66, 2, 0x40, "pmulld", SSE41, PACKED), V(P66, 2, 0x41, "phminposuw", SSE41, PACKED),
    V(P66, 3, 0x0c, "blendps", SSE41, PACKED | IMM), V(P66, 3, 0x0d, "blendpd", SSE41, PACKED | IMM), V(P66, 3, 0x0e, "pblendw", SSE41, PACKED | IMM),
    V(P66, 3, 0x14, "pextrb", SSE41, XMM_GPR | MEM(1) | W_RM | IMM), V(P66, 3, 0x15, "pextrw", SSE41, XMM_GPR | MEM(2) | W_RM | IMM),
    V(P66, 3, 0x16, "pextrd", SSE41, XMM_GPR | MEM_W | W_RM | IMM), V(P66, 3, 0x17, "extractps", SSE41, XMM_GPR | MEM(4) | W_RM | IMM),
    V(P66, 3, 0x20, "pinsrb", SSE41, XMM_GPR | MEM(1) | W_REG | IMM), V(P66, 3, 0x21, "insertps", SSE41, SCALAR(4) | IMM),
    V(P66, 3, 0x22, "pinsrd", SSE41, XMM_GPR | MEM_W | W_REG | IMM), V(P66, 3, 0x42, "mpsadbw", SSE41, PACKED | IMM),
    V(P66, 3, 0x60, "pcmpestrm", SSE42, XMM_XMM | MEM(16) | IMM | VECTOR_FLAGS | VECTOR_COMPARES),
    V(P66, 3, 0x61, "pcmpestri", SSE42, XMM_XMM | MEM(16) | IMM | VECTOR_FLAGS | VECTOR_COMPARES),
    V(P66, 3, 0x62, "pcmpistrm", SSE42, XMM_XMM | MEM(16) | IMM | VECTOR_FLAGS | VECTOR_COMPARES),
    V(P66, 3, 0x63, "pcmpistri", SSE42, XMM_XMM | MEM(16) | IMM | VECTOR_FLAGS | VECTOR_COMPARES),

    /* AES, PCLMULQDQ, SHA */
    V(P66, 3, 0x44, "pclmulqdq", PCLMULQDQ, PACKED | IMM), V(P66, 2, 0xdb, "aesimc", AES, PACKED), V(P66, 2, 0xdc, "aesenc", AES, PACKED),
    V(P66, 2, 0xdd, "aesenclast", AES, PACKED), V(P66, 2, 0xde, "aesdec", AES, PACKED), V(P66, 2, 0xdf, "aesdeclast", AES, PACKED),
    V(P66, 3, 0xdf, "aeskeygenassist", AES, PACKED | IMM),
    /* processors let SHA operands lie anywhere, whatever the manuals say */
    V(N, 2, 0xc8, "sha1nexte", SHA, SCALAR(16)), V(N, 2, 0xc9, "sha1msg1", SHA, SCALAR(16)), V(N, 2, 0xca, "sha1msg2", SHA, SCALAR(16)),
    V(N, 2, 0xcb, "sha256rnds2", SHA, SCALAR(16) | VECTOR_XMM0), V(N, 2, 0xcc, "sha256msg1", SHA, SCALAR(16)), V(N, 2, 0xcd, "sha256msg2", SHA, SCALAR(16)),
    V(N, 3, 0xcc, "sha1rnds4", SHA, SCALAR(16) | IMM),

    /* state and hints */
    OTHER(N, 0x77, 0, MOD_ANY, "emms", OP_EMMS, MMX, ROW_NO_MODRM),
    OTHER(N, 0xf7, 0, MOD_REGISTER, "maskmovq", OP_MASKMOV, MMXEXT, 0), OTHER(P66, 0xf7, 0, MOD_REGISTER, "maskmovdqu", OP_MASKMOV, SSE2, 0),
    OTHER(N, 0xae, EXT(0), MOD_MEMORY, "fxsave", OP_FXSAVE, FXSR, 0), OTHER(N, 0xae, EXT(1), MOD_MEMORY, "fxrstor", OP_FXRSTOR, FXSR, 0),
    OTHER(N, 0xae, EXT(2), MOD_MEMORY, "ldmxcsr", OP_LDMXCSR, SSE, 0), OTHER(N, 0xae, EXT(3), MOD_MEMORY, "stmxcsr", OP_STMXCSR, SSE, 0),
    OTHER(N, 0xae, EXT(4), MOD_MEMORY, "xsave", OP_XSAVE, XSAVE, 0), OTHER(N, 0xae, EXT(5), MOD_MEMORY, "xrstor", OP_XRSTOR, XSAVE, 0),
    OTHER(N, 0xae, EXT(6), MOD_MEMORY, "xsaveopt", OP_XSAVEOPT, XSAVEOPT, 0), OTHER(N, 0xc7, EXT(4), MOD_MEMORY, "xsavec", OP_XSAVEC, XSAVEC, 0),
    OTHER(N, 0xae, EXT(5), MOD_REGISTER, "lfence", OP_FENCE, SSE2, 0), OTHER(N, 0xae, EXT(6), MOD_REGISTER, "mfence", OP_FENCE, SSE2, 0),
    OTHER(N, 0xae, EXT(7), MOD_REGISTER, "sfence", OP_FENCE, SSE, 0),
    OTHER(N, 0xae, EXT(7), MOD_MEMORY, "clflush", OP_CLFLUSH, CLFLUSH, 0), OTHER(P66, 0xae, EXT(7), MOD_MEMORY, "clflushopt", OP_CLFLUSH, CLFLUSHOPT, 0),
    /* whatever its CPUID bit says: every processor with long mode has it, and Linux takes it for granted on AMD */
    { .name = "prefetch", .op = OP_PREFETCH, .form = FORM_VEC, .map = MAP_0F, .opcode = 0x0d, .mod = MOD_MEMORY, .vector = VECTOR_UNCHECKED },

    /* x87 with a memory operand */
#define X87M(opcode_, extension_, name_, op_, size_)                                                               \
    { .name = name_, .op = op_, .form = FORM_X87, .map = MAP_ONE, .opcode = opcode_, .extension = EXT(extension_), .mod = MOD_MEMORY, \
      .feature = FEATURE_FPU, .size = size_ }
#define ARITHMETIC(opcode_, i_, size_)                                                                             \
    X87M(opcode_, 0, "f" i_ "add", OP_X87_LOAD, size_), X87M(opcode_, 1, "f" i_ "mul", OP_X87_LOAD, size_),         \
    X87M(opcode_, 2, "f" i_ "com", OP_X87_LOAD, size_), X87M(opcode_, 3, "f" i_ "comp", OP_X87_LOAD, size_),        \
    X87M(opcode_, 4, "f" i_ "sub", OP_X87_LOAD, size_), X87M(opcode_, 5, "f" i_ "subr", OP_X87_LOAD, size_),        \
    X87M(opcode_, 6, "f" i_ "div", OP_X87_LOAD, size_), X87M(opcode_, 7, "f" i_ "divr", OP_X87_LOAD, size_)
    ARITHMETIC(0xd8, "", SIZE_4), ARITHMETIC(0xda, "i", SIZE_4), ARITHMETIC(0xdc, "", SIZE_8), ARITHMETIC(0xde, "i", SIZE_2),
    X87M(0xd9, 0, "fld", OP_X87_LOAD, SIZE_4), X87M(0xd9, 2, "fst", OP_X87_STORE, SIZE_4), X87M(0xd9, 3, "fstp", OP_X87_STORE, SIZE_4),
    X87M(0xd9, 4, "fldenv", OP_FLDENV, SIZE_V), X87M(0xd9, 5, "fldcw", OP_FLDCW, SIZE_2), X87M(0xd9, 6, "fnstenv", OP_FNSTENV, SIZE_V),
    X87M(0xd9, 7, "fnstcw", OP_FNSTCW, SIZE_2),
    X87M(0xdb, 0, "fild", OP_X87_LOAD, SIZE_4), X87M(0xdb, 1, "fisttp", OP_X87_STORE, SIZE_4), X87M(0xdb, 2, "fist", OP_X87_STORE, SIZE_4),
    X87M(0xdb, 3, "fistp", OP_X87_STORE, SIZE_4), X87M(0xdb, 5, "fld", OP_X87_LOAD80, SIZE_NONE), X87M(0xdb, 7, "fstp", OP_X87_STORE80, SIZE_NONE),
    X87M(0xdd, 0, "fld", OP_X87_LOAD, SIZE_8), X87M(0xdd, 1, "fisttp", OP_X87_STORE, SIZE_8), X87M(0xdd, 2, "fst", OP_X87_STORE, SIZE_8),
    X87M(0xdd, 3, "fstp", OP_X87_STORE, SIZE_8), X87M(0xdd, 4, "frstor", OP_FRSTOR, SIZE_V), X87M(0xdd, 6, "fnsave", OP_FNSAVE, SIZE_V),
    X87M(0xdd, 7, "fnstsw", OP_FNSTSW, SIZE_2),
    X87M(0xdf, 0, "fild", OP_X87_LOAD, SIZE_2), X87M(0xdf, 1, "fisttp", OP_X87_STORE, SIZE_2), X87M(0xdf, 2, "fist", OP_X87_STORE, SIZE_2),
    X87M(0xdf, 3, "fistp", OP_X87_STORE, SIZE_2), X87M(0xdf, 4, "fbld", OP_X87_LOAD80, SIZE_NONE), X87M(0xdf, 5, "fild", OP_X87_LOAD, SIZE_8),
    X87M(0xdf, 6, "fbstp", OP_X87_STORE80, SIZE_NONE), X87M(0xdf, 7, "fistp", OP_X87_STORE, SIZE_8),

    /* x87 on registers: a whole group of eight, or one encoding */
#define X87R(opcode_, extension_, name_, op_)                                                                      \
    { .name = name_, .op = op_, .form = FORM_X87, .map = MAP_ONE, .opcode = opcode_, .extension = EXT(extension_), .mod = MOD_REGISTER, \
      .feature = FEATURE_FPU, .flags_written = op_ == OP_FCOMI ? FLAG_ARITHMETIC : 0, .flags_read = op_ == OP_FCMOV ? FLAG_ARITHMETIC : 0 }
#define X87ONE(opcode_, modrm_, name_, op_)                                                                        \
    { .name = name_, .op = op_, .form = FORM_X87, .map = MAP_ONE, .opcode = opcode_, .extension = EXT((modrm_) >> 3 & 7), \
      .rm_extension = EXT((modrm_) & 7), .mod = MOD_REGISTER, .feature = FEATURE_FPU, .implicit_write = op_ == OP_FNSTSW_AX ? 1 << GPR_RAX : 0 }
    X87R(0xd8, 0, "fadd", OP_X87), X87R(0xd8, 1, "fmul", OP_X87), X87R(0xd8, 2, "fcom", OP_X87), X87R(0xd8, 3, "fcomp", OP_X87),
    X87R(0xd8, 4, "fsub", OP_X87), X87R(0xd8, 5, "fsubr", OP_X87), X87R(0xd8, 6, "fdiv", OP_X87), X87R(0xd8, 7, "fdivr", OP_X87),
    X87R(0xd9, 0, "fld", OP_X87), X87R(0xd9, 1, "fxch", OP_X87), X87ONE(0xd9, 0xd0, "fnop", OP_X87), X87R(0xd9, 3, "fstp", OP_X87),
    X87ONE(0xd9, 0xe0, "fchs", OP_X87), X87ONE(0xd9, 0xe1, "fabs", OP_X87), X87ONE(0xd9, 0xe4, "ftst", OP_X87), X87ONE(0xd9, 0xe5, "fxam", OP_X87),
    X87ONE(0xd9, 0xe8, "fld1", OP_X87), X87ONE(0xd9, 0xe9, "fldl2t", OP_X87), X87ONE(0xd9, 0xea, "fldl2e", OP_X87), X87ONE(0xd9, 0xeb, "fldpi", OP_X87),
    X87ONE(0xd9, 0xec, "fldlg2", OP_X87), X87ONE(0xd9, 0xed, "fldln2", OP_X87), X87ONE(0xd9, 0xee, "fldz", OP_X87),
    X87ONE(0xd9, 0xf0, "f2xm1", OP_X87), X87ONE(0xd9, 0xf1, "fyl2x", OP_X87), X87ONE(0xd9, 0xf2, "fptan", OP_X87), X87ONE(0xd9, 0xf3, "fpatan", OP_X87),
    X87ONE(0xd9, 0xf4, "fxtract", OP_X87), X87ONE(0xd9, 0xf5, "fprem1", OP_X87), X87ONE(0xd9, 0xf6, "fdecstp", OP_X87), X87ONE(0xd9, 0xf7, "fincstp", OP_X87),
    X87ONE(0xd9, 0xf8, "fprem", OP_X87), X87ONE(0xd9, 0xf9, "fyl2xp1", OP_X87), X87ONE(0xd9, 0xfa, "fsqrt", OP_X87), X87ONE(0xd9, 0xfb, "fsincos", OP_X87),
    X87ONE(0xd9, 0xfc, "frndint", OP_X87), X87ONE(0xd9, 0xfd, "fscale", OP_X87), X87ONE(0xd9, 0xfe, "fsin", OP_X87), X87ONE(0xd9, 0xff, "fcos", OP_X87),
    X87R(0xda, 0, "fcmovb", OP_FCMOV), X87R(0xda, 1, "fcmove", OP_FCMOV), X87R(0xda, 2, "fcmovbe", OP_FCMOV), X87R(0xda, 3, "fcmovu", OP_FCMOV),
    X87ONE(0xda, 0xe9, "fucompp", OP_X87),
    X87R(0xdb, 0, "fcmovnb", OP_FCMOV), X87R(0xdb, 1, "fcmovne", OP_FCMOV), X87R(0xdb, 2, "fcmovnbe", OP_FCMOV), X87R(0xdb, 3, "fcmovnu", OP_FCMOV),
    X87ONE(0xdb, 0xe0, "fneni", OP_X87_NOP), X87ONE(0xdb, 0xe1, "fndisi", OP_X87_NOP), X87ONE(0xdb, 0xe2, "fnclex", OP_FNCLEX),
    X87ONE(0xdb, 0xe3, "fninit", OP_FNINIT), X87ONE(0xdb, 0xe4, "fnsetpm", OP_X87_NOP), X87R(0xdb, 5, "fucomi", OP_FCOMI), X87R(0xdb, 6, "fcomi", OP_FCOMI),
    X87R(0xdc, 0, "fadd", OP_X87), X87R(0xdc, 1, "fmul", OP_X87), X87R(0xdc, 2, "fcom", OP_X87), X87R(0xdc, 3, "fcomp", OP_X87),
    X87R(0xdc, 4, "fsubr", OP_X87), X87R(0xdc, 5, "fsub", OP_X87), X87R(0xdc, 6, "fdivr", OP_X87), X87R(0xdc, 7, "fdiv", OP_X87),
    X87R(0xdd, 0, "ffree", OP_X87), X87R(0xdd, 1, "fxch", OP_X87), X87R(0xdd, 2, "fst", OP_X87), X87R(0xdd, 3, "fstp", OP_X87),
    X87R(0xdd, 4, "fucom", OP_X87), X87R(0xdd, 5, "fucomp", OP_X87),
    X87R(0xde, 0, "faddp", OP_X87), X87R(0xde, 1, "fmulp", OP_X87), X87R(0xde, 2, "fcomp", OP_X87), X87ONE(0xde, 0xd9, "fcompp", OP_X87),
    X87R(0xde, 4, "fsubrp", OP_X87), X87R(0xde, 5, "fsubp", OP_X87), X87R(0xde, 6, "fdivrp", OP_X87), X87R(0xde, 7, "fdivp", OP_X87),
    X87R(0xdf, 0, "ffreep", OP_X87), X87R(0xdf, 1, "fxch", OP_X87), X87R(0xdf, 2, "fstp", OP_X87), X87R(0xdf, 3, "fstp", OP_X87),
    X87ONE(0xdf, 0xe0, "fnstsw", OP_FNSTSW_AX), X87R(0xdf, 5, "fucomip", OP_FCOMI), X87R(0xdf, 6, "fcomip", OP_FCOMI),
};

const unsigned optab_vector_count = sizeof optab_vector / sizeof optab_vector[0];
