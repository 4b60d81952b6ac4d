/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rom64.c - asks the processor it runs on what long mode does, and prints the answers to port 402h; see rom.c
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum { GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, DATA0 = 0x10, CODE0 = 0x18, CODE3 = 0x33, DATA3 = 0x2b, TSS_SEL = 0x60, TEST = 0x40, TARGET = 0x50,
       LIMIT = 0x8f, PAGES = 0x84000 };

void level3(void (*code)(void));
void landing(void);
void main(void);
extern const u8 stubs[];

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

static void hex(u64 value, int digits)
{
    while (digits--) {
        put("0123456789abcdef"[value >> digits * 4 & 15]);
    }
}

/* ---- traps ---- */

typedef struct Frame { u64 rax, vector, error, rip, cs, flags, rsp, ss; } Frame;
Frame last;
u32 trap_ss;
static u64 trap_rsp, fault_address;
static void *recovery[5];

void trapped(Frame *frame)
{
    last = *frame;
    trap_rsp = (u64)&frame[1];
    __asm__ volatile("mov %%cr2, %0" : "=r"(fault_address));
    __builtin_longjmp(recovery, 1);
}

static __attribute__((noinline)) void attempt(void (*code)(void))
{
    if (__builtin_setjmp(recovery) == 0) {
        code();
    }
}

static __attribute__((noinline)) void attempt3(void (*code)(void))
{
    if (__builtin_setjmp(recovery) == 0) {
        level3(code);
    }
}

static int landed(void)
{
    return last.vector == 6;
}

static void letter(u32 expected)
{
    static const char names[] = "ZDNBOVUMF-TPSGA-XA";
    char c = landed() ? '.' : last.vector < 18 ? names[last.vector] : '?';

    put(c == '.' || last.error == expected || c == '?' ? c : (char)(c | 0x20));
    if (c != '.' && last.error != expected) {
        hex(last.error, 4);
    }
}

/* ---- tables ---- */

