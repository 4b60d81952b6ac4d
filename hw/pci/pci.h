/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci.h - PCI functions, the bus between them, and what a device model may ask of either
 *
 * A model's struct begins with PciDevice and its DeviceModel names .class_data = &its PciModel, .bus_props = pci_props,
 * SAVE_PCI() as the first entry of .saved, and calls pci_reset() and pci_after_load() from its own .reset and .after_load (or
 * names pci_reset_device and pci_after_load_device there when it has nothing to add). The bus fills the header before
 * realize; realize adds BARs and capabilities; unrealize begins with pci_unrealize(), which takes them away, so that the
 * model can destroy its regions.
 *
 * Configuration space is a register table: for each byte its value, which bits a guest may write, and which bits a written one
 * clears. A model that must act on a write gives .config_written.
 *
 * Machine lock held everywhere, except pci_msix_notify() and pci_dma_*: any thread while the device lives.
 */
#pragma once
#include "accel/memory/dma.h"
#include "hw/core/device.h"
#include "hw/pci/registers.h"

typedef struct PciBus PciBus;
typedef struct PciDevice PciDevice;

enum { PCI_SLOTS = 32, PCI_FUNCTIONS = 8, PCI_DEVFNS = 256, PCI_BARS = 6, PCI_ROM_BAR = 6, PCI_REGIONS = 7, PCI_PINS = 4 };
#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))
#define PCI_SLOT(devfn) ((devfn) >> 3)
#define PCI_FUNCTION(devfn) ((devfn) & 7)

typedef struct PciModel {
    uint16_t vendor, device;
    uint16_t subsystem_vendor, subsystem;  /* both 0: 1af4:1100, as QEMU's devices say */
    uint32_t class_code;                   /* 24 bits: class, subclass, programming interface */
    uint8_t revision;
    uint8_t interrupt_pin;                 /* 0 none, 1 INTA# to 4 INTD# */
    void (*config_written)(PciDevice *pci, unsigned offset, unsigned size);    /* after the masks took effect */
    void (*config_reading)(PciDevice *pci, unsigned offset, unsigned size);    /* before the guest reads: for bytes that are a window */
} PciModel;

typedef struct PciBar {
    Region *region;                        /* NULL: not implemented */
    uint64_t size, address;                /* where it is mapped, when it is */
    uint8_t flags;                         /* PCI_BAR_IO, PCI_BAR_64, PCI_BAR_PREFETCH */
    bool mapped;
} PciBar;

typedef struct PciMsix {
    uint8_t capability;                    /* its offset, 0: none */
    uint32_t vectors;
    uint8_t *table, *pending;
    uint32_t table_size, pending_size;     /* bytes */
    Region table_io, pending_io;
    void (*changed)(PciDevice *pci, unsigned vector);       /* a vector's address, data or mask changed (irqfd); may be NULL */
} PciMsix;

struct PciDevice {
    Device device;
    uint8_t devfn;                         /* once attached */
    uint16_t wanted;                       /* devfn + 1 from addr=, 0: the bus chooses */
    bool multifunction;
    bool attached;
    uint16_t device_id;                    /* the model's, unless pci_set_device_id() said otherwise */
    char *romfile;
    uint32_t rombar;
    uint8_t config[PCI_CONFIG_SIZE], writable[PCI_CONFIG_SIZE], write_clears[PCI_CONFIG_SIZE];
    PciBar bars[PCI_REGIONS];              /* [PCI_ROM_BAR] is the expansion ROM */
    Region rom;
    bool intx;                             /* the function's own wish */
    bool intx_driven;                      /* what reaches the bus: intx and not disabled */
    uint8_t last_capability, free_config;  /* end of the list; first byte not used by a capability */
    uint8_t msi;                           /* offset of the MSI capability, 0: none */
    PciMsix msix;
};

/* A message: a write of data to address, which the interrupt controllers take. Any thread. */
typedef struct MsiSink {
    void (*deliver)(void *opaque, uint64_t address, uint32_t data);
    void *opaque;
} MsiSink;

struct PciBus {
    Bus bus;
    PciDevice *functions[PCI_DEVFNS];
    Region *memory, *io;                   /* where BARs are mapped */
    IrqLine pirq[PCI_PINS];                /* set at wiring: the interrupt router's inputs */
    unsigned asserted[PCI_PINS];           /* functions that pull each of them */
    MsiSink msi;                           /* set at wiring */
};

