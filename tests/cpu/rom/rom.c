/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rom.c - asks the processor it runs on what protected mode does, and prints the answers to port 402h
 *
 * One line per table row: a character per access byte. Runs on any PC or machine model with RAM below F0000h; needs no device
 * but the debug port. What it prints on one processor must be what it prints on another.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum { GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, TSS2 = 0x4000, LDT = 0x5000, V86 = 0x8000, PAGES = 0x80000,
       CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x1b, DATA3 = 0x23, TSS_SEL = 0x28, TEST = 0x40, TARGET = 0x50, TSS2_SEL = 0x60, LDT_SEL = 0x68,
       INNER1 = 0x70, INNER2 = 0x78, TRAP_TASKS = 0x6000, LIMIT = 0x8f };

void level3(void (*code)(void));
void task_pad_ts(void);
void task_pad_np(void);
void task_pad_gp(void);
void landing(void);
void main(void);
extern const u8 stubs[];

/* ---- output ---- */

static void put(char c)
{
    __asm__ volatile("outb %0, %1" : : "a"(c), "d"((u16)0x402));
}

static void text(const char *s)
{
    while (*s) {
        put(*s++);
    }
}

static void hex(u32 value, int digits)
{
    while (digits--) {
        put("0123456789abcdef"[value >> digits * 4 & 15]);
    }
}

static void field(const char *name, u32 value)
{
    put(' ');
    text(name);
    put('=');
    hex(value, 8);
}

/* ---- traps ---- */

typedef struct Frame { u32 gs, fs, es, ds, edi, esi, ebp, esp_here, ebx, edx, ecx, eax, vector, error, eip, cs, eflags, esp, ss; } Frame;
Frame last;
u32 trap_ss, level3_flags, last_stack[6];
static void *recovery[5];

void trapped(Frame *frame)
{
    last = *frame;
    for (u32 i = 0; i < 6; i++) {
        last_stack[i] = (frame->cs & 3 && !(frame->eflags & 0x20000) ? (u32 *)frame->esp : &frame->esp)[i];
    }
    __builtin_longjmp(recovery, 1);
}

/* Runs code until a trap; the frame is in last. */
static __attribute__((noinline)) void attempt(void (*code)(void))
{
    if (__builtin_setjmp(recovery) == 0) {
        code();
    }
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs; push $2; popf; clts" : : "r"(0x10));
}

static __attribute__((noinline)) void attempt3(void (*code)(void))
{
    if (__builtin_setjmp(recovery) == 0) {
        level3(code);
    }
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs; push $2; popf; clts" : : "r"(0x10));
}

/* One letter for what came: a dot for the landing pad. Capitals: the error code was the expected one. */
static void letter(u32 expected)
{
    static const char names[] = "ZDNBOVUMF-TPSGA-XA";
    char c = last.vector == 0x80 ? '.' : last.vector < 18 ? names[last.vector] : '?';

    put(c == '.' || last.error == expected || c == '?' ? c : (char)(c | 0x20));
    if (c != '.' && last.error != expected) {
        hex(last.error, 4);
    }
}

/* ---- tables ---- */

static void descriptor(u32 selector, u32 base, u32 limit, u32 access, u32 flags)
{
    volatile u32 *d = (u32 *)(GDT + (selector & 0xfff8));

    d[0] = (limit & 0xffff) | base << 16;
    d[1] = (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) | flags << 20 | (base & 0xff000000);
}

static void gate(u32 address, u32 selector, u32 offset, u32 access, u32 count)
{
    volatile u32 *d = (u32 *)address;

    d[0] = (offset & 0xffff) | selector << 16;
    d[1] = (offset & 0xffff0000) | access << 8 | count;
}

static void clear(u32 address, u32 bytes)
{
    for (u32 i = 0; i < bytes; i++) {
        *(volatile u8 *)(address + i) = 0;
    }
}

