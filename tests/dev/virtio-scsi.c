/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-scsi.c - the virtio SCSI adapter, asked by a driver over both interfaces: commands, task management, events, resets, hotplug */
#include "base/bytes.h"
#include "base/json.h"
#include "hw/models.h"
#include "hw/scsi/bus.h"
#include "hw/virtio/iothread.h"
#include "hw/virtio/virtio.h"
#include "tests/dev/virtio-driver.h"
#include "tests/rig/memory-disk.h"
#include <errno.h>
#include <string.h>

enum { OUT_AT = DRIVER_BUFFERS, IN_AT = DRIVER_BUFFERS + 0x1000, DATA_AT = DRIVER_BUFFERS + 0x2000, CONTROL_AT = DRIVER_BUFFERS + 0x80000,
       CONTROL_IN_AT = CONTROL_AT + 0x100, EVENT_AT = CONTROL_AT + 0x200 };
enum { SLOT = 4, CONTROL = 0, EVENT = 1, REQUEST = 2, HEADER = 19 + 32, ANSWER = 12 + 96, DISK = 1 << 20 };
enum { OK = 0, OVERRUN = 1, ABORTED = 2, BAD_TARGET = 3, RESET = 4, FAILURE = 9, SUCCEEDED = 10, REJECTED = 11, INCORRECT_LUN = 12 };

static MemoryDisk *disk, *other;

/* Storage that all tests share. */
static Value *nodes(void)
{
    if (!disk) {
        disk = memory_disk_new("disk", DISK);
        other = memory_disk_new("other", DISK);
        g_autoptr(Value) options = json_parse("{'id':'io0'}", NULL);
        g_assert_true(iothread_add(options, NULL));
        for (unsigned i = 0; i < DISK / 512; i++) {
            store_le32(disk->bytes + (size_t)i * 512, i);
            store_le32(other->bytes + (size_t)i * 512, i);
        }
    }
    return NULL;
}

typedef struct Answer { int response; uint8_t status, key, code, qualifier; uint32_t residual; int64_t written; } Answer;

static void put_request(Rig *rig, unsigned target, unsigned lun, uint64_t tag, const uint8_t *cdb, size_t length)
{
    uint8_t bytes[HEADER] = { 1, (uint8_t)target, (uint8_t)(lun ? 0x40 | lun >> 8 : 0), (uint8_t)lun };

    store_le64(bytes + 8, tag);
    memcpy(bytes + 19, cdb, length);
    rig_write(rig, OUT_AT, bytes, sizeof bytes);
    rig_store(rig, IN_AT + 11, 1, 0xee);
}

static Answer get_answer(Rig *rig, int64_t written)
{
    uint8_t bytes[ANSWER];

    rig_read(rig, IN_AT, bytes, sizeof bytes);
    return (Answer){ .response = written < 0 ? -1 : bytes[11], .status = bytes[10], .key = bytes[12 + 2] & 15, .code = bytes[12 + 12],
                     .qualifier = bytes[12 + 13], .residual = load_le32(bytes + 4), .written = written };
}

static Answer run_at(Driver *driver, unsigned target, unsigned lun, const uint8_t *cdb, size_t length, uint32_t in, uint32_t out)
{
    Piece pieces[4] = { { OUT_AT, HEADER, 0, 0 } };
    unsigned count = 1;

    put_request(driver->rig, target, lun, 7, cdb, length);
    if (out) {
        pieces[count++] = (Piece){ DATA_AT, out, 0, 0 };
    }
    pieces[count++] = (Piece){ IN_AT, ANSWER, WRITE, 0 };
    if (in) {
        pieces[count++] = (Piece){ DATA_AT, in, WRITE, 0 };
    }
    return get_answer(driver->rig, driver_do(driver, REQUEST, pieces, count));
}
#define CDB(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })
#define TEST_UNIT_READY CDB(0, 0, 0, 0, 0, 0)
#define READ_7 CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 2, 0)
#define WRITE_9 CDB(0x2a, 0, 0, 0, 0, 9, 0, 0, 2, 0)

static void check_good(Answer answer, uint32_t residual)
{
    check_eq(answer.response, OK);
    check_eq(answer.status, 0);
    check_eq(answer.residual, residual);
}

