use std::path::{Path, PathBuf};

use maildex::sync::Remote;

use crate::cli::exit::Exit;
use crate::cli::output::Output;

const EXAMPLES: &str = "\
Examples:
  Meet in a repository that the other machines can reach, too:
    git init --quiet --bare ~/hub.git
    maildex sync add-peer ~/Maildir hub ~/hub.git";

/// Say with which repository to exchange what happens
///
/// A hub is any bare repository of git, in a directory or on another machine (`ssh://host/path`). The repository of another
/// replica will do as well: two machines need no hub. Under a name that is known it takes the place of that peer.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail root: a Maildir, or a directory above several
    #[arg(value_name = "ROOT")]
    pub folder: PathBuf,
    /// What to call it: letters, digits, hyphens
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it is: a directory, or whatever git can fetch from and push to
    #[arg(value_name = "URL")]
    url: String,
}

pub fn run(args: &Args, _: &mut Output) -> anyhow::Result<Exit> {
    let replica = super::open(&args.folder)?;
    let is_word = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_word(&args.name) || args.name.starts_with('-') {
        let found = format!("a peer cannot be called {:?}", args.name);
        let advice = "letters, digits and hyphens make a name".into();
        return Err(maildex::Error::Sync { path: args.folder.clone(), found, advice }.into());
    }
    // A directory is meant from here, wherever a later run is started.
    let is_directory = !args.url.contains(':') && !args.url.starts_with('-');
    let url =
        if is_directory { std::path::absolute(&args.url)?.to_string_lossy().into_owned() } else { args.url.clone() };
    replica.repository.add_remote(&Remote { name: args.name.clone(), url: url.clone() })?;
    if is_directory {
        // If it is not there yet, or not ours to change, a push across a cut will say what it needs.
        let _ = maildex::sync::Repository::takes_cuts(Path::new(&url));
    }
    Ok(Exit::Done)
}
