/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio.c - what all virtio devices share: PCI functions, negotiation, interrupts, hostile registers; and the random and balloon
 * devices, by which it is tried
 */
#include "base/bytes.h"
#include "base/json.h"
#include "hw/virtio/balloon.h"
#include "hw/virtio/rng-source.h"
#include "hw/virtio/virtio-pci.h"
#include "tests/dev/virtio-driver.h"
#include <string.h>

enum { SLOT = 4, DATA_AT = DRIVER_BUFFERS };

static uint64_t faults(Rig *rig)
{
    return rig_device(rig, "v")->guest_faults;
}

static uint64_t get(Driver *driver, unsigned offset, unsigned size)
{
    return rig_load(driver->rig, driver->common + offset, size);
}

static void put(Driver *driver, unsigned offset, unsigned size, uint64_t value)
{
    rig_store(driver->rig, driver->common + offset, size, value);
}

/* ---- the PCI function, as QEMU 7.2 shows it ---- */

static void generic_function(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    check_eq(driver_config_space(&driver, 0x00), 0x10051af4);
    check_eq(driver_config_space(&driver, 0x08), 0x00ff0000);
    check_eq(driver_config_space(&driver, 0x2c), 0x00041af4);
    check_eq(driver_config_space(&driver, 0x3c) >> 8 & 0xff, 1);
    driver_config_space_put(&driver, 0x10, 0xffffffff);
    driver_config_space_put(&driver, 0x14, 0xffffffff);
    driver_config_space_put(&driver, 0x20, 0xffffffff);
    driver_config_space_put(&driver, 0x24, 0xffffffff);
    check_eq(driver_config_space(&driver, 0x10), 0xffffffe1);
    check_eq(driver_config_space(&driver, 0x14), 0xfffff000);
    check_eq(driver_config_space(&driver, 0x18), 0);
    check_eq(driver_config_space(&driver, 0x20), 0xffffc00c);
    check_eq(driver_config_space(&driver, 0x24), 0xffffffff);
    uint8_t msix = driver_capability(&driver, PCI_CAP_MSIX, 0);
    check_eq(driver_config_space(&driver, msix) >> 16, 1);
    check_eq(driver_config_space(&driver, msix + 4), 1);
    check_eq(driver_config_space(&driver, msix + 8), 0x801);
    driver_find(&driver, rig, SLOT, MODERN);
    check_eq(driver_offered(&driver), 0x130000000);
}

static void modern_function(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    check_eq(driver_config_space(&driver, 0x00), 0x10441af4);
    check_eq(driver_config_space(&driver, 0x08), 0x00ff0001);
    check_eq(driver_config_space(&driver, 0x2c), 0x11001af4);
    check_eq(driver_config_space(&driver, 0x10), 0);
    check(driver.common && driver.notify && driver.isr && driver.device);
}

static void legacy_function(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, LEGACY);
    check_eq(driver_config_space(&driver, 0x00), 0x10051af4);
    check_eq(driver_config_space(&driver, 0x20), 0);
    check_eq(driver_capability(&driver, PCI_CAP_VENDOR, 0), 0);
    check_eq(driver_offered(&driver), 0x39000000);
    check_eq(rig_inw(rig, driver.port + 12), 8);
}

static void other_class(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    check_eq(driver_config_space(&driver, 0x08), 0x10800000);
    check_eq(driver_capability(&driver, PCI_CAP_MSIX, 0), 0);
    check_eq(driver.notify_step, 4096);
    check_eq(driver_offered(&driver), 0x100000000);
}

static bool refused(Rig *rig, const char *text, const char *part)
{
    g_autoptr(Value) description = json_parse(text, NULL);
    g_autoptr(GError) err = NULL;
    Device *device = machine_add_device(rig_machine(rig), description, &err);

    if (device || !strstr(err->message, part)) {
        check_failed(__FILE__, __LINE__, "%s: %s", text, device ? "was made" : err->message);
    }
    return !device;
}

