/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run.h - runs a table of rig tests, or makes a rig for a fuzz target; what a test file needs is in rig.h */
#pragma once
#include "tests/rig/rig.h"

/* argv[1], when there is one: only tests whose names contain it. Exit status: 0 when all checks held. */
int rig_run(const Test *tests, int argc, char **argv);

/* For those who bring their own main(): once per process, then a rig at a time. */
void rig_prepare(void);
Rig *rig_new(const Test *test, unsigned run);
void rig_free(Rig *rig);
