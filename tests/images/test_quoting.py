"""Text from files and servers in messages: short, and without control characters."""

from lib.images.quoting import listed, quoted


def test_plain_text_stays_as_it_is() -> None:
    assert quoted("train/Käfer 1.png") == "train/Käfer 1.png"
    assert quoted(ValueError("7 of 9")) == "7 of 9"


def test_control_characters_are_written_out() -> None:
    assert quoted("\x1b[31m\n\udcff\u202e'") == "\\x1b[31m\\n\\udcff\\u202e'"


def test_of_a_long_text_both_ends_stay() -> None:
    assert quoted("a" * 100 + "b" * 100, 20) == "aaaaaaaaaa ... bbbbbbbbbb"
    assert quoted("a" * 20, 20) == "a" * 20


def test_a_list_shows_ten_and_tells_how_many_more_there_are() -> None:
    assert listed({"b", "a"}) == "['a', 'b']"
    assert listed([f"{i:02}" for i in range(12)]).endswith("'08', '09', and 2 more]")
