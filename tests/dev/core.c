/* SPDX-License-Identifier: GPL-2.0-or-later */
/* core.c - what all devices share: adding by text, requests and what becomes of them, and saved states that are not ours */
#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "tests/rig/rig.h"
#include <string.h>

enum { HEAD = 16 };

static GByteArray *save(Rig *rig)
{
    GByteArray *stream = g_byte_array_new();

    check(machine_save(rig_machine(rig), stream, NULL));
    return stream;
}

static bool one_plain_line(const char *text)
{
    for (; *text; text++) {
        if (g_ascii_iscntrl(*text)) {
            return false;
        }
    }
    return true;
}

/* Refused with one line, or taken; true when taken. */
static bool try_load(Rig *rig, const uint8_t *data, size_t length)
{
    g_autofree uint8_t *copy = g_memdup2(data, length);      /* of exact size */
    g_autoptr(GError) err = NULL;
    bool ok = machine_load(rig_machine(rig), copy, length, &err);

    check_eq(ok, err == NULL);
    if (!ok && (!*err->message || !one_plain_line(err->message))) {
        check_failed(__FILE__, __LINE__, "the sentence is not one line of text: '%s'", err->message);
    }
    return ok;
}

static void cut_off_states(Rig *rig)
{
    g_autoptr(GByteArray) stream = save(rig);

    for (guint length = 0; length < stream->len; length++) {
        check(!try_load(rig, stream->data, length));
    }
    check(try_load(rig, stream->data, stream->len));
}

static void damaged_states(Rig *rig)
{
    g_autoptr(GByteArray) stream = save(rig);
    g_autoptr(GRand) random = g_rand_new_with_seed(7);
    unsigned taken = 0;

    for (unsigned i = 0; i < 20000; i++) {
        g_autofree uint8_t *copy = g_memdup2(stream->data, stream->len);
        for (int changes = g_rand_int_range(random, 1, 4); changes > 0; changes--) {
            copy[g_rand_int_range(random, 0, (gint32)stream->len)] = (uint8_t)g_rand_int(random);
        }
        taken += try_load(rig, copy, stream->len);
        rig_inb(rig, 0x3fd);
        rig_inb(rig, 0x64);
    }
    check(taken > 0);
    check(try_load(rig, stream->data, stream->len));
}

/* Where the records of a stream begin; the last is the end. */
static unsigned records(const GByteArray *stream, guint *places, unsigned most)
{
    unsigned count = 0;

    for (guint at = HEAD; at < stream->len && count < most; count++) {
        places[count] = at;
        at += 10u + stream->data[at + 1] + load_le32(stream->data + at + 6 + stream->data[at + 1]);
    }
    return count;
}

static void records_in_disorder(Rig *rig)
{
    g_autoptr(GByteArray) stream = save(rig), other = g_byte_array_new();
    guint places[64];
    unsigned count = records(stream, places, G_N_ELEMENTS(places));

    check(count >= 3);
    g_byte_array_append(other, stream->data, places[0]);     /* without the first device */
    g_byte_array_append(other, stream->data + places[1], stream->len - places[1]);
    check(!try_load(rig, other->data, other->len));
    g_byte_array_set_size(other, 0);
    g_byte_array_append(other, stream->data, places[1]);     /* the first device twice */
    g_byte_array_append(other, stream->data + places[0], stream->len - places[0]);
    check(!try_load(rig, other->data, other->len));
    g_byte_array_set_size(other, 0);
    g_byte_array_append(other, stream->data, places[0]);     /* the other way round is harmless */
    g_byte_array_append(other, stream->data + places[1], places[2] - places[1]);
    g_byte_array_append(other, stream->data + places[0], places[1] - places[0]);
    g_byte_array_append(other, stream->data + places[2], stream->len - places[2]);
    check(try_load(rig, other->data, other->len));
    static const struct { guint offset; uint8_t value; } bad[] = { { 0, 'r' }, { 7, 1 }, { 15, 0x80 }, { HEAD, 'Q' }, { HEAD, 0 }, { HEAD, 'E' }, { HEAD, 'C' },
                                                                   { HEAD + 3, '!' } };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree uint8_t *copy = g_memdup2(stream->data, stream->len);
        copy[bad[i].offset] = bad[i].value;
        check(!try_load(rig, copy, stream->len));
    }
    g_autofree uint8_t *copy = g_memdup2(stream->data, stream->len);
    guint version = places[0] + 2 + stream->data[places[0] + 1];
    store_le32(copy + version, UINT32_MAX);                  /* of a later Roost */
    check(!try_load(rig, copy, stream->len));
    store_le32(copy + version, load_le32(stream->data + version));
    store_le32(copy + version + 4, UINT32_MAX);
    check(!try_load(rig, copy, stream->len));
    check(try_load(rig, stream->data, stream->len));
}

