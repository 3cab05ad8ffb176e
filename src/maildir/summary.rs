//! What the index keeps of a mail's header: date, subject, people and ids, as readable UTF-8.
//!
//! A header is hostile text: nothing here fails, panics, or takes more than linear time. What cannot be decoded is kept
//! as it was written, bytes that are no UTF-8 become U+FFFD, control characters stay (whoever prints them escapes them).
//!
//! One scan over the line ends picks the wanted fields, the first of each name; only their values are looked at again,
//! and only encoded words (RFC 2047, with the language suffix of RFC 2231) and dates go through `mail_parser`. Parsing
//! all fields costs several times as much, most of it for `Received:` lines that nobody asks for.
//!
//! Lines end in LF, CRLF or CR, mixed as they like; any CRs before a LF belong to it, since the doubled CRs of careless
//! converters must not look like blank lines. A first line that is blank ends the header, as every reader takes it.
//! Lines that are no fields (mbox `From `, `>From `, garbage) are skipped up to the blank line.

mod addresses;
mod date;
mod values;
mod words;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr2_iter, memmem, memrchr};

use addresses::addresses;
pub use addresses::without_comments;
pub use date::Sent;
use date::sent;
pub use values::{PEOPLE, date_of, text_of, value_of, values_of};
use words::{decode, utf8};

/// Bytes of UTF-8 that a field may keep.
pub const FIELD_MAX: usize = 4096;

/// Bytes ever read of one mail's header; what stands behind them counts as not there.
pub const HEADER_MAX: usize = 256 * 1024;

/// A set of the text fields of a [`Summary`], one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields(pub u8);

impl Fields {
    /// `Subject:`
    pub const SUBJECT: Self = Self(1 << 0);
    /// `From:`
    pub const FROM: Self = Self(1 << 1);
    /// `To:`
    pub const TO: Self = Self(1 << 2);
    /// `Cc:`
    pub const CC: Self = Self(1 << 3);
    /// `Message-ID:`
    pub const MESSAGE_ID: Self = Self(1 << 4);
    /// `In-Reply-To:`
    pub const IN_REPLY_TO: Self = Self(1 << 5);
    /// `References:`
    pub const REFERENCES: Self = Self(1 << 6);

    /// All of them.
    pub const ALL: Self = Self(0x7f);

    /// Names by bit number, spelled as the JSON keys.
    pub const NAMES: [&'static str; 7] = ["subject", "from", "to", "cc", "message_id", "in_reply_to", "references"];

    /// Whether no field is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all fields of `other` are in the set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Names of the fields in the set, by bit number.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..).zip(Self::NAMES).filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name)
    }
}

impl std::ops::BitOrAssign for Fields {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What the index keeps of a mail's header. A missing field is an empty string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// `Date:` in Unix seconds; `None` where it is missing or cannot be read.
    pub date: Option<i64>,
    /// `Subject:`, decoded and unfolded.
    pub subject: String,
    /// `From:` as text: names decoded, quoted only where they must be; a lone address without brackets.
    pub from: String,
    /// `To:`, like `from`.
    pub to: String,
    /// `Cc:`, like `from`.
    pub cc: String,
    /// The id of `Message-ID:` with its brackets, without blanks inside; the text as it stands if it holds no id.
    pub message_id: String,
    /// The ids of `In-Reply-To:`, one space between them; the text as it stands if it holds no id.
    pub in_reply_to: String,
    /// The ids of `References:`, like `in_reply_to`, oldest first.
    pub references: String,
    /// Of which fields this is a part only: cut to [`FIELD_MAX`] bytes, `references` at its front, the others at their
    /// end; or the first of several, which mail should not have.
    pub cut: Fields,
    /// CRC32C over the header with its blank line, or over all bytes given if it does not end in them.
    pub header_crc: u32,
}

