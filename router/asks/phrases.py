"""Phrases of several words, and the scripts that put no space between words. Pure."""

import re
from typing import Final

#: Who shall not answer: the one spoken to, the local or the small model.
NOT_YOU: Final = re.compile(
    r"(?:\bnot|\binstead of|rather than|\bnor|\bdon't want|\bskip)(?: (?:by|with|from|use))?"
    r" (?:you\b|your|yours|yourself|local|llama|the (?:local|small|on-device|little|tiny|cheap"
    r"|toy)"
    r"|this (?:toy|small|little|local|tiny)|a small|the one)"
    r"|\bdon't answer (?:it |this )?yourself|(?:nobody|no one|nothing) else|only from|step aside"
    r"|\b(?:nicht|statt|kein|anstatt)(?: von| durch| mit| vom)? (?:du|dir|dich|dein\w*|lokal\w*"
    r"|das kleine|de[rsm] (?:lokal|klein)\w*|selbst)"
    r"|\b(?:pas|plutôt que|au lieu de|non)(?: de| par| à| avec| pour)? (?:toi|vous|local"
    r"|le (?:petit|modèle)|ton|ta|du modèle|ce (?:petit|modèle))"
    r"|\b(?:no|en vez de|en lugar de)(?: de| por| con)? (?:tú|tu|ti|vos|el (?:modelo )?(?:local"
    r"|pequeño)|tuy\w+|local)\b|(?<!\w)no (?:quiero )?es[et]e? model\w+"
    r"|\b(?:non|invece (?:di|del)|e non)(?: da| del)? (?:tu|te|il modello|modello|local\w*|tuo)\b"
    r"|\b(?:não|em vez d\w+)(?: \w+)? (?:tu|você|ti|ess\w+|est\w+|modelo|local)\b"
    r"|\b(?:niet|ipv|in plaats van)(?: door| van| met)? (?:jij|jou|je|lokaal|het lokale"
    r"|het kleine|zelf)\b"
    r"|\b(?:nie|zamiast)(?: od| przez)? (?:ty|ciebie|tobie|model\w*|lokaln\w+|twoj\w+)"
    r"|(?:\bне|вместо|замість)(?: от| з| від| ты)? (?:ты|тебя|тебе|ти|локальн\w+|твой|твій|сам)"
    r"|\b(?:inte|ikke|i stället för|i stedet for)(?: av)? (?:du|dig|deg|lokal\w*|den lokal\w*"
    r"|den lille)\b"
    r"|\b(?:ne|místo)(?: od)? (?:ty|tebe|tebou|lokáln\w+)\b|\bnu (?:tu|de tine|pe tine)\b"
    r"|\ben sinä|\bne te\b|(?:sen|seninle|senden) değil|yerel model|bukan kamu|jangan kamu"
    r"|你别|别你|不要你|而不是你|不是你"
    r"|[君お][前]?(?:じゃ|では)な|あなたでは?な|너 말고|네가 말고|말고 너"
    r"|όχι (?:εσύ|εσυ|το τοπικό)|مو انت|(?:وليس|ليس|لا) (?:أنت|انت|النموذج)|לא אתה|तुम नहीं"
    r"|तुमसे नहीं"
    r"|đừng tự|không phải bạn|ไม่ใช่(?:เธอ|คุณ)"
)

#: Questions that order politely, at the end of what stands before an order.
POLITE: Final = re.compile(
    r"(?:shall we|why (?:don't you|not)|how about|(?:any|a) (?:chance|way)|be possible"
    r"|is it possible"
    r"|would you mind|do you mind|(?:may|can|could|might) (?:i|we)|kann ich|könnte[n]? (?:ich"
    r"|wir|sie)"
    r"|können wir|puis-je|pourrais-je|peut-on|puedo|podemos|podría|posso|possiamo|podemos|kan ik"
    r"|kunnen we|mogę|możemy|można|можно|можем|можна|kan jag|kan vi|kan jeg|får jag|můžu|můžeme"
    r"|pot să|putem|bisa saya|bolehkah)(?: \w+){0,3}$"
)

