#!/usr/bin/env bash
# clang-tidy over the sources that need no LibTorch, warnings as errors. Needs the configured "analysis" preset.
#
#   tests/tidy.sh [FILES...]
set -euo pipefail
cd "$(dirname "$0")/.."
files=("$@")
if [ ${#files[@]} -eq 0 ]; then
  mapfile -t files < <(git ls-files 'core/*.cc' 'server/*.cc' 'client/*.cc' | grep -v '^core/meta/')
fi
printf '%s\n' "${files[@]}" | xargs -P 2 -n 4 clang-tidy-14 -p build/analysis --quiet 2> >(grep -v 'warnings generated' >&2 || true)
