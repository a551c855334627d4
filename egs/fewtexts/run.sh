#!/usr/bin/env bash
# Few texts: 20 sentences x 30 synthetic voices; how well are seen and unseen sentences recognised?

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option speakers 30  "training voices"
option seed     0   "decides corpus and training"
option nj       2   "processes that make audio"
option exp      exp "folder of models, hypotheses and scores"
options "$@"
synth() { # both corpora share accents, tempo and noise; the voices are disjoint
  speechkit data synth --seed "$seed" --accents en-us,en-gb-x-rp,en-gb-scotland --rate 130:200 --noise --snr 18:30 \
    --nj "$nj" "$@"
}

if stage 0 "corpora"; then
  # the first 20 sentences of the test set are the training sentences, the other 60 are new
  synth --speakers "$speakers" --sentences 20 --voice-set train --out data/train
  synth --speakers 8 --sentences 80 --voice-set test --prefix test --out data/test
fi
if stage 1 "training"; then
  speechkit train conf/ctc.yaml --train data/train --set seed="$seed" --out "$exp/ctc"
fi
if stage 2 "decoding"; then
  speechkit decode data/test --exp "$exp/ctc" --out "$exp/ctc-test"
fi
if stage 3 "scores"; then
  speechkit score wer data/test "$exp/ctc-test" --train-text data/train --json "$exp/ctc-test.json"
  speechkit report "$exp/ctc-test.json" "$exp/ctc" --title "Few texts" --out "$exp/report.html" --update RESULTS.md
fi
