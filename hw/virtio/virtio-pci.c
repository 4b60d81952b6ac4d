/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-pci.c - the registers through which a driver reaches a virtio device on PCI
 *
 * Models   Virtio 1.2, 4.1, with its legacy interface (4.1.4.10); places and ids as QEMU 7.2 has them:
 *            BAR 0  I/O     legacy registers, then the configuration bytes
 *            BAR 1  memory  MSI-X table at 0, pending bits at 800h (later when the table is longer)
 *            BAR 4  memory  0000h common, 1000h ISR, 2000h device configuration, 3000h notify: 4 bytes (or a page) for each queue
 * Omits    PCI Express, notification data, reset of single queues, shared memory
 * Wires    a doorbell for each live queue in each of the two places; MSI-X; INTA#
 * Threads  registers: machine lock. Interrupts: any; INTx from an I/O thread is posted
 * Tests    tests/dev/virtio.c
 */
#include "hw/virtio/virtio-pci.h"
#include "base/error.h"
#include "base/lock.h"
#include "hw/core/machine.h"
#include "hw/virtio/iothread.h"
#include <errno.h>
#include <string.h>

enum { LEGACY_BAR = 0, MSIX_BAR = 1, MODERN_BAR = 4 };
enum { COMMON_AT = 0x0000, ISR_AT = 0x1000, DEVICE_AT = 0x2000, NOTIFY_AT = 0x3000, STRUCTURE_SIZE = 0x1000, PAGE = 4096 };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 };
/* Features that mean nothing to a driver of the modern registers. */
#define LEGACY_FEATURES (VIRTIO_F_NOTIFY_ON_EMPTY | VIRTIO_F_ANY_LAYOUT)

static unsigned notify_step(const VirtioPci *vpci)
{
    return vpci->page_per_vq ? PAGE : 4;
}

/* ---- interrupts ---- */

static void update_intx(Virtio *virtio)
{
    VirtioPci *vpci = virtio_pci_of(virtio);

    pci_set_intx(&vpci->pci, __atomic_load_n(&virtio->isr, __ATOMIC_SEQ_CST) && !pci_msix_enabled(&vpci->pci));
}

static void virtio_pci_interrupt(Virtio *virtio, uint16_t vector, bool config)
{
    VirtioPci *vpci = virtio_pci_of(virtio);

    __atomic_fetch_or(&virtio->isr, config ? ISR_CONFIG : ISR_QUEUE, __ATOMIC_SEQ_CST);
    if (pci_msix_enabled(&vpci->pci)) {
        if (vector != VIRTIO_NO_VECTOR) {
            pci_msix_notify(&vpci->pci, vector);
        }
    } else if (machine_lock_held()) {
        update_intx(virtio);
    } else {
        virtio_post(virtio, update_intx);
    }
}

static uint8_t read_isr(VirtioPci *vpci)
{
    uint8_t isr = virtio_take_isr(&vpci->virtio);

    update_intx(&vpci->virtio);
    return isr;
}

static uint16_t checked_vector(const VirtioPci *vpci, uint64_t vector)
{
    return vector < vpci->pci.msix.vectors ? (uint16_t)vector : VIRTIO_NO_VECTOR;
}

/* ---- doorbells ---- */

typedef struct VirtioBell { AddressSpace *space; Doorbell bell; } VirtioBell;

static void add_bells(VirtioPci *vpci, const VirtioQueue *vq)
{
    const Machine *machine = vpci->pci.device.machine;
    const PciBar *modern = &vpci->pci.bars[MODERN_BAR], *legacy = &vpci->pci.bars[LEGACY_BAR];

    if (vpci->has_modern && modern->mapped) {
        VirtioBell bell = { machine->memory, { .address = modern->address + NOTIFY_AT + vq->index * notify_step(vpci), .fd = vq->kick } };
        g_array_append_val(vpci->bells, bell);
    }
    if (vpci->has_legacy && legacy->mapped) {
        VirtioBell bell = { machine->ports, { .address = legacy->address + 16, .value = vq->index, .size = 2, .match = true, .fd = vq->kick } };
        g_array_append_val(vpci->bells, bell);
    }
}

