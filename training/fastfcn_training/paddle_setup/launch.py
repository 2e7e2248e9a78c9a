"""Environment variables that ``python -m paddle.distributed.launch`` sets; needs no Paddle."""

import os
from collections.abc import Mapping


def world(environment: Mapping[str, str] = os.environ) -> int:
    """Number of processes of the training, on all machines; 1 without the launcher."""
    return int(environment.get("PADDLE_TRAINERS_NUM", "1"))


def local_processes(environment: Mapping[str, str] = os.environ) -> int:
    """Number of processes on this machine, this one included."""
    return int(environment.get("PADDLE_LOCAL_SIZE", "1"))


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """Index of this process, from 0."""
    return int(environment.get("PADDLE_TRAINER_ID", "0"))
