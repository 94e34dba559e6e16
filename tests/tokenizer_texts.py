# The texts of the tokenizer tests: the same on every run, made of this repository, Python's own sources and documentation, and generated Unicode.
import json
import random
import sys
import sysconfig
from pathlib import Path

from goldens import REPOSITORY

PHRASES = [
    "我们在北京学习人工智能，今天天气很好。", "深度求索发布了新模型！价格是¥1,234.56元。", "東京は日本の首都です。カタカナとひらがな、漢字が混ざる。", "ラーメンを３杯食べた。",
    "안녕하세요, 세계! 한국어 문장입니다.", "Привет, мир! Сегодня 24 ноября 2026 года.", "Γειά σου Κόσμε — καλημέρα.", "שלום עולם, מה שלומך?", "مرحبا بالعالم، كيف حالك؟ ١٢٣٤٥",
    "नमस्ते दुनिया, आप कैसे हैं? १२३", "สวัสดีชาวโลก ราคา ๑๒๓ บาท", "Xin chào thế giới, hôm nay trời đẹp.", "Ünïcödé äccénts, naïve façade, Ærøskøbing", "e\u0301 o\u0308 n\u0303 a\u0300\u0323 combining",
    "1 + 1 = 2; 3.14159 ≈ π; x² + y² = z²; ½ ¾ Ⅳ ①②③ ٣٤٥", "don't can't I'll they've 'quoted' \"double\" “curly” ‘single’", "$100 €200 £300 ¥400 ₿5 100% #tag @user a_b-c.d/e",
]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "❤️", "☺", "1️⃣", "🧑🏿‍🚀", "🫠", "✈️", "🤷🏻‍♀️"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\n\n", "\u00a0", "\u3000", "\u2003", "\u2028", "\u0085", "\x0b", "\x0c", "\u200b", "\u180e", "\ufeff", "\u202f"]
CODE = [
    "fn main() {\n\tlet xs: Vec<u32> = (0..10).map(|x| x * x).collect();\n\tprintln!(\"{:?}\", xs);\n}\n",
    "package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfor i := 0; i < 10; i++ {\n\t\tfmt.Printf(\"%d\\n\", i)\n\t}\n}\n",
    "const f = async (x) => { await fetch(`/api/${x}?a=1&b=2`); return x?.y ?? null; };\n",
    "SELECT a.id, COUNT(*) AS n\nFROM   t AS a LEFT JOIN u ON a.id=u.id\nWHERE  a.x >= 10 AND b LIKE '%z%'\nGROUP BY 1 ORDER BY 2 DESC;\n",
    "<!DOCTYPE html>\n<html><body class=\"a b\"><p>Hi &amp; bye</p><!-- c --></body></html>\n",
    "#!/bin/sh\nset -eu\nfor f in *.txt; do\n  sed -e 's/a\\+/b/g' \"$f\" | awk '{print $1, $NF}'\ndone >out 2>&1\n",
    "public static void main(String[] args) { System.out.println(\"x=\" + 0x1F + 1e-9f); }\n",
    "{-# LANGUAGE GADTs #-}\nmain :: IO ()\nmain = mapM_ print $ zip [1..] \"abc\"\n",
    "\\begin{equation}\n  \\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}\n\\end{equation}\n", "| a | b |\n|---|--:|\n| `x` | **1** |\n\n- [ ] todo\n- [x] done\n\n---\n",
]


def pieces_of_file(path, length, limit):
    text = path.read_text(encoding="utf-8", errors="replace")
    return [text[i : i + length] for i in range(0, min(len(text), length * limit), length)]


def documents():
    import pydoc_data.topics

    topics = pydoc_data.topics.topics
    texts = [topics[name][:2500] for name in sorted(topics)]
    for path in sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("models/*/*.md")]):
        texts += pieces_of_file(path, 1500, 8)
    return texts


def code():
    texts = list(CODE)
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:100]:
        texts += pieces_of_file(path, 1200, 2)
    for pattern in ["src/**/*.cpp", "src/**/*.h", "tools/*", "*.txt", "tests/data/configs/*.json"]:
        for path in sorted(REPOSITORY.glob(pattern)):
            texts += pieces_of_file(path, 1500, 2) if path.is_file() else []
    return texts


