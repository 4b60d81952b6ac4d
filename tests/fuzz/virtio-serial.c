/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-serial.c - fuzz target: ports over virtio, by any chains in eight queues, over both interfaces, with streams that talk
 *
 * Input    16 bytes a step: a queue and up to four pieces, the first bytes of what is sent; or a reset, a new start, bytes typed at a stream
 * Holds    at the end the device starts anew and a console's byte gets through
 */
#include "base/char/chardev.h"
#include "base/json.h"
#include "tests/dev/virtio-driver.h"
#include "tests/rig/run.h"
#include "base/io-loop.h"
#include "hw/virtio/virtio.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP = 16, STEPS_MOST = 300, SLOT = 4, QUEUES = 8, OUT_AT = DRIVER_BUFFERS, IN_AT = DRIVER_BUFFERS + 0x10000 };

static Rig *rig;
static Driver driver;
static Chardev *screen, *ring;

static Chardev *stream(const char *text)
{
    g_autoptr(Value) config = json_parse(text, NULL);

    return chardev_new(config, NULL);
}

static void prepare(void)
{
    static const Test test = { .name = "virtio-serial", .board = "chipset",
                               .devices = "virtio-serial-pci,id=v,addr=4 virtconsole,chardev=screen virtserialport,id=p,nr=1,chardev=ring,name=p" };

    rig_prepare();
    screen = stream("{'backend':'ringbuf','id':'screen','size':4096}");
    ring = stream("{'backend':'ringbuf','id':'ring','size':4096}");
    rig = rig_new(&test, FRESH);
}

static void begin(Interface interface)
{
    driver_find(&driver, rig, SLOT, interface);
    driver_start(&driver, UINT64_MAX, QUEUES);
}

static void turn(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        io_loop_turn(io_loop_main(), false);
    }
}

static void send_chain(const uint8_t *step)
{
    unsigned queue = step[0] & 7, count = 1 + (step[1] & 3);
    Piece pieces[4];

    rig_write(rig, OUT_AT, step + 8, 8);
    for (unsigned i = 0; i < count; i++) {
        bool write = step[2 + i] & 1;
        pieces[i] = (Piece){ write ? IN_AT + 0x1000 * i : OUT_AT, (uint32_t)(step[2 + i] >> 1) << (step[6] & 7), write ? WRITE : 0, 0 };
    }
    if (step[0] & 8) {                     /* as a driver would have it */
        pieces[0] = queue & 1 ? (Piece){ OUT_AT, 8, 0, 0 } : (Piece){ IN_AT, 64, WRITE, 0 };
        count = 1;
    }
    driver_offer(&driver, queue, driver_chain(&driver, queue, pieces, count));
    driver_kick(&driver, queue);
    turn(step[0] & 0x10 ? 8 : 1);
}

static void one_step(const uint8_t *step)
{
    if (step[0] < 0xe0) {
        send_chain(step);
        return;
    }
    switch (step[1] & 7) {
    case 0: driver_set_status(&driver, 0); break;
    case 1: begin(LEGACY); break;
    case 2: begin(MODERN); break;
    case 3: chardev_type(ring, step, STEP); break;
    case 4: chardev_type(screen, step, STEP); break;
    case 5: driver_config_put(&driver, step[2] & 15, 4, step[3]); break;
    default: driver_kick(&driver, step[2]); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const Piece piece = { OUT_AT, 1, 0, 0 };

    if (!rig) {
        prepare();
    }
    begin(MODERN);
    for (unsigned i = 0; (i + 1) * STEP <= size && i < STEPS_MOST; i++) {
        one_step(data + (size_t)i * STEP);
    }
    turn(64);
    begin(MODERN);
    g_assert_cmpint(driver_do(&driver, 1, &piece, 1), ==, 0);
    return 0;
}
