//! Elements of an XML document, bounded in depth and number: no entity is expanded, no document type is read.
//!
//! Names are compared without their namespaces: servers put values into wrong ones, and no two properties that are asked
//! for share a name.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Elements within elements.
const DEPTH_MAX: usize = 64;

/// Elements in one child of the root.
const COUNT_MAX: usize = 20_000;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Its name without the prefix.
    pub name: String,
    /// Names, without their prefixes, and values.
    pub attributes: Vec<(String, String)>,
    /// Its own text, to the letter.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub(super) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// True if there is a child of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.child(name).is_some()
    }

    /// The text without white space around it; `None` if there is none.
    pub(super) fn trimmed(&self) -> Option<&str> {
        Some(self.text.trim()).filter(|text| !text.is_empty())
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a document: `each` gets the children of the root one after the other. Gives the name of the root.
///
/// Errors: in words, what is wrong with it. Children before the fault were handed over.
pub(super) fn read(document: &[u8], each: &mut dyn FnMut(Element)) -> Result<String, String> {
    let text = std::str::from_utf8(document).map_err(|_| "it is not in UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut root: Option<String> = None;
    let (mut open, mut count): (Vec<Element>, usize) = (Vec::new(), 0);
    loop {
        match reader.read_event().map_err(|error| format!("it is not well-formed XML: {error}"))? {
            Event::Start(start) => {
                let element = element(&start)?;
                match &root {
                    None => root = Some(element.name),
                    Some(_) => {
                        count += 1;
                        if open.len() >= DEPTH_MAX || count > COUNT_MAX {
                            return Err("it has too many elements within an element".to_owned());
                        }
                        open.push(element);
                    }
                }
            }
            Event::End(_) => {
                let Some(element) = open.pop() else {
                    // The end of the root: what comes after it says nothing.
                    return root.ok_or_else(|| "it has no element".to_owned());
                };
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => {
                        each(element);
                        count = 0;
                    }
                }
            }
            Event::Text(text) => add(&mut open, &text),
            Event::CData(text) => add(&mut open, &text),
            Event::GeneralRef(name) => {
                let character = character(&name)?;
                add(&mut open, character.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return Err("it has a document type, which is not read".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return Err("it ends early".to_owned()),
            _ => return Err("it has something that is not understood".to_owned()),
        }
    }
}

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element { name: start.local_name().as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("it is not well-formed XML: {error}"))?;
        let value = unescape(&attribute.value);
        let value = value.map_err(|error| format!("it is not well-formed XML: {error}"))?;
        element.attributes.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
    }
    Ok(element)
}

/// The character that a reference stands for: one of the five of XML, or a number.
fn character(name: &BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = name.resolve_char_ref().map_err(|error| format!("it is not well-formed XML: {error}"))? {
        return Ok(character);
    }
    match &**name {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err("it has an entity of its own".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(document: &str) -> Result<Vec<Element>, String> {
        let mut all = Vec::new();
        read(document.as_bytes(), &mut |element| all.push(element)).map(|_| all)
    }

    #[test]
    fn text_comes_to_the_letter() {
        let document = "<?xml version=\"1.0\"?><a:r xmlns:a=\"DAV:\"><a:x k=\"&lt;1\">one&#13;\r\ntwo &amp; <![CDATA[<&>]]></a:x><y/></a:r>";
        let all = all(document).expect("sound");
        assert_eq!(all[0].text, "one\r\r\ntwo & <&>");
        assert_eq!((all[0].attribute("k"), all[1].name.as_str()), (Some("<1"), "y"));
    }

    #[test]
    fn hostile_documents_are_errors() {
        let deep = format!("<r>{}{}</r>", "<a>".repeat(5_000), "</a>".repeat(5_000));
        let wide = format!("<r><a>{}</a></r>", "<b/>".repeat(COUNT_MAX + 1));
        for document in [
            "<!DOCTYPE r [<!ENTITY a \"b\">]><r><x>&a;</x></r>",
            "<r><x>&nbsp;</x></r>",
            "<r><x>&#xD800;</x></r>",
            "<r><x></r>",
            "<r><x>",
            "<html><body><br></body></html>",
            "{\"not\": \"XML\"}",
            "",
            &deep,
            &wide,
        ] {
            assert!(all(document).is_err(), "{:.40}", document);
        }
        assert!(read(b"<r>\xff</r>", &mut |_| {}).is_err());
    }
}