static void properties_refused(Rig *rig)
{
    refused(rig, "{'driver':'virtio-rng-pci','packed':true}", "packed=on is not supported");
    refused(rig, "{'driver':'virtio-rng-pci','iommu_platform':'on'}", "iommu_platform=on is not supported");
    refused(rig, "{'driver':'virtio-rng-pci','queue_reset':'on'}", "queue_reset=on is not supported");
    refused(rig, "{'driver':'virtio-rng-pci','disable-legacy':'on','disable-modern':'on'}", "cannot both be disabled");
    refused(rig, "{'driver':'virtio-rng-pci-transitional','disable-legacy':'on'}", "transitional");
    refused(rig, "{'driver':'virtio-rng-pci','vectors':3000}", "more than 2048");
    refused(rig, "{'driver':'virtio-rng-pci','rng':'nobody'}", "no such object");
    refused(rig, "{'driver':'virtio-rng-pci','period':0}", "period=0");
    refused(rig, "{'driver':'virtio-rng-pci','max-bytes':0}", "limits");
    refused(rig, "{'driver':'virtio-blk-pci','drive':'nothing'}", "nothing");
    refused(rig, "{'driver':'virtio-blk-pci','iothread':'nobody','drive':'x'}", "no such object");
    refused(rig, "{'driver':'virtio-blk-pci','drive':'x','queue-size':100}", "power of two");
    refused(rig, "{'driver':'virtio-blk-pci','drive':'x','queue-size':2048}", "power of two");
    refused(rig, "{'driver':'virtio-blk-pci','drive':'x','num-queues':0}", "from 1 to");
    refused(rig, "{'driver':'virtio-blk-pci','drive':'x','scsi':true}", "passthrough");
    refused(rig, "{'driver':'virtio-blk-pci','drive':'x','max-discard-sectors':0}", "from 1 to");
    refused(rig, "{'driver':'virtio-balloon-pci','free-page-hint':'on'}", "not supported");
    refused(rig, "{'driver':'virtio-balloon-pci','guest-stats-polling-interval':-1}", "seconds");
}

/* ---- negotiation ---- */

static int64_t some_bytes(Driver *driver, uint32_t length)
{
    const Piece piece = { DATA_AT, length, WRITE, 0 };

    return driver_do(driver, 0, &piece, 1);
}

static void features_are_agreed_once(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_begin(&driver, UINT64_MAX);
    put(&driver, 8, 4, 0);
    check_eq(get(&driver, 12, 4), 0x30000000);
    put(&driver, 12, 4, 0);
    check_eq(faults(rig), 1);
    rig_checkpoint(rig);
    check_eq(get(&driver, 12, 4), 0x30000000);
    put(&driver, 8, 4, 7);
    check_eq(get(&driver, 12, 4), 0);
    put(&driver, 12, 4, 0xffffffff);
    put(&driver, 0, 4, 2);
    check_eq(get(&driver, 4, 4), 0);
    /* What is not offered is not accepted. */
    driver_set_status(&driver, 0);
    put(&driver, 8, 4, 0);
    put(&driver, 12, 4, 0xffffffff);
    check_eq(get(&driver, 12, 4), 0x30000000);
    put(&driver, 8, 4, 1);
    put(&driver, 12, 4, 0xfffffffe);
    check_eq(get(&driver, 12, 4), 0);
    driver_set_status(&driver, 11);
    check_eq(driver_status(&driver) & VIRTIO_FEATURES_OK, 0);
    driver_set_status(&driver, 15);
    check_eq(driver_status(&driver) & VIRTIO_DRIVER_OK, 0);
}

static void nothing_changes_in_service(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 1);
    uint64_t before = faults(rig);
    put(&driver, 0x16, 2, 0);
    put(&driver, 0x18, 2, 4);
    put(&driver, 0x20, 8, 0xfee00000);
    put(&driver, 0x28, 8, 0xfee00000);
    put(&driver, 0x30, 8, 0xfee00000);
    put(&driver, 0x1c, 2, 0);
    put(&driver, 0x1c, 2, 1);
    put(&driver, 12, 4, 0);
    driver_set_status(&driver, 11);
    check(faults(rig) >= before + 8);
    check_eq(get(&driver, 0x18, 2), 8);
    check_eq(get(&driver, 0x20, 8), driver.rings[0].descriptors);
    check_eq(driver_status(&driver), 15);
    check_eq(some_bytes(&driver, 64), 64);
}

