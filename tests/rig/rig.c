/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rig.c - builds the small machines of rig.h, turns their clock, watches their wires, and prints what came of it as TAP
 *
 * An executable per file of tests/dev: the file's table is named by -DRIG_TESTS when main.c is compiled.
 *
 * Boards   "bare"     address spaces and RAM
 *          "isa"      an ISA bus whose sixteen lines are probed; the default
 *          "intc"     interrupt controllers with four processors, of which there are only probes
 *          "chipset"  host bridge, ISA bridge and power management of a PC; the ISA bridge's lines are probed
 *          any other  a board of hw/machine, without processors
 */
#include "tests/rig/rig.h"
#include "base/io-loop.h"
#include "base/loop.h"
#include "block/drive.h"
#include "hw/chipset/piix3.h"
#include "hw/intc/intc.h"
#include "hw/isa/bus.h"
#include "hw/models.h"
#include "tests/rig/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RIG_RAM = 16 << 20 };

struct Rig {
    const Test *test;
    unsigned run;                          /* FRESH, RESTORED or PLUGGED */
    Machine *machine;
    Value *config;
    IsaBus isa;                            /* board "isa" */
    Region ram;                            /* boards "bare" and "isa": the machine's RAM at 0 */
    Intc *intc;                            /* board "intc" */
    RigCpu cpus[RIG_CPUS];
    bool level[RIG_PROBES];
    unsigned edges[RIG_PROBES], resets;
    bool opened_drives;
};

static Rig *running;
static unsigned failures;

void check_failed(const char *file, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    printf("# %s:%d: %s\n", file, line, what);
    failures++;
}

/* A machine that cannot be built is a broken test: said, and over. */
static void must(bool ok, GError *err)
{
    if (!ok) {
        printf("Bail out! %s: %s\n", running->test->name, err ? err->message : "cannot build the machine");
        exit(1);
    }
}

static void probe(void *sink, int pin, bool high)
{
    Rig *rig = sink;

    rig->edges[pin] += high && !rig->level[pin];
    rig->level[pin] = high;
}

static void probe_lines(Rig *rig, IsaBus *isa)
{
    for (int i = 0; i < ISA_IRQS; i++) {
        isa->irq[i] = (IrqLine){ .set = probe, .sink = rig, .pin = i };
    }
}

static void free_small_board(Machine *machine)
{
    Rig *rig = machine->board_data;

    if (rig->intc) {
        intc_free(rig->intc);
        rig->intc = NULL;
    }
    if (rig->isa.bus.machine) {
        bus_destroy(&rig->isa.bus);
        memset(&rig->isa, 0, sizeof rig->isa);
    }
    if (rig->ram.size) {
        region_remove(&rig->ram);
        region_destroy(&rig->ram);
        memset(&rig->ram, 0, sizeof rig->ram);
    }
}

/* One device of a board, with "property=value" texts, NULL-terminated. */
static Device *board_device(Rig *rig, const char *model, const char *const *settings)
{
    GError *err = NULL;
    Device *device = device_new(rig->machine, device_model_find(model), NULL, NULL, &err);

    must(device != NULL, err);
    for (; *settings; settings++) {
        g_auto(GStrv) pair = g_strsplit(*settings, "=", 2);
        g_autoptr(Value) value = value_new_string(pair[1]);
        must(device_set(device, pair[0], value, &err), err);
    }
    return device;
}

static Device *realized(Device *device)
{
    GError *err = NULL;

    must(device_realize(device, &err), err);
    return device;
}

static void build_chipset(Rig *rig)
{
    realized(board_device(rig, "i440FX-pcihost", (const char *[]){ NULL }));
    realized(board_device(rig, "i440FX", (const char *[]){ "addr=0.0", NULL }));
    IsaBus *isa = piix3_isa_bus(realized(board_device(rig, "PIIX3", (const char *[]){ "addr=1.0", "multifunction=on", NULL })));
    probe_lines(rig, isa);
    Device *pm = board_device(rig, "PIIX4_PM", (const char *[]){ "addr=1.3", NULL });
    device_set_line(pm, "sci", isa_bus_irq(isa, pm, 9));
    realized(pm);
}

