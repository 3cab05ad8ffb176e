//! Numbers from elsewhere: an index that begins with those of a list, or takes up what it can of one.
//!
//! What holds afterwards: every listed mail that is in the folder has its listed number, UIDNEXT is above both, and no
//! number that was shown, here or by whoever wrote the list, names another mail. Where that cannot be nothing is changed.
//!
//! An index that has given out numbers has a UIDVALIDITY, and the list must have the same. Then a line of the list
//!
//! - agrees, if its number is that mail's here, too, or was until the mail was removed from the folder
//! - says nothing, if its mail is not in the folder, and its number names no mail here
//! - is adopted, if its number is above all that were given out here: the mail is added under it, and if it had another
//!   number here that one dies, as numbers may
//! - is a conflict, if its number names another mail here; or was given out here to nobody knows whom, and its mail is in
//!   the folder
//!
//! Both ways a new generation is made of it, so whoever is killed has either done all or nothing.

use std::fmt;
use std::ops::ControlFlow;

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::entry::Entry;
use crate::format::header::{Identity, Marks};
use crate::format::status::Status;
use crate::format::word::LastChange;
use crate::format::{SlotNo, Uid};
use crate::index::find::ByBase;
use crate::index::generation::{NewGeneration, Start, first_identity, generations, new_marker};
use crate::index::publish::{SlotData, Writer};
use crate::index::recover::{self, Found};
use crate::index::{Index, OFFSETS, Snapshot};
use crate::lock::Lock;
use crate::maildir::Sub;
use crate::maildir::listing::{Listing, Stamp};
use crate::maildir::name::base_of;
use crate::maildir::summary::Summary;
use crate::refresh::join::{Candidate, Listings, Names};
use crate::refresh::read::{Outcome, Request, Subs, read_all};
use crate::refresh::{OnProgress, Progress};
use crate::uidlist::UidList;

/// Listings before one in a folder that does not come to rest is taken as it is.
const MAX_LOOKS: usize = 10;

/// Conflicts that are kept to be shown.
const SHOWN: usize = 20;

/// What came of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was taken up.
    Adopted(Adopted),
    /// It cannot be, and nothing was changed.
    Refused(Refusal),
    /// Whoever heard the progress called it off; nothing was changed.
    CalledOff,
}

/// What was taken up of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// No number had been given out here before.
    pub created: bool,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT, before new mail that is not in the list got its numbers.
    pub uid_next: u64,
    /// Mail that has got its number from the list.
    pub adopted: usize,
    /// Of these such mail as had another number, which is dead now.
    pub renumbered: usize,
    /// Mail that had its number already.
    pub agreed: usize,
    /// Numbers whose mail is not in the folder.
    pub gone: usize,
}

/// Why a list cannot be taken up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// UIDVALIDITY here, and in the list.
    pub uid_validity: (u32, u32),
    /// Some of the numbers that stand against it.
    pub conflicts: Vec<Conflict>,
    /// How many there are.
    pub count: usize,
}

/// A number that would name two mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// It.
    pub uid: Uid,
    /// The base name of the mail that is to have it.
    pub wanted: Vec<u8>,
    /// Whose it is.
    pub here: Here,
}

/// Whose number it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Here {
    /// That of the mail with this base name.
    Mail(Vec<u8>),
    /// It was given out, and is dead.
    Dead,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = String::from_utf8_lossy(&self.wanted);
        match &self.here {
            Here::Mail(base) => write!(f, "UID {} is {}, and not {wanted}", self.uid, String::from_utf8_lossy(base)),
            Here::Dead => write!(f, "UID {} was given out before and is dead, so it cannot be {wanted}", self.uid),
        }
    }
}

/// What is to be done.
#[derive(Default)]
struct Plan {
    done: Adopted,
    /// Mail to be read and added, rising.
    adopt: Vec<(Uid, Candidate)>,
    /// Other numbers of such mail.
    dying: Vec<SlotNo>,
    conflicts: Vec<Conflict>,
    conflict_count: usize,
}

/// The folder at one moment.
struct Look {
    dirs: Subs,
    listings: Listings,
}