static void registers_of_nowhere(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    put(&driver, 0x16, 2, 0xffff);
    check_eq(get(&driver, 0x18, 2), 0);
    check_eq(get(&driver, 0x1a, 2), 0xffff);
    check_eq(get(&driver, 0x1c, 2), 0);
    check_eq(get(&driver, 0x20, 8), 0);
    for (unsigned offset = 0x16; offset < 0x40; offset += 2) {
        if (offset != 0x16) {
            put(&driver, offset, 2, 1);
        }
    }
    put(&driver, 0x16, 2, 0);
    put(&driver, 0x18, 2, 0);
    put(&driver, 0x18, 2, 7);
    put(&driver, 0x18, 2, 16);
    check_eq(get(&driver, 0x18, 2), 8);
    put(&driver, 0x18, 2, 4);
    check_eq(get(&driver, 0x18, 2), 4);
    put(&driver, 0x1a, 2, 2);              /* beyond the two vectors */
    check_eq(get(&driver, 0x1a, 2), 0xffff);
    put(&driver, 0x10, 2, 1);
    check_eq(get(&driver, 0x10, 2), 1);
    check_eq(get(&driver, 0x800, 4), 0);
    put(&driver, 0x800, 4, 1);
    rig_store(rig, driver.notify + 4 * 7, 4, 7);
    rig_store(rig, driver.notify, 4, 0);
    check_eq(rig_load(rig, driver.notify, 4), 0xffffffff);
    check_eq(rig_load(rig, driver.device, 4), 0xffffffff);
    rig_store(rig, driver.device, 4, 1);
    check_eq(rig_load(rig, driver.isr, 4), 0);
    check(faults(rig) > 10);
    driver_start(&driver, UINT64_MAX, 1);
    check_eq(some_bytes(&driver, 64), 64);
}

static void bad_rings(Rig *rig)
{
    static const uint64_t places[] = { 0, 0xfee00000, UINT64_MAX - 15, 0x100008, UINT64_C(1) << 60, 0xfff0, 0xfffffff0 };
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    for (unsigned i = 0; i < G_N_ELEMENTS(places) * 3; i++) {
        uint64_t place = places[i / 3];
        driver_begin(&driver, UINT64_MAX);
        put(&driver, 0x16, 2, 0);
        put(&driver, 0x20, 8, i % 3 == 0 ? place : 0x100000);
        put(&driver, 0x28, 8, i % 3 == 1 ? place : 0x101000);
        put(&driver, 0x30, 8, i % 3 == 2 ? place : 0x102000);
        put(&driver, 0x1c, 2, 1);
        driver_go(&driver);
        driver_kick(&driver, 0);
        driver_turn(&driver);
        rig_checkpoint(rig);
        driver_turn(&driver);
    }
    driver_start(&driver, UINT64_MAX, 1);
    check_eq(driver_status(&driver), 15);
    check_eq(some_bytes(&driver, 64), 64);
}

static void without_queues(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 0);
    driver_kick(&driver, 0);
    driver_kick(&driver, 1);
    driver_turn(&driver);
    check_eq(driver_status(&driver), 15);
    driver_set_status(&driver, 0);
    check_eq(driver_status(&driver), 0);
}

static void legacy_before_ready(Rig *rig)
{
    const Piece piece = { DATA_AT, 64, WRITE, 0 };
    uint16_t head;
    uint32_t written;
    Driver driver;

    driver_find(&driver, rig, SLOT, LEGACY);
    driver_begin(&driver, 0);
    driver_queue(&driver, 0, 0);
    driver_offer(&driver, 0, driver_chain(&driver, 0, &piece, 1));
    driver_kick(&driver, 0);
    check(driver_used(&driver, 0, &head, &written));
    check_eq(written, 64);
    rig_checkpoint(rig);
    driver_go(&driver);
    check_eq(some_bytes(&driver, 64), 64);
    rig_outl(rig, driver.port + 8, 0);     /* the driver lets go of its queue */
    check_eq(driver_status(&driver), 0);
}

