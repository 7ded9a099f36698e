#!/usr/bin/env bash
# Other people's clients against `sandbox`, after our own `sync`. Prints `N passed, N failed`.
# usage: run.sh [BINARY]; tools are kept in $PEER_TOOLS (default target/peers).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${PEER_TOOLS:-$root/target/peers}
binary=${1:-$root/target/debug/sophia-secrets-sync}
work=$(mktemp -d)
sandbox=
finish() {
  [[ -z $sandbox ]] || kill "$sandbox" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

mkdir -p "$tools"
if [[ ! -x $tools/venv/bin/python3 ]]; then
  python3 -m venv "$tools/venv"
fi
"$tools/venv/bin/python3" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
if ! cmp -s "$here/octokit/package-lock.json" "$tools/octokit/package-lock.json"; then
  mkdir -p "$tools/octokit"
  cp "$here/octokit/package.json" "$here/octokit/package-lock.json" "$tools/octokit/"
  (cd "$tools/octokit" && npm ci --silent --ignore-scripts --no-audit --no-fund)
fi
cp "$here/octokit/octokit.mjs" "$tools/octokit/"
# Pulumi's own command; its login alone is ours (esc/go.mod tells why).
if [[ $here/esc/go.mod -nt $tools/esc ]]; then
  (cd "$here/esc" && go build -buildvcs=false -o "$tools/esc" github.com/pulumi/esc/cmd/esc)
  touch "$tools/esc"
fi
# GitHub's own, built away from here: `go` completes gh/go.mod with all that it needs, of which gh/go.sum has the sums.
if [[ $here/gh/go.mod -nt $tools/bin/gh ]]; then
  mkdir -p "$tools/gh"
  cp "$here/gh/go.mod" "$here/gh/go.sum" "$tools/gh/"
  (cd "$tools/gh" && go build -mod=mod -buildvcs=false -o "$tools/bin/gh" github.com/cli/cli/v2/cmd/gh)
  touch "$tools/bin/gh"
fi

# start ARGUMENT...: a sandbox, and its addresses in the environment. The key exists in tests only.
start() {
  [[ -z $sandbox ]] || kill "$sandbox"
  : >"$work/exports"
  env -i HOME="$work" USER=sandbox SOPHIA_AGE_KEY="$age_key" "$binary" sandbox "$@" >"$work/exports" 2>"$work/sandbox.log" &
  sandbox=$!
  for _ in $(seq 100); do
    [[ $(wc -l <"$work/exports") -ge 4 ]] && break
    sleep 0.1
  done
  # shellcheck disable=SC1091
  source "$work/exports"
}
age_key=AGE-SECRET-KEY-1CJEX0VHE456RUT0NH4FRDWFDQD4G6EZGUU8TSD7LK20D947D7RGQ5SL9KS
start --github-socket "$work/github.sock"
export GITHUB_SOCKET=$work/github.sock GH_CONFIG_DIR=$work/gh HOME=$work

# What our own tool writes, the peers read.
python3 - <<'PY'
import json, os, urllib.request
text = """values:
  sophia: { fingerprintKey: { fn::secret: the fingerprint key of the peers } }
  api-keys: { OPENAI_API_KEY: { fn::secret: one } }
  database-credentials: { DATABASE_URL: { fn::secret: "postgres://u:p@h/$db" } }
"""
seed = {"esc": {"environments": {"payready/sophia-esc/production": text}}}
request = urllib.request.Request(os.environ["GITHUB_API_URL"] + "/_sandbox/state", json.dumps(seed).encode(), method="PATCH")
urllib.request.urlopen(request).read()
PY
cp "$here/pulumi-esc-environment.yaml" "$work/"
(cd "$work" && "$binary" --quiet sync --stack production --repo payready/sophia)

passed=0 failed=0
peer() {
  local title=$1 lines
  shift
  if ! "$@" >"$work/peer.log" 2>&1; then
    # A peer that ends badly without a failed check has failed as a whole.
    grep -q '^not ok' "$work/peer.log" || echo "not ok $title" >>"$work/peer.log"
  fi
  lines=$(grep -c '^ok ' "$work/peer.log" || true)
  passed=$((passed + lines))
  lines=$(grep -c '^not ok ' "$work/peer.log" || true)
  failed=$((failed + lines))
  if [[ $lines -gt 0 ]]; then
    cat "$work/peer.log"
  else
    grep '^ok ' "$work/peer.log"
  fi
}
peer pygithub env PYTHONPATH="$here" "$tools/venv/bin/python3" "$here/pygithub.py"
peer pulumi-esc-sdk env PYTHONPATH="$here" "$tools/venv/bin/python3" "$here/pulumi_sdk.py"
peer octokit node "$tools/octokit/octokit.mjs"
peer gh env PATH="$tools/bin:$PATH" bash "$here/gh.sh"
peer esc bash "$here/esc.sh" "$tools/esc"
# The same with environments in an embedded store, which is there afterwards.
start --store "$work/store"
peer 'esc on a store' bash "$here/esc.sh" "$tools/esc"
start --store "$work/store"
peer store env SOPHIA_AGE_KEY="$age_key" bash "$here/store.sh" "$tools/esc" "$binary" "$work/store"

printf '%d passed, %d failed\n' "$passed" "$failed"
[[ $failed == 0 ]]