/// Takes a list up, under the lock.
pub(crate) fn adopt(folder: &Folder, list: &UidList<'_>, lock: &Lock, progress: OnProgress<'_>) -> Result<Answer> {
    match recover::open(folder.dir(), None)? {
        Found::Nothing => begin(folder, list, lock, 1, progress),
        Found::Index(mut index) => match index.last_given()? {
            // Whoever watches it goes on, if its UIDVALIDITY stays.
            0 if index.identity().uid_validity != list.uid_validity => {
                begin(folder, list, lock, index.identity().generation + 1, progress)
            }
            _ => extend(folder, list, Writer::new(*index, lock)?, lock, progress),
        },
        Found::Broken(why) => Err(Error::NeedsBuild { path: folder.path().to_path_buf(), why }),
    }
}

/// Begins anew with a list, whatever was given out before: UIDVALIDITY is another one, so all numbers are void.
pub(crate) fn adopt_anew(folder: &Folder, list: &UidList<'_>, lock: &Lock, progress: OnProgress<'_>) -> Result<Answer> {
    match recover::open(folder.dir(), None)? {
        Found::Nothing => begin(folder, list, lock, 1, progress),
        Found::Index(index) => begin(folder, list, lock, index.identity().generation + 1, progress),
        Found::Broken(why) => Err(Error::NeedsBuild { path: folder.path().to_path_buf(), why }),
    }
}

/// Says what taking a list up would do, and changes nothing.
pub(crate) fn preview(folder: &Folder, list: &UidList<'_>) -> Result<Answer> {
    let look = Look::at(folder)?;
    let index = Index::open(folder.dir(), false)?;
    if index.is_none() && !generations(folder.dir())?.is_empty() {
        let why = format!("{}: no such file", folder.file(OFFSETS).display());
        return Err(Error::NeedsBuild { path: folder.path().to_path_buf(), why });
    }
    let plan = match index.map(|mut index| index.last_given().map(|last| (index, last))).transpose()? {
        Some((mut index, last)) if last > 0 => {
            if let Some(refused) = other_validity(&index, list) {
                return Ok(refused);
            }
            let key = index.identity().clone();
            Plan::beside(&index.snapshot()?, last, list, &look.names(&key))?
        }
        _ => {
            let key = first_identity(i64::MIN);
            Plan::alone(list, &look.names(&key), &key)
        }
    };
    Ok(plan.answer(list))
}

/// The first generation of an index, with the numbers of a list.
fn begin(
    folder: &Folder,
    list: &UidList<'_>,
    lock: &Lock,
    generation: u64,
    progress: OnProgress<'_>,
) -> Result<Answer> {
    let (uid_validity, uid_floor) = (list.uid_validity, floor(list));
    let identity = Identity { generation, uid_validity, uid_floor, ..first_identity(i64::MIN) };
    let look = Look::at(folder)?;
    let names = look.names(&identity);
    let plan = Plan::alone(list, &names, &identity);
    let start = Start::without_history(0, false);
    let mut next = NewGeneration::begin(folder.dir(), lock, folder.access(), identity)?;
    let read = look.read(&names, &plan.adopt, progress, &mut |bytes, data| {
        next.push(bytes, start.counter, LastChange { number: start.counter, moved: false }, data)
    })?;
    if read.is_break() {
        return Ok(Answer::CalledOff);
    }
    next.commit(&start)?;
    Ok(plan.answer(list))
}

