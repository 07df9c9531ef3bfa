#!/usr/bin/env bash
# From a fresh clone to meta-trained models: installs what is needed, builds, trains, and shows the results beside the published ones.
#
#   deploy/quickstart.sh            about 20 minutes on two cores the first time
#
# Environment: INNERLOOP_CACHE, INNERLOOP_DATA (a folder with omniglot/*.zip), CMAKE_PREFIX_PATH (a LibTorch of your own).
# Runs are kept in quickstart-runs/; a second call continues them or, when they are done, shows their results again.
set -euo pipefail
cd "$(dirname "$0")/.."
# Clones in different folders share what ccache has compiled.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
say() { printf '\n== %s\n' "$*"; }

say "1/4 Setting up"
deploy/setup.sh

say "2/4 Building (release)"
cmake --preset release >build-configure.log 2>&1 || { cat build-configure.log >&2; exit 1; }
rm -f build-configure.log
cmake --build --preset release --target innerloop innerloop-coordinator innerloop-worker
bin=build/release/bin

runs=quickstart-runs
mkdir -p "$runs"
say "3/4 Sinusoid regression by MAML: a coordinator and two workers, 70,000 iterations (about a minute)"
"$bin/innerloop" train client/jobs/sinusoid_maml.textproto --workers 2 --state-dir "$runs/sinusoid" >"$runs/sinusoid.txt"

say "4/4 Omniglot 5-way 1-shot by MAML: 1,500 iterations (some minutes)"
omniglot=skipped
rc=0
data=$(deploy/omniglot.sh "$bin") || rc=$?
# 3: the images are not to be had.
[ $rc -eq 0 ] || [ $rc -eq 3 ] || exit $rc
if [ $rc -eq 0 ]; then
  "$bin/innerloop" train client/jobs/omniglot_maml_quick.textproto --workers 2 --state-dir "$runs/omniglot" \
    --data "omniglot=$data" >"$runs/omniglot.txt"
  omniglot=done
fi

say "Results"
cat "$runs/sinusoid.txt"
if [ $omniglot = done ]; then
  printf '\n'
  cat "$runs/omniglot.txt"
else
  printf '\nOmniglot was SKIPPED: its images are not here and could not be downloaded. Put images_background.zip and\n'
  printf 'images_evaluation.zip (https://github.com/brendenlake/omniglot, folder python) into D/omniglot, then run\n'
  printf '  INNERLOOP_DATA=D deploy/quickstart.sh\n'
fi
