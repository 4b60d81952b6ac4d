/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hotplug.c - PCI devices that come to and go from a running machine, and the registers by which its guest takes part
 *
 * No system runs here: the test does what the ACPI methods of acpi-hotplug.c would.
 */
#include "base/error.h"
#include "base/event.h"
#include "base/json.h"
#include "hw/chipset/cpu-hotplug.h"
#include "hw/chipset/pci-hotplug.h"
#include "hw/models.h"
#include "tests/rig/rig.h"
#include <string.h>

enum { PCIU = PCI_HOTPLUG_BASE, PCID = PCIU + 4, B0EJ = PCIU + 8, PCI_RMV = PCIU + 12, BNMR = PCIU + 16, GPE = 0xafe0 };
enum { SELECTOR = CPU_HOTPLUG_BASE, FLAGS = SELECTOR + 4, COMMAND = SELECTOR + 5, DATA = SELECTOR + 8 };
enum { PCI_EVENT = 16, CPU_EVENT = 17 };   /* probes */

typedef struct Probe {
    PciDevice pci;
    Region memory;
} Probe;

static const RegionOps probe_ops = { .widths = WIDTH_8 };

static bool probe_realize(Device *device, GError **err)
{
    Probe *probe = (Probe *)device;

    region_init_io(&probe->memory, &probe_ops, probe, "probe-memory", 0x1000);
    return pci_add_bar(&probe->pci, 0, 0, &probe->memory, err);
}

static void probe_unrealize(Device *device)
{
    Probe *probe = (Probe *)device;

    pci_unrealize(&probe->pci);
    region_destroy(&probe->memory);
}

static const Field probe_saved[] = { SAVE_PCI(Probe, pci), FIELD_END };
static const PciModel probe_pci = { .vendor = 0x1b36, .device = 0x0005, .class_code = 0xff0000, .interrupt_pin = 1 };
#define PROBE_MODEL                                                                                                                      \
    .bus = BUS_PCI,  .size = sizeof(Probe),  .help = "for tests",  .bus_props = pci_props,  .class_data = &probe_pci,                      \
    .saved = probe_saved,  .saved_version = 1,  .realize = probe_realize,  .reset = pci_reset_device,  .unrealize = probe_unrealize,        \
    .after_load = pci_after_load_device
static const DeviceModel probe_model = { .name = "pci-probe", .hotpluggable = true, PROBE_MODEL };
static const DeviceModel fixed_model = { .name = "pci-fixed", PROBE_MODEL };

/* A device of a model that is in no list, given "property=value" texts, plugged as device_add would. */
static Device *plug(Rig *rig, const DeviceModel *model, const char *id, const char *settings, GError **err)
{
    Device *device = device_new(rig_machine(rig), model, NULL, id, err);
    g_auto(GStrv) parts = g_strsplit(settings, " ", -1);

    for (unsigned i = 0; parts[i] && *parts[i]; i++) {
        g_auto(GStrv) pair = g_strsplit(parts[i], "=", 2);
        g_autoptr(Value) value = value_new_string(pair[1]);
        check(device_set(device, pair[0], value, NULL));
    }
    device->from_user = true;
    if (!device_plug(device, err)) {
        object_unref(&device->object);
        return NULL;
    }
    return device;
}

static void refused(Rig *rig, const DeviceModel *model, const char *settings, const char *words)
{
    g_autoptr(GError) err = NULL;
    guint before = rig_machine(rig)->devices->len;

    check(!plug(rig, model, "refused", settings, &err));
    if (!err || !strstr(err->message, words)) {
        check_failed(__FILE__, __LINE__, "the sentence is '%s', expected '%s' in it", err ? err->message : "none", words);
    }
    check_eq(rig_machine(rig)->devices->len, before);
}

static bool present(Rig *rig, unsigned devfn)
{
    rig_outl(rig, 0xcf8, 0x80000000 | devfn << 8);
    return rig_inl(rig, 0xcfc) != 0xffffffff;
}

