#!/usr/bin/env bash
# Gives this machine's client what it needs to reach the cluster of docker-compose.yml: the authority's certificate, and a certificate and key
# of the role user. Or what a worker on another machine needs.
#
#   deploy/compose/client-files.sh [FOLDER]      [~/.config/innerloop]
#   deploy/compose/client-files.sh FOLDER worker
set -euo pipefail
folder=${1:-$HOME/.config/innerloop}
role=${2:-user}
case $role in user | worker) ;; *) printf "the role is '%s'; user and worker can be\n" "$role" >&2; exit 2 ;; esac
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/../.."

# Version 1 or 2.
compose() { if command -v docker-compose >/dev/null; then docker-compose "$@"; else docker compose "$@"; fi; }
files=$(mktemp)
trap 'rm -f "$files"' EXIT
compose run --rm -T --no-deps --entrypoint tar certificates -C "/certs/$role" -c ca.pem cert.pem key.pem >"$files"
if [ -e "$folder/ca.pem" ] && ! tar -xOf "$files" ca.pem | cmp -s - "$folder/ca.pem"; then
  printf '%s holds certificates of another authority, which stay as they are: give another folder, or remove them\n' "$folder" >&2
  exit 1
fi
chmod 700 "$folder"
tar -C "$folder" --no-same-owner -xf "$files"
if [ "$role" = worker ]; then
  printf 'the certificates are in %s; there: innerloop-worker --coordinator HOST:%s --tls-cert cert.pem --tls-key key.pem --tls-ca ca.pem\n' "$folder" "${INNERLOOP_PORT:-7400}"
  exit
fi
printf 'the certificates are in %s; now: export INNERLOOP_COORDINATOR=localhost:%s INNERLOOP_TLS_DIR=%s\n' "$folder" "${INNERLOOP_PORT:-7400}" "$folder"
