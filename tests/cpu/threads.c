/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads.c - several processors over the same memory: what one writes the others execute, and the order they see (x86-TSO)
 *
 * The first tests take turns on one thread. The others give each processor a thread, for a second or so each. A round of a litmus test begins
 * with a barrier among the guests and works on two cache lines of its own, X at (%rbx) and Y at 64(%rbx); it leaves two
 * answers in eax and edx. What TSO forbids must never be seen; what it allows need not be, since the host may be busy.
 */
#include "tests/cpu/harness.h"
#include "accel/soft/code-page.h"
#include <pthread.h>
#include <string.h>

#ifdef __SANITIZE_THREAD__
/* What guests do to each other's memory is theirs; GLib's mutexes are not seen by the sanitizer. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:host_load\nrace:host_store\nrace:still_good\nrace:add_instruction\nrace:mmu_split_\nrace:move16_\nrace:area_add\n";
}
#endif

enum { OTHER_CODE = 0x9000, PATCHED = 0xa000, DATA = 0x20000, PAGE_BYTES = 4096 };

static Harness *first;

static SoftCpu *another(void)
{
    SoftCpu *cpu = soft_new(first->memory, first->ports, NULL);

    g_assert_nonnull(cpu);
    soft_set_flat(cpu, 8, 0, HARNESS_TABLES);
    return cpu;
}

/* Tells all, as a loader does. */
static void put(uint64_t at, const void *bytes, size_t length)
{
    memcpy(first->bytes + at, bytes, length);
    ram_code_written(first->ram.ram, at, length);
}

static void run_at(SoftCpu *cpu, uint64_t rip)
{
    cpu->rip = rip;
    cpu->activity = CPU_RUNNABLE;
    g_assert_cmpint(soft_run_fast(cpu), ==, SOFT_HALTED);
}

static uint64_t owners_of(uint64_t at)
{
    return block_page_has_code(first->ram.ram, at);
}

/* Both know the code; the first changes an immediate of it, by each way there is to store. */
static void test_each_store(void)
{
    SoftCpu *second = another();

    put(PATCHED, SNIPPET(64, "mov $1, %eax\n hlt"));
    harness_code(first, SNIPPET(64, "mov %al, (%rdi)\n hlt"));
    put(OTHER_CODE, SNIPPET(64, "lock addb %al, (%rdi)\n hlt"));
    put(OTHER_CODE + 16, SNIPPET(64, "movups (%rsi), %xmm1\n movups %xmm1, -1(%rdi)\n hlt"));
    put(OTHER_CODE + 64, SNIPPET(64, "mov $8, %ecx\n lea -1(%rdi), %rdi\n rep movsb\n hlt"));
    for (unsigned round = 0; round < 400; round++) {
        unsigned way = round % 4, value = round * 7 & 0x7f;
        static const uint64_t entries[] = { HARNESS_CODE, OTHER_CODE, OTHER_CODE + 16, OTHER_CODE + 64 };

        run_at(second, PATCHED);
        run_at(first->cpu, PATCHED);
        uint8_t before = first->bytes[PATCHED + 1];
        g_assert_cmpuint(second->gpr[GPR_RAX], ==, before);
        first->cpu->gpr[GPR_RDI] = PATCHED + 1, first->cpu->gpr[GPR_RSI] = DATA;
        memcpy(first->bytes + DATA, first->bytes + PATCHED, 16);
        first->cpu->gpr[GPR_RAX] = way == 1 ? (uint8_t)(value - before) : value;
        if (way >= 2) {
            first->bytes[DATA + 1] = (uint8_t)value;
        }
        run_at(first->cpu, entries[way]);
        g_assert_cmpuint(first->bytes[PATCHED + 1], ==, value);
        run_at(second, PATCHED);
        g_assert_cmpuint(second->gpr[GPR_RAX], ==, value);
        run_at(first->cpu, PATCHED);
        g_assert_cmpuint(first->cpu->gpr[GPR_RAX], ==, value);
    }
    soft_free(second);
}

