/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpuid.c - CPU models, features by name, topology leaves
 */
#include "accel/x86/cpu-state.h"
#include "accel/x86/cpuid.h"
#include "base/value.h"
#include <string.h>

static CpuidConfig able(void)
{
    CpuidConfig config;
    cpuid_of_host(&config);
    config.kvm_leaves = true;
    config.words[CPUID_4000_0001_EAX] = 0x01007efb;
    return config;
}

static Value *cpu_value(const char *model, const char *features)
{
    Value *cpu = value_new_object();
    value_set(cpu, "model", value_new_string(model));
    Value *list = value_new_list();
    g_auto(GStrv) parts = g_strsplit(features, ",", -1);
    for (unsigned i = 0; parts[i] && *parts[i]; i++) {
        Value *entry = value_new_object();
        char *equals = strchr(parts[i], '=');
        if (equals) {
            *equals = 0;
            value_set(entry, "value", value_new_string(equals + 1));
            value_set(entry, "name", value_new_string(parts[i]));
        } else {
            value_set(entry, "on", value_new_bool(parts[i][0] == '+'));
            value_set(entry, "name", value_new_string(parts[i] + 1));
        }
        value_append(list, entry);
    }
    value_set(cpu, "features", list);
    return cpu;
}

static bool configure(CpuidConfig *out, const char *model, const char *features, const CpuidConfig *host, GError **err)
{
    g_autoptr(Value) cpu = cpu_value(model, features);
    return cpuid_config(out, cpu, NULL, "qemu64", host, err);
}

static void names_are_unique(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned word = 0; word < CPUID_WORDS; word++) {
        for (unsigned bit = 0; bit < 32; bit++) {
            const char *name = cpuid_feature_name(word, bit);
            if (name) {
                g_assert_true(g_hash_table_add(seen, (gpointer)name));
                g_assert_null(strchr(name, '_'));
            }
        }
    }
    g_assert_cmpstr(cpuid_feature_name(FEATURE_AVX2 >> 5, FEATURE_AVX2 & 31), ==, "avx2");
    g_assert_cmpstr(cpuid_feature_name(FEATURE_SHA >> 5, FEATURE_SHA & 31), ==, "sha-ni");
    g_assert_null(cpuid_feature_name(CPUID_WORDS, 0));
}

static void models_fit_the_host(void)
{
    CpuidConfig host = able(), config;
    GError *err = NULL;
    uint32_t out[4];

    g_assert_true(configure(&config, "qemu64", "", &host, &err));
    g_assert_no_error(err);
    cpuid_query(&config, 0, 0, 0, out);
    g_assert_cmpuint(out[0], ==, 0xd);
    g_assert_cmpmem(&out[1], 4, "Auth", 4);
    cpuid_query(&config, 0, 1, 0, out);
    g_assert_cmphex(out[0], ==, 0x60fb1);
    cpuid_query(&config, 0, 0x40000000, 0, out);
    g_assert_cmpmem(&out[1], 12, "KVMKVMKVM\0\0", 12);
    for (unsigned word = 0; word < CPUID_WORDS; word++) {
        g_assert_cmphex(config.words[word] & ~host.words[word], ==, 0);
    }
    host.words[CPUID_1_ECX] = 0;
    g_assert_true(configure(&config, "kvm64", "", &host, &err));
    g_assert_cmphex(config.words[CPUID_1_ECX], ==, 0);
    g_assert_false(configure(&config, "pentium9", "", &host, &err));
    g_assert_nonnull(strstr(err->message, "pentium9"));
    g_clear_error(&err);
}

static void features(void)
{
    CpuidConfig host = able(), config;
    GError *err = NULL;

    host.words[CPUID_1_ECX] = UINT32_MAX;
    host.words[CPUID_7_EBX] = UINT32_MAX;
    host.xcr0 = 0xe7;
    g_assert_true(configure(&config, "qemu64", "+xsave,avx=on,ssse3=on,+sse4_1,+sse4.2,+avx2", &host, &err));
    g_assert_true(cpuid_has(config.words, FEATURE_AVX2) && cpuid_has(config.words, FEATURE_SSE42));
    g_assert_cmphex(config.xcr0, ==, 7);
    g_assert_true(configure(&config, "max", "-sse4.1", &host, &err));
    g_assert_false(cpuid_has(config.words, FEATURE_AVX));
    g_assert_false(cpuid_has(config.words, FEATURE_AVX512F));
    g_assert_true(configure(&config, "max", "xsave=off", &host, &err));
    g_assert_false(cpuid_has(config.words, FEATURE_AVX2));
    g_assert_cmphex(config.xcr0, ==, 0);
    g_assert_false(configure(&config, "max", "+teleport", &host, &err));
    g_assert_nonnull(strstr(err->message, "teleport"));
    g_clear_error(&err);
    g_assert_false(configure(&config, "max", "stepping=99", &host, &err));
    g_clear_error(&err);
    g_assert_false(configure(&config, "qemu64", "+avx,enforce=on", &host, &err));       /* no XSAVE was asked for */
    g_assert_nonnull(strstr(err->message, "need other features"));
    g_clear_error(&err);
    g_assert_true(configure(&config, "qemu64", "+avx,-avx,enforce=on", &host, &err));
    host.words[CPUID_1_ECX] = 0;
    g_assert_false(configure(&config, "qemu64", "+avx,enforce=on", &host, &err));
    g_assert_nonnull(strstr(err->message, "avx"));
    g_clear_error(&err);
    g_assert_true(configure(&config, "qemu64", "vendor=GenuineIntel,family=6,model=85,stepping=7,kvm=off", &host, &err));
    g_assert_cmphex(config.signature, ==, 0x50657);
    uint32_t out[4];
    cpuid_query(&config, 0, 0x40000000, 0, out);
    g_assert_cmphex(out[0], ==, 0);
}

