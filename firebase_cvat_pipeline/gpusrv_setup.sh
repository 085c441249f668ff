#!/usr/bin/env bash
# Makes this machine ready for the pipeline: folders, the place of the key, Python packages and CVAT.
# What is there already is left as it is, so it may be run again at any time. See README.md.
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
DATA_DIR="${DATA_DIR:-/data}"
CVAT_DIR="${CVAT_DIR:-$HOME/cvat}"
CVAT_HOST="${CVAT_HOST:-gpusrv.tailfdc654.ts.net}"
# The version that this pipeline was verified with on a real server. Its compose file and its images belong together.
CVAT_VERSION="${CVAT_VERSION:-v2.42.0}"
CVAT_SOURCE="${CVAT_SOURCE:-https://github.com/cvat-ai/cvat}"
KEY_DIR="$HOME/.firebase"
VENV="$HERE/.venv"
OVERRIDE="$HERE/cvat-share.override.yml"
ONLY_CHECK=0
WITH_CVAT=1
REQUIREMENTS=requirements.txt

usage() {
  cat <<USAGE
usage: bash gpusrv_setup.sh [--check] [--no-cvat] [--training] [--data-dir DIR] [--cvat-dir DIR] [--cvat-host NAME]

  --check           change nothing; say what is missing; exit status 1 when something is
  --no-cvat         leave CVAT out: it runs elsewhere, or does already
  --training        install what retraining on this machine needs, too (PyTorch, some gigabytes)
  --data-dir DIR    of cvat-annotations and cvat-exports (now $DATA_DIR)
  --cvat-dir DIR    where CVAT's own compose file is put (now $CVAT_DIR)
  --cvat-host NAME  under which browsers reach CVAT on port 8080 (now $CVAT_HOST)

Exit status: 0 all is ready, 1 something is missing (it is named), 2 wrong usage.
USAGE
}

while [ $# -gt 0 ]; do
  case "$1" in
    --check) ONLY_CHECK=1 ;;
    --no-cvat) WITH_CVAT=0 ;;
    --training) REQUIREMENTS=requirements-training.txt ;;
    --data-dir | --cvat-dir | --cvat-host)
      [ $# -ge 2 ] || { echo "$1 needs a value" >&2; exit 2; }
      case "$1" in
        --data-dir) DATA_DIR="$2" ;;
        --cvat-dir) CVAT_DIR="$2" ;;
        --cvat-host) CVAT_HOST="$2" ;;
      esac
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) echo "unknown option: $1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done

MISSING=0

