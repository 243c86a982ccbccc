"""The words that tell what a turn wants, in many languages. Pure.

Each list holds patterns separated by `|`. They must match as whole words; in Chinese,
Japanese and Korean, where a word has no visible end, they may stand anywhere.
"""

import re
from collections.abc import Mapping

from router.words import UNSPACED

#: Topics that change from hour to hour. To explain or to rhyme them needs no live data.
_TOPIC = (
    r"weather|forecasts?|temperature (?:in|at|outside)|(?:going to|will it) (?:rain|snow)"
    r"|news|headlines|(?:stock|share|ticket|gas|oil) prices?|exchange rate|traffic|flights?"
    r"|what time is it|what(?:'s| is) the (?:time|date|temperature)|what day is|opening hours",
    r"wetter\w*|temperatur|regnet|regen|nachrichten|schlagzeilen|(?:aktien|börsen|wechsel)kurs"
    r"|wie spät|wie viel uhr|uhrzeit|welcher tag",
    r"météo|meteo|temps fait|prévisions|température|pleuvoir|pleut|actualités?|infos du jour"
    r"|quelle heure|quel jour|taux de change|cours de (?:la )?bourse",
    r"tiempo hace|clima|pronóstico|temperatura|llover|lloverá|noticias|qué hora|qué día"
    r"|tipo de cambio|cotización",
    r"che tempo|previsioni|piove|pioverà|notizie|che or[ae]|che giorno|tasso di cambio|quotazione",
    r"previsão|vai chover|notícias|que horas|que dia|cotação|câmbio",
    r"pogod\w*|prognoz\w*|temperatur\w*|wiadomości|(?:która|jest) godzina|kurs (?:dolara|euro)",
    r"het weer|weerbericht|weersvoorspelling|temperatuur|nieuws|hoe laat|wisselkoers",
    r"новост\w*|дожд\w*|котор\w+ час|сколько времени|курс (?:доллара|евро|валют\w*)"
    r"|погод\w*|температур\w*",
    r"天气|天氣|气温|氣溫|预报|預報|新闻|新聞|股价|股價|汇率|匯率|几点[了钟]|现在几点|星期几",
    r"天気|気温|予報|ニュース|株価|為替|何時(?:です|\?|$)|何曜日",
    r"날씨|기온|예보|뉴스|주가|환율|몇 ?시|무슨 요일",
)

#: Words that ask for the present moment or place.
_PRESENT = (
    r"today(?:'s)?|tonight|tomorrow|(?<=\w )now(?=[?!.]|$| in | at )|right now|latest"
    r"|current(?:ly)?|breaking|what's happening|up[- ]to[- ]date|this (?:week|weekend)|real[- ]time"
    r"|recent(?:ly)?|near (?:me|here|by)|nearby|nearest",
    r"heute|(?<!guten )morgen früh|aktuell\w*|gerade jetzt|neueste\w*|in der nähe",
    r"aujourd'hui|demain|maintenant|actuel\w*|derni[eè]res (?:nouvelles|infos)|à proximité",
    r"hoy|mañana|ahora|actuales|actualmente|últimas noticias|cerca de (?:mí|aquí)",
    r"oggi|domani|adesso|attual\w*|ultime notizie|qui vicino",
    r"hoje|amanhã|agora|atua(?:l|is|lmente)|últimas notícias|perto de mim",
    r"dzisiaj|dziś|dzisiejsz\w*|jutro|teraz|aktualn\w*|najnowsz\w*|w pobliżu",
    r"vandaag|actuele?|laatste nieuws|nieuwste|in de buurt",
    r"сегодня\w*|завтра|сейчас|текущ\w+|последние|актуальн\w*|рядом со мной|поблизости",
    r"今天|明天|(?<![出表体实發发呈])[现現]在(?=[几的是？?]|$)|目前|最新|[当當]前|实时|附近",
    r"今日(?!は[、。!]?$)|明日|現在|最新|今すぐ|近くの|いま何",
    r"오늘(?!날)|내일|지금|현재|최신|근처",
)

