/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp-client.h - a verb's connection to a running VM: requests one after the other, each with an end to its patience
 */
#pragma once
#include "base/value.h"
#include "cli/runtime.h"

typedef struct QmpClient QmpClient;

/* Connected and negotiated. NULL and *err: within seconds (0: for ever) nobody answered, or the VM ended. */
QmpClient *qmp_client_open(const VmEntry *vm, double seconds, GError **err);
void qmp_client_free(QmpClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpClient, qmp_client_free)
/* What "return" holds, the caller's; NULL and *err with QMP's own sentence. take_args may be NULL. */
Value *qmp_client_call(QmpClient *client, const char *command, Value *take_args, GError **err);
/* A whole request; its whole reply, be it an error. */
Value *qmp_client_ask(QmpClient *client, const Value *request, GError **err);
/* For who waits for events beside other things: the descriptor, and what has come. *ended: the VM went away. */
int qmp_client_fd(const QmpClient *client);
Value *qmp_client_event(QmpClient *client, bool *ended);   /* the next one that is here; NULL: none */

/* Until that moment (clock_now(CLOCK_STEADY); 0: for ever), for poll(). */
int patience_ms(int64_t deadline);
int64_t patience_until(double seconds);
