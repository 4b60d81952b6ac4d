/* SPDX-License-Identifier: GPL-2.0-or-later */
/* help.h - roost help [TOPIC] */
#pragma once

int help_command(int argc, char **argv);   /* the exit status */
