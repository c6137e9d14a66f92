"""The glossary's data files keep the rules of src/papersearch/glossary/README.md."""

from __future__ import annotations

import re
import unicodedata
import zlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

from papersearch import IndexDamagedError
from papersearch.glossary import RELATED, Glossary, Name, key_of, read_groups, related_source, sources, spelling_of
from papersearch.glossary.compiled import (
    FILE_NAME,
    HASH_BITS,
    CompiledGlossary,
    compile_glossary,
    hash_of,
    open_compiled,
)
from papersearch.index.flatfile import FlatFile, FlatWriter

FOLDER = files("papersearch").joinpath("glossary")
FILES = sorted(path.name for path in FOLDER.iterdir() if path.name.endswith(".tsv") and path.name != RELATED)
HAN = re.compile("[\u3400-\u9fff]")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9+/&'.-]*")
SHORT = re.compile(r"(?=(?:[^A-Z]*[A-Z]){2})[^ ]+")
SINGLE_CHARACTERS_THAT_MEAN_ONE_THING = frozenset("帧熵秩凸")
MAX_GROUPS_PER_FORM = 3
MIN_GROUPS = 900
MIN_RELATED = 150
MOST_NEAR = 24
"""More would make an idea near everything."""
NOT_RELATED = {"general.tsv", "maths.tsv", "organisations.tsv"}
"""Files whose ideas are too general, or are names of somebody."""


@dataclass(frozen=True)
class Form:
    """One name of an idea; `marked` when it carries a question mark."""

    text: str
    marked: bool

    @property
    def key(self) -> str:
        return self.text.casefold()

    @property
    def chinese(self) -> bool:
        return bool(HAN.search(self.text))

    @property
    def short(self) -> bool:
        """One word with two capitals or more and no Chinese: RLHF and mAP are, B-tree is not."""
        return not self.chinese and bool(SHORT.fullmatch(self.text))


@dataclass(frozen=True)
class Group:
    """One line of data and where it stands."""

    place: str
    forms: tuple[Form, ...]

    def __str__(self) -> str:
        return f"{self.place}: {'|'.join(form.text + '?' * form.marked for form in self.forms)}"


def lines(name: str) -> list[str]:
    return FOLDER.joinpath(name).read_bytes().decode("utf-8").split("\n")


def parse(name: str) -> list[Group]:
    groups = []
    for number, line in enumerate(lines(name), 1):
        if line and not line.startswith("#"):
            forms = tuple(Form(text.removesuffix("?"), text.endswith("?")) for text in line.split("|"))
            groups.append(Group(f"{name}:{number}", forms))
    return groups


GROUPS = [group for name in FILES for group in parse(name)]
BY_KEY: dict[str, list[tuple[Group, Form]]] = defaultdict(list)
for _group in GROUPS:
    for _form in _group.forms:
        BY_KEY[_form.key].append((_group, _form))


def places(text: str, *, sure: bool = False) -> set[str]:
    """Places of the groups that hold the form; with `sure`, only where it is unmarked."""
    return {group.place for group, form in BY_KEY[text.casefold()] if not (sure and form.marked)}


def report(bad: list[str]) -> None:
    assert not bad, "\n" + "\n".join(bad)


def test_there_are_enough_groups_in_every_file() -> None:
    assert len(GROUPS) >= MIN_GROUPS
    per_file = Counter(group.place.split(":")[0] for group in GROUPS)
    assert set(per_file) == set(FILES)
    report([f"{name}: only {count} groups" for name, count in per_file.items() if count < 50])


def test_every_file_is_named_in_the_readme() -> None:
    readme = FOLDER.joinpath("README.md").read_text(encoding="utf-8")
    report([name for name in (*FILES, RELATED) if f"`{name}`" not in readme])


@pytest.mark.parametrize("name", [*FILES, RELATED])
def test_text_is_normal_and_ends_with_one_newline(name: str) -> None:
    text = "\n".join(lines(name))
    assert text == unicodedata.normalize("NFKC", text)
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert not re.search("[\r\t\ufeff]", text)


@pytest.mark.parametrize("name", FILES)
def test_forms_are_clean(name: str) -> None:
    clean = re.compile(r"[\u4e00-\u9fffA-Za-z0-9&'+./-]+( [\u4e00-\u9fffA-Za-z0-9&'+./-]+)*")
    report([str(group) for group in parse(name) for form in group.forms if not clean.fullmatch(form.text)])


