//! The names of Gmail's own labels, language by language, in lower case and composed (NFC).
//!
//! Several names for one label of a language are those of the web page and of Takeout, which differ in number, gender
//! or wording, or changed over the years.

/// The names of the system labels in one language.
struct Language {
    inbox: &'static [&'static str],
    sent: &'static [&'static str],
    drafts: &'static [&'static str],
    trash: &'static [&'static str],
    spam: &'static [&'static str],
    starred: &'static [&'static str],
    important: &'static [&'static str],
    opened: &'static [&'static str],
    unread: &'static [&'static str],
    archived: &'static [&'static str],
}

/// The meaning of a system label, given in lower case and composed.
pub(super) fn system(name: &str) -> Option<Meaning> {
    LANGUAGES.iter().find_map(|language| {
        let meanings = [
            (language.inbox, Meaning::Mailbox("Inbox")),
            (language.sent, Meaning::Mailbox("Sent")),
            (language.drafts, Meaning::Mailbox("Drafts")),
            (language.trash, Meaning::Mailbox("Trash")),
            (language.spam, Meaning::Mailbox("Spam")),
            (language.archived, Meaning::Mailbox("Archive")),
            (language.starred, Meaning::Keyword("$flagged")),
            (language.important, Meaning::Keyword("$important")),
            (language.opened, Meaning::Keyword("$seen")),
            (language.unread, Meaning::Nothing),
        ];
        meanings.into_iter().find(|(names, _)| names.contains(&name)).map(|(_, meaning)| meaning)
    })
}

/// Whether a name, in lower case and composed, is that of a tab of the inbox: `category social`,
/// `kategorie „soziale netzwerke“`.
pub(super) fn is_category(name: &str) -> bool {
    // Gmail sets the tab's name off with quotes or a colon in some languages.
    let plain: String = name.chars().map(|char| if is_mark(char) { ' ' } else { char }).collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    CATEGORY.iter().any(|word| plain.strip_prefix(word).is_some_and(|tab| TABS.contains(&tab.trim_start())))
}

fn is_mark(char: char) -> bool {
    matches!(char, '"' | '\'' | '„' | '“' | '”' | '«' | '»' | '‘' | '’' | '「' | '」' | '『' | '』' | ':' | '：' | '-')
}

