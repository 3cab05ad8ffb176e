//! The entries of an index file, from marker to marker, and what stands between them.

use std::io;
use std::ops::Range;

use super::{Dump, Part, Said, Source, hex, said};
use crate::error::Result;
use crate::format::entry::{ALIGN, BadEntry, Entry, HEAD, STRING_NAMES, Seal, bit_names, strings_of};
use crate::format::header::{HEADER_LEN, IndexId, RECORD, RECORD_LEN};

/// Bytes read at a time; more than the longest entry has.
const WINDOW: usize = 64 << 10;

/// Of a gap so many bytes are shown.
const SAMPLE: usize = 32;

/// Where no header proves what belongs to the file, so many bytes are looked through for an entry that does.
const TRIED: u64 = 1 << 20;

/// A field, and what is wrong with it.
type Wrong = (&'static str, String);

/// What stands at a place.
enum Found<'b> {
    Entry(&'b [u8], Entry<'b>),
    /// An entry by its marker and length, and why it is none.
    Damaged(&'b [u8], BadEntry),
    /// Bytes up to there, and what they are called.
    Gap(u64, &'static str),
    Unreadable(u64, io::Error),
}

impl Dump<'_> {
    pub(super) fn entries(&mut self, index: &Source, offsets: Option<&Source>) -> Result<()> {
        let (seal, is_proved) = seal_of(index, offsets).unzip();
        let is_proved = is_proved.unwrap_or(false);
        walk(index, seal.as_ref(), index.len()?, |at, found| match found {
            Found::Entry(bytes, entry) => self.entry(index, at, bytes, entry.uid.get(), None),
            Found::Damaged(bytes, BadEntry::Crc(..)) if !is_proved => {
                let why = "cannot be verified: no header proves the id".to_string();
                self.entry(index, at, bytes, uid_of(bytes), Some(&("crc", why)))
            }
            Found::Damaged(bytes, bad) => self.entry(index, at, bytes, uid_of(bytes), Some(&wrong(bad))),
            Found::Gap(to, what) if self.wanted.uids.is_empty() => {
                let sample = index.read(at, SAMPLE.min((to - at) as usize)).unwrap_or_default();
                let damage = Some(what.to_string());
                self.show(index, Part::Gap, "bytes", (at, to - at), Said { value: hex(&sample), damage })
            }
            Found::Gap(..) => Ok(()),
            Found::Unreadable(to, error) => self.unreadable(index, (at, to - at), &error),
        })
    }

    fn entry(&mut self, index: &Source, at: u64, bytes: &[u8], uid: u32, bad: Option<&Wrong>) -> Result<()> {
        if !self.wants(uid) {
            return Ok(());
        }
        let part = Part::Entry(uid);
        for field in &HEAD {
            let of_field = field.of(bytes).unwrap_or_default();
            let mut said = said(field, of_field);
            match field.name {
                "bits" => {
                    let bits = u16::from_le_bytes(of_field.try_into().unwrap_or_default());
                    said.value = bit_names(bits).into_iter().fold(said.value, |value, name| format!("{value} {name}"));
                }
                "lens" => {
                    let lens = of_field.as_chunks::<2>().0.iter().map(|len| u16::from_le_bytes(*len).to_string());
                    said.value = lens.collect::<Vec<_>>().join(" ");
                }
                _ => {}
            }
            if field.name == "date" && said.value == i64::MIN.to_string() {
                said.value = "none".into();
            }
            if let Some((name, why)) = bad
                && *name == field.name
            {
                said.damage = Some(why.clone());
            }
            self.show(index, part, field.name, (at + field.at as u64, field.len as u64), said)?;
        }
        let Some(strings) = strings_of(bytes) else { return Ok(()) };
        let end = strings.last().map_or(0, |last| last.end);
        for (name, Range { start, end }) in STRING_NAMES.into_iter().zip(strings).filter(|(_, place)| !place.is_empty())
        {
            let place = (at + start as u64, (end - start) as u64);
            let said = match bytes.get(start..end) {
                Some(text) => Said::sound(String::from_utf8_lossy(text)),
                None => Said { value: String::new(), damage: Some("goes beyond the entry".into()) },
            };
            self.show(index, part, name, place, said)?;
        }
        let behind = bytes.get(end..).unwrap_or_default();
        if behind.iter().any(|&byte| byte != 0) {
            let was_uid = behind.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            self.show(index, part, "was_uid", (at + end as u64, 4), Said::sound(was_uid.to_string()))?;
        }
        Ok(())
    }
}

/// What is wrong with what begins as an entry.
fn wrong(bad: BadEntry) -> Wrong {
    match bad {
        BadEntry::Crc(_, expected) => ("crc", format!("expected {expected:#010x}")),
        BadEntry::Marker => ("marker", "expected the marker of this file".into()),
        BadEntry::Len(_) => ("len", "expected a length that fits".into()),
        BadEntry::Fields => ("lens", "expected lengths and text that can be".into()),
    }
}

fn uid_of(entry: &[u8]) -> u32 {
    let field = HEAD.iter().find(|field| field.name == "uid").and_then(|field| field.of(entry));
    field.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// The id in a record, whether that proves itself or not; `None` if it was zeroed.
pub(super) fn raw_id(record: &[u8; RECORD_LEN]) -> Option<IndexId> {
    raw(record, "id")
}

fn raw<const N: usize>(record: &[u8; RECORD_LEN], name: &str) -> Option<[u8; N]> {
    let field = RECORD.iter().find(|field| field.name == name)?;
    field.of(record)?.try_into().ok().filter(|bytes| *bytes != [0; N])
}

/// What proves the entries of a file, and whether it does: what a header says, whether that proves itself or not, if an
/// entry agrees with it. If none does, what begins as the first entry does.
fn seal_of(index: &Source, offsets: Option<&Source>) -> Option<(Seal, bool)> {
    let records: Vec<_> = std::iter::once(index).chain(offsets).filter_map(Source::identity).collect();
    let own = records.iter().filter_map(|(_, identity)| identity.as_ref().ok()).map(|own| (own.id, own.marker));
    let as_they_stand = records.iter().filter_map(|(record, _)| Some((raw(record, "id")?, raw(record, "marker")?)));
    let first: Option<[u8; 8]> = index.read(HEADER_LEN as u64, 8).ok().and_then(|bytes| bytes.try_into().ok());
    let ids = records.iter().filter_map(|(record, _)| raw(record, "id")).chain([[0; 16]]);
    let by_entry = ids.filter_map(|id| Some((id, first?)));
    let seals = own.clone().chain(as_they_stand).chain(by_entry).map(|(id, marker)| Seal::new(&id, marker));
    let seals: Vec<_> = seals.collect();
    let agreed = seals.iter().find(|seal| first_entry(index, seal).is_some());
    let begins = || seals.iter().find(|seal| Some(*seal.marker()) == first);
    let is_proved = agreed.is_some() || own.count() > 0;
    Some((agreed.or_else(begins).or(seals.first())?.clone(), is_proved))
}

fn first_entry(index: &Source, seal: &Seal) -> Option<u32> {
    let mut first = None;
    let end = index.len().ok()?.min(HEADER_LEN as u64 + TRIED);
    let _ = walk(index, Some(seal), end, |_, found| {
        if let (Found::Entry(_, entry), None) = (found, first) {
            first = Some(entry.uid.get());
        }
        Ok(())
    });
    first
}

/// The largest UID of an entry.
pub(super) fn last_uid(index: &Source, offsets: Option<&Source>) -> Option<u32> {
    let mut last = None;
    let (seal, _) = seal_of(index, offsets)?;
    let _ = walk(index, Some(&seal), index.len().ok()?, |_, found| {
        if let Found::Entry(_, entry) = found {
            last = last.max(Some(entry.uid.get()));
        }
        Ok(())
    });
    last
}

/// Visits everything behind the header page; without a seal it is one gap. Gaps that meet are one.
fn walk(
    index: &Source,
    seal: Option<&Seal>,
    end: u64,
    mut take: impl FnMut(u64, Found<'_>) -> Result<()>,
) -> Result<()> {
    let mut gap: Option<(u64, u64, &'static str)> = None;
    let mut visit = |at, found: Found<'_>| {
        if let (Found::Gap(to, what), Some((from, ..))) = (&found, gap) {
            gap = Some((from, *to, what));
            return Ok(());
        }
        if let Some((from, to, what)) = gap.take() {
            take(from, Found::Gap(to, what))?;
        }
        match found {
            Found::Gap(to, what) => gap = Some((at, to, what)),
            found => take(at, found)?,
        }
        Ok(())
    };
    visit_all(index, seal, end, &mut visit)?;
    gap.map_or(Ok(()), |(from, to, what)| take(from, Found::Gap(to, what)))
}

fn visit_all(
    index: &Source,
    seal: Option<&Seal>,
    end: u64,
    visit: &mut dyn FnMut(u64, Found<'_>) -> Result<()>,
) -> Result<()> {
    let mut at = HEADER_LEN as u64;
    let Some(seal) = seal else {
        return if at < end { visit(at, Found::Gap(end, "no header says what begins an entry")) } else { Ok(()) };
    };
    while at < end {
        let data = index.next_data(at, end) / ALIGN * ALIGN;
        if data > at {
            visit(at, Found::Gap(data, "no entry: a hole in the file"))?;
            at = data;
            continue;
        }
        let window = match index.read(at, WINDOW) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => bytes,
            Err(error) => {
                // A bad block of the disk is small; what lies behind it may be good.
                let to = end.min((at + 1).next_multiple_of(4096));
                visit(at, Found::Unreadable(to, error))?;
                at = to;
                continue;
            }
        };
        let mut here = 0;
        // An entry that begins within the window and may end behind it is left for the next one.
        while at + (here as u64) < end && (here == 0 || here + WINDOW / 2 < window.len()) && here < window.len() {
            let place = at + here as u64;
            let rest = &window[here..];
            let claimed = seal.claimed(rest).ok();
            match claimed.map(|bytes| (bytes, seal.open(bytes, place))) {
                Some((bytes, Ok(entry))) => {
                    visit(place, Found::Entry(bytes, entry))?;
                    here += bytes.len();
                    continue;
                }
                Some((bytes, Err(bad))) => visit(place, Found::Damaged(bytes, bad))?,
                None => {}
            }
            let shown = claimed.map_or(0, <[u8]>::len);
            let skip = next_marker(rest, seal).min((end - place) as usize);
            if skip > shown {
                let what = "no entry: left by a killed writer, or damaged";
                visit(place + shown as u64, Found::Gap(place + skip as u64, what))?;
            }
            here += skip;
        }
        at += here as u64;
    }
    Ok(())
}

/// How far it is to the next marker behind the first bytes, or to the end of the window.
fn next_marker(rest: &[u8], seal: &Seal) -> usize {
    let step = ALIGN as usize;
    let found = rest.chunks_exact(step).skip(1).position(|bytes| bytes == seal.marker());
    found.map_or(rest.len(), |found| (found + 1) * step)
}
