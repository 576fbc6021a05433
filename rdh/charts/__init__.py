"""Charts: plain data (numpy, pandas) in, a Plotly figure out.

No Streamlit, no template; colours from `palette.py`.
"""
