#!/usr/bin/env bash
# Make a virtual environment with pinned requirements, the core and some plugins (editable).
# Usage, from the root of the repository: tools/setup.sh VENV STAMP REQUIREMENTS PLUGIN...
# VENV/STAMP is touched at the end. Safe to stop and start again, and to start twice at once.
set -euo pipefail

venv=$1 stamp=$1/$2 requirements=$3
shift 3
python=${PYTHON:-python3}

say() { printf '%s\n' "$*" >&2; }

is_ready() {
    [ -e "$stamp" ] || return 1
    local file plugin
    for file in requirements*.txt pyproject.toml tools/setup.sh; do
        [ "$stamp" -nt "$file" ] || return 1
    done
    for plugin in "$@"; do
        [ "$stamp" -nt "$plugin/pyproject.toml" ] || return 1
    done
}

make_environment() {
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        say "ex4d needs Python 3.11 or newer, and '$python' is $("$python" --version 2>/dev/null || echo absent);" \
            "name another, for instance: make run PYTHON=python3.12"
        exit 1
    fi
    say "Making $venv with $("$python" --version)."
    "$python" -m venv "$venv"
}

install_packages() {
    local pip=("$venv/bin/python" -m pip install --disable-pip-version-check) editables=(-e .) plugin index sources=()
    [ -t 2 ] || pip+=(-qq) # errors only; a terminal gets the download bars
    for plugin in "$@"; do editables+=(-e "$plugin"); done
    say "Installing $requirements into $venv (a few minutes the first time)."
    index=$("$venv/bin/python" tools/torch_index.py)
    if [ -n "$index" ]; then
        say "PyTorch is installed from $index (no NVIDIA driver was found; TORCH_INDEX= installs the build with CUDA)."
        sources=(--extra-index-url "$index")
    fi
    "${pip[@]}" ${sources[@]+"${sources[@]}"} -r "$requirements"
    # In one command, because a plugin needs the core, which no index has; without isolation it takes 2 s, not 11.
    "${pip[@]}" --no-deps --no-build-isolation "${editables[@]}"
}

# Install Debian packages where that may be done; what it says goes into VENV/NAME.log.
apt_install() {
    local log="$venv/$1.log" apt=(apt-get)
    shift
    command -v apt-get >/dev/null || return 0
    [ "$(id -u)" = 0 ] || apt=(sudo -n apt-get)
    local install=("${apt[@]}" install -y --no-install-recommends "$@")
    say "Installing for the tests: ${install[*]}"
    { "${install[@]}" || { "${apt[@]}" update && "${install[@]}"; }; } >"$log" 2>&1 || true
}

# Tests compare with Open3D, which needs libraries that a bare Linux lacks. They skip without it.
install_system_libraries() {
    local packages=(libusb-1.0-0 libegl1 libgl1 libx11-6 libgomp1)
    "$venv/bin/python" -c 'import open3d' >/dev/null 2>&1 && return
    apt_install system-libraries "${packages[@]}"
    "$venv/bin/python" -c 'import open3d' >/dev/null 2>&1 && return
    say "Open3D does not import, so the tests that need it are skipped. On Debian or Ubuntu this mends it:" \
        "sudo apt-get install ${packages[*]}"
}

has_browser() { command -v chromium >/dev/null && command -v chromedriver >/dev/null; }

# Tests look at pages in a browser. They skip without it.
install_browser() {
    has_browser && return
    # Elsewhere these names are other things: Ubuntu's need a running snapd.
    if grep -qs '^ID=debian' /etc/os-release; then apt_install browser chromium chromium-driver; fi
    has_browser && return
    say "There is no Chromium with its driver, so the tests that need it are skipped. On Debian this mends it:" \
        "sudo apt-get install chromium chromium-driver"
}

mkdir -p "$venv"
if command -v flock >/dev/null; then
    exec 9>"$venv/.lock"
    flock 9
fi
if is_ready "$@"; then exit 0; fi
make_environment
install_packages "$@"
case $requirements in *dev*) install_system_libraries; install_browser ;; esac
touch "$stamp"
say "$venv is ready."
