/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector.c - what a user process cannot ask the host about x87, SSE and AVX: control register bits, CR0.NE, device operands, saved state
 *
 * The instructions themselves are compared with the host by fuzz.c.
 */
#include "accel/soft/fpu.h"
#include "accel/soft/mmu.h"
#include "base/lock.h"
#include "tests/cpu/harness.h"
#include <string.h>

enum { NOTHING = -1 };

static int run_one(Harness *h)
{
    return harness_run(h, 1) == SOFT_RAISED ? soft_exception(h->cpu).vector : NOTHING;
}

static void set_control(Harness *h, uint64_t cr0_bits, uint64_t cr4_bits)
{
    const uint64_t cr0_mine = CR0_EM | CR0_TS | CR0_MP | CR0_NE, cr4_mine = CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT;

    h->cpu->cr0 = (h->cpu->cr0 & ~cr0_mine) | cr0_bits;
    h->cpu->cr4 = (h->cpu->cr4 & ~cr4_mine) | cr4_bits;
    soft_mode_changed(h->cpu);
}

/* Exception with CR0.EM, with CR0.TS, with CR0.TS and CR0.MP, without CR4.OSFXSR, without CR4.OSXSAVE. */
static void refusals(void)
{
#define CASE(text, ...) { text, SNIPPET(64, text), { __VA_ARGS__ } }
    const struct { const char *name; const uint8_t *code; size_t length; int expected[5]; } cases[] = {
        CASE("addps %xmm1, %xmm2", EXC_UD, EXC_NM, EXC_NM, EXC_UD, NOTHING),
        CASE("movaps %xmm1, %xmm2", EXC_UD, EXC_NM, EXC_NM, EXC_UD, NOTHING),
        CASE("pxor %xmm1, %xmm1", EXC_UD, EXC_NM, EXC_NM, EXC_UD, NOTHING),
        CASE("movq (%rsp), %xmm1", EXC_UD, EXC_NM, EXC_NM, EXC_UD, NOTHING),
        CASE("aesenc %xmm1, %xmm1", EXC_UD, EXC_NM, EXC_NM, EXC_UD, NOTHING),
        CASE("ldmxcsr (%rsp)", EXC_UD, EXC_NM, EXC_NM, EXC_UD, NOTHING),
        CASE("stmxcsr (%rsp)", EXC_UD, EXC_NM, EXC_NM, EXC_UD, NOTHING),
        CASE("paddb %mm1, %mm2", EXC_UD, EXC_NM, EXC_NM, NOTHING, NOTHING),
        CASE("emms", EXC_UD, EXC_NM, EXC_NM, NOTHING, NOTHING),
        CASE("fld1", EXC_NM, EXC_NM, EXC_NM, NOTHING, NOTHING),
        CASE("fnstcw (%rsp)", EXC_NM, EXC_NM, EXC_NM, NOTHING, NOTHING),
        CASE("fnstsw %ax", EXC_NM, EXC_NM, EXC_NM, NOTHING, NOTHING),
        CASE("fwait", NOTHING, NOTHING, EXC_NM, NOTHING, NOTHING),
        CASE("fxsave (%rsp)", EXC_NM, EXC_NM, EXC_NM, NOTHING, NOTHING),
        CASE("fxrstor (%rsp)", EXC_NM, EXC_NM, EXC_NM, NOTHING, NOTHING),
        CASE("xsave (%rsp)", NOTHING, EXC_NM, EXC_NM, NOTHING, EXC_UD),
        CASE("xgetbv", NOTHING, NOTHING, NOTHING, NOTHING, EXC_UD),
        CASE("movnti %eax, (%rsp)", NOTHING, NOTHING, NOTHING, NOTHING, NOTHING),
        CASE("prefetchnta (%rax)", NOTHING, NOTHING, NOTHING, NOTHING, NOTHING),
        CASE("mfence", NOTHING, NOTHING, NOTHING, NOTHING, NOTHING),
        CASE("clflush (%rsp)", NOTHING, NOTHING, NOTHING, NOTHING, NOTHING),
    };
    static const struct { const char *name; uint64_t cr0, cr4; } controls[5] = {
        { "EM", CR0_EM | CR0_NE, CR4_OSFXSR | CR4_OSXSAVE }, { "TS", CR0_TS | CR0_NE, CR4_OSFXSR | CR4_OSXSAVE },
        { "TS MP", CR0_TS | CR0_MP | CR0_NE, CR4_OSFXSR | CR4_OSXSAVE }, { "no OSFXSR", CR0_NE, CR4_OSXSAVE }, { "no OSXSAVE", CR0_NE, CR4_OSFXSR },
    };
    Harness *h = harness_new(8, 0);

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (unsigned j = 0; j < 5; j++) {
            memset(h->bytes + HARNESS_STACK, 0, 1024);
            harness_code(h, cases[i].code, cases[i].length);
            set_control(h, controls[j].cr0, controls[j].cr4);
            int vector = run_one(h);
            if (vector != cases[i].expected[j]) {
                g_test_message("%s with %s: %d, not %d", cases[i].name, controls[j].name, vector, cases[i].expected[j]);
                g_test_fail();
            }
        }
    }
    harness_free(h);
}

