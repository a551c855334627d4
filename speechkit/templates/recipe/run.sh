#!/usr/bin/env bash
# A CTC recogniser from a table of recordings, with an honest WER on new texts and new speakers.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus data/raw.tsv "table with the columns path, id, speaker, text; paths start at its folder"
option nj     2            "processes that read the audio"
option seed   0            "decides the split and the training"
option exp    exp/ctc      "folder of the trained model"
options "$@"

if stage 0 "data"; then
  speechkit data prepare tsv "$corpus" --nj "$nj" --max-bad 1% --out data/all
  speechkit data split data/all --by speaker,text --dev 0.1 --test 0.1 --seed "$seed" --out data/split
fi
if stage 1 "training"; then
  speechkit train conf/ctc.yaml --train data/split/train.jsonl.gz --dev data/split/dev.jsonl.gz \
    --set seed="$seed" --out "$exp"
fi
if stage 2 "decoding"; then
  speechkit decode data/split/test.jsonl.gz --exp "$exp" --out exp/decode
fi
if stage 3 "scores"; then
  speechkit score wer data/split/test.jsonl.gz exp/decode/hyp.jsonl \
    --train-text data/split/train.jsonl.gz --json exp/wer.json
  speechkit report exp/wer.json "$exp" --out exp/report.html --update RESULTS.md
fi
