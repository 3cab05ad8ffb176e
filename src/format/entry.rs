//! An entry of the index file: what is known of a mail and never changes. This table is the specification.
//!
//! Integers are little-endian, offsets and sizes in bytes. Entries begin at multiples of 8.
//!
//! | offset | size | field       | meaning                                                                           |
//! |-------:|-----:|-------------|-----------------------------------------------------------------------------------|
//! |      0 |    8 | marker      | random for each index file, with bytes that neither UTF-8 nor a file name can hold |
//! |      8 |    2 | len         | length of the entry, a multiple of 8                                              |
//! |     10 |    2 | bits        | 0-6: text fields that were cut, in their order below; 7: header never read; 8: no mail, only raises UIDNEXT; 9: `in_reply_to` is the last id of references and not stored; 10: `was_uid` is there |
//! |     12 |    4 | crc         | CRC32C of index id, offset of the entry, `len`, `bits`, and all that follows     |
//! |     16 |    4 | uid         | UID                                                                               |
//! |     20 |    4 | `header_crc`  | CRC32C of the header bytes that were read                                         |
//! |     24 |    8 | added       | change number that brought the mail, or its contents                              |
//! |     32 |    8 | `received_ns` | mtime of the file, nanoseconds since 1970                                         |
//! |     40 |    8 | date        | `Date:` in seconds since 1970, the least number if there is none                  |
//! |     48 |    8 | size        | size of the file                                                                  |
//! |     56 |   16 | lens        | lengths, u16 each, of the eight strings                                           |
//! |     72 |      | strings     | base name (raw bytes), subject, from, to, cc, `message_id`, `in_reply_to`, references (UTF-8) |
//! |        |    4 | `was_uid`   | if bit 10 is set: the UID of the mail whose contents this one replaces; then zeros up to `len` |
//!
//! The CRC holds the index id and the entry's own place, so that nothing that a mail contains can pass for an entry.

use std::mem::{offset_of, size_of};

use crate::format::Uid;
use crate::format::field::{Field, Form, are_whole};
use crate::format::header::{HEADER_LEN, IndexId};
use crate::maildir::summary::{FIELD_MAX, Fields, Summary};

/// The fixed part, as bytes.
#[repr(C)]
struct Head {
    marker: [u8; 8],
    len: [u8; 2],
    bits: [u8; 2],
    crc: [u8; 4],
    uid: [u8; 4],
    header_crc: [u8; 4],
    added: [u8; 8],
    received_ns: [u8; 8],
    date: [u8; 8],
    size: [u8; 8],
    lens: [[u8; 2]; STRINGS],
}

const STRINGS: usize = 8;
/// Place of `in_reply_to` among the strings.
const REPLY: usize = 6;
const HEAD_LEN: usize = 72;

const _: () = assert!(size_of::<Head>() == HEAD_LEN && offset_of!(Head, len) == 8 && offset_of!(Head, crc) == 12);
const _: () = assert!(offset_of!(Head, uid) == 16 && offset_of!(Head, header_crc) == 20);
const _: () = assert!(offset_of!(Head, added) == 24 && offset_of!(Head, received_ns) == 32);
const _: () = assert!(offset_of!(Head, date) == 40 && offset_of!(Head, size) == 48);
const _: () = assert!(offset_of!(Head, bits) == 10 && offset_of!(Head, lens) == 56);
const _: () = assert!(ENTRY_MAX <= u16::MAX as usize);

/// The fields of the fixed part, by name.
pub const HEAD: [Field; 11] = [
    Field::new("marker", offset_of!(Head, marker), 8, Form::Bytes),
    Field::new("len", offset_of!(Head, len), 2, Form::Unsigned),
    Field::new("bits", offset_of!(Head, bits), 2, Form::Bits),
    Field::new("crc", offset_of!(Head, crc), 4, Form::Hex),
    Field::new("uid", offset_of!(Head, uid), 4, Form::Unsigned),
    Field::new("header_crc", offset_of!(Head, header_crc), 4, Form::Hex),
    Field::new("added", offset_of!(Head, added), 8, Form::Unsigned),
    Field::new("received_ns", offset_of!(Head, received_ns), 8, Form::Signed),
    Field::new("date", offset_of!(Head, date), 8, Form::Signed),
    Field::new("size", offset_of!(Head, size), 8, Form::Unsigned),
    Field::new("lens", offset_of!(Head, lens), 2 * STRINGS, Form::Bytes),
];

