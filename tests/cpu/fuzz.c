/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz.c - every unprivileged instruction: the host's processor against the software CPU
 *
 *   fuzz                                  a short run of each mode, as TAP
 *   fuzz --mode 64 --seed 7 --count 1000000 [--only MNEMONIC | --only vex] [--all]
 *   fuzz --translate ...                  every instruction as host code
 *   fuzz --mode 64 --seed 7 --case 1234   one case again, with everything printed
 *
 * What may differ: flags that the row calls undefined, TF and RF, the x87 instruction and data pointers, registers that
 * a mode cannot see, and what fuzz-vendor.c knows of the two vendors. Everything else must be equal: registers, memory, vector state, exception, error code, CR2.
 */
#include "accel/x86/decode.h"
#include "tests/cpu/fuzz.h"
#include <getopt.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Options {
    int mode;                              /* FuzzMode or -1: all */
    uint64_t seed, count, one;
    bool single, all, tap;
    const char *only;
    bool translate;
} Options;

static const char *const mode_names[] = { "64", "32", "16" };
static const char *const gpr_names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

/* ---- comparing --------------------------------------------------------------------------------------------- */

typedef struct Report { GString *text; } Report;

static void differ(Report *report, const char *what, uint64_t native, uint64_t soft)
{
    if (native != soft) {
        g_string_append_printf(report->text, "    %-10s host %016" G_GINT64_MODIFIER "x  soft %016" G_GINT64_MODIFIER "x\n", what, native, soft);
    }
}

static uint64_t flags_compared(const FuzzCase *fuzz)
{
    DecodeMode mode = { .code_size = fuzz->mode == MODE_64 ? 8 : fuzz->mode == MODE_32 ? 4 : 2, .protected_mode = true };
    uint64_t mask = 0x3fffff & ~(uint64_t)(FLAG_TF | FLAG_RF);
    Insn insn;

    if (decode(&insn, fuzz->bytes, fuzz->length, mode) == DECODE_OK && fuzz->native.vector < 0) {
        mask &= ~(uint64_t)optab_row(insn.row)->flags_undefined;
    }
    return mask;
}

/* The host's kernel loads plain null for every null selector when it returns to user code. */
static uint16_t selector(uint16_t value) { return value & ~3 ? value : 0; }

/* What ENTER, PUSHA and far CALL pushed below the stack pointer before they faulted. */
static unsigned operation(const FuzzCase *fuzz)
{
    DecodeMode mode = { .code_size = fuzz->mode == MODE_64 ? 8 : fuzz->mode == MODE_32 ? 4 : 2, .protected_mode = true };
    Insn insn;

    return decode(&insn, fuzz->bytes, fuzz->length, mode) == DECODE_OK ? optab_row(insn.row)->op : OP_INVALID;
}

static bool leaves_rubbish(const FuzzCase *fuzz)
{
    unsigned op = operation(fuzz);

    return fuzz->native.vector >= 0 && (op == OP_ENTER || op == OP_CALL_FAR || op == OP_PUSHA);
}

/* An instruction that stores or loads a whole state in many parts: which part's fault comes first is the processor's own business. */
static bool faults_somewhere(const FuzzCase *fuzz)
{
    const uint64_t memory_faults = 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17;

    if (fuzz->native.vector < 0 || fuzz->soft.vector < 0 || !(memory_faults >> fuzz->native.vector & memory_faults >> fuzz->soft.vector & 1)) {
        return false;
    }
    switch (operation(fuzz)) {
    case OP_FXSAVE: case OP_FXRSTOR: case OP_XSAVE: case OP_XSAVEOPT: case OP_XSAVEC: case OP_XRSTOR: case OP_FNSAVE: case OP_FRSTOR:
    case OP_FNSTENV: case OP_FLDENV: case OP_ENTER: case OP_RET_FAR: case OP_CALL_FAR: case OP_IRET: case OP_PUSHA: case OP_POPA:
        return true;
    default:
        return false;
    }
}

