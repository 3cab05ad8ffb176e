//! What happens in the folders here, as changes of the state. Each takes the next dot of the replica.
//!
//! A change that changes nothing takes none, so a run with nothing to do leaves the state as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::join::earlier;
use super::state::{Dot, Folder, FolderId, Guid, Mail, ReplicaId, State};

impl State {
    /// A mail is in a folder. If it already was this is a new add of it, which no removal that was made elsewhere before
    /// covers. The folder must be known. It gets its number from [`State::give_uid`], or at the next join.
    pub fn add(&mut self, me: ReplicaId, folder: FolderId, guid: Guid, base: &[u8]) {
        debug_assert!(self.folders.contains_key(&folder), "a folder is made before mail is in it");
        let dot = self.next_dot(me);
        let mail = self.mails.entry(guid).or_insert_with(|| Arc::new(Mail { base: base.to_vec(), ..Mail::default() }));
        Arc::make_mut(mail).places.insert(folder, BTreeSet::from([dot]));
    }

    /// When a mail was delivered; of two times the earlier one counts.
    pub fn was_delivered(&mut self, guid: Guid, seconds: u64) {
        if let Some(mail) = self.mails.get_mut(&guid) {
            Arc::make_mut(mail).delivered = earlier(mail.delivered, seconds);
        }
    }

    /// Mails are no longer in a folder; their numbers there are dead, and the flags of one that is in no other go with
    /// it. How many of them were there.
    pub fn remove(&mut self, me: ReplicaId, folder: FolderId, guids: &BTreeSet<Guid>) -> usize {
        let mut removed = 0;
        for guid in guids {
            let Some(mail) = self.mails.get_mut(guid) else { continue };
            if mail.places.contains_key(&folder) {
                let mail = Arc::make_mut(mail);
                mail.places.remove(&folder);
                removed += 1;
                if mail.places.is_empty() {
                    self.mails.remove(guid);
                }
                self.next_dot(me);
            }
        }
        if let Some(folder) = self.folders.get_mut(&folder).filter(|_| removed > 0) {
            folder.uids.retain(|_, live| !guids.contains(live));
        }
        removed
    }

    /// Mails went to another folder, which must be known. One that already is there is only removed here. How many of
    /// them were here.
    pub fn move_(&mut self, me: ReplicaId, guids: &BTreeSet<Guid>, from: FolderId, to: FolderId) -> usize {
        if from == to {
            return 0;
        }
        for guid in guids {
            let mail = self.mails.get(guid).filter(|mail| mail.places.contains_key(&from));
            if let Some(base) = mail.filter(|mail| !mail.places.contains_key(&to)).map(|mail| mail.base.clone()) {
                self.add(me, to, *guid, &base);
            }
        }
        self.remove(me, from, guids)
    }

    /// Sets the flags of a mail to these letters: each that differs is toggled. Setting F, or clearing T, says that the
    /// mail is to be kept, and counts as an add in each of its folders. How many letters differed.
    pub fn set_flags(&mut self, me: ReplicaId, guid: Guid, letters: &[u8]) -> usize {
        let Some(mail) = self.mails.get_mut(&guid) else { return 0 };
        let known: BTreeSet<u8> = mail.flags.keys().chain(letters).copied().collect();
        let differ: Vec<u8> =
            known.into_iter().filter(|letter| mail.has(*letter) != letters.contains(letter)).collect();
        let mail = Arc::make_mut(mail);
        for &letter in &differ {
            // Past the last number nothing more could be said of this flag; nobody toggles one so often.
            let count = mail.flags.entry(letter).or_default();
            *count = count.saturating_add(1);
        }
        if !differ.is_empty() {
            self.next_dot(me);
        }
        if differ
            .iter()
            .any(|&letter| letter == b'F' && letters.contains(&b'F') || letter == b'T' && !letters.contains(&b'T'))
        {
            let places: Vec<FolderId> = self.mails[&guid].places.keys().copied().collect();
            for folder in places {
                self.keep(me, folder, guid);
            }
        }
        differ.len()
    }

    /// A mail is to stay in a folder, even if another replica has removed it there and has not yet told. False if it is
    /// not there.
    pub fn keep(&mut self, me: ReplicaId, folder: FolderId, guid: Guid) -> bool {
        if !self.mails.get(&guid).is_some_and(|mail| mail.places.contains_key(&folder)) {
            return false;
        }
        let dot = self.next_dot(me);
        let place = self.mails.get_mut(&guid).and_then(|mail| Arc::make_mut(mail).places.get_mut(&folder));
        *place.expect("it is there, as was just seen") = BTreeSet::from([dot]);
        true
    }