const _: () = assert!(are_whole(&HEAD, 0, HEAD_LEN));

/// What the bits of an entry say.
pub fn bit_names(bits: u16) -> Vec<String> {
    let cut = Fields((bits & CUT_BITS) as u8);
    let others = [
        (UNREADABLE, "unreadable"),
        (PLACEHOLDER, "placeholder"),
        (REPLY_IS_LAST_REFERENCE, "reply_is_last_reference"),
        (HAS_WAS_UID, "has_was_uid"),
    ];
    let cut = cut.names().map(|name| format!("{name}_cut"));
    cut.chain(others.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| name.to_string())).collect()
}

/// What the strings behind the fixed part are, in their order.
pub const STRING_NAMES: [&str; STRINGS] =
    ["base", "subject", "from", "to", "cc", "message_id", "in_reply_to", "references"];

/// Where in an entry its strings stand, as the lengths in its head have it, whatever else is wrong with it; and how much
/// comes behind them. `None` if it is shorter than a head.
pub fn strings_of(entry: &[u8]) -> Option<[std::ops::Range<usize>; STRINGS]> {
    let lens = entry.get(offset_of!(Head, lens)..HEAD_LEN)?;
    let mut at = HEAD_LEN;
    Some(std::array::from_fn(|n| {
        let from = at;
        at += usize::from(u16::from_le_bytes([lens[2 * n], lens[2 * n + 1]]));
        from..at
    }))
}

/// Alignment of entries.
pub const ALIGN: u64 = 8;

/// The longest base name that is indexed; longer than any Linux file system allows.
pub const BASE_MAX: usize = 1024;

/// The shortest entry.
pub const ENTRY_MIN: usize = HEAD_LEN;

/// The longest entry.
pub const ENTRY_MAX: usize = (HEAD_LEN + BASE_MAX + (STRINGS - 1) * FIELD_MAX + 4).next_multiple_of(8);

const _: () = assert!(FIELD_MAX <= u16::MAX as usize);

const CUT_BITS: u16 = 0x7f;
const UNREADABLE: u16 = 1 << 7;
const PLACEHOLDER: u16 = 1 << 8;
const REPLY_IS_LAST_REFERENCE: u16 = 1 << 9;
const HAS_WAS_UID: u16 = 1 << 10;
const NO_DATE: i64 = i64::MIN;

/// What an entry keeps of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// UID of the mail.
    pub uid: Uid,
    /// Change number that brought the mail. A new name leaves it as it is; contents that can be read at last do not.
    pub added: u64,
    /// The mail's delivery: mtime of its file, nanoseconds since 1970.
    pub received_ns: i64,
    /// `Date:`, Unix seconds.
    pub date: Option<i64>,
    /// Size of the file in bytes.
    pub size: u64,
    /// CRC32C of the header bytes that were read.
    pub header_crc: u32,
    /// Text fields that were cut.
    pub cut: Fields,
    /// The header was never read: the mail could not be opened.
    pub unreadable: bool,
    /// No mail at all, only a number that must not be given out again.
    pub placeholder: bool,
    /// The UID of the mail whose contents this one replaces under another base name; such a mail cannot be known again by
    /// anything else.
    pub was_uid: Option<Uid>,
    /// Base name of the file.
    pub base: &'a [u8],
    /// `Subject:`, decoded.
    pub subject: &'a str,
    /// `From:`, decoded.
    pub from: &'a str,
    /// `To:`, decoded.
    pub to: &'a str,
    /// `Cc:`, decoded.
    pub cc: &'a str,
    /// `Message-ID:`.
    pub message_id: &'a str,
    /// `In-Reply-To:`.
    pub in_reply_to: &'a str,
    /// `References:`, the ids separated by one space.
    pub references: &'a str,
}

