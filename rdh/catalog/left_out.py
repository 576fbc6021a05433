"""Methods of the paper's related work that are not here, and why."""

LEFT_OUT = {
    "CCDH": "codes are compressed from those of an earlier, longer run, and its losses are only in "
    "a text that we could not read",
    "IAH": "it codes regions of an image one by one; the data sets have no regions and a hash "
    "layer sees one vector for each image",
}


def left_out() -> list[str]:
    """A sentence for each of these methods."""
    return [f"{name} is not here: {why}." for name, why in LEFT_OUT.items()]