impl Summary {
    /// Reads the header at the start of `bytes`; what follows its blank line or [`HEADER_MAX`] is not looked at.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(HEADER_MAX)];
        let (found, header_len, mut cut) = scan(bytes);
        let [subject, from, to, cc, message_id, in_reply_to, references, date] = found.map(unfold);
        let mut references = ids(&references);
        if cut_front(&mut references) {
            cut |= Fields::REFERENCES;
        }
        let mut keep = |mut text: String, field: Fields| {
            if text.len() > FIELD_MAX {
                text.truncate(text.floor_char_boundary(FIELD_MAX));
                cut |= field;
            }
            text
        };
        Self {
            date: sent(&date).map(|date| date.unix),
            subject: keep(decode(&subject), Fields::SUBJECT),
            from: keep(addresses(&from), Fields::FROM),
            to: keep(addresses(&to), Fields::TO),
            cc: keep(addresses(&cc), Fields::CC),
            message_id: keep(ids(&message_id), Fields::MESSAGE_ID),
            in_reply_to: keep(ids(&in_reply_to), Fields::IN_REPLY_TO),
            references: keep(references, Fields::REFERENCES),
            cut,
            header_crc: crc32c::crc32c(&bytes[..header_len]),
        }
    }
}

/// Length of the header at the start of `bytes`, its blank line included; `None` if that line is not in there.
///
/// `from`: how many bytes an earlier call has searched without success (0 at first), so that reading on costs only what
/// was added. The answer does not depend on how the bytes came in.
#[must_use]
pub fn header_len(bytes: &[u8], from: usize) -> Option<usize> {
    // Most mail on disk has no CR: then one pass at the speed of memory settles it.
    let searched = from.saturating_sub(1).min(bytes.len());
    let blank = memmem::find(&bytes[searched..], b"\n\n").map(|at| searched + at + 2);
    if memchr(b'\r', &bytes[..blank.unwrap_or(bytes.len())]).is_none() && bytes.first() != Some(&b'\n') {
        return blank;
    }
    let mut at = from.min(bytes.len());
    // `from` may stand within or behind a line end: go back to the text before it, which makes its line not blank.
    while at > 0 && is_line_end(bytes[at - 1]) {
        at -= 1;
    }
    if at > 0 {
        at = line_end(bytes, at).1;
    }
    loop {
        let (text_end, next) = line_end(bytes, at);
        if next == at {
            return None;
        }
        if text_end == at {
            // A CR that ends the bytes may have its LF in the next piece.
            let cut_in_two = next == bytes.len() && bytes[next - 1] == b'\r';
            return (!cut_in_two).then_some(next);
        }
        at = next;
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Where the text of the line at `at` ends, and where the next line begins (the same if no line end follows).
pub fn line_end(bytes: &[u8], at: usize) -> (usize, usize) {
    let Some(len) = memchr2(b'\r', b'\n', &bytes[at..]) else {
        return (bytes.len(), bytes.len());
    };
    let text_end = at + len;
    let crs = bytes[text_end..].iter().take_while(|&&byte| byte == b'\r').count();
    let next = match bytes.get(text_end + crs) {
        Some(b'\n') => text_end + crs + 1,
        Some(_) => text_end + 1, // CR alone; a second one is a blank line, so the run is not walked again
        None => bytes.len(),
    };
    (text_end, next)
}

/// Names of the wanted fields; the first seven by the bit numbers of [`Fields`].
const WANTED: [&[u8]; 8] = [b"subject", b"from", b"to", b"cc", b"message-id", b"in-reply-to", b"references", b"date"];

/// UTF-8's byte order mark, which editors put before the first field.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The raw values of the wanted fields, folds included, empty where missing; the length of the header; and which of the
/// fields stand there more than once.
fn scan(bytes: &[u8]) -> ([&[u8]; 8], usize, Fields) {
    let mut again = Fields::default();
    let mut found: [Option<&[u8]>; 8] = [None; 8];
    // The field that a continuation line would belong to: its number and where its value begins.
    let mut open: Option<(usize, usize)> = None;
    let mut at = 0;
    // Most mail on disk has no CR; one byte is found faster than the first of two.
    let has_cr = memchr(b'\r', bytes).is_some();
    while at < bytes.len() {
        let (text_end, next) = if has_cr {
            line_end(bytes, at)
        } else {
            memchr(b'\n', &bytes[at..]).map_or((bytes.len(), bytes.len()), |len| (at + len, at + len + 1))
        };
        if text_end == at {
            at = next;
            break;
        }
        if !is_blank(bytes[at]) {
            let name_at = if at == 0 && bytes.starts_with(BOM) { BOM.len() } else { at };
            open = wanted(&bytes[name_at..text_end]).map(|(number, value_at)| (number, name_at + value_at));
            if let Some((number, _)) = open.filter(|&(number, _)| found[number].is_some()) {
                again |= Fields(1 << number & Fields::ALL.0);
                open = None;
            }
        }
        if let Some((number, value_at)) = open {
            found[number] = Some(&bytes[value_at..text_end]);
        }
        at = next;
    }
    (found.map(Option::unwrap_or_default), at, again)
}

/// The number of the wanted field that `line` begins, and where in the line its value begins.
fn wanted(line: &[u8]) -> Option<(usize, usize)> {
    let number = match line.first()?.to_ascii_lowercase() {
        b's' => 0,
        b'f' => 1,
        b't' => 2,
        b'c' => 3,
        b'm' => 4,
        b'i' => 5,
        b'r' => 6,
        b'd' => 7,
        _ => return None,
    };
    let name = WANTED[number];
    // Some mailers write `Subject :`, which RFC 5322 4.5 still allows.
    let rest = line.get(name.len()..)?;
    let blanks = rest.iter().take_while(|&&byte| is_blank(byte)).count();
    let value_at = name.len() + blanks + 1;
    (rest.get(blanks) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name)).then_some((number, value_at))
}

/// The value without the line ends of its folds, whose white space stays, and without blanks around it.
fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut line = Vec::with_capacity(value.len());
    let mut at = 0;
    for end in memchr2_iter(b'\r', b'\n', value) {
        line.extend_from_slice(&value[at..end]);
        at = end + 1;
    }
    line.extend_from_slice(&value[at..]);
    Cow::Owned(line)
}

