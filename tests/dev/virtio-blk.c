/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-blk.c - the virtio disk, asked by a driver over both interfaces */
#include "base/bytes.h"
#include "base/io-loop.h"
#include "base/json.h"
#include "block/node.h"
#include "hw/virtio/virtio.h"
#include "tests/dev/virtio-driver.h"
#include <string.h>

enum { T_IN = 0, T_OUT = 1, T_SCSI = 2, T_FLUSH = 4, T_ID = 8, T_DISCARD = 11, T_ZEROES = 13 };
enum { HEADER_AT = DRIVER_BUFFERS, STATUS_AT = DRIVER_BUFFERS + 0x100, DATA_AT = DRIVER_BUFFERS + 0x1000 };
enum { SLOT = 4 };

/* Nodes that all tests share: zeroes that go nowhere. */
static Value *nodes(void)
{
    static bool made;

    if (!made) {
        g_autoptr(Value) options = json_parse("{'driver':'null-co','node-name':'null0','size':1048576,'read-zeroes':true}", NULL);
        made = node_add(options, &(NodeOpen){ .loop = io_loop_main(), .writable = true }, NULL);
        g_assert_true(made);
    }
    return NULL;
}

static void header(Driver *driver, uint32_t type, uint64_t sector)
{
    uint8_t bytes[16] = { 0 };

    store_le32(bytes, type);
    store_le64(bytes + 8, sector);
    rig_write(driver->rig, HEADER_AT, bytes, sizeof bytes);
    rig_store(driver->rig, STATUS_AT, 1, 0xee);
}

/* A request with one piece of data; its status, or -1 when it did not come back. */
static int request(Driver *driver, uint32_t type, uint64_t sector, uint32_t length)
{
    const Piece pieces[] = { { HEADER_AT, 16, 0, 0 }, { DATA_AT, length, type == T_IN || type == T_ID ? WRITE : 0, 0 }, { STATUS_AT, 1, WRITE, 0 } };
    const Piece bare[] = { pieces[0], pieces[2] };

    header(driver, type, sector);
    int64_t written = length ? driver_do(driver, 0, pieces, 3) : driver_do(driver, 0, bare, 2);
    return written < 1 ? -1 : (int)rig_load(driver->rig, STATUS_AT, 1);
}

static void requests(Rig *rig, Interface interface)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, interface);
    driver_start(&driver, UINT64_MAX, 1);
    check_eq(driver_config(&driver, 0, 8), 2048);
    rig_store(rig, DATA_AT, 8, UINT64_MAX);
    check_eq(request(&driver, T_IN, 0, 512), 0);
    check_eq(rig_load(rig, DATA_AT, 8), 0);
    check_eq(request(&driver, T_OUT, 1, 1024), 0);
    check_eq(request(&driver, T_FLUSH, 0, 0), 0);
    check_eq(request(&driver, T_IN, 2047, 512), 0);
    check_eq(request(&driver, T_IN, 2047, 1024), 1);
    check_eq(request(&driver, T_IN, UINT64_MAX, 512), 1);
    check_eq(request(&driver, T_IN, UINT64_C(1) << 55, 512), 1);
    check_eq(request(&driver, T_IN, 0, 511), 1);
    check_eq(request(&driver, T_SCSI, 0, 512), 2);
    check_eq(request(&driver, 99, 0, 512), 2);
    check_eq(request(&driver, T_ID, 0, 20), 0);
    char id[21] = { 0 };
    rig_read(rig, DATA_AT, id, 20);
    check(strcmp(id, "R0057") == 0);
}

static void legacy_requests(Rig *rig)
{
    requests(rig, LEGACY);
}

static void modern_requests(Rig *rig)
{
    requests(rig, MODERN);
}

#define DISK "virtio-blk-pci,id=vd,drive=null0,addr=4,serial=R0057"
const Test virtio_blk_tests[] = {
    { "requests over the legacy interface", legacy_requests, "chipset", DISK, FRESH | RESTORED | PLUGGED, NULL, nodes },
    { "requests over the modern interface", modern_requests, "chipset", DISK, FRESH | RESTORED | PLUGGED, NULL, nodes },
    { 0 } };
