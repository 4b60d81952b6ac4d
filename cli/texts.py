#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The texts that the manual shares with other readers, as C. Usage: texts.py OUTPUT README EXIT-STATUS"""
import sys

with open(sys.argv[1], "w", encoding="utf-8") as out:
    out.write('#include "cli/manual.h"\n')
    for name, path in zip(("manual_readme", "manual_exit_status"), sys.argv[2:]):
        out.write(f"const char {name}[] =\n")
        with open(path, encoding="utf-8") as source:
            for line in source:
                text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
                out.write(f'    "{text}\\n"\n')
        out.write("    ;\n")