static void cpu_signal(void *opaque, unsigned index, IntcSignal signal, uint8_t vector)
{
    Rig *rig = opaque;
    RigCpu *cpu = &rig->cpus[index];

    switch (signal) {
    case INTC_INTR_LOW:
    case INTC_INTR_HIGH:
        cpu->intr = signal == INTC_INTR_HIGH;
        break;
    case INTC_NMI:
        cpu->nmis++;
        break;
    case INTC_INIT:
        cpu->inits++;
        break;
    case INTC_SIPI:
        cpu->sipis++;
        cpu->sipi_vector = vector;
        break;
    }
}

static void build_intc(Rig *rig)
{
    GError *err = NULL;

    rig->intc = intc_new(rig->machine, &rig->isa, &err);
    must(rig->intc != NULL, err);
    intc_probe(rig->intc, cpu_signal, rig);
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        const IntcCpu cpu = { .apic_id = i, .boot_processor = i == 0, .has_x2apic = true, .has_tsc_deadline = true };
        must(intc_add_cpu(rig->intc, &cpu, &err), err);
    }
}

static void build_small(Rig *rig, const char *board)
{
    GError *err = NULL;

    rig->machine = machine_new_bare(rig->config, &err);
    must(rig->machine != NULL, err);
    rig->machine->board_data = rig;
    rig->machine->free_board = free_small_board;
    rig->machine->ram_size = RIG_RAM;
    must(region_init_ram(&rig->machine->ram, "pc.ram", RIG_RAM, &err), err);
    if (strcmp(board, "chipset") == 0) {
        build_chipset(rig);
        return;
    }
    region_init_alias(&rig->ram, "ram", &rig->machine->ram, 0, RIG_RAM);
    region_add(&rig->machine->memory_root, 0, &rig->ram, 0);
    if (strcmp(board, "bare") != 0) {
        isa_bus_init(&rig->isa, "isa.0", rig->machine, NULL, NULL, NULL);
        probe_lines(rig, &rig->isa);
    }
    if (strcmp(board, "intc") == 0) {
        build_intc(rig);
    }
}

static void build_board(Rig *rig, const char *board)
{
    GError *err = NULL;

    value_path_set(rig->config, "machine.type", value_new_string(board), NULL);
    value_path_set(rig->config, "memory.size", value_new_int(RIG_RAM), NULL);
    g_autoptr(Value) accel = value_new_object();
    value_set(accel, "name", value_new_string("qtest"));
    Value *list = value_new_list();
    value_append(list, value_ref(accel));
    value_set(rig->config, "accel", list);
    rig->opened_drives = true;
    must(drives_open(rig->config, &err), err);
    rig->machine = machine_build(rig->config, &err);
    must(rig->machine != NULL, err);
}

/* "i8254,iobase=0x40,id=x": models that only boards make are allowed here. */
static void add_device(Rig *rig, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    GError *err = NULL;
    const DeviceModel *model = device_model_find(parts[0]);
    const char *id = NULL, *bus = NULL;

    for (unsigned i = 1; parts[i]; i++) {
        id = g_str_has_prefix(parts[i], "id=") ? parts[i] + 3 : id;
        bus = g_str_has_prefix(parts[i], "bus=") ? parts[i] + 4 : bus;
    }
    must(model != NULL, NULL);
    Device *device = device_new(rig->machine, model, bus ? machine_find_bus(rig->machine, model->bus, bus) : NULL, id, &err);
    must(device != NULL, err);
    for (unsigned i = 1; parts[i]; i++) {
        g_auto(GStrv) pair = g_strsplit(parts[i], "=", 2);
        g_autoptr(Value) value = value_new_string(pair[1] ? pair[1] : "on");
        if (pair[1] && pair[1][0] == '@') {
            device_set_line(device, pair[0], (IrqLine){ .set = probe, .sink = rig, .pin = atoi(pair[1] + 1) });
            continue;
        }
        must(strcmp(pair[0], "id") == 0 || strcmp(pair[0], "bus") == 0 || device_set(device, pair[0], value, &err), err);
    }
    realized(device);
}

static void add_devices(Rig *rig)
{
    g_auto(GStrv) devices = g_strsplit(rig->test->devices ? rig->test->devices : "", " ", -1);

    for (unsigned i = 0; devices[i]; i++) {
        if (*devices[i]) {
            add_device(rig, devices[i]);
        }
    }
}

