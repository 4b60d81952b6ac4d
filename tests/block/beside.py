# SPDX-License-Identifier: GPL-2.0-or-later
# beside.py - the same commands through Roost and through QEMU's tools: what is printed, the exit status, the images
#
# A sequence runs twice, in two folders: "img ..." is roost img or qemu-img, "io ..." roost io or qemu-io, "sh ..." the shell in both.
# Standard output has to be the same after norm(), the status too; each image afterwards reads the same through qemu-img compare,
# and passes qemu-img check.
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from tap import ROOST, Skip, case, check, main           # noqa: E402,F401

PROGRAMS = {"ours": {"img": [ROOST, "img"], "io": [ROOST, "io"]}, "theirs": {"img": ["qemu-img"], "io": ["qemu-io"]}}
ENVIRONMENT = dict(os.environ, TZ="UTC", LC_ALL="C")


def norm(text):
    """What may differ from run to run, and what the host decides."""
    text = re.sub(r"^(\d+(?:\.\d+)? \w+), 1 ops; .*$", r"\1, 1 ops", text, flags=re.M)
    text = re.sub(r"^(\d+),1,\d+:\d\d:\d\d\.\d\d,[\d.]+,[\d.]+$", r"\1,1", text, flags=re.M)
    text = re.sub(r"^disk size: .*$", "disk size", text, flags=re.M)
    text = re.sub(r'"actual-size": \d+', '"actual-size"', text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", text)
    text = re.sub(r'"date-n?sec": \d+', '"date"', text)
    text = re.sub(r"Run completed in [\d.]+ seconds", "Run completed", text)
    text = re.sub(r"(?: *\([\d.]+/100%\)\r)+", "(progress)", text)
    text = re.sub(r"^(qemu|roost)-io> ", "io> ", text, flags=re.M)
    text = re.sub(r"roost-io> ", "io> ", text).replace("qemu-io> ", "io> ")
    text = re.sub(r"uuid(\"?): \S+", r"uuid\1", text)
    return re.sub(r'(master-key-iters"?|master key iters|iters"?): \d+', r"\1", text)


def allocation(text):
    """Where an image puts what is its own business: extents that differ in that alone are one."""
    if text.startswith("[{ \"start\""):
        joined = []
        for extent in json.loads(text):
            extent = {**extent, "offset": "offset" in extent}
            same = lambda a, b: {**a, "start": 0, "length": 0} == {**b, "start": 0, "length": 0}
            if joined and same(joined[-1], extent):
                joined[-1]["length"] += extent["length"]
            else:
                joined.append(extent)
        return repr(joined)
    text = re.sub(r'"offset": \d+', '"offset"', text)
    text = re.sub(r"(0x[0-9a-f]+|\b0) +(\S+)$", r"AT \2", text, flags=re.M)
    text = re.sub(r"[Ii]mage.end.offset(\"?): \d+", r"END\1", text)
    return re.sub(r", \d+\.\d\d% fragmented", "", re.sub(r' *"fragmented-clusters": \d+,?\n', "", text))


class Run:
    def __init__(self, side, folder, words, stdin):
        self.command = " ".join(shlex.quote(w) for w in words)
        if words[0] == "sh":
            argv = ["sh", "-c", words[1]]
        else:
            argv = PROGRAMS[side][words[0]] + words[1:]
        try:
            done = subprocess.run(argv, cwd=folder, input=stdin, capture_output=True, timeout=60, env=ENVIRONMENT)
            for _ in range(20):            # qemu-img times its key derivation and gives up where another program had the processor
                if side == "ours" or b"accurate CPU usage" not in done.stderr:
                    break
                done = subprocess.run(argv, cwd=folder, input=stdin, capture_output=True, timeout=60, env=ENVIRONMENT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{side}: {self.command}: still runs after 60 s")
        self.status = done.returncode
        self.out, self.err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def __str__(self):
        return f"{self.command}\n  status {self.status}\n  out: {self.out[:3000]!r}\n  err: {self.err[:1500]!r}"


def is_image(path):
    return os.path.isfile(path) and not path.endswith((".txt", ".log", ".pat"))


def qemu(*args):
    return subprocess.run(["qemu-img", *args], capture_output=True, text=True, timeout=60)


def same_images(ours, theirs, opaque):
    names = {f for f in os.listdir(ours) if is_image(f"{ours}/{f}")} | {f for f in os.listdir(theirs) if is_image(f"{theirs}/{f}")}
    for name in sorted(names):
        a, b = f"{ours}/{name}", f"{theirs}/{name}"
        if name in opaque:
            continue
        check(os.path.exists(a) and os.path.exists(b), f"{name}: only one of the two made it")
        form = os.path.splitext(name)[1][1:]
        form = {"raw": "raw", "qcow2": "qcow2"}.get(form)
        formats = ["-f", form, "-F", form] if form else []
        ran = qemu("compare", *formats, a, b)
        check(ran.returncode == 0, f"{name}: not the same to qemu-img: {ran.stdout}{ran.stderr}")
        if form == "qcow2":
            ran = qemu("check", "-f", "qcow2", a)
            check(ran.returncode == 0, f"{name}: qemu-img check: {ran.stdout}{ran.stderr}")


def beside(commands, loose=None, opaque=(), text=True, status=True, stderr_lines=True):
    """Runs the commands on both sides and compares. loose: a further function on the printed text; opaque: images not to be compared.
    A command is text, or (text, standard input); one that begins with '~' may print what it likes."""
    if not shutil.which("qemu-img"):
        raise Skip("no qemu-img")
    with tempfile.TemporaryDirectory() as top:
        folders = {side: f"{top}/{side}" for side in PROGRAMS}
        for folder in folders.values():
            os.mkdir(folder)
        for command in commands:
            line, stdin = command if isinstance(command, tuple) else (command, "")
            free = line.startswith("~")
            words = shlex.split(line[1:] if free else line)
            ran = {side: Run(side, folders[side], words, stdin.encode()) for side in PROGRAMS}
            if "accurate CPU usage" in ran["theirs"].err:
                raise Skip("qemu-img found the host too busy to time its key derivation")
            both = f"\nours:   {ran['ours']}\ntheirs: {ran['theirs']}"
            check(ran["ours"].status >= 0, "a signal ended it" + both)
            if status:
                check(ran["ours"].status == ran["theirs"].status, "another status" + both)
            if text and not free:
                printed = [norm(ran[side].out) for side in ("ours", "theirs")]
                if loose:
                    printed = [loose(p) for p in printed]
                check(printed[0] == printed[1], f"another text:\n{printed[0]!r}\n{printed[1]!r}{both}")
            if words[0] == "img" and ran["ours"].status == 1 and ran["theirs"].err and stderr_lines:
                lines = [line for line in ran["ours"].err.splitlines() if not line.startswith("Try ")]
                check(len(lines) == 1 and lines[0].startswith("roost img: "), "not one line" + both)
        same_images(folders["ours"], folders["theirs"], opaque)


def sequence(name, *commands, **more):
    case(name)(lambda: beside(commands, **more))
