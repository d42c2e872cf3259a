//! What a reader sees of HTML, as text.
//!
//! `html5gum` splits the HTML into tokens as the WHATWG standard has it; what is shown, and where lines break, is
//! decided here, token by token. So there is no tree and no recursion: depth costs nothing, time is linear, and memory
//! is that of the longest text or attribute.
//!
//! Crates that render a tree were tried and are no match for mail of strangers: `html2text` takes 32 s for 100,000
//! nested `div` and wraps lines, `htmd` overflows the stack and puts asterisks into words, `nanohtml2text` takes 32 s
//! for 16 MB of `&`; `mail_parser`'s `html_to_text` is fast and safe, but joins the words of neighbouring table cells
//! and `div`s and knows no `alt`.

use super::clean;
use html5gum::emitters::callback::{Callback, CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};

/// How many levels of quoting are drawn.
const QUOTES_MAX: usize = 8;

/// What stands between the last text and the next; the larger one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Blank,
    Cell,
    Line,
    Paragraph,
}

/// What an element does to the text around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    /// Nothing: `in<b>vo</b>ice` is one word.
    Inline,
    Image,
    /// Its text is not shown.
    Hidden,
    /// Its content is no part of the document.
    Template,
    /// Read as text by the tokenizer, as if scripts ran; in mail they never do.
    NoScript,
    Break,
    Block,
    Paragraph,
    Preformatted,
    Quote,
    Item,
    Row,
    Cell,
    Table,
}

fn element(name: &[u8]) -> Element {
    match name {
        b"img" | b"area" => Element::Image,
        b"script" | b"style" | b"title" | b"iframe" | b"noembed" => Element::Hidden,
        b"template" => Element::Template,
        b"noscript" => Element::NoScript,
        b"br" => Element::Break,
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"hr" => Element::Paragraph,
        b"pre" | b"listing" | b"xmp" | b"plaintext" | b"textarea" => Element::Preformatted,
        b"blockquote" => Element::Quote,
        b"li" => Element::Item,
        b"tr" => Element::Row,
        b"td" | b"th" => Element::Cell,
        b"table" => Element::Table,
        b"address" | b"article" | b"aside" | b"body" | b"caption" | b"center" | b"dd" | b"details" | b"dialog"
        | b"dir" | b"div" | b"dl" | b"dt" | b"fieldset" | b"figcaption" | b"figure" | b"footer" | b"form" | b"head"
        | b"header" | b"hgroup" | b"html" | b"legend" | b"main" | b"menu" | b"nav" | b"ol" | b"optgroup"
        | b"option" | b"search" | b"section" | b"summary" | b"tbody" | b"tfoot" | b"thead" | b"ul" => Element::Block,
        _ => Element::Inline,
    }
}

/// The text of `html`, about `limit` bytes of it, and whether there may be more.
pub(super) fn text(html: &str, limit: usize) -> (String, bool) {
    let mut page = Page::new(limit);
    page.read(html.as_bytes());
    let cut = page.is_full();
    (page.out, cut)
}

struct Page {
    out: String,
    limit: usize,
    gap: Gap,
    quotes: usize,
    /// An item of a list has begun and has no text yet.
    bullet: bool,
    preformatted: usize,
    /// Preformatted text has begun: a line end here does not count.
    pre_begins: bool,
    templates: usize,
    /// The element whose text is read now, if it is one that hides it or needs reading again.
    raw: Element,
    /// The element whose start tag is being read, and whether the attribute is one that is shown.
    tag: Element,
    wanted: bool,
    /// In a table cell, whether it has text, and whether that is more than a line.
    in_cell: bool,
    cell_text: bool,
    cell_lines: bool,
    again: bool,
}

impl Page {
    fn new(limit: usize) -> Self {
        Page {
            out: String::new(),
            limit,
            gap: Gap::None,
            quotes: 0,
            bullet: false,
            preformatted: 0,
            pre_begins: false,
            templates: 0,
            raw: Element::Inline,
            tag: Element::Inline,
            wanted: false,
            in_cell: false,
            cell_text: false,
            cell_lines: false,
            again: false,
        }
    }

