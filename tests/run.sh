#!/usr/bin/env bash
# Installs what is needed, builds everything, runs all tests.
#
#   tests/run.sh [CTEST_ARGUMENTS...]      e.g. tests/run.sh -R Reptile
#
# Tests that need Omniglot are skipped, and say so, unless INNERLOOP_DATA names a folder with omniglot/images_{background,evaluation}.zip.
set -euo pipefail
cd "$(dirname "$0")/.."
# Clones in different folders share what ccache has compiled.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
deploy/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release
exec ctest --preset release --parallel 2 --no-tests=error "$@"
