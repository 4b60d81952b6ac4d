/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jobs.h - work that goes on after its command was answered, and stays listed until it is dismissed
 *
 * Main loop, machine lock held.
 */
#pragma once
#include "base/value.h"

typedef struct Job Job;
/* A job of QMP's type ("create"): JOB_STATUS_CHANGE created and running. work runs in a coroutine on the main I/O loop, in a later turn, and
 * returns false and *err when it failed; free(opaque) follows. False and *err: the id is taken, or no id. */
bool job_start(const char *id, const char *type, bool (*work)(void *opaque, GError **err), void (*free_opaque)(void *opaque), void *opaque, GError **err);
