//! Encoded words (RFC 2047) and bytes of unknown charset, read as UTF-8.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::parsers::MessageStream;
use memchr::{memchr, memchr_iter, memmem};

use super::is_blank;

/// Text as it is if it is UTF-8, else with U+FFFD for what is not.
pub(super) fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    // The lossy reader is slow, and nearly all text needs none.
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The part of a line that can hold encoded words: up to the last `?=`. What begins like a word in there finds an end;
/// otherwise a line full of beginnings would be searched to its end from each.
pub(super) fn words_part(line: &[u8]) -> &[u8] {
    &line[..memmem::rfind(line, b"?=").map_or(0, |at| at + 2)]
}

/// Where something that looks like an encoded word begins.
fn find_word(line: &[u8]) -> Option<usize> {
    memchr_iter(b'=', line).find(|&at| line.get(at + 1) == Some(&b'?'))
}

/// An encoded word of RFC 2047: `=?charset?B?text?=`, or with `Q`.
pub(super) struct Word<'a> {
    /// Without the language that RFC 2231 lets follow after a `*`.
    charset: &'a [u8],
    base64: bool,
    text: &'a [u8],
    /// Bytes of the whole word.
    pub(super) len: usize,
}

impl<'a> Word<'a> {
    /// The encoded word that `bytes` begin with. To stay linear, give no more than [`words_part`].
    pub(super) fn at(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"=?")?;
        let (label, rest) = rest.split_at(memchr(b'?', rest)?);
        let (base64, rest) = match rest {
            [b'?', b'B' | b'b', b'?', rest @ ..] => (true, rest),
            [b'?', b'Q' | b'q', b'?', rest @ ..] => (false, rest),
            _ => return None,
        };
        let charset = &label[..memchr(b'*', label).unwrap_or(label.len())];
        if charset.is_empty() || !charset.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let text = &rest[..memmem::find(rest, b"?=")?];
        let len = 2 + label.len() + 3 + text.len() + 2;
        Some(Self { charset, base64, text, len })
    }

    /// The bytes that the text stands for. The decoder gives up at the first flaw, so flaws are mended before: missing
    /// padding and foreign characters in base64, a `=` without two hex digits in Q.
    fn bytes(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.text.len() + 8);
        if self.base64 {
            let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
            text.extend(self.text.iter().copied().filter(is_digit));
            if text.len() % 4 == 1 {
                text.pop(); // six bits are not a byte
            }
            text.extend_from_slice(b"==?=");
            MessageStream::new(&text).decode_base64_word().unwrap_or_default()
        } else {
            for (at, &byte) in self.text.iter().enumerate() {
                text.push(byte);
                let is_hex = |at| self.text.get(at).is_some_and(u8::is_ascii_hexdigit);
                if byte == b'=' && !(is_hex(at + 1) && is_hex(at + 2)) {
                    text.extend_from_slice(b"3D");
                }
            }
            text.extend_from_slice(b"?=");
            MessageStream::new(&text).decode_quoted_printable_word().unwrap_or_default()
        }
    }
}

/// Text in the making, from plain bytes and encoded words.
#[derive(Default)]
pub(super) struct Text<'a> {
    pub(super) done: String,
    /// Bytes of the last words, decoded only when all words of one charset that stand side by side are there: many
    /// mailers cut characters in two at the border between words.
    pending: Vec<u8>,
    charset: &'a [u8],
}

impl<'a> Text<'a> {
    pub(super) fn push_word(&mut self, word: &Word<'a>) {
        // ISO-2022 switches back to ASCII at the end of each word, and its decoder does not like that in mid-text.
        let stateful = word.charset.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"iso-2022"));
        if stateful || !word.charset.eq_ignore_ascii_case(self.charset) {
            self.flush();
            self.charset = word.charset;
        }
        self.pending.append(&mut word.bytes());
    }

    pub(super) fn push_plain(&mut self, bytes: &[u8]) {
        self.flush();
        self.done.push_str(&utf8(bytes));
    }

    pub(super) fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match charset_decoder(self.charset) {
            Some(decode) => self.done.push_str(&decode(&self.pending)),
            // UTF-8, or nobody knows.
            None => self.done.push_str(&utf8(&self.pending)),
        }
        self.pending.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.done.is_empty() && self.pending.is_empty()
    }
}

/// A line of text with its encoded words decoded.
pub(super) fn decode(line: &[u8]) -> String {
    let mut text = Text::default();
    let (mut plain_at, mut at) = (0, 0);
    let words = words_part(line);
    while let Some(found) = find_word(&words[at..]) {
        let word_at = at + found;
        let Some(word) = Word::at(&words[word_at..]) else {
            at = word_at + 2;
            continue;
        };
        // White space between two words only separates them (RFC 2047 6.2).
        let between = &line[plain_at..word_at];
        let after_word = plain_at > 0;
        if !after_word || !between.iter().copied().all(is_blank) {
            text.push_plain(between);
        }
        text.push_word(&word);
        at = word_at + word.len;
        plain_at = at;
    }
    text.push_plain(&line[plain_at..]);
    let text = text.done;
    match text.trim_matches(|c: char| c.is_ascii_whitespace()) {
        trimmed if trimmed.len() == text.len() => text,
        trimmed => trimmed.to_owned(),
    }
}
