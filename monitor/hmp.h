/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hmp.h - the monitor for people: lines in, text out, each line carried out by way of QMP commands
 *
 * Main loop, machine lock held.
 */
#pragma once
#include "monitor/qmp.h"

typedef struct Words { char **items; unsigned count; } Words;
typedef struct HmpCommand {
    const char *name;                      /* names, separated by '|' */
    const char *args, *help;
    void (*run)(Session *session, const Words *words, GString *out);   /* words: what follows the name */
    unsigned least;                        /* words that must be there */
    bool rest;                             /* the last word is the rest of the line */
} HmpCommand;
extern const HmpCommand hmp_commands[], hmp_infos[];       /* end with .name NULL */

/* One line; what it says is appended with "\n" line ends. */
void hmp_execute(Session *session, const char *line, GString *out);
/* What can stand at the end of the line: names that continue its last word; the caller frees. */
char **hmp_complete(const char *line, size_t *word_begin);
/* A QMP command; an error is appended to out as "Error: ...". NULL then; else the reply, which the caller owns. */
Value *hmp_qmp(Session *session, GString *out, const char *command, Value *take_args);
/* The same for a command whose reply is nothing. */
void hmp_do(Session *session, GString *out, const char *command, Value *take_args);
Value *hmp_args(const char *key, const char *value);       /* {key: value}; {} for a NULL value */

/* hmp-expression.c: numbers, $registers, + - * / % & | ^ ~ ( ). */
bool hmp_evaluate(const char *text, const char **end, uint64_t *value, GString *out);
CpuState *hmp_registers(void);             /* of processor 0, for one command; the caller frees; NULL: there is none */

/* Commands: hmp-input.c, hmp-backend.c. */
typedef void HmpRun(Session *session, const Words *words, GString *out);
HmpRun hmp_sendkey, hmp_mouse_move, hmp_mouse_button, hmp_mouse_set, hmp_screendump;
HmpRun hmp_chardev_add, hmp_chardev_change, hmp_netdev_add, hmp_netdev_del, hmp_set_link, hmp_hostfwd_add, hmp_hostfwd_remove;

/* hmp-line.c: the editor of a session's line. */
typedef struct HmpLine HmpLine;
HmpLine *hmp_line_new(void);
void hmp_line_free(HmpLine *line);
void hmp_line_greet(HmpLine *line, GString *echo);
void hmp_line_prompt(HmpLine *line, GString *echo);        /* and what is typed so far */
/* One byte; echo gets what the terminal is to show. The finished line, which the caller frees, or NULL. */
char *hmp_line_key(HmpLine *line, uint8_t key, GString *echo);