def test_chinese_is_simplified() -> None:
    """GB 2312 encodes the simplified characters in common use and not the traditional ones that differ from them."""
    bad = []
    for group in GROUPS:
        for character in "".join(HAN.findall("".join(form.text for form in group.forms))):
            try:
                character.encode("gb2312")
            except UnicodeEncodeError:
                bad.append(f"{group}: {character}")
    report(bad)


def test_every_group_speaks_both_languages() -> None:
    report([str(group) for group in GROUPS if len({form.chinese for form in group.forms}) != 2])


def test_no_form_twice_in_a_group() -> None:
    report([str(group) for group in GROUPS if len({form.key for form in group.forms}) != len(group.forms)])


def test_no_group_lies_within_another() -> None:
    bad = []
    for group in GROUPS:
        around = set.intersection(*(places(form.text) for form in group.forms)) - {group.place}
        bad += [f"{group} lies within {place}" for place in around]
    report(bad)


def test_no_form_in_too_many_groups() -> None:
    report([f"{key}: {len(found)} groups" for key, found in BY_KEY.items() if len(found) > MAX_GROUPS_PER_FORM])


def test_a_form_is_sure_in_at_most_one_group() -> None:
    bad = []
    for key, found in BY_KEY.items():
        sure = [str(group) for group, form in found if not form.marked]
        if len(sure) > 1:
            bad.append(f"{key} is unmarked in " + " and ".join(sure))
    report(bad)


def test_short_forms_of_several_groups_are_marked_in_all() -> None:
    bad = []
    for found in BY_KEY.values():
        short = [(group, form) for group, form in found if form.short]
        if len(short) > 1:
            bad += [f"{group}: {form.text}" for group, form in short if not form.marked]
    report(bad)


def test_short_forms_of_two_letters_are_marked() -> None:
    two = re.compile("[A-Za-z]{2}")
    report(
        [
            f"{group}: {form.text}"
            for group in GROUPS
            for form in group.forms
            if form.short and two.fullmatch(form.text) and not form.marked
        ]
    )


def test_single_chinese_characters_are_marked() -> None:
    report(
        [
            f"{group}: {form.text}"
            for group in GROUPS
            for form in group.forms
            if form.chinese
            and len(form.text) == 1
            and form.marked == (form.text in SINGLE_CHARACTERS_THAT_MEAN_ONE_THING)
        ]
    )


def test_first_form_is_a_sure_full_one() -> None:
    report([str(group) for group in GROUPS if group.forms[0].marked or group.forms[0].short])


def test_full_forms_stand_before_short_forms() -> None:
    bad = []
    for group in GROUPS:
        order = [form.short for form in group.forms if not form.marked]
        if order != sorted(order):
            bad.append(str(group))
    report(bad)


def test_english_is_in_lower_case_but_for_short_forms() -> None:
    bad = []
    for group in GROUPS:
        for form in group.forms:
            for word in WORD.findall(form.text):
                capitals = sum(letter.isupper() for letter in word)
                alone = re.search("(?<![A-Za-z])[A-Z](?![A-Za-z])", word)  # B-tree, text-to-3D
                if capitals == 1 and not alone:
                    bad.append(f"{group}: {word}")
    report(bad)


SAME_IDEA = """
    模型 model; 训练 training; 训练 train; 推理 inference; 优化 optimization; 优化 optimisation; 优化 optimize
    编译器 compiler; 攻击 attack; 防御 defense; 防御 defence; 防御 defend; 检测 detection; 检测 detect; 检测器 detector
    识别 recognition; 识别 recognize; 分割 segmentation; 图像 image; 文本 text; 视频 video; 特征 feature
    向量 vector; 张量 tensor; 程序 program; 算子 operator; 调度 scheduling; 调度 schedule; 综述 survey; 综述 review
    聚类 clustering; 阈值 threshold; 稀疏 sparse; 实时 real-time; 微调 fine-tuning; 微调 finetuning; 精调 fine tuning
    数据投毒 data poisoning; 对抗补丁 adversarial patch; 大模型 LLM; 召回率 recall; 检索 retrieval; 点击率 CTR
    命名实体识别 NER; 版面分析 layout analysis; 显存 GPU memory; 吞吐量 throughput; 时延 latency; 量化 quantization
    剪枝 pruning; 强化学习 reinforcement learning; 端到端 end-to-end; 消融实验 ablation; 基线 baseline
    局限性 limitation; 缺点 drawback; 提出 propose; 改进 improve
"""