/* A page that only the second executes from: the first has a write entry when it becomes code, and must lose it. */
static void test_write_entry_lost(void)
{
    SoftCpu *second = another();

    harness_code(first, SNIPPET(64, "mov %al, (%rdi)\n hlt"));
    for (unsigned round = 0; round < 40; round++) {
        uint64_t page = 0x30000 + round * PAGE_BYTES;

        memcpy(first->bytes + page, SNIPPET(64, "mov $1, %eax\n hlt"));
        first->cpu->gpr[GPR_RDI] = page + 0x800;
        run_at(first->cpu, HARNESS_CODE);
        run_at(second, page);
        g_assert_true(owners_of(page));
        first->cpu->gpr[GPR_RDI] = page + 1, first->cpu->gpr[GPR_RAX] = round;
        run_at(first->cpu, HARNESS_CODE);
        run_at(second, page);
        g_assert_cmpuint(second->gpr[GPR_RAX], ==, round);
    }
    soft_free(second);
    for (unsigned round = 0; round < 40; round++) {
        g_assert_false(owners_of(0x30000 + round * PAGE_BYTES));
    }
}

/* More pages than the ring holds, and more writes than the list: then everything is forgotten, and nothing is missed. */
static void test_overflow(void)
{
    enum { PAGES = 700, FROM = 0x200000 };
    SoftCpu *second = another();

    harness_code(first, SNIPPET(64, "mov %al, (%rdi)\n hlt"));
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t page = FROM + i * PAGE_BYTES;

        put(page, SNIPPET(64, "mov $1, %eax\n hlt"));
        first->cpu->gpr[GPR_RDI] = page + 0x800;
        run_at(first->cpu, HARNESS_CODE);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        run_at(second, FROM + i * PAGE_BYTES);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        first->cpu->gpr[GPR_RDI] = FROM + i * PAGE_BYTES + 1, first->cpu->gpr[GPR_RAX] = (uint8_t)(i % 100 + 2);
        run_at(first->cpu, HARNESS_CODE);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        run_at(second, FROM + i * PAGE_BYTES);
        g_assert_cmpuint(second->gpr[GPR_RAX], ==, i % 100 + 2);
    }
    soft_free(second);
}

/* More processors than there are bits in the word. */
static void test_many(void)
{
    enum { MANY = 70 };
    SoftCpu *cpus[MANY];

    put(PATCHED, SNIPPET(64, "mov $1, %eax\n hlt"));
    harness_code(first, SNIPPET(64, "mov %al, (%rdi)\n hlt"));
    for (unsigned i = 0; i < MANY; i++) {
        cpus[i] = another();
        run_at(cpus[i], PATCHED);
    }
    for (unsigned round = 0; round < 3; round++) {
        first->cpu->gpr[GPR_RDI] = PATCHED + 1, first->cpu->gpr[GPR_RAX] = 20 + round;
        run_at(first->cpu, HARNESS_CODE);
        for (unsigned i = 0; i < MANY; i++) {
            run_at(cpus[i], PATCHED);
            g_assert_cmpuint(cpus[i]->gpr[GPR_RAX], ==, 20 + round);
        }
    }
    for (unsigned i = 0; i < MANY; i++) {
        soft_free(cpus[i]);
    }
}

/* ---- threads ------------------------------------------------------------------------------------------------------------ */

enum { MOST = 4, ROUNDS = 2000, LINES = 0x400000, ANSWERS = 0x800000, BARRIER = 0x300000, PROGRAMS = 0x310000, STACKS = 0x380000, SHARED = 0x390000,
       TENTHS = 4 /* of a second for each */ };

typedef struct Piece { const void *bytes; size_t length; } Piece;

static SoftCpu *team[MOST];

static void *run_until_halted(void *opaque)
{
    SoftStop stop;

    while ((stop = soft_run_fast(opaque)) == SOFT_DONE) {
    }
    return GINT_TO_POINTER(stop);
}

/* All at once; each must halt. */
static void run_team(unsigned count)
{
    pthread_t threads[MOST];

    for (unsigned i = 0; i < count; i++) {
        team[i]->activity = CPU_RUNNABLE;
        g_assert_cmpint(pthread_create(&threads[i], NULL, run_until_halted, team[i]), ==, 0);
    }
    for (unsigned i = 0; i < count; i++) {
        void *stop;

        pthread_join(threads[i], &stop);
        g_assert_cmpint(GPOINTER_TO_INT(stop), ==, SOFT_HALTED);
    }
}