/* Anew from state: live queues, and where the BARs are. */
static void update_bells(Virtio *virtio)
{
    VirtioPci *vpci = virtio_pci_of(virtio);
    GArray *old = g_steal_pointer(&vpci->bells);

    vpci->bells = g_array_new(FALSE, TRUE, sizeof(VirtioBell));
    for (unsigned i = 0; vpci->ioeventfd && virtio->phase == VIRTIO_LIVE && i < virtio->queue_count; i++) {
        if (virtio->queues[i].enabled) {
            add_bells(vpci, &virtio->queues[i]);
        }
    }
    bool same = old && old->len == vpci->bells->len &&
                (old->len == 0 || memcmp(old->data, vpci->bells->data, old->len * sizeof(VirtioBell)) == 0);
    for (guint i = 0; old && !same && i < old->len; i++) {
        const VirtioBell *bell = &g_array_index(old, VirtioBell, i);
        space_remove_doorbell(bell->space, &bell->bell);
    }
    for (guint i = 0; !same && i < vpci->bells->len; i++) {
        const VirtioBell *bell = &g_array_index(vpci->bells, VirtioBell, i);
        space_add_doorbell(bell->space, &bell->bell);
    }
    if (old) {
        g_array_free(old, TRUE);
    }
}

static AddressSpace *dma_space(Virtio *virtio)
{
    return pci_dma_space(&virtio_pci_of(virtio)->pci);
}

static const VirtioTransport virtio_pci_transport = {
    .interrupt = virtio_pci_interrupt, .queues_changed = update_bells, .space = dma_space,
};

/* ---- modern registers ---- */

typedef struct Register {
    uint8_t offset, size;
    uint64_t (*read)(VirtioPci *vpci);
    void (*write)(VirtioPci *vpci, uint64_t value);        /* the whole register */
} Register;

static VirtioQueue *selected(VirtioPci *vpci)
{
    return vpci->queue_select < vpci->virtio.queue_count ? &vpci->virtio.queues[vpci->queue_select] : NULL;
}

static uint64_t read_device_select(VirtioPci *vpci)
{
    return vpci->device_feature_select;
}

static void write_device_select(VirtioPci *vpci, uint64_t value)
{
    vpci->device_feature_select = (uint32_t)value;
}

static uint64_t read_device_features(VirtioPci *vpci)
{
    uint64_t offered = vpci->virtio.offered & ~LEGACY_FEATURES;

    return vpci->device_feature_select > 1 ? 0 : (uint32_t)(offered >> (32 * vpci->device_feature_select));
}

static uint64_t read_driver_select(VirtioPci *vpci)
{
    return vpci->driver_feature_select;
}

static void write_driver_select(VirtioPci *vpci, uint64_t value)
{
    vpci->driver_feature_select = (uint32_t)value;
}

static uint64_t read_driver_features(VirtioPci *vpci)
{
    return vpci->driver_feature_select > 1 ? 0 : (uint32_t)(vpci->virtio.accepted >> (32 * vpci->driver_feature_select));
}

static void write_driver_features(VirtioPci *vpci, uint64_t value)
{
    unsigned shift = 32 * vpci->driver_feature_select;

    if (vpci->driver_feature_select <= 1) {
        virtio_set_features(&vpci->virtio, value << shift & ~LEGACY_FEATURES, UINT64_C(0xffffffff) << shift);
    }
}

static uint64_t read_config_vector(VirtioPci *vpci)
{
    return vpci->virtio.config_vector;
}

static void write_config_vector(VirtioPci *vpci, uint64_t value)
{
    __atomic_store_n(&vpci->virtio.config_vector, checked_vector(vpci, value), __ATOMIC_RELAXED);
}

static uint64_t read_queue_count(VirtioPci *vpci)
{
    return vpci->virtio.queue_count;
}

static uint64_t read_status(VirtioPci *vpci)
{
    return virtio_status(&vpci->virtio);
}

static void write_status(VirtioPci *vpci, uint64_t value)
{
    vpci->virtio.legacy = false;
    virtio_set_status(&vpci->virtio, (uint8_t)value);
    update_intx(&vpci->virtio);
}

static uint64_t read_generation(VirtioPci *vpci)
{
    return vpci->virtio.generation;
}

static uint64_t read_queue_select(VirtioPci *vpci)
{
    return vpci->queue_select;
}

