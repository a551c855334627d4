#!/usr/bin/env bash
# Install the k2 wheel that was built for the installed torch.  Try `tools/install_k2.sh --help`.

set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

usage() {
  cat <<'HELP'
usage: tools/install_k2.sh [--find-links PAGE] [--device cpu|cudaX.Y] [--python PYTHON] [--force]

  --find-links PAGE  address or folder with k2's wheels (default: $K2_FIND_LINKS)
  --device NAME      default: the CUDA that torch was built for, else cpu
  --python PYTHON    interpreter to install into (default: .venv/bin/python, else python3)
  --force            install even when a k2 that loads is there

A k2 wheel works with exactly one torch version. Where to find PAGE: k2's own documentation, chapter
"Installation", section "From pre-compiled wheels", names one page for CPU and one for CUDA.
Python 3.10 with torch 1.13.1 needs no page: the registry has k2 1.23.4 for it.
HELP
}
fail() { printf 'error: %s\n' "$1" >&2; printf '%s\n' "${@:2}" >&2; exit "${code:-1}"; }

page="${K2_FIND_LINKS:-}" device="" python="" force=""
while [ $# -gt 0 ]; do
  case "$1" in
    --help | -h) usage; exit 0 ;;
    --force) force=yes; shift ;;
    --find-links | --device | --python)
      [ $# -ge 2 ] || code=2 fail "$1 needs a value" "hint: tools/install_k2.sh --help"
      case "$1" in --find-links) page="$2" ;; --device) device="$2" ;; --python) python="$2" ;; esac
      shift 2 ;;
    *) usage >&2; code=2 fail "unknown option \`$1\`" "hint: see above" ;;
  esac
done
if [ -z "$python" ]; then
  python="$here/../.venv/bin/python"
  [ -x "$python" ] || python=python3
fi

facts="$("$python" -c '
import platform, sys, torch
release = torch.__version__.split("+")[0]
device = "cuda" + torch.version.cuda if torch.version.cuda else "cpu"
system = {"linux": "linux", "darwin": "macosx", "win32": "win"}.get(sys.platform, sys.platform)
print(release, "cp%d%d" % sys.version_info[:2], device, system + "-" + platform.machine().lower())
')" || fail "$python has no torch that loads; k2 comes after torch" "hint: make .venv"
read -r torch tag torch_device platform <<< "$facts"
device="${device:-$torch_device}"

if [ -z "$force" ] && "$python" -c 'import k2; assert k2.__file__' 2>/dev/null; then
  echo "k2 is installed and loads with torch $torch: nothing to do"
  exit 0
fi
if [ "$torch $tag $platform" = "1.13.1 cp310 linux-x86_64" ] && [ -z "$page" ]; then
  "$python" -m pip install --no-deps "k2==1.23.4"
else
  if [ -z "$page" ]; then
    usage >&2
    code=2 fail "no page to look for k2 with torch $torch, $tag, $device, $platform" \
      "hint: tools/install_k2.sh --find-links PAGE, see above"
  fi
  requirement="$("$python" "$here/k2_wheel.py" "$page" "$torch" "$tag" "$device" "$platform")" ||
    fail "nothing was installed for torch $torch" \
      "hint: the page of the other device (--device cpu), a torch that the page has, or build k2 from source"
  echo "installing $requirement" >&2
  "$python" -m pip install --no-deps --no-index --find-links "$page" "$requirement"
fi
"$python" -c 'import k2' ||
  fail "k2 was installed but does not load with torch $torch" "hint: its own words are above"
"$python" -c 'import importlib.metadata as m; print("k2", m.version("k2"), "loads with torch", m.version("torch"))'
