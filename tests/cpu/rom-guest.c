/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rom-guest.c - the ROMs of tests/cpu/rom on a bare software CPU: their answers against the recorded ones
 *
 * The recorded texts are what this CPU prints, read line by line against what the same images print elsewhere:
 *
 * rom.c (32 bits)  QEMU 7.2's TCG: 322 of 372 lines are equal. In the others the manual was followed: a call gate to a conforming
 *                  segment keeps the level, a gate's target that is not present is #NP also for a jump, an SS that is not
 *                  present in a return is #SS, faults push RF, a reserved bit's error code has P too; and accessed bits are left
 *                  alone by a walk that faults, where processors differ. TCG knows neither F1h nor DR7's general
 *                  detection, and stops at a breakpoint right after MOV SS.
 * rom64.c          KVM (on a host that emulates level 0 and runs level 3 itself): segment loads, far jumps and calls, null selectors,
 *                  all 4-level page walks, CR3, EFER, FS, GS, LSTAR equal. It does not refuse upper bits of CR0 and CR4, nor a bad PAT,
 *                  makes a double fault of a bad gate, and stops at returns to an outer level. TCG's error codes for
 *                  bad gates count vectors by 16.
 *
 *   ROM_OUTPUT=ours build/tests/cpu/cpu-rom-guest build/tests/cpu/cpu-rom-64.bin tests/cpu/rom/expected64.txt
 *   qemu-system-x86_64 -accel kvm -m 64 -display none -nodefaults -no-reboot -bios build/tests/cpu/cpu-rom-64.bin
 *       -debugcon file:theirs -global isa-debugcon.iobase=0x402 -device isa-debug-exit,iobase=0xf4,iosize=4
 */
#include "accel/soft/mmu.h"
#include "accel/soft/run.h"
#include "accel/soft/soft.h"
#include "base/epoch.h"
#include "base/lock.h"
#include <glib.h>

typedef struct Machine {
    Region root, ram, rom, high, port_root, debug, leave;
    AddressSpace *memory, *ports;
    SoftCpu *cpu;
    GString *said;
    bool left;
} Machine;

static void debug_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Machine *machine = opaque;

    (void)offset;
    (void)size;
    g_string_append_c(machine->said, (char)value);
}

static void leave_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Machine *machine = opaque;

    (void)offset;
    (void)value;
    (void)size;
    machine->left = true;
}

static const RegionOps debug_ops = { .write = debug_write, .widths = WIDTH_8 };
static const RegionOps leave_ops = { .write = leave_write, .widths = WIDTH_8 };

static void machine_make(Machine *machine, const char *path)
{
    g_autofree char *image = NULL;
    size_t length;

    g_assert_true(g_file_get_contents(path, &image, &length, NULL));
    g_assert_cmpuint(length, ==, 65536);
    machine->said = g_string_new(NULL);
    machine_lock();
    region_init_container(&machine->root, "memory", UINT64_MAX);
    region_init_container(&machine->port_root, "ports", 65536);
    g_assert_true(region_init_ram(&machine->ram, "ram", 16 << 20, NULL));
    g_assert_true(region_init_rom(&machine->rom, "rom", 65536, NULL));
    region_init_alias(&machine->high, "reset", &machine->rom, 0, 65536);
    region_init_io(&machine->debug, &debug_ops, machine, "debug", 1);
    region_init_io(&machine->leave, &leave_ops, machine, "leave", 1);
    memcpy(region_host(&machine->rom), image, length);
    region_add(&machine->root, 0, &machine->ram, 0);
    region_add(&machine->root, 0xf0000, &machine->rom, 1);
    region_add(&machine->root, 0xffff0000, &machine->high, 0);
    region_add(&machine->port_root, 0x402, &machine->debug, 0);
    region_add(&machine->port_root, 0xf4, &machine->leave, 0);
    machine->memory = space_new("memory", &machine->root);
    machine->ports = space_new("ports", &machine->port_root);
    machine_unlock();
    machine->cpu = soft_new(machine->memory, machine->ports, NULL);
    if (g_getenv("TRANSLATE")) {
        soft_translate(machine->cpu);
    }
}

static void machine_run(Machine *machine)
{
    for (unsigned turn = 0; turn < 2000 && !machine->left; turn++) {
        RunStop stop;

        epoch_enter();
        mmu_begin(machine->cpu);
        stop = soft_loop(machine->cpu, 100000);
        epoch_leave();
        if (stop != RUN_AGAIN) {
            break;
        }
    }
}

/* The first line that differs, with a window around the column. */
static void compare(const char *said, const char *expected)
{
    g_auto(GStrv) ours = g_strsplit(said, "\n", -1), theirs = g_strsplit(expected, "\n", -1);
    unsigned differences = 0;

    for (unsigned i = 0; ours[i] && theirs[i]; i++) {
        size_t column = 0;

        if (!strcmp(ours[i], theirs[i])) {
            continue;
        }
        while (ours[i][column] && ours[i][column] == theirs[i][column]) {
            column++;
        }
        g_test_message("line %u column %zu: %.24s ...%.60s | expected ...%.60s", i + 1, column, ours[i], ours[i] + (column > 20 ? column - 20 : 0),
                       theirs[i] + (column > 20 ? column - 20 : 0));
        differences++;
    }
    g_assert_cmpuint(differences, ==, 0);
    g_assert_cmpuint(g_strv_length(ours), ==, g_strv_length(theirs));
}

int main(int argc, char **argv)
{
    static Machine machine;
    g_autofree char *expected = NULL;

    g_assert_cmpint(argc, ==, 3);
    machine_make(&machine, argv[1]);
    machine_run(&machine);
    if (g_getenv("ROM_OUTPUT")) {
        g_file_set_contents(g_getenv("ROM_OUTPUT"), machine.said->str, -1, NULL);
    }
    g_assert_true(g_file_get_contents(argv[2], &expected, NULL, NULL));
    compare(machine.said->str, expected);
    soft_free(machine.cpu);
    return 0;
}
