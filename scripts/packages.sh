# Part of set-up.sh: the system packages and how they are installed.

DEMO_PACKAGES=(docker.io iptables busybox-static curl)
# Needed for simulated hosts. Where they can't be installed, the demo skips the part with three nodes and says so.
HOST_PACKAGES=(iproute2 util-linux mount)
# The languages and libraries of the documented examples.
EXAMPLE_PACKAGES=(python3-requests python3-aiohttp python3-websockets ruby golang-go)
TEST_PACKAGES=("${HOST_PACKAGES[@]}" mmdebstrap docker-registry apache2-utils pebble certbot openssl redis-server haproxy nginx-light openssh-client faketime
  prometheus chromium-headless-shell fonts-dejavu-core "${EXAMPLE_PACKAGES[@]}")
# What docker-py and its test suite need.
CLIENT_PACKAGES=(python3-requests python3-urllib3 python3-paramiko python3-websocket python3-pytest python3-pytest-timeout)

# Services of these packages. The tests start them themselves, with their own configuration.
UNWANTED_SERVICES=(docker-registry.service redis-server.service nginx.service certbot.timer prometheus.service)

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get dpkg-query >/dev/null; }

# The engine and its CLI may come from other packages than Debian's, for instance from Docker's own.
is_there() {
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ] && return
  [ "$1" = docker.io ] && command -v docker >/dev/null && { command -v dockerd >/dev/null || docker version >/dev/null 2>&1; }
}

install_packages() {
  local package missing=()
  for package; do is_there "$package" || missing+=("$package"); done
  if [ ${#missing[@]} = 0 ]; then
    say "system packages: all there"
  elif can_install; then
    say "system packages: installing ${missing[*]}"
    update_index
    forbid_services
    quietly apt_get install --yes --no-install-recommends "${missing[@]}"
    forbid_no_more
    disable_services
  else
    fail "missing: ${missing[*]} (Debian package names). Only root on Debian or Ubuntu can install them here."
  fi
}

install_compose() {
  if docker compose version >/dev/null 2>&1; then
    say "docker compose: there"
    return
  fi
  can_install || fail "missing: docker compose v2. Only root on Debian or Ubuntu can install it here."
  say "docker compose: installing"
  update_index
  local package
  for package in docker-compose docker-compose-v2; do
    case $(apt-cache policy "$package" | sed -n 's/^ *Candidate: *//p') in
      '' | '(none)' | 1.*) ;;
      *) quietly apt_get install --yes --no-install-recommends "$package"; return ;;
    esac
  done
  if compose_from_trixie >"$work/output" 2>&1; then return; fi
  tail -n 5 "$work/output" >&2
  say "WARNING: docker compose v2 cannot be had here. Whatever needs it (managed containers) will not work."
}

# Debian 12 has only Compose v1, but the package of Debian 13 runs on it.
compose_from_trixie() { install_from_trixie docker-compose && docker compose version; }

# The S3 server of the tests; Debian 12 has none. python3-moto doesn't depend on python3-flask-cors, but its server needs it.
install_s3_server() {
  if [ -x /usr/bin/moto_server ]; then
    say "S3 server: there"
    return
  fi
  can_install || fail "missing: /usr/bin/moto_server (python3-moto of Debian 13). Only root on Debian or Ubuntu can install it here."
  say "S3 server: installing"
  update_index
  install_from_trixie python3-moto python3-flask-cors >"$work/output" 2>&1 && return
  tail -n 5 "$work/output" >&2
  fail "the S3 server of the tests cannot be had here"
}

# The engines of later Debian releases that the tests start (scripts/engine-kind.ts), each in a root folder of its own.
ENGINE_ROOTS=/var/lib/docker-server-engines
DOCKER_ROOT_PACKAGES=docker.io,docker-cli,docker-compose,docker-buildx,containerd,runc,iptables,tini,iproute2,procps,ca-certificates
PODMAN_ROOT_PACKAGES=podman,crun,netavark,aardvark-dns,nftables,passt,iproute2,procps,ca-certificates