static void not_a_master(Rig *rig)
{
    const Piece piece = { DATA_AT, 64, WRITE, 0 };
    uint16_t head;
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 1);
    driver_config_space_put(&driver, PCI_COMMAND, PCI_COMMAND_MEMORY);
    driver_offer(&driver, 0, driver_chain(&driver, 0, &piece, 1));
    driver_kick(&driver, 0);
    driver_turn(&driver);
    check_eq(rig_load(rig, driver.rings[0].used + 2, 2), 0);
    driver_config_space_put(&driver, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    check(driver_used(&driver, 0, &head, NULL));
    /* The doorbell follows the BAR. */
    driver_config_space_put(&driver, 0x20, 0xe7000000);
    driver.common = 0xe7000000;
    driver.notify = 0xe7003000;
    driver.isr = 0xe7001000;
    check_eq(some_bytes(&driver, 10), 10);
    driver_config_space_put(&driver, PCI_COMMAND, PCI_COMMAND_MASTER);
    check_eq(rig_load(rig, 0xe7003000, 4), 0xffffffff);
    rig_store(rig, 0xe7003000, 2, 0);
}

/* ---- interrupts ---- */

typedef struct Messages { unsigned count; uint64_t address; uint32_t data; } Messages;

static void deliver(void *opaque, uint64_t address, uint32_t data)
{
    Messages *messages = opaque;

    *messages = (Messages){ messages->count + 1, address, data };
}

static void messages(Rig *rig)
{
    Messages seen = { 0 };
    Driver driver;
    PciBus *bus = (PciBus *)machine_find_bus(rig_machine(rig), BUS_PCI, NULL);

    bus->msi = (MsiSink){ deliver, &seen };
    driver_find(&driver, rig, SLOT, MODERN);
    uint64_t table = 0xe0000000 + 0x100000 * SLOT;
    for (unsigned i = 0; i < 2; i++) {
        rig_store(rig, table + 16 * i, 4, 0xfee00000);
        rig_store(rig, table + 16 * i + 8, 4, 0x40 + i);
        rig_store(rig, table + 16 * i + 12, 4, 0);
    }
    driver_config_space_put(&driver, driver_capability(&driver, PCI_CAP_MSIX, 0), 0x80000000);
    driver_begin(&driver, UINT64_MAX);
    driver_queue(&driver, 0, 0);
    put(&driver, 0x1a, 2, 1);
    put(&driver, 0x10, 2, 0);
    driver_go(&driver);
    check_eq(some_bytes(&driver, 64), 64);
    driver_turn(&driver);
    check_eq(seen.count, 1);
    check_eq(seen.data, 0x41);
    /* Masked ones stay pending. */
    rig_store(rig, table + 16 + 12, 4, 1);
    check_eq(some_bytes(&driver, 64), 64);
    driver_turn(&driver);
    check_eq(seen.count, 1);
    check_eq(rig_load(rig, table + 0x800, 8), 2);
    rig_store(rig, table + 16 + 12, 4, 0);
    check_eq(seen.count, 2);
    /* A queue without a vector says nothing. */
    put(&driver, 0x1a, 2, 0xffff);
    check_eq(some_bytes(&driver, 64), 64);
    driver_turn(&driver);
    check_eq(seen.count, 2);
    check_eq(PCI_DEVICE(rig_device(rig, "v"))->intx, false);
    bus->msi = (MsiSink){ 0 };
}

static bool intx(Rig *rig)
{
    return PCI_DEVICE(rig_device(rig, "v"))->intx;
}

static void level(Rig *rig, Interface interface)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, interface);
    driver_start(&driver, UINT64_MAX, 1);
    check(!intx(rig));
    check_eq(some_bytes(&driver, 64), 64);
    driver_turn(&driver);
    check(intx(rig));
    rig_checkpoint(rig);
    check(intx(rig));
    check_eq(driver_isr(&driver), 1);
    check(!intx(rig));
    check_eq(driver_isr(&driver), 0);
    check_eq(some_bytes(&driver, 64), 64);
    driver_turn(&driver);
    check(intx(rig));
    driver_set_status(&driver, 0);
    check(!intx(rig));
}

static void legacy_level(Rig *rig) { level(rig, LEGACY); }
static void modern_level(Rig *rig) { level(rig, MODERN); }

static void suppressed(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, 0, 1);
    rig_store(rig, driver.rings[0].available, 2, 1);
    check_eq(some_bytes(&driver, 64), 64);
    driver_turn(&driver);
    check(!intx(rig));
    rig_store(rig, driver.rings[0].available, 2, 0);
    check_eq(some_bytes(&driver, 64), 64);
    driver_turn(&driver);
    check(intx(rig));
}

