//! What is made of something that is wrong, in words.

use std::collections::HashMap;

use crate::error::Result;
use crate::folder::Folder;
use crate::format::block;
use crate::format::header::{self, HEADER_LEN};
use crate::format::{SlotNo, Uid};
use crate::index::as_is::AsIs;
use crate::index::{Column, place_of};
use crate::ops::check::Finding;
use crate::ops::repair::is_behind;
use crate::refresh::{Fate, Rebuild};

/// Knows what will become of each message.
pub struct Made<'r> {
    folder: &'r Folder,
    /// `None` if no file is written anew.
    rebuild: Option<&'r Rebuild>,
    index: Option<AsIs>,
    /// Whose entry stands at an offset.
    uids: HashMap<u64, Uid>,
}

impl<'r> Made<'r> {
    /// Before anything is changed. `damage` is what will be asked for.
    pub fn new(folder: &'r Folder, rebuild: Option<&'r Rebuild>, damage: &[Finding]) -> Result<Made<'r>> {
        let index = AsIs::open(folder.dir())?;
        let mut made = Made { folder, rebuild, index, uids: HashMap::new() };
        if let Some(index) = &made.index
            && damage.iter().any(|finding| finding.path == index.index_path())
        {
            let slots = (0..index.blocks() * block::SLOTS).map(|no| SlotNo(no as u32));
            made.uids = slots.filter_map(|no| made.row(no).map(|(uid, entry_at)| (entry_at, uid))).collect();
        }
        Ok(made)
    }

    /// The UID in a slot, if that proves itself, and where its entry is.
    fn row(&self, no: SlotNo) -> Option<(Uid, u64)> {
        let index = self.index.as_ref()?;
        let (block, row) = (index.block(no.block())?, no.row());
        let uid = block::decode_uid(block.uid[row].load(), &index.identity()?.id, no)?;
        Some((uid, block.entry_at[row].load()))
    }

    /// The UID in the entry that a slot leads to.
    fn uid_of_entry(&self, no: SlotNo) -> Option<Uid> {
        let index = self.index.as_ref()?;
        let at = index.block(no.block())?.entry_at[no.row()].load();
        Some(index.entry(at, &mut Vec::new())?.ok()?.uid)
    }

    /// What is made of it.
    pub fn of(&self, finding: &Finding) -> String {
        let (Some(rebuild), Some(index)) = (self.rebuild.filter(|_| !is_behind(finding)), &self.index) else {
            return "what the names of the mail say".into();
        };
        let at = finding.at.unwrap_or(0);
        if finding.path == index.offsets_path() {
            let Some((no, column)) = place_of(at) else { return of_header(at, rebuild) };
            let uid = self.row(no).map(|(uid, _)| uid).or_else(|| self.uid_of_entry(no));
            return self.of_message(uid, Some(column));
        }
        if finding.path == index.index_path() && at >= HEADER_LEN as u64 {
            return self.of_message(self.uids.get(&at).copied(), None);
        }
        of_header(at, rebuild)
    }

    fn of_message(&self, uid: Option<Uid>, column: Option<Column>) -> String {
        let Some(uid) = uid else { return "nothing, for it does not say whose it was".into() };
        let fate = self.rebuild.map_or(Fate::Unknown, |rebuild| rebuild.fate(self.folder, uid));
        match (fate, column) {
            (Fate::Kept, Some(Column::Status)) => format!("UID {uid}, flags as in its file name"),
            (Fate::Kept, Some(Column::Changed)) => format!("UID {uid}, changed now"),
            (Fate::Kept, _) => format!("UID {uid}, from its entry"),
            (fate, _) => format!("UID {uid}, {fate}"),
        }
    }
}

fn of_header(at: u64, rebuild: &Rebuild) -> String {
    match at {
        header::at::COUNT => rebuild.kept().to_string(),
        header::at::COUNTER | header::at::OLDEST => "the present time, so that tokens from before are refused".into(),
        _ => "it anew".into(),
    }
}
