#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual cannot drift: it is printed from the tables, everything in them has help, and man(1) finds nothing to warn of.
Prints TAP. Usage: manual.py ROOST ROOST.1"""
import os
import re
import shutil
import subprocess
import sys

executable, page = sys.argv[1:3]
cases = []


def case(name, complaints, skip=""):
    cases.append((name, list(complaints), skip))


def roost(*args):
    return subprocess.run([executable, *args], capture_output=True, text=True, timeout=20)


def plain(roff):
    """Roff to the text that a reader sees, near enough for looking words up."""
    text = re.sub(r"\\f[BIR]|\\&|\\:", "", roff)
    for code, character in ((r"\-", "-"), (r"\(aq", "'"), (r"\(ga", "`"), (r"\(ha", "^"), (r"\(ti", "~"), (r"\e", "\\")):
        text = text.replace(code, character)
    return text


with open(page, encoding="utf-8") as file:
    source = file.read()
manual = plain(source)
table = [line.split("\t") for line in roost("help", "options").stdout.splitlines()]


def options_appear():
    if len(table) < 50:
        yield f"the table has {len(table)} rows"
    for name, argument, _ in table:
        if f"\n{name}{' ' + argument if argument else ''}\n" not in manual:
            yield f"{name} is not in the manual"


def terms_have_help():
    lines = manual.split("\n")
    for at, line in enumerate(lines):
        if line == ".TP" and not re.search(r"\w", lines[at + 2].split(" (default:")[0]):
            yield f"no help about '{lines[at + 1]}'"


def models_appear():
    listed = re.findall(r'^name "([^"]+)", bus', roost("-device", "help").stdout, re.M)
    if not listed:
        yield "no models are listed"
    for name in listed:
        if not re.search(rf"^{re.escape(name)} \S+$", manual, re.M):
            yield f"the model {name} is not in the manual"
        properties = roost("-device", f"{name},help").stdout.splitlines()[1:]
        for line in properties:
            if not re.match(r"\s+[\w.-]+=<\w+>\s+- \w", line):
                yield f"{name}: no help in '{line.strip()}'"


def keys_have_help():
    for name, argument, _ in table:
        if not argument:
            continue
        ran = roost("--print-config", name, "help")
        if ran.returncode or not re.search(r"^\S+ options:$", ran.stdout, re.M):
            continue
        for line in ran.stdout.splitlines()[1:]:
            if not re.match(r"\s+\S+=\S+\s+\S", line):
                yield f"{name}: no help in '{line.strip()}'"


def commands_appear():
    lines = [line.split("\t") for line in roost("help", "qmp").stdout.splitlines()]
    if len(lines) < 30:
        yield f"the tables of QMP have {len(lines)} rows"
    for name, arguments, text in lines:
        if f"\n{name}{' ' + arguments if arguments else ''}\n" not in manual:
            yield f"{name} is not in the manual"
        if not re.match(r"\w", text):
            yield f"{name} has no help"


def verbs_appear():
    lines = roost("help", "verbs").stdout.splitlines()
    if len(lines) < 10:
        yield f"there are {len(lines)} verbs"
    for line in lines:
        name = line.split()[0]
        if not re.search(rf"^{name}( .*)?$", manual, re.M):
            yield f"the verb {name} is not in the manual"
        ran = roost(name, "--help")
        if ran.returncode or f"usage: roost {name} " not in ran.stdout:
            yield f"{name} --help: {ran.returncode} {ran.stdout[:100]}"
        for row in ran.stdout.splitlines()[3:]:
            if not re.match(r"\s+-\S.*?\s\s*\w", row):
                yield f"{name}: no help in '{row.strip()}'"


def sections():
    for name in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "MACHINES", "DEVICE MODELS", "CHARACTER STREAMS", "KEYS OF THE TERMINAL", "QMP COMMANDS AND EVENTS",
                 "VERBS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"):
        body = re.search(rf"^\.SH {name}\n((?:(?!\.SH ).*\n)+)", source, re.M)
        if not body or len(body.group(1)) < 20:
            yield f"the section {name} is missing or empty"
    if plain(source.split('.SH EXAMPLES')[-1]).count("\nroost -") < 12:
        yield "the README's examples are not in the manual"
    for status in ("100", "102", "104", "106", "108", "124"):
        if f"\n.TP\n{status}\n" not in manual:
            yield f"the exit status {status} is not in the manual"


def warnings():
    # man is left out of some Debian installations by a diversion; what is there then is a script that says so.
    ran = subprocess.run(["man", "-l", "--warnings", "-E", "UTF-8", page], capture_output=True, text=True, timeout=60,
                         env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFOPT": ""}, stdin=subprocess.DEVNULL)
    yield from ran.stderr.splitlines()[:20]
    if ran.returncode or (ran.stdout and "run a virtual PC" not in ran.stdout):
        yield f"man ended with {ran.returncode}: {ran.stdout[:200]}"


usable = shutil.which("man") and shutil.which("groff") and "minimized" not in subprocess.run(["man", "-w", "-l", page], capture_output=True, text=True).stdout
case("every option is in the manual", options_appear())
case("every entry of the manual says something", terms_have_help())
case("every device model and property has help", models_appear())
case("every key of an option has help", keys_have_help())
case("every QMP command and event is in the manual", commands_appear())
case("every verb and its options are in the manual and have help", verbs_appear())
case("the manual has its sections", sections())
case("man has nothing to warn of", warnings() if usable else [], "" if usable else "man-db and groff-base are not installed")

print("TAP version 13")
print(f"1..{len(cases)}")
for number, (name, complaints, skip) in enumerate(cases, 1):
    print(f"{'not ok' if complaints else 'ok'} {number} - {name}{' # SKIP ' + skip if skip else ''}")
    for complaint in complaints[:40]:
        print(f"# {complaint}")
sys.exit(0)
