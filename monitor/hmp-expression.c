/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp-expression.c - what print and x compute with: numbers, registers by name, and C's operators without assignment
 *
 * Hostile  nesting is bounded; division by zero is a sentence
 * Tests    tests/qmp/hmp.py
 */
#include "base/field.h"
#include "monitor/hmp.h"
#include "monitor/memory.h"
#include <string.h>

enum { DEPTH_MOST = 32 };

typedef struct Reader {
    const char *at;
    CpuState *state;                       /* read when the first register is named */
    unsigned depth;
    GString *out;
    bool wrong;
} Reader;

static const struct { const char *name; size_t offset; unsigned size; } registers[] = {
    { "rax", offsetof(CpuState, gpr[0]), 8 }, { "rcx", offsetof(CpuState, gpr[1]), 8 }, { "rdx", offsetof(CpuState, gpr[2]), 8 },
    { "rbx", offsetof(CpuState, gpr[3]), 8 }, { "rsp", offsetof(CpuState, gpr[4]), 8 }, { "rbp", offsetof(CpuState, gpr[5]), 8 },
    { "rsi", offsetof(CpuState, gpr[6]), 8 }, { "rdi", offsetof(CpuState, gpr[7]), 8 },
    { "eax", offsetof(CpuState, gpr[0]), 4 }, { "ecx", offsetof(CpuState, gpr[1]), 4 }, { "edx", offsetof(CpuState, gpr[2]), 4 },
    { "ebx", offsetof(CpuState, gpr[3]), 4 }, { "esp", offsetof(CpuState, gpr[4]), 4 }, { "ebp", offsetof(CpuState, gpr[5]), 4 },
    { "esi", offsetof(CpuState, gpr[6]), 4 }, { "edi", offsetof(CpuState, gpr[7]), 4 },
    { "r8", offsetof(CpuState, gpr[8]), 8 }, { "r9", offsetof(CpuState, gpr[9]), 8 }, { "r10", offsetof(CpuState, gpr[10]), 8 },
    { "r11", offsetof(CpuState, gpr[11]), 8 }, { "r12", offsetof(CpuState, gpr[12]), 8 }, { "r13", offsetof(CpuState, gpr[13]), 8 },
    { "r14", offsetof(CpuState, gpr[14]), 8 }, { "r15", offsetof(CpuState, gpr[15]), 8 }, { "rip", offsetof(CpuState, rip), 8 },
    { "eip", offsetof(CpuState, rip), 4 }, { "eflags", offsetof(CpuState, rflags), 4 },
    { "cs", offsetof(CpuState, segment[SEG_CS].selector), 2 }, { "ds", offsetof(CpuState, segment[SEG_DS].selector), 2 },
    { "es", offsetof(CpuState, segment[SEG_ES].selector), 2 }, { "ss", offsetof(CpuState, segment[SEG_SS].selector), 2 },
    { "fs", offsetof(CpuState, segment[SEG_FS].selector), 2 }, { "gs", offsetof(CpuState, segment[SEG_GS].selector), 2 },
    { "cs.base", offsetof(CpuState, segment[SEG_CS].base), 8 }, { "fs.base", offsetof(CpuState, segment[SEG_FS].base), 8 },
    { "gs.base", offsetof(CpuState, segment[SEG_GS].base), 8 }, { "cr0", offsetof(CpuState, cr0), 8 }, { "cr2", offsetof(CpuState, cr2), 8 },
    { "cr3", offsetof(CpuState, cr3), 8 }, { "cr4", offsetof(CpuState, cr4), 8 }, { "efer", offsetof(CpuState, efer), 8 },
};

CpuState *hmp_registers(void)
{
    Machine *machine = qmp_machine();

    if (machine->cpus->len == 0) {
        return NULL;
    }
    CpuState *state = g_new0(CpuState, 1);
    monitor_registers(machine, machine->cpus->pdata[0], state);
    return state;
}

static uint64_t complain(Reader *reader, const char *sentence)
{
    if (!reader->wrong) {
        g_string_append_printf(reader->out, "%s\n", sentence);
    }
    reader->wrong = true;
    return 0;
}

static uint64_t read_register(Reader *reader)
{
    size_t length = strspn(reader->at, "abcdefghijklmnopqrstuvwxyz0123456789.");
    g_autofree char *name = g_strndup(reader->at, length);

    reader->at += length;
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        if (strcmp(registers[i].name, name) == 0) {
            uint64_t value = 0;
            reader->state = reader->state ? reader->state : hmp_registers();
            if (!reader->state) {
                return complain(reader, "there is no processor");
            }
            memcpy(&value, (const char *)reader->state + registers[i].offset, registers[i].size);
            return value;
        }
    }
    return complain(reader, "unknown register");
}

static char next(Reader *reader)
{
    reader->at += strspn(reader->at, " \t");
    return *reader->at;
}

static uint64_t read_sum(Reader *reader);

static uint64_t read_number(Reader *reader)
{
    char *end;
    uint64_t value = g_ascii_strtoull(reader->at, &end, 0);

    if (end == reader->at) {
        return complain(reader, *reader->at ? "invalid char in expression" : "unexpected end of expression");
    }
    reader->at = end;
    return value;
}

static uint64_t read_unary(Reader *reader)
{
    uint64_t value = 0;
    char c = next(reader);

    if (++reader->depth > DEPTH_MOST) {
        value = complain(reader, "the expression is nested too deeply");
    } else if (c == '+' || c == '-' || c == '~') {
        reader->at++;
        value = read_unary(reader);
        value = c == '-' ? 0 - value : c == '~' ? ~value : value;
    } else if (c == '(') {
        reader->at++;
        value = read_sum(reader);
        if (next(reader) == ')') {
            reader->at++;
        } else {
            complain(reader, "')' expected");
        }
    } else if (c == '$') {
        reader->at++;
        value = read_register(reader);
    } else {
        value = read_number(reader);
    }
    reader->depth--;
    return value;
}

static uint64_t read_product(Reader *reader)
{
    uint64_t value = read_unary(reader);

    for (char c; !reader->wrong && ((c = next(reader)) == '*' || c == '/' || c == '%');) {
        reader->at++;
        uint64_t right = read_unary(reader);
        if (c != '*' && right == 0) {
            return complain(reader, "division by zero");
        }
        value = c == '*' ? value * right : c == '/' ? value / right : value % right;
    }
    return value;
}

static uint64_t read_bits(Reader *reader)
{
    uint64_t value = read_product(reader);

    for (char c; !reader->wrong && ((c = next(reader)) == '&' || c == '|' || c == '^');) {
        reader->at++;
        uint64_t right = read_product(reader);
        value = c == '&' ? value & right : c == '|' ? value | right : value ^ right;
    }
    return value;
}

static uint64_t read_sum(Reader *reader)
{
    uint64_t value = read_bits(reader);

    for (char c; !reader->wrong && ((c = next(reader)) == '+' || c == '-');) {
        reader->at++;
        uint64_t right = read_bits(reader);
        value = c == '+' ? value + right : value - right;
    }
    return value;
}

bool hmp_evaluate(const char *text, const char **end, uint64_t *value, GString *out)
{
    Reader reader = { .at = text, .out = out };

    *value = read_sum(&reader);
    g_free(reader.state);
    if (end) {
        *end = reader.at;
    } else if (!reader.wrong && next(&reader)) {
        complain(&reader, "invalid char in expression");
    }
    return !reader.wrong;
}
