/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atapi.c - packet commands of a CD-ROM drive
 *
 * Models   MMC-3 and SFF-8020i as firmware, boot loaders and systems use them on data discs. What does not read the disc is answered by
 *          hw/scsi/mmc.c, which knows no cable; here are the data phases, the disc's sectors, tray, lock and change of medium
 * Omits    audio, writing; any other command is refused with sense 5/20/00
 * Replies  built in the drive's buffer, cut to the command's allocation length, handed over in pieces of the host's byte limit (PIO)
 *          or taken by the bus master
 * Change   of a medium: the first command that needs one hears that it is gone, the second that there may be another (unit
 *          attention), whether or not the host asked in between
 * Hostile  replies are at most MMC_REPLY bytes, a piece of a read at most the buffer; a disc that goes while it is read ends the command
 * Tests    tests/dev/atapi.c
 */
#include "base/bytes.h"
#include "base/trace.h"
#include "hw/ide/ata.h"
#include "hw/scsi/mmc.h"
#include <errno.h>
#include <string.h>

enum { REASON_COMMAND = 1, REASON_TO_HOST = 2 };
enum { CHANGE_NONE, CHANGE_TELL_GONE, CHANGE_TELL_NEW };

enum { TRACE_PACKET, TRACE_SENSE, TRACE_MEDIUM };
static TracePoint atapi_trace[] = {
    [TRACE_PACKET] = { "atapi_packet", "a CD-ROM drive got a packet command" },
    [TRACE_SENSE] = { "atapi_sense", "a packet command ended with a check condition" },
    [TRACE_MEDIUM] = { "atapi_medium", "a medium came or went" },
};
TRACE_TABLE(atapi_trace)

static void check_condition(Ata *ata, ScsiSense sense)
{
    TRACE(&atapi_trace[TRACE_SENSE], "%x/%02x/%02x %s", sense.key, sense.code, sense.qualifier, sense_name(sense));
    ata->sense_key = sense.key;
    ata->sense_code = sense.code;
    ata->sense_qualifier = sense.qualifier;
    ata->sectors_left = 0;
    bool aborted = sense.key == SENSE_KEY_ILLEGAL_REQUEST || sense.key == SENSE_KEY_ABORTED_COMMAND;
    ata_abort(ata, (uint8_t)(sense.key << 4 | (aborted ? ATA_ABRT : 0)));
    ata->count = REASON_TO_HOST | REASON_COMMAND;
}

void atapi_finish(Ata *ata)
{
    ata->count = REASON_TO_HOST | REASON_COMMAND;
    ata->sense_key = ata->sense_code = ata->sense_qualifier = 0;
    ata_complete(ata);
}

/* The first bytes of the buffer, as many as the host asked for. */
static void reply(Ata *ata, size_t length, uint32_t allocation)
{
    length = MIN(length, (size_t)allocation);
    if (length == 0) {
        atapi_finish(ata);
        return;
    }
    ata->purpose = ATA_FOR_REPLY;
    ata->sectors_left = 0;
    ata_reply(ata, (uint32_t)length);
}

/* ---- reading the disc ---- */

static void read_piece(Ata *ata)
{
    uint32_t sectors = MIN(ata->sectors_left, (uint32_t)(ATA_BUFFER / ata->cd_sector));

    ata_ask_storage(ata, BLK_READ, 0, ata->next_sector * CD_SECTOR, (uint64_t)sectors * CD_SECTOR);
}

static void read_disc(Ata *ata, uint32_t sector, uint32_t count, unsigned bytes_of_each)
{
    if (count == 0) {
        atapi_finish(ata);
        return;
    }
    if (sector >= ata->sectors || count > ata->sectors - sector) {
        check_condition(ata, SENSE_BAD_LBA);
        return;
    }
    ata->next_sector = sector;
    ata->sectors_left = count;
    ata->cd_sector = (uint16_t)bytes_of_each;
    ata->purpose = ATA_FOR_READ;
    read_piece(ata);
}

/* Sync, header and what else READ CD wants around the data; from the last sector to the first, in place. */
static void make_raw(Ata *ata, uint32_t sectors)
{
    for (uint32_t i = sectors; i > 0; i--) {
        uint8_t *raw = ata->buffer + (size_t)(i - 1) * MMC_RAW_SECTOR;
        memmove(raw + MMC_RAW_DATA, ata->buffer + (size_t)(i - 1) * CD_SECTOR, CD_SECTOR);
        mmc_raw_sector(raw, (uint32_t)(ata->next_sector + i - 1));
    }
}

