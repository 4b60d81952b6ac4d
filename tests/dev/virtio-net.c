/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-net.c - packets both ways over virtio, buffers that are too few or too small, what the driver may ask for, links, drivers that lie */
#include "base/bytes.h"
#include "hw/virtio/virtio.h"
#include "tests/dev/virtio-driver.h"
#include "tests/rig/wire.h"
#include <string.h>

enum { SLOT = 4, RX = 0, TX = 1, CONTROL = 2, QUEUES = 3, OUT_AT = DRIVER_BUFFERS, IN_AT = DRIVER_BUFFERS + 0x20000, CONTROL_AT = DRIVER_BUFFERS + 0x40000 };
#define F(n) (UINT64_C(1) << (n))
#define PLAIN (F(5) | F(16))               /* MAC, STATUS */
#define CARD "virtio-net-pci,id=c,netdev=w,addr=4,mac=52:54:00:aa:bb:cc"

static Wire *wire;

/* It outlives the machines of a test. */
static Value *wires(void)
{
    if (!wire) {
        wire = wire_new("w", 1, NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_TSO6 | NET_TAKES_ECN);
    }
    return NULL;
}

static void begin(Driver *driver, Rig *rig, Interface interface, uint64_t features)
{
    wire_forget(wire);
    wire->most = 1000;
    netdev_set_link(&wire->netdev, true);
    driver_find(driver, rig, SLOT, interface);
    driver_start(driver, features, QUEUES);
}

static void room_at(Driver *driver, uint64_t address, uint32_t bytes)
{
    const Piece piece = { address, bytes, WRITE, 0 };

    driver_offer(driver, RX, driver_chain(driver, RX, &piece, 1));
    driver_kick(driver, RX);
    driver_turn(driver);
}

/* header: ten or twelve bytes before the frame. */
static void send_frame(Driver *driver, const void *header, unsigned header_bytes, const void *frame, unsigned bytes)
{
    const Piece pieces[2] = { { OUT_AT, header_bytes, 0, 0 }, { OUT_AT + 0x100, bytes, 0, 0 } };

    rig_write(driver->rig, OUT_AT, header, header_bytes);
    rig_write(driver->rig, OUT_AT + 0x100, frame, bytes);
    check_eq(driver_do(driver, TX, pieces, 2), 0);
}

static void fill(uint8_t *frame, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        frame[i] = (uint8_t)(i * 13 + i / 256);
    }
    memcpy(frame, "\x52\x54\x00\xaa\xbb\xcc\x52\x54\x00\x01\x02\x03\x08\x06", 14);
}

static void both_ways(Rig *rig, Interface interface, uint64_t features, unsigned header_bytes)
{
    Driver driver;
    uint8_t frame[300], header[12] = { 0 }, back[312];
    uint32_t written = 0;

    begin(&driver, rig, interface, features);
    fill(frame, sizeof frame);
    send_frame(&driver, header, header_bytes, frame, sizeof frame);
    check_eq(wire->frames->len, 1);
    check_eq(g_bytes_get_size(wire->frames->pdata[0]), sizeof frame);
    check(memcmp(g_bytes_get_data(wire->frames->pdata[0], NULL), frame, sizeof frame) == 0);

    room_at(&driver, IN_AT, 1526);
    wire_say(wire, frame, sizeof frame);
    check(driver_used(&driver, RX, NULL, &written));
    check_eq(written, header_bytes + sizeof frame);
    rig_read(rig, IN_AT, back, header_bytes + (unsigned)sizeof frame);
    check(memcmp(back + header_bytes, frame, sizeof frame) == 0);
    if (header_bytes == 12) {
        check_eq(load_le16(back + 10), 1);
    }
}

static void modern(Rig *rig)
{
    both_ways(rig, MODERN, PLAIN | F(32), 12);
}

static void legacy(Rig *rig)
{
    both_ways(rig, LEGACY, PLAIN, 10);
}

static void legacy_merging(Rig *rig)
{
    both_ways(rig, LEGACY, PLAIN | F(15), 12);
}

static void a_packet_over_several_buffers(Rig *rig)
{
    Driver driver;
    uint8_t frame[1000], back[1012];
    uint32_t written = 0;
    size_t at = 0;

    begin(&driver, rig, MODERN, PLAIN | F(15) | F(32));
    fill(frame, sizeof frame);
    for (unsigned i = 0; i < 3; i++) {     /* not enough: it waits */
        room_at(&driver, IN_AT + 0x1000 * i, 200);
    }
    wire_say(wire, frame, sizeof frame);
    check(!netdev_can_deliver(&wire->netdev, 0));
    check_eq(rig_load(rig, driver.rings[RX].used + 2, 2), driver.rings[RX].seen);      /* nothing was used */
    for (unsigned i = 3; i < 6; i++) {
        room_at(&driver, IN_AT + 0x1000 * i, 200);
    }
    for (unsigned i = 0; i < 6; i++) {
        check(driver_used(&driver, RX, NULL, &written));
        check_eq(written, i < 5 ? 200 : 12);
        rig_read(rig, IN_AT + 0x1000 * i, back + at, written);
        at += written;
    }
    check_eq(load_le16(back + 10), 6);
    check(memcmp(back + 12, frame, sizeof frame) == 0);
}

