"""What is found on arrays is what is found without them: documents, order, scores, stages, facets, explanations."""

from __future__ import annotations

import random
import subprocess
import sys
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import SHIPPED, index_of
from engines import documents
from engines.memory import MemorySnapshot
from papersearch import open_index
from papersearch.analysis.normalize import is_cjk
from papersearch.analysis.words import SEAM
from papersearch.columns import DictColumns
from papersearch.errors import IndexDamagedError
from papersearch.fields import FACETS, FIELDS, GRAMS, TEXT
from papersearch.ideas import Form, gram_form
from papersearch.index import ways
from papersearch.index.documents import to_document
from papersearch.index.reader import Snapshot, open_snapshot
from papersearch.index.segment import LOW_BITS
from papersearch.index.ways import Coding
from papersearch.index.writer import Document, IndexWriter
from papersearch.occurrences import Occurrences, boost_at
from papersearch.paper import Paper, Section
from papersearch.query import SORTS, Exact, Years, parse_query
from papersearch.scoring import idf, saturation
from papersearch.search import ARRAY_DOCUMENTS, Answer, IndexSearcher, Request
from papersearch.spelling import MAX_CORRECTIONS, SHORTEST_CORRECTED, Speller, edit_distance

arrays = pytest.importorskip("papersearch.arrays.columns", exc_type=ImportError)
ranking = pytest.importorskip("papersearch.arrays.ranking", exc_type=ImportError)
stored = pytest.importorskip("papersearch.arrays.stored", exc_type=ImportError)
ArrayWords = pytest.importorskip("papersearch.arrays.words", exc_type=ImportError).ArrayWords
np = pytest.importorskip("numpy")

ENGLISH = ["zebra", "zebras", "yak", "gnu", "graph", "graphs", "neural", "network", "networks", "attention", "pooling", "max", "maxpooling", "light", "seq", "lightseq", "LightSeq2", "YOLOv7", "end-to-end", "training", "pre-training", "pretraining", "transformer", "the", "of", "for", "2", "x_i", "quantization", "detection", "detector"]  # fmt: skip
CHINESE = ["检测", "后门攻击", "知识蒸馏", "图神经网络", "推荐系统", "量化", "的", "模型", "大语言模型", "攻", "机器学习", "注意力"]  # fmt: skip
VENUES, ORGS, CATEGORIES = ["CVPR", "NeurIPS", "arXiv", ""], ["Acme", "IBM", "MIT"], ["目标检测", "Graphs", "安全"]


def note(rng: random.Random) -> str:
    words = [rng.choice(ENGLISH) if rng.random() < 0.6 else rng.choice(CHINESE) for _ in range(rng.randrange(1, 40))]
    return "".join(word + rng.choice((" ", " ", "", ", ", "\n")) for word in words)


def papers(count: int, seed: int) -> list[Paper]:
    rng = random.Random(seed)
    made = []
    for i in range(count):
        title = " ".join(rng.choice(ENGLISH if rng.random() < 0.7 else CHINESE) for _ in range(rng.randrange(1, 8)))
        made.append(
            Paper(
                f"{title} {i}", f"{title} {i}", "d.md", 3 * i + 1, 3 * i + 2, category=rng.choice(CATEGORIES),
                venue=rng.choice(VENUES) or None, year=rng.choice((2019, 2020, 2022, None)),
                orgs=tuple(rng.sample(ORGS, rng.randrange(3))), sections=(Section("d.md", 3 * i + 2, note(rng)),),
            )
        )  # fmt: skip
    return made


def slip(rng: random.Random, word: str) -> str:
    at = rng.randrange(len(word))
    return word[:at] + rng.choice(("", "e", word[at] * 2)) + word[at + 1 :]


