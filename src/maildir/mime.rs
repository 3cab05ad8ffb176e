//! The text of a mail: of all its parts, decoded.
//!
//! Parts are told apart in one pass (RFC 2046, 5.1): a delimiter begins a line, and ends whatever was opened within its
//! multipart, so a part that was cut short takes nothing away from the next. Nothing is too broken to be read: what makes
//! no sense is taken as text, for that is how a person would come to see it.

mod decode;

use std::borrow::Cow;

use mail_parser::HeaderValue;
use mail_parser::parsers::MessageStream;
use memchr::memmem;

use crate::maildir::summary::{FIELD_MAX, line_end, text_of, value_of};
use decode::{Charset, Encoding};

/// Multiparts that may be within one another; what is deeper is text.
const OPEN_MAX: usize = 64;

/// Mails within mails that may be encoded, each of which costs a copy of what is in it.
const ENCODED_MAX: usize = 3;

/// What a mail says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// All parts that are text, and those of mails that are attached. HTML is as it was written, with its tags.
    pub body: String,
    /// The headers of the parts, and of attached mails; not that of the mail itself.
    pub headers: String,
}

/// Reads a mail, whose header has so many bytes.
pub fn texts(mail: &[u8], header_len: usize) -> Texts {
    let mut texts = Texts::default();
    texts.add_mail(mail, Some(header_len), 0);
    texts
}

/// A multipart whose end has not been seen.
struct Multipart {
    boundary: Vec<u8>,
    /// Its parts are mails unless they say otherwise.
    is_digest: bool,
}

/// A line that ends a part.
#[derive(Debug, Clone, Copy)]
struct Delimiter {
    /// Where it begins, and the next line.
    at: usize,
    next: usize,
    /// Of which of the open multiparts.
    number: usize,
    /// It ends that multipart, too.
    closes: bool,
}

/// What a header says of the body behind it.
enum Kind {
    Multipart(Multipart),
    Mail,
    Text(Charset),
    Other,
}

impl Texts {
    /// Adds a mail which stands within so many encoded ones. `header_len`: of a header that is not wanted.
    fn add_mail(&mut self, mail: &[u8], header_len: Option<usize>, encoded: usize) {
        let mut open: Vec<Multipart> = Vec::new();
        let (mut at, mut in_digest) = (0, false);
        let mut known_len = header_len;
        loop {
            let is_wanted = known_len.is_none();
            let known = known_len.take().map(|header_len| (header_len, None));
            let (body_at, cut) = known.unwrap_or_else(|| header_end(mail, at, &open));
            let header = &mail[at..body_at];
            if is_wanted {
                self.headers += &text_of(header);
            }
            let find_end = |open: &[Multipart]| cut.or_else(|| next_delimiter(mail, body_at, open));
            let encoding = Encoding::of(header);
            let end = match Kind::of(header, in_digest) {
                Kind::Multipart(multipart) if open.len() < OPEN_MAX => {
                    let number = open.len();
                    open.push(multipart);
                    let end = find_end(&open);
                    if end.is_none_or(|end| end.number != number) {
                        // Without parts.
                        open.pop();
                        self.add_text(&Charset::default().decode(content(mail, body_at, end)));
                    }
                    end
                }
                Kind::Mail if encoding == Encoding::None && cut.is_none() => {
                    (at, in_digest) = (body_at, false);
                    continue;
                }
                kind => {
                    let end = find_end(&open);
                    let content = encoding.decode(content(mail, body_at, end));
                    match kind {
                        Kind::Mail if encoded < ENCODED_MAX => self.add_mail(&content, None, encoded + 1),
                        Kind::Mail | Kind::Multipart(_) => self.add_text(&Charset::default().decode(&content)),
                        Kind::Text(charset) => self.add_text(&charset.decode(&content)),
                        Kind::Other => {}
                    }
                    end
                }
            };
            match next_part(mail, end, &mut open) {
                Some(next) => at = next,
                None => return,
            }
            in_digest = open.last().is_some_and(|multipart| multipart.is_digest);
        }
    }

