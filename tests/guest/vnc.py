#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""VNC viewers before a guest's screen: vnc.py ROOST GUESTS-FOLDER CASE... (no case: their names).

The picture that a viewer gets is the screendump's, pixel by pixel; keys reach the guest; passwords; viewers that say nothing, half of it, or nonsense; a
viewer from Debian; a browser's first words."""
import base64
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import console
from screen import Machine

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
GRUB = ["-m", "128", "-cdrom", f"{guests}/grub.iso", "-boot", "d"]
PATIENCE = 60


def free_display():
    for display in range(60, 99):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", 5900 + display))
                return display
            except OSError:
                pass
    raise AssertionError("no free display")


class Viewer:
    def __init__(self, display, password=None):
        self.socket = socket.create_connection(("127.0.0.1", 5900 + display), PATIENCE)
        assert self.take(12) == b"RFB 003.008\n"
        self.socket.sendall(b"RFB 003.008\n")
        kinds = self.take(self.take(1)[0])
        wanted = 1 if password is None else 2
        assert wanted in kinds, kinds
        self.socket.sendall(bytes([wanted]))
        if password is not None:
            challenge = ctypes.create_string_buffer(self.take(16), 16)
            ctypes.CDLL("libvncserver.so.1").rfbEncryptBytes(challenge, ctypes.c_char_p(password.encode()))
            self.socket.sendall(challenge.raw)
        self.let_in = self.take(4) == b"\0\0\0\0"
        if not self.let_in:
            return
        self.socket.sendall(b"\1")
        self.width, self.height = struct.unpack(">HH", self.take(4))
        self.take(16)
        self.take(struct.unpack(">I", self.take(4))[0])
        # 32 bits, little endian, red in the lowest byte; raw, and news of another size
        self.socket.sendall(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 0, 8, 16) + struct.pack(">BxHii", 2, 2, 0, -223))
        self.picture = bytearray(self.width * self.height * 4)

    def take(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(min(1 << 20, count - len(data)))
            if not more:
                raise EOFError("the server hung up")
            data += more
        return data

    def update(self, incremental):
        self.socket.sendall(struct.pack(">BBHHHH", 3, incremental, 0, 0, self.width, self.height))
        while True:
            kind = self.take(1)[0]
            if kind != 0:                  # a bell; nothing else is expected
                assert kind == 2, kind
                continue
            for _ in range(struct.unpack(">xH", self.take(3))[0]):
                x, y, width, height, encoding = struct.unpack(">HHHHi", self.take(12))
                if encoding == -223:
                    self.width, self.height = width, height
                    self.picture = bytearray(width * height * 4)
                    continue
                data = self.take(width * height * 4)
                for row in range(height):
                    at = ((y + row) * self.width + x) * 4
                    self.picture[at:at + width * 4] = data[row * width * 4:(row + 1) * width * 4]
            return

    def rgb(self):
        picture = bytearray(self.width * self.height * 3)
        for part in range(3):
            picture[part::3] = self.picture[part::4]
        return (self.width, self.height), bytes(picture)

    def key(self, keysym):
        for down in (1, 0):
            self.socket.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def pointer(self, x, y, buttons):
        self.socket.sendall(struct.pack(">BBHH", 5, buttons, x, y))


def same_picture(machine, viewer):
    """The cursor blinks, so some tries may be needed."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        viewer.update(0)
        if viewer.rgb() == machine.shot():
            return
        time.sleep(0.1)
    raise AssertionError(f"the viewer has {viewer.rgb()[0]} and another picture than the screendump's {machine.shot()[0]}")


def start(folder, *more):
    if not os.path.exists(f"{guests}/grub.iso"):
        raise console.Skip("grub.iso missing: run tests/guests")
    display = free_display()
    return display, Machine(roost, [*GRUB, "-display", f"vnc=127.0.0.1:{display}{','.join(['', *more])}"], folder, "ours")


def picture_and_keys(folder):
    display, machine = start(folder)
    try:
        machine.calm()
        viewer = Viewer(display)
        viewer.key(0xff54)                 # down: the menu waits now
        machine.calm()
        same_picture(machine, viewer)
        before = machine.shot()
        viewer.key(0xff52)
        viewer.pointer(10, 10, 0)
        viewer.pointer(20, 15, 1)
        viewer.pointer(20, 15, 0)
        machine.calm()
        assert machine.shot() != before, "the key did not reach GRUB"
        same_picture(machine, viewer)
        if shutil.which("vncsnapshot"):
            subprocess.run(["vncsnapshot", "-quiet", f"127.0.0.1:{display}", f"{folder}/picture.jpg"], check=True, timeout=PATIENCE, capture_output=True)
            assert os.path.getsize(f"{folder}/picture.jpg") > 1000
        info = machine("query-vnc")
        assert info["enabled"] and info["service"] == str(5900 + display) and info["auth"] == "none", info
    finally:
        machine.end()
    return None if shutil.which("vncsnapshot") else "without vncsnapshot, which is not installed"


def bad_viewers(folder):
    display, machine = start(folder)
    try:
        machine.calm()
        kept = []
        for words in (b"", b"RFB", b"RFB 003.008\n", b"RFB 003.008\n\x01", b"GET / HTTP/1.1\r\n", os.urandom(4096), b"RFB 003.008\n\x01\x01" + b"\6\0\0\0\x7f\xff\xff\xff",
                      b"RFB 003.008\n\x01\x01" + struct.pack(">BBHHHH", 3, 0, 65535, 65535, 65535, 65535), b"RFB 003.008\n\x01\x01" + b"\2\0\xff\xff"):
            peer = socket.create_connection(("127.0.0.1", 5900 + display), PATIENCE)
            peer.sendall(words)
            kept.append(peer)              # silent from here on
        machine("query-status")            # the machine goes on
        end = time.monotonic() + PATIENCE
        while True:
            try:
                viewer = Viewer(display)
                same_picture(machine, viewer)
                break
            except (EOFError, OSError):
                assert time.monotonic() < end, "no viewer is let in any more"
                time.sleep(0.5)
        slow = Viewer(display)             # asks and asks, and reads nothing
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.socket.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, 720, 400) * 100)
        machine.type(["down"])
        machine("query-status")
        many = []
        for _ in range(40):
            many.append(socket.create_connection(("127.0.0.1", 5900 + display), PATIENCE))
        machine("query-status")
        for peer in kept + many:
            peer.close()
        slow.socket.close()
    finally:
        machine.end()


def passwords(folder):
    display, machine = start(folder, "password=on", "websocket=on")
    try:
        assert not Viewer(display, "").let_in and not Viewer(display, "x").let_in
        machine("change-vnc-password", password="secret word")
        assert not Viewer(display, "secret").let_in
        assert Viewer(display, "secret w").let_in
        machine("set_password", protocol="vnc", password="other")
        assert not Viewer(display, "secret w").let_in and Viewer(display, "other").let_in
        assert machine("query-vnc")["auth"] == "vnc"
        with socket.create_connection(("127.0.0.1", 5700 + display), PATIENCE) as browser:
            browser.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://x\r\nSec-WebSocket-Protocol: binary\r\n"
                            b"Sec-WebSocket-Key: " + base64.b64encode(b"0123456789abcdef") + b"\r\nSec-WebSocket-Version: 13\r\n\r\n")
            assert browser.recv(4096).startswith(b"HTTP/1.1 101"), "no WebSocket"
    finally:
        machine.end()


CASES = {"picture-and-keys": picture_and_keys, "bad-viewers": bad_viewers, "passwords": passwords}


def run(name):
    with tempfile.TemporaryDirectory() as folder:
        return CASES[name](folder)


names = sys.argv[3:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
console.report([(name, lambda name=name: run(name)) for name in names])