    fn read(&mut self, html: &[u8]) {
        let mut emitter = CallbackEmitter::new(&mut *self);
        emitter.naively_switch_states(true);
        // A token is only given out when there is enough.
        let _ = Tokenizer::new_with_emitter(html, emitter).next();
    }

    fn is_full(&self) -> bool {
        self.out.len() >= self.limit
    }

    fn raise(&mut self, gap: Gap) {
        // Blocks at the begin of a cell or an item begin no line: the row or the item has.
        let has_begun = self.bullet || (self.in_cell && !self.cell_text);
        if !(has_begun && gap >= Gap::Line) {
            self.gap = self.gap.max(gap);
        }
    }

    fn start(&mut self, element: Element) {
        match element {
            Element::Inline | Element::Image => {}
            Element::Hidden | Element::NoScript => self.raw = element,
            Element::Template => self.templates += 1,
            Element::Break => self.gap = if self.gap >= Gap::Line { Gap::Paragraph } else { Gap::Line },
            Element::Block => self.raise(Gap::Line),
            Element::Paragraph => self.raise(Gap::Paragraph),
            Element::Preformatted => {
                self.raise(Gap::Line);
                self.preformatted += 1;
                self.pre_begins = true;
            }
            Element::Quote => {
                self.raise(Gap::Paragraph);
                self.quotes += 1;
            }
            Element::Item => {
                self.gap = self.gap.max(Gap::Line);
                self.bullet = true;
            }
            Element::Table | Element::Row => {
                self.gap = self.gap.max(Gap::Line);
                self.in_cell = false;
            }
            Element::Cell => {
                self.end_cell();
                (self.in_cell, self.cell_text, self.cell_lines) = (true, false, false);
                self.gap = self.gap.max(Gap::Cell);
            }
        }
    }

    fn end(&mut self, element: Element) {
        match element {
            Element::Inline | Element::Image => {}
            Element::Hidden | Element::NoScript => self.raw = Element::Inline,
            Element::Template => self.templates = self.templates.saturating_sub(1),
            Element::Break => self.start(Element::Break),
            Element::Block | Element::Item => self.raise(Gap::Line),
            Element::Paragraph => self.raise(Gap::Paragraph),
            Element::Preformatted => {
                self.raise(Gap::Line);
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            Element::Quote => {
                self.raise(Gap::Paragraph);
                self.quotes = self.quotes.saturating_sub(1);
            }
            Element::Cell => self.end_cell(),
            Element::Row | Element::Table => {
                self.gap = self.gap.max(Gap::Line);
                // To the cell around it, a table is more than a line.
                (self.in_cell, self.cell_lines) = (false, true);
            }
        }
    }

    /// The cells of a row stand on one line if each of them is one.
    fn end_cell(&mut self) {
        if self.in_cell && self.cell_text {
            self.gap = if self.cell_lines { self.gap.max(Gap::Line) } else { Gap::Cell };
        }
        self.in_cell = false;
    }

    fn show(&mut self, text: &str) {
        let pre_begins = std::mem::take(&mut self.pre_begins);
        if self.preformatted > 0 {
            let text = text.strip_prefix('\n').filter(|_| pre_begins).unwrap_or(text);
            for (at, line) in text.split('\n').enumerate() {
                if at > 0 {
                    self.gap = if self.gap >= Gap::Line { Gap::Paragraph } else { Gap::Line };
                }
                if !line.is_empty() {
                    self.put(line);
                }
            }
            return;
        }
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.trim_start_matches(is_space);
            if word.len() < rest.len() {
                self.gap = self.gap.max(Gap::Blank);
            }
            let end = word.find(is_space).unwrap_or(word.len());
            if end > 0 {
                self.put(&word[..end]);
            }
            rest = &word[end..];
        }
    }

