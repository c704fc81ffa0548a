#!/usr/bin/env bash
# Runs a command in the root folder of another Debian release, with this machine's processes, devices and temporary folders.
# Usage: scripts/engine-root.sh ROOT COMMAND [ARGUMENT...]
# A plain chroot is not enough: `docker import` mounts its root anew, which needs a mount point.
set -euo pipefail
exec unshare --mount --propagation private /bin/bash -c '
  set -euo pipefail
  root=$1
  shift
  mount --bind "$root" "$root"
  for folder in proc sys dev tmp var/tmp run root; do mount --rbind "/$folder" "$root/$folder"; done
  cd "$root"
  pivot_root . old-root
  umount --lazy /old-root
  cd /
  # The PATH of this machine can name folders that the root lacks or that hold other programs.
  PATH=/usr/sbin:/usr/bin:/sbin:/bin exec "$@"
' engine-root "$@"
