#!/usr/bin/env bash
# Installs missing system packages and the npm packages, and builds. Usage: scripts/set-up.sh [test|engines|clients|demo]
# `engines` and `clients` are `test`, and what only `npm run test:engines` or `npm run test:clients` needs.
# Needs Node.js. System packages are installed only by root on Debian or Ubuntu; elsewhere the script names the missing ones.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive
source scripts/packages.sh

say() { echo "set-up: $*"; }
fail() { echo "set-up: $*" >&2; exit 1; }

# Runs a command silently; shows the end of its output and stops if it fails.
quietly() {
  "$@" >"$work/output" 2>&1 || { tail -n 25 "$work/output" >&2; fail "failed: $*"; }
}

mode=${1:-test}
case $mode in
  demo)
    packages=("${DEMO_PACKAGES[@]}")
    if can_install; then packages+=("${HOST_PACKAGES[@]}"); fi
    ;;
  test | engines) packages=("${DEMO_PACKAGES[@]}" "${TEST_PACKAGES[@]}") ;;
  clients) packages=("${DEMO_PACKAGES[@]}" "${TEST_PACKAGES[@]}" "${CLIENT_PACKAGES[@]}") ;;
  *) fail "usage: set-up.sh [test|engines|clients|demo]" ;;
esac
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' \
  2>/dev/null || fail "Node.js 20.19 or newer is needed"

work=$(mktemp -d)
trap 'rm -rf "$work"; forbid_no_more' EXIT

install_packages "${packages[@]}"
install_compose
if [ "$mode" != demo ]; then
  install_s3_server
  install_engine_root 28 "Docker 28" sbin/dockerd "$DOCKER_ROOT_PACKAGES"
fi
if [ "$mode" = engines ]; then install_engine_root podman Podman bin/podman "$PODMAN_ROOT_PACKAGES"; fi

if [ node_modules/.package-lock.json -nt package-lock.json ]; then
  say "npm packages: all there"
else
  say "npm packages: installing"
  # npm ci refuses a lock file that lacks the optional packages of other platforms.
  npm ci --no-audit --no-fund >/dev/null 2>&1 || quietly npm install --no-save --no-audit --no-fund
fi

newer=$(find bin config lib scripts/build.js tsconfig.json package.json package-lock.json -newer dist/bin/docker-server.js -print -quit 2>/dev/null || true)
if [ -e dist/bin/docker-server.js ] && [ -z "$newer" ]; then
  say "build: up to date"
else
  say "build: bundling"
  quietly npm run --silent build
fi
