use std::path::PathBuf;

use maildex::ops::sync;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::text;

const EXAMPLES: &str = "\
Examples:
  Let go what everybody has heard, here; then on the hub, where it is:
    maildex sync cut ~/Maildir
    maildex sync cut ~/hub.git";

/// Let go of history that every replica has heard, and of mail that was expunged
///
/// The repository keeps what happened until it is cut: mail that was expunged, too. What every replica has taken up is not
/// needed any more: its history goes, and all that only it holds. What somebody has not heard stays, and it is said who
/// that is: one that will not come back is forgotten with sync forget.
///
/// Each replica, and each hub, keeps its own: mail is gone when all have cut. In place of ROOT it can be a hub, a bare
/// repository on this machine. Nobody should push to the repository meanwhile.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail root, or the repository of a hub
    #[arg(value_name = "ROOT")]
    pub folder: PathBuf,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let is_hub = args.folder.join("HEAD").is_file() && args.folder.join("objects").is_dir();
    let cut = if is_hub { sync::cut_hub(&args.folder)? } else { sync::cut(&super::open(&args.folder)?)? };
    for id in &cut.late {
        let root = args.folder.display();
        out.note(format_args!("{root}: the replica {id} has not heard of everything; what it has not heard stays"));
    }
    if !cut.late.is_empty() {
        let advice = "when it has, cut again; if it will not come back: maildex sync forget ROOT REPLICA";
        out.note_hint(Some(advice.into()));
    }
    let (after, before) = (text::count(cut.after, "commit"), cut.before);
    out.line(format_args!("{after} of {before} kept"))?;
    Ok(Exit::Done)
}