def query(rng: random.Random, depth: int = 0) -> str:
    """A query of the whole language."""

    def word() -> str:
        return rng.choice(ENGLISH if rng.random() < 0.6 else CHINESE)

    kinds: list[Callable[[], str]] = [
        word,
        word,
        lambda: f"{word()} {word()}",
        lambda: " ".join(word() for _ in range(rng.randrange(3, 8))),
        lambda: "".join(rng.choice(CHINESE) for _ in range(rng.randrange(2, 4))),
        lambda: rng.choice("检攻量模注图"),
        lambda: f'"{word()} {word()}"',
        lambda: f'"{rng.choice(CHINESE)}"',
        lambda: slip(rng, word()),
        lambda: f"{word()[:3]}*",
        lambda: f"{slip(rng, word())}~{rng.choice(('', '1', '2'))}",
        lambda: f"{rng.choice(('title', 'note', 'category', 'alias'))}:{word()}",
        lambda: f'title:"{word()} {word()}"',
        lambda: rng.choice(("year:2019", "year:2020..", "venue:cvpr", "org:acme", "category:graphs", "has:venue", "venue:xyz")),
        lambda: f"-{word()}",
        lambda: f"{word()} OR {word()}",
        lambda: f"sort:{rng.choice(('year', '-year', 'title', 'venue'))}",
        lambda: f"qqxxzz {word()}",
    ]  # fmt: skip
    if depth < 2:
        kinds.append(lambda: f"({query(rng, depth + 1)}) {rng.choice(('OR', '', 'NOT'))} ({query(rng, depth + 1)})")
    return " ".join(rng.choice(kinds)() for _ in range(rng.choice((1, 1, 2, 3))))


def request(rng: random.Random) -> Request:
    limit = rng.choice((10, 10, 3, 0, None))
    return Request(
        parse_query(query(rng)),
        filters=rng.choice(((), (), (), (Years(((2019, 2020),)),), (Exact("venue", ("CVPR", "arXiv")),))),
        sort=rng.choice(("score", "score", "score", "score", *SORTS)),
        limit=limit,
        offset=rng.choice((0, 0, 0, 2, 20)),
        strict=rng.random() < 0.1,
        facets=FACETS,
        explain=limit is not None,
    )


def assert_same(one: Answer, other: Answer, what: object) -> None:
    assert [f.doc for f in one.found] == [f.doc for f in other.found], what
    assert (one.stage, one.total, one.notices, one.facets) == (other.stage, other.total, other.notices, other.facets)
    for a, b in zip(one.found, other.found, strict=True):
        assert a.stage == b.stage, what
        assert a.score == pytest.approx(b.score, rel=1e-9), what
        assert [(p.name, p.detail) for p in a.parts] == [(p.name, p.detail) for p in b.parts], what
        assert [p.value for p in a.parts] == pytest.approx([p.value for p in b.parts], rel=1e-9), what


def assert_alike(snapshot: Any, requests: Sequence[Request]) -> int:
    """Both searches give the same answers; returns how many documents were compared."""
    plain, quick = (IndexSearcher(snapshot, lambda doc: (-doc,), arrays=kind) for kind in (False, True))
    compared = 0
    for asked in requests:
        a, b = plain.search(asked), quick.search(asked)
        assert type(a.columns) is DictColumns
        assert type(b.columns) is arrays.ArrayColumns
        assert_same(a, b, asked)
        docs = [found.doc for found in a.found]
        assert plain.matched(a, docs) == quick.matched(b, docs), asked
        compared += len(docs)
    return compared


def in_pieces(made: Sequence[Paper], folder: Path) -> Snapshot:
    """Several segments with deleted documents in them."""
    for part in (made[::2], made[::3], made[1::2]):
        with IndexWriter(folder) as writer:
            for document in documents(part):
                writer.add(document)
            writer.commit({})
    return open_snapshot(folder)


def written(made: Sequence[Document], folder: Path) -> Snapshot:
    with IndexWriter(folder) as writer:
        for document in made:
            writer.add(document)
        writer.commit({})
    return open_snapshot(folder)


def test_answers_are_those_of_the_plain_search(tmp_path: Path) -> None:
    rng = random.Random(1)
    made = papers(300, 2)
    requests = [request(rng) for _ in range(150)]
    assert assert_alike(in_pieces(made, tmp_path), requests) > 500
    assert assert_alike(written(documents(made[:60]), tmp_path / "whole"), requests) > 100


