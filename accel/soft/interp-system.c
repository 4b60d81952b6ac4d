/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interp-system.c - control and debug registers, tables, caches, system calls, time stamps, MSRs, CPUID
 *
 * Models   the operation sections of Intel SDM volume 2; SYSCALL, SYSRET, SYSENTER and SYSEXIT outside 64-bit code as the CPUID's
 *          vendor has them (AMD: SYSCALL also there, SYSENTER not in long mode; Intel: the reverse)
 * Omits    MONITOR, MWAIT, VMCALL, VMMCALL, RSM: #UD, as on a processor whose CPUID lacks them; RDPMC has no counters: #GP
 * Tests    tests/cpu/system.c
 */
#include "accel/soft/flags.h"
#include "accel/soft/handlers.h"
#include "accel/soft/registers.h"
#include "accel/soft/segment.h"
#include "accel/soft/walk.h"
#include "accel/x86/optab.h"

static _Noreturn void general_protection(SoftCpu *cpu, const Insn *insn)
{
    soft_raise_error(cpu, insn, EXC_GP, 0);
}

static void undefined(SoftCpu *cpu, const Insn *insn)
{
    soft_raise(cpu, insn, EXC_UD);
}

static void rdpmc(SoftCpu *cpu, const Insn *insn)
{
    general_protection(cpu, insn);         /* whatever CR4.PCE says: ECX names no counter */
}

static void set_edx_eax(SoftCpu *cpu, uint64_t value)
{
    cpu->gpr[GPR_RAX] = (uint32_t)value;
    cpu->gpr[GPR_RDX] = value >> 32;
}

static uint64_t get_edx_eax(const SoftCpu *cpu)
{
    return (uint32_t)cpu->gpr[GPR_RAX] | cpu->gpr[GPR_RDX] << 32;
}

/* Control registers --------------------------------------------------------------------------------------------- */

#define CR0_KNOWN (CR0_PG | (uint64_t)(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD))

/* Turning paging on or off, with what long mode asks. */
static void check_paging_switch(SoftCpu *cpu, const Insn *insn, uint64_t value)
{
    if (value & CR0_PG) {
        bool long_mode = cpu->efer & EFER_LME;

        if (long_mode && (!(cpu->cr4 & CR4_PAE) || cpu->segment[SEG_CS].attributes & ATTR_L ||
                          (cpu->tr.attributes & ATTR_TYPE) == SYS_TSS16_BUSY)) {
            general_protection(cpu, insn);
        }
        if (!long_mode && cpu->cr4 & CR4_PAE && !walk_load_pdptrs(cpu, cpu->cr3)) {
            general_protection(cpu, insn);
        }
        cpu->efer |= long_mode ? EFER_LMA : 0;
    } else {
        if (cpu_is_64(cpu) || cpu->cr4 & CR4_PCIDE) {
            general_protection(cpu, insn);
        }
        cpu->efer &= ~(uint64_t)EFER_LMA;
    }
}

void cr0_write(SoftCpu *cpu, const Insn *insn, uint64_t value)
{
    uint64_t changed = cpu->cr0 ^ value;

    if (value >> 32 || (value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD))) {
        general_protection(cpu, insn);
    }
    value = (value & CR0_KNOWN) | CR0_ET;
    if (changed & CR0_PG) {
        check_paging_switch(cpu, insn, value);
    } else if (changed & (CR0_CD | CR0_NW) && cpu->sys.paging == PAGING_PAE && !walk_load_pdptrs(cpu, cpu->cr3)) {
        general_protection(cpu, insn);
    }
    cpu->cr0 = value;
    if (changed & CR0_PE) {
        cpu->cpl = 0;
    }
    if (changed & (CR0_PG | CR0_WP | CR0_PE)) {
        walk_update_mode(cpu);
        tlb_flush_all(cpu);
    }
    soft_mode_changed(cpu);
}