/// The next generation of an index, with what can be adopted.
fn extend(
    folder: &Folder,
    list: &UidList<'_>,
    mut writer: Writer<'_>,
    lock: &Lock,
    progress: OnProgress<'_>,
) -> Result<Answer> {
    if let Some(refused) = other_validity(writer.index(), list) {
        return Ok(refused);
    }
    let old = writer.index().identity().clone();
    let look = Look::at(folder)?;
    let names = look.names(&old);
    let last = writer.last_uid();
    let plan = Plan::beside(&writer.snapshot()?, last, list, &names)?;
    if plan.conflict_count > 0 {
        return Ok(plan.answer(list));
    }
    if plan.adopt.is_empty() {
        Uid::new(floor(list)).map_or(Ok(()), |uid| writer.raise_uid(uid))?;
        writer.finish()?;
        return Ok(plan.answer(list));
    }
    let uid_floor = last.max(floor(list));
    let snapshot = writer.snapshot()?;
    let (index, oldest) = (snapshot.index(), snapshot.index().oldest()?);
    let identity = Identity { generation: old.generation + 1, marker: new_marker(), uid_floor, ..old };
    let mut next = NewGeneration::begin(folder.dir(), lock, folder.access(), identity)?;
    let change = LastChange { number: snapshot.counter() + 1, moved: false };
    let (mut entries, mut bytes) = (index.entries()?, Vec::new());
    for slot in snapshot.slots() {
        let added = entries.copy_to(&slot, &mut bytes)?;
        let (mut status, mut changed) = (slot.status()?, slot.last_change()?);
        if plan.dying.binary_search(&slot.no()).is_ok() {
            (status, changed) = (Status::EXPUNGED, change);
        }
        let data = SlotData { uid: slot.uid()?, status, entry_at: 0, hash: slot.hash(), inode: slot.inode() };
        next.push(&mut bytes, added, changed, data)?;
    }
    let read =
        look.read(&names, &plan.adopt, progress, &mut |bytes, data| next.push(bytes, change.number, change, data))?;
    if read.is_break() {
        return Ok(Answer::CalledOff);
    }
    // Which directories they were is kept, for the guard; but they must be listed again.
    let stamp = |sub| index.header().stamp(sub).map(|stamp| Stamp { settled: false, ..stamp });
    let complete = index.marks()?.has(Marks::COMPLETE);
    next.commit(&Start { counter: change.number, oldest, complete, stamps: Sub::ALL.map(stamp) })?;
    Ok(plan.answer(list))
}

/// What a list says was given out.
fn floor(list: &UidList<'_>) -> u32 {
    (list.uid_next - 1) as u32
}

fn other_validity(index: &Index, list: &UidList<'_>) -> Option<Answer> {
    let uid_validity = (index.identity().uid_validity, list.uid_validity);
    let refusal = Refusal { uid_validity, conflicts: Vec::new(), count: 0 };
    (uid_validity.0 != uid_validity.1).then_some(Answer::Refused(refusal))
}

impl Plan {
    /// Where nothing was given out before: every mail that is there gets its number.
    fn alone(list: &UidList<'_>, names: &Names<'_>, key: &Identity) -> Plan {
        let mut plan = Plan { done: Adopted { created: true, ..Adopted::default() }, ..Plan::default() };
        plan.done.uid_next = list.uid_next;
        for line in &list.lines {
            match names.by_base(key.hash(&line.base), &line.base) {
                Some(file) => plan.adopt.push((line.uid, file)),
                None => plan.done.gone += 1,
            }
        }
        plan
    }

    /// Beside what was given out, up to the number `last`.
    fn beside(snapshot: &Snapshot<'_>, last: u32, list: &UidList<'_>, names: &Names<'_>) -> Result<Plan> {
        let key = snapshot.index().identity();
        let (mut entries, by_base) = (snapshot.index().entries()?, ByBase::new(snapshot)?);
        let mut plan = Plan::default();
        plan.done.created = last == 0;
        plan.done.uid_next = list.uid_next.max(u64::from(last) + 1);
        for line in &list.lines {
            let (uid, base) = (line.uid, &*line.base);
            let file = names.by_base(key.hash(base), base);
            let Some(slot) = snapshot.find_uid(uid)? else {
                match file {
                    None => plan.done.gone += 1,
                    Some(_) if uid.get() <= last => plan.conflict(uid, base, Here::Dead),
                    Some(file) => {
                        plan.adopt.push((uid, file));
                        plan.dying.extend(by_base.find(base, snapshot, &mut entries)?.map(|slot| slot.no()));
                    }
                }
                continue;
            };
            let is_dead = slot.status()?.has(Status::EXPUNGED);
            let entry = entries.read(&slot)?;
            match (entry.base == base, is_dead, file) {
                (true, false, _) => plan.done.agreed += 1,
                // Gone on both sides, or here a number that never had a mail.
                (true, true, None) => plan.done.gone += 1,
                (false, true, None) if entry.placeholder => plan.done.gone += 1,
                (_, true, Some(_)) => plan.conflict(uid, base, Here::Dead),
                (false, ..) => plan.conflict(uid, base, Here::Mail(entry.base.to_vec())),
            }
        }
        plan.dying.sort_unstable();
        Ok(plan)
    }

