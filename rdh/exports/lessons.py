"""The lessons as one HTML file that needs no network, for a class to be handed out."""

from rdh.charts import html_page as page
from rdh.charts.html_text import markdown, math
from rdh.lessons import Demo, Lesson, lessons

TITLE = "Why bits die, what RDH does about it, and what it can't do"
HOW = (
    "Each lesson shows a picture and asks a question. Answer it first, then open “Answer”: the "
    "picture then shows more. On the page Lessons of the app{} you can move these pictures."
)


def lessons_in_one_file(demo: Demo, address: str = "") -> str:
    """All lessons: their words, questions, pictures, and answers that are folded.

    Args:
        demo: the pair that they look at.
        address: where others reach the app; "": that is not known.

    Returns:
        HTML; the same pair gives the same bytes.
    """
    config = demo.config
    pair = (
        f"The pair: {config.label} on {config.dataset}, {config.n_bits} bits, seed {config.seed}, "
        "without and with RDH."
    )
    how = HOW.format(f" ({address})" if address else "")
    body = [
        page.heading(TITLE, 1),
        page.paragraph(how),
        page.paragraph(pair, "small"),
    ]
    for number, lesson in enumerate(lessons(), 1):
        body += _lesson(number, lesson, demo)
    return page.html_page(TITLE, body)


def _lesson(number: int, lesson: Lesson, demo: Demo) -> list[str]:
    question = lesson.ask(demo)
    before, after = (lesson.picture(demo, answered) for answered in (False, True))
    first, second = (page.figure(lesson.name, one.figure) for one in (before, after))
    options = "".join(f"<li>{markdown(one)}</li>" for one in question.options)
    answer = [f"<p><b>{markdown(question.options[question.right])}</b></p>"]
    answer.append(f"<p>{markdown(question.why)}</p>")
    if second != first:
        answer.append(page.figure(f"{lesson.name}-answer", after.figure))
    if after.formula:
        answer.append(math(after.formula, is_block=True))
    return [
        page.heading(f"{number}. {lesson.title}"),
        f"<p>{markdown(lesson.text)}</p>",
        first,
        f"<p><b>{markdown(question.text)}</b></p><ul>{options}</ul>",
        f"<details><summary>Answer</summary>{''.join(answer)}</details>",
    ]
