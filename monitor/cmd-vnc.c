/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd-vnc.c - what is asked of the VNC server while it runs
 *
 * Omits    expire_password, add_client, events, the list of viewers (it is empty)
 * Threads  main loop, machine lock held
 * Tests    tests/guest/vnc.py
 */
#include "monitor/commands.h"
#ifdef HAVE_VNC
#include "ui/vnc/vnc.h"
#endif
#include <string.h>

QMP_HANDLER(query_vnc)
{
#ifdef HAVE_VNC
    return vnc_query();
#else
    Value *info = value_new_object();
    value_set(info, "enabled", value_new_bool(false));
    return info;
#endif
}

static Value *change_password(const char *password, GError **err)
{
#ifdef HAVE_VNC
    return vnc_set_password(password, NULL) ? qmp_done() : qmp_fail(err, QMP_GENERIC_ERROR, "Could not set password");
#else
    return qmp_fail(err, QMP_GENERIC_ERROR, "Could not set password");
#endif
}

QMP_HANDLER(change_vnc_password)
{
    return change_password(value_get_string(args, "password", ""), err);
}

QMP_HANDLER(set_password)
{
    const char *connected = value_get_string(args, "connected", "keep");

    if (strcmp(value_get_string(args, "protocol", ""), "vnc") != 0) {
        return qmp_fail(err, QMP_DEVICE_NOT_ACTIVE, "No spice device has been activated");
    }
    if (strcmp(connected, "keep") != 0) {
        return qmp_fail(err, QMP_GENERIC_ERROR, "parameter 'connected' must be 'keep' when 'protocol' is vnc");
    }
    return change_password(value_get_string(args, "password", ""), err);
}

const QmpType vnc_types[] = {
    { "VncInfo", "struct enabled:bool ?host:str ?family:NetworkAddressFamily ?service:str ?auth:str ?clients:[VncClientInfo]" },
    { "VncClientInfo", "struct host:str service:str family:NetworkAddressFamily websocket:bool" },
    { "NetworkAddressFamily", "enum ipv4 ipv6 unix vsock unknown" },
    { "DisplayProtocol", "enum vnc spice" },
    { "SetPasswordAction", "enum keep fail disconnect" },
    { .name = NULL } };

const QmpCommand vnc_commands[] = {
    { "query-vnc", query_vnc, .returns = "VncInfo", .help = "where the VNC server listens" },
    { "change-vnc-password", change_vnc_password, .args = "password:str", .help = "the password of VNC viewers from now on; its first 8 bytes count" },
    { "set_password", set_password, .args = "protocol:DisplayProtocol password:str ?connected:SetPasswordAction", .help = "the same, as other displays would have it" },
    { .name = NULL } };
