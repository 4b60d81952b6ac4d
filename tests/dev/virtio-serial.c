/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-serial.c - ports and consoles over virtio: control messages, bytes both ways, streams that take nothing, drivers that lie */
#include "base/char/chardev.h"
#include "base/json.h"
#include "base/loop.h"
#include "hw/virtio/virtio.h"
#include "tests/dev/virtio-driver.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { SLOT = 4, OUT_AT = DRIVER_BUFFERS, IN_AT = DRIVER_BUFFERS + 0x10000, CONTROL_AT = DRIVER_BUFFERS + 0x20000 };
enum { CONTROL_IN = 2, CONTROL_OUT = 3, QUEUES = 8, ROOM = 64 };
enum { DEVICE_READY = 0, PORT_ADD = 1, PORT_REMOVE = 2, PORT_READY = 3, CONSOLE_PORT = 4, PORT_OPEN = 6, PORT_NAME = 7 };

#define SERIAL "virtio-serial-pci,id=v,addr=4"
#define DEVICES SERIAL " virtconsole,id=con,chardev=screen virtserialport,id=agent,nr=1,chardev=ring,name=org.qemu.guest_agent.0"
#define WITH_SOCKET SERIAL " virtserialport,id=agent,nr=1,chardev=line,name=line"
#define SLOW_CONSOLE SERIAL " virtconsole,id=con,chardev=line"

static Chardev *ring, *screen, *line;
static char *path;
static int peer = -1;

static Chardev *stream(const char *text)
{
    g_autoptr(Value) config = json_parse(text, NULL);

    return chardev_new(config, NULL);
}

/* Streams outlive the machines. */
static Value *streams(void)
{
    if (!ring) {
        ring = stream("{'backend':'ringbuf','id':'ring','size':65536}");
        screen = stream("{'backend':'ringbuf','id':'screen','size':65536}");
    }
    return NULL;
}

static Value *socket_stream(void)
{
    if (!line) {
        path = g_strdup_printf("/tmp/roost-test-virtio-serial.%d", (int)getpid());
        g_autofree char *text = g_strdup_printf("{'backend':'socket','id':'line','path':'%s','server':true,'wait':false}", path);
        line = stream(text);
    }
    return NULL;
}

static void wait_connected(bool connected)
{
    for (int64_t end = clock_now(CLOCK_STEADY) + 60 * NS_PER_SECOND; chardev_connected(line) != connected && clock_now(CLOCK_STEADY) < end;) {
        loop_iterate(false);
    }
    check_eq(chardev_connected(line), connected);
}

static void come(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    peer = socket(AF_UNIX, SOCK_STREAM, 0);
    check_eq(connect(peer, (const struct sockaddr *)&address, sizeof address), 0);
    wait_connected(true);
}

static void go(void)
{
    close(peer);
    peer = -1;
    wait_connected(false);
}

static uint64_t faults(Rig *rig)
{
    return rig_device(rig, "v")->guest_faults;
}

/* ---- the driver's side ---- */

static void room_at(Driver *driver, unsigned queue, uint64_t address)
{
    const Piece piece = { address, ROOM, WRITE, 0 };

    driver_offer(driver, queue, driver_chain(driver, queue, &piece, 1));
    driver_kick(driver, queue);
}

static void say(Driver *driver, uint32_t port, uint16_t event, uint16_t value)
{
    const Piece piece = { CONTROL_AT, 8, 0, 0 };

    rig_store(driver->rig, CONTROL_AT, 4, port);
    rig_store(driver->rig, CONTROL_AT + 4, 2, event);
    rig_store(driver->rig, CONTROL_AT + 6, 2, value);
    check_eq(driver_do(driver, CONTROL_OUT, &piece, 1), 0);
}

/* One message, into a buffer of its own. */
static void hear(Driver *driver, uint32_t port, uint16_t event, uint16_t value, const char *name)
{
    uint64_t at = CONTROL_AT + 0x100;
    uint32_t written = 0;
    uint16_t head;
    char text[ROOM] = "";

    room_at(driver, CONTROL_IN, at);
    check(driver_used(driver, CONTROL_IN, &head, &written));
    check_eq(rig_load(driver->rig, at, 4), port);
    check_eq(rig_load(driver->rig, at + 4, 2), event);
    check_eq(rig_load(driver->rig, at + 6, 2), value);
    check_eq(written, 8 + (name ? strlen(name) + 1 : 0));
    if (name) {
        rig_read(driver->rig, at + 8, text, strlen(name) + 1);
        check(strcmp(text, name) == 0);
    }
}

