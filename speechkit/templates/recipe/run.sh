#!/usr/bin/env bash
# A CTC recogniser from a table of recordings, with an honest WER on seen and unseen texts.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus data/raw.tsv "table with the columns path, id, speaker, text, split (train, dev or test)"
option max_bad 1%          "share of unusable recordings that are skipped"
option share   text        "what splits may share: text, speaker, both (speaker,text) or none (empty)"
option nj      2           "processes that read the audio"
option seed    0           "decides the training"
option exp     exp         "folder of model, hypotheses and scores"
options "$@"

if stage 0 "data"; then
  for split in train dev test; do
    speechkit data prepare tsv "$corpus" --set where=split:$split --max-bad "$max_bad" --nj "$nj" --out data/$split
  done
  speechkit data validate data/train data/dev data/test --may-share "$share" --nj "$nj"
fi
if stage 1 "training"; then
  spawn speechkit train conf/ctc.yaml --train data/train --dev data/dev --set seed="$seed" --out "$exp/ctc"
  gather
fi
if stage 2 "decoding"; then
  spawn speechkit decode data/test --exp "$exp/ctc" --out "$exp/decode"
  gather
fi
if stage 3 "scores"; then
  speechkit score wer data/test "$exp/decode" --train-text data/train --json "$exp/wer.json"
  speechkit report "$exp/wer.json" "$exp/ctc" --out "$exp/report.html" --update RESULTS.md
fi
