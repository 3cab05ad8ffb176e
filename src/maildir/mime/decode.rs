//! From the bytes of a part to its text. What cannot be decoded is passed over, and costs no more than itself.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;

use crate::maildir::summary::value_of;

/// How the bytes of a part are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As they are; so is an encoding that nobody knows.
    None,
    Base64,
    QuotedPrintable,
}

impl Encoding {
    pub(super) fn of(header: &[u8]) -> Encoding {
        let value = value_of(header, b"content-transfer-encoding").unwrap_or_default();
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        let len = value.iter().position(|byte| !is_token(byte)).unwrap_or(value.len());
        match value[..len].to_ascii_lowercase().as_slice() {
            b"base64" => Encoding::Base64,
            b"quoted-printable" => Encoding::QuotedPrintable,
            _ => Encoding::None,
        }
    }

    pub(super) fn decode(self, bytes: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Encoding::None => Cow::Borrowed(bytes),
            Encoding::Base64 => Cow::Owned(base64(bytes)),
            Encoding::QuotedPrintable => Cow::Owned(quoted_printable(bytes)),
        }
    }
}

/// Padding may stand anywhere: mails are put together from pieces that were encoded one by one.
fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0_u32, 0);
    for &byte in bytes {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

/// A `=` that begins nothing is a `=`.
fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'=', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
        if let (Some(high), Some(low)) = (digit(0), digit(1)) {
            out.push((high << 4 | low) as u8);
            rest = &rest[2..];
        } else if let Some(len) = soft_break(rest) {
            rest = &rest[len..];
        } else {
            out.push(b'=');
        }
    }
    out.extend_from_slice(rest);
    out
}

/// The length of a line end at the start of `bytes`, with blanks that a server has put before it.
fn soft_break(bytes: &[u8]) -> Option<usize> {
    let blanks = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match &bytes[blanks..] {
        [b'\r', b'\n', ..] => Some(blanks + 2),
        [b'\r' | b'\n', ..] => Some(blanks + 1),
        [] => Some(blanks),
        _ => None,
    }
}

/// How the bytes of a text are to be read; by default as UTF-8, as nearly all mail is that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Charset {
    decoder: Option<fn(&[u8]) -> String>,
    /// It has no letters but those of ASCII, and says nothing of others.
    is_ascii: bool,
}

impl Charset {
    /// By its name.
    pub(super) fn named(name: &str) -> Charset {
        let is_ascii = ["us-ascii", "ascii", "ansi_x3.4-1968"].iter().any(|ascii| name.eq_ignore_ascii_case(ascii));
        Charset { decoder: charset_decoder(name.as_bytes()), is_ascii }
    }

    pub(super) fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match (self.decoder, str::from_utf8(bytes)) {
            (Some(decoder), Err(_)) => Cow::Owned(decoder(bytes)),
            (Some(decoder), Ok(_)) if !self.is_ascii => Cow::Owned(decoder(bytes)),
            (_, Ok(text)) => Cow::Borrowed(text),
            (None, Err(_)) => String::from_utf8_lossy(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flaws_cost_no_more_than_themselves() {
        for (encoded, bytes) in [
            ("aGVsbG8=", "hello"),
            ("aGVs\r\nbG8=", "hello"),
            ("aGVsbG8", "hello"),
            ("aGVs*bG8", "hello"),
            ("aGVsbG8=IHlvdQ==", "hello you"),
            ("aGVsbG8=\n\nA", "hello"),
            ("", ""),
        ] {
            assert_eq!(base64(encoded.as_bytes()), bytes.as_bytes(), "{encoded}");
        }
        for (encoded, bytes) in
            [("a=3Db=3d", "a=b="), ("a=\r\nb=\nc= \t\nd=\re=", "abcde"), ("a=b =zz ==3D =4", "a=b =zz == =4"), ("", "")]
        {
            assert_eq!(quoted_printable(encoded.as_bytes()), bytes.as_bytes(), "{encoded}");
        }
    }

    #[test]
    fn ascii_with_other_letters_is_utf8_if_it_can_be() {
        for (name, bytes, text) in [
            ("us-ascii", &b"gr\xc3\xbcn"[..], "grün"),
            ("us-ascii", b"gr\xfcn", "grün"),
            ("iso-8859-1", b"gr\xfcn", "grün"),
            ("iso-8859-1", b"\xc3\xbc", "Ã¼"),
            ("utf-8", b"gr\xc3\xbcn", "grün"),
            ("x-nobody-knows", b"gr\xc3\xbcn \xfc", "grün \u{fffd}"),
            ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B", "日本"),
        ] {
            assert_eq!(Charset::named(name).decode(bytes), text, "{name} {bytes:?}");
        }
    }

    #[test]
    fn an_encoding_is_known_by_its_name() {
        for (header, encoding) in [
            ("Content-Transfer-Encoding: BASE64\n\n", Encoding::Base64),
            ("content-transfer-encoding :\n Quoted-Printable (really)\n\n", Encoding::QuotedPrintable),
            ("Content-Transfer-Encoding: base64x\n\n", Encoding::None),
            ("Content-Transfer-Encoding: 8bit\n\n", Encoding::None),
            ("Subject: base64\n\n", Encoding::None),
        ] {
            assert_eq!(Encoding::of(header.as_bytes()), encoding, "{header}");
        }
    }
}
