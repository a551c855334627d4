#!/usr/bin/env bash
# How far can transcripts be wrong until a model no longer sees it? Noise family x rate, in-domain, shifted and coarse.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus data/fsdd "free-spoken-digit-dataset: a git clone, or a folder with manifest.tsv; absolute path"
list axes "in-domain shifted coarse" "in-domain: other recordings; shifted: other speakers; coarse: one word each"
list families "sub confusable pairflip" "types of wrong words of audit inject"
list rates "0.1 0.3 0.45 0.6 0.8 0.95" "shares of wrong words"
list seeds "0 1" "a training per axis, family, rate and seed"
option strings 480      "digit strings, six words each on average; as many words one by one for the coarse axis"
option parallel 2       "cells at once"
option nj     2         "processes that make audio"
option exp    exp       "folder of models, scores and curves"
options "$@"
cell() { # cell AXIS FAMILY RATE SEED: noise in both parts; a model of the one judges the other
  local fold="data/folds-$1/fold-0" dir="$exp/cells/$1/$2-$3-$4" part
  for part in train test; do
    speechkit audit inject "$fold/$part.jsonl.gz" --level word --mix "$2" --rate "$3" --seed "$4" --out "$dir/$part"
  done
  speechkit align forced "$dir/train" --max-bad 5% --out "$dir/aligned"
  speechkit train conf/ctc.yaml --train "$dir/aligned" --set seed="$4" --out "$dir/model"
  speechkit audit logprobs "$dir/test" --exp "$dir/model" --out "$dir/log-probs"
  speechkit audit score "$dir/test" --log-probs "$dir/log-probs" --out "$dir/scores"
  speechkit audit eval "$dir/scores" "$dir/test" --json "$dir/eval.json"
}

if stage 0 "strings"; then
  strings() { # the takes of a block never meet those of another
    speechkit data prepare fsdd-strings "$corpus" --set speakers=jackson,nicolas,yweweler,lucas,theo,george \
      --set take_blocks=3 --nj "$nj" "$@"
  }
  strings --set num_strings="$strings" --set min_words=4 --set max_words=8 --out data/strings
  strings --set num_strings="$((6 * strings))" --set max_words=1 --out data/words
fi
if stage 1 "folds"; then
  speechkit audit folds data/strings --folds 3 --by block --out data/folds-in-domain
  speechkit audit folds data/strings --folds 3 --by speaker --out data/folds-shifted
  speechkit audit folds data/words --folds 3 --by block --out data/folds-coarse
fi
if stage 2 "noise, models and scores"; then
  for axis in $axes; do
    for seed in $seeds; do
      for family in $families; do
        for rate in $rates; do
          spawn cell "$axis" "$family" "$rate" "$seed"
        done
      done
    done
  done
  gather
fi
if stage 3 "curves"; then
  speechkit audit curve "$exp"/cells/*/*/eval.json --group 'cells/([^/]+)/' --title "Where an audit stops to see" \
    --out "$exp/curves" --update RESULTS.md
fi