static void tables(void)
{
    struct { u16 limit; u32 base; } __attribute__((packed)) pointer = { LIMIT, GDT };
    volatile u32 *tss = (u32 *)TSS;

    clear(GDT, 0x5000);
    descriptor(CODE0, 0, 0xfffff, 0x9b, 0xc);
    descriptor(DATA0, 0, 0xfffff, 0x93, 0xc);
    descriptor(CODE3, 0, 0xfffff, 0xfb, 0xc);
    descriptor(DATA3, 0, 0xfffff, 0xf3, 0xc);
    descriptor(INNER1, 0, 0xfffff, 0xb3, 0xc);
    descriptor(INNER2, 0, 0xfffff, 0xd3, 0xc);
    descriptor(TSS_SEL, TSS, 0x67, 0x89, 0);
    tss[1] = 0x58000;
    tss[2] = DATA0;
    tss[3] = 0x50000;
    tss[4] = INNER1 | 1;
    tss[5] = 0x4c000;
    tss[6] = INNER2 | 2;
    tss[25] = 0x680000;
    for (u32 v = 0; v < 256; v++) {
        gate(IDT + v * 8, CODE0, (u32)stubs + v * 16, v == 0x80 ? 0xee : 0x8e, 0);
    }
    __asm__ volatile("lgdt %0" : : "m"(pointer));
    pointer.limit = 0x7ff;
    pointer.base = IDT;
    __asm__ volatile("lidt %0; lldt %w1; ltr %w2" : : "m"(pointer), "r"(0), "r"(TSS_SEL));
}

/* ---- segment loads ---- */

static u32 selector, result, value;

#define LOADER(name) static void load_##name(void) { __asm__ volatile("mov %0, %%" #name "; int $0x80" : : "r"(selector)); }
LOADER(ds) LOADER(es) LOADER(fs) LOADER(gs) LOADER(ss)

static void load_row(const char *name, void (*code)(void), int ring3, u32 rpl)
{
    text(name);
    text(ring3 ? " cpl3 rpl" : " cpl0 rpl");
    hex(rpl, 1);
    put(' ');
    for (u32 access = 0; access < 256; access++) {
        u32 down = (access & 0x1c) == 0x14;

        descriptor(TEST, 0, down ? 0 : 0xfffff, access, 0xc);
        selector = TEST | rpl;
        (ring3 ? attempt3 : attempt)(code);
        letter(TEST);
        if (((access & 1) ^ 1) && (*(volatile u8 *)(GDT + TEST + 5) & 1)) {
            put('+');                      /* the accessed bit was set */
        }
    }
    put('\n');
}

static void loads(void)
{
    static const struct { const char *name; void (*code)(void); } all[] = {
        { "ds", load_ds }, { "es", load_es }, { "fs", load_fs }, { "gs", load_gs }, { "ss", load_ss } };

    for (u32 i = 0; i < 5; i++) {
        for (u32 c = 0; c < 8; c++) {
            load_row(all[i].name, all[i].code, c & 4, c & 3);
        }
    }
    static const u16 odd[] = { 0, 1, 3, 4, 7, 0x88, 0x90, 0x98, 0xfff8, 0x44 };
    for (u32 i = 0; i < sizeof odd / 2; i++) {
        for (u32 ring3 = 0; ring3 < 2; ring3++) {
            selector = odd[i];
            text("odd");
            hex(selector, 4);
            put(' ');
            (ring3 ? attempt3 : attempt)(load_ds);
            letter(selector & 0xfffc);
            (ring3 ? attempt3 : attempt)(load_ss);
            letter(selector & 0xfffc);
            put('\n');
        }
    }
}

/* ---- lar, lsl, verr, verw ---- */

static void looks_code(void)
{
    u32 flags, right = 0x5a5a5a5a, limit = 0x5a5a5a5a;

    __asm__ volatile("cmp %%eax, %%eax; lar %2, %1; pushf; pop %0" : "=r"(flags), "+r"(right) : "r"(selector) : "cc");
    result = flags >> 6 & 1;
    __asm__ volatile("test %%esp, %%esp; lsl %2, %1; pushf; pop %0" : "=r"(flags), "+r"(limit) : "r"(selector) : "cc");
    result |= (flags >> 6 & 1) << 1;
    __asm__ volatile("test %%esp, %%esp; verr %w1; pushf; pop %0" : "=r"(flags) : "r"(selector) : "cc");
    result |= (flags >> 6 & 1) << 2;
    __asm__ volatile("test %%esp, %%esp; verw %w1; pushf; pop %0" : "=r"(flags) : "r"(selector) : "cc");
    result |= (flags >> 6 & 1) << 3;
    value = (right & 0xfff0ffff) ^ limit * 3;
    __asm__ volatile("int $0x80");
}

