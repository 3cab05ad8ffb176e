use std::ffi::OsString;
use std::path::PathBuf;

use maildex::ops::sync;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::{setting, text};

const EXAMPLES: &str = "\
Examples:
  Have back whatever others have removed:
    maildex sync status ~/Maildir --trash | cut -f 1 | xargs -r maildex sync undelete ~/Maildir";

/// Put mail back that another replica has removed
///
/// It comes back to its folder, with its flags, and with the next run to everybody. Mail is kept for 30 days.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail root: a Maildir, or a directory above several
    #[arg(value_name = "ROOT")]
    pub folder: PathBuf,
    /// Which: base names, paths or ids, as sync status --trash lists them
    #[arg(value_name = "MSG", required = true)]
    messages: Vec<OsString>,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let replica = super::open(&args.folder)?;
    let wanted: Vec<_> = args.messages.iter().map(OsString::as_os_str).collect();
    let restored = sync::undelete(&replica, setting::get(), &wanted)?;
    let is_terminal = out.width().is_some();
    for path in &restored.mails {
        text::bytes(out.stdout(), path.as_os_str().as_encoded_bytes(), is_terminal)?;
        out.line("")?;
    }
    out.failed_all(&restored.failed);
    Ok(Exit::Done)
}
