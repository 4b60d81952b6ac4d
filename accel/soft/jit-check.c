/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit-check.c - lockstep: a translated block and the interpreter, from the same state, must leave the same state
 *
 * Stores: while this is on, no table has write entries between blocks, so the first store to each page comes by here (jit_check_will_store)
 * and the page is kept as it was. The machine lock is held meanwhile: no device writes in between. Data that the host's kernel puts straight
 * into guest memory may still come then; only words that the block changed are undone.
 *
 * Tests    tests/cpu/check.c, tests/guest/lockstep.py
 */
#include "accel/soft/jit-check.h"
#include "accel/accel-ops.h"
#include "accel/soft/fpu.h"
#include "accel/soft/mmu.h"
#include "accel/soft/run.h"
#include "accel/x86/decode.h"
#include "accel/x86/optab.h"
#include "base/lock.h"
#include "base/log.h"
#include <glib.h>
#include <inttypes.h>

enum { PAGE_BYTES = 4096, WORDS = PAGE_BYTES / 8, LINE = 8, PAGES = BLOCK_LIMIT + 1, IMAGE_BYTES = IMAGE_EXTENDED + 256, REPORTS = 16 };

/* What translated code may change itself. */
typedef struct Registers {
    uint64_t gpr[16], rip, rflags, gs_base, kernel_gs_base;
    uint8_t flags_low, flags_of;
    bool interrupt_shadow;
    uint8_t image[IMAGE_BYTES];
} Registers;

/* A page that the block stores to. */
typedef struct Stored {
    uint64_t linear;
    uint8_t *host;
    uint64_t before[WORDS], after[WORDS];
} Stored;

typedef struct JitCheck {
    bool image;                            /* the block has x87 or vector instructions */
    bool cut;                              /* translated code stopped before cut_at */
    bool repeating;                        /* the interpreter runs the block's instructions */
    const char *trouble;                   /* what it came to meanwhile that translated code did not */
    const Insn *cut_at;
    unsigned stored_count;
    Stored stored[PAGES];
    Registers before, translated, interpreted;
    jmp_buf unwind;                        /* the run loop's */
    uint64_t blocks, insns, cuts, stores, differences;
} JitCheck;

/* ---- state --------------------------------------------------------------------------------------------------------------------------- */

static void take(SoftCpu *cpu, Registers *to)
{
    fpu_park(cpu);
    memcpy(to->gpr, cpu->general, sizeof to->gpr);
    to->rip = cpu->rip, to->rflags = cpu->rflags;
    to->flags_low = cpu->flags_low, to->flags_of = cpu->flags_of;
    to->gs_base = cpu->segment[SEG_GS].base, to->kernel_gs_base = cpu->kernel_gs_base;
    to->interrupt_shadow = cpu->interrupt_shadow;
    if (cpu->jit.check->image) {
        memcpy(to->image, cpu->xsave, IMAGE_BYTES);
    }
}

static void put_back(SoftCpu *cpu, const Registers *from)
{
    memcpy(cpu->general, from->gpr, sizeof from->gpr);
    cpu->rip = from->rip, cpu->rflags = from->rflags;
    cpu->flags_low = from->flags_low, cpu->flags_of = from->flags_of;
    cpu->segment[SEG_GS].base = from->gs_base, cpu->kernel_gs_base = from->kernel_gs_base;
    cpu->interrupt_shadow = from->interrupt_shadow;
    if (cpu->jit.check->image) {
        memcpy(cpu->xsave, from->image, IMAGE_BYTES);
    }
}

bool jit_check_will_store(SoftCpu *cpu, uint64_t linear)
{
    JitCheck *check = cpu->jit.check;
    Stored *stored = &check->stored[check->stored_count];

    if (check->stored_count == PAGES) {
        return false;
    }
    check->stored_count++;
    stored->linear = linear & ~UINT64_C(0xfff);
    stored->host = (uint8_t *)(uintptr_t)(stored->linear + (uint64_t)flat_write_table(cpu)[flat_index(linear)]);
    memcpy(stored->before, stored->host, PAGE_BYTES);
    return true;
}

/* What the pages are now, and no way to store to them but by here. */
static void put_stores_aside(SoftCpu *cpu)
{
    JitCheck *check = cpu->jit.check;

    for (unsigned i = 0; i < check->stored_count; i++) {
        Stored *stored = &check->stored[i];

        flat_write_table(cpu)[flat_index(stored->linear)] = 0;
        memcpy(stored->after, stored->host, PAGE_BYTES);
    }
}

static void undo_line(Guest64 *memory, const uint64_t *before, const uint64_t *after)
{
    uint64_t changed = 0;

    for (unsigned i = 0; i < LINE; i++) {
        changed |= before[i] ^ after[i];
    }
    for (unsigned i = 0; changed && i < LINE; i++) {
        if (before[i] != after[i]) {
            GUEST_STORE(64, &memory[i], before[i]);
        }
    }
}