impl<'a> Entry<'a> {
    /// What is to be kept of a mail; UID and change number come with [`Seal::close`].
    pub fn new(base: &'a [u8], received_ns: i64, size: u64, summary: &'a Summary) -> Entry<'a> {
        Entry {
            uid: Uid::FIRST,
            added: 0,
            received_ns,
            date: summary.date,
            size,
            header_crc: summary.header_crc,
            cut: summary.cut,
            unreadable: false,
            placeholder: false,
            was_uid: None,
            base,
            subject: &summary.subject,
            from: &summary.from,
            to: &summary.to,
            cc: &summary.cc,
            message_id: &summary.message_id,
            in_reply_to: &summary.in_reply_to,
            references: &summary.references,
        }
    }

    /// An entry without a mail, to raise UIDNEXT.
    pub fn placeholder() -> Entry<'static> {
        Entry {
            uid: Uid::FIRST,
            added: 0,
            received_ns: 0,
            date: None,
            size: 0,
            header_crc: 0,
            cut: Fields::default(),
            unreadable: false,
            placeholder: true,
            was_uid: None,
            base: b"",
            subject: "",
            from: "",
            to: "",
            cc: "",
            message_id: "",
            in_reply_to: "",
            references: "",
        }
    }

    /// The same mail, of which only the base name is kept.
    #[must_use]
    pub fn without_text(&self) -> Entry<'a> {
        let Entry { cut, subject, from, to, cc, message_id, in_reply_to, references, .. } = Entry::placeholder();
        Entry { cut, subject, from, to, cc, message_id, in_reply_to, references, ..*self }
    }

    fn strings(&self) -> [&'a [u8]; STRINGS] {
        [
            self.base,
            self.subject.as_bytes(),
            self.from.as_bytes(),
            self.to.as_bytes(),
            self.cc.as_bytes(),
            self.message_id.as_bytes(),
            self.in_reply_to.as_bytes(),
            self.references.as_bytes(),
        ]
    }

    /// Appends the entry's bytes, with marker, CRC, UID and change number still open. Returns their length.
    pub fn write(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let mut strings = self.strings();
        // True of nearly every reply, and a sixteenth of all bytes.
        let reply_is_last = !self.in_reply_to.is_empty() && last_id(self.references) == self.in_reply_to;
        if reply_is_last {
            strings[REPLY] = b"";
        }
        out.resize(start + HEAD_LEN, 0);
        for string in strings {
            out.extend_from_slice(string);
        }
        if let Some(was_uid) = self.was_uid {
            out.extend_from_slice(&was_uid.get().to_le_bytes());
        }
        out.resize(start + (out.len() - start).next_multiple_of(ALIGN as usize), 0);
        let len = out.len() - start;
        let mut bits = u16::from(self.cut.0);
        if self.unreadable {
            bits |= UNREADABLE;
        }
        if self.placeholder {
            bits |= PLACEHOLDER;
        }
        if reply_is_last {
            bits |= REPLY_IS_LAST_REFERENCE;
        }
        if self.was_uid.is_some() {
            bits |= HAS_WAS_UID;
        }
        let mut put = |at: usize, field: &[u8]| out[start + at..][..field.len()].copy_from_slice(field);
        put(offset_of!(Head, len), &(len as u16).to_le_bytes());
        put(offset_of!(Head, header_crc), &self.header_crc.to_le_bytes());
        put(offset_of!(Head, received_ns), &self.received_ns.to_le_bytes());
        put(offset_of!(Head, date), &self.date.unwrap_or(NO_DATE).to_le_bytes());
        put(offset_of!(Head, size), &self.size.to_le_bytes());
        put(offset_of!(Head, bits), &bits.to_le_bytes());
        for (n, string) in strings.into_iter().enumerate() {
            put(offset_of!(Head, lens) + 2 * n, &(string.len() as u16).to_le_bytes());
        }
        len
    }
}

/// What makes bytes an entry of one index file and no other.
#[derive(Debug, Clone)]
pub struct Seal {
    marker: [u8; 8],
    seed: u32,
}

/// Why bytes are no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadEntry {
    /// Not the marker of this index file.
    Marker,
    /// A length that no entry can have, or that goes beyond the file.
    Len(u32),
    /// Found and expected CRC.
    Crc(u32, u32),
    /// The CRC is right and the fields are not: written by a broken program.
    Fields,
}

impl Seal {
    /// The seal of an index file.
    pub fn new(id: &IndexId, marker: [u8; 8]) -> Seal {
        Seal { marker, seed: crc32c::crc32c(id) }
    }

