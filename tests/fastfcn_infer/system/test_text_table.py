from fastfcn_infer.system.text_table import text_table


def test_columns_are_as_wide_as_their_widest_cell_and_lines_end_with_text() -> None:
    rows = [("class", "pixels", "note"), ("road", "7", ""), ("traffic light", "1234", "few")]
    assert text_table(rows, left=(0, 2)) == [
        "class          pixels  note",
        "road                7",
        "traffic light    1234  few",
    ]


def test_a_table_without_rows_has_no_lines() -> None:
    assert text_table([], left=()) == []
