#!/usr/bin/env bash
# Which transcripts are wrong? Digit strings with planted faults, models that never heard what they judge, and the repair.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus   data/fsdd "free-spoken-digit-dataset: a git clone, or a folder with manifest.tsv; absolute path"
option so762    ""        "folder of speechocean762 with its digit strings; empty: none"
list   seeds    "0 1 2 3 4" "corpora with faults, each audited by its own models"
list   repairs  "0 1 2"   "seeds of which the cleaned manifests are trained on"
option steps    400       "updates of a training; speakers never heard take a quarter more"
option strings  1002      "utterances of a corpus"
option parallel 2         "audits or trainings at once"
option nj       2         "processes that make audio"
option exp      exp       "folder of audits, models and scores"
options "$@"
speakers=jackson,nicolas,yweweler,lucas,theo,george
systems="noisy star drop weight correct clean"
strings() { # strings SEED OPTION...: 4 to 8 digits of one speaker at 20 dB
  speechkit data prepare fsdd-strings "$corpus" --nj "$nj" --set speakers=$speakers --set min_words=4 --set max_words=8 \
    --set max_gap_ms=100 --set tight_share=0 --set snr_db=20 --set seed="$@"
}
audit() { # audit NAME SEED CUTS OPTION...: the whole of it, and measured against the truth
  local name=$1 seed=$2 cuts=$3; shift 3
  speechkit audit run "$cuts" --seed "$seed" --out "$exp/$name-$seed" "$@"
  speechkit audit eval "$exp/$name-$seed/scores" "$cuts" --json "$exp/audit/$name-scores-$seed.json"
  speechkit audit eval "$exp/$name-$seed/audit" "$cuts" --json "$exp/audit/$name-audit-$seed.json"
}
repair() { # repair POLICY SEED: the corpus with wrong words after what the audit says; nobody has looked
  local out=data/$2/$1 accept=()
  [[ $1 != correct ]] || { out=data/$2/corrected accept=(--accept-above 0); }
  speechkit audit apply "$exp/words-$2/cuts" --audit "$exp/words-$2/audit" --policy "$1" "${accept[@]}" --out "$out"
  [[ $1 != correct ]] || speechkit align forced "$out" --max-bad 5% --out "data/$2/correct" # other words, other times
}
train() { # train SYSTEM SEED: and score
  local cuts=data/$2/$1 options=()
  case $1 in
    noisy | star) cuts=$exp/words-$2/cuts ;;
    clean) cuts=data/$2/aligned ;;
  esac
  [[ $1 != star && $1 != weight ]] || options=(--set model.star.word_weight=-12)
  speechkit train conf/ctc.yaml --train "$cuts" --set optim.num_steps="$steps" --set seed="$2" "${options[@]}" \
    --out "$exp/$1-$2"
  speechkit decode data/test --exp "$exp/$1-$2" --out "$exp/$1-$2-test"
  speechkit score wer data/test "$exp/$1-$2-test" --json "$exp/score/$1-$2.json"
}

if stage 0 "strings"; then
  for seed in $seeds; do
    strings "$seed" --set num_strings="$strings" --set take_blocks=3 --set takes=5-49 --out "data/$seed/said"
  done
  strings 1001 --set num_strings=300 --set takes=0-4 --out data/test
  speechkit data synth --speakers 60 --digits 4:8 --digit-strings 1500 --sentences-per-speaker 20 --rate 100:220 \
    --pitch 10:99 --formant 0.9:1.15 --sampling-rate 8000 --prefix syn --seed 7 --nj "$nj" --out data/voices
fi
if stage 1 "faults"; then
  for seed in $seeds; do
    speechkit audit inject "data/$seed/said" --rate 0.1 --seed "$seed" --out "data/$seed/faulty"
  done
  for seed in $repairs; do
    speechkit audit inject "data/$seed/said" --level word --rate 0.2 --seed "$seed" --out "data/$seed/words"
    speechkit align forced "data/$seed/said" --out "data/$seed/aligned"
  done
fi
if stage 2 "audits"; then
  for seed in $seeds; do
    spawn audit known "$seed" "data/$seed/faulty" --conf conf/ctc.yaml --set optim.num_steps="$steps" --by block
    spawn audit unheard "$seed" "data/$seed/faulty" --conf conf/shift.yaml --set optim.num_steps="$((steps * 5 / 4))" \
      --by speaker --also-train data/voices
  done
  for seed in $repairs; do
    spawn audit words "$seed" "data/$seed/words" --conf conf/ctc.yaml --set optim.num_steps="$steps" --by block
  done
  gather
fi
if stage 3 "repairs"; then
  for seed in $repairs; do
    for policy in drop weight correct; do repair "$policy" "$seed"; done
  done
  for seed in $repairs; do
    for system in $systems; do spawn train "$system" "$seed"; done
  done
  gather
fi
if stage 4 "recordings as they are"; then
  speechkit data prepare fsdd "$corpus" --nj "$nj" --out data/isolated
  spawn speechkit audit run data/isolated --conf conf/ctc.yaml --set optim.num_steps="$steps" --by duplicate --out "$exp/isolated"
  for folder in ${so762:+"$so762"}; do
    speechkit data prepare so762 "$folder" --set kind=digits --out data/so762
    spawn speechkit audit run data/so762 --conf conf/shift.yaml --by speaker --also-train data/0/said --also-train data/voices \
      --out "$exp/so762"
  done
  gather
fi
if stage 5 "results"; then
  speechkit report "$exp"/audit/*.json "$exp"/score/*.json --title "Which transcripts are wrong" --out "$exp/report.html" \
    --group 'audit/(.*)-[0-9]+\.json' --group 'score/(.*)-[0-9]+\.json' --update RESULTS.md
fi