static void write_queue_select(VirtioPci *vpci, uint64_t value)
{
    vpci->queue_select = (uint16_t)value;
}

static uint64_t read_queue_size(VirtioPci *vpci)
{
    return selected(vpci) ? selected(vpci)->size : 0;
}

static void write_queue_size(VirtioPci *vpci, uint64_t value)
{
    virtio_queue_size(&vpci->virtio, vpci->queue_select, (uint16_t)value);
}

static uint64_t read_queue_vector(VirtioPci *vpci)
{
    return selected(vpci) ? selected(vpci)->vector : VIRTIO_NO_VECTOR;
}

static void write_queue_vector(VirtioPci *vpci, uint64_t value)
{
    if (selected(vpci)) {
        __atomic_store_n(&selected(vpci)->vector, checked_vector(vpci, value), __ATOMIC_RELAXED);
    }
}

static uint64_t read_queue_enable(VirtioPci *vpci)
{
    return selected(vpci) && selected(vpci)->enabled;
}

static void write_queue_enable(VirtioPci *vpci, uint64_t value)
{
    if (value == 1) {
        virtio_queue_enable(&vpci->virtio, vpci->queue_select);
    } else {
        guest_fault(&vpci->pci.device, "the driver writes %u to queue_enable", (unsigned)value);
    }
}

static uint64_t read_notify_offset(VirtioPci *vpci)
{
    return vpci->queue_select;
}

static uint64_t read_descriptors(VirtioPci *vpci)
{
    return selected(vpci) ? selected(vpci)->descriptors : 0;
}

static void write_descriptors(VirtioPci *vpci, uint64_t value)
{
    const VirtioQueue *vq = selected(vpci);

    virtio_queue_place(&vpci->virtio, vpci->queue_select, value, vq ? vq->available : 0, vq ? vq->used : 0);
}

static uint64_t read_available(VirtioPci *vpci)
{
    return selected(vpci) ? selected(vpci)->available : 0;
}

static void write_available(VirtioPci *vpci, uint64_t value)
{
    const VirtioQueue *vq = selected(vpci);

    virtio_queue_place(&vpci->virtio, vpci->queue_select, vq ? vq->descriptors : 0, value, vq ? vq->used : 0);
}

static uint64_t read_used(VirtioPci *vpci)
{
    return selected(vpci) ? selected(vpci)->used : 0;
}

static void write_used(VirtioPci *vpci, uint64_t value)
{
    const VirtioQueue *vq = selected(vpci);

    virtio_queue_place(&vpci->virtio, vpci->queue_select, vq ? vq->descriptors : 0, vq ? vq->available : 0, value);
}

/* Virtio 1.2, 4.1.4.3 */
static const Register common_registers[] = {
    { 0x00, 4, read_device_select, write_device_select },    { 0x04, 4, read_device_features, NULL },
    { 0x08, 4, read_driver_select, write_driver_select },    { 0x0c, 4, read_driver_features, write_driver_features },
    { 0x10, 2, read_config_vector, write_config_vector },    { 0x12, 2, read_queue_count, NULL },
    { 0x14, 1, read_status, write_status },                  { 0x15, 1, read_generation, NULL },
    { 0x16, 2, read_queue_select, write_queue_select },      { 0x18, 2, read_queue_size, write_queue_size },
    { 0x1a, 2, read_queue_vector, write_queue_vector },      { 0x1c, 2, read_queue_enable, write_queue_enable },
    { 0x1e, 2, read_notify_offset, NULL },                   { 0x20, 8, read_descriptors, write_descriptors },
    { 0x28, 8, read_available, write_available },            { 0x30, 8, read_used, write_used },
};

static const Register *register_at(const Register *table, size_t count, uint64_t offset)
{
    for (size_t i = 0; i < count; i++) {
        if (offset >= table[i].offset && offset - table[i].offset < table[i].size) {
            return &table[i];
        }
    }
    return NULL;
}

static uint64_t register_read(VirtioPci *vpci, const Register *reg, uint64_t offset)
{
    return reg ? reg->read(vpci) >> (8 * (offset - reg->offset)) : 0;
}

