#!/usr/bin/env bash
# Writes the dashboards from their sources.
#
#   deploy/grafana/dashboards.sh [FOLDER]      default: deploy/grafana/dashboards
set -euo pipefail
cd "$(dirname "$0")"
folder=${1:-dashboards}
mkdir -p "$folder"
for source in sources/[!l]*.jq; do
  name=$(basename "$source" .jq)
  jq -n -L sources "include \"layout\"; include \"$name\"; dashboard" >"$folder/$name.json"
done
