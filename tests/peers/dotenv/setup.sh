#!/usr/bin/env bash
# Installs the pinned readers of dotenv files into the folder $1; needs python3, npm and go.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cp "$here"/{requirements.txt,package.json,package-lock.json,read.py,read.js,main.go,go.mod,go.sum} "$1"
cd "$1"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
npm ci --silent --no-audit --no-fund
go build -o read-go .
