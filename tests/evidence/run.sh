#!/usr/bin/env bash
# The evidence page of a small and of a large company, opened in Chromium; tools, pages and pictures are kept in target/evidence.
# usage: run.sh; CHROMIUM names the program, else the machine's is taken, else Debian's is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
out=$PWD/target/evidence
mkdir -p "$out"
if ! cmp -s "$here/package-lock.json" "$out/package-lock.json"; then
  cp "$here/package.json" "$here/package-lock.json" "$out/"
  (cd "$out" && npm ci --silent --ignore-scripts --no-audit --no-fund)
fi
cp "$here/look.mjs" "$out/"
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [[ -z $chromium && $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } >"$out/apt.log" 2>&1 || cat "$out/apt.log"
  chromium=$(command -v chromium || true)
fi
[[ -n $chromium ]] || { echo 'no Chromium: install one, or name it in CHROMIUM' >&2; exit 1; }
cargo build --locked --quiet --example evidence
failed=0
for size in small large; do
  rm -rf "${out:?}/$size"
  target/debug/examples/evidence "$out/$size" "$size" >"$out/$size.log" 2>&1 || { cat "$out/$size.log"; exit 1; }
  printf '== %s: %s bytes\n' "$size" "$(wc -c <"$out/$size/report.html")"
  node "$out/look.mjs" "$chromium" "$out/$size/report.html" "$out/$size" || failed=1
done
exit "$failed"
