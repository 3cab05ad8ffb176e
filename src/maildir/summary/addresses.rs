//! Address lists (`From:`, `To:`, `Cc:`) as readable text.

use memchr::memchr;

use super::words::{Text, Word, decode, utf8, words_part};
use super::{FIELD_MAX, is_blank};

/// An address list as readable text: `Name <a@b.example>, c@d.example`.
///
/// Names are decoded first and then quoted where their characters would break the list, so that a name holding a comma
/// does not turn into two addresses. Quotes without need, brackets around a lone address and runs of blanks go;
/// comments stay, behind their address. What is no address list comes out as the words it holds.
pub(super) fn addresses(line: &[u8]) -> String {
    if is_plain_mailbox(line) {
        return utf8(line).into_owned();
    }
    let mut list = List { out: String::with_capacity(line.len().min(FIELD_MAX)), ..List::default() };
    let words = words_part(line);
    let (mut mailbox_at, mut at) = (0, 0);
    while let Some(&byte) = line.get(at) {
        if list.angle.is_some() && !matches!(byte, b' ' | b'\t' | b'(' | b',' | b';' | b':' | b'>') {
            list.end_mailbox(&line[mailbox_at..at]); // somebody forgot the comma
            mailbox_at = at;
            list.separator = ", ";
        }
        let rest = &line[at..];
        at += match byte {
            b' ' | b'\t' => {
                list.gap = true;
                1
            }
            b'"' => {
                let len = closed_len(rest, b'"', b'"');
                list.push_quoted(&rest[..len]);
                len
            }
            b'(' => {
                let len = closed_len(rest, b'(', b')');
                list.push_comment(&rest[..len]);
                len
            }
            b'<' => {
                let len = memchr(b'>', rest).unwrap_or(rest.len());
                list.angle = Some(rest[1..len].trim_ascii());
                (len + 1).min(rest.len())
            }
            b',' | b';' | b':' => {
                list.end_mailbox(&line[mailbox_at..at]);
                mailbox_at = at + 1;
                if byte != b',' {
                    list.out.push(char::from(byte));
                }
                list.separator = match byte {
                    b',' if list.out.is_empty() => "",
                    b',' => ", ",
                    b':' if !rest.get(1).copied().is_some_and(is_blank) => "", // not a group, or an empty one
                    _ => " ",
                };
                1
            }
            b'>' => 1, // of a bracket that was never opened
            b'=' if let Some(word) = words.get(at..).and_then(Word::at) => {
                list.push_word(&word);
                word.len
            }
            b'[' => {
                let len = memchr(b']', rest).map_or(rest.len(), |end| end + 1);
                list.push_plain(&rest[..len]);
                len
            }
            _ => {
                let is_end = |byte: &u8| {
                    matches!(byte, b' ' | b'\t' | b'"' | b'(' | b'<' | b'>' | b',' | b';' | b':' | b'=' | b'[')
                };
                let len = 1 + rest[1..].iter().position(is_end).unwrap_or(rest.len() - 1);
                list.push_plain(&rest[..len]);
                len
            }
        };
    }
    list.end_mailbox(&line[mailbox_at..]);
    list.out
}

/// A list of addresses that was made readable as IMAP's envelope has it, without comments and blanks within addresses;
/// `None` if there are none.
pub fn without_comments(list: &str) -> Option<String> {
    if !list.contains('(') && ![" .", " @", "@ "].iter().any(|gap| list.contains(gap)) {
        return None;
    }
    let bytes = list.as_bytes();
    let mut out = String::with_capacity(list.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let len = match byte {
            b'"' => closed_len(&bytes[at..], b'"', b'"'),
            b'(' => {
                at += closed_len(&bytes[at..], b'(', b')');
                continue;
            }
            b' ' if out.ends_with(['.', '@']) => {
                at += 1;
                continue;
            }
            b'.' | b'@' => {
                out.truncate(out.trim_end_matches(' ').len());
                1
            }
            // To the next byte that is one of these; what is not ASCII is copied as it is.
            _ => {
                1 + bytes[at + 1..].iter().take_while(|byte| !matches!(byte, b'"' | b'(' | b' ' | b'.' | b'@')).count()
            }
        };
        out.push_str(&list[at..at + len]);
        at += len;
    }
    Some(out)
}

