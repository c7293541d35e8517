"""stub"""
from dataclasses import dataclass
@dataclass
class Record:
    results: object
    command: str
    minutes: float
    quick: bool
    repetitions: int
    versions: dict
    machine: str
    load_before: float
def save(r,p): pass
def load(p): pass
def markdown(r):
    import pprint; return pprint.pformat(r.results.figures, width=160)+"\n"+pprint.pformat((r.results.absent,r.results.skipped),width=160)