static void compare_vectors(Report *report, const FuzzCase *fuzz)
{
    const uint8_t *native = fuzz->native.state.fx, *soft = fuzz->soft.state.fx;
    char name[16];

    for (unsigned i = 0; i < 6; i++) {
        static const struct { const char *name; unsigned at, bytes; } words[] = {
            { "fcw", 0, 2 }, { "fsw", 2, 2 }, { "ftw", 4, 1 }, { "mxcsr", 24, 4 }, { NULL, 0, 0 }, { NULL, 0, 0 },
        };
        if (words[i].name) {
            uint64_t a = 0, b = 0;
            memcpy(&a, native + words[i].at, words[i].bytes);
            memcpy(&b, soft + words[i].at, words[i].bytes);
            differ(report, words[i].name, a, b);
        }
    }
    for (unsigned i = 0; i < 8 + (fuzz->mode == MODE_64 ? 16 : 8); i++) {
        unsigned at = i < 8 ? 32 + 16 * i : 160 + 16 * (i - 8);
        uint64_t a[2] = { 0 }, b[2] = { 0 };
        memcpy(a, native + at, i < 8 ? 10 : 16);
        memcpy(b, soft + at, i < 8 ? 10 : 16);
        g_snprintf(name, sizeof name, i < 8 ? "st%u.hi" : "xmm%u.hi", i < 8 ? i : i - 8);
        differ(report, name, a[1], b[1]);
        g_snprintf(name, sizeof name, i < 8 ? "st%u" : "xmm%u", i < 8 ? i : i - 8);
        differ(report, name, a[0], b[0]);
    }
    for (unsigned i = 0; i < (fuzz->mode == MODE_64 ? 32 : 16); i++) {
        uint64_t a, b;
        memcpy(&a, fuzz->native.state.ymm + 8 * i, 8);
        memcpy(&b, fuzz->soft.state.ymm + 8 * i, 8);
        g_snprintf(name, sizeof name, i & 1 ? "ymm%u.top" : "ymm%u.third", i / 2);
        differ(report, name, a, b);
    }
}

static void compare_memory(Report *report, const FuzzOutcome *native, const FuzzOutcome *soft)
{
    unsigned i = 0, j = 0;

    while (i < native->changes || j < soft->changes) {
        uint32_t a = i < native->changes ? native->change[i].offset : UINT32_MAX, b = j < soft->changes ? soft->change[j].offset : UINT32_MAX;
        char name[24];
        if (a == b && native->change[i].value == soft->change[j].value) {
            i++, j++;
            continue;
        }
        g_snprintf(name, sizeof name, "[%04x]", MIN(a, b));
        g_string_append_printf(report->text, "    %-10s host ", name);
        a <= b ? g_string_append_printf(report->text, "%016" G_GINT64_MODIFIER "x", native->change[i].value) : g_string_append(report->text, "unchanged       ");
        g_string_append(report->text, "  soft ");
        b <= a ? g_string_append_printf(report->text, "%016" G_GINT64_MODIFIER "x", soft->change[j].value) : g_string_append(report->text, "unchanged");
        g_string_append_c(report->text, '\n');
        i += a <= b, j += b <= a;
    }
}

/* The host's MXCSR mask has bit 17 where it has misaligned SSE (AMD), which guests do not get: stored by FXSAVE and XSAVE. */
static void forget_misaligned_sse(FuzzOutcome *native)
{
    uint32_t mxcsr;

    memcpy(&mxcsr, native->state.fx + 24, sizeof mxcsr);
    for (unsigned i = 0; i < native->changes; i++) {
        if (native->change[i].value == (UINT64_C(0x2ffff) << 32 | mxcsr)) {
            native->change[i].value = UINT64_C(0xffff) << 32 | mxcsr;
        }
    }
}

