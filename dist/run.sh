#!/usr/bin/env bash
# Runs the binary that dist/manifest.json of this very commit pins, as the action's one step.
#
# The archive comes from the runner's tool cache, else from the release (or `download-url`). Whichever it
# was, it is copied to a private folder first, and **its sha256 is checked there before anything is
# unpacked**: nobody can swap it between check and use. There is no `latest` and no fallback.
# **Helpers (curl, tar, …) get an empty environment**, so no token reaches them. bash 3.2 is enough (macOS).
set -euo pipefail -o noclobber
IFS=$' \t\n'
umask 077
unset BASH_ENV ENV CDPATH GLOBIGNORE

readonly tool=sophia-secrets-sync
readonly releases="https://github.com/payready/$tool/releases/download"

# A text of unknown origin, fit to stand in a workflow command, and giving none: the percent sign first.
escape() {
  local text=${1//'%'/%25}
  text=${text//'##['/'## ['}
  text=${text//$'\r'/%0D}
  printf '%s' "${text//$'\n'/%0A}"
}
warn() { printf '::warning title=%s::%s\n' "$tool" "$(escape "$1")"; }
bail() {
  printf '::error title=%s::%s\n' "$tool" "$(escape "$1")" >&2
  exit 1
}

# Runs a helper with nothing in its environment but what finding programs, proxies and certificates needs.
clean() {
  local name keep=("PATH=$PATH" "LC_ALL=C")
  for name in HOME TMPDIR SYSTEMROOT http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY \
    SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE; do
    if [[ -n ${!name:-} ]]; then keep+=("$name=${!name}"); fi
  done
  env -i "${keep[@]}" "$@"
}

has() { type -P "$1" >/dev/null; }

# Whether the file $1 has the sha256 $2; when not, says so in `mismatch`.
verify() {
  local found hasher=(sha256sum)
  has sha256sum || hasher=(shasum -a 256)
  has "${hasher[0]}" || bail 'neither sha256sum nor shasum is installed: the binary cannot be verified, so it is not run'
  found=$(clean "${hasher[@]}" <"$1")
  mismatch="its sha256 is ${found%% *}, expected $2"
  [[ ${found%% *} == "$2" ]]
}

# Sets the Rust target whose archive runs on this machine.
find_target() {
  local machine && machine=$(clean uname -sm)
  case $machine in
    'Linux x86_64') target=x86_64-unknown-linux-musl ;;
    'Linux aarch64' | 'Linux arm64') target=aarch64-unknown-linux-musl ;;
    'Darwin x86_64') target=x86_64-apple-darwin ;;
    'Darwin arm64') target=aarch64-apple-darwin ;;
    MINGW*' x86_64' | MSYS*' x86_64' | CYGWIN*' x86_64') target=x86_64-pc-windows-msvc ;;
    *) bail "no release of $tool runs on $machine: build it with \`cargo install --path .\` and set SOPHIA_SECRETS_SYNC_BIN" ;;
  esac
}

# Sets version, asset, size and sha256 for the target; the manifest is ours, one asset a line.
read_manifest() {
  local manifest && manifest=$(<"$here/manifest.json")
  local version_line='"version": "([0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?)"'
  local asset_line="\"$target\": \\{ \"name\": \"([0-9A-Za-z._-]+)\", \"size\": ([0-9]+), \"sha256\": \"([0-9a-f]{64})\" \\}"
  [[ $manifest =~ $version_line ]] || bail 'dist/manifest.json names no version'
  version=${BASH_REMATCH[1]}
  [[ $manifest =~ $asset_line ]] || bail "dist/manifest.json of this commit pins no archive for $target: use a released tag such as \`@v1\`, or set SOPHIA_SECRETS_SYNC_BIN"
  asset=${BASH_REMATCH[1]} size=${BASH_REMATCH[2]} sha256=${BASH_REMATCH[3]}
}

