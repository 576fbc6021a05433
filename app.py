"""`streamlit run app.py`: the page Start, and the server of all pages, behind the guard."""

import streamlit as st
from starlette.middleware import Middleware

from pages.common.guard import guarded
from pages.common.kept_files import KeptFiles
from pages.common.known_address import KnownAddress
from pages.common.one_level import OneLevel

if __name__ == "__main__":  # Streamlit draws the page
    from pages.common.shell import start_page
    from pages.common.start import draw_start

    start_page(
        "Rescuing dead bits",
        ":material/home:",
        "Deep hashing with and without RDH: see which bits die, why, and what brings them back.",
        label="Start",
        section="",
        place=0,
    )
    draw_start()
else:  # `streamlit run` imports this file to serve it: not one module of a page is needed yet
    around = [Middleware(one) for one in (OneLevel, KeptFiles, KnownAddress)]
    app = st.App(__file__, middleware=[*guarded(), *around])
