/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-machine.c - -machine, -accel, -enable-kvm, -cpu
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "cli/keyval.h"
#include "cli/options.h"
#include "accel/accel.h"
#include "accel/x86/cpuid.h"
#include "hw/core/machine.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const irqchip_places[] = { "on", "off", "split", NULL };
static const char *const on_only[] = { "on", NULL };
static const char *const off_only[] = { "off", NULL };
static const char *const off_auto[] = { "off", "auto", NULL };

/* What names a feature that is not here has only its harmless choices. */
const Field machine_keys[] = {
    KEY_STR("type", "the machine"),
    KEY_STR("accel", "accelerators in order of preference, separated by colons"),
    KEY_ENUM("kernel-irqchip", irqchip_places, "interrupt controllers in the kernel, all or the LAPICs only, or none (KVM)"),
    KEY_ENUM("acpi", on_off_auto, "ACPI tables"), KEY_ENUM("hpet", on_off, "high precision event timer"),
    KEY_ENUM("pit", on_only, "interval timer"), KEY_ENUM("i8042", on_only, "keyboard controller"),
    KEY_ENUM("smbus", on_only, "SMBus of the power management function"), KEY_ENUM("graphics", on_off, "a display is wanted"),
    KEY_ENUM("dump-guest-core", on_off, "guest memory in core dumps"), KEY_ENUM("mem-merge", on_off, "let the host merge equal pages"),
    KEY_ENUM("fd-bootchk", on_only, "the firmware checks a floppy's boot signature"),
    KEY_STR("kernel", "as -kernel"), KEY_STR("initrd", "as -initrd"), KEY_STR("append", "as -append"), KEY_STR("firmware", "as -bios"),
    KEY_ENUM("usb", off_only, "USB is not supported yet"), KEY_ENUM("vmport", off_auto, "not supported yet"),
    KEY_ENUM("smm", off_auto, "not supported yet"), KEY_ENUM("nvdimm", off_only, "not supported yet"),
    KEY_ENUM("hmat", off_only, "not supported yet"), KEY_ENUM("igd-passthru", off_only, "not supported yet"),
    KEY_ENUM("suppress-vmdesc", on_off, "leave the description out of saved state"),
    KEY_ENUM("default-bus-bypass-iommu", off_only, "there is no IOMMU"),
    KEY_ENUM("aes-key-wrap", on_off, "of another architecture; without effect"),
    KEY_ENUM("dea-key-wrap", on_off, "of another architecture; without effect"),
    FIELD_END };

static const char *const machine_refusals[] = {
    "memory-backend", "memory-encryption", "pcspk-audiodev", "pflash0", "pflash1", "sgx-epc", "cxl", "cxl-fmw",
    "confidential-guest-support", "dtb", "dumpdtb", "dt-compatible", "phandle-start", "sata", "max-ram-below-4g", NULL };

static void print_machines(void)
{
    printf("Supported machines are:\n");
    for (const BoardModel *const *board = board_models; *board; board++) {
        const BoardModel *b = *board;
        if (b->alias) {
            printf("%-20s %s (alias of %s)\n", b->alias, b->help, b->name);
        }
        printf("%-20s %s%s%s%s\n", b->name, b->help, b->alias ? " (default)" : "", b->deprecated ? " (deprecated: " : "",
               b->deprecated ? b->deprecated : "");
    }
}

static bool add_accels(Config *config, const char *names, GError **err)
{
    g_auto(GStrv) list = g_strsplit(names, ":", -1);

    for (char **name = list; *name; name++) {
        static const char *const known[] = { "kvm", "tcg", "qtest", NULL };
        static const char *const elsewhere[] = { "xen", "hax", "hvf", "nvmm", "whpx", NULL };
        if (!g_strv_contains(known, *name)) {
            return fail(err, EINVAL, "accelerator '%s' %s; there are kvm, tcg and qtest", *name,
                        g_strv_contains(elsewhere, *name) ? "is not for this host" : "does not exist");
        }
        Value *item = value_new_object();
        value_set(item, "name", value_new_string(*name));
        value_append(config_list(config, "accel"), item);
    }
    return true;
}

/* Members that other options own go there; the rest stays for the board. */
static bool spread_machine(Config *config, Value *machine, GError **err)
{
    static const char *const of_boot[] = { "kernel", "initrd", "append", "firmware", NULL };
    const char *accel = value_get_string(machine, "accel", NULL);

    for (const char *const *key = of_boot; *key; key++) {
        Value *value = value_get(machine, *key);
        if (value) {
            value_set(config_object(config, "boot"), *key, value_ref(value));
            value_remove(machine, *key);
        }
    }
    if (accel && value_get(config->tree, "accel")) {
        return fail(err, EINVAL, "-accel and accel= were both given; use one of them");
    }
    if (accel && !add_accels(config, accel, err)) {
        return false;
    }
    value_remove(machine, "accel");
    return true;
}

