#!/usr/bin/env bash
# Spoken commands by prompts for GSLM's language model of HuBERT units; you bring its three public files.

set -euo pipefail
. "$(dirname "$0")/../../tools/recipe.sh"
option corpus   data/raw "Speech Commands, unpacked; absolute path"
option hubert   ""    "weights of torchaudio's pipeline: hubert_fairseq_base_ls960.pth; absolute path"
option pipeline HUBERT_BASE "pipeline of torchaudio that the weights are of"
option layer    6     "layer of it that the centres are of"
option kmeans   ""    "GSLM's km.bin: 100 centres of that layer; absolute path"
option gslm     ""    "folder with checkpoint_best.pt and dict.txt of GSLM's hubert100_lm; absolute path"
list   methods  "prompt lora head" "what is trained"
option steps    4000  "updates of a training"
option seeds    3     "runs of everything that is trained"
option device   cpu   "cpu or cuda, for HuBERT, training and prediction"
option parallel 1     "trainings at once"
option nj       2     "processes that encode"
option exp      exp   "folder of models, predictions and scores"
options "$@"
for given in hubert kmeans gslm; do
  [[ -n ${!given} ]] || { echo "error: --$given is missing: nothing is downloaded; README.md says where it is" >&2; exit 2; }
done

if stage 0 "speech"; then
  for side in train dev test; do
    speechkit data prepare speech_commands "$corpus" --set where="split:$side" --nj "$nj" --out "data/$side"
  done
fi
if stage 1 "units"; then
  speechkit units import "$kmeans" --features ssl --set features.pipeline="$pipeline" --set features.layer="$layer" \
    --set features.checkpoint="$hubert" --out "$exp/codebook"
  for side in train dev test; do
    speechkit units quantize "data/$side" --codebook "$exp/codebook" --device "$device" --nj "$nj" --out "$exp/units/$side"
  done
  speechkit units stats "$exp/units/test" --cuts data/test --against text --json "$exp/units.json"
fi
if stage 2 "language model"; then
  speechkit prompt import "$gslm" --from gslm --codebook "$exp/codebook" --out "$exp/ulm"
fi
if stage 3 "prompts"; then
  for method in $methods; do # 5e-3 is the rate of the paper, for a model of this size
    spawn speechkit prompt train conf/commands.yaml --lm "$exp/ulm" --units "$exp/units/train" --cuts data/train \
      --dev-units "$exp/units/dev" --dev-cuts data/dev --method "$method" --seeds "$seeds" --set optim.lr=5e-3 \
      --set optim.num_steps="$steps" --set device="$device" --out "$exp/$method"
  done
  gather
fi
if stage 4 "comparison"; then
  read -ra trained <<<"$methods"
  speechkit prompt eval "${trained[@]/#/$exp/}" --lm "$exp/ulm" --units "$exp/units/test" --cuts data/test \
    --train-units "$exp/units/train" --train-cuts data/train --baselines bow,pool --set predict.device="$device" \
    --out "$exp/eval"
fi
if stage 5 "results"; then
  speechkit report "$exp/eval/report.json" --title "Spoken commands by prompts" --out "$exp/report.html" --update RESULTS.md
fi
