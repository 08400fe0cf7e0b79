"""Language tags (BCP 47) of requests: `de`, `pt-BR`. Free of Django.

The languages are those of ISO 639-1, which is closed: no new two-letter code will be added. TMDb's
/configuration/languages has the same.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

_TAG = re.compile(r"([A-Za-z]{2})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}))?", re.ASCII)
# The regions that write a language in a script; a client may send `zh-Hant`.
_REGIONS_OF_SCRIPTS = {("zh", "HANT"): "TW", ("zh", "HANS"): "CN"}
# Where TMDb has a language of several regions and the code of the main one is not the language's.
_MAIN_REGIONS = {"ar": "SA", "en": "US", "zh": "CN"}
LANGUAGE_NAMES = dict(
    entry.split(" ", 1)
    for entry in [
        "aa Afar",
        "ab Abkhazian",
        "ae Avestan",
        "af Afrikaans",
        "ak Akan",
        "am Amharic",
        "an Aragonese",
        "ar Arabic",
        "as Assamese",
        "av Avaric",
        "ay Aymara",
        "az Azerbaijani",
        "ba Bashkir",
        "be Belarusian",
        "bg Bulgarian",
        "bi Bislama",
        "bm Bambara",
        "bn Bengali",
        "bo Tibetan",
        "br Breton",
        "bs Bosnian",
        "ca Catalan",
        "ce Chechen",
        "ch Chamorro",
        "co Corsican",
        "cr Cree",
        "cs Czech",
        "cu Slavic",
        "cv Chuvash",
        "cy Welsh",
        "da Danish",
        "de German",
        "dv Divehi",
        "dz Dzongkha",
        "ee Ewe",
        "el Greek",
        "en English",
        "eo Esperanto",
        "es Spanish",
        "et Estonian",
        "eu Basque",
        "fa Persian",
        "ff Fulah",
        "fi Finnish",
        "fj Fijian",
        "fo Faroese",
        "fr French",
        "fy Frisian",
        "ga Irish",
        "gd Gaelic",
        "gl Galician",
        "gn Guarani",
        "gu Gujarati",
        "gv Manx",
        "ha Hausa",
        "he Hebrew",
        "hi Hindi",
        "ho Hiri Motu",
        "hr Croatian",
        "ht Haitian",
        "hu Hungarian",
        "hy Armenian",
        "hz Herero",
        "ia Interlingua",
        "id Indonesian",
        "ie Interlingue",
        "ig Igbo",
        "ii Yi",
        "ik Inupiaq",
        "io Ido",
        "is Icelandic",
        "it Italian",
        "iu Inuktitut",
        "ja Japanese",
        "jv Javanese",
        "ka Georgian",
        "kg Kongo",
        "ki Kikuyu",
        "kj Kuanyama",
        "kk Kazakh",
        "kl Kalaallisut",
        "km Khmer",
        "kn Kannada",
        "ko Korean",
        "kr Kanuri",
        "ks Kashmiri",
        "ku Kurdish",
        "kv Komi",
        "kw Cornish",
        "ky Kirghiz",
        "la Latin",
        "lb Luxembourgish",
        "lg Ganda",
        "li Limburgish",
        "ln Lingala",
        "lo Lao",
        "lt Lithuanian",
        "lu Luba-Katanga",
        "lv Latvian",
        "mg Malagasy",
        "mh Marshallese",
        "mi Maori",
        "mk Macedonian",
        "ml Malayalam",
        "mn Mongolian",
        "mr Marathi",
        "ms Malay",
        "mt Maltese",
        "my Burmese",
        "na Nauru",
        "nb Bokmål",
        "nd Northern Ndebele",
        "ne Nepali",
        "ng Ndonga",
        "nl Dutch",
        "nn Nynorsk",
        "no Norwegian",
        "nr Southern Ndebele",
        "nv Navajo",
        "ny Chichewa",
        "oc Occitan",
        "oj Ojibwa",
        "om Oromo",
        "or Oriya",
        "os Ossetian",
        "pa Punjabi",
        "pi Pali",
        "pl Polish",
        "ps Pashto",
        "pt Portuguese",
        "qu Quechua",
        "rm Romansh",
        "rn Rundi",
        "ro Romanian",
        "ru Russian",
        "rw Kinyarwanda",
        "sa Sanskrit",
        "sc Sardinian",
        "sd Sindhi",
        "se Northern Sami",
        "sg Sango",
        "sh Serbo-Croatian",
        "si Sinhalese",
        "sk Slovak",
        "sl Slovenian",
        "sm Samoan",
        "sn Shona",
        "so Somali",
        "sq Albanian",
        "sr Serbian",
        "ss Swati",
        "st Sotho",
        "su Sundanese",
        "sv Swedish",
        "sw Swahili",
        "ta Tamil",
        "te Telugu",
        "tg Tajik",
        "th Thai",
        "ti Tigrinya",
        "tk Turkmen",
        "tl Tagalog",
        "tn Tswana",
        "to Tonga",
        "tr Turkish",
        "ts Tsonga",
        "tt Tatar",
        "tw Twi",
        "ty Tahitian",
        "ug Uighur",
        "uk Ukrainian",
        "ur Urdu",
        "uz Uzbek",
        "ve Venda",
        "vi Vietnamese",
        "vo Volapük",
        "wa Walloon",
        "wo Wolof",
        "xh Xhosa",
        "yi Yiddish",
        "yo Yoruba",
        "za Zhuang",
        "zh Chinese",
        "zu Zulu",
    ]
)


class LanguageTag(str):
    """A language, with or without a region: `de`, `pt-BR`."""

    __slots__ = ()

    @property
    def language(self) -> str:
        return self.partition("-")[0]

    @property
    def region(self) -> str:
        return self.partition("-")[2]

    @property
    def is_default(self) -> bool:
        """Whether it is the language that movies are stored in."""
        return self in ("en", "en-US")

    def rank_region(self, region: str) -> tuple[int, str]:
        """Return a sort key of the regions of this language: its own, the main one, then others."""
        main = _MAIN_REGIONS.get(self.language, self.language.upper())
        return (0 if region == self.region else 1 if region == main else 2), region

    def describe_region(self, region: str) -> str:
        """Return the tag of a text that was written for a region: this one, or the language alone."""
        return str(self) if region == self.region else self.language


DEFAULT_LANGUAGE = LanguageTag("en")


def parse_language_tag(text: str) -> LanguageTag | None:
    """Return the tag in its usual case, or None if it is no tag or its language is unknown."""
    match = _TAG.fullmatch(text)
    if match is None or match[1].lower() not in LANGUAGE_NAMES:
        return None
    language, script, region = match[1].lower(), (match[2] or "").upper(), (match[3] or "").upper()
    region = region or _REGIONS_OF_SCRIPTS.get((language, script), "")
    return LanguageTag(f"{language}-{region}" if region else language)


def find_nearest_languages(text: str) -> list[str]:
    """Return up to three known languages whose codes or names resemble a text: `de (German)`."""
    word = text.partition("-")[0].partition("_")[0].strip().lower()[:40]
    by_name = {name.lower(): code for code, name in LANGUAGE_NAMES.items()}
    names = [by_name[name] for name in get_close_matches(word, by_name, n=3)]
    codes = [code for code in LANGUAGE_NAMES if word and word.startswith(code)]
    similar = get_close_matches(word, LANGUAGE_NAMES, n=3, cutoff=0.4)
    nearest = list(dict.fromkeys([*names, *codes, *similar]))[:3]
    return [f"{code} ({LANGUAGE_NAMES[code]})" for code in nearest]
