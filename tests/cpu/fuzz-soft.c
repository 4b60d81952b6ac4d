/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-soft.c - the same instruction on the software CPU: long mode, CPL 3, the arena and Linux's descriptor tables
 */
#include "accel/soft/block.h"
#include "accel/soft/flags.h"
#include "accel/soft/fpu.h"
#include "accel/soft/mmu.h"
#include "accel/soft/soft.h"
#include "accel/soft/walk.h"
#include "base/lock.h"
#include "tests/cpu/fuzz.h"

/* Supervisor pages: GDT, LDT, TSS and the top of a stack in the first, the IDT in the second, handlers in the third. */
enum {
    RAM_BYTES = 16 << 20, TABLES = 0x100000, ARENA_RAM = 0x400000, GDT_RAM = 0x200000, LDT_RAM = 0x200800, TSS_RAM = 0x200900,
    STACK_RAM = 0x201000, IDT_RAM = 0x201000, HANDLERS_RAM = 0x202000,
};
#define TABLES_LINEAR UINT64_C(0xffffff8000000000)
#define LINEAR(ram) (TABLES_LINEAR + ((ram) - GDT_RAM))
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40 };
#define PTE_NX (UINT64_C(1) << 63)

static struct {
    Region root, ram, ports_root;
    AddressSpace *memory, *ports;
    SoftCpu *cpu;
    uint8_t *host;
} soft;

/* As Linux lays it out; user code cannot see more of it than these. */
static const uint64_t gdt[16] = {
    [1] = 0x00cf9b000000ffff, [2] = 0x00af9b000000ffff, [3] = 0x00cf93000000ffff,
    [4] = 0x00cffb000000ffff, [5] = 0x00cff3000000ffff, [6] = 0x00affb000000ffff,
    [15] = 0x0000f50000000000,             /* its limit is the number of the processor */
};

static uint64_t ldt_descriptor(const FuzzSegment *segment)
{
    uint64_t access = 0x10 | 0x60 | segment->type | (segment->absent ? 0 : 0x80) | (segment->big ? 0x4000 : 0) | (segment->pages ? 0x8000 : 0);

    /* Linux sets the accessed bit. */
    access |= 1;
    return (segment->limit & 0xffff) | (uint64_t)(segment->base & 0xffffff) << 16 | (access & 0xf0ff) << 40 |
           (uint64_t)(segment->limit >> 16 & 0xf) << 48 | (uint64_t)(segment->base >> 24) << 56;
}

static void put64(uint64_t address, uint64_t value) { memcpy(soft.host + address, &value, sizeof value); }

static void make_tables(void)
{
    const uint64_t table = PTE_P | PTE_W | PTE_U | PTE_A;
    const uint64_t pml4 = TABLES, pdpt = TABLES + 0x1000, directory = TABLES + 0x2000, arena = TABLES + 0x3000, system = TABLES + 0x4000;

    put64(pml4, pdpt | table);
    put64(pdpt, directory | table);
    put64(directory + (ARENA >> 21) * 8, arena | table);
    put64(pml4 + 511 * 8, (TABLES + 0x5000) | table);
    put64(TABLES + 0x5000, (TABLES + 0x6000) | table);
    put64(TABLES + 0x6000, system | table);
    for (unsigned page = 0; page < 3; page++) {
        put64(system + 8 * page, (GDT_RAM + page * PAGE) | PTE_P | PTE_W | PTE_A | PTE_D);
    }
    put64(TSS_RAM + 4, LINEAR(STACK_RAM));
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t handler = LINEAR(HANDLERS_RAM) + 8 * vector, access = vector == 3 || vector == 4 ? 0xee00 : 0x8e00;
        put64(IDT_RAM + 16 * vector, (handler & 0xffff) | 0x10 << 16 | access << 32 | (handler >> 16 & 0xffff) << 48);
        put64(IDT_RAM + 16 * vector + 8, handler >> 32);
    }
    for (unsigned page = 0; page < ARENA_BYTES / PAGE; page++) {
        unsigned offset = page * PAGE;
        uint64_t entry = (ARENA_RAM + offset) | PTE_U | PTE_A | PTE_D;
        if (offset == CODE_OFFSET) {
            entry |= PTE_P;
        } else if (offset >= DATA_OFFSET && offset < DATA_OFFSET + DATA_BYTES) {
            entry |= PTE_P | PTE_W | PTE_NX;
        } else if (offset == READ_ONLY_OFFSET) {
            entry |= PTE_P | PTE_NX;
        } else {
            entry = 0;
        }
        put64(arena + page * 8, entry);
    }
    memcpy(soft.host + GDT_RAM, gdt, sizeof gdt);
    for (unsigned i = 0; i < LDT_COUNT; i++) {
        put64(LDT_RAM + 8 * i, ldt_descriptor(&fuzz_segments[i]));
    }
    memset(soft.host + ARENA_RAM + CODE_OFFSET, 0xcc, PAGE);
}

