/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-netdev.c - -netdev, -nic and -net: networks, and cards in them
 *
 * Which backends and keys there are is net/'s knowledge; here is the grammar only, and help from the backends' tables.
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "cli/keyval.h"
#include "cli/options.h"
#include "hw/core/device.h"
#include "net/netdev.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const repeated[] = { "hostfwd", "guestfwd", "dnssearch", NULL };

/* QEMU's short names for what -nic and -net call a model; other names are devices' own. */
static const struct { const char *name, *driver; } models[] = { { "virtio", "virtio-net-pci" }, { "virtio-net", "virtio-net-pci" } };

static void print_backends(void)
{
    const char *name;

    printf("Available netdev backend types:\n");
    for (unsigned i = 0; (name = netdev_backend_name(i)); i++) {
        printf("%-10s %s\n", name, netdev_backend_help(name));
    }
}

static bool wants_list(const char *type)
{
    return strcmp(type, "help") == 0 || strcmp(type, "?") == 0;
}

static bool check_type(const char *type, GError **err)
{
    const char *refusal = netdev_backend_refusal(type);

    if (!*type) {
        return fail(err, EINVAL, "the backend's name must come first; '-netdev help' lists them");
    }
    if (netdev_keys(type)) {
        return true;
    }
    return refusal ? fail(err, ENOTSUP, "backend '%s' is refused: %s", type, refusal)
                   : fail(err, EINVAL, "there is no backend '%s'; '-netdev help' lists them", type);
}

/* Checked against the backend's table; a key that may be given again is a list, whatever the number. */
static Value *parse(const Config *config, const char *text, bool any_key, GError **err)
{
    const OptionGrammar grammar = { .who = config->saying, .implied = "type", .other_keys = any_key, .lists = repeated };

    return option_parse(&grammar, text, err);
}

static bool check_keys(const Value *netdev, const char *type, GError **err)
{
    const Field *keys = netdev_keys(type);

    for (size_t i = 0; i < value_length(netdev); i++) {
        const char *key = value_key_at(netdev, i);
        if (strcmp(key, "type") != 0 && strcmp(key, "id") != 0 && !field_find(keys, key)) {
            return fail(err, EINVAL, "%s: there is no key '%s'; '-netdev %s,help' lists them", type, key, type);
        }
    }
    return true;
}

static bool add_netdev(Config *config, Value *take, GError **err)
{
    g_autoptr(Value) netdev = take;
    const char *id = value_get_string(netdev, "id", NULL);
    Value *list = config_list(config, "netdevs");

    if (!id) {
        return fail(err, EINVAL, "id=NAME is missing");
    }
    if (!name_is_well_formed(id)) {
        return fail(err, EINVAL, "id=%s: an id is a letter, then letters, digits and '-._'", id);
    }
    for (size_t i = 0; i < value_length(list); i++) {
        if (strcmp(value_get_string(value_at(list, i), "id", ""), id) == 0) {
            return fail(err, EEXIST, "the id '%s' is taken by an earlier netdev", id);
        }
    }
    value_set_origin(netdev, config->saying);
    value_append(list, g_steal_pointer(&netdev));
    return true;
}

bool opt_netdev(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) netdev = parse(config, text, false, err);
    const char *type = value_get_string(netdev, "type", "");

    (void)option;
    if (!netdev) {
        return false;
    }
    if (wants_list(type)) {
        print_backends();
        return config_show(config);
    }
    if (!check_type(type, err)) {
        return false;
    }
    if (option_wants_help(text)) {
        printf("%s options:\n", type);
        keyval_print_keys(netdev_keys(type));
        return config_show(config);
    }
    return check_keys(netdev, type, err) && add_netdev(config, g_steal_pointer(&netdev), err);
}

/* ---- cards ---- */

static void print_models(void)
{
    printf("Available NIC models:\n");
    for (const DeviceModel *const *model = device_models; *model; model++) {
        if ((*model)->props && field_find((*model)->props, "netdev") && !(*model)->board_only) {
            printf("%s\n", (*model)->name);
        }
    }
}

/* NULL and a sentence where there is no such card. model NULL: what a PC has by default. */
static const char *driver_of(const char *model, GError **err)
{
    const char *driver = model ? model : "e1000";

    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        driver = strcmp(models[i].name, driver) == 0 ? models[i].driver : driver;
    }
    const DeviceModel *found = device_model_find(driver);
    if (!found || !found->props || !field_find(found->props, "netdev")) {
        fail(err, ENOENT, "there is no network card '%s'%s; 'model=help' lists them", driver, model ? "" : ", which is the default");
        return NULL;
    }
    return found->name;
}