DIFFERENT_IDEAS = """
    信息检索 中间表示; 贴纸 对抗补丁; 补丁 对抗补丁; 攻击 防御; 检测 识别; 编码器 解码器; 召回率 精确率
    数据集 基准; 内存 显存; 参数 权重; 逻辑回归 学习率; 语义分割 实例分割; 目标检测 目标跟踪; 生成器 判别器
    监督学习 无监督学习; 同步 异步; 在线 离线; embedding,vector; inference,reasoning; sorting,ranking
    information retrieval,intermediate representation; vector search,vector database; transformer,transform
    算子 操作; graph,figure; security,safety; policy,strategy; kernel function,convolution kernel
    linear discriminant analysis,latent dirichlet allocation
    model predictive control,secure multi-party computation
"""

AMBIGUOUS = ["IR", "CV", "MT", "LDA", "SAM", "SSD", "MPC", "ASR", "AD", "DP", "GP", "patch", "kernel"]


def pairs(table: str) -> list[tuple[str, str]]:
    """Pairs of forms: the parts of a cell around its comma, or else around its first blank."""
    cells = [cell.strip() for cell in re.split(r"[;\n]", table) if cell.strip()]
    split = [cell.split("," if "," in cell else " ", 1) for cell in cells]
    return [(left.strip(), right.strip()) for left, right in split]


@pytest.mark.parametrize(("left", "right"), pairs(SAME_IDEA))
def test_words_that_queries_are_put_together_from(left: str, right: str) -> None:
    assert places(left, sure=True) & places(right, sure=True)


@pytest.mark.parametrize(("left", "right"), pairs(DIFFERENT_IDEAS))
def test_different_ideas_are_different_groups(left: str, right: str) -> None:
    assert places(left, sure=True) and places(right, sure=True)
    assert not places(left, sure=True) & places(right, sure=True)


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_is_known_to_be_ambiguous_is_marked(text: str) -> None:
    assert places(text)
    assert not places(text, sure=True)


# ---- what lies near what

ROWS = [tuple(line.split("|")) for line in lines(RELATED) if line and not line.startswith("#")]
SURE = {form.text: group.place for group in GROUPS for form in group.forms if not form.marked}


def test_related_ideas_are_sure_names_of_groups() -> None:
    assert len(ROWS) >= MIN_RELATED
    report([f"{name} in {'|'.join(row)}" for row in ROWS for name in row if name not in SURE])


def test_every_field_of_study_has_related_ideas() -> None:
    named = Counter(SURE[name].split(":")[0] for row in ROWS for name in row)
    report([f"{name}: {named[name]} names in {RELATED}" for name in set(FILES) - NOT_RELATED if named[name] < 10])


def test_no_idea_is_near_itself_and_no_pair_stands_twice() -> None:
    pairs_of = Counter(frozenset((SURE[row[0]], SURE[name])) for row in ROWS for name in row[1:])
    report([f"{sorted(pair)}: {count} times" for pair, count in pairs_of.items() if len(pair) < 2 or count > 1])
    report(["|".join(row) for row in ROWS if len({SURE[name] for name in row}) < len(row) or len(row) < 2])


def test_no_idea_is_near_too_many() -> None:
    near = Counter(SURE[name] for row in ROWS for other in row[1:] for name in (row[0], other))
    report([f"{place}: near {count} ideas" for place, count in near.items() if count > MOST_NEAR])


def read_all() -> tuple[list[tuple[Name, ...]], list[tuple[Name, ...]]]:
    return list(read_groups(sources())), list(read_groups([related_source()]))


