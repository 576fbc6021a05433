"""What is known of a method, a data set or a backbone without importing it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from rdh.catalog.complaints import complaint, shown
from rdh.catalog.relative import relative_path


def _relative(text: str) -> str:
    try:
        relative_path(text)
    except ValueError as error:
        raise ValueError(f"{error}, from the data folder on (RDH_DATA, or --data-root)") from None
    return text  # as it was given: the hash of a config is over it


PathBelow = Annotated[str, AfterValidator(_relative)]  # of a file or folder in the data folder
TYPES = {"int": int, "float": float, "bool": bool, "str": str, "PathBelow": PathBelow}
GREY = "#8C8C8C"  # of a method that names no colour
STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Switch:
    """One keyword argument of a method or a data set's `load`.

    Args:
        name: the argument.
        default: its default.
        kind: a key of `TYPES`; of a Literal, the type of its choices.
        choices: those of a Literal.
        is_optional: whether None is a value too.
        meaning: what it does, in a few words.
        ge, gt, le, lt: its bounds, as pydantic names them.
    """

    name: str
    default: Any
    kind: Literal["int", "float", "bool", "str", "PathBelow"]
    choices: tuple[Any, ...] = ()
    is_optional: bool = False
    meaning: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    @property
    def field(self) -> FieldInfo:
        """The switch as a field of a pydantic model would have it: type, bounds, description."""
        return _field(self)

    def checked(self, value: Any) -> Any:
        """The value as the switch keeps it. A float switch turns a whole number into a float.

        Raises:
            ValueError: the rule that the value breaks, and the value.
        """
        try:
            return _adapter(self).validate_python(value)
        except ValidationError as error:
            rule = complaint(error.errors(include_url=False)[0], self.field)
            raise ValueError(f"{rule}, got {shown(value)}") from None


@lru_cache(maxsize=1024)
def _field(switch: Switch) -> FieldInfo:
    annotation: Any = Literal[switch.choices] if switch.choices else TYPES[switch.kind]
    if switch.is_optional:
        annotation = Union[annotation, None]  # noqa: UP007 (the type is a value here)
    bounds = {name: getattr(switch, name) for name in ("ge", "gt", "le", "lt")}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    marked = Field(default=switch.default, description=switch.meaning, **given)
    return FieldInfo.from_annotated_attribute(annotation, marked)


@lru_cache(maxsize=1024)
def _adapter(switch: Switch) -> TypeAdapter[Any]:
    field = switch.field
    marked: Any = field.annotation
    if field.metadata:
        marked = Annotated[(field.annotation, *field.metadata)]
    return TypeAdapter(marked, config=ConfigDict(strict=True, allow_inf_nan=False))


class Card(BaseModel):
    """What every kind of card says.

    name: as configs have it. title: short, for tables. text: the docstring, whose first line is the
    headline. file: "rdh/methods/dpsh.py".
    """

    model_config = STRICT

    name: str
    title: str = Field(min_length=1)
    text: str
    file: str
    switches: tuple[Switch, ...] = ()

    @property
    def headline(self) -> str:
        """The first line of the text."""
        return self.text.splitlines()[0]

    def checked(self, options: dict[str, Any], what: str) -> dict[str, Any]:
        """The options in alphabetical order and as the switches keep them: equal options are equal.

        None for a switch that can't be None is the same as leaving it out if its default is None.

        Args:
            options: switch -> value.
            what: "method_options", for the sentence.

        Raises:
            ValueError: for a switch that the card does not have and for a value that it refuses.
        """
        switches = {switch.name: switch for switch in self.switches}
        for name in options:
            if name not in switches:
                known = ", ".join(switches) or "none: it has no switches"
                raise ValueError(f"{what} of {self.name} must be among {known}, got {shown(name)}")
        found = {}
        for name in sorted(options):
            if options[name] is None and switches[name].default is None:
                continue
            try:
                found[name] = switches[name].checked(options[name])
            except ValueError as error:
                raise ValueError(f"{what} {name} {error}") from None
        return found


class Landscape(BaseModel):
    """A method's objective for one pair, in the terms of `rdh.landscape.PairForm`.

    What is left out is as in Eq. 1. theta_scale_times_bits is a scale of Theta that is divided by
    the code length.
    """

    model_config = STRICT

    theta_scale: float = 0.5
    theta_scale_times_bits: float | None = None
    pair_weight: float = 1.0
    quantization: Literal["squared", "log_cosh", "none"] = "squared"
    quantization_weight: float | None = None


class MethodCard(Card):
    """A method. The fields are attributes of its class, explained in `rdh.methods`."""

    kind: Literal["deep", "shallow"] = "deep"
    activation: str | None = "tanh"
    trains_on: Literal["train", "gallery"] = "train"
    stores_all_codes: bool = False
    n_streams: int = Field(default=1, ge=1, le=2)
    plain_weight: str | None = None
    one_device: str | None = None
    landscape: dict[str, Any] | None = None
    color: str = Field(default=GREY, pattern="^#[0-9A-Fa-f]{6}$")

    @property
    def is_shallow(self) -> bool:
        """Whether it is fitted once to fixed features instead of trained by steps."""
        return self.kind == "shallow"

    @property
    def saturates(self) -> bool:
        """Whether its activation has a flat end in which a bit can die."""
        return self.activation is not None

    @property
    def has_plain_term(self) -> bool:
        """Whether it has a plain quantization term, which error-aware quantization replaces."""
        return self.plain_weight is not None

    @property
    def plain_default(self) -> float | None:
        """The weight of the plain term if nobody gives one; None without such a term."""
        defaults = {switch.name: switch.default for switch in self.switches}
        return defaults[self.plain_weight] if self.plain_weight else None

    def refusal(self, amplifier: bool, quantization: str) -> str | None:
        """Field, rule and reason if the method can't be run with these plug-ins; None: it can."""
        if amplifier and not self.saturates:
            return (
                f"amplifier must be off for {self.name}: nothing saturates there, so no bit can die"
                + ("" if self.is_shallow else "; error-aware quantization alone is possible")
            )
        if quantization == "error_aware" and self.is_shallow:
            return (
                f"quantization must be plain for {self.name}, got {quantization!r}: it is fitted, "
                f"without a loss to add a term to"
            )
        return None

    def needs_one_device(self) -> str | None:
        """Why a run can't be shared among several devices; None: it can."""
        if self.is_shallow:
            return "it is fitted once, so there are no steps to share"
        return self.one_device

    def arms(self) -> tuple[bool, ...]:
        """The arms of a pair that the method can be run in: False the baseline, True with RDH."""
        return (False,) if self.refusal(True, "error_aware") else (False, True)


class DatasetCard(Card):
    """A data set. The fields are names of its module, explained in `rdh.datasets`."""

    is_multi_label: bool = False
    top_k: int | None = Field(default=None, ge=1)
    has_download: bool = False


class BackboneCard(Card):
    """A backbone. The fields are the arguments of its mark `@backbone(...)`."""

    pretrained: bool = False
    min_image_size: int = Field(default=1, ge=1)
    only_image_size: int | None = Field(default=None, ge=1)
    trainable: bool = True