/* A narrower or later write changes its bytes only: the halves of an address come one by one. */
static void register_write(VirtioPci *vpci, const Register *reg, uint64_t offset, uint64_t value, unsigned size)
{
    if (!reg || !reg->write) {
        guest_fault(&vpci->pci.device, "a write of %u bytes to register 0x%02x, which is read-only", size, (unsigned)offset);
        return;
    }
    unsigned shift = 8 * (unsigned)(offset - reg->offset);
    if (size < reg->size) {
        uint64_t mask = ((UINT64_C(1) << (8 * size)) - 1) << shift;
        value = (reg->read(vpci) & ~mask) | (value << shift & mask);
    }
    reg->write(vpci, value);
}

static uint64_t common_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return register_read(opaque, register_at(common_registers, G_N_ELEMENTS(common_registers), offset), offset);
}

static void common_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    register_write(opaque, register_at(common_registers, G_N_ELEMENTS(common_registers), offset), offset, value, size);
}

static uint64_t isr_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return offset == 0 ? read_isr(opaque) : 0;
}

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    VirtioPci *vpci = opaque;

    return virtio_config_read(&vpci->virtio, (unsigned)offset, size);
}

static void device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    VirtioPci *vpci = opaque;

    virtio_config_write(&vpci->virtio, (unsigned)offset, size, value);
}

static void notify_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    VirtioPci *vpci = opaque;

    (void)value;
    (void)size;
    virtio_notify(&vpci->virtio, (unsigned)(offset / notify_step(vpci)));
}

static const RegionOps common_ops = { .read = common_read, .write = common_write, .widths = WIDTH_8_16_32 };
static const RegionOps isr_ops = { .read = isr_read, .widths = WIDTH_8_16_32 };
static const RegionOps device_ops = { .read = device_read, .write = device_write, .widths = WIDTH_8_16_32 };
static const RegionOps notify_ops = { .write = notify_write, .widths = WIDTH_8_16_32 };

/* ---- legacy registers ---- */

static uint64_t legacy_read_offered(VirtioPci *vpci)
{
    return (uint32_t)vpci->virtio.offered;
}

static uint64_t legacy_read_accepted(VirtioPci *vpci)
{
    return (uint32_t)vpci->virtio.accepted;
}

static void legacy_write_accepted(VirtioPci *vpci, uint64_t value)
{
    virtio_set_features(&vpci->virtio, value, UINT64_C(0xffffffff));
}

static uint64_t legacy_read_page(VirtioPci *vpci)
{
    return selected(vpci) ? selected(vpci)->descriptors / PAGE : 0;
}

/* One number places all three rings; zero takes the device out of service. */
static void legacy_write_page(VirtioPci *vpci, uint64_t value)
{
    VirtioQueue *vq = selected(vpci);

    vpci->virtio.legacy = true;
    if (value == 0) {
        virtio_reset(&vpci->virtio);
        update_intx(&vpci->virtio);
    } else if (vq) {
        uint64_t descriptors = value * PAGE, available = descriptors + 16 * vq->size;
        uint64_t used = (available + 2 * (3 + vq->size) + PAGE - 1) / PAGE * PAGE;
        if (virtio_queue_place(&vpci->virtio, vq->index, descriptors, available, used)) {
            virtio_queue_enable(&vpci->virtio, vq->index);
        }
    }
}

static uint64_t legacy_read_size(VirtioPci *vpci)
{
    return selected(vpci) ? selected(vpci)->size : 0;
}

static uint64_t legacy_read_zero(VirtioPci *vpci)
{
    (void)vpci;
    return 0;
}

static void legacy_notify(VirtioPci *vpci, uint64_t value)
{
    virtio_notify(&vpci->virtio, (unsigned)value);
}

static uint64_t legacy_read_status(VirtioPci *vpci)
{
    return vpci->virtio.status;            /* zero at once: these drivers do not wait for it */
}

static void legacy_write_status(VirtioPci *vpci, uint64_t value)
{
    vpci->virtio.legacy = true;
    /* Drivers older than the rule leave the bus master bit alone. */
    if (value & VIRTIO_DRIVER_OK) {
        pci_config_set16(&vpci->pci, PCI_COMMAND, pci_config_get16(&vpci->pci, PCI_COMMAND) | PCI_COMMAND_MASTER);
    }
    virtio_set_status(&vpci->virtio, (uint8_t)value);
    update_intx(&vpci->virtio);
}

