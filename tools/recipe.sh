# shellcheck shell=bash disable=SC2154  # options become variables
# What every run.sh shares: options, numbered stages, and messages that say how to go on.
#
#   set -euo pipefail
#   . "$(dirname "$0")/../../tools/recipe.sh"   # changes into the folder of the run.sh
#   option nj 4 "shards of data stages"         # sets $nj; a number or true/false must stay one
#   list seeds 0 "a training per seed"          # the same for words separated by spaces: --seeds "0 1 2"
#   options "$@"                                # --name value or --name=value; see --help
#   if stage 0 "data"; then ...; fi
#   spawn COMMAND...                            # noted for the next array: speechkit ..., or a function of such commands
#   gather                                      # runs them as one array, where --cmd says; here $parallel at once
#
# Exit code: 2 for a wrong option, else that of the failed command; 85 means checkpointed, 130 Ctrl-C.

case ${BASH_VERSION:-none} in none | [123].* | 4.[012].*)
  echo "error: recipes need bash 4.3 or newer, this is ${BASH_VERSION:-another shell}" >&2; exit 2 ;;
esac
set -Eeuo pipefail
unset CDPATH
_root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$(dirname "$0")"
_script=${0##*/} _all=("$0" "$@") _given=("$0") _opts=() _lists=' ' _help=() _stages=() _stage='' _line='' _since='' _spawned=()
_title='' _arrays=0
_stage_line='^if stage ([0-9]+) "(.*)"; then'
while IFS= read -r _line; do
  [[ ! $_line =~ $_stage_line ]] || _stages+=("${BASH_REMATCH[1]}  ${BASH_REMATCH[2]}")
done <"$_script"

option() { # option NAME DEFAULT HELP
  _opts+=("$1") _help+=("$(printf -- '--%-14s %s [%s]' "${1//_/-}" "$3" "$2")")
  declare -g "$1=$2" "_default_$1=$2"
}

list() { # list NAME DEFAULT HELP
  option "$@"
  _lists+="$1 "
}

options() { # options "$@"
  while (($#)); do
    case $1 in
      --list) printf '%s\n' "${_stages[@]}"; exit 0 ;;
      -h | --help) _print_help; exit 0 ;;
      --?*=*) _set "${1%%=*}" "${1#*=}" "$1"; shift ;;
      --?*) _check_name "$1"
        [[ $# -gt 1 && $2 != --* ]] || _die "\`$1\` needs a value" "$1 VALUE or $1=VALUE"
        _set "$1" "$2" "$1" "$2"; shift 2 ;;
      *) _die "unexpected word \`$1\`" '--name value or --name=value' ;;
    esac
  done
  local last=$((${#_stages[@]} - 1))
  ((stage >= 0 && stage <= last)) || _die "there is no stage $stage" "a stage from 0 to $last; \`$0 --list\` shows them"
  ((stop_stage >= stage)) || _die "--stop-stage $stop_stage comes before --stage $stage" "at least $stage"
  [[ ! -d $_root/.venv/bin ]] || PATH=$_root/.venv/bin:$PATH
  type -P speechkit >/dev/null || _die "\`speechkit\` is not installed" "\`make .venv\` in $_root, or \`pip install speechkit\`"
}

stage() { # if stage N "title"; then ...; fi
  (($1 >= stage && $1 <= stop_stage)) || return 1
  _stage=$1 _title=$2 _arrays=0 _line='' _since=$(date '+%F %T.%N')
  export SPEECHKIT_STAGE="$1 $2"
  printf '\n== stage %s: %s  (%s)\n' "$1" "$2" "${_since%.*}" >&2
}

spawn() { # spawn COMMAND...: an element of the next array; the speechkit commands of a function are noted, not run
  local noted
  if [[ $(type -t "$1") == function ]]; then
    noted=$(
      speechkit() { _note speechkit "$@" >&3; }
      command_not_found_handle() { echo "error: what is spawned may call speechkit only, not \`$1\`" >&2; return 127; }
      PATH=/dev/null
      "$@" 3>&1 >&2
    )
  else
    noted=$(_note "$@")
  fi
  [[ -z $noted ]] || _spawned+=("[${noted#,}]")
}

gather() { # all that was spawned; done elements are left out, failed ones are named and do not stop the others
  local limit=() name
  ((${#_spawned[@]})) || return 0
  _arrays=$((_arrays + 1)) name=${_title//[^A-Za-z0-9]/-}
  [[ -z ${parallel-} || ($cmd == slurm* && " ${_given[*]} " != *" --parallel"[=\ ]*) ]] || limit=(--max-run "$parallel")
  ((_arrays == 1)) || name+=-$_arrays
  speechkit job run --cmd "$cmd" --resumable ${limit[@]+"${limit[@]}"} --log "${exp:-exp}/log/$_stage-$name.JOB.log" \
    --commands <(printf '%s\n' "${_spawned[@]}")
  _spawned=()
}

_note() { # the words as a list in JSON; the reader takes control characters but for the end of line
  local word comma='' slash='\' quote='"'
  printf ',['
  for word; do
    word=${word//"$slash"/"$slash$slash"}
    word=${word//"$quote"/"$slash$quote"}
    word=${word//$'\n'/"${slash}n"}
    printf '%s"%s"' "$comma" "$word"
    comma=,
  done
  printf ']'
}

_set() { # _set --NAME VALUE WORDS...: check and assign, never evaluate; WORDS are repeated by the resume command
  local key=${1#--} type='' pattern='' default
  _check_name "$1"
  key=${key//-/_} default=_default_$key default=${!default}
  if [[ $_lists == *" $key "* ]]; then type='words separated by spaces' pattern='^[[:alnum:]_.:/+-]+( +[[:alnum:]_.:/+-]+)*$'
  elif [[ $default =~ ^-?[0-9]+$ ]]; then type='a whole number' pattern='^-?(0|[1-9][0-9]{0,17})$'
  elif [[ $default =~ ^-?[0-9]*\.[0-9]+$ ]]; then type='a number' pattern='^-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$'
  elif [[ $default =~ ^(true|false)$ ]]; then type='true or false' pattern='^(true|false)$'
  elif [[ -n $default ]]; then type='a value that is not empty' pattern=.; fi
  [[ -z $type || $2 =~ $pattern ]] || _die "\`$1\` takes $type, not \`$2\`" "for example $1 $default"
  printf -v "$key" %s "$2"
  [[ $key == stage ]] || _given+=("${@:3}")
}

_check_name() { # _check_name --NAME: return if known, else die with the name that shares most letters at both ends
  local given=${1#--} best=49 near='' known front back alike
  for known in "${_opts[@]//_/-}"; do
    [[ $known != "$given" ]] || return 0
    front=0 back=0
    while ((front < ${#known})) && [[ ${known:front:1} == "${given:front:1}" ]]; do front=$((front + 1)); done
    while ((back < ${#known} - front && back < ${#given} - front)) &&
      [[ ${known:${#known}-back-1:1} == "${given:${#given}-back-1:1}" ]]; do back=$((back + 1)); done
    alike=$((200 * (front + back) / (${#known} + ${#given})))
    ((alike <= best)) || best=$alike near=$known
  done
  _die "unknown option \`$1\`${near:+, did you mean \`--$near\`?}" "an option of \`$0 --help\`"
}

_print_help() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$_script"
  printf '\noptions (a relative path starts at the folder of the recipe):\n'
  printf '  %s\n' "${_help[@]}" '--list           print the stages and exit' '--help           print this and exit'
  printf '\nstages:\n'; printf '  %s\n' "${_stages[@]}"
}

_die() { printf 'error: %s\nexpected: %s\n' "$1" "$2" >&2; exit 2; }

_newest_log() { # the log file that this stage wrote last, if any
  local file newest=''
  while IFS= read -r -d '' file; do
    [[ ! $file -nt $newest ]] || newest=$file
  done < <(find data exp "${exp:-exp}" -type f -size +0 \( -name log.txt -o -path '*/log/*' \) -newermt "$_since" -print0 2>/dev/null)
  printf %s "$newest"
}

_note_line() { _line=${BASH_LINENO[${#FUNCNAME[@]} - 2]}; } # of the run.sh, also when a function of it failed

_failed_command() { # the lines of the run.sh around the failed one that belong to the same command
  local lines first=$((_line - 1)) last=$((_line - 1))
  mapfile -t lines <"$_script"
  while ((first > 0)) && [[ ${lines[first - 1]} == *[\\\|] ]]; do first=$((first - 1)); done
  while [[ ${lines[last]-} == *[\\\|] ]]; do last=$((last + 1)); done
  printf '%s\n' "${lines[@]:first:last - first + 1}"
}

_on_exit() {
  local code=$? again resume log
  # shellcheck disable=SC2046  # one word per process
  kill -TERM $(jobs -p) 2>/dev/null || true
  [[ $code != 0 && -n $_stage ]] || return 0
  printf -v again ' %q' "${_all[@]}"
  printf -v resume ' %q' "${_given[@]}" --stage "$_stage"
  case $code in
    85) printf '\ncheckpointed in stage %s; start again with the same command:%s\n' "$_stage" "$again" ;;
    130 | 143) printf '\ninterrupted in stage %s\nresume:%s\n' "$_stage" "$resume" ;;
    *) printf '\nerror: stage %s failed (exit %s)' "$_stage" "$code"
      [[ -z $_line ]] || printf ' at %s:%s\n%s' "$_script" "$_line" "$(_failed_command)"
      log=
      ((_arrays)) || log=$(_newest_log) # an array has named its log itself
      [[ -z $log ]] || printf '\nlast lines of %s:\n%s' "$PWD/$log" "$(tail -n 5 "$log" | sed 's/^/  /')"
      printf '\nresume:%s\n' "$resume" ;;
  esac >&2
}

_line=''
trap _note_line ERR
trap _on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
option stage 0 'first stage to run'
option stop_stage 99 'last stage to run'
option cmd "${SPEECHKIT_CMD:-local}" 'where arrays run: local, slurm, or slurm:FILE with a site file'