@pytest.mark.parametrize(
    "hashed",
    [
        pytest.param(hash_of, id="as it is"),
        pytest.param(lambda key: hash_of(key) & 0x3000F, id="many keys of one hash"),
        pytest.param(lambda key: len(key) % 2 * ((1 << HASH_BITS) - 1), id="two hashes, the first and the last"),
    ],
)
def test_compiled_it_answers_as_read_from_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: Callable[[str], int]
) -> None:
    """Also where keys have the same hash: those of the glossary, and others with them."""
    monkeypatch.setattr("papersearch.glossary.compiled.hash_of", hashed)
    groups, related = read_all()
    if hashed is not hash_of:  # each key is looked for among many groups
        groups = groups[:140]
    text, compiled = Glossary(groups, related), open_compiled(str(tmp_path), "s", lambda: (groups, related))
    assert compiled
    near = 0
    for form in (name for group in groups for name in group):
        key, spelling = key_of(form.text), spelling_of(form.text)
        assert key in compiled
        assert list(text.numbers(key)) == list(compiled.numbers(key))
        assert text.senses(key, spelling) == compiled.senses(key, spelling)
        found = text.related(key, spelling)
        assert found == compiled.related(key, spelling)
        near += bool(found)
        for other in (f"{key}x", f"x {key}", key[:-1], ""):
            assert (other in text) == (other in compiled)
            assert list(text.numbers(other)) == list(compiled.numbers(other))
    assert near > (len(ROWS) if hashed is hash_of else 0)


def test_a_compiled_glossary_that_contradicts_itself_is_damage(tmp_path: Path) -> None:
    """Each section replaced by others, as nothing but a program that means to does: every checksum is right."""
    path = tmp_path / FILE_NAME
    groups, related = read_all()
    compile_glossary(str(path), groups, related, "s")
    whole = FlatFile(str(path))
    names = [form.text for group in groups[:400:8] for form in group]

    def ask(name: str, values: array[int] | bytes) -> None:
        path.unlink()
        writer = FlatWriter(str(path))
        for section in whole.names():
            old = whole.section(section)
            writer.put(section, values if section == name else array(old.format, bytes(old)))
        writer.close()
        glossary = CompiledGlossary(str(path))
        for text in names:
            glossary.senses(key_of(text))
            glossary.related(key_of(text))

    for name in ("hashes", "hashes.at", "ids", "groups.at", "near", "near.at"):
        values = whole.section(name).tolist()
        for wrong in ([], values[:-1], [*values, 1 << 40]):
            with pytest.raises(IndexDamagedError, match="do not fit"):
                ask(name, array("Q", wrong))
    with pytest.raises(IndexDamagedError, match="do not fit"):
        ask("hashes.at", array("Q", [1 << 40, *whole.section("hashes.at")[1:]]))
    with pytest.raises(IndexDamagedError, match="group 65535 is not there"):
        ask("ids", array("H", [0xFFFF]) * len(whole.section("ids")))
    ask("hashes", array("Q", [1 << 40]) * len(whole.section("hashes")))
    ask("near", array("Q", [1]) * len(whole.section("near")))
    ask("near.at", array("Q", [1 << 40, *whole.section("near.at")[1:]]))
    starts = whole.section("groups.at").tolist()
    first = zlib.decompress(whole.section("groups")[: starts[1]])
    for block in (first + b"\nand one more", first[: first.rindex(b"\n")], b"\n" * (1 << 22)):
        packed = zlib.compress(block)
        if len(packed) <= starts[1]:
            with pytest.raises(IndexDamagedError, match="block 0"):
                ask("groups", packed + bytes(starts[-1] - len(packed)))
    with pytest.raises(IndexDamagedError, match="block 0"):
        ask("groups", bytes(starts[-1]))


def test_what_lies_near_goes_by_spelling_and_never_from_a_marked_form() -> None:
    def group(*texts: str) -> tuple[Name, ...]:
        return tuple(Name(text.removesuffix("?"), text.endswith("?")) for text in texts)

    transformer, attention, transform, matrix = (
        group("变换器", "transformer", "TF?"),
        group("注意力", "attention"),
        group("变换", "transform"),
        group("矩阵", "matrix"),
    )
    glossary = Glossary(
        [transformer, attention, transform, matrix],
        [group("transformer", "attention"), group("matrix", "变换", "none")],
    )
    assert glossary.related("transform", "transformer") == [attention]
    assert glossary.related("transform", "transform") == [matrix]
    assert glossary.related("注意力", "注意力") == [transformer]
    assert glossary.related("注意力", "注意力", ["变换器"]) == []
    assert glossary.related("tf", "tf") == glossary.related("nowhere", "nowhere") == []