# Makes the root folder of an engine. Usage: install_engine_root FOLDER ENGINE PROGRAM PACKAGES
install_engine_root() {
  local root=$ENGINE_ROOTS/$1 engine=$2 program=$3 packages=$4 release mirror key suite
  if [ -x "$root/usr/$program" ]; then
    say "$engine: there"
    return
  fi
  can_install || fail "missing: $root. Only root on Debian or Ubuntu can install it."
  say "$engine: installing"
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  read -r mirror key < <(debian_mirror "$release") || fail "no package source of Debian here"
  mkdir -p "$ENGINE_ROOTS"
  # Debian 13 has Docker 26.1 and Podman 5.4, for when the newest packages don't fit together.
  for suite in sid trixie; do
    echo "deb${key:+ [signed-by=$key]} $mirror $suite main" >"$work/engine.list"
    rm -rf "$root.new"
    # A mirror's copy of sid can be older than its stated validity.
    if mmdebstrap --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Sandbox::User "root"' \
      --include="$packages" "$suite" "$root.new" "$work/engine.list" >"$work/output" 2>&1; then
      mkdir "$root.new/old-root"
      rm -rf "$root"
      mv "$root.new" "$root"
      return
    fi
    tail -n 5 "$work/output" >&2
  done
  fail "$engine of the tests cannot be had here"
}

# Installs a package of Debian 13, and its dependencies and the other named packages from this machine's release. The package is
# fetched from this machine's mirror with a separate index, so that apt installs nothing else from Debian 13.
install_from_trixie() {
  local package=$1 others=("${@:2}") release mirror key options
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  read -r mirror key < <(debian_mirror "$release") || { echo "no package source of Debian here"; return 1; }
  echo "deb${key:+ [signed-by=$key]} $mirror trixie main" >"$work/trixie.list"
  mkdir -p "$work/lists/partial" "$work/archives"
  options=(-o "Dir::State::Lists=$work/lists" -o "Dir::Etc::SourceList=$work/trixie.list" -o Dir::Etc::SourceParts=-
    -o APT::Sandbox::User=root)
  apt_get "${options[@]}" update &&
    (cd "$work/archives" && apt_get "${options[@]}" download "$package") &&
    apt_get install --yes --no-install-recommends "$work/archives/$package"_*.deb "${others[@]}"
}

# Prints the mirror that this machine uses for a Debian release, and its key file if one is configured.
debian_mirror() {
  local files=()
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] && files+=("$file")
  done
  awk -v release="$1" '
    function entry() {
      if (types ~ / deb / && suites ~ (" " release " ") && enabled !~ /no/) { print uri, key; found = 1; exit }
      types = suites = uri = key = enabled = ""
    }
    /^#/ { next }
    FNR == 1 || /^[ \t]*$/ { entry() }
    /^deb / {
      if (match($0, /\[[^]]*\]/)) {
        options = substr($0, RSTART + 1, RLENGTH - 2)
        if (match(options, /signed-by=[^ ]+/)) key = substr(options, RSTART + 10, RLENGTH - 10)
        sub(/\[[^]]*\]/, "")
      }
      types = " deb "; uri = $2; suites = " " $3 " "; entry()
    }
    tolower($1) == "types:" { $1 = ""; types = $0 " " }
    tolower($1) == "uris:" { uri = $2 }
    tolower($1) == "suites:" { $1 = ""; suites = $0 " " }
    tolower($1) == "enabled:" { enabled = tolower($2) }
    tolower($1) == "signed-by:" { key = $2 }
    END { if (!found) entry(); exit !found }
  ' "${files[@]}"
}

index_is_new=
update_index() {
  [ -n "$index_is_new" ] || quietly apt_get update
  index_is_new=yes
}

apt_get() { apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }

# Keeps packages from starting their services during installation (Debian's policy-rc.d; exit code 101: forbidden).
POLICY=/usr/sbin/policy-rc.d
forbid_services() {
  [ -e "$POLICY" ] && return
  printf '#!/bin/sh\n# set-up.sh of docker-server\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"
}
forbid_no_more() {
  if grep -qs 'set-up.sh of docker-server' "$POLICY"; then rm -f "$POLICY"; fi
}

# Keeps the services from starting at boot.
disable_services() {
  local service
  [ -d /run/systemd/system ] || return 0
  for service in "${UNWANTED_SERVICES[@]}"; do systemctl disable --quiet "$service" 2>/dev/null || true; done
}