/* Barrier, body, answers, again. */
static void load_program(unsigned i, Piece body)
{
    Piece begin = { SNIPPET(64, "add %r11, %r13\n lock incq (%r12)\n 1: cmp %r13, (%r12)\n jae 2f\n pause\n jmp 1b\n 2: xor %eax, %eax\n xor %edx, %edx") };
    Piece end = { SNIPPET(64, "mov %eax, (%rdi)\n mov %edx, 4(%rdi)\n add $8, %rdi\n add $128, %rbx\n dec %r14\n jz 1f\n jmp *%r15\n 1: hlt") };
    uint64_t at = PROGRAMS + i * PAGE_BYTES;

    put(at, begin.bytes, begin.length);
    put(at + begin.length, body.bytes, body.length);
    put(at + begin.length + body.length, end.bytes, end.length);
}

static void begin_round(unsigned count)
{
    memset(first->bytes + LINES, 0, ROUNDS * 128);
    memset(first->bytes + BARRIER, 0, 8);
    for (unsigned i = 0; i < count; i++) {
        uint64_t *gpr = team[i]->gpr;

        team[i]->rip = gpr[GPR_R8 + 7] = PROGRAMS + i * PAGE_BYTES;
        gpr[GPR_RBX] = LINES, gpr[GPR_RDI] = ANSWERS + i * ROUNDS * 8, gpr[GPR_R8 + 3] = count, gpr[GPR_R8 + 4] = BARRIER, gpr[GPR_R8 + 5] = 0;
        gpr[GPR_R8 + 6] = ROUNDS, gpr[GPR_RSP] = STACKS + i * 0x1000 + 0x800;
    }
}

static uint32_t answer(unsigned cpu, unsigned round, unsigned which)
{
    return *(uint32_t *)(void *)(first->bytes + ANSWERS + cpu * ROUNDS * 8 + round * 8 + which * 4);
}

static bool enough(gint64 since) { return g_get_monotonic_time() - since > TENTHS * 100000; }

/* seen: did this round show what is forbidden (or, where nothing is, worth a remark)? */
static unsigned litmus(unsigned count, const Piece *bodies, bool (*seen)(unsigned round))
{
    gint64 since = g_get_monotonic_time();
    unsigned times = 0;

    for (unsigned i = 0; i < count; i++) {
        load_program(i, bodies[i]);
    }
    do {
        begin_round(count);
        run_team(count);
        for (unsigned round = 0; round < ROUNDS; round++) {
            times += seen(round);
        }
    } while (!enough(since));
    return times;
}

static bool both_zero(unsigned round) { return !answer(0, round, 0) && !answer(1, round, 0); }
static bool both_one(unsigned round) { return answer(0, round, 0) == 1 && answer(1, round, 0) == 1; }
static bool late_then_early(unsigned round) { return answer(1, round, 0) == 1 && answer(1, round, 1) == 0; }
static bool orders_differ(unsigned round)
{
    return answer(2, round, 0) == 1 && answer(2, round, 1) == 0 && answer(3, round, 0) == 1 && answer(3, round, 1) == 0;
}

static void test_store_buffer(void)
{
    Piece plain[] = { { SNIPPET(64, "movl $1, (%rbx)\n mov 64(%rbx), %eax") }, { SNIPPET(64, "movl $1, 64(%rbx)\n mov (%rbx), %eax") } };
    Piece fenced[] = { { SNIPPET(64, "movl $1, (%rbx)\n mfence\n mov 64(%rbx), %eax") },
                       { SNIPPET(64, "movl $1, 64(%rbx)\n mfence\n mov (%rbx), %eax") } };
    Piece locked[] = { { SNIPPET(64, "movl $1, (%rbx)\n lock addl $0, (%rsp)\n mov 64(%rbx), %eax") },
                       { SNIPPET(64, "mov $1, %ecx\n xchg %ecx, 64(%rbx)\n mov (%rbx), %eax") } };
    Piece serial[] = { { SNIPPET(64, "movl $1, (%rbx)\n push %rbx\n xor %ecx, %ecx\n cpuid\n pop %rbx\n xor %edx, %edx\n mov 64(%rbx), %eax") },
                       { SNIPPET(64, "movl $1, 64(%rbx)\n mov %cr3, %rax\n mov %rax, %cr3\n mov (%rbx), %eax") } };

    g_test_message("store buffering without a fence: seen %u times", litmus(2, plain, both_zero));
    g_assert_cmpuint(litmus(2, fenced, both_zero), ==, 0);
    g_assert_cmpuint(litmus(2, locked, both_zero), ==, 0);
    g_assert_cmpuint(litmus(2, serial, both_zero), ==, 0);
}