void cr3_write(SoftCpu *cpu, const Insn *insn, uint64_t value)
{
    bool pcid = cpu->cr4 & CR4_PCIDE, keep = pcid && value >> 63;

    if (pcid) {
        value &= ~(UINT64_C(1) << 63);
    }
    if (cpu->long_mode && value & (cpu->sys.physical_limit | UINT64_C(0xfff0000000000000))) {
        general_protection(cpu, insn);
    }
    if (cpu->sys.paging == PAGING_PAE && !walk_load_pdptrs(cpu, value)) {
        general_protection(cpu, insn);
    }
    if (!cpu->long_mode) {
        value = (uint32_t)value;
    }
    /* One address space's entries at a time: another PCID's are never kept, which the architecture allows. */
    if (!keep || value != cpu->cr3) {
        cpu->cr3 = value;
        tlb_flush_non_global(cpu);
    }
}

static uint64_t cr4_known(const SoftCpu *cpu)
{
    static const struct { uint32_t bit, feature; } bits[] = {
        { CR4_VME | CR4_PVI, FEATURE_VME }, { CR4_TSD, FEATURE_TSC }, { CR4_DE, FEATURE_DE }, { CR4_PSE, FEATURE_PSE },
        { CR4_PAE, FEATURE_PAE }, { CR4_PGE, FEATURE_PGE }, { CR4_OSFXSR, FEATURE_FXSR }, { CR4_OSXMMEXCPT, FEATURE_SSE },
        { CR4_UMIP, FEATURE_UMIP }, { CR4_FSGSBASE, FEATURE_FSGSBASE }, { CR4_PCIDE, FEATURE_PCID }, { CR4_OSXSAVE, FEATURE_XSAVE },
        { CR4_SMEP, FEATURE_SMEP }, { CR4_SMAP, FEATURE_SMAP },
    };
    uint64_t known = CR4_MCE | CR4_PCE;

    for (unsigned i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        known |= cpuid_has(cpu->features, bits[i].feature) ? bits[i].bit : 0;
    }
    return known;
}

void cr4_write(SoftCpu *cpu, const Insn *insn, uint64_t value)
{
    uint64_t changed = cpu->cr4 ^ value;
    bool pcid_on = changed & value & CR4_PCIDE;

    if (value & ~cr4_known(cpu) || (cpu->long_mode && !(value & CR4_PAE)) ||
        (pcid_on && (!cpu->long_mode || cpu->cr3 & 0xfff))) {
        general_protection(cpu, insn);
    }
    if (cpu->cr0 & CR0_PG && !cpu->long_mode && value & CR4_PAE && changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP) &&
        !walk_load_pdptrs(cpu, cpu->cr3)) {
        general_protection(cpu, insn);
    }
    cpu->cr4 = value;
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PCIDE)) {
        walk_update_mode(cpu);
        tlb_flush_all(cpu);
    }
    soft_mode_changed(cpu);
}

static void mov_to_cr(SoftCpu *cpu, const Insn *insn)
{
    uint64_t value = cpu_is_64(cpu) ? cpu->gpr[insn->rm] : (uint32_t)cpu->gpr[insn->rm];

    if (insn->reg != 0 && insn->reg != 2 && insn->reg != 3 && insn->reg != 4 && insn->reg != 8) {
        undefined(cpu, insn);
    }
    require_cpl0(cpu, insn);
    soft_fence();
    switch (insn->reg) {
    case 0: cr0_write(cpu, insn, value); break;
    case 2: cpu->cr2 = value; break;
    case 3: cr3_write(cpu, insn, value); break;
    case 4: cr4_write(cpu, insn, value); break;
    default:
        if (value > 15) {
            general_protection(cpu, insn);
        }
        if (cpu->source.set_cr8) {
            cpu->source.set_cr8(cpu->source.opaque, (uint8_t)value);
        }
        break;
    }
}

static void mov_from_cr(SoftCpu *cpu, const Insn *insn)
{
    uint64_t value = 0;

    if (insn->reg != 0 && insn->reg != 2 && insn->reg != 3 && insn->reg != 4 && insn->reg != 8) {
        undefined(cpu, insn);
    }
    require_cpl0(cpu, insn);
    switch (insn->reg) {
    case 0: value = cpu->cr0; break;
    case 2: value = cpu->cr2; break;
    case 3: value = cpu->cr3; break;
    case 4: value = cpu->cr4; break;
    default: value = cpu->source.get_cr8 ? cpu->source.get_cr8(cpu->source.opaque) : 0; break;
    }
    cpu->gpr[insn->rm] = cpu_is_64(cpu) ? value : (uint32_t)value;
}

