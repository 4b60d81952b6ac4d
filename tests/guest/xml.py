#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Systems started from libvirt's domain files, as the files are: xml.py ROOST GUESTS-FOLDER CASE... (no case: their names).

"kernel" has kernel, initial RAM disk and command line in <os>; "server" a volume of a pool and a console on a pseudo terminal;
"install" a disk and a CD on IDE, of which the CD boots."""
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
import tty

import console

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
DOMAINS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "xml", "domains")
ACCEL = ["-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg")]
SECONDS = 300
KERNEL = """<domain type='kvm'>
  <name>kernel</name>
  <memory unit='MiB'>512</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><kernel>{g}/vmlinuz-cloud</kernel><initrd>{g}/initrd.gz</initrd>
    <cmdline>console=ttyS0 panic=-1 roost.run=poweroff</cmdline></os>
  <features><acpi/><apic/></features>
  <on_reboot>destroy</on_reboot>
  <devices>
    <serial type='stdio'><target port='0'/></serial>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
"""


def needs(*names):
    missing = [n for n in names if not os.path.exists(f"{guests}/{n}")]
    if missing:
        raise console.Skip(f"{', '.join(missing)} missing: run tests/guests")


def write(folder, text):
    with open(f"{folder}/domain.xml", "w", encoding="utf-8") as file:
        file.write(text)
    return f"{folder}/domain.xml"


def go(folder):
    """The guest waits until somebody has its terminal open: what it says before is lost."""
    with socket.socket(socket.AF_UNIX) as session, session.makefile("rwb", buffering=0) as stream:
        session.settimeout(SECONDS)
        session.connect(f"{folder}/qmp")
        for command in (b'{"execute":"qmp_capabilities"}\n', b'{"execute":"cont"}\n'):
            stream.write(command)
            while b'"return"' not in (line := stream.readline()):
                assert line and b'"error"' not in line, line


def on_a_terminal(folder, command, script, status):
    """The guest's console is a pseudo terminal whose name the first lines tell. script: [(pattern, what to type or None)]."""
    begin = time.monotonic()
    command = [*command, "-S", "-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
    with open(f"{folder}/said", "w+b") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=dict(os.environ, XDG_RUNTIME_DIR=folder))

        def told():
            with open(f"{folder}/said", "rb") as file:
                return file.read().decode(errors="replace")

        text, searched, terminal = "", 0, None
        try:
            while terminal is None:
                assert process.poll() is None, f"ended with status {process.returncode}\n{told()}"
                assert time.monotonic() - begin < SECONDS, f"no terminal was told\n{told()}"
                found = re.search(r"redirected to (/dev/pts/\d+)", told())
                if found:
                    terminal = os.open(found.group(1), os.O_RDWR | os.O_NOCTTY)
                    tty.setraw(terminal)
                    go(folder)
                time.sleep(0.02)
            for pattern, answer in script:
                while not (found := re.search(pattern, text[searched:], re.S)):
                    assert time.monotonic() - begin < SECONDS, f"'{pattern}' did not come\n{text[-2000:]}\n{told()}"
                    if select.select([terminal], [], [], 0.2)[0]:
                        text += os.read(terminal, 65536).decode(errors="replace")
                    assert process.poll() is None, f"ended with status {process.returncode} before '{pattern}'\n{text[-2000:]}\n{told()}"
                searched += found.end()
                if answer == "signal":
                    process.terminate()
                elif answer:
                    os.write(terminal, answer.encode())
            # What the guest still says has to be read, or its serial port would wait.
            while process.poll() is None:
                assert time.monotonic() - begin < SECONDS, f"it does not end\n{text[-2000:]}\n{told()}"
                if select.select([terminal], [], [], 0.2)[0]:
                    try:
                        text += os.read(terminal, 65536).decode(errors="replace")
                    except OSError:
                        time.sleep(0.02)
        finally:
            if terminal is not None:
                os.close(terminal)
            if process.poll() is None:
                process.kill()
            process.wait()
        assert process.returncode == status, f"status {process.returncode}\n{text[-2000:]}\n{told()}"
        return told(), time.monotonic() - begin


def kernel(folder):
    needs("vmlinuz-cloud", "initrd.gz")
    outcome = console.follow([roost, "run", write(folder, KERNEL.format(g=guests)), *ACCEL], [(r"ROOST-GUEST up: x86_64, 2 CPU\(s\) online", None)], SECONDS)
    assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
    return f"{outcome.took:.1f} s"


def image(folder, name):
    made = subprocess.run([roost, "img", "convert", "-f", "raw", "-O", "qcow2", f"{guests}/disk.img", f"{folder}/{name}"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def server(folder):
    needs("disk.img")
    image(folder, "archive-root")
    command = [roost, "run", f"{DOMAINS}/server.xml", "--pool", f"images={folder}", "--network", "lan=user", "-m", "256", *ACCEL]
    said, took = on_a_terminal(folder, command, [(r"ROOST-GUEST root: /dev/vda1.*/ # ", "cat /sys/class/misc/hw_random/rng_current; nproc\n"),
                                                 (r"virtio_rng.0\s+2\s.*/ # ", "poweroff\n")], 0)
    for line in said.splitlines():
        assert "redirected" in line or re.match(r"roost: warning: server.xml:\d+: <\w+>: ", line), said
    return f"{took:.1f} s"


def install(folder):
    needs("disk.img", "grub.iso")
    image(folder, "disk.qcow2")
    with open(f"{DOMAINS}/install.xml", encoding="utf-8") as file:
        text = file.read().replace("/srv/images/disk.qcow2", f"{folder}/disk.qcow2").replace("/srv/images/cd.iso", f"{guests}/grub.iso")
    _, took = on_a_terminal(folder, [roost, "run", write(folder, text), "-m", "256", *ACCEL], [(r"Roost test entry one", "\r"), (r"entry one was chosen", "signal")], 0)
    return f"{took:.1f} s"


CASES = {"kernel": kernel, "server": server, "install": install}


def run(name):
    with tempfile.TemporaryDirectory() as folder:
        return CASES[name](folder)


names = sys.argv[3:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
console.report([("a domain file: " + name, lambda name=name: run(name)) for name in names])
