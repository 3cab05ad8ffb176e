use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use maildex::ops::replace::replace;
use maildex::query::message::MessageRef;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::waiting::{self, Waiting};
use crate::cli::{build, renamed, setting};

const EXAMPLES: &str = "\
Examples:
  Take the word [SPAM] out of a subject; by files, so that what fails half-way replaces nothing:
    maildex cat ~/Maildir 3 > old
    sed '/^Subject:/s/\\[SPAM\\] //' old > new && maildex replace ~/Maildir 3 < new";

/// Give a message new contents, from standard input
///
/// The new mail gets a file name and a UID of its own, for a UID never refers to another mail; flags and time of delivery
/// stay. It is whole and on disk before the old one is taken away, for good. Nothing is changed if standard input is empty,
/// as after a command that failed; that half a mail is not the whole one nobody can know. Prints UID and path of the new
/// message, separated by a tab.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// The message: a UID, a path or a base name
    #[arg(value_name = "MSG")]
    message: OsString,
    #[command(flatten)]
    waiting: Waiting,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let mut folder = setting::open(&args.folder)?;
    let wanted = MessageRef::parse(&args.message)?;
    let done = replace(
        &mut folder,
        &wanted,
        &mut io::stdin().lock(),
        args.waiting.time,
        &mut waiting::tell(&args.folder, out),
        &mut build::until_asked,
    )?;
    if let Some(report) = &done.refreshed {
        build::problems(report, &args.folder, out);
    }
    renamed::print(&args.folder, &mut folder, [(&done.message, Some(done.was_uid))], args.json, out)?;
    Ok(Exit::Done)
}