static void a_buffer_that_is_too_small(Rig *rig)
{
    Driver driver;
    uint8_t frame[1000];
    uint32_t written = 0;

    begin(&driver, rig, MODERN, PLAIN | F(32));
    fill(frame, sizeof frame);
    uint64_t faults = rig_device(rig, "c")->guest_faults;
    room_at(&driver, IN_AT, 200);
    wire_say(wire, frame, sizeof frame);
    check_eq(rig_device(rig, "c")->guest_faults, faults + 1);
    wire_say(wire, frame, 100);            /* the buffer is still there for one that fits */
    check(driver_used(&driver, RX, NULL, &written));
    check_eq(written, 112);
}

static void offloads_go_through(Rig *rig)
{
    Driver driver;
    uint8_t frame[3000], header[12] = { 1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0 };

    begin(&driver, rig, MODERN, PLAIN | F(0) | F(11) | F(32));
    fill(frame, sizeof frame);
    send_frame(&driver, header, 12, frame, sizeof frame);
    check_eq(wire->frames->len, 1);
    const NetOffload *offload = &g_array_index(wire->offloads, NetOffload, 0);
    check_eq(offload->flags, 1);
    check_eq(offload->gso_type, 1);
    check_eq(offload->gso_size, 1460);
    check_eq(offload->csum_start, 34);
    header[1] = 99;                        /* a kind that is none: the packet goes nowhere, the driver gets its buffer back */
    send_frame(&driver, header, 12, frame, sizeof frame);
    check_eq(wire->frames->len, 1);
}

static void a_network_without_room(Rig *rig)
{
    Driver driver;
    uint8_t frame[60], header[12] = { 0 };
    const Piece pieces[2] = { { OUT_AT, 12, 0, 0 }, { OUT_AT + 0x100, sizeof frame, 0, 0 } };

    begin(&driver, rig, MODERN, PLAIN | F(32));
    fill(frame, sizeof frame);
    wire->most = 0;
    rig_write(rig, OUT_AT, header, sizeof header);
    rig_write(rig, OUT_AT + 0x100, frame, sizeof frame);
    for (unsigned i = 0; i < 2; i++) {
        driver_offer(&driver, TX, driver_chain(&driver, TX, pieces, 2));
    }
    driver_kick(&driver, TX);
    driver_turn(&driver);
    rig_advance(rig, 1000);                /* held in a saved state, too */
    check_eq(wire->frames->len, 0);
    wire->most = 1000;
    netdev_now_sendable(&wire->netdev, 0);
    check(driver_used(&driver, TX, NULL, NULL));
    check(driver_used(&driver, TX, NULL, NULL));
    check_eq(wire->frames->len, 2);
}

/* ---- the control queue ---- */

static int ask(Driver *driver, uint8_t class, uint8_t command, const void *data, unsigned bytes)
{
    const Piece pieces[3] = { { CONTROL_AT, 2, 0, 0 }, { CONTROL_AT + 0x10, bytes, 0, 0 }, { CONTROL_AT + 0x1000, 1, WRITE, 0 } };
    const Piece bare[2] = { pieces[0], pieces[2] };
    uint8_t head[2] = { class, command };

    rig_write(driver->rig, CONTROL_AT, head, sizeof head);
    if (bytes) {
        rig_write(driver->rig, CONTROL_AT + 0x10, data, bytes);
    }
    rig_store(driver->rig, CONTROL_AT + 0x1000, 1, 0x55);
    check_eq(driver_do(driver, CONTROL, bytes ? pieces : bare, bytes ? 3 : 2), 1);
    return (int)rig_load(driver->rig, CONTROL_AT + 0x1000, 1);
}

static bool hears(Driver *driver, const char *to, uint16_t vlan)
{
    uint8_t frame[64] = { 0 };
    uint32_t written = 0;

    memcpy(frame, to, 6);
    store_be16(frame + 12, vlan ? 0x8100 : 0x0806);
    store_be16(frame + 14, vlan);
    room_at(driver, IN_AT, 1526);
    uint16_t before = (uint16_t)rig_load(driver->rig, driver->rings[RX].used + 2, 2);
    wire_say(wire, frame, sizeof frame);
    bool heard = rig_load(driver->rig, driver->rings[RX].used + 2, 2) != before;
    if (heard) {
        check(driver_used(driver, RX, NULL, &written));
    }
    return heard;
}

#define OWN "\x52\x54\x00\xaa\xbb\xcc"
#define OTHER "\x52\x54\x00\xaa\xbb\xcd"
#define GROUP "\x01\x00\x5e\x00\x00\x01"
#define ALL "\xff\xff\xff\xff\xff\xff"

