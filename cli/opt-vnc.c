/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * opt-vnc.c - -vnc, and -display, of which VNC is the one kind
 *
 * Tests    tests/cli/options.py, tests/cli/config.py
 */
#include "cli/keyval.h"
#include "cli/options.h"
#ifdef HAVE_VNC
#include "ui/vnc/vnc.h"
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const shares[] = { "allow-exclusive", "force-shared", "ignore", NULL };

const Field vnc_keys[] = {
    KEY_STR("vnc", "HOST:DISPLAY (port 5900 + DISPLAY), unix:PATH, or none"), KEY_UINT("to", 0, 65535, "the display may be any one up to this"),
    KEY_BOOL("password", "viewers need the password that change-vnc-password or set_password gives"),
    KEY_ENUM("share", shares, "what a viewer may ask of the others: allow-exclusive lets it send them away"),
    KEY_STR("websocket", "on (port 5700 + DISPLAY) or a port: for viewers in browsers"), KEY_BOOL("lock-key-sync", "accepted without effect"),
    KEY_UINT("key-delay-ms", 0, UINT32_MAX, "accepted without effect"), KEY_BOOL("lossy", "accepted: the viewer chooses"),
    KEY_BOOL("non-adaptive", "accepted: the viewer chooses"), KEY_STR("audiodev", "accepted: there is no sound"),
    KEY_BOOL("power-control", "on is not supported"), KEY_BOOL("reverse", "on is not supported"), KEY_STR("password-secret", "id of an -object secret: the password, of which 8 bytes count"),
    KEY_STR("tls-creds", "not supported"), KEY_STR("tls-authz", "not supported"), KEY_BOOL("sasl", "on is not supported"), KEY_STR("sasl-authz", "not supported"),
    KEY_STR("acl", "not supported"), FIELD_END };

bool opt_vnc(Config *config, const Option *option, const char *text, GError **err)
{
    Value *vnc = keyval_parse(config, vnc_keys, text, "vnc", err);

    (void)option;
    if (!vnc) {
        return false;
    }
    config->display_given = true;
#ifdef HAVE_VNC
    if (!vnc_check(vnc, err)) {
        value_unref(vnc);
        return false;
    }
#else
    if (strcmp(value_get_string(vnc, "vnc", ""), "none") != 0) {
        value_unref(vnc);
        return fail(err, ENOTSUP, "VNC was left out when Roost was built (libvncserver)");
    }
#endif
    if (strcmp(value_get_string(vnc, "vnc", ""), "none") == 0) {
        value_unref(vnc);
        return true;
    }
    value_set_origin(vnc, config->saying);
    value_append(config_list(config, "vncs"), vnc);
    return true;
}

bool opt_display(Config *config, const Option *option, const char *text, GError **err)
{
    config->display_given = true;
    if (strcmp(text, "help") == 0) {
        puts("none\nvnc=WHERE[,KEY=VALUE,...]   as -vnc has it");
        return config_show(config);
    }
    if (g_str_has_prefix(text, "vnc=")) {
        return opt_vnc(config, option, text + strlen("vnc="), err);
    }
    return strcmp(text, "none") == 0 || fail(err, ENOTSUP, "that display is not supported; there are none and vnc=WHERE");
}