static void looks(void)
{
    for (u32 c = 0; c < 8; c++) {
        u32 sum = 0;

        text("look");
        hex(c, 1);
        put(' ');
        for (u32 access = 0; access < 256; access++) {
            descriptor(TEST, 0x12345678, 0x43210, access, access & 1 ? 0x4 : 0xc);
            selector = TEST | (c & 3);
            (c & 4 ? attempt3 : attempt)(looks_code);
            hex(result, 1);
            sum = sum * 33 + value;
        }
        field("sum", sum);
        put('\n');
    }
}

/* ---- lldt, ltr ---- */

static void lldt_code(void) { __asm__ volatile("lldt %w0; int $0x80" : : "r"(selector)); }
static void ltr_code(void) { __asm__ volatile("ltr %w0; int $0x80" : : "r"(selector)); }

static void system_loads(void)
{
    for (u32 which = 0; which < 2; which++) {
        for (u32 c = 0; c < 3; c++) {
            text(which ? "ltr" : "lldt");
            hex(c, 1);
            put(' ');
            for (u32 access = 0; access < 256; access++) {
                descriptor(TEST, TSS, 0x67, access, 0);
                selector = TEST | (c == 1 ? 3 : 0);
                (c == 2 ? attempt3 : attempt)(which ? ltr_code : lldt_code);
                letter(c == 2 ? 0 : TEST);
                descriptor(TSS_SEL, TSS, 0x67, 0x89, 0);
                __asm__ volatile("lldt %w0; ltr %w1" : : "r"(0), "r"(TSS_SEL));
            }
            put('\n');
        }
    }
}

/* ---- far transfers ---- */

static struct { u32 offset; u16 selector; } __attribute__((packed)) far;
static void jump_code(void) { __asm__ volatile("ljmp *%0" : : "m"(far)); }
static void call_code(void) { __asm__ volatile("mov $0x5e000, %%esp; push $0x22222222; push $0x11111111; lcall *%0" : : "m"(far)); }

/* What a transfer brought: CS, SS, and, for calls, the stack. */
static void arrival(int call)
{
    u32 level = last.cs & 3;

    put('[');
    hex(last.cs, 2);
    hex(level ? last.ss & 0xff : trap_ss & 0xff, 2);
    if (call) {
        for (u32 i = 0; i < 6; i++) {
            put(i ? ',' : ' ');
            hex(i == 0 && last_stack[0] > 0xf0000 ? 1 : last_stack[i], 4);         /* code addresses are the compiler's */
        }
    }
    put(']');
}

static void direct(void)
{
    for (u32 c = 0; c < 16; c++) {
        text(c & 8 ? "call" : "jump");
        text(c & 4 ? "3 rpl" : "0 rpl");
        hex(c & 3, 1);
        put(' ');
        for (u32 access = 0; access < 256; access++) {
            u32 type = access & 31;

            if (type == 1 || type == 3 || type == 5 || type == 9 || type == 11 || type == 4 || type == 12) {
                continue;                  /* tasks and call gates have tables of their own */
            }
            descriptor(TEST, 0, 0xfffff, access, 0xc);
            far.offset = (u32)landing;
            far.selector = (u16)(TEST | (c & 3));
            (c & 4 ? attempt3 : attempt)(c & 8 ? call_code : jump_code);
            letter(TEST);
            if (last.vector == 0x80) {
                arrival(0);
            }
        }
        put('\n');
    }
}

