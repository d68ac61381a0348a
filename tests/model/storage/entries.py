"""Log entries to test with: a few known ones, any there may be, and what they add up to."""

from itertools import pairwise

from hypothesis import strategies as st

from model.interactions import Event, ItemChange, Kind, LogRow, UserChange
from model.storage.event_log import event_of, item_of, user_of

NOW_MS = 1_700_000_000_000

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
IDS = TEXT.filter(len)
FEW_IDS = st.sampled_from(["a", "b", "c", 'quo"te', "ünï", "1"])
ATTRIBUTES = st.dictionaries(
    TEXT,
    st.one_of(
        TEXT,
        st.booleans(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.lists(TEXT, max_size=3).map(tuple),
    ),
    max_size=3,
)
MOMENTS_MS = st.none() | st.integers(0, 2**53)
EVENTS = st.builds(
    Event,
    event_id=st.integers(0, 30).map(str) | IDS,
    event_type=st.sampled_from(["click", "rating"]),
    timestamp_ms=st.integers(0, 2**53),
    user_id=st.none() | FEW_IDS,
    item_id=st.none() | FEW_IDS | IDS,
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    session_id=st.none() | TEXT,
    request_id=st.none() | TEXT,
    shown_items=st.lists(TEXT, max_size=3).map(tuple),
    retracts=st.none() | TEXT,
    properties=ATTRIBUTES,
)
ITEM_CHANGES = st.builds(
    ItemChange,
    item_id=FEW_IDS | IDS,
    attributes=ATTRIBUTES,
    hidden=st.booleans(),
    available_from_ms=MOMENTS_MS,
    available_until_ms=MOMENTS_MS,
) | st.builds(ItemChange, item_id=FEW_IDS, attributes=st.sampled_from([None, {}]))
USER_CHANGES = st.builds(UserChange, user_id=FEW_IDS | IDS, attributes=st.none() | ATTRIBUTES)
ENTRIES = st.lists(EVENTS | ITEM_CHANGES | USER_CHANGES, max_size=25)


def click(event_id, item_id="i1", user_id="u1", timestamp_ms=NOW_MS, **more):
    return Event(event_id, "click", timestamp_ms, user_id, item_id, **more)


def clicks(count, start=0):
    return [click(f"e{number}", f"i{number % 7}") for number in range(start, start + count)]


def entry_of(row: LogRow):
    decoder = {Kind.EVENT: event_of, Kind.ITEM: item_of, Kind.USER: user_of}[Kind(row.kind)]
    return decoder(row)


def items_after(rows):
    """The slow and obvious way from log rows to the catalogue."""
    items = {}
    for row in rows:
        if row.kind == Kind.ITEM:
            items[row.item_id] = item_of(row)
        elif row.kind == Kind.EVENT and row.item_id is not None:
            items.setdefault(row.item_id, ItemChange(row.item_id, {}))
    return {name: change for name, change in items.items() if change.attributes is not None}


def users_after(rows):
    users = {}
    for row in rows:
        if row.kind == Kind.USER:
            users[row.user_id] = user_of(row)
    return {name: change for name, change in users.items() if change.attributes is not None}


def append_in_pieces(log, entries, cuts):
    borders = [0, *sorted(cut % (len(entries) + 1) for cut in cuts), len(entries)]
    for start, end in pairwise(borders):
        log.append(entries[start:end], NOW_MS)