missing() {
  MISSING=$((MISSING + 1))
  echo "missing  $1"
  [ $# -lt 2 ] || echo "         $2"
}

# settle NAME CHECK MAKE ADVICE: make what is not there, unless only a check was asked for.
settle() {
  local name="$1" check="$2" make="$3" advice="$4"
  if "$check"; then
    echo "ok       $name"
  elif [ "$ONLY_CHECK" -eq 1 ]; then
    missing "$name"
  elif "$make" && "$check"; then
    echo "made     $name"
  else
    missing "$name" "$advice"
  fi
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    echo "         needs sudo: $*"
    sudo "$@"
  else
    return 1
  fi
}

# --- folders ---------------------------------------------------------------------------------------------------

has_folders() {
  local folder
  for folder in cvat-annotations cvat-exports; do
    [ -d "$DATA_DIR/$folder" ] && [ -w "$DATA_DIR/$folder" ] || return 1
  done
}

make_folders() {
  local folder
  for folder in cvat-annotations cvat-exports; do
    if mkdir -p "$DATA_DIR/$folder" 2>/dev/null && [ -w "$DATA_DIR/$folder" ]; then
      continue
    fi
    as_root mkdir -p "$DATA_DIR/$folder" || return 1
    as_root chown "$(id -u):$(id -g)" "$DATA_DIR/$folder" || return 1
  done
}

# --- the key ---------------------------------------------------------------------------------------------------

is_private() {
  [ -d "$KEY_DIR" ] && [ -n "$(find "$KEY_DIR" -maxdepth 0 -perm 700)" ] &&
    [ -z "$(find "$KEY_DIR" -maxdepth 1 -name '*.json' -perm /077)" ]
}

make_private() {
  mkdir -p "$KEY_DIR" && chmod 700 "$KEY_DIR" &&
    find "$KEY_DIR" -maxdepth 1 -name '*.json' -exec chmod 600 {} +
}

# --- Python ----------------------------------------------------------------------------------------------------

find_python() {
  local name
  for name in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$name"
      return 0
    fi
  done
  return 1
}

has_python() { find_python >/dev/null; }

wheels() { find "$HERE" -maxdepth 1 -name 'agir_cvtoolkit-*.whl'; }

has_wheel() { [ "$(wheels | wc -l)" -eq 1 ]; }

# Of what was installed: another wheel is installed over it, the same one is not.
contents() { cat "$HERE/$REQUIREMENTS" "$(wheels)" | cksum; }

has_packages() {
  has_wheel && [ -x "$VENV/bin/python" ] && [ "$(cat "$VENV/.installed" 2>/dev/null)" = "$(contents)" ]
}

make_packages() {
  has_wheel || return 1
  if ! [ -x "$VENV/bin/python" ]; then
    "$(find_python)" -m venv "$VENV" || { rm -rf "$VENV"; return 1; }
  fi
  (cd "$HERE" && "$VENV/bin/python" -m pip install --disable-pip-version-check --quiet --upgrade \
    --requirement "$REQUIREMENTS") || return 1
  contents >"$VENV/.installed"
}

# --- CVAT ------------------------------------------------------------------------------------------------------

# Set to sudo where Docker answers to root alone.
DOCKER_AS=()

docker_() { ${DOCKER_AS[@]+"${DOCKER_AS[@]}"} docker "$@"; }

has_docker() {
  command -v docker >/dev/null 2>&1 || return 1
  if docker_ info >/dev/null 2>&1; then
    return 0
  fi
  if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null 2>&1 && sudo -n docker info >/dev/null 2>&1; then
    DOCKER_AS=(sudo)
    return 0
  fi
  return 1
}

has_compose() { docker_ compose version >/dev/null 2>&1; }

cannot() { return 1; }

compose() {
  # As arguments of env: sudo hands no variables on.
  ${DOCKER_AS[@]+"${DOCKER_AS[@]}"} env CVAT_VERSION="$CVAT_VERSION" CVAT_HOST="$CVAT_HOST" \
    CVAT_SHARE_DIR="$DATA_DIR/cvat-annotations" docker compose --project-directory "$CVAT_DIR" \
    -f "$CVAT_DIR/docker-compose.yml" -f "$OVERRIDE" "$@"
}

# A container that was started by hand under CVAT's name is in the way of the real ones.
is_lone_container() {
  local project
  project="$(docker_ inspect --format '{{index .Config.Labels "com.docker.compose.project"}}' cvat_server \
    2>/dev/null)" || return 1
  [ -z "$project" ]
}

is_unobstructed() { ! is_lone_container; }

has_cvat_source() {
  [ -f "$CVAT_DIR/docker-compose.yml" ] &&
    [ "$(git -C "$CVAT_DIR" describe --tags --exact-match 2>/dev/null)" = "$CVAT_VERSION" ]
}

make_cvat_source() {
  if [ -e "$CVAT_DIR" ] && [ -n "$(ls -A "$CVAT_DIR")" ]; then
    return 1
  fi
  git clone --quiet --depth 1 --branch "$CVAT_VERSION" "$CVAT_SOURCE" "$CVAT_DIR" &&
    [ -f "$CVAT_DIR/docker-compose.yml" ]
}

runs_cvat() {
  [ "$(docker_ inspect --format '{{.State.Running}} {{.Config.Image}}' cvat_server 2>/dev/null)" = \
    "true cvat/server:$CVAT_VERSION" ]
}

start_cvat() { compose up --detach; }

settle_cvat() {
  settle "Docker, and the right to use it" has_docker cannot \
    "Install it as https://docs.docker.com/engine/install says; then: sudo usermod -aG docker $(id -un), and log in anew."
  has_docker || return 0
  settle "docker compose" has_compose cannot "Install the package docker-compose-plugin."
  has_compose || return 0
  settle "no container named cvat_server that was started by hand" is_unobstructed cannot \
    "cvat/server alone is no working CVAT. Remove it with: docker rm --force cvat_server"
  is_unobstructed || return 0
  settle "CVAT $CVAT_VERSION's compose file in $CVAT_DIR" has_cvat_source make_cvat_source \
    "$CVAT_DIR is of another version or is none; see CVAT's upgrade guide, or give another --cvat-dir."
  has_cvat_source || return 0
  settle "CVAT $CVAT_VERSION, running" runs_cvat start_cvat \
    "Look at: docker compose --project-directory $CVAT_DIR logs cvat_server"
}

# ---------------------------------------------------------------------------------------------------------------

settle "folders $DATA_DIR/cvat-annotations and $DATA_DIR/cvat-exports" has_folders make_folders \
  "Make them writable for $(id -un), or give another --data-dir."
settle "$KEY_DIR, readable by its owner alone" is_private make_private "Look at its owner and mode."
settle "Python 3.11 or newer" has_python cannot \
  "Install it, or name one: PYTHON=/path/to/python3.11 bash gpusrv_setup.sh"
settle "this project's wheel beside the script, exactly one" has_wheel cannot \
  "Run 'make bundle' in the project, and copy this folder anew."
if has_python && has_wheel; then
  settle "Python packages in $VENV" has_packages make_packages "On Debian and Ubuntu: sudo apt-get install python3-venv"
fi
if [ "$WITH_CVAT" -eq 1 ]; then
  settle_cvat
fi

if [ "$MISSING" -gt 0 ]; then
  echo "$MISSING missing"
  exit 1
fi
if [ "$ONLY_CHECK" -eq 0 ]; then
  cat <<NEXT

Ready. What a person does now, once:
  1. Put the Firebase service account's key here:  $KEY_DIR/service-account.json  (chmod 600)
  2. Make CVAT's first account:  docker exec -it cvat_server bash -ic 'python3 ~/manage.py createsuperuser'
     CVAT answers at http://$CVAT_HOST:8080 a minute after its start. Then write its address and your access
     token into .keys/default.yaml, so that batches become tasks by themselves (README.md).
Then, for each batch:
  python3 firebase_to_cvat_transfer.py --service-account $KEY_DIR/service-account.json
NEXT
fi
