//! Texts that are compared without regard to case, in all scripts.
//!
//! As IMAP has it (i;unicode-casemap, RFC 5051): characters are taken apart (NFKD: an accent follows its letter, ligatures
//! and wide forms become plain letters), then case goes. So it does not matter how an accent was put in, and `Grü` is
//! found by `gru`, whose last letter is there, but not by `grus`. A character stays one: `ß` is `ẞ`, which RFC 5051 does
//! not say, and not `ss`. The dotless `ı` is an `i`; the Turkish `İ` is an `i` with a dot above.

use std::borrow::Cow;

use memchr::memmem::Finder;
use unicode_normalization::UnicodeNormalization;

use crate::maildir::summary::without_comments;

/// A text to be found.
#[derive(Debug, Clone)]
pub(super) struct Needle {
    finder: Finder<'static>,
    is_ascii: bool,
}

impl Needle {
    /// A text that stands in a field of a header, where a run of blanks counts as one.
    pub(super) fn in_field(text: &str) -> Needle {
        let mut folded = String::new();
        fold_field(text, &mut folded);
        Needle::new(&folded)
    }

    /// A text that may stand anywhere.
    pub(super) fn in_text(text: &str) -> Needle {
        let mut folded = String::new();
        fold(text, &mut folded);
        Needle::new(&folded)
    }

    fn new(folded: &str) -> Needle {
        Needle { is_ascii: folded.is_ascii(), finder: Finder::new(folded.as_bytes()).into_owned() }
    }

    /// Whether it is in a text that was folded.
    pub(super) fn is_in(&self, folded: &str) -> bool {
        // What looks for other letters need not look long.
        (self.is_ascii || !folded.is_ascii()) && self.finder.find(folded.as_bytes()).is_some()
    }

    /// Whether it is in any text.
    pub(super) fn is_empty(&self) -> bool {
        self.finder.needle().is_empty()
    }
}

/// Appends a text without its case. Of the two ways to end a line the shorter one stays.
pub(super) fn fold(text: &str, out: &mut String) {
    let text = if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) };
    if text.is_ascii() {
        let start = out.len();
        out.push_str(&text);
        out[start..].make_ascii_uppercase();
        return;
    }
    out.reserve(text.len());
    for c in text.nfkd() {
        if c.is_ascii() {
            out.push(c.to_ascii_uppercase());
        } else {
            // Down first, for the capital ß is not the capital of the small one.
            out.push(one(one(c, char::to_lowercase), char::to_uppercase));
        }
    }
}

/// What a character becomes, unless that is several.
fn one<C: ExactSizeIterator<Item = char>>(c: char, to: impl Fn(char) -> C) -> char {
    let mut to = to(c);
    match (to.next(), to.next()) {
        (Some(to), None) => to,
        _ => c,
    }
}

/// The same for a field of a header, with one space for each run of blanks.
pub(super) fn fold_field(text: &str, out: &mut String) {
    if !text.contains('\t') && !text.contains("  ") {
        return fold(text, out);
    }
    let mut one = String::with_capacity(text.len());
    for c in text.chars() {
        let blank = matches!(c, ' ' | '\t');
        if !blank {
            one.push(c);
        } else if !one.ends_with(' ') {
            one.push(' ');
        }
    }
    fold(&one, out);
}

/// The same for a list of addresses, as `list` prints it and, where that is not the same, as IMAP's envelope has it.
pub(super) fn fold_people(list: &str, out: &mut String) {
    fold_field(list, out);
    if let Some(bare) = without_comments(list) {
        out.push('\n');
        fold_field(&bare, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(needle: &str, text: &str) -> bool {
        let mut folded = String::new();
        fold_field(text, &mut folded);
        Needle::in_field(needle).is_in(&folded)
    }

    #[test]
    fn case_and_composition_do_not_count() {
        for (needle, text) in [
            ("hello", "Say HELLO"),
            ("grüße", "GRÜẞE aus"),
            ("GRÜẞE", "Viele Grüße"),
            ("gru\u{308}n", "Grün"),
            ("grün", "GRU\u{308}N"),
            ("gru", "Grü"),
            ("привет", "ПРИВЕТ!"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("office", "o\u{fb03}ce"),
            ("abc", "ＡＢＣ"),
            ("i\u{307}stanbul", "İSTANBUL"),
            ("isik", "ısık"),
            ("한", "한국"),
            ("a b", "A \t B"),
            ("a  b", "a b"),
            ("", ""),
        ] {
            assert!(finds(needle, text), "{needle} in {text}");
        }
        for (needle, text) in [
            ("strasse", "STRAẞE"),
            ("ß", "ss"),
            ("grus", "Grüs"),
            ("jurgen", "Jürgen"),
            ("a", "b"),
            ("ü", "u"),
            ("x", ""),
        ] {
            assert!(!finds(needle, text), "{needle} in {text}");
        }
    }
}
