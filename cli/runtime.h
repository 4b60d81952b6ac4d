/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * runtime.h - the user's folder of running VMs: who runs, and where its sockets are
 *
 * The folder, mode 0700, is $XDG_RUNTIME_DIR/roost, else /run/user/UID/roost, else /tmp/roost-UID:
 *
 *   lock            held while an entry is made or a stale one removed; the number given last
 *   12/pid          locked by the VM as long as it lives; its process id
 *   12/about        JSON: name, uuid, memory in KiB, processors, command line
 *   12/domain.xml   the domain as it was started, when a domain file had a part in it
 *   12/state        a state and why, in virsh's words: "paused;user"
 *   12/qmp, console sockets (monitor/control.h)
 *   log/NAME.log    what a VM of that name said; it outlives the VM
 *
 * Who finds a pid without a lock removes the entry. Nothing here asks the VM, so that one that hangs holds up nobody.
 */
#pragma once
#include "base/value.h"
#include <stdbool.h>
#include <sys/types.h>

typedef struct VmEntry {
    unsigned id;
    pid_t pid;
    const char *name, *uuid;               /* inside about */
    Value *about;
    char *state, *reason;                  /* virsh's words: "paused", "user" */
} VmEntry;

int runtime_open(bool make, GError **err);                 /* the folder's descriptor, checked; -1. ENOENT: there is none */
int runtime_lock(int folder, GError **err);                /* close() unlocks; -1 */
/* Inside a folder of ours: never through a link. At most 1 MiB; NULL when there is none. */
char *runtime_read(int folder, const char *name);
char *runtime_read_tail(int folder, const char *name);     /* the last MiB of a file of any length */
bool runtime_write(int folder, const char *name, const char *text, GError **err);
/* A UNIX socket in an entry, whatever the path's length: listening, or connected without waiting for its server. */
int runtime_listen(int entry, const char *name, GError **err);
int runtime_connect(const VmEntry *vm, const char *name, GError **err);

void runtime_remove_entry(int folder, unsigned id);
int runtime_entry(int folder, unsigned id);                /* its descriptor; -1 */
char *runtime_file_name(const char *vm);   /* NAME, without what a file name cannot have */
char *runtime_log_name(const char *vm);                    /* "log/NAME.log", likewise */

GPtrArray *vm_entries(GError **err);       /* of VmEntry, by id, which it owns; stale ones are removed. NULL: *err */
void vm_entry_free(VmEntry *vm);
bool vm_lives(const VmEntry *vm);          /* still */