static void lmsw(SoftCpu *cpu, const Insn *insn)
{
    uint16_t value;

    require_cpl0(cpu, insn);
    value = selector_operand(cpu, insn);
    cr0_write(cpu, insn, (cpu->cr0 & ~UINT64_C(0xe)) | (value & 0xf));       /* PE can be set, not cleared */
}

static void smsw(SoftCpu *cpu, const Insn *insn)
{
    require_no_umip(cpu, insn);
    if (insn->memory) {
        mmu_store16(cpu, insn, soft_address(cpu, insn, 2, true), (uint16_t)cpu->cr0);
    } else {
        register_write(cpu, insn->rm, insn->size, cpu->cr0);
    }
}

static void clts(SoftCpu *cpu, const Insn *insn)
{
    require_cpl0(cpu, insn);
    cpu->cr0 &= ~(uint64_t)CR0_TS;
    soft_mode_changed(cpu);
}

/* Debug registers ----------------------------------------------------------------------------------------------- */

enum { DR6_BD = 1 << 13, DR7_GD = 1 << 13 };

/* The register meant: 4 and 5 are 6 and 7 unless CR4.DE. Checks all that both directions share. */
static unsigned debug_register(SoftCpu *cpu, const Insn *insn)
{
    unsigned number = insn->reg;

    if (number > 7 || ((number == 4 || number == 5) && cpu->cr4 & CR4_DE)) {
        undefined(cpu, insn);
    }
    require_cpl0(cpu, insn);
    if (cpu->dr7 & DR7_GD) {
        cpu->dr6 = (cpu->dr6 & ~UINT64_C(0xf)) | DR6_BD;
        soft_raise(cpu, insn, EXC_DB);
    }
    return number == 4 || number == 5 ? number + 2 : number;
}

static void mov_to_dr(SoftCpu *cpu, const Insn *insn)
{
    unsigned number = debug_register(cpu, insn);
    uint64_t value = cpu_is_64(cpu) ? cpu->gpr[insn->rm] : (uint32_t)cpu->gpr[insn->rm];

    if (number >= 6 && value >> 32) {
        general_protection(cpu, insn);
    }
    soft_fence();
    if (number < 4) {
        cpu->dr[number] = value;
    } else if (number == 6) {
        cpu->dr6 = (value & 0xe00f) | 0xffff0ff0;
    } else {
        cpu->dr7 = (value & 0xffff23ff) | 0x400;
    }
    soft_mode_changed(cpu);
}

static void mov_from_dr(SoftCpu *cpu, const Insn *insn)
{
    unsigned number = debug_register(cpu, insn);
    uint64_t value = number < 4 ? cpu->dr[number] : number == 6 ? cpu->dr6 : cpu->dr7;

    cpu->gpr[insn->rm] = cpu_is_64(cpu) ? value : (uint32_t)value;
}

/* Descriptor tables --------------------------------------------------------------------------------------------- */

static void store_table(SoftCpu *cpu, const Insn *insn, uint64_t base, uint32_t limit)
{
    unsigned size = cpu_is_64(cpu) ? 8 : 4;
    uint8_t image[10];
    uint64_t linear;

    require_no_umip(cpu, insn);
    linear = soft_address(cpu, insn, 2 + size, true);
    memcpy(image, &limit, 2);
    memcpy(image + 2, &base, size);
    mmu_write(cpu, insn, linear, image, 2 + size);
}