/* Memory as it was, word by word, the last page first: one that stands there twice was kept as it was when it came first. */
static void undo_stores(JitCheck *check)
{
    for (unsigned i = check->stored_count; i-- > 0;) {
        const Stored *stored = &check->stored[i];

        for (unsigned at = 0; at < WORDS; at += LINE) {
            undo_line((Guest64 *)stored->host + at, stored->before + at, stored->after + at);
        }
    }
}

/* ---- the interpreter's turn ------------------------------------------------------------------------------------------------------------ */

static bool is_stored_to(const JitCheck *check, const uint8_t *host)
{
    for (unsigned i = 0; i < check->stored_count; i++) {
        if (check->stored[i].host == host) {
            return true;
        }
    }
    return false;
}

void jit_check_access(SoftCpu *cpu, const uint8_t *host, bool write)
{
    JitCheck *check = cpu->jit.check;

    if (!check->repeating) {
        return;
    }
    if (!host) {
        check->trouble = "the interpreter comes to a device";
        longjmp(cpu->unwind, 1);
    }
    if (write && !is_stored_to(check, host)) {
        check->trouble = "the interpreter stores to a page that translated code did not store to";
    }
}

/* The same instructions, count of them. False: something was raised. Nothing goes on to other blocks: the turn is over. */
static bool repeat(SoftCpu *cpu, Block *block, unsigned count)
{
    JitCheck *check = cpu->jit.check;
    int32_t budget = cpu->budget;
    volatile bool whole = false;

    memcpy(&check->unwind, &cpu->unwind, sizeof cpu->unwind);
    check->repeating = true;
    if (!setjmp(cpu->unwind)) {
        if (count == block->count && !check->cut) {
            cpu->budget = 0;
            block_run(cpu, block);
        } else {
            for (volatile unsigned i = 0; i < count; i++) {
                cpu->budget = 0;
                block_run(cpu, block_get(cpu, true));
            }
        }
        whole = true;
    }
    check->repeating = false;
    memcpy(&cpu->unwind, &check->unwind, sizeof cpu->unwind);
    cpu->budget = budget;
    return whole;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------------------------- */

/* Flags that the instructions left undefined: both may have anything. */
static unsigned undefined_flags(const Block *block, unsigned count)
{
    unsigned undefined = 0;

    for (unsigned i = 0; i < count; i++) {
        undefined |= optab_row(block->insns[i].row)->flags_undefined;
    }
    return undefined;
}

static void differ(GString *text, const char *name, uint64_t before, uint64_t translated, uint64_t interpreted)
{
    if (translated != interpreted) {
        g_string_append_printf(text, " %s %" PRIx64 " (was %" PRIx64 ", interpreted %" PRIx64 ")", name, translated, before, interpreted);
    }
}

static void compare_images(GString *text, const JitCheck *check)
{
    for (unsigned at = 0; at < IMAGE_BYTES; at += 8) {
        char name[24];
        uint64_t values[3];
        const Registers *from[3] = { &check->before, &check->translated, &check->interpreted };

        for (unsigned i = 0; i < 3; i++) {
            memcpy(&values[i], from[i]->image + at, 8);
        }
        g_snprintf(name, sizeof name, "xsave[%u]", at);
        differ(text, name, values[0], values[1], values[2]);
    }
}

static void compare_registers(GString *text, const JitCheck *check, unsigned undefined)
{
    const Registers *b = &check->before, *t = &check->translated, *i = &check->interpreted;
    unsigned mask = FLAG_ARITHMETIC & ~undefined;         /* the fixed bit 1 is there or not */
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

    for (unsigned n = 0; n < 16; n++) {
        differ(text, names[n], b->gpr[n], t->gpr[n], i->gpr[n]);
    }
    differ(text, "rip", b->rip, t->rip, i->rip);
    differ(text, "rflags", b->rflags, t->rflags, i->rflags);
    differ(text, "flags", b->flags_low, t->flags_low & mask, i->flags_low & mask);
    if (!(undefined & FLAG_OF)) {
        differ(text, "of", b->flags_of, t->flags_of, i->flags_of);
    }
    differ(text, "gs.base", b->gs_base, t->gs_base, i->gs_base);
    differ(text, "kernel_gs_base", b->kernel_gs_base, t->kernel_gs_base, i->kernel_gs_base);
    differ(text, "interrupt shadow", b->interrupt_shadow, t->interrupt_shadow | i->interrupt_shadow, t->interrupt_shadow);    /* one too many does no harm */
    if (check->image && memcmp(t->image, i->image, IMAGE_BYTES)) {
        compare_images(text, check);
    }
}

static void compare_stores(GString *text, const JitCheck *check)
{
    for (unsigned i = 0; i < check->stored_count; i++) {
        const Stored *stored = &check->stored[i];
        uint64_t now[WORDS];

        memcpy(now, stored->host, PAGE_BYTES);
        for (unsigned at = 0; memcmp(now, stored->after, PAGE_BYTES) && at < WORDS; at++) {
            char name[32];

            g_snprintf(name, sizeof name, "[%" PRIx64 "]", stored->linear + at * 8);
            differ(text, name, stored->before[at], stored->after[at], now[at]);
        }
    }
}

static void report(SoftCpu *cpu, const Block *block, unsigned count, const char *what)
{
    JitCheck *check = cpu->jit.check;

    if (++check->differences > REPORTS) {
        return;
    }
    report_error("lockstep: the block at %" PRIx64 " (%u instructions) differs:%s", check->before.rip, count, what);
    for (unsigned i = 0; i < count; i++) {
        char line[128];

        insn_print(&block->insns[i], check->before.rip + block->insns[i].start, line, sizeof line);
        report_info("    %" PRIx64 ": %s", check->before.rip + block->insns[i].start, line);
    }
}

static void compare(SoftCpu *cpu, const Block *block, unsigned count, bool whole)
{
    JitCheck *check = cpu->jit.check;
    g_autoptr(GString) text = g_string_new(NULL);

    if (!whole) {
        g_string_append_printf(text, " the interpreter raises an exception at %" PRIx64, cpu->rip);
    }
    if (check->trouble) {
        g_string_append_printf(text, " %s", check->trouble);
    }
    take(cpu, &check->interpreted);
    if (whole) {
        compare_registers(text, check, undefined_flags(block, count));
        compare_stores(text, check);
    }
    if (text->len) {
        report(cpu, block, count, text->str);
    }
    check->blocks++;
    check->insns += count;
    check->stores += check->stored_count;
}

/* ---- a block ----------------------------------------------------------------------------------------------------------------------------- */

void jit_check_cut(SoftCpu *cpu, const Trans *trans, const Insn *insn)
{
    uint64_t rip = trans->rip + insn->start;

    cpu->rip = cpu->code_size == 8 ? rip : (uint32_t)rip;
    cpu->jit.check->cut = true;
    cpu->jit.check->cut_at = insn;
}

/* True: as far as it came the block was compared, and nothing was raised. */
static bool run_twice(SoftCpu *cpu, Block *block, const uint8_t *entry)
{
    JitCheck *check = cpu->jit.check;
    unsigned count = block->count;
    bool whole;

    check->image = jit_trans_at(block, cpu->rip)->uses_image;
    check->cut = false, check->trouble = NULL, check->stored_count = 0;
    take(cpu, &check->before);
    jit_run(cpu, entry);
    take(cpu, &check->translated);
    put_stores_aside(cpu);
    undo_stores(check);
    if (check->cut) {
        count = (unsigned)(check->cut_at - block->insns);
        check->cuts++;
    }
    put_back(cpu, &check->before);
    whole = repeat(cpu, block, count);
    compare(cpu, block, count, whole);
    if (!whole && check->trouble) {        /* in the middle of an instruction: once more, from the start */
        put_back(cpu, &check->before);
        undo_stores(check);
    }
    return whole;
}

void jit_check_run(SoftCpu *cpu, Block *block, const uint8_t *entry)
{
    JitCheck *check = cpu->jit.check;
    bool locked = machine_lock_held(), whole;

    if (!locked) {
        machine_lock();
    }
    whole = run_twice(cpu, block, entry);
    if (!locked) {
        machine_unlock();
    }
    cpu->jit.interpret_once = false;
    if (!whole && !check->trouble) {
        longjmp(cpu->unwind, 1);           /* what the interpreter raised is what happens: LANDED_FAULT */
    }
    if (check->cut || !whole) {
        cpu->interrupt_shadow = false;
        block_run(cpu, block_get(cpu, true));
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------------------------------- */

void jit_check_open(SoftCpu *cpu, unsigned kinds)
{
    if (kinds & CHECK_LOCKSTEP) {
        cpu->jit.check = g_new0(JitCheck, 1);
    }
    if (kinds & CHECK_AUDIT) {
        cpu->jit.audit = audit_new();
    }
    tlb_flush_all(cpu);                    /* write entries there are none from now on; the book begins empty */
}

void jit_check_close(SoftCpu *cpu)
{
    g_clear_pointer(&cpu->jit.check, g_free);
    g_clear_pointer(&cpu->jit.audit, audit_free);
}

uint64_t jit_check_differences(const SoftCpu *cpu)
{
    return (cpu->jit.check ? cpu->jit.check->differences : 0) + (cpu->jit.audit ? audit_differences(cpu->jit.audit) : 0);
}

char *jit_check_describe(const SoftCpu *cpu)
{
    const JitCheck *check = cpu->jit.check;
    g_autofree char *audit = cpu->jit.audit ? audit_describe(cpu->jit.audit) : NULL;

    if (!check) {
        return g_strdup(audit ? audit : "");
    }
    return g_strdup_printf("; lockstep: %" PRIu64 " differences in %" PRIu64 " blocks, %" PRIu64 " instructions, %" PRIu64 " pages stored to, %" PRIu64 " cut short%s",
                           check->differences, check->blocks, check->insns, check->stores, check->cuts, audit ? audit : "");
}