    fn conflict(&mut self, uid: Uid, wanted: &[u8], here: Here) {
        self.conflict_count += 1;
        if self.conflicts.len() < SHOWN {
            self.conflicts.push(Conflict { uid, wanted: wanted.to_vec(), here });
        }
    }

    fn answer(self, list: &UidList<'_>) -> Answer {
        let uid_validity = list.uid_validity;
        if self.conflict_count > 0 {
            let (conflicts, count) = (self.conflicts, self.conflict_count);
            return Answer::Refused(Refusal { uid_validity: (uid_validity, uid_validity), conflicts, count });
        }
        let (adopted, renumbered) = (self.adopt.len(), self.dying.len());
        Answer::Adopted(Adopted { uid_validity, adopted, renumbered, ..self.done })
    }
}

impl Look {
    /// Lists both directories while no mail can have gone from one to the other; if others never pause, the last time.
    fn at(folder: &Folder) -> Result<Look> {
        let maildir = folder.maildir();
        let stamp = || Stamp::now(maildir.root(), Sub::New);
        let mut before = stamp()?;
        for look in 1.. {
            let open = |sub| match maildir.sub(sub) {
                Ok(dir) => Ok(Some(dir)),
                Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
                Err(error) => Err(error),
            };
            let dirs: Subs = [open(Sub::New)?, open(Sub::Cur)?];
            let list = |sub: Sub| dirs[sub as usize].as_ref().map(Listing::read).transpose();
            let listings: Listings = [list(Sub::New)?, list(Sub::Cur)?];
            let after = stamp()?;
            let same = match (&before, &after) {
                (Some(before), Some(after)) => before.has_ticked() && before.is_same_state(after),
                (before, after) => before.is_none() && after.is_none(),
            };
            if same || look == MAX_LOOKS {
                return Ok(Look { dirs, listings });
            }
            before = after;
        }
        unreachable!("the loop has an end")
    }

    fn names(&self, key: &Identity) -> Names<'_> {
        Names::collect(&self.listings, |base| key.hash(base))
    }

    /// Reads mail and hands on its entries. What was renamed meanwhile, or cannot be read, is handed on with its name
    /// alone: by that, and its inode, the refresh that follows knows it again and reads it.
    fn read(
        &self,
        names: &Names<'_>,
        mails: &[(Uid, Candidate)],
        progress: OnProgress<'_>,
        take: &mut dyn FnMut(&mut [u8], SlotData) -> Result<()>,
    ) -> Result<ControlFlow<()>> {
        let request = |position: usize| {
            let (_, file) = &mails[position];
            Request { sub: file.sub, name: names.listed(file).name }
        };
        let mut end = ControlFlow::Continue(());
        let mut unread = Vec::new();
        read_all(&self.dirs, &request, mails.len(), |position, outcome| {
            let (uid, file) = &mails[position];
            let (listed, named) = (names.listed(file), names.status(file));
            let data = |status| SlotData { uid: *uid, status, entry_at: 0, hash: file.hash, inode: listed.ino };
            match outcome {
                Outcome::Read(mail) if mail.size == 0 => take(mail.entry, data(named.with(Status::EMPTY)))?,
                Outcome::Read(mail) => take(mail.entry, data(named))?,
                Outcome::Unreadable(_, entry) => take(entry, data(named.with(Status::UNREADABLE)))?,
                Outcome::Vanished => {
                    let nothing = Summary::default();
                    unread.clear();
                    Entry { unreadable: true, ..Entry::new(base_of(listed.name), 0, 0, &nothing) }.write(&mut unread);
                    take(&mut unread, data(named.with(Status::UNREADABLE)))?;
                }
                Outcome::NotMail => {}
            }
            end = progress(Progress { done: position + 1, total: mails.len() });
            Ok(end.is_continue())
        })?;
        Ok(end)
    }
}
