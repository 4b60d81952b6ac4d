/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * models.c - what must hold for every device model: help, a second life, and a calm reaction to hostile saved states
 *
 * Walks hw/models.c, so a new model is tested here without a line. Each is made on the board "chipset"; those that need
 * more than that (a drive, a wire they insist on) say so when they are realized, and are left out by name.
 */
#include "base/error.h"
#include "hw/models.h"
#include "tests/rig/rig.h"
#include <stdio.h>
#include <string.h>

static Device *make(Rig *rig, const DeviceModel *model)
{
    g_autoptr(GError) err = NULL;
    Device *device = device_new(rig_machine(rig), model, NULL, NULL, &err);

    if (device && !device_realize(device, &err)) {
        object_unref(&device->object);
        device = NULL;
    }
    if (!device) {
        printf("# %s is left out: %s\n", model->name, err->message);
    }
    return device;
}

/* Accesses to where devices of this board live: low ports, a few known ones, wherever a BAR may be. */
static void poke(Rig *rig, GRand *random, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        uint32_t r = g_rand_int(random), value = g_rand_int(random);
        uint16_t port = r & 0x400 ? value >> 16 : r % 0x400;
        switch (r >> 29) {
        case 0: case 1: rig_outb(rig, port, value); break;
        case 2: rig_outw(rig, port, value); break;
        case 3: rig_outl(rig, port, value); break;
        case 4: rig_inb(rig, port); break;
        case 5: rig_inl(rig, port); break;
        case 6: rig_outl(rig, 0xcf8, 0x80000000 | (value & 0xfffc)); break;
        default: rig_outl(rig, 0xcfc, value); break;
        }
    }
    memset(&rig_machine(rig)->requests, 0, sizeof rig_machine(rig)->requests);
}

static void help_is_there(Rig *rig)
{
    (void)rig;
    for (const DeviceModel *const *model = device_models; *model; model++) {
        check((*model)->help && *(*model)->help);
        check(!(*model)->saved || (*model)->saved_version > 0);
        const Field *tables[] = { (*model)->props, (*model)->bus_props };
        for (unsigned i = 0; i < G_N_ELEMENTS(tables); i++) {
            for (const Field *field = tables[i]; field && field->kind != FIELD_LAST; field++) {
                if (!field->help && !field->hidden) {
                    check_failed(__FILE__, __LINE__, "%s.%s has no help", (*model)->name, field->name);
                }
            }
        }
        check(device_model_find((*model)->name) == *model);
    }
}

static void a_second_life(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(1);

    for (const DeviceModel *const *model = device_models; *model; model++) {
        for (int life = 0; life < 3; life++) {
            Device *device = make(rig, *model);
            if (!device) {
                break;
            }
            poke(rig, random, 300);
            device_reset(device);
            device_unrealize(device);
            poke(rig, random, 100);
        }
    }
}

/* A state saved by the device itself, with bytes changed: taken or refused, and the device is usable after either. */
static void load_hostile_states(Rig *rig, Device *device, GRand *random)
{
    const DeviceModel *model = device->model;
    g_autoptr(GByteArray) stream = g_byte_array_new();

    if (model->before_save) {
        model->before_save(device);
    }
    fields_save(model->saved, device, stream);
    for (int i = 0; i < 60; i++) {
        g_autofree uint8_t *bytes = g_memdup2(stream->data, stream->len);
        const uint8_t *at = bytes;
        size_t left = i % 8 ? stream->len : g_rand_int(random) % (stream->len + 1);
        for (unsigned changes = i < 20 ? 1 : 1 + stream->len / 8; changes && stream->len; changes--) {
            bytes[g_rand_int(random) % stream->len] = g_rand_int(random);
        }
        if (fields_load(model->saved, device, model->name, &at, &left, NULL) && model->after_load) {
            model->after_load(device, NULL);
        }
        poke(rig, random, 200);
        guest_clock_step_to(clock_now(CLOCK_GUEST) + NS_PER_MS);
    }
    device_reset(device);
}

static void hostile_states(Rig *rig)
{
    g_autoptr(GRand) random = g_rand_new_with_seed(2);
    const GPtrArray *board = rig_machine(rig)->devices;

    for (guint i = 0; i < board->len; i++) {
        load_hostile_states(rig, board->pdata[i], random);
    }
    for (const DeviceModel *const *model = device_models; *model; model++) {
        Device *device = (*model)->saved ? make(rig, *model) : NULL;
        if (device) {
            load_hostile_states(rig, device, random);
            device_unrealize(device);
        }
    }
}

const Test models_tests[] = {
    { "every model and property has help", help_is_there, "chipset", NULL, FRESH },
    { "each device can be taken away and made again", a_second_life, "chipset", NULL, FRESH },
    { "each device survives hostile saved states", hostile_states, "chipset", NULL, FRESH },
    { NULL } };
