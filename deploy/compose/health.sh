#!/bin/bash
# Whether the page on this container's metrics port holds a line; for health checks, where there is no curl.
#
#   innerloop-health PORT LINE      e.g. innerloop-health 7402 "innerloop_worker_connected 1"
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
grep -q "^$2" <&3