typedef struct News { unsigned count; char name[32], device[32], path[64]; uint64_t slot, source, status; } News;

static void hear(void *opaque, const char *name, const Value *data)
{
    News *news = opaque;
    const Value *info = value_get(data, "info");

    news->count++;
    g_strlcpy(news->name, name, sizeof news->name);
    g_strlcpy(news->device, value_get_string(data, "device", ""), sizeof news->device);
    g_strlcpy(news->path, value_get_string(data, "path", ""), sizeof news->path);
    news->slot = g_ascii_strtoull(value_get_string(info, "slot", "0"), NULL, 10);
    news->source = value_get_uint(info, "source", 0);
    news->status = value_get_uint(info, "status", 0);
}

/* What the guest does at event 1: slots that came, slots that shall go. */
static void comes_and_goes(Rig *rig)
{
    Machine *machine = rig_machine(rig);
    News news = { 0 };

    machine->built = true;
    rig_irq_edges(rig, PCI_EVENT);
    check(plug(rig, &probe_model, "a", "addr=05.0", NULL));
    check_eq(rig_irq_edges(rig, PCI_EVENT), 1);
    check(present(rig, PCI_DEVFN(5, 0)));
    check_eq(rig_inl(rig, PCID), 0);
    check_eq(rig_inl(rig, PCIU), 1 << 5);
    check_eq(rig_inl(rig, PCIU), 0);         /* noted */
    check_eq(rig_inl(rig, B0EJ), 0);

    event_listen(hear, &news);
    check(machine_remove_device(machine, "a", NULL));
    check_eq(rig_irq_edges(rig, PCI_EVENT), 1);
    check_eq(rig_inl(rig, PCID), 1 << 5);
    check_eq(rig_inl(rig, PCID), 1 << 5);
    check(machine_remove_device(machine, "a", NULL));        /* asked again, told again */
    check_eq(rig_irq_edges(rig, PCI_EVENT), 1);
    machine_handle_requests(machine);
    check(present(rig, PCI_DEVFN(5, 0)));                    /* the guest has not answered */
    rig_outl(rig, B0EJ, 1 << 5);
    check_eq(rig_inl(rig, PCID), 0);
    rig_outl(rig, B0EJ, 1 << 5);                             /* said twice */
    machine_handle_requests(machine);
    check(!present(rig, PCI_DEVFN(5, 0)));
    check(!machine_find_device(machine, "a"));
    check_eq(news.count, 1);
    check(strcmp(news.name, "DEVICE_DELETED") == 0 && strcmp(news.device, "a") == 0 && strcmp(news.path, "/machine/peripheral/a") == 0);
    rig_outl(rig, B0EJ, UINT32_MAX);                         /* all that can go */
    machine_handle_requests(machine);
    event_unlisten(hear, &news);
    check_eq(news.count, 1);
    check(present(rig, 0) && present(rig, PCI_DEVFN(1, 0)) && present(rig, PCI_DEVFN(1, 3)));
    check_eq(rig_device(rig, "acpi-pci-hotplug")->guest_faults, 1);
    check(plug(rig, &probe_model, "a", "addr=05.0", NULL));  /* the place and the name are free again */
}

/* What was there from the start is no news, but can go, and the guest may let it go unasked. */
static void from_the_start(Rig *rig)
{
    Machine *machine = rig_machine(rig);

    check(plug(rig, &probe_model, NULL, "addr=1f.0", NULL));
    check(plug(rig, &fixed_model, "fixed", "addr=06.0", NULL));
    machine->built = true;
    check_eq(rig_irq_edges(rig, PCI_EVENT), 0);
    check_eq(rig_inl(rig, PCIU), 0);
    check_eq(rig_inl(rig, PCI_RMV), ~(1u << 0 | 1u << 1 | 1u << 6));
    rig_outl(rig, B0EJ, 1u << 31 | 1 << 6);
    machine_handle_requests(machine);
    check(!present(rig, PCI_DEVFN(31, 0)) && present(rig, PCI_DEVFN(6, 0)));
}

