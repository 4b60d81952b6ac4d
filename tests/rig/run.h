/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run.h - runs a table of rig tests; what a test file needs is in rig.h */
#pragma once
#include "tests/rig/rig.h"

/* argv[1], when there is one: only tests whose names contain it. Exit status: 0 when all checks held. */
int rig_run(const Test *tests, int argc, char **argv);