static void descriptor(u32 selector, u32 limit, u32 access, u32 flags)
{
    *(volatile u64 *)(u64)(GDT + (selector & 0xfff8)) = (limit & 0xffff) | (u64)access << 40 | (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52;
}

static void gate(u64 address, u32 selector, u64 offset, u32 access, u32 ist)
{
    ((volatile u64 *)address)[0] = (offset & 0xffff) | (u64)selector << 16 | (u64)ist << 32 | (u64)access << 40 | (offset >> 16 & 0xffff) << 48;
    ((volatile u64 *)address)[1] = offset >> 32;
}

static void clear(u64 address, u32 bytes)
{
    for (u32 i = 0; i < bytes; i++) {
        *(volatile u8 *)(address + i) = 0;
    }
}

static void idt_gate(u32 vector, u32 access, u32 ist)
{
    gate(IDT + vector * 16, CODE0, (u64)stubs + vector * 16, access, ist);
}

static void tables(void)
{
    struct { u16 limit; u64 base; } __attribute__((packed)) pointer = { LIMIT, GDT };
    volatile u32 *tss = (u32 *)(u64)TSS;

    clear(GDT, 0x3000);
    descriptor(0x08, 0xfffff, 0x9b, 0xc);
    descriptor(DATA0, 0xfffff, 0x93, 0xc);
    descriptor(CODE0, 0xfffff, 0x9b, 0xa);
    descriptor(CODE3, 0xfffff, 0xfb, 0xa);
    descriptor(DATA3, 0xfffff, 0xf3, 0xc);
    *(volatile u64 *)(u64)(GDT + TSS_SEL) = 0x67 | (u64)TSS << 16 | 0x89ULL << 40;
    tss[1] = 0x58000;                      /* RSP0 */
    tss[3] = 0x50000;                      /* RSP1 */
    tss[9] = 0x54000;                      /* IST1 */
    tss[25] = 0x680000;
    for (u32 v = 0; v < 32; v++) {
        idt_gate(v, 0x8e, v == 8 ? 1 : 0);
    }
    __asm__ volatile("lgdt %0" : : "m"(pointer));
    pointer.limit = 0x1ff;
    pointer.base = IDT;
    __asm__ volatile("lidt %0; ltr %w1" : : "m"(pointer), "r"(TSS_SEL));
}

/* ---- segment loads, far transfers ---- */

static u64 selector;
static struct { u32 offset; u16 selector; } __attribute__((packed)) far;

static void load_ds(void) { __asm__ volatile("mov %0, %%ds; ud2" : : "r"((u32)selector)); }
static void load_ss(void) { __asm__ volatile("mov %0, %%ss; ud2" : : "r"((u32)selector)); }
static void load_gs(void) { __asm__ volatile("mov %0, %%gs; ud2" : : "r"((u32)selector)); }
static void jump_code(void) { __asm__ volatile("mov $0x5e000, %%rsp; ljmp *%0" : : "m"(far)); }
static void call_code(void) { __asm__ volatile("mov $0x5e000, %%rsp; lcall *%0" : : "m"(far)); }
static void retf_code(void)
{
    __asm__ volatile("mov $0x5e000, %%rsp; pushq %0; pushq $0x5c000; pushq %1; pushq %2; lretq" : : "r"(TARGET | (selector & 3)), "r"(selector), "r"(landing));
}
static void iret_code(void)
{
    __asm__ volatile("mov $0x5e000, %%rsp; pushq %0; pushq $0x5c000; pushq $0x46d7; pushq %1; pushq %2; iretq"
                     : : "r"(TARGET | (selector & 3)), "r"(selector), "r"(landing));
}

static void row(const char *name, void (*code)(void), int ring3, u32 rpl, u32 flags)
{
    text(name);
    text(ring3 ? " cpl3 rpl" : " cpl0 rpl");
    hex(rpl, 1);
    put(' ');
    hex(flags, 1);
    put(' ');
    descriptor(TARGET, 0xfffff, 0x93 | rpl << 5, 0xc);
    for (u32 access = 0; access < 256; access++) {
        u32 type = access & 31;

        if ((code == jump_code || code == call_code) && (type < 16) != (flags == 0)) {
            continue;                      /* system targets come last: KVM cannot emulate them */
        }
        if (flags == 0 && type == 12) {
            continue;                      /* call gates: by themselves */
        }
        descriptor(TEST, 0xfffff, access, flags);
        *(volatile u64 *)(u64)(GDT + TEST + 8) = 0;
        selector = far.selector = (u16)(TEST | rpl);
        far.offset = (u32)(u64)landing;
        (ring3 ? attempt3 : attempt)(code);
        letter(TEST);
        if (landed()) {
            hex(last.cs & 0xff, 2);
            if (last.cs & 3) {
                hex(last.ss, 2);
            }
        }
    }
    put('\n');
}

static const struct { const char *name; void (*code)(void); } all[] = {
    { "ds", load_ds }, { "gs", load_gs }, { "ss", load_ss }, { "jump", jump_code }, { "call", call_code }, { "retf", retf_code }, { "iret", iret_code } };

static void transfers(u32 from, u32 to)
{
    for (u32 i = from; i < to; i++) {
        for (u32 c = 0; c < 8; c++) {
            row(all[i].name, all[i].code, c & 4, c & 3, 0xa);
        }
        if (i > 2) {
            row(all[i].name, all[i].code, 0, 0, 0xe);      /* both L and D */
        }
    }
}

static void odd_selectors(void)
{
    static const u16 odd[] = { 0, 1, 2, 3, 4, 0x88, 0x90, 0xfff8 };
    for (u32 i = 0; i < 8; i++) {
        text("odd");
        hex(odd[i], 4);
        put(' ');
        selector = odd[i];
        attempt(load_ds);
        letter(odd[i] & 0xfffc);
        attempt(load_ss);
        letter(odd[i] & 0xfffc);
        attempt3(load_ds);
        letter(odd[i] & 0xfffc);
        attempt3(load_ss);
        letter(odd[i] & 0xfffc);
        put('\n');
    }
}

static void system_targets(void)
{
    row("jump", jump_code, 0, 0, 0);
    row("call", call_code, 1, 3, 0);
}

static void call_gates(void)
{
    static const u8 codes[] = { 0x9a, 0xba, 0xfa, 0x9e, 0xfe, 0x92, 0x1a };

    for (u32 c = 0; c < 4 * sizeof codes; c++) {
        text(c & 1 ? "gatecall" : "gatejump");
        text(c & 2 ? "3 " : "0 ");
        hex(codes[c >> 2], 2);
        put(' ');
        for (u32 access = 0; access < 256; access++) {
            if ((access & 31) != 12) {
                continue;
            }
            for (u32 flags = 0xa; flags <= 0xe; flags += 2) {
                descriptor(TARGET, 0xfffff, codes[c >> 2], flags);
                gate(GDT + TEST, TARGET, (u64)landing, access, 0);
                far.selector = (u16)(TEST | (c & 2 ? 3 : 0));
                (c & 2 ? attempt3 : attempt)(c & 1 ? call_code : jump_code);
                letter(last.error == TARGET ? TARGET : TEST);
                put(last.error == TARGET ? '*' : ' ');
                if (landed()) {
                    hex(last.cs, 2);
                    hex(last.ss, 2);
                    hex(last.rsp, 5);
                }
            }
        }
        put('\n');
    }
}

/* ---- delivery ---- */

static void odd_stack(void) { __asm__ volatile("mov $0x5e00b, %rsp; ud2"); }

static void deliveries(void)
{
    for (u32 ring3 = 0; ring3 < 2; ring3++) {
        for (u32 ist = 0; ist < 3; ist++) {
            text(ring3 ? "gate3 ist" : "gate0 ist");
            hex(ist, 1);
            put(' ');
            for (u32 access = 0; access < 256; access++) {
                idt_gate(6, access, ist);
                (ring3 ? attempt3 : attempt)(odd_stack);
                letter(6 * 8 + 3);
                if (landed()) {
                    hex(trap_rsp, 5);
                    hex(trap_ss, 2);
                    hex(last.flags >> 16 & 1, 1);
                }
            }
            put('\n');
        }
    }
    idt_gate(6, 0x8e, 0);
}

/* ---- control registers and MSRs ---- */

static u64 value;
static u32 number;

static void write_cr0(void) { __asm__ volatile("mov %0, %%cr0; ud2" : : "r"(value)); }
static void write_cr4(void) { __asm__ volatile("mov %0, %%cr4; ud2" : : "r"(value)); }
static void write_cr3(void) { __asm__ volatile("mov %0, %%cr3; ud2" : : "r"(value)); }
static void write_msr(void) { __asm__ volatile("wrmsr; ud2" : : "a"((u32)value), "d"((u32)(value >> 32)), "c"(number)); }

static u64 read_cr0(void) { u64 v; __asm__ volatile("mov %%cr0, %0" : "=r"(v)); return v; }
static u64 read_cr4(void) { u64 v; __asm__ volatile("mov %%cr4, %0" : "=r"(v)); return v; }

static void registers(void)
{
    u64 cr0 = read_cr0(), cr4 = read_cr4();

    text("cr0 ");
    for (u32 bit = 0; bit < 64; bit++) {
        if (bit == 0 || bit == 30 || bit == 31) {              /* PE, PG: not every emulator survives them */
            continue;
        }
        value = cr0 ^ 1ULL << bit;
        attempt(write_cr0);
        letter(0);
        hex((read_cr0() ^ cr0) != 0, 1);
        __asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
    }
    text("\ncr4 ");
    for (u32 bit = 0; bit < 64; bit++) {
        /* only those that every processor has, and those that none has */
        if ((bit > 10 && bit < 24) || bit == 5 || bit == 0 || bit == 1 || (bit > 23 && bit < 32)) {
            continue;
        }
        value = cr4 ^ 1ULL << bit;
        attempt(write_cr4);
        letter(0);
        __asm__ volatile("mov %0, %%cr4" : : "r"(cr4));
    }
    text("\ncr3 ");
    for (u32 bit = 52; bit < 64; bit++) {
        value = 0x80000 | 1ULL << bit;
        attempt(write_cr3);
        letter(0);
    }
    static const u32 bases[] = { 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000082, 0x175, 0x176 };
    for (u32 i = 0; i < sizeof bases / 4; i++) {
        text("\nmsr ");
        hex(bases[i], 8);
        put(' ');
        number = bases[i];
        for (u32 bit = 44; bit < 64; bit++) {
            value = 1ULL << bit;
            attempt(write_msr);
            letter(0);
            value = ~0ULL << bit;
            attempt(write_msr);
            letter(0);
        }
        value = 0;
        attempt(write_msr);
    }
    text("\nefer ");
    number = 0xc0000080;
    for (u32 bit = 0; bit < 64; bit++) {
        if (bit > 11 && bit < 22) {
            continue;
        }
        value = 0xd00 ^ 1ULL << bit;
        attempt(write_msr);
        letter(0);
        value = 0x900;
        attempt(write_msr);
    }
    text("\npat ");
    number = 0x277;
    for (u32 type = 0; type < 16; type++) {
        value = 0x0007040600070400 | type;
        attempt(write_msr);
        letter(0);
    }
    put('\n');
}

/* ---- paging ---- */

static u32 access_kind;

static void touch(void)
{
    volatile u8 *at = (volatile u8 *)0x8000000123;

    if (access_kind == 0) {
        (void)*at;
    } else if (access_kind == 1) {
        *at = 0xcd;
    } else {
        ((void (*)(void))0x8000000200)();
    }
    __asm__ volatile("ud2");
}

/* The test page is at 512 GiB, by tables of its own: PML4 entry 1, then one entry on each level. */
static void paging(void)
{
    volatile u64 *pml4 = (u64 *)0x80000, *levels[4] = { &pml4[1], (u64 *)(u64)PAGES, (u64 *)(u64)(PAGES + 0x1000), (u64 *)(u64)(PAGES + 0x2000) };

    clear(PAGES, 0x3000);
    *(volatile u16 *)0x90200 = 0x0b0f;
    *(volatile u16 *)0x600200 = 0x0b0f;
    number = 0xc0000080;
    for (u32 mode = 0; mode < 16; mode++) {
        u32 nxe = mode & 1, wp = mode >> 1 & 1, ring3 = mode >> 2 & 1, large = mode >> 3;

        value = nxe ? 0x900 : 0x100;
        attempt(write_msr);
        value = (read_cr0() & ~0x10000ULL) | wp << 16;
        __asm__ volatile("mov %0, %%cr0" : : "r"(value));
        for (u32 level = 0; level < 4 - large; level++) {
            text(large ? "large" : "page");
            text(nxe ? " nxe" : " ---");
            text(wp ? " wp" : " --");
            text(ring3 ? " cpl3 level" : " cpl0 level");
            hex(level, 1);
            put(' ');
            for (u32 c = 0; c < 64; c++) {
                for (u32 kind = 0; kind < 3; kind++) {
                    for (u32 i = 0; i < 4 - large; i++) {
                        u64 bits = i != level ? 7 : (c & 7) | (c & 8 ? 1ULL << 63 : 0) | (c & 16 ? (i == 0 ? 0x80 : 1ULL << 51) : 0) | (c & 32 ? 1ULL << 52 : 0);
                        u64 next = i == 3 ? 0x90000 : i == 2 && large ? 0x600080 : (u64)levels[i + 1];

                        *levels[i] = next | bits;
                    }
                    __asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
                    access_kind = kind;
                    (ring3 ? attempt3 : attempt)(touch);
                    if (landed()) {
                        put('.');
                        hex(*levels[3 - large] >> 5 & 3, 1);
                    } else {
                        hex(last.vector, 1);
                        hex(last.error, 2);
                        put(fault_address == 0x8000000123 || fault_address == 0x8000000200 ? ' ' : '!');
                    }
                }
            }
            put('\n');
        }
    }
    value = 0x900;
    attempt(write_msr);
}

void main(void)
{
    tables();
    transfers(0, 5);
    odd_selectors();
    deliveries();
    paging();
    registers();
    transfers(5, 7);
    system_targets();
    call_gates();
    text("end\n");
}