static void functions(Rig *rig)
{
    Machine *machine = rig_machine(rig);

    machine->built = true;
    check(plug(rig, &probe_model, "f1", "addr=07.1", NULL));
    check_eq(rig_inl(rig, PCIU), 0);
    check(plug(rig, &probe_model, "f0", "addr=07.0 multifunction=on", NULL));
    check_eq(rig_inl(rig, PCIU), 1 << 7);
    refused(rig, &probe_model, "addr=07.2", "add function 0 last");
    refused(rig, &probe_model, "addr=01.5", "add function 0 last");
    check(machine_remove_device(machine, "f1", NULL));
    rig_outl(rig, B0EJ, rig_inl(rig, PCID));
    machine_handle_requests(machine);
    check(!machine_find_device(machine, "f0") && !machine_find_device(machine, "f1"));
}

static void refusals(Rig *rig)
{
    Machine *machine = rig_machine(rig);
    g_autoptr(GError) err = NULL;

    check(plug(rig, &fixed_model, "fixed", "addr=06.0", NULL));
    machine->built = true;
    refused(rig, &fixed_model, "", "does not support hotplug");
    check(!machine_remove_device(machine, "fixed", &err) && strstr(err->message, "does not support hotplug"));
    g_clear_error(&err);
    check(!machine_remove_device(machine, "nobody", &err) && strstr(err->message, "device 'nobody' not found"));
    g_clear_error(&err);
    g_autoptr(Value) cpu = json_parse("{'driver':'qemu64-x86_64-cpu','id':'c'}", NULL), serial = json_parse("{'driver':'isa-serial'}", NULL);
    check(!machine_add_device(machine, cpu, &err) && strstr(err->message, "-smp"));
    g_clear_error(&err);
    check(!machine_add_device(machine, serial, &err) && strstr(err->message, "does not support hotplug"));
    g_clear_error(&err);
    device_unrealize(rig_device(rig, "acpi-pci-hotplug"));
    refused(rig, &probe_model, "", "bus 'pci.0' does not support hotplugging");
}

/* A reset is a yes to what was asked, and forgets what was not noted. */
static void resets(Rig *rig)
{
    Machine *machine = rig_machine(rig);

    machine->built = true;
    check(plug(rig, &probe_model, "stays", "addr=08.0", NULL));
    check(plug(rig, &probe_model, "goes", "addr=09.0", NULL));
    check(machine_remove_device(machine, "goes", NULL));
    rig_outl(rig, BNMR, 3);
    machine_request_reset(machine, CAUSE_GUEST_RESET);
    machine_handle_requests(machine);
    check(machine_find_device(machine, "stays") && !machine_find_device(machine, "goes"));
    check_eq(rig_inl(rig, BNMR), 0);
    check_eq(rig_inl(rig, PCIU), 0);
    check_eq(rig_inl(rig, PCID), 0);
}

static void other_buses(Rig *rig)
{
    Machine *machine = rig_machine(rig);

    machine->built = true;
    check(plug(rig, &probe_model, "a", "addr=0a.0", NULL));
    rig_outl(rig, BNMR, 1);
    check_eq(rig_inl(rig, BNMR), 1);
    check_eq(rig_inl(rig, PCIU), 0);
    check_eq(rig_inl(rig, PCI_RMV), 0);
    rig_outl(rig, B0EJ, 1 << 10);
    machine_handle_requests(machine);
    check(machine_find_device(machine, "a"));
    rig_outl(rig, BNMR, 0);
    check_eq(rig_inl(rig, PCIU), 1 << 10);
}