/* ---- the window in configuration space ---- */

static uint32_t window_read(Driver *driver, uint8_t window, uint32_t offset, uint32_t length)
{
    driver_config_space_put(driver, window + 4, 4);
    driver_config_space_put(driver, window + 8, offset);
    driver_config_space_put(driver, window + 12, length);
    return driver_config_space(driver, window + 16);
}

static void window(Rig *rig)
{
    Driver driver;
    uint8_t at = 0;

    driver_find(&driver, rig, SLOT, MODERN);
    for (unsigned i = 0; driver_capability(&driver, PCI_CAP_VENDOR, i); i++) {
        uint8_t one = driver_capability(&driver, PCI_CAP_VENDOR, i);
        at = driver_config_space(&driver, one) >> 24 == 5 ? one : at;
    }
    check(at != 0);
    check_eq(window_read(&driver, at, 0x12, 2), 1);
    check_eq(window_read(&driver, at, 0x18, 2), 8);
    driver_config_space_put(&driver, at + 8, 0x14);
    driver_config_space_put(&driver, at + 12, 1);
    driver_config_space_put(&driver, at + 16, 1);
    rig_checkpoint(rig);
    check_eq(driver_status(&driver), 1);
    check_eq(window_read(&driver, at, 0x14, 1) & 0xff, 1);
    /* Nonsense is answered by what stood there. */
    window_read(&driver, at, 0x13, 2);
    window_read(&driver, at, 0x12, 3);
    window_read(&driver, at, 0x12, 0);
    window_read(&driver, at, 0xfffffffc, 4);
    window_read(&driver, at, 0x3ffc, 4);
    window_read(&driver, at, 0x4000, 4);
    driver_config_space_put(&driver, at + 4, 1);
    driver_config_space(&driver, at + 16);
    driver_config_space_put(&driver, at + 16, 0);
    check_eq(driver_status(&driver), 1);
}

/* ---- random bytes ---- */

static bool is_random(Rig *rig, uint64_t address, unsigned length)
{
    unsigned zeroes = 0;

    for (unsigned i = 0; i < length; i++) {
        zeroes += rig_load(rig, address + i, 1) == 0;
    }
    return zeroes < length / 8 + 2;
}

static void random_bytes_come(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 1);
    check_eq(some_bytes(&driver, 1000), 1000);
    check(is_random(rig, DATA_AT, 1000));
    check_eq(rig_load(rig, DATA_AT + 1000, 8), 0);
    check_eq(some_bytes(&driver, 0x200000), 65536);        /* a piece of a large one */
    check_eq(some_bytes(&driver, 0), 0);
    const Piece out_only = { DATA_AT, 16, 0, 0 };
    check_eq(driver_do(&driver, 0, &out_only, 1), 0);
}

static void a_quota(Rig *rig)
{
    const Piece piece = { DATA_AT, 64, WRITE, 0 };
    uint16_t head;
    uint32_t written;
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 1);
    check_eq(some_bytes(&driver, 64), 64);
    check_eq(some_bytes(&driver, 64), 36);
    driver_offer(&driver, 0, driver_chain(&driver, 0, &piece, 1));
    driver_kick(&driver, 0);
    driver_turn(&driver);
    check_eq(rig_load(rig, driver.rings[0].used + 2, 2), 2);
    driver_set_status(&driver, 0);         /* buys nothing */
    driver_start(&driver, UINT64_MAX, 1);
    driver_offer(&driver, 0, driver_chain(&driver, 0, &piece, 1));
    driver_kick(&driver, 0);
    driver_turn(&driver);
    check_eq(rig_load(rig, driver.rings[0].used + 2, 2), 0);
    rig_advance(rig, 900 * NS_PER_MS);
    driver_turn(&driver);
    check_eq(rig_load(rig, driver.rings[0].used + 2, 2), 0);
    rig_advance(rig, 200 * NS_PER_MS);
    check(driver_used(&driver, 0, &head, &written));
    check_eq(written, 64);
}

