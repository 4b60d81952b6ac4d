/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jit.c - the code cache of one CPU: its memory, what is in it, links between translations, and the tables of indirect jumps
 *
 * Code is only added, until the cache is full and everything is forgotten at once; dropped translations become unreachable at once (their links
 * are undone, their slots emptied) and their room is lost until then.
 *
 * Code     a memfd mapped twice, writable and executable; nothing is ever both
 * Threads  the CPU's own
 * Tests    tests/cpu/jit.c
 */
#include "accel/soft/jit-check.h"
#include "accel/accel-ops.h"
#include "accel/soft/flat.h"
#include "accel/soft/run.h"
#include "accel/soft/walk.h"
#include "base/log.h"
#include <asm/prctl.h>
#include <glib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- memory ------------------------------------------------------------------------------------------------------------------------- */

bool jit_host_has(unsigned feature)
{
    static CpuidConfig host;
    static gsize read;

    if (g_once_init_enter(&read)) {
        cpuid_of_host(&host);
        g_once_init_leave(&read, 1);
    }
    return cpuid_has(host.words, feature);
}

static bool map_code(JitCache *cache, size_t bytes)
{
    int fd = memfd_create("roost-code", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    cache->write = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cache->execute = mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    cache->bytes = bytes;
    return cache->write != MAP_FAILED && cache->execute != MAP_FAILED;
}

bool jit_open(SoftCpu *cpu, size_t bytes, const char **why)
{
    JitCache *cache;

    cpu->jit.self = cpu;
    cpu->jit.calm = 1;
    cpu->jit.mxcsr_default = 0x1f80;
    if (!cpu->pages.tables || !jit_host_has(FEATURE_BMI2)) {
        *why = cpu->pages.tables ? "the host has no BMI2" : "the host gives no address space for the page tables";
        return false;
    }
    cache = g_new0(JitCache, 1);
    if (!map_code(cache, bytes) || !jit_make_trampolines(cpu, cache)) {
        if (cache->write && cache->write != MAP_FAILED) {
            munmap(cache->write, bytes);
        }
        if (cache->execute && cache->execute != MAP_FAILED) {
            munmap(cache->execute, bytes);
        }
        g_free(cache);
        *why = "the host gives no memory for code";
        return false;
    }
    cpu->jit.cache = cache;
    for (unsigned level = 0; level < JIT_LEVELS; level++) {
        for (unsigned i = 0; i < JIT_JUMPS; i++) {
            cpu->jit.jumps[level].slot[i] = cache->tramp[TRAMP_INDIRECT];
        }
    }
    jit_signals_open();
    return true;
}

static void free_transes(JitCache *cache)
{
    for (unsigned i = 0; i < cache->trans_count; i++) {
        g_free(cache->transes[i]);
    }
    cache->site_count = cache->trans_count = cache->link_count = 0;
}

char *jit_describe(const SoftCpu *cpu)
{
    const JitState *jit = &cpu->jit;
    const JitCache *cache = jit->cache;

    if (!cache) {
        return g_strdup("no translated code: this CPU interprets");
    }
    g_autofree char *check = jit_check_describe(cpu);
    return g_strdup_printf("code %zu of %zu KiB in %u blocks, %u KiB of sites, %zu KiB of decoded blocks, %" G_GUINT64_FORMAT " translated (%" G_GUINT64_FORMAT " bytes), %" G_GUINT64_FORMAT " flushes; "
                           "misses %" G_GUINT64_FORMAT " (filled %" G_GUINT64_FORMAT "), instructions called %" G_GUINT64_FORMAT
                           ", block ends called %" G_GUINT64_FORMAT ", look-ups %" G_GUINT64_FORMAT ", left %" G_GUINT64_FORMAT ", host faults %" G_GUINT64_FORMAT
                           ", table resets %" G_GUINT64_FORMAT ", jump tables emptied %" G_GUINT64_FORMAT ", page links undone %" G_GUINT64_FORMAT "%s",
                           cache->used / 1024, cache->bytes / 1024, cache->trans_count, (unsigned)(cache->site_count * sizeof(JitSite) / 1024), block_bytes(cpu) / 1024, jit->translated, jit->translated_bytes, jit->flushes, jit->misses,
                           jit->fills, jit->helpers, jit->lasts, jit->lookups, jit->leaves, jit->faults, cpu->pages.resets, jit->emptied, jit->undone, check);
}

void jit_close(SoftCpu *cpu)
{
    JitCache *cache = cpu->jit.cache;

    if (!cache) {
        return;
    }
    if (log_enabled(LOG_ACCEL)) {
        g_autofree char *text = jit_describe(cpu);

        log_line(LOG_ACCEL, "tcg: CPU %u: %s", cpu->cpu ? cpu->cpu->index : 0, text);
    }
    jit_check_close(cpu);
    jit_flush(cpu);
    jit_signals_of(NULL);
    munmap(cache->write, cache->bytes);
    munmap(cache->execute, cache->bytes);
    g_free(cache->sites);
    g_free(cache->transes);
    g_free(cache->links);
    g_free(cache);
    cpu->jit.cache = NULL;
}

JitSite *jit_site_new(JitCache *cache, uint32_t *index)
{
    if (cache->site_count == cache->site_limit) {
        uint32_t limit = cache->site_limit ? cache->site_limit * 2 : 4096;
        JitSite *sites = g_try_renew(JitSite, cache->sites, limit);

        if (!sites) {
            return NULL;
        }
        cache->sites = sites;
        cache->site_limit = limit;
    }
    *index = cache->site_count++;
    return &cache->sites[*index];
}

Trans *jit_trans_new(JitCache *cache, unsigned insns)
{
    Trans *trans;

    if (cache->trans_count == cache->trans_limit) {
        unsigned limit = cache->trans_limit ? cache->trans_limit * 2 : 1024;
        Trans **transes = g_try_renew(Trans *, cache->transes, limit);

        if (!transes) {
            return NULL;
        }
        cache->transes = transes;
        cache->trans_limit = limit;
    }
    trans = g_malloc0(sizeof *trans + (insns + 1) * sizeof trans->insn_at[0]);
    trans->number = cache->trans_count++;
    cache->transes[trans->number] = trans;
    return trans;
}

Trans *jit_find_trans(const JitCache *cache, const uint8_t *pc)
{
    unsigned low = 0, high = cache->trans_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (pc >= cache->transes[middle]->end) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < cache->trans_count && pc >= cache->transes[low]->start ? cache->transes[low] : NULL;
}

unsigned jit_insn_at(const Trans *trans, const uint8_t *pc)
{
    uint32_t offset = (uint32_t)(pc - trans->start);
    unsigned low = 0, high = trans->block->count;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (trans->insn_at[middle] <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- indirect jumps ------------------------------------------------------------------------------------------------------------------- */

void jit_jumps_clear(SoftCpu *cpu, unsigned level)
{
    JitJumps *jumps = &cpu->jit.jumps[level];

    if (jumps->count >= JIT_JUMPS) {
        for (unsigned i = 0; i < JIT_JUMPS; i++) {
            jumps->slot[i] = cpu->jit.cache->tramp[TRAMP_INDIRECT];
        }
    } else {
        for (unsigned i = 0; i < jumps->count; i++) {
            jumps->slot[jumps->used[i]] = cpu->jit.cache->tramp[TRAMP_INDIRECT];
        }
    }
    cpu->jit.emptied += jumps->count != 0;
    jumps->count = 0;
    jumps->local = false;
}

static uint8_t *patched(const JitCache *cache, const JitSite *site)
{
    return cache->write + (jit_trans_of(cache, site)->start - cache->execute) + site->patch;
}

static void unlink_site(JitCache *cache, JitSite *site)
{
    if (!site->to) {
        return;
    }
    *(site->previous ? &cache->sites[site->previous - 1].next : &cache->transes[site->to - 1]->incoming) = site->next;
    if (site->next) {
        cache->sites[site->next - 1].previous = site->previous;
    }
    emit_patch(patched(cache, site), cache->execute - cache->write, jit_trans_of(cache, site)->start + site->retry);
    site->to = 0;
    site->next = site->previous = 0;
}

void jit_link(SoftCpu *cpu, uint32_t index, Trans *to)
{
    JitCache *cache = cpu->jit.cache;
    JitSite *site = &cache->sites[index];

    unlink_site(cache, site);
    if (site->crosses_pages) {
        if (cache->link_count == cache->link_limit) {
            cache->link_limit = cache->link_limit ? cache->link_limit * 2 : 1024;
            cache->links = g_renew(uint32_t, cache->links, cache->link_limit);
        }
        cache->links[cache->link_count++] = index;
    }
    site->to = to->number + 1;
    site->next = to->incoming;
    if (site->next) {
        cache->sites[site->next - 1].previous = index + 1;
    }
    to->incoming = index + 1;
    emit_patch(patched(cache, site), cache->execute - cache->write, to->entry);
}

/* Links from page to page hold while the kernel's code stays mapped where it is. */
static void undo_page_links(JitCache *cache)
{
    for (unsigned i = 0; i < cache->link_count; i++) {
        unlink_site(cache, &cache->sites[cache->links[i]]);
    }
    cache->link_count = 0;
}

void jit_restamp(SoftCpu *cpu)
{
    unsigned level = jit_level(cpu);
    JitJumps *jumps = &cpu->jit.jumps[level];

    if (!cpu->jit.cache) {
        return;
    }
    if (jumps->stamp != cpu->stamp || (jumps->local && jumps->stamp_local != cpu->stamp_local)) {
        jit_jumps_clear(cpu, level);
    }
    if (level == JIT_SUPERVISOR && jumps->stamp >> 32 != cpu->stamp >> 32) {
        undo_page_links(cpu->jit.cache);
        cpu->jit.undone++;
    }
    jumps->stamp = cpu->stamp;
    jumps->stamp_local = cpu->stamp_local;
}

/* ---- dropping ------------------------------------------------------------------------------------------------------------------------- */

static void kill_trans(SoftCpu *cpu, Trans *trans)
{
    JitCache *cache = cpu->jit.cache;

    trans->dead = true;
    while (trans->incoming) {
        unlink_site(cache, &cache->sites[trans->incoming - 1]);
    }
    for (unsigned level = 0; level < JIT_LEVELS; level++) {
        const uint8_t **slot = &cpu->jit.jumps[level].slot[jit_jump_slot(trans->rip)];

        if (*slot == trans->indirect) {
            *slot = cache->tramp[TRAMP_INDIRECT];
        }
    }
}

void jit_block_dropped(SoftCpu *cpu, Block *block)
{
    for (Trans *trans = block->trans; trans; trans = trans->next) {
        kill_trans(cpu, trans);
    }
    block->trans = NULL;
}

/* Code is seldom written twice: its second mapping need not be there. It comes back by itself. */
void jit_trim(SoftCpu *cpu)
{
    JitCache *cache = cpu->jit.cache;

    madvise(cache->write, cache->used & ~(size_t)4095, MADV_DONTNEED);
}

void jit_flush(SoftCpu *cpu)
{
    JitCache *cache = cpu->jit.cache;

    if (!cache) {
        return;
    }
    for (unsigned i = 0; i < cache->trans_count; i++) {
        Trans *trans = cache->transes[i];

        if (!trans->dead) {
            trans->block->trans = NULL;
            trans->block->heat = 0;
        }
    }
    free_transes(cache);
    for (unsigned level = 0; level < JIT_LEVELS; level++) {
        jit_jumps_clear(cpu, level);
    }
    cache->used = cache->reserved;
    cpu->jit.flushes++;
}

/* ---- running -------------------------------------------------------------------------------------------------------------------------- */

void jit_thread_begin(SoftCpu *cpu)
{
    if (cpu->jit.cache && jit_signals_of(cpu)) {
        syscall(SYS_arch_prctl, ARCH_SET_GS, cpu);
    }
}

/* What translated code cannot do at all: count instructions, so that another CPU of the same thread had its turn; 16-bit code, segments
 * that are not flat, SMAP, debug registers, alignment checks. */
bool jit_may_run(const SoftCpu *cpu)
{
    return cpu->jit.cache && !cpu->shares && jit_stack_is_even(cpu) && cpu->code_size != 2 && cpu->flat && cpu->cr0 & CR0_PE &&
           !(cpu->rflags & FLAG_VM) && !(cpu->cr4 & CR4_SMAP) && !cpu->sys.stepping && cpu->tlb == cpu->tables[cpu->sys.tlb_mode] &&
           cpu->sys.physical_mask == UINT64_MAX;
}

static Trans *make(SoftCpu *cpu, Block *block)
{
    Trans *trans = trans_make(cpu, block, cpu->rip);

    if (!trans && cpu->jit.cache->trans_count) {
        jit_flush(cpu);
        trans = trans_make(cpu, block, cpu->rip);
    }
    if (!trans) {
        block->heat = INT32_MAX;           /* it does not fit, whatever we do */
        return NULL;
    }
    trans->next = block->trans;
    block->trans = trans;
    return trans;
}

const uint8_t *jit_entry(SoftCpu *cpu, Block *block)
{
    Trans *trans;

    if (block->heat > 0 && !cpu->jit.force) {
        return NULL;
    }
    if (!jit_may_run(cpu) || !block_is_watched(block)) {
        block->heat = JIT_REFUSED;
        return NULL;
    }
    if (cpu->jit.interpret_once) {
        cpu->jit.interpret_once = false;
        return NULL;
    }
    trans = jit_trans_at(block, cpu->rip);
    if (!trans) {
        trans = make(cpu, block);
    }
    return trans ? trans->entry : NULL;
}

void jit_run(SoftCpu *cpu, const uint8_t *entry)
{
    cpu->jit.live = 0;
    cpu->jit.cache->enter(entry);
}
