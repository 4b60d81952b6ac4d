/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-pci.h - a virtio device as a PCI function: legacy registers in I/O BAR 0, MSI-X in BAR 1, modern structures in BAR 4
 *
 * A model XYZ has a struct that begins with VirtioPci, names VIRTIO_PCI_PROPS(Xyz, base) among its properties and SAVE_VIRTIO_PCI(Xyz,
 * base) first in its saved state, and is listed three times: VIRTIO_PCI_MODELS() makes XYZ-pci, XYZ-pci-transitional and
 * XYZ-pci-non-transitional of one DeviceModel.
 *
 *   static bool virtio_xyz_realize(Device *device, GError **err)
 *   {
 *       return virtio_init(&xyz->base.virtio, device, &virtio_xyz, iothread, config_size, err) && virtio_add_queue(...) && ...
 *              virtio_pci_realize(&xyz->base, vectors, err);      -- after offered and the configuration bytes are set
 *   }
 *   unrealize: virtio_pci_unrealize(&xyz->base) first (it waits for requests), then what the model holds.
 *   .reset = virtio_pci_reset, .before_save = virtio_pci_before_save, .after_load = virtio_pci_after_load
 */
#pragma once
#include "hw/pci/pci.h"
#include "hw/virtio/virtio.h"

typedef enum { VIRTIO_PCI_GENERIC, VIRTIO_PCI_TRANSITIONAL, VIRTIO_PCI_MODERN, VIRTIO_PCI_KINDS } VirtioPciKind;

/* class_data of the DeviceModels. */
typedef struct VirtioPciModel {
    PciModel pci;
    VirtioPciKind kind;
} VirtioPciModel;
extern const VirtioPciModel virtio_pci_kinds[VIRTIO_PCI_KINDS];

typedef struct VirtioPci {
    PciDevice pci;
    Virtio virtio;
    /* properties */
    int disable_legacy;                    /* on, off, auto (off on a conventional bus) */
    bool disable_modern, ioeventfd, packed, iommu_platform, queue_reset, page_per_vq, ats;
    uint32_t vectors, class_code;
    char *iothread;                        /* only where the model names VIRTIO_PCI_IOTHREAD_PROP */
    /* registers */
    bool has_legacy, has_modern;
    uint16_t queue_select;
    uint32_t device_feature_select, driver_feature_select;
    uint8_t window;                        /* offset of the capability for accesses through configuration space; 0: none */
    Region legacy_io, msix_bar, modern_bar, common_io, isr_io, device_io, notify_io;
    GArray *bells;                         /* what is set now, as VirtioBell */
} VirtioPci;
static inline VirtioPci *VIRTIO_PCI(Device *device) { return (VirtioPci *)device; }
static inline VirtioPci *virtio_pci_of(Virtio *virtio) { return (VirtioPci *)virtio->device; }

#define VIRTIO_PCI_PROPS(T, m) \
    PROP_ONOFFAUTO("disable-legacy", T, m.disable_legacy, 2, .help = "no legacy registers: a modern device only"), \
    PROP_BOOL("disable-modern", T, m.disable_modern, false, .help = "legacy registers only"), \
    PROP_BOOL("ioeventfd", T, m.ioeventfd, true, .help = "kicks ring a doorbell instead of entering the device"), \
    PROP_U32("vectors", T, m.vectors, UINT32_MAX, .help = "MSI-X vectors, 0: none; default: one per queue and one more"), \
    PROP_U32("class", T, m.class_code, 0, .max = 0xffffff, .help = "PCI class code; default: the model's"), \
    PROP_BOOL("event_idx", T, m.virtio.event_index, true, .help = "offer the event index feature"), \
    PROP_BOOL("indirect_desc", T, m.virtio.indirect, true, .help = "offer indirect descriptors"), \
    PROP_BOOL("notify_on_empty", T, m.virtio.notify_on_empty, true, .help = "offer that legacy feature"), \
    PROP_BOOL("any_layout", T, m.virtio.any_layout, true, .help = "offer that legacy feature"), \
    PROP_BOOL("packed", T, m.packed, false, .help = "packed rings; not supported"), \
    PROP_BOOL("iommu_platform", T, m.iommu_platform, false, .help = "DMA behind an IOMMU; not supported"), \
    PROP_BOOL("ats", T, m.ats, false, .help = "address translation services; not supported"), \
    PROP_BOOL("queue_reset", T, m.queue_reset, false, .help = "reset of single queues; not supported"), \
    PROP_BOOL("page-per-vq", T, m.page_per_vq, false, .help = "a page of notification addresses for each queue")
/* Queues served by a thread of their own. virtio_pci_iothread() finds it. */
#define VIRTIO_PCI_IOTHREAD_PROP(T, m) \
    PROP_STR("iothread", T, m.iothread, .help = "id of an -object iothread that serves the queues; default: the main loop")

/* The one that iothread= names, or NULL without; false when there is none of that name. */
bool virtio_pci_iothread(VirtioPci *vpci, IoThread **out, GError **err);
/* vectors: when vectors= says nothing. */
bool virtio_pci_realize(VirtioPci *vpci, unsigned vectors, GError **err);
void virtio_pci_unrealize(VirtioPci *vpci);                /* harmless when repeated or never realized */
void virtio_pci_reset(Device *device);
void virtio_pci_before_save(Device *device);
bool virtio_pci_after_load(Device *device, GError **err);

extern const Field virtio_pci_saved[];
#define SAVE_VIRTIO_PCI(T, m) SAVE_STRUCT(T, m, virtio_pci_saved)

/* const DeviceModel NAME_models[VIRTIO_PCI_KINDS] = VIRTIO_PCI_MODELS("virtio-xyz", .help = ..., .size = ..., ...); the generic one's
 * alias is virtio-xyz. Everything but name, aliases, bus and class_data is given. */
#define VIRTIO_PCI_MODELS(base_name, ...) { \
    { .name = base_name "-pci", .aliases = (const char *const[]){ base_name, NULL }, .bus = BUS_PCI, .bus_props = pci_props, \
      .class_data = &virtio_pci_kinds[VIRTIO_PCI_GENERIC].pci, .hotpluggable = true, __VA_ARGS__ }, \
    { .name = base_name "-pci-transitional", .bus = BUS_PCI, .bus_props = pci_props, \
      .class_data = &virtio_pci_kinds[VIRTIO_PCI_TRANSITIONAL].pci, .hotpluggable = true, __VA_ARGS__ }, \
    { .name = base_name "-pci-non-transitional", .bus = BUS_PCI, .bus_props = pci_props, \
      .class_data = &virtio_pci_kinds[VIRTIO_PCI_MODERN].pci, .hotpluggable = true, __VA_ARGS__ } }
