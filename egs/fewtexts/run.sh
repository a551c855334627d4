#!/usr/bin/env bash
# Few texts: models trained on 20 sentences x 30 voices recite them; cut-and-paste of the same recordings is the cure.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option speakers 30    "training voices"
list   seeds    0     "a training of each system per seed; the corpus stays the same"
option full     false "every way to make texts, true word times, and an upper bound: as many natural sentences"
option parallel 2     "trainings at once"
option nj       2     "processes that make audio"
option exp      exp   "folder of models, hypotheses and scores"
option results  RESULTS.md "file whose tables are renewed"
options "$@"
ctc="none uniform" attention="none uniform target-lm"
[[ $full == false ]] || ctc="none perm uniform cover target-lm true natural" attention=$ctc
synth() { # all corpora share accents, tempo and noise; the voices of the test are others
  speechkit data synth --seed 0 --accents en-us,en-gb-x-rp,en-gb-scotland --rate 130:200 --noise --snr 18:30 \
    --nj "$nj" "$@"
}
train() { # train MODEL TEXTS SEED: TEXTS is a way to make them, none, natural, or true (uniform with true word times)
  local cuts=data/aligned/cuts.jsonl.gz paste=(--set cutpaste.plan="data/plan/$2")
  case $2 in
    none) paste=() ;;
    natural) cuts=data/natural paste=() ;;
    true) cuts=data/train ;;
  esac
  speechkit train "conf/$1.yaml" --train "$cuts" "${paste[@]}" --set seed="$3" --out "$exp/$1-$2-$3"
}
evaluate() { # evaluate NAME SEED
  speechkit decode data/test --exp "$exp/$1-$2" --require-converged --out "$exp/$1-$2-test"
  speechkit score wer data/test "$exp/$1-$2-test" --train-text data/train --json "$exp/score/$1-$2.json"
}

if stage 0 "corpora"; then
  # the first 20 sentences of the test set are the training sentences, the other 60 are new
  synth --speakers "$speakers" --sentences 20 --voice-set train --out data/train
  synth --speakers 8 --sentences 80 --voice-set test --prefix test --out data/test
  speechkit data validate data/train data/test --may-share text --nj "$nj"
  speechkit text sentences --num 1500 --seed 1 --exclude data/test --out data/target.txt
  [[ $full == false ]] || synth --speakers "$speakers" --texts data/target.txt --sentences-per-speaker 20 \
    --voice-set train --out data/natural
fi
if stage 1 "word times"; then
  speechkit align forced data/train --nj "$nj" --out data/aligned
  speechkit align compare data/train data/aligned --json "$exp/align.json"
fi
if stage 2 "plans"; then
  speechkit cutpaste inventory data/aligned --nj "$nj" --out data/inventory
  plan() { speechkit cutpaste plan "$1" --mode "$2" --num 1500 --exclude-text data/test --out "data/plan/${3:-$2}" "${@:4}"; }
  plan data/inventory uniform
  plan data/inventory target-lm target-lm --target-text data/target.txt
  if [[ $full == true ]]; then
    plan data/inventory perm
    plan data/inventory cover
    speechkit cutpaste inventory data/train --nj "$nj" --out data/inventory-true
    plan data/inventory-true uniform true
  fi
  speechkit cutpaste report data/plan/uniform --target-text data/test --json "$exp/uniform.json" --html "$exp/uniform.html"
fi
if stage 3 "training"; then
  for seed in $seeds; do
    for texts in $attention; do spawn train attention "$texts" "$seed"; done
    for texts in $ctc; do spawn train ctc "$texts" "$seed"; done
  done
  gather
fi
if stage 4 "decoding and scores"; then
  for seed in $seeds; do
    for name in $(printf 'ctc-%s ' $ctc) $(printf 'attention-%s ' $attention); do
      spawn evaluate "$name" "$seed"
    done
  done
  gather
fi
if stage 5 "results"; then
  speechkit report "$exp"/score/*.json "$exp"/*-0 --title "Few texts" --group 'score/(.*)-[0-9]+\.json' \
    --out "$exp/report.html" --update "$results"
fi
