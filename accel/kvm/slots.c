/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slots.c - guest memory as KVM's memory slots, and the dirty log
 *
 * A new flat view is turned into the list of slots that it wants; what is not wanted any more is deleted, what is new
 * is added. While the machine is paused that waits until it goes on. Both happen with every vCPU out of KVM_RUN, so that none sees the hole between. Ranges are cut at 768 KiB and 1 MiB: the
 * chipset's PAM flips then never replace the large slots around them. What is not aligned to pages stays without a slot:
 * its accesses come as MMIO exits, which serve memory too.
 *
 * Threads  machine lock held
 * Tests    tests/kvm
 */
#include "accel/kvm/kvm-internal.h"
#include "accel/memory/ram.h"
#include "base/log.h"
#include "base/trace.h"
#include <string.h>

enum { TRACE_SLOT };
static TracePoint slots_trace[] = { [TRACE_SLOT] = { "kvm_slot", "a memory slot was set or deleted (size 0)" } };
TRACE_TABLE(slots_trace)

enum { PAGE = 4096 };
static const uint64_t cuts[] = { 0xc0000, 0x100000 };

typedef struct Slot {
    uint64_t start, size;
    uint8_t *host;
    RamBlock *ram;                         /* a reference */
    uint64_t ram_offset;
    bool readonly, logging;
    uint32_t id;
    bool keep;                             /* while comparing */
} Slot;

struct KvmSlots {
    Kvm *kvm;
    GArray *list;                          /* Slot */
    GByteArray *used;                      /* one byte per id */
    uint32_t most;
    bool stale;                            /* the view changed since the last update */
    uint64_t *bitmap;                      /* for KVM_GET_DIRTY_LOG */
    size_t bitmap_bytes;
};

static bool is_logging(const RamBlock *ram)
{
    for (unsigned client = 0; client < DIRTY_CLIENTS; client++) {
        if (ram->dirty[client]) {
            return true;
        }
    }
    return false;
}

static int tell_kvm(KvmSlots *slots, const Slot *slot, uint64_t size)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot->id,
        .flags = (slot->readonly ? KVM_MEM_READONLY : 0) | (slot->logging ? KVM_MEM_LOG_DIRTY_PAGES : 0),
        .guest_phys_addr = slot->start,
        .memory_size = size,
        .userspace_addr = (uintptr_t)slot->host,
    };
    int result = kvm_ioctl(slots->kvm->vm, KVM_SET_USER_MEMORY_REGION, &region);
    TRACE(&slots_trace[TRACE_SLOT], "slot %u at 0x%" G_GINT64_MODIFIER "x size 0x%" G_GINT64_MODIFIER "x flags %u: %d", slot->id, slot->start, size,
          region.flags, result);
    if (result < 0) {
        report_error("KVM refuses memory at 0x%" G_GINT64_MODIFIER "x, %" G_GUINT64_FORMAT " KiB: %s; the guest reaches it slowly", slot->start,
                     size >> 10, g_strerror(-result));
    }
    return result;
}

/* The dirty log -------------------------------------------------------------------------------------------------- */

static void harvest(KvmSlots *slots, const Slot *slot)
{
    size_t bytes = (slot->size / PAGE + 63) / 64 * 8;

    if (bytes > slots->bitmap_bytes) {
        uint64_t *larger = g_try_realloc(slots->bitmap, bytes);
        if (!larger) {
            ram_mark_dirty(slot->ram, slot->ram_offset, slot->size);     /* no room to ask: all of it, then */
            return;
        }
        slots->bitmap = larger;
        slots->bitmap_bytes = bytes;
    }
    memset(slots->bitmap, 0, bytes);
    struct kvm_dirty_log log = { .slot = slot->id, .dirty_bitmap = slots->bitmap };
    if (kvm_ioctl(slots->kvm->vm, KVM_GET_DIRTY_LOG, &log) < 0) {
        ram_mark_dirty(slot->ram, slot->ram_offset, slot->size);
        return;
    }
    for (size_t word = 0; word < bytes / 8; word++) {
        for (uint64_t bits = slots->bitmap[word]; bits; bits &= bits - 1) {
            uint64_t page = word * 64 + (unsigned)__builtin_ctzll(bits);
            ram_mark_dirty(slot->ram, slot->ram_offset + page * PAGE, PAGE);
        }
    }
}

static void log_sync(void *opaque, RamBlock *ram)
{
    KvmSlots *slots = opaque;
    for (guint i = 0; i < slots->list->len; i++) {
        const Slot *slot = &g_array_index(slots->list, Slot, i);
        if (slot->ram == ram && slot->logging) {
            harvest(slots, slot);
        }
    }
}

static void log_changed(void *opaque, RamBlock *ram, bool logging)
{
    KvmSlots *slots = opaque;
    for (guint i = 0; i < slots->list->len; i++) {
        Slot *slot = &g_array_index(slots->list, Slot, i);
        if (slot->ram == ram && !slot->readonly && slot->logging != logging) {
            slot->logging = logging;
            tell_kvm(slots, slot, slot->size);
        }
    }
}

/* Slots from views ----------------------------------------------------------------------------------------------- */

static bool same(const Slot *a, const Slot *b)
{
    return a->start == b->start && a->size == b->size && a->host == b->host && a->readonly == b->readonly;
}