/* The registers of slots and processors survive a move, with the devices they speak of. */
static void saved(Rig *rig)
{
    Machine *machine = rig_machine(rig);
    g_autoptr(GByteArray) stream = g_byte_array_new();

    machine->built = true;
    check(plug(rig, &probe_model, "a", "addr=0a.0", NULL) && plug(rig, &probe_model, "b", "addr=0b.0", NULL));
    check_eq(rig_inl(rig, PCIU), 3 << 10);
    check(plug(rig, &probe_model, "c", "addr=0c.0", NULL));
    check(machine_remove_device(machine, "b", NULL));
    check(machine_save(machine, stream, NULL));
    check_eq(rig_inl(rig, PCIU), 1 << 12);
    rig_outl(rig, BNMR, 7);
    check(machine_load(machine, stream->data, stream->len, NULL));
    check_eq(rig_inl(rig, BNMR), 0);
    check_eq(rig_inl(rig, PCIU), 1 << 12);
    check_eq(rig_inl(rig, PCID), 1 << 11);
}

static void processors(Rig *rig)
{
    News news = { 0 };

    for (unsigned i = 0; i < 4; i++) {
        rig_outl(rig, SELECTOR, i);
        rig_outb(rig, COMMAND, 3);
        rig_checkpoint(rig);
        check_eq(rig_inb(rig, FLAGS), i < 2);
        check_eq(rig_inl(rig, SELECTOR), 0);
        rig_outb(rig, COMMAND, 0);
        check_eq(rig_inl(rig, DATA), i);
    }
    rig_outl(rig, SELECTOR, 4);              /* no such one: nothing answers, nothing is taken */
    rig_outb(rig, COMMAND, 3);
    rig_outb(rig, FLAGS, 0xff);
    check_eq(rig_inb(rig, FLAGS), 0);
    check_eq(rig_inl(rig, DATA), 0);
    rig_outl(rig, SELECTOR, 2);
    check_eq(rig_inl(rig, DATA), 2);         /* command 0 still */
    event_listen(hear, &news);
    rig_outb(rig, COMMAND, 1);
    rig_outl(rig, DATA, 0x103);
    rig_checkpoint(rig);
    rig_outb(rig, COMMAND, 2);
    rig_outl(rig, DATA, 0x80);
    event_unlisten(hear, &news);
    check_eq(news.count, 1);
    check(strcmp(news.name, "ACPI_DEVICE_OST") == 0);
    check_eq(news.slot, 2);
    check_eq(news.source, 0x103);
    check_eq(news.status, 0x80);
}

/* The loop of the method CSCN. */
static unsigned scan(Rig *rig, unsigned *last)
{
    unsigned found = 0;

    rig_outl(rig, SELECTOR, 0);
    for (bool again = true; again && found < 100;) {
        rig_outb(rig, COMMAND, 0);
        uint8_t event = rig_inb(rig, FLAGS) & 6;
        again = event != 0;
        if (again) {
            *last = rig_inl(rig, DATA) << 8 | event;
            rig_outb(rig, FLAGS, event & 2 ? 2 : 4);
            found++;
        }
    }
    return found;
}

static void processor_events(Rig *rig)
{
    Device *device = rig_device(rig, "acpi-cpu-hotplug");
    unsigned last = 0;

    check_eq(scan(rig, &last), 0);
    cpu_hotplug_ask_removal(device, 1);
    check_eq(rig_irq_edges(rig, CPU_EVENT), 1);
    rig_checkpoint(rig);
    check_eq(scan(rig, &last), 1);
    check_eq(last, 1 << 8 | 4);
    device = rig_device(rig, "acpi-cpu-hotplug");
    rig_outl(rig, SELECTOR, 1);
    rig_outb(rig, FLAGS, 0x10);
    check_eq(rig_inb(rig, FLAGS), 0x11);
    rig_outb(rig, FLAGS, 0x08);
    check_eq(rig_inb(rig, FLAGS), 0x01);     /* it stays */
    check_eq(device->guest_faults, 1);
    cpu_hotplug_arrived(device, 4);          /* impossible */
    check_eq(scan(rig, &last), 0);
    cpu_hotplug_arrived(device, 3);
    cpu_hotplug_arrived(device, 2);
    check_eq(scan(rig, &last), 2);
    check_eq(last, 3 << 8 | 2);
    device_reset(device);
    rig_outl(rig, SELECTOR, 3);
    check_eq(rig_inb(rig, FLAGS), 1);
}

