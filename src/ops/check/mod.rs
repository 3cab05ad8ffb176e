//! What is wrong with an index, and what is odd about its folder: read-only, field by field, without stopping at the first.
//!
//! Three levels. Damage is what cannot be true: of the bytes of our files by themselves, of the files against each other,
//! and of the index against the folder, there only where the stamps prove that the index is not merely behind. A note is
//! worth knowing and no damage. The rest is for who wants to know everything.
//!
//! A writer may be at work meanwhile. Each word is whole at every moment; what two words say together is looked at again
//! until no writer came in between, and where one is at work, or was killed, it is left undecided.

mod deep;
mod entries;
mod folder;
mod headers;
mod host;
mod slots;

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::{Damage, Error, Result};
use crate::folder::Folder;
use crate::format::block::{self, COLUMNS};
use crate::format::header::{BootId, HeaderPage, Marks};
use crate::format::status::Status;
use crate::format::word::LastChange;
use crate::format::{SlotNo, Uid};
use crate::index::OFFSETS;
use crate::index::as_is::AsIs;
use crate::lock::{Holder, holder};
use crate::system::boot_id;

pub use host::host;

/// Looks at what two words say together, while others write.
const LOOKS: usize = 5;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something that cannot be true.
    Damage,
    /// Worth knowing, and no damage.
    Note,
    /// For who wants to know everything.
    Detail,
}

impl Severity {
    /// As scripts get it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Damage => "damage",
            Severity::Note => "note",
            Severity::Detail => "detail",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing, in a word for scripts.
    pub kind: &'static str,
    /// The file, or the folder.
    pub path: PathBuf,
    /// Offset in bytes of the field.
    pub at: Option<u64>,
    /// The field; of a note all that is to be said.
    pub what: String,
    /// What it holds; empty where that is said already.
    pub found: String,
    /// What it should hold; empty where that is said already.
    pub expected: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if let Some(at) = self.at {
            write!(f, "offset {at}: ")?;
        }
        write!(f, "{}", self.what)?;
        if !self.found.is_empty() {
            write!(f, ": found {}", self.found)?;
        }
        if !self.expected.is_empty() {
            write!(f, ", expected {}", self.expected)?;
        }
        Ok(())
    }
}

/// What a check comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Live messages whose slot and entry are sound.
    pub messages: usize,
    /// Findings that are damage.
    pub damage: usize,
    /// Findings that are notes.
    pub notes: usize,
}

/// Hears of each finding, as soon as it is made.
pub type Tell<'t> = &'t mut dyn FnMut(&Finding);

/// Looks at every field of both files, at the names in the folder, and if `deep` into every mail.
pub fn check(folder: &Folder, deep: bool, tell: Tell<'_>) -> Result<Checked> {
    let path = || folder.path().to_path_buf();
    let Some(index) = AsIs::open(folder.dir())? else { return Err(Error::NoIndex { path: path() }) };
    if index.header().is_none() && folder.dir().id_of(OFFSETS)?.is_none() && !is_free(folder)? {
        return Err(Error::Unfinished { path: path() });
    }
    let mut check =
        Check { folder, index, boot: boot_id()?, uids: Vec::new(), undecided: 0, checked: Checked::default(), tell };
    check.headers()?;
    check.slots()?;
    check.entries()?;
    let matches = check.folder()?;
    if deep {
        check.deep(&matches)?;
    }
    check.surroundings()?;
    check.tell_undecided();
    Ok(check.checked)
}

/// Whether nobody has the folder's lock.
fn is_free(folder: &Folder) -> Result<bool> {
    Ok(matches!(holder(folder.dir())?, Holder::Nobody))
}

/// A check that is under way.
struct Check<'a> {
    folder: &'a Folder,
    index: AsIs,
    boot: BootId,
    /// The UID of each published slot, 0 where that is damaged.
    uids: Vec<u32>,
    /// Words that do not fit each other, while a writer was at work or is said to be.
    undecided: usize,
    checked: Checked,
    tell: Tell<'a>,
}

/// The words of a slot.
#[derive(Debug, Clone, Copy)]
struct Row {
    no: SlotNo,
    uid: Option<Uid>,
    status: Option<Status>,
    changed: Option<LastChange>,
    entry_at: u64,
    hash: u64,
    inode: u64,
    /// As they stand there.
    raw: [u64; COLUMNS.len()],
}

impl Row {
    /// Loads them; `None` beyond the file, or if nothing says which index this is.
    fn load(index: &AsIs, no: SlotNo) -> Option<Row> {
        let (block, row) = (index.block(no.block())?, no.row());
        let id = &index.identity()?.id;
        let columns = [&block.status, &block.changed, &block.entry_at, &block.hash, &block.inode, &block.uid];
        let raw = columns.map(|column| column[row].load());
        let [status, changed, entry_at, hash, inode, uid] = raw;
        Some(Row {
            no,
            uid: block::decode_uid(uid, id, no),
            status: Status::decode(status),
            changed: LastChange::decode(changed),
            entry_at,
            hash,
            inode,
            raw,
        })
    }