static void build(Rig *rig)
{
    const char *board = rig->test->board ? rig->test->board : "isa";
    static const char *const small_boards[] = { "bare", "isa", "intc", "chipset", NULL };
    bool small = g_strv_contains(small_boards, board);
    g_autoptr(Value) more = rig->test->settings ? rig->test->settings() : NULL;

    for (size_t i = 0; i < value_length(more); i++) {
        value_set(rig->config, value_key_at(more, i), value_ref(value_member_at(more, i)));
    }
    if (small) {
        build_small(rig, board);
    } else {
        build_board(rig, board);
    }
    guint own = rig->machine->devices->len;
    add_devices(rig);
    if (rig->run == PLUGGED) {             /* taken away and added again: nothing may be left of the first life */
        while (rig->machine->devices->len > own) {
            device_unrealize(rig->machine->devices->pdata[rig->machine->devices->len - 1]);
        }
        add_devices(rig);
    }
}

static void tear_down(Rig *rig)
{
    machine_free(rig->machine);
    rig->machine = NULL;
    if (rig->opened_drives) {              /* else nodes are the test's own */
        blk_close_all();
    }
}

static bool storage_works(void)
{
    bool works = false;

    for (Blk *blk = blk_next(NULL); blk; blk = blk_next(blk)) {
        works = works || blk_in_flight(blk);
    }
    return works;
}

void rig_io(Rig *rig)
{
    (void)rig;
    io_loop_turn(io_loop_main(), false);
    while (storage_works()) {
        io_loop_turn(io_loop_main(), true);
    }
}

/* The main loop does not turn here, so a request stays one however often it was made. */
static void note_reset(Rig *rig)
{
    rig->resets += rig->machine->requests.reset != CAUSE_NONE;
    rig->machine->requests.reset = CAUSE_NONE;
}

void rig_checkpoint(Rig *rig)
{
    GError *err = NULL;
    g_autoptr(GByteArray) stream = g_byte_array_new();

    if (rig->run != RESTORED) {
        return;
    }
    note_reset(rig);
    must(machine_save(rig->machine, stream, &err), err);
    uint64_t size = rig->machine->ram_size;
    g_autofree uint8_t *ram = g_memdup2(region_host(&rig->machine->ram), size);
    unsigned edges[RIG_PROBES];
    RigCpu cpus[RIG_CPUS];
    memcpy(cpus, rig->cpus, sizeof cpus);
    memcpy(edges, rig->edges, sizeof edges);
    tear_down(rig);
    memset(rig->level, 0, sizeof rig->level);
    build(rig);
    memcpy(region_host(&rig->machine->ram), ram, size);
    if (!machine_load(rig->machine, stream->data, stream->len, &err)) {
        check_failed(__FILE__, __LINE__, "loading what was saved: %s", err->message);
        g_clear_error(&err);
    }
    memcpy(rig->edges, edges, sizeof edges);         /* a level that is restated is no edge */
    blk_machine_runs();                              /* what was under way goes to the storage again */
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        check_eq(rig->cpus[i].intr, cpus[i].intr);
    }
    memcpy(rig->cpus, cpus, sizeof cpus);
}

void rig_advance(Rig *rig, int64_t ns)
{
    rig_checkpoint(rig);
    guest_clock_step_to(clock_now(CLOCK_GUEST) + ns);
}

static uint64_t port_load(Rig *rig, uint16_t port, unsigned size)
{
    uint64_t value = 0;

    space_load(rig->machine->ports, port, size, &value);
    return value;
}

uint8_t rig_inb(Rig *rig, uint16_t port)
{
    return port_load(rig, port, 1);
}

uint16_t rig_inw(Rig *rig, uint16_t port)
{
    return port_load(rig, port, 2);
}

uint32_t rig_inl(Rig *rig, uint16_t port)
{
    return port_load(rig, port, 4);
}

void rig_outb(Rig *rig, uint16_t port, uint8_t value)
{
    space_store(rig->machine->ports, port, 1, value);
}

void rig_outw(Rig *rig, uint16_t port, uint16_t value)
{
    space_store(rig->machine->ports, port, 2, value);
}

