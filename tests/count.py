#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts the cases in meson's logs, names the failed and the skipped ones, and ends with one line.

Each argument names a pair of logs, ARGUMENT.xml (JUnit: the cases) and ARGUMENT.json (the programs: one that crashed or hung between
two cases has failed, though no case of it did).
"""
import json
import sys
import xml.etree.ElementTree

passed, failed, skipped = 0, [], []
for path in sys.argv[1:]:
    with open(path + ".json", encoding="utf-8") as log:
        broken = {program["name"] for program in map(json.loads, log) if program["result"] not in ("OK", "SKIP")}
    for suite in xml.etree.ElementTree.parse(path + ".xml").getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            name = f"{suite.get('name')}: {case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed.append(name)
                broken.discard(suite.get("name").removeprefix("roost."))
            elif case.find("skipped") is not None:
                skipped.append(name)
            else:
                passed += 1
    failed += sorted(broken)
for name in skipped:
    print(f"skipped: {name}")
for name in failed:
    print(f"FAILED: {name}")
print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
sys.exit(1 if failed or not passed else 0)
