/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * space.c - address spaces: the published view, and the processor's access to what is in it
 *
 * An access finds its range under the epoch. RAM is copied there and then. A device is called with the machine lock held:
 * the epoch is left first, and once the lock is taken the range is looked up again if another view came meanwhile, so
 * that a device that has just been unmapped is never called.
 *
 * Widths   an access becomes pieces; each is the widest that the device takes, that is not wider than what is left and (unless
 *          .unaligned) stands aligned. Where the device takes nothing so narrow, the narrowest aligned access around
 *          the piece is made, and cut (reads) or padded with zeros (writes).
 * Threads  accesses: any; changes: machine lock held
 * Tests    tests/unit/memory-space.c
 */
#include "accel/memory/space.h"
#include "accel/memory/flat.h"
#include "accel/memory/ram.h"
#include "base/epoch.h"
#include "base/lock.h"
#include <string.h>
#include <unistd.h>

/* Immutable like the view, and replaced like it. */
typedef struct DoorbellTable { size_t count; Doorbell bells[]; } DoorbellTable;

struct AddressSpace {
    char *name;
    Region *root;
    FlatView *view;                        /* atomic */
    DoorbellTable *doorbells;              /* atomic; NULL: none */
    uint32_t last_hit;                     /* index of the range found last; a hint */
    GPtrArray *listeners;                  /* SpaceListener *, copies */
    AddressSpace *next;
};

static AddressSpace *spaces;               /* machine lock */

static void notify(const SpaceListener *listener, const FlatView *old_view, const FlatView *new_view)
{
    listener->changed(listener->opaque, old_view, new_view);
}

static void space_update(AddressSpace *space)
{
    FlatView *old_view = space->view;
    FlatView *new_view = flat_render(space->root, old_view->generation + 1);

    if (flat_equal(old_view, new_view)) {
        flat_free(new_view);
        return;
    }
    __atomic_store_n(&space->view, new_view, __ATOMIC_SEQ_CST);
    for (guint i = 0; i < space->listeners->len; i++) {
        notify(g_ptr_array_index(space->listeners, i), old_view, new_view);
    }
    epoch_retire(flat_free, old_view);
}

void spaces_update(void)
{
    for (AddressSpace *space = spaces; space; space = space->next) {
        space_update(space);
    }
}

static void publish_doorbells(AddressSpace *space, DoorbellTable *table)
{
    DoorbellTable *old = __atomic_exchange_n(&space->doorbells, table, __ATOMIC_ACQ_REL);
    if (old) {
        epoch_retire(g_free, old);
    }
}

AddressSpace *space_new(const char *name, Region *root)
{
    AddressSpace *space = g_new0(AddressSpace, 1);
    space->name = g_strdup(name);
    space->root = root;
    space->listeners = g_ptr_array_new_with_free_func(g_free);
    space->view = flat_render(root, 1);
    space->next = spaces;
    spaces = space;
    return space;
}

void space_free(AddressSpace *space)
{
    if (!space) {
        return;
    }
    for (AddressSpace **link = &spaces; *link; link = &(*link)->next) {
        if (*link == space) {
            *link = space->next;
            break;
        }
    }
    /* Nobody may use the space any more, but somebody may still hold its view. */
    epoch_retire(flat_free, space->view);
    publish_doorbells(space, NULL);
    g_ptr_array_unref(space->listeners);
    g_free(space->name);
    g_free(space);
}

void space_listen(AddressSpace *space, const SpaceListener *listener)
{
    SpaceListener *copy = g_memdup2(listener, sizeof *listener);
    FlatView *nothing = flat_new_empty();

    g_ptr_array_add(space->listeners, copy);
    notify(copy, nothing, space->view);
    flat_free(nothing);
}

void space_unlisten(AddressSpace *space, const SpaceListener *listener)
{
    for (guint i = 0; i < space->listeners->len; i++) {
        const SpaceListener *known = g_ptr_array_index(space->listeners, i);
        if (known->changed == listener->changed && known->opaque == listener->opaque) {
            g_ptr_array_remove_index(space->listeners, i);
            return;
        }
    }
}

const FlatView *space_view(AddressSpace *space)
{
    return __atomic_load_n(&space->view, __ATOMIC_SEQ_CST);
}

