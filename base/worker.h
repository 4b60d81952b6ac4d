/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker.h - work that blocks, done on another thread
 *
 * Threads are started when work waits and nobody is idle, up to a limit, and end after some idle seconds.
 */
#pragma once

/* Runs work(opaque) on a worker thread, without the machine lock, and then done(opaque) on the main loop, with it.
 * done may be NULL. Any thread. Work of one submitter may overtake its other work. */
void worker_submit(void (*work)(void *opaque), void (*done)(void *opaque), void *opaque);
