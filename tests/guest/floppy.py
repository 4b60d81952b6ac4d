#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A boot sector on a floppy image, started by SeaBIOS: floppy.py ROOST.

It reads the whole disk by the BIOS, which uses DMA, writes a sector and reads it back, and reads one through the controller's
registers without DMA. What it sums up is compared with the image."""
import array
import os
import random
import shutil
import subprocess
import sys
import tempfile

import console

roost = os.path.abspath(sys.argv[1])
SECTORS = {"144": 2880}


def boot_sector(folder):
    if not shutil.which("gcc") or not shutil.which("objcopy"):
        raise console.Skip("gcc and binutils are not installed")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "floppy.S")
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-Ttext=0x7c00", "-o", f"{folder}/boot.elf", source],
                   check=True, capture_output=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", f"{folder}/boot.elf", f"{folder}/boot"], check=True)
    with open(f"{folder}/boot", "rb") as file:
        return file.read(512)


def total(data):
    return sum(array.array("H", data)) & 0xffff


def run(extra):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/floppy.img"
        image = bytearray(random.Random(1).randbytes(2880 * 512))
        image[:512] = boot_sector(folder)
        with open(path, "wb") as file:
            file.write(image)
        third = ((79 * 2 + 1) * 18 + 2) * 512
        script = [(f"{total(image):04x} w{total(image[third:third + 512]):04x} \\.", "signal")]
        command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "16", "-display", "none", "-nodefaults", "-serial", "stdio",
                   "-drive", f"if=floppy,file={path},format=raw", "-boot", "a", *extra]
        outcome = console.follow(command, script, 120)
        assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
        with open(path, "rb") as file:
            after = file.read()
        assert after[:-512] == image[:-512], "a sector changed that nobody wrote"
        assert after[-512:] == image[:512], "what was written is not there"


console.report([("boot from a floppy by SeaBIOS, DMA and programmed I/O", lambda: run([]))])