static Value *random_objects(void)
{
    static bool made;

    if (!made) {
        g_autoptr(Value) zero = json_parse("{'qom-type':'rng-random','id':'zeroes','filename':'/dev/zero'}", NULL);
        g_autoptr(Value) again = json_parse("{'qom-type':'rng-builtin','id':'zeroes'}", NULL);
        g_autoptr(Value) dry = json_parse("{'qom-type':'rng-random','id':'dry','filename':'/dev/null'}", NULL);
        g_autoptr(Value) missing = json_parse("{'qom-type':'rng-random','id':'no','filename':'/nowhere'}", NULL);
        made = rng_source_add(zero, true, NULL) && rng_source_add(dry, true, NULL);
        check(made && !rng_source_add(again, false, NULL) && !rng_source_add(missing, true, NULL));
        check(!rng_source_remove("nobody", NULL));
    }
    return NULL;
}

static void a_file_of_bytes(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 1);
    rig_store(rig, DATA_AT, 8, UINT64_MAX);
    check_eq(some_bytes(&driver, 8), 8);
    check_eq(rig_load(rig, DATA_AT, 8), 0);
    check(!rng_source_remove("zeroes", NULL));
}

static void a_dry_source(Rig *rig)
{
    const Piece piece = { DATA_AT, 64, WRITE, 0 };
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 1);
    driver_offer(&driver, 0, driver_chain(&driver, 0, &piece, 1));
    driver_kick(&driver, 0);
    driver_turn(&driver);
    rig_checkpoint(rig);
    driver_turn(&driver);
    check_eq(rig_load(rig, driver.rings[0].used + 2, 2), 0);
    driver_set_status(&driver, 0);
    check_eq(driver_status(&driver), 0);
}

/* ---- the balloon ---- */

static void pages(Driver *driver, unsigned queue, const uint32_t *numbers, unsigned count)
{
    const Piece piece = { DATA_AT, 4 * count, 0, 0 };

    rig_write(driver->rig, DATA_AT, numbers, 4 * count);
    check_eq(driver_do(driver, queue, &piece, 1), 0);
}

static void pages_go_and_come(Rig *rig)
{
    const uint32_t numbers[] = { 0x600, 0x601, 0x605, 0x604, 0x603, 0x700 };
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    check_eq(driver_offered(&driver), 0x130000012);
    check_eq(driver_config_space(&driver, 8), 0x00ff0000);
    driver_start(&driver, UINT64_MAX, 3);
    for (uint64_t page = 0x5ff; page < 0x702; page++) {
        rig_store(rig, page * 4096 + 8, 8, page);
    }
    pages(&driver, 0, numbers, G_N_ELEMENTS(numbers));
    for (uint64_t page = 0x5ff; page < 0x702; page++) {
        bool went = page == 0x600 || page == 0x601 || (page >= 0x603 && page <= 0x605) || page == 0x700;
        check_eq(rig_load(rig, page * 4096 + 8, 8), went ? 0 : page);
    }
    pages(&driver, 1, numbers, G_N_ELEMENTS(numbers));
    check_eq(faults(rig), 0);
    driver_config_put(&driver, 4, 4, 5);
    check_eq(balloon_actual(rig_device(rig, "v")), (16 << 20) - 5 * 4096);
    rig_checkpoint(rig);
    check_eq(balloon_actual(rig_device(rig, "v")), (16 << 20) - 5 * 4096);
    check_eq(driver_config(&driver, 4, 4), 5);
}

static void pages_of_nowhere(Rig *rig)
{
    const uint32_t numbers[] = { 0xfee00, 0xffffffff, 0, 0x1000, 0xf0, 0xe0000 };
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 3);
    pages(&driver, 0, numbers, G_N_ELEMENTS(numbers));
    check(faults(rig) >= 4);
    check_eq(driver_status(&driver), 15);
    /* A number cut off, and a request of a million pages. */
    const Piece odd = { DATA_AT, 7, 0, 0 }, endless = { DATA_AT, 0x400000, 0, 0 };
    check_eq(driver_do(&driver, 0, &odd, 1), 0);
    check_eq(driver_do(&driver, 0, &endless, 1), 0);
    driver_config_put(&driver, 4, 4, UINT32_MAX);
    check_eq(balloon_actual(rig_device(rig, "v")), 0);
}

