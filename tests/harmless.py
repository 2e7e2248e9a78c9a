"""Objects that people save beside the weights: real ones, and stand-ins for those of other packages."""

import argparse
import collections
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import itertools
import logging
import pathlib
import pickle
import random
import re
import sys
import types
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hostile.assembler import (
    STORAGE,
    array,
    bare,
    called,
    group,
    integer,
    legacy,
    mapping,
    named,
    storage,
    tensor,
    text,
    zipped,
)  # fmt: skip


class Phase(enum.Enum):
    """An enumeration of a training script."""

    TRAIN = 1


class Flags(enum.IntFlag):
    A = 1
    B = 2


class State(collections.OrderedDict[str, object]):
    """A dict of a training script."""


class Settings(dict[str, object]):
    """A configuration of a training script."""

    def __init__(self, **items: object) -> None:
        super().__init__(items)
        self.frozen = True


class Slotted:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 1


class WithArguments:
    """An object that is made by NEWOBJ_EX."""

    def __new__(cls, *, value: int) -> "WithArguments":
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, int]]:
        return (), {"value": 1}


class Node:
    """An object that refers to itself through others."""

    def __init__(self) -> None:
        self.children = [self]
        self.pair = (self, 1)

    def method(self) -> None:
        """A bound method is a call of `getattr`."""

    class Inner:
        """A class in a class is one, too, where the protocol is old."""


Record = collections.namedtuple("Record", "loss step")
Point = Record(0.5, 7)


def nothing() -> None:
    return None


def score(value: float) -> float:
    return value


def recursive_tuple() -> tuple[object, ...]:
    items: list[object] = []
    pair = (items, 1, 2, 3, 4)
    items.append(pair)
    return pair


OBJECTS: dict[str, tuple[Any, str]] = {
    "an argparse namespace": (argparse.Namespace(lr=0.1, crop=[480, 480]), "argparse.Namespace"),
    "a POSIX path": (pathlib.PurePosixPath("/data/ade20k"), "PurePosixPath"),
    "a Windows path": (pathlib.PureWindowsPath("C:/data"), "PureWindowsPath"),
    "a date": (datetime.date(2021, 3, 4), "datetime.date"),
    "a moment": (datetime.datetime(2021, 3, 4, tzinfo=datetime.timezone.utc), "datetime.datetime"),
    "a duration": (datetime.timedelta(hours=3), "datetime.timedelta"),
    "a set": ({1, 2, "a"}, "builtin"),
    "an empty set": (set(), "builtin"),
    "a frozen set": (frozenset({1, (2, 3)}), "builtin"),
    "a default dict": (collections.defaultdict(list, {"a": [1]}), ""),
    "a default dict of functions": (collections.defaultdict(nothing, a=1), "nothing"),
    "an ordered dict": (collections.OrderedDict(a=1), ""),
    "a subclass of an ordered dict": (State(a=1), "State"),
    "a counter": (collections.Counter("abca"), "collections.Counter"),
    "a deque": (collections.deque([1, 2], maxlen=3), "collections.deque"),
    "a named tuple": (Point, "Record"),
    "an enumeration": (Phase.TRAIN, "Phase"),
    "flags": (Flags.A | Flags.B, "Flags"),
    "a simple namespace": (types.SimpleNamespace(a=1), "types.SimpleNamespace"),
    "a partial function": (functools.partial(score, value=1), "functools.partial"),
    "a function": (score, "score"),
    "a built-in function": (max, "max"),
    "a bound method": (Node().method, "Node.method"),
    "a class in a class": (Node.Inner, "Node.Inner"),
    "an object": (Node(), "Node"),
    "an object with slots": (Slotted(), "Slotted"),
    "an object with named arguments": (WithArguments(value=1), "WithArguments"),
    "a configuration": (Settings(model=Settings(type="FastFCN")), "Settings"),
    "a logger": (logging.getLogger("train"), "logging.getLogger"),
    "a complex number": (1 + 2j, "complex"),
    "bytes": (b"\x00\xff" * 9, ""),
    "long bytes": (bytes(range(256)) * 9, ""),
    "a byte array": (bytearray(b"abc"), ""),
    "a decimal": (decimal.Decimal("0.1"), "Decimal"),
    "a fraction": (fractions.Fraction(1, 3), "fractions.Fraction"),
    "a range": (range(3), "range"),
    "a slice": (slice(1, 2), "slice"),
    "an exception": (ValueError("nan"), "ValueError"),
    "the class of nothing": (type(None), "type"),
    "an iterator": (itertools.count(3), "itertools.count"),
    "a pattern": (re.compile("a+"), "re._compile"),
    "an identifier": (uuid.UUID(int=7), "uuid.UUID"),
    "an address": (ipaddress.ip_address("::1"), "ipaddress.IPv6Address"),
    "a state of Python's generator": (random.Random(1).getstate(), ""),
    "Python's generator": (random.Random(1), "random.Random"),
    "a state of NumPy's generator": (np.random.RandomState(1).get_state(), ""),
    "NumPy's old generator": (np.random.RandomState(1), "randomstate"),
    "NumPy's generator": (np.random.default_rng(1), "generator"),
    "the state of NumPy's generator": (np.random.default_rng(1).bit_generator.state, ""),
    "a NumPy number": (np.float64(0.5), ""),
    "a NumPy text": (np.str_("abc"), ""),
    "a NumPy type": (np.dtype("f4"), ""),
    "a NumPy date": (np.datetime64("2021-03-04"), ""),
    "an array of objects": (np.array([None, "a"], object), ""),
    "an array of texts": (np.array(["a", "b"]), ""),
    "a long integer": (2**1000, ""),
    "a very long integer": (1 << 5000, ""),
    "keys that are no names": ({(1, 2): 0, 0.5: 1, None: 2, 140_234_567_890_123: 3, True: 4}, "key"),
    "a tuple that holds itself": (recursive_tuple(), ""),
    "a list nested 200 deep": (functools.reduce(lambda inner, _: [inner], range(200), []), ""),  # type: ignore[arg-type, return-value]
}  # fmt: skip