/* What is not here yet is refused by name; its harmless choices are taken. */
static bool refuse_what_is_missing(const Value *given, GError **err)
{
    for (size_t i = 0; i < value_length(given); i++) {
        const char *name = value_key_at(given, i), *text = value_string(value_member_at(given, i));
        const Field *key = field_find(machine_keys, name);
        g_autofree char *stem = g_strndup(name, strcspn(name, "."));
        if (g_strv_contains(machine_refusals, stem)) {
            return fail(err, ENOTSUP, "%s= is not supported yet", name);
        }
        bool lacks_on = key && (key->names == off_only || key->names == off_auto), lacks_off = key && key->names == on_only;
        if ((lacks_on && strcmp(text, "on") == 0) || (lacks_off && strcmp(text, "off") == 0)) {
            return fail(err, ENOTSUP, "%s=%s is not supported yet", name, text);
        }
    }
    return true;
}

bool opt_machine(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) given = keyval_parse(config, NULL, text, "type", err);

    (void)option;
    if (!given) {
        return false;
    }
    if (option_wants_help(text)) {
        print_machines();
        return config_show(config);
    }
    if (!refuse_what_is_missing(given, err)) {
        return false;
    }
    Value *machine = config_object(config, "machine");
    if (!keyval_apply(config, machine, machine_keys, text, "type", err)) {
        return false;
    }
    if (!*text || !*value_get_string(machine, "type", "pc")) {
        return fail(err, EINVAL, "the machine's name is missing; '-machine help' lists them");
    }
    return spread_machine(config, machine, err);
}

static const char *const checks[] = { "off", "lockstep", "audit", "all", NULL };
static const char *const single_multi[] = { "single", "multi", NULL };
const Field accel_keys[] = {
    KEY_STR("accel", "the accelerator"),
    KEY_ENUM("kernel-irqchip", irqchip_places, "kvm: interrupt controllers in the kernel, all, the LAPICs only, or none"),
    KEY_ENUM("thread", single_multi, "tcg: multi, a host thread for each processor (the default), or single, one that interprets all in turn"),
    KEY_UINT("tb-size", 0, 65536, "tcg: MiB of translated code for each processor; 0 is the default, 64"),
    KEY_BOOL("interp", "tcg: on interprets all code, slowly; for hunting bugs"),
    KEY_ENUM("check", checks, "tcg: lockstep compares each translated block with the interpreter, audit keeps a second book of the page tables' entries, all both: for hunting bugs"),
    FIELD_END };

bool opt_accel(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) keys = value_new_object();
    const char *name;

    (void)option;
    if (option_wants_help(text)) {
        puts("Accelerators supported in this executable:\ntcg\nkvm");      /* one a line: scripts read this */
        return config_show(config);
    }
    if (!keyval_apply(config, keys, accel_keys, text, "accel", err)) {
        return false;
    }
    name = value_get_string(keys, "accel", NULL);
    if (!name || !*name) {
        return fail(err, EINVAL, "the accelerator's name is missing; there are kvm, tcg and qtest");
    }
    size_t before = value_length(value_get(config->tree, "accel"));
    if (!add_accels(config, name, err)) {
        return false;
    }
    value_remove(keys, "accel");
    const Value *list = value_get(config->tree, "accel");
    for (size_t i = before; i < value_length(list); i++) {
        for (size_t k = 0; k < value_length(keys); k++) {
            value_set(value_at(list, i), value_key_at(keys, k), value_ref(value_member_at(keys, k)));
        }
    }
    return true;
}

bool opt_enable_kvm(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    (void)text;
    return add_accels(config, "kvm", err);
}

/* "+avx", "-avx", "avx=on", "level=13", "enforce". */
static Value *cpu_feature(const char *item, GError **err)
{
    const char *equals = strchr(item, '=');
    bool sign = *item == '+' || *item == '-', on = *item != '-';
    g_autofree char *name = equals ? g_strndup(item, equals - item) : g_strdup(item + sign);

    if (!*name) {
        fail(err, EINVAL, "a feature's name is missing in '%s'", item);
        return NULL;
    }
    Value *feature = value_new_object();
    value_set(feature, "name", value_new_string(name));
    if (!equals || parse_bool(equals + 1, &on)) {
        value_set(feature, "on", value_new_bool(on));
    } else {
        value_set(feature, "value", value_new_string(equals + 1));
    }
    return feature;
}

bool opt_cpu(Config *config, const Option *option, const char *text, GError **err)
{
    (void)option;
    if (option_wants_help(text)) {
        cpuid_print_models();
        return config_show(config);
    }
    g_auto(GStrv) items = g_strsplit(text, ",", -1);
    if (!items[0] || !*items[0] || strchr(items[0], '=')) {
        return fail(err, EINVAL, "the model's name must come first; '-cpu help' lists them");
    }
    g_autoptr(Value) cpu = value_new_object(), features = value_new_list();
    for (char **item = items + 1; *item; item++) {
        Value *feature = cpu_feature(*item, err);
        if (!feature) {
            return false;
        }
        value_append(features, feature);
    }
    value_set(cpu, "model", value_new_string(items[0]));
    value_set(cpu, "features", g_steal_pointer(&features));
    value_set(config->tree, "cpu", g_steal_pointer(&cpu));
    return true;
}
