#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest from a domain file, driven by verbs alone. Usage: verbs.py ROOST CASE GUESTS (CASE may be empty)"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "verbs"))
from vms import ROOST, Skip, case, check, home, main, out, roost, verb, wait_for

guests = sys.argv[3]
LONG = "300"
DOMAIN = f"""<domain type='qemu'>
  <name>linux</name>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{guests}/vmlinuz-cloud</kernel>
    <initrd>{guests}/initrd.gz</initrd>
    <cmdline>console=ttyS0 panic=-1</cmdline>
  </os>
  <features><acpi/></features>
  <devices><console type='pty'/></devices>
</domain>
"""


class Console:
    def __init__(self):
        self.process = subprocess.Popen([ROOST, "console", "linux", "--replay", "0"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def type(self, line, answer):
        waiting = subprocess.Popen([ROOST, "wait", "linux", "--for", f"console:{answer}", "--timeout", LONG])
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        check(waiting.wait() == 0, f"{answer} did not come")

    def close(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()


@case("boot, list, console, suspend, resume, dumpxml, reboot, power off and destroy by name")
def _():
    if not all(os.path.exists(f"{guests}/{name}") for name in ("vmlinuz-cloud", "initrd.gz")):
        raise Skip("tests/guests has not made vmlinuz-cloud and initrd.gz")
    with open(home + "/linux.xml", "w") as file:
        file.write(DOMAIN)
    verb("define", home + "/linux.xml")
    verb("start", "linux")
    try:
        verb("wait", "linux", "--for", "console:ROOST-GUEST up.*\n(.*\n)*.*/ # ", "--timeout", LONG, timeout=400)
        check(out("list", "--name") == "linux" and out("domstate", "linux", "--reason") == "running (booted)", verb("list"))
        check("Max memory:     131072 KiB" in out("dominfo", "linux") and "/vmlinuz-cloud</kernel>" in out("dumpxml", "linux"), "dominfo, dumpxml")
        console = Console()
        console.type("echo $((6 * 7)) is the answer", "42 is the answer")
        verb("suspend", "linux")
        check(out("domstate", "linux") == "paused", "suspend")
        verb("resume", "linux")
        console.type("echo $((5 * 5)) again", "25 again")
        # The power button has no listener in this guest: the test presses for it. What shuts down then starts anew.
        verb("reboot", "linux")
        console.type("poweroff -f", "(?s)25 again.*ROOST-GUEST up.*/ # ")
        console.type("echo $((3 * 3)) after", "9 after")
        waiting = subprocess.Popen([ROOST, "wait", "linux", "--for", "event:POWERDOWN", "--timeout", LONG])
        while waiting.poll() is None:
            verb("shutdown", "linux")
        check(waiting.returncode == 0, "POWERDOWN")
        console.process.stdin.write(b"poweroff -f\n")
        console.process.stdin.flush()
        verb("wait", "linux", "--for", "stopped", "--timeout", LONG, timeout=400)
        console.close()
        check(out("list", "--name") == "" and out("domstate", "linux") == "shut off", verb("list", "--all"))
        check("ended with status 0" in out("log", "linux"), out("log", "linux"))
        verb("start", "linux", "--paused")
        check(out("domstate", "linux") == "paused", "paused")
        verb("destroy", "linux")
    finally:
        roost("destroy", "linux")
        roost("undefine", "linux")


main()
