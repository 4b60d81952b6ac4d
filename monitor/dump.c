/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dump.c - an ELF core file of the guest: memory, and notes about each processor
 *
 *   ELF header | program headers | notes | memory, in order of physical addresses
 *
 * Notes are NT_PRSTATUS of each processor (what gdb shows) and "QEMU" of each (what crash reads: control and segment registers, too). A
 * processor in long mode makes a 64-bit file for x86-64; else it is a 32-bit one for i386, unless memory lies where 32 bits do not
 * reach. With paging the segments are what the first processor that pages has mapped; several may lie over the same bytes of the file.
 *
 * Models   ELF (System V gABI, chapters 4 and 5), Linux's struct elf_prstatus, QEMU's CPU note version 1
 * Omits    section headers (the segments stay below PN_XNUM), kdump's and Windows' formats
 * Threads  dump_new: main loop; dump_write: any
 * Tests    tests/qmp/dump.py
 */
#include "monitor/dump.h"
#include "accel/memory/ram.h"
#include "base/error.h"
#include "monitor/memory.h"
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1 << 20, PRSTATUS_64 = 336, PRSTATUS_32 = 144, CPU_NOTE_BYTES = 440, SEGMENTS_MOST = 65000 };

typedef struct Stretch {
    uint64_t physical, length, file;       /* file: where its bytes begin */
    const uint8_t *host;
    RamBlock *ram;                         /* held */
} Stretch;

struct Dump {
    GArray *stretches;                     /* of Stretch */
    GArray *mappings;                      /* of Mapping, each within one stretch */
    GPtrArray *states;                     /* CpuState of each processor */
    bool wide, is_64;                      /* ELFCLASS64; x86-64 */
    GByteArray *head;                      /* all that stands before the memory */
    uint64_t total, completed;
};

static void append(GByteArray *to, uint64_t value, unsigned size)
{
    uint64_t little = GUINT64_TO_LE(value);

    g_byte_array_append(to, (const uint8_t *)&little, size);
}

static void pad_to(GByteArray *to, guint length)
{
    static const uint8_t zeros[64];

    while (to->len < length) {
        g_byte_array_append(to, zeros, MIN(sizeof zeros, length - to->len));
    }
}

/* ---- notes ---- */

static void append_note(GByteArray *out, const char *name, uint32_t type, const GByteArray *data)
{
    append(out, strlen(name) + 1, 4);
    append(out, data->len, 4);
    append(out, type, 4);
    g_byte_array_append(out, (const uint8_t *)name, (guint)strlen(name) + 1);
    pad_to(out, (out->len + 3) & ~3u);
    g_byte_array_append(out, data->data, data->len);
    pad_to(out, (out->len + 3) & ~3u);
}

/* The order of Linux's user_regs_struct; -1: a value that follows. */
static void append_prstatus_64(GByteArray *out, const CpuState *state, unsigned index)
{
    static const uint8_t gprs[] = { 15, 14, 13, 12, GPR_RBP, GPR_RBX, 11, 10, 9, 8, GPR_RAX, GPR_RCX, GPR_RDX, GPR_RSI, GPR_RDI };
    const CpuSegment *segment = state->segment;
    g_autoptr(GByteArray) data = g_byte_array_new();

    pad_to(data, 32);
    append(data, index + 1, 4);
    pad_to(data, 112);
    for (size_t i = 0; i < sizeof gprs; i++) {
        append(data, state->gpr[gprs[i]], 8);
    }
    const uint64_t rest[] = { 0, state->rip, segment[SEG_CS].selector, state->rflags, state->gpr[GPR_RSP], segment[SEG_SS].selector,
                              segment[SEG_FS].base, segment[SEG_GS].base, segment[SEG_DS].selector, segment[SEG_ES].selector,
                              segment[SEG_FS].selector, segment[SEG_GS].selector };
    for (size_t i = 0; i < G_N_ELEMENTS(rest); i++) {
        append(data, rest[i], 8);
    }
    pad_to(data, PRSTATUS_64);
    append_note(out, "CORE", NT_PRSTATUS, data);
}

