/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exit-status.h - what the exit status of the process says (docs/exit-status.md)
 *
 * isa-debug-exit takes every odd value, (value << 1) | 1, so Roost's own are even, except 1, which every
 * QEMU user expects for a command line that cannot be carried out.
 */
#pragma once

typedef enum {
    EXIT_STATUS_OK = 0,                    /* the guest powered off, or reset under -no-reboot; quit by the host's wish */
    EXIT_STATUS_USAGE = 1,                 /* bad command line, missing file, no accelerator: nothing ran */
    EXIT_STATUS_PANIC = 100,               /* the guest panicked (pvpanic), unless -action panic=shutdown was said */
    EXIT_STATUS_TRIPLE_FAULT = 102,        /* a triple fault, under -no-reboot */
    EXIT_STATUS_INTERNAL_ERROR = 104,      /* the accelerator could not go on: KVM internal error */
    EXIT_STATUS_HOST_ERROR = 106,          /* the host failed while the guest ran */
    EXIT_STATUS_SANDBOX = 108,             /* a system call that -sandbox forbids */
    EXIT_STATUS_TIMEOUT = 124,             /* -run-timeout ran out, as timeout(1) says it */
} ExitStatus;
