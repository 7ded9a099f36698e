#!/usr/bin/env bash
# `gh` reads what we wrote, and writes what the sandbox must unseal. It reaches the sandbox by a Unix socket.
set -uo pipefail

# shellcheck source=tests/peers/check.sh
source "$(dirname "$0")/check.sh"
repository=payready/sophia

mkdir -p "$GH_CONFIG_DIR"
printf 'http_unix_socket: %s\n' "$GITHUB_SOCKET" >"$GH_CONFIG_DIR/config.yml"
export GH_TOKEN=$GITHUB_TOKEN GH_NO_UPDATE_NOTIFIER=1 GH_PROMPT_DISABLED=1 NO_COLOR=1

check 'gh: lists what we synced' \
  "$(gh secret list -R $repository | cut -f1 | grep -cE '^(OPENAI_API_KEY|PROD_DATABASE_URL)$')" 2
printf 'pa$$ #1\nsecond\n\n' | gh secret set GH_SECRET -R $repository
check 'gh: sets a secret (and drops the line breaks at its end)' \
  "$(state github repositories $repository secrets actions GH_SECRET value)" $'pa$$ #1\nsecond'
gh secret set GH_ENV --body e --env production -R $repository
check 'gh: an environment' "$(state github repositories $repository environments production secrets GH_ENV value)" e
gh secret set GH_BOT --body d --app dependabot -R $repository
check 'gh: dependabot' "$(state github repositories $repository secrets dependabot GH_BOT value)" d
gh secret set GH_ORG --body o --org payready --repos $repository
check 'gh: an organization, for selected repositories' \
  "$(state github organizations payready secrets actions GH_ORG selected_repositories)" "['$repository']"
printf 'FIRST=1\nSECOND="two words"\n' | gh secret set -f - -R $repository
check 'gh: a dotenv file' "$(state github repositories $repository secrets actions SECOND value)" 'two words'
gh secret delete GH_SECRET -R $repository
check 'gh: deletes' "$(gh secret list -R $repository | grep -c GH_SECRET)" 0
gh variable set GH_VARIABLE --body v1 -R $repository
gh variable set GH_VARIABLE --body v2 -R $repository
check 'gh: a variable is set again' \
  "$(state github repositories $repository variables actions GH_VARIABLE value)" v2
check 'gh: lists variables, our ledger among them' \
  "$(gh variable list -R $repository | cut -f1 | grep -cE '^(GH_VARIABLE|SOPHIA_SECRETS_SYNC_LEDGER)$')" 2
check 'gh: reads the ledger as it is stored' "$(gh variable get SOPHIA_SECRETS_SYNC_LEDGER -R $repository)" \
  "$(state github repositories $repository variables actions SOPHIA_SECRETS_SYNC_LEDGER value)"
check 'gh: a wrong token is refused' \
  "$(GH_TOKEN=wrong gh secret list -R $repository 2>&1 | grep -c 'HTTP 401')" 1
exit "$failed"
