//! Text for scripts: one record a line, whatever a mail contains.

use std::io::{self, Write};

use jiff::fmt::temporal::DateTimePrinter;

use crate::cli::terminal;

/// Writes a field: `-` for an empty one, and `\x2d` for one that is just that; otherwise [`escaped`].
pub fn field(out: &mut impl Write, text: &str) -> io::Result<()> {
    match text {
        "" => out.write_all(b"-"),
        "-" => out.write_all(b"\\x2d"),
        text => escaped(out, text),
    }
}

/// Writes text with backslash, tab, newline and other control characters as `\\`, `\t`, `\n`, `\r`, `\xNN` and `\u{NN}`,
/// so that it never ends a field early and can be read back.
pub fn escaped(out: &mut impl Write, text: &str) -> io::Result<()> {
    // Nearly no text has anything to escape. C1 control characters begin with 0xC2 in UTF-8.
    if !text.bytes().any(|b| b < b' ' || matches!(b, b'\\' | 0x7f | 0xc2)) {
        return out.write_all(text.as_bytes());
    }
    escaped_where(out, text, |c| c.is_control() || c == '\\')
}

/// The same for a terminal, where other characters do harm, too.
pub fn escaped_for_terminal(out: &mut impl Write, text: &str) -> io::Result<()> {
    escaped_where(out, text, |c| terminal::is_unsafe(c) || c == '\\')
}

fn escaped_where(out: &mut impl Write, text: &str, is_special: impl Fn(char) -> bool) -> io::Result<()> {
    let mut rest = text;
    while let Some(at) = rest.find(&is_special) {
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

/// As [`field`] for a file name or path, whose other bytes stay as they are, UTF-8 or not; but on a terminal.
pub fn bytes(out: &mut impl Write, bytes: &[u8], is_terminal: bool) -> io::Result<()> {
    if bytes.is_empty() {
        return out.write_all(b"-");
    }
    bytes.utf8_chunks().try_for_each(|chunk| {
        if is_terminal {
            escaped_for_terminal(out, chunk.valid())?;
            chunk.invalid().iter().try_for_each(|byte| write!(out, "\\x{byte:02x}"))
        } else {
            escaped(out, chunk.valid())?;
            out.write_all(chunk.invalid())
        }
    })
}

/// Adds a number.
pub fn number(line: &mut Vec<u8>, number: impl itoa::Integer) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Adds a time as RFC 3339 has it, in UTC; `false` if it is beyond the year 9999.
pub fn time(line: &mut Vec<u8>, seconds: i64) -> bool {
    const PRINTER: DateTimePrinter = DateTimePrinter::new();
    jiff::Timestamp::from_second(seconds).is_ok_and(|time| PRINTER.print_timestamp(&time, line).is_ok())
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
            ("\u{202e}", "\u{202e}"),
        ] {
            let mut out = Vec::new();
            field(&mut out, text).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn a_name_keeps_its_bytes_but_on_a_terminal() {
        for (name, script, person) in [
            (&b"a\xff-\xffb\n"[..], &b"a\xff-\xffb\\n"[..], "a\\xff-\\xffb\\n"),
            ("\u{202e}\u{9b}".as_bytes(), "\u{202e}\\u{9b}".as_bytes(), "\\u{202e}\\u{9b}"),
            (b"", b"-", "-"),
        ] {
            let written = |is_terminal| {
                let mut out = Vec::new();
                bytes(&mut out, name, is_terminal).unwrap();
                out
            };
            assert_eq!(written(false), script);
            assert_eq!(written(true), person.as_bytes());
        }
    }
}
