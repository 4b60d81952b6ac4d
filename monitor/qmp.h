/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp.h - how a QMP command, an event and their types are declared, and how a command is called
 *
 * A command is a row of a table in the file that has its function; all tables are named in dispatch.c. Arguments, results and event
 * data are written as text, in a notation that says what QMP's own schema says:
 *
 *   "id:str ?force:bool sizes:[size]"         members; "?" may be left out; "[T]" a list of T; "..." allows others
 *   "StatusInfo"                              a type of some QmpType table
 *   NULL                                      nothing: {}
 *
 * and a QmpType's text begins with its kind:
 *
 *   "enum on off auto"
 *   "struct running:bool status:RunState"
 *   "union driver:BlockdevDriver ?node-name:str ; driver ; file:BlockdevFile raw:BlockdevRaw"     common members ; tag ; branches
 *   "alternate definition:BlockdevOptions reference:str"
 *
 * Built in: str bool int uint (0 to 2^64-1) number any null. The same text checks what a client sends, answers query-qmp-schema and is
 * what the tests hold every reply against.
 */
#pragma once
#include "base/value.h"
#include "hw/core/machine.h"

typedef struct Session Session;

/* QMP's classes; a GError of any other domain is a GenericError. */
typedef enum { QMP_GENERIC_ERROR, QMP_COMMAND_NOT_FOUND, QMP_DEVICE_NOT_ACTIVE, QMP_DEVICE_NOT_FOUND, QMP_KVM_MISSING_CAP } QmpClass;
#define QMP_ERROR (qmp_error_quark())
GQuark qmp_error_quark(void);
/* Sets *err; always NULL, so that a command can write "return qmp_fail(err, ...)". */
Value *qmp_fail(GError **err, QmpClass class, const char *format, ...) G_GNUC_PRINTF(3, 4);
const char *qmp_class_name(const GError *err);

typedef struct QmpType { const char *name, *text; } QmpType;           /* a table ends with .name NULL */

typedef struct QmpCommand {
    const char *name;                      /* a table ends with NULL */
    /* args: checked against .args; lent. The result is the caller's; NULL: *err says why. Main loop, machine lock held. */
    Value *(*run)(Session *session, const Value *args, GError **err);
    const char *args, *returns;
    const char *help;
    bool waits;                            /* it runs in a coroutine on io_loop_main() and may yield */
    bool out_of_band;                      /* "exec-oob": runs before what waits in the queue */
    const char *features;                  /* words for query-qmp-schema; NULL: none */
} QmpCommand;

#define QMP_HANDLER(name) \
    static Value *name(Session *session G_GNUC_UNUSED, const Value *args G_GNUC_UNUSED, GError **err G_GNUC_UNUSED)

typedef struct QmpEvent {
    const char *name;                      /* a table ends with NULL */
    const char *data, *help;
    bool rationed;                         /* at most one a second, the last one of a second at its end */
    const char *key;                       /* ... for each value of this member of the data */
} QmpEvent;

/* dispatch.c */
extern const QmpCommand *const qmp_command_tables[];                   /* NULL-terminated; so are the others */
extern const QmpType *const qmp_type_tables[];
extern const char *(*const qmp_made_types[])(const char *name);        /* texts of types that follow from other tables; each NULL: not its name */
const QmpCommand *qmp_command_find(const char *name);
/* Checks and runs; commands that wait only inside a coroutine. What HMP and the dispatcher of a session call. */
Value *qmp_call(Session *session, const QmpCommand *command, const Value *args, GError **err);
/* The same from outside of coroutines for any command; one that waits is waited for. */
Value *qmp_call_and_wait(Session *session, const QmpCommand *command, const Value *args, GError **err);
Value *qmp_done(void);                     /* {} */
void qmp_control(Machine *machine, const Value *tree);     /* both lent; before the first command */
Machine *qmp_machine(void);                /* the one that is controlled */
const Value *qmp_tree(void);               /* its configuration */
void qmp_set_options(Value *(*list)(void));                /* what query-command-line-options answers; the command line knows */

/* events.c */
extern const QmpEvent qmp_events[];
void qmp_events_listen(void);
void qmp_events_unlisten(void);

/* schema.c */
bool qmp_check_args(const QmpCommand *command, const Value *args, GError **err);
Value *qmp_schema(void);                   /* query-qmp-schema's reply */