#: Questions about how a thing is done, which begin like polite ones.
HOW: Final = re.compile(
    r"(?:what|how (?!about)|where|when|which|who|was|wie|wo|welche\w*|comment|où|que|qué|cómo|dónde"
    r"|come|cosa|dove|como|onde|hoe|wat|waar|jak|gdzie|как|где|что|hur|vad|hvordan|hvad|hva|co|kde)\b"
)
#: An order to ask or use what was named just before: "ask it", "let it answer".
PRONOUN: Final = re.compile(
    r"(?:^|[.!?,;:] ?|\b(?:please|so|go|and|kindly) )"
    r"(?:(?:please|go|so|kindly|and|then) ){0,2}(?:(?:ask|query|consult) (?:it|him|them|her)\b"
    r"|ask(?:[.!?:,]|$)|(?:let|have|get) (?:it|him|them) (?:to )?(?:try|answer|respond|do|decide)"
    r"|frag(?:e|t)? (?:es|ihn|sie|das modell)\b|(?:demande|pose)[- ]lui|pregúntaselo|pregúntale"
    r"|chiedi(?:gli|glielo)\b|pergunta-lhe|vraag het hem|zapytaj go|спроси (?:его|у него)"
    r"|запитай (?:його|у нього)|fråga (?:den|honom)|spør (?:den|ham)|zeptej se ho|ona sor\b)"
)
#: Software or a text to be made, of which the name is only a part.
MADE: Final = re.compile(
    r"\b(?:chat)?bots?\b|\bapp\b|\bscript|skript|скрипт|бот\w*\b|pipeline|\bclient\b|function"
    r"|funktion"
    r"|función|fonction|funzione|função|funkcj|funkc|функци|функці|functie|\bclass\b|klasse"
    r"|\bplugin"
    r"|extension|webhook|middleware|\bchain\b|fallback|blog post|newsletter|blurb|story|dialogue"
    r"|prompts?\b|コード|スクリプト|ボット|物語|漫才|코드|봇|클래스|代码|脚本|程序|小说|故事"
    r"|โค้ด|بوت|دالة|סקריפט|בוט|קוד"
)

#: What stands before a name that is ordered in Chinese; `no` takes the order back.
ZH: Final = re.compile(
    r"(?P<no>不|别|调|不要|不用|不想|怎么|如何|怎样|没|没有|无需|能否|可以|要不要|应该|应不应该"
    r"|我|我们|我在"
    r"|他|她|人|学生|开始)?"
    r"(?P<ask>(?:改|使|请)?用|[让讓叫请請]|(?:去|请|帮我|麻烦)?[问問](?:一?下|一问|问)?"
    r"|[转轉交发發扔丢丟传送]{1,2}[给給由到]|转到|转接到?"
    r"|[换換](?:成|到|个)?|切[换換]?[到成为為]?|切到|找|通过|经由|由|请教|咨询|改成|拜托|听听"
    r"|要|想听|靠|喊|派) ?$"
)

#: Work that a name at the start is given in Chinese.
ZH_AFTER: Final = re.compile(
    r"(?:来|去|帮|给|你|，|直接)?(?:来)?(?:回答|作答|答|写|处理|解决|翻译|看看|帮我|做|算)"
)

#: What follows a name that is ordered in Japanese: a particle, then the form of a wish.
JA: Final = re.compile(
    r"(?:さん)?(?:の(?:モデル|API|方|意見|回答|力))?(?:に|で|を|へ|にも|から|なら|経由で"
    r"|が(?=答|回答|書|やっ))[^。！？\n]{0,28}?"
    r"(?:て(?:ください|下さい|くれ|ほしい|欲しい|もらい|もらえ|もらって|みて|ね|よ|$"
    r"|[、。！!：:\s])|て$"
    r"|させて|お願い|頼[むみん]|(?:聞|訊|書|解|直|調べ|見|使)いて|回して|たい(?:です|$|。|んだ"
    r"|の)|よろしく|希望)"
)

#: What makes of that a ban, a message or a question about the name.
JA_NOT: Final = re.compile(
    r"コード|API|ボット|ニュース|漫才|ないで|メール|電話|伝えて|LINE|連絡|について|とは|なく"
    r"|ません|ですか|遊|呼ぶ"
)

#: The same in Korean.
KO: Final = re.compile(
    r"\s?(?:모델|쪽)?(?:이|가|을|를|에게|한테|께|으?로|에|의|와|보고|더러)?(?:\s|$)[^.?!\n]{0,28}?"
    r"(?:줘|주세요|주시|줄래|달라|해라|해봐|봐|맡기|맡겨|다시|답해|좋겠|부탁|바꿔|전환|물어"
    r"|쓰게|넘겨|싶)"
)

#: The same in Korean: no ask.
KO_NOT: Final = re.compile(
    r"써 ?준|사용법|방법|쓴|뉴스|소식|가격|요금|API|서비스|코드|클래스"
    r"|에? ?(?:대해|관해|관련)|카톡|문자"
    r"|메일|전화|전해|지 ?마|말고 (?:네|너|그냥|직접)"
    r"|는 쓰지|없이"
)

#: What stands before a name that is ordered in Thai; `no` takes the order back.
TH: Final = re.compile(
    r"(?P<no>อย่า|ไม่ต้อง|ไม่|วิธี|การ|เรียก|เคย|เรา|ผม|คน)?"
    r"(?P<ask>(?:ไป)?ถาม|(?:เปลี่ยน|สลับ)(?:ไป)?(?:ใช้|เป็น|ที่)?|(?:ลอง|ช่วย|ขอ)?ใช้|(?:ขอ|ส่ง"
    r"|ส่งต่อ|โยน|ฝาก|ยก)?ให้|ฝาก|โดย|ผ่าน|ด้วย|จาก|ปรึกษา|ขอ|อยากให้|อยากได้)"
    r" ?(?:ทาง|โมเดล|ตัว)? ?$"
)
