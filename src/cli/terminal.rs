//! Text for people: nothing that a mail says may move the cursor, change colours or turn the reading direction.

use std::borrow::Cow;
use std::os::fd::AsFd;

use clap::ValueEnum;
use unicode_width::UnicodeWidthChar;

/// Columns where the terminal does not say.
const DEFAULT_WIDTH: usize = 80;

/// When to write for a person who looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Also in a pipe, with columns as on a terminal: for less -R
    Always,
    /// Not at all
    Never,
}

impl Color {
    /// Whether to use colours, on a terminal or elsewhere.
    pub fn is_wanted(self, is_terminal: bool) -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match self {
            Color::Auto => is_terminal && !is_set("NO_COLOR") && !is_dumb(),
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// Columns of a terminal; `None` if it is none, or does not know.
pub fn width(fd: &impl AsFd) -> Option<usize> {
    rustix::termios::tcgetwinsize(fd).ok().map(|size| size.ws_col.into()).filter(|&width| width > 0)
}

/// The same of whatever stands in for it.
pub fn width_or_default(fd: &impl AsFd) -> usize {
    width(fd).or_else(|| width(&std::io::stderr())).unwrap_or(DEFAULT_WIDTH)
}

/// Whether lines and boxes can be drawn: as the locale says, which is what other programs go by.
pub fn draws_boxes() -> bool {
    let value = |name: &&str| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(value).unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Whether a character would do something to the terminal, or to the order of what is on the line.
pub fn is_unsafe(c: char) -> bool {
    // char::is_control covers C0, DEL and C1; the rest are line separators and the bidi marks, embeddings and isolates.
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with such characters escaped as in Rust.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    Cow::Owned(safe)
}

/// At which side text stands in its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Filled behind.
    Left,
    /// Filled before.
    Right,
    /// Filled at both sides.
    Center,
}

/// Columns that text gets: filled with blanks up to `least`, cut with an ellipsis beyond `most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// No fewer.
    pub least: usize,
    /// No more.
    pub most: usize,
    /// Where the blanks are.
    pub align: Align,
}

impl Columns {
    /// Exactly so many.
    pub fn exactly(width: usize) -> Columns {
        Columns { least: width, most: width, align: Align::Left }
    }

    /// Adds text to a line. What is unsafe in it must have been escaped before.
    pub fn add(self, line: &mut String, text: &str) {
        let (shown, mut used) = beginning(text, self.most);
        let is_cut = shown.len() < text.len();
        used += usize::from(is_cut && self.most > 0);
        let blanks = self.least.saturating_sub(used);
        let before = match self.align {
            Align::Left => 0,
            Align::Right => blanks,
            Align::Center => blanks / 2,
        };
        line.extend(std::iter::repeat_n(' ', before));
        line.push_str(shown);
        if is_cut && self.most > 0 {
            line.push('…');
        }
        line.extend(std::iter::repeat_n(' ', blanks - before));
    }
}

/// What of the text fits into so many columns, and how many that takes; if that is not all, with one to spare. A mark that
/// combines with the character before it takes none, and stays with it.
fn beginning(text: &str, most: usize) -> (&str, usize) {
    let (mut used, mut end, mut end_used) = (0, 0, 0);
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > most {
            return (&text[..end], end_used);
        }
        if used < most {
            (end, end_used) = (at + c.len_utf8(), used);
        }
    }
    (text, used)
}

/// The text in exactly `width` columns: escaped, and cut with an ellipsis, or filled with blanks.
pub fn fit(text: &str, width: usize) -> String {
    let mut fitted = String::with_capacity(width);
    Columns::exactly(width).add(&mut fitted, &escaped(text));
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_raw() {
        assert_eq!(escaped("a\u{1b}[31mb\u{9b}c\u{202e}d\n"), "a\\u{1b}[31mb\\u{9b}c\\u{202e}d\\n");
        assert!(matches!(escaped("Grüße 会議"), Cow::Borrowed(_)));
    }

    #[test]
    fn columns_are_exact_for_wide_characters() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdef", 5), "abcd…");
        assert_eq!(fit("abcde", 5), "abcde");
        assert_eq!(fit("会議会議", 5), "会議…");
        assert_eq!(fit("会議会議", 8), "会議会議");
        assert_eq!(fit("会議会議", 6), "会議… ");
        assert_eq!(fit("会議", 1), "…");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(fit("", 2), "  ");
    }

    #[test]
    fn marks_stay_with_what_they_combine_with() {
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}", 3), "e\u{301}e\u{301}e\u{301}");
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}", 4), "e\u{301}e\u{301}e\u{301} ");
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(fit("\u{301}\u{301}ab", 1), "\u{301}\u{301}…");
    }

    #[test]
    fn text_stands_at_the_side_that_was_asked_for() {
        let add = |align, least, most| {
            let mut line = String::new();
            Columns { least, most, align }.add(&mut line, "会議x");
            line
        };
        assert_eq!(add(Align::Right, 7, 7), "  会議x");
        assert_eq!(add(Align::Center, 8, 8), " 会議x  ");
        assert_eq!(add(Align::Right, 4, 4), " 会…");
        assert_eq!(add(Align::Left, 0, 4), "会…");
        assert_eq!(add(Align::Left, 7, usize::MAX), "会議x  ");
    }

    /// Each character is looked at once.
    #[test]
    fn marks_without_end_cost_their_length() {
        let text = format!("ab{}", "\u{301}".repeat(1 << 20));
        assert_eq!(fit(&text, 2), text);
    }
}