void atapi_sectors_read(Ata *ata, int result)
{
    uint32_t sectors = (uint32_t)(ata->job.bytes / CD_SECTOR);

    if (result < 0) {
        check_condition(ata, result == -ENOMEDIUM ? SENSE_NO_MEDIUM : SENSE_UNREADABLE);
        return;
    }
    if (ata->cd_sector == MMC_RAW_SECTOR) {
        make_raw(ata, sectors);
    }
    ata->next_sector += sectors;
    ata->sectors_left -= MIN(sectors, ata->sectors_left);
    ata_reply(ata, sectors * ata->cd_sector);
}

void atapi_reply_done(Ata *ata)
{
    if (ata->purpose == ATA_FOR_READ && ata->sectors_left) {
        read_piece(ata);
    } else {
        atapi_finish(ata);
    }
}

static void read_10(Ata *ata, const uint8_t *cdb)
{
    read_disc(ata, load_be32(cdb + 2), load_be16(cdb + 7), CD_SECTOR);
}

static void read_12(Ata *ata, const uint8_t *cdb)
{
    read_disc(ata, load_be32(cdb + 2), load_be32(cdb + 6), CD_SECTOR);
}

static void read_cd(Ata *ata, const uint8_t *cdb)
{
    uint32_t sector, count;

    switch (mmc_read_cd(cdb, &sector, &count)) {
    case MMC_CD_NOTHING: atapi_finish(ata); break;
    case MMC_CD_USER_DATA: read_disc(ata, sector, count, CD_SECTOR); break;
    case MMC_CD_RAW: read_disc(ata, sector, count, MMC_RAW_SECTOR); break;
    default: check_condition(ata, SENSE_BAD_FIELD); break;
    }
}

static void seek(Ata *ata, const uint8_t *cdb)
{
    if (load_be32(cdb + 2) >= ata->sectors) {
        check_condition(ata, SENSE_BAD_LBA);
    } else {
        atapi_finish(ata);
    }
}

/* ---- what does not read the disc ---- */

static void medium_independent(Ata *ata, const uint8_t *cdb, MmcReply *answer)
{
    MmcDrive drive = { .interface = MMC_OVER_ATAPI, .sectors = ata->tray_open ? 0 : ata->sectors, .tray_open = ata->tray_open,
                       .locked = ata->tray_locked, .media_event = ata->new_medium, .eject_request = ata->eject_asked };
    ScsiSense sense = SENSE_BAD_FIELD;
    size_t length = answer(&drive, cdb, ata->buffer, &sense);

    ata->new_medium = drive.media_event;
    ata->eject_asked = drive.eject_request;
    if (length) {
        reply(ata, length, mmc_allocation(cdb));
    } else {
        check_condition(ata, sense);
    }
}

static void toc(Ata *ata, const uint8_t *cdb) { medium_independent(ata, cdb, mmc_read_toc); }
static void configuration(Ata *ata, const uint8_t *cdb) { medium_independent(ata, cdb, mmc_get_configuration); }
static void event_status(Ata *ata, const uint8_t *cdb) { medium_independent(ata, cdb, mmc_event_status); }
static void disc_information(Ata *ata, const uint8_t *cdb) { medium_independent(ata, cdb, mmc_disc_information); }
static void track_information(Ata *ata, const uint8_t *cdb) { medium_independent(ata, cdb, mmc_track_information); }
static void dvd_structure(Ata *ata, const uint8_t *cdb) { medium_independent(ata, cdb, mmc_dvd_structure); }
static void mechanism(Ata *ata, const uint8_t *cdb) { medium_independent(ata, cdb, mmc_mechanism_status); }
static void mode_sense(Ata *ata, const uint8_t *cdb) { medium_independent(ata, cdb, mmc_mode_sense); }

/* How long the parameter list of MODE SELECT (6) or (10) is. */
static uint32_t list_length(const uint8_t *cdb)
{
    enum { MODE_SELECT_10 = 0x55 };

    return cdb[0] == MODE_SELECT_10 ? load_be16(cdb + 7) : cdb[4];
}