static void call_gates(void)
{
    static const u8 codes[] = { 0x9a, 0xba, 0xda, 0xfa, 0x9e, 0xbe, 0xde, 0xfe, 0x92, 0x1a, 0x3e, 0x82 };

    for (u32 c = 0; c < 16 * sizeof codes; c++) {
        text(c & 1 ? "gatecall" : "gatejump");
        text(c & 2 ? "3 rpl" : "0 rpl");
        hex(c >> 2 & 3, 1);
        put(' ');
        hex(codes[c >> 4], 2);
        put(' ');
        descriptor(TARGET, 0, 0xfffff, codes[c >> 4], 0xc);
        for (u32 access = 0; access < 256; access += 1) {
            if ((access & 0x1f) != 0x0c) {
                continue;
            }
            gate(GDT + TEST, TARGET, (u32)landing, access, 2);
            far.offset = 0x99999999;
            far.selector = (u16)(TEST | (c >> 2 & 3));
            (c & 2 ? attempt3 : attempt)(c & 1 ? call_code : jump_code);
            letter(last.error == TARGET ? TARGET : TEST);
            if (last.vector != 0x80 && last.error == TARGET) {
                put('*');
            }
            if (last.vector == 0x80) {
                arrival(c & 1);
            }
        }
        put('\n');
    }
}

/* ---- returns ---- */

static u32 frame_flags;
static void retf_code(void)
{
    __asm__ volatile("push %0; push $0x5c000; push %1; push %2; lret" : : "r"(TARGET | (selector & 3)), "r"(selector), "r"(landing));
}
static void iret_code(void)
{
    __asm__ volatile("push %0; push $0x5c000; push %3; push %1; push %2; iret"
                     : : "r"(TARGET | (selector & 3)), "r"(selector), "r"(landing), "r"(frame_flags));
}

static void returns(void)
{
    for (u32 c = 0; c < 16; c++) {
        text(c & 8 ? "iret" : "retf");
        text(c & 4 ? "3 rpl" : "0 rpl");
        hex(c & 3, 1);
        put(' ');
        descriptor(TARGET, 0, 0xfffff, 0x93 | (c & 3) << 5, 0xc);
        for (u32 access = 0; access < 256; access++) {
            descriptor(TEST, 0, 0xfffff, access, 0xc);
            selector = TEST | (c & 3);
            frame_flags = 0x2446d5 | (access & 4 ? 0x8000 : 0);
            (c & 4 ? attempt3 : attempt)(c & 8 ? iret_code : retf_code);
            letter(TEST);
            if (last.vector == 0x80) {
                arrival(0);
                if (c & 8) {
                    hex(last.eflags & 0x3f7fd7, 6);
                }
                hex((last.ds & 0xffff) | last.fs << 16, 8);
            }
        }
        put('\n');
    }
}

/* SS of a return outwards, over all access bytes. */
static void return_stacks(void)
{
    for (u32 rpl = 1; rpl < 4; rpl++) {
        text("outer ss rpl");
        hex(rpl, 1);
        put(' ');
        descriptor(TEST, 0, 0xfffff, 0x9b | rpl << 5, 0xc);
        for (u32 access = 0; access < 256; access++) {
            descriptor(TARGET, 0, (access & 0x1c) == 0x14 ? 0 : 0xfffff, access, 0xc);
            selector = TEST | rpl;
            attempt(retf_code);
            letter(TARGET);
        }
        put('\n');
    }
}

/* ---- interrupts through gates ---- */

static void int_code(void) { __asm__ volatile("int $0x40"); }

static void gates(void)
{
    static const u8 codes[] = { 0x9a, 0xba, 0xda, 0xfa, 0x9e, 0xbe, 0xde, 0x1a, 0x92 };

    for (u32 c = 0; c < 2 * sizeof codes; c++) {
        text(c & 1 ? "int3 " : "int0 ");
        hex(codes[c >> 1], 2);
        put(' ');
        descriptor(TARGET, 0, 0xfffff, codes[c >> 1], 0xc);
        for (u32 access = 0; access < 256; access++) {
            u32 type = access & 0x1f;

            if (type == 5 || type == 6 || type == 7) {
                continue;                  /* landing is beyond 64 KiB; task gates have a test of their own */
            }
            gate(IDT + 0x40 * 8, TARGET, (u32)landing, access, 0);
            (c & 1 ? attempt3 : attempt)(int_code);
            letter(last.error == TARGET ? TARGET : 0x40 * 8 + 2);
            if (last.vector == 0x80) {
                arrival(0);
                hex(last.eflags >> 9 & 1, 1);
            }
        }
        put('\n');
    }
}

/* ---- tasks ---- */

