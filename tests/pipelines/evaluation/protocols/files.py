"""Small data sets in the form of the real ones: their columns, their days, their ties."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.pipelines.writing import write_files

DAY_S = 86_400
FLAGS = "0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0"
Rows = list[tuple[int | str, ...]]


def lines(rows: Sequence[Sequence[object]], header: str | None = None, separator: str = ",") -> str:
    told = [] if header is None else [header]
    return "\n".join([*told, *(separator.join(map(str, row)) for row in rows)]) + "\n"


def shuffled_ties(rows: Rows, at: int, rng: np.random.Generator) -> Rows:
    """The rows in the order of the column `at`, ties by chance."""
    return sorted((rows[n] for n in rng.permutation(len(rows))), key=lambda row: row[at])


def ratings(rng: np.random.Generator, n: int = 300) -> Rows:
    """User, film, value, second; many in one second, none twice."""
    pairs = rng.permutation(20 * 40)[:n]
    seconds = 881_250_949 + np.sort(rng.integers(0, 200, n)) * (20 * DAY_S // 200)
    return [
        (int(pair // 40) + 1, int(pair % 40) + 1, int(value), int(second))
        for pair, value, second in zip(pairs, rng.integers(1, 6, n), seconds, strict=True)
    ]


def movielens(folder, rows):
    films = [f"{n}|Film {n} (1995)|01-Jan-1995||http://x|{FLAGS}" for n in range(1, 42)]
    users = [f"{n}|49|M|writer|5510{n}" for n in range(1, 21)]
    return write_files(
        folder,
        {
            "u.data": lines(rows, separator="\t"),
            "u.item": "\n".join(films) + "\n",
            "u.user": "\n".join(users) + "\n",
        },
    )


def recbole(folder, rows):
    films = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    users = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    described = [(n, f"Film {n}", 1995, "Animation Children's Comedy") for n in range(1, 42)]
    people = [(n, 49, "M", "writer", f"5510{n}") for n in range(1, 21)]
    return write_files(
        folder,
        {
            "ml-100k.inter": lines(rows, header, "\t"),
            "ml-100k.item": lines(described, films, "\t"),
            "ml-100k.user": lines(people, users, "\t"),
        },
    )


GLOBO_HEADER = "user,session,session_start,item,ts,env,device,os,country,region,referrer"


def globo_clicks(rng: np.random.Generator, n: int = 600) -> Rows:
    """Sixteen days and some late rows; several clicks in one millisecond."""
    first = 1_506_826_814_140
    moments = np.sort(rng.integers(0, 200, n)) * (17 * DAY_S * 1_000 // 200)
    codes = rng.integers(1, 5, (n, 6))
    return [
        (int(user), 0, first // 1_000, int(item), first + int(at), *code)
        for user, item, at, code in zip(
            rng.integers(0, 30, n), rng.integers(0, 60, n), moments, codes.tolist(), strict=True
        )
    ]


def globo(folder, rows):
    return write_files(folder, {"clicks.csv.gz": lines(rows, GLOBO_HEADER)})


def diginetica_clicks(rng: np.random.Generator, n: int = 500) -> Rows:
    """Five periods of sessions that mostly stay in one."""
    period = np.sort(rng.integers(0, 5, n))
    session = period * 32 + rng.integers(0, 40, n)
    return list(
        zip(period.tolist(), session.tolist(), rng.integers(0, 50, n).tolist(), strict=True)
    )


def diginetica(folder, rows):
    return write_files(folder, {"clicks.csv.gz": lines(rows, "period,session,item")})


EVENTS_HEADER = "user,item,category,event,ts"


def shop_events(rng: np.random.Generator, n: int = 600) -> Rows:
    """Nine days in China and some rows outside; several events in one second."""
    start = 1_511_539_200
    seconds = start - 1_000 + np.sort(rng.integers(0, 250, n)) * (9 * DAY_S // 245)
    item = rng.integers(0, 40, n)
    kinds = rng.choice(["pv", "cart", "fav", "buy"], n)
    return [
        (int(user), 100 + int(i), 7 + int(i) % 5, str(kind), int(second))
        for user, i, kind, second in zip(rng.integers(1, 25, n), item, kinds, seconds, strict=True)
    ]


def taobao(folder, rows):
    return write_files(folder, {"events.csv.gz": lines(rows, EVENTS_HEADER)})


SHOWN_HEADER = "impression,user,ts,position,item,clicked"


def impressions(rng: np.random.Generator, n: int = 50) -> Rows:
    """Lists of four of which one is clicked; two lists a moment, of different users."""
    rows: Rows = []
    for number in range(n):
        second = 1_573_257_673 + number // 2 * (DAY_S // 10)
        items = rng.choice(80, 4, replace=False)
        clicked = int(rng.integers(4))
        user = f"U{2 * int(rng.integers(10)) + number % 2}"
        rows += [
            (1_000 - number, user, second, at, f"N{item}", int(at == clicked))
            for at, item in enumerate(items.tolist())
        ]
    return rows


def mind(folder, rows, histories=None):
    histories = histories or {}
    users = sorted({str(row[1]) for row in rows})
    behaviors = [
        (at, user, "11/12/2019 2:14:46 PM", histories.get(user, f"N{at} N7 N99"), "N1-0 N2-1")
        for at, user in enumerate(users)
    ]
    news = [
        (f"N{n}", "news", f"sub{n % 3}", 'He said "no', "", "", "", "") for n in range(0, 200, 3)
    ]
    return write_files(
        folder,
        {
            "impressions.csv.gz": lines(rows, SHOWN_HEADER),
            "behaviors.tsv.gz": lines(behaviors, separator="\t"),
            "news.tsv.gz": lines(news, separator="\t"),
        },
    )


Maker = Callable[[np.random.Generator], Rows]
Writer = Callable[[Path, Rows], Path]

# protocol: rows, their file, the column of the clock or None
DATA_SETS: dict[str, tuple[Maker, Writer, Any]] = {
    "ml-100k": (ratings, movielens, 3),
    "globo": (globo_clicks, globo, 4),
    "diginetica": (diginetica_clicks, diginetica, None),
    "mind": (impressions, mind, 2),
    "taobao": (shop_events, taobao, 4),
}
