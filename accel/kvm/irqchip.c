/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * irqchip.c - interrupts in the kernel: the chips, the routing table, messages, irqfds, and ioeventfds
 *
 * GSIs     0 to 15   PIC pins and IOAPIC pins (GSI 0 is IOAPIC pin 2, and pin 2 of the PIC is the cascade)
 *          16 to 23  IOAPIC pins
 *          24 on     one message each, for irqfds of MSI and MSI-X vectors
 * Split    the kernel has LAPICs only; GSIs 0 to 23 hold what the userspace IOAPIC's pins would send, so that EOIs come out
 * Threads  kvm_set_gsi and kvm_send_msi: any; the table: machine lock held
 * Tests    tests/kvm
 */
#include "accel/kvm/kvm-internal.h"
#include "base/error.h"
#include "base/trace.h"
#include <errno.h>
#include <string.h>

enum { TRACE_MSI, TRACE_GSI };
static TracePoint irqchip_trace[] = { [TRACE_MSI] = { "kvm_msi", "a message-signalled interrupt was sent" },
                                      [TRACE_GSI] = { "kvm_gsi", "an interrupt line was set" } };
TRACE_TABLE(irqchip_trace)

enum { IOAPIC_PINS = 24, PIC_PINS = 16, FIRST_MESSAGE_GSI = IOAPIC_PINS };

struct KvmRoutes {
    GArray *entries;                       /* struct kvm_irq_routing_entry */
    uint32_t most;                         /* GSIs that the kernel knows */
};

static void add_route(KvmRoutes *routes, struct kvm_irq_routing_entry entry)
{
    g_array_append_val(routes->entries, entry);
}

static void drop_routes(KvmRoutes *routes, uint32_t gsi)
{
    for (guint i = routes->entries->len; i-- > 0;) {
        if (g_array_index(routes->entries, struct kvm_irq_routing_entry, i).gsi == gsi) {
            g_array_remove_index(routes->entries, i);
        }
    }
}

static struct kvm_irq_routing_entry message_route(uint32_t gsi, uint64_t address, uint32_t data)
{
    return (struct kvm_irq_routing_entry){
        .gsi = gsi, .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = { .address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data } };
}

static int commit_routes(Kvm *kvm)
{
    const GArray *entries = kvm->routes->entries;
    size_t bytes = entries->len * sizeof(struct kvm_irq_routing_entry);
    struct kvm_irq_routing *table = g_malloc0(sizeof *table + bytes);

    table->nr = entries->len;
    if (bytes) {
        memcpy(table->entries, entries->data, bytes);
    }
    int result = kvm_ioctl(kvm->vm, KVM_SET_GSI_ROUTING, table);
    g_free(table);
    return result;
}

static void pin_route(KvmRoutes *routes, uint32_t gsi, uint32_t chip, uint32_t pin)
{
    add_route(routes, (struct kvm_irq_routing_entry){ .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP,
                                                      .u.irqchip = { .irqchip = chip, .pin = pin } });
}

static void add_pin_routes(KvmRoutes *routes)
{
    for (uint32_t gsi = 0; gsi < IOAPIC_PINS; gsi++) {
        if (gsi < PIC_PINS && gsi != 2) {
            pin_route(routes, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi & 7);
        }
        if (gsi != 2) {
            pin_route(routes, gsi, KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi);
        }
    }
}

static int make_chips(Kvm *kvm, IrqchipMode mode)
{
    if (mode == IRQCHIP_SPLIT) {
        struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS } };
        return kvm_ioctl(kvm->vm, KVM_ENABLE_CAP, &split);
    }
    struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
    int result = kvm_ioctl(kvm->vm, KVM_CREATE_IRQCHIP, NULL);
    return result < 0 ? result : kvm_ioctl(kvm->vm, KVM_CREATE_PIT2, &pit);
}

bool kvm_irqchip_open(Kvm *kvm, IrqchipMode mode, GError **err)
{
    kvm->accel->irqchip = mode;
    if (mode == IRQCHIP_OFF) {
        return true;
    }
    int result = make_chips(kvm, mode);
    if (result < 0) {
        return fail(err, -result, "/dev/kvm: this host's KVM gives no %s: %s; try kernel-irqchip=off",
                    mode == IRQCHIP_SPLIT ? "split interrupt controller" : "interrupt controllers and timer", g_strerror(-result));
    }
    int most = kvm_ioctl(kvm->vm, KVM_CHECK_EXTENSION, (void *)(intptr_t)KVM_CAP_IRQ_ROUTING);
    kvm->routes = g_new0(KvmRoutes, 1);
    kvm->routes->entries = g_array_new(FALSE, FALSE, sizeof(struct kvm_irq_routing_entry));
    kvm->routes->most = most > FIRST_MESSAGE_GSI ? (uint32_t)most : FIRST_MESSAGE_GSI;
    if (mode == IRQCHIP_KERNEL) {
        add_pin_routes(kvm->routes);
    }
    result = commit_routes(kvm);
    return result >= 0 || fail(err, -result, "/dev/kvm: refuses the interrupt routing table: %s", g_strerror(-result));
}