static void load_table(SoftCpu *cpu, const Insn *insn, uint64_t *base, uint32_t *limit)
{
    unsigned size = cpu_is_64(cpu) ? 8 : 4;
    bool narrow = !cpu_is_64(cpu) && (cpu->code_size == 2) != !!(insn->prefixes & PREFIX_66);
    uint64_t linear, new_base = 0;
    uint8_t image[10];
    uint16_t new_limit;

    require_cpl0(cpu, insn);
    linear = soft_address(cpu, insn, 2 + size, false);
    mmu_read(cpu, insn, linear, image, 2 + size);
    memcpy(&new_limit, image, 2);
    memcpy(&new_base, image + 2, size);
    if (narrow) {
        new_base &= 0xffffff;
    }
    if (!linear_is_canonical(new_base)) {
        general_protection(cpu, insn);
    }
    *base = new_base;
    *limit = new_limit;
}

static void sgdt(SoftCpu *cpu, const Insn *insn) { store_table(cpu, insn, cpu->gdt_base, cpu->gdt_limit); }
static void sidt(SoftCpu *cpu, const Insn *insn) { store_table(cpu, insn, cpu->idt_base, cpu->idt_limit); }
static void lgdt(SoftCpu *cpu, const Insn *insn) { load_table(cpu, insn, &cpu->gdt_base, &cpu->gdt_limit); }
static void lidt(SoftCpu *cpu, const Insn *insn) { load_table(cpu, insn, &cpu->idt_base, &cpu->idt_limit); }

/* Translations and caches --------------------------------------------------------------------------------------- */

static void invlpg(SoftCpu *cpu, const Insn *insn)
{
    uint64_t linear = soft_offset(cpu, insn);

    require_cpl0(cpu, insn);
    if (!cpu_is_64(cpu) || insn->segment == SEG_FS || insn->segment == SEG_GS) {
        linear += cpu->segment[insn->segment].base;            /* no limit is checked, nothing is accessed */
    }
    soft_fence();
    tlb_flush_page(cpu, cpu_is_64(cpu) ? linear : (uint32_t)linear);
}

static void invpcid(SoftCpu *cpu, const Insn *insn)
{
    uint64_t kind, descriptor[2];

    require_cpl0(cpu, insn);
    kind = cpu_is_64(cpu) ? cpu->gpr[insn->reg] : (uint32_t)cpu->gpr[insn->reg];
    mmu_read(cpu, insn, soft_address(cpu, insn, 16, false), descriptor, 16);
    if (kind > 3 || descriptor[0] >> 12 || (kind < 2 && descriptor[0] && !(cpu->cr4 & CR4_PCIDE)) ||
        (kind == 0 && !linear_is_canonical(descriptor[1]))) {
        general_protection(cpu, insn);
    }
    soft_fence();
    switch (kind) {
    case 0: tlb_flush_page(cpu, descriptor[1]); break;
    case 2: tlb_flush_all(cpu); break;
    default: tlb_flush_non_global(cpu); break;
    }
}

static void cache_control(SoftCpu *cpu, const Insn *insn)
{
    require_cpl0(cpu, insn);               /* INVD, WBINVD: the host keeps its caches coherent */
    soft_fence();
}

static void hlt(SoftCpu *cpu, const Insn *insn)
{
    require_cpl0(cpu, insn);
    cpu->activity = CPU_HALTED;
    cpu->rip = insn_next_rip(cpu, insn);
}

/* Time, identification, MSRs ------------------------------------------------------------------------------------ */

static void require_tsc(SoftCpu *cpu, const Insn *insn)
{
    if (cpu->cr4 & CR4_TSD && cpu->cpl != 0) {
        general_protection(cpu, insn);
    }
}

static void rdtsc(SoftCpu *cpu, const Insn *insn)
{
    require_tsc(cpu, insn);
    set_edx_eax(cpu, soft_tsc(cpu));
}

static void rdtscp(SoftCpu *cpu, const Insn *insn)
{
    rdtsc(cpu, insn);
    cpu->gpr[GPR_RCX] = (uint32_t)cpu->tsc_aux;
}

static void rdpid(SoftCpu *cpu, const Insn *insn)
{
    cpu->gpr[insn->rm] = (uint32_t)cpu->tsc_aux;
}