/* NULL: the host has no AVX to run. */
static Harness *avx_new(void)
{
    Harness *h = harness_new(8, 0);

    if (!cpuid_has(h->cpu->features, FEATURE_AVX)) {
        g_test_skip("no AVX on this host");
        harness_free(h);
        return NULL;
    }
    h->cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    set_control(h, CR0_NE, CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT);
    return h;
}

/* CR0.EM and CR4.OSFXSR are nothing to VEX; CR4.OSXSAVE and XCR0 come before CR0.TS. */
static void avx_refusals(void)
{
    static const struct { const char *name; uint64_t cr0, cr4, xcr0; int expected; } controls[] = {
        { "all on", CR0_NE, CR4_OSFXSR | CR4_OSXSAVE, 7, NOTHING }, { "EM, no OSFXSR", CR0_NE | CR0_EM, CR4_OSXSAVE, 7, NOTHING },
        { "no OSXSAVE", CR0_NE | CR0_TS, CR4_OSFXSR, 7, EXC_UD }, { "no AVX in XCR0", CR0_NE | CR0_TS, CR4_OSFXSR | CR4_OSXSAVE, 3, EXC_UD },
        { "TS", CR0_NE | CR0_TS, CR4_OSFXSR | CR4_OSXSAVE, 7, EXC_NM },
    };
    const struct { const char *name; const uint8_t *code; size_t length; } cases[] = {
        { "vaddps", SNIPPET(64, "vaddps %ymm1, %ymm2, %ymm3") }, { "vmovaps", SNIPPET(64, "vmovaps %xmm1, %xmm2") },
        { "vmovups", SNIPPET(64, "vmovups %ymm1, -64(%rsp)") }, { "vzeroupper", SNIPPET(64, "vzeroupper") }, { "vzeroall", SNIPPET(64, "vzeroall") },
        { "vldmxcsr", SNIPPET(64, "vldmxcsr (%rsp)") }, { "vstmxcsr", SNIPPET(64, "vstmxcsr (%rsp)") },
        { "vpmaskmovd", SNIPPET(64, "vpmaskmovd (%rsp), %xmm1, %xmm2") }, { "vpgatherdd", SNIPPET(64, "vpgatherdd %xmm1, (%rsp, %xmm2), %xmm3") },
        { "vmaskmovdqu", SNIPPET(64, "vmaskmovdqu %xmm1, %xmm2") },
    };
    Harness *h = avx_new();

    for (unsigned i = 0; h && i < G_N_ELEMENTS(cases); i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(controls); j++) {
            memset(h->bytes + HARNESS_STACK - 64, 0, 1024);
            harness_code(h, cases[i].code, cases[i].length);
            h->cpu->xcr0 = controls[j].xcr0;
            set_control(h, controls[j].cr0, controls[j].cr4);
            h->cpu->gpr[GPR_RDI] = HARNESS_DATA;
            int vector = run_one(h);
            g_test_message("%s with %s: %d", cases[i].name, controls[j].name, vector);
            g_assert_cmpint(vector, ==, controls[j].expected);
        }
    }
    if (h) {
        harness_free(h);
    }
}

