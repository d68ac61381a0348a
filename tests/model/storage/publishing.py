"""What the registry tests publish."""

CREATED_MS = 1_700_000_000_000
FILES = {"wide.npy": b"\x01" * 5_000, "towers/user.npy": b"\x02" * 70, "vocabulary.json": b"[]"}
MANIFEST = {"kind": "train", "seed": 7, "metrics": {"ndcg@10": 0.25}, "trained_through_seq": 12}


def fill(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def publish(registry, text="", **manifest):
    with registry.stage() as staged:
        fill(staged, {**FILES, "text": text.encode()})
        return registry.publish(staged, {**MANIFEST, **manifest}, created_ms=CREATED_MS)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())
