/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector-stub.c - makes and keeps the host code that executes one vector or x87 instruction
 *
 * Models   nothing by itself: a stub loads the operands, runs the host's own instruction, stores what it wrote
 * Omits    EVEX forms
 * Code     a memfd mapped twice, writable and executable at two addresses; nothing is ever both. Stubs are never
 *          freed: their number is bounded by the instruction set (about 100,000 with every immediate), so a guest cannot
 *          make the area grow beyond its size
 * YMM      a stub of 256 bits ends with vzeroupper, one of 128 bits does not touch the upper halves: SSE code of the host's pays nothing
 * Threads  any; a lock around look-up and making. Executors keep the address in the decoded instruction
 * Tests    tests/cpu/fuzz.c
 */
#include "accel/soft/vector-stub.h"
#include "accel/soft/fpu.h"
#include <glib.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { AREA_BYTES = 16 << 20, STUB_MAX = 128 };

static struct {
    GMutex lock;
    bool tried;
    uint8_t *write, *execute;
    size_t used;
    size_t fault_exit;                     /* offset of the code a faulting stub continues at */
    GHashTable *vector;                    /* key -> VectorStub */
    X87Stub *x87[8 << 8];
    struct sigaction previous;
} area;

/* One instruction being put together. */
typedef struct Code { uint8_t bytes[STUB_MAX]; unsigned length; } Code;

static void put(Code *code, unsigned count, uint64_t bytes)        /* little endian: first byte lowest */
{
    for (unsigned i = 0; i < count && code->length < STUB_MAX; i++) {
        code->bytes[code->length++] = (uint8_t)(bytes >> 8 * i);
    }
}

/* The SIMD exception that a guest has unmasked: go on at the stub area's exit, the flags stay in the frame's MXCSR. */
static void stub_sigfpe(int signal_number, siginfo_t *info, void *frame)
{
    ucontext_t *context = frame;
    uintptr_t rip = (uintptr_t)context->uc_mcontext.gregs[REG_RIP], start = (uintptr_t)area.execute;

    if (rip >= start && rip < start + AREA_BYTES) {
        context->uc_mcontext.gregs[REG_RIP] = (greg_t)(start + area.fault_exit);
        return;
    }
    if ((area.previous.sa_flags & SA_SIGINFO) && area.previous.sa_sigaction) {
        area.previous.sa_sigaction(signal_number, info, frame);
        return;
    }
    signal(signal_number, area.previous.sa_handler == SIG_IGN ? SIG_DFL : area.previous.sa_handler);   /* happens again on return */
}

static void put_vzeroupper(Code *code) { put(code, 3, 0x77f8c5); }

static void *area_add(const Code *code)
{
    if (area.used + code->length + 16 > AREA_BYTES) {
        return NULL;
    }
    memcpy(area.write + area.used, code->bytes, code->length);
    void *at = area.execute + area.used;
    area.used = (area.used + code->length + 15) & ~(size_t)15;
    return at;
}

