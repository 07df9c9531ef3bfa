#!/bin/sh
# Makes the cluster's private authority in CERTS/authority, and what each service needs of it in CERTS/{coordinator,worker,user}; CERTS is /certs.
# Run again it makes what is missing or was left half-made, and issues anew what is older than 300 of its 365 days, is another authority's, or is
# for other hosts (restart the cluster then).
#
#   innerloop-certificates HOST,HOST...      names and addresses under which the coordinator is reached
set -eu
certs=${CERTS:-/certs}
authority=$certs/authority
coordinator_hosts=$1

whole() {
  folder=$1
  shift
  for file; do [ -s "$folder/$file" ] || return 1; done
}

# A key that somebody keeps elsewhere is not missing: then there are certificates.
if ! whole "$authority" ca.pem ca-key.pem && ! { whole "$authority" ca.pem && whole "$certs/coordinator" cert.pem; }; then
  rm -f "$authority"/*.pem
  innerloop certs init "$authority" --name "Innerloop cluster"
fi

# What is there holds: all of it, of this authority, for these hosts, and not too old.
good() {
  whole "$1" ca.pem cert.pem key.pem && cmp -s "$1/ca.pem" "$authority/ca.pem" &&
    [ "$(cat "$1/hosts" 2>/dev/null)" = "$2" ] && [ -z "$(find "$1/cert.pem" -mtime +300)" ]
}

# issue ROLE HOSTS --name NAME [--host HOST]...
issue() {
  role=$1
  folder=$certs/$1
  hosts=$2
  shift 2
  if good "$folder" "$hosts"; then return; fi
  rm -rf "$folder/new"
  innerloop certs issue "$authority" --role "$role" --out "$folder/new" "$@"
  # The certificate last: without it the rest counts as half-made.
  rm -f "$folder/cert.pem"
  printf '%s' "$hosts" >"$folder/hosts"
  mv "$folder/new/key.pem" "$folder/new/ca.pem" "$folder"
  mv "$folder/new/cert.pem" "$folder"
  rmdir "$folder/new"
}
options=
for host in $(printf '%s' "$coordinator_hosts" | tr ',' ' '); do options="$options --host $host"; done
# shellcheck disable=SC2086
issue coordinator "$coordinator_hosts" --name coordinator $options
issue worker "" --name worker
issue user "" --name operator
