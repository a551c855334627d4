#!/usr/bin/env bash
# Which pasted utterances teach most? Ways to choose a few of many, at an equal budget, by WER on texts never seen.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
list   corpora  "texts digits" "synthetic sentences, real digits, or both"
option fsdd     ""    "free-spoken-digit-dataset, for the digits; absolute path"
option lists    ""    "folder with limited_*.tsv of the digits; empty: connected/ of --fsdd"
option pool     1500  "random pasted utterances to choose from"
option budget   150   "utterances that each way may add"
option steps    500   "updates of a training"
list   models   "ctc attention" "models to train"
list   seeds    "0 1 2" "a training of each system per seed"
option parallel 2     "trainings at once"
option nj       2     "processes that make audio"
option exp      exp   "folder of models, hypotheses and scores"
options "$@"
chosen="random gradmatch facility influence" # by a model, out of the pool
planned="cover target-lm"                    # by texts alone
of() { # of CORPUS: where its parts are; `target` is speech to get good at, never that of a test
  case $1 in
    texts) from=../fewtexts tests=test target=data/texts/target ;;
    digits) [[ -n $fsdd ]] || { echo "error: digits need --fsdd DIR; --corpora texts needs nothing" >&2; exit 2; }
      from=../fewdigits tests="test-george test-theo" target=../fewdigits/data/natural ;;
    *) echo "error: \`--corpora\` holds \`$1\`; expected texts, digits" >&2; exit 2 ;;
  esac
}
train() { # train CORPUS MODEL CHOICE SEED
  local paste=(--set cutpaste.plan="data/$1/$3")
  [[ $3 != none ]] || paste=()
  speechkit train "$from/conf/$2.yaml" --train "$from/data/aligned" "${paste[@]}" --set optim.num_steps="$steps" \
    --set seed="$4" --out "$exp/$1-$2-$3-$4"
}
evaluate() { # evaluate CORPUS MODEL CHOICE SEED
  local set name=$1-$2-$3-$4
  for set in $tests; do
    speechkit decode "$from/data/$set" --exp "$exp/$name" --require-converged --out "$exp/$name-$set"
    speechkit score wer "$from/data/$set" "$exp/$name-$set" --train-text "$from/data/train" --json "$exp/score/$1-$2-$3-$set-$4.json"
  done
}
each_system() { # each_system COMMAND: as an array over corpora, models, choices and seeds
  local corpus model choice seed
  for corpus in $corpora; do
    of "$corpus"
    for seed in $seeds; do
      for model in $models; do
        for choice in none $chosen $planned; do spawn "$1" "$corpus" "$model" "$choice" "$seed"; done
      done
    done
  done
  gather
}

if stage 0 "corpora and word times"; then
  for corpus in $corpora; do
    of "$corpus"
    if [[ $corpus == texts ]]; then
      ../fewtexts/run.sh --nj "$nj" --stop-stage 2
      speechkit data synth --speakers 8 --texts ../fewtexts/data/target.txt --sentences-per-speaker 15 --voice-set dev \
        --accents en-us,en-gb-x-rp,en-gb-scotland --rate 130:200 --noise --snr 18:30 --nj "$nj" --out "$target"
    else
      ../fewdigits/run.sh --corpus "$fsdd" --lists "$lists" --nj "$nj" --stop-stage 2
    fi
  done
fi
if stage 1 "a pool, and texts"; then
  for corpus in $corpora; do
    of "$corpus"
    read -ra excluded <<<"$tests"
    plan() { speechkit cutpaste plan "$from/data/inventory" "${excluded[@]/#/--exclude-text=$from/data/}" "$@"; }
    plan --mode uniform --num "$pool" --seed 1 --out "data/$corpus/pool"
    for mode in $planned; do plan --mode "$mode" --target-text "$target" --num "$budget" --out "data/$corpus/$mode"; done
  done
fi
if stage 2 "the models that choose"; then
  for corpus in $corpora; do
    of "$corpus"
    spawn train "$corpus" ctc none 0
  done
  gather
fi
if stage 3 "choices"; then
  for corpus in $corpora; do
    of "$corpus"
    for method in $chosen; do
      spawn speechkit cutpaste select "data/$corpus/pool" --method "$method" --num "$budget" --exp "$exp/$corpus-ctc-none-0" \
        --target "$target" --out "data/$corpus/$method"
    done
  done
  gather
fi
if stage 4 "training"; then each_system train; fi
if stage 5 "decoding and scores"; then each_system evaluate; fi
if stage 6 "results"; then
  speechkit report "$exp"/score/*.json --title "Which pasted utterances teach most" --out "$exp/report.html" --update RESULTS.md \
    --group 'score/((?:texts|digits)-(?:ctc|attention)-[a-z-]+?)-test.*\.json'
fi