    /// The bytes that begin each entry.
    pub fn marker(&self) -> &[u8; 8] {
        &self.marker
    }

    fn crc(&self, at: u64, entry: &[u8]) -> u32 {
        let crc = crc32c::crc32c_append(self.seed, &at.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &entry[offset_of!(Head, len)..offset_of!(Head, crc)]);
        crc32c::crc32c_append(crc, &entry[offset_of!(Head, uid)..])
    }

    /// Finishes the bytes of [`Entry::write`] for their place in the file.
    pub fn close(&self, entry: &mut [u8], at: u64, uid: Uid, added: u64) {
        debug_assert!(at.is_multiple_of(ALIGN) && at >= HEADER_LEN as u64);
        entry[..8].copy_from_slice(&self.marker);
        entry[offset_of!(Head, uid)..][..4].copy_from_slice(&uid.get().to_le_bytes());
        entry[offset_of!(Head, added)..][..8].copy_from_slice(&added.to_le_bytes());
        let crc = self.crc(at, entry);
        entry[offset_of!(Head, crc)..][..4].copy_from_slice(&crc.to_le_bytes());
    }

    /// The length that the entry with this head claims, if it is one that an entry can have.
    pub fn claimed_len(&self, head: &[u8; 16]) -> Result<usize, BadEntry> {
        if head[..8] != self.marker {
            return Err(BadEntry::Marker);
        }
        let claimed = u16::from_le_bytes([head[8], head[9]]);
        match claimed as usize {
            len @ ENTRY_MIN..=ENTRY_MAX if len.is_multiple_of(ALIGN as usize) => Ok(len),
            _ => Err(BadEntry::Len(claimed.into())),
        }
    }

    /// The bytes of what begins as an entry, as many as it claims to have.
    pub fn claimed<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], BadEntry> {
        let head = bytes.first_chunk().ok_or(BadEntry::Len(bytes.len() as u32))?;
        let len = self.claimed_len(head)?;
        bytes.get(..len).ok_or(BadEntry::Len(len as u32))
    }

    /// Reads an entry from a private copy of its bytes; only what passed every check comes back.
    pub fn open<'a>(&self, entry: &'a [u8], at: u64) -> Result<Entry<'a>, BadEntry> {
        let head: &[u8; 16] = entry.first_chunk().ok_or(BadEntry::Len(entry.len() as u32))?;
        if self.claimed_len(head)? != entry.len() {
            return Err(BadEntry::Len(entry.len() as u32));
        }
        let found = u32::from_le_bytes(take(entry, offset_of!(Head, crc)));
        let expected = self.crc(at, entry);
        if found != expected {
            return Err(BadEntry::Crc(found, expected));
        }
        parse(entry).ok_or(BadEntry::Fields)
    }
}

fn take<const N: usize>(entry: &[u8], at: usize) -> [u8; N] {
    entry[at..at + N].try_into().expect("an entry is at least as long as its head")
}

fn parse(entry: &[u8]) -> Option<Entry<'_>> {
    let len = |n: usize| usize::from(u16::from_le_bytes(take(entry, offset_of!(Head, lens) + 2 * n)));
    let (strings, behind) = entry[HEAD_LEN..].split_at_checked((0..STRINGS).map(len).sum())?;
    let (base, texts) = strings.split_at(len(0));
    // All at once: most of it is ASCII, which is checked in long stretches.
    let mut rest = std::str::from_utf8(texts).ok()?;
    let mut text = |n| {
        let (text, tail) = rest.split_at_checked(len(n))?;
        rest = tail;
        Some(text)
    };
    let [subject, from, to, cc, message_id, in_reply_to, references] =
        [text(1)?, text(2)?, text(3)?, text(4)?, text(5)?, text(REPLY)?, text(7)?];
    let date = i64::from_le_bytes(take(entry, offset_of!(Head, date)));
    let bits = u16::from_le_bytes(take(entry, offset_of!(Head, bits)));
    let was_uid = match bits & HAS_WAS_UID {
        0 => None,
        _ => Some(Uid::new(u32::from_le_bytes(*behind.first_chunk()?))?),
    };
    Some(Entry {
        uid: Uid::new(u32::from_le_bytes(take(entry, offset_of!(Head, uid))))?,
        added: u64::from_le_bytes(take(entry, offset_of!(Head, added))),
        received_ns: i64::from_le_bytes(take(entry, offset_of!(Head, received_ns))),
        date: (date != NO_DATE).then_some(date),
        size: u64::from_le_bytes(take(entry, offset_of!(Head, size))),
        header_crc: u32::from_le_bytes(take(entry, offset_of!(Head, header_crc))),
        cut: Fields((bits & CUT_BITS) as u8),
        unreadable: bits & UNREADABLE != 0,
        placeholder: bits & PLACEHOLDER != 0,
        was_uid,
        base,
        subject,
        from,
        to,
        cc,
        message_id,
        in_reply_to: if bits & REPLY_IS_LAST_REFERENCE == 0 { in_reply_to } else { last_id(references) },
        references,
    })
}