/* Virtio 1.2, 4.1.4.10; the vectors are there only while MSI-X is on. */
static const Register legacy_registers[] = {
    { 0x00, 4, legacy_read_offered, NULL },                  { 0x04, 4, legacy_read_accepted, legacy_write_accepted },
    { 0x08, 4, legacy_read_page, legacy_write_page },        { 0x0c, 2, legacy_read_size, NULL },
    { 0x0e, 2, read_queue_select, write_queue_select },      { 0x10, 2, legacy_read_zero, legacy_notify },
    { 0x12, 1, legacy_read_status, legacy_write_status },
    { 0x14, 2, read_config_vector, write_config_vector },    { 0x16, 2, read_queue_vector, write_queue_vector },
};
enum { LEGACY_ISR = 0x13, LEGACY_VECTORS = 0x14, LEGACY_CONFIG = 0x18 };

static unsigned legacy_header(const VirtioPci *vpci)
{
    return pci_msix_enabled(&vpci->pci) ? LEGACY_CONFIG : LEGACY_VECTORS;
}

static uint64_t legacy_read(void *opaque, uint64_t offset, unsigned size)
{
    VirtioPci *vpci = opaque;
    unsigned header = legacy_header(vpci);

    if (offset >= header) {
        return virtio_config_read(&vpci->virtio, (unsigned)offset - header, size);
    }
    if (offset == LEGACY_ISR) {
        return read_isr(vpci);
    }
    return register_read(vpci, register_at(legacy_registers, G_N_ELEMENTS(legacy_registers), offset), offset);
}

static void legacy_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    VirtioPci *vpci = opaque;
    unsigned header = legacy_header(vpci);

    if (offset >= header) {
        virtio_config_write(&vpci->virtio, (unsigned)offset - header, size, value);
    } else {
        register_write(vpci, register_at(legacy_registers, G_N_ELEMENTS(legacy_registers), offset), offset, value, size);
    }
}

static const RegionOps legacy_ops = { .read = legacy_read, .write = legacy_write, .widths = WIDTH_8_16_32 };

/* ---- accesses through configuration space (4.1.4.9) ---- */

enum { WINDOW_BAR = 4, WINDOW_OFFSET = 8, WINDOW_LENGTH = 12, WINDOW_DATA = 16, WINDOW_SIZE = 20 };

/* The structure that the window looks into, or NULL. */
static const Region *window_target(const VirtioPci *vpci, uint64_t *offset, unsigned *size)
{
    const Region *parts[] = { &vpci->common_io, &vpci->isr_io, &vpci->device_io, &vpci->notify_io };
    const uint32_t starts[] = { COMMON_AT, ISR_AT, DEVICE_AT, NOTIFY_AT };
    uint32_t at = pci_config_get32(&vpci->pci, vpci->window + WINDOW_OFFSET);
    uint32_t length = pci_config_get32(&vpci->pci, vpci->window + WINDOW_LENGTH);

    if (vpci->pci.config[vpci->window + WINDOW_BAR] != MODERN_BAR || (length != 1 && length != 2 && length != 4) || at % length) {
        return NULL;
    }
    for (unsigned i = G_N_ELEMENTS(parts); i-- > 0;) {
        if (at >= starts[i]) {
            *offset = at - starts[i];
            *size = length;
            return *offset < parts[i]->size ? parts[i] : NULL;
        }
    }
    return NULL;
}

static bool touches(unsigned offset, unsigned size, unsigned first, unsigned length)
{
    return offset < first + length && first < offset + size;
}