void kvm_irqchip_close(Kvm *kvm)
{
    if (kvm->routes) {
        g_array_unref(kvm->routes->entries);
        g_clear_pointer(&kvm->routes, g_free);
    }
}

void kvm_set_gsi(Accel *accel, int gsi, bool level)
{
    Kvm *kvm = accel->data;
    struct kvm_irq_level line = { .irq = (uint32_t)gsi, .level = level };
    int result = kvm_ioctl(kvm->vm, KVM_IRQ_LINE, &line);
    TRACE(&irqchip_trace[TRACE_GSI], "gsi %d level %d: %d", gsi, level, result);
    (void)result;                          /* only a GSI that does not exist is refused, and then there is no line */
}

void kvm_send_msi(Accel *accel, uint64_t address, uint32_t data)
{
    Kvm *kvm = accel->data;
    struct kvm_msi message = { .address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data };
    int result = kvm_ioctl(kvm->vm, KVM_SIGNAL_MSI, &message);
    TRACE(&irqchip_trace[TRACE_MSI], "address 0x%" G_GINT64_MODIFIER "x data 0x%x: %d", address, data, result);
    (void)result;                          /* a guest may name a processor that is not there: the message is lost, as on a bus */
}

void kvm_set_ioapic_route(Accel *accel, int pin, uint64_t address, uint32_t data)
{
    Kvm *kvm = accel->data;
    if (!kvm->routes || accel->irqchip != IRQCHIP_SPLIT || pin < 0 || pin >= IOAPIC_PINS) {
        return;
    }
    drop_routes(kvm->routes, (uint32_t)pin);
    if (data) {
        add_route(kvm->routes, message_route((uint32_t)pin, address, data));
    }
    commit_routes(kvm);
}

/* A GSI that no route uses yet, or -ENOSPC. */
static int free_gsi(const KvmRoutes *routes)
{
    for (uint32_t gsi = FIRST_MESSAGE_GSI; gsi < routes->most; gsi++) {
        bool used = false;
        for (guint i = 0; i < routes->entries->len && !used; i++) {
            used = g_array_index(routes->entries, struct kvm_irq_routing_entry, i).gsi == gsi;
        }
        if (!used) {
            return (int)gsi;
        }
    }
    return -ENOSPC;
}

int kvm_add_irqfd(Accel *accel, int fd, int resample_fd, int gsi, uint64_t address, uint32_t data)
{
    Kvm *kvm = accel->data;
    bool message = address != 0;

    if (!kvm->routes) {
        return -ENOTSUP;                   /* kernel-irqchip=off */
    }
    if (message) {
        gsi = free_gsi(kvm->routes);
        if (gsi < 0) {
            return gsi;
        }
        add_route(kvm->routes, message_route((uint32_t)gsi, address, data));
        int result = commit_routes(kvm);
        if (result < 0) {
            drop_routes(kvm->routes, (uint32_t)gsi);
            return result;
        }
    }
    struct kvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = (uint32_t)gsi };
    if (resample_fd >= 0) {
        irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
        irqfd.resamplefd = (uint32_t)resample_fd;
    }
    int result = kvm_ioctl(kvm->vm, KVM_IRQFD, &irqfd);
    if (result < 0 && message) {
        drop_routes(kvm->routes, (uint32_t)gsi);
        commit_routes(kvm);
    }
    return result < 0 ? result : gsi;
}

void kvm_remove_irqfd(Accel *accel, int fd, int gsi)
{
    Kvm *kvm = accel->data;
    struct kvm_irqfd irqfd = { .fd = (uint32_t)fd, .gsi = (uint32_t)gsi, .flags = KVM_IRQFD_FLAG_DEASSIGN };

    if (!kvm->routes) {
        return;
    }
    kvm_ioctl(kvm->vm, KVM_IRQFD, &irqfd);
    if (gsi >= FIRST_MESSAGE_GSI) {
        drop_routes(kvm->routes, (uint32_t)gsi);
        commit_routes(kvm);
    }
}

/* Doorbells ------------------------------------------------------------------------------------------------------ */

static bool ioeventfd(Accel *accel, const AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd, uint32_t flags)
{
    Kvm *kvm = accel->data;
    struct kvm_ioeventfd event = { .datamatch = value, .addr = address, .len = size, .fd = fd, .flags = flags };

    if (size == 0 && (match || !kvm->has_ioeventfd_any_length)) {
        return false;                      /* space.c has such doorbells */
    }
    event.flags |= space == accel->ports ? KVM_IOEVENTFD_FLAG_PIO : 0;
    event.flags |= match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0;
    return kvm_ioctl(kvm->vm, KVM_IOEVENTFD, &event) >= 0;
}

bool kvm_doorbell_add(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd)
{
    return ioeventfd(accel, space, address, size, match, value, fd, 0);
}

bool kvm_doorbell_remove(Accel *accel, AddressSpace *space, uint64_t address, unsigned size, bool match, uint64_t value, int fd)
{
    return ioeventfd(accel, space, address, size, match, value, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}
