use std::io::Write;
use std::path::PathBuf;

use maildex::ops::sync;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::{json, text};

const EXAMPLES: &str = "\
Examples:
  Has everybody got what happened here?
    maildex sync status ~/Maildir
  What have others removed?
    maildex sync status ~/Maildir --trash";

/// Say how it stands with a replica
///
/// As of its last run; no other machine is called. In a pipe: one value a line, after its name and a tab.
///
/// Mail that was expunged is in the history until that is cut (sync cut), here and in every peer. For those that are late,
/// because they have not heard of everything, it is kept.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail root: a Maildir, or a directory above several
    #[arg(value_name = "ROOT")]
    pub folder: PathBuf,
    /// List the mail that others have removed: its id, and the folder and name that it had
    #[arg(long)]
    trash: bool,
    /// Print it as one JSON object
    #[arg(long, conflicts_with = "trash")]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let replica = super::open(&args.folder)?;
    let status = sync::status(&replica)?;
    if args.json {
        json::sync_status(out.stdout(), &args.folder, &replica, &status)?;
        return Ok(Exit::Done);
    }
    let is_terminal = out.width().is_some();
    if args.trash {
        for trashed in &status.trashed {
            write!(out.stdout(), "{}\t", trashed.guid)?;
            text::bytes(out.stdout(), trashed.path().as_os_str().as_encoded_bytes(), is_terminal)?;
            out.line("")?;
        }
        return Ok(Exit::Done);
    }
    let mut lines = vec![
        ("replica", format!("{} {}", replica.id, replica.name)),
        ("repository", replica.path.to_string_lossy().into_owned()),
        ("folders", status.folders.to_string()),
        ("messages", status.mails.to_string()),
        ("pending", if status.pending { "yes" } else { "no" }.into()),
        ("trash", status.trashed.len().to_string()),
        ("commits", status.commits.to_string()),
    ];
    for (remote, has_all) in &status.remotes {
        let state = if *has_all { "has all" } else { "is behind" };
        lines.push(("peer", format!("{} {state} {}", remote.name, remote.url)));
    }
    lines.extend(status.late.iter().map(|id| ("late", id.to_string())));
    lines.extend(status.waiting.iter().map(|id| ("waiting", id.clone())));
    for (name, value) in lines {
        if is_terminal {
            write!(out.stdout(), "{name:<12}")?;
            text::escaped_for_terminal(out.stdout(), &value)?;
        } else {
            write!(out.stdout(), "{name}\t")?;
            text::field(out.stdout(), &value)?;
        }
        out.line("")?;
    }
    Ok(Exit::Done)
}
