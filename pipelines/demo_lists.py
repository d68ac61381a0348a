"""Lists of films as the demo asks for them, shows them and compares them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipelines.console import Console
from pipelines.running_service import RunningService

_SHOWN: Final = 10
# Long enough to say from where a film came up.
_ASKED: Final = 500
_WIDTH: Final = 44


@dataclass(frozen=True)
class RankedFilm:
    """One place of a list.

    Attributes:
      probability: The chance that the user likes it; None where the model cannot say.
      reasons: What speaks for it, strongest first: words, and how much in log-odds.
    """

    item_id: str
    title: str
    rank: int
    score: float
    probability: float | None
    reasons: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class RankedList:
    """The answer to one request.

    Attributes:
      fallback: How the list was made when the user's own taste could not make it.
      took_ms: What the service needed for it, with all its reasons.
      films: Best first.
    """

    user_id: str
    fallback: str | None
    took_ms: float
    films: tuple[RankedFilm, ...]

    @property
    def top(self) -> tuple[RankedFilm, ...]:
        """The films that are shown."""
        return self.films[:_SHOWN]

    def rank(self, item_id: str) -> int | None:
        """The place of a film, or None when it has none."""
        return next((film.rank for film in self.films if film.item_id == item_id), None)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values of what is shown."""
        return {
            "user_id": self.user_id,
            "fallback": self.fallback,
            "took_ms": self.took_ms,
            "items": [
                {
                    "item_id": film.item_id,
                    "title": film.title,
                    "rank": film.rank,
                    "score": film.score,
                    "probability": film.probability,
                    "because": [
                        {"text": text, "contribution": round(weight, 4)}
                        for text, weight in film.reasons
                    ],
                }
                for film in self.top
            ],
        }


def ask(service: RunningService, user_id: str, titles: Mapping[str, str]) -> RankedList:
    """Asks the service for a long list with its reasons.

    Raises:
      ConnectionError: If the service refuses the call.
    """
    answer = service.post("/recommend", {"user_id": user_id, "n": _ASKED, "explain": "full"})
    films = tuple(
        RankedFilm(
            item_id=item["item_id"],
            title=titles.get(item["item_id"], item["item_id"]),
            rank=item["rank"],
            score=item["score"],
            probability=item["probability"],
            reasons=reasons(item["because"]),
        )
        for item in answer["items"]
    )
    return RankedList(user_id, answer["fallback"], answer["took_ms"], films)


def reasons(because: list[dict[str, Any]]) -> tuple[tuple[str, float], ...]:
    """What speaks for an item, strongest first.

    An event may count twice, in a cross and in the history: for people that is one reason.
    """
    weights: dict[str, float] = {}
    for cause in because:
        weights[cause["text"]] = weights.get(cause["text"], 0.0) + cause["contribution"]
    favourable = [(text, weight) for text, weight in weights.items() if weight > 0]
    return tuple(sorted(favourable, key=lambda reason: -reason[1]))


def show_list(ranked: RankedList, console: Console) -> None:
    """Shows the first films with their chances, and the reasons where there are any."""
    columns = ("", "film", "chance", "because")
    rows = [(f.rank, _cut(f.title), _percent(f.probability), _strongest(f)) for f in ranked.top]
    shown = len(columns) if any(film.reasons for film in ranked.top) else len(columns) - 1
    console.table(columns[:shown], [row[:shown] for row in rows])


def show_change(before: RankedList, after: RankedList, console: Console) -> dict[str, Any]:
    """Shows the new list beside the places its films had, and what left it.

    Returns:
      How many of the shown films are in both lists, which came and left, and the causes
      of the new list, strongest first.
    """
    rows = [
        (f.rank, _came_from(before.rank(f.item_id)), _cut(f.title), _percent(f.probability))
        for f in after.top
    ]
    console.table(
        ("", "was", "film", "chance", "because"),
        [(*row, _strongest(film)) for row, film in zip(rows, after.top, strict=True)],
    )
    then, now = ({film.item_id for film in ranked.top} for ranked in (before, after))
    left = [film for film in before.top if film.item_id not in now]
    causes = _causes(after)
    console.message(f"\n{len(now - then)} of the {len(now)} films are new to the list.")
    if left:
        away = "; ".join(f"{f.title} → {_place(after.rank(f.item_id))}" for f in left[:3])
        console.message(f"Gone from it: {away}" + ("; …" if len(left) > 3 else ""))
    for text, weight in causes[:3]:
        console.message(f"  {text}: {weight:+.2f} over the whole list")
    return {
        "overlap": len(then & now),
        "came": [film.title for film in after.top if film.item_id not in then],
        "left": [film.title for film in left],
        "causes": [{"text": text, "contribution": round(w, 4)} for text, w in causes],
    }


def _causes(ranked: RankedList) -> list[tuple[str, float]]:
    weights: dict[str, float] = {}
    for film in ranked.top:
        for text, weight in film.reasons:
            weights[text] = weights.get(text, 0.0) + weight
    return sorted(weights.items(), key=lambda cause: -cause[1])


def _came_from(rank: int | None) -> str:
    return f">{_ASKED}" if rank is None else str(rank)


def _place(rank: int | None) -> str:
    return f"place {_came_from(rank)}" if rank else f"below place {_ASKED}"


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _percent(probability: float | None) -> str:
    return "" if probability is None else f"{probability:4.0%}"


def _strongest(film: RankedFilm) -> str:
    if not film.reasons:
        return ""
    text, weight = film.reasons[0]
    return f"{weight:+.2f} {_cut(text)}"
