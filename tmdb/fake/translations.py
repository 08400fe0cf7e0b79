"""Texts and genre names in other languages, in TMDb's shapes, for `tmdb.fake.server`.

Every title and plot is invented. Free of Django. Everything follows from a movie's number: every
third one has no French texts, every fourth no German title, and Portuguese differs by region.
"""

from __future__ import annotations

from typing import Any

from nexus.core.genres import TMDB_GENRES

#: /configuration/primary_translations.
PRIMARY_TRANSLATIONS = ("de-DE", "en-US", "fr-FR", "ja-JP", "pt-BR", "pt-PT")
_GERMAN_NOUNS = (
    "Bernstein", "Blasebalg", "Dammweg", "Fährmann", "Glockenturm", "Hafenlicht", "Irrgarten",
    "Kornspeicher", "Mühlteich", "Nadelwald", "Obstgarten", "Seilerbahn", "Sonnenuhr", "Webstuhl",
)  # fmt: skip
_JAPANESE_NOUNS = (
    "琥珀",
    "渡し船",
    "鐘楼",
    "灯台",
    "迷路",
    "穀倉",
    "水車",
    "果樹園",
    "日時計",
    "織機",
)
# In the order of nexus.core.genres: TMDb's names of its genres.
_GENRE_NAMES = {
    "de": (
        "Action", "Abenteuer", "Animation", "Komödie", "Krimi", "Dokumentarfilm", "Drama", "Familie",
        "Fantasy", "Historie", "Horror", "Musik", "Mystery", "Liebesfilm", "Science Fiction",
        "TV-Film", "Thriller", "Kriegsfilm", "Western",
    ),
    "fr": (
        "Action", "Aventure", "Animation", "Comédie", "Crime", "Documentaire", "Drame", "Familial",
        "Fantastique", "Histoire", "Horreur", "Musique", "Mystère", "Romance", "Science-Fiction",
        "Téléfilm", "Thriller", "Guerre", "Western",
    ),
    "ja": (
        "アクション", "アドベンチャー", "アニメーション", "コメディ", "犯罪", "ドキュメンタリー", "ドラマ",
        "ファミリー", "ファンタジー", "履歴", "ホラー", "音楽", "謎", "ロマンス", "サイエンスフィクション",
        "テレビ映画", "スリラー", "戦争", "西洋",
    ),
    "pt": (
        "Ação", "Aventura", "Animação", "Comédia", "Crime", "Documentário", "Drama", "Família",
        "Fantasia", "História", "Terror", "Música", "Mistério", "Romance", "Ficção científica",
        "Cinema TV", "Thriller", "Guerra", "Faroeste",
    ),
}  # fmt: skip


def make_translations(number: int, title: str, overview: str, tagline: str) -> dict[str, Any]:
    """Return `translations` of a movie. As at TMDb, a text that is not translated is empty."""
    german = f"{_GERMAN_NOUNS[number % len(_GERMAN_NOUNS)]} {number + 1}"
    japanese = f"{_JAPANESE_NOUNS[number % len(_JAPANESE_NOUNS)]}の秘密{number + 1}"
    entries = [
        _make_entry("en", "US", "English", title, overview, tagline),
        _make_entry(
            "de",
            "DE",
            "Deutsch",
            "" if number % 4 == 3 else german,
            f"Eine Nacht bleibt, um alles zu richten. ({german})",
            "Niemand geht trocken nach Hause." if tagline else "",
        ),
        _make_entry("ja", "JP", "日本語", japanese, "", ""),
        _make_entry("pt", "PT", "Português", f"O enigma {number + 1}", "Uma noite, um enigma.", ""),
        _make_entry("pt", "BR", "Português", f"O mistério {number + 1}", "", ""),
    ]
    if number % 3:
        plot = "Il reste une nuit pour tout réparer."
        entries.append(_make_entry("fr", "FR", "Français", f"L'Énigme {number + 1}", plot, ""))
    return {"translations": entries}


def make_genre_list(language: str, added: dict[str, int]) -> dict[str, Any]:
    """Return /genre/movie/list. In a language that TMDb lacks, the names are English."""
    translated = _GENRE_NAMES.get(language.partition("-")[0], TMDB_GENRES)
    names = dict(zip(TMDB_GENRES, translated, strict=True))
    genres = {**TMDB_GENRES, **added}
    return {
        "genres": [{"id": number, "name": names.get(name, name)} for name, number in genres.items()]
    }


def _make_entry(
    language: str, region: str, name: str, title: str, overview: str, tagline: str
) -> dict[str, Any]:
    return {
        "iso_3166_1": region,
        "iso_639_1": language,
        "name": name,
        "english_name": name,
        "data": {
            "homepage": "",
            "overview": overview,
            "runtime": 0,
            "tagline": tagline,
            "title": title,
        },
    }