static void check_attention(Answer answer, uint8_t code, uint8_t qualifier)
{
    check_eq(answer.response, OK);
    check_eq(answer.status, 2);
    check_eq(answer.key, 6);
    check_eq(answer.code, code);
    check_eq(answer.qualifier, qualifier);
}

static void begin(Driver *driver, Rig *rig, Interface interface)
{
    driver_find(driver, rig, SLOT, interface);
    driver_start(driver, UINT64_MAX, 3);
}

static void hear_power_on(Driver *driver, unsigned target)
{
    Answer answer = run_at(driver, target, 0, TEST_UNIT_READY, 0, 0);

    check_attention(answer, 0x29, 0);
    check_eq(rig_load(driver->rig, IN_AT, 4), 18);
}

static void commands(Rig *rig, Interface interface)
{
    Driver driver;

    begin(&driver, rig, interface);
    hear_power_on(&driver, 0);
    check_good(run_at(&driver, 0, 0, TEST_UNIT_READY, 0, 0), 0);
    check_good(run_at(&driver, 0, 0, CDB(0x12, 0, 0, 0, 36, 0), 36, 0), 0);
    check_eq(rig_load(rig, DATA_AT + 8, 4), 0x554d4551);
    Answer answer = run_at(&driver, 0, 0, READ_7, 1024, 0);
    check_good(answer, 0);
    check_eq(answer.written, ANSWER + 1024);
    check_eq(rig_load(rig, DATA_AT, 4), 7);
    check_eq(rig_load(rig, DATA_AT + 512, 4), 8);
    check_good(run_at(&driver, 0, 0, READ_7, 4096, 0), 4096 - 1024);
    rig_store(rig, DATA_AT, 8, 0x1122334455667788);
    rig_store(rig, DATA_AT + 1016, 8, 0x99);
    answer = run_at(&driver, 0, 0, WRITE_9, 0, 1024);
    check_good(answer, 0);
    check_eq(load_le64(disk->bytes + 9 * 512), 0x1122334455667788);
    check_eq(load_le64(disk->bytes + 9 * 512 + 1016), 0x99);
    check_eq(run_at(&driver, 0, 0, READ_7, 512, 0).response, OVERRUN);
    check_eq(run_at(&driver, 0, 0, WRITE_9, 1024, 0).response, OVERRUN);
    check_eq(run_at(&driver, 0, 0, READ_7, 1024, 16).response, FAILURE);
    check_eq(run_at(&driver, 99, 0, READ_7, 1024, 0).response, BAD_TARGET);
    answer = run_at(&driver, 0, 5, TEST_UNIT_READY, 0, 0);
    check_eq(answer.status, 2);
    check_eq(answer.code, 0x25);
    check_good(run_at(&driver, 0, 0, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), 64, 0), 48);
    hear_power_on(&driver, 1);
    answer = run_at(&driver, 1, 0, TEST_UNIT_READY, 0, 0);
    check_eq(answer.code, 0x3a);
}

static void legacy_commands(Rig *rig)
{
    commands(rig, LEGACY);
}

static void modern_commands(Rig *rig)
{
    commands(rig, MODERN);
}

/* Any layout: header with data in one piece, the answer in crumbs. */
static void odd_layouts(Rig *rig)
{
    Driver driver;

    begin(&driver, rig, MODERN);
    hear_power_on(&driver, 0);
    put_request(rig, 0, 0, 7, WRITE_9);
    for (unsigned i = 0; i < 1024; i += 8) {
        rig_store(rig, OUT_AT + HEADER + i, 8, UINT64_C(0x0101010101010101) * (i & 255));
    }
    const Piece together[] = { { OUT_AT, 5, 0, 0 }, { OUT_AT + 5, HEADER + 1024 - 5, 0, 0 }, { IN_AT, 1, WRITE, 0 }, { IN_AT + 1, ANSWER - 1, WRITE, 0 } };
    check_good(get_answer(rig, driver_do(&driver, REQUEST, together, 4)), 0);
    check_eq(load_le32(disk->bytes + 9 * 512 + 1016), 0xf8f8f8f8);
    put_request(rig, 0, 0, 7, READ_7);
    const Piece split[] = { { OUT_AT, HEADER, 0, 0 }, { IN_AT, ANSWER + 3, WRITE, 0 }, { DATA_AT, 1021, WRITE, 0 } };
    check_good(get_answer(rig, driver_do(&driver, REQUEST, split, 3)), 0);
    check_eq(rig_load(rig, IN_AT + ANSWER, 1), 7);
    check_eq(rig_load(rig, DATA_AT + 509, 4), 8);
    /* A unit's address that is none. */
    put_request(rig, 0, 0, 7, READ_7);
    rig_store(rig, OUT_AT, 1, 2);
    check_eq(get_answer(rig, driver_do(&driver, REQUEST, split, 3)).response, BAD_TARGET);
    put_request(rig, 0, 0, 7, READ_7);
    rig_store(rig, OUT_AT + 2, 1, 0x80);
    check_eq(get_answer(rig, driver_do(&driver, REQUEST, split, 3)).response, BAD_TARGET);
}