void pci_bus_init(PciBus *pci_bus, const char *name, Machine *machine, Device *parent, Region *memory, Region *io);
void pci_bus_destroy(PciBus *pci_bus);
static inline PciDevice *PCI_DEVICE(Device *device) { return (PciDevice *)device; }
static inline PciBus *pci_bus_of(const PciDevice *pci) { return (PciBus *)pci->device.bus; }
PciDevice *pci_bus_function(const PciBus *pci_bus, unsigned devfn);             /* NULL: nothing there */
/* The guest's configuration accesses; offset + size <= 4096, size 1, 2 or 4. */
uint32_t pci_config_read(PciDevice *pci, unsigned offset, unsigned size);
void pci_config_write(PciDevice *pci, unsigned offset, uint32_t value, unsigned size);

extern const Field pci_props[], pci_saved[];
#define SAVE_PCI(T, m) SAVE_STRUCT(T, m, pci_saved)
void pci_reset(PciDevice *pci);
void pci_reset_device(Device *device);
bool pci_after_load(PciDevice *pci, GError **err);
bool pci_after_load_device(Device *device, GError **err);

/* The model's own configuration values, little endian. */
uint16_t pci_config_get16(const PciDevice *pci, unsigned offset);
uint32_t pci_config_get32(const PciDevice *pci, unsigned offset);
void pci_config_set16(PciDevice *pci, unsigned offset, uint16_t value);
void pci_config_set32(PciDevice *pci, unsigned offset, uint32_t value);
void pci_set_device_id(PciDevice *pci, uint16_t device_id);                     /* in realize: a model whose id follows from its properties */
/* Makes bits of a register writable (or cleared by writing ones) for the guest. */
void pci_config_writable(PciDevice *pci, unsigned offset, unsigned size, uint32_t mask);
void pci_config_write_clears(PciDevice *pci, unsigned offset, unsigned size, uint32_t mask);
/* Appends a capability of size bytes (its two header bytes included); its offset, or 0 and *err. offset 0: the first free place. */
uint8_t pci_add_capability(PciDevice *pci, uint8_t id, uint8_t offset, uint8_t size, GError **err);

/* BARs. The region's size is the BAR's: a power of two, 16 bytes to 2 GiB (memory; more with PCI_BAR_64), 4 to 256 (I/O). */
bool pci_add_bar(PciDevice *pci, unsigned index, unsigned flags, Region *region, GError **err);
void pci_update_bars(PciDevice *pci);
bool pci_add_rom(PciDevice *pci, GError **err);             /* from romfile=, when there is one */
void pci_remove_bars(PciDevice *pci);
void pci_unrealize(PciDevice *pci);        /* harmless when repeated */

/* INTx. The level, however often; the bus counts who shares a line. */
void pci_set_intx(PciDevice *pci, bool level);
void pci_update_intx(PciDevice *pci);
/* Which router input a function's pin (0 to 3) is soldered to: (slot - 1 + pin) mod 4 on a PIIX board. */
unsigned pci_pirq_of(unsigned devfn, unsigned pin);

/* MSI: vectors 1, 2, 4 ... 32. notify is ignored (and true returned only if sent or pending) while the guest has it off. */
bool pci_msi_init(PciDevice *pci, uint8_t offset, unsigned vectors, bool wide, bool masking, GError **err);
bool pci_msi_enabled(const PciDevice *pci);
void pci_msi_notify(PciDevice *pci, unsigned vector);
/* MSI-X: a table and a pending array inside BARs that the caller gave (containers); offsets as the capability shows them. */
bool pci_msix_init(PciDevice *pci, unsigned vectors, Region *table_bar, unsigned table_index, uint32_t table_offset,
                   Region *pending_bar, unsigned pending_index, uint32_t pending_offset, GError **err);
void pci_msix_destroy(PciDevice *pci);
bool pci_msix_enabled(const PciDevice *pci);
void pci_msix_notify(PciDevice *pci, unsigned vector);
bool pci_msix_masked(const PciDevice *pci, unsigned vector);
void pci_msix_message(const PciDevice *pci, unsigned vector, uint64_t *address, uint32_t *data);
/* Called by the core. */
void pci_config_init(PciDevice *pci);
void pci_msi_config_written(PciDevice *pci, unsigned offset, unsigned size, bool msix_was_on);
void pci_msi_reset(PciDevice *pci);
bool pci_msix_after_load(PciDevice *pci, GError **err);
void pci_send_message(PciDevice *pci, uint64_t address, uint32_t data);

/* Bus mastering: DMA goes through here and is refused while the guest has not set the bus master bit. */
bool pci_is_master(const PciDevice *pci);
AddressSpace *pci_dma_space(const PciDevice *pci);          /* NULL while refused */
bool pci_dma_read(PciDevice *pci, uint64_t address, void *data, size_t length);
bool pci_dma_write(PciDevice *pci, uint64_t address, const void *data, size_t length);
bool pci_dma_map(PciDevice *pci, uint64_t address, size_t length, bool write, DmaMap *map);
