# shellcheck shell=bash
# Common ground of the scripts: sourced, never run.
# shellcheck disable=SC2034
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/xmtp
tools=$cache/tools/bin
npm_bin=$repo/contracts/node_modules/.bin
# Outside the clone, so that a fresh clone on the same machine starts warm.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}

# Cargo tells what is stale by times, and knows a crate by its place within the workspace, not by the workspace's: in one target
# folder, it takes another clone's crates for this one's if they were built after this one's sources were written. So the folder
# says whose crates it holds, and a clone that comes to it makes its own sources the newest; dependencies stay as they are.
# Clones that build at the same time want a CARGO_TARGET_DIR each.
adopt_target() {
    local owner=$CARGO_TARGET_DIR/.clone
    [[ -r $owner && $(<"$owner") == "$repo" ]] && return
    mkdir -p "$CARGO_TARGET_DIR"
    find "$repo" \( -name .git -o -name node_modules -o -name target \) -prune -o -type f -exec touch -c -- {} +
    printf '%s\n' "$repo" >"$owner"
}
adopt_target

say() { printf '%s\n' "$*" >&2; }

die() {
    say "${0##*/}: $*"
    exit 1
}

# A heading between the stages of a long run.
stage() { say "── $*"; }

# Calls its arguments every tenth of a second until they succeed; fails after the given number of seconds.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# Runs a child that dies with this shell even if the shell is killed outright, where the system can do that.
leashed() {
    if command -v setpriv >/dev/null; then
        exec setpriv --pdeathsig TERM -- "$@"
    else
        exec "$@"
    fi
}

# Ends children by id, in the order given, and waits for each.
end() {
    local pid
    for pid in "$@"; do
        kill -TERM "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}