/// The message ids in a line, `<` and `>` included, one space between them; if there are none, the line as it stands.
///
/// What stands between the ids (`Your message of Monday`) goes, and so do blanks inside of them: long ids get folded.
fn ids(line: &[u8]) -> String {
    let mut ids = Vec::new();
    let mut rest = line;
    while let Some(close) = memchr(b'>', rest) {
        // The last `<` before it: an id that was never closed is no id.
        if let Some(open) = memrchr(b'<', &rest[..close]) {
            if !ids.is_empty() {
                ids.push(b' ');
            }
            for part in rest[open..=close].split(|&byte| is_blank(byte)) {
                ids.extend_from_slice(part);
            }
        }
        rest = &rest[close + 1..];
    }
    utf8(if ids.is_empty() { line } else { &ids }).into_owned()
}

/// Cuts a list of ids to [`FIELD_MAX`] bytes by dropping whole ids at its front: a thread hangs on the nearest parent,
/// which is the last. Tells whether it did; a last id that alone is longer stays.
fn cut_front(ids: &mut String) -> bool {
    if ids.len() <= FIELD_MAX {
        return false;
    }
    // An id that fits as a whole begins here or behind.
    let from = ids.len() - FIELD_MAX;
    let space = memchr(b' ', &ids.as_bytes()[from - 1..]).map(|at| from - 1 + at);
    let space = space.or_else(|| memrchr(b' ', ids.as_bytes()));
    if let Some(space) = space {
        ids.drain(..=space);
    }
    space.is_some()
}