/* flat_find with a guess: guests come back to the same device. */
static const FlatRange *find(AddressSpace *space, const FlatView *view, uint64_t address)
{
    uint32_t hint = __atomic_load_n(&space->last_hit, __ATOMIC_RELAXED);
    if (hint < view->count && address - view->ranges[hint].start < view->ranges[hint].size) {
        return &view->ranges[hint];
    }
    const FlatRange *range = flat_find(view, address);
    if (range) {
        __atomic_store_n(&space->last_hit, (uint32_t)(range - view->ranges), __ATOMIC_RELAXED);
    }
    return range;
}

/* Doorbells ---------------------------------------------------------------------------------------------------- */

static bool same_bell(const Doorbell *a, const Doorbell *b)
{
    return a->address == b->address && a->size == b->size && a->match == b->match && (!a->match || a->value == b->value) &&
           a->fd == b->fd;
}

void space_add_doorbell(AddressSpace *space, const Doorbell *bell)
{
    const DoorbellTable *old = space->doorbells;
    size_t count = old ? old->count : 0;
    DoorbellTable *table = g_malloc(sizeof *table + (count + 1) * sizeof(Doorbell));

    if (count) {
        memcpy(table->bells, old->bells, count * sizeof(Doorbell));
    }
    table->bells[count] = *bell;
    table->count = count + 1;
    publish_doorbells(space, table);
}

bool space_remove_doorbell(AddressSpace *space, const Doorbell *bell)
{
    const DoorbellTable *old = space->doorbells;
    for (size_t i = 0; old && i < old->count; i++) {
        if (!same_bell(&old->bells[i], bell)) {
            continue;
        }
        DoorbellTable *table = NULL;
        if (old->count > 1) {
            table = g_malloc(sizeof *table + (old->count - 1) * sizeof(Doorbell));
            table->count = old->count - 1;
            memcpy(table->bells, old->bells, i * sizeof(Doorbell));
            memcpy(table->bells + i, old->bells + i + 1, (old->count - i - 1) * sizeof(Doorbell));
        }
        publish_doorbells(space, table);
        return true;
    }
    return false;
}

/* Inside the epoch. An eventfd at its limit has rung already, so a failed write loses nothing. */
static bool ring_doorbell(AddressSpace *space, uint64_t address, unsigned size, uint64_t value)
{
    const DoorbellTable *table = __atomic_load_n(&space->doorbells, __ATOMIC_ACQUIRE);
    for (size_t i = 0; table && i < table->count; i++) {
        const Doorbell *bell = &table->bells[i];
        if (bell->address == address && (bell->size == 0 || bell->size == size) && (!bell->match || bell->value == value)) {
            uint64_t one = 1;
            ssize_t done = write(bell->fd, &one, sizeof one);
            (void)done;
            return true;
        }
    }
    return false;
}

/* Devices ------------------------------------------------------------------------------------------------------ */

static inline uint64_t ones(unsigned size)
{
    return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1;
}

/* One access that the device is to see: width bytes at offset, of which `take` bytes from byte `skip` on are the guest's. */
typedef struct Piece { uint64_t offset; unsigned width, skip, take; } Piece;

static Piece next_piece(const RegionOps *ops, uint64_t offset, unsigned left)
{
    for (unsigned width = 8; width; width /= 2) {
        if ((ops->widths & width) && width <= left && (ops->unaligned || offset % width == 0)) {
            return (Piece){ offset, width, 0, width };
        }
    }
    /* Nothing fits: the narrowest that the device has, aligned around it. */
    unsigned width = ops->widths ? ops->widths & -(unsigned)ops->widths : 1;
    unsigned skip = (unsigned)(offset % width);
    return (Piece){ offset - skip, width, skip, MIN(left, width - skip) };
}

static inline bool inside(const Region *region, const Piece *piece)
{
    return piece->offset < region->size && piece->width <= region->size - piece->offset;
}

static uint64_t device_read(const Region *region, uint64_t offset, unsigned size)
{
    const RegionOps *ops = region->ops;
    if (!ops->read) {
        return ones(size);
    }
    if ((ops->widths & size) && (ops->unaligned || offset % size == 0) && offset < region->size && size <= region->size - offset) {
        return ops->read(region->opaque, offset, size) & ones(size);
    }
    uint64_t value = 0;
    for (unsigned done = 0; done < size;) {
        Piece piece = next_piece(ops, offset + done, size - done);
        uint64_t part = inside(region, &piece) ? ops->read(region->opaque, piece.offset, piece.width) : UINT64_MAX;
        value |= (part >> (piece.skip * 8) & ones(piece.take)) << (done * 8);
        done += piece.take;
    }
    return value;
}

