//! One verb, many folders: `-r`.

use std::collections::BTreeSet;
use std::path::Path;

use maildex::tree;

use crate::cli::exit::{self, Exit};
use crate::cli::output::Output;
use crate::cli::signals;

/// The option of verbs that can do this; to be flattened into theirs.
#[derive(clap::Args)]
pub struct Recursive {
    /// Do so with each folder below FOLDER: .Sent.2026 of Maildir++, nested directories
    #[arg(short, long)]
    pub recursive: bool,
}

impl Recursive {
    /// Does `each` with the folder, or with all below it. What is broken is told, and the rest goes on.
    pub fn each(
        &self,
        root: &Path,
        out: &mut Output,
        mut each: impl FnMut(&Path, &mut Output) -> anyhow::Result<Exit>,
    ) -> anyhow::Result<Exit> {
        if !self.recursive {
            return each(root, out);
        }
        let tree = tree::find(root)?;
        out.failed_all(&tree.unreadable);
        if tree.folders.is_empty() {
            out.error(format_args!("{}: there is no mail folder in it or below", root.display()), None);
            return Ok(Exit::Unusable);
        }
        let mut exits = BTreeSet::new();
        for folder in tree.folders {
            let done = each(&folder, out);
            exits.insert(match done {
                Ok(exit) => exit,
                Err(error) if exit::is_closed(&error) => return Err(error),
                Err(error) => exit::report(&error, &folder, out),
            });
            if signals::asked() {
                break;
            }
        }
        Ok(exit::of_all(exits))
    }
}