static void new_task(u32 access)
{
    volatile u32 *tss = (u32 *)TSS2;

    clear(TSS2, 0x68);
    descriptor(TSS2_SEL, TSS2, 0x67, access, 0);
    tss[7] = 0;
    tss[8] = (u32)landing;
    tss[9] = 2;
    tss[14] = 0x5c000;
    tss[18] = tss[20] = tss[21] = tss[22] = tss[23] = DATA0;
    tss[19] = CODE0;
    tss[1] = 0x58000;
    tss[2] = DATA0;
    tss[25] = 0x680000;
}

static void old_task(void)
{
    descriptor(TSS_SEL, TSS, 0x67, 0x89, 0);
    __asm__ volatile("ltr %w0" : : "r"(TSS_SEL));
}

static u32 task_register(void)
{
    u32 tr;

    __asm__ volatile("str %0" : "=r"(tr));
    return tr;
}

/* A fault in a task whose stack may be bad needs a task of its own: #TS, #NP and #GP get one each. */
static void trap_tasks(int on)
{
    static const struct { u8 vector, selector; void (*pad)(void); } all[] = {
        { 10, 0x30, task_pad_ts }, { 11, 0x38, task_pad_np }, { 13, 0x48, task_pad_gp } };

    for (u32 i = 0; i < 3; i++) {
        u32 base = TRAP_TASKS + i * 0x100;
        volatile u32 *tss = (u32 *)base;

        clear(base, 0x68);
        descriptor(all[i].selector, base, 0x67, 0x89, 0);
        tss[8] = (u32)all[i].pad;
        tss[9] = 2;
        tss[14] = 0x54000;
        tss[18] = tss[20] = tss[21] = tss[22] = tss[23] = DATA0;
        tss[19] = CODE0;
        gate(IDT + all[i].vector * 8, on ? all[i].selector : CODE0, on ? 0 : (u32)stubs + all[i].vector * 16, on ? 0x85 : 0x8e, 0);
    }
}

static void task_line(u32 expected)
{
    letter(expected);
    hex(task_register(), 2);
    hex(*(volatile u8 *)(GDT + TSS_SEL + 5), 2);
    hex(*(volatile u8 *)(GDT + TSS2_SEL + 5), 2);
    hex(*(volatile u16 *)TSS2, 2);
    hex(last.vector == 0x80 ? last.eflags >> 14 & 1 : 9, 1);
    put(' ');
    old_task();
}

static void tasks(void)
{
    for (u32 c = 0; c < 16; c++) {
        text(c & 8 ? "taskcall" : "taskjump");
        text(c & 4 ? "3 rpl" : "0 rpl");
        hex(c & 3, 1);
        put(' ');
        for (u32 access = 0; access < 256; access++) {
            u32 type = access & 31;

            if (type != 9 && type != 11) {
                continue;
            }
            new_task(access);
            far.selector = (u16)(TSS2_SEL | (c & 3));
            (c & 4 ? attempt3 : attempt)(c & 8 ? call_code : jump_code);
            task_line(TSS2_SEL);
        }
        put('\n');
    }
    text("task gate ");
    for (u32 access = 0; access < 256; access++) {
        if ((access & 31) != 5) {
            continue;
        }
        for (u32 c = 0; c < 4; c++) {
            new_task(0x89);
            gate(GDT + TEST, TSS2_SEL, 0, access, 0);
            far.selector = (u16)(TEST | (c & 1 ? 3 : 0));
            (c & 2 ? attempt3 : attempt)(call_code);
            task_line(TEST);
        }
    }
    text("\nint task gate ");
    for (u32 access = 0; access < 256; access++) {
        if ((access & 31) != 5) {
            continue;
        }
        for (u32 c = 0; c < 2; c++) {
            new_task(0x89);
            gate(IDT + 0x40 * 8, TSS2_SEL, 0, access, 0);
            (c ? attempt3 : attempt)(int_code);
            task_line(0x40 * 8 + 2);
        }
    }
    text("\ntask contents ");
    for (u32 c = 0; c < 12; c++) {
        volatile u32 *tss = (u32 *)TSS2;

        new_task(0x89);
        switch (c) {
        case 0: tss[20] = DATA3; break;            /* SS of another level */
        case 1: tss[20] = 0; break;
        case 2: tss[19] = DATA0; break;            /* CS is data */
        case 3: tss[19] = CODE3; break;            /* level 3 with a level 0 stack */
        case 4: tss[19] = CODE3; tss[20] = DATA3; break;
        case 5: tss[21] = TEST; descriptor(TEST, 0, 0xfffff, 0x13, 0xc); break;        /* DS not present */
        case 6: tss[24] = TEST; descriptor(TEST, LDT, 0xff, 0x02, 0); break;           /* LDT not present */
        case 7: tss[24] = DATA0; break;
        case 8: tss[19] = 0; break;
        case 9: descriptor(TSS2_SEL, TSS2, 0x66, 0x89, 0); break;
        case 10: tss[22] = 0x98; break;            /* FS beyond the table */
        default: tss[21] = 0; tss[22] = 3; break;
        }
        far.selector = TSS2_SEL;
        trap_tasks(1);
        attempt(call_code);
        hex(last.error, 4);
        hex(*(volatile u16 *)TRAP_TASKS, 2);           /* whom the #TS task thinks it came from */
        task_line(last.error);
    }
    trap_tasks(0);
    put('\n');
}