static void topology(void)
{
    CpuidConfig host = able(), config;
    uint32_t out[4];
    g_autoptr(Value) smp = value_new_object();
    value_set(smp, "cpus", value_new_uint(12));
    value_set(smp, "sockets", value_new_uint(2));
    value_set(smp, "cores", value_new_uint(3));
    value_set(smp, "threads", value_new_uint(2));
    g_autoptr(Value) cpu = cpu_value("kvm64", "");
    g_assert_true(cpuid_config(&config, cpu, smp, "qemu64", &host, NULL));
    g_assert_cmpuint(cpuid_apic_id(&config.topology, 5), ==, 5);
    g_assert_cmpuint(cpuid_apic_id(&config.topology, 6), ==, 8);       /* three cores take two bits: second package at 8 */
    cpuid_query(&config, 9, 0xb, 0, out);
    g_assert_cmpuint(out[0], ==, 1);
    g_assert_cmpuint(out[1], ==, 2);
    g_assert_cmphex(out[2], ==, 0x100);
    g_assert_cmpuint(out[3], ==, 9);
    cpuid_query(&config, 9, 0xb, 1, out);
    g_assert_cmpuint(out[0], ==, 3);
    g_assert_cmpuint(out[1], ==, 6);
    g_assert_cmphex(out[2], ==, 0x201);
    cpuid_query(&config, 9, 0xb, 2, out);
    g_assert_cmphex(out[0] | out[1], ==, 0);
    cpuid_query(&config, 9, 1, 0, out);
    g_assert_cmphex(out[1], ==, 9u << 24 | 6 << 16 | 8 << 8);
    g_assert_true(out[3] & 1u << 28);
    cpuid_query(&config, 0, 4, 3, out);
    g_assert_cmpuint(out[0] >> 14 & 0xfff, ==, 7);
    value_set(smp, "threads", value_new_uint(0));
    g_assert_false(cpuid_config(&config, cpu, smp, "qemu64", &host, NULL));
}

static void apic_ids_are_distinct(void)
{
    for (unsigned round = 0; round < 200; round++) {
        CpuidTopology t = { .sockets = (uint32_t)g_test_rand_int_range(1, 5), .dies = (uint32_t)g_test_rand_int_range(1, 4),
                            .cores = (uint32_t)g_test_rand_int_range(1, 9), .threads = (uint32_t)g_test_rand_int_range(1, 4) };
        uint32_t last = 0;
        for (uint32_t i = 0; i < t.sockets * t.dies * t.cores * t.threads; i++) {
            uint32_t id = cpuid_apic_id(&t, i);
            g_assert_true(i == 0 ? id == 0 : id > last);
            last = id;
        }
    }
}

static void no_leaf_goes_wild(void)
{
    CpuidConfig host = able(), config;
    uint32_t out[4];
    g_assert_true(configure(&config, "max", "", &host, NULL));
    for (unsigned round = 0; round < 20000; round++) {
        cpuid_query(&config, 1, g_random_int() & 0xc000003f, g_random_int() & 0x3f, out);
        cpuid_query(&config, 1, g_random_int(), g_random_int(), out);
    }
}

static void state_table(void)
{
    g_autofree CpuState *state = g_new0(CpuState, 1);
    g_autofree CpuState *copy = g_new0(CpuState, 1);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    GError *err = NULL;

    cpu_state_reset(state, 0x60fb1, true);
    state->gpr[3] = 0x123456789abcdef0;
    state->segment[SEG_FS].base = 0xffff800000000000;
    state->mtrr_mask[7] = 77;
    state->sipi_vector = 0x9a;
    fields_save(cpu_state_saved, state, bytes);
    const uint8_t *at = bytes->data;
    size_t left = bytes->len;
    g_assert_true(fields_load(cpu_state_saved, copy, "cpu", &at, &left, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(left, ==, 0);
    g_assert_cmpmem(state, sizeof *state, copy, sizeof *copy);
    g_autofree char *text = cpu_state_describe(copy);
    g_assert_nonnull(strstr(text, "RBX=123456789abcdef0"));
    g_assert_nonnull(strstr(text, "RIP=000000000000fff0"));
    for (size_t cut = 0; cut < bytes->len; cut += 7) {
        at = bytes->data;
        left = cut;
        g_assert_false(fields_load(cpu_state_saved, copy, "cpu", &at, &left, NULL));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpuid/feature names are unique", names_are_unique);
    g_test_add_func("/cpuid/models are cut to what the host gives", models_fit_the_host);
    g_test_add_func("/cpuid/features by name, with what hangs on them", features);
    g_test_add_func("/cpuid/topology leaves", topology);
    g_test_add_func("/cpuid/APIC ids rise with the index", apic_ids_are_distinct);
    g_test_add_func("/cpuid/any leaf is answered", no_leaf_goes_wild);
    g_test_add_func("/cpu-state/saved and loaded", state_table);
    return g_test_run();
}
