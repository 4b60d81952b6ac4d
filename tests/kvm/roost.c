/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * roost.c - the whole program under KVM: a ROM of 64 KiB, a boot sector behind the firmware, and how they end
 *
 * argv[1] is the roost to run. Every run is ended after some seconds; what it printed is shown when it fails.
 */
#include "bed.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program;

/* Prints by the serial port and ends by isa-debug-exit: status (15h << 1) | 1. */
GUEST(serial_rom, "mov $0x3f8, %dx; mov $'O', %al; out %al, %dx; mov $'K', %al; out %al, %dx; mov $10, %al; out %al, %dx\n"
                  "mov $0x15, %al; out %al, $0xf4; 1: hlt; jmp 1b");
GUEST(fault_rom, "mov %cs, %ax; mov %ax, %ds; lidt 3f - fault_rom_start; mov %cr0, %eax; or $1, %al; mov %eax, %cr0; xor %cx, %cx\n"
                 "div %cx; 1: hlt; jmp 1b; 3: .word 0; .long 0");
GUEST(media_rom, "mov %cr0, %eax; and $~6, %eax; mov %eax, %cr0; mov %cr4, %eax; or $0x200, %eax; mov %eax, %cr4\n"
                 "pxor %xmm1, %xmm0; 1: hlt; jmp 1b");
/* One interrupt of the PIT by the PIC at vector 8, whichever chips they are. */
GUEST(timer_rom, "9: xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x7000, %sp; movw $(5f - 9b), 0x20; movw %cs, 0x22\n"
                 "mov $0x11, %al; out %al, $0x20; mov $8, %al; out %al, $0x21; mov $4, %al; out %al, $0x21; mov $1, %al; out %al, $0x21\n"
                 "mov $0xfe, %al; out %al, $0x21; mov $0x34, %al; out %al, $0x43; mov $0xa9, %al; out %al, $0x40; mov $4, %al; out %al, $0x40\n"
                 "movw $0, 0x500; sti; 1: hlt; cmpw $5, 0x500; jb 1b; mov $0x15, %al; out %al, $0xf4; 2: hlt; jmp 2b\n"
                 "5: push %ax; incw 0x500; mov $0x20, %al; out %al, $0x20; pop %ax; iret");
/* At 7c00h: serial output, then the exit. */
GUEST(boot_sector, "cli; mov $0x3f8, %dx; mov $'B', %al; out %al, %dx; mov $10, %al; out %al, %dx; mov $0x15, %al; out %al, $0xf4; 1: hlt; jmp 1b");

typedef struct Run { char *output; int status; bool killed; double seconds; } Run;

static char *write_file(const char *name, const void *start, const void *end, size_t size, bool rom)
{
    char *path = g_strdup_printf("%s/roost-%d-%s", g_get_tmp_dir(), (int)getpid(), name);
    g_autofree uint8_t *bytes = g_malloc0(size);
    memcpy(bytes, start, (size_t)((const uint8_t *)end - (const uint8_t *)start));
    if (rom) {
        memcpy(bytes + size - 16, "\xea\x00\x00\x00\xf0", 5);
    } else {
        bytes[510] = 0x55, bytes[511] = 0xaa;
    }
    g_assert_true(g_file_set_contents(path, (const char *)bytes, (gssize)size, NULL));
    return path;
}

static gboolean kill_it(gpointer pid)
{
    kill(*(GPid *)pid, SIGKILL);
    *(GPid *)pid = 0;
    return G_SOURCE_REMOVE;
}

static void ended(GPid pid, gint status, gpointer opaque)
{
    (void)pid;
    ((int *)opaque)[0] = status;
    ((int *)opaque)[1] = 1;
}