# Fetches the asset into $1. Bounded: four tries, 15 s to connect, 120 s each, 180 s in all; once more when it broke off
# in the middle; and not one KiB too many (`ulimit`, because an older curl trusts the length that the server names).
download() {
  local base=${SOPHIA_INPUT_DOWNLOAD_URL:-$releases/v$version} schemes status code
  case $base in
    *[[:cntrl:]@]*) bail 'download-url holds a line break or credentials; a mirror must answer without' ;;
    https://*) schemes='=https' ;;
    http://127.0.0.1[:/]* | http://localhost[:/]*) schemes='=http' ;;
    file:///*) schemes='=file' ;;
    *) bail "download-url $base is neither https nor a local folder (file:///…)" ;;
  esac
  has curl || bail 'curl is not installed: install it, or set SOPHIA_SECRETS_SYNC_BIN'
  local url="${base%/}/$asset"
  printf 'fetching %s\n' "$(escape "$url")"
  for _ in 1 2; do
    status=$(
      ulimit -f $((size / 1024 + 1)) 2>/dev/null || :
      clean curl -q --globoff --fail --location --silent --show-error --proto "$schemes" --proto-redir "$schemes" \
        --tlsv1.2 --connect-timeout 15 --max-time 120 --retry 3 --retry-connrefused --retry-max-time 180 \
        --max-filesize "$size" --output "$1" --write-out '%{http_code}' "$url" 2>|"$work/curl-says"
    ) && return
    code=$?
    [[ $code =~ ^(18|35|52|56|92)$ ]] || break # a connection that broke off, which curl itself does not try again
  done
  [[ $status != 404 ]] || bail "there is no $asset at $base (404): check download-url, and that release $version is published"
  bail "$url could not be fetched (HTTP status ${status:-none}, curl's exit code $code): $(<"$work/curl-says")"
}

# Leaves the verified archive at $1: from the cache when it is good there, else from the release.
obtain() {
  local folder=''
  if [[ -n ${RUNNER_TOOL_CACHE:-} ]]; then folder="$RUNNER_TOOL_CACHE/$tool/$version/${sha256:0:16}"; fi
  if [[ -n $folder && -f $folder/$asset ]] && clean cp "$folder/$asset" "$1"; then
    if verify "$1" "$sha256"; then return; fi
    warn "the cached $folder/$asset was altered ($mismatch): fetching it anew"
    clean rm -f "$1" "$folder/$asset" || true
  fi
  download "$1"
  verify "$1" "$sha256" || bail "$asset is not the archive that dist/manifest.json pins: $mismatch"
  if [[ -n $folder ]]; then
    { clean mkdir -p "$folder" && clean cp "$1" "$folder/.$$" && clean mv -f "$folder/.$$" "$folder/$asset"; } 2>"$work/cache-says" ||
      printf 'note: the archive was not kept in the tool cache (%s)\n' "$(escape "$(<"$work/cache-says")")"
  fi
}

here=${BASH_SOURCE[0]%/*}
temporary=${RUNNER_TEMP:-${TMPDIR:-/tmp}}
work=$(clean mktemp -d "$temporary/$tool.XXXXXX") || bail "no private folder can be made in $temporary"
trap 'clean rm -rf "$work"' EXIT

if [[ -n ${SOPHIA_SECRETS_SYNC_BIN:-} ]]; then
  [[ -f $SOPHIA_SECRETS_SYNC_BIN ]] || bail "SOPHIA_SECRETS_SYNC_BIN names no file: $SOPHIA_SECRETS_SYNC_BIN"
  binary="$work/$tool"
  clean cp "$SOPHIA_SECRETS_SYNC_BIN" "$binary"
  case ${SOPHIA_SECRETS_SYNC_SHA256:-} in
    unverified) warn "$SOPHIA_SECRETS_SYNC_BIN is run unverified, as SOPHIA_SECRETS_SYNC_SHA256 asks" ;;
    '') bail 'SOPHIA_SECRETS_SYNC_BIN needs SOPHIA_SECRETS_SYNC_SHA256: its sha256, or the word unverified' ;;
    *) verify "$binary" "$SOPHIA_SECRETS_SYNC_SHA256" || bail "$SOPHIA_SECRETS_SYNC_BIN is not the expected binary: $mismatch" ;;
  esac
else
  find_target
  read_manifest
  binary="$work/$tool"
  if [[ $target == *windows* ]]; then binary+=.exe; fi
  obtain "$work/$asset"
  # One member, by name, to a stream: whatever else an archive holds, nothing of it is written anywhere.
  clean tar -xzOf - "${binary##*/}" <"$work/$asset" >"$binary" && [[ -s $binary ]] ||
    bail "$asset is broken or holds no ${binary##*/}"
  clean rm -f "$work/$asset"
fi

clean chmod 700 "$binary"
set +e && shopt -s execfail
# One stream keeps masks before everything else; exec lets the runner's signals reach the binary.
exec "$binary" action 2>&1
bail "$binary does not start: $temporary may be mounted noexec, or the machine be of another kind than it says"