static void mode_select(Ata *ata, const uint8_t *cdb)
{
    uint32_t length = list_length(cdb);

    if (length) {
        ata_take_parameters(ata, (length + 1) & ~1u);
    } else {
        atapi_parameters(ata);
    }
}

void atapi_parameters(Ata *ata)
{
    ScsiSense sense = SENSE_BAD_FIELD;

    if (mmc_mode_select(ata->packet, ata->buffer, list_length(ata->packet), &sense)) {
        atapi_finish(ata);
    } else {
        check_condition(ata, sense);
    }
}

static void put_padded(uint8_t *at, size_t length, const char *text)
{
    memset(at, ' ', length);
    memcpy(at, text, MIN(strlen(text), length));
}

/* Vital product data: the list of pages, the serial number, and names made of it (SPC-3 7.6). */
static size_t vital_product_data(const Ata *ata, uint8_t page, uint8_t *out)
{
    enum { LIST = 0x00, SERIAL = 0x80, IDENTIFICATION = 0x83, SERIAL_LENGTH = 20, NAME_LENGTH = 8 + 40 + SERIAL_LENGTH };

    out[1] = page;
    switch (page) {
    case LIST:
        out[3] = 3;
        out[5] = SERIAL;
        out[6] = IDENTIFICATION;
        return 7;
    case SERIAL:
        out[3] = SERIAL_LENGTH;
        put_padded(out + 4, SERIAL_LENGTH, ata->serial);
        return 4 + SERIAL_LENGTH;
    case IDENTIFICATION:
        out[4] = 2;                        /* text: vendor specific */
        out[7] = SERIAL_LENGTH;
        put_padded(out + 8, SERIAL_LENGTH, ata->serial);
        out[28] = 2;                       /* text: vendor, model and serial number */
        out[29] = 1;
        out[31] = NAME_LENGTH;
        put_padded(out + 32, 8, "ATA");
        put_padded(out + 40, 40, ata->model);
        put_padded(out + 80, SERIAL_LENGTH, ata->serial);
        out[3] = 32 + NAME_LENGTH - 4;
        return 32 + NAME_LENGTH;
    default:
        return 0;
    }
}

static void inquiry(Ata *ata, const uint8_t *cdb)
{
    enum { VITAL = 1, STANDARD = 36 };
    uint8_t *out = ata->buffer;
    size_t length = STANDARD;

    memset(out, 0, MMC_REPLY);
    out[0] = 5;                            /* CD-ROM */
    if (cdb[1] & VITAL) {
        length = vital_product_data(ata, cdb[2], out);
    } else {
        out[1] = 0x80;                     /* removable */
        out[3] = 0x21;                     /* ATAPI */
        out[4] = STANDARD - 5;
        put_padded(out + 8, 8, "QEMU");
        put_padded(out + 16, 16, ata->model);
        put_padded(out + 32, 4, ata->version);
    }
    if (length) {
        reply(ata, length, cdb[4]);
    } else {
        check_condition(ata, SENSE_BAD_FIELD);
    }
}

static void request_sense(Ata *ata, const uint8_t *cdb)
{
    const ScsiSense sense = { ata->sense_key, ata->sense_code, ata->sense_qualifier };

    reply(ata, sense_put(ata->buffer, sense, false), cdb[4]);
}

static void read_capacity(Ata *ata, const uint8_t *cdb)
{
    (void)cdb;
    store_be32(ata->buffer, (uint32_t)(ata->sectors - 1));
    store_be32(ata->buffer + 4, CD_SECTOR);
    reply(ata, 8, 8);
}

static void nothing_to_do(Ata *ata, const uint8_t *cdb)
{
    (void)cdb;
    atapi_finish(ata);
}

/* ---- tray and medium ---- */

static void count_sectors(Ata *ata)
{
    ata->sectors = blk_has_medium(ata->blk) ? MIN(blk_length(ata->blk) / CD_SECTOR, (uint64_t)UINT32_MAX) : 0;
}

