"""What ``python -m paddle.distributed.launch`` tells each process that it starts; needs no Paddle."""

import os
from collections.abc import Mapping


def world(environment: Mapping[str, str] = os.environ) -> int:
    """Number of processes of the training, on all machines; 1 where nothing was launched."""
    return int(environment.get("PADDLE_TRAINERS_NUM", "1"))


def neighbours(environment: Mapping[str, str] = os.environ) -> int:
    """Number of processes on this machine, this one included."""
    return int(environment.get("PADDLE_LOCAL_SIZE", "1"))


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """Number of this process, from 0."""
    return int(environment.get("PADDLE_TRAINER_ID", "0"))
