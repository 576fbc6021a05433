"""The little Markdown and TeX of our own sentences as HTML, for files that need no network.

markdown("**dead** at $|h| \\ge \\tau$")   # <b>dead</b> at <math>...</math>
"""

import html
import re

SIGNS = {
    "alpha": "α", "eta": "η", "tau": "τ", "partial": "∂", "cdot": "⋅", "ge": "≥", "{": "{",
    "}": "}", "tanh": "tanh",
}  # fmt: skip
SPACES = {",": "0.2em", "big": "0"}
TOKEN = re.compile(r"\\(?:text|mathrm)\{[^}]*\}|\\[a-zA-Z]+|\\.|[0-9]+(?:[.,][0-9]+)*|\S")


def markdown(text: str) -> str:
    """Plain text with **bold**, *italic* and $formulas$ as HTML."""
    parts = text.split("$")
    shown = [math(part) if place % 2 else _marked(part) for place, part in enumerate(parts)]
    return "".join(shown)


def math(tex: str, *, is_block: bool = False) -> str:
    """A formula as MathML, which browsers draw by themselves.

    Args:
        tex: what the lessons write: fractions, braces below, sub- and superscripts, `SIGNS`.
        is_block: whether it stands on a line of its own.

    Raises:
        ValueError: It has a command that is not known here.
    """
    tokens = TOKEN.findall(tex)[::-1]  # the next one is the last
    kind = ' display="block"' if is_block else ""
    return f"<math{kind}>{_row(tokens)}</math>"


def _marked(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(text, quote=False))
    return re.sub(r"\*(.+?)\*", r"<em>\1</em>", text)


def _row(tokens: list[str]) -> str:
    """Everything up to the end of a group, which is taken off."""
    parts: list[str] = []
    while tokens and (token := tokens.pop()) != "}":
        if token in "^_":
            base, below = parts.pop(), token == "_"
            kind = ("munder" if "⏟" in base else "msub") if below else "msup"
            parts.append(f"<{kind}>{base}{_atom(tokens.pop(), tokens)}</{kind}>")
        else:
            parts.append(_atom(token, tokens))
    return f"<mrow>{''.join(parts)}</mrow>"


def _atom(token: str, tokens: list[str]) -> str:
    """One sign, or a command with what belongs to it, which is taken off the tokens."""
    if token == "{":
        return _row(tokens)
    if token == r"\frac":
        above, below = (_atom(tokens.pop(), tokens) for _ in range(2))
        return f"<mfrac>{above}{below}</mfrac>"
    if token == r"\underbrace":
        return f"<munder>{_atom(tokens.pop(), tokens)}<mo>⏟</mo></munder>"
    if token.startswith((r"\text{", r"\mathrm{")):
        words = token.partition("{")[2][:-1].replace(" ", "\u00a0")  # outer spaces would be lost
        return f"<mtext>{html.escape(words)}</mtext>"
    if token.startswith("\\"):
        name = token[1:]
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}"/>'
        if name not in SIGNS:
            raise ValueError(f"{token} is not known here")
        kind = "mo" if name in ("cdot", "ge", "{", "}") else "mi"
        return f"<{kind}>{SIGNS[name]}</{kind}>"
    if token[0].isdigit():
        return f"<mn>{token}</mn>"
    return (
        f"<mi>{token}</mi>"
        if token.isalpha()
        else f"<mo>{html.escape(token).replace('-', '−')}</mo>"
    )