    /// Its status, if it is that of a message that lives.
    fn live(&self) -> Option<Status> {
        self.status.filter(|status| !status.has(Status::EXPUNGED))
    }
}

impl Check<'_> {
    fn tell(&mut self, finding: &Finding) {
        match finding.severity {
            Severity::Damage => self.checked.damage += 1,
            Severity::Note => self.checked.notes += 1,
            Severity::Detail => {}
        }
        (self.tell)(finding);
    }

    fn damage(&mut self, kind: &'static str, damage: Damage) {
        let Damage { path, at, what, found, expected } = damage;
        let hint = Some(self.mend());
        let severity = Severity::Damage;
        self.tell(&Finding { severity, kind, path, at: Some(at), what, found, expected, hint });
    }

    /// A word of the offsets file that says what cannot be.
    fn word(&mut self, kind: &'static str, at: u64, what: &str, found: impl Into<String>, expected: impl Into<String>) {
        let damage = self.wrong(at, what, found, expected);
        self.damage(kind, damage);
    }

    fn wrong(&self, at: u64, what: &str, found: impl Into<String>, expected: impl Into<String>) -> Damage {
        let path = self.index.offsets_path();
        Damage { path, at, what: what.into(), found: found.into(), expected: expected.into() }
    }

    fn note(&mut self, kind: &'static str, path: PathBuf, at: Option<u64>, what: impl Into<String>) {
        self.note_with(kind, path, at, what, None);
    }

    fn note_with(
        &mut self,
        kind: &'static str,
        path: PathBuf,
        at: Option<u64>,
        what: impl Into<String>,
        hint: Option<String>,
    ) {
        let (found, expected, severity) = (String::new(), String::new(), Severity::Note);
        self.tell(&Finding { severity, kind, path, at, what: what.into(), found, expected, hint });
    }

    fn detail(&mut self, kind: &'static str, path: PathBuf, what: impl Into<String>, hint: Option<String>) {
        let (found, expected, severity) = (String::new(), String::new(), Severity::Detail);
        self.tell(&Finding { severity, kind, path, at: None, what: what.into(), found, expected, hint });
    }

    /// What mends damage.
    fn mend(&self) -> String {
        format!(
            "maildex repair {} mends it; with --dry-run it only says what that would cost",
            self.folder.path().display()
        )
    }

    /// What brings the index up to date.
    fn build(&self) -> String {
        format!("maildex build {}", self.folder.path().display())
    }

    fn header(&self) -> Option<&HeaderPage> {
        self.index.header()
    }

    /// Whether the last writer ended well and none is at work: then all words fit each other.
    fn is_calm(&self) -> bool {
        self.header().is_some_and(|header| {
            header.marks().is_some_and(|marks| !marks.has(Marks::WRITING)) && header.boot() == Some(self.boot)
        })
    }

    fn counter(&self) -> Option<u64> {
        self.header().and_then(HeaderPage::counter)
    }

    /// Tells what words say that do not fit each other, if they still do when no writer comes in between.
    fn disagreement(&mut self, kind: &'static str, mut look: impl FnMut(&Self) -> Option<Damage>) -> ControlFlow<()> {
        for _ in 0..LOOKS {
            let counter = self.counter();
            let Some(damage) = look(self) else { return ControlFlow::Continue(()) };
            if !self.is_calm() {
                break;
            }
            if self.counter() == counter {
                self.damage(kind, damage);
                return ControlFlow::Break(());
            }
        }
        self.undecided += 1;
        ControlFlow::Continue(())
    }

    fn tell_undecided(&mut self) {
        if self.undecided > 0 {
            let what = format!(
                "{} words do not fit each other, as while a writer is at work, or after one was killed",
                self.undecided
            );
            let build = format!("the next build completes it: {}", self.build());
            self.note_with("interrupted", self.index.offsets_path(), None, what, Some(build));
        }
    }

    /// Who has the lock, and where the files are.
    fn surroundings(&mut self) -> Result<()> {
        let path = self.folder.path().to_path_buf();
        let (text, kind) = (lock_text(self.folder)?, crate::network::kind(self.folder.dir()));
        self.detail("lock", path.clone(), text, None);
        if let Some(kind) = kind {
            let directory = self.folder.dir().path().to_path_buf();
            self.detail("file-system", directory, format!("the index is on {kind}"), None);
        }
        Ok(())
    }
}

fn lock_text(folder: &Folder) -> Result<String> {
    Ok(match holder(folder.dir())? {
        Holder::Nobody => "the lock is free".into(),
        Holder::Somebody(Some(owner)) => owner.to_string(),
        Holder::Somebody(None) => "the lock is held by a process that cannot be named".into(),
    })
}

/// A path for the eye: of a mail by its directory and name.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
