/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.h - the monitors of a run: one session for each stream that -qmp, -mon or -monitor named
 *
 * Main loop, machine lock held.
 */
#pragma once
#include "base/char/chardev.h"
#include "hw/core/machine.h"

typedef struct Session Session;

/* monitors: the tree's list of {"chardev":ID,"mode":"control"|"readline","pretty":BOOL}. Attached at once, so that who attaches to a mux
 * later has the keyboard; commands are taken when the loop turns, by when monitors_control() must have named the machine. */
bool monitors_open(const Value *monitors, GError **err);
void monitors_control(Machine *machine, const Value *tree, Value *(*describe_options)(void));
/* A QMP session for a stream of no tree, which is its own from now on: both end when the client goes, and left() is called. */
bool monitors_receive(Chardev *take, void (*left)(void), GError **err);
void monitors_close(void);

/* For whoever talks to a session without a stream: fuzzers, and human-monitor-command. */
Session *session_new(bool control, bool pretty);
void session_free(Session *session);
void session_feed(Session *session, const char *data, size_t length);
void session_negotiate(Session *session, bool out_of_band);
bool session_is_negotiated(const Session *session);        /* a client is there and takes events */
void session_send(Session *session, const Value *message);
void session_send_event(Session *session, const Value *message);      /* dropped when the client has not read for long */
Session *session_next(const Session *session);             /* all of them; NULL begins */

/* Descriptors by name (getfd): the monitor's until they are taken. */
bool session_keep_fd(Session *session, const char *name, int fd);
int session_take_fd(Session *session, const char *name);   /* -1: there is none of that name */
int session_receive_fd(Session *session);                  /* what came with the last message; -1 */
