/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb.h - virsh's verbs without a daemon: their table, and what they share
 *
 * A verb is a row: its options land in a struct of its own that begins with Verb; .run returns the exit status, with a sentence in *err
 * where one is due. Options, output and exit codes are virsh's.
 */
#pragma once
#include "cli/qmp-client.h"
#include "cli/tool.h"

typedef struct VerbSpec VerbSpec;

typedef struct Verb {
    const VerbSpec *spec;
    int count;                             /* operands, without the domain */
    char **operands;
    const char *domain;                    /* a name, an id or a uuid */
    double seconds;                        /* --timeout: patience with a VM that does not answer */
    bool help;
} Verb;

typedef enum { VERB_NO_VM, VERB_ONE_VM } VerbNeeds;

struct VerbSpec {
    const char *name;
    const char *operands;                  /* behind the domain: "SIZE" */
    int least, most;                       /* of them; most -1: any number */
    VerbNeeds needs;
    bool raw;                              /* prints no empty line at its end, where virsh's verbs do */
    bool patient;                          /* no time-out unless --timeout says one */
    const char *help;
    const ToolOption *options;
    size_t size;                           /* of the struct that begins with Verb */
    int (*run)(Verb *verb, GError **err);
    const char *completes;                 /* the first operand for shells: "domain", "inactive", "file"; NULL: the domain or nothing */
};

/* Rows that many verbs have; T begins with Verb common. */
bool verb_take_timeout(void *into, const char *text, GError **err);
#define VERB_DOMAIN OPTION_TEXT(0, "domain", "DOMAIN", Verb, domain, "the VM's name, id or uuid, as the first word says it")
#define VERB_TIMEOUT OPTION_CALL(0, "timeout", "SECONDS", verb_take_timeout, "give up when the VM has not answered by then (default: 30)")
#define VERB_HELP OPTION_FLAG('h', "help", Verb, help, "this help")
#define VERB_OPTIONS_END { .kind = TOOL_END }

extern const VerbSpec *const verb_specs[];                 /* NULL-terminated */
const VerbSpec *verb_find(const char *name);
/* argv[0] is the verb; the exit status. */
int verb_main(const VerbSpec *spec, int argc, char **argv);
void verbs_print_help(void);
void verbs_print_manual(void (*term)(const char *bold, const char *argument), void (*text)(const char *line));
bool verbs_print_completion(const char *shell);            /* "bash" or "zsh"; false for another: completion.c */

GPtrArray *verb_all(GError **err);         /* of VmEntry: who runs, by id, then who is only defined (pid 0), by name */
/* The VM that verb->domain means, running or only defined; NULL and virsh's sentence. The caller frees. */
VmEntry *verb_any(const Verb *verb, GError **err);
/* The same, running; NULL and virsh's sentence. The caller frees. */
VmEntry *verb_vm(const Verb *verb, GError **err);
/* ... and its QMP. */
QmpClient *verb_client(const Verb *verb, VmEntry **vm, GError **err);
/* One command for the VM: true when it was done. what: "suspend", for "Failed to suspend domain 'x'". */
bool verb_command(const Verb *verb, const char *what, const char *command, GError **err);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VmEntry, vm_entry_free)

bool verb_scaled_bytes(const char *text, uint64_t *bytes, GError **err);        /* a bare number is in KiB */
double vm_cpu_seconds(pid_t pid);          /* of the host's processors */

/* ---- tables as virsh prints them ---- */
typedef struct VerbTable VerbTable;
VerbTable *verb_table_new(const char *const *columns);     /* NULL-terminated */
void verb_table_row(VerbTable *table, const char *const *cells);       /* as many */
void verb_table_print(VerbTable *table);                   /* and frees it */
char *verb_printable(const char *text);                    /* control characters as \x0a; the caller frees */