static void start(Driver *driver, Rig *rig, Interface interface)
{
    driver_find(driver, rig, SLOT, interface);
    driver_start(driver, UINT64_MAX, QUEUES);
    say(driver, UINT32_MAX, DEVICE_READY, 1);
}

static int64_t put(Driver *driver, unsigned queue, const char *text)
{
    const Piece piece = { OUT_AT, (uint32_t)strlen(text), 0, 0 };

    rig_write(driver->rig, OUT_AT, text, strlen(text));
    return driver_do(driver, queue, &piece, 1);
}

static void check_text(Chardev *chardev, const char *expected)
{
    char text[256] = "";

    chardev_ringbuf_read(chardev, (uint8_t *)text, sizeof text - 1);
    if (strcmp(text, expected) != 0) {
        check_failed(__FILE__, __LINE__, "the stream has '%s', expected '%s'", text, expected);
    }
}

static void check_memory(Rig *rig, uint64_t address, const char *expected)
{
    char text[ROOM + 1] = "";

    rig_read(rig, address, text, strlen(expected));
    if (strcmp(text, expected) != 0) {
        check_failed(__FILE__, __LINE__, "memory has '%s', expected '%s'", text, expected);
    }
}

static size_t type(Chardev *chardev, const char *text)
{
    return chardev_type(chardev, (const uint8_t *)text, strlen(text));
}

/* ---- what a good driver sees ---- */

static void the_function(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    check_eq(driver_config_space(&driver, 0x00), 0x10031af4);
    check_eq(driver_config_space(&driver, 0x08), 0x07800000);
    check_eq(driver_config_space(&driver, driver_capability(&driver, PCI_CAP_MSIX, 0)) >> 16, 31);
    check_eq(driver_offered(&driver), 0x130000006);
    check_eq(driver_config(&driver, 4, 4), 31);
    check_eq(rig_load(rig, driver.common + 0x12, 2), 64);
}

static void introductions(Rig *rig, Interface interface)
{
    Driver driver;

    start(&driver, rig, interface);
    hear(&driver, 0, PORT_ADD, 1, NULL);
    rig_checkpoint(rig);                   /* what is owed is not forgotten */
    hear(&driver, 1, PORT_ADD, 1, NULL);
    say(&driver, 1, PORT_READY, 1);
    hear(&driver, 1, PORT_NAME, 1, "org.qemu.guest_agent.0");
    hear(&driver, 1, PORT_OPEN, 1, NULL);
    say(&driver, 0, PORT_READY, 1);
    rig_checkpoint(rig);
    hear(&driver, 0, CONSOLE_PORT, 1, NULL);
    hear(&driver, 0, PORT_OPEN, 1, NULL);
    check_eq(faults(rig), 0);
}

static void introductions_modern(Rig *rig) { introductions(rig, MODERN); }
static void introductions_legacy(Rig *rig) { introductions(rig, LEGACY); }

static void bytes_go_both_ways(Rig *rig)
{
    uint32_t written = 0;
    uint16_t head;
    Driver driver;

    start(&driver, rig, MODERN);
    check_eq(put(&driver, 1, "console\n"), 0);
    check_text(screen, "console\n");
    check_eq(put(&driver, 5, "agent"), 0);
    check_text(ring, "agent");
    check_eq(put(&driver, 7, "nobody"), 0);                /* a port that is not there */
    /* Nothing comes in before the guest has opened, or without room. */
    room_at(&driver, 4, IN_AT);
    driver_turn(&driver);
    check(chardev_user_away(ring));
    check_eq(type(ring, "early"), 0);
    say(&driver, 1, PORT_OPEN, 1);
    check(!chardev_user_away(ring));
    rig_checkpoint(rig);
    driver_turn(&driver);
    check_eq(type(ring, "hello"), 5);
    check(driver_used(&driver, 4, &head, &written));
    check_eq(written, 5);
    check_memory(rig, IN_AT, "hello");
    check_eq(type(ring, "more"), 0);
    room_at(&driver, 4, IN_AT);
    driver_turn(&driver);
    rig_checkpoint(rig);
    driver_turn(&driver);
    check_eq(type(ring, "more"), 4);
    check(driver_used(&driver, 4, &head, &written));
    check_memory(rig, IN_AT, "more");
    say(&driver, 1, PORT_OPEN, 0);
    check(chardev_user_away(ring));
    room_at(&driver, 4, IN_AT);
    check_eq(type(ring, "late"), 0);
    check_eq(faults(rig), 0);
}

