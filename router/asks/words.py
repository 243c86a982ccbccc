"""The word classes that say whether a name is asked for, language by language. Pure.

A word stands here as it is read: casefolded, with a plain apostrophe. A star ends a stem.
"""

import re
from collections.abc import Iterable

#: Marks of vowels, which Arabic mostly leaves out.
_VOWELS = re.compile(r"[\u064b-\u0652]")


def spelled(word: str) -> str:
    """A word as the classes hold it."""
    return _VOWELS.sub("", word.casefold())


class Words:
    """A class of words; stems count for every word that begins with them."""

    def __init__(self, *lists: str) -> None:
        """Take the words of all the lists, which are parted by blanks."""
        self._lists = lists
        words = spelled(" ".join(lists)).split()
        self._whole = frozenset(word for word in words if not word.endswith("*"))
        self._stems = frozenset(word[:-1] for word in words if word.endswith("*"))
        self._lengths = sorted({len(stem) for stem in self._stems})

    def __or__(self, other: "Words") -> "Words":
        """The words of both classes."""
        return Words(*self._lists, *other._lists)

    def __contains__(self, word: str) -> bool:
        """Whether the word, or a stem of it, is of this class."""
        return word in self._whole or any(word[:n] in self._stems for n in self._lengths)

    def any(self, said: Iterable[str]) -> bool:
        """Whether one of the words said is of this class."""
        return any(word in self for word in said)

    def all(self, said: Iterable[str]) -> bool:
        """Whether every word said is of this class."""
        return all(word in self for word in said)


