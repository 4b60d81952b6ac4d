/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serial.h - between a virtio-serial device (serial.c: queues, control messages) and a port on its bus (serial-port.c: a character stream)
 *
 * Threads  machine lock held everywhere; the device's loop is the main loop
 */
#pragma once
#include "base/char/chardev.h"
#include "hw/core/device.h"

typedef struct VirtioSerial VirtioSerial;

enum { SERIAL_PORTS_MOST = 511 };
#define SERIAL_PORT_UNSET UINT32_MAX

typedef struct SerialPort {
    Device device;
    uint32_t nr;                           /* property; chosen when the port is attached to its bus */
    char *name;
    Chardev *chardev;                      /* NULL: output is dropped */
    bool console;                          /* virtconsole */
    VirtioSerial *serial;                  /* NULL: not realized */
    bool attached;
    Timer stalled;                         /* console: the stream has taken nothing since; STEADY, since it is about the host */
    bool discarding;                       /* console: the reader is gone */
} SerialPort;

/* ---- serial.c, for ports ---- */
void virtio_serial_join(VirtioSerial *serial, SerialPort *port);               /* realized */
void virtio_serial_leave(VirtioSerial *serial, SerialPort *port);
bool virtio_serial_guest_open(const VirtioSerial *serial, const SerialPort *port);
size_t virtio_serial_room(VirtioSerial *serial, const SerialPort *port);       /* bytes that the guest takes now */
void virtio_serial_send(VirtioSerial *serial, const SerialPort *port, const uint8_t *data, size_t length);     /* at most so many */
void virtio_serial_host_changed(VirtioSerial *serial);     /* serial_port_host_open() may say something else */
void virtio_serial_resume(VirtioSerial *serial, const SerialPort *port);       /* serial_port_write() may take more */

/* ---- serial-port.c, for the device ---- */
size_t serial_port_write(SerialPort *port, const uint8_t *data, size_t length);        /* how much is taken */
void serial_port_accept(SerialPort *port);                 /* the guest has room */
void serial_port_guest_changed(SerialPort *port, bool open);
bool serial_port_host_open(const SerialPort *port);
