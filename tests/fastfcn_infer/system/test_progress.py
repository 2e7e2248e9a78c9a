import io
import sys
import threading
import time

import pytest

from fastfcn_infer.system.progress import Progress, no_progress, shows_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def attach(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()  # in the test itself: pytest changes standard error after the fixtures
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def last(stream: io.StringIO) -> str:
    return stream.getvalue().rpartition("\x1b[K")[2]


def test_nothing_is_written_where_standard_error_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("Work", total=3, unit="pictures") as bar:
        bar.advance(3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("stream", [None, object()])
def test_a_process_without_standard_error_can_still_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stream: object
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    done = []
    with Progress("Work", total=2, unit="pictures") as bar:
        for index in range(2):
            bar.advance()
            done.append(index)
    assert done == [0, 1]
    assert capsys.readouterr().out == ""


def test_a_bar_that_was_switched_off_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch)
    with Progress("Work", total=1, unit="pictures", visible=False) as bar:
        bar.advance()
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("name", ["n" * 250 + ".mp4", "two\nlines\x1b[2J.mp4"])
def test_a_bar_stays_on_its_line_whatever_it_is_called(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = attach(monkeypatch)
    monkeypatch.setenv("COLUMNS", "50")
    with Progress(name, total=3, unit="frames") as bar:
        bar.advance()
    drawn = terminal.getvalue().removesuffix("\n").split("\r\x1b[K")
    assert len(drawn) >= 3
    assert all(len(line) < 50 and line.isprintable() for line in drawn)


def test_quiet_hides_all_bars_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch)
    with no_progress(), Progress("Work", total=1, unit="pictures") as bar:
        bar.advance()
        assert not shows_progress()
    assert terminal.getvalue() == ""
    assert shows_progress()


@pytest.mark.parametrize(
    ("total", "unit", "said"),
    [
        (9, "pictures", "2 of 9 pictures are done"),
        (None, "pictures", "2 pictures are done"),
        (5_000_000, "B", "2 B of 5 MB are done"),
    ],
)
def test_ctrl_c_says_how_much_is_done(total: int | None, unit: str, said: str) -> None:
    with (
        pytest.raises(KeyboardInterrupt) as stopped,
        Progress("Work", total=total, unit=unit) as bar,
    ):
        bar.advance(2)
        raise KeyboardInterrupt
    assert stopped.value.args == (said,)


def test_ctrl_c_that_says_more_keeps_its_words() -> None:
    with (
        pytest.raises(KeyboardInterrupt, match=r"^all is kept$"),
        Progress("Work", total=1, unit="pictures"),
    ):
        raise KeyboardInterrupt("all is kept")


def test_the_last_line_tells_the_whole_amount_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch)
    with Progress("Download", total=2_500_000, unit="B") as bar:
        bar.advance(2_000_000)
        bar.advance(500_000)
    assert last(terminal).startswith("Download [" + "#" * 24 + "] 100% 2.5 MB of 2.5 MB, ")
    assert terminal.getvalue().endswith("\n")
    assert terminal.getvalue().count("\n") == 1


def test_without_a_total_the_amount_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch)
    with Progress("Predict", total=None, unit="pictures") as bar:
        bar.advance(7)
    assert last(terminal).startswith("Predict 7 pictures, ")


def test_fast_work_is_not_slowed_down_by_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch)
    with Progress("Work", total=100_000, unit="B") as bar:
        for _ in range(100_000):
            bar.advance()
    assert terminal.getvalue().count("\r") < 100
    assert "100%" in last(terminal)


def advance(bar: Progress) -> None:
    for _ in range(1000):
        bar.advance()


def test_threads_lose_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch)
    with Progress("Work", total=8000, unit="pictures") as bar:
        threads = [threading.Thread(target=advance, args=(bar,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert "8000 of 8000 pictures" in last(terminal)


def test_what_an_earlier_run_did_counts_for_the_amount_and_not_for_the_speed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = attach(monkeypatch)
    clock = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)) / 2)
    with Progress("Download", total=1000, unit="B", done=900) as bar:
        bar.advance(100)
    assert "1 kB of 1 kB" in last(terminal)
    speed = last(terminal).split(", ")[1]
    assert float(speed.split()[0]) <= 200


def ticking(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let so many seconds pass between two looks at the clock."""
    clock = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: seconds * next(clock))


def test_the_time_that_is_left_follows_from_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = attach(monkeypatch)
    ticking(monkeypatch, 4.0)
    bar = Progress("Work", total=50, unit="pictures")  # looks once, a drawing twice
    bar.advance(8)
    assert (
        last(terminal)
        == "Work [###.....................]  16% 8 of 50 pictures, 1 pictures/s, 0:42 left"
    )
    bar.advance(0)
    assert last(terminal).endswith(", 0.5 pictures/s, 1:24 left")


def test_what_an_earlier_run_did_does_not_make_the_time_left_shorter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = attach(monkeypatch)
    ticking(monkeypatch, 1800.0)
    bar = Progress("Work", total=8, unit="pictures")
    bar.skip()
    assert "left" not in last(terminal)  # nobody knows
    bar.advance()
    assert last(terminal).endswith("2 of 8 pictures, 0 pictures/s, 12:00:00 left")
    bar.__exit__(None, None, None)
    assert last(terminal).endswith(", 2:30:00\n")