static void a_short_request_breaks_the_device(Rig *rig)
{
    const Piece shorts[][2] = {
        { { OUT_AT, HEADER - 1, 0, 0 }, { IN_AT, ANSWER, WRITE, 0 } }, { { OUT_AT, HEADER, 0, 0 }, { IN_AT, ANSWER - 1, WRITE, 0 } },
    };
    Driver driver;

    for (unsigned i = 0; i < G_N_ELEMENTS(shorts); i++) {
        begin(&driver, rig, MODERN);
        put_request(rig, 0, 0, 7, READ_7);
        driver_do(&driver, REQUEST, shorts[i], 2);
        driver_turn(&driver);
        check(driver_status(&driver) & VIRTIO_NEEDS_RESET);
    }
    begin(&driver, rig, MODERN);
    const Piece control[] = { { CONTROL_AT, 3, 0, 0 }, { CONTROL_IN_AT, 1, WRITE, 0 } };
    driver_do(&driver, CONTROL, control, 2);
    driver_turn(&driver);
    check(driver_status(&driver) & VIRTIO_NEEDS_RESET);
    begin(&driver, rig, MODERN);
    hear_power_on(&driver, 0);
}

static void sizes_can_be_chosen(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_begin(&driver, UINT64_MAX);
    check_eq(driver_config(&driver, 0, 4), 1);
    check_eq(driver_config(&driver, 4, 4), 254);
    check_eq(driver_config(&driver, 8, 4), 0xffff);
    check_eq(driver_config(&driver, 12, 4), 128);
    check_eq(driver_config(&driver, 16, 4), 16);
    check_eq(driver_config(&driver, 20, 4), 96);
    check_eq(driver_config(&driver, 24, 4), 32);
    check_eq(driver_config(&driver, 30, 2), 255);
    check_eq(driver_config(&driver, 32, 4), 16383);
    driver_config_put(&driver, 20, 4, 8);
    driver_config_put(&driver, 24, 4, 10);
    driver_config_put(&driver, 24, 4, 256);                /* refused: what was before stays */
    driver_config_put(&driver, 20, 4, 0x10000);
    driver_config_put(&driver, 0, 4, 77);
    check_eq(driver_config(&driver, 0, 4), 1);
    check_eq(driver_config(&driver, 20, 4), 8);
    check_eq(driver_config(&driver, 24, 4), 10);
    for (unsigned i = 0; i < 3; i++) {
        driver_queue(&driver, i, 0);
    }
    driver_go(&driver);
    const Piece pieces[] = { { OUT_AT, 19 + 10, 0, 0 }, { IN_AT, 12 + 8, WRITE, 0 }, { DATA_AT, 1024, WRITE, 0 } };
    put_request(rig, 0, 0, 7, TEST_UNIT_READY);
    rig_store(rig, IN_AT + 20, 1, 0xaa);
    check_eq(get_answer(rig, driver_do(&driver, REQUEST, pieces, 2)).status, 2);
    check_eq(rig_load(rig, IN_AT, 4), 8);
    check_eq(rig_load(rig, IN_AT + 20, 1), 0xaa);
    put_request(rig, 0, 0, 7, READ_7);
    check_good(get_answer(rig, driver_do(&driver, REQUEST, pieces, 3)), 0);
    check_eq(rig_load(rig, DATA_AT, 4), 7);
    driver_set_status(&driver, 0);
    check_eq(driver_config(&driver, 20, 4), 96);
    check_eq(driver_config(&driver, 24, 4), 32);
}

