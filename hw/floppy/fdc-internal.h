/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fdc-internal.h - between fdc.c (commands) and fdc-transfer.c (what they do with sectors) */
#pragma once
#include "hw/floppy/fdc.h"

enum { PHASE_COMMAND, PHASE_EXECUTE, PHASE_RESULT, PHASES };
/* Execution: waiting for a moment, for the storage, or for the host, which takes or gives what is in .data. */
enum { STEP_NONE, STEP_DELAY, STEP_STORAGE, STEP_MOVE, STEPS };
enum { OP_READ, OP_WRITE, OP_READ_DELETED, OP_READ_TRACK, OP_VERIFY, OP_FORMAT, OP_SCAN_EQUAL, OP_SCAN_LOW, OP_SCAN_HIGH, OP_READ_ID, OPERATIONS };
enum { ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_POLLED = 0xc0, ST0_SEEK_END = 0x20, ST0_CHECK = 0x10 };
enum { ST1_NO_ADDRESS = 0x01, ST1_NOT_WRITABLE = 0x02, ST1_NO_DATA = 0x04, ST1_DATA_ERROR = 0x20, ST1_END = 0x80 };
enum { ST2_NOT_SATISFIED = 0x04, ST2_SCAN_HIT = 0x08, ST2_WRONG_CYLINDER = 0x10, ST2_DATA_ERROR = 0x20, ST2_CONTROL_MARK = 0x40 };

/* fdc.c */
void fdc_result(Fdc *fdc, unsigned count, bool interrupt);
void fdc_step_to(FdcDrive *drive, unsigned track);
void fdc_id_passed(Fdc *fdc);

/* fdc-transfer.c */
void fdc_begin(Fdc *fdc, int64_t now);     /* the commands with nine bytes */
void fdc_begin_format(Fdc *fdc, int64_t now);
void fdc_delay(Fdc *fdc, int64_t now);     /* a moment, then fdc_go_on() or fdc_id_passed() */
void fdc_go_on(Fdc *fdc);
bool fdc_readable(const Fdc *fdc);         /* a drive, a disk in it, and the right data rate */
void fdc_finish(Fdc *fdc, uint8_t st0);    /* seven bytes of result */
void fdc_fail(Fdc *fdc, uint8_t st1, uint8_t st2);
bool fdc_to_host(const Fdc *fdc);
size_t fdc_move_bytes(Fdc *fdc, uint8_t *data, size_t length, bool to_host, bool terminal, int64_t now);
