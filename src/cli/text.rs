//! Text for scripts: tab-separated fields, one record a line, whatever a mail contains.

use std::io::{self, Write};

/// Writes a field: `-` for an empty one, and `\\x2d` for one that is just that; backslash, tab, newline and other control characters escaped as `\\`, `\t`,
/// `\n`, `\r` and `\xNN`, so that a field never ends early and can be read back.
pub fn field(out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return out.write_all(b"-");
    }
    if text == "-" {
        return out.write_all(b"\\x2d");
    }
    // Nearly no text has anything to escape. C1 control characters begin with 0xC2 in UTF-8.
    if !text.bytes().any(|b| b < b' ' || matches!(b, b'\\' | 0x7f | 0xc2)) {
        return out.write_all(text.as_bytes());
    }
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() || c == '\\') {
        out.write_all(&rest.as_bytes()[..at])?;
        let c = rest[at..].chars().next().expect("found just there");
        match c {
            '\\' => out.write_all(b"\\\\")?,
            '\t' => out.write_all(b"\\t")?,
            '\n' => out.write_all(b"\\n")?,
            '\r' => out.write_all(b"\\r")?,
            c if c.is_ascii() => write!(out, "\\x{:02x}", c as u32)?,
            c => write!(out, "\\u{{{:x}}}", c as u32)?,
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.write_all(rest.as_bytes())
}

/// The same for a file name or path, whose other bytes stay as they are, UTF-8 or not.
pub fn bytes(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    bytes.utf8_chunks().try_for_each(|chunk| {
        if !chunk.valid().is_empty() {
            field(out, chunk.valid())?;
        }
        out.write_all(chunk.invalid())
    })
}

/// `1 message`, `2 messages`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_never_ends_early() {
        for (text, expected) in [
            ("", "-"),
            ("-", "\\x2d"),
            ("a-", "a-"),
            ("plain Grüße", "plain Grüße"),
            ("a\tb\nc\rd\\e", "a\\tb\\nc\\rd\\\\e"),
            ("\u{1b}[0m\u{85}\u{c2}\u{7f}", "\\x1b[0m\\u{85}\u{c2}\\x7f"),
        ] {
            let mut out = Vec::new();
            field(&mut out, text).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
