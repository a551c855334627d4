#!/usr/bin/env bash
# Few texts, real speech: 20 digit strings by four speakers, tested on others; with and without cut-and-paste.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus   data/fsdd "free-spoken-digit-dataset: a git clone, or a folder with manifest.tsv; absolute path"
option lists    ""        "folder with limited_train.tsv and limited_test_{seen,unseen}{,_theo}.tsv; empty: connected/ of the corpus"
list   seeds    "0 1 2"   "a training of each system per seed"
option parallel 2         "trainings at once"
option nj       2         "processes that make audio"
option exp      exp       "folder of models, hypotheses and scores"
options "$@"
lists=${lists:-$corpus/connected}
train() { # train MODEL TEXTS SEED: none, uniform, or natural: as many natural strings of other texts
  local cuts=data/aligned/cuts.jsonl.gz paste=()
  case $2 in
    uniform) paste=(--set cutpaste.plan=data/uniform) ;;
    natural) cuts=data/natural ;;
  esac
  speechkit train "conf/$1.yaml" --train "$cuts" "${paste[@]}" --set seed="$3" --out "$exp/$1-$2-$3"
}
evaluate() { # evaluate NAME EXP SEED HEAD: both test speakers
  local speaker hyp
  for speaker in george theo; do
    hyp=$2-$4-$speaker
    speechkit decode "data/test-$speaker" --exp "$2" --head "$4" --require-converged --out "$hyp"
    speechkit score wer "data/test-$speaker" "$hyp" --train-text data/train --json "$exp/score/$1-$speaker-$3.json"
  done
}

if stage 0 "strings"; then
  strings() { speechkit data prepare fsdd-strings "$corpus" --nj "$nj" "$@"; }
  test_lists() { strings --set list="$lists/limited_test_seen$2.tsv,$lists/limited_test_unseen$2.tsv" --out "data/test-$1"; }
  strings --set list="$lists/limited_train.tsv" --out data/train
  test_lists george ""
  test_lists theo _theo
  # the upper bound: the same speakers, takes and number of strings, but 480 texts
  strings --set num_strings=480 --set min_words=5 --set max_words=5 --set min_gap_ms=30 --set tight_share=0 \
    --set takes=5-49 --out data/natural
fi
if stage 1 "word times"; then
  speechkit align forced data/train --nj "$nj" --out data/aligned
  speechkit align compare data/train data/aligned --json "$exp/align.json"
fi
if stage 2 "plan"; then
  speechkit cutpaste inventory data/aligned --nj "$nj" --out data/inventory
  speechkit cutpaste plan data/inventory --mode uniform --num 1500 --set text.allow_repeats=true \
    --exclude-text data/test-george --exclude-text data/test-theo --out data/uniform
  speechkit cutpaste report data/uniform --target-text data/test-george --json "$exp/plan.json" --html "$exp/plan.html"
fi
if stage 3 "training"; then
  for seed in $seeds; do
    for texts in none uniform natural; do
      spawn train attention "$texts" "$seed"
      spawn train ctc "$texts" "$seed"
    done
  done
  gather
fi
if stage 4 "decoding and scores"; then
  for seed in $seeds; do
    for texts in none uniform natural; do
      spawn evaluate "attention-$texts" "$exp/attention-$texts-$seed" "$seed" attention
      spawn evaluate "attention-ctc-head-$texts" "$exp/attention-$texts-$seed" "$seed" ctc
      spawn evaluate "ctc-$texts" "$exp/ctc-$texts-$seed" "$seed" ctc
    done
  done
  gather
fi
if stage 5 "results"; then
  speechkit report "$exp"/score/*.json --title "Few texts, real digits" --out "$exp/report.html" \
    --group 'score/(.*)-(?:george|theo)-[0-9]+\.json' --group 'score/(.*-(?:george|theo))-[0-9]+\.json' --update RESULTS.md
fi
