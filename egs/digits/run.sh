#!/usr/bin/env bash
# Connected digits, real speakers the model has never heard: fixed protocol, leave-one-out, children zero-shot.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus data/fsdd "free-spoken-digit-dataset: a git clone, or a folder with manifest.tsv; absolute path"
option lists  ""        "folder with the fixed strings test.tsv, test_tight.tsv and dev.tsv; empty: none"
option so762  ""        "folder of speechocean762 with its digit strings; empty: none"
list   seeds  "0 1"     "a training run per seed"
option steps  1400      "updates of a training"
option parallel 2       "trainings and decodings at once"
option nj     2         "processes that make audio"
option exp    exp       "folder of models, hypotheses and scores"
options "$@"
speakers="jackson nicolas yweweler lucas theo george"
train() { # train NAME SEED SPEAKERS...: five synthetic voices for four real ones make other voices familiar
  local name=$1 seed=$2; shift 2
  speechkit train conf/ctc.yaml "${@/#/--train=data/train/}" --train data/fluent --train data/halting \
    --set seed="$seed" --set optim.num_steps="$steps" --out "$exp/$name-$seed"
}
evaluate() { # evaluate NAME SEED SET...: decode and score sets below data/
  local name=$1 seed=$2 set; shift 2
  for set in "$@"; do
    speechkit decode "data/$set" --exp "$exp/$name-$seed" --out "$exp/$name-$seed-${set#*/}"
    speechkit score wer "data/$set" "$exp/$name-$seed-${set#*/}" --by speaker --json "$exp/score/$name-${set#*/}-$seed.json"
  done
}

if stage 0 "real strings"; then
  strings() { speechkit data prepare fsdd-strings "$corpus" --nj "$nj" "$@"; }
  for speaker in $speakers; do
    strings --set speakers="$speaker" --set num_strings=1100 --set max_gap_ms=600 --set seed=1 --out "data/train/$speaker"
    strings --set speakers="$speaker" --set num_strings=150 --set max_words=8 --set min_gap_ms=30 --set tight_share=0 \
      --set seed=1001 --out "data/test/$speaker"
  done
  for list in ${lists:+test test_tight dev}; do
    strings --set list="$lists/$list.tsv" --out "data/fixed/$list"
  done
  for folder in ${so762:+"$so762"}; do
    speechkit data prepare so762 "$folder" --set kind=digits --out data/fixed/so762
  done
fi
if stage 1 "synthetic strings"; then
  synth() { speechkit data synth --sampling-rate 8000 --pitch 10:99 --formant 0.9:1.3 --nj "$nj" "$@"; }
  synth --speakers 80 --digits 1:7 --digit-strings 2500 --sentences-per-speaker 25 --rate 80:200 --prefix fluent \
    --seed 3 --out data/fluent
  synth --speakers 80 --digits 1:6 --digit-strings 2500 --sentences-per-speaker 20 --rate 80:180 --word-gap-ms 150 \
    --prefix halting --seed 4 --out data/halting
  speechkit data validate data/train/* data/fluent data/halting --may-share text --nj "$nj"
fi
if stage 2 "training"; then
  for seed in $seeds; do
    spawn train protocol "$seed" jackson nicolas yweweler lucas
    for speaker in $speakers; do
      # shellcheck disable=SC2046,SC2086  # a list of words
      spawn train "without-$speaker" "$seed" ${speakers/$speaker/}
    done
    # shellcheck disable=SC2086
    spawn train all "$seed" $speakers
  done
  gather
fi
if stage 3 "decoding and scores"; then
  for seed in $seeds; do
    spawn evaluate protocol "$seed" ${lists:+fixed/test fixed/test_tight fixed/dev} ${so762:+fixed/so762}
    for speaker in $speakers; do
      spawn evaluate "without-$speaker" "$seed" "test/$speaker"
    done
    spawn evaluate all "$seed" ${so762:+fixed/so762}
  done
  gather
fi
if stage 4 "results"; then
  speechkit report "$exp"/score/*.json --title "Connected digits, unseen speakers" --out "$exp/report.html" \
    --group 'score/(.*)-[0-9]+\.json' --group 'score/(without)-' --update RESULTS.md
fi
