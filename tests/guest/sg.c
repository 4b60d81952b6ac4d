/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sg.c - runs inside a Linux guest: sends a SCSI command and prints what came back: sg DEVICE BYTES CDB-BYTE... (hexadecimal) */
#include <fcntl.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
    static unsigned char data[64 << 10];
    unsigned char cdb[32] = { 0 }, sense[96] = { 0 };

    if (argc < 4 || argc - 3 > (int)sizeof cdb) {
        return 2;
    }
    unsigned length = (unsigned)atoi(argv[2]), size = 0;
    for (int i = 3; i < argc; i++) {
        cdb[size++] = (unsigned char)strtoul(argv[i], NULL, 16);
    }
    int fd = open(argv[1], O_RDONLY | O_NONBLOCK);
    sg_io_hdr_t header = {
        .interface_id = 'S', .dxfer_direction = length ? SG_DXFER_FROM_DEV : SG_DXFER_NONE, .cmd_len = (unsigned char)size, .mx_sb_len = sizeof sense,
        .dxfer_len = length < sizeof data ? length : sizeof data, .dxferp = data, .cmdp = cdb, .sbp = sense, .timeout = 20000,
    };
    if (fd < 0 || ioctl(fd, SG_IO, &header) < 0) {
        perror(argv[1]);
        return 2;
    }
    printf("status %02x sense %x/%02x/%02x:", header.status, sense[2] & 15, sense[12], sense[13]);
    for (unsigned i = 0; i < header.dxfer_len - (unsigned)header.resid && i < 64; i++) {
        printf(" %02x", data[i]);
    }
    putchar('\n');
    return header.status != 0;
}
