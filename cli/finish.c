/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * finish.c - what follows from several options together, once all are read
 *
 * Tests    tests/cli/config.py
 */
#include "cli/options.h"
#include <errno.h>
#include <string.h>

static bool check_kernel(const Config *config, GError **err)
{
    const Value *boot = value_get(config->tree, "boot");
    const char *append = value_get_string(boot, "append", NULL), *initrd = value_get_string(boot, "initrd", NULL);

    if (value_get(boot, "kernel")) {
        return true;
    }
    if (append) {
        return fail(err, EINVAL, "-append %s: it needs a -kernel", append);
    }
    return !initrd || fail(err, EINVAL, "-initrd %s: it needs a -kernel", initrd);
}

/* kernel-irqchip is the accelerator's, also when the machine's option said it. */
static void hand_irqchip_over(Config *config)
{
    Value *machine = value_get(config->tree, "machine");
    Value *irqchip = value_get(machine, "kernel-irqchip");
    const Value *accels = value_get(config->tree, "accel");

    for (size_t i = 0; irqchip && i < value_length(accels); i++) {
        Value *accel = value_at(accels, i);
        if (strcmp(value_get_string(accel, "name", ""), "kvm") == 0 && !value_get(accel, "kernel-irqchip")) {
            value_set(accel, "kernel-irqchip", value_ref(irqchip));
        }
    }
    if (irqchip && value_length(accels)) {
        value_remove(machine, "kernel-irqchip");
    }
}

static void qtest_without_accel(Config *config)
{
    if (value_get(config->tree, "qtest") && !value_get(config->tree, "accel")) {
        Value *accel = value_new_object();
        value_set(accel, "name", value_new_string("qtest"));
        value_append(config_list(config, "accel"), accel);
    }
}

static bool check_parent(const Config *config, GError **err)
{
    return !value_get_bool(config->tree, "daemonize", false) || !value_get_bool(value_get(config->tree, "run-with"), "exit-with-parent", false) ||
           fail(err, EINVAL, "-run-with exit-with-parent=on: under -daemonize the parent ends at once");
}

/* A screen to look at, where somebody asks to look. */
static void add_display_adapter(Config *config)
{
    if (value_length(value_get(config->tree, "vncs")) && !value_get(config->tree, "vga") && !value_get_bool(config->tree, "nodefaults", false)) {
        value_set(config->tree, "vga", value_new_string("std"));
    }
}

bool config_finish(Config *config, GError **err)
{
    add_display_adapter(config);
    hand_irqchip_over(config);
    qtest_without_accel(config);
    return check_kernel(config, err) && check_parent(config, err) && smp_complete(config, err) && memory_check(config, err) && chardev_defaults(config, err) &&
           drives_finish(config, err) && finish_networks(config, err);
}
