"""`speechkit audit`: which transcripts are wrong, where, how many, how sure."""

from __future__ import annotations

import typer

from speechkit.cli import audit_evidence, audit_truth, audit_verdict

app = typer.Typer(
    name="audit", help="Find wrong transcripts, say how many there are, repair them.", no_args_is_help=True
)
for _commands in (audit_truth, audit_evidence, audit_verdict):
    _commands.register(app)
