"""Conferences and journals: canonical names, and the spellings under which notes write them."""

from __future__ import annotations

import re

# One line a venue: the canonical name, then other spellings after "=", separated by commas.
_TABLE = """
AAAI
AAMAS
ACCV
ACL = ACL-IJCNLP
ACM CSUR = CSUR, ACM Computing Surveys, Computing Surveys
ACM MM = MM, ACMMM, ACM Multimedia, Multimedia
ACSAC
AISTATS
AsiaCCS = ASIACCS, ASIA CCS
APSys
ASPLOS
ASRU
ATC = USENIX ATC, USENIXATC
BIBM
BMVC
CACM
CAV
CCS = ACM CCS
CGO
CHI = ACM CHI
CHIIR
CIDR
CIKM
CoLLAs
COLING
COLM
COLT
CoNEXT
CoNLL
CoRL
CSCW
CVPR
CVPRW = CVPR Workshop
DAC
DASFAA
DATE
DLRS
DSN
EACL
ECAI
ECCV
ECCVW = ECCV Workshop
ECIR
ECML = ECML-PKDD, ECML PKDD, PKDD, ECMLPKDD
EDBT
EMNLP
EMNLP Findings = Findings of EMNLP
EuroS&P = EuroSP, IEEE EuroS&P
EuroSys
FAST = USENIX FAST
FAccT = FAT*
FCCM
FPGA
FSE = ESEC/FSE, ESEC-FSE
GECCO
HotChips = Hot Chips
HotNets
HotOS
HPCA
HPDC
ICASSP
ICCAD
ICCV
ICCVW = ICCV Workshop
ICDAR
ICDCS
ICDE
ICDM
ICIP
ICLR
ICME
ICML
ICMR
ICPP
ICPR
ICRA
ICS
ICSE
ICTIR
ICWSM
IEEE S&P = ISP, S&P, SP, Oakland, IEEE SP, IEEE Symposium on Security and Privacy
IEEE TKDE = TKDE
IEEE TNNLS = TNNLS
IJCAI
IJCAR
IJCNLP = IJCNLP-AACL
IJCNN
IJCV
INFOCOM
Interspeech
IPDPS
IROS
ISCA
ISCAS
ISMIR
ISSCC
ISSTA
ISWC
JMLR
KDD = SIGKDD, ACM KDD
LREC
MICCAI
MICRO
MLSys = SysML
MobiCom
MobiSys
NAACL = NAACL-HLT
NAACL Findings = Findings of NAACL
ACL Findings = Findings of ACL
Nature
NDSS
NeurIPS = NIPS, NeurIPS D&B, NeurIPS Datasets and Benchmarks
NSDI
OOPSLA
OSDI
PACT
PAKDD
Pattern Recognition = PR
PLDI
PMLR
PNAS
POPL
PPoPP
Proc. IEEE = Proceedings of the IEEE
RAID
RecSys
RSS
RTSS
SC = Supercomputing
Science
SDM
SenSys
SIGCOMM
SIGDIAL
SIGGRAPH
SIGGRAPH Asia
SIGIR
SIGMETRICS
SIGMOD
SoCC
SODA
SOSP
SPAA
STOC
TACL
TCAD
TCSVT
TDSC
TIFS
TIP = IEEE TIP
TIST
TMLR
TMM
TOCS
TODS
TOIS
TOG
TPAMI = PAMI, T-PAMI, IEEE TPAMI
TPDS
TSE
UAI
UbiComp
UIST
USENIX Security = USENIX Sec, Usenix Security Symposium, Security, USENIX
VIS = IEEE VIS
VLDB = PVLDB
WACV
WSDM
WWW = The Web Conference, TheWebConf, TWC
arXiv = arxiv preprint, CoRR
bioRxiv
medRxiv
OpenReview
"""

KNOWN_YEARLESS = frozenset({"arXiv", "bioRxiv", "medRxiv", "OpenReview"})
"""Venues that a group may name without a year, in any spelling that canonical_venue() knows."""

_SHORTEST_CORRECTED = 5
_SHORTEST_ANAGRAM = 4


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9&*]", "", name.casefold())


def _read_table() -> dict[str, str]:
    keys: dict[str, str] = {}
    for line in _TABLE.strip().splitlines():
        name, _, others = line.partition("=")
        for spelling in [name, *others.split(",")]:
            if _key(spelling):
                keys.setdefault(_key(spelling), name.strip())
    return keys


_BY_KEY = _read_table()
VENUES: tuple[str, ...] = tuple(dict.fromkeys(_BY_KEY.values()))


def _one_edit_apart(a: str, b: str) -> bool:
    """Whether optimal string alignment distance is 1: one letter added, dropped, changed, or two neighbours swapped."""
    if abs(len(a) - len(b)) > 1:
        return False
    i = 0
    while i < min(len(a), len(b)) and a[i] == b[i]:
        i += 1
    if a[i:] == b[i:]:
        return False
    return (
        a[i + 1 :] == b[i + 1 :]
        or a[i + 1 :] == b[i:]
        or a[i:] == b[i + 1 :]
        or (a[i + 2 :] == b[i + 2 :] and a[i : i + 2] == b[i : i + 2][::-1])
    )


def known_spelling(name: str) -> str | None:
    """The canonical name of a venue written in a way the table has, or None: no slips are corrected."""
    return _BY_KEY.get(_key(name))


def canonical_venue(name: str) -> str | None:
    """The canonical name of a venue as notes write it, or None where it is none we know.

    Case, blanks and punctuation do not count. A small slip in a name of five letters or more is corrected (one edit),
    as are letters in the wrong order (`Arixv`, `Arivx`, `CPVR`), if just one known name fits; a known name is never
    taken for a slip of another.
    """
    key = _key(name)
    if not key or len(key) > 60:
        return None
    if known := _BY_KEY.get(key):
        return known
    letters = sorted(key)
    near = {
        canonical
        for spelling, canonical in _BY_KEY.items()
        if spelling[0] == key[0]
        and (
            (len(key) >= _SHORTEST_ANAGRAM and len(spelling) == len(key) and sorted(spelling) == letters)
            or (min(len(key), len(spelling)) >= _SHORTEST_CORRECTED and _one_edit_apart(key, spelling))
        )
    }
    return near.pop() if len(near) == 1 else None
