"""Text that needs no network: glosses of WordNet, GloVe's vectors of common words, and pairs of related words."""

from __future__ import annotations

import io
from importlib import resources

import numpy as np
import torch
from torch import Tensor

__all__ = ["load_antonyms", "load_glosses", "load_glove", "load_word_pairs"]

FAMILIES = {
    "gender": """man woman, king queen, father mother, son daughter, brother sister, husband wife, uncle aunt, boy
        girl, prince princess, actor actress, spokesman spokeswoman, grandfather grandmother, he she, himself
        herself, him her, boys girls, men women, sons daughters, brothers sisters, boyfriend girlfriend, lord lady,
        bull cow, male female, males females, dad mom, fathers mothers, kings queens""",
    "capital": """france paris, germany berlin, italy rome, spain madrid, russia moscow, japan tokyo, china beijing,
        greece athens, egypt cairo, cuba havana, iraq baghdad, iran tehran, england london, austria vienna, norway
        oslo, sweden stockholm, poland warsaw, hungary budapest, portugal lisbon, ireland dublin, turkey ankara,
        syria damascus, lebanon beirut, kenya nairobi, venezuela caracas, thailand bangkok, vietnam hanoi,
        afghanistan kabul, ukraine kiev, belgium brussels""",
    "nationality": """france french, germany german, italy italian, spain spanish, russia russian, japan japanese,
        china chinese, greece greek, egypt egyptian, cuba cuban, iraq iraqi, sweden swedish, mexico mexican, canada
        canadian, norway norwegian, poland polish, hungary hungarian, portugal portuguese, ireland irish, turkey
        turkish, syria syrian, lebanon lebanese, israel israeli, vietnam vietnamese, ukraine ukrainian, belgium
        belgian, denmark danish, finland finnish, brazil brazilian, india indian""",
    "plural": """car cars, dog dogs, house houses, tree trees, child children, man men, city cities, country
        countries, hand hands, eye eyes, song songs, horse horses, woman women, church churches, bird birds, cat
        cats, boy boys, girl girls, king kings, book books, computer computers, machine machines, river rivers,
        mountain mountains, family families, company companies, army armies, foot feet, student students, teacher
        teachers""",
    "comparative": """big bigger, small smaller, fast faster, strong stronger, weak weaker, long longer, short
        shorter, high higher, low lower, cheap cheaper, old older, young younger, good better, bad worse, large
        larger, great greater, late later, early earlier, wide wider, deep deeper, close closer, hard harder, easy
        easier, safe safer, light lighter, slow slower, tough tougher, broad broader""",
    "past": """go went, take took, see saw, come came, make made, write wrote, speak spoke, play played, walk
        walked, work worked, give gave, run ran, find found, sell sold, bring brought, buy bought, think thought,
        teach taught, tell told, hear heard, hold held, keep kept, leave left, lose lost, meet met, send sent, stand
        stood, win won, call called, ask asked""",
    "progressive": """go going, take taking, see seeing, come coming, make making, write writing, speak speaking,
        play playing, walk walking, work working, give giving, run running, find finding, sell selling, bring
        bringing, buy buying, think thinking, teach teaching, tell telling, hear hearing, hold holding, keep
        keeping, leave leaving, lose losing, meet meeting, send sending, stand standing, win winning, call calling,
        ask asking""",
    "superlative": """big biggest, small smallest, fast fastest, strong strongest, long longest, high highest, low
        lowest, old oldest, young youngest, good best, bad worst, great greatest, late latest, large largest, early
        earliest, close closest, hard hardest, rich richest, tough toughest, poor poorest, near nearest, fine
        finest, new newest""",
    "adverb": """quick quickly, slow slowly, usual usually, rare rarely, clear clearly, sudden suddenly, direct
        directly, easy easily, complete completely, recent recently, serious seriously, careful carefully, quiet
        quietly, exact exactly, rapid rapidly, strong strongly, high highly, deep deeply, full fully, real really,
        certain certainly, actual actually, final finally, similar similarly, frequent frequently, immediate
        immediately, general generally, apparent apparently, obvious obviously, public publicly""",
    "agent": """write writer, teach teacher, lead leader, drive driver, play player, work worker, manage manager,
        own owner, vote voter, run runner, win winner, report reporter, produce producer, direct director, sing
        singer, paint painter, speak speaker, found founder, train trainer, farm farmer, design designer, read
        reader, buy buyer, support supporter, kill killer, fight fighter, dance dancer, bank banker, law lawyer,
        invest investor""",
}

