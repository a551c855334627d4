"""Commands started n times, here or under Slurm: spec, wrapper, waiting, and what each failure means.

Layout of a job folder, `LOG/../jobs/NAME`: `spec.json` (what runs), `job.sh` (what sbatch got), `submitted.json`
(where it runs), `status/K.json` (how element K ended), `lease/K.N` (attempt N of element K; its time is the heartbeat).
"""
