# shellcheck shell=bash disable=SC2034 # `failed` is read by who sources this
# What every peer that is a shell script needs: a count of checks, and the sandbox's own view.
failed=0
# check WHAT SEEN WANTED: one line, `ok` or `not ok`.
check() {
  if [[ $2 == "$3" ]]; then
    printf 'ok %s\n' "$1"
  else
    printf 'not ok %s: %q instead of %q\n' "$1" "$2" "$3"
    failed=1
  fi
}
# state KEY...: one thing of what both services hold.
state() {
  python3 - "$@" <<'PY'
import json, os, sys, urllib.request
url = os.environ["GITHUB_API_URL"] + "/_sandbox/state"
# Where a store is served, the state takes the token.
request = urllib.request.Request(url, headers={"authorization": "token " + os.environ["PULUMI_ACCESS_TOKEN"]})
value = json.load(urllib.request.urlopen(request))
for part in sys.argv[1:]:
    value = value[part]
print(value)
PY
}