static void the_filter(Rig *rig)
{
    Driver driver;
    static const uint8_t on = 1, off = 0, one_group[] = "\0\0\0\0\x01\0\0\0" GROUP, own_b[] = OTHER, vlan[2] = { 5, 0 }, far[2] = { 0xff, 0xff };
    uint8_t many[8 + 65 * 6] = { 65 };

    begin(&driver, rig, MODERN, PLAIN | F(17) | F(18) | F(19) | F(20) | F(23) | F(32));
    check(hears(&driver, OTHER, 0));       /* all of it until somebody says otherwise */
    check_eq(ask(&driver, 0, 0, &off, 1), 0);
    rig_advance(rig, 1000);
    check(hears(&driver, OWN, 0) && hears(&driver, ALL, 0) && !hears(&driver, OTHER, 0) && !hears(&driver, GROUP, 0));
    check_eq(ask(&driver, 1, 0, one_group, sizeof one_group - 1), 0);
    check(hears(&driver, GROUP, 0));
    check_eq(ask(&driver, 0, 3, &on, 1), 0);
    check(!hears(&driver, GROUP, 0));
    check_eq(ask(&driver, 0, 5, &on, 1), 0);
    check(!hears(&driver, ALL, 0));
    check(!hears(&driver, OWN, 5));
    check_eq(ask(&driver, 2, 0, vlan, 2), 0);
    check(hears(&driver, OWN, 5) && !hears(&driver, OWN, 6));
    check_eq(ask(&driver, 2, 1, vlan, 2), 0);
    check(!hears(&driver, OWN, 5));
    check_eq(ask(&driver, 1, 1, own_b, 6), 0);
    check(hears(&driver, OTHER, 0) && !hears(&driver, OWN, 0));
    check_eq(ask(&driver, 1, 0, many, 4 + 65 * 6), 1);     /* a table without its second half */
    check_eq(ask(&driver, 1, 0, many, sizeof many), 0);    /* more than it holds: all of them */
    check(hears(&driver, OWN, 0));
    /* nonsense */
    check_eq(ask(&driver, 2, 0, far, 2), 1);
    check_eq(ask(&driver, 9, 0, &on, 1), 1);
    check_eq(ask(&driver, 0, 77, &on, 1), 1);
    check_eq(ask(&driver, 0, 0, NULL, 0), 1);
    check_eq(ask(&driver, 1, 1, own_b, 5), 1);
    check_eq(ask(&driver, 4, 0, vlan, 2), 1);              /* queue pairs: not negotiated */
    check_eq(ask(&driver, 5, 0, many, 8), 1);              /* nor offloads */
    check_eq(ask(&driver, 1, 0, "\xff\xff\xff\xff", 4), 1);
}

static void the_cable(Rig *rig)
{
    Driver driver;

    begin(&driver, rig, MODERN, PLAIN | F(32));
    check_eq(driver_config(&driver, 6, 2), 1);
    netdev_set_link(&wire->netdev, false);
    check_eq(driver_config(&driver, 6, 2), 0);
    netdev_set_link(&wire->netdev, true);
    check_eq(driver_config(&driver, 6, 2), 1);
    check_eq(driver_config(&driver, 0, 4), 0xaa005452);
    check_eq(driver_config(&driver, 4, 2), 0xccbb);
}

static void drivers_that_lie(Rig *rig)
{
    Driver driver;
    uint8_t frame[60];
    const Piece shorter = { OUT_AT, 5, 0, 0 }, only = { OUT_AT, 12, 0, 0 }, nothing = { CONTROL_AT, 1, 0, 0 };

    begin(&driver, rig, MODERN, PLAIN | F(17) | F(32));
    fill(frame, sizeof frame);
    check_eq(driver_do(&driver, TX, &only, 1), 0);         /* a frame of nothing */
    check_eq(wire->frames->len, 0);
    check_eq(driver_do(&driver, CONTROL, &nothing, 1), 0);
    driver_offer(&driver, TX, driver_chain(&driver, TX, &shorter, 1));
    driver_kick(&driver, TX);
    driver_turn(&driver);
    check(driver_status(&driver) & VIRTIO_NEEDS_RESET);
    begin(&driver, rig, MODERN, PLAIN | F(32));            /* and it goes on */
    room_at(&driver, IN_AT, 1526);
    wire_say(wire, frame, sizeof frame);
    check(driver_used(&driver, RX, NULL, NULL));
}

#define CASE(sentence, function) { sentence, function, "chipset", CARD, FRESH | RESTORED, NULL, wires }
const Test virtio_net_tests[] = {
    CASE("packets go both ways, modern", modern),
    CASE("packets go both ways, legacy", legacy),
    CASE("packets go both ways, legacy with merged buffers", legacy_merging),
    CASE("a packet over several buffers, all or none of them", a_packet_over_several_buffers),
    CASE("a buffer that is too small", a_buffer_that_is_too_small),
    CASE("what is left undone is told to the network", offloads_go_through),
    CASE("a network without room", a_network_without_room),
    CASE("addresses, groups, VLANs that the driver wants", the_filter),
    CASE("the cable and the address", the_cable),
    CASE("drivers that lie", drivers_that_lie),
    { NULL } };