static void config_reading(PciDevice *pci, unsigned offset, unsigned size)
{
    VirtioPci *vpci = (VirtioPci *)pci;
    uint64_t at;
    unsigned length;

    if (!vpci->window || !touches(offset, size, vpci->window + WINDOW_DATA, 4)) {
        return;
    }
    const Region *target = window_target(vpci, &at, &length);
    if (target && target->ops->read) {
        pci_config_set32(pci, vpci->window + WINDOW_DATA, (uint32_t)target->ops->read(vpci, at, length));
    }
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    VirtioPci *vpci = (VirtioPci *)pci;
    uint64_t at;
    unsigned length;

    if (vpci->window && touches(offset, size, vpci->window + WINDOW_DATA, 4)) {
        const Region *target = window_target(vpci, &at, &length);
        if (target && target->ops->write) {
            uint64_t value = pci_config_get32(pci, vpci->window + WINDOW_DATA);
            target->ops->write(vpci, at, value & ((UINT64_C(1) << (8 * length)) - 1), length);
        }
    }
    if (vpci->virtio.watched && (offset < PCI_HEADER_SIZE || (pci->msix.capability && touches(offset, size, pci->msix.capability, 4)))) {
        update_bells(&vpci->virtio);
        update_intx(&vpci->virtio);
        for (unsigned i = 0; touches(offset, size, PCI_COMMAND, 1) && pci_is_master(pci) && vpci->virtio.phase == VIRTIO_LIVE &&
                             i < vpci->virtio.queue_count; i++) {
            virtio_kick(&vpci->virtio, i);                 /* it was deaf until now */
        }
    }
}

const VirtioPciModel virtio_pci_kinds[VIRTIO_PCI_KINDS] = {
#define KIND(which) [which] = { { .vendor = 0x1af4, .device = 0x1000, .class_code = 0x00ff00, .interrupt_pin = 1, \
                                  .config_written = config_written, .config_reading = config_reading }, which }
    KIND(VIRTIO_PCI_GENERIC), KIND(VIRTIO_PCI_TRANSITIONAL), KIND(VIRTIO_PCI_MODERN),
#undef KIND
};

/* ---- life ---- */

bool virtio_pci_iothread(VirtioPci *vpci, IoThread **out, GError **err)
{
    *out = vpci->iothread && *vpci->iothread ? iothread_find(vpci->iothread) : NULL;
    return *out || !vpci->iothread || !*vpci->iothread ||
           fail(err, ENOENT, "device '%s': iothread=%s: there is no such object; add -object iothread,id=%s", device_name(&vpci->pci.device),
                vpci->iothread, vpci->iothread);
}

