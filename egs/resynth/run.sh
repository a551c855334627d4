#!/usr/bin/env bash
# Speech from discrete units: a small vocoder of the corpus's own, judged by a recogniser of real speech.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus   data/fsdd "free-spoken-digit-dataset: a git clone, or a folder with manifest.tsv; absolute path"
list   units    "50 100 200 500" "sizes of codebooks; each gets a vocoder"
option lm_units 100   "codebook of the language model, whose continuations are spoken, too"
option steps    500   "updates of the recogniser"
option parallel 2     "vocoders at once"
option nj       2     "processes that make audio and units"
option exp      exp   "folder of models, hypotheses and scores"
options "$@"
speak() { # speak K: codebook, units, vocoder, and the test set said again by it
  local own=$exp/k$1
  speechkit units kmeans data/train --k "$1" --set features.sampling_rate=8000 --out "$own/codebook"
  for set in train test; do
    speechkit units quantize "data/$set" --codebook "$own/codebook" --out "$own/$set"
  done
  speechkit units vocoder-train "$own/train" --cuts data/train --out "$own/vocoder"
  speechkit units resynth "$own/test" --vocoder "$own/vocoder" --cuts data/test --out "data/k$1"
  speechkit units resynth "$own/test" --vocoder "$own/vocoder" --cuts data/test --durations predicted --out "data/k$1-predicted"
}
evaluate() { # evaluate SET
  speechkit decode "data/$1" --exp "$exp/asr" --out "$exp/asr-$1"
  speechkit score wer "data/$1" "$exp/asr-$1" --json "$exp/score/$1.json"
}

if stage 0 "speech"; then
  strings() { speechkit data prepare fsdd-strings "$corpus" --set max_words=5 --set min_words=3 --nj "$nj" "$@"; }
  strings --set takes=5-49 --set num_strings=1200 --out data/train
  strings --set takes=0-4 --set num_strings=150 --set seed=2 --out data/test
fi
if stage 1 "recogniser of real speech"; then
  speechkit train ../digits/conf/ctc.yaml --train data/train --set optim.num_steps="$steps" --out "$exp/asr"
fi
if stage 2 "vocoders"; then
  for k in $units; do spawn speak "$k"; done
  gather
fi
if stage 3 "what is understood"; then
  spawn evaluate test
  for k in $units; do spawn evaluate "k$k"; spawn evaluate "k$k-predicted"; done
  gather
fi
if stage 4 "continuations"; then
  own=$exp/k$lm_units
  speechkit train ../digits_prompt/conf/ulm.yaml --train "$own/train" --dev "$own/test" --set optim.num_steps=300 --out "$exp/ulm"
  speechkit prompt generate "$own/test" --lm "$exp/ulm" --top-k 20 --out "$exp/continued"
  speechkit units resynth "$exp/continued" --vocoder "$own/vocoder" --durations predicted --out "$exp/continued-audio"
fi
if stage 5 "results"; then
  speechkit report "$exp"/score/*.json --title "Speech from units" --out "$exp/report.html" --update RESULTS.md
fi