/* ---- task management ---- */

static int64_t start_task(Driver *driver, uint32_t type, uint32_t subtype, unsigned target, unsigned lun, uint64_t tag)
{
    uint8_t bytes[24] = { 0 };
    const Piece pieces[] = { { CONTROL_AT, sizeof bytes, 0, 0 }, { CONTROL_IN_AT, 5, WRITE, 0 } };

    store_le32(bytes, type);
    store_le32(bytes + 4, subtype);
    bytes[8] = 1;
    bytes[9] = (uint8_t)target;
    bytes[11] = (uint8_t)lun;
    store_le64(bytes + 16, tag);
    rig_write(driver->rig, CONTROL_AT, bytes, sizeof bytes);
    rig_store(driver->rig, CONTROL_IN_AT, 8, 0xeeeeeeeeeeeeeeee);
    uint16_t head = driver_chain(driver, CONTROL, pieces, 2);
    driver_offer(driver, CONTROL, head);
    driver_kick(driver, CONTROL);
    driver_turn(driver);
    return head;
}

static int manage(Driver *driver, uint32_t subtype, unsigned target, unsigned lun, uint64_t tag)
{
    uint16_t head;

    start_task(driver, 0, subtype, target, lun, tag);
    return driver_used(driver, CONTROL, &head, NULL) ? (int)rig_load(driver->rig, CONTROL_IN_AT, 1) : -1;
}

/* A read that the disk holds back. */
static void start_read(Driver *driver, uint64_t tag)
{
    const Piece pieces[] = { { OUT_AT, HEADER, 0, 0 }, { IN_AT, ANSWER, WRITE, 0 }, { DATA_AT, 1024, WRITE, 0 } };

    put_request(driver->rig, 0, 0, tag, READ_7);
    driver_offer(driver, REQUEST, driver_chain(driver, REQUEST, pieces, 3));
    driver_kick(driver, REQUEST);
    driver_turn(driver);
}

static void tasks_are_managed(Rig *rig)
{
    Driver driver;
    uint16_t head;

    begin(&driver, rig, MODERN);
    hear_power_on(&driver, 0);
    check_eq(manage(&driver, 0, 0, 0, 1), OK);             /* nothing of that tag: it has ended */
    check_eq(manage(&driver, 2, 0, 0, 0), REJECTED);
    check_eq(manage(&driver, 99, 0, 0, 0), REJECTED);
    check_eq(manage(&driver, 5, 9, 0, 0), BAD_TARGET);
    check_eq(manage(&driver, 5, 0, 9, 0), INCORRECT_LUN);
    check_eq(manage(&driver, 6, 0, 0, 1), OK);
    disk->hold = true;
    start_read(&driver, 41);
    check_eq(disk->holding, 1);
    check_eq(manage(&driver, 6, 0, 0, 41), SUCCEEDED);
    check_eq(manage(&driver, 7, 0, 0, 0), SUCCEEDED);
    start_task(&driver, 0, 0, 0, 0, 41);
    check_eq(rig_load(rig, CONTROL_IN_AT, 1), 0xee);       /* not before the command has let go of the memory */
    memory_disk_release(disk);
    check(driver_used(&driver, REQUEST, &head, NULL));
    check_eq(get_answer(rig, 0).response, ABORTED);
    check(driver_used(&driver, CONTROL, &head, NULL));
    check_eq(rig_load(rig, CONTROL_IN_AT, 1), OK);
    disk->hold = true;
    start_read(&driver, 42);
    start_task(&driver, 0, 5, 0, 0, 0);
    memory_disk_release(disk);
    check(driver_used(&driver, REQUEST, &head, NULL));
    check_eq(get_answer(rig, 0).response, RESET);
    check(driver_used(&driver, CONTROL, &head, NULL));
    hear_power_on(&driver, 0);
    start_task(&driver, 1, 0, 0, 0, 0);                    /* which notifications there are: none */
    check(driver_used(&driver, CONTROL, &head, NULL));
    check_eq(rig_load(rig, CONTROL_IN_AT, 4), 0);
    check_eq(rig_load(rig, CONTROL_IN_AT + 4, 1), OK);
}