static void test_message_passing(void)
{
    Piece bodies[] = { { SNIPPET(64, "movl $1, (%rbx)\n movl $1, 64(%rbx)") }, { SNIPPET(64, "mov 64(%rbx), %eax\n mov (%rbx), %edx") } };
    Piece wide[] = { { SNIPPET(64, "pcmpeqd %xmm0, %xmm0\n psrld $31, %xmm0\n movups %xmm0, (%rbx)\n movups %xmm0, 64(%rbx)") },
                     { SNIPPET(64, "movups 64(%rbx), %xmm0\n movups (%rbx), %xmm1\n movd %xmm0, %eax\n movd %xmm1, %edx") } };

    g_assert_cmpuint(litmus(2, bodies, late_then_early), ==, 0);
    g_assert_cmpuint(litmus(2, wide, late_then_early), ==, 0);
}

static void test_load_buffer(void)
{
    Piece bodies[] = { { SNIPPET(64, "mov (%rbx), %eax\n movl $1, 64(%rbx)") }, { SNIPPET(64, "mov 64(%rbx), %eax\n movl $1, (%rbx)") } };

    g_assert_cmpuint(litmus(2, bodies, both_one), ==, 0);
}

static void test_independent_readers(void)
{
    Piece bodies[] = { { SNIPPET(64, "movl $1, (%rbx)") }, { SNIPPET(64, "movl $1, 64(%rbx)") },
                       { SNIPPET(64, "mov (%rbx), %eax\n mov 64(%rbx), %edx") }, { SNIPPET(64, "mov 64(%rbx), %eax\n mov (%rbx), %edx") } };

    g_assert_cmpuint(litmus(4, bodies, orders_differ), ==, 0);
}

/* ---- atomic operations ------------------------------------------------------------------------------------------------------- */

enum { COUNTS = 60000 };

/* Both run the same: r14 times, on the counter at (%rbx). */
static uint64_t count_together(uint64_t at, const void *code, size_t length)
{
    put(PROGRAMS, code, length);
    memset(first->bytes + at, 0, 16);
    for (unsigned i = 0; i < 2; i++) {
        team[i]->rip = PROGRAMS;
        team[i]->gpr[GPR_R8 + 6] = COUNTS, team[i]->gpr[GPR_RBX] = at, team[i]->gpr[GPR_RSP] = STACKS + i * 0x1000 + 0x800;
    }
    run_team(2);
    return *(uint64_t *)(void *)(first->bytes + at);
}

static void test_increments(void)
{
    static const uint64_t places[] = { SHARED, SHARED + 60, SHARED + 4094 };         /* a cache line, two of them, two pages */

    for (unsigned i = 0; i < 3; i++) {
        uint64_t at = places[i];

        g_assert_cmpuint(count_together(at, SNIPPET(64, "1: lock incl (%rbx)\n dec %r14\n jnz 1b\n hlt")), ==, 2 * COUNTS);
        g_assert_cmpuint(count_together(at, SNIPPET(64, "1: lock addl $3, (%rbx)\n dec %r14\n jnz 1b\n hlt")), ==, 6 * COUNTS);
        g_assert_cmpuint(count_together(at, SNIPPET(64, "1: mov $1, %eax\n lock xadd %eax, (%rbx)\n dec %r14\n jnz 1b\n hlt")), ==, 2 * COUNTS);
        g_assert_cmpuint(count_together(at, SNIPPET(64, "1: mov (%rbx), %eax\n 2: lea 1(%rax), %ecx\n lock cmpxchg %ecx, (%rbx)\n jne 2b\n"
                                                        "dec %r14\n jnz 1b\n hlt")), ==, 2 * COUNTS);
        g_assert_cmpuint(count_together(at, SNIPPET(64, "1: lock btcl $0, (%rbx)\n dec %r14\n jnz 1b\n hlt")), ==, 0);
    }
    g_test_message("plain increments: %" G_GUINT64_FORMAT " of %u", count_together(SHARED, SNIPPET(64, "1: incl (%rbx)\n dec %r14\n jnz 1b\n hlt")), 2 * COUNTS);
}

