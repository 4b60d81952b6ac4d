#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual machines that are killed while they write: kill-vm.py ROOST [-rounds N]. Prints TAP.

The guest is a firmware image (writer.S) that writes blocks to a qcow2 image through IDE, flushes the disk's cache and then says the batch's number
on its serial port. The process gets SIGKILL at a random moment, again and again on the same image. After each time the image must check
clean of corruption (leaks are allowed) and every sector hold what a flush had acknowledged, or what was written after."""
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guest"))
import console  # noqa: E402

roost = os.path.abspath(sys.argv[1])
rounds = int(sys.argv[sys.argv.index("-rounds") + 1]) if "-rounds" in sys.argv else 3
SIZE = 64 << 20
BLOCKS, SECTORS, STEP, PLACES = 8, 8, 56, 2048
MOST = 60000                               # of batches: their numbers have 16 bits
UNSEEN = 3                                 # batches that may have begun after the last number that came through
# how the image is made, how the drive is opened
CASES = [("compat=1.1", ""), ("lazy_refcounts=on", ",aio=io_uring,cache=none"), ("cluster_size=4k", ",aio=native,cache=none"),
         ("extended_l2=on", ""), ("compat=0.10,cluster_size=512", ",aio=io_uring")]


def tool(*arguments):
    result = subprocess.run([roost, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, f"roost {' '.join(arguments)}: status {result.returncode}\n{result.stdout}{result.stderr}"


def check(image):
    """A writable open repairs what lazy refcounts left. Where the kernel takes a dead process's io_uring down, the image stays locked a moment."""
    for _ in range(100):
        opened = subprocess.run([roost, "io", "-f", "qcow2", "-c", "read 0 512", image], capture_output=True, text=True)
        if "lock" not in opened.stderr:
            break
        time.sleep(0.05)
    assert opened.returncode == 0, f"it does not open: {opened.stderr}"
    for checker in [[roost, "img"], ["qemu-img"]]:
        if shutil.which(checker[0]):
            result = subprocess.run([*checker, "check", image], capture_output=True, text=True)
            assert result.returncode in (0, 3), f"{checker[0]} check: status {result.returncode}\n{result.stdout}{result.stderr}"


def firmware(folder):
    if not shutil.which("gcc") or not shutil.which("ld"):
        raise console.Skip("gcc and binutils are not installed")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "writer.S")
    subprocess.run(["gcc", "-c", "-m32", "-o", f"{folder}/writer.o", source], check=True, capture_output=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0", "--oformat", "binary", "-o", f"{folder}/writer", f"{folder}/writer.o"], check=True,
                   capture_output=True)
    with open(f"{folder}/writer", "rb") as file:
        return bytearray(file.read())


class Disk:
    """What the sectors hold, and where the guest's row of places stands."""

    def __init__(self):
        self.holds = {}                    # sector: batch
        self.row, self.batch = 0, 1

    def sectors(self):
        """Of the next batch."""
        found = []
        for _ in range(BLOCKS):
            self.row = (self.row * 25173 + 13849) & 0xffff
            first = (self.row % PLACES) * STEP
            found += range(first, first + SECTORS)
        return found

    def acknowledge(self, last):
        while self.batch <= last:
            self.holds.update((sector, self.batch) for sector in self.sectors())
            self.batch += 1

    def unseen(self):
        """sector: what it may hold instead."""
        may = {}
        for number in range(self.batch, self.batch + UNSEEN):
            for sector in self.sectors():
                may.setdefault(sector, set()).add(number)
        self.batch += UNSEEN
        return may

    def compare(self, path):
        may = self.unseen()
        with open(path, "rb") as file:
            data = file.read()
        for sector in (place * STEP + i for place in range(PLACES) for i in range(SECTORS)):
            bytes_ = data[sector * 512:sector * 512 + 512]
            found = struct.unpack_from("<H", bytes_)[0]
            assert bytes_ == bytes_[:2] * 256, f"sector {sector} is of two minds"
            allowed = {self.holds.get(sector, 0)} | may.get(sector, set())
            assert found in allowed, f"sector {sector} holds batch {found}, allowed are {sorted(allowed)}; the last one flushed was {self.batch - UNSEEN - 1}"
            self.holds[sector] = found


def run_and_kill(command, seconds):
    """The last number that the guest said."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, end = b"", None
    begin = time.monotonic()
    while end is None or time.monotonic() < end:
        assert time.monotonic() - begin < 120, f"the guest said nothing: {said.decode(errors='replace')}"
        if select.select([process.stdout], [], [], 1 if end is None else max(end - time.monotonic(), 0))[0]:
            data = os.read(process.stdout.fileno(), 65536)
            assert data, f"the machine ended by itself: {said.decode(errors='replace')}"
            said += data
            end = time.monotonic() + seconds if end is None and b"\n" in said else end
    process.kill()
    said += process.stdout.read()
    process.wait()
    assert b"!" not in said, said.decode(errors="replace")
    return int(said.split(b"\n")[-2], 16)


def killed(shape, options):
    chooser = random.Random(shape)
    with tempfile.TemporaryDirectory() as folder:
        rom, image, disk = firmware(folder), f"{folder}/k.qcow2", Disk()
        tool("img", "create", "-q", "-f", "qcow2", "-o", shape, image, str(SIZE))
        command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "4", "-nodefaults", "-display", "none", "-serial", "stdio",
                   "-bios", f"{folder}/rom", "-drive", f"if=ide,file={image},format=qcow2{options}"]
        for number in range(1, rounds + 1):
            rom[4:8] = struct.pack("<HH", disk.batch, disk.row)
            with open(f"{folder}/rom", "wb") as file:
                file.write(rom)
            disk.acknowledge(run_and_kill(command, chooser.random() * 0.7))
            check(image)
            tool("img", "convert", "-f", "qcow2", "-O", "raw", image, f"{folder}/raw")
            disk.compare(f"{folder}/raw")
            if disk.batch > MOST:
                return f"{number} kills, and the numbers are used up"
        return f"{rounds} kills, {disk.batch} batches"


console.report([(f"a machine killed while it writes, {shape}{options}", lambda shape=shape, options=options: killed(shape, options)) for shape, options in CASES])