const LANGUAGES: [Language; 22] = [
    // English
    Language {
        inbox: &["inbox"],
        sent: &["sent", "sent mail"],
        drafts: &["drafts", "draft"],
        trash: &["trash", "bin"],
        spam: &["spam"],
        starred: &["starred"],
        important: &["important"],
        opened: &["opened"],
        unread: &["unread"],
        archived: &["archived", "archive"],
    },
    // German
    Language {
        inbox: &["posteingang"],
        sent: &["gesendet"],
        drafts: &["entwürfe", "entwurf"],
        trash: &["papierkorb"],
        spam: &["spam"],
        starred: &["markiert"],
        important: &["wichtig"],
        opened: &["geöffnet"],
        unread: &["ungelesen"],
        archived: &["archiviert"],
    },
    // French
    Language {
        inbox: &["boîte de réception"],
        sent: &["messages envoyés", "envoyés", "envoyé"],
        drafts: &["brouillons", "brouillon"],
        trash: &["corbeille"],
        spam: &["spam"],
        starred: &["suivis", "messages suivis", "suivi", "marqués d'une étoile"],
        important: &["important", "importants", "messages importants"],
        opened: &["ouvert", "ouverts", "messages ouverts"],
        unread: &["non lus", "non lu", "messages non lus"],
        archived: &["archivé", "archivés", "messages archivés"],
    },
    // Spanish
    Language {
        inbox: &["recibidos", "bandeja de entrada"],
        sent: &["enviados", "enviado"],
        drafts: &["borradores", "borrador"],
        trash: &["papelera"],
        spam: &["spam"],
        starred: &["destacados", "destacado", "con estrella"],
        important: &["importantes", "importante"],
        opened: &["abierto", "abiertos"],
        unread: &["no leídos", "no leído", "sin leer"],
        archived: &["archivado", "archivados"],
    },
    // Italian
    Language {
        inbox: &["posta in arrivo"],
        sent: &["inviati", "posta inviata", "inviata", "inviato"],
        drafts: &["bozze", "bozza"],
        trash: &["cestino"],
        spam: &["spam"],
        starred: &["speciali", "speciale"],
        important: &["importanti", "importante"],
        opened: &["aperti", "aperto", "aperta"],
        unread: &["non letti", "non letto", "da leggere"],
        archived: &["archiviati", "archiviato", "archiviata"],
    },
    // Portuguese, of Brazil and Portugal
    Language {
        inbox: &["caixa de entrada"],
        sent: &["enviados", "e-mails enviados", "enviado", "correio enviado"],
        drafts: &["rascunhos", "rascunho"],
        trash: &["lixeira", "lixo"],
        spam: &["spam"],
        starred: &["com estrela", "marcado com estrela", "marcados com estrela"],
        important: &["importantes", "importante"],
        opened: &["aberto", "abertos", "aberta", "abertas"],
        unread: &["não lidos", "não lido", "não lidas", "não lida"],
        archived: &["arquivado", "arquivados", "arquivada", "arquivadas"],
    },
    // Dutch
    Language {
        inbox: &["postvak in", "inbox"],
        sent: &["verzonden"],
        drafts: &["concepten", "concept"],
        trash: &["prullenbak"],
        spam: &["spam"],
        starred: &["met ster"],
        important: &["belangrijk"],
        opened: &["geopend"],
        unread: &["ongelezen"],
        archived: &["gearchiveerd"],
    },
    // Polish
    Language {
        inbox: &["odebrane"],
        sent: &["wysłane"],
        drafts: &["wersje robocze", "robocze", "wersja robocza"],
        trash: &["kosz"],
        spam: &["spam"],
        starred: &["oznaczone gwiazdką", "z gwiazdką"],
        important: &["ważne"],
        opened: &["otwarte", "otwarto"],
        unread: &["nieprzeczytane"],
        archived: &["zarchiwizowane", "zarchiwizowano"],
    },
    // Russian
    Language {
        inbox: &["входящие"],
        sent: &["отправленные"],
        drafts: &["черновики"],
        trash: &["корзина"],
        spam: &["спам"],
        starred: &["помеченные"],
        important: &["важное", "важные"],
        opened: &["открытые", "открыто"],
        unread: &["непрочитанные"],
        archived: &["архивированные", "заархивированные", "в архиве"],
    },
    // Ukrainian
    Language {
        inbox: &["вхідні"],
        sent: &["надіслані"],
        drafts: &["чернетки"],
        trash: &["кошик"],
        spam: &["спам"],
        starred: &["із зірочкою", "позначено зірочкою"],
        important: &["важливі", "важливо"],
        opened: &["відкриті", "відкрито"],
        unread: &["непрочитані"],
        archived: &["архівовані", "заархівовані", "архівовано"],
    },
    // Japanese
    Language {
        inbox: &["受信トレイ"],
        sent: &["送信済み", "送信済みメール"],
        drafts: &["下書き"],
        trash: &["ゴミ箱"],
        spam: &["迷惑メール"],
        starred: &["スター付き"],
        important: &["重要"],
        opened: &["開封済み"],
        unread: &["未読"],
        archived: &["アーカイブ済み", "アーカイブ"],
    },
    // Korean
    Language {
        inbox: &["받은편지함"],
        sent: &["보낸편지함"],
        drafts: &["임시보관함"],
        trash: &["휴지통"],
        spam: &["스팸함", "스팸"],
        starred: &["별표편지함", "별표"],
        important: &["중요편지함", "중요"],
        opened: &["열림", "열어봄"],
        unread: &["읽지않음", "읽지 않음"],
        archived: &["보관됨", "보관처리됨"],
    },
    // Chinese, simplified
    Language {
        inbox: &["收件箱"],
        sent: &["已发邮件", "已发送", "已发送邮件"],
        drafts: &["草稿"],
        trash: &["已删除邮件"],
        spam: &["垃圾邮件"],
        starred: &["已加星标"],
        important: &["重要", "重要邮件"],
        opened: &["已打开"],
        unread: &["未读", "未读邮件"],
        archived: &["已归档"],
    },
    // Chinese, traditional
    Language {
        inbox: &["收件匣"],
        sent: &["寄件備份"],
        drafts: &["草稿"],
        trash: &["垃圾桶"],
        spam: &["垃圾郵件"],
        starred: &["已加星號"],
        important: &["重要", "重要郵件"],
        opened: &["已開啟"],
        unread: &["未讀", "未讀取"],
        archived: &["已封存"],
    },
    // Swedish
    Language {
        inbox: &["inkorgen", "inkorg"],
        sent: &["skickat", "skickade"],
        drafts: &["utkast"],
        trash: &["papperskorgen", "papperskorg"],
        spam: &["skräppost"],
        starred: &["stjärnmärkt", "stjärnmärkta"],
        important: &["viktigt", "viktiga"],
        opened: &["öppnat", "öppnade", "öppnad"],
        unread: &["oläst", "olästa"],
        archived: &["arkiverat", "arkiverade", "arkiverad"],
    },
    // Danish
    Language {
        inbox: &["indbakke"],
        sent: &["sendt", "sendte"],
        drafts: &["kladder", "kladde"],
        trash: &["papirkurv"],
        spam: &["spam"],
        starred: &["stjernemarkeret", "stjernemarkerede"],
        important: &["vigtig", "vigtigt", "vigtige"],
        opened: &["åbnet", "åbnede"],
        unread: &["ulæst", "ulæste"],
        archived: &["arkiveret", "arkiverede"],
    },
    // Norwegian
    Language {
        inbox: &["innboks", "innboksen"],
        sent: &["sendt"],
        drafts: &["utkast"],
        trash: &["papirkurv", "papirkurven"],
        spam: &["søppelpost"],
        starred: &["stjernemerket", "stjernemerkede"],
        important: &["viktig", "viktige"],
        opened: &["åpnet", "åpnede"],
        unread: &["ulest", "uleste"],
        archived: &["arkivert", "arkiverte"],
    },
    // Finnish
    Language {
        inbox: &["saapuneet", "postilaatikko"],
        sent: &["lähetetyt", "lähetetty"],
        drafts: &["luonnokset", "luonnos"],
        trash: &["roskakori"],
        spam: &["roskaposti"],
        starred: &["tähdellä merkityt", "tähdellä merkitty"],
        important: &["tärkeät", "tärkeä"],
        opened: &["avatut", "avattu"],
        unread: &["lukemattomat", "lukematon"],
        archived: &["arkistoidut", "arkistoitu"],
    },
    // Czech
    Language {
        inbox: &["doručená pošta", "doručené"],
        sent: &["odeslaná pošta", "odeslané", "odesláno"],
        drafts: &["koncepty", "koncept"],
        trash: &["koš"],
        spam: &["spam"],
        starred: &["s hvězdičkou", "označeno hvězdičkou"],
        important: &["důležité"],
        opened: &["otevřené", "otevřeno"],
        unread: &["nepřečtené", "nepřečteno"],
        archived: &["archivované", "archivováno"],
    },
    // Hungarian
    Language {
        inbox: &["beérkező levelek"],
        sent: &["elküldött", "elküldött levelek"],
        drafts: &["piszkozatok", "piszkozat"],
        trash: &["kuka"],
        spam: &["spam"],
        starred: &["csillagozott"],
        important: &["fontos"],
        opened: &["megnyitott", "megnyitva"],
        unread: &["olvasatlan"],
        archived: &["archivált", "archiválva"],
    },
    // Turkish
    Language {
        inbox: &["gelen kutusu"],
        sent: &["gönderilmiş postalar", "gönderilenler", "gönderildi"],
        drafts: &["taslaklar", "taslak"],
        trash: &["çöp kutusu", "çöp"],
        spam: &["spam"],
        starred: &["yıldızlı"],
        important: &["önemli"],
        opened: &["açıldı", "açılan", "açılmış"],
        unread: &["okunmamış", "okunmadı"],
        archived: &["arşivlendi", "arşivlenmiş", "arşivlenen"],
    },
    // Greek
    Language {
        inbox: &["εισερχόμενα"],
        sent: &["απεσταλμένα"],
        drafts: &["πρόχειρα"],
        trash: &["κάδος απορριμμάτων", "κάδος"],
        spam: &["ανεπιθύμητα"],
        starred: &["με αστέρι"],
        important: &["σημαντικά"],
        opened: &["ανοιγμένα", "ανοιχτά"],
        unread: &["μη αναγνωσμένα"],
        archived: &["αρχειοθετημένα"],
    },
];