static void device_write(const Region *region, uint64_t offset, unsigned size, uint64_t value)
{
    const RegionOps *ops = region->ops;
    if (!ops->write) {
        return;
    }
    for (unsigned done = 0; done < size;) {
        Piece piece = next_piece(ops, offset + done, size - done);
        if (inside(region, &piece)) {
            uint64_t part = (value >> (done * 8) & ones(piece.take)) << (piece.skip * 8);
            ops->write(region->opaque, piece.offset, part, piece.width);
        }
        done += piece.take;
    }
}

/* A device access found under the epoch, made under the right lock. The epoch is left here. */
typedef struct Access { AddressSpace *space; const FlatView *view; uint64_t address; unsigned size; bool is_write; } Access;

static MemResult device_access(const Access *access, const FlatRange *range, uint64_t *value)
{
    const Region *region = range->region;
    uint64_t offset = range->offset + (access->address - range->start);
    MemResult result = MEM_OK;

    if (access->is_write && ring_doorbell(access->space, access->address, access->size, *value)) {
        epoch_leave();
        return MEM_OK;
    }
    if (region->ops->unlocked) {
        if (access->is_write) {
            device_write(region, offset, access->size, *value);
        } else {
            *value = device_read(region, offset, access->size);
        }
        epoch_leave();
        return MEM_OK;
    }
    uint64_t generation = access->view->generation;
    epoch_leave();
    bool locked_here = !machine_lock_held();
    if (locked_here) {
        machine_lock();
    }
    if (access->space->view->generation != generation) {
        range = flat_find(access->space->view, access->address);
        if (range && (range->size - (access->address - range->start) < access->size || !range->region->ops)) {
            range = NULL;                  /* became something else under our feet: as if nothing had answered */
        }
        region = range ? range->region : NULL;
        offset = range ? range->offset + (access->address - range->start) : 0;
    }
    if (!region) {
        result = MEM_NOTHING_THERE;
        if (!access->is_write) {
            *value = ones(access->size);
        }
    } else if (access->is_write) {
        device_write(region, offset, access->size, *value);
    } else {
        *value = device_read(region, offset, access->size);
    }
    if (locked_here) {
        machine_unlock();
    }
    return result;
}

/* The processor's accesses ------------------------------------------------------------------------------------- */

static inline void ram_get(const uint8_t *host, unsigned size, uint64_t *value)
{
    *value = 0;
    switch (size) {
    case 1: memcpy(value, host, 1); break;
    case 2: memcpy(value, host, 2); break;
    case 4: memcpy(value, host, 4); break;
    case 8: memcpy(value, host, 8); break;
    default: memcpy(value, host, size); break;
    }
}

static inline void ram_put(uint8_t *host, unsigned size, uint64_t value)
{
    switch (size) {
    case 1: memcpy(host, &value, 1); break;
    case 2: memcpy(host, &value, 2); break;
    case 4: memcpy(host, &value, 4); break;
    case 8: memcpy(host, &value, 8); break;
    default: memcpy(host, &value, size); break;
    }
}

static void ram_written(const FlatRange *range, uint64_t offset, uint64_t length)
{
    ram_mark_dirty(range->ram, range->ram_offset + offset, length);
    if (ram_code_written) {
        ram_code_written(range->ram, range->ram_offset + offset, length);
    }
}

/* A load across the end of a range, byte by byte: rare, and each byte may be another device's. */
static MemResult load_bytes(AddressSpace *space, uint64_t address, unsigned size, uint64_t *value)
{
    MemResult result = MEM_OK;
    *value = 0;
    for (unsigned i = 0; i < size; i++) {
        uint64_t byte = 0xff;
        MemResult one = i > UINT64_MAX - address ? MEM_NOTHING_THERE : space_load(space, address + i, 1, &byte);
        result = one != MEM_OK ? one : result;
        *value |= (byte & 0xff) << (i * 8);
    }
    return result;
}