#: Words that ask for something to be done with a tool: a search, a booking, a switch.
_ACTION = (
    r"search(?: for)?|look(?: it)? ?up|google (?:for|it|the)|browse"
    r"|(?<!i )(?<!you )(?<!we )find(?! (?:all|every|\w|(?:the |its )?(?:\w+ )?"
    r"(?:sum|values?|product|number|area|volume|length|mean|median|derivative|integral|probability|remainder|roots?|solutions?|bug|error|equation|limit))\b)"
    r"|fetch|retrieve|(?:book|reserve|order) (?:me|us|an?|the|my|some)|set (?:an?|the|my) \w+"
    r"|timer|alarm|remind (?:me|us)|reminders?|turn (?:on|off|up|down)|switch (?:on|off)"
    r"|play (?:some|me|the|my)|https?|show me|where can i|(?:give|provide) me|recommend"
    r"|information (?:on|about)|schedule|directions|convert|download|send (?:an?|the|my) \w+",
    r"suche|recherchiere|buche|bestelle?|reserviere|wecker|erinnere mich|schalte?",
    r"cherche[rz]?|recherche[rz]?|trouve(?:z|-moi)?|réserve[rz]?|minuteur|rappelle-moi"
    r"|allume[rz]?|éteins|éteindre",
    r"busca(?:r|me)?|encuentra|resérva\w*|temporizador|alarma|recuérdame|enciende|apaga",
    r"cerca(?:mi)?|trova(?:mi)?|prenota\w*|sveglia|ricordami|accendi|spegni",
    r"pesquis[ea]r?|procur[ea]r?|encontre|temporizador|alarme|lembre-me|ligue|desligue",
    r"wyszukaj|znajdź|poszukaj|zarezerwuj|minutnik|budzik|przypomnij|włącz|wyłącz|sprawdź",
    r"zoek|zoek op|vind|boek|reserveer|wekker|herinner me",
    r"найди(?:те)?|поищи|загугли|забронируй|закажи|будильник|таймер\w*|напомни|включи|выключи",
    r"搜索|搜尋|搜一下|查找|查询|查詢|查一下|帮我查|预订|預訂|订[一机酒]|提醒我|闹钟|计时|打开|播放",
    r"検索|調べて|探して|予約|アラーム|タイマー|リマインド|(?<!気を)つけて|消して|再生",
    r"검색|찾아|예약|알람|타이머|켜 ?줘|꺼 ?줘|재생|틀어",
)

_REASONING = (
    r"analy[sz](?:e|es|ing)|analysis|compare|comparison|contrast|evaluate|assess|critique"
    r"|comprehensive|in[- ]depth|research|pros and cons|advantages (?:and )?disadvantages"
    r"|trade-?offs?|step[- ]by[- ]step|walk ?through|walk me through|tutorial|implications|prove"
    r"|proof|derive|reasoning|strateg(?:y|ies)|architecture|refactor|debug|diagnos\w+|ethical"
    r"|best (?:way|approach|method|strategy)|should (?:i|we|one)",
    r"analysier\w*|vergleich\w*|bewerte\w*|beurteil\w*|ausführlich\w*|umfassend\w*"
    r"|vor- und nachteile|schritt für schritt|beweise?|erörter\w*",
    r"analyse[rz]?|compare[rz]?|comparaison|évalue[rz]?|approfondie?|avantages et (?:les )?"
    r"inconvénients|étape par étape|démontre[rz]?|prouve[rz]?",
    r"analiza\w*|análisis|compara(?:r|ción)?|evalúa|evaluar|exhaustiv[oa]|ventajas y desventajas"
    r"|pros y contras|paso a paso|demuestra|demostrar",
    r"analizza\w*|analisi|confronta\w*|paragona\w*|valuta(?:re)?|approfondit[oa]|pro e contro"
    r"|vantaggi e svantaggi|passo (?:dopo|per) passo|dimostra(?:re)?",
    r"analis[ea]r?|análise|compar[ea]r?|comparação|avali[ea]r?|vantagens e desvantagens"
    r"|prós e contras|passo a passo|demonstr[ea]r?",
    r"(?:prze)?analiz\w+|porówna\w*|oceń|oceni[ać]\w*|szczegółow\w+|wady i zalety|zalety i wady"
    r"|krok po kroku|udowodni\w*",
    r"analyseer|vergelijk\w*|evalueer|beoordeel|uitgebreide?|voor- en nadelen|bewijs"
    r"|stap voor stap",
    r"(?:про)?анализ\w*|сравни\w*|оцени(?:те|ть)?|подробн\w+|плюсы и минусы|шаг за шагом|пошагов\w+"
    r"|преимущества и недостатки|докажи\w*|обоснуй\w*",
    r"分析|(?:^|[请請并和的])比[较較]|[对對]比|[评評]估|深入|全面|[详詳][细細]|优缺点|利弊|一步一步"
    r"|逐步|[证證]明|推[导導理]|[论論][证證]|研究(?![生所院员])",
    r"分析|比較|評価|詳細に|詳しく|包括的|メリットとデメリット|段階的|証明|考察|論じ",
    r"분석|비교(?!적)|평가|자세히|상세|종합적|장단점|단계별|증명|추론|논하",
)