    /// Appends text behind the gap before it.
    fn put(&mut self, text: &str) {
        if self.is_full() {
            return;
        }
        // Runs of invisible characters fill up the preview of some newsletters, and are no text.
        if text.chars().all(|c| clean::is_blank(c) || matches!(c, '\u{200C}' | '\u{200D}')) && self.preformatted == 0 {
            return;
        }
        let begins = self.out.is_empty();
        if !begins && self.in_cell && self.cell_text && self.gap >= Gap::Line {
            self.cell_lines = true;
        }
        let line = begins || self.gap >= Gap::Line;
        match self.gap {
            _ if begins => {}
            Gap::None => {}
            Gap::Blank => self.out.push(' '),
            Gap::Cell => self.out.push('\t'),
            Gap::Line => self.out.push('\n'),
            Gap::Paragraph => self.out.push_str("\n\n"),
        }
        if line {
            for _ in 0..self.quotes.min(QUOTES_MAX) {
                self.out.push('>');
            }
            if self.quotes > 0 {
                self.out.push(' ');
            }
        }
        if self.bullet {
            self.out.push_str("* ");
        }
        (self.gap, self.bullet, self.cell_text) = (Gap::None, false, true);
        let room = self.limit.saturating_sub(self.out.len());
        self.out.push_str(&text[..text.floor_char_boundary(room)]);
    }
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{A0}'
}