/* ---- resets ---- */

static void a_reset_waits_for_what_is_in_flight(Rig *rig)
{
    Driver driver;

    begin(&driver, rig, MODERN);
    hear_power_on(&driver, 0);
    disk->hold = true;
    start_read(&driver, 1);
    rig_store(rig, DATA_AT, 4, 0x5555);
    driver_set_status(&driver, 0);
    check(driver_status(&driver) != 0);
    memory_disk_release(disk);
    driver_turn(&driver);
    check_eq(driver_status(&driver), 0);
    check_eq(rig_load(rig, driver.rings[REQUEST].used + 2, 2), 1);         /* the attention: the read is not told any more */
    begin(&driver, rig, MODERN);
    hear_power_on(&driver, 0);
    check_good(run_at(&driver, 0, 0, READ_7, 1024, 0), 0);
    disk->hold = true;
    start_read(&driver, 1);
    memory_disk_release_soon(disk);
    device_reset(rig_device(rig, "scsi0"));                /* the machine's: waits */
    check_eq(disk->holding, 0);
}

static void stop_machine(void *opaque)
{
    (void)opaque;
}

static void start_write(Driver *driver)
{
    const Piece pieces[] = { { OUT_AT, HEADER, 0, 0 }, { DATA_AT, 1024, 0, 0 }, { IN_AT, ANSWER, WRITE, 0 } };

    put_request(driver->rig, 0, 0, 5, WRITE_9);
    rig_store(driver->rig, DATA_AT, 8, 0x4444);
    disk->failures = 1;
    disk->fail_with = ENOSPC;
    driver_offer(driver, REQUEST, driver_chain(driver, REQUEST, pieces, 3));
    driver_kick(driver, REQUEST);
    driver_turn(driver);
}

/* werror=stop: what is kept is saved with the machine, and carried out by the one that loads it. */
static void a_full_disk_stops_and_goes_on(Rig *rig)
{
    Driver driver;
    uint16_t head;

    blk_on_stop(stop_machine, NULL);
    begin(&driver, rig, MODERN);
    hear_power_on(&driver, 0);
    start_write(&driver);
    check_eq(rig_load(rig, IN_AT + 11, 1), 0xee);
    rig_checkpoint(rig);
    blk_machine_runs();
    check(driver_used(&driver, REQUEST, &head, NULL));
    check_good(get_answer(rig, 0), 0);
    check_eq(load_le64(disk->bytes + 9 * 512), 0x4444);
    start_write(&driver);
    driver_set_status(&driver, 0);                         /* given up: nobody waits for what is kept */
    check_eq(driver_status(&driver), 0);
    blk_on_stop(NULL, NULL);
}

/* ---- events ---- */

static void offer_event(Driver *driver, uint32_t length)
{
    const Piece piece = { EVENT_AT, length, WRITE, 0 };

    driver_offer(driver, EVENT, driver_chain(driver, EVENT, &piece, 1));
    driver_kick(driver, EVENT);
    driver_turn(driver);
}

static void check_event(Driver *driver, uint32_t event, unsigned target, unsigned lun, uint32_t reason)
{
    uint16_t head;

    check(driver_used(driver, EVENT, &head, NULL));
    check_eq(rig_load(driver->rig, EVENT_AT, 4), event);
    if (target < 256) {
        check_eq(rig_load(driver->rig, EVENT_AT + 4, 2), 1 | target << 8);
        check_eq(rig_load(driver->rig, EVENT_AT + 7, 1), lun);
    }
    check_eq(rig_load(driver->rig, EVENT_AT + 12, 4), reason);
}

static Device *plug(Rig *rig, unsigned target, unsigned lun)
{
    g_autoptr(GError) err = NULL;
    Device *device = device_new(rig_machine(rig), &scsi_hd_model, NULL, "plugged", &err);
    g_autoptr(Value) drive = value_new_string("other");
    g_autoptr(Value) at_target = value_new_int(target);
    g_autoptr(Value) at_lun = value_new_int(lun);

    check(device_set(device, "drive", drive, &err) && device_set(device, "scsi-id", at_target, &err) && device_set(device, "lun", at_lun, &err));
    check(device_plug(device, &err));
    device->from_user = true;
    if (err) {
        check_failed(__FILE__, __LINE__, "%s", err->message);
    }
    return device;
}