static Run run(const char *arguments, unsigned seconds)
{
    g_autofree char *line = g_strdup_printf("%s %s", program, arguments);
    g_auto(GStrv) words = NULL;
    g_autofree char *log = g_strdup_printf("%s/roost-%d-log", g_get_tmp_dir(), (int)getpid());
    GPid pid;
    int result[2] = { 0, 0 };
    Run r = { 0 };

    g_assert_true(g_shell_parse_argv(line, NULL, &words, NULL));
    int out = open(log, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    GTimer *timer = g_timer_new();
    g_assert_true(g_spawn_async_with_fds(NULL, words, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, in, out, out, NULL));
    close(in);
    close(out);
    GPid victim = pid;
    guint limit = g_timeout_add_seconds(seconds, kill_it, &victim);
    g_child_watch_add(pid, ended, result);
    while (!result[1]) {
        g_main_context_iteration(NULL, TRUE);
    }
    r.seconds = g_timer_elapsed(timer, NULL);
    r.killed = victim == 0;
    if (!r.killed) {
        g_source_remove(limit);
    }
    r.status = WIFEXITED(result[0]) ? WEXITSTATUS(result[0]) : -1;
    g_file_get_contents(log, &r.output, NULL, NULL);
    unlink(log);
    g_timer_destroy(timer);
    g_test_message("%s: status %d after %.3f s%s", line, r.status, r.seconds, r.killed ? ", killed" : "");
    return r;
}

#define PLAIN "-nodefaults -nographic -serial stdio -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4"

static void expect(Run *r, int status, const char *part)
{
    if (r->status != status || (part && !strstr(r->output, part))) {
        g_test_message("it said: %s", r->output);
    }
    g_assert_false(r->killed);
    g_assert_cmpint(r->status, ==, status);
    if (part) {
        g_assert_nonnull(strstr(r->output, part));
    }
    g_free(r->output);
}

static void rom(const char *accel, const void *start, const void *end, const char *more, int status, const char *part)
{
    if (kvm_missing()) {
        return;
    }
    g_autofree char *path = write_file("rom", start, end, 0x10000, true);
    g_autofree char *line = g_strdup_printf("-accel %s %s %s -bios %s", accel, PLAIN, more, path);
    Run r = run(line, 20);
    unlink(path);
    expect(&r, status, part);
}

static void rom_on(void) { rom("kvm", serial_rom_start, serial_rom_end, "", 43, "OK\n"); }
static void rom_split(void) { rom("kvm,kernel-irqchip=split", serial_rom_start, serial_rom_end, "", 43, "OK\n"); }
static void rom_off(void) { rom("kvm,kernel-irqchip=off", serial_rom_start, serial_rom_end, "", 43, "OK\n"); }
static void rom_two_cpus(void) { rom("kvm", serial_rom_start, serial_rom_end, "-smp 2", 43, "OK\n"); }
static void timer_on(void) { rom("kvm", timer_rom_start, timer_rom_end, "", 43, NULL); }
static void timer_split(void) { rom("kvm,kernel-irqchip=split", timer_rom_start, timer_rom_end, "", 43, NULL); }
static void timer_off(void) { rom("kvm,kernel-irqchip=off", timer_rom_start, timer_rom_end, "", 43, NULL); }
static void triple_fault(void) { rom("kvm", fault_rom_start, fault_rom_end, "", 102, NULL); }
static void bad_irqchip(void) { rom("kvm,kernel-irqchip=perhaps", serial_rom_start, serial_rom_end, "", 1, "kernel-irqchip"); }

static void internal_error(void)
{
    if (host_runs_all_code()) {
        g_test_skip("this host's KVM runs every instruction");
        return;
    }
    rom("kvm", media_rom_start, media_rom_end, "", 104, "66 0f ef c1");
}

/* Through the firmware: some seconds where KVM emulates. */
static void firmware_boots_a_sector(void)
{
    if (kvm_missing()) {
        return;
    }
    g_autofree char *path = write_file("disk", boot_sector_start, boot_sector_end, 1 << 20, false);
    g_autofree char *line = g_strdup_printf("-accel kvm %s -drive file=%s,format=raw,if=ide,readonly=on", PLAIN, path);
    Run r = run(line, 60);
    unlink(path);
    if (strstr(r.output, "not ")) {
        g_test_message("it said: %s", r.output);
    }
    expect(&r, 43, "B\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (argc < 2) {
        fprintf(stderr, "usage: %s ROOST\n", argv[0]);
        return 2;
    }
    program = argv[1];
    g_test_add_func("/kvm/roost/a ROM prints and ends", rom_on);
    g_test_add_func("/kvm/roost/the same with two CPUs", rom_two_cpus);
    g_test_add_func("/kvm/roost/the same, split irqchip", rom_split);
    g_test_add_func("/kvm/roost/the same, irqchip off", rom_off);
    g_test_add_func("/kvm/roost/timer ticks", timer_on);
    g_test_add_func("/kvm/roost/timer ticks, split irqchip", timer_split);
    g_test_add_func("/kvm/roost/timer ticks, irqchip off", timer_off);
    g_test_add_func("/kvm/roost/triple fault ends with its status", triple_fault);
    g_test_add_func("/kvm/roost/internal error ends with its status", internal_error);
    g_test_add_func("/kvm/roost/a bad option is refused", bad_irqchip);
    g_test_add_func("/kvm/roost/the firmware boots a sector", firmware_boots_a_sector);
    return g_test_run();
}