    /// Nothing is found across the border between two parts.
    fn add_text(&mut self, text: &str) {
        self.body.push_str(text);
        self.body.push('\0');
    }
}

/// What stands before a delimiter, without the line end, which belongs to it.
fn content(mail: &[u8], body_at: usize, end: Option<Delimiter>) -> &[u8] {
    let Some(end) = end else { return &mail[body_at..] };
    let content = &mail[body_at..end.at];
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

/// Where the part behind a delimiter begins. Multiparts that end are not open any more.
fn next_part(mail: &[u8], mut end: Option<Delimiter>, open: &mut Vec<Multipart>) -> Option<usize> {
    loop {
        let Delimiter { next, number, closes, .. } = end?;
        if !closes {
            open.truncate(number + 1);
            return Some(next);
        }
        open.truncate(number);
        // What follows is said to programs that know no MIME.
        end = next_delimiter(mail, next, open);
    }
}

/// Where the body behind the header at `at` begins. If a delimiter cuts the header short, that.
fn header_end(mail: &[u8], mut at: usize, open: &[Multipart]) -> (usize, Option<Delimiter>) {
    while at < mail.len() {
        if let Some(delimiter) = delimiter(mail, at, open) {
            return (at, Some(delimiter));
        }
        let (text_end, next) = line_end(mail, at);
        if text_end == at {
            return (next, None);
        }
        at = next;
    }
    (at, None)
}

/// The first delimiter of an open multipart in or behind the line at `from`.
fn next_delimiter(mail: &[u8], from: usize, open: &[Multipart]) -> Option<Delimiter> {
    if open.is_empty() {
        return None;
    }
    let begins_line = |at: usize| at == from || matches!(mail[at - 1], b'\r' | b'\n');
    let dashes = memmem::find_iter(&mail[from..], b"--").map(|at| from + at);
    dashes.filter(|&at| begins_line(at)).find_map(|at| delimiter(mail, at, open))
}

/// The delimiter that the line at `at` is. What follows a boundary does not matter (RFC 2046, 5.1.1), so of several that
/// fit the longest is meant.
fn delimiter(mail: &[u8], at: usize, open: &[Multipart]) -> Option<Delimiter> {
    let line = mail[at..].strip_prefix(b"--")?;
    let fits = open.iter().enumerate().filter(|(_, multipart)| line.starts_with(&multipart.boundary));
    let (number, multipart) = fits.max_by_key(|(_, multipart)| multipart.boundary.len())?;
    let closes = line[multipart.boundary.len()..].starts_with(b"--");
    Some(Delimiter { at, next: line_end(mail, at).1, number, closes })
}

impl Kind {
    fn of(header: &[u8], in_digest: bool) -> Kind {
        let Some(value) = value_of(header, b"content-type") else {
            return if in_digest { Kind::Mail } else { Kind::Text(Charset::default()) };
        };
        let mut value = Cow::into_owned(value);
        value.truncate(FIELD_MAX);
        value.push(b'\n'); // the parser stops there
        let value = MessageStream::new(&value).parse_content_type();
        let HeaderValue::ContentType(kind) = value else { return Kind::Text(Charset::default()) };
        match (kind.ctype(), kind.subtype().unwrap_or_default(), kind.attribute("boundary")) {
            ("multipart", subtype, Some(boundary)) if !boundary.is_empty() => {
                Kind::Multipart(Multipart { boundary: boundary.as_bytes().to_vec(), is_digest: subtype == "digest" })
            }
            ("message", "rfc822" | "global", _) => Kind::Mail,
            // Of a mail that did not arrive: message/delivery-status.
            ("text" | "message" | "multipart", ..) => {
                Kind::Text(kind.attribute("charset").map(Charset::named).unwrap_or_default())
            }
            _ => Kind::Other,
        }
    }
}

#[cfg(test)]
mod tests;