/* Empty: the same. */
static GString *compare(const FuzzCase *fuzz)
{
    const FuzzOutcome *native = &fuzz->native, *soft = &fuzz->soft;
    Report report = { g_string_new(NULL) };
    uint64_t width = fuzz->mode == MODE_64 ? UINT64_MAX : UINT32_MAX;

    bool same_fault = faults_somewhere(fuzz);
    if (!same_fault) {
        differ(&report, "exception", (uint64_t)(int64_t)native->vector, (uint64_t)(int64_t)soft->vector);
    }
    if (!same_fault && native->vector >= 0 && native->vector == soft->vector) {
        /* Linux says "present" for every fault of user code in the kernel's half. */
        uint32_t hidden = native->vector == 14 && (native->cr2 >> 47 || native->cr2 >> 12 != soft->cr2 >> 12) ? 1 : 0;
        if (native->vector >= 10 && native->vector <= 14) {
            differ(&report, "error", native->error | hidden, soft->error | hidden);
        }
        /* Which byte of a long operand is touched first is the processor's own business. */
        if (native->vector == 14 && native->cr2 - soft->cr2 + 1024 > 2048) {
            differ(&report, "cr2", native->cr2, soft->cr2);
        }
    }
    bool popped_some = fuzz->native.vector >= 0 && operation(fuzz) == OP_POPA;     /* registers popped before the fault stay so on some processors */
    for (unsigned i = 0; i < (fuzz->mode == MODE_64 ? 16 : 8); i++) {
        if (popped_some && i != 4) {
            continue;
        }
        /* Out of 64-bit code the upper half of RSP is lost on the way to the host's kernel. */
        bool short_rsp = i == 4 && native->state.cs != fuzz->in.cs;
        uint64_t mask = short_rsp ? UINT32_MAX : width;
        differ(&report, gpr_names[i], native->state.gpr[i] & mask, soft->state.gpr[i] & mask);
    }
    differ(&report, "rip", native->state.rip & width, soft->state.rip & width);
    uint64_t flags = flags_compared(fuzz);
    differ(&report, "rflags", native->state.rflags & flags, soft->state.rflags & flags);
    differ(&report, "cs", selector(native->state.cs), selector(soft->state.cs));
    differ(&report, "ss", selector(native->state.ss), selector(soft->state.ss));
    differ(&report, "ds", selector(native->state.ds), selector(soft->state.ds));
    differ(&report, "es", selector(native->state.es), selector(soft->state.es));
    differ(&report, "fs", selector(native->state.fs), selector(soft->state.fs));
    differ(&report, "gs", selector(native->state.gs), selector(soft->state.gs));
    if (fuzz->mode == MODE_64) {
        differ(&report, "fs.base", native->state.fs_base, soft->state.fs_base);
        differ(&report, "gs.base", native->state.gs_base, soft->state.gs_base);
    }
    compare_vectors(&report, fuzz);
    if (!leaves_rubbish(fuzz)) {
        compare_memory(&report, native, soft);
    }
    return report.text;
}

/* ---- telling ----------------------------------------------------------------------------------------------- */

static void describe(FILE *out, const FuzzCase *fuzz)
{
    DecodeMode mode = { .code_size = fuzz->mode == MODE_64 ? 8 : fuzz->mode == MODE_32 ? 4 : 2, .protected_mode = true };
    char text[128] = "(invalid)";
    Insn insn;

    fprintf(out, "#   bytes:");
    for (unsigned i = 0; i < fuzz->length; i++) {
        fprintf(out, " %02x", fuzz->bytes[i]);
    }
    if (decode(&insn, fuzz->bytes, fuzz->length, mode) == DECODE_OK) {
        insn_print(&insn, fuzz->in.rip, text, sizeof text);
    }
    fprintf(out, "   %s\n#   rip %04x:%" G_GINT64_MODIFIER "x rflags %" G_GINT64_MODIFIER "x ss %04x ds %04x es %04x fs %04x gs %04x\n", text, fuzz->in.cs,
            fuzz->in.rip, fuzz->in.rflags, fuzz->in.ss, fuzz->in.ds, fuzz->in.es, fuzz->in.fs, fuzz->in.gs);
    for (unsigned i = 0; i < (fuzz->mode == MODE_64 ? 16 : 8); i++) {
        fprintf(out, "%s%-4s%016" G_GINT64_MODIFIER "x%s", i % 4 ? " " : "#   ", gpr_names[i], fuzz->in.gpr[i], i % 4 == 3 ? "\n" : "");
    }
}

static void describe_vectors(FILE *out, const FuzzCase *fuzz)
{
    const uint64_t *words = (const uint64_t *)fuzz->in.fx;

    fprintf(out, "#   fcw %04x fsw %04x ftw %02x mxcsr %08x\n", (unsigned)(words[0] & 0xffff), (unsigned)(words[0] >> 16 & 0xffff),
            (unsigned)(words[0] >> 32 & 0xff), (unsigned)words[3]);
    for (unsigned i = 0; i < 24; i++) {
        fprintf(out, "#   %s%-3u %016" G_GINT64_MODIFIER "x %016" G_GINT64_MODIFIER "x\n", i < 8 ? "st" : "xmm", i < 8 ? i : i - 8, words[4 + 2 * i + 1], words[4 + 2 * i]);
    }
    words = (const uint64_t *)fuzz->in.ymm;
    for (unsigned i = 0; i < 16; i++) {
        fprintf(out, "#   ymm%-3u %016" G_GINT64_MODIFIER "x %016" G_GINT64_MODIFIER "x above\n", i, words[2 * i + 1], words[2 * i]);
    }
}

