/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threads.c - several processors over the same memory: what one writes, the others execute
 */
#include "tests/cpu/harness.h"
#include "accel/soft/code-page.h"

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    first = harness_new(8, 0);
    g_test_add_func("/threads/each-store", test_each_store);
    g_test_add_func("/threads/write-entry-lost", test_write_entry_lost);
    g_test_add_func("/threads/overflow", test_overflow);
    g_test_add_func("/threads/many", test_many);
    int result = g_test_run();
    harness_free(first);
    return result;
}
