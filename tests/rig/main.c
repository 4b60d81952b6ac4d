/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main.c - one test executable: RIG_TESTS is the table of the file it is linked with */
#include "tests/rig/run.h"

extern const Test RIG_TESTS[];

int main(int argc, char **argv)
{
    return rig_run(RIG_TESTS, argc, argv);
}
