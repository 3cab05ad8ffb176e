//! A first meeting of two roots. Mail of one name and one content is one mail by itself. Mail that is equal but for its
//! name may be one that both machines have fetched from the same place, or one that came twice: nobody can know, so if
//! there is much of it a person says what it is.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::error::{Error, Result};
use crate::sync::git::Oid;
use crate::sync::local::LocalFolder;
use crate::sync::repository::Tip;
use crate::sync::state::{FolderId, Guid, ReplicaId, State};

/// So much mail may be equal by content only before it is asked about.
const ASKED_FROM: usize = 20;

/// What to do with mail that is the same but for its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameContent {
    /// It is one mail: the smaller base name wins, flags are united.
    Join,
    /// It is two.
    Keep,
}

/// A mail here and one there, of one content, in one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    /// Here.
    ours: Guid,
    /// There.
    theirs: Guid,
    /// Theirs has the smaller name.
    theirs_wins: bool,
}

/// The mail that two states have under different names.
pub(super) fn meet(ours: &Tip, theirs: &Tip) -> Vec<Pair> {
    let mut there: HashMap<(FolderId, Oid), Vec<Guid>> = HashMap::new();
    for (guid, mail) in theirs.state.mails.iter().filter(|(guid, _)| !ours.state.mails.contains_key(guid)) {
        let Some(oid) = theirs.contents_of(*guid) else { continue };
        for folder in mail.places.keys() {
            there.entry((*folder, oid)).or_default().push(*guid);
        }
    }
    let mut pairs: BTreeMap<Guid, Pair> = BTreeMap::new();
    let mut taken = std::collections::HashSet::new();
    for (guid, mail) in ours.state.mails.iter().filter(|(guid, _)| !theirs.state.mails.contains_key(guid)) {
        let Some(oid) = ours.contents_of(*guid) else { continue };
        for folder in mail.places.keys() {
            let candidates = there.get(&(*folder, oid)).into_iter().flatten();
            if !pairs.contains_key(guid)
                && let Some(&other) = candidates.into_iter().find(|other| !taken.contains(*other))
            {
                taken.insert(other);
                let theirs_wins = theirs.state.mails[&other].base < mail.base;
                pairs.insert(*guid, Pair { ours: *guid, theirs: other, theirs_wins });
            }
        }
    }
    pairs.into_values().collect()
}

/// Whether to make one mail of each pair; an error if that has to be asked.
pub(super) fn decide(same_content: Option<SameContent>, pairs: &[Pair], root: &Path) -> Result<bool> {
    match same_content {
        Some(same_content) => Ok(same_content == SameContent::Join),
        None if pairs.len() <= ASKED_FROM => Ok(false),
        None => Err(Error::Sync {
            path: root.into(),
            found: format!("{} mails are here and there under different names, and equal otherwise", pairs.len()),
            advice: format!(
                "if each is one mail: maildex sync run {0} --same-content join; if it came twice: maildex sync run {0} --same-content keep",
                root.display()
            ),
        }),
    }
}

impl Pair {
    /// Makes one mail of the two in the joined state. The file here stays as it is, under whatever name.
    pub(super) fn unify(&self, me: ReplicaId, state: &mut State, folders: &mut BTreeMap<FolderId, LocalFolder>) {
        let (winner, loser) = if self.theirs_wins { (self.theirs, self.ours) } else { (self.ours, self.theirs) };
        let (Some(won), Some(lost)) = (state.mails.get(&winner), state.mails.get(&loser)) else { return };
        let (base, delivered) = (won.base.clone(), lost.delivered);
        let letters: std::collections::BTreeSet<u8> = won.letters().chain(lost.letters()).collect();
        let places: Vec<FolderId> = lost.places.keys().copied().collect();
        let missing: Vec<_> = places.iter().copied().filter(|folder| !won.places.contains_key(folder)).collect();
        for folder in missing {
            state.add(me, folder, winner, &base);
        }
        state.set_flags(me, winner, &letters.into_iter().collect::<Vec<_>>());
        state.was_delivered(winner, delivered);
        for folder in places {
            state.remove(me, folder, &[loser].into());
        }
        if loser == self.ours {
            for folder in folders.values_mut() {
                for known in folder.mails_mut().values_mut().filter(|known| known.guid == Some(loser)) {
                    known.guid = Some(winner);
                }
            }
        }
    }
}