#: Orders whose object is the one to answer: "ask", "use", "switch to".
ORDER = Words(
    "use using try ask asking consult consulting query choose pick get only escalate change go",
    "switch speak talk chat bring ping upgrade set hook process fall stick invoke involve engage",
    "contact check verify pull select",
    "summon rope fetch put trying employ connect prompt loop default prefer",
    "frag frage fragt fragen befrag* nutz nutze nutzt nutzen benutz benutze verwende verwend",
    "verwenden benutzen nimm nehmen konsultier* wechsel wechsle wechseln hol zieh probier*",
    "schalte schalt umschalten versuch* wende lieber",
    "demande demander demandez demandes utilise utiliser utilisez essaie essaye essayer consulte",
    "consulter interroge interroger passe* bascule basculer sollicite sollicit* recours",
    "recourir adresse adresse-toi prends changer choisis",
    "usa usar consulta utiliza utilizar utilice prueba probar consultar consúlta* pregunta",
    "pregúnt* preguntar pregunte preguntárselo cambia cambiar cámbia* cambias recurre recurrir",
    "acude pídele pídeselo pide pasa pásame acudir",
    "chiedi chiedi* chiedere chieda utilizza usate prova provare consultare interpella rivolgiti",
    "domanda passa passami cambiamo interroga senti usiamo",
    "pergunt* utilize peça peço pede pedir recorre recorra troca trocar muda",
    "mudar experimenta passe",
    "vraag vragen gebruik gebruiken probeer proberen raadpleeg schakel schakelen stap ga pak",
    "wissel vraagt neem",
    "zapytaj zapytać spytaj spytać zapytasz użyj użyć użyjmy poproś poprosić przełącz przełączyć",
    "skorzystaj skorzystać odpal wypróbuj skonsultuj pytaj zmień sięgnij weź",
    "спроси спросите спросить спрашивай используй* использ* попроси* обратись обратитесь",
    "обратиться",
    "переключи* подключи* поспрашивай задействуй возьми узнай перейди перейти",
    "запитай запитайте запитати спитай спитайте спитати використай* використ* звернися",
    "зверніться перемкни перемкн*",
    "fråga använd använda byt växla rådfråga koppla be kör ta",
    "spørg spørge spør spørre brug bruge bruk bruke skift bytt prøv bed",
    "zeptej zeptat zeptejte použij použít přepni přepnout zkus poraď požádej vezmi přejdi poptej",
    "kysy kysykää kysyä pyydä käytä vaihda kokeile pyytää käyttää kysyisitkö siirry",
    "kérdezd kérdezze használd használja kérd váltsunk váltson próbáld kapcsolj válts használj",
    "întreab* roag* folosește foloseste utilizează consultă",
    "roagă cere schimbă treci încearcă comută",
    "intreaba întreaba folosești folosesti apelează",
    "tanya tanyakan tanyain gunakan pakai pake ganti beralih pindah minta coba",
    "hỏi dùng nhờ chuyển sử đổi thử xài",
    "ρώτα ρωτήστε ρώτησε ρωτήσεις χρησιμοποίησε χρησιμοποιήστε άλλαξε γύρνα συμβουλέψου πέρνα",
    "ζήτα ρωτα",
    "ζήτησε βάλε",
    "استخدم* استعمل* اسأل* إسأل* أسأل جرب استشر بدّل انتقل حوّلني حولني اطلب تسأل تستخدم",
    "תשתמש* השתמש* תשאל* שאל* עבור תעבור תפנה בקש תבקש תנסה תתייעץ לשאול להשתמש לעבור",
)
#: To call is to ask a model, but to telephone a person.
CALL = Words(
    "call ruf rufe appelle appelez llama llame chiama chama bel zadzwoń позвони подзвони ring",
    "zavolej panggil gọi κάλεσε позови поклич",
)
#: Orders that hand something over: "give this to", "send it to".
HAND_OVER = Words(
    "upgrade set switch change send goes pass forward give",
    "hand handing route routing escalate move redirect refer delegate",
    "submit run take shoot bump kick throw toss relay bounce leave over defer feed transfer",
    "assign ship entrust fire sending passing escalating put turn push direct",
    "gib geben leite weiterleiten schick schicke schicken sende passt reich reiche übergib leg",
    "überlass überlassen weitergeben weiterreichen übergeben geh vorlegen delegier* leit weiter",
    "stell stelle wechsle schalte cambia pon metti",
    "muda zet przełącz переключи перемкни byt skift přepni",
    "vaihda schimbă ganti فحوله",
    "passe passer envoie envoyer envoyez transmets transmettre transfère transférer transmettez",
    "confie confier confie-le soumets soumettre délègue donne donner donne-le refile redirige",
    "pasa pása* pasar envía* enviar manda* mándal* mánda* dale dáselo da deriva remite remítel*",
    "reenvía* encárga* encarga transfiere deja déjaselo déjale",
    "passa* invia* inoltra* affida* gira* fallo delega dallo dai lascia lascialo trasferisci",
    "envie envia mande manda encaminha encaminhe transfere transfira passa repassa dá",
    "dê entrega põe",
    "stuur sturen geef geven doorsturen laat leggen speel schuif overlaten verwijs",
    "przekaż przekazać wyślij wysłać daj dajcie prześlij oddaj zleć powierz podaj skieruj",
    "передай* отправь* перешли отдай дай поручи переведи направь перекинь скинь передать",
    "отправить",
    "перенаправь",
    "надішли відправ віддай доручи передати",
    "ge skicka lämna vidarebefordra överlämna låt",
    "giv videresend overlad gi la overlat lat",
    "pošli dej předej přepošli pošlete předat přenech svěř postup přehoď",
    "anna lähetä välitä siirrä annetaan antaa",
    "add küldd továbbítsd bízd adja küldje bízzuk",
    "dă dă-i trimite pasează transmite lasă",
    "kirim kirimkan kasih berikan serahkan oper lempar teruskan",
    "gửi chuyển đưa giao",
    "δώσε στείλε πέρασε παράπεμψε δώστε στείλτε ανάθεσε προώθησε",
    "أرسل* ارسل* أعط* اعط* مرر* مرّر* حول* حوّل* سلم* وجه* أحل*",
    "תעביר* העבר* תן שלח תשלח הפנה תפנה תני",
)
#: Words that let somebody do a thing: "let Claude", "niech Claude", "que Claude".
LET = Words(
    "let letting have having make making see if that get getting",
    "lass lasst lassen soll sollte sollen solle dass",
    "laisse laissez laisser fais faites faire que qu'",
    "q deja dejad dejemos haz",
    "che lascia lasci lasciamo fai fa' fallo",
    "deixa deixe faz",
    "laat laten dat",
    "niech niechaj pozwól żeby aby",
    "пусть чтобы пускай дай нехай хай щоб",
    "låt låta låter att la lad at",
    "ať nech",
    "válaszoljon írjon írja anna että hadd hagyd",
    "să lasă ca",
    "biar biarkan suruh",
    "để cho kêu bảo",
    "να ας άσε άφησε",
    "خلي خلّي دع ليكتب ليجب أن فليجب",
    "תן ש",
)
#: Wishes.
WISH = Words(
    "want wanna need needs prefer i'd love rather lovely nice great trust wish wants hoping",
    "requesting",
    "demand insist grateful we'd appreciate happier safer interested",
    "möchte will brauche bräuchte hätte wünsche bevorzuge lieber möchten wollen wär wäre gern",
    "gerne",
    "veux voudrais j'aimerais aimerais préfère préférerais souhaite besoin faut voudrait",
    "souhaiterais",
    "quiero quisiera necesito prefiero preferiría gustaría querría queremos",
    "voglio vorrei preferisco preferirei vogliamo gradirei piacerebbe bisogno serve",
    "quero queria preciso prefiro preferia gostaria gostava preferiria",
    "wil graag liever zou heb nodig",
    "chcę chciał* wolę wolał* potrzebuj* poproszę proszę",
    "хочу хотел* хотелось нужен нужна нужно предпоч* лучше бы хочется надо",
    "хотів* хотіла потрібн* потрібен треба волів* краще бажаю",
    "vill hellre skulle behöver önskar vil heller ønsker trenger helst",
    "chci chtěl* potřebuju potřebuji radši přál* raději bych",
    "haluan haluaisin tarvitsen mieluummin",
    "szeretném szeretnék akarom kérem inkább",
    "vreau doresc aș vrea nevoie",
    "mau ingin maunya pengen butuh",
    "muốn cần thích",
    "θέλω θα προτιμώ προτιμούσα χρειάζομαι ήθελα",
    "أريد اريد أفضل أود أحتاج ابغى أبغى بدي عايز",
    "רוצה מעדיף מעדיפה צריך צריכה אשמח",
    "istiyorum isterim lazım चाहता चाहती चाहिए",
)
#: Small words that may stand between an order and the name.
FILL = Words(
    "d l qu help means the a an me my our your only just instead rather to with from for by on in",
    "of over up out at",
    "it this that one through via please pls directly straight him her them model models ai",
    "official real big bigger large cloud api both either maybe actually proper good old mr",
    "back again now also about some best latest newest company's version into using and or",
    "bitte doch mal lieber dafür das dies es zu zum zur den dem der die dazu hier jetzt einfach",
    "von vom nochmal modell auf stattdessen dir direkt ruhig beim bei über mit eben gleich noch",
    "und auch",
    "plutôt à au aux du de la le les l' d' donc ça cela ceci modèle l'ia chez vers sur par avec",
    "directement lui toi-même mieux",
    "mejor solo favor por al el lo del modelo esto eso con en directamente se porfa",
    "invece alla allo il dal modello di per direttamente ia su",
    "o ao pro para os as do da pelo pela isso isto com em no só",
    "op aan liever het een dit eens maar bij naar door met voor gewoon even van",
    "pomocą w na się tego tym przez od modelu raczej lepiej proszę z u",
    "помощью помощи допомогою лучше у к на это этот в через модель модели моделью от пожалуйста",
    "сам самого про",
    "до це цей краще від моделі будь ласка",
    "det här till om på i hellre istället av från modellen lige venligst til dette med hos",
    "ho toho ke k přes radši prosím raději",
    "meg az ezt azt inkább -t",
    "pe prin modelul cu asta -l",
    "ke- sama si pada lewat dari saja aja ya",
    "sang qua bằng mô hình cho từ bên giúp tôi đi dụng",
    "τον στον το στο την της με από μοντέλο του καλύτερα αυτό η ο τη στη",
    "إلى من على نموذج هذا عن طريق بدل الى النموذج",
    "את ב ל של במודל למודל עם דרך זה ל- ב-",
)
#: What is handed over; with these the object is the question itself.
THIS = Words(
    "this that it these those them my the our following question questions query one all",
    "everything attached next task problem request code prompt text conversation rest whole",
    "das dies* es meine mein meinen diese* frage anfrage aufgabe sie ihn",
    "ça cela ceci ce cette mon ma la l' le les texte",
    "esto eso el lo mi pregunta este esta texto",
    "questo questa il domanda mio mia ciò",
    "isso isto a o minha meu pergunta essa esse",
    "dit dat het deze mijn vraag die",
    "to tę te ten ta moje moją mój pytanie zadanie go je tego",
    "это этот эту эти вопрос мой мою его задачу всё текст код",
    "це цей цю питання мій моє його",
    "det den detta här denna frågan min mitt dette denne spørsmålet spørgsmålet de mine",
    "tohle tuto tu otázku můj moji ho dotaz",
    "tämä tämän ezt azt asta acest această întrebarea ini itu pertanyaan này câu cái αυτό το αυτή",
    "هذا هذه السؤال سؤالي זה את השאלה",
)
#: Prepositions of the receiver.
TO = Words(
    "to through past by onto over via",
    "an zu über für",
    "à au aux vers",
    "a al",
    "alla allo",
    "ao para pro pra",
    "aan naar door voor",
    "do dla",
    "в к на до",
    "till til å",
    "na ke k",
    "la către lui ro- kepada pada cho qua sang στον στο στην τον إلى الى ל ל- למודל",
)
#: Prepositions of the means: "with", "via", and of the source: "from", "by".
WITH = Words(
    "with using via through by from",
    "mit über per von durch vom",
    "avec par de d' du",
    "con vía por usando mediante del",
    "tramite da dal",
    "com pelo pela do",
    "met door van",
    "przez z za od",
    "через с от від з за",
    "med av från fra af",
    "přes s pomocí",
    "prin cu la folosind",
    "lewat dengan pake pakai sama bằng qua με από μέσω عبر بواسطة طريق عن من דרך עם באמצעות",
)
#: Work one wants to be done: what stands after the name, or before "with" and the name.
WORK = Words(
    "answer answers reply respond redo do retry solve translate rewrite check handle review run",
    "summarise summarize repeat regenerate fix write draft explain compare continue tell take",
    "have",
    "look help give make proofread finish read judge answering doing try design generate compose",
    "plan say weigh go decide settle balance rate grade mark correct describe analyse analyze",
    "verify debug refactor outline edit handled done answered written checked reviewed brainstorm",
    "translated rewritten marked graded summarised fixed solved corrected double-check confirm",
    "choose",
    "estimate crack wrote writes play",
    "process work think sort suggest polish prove calculate compute show produce create list",
    "opine",
    "geprüf* gemacht geschrieben antwort* beantwort* lös* prüf* schreib* mach* mache* übersetz*",
    "erklär* überarbeite* bearbeit*",
    "fass zusammenfass* korrigier* überprüf* anschau* übernehm* erledig* formulier* wiederhol*",
    "helf* sag* tun rechn* nochmal schauen drüberschauen übernimmt lesen entwerf* lektorier*",
    "répon* rédige* écri* trait* résou* résum* corrig* explique* tradui* vérifi* refais fais fait",
    "fasse écrive écrire reli* donne* occupe regarde* reprend* refaire génér*",
    "respond* contest* escrib* resuelv* corrij* hag* haz tradu* resum* explic* revis* redact*",
    "repite* conteste responda diga encargu* analic* escriba ayud* mire",
    "rispond* scriv* risolv* corregg* faccia fosse scrivesse fare rifai rifare traduc* traduca",
    "riassum* spieg*",
    "controll* rived* rivedere occup* ripet* analizz* scriva dica aiut* guardi",
    "escrev* resolv* faç* faz* traduz* expliqu* reva* revej*",
    "redig* escreva deb* repet* analis* ajud* trat*",
    "antwoord* beantwoord* schrijf* schrijv* los oplos* vat samenvat* leg uit controleer*",
    "vertaal*",
    "vertal* doen doet doe maak maken nakijk* kijk* herschrijf* herschrijven overnemen geven",
    "reken*",
    "odpow* napisz* napisa* rozwiąż* popraw* przetłum* streść* sprawd* wyjaśn* zrobi* zrób*",
    "przejrz*",
    "oceni* policz* powtórz* wytłum* zajmie przeanaliz* pomo*",
    "ответ* отвеч* реш* напиш* напис* сочин* провер* перевед* переве* объясн* сдела* исправ*",
    "повтор* перепиш* посчита* разбер* займ* состав* посмотр* перескаж* сократ* подскаж* помо*",
    "відпов* розв* перевір* переклад* поясн* зроби* виправ* знайде* склад*",
    "підкаж* допомо* перекаж* порахує",
    "svar* skriv* løs* översätt* rätta* rett* förklara* forklar* kolla* gör* gjør* sammanfatta*",
    "granska* oppsummer* kontroller* titta* se gøre tage räkn* ta",
    "odpov* napiš* napsa* vyřeš* oprav* přelož* zkontrol* vysvětl* udělej udělá* shrn* posoud*",
    "spočít*",
    "vastaa* vastata* kirjoit* tee tekee tarkist* oikoluk* selit* tehdä käänt* ratkais*",
    "válaszol* írja írd írjon oldja ellenőr* fordít* magyaráz* csinál* javít* segít*",
    "răspund* scrie* scriu scris rezolv* corect* rezum* facă fac verific* refă",
    "jawab* menjawab* tulis* nulis bikin buat* buatkan kerjakan ngerjain jelas* terjemah* cek",
    "koreksi",
    "ulang* ringkas* periksa bantu* selesai* mengerjakan",
    "trả viết giải dịch tóm kiểm làm sửa giúp trả-lời soạn xem đọc lo tính",
    "απαντ* γράψ* γράφ* λύσ* μεταφρ* ελέγξ* διορθώσ* εξηγήσ* κάνε κάνει αναλάβει δει ξανακάν*",
    "يجيب يجاوب يكتب جاوب أجب اكتب حل يحل ترجم يترجم لخص اشرح يشرح راجع يراجع صحح أعد",
    "תענה יענה ענה תכתוב יכתוב כתוב תפתור יפתור תרגם תתרגם יתרגם תסביר תבדוק יבדוק",
)
#: The same once more: "again", "same question", "this time", "now".
AGAIN = Words(
    "again same now retry redo once another time instead second",
    "nochmal noch nochmals erneut dasselbe gleiche jetzt diesmal selbe wieder stattdessen aber",
    "même encore maintenant refais cette-fois mais pareil",
    "vez otra mismo misma ahora pero repite",
    "stesso stessa ancora adesso ora rifai stavolta ripeti",
    "mesma mesmo agora novo outra",
    "nogmaals opnieuw nu hetzelfde dezelfde weer maar nog",
    "jeszcze raz teraz samo ponownie tylko",
    "теперь же ещё еще снова опять тоже самое тепер те знову ще",
    "samma igen en-gång fast samme igjen nå men",
    "znovu teď stejné stejnou ještě ale sama nyt uudestaan uudelleen most ugyanezt újra",
    "acum același aceeași iar încă din nou sekarang ulangi lagi tapi lại giờ cùng",
    "τώρα ίδιο ξανά πάλι نفسه نفس الآن مرة عכשיו שוב אותה אותו",
)
#: Courtesies and helpers that may come before an order.
COURTESY = Words(
    "please pls plz kindly hey hi hello ok okay so and then now just actually instead no yes yeah",
    "can could would will you must should let's lets better ought maybe perhaps first also next",
    "go",
    "well right alright sorry thanks but or rather again still we'd really simply always fine",
    "i'd like want need you'd mind to possible if try oi yo bro dude sir",
    "bitte kannst könntest du mal doch und dann würdest oder sie können könnten jetzt aber",
    "dafür lieber einfach nein ja gut nun hier",
    "s'il te vous plaît stp svp peux-tu pouvez-vous tu peux pourrais-tu alors et bon non allez",
    "dis",
    "pouvez veuillez merci mais plutôt de pourriez-vous",
    "por favor puedes podrías y pues entonces vale oye mejor porfa anda puede ahora me",
    "per favore puoi potresti e allora dai può adesso ora potrebbe",
    "podes pode poderia podias então olha se-faz",
    "alsjeblieft aub kun kan je zou en dan nou wil graag maar",
    "proszę możesz mógłbyś a teraz czy może mogłabyś prosze lepiej",
    "пожалуйста можешь мог бы и а ну тогда лучше давай можете просто не-мог ты сам вы",
    "будь ласка можеш і краще тоді",
    "snälla kunde och vänligen så venligst og vær kunne vil gjerne så-snäll",
    "prosím můžeš mohl bys tak tedy můžete",
    "ole hyvä voitko voisitko nyt kérlek kérem légy szíves és rog poți ai putea și hai",
    "tolong mohon bisa bisakah dong coba kamu tolong-dong ya boleh",
    "hãy làm ơn vui lòng bạn có thể thì xin giúp",
    "σε παρακαλώ μπορείς και θα ήθελα να μήπως μπορεί",
    "من فضلك لو سمحت ممكن هل يمكنك رجاء رجاءً فقط ثم و",
    "בבקשה אפשר תוכל אתה יכול אז ו נא",
)
#: Who is said to do a thing: not an order then.
SUBJECT = Words(
    "aku saya kami kita gue gua i we they he she who people everyone someone users students kids",
    "teachers friends many most",
    "never often teacher boss wife husband son daughter colleague colleagues you i've i'll i'm",
    "ich wir man er leute",
    "je nous on j' j'ai ils elles",
    "yo nosotros ellos",
    "io noi loro ho",
    "eu nós eles",
    "ik wij men",
    "ja my oni ludzie я мы они ми вони jag vi jeg já",
)
#: Words that ask about a thing.
QUESTION = Words(
    "how what why when where which who whose whom should is are was were does did do has whether",
    "wie warum wann wo welche* wer wieso ob ist sind darf sollte sollten",
    "comment pourquoi quand où quel* qui est-ce combien est",
    "cómo qué por-qué cuándo dónde cuál* quién es cuánto debería",
    "come cosa perché quando dove quale chi quanto è",
    "como quê onde qual quem porque",
    "hoe wat waarom wanneer waar welke moet",
    "jak co dlaczego kiedy gdzie który kto czy ile",
    "как что почему когда где какой кто сколько стоит ли",
    "як що чому коли де який хто скільки чи",
    "hur vad varför när var vilken vem hvordan hvad hva hvorfor hvem",
    "proč kdy kde který kdo kolik",
    "miten mitä miksi hogyan mi miért cum ce când de-ce cine cât",
    "bagaimana gimana apa kenapa kapan siapa berapa làm-sao gì tại sao ai bao",
    "πώς τι γιατί πότε πού ποιος πόσο",
    "كيف ما ماذا لماذا متى أين من كم",
    "איך מה למה מתי איפה מי כמה",
)
#: Words that say no.
NEGATION = Words(
    "not don't dont never without no won't doesn't isn't didn't rather-than avoid stop nor cannot",
    "can't shouldn't neither instead-of skip forget quit unlike mustn't wouldn't",
    "nicht kein* ohne nie statt niemals",
    "ne n' pas sans jamais pas-de aucun n'utilise* n'appelle* n'envoie* n'interroge* n'en n'y",
    "sin nunca ningún tampoco ni",
    "non senza mai nessun",
    "não sem nenhum nem",
    "niet geen zonder nooit",
    "bez nigdy żadn*",
    "не без никогда никак*",
    "ніколи жодн* ніяк*",
    "inte utan aldrig ingen ikke uden uten aldri",
    "nikdy nepoužívej neptej nedávej neposílej žádn* neber nechci",
    "älä ilman ei älkää nélkül soha nu fără niciodată",
    "jangan tanpa bukan tidak gak nggak ga",
    "đừng không chẳng khỏi chưa",
    "μην μη χωρίς δεν όχι ποτέ",
    "لا بدون دون ليس لم",
    "אל בלי לא ללא",
)
#: After the name: said, wrote, claims, is ...
REPORT = Words(
    "told tells said says wrote writes claimed claims gave gives suggested suggests keeps",
    "generated thinks answered explained recommended is was isn't has had refused refuses",
    "insists argues just got gets knows never uses are were wasn't produced thought helped",
    "sagt sagte hat behauptet meint schrieb hatte schlug empfiehlt erklärt wurde wird",
    "a-dit m'a prétend affirme était est écrit pense propose avait soutient",
    "dice dijo asegura sugirió afirma escribió recomendó ha",
    "sostiene afferma scrisse",
    "disse diz escreveu garante sugeriu",
    "zegt zei beweert schreef",
    "mówi powiedział twierdzi napisał",
    "говорит сказал утверждает написал",
    "каже сказав стверджує написав",
    "säger skrev påstår sagde siger sier",
    "říká řekl tvrdí napsal",
    "sanoo sanoi väittää azt mondta szerint spune zice a-zis bilang katanya nói bảo λέει είπε",
    "قال يقول אמר אומר dedi diyor कहता",
)
#: A thing of the model, not the model.
THING = Words(
    "api apis sdk ニュース key keys client wrapper plugin app apps account subscription plus pro",
    "pricing",
    "price prices cost costs token tokens integration bot chatbot endpoint library package prompt",
    "prompts code desktop extension conversation conversations logs response responses output",
    "outputs history news stock benchmark benchmarks release users user team enterprise website",
    "detector essay essays export cookbook documentation docs server servers call calls invoice",
    "login password dashboard status outage announcement competitor alternative alternatives",
    "api-key api-schlüssel schnittstelle konto abo preis preise rechnung nutzung kosten",
    "abonnement clé prix compte",
    "clave cuenta precio suscripción chiave abbonamento prezzo conta chave assinatura preço",
    "sleutel klucz cena cennik ключ подписка подписку аккаунт цена передплата",
    "接口 api'si api'sini api'sinden",
)
#: Kin and callings that make a Claude a person.
PERSON = Words(
    "uncle aunt brother sister cousin neighbour neighbor colleague friend mr mrs ms dr doctor",
    "boss",
    "saint st jean marie pierre reine café cafe chez landlord father mother son daughter cat dog",
    "named called nephew grandpa grandma teacher husband wife partner roommate place rue avenue",
    "onkel tante bruder schwester nachbar* kollege* kollegin* freund freundin herr frau chef",
    "oncle frère soeur sœur voisin* collègue ami amie monsieur madame m mme patron",
    "tío tía hermano hermana vecin* compañer* amigo amiga señor señora jefe primo jefa",
    "zio zia fratello sorella vicin* collega amico amica signor signora capo",
    "tio tia irmão irmã vizinh* colega senhor senhora chefe",
    "oom broer zus buur* vriend meneer mevrouw",
    "wujek wujka brat brata siostra sąsiad* koleg* pan pana pani szef szefa",
    "дядя дяде брат брату сосед* коллег* друг другу господин",
    "дядько сусід* колег* пан пану",
    "farbror bror granne grannen kollega vän min-vän broder nabo ven venn",
    "strýc bratr soused* panu kamarád* strýci",
    "veli setä naapuri bácsi szomszéd unchi* coleg* domnul prieten* paman tetangga teman",
    "θείος θείο γείτονα αδερφό κύριος κύριο συνάδελφ* عمي أخي جاري زميلي السيد صديقي דוד אח שכן",
    "מר חבר",
)
#: Ways to write to a person.
MESSAGE = Words(
    "email emails e-mail mail message sms text whatsapp wa letter dm invite invitation note",
    "slack teams calendar meeting postcard phone speaker",
    "nachricht brief einladung anruf termin treffen geburtstag handy",
    "courriel lettre rendez-vous",
    "correo mensaje carta reunión cita",
    "messaggio lettera riunione",
    "mensagem reunião recado",
    "bericht appje",
    "wiadomość maila smsa spotkanie",
    "письмо сообщение смс встреч* сообщенье",
    "лист листа повідомлення",
    "meddelande brev mejl besked melding beskjed e-post",
    "zprávu dopis esemesku",
    "viesti sähköposti üzenetet levelet mesaj mesajul scrisoare pesan surat tin nhắn thư μήνυμα",
    "γράμμα",
    "फ़ोन कॉल मैसेज फोन رسالة بريد הודעה מייל",
)
#: Making of software: there the name is a part of the thing.
BUILD = Words(
    "build create develop implement code script chatbot bot app integrate pipeline client",
    "function",
    "wrapper docker deploy class service backend chain django flask react config regex unit",
    "baue bau entwickle programmier* implementier* skript funktion",
    "construis développe programme implémente fonction crée développer",
    "crea desarrolla programa implementa función haz aplicación",
    "costruisci sviluppa programma funzione",
    "cria desenvolve função",
    "bouw ontwikkel programmeer functie",
    "zbuduj stwórz zaprogramuj funkcję aplikację skrypt bota",
    "создай разработай функцию бота скрипт приложение бот",
    "створи розроби функцію",
    "bygg skapa utveckla lag vytvoř naprogramuj rakenna készíts creează buatkan-skrip",
)
#: Words of opinion that one wants from the model.
OPINION = Words(
    "opinion opinions take view views answer answers review help advice thoughts version reply",
    "response input judgment judgement assessment verdict feedback analysis hear turn perspective",
    "translation ideas suggestion suggestions word brain brains",
    "meinung antwort zweitmeinung rat hilfe einschätzung ansicht",
    "avis réponse aide conseil",
    "opinión respuesta ayuda consejo",
    "parere risposta aiuto consiglio opinione",
    "opinião resposta ajuda parecer conselho",
    "mening antwoord hulp advies oordeel",
    "opinię opinii odpowiedź odpowiedzi zdanie pomoc",
    "ответ мнение помощь совет відповідь думка думку",
    "åsikt svar hjälp råd hjelp",
    "názor odpověď vastaus mielipide válasz vélemény opinia răspunsul părerea răspuns",
    "jawaban pendapat câu-trả-lời ý απάντηση γνώμη رأي جواب تשובה דעה",
)
#: What a question, a task may be called before "for" and the name.
TASK = Words(
    "question questions one this task job query prompt that problem request these next",
    "frage fragen das aufgabe dies",
    "ceci c'est tâche ça",
    "pregunta esto tarea esta",
    "domanda questo questa compito",
    "pergunta isto isso tarefa",
    "vraag dit deze taak",
    "pytanie to zadanie",
    "вопрос это задача питання це",
    "fråga frågan detta spørgsmål spørsmål otázka tohle kysymys kérdés întrebare pertanyaan câu",
    "ερώτηση سؤال שאלה",
)
#: For: before the one whom a question is for.
FOR = Words(
    "for für pour para per pro voor dla для för til till pentru buat untuk cho για لـ ל",
)
#: Little words with which a bare name is a wish.
BARE = Words(
    "please pls plz now then ideally only instead here time this thx thanks again next go",
    "preferably",
    "bitte jetzt diesmal nur danke lieber",
    "stp svp plaît s'il te vous maintenant merci plutôt",
    "favor por porfa ahora gracias mejor",
    "favore per adesso grazie ora",
    "agora obrigado",
    "alsjeblieft aub graag nu",
    "proszę prosze teraz",
    "пожалуйста теперь плиз будь ласка тепер",
    "tack tak takk prosím teď kiitos nyt kérlek légyszi rog acum dong ya aja nhé đi lütfen",
    "παρακαλώ",
    "من فضلك בבקשה เลย さんお願い お願いします",
)
#: A request about the words themselves, at the start of a turn.
ABOUT_WORDS = Words(
    "translate proofread grammar spell classify sentiment",
    "übersetz übersetze korrigiere korrigier",
    "traduis traduire traduisez corrige",
    "traduce traducir tradúceme traduci traduz traduza",
    "vertaal przetłumacz переведи переклади översätt přelož käännä fordítsd tradu terjemahkan",
    "dịch",
    "μετάφρασε ترجم תרגם oversæt oversett",
)
#: Verbs that come after the name, where the verb ends the sentence.
ORDER_AFTER = Words(
    "fragen befragen nutzen benutzen verwenden beantworten lassen prüfen geben weiterleiten",
    "machen",
    "weitergeben schicken erledigen übernehmen antworten schreiben wechseln hinzuziehen vorlegen",
    "lösen drüberschauen überlassen ran rüber",
    "laten vragen gebruiken voorleggen doorsturen sturen inschakelen raadplegen",
    "iste isteyin yardım sor sorun sorar sorsana danış danışın",
    "yap yaptır yazdır kullan kullanın ver gönder ilet geç",
    "geçelim geçebilir aktar bırak çöz çözdür cevaplasın yanıtlasın yazsın çözsün yapsın baksın",
    "cevap yanıtla cevapla sorabilir yönlendir devret bağla çevir hallet açıkla anlat yaz",
    "hazırlasın anlatsın versin açıklasın düzeltsin söylesin kontrol düzelttir sorsan danışsana",
    "पूछो पूछिए पूछ पूछना पूछकर दो दे भेजो करवाओ करवाना लिखवाओ लिखवाना दिलवाओ ढुंढवाओ लिखवा करवा",
    "इस्तेमाल उपयोग प्रयोग करो लिखे बताए दीजिए भेज सौंप करवाइए चाहिए लिखवाइए जवाब दें कहो बोलो",
    "írja oldja válaszoljon válaszolja szeretném csináld kérdezd küldd fordítsd használd kérem",
    "vastata vastaamaan tarkistaa kirjoittaa kirjoittamaan tekee oikolukemaan hoitaa",
    "saja aja jawab yang",
    "istiyorum isterim lazım बताओ बताइए समझाओ भेजें भेजिए पूछें likhwao likhvao pucho puchho",
    "poocho puchna batao karwao",
)
#: Words with which one greets.
GREETING = Words(
    "hi hello hey hiya morning evening afternoon good yo howdy thanks thank greetings",
    "hallo guten moin servus danke",
    "bonjour salut bonsoir coucou merci hola buenas buenos gracias ciao buongiorno salve grazie",
    "oi olá ola bom boa obrigado hoi dag dank cześć hej dzień привет здравствуй* спасибо привіт",
    "вітаю",
    "hejsan tjena ahoj čau dobrý moi hei terve szia helló bună halo hai chào xin γεια καλημέρα",
    "selam merhaba مرحبا أهلا السلام שלום היי नमस्ते",
    "हैलो สวัสดี 你好 您好 こんにちは ねえ 안녕 안녕하세요",
)
#: Words that only join a clause: after them an order may begin anew.
JOINING = Words(
    "and so then but und dann also et alors puis y entonces e allora en dan więc а и тогда och så",
    "og a tak ja és și kemudian terus lalu και",
)
#: Words of `LET` that need some work behind the name to mean an order.
THAT = Words(
    "that if see que q qu che dass dat żeby aby чтобы щоб att at ca să να soll sollte sollen",
    "solle",
    "make making get having have ta fai fais faire haz faz",
)
#: Helpers with which one asks a third: "could Claude ...".
CAN = Words(
    "cn يمكن can could would will may kann könnte kan",
    "puede podría può potrebbe pode poderia peut pourrait",
    "może mógłby может мог може kunde kunne voisiko může bisa bisakah",
)
#: Of these, the ones that as well ask what somebody is able to do.
ABLE = Words("can kann kan puede può pode peut może может може může bisa bisakah")
#: Helpers that say who has to do a thing.
MUST = Words(
    "should must shall may soll sollte muss devrait doit debería debe deve dovrebbe moet powinien",
    "ma має должен ska skal",
)
#: First words of "what would Claude say".
WHAT = Words("what what's was que qu'en qué cosa wat")
#: What the name then does.
SAY = Words("say think answer suggest make sagt meint would würde dirait diría direbbe dit")
#: Prepositions of the theme: a text about the name is no text by it.
ABOUT = Words("about on of über sur sobre о про")
#: What one makes a new thing with: "send an email to" hands no question over.
NEW = Words("a an ein eine einen un une una uma")
#: Somebody to whom a thing is given: "give me five tips".
ME = Words("me us mir moi uns")
#: "Is", between a task and whom it is for.
IS = Words("is è est es é jest ist")
#: A "not" behind the name.
NOT_BEHIND = Words("nicht niet inte ikke değil sorma kullanma नहीं मत nie")
#: Words that change nothing between a wish and the name.
AFTER_WISH = FILL | ORDER | COURTESY | LET | OPINION
#: Words before "with" and the name that name no work: "now the same with Claude".
LEAD_IN = COURTESY | AGAIN | FILL
#: Words that leave a name as good as alone.
LITTLE = LEAD_IN | BARE
#: Words that may follow a name at the end of an ask.
CLOSING = BARE | AGAIN
#: Words that point: "this script" is not one to be made.
DEMONSTRATIVE = Words(
    "this that these my our following attached das dies* meine* mein ce cette mon ma este esta mi",
    "questo questa mio mia isto meu esse essa dit deze",
    "mijn ten tę mój moją этот эту мой мою цей цю",
    "denna detta min denne dette tuto tenhle můj acest această",
    "meu ini này αυτό αυτόν هذا هذه bu isko इस",
)
#: Where another part of a sentence begins.
PART_BEGINS = JOINING | QUESTION
#: Words before "Claude's opinion" that ask for it.
OWNED = AFTER_WISH | WISH
