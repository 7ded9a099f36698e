#!/usr/bin/env bash
# What `esc` left in an embedded store, after a restart of the service on it. usage: store.sh ESC BINARY FOLDER
# shellcheck disable=SC2016 # the secret holds `$`, literally
set -uo pipefail
# shellcheck source=tests/peers/check.sh
source "$(dirname "$0")/check.sh"

esc=$1 binary=$2 folder=$3
export PULUMI_HOME=$HOME/pulumi NO_COLOR=1 SOPHIA_AUDIT_LOG=$HOME/audit.jsonl
secret='pa$$ "x" <&> `w` ü'

check 'store: no secret stands there in clear' "$(grep -rlF -e 'pa$$' "$folder" | wc -l)" 0
check 'store: the restarted service opens what was written' "$("$esc" open payready/cli/copy db.password --format string)" "$secret"
check 'store: our command opens it without a service' \
  "$("$binary" env open payready/cli/copy db.password --format string --esc-url "file://$folder")" "$secret"
"$binary" --quiet env set payready/cli/copy region eu-north-1 --esc-url "file://$folder" >/dev/null
check 'store: what our command writes is served at once' "$("$esc" open payready/cli/copy region --format string)" eu-north-1
check 'store: what was removed is gone' "$(find "$folder" -name 'staging*' | wc -l)" 0
exit "$failed"