#: Plain questions and small talk.
_PLAIN = (
    r"what(?:'s| is| are| was| were)|who|whose|which|when (?:did|was|were)|where (?:is|was|did)"
    r"|how (?:many|old|tall|are you|is)|calculate|solve|spell|capital of|tell me about|joke|poem"
    r"|haiku|hello|hi|hey|thanks?|thank you|good (?:morning|evening|night)|are you|do you"
    r"|you are|you're",
    r"was (?:ist|sind|war)|wer|wie heißt|hallo|danke|guten (?:morgen|tag|abend)|bist du|du bist"
    r"|ich bin|berechne",
    r"c'est quoi|qu'est-ce|qui (?:est|était|a)|où|bonjour|salut|merci|es-tu|tu es|je suis|calcule",
    r"qué es|quién|cuál|dónde|hola|gracias|buenos días|eres|estás|calcula",
    r"cos'è|cosa|chi (?:è|ha|sei)|qual è|dov'è|ciao|grazie|buongiorno|tu sei|calcola",
    r"o que é|quem|qual|onde|olá|oi|obrigad[oa]|bom dia|você é|calcule",
    r"co to jest|kto|jaka|jaki|gdzie|cześć|dziękuję|dzień dobry|jesteś|oblicz",
    r"wat is|wie (?:is|ben)|hoi|dank je|bedankt|goedemorgen|ben jij|bereken",
    r"что такое|кто|какая|какой|где|привет|спасибо|здравствуй\w*|ты|посчитай",
    r"是什么|什么是|是谁|谁是|多少|你好|您好|谢谢|早上好|你是|你会|我是",
    r"何ですか|教えて|誰|どこ|こんにちは|ありがとう|おはよう|あなたは|計算",
    r"무엇|누구|어디|안녕|고마워|감사|뭐야|계산",
)


#: Programming, and what surrounds it.
_CODE = (
    r"```|(?:source )?code|coding|program(?:s|me|ming|mer)?|script|functions?|class(?:es)?|methods?"
    r"|python|javascript|typescript|java|kotlin|swift|rust|golang|php|ruby|perl|c\+\+|c#|sql|html|css"
    r"|bash|shell|powershell|regex|regexp|json|yaml|xml|api|sdk|cli|git|github|docker|kubernetes"
    r"|terraform|linux|algorithms?|compil\w+|debug\w*|refactor\w*|unit tests?|stack ?trace"
    r"|traceback|exception|null pointer|segfault|backend|frontend|react|django|flask|node(?:\.js)?"
    r"|npm|pip|database|postgres\w*|mysql|redis|query plan|deploy\w*|pipeline|recursion|pointers?",
    r"programmier\w*|quelltext|funktion|skript|datenbank|fonction|programme[rz]?|base de données"
    r"|código|programa(?:r|ción)|función|base de datos|codice|funzione|programmare|função"
    r"|banco de dados|koden?|programować|funkcj[aęi]|baza danych|программ\w+|код[аеу]?|функци\w+",
    r"代码|代碼|编程|編程|函数|函數|程序|算法|数据库|コード|プログラム|関数|アルゴリズム|코드|함수|프로그램|알고리즘",
)

#: Texts that are made for their own sake.
_CREATIVE = (
    r"poem|poems|poetry|haiku|haikus|limericks?|sonnets?|rhym\w+|verses?|lyrics|songs?|rap|stor(?:y|ies)|tales?"
    r"|novel|fiction|fairy tale|screenplay|monologue|dialogue|role[- ]?play|pretend|imagine|act as"
    r"|slogans?|taglines?|jingle|ad copy|blog post|toast|speech|love letter|caption|character",
    r"gedichte?|reim\w*|märchen|geschichte über|lied(?:text)?|poème|conte|chanson|histoire sur"
    r"|poema|cuento|canción|relato|poesia|racconto|canzone|conto|canção|wiersz\w*|opowiadani\w+"
    r"|bajk\w+|piosenk\w+|gedicht|verhaal|стих\w*|сказк\w*|рассказ\w*|песн\w+",
    r"诗|詩|故事|小说|小說|歌词|歌詞|童话|物語|俳句|小説|시를|동화|소설|가사",
)

MATHEMATICS = re.compile(r"\\(?:frac|sum|int|sqrt|begin|cos|sin|omega|mathbb)|\$[^$\n]{1,80}\$|∫|∑")

