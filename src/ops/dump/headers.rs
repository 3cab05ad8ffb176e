//! The headers, field by field.

use super::{Dump, Part, Said, Source, said};
use crate::error::Result;
use crate::format::header::{
    BORN_LEN, BadHeader, HEADER_LEN, INDEX_BORN, Identity, Kind, MARK_NAMES, PAGE, RECORD, RECORD_LEN, VERSION,
};
use crate::index::OFFSETS;

/// Words of the header page whose checksum is a word of its own: the first of them, by name, and how many.
const GROUPS: [(&str, usize); 4] = [("boot", 1), ("stamp_new.dev", 6), ("stamp_cur.dev", 6), ("born", 1)];

impl Source {
    pub(super) fn kind(&self) -> Kind {
        if self.name == OFFSETS { Kind::Offsets } else { Kind::Index }
    }

    /// The record at the start, and what of it proves itself.
    pub(super) fn identity(&self) -> Option<([u8; RECORD_LEN], Result<Identity, BadHeader>)> {
        let record = self.read(0, RECORD_LEN).ok()?.try_into().ok()?;
        Some((record, Identity::decode(self.kind(), &record)))
    }
}

impl Dump<'_> {
    /// The record at the start of both files.
    pub(super) fn record(&mut self, source: &Source) -> Result<()> {
        let bytes = match source.read(0, RECORD_LEN) {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable(source, (0, RECORD_LEN as u64), &error),
        };
        let bad = bytes.first_chunk().and_then(|record| Identity::decode(source.kind(), record).err());
        for field in &RECORD {
            let place = (field.at as u64, field.len as u64);
            let Some(of_field) = field.of(&bytes) else {
                let why = format!("not there: the file ends at {}", bytes.len());
                self.show(source, Part::Header, field.name, place, Said { value: String::new(), damage: Some(why) })?;
                continue;
            };
            let expected = match (&bad, field.name) {
                (Some(BadHeader::Magic(_)), "magic") => Some(source.kind().magic().escape_ascii().to_string()),
                (Some(BadHeader::Version(_) | BadHeader::NotVersion(_)), "version") => Some(VERSION.to_string()),
                (Some(BadHeader::Crc(_, expected)), "crc") => Some(format!("{expected:#010x}")),
                _ => None,
            };
            self.show(source, Part::Header, field.name, place, said(field, of_field).expecting(expected))?;
        }
        Ok(())
    }

    /// What stands behind the record of the index file.
    pub(super) fn birth(&mut self, source: &Source) -> Result<()> {
        let Ok(bytes) = source.read(0, RECORD_LEN + BORN_LEN) else { return Ok(()) }; // told of the record
        let born = bytes.get(RECORD_LEN..RECORD_LEN + 8).unwrap_or_default();
        let sum = u64::from(crc32c::crc32c(born));
        let is_empty = bytes.iter().skip(RECORD_LEN).all(|&byte| byte == 0);
        for field in &INDEX_BORN {
            let Some(of_field) = field.of(&bytes) else { return Ok(()) };
            let is_wrong = field.name == "born.crc" && !is_empty && of_field != sum.to_le_bytes();
            let said = said(field, of_field).expecting(is_wrong.then(|| format!("{sum:#018x}")));
            self.show(source, Part::Header, field.name, (field.at as u64, field.len as u64), said)?;
        }
        Ok(())
    }

    /// The rest of the header page of the offsets file.
    pub(super) fn page(&mut self, source: &Source) -> Result<()> {
        let bytes = match source.read(0, HEADER_LEN) {
            Ok(bytes) => bytes,
            Err(error) => {
                let rest = (RECORD_LEN as u64, (HEADER_LEN - RECORD_LEN) as u64);
                return self.unreadable(source, rest, &error);
            }
        };
        let mut sums = Vec::new();
        for (name, words) in GROUPS {
            let first = PAGE.iter().position(|field| field.name == name).expect("the table has it");
            let from = PAGE[first].at;
            let crc = &PAGE[first + words];
            let is_empty = bytes.get(from..crc.at + crc.len).is_some_and(|group| group.iter().all(|&byte| byte == 0));
            let sum = bytes.get(from..crc.at).map(crc32c::crc32c).filter(|_| !is_empty);
            sums.extend(sum.map(|sum| (crc.name, u64::from(sum))));
        }
        for field in &PAGE {
            let place = (field.at as u64, field.len as u64);
            let Some(of_field) = field.of(&bytes) else {
                let why = format!("not there: the file ends at {}", bytes.len());
                return self.missing(source, Part::Header, (field.at as u64, (HEADER_LEN - field.at) as u64), why);
            };
            let mut said = said(field, of_field);
            let sum = sums.iter().find(|(name, _)| *name == field.name).map(|(_, sum)| sum.to_le_bytes());
            if let Some(sum) = sum.filter(|sum| sum != of_field) {
                said = said.expecting(Some(format!("{:#018x}", u64::from_le_bytes(sum))));
            }
            if field.name == "marks"
                && let Ok(marks) = said.value.parse::<u64>()
            {
                let names = MARK_NAMES.iter().filter(|(bit, _)| marks & bit == *bit).map(|(_, name)| *name);
                said.value = names.fold(said.value, |value, name| format!("{value} {name}"));
            }
            self.show(source, Part::Header, field.name, place, said)?;
        }
        Ok(())
    }

    pub(super) fn unreadable(&mut self, source: &Source, place: (u64, u64), error: &std::io::Error) -> Result<()> {
        self.missing(source, Part::Header, place, format!("cannot be read: {error}"))
    }
}