static void append_prstatus_32(GByteArray *out, const CpuState *state, unsigned index)
{
    const CpuSegment *segment = state->segment;
    g_autoptr(GByteArray) data = g_byte_array_new();
    const uint64_t registers[] = {
        state->gpr[GPR_RBX], state->gpr[GPR_RCX], state->gpr[GPR_RDX], state->gpr[GPR_RSI], state->gpr[GPR_RDI], state->gpr[GPR_RBP],
        state->gpr[GPR_RAX], segment[SEG_DS].selector, segment[SEG_ES].selector, segment[SEG_FS].selector, segment[SEG_GS].selector, 0,
        state->rip, segment[SEG_CS].selector, state->rflags, state->gpr[GPR_RSP], segment[SEG_SS].selector };

    pad_to(data, 24);
    append(data, index + 1, 4);
    pad_to(data, 72);
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        append(data, registers[i], 4);
    }
    pad_to(data, PRSTATUS_32);
    append_note(out, "CORE", NT_PRSTATUS, data);
}

static void append_segment(GByteArray *data, uint16_t selector, uint32_t limit, uint32_t attributes, uint64_t base)
{
    append(data, selector, 4);
    append(data, limit, 4);
    append(data, (attributes & 0xffff) << 8, 4);
    append(data, 0, 4);
    append(data, base, 8);
}

static void append_cpu_note(GByteArray *out, const CpuState *state)
{
    static const uint8_t gprs[] = { GPR_RAX, GPR_RBX, GPR_RCX, GPR_RDX, GPR_RSI, GPR_RDI, GPR_RSP, GPR_RBP, 8, 9, 10, 11, 12, 13, 14, 15 };
    const CpuSegment *const segments[] = { &state->segment[SEG_CS], &state->segment[SEG_DS], &state->segment[SEG_ES], &state->segment[SEG_FS],
                                           &state->segment[SEG_GS], &state->segment[SEG_SS], &state->ldt, &state->tr };
    const uint64_t controls[] = { state->cr0, 0, state->cr2, state->cr3, state->cr4, state->kernel_gs_base };
    g_autoptr(GByteArray) data = g_byte_array_new();

    append(data, 1, 4);                    /* version */
    append(data, CPU_NOTE_BYTES, 4);
    for (size_t i = 0; i < sizeof gprs; i++) {
        append(data, state->gpr[gprs[i]], 8);
    }
    append(data, state->rip, 8);
    append(data, state->rflags, 8);
    for (size_t i = 0; i < G_N_ELEMENTS(segments); i++) {
        append_segment(data, segments[i]->selector, segments[i]->limit, segments[i]->attributes, segments[i]->base);
    }
    append_segment(data, 0, state->gdt_limit, 0, state->gdt_base);
    append_segment(data, 0, state->idt_limit, 0, state->idt_base);
    for (size_t i = 0; i < G_N_ELEMENTS(controls); i++) {
        append(data, controls[i], 8);
    }
    append_note(out, "QEMU", 0, data);
}

static GByteArray *make_notes(const Dump *dump)
{
    GByteArray *notes = g_byte_array_new();

    for (guint i = 0; i < dump->states->len; i++) {
        (dump->is_64 ? append_prstatus_64 : append_prstatus_32)(notes, dump->states->pdata[i], i);
    }
    for (guint i = 0; i < dump->states->len; i++) {
        append_cpu_note(notes, dump->states->pdata[i]);
    }
    return notes;
}

/* ---- headers ---- */

static guint elf_bytes(const Dump *dump)
{
    return dump->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
}

static guint segment_bytes(const Dump *dump)
{
    return dump->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
}

static void append_elf_header(Dump *dump, unsigned segments)
{
    static const uint8_t magic[] = { 0x7f, 'E', 'L', 'F' };
    unsigned word = dump->wide ? 8 : 4;
    GByteArray *head = dump->head;

    g_byte_array_append(head, magic, sizeof magic);
    append(head, dump->wide ? ELFCLASS64 : ELFCLASS32, 1);
    append(head, ELFDATA2LSB, 1);
    append(head, EV_CURRENT, 1);
    pad_to(head, EI_NIDENT);
    append(head, ET_CORE, 2);
    append(head, dump->is_64 ? EM_X86_64 : EM_386, 2);
    append(head, EV_CURRENT, 4);
    append(head, 0, word);                 /* entry */
    append(head, elf_bytes(dump), word);   /* the program headers follow at once */
    append(head, 0, word);
    append(head, 0, 4);
    append(head, elf_bytes(dump), 2);
    append(head, segment_bytes(dump), 2);
    append(head, segments, 2);
    pad_to(head, elf_bytes(dump));
}

