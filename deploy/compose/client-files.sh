#!/usr/bin/env bash
# Gives this machine's client what it needs to reach the cluster of docker-compose.yml: the authority's certificate, and a certificate and key
# of the role user.
#
#   deploy/compose/client-files.sh [FOLDER]      [~/.config/innerloop]
set -euo pipefail
folder=${1:-${XDG_CONFIG_HOME:-$HOME/.config}/innerloop}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/../.."

files=$(mktemp)
trap 'rm -f "$files"' EXIT
docker-compose run --rm -T --no-deps --entrypoint tar certificates -C /certs/user -c ca.pem cert.pem key.pem >"$files"
if [ -e "$folder/ca.pem" ] && ! tar -xOf "$files" ca.pem | cmp -s - "$folder/ca.pem"; then
  printf '%s holds certificates of another authority, which stay as they are: give another folder, or remove them\n' "$folder" >&2
  exit 1
fi
chmod 700 "$folder"
tar -C "$folder" --no-same-owner -xf "$files"
printf 'the certificates are in %s; now: export INNERLOOP_COORDINATOR=localhost:%s INNERLOOP_TLS_DIR=%s\n' "$folder" "${INNERLOOP_PORT:-7400}" "$folder"