/* Upper halves: kept by SSE, cleared by VEX, kept while XCR0 hides them, saved and loaded. */
static void avx_halves(void)
{
    static const uint8_t zeros[16];
    uint8_t pattern[32], image[4096];
    uint64_t states;
    Harness *h = avx_new();

    if (!h) {
        return;
    }
    for (unsigned i = 0; i < 32; i++) {
        pattern[i] = (uint8_t)(0x40 + i);
    }
    memcpy(h->bytes + HARNESS_DATA + 1, pattern, 32);
    harness_code(h, SNIPPET(64, "vmovups 0x4001, %ymm3\n vmovaps %ymm3, %ymm4\n xorps %xmm3, %xmm3\n vxorps %xmm4, %xmm4, %xmm4\n vpor %ymm4, %ymm3, %ymm9\n vmovups %ymm3, 0x4101"));
    g_assert_cmpint(harness_run(h, 6), ==, SOFT_DONE);
    g_assert_cmpmem(image_xmm(h->cpu, 3), 16, zeros, 16);
    g_assert_cmpmem(image_ymm_high(h->cpu, 3), 16, pattern + 16, 16);
    g_assert_cmpmem(image_ymm_high(h->cpu, 4), 16, zeros, 16);
    g_assert_cmpmem(image_ymm_high(h->cpu, 9), 16, pattern + 16, 16);
    g_assert_cmpmem(h->bytes + HARNESS_DATA + 0x111, 16, pattern + 16, 16);
    for (unsigned hidden = 0; hidden < 2; hidden++) {
        h->cpu->xcr0 = hidden ? XCR0_X87 | XCR0_SSE : XCR0_X87 | XCR0_SSE | XCR0_AVX;
        fpu_export(h->cpu, image, sizeof image);
        memcpy(&states, image + IMAGE_HEADER, sizeof states);
        g_assert_cmphex(states, ==, 7);
        fpu_image_reset(h->cpu);
        fpu_import(h->cpu, image, sizeof image);
        g_assert_cmpmem(image_ymm_high(h->cpu, 9), 16, pattern + 16, 16);
    }
    h->cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    set_control(h, CR0_NE, CR4_OSFXSR | CR4_OSXSAVE);
    harness_code(h, SNIPPET(64, "movdqu 0x4001, %xmm9\n vzeroupper"));
    g_assert_cmpint(harness_run(h, 2), ==, SOFT_DONE);
    g_assert_cmpmem(image_ymm_high(h->cpu, 9), 16, zeros, 16);
    g_assert_cmpmem(image_xmm(h->cpu, 9), 16, pattern, 16);
    harness_free(h);
}

/* An unmasked error waits for the next waiting instruction. */
static void x87_errors(void)
{
    Harness *h = harness_new(8, 0);
    uint16_t control = 0x37f & ~4, status;                 /* zero divide unmasked */

    set_control(h, CR0_NE, CR4_OSFXSR);
    memcpy(h->bytes + HARNESS_DATA, &control, 2);
    harness_code(h, SNIPPET(64, "fldcw 0x4000\n fld1\n fldz\n fdivrp\n fnstsw 0x4010\n fld1"));
    g_assert_cmpint(harness_run(h, 5), ==, SOFT_DONE);
    memcpy(&status, h->bytes + HARNESS_DATA + 0x10, 2);
    g_assert_cmphex(status & 0x84, ==, 0x84);
    g_assert_cmpint(run_one(h), ==, EXC_MF);
    harness_code(h, SNIPPET(64, "fwait"));
    g_assert_cmpint(run_one(h), ==, EXC_MF);
    harness_code(h, SNIPPET(64, "paddb %mm0, %mm0"));
    g_assert_cmpint(run_one(h), ==, EXC_MF);

    /* Without CR0.NE the FERR# line is all there is. */
    set_control(h, 0, CR4_OSFXSR);
    g_assert_false(h->cpu->ferr);
    harness_code(h, SNIPPET(64, "fld1\n fnclex\n fld1"));
    g_assert_cmpint(harness_run(h, 3), ==, SOFT_DONE);
    g_assert_false(h->cpu->ferr);                          /* fnclex ends it */
    harness_free(h);
}

