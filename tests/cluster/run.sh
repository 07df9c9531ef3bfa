#!/usr/bin/env bash
# The cluster of docker-compose.yml, for real: builds the images, starts coordinator, two workers and Prometheus, trains a job that is submitted from
# the host, scales to four workers and down to one, kills containers, restarts the coordinator, compares the parameters with those of a local run,
# asks Prometheus what every panel and alert asks, and leaves nothing running. Needs root, Debian's and Python's package servers, and Docker's
# engine, which it installs and starts where there is none.
#
#   tests/cluster/run.sh [--iterations N]      of the job that is killed and scaled [1500]
#
# Environment: INNERLOOP_DATA as in deploy/omniglot.sh, without which a smaller job on generated tasks is taken; CERTIFICATES, DEBIAN_MIRROR and
# PIP_INDEX_URL as in deploy/Dockerfile (CERTIFICATES defaults to the authorities that this machine trusts).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source_tree=$(cd "$here/../.." && pwd)
iterations=1500
[ "${1:-}" = --iterations ] && iterations=$2

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }
fail() { printf 'cluster: FAILED: %s\n' "$*" >&2; exit 1; }
# Runs a command until it succeeds, for so many seconds at most.
await() {
  local what=$1 seconds=$2
  shift 2
  for _ in $(seq "$seconds"); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 1
  done
  fail "$what did not happen within $seconds s"
}

[ "$(id -u)" -eq 0 ] || fail "installing and starting Docker's engine needs root"
scratch=$(mktemp -d /tmp/innerloop-cluster.XXXXXX)
tree=$scratch/innerloop
engine=
project=innerloop-test-$$
export COMPOSE_PROJECT_NAME=$project
# Ports and images of its own, beside a cluster that is there already.
export INNERLOOP_IMAGES=$project INNERLOOP_PORT=$((20000 + $$ % 5000)) PROMETHEUS_PORT=$((26000 + $$ % 5000))
compose() { (cd "$tree" && docker-compose "$@"); }
made_base=

finish() {
  local rc=$?
  if [ -d "$tree" ]; then
    [ $rc -eq 0 ] || compose logs --no-color --tail 40 >&2 || true
    compose down -v --timeout 10 >/dev/null 2>&1 || true
    docker rmi "$project"-{coordinator,worker,client,prometheus} ${made_base:+"$made_base"} >/dev/null 2>&1 || true
  fi
  if [ -n "$engine" ]; then
    kill "$engine" && wait "$engine" 2>/dev/null || true
  fi
  rm -rf "$scratch"
  exit $rc
}
trap finish EXIT

# ---- Docker's engine and a base image

say "Docker's engine"
needed=()
for pair in dockerd:docker.io docker-compose:docker-compose jq:jq curl:curl git:git; do
  command -v "${pair%%:*}" >/dev/null || needed+=("${pair##*:}")
