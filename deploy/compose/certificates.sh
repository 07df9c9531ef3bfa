#!/bin/sh
# Makes the cluster's private authority in /certs/authority, once, and what each service needs of it in /certs/{coordinator,worker,user}; run
# again it changes nothing, except that certificates older than 300 of their 365 days are issued anew (restart the cluster then).
#
#   innerloop-certificates HOST,HOST...      names and addresses under which the coordinator is reached
set -eu
hosts=
for host in $(printf '%s' "$1" | tr ',' ' '); do hosts="$hosts --host $host"; done

[ -e /certs/authority/ca.pem ] || innerloop certs init /certs/authority --name "Innerloop cluster"

issue() {
  role=$1
  folder=/certs/$1
  shift
  if [ -n "$(find "$folder" -name cert.pem -mtime +300)" ]; then
    rm -f "$folder"/*.pem
  fi
  if ! [ -e "$folder/cert.pem" ]; then
    innerloop certs issue /certs/authority --role "$role" --out "$folder" "$@"
  fi
}
# shellcheck disable=SC2086
issue coordinator --name coordinator $hosts
issue worker --name worker
issue user --name operator
