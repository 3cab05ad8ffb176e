//! Our own list, a back-up that survives whatever names a folder has. This is the specification.
//!
//! ```text
//! maildex-uids 1 <TAB> uidvalidity 1275660208 <TAB> uidnext 25022 <TAB> messages 2
//! 25006 <TAB> 1276528487.M364837P9451.kurkku,S=1355
//! 25017 <TAB> odd\x20na\xefve
//! ```
//!
//! (Without the blanks around tabs.) The first line has the version of the format, UIDVALIDITY, UIDNEXT, and how many
//! lines follow, so that a list that was cut shows. Then UID and base name, in UID order. In a name every byte but the
//! printable ones of ASCII is written as `\xNN`, a backslash as `\\`: it can be mailed, edited and sorted.

use std::borrow::Cow;
use std::io::{self, Write};

use super::dovecot::split;
use super::{Bad, Header, LINES_MAX, Line, number, uid, uid_next, uid_validity};
use crate::format::Uid;

pub(super) fn header(line: &[u8]) -> Result<Header<'_>, Bad> {
    let expected = || Bad::new(line, "maildex-uids 1, uidvalidity, uidnext and messages, separated by tabs");
    let fields: Vec<(&[u8], &[u8])> =
        line.split(|&b| b == b'\t').map(|field| split(field, b' ').ok_or_else(expected)).collect::<Result<_, _>>()?;
    match fields[..] {
        [(b"maildex-uids", b"1"), (b"uidvalidity", validity), (b"uidnext", next), (b"messages", messages)] => {
            let lines = number(messages).filter(|&lines| lines <= LINES_MAX as u64).ok_or_else(expected)? as usize;
            let (uid_validity, uid_next) = (uid_validity(validity)?, uid_next(next)?);
            Ok(Header { uid_validity, uid_next, fields: b"", lines: Some(lines), lags: false })
        }
        [(b"maildex-uids", version), ..] if version != b"1" => Err(Bad::new(version, "version 1 of this format")),
        _ => Err(expected()),
    }
}

pub(super) fn line(line: &[u8]) -> Result<Line<'_>, Bad> {
    let (number, name) = split(line, b'\t').ok_or_else(|| Bad::new(line, "a UID, a tab, and a base name"))?;
    let base = unescaped(name).ok_or_else(|| Bad::new(name, "a base name in which `\\` stands before `\\` or xNN"))?;
    if base.contains(&b':') {
        return Err(Bad::new(name, "a base name: what stands before the `:`"));
    }
    Ok(Line { uid: uid(number)?, base, fields: b"" })
}

pub(super) fn write_header(out: &mut dyn Write, uid_validity: u32, uid_next: u64, lines: usize) -> io::Result<()> {
    writeln!(out, "maildex-uids 1\tuidvalidity {uid_validity}\tuidnext {uid_next}\tmessages {lines}")
}

pub(super) fn write_line(out: &mut dyn Write, uid: Uid, base: &[u8]) -> io::Result<()> {
    write!(out, "{uid}\t")?;
    write_escaped(out, base)?;
    out.write_all(b"\n")
}

/// Writes a name as printable ASCII.
pub(crate) fn write_escaped(out: &mut dyn Write, name: &[u8]) -> io::Result<()> {
    for stretch in name.chunk_by(|a, b| is_plain(*a) && is_plain(*b)) {
        match stretch {
            [b'\\'] => out.write_all(b"\\\\")?,
            [byte] if !is_plain(*byte) => write!(out, "\\x{byte:02x}")?,
            plain => out.write_all(plain)?,
        }
    }
    Ok(())
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'\\'
}

/// The name that was written so.
pub(crate) fn unescaped(name: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !name.contains(&b'\\') {
        return Some(Cow::Borrowed(name));
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = split(rest, b'\\') {
        plain.extend_from_slice(before);
        rest = match after {
            [b'\\', rest @ ..] => {
                plain.push(b'\\');
                rest
            }
            [b'x', high, low, rest @ ..] => {
                let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
                plain.push(digit(*high)? << 4 | digit(*low)?);
                rest
            }
            _ => return None,
        };
    }
    plain.extend_from_slice(rest);
    Some(Cow::Owned(plain))
}
