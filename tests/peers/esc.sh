#!/usr/bin/env bash
# Pulumi's `esc` command against the sandbox; what it prints is compared. usage: esc.sh ESC
# shellcheck disable=SC2016 # what is printed holds `$`, literally
set -uo pipefail
# shellcheck source=tests/peers/check.sh
source "$(dirname "$0")/check.sh"

esc=$1
export PULUMI_HOME=$HOME/pulumi NO_COLOR=1 EDITOR=false
environment=payready/cli/staging
secret='pa$$ "x" <&> `w` ü'
# Output and errors together; the last line is the exit code.
run() {
  "$esc" "$@" 2>&1
  printf 'exit %s\n' "$?"
}
said() { # said WHAT WANTED ARGUMENT...: all that is printed, and exit code 0
  check "esc: $1" "$(run "${@:3}")" "$2${2:+$'\n'}exit 0"
}
refused() { # refused WHAT WANTED ARGUMENT...: the error, and exit code 1
  check "esc: $1" "$(run "${@:3}")" "Error: $2"$'\n'"exit 1"
}
# Times and ciphertexts differ from run to run.
steady() {
  sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,} \+0000 UTC/TIME/; s/ciphertext: [A-Za-z0-9+\/=]+/ciphertext: .../' |
    sed -E 's/ +$//' | sed '/^$/d'
}

said 'logs in with the token of the environment' \
  "Logged in to $PULUMI_BACKEND_URL as sandbox ()" login "$PULUMI_BACKEND_URL"
check 'esc: a wrong token is refused' "$(PULUMI_ACCESS_TOKEN=wrong PULUMI_HOME=$HOME/other run env ls | tail -1)" 'exit 1'

said 'makes an environment' "Environment created: $environment" env init $environment
refused 'an environment is made once' \
  'creating environment: [409] Conflict: environment already exists' env init $environment
said 'sets a plain value' '' env set $environment region eu-west-1
said 'sets a secret' '' env set $environment db.password --secret "$secret"
said 'sets a reference' '' env set $environment environmentVariables.DB "\${db.password}"
said 'sets a list' '' env set $environment list '[1, two]'
check 'esc: secrets rest encrypted' "$("$esc" env get $environment --definition | steady)" 'values:
  region: eu-west-1
  db:
    password:
      fn::secret:
        ciphertext: ...
  environmentVariables:
    DB: ${db.password}
  list:
    - 1
    - two'
said 'a broken definition is refused with its place' \
  'staging:12:15: unknown property "none"' env set $environment broken "\${none}"

check 'esc: gets one value, redacted, and where it is defined' "$("$esc" env get $environment db.password | steady)" \
  '# Value
```json
"[secret]"
```
# Definition
```yaml
fn::secret:
  ciphertext: ...
```
# Defined at
- staging:5:13'
check 'esc: gets the definition in clear' "$("$esc" env get $environment db.password --show-secrets | grep fn::)" \
  "fn::secret: '$secret'"
said 'gets values redacted' '{
  "db": {
    "password": "[secret]"
  },
  "environmentVariables": {
    "DB": "[secret]"
  },
  "list": [
    1,
    "two"
  ],
  "region": "eu-west-1"
}' env get $environment --value json

said 'opens as JSON' '{
  "db": {
    "password": "pa$$ \"x\" \u003c\u0026\u003e `w` ü"
  },
  "environmentVariables": {
    "DB": "pa$$ \"x\" \u003c\u0026\u003e `w` ü"
  },
  "list": [
    1,
    "two"
  ],
  "region": "eu-west-1"
}' open $environment
said 'opens as YAML' 'db:
   password: pa$$ "x" <&> `w` ü
environmentVariables:
   DB: pa$$ "x" <&> `w` ü
list:
   - "1"
   - two
region: eu-west-1' open $environment --format yaml
check 'esc: opens in detail' "$("$esc" open $environment --format detailed | python3 -c '
import json, sys
one = json.load(sys.stdin)["value"]["db"]["value"]["password"]
print(one["value"], one["secret"], one["trace"]["def"]["environment"], one["trace"]["def"]["begin"]["line"])')" \
  "$secret True staging 5"
said 'opens as dotenv' 'DB="pa$$ \"x\" <&> `w` ü"' open $environment --format dotenv
said 'opens for a shell' 'export DB="pa$$ \"x\" <&> `w` ü"' open $environment --format shell
said 'opens as a string' "$secret" open $environment db.password --format string
said 'opens one element' 'two' env open $environment 'list[1]' --format string
check 'esc: runs a program with the variables' \
  "$(cd "$HOME" && "$esc" run -i $environment -- python3 -c 'import os; print(os.environ["DB"])')" "$secret"