static MemResult store_bytes(AddressSpace *space, uint64_t address, unsigned size, uint64_t value)
{
    MemResult result = MEM_OK;
    for (unsigned i = 0; i < size; i++) {
        MemResult one = i > UINT64_MAX - address ? MEM_NOTHING_THERE : space_store(space, address + i, 1, value >> (i * 8) & 0xff);
        result = one != MEM_OK ? one : result;
    }
    return result;
}

MemResult space_load(AddressSpace *space, uint64_t address, unsigned size, uint64_t *value)
{
    epoch_enter();
    const FlatView *view = space_view(space);
    const FlatRange *range = find(space, view, address);
    uint64_t left = range ? range->size - (address - range->start) : 0;

    if (range && left >= size) {
        if (range->host) {
            ram_get(range->host + (address - range->start), size, value);
            epoch_leave();
            return MEM_OK;
        }
        return device_access(&(Access){ space, view, address, size, false }, range, value);
    }
    epoch_leave();
    if (size > 1) {
        return load_bytes(space, address, size, value);
    }
    *value = ones(size);
    return MEM_NOTHING_THERE;
}

MemResult space_store(AddressSpace *space, uint64_t address, unsigned size, uint64_t value)
{
    epoch_enter();
    const FlatView *view = space_view(space);
    const FlatRange *range = find(space, view, address);
    uint64_t left = range ? range->size - (address - range->start) : 0;

    if (range && left >= size) {
        value &= ones(size);
        if (!range->host || (range->readonly && range->region->ops)) {
            return device_access(&(Access){ space, view, address, size, true }, range, &value);
        }
        MemResult result = MEM_REFUSED;
        if (!range->readonly) {
            ram_put(range->host + (address - range->start), size, value);
            ram_written(range, address - range->start, size);
            result = MEM_OK;
        }
        epoch_leave();
        return result;
    }
    epoch_leave();
    return size > 1 ? store_bytes(space, address, size, value) : MEM_NOTHING_THERE;
}

/* How far a bulk access may go from address in one piece: RAM to the end of its range, devices in natural elements. */
static unsigned element(uint64_t address, uint64_t length)
{
    unsigned size = 8;
    while (size > length || address % size != 0) {
        size /= 2;
    }
    return size;
}

MemResult space_read(AddressSpace *space, uint64_t address, void *data, uint64_t length)
{
    MemResult result = MEM_OK;
    uint8_t *bytes = data;

    while (length) {
        uint64_t run = 0;
        epoch_enter();
        const FlatRange *range = find(space, space_view(space), address);
        if (range && range->host) {
            run = MIN(length, range->size - (address - range->start));
            memcpy(bytes, range->host + (address - range->start), run);
        }
        epoch_leave();
        if (!run) {
            uint64_t value;
            run = element(address, length);
            MemResult one = space_load(space, address, (unsigned)run, &value);
            result = one != MEM_OK ? one : result;
            memcpy(bytes, &value, run);
        }
        if (length > run && run > UINT64_MAX - address) {
            memset(bytes + run, 0xff, length - run);
            return MEM_NOTHING_THERE;
        }
        address += run, bytes += run, length -= run;
    }
    return result;
}

static MemResult write_bytes(AddressSpace *space, uint64_t address, const uint8_t *bytes, uint64_t length, bool into_rom)
{
    MemResult result = MEM_OK;

    while (length) {
        uint64_t run = 0;
        epoch_enter();
        const FlatRange *range = find(space, space_view(space), address);
        if (range && range->host && (into_rom || !range->readonly)) {
            run = MIN(length, range->size - (address - range->start));
            memcpy(range->host + (address - range->start), bytes, run);
            ram_written(range, address - range->start, run);
        }
        epoch_leave();
        if (!run) {
            uint64_t value = 0;
            run = element(address, length);
            memcpy(&value, bytes, run);
            MemResult one = space_store(space, address, (unsigned)run, value);
            result = one != MEM_OK ? one : result;
        }
        if (length > run && run > UINT64_MAX - address) {
            return MEM_NOTHING_THERE;
        }
        address += run, bytes += run, length -= run;
    }
    return result;
}

MemResult space_write(AddressSpace *space, uint64_t address, const void *data, uint64_t length)
{
    return write_bytes(space, address, data, length, false);
}

MemResult space_write_rom(AddressSpace *space, uint64_t address, const void *data, uint64_t length)
{
    return write_bytes(space, address, data, length, true);
}