static void tell(const Options *options, const FuzzCase *fuzz, const GString *differences)
{
    fprintf(stdout, "# case %" G_GUINT64_FORMAT ":\n", fuzz->number);
    describe(stdout, fuzz);
    if (options->single) {
        describe_vectors(stdout, fuzz);
    }
    char **lines = g_strsplit(differences->str, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (**line) {
            fprintf(stdout, "# %s\n", *line);
        }
    }
    g_strfreev(lines);
    if (fuzz->native.vector >= 0 || fuzz->soft.vector >= 0) {
        fprintf(stdout, "#   host error %x cr2 %" G_GINT64_MODIFIER "x, soft error %x cr2 %" G_GINT64_MODIFIER "x\n", fuzz->native.error, fuzz->native.cr2,
                fuzz->soft.error, fuzz->soft.cr2);
    }
    fprintf(stdout, "#   again: fuzz --mode %s --seed %" G_GUINT64_FORMAT " --case %" G_GUINT64_FORMAT "%s%s\n", mode_names[fuzz->mode], options->seed,
            fuzz->number, options->only ? " --only " : "", options->only ? options->only : "");
}

/* ---- running ----------------------------------------------------------------------------------------------- */

enum { ROW_LIMIT = 4096 };
typedef struct Totals {
    uint64_t cases, differences, raised, skipped;          /* skipped: by fuzz-vendor.c */
    GHashTable *by_name;
    uint32_t tried[ROW_LIMIT], completed[ROW_LIMIT];       /* by row of the decoder's table */
} Totals;

static const char *case_name(const FuzzCase *fuzz)
{
    DecodeMode mode = { .code_size = fuzz->mode == MODE_64 ? 8 : fuzz->mode == MODE_32 ? 4 : 2, .protected_mode = true };
    Insn insn;

    return decode(&insn, fuzz->bytes, fuzz->length, mode) == DECODE_OK ? insn_name(&insn) : "(invalid)";
}

static void count_row(const FuzzCase *fuzz, Totals *totals)
{
    DecodeMode mode = { .code_size = fuzz->mode == MODE_64 ? 8 : fuzz->mode == MODE_32 ? 4 : 2, .protected_mode = true };
    Insn insn;

    if (decode(&insn, fuzz->bytes, fuzz->length, mode) == DECODE_OK && insn.row < ROW_LIMIT) {
        totals->tried[insn.row]++;
        totals->completed[insn.row] += fuzz->native.vector < 0;
    }
}

static void check_batch(const Options *options, FuzzBatch *batch, Totals *totals)
{
    for (unsigned i = 0; i < batch->count; i++) {
        FuzzCase *fuzz = &batch->cases[i];
        forget_misaligned_sse(&fuzz->native);
        bool skipped = vendor_differs(fuzz);
        GString *differences = skipped ? g_string_new(NULL) : compare(fuzz);

        totals->cases++;
        totals->skipped += skipped;
        count_row(fuzz, totals);
        totals->raised += fuzz->native.vector >= 0;
        if (differences->len || options->single) {
            totals->differences += differences->len != 0;
            const char *name = case_name(fuzz);
            gpointer seen = g_hash_table_lookup(totals->by_name, name);
            g_hash_table_insert(totals->by_name, (gpointer)name, GUINT_TO_POINTER(GPOINTER_TO_UINT(seen) + 1));
            if (options->all ? GPOINTER_TO_UINT(seen) < 2 : totals->differences <= 10) {
                tell(options, fuzz, differences);
            }
        }
        g_string_free(differences, TRUE);
    }
}

static bool run_batch(const Options *options, uint64_t first, unsigned count, Totals *totals)
{
    FuzzBatch *batch = native_batch();

    make_pattern(batch, first / BATCH * BATCH);
    for (unsigned i = 0; i < count; i++) {
        make_case(&batch->cases[i], first + i);
    }
    batch->count = count;
    native_start();
    soft_run_batch(batch);
    if (!native_wait()) {
        FuzzCase *fuzz = &batch->cases[batch->current];
        fprintf(stdout, "# the child died or did not come back at case %" G_GUINT64_FORMAT "\n", fuzz->number);
        describe(stdout, fuzz);
        return false;
    }
    check_batch(options, batch, totals);
    return true;
}