def test_what_lies_near_an_idea_adds_the_same(tmp_path: Path) -> None:
    """A few papers lack what the query asks for and hold what lies near it."""
    near = [
        ("pruning", "zebra"),
        ("模型压缩", "zebra gnu"),
        ("low-bit", "yak"),
        ("触发器", "zebra yak"),
        ("graph", "zebra"),
    ]
    made = [*papers(40, 5), *(Paper(f"P{i}", f"P{i}", "d.md", 1, 2, sections=(Section("d.md", 2, f"{a} {b}"),)) for i, (a, b) in enumerate(near))]  # fmt: skip
    snapshot = written(documents(made), tmp_path)
    texts = ["model compression zebra yak", "知识蒸馏 zebra yak gnu", "quantization 后门攻击 zebra yak attention"]
    requests = [Request(parse_query(text), limit=None, explain=True) for text in texts]
    assert assert_alike(snapshot, requests) > 10
    for asked in requests:
        for kind in (False, True):
            searcher = IndexSearcher(snapshot, lambda doc: (doc,), arrays=kind)
            answer = searcher.search(asked)
            assert any(part.name.startswith("related ") and part.value > 0 for f in answer.found for part in f.parts)
            for limit in range(1, len(answer.found)):
                assert searcher.search(asked.replace(limit=limit)).found == answer.found[:limit]


def test_what_was_read_for_some_documents_is_never_taken_for_that_of_others(tmp_path: Path) -> None:
    """Terms of which several may stand in a place, in whatever order and for whatever documents they are asked for."""
    snapshot = in_pieces(papers(300, 12), tmp_path)
    text, grams = snapshot.field(TEXT), snapshot.field(GRAMS)
    terms = ("~graph", "graph"), ("~network", "network"), ("yak",), ("~train", "train")
    forms = [Form(((TEXT, one, 0),)) for one in terms]
    forms += [Form(((TEXT, one, 0), (TEXT, other, 1))) for one in terms for other in terms]
    everything, rng = set(snapshot.docs()), random.Random(13)
    whole = {form: Occurrences(text, grams).starts(form, everything) for form in forms}
    assert sum(map(len, whole.values())) > 300
    for _ in range(20):
        occurrences = Occurrences(text, grams)
        for _ in range(40):
            form, docs = rng.choice(forms), set(rng.sample(sorted(everything), rng.choice((1, 5, 40, 150, 300))))
            assert occurrences.starts(form, docs) == {d: whole[form][d] for d in docs & whole[form].keys()}


@pytest.mark.parametrize("kind", [False, True])
def test_what_a_near_name_lifts_up_is_raised_by_its_title_too(tmp_path: Path, kind: bool) -> None:
    """Without the near name it could not be shown, however its words stand."""
    apart = " ".join(f"w{i}" for i in range(9))
    near = "low-bit 知识蒸馏 pruning " * 20
    lifted = Paper("L", f"Zebra {apart} yak", "d.md", 1, 2, sections=(Section("d.md", 2, near),))
    often = "zebra " * 9 + apart + " yak" * 9
    others = [Paper(f"P{i}", f"P{i}", "d.md", 1, 2, sections=(Section("d.md", 2, often),)) for i in range(12)]
    more = [Paper(f"Q{i}", f"Q{i}", "d.md", 1, 2, sections=(Section("d.md", 2, "gnu " * 100),)) for i in range(110)]
    snapshot = written(documents([lifted, *others, *more]), tmp_path)
    searcher = IndexSearcher(snapshot, lambda doc: (doc,), arrays=kind)
    asked = Request(parse_query("quantization zebra yak"), limit=None, explain=True)
    whole = searcher.search(asked)
    assert whole.found[0].doc == 0
    assert {"title zebra", "title yak", "related quantization"} <= {part.name for part in whole.found[0].parts}
    for limit in (1, 2, 10):
        assert searcher.search(asked.replace(limit=limit)).found == whole.found[:limit]


@pytest.mark.parametrize("kind", [False, True])
def test_what_could_not_be_shown_is_left_out_without_a_trace(tmp_path: Path, kind: bool) -> None:
    """A page is that part of the whole answer, for which every place and every near name is looked up."""
    rng = random.Random(7)
    searcher = IndexSearcher(in_pieces(papers(700, 6), tmp_path), lambda doc: (doc,), arrays=kind)
    looked_at: list[bool] = []
    for _ in range(120):
        asked = Request(parse_query(query(rng, 1)), explain=True)
        whole = searcher.search(asked.replace(limit=None))
        for begin, limit in ((0, 1), (0, 3), (0, 10), (4, 7)):
            page = searcher.search(asked.replace(offset=begin, limit=limit))
            assert (page.total, page.stage, page.notices) == (whole.total, whole.stage, whole.notices), asked
            assert page.found == whole.found[begin : begin + limit], asked
        if page.look and whole.look:
            looked_at.append(len(page.look.docs) < len(whole.look.docs))
    assert looked_at.count(True) > 20


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_answers_over_any_small_corpus_are_the_same(seed: int) -> None:
    rng = random.Random(seed)
    with TemporaryDirectory() as folder:
        made = documents(papers(rng.randrange(1, 9), seed))
        assert_alike(written(made, Path(folder)), [request(rng) for _ in range(12)])


