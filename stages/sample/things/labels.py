"""The label table of the sample world: ScanNet's columns, and how a caption calls each thing."""

from dataclasses import dataclass

# ScanNet's `scannetv2-labels.combined.tsv`: 17 columns, each line with a tab at its end.
COLUMNS = (
    "id", "raw_category", "category", "count", "nyu40id", "eigen13id", "nyuClass", "nyu40class",
    "eigen13class", "ModelNet40", "ModelNet10", "ShapeNetCore55", "synsetoffset", "wnsynsetid",
    "wnsynsetkey", "mpcat40", "mpcat40index",
)  # fmt: skip


@dataclass(frozen=True)
class Label:
    """A raw category, its class among NYU's 40, and its noun in captions (plural too)."""

    raw: str
    nyu40: int
    nyu40_name: str
    noun: str
    plural: str


def _label(raw: str, nyu40: int, name: str, noun: str = "", plural: str = "") -> Label:
    noun = noun or raw
    return Label(raw, nyu40, name, noun, plural or f"{noun}s")


LABELS = {
    label.raw: label
    for label in (
        _label("wall", 1, "wall"),
        _label("floor", 2, "floor"),
        _label("ceiling", 22, "ceiling"),
        _label("cabinet", 3, "cabinet"),
        _label("kitchen cabinet", 3, "cabinet"),
        _label("kitchen cabinets", 3, "cabinet", "kitchen cabinet"),
        _label("wardrobe closet", 3, "cabinet", "wardrobe"),
        _label("bed", 4, "bed"),
        _label("chair", 5, "chair"),
        _label("office chair", 5, "chair"),
        _label("armchair", 5, "chair"),
        _label("couch", 6, "sofa", "sofa"),
        _label("table", 7, "table"),
        _label("coffee table", 7, "table"),
        _label("end table", 7, "table", "side table"),
        _label("door", 8, "door"),
        _label("window", 9, "window"),
        _label("bookshelf", 10, "bookshelf", "bookshelf", "bookshelves"),
        _label("picture", 11, "picture"),
        _label("counter", 12, "counter"),
        _label("desk", 14, "desk"),
        _label("curtain", 16, "curtain", "curtain"),
        _label("mirror", 19, "mirror"),
        _label("book", 23, "books"),
        _label("books", 23, "books", "pile of books", "piles of books"),
        _label("refrigerator", 24, "refridgerator", "fridge"),
        _label("tv", 25, "television", "television"),
        _label("towel", 27, "towel"),
        _label("shower curtain", 28, "shower curtain"),
        _label("box", 29, "box", "cardboard box", "cardboard boxes"),
        _label("whiteboard", 30, "whiteboard"),
        _label("nightstand", 32, "night stand"),
        _label("toilet", 33, "toilet"),
        _label("sink", 34, "sink"),
        _label("lamp", 35, "lamp"),
        _label("bathtub", 36, "bathtub"),
        _label("backpack", 37, "bag"),
        _label("trash can", 39, "otherfurniture"),
        _label("tv stand", 39, "otherfurniture"),
        _label("monitor", 40, "otherprop", "computer screen"),
        _label("laptop", 40, "otherprop"),
        _label("cup", 40, "otherprop"),
        _label("vase", 40, "otherprop"),
        _label("plant", 40, "otherprop"),
        _label("microwave", 40, "otherprop"),
        _label("stool", 40, "otherprop"),
    )
}


# A label's id, as the table counts them and label images hold them.
NUMBER_OF = {raw: number for number, raw in enumerate(LABELS, start=1)}


def label_table() -> str:
    """The text of `scannetv2-labels.combined.tsv`, with ScanNet's line ends and empty columns."""
    lines = ["\t".join(COLUMNS) + "\t"]
    for label in LABELS.values():
        row = dict.fromkeys(COLUMNS, "")
        row |= {
            "id": str(NUMBER_OF[label.raw]),
            "raw_category": label.raw,
            "category": label.raw,
            "count": "1",
            "nyu40id": str(label.nyu40),
            "nyu40class": label.nyu40_name,
        }
        lines.append("\t".join(row.values()) + "\t")
    return "\r\n".join(lines) + "\r\n"
