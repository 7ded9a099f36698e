#!/usr/bin/env bash
# Pulumi's own evaluator and ours on the corpus in tests/esc, then on generated documents: values, marks, places and
# diagnostics of each mode. usage: run.sh [FIRST [COUNT]]: the seeds of the generated ones
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
tools=${PEER_TOOLS:-$root/target/peers}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$tools"
(cd "$here" && go build -buildvcs=false -o "$tools/esc-eval" .)
cd "$root"
SOPHIA_ESC_EVAL=$tools/esc-eval cargo test --locked --quiet --test esc_corpus

mkdir "$work/generated"
cp tests/esc/schema.json "$work/generated/"
python3 "$here/generated.py" write "$work/generated" "${1:-1}" "${2:-3000}"
"$tools/esc-eval" "$work/generated" >"$work/theirs.json"
SOPHIA_ACCEPT=1 SOPHIA_ESC_CORPUS=$work/generated cargo test --locked --quiet --test esc_corpus every_case
python3 "$here/generated.py" compare "$work/generated" "$work/theirs.json"