static void adding_by_text(Rig *rig)
{
    static const struct { const char *text, *words; } bad[] = {
        { "{}", "needs driver=MODEL" }, { "{'driver':'toaster'}", "'toaster' is not a device model" }, { "{'driver':'fw_cfg_io'}", "is not a device model" },
        { "{'driver':'isa-serial','bus':'isa.7'}", "there is no ISA bus 'isa.7'" }, { "{'driver':'isa-serial','colour':'red'}", "has no property 'colour'" },
        { "{'driver':'isa-serial','iobase':'far'}", "property 'iobase'" }, { "{'driver':'isa-serial','chardev':'none'}", "there is no chardev with that id" },
        { "{'driver':'isa-serial','id':'first'}", "the id is taken" }, { "{'driver':'isa-serial','irq':99}", "irq" },
    };
    Machine *machine = rig_machine(rig);
    guint before = machine->devices->len;

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Value) description = json_parse(bad[i].text, NULL);
        g_autoptr(GError) err = NULL;
        check(machine_add_device(machine, description, &err) == NULL);
        if (!err || !strstr(err->message, bad[i].words) || strchr(err->message, '\n')) {
            check_failed(__FILE__, __LINE__, "%s: the sentence is '%s'", bad[i].text, err ? err->message : "none");
        }
        check_eq(machine->devices->len, before);
    }
    g_autoptr(Value) good = json_parse("{'driver':'isa-serial','id':'second','iobase':744,'irq':3,'index':1}", NULL);
    for (unsigned life = 0; life < 3; life++) {
        Device *device = machine_add_device(machine, good, NULL);
        check(device && device == machine_find_device(machine, "second"));
        device_unrealize(device);
        check(!machine_find_device(machine, "second"));
    }
    check_eq(machine->devices->len, before);
}

/* Requests wait for the main loop, which carries out the strongest. */
static void requests(Rig *rig)
{
    Machine *machine = rig_machine(rig);

    rig_outb(rig, 0x3fb, 0x55);
    machine_request_reset(machine, CAUSE_GUEST_RESET);
    check_eq(rig_inb(rig, 0x3fb), 0x55);
    machine_handle_requests(machine);
    check_eq(rig_inb(rig, 0x3fb), 0);
    check_eq(machine->state, RUN_PRELAUNCH);
    machine_start(machine);
    check_eq(machine->state, RUN_RUNNING);
    machine_request_wakeup(machine);         /* awake already */
    machine_request_suspend(machine);
    machine_handle_requests(machine);
    check_eq(machine->state, RUN_SUSPENDED);
    machine_request_wakeup(machine);
    machine_handle_requests(machine);
    check_eq(machine->state, RUN_RUNNING);
    machine_request_suspend(machine);
    machine_request_reset(machine, CAUSE_HOST_QMP_SYSTEM_RESET);
    machine_handle_requests(machine);
    machine_request_stop(machine, RUN_PAUSED);
    machine_handle_requests(machine);
    check_eq(machine->state, RUN_PAUSED);
    machine_request_exit(machine, 5);
    machine_request_exit(machine, 7);        /* the first one counts */
    check_eq(machine->exit_status, 5);
    memset(&machine->requests, 0, sizeof machine->requests);
    for (unsigned i = 0; i <= RUN_RESTORE_VM; i++) {
        check(run_state_name((RunState)i) && *run_state_name((RunState)i));
    }
    for (unsigned i = 0; i <= CAUSE_SNAPSHOT_LOAD; i++) {
        check(cause_name((Cause)i) && *cause_name((Cause)i));
    }
}

#define DEVICES .devices = "isa-serial,id=first i8042 isa-debugcon,iobase=0x402", .runs = FRESH
const Test core_tests[] = {
    { "states cut off at every byte", cut_off_states, DEVICES },
    { "states with damaged bytes", damaged_states, DEVICES },
    { "states with records missing, doubled, unknown", records_in_disorder, DEVICES },
    { "devices by text", adding_by_text, DEVICES },
    { "requests", requests, DEVICES },
    { NULL }
};
