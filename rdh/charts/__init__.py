"""Charts: plain data (NumPy, pandas) in, a Plotly figure out.

No Streamlit and no template. Colours come from `palette.py`.
"""
