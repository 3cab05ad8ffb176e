//! Which messages a command line names: MSG arguments, a list on standard input, or paths in many folders.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use maildex::Error;
use maildex::ops::locate::{Inside, by_folder};
use maildex::query::message::MessageRef;

use crate::cli::exit::Usage;
use crate::cli::output::Output;
use crate::cli::setting;

/// Where messages are to be found.
pub struct Input<'a> {
    pub folder: Option<&'a Path>,
    /// In its place: any folder below this one.
    pub root: Option<&'a Path>,
    /// A list on standard input is separated by NULs.
    pub null: bool,
}

/// Calls `each` with every folder and the messages that are wanted in it.
///
/// What is wrong with an argument is wrong usage, and nothing is done. What is wrong with a line on standard input is
/// told, and the rest goes on; so is what goes wrong in one of many folders.
pub fn each_folder(
    input: &Input<'_>,
    words: &[OsString],
    out: &mut Output,
    mut each: impl FnMut(&Path, &[MessageRef], &mut Output) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(root) = input.root else {
        let folder = input.folder.ok_or(Usage("FOLDER is missing"))?;
        let wanted = in_one_folder(folder, words, input.null, out)?;
        return each(folder, &wanted, out);
    };
    let first = input.folder.map(|folder| folder.as_os_str().to_os_string());
    let words: Vec<_> = first.into_iter().chain(words.iter().cloned()).collect();
    let (given, listed) = parse(&words, input.null, out)?;
    let mut wrong = None;
    let mut groups = by_folder(root, given, &mut |error| wrong = Some(error))?;
    if let Some(wrong) = wrong {
        return Err(wrong.into());
    }
    groups.extend(by_folder(root, listed, &mut |error| out.failed(&error))?);
    for (folder, wanted) in groups {
        if let Err(error) = each(&folder, &wanted, out) {
            match error.downcast::<Error>() {
                Ok(error) if !is_of_all(&error) => out.failed(&error),
                Ok(error) => return Err(error.into()),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn in_one_folder(folder: &Path, words: &[OsString], null: bool, out: &mut Output) -> anyhow::Result<Vec<MessageRef>> {
    let (mut wanted, mut listed) = parse(words, null, out)?;
    if !wanted.iter().chain(&listed).any(|wanted| matches!(wanted, MessageRef::Path(_))) {
        wanted.append(&mut listed);
        return Ok(wanted); // nothing that can lead elsewhere
    }
    let folder = setting::open(folder)?;
    let mut inside = Inside::new(folder.maildir());
    inside.check(&wanted)?;
    for listed in listed {
        match inside.check([&listed]) {
            Ok(()) => wanted.push(listed),
            Err(error) => out.failed(&error),
        }
    }
    Ok(wanted)
}

/// The messages that are given, and those that standard input lists in the place of `-`.
fn parse(words: &[OsString], null: bool, out: &mut Output) -> anyhow::Result<(Vec<MessageRef>, Vec<MessageRef>)> {
    let is_list = |word: &OsString| word == "-";
    let (lists, words): (Vec<_>, Vec<_>) = words.iter().partition(|word| is_list(word));
    let listed = if lists.is_empty() {
        if null {
            return Err(Usage("-0 goes with - for a list on standard input").into());
        }
        if words.is_empty() {
            return Err(Usage("MSG is missing: UIDs, paths, base names, or - for a list on standard input").into());
        }
        Vec::new()
    } else {
        let mut listed = Vec::new();
        for item in list(null)? {
            match MessageRef::parse(&item) {
                Ok(wanted) => listed.push(wanted),
                Err(error) => out.failed(&error),
            }
        }
        listed
    };
    let given = words.into_iter().map(|word| MessageRef::parse(word)).collect::<Result<_, _>>()?;
    Ok((given, listed))
}

/// The items on standard input; empty ones do not count.
pub fn list(null: bool) -> anyhow::Result<Vec<OsString>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(|source| Error::Io {
        path: PathBuf::from("standard input"),
        doing: "cannot read",
        source,
    })?;
    let end = if null { 0 } else { b'\n' };
    let items = bytes.split(|&byte| byte == end).filter(|item| !item.is_empty());
    Ok(items.map(|item| OsString::from_vec(item.to_vec())).collect())
}

/// What goes wrong in every folder: nobody reads what is printed, or the words are no flags.
fn is_of_all(error: &Error) -> bool {
    match error {
        Error::Io { path, .. } => path.as_os_str() == OsStr::new("standard output"),
        error => matches!(error, Error::Spec { .. }),
    }
}