void rig_outl(Rig *rig, uint16_t port, uint32_t value)
{
    space_store(rig->machine->ports, port, 4, value);
}

uint64_t rig_load(Rig *rig, uint64_t address, unsigned size)
{
    uint64_t value = 0;

    space_load(rig->machine->memory, address, size, &value);
    return value;
}

void rig_store(Rig *rig, uint64_t address, unsigned size, uint64_t value)
{
    space_store(rig->machine->memory, address, size, value);
}

void rig_read(Rig *rig, uint64_t address, void *data, size_t length)
{
    space_read(rig->machine->memory, address, data, length);
}

void rig_write(Rig *rig, uint64_t address, const void *data, size_t length)
{
    space_write(rig->machine->memory, address, data, length);
}

bool rig_irq(Rig *rig, unsigned irq)
{
    return irq < RIG_PROBES && rig->level[irq];
}

unsigned rig_irq_edges(Rig *rig, unsigned irq)
{
    unsigned edges = irq < RIG_PROBES ? rig->edges[irq] : 0;

    if (irq < RIG_PROBES) {
        rig->edges[irq] = 0;
    }
    return edges;
}

Machine *rig_machine(Rig *rig)
{
    return rig->machine;
}

Intc *rig_intc(Rig *rig)
{
    return rig->intc;
}

RigCpu *rig_cpu(Rig *rig, unsigned index)
{
    return &rig->cpus[index];
}

Device *rig_device(Rig *rig, const char *id)
{
    Device *device = machine_find_device(rig->machine, id);

    for (guint i = 0; !device && i < rig->machine->devices->len; i++) {
        Device *other = rig->machine->devices->pdata[i];
        device = strcmp(other->model->name, id) == 0 ? other : NULL;
    }
    must(device != NULL, NULL);
    return device;
}

unsigned rig_resets(Rig *rig)
{
    note_reset(rig);
    unsigned resets = rig->resets;
    rig->resets = 0;
    return resets;
}

void rig_prepare(void)
{
    loop_init();
    clocks_attach();                       /* the host's clocks; the guest's is turned by hand */
    guest_clock_manual();
    io_loop_attach_main();                 /* storage turns by hand too: rig_io() */
}

static void configure(Rig *rig)
{
    g_auto(GStrv) members = g_strsplit(rig->test->config ? rig->test->config : "", " ", -1);

    for (unsigned i = 0; members[i]; i++) {
        g_auto(GStrv) pair = g_strsplit(members[i], "=", 2);
        if (pair[0] && pair[1]) {
            value_path_set(rig->config, pair[0], value_new_string(pair[1]), NULL);
        }
    }
}

Rig *rig_new(const Test *test, unsigned run)
{
    Rig *rig = g_new0(Rig, 1);

    rig->test = test;
    rig->run = run;
    rig->config = value_new_object();
    running = rig;
    configure(rig);
    guest_clock_set(0);
    build(rig);
    return rig;
}

void rig_free(Rig *rig)
{
    tear_down(rig);
    value_unref(rig->config);
    g_free(rig);
}

static bool run_one(const Test *test, unsigned run)
{
    unsigned before = failures;
    Rig *rig = rig_new(test, run);

    test->run(rig);
    rig_free(rig);
    return failures == before;
}

int rig_run(const Test *tests, int argc, char **argv)
{
    static const struct { unsigned run; const char *name; } runs[] = {
        { FRESH, "fresh" }, { RESTORED, "restored" }, { PLUGGED, "plugged" },
    };
    const char *only = argc > 1 ? argv[1] : NULL;
    unsigned number = 0;

    rig_prepare();
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (const Test *test = tests; test->name; test++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(runs); i++) {
            if (!(test->runs & runs[i].run) || (only && !strstr(test->name, only))) {
                continue;
            }
            bool ok = run_one(test, runs[i].run);
            printf("%s %u - %s (%s)\n", ok ? "ok" : "not ok", ++number, test->name, runs[i].name);
            if (!ok) {
                printf("# again: %s \"%s\"\n", argv[0], test->name);
            }
        }
    }
    printf("1..%u\n", number);
    return failures != 0;
}
