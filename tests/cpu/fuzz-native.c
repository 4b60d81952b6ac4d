/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-native.c - runs one instruction after another on the host, each from a state of its own
 *
 * A child process steps through the batch inside one signal handler: sigreturn loads a case's registers, vector state,
 * code and stack segment and TF (YMM registers in the frame's XSAVE image); the trap or fault after the instruction brings everything back. So a case costs
 * one signal, and 32-bit and 16-bit code need nothing but another CS. The handler touches no thread-local storage: FS is the case's.
 */
#include "tests/cpu/fuzz.h"
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

const FuzzSegment fuzz_segments[LDT_COUNT] = {
    [LDT_CODE16]       = { .base = ARENA, .limit = 0xffff, .type = 11 },
    [LDT_DATA16]       = { .base = ARENA, .limit = 0xffff, .type = 3 },
    [LDT_DATA16_SHORT] = { .base = ARENA + 0x1000, .limit = 0x2fff, .type = 3 },
    [LDT_DATA32]       = { .base = ARENA, .limit = 0x3fff, .type = 3, .big = true },
    [LDT_EXPAND_DOWN]  = { .base = ARENA, .limit = 0x27ff, .type = 7, .big = true },
    [LDT_READ_ONLY]    = { .base = ARENA, .limit = 0xf, .type = 1, .big = true, .pages = true },
    [LDT_CODE32]       = { .base = ARENA, .limit = 0xffff, .type = 11, .big = true },
    [LDT_ABSENT]       = { .base = ARENA, .limit = 0xffff, .type = 3, .absent = true },
};

#define BARE __attribute__((no_sanitize("address", "undefined"), optimize("no-stack-protector", "no-tree-vectorize")))

static FuzzBatch *batch;
static bool with_avx;
static pid_t child;
static int to_child, from_child;

/* Of the child only. */
static struct {
    bool running;
    uint64_t own_fs, own_gs;
    greg_t saved[NGREG];
    uint8_t saved_fx[512];
    uint8_t no_ymm[256];                   /* zeros */
    uint8_t *code;                         /* the code page, writable here */
    uint8_t pattern[DATA_BYTES + PAGE] __attribute__((aligned(16)));    /* the batch's, a copy: a case's pokes go in and out */
} step;

static inline BARE void copy(void *to, const void *from, size_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static inline BARE uint64_t read_fs(void) { uint64_t v; __asm__ volatile("rdfsbase %0" : "=r"(v)); return v; }
static inline BARE uint64_t read_gs(void) { uint64_t v; __asm__ volatile("rdgsbase %0" : "=r"(v)); return v; }
static inline BARE void write_fs(uint64_t v) { __asm__ volatile("wrfsbase %0" : : "r"(v)); }
static inline BARE void write_gs(uint64_t v) { __asm__ volatile("wrgsbase %0" : : "r"(v)); }

static const uint8_t greg_of[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

/* The XSAVE image in the frame: its header behind the legacy area, the upper halves behind that. */
enum { HEADER_STATES = 512, YMM_AT = 576, YMM_BYTES = 256, STATES_AVX = 7, STATES_SSE = 3 };

static BARE void load_case(ucontext_t *context, const FuzzCase *fuzz)
{
    const FuzzState *in = &fuzz->in;
    greg_t *gregs = context->uc_mcontext.gregs;
    uint8_t *fx = (uint8_t *)context->uc_mcontext.fpregs, *data = (uint8_t *)ARENA;

    for (unsigned i = 0; i < 16; i++) {
        gregs[greg_of[i]] = (greg_t)in->gpr[i];
    }
    gregs[REG_RIP] = (greg_t)in->rip;
    gregs[REG_EFL] = (greg_t)(in->rflags | 0x102);
    gregs[REG_CSGSFS] = (greg_t)(in->cs | (uint64_t)in->ss << 48);
    context->uc_flags |= 4 | 2;                            /* UC_STRICT_RESTORE_SS, UC_SIGCONTEXT_SS */
    copy(fx, in->fx, 416);
    uint64_t any = 0;
    for (unsigned i = 0; with_avx && i < YMM_BYTES / 8; i++) {
        any |= ((const uint64_t *)in->ymm)[i];
    }
    if (any) {
        copy(fx + YMM_AT, in->ymm, YMM_BYTES);
    }
    volatile uint64_t *states = (volatile uint64_t *)(fx + HEADER_STATES);
    *states = any ? *states | STATES_AVX : (*states & ~(uint64_t)(STATES_AVX & ~STATES_SSE)) | STATES_SSE;     /* zeros are not in use */

    copy(step.code + fuzz_code_offset(fuzz), fuzz->bytes, fuzz->length);
    for (unsigned i = 0; i < POKES; i++) {
        if (fuzz->poke[i].length) {
            copy(data + fuzz->poke[i].offset, fuzz->poke[i].bytes, fuzz->poke[i].length);
        }
    }
    __asm__ volatile("mov %0, %%ds\n\tmov %1, %%es\n\tmov %2, %%fs\n\tmov %3, %%gs"
                     : : "rm"(in->ds), "rm"(in->es), "rm"(in->fs), "rm"(in->gs) : "memory");
    if (fuzz->mode == MODE_64) {
        write_fs(in->fs_base);
        write_gs(in->gs_base);
    }
}

/* sigreturn keeps some flags of the handler itself: those of the case go in here. */
enum { KEPT_FLAGS = 1 << 14 | 1 << 21 };   /* NT, ID */
static BARE void set_kept_flags(uint64_t flags)
{
    __asm__ volatile("pushfq\n\tandq %0, (%%rsp)\n\torq %1, (%%rsp)\n\tpopfq"
                     : : "r"(~(uint64_t)KEPT_FLAGS), "r"(flags & KEPT_FLAGS) : "memory", "cc");
}

static BARE void note_memory(FuzzOutcome *out, const FuzzCase *fuzz)
{
    uint64_t *data = (uint64_t *)(ARENA + DATA_OFFSET), *before = (uint64_t *)step.pattern;

    out->changes = 0;
    /* Pokes go into the pattern for the comparison and out of both again. */
    uint8_t kept[POKES][POKE_BYTES];
    for (unsigned i = 0; i < POKES; i++) {
        copy(kept[i], step.pattern + fuzz->poke[i].offset - DATA_OFFSET, fuzz->poke[i].length);
        copy(step.pattern + fuzz->poke[i].offset - DATA_OFFSET, fuzz->poke[i].bytes, fuzz->poke[i].length);
    }
    for (unsigned i = 0; i < DATA_BYTES / 8; i++) {
        if (data[i] != before[i]) {
            if (out->changes < CHANGES) {
                out->change[out->changes].offset = DATA_OFFSET + 8 * i;
                out->change[out->changes].value = data[i];
                out->changes++;
            }
            data[i] = before[i];
        }
    }
    for (unsigned i = POKES; i-- > 0;) {
        uint8_t *place = step.pattern + fuzz->poke[i].offset - DATA_OFFSET;
        copy(place, kept[i], fuzz->poke[i].length);
        copy((uint8_t *)ARENA + fuzz->poke[i].offset, kept[i], fuzz->poke[i].length);
    }
}

static BARE void take_outcome(ucontext_t *context, FuzzCase *fuzz)
{
    greg_t *gregs = context->uc_mcontext.gregs;
    FuzzOutcome *out = &fuzz->native;

    for (unsigned i = 0; i < 16; i++) {
        out->state.gpr[i] = (uint64_t)gregs[greg_of[i]];
    }
    out->state.rip = (uint64_t)gregs[REG_RIP];
    out->state.rflags = (uint64_t)gregs[REG_EFL];
    out->state.cs = (uint16_t)gregs[REG_CSGSFS];
    out->state.ss = (uint16_t)((uint64_t)gregs[REG_CSGSFS] >> 48);
    copy(out->state.fx, context->uc_mcontext.fpregs, 416);
    if (with_avx) {                                        /* a component in its initial state need not have been written */
        const uint8_t *image = (const uint8_t *)context->uc_mcontext.fpregs;
        bool there = *(const volatile uint64_t *)(image + HEADER_STATES) & 4;
        copy(out->state.ymm, there ? image + YMM_AT : step.no_ymm, YMM_BYTES);
    }
    out->vector = (int)gregs[REG_TRAPNO];
    out->error = (uint32_t)gregs[REG_ERR];
    out->cr2 = (uint64_t)gregs[REG_CR2];
    if (out->vector == 1) {
        out->vector = -1;
    } else if (out->vector == 3 && out->state.rip == fuzz->in.rip + fuzz->length + 1) {
        out->vector = -1;                                  /* the padding behind an instruction that put off or cleared TF */
        out->state.rip--;
    }
    note_memory(out, fuzz);
    for (unsigned i = 0; i < fuzz->length; i++) {
        step.code[fuzz_code_offset(fuzz) + i] = 0xcc;
    }
}

static BARE void handler(int number, siginfo_t *info, void *frame)
{
    ucontext_t *context = frame;
    uint64_t fs = read_fs(), gs = read_gs();
    uint16_t ds, es, fs_selector, gs_selector;

    (void)number, (void)info;
    __asm__ volatile("mov %%ds, %0\n\tmov %%es, %1\n\tmov %%fs, %2\n\tmov %%gs, %3" : "=r"(ds), "=r"(es), "=r"(fs_selector), "=r"(gs_selector));
    if (step.running) {
        FuzzCase *fuzz = &batch->cases[batch->current];
        uint64_t here = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
        if (context->uc_mcontext.gregs[REG_TRAPNO] == 1 && fuzz->repeats && here == fuzz->in.rip) {
            return;                                        /* one iteration done */
        }
        FuzzState *state = &fuzz->native.state;
        state->ds = ds, state->es = es, state->fs = fs_selector, state->gs = gs_selector;
        state->fs_base = fs, state->gs_base = gs;
        take_outcome(context, fuzz);
        batch->current++;
    } else {
        step.own_fs = fs, step.own_gs = gs;
        copy(step.saved, context->uc_mcontext.gregs, sizeof step.saved);
        copy(step.saved_fx, context->uc_mcontext.fpregs, 416);
        step.running = true;
    }
    if (batch->current < batch->count) {
        set_kept_flags(batch->cases[batch->current].in.rflags);
        load_case(context, &batch->cases[batch->current]);
        return;
    }
    set_kept_flags(0);
    copy(context->uc_mcontext.gregs, step.saved, sizeof step.saved);
    copy(context->uc_mcontext.fpregs, step.saved_fx, 416);
    uint16_t zero = 0;
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%fs\n\tmov %0, %%gs" : : "rm"(zero) : "memory");
    write_fs(step.own_fs);
    write_gs(step.own_gs);
    step.running = false;
}

static void make_arena(void)
{
    uint8_t *arena = (uint8_t *)ARENA;
    int fd = memfd_create("fuzz-code", 0);

    if (fd < 0 || ftruncate(fd, PAGE)) {
        _exit(2);
    }
    step.code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (step.code == MAP_FAILED) {
        _exit(2);
    }
    memset(step.code, 0xcc, PAGE);
    if (mmap(arena, ARENA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != arena ||
        mmap(arena + CODE_OFFSET, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
        mprotect(arena + DATA_OFFSET, DATA_BYTES + PAGE, PROT_READ | PROT_WRITE)) {
        _exit(2);
    }
}

static bool make_ldt(void)
{
    for (unsigned i = 0; i < LDT_COUNT; i++) {
        const FuzzSegment *segment = &fuzz_segments[i];
        struct user_desc entry = {
            .entry_number = i, .base_addr = segment->base, .limit = segment->limit, .seg_32bit = segment->big,
            .contents = segment->type >> 2, .read_exec_only = !(segment->type & 2), .limit_in_pages = segment->pages,
            .seg_not_present = segment->absent, .useable = 0,
        };
        if (syscall(SYS_modify_ldt, 1, &entry, sizeof entry) != 0) {
            return false;
        }
    }
    return true;
}

static void child_main(bool with_ldt, int in, int out)
{
    static uint8_t stack[256 << 10] __attribute__((aligned(64)));
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    static const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    char byte = 'y';

    cpu_set_t first;

    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof first, &first);            /* selector 78h tells the processor's number: zero, as in fuzz-soft.c */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    make_arena();
    if (with_ldt && !make_ldt()) {
        byte = 'n';
    }
    sigaltstack(&alternate, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaction(signals[i], &action, NULL);
    }
    if (write(out, &byte, 1) != 1) {
        _exit(1);
    }
    while (read(in, &byte, 1) == 1) {
        mprotect((void *)(ARENA + READ_ONLY_OFFSET), PAGE, PROT_READ | PROT_WRITE);
        memcpy((void *)(ARENA + DATA_OFFSET), batch->pattern, sizeof batch->pattern);
        memcpy(step.pattern, batch->pattern, sizeof step.pattern);
        mprotect((void *)(ARENA + READ_ONLY_OFFSET), PAGE, PROT_READ);
        batch->current = 0;
        __asm__ volatile("int3" : : : "memory");
        if (write(out, &byte, 1) != 1) {
            break;
        }
    }
    _exit(0);
}

/* XGETBV: does the kernel keep YMM registers? */
bool native_has_avx(void)
{
    uint32_t eax, edx;

    if (!__builtin_cpu_supports("avx")) {
        return false;
    }
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return (eax & STATES_AVX) == STATES_AVX;
}

const char *native_open(bool with_ldt)
{
    int down[2], up[2];
    char answer = 0;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return "a sanitizer's shadow lies where the cases expect nothing";
#endif
    if (!(getauxval(AT_HWCAP2) & 2)) {
        return "the kernel does not let user code set FS and GS bases";
    }
    batch = mmap(NULL, sizeof *batch, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (batch == MAP_FAILED || pipe(down) || pipe(up)) {
        return "no memory or pipes for the child";
    }
    with_avx = native_has_avx();
    child = fork();
    if (child == 0) {
        close(down[1]);
        close(up[0]);
        child_main(with_ldt, down[0], up[1]);
    }
    close(down[0]);
    close(up[1]);
    to_child = down[1], from_child = up[0];
    if (child < 0 || read(from_child, &answer, 1) != 1) {
        return "no child process, or its arena's address is taken";
    }
    return answer == 'y' ? NULL : "modify_ldt is not available";
}

FuzzBatch *native_batch(void) { return batch; }

void native_start(void)
{
    if (write(to_child, "g", 1) != 1) {
        fprintf(stderr, "fuzz: the child is gone\n");
    }
}

bool native_wait(void)
{
    struct pollfd up = { .fd = from_child, .events = POLLIN };
    char byte;

    if (poll(&up, 1, 20000) == 0) {
        kill(child, SIGKILL);              /* it runs on and on: told as if it had died */
        return false;
    }
    return read(from_child, &byte, 1) == 1;
}

void native_close(void)
{
    close(to_child);
    close(from_child);
    if (child > 0) {
        waitpid(child, NULL, 0);
    }
    munmap(batch, sizeof *batch);
}