/* What no case changes: paging, tables, the control registers as Linux has them. */
static void set_system(SoftCpu *cpu, bool with_avx)
{
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr3 = TABLES;
    cpu->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    cpu->xcr0 = with_avx ? XCR0_X87 | XCR0_SSE | XCR0_AVX : XCR0_X87 | XCR0_SSE;
    cpu->long_mode = true;
    cpu->gdt_base = TABLES_LINEAR, cpu->gdt_limit = sizeof gdt - 1;
    cpu->idt_base = LINEAR(IDT_RAM), cpu->idt_limit = 0xfff;
    cpu->tr = (CpuSegment){ .selector = 0x40, .base = LINEAR(TSS_RAM), .limit = 0x67, .attributes = 0x8b };
    cpu->ldt = (CpuSegment){ .selector = 0x50, .base = TABLES_LINEAR + (LDT_RAM - GDT_RAM), .limit = LDT_COUNT * 8 - 1, .attributes = 0x82 };
    walk_update_mode(cpu);
    tlb_flush_all(cpu);
}

bool soft_open(bool with_avx, bool translate)
{
    GError *err = NULL;

    machine_lock();
    region_init_container(&soft.root, "memory", UINT64_MAX);
    region_init_container(&soft.ports_root, "ports", 0x10000);
    if (!region_init_ram(&soft.ram, "ram", RAM_BYTES, &err)) {
        fprintf(stderr, "fuzz: %s\n", err->message);
        return false;
    }
    region_add(&soft.root, 0, &soft.ram, 0);
    soft.memory = space_new("memory", &soft.root);
    soft.ports = space_new("ports", &soft.ports_root);
    machine_unlock();
    soft.host = region_host(&soft.ram);
    soft.cpu = soft_new(soft.memory, soft.ports, NULL);
    if (!soft.cpu || (translate && !soft_translate(soft.cpu))) {
        return false;
    }
    make_tables();
    set_system(soft.cpu, with_avx);
    CpuidConfig host;
    cpuid_of_host(&host);                  /* some instructions differ by vendor */
    soft.cpu->sys.intel = strcmp(host.vendor, "GenuineIntel") == 0;
    return true;
}

const uint32_t *soft_features(void) { return soft.cpu->features; }

static void load_segment(CpuSegment *segment, uint16_t selector)
{
    uint64_t descriptor = 0;

    *segment = (CpuSegment){ .selector = selector, .attributes = ATTR_UNUSABLE };
    if (!(selector & ~3)) {
        return;
    }
    memcpy(&descriptor, soft.host + (selector & 4 ? LDT_RAM : GDT_RAM) + (selector & ~7), sizeof descriptor);
    segment->base = (descriptor >> 16 & 0xffffff) | (descriptor >> 56) << 24;
    segment->attributes = descriptor >> 40 & 0xf0ff;
    segment->limit = (descriptor & 0xffff) | (descriptor >> 32 & 0xf0000);
    if (segment->attributes & ATTR_G) {
        segment->limit = segment->limit << 12 | 0xfff;
    }
}

static void load_state(SoftCpu *cpu, const FuzzState *in)
{
    memcpy(cpu->gpr, in->gpr, sizeof in->gpr);
    cpu->rip = in->rip;
    cpu->cpl = 3;
    cpu->cr2 = 0;
    load_segment(&cpu->segment[SEG_CS], in->cs);
    load_segment(&cpu->segment[SEG_SS], in->ss);
    load_segment(&cpu->segment[SEG_DS], in->ds);
    load_segment(&cpu->segment[SEG_ES], in->es);
    load_segment(&cpu->segment[SEG_FS], in->fs);
    load_segment(&cpu->segment[SEG_GS], in->gs);
    if (in->cs == USER_CS64) {
        cpu->segment[SEG_FS].base = in->fs_base;
        cpu->segment[SEG_GS].base = in->gs_base;
    }
    fpu_park(cpu);
    memcpy(cpu->xsave, in->fx, 416);
    memcpy(cpu->xsave + IMAGE_EXTENDED, in->ymm, sizeof in->ymm);
    memset(cpu->xsave + IMAGE_FOP, 0, IMAGE_MXCSR - IMAGE_FOP);
    cpu->activity = CPU_RUNNABLE;
    cpu->interrupt_shadow = false;
    flags_set(cpu, in->rflags);
    soft_mode_changed(cpu);
    debug_update(cpu);
}

