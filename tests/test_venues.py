"""Canonical names of venues."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papersearch.venues import KNOWN_YEARLESS, VENUES, canonical_venue, known_spelling


@pytest.mark.parametrize("name", VENUES)
def test_a_canonical_name_is_its_own(name: str) -> None:
    assert canonical_venue(name) == name
    assert canonical_venue(name.lower()) == name
    assert canonical_venue(f" {name.upper()}. ") == name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("NIPS", "NeurIPS"), ("nips", "NeurIPS"), ("Arxiv", "arXiv"), ("CoRR", "arXiv"), ("PAMI", "TPAMI"),
        ("IEEE TPAMI", "TPAMI"), ("MM", "ACM MM"), ("acm multimedia", "ACM MM"), ("ISP", "IEEE S&P"), ("S&P", "IEEE S&P"),
        ("Usenix Sec", "USENIX Security"), ("SIGKDD", "KDD"), ("The Web Conference", "WWW"), ("PVLDB", "VLDB"),
        ("ACL-IJCNLP", "ACL"), ("IJCNLP-AACL", "IJCNLP"), ("ECML-PKDD", "ECML"),
    ],
)  # fmt: skip
def test_known_spellings(written: str, name: str) -> None:
    assert canonical_venue(written) == known_spelling(written) == name


@pytest.mark.parametrize(
    ("slip", "name"),
    [("Arixv", "arXiv"), ("Arivx", "arXiv"), ("arXvi", "arXiv"), ("arXive", "arXiv"), ("CPVR", "CVPR"), ("NeruIPS", "NeurIPS"),
     ("Interspech", "Interspeech"), ("SIGMODE", "SIGMOD")],
)  # fmt: skip
def test_slips_are_corrected_but_are_no_known_spelling(slip: str, name: str) -> None:
    assert canonical_venue(slip) == name
    assert known_spelling(slip) is None


@pytest.mark.parametrize(
    "name", ["", "  ", "!?", "Zorgcon", "Google", "MIT", "Acme Labs", "清华", "A" * 500, "XYZ", "ICMX"]
)
def test_what_is_no_venue_is_not_made_one(name: str) -> None:
    assert canonical_venue(name) is None
    assert known_spelling(name) is None


@pytest.mark.parametrize(("one", "other"), [("ICML", "ICLR"), ("ICCV", "ECCV"), ("CVPR", "CVPRW"), ("ACL", "ACL Findings"), ("KDD", "PAKDD")])  # fmt: skip
def test_names_that_are_near_each_other_stay_apart(one: str, other: str) -> None:
    assert canonical_venue(one) == one
    assert canonical_venue(other) == other


def test_venues_without_a_year_are_known() -> None:
    assert set(VENUES) >= KNOWN_YEARLESS


@given(st.text(max_size=80))
def test_any_text_gets_an_answer_that_is_stable(text: str) -> None:
    name = canonical_venue(text)
    assert name is None or (name in VENUES and canonical_venue(name) == name)
    if known := known_spelling(text):
        assert known == name


@pytest.mark.parametrize("slip", ["IPDCS", "IJCAA", "SIGMDD"])
def test_a_slip_that_may_be_of_two_names_is_left_as_it_is(slip: str) -> None:
    assert canonical_venue(slip) is None


def test_long_names_take_no_time() -> None:
    started = time.perf_counter()
    for n in range(100):
        canonical_venue("conference " * 500 + str(n))
    assert time.perf_counter() - started < 1
