//! The slots of the offsets file, block by block.

use super::{Dump, Part, Said, Source, hex, said};
use crate::error::Result;
use crate::format::block::{BLOCK_LEN, COLUMNS, SLOTS, decode_uid};
use crate::format::entry::ALIGN;
use crate::format::header::{HEADER_LEN, IndexId};
use crate::format::status::Status;
use crate::format::word::LastChange;
use crate::format::{SlotNo, Uid};
use crate::index::Column;

impl Dump<'_> {
    /// All slots that hold anything.
    pub(super) fn blocks(&mut self, offsets: &Source, indexes: &[Source]) -> Result<()> {
        let id = id(offsets, indexes);
        let end = indexes.iter().map(Source::len).collect::<Result<Vec<_>>>()?.into_iter().max();
        let len = offsets.len()?;
        let mut next = 0;
        // There are no more slots than UIDs, however long the file was made.
        while next <= u32::MAX as usize / SLOTS {
            let (number, at) = (next, (HEADER_LEN + next * BLOCK_LEN) as u64);
            let data = offsets.next_data(at, len.max(at));
            if data >= at + BLOCK_LEN as u64 {
                if data == len {
                    break;
                }
                next = (data as usize - HEADER_LEN) / BLOCK_LEN;
                continue;
            }
            next += 1;
            let bytes = match offsets.read(at, BLOCK_LEN) {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => bytes,
                Err(error) => {
                    self.unreadable(offsets, (at, BLOCK_LEN as u64), &error)?;
                    continue;
                }
            };
            for row in 0..SLOTS {
                let no = SlotNo((number * SLOTS + row) as u32);
                let words = words(&bytes, row);
                if words.iter().any(|word| word.is_some_and(|word| word != 0)) {
                    self.slot(offsets, no, words, id.as_ref(), end)?;
                }
            }
            if bytes.len() < BLOCK_LEN {
                let why = format!("less than a block of {BLOCK_LEN} bytes: the file ends here");
                self.missing(offsets, Part::Gap, (at, bytes.len() as u64), why)?;
            }
        }
        Ok(())
    }

    fn slot(
        &mut self,
        offsets: &Source,
        no: SlotNo,
        words: [Option<u64>; COLUMNS.len()],
        id: Option<&IndexId>,
        end: Option<u64>,
    ) -> Result<()> {
        let uid_word = words[Column::Uid as usize].unwrap_or(0);
        if !self.wants(uid_word as u32) {
            return Ok(());
        }
        for (column, word) in Column::ALL.into_iter().zip(words) {
            let (field, place) = (column.field(), (column.at(no), 8));
            let wrong = |value| Said { value, damage: Some("a wrong checksum".into()) };
            let said = match (word, column) {
                (None, _) => Said { value: String::new(), damage: Some("not there: the file ends before".into()) },
                (Some(word), Column::Status) => match Status::decode(word) {
                    Some(status) => Said::sound(status.to_string()),
                    None => wrong(format!("{word:#018x}")),
                },
                (Some(word), Column::Changed) => match LastChange::decode(word) {
                    Some(LastChange { number, moved }) => {
                        Said::sound(format!("{number}{}", if moved { " moved" } else { "" }))
                    }
                    None => wrong(format!("{word:#018x}")),
                },
                (Some(word), Column::Uid) => uid_said(word, id, no),
                (Some(word), Column::EntryAt) => entry_at_said(word, end),
                (Some(word), _) => said(field, &word.to_le_bytes()),
            };
            self.show(offsets, Part::Slot(no.0), field.name, place, said)?;
        }
        Ok(())
    }
}

fn uid_said(word: u64, id: Option<&IndexId>, no: SlotNo) -> Said {
    let (value, damage) = ((word as u32).to_string(), "a wrong checksum");
    match id {
        Some(id) if decode_uid(word, id, no).is_some() => Said::sound(value),
        Some(_) => Said { value: format!("{value}, of {}", hex(&word.to_le_bytes())), damage: Some(damage.into()) },
        None => Said { value, damage: Some("no header proves of which index".into()) },
    }
}

fn entry_at_said(at: u64, end: Option<u64>) -> Said {
    let expected = match end {
        _ if !at.is_multiple_of(ALIGN) => Some(format!("a multiple of {ALIGN}")),
        _ if at < HEADER_LEN as u64 => Some(format!("{HEADER_LEN} at least")),
        Some(end) if at >= end => Some(format!("less than the length of the index file, {end}")),
        _ => None,
    };
    Said::sound(at.to_string()).expecting(expected)
}

/// The words of a slot, as far as the block is there.
fn words(block: &[u8], row: usize) -> [Option<u64>; COLUMNS.len()] {
    COLUMNS.map(|column| {
        let bytes = block.get(column.at + row * 8..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    })
}

/// The id that UIDs are proved with: that of a header that proves itself, else what stands in that of the offsets file.
fn id(offsets: &Source, indexes: &[Source]) -> Option<IndexId> {
    let all = || std::iter::once(offsets).chain(indexes.iter().rev()).filter_map(Source::identity);
    let proved = all().find_map(|(_, identity)| identity.ok()).map(|identity| identity.id);
    proved.or_else(|| all().find_map(|(record, _)| super::entries::raw_id(&record)))
}

/// The last UID that proves itself.
pub(super) fn last_uid(offsets: &Source) -> Option<u32> {
    let id = id(offsets, &[])?;
    let mut last = None;
    for number in 0..=u32::MAX as usize / SLOTS {
        let column = Column::Uid.field();
        let at = (HEADER_LEN + number * BLOCK_LEN + column.at) as u64;
        let Ok(page) = offsets.read(at, column.len) else { continue };
        if page.is_empty() {
            break;
        }
        for (row, word) in page.as_chunks::<8>().0.iter().enumerate() {
            let no = SlotNo((number * SLOTS + row) as u32);
            last = last.max(decode_uid(u64::from_le_bytes(*word), &id, no).map(Uid::get));
        }
    }
    last
}