static void cpuid(SoftCpu *cpu, const Insn *insn)
{
    uint32_t out[4];

    (void)insn;
    soft_fence();
    soft_cpuid(cpu, (uint32_t)cpu->gpr[GPR_RAX], (uint32_t)cpu->gpr[GPR_RCX], out);
    cpu->gpr[GPR_RAX] = out[0];
    cpu->gpr[GPR_RBX] = out[1];
    cpu->gpr[GPR_RCX] = out[2];
    cpu->gpr[GPR_RDX] = out[3];
}

static void rdmsr(SoftCpu *cpu, const Insn *insn)
{
    uint64_t value;

    require_cpl0(cpu, insn);
    if (!msr_read(cpu, (uint32_t)cpu->gpr[GPR_RCX], &value)) {
        general_protection(cpu, insn);
    }
    set_edx_eax(cpu, value);
}

static void wrmsr(SoftCpu *cpu, const Insn *insn)
{
    require_cpl0(cpu, insn);
    soft_fence();
    if (!msr_write(cpu, (uint32_t)cpu->gpr[GPR_RCX], get_edx_eax(cpu))) {
        general_protection(cpu, insn);
    }
}

static void xsetbv(SoftCpu *cpu, const Insn *insn)
{
    uint64_t value = get_edx_eax(cpu);

    if (!(cpu->cr4 & CR4_OSXSAVE)) {
        undefined(cpu, insn);
    }
    require_cpl0(cpu, insn);
    if ((uint32_t)cpu->gpr[GPR_RCX] != 0 || !(value & XCR0_X87) || value & ~cpu->sys.cpuid.xcr0 ||
        (value & XCR0_AVX && !(value & XCR0_SSE))) {
        general_protection(cpu, insn);
    }
    cpu->xcr0 = value;
    soft_mode_changed(cpu);
}

/* FS, GS and SMAP ----------------------------------------------------------------------------------------------- */

static void swapgs(SoftCpu *cpu, const Insn *insn)
{
    uint64_t base = cpu->segment[SEG_GS].base;

    require_cpl0(cpu, insn);
    cpu->segment[SEG_GS].base = cpu->kernel_gs_base;
    cpu->kernel_gs_base = base;
}

static void require_fsgsbase(SoftCpu *cpu, const Insn *insn)
{
    if (!(cpu->cr4 & CR4_FSGSBASE)) {
        undefined(cpu, insn);
    }
}

static void read_base(SoftCpu *cpu, const Insn *insn, unsigned segment)
{
    require_fsgsbase(cpu, insn);
    register_write(cpu, insn->rm, insn->size, cpu->segment[segment].base);
}

static void write_base(SoftCpu *cpu, const Insn *insn, unsigned segment)
{
    uint64_t base = insn->size == 8 ? cpu->gpr[insn->rm] : (uint32_t)cpu->gpr[insn->rm];

    require_fsgsbase(cpu, insn);
    if (!linear_is_canonical(base)) {
        general_protection(cpu, insn);
    }
    cpu->segment[segment].base = base;
}

static void rdfsbase(SoftCpu *cpu, const Insn *insn) { read_base(cpu, insn, SEG_FS); }
static void rdgsbase(SoftCpu *cpu, const Insn *insn) { read_base(cpu, insn, SEG_GS); }
static void wrfsbase(SoftCpu *cpu, const Insn *insn) { write_base(cpu, insn, SEG_FS); }
static void wrgsbase(SoftCpu *cpu, const Insn *insn) { write_base(cpu, insn, SEG_GS); }

static void set_ac(SoftCpu *cpu, const Insn *insn, bool on)
{
    if (cpu->cpl != 0) {
        undefined(cpu, insn);
    }
    cpu->rflags = on ? cpu->rflags | FLAG_AC : cpu->rflags & ~(uint64_t)FLAG_AC;
    soft_mode_changed(cpu);
}

static void clac(SoftCpu *cpu, const Insn *insn) { set_ac(cpu, insn, false); }
static void stac(SoftCpu *cpu, const Insn *insn) { set_ac(cpu, insn, true); }

/* System calls -------------------------------------------------------------------------------------------------- */