impl Callback<(), ()> for &mut Page {
    fn handle_event(&mut self, event: CallbackEvent<'_>, _: Span<()>) -> Option<()> {
        match event {
            CallbackEvent::OpenStartTag { name } => self.tag = element(name),
            CallbackEvent::AttributeName { name } => self.wanted = self.tag == Element::Image && name == b"alt",
            CallbackEvent::AttributeValue { value } => {
                if std::mem::take(&mut self.wanted) && self.templates == 0 {
                    self.gap = self.gap.max(Gap::Blank);
                    self.show(&String::from_utf8_lossy(value));
                    self.gap = self.gap.max(Gap::Blank);
                }
            }
            CallbackEvent::CloseStartTag { .. } => {
                let tag = std::mem::replace(&mut self.tag, Element::Inline);
                self.start(tag);
            }
            CallbackEvent::EndTag { name } => self.end(element(name)),
            CallbackEvent::String { value } => match self.raw {
                _ if self.templates > 0 => {}
                Element::Hidden => {}
                // Once: an element that was never closed could hold itself without end.
                Element::NoScript if !self.again => {
                    (self.again, self.raw) = (true, Element::Inline);
                    self.read(value);
                    self.again = false;
                }
                Element::NoScript => {}
                _ => self.show(&String::from_utf8_lossy(value)),
            },
            CallbackEvent::Comment { .. } | CallbackEvent::Doctype { .. } | CallbackEvent::Error(_) => {}
        }
        self.is_full().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::work;
    use proptest::prelude::*;

    fn shown(html: &str) -> String {
        text(html, 1 << 20).0
    }

    #[test]
    fn words_stay_whole_and_blocks_break_lines() {
        for (html, expected) in [
            ("in<b>vo</b>ice", "invoice"),
            ("in<!-- x -->voice <i>no</i>.<wbr>5", "invoice no.5"),
            ("a\n  b&nbsp;&nbsp;c&#32;d", "a b c d"),
            ("one<br>two<br/><br>three", "one\ntwo\n\nthree"),
            ("<div>one</div><div>two</div><div><br></div><div>three</div>", "one\ntwo\n\nthree"),
            ("<p>one<p>two <p></p><h1>three</h1>four", "one\n\ntwo\n\nthree\n\nfour"),
            (
                "a very long paragraph that goes on <a href=x>and on</a> and on",
                "a very long paragraph that goes on and on and on",
            ),
            ("<ul><li>one<li><p>two</ul>three", "* one\n* two\nthree"),
            ("x<pre>\n  a\tb\n\n c</pre>y", "x\n  a\tb\n\n c\ny"),
            (
                "hi<blockquote>one<blockquote>two</blockquote>three</blockquote>four",
                "hi\n\n> one\n\n>> two\n\n> three\n\nfour",
            ),
            ("&lt;b&gt; &euro;5 &#x20AC; &amp;amp; &nosuch; &copy", "<b> €5 € &amp; &nosuch; ©"),
            ("", ""),
        ] {
            assert_eq!(shown(html), expected, "{html}");
        }
    }

    #[test]
    fn tables_are_lines_of_cells() {
        for (html, expected) in [
            (
                "<table><tr><th>Item<th>Price<tr><td>Tea</td><td></td><td>5 €</td></tr></table>.",
                "Item\tPrice\nTea\t5 €\n.",
            ),
            (
                "<table><tr><td><p>Tea</p></td><td><div>5 €</div></td></tr><tr><td></td></tr><tr><td><p>x</p>",
                "Tea\t5 €\nx",
            ),
            ("<tr><td>a<br>b</td><td>c</td></tr>d", "a\nb\nc\nd"),
            ("<table><tr><td><table><tr><td>a</td><td>b</td></tr></table></td><td>c</td></tr></table>d", "a\tb\nc\nd"),
        ] {
            assert_eq!(shown(html), expected, "{html}");
        }
    }

    #[test]
    fn what_is_hidden_and_what_is_not() {
        for (html, expected) in [
            ("<head><title>no</title><style>p{a>b}</style></head><script>if (a<b) x('</p>')</script>yes", "yes"),
            ("<!--[if mso]>no<![endif]--><![if !mso]>yes<![endif]>", "yes"),
            ("<template>no<p></template>yes", "yes"),
            ("<noscript>yes <b>too</b><noscript>no</noscript> end", "yes too end"),
            ("<img src=x alt='Our &amp; logo'>text<img alt=''><IMG ALT=end>", "Our & logo text end"),
            ("<a title='no' alt=no href='b>c'>yes</a>", "yes"),
            ("a<svg><title>no</title>b</svg>", "ab"),
            ("pre&zwnj;&nbsp;&#8203;&#847; &zwnj;view", "pre\u{200C} \u{200C}view"),
            ("<body><style>never closed", ""),
            ("<textarea><b>x", "<b>x"),
            ("a <b", "a"),
        ] {
            assert_eq!(shown(html), expected, "{html}");
        }
    }

    #[test]
    fn bombs_are_small_and_quick() {
        let started = work::begin();
        for bomb in [
            "<",
            "<a",
            "<div>",
            "<b><p>",
            "<table><tr><td>",
            "<blockquote>x\n<pre>y\n",
            "&",
            "&amp;",
            "&nGt;",
            "<!--",
            "</",
            "<noscript>",
            "<template>",
            "<li>",
            "<a b=",
            "<x y ",
            "<![CDATA[",
            "\u{200B}",
            "<title>",
            "<svg><style>",
        ] {
            let (shown, _) = text(&bomb.repeat((4 << 20) / bomb.len()), 1 << 20);
            assert!(shown.len() < (1 << 20) + 100, "{bomb} {}", shown.len());
        }
        assert!(started.elapsed().as_secs() < 30);
        let quoted = format!("<blockquote><blockquote><pre>{}", "x\n".repeat(1 << 20));
        let (shown, cut) = text(&quoted, 1 << 20);
        assert!(cut && shown.len() < (1 << 20) + 100);
    }

    proptest! {
        #[test]
        fn any_soup_is_shown(html in "(<(/?(p|b|td|tr|table|li|pre|blockquote|script|style|noscript|template|img alt=x|br|!--)>?)|[a-z \n&;<>\"'-]{0,5}|.){0,60}") {
            shown(&html);
        }
    }
}