/// The last of ids that are separated by one space.
fn last_id(references: &str) -> &str {
    references.rsplit(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal::new(b"0123456789abcdef", [0, 255, 1, 2, 3, 4, 5, 6])
    }

    fn summary() -> Summary {
        Summary { date: Some(-5), subject: "Grüße".into(), references: "<a@b> <c@d>".into(), ..Summary::default() }
    }

    fn sealed(at: u64) -> Vec<u8> {
        let (summary, mut bytes) = (summary(), Vec::new());
        let len = Entry::new(b"1.\xff:x", -7, 99, &summary).write(&mut bytes);
        assert_eq!((len, len % 8), (bytes.len(), 0));
        seal().close(&mut bytes, at, Uid::new(12).unwrap(), 34);
        bytes
    }

    #[test]
    fn an_entry_comes_back_as_it_was_written() {
        let (bytes, summary) = (sealed(4096), summary());
        let entry = seal().open(&bytes, 4096).unwrap();
        let expected = Entry { uid: Uid::new(12).unwrap(), added: 34, ..Entry::new(b"1.\xff:x", -7, 99, &summary) };
        assert_eq!(entry, expected);
    }

    #[test]
    fn a_reply_to_the_last_reference_is_stored_once() {
        let lens =
            [("<a@b> <c@d>", "<c@d>"), ("<a@b> <c@d>", "<a@b>"), ("", "<c@d>"), ("", "")].map(|(refs, reply)| {
                let summary = Summary { references: refs.into(), in_reply_to: reply.into(), ..Summary::default() };
                let mut bytes = Vec::new();
                Entry::new(b"1.x", 0, 0, &summary).write(&mut bytes);
                seal().close(&mut bytes, 4096, Uid::FIRST, 1);
                let entry = seal().open(&bytes, 4096).unwrap();
                assert_eq!((entry.references, entry.in_reply_to), (refs, reply));
                bytes.len()
            });
        assert!(lens[0] < lens[1]);
    }

    #[test]
    fn every_flipped_bit_shows() {
        let bytes = sealed(4096);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(seal().open(&flipped, 4096).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn an_entry_is_good_in_its_own_place_and_index_only() {
        let bytes = sealed(4096);
        assert!(matches!(seal().open(&bytes, 4104), Err(BadEntry::Crc(..))));
        let other = Seal::new(b"another index id", *seal().marker());
        assert!(matches!(other.open(&bytes, 4096), Err(BadEntry::Crc(..))));
        for len in 0..bytes.len() {
            assert!(seal().open(&bytes[..len], 4096).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn the_longest_entry_fits() {
        let text = "x".repeat(FIELD_MAX);
        let summary = Summary {
            subject: text.clone(),
            from: text.clone(),
            to: text.clone(),
            cc: text.clone(),
            message_id: text.clone(),
            in_reply_to: "y".repeat(FIELD_MAX),
            references: text,
            ..Summary::default()
        };
        let mut bytes = Vec::new();
        let entry = Entry { was_uid: Some(Uid::LAST), ..Entry::new(&[b'b'; BASE_MAX], 0, 0, &summary) };
        entry.write(&mut bytes);
        assert_eq!(bytes.len(), ENTRY_MAX);
        seal().close(&mut bytes, 8192, Uid::LAST, 0);
        let entry = seal().open(&bytes, 8192).unwrap();
        assert_eq!((entry.references.len(), entry.was_uid), (FIELD_MAX, Some(Uid::LAST)));
    }
}