static bool area_open(void)
{
    if (area.tried) {
        return area.execute != NULL;
    }
    area.tried = true;
    int fd = memfd_create("roost-code", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, AREA_BYTES) < 0) {
        return false;
    }
    void *write_view = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *execute_view = mmap(NULL, AREA_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    if (write_view == MAP_FAILED || execute_view == MAP_FAILED) {
        return false;
    }
    area.write = write_view;
    area.execute = execute_view;
    area.vector = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

    Code leave = { .length = 0 };
    put(&leave, 5, 0x80000000b8);                          /* mov eax, STUB_FAULTED */
    if (__builtin_cpu_supports("avx")) {
        put_vzeroupper(&leave);
    }
    put(&leave, 1, 0xc3);
    area.fault_exit = area.used;
    area_add(&leave);
    struct sigaction action = { .sa_sigaction = stub_sigfpe, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigaction(SIGFPE, &action, &area.previous);
    return true;
}

bool vector_stub_open(void)
{
    g_mutex_lock(&area.lock);
    bool open = area_open();
    g_mutex_unlock(&area.lock);
    return open;
}

/* ---- vector ------------------------------------------------------------------------------------------------ */

/* Fixed homes: reg in xmm1, mm1 or eax; rm in xmm2, mm2, ecx or [rsi]; reg's slot [rdi], rm's slot [rsi], the context in rdx,
 * moved to r8 where the instruction itself wants edx. VEX: vvvv in xmm3, its slot [rcx] (until ecx is loaded; then nothing writes
 * vvvv); the fourth register in xmm4, its slot [r8]; xmm0 is for zeros. */
enum { HOME_REG = 1, HOME_RM = 2, HOME_VVVV = 3, HOME_FOURTH = 4, HOME_GPR_REG = 0, HOME_GPR_RM = 1, AT_RCX = 1, AT_RSI = 6, AT_RDI = 7, AT_R8 = 8 };

static void put_transfer(Code *code, unsigned file, bool is_rm, bool store)
{
    unsigned pointer = is_rm ? 6 : 7;                      /* [rsi], [rdi] */
    unsigned number = file == VECTOR_GPR ? (is_rm ? HOME_GPR_RM : HOME_GPR_REG) : is_rm ? HOME_RM : HOME_REG;
    unsigned modrm = number << 3 | pointer;

    switch (file) {
    case VECTOR_XMM: put(code, 2, store ? 0x290f : 0x280f); break;             /* movaps */
    case VECTOR_MMX: put(code, 2, store ? 0x7f0f : 0x6f0f); break;             /* movq */
    case VECTOR_GPR: put(code, 2, store ? 0x8948 : 0x8b48); break;             /* mov, 64 bits */
    default: return;
    }
    put(code, 1, modrm);
}

static void put_disp32(Code *code, size_t offset) { put(code, 4, offset); }

enum { XMM0_OFFSET = offsetof(SoftCpu, xsave) + 160 };

static void put_implicit_loads(Code *code, const StubForm *form)
{
    if (form->word & VECTOR_XMM0) {
        put(code, 3, 0x82280f);                            /* movaps xmm0, [rdx + disp32] */
        put_disp32(code, XMM0_OFFSET);
    }
    if (form->word & VECTOR_COMPARES) {
        put(code, 3, 0xd08949);                            /* mov r8, rdx */
        put(code, 3, 0x808b49);                            /* mov rax, [r8 + disp32] */
        put_disp32(code, offsetof(SoftCpu, gpr) + 8 * GPR_RAX);
        put(code, 3, 0x908b49);                            /* mov rdx, [r8 + disp32] */
        put_disp32(code, offsetof(SoftCpu, gpr) + 8 * GPR_RDX);
    }
}

static void put_instruction(Code *code, const StubForm *form)
{
    static const uint8_t prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned reg_file = vector_reg_file(form->word), rm_file = vector_rm_file(form->word);
    unsigned reg = reg_file == VECTOR_GPR ? HOME_GPR_REG : HOME_REG, rm = rm_file == VECTOR_GPR ? HOME_GPR_RM : HOME_RM;
    unsigned modrm = form->memory ? AT_RSI : 0xc0 | rm;

    if (form->prefix) {
        put(code, 1, prefixes[form->prefix & 3]);
    }
    if (form->w) {
        put(code, 1, 0x48);
    }
    put(code, 1, 0x0f);
    if (form->map == 2) {
        put(code, 1, 0x38);
    } else if (form->map == 3) {
        put(code, 1, 0x3a);
    }
    put(code, 1, form->opcode);
    if (form->extension >= 0) {                            /* shift by immediate: the register operand is ModRM.rm */
        modrm = 0xc0 | (unsigned)form->extension << 3 | reg;
    } else {
        modrm |= reg << 3;
    }
    put(code, 1, modrm);
    if (form->word & VECTOR_IMM8) {
        put(code, 1, form->imm);
    }
}

static void put_results(Code *code, const StubForm *form)
{
    unsigned reg_file = vector_reg_file(form->word), rm_file = vector_rm_file(form->word);

    if (form->word & VECTOR_COMPARES) {
        if (form->opcode & 1) {                            /* pcmpXstri: index in ecx */
            put(code, 3, 0x888949);                        /* mov [r8 + disp32], rcx */
            put_disp32(code, offsetof(SoftCpu, gpr) + 8 * GPR_RCX);
        } else {                                           /* pcmpXstrm: mask in xmm0 */
            put(code, 4, 0x80290f41);                      /* movaps [r8 + disp32], xmm0 */
            put_disp32(code, XMM0_OFFSET);
        }
    }
    if (form->word & VECTOR_WRITES_REG) {
        put_transfer(code, reg_file, false, true);
    }
    if ((form->word & VECTOR_WRITES_RM) && !form->memory) {
        put_transfer(code, rm_file, true, true);
    }
    if (reg_file == VECTOR_MMX || (rm_file == VECTOR_MMX && !form->memory)) {
        put(code, 2, 0x770f);                              /* emms: the host's x87 stack is empty between stubs */
    }
    if (form->word & VECTOR_FLAGS) {
        put(code, 2, 0x589c);                              /* pushfq; pop rax */
    } else if (form->word & VECTOR_FP) {
        put(code, 2, 0xc031);                              /* xor eax, eax: not STUB_FAULTED */
    }
    put(code, 1, 0xc3);
}

/* ---- VEX ---------------------------------------------------------------------------------------------------- */

enum { MAP_1 = 1, MAP_3 = 3, PP_NONE = 0, PP_66 = 1 };

/* A three-byte prefix; registers are below 8 but the base at. */
static void put_vex(Code *code, unsigned map, unsigned pp, bool w, bool wide, unsigned vvvv, unsigned at)
{
    put(code, 3, 0xc4 | (map | (at & 8 ? 0xc0 : 0xe0)) << 8 | (w << 7 | (~vvvv & 15) << 3 | wide << 2 | pp) << 16);
}

/* vmovaps between number and [at + displacement], 16 bytes. */
static void put_lower(Code *code, unsigned number, unsigned at, size_t displacement, bool store)
{
    put_vex(code, MAP_1, PP_NONE, false, false, 0, at);
    put(code, 2, (store ? 0x29 : 0x28) | (number << 3 | (at & 7) | (displacement ? 0x80 : 0)) << 8);
    if (displacement) {
        put_disp32(code, displacement);
    }
}

static void put_load(Code *code, unsigned number, unsigned at, bool wide)
{
    put_lower(code, number, at, 0, false);
    if (wide) {                                            /* vinsertf128 ymm, ymm, [at + YMM_HIGH], 1 */
        put_vex(code, MAP_3, PP_66, false, true, number, at);
        put(code, 2, 0x18 | (0x80 | number << 3 | (at & 7)) << 8);
        put_disp32(code, YMM_HIGH);
        put(code, 1, 1);
    }
}

/* The whole register: what is not wide has zeros above, and so has the slot. */
static void put_store(Code *code, unsigned number, unsigned at, size_t displacement, bool wide)
{
    put_lower(code, number, at, displacement, true);
    if (wide) {                                            /* vextractf128 [at + YMM_HIGH], ymm, 1 */
        put_vex(code, MAP_3, PP_66, false, true, 0, at);
        put(code, 2, 0x19 | (0x80 | number << 3 | (at & 7)) << 8);
        put_disp32(code, displacement + YMM_HIGH);
        put(code, 1, 1);
    } else {
        put(code, 4, 0xc057f8c5);                          /* vxorps xmm0, xmm0, xmm0 */
        put_lower(code, 0, at, displacement + YMM_HIGH, true);
    }
}

static void put_vex_loads(Code *code, const StubForm *form)
{
    unsigned reg_file = vector_reg_file(form->word), rm_file = vector_rm_file(form->word), vvvv = form->vex & VVVV_RULE;

    if (reg_file == VECTOR_XMM && vector_reads_reg(form->word, form->vex)) {
        put_load(code, HOME_REG, AT_RDI, form->wide && !(form->vex & VEX_REG_128));
    }
    if (vvvv == VVVV_READ) {
        put_load(code, HOME_VVVV, AT_RCX, form->wide);
    }
    if (form->vex & VEX_IS4) {
        put_load(code, HOME_FOURTH, AT_R8, form->wide);
    }
    if (!form->memory && rm_file == VECTOR_XMM) {          /* written: never read */
        if (!(form->word & VECTOR_WRITES_RM)) {
            put_load(code, HOME_RM, AT_RSI, form->wide && !(form->vex & VEX_RM_128));
        }
    } else if (!form->memory) {
        put_transfer(code, rm_file, true, false);
    }
}

/* .prefix is what VEX.pp wants: STUB_66, STUB_F3, STUB_F2. */
static void put_vex_instruction(Code *code, const StubForm *form)
{
    unsigned reg = form->extension >= 0 ? (unsigned)form->extension : vector_reg_file(form->word) == VECTOR_GPR ? HOME_GPR_REG : HOME_REG;
    unsigned rm = vector_rm_file(form->word) == VECTOR_GPR ? HOME_GPR_RM : HOME_RM;

    put_vex(code, form->map, form->prefix, form->w, form->wide, form->vex & VVVV_RULE ? HOME_VVVV : 0, 0);
    put(code, 2, form->opcode | ((form->memory ? AT_RSI : 0xc0 | rm) | reg << 3) << 8);
    if (form->word & VECTOR_IMM8) {
        put(code, 1, form->vex & VEX_IS4 ? HOME_FOURTH << 4 : form->imm);
    }
}

static void put_vex_results(Code *code, const StubForm *form)
{
    unsigned reg_file = vector_reg_file(form->word), rm_file = vector_rm_file(form->word);

    if (form->word & VECTOR_COMPARES) {
        if (form->opcode & 1) {
            put(code, 3, 0x888949);                        /* mov [r8 + disp32], rcx */
            put_disp32(code, offsetof(SoftCpu, gpr) + 8 * GPR_RCX);
        } else {
            put_store(code, 0, AT_R8, XMM0_OFFSET, false);
        }
    }
    if (form->word & VECTOR_WRITES_REG) {
        reg_file == VECTOR_XMM ? put_store(code, HOME_REG, AT_RDI, 0, form->wide && !(form->vex & VEX_REG_128)) : put_transfer(code, reg_file, false, true);
    }
    if ((form->word & VECTOR_WRITES_RM) && !form->memory) {
        rm_file == VECTOR_XMM ? put_store(code, HOME_RM, AT_RSI, 0, form->wide && !(form->vex & VEX_RM_128)) : put_transfer(code, rm_file, true, true);
    }
    if ((form->vex & VVVV_RULE) == VVVV_WRITTEN) {
        put_store(code, HOME_VVVV, AT_RCX, 0, form->wide);
    }
    if (form->wide) {
        put_vzeroupper(code);
    }
    if (form->word & VECTOR_FLAGS) {
        put(code, 2, 0x589c);                              /* pushfq; pop rax */
    } else if (form->word & VECTOR_FP) {
        put(code, 2, 0xc031);                              /* xor eax, eax: not STUB_FAULTED */
    }
    put(code, 1, 0xc3);
}

static VectorStub *make_vex(const StubForm *form)
{
    Code code = { .length = 0 };

    put_vex_loads(&code, form);
    put_implicit_loads(&code, form);
    put_vex_instruction(&code, form);
    put_vex_results(&code, form);
    return (VectorStub *)area_add(&code);
}

static VectorStub *make_vector(const StubForm *form)
{
    Code code = { .length = 0 };

    if (form->has_vex) {
        return make_vex(form);
    }
    put_implicit_loads(&code, form);
    put_transfer(&code, vector_reg_file(form->word), false, false);
    if (!form->memory) {
        put_transfer(&code, vector_rm_file(form->word), true, false);
    }
    put_instruction(&code, form);
    put_results(&code, form);
    return (VectorStub *)area_add(&code);
}

static int64_t form_key(const StubForm *form)
{
    return form->opcode | form->map << 8 | form->prefix << 10 | form->w << 12 | form->memory << 13 | (form->extension & 15) << 14 |
           (int64_t)(form->word & VECTOR_IMM8 && !(form->vex & VEX_IS4) ? form->imm : 0) << 20 | (int64_t)form->has_vex << 28 | (int64_t)form->wide << 29;
}

VectorStub *vector_stub(const StubForm *form)
{
    int64_t key = form_key(form);
    VectorStub *stub = NULL;

    g_mutex_lock(&area.lock);
    if (area_open()) {
        stub = (VectorStub *)g_hash_table_lookup(area.vector, &key);
        if (!stub && (stub = make_vector(form))) {
            g_hash_table_insert(area.vector, g_memdup2(&key, sizeof key), (void *)stub);
        }
    }
    g_mutex_unlock(&area.lock);
    return stub;
}

/* ---- x87 --------------------------------------------------------------------------------------------------- */

static bool takes_flags(uint16_t escape)                   /* fcmovCC: DA and DB C0-DF */
{
    return ((escape >> 8) == 2 || (escape >> 8) == 3) && (escape & 0xff) >= 0xc0 && (escape & 0xff) < 0xe0;
}

static bool gives_flags(uint16_t escape)                   /* fcomi, fucomi, fcomip, fucomip: DB and DF E8-F7 */
{
    return ((escape >> 8) == 3 || (escape >> 8) == 7) && (escape & 0xff) >= 0xe8 && (escape & 0xff) < 0xf8;
}

static X87Stub *make_x87(uint16_t escape)
{
    Code code = { .length = 0 };
    unsigned modrm = escape & 0xff;

    if (modrm < 0xc0) {
        modrm = (modrm & 0x38) | 7;                        /* [rdi] */
    } else if (takes_flags(escape)) {
        put(&code, 2, 0x9d56);                             /* push rsi; popfq */
    }
    put(&code, 1, 0xd8 | escape >> 8);
    put(&code, 1, modrm);
    if (gives_flags(escape)) {
        put(&code, 2, 0x589c);                             /* pushfq; pop rax */
    } else {
        put(&code, 2, 0xc031);                             /* xor eax, eax: not STUB_FAULTED */
    }
    put(&code, 1, 0xc3);
    return (X87Stub *)area_add(&code);
}

X87Stub *x87_stub(uint16_t escape)
{
    X87Stub *stub = NULL;

    escape &= 0x7ff;
    g_mutex_lock(&area.lock);
    if (area_open()) {
        stub = area.x87[escape];
        if (!stub) {
            stub = area.x87[escape] = make_x87(escape);
        }
    }
    g_mutex_unlock(&area.lock);
    return stub;
}