/* The board: events 1 and 2 reach the SCI's status register, unknown parts of the machine do not move. */
static void on_the_board(Rig *rig)
{
    Machine *machine = rig_machine(rig);

    check(plug(rig, &probe_model, "a", "", NULL));
    cpu_hotplug_ask_removal(rig_device(rig, "acpi-cpu-hotplug"), 0);
    check_eq(rig_inb(rig, GPE), 1 << 1 | 1 << 2);
    check_eq(rig_inl(rig, PCIU) & ~rig_inl(rig, PCI_RMV), 0);
    rig_outl(rig, SELECTOR, 2);
    rig_outb(rig, COMMAND, 3);
    check_eq(rig_inl(rig, DATA), 2);
    check_eq(rig_inb(rig, FLAGS), 0);
    rig_outl(rig, SELECTOR, 4);
    check_eq(rig_inl(rig, DATA), 0);
    check(machine_remove_device(machine, "a", NULL));
    machine_request_shutdown(machine, CAUSE_GUEST_SHUTDOWN);
    rig_outl(rig, B0EJ, rig_inl(rig, PCID));
    machine->no_shutdown = true;
    machine_handle_requests(machine);
    check(!machine_find_device(machine, "a"));
}

static Value *four_possible(void)
{
    return json_parse("{'smp':{'cpus':1,'maxcpus':4,'sockets':4}}", NULL);
}

static void no_acpi(Rig *rig)
{
    refused(rig, &probe_model, "", "does not support hotplugging");
    check_eq(rig_inl(rig, PCIU), 0xffffffff);
    check_eq(rig_inl(rig, SELECTOR), 0xffffffff);
}

static void random_pokes(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(7);

    rig_machine(rig)->built = true;
    for (int i = 0; i < 20000; i++) {
        uint32_t r = g_rand_int(random), value = g_rand_int(random) >> (r >> 5 & 31);
        uint16_t port = (r & 16 ? PCIU : SELECTOR) + (r >> 16) % 24;
        switch (r & 7) {
        case 0: rig_inb(rig, port); break;
        case 1: rig_inw(rig, port); break;
        case 2: rig_inl(rig, port); break;
        case 3: rig_outb(rig, port, value); break;
        case 4: rig_outw(rig, port, value); break;
        case 5: rig_outl(rig, port, value); break;
        case 6: machine_handle_requests(rig_machine(rig)); break;
        default:
            if (r >> 27 == 0) {
                plug(rig, &probe_model, NULL, "", NULL);
            }
        }
    }
    check(rig_machine(rig)->devices->len >= 4);
}

#define BLOCK "acpi-pci-hotplug,gpe=@16 acpi-cpu-hotplug,gpe=@17,cpus=2,max-cpus=4"
const Test hotplug_tests[] = {
    { "a device comes and goes", comes_and_goes, "chipset", BLOCK, FRESH | PLUGGED },
    { "devices from the start", from_the_start, "chipset", BLOCK, FRESH },
    { "slots of several functions", functions, "chipset", BLOCK, FRESH },
    { "refusals", refusals, "chipset", BLOCK, FRESH },
    { "a reset takes what was asked for", resets, "chipset", BLOCK, FRESH },
    { "the bus selector", other_buses, "chipset", BLOCK, FRESH },
    { "saved and loaded", saved, "chipset", BLOCK, FRESH },
    { "processors", processors, "chipset", BLOCK, FRESH | RESTORED | PLUGGED },
    { "processor events", processor_events, "chipset", BLOCK, FRESH | PLUGGED },
    { "on the board", on_the_board, "pc", NULL, FRESH, NULL, four_possible },
    { "a board without ACPI", no_acpi, "pc", NULL, FRESH, "machine.acpi=off" },
    { "random accesses", random_pokes, "chipset", BLOCK, FRESH | PLUGGED },
    { NULL } };
