import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.evaluation.protocols import mind
from tests.pipelines.evaluation.protocols import files

DAY_S = 86_400


@pytest.fixture
def rows():
    return files.impressions(np.random.default_rng(5))


def impression(number, user, second, *items):
    """A list of which the first item is clicked."""
    return [(number, user, second, at, item, int(at == 0)) for at, item in enumerate(items)]


def test_a_history_comes_just_before_the_first_impression_of_all(tmp_path):
    second = 1_573_257_673
    rows = [
        *impression(7, "U1", second + 60, "N5", "N6"),
        *impression(8, "U2", second + 61, "N5", "N6"),
        *impression(9, "U1", second, "N7", "N5"),
    ]
    stream = mind.stream(files.mind(tmp_path, rows, {"U1": "N2 N3", "U2": ""}), quick=False)
    told = [
        (
            stream.actors[stream.events.actor[row]],
            stream.items[stream.events.item[row]],
            stream.kinds[stream.events.kind[row]],
            int(stream.events.timestamp_ms[row]) // 1_000 - second,
        )
        for row in range(len(stream))
    ]
    assert told == [
        ("U1", "N2", "click", -2),
        ("U1", "N3", "click", -1),
        ("U1", "N5", "skip", 0),
        ("U1", "N7", "click", 0),
        ("U1", "N5", "click", 60),
        ("U1", "N6", "skip", 60),
        ("U2", "N5", "click", 61),
        ("U2", "N6", "skip", 61),
    ]
    assert stream.group.tolist() == [0, 1, 2, 2, 3, 3, 4, 4]
    assert stream.bootstrap == 6  # two of three impressions, with what came before them
    assert np.flatnonzero(stream.asked).tolist() == [6, 7]


def test_every_impression_is_a_group_also_where_two_have_one_moment(rows, tmp_path):
    stream = mind.stream(files.mind(tmp_path, rows), quick=False)
    groups: dict[int, list[int]] = {}
    for row in np.flatnonzero(stream.asked):
        groups.setdefault(int(stream.group[row]), []).append(int(stream.events.actor[row]))
    assert len(groups) == 10
    assert all(len(actors) == 4 and len(set(actors)) == 1 for actors in groups.values())


def test_the_history_of_a_user_of_the_replay_is_known_and_not_asked(rows, tmp_path):
    late = impression(1, "U99", 1_573_257_673 + 9 * DAY_S, "N1", "N2")
    histories = {"U99": "N11 N12 N13"}
    stream = mind.stream(files.mind(tmp_path, [*rows, *late], histories), quick=False)
    of_user = np.flatnonzero(stream.events.actor == stream.actors.index("U99"))
    assert stream.asked[of_user].tolist() == [False] * 3 + [True] * 2
    assert (of_user >= stream.bootstrap).tolist() == [False] * 3 + [True] * 2
    np.testing.assert_array_equal(stream.asked, stream.judged)


def test_the_quick_form_is_the_first_500_impressions(tmp_path):
    rows = [
        row
        for n in range(600)
        for row in impression(n, f"U{n}", 1_573_257_673 + n * 60, "N1", "N2")
    ]
    stream = mind.stream(files.mind(tmp_path, rows, {f"U{n}": "" for n in range(600)}), quick=True)
    assert len(stream) == 1_000
    assert stream.bootstrap == 800
    assert "U500" not in stream.actors


def test_articles_that_occur_and_are_described_have_a_category(rows, tmp_path):
    stream = mind.stream(files.mind(tmp_path, rows), quick=False)
    assert stream.item_attributes["N99"] == {"category": "news", "subcategory": "sub0"}
    assert "N7" in stream.items
    assert "N7" not in stream.item_attributes
    assert "N198" not in stream.items


def test_news_need_not_be_there(rows, tmp_path):
    folder = files.mind(tmp_path, rows)
    (folder / "news.tsv.gz").unlink()
    assert mind.stream(folder, quick=False).item_attributes == {}


def test_an_impression_of_two_moments_is_named_by_its_line(rows, tmp_path):
    rows[2] = (*rows[2][:2], rows[2][2] + 1, *rows[2][3:])
    with pytest.raises(BadInputError, match="line 4: ts differs"):
        mind.stream(files.mind(tmp_path, rows), quick=False)


def test_a_user_without_a_history_line_is_named(rows, tmp_path):
    folder = files.mind(tmp_path, rows)
    files.mind(folder / "others", [row for row in rows if row[1] != rows[0][1]])
    (folder / "others" / "behaviors.tsv.gz").rename(folder / "behaviors.tsv.gz")
    with pytest.raises(BadInputError, match=f"no line for the user {rows[0][1]}"):
        mind.stream(folder, quick=False)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1\tU1\tnow\tN1\tN1-2", "candidates must look like"),
        ("1\tU0\tnow\tN1\tN1-1", "another history"),
        ("1\tU0\tnow\tN1", "expected 5 fields"),
    ],
)
def test_a_bad_line_of_histories_is_named(rows, line, reason, tmp_path):
    folder = files.mind(tmp_path, rows)
    (folder / "behaviors.tsv.gz").unlink()
    (folder / "behaviors.tsv").write_text(f"0\tU0\tnow\tN5 N6\tN1-1\n{line}\n")
    with pytest.raises(BadInputError, match=f"line 2: .*{reason}"):
        mind.stream(folder, quick=False)