/* ---- virtual-8086 mode ---- */

static u32 v86_iopl;

static void enter_v86(void)
{
    __asm__ volatile("push $0x777; push $0x666; push $0x555; push $0x444; push $0x0; push $0x7f00; push %0; push $0x800; push $0; iret"
                     : : "r"(0x20002 | v86_iopl << 12));
}

static void v86(void)
{
    static const u8 programs[][8] = {
        { 0xcd, 0x80 }, { 0xcd, 0x40 }, { 0xcc }, { 0xfa, 0xcd, 0x80 }, { 0xfb, 0xcd, 0x80 }, { 0x9c, 0xcd, 0x80 }, { 0x9d, 0xcd, 0x80 }, { 0xcf },
        { 0xf4 }, { 0xe4, 0x80, 0xcd, 0x80 }, { 0xe6, 0x80, 0xcd, 0x80 }, { 0x0f, 0x20, 0xc0 }, { 0x0f, 0x00, 0xc0 }, { 0x63, 0xc0 },
        { 0x0f, 0x01, 0xe0, 0xcd, 0x80 }, { 0x8c, 0xd8, 0xcd, 0x80 }, { 0x8e, 0xd8, 0xcd, 0x80 }, { 0x66, 0x9c, 0xcd, 0x80 }, { 0xf1 }, { 0xce, 0xcd, 0x80 },
        { 0xea, 0x00, 0x00, 0x10, 0x08 }, { 0x0f, 0x06 }, { 0x0f, 0x30 }, { 0x0f, 0x09 }, { 0x0f, 0xa2, 0xcd, 0x80 },
    };

    *(volatile u16 *)0x8100 = 0x80cd;
    gate(IDT + 0x40 * 8, CODE0, (u32)stubs + 0x40 * 16, 0xee, 0);
    for (v86_iopl = 0; v86_iopl < 4; v86_iopl++) {
        text("v86 iopl");
        hex(v86_iopl, 1);
        for (u32 i = 0; i < sizeof programs / 8; i++) {
            for (u32 b = 0; b < 8; b++) {
                *(volatile u8 *)(V86 + b) = programs[i][b];
            }
            attempt(enter_v86);
            put(' ');
            hex(last.vector, 2);
            hex(last.error, 4);
            put('@');
            hex(last.cs, 4);
            hex(last.eip, 4);
            hex(last.eflags >> 9 & 0x1f9, 3);
            hex(last.esp & 0xffff, 4);
            if (i == 0) {
                for (u32 w = 2; w < 6; w++) {
                    hex(last_stack[w], 4);
                }
                hex(last.ds, 4);
            }
        }
        put('\n');
    }
}

/* ---- paging ---- */

static u32 cr3_value, cr4_value;
static volatile u32 fault_address;
static u32 access_kind;

static void touch(void)
{
    volatile u8 *at = (volatile u8 *)0x400123;

    if (access_kind == 0) {
        (void)*at;
    } else if (access_kind == 1) {
        *at = 0xcd;
    } else {
        ((void (*)(void))0x400200)();
    }
    __asm__ volatile("int $0x80");
}

