# SPDX-License-Identifier: GPL-2.0-or-later
# vms.py - VMs with names in a runtime folder of the test's own, and verbs that are tried on them
import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from tap import ROOST, Skip, case, check, main, roost                # noqa: F401

PATIENCE = 90
VIRSH = shutil.which("virsh")
# Paused before its first instruction: costs nothing while it waits.
STILL = ("-S", "-M", "pc", "-m", "16", "-accel", "tcg", "-nodefaults", "-display", "none")

home = tempfile.mkdtemp(prefix="verbs")
atexit.register(shutil.rmtree, home, ignore_errors=True)
os.environ["XDG_RUNTIME_DIR"] = home
os.environ["XDG_CONFIG_HOME"] = home + "/config"
os.environ["HOME"] = home
FOLDER = home + "/roost"


def wait_for(what, condition, seconds=PATIENCE):
    begin = time.monotonic()
    while True:
        found = condition()
        if found:
            return found
        check(time.monotonic() - begin < seconds, f"{what}: not within {seconds} s")
        time.sleep(0.02)


def verb(*args, status=0, timeout=PATIENCE, **more):
    ran = roost(*args, timeout=timeout, **more)
    check(ran.status == status, ran)
    return ran


def out(*args, **more):
    return verb(*args, **more).out.strip()


def fails(*args, says, **more):
    ran = verb(*args, status=1, **more)
    check(any(line.startswith("error: ") for line in ran.lines) and says in ran.err, ran)
    return ran


class Vm:
    """Listed when the with-block begins; ended by force when it ends. .id is its number."""

    def __init__(self, name, *args, still=True, env=None, listed=True):
        self.name, self.listed = name, listed
        self.before = set(os.listdir(FOLDER)) if os.path.isdir(FOLDER) else set()
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([ROOST, *(STILL if still else ()), *(("-name", name.replace(",", ",,")) if name is not None else ()), *args],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors, env=env)
        self.id = None

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def _entry(self):
        check(self.process.poll() is None, f"ended with {self.process.returncode}: {self.said()}")
        for name in os.listdir(FOLDER) if os.path.isdir(FOLDER) else ():
            try:
                with open(f"{FOLDER}/{name}/pid") as file:
                    if int(file.read() or 0) == self.process.pid and os.path.exists(f"{FOLDER}/{name}/qmp"):
                        return name
            except (OSError, ValueError):
                pass
        return None

    def __enter__(self):
        if self.listed:
            self.id = wait_for(f"{self.name!r} is listed", self._entry)
            wait_for("its QMP listens", lambda: roost("qmp", self.id, "query-name").status == 0)
        return self

    def __exit__(self, *what):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.errors.close()

    def ended(self):
        return self.process.wait(timeout=PATIENCE)


def rom(folder, text):
    """A firmware that writes text to COM1 and then what is typed, each letter in its other case; for -bios."""
    code = bytes.fromhex("31c08ed8" "be4000" "baf803")                 # xor ax,ax; mov ds,ax; mov si,0x40; mov dx,0x3f8
    code += bytes.fromhex("2eac" "84c0" "7403" "ee" "ebf7")            # 1: cs lodsb; test al,al; jz 2f; out dx,al; jmp 1b
    code += bytes.fromhex("bafd03" "ec" "a801" "74fb")                 # 2: mov dx,0x3fd; 3: in al,dx; test al,1; jz 3b
    code += bytes.fromhex("baf803" "ec" "3420" "ee" "ebef")            # mov dx,0x3f8; in al,dx; xor al,0x20; out dx,al; jmp 2b
    image = bytearray(65536)
    image[:len(code)] = code
    message = text.encode() + b"\0"
    image[0x40:0x40 + len(message)] = message
    image[0xfff0:0xfff5] = bytes.fromhex("ea000000f0")
    path = f"{folder}/rom"
    with open(path, "wb") as file:
        file.write(image)
    return path