static void simd_errors(void)
{
    Harness *h = harness_new(8, 0);
    uint32_t mxcsr = 0x1f80 & ~0x200, seen;                /* zero divide unmasked */
    uint64_t before;

    memcpy(h->bytes + HARNESS_DATA, &mxcsr, 4);
    for (unsigned wanted = EXC_XM; wanted; wanted = wanted == EXC_XM ? EXC_UD : 0) {
        set_control(h, CR0_NE, CR4_OSFXSR | (wanted == EXC_XM ? CR4_OSXMMEXCPT : 0));
        harness_code(h, SNIPPET(64, "ldmxcsr 0x4000\n pcmpeqd %xmm1, %xmm1\n psrld $25, %xmm1\n pslld $23, %xmm1\n pxor %xmm0, %xmm0\n divss %xmm0, %xmm1\n"));
        g_assert_cmpint(harness_run(h, 5), ==, SOFT_DONE);
        memcpy(&before, image_xmm(h->cpu, 1), 8);
        g_assert_cmpint(run_one(h), ==, wanted);
        g_assert_cmpmem(&before, 8, image_xmm(h->cpu, 1), 8);
    }
    /* Flags gather where everything is masked; reserved bits are refused. */
    set_control(h, CR0_NE, CR4_OSFXSR | CR4_OSXMMEXCPT);
    mxcsr = 0x1f80;
    memcpy(h->bytes + HARNESS_DATA, &mxcsr, 4);
    harness_code(h, SNIPPET(64, "ldmxcsr 0x4000\n divss %xmm0, %xmm1\n stmxcsr 0x4010"));
    g_assert_cmpint(harness_run(h, 3), ==, SOFT_DONE);
    memcpy(&seen, h->bytes + HARNESS_DATA + 0x10, 4);
    g_assert_cmphex(seen, ==, 0x1f84);
    mxcsr = 0x11f80;
    memcpy(h->bytes + HARNESS_DATA, &mxcsr, 4);
    harness_code(h, SNIPPET(64, "ldmxcsr 0x4000"));
    g_assert_cmpint(run_one(h), ==, EXC_GP);
    harness_free(h);
}

/* ---- operands that are not RAM ------------------------------------------------------------------------------------- */

typedef struct Device { Region region; uint64_t value; unsigned reads, writes; } Device;

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    Device *device = opaque;

    (void)size;
    device->reads++;
    return offset == 0 ? device->value : 0x1111111111111111;
}

static void device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Device *device = opaque;

    (void)size;
    device->writes++;
    if (offset == 0) {
        device->value = value;
    }
}

static void device_operands(void)
{
    static const RegionOps ops = { .read = device_read, .write = device_write, .widths = WIDTH_ANY };
    Harness *h = harness_new(8, 0);
    Device device = { .value = 0x3ff0000000000000 };       /* 1.0 */

    machine_lock();
    region_init_io(&device.region, &ops, &device, "device", 0x1000);
    region_add(&h->root, 0x2000000, &device.region, 0);
    machine_unlock();
    harness_code(h, SNIPPET(64, "movsd 0x2000000, %xmm3\n addsd %xmm3, %xmm3\n movq %xmm3, 0x2000000\n fldl 0x2000000\n fadd %st(0)\n fstpl 0x2000000"));
    g_assert_cmpint(harness_run(h, 6), ==, SOFT_DONE);
    g_assert_cmphex(device.value, ==, 0x4010000000000000); /* 4.0 */
    g_assert_cmpuint(device.reads, ==, 2);
    g_assert_cmpuint(device.writes, ==, 2);
    machine_lock();
    region_remove(&device.region);
    region_destroy(&device.region);
    machine_unlock();
    harness_free(h);
}

/* ---- images -------------------------------------------------------------------------------------------------------- */

