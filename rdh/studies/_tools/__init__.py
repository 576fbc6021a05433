"""What the studies share: grids, runs that exist, statistics, tables, figures and reports."""
