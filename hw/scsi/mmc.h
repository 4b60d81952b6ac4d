/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmc.h - what a CD/DVD-ROM drive answers to commands that do not read the disc, whatever cable it hangs on
 *
 * Follows MMC-6 (T10/1836-D) and SFF-8020i for the oldest parts. Pure: a drive's state and a CDB in, a reply out; atapi.c and
 * cdrom.c own the data phase, cut the reply to the allocation length, and decide which commands need a medium first.
 */
#pragma once
#include "hw/scsi/sense.h"

enum { MMC_SECTOR = 2048, MMC_CD_SECTORS = 80 * 60 * 75, MMC_REPLY = 4 + 2048 };       /* longer than a CD is taken for a DVD */
typedef enum { MMC_OVER_SCSI = 1, MMC_OVER_ATAPI = 2 } MmcInterface;

typedef struct MmcDrive {
    MmcInterface interface;
    uint64_t sectors;                      /* of 2048 bytes; 0: no medium (or the tray is open) */
    bool tray_open, locked;
    /* News for GET EVENT STATUS, taken back by it. */
    bool media_event;                      /* a medium came (sectors != 0) or went */
    bool eject_request;                    /* the person pressed the button of a locked drive */
} MmcDrive;

/* Each zeroes and fills out (MMC_REPLY bytes) and returns the reply's whole length; 0: refused, *sense says why. */
typedef size_t MmcReply(MmcDrive *drive, const uint8_t *cdb, uint8_t *out, ScsiSense *sense);
MmcReply mmc_read_toc;                     /* 43h: formats 0 to 2 */
MmcReply mmc_get_configuration;            /* 46h */
MmcReply mmc_event_status;                 /* 4Ah, polled */
MmcReply mmc_disc_information;             /* 51h */
MmcReply mmc_track_information;            /* 52h */
MmcReply mmc_dvd_structure;                /* ADh */
MmcReply mmc_mechanism_status;             /* BDh */
MmcReply mmc_mode_sense;                   /* 1Ah and 5Ah */
/* 15h and 55h, with the parameter list as the guest sent it: nothing can be changed, so well-formed lists are taken and have no effect. */
bool mmc_mode_select(const uint8_t *cdb, const uint8_t *list, size_t length, ScsiSense *sense);
/* The allocation length that a command's CDB names (of those above). */
uint32_t mmc_allocation(const uint8_t *cdb);
/* BEh and B9h: what is wanted of each sector. READ_CD_NOTHING: success without data. */
typedef enum { MMC_CD_REFUSED, MMC_CD_NOTHING, MMC_CD_USER_DATA, MMC_CD_RAW } MmcCdData;
MmcCdData mmc_read_cd(const uint8_t *cdb, uint32_t *lba, uint32_t *count);
/* A raw sector (2352 bytes, mode 1) around 2048 bytes of user data. The error correction codes are left zero, as drives that
 * correct for themselves do. */
enum { MMC_RAW_SECTOR = 2352, MMC_RAW_DATA = 16 };
void mmc_raw_sector(uint8_t out[MMC_RAW_SECTOR], uint32_t lba);    /* all but the data */
void mmc_put_msf(uint8_t out[3], uint64_t lba);