#: To make or to explain a text: what a language model does alone.
_MAKE = (
    r"write|compose|draft|generate|create an?|rewrite|rephrase|paraphrase|translate|proofread"
    r"|summari[sz]e|define|explain|describe|tell (?:me )?an? (?:joke|story)|what does .{1,40} mean"
    r"|(?:meaning|definition) of|how (?:does|do)(?! (?:i|we|you)\b)",
    r"schreibe?|übersetze?|erkläre?|definiere|beschreibe?|fasse|erzähle?|was bedeutet",
    r"écri(?:s|vez)|rédige[rz]?|tradui[st]|explique[rz]?|définis|décri[st]|résume[rz]?|raconte",
    r"escrib[ea]|redacta|traduce|explica(?:me)?|define|describe|resume (?:el|la|est[ea])|cuéntame"
    r"|qué significa",
    r"scrivi|traduci|spiega(?:mi)?|definisci|descrivi|riassumi|raccontami|cosa significa",
    r"escrev[ea]|traduz[ai]?|expli(?:ca|que)|defin[ea]|descrev[ea]|resum[ae]|conte|o que significa",
    r"napisz|przetłumacz|wyjaśnij|zdefiniuj|opisz|streść|opowiedz|co znaczy",
    r"schrijf|vertaal|leg uit|definieer|beschrijf|vat samen|vertel|wat betekent",
    r"напиши(?:те)?|сочини|переведи|объясни(?:те)?|опиши|перескажи|расскажи|что значит",
    r"写[一首篇个封段]|帮我写|寫|翻译|翻譯|解释|解釋|介绍|描述|总结|講個|讲个|什么意思",
    r"書いて|作って|翻訳して|訳して|説明して|要約して|とは(?:何|なに|\?|$)|意味",
    r"써 ?줘|써 ?주|작성|번역|설명|요약|정의|이야기|뜻이",
)

#: How a turn begins that goes on with the one before it.
FOLLOW_UP = re.compile(
    r"\W*(?:and|what about|how about|same|also|but|or|then|und|et|y|ed|oraz|en|и|а"
    r"|那|那么|还有|では|じゃあ|それ|그럼|그리고)(?![^\W" + UNSPACED + "])"
)

#: The kinds of word, in the order in which they are looked for at one place.
_LISTS: Mapping[str, tuple[str, ...]] = {
    "present": _PRESENT,
    "topic": _TOPIC,
    "action": _ACTION,
    "reasoning": _REASONING,
    "make": _MAKE,
    "plain": _PLAIN,
    "code": _CODE,
    "creative": _CREATIVE,
}
_ANY_UNSPACED = re.compile(f"[{UNSPACED}]")


def find(text: str) -> dict[str, re.Match[str]]:
    """The first word of each kind in a folded text, by the names in `_LISTS`.

    One pass over the text finds them all.
    """
    found: dict[str, re.Match[str]] = {}
    passes = _ALL if not text.isascii() and _ANY_UNSPACED.search(text) else _SPACED
    for pattern, kinds in passes:
        for match in pattern.finditer(text):
            for kind in kinds[match.lastindex or 0]:
                if kind not in found or match.start() < found[kind].start():
                    found[kind] = match
    return found


def _alternatives(pattern: str) -> list[str]:
    """The parts of a pattern between the `|` that stand in no bracket."""
    parts, depth = [""], 0
    for char in re.findall(r"\\.|.", pattern):
        depth += (char in "([") - (char in ")]")
        if char == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


#: The kinds of one group's words.
_Kinds = tuple[str, ...]


def _passes(*, unspaced: bool) -> list[tuple[re.Pattern[str], list[_Kinds]]]:
    """Patterns that find the words of all lists, with the kinds of each group, from 1.

    Words of one first letter stand together: the engine tries alternatives one after the
    other, so some thirty letters and then few words instead of hundreds; and where no word
    begins with a letter, it does not try at all. Words that begin with something else have
    a pattern of their own.
    """
    kinds_of: dict[str, _Kinds] = {}
    for kind, lists in _LISTS.items():
        chosen = [words for words in lists if bool(_ANY_UNSPACED.search(words)) == unspaced]
        for word in _alternatives("|".join(chosen)):
            kinds_of[word] = (*kinds_of.get(word, ()), kind)
    by_letter: dict[str, dict[_Kinds, list[str]]] = {}
    for word, kinds in kinds_of.items():
        literal = re.match(r"\w(?![?*+{])", word)
        first = literal[0] if literal else ""
        by_letter.setdefault(first, {}).setdefault(kinds, []).append(word[len(first) :])
    odd = {"": by_letter.pop("", {})}
    return [_pass(by_letter, unspaced=unspaced), _pass(odd, unspaced=unspaced)]


def _pass(
    by_letter: Mapping[str, Mapping[_Kinds, list[str]]], *, unspaced: bool
) -> tuple[re.Pattern[str], list[_Kinds]]:
    kinds: list[_Kinds] = [()]
    letters = []
    for first, words in by_letter.items():
        kinds += words
        rest = "|".join(f"({'|'.join(endings)})" for endings in words.values())
        letters.append(f"{first}(?:{rest})")
    pattern = "|".join(letters)
    if not unspaced:
        begins = f"(?=[{''.join(by_letter)}])" if all(by_letter) else ""
        pattern = rf"{begins}(?<![^\W{UNSPACED}])(?:{pattern})(?![^\W{UNSPACED}])"
    return re.compile(pattern), kinds


_SPACED = _passes(unspaced=False)
_ALL = [*_SPACED, *_passes(unspaced=True)]
