/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kernel.c - fuzz target: any file as a kernel; what a loader takes, it also places within guest memory */
#include "base/lock.h"
#include "hw/machine/boot-internal.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RAM_SIZE = 2 << 20, ONE_MIB = 1 << 20 };
static const BootLoader *const loaders[] = { &linux_loader, &multiboot_loader, &pvh_loader };
static Region root, ram;
static Machine machine;

/* boot.c links against these; this target never calls boot_place(). */
void cpu_get_state(Cpu *cpu, CpuState *state)
{
    (void)cpu, (void)state;
}

bool cpu_set_state(Cpu *cpu, const CpuState *state, GError **err)
{
    (void)cpu, (void)state, (void)err;
    return true;
}

void machine_request_stop(Machine *asked, RunState state)
{
    (void)asked, (void)state;
}

static void prepare(void)
{
    machine_lock();
    region_init_container(&root, "root", UINT64_MAX);
    region_init_ram(&ram, "ram", RAM_SIZE, NULL);
    region_add(&root, 0, &ram, 0);
    machine.memory = space_new("fuzz", &root);
}

static Boot *make_boot(const uint8_t *data, size_t size)
{
    Boot *boot = g_new0(Boot, 1);

    boot->machine = &machine;
    boot->kernel_fd = -1;
    boot->map.below_4g = RAM_SIZE;
    map_add(&boot->map, 0, BOOT_LOW_END, E820_RAM);
    map_add(&boot->map, ONE_MIB, RAM_SIZE - ONE_MIB, E820_RAM);
    boot->kernel_path = g_strdup("fuzz");
    boot->command_line = g_strdup("quiet");
    boot->module_lines = g_ptr_array_new_with_free_func(g_free);
    boot->modules = g_array_new(FALSE, TRUE, sizeof(BootModule));
    boot->kernel = g_memdup2(data, size);  /* of exact size, where the file reader adds a byte */
    boot->kernel_size = size;
    boot->initrd = g_strdup("initrd");
    boot->initrd_size = 6;
    return boot;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!machine.memory) {
        prepare();
    }
    for (size_t i = 0; i < G_N_ELEMENTS(loaders); i++) {
        g_autofree CpuState *cpu = g_new0(CpuState, 1);
        Boot *boot = make_boot(data, size);
        GError *error = NULL;

        if (!loaders[i]->recognize(boot->kernel, size)) {
            boot_free(boot);
            continue;
        }
        boot->loader = loaders[i];
        if (loaders[i]->check(boot, &error)) {
            g_assert_no_error(error);
            g_assert_true(boot->is_elf || boot_in_ram(boot, boot->load_address, boot->image_size));
            g_assert_true(!boot->initrd_address || boot_in_ram(boot, boot->initrd_address, boot->initrd_size));
            loaders[i]->place(boot, cpu);
        } else {
            g_assert_true(error && *error->message);
            g_assert_null(strchr(error->message, '\n'));
            g_error_free(error);
        }
        boot_free(boot);
    }
    return 0;
}
