"""The parts of plotly.js that our charts need: a quarter of the file that plotly ships.

plotly.js draws maps, globes and fifty kinds of charts, and a browser sets all of them up before it
draws the first line. We use three kinds. The shipped file is a list of modules,
`var a=W((...)=>{...});`, each of which names those that it needs. So what the last one, which
registers the kinds of charts, does not reach can be left out.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

import plotly

from rdh.files import atomic

TRACES = ("bar", "heatmap")  # of rdh/charts/figure.py; scatter belongs to the core
WHOLE = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
MODULE = re.compile(r"(?=\bvar [\w$]+=W\()")
NAMES = re.compile(r"([\w$]+)=(?:W|Ea)\(|\bFp\(([\w$]+),")  # what other modules call a module by
REGISTERED = re.compile(r"(?<=\.register\(\[)[\w$(),]+(?=\]\))")
PASSED_ON = re.compile(r'^var [\w$]+=W\(\([\w$,]*\)=>\{"use strict";[\w$]+\.exports=([\w$]+)\(\)\}')
MINUS = re.compile(r'(minus===void 0\?"|minus:")-(?=")')  # of numbers with a format of ours
WANTED = re.compile(rf'moduleType:"trace",name:"(?:{"|".join(TRACES)})"')


@cache
def plotly_js() -> str:
    """plotly.js with our kinds of charts; the whole of it if its text is not built as expected."""
    whole = MINUS.sub("\\1\u2212", WHOLE.read_text(encoding="utf-8"))
    try:
        return _with_traces(whole)
    except LookupError:
        return whole


def kept_in(folder: Path) -> Path:
    """The file of `plotly_js` in a folder, which is made unless it is there: to cut takes 0.5 s.

    Its name says what it is made from, and what it holds.

    Args:
        folder: Made if it is missing.

    Raises:
        OSError: The folder can't be written.
    """
    source = plotly.__version__.encode() + Path(__file__).read_bytes()
    made_from = hashlib.sha256(source).hexdigest()[:8]
    for path in folder.glob(f"plotly_{made_from}-*.js"):
        if path.name == _name(made_from, path.read_bytes()):
            return path
    text = plotly_js().encode()
    path = folder / _name(made_from, text)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(path) as draft:
        draft.write_bytes(text)
    return path


def _name(made_from: str, text: bytes) -> str:
    return f"plotly_{made_from}-{hashlib.sha256(text).hexdigest()[:16]}.js"


def _with_traces(whole: str) -> str:
    """What the wanted kinds of charts need.

    Raises:
        LookupError: the text is built in another way.
    """
    first, *modules = MODULE.split(whole)
    places = {a or b: place for place, one in enumerate(modules) for a, b in NAMES.findall(one)}
    registered = REGISTERED.findall(modules[-1])[0]

    def is_wanted(name: str) -> bool:
        module = modules[places[name]]
        while passed_on := PASSED_ON.match(module):
            module = modules[places[passed_on[1]]]
        return bool(WANTED.search(module))

    calls = [call for call in registered.split(",") if is_wanted(call.removesuffix("()"))]
    if len(calls) != len(TRACES):
        raise LookupError(calls)
    modules[-1] = modules[-1].replace(registered, ",".join(calls))
    reached, left = set(), {len(modules) - 1}
    while left:
        reached.add(place := left.pop())
        words = set(re.findall(r"[\w$]+", modules[place]))
        left |= {places[word] for word in words if word in places} - reached
    return first + "".join(modules[place] for place in sorted(reached))
