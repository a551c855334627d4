#!/usr/bin/env bash
# One frozen language model of units, many tasks: prompts and low-rank updates beside all that they have to beat.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus   data/fsdd "free-spoken-digit-dataset: a git clone, or a folder with manifest.tsv; absolute path"
list   tasks    digits "of digits, ten-shot, speaker, strings, words, orders and icl (examples in the context)"
option words    ""    "folder of dspspeech20, for words and icl; absolute path"
option orders   ""    "folder of barista, for orders; absolute path"
list   methods  "lora prompt head full" "what is trained; each is a row of the table"
option seeds    3     "runs of everything that is trained"
option string_seeds 1 "runs of digit strings, which take ten times as long"
option parallel 2     "trainings at once"
option nj       2     "processes that make audio and units"
option exp      exp   "folder of models, predictions and scores"
options "$@"
prompted=${tasks/icl/}
has() { [[ " $tasks " == *" $1 "* ]]; }
heard="jackson|nicolas|yweweler|lucas" # the two others are never heard in training
corpus_of() { # corpus_of TASK: its parts are data/CORPUS-train and data/CORPUS-test
  local named=${1/ten-shot/digits}; echo "${named/speaker/takes}"
}
sets() { # sets: all that is encoded, a line each
  printf '%s\n' synthetic strings-train digits-{train,test}
  for task in $prompted; do printf "$(corpus_of "$task")-%s\n" train test; done
  ! has strings || echo unheard-test
  ! has icl || printf '%s\n' made takes-test words-test
}
train() { # train TASK METHOD
  local from more=(--seeds "$seeds" --set unit_noise=0.3 --set optim.num_steps=300)
  from=$(corpus_of "$1")
  [[ $1 != ten-shot ]] || more+=(--shots 10)
  [[ $1 != strings ]] || more=(--seeds "$string_seeds" --set unit_noise=0.2 --set optim.num_steps=600)
  [[ $2 != lora ]] || more+=(--set method.rank=5)
  [[ $1-$2 != strings-lora ]] || more+=(--set method.rank=16 --set 'method.targets=[query,key,value,output]')
  speechkit prompt train "conf/tasks/$1.yaml" --lm "$exp/ulm" --units "$exp/units/$from-train" --cuts "data/$from-train" \
    --method "$2" "${more[@]}" --out "$exp/$1/$2"
}
evaluate() { # evaluate TASK TEST BASELINES: the methods, and what else there is to beat
  local from
  from=$(corpus_of "$1")
  speechkit prompt eval "${trained[@]/#/$exp/$1/}" --lm "$exp/ulm" --units "$exp/units/$2" --cuts "data/$2" --baselines "$3" \
    --train-units "$exp/units/$from-train" --train-cuts "data/$from-train" --out "$exp/$1/eval-$2"
}
read -ra trained <<<"$methods"
if stage 0 "speech"; then
  prepare() { speechkit data prepare "$@" --nj "$nj"; }
  digits() { prepare fsdd "$corpus" --set where="$1" --out "data/$2"; }
  takes() { seq -s '|' "$1" "$2"; }
  strings() { prepare fsdd-strings "$corpus" --set min_words=3 --set max_words=5 --set speakers="${1//|/,}" "${@:2}"; }
  digits "speaker:$heard,take:$(takes 5 49)" digits-train
  digits "speaker:george|theo" digits-test
  strings "$heard" --set num_strings=2000 --set takes=5-49 --out data/strings-train
  voices() { speechkit data synth --sampling-rate 8000 --pitch 10:99 --formant 0.9:1.3 --rate 80:180 --nj "$nj" "$@"; }
  voices --speakers 60 --digits 3:5 --digit-strings 1500 --sentences-per-speaker 25 --word-gap-ms 100 --out data/synthetic
  if has strings; then
    strings "$heard" --set num_strings=200 --set takes=0-4 --set seed=2 --out data/strings-test
    strings "george|theo" --set num_strings=300 --set seed=3 --out data/unheard-test
  fi
  if has speaker || has icl; then
    digits "take:$(takes 5 19)" takes-train
    digits "take:$(takes 0 4)" takes-test
  fi
  ! has icl || voices --speakers 24 --texts conf/words.txt --sentences-per-speaker 30 --seed 5 --prefix made --out data/made
  two_sides() { # two_sides NAME CORPUS FOLDER
    [[ -n $3 ]] || { echo "error: --tasks needs --$1 DIR" >&2; exit 2; }
    prepare "$2" "$3" --set where="split:train|dev" --out "data/$1-train"
    prepare "$2" "$3" --set where=split:test --out "data/$1-test"
  }
  if has words || has icl; then two_sides words dspspeech20 "$words"; fi
  ! has orders || two_sides orders barista "$orders"
fi
if stage 1 "units"; then
  speechkit units kmeans data/strings-train --k 200 --set features.sampling_rate=8000 --set features.hop_ms=20 \
    --set features.normalize=utterance --nj "$nj" --out "$exp/codebook"
  for set in $(sets | sort -u); do
    spawn speechkit units quantize "data/$set" --codebook "$exp/codebook" --out "$exp/units/$set"
  done
  gather
  speechkit units stats "$exp/units/digits-test" --cuts data/digits-test --against text,speaker --json "$exp/units.json"
fi
if stage 2 "language model"; then
  read=("$exp"/units/{strings-train,digits-train,synthetic})
  for name in words orders; do ! has "$name" || read+=("$exp/units/$name-train"); done
  speechkit train conf/ulm.yaml "${read[@]/#/--train=}" --out "$exp/ulm"
fi
if stage 3 "prompts"; then
  for task in $prompted; do
    for method in $methods; do spawn train "$task" "$method"; done
  done
  gather
fi
if stage 4 "comparison"; then
  for task in ${prompted/strings/}; do spawn evaluate "$task" "$(corpus_of "$task")-test" bow,pool,random; done
  if has strings; then # a bag has no order
    for test in strings-test unheard-test; do spawn evaluate strings "$test" none; done
  fi
  gather
fi
if stage 5 "many tasks in one batch"; then
  banked=()
  for task in ${prompted/strings/}; do banked+=("$exp/$task/lora/seed-0"); done # strings have another rank
  if ((${#banked[@]})); then
    speechkit prompt bank "${banked[@]}" --lm "$exp/ulm" --out "$exp/bank"
    speechkit prompt predict "$exp/bank" --lm "$exp/ulm" --units "$exp/units/digits-test" --out "$exp/bank-digits-test"
  fi
fi
if stage 6 "in-context learning"; then
  task() { echo "{name: $1, label: $2, units: $exp/units/$3, cuts: data/$3}"; }
  warmup="$(task made-word text made), $(task made-voice speaker made)"
  asked="$(task digit text digits-test), $(task speaker speaker takes-test)"
  asked+=", $(task word text words-test), $(task student speaker words-test)"
  ! has icl || speechkit prompt icl conf/icl.yaml --lm "$exp/ulm" --set warmup="[$warmup]" --set evaluation="[$asked]" \
    --out "$exp/icl"
fi
if stage 7 "results"; then
  reported=("$exp"/*/eval-*/report.json)
  ! has icl || reported+=("$exp/icl/icl.json")
  speechkit report "${reported[@]}" --title "Prompts for a unit language model" --out "$exp/report.html" --update RESULTS.md
fi
