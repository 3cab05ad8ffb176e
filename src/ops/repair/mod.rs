//! What is wrong with an index, mended at a person's word, field by field.
//!
//! A build mends by itself whatever costs no UID, as soon as it meets it. This looks for all of it, says what it found and
//! what it made of that, and does what needs a person: to begin anew where nothing proves which UIDs were given out, and
//! to put names of mail in order. The mail itself is never touched, and its names only if that is asked for.

mod made;
pub mod names;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::index::salvage::Salvage;
use crate::lock::{Owner, Wait};
use crate::ops::check::{Finding, Severity, check};
use crate::refresh::{Fate, OnProgress, Options as Refresh, Rebuild, Report, refresh};

use made::Made;
use names::{Disorder, disorder};

/// What may be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Begin anew, with another UIDVALIDITY, if nothing proves which UIDs were given out.
    pub new_uid_validity: bool,
    /// Put names of mail in order.
    pub normalise_names: bool,
    /// Believe it, however many messages are gone.
    pub accept_removals: bool,
}

/// Something that was wrong.
#[derive(Debug)]
pub struct Mended {
    /// What it was.
    pub finding: Finding,
    /// What was made of it.
    pub made: String,
}

/// What a repair did, or would do.
#[derive(Debug, Default)]
pub struct Repaired {
    /// What was wrong: field by field, UIDs that die, names that were changed.
    pub mended: Vec<Mended>,
    /// The files were written anew.
    pub rebuilt: Option<Rebuilt>,
    /// Names of mail that are out of order and stay so, because nobody asked for a change.
    pub disorder: Disorder,
    /// Names that could not be changed.
    pub failed: Vec<Error>,
    /// What the refresh at the end did; `None` of a dry run.
    pub report: Option<Report>,
    /// What is wrong even so.
    pub left: Vec<Finding>,
}

/// Both files, written anew.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Messages that keep their UIDs.
    pub kept: usize,
    /// Of these so many have their entry from the mail.
    pub read_again: usize,
    /// UIDs that die although a mail with their base name is there.
    pub lost: usize,
    /// No other message can be missing.
    pub is_whole: bool,
    /// UIDVALIDITY before, as far as it could be read, and now. `None` if it stays.
    pub new_uid_validity: Option<NewUidValidity>,
}

/// UIDVALIDITY before, as far as it could be read, and now.
pub type NewUidValidity = (Option<u32>, u32);

/// Looks for everything that is wrong, and mends it. `told` hears whom it waits for.
pub fn repair(
    folder: &mut Folder,
    options: Options,
    wait: Wait,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Repaired> {
    let mut done = Repaired::default();
    let damage = damage(folder)?;
    if damage.iter().any(|finding| !is_behind(finding)) {
        let lock = if options.dry_run { None } else { Some(folder.lock("repair", wait, told)?) };
        let (mut rebuild, new_uid_validity) = plan(folder, options.new_uid_validity)?;
        rebuild.guard(folder, options.accept_removals)?;
        done.mended = mended(folder, damage, Some(&rebuild))?;
        done.mended.extend(rebuild.dead(folder).into_iter().map(|(uid, fate)| died(folder, uid, &fate)));
        let (kept, read_again) = (rebuild.kept(), rebuild.read_again());
        if let Some(lock) = lock {
            rebuild.carry_out(folder, options.accept_removals, &lock)?;
            lock.release()?;
        }
        let (lost, is_whole) = (rebuild.renumbered().len(), rebuild.is_whole());
        done.rebuilt = Some(Rebuilt { kept, read_again, lost, is_whole, new_uid_validity });
    } else {
        done.mended = mended(folder, damage, None)?;
    }
    if options.normalise_names && !options.dry_run {
        let lock = folder.lock("repair", wait, told)?;
        done.disorder = disorder(folder)?;
        rename(folder, &mut done);
        lock.release()?;
    } else {
        done.disorder = disorder(folder)?;
    }
    if options.dry_run {
        let renames = if options.normalise_names { std::mem::take(&mut done.disorder.renames) } else { Vec::new() };
        done.mended.extend(renames.iter().map(|rename| rename.describe(folder)));
        return Ok(done);
    }
    let thorough = Refresh { full: true, heal: true, accept_removals: options.accept_removals, uncounted: false };
    done.report = Some(refresh(folder, thorough, wait, told, progress)?);
    done.left = self::damage(folder)?;
    Ok(done)
}

/// Everything that cannot be true.
fn damage(folder: &Folder) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    check(folder, false, &mut |finding| {
        if finding.severity == Severity::Damage {
            found.push(finding.clone());
        }
    })?;
    Ok(found)
}

/// Whether a listing mends it.
fn is_behind(finding: &Finding) -> bool {
    finding.kind == "folder"
}

/// What proves itself; if nothing does and a person has said so, a new beginning.
fn plan(folder: &Folder, new_uid_validity: bool) -> Result<(Rebuild, Option<NewUidValidity>)> {
    match Salvage::collect(folder.dir()) {
        Err(Error::NothingLeft { .. } | Error::TwoIndexes { .. }) if new_uid_validity => {
            let (salvage, before) = Salvage::start_over(folder.dir(), folder.touched()?)?;
            let now = salvage.identity.uid_validity;
            Ok((Rebuild::plan(folder, salvage)?, Some((before, now))))
        }
        found => Ok((Rebuild::plan(folder, found?)?, None)),
    }
}

fn mended(folder: &Folder, damage: Vec<Finding>, rebuild: Option<&Rebuild>) -> Result<Vec<Mended>> {
    let made = Made::new(folder, rebuild, &damage)?;
    Ok(damage.into_iter().map(|finding| Mended { made: made.of(&finding), finding }).collect())
}

fn died(folder: &Folder, uid: Uid, fate: &Fate) -> Mended {
    let path = folder.path().to_path_buf();
    let (found, made) = match fate {
        Fate::Renumbered(mail) => {
            let found = format!("{}, which nothing proves to be its mail still", mail.display());
            (found, "it dead; the mail gets a new UID")
        }
        _ => ("no file with its base name".into(), "it dead"),
    };
    let (severity, kind, what, expected) = (Severity::Damage, "uid", format!("mail of UID {uid}"), String::new());
    let finding = Finding { severity, kind, path, at: None, what, found, expected, hint: None };
    Mended { finding, made: made.into() }
}

/// Puts names in order.
fn rename(folder: &Folder, done: &mut Repaired) {
    for rename in std::mem::take(&mut done.disorder.renames) {
        match rename.carry_out(folder) {
            Ok(true) => done.mended.push(rename.describe(folder)),
            Ok(false) => {} // somebody else has renamed or removed it
            Err(error) => done.failed.push(error),
        }
    }
}
