#!/bin/bash
# run.sh TARGET SECONDS: fuzzes on one core, behind everything else on the machine.
# SANITIZER=address is slower and finds what unsafe code of dependencies might do.
set -euo pipefail
cd "$(dirname "$0")"
target=$1 seconds=$2
mkdir -p "work/$target" "corpus/$target"
dictionary=()
[ ! -f "$target.dict" ] || dictionary=(-dict="$target.dict")
# What cargo-fuzz asks of rustc is unstable, but old.
export RUSTC_BOOTSTRAP=1
exec nice -n 19 cargo fuzz run --fuzz-dir . --sanitizer "${SANITIZER:-none}" "$target" "work/$target" "corpus/$target" -- \
    -max_total_time="$seconds" -max_len=16384 -rss_limit_mb=2048 -timeout=20 "${dictionary[@]}"