def of_width(width: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """An index with deleted documents, whose numbers take so many bytes where they are written whole."""
    monkeypatch.setattr(ways, "doc_width", lambda documents: width)
    return in_pieces(papers(400, 3), folder)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_postings_of_several_terms_are_those_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    snapshot = of_width(width, tmp_path, monkeypatch)
    fields = [field for _, _, field in snapshot.field(TEXT).parts]
    assert {len(field.docs) < field.row_count * width for field in fields} == {True}
    for name in (TEXT, GRAMS):
        reader = snapshot.field(name)
        rows = stored.FieldRows(reader)
        terms = [*reader.terms(), "nowhere"]
        random.Random(4).shuffle(terms)
        several = rows.read_several(terms)
        assert len(several.numbers) > 10_000 or name == GRAMS
        for number, term in enumerate(terms):
            own, alone = several.numbers == number, rows.read(term)
            postings = reader.postings(term)
            assert alone.docs.tolist() == list(postings.docs if postings else ()), term
            assert (several.docs[own] == alone.docs).all(), term
            assert (several.shapes[own] == alone.shapes).all(), term
            everything = several.places(own)
            counts, positions = alone.chosen(np.arange(len(alone.docs)))
            assert (everything[0] == alone.docs.repeat(counts)).all(), term
            assert (everything[1] == positions).all(), term
        assert not len(rows.read_several([]).numbers)


def test_few_of_many_postings_are_read_as_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "SHORT", 0)
    draw = random.Random(8)
    snapshot = in_pieces(papers(400, 3), tmp_path)
    few = 0
    for name in (TEXT, GRAMS):
        reader = snapshot.field(name)
        rows = stored.FieldRows(reader)
        for term in reader.terms():
            whole = rows.read(term)
            size = len(whole.docs)
            for count in {1, size // 20, size // 3, size} - {0} if size else ():
                at = np.array(sorted(draw.sample(range(size), count)))
                few += count << stored.FEW_BITS < size
                read = rows.read(term)
                counts, positions = read.chosen(at)
                assert (read.docs[at] == whole.docs[at]).all()
                postings = reader.postings(term)
                assert postings is not None
                wanted = [list(postings.positions(i)) for i in at.tolist()]
                assert counts.tolist() == list(map(len, wanted)), term
                assert positions.tolist() == [position for row in wanted for position in row], term
    assert few > 100


DAMAGED: dict[str, Callable[[Any], object]] = {
    "lows": lambda field: field.lows[: len(field.lows) // 2],
    "_codes": lambda field: SimpleNamespace(run=lambda number, whole=field._codes: b"\xfe" * len(whole.run(number))),
    "docs": lambda field: memoryview(b"\xfe" * len(field.docs)),
    "coding": lambda field: Coding(1 << 24),
    "shape_start": lambda field: field.shape_start[:-1],
    "shape_high": lambda field: memoryview(array("Q", [1 << 40]) * len(field.shape_high)),
}


@pytest.mark.parametrize("section", DAMAGED)
def test_damaged_postings_are_reported_and_not_read(tmp_path: Path, section: str) -> None:
    reader = written(documents(papers(300, 3)), tmp_path).field(TEXT)
    (_, _, field), terms = reader.parts[0], list(reader.terms())
    setattr(field, section, DAMAGED[section](field))
    with pytest.raises(IndexDamagedError):
        stored.FieldRows(reader).read_several(terms)
    for count in (1, None):
        with pytest.raises(IndexDamagedError):
            rows = stored.FieldRows(reader)
            for term in terms:
                read = rows.read(term)
                read.chosen(np.arange(len(read.docs))[:count])


def test_terms_with_a_character(tmp_path: Path) -> None:
    grams = in_pieces(papers(400, 3), tmp_path).field(GRAMS)
    assert grams.terms_with("网") == [term for term in grams.terms() if "网" in term] != []
    assert not grams.terms_with("龘")


def characters_and_pairs(run: str) -> list[tuple[str, int]]:
    return [(run[i:j], i) for i in range(len(run)) for j in (i + 1, i + 2) if j <= len(run) and SEAM not in run[i:j]]


def test_what_is_written_is_found_where_it_stands(tmp_path: Path) -> None:
    """Pairs of characters and what is made of them, whether they are words of the text or not, against the texts."""
    # What is cut in several ways.
    odd = ["研究生命起源", "研究生命题", "结合成分子时", "合成分子", "中国有机会议", "机会", "会议", "国有"]
    rng = random.Random(9)
    notes = ["，".join(rng.sample(odd, 3)) for _ in range(40)]
    others = [Paper(f"{n} {i}", n, "e.md", 1, 2, sections=(Section("e.md", 2, n),)) for i, n in enumerate(notes)]
    made = {paper.title: paper for paper in [*papers(150, 3), *others]}
    snapshot = in_pieces([*made.values()], tmp_path)
    held: dict[int, set[tuple[str, int]]] = {}
    for doc in snapshot.docs():
        document = to_document(made[snapshot.stored(doc)["title"]], characters_and_pairs)
        held[doc] = {(term, position) for term, position, _ in document.tokens[TEXT] if is_cjk(term)}
    chars = {doc: {position: term for term, position in own if len(term) == 1} for doc, own in held.items()}
    runs = {
        "".join([row[at + i] for i in range(size)])
        for row in chars.values()
        for at in row
        for size in (1, 2, 3, 5)
        if row.keys() >= {at + i for i in range(size)}
    }
    text, grams = snapshot.field(TEXT), snapshot.field(GRAMS)
    plain, quick = Occurrences(text, grams), arrays.ArrayColumns(snapshot)
    both = words = 0
    pairs = {text[i : i + 2] for text in odd for i in range(len(text) - 1)}
    for run in [*rng.sample(sorted(runs), 100), *sorted(pairs), "测", "龘", "龘测"]:
        form = gram_form(run)
        parts = [(terms[0], offset) for _, terms, offset in form.parts]
        there = {
            doc: at
            for doc, own in held.items()
            if (at := [p for p in sorted(chars[doc]) if all((term, p + offset) in own for term, offset in parts)])
        }
        if len(run) == 2:
            docs = [{*postings.docs} if (postings := field.postings(run)) else set() for field in (text, grams)]
            both += bool(docs[0] & docs[1])
            words += not docs[1]
            assert docs[0] | docs[1] == there.keys()
        everything = set(snapshot.docs())
        assert plain.starts(form, everything) == there, run
        some = {doc for doc in there if doc % 3}
        assert Occurrences(text, grams).starts(form, some) == {doc: there[doc] for doc in some}, run
        (rows,) = [[*zip(places._docs.tolist(), places._starts.tolist(), strict=True)] for places in [quick.places([(form,)], quick.everything())]]  # fmt: skip
        assert sorted(rows) == sorted((doc, p) for doc, at in there.items() for p in at), run
        for zone in (None, "title", "note"):
            low, high = FIELDS[zone].zone if zone else (0, 2**31)
            often = {
                doc: sum(boost_at(p) for p in here)
                for doc, at in there.items()
                if (here := [p for p in at if low <= p < high])
            }
            found = Occurrences(text, grams).found(form, zone)
            assert (found.frequencies(None) if found else {}) == often, (run, zone)
            few = set(sorted(often)[::9])
            assert not found or found.frequencies(few) == {doc: often[doc] for doc in few}, (run, zone)
            column = quick.summed(quick._frequencies(form, zone))
            assert dict(zip(column.docs.tolist(), column.values.tolist(), strict=True)) == often, (run, zone)
    assert both > 3
    assert words > 3


def test_zones_begin_where_high_bits_of_positions_change() -> None:
    """The shape of a posting says in which zones its positions lie."""
    bounds = {bound for field in FIELDS.values() if field.zone[1] for bound in field.zone}
    assert len(bounds) > 4 and not [bound for bound in bounds if bound % (1 << LOW_BITS)]


def test_an_empty_index_is_searched_alike(tmp_path: Path) -> None:
    assert assert_alike(written([], tmp_path), [request(random.Random(seed)) for seed in range(40)]) == 0


# ---- bags of words


def bags(count: int, seed: int, length: int = 60) -> list[Document]:
    """Documents of words that get rarer and rarer, with years."""
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(400)]
    shares = [1 / (i + 2) for i in range(400)]
    made = []
    for i in range(count):
        tokens = rng.choices(words, shares, k=rng.randrange(1, length))
        made.append(
            Document(
                f"{i:06}", {TEXT: [(t, p, rng.choice((1.0, 1.0, 3.0, 0.5))) for p, t in enumerate(tokens)]},
                keywords={"year": [str(rng.randrange(2015, 2025))]}, stored={"id": f"{i:06}"},
            )
        )  # fmt: skip
    return made


def bag(rng: random.Random) -> list[str]:
    rare = rng.random() < 0.3
    return list(dict.fromkeys(f"w{int(rng.random() ** (1 if rare else 3) * 402)}" for _ in range(rng.randrange(1, 7))))


def by_definition(snapshot: Snapshot, terms: Sequence[str], every: bool, docs: set[int] | None) -> dict[int, float]:
    text = snapshot.field(TEXT)
    scores: dict[int, float] = {}
    having = []
    for term in terms:
        postings = text.postings(term)
        having.append(set(postings.docs) if postings else set())
        for doc, weight in zip(postings.docs, postings.weights, strict=True) if postings else ():
            part = saturation(weight, text.length(doc), text.average_length)
            scores[doc] = scores.get(doc, 0.0) + part * idf(len(postings or ()), snapshot.doc_count)
    kept = set(scores).intersection(*having) if every else set(scores)
    return {doc: scores[doc] for doc in (kept if docs is None else kept & docs)}


def check_bags(snapshot: Snapshot, count: int, seed: int) -> None:
    rng = random.Random(seed)
    plain, quick = (IndexSearcher(snapshot, lambda doc: (doc,), arrays=kind) for kind in (False, True))
    years = snapshot.field("year")
    for _ in range(count):
        terms, every, limit = bag(rng), rng.random() < 0.4, rng.choice((1, 3, 10, 40))
        year = str(rng.randrange(2015, 2026)) if rng.random() < 0.3 else ""
        filters = (Exact("year", (year,)),) if year else ()
        admitted = None if not year else set(postings.docs if (postings := years.postings(year)) else ())
        wanted = by_definition(snapshot, terms, every, admitted)
        best = sorted(wanted.items(), key=lambda row: (-row[1], row[0]))[:limit]
        for searcher in (plain, quick):
            got = searcher.top(terms, limit, every=every, filters=filters)
            assert [score for _, score in got] == pytest.approx([score for _, score in best], rel=1e-12), terms
            assert all(wanted[doc] == pytest.approx(score, rel=1e-12) for doc, score in got), terms
            assert got == sorted(got, key=lambda row: (-row[1], row[0]))
        assert plain.top(terms, limit, every=every, filters=filters) == got
        row = [f"w{rng.randrange(6)}" for _ in range(rng.choice((2, 2, 3)))]
        phrase = plain.phrase_top(row, limit, filters=filters)
        assert quick.phrase_top(row, limit, filters=filters) == phrase
        assert len(phrase) <= limit


def test_the_best_for_a_bag_of_words_are_those_of_adding_everything_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small numbers take the ways that large indexes take: champions, rows of bounds, words out of reach."""
    snapshot = written(bags(900, 3), tmp_path)
    check_bags(snapshot, 60, 4)
    for name, value in [
        ("PREPARED", 12),
        ("CHAMPIONS", 8),
        ("CLOSER", 2),
        ("ROW_SHARE", 1 / 90),
        ("FEW", 3),
        ("FEW_POSTINGS", 20),
    ]:
        monkeypatch.setattr(ranking, name, value)
    check_bags(snapshot, 150, 5)
    monkeypatch.setattr(ranking, "ROW_SHARE", 1)
    check_bags(snapshot, 60, 6)


def whoosh_top(searcher: Any, terms: Sequence[str], every: bool, limit: int) -> list[tuple[int, float]]:
    from whoosh import query as q

    clauses = [q.Term(TEXT, term) for term in terms]
    hits = searcher.search((q.And if every else q.Or)(clauses), limit=limit, optimize=False)
    return [(hit.docnum, hit.score) for hit in hits]


def check_whoosh(folder: Path, count: int) -> None:
    from whoosh.scoring import BaseScorer, WeightingModel

    from papersearch.index.codec import whoosh_index

    with open_snapshot(folder) as snapshot:
        text = snapshot.field(TEXT)

        class Scorer(BaseScorer):  # type: ignore[misc]
            def __init__(self, weight: float) -> None:
                self.weight = weight

            def score(self, matcher: Any) -> float:
                length = text.length(matcher.id())
                return saturation(matcher.weight(), length, text.average_length) * self.weight

            def max_quality(self) -> float:
                return 1e9

        class Weighting(WeightingModel):  # type: ignore[misc]
            def scorer(self, searcher: Any, name: str, term: bytes, qf: float = 1) -> Scorer:
                return Scorer(idf(searcher.doc_frequency(name, term), searcher.doc_count()))

        quick = IndexSearcher(snapshot, lambda doc: (doc,), arrays=True)
        rng = random.Random(7)
        with whoosh_index(folder).searcher(weighting=Weighting()) as searcher:
            for _ in range(count):
                terms, every = bag(rng), rng.random() < 0.4
                got = quick.top(terms, 10, every=every)
                oracle = whoosh_top(searcher, terms, every, 10)
                assert [s for _, s in got] == pytest.approx([s for _, s in oracle], rel=1e-9), terms
                # Which of those that tie with the last one are shown is each engine's own choice.
                last = oracle[-1][1] + 1e-9 if oracle else 0.0
                assert {d for d, s in got if s > last} == {d for d, s in oracle if s > last}, terms


def test_whoosh_finds_the_same_best_documents(tmp_path: Path) -> None:
    written(bags(700, 8), tmp_path).close()
    check_whoosh(tmp_path, 60)


@pytest.mark.slow
def test_a_thousand_queries_over_ten_thousand_documents(tmp_path: Path) -> None:
    snapshot = written(bags(10_000, 9), tmp_path / "bags")
    check_bags(snapshot, 1000, 10)
    check_whoosh(tmp_path / "bags", 1000)


@pytest.mark.slow
def test_a_thousand_queries_of_the_whole_language(tmp_path: Path) -> None:
    rng = random.Random(11)
    assert assert_alike(in_pieces(papers(1000, 12), tmp_path), [request(rng) for _ in range(1000)]) > 3000


# ---- words spelt nearly so

LETTERS = "abcd检测é"


@given(st.lists(st.text(LETTERS, min_size=1, max_size=7), max_size=30), st.text(LETTERS, min_size=1, max_size=7), st.integers(1, 2))  # fmt: skip
def test_near_words_are_found_however_they_are_looked_for(terms: list[str], word: str, limit: int) -> None:
    made = [Document("1", {TEXT: [(term, i, 1.0) for i, term in enumerate(terms)]})]
    speller = Speller(MemorySnapshot(made).field(TEXT))  # type: ignore[arg-type]
    wanted = {(d, term) for term in terms if (d := edit_distance(word, term, limit)) <= limit}
    assert set(speller.near(word, limit)) == wanted
    speller.prepared = ArrayWords(speller.words)
    assert set(speller.near(word, limit)) == wanted
    assert len(speller.near(word, limit)) == len(wanted)


def edited(rng: random.Random, word: str) -> str:
    """The word after one edit, of its first letter more often than of others."""
    i = rng.choice((0, 0, rng.randrange(len(word))))
    before, here, rest = word[:i], word[i], word[i + 1 :]
    letter = rng.choice("abcdé1Z")
    changes = (
        before + rest,
        before + letter + here + rest,
        before + letter + rest,
        before + rest[:1] + here + rest[1:],
    )
    return rng.choice(changes)


def test_corrections_are_the_nearest_words_of_all() -> None:
    rng, seen = random.Random(5), set()
    for _ in range(600):
        word = "".join(rng.choices("abcd", k=rng.randrange(5, 8)))
        terms = []
        for _ in range(rng.randrange(1, 5)):
            terms.append(word)
            for _ in range(rng.choice((1, 2, 2, 3))):
                terms[-1] = edited(rng, terms[-1])
        made = [Document(str(i), {TEXT: [(term, 0, 1.0)]}) for i, term in enumerate(terms)]
        speller = Speller(MemorySnapshot(made).field(TEXT))  # type: ignore[arg-type]
        corrections = speller.corrections(word)
        if not any(term != word and term.startswith(word) for term in terms):
            plain = {t for t in terms if t.isascii() and t.isalpha() and len(t) >= SHORTEST_CORRECTED - 1 and t != word}
            most = 1 if len(word) <= 5 else 2
            ranks = {t: (edits, t[0] != word[0]) for t in plain if (edits := edit_distance(word, t, most)) <= most}
            best = min(ranks.values(), default=None)
            seen.add(best)
            nearest = [t for t, rank in ranks.items() if rank == best]
            assert corrections == sorted(nearest, key=lambda t: (-terms.count(t), t))[:MAX_CORRECTIONS]
        speller.plain = ArrayWords(speller.plain_words)
        assert speller.corrections(word) == corrections
    assert seen == {None, (1, False), (1, True), (2, False), (2, True)}


def test_a_word_of_the_greatest_length_has_near_ones() -> None:
    words = ["a" * 63, "a" * 64, "b" * 64, "a" * 62 + "bc"]
    near = ArrayWords(lambda: iter(words)).near("a" * 64, 2)
    assert sorted(near) == [(0, "a" * 64), (1, "a" * 63), (2, "a" * 62 + "bc")]


# ---- when arrays are used


def kinds(searcher: IndexSearcher, searches: int) -> list[str]:
    return [type(searcher.search(Request(parse_query("w1"))).columns).__name__ for _ in range(searches)]


def test_arrays_are_for_indexes_of_some_size(tmp_path: Path) -> None:
    few, many = (written(bags(n, 1, 3), tmp_path / str(n)) for n in (ARRAY_DOCUMENTS - 1, ARRAY_DOCUMENTS))
    assert kinds(IndexSearcher(few, lambda doc: (doc,)), 3) == ["DictColumns"] * 3
    assert kinds(IndexSearcher(many, lambda doc: (doc,)), 2) == ["ArrayColumns"] * 2


def run(code: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout


SEARCHES = """
import sys
if "without" in sys.argv: sys.modules["numpy"] = None
from papersearch.index.reader import open_snapshot
from papersearch.query import parse_query
from papersearch.search import IndexSearcher, Request
searcher = IndexSearcher(open_snapshot(sys.argv[1]), lambda doc: (doc,))
for _ in range(3):
    answer = searcher.search(Request(parse_query("w1 w2")))
    print(type(answer.columns).__name__, bool(sys.modules.get("numpy")), [f.doc for f in answer.found])
"""


def test_the_first_search_of_a_process_loads_no_numpy_and_the_next_ones_do(tmp_path: Path) -> None:
    written(bags(ARRAY_DOCUMENTS, 1), tmp_path).close()
    first, *others = run(SEARCHES, str(tmp_path)).splitlines()
    docs = first.split(maxsplit=2)[2]
    assert first == f"DictColumns False {docs}"
    assert others == [f"ArrayColumns True {docs}"] * 2
    assert run(SEARCHES, str(tmp_path), "without").splitlines() == [f"DictColumns False {docs}"] * 3


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MEMORY_BYTES", 60_000)
    snapshot = written(bags(600, 13), tmp_path)
    columns = arrays.ArrayColumns(snapshot)
    for i in range(300):
        columns.bag_top([f"w{i}", f"w{i // 3}"], 5, False, None)
    assert 0 < columns._memory._bytes <= 60_000
    assert columns._memory._bytes == sum(size for _, size in columns._memory._kept.values())
    check_bags(snapshot, 20, 14)


def test_threads_share_what_is_remembered() -> None:
    queries = [
        "后门攻击",
        "graph search",
        "检测 -YOLO",
        '"动态形状"',
        "量化 OR 蒸馏",
        "tranformer",
        "tra*",
        "year:2022",
    ]
    with open_index(SHIPPED, index_of(SHIPPED)) as index:
        snapshot = index._now.snapshot
        plain, quick = (
            IndexSearcher(snapshot, index._now.order_of, index._now.glossary, arrays=kind) for kind in (False, True)
        )

        def ask(searcher: IndexSearcher, text: str) -> Answer:
            return searcher.search(Request(parse_query(text), explain=True))

        wanted = {text: ask(plain, text) for text in queries}
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda text: ask(quick, text), queries * 8))
        for text, answer in zip(queries * 8, got, strict=True):
            assert_same(wanted[text], answer, text)