static void a_target(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 3);
    check(balloon_set_target(rig_device(rig, "v"), 12 << 20, NULL));
    check_eq(driver_isr(&driver), 2);
    check_eq(driver_config(&driver, 0, 4), 1024);
    rig_checkpoint(rig);
    check_eq(driver_config(&driver, 0, 4), 1024);
    check(balloon_set_target(rig_device(rig, "v"), UINT64_C(1) << 40, NULL));
    check_eq(driver_config(&driver, 0, 4), 0);
    check(!balloon_set_target(rig_device(rig, "v"), 0, NULL));
    check(balloon_find(rig_machine(rig)) == rig_device(rig, "v"));
    refused(rig, "{'driver':'virtio-balloon-pci'}", "has a balloon already");
}

static void put_stat(Rig *rig, unsigned index, uint16_t tag, uint64_t value)
{
    rig_store(rig, DATA_AT + 10 * index, 2, tag);
    rig_store(rig, DATA_AT + 10 * index + 2, 8, value);
}

static void statistics(Rig *rig)
{
    const Piece piece = { DATA_AT, 30, 0, 0 };
    uint64_t stats[BALLOON_STATS];
    uint16_t head;
    int64_t when;
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 3);
    put_stat(rig, 0, BALLOON_FREE_MEMORY, 1234);
    put_stat(rig, 1, BALLOON_TOTAL_MEMORY, 9999);
    put_stat(rig, 2, 500, 1);
    driver_offer(&driver, 2, driver_chain(&driver, 2, &piece, 1));
    driver_kick(&driver, 2);
    driver_turn(&driver);
    balloon_stats(rig_device(rig, "v"), stats, &when);
    check_eq(stats[BALLOON_FREE_MEMORY], 1234);
    check_eq(stats[BALLOON_TOTAL_MEMORY], 9999);
    check_eq(stats[BALLOON_SWAP_IN], UINT64_MAX);
    check(when > 0);
    check_eq(rig_load(rig, driver.rings[2].used + 2, 2), 0);
    rig_advance(rig, NS_PER_SECOND);
    driver_turn(&driver);
    check_eq(rig_load(rig, driver.rings[2].used + 2, 2), 0);
    rig_advance(rig, NS_PER_SECOND + NS_PER_MS);
    check(driver_used(&driver, 2, &head, NULL));
    /* Two buffers at once: the first comes back. */
    driver_offer(&driver, 2, driver_chain(&driver, 2, &piece, 1));
    driver_offer(&driver, 2, driver_chain(&driver, 2, &piece, 1));
    driver_kick(&driver, 2);
    check(driver_used(&driver, 2, &head, NULL));
    driver_set_status(&driver, 0);
    check_eq(driver_status(&driver), 0);
}

static void free_pages(Rig *rig)
{
    const Piece pieces[] = { { 0x600000, 0x2000, WRITE, 0 }, { 0x700800, 0x1000, WRITE, 0 }, { 0x703000, 0x1000, WRITE, 0 } };
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    check(driver_offered(&driver) & VIRTIO_BIT(5));
    driver_start(&driver, ~VIRTIO_BIT(4), 4);
    for (uint64_t page = 0x600; page < 0x708; page++) {
        rig_store(rig, page * 4096, 8, page);
    }
    check_eq(driver_do(&driver, 3, pieces, 3), 0);
    check_eq(rig_load(rig, 0x600000, 8), 0);
    check_eq(rig_load(rig, 0x601000, 8), 0);
    check_eq(rig_load(rig, 0x602000, 8), 0x602);
    check_eq(rig_load(rig, 0x700000, 8), 0x700);           /* no whole page of it */
    check_eq(rig_load(rig, 0x703000, 8), 0);
    driver_start(&driver, UINT64_MAX, 4);
    driver_config_put(&driver, 12, 4, 0xaaaaaaaa);         /* poisoned: they keep what they hold */
    rig_store(rig, 0x600000, 8, 7);
    check_eq(driver_do(&driver, 3, pieces, 1), 0);
    check_eq(rig_load(rig, 0x600000, 8), 7);
}

/* ---- saved states that lie ---- */