# Classes of packages that need not be installed; the modules stand in for them while they are pickled.
STAND_INS = {
    "mmengine.logging.history_buffer": "HistoryBuffer",
    "mmengine.config.config": "ConfigDict",
    "addict.addict": "Dict",
    "easydict": "EasyDict",
    "omegaconf.dictconfig": "DictConfig",
    "omegaconf.base": "ContainerMetadata",
    "yacs.config": "CfgNode",
    "pytorch_lightning.utilities.parsing": "AttributeDict",
    "torch.optim.lr_scheduler": "LambdaLR",
    "torch.optim.sgd": "SGD",
    "encoding.utils.lr_scheduler": "LR_Scheduler",
    "paddle.optimizer.lr": "PolynomialDecay",
    "__main__": "Config",
    "wandb.sdk.wandb_config": "Config",
}


class _Base:
    def __init__(self) -> None:
        self.log = np.arange(3.0)
        self.parent = self
        self.methods = {"min": type(self).smallest}

    def smallest(self) -> float:
        return 0.0


@contextmanager
def stand_in(module: str, name: str) -> Iterator[Any]:
    """Make a class of a package that is not there, for as long as it is pickled."""
    parts = module.split(".")
    names = [".".join(parts[: length + 1]) for length in range(len(parts))]
    before = {part: sys.modules.get(part) for part in names}
    made = type(name, (_Base,), {"__module__": module, "smallest": _method(module, name)})
    for part in names:
        sys.modules[part] = types.ModuleType(part)
    setattr(sys.modules[module], name, made)
    try:
        yield made
    finally:
        for part, old in before.items():
            if old is None:
                del sys.modules[part]
            else:
                sys.modules[part] = old


def _method(module: str, name: str) -> Any:
    def smallest(self: object) -> float:
        return 0.0

    smallest.__module__, smallest.__qualname__ = module, f"{name}.smallest"
    return smallest


def body_of(value: object, protocol: int) -> bytes:
    """A value as pickle writes it, without the header and the end."""
    return pickle.dumps(value, protocol)[2:-1]


# Values that only torch writes, opcode by opcode.
_ORDERED = called(named("collections", "OrderedDict"))
TORCH: dict[str, tuple[bytes, str]] = {
    "a device": (called(named("torch", "device"), text("cuda"), integer(0)), "torch.device"),
    "a type": (named("torch", "float32"), "torch.float32"),
    "a size": (called(named("torch", "Size"), group(integer(2))), ""),
    "a layout": (called(named("torch.serialization", "_get_layout"), text("torch.strided")), "_get_layout"),
    "a sparse tensor": (called(named("torch._utils", "_rebuild_sparse_tensor"), tensor(storage())), "_rebuild_sparse_tensor"),
    "a quantised tensor": (called(named("torch._utils", "_rebuild_qtensor"), tensor(storage())), "_rebuild_qtensor"),
    "a tensor with attributes": (
        called(named("torch._tensor", "_rebuild_from_type_v2"), named("torch._utils", "_rebuild_tensor_v2"), named("torch", "Tensor")),
        "_rebuild_from_type_v2",
    ),
    "a tensor past its storage": (tensor(storage(), (9,)), ""),
    "an optimizer": (mapping({"state": b"}" + integer(140_234_567_890_123) + mapping({"momentum": tensor(storage())}) + b"s"}), "a large number"),
    "a whole module": (
        named("torch.nn.modules.conv", "Conv2d") + b")\x81" + mapping({"_parameters": _ORDERED + text("w") + tensor(storage()) + b"s"}) + b"b",
        "torch.nn.modules.conv.Conv2d",
    ),
    "a storage": (storage(), ""),
}  # fmt: skip


def paddle_file(value: bytes, protocol: int) -> bytes:
    """A Paddle checkpoint with a value beside the state dict."""
    return bare(mapping({"beside": value, "state_dict": mapping({"w": array()})}), protocol)


def torch_files(value: bytes) -> dict[str, bytes]:
    """Torch checkpoints with a value beside the state dict, by the kind of the file."""
    body = mapping({"beside": value, "state_dict": mapping({"w": tensor(storage())})})
    return {"zip": zipped(body, {"0": STORAGE}), "legacy": legacy(body, {"0": STORAGE})}
