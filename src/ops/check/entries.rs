//! The index file by itself, from marker to marker: what no slot leads to.

use super::Check;
use crate::error::{Damage, Result};
use crate::format::SlotNo;
use crate::format::header::{HEADER_LEN, HeaderPage};
use crate::index::walk::{Stretch, walk};

/// What was met on the way.
#[derive(Default)]
struct Met {
    gaps: Vec<(u64, u64)>,
    /// Bytes in gaps that are not among those.
    more: u64,
    /// Of messages whose slot leads to an earlier entry: slot, offset there, offset of the later one.
    later: Vec<(u32, u64, u64)>,
    ownerless: usize,
    /// Of entries behind what the offsets file accounts for.
    unaccounted: usize,
    /// The first entry that is accounted for whose UID is above those of all slots.
    above: Option<(u64, u32)>,
}

/// So many of a kind are told one by one.
const EACH: usize = 1000;

impl Check<'_> {
    pub(super) fn entries(&mut self) -> Result<()> {
        let counter = self.counter();
        self.index.look_again()?;
        let Some((seal, map)) = self.index.entries() else { return Ok(()) };
        let accounted = self.header().and_then(HeaderPage::accounted);
        let is_whole = self.header().is_some() && !self.uids.contains(&0) && self.uids.is_sorted();
        let floor = self.index.identity().map_or(0, |identity| identity.uid_floor);
        let last = self.uids.last().copied().unwrap_or(0).max(floor);
        let mut met = Met::default();
        walk(map, seal, 0, |stretch| match stretch {
            Stretch::Gap(from, to, _) if met.gaps.len() < EACH => met.gaps.push((from, to)),
            Stretch::Gap(from, to, _) => met.more += to - from,
            Stretch::Entry(..) if !is_whole => {}
            Stretch::Entry(at, _, entry) => {
                let uid = entry.uid.get();
                let slot = self.uids.binary_search(&uid).ok();
                let is_accounted = accounted.is_none_or(|accounted| at < accounted);
                if let Some(no) = slot {
                    let slot_at = self.entry_at(no as u32);
                    if slot_at.is_some_and(|slot_at| at > slot_at) && met.later.len() < EACH {
                        met.later.push((no as u32, slot_at.unwrap_or(0), at));
                    }
                } else {
                    met.ownerless += usize::from(is_accounted);
                    met.unaccounted += usize::from(!is_accounted);
                    if is_accounted && uid > last && met.above.is_none() {
                        met.above = Some((at, uid));
                    }
                }
            }
        });
        self.tell_met(&met, counter, last);
        Ok(())
    }

    fn entry_at(&self, no: u32) -> Option<u64> {
        let no = SlotNo(no);
        Some(self.index.block(no.block())?.entry_at[no.row()].load())
    }

    fn tell_met(&mut self, met: &Met, counter: Option<u64>, last: u32) {
        let path = self.index.index_path();
        for &(from, to) in &met.gaps {
            let what = format!("{} bytes hold no entry (left by a killed writer, or damaged)", to - from);
            self.note("gap", path.clone(), Some(from), what);
        }
        if met.more > 0 {
            let what = format!("{} more bytes hold no entry", met.more);
            self.note("gap", path.clone(), None, what);
        }
        // What comes now is true only if nobody has written since the slots were read.
        let is_calm = self.is_calm() && self.counter() == counter;
        if !is_calm {
            return;
        }
        for &(no, slot_at, at) in &met.later {
            let uid = self.uids[no as usize];
            let what = format!("an entry of UID {uid} behind the one that its slot leads to, at {slot_at}");
            let hint = format!("{}; a writer was killed, or the offset was changed", self.mend());
            self.note_with("later", path.clone(), Some(at), what, Some(hint));
        }
        let count = self.header().and_then(HeaderPage::count); // without it nobody can tell which slot is the last
        if let (Some((at, uid)), Some(_)) = (met.above, count) {
            let (what, found) = (format!("uid of the entry at {at}"), uid.to_string());
            let expected = format!("at most {last}, the last UID of any slot");
            self.damage("above", Damage { path: path.clone(), at, what, found, expected });
        }
        if met.unaccounted > 0 {
            let at = self.header().and_then(HeaderPage::accounted).unwrap_or(HEADER_LEN as u64);
            let what = format!(
                "{} entries that the offsets file does not know, of a killed writer or from before an older offsets file \
                 was put back; the next build does not give out their UIDs again",
                met.unaccounted
            );
            self.note_with("unaccounted", path.clone(), Some(at), what, Some(self.build()));
        }
        if met.ownerless > 0 {
            let what = format!("{} entries of no message, which a compaction drops", met.ownerless);
            self.detail("ownerless", path, what, None);
        }
    }
}
