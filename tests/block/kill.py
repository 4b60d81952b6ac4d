#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writers that end badly: kill.py ROOST [-rounds N]. Prints TAP.

A roost io that writes to a qcow2 image is killed at a random moment, again and again on the same image, and after each time the image must
check clean of corruption and hold what a flush had acknowledged. Then a disk that is full: a writer gets "No space left on device", and what
was there before stays."""
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guest"))
import console  # noqa: E402

roost = os.path.abspath(sys.argv[1])
rounds = int(sys.argv[sys.argv.index("-rounds") + 1]) if "-rounds" in sys.argv else 12
MIB = 1 << 20
SIZE = 64 * MIB
BLOCK = 64 << 10
SHAPES = ["compat=1.1", "lazy_refcounts=on", "cluster_size=4k", "extended_l2=on", "compat=0.10,cluster_size=512"]


def tool(*arguments, status=0, text=None):
    result = subprocess.run([roost, *arguments], capture_output=True, text=True, input=text)
    assert result.returncode == status, f"roost {' '.join(arguments)}: status {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout + result.stderr


def check(image):
    """0: clean, 3: leaks only. A writable open repairs what lazy refcounts left."""
    tool("io", "-c", "read 0 512", image)
    result = subprocess.run([roost, "img", "check", image], capture_output=True, text=True)
    assert result.returncode in (0, 3), f"roost img check: status {result.returncode}\n{result.stdout}{result.stderr}"
    if shutil.which("qemu-img"):
        result = subprocess.run(["qemu-img", "check", image], capture_output=True, text=True)
        assert result.returncode in (0, 3), f"qemu-img check: status {result.returncode}\n{result.stdout}{result.stderr}"


def killed(shape):
    chooser = random.Random(shape)
    with tempfile.TemporaryDirectory() as folder:
        image = f"{folder}/k.qcow2"
        tool("img", "create", "-q", "-f", "qcow2", "-o", shape, image, str(SIZE))
        flushed = {}                       # block: pattern that a flush has acknowledged
        for number in range(1, rounds + 1):
            writer = subprocess.Popen([roost, "io", "-f", "qcow2", image], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            maybe = {}
            for batch in range(30):
                blocks = {chooser.randrange(SIZE // BLOCK): chooser.randrange(1, 256) for _ in range(8)}
                lines = [f"write -P {pattern} {block * BLOCK} {BLOCK}" for block, pattern in blocks.items()] + ["flush", f"length"]
                try:
                    writer.stdin.write("\n".join(lines) + "\n")
                    writer.stdin.flush()
                except BrokenPipeError:
                    break
                for block, pattern in blocks.items():
                    maybe.setdefault(block, set()).add(pattern)
                if chooser.randrange(12) == 0:
                    break
                # "length" answers after the flush: all of the batch is acknowledged.
                while (line := writer.stdout.readline()) and not re.match(r"(roost-io> )*64 MiB", line):
                    assert "rror" not in line, line
                for block in blocks:
                    flushed[block] = {blocks[block]}
                    maybe.pop(block, None)
            time.sleep(chooser.random() / 100)
            writer.kill()
            writer.wait()
            check(image)
            blocks = sorted(set(flushed) | set(maybe))
            reads = [word for block in blocks for word in ("-c", f"read -v {block * BLOCK} 16")]
            shown = subprocess.run([roost, "io", "-r", "-f", "qcow2", *reads, image], capture_output=True, text=True).stdout
            found = {int(offset, 16): int(byte, 16) for offset, byte in re.findall(r"^([0-9a-f]+): +([0-9a-f]{2})", shown, re.M)}
            for block in blocks:
                allowed = flushed.get(block, {0}) | maybe.get(block, set())
                first = found[block * BLOCK]
                assert first in allowed, f"round {number}: block {block} holds {first}, allowed are {sorted(allowed)}"
                if block in maybe:
                    flushed[block] = {first}
        return f"{rounds} kills"


def full():
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], capture_output=True).returncode:
            raise console.Skip("a small tmpfs cannot be mounted here")
        try:
            image = f"{folder}/full.qcow2"
            tool("img", "create", "-q", "-f", "qcow2", image, "64M")
            tool("io", "-f", "qcow2", "-c", "write -P 7 0 4M", "-c", "flush", image)
            said = subprocess.run([roost, "io", "-f", "qcow2", "-c", "write -P 8 8M 32M", image], capture_output=True, text=True)
            assert "No space left on device" in said.stdout + said.stderr, said.stdout + said.stderr
            check(image)
            tool("io", "-f", "qcow2", "-c", "read -P 7 0 4M", image)
        finally:
            subprocess.run(["umount", folder])


console.report([(f"killed while it writes, {shape}", lambda shape=shape: killed(shape)) for shape in SHAPES] + [("a full disk", full)])