said 'redacts what a program prints' '<[secret]>' run $environment -- python3 -c 'import os; print("<" + os.environ["DB"] + ">")'

said 'tags a revision' '' env version tag $environment@stable @2
said 'moves the tag' '' env version tag $environment@stable @3
check 'esc: lists revision tags' "$("$esc" env version tag ls $environment --utc | grep -oE '(latest|stable) │ +[0-9]+')" \
  $'latest │        5\nstable │        3'
check 'esc: shows one revision' "$("$esc" env version $environment@3 --utc | steady)" 'revision 3 (tag: stable)
Author: sandbox <sandbox>
Date:   TIME'
said 'opens a tagged revision' 'null' open $environment@stable list
check 'esc: compares revisions' "$("$esc" env diff $environment@stable @latest | steady)" '# Value
```diff
--- payready/cli/staging@stable
+++ payready/cli/staging@latest
@@ -2,5 +2,12 @@
   "db": {
     "password": "[secret]"
   },
+  "environmentVariables": {
+    "DB": "[secret]"
+  },
+  "list": [
+    1,
+    "two"
+  ],
   "region": "eu-west-1"
 }
\ No newline at end of file
```
# Definition
```diff
--- payready/cli/staging@stable
+++ payready/cli/staging@latest
@@ -4,3 +4,8 @@
     password:
       fn::secret:
         ciphertext: ...
+  environmentVariables:
+    DB: ${db.password}
+  list:
+    - 1
+    - two
```'
said 'rolls back' 'Environment updated.' env version rollback $environment@3
said 'retracts a revision' '' env version retract $environment@5 --reason mistaken
check 'esc: shows the history' "$("$esc" env version history $environment --utc | steady)" 'revision 6 (tag: latest)
Author: sandbox <sandbox>
Date:   TIME
revision 5 (retracted)
Author: sandbox <sandbox>
Date:   TIME
    Retracted by sandbox <sandbox> at TIME and replaced with revision 6.
    mistaken
revision 4
Author: sandbox <sandbox>
Date:   TIME
revision 3 (tag: stable)
Author: sandbox <sandbox>
Date:   TIME
revision 2
Author: sandbox <sandbox>
Date:   TIME
revision 1
Author: sandbox <sandbox>
Date:   TIME'
said 'removes a revision tag' '' env version tag rm $environment@stable

check 'esc: tags an environment' "$("$esc" env tag $environment team ops --utc | steady)" 'Name: team
Value: ops
Last updated at TIME by sandbox <sandbox>'
check 'esc: changes the tag' "$("$esc" env tag $environment team dev --utc | grep Value)" 'Value: dev'
check 'esc: lists tags, and comes to an end' "$("$esc" env tag ls $environment --utc | grep -E 'Name|Value')" \
  $'Name: team\nValue: dev'
said 'removes the tag' 'Successfully deleted environment tag: team' env tag rm $environment team

said 'makes an environment that imports it' 'Environment created: payready/cli/user' env init payready/cli/user
said 'imports it' '' env set payready/cli/user 'imports[0]' cli/staging
check 'esc: tells who imports it' "$("$esc" env referrer list $environment | grep -c cli/user)" 1
said 'copies an environment' "Environment $environment cloned into payready/cli/copy." env clone $environment cli/copy
said 'lists environments' $'payready/cli/copy\npayready/cli/staging\npayready/cli/user' env ls -o payready -p cli
said 'removes a value' '' env rm $environment db
said 'protects an environment' 'true' env settings set $environment deletion-protected true
check 'esc: a protected environment stays' "$(run env rm $environment --yes | grep -c 'deletion protection is enabled')" 1
said 'protects it no more' 'false' env settings set $environment deletion-protected false
said 'removes an environment' "Environment \"$environment\" has been removed!" env rm $environment --yes
refused 'what is removed is gone' \
  "getting environment definition: [404] Not Found: environment \"$environment\" not found" env get $environment
check 'esc: an environment with errors still shows a value' \
  "$("$esc" env get payready/cli/user 'imports' 2>&1 | grep -c 'panic\|fatal')" 0
refused 'rotation is not offered' '[403] Forbidden: secret rotation is not enabled' env rotate payready/cli/copy
check 'esc: the copy has the value' \
  "$(state esc environments payready/cli/copy text | grep -c 'region: eu-west-1')" 1
said 'logs out' "Logged out of $PULUMI_BACKEND_URL" logout "$PULUMI_BACKEND_URL"
exit "$failed"
