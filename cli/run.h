/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run.h - the stages of a run, and the process around the machine */
#pragma once
#include "cli/options.h"
#include "hw/core/machine.h"

/* From the configuration to the end of the guest; the exit status. */
int run(Config *config);
/* One line on standard error, whatever a person or a guest put into it. */
void complain(const GError *err);

/* sandbox.c */
bool sandbox_enter(const Value *config, GError **err);     /* the "sandbox" object; NULL: nothing happens. All threads must exist. */
/* signals.c */
void signals_early(void);                                  /* before anything is opened: the terminal is restored when one kills us */
bool signals_to_loop(Machine *machine, GError **err);      /* SIGINT, SIGTERM and SIGHUP become requests */
bool parent_remember(GError **err);                         /* whose end is then this one's: as early as can be */
void signals_block(void);                                  /* before threads are made */
/* daemonize.c */
void standard_descriptors(void);            /* those that are closed become /dev/null; before anything is opened */
bool daemonize_fork(GError **err);                         /* in the parent it does not return */
bool daemonize_done(GError **err);                         /* the parent may end with 0 */
bool pidfile_write(const char *path, GError **err);        /* locked; removed by pidfile_remove() */
void pidfile_remove(void);
bool runas_become(const Value *runas, GError **err);
