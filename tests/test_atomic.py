"""What is written is there whole or not at all."""

import pytest

from gptoss_magic.atomic import whole_file, whole_folder
from gptoss_magic.errors import InputError, StorageError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(target, text):
    with whole_file(target) as room:
        room.write_text(text)


def fill(target, **texts):
    with whole_folder(target, lambda folder: (folder / "mine").exists()) as room:
        for name, text in texts.items():
            (room / name).write_text(text)


def half(place, error):
    """Begin to write what `place` gives, and fail."""
    with place as room:
        (room / "half" if room.is_dir() else room).write_text("half")
        raise error


def test_a_file_takes_anothers_place_in_a_folder_that_was_not_there(tmp_path):
    write(tmp_path / "new" / "a.txt", "one")
    write(tmp_path / "new" / "a.txt", "two")
    assert (tmp_path / "new" / "a.txt").read_text() == "two"
    assert names(tmp_path / "new") == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_an_error_the_old_file_stays(tmp_path, error):
    write(tmp_path / "a.txt", "one")
    with pytest.raises(error):
        half(whole_file(tmp_path / "a.txt"), error)
    assert (tmp_path / "a.txt").read_text() == "one"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_an_error_the_old_folder_stays(tmp_path, error):
    fill(tmp_path / "a", mine="one")
    with pytest.raises(error):
        half(whole_folder(tmp_path / "a", lambda folder: True), error)
    assert (tmp_path / "a" / "mine").read_text() == "one"
    assert names(tmp_path) == ["a"]


def test_a_folder_takes_the_place_of_its_own_kind_and_of_nothing_else(tmp_path):
    fill(tmp_path / "a", mine="one", other="x")
    fill(tmp_path / "a", mine="two")
    assert names(tmp_path / "a") == ["mine"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes").write_text("kept")
    with pytest.raises(InputError, match="something else is there"):
        fill(tmp_path / "b", mine="three")
    assert names(tmp_path / "b") == ["notes"]
    assert names(tmp_path) == ["a", "b"]


def test_an_empty_folder_may_be_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    with whole_folder(tmp_path / "a") as room:
        (room / "x").write_text("x")
    assert names(tmp_path / "a") == ["x"]


def test_rights_are_those_of_a_new_file(tmp_path):
    write(tmp_path / "a.txt", "one")
    fill(tmp_path / "b", mine="one")
    plain, folder = tmp_path / "plain.txt", tmp_path / "folder"
    plain.write_text("x")
    folder.mkdir()
    modes = [(tmp_path / name).stat().st_mode for name in ("a.txt", "b/mine", "b")]
    assert modes == [plain.stat().st_mode, plain.stat().st_mode, folder.stat().st_mode]


@pytest.mark.parametrize("write_one", [write, lambda target, text: fill(target, mine=text)])
def test_what_the_disk_refuses_is_one_line(tmp_path, write_one):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="not written") as caught:
        write_one(tmp_path / "file" / "below", "x")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["file"]
