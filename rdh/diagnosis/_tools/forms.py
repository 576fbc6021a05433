"""Whose a formula is: losses of other methods look different from Eq. 1."""

from rdh.config.run_config import RunConfig

OWN = ("theta_scale", "alpha_times_bits")  # switches of the methods whose pairs have a Theta


def whose_formula(config: RunConfig) -> str:
    """A sentence to put after a mechanism; "" if the method itself has a Theta, as Eq. 1.

    Args:
        config: of the run that the formula is shown for.
    """
    card = config.method_card
    if card.landscape is not None or {switch.name for switch in card.switches} & {*OWN}:
        return ""
    has = "may have" if config.is_watched else "has"  # what form a loop's own loss has, nobody told
    return (
        f" The formula is that of the paper's Eq. (1): the similarity loss of {card.title} {has} "
        "another form."
    )
