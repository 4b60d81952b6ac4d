# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's serial console on pipes: what is expected of it, and what is typed when it comes."""
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time


class Outcome:
    def __init__(self, failure, status, took, console, command):
        self.failure, self.status, self.took = failure, status, took
        self.console = console.decode(errors="replace").replace("\r", "")
        self.command = "reproduce: " + shlex.join(command)

    def tail(self, lines=30):
        return "\n".join([self.command] + self.console.splitlines()[-lines:])


def follow(command, script, seconds, status=0):
    """Runs command; script is [(pattern, what to type)]: None types nothing, "signal" sends SIGTERM, "kill" SIGKILL. The last pattern must
    come, and the process end with status (None: any), within so many seconds."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    console, searched, step, failure = b"", 0, 0, None
    while True:
        left = begin + seconds - time.monotonic()
        if left <= 0:
            failure = f"not done after {seconds} s; waiting for {script[step][0] if step < len(script) else 'the end'}"
            break
        if not select.select([process.stdout], [], [], left)[0]:
            continue
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            break
        console += data
        while step < len(script):
            found = re.search(script[step][0].encode(), console[searched:], re.S)
            if not found:
                break
            searched += found.end()
            answer = script[step][1]
            step += 1
            if answer == "signal":
                process.send_signal(signal.SIGTERM)
            elif answer == "kill":
                process.kill()
            elif answer:
                time.sleep(0.2)
                process.stdin.write(answer.encode())
                process.stdin.flush()
    if failure:
        process.kill()
    process.wait()
    if not failure and step < len(script):
        failure = f"ended (status {process.returncode}) before: {script[step][0]}"
    if not failure and status is not None and process.returncode != status:
        failure = f"exit status {process.returncode}, expected {status}"
    return Outcome(failure, process.returncode, time.monotonic() - begin, console, command)


def report(cases):
    """cases: [(name, function)]; a function gives None or a note when it went well, raises Skip, or an AssertionError with what failed."""
    print("TAP version 13")
    print(f"1..{len(cases)}")
    for number, (name, case) in enumerate(cases, 1):
        try:
            note = case()
            print(f"ok {number} - {name}{': ' + note if note else ''}")
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}")
        except AssertionError as failure:
            first, *rest = str(failure).splitlines() or ["failed"]
            print(f"not ok {number} - {name}: {first}")
            for line in rest:
                print(f"# {line}")
        sys.stdout.flush()


class Skip(Exception):
    pass