static void paging_on(u32 wp)
{
    __asm__ volatile("mov %0, %%cr4; mov %1, %%cr3; mov %%cr0, %%eax; and $0xfffeffff, %%eax; or %2, %%eax; mov %%eax, %%cr0"
                     : : "r"(cr4_value), "r"(cr3_value), "r"(0x80000000 | wp << 16) : "eax", "memory");
}

static void paging_off(void)
{
    __asm__ volatile("mov %%cr2, %%ebx; mov %%ebx, %0; mov %%cr0, %%eax; and $0x7ffeffff, %%eax; mov %%eax, %%cr0" : "=m"(fault_address) : : "eax", "ebx");
}

static void page_cell(u32 wp, u32 ring3, u32 kind)
{
    access_kind = kind;
    *(volatile u16 *)0x90200 = 0x80cd;
    paging_on(wp);
    __asm__ volatile("mov %%cr3, %%eax; mov %%eax, %%cr3" : : : "eax", "memory");
    (ring3 ? attempt3 : attempt)(touch);
    paging_off();
    if (last.vector == 0x80) {
        put('.');
    } else if (last.vector == 14) {
        hex(last.error, 2);
        put(fault_address == 0x400123 || fault_address == 0x400200 ? ' ' : '!');
    } else {
        put('?');
        hex(last.vector, 2);
    }
}

/* Two levels of 32-bit entries, or PAE: identity below 4 MiB (2 MiB), and the test page at 400000h. */
static void paging(void)
{
    volatile u32 *top = (u32 *)PAGES, *test = (u32 *)(PAGES + 0x1000), *low = (u32 *)(PAGES + 0x2000);
    volatile u64 *wide_top = (u64 *)(PAGES + 0x1000), *wide = (u64 *)(PAGES + 0x2000), *pointers = (u64 *)PAGES;

    for (u32 shape = 0; shape < 4; shape++) {
        for (u32 mode = 0; mode < 4; mode++) {
            text("page");
            hex(shape, 1);
            text(mode & 1 ? " wp" : " --");
            text(mode & 2 ? " cpl3 " : " cpl0 ");
            clear(PAGES, 0x4000);
            for (u32 c = 0; c < 64; c++) {
                u32 upper = c & 7, leaf = c >> 3;

                if (shape < 2) {
                    for (u32 i = 0; i < 1024; i++) {
                        low[i] = i << 12 | 7;
                    }
                    cr4_value = 0x10;
                    top[0] = (u32)low | 7;
                    top[1] = shape == 0 ? (u32)test | upper : 0x400080 | upper | (leaf & 1 ? 0 : 0x200000);
                    test[0] = 0x90000 | leaf;
                } else {
                    cr4_value = 0x20;
                    pointers[0] = (u32)wide_top | 1;
                    wide_top[0] = 0x87;
                    wide_top[2] = shape == 2 ? (u32)wide | upper : 0x400080 | upper | (leaf & 1 ? 0 : 0x2000);
                    wide[0] = 0x90000 | leaf;
                }
                if (shape & 1) {
                    *(volatile u16 *)0x400200 = 0x80cd;
                }
                cr3_value = PAGES;
                for (u32 kind = 0; kind < 3; kind++) {
                    page_cell(mode & 1, mode & 2, kind);
                }
                u32 seen = shape < 2 ? (shape ? top[1] : test[0]) : (u32)(shape == 3 ? wide_top[2] : wide[0]);
                u32 seen_top = shape < 2 ? top[1] : (u32)wide_top[2];
                hex(seen >> 5 & 3, 1);
                hex(seen_top >> 5 & 3, 1);
                put(';');
            }
            put('\n');
        }
    }
}

/* ---- ports ---- */

static void port_code(void) { __asm__ volatile("in %%dx, %%al; int $0x80" : : "d"(value) : "eax"); }
static void port4_code(void) { __asm__ volatile("in %%dx, %%eax; int $0x80" : : "d"(value) : "eax"); }

static void ports(void)
{
    volatile u8 *map = (u8 *)(TSS + 0x68);

    for (u32 iopl = 0; iopl < 4; iopl++) {
        text("port iopl");
        hex(iopl, 1);
        put(' ');
        descriptor(TSS_SEL, TSS, 0x67 + 34, 0x89, 0);
        __asm__ volatile("ltr %w0" : : "r"(TSS_SEL));
        for (u32 i = 0; i < 34; i++) {
            map[i] = (u8)(0x11 * i);
        }
        for (value = 0xa0; value < 0x118; value++) {
            level3_flags = 2 | iopl << 12;
            attempt3(port_code);
            letter(0);
            attempt3(port4_code);
            letter(0);
        }
        put('\n');
    }
    level3_flags = 2;
    old_task();
}

