#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the shells complete. Usage: completion.py ROOST"""
import os
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vms import ROOST, Skip, Vm, case, check, home, main, out, roost

bash = out("help", "completion", "bash")
zsh = out("help", "completion", "zsh")
verbs = [line.split()[0] for line in out("help", "verbs").splitlines()]


def complete(*words):
    """What Tab offers for the last of these words."""
    script = (f"PATH={shlex.quote(os.path.dirname(ROOST))}:$PATH\n{bash}\nCOMP_WORDS=({' '.join(map(shlex.quote, words))})\nCOMP_CWORD={len(words) - 1}\n_roost\n"
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, cwd=home)
    check(done.returncode == 0 and not done.stderr, done)
    return [line for line in done.stdout.splitlines() if line]


@case("bash: commands, options, names of VMs, files")
def _():
    with open(home + "/disk.qcow2", "w"):
        pass
    check(complete("roost", "dom") == [verb for verb in verbs if verb.startswith("dom")], complete("roost", "dom"))
    check("list" in complete("roost", "") and "img" in complete("roost", "") and "disk.qcow2" in complete("roost", ""), complete("roost", ""))
    check(complete("roost", "list", "--state-r") == ["--state-running"], complete("roost", "list", "--state-r"))
    check({"-smp", "-snapshot", "-serial"} <= set(complete("roost", "-s")), complete("roost", "-s"))
    check(complete("roost", "-m", "1G", "disk") == ["disk.qcow2"], complete("roost", "-m", "1G", "disk"))
    check("convert" in complete("roost", "img", "conv"), complete("roost", "img", "conv"))
    check(complete("roost", "help", "verb") == ["verbs"], complete("roost", "help", "verb"))
    with Vm("one two"), Vm("other"):
        check(sorted(complete("roost", "suspend", "o")) == ["one two", "other"], complete("roost", "suspend", "o"))
        check(complete("roost", "suspend", "ot") == ["other"], complete("roost", "suspend", "ot"))


@case("zsh takes the script")
def _():
    if not shutil.which("zsh"):
        raise Skip("zsh is not installed")
    with open(home + "/_roost", "w") as file:
        file.write(zsh)
    done = subprocess.run(["zsh", "-n", home + "/_roost"], capture_output=True, text=True, timeout=60)
    check(done.returncode == 0 and not done.stderr, done)


@case("every verb is in both")
def _():
    for verb in verbs:
        check(f" {verb}" in bash and f"'{verb}:" in zsh, verb)
    check(roost("help", "completion", "fish").status == 1 and roost("help", "completion").status == 1, "another shell")


main()
