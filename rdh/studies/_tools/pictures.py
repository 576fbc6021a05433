"""The figures of a study as pictures for a paper, by Kaleido and a Chromium of this machine."""

import asyncio
import re
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rdh.charts.html_page import on_white
from rdh.errors import UserError
from rdh.files import DRAFT, atomic
from rdh.folders import named_browser
from rdh.studies._tools.findings import Findings
from rdh.studies._tools.report import check_finished, way_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

PICTURES = ("png", "svg")
WIDTH = 760  # pixels of a figure: with its 12 px letters it fits the text of a page
SCALE = 2  # picture points a pixel
WITHIN = 90  # seconds for one figure


def draw(findings: Findings, kind: str, folder: Path) -> list[Path]:
    """Writes a picture for each figure of a study: "table1-forest-1.png".

    All are drawn before the first of them takes the place of an old one.

    Args:
        findings: of the study.
        kind: of `PICTURES`.
        folder: where they are written; it is made if only its own name is missing.

    Returns:
        The files, in the order of the figures.

    Raises:
        UserError: No run has finished, the study has no figure, or Kaleido or a browser is missing
            or fails.
        OSError: The folder can't be written.
    """
    check_finished(findings)
    figures = {
        f"{findings.study.name}-{name}.{kind}": on_white(figure)
        for name, figure in findings.study.asked("figures", findings).items()
    }
    if not figures:
        raise UserError(
            f"The study {findings.study.name} has no figure yet: too few of its runs have "
            f"finished; {way_out(findings.study)}."
        )
    is_new = not folder.exists()
    folder.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=DRAFT, dir=folder) as temporary:
            _draw_all(figures, kind, Path(temporary))
            for name in figures:
                data = (Path(temporary) / name).read_bytes()
                with atomic(folder / name) as draft:
                    draft.write_bytes(data if kind == "png" else _named(data, name))
    except BaseException:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
        raise
    return [folder / name for name in figures]


def _draw_all(figures: "dict[str, go.Figure]", kind: str, folder: Path) -> None:
    """One browser draws all figures, without a network: MathJax would come from one."""
    try:
        from kaleido import Kaleido
        from kaleido.errors import ChromeNotFoundError
    except ImportError:
        raise UserError(
            "Pictures need Kaleido, which is not installed; install it by `pip install "
            '"kaleido>=1"`, or take `--to html`.'
        ) from None

    async def work() -> None:
        async with Kaleido(path=named_browser(), mathjax=False, timeout=WITHIN) as browser:
            for name, figure in figures.items():
                size = {"width": WIDTH, "height": figure.layout.height, "scale": SCALE}
                opts = {"format": kind} | size
                await browser.write_fig(figure, folder / name, opts=opts, cancel_on_error=True)

    try:
        _run(work())
    except ChromeNotFoundError:
        raise UserError(
            "Pictures need a Chromium, and none was found; install it by `apt-get install "
            "chromium`, or name one by RDH_CHROMIUM."
        ) from None
    except UserError:
        raise
    except Exception as error:  # of the browser, its pipe, its script, or a full disk
        first = error.args[0] if error.args else ""
        text = first[0] if isinstance(first, tuple) and first else error
        reason = " ".join(str(text).split())[:200].rstrip(".") or type(error).__name__
        raise UserError(
            f"The browser could not draw the figures ({reason}); try again, name another browser "
            f"by RDH_CHROMIUM, or take `--to html`."
        ) from error


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Runs it to its end, in a thread of its own if this one has a loop already: a notebook's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _named(svg: bytes, name: str) -> bytes:
    """The picture without the random parts of Plotly's ids, so that it is always the same."""
    svg = re.sub(rb"(?<=[ \"])trace[0-9a-f]{6}(?=[ \"])", b"", svg)
    found = re.search(rb'<defs id="[a-z]+-([0-9a-f]{6})"', svg)
    return svg.replace(found[1], Path(name).stem.encode()) if found else svg