static void append_program_header(Dump *dump, uint32_t type, uint64_t file, uint64_t linear, uint64_t physical, uint64_t length)
{
    unsigned word = dump->wide ? 8 : 4;
    GByteArray *head = dump->head;

    append(head, type, 4);
    if (dump->wide) {
        append(head, 0, 4);                /* the flags stand at the other end of a 32-bit header */
    }
    append(head, file, word);
    append(head, linear, word);
    append(head, physical, word);
    append(head, length, word);
    append(head, length, word);
    append(head, 0, word);                 /* flags or alignment, and the other one */
    if (!dump->wide) {
        append(head, 0, word);
    }
}

static const Stretch *stretch_at(const Dump *dump, uint64_t physical)
{
    for (guint i = 0; i < dump->stretches->len; i++) {
        const Stretch *stretch = &g_array_index(dump->stretches, Stretch, i);
        if (physical >= stretch->physical && physical - stretch->physical < stretch->length) {
            return stretch;
        }
    }
    return NULL;
}

/* Where each stretch comes to lie, and everything before them. */
static void make_head(Dump *dump)
{
    unsigned segments = 1 + (dump->mappings->len ? dump->mappings->len : dump->stretches->len);
    g_autoptr(GByteArray) notes = make_notes(dump);
    uint64_t notes_at = elf_bytes(dump) + (uint64_t)segments * segment_bytes(dump), file = notes_at + notes->len;

    dump->head = g_byte_array_new();
    append_elf_header(dump, segments);
    append_program_header(dump, PT_NOTE, notes_at, 0, 0, notes->len);
    for (guint i = 0; i < dump->stretches->len; i++) {
        Stretch *stretch = &g_array_index(dump->stretches, Stretch, i);
        stretch->file = file;
        file += stretch->length;
    }
    for (guint i = 0; i < dump->mappings->len; i++) {
        const Mapping *mapping = &g_array_index(dump->mappings, Mapping, i);
        const Stretch *stretch = stretch_at(dump, mapping->physical);
        append_program_header(dump, PT_LOAD, stretch->file + (mapping->physical - stretch->physical), mapping->linear, mapping->physical, mapping->length);
    }
    for (guint i = 0; !dump->mappings->len && i < dump->stretches->len; i++) {
        const Stretch *stretch = &g_array_index(dump->stretches, Stretch, i);
        append_program_header(dump, PT_LOAD, stretch->file, stretch->physical, stretch->physical, stretch->length);
    }
    g_byte_array_append(dump->head, notes->data, notes->len);
}

/* ---- what is dumped ---- */

static void take_memory(Dump *dump, Machine *machine, const DumpFilter *filter)
{
    const FlatView *view = space_view(machine->memory);

    for (size_t i = 0; i < view->count; i++) {
        const FlatRange *range = &view->ranges[i];
        uint64_t first = range->start, last = range->start + (range->size - 1);
        if (filter->limited) {
            first = MAX(first, filter->begin);
            last = MIN(last, filter->begin + (filter->length - 1));
        }
        if (range->host && first <= last) {
            Stretch stretch = { first, last - first + 1, 0, range->host + (first - range->start), ram_block_ref(range->ram) };
            g_array_append_val(dump->stretches, stretch);
            dump->total += stretch.length;
        }
    }
}

static void take_processors(Dump *dump, Machine *machine)
{
    for (guint i = 0; i < machine->cpus->len; i++) {
        CpuState *state = g_new0(CpuState, 1);
        cpu_get_state(machine->cpus->pdata[i], state);
        g_ptr_array_add(dump->states, state);
        dump->is_64 = i == 0 ? monitor_paging(state) >= PAGING_4_LEVELS : dump->is_64;
    }
}