static void units_come_and_go(Rig *rig)
{
    Driver driver;

    begin(&driver, rig, MODERN);
    hear_power_on(&driver, 0);
    rig_machine(rig)->built = true;
    offer_event(&driver, 16);
    Device *device = plug(rig, 0, 3);
    check_event(&driver, 1, 0, 3, 1);
    check_attention(run_at(&driver, 0, 0, TEST_UNIT_READY, 0, 0), 0x3f, 0x0e);
    check_good(run_at(&driver, 0, 0, TEST_UNIT_READY, 0, 0), 0);
    check_attention(run_at(&driver, 0, 3, TEST_UNIT_READY, 0, 0), 0x29, 0);
    check_good(run_at(&driver, 0, 3, READ_7, 1024, 0), 0);
    /* It goes while it is in use, and there is no buffer to tell of it. */
    check(machine_remove_device(rig_machine(rig), "plugged", NULL));
    other->hold = true;
    const Piece pieces[] = { { OUT_AT, HEADER, 0, 0 }, { IN_AT, ANSWER, WRITE, 0 }, { DATA_AT, 1024, WRITE, 0 } };
    put_request(rig, 0, 3, 5, READ_7);
    driver_offer(&driver, REQUEST, driver_chain(&driver, REQUEST, pieces, 3));
    driver_kick(&driver, REQUEST);
    driver_turn(&driver);
    for (unsigned i = 0; i < 2000 && __atomic_load_n(&other->holding, __ATOMIC_ACQUIRE) == 0; i++) {
        g_usleep(1000);                    /* in an I/O thread it takes a moment */
    }
    check_eq(other->holding, 1);
    memory_disk_release_soon(other);
    device_delete(device);
    uint16_t head;
    check(driver_used(&driver, REQUEST, &head, NULL));
    int response = get_answer(rig, 0).response;            /* an I/O thread may be done before it hears that the unit goes */
    check(response == ABORTED || (response == OK && disk->node.loop != io_loop_main()));
    check_eq(run_at(&driver, 0, 3, READ_7, 1024, 0).code, 0x25);
    offer_event(&driver, 16);
    check_event(&driver, 0x80000000, 256, 0, 0);           /* some were missed */
    rig_machine(rig)->requests = (Requests){ 0 };
    rig_machine(rig)->built = false;
    memory_disk_settle();
}

static void sizes_change(Rig *rig)
{
    Driver driver;

    begin(&driver, rig, MODERN);
    hear_power_on(&driver, 0);
    offer_event(&driver, 16);
    memory_disk_resize(disk, 2 * DISK);
    check_event(&driver, 3, 0, 0, 0x092a);
    check_attention(run_at(&driver, 0, 0, TEST_UNIT_READY, 0, 0), 0x2a, 9);
    check_good(run_at(&driver, 0, 0, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 8, 0), 0);
    check_eq(rig_load(rig, DATA_AT + 2, 1), 0x0f);
    offer_event(&driver, 15);              /* too short for one */
    memory_disk_resize(disk, DISK);
    driver_turn(&driver);
    check(driver_status(&driver) & VIRTIO_NEEDS_RESET);
}

/* ---- hostile requests ---- */

