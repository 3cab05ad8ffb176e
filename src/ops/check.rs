//! What is wrong with an index: read-only, field by field, without stopping at the first.
//!
//! An index that is merely behind its folder is not damaged. A writer may be at work meanwhile; what it stores is whole
//! at each moment, so it is no damage either.

use std::collections::HashMap;

use crate::error::{Damage, Error, Result};
use crate::folder::Folder;
use crate::format::header::Marks;
use crate::format::status::Status;
use crate::index::generation::generations;
use crate::index::walk::{Stretch, walk};
use crate::index::{Column, Index, OFFSETS, Slot, Snapshot, index_name};

/// What a check found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Live messages whose slot and entry are sound.
    pub messages: usize,
    /// Bytes that cannot be true.
    pub damage: Vec<Damage>,
    /// Worth knowing, and no damage.
    pub notes: Vec<String>,
}

/// Looks at every field of both files.
pub fn check(folder: &mut Folder) -> Result<Findings> {
    let mut found = Findings::default();
    leftovers(folder, &mut found)?;
    let index = match folder.index() {
        Ok(index) => index,
        Err(Error::Damaged(damage)) => {
            found.damage.push(damage);
            return Ok(found);
        }
        Err(error) => return Err(error),
    };
    header(index, &mut found);
    match index.snapshot() {
        Ok(snapshot) => {
            slots(&snapshot, &mut found)?;
            entries(snapshot.index(), &mut found)?;
        }
        Err(Error::Damaged(_)) => {} // the header's words, told above
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Files of ours that a killed writer left.
fn leftovers(folder: &mut Folder, found: &mut Findings) -> Result<()> {
    let named = match folder.index() {
        Ok(index) => index.identity().generation,
        Err(_) => return Ok(()),
    };
    for generation in generations(folder.dir())? {
        if generation != named {
            let path = folder.file(&index_name(generation));
            found.notes.push(format!("{}: not named by {OFFSETS}; the next build removes it", path.display()));
        }
    }
    Ok(())
}

fn header(index: &Index, found: &mut Findings) {
    use crate::format::header::at;
    let header = index.header();
    let mut number = |at, what: &str, value: Option<u64>| {
        if value.is_none() {
            found.damage.push(Damage {
                path: index.offsets_path(),
                at,
                what: what.into(),
                found: "a wrong checksum".into(),
                expected: "a number".into(),
            });
        }
        value
    };
    let count = number(at::COUNT, "count", header.count());
    let counter = number(at::COUNTER, "change counter", header.counter());
    let oldest = number(at::OLDEST, "oldest change", header.oldest());
    number(at::MARKS, "marks", header.marks().map(|_| 0));
    if let (Some(counter), Some(oldest)) = (counter, oldest)
        && oldest > counter
        && !header.marks().is_some_and(|marks| marks.has(Marks::WRITING))
    {
        let (found_oldest, expected) = (oldest.to_string(), format!("at most the change counter, {counter}"));
        let damage = Damage {
            path: index.offsets_path(),
            at: at::OLDEST,
            what: "oldest change".into(),
            found: found_oldest,
            expected,
        };
        found.damage.push(damage);
    }
    if let Some(count) = count
        && count > index.capacity()
    {
        found.damage.push(Damage {
            path: index.offsets_path(),
            at: at::COUNT,
            what: "count".into(),
            found: count.to_string(),
            expected: format!("at most {}, for which the file has room", index.capacity()),
        });
    }
    let marks = header.marks().unwrap_or(Marks::NONE);
    let path = index.offsets_path();
    if marks.has(Marks::WRITING) {
        found.notes.push(format!("{}: a writer is at work, or was killed; the next one completes it", path.display()));
    }
    if marks.has(Marks::FAILED) {
        found.notes.push(format!("{}: a sync failed; the next build writes the files anew", path.display()));
    }
    if !marks.has(Marks::COMPLETE) {
        found.notes.push(format!("{}: the first build has not finished", path.display()));
    }
}

/// Each slot: its own words, its entry, and its neighbours.
fn slots(snapshot: &Snapshot<'_>, found: &mut Findings) -> Result<()> {
    let mut reader = snapshot.index().entries()?;
    let mut bases: HashMap<u64, (u32, u64)> = HashMap::new();
    let mut last = 0;
    // Between two stores of a writer, a killed one too, these may disagree for a while.
    let at_rest = !snapshot.index().marks().is_ok_and(|marks| marks.has(Marks::WRITING));
    for slot in snapshot.slots() {
        let before = found.damage.len();
        let uid = sound(slot.uid(), found)?;
        if let Some(uid) = uid {
            if uid.get() <= last {
                let expected = format!("more than {last}, the UID before it");
                found.damage.push(wrong(snapshot, &slot, Column::Uid, "uid", uid.to_string(), expected));
            }
            last = last.max(uid.get());
        }
        let changed = sound(slot.changed(), found)?;
        if let Some(changed) = changed
            && changed > snapshot.index().header().counter().unwrap_or(changed) + 1
        {
            let expected = format!("at most {}, the next change", snapshot.counter() + 1);
            found.damage.push(wrong(snapshot, &slot, Column::Changed, "change number", changed.to_string(), expected));
        }
        let status = sound(slot.status(), found)?;
        if uid.is_some()
            && let Some(entry) = sound(reader.read(&slot), found)?
        {
            let hash = snapshot.index().identity().hash(entry.base);
            if slot.hash() != hash && at_rest {
                let (is, should) = (format!("{:#018x}", slot.hash()), format!("{hash:#018x}"));
                found.damage.push(wrong(snapshot, &slot, Column::Hash, "base name hash", is, should));
            }
            if let (Some(status), Some(uid)) = (status, uid)
                && !status.has(Status::EXPUNGED)
                && at_rest
                && let Some((other, _)) = bases.insert(hash, (uid.get(), slot.entry_at()))
            {
                let (is, should) = (format!("UID {other} and UID {uid}"), "one live UID".into());
                found.damage.push(wrong(snapshot, &slot, Column::Hash, "base name", is, should));
            }
        }
        let live = status.is_some_and(|status| !status.has(Status::EXPUNGED));
        found.messages += usize::from(live && found.damage.len() == before);
    }
    Ok(())
}

/// Bytes of the index file that are no entry. Torn tails are burnt and no damage; so this only tells how much there is.
fn entries(index: &Index, found: &mut Findings) -> Result<()> {
    let map = index.map_entries()?;
    let mut burnt = 0;
    walk(&map, index.seal(), 0, |stretch| {
        if let Stretch::Gap(from, to, _) = stretch {
            burnt += to - from;
        }
    });
    if burnt > 0 {
        let path = index.index_path();
        found
            .notes
            .push(format!("{}: {burnt} bytes hold no entry (left by a killed writer, or damaged)", path.display()));
    }
    Ok(())
}

/// The value, or its damage among the findings.
fn sound<T>(value: Result<T>, found: &mut Findings) -> Result<Option<T>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Error::Damaged(damage)) => {
            found.damage.push(damage);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn wrong(
    snapshot: &Snapshot<'_>,
    slot: &Slot<'_>,
    column: Column,
    what: &str,
    found: String,
    expected: String,
) -> Damage {
    let what = format!("{what} of slot {}", slot.no().0);
    Damage { path: snapshot.index().offsets_path(), at: slot.at(column), what, found, expected }
}