static void lying_states(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 1);
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    Device *device = rig_device(rig, "v");
    for (unsigned i = 0; i < 400; i++) {
        g_autoptr(GByteArray) stream = g_byte_array_new();
        device->model->before_save(device);
        fields_save(device->model->saved, device, stream);
        const uint8_t *at = stream->data;
        size_t left = stream->len;
        for (unsigned changes = 1 + i % 8; changes; changes--) {
            stream->data[4200 + g_rand_int(random) % (stream->len - 4200)] = (uint8_t)g_rand_int(random);
        }
        if (fields_load(device->model->saved, device, "v", &at, &left, NULL)) {
            device->model->after_load(device, NULL);
        }
        driver_kick(&driver, 0);
        driver_turn(&driver);
        if (i % 16 == 0) {
            device_reset(device);
            driver_find(&driver, rig, SLOT, MODERN);
            driver_start(&driver, UINT64_MAX, 1);
        }
    }
    device_reset(device);
    driver_find(&driver, rig, SLOT, MODERN);
    driver_start(&driver, UINT64_MAX, 1);
    check_eq(driver_status(&driver), 15);
}

#define CASE(name_, body, devices_, runs_) { .name = name_, .run = body, .board = "chipset", .devices = devices_, .runs = runs_ }
#define OBJECTS(name_, body, devices_, runs_) \
    { .name = name_, .run = body, .board = "chipset", .devices = devices_, .runs = runs_, .settings = random_objects }
#define RNG "virtio-rng-pci,id=v,addr=4"
#define BALLOON "virtio-balloon-pci,id=v,addr=4"
const Test virtio_tests[] = {
    CASE("PCI function of a generic device", generic_function, RNG, FRESH | PLUGGED),
    CASE("PCI function of a transitional device", generic_function, "virtio-rng-pci-transitional,id=v,addr=4", FRESH | PLUGGED),
    CASE("PCI function of a modern device", modern_function, "virtio-rng-pci-non-transitional,id=v,addr=4", FRESH | PLUGGED),
    CASE("PCI function with disable-legacy", modern_function, RNG ",disable-legacy=on", FRESH | PLUGGED),
    CASE("PCI function with disable-modern", legacy_function, RNG ",disable-modern=on", FRESH | PLUGGED),
    CASE("PCI function with other properties", other_class, RNG ",class=0x1080,vectors=0,page-per-vq=on,event_idx=off,indirect_desc=off", FRESH),
    CASE("properties refused", properties_refused, NULL, FRESH),
    CASE("features are agreed once", features_are_agreed_once, RNG, FRESH | RESTORED),
    CASE("nothing changes in service", nothing_changes_in_service, RNG, FRESH | RESTORED),
    CASE("registers of nowhere", registers_of_nowhere, RNG, FRESH),
    CASE("bad rings", bad_rings, RNG, FRESH | RESTORED),
    CASE("without queues", without_queues, RNG, FRESH),
    CASE("a legacy driver before it is ready", legacy_before_ready, RNG, FRESH | RESTORED),
    CASE("not a bus master; BARs that move", not_a_master, RNG, FRESH | RESTORED),
    CASE("messages", messages, RNG, FRESH),
    CASE("interrupt line, legacy", legacy_level, RNG, FRESH | RESTORED),
    CASE("interrupt line, modern", modern_level, RNG, FRESH | RESTORED),
    CASE("suppressed interrupts", suppressed, RNG, FRESH | RESTORED),
    CASE("window in configuration space", window, RNG, FRESH | RESTORED),
    CASE("random bytes", random_bytes_come, RNG, FRESH | RESTORED),
    CASE("random bytes by quota", a_quota, RNG ",max-bytes=100,period=1000", FRESH | RESTORED),
    OBJECTS("random bytes of a file", a_file_of_bytes, RNG ",rng=zeroes", FRESH | PLUGGED),
    OBJECTS("a dry source", a_dry_source, RNG ",rng=dry", FRESH | RESTORED),
    CASE("pages go and come", pages_go_and_come, BALLOON, FRESH | RESTORED),
    CASE("pages of nowhere", pages_of_nowhere, BALLOON, FRESH),
    CASE("a target", a_target, BALLOON, FRESH | RESTORED | PLUGGED),
    CASE("statistics", statistics, BALLOON ",guest-stats-polling-interval=2", FRESH | RESTORED),
    CASE("free pages", free_pages, BALLOON ",free-page-reporting=on", FRESH | RESTORED),
    CASE("states that lie", lying_states, RNG, FRESH),
    CASE("states that lie about a balloon", lying_states, BALLOON, FRESH),
    { 0 } };
