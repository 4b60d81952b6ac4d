# SPDX-License-Identifier: GPL-2.0-or-later
# tap.py - cases in the Test Anything Protocol, and runs of the executable under test
import os
import shlex
import subprocess
import sys
import traceback

ROOST = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "roost"
ONLY = sys.argv[2] if len(sys.argv) > 2 else ""
_cases = []


class Skip(Exception):
    pass


def case(name):
    """A function that is one case, or adds cases by loop: case("name")(function)."""
    def add(function):
        _cases.append((name, function))
        return function
    return add


class Ran:
    def __init__(self, args, done):
        self.args, self.status = args, done.returncode
        self.out, self.err = (s.decode(errors="replace") for s in (done.stdout, done.stderr))
        self.lines = [line for line in self.err.splitlines() if line]

    def __str__(self):
        command = "roost " + " ".join(shlex.quote(a if len(a) < 200 else a[:200] + "...") for a in self.args)
        return f"{command}\n  status {self.status}\n  out: {self.out[:500]!r}\n  err: {self.err[:1500]!r}"


def roost(*args, timeout=20, stdin=b"", **more):
    try:
        done = subprocess.run([ROOST, *args], input=stdin, capture_output=True, timeout=timeout, **more)
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"roost {' '.join(shlex.quote(a) for a in args)}: still runs after {timeout} s; err: {late.stderr!r}")
    return Ran(args, done)


def check(truth, what):
    if not truth:
        raise AssertionError(str(what))


def one_line(ran):
    """Status 1 and one line for a person."""
    check(ran.status == 1, ran)
    check(len(ran.lines) == 1 and ran.lines[0].startswith("roost: "), ran)
    check(len(ran.lines[0]) < 2000, ran)


def main():
    cases = [c for c in _cases if ONLY in c[0]]
    print("TAP version 13")
    print(f"1..{len(cases)}", flush=True)
    for number, (name, function) in enumerate(cases, 1):
        name = name.replace("#", "no.")
        try:
            function()
            print(f"ok {number} - {name}")
        except Skip as why:
            print(f"ok {number} - {name} # SKIP {why}")
        except Exception as failure:
            text = str(failure) if isinstance(failure, AssertionError) else traceback.format_exc()
            print(f"not ok {number} - {name}")
            for line in text.splitlines():
                print(f"# {line}")
        sys.stdout.flush()