/* A lock made of xchg, with an ordinary store to open it. */
static void test_spin_lock(void)
{
    g_assert_cmpuint(count_together(SHARED, SNIPPET(64, "1: mov $1, %eax\n 2: xchg %eax, 64(%rbx)\n test %eax, %eax\n jz 3f\n 4: pause\n cmpl $0, 64(%rbx)\n"
                                                        "jne 4b\n jmp 1b\n 3: incl (%rbx)\n movl $0, 64(%rbx)\n dec %r14\n jnz 1b\n hlt")), ==, 2 * COUNTS);
}

static void test_compare_16(void)
{
    uint64_t low = count_together(SHARED, SNIPPET(64, "mov %rbx, %rsi\n 1: mov (%rsi), %rax\n mov 8(%rsi), %rdx\n 2: lea 1(%rax), %rbx\n lea 1(%rdx), %rcx\n"
                                                      "lock cmpxchg16b (%rsi)\n jne 2b\n dec %r14\n jnz 1b\n hlt"));

    g_assert_cmpuint(low, ==, 2 * COUNTS);
    g_assert_cmpuint(*(uint64_t *)(void *)(first->bytes + SHARED + 8), ==, 2 * COUNTS);
}

/* Eight aligned bytes are written and read in one piece: the reader halts with rax neither 0 nor all ones when not. */
static void test_whole_words(void)
{
    put(PROGRAMS, SNIPPET(64, "1: mov (%rbx), %rax\n lea 1(%rax), %rcx\n cmp $1, %rcx\n ja 2f\n dec %r14\n jnz 1b\n xor %eax, %eax\n 2: hlt"));
    put(PROGRAMS + PAGE_BYTES, SNIPPET(64, "1: notq (%rbx)\n dec %r14\n jnz 1b\n hlt"));
    memset(first->bytes + SHARED, 0, 8);
    for (unsigned i = 0; i < 2; i++) {
        team[i]->rip = PROGRAMS + i * PAGE_BYTES;
        team[i]->gpr[GPR_R8 + 6] = COUNTS * 10, team[i]->gpr[GPR_RBX] = SHARED;
    }
    run_team(2);
    g_assert_cmpuint(team[0]->gpr[GPR_RAX], ==, 0);
}

/* ---- code that another processor changes --------------------------------------------------------------------------------------- */

enum { CHANGED = 0x318000, FLAG = 0x319000, ACK = 0x319040 };

/* The second writes the number of the round into "mov $imm, %eax" and says so; the first serializes, runs it, and finds that number. */
static void change_code(const void *store, size_t length)
{
    Piece flag = { SNIPPET(64, "mov %ebp, (%rsi)\n 1: cmp %ebp, 64(%rsi)\n je 2f\n pause\n jmp 1b\n 2: inc %ebp\n dec %r14\n jz 3f\n jmp *%r15\n 3: hlt") };
    uint64_t at = PROGRAMS + PAGE_BYTES;

    put(CHANGED, SNIPPET(64, ".byte 0xb8, 0, 0, 0, 0\n ret"));
    put(PROGRAMS, SNIPPET(64, "1: cmp %ebp, (%rsi)\n je 2f\n pause\n jmp 1b\n 2: push %rbx\n xor %eax, %eax\n cpuid\n pop %rbx\n call *%rbx\n"
                              "cmp %ebp, %eax\n jne 3f\n mov %ebp, 64(%rsi)\n inc %ebp\n dec %r14\n jnz 1b\n 3: hlt"));
    put(at, store, length);
    put(at + length, flag.bytes, flag.length);
    memset(first->bytes + FLAG, 0, 128);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t *gpr = team[i]->gpr;

        team[i]->rip = gpr[GPR_R8 + 7] = PROGRAMS + i * PAGE_BYTES;
        gpr[GPR_RBX] = CHANGED, gpr[GPR_RSI] = FLAG, gpr[GPR_RBP] = 1, gpr[GPR_R8 + 6] = ROUNDS, gpr[GPR_RSP] = STACKS + i * 0x1000 + 0x800;
    }
    /* should the first find a wrong number it halts, and the second would wait for ever: the number it acknowledges last says so */
    pthread_t writer;
    g_assert_cmpint(pthread_create(&writer, NULL, run_until_halted, (team[1]->activity = CPU_RUNNABLE, team[1])), ==, 0);
    team[0]->activity = CPU_RUNNABLE;
    run_until_halted(team[0]);
    g_assert_cmpuint(team[0]->gpr[GPR_R8 + 6], ==, 0);
    pthread_join(writer, NULL);
}

