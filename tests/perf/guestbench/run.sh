#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the benchmarks, runs them natively and under any number of emulators, prints one table.
#
#   run.sh                            native only
#   run.sh NAME='COMMAND' ...         native and each named emulator; COMMAND is everything except
#                                     kernel, initrd and command line, which are appended as
#                                     $KOPT kernel $IOPT initrd $AOPT "command line"
# Environment:
#   KERNEL   bzImage to boot                 (default: first of /boot/vmlinuz-*)
#   KARGS    extra kernel arguments
#   ONLY     comma-separated benchmark names (default: all)
#   MINTIME  seconds per benchmark           (default 0.4)
#   LIMIT    seconds allowed per emulator    (default 600)
#   ERUNS    runs of each emulator, best counts (default 1)
#   OUT      where logs and the build go     (default: ./out)
#   RUNS     native repetitions, best counts (default 3)
#   KOPT IOPT AOPT  option names             (default -kernel -initrd -append)
# The guest's serial console must be the emulator's standard output.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-$here/out}
KERNEL=${KERNEL:-$(ls /boot/vmlinuz-* 2>/dev/null | head -1)}
KOPT=${KOPT:--kernel} IOPT=${IOPT:--initrd} AOPT=${AOPT:--append}
mkdir -p "$out"

build() {
    local cc=${CC:-gcc} cf="-O2 -static -g0 -Wall -Wextra -fno-tree-vectorize -fno-math-errno"
    # Integer code is built without vector instructions, so that it measures the integer translator.
    $cc $cf -mgeneral-regs-only -c "$here/int.c" -o "$out/int.o"
    for f in main mem fp sys; do $cc $cf -c "$here/$f.c" -o "$out/$f.o"; done
    $cc $cf -o "$out/gb" "$out"/{main,int,mem,fp,sys}.o -lz -lm
    rm -rf "$out/root"; mkdir -p "$out/root"/{dev,proc,sys,tmp}
    cp "$out/gb" "$out/root/init"
    (cd "$out/root" && find . | cpio -o -H newc 2>/dev/null) | gzip -1 > "$out/initrd.gz"
}

native() {
    for _ in $(seq "${RUNS:-3}"); do
        gb_time=${MINTIME:-0.4} "$out/gb" ${ONLY:-} >> "$out/native.log" || true
    done
}

# Starts the emulator, watches its console, ends it when the guest says it is done.
emulate() {                                   # name command
    local log="$out/$1.log" t0=$EPOCHREALTIME pid line
    local append="console=ttyS0 panic=-1 ${KARGS:-} gb_time=${MINTIME:-0.4} ${ONLY:+gb_only=$ONLY}"
    local fifo="$out/$1.fifo"; rm -f "$fifo"; mkfifo "$fifo"
    # shellcheck disable=SC2086
    timeout "${LIMIT:-600}" $2 $KOPT "$KERNEL" $IOPT "$out/initrd.gz" $AOPT "$append" \
        < /dev/null > "$fifo" 2> "$out/$1.err" &
    pid=$!
    while IFS= read -r line; do
        line=${line%$'\r'}
        printf '%s\n' "$line" >> "$log"
        case $line in
        "GB boot"*) echo "GB wall $(echo "$EPOCHREALTIME - $t0" | bc -l)" >> "$log" ;;
        "GB end"*) kill "$pid" 2>/dev/null || true; break ;;
        esac
    done < "$fifo"
    wait "$pid" 2>/dev/null || true
    rm -f "$fifo"
}

: > "$out/native.log"
build
native                                        # before and after: other load on the machine comes and goes
names=(native)
for spec in "$@"; do
    : > "$out/${spec%%=*}.log"
    for _ in $(seq "${ERUNS:-1}"); do emulate "${spec%%=*}" "${spec#*=}"; done
    names+=("${spec%%=*}")
done

[ $# = 0 ] || native

# Table: cost of one unit natively, then per emulator the cost and the ratio to native.
cd "$out"
awk -v names="${names[*]}" '
    function cost(ns) { return ns >= 1e6 ? sprintf("%.2f ms", ns/1e6) : ns >= 1e3 ? sprintf("%.2f us", ns/1e3) : sprintf("%.1f ns", ns) }
    BEGIN { k = split(names, nm, " ") }
    { f = FILENAME; sub(/\.log$/, "", f); sub(/\r$/, "") }
    $1 == "GB" && $2 == "res" {
        if (!($3 in seen)) { seen[$3] = 1; order[++cnt] = $3; u = $7; for (i = 8; i <= NF; i++) u = u " " $i; unit[$3] = u }
        key = f SUBSEP $3
        if (!(key in v) || $4 + 0 < v[key]) v[key] = $4 + 0
    }
    $1 == "GB" && $2 == "sum" {
        if (f == "native") sum[$3] = $4
        else if (sum[$3] != $4) fail[f SUBSEP $3] = 1
    }
    $1 == "GB" && $2 == "wall" { if (!(f in wall) || $3 < wall[f]) wall[f] = $3 }
    $1 == "GB" && $2 == "fail" { fail[f SUBSEP $3] = 1; if (!($3 in seen)) { seen[$3] = 1; order[++cnt] = $3 } }
    END {
        printf "| benchmark | unit | native |"; for (i = 2; i <= k; i++) printf " %s | x |", nm[i]; print ""
        printf "|---|---|---|"; for (i = 2; i <= k; i++) printf "---|---|"; print ""
        printf "| boot to init | wall | - |"; for (i = 2; i <= k; i++) printf " %s s | - |", (nm[i] in wall) ? sprintf("%.2f", wall[nm[i]]) : "none"; print ""
        for (j = 1; j <= cnt; j++) {
            b = order[j]; n = v["native" SUBSEP b]
            printf "| %s | %s | %s |", b, unit[b], n ? cost(n) : "-"
            for (i = 2; i <= k; i++) {
                key = nm[i] SUBSEP b
                if (key in fail) printf " FAIL | - |"
                else if (key in v) { printf " %s | %.1f |", cost(v[key]), n ? v[key] / n : 0
                    if (n) { ls[i] += log(v[key] / n); lc[i]++ } }
                else printf " - | - |"
            }
            print ""
        }
        printf "| geometric mean | | |"; for (i = 2; i <= k; i++) printf " | %.1f |", lc[i] ? exp(ls[i] / lc[i]) : 0; print ""
    }' $(printf '%s.log ' "${names[@]}")