/* ---- debug registers and the trap flag ---- */

extern u8 debug_start[], debug_end[];
static u32 debug_offset, debug_size;
static volatile u32 watched[4] __attribute__((aligned(16)));

/* Eight instructions of known lengths; entered by iret with the flags wanted. */
__asm__(".globl debug_start, debug_end\n"
        "debug_start:\n"
        "   nop\n"                                     /* 0 */
        "   mov %eax, (%ebx)\n"                        /* 1 */
        "   mov 4(%ebx), %ecx\n"                       /* 3 */
        "   push %eax\n"                               /* 6 */
        "   pop %eax\n"                                /* 7 */
        "   mov %ss, %edx\n"                           /* 8 */
        "   mov %edx, %ss\n"                           /* 10 */
        "   nop\n"                                     /* 12 */
        "   movw %ax, 7(%ebx)\n"                       /* 13 */
        "   .byte 0xf1\n"                              /* 17 */
        "   nop\n"                                     /* 18 */
        "debug_end: ud2\n");

static u32 debug_flags;
static void debug_enter(void)
{
    __asm__ volatile("push %0; push %%cs; push %1; iret" : : "r"(debug_flags), "r"(debug_start + debug_offset), "a"(0x1234), "b"(watched), "d"(0x10) : "memory");
}

static void debug_line(void)
{
    u32 dr6;

    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    hex(last.vector, 2);
    put('@');
    hex(last.eip - (u32)debug_start, 2);
    put(' ');
    hex(dr6 & 0xe00f, 4);
    hex(last.eflags >> 16 & 1, 1);
    hex(last.eflags >> 8 & 1, 1);
    put(';');
    __asm__ volatile("mov %0, %%dr6; mov %0, %%dr7" : : "r"(0));
}

static void read_dr(void)
{
    __asm__ volatile("mov %%dr0, %%eax; int $0x80" : : : "eax");
}

static void debug(void)
{
    static const u8 starts[] = { 0, 1, 3, 6, 7, 8, 10, 12, 13, 17, 18, 19 };

    text("step ");
    for (u32 i = 0; i < sizeof starts; i++) {
        debug_offset = starts[i];
        debug_flags = 0x102;
        attempt(debug_enter);
        debug_line();
    }
    debug_flags = 2;
    debug_offset = 0;
    text("\nexec ");
    for (u32 i = 0; i < sizeof starts; i++) {
        for (u32 resume = 0; resume < 2; resume++) {
            debug_flags = 2 | resume << 16;
            debug_offset = resume ? starts[i] : 0;
            __asm__ volatile("mov %0, %%dr1; mov %1, %%dr7" : : "r"((u32)debug_start + starts[i]), "r"(4));
            attempt(debug_enter);
            debug_line();
        }
    }
    debug_flags = 2;
    debug_offset = 0;
    for (u32 kind = 1; kind < 4; kind += 2) {
        for (debug_size = 0; debug_size < 4; debug_size++) {
            if (debug_size == 2) {
                continue;
            }
            text("\ndata ");
            hex(kind << 2 | debug_size, 1);
            put(' ');
            for (u32 at = 0; at < 12; at += debug_size == 3 ? 4 : debug_size + 1) {
                __asm__ volatile("mov %0, %%dr2; mov %1, %%dr7" : : "r"((u32)watched + at), "r"(0x10 | kind << 24 | debug_size << 26));
                attempt(debug_enter);
                debug_line();
            }
        }
    }
    text("\ndetect ");
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x2000));
    attempt(read_dr);
    last.eip = (u32)debug_start;
    debug_line();
    put('\n');
}

void main(void)
{
    level3_flags = 2;
    tables();
    loads();
    looks();
    system_loads();
    direct();
    call_gates();
    returns();
    return_stacks();
    gates();
    tasks();
    v86();
    ports();
    debug();
    paging();
    text("end\n");
}