static void without_control_messages(Rig *rig)
{
    uint32_t written = 0;
    uint16_t head;
    Driver driver;

    driver_find(&driver, rig, SLOT, LEGACY);
    driver_start(&driver, 0, 2);
    check_eq(put(&driver, 1, "old"), 0);
    check_text(screen, "old");
    room_at(&driver, 0, IN_AT);
    driver_turn(&driver);
    rig_checkpoint(rig);
    driver_turn(&driver);
    check_eq(type(screen, "keys"), 4);
    check(driver_used(&driver, 0, &head, &written));
    check_memory(rig, IN_AT, "keys");
}

static void emergency_writes(Rig *rig)
{
    Driver driver;

    driver_find(&driver, rig, SLOT, MODERN);
    driver_config_put(&driver, 8, 4, 'E');
    driver_config_put(&driver, 8, 4, 'W');
    check_text(screen, "EW");
}

static void the_peer_comes_and_goes(Rig *rig)
{
    Driver driver;

    start(&driver, rig, MODERN);
    hear(&driver, 1, PORT_ADD, 1, NULL);
    say(&driver, 1, PORT_READY, 1);
    hear(&driver, 1, PORT_NAME, 1, "line");
    come();                                /* the guest has not opened its end */
    hear(&driver, 1, PORT_OPEN, 1, NULL);
    check_eq(write(peer, "lost", 4), 4);
    go();
    hear(&driver, 1, PORT_OPEN, 0, NULL);
    say(&driver, 1, PORT_OPEN, 1);
    room_at(&driver, 4, IN_AT);            /* a stream that is read notices that its peer went */
    come();
    hear(&driver, 1, PORT_OPEN, 1, NULL);
    rig_checkpoint(rig);
    driver_turn(&driver);
    go();
    hear(&driver, 1, PORT_OPEN, 0, NULL);
    come();
    rig_checkpoint(rig);
    driver_turn(&driver);
    go();                                  /* came and went with no room to tell: there is nothing to tell */
    room_at(&driver, CONTROL_IN, CONTROL_AT + 0x100);
    driver_turn(&driver);
    check_eq(rig_load(rig, driver.rings[CONTROL_IN].used + 2, 2), driver.rings[CONTROL_IN].seen);
}

/* ---- streams that take nothing ---- */

enum { PIECE = 0x8000 };

static void put_pattern(Driver *driver, unsigned queue, unsigned number)
{
    const Piece piece = { OUT_AT, PIECE, 0, 0 };
    uint8_t bytes[PIECE];

    for (unsigned i = 0; i < PIECE; i++) {
        bytes[i] = (uint8_t)(number + i * 7 + i / 256);
    }
    rig_write(driver->rig, OUT_AT, bytes, PIECE);
    driver_offer(driver, queue, driver_chain(driver, queue, &piece, 1));
    driver_kick(driver, queue);
}

static unsigned used_index(Driver *driver, unsigned queue)
{
    return (unsigned)rig_load(driver->rig, driver->rings[queue].used + 2, 2);
}

/* The stream is full when a piece stays with the device. */
static unsigned fill_stream(Driver *driver, unsigned queue)
{
    unsigned pieces = 0;

    while (used_index(driver, queue) == pieces && pieces < 100) {
        put_pattern(driver, queue, pieces++);
        driver_turn(driver);
    }
    return pieces;
}

/* Port open, and room for input: a stream that is read notices that its peer went. */
static void open_port(Driver *driver, uint32_t port)
{
    say(driver, port, PORT_OPEN, 1);
    room_at(driver, port == 0 ? 0 : 2 * (port + 1), IN_AT);
    driver_turn(driver);
}

/* Takes all of it, and looks at each byte. */
static void take_pieces(Driver *driver, unsigned pieces)
{
    size_t at = 0, all = (size_t)pieces * PIECE;
    uint8_t bytes[4096];

    for (int64_t end = clock_now(CLOCK_STEADY) + 60 * NS_PER_SECOND; at < all && clock_now(CLOCK_STEADY) < end;) {
        ssize_t got = recv(peer, bytes, sizeof bytes, MSG_DONTWAIT);
        for (ssize_t i = 0; i < got; i++, at++) {
            unsigned place = at % PIECE;
            if (bytes[i] != (uint8_t)(at / PIECE + place * 7 + place / 256)) {
                check_failed(__FILE__, __LINE__, "byte %zu is wrong", at);
                return;
            }
        }
        loop_iterate(false);
        driver_turn(driver);
    }
    check_eq(at, all);
}