/* The page-aligned inside of [start, end) of a range. */
static void want_piece(GArray *wanted, const FlatRange *range, uint64_t start, uint64_t end)
{
    uint64_t first = (start + PAGE - 1) & ~(uint64_t)(PAGE - 1), last = end & ~(uint64_t)(PAGE - 1);
    if (first >= last) {
        return;
    }
    uint64_t offset = first - range->start;
    if ((uintptr_t)(range->host + offset) % PAGE != 0) {
        return;                            /* an alias at an odd offset */
    }
    Slot slot = { .start = first, .size = last - first, .host = range->host + offset, .ram = range->ram,
                  .ram_offset = range->ram_offset + offset, .readonly = range->readonly };
    slot.logging = !slot.readonly && is_logging(slot.ram);
    g_array_append_val(wanted, slot);
}

static GArray *wanted_slots(const FlatView *view)
{
    GArray *wanted = g_array_new(FALSE, FALSE, sizeof(Slot));

    for (size_t i = 0; i < view->count; i++) {
        const FlatRange *range = &view->ranges[i];
        if (!range->host) {
            continue;
        }
        uint64_t start = range->start, end = range->start + range->size;
        for (size_t c = 0; c < G_N_ELEMENTS(cuts); c++) {
            if (start < cuts[c] && end > cuts[c]) {
                want_piece(wanted, range, start, cuts[c]);
                start = cuts[c];
            }
        }
        want_piece(wanted, range, start, end);
    }
    return wanted;
}

static bool take_id(KvmSlots *slots, uint32_t *id)
{
    for (guint i = 0; i < slots->used->len; i++) {
        if (!slots->used->data[i]) {
            slots->used->data[i] = 1;
            *id = i;
            return true;
        }
    }
    if (slots->used->len >= slots->most) {
        return false;
    }
    uint8_t one = 1;
    *id = slots->used->len;
    g_byte_array_append(slots->used, &one, 1);
    return true;
}

static void drop_slot(KvmSlots *slots, guint index)
{
    Slot *slot = &g_array_index(slots->list, Slot, index);
    if (slot->logging) {
        harvest(slots, slot);
    }
    tell_kvm(slots, slot, 0);
    slots->used->data[slot->id] = 0;
    ram_block_unref(slot->ram);
    g_array_remove_index_fast(slots->list, index);
}

static void add_slot(KvmSlots *slots, Slot slot)
{
    if (!take_id(slots, &slot.id)) {
        report_error("KVM has only %u memory slots: memory at 0x%" G_GINT64_MODIFIER "x is reached slowly", slots->most, slot.start);
        return;
    }
    if (tell_kvm(slots, &slot, slot.size) < 0) {
        slots->used->data[slot.id] = 0;
        return;
    }
    ram_block_ref(slot.ram);
    slot.keep = true;
    g_array_append_val(slots->list, slot);
}

static void update(KvmSlots *slots, const FlatView *view)
{
    g_autoptr(GArray) wanted = wanted_slots(view);
    bool changes = false;

    for (guint i = 0; i < slots->list->len; i++) {
        g_array_index(slots->list, Slot, i).keep = false;
    }
    for (guint w = 0; w < wanted->len; w++) {
        Slot *want = &g_array_index(wanted, Slot, w);
        for (guint i = 0; i < slots->list->len && !want->keep; i++) {
            Slot *have = &g_array_index(slots->list, Slot, i);
            if (!have->keep && same(have, want)) {
                have->keep = want->keep = true;
            }
        }
        changes |= !want->keep;
    }
    for (guint i = 0; i < slots->list->len; i++) {
        changes |= !g_array_index(slots->list, Slot, i).keep;
    }
    if (!changes) {
        return;
    }
    kvm_inhibit(slots->kvm);
    for (guint i = slots->list->len; i-- > 0;) {
        if (!g_array_index(slots->list, Slot, i).keep) {
            drop_slot(slots, i);
        }
    }
    for (guint w = 0; w < wanted->len; w++) {
        if (!g_array_index(wanted, Slot, w).keep) {
            add_slot(slots, g_array_index(wanted, Slot, w));
        }
    }
    kvm_uninhibit(slots->kvm);
}

/* While nobody runs, changes gather until somebody is about to: a machine is built and reset with one update. */
static void view_changed(void *opaque, const FlatView *old_view, const FlatView *new_view)
{
    KvmSlots *slots = opaque;

    (void)old_view;
    slots->stale = slots->kvm->accel->settled;
    if (!slots->stale) {
        update(slots, new_view);
    }
}

void kvm_slots_sync(KvmSlots *slots)
{
    if (slots && slots->stale) {
        slots->stale = false;
        update(slots, space_view(slots->kvm->accel->memory));
    }
}

KvmSlots *kvm_slots_new(Kvm *kvm)
{
    KvmSlots *slots = g_new0(KvmSlots, 1);
    int most = kvm_ioctl(kvm->vm, KVM_CHECK_EXTENSION, (void *)(intptr_t)KVM_CAP_NR_MEMSLOTS);

    slots->kvm = kvm;
    slots->most = most > 0 ? (uint32_t)most : 32;
    slots->list = g_array_new(FALSE, FALSE, sizeof(Slot));
    slots->used = g_byte_array_new();
    ram_set_logger(&(RamLogger){ log_changed, log_sync, slots });
    space_listen(kvm->accel->memory, &(SpaceListener){ view_changed, slots });
    return slots;
}

void kvm_slots_free(KvmSlots *slots)
{
    if (!slots) {
        return;
    }
    space_unlisten(slots->kvm->accel->memory, &(SpaceListener){ view_changed, slots });
    ram_set_logger(NULL);
    for (guint i = 0; i < slots->list->len; i++) {       /* the slots themselves go with the VM */
        ram_block_unref(g_array_index(slots->list, Slot, i).ram);
    }
    g_array_unref(slots->list);
    g_byte_array_unref(slots->used);
    g_free(slots->bitmap);
    g_free(slots);
}
