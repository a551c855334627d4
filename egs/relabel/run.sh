#!/usr/bin/env bash
# Eighty transcripts, an hour without: label by machine, align, filter, train a noisy student, label again.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus   data/fsdd "free-spoken-digit-dataset: a git clone, or a folder with manifest.tsv; absolute path"
option labelled 80        "strings of two speakers with transcripts"
option strings  1000      "strings of all six speakers without"
list   rounds   "1 2 3"   "rounds of labelling and training"
option max_cer  40        "percent by which two labels in a row may differ before the utterance is left out"
list   seeds    "0 1 2"   "a chain of models per seed"
option steps    350       "updates of a training"
option parallel 2         "trainings at once"
option nj       2         "processes that make audio"
option exp      exp       "folder of models, hypotheses and scores"
options "$@"
strings() { # strings OPTION...: 4 to 8 digits of one speaker at 20 dB
  speechkit data prepare fsdd-strings "$corpus" --nj "$nj" --set min_words=4 --set max_words=8 --set max_gap_ms=100 \
    --set tight_share=0 --set snr_db=20 "$@"
}
everybody=(--set speakers=jackson,nicolas,yweweler,lucas,theo,george)
train() { # train NAME SEED CUTS...: and what it makes of the test set and of the strings without transcripts
  local name=$1-$2 seed=$2; shift 2
  speechkit train conf/student.yaml "${@/#/--train=}" --set optim.num_steps="$steps" --set seed="$seed" --out "$exp/$name"
  speechkit decode data/test --exp "$exp/$name" --out "$exp/$name-test"
  speechkit score wer data/test "$exp/$name-test" --by speaker --json "$exp/score/$name.json"
  speechkit decode data/web --exp "$exp/$name" --out "$exp/$name-web"
}
label() { # label ROUND SEED: what the last model heard, from round 2 on only where the last two agree, with word times
  local hyp=$exp/round-$(($1 - 1))-$2-web data=data/round-$1-$2 agreed=all
  speechkit audit relabel data/web --hyp "$hyp" --out "$data/all"
  if (($1 > 1)); then
    agreed=agreed
    speechkit audit relabel "data/round-$(($1 - 1))-$2/all" --hyp "$hyp" --max-cer "$max_cer" --out "$data/agreed"
  fi
  speechkit align forced "$data/$agreed" --max-bad 5% --out "$data/train"
}

if stage 0 "strings"; then
  strings --set speakers=jackson,theo --set num_strings="$labelled" --set takes=5-14 --set seed=1 --out data/said
  strings "${everybody[@]}" --set num_strings="$strings" --set takes=15-49 --set seed=2 --out data/web
  strings "${everybody[@]}" --set num_strings=300 --set takes=0-4 --set seed=3 --out data/test
  for set in said web; do speechkit align forced "data/$set" --out "data/$set-aligned"; done
fi
if stage 1 "teacher and bound"; then
  for seed in $seeds; do
    spawn train round-0 "$seed" data/said-aligned
    spawn train bound "$seed" data/said-aligned data/web-aligned
  done
  gather
fi
if stage 2 "rounds"; then
  for round in $rounds; do
    for seed in $seeds; do label "$round" "$seed"; done
    for seed in $seeds; do spawn train "round-$round" "$seed" data/said-aligned "data/round-$round-$seed/train"; done
    gather
  done
fi
if stage 3 "results"; then
  speechkit report "$exp"/score/*.json --title "Labels by machine, round by round" --out "$exp/report.html" \
    --group 'score/(.*)-[0-9]+\.json' --update RESULTS.md
fi