static void a_full_stream_holds_the_guest(Rig *rig)
{
    uint16_t head;
    Driver driver;

    start(&driver, rig, MODERN);
    come();
    open_port(&driver, 1);
    unsigned pieces = fill_stream(&driver, 5);
    check(pieces > 1 && pieces < 100);
    check_eq(used_index(&driver, 5), pieces - 1);
    rig_checkpoint(rig);                   /* the half of a piece that is through is not sent again */
    driver_turn(&driver);
    take_pieces(&driver, pieces);
    for (unsigned i = 0; i < pieces; i++) {
        check(driver_used(&driver, 5, &head, NULL));
    }
    go();
    check_eq(faults(rig), 0);
}

/* A reset takes back what is held; a peer that goes lets it through. */
static void held_output_ends(Rig *rig)
{
    Driver driver;

    start(&driver, rig, MODERN);
    come();
    check(fill_stream(&driver, 5) < 100);
    driver_set_status(&driver, 0);
    check_eq(driver_status(&driver), 0);
    start(&driver, rig, MODERN);
    open_port(&driver, 1);
    put_pattern(&driver, 5, 0);
    driver_turn(&driver);
    check_eq(used_index(&driver, 5), 0);
    go();
    driver_turn(&driver);
    check_eq(used_index(&driver, 5), 1);
}

/* Linux spins until a console has taken its bytes. */
static void a_console_is_never_held_for_long(Rig *rig)
{
    Driver driver;

    start(&driver, rig, MODERN);
    come();
    open_port(&driver, 0);
    unsigned pieces = fill_stream(&driver, 1);             /* on a slow host all of them: the second is over by then */
    for (int64_t end = clock_now(CLOCK_STEADY) + 60 * NS_PER_SECOND; used_index(&driver, 1) < pieces && clock_now(CLOCK_STEADY) < end;) {
        loop_iterate(false);
        driver_turn(&driver);
    }
    check_eq(used_index(&driver, 1), pieces);
    put_pattern(&driver, 1, 0);
    driver_turn(&driver);
    check_eq(used_index(&driver, 1), pieces + 1);
    go();
}

/* ---- ports that come and go ---- */

static void ports_come_and_go(Rig *rig)
{
    g_autoptr(Value) description = json_parse("{'driver':'virtserialport','id':'late','name':'late'}", NULL);
    g_autoptr(GError) err = NULL;
    Driver driver;

    start(&driver, rig, MODERN);
    hear(&driver, 0, PORT_ADD, 1, NULL);
    hear(&driver, 1, PORT_ADD, 1, NULL);
    rig_machine(rig)->built = true;
    Device *late = machine_add_device(rig_machine(rig), description, &err);
    if (!late) {
        check_failed(__FILE__, __LINE__, "%s", err->message);
        return;
    }
    hear(&driver, 2, PORT_ADD, 1, NULL);
    say(&driver, 2, PORT_READY, 1);
    hear(&driver, 2, PORT_NAME, 1, "late");
    say(&driver, 2, PORT_OPEN, 1);
    check_eq(put(&driver, 7, "x"), 0);
    device_unrealize(late);
    hear(&driver, 2, PORT_REMOVE, 1, NULL);
    check_eq(put(&driver, 7, "x"), 0);
    check_eq(faults(rig), 0);
}

static void refused(Rig *rig, const char *text, const char *part)
{
    g_autoptr(Value) description = json_parse(text, NULL);
    g_autoptr(GError) err = NULL;
    Device *device = machine_add_device(rig_machine(rig), description, &err);

    if (device || !strstr(err->message, part)) {
        check_failed(__FILE__, __LINE__, "%s: %s", text, device ? "was made" : err->message);
    }
}

static void properties_refused(Rig *rig)
{
    refused(rig, "{'driver':'virtio-serial-pci','max_ports':0}", "from 1 to 511");
    refused(rig, "{'driver':'virtio-serial-pci','max_ports':512}", "from 1 to 511");
    refused(rig, "{'driver':'virtserialport','nr':0}", "for a virtconsole");
    refused(rig, "{'driver':'virtserialport','nr':1}", "is taken by 'agent'");
    refused(rig, "{'driver':'virtserialport','nr':31}", "has 0 to 30");
    refused(rig, "{'driver':'virtserialport','name':'org.qemu.guest_agent.0'}", "is taken by 'agent'");
    refused(rig, "{'driver':'virtserialport','bus':'nowhere.0'}", "nowhere.0");
    refused(rig, "{'driver':'virtserialport','chardev':'nobody'}", "nobody");
    refused(rig, "{'driver':'virtserialport','chardev':'ring'}", "in use");
}

