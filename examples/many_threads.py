"""One segmenter, many threads: ``python examples/many_threads.py a.jpg b.jpg c.jpg``."""

import sys
from concurrent.futures import ThreadPoolExecutor

from fastfcn_infer import ImageError, Segmenter


def main(*pictures: str) -> None:
    """Print the largest class of every picture; a bad picture prints an error, and the others go on."""
    with Segmenter.from_pretrained(threads=1) as segmenter, ThreadPoolExecutor(4) as pool:
        for picture, job in [(name, pool.submit(segmenter.predict, name)) for name in pictures]:
            try:
                areas = job.result().areas()
                print(f"{picture}: mostly {next(iter(areas))}")
            except ImageError as error:
                print(f"{picture}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
