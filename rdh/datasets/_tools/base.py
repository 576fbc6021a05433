"""The base class of all data sets: labels, a seeded split, and images as uint8.

Items are numbered 0..n_items - 1 in an order that depends on the data alone, so an item id means
the same image in every process and on every machine. A data set subclasses `Dataset` with
`read_image`; see `digits.py`.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from rdh.datasets._tools.splits import Split, SplitProtocol, checked_seed
from rdh.errors import Progress, UserError, printable

PROGRESS_EVERY = 256  # images
MOST_NAMED = 5  # images in a sentence


class BadImage(UserError):
    """One image that cannot be decoded. The sentence names it and says why."""


class Dataset:
    """Labelled images.

    Args:
        name: The file name of the data set.
        labels: uint8 (n_items, n_classes), multi-hot.
        class_names: One for each column, all different.
        fingerprint: sha256 that changes if the images or their order do.
        protocol: How `split` draws.
        image_shape: (height, width, channels), if all images share one.
        top_k: The ranks that count in this data set's MAP; None: all.

    Attributes:
        stamp: What else tells images of equal fingerprints apart, such as the times of files. Part
            of the keys of caches.
        features: float32 (n_items, n_features), if the data are features already.
        passed_over: Reason -> number of files and folders that were not taken.
        warnings: What a person should know, one sentence each. Skipped images are named here once.

    Raises:
        UserError: Two classes have the same name.
        TypeError: labels or protocol are of another kind; `rdh.datasets` makes it a sentence.
    """

    features: np.ndarray | None = None
    stamp: str = ""
    passed_over: Mapping[str, int] = MappingProxyType({})
    _eta_warning: tuple[float, str] | None = None  # (the eta that fits, the sentence)

    def __init__(
        self,
        name: str,
        labels: np.ndarray,
        class_names: Sequence[str],
        fingerprint: str,
        protocol: SplitProtocol,
        *,
        image_shape: tuple[int, int, int] | None = None,
        top_k: int | None = None,
    ) -> None:
        if not isinstance(labels, np.ndarray) or labels.shape[1:] != (len(class_names),):
            got = getattr(labels, "shape", type(labels).__name__)
            raise TypeError(f"labels must be an array (n, {len(class_names)} classes), got {got}")
        if not hasattr(protocol, "split"):
            raise TypeError(f"protocol must have a method split, got {protocol!r}")
        self.name, self.labels = name, labels
        # A folder may be called anything, and the name goes to terminals, files and browsers.
        self.class_names = tuple(map(printable, class_names))
        (twice, n), *_ = Counter(self.class_names).most_common(1)
        if n > 1:
            raise UserError(f"The class names of {name} must differ, got {twice!r} {n} times.")
        self.fingerprint, self.image_shape, self.top_k = fingerprint, image_shape, top_k
        self.protocol = protocol
        self.warnings: list[str] = []
        self._bad_ids: set[int] = set()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_multi_label(self) -> bool:
        """Whether any item has more than one label."""
        return bool((self.labels.sum(axis=1) > 1).any())

    @property
    def passed_over_words(self) -> str:
        """For example "passed over: hidden files (2)"; empty if nothing was passed over."""
        words = ", ".join(f"{reason} ({n:,})" for reason, n in sorted(self.passed_over.items()))
        return f"passed over: {words}" if words else ""

    def image(self, item_id: int) -> np.ndarray:
        """One image, uint8 (height, width, channels).

        Raises UserError for an unknown id, BadImage if undecodable.
        """
        return np.array(self.read_image(int(self.checked_ids(item_id)[0])))

    def read_image(self, item_id: int) -> np.ndarray:
        """An image, uint8 (height, width, 1 or 3). Every data set has to implement it.

        The id was checked. Raises BadImage.
        """
        raise NotImplementedError

    def image_name(self, item_id: int) -> str:
        """A name for people: the image's file, or its number."""
        return f"item {int(item_id)} of {self.name}"

    def rough_keys(self) -> np.ndarray:
        """A number for each item, int64 (n_items,), found without reading it.

        Equal pictures have equal numbers.
        """
        return np.zeros(len(self), np.int64)

    def picture_key(self, item_id: int, *, is_quick: bool = False) -> bytes:
        """Equal pictures have equal keys, and different pictures different ones.

        is_quick: reads the beginning only, so different pictures may have equal keys.
        """
        image = self.read_image(item_id)
        return hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).digest()

    def names_of(self, item_ids: Sequence[int] | np.ndarray) -> str:
        """The names of the first few, and how many more there are."""
        shown = ", ".join(self.image_name(int(item_id)) for item_id in item_ids[:MOST_NAMED])
        return shown + (
            f" and {len(item_ids) - MOST_NAMED} more" if len(item_ids) > MOST_NAMED else ""
        )

    def images(
        self,
        item_ids: Sequence[int] | np.ndarray,
        bad_images: str = "stop",
        progress: Progress | None = None,
    ) -> tuple[np.ndarray | list[np.ndarray], np.ndarray]:
        """Images in the order of their ids.

        Args:
            item_ids: Of the items.
            bad_images: "stop" raises BadImage if one can't be decoded, at most PROGRESS_EVERY
                images after it, so that the sentence names others too. "skip" leaves it out; the
                caller drops the missing ids by `Split.without`.
            progress: Called with (images done, images in all).

        Returns:
            One uint8 array (n, height, width, channels) if all images share a shape, else a list of
            images; and the ids that they belong to, int64 (n,).
        """
        if bad_images not in ("stop", "skip"):
            raise UserError(f'bad_images must be "stop" or "skip", got {bad_images!r}.')
        ids = self.checked_ids(item_ids)
        found: Any = [None] * len(ids)
        if self.image_shape:
            found = np.empty((len(ids), *self.image_shape), dtype=np.uint8)
        kept: list[int] = []
        bad: dict[int, BadImage] = {}
        for done, item_id in enumerate(ids.tolist(), start=1):
            try:
                found[len(kept)] = self.read_image(item_id)
                kept.append(item_id)
            except BadImage as error:
                bad[item_id] = error
                if bad_images == "skip":
                    self._note_bad(item_id, str(error))
            if bad and bad_images == "stop" and (done % PROGRESS_EVERY == 0 or done == len(ids)):
                raise BadImage(self._said_of_bad(bad, done))
            if progress and (done % PROGRESS_EVERY == 0 or done == len(ids)):
                progress(done, len(ids))
        return found[: len(kept)], np.array(kept, dtype=np.int64)

    def split(self, seed: int) -> Split:
        """Query, gallery and train, drawn from `seed` alone.

        Raises:
            UserError: A class has too few images, a part has no item, or the seed is below 0.
        """
        split = self.protocol.split(self.labels, self.class_names, checked_seed(seed))
        for part, item_ids in vars(split).items():
            if not len(item_ids):
                raise UserError(
                    f"The {part} part of {self.name} has no item: add images with labels to it."
                )
        return split

    def checked_ids(self, item_ids: Sequence[int] | np.ndarray | int) -> np.ndarray:
        """Item ids as int64 (n,). Raises UserError for one that is not in the data set."""
        ids = np.atleast_1d(np.asarray(item_ids, dtype=np.int64))
        wrong = ids[(ids < 0) | (ids >= len(self))]
        if len(wrong):
            raise UserError(f"{self.name} has the items 0 to {len(self) - 1}, got {wrong[0]}.")
        return ids

    def warn_of_eta(self, assumed: bool) -> None:
        """Warns if the labels do not fit the card, from which the default of eta is taken."""
        if self.is_multi_label != assumed:
            has, fits = ("several labels", 0.1) if self.is_multi_label else ("one label each", 1)
            text = (
                f"The items of {self.name} have {has}: set eta={fits}, the paper's for such "
                "labels, since the default goes by the data set's name."
            )
            self._eta_warning = (fits, text)
            self.warnings.append(text)

    def warnings_for(self, eta: float | None) -> list[str]:
        """The warnings that concern a run. eta: the run's; None if the run does not use it."""
        fits, text = self._eta_warning or (None, None)
        return [one for one in self.warnings if one != text or eta not in (None, fits)]

    def warn_of_what_is_left_out(self) -> None:
        """Warns of classes without items, and of files that were passed over."""
        empty = np.flatnonzero(~self.labels.any(axis=0))
        if len(empty):
            named = ", ".join(repr(self.class_names[number]) for number in empty[:MOST_NAMED])
            more = f" and {len(empty) - MOST_NAMED} more" if len(empty) > MOST_NAMED else ""
            self.warnings.append(
                f"{len(empty)} of {len(self.class_names)} classes of {self.name} have no item: "
                f"{named}{more}. If they should, look at the labels: class numbers start at 0."
            )
        if self.passed_over:
            self.warnings.append(f"{self.name}: {self.passed_over_words}.")

    def warn_of_one_class(self) -> None:
        """Warns if every item has the same label, or none the label of another one."""
        shared = np.flatnonzero(self.labels.all(axis=0))
        if len(shared):
            self.warnings.append(
                f"All items of {self.name} have the label {self.class_names[shared[0]]!r}, so "
                "every MAP is 1: add items without it."
            )
        elif self.labels.sum(axis=0).max(initial=0) < 2:
            self.warnings.append(
                f"No two items of {self.name} share a label, so every MAP is 0: add items to its "
                "classes."
            )

    def _said_of_bad(self, bad: Mapping[int, BadImage], n: int) -> str:
        """The first bad image with its reason; the others of the n looked at by name."""
        first, *others = bad
        if not others:
            return f"{bad[first]} Replace it, or set bad_images=skip to leave it out."
        return (
            f"{bad[first]} Of the first {n:,} images looked at, {len(bad):,} can't be decoded: "
            f"{self.names_of(list(bad))}. Replace them, or set bad_images=skip to leave them out."
        )

    def _note_bad(self, item_id: int, message: str) -> None:
        if item_id not in self._bad_ids:
            self._bad_ids.add(item_id)
            self.warnings.append(message)