static CpuSegment flat_code(uint16_t selector, unsigned dpl, bool wide)
{
    return (CpuSegment){ .selector = selector, .limit = UINT32_MAX,
                         .attributes = 0x809b | dpl << ATTR_DPL_SHIFT | (wide ? ATTR_L : ATTR_DB) };
}

static CpuSegment flat_stack(uint16_t selector, unsigned dpl)
{
    return (CpuSegment){ .selector = selector, .limit = UINT32_MAX, .attributes = 0xc093 | dpl << ATTR_DPL_SHIFT };
}

static void enter_flat(SoftCpu *cpu, uint16_t cs, uint16_t ss, unsigned cpl, bool wide, uint64_t rip)
{
    cpu->segment[SEG_CS] = flat_code((uint16_t)((cs & 0xfffc) | cpl), cpl, wide);
    cpu->segment[SEG_SS] = flat_stack((uint16_t)((ss & 0xfffc) | cpl), cpl);
    cpu->cpl = (uint8_t)cpl;
    cpu->rip = rip;
    soft_mode_changed(cpu);
}

/* SYSCALL and SYSRET exist where SCE is set, and on Intel in 64-bit code only. */
static void require_syscall(SoftCpu *cpu, const Insn *insn)
{
    if (!(cpu->efer & EFER_SCE) || (!cpu_is_64(cpu) && soft_vendor_is_intel(cpu))) {
        undefined(cpu, insn);
    }
}

static void syscall_(SoftCpu *cpu, const Insn *insn)
{
    uint16_t cs = (uint16_t)(cpu->star >> 32);
    uint64_t target;

    require_syscall(cpu, insn);
    cpu->gpr[GPR_RCX] = cpu_is_64(cpu) ? insn_next_rip(cpu, insn) : (uint32_t)insn_next_rip(cpu, insn);
    if (cpu->long_mode) {
        target = cpu_is_64(cpu) ? cpu->lstar : cpu->cstar;
        cpu->gpr[GPR_R8 + 3] = flags_get(cpu) & ~(uint64_t)FLAG_RF;
        flags_set(cpu, flags_get(cpu) & ~(cpu->sfmask | FLAG_RF));
    } else {
        target = (uint32_t)cpu->star;
        cpu->rflags &= ~(uint64_t)(FLAG_IF | FLAG_VM | FLAG_RF);
    }
    enter_flat(cpu, cs, (uint16_t)(cs + 8), 0, cpu->long_mode, target);
}

static void sysret(SoftCpu *cpu, const Insn *insn)
{
    uint16_t base = (uint16_t)(cpu->star >> 48);
    bool wide = insn->size == 8;
    uint64_t rip = wide ? cpu->gpr[GPR_RCX] : (uint32_t)cpu->gpr[GPR_RCX];

    require_syscall(cpu, insn);
    require_cpl0(cpu, insn);
    if (cpu_is_real(cpu) || (wide && !linear_is_canonical(rip))) {
        general_protection(cpu, insn);
    }
    if (cpu->long_mode) {
        flags_set(cpu, cpu->gpr[GPR_R8 + 3] & 0x3c7fd7);
    } else {
        cpu->rflags |= FLAG_IF;
    }
    enter_flat(cpu, (uint16_t)(base + (wide ? 16 : 0)), (uint16_t)(base + 8), 3, wide, rip);
}

static void require_sysenter(SoftCpu *cpu, const Insn *insn)
{
    if (cpu->long_mode && !soft_vendor_is_intel(cpu)) {
        undefined(cpu, insn);
    }
    if (cpu_is_real(cpu) || !(cpu->sysenter_cs & 0xfffc)) {
        general_protection(cpu, insn);
    }
}

static void sysenter(SoftCpu *cpu, const Insn *insn)
{
    uint16_t cs = (uint16_t)cpu->sysenter_cs;

    require_sysenter(cpu, insn);
    cpu->rflags &= ~(uint64_t)(FLAG_IF | FLAG_VM | FLAG_RF);
    cpu->gpr[GPR_RSP] = cpu->long_mode ? cpu->sysenter_esp : (uint32_t)cpu->sysenter_esp;
    enter_flat(cpu, cs, (uint16_t)(cs + 8), 0, cpu->long_mode, cpu->long_mode ? cpu->sysenter_eip : (uint32_t)cpu->sysenter_eip);
}