/// The word for category that stands before the name of a tab.
#[rustfmt::skip]
const CATEGORY: &[&str] = &[
    "category", "kategorie", "catégorie", "categoría", "categoria", "categorie", "kategoria", "категория", "категорія",
    "カテゴリ", "카테고리", "类别", "分类", "類別", "kategori", "luokka", "kategória", "κατηγορία",
];

/// The names of the tabs in all languages: the word for category before them keeps labels of the user out.
#[rustfmt::skip]
const TABS: &[&str] = &[
    // English
    "personal", "primary", "promotions", "social", "updates", "forums", "purchases",
    // German
    "persönlich", "allgemein", "werbung", "soziale netzwerke", "soziales", "benachrichtigungen", "foren",
    // French
    "personnelle", "personnel", "principale", "réseaux sociaux", "sociale", "notifications", "mises à jour",
    // Spanish
    "principal", "promociones", "notificaciones", "actualizaciones", "foros",
    // Italian
    "personale", "personali", "promozioni", "aggiornamenti", "forum",
    // Portuguese
    "pessoal", "promoções", "atualizações", "fóruns",
    // Dutch
    "persoonlijk", "primair", "reclame", "promoties", "sociaal", "meldingen",
    // Polish
    "osobiste", "osobista", "główne", "oferty", "promocje", "społeczności", "powiadomienia", "aktualizacje", "fora",
    // Russian, Ukrainian
    "личное", "личные", "несортированные", "промоакции", "соцсети", "оповещения", "обновления", "форумы", "особисті",
    "соцмережі", "сповіщення", "оновлення", "форуми",
    // Japanese
    "メイン", "個人", "プロモーション", "ソーシャル", "新着", "最新情報", "フォーラム",
    // Korean
    "개인", "기본", "프로모션", "소셜", "업데이트", "포럼",
    // Chinese
    "个人", "主要", "推广", "社交", "动态", "更新", "论坛", "促銷", "促銷內容", "社交網路", "最新快訊", "論壇",
    // Swedish, Danish, Norwegian
    "personligt", "primär", "reklam", "kampanjer", "socialt", "uppdateringar", "personlig", "primær", "kampagner",
    "sociale", "opdateringer", "sosialt", "oppdateringer", "reklame",
    // Finnish
    "henkilökohtaiset", "ensisijainen", "mainokset", "yhteisöt", "päivitykset", "foorumit",
    // Czech
    "osobní", "primární", "promoakce", "sociální sítě", "aktualizace", "fóra",
    // Turkish
    "kişisel", "birincil", "tanıtımlar", "sosyal", "güncellemeler", "forumlar",
];

