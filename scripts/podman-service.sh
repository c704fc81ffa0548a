#!/usr/bin/env bash
# Serves the Docker-compatible API of a Podman that is in a root folder of another Debian release.
# Usage: scripts/podman-service.sh ROOT FOLDER SOCKET REGISTRY_ADDRESS
# Registries at REGISTRY_ADDRESS, whatever their port, are asked over HTTP.
# FOLDER gets its data, and its process id as docker.pid. It runs as the first process of a process namespace, so that its
# containers end with it, and with a /run of its own: its start is that of a machine.
set -euo pipefail
here=$(dirname "$0")
settings=$2/podman
mkdir -p "$settings"
cat >"$settings/containers.conf" <<END
[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
END
cat >"$settings/registries.conf" <<END
unqualified-search-registries = ["docker.io"]
short-name-mode = "permissive"
[[registry]]
location = "$4"
insecure = true
END
exec unshare --mount --propagation private --pid --fork --kill-child /bin/bash -c '
  set -euo pipefail
  here=$1 root=$2 folder=$3 socket=$4
  # /proc still shows the process ids of this machine.
  read -r pid _ </proc/self/stat
  echo "$pid" >"$folder/docker.pid"
  mount -t proc proc /proc
  mount -t tmpfs tmpfs /run
  # crun refuses hosts with both cgroup versions.
  if mountpoint --quiet /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
  export CONTAINERS_CONF_OVERRIDE=$folder/podman/containers.conf CONTAINERS_REGISTRIES_CONF=$folder/podman/registries.conf
  export PODMAN_IGNORE_CGROUPSV1_WARNING=1
  exec "$here/engine-root.sh" "$root" podman --root "$folder/data" --network-config-dir "$folder/podman/networks" \
    system service --time=0 "unix://$socket"
' podman-service "$here" "$@"