static void saved_state(void)
{
    Harness *h = harness_new(8, 0);
    uint8_t image[4096] = { 0 }, again[4096];
    uint64_t value = 0x0123456789abcdef, states;

    harness_code(h, SNIPPET(64, "fninit\n fldpi\n movq %rax, %xmm5"));
    h->cpu->gpr[GPR_RAX] = value;
    g_assert_cmpint(harness_run(h, 3), ==, SOFT_DONE);
    fpu_export(h->cpu, image, sizeof image);
    memcpy(&states, image + IMAGE_HEADER, 8);
    g_assert_cmphex(states, ==, 3);
    g_assert_cmpmem(image + IMAGE_XMM + 5 * 16, 8, &value, 8);
    g_assert_cmpuint(image[IMAGE_FTW], ==, 0x80);
    fpu_image_reset(h->cpu);
    fpu_import(h->cpu, image, sizeof image);
    fpu_export(h->cpu, again, sizeof again);
    g_assert_cmpmem(image, sizeof image, again, sizeof again);

    /* Components that the header leaves out are in their initial state, whatever lies there. */
    image[IMAGE_HEADER] = 0;
    fpu_import(h->cpu, image, sizeof image);
    g_assert_cmphex(image_u16(h->cpu, IMAGE_FCW), ==, FCW_DEFAULT);
    g_assert_cmpuint(h->cpu->xsave[IMAGE_FTW], ==, 0);
    memset(again, 0, 16);
    g_assert_cmpmem(image_xmm(h->cpu, 5), 16, again, 16);
    harness_free(h);
}

/* 14 and 28 bytes; real and protected mode differ in the last word only, the pointers being zero. */
static void environments(void)
{
    Harness *h = harness_new(4, 0);
    static const uint8_t wide[28] = { 0x7f, 3, 0xff, 0xff, 0, 0x38, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff,
                                      [26] = 0xff, [27] = 0xff };
    static const uint8_t narrow[14] = { 0x7f, 3, 0, 0x38, 0xff, 0x3f };

    memset(h->bytes + HARNESS_DATA, 0xaa, 64);
    harness_code(h, SNIPPET(32, "fninit\n fld1\n fnstenv 0x4000"));
    g_assert_cmpint(harness_run(h, 3), ==, SOFT_DONE);
    g_assert_cmpmem(h->bytes + HARNESS_DATA, 28, wide, 28);
    g_assert_cmpuint(h->bytes[HARNESS_DATA + 28], ==, 0xaa);
    memset(h->bytes + HARNESS_DATA, 0xaa, 64);
    harness_code(h, SNIPPET(32, "fninit\n fld1\n data16 fnstenv 0x4000"));
    g_assert_cmpint(harness_run(h, 3), ==, SOFT_DONE);
    g_assert_cmpmem(h->bytes + HARNESS_DATA, 14, narrow, 14);
    g_assert_cmpuint(h->bytes[HARNESS_DATA + 14], ==, 0xaa);
    harness_free(h);
}

/* The host's own floating point is untouched by what the guest left behind. */
static void host_is_clean(void)
{
    Harness *h = harness_new(8, 0);
    uint32_t mxcsr = 0xffc0;                               /* to zero, denormals are zero, flush to zero */
    uint16_t control = 0x0;
    volatile double tiny = 4.9e-324, one = 1.0, three = 3.0;

    memcpy(h->bytes + HARNESS_DATA, &mxcsr, 4);
    memcpy(h->bytes + HARNESS_DATA + 8, &control, 2);
    harness_code(h, SNIPPET(64, "ldmxcsr 0x4000\n fninit\n fldcw 0x4008\n fld1\n addss %xmm1, %xmm1"));
    harness_run(h, 5);
    g_assert_true(tiny * one > 0);
    volatile double third = one / three;
    g_assert_true(third * three == 1.0);
    volatile long double wide = 1.0L;
    g_assert_true(wide + 1.0L == 2.0L);
    harness_free(h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/vector/refusals", refusals);
    g_test_add_func("/cpu/vector/avx-refusals", avx_refusals);
    g_test_add_func("/cpu/vector/avx-halves", avx_halves);
    g_test_add_func("/cpu/vector/x87-errors", x87_errors);
    g_test_add_func("/cpu/vector/simd-errors", simd_errors);
    g_test_add_func("/cpu/vector/device-operands", device_operands);
    g_test_add_func("/cpu/vector/saved-state", saved_state);
    g_test_add_func("/cpu/vector/environments", environments);
    g_test_add_func("/cpu/vector/host-is-clean", host_is_clean);
    return g_test_run();
}
