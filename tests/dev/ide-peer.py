#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What IDE drives say of themselves, beside QEMU's where it is installed: ide-peer.py ROOST.

Installed systems know their disks by these words, so a difference is either in the lists here, with its reason, or a mistake."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

ROOST = os.path.abspath(sys.argv[1])
QEMU = shutil.which("qemu-system-x86_64")
DISK, CD = 0x1f0, 0x170
# Roost tells of forced unit access.
OTHER_WORDS = {84, 87}


class Machine:
    """Commands over a qtest session on standard input and output. Debian's QEMU has no qtest accelerator; a paused TCG answers too."""

    def __init__(self, program, accel, folder):
        drives = [("disk", "index=0"), ("large", "index=1"), ("disc", "index=2,media=cdrom")]
        self.process = subprocess.Popen(
            [program, *accel, "-M", "pc", "-m", "32", "-nodefaults", "-display", "none", "-qtest", "stdio", "-qtest-log", "/dev/null",
             *(word for name, place in drives for word in ("-drive", f"if=ide,format=raw,file={folder}/{name},{place}")),
             "-drive", "if=ide,media=cdrom,index=3"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        while True:
            line = self.process.stdout.readline().decode()
            if not line:
                raise EOFError("the machine hung up")
            if line.startswith("OK"):
                return int(line[2:].strip() or "0", 0)

    def inb(self, port):
        return self.ask(f"inb {port:#x}")

    def inw(self, port):
        return self.ask(f"inw {port:#x}")

    def outb(self, port, value):
        self.ask(f"outb {port:#x} {value:#x}")

    def wait(self, base):
        for _ in range(100000):
            status = self.inb(base + 0x206)
            if not status & 0x80:
                return status
        raise TimeoutError("busy for ever")

    def identify(self, base, slave, command):
        self.outb(base + 6, 0xa0 | slave << 4)
        self.outb(base + 7, command)
        return [self.inw(base) for _ in range(256)] if self.wait(base) & 8 else None

    def packet(self, slave, *cdb):
        cdb = bytes(cdb).ljust(12, b"\0")
        for register, value in ((6, 0xa0 | slave << 4), (1, 0), (4, 0xfe), (5, 0xff), (7, 0xa0)):
            self.outb(CD + register, value)
        self.wait(CD)
        for word in struct.unpack("<6H", cdb):
            self.ask(f"outw {CD:#x} {word:#x}")
        reply = b""
        while self.wait(CD) & 8:
            length = self.inb(CD + 4) | self.inb(CD + 5) << 8
            piece = b"".join(struct.pack("<H", self.inw(CD)) for _ in range((length + 1) // 2))
            reply += piece[:length]
        if self.inb(CD + 7) & 1:
            sense = bytes.fromhex(self.packet(slave, 3, 0, 0, 0, 18))
            return "sense %x/%02x" % (sense[2] & 15, sense[12])        # tells no more than that alike
        return reply.hex(" ")

    def set_features(self, feature):
        self.outb(DISK + 6, 0xa0)
        self.outb(DISK + 1, feature)
        self.outb(DISK + 2, 0x22)
        self.outb(DISK + 7, 0xef)
        return not self.wait(DISK) & 1

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# Replies that are the same to the bit. (QEMU's others are short of what MMC wants: event lengths, features, pages, the lead-out's control.)
PACKETS = {
    "TEST UNIT READY": [0x00], "INQUIRY": [0x12, 0, 0, 0, 255], "INQUIRY page 83h": [0x12, 1, 0x83, 0, 255], "READ CAPACITY": [0x25],
    "MECHANISM STATUS": [0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8], "DISC INFORMATION": [0x51, 0, 0, 0, 0, 0, 0, 2, 0], "SEEK": [0x2b, 0, 0, 0, 0, 5],
    "SEEK too far": [0x2b, 0, 0, 0xff, 0, 5], "SET CD SPEED": [0xbb, 0, 0xff, 0xff], "READ (10)": [0x28, 0, 0, 0, 0, 5, 0, 0, 1],
    "READ (10) beyond the end": [0x28, 0, 0, 0, 0xc7, 0xff, 0, 0, 2], "READ (10) of nothing": [0x28], "READ CD": [0xbe, 0, 0, 0, 0, 16, 0, 0, 1, 0x10],
    "PLAY AUDIO": [0x45], "READ SUB-CHANNEL": [0x42, 2, 0x40, 1, 0, 0, 0, 0, 16], "REPORT KEY": [0xa4, 0, 0, 0, 0, 0, 0, 0, 0, 8],
    "saved mode page": [0x5a, 0, 0xea, 0, 0, 0, 0, 2, 0], "no such track": [0x43, 0, 0, 0, 0, 0, 2, 2, 0], "events by interrupt": [0x4a, 0, 0, 0, 16, 0, 0, 2, 0],
    "an unknown command": [0xf7],
}


def compare_words(ours, theirs, base, slave, command, other=OTHER_WORDS):
    left, right = ours.identify(base, slave, command), theirs.identify(base, slave, command)
    return [f"word {i}: {left[i]:04x}, QEMU {right[i]:04x}" for i in range(256) if left[i] != right[i] and i not in other]


def compare_packets(ours, theirs, slave):
    found = []
    for name, cdb in PACKETS.items():
        left, right = ours.packet(slave, *cdb), theirs.packet(slave, *cdb)
        if left != right:
            found.append(f"{name}: {left[:200]}, QEMU {right[:200]}")
    return found


def compare_features(ours, theirs):
    return [f"feature {feature:02x}" for feature in range(256) if ours.set_features(feature) != theirs.set_features(feature)]


CASES = [
    ("IDENTIFY DEVICE", lambda a, b: compare_words(a, b, DISK, 0, 0xec)),
    ("IDENTIFY DEVICE of a large disk", lambda a, b: compare_words(a, b, DISK, 1, 0xec)),
    ("IDENTIFY PACKET DEVICE", lambda a, b: compare_words(a, b, CD, 0, 0xa1)),
    ("IDENTIFY PACKET DEVICE of an empty drive", lambda a, b: compare_words(a, b, CD, 1, 0xa1)),
    ("packet commands", lambda a, b: compare_packets(a, b, 0)),
    ("packet commands to an empty drive", lambda a, b: compare_packets(a, b, 1)),
    ("SET FEATURES", compare_features),
]

print(f"TAP version 13\n1..{len(CASES)}")
if not QEMU:
    for number, (name, _) in enumerate(CASES, 1):
        print(f"ok {number} - {name} # SKIP qemu-system-x86_64 is not installed")
    sys.exit(0)
with tempfile.TemporaryDirectory() as scratch:
    for owner in ("ours", "theirs"):           # an image has one user
        os.mkdir(f"{scratch}/{owner}")
        for image, size in (("disk", 64 << 20), ("large", 8 << 30), ("disc", 100 << 20)):
            with open(f"{scratch}/{owner}/{image}", "wb") as file:
                file.truncate(size)
    failed = False
    ours = Machine(ROOST, ["-accel", "qtest"], f"{scratch}/ours")
    theirs = Machine(QEMU, ["-accel", "tcg", "-S"], f"{scratch}/theirs")
    try:
        for number, (name, body) in enumerate(CASES, 1):
            try:
                problems = body(ours, theirs)
            except Exception as error:
                problems = [f"{type(error).__name__}: {error}"]
            failed = failed or bool(problems)
            print(f"{'not ok' if problems else 'ok'} {number} - {name}", flush=True)
            for problem in problems:
                print(f"# {problem}")
    finally:
        ours.end()
        theirs.end()
sys.exit(failed)