    /// A folder is there, under this UIDVALIDITY. If it was there already, and numbers were given out in it, it keeps the
    /// UIDVALIDITY that it has, and the folder here must take that. Else the larger one counts: one that was removed and made
    /// anew is another folder, and what was known of its numbers is void.
    pub fn make_folder(&mut self, me: ReplicaId, name: &[u8], uid_validity: u32) -> FolderId {
        let id = FolderId::of(name);
        let is_there = self.has_folder(id);
        let dot = (!is_there).then(|| self.next_dot(me));
        let folder = self.folders.entry(id).or_insert_with(|| Folder {
            name: name.to_vec(),
            dots: BTreeSet::new(),
            uid_validity,
            uid_next: 1,
            uids: BTreeMap::new(),
        });
        folder.dots.extend(dot);
        if folder.uid_validity < uid_validity && (!is_there || folder.uid_next == 1) {
            (folder.uid_validity, folder.uid_next) = (uid_validity, 1);
            folder.uids.clear();
            if is_there {
                self.next_dot(me);
            }
        }
        id
    }

    /// A folder is gone, and all mail that was in it. What is known of its numbers stays. False if it was not there.
    pub fn remove_folder(&mut self, me: ReplicaId, folder: FolderId) -> bool {
        if !self.has_folder(folder) {
            return false;
        }
        self.mails.retain(|_, mail| {
            !mail.places.contains_key(&folder) || {
                let mail = Arc::make_mut(mail);
                mail.places.remove(&folder);
                !mail.places.is_empty()
            }
        });
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.dots.clear();
            folder.uids.clear();
        }
        self.next_dot(me);
        true
    }

    /// A mail has got a number in a folder here. It must be there without one, and the number undecided; else nothing is
    /// changed and false comes back: what is decided never changes.
    pub fn give_uid(&mut self, folder: FolderId, guid: Guid, uid: u32) -> bool {
        let is_there = self.mails.get(&guid).is_some_and(|mail| mail.places.contains_key(&folder));
        match self.folders.get_mut(&folder) {
            Some(folder) if is_there && uid >= folder.uid_next && uid < u32::MAX => {
                debug_assert!(!folder.uids.values().any(|live| *live == guid), "one number for each mail");
                folder.uids.insert(uid, guid);
                folder.uid_next = uid + 1;
                true
            }
            _ => false,
        }
    }

    /// Numbers below this one have been shown here, though their mail may be gone again.
    pub fn raise_uid_next(&mut self, folder: FolderId, uid_next: u32) {
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.uid_next = folder.uid_next.max(uid_next);
        }
    }

    /// Whether a folder is there: it was made and not removed, or mail is in it, which a removal elsewhere did not know.
    pub fn has_folder(&self, folder: FolderId) -> bool {
        self.folders.get(&folder).is_some_and(|folder| !folder.dots.is_empty())
            || self.mails.values().any(|mail| mail.places.contains_key(&folder))
    }

    /// The mail in a folder.
    pub fn mail_in(&self, folder: FolderId) -> impl Iterator<Item = (Guid, &Mail)> {
        let mails = self.mails.iter().filter(move |(_, mail)| mail.places.contains_key(&folder));
        mails.map(|(guid, mail)| (*guid, &**mail))
    }

    /// Whether a dot is in here, or was and has been dropped.
    pub fn has_seen(&self, dot: Dot) -> bool {
        dot.counter <= self.versions.get(&dot.replica).copied().unwrap_or(0)
    }

    fn next_dot(&mut self, me: ReplicaId) -> Dot {
        let counter = self.versions.entry(me).or_default();
        *counter += 1;
        Dot { replica: me, counter: *counter }
    }
}

impl Mail {
    /// Whether a flag is set.
    pub fn has(&self, letter: u8) -> bool {
        self.flags.get(&letter).is_some_and(|count| count % 2 == 1)
    }

    /// The letters that are set, in order.
    pub fn letters(&self) -> impl Iterator<Item = u8> {
        self.flags.iter().filter(|(_, count)| *count % 2 == 1).map(|(letter, _)| *letter)
    }
}
