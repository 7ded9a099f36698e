#!/usr/bin/env bash
# pack.sh FOLDER TARGET VERSION OUT: looks at a release build and packs it as OUT/sophia-secrets-sync-TARGET.tar.gz.
# Refuses a binary that does not run, says another version, is larger than expected, or (musl) is not static.
set -euo pipefail
folder=$1 target=$2 version=$3 out=$4
readonly largest=$((30 * 1024 * 1024))

name=sophia-secrets-sync
if [[ $target == *windows* ]]; then name+=.exe; fi
binary="$folder/$name"

said=$("$binary" --version)
[[ $said == "sophia-secrets-sync $version" ]] || { echo "the binary says \`$said\`, expected version $version" >&2; exit 1; }
size=$(wc -c <"$binary")
((size <= largest)) || { echo "$binary has $size bytes, more than $largest" >&2; exit 1; }
if [[ $target == *musl* ]] && ldd "$binary" 2>&1 | grep -q '=>'; then
  echo "$binary is not static" >&2
  exit 1
fi

mkdir -p "$out"
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
cp "$binary" LICENSE-MIT LICENSE-APACHE README.md "$staged/"
archive="$out/sophia-secrets-sync-$target.tar.gz"
tar -czf "$archive" -C "$staged" "$name" LICENSE-MIT LICENSE-APACHE README.md
echo "$archive: $(wc -c <"$archive") bytes, $size unpacked"