/* ---- drivers that lie ---- */

static void nonsense_is_counted(Rig *rig)
{
    const Piece cut = { CONTROL_AT, 7, 0, 0 }, none = { CONTROL_AT, 0, 0, 0 }, writable = { CONTROL_AT, 8, WRITE, 0 };
    const Piece crumb = { CONTROL_AT + 0x100, 3, WRITE, 0 };
    uint16_t head;
    uint32_t written;
    Driver driver;

    start(&driver, rig, MODERN);
    check_eq(driver_do(&driver, CONTROL_OUT, &cut, 1), 0);
    check_eq(driver_do(&driver, CONTROL_OUT, &none, 1), 0);
    check_eq(driver_do(&driver, CONTROL_OUT, &writable, 1), 0);
    say(&driver, 30, PORT_READY, 1);
    say(&driver, 31, PORT_OPEN, 1);
    say(&driver, UINT32_MAX, PORT_OPEN, 1);
    say(&driver, 1, 77, 1);
    say(&driver, 1, PORT_READY, 0);
    say(&driver, 0, DEVICE_READY, 0);
    check_eq(faults(rig), 9);
    /* No room for a whole message. */
    driver_offer(&driver, CONTROL_IN, driver_chain(&driver, CONTROL_IN, &crumb, 1));
    driver_kick(&driver, CONTROL_IN);
    check(driver_used(&driver, CONTROL_IN, &head, &written));
    check_eq(written, 3);
    check_eq(faults(rig), 10);
    for (unsigned i = 0; i < 200; i++) {
        say(&driver, UINT32_MAX, DEVICE_READY, 1);
        say(&driver, 1, PORT_READY, 1);
    }
    hear(&driver, 0, PORT_ADD, 1, NULL);
    check_eq(driver_status(&driver), 15);
    check_eq(put(&driver, 5, "still"), 0);
    check_text(ring, "still");
}

static void buffers_of_no_length(Rig *rig)
{
    const Piece nothing = { IN_AT, 0, WRITE, 0 };
    uint16_t head;
    uint32_t written;
    Driver driver;

    start(&driver, rig, MODERN);
    say(&driver, 1, PORT_OPEN, 1);
    driver_offer(&driver, 4, driver_chain(&driver, 4, &nothing, 1));
    room_at(&driver, 4, IN_AT);
    driver_turn(&driver);
    check_eq(type(ring, "x"), 1);
    check(driver_used(&driver, 4, &head, &written));
    check_eq(written, 0);
    check(driver_used(&driver, 4, &head, &written));
    check_eq(written, 1);
    check_eq(put(&driver, 5, ""), 0);
}

const Test virtio_serial_tests[] = {
    { "the function, as QEMU 7.2 shows it", the_function, "chipset", DEVICES, FRESH | PLUGGED, NULL, streams },
    { "ports are introduced over the modern interface", introductions_modern, "chipset", DEVICES, FRESH | RESTORED | PLUGGED, NULL, streams },
    { "ports are introduced over the legacy interface", introductions_legacy, "chipset", DEVICES, FRESH | RESTORED, NULL, streams },
    { "bytes go both ways", bytes_go_both_ways, "chipset", DEVICES, FRESH | RESTORED | PLUGGED, NULL, streams },
    { "a driver without control messages", without_control_messages, "chipset", DEVICES, FRESH | RESTORED, NULL, streams },
    { "emergency writes", emergency_writes, "chipset", DEVICES, FRESH, NULL, streams },
    { "the peer comes and goes", the_peer_comes_and_goes, "chipset", WITH_SOCKET, FRESH | RESTORED, NULL, socket_stream },
    { "a full stream holds the guest", a_full_stream_holds_the_guest, "chipset", WITH_SOCKET, FRESH | RESTORED, NULL, socket_stream },
    { "held output ends with a reset, and with the peer", held_output_ends, "chipset", WITH_SOCKET, FRESH, NULL, socket_stream },
    { "a console is never held for long", a_console_is_never_held_for_long, "chipset", SLOW_CONSOLE, FRESH, NULL, socket_stream },
    { "ports come and go", ports_come_and_go, "chipset", DEVICES, FRESH, NULL, streams },
    { "properties are refused", properties_refused, "chipset", DEVICES, FRESH, NULL, streams },
    { "nonsense is counted", nonsense_is_counted, "chipset", DEVICES, FRESH, NULL, streams },
    { "buffers of no length", buffers_of_no_length, "chipset", DEVICES, FRESH, NULL, streams },
    { NULL } };