/* LoEj with Start loads, without it ejects. Power conditions and the motor are nothing here. */
static void start_stop(Ata *ata, const uint8_t *cdb)
{
    enum { START = 1, LOAD_EJECT = 2 };
    bool start = cdb[4] & START;

    if ((cdb[4] & LOAD_EJECT) && (cdb[4] & 0xf0) == 0) {
        if (!start && !ata->tray_open && ata->tray_locked) {
            check_condition(ata, SENSE_REMOVAL_PREVENTED);
            return;
        }
        if (ata->tray_open == start) {
            ata->tray_open = !start;
            blk_guest_tray(ata->blk, !start);
            count_sectors(ata);
        }
    }
    atapi_finish(ata);
}

static void prevent_allow(Ata *ata, const uint8_t *cdb)
{
    ata->tray_locked = cdb[4] & 1;
    blk_guest_lock(ata->blk, ata->tray_locked);
    atapi_finish(ata);
}

void atapi_medium_changed(Ata *ata, bool loaded)
{
    TRACE(&atapi_trace[TRACE_MEDIUM], "%s", loaded ? "came" : "went");
    ata->tray_open = !loaded;
    count_sectors(ata);
    ata->change = CHANGE_TELL_GONE;
    ata->new_medium = true;
    ata->eject_asked = false;
    if (ata->in_packet && ata->purpose == ATA_FOR_READ) {  /* the rest of it is on a disc that is gone */
        ata_forget(ata);
        check_condition(ata, SENSE_NO_MEDIUM);
    }
}

void atapi_eject_asked(Ata *ata)
{
    ata->eject_asked = true;
}

/* What needs a disc: a change since the last command is told first, then its absence. */
static bool medium_ready(Ata *ata)
{
    if (!ata->tray_open && ata->sectors && ata->change != CHANGE_NONE) {
        bool gone = ata->change == CHANGE_TELL_GONE;
        ata->change = gone ? CHANGE_TELL_NEW : CHANGE_NONE;
        check_condition(ata, gone ? SENSE_NO_MEDIUM : SENSE_MEDIUM_CHANGED);
        return false;
    }
    if (ata->tray_open || !ata->sectors) {
        check_condition(ata, ata->tray_open ? SENSE_NO_MEDIUM_TRAY_OPEN : SENSE_NO_MEDIUM_TRAY_CLOSED);
        return false;
    }
    return true;
}

/* ---- dispatch ---- */

typedef struct PacketCommand { uint8_t code; bool needs_medium; void (*run)(Ata *ata, const uint8_t *cdb); } PacketCommand;
static const PacketCommand commands[] = {
    { 0x00, true, nothing_to_do },         /* TEST UNIT READY */
    { 0x03, false, request_sense },
    { 0x12, false, inquiry },
    { 0x15, false, mode_select },
    { 0x1a, false, mode_sense },
    { 0x1b, false, start_stop },
    { 0x1e, false, prevent_allow },
    { 0x25, true, read_capacity },
    { 0x28, true, read_10 },
    { 0x2b, true, seek },
    { 0x43, true, toc },
    { 0x46, false, configuration },
    { 0x4a, false, event_status },
    { 0x51, true, disc_information },
    { 0x52, true, track_information },
    { 0x55, false, mode_select },
    { 0x5a, false, mode_sense },
    { 0xa8, true, read_12 },
    { 0xad, true, dvd_structure },
    { 0xb9, true, read_cd },               /* READ CD MSF */
    { 0xbb, false, nothing_to_do },        /* SET CD SPEED */
    { 0xbd, false, mechanism },
    { 0xbe, true, read_cd },
};

void atapi_packet(Ata *ata)
{
    const uint8_t *cdb = ata->packet;
    const PacketCommand *command = NULL;

    TRACE(&atapi_trace[TRACE_PACKET], "%02x %02x %02x%02x%02x%02x %02x %02x%02x %02x%02x%02x, %s", cdb[0], cdb[1], cdb[2], cdb[3], cdb[4], cdb[5], cdb[6],
          cdb[7], cdb[8], cdb[9], cdb[10], cdb[11], ata->transfer == ATA_BY_DMA ? "DMA" : "PIO");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        command = commands[i].code == cdb[0] ? &commands[i] : command;
    }
    ata->in_packet = true;
    ata->position = ata->end = ata->filled = 0;
    ata->sectors_left = 0;
    if (!command) {
        check_condition(ata, SENSE_BAD_COMMAND);
    } else if (!command->needs_medium || medium_ready(ata)) {
        command->run(ata, cdb);
    }
}