def scalar(rng):
    """Any code point but surrogates and NUL, more often near the edges of blocks and planes."""
    edges = [0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1FFFF, 0x2FFFE, 0xE0001, 0xF0000, 0xFFFFF, 0x10FFFF]
    c = rng.choice(edges) if rng.random() < 0.1 else rng.randrange(1, rng.choice([0x250, 0x3000, 0xD800, 0x20000, 0x110000]))
    return chr(c) if not 0xD800 <= c < 0xE000 else "\ue000"


def mixtures(count):
    rng = random.Random(20261124)
    words = " ".join(PHRASES).split() + "the quick brown fox jumps over lazy dogs HTTPServer snake_case CamelCase".split()
    sources = [
        lambda: rng.choice(words), lambda: rng.choice(SPACES), lambda: rng.choice(SPACES), lambda: rng.choice(EMOJI), lambda: str(rng.randrange(10 ** rng.randrange(1, 12))),
        lambda: chr(rng.randrange(32, 127)), lambda: chr(rng.randrange(0x4E00, 0x9FA6)), lambda: chr(rng.randrange(0x3040, 0x3100)), lambda: scalar(rng), lambda: rng.choice("'\"()[]{}<>|,.;:!?-–—…"),
    ]
    return ["".join(rng.choice(sources)() for _ in range(rng.randrange(1, 40))) for _ in range(count)]


def random_unicode(count):
    rng = random.Random(7)
    return ["".join(scalar(rng) for _ in range(rng.randrange(1, 30))) for _ in range(count)]


def every_assigned_class():
    """Each code point of the blocks where Unicode versions differ, and samples of all others, in places where its class matters."""
    differing = [(0xA640, 0xAC00), (0xFB00, 0xFE00), (0x10900, 0x11000), (0x11B00, 0x11E00), (0x16E00, 0x17000), (0x18700, 0x18E00), (0x1CC00, 0x1CF00),
                 (0x1E600, 0x1E700), (0x1F600, 0x1FC00)]
    chosen = {*range(0x80, 0x3400), *range(0x3402, 0x110000, 97), *(c for first, end in differing for c in range(first, end))}
    points = sorted(c for c in chosen if not 0xD800 <= c < 0xE000)
    return ["".join(f"a{chr(c)}b {chr(c)}1{chr(c)}.{chr(c)} " for c in points[i : i + 60]) for i in range(0, len(points), 60)]


def runs():
    characters = [*" -=_*#.~aA0\n\té啊哈!?\u3000А😀", "ab", " \n", "=-", "\r\n", "lol "]
    lengths = [*range(1, 20), 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 257, 1000, 5000]
    rng = random.Random(5)
    mixed = ["".join(rng.choice(pair) * rng.choice([1, 1, 2, 3, 5, 9, 16, 33]) for _ in range(rng.randrange(2, 9)))
             for pair in [" -", "ab", "-=", "aA", " \n", "=-*", "哈啊", "ha", "_-", "()", "\\/", "0x", ".\"", "'`"] for _ in range(20)]
    return [c * n for c in characters for n in lengths] + mixed


def with_tokens(contents):
    """Every added token alone, inside text, next to itself and cut short."""
    texts = []
    for content in contents:
        texts += [content, f"a{content}b 1{content}\n", f"  {content}  {content}{content}x", f"{content[:-1]} {content[1:]}", f"<{content}>{content[: len(content) // 2]}"]
    return texts


def for_tokenizer(tokenizer_json):
    """All texts, each once; `tokenizer_json` is the parsed file, whose added tokens are put into them."""
    contents = [token["content"] for token in tokenizer_json["added_tokens"]]
    texts = ["", *PHRASES, *EMOJI, *SPACES, *documents(), *code(), *mixtures(1500), *random_unicode(500), *every_assigned_class(), *runs(), *with_tokens(contents)]
    return list(dict.fromkeys(texts))


if __name__ == "__main__":
    json.dump(for_tokenizer(json.load(open(sys.argv[1], encoding="utf-8"))), sys.stdout)