/// Whether a list is a single mailbox, written as [`addresses`] writes it: what most mail has.
fn is_plain_mailbox(line: &[u8]) -> bool {
    let is_atom = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'\'' | b'/' | b'&');
    let (name, address) = match memchr(b'<', line) {
        None => (&line[..0], line),
        Some(open) => match (line[..open].strip_suffix(b" "), line[open + 1..].strip_suffix(b">")) {
            (Some(name), Some(address)) => (name, address),
            _ => return false,
        },
    };
    let no_gaps = name.split(|&byte| byte == b' ').all(|word| !word.is_empty() && word.iter().all(is_atom));
    (no_gaps || address.len() == line.len()) && address.iter().all(|byte| is_atom(byte) || matches!(byte, b'.' | b'@'))
}

/// Length of the quoted string or comment at the start of `bytes`: up to its `close`, or all if that is missing.
pub(super) fn closed_len(bytes: &[u8], open: u8, close: u8) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == close && depth > 0 => {
                depth -= 1;
                if depth == 0 || open == close {
                    return at + 1;
                }
            }
            byte if byte == open => depth += 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// An address list in the making.
#[derive(Default)]
struct List<'a> {
    out: String,
    /// What goes before the next mailbox.
    separator: &'static str,
    /// The words of the mailbox being read that stand outside `<>`: its name, or the address itself.
    phrase: Text<'a>,
    /// The phrase holds a quoted string, without its quotes.
    quoted: bool,
    angle: Option<&'a [u8]>,
    /// Each with a space before it.
    comments: String,
    /// Blanks were read since the last part of the phrase.
    gap: bool,
    after_word: bool,
}

impl<'a> List<'a> {
    fn push_plain(&mut self, bytes: &[u8]) {
        self.close_gap();
        self.after_word = false;
        self.phrase.push_plain(bytes);
    }

    fn push_word(&mut self, word: &Word<'a>) {
        if self.after_word {
            self.gap = false; // it only separates the two words
        }
        self.close_gap();
        self.after_word = true;
        self.phrase.push_word(word);
    }

    /// A quoted string; encoded words in it are decoded too: RFC 2047 forbids them there, and many mailers write them.
    fn push_quoted(&mut self, quoted: &[u8]) {
        let inner = quoted[1..].strip_suffix(b"\"").unwrap_or(&quoted[1..]);
        let mut plain = Vec::with_capacity(inner.len());
        let mut bytes = inner.iter();
        while let Some(&byte) = bytes.next() {
            plain.push(if byte == b'\\' { *bytes.next().unwrap_or(&byte) } else { byte });
        }
        self.push_plain(decode(&plain).as_bytes());
        self.quoted = true;
    }

    fn push_comment(&mut self, comment: &[u8]) {
        self.comments.push(' ');
        self.comments.push_str(&decode(comment));
        self.gap = true;
    }

    fn close_gap(&mut self) {
        if std::mem::take(&mut self.gap) && !self.phrase.is_empty() {
            self.phrase.push_plain(b" ");
        }
    }

    /// Writes out what was read of a mailbox; `written` is its source.
    fn end_mailbox(&mut self, written: &[u8]) {
        self.phrase.flush();
        let phrase = self.phrase.done.as_str();
        let angle = self.angle.take();
        let quoted = std::mem::take(&mut self.quoted);
        (self.gap, self.after_word) = (false, false);
        if phrase.is_empty() && angle.is_none() && self.comments.is_empty() {
            return;
        }
        self.out.push_str(std::mem::take(&mut self.separator));
        match angle.map(utf8) {
            // `"a b"@c.example` needs its quotes.
            None if quoted => {
                self.out.push_str(&decode(written.trim_ascii()));
                self.comments.clear();
            }
            None => self.out.push_str(phrase),
            Some(address) if phrase.is_empty() && !address.is_empty() => self.out.push_str(&address),
            Some(address) => {
                push_name(&mut self.out, phrase);
                self.out.extend([if phrase.is_empty() { "<" } else { " <" }, &address, ">"]);
            }
        }
        let alone = phrase.is_empty() && angle.is_none();
        self.out.push_str(if alone { self.comments.trim_start() } else { &self.comments });
        self.comments.clear();
        self.phrase.done.clear();
    }
}

/// Appends a display name, quoted if it holds what RFC 5322 3.2.3 calls specials.
fn push_name(out: &mut String, name: &str) {
    if !name.contains(['(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '.', '"']) {
        out.push_str(name);
        return;
    }
    out.push('"');
    for c in name.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