/* The part of a mapping that has memory behind it, cut where stretches end. */
static void add_mapping(Dump *dump, Mapping whole)
{
    while (whole.length && dump->mappings->len < SEGMENTS_MOST) {
        const Stretch *stretch = stretch_at(dump, whole.physical);
        uint64_t step = whole.length;
        if (stretch) {
            Mapping part = whole;
            step = part.length = MIN(whole.length, stretch->length - (whole.physical - stretch->physical));
            g_array_append_val(dump->mappings, part);
        } else {
            for (guint i = 0; i < dump->stretches->len; i++) {     /* on to the next memory */
                const Stretch *next = &g_array_index(dump->stretches, Stretch, i);
                step = next->physical > whole.physical ? MIN(step, next->physical - whole.physical) : step;
            }
        }
        whole = (Mapping){ whole.linear + step, whole.physical + step, whole.length - step };
    }
}

static bool take_mappings(Dump *dump, Machine *machine, GError **err)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(Mapping));

    for (guint i = 0; i < dump->states->len; i++) {
        if (monitor_paging(dump->states->pdata[i]) != PAGING_OFF) {
            if (!monitor_mappings(machine, dump->states->pdata[i], all, err)) {
                return false;
            }
            break;
        }
    }
    for (guint i = 0; i < all->len; i++) {
        add_mapping(dump, g_array_index(all, Mapping, i));
    }
    return dump->mappings->len < SEGMENTS_MOST || fail(err, E2BIG, "dump: the guest has mapped more than %d stretches; dump with paging=false", SEGMENTS_MOST);
}

Dump *dump_new(Machine *machine, const DumpFilter *filter, GError **err)
{
    Dump *dump = g_new0(Dump, 1);

    dump->stretches = g_array_new(FALSE, FALSE, sizeof(Stretch));
    dump->mappings = g_array_new(FALSE, FALSE, sizeof(Mapping));
    dump->states = g_ptr_array_new_with_free_func(g_free);
    take_memory(dump, machine, filter);
    take_processors(dump, machine);
    bool taken = dump->stretches->len ? !filter->paging || take_mappings(dump, machine, err) : fail(err, EINVAL, "dump: no guest memory to dump");
    if (!taken) {
        dump_free(dump);
        return NULL;
    }
    const Stretch *last = &g_array_index(dump->stretches, Stretch, dump->stretches->len - 1);
    dump->wide = dump->is_64 || last->physical + (last->length - 1) > UINT32_MAX || dump->total > INT32_MAX;
    make_head(dump);
    return dump;
}

void dump_free(Dump *dump)
{
    for (guint i = 0; i < dump->stretches->len; i++) {
        ram_block_unref(g_array_index(dump->stretches, Stretch, i).ram);
    }
    g_array_unref(dump->stretches);
    g_array_unref(dump->mappings);
    g_ptr_array_unref(dump->states);
    if (dump->head) {
        g_byte_array_unref(dump->head);
    }
    g_free(dump);
}

static int write_all(int fd, const uint8_t *data, size_t length)
{
    while (length) {
        ssize_t put = write(fd, data, length);
        if (put < 0 && errno != EINTR) {
            return -errno;
        }
        data += MAX(put, 0);
        length -= (size_t)MAX(put, 0);
    }
    return 0;
}

int dump_write(Dump *dump, int fd)
{
    int failed = write_all(fd, dump->head->data, dump->head->len);

    for (guint i = 0; !failed && i < dump->stretches->len; i++) {
        const Stretch *stretch = &g_array_index(dump->stretches, Stretch, i);
        for (uint64_t done = 0; !failed && done < stretch->length; done += CHUNK) {
            size_t part = MIN(CHUNK, stretch->length - done);
            failed = write_all(fd, stretch->host + done, part);
            __atomic_add_fetch(&dump->completed, part, __ATOMIC_RELAXED);
        }
    }
    return failed;
}

uint64_t dump_total(const Dump *dump)
{
    return dump->total;
}

uint64_t dump_completed(const Dump *dump)
{
    return __atomic_load_n(&dump->completed, __ATOMIC_RELAXED);
}