static void take_state(SoftCpu *cpu, FuzzState *out)
{
    fpu_park(cpu);
    memcpy(out->gpr, cpu->gpr, sizeof out->gpr);
    out->rip = cpu->rip;
    out->rflags = flags_get(cpu);
    out->cs = cpu->segment[SEG_CS].selector, out->ss = cpu->segment[SEG_SS].selector;
    out->ds = cpu->segment[SEG_DS].selector, out->es = cpu->segment[SEG_ES].selector;
    out->fs = cpu->segment[SEG_FS].selector, out->gs = cpu->segment[SEG_GS].selector;
    out->fs_base = cpu->segment[SEG_FS].base, out->gs_base = cpu->segment[SEG_GS].base;
    memcpy(out->fx, cpu->xsave, 416);
    memcpy(out->ymm, cpu->xsave + IMAGE_EXTENDED, sizeof out->ymm);
}

/* INT3 and INTO went through the IDT: what their handler sees on its stack is the outcome. */
static void take_delivered(FuzzOutcome *out)
{
    uint64_t frame[5];

    if (out->state.cs != 0x10) {
        return;
    }
    memcpy(frame, soft.host + STACK_RAM - sizeof frame, sizeof frame);
    out->vector = (int)((out->state.rip - LINEAR(HANDLERS_RAM)) / 8);
    out->state.rip = frame[0];
    out->state.cs = (uint16_t)frame[1];
    out->state.rflags = frame[2];
    out->state.gpr[4] = frame[3];
    out->state.ss = (uint16_t)frame[4];
}

static void poke(const FuzzCase *fuzz)
{
    for (unsigned i = 0; i < POKES; i++) {
        memcpy(soft.host + ARENA_RAM + fuzz->poke[i].offset, fuzz->poke[i].bytes, fuzz->poke[i].length);
    }
}

static void unpoke(const FuzzBatch *batch, const FuzzCase *fuzz)
{
    for (unsigned i = 0; i < POKES; i++) {
        memcpy(soft.host + ARENA_RAM + fuzz->poke[i].offset, batch->pattern + fuzz->poke[i].offset - DATA_OFFSET, fuzz->poke[i].length);
    }
}

/* Words that differ from the pattern with this case's pokes; puts the pattern back. */
static void note_memory(const FuzzBatch *batch, const FuzzCase *fuzz, FuzzOutcome *out)
{
    static uint64_t before[DATA_BYTES / 8];
    uint64_t *data = (uint64_t *)(soft.host + ARENA_RAM + DATA_OFFSET);

    memcpy(before, batch->pattern, DATA_BYTES);
    for (unsigned i = 0; i < POKES; i++) {
        if (fuzz->poke[i].length) {
            memcpy((uint8_t *)before + fuzz->poke[i].offset - DATA_OFFSET, fuzz->poke[i].bytes, fuzz->poke[i].length);
        }
    }
    out->changes = 0;
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
    unpoke(batch, fuzz);
}

static void run_case(const FuzzBatch *batch, FuzzCase *fuzz)
{
    SoftCpu *cpu = soft.cpu;
    FuzzOutcome *out = &fuzz->soft;
    uint64_t code = ARENA_RAM + CODE_OFFSET + fuzz_code_offset(fuzz), done = 0;

    memcpy(soft.host + code, fuzz->bytes, fuzz->length);
    block_written(cpu, soft.ram.ram, code, fuzz->length);
    poke(fuzz);
    load_state(cpu, &fuzz->in);
    if (fuzz->repeats && fuzz->number & 7) {
        cpu->rflags &= ~(uint64_t)FLAG_TF; /* without a trap after each iteration: the fast paths */
        debug_update(cpu);
    }
    SoftStop stop = soft_run(cpu, 1, &done);
    for (unsigned i = 0; i < 100 && fuzz->repeats && stop == SOFT_DONE && cpu->rip == fuzz->in.rip; i++) {
        stop = soft_run(cpu, 1, &done);
    }
    out->vector = -1, out->error = 0, out->cr2 = cpu->cr2;
    if (stop == SOFT_RAISED) {
        SoftException exception = soft_exception(cpu);
        out->vector = exception.vector;
        out->error = exception.error;
    }
    take_state(cpu, &out->state);
    take_delivered(out);
    note_memory(batch, fuzz, out);
    memset(soft.host + code, 0xcc, fuzz->length);
    block_written(cpu, soft.ram.ram, code, fuzz->length);
}

void soft_run_batch(FuzzBatch *batch)
{
    memcpy(soft.host + ARENA_RAM + DATA_OFFSET, batch->pattern, sizeof batch->pattern);
    for (unsigned i = 0; i < batch->count; i++) {
        run_case(batch, &batch->cases[i]);
    }
}

void soft_close(void)
{
    soft_free(soft.cpu);
    space_free(soft.ports);
    space_free(soft.memory);
}
