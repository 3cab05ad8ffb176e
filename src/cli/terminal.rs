//! Text for people: nothing that a mail says may move the cursor, change colours or turn the reading direction.

use std::borrow::Cow;
use std::os::fd::AsFd;

use unicode_width::UnicodeWidthChar;

/// Columns where the terminal does not say.
const DEFAULT_WIDTH: usize = 80;

/// Columns of a terminal.
pub fn width(fd: &impl AsFd) -> usize {
    match rustix::termios::tcgetwinsize(fd) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => DEFAULT_WIDTH,
    }
}

/// Whether a character would do something to the terminal, or to the order of what is on the line.
fn is_unsafe(c: char) -> bool {
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

/// The text in exactly `width` columns: cut with an ellipsis, or filled with spaces.
pub fn fit(text: &str, width: usize) -> String {
    let text = escaped(text);
    let mut fitted = String::with_capacity(width);
    let mut used = 0;
    for (at, c) in text.char_indices() {
        let wide = c.width().unwrap_or(0);
        let rest_fits = || used + text[at..].chars().map(|c| c.width().unwrap_or(0)).sum::<usize>() <= width;
        if used + wide >= width && !rest_fits() {
            fitted.push('…');
            used += 1;
            break;
        }
        fitted.push(c);
        used += wide;
    }
    fitted.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
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
    }
}
