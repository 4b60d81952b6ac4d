/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cpu/bare.h"
#include "accel/soft/address.h"
#include "accel/soft/block.h"
#include "accel/soft/walk.h"
#include "base/epoch.h"
#include "base/lock.h"
#include <stdlib.h>

/* The block cache is not part of these tests, unless the library brings it along. */
__attribute__((weak)) bool block_page_has_code(const RamBlock *ram, uint64_t offset)
{
    (void)ram;
    (void)offset;
    return false;
}

__attribute__((weak)) void block_written(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length)
{
    (void)cpu;
    (void)ram;
    (void)offset;
    (void)length;
}

__attribute__((weak)) void block_written_here(SoftCpu *cpu, RamBlock *ram, uint64_t offset, uint64_t length)
{
    (void)cpu;
    (void)ram;
    (void)offset;
    (void)length;
}

__attribute__((weak)) uint64_t soft_address_any(SoftCpu *cpu, const Insn *insn, unsigned size, bool write)
{
    (void)size;
    (void)write;
    return cpu->gpr[insn->base] + (uint64_t)(int64_t)insn->disp;
}

Bare *bare_new(uint64_t bytes)
{
    Bare *bare = g_new0(Bare, 1);
    SoftCpu *cpu = aligned_alloc(4096, (sizeof *cpu + 4095) & ~(size_t)4095);

    memset(cpu, 0, sizeof *cpu);
    bare->cpu = cpu;
    machine_lock();
    region_init_container(&bare->root, "memory", UINT64_MAX);
    region_init_ram(&bare->ram, "ram", bytes, NULL);
    region_add(&bare->root, 0, &bare->ram, 0);
    cpu->memory = space_new("memory", &bare->root);
    bare->memory = region_host(&bare->ram);
    memset(cpu->features, 0xff, sizeof cpu->features);
    cpu->sys.physical_limit = UINT64_C(0x000fffffffffffff) & ~((UINT64_C(1) << 46) - 1);
    mmu_attach(cpu);
    machine_unlock();
    epoch_enter();
    mmu_begin(cpu);
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        cpu->segment[i] = (CpuSegment){ .attributes = 0x93, .limit = 0xffff };
    }
    bare_set_mode(bare, CR0_ET, 0, 0, 0);
    return bare;
}

void bare_free(Bare *bare)
{
    epoch_leave();
    machine_lock();
    mmu_detach(bare->cpu);
    region_remove(&bare->ram);
    space_free(bare->cpu->memory);
    region_destroy(&bare->ram);
    region_destroy(&bare->root);
    machine_unlock();
    free(bare->cpu);
    g_free(bare);
}

void bare_set_mode(Bare *bare, uint64_t cr0, uint64_t cr4, uint64_t efer, unsigned cpl)
{
    SoftCpu *cpu = bare->cpu;

    cpu->cr0 = cr0;
    cpu->cr4 = cr4;
    cpu->efer = efer;
    cpu->cpl = (uint8_t)cpl;
    walk_update_mode(cpu);
    tlb_flush_all(cpu);
    soft_mode_changed(cpu);
}
