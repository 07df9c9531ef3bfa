#!/usr/bin/env bash
# clang-tidy over the sources that need no LibTorch, warnings as errors. Needs the configured "analysis" preset.
#
#   tests/tidy.sh [FILES...]
set -euo pipefail
cd "$(dirname "$0")/.."
# The generated headers, which every other file includes.
cmake --build build/analysis --target innerloop_proto_grpc >/dev/null
files=$(printf '%s\n' "$@")
if [ $# -eq 0 ]; then
  files=$(git ls-files 'core/*.cc' 'server/*.cc' 'client/*.cc' 'worker/*.cc' | grep -vE '^(core/meta/|worker/main\.cc$)')
fi
# clang-tidy counts the warnings that it suppressed in others' headers on standard error; what it found goes to standard output.
# One file at a time, so that no file's errors stop another's analysis; xargs fails when any of them failed.
xargs -P "$(nproc)" -n 1 sh -c 'exec clang-tidy-14 -p build/analysis --quiet "$1" 2>/dev/null' tidy <<<"$files" ||
  { echo "clang-tidy-14 failed; see above, and for crashes run it on the file by hand." >&2; exit 1; }
echo "clang-tidy: $(wc -l <<<"$files") files, no findings"
