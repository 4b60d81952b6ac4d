/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iothread.h - "-object iothread": a thread with an I/O loop of its own, which devices name by its id
 *
 * Main thread, machine lock held.
 */
#pragma once
#include "base/field.h"
#include "base/io-loop.h"

typedef struct IoThread IoThread;

/* options: members id, poll-max-ns, poll-grow, poll-shrink, aio-max-batch, thread-pool-min, thread-pool-max. */
bool iothread_add(const Value *options, GError **err);
bool iothread_remove(const char *id, GError **err);        /* refused while a device uses it */
void iothread_remove_all(void);            /* at the end of the process, after the devices and blk_close_all() */
IoThread *iothread_find(const char *id);   /* NULL; lends */
IoLoop *iothread_loop(const IoThread *thread);
const char *iothread_id(const IoThread *thread);
IoThread *iothread_at(size_t i);           /* all of them, in order of making; NULL beyond the last */
Value *iothread_describe(const IoThread *thread);          /* QMP's IOThreadInfo; the caller owns it */
void iothread_use(IoThread *thread, bool use);             /* a device came or went; counted */
extern const Field iothread_keys[];        /* with help; the object's properties */