static void hostile_requests(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(5);
    Driver driver;

    for (unsigned i = 0; i < 3000; i++) {
        if (i % 50 == 0) {
            begin(&driver, rig, i & 1 ? LEGACY : MODERN);
        }
        Piece pieces[8];
        unsigned count = 1 + g_rand_int(random) % 8, queue = g_rand_int(random) % 3;
        uint8_t bytes[64];
        for (unsigned j = 0; j < sizeof bytes; j++) {
            uint32_t r = g_rand_int(random);
            bytes[j] = r & 0x300 ? 0 : (uint8_t)r;
        }
        bytes[0] = queue == REQUEST;
        rig_write(rig, OUT_AT, bytes, sizeof bytes);
        for (unsigned j = 0; j < count; j++) {
            uint32_t r = g_rand_int(random);
            pieces[j] = (Piece){ j ? OUT_AT + 64 * j : OUT_AT, j ? r % 5000 : r & 3 ? HEADER : r % 80, j > (r >> 24) % 4 ? WRITE : 0, 0 };
        }
        driver_offer(&driver, queue, driver_chain(&driver, queue, pieces, count));
        driver_kick(&driver, queue);
        for (unsigned turns = 0; turns < 3; turns++) {
            io_loop_turn(io_loop_main(), false);
        }
    }
    memory_disk_settle();
    begin(&driver, rig, MODERN);
    hear_power_on(&driver, 0);
}

/* A unit's own saved state with bytes changed: taken or refused, and the unit answers after either. */
static void hostile_states(Rig *rig)
{
    static const char *const units[] = { "hd", "cd" };
    g_autoptr(GRand) random = g_rand_new_with_seed(6);
    Driver driver;

    begin(&driver, rig, MODERN);
    for (unsigned i = 0; i < 400; i++) {
        Device *device = rig_device(rig, units[i & 1]);
        g_autoptr(GByteArray) stream = g_byte_array_new();
        device->model->before_save(device);
        fields_save(device->model->saved, device, stream);
        for (unsigned changes = 1 + g_rand_int(random) % 8; changes; changes--) {
            stream->data[g_rand_int(random) % stream->len] = (uint8_t)g_rand_int(random);
        }
        const uint8_t *at = stream->data;
        size_t left = i % 8 ? stream->len : g_rand_int(random) % stream->len;
        if (fields_load(device->model->saved, device, "fuzz", &at, &left, NULL)) {
            device->model->after_load(device, NULL);
        }
        run_at(&driver, i & 1, 0, TEST_UNIT_READY, 0, 0);
        run_at(&driver, i & 1, 0, READ_7, 4096, 0);
    }
}

#define ADAPTER "virtio-scsi-pci,id=scsi0,addr=4"
#define DEVICES ADAPTER " scsi-hd,id=hd,drive=disk,werror=stop scsi-cd,id=cd"
#define THREADED ADAPTER ",iothread=io0 scsi-hd,id=hd,drive=disk scsi-cd,id=cd"
const Test virtio_scsi_tests[] = {
    { "commands over the legacy interface", legacy_commands, "chipset", DEVICES, FRESH | RESTORED | PLUGGED, NULL, nodes },
    { "commands over the modern interface", modern_commands, "chipset", DEVICES, FRESH | RESTORED | PLUGGED, NULL, nodes },
    { "commands in an I/O thread", modern_commands, "chipset", THREADED, FRESH | RESTORED | PLUGGED, NULL, nodes },
    { "odd layouts", odd_layouts, "chipset", DEVICES, FRESH | RESTORED, NULL, nodes },
    { "a short request breaks the device", a_short_request_breaks_the_device, "chipset", DEVICES, FRESH, NULL, nodes },
    { "sizes of sense and CDB can be chosen", sizes_can_be_chosen, "chipset", DEVICES, FRESH | RESTORED, NULL, nodes },
    { "tasks are managed", tasks_are_managed, "chipset", DEVICES, FRESH, NULL, nodes },
    { "a reset waits for what is in flight", a_reset_waits_for_what_is_in_flight, "chipset", DEVICES, FRESH, NULL, nodes },
    { "a full disk stops and goes on", a_full_disk_stops_and_goes_on, "chipset", DEVICES, FRESH | RESTORED, NULL, nodes },
    { "units come and go", units_come_and_go, "chipset", DEVICES, FRESH, NULL, nodes },
    { "units come and go in an I/O thread", units_come_and_go, "chipset", ADAPTER ",iothread=io0 scsi-hd,id=hd,drive=disk", FRESH, NULL, nodes },
    { "sizes change", sizes_change, "chipset", DEVICES, FRESH, NULL, nodes },
    { "hostile saved states", hostile_states, "chipset", DEVICES, FRESH, NULL, nodes },
    { "hostile requests", hostile_requests, "chipset", DEVICES, FRESH, NULL, nodes },
    { NULL } };