done
if [ ${#needed[@]} -gt 0 ]; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${needed[@]}" >/dev/null
fi
if ! docker info >/dev/null 2>&1; then
  dockerd >"$scratch/dockerd.log" 2>&1 &
  engine=$!
  await "the start of Docker's engine" 60 docker info
fi
printf 'docker-compose %s\n' "$(docker-compose version --short)"

if ! docker image inspect debian:bookworm-slim >/dev/null 2>&1 && ! docker pull -q debian:bookworm-slim >/dev/null 2>&1; then
  say "No image registry: making debian:bookworm-slim"
  command -v debootstrap >/dev/null || apt-get install -y -qq --no-install-recommends debootstrap >/dev/null
  debootstrap --variant=minbase bookworm "$scratch/root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$scratch/debootstrap.log"
  rm -rf "$scratch"/root/var/cache/apt/archives/*.deb "$scratch"/root/var/lib/apt/lists/*
  tar -C "$scratch/root" -c . | docker import - debian:bookworm-slim >/dev/null
  made_base=debian:bookworm-slim
  rm -rf "$scratch/root"
fi

# ---- Images, from a copy of the tree

say "Building the images"
mkdir -p "$tree"
git -C "$source_tree" ls-files -z | tar -C "$source_tree" --null --ignore-failed-read -T - -c | tar -C "$tree" -x
if [ -z "${CERTIFICATES:-}" ]; then
  # The build reaches package servers as this machine does.
  mkdir "$tree/deploy/host-certificates"
  cp /etc/ssl/certs/ca-certificates.crt "$tree/deploy/host-certificates/host.crt"
  export CERTIFICATES=deploy/host-certificates
fi
started=$SECONDS
compose build certificates coordinator worker prometheus >"$scratch/build.log" 2>&1 || { tail -40 "$scratch/build.log" >&2; fail "the images do not build"; }
printf 'built in %d s\n' $((SECONDS - started))
base=$(docker image inspect -f '{{.Size}}' debian:bookworm-slim)
for image in coordinator:60 client:60 worker:900 prometheus:; do
  size=$(docker image inspect -f '{{.Size}}' "$project-${image%%:*}")
  added=$(((size - base) / 1000000))
  most=${image##*:}
  printf '%-12s adds %4d MB to debian:bookworm-slim%s\n' "${image%%:*}" "$added" "${most:+ (at most $most)}"
  [ -z "$most" ] || [ "$added" -le "$most" ] || fail "the image ${image%%:*} is too large"
done

# The programs of the images, for this machine's client and for the local run that is compared with.
host=$scratch/host
mkdir -p "$host"
for pair in client:innerloop coordinator:innerloop-coordinator worker:innerloop-worker; do
  container=$(docker create "$project-${pair%%:*}")
  docker cp "$container:/opt/innerloop/." "$host" >/dev/null
  docker rm "$container" >/dev/null
done
export LD_LIBRARY_PATH=$host/lib
innerloop() { "$host/bin/innerloop" "$@"; }

# ---- A container that cannot start says why

say "A wrong start"
message=$(docker run --rm "$project-coordinator" --state-dir /state --listen 0.0.0.0:7400 2>&1 || true)
printf '%s\n' "$message"
grep -q -- '--tls-cert' <<<"$message" || fail "a coordinator that listens to everybody without TLS does not say what it lacks"

# ---- The cluster

say "Starting the cluster"
started=$SECONDS
compose up -d --scale worker=2 >"$scratch/up.log" 2>&1 || { cat "$scratch/up.log" >&2; fail "docker-compose up"; }
"$tree/deploy/compose/client-files.sh" "$scratch/certificates"
export INNERLOOP_COORDINATOR=localhost:$INNERLOOP_PORT INNERLOOP_TLS_DIR=$scratch/certificates
workers() { [ "$(innerloop workers --format json | jq '[.[] | select(.state == "CONNECTED")] | length')" -eq "$1" ]; }
await "two workers" 60 workers 2
printf 'coordinator and two workers were there after %d s\n' $((SECONDS - started))
if env -u INNERLOOP_TLS_DIR "$host/bin/innerloop" list 2>"$scratch/stranger"; then
  fail "a client without a certificate was let in"
fi
cat "$scratch/stranger"

data=()
job=$source_tree/client/jobs/omniglot_maml_quick.textproto
rc=0
omniglot=$("$source_tree/deploy/omniglot.sh" "$host/bin") || rc=$?
[ $rc -eq 0 ] || [ $rc -eq 3 ] || fail "the data set Omniglot could not be made"
if [ $rc -eq 0 ]; then
  innerloop dataset add "omniglot=$omniglot"
  data=(--data "omniglot=$omniglot")
else
  printf 'SKIPPED Omniglot: its images are not here; the job on sinusoids is taken\n'
  job=$source_tree/client/jobs/sinusoid_maml.textproto
  iterations=$((iterations * 400))
fi

say "A job of $iterations iterations, with workers that come, go and die"
options=(--set "iterations=$iterations" --set evaluation.every=100 --set evaluation.periodic.episodes=100)
id=$(innerloop submit "$job" "${options[@]}" --format json | jq -r .job)
at_least() { [ "$(innerloop show "$id" --format json | jq .iteration)" -ge "$1" ]; }
container() { compose ps -q "$1" | sed -n 1p; }
# As a crash does it: the engine then starts the container again.
crash() { kill -9 "$(docker inspect -f '{{.State.Pid}}' "$(container "$1")")"; }
await "the first iterations" 120 at_least 10
innerloop watch "$id" >"$scratch/watch.log" 2>&1 &
watching=$!
compose up -d --no-recreate --scale worker=4 >>"$scratch/up.log" 2>&1
await "four workers" 60 workers 4
printf 'four workers at iteration %s\n' "$(innerloop show "$id" --format json | jq .iteration)"

say "Prometheus"
prometheus=http://127.0.0.1:$PROMETHEUS_PORT
targets() {
  curl -fsS "$prometheus/api/v1/targets" | jq -e --argjson workers "$1" \
    '[.data.activeTargets[] | select(.health == "up" and .labels.job == "innerloop-worker")] | length == $workers' >/dev/null
}
await "Prometheus finding four workers by DNS" 90 targets 4
curl -fsS "$prometheus/api/v1/targets" | jq -r '.data.activeTargets[] | "\(.labels.job) \(.labels.instance) \(.health)"'
"$here/queries.sh" "$prometheus"

say "Crashes"
crash worker
await "four workers again" 90 workers 4
crash coordinator
await "the coordinator's return" 90 innerloop list
compose up -d --no-recreate --scale worker=1 >>"$scratch/up.log" 2>&1
await "one worker" 60 workers 1
compose up -d --no-recreate --scale worker=2 >>"$scratch/up.log" 2>&1
compose restart -t 60 coordinator >>"$scratch/up.log" 2>&1
await "the coordinator's second return" 90 innerloop list
at_last=$(innerloop show "$id" --format json | jq .iteration)
printf 'iteration %s after the last restart\n' "$at_last"
[ "$at_last" -lt "$iterations" ] || fail "the job did not outlast the crashes; give it more --iterations"
wait $watching || { tail -5 "$scratch/watch.log" >&2; fail "the watch ended badly"; }
tail -3 "$scratch/watch.log"
cluster=$(innerloop show "$id" --format json | jq -r .last_checkpoint.parameters_sha256)

say "The same job on this machine alone"
local_run=$(env -u INNERLOOP_COORDINATOR -u INNERLOOP_TLS_DIR "$host/bin/innerloop" train "$job" "${options[@]}" "${data[@]}" --workers 2 \
  --state-dir "$scratch/local" --format json | jq -r .parameters_sha256)
printf 'cluster %s\nlocal   %s\n' "$cluster" "$local_run"
[[ $cluster =~ ^[0-9a-f]{64}$ ]] || fail "the cluster's job has no SHA-256 of its parameters"
[ "$cluster" = "$local_run" ] || fail "the parameters differ"

say "Stopping"
compose down -v --timeout 60 >>"$scratch/up.log" 2>&1
[ -z "$(docker ps -aq --filter "label=com.docker.compose.project=$project")" ] || fail "containers are left"
printf 'the cluster passed\n'
