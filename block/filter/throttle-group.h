/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * throttle-group.h - drives that share limits, by name
 */
#pragma once
#include "block/filter/throttle-limits.h"
#include "base/io-loop.h"

typedef struct ThrottleGroup ThrottleGroup;

/* -object throttle-group,id=NAME: main thread. keys: QEMU's, with or without "x-" before them, or {"limits": {...}}. */
bool throttle_group_new(const char *name, const Value *keys, GError **err);
bool throttle_group_delete(const char *name, GError **err);            /* refused while drives are in it */
/* Of -drive throttling.*: made when there is none, else it takes these limits. Lives as long as drives are in it. */
bool throttle_group_configure(const char *name, const Value *keys, GError **err);
bool throttle_group_exists(const char *name);
const ThrottleConfig *throttle_group_config(const char *name);         /* NULL: there is none */

/* A drive in it. Main thread, its requests drained; but member_wait() on its loop, in coroutines. */
typedef struct ThrottleMember ThrottleMember;
ThrottleMember *throttle_member_new(const char *group, IoLoop *loop, GError **err);
void throttle_member_free(ThrottleMember *member);
void throttle_member_wait(ThrottleMember *member, bool write, uint64_t bytes);     /* co; until the limits let it pass */
/* Any thread. While on, nobody waits: what waited goes at once. */
void throttle_member_quiesce(ThrottleMember *member, bool on);
void throttle_member_detach_loop(ThrottleMember *member);              /* on its loop */
void throttle_member_attach_loop(ThrottleMember *member, IoLoop *loop);