static bool run_mode(const Options *options, FuzzMode mode, Totals *totals, double *seconds)
{
    uint64_t done = options->single ? options->one : 0, end = options->single ? options->one + 1 : options->count;
    struct timespec begin, now;

    make_open(mode, options->seed, options->only);
    if (make_rows() == 0) {
        fprintf(stdout, "# no row of the table has this name\n");
        return false;
    }
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (done < end) {
        unsigned count = options->single ? 1 : (unsigned)MIN(BATCH, end - done);
        if (!run_batch(options, done, count, totals)) {
            return false;
        }
        done += count;
        if (!options->all && totals->differences >= 10) {
            break;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    *seconds = (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9;
    return true;
}

/* What this run did not reach: rows that never came up, rows that only ever faulted (privileged ones must). */
static void coverage(const Totals *totals)
{
    for (unsigned i = 0; i < make_rows(); i++) {
        unsigned row = make_row(i);

        if (row < ROW_LIMIT && totals->completed[row] == 0) {
            fprintf(stdout, "# row %u %s (%02x): %s\n", row, optab_row(row)->name, optab_row(row)->opcode,
                    totals->tried[row] ? "faulted every time" : "never came up");
        }
    }
}

static void summary(const Totals *totals)
{
    GHashTableIter iter;
    gpointer name, count;

    g_hash_table_iter_init(&iter, totals->by_name);
    while (g_hash_table_iter_next(&iter, &name, &count)) {
        fprintf(stdout, "# %8u  %s\n", GPOINTER_TO_UINT(count), (const char *)name);
    }
}

static bool parse(int argc, char **argv, Options *options)
{
    static const struct option names[] = {
        { "mode", required_argument, NULL, 'm' }, { "seed", required_argument, NULL, 's' }, { "count", required_argument, NULL, 'n' },
        { "only", required_argument, NULL, 'o' }, { "case", required_argument, NULL, 'c' }, { "all", no_argument, NULL, 'a' }, { "translate", no_argument, NULL, 't' }, { NULL, 0, NULL, 0 },
    };
    int option;

    *options = (Options){ .mode = -1, .seed = 1, .count = 30000, .tap = argc == 1 || (argc == 2 && strcmp(argv[1], "--translate") == 0) };
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case 'm':
            for (options->mode = 0; options->mode < MODES && strcmp(optarg, mode_names[options->mode]) != 0; options->mode++) {
            }
            if (options->mode == MODES) {
                return false;
            }
            break;
        case 's': options->seed = strtoull(optarg, NULL, 0); break;
        case 'n': options->count = strtoull(optarg, NULL, 0); break;
        case 'o': options->only = optarg; break;
        case 'c': options->one = strtoull(optarg, NULL, 0), options->single = true; break;
        case 'a': options->all = true; break;
        case 't': options->translate = true; break;
        default: return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    Options options;
    bool good = true;

    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: fuzz [--mode 64|32|16] [--seed N] [--count N] [--only MNEMONIC|vex] [--case N] [--all] [--translate]\n");
        return 2;
    }
    vendor_open();
    const char *lacking = native_open(true);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%d\n", options.mode < 0 ? MODES : 1);
    if (!lacking && !soft_open(native_has_avx(), options.translate)) {
        lacking = "the software CPU could not be made";
    }
    for (int mode = 0, number = 1; mode < MODES; mode++) {
        static Totals totals;
        totals = (Totals){ .by_name = g_hash_table_new(g_str_hash, g_str_equal) };
        double seconds = 0;
        if (options.mode >= 0 && options.mode != mode) {
            continue;
        }
        if (lacking) {
            printf("ok %d %s-bit code # SKIP %s\n", number++, mode_names[mode], lacking);
            continue;
        }
        bool ran = run_mode(&options, mode, &totals, &seconds);
        if (options.all || options.single) {
            summary(&totals);
        }
        if (options.all) {
            coverage(&totals);
        }
        bool same = ran && totals.differences == 0;
        printf("# %s-bit: %" G_GUINT64_FORMAT " cases, %" G_GUINT64_FORMAT " raised, %" G_GUINT64_FORMAT " skipped, %" G_GUINT64_FORMAT " differ, %u rows, %.0f cases/s\n", mode_names[mode],
               totals.cases, totals.raised, totals.skipped, totals.differences, make_rows(), seconds > 0 ? (double)totals.cases / seconds : 0.0);
        printf("%s %d %s-bit code\n", same ? "ok" : "not ok", number++, mode_names[mode]);
        good = good && same;
        g_hash_table_destroy(totals.by_name);
        if (!ran) {
            break;
        }
    }
    if (!lacking) {
        native_close();
        soft_close();
    }
    return good ? 0 : 1;
}