static bool refuse_unsupported(const VirtioPci *vpci, GError **err)
{
    const struct { bool wanted; const char *name; } properties[] = {
        { vpci->packed, "packed" }, { vpci->iommu_platform, "iommu_platform" }, { vpci->ats, "ats" }, { vpci->queue_reset, "queue_reset" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++) {
        if (properties[i].wanted) {
            return fail(err, ENOTSUP, "device '%s': %s=on is not supported; leave it out", device_name(&vpci->pci.device), properties[i].name);
        }
    }
    return true;
}

static bool choose_kind(VirtioPci *vpci, GError **err)
{
    const VirtioPciModel *kind = vpci->pci.device.model->class_data;

    vpci->has_legacy = kind->kind != VIRTIO_PCI_MODERN && vpci->disable_legacy != 1;
    vpci->has_modern = !vpci->disable_modern;
    if (kind->kind == VIRTIO_PCI_TRANSITIONAL && !(vpci->has_legacy && vpci->has_modern)) {
        return fail(err, EINVAL, "device '%s': a transitional model has both interfaces; disable-legacy and disable-modern belong to '%s-pci'",
                    device_name(&vpci->pci.device), vpci->virtio.model->name);
    }
    if (!vpci->has_legacy && !vpci->has_modern) {
        return fail(err, EINVAL, "device '%s': the legacy and the modern interface cannot both be disabled", device_name(&vpci->pci.device));
    }
    return true;
}

static void identify(VirtioPci *vpci)
{
    const VirtioModel *model = vpci->virtio.model;
    PciDevice *pci = &vpci->pci;
    uint32_t class_code = vpci->class_code ? vpci->class_code << 8 : model->class_code;

    pci_set_device_id(pci, vpci->has_legacy ? model->legacy_device : 0x1040 + model->id);
    pci->config[PCI_REVISION_ID] = vpci->has_legacy ? 0 : 1;
    pci->config[PCI_CLASS_PROG] = (uint8_t)class_code;
    pci_config_set16(pci, PCI_CLASS_DEVICE, (uint16_t)(class_code >> 8));
    pci_config_set16(pci, PCI_SUBSYSTEM_ID, vpci->has_legacy ? model->id : 0x1100);
}

static uint64_t power_of_two(uint64_t size)
{
    uint64_t power = 16;

    while (power < size) {
        power *= 2;
    }
    return power;
}

static bool add_msix(VirtioPci *vpci, unsigned vectors, GError **err)
{
    uint32_t table = vectors * MSIX_ENTRY_SIZE, pending = (vectors + 63) / 64 * 8, pending_at = MAX(table, PAGE / 2);

    if (vectors == 0) {
        return true;
    }
    if (vectors > MSIX_MOST_VECTORS) {
        return fail(err, EINVAL, "device '%s': vectors=%u is more than %d", device_name(&vpci->pci.device), vectors, MSIX_MOST_VECTORS);
    }
    region_init_container(&vpci->msix_bar, "virtio-msix", power_of_two(MAX(pending_at + pending, PAGE)));
    return pci_msix_init(&vpci->pci, vectors, &vpci->msix_bar, MSIX_BAR, 0, &vpci->msix_bar, MSIX_BAR, pending_at, err) &&
           pci_add_bar(&vpci->pci, MSIX_BAR, 0, &vpci->msix_bar, err);
}

static bool add_legacy(VirtioPci *vpci, GError **err)
{
    unsigned header = vpci->pci.msix.capability ? LEGACY_CONFIG : LEGACY_VECTORS;

    if (!vpci->has_legacy) {
        return true;
    }
    region_init_io(&vpci->legacy_io, &legacy_ops, vpci, "virtio-legacy", power_of_two(header + vpci->virtio.config_size));
    return pci_add_bar(&vpci->pci, LEGACY_BAR, PCI_BAR_IO, &vpci->legacy_io, err);
}

/* A vendor capability that says where a structure is; its offset, or 0 and *err. */
static uint8_t add_structure(VirtioPci *vpci, uint8_t type, uint8_t size, uint32_t offset, uint32_t length, GError **err)
{
    uint8_t at = pci_add_capability(&vpci->pci, PCI_CAP_VENDOR, 0, size, err);

    if (at) {
        vpci->pci.config[at + 2] = size;
        vpci->pci.config[at + 3] = type;
        vpci->pci.config[at + 4] = type == 5 ? 0 : MODERN_BAR;
        pci_config_set32(&vpci->pci, at + 8, offset);
        pci_config_set32(&vpci->pci, at + 12, length);
    }
    return at;
}

static void add_part(VirtioPci *vpci, Region *region, const RegionOps *ops, const char *name, uint64_t at, uint64_t size)
{
    region_init_io(region, ops, vpci, name, size);
    region_add(&vpci->modern_bar, at, region, 0);
}

static bool add_modern(VirtioPci *vpci, GError **err)
{
    uint32_t notify = vpci->page_per_vq ? PAGE * VIRTIO_QUEUES_MOST : STRUCTURE_SIZE;
    uint8_t at;

    if (!vpci->has_modern) {
        return true;
    }
    if (!add_structure(vpci, 1, 16, COMMON_AT, STRUCTURE_SIZE, err) || !add_structure(vpci, 3, 16, ISR_AT, STRUCTURE_SIZE, err) ||
        !add_structure(vpci, 4, 16, DEVICE_AT, STRUCTURE_SIZE, err) || !(at = add_structure(vpci, 2, 20, NOTIFY_AT, notify, err)) ||
        !(vpci->window = add_structure(vpci, 5, WINDOW_SIZE, 0, 0, err))) {
        return false;
    }
    pci_config_set32(&vpci->pci, at + 16, notify_step(vpci));
    pci_config_writable(&vpci->pci, vpci->window + WINDOW_BAR, 1, 0xff);
    pci_config_writable(&vpci->pci, vpci->window + WINDOW_OFFSET, 4, 0xffffffff);
    pci_config_writable(&vpci->pci, vpci->window + WINDOW_LENGTH, 4, 0xffffffff);
    pci_config_writable(&vpci->pci, vpci->window + WINDOW_DATA, 4, 0xffffffff);
    region_init_container(&vpci->modern_bar, "virtio-modern", power_of_two(NOTIFY_AT + notify));
    add_part(vpci, &vpci->common_io, &common_ops, "virtio-common", COMMON_AT, STRUCTURE_SIZE);
    add_part(vpci, &vpci->isr_io, &isr_ops, "virtio-isr", ISR_AT, STRUCTURE_SIZE);
    add_part(vpci, &vpci->device_io, &device_ops, "virtio-device", DEVICE_AT, STRUCTURE_SIZE);
    add_part(vpci, &vpci->notify_io, &notify_ops, "virtio-notify", NOTIFY_AT, notify);
    return pci_add_bar(&vpci->pci, MODERN_BAR, PCI_BAR_64 | PCI_BAR_PREFETCH, &vpci->modern_bar, err);
}

bool virtio_pci_realize(VirtioPci *vpci, unsigned vectors, GError **err)
{
    Virtio *virtio = &vpci->virtio;

    if (!refuse_unsupported(vpci, err) || !choose_kind(vpci, err)) {
        return false;
    }
    identify(vpci);
    if (vpci->has_modern) {
        virtio->offered |= VIRTIO_F_VERSION_1;
    }
    if (vpci->has_legacy) {
        virtio->offered |= (virtio->notify_on_empty ? VIRTIO_F_NOTIFY_ON_EMPTY : 0) | (virtio->any_layout ? VIRTIO_F_ANY_LAYOUT : 0);
    }
    return add_modern(vpci, err) && add_msix(vpci, vpci->vectors == UINT32_MAX ? vectors : vpci->vectors, err) && add_legacy(vpci, err) &&
           virtio_realized(virtio, &virtio_pci_transport, err);
}

static void destroy(Region *region)
{
    if (region->size) {
        region_remove(region);
        region_destroy(region);
        memset(region, 0, sizeof *region);
    }
}

void virtio_pci_unrealize(VirtioPci *vpci)
{
    virtio_unrealize(&vpci->virtio);
    pci_unrealize(&vpci->pci);
    destroy(&vpci->common_io);
    destroy(&vpci->isr_io);
    destroy(&vpci->device_io);
    destroy(&vpci->notify_io);
    destroy(&vpci->modern_bar);
    destroy(&vpci->msix_bar);
    destroy(&vpci->legacy_io);
    vpci->window = 0;
    if (vpci->bells) {
        g_array_free(g_steal_pointer(&vpci->bells), TRUE);
    }
}

void virtio_pci_reset(Device *device)
{
    VirtioPci *vpci = VIRTIO_PCI(device);

    virtio_reset_now(&vpci->virtio);
    vpci->queue_select = 0;
    vpci->device_feature_select = vpci->driver_feature_select = 0;
    pci_reset(&vpci->pci);
    for (unsigned i = vpci->window + WINDOW_BAR; vpci->window && i < (unsigned)vpci->window + WINDOW_SIZE; i++) {
        vpci->pci.config[i] &= ~vpci->pci.writable[i];
    }
}

void virtio_pci_before_save(Device *device)
{
    virtio_before_save(&VIRTIO_PCI(device)->virtio);
}

/* Vectors beyond the table would be ignored; that there are some says that the state is of another device. */
static bool check_vectors(const VirtioPci *vpci, GError **err)
{
    const Virtio *virtio = &vpci->virtio;
    bool ok = virtio->config_vector == VIRTIO_NO_VECTOR || virtio->config_vector < vpci->pci.msix.vectors;

    for (unsigned i = 0; i < virtio->queue_count; i++) {
        ok = ok && (virtio->queues[i].vector == VIRTIO_NO_VECTOR || virtio->queues[i].vector < vpci->pci.msix.vectors);
    }
    return ok || fail(err, EINVAL, "%s: the saved state uses MSI-X vectors that this device lacks (it has %u)", device_name(&vpci->pci.device),
                      vpci->pci.msix.vectors);
}

bool virtio_pci_after_load(Device *device, GError **err)
{
    VirtioPci *vpci = VIRTIO_PCI(device);

    if (!pci_after_load(&vpci->pci, err) || !virtio_after_load(&vpci->virtio, err) || !check_vectors(vpci, err)) {
        virtio_reset_now(&vpci->virtio);
        update_bells(&vpci->virtio);
        return false;
    }
    update_bells(&vpci->virtio);
    return true;
}

const Field virtio_pci_saved[] = {
    SAVE_PCI(VirtioPci, pci), SAVE_VIRTIO(VirtioPci, virtio), SAVE_U16(VirtioPci, queue_select),
    SAVE_U32(VirtioPci, device_feature_select), SAVE_U32(VirtioPci, driver_feature_select),
    FIELD_END };