static void sysexit(SoftCpu *cpu, const Insn *insn)
{
    uint16_t base = (uint16_t)cpu->sysenter_cs;
    bool wide = insn->size == 8;
    uint64_t rip = cpu->gpr[GPR_RDX], rsp = cpu->gpr[GPR_RCX];

    require_sysenter(cpu, insn);
    require_cpl0(cpu, insn);
    if (wide && (!linear_is_canonical(rip) || !linear_is_canonical(rsp))) {
        general_protection(cpu, insn);
    }
    cpu->gpr[GPR_RSP] = wide ? rsp : (uint32_t)rsp;
    enter_flat(cpu, (uint16_t)(base + (wide ? 32 : 16)), (uint16_t)(base + (wide ? 40 : 24)), 3, wide, wide ? rip : (uint32_t)rip);
}

/* Ports --------------------------------------------------------------------------------------------------------- */

void soft_io_check(SoftCpu *cpu, const Insn *insn, uint16_t port, unsigned size)
{
    uint32_t offset, bits;

    if (cpu_is_real(cpu) || (!cpu_is_v8086(cpu) && cpu->cpl <= cpu_iopl(cpu))) {
        return;
    }
    if (cpu->tr.attributes & ATTR_UNUSABLE || (cpu->tr.attributes & ATTR_TYPE) < SYS_TSS32 || cpu->tr.limit < 0x67) {
        general_protection(cpu, insn);
    }
    offset = (uint32_t)mmu_load_system(cpu, insn, cpu->tr.base + 0x66, 2) + port / 8;
    if (offset + 1 > cpu->tr.limit) {
        general_protection(cpu, insn);
    }
    bits = (uint32_t)mmu_load_system(cpu, insn, cpu->tr.base + offset, 2) >> (port & 7);
    if (bits & ((1u << size) - 1)) {
        general_protection(cpu, insn);
    }
}

const SoftHandler system_handlers[] = {
    { OP_LGDT, .call = lgdt }, { OP_LIDT, .call = lidt }, { OP_SGDT, .call = sgdt }, { OP_SIDT, .call = sidt },
    { OP_LMSW, .call = lmsw }, { OP_SMSW, .call = smsw }, { OP_CLTS, .call = clts },
    { OP_INVLPG, .call = invlpg }, { OP_INVPCID, .call = invpcid }, { OP_INVD, .call = cache_control }, { OP_WBINVD, .call = cache_control },
    { OP_MOV_FROM_CR, .call = mov_from_cr }, { OP_MOV_TO_CR, .call = mov_to_cr },
    { OP_MOV_FROM_DR, .call = mov_from_dr }, { OP_MOV_TO_DR, .call = mov_to_dr },
    { OP_WRMSR, .call = wrmsr }, { OP_RDMSR, .call = rdmsr }, { OP_RDTSC, .call = rdtsc }, { OP_RDTSCP, .call = rdtscp },
    { OP_RDPMC, .call = rdpmc }, { OP_RDPID, .call = rdpid }, { OP_CPUID, .call = cpuid }, { OP_HLT, .call = hlt },
    { OP_SYSCALL, .call = syscall_ }, { OP_SYSRET, .call = sysret }, { OP_SYSENTER, .call = sysenter }, { OP_SYSEXIT, .call = sysexit },
    { OP_SWAPGS, .call = swapgs }, { OP_RDFSBASE, .call = rdfsbase }, { OP_RDGSBASE, .call = rdgsbase },
    { OP_WRFSBASE, .call = wrfsbase }, { OP_WRGSBASE, .call = wrgsbase }, { OP_CLAC, .call = clac }, { OP_STAC, .call = stac },
    { OP_MONITOR, .call = undefined }, { OP_MWAIT, .call = undefined }, { OP_XSETBV, .call = xsetbv },
    { OP_RSM, .call = undefined }, { OP_VMCALL, .call = undefined }, { OP_VMMCALL, .call = undefined },
    { 0 },
};