static bool move_key(Value *from, const char *key, Value *to, const char *name)
{
    const char *text = value_get_string(from, key, NULL);

    if (text) {
        value_set(to, name, value_new_string(text));
        value_remove(from, key);
    }
    return text != NULL;
}

/* keys: those of the card, which go. netdev NULL: a card without a cable. */
static bool add_card(Config *config, Value *keys, const char *netdev, GError **err)
{
    g_autofree char *model = g_strdup(value_get_string(keys, "model", NULL));
    const char *driver = driver_of(model, err);

    if (!driver) {
        return false;
    }
    Value *device = value_new_object();
    value_set(device, "driver", value_new_string(driver));
    value_remove(keys, "model");
    move_key(keys, "mac", device, "mac");
    move_key(keys, "macaddr", device, "mac");
    move_key(keys, "addr", device, "addr");
    move_key(keys, "vectors", device, "vectors");
    if (netdev) {
        value_set(device, "netdev", value_new_string(netdev));
    }
    value_set_origin(device, config->saying);
    value_append(config_list(config, "devices"), device);
    return true;
}

static char *free_id(const Config *config, const char *stem)
{
    const Value *list = value_get(config->tree, "netdevs");

    for (unsigned nr = 0;; nr++) {
        g_autofree char *id = g_strdup_printf("%s%u", stem, nr);
        bool taken = false;
        for (size_t i = 0; i < value_length(list); i++) {
            taken = taken || strcmp(value_get_string(value_at(list, i), "id", ""), id) == 0;
        }
        if (!taken) {
            return g_steal_pointer(&id);
        }
    }
}

static void say_networks_chosen(Config *config)
{
    value_set(config->tree, "no-default-network", value_new_bool(true));
}

bool opt_nic(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) keys = parse(config, text, true, err);
    const char *type = value_get_string(keys, "type", "");

    (void)option;
    if (!keys) {
        return false;
    }
    if (g_strcmp0(value_get_string(keys, "model", NULL), "help") == 0) {
        print_models();
        return config_show(config);
    }
    if (wants_list(type)) {
        print_backends();
        return config_show(config);
    }
    say_networks_chosen(config);
    if (strcmp(type, "none") == 0) {
        return value_length(keys) == 1 || fail(err, EINVAL, "none takes no keys");
    }
    if (!check_type(type, err)) {
        return false;
    }
    if (!value_get(keys, "id")) {
        g_autofree char *id = free_id(config, "nic");
        value_set(keys, "id", value_new_string(id));
    }
    return add_card(config, keys, value_get_string(keys, "id", ""), err) && check_keys(keys, value_get_string(keys, "type", ""), err) &&
           add_netdev(config, g_steal_pointer(&keys), err);
}

/* The old form, in which everything is plugged into one hub: the n-th "-net nic" gets the n-th backend, which is what "-net nic -net user" means. */
bool opt_net(Config *config, const Option *option, const char *text, GError **err)
{
    g_autoptr(Value) keys = parse(config, text, true, err);
    const char *type = value_get_string(keys, "type", "");
    bool card = strcmp(type, "nic") == 0;

    (void)option;
    if (!keys) {
        return false;
    }
    if (card && g_strcmp0(value_get_string(keys, "model", NULL), "help") == 0) {
        print_models();
        return config_show(config);
    }
    say_networks_chosen(config);
    if (strcmp(type, "none") == 0) {
        return true;
    }
    const char *chosen = card ? value_get_string(keys, "netdev", NULL) : NULL;
    unsigned *count = card ? &config->old_cards : &config->old_backends;
    g_autofree char *id = g_strdup_printf("hub0port%u", *count);
    *count += !chosen;
    if (card) {
        g_autofree char *netdev = g_strdup(chosen ? chosen : id);
        return add_card(config, keys, netdev, err);
    }
    value_set(keys, "id", value_new_string(id));
    return check_type(type, err) && check_keys(keys, type, err) && add_netdev(config, g_steal_pointer(&keys), err);
}

bool finish_networks(Config *config, GError **err)
{
    if (config->old_cards != config->old_backends && config->old_cards && config->old_backends) {
        return fail(err, ENOTSUP, "-net: %u cards and %u backends in one hub are not supported; say -nic for each card, or -netdev hubport", config->old_cards,
                    config->old_backends);
    }
    const Value *devices = config->old_cards && !config->old_backends ? value_get(config->tree, "devices") : NULL;
    for (size_t i = 0; i < value_length(devices); i++) {
        Value *device = value_at(devices, i);
        if (g_str_has_prefix(value_get_string(device, "netdev", ""), "hub0port")) {
            value_remove(device, "netdev");        /* a card without a cable */
        }
    }
    return true;
}
