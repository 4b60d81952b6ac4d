/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-driver.c - see virtio-driver.h */
#include "tests/dev/virtio-driver.h"
#include "base/bytes.h"
#include "base/io-loop.h"
#include "base/timer.h"
#include "hw/virtio/virtio.h"
#include <string.h>
#include <unistd.h>

static void point(Driver *driver, unsigned offset)
{
    rig_outl(driver->rig, 0xcf8, 0x80000000 | driver->slot << 11 | (offset & 0xfc));
}

uint32_t driver_config_space(Driver *driver, unsigned offset)
{
    point(driver, offset);
    return rig_inl(driver->rig, 0xcfc);
}

void driver_config_space_put(Driver *driver, unsigned offset, uint32_t value)
{
    point(driver, offset);
    rig_outl(driver->rig, 0xcfc, value);
}

uint8_t driver_capability(Driver *driver, uint8_t id, unsigned which)
{
    uint8_t at = (uint8_t)driver_config_space(driver, PCI_CAPABILITY_LIST);

    for (unsigned steps = 0; at && steps < 48; steps++) {
        uint32_t head = driver_config_space(driver, at);
        if ((head & 0xff) == id && which-- == 0) {
            return at;
        }
        at = (uint8_t)(head >> 8);
    }
    return 0;
}

/* The structure of a type, by the vendor capabilities. */
static uint64_t structure(Driver *driver, uint8_t type, uint8_t *capability)
{
    uint8_t at;

    for (unsigned i = 0; (at = driver_capability(driver, PCI_CAP_VENDOR, i)); i++) {
        if (driver_config_space(driver, at) >> 24 == type) {
            unsigned bar = driver_config_space(driver, at + 4) & 0xff;
            *capability = at;
            return (driver_config_space(driver, PCI_BASE_ADDRESS_0 + 4 * bar) & ~15u) + driver_config_space(driver, at + 8);
        }
    }
    return 0;
}

void driver_find(Driver *driver, Rig *rig, unsigned slot, Interface interface)
{
    uint8_t at;

    *driver = (Driver){ .rig = rig, .slot = slot, .interface = interface, .port = (uint16_t)(0xc000 + 0x100 * slot) };
    check_eq(driver_config_space(driver, PCI_VENDOR_ID) & 0xffff, 0x1af4);
    driver_config_space_put(driver, PCI_BASE_ADDRESS_0, driver->port);
    driver_config_space_put(driver, PCI_BASE_ADDRESS_0 + 4, 0xe0000000 + 0x100000 * slot);
    driver_config_space_put(driver, PCI_BASE_ADDRESS_0 + 16, 0xe0080000 + 0x100000 * slot);
    driver_config_space_put(driver, PCI_BASE_ADDRESS_0 + 20, 0);
    driver_config_space_put(driver, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    if (interface == MODERN) {
        driver->common = structure(driver, 1, &at);
        driver->isr = structure(driver, 3, &at);
        driver->device = structure(driver, 4, &at);
        driver->notify = structure(driver, 2, &at);
        driver->notify_step = driver_config_space(driver, at + 16);
    }
}

static uint64_t get(Driver *driver, unsigned offset, unsigned size)
{
    return rig_load(driver->rig, driver->common + offset, size);
}

static void put(Driver *driver, unsigned offset, unsigned size, uint64_t value)
{
    rig_store(driver->rig, driver->common + offset, size, value);
}

uint64_t driver_offered(Driver *driver)
{
    uint64_t features;

    if (driver->interface == LEGACY) {
        return rig_inl(driver->rig, driver->port);
    }
    put(driver, 0, 4, 1);
    features = get(driver, 4, 4) << 32;
    put(driver, 0, 4, 0);
    return features | get(driver, 4, 4);
}

uint8_t driver_status(Driver *driver)
{
    return driver->interface == LEGACY ? rig_inb(driver->rig, driver->port + 18) : (uint8_t)get(driver, 0x14, 1);
}

void driver_set_status(Driver *driver, uint8_t status)
{
    if (driver->interface == LEGACY) {
        rig_outb(driver->rig, driver->port + 18, status);
    } else {
        put(driver, 0x14, 1, status);
    }
}

static bool msix_on(Driver *driver)
{
    uint8_t at = driver_capability(driver, PCI_CAP_MSIX, 0);

    return at && driver_config_space(driver, at) >> 31;
}

uint64_t driver_config(Driver *driver, unsigned offset, unsigned size)
{
    uint64_t value = 0;

    if (driver->interface == MODERN) {
        return rig_load(driver->rig, driver->device + offset, size);
    }
    uint16_t base = driver->port + (msix_on(driver) ? 24 : 20);
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)rig_inb(driver->rig, base + offset + i) << (8 * i);
    }
    return value;
}

