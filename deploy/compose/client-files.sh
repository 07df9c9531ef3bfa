#!/usr/bin/env bash
# Gives this machine's client what it needs to reach the cluster of docker-compose.yml: the authority's certificate, and a certificate and key
# of the role user.
#
#   deploy/compose/client-files.sh [FOLDER]      [~/.config/innerloop]
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-${XDG_CONFIG_HOME:-$HOME/.config}/innerloop}
mkdir -p "$folder"
chmod 700 "$folder"
docker-compose run --rm -T --no-deps --entrypoint tar certificates -C /certs/user -c . | tar -C "$folder" --no-same-owner -x
printf 'the certificates are in %s; now: export INNERLOOP_COORDINATOR=localhost:%s INNERLOOP_TLS_DIR=%s\n' "$folder" "${INNERLOOP_PORT:-7400}" "$folder"