ANTONYMS = """good bad, hot cold, early late, rich poor, strong weak, young old, open closed, left right, up down,
    north south, east west, buy sell, win lose, love hate, war peace, life death, begin end, enter leave, hard soft,
    heavy light, high low, inside outside, increase decrease, rise fall, large small, long short, more less,
    first last, male female, morning evening, day night, public private, true false, true wrong, wide narrow,
    winter summer, success failure, victory defeat, friend enemy, above below, push pull, add remove, import export,
    fast slow, deep shallow, accept reject, employer employee, strength weakness, legal illegal, wet dry"""


def load_glosses() -> list[list[str]]:
    """Load 73,464 glosses of WordNet from the package: definitions of words, many with an example.

    In lower case and without punctuation. Left out are glosses with a word that occurs fewer than five times in all
    glosses of WordNet 3.1. They stand in WordNet's order, nouns first.

    Returns
    -------
    list of list of str
        The words of each gloss: 839,119 in all, 18,380 different ones. New at each call.

    References
    ----------
    George A. Miller (1995). WordNet: a lexical database for English. Communications of the ACM 38(11), 39-41.
    doi:10.1145/219717.219748

    Examples
    --------
    >>> glosses = load_glosses()
    >>> len(glosses), " ".join(glosses[0])
    (73464, 'an entity that has physical existence')
    """
    import lzma  # not in every Python

    return [line.split() for line in lzma.decompress(_stored("wordnet_glosses.txt.xz")).decode().split("\n")]


def load_glove() -> tuple[list[str], Tensor]:
    """Load GloVe's vectors of 10,000 common words from the package.

    They were trained by others on six billion words of an encyclopedia and of news (glove.6B.50d). The words are the
    first 10,000 of that file that consist of letters a to z alone, by decreasing frequency.

    Returns
    -------
    words : list of str
        The words.
    vectors : Tensor
        Their vectors (10000, 50), float32, rounded to float16. New at each call.

    References
    ----------
    Jeffrey Pennington, Richard Socher, Christopher D. Manning (2014). GloVe: global vectors for word representation.
    EMNLP, 1532-1543. doi:10.3115/v1/D14-1162

    Examples
    --------
    >>> words, vectors = load_glove()
    >>> words[:4], tuple(vectors.shape)
    (['the', 'of', 'to', 'and'], (10000, 50))
    """
    with np.load(io.BytesIO(_stored("glove50_10k_f16.npz")), allow_pickle=False) as arrays:
        words, vectors = arrays["words"].tobytes().decode().split("\n"), torch.from_numpy(arrays["vectors"])
    return words, vectors.float()


def load_word_pairs() -> dict[str, list[tuple[str, str]]]:
    """Load pairs of words that differ in one respect, for analogies: ten families of up to thirty pairs.

    They were put together for this book, not taken from a benchmark. `load_glove` has a vector of each word.

    Returns
    -------
    dict
        The pairs of each family: gender, capital, nationality, plural, comparative, past, progressive, superlative,
        adverb, agent.

    Examples
    --------
    >>> load_word_pairs()["capital"][:2]
    [('france', 'paris'), ('germany', 'berlin')]
    """
    return {family: _pairs(text) for family, text in FAMILIES.items()}


def load_antonyms() -> list[tuple[str, str]]:
    """Load fifty pairs of words of opposite meaning, put together for this book.

    Examples
    --------
    >>> load_antonyms()[:2]
    [('good', 'bad'), ('hot', 'cold')]
    """
    return _pairs(ANTONYMS)


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = (pair.split() for pair in text.split(","))
    return [(first, second) for first, second in pairs]


def _stored(name: str) -> bytes:
    return resources.files("tricks_lib.data").joinpath("files", name).read_bytes()
