#!/usr/bin/env bash
# Tries the README's words as an ordinary user with sudo, in a fresh clone of what is committed: `make as-user WORDS="demo test"`.
# Run by root, who makes that user for it and takes it away again.
set -euo pipefail
cd "$(dirname "$0")/.."
((EUID == 0)) || { echo "This makes a user for the trial: run it as root. (You are an ordinary user: try the words themselves.)" >&2; exit 1; }
command -v sudo >/dev/null || { echo "Installing through apt: sudo"; apt-get update -qq; apt-get install -y -qq --no-install-recommends sudo; }

user=clm-trial-$$
rights=/etc/sudoers.d/$user
away() {
    pkill -KILL -u "$user" || true
    rm -f "$rights"
    userdel --remove "$user" 2>/dev/null || true
}
trap away EXIT
trap 'exit 130' INT TERM
useradd --create-home --shell /bin/bash "$user"
echo "$user ALL=(ALL) NOPASSWD: ALL" >"$rights"
chmod 440 "$rights"
home=$(getent passwd "$user" | cut -d: -f6)

# Rust as it is here, where that user can read it; links, not copies, where the file system lets us.
rust=$(rustc --print sysroot)
cp -al "$rust" "$home/rust" 2>/dev/null || { rm -rf "$home/rust"; cp -a "$rust" "$home/rust"; }
git clone --quiet --no-hardlinks . "$home/clm"
chown -R "$user:" "$home/clm"

cd "$home/clm"
for word in "${@:-demo}"; do
    echo "As $user, who is $(id -u "$user") and not root: make $word"
    # Nothing of root's surroundings comes along.
    setpriv --reuid="$user" --regid="$user" --init-groups --reset-env -- \
        env PATH="$home/rust/bin:$home/.cargo/bin:/usr/local/bin:/usr/bin:/bin" make "$word"
done
# Who has ended and was not waited for by this machine's first process runs no more.
left=$(ps -u "$user" -o pid=,stat=,args= | awk '$2 !~ /^Z/' || true)
[[ -z $left ]] || { echo "Left running: $left" >&2; exit 1; }
