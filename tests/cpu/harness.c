/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/cpu/harness.h"
#include "accel/soft/jit-check.h"
#include "base/lock.h"
#include <string.h>

Harness *harness_new(unsigned code_size, unsigned cpl)
{
    Harness *h = g_new0(Harness, 1);

    machine_lock();
    region_init_container(&h->root, "memory", UINT64_MAX);
    region_init_container(&h->port_root, "ports", 0x10000);
    g_assert_true(region_init_ram(&h->ram, "ram", HARNESS_BYTES, NULL));
    region_add(&h->root, 0, &h->ram, 0);
    h->memory = space_new("memory", &h->root);
    h->ports = space_new("ports", &h->port_root);
    h->bytes = region_host(&h->ram);
    machine_unlock();
    h->cpu = soft_new(h->memory, h->ports, NULL);
    g_assert_nonnull(h->cpu);
    if (g_getenv("TRANSLATE") && soft_translate(h->cpu) && !strcmp(g_getenv("TRANSLATE"), "check")) {
        jit_check_open(h->cpu, CHECK_LOCKSTEP | CHECK_AUDIT);
    }
    soft_set_flat(h->cpu, code_size, cpl, HARNESS_TABLES);
    return h;
}

void harness_free(Harness *h)
{
    g_assert_cmpuint(jit_check_differences(h->cpu), ==, 0);
    soft_free(h->cpu);
    machine_lock();
    region_remove(&h->ram);
    space_free(h->memory);
    space_free(h->ports);
    region_destroy(&h->ram);
    region_destroy(&h->root);
    region_destroy(&h->port_root);
    machine_unlock();
    g_free(h);
}

void harness_code(Harness *h, const void *code, size_t length)
{
    memcpy(h->bytes + HARNESS_CODE, code, length);
    if (ram_code_written) {
        ram_code_written(h->ram.ram, HARNESS_CODE, length);
    }
    memset(h->cpu->general, 0, sizeof h->cpu->general);
    h->cpu->gpr[GPR_RSP] = HARNESS_STACK;
    h->cpu->rip = HARNESS_CODE;
    h->cpu->activity = CPU_RUNNABLE;
    flags_set(h->cpu, FLAG_FIXED);
}

SoftStop harness_run(Harness *h, uint64_t count)
{
    uint64_t done;
    SoftStop stop = soft_run(h->cpu, count, &done);

    if (stop == SOFT_DONE) {
        g_assert_cmpuint(done, ==, count);
    }
    return stop;
}