static void test_cross_modifying(void)
{
    change_code(SNIPPET(64, "mov %ebp, 1(%rbx)"));
    change_code(SNIPPET(64, "mov %ebp, %eax\n xchg %eax, 1(%rbx)"));
    change_code(SNIPPET(64, "mov $1, %eax\n lock xadd %eax, 1(%rbx)"));
    change_code(SNIPPET(64, "push %rsi\n push %rbp\n mov %rsp, %rsi\n lea 1(%rbx), %rdi\n mov $4, %ecx\n rep movsb\n pop %rbp\n pop %rsi"));
}

/* The same bytes are written as data, all the time, while others execute from that page: whatever is run is old or new, and it ends. */
static void test_data_beside_code(void)
{
    put(CHANGED, SNIPPET(64, "inc %eax\n ret"));
    put(PROGRAMS, SNIPPET(64, "1: call *%rbx\n dec %r14\n jnz 1b\n hlt"));
    put(PROGRAMS + PAGE_BYTES, SNIPPET(64, "1: incl 0x800(%rbx)\n movb $0xff, (%rbx)\n dec %r14\n jnz 1b\n hlt"));
    for (unsigned i = 0; i < 2; i++) {
        team[i]->rip = PROGRAMS + i * PAGE_BYTES;
        team[i]->gpr[GPR_RAX] = 0, team[i]->gpr[GPR_RBX] = CHANGED, team[i]->gpr[GPR_R8 + 6] = COUNTS, team[i]->gpr[GPR_RSP] = STACKS + i * 0x1000 + 0x800;
    }
    *(uint32_t *)(void *)(first->bytes + CHANGED + 0x800) = 0;
    run_team(2);
    g_assert_cmpuint((uint32_t)team[0]->gpr[GPR_RAX], ==, COUNTS);
    g_assert_cmpuint(*(uint32_t *)(void *)(first->bytes + CHANGED + 0x800), ==, COUNTS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    first = harness_new(8, 0);
    g_test_add_func("/threads/each-store", test_each_store);
    g_test_add_func("/threads/write-entry-lost", test_write_entry_lost);
    g_test_add_func("/threads/overflow", test_overflow);
    g_test_add_func("/threads/many", test_many);
    for (unsigned i = 0; i < MOST; i++) {
        team[i] = another();
    }
    g_test_add_func("/threads/store-buffer", test_store_buffer);
    g_test_add_func("/threads/message-passing", test_message_passing);
    g_test_add_func("/threads/load-buffer", test_load_buffer);
    g_test_add_func("/threads/independent-readers", test_independent_readers);
    g_test_add_func("/threads/increments", test_increments);
    g_test_add_func("/threads/spin-lock", test_spin_lock);
    g_test_add_func("/threads/compare-16", test_compare_16);
    g_test_add_func("/threads/whole-words", test_whole_words);
    g_test_add_func("/threads/cross-modifying", test_cross_modifying);
    g_test_add_func("/threads/data-beside-code", test_data_beside_code);
    int result = g_test_run();
    for (unsigned i = 0; i < MOST; i++) {
        soft_free(team[i]);
    }
    harness_free(first);
    return result;
}
