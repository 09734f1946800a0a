#!/bin/sh
# Makes this machine a node of the Ray cluster at $RAY_ADDRESS_OF_HEAD that offers no CPUs, then becomes the command
# that it is given: a driver must stand on a node, and its own CPUs are for reading and writing.
#
#   RAY_ADDRESS_OF_HEAD=ray-head:6379 join-ray.sh gmtscreen screen ... --ray-address ray-head:6379
set -eu
: "${RAY_ADDRESS_OF_HEAD:?name the head of the cluster, host:port}"
if [ "${RAY_AUTH_MODE:-}" != token ]; then
  echo "RAY_AUTH_MODE is not token: whoever reaches such a cluster can run anything on it." >&2
  exit 2
fi
tries=60
until ray start --address="$RAY_ADDRESS_OF_HEAD" --num-cpus=0 --num-gpus=0 --disable-usage-stats >/dev/null; do
  tries=$((tries - 1))
  if [ "$tries" -le 0 ]; then
    echo "No Ray head answers at $RAY_ADDRESS_OF_HEAD, or it has another token." >&2
    exit 1
  fi
  sleep 2
done
exec "$@"