void driver_config_put(Driver *driver, unsigned offset, unsigned size, uint64_t value)
{
    uint16_t base = driver->port + (msix_on(driver) ? 24 : 20);

    if (driver->interface == MODERN) {
        rig_store(driver->rig, driver->device + offset, size, value);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        rig_outb(driver->rig, base + offset + i, (uint8_t)(value >> (8 * i)));
    }
}

uint8_t driver_isr(Driver *driver)
{
    return driver->interface == LEGACY ? rig_inb(driver->rig, driver->port + 19) : (uint8_t)rig_load(driver->rig, driver->isr, 1);
}

void driver_begin(Driver *driver, uint64_t wanted)
{
    memset(driver->rings, 0, sizeof driver->rings);
    driver_set_status(driver, 0);
    for (unsigned i = 0; i < 100 && driver_status(driver) && driver_status(driver) != 0xff; i++) {
        driver_turn(driver);
    }
    driver_set_status(driver, VIRTIO_ACKNOWLEDGE);
    driver_set_status(driver, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    driver->features = driver_offered(driver) & wanted;
    driver->event_index = driver->features & VIRTIO_F_EVENT_IDX;
    if (driver->interface == LEGACY) {
        rig_outl(driver->rig, driver->port + 4, (uint32_t)driver->features);
        return;
    }
    driver->features |= VIRTIO_F_VERSION_1;
    put(driver, 8, 4, 0);
    put(driver, 12, 4, (uint32_t)driver->features);
    put(driver, 8, 4, 1);
    put(driver, 12, 4, driver->features >> 32);
    driver_set_status(driver, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    check(driver_status(driver) & VIRTIO_FEATURES_OK);
}

void driver_place(Driver *driver, unsigned queue)
{
    const Ring *ring = &driver->rings[queue];

    if (driver->interface == LEGACY) {
        rig_outw(driver->rig, driver->port + 14, (uint16_t)queue);
        rig_outl(driver->rig, driver->port + 8, (uint32_t)(ring->descriptors / 4096));
        return;
    }
    put(driver, 0x16, 2, queue);
    put(driver, 0x18, 2, ring->size);
    put(driver, 0x20, 8, ring->descriptors);
    put(driver, 0x28, 4, ring->available & 0xffffffff);
    put(driver, 0x2c, 4, ring->available >> 32);
    put(driver, 0x30, 8, ring->used);
    put(driver, 0x1c, 2, 1);
}

void driver_queue(Driver *driver, unsigned queue, uint16_t size)
{
    Ring *ring = &driver->rings[queue];
    uint64_t base = 0x100000 + 0x10000 * queue;

    if (driver->interface == LEGACY) {
        rig_outw(driver->rig, driver->port + 14, (uint16_t)queue);
        size = rig_inw(driver->rig, driver->port + 12);
    } else {
        put(driver, 0x16, 2, queue);
        size = size ? size : (uint16_t)get(driver, 0x18, 2);
    }
    *ring = (Ring){ .size = size, .descriptors = base, .available = base + 16 * size };
    ring->used = (ring->available + 6 + 2 * size + 4095) / 4096 * 4096;
    g_autofree uint8_t *zero = g_malloc0(0x10000);
    rig_write(driver->rig, base, zero, 0x10000);
    driver_place(driver, queue);
}

void driver_go(Driver *driver)
{
    uint8_t done = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK;

    driver_set_status(driver, driver->interface == LEGACY ? done : done | VIRTIO_FEATURES_OK);
}

void driver_start(Driver *driver, uint64_t wanted, unsigned queues)
{
    driver_begin(driver, wanted);
    for (unsigned i = 0; i < queues; i++) {
        driver_queue(driver, i, 0);
    }
    driver_go(driver);
}

void driver_describe(Driver *driver, unsigned queue, uint16_t index, Piece piece)
{
    rig_write(driver->rig, driver->rings[queue].descriptors + 16 * index, &piece, sizeof piece);
}

uint16_t driver_chain(Driver *driver, unsigned queue, const Piece *pieces, unsigned count)
{
    Ring *ring = &driver->rings[queue];
    uint16_t head = ring->next_free;

    for (unsigned i = 0; i < count; i++) {
        Piece piece = pieces[i];
        uint16_t index = ring->next_free;
        ring->next_free = (ring->next_free + 1) % ring->size;
        if (i + 1 < count) {
            piece.flags |= NEXT;
            piece.next = ring->next_free;
        }
        driver_describe(driver, queue, index, piece);
    }
    return head;
}

void driver_offer(Driver *driver, unsigned queue, uint16_t head)
{
    Ring *ring = &driver->rings[queue];

    rig_store(driver->rig, ring->available + 4 + 2 * (ring->offered % ring->size), 2, head);
    ring->offered++;
    rig_store(driver->rig, ring->available + 2, 2, ring->offered);
}

void driver_kick(Driver *driver, unsigned queue)
{
    if (driver->interface == LEGACY) {
        rig_outw(driver->rig, driver->port + 16, (uint16_t)queue);
    } else {
        rig_store(driver->rig, driver->notify + queue * driver->notify_step, 2, queue);
    }
}

void driver_turn(Driver *driver)
{
    (void)driver;
    for (unsigned i = 0; i < 64; i++) {
        io_loop_turn(io_loop_main(), false);
        if (i % 8 == 7) {
            g_usleep(100);                 /* an I/O thread's turn */
        }
    }
}

bool driver_used(Driver *driver, unsigned queue, uint16_t *head, uint32_t *written)
{
    Ring *ring = &driver->rings[queue];
    int64_t end = clock_now(CLOCK_STEADY) + 2 * NS_PER_SECOND;

    while ((uint16_t)rig_load(driver->rig, ring->used + 2, 2) == ring->seen) {
        if (clock_now(CLOCK_STEADY) > end) {
            return false;
        }
        io_loop_turn(io_loop_main(), false);
    }
    for (unsigned i = 0; i < 2; i++) {     /* the end of that turn: its interrupt, before the event moves on */
        io_loop_turn(io_loop_main(), false);
    }
    uint64_t entry = ring->used + 4 + 8 * (ring->seen % ring->size);
    if (head) {
        *head = (uint16_t)rig_load(driver->rig, entry, 4);
    }
    if (written) {
        *written = (uint32_t)rig_load(driver->rig, entry + 4, 4);
    }
    ring->seen++;
    if (driver->event_index) {
        rig_store(driver->rig, ring->available + 4 + 2 * ring->size, 2, ring->seen);
    }
    return true;
}

int64_t driver_do(Driver *driver, unsigned queue, const Piece *pieces, unsigned count)
{
    uint16_t head = driver_chain(driver, queue, pieces, count), back = 0;
    uint32_t written;

    driver_offer(driver, queue, head);
    rig_checkpoint(driver->rig);
    driver_kick(driver, queue);
    if (!driver_used(driver, queue, &back, &written)) {
        return -1;
    }
    check_eq(back, head);
    return written;
}