/// Every name is lower case and composed, and means one thing only.
#[cfg(test)]
pub(super) fn check() {
    use unicode_normalization::UnicodeNormalization;
    for language in &LANGUAGES {
        for (names, meaning) in [
            (language.inbox, Meaning::Mailbox("Inbox")),
            (language.sent, Meaning::Mailbox("Sent")),
            (language.drafts, Meaning::Mailbox("Drafts")),
            (language.trash, Meaning::Mailbox("Trash")),
            (language.spam, Meaning::Mailbox("Spam")),
            (language.archived, Meaning::Mailbox("Archive")),
            (language.starred, Meaning::Keyword("$flagged")),
            (language.important, Meaning::Keyword("$important")),
            (language.opened, Meaning::Keyword("$seen")),
            (language.unread, Meaning::Nothing),
        ] {
            assert!(!names.is_empty());
            for name in names {
                assert_eq!(name.nfc().flat_map(char::to_lowercase).collect::<String>(), *name);
                assert_eq!(system(name), Some(meaning), "{name}");
            }
        }
    }
    for word in CATEGORY.iter().chain(TABS) {
        assert_eq!(word.nfc().flat_map(char::to_lowercase).collect::<String>(), *word);
    }
}

/// What a system label means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A mailbox with this canonical name.
    Mailbox(&'static str),
    Keyword(&'static str),
    /// Unread, and the tabs of the inbox.
    Nothing,
}
