use std::os::unix::fs::symlink;
use std::path::PathBuf;

use maildex::sync::replica::Replica;

use super::place;
use crate::cli::exit::Exit;
use crate::cli::output::Output;

const EXAMPLES: &str = "\
Examples:
  The mail of a laptop, by way of a hub, which can be any bare repository of git:
    git init --quiet --bare ~/hub.git
    maildex sync init ~/Maildir --name laptop
    maildex sync add-peer ~/Maildir hub ~/hub.git
    maildex sync run ~/Maildir";

/// Make a replica of a mail root
///
/// Its repository is made outside of the mail root, below `$XDG_STATE_HOME/maildex` (or `~/.local/state/maildex`), or in
/// DIR. Nothing happens to the mail. Done again it changes nothing but --trash-days.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail root: a Maildir, or a directory above several
    #[arg(value_name = "ROOT")]
    pub folder: PathBuf,
    /// Where to make the repository
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// What to call this replica; if not given, as the host is called
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How many days mail that others have removed is kept; 30 if it was never said
    #[arg(long, value_name = "DAYS")]
    trash_days: Option<u32>,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = args.name.clone().unwrap_or_else(host);
    let place = place(&args.folder)?;
    let failed = |source| maildex::Error::Io { path: place.clone(), doing: "cannot create", source };
    let path = match &args.repo {
        None => std::fs::canonicalize(&place).unwrap_or_else(|_| place.clone()),
        Some(repo) => {
            let repo = std::path::absolute(repo)?;
            if let Ok(real) = std::fs::canonicalize(&place)
                && std::fs::canonicalize(&repo).ok().as_ref() != Some(&real)
            {
                let found = format!("has a repository already, {}", real.display());
                let advice = "leave out --repo, or move that one away".into();
                return Err(maildex::Error::Sync { path: args.folder.clone(), found, advice }.into());
            }
            repo
        }
    };
    let replica = Replica::init(&args.folder, &path, &name.replace(char::is_control, " "))?;
    if let Some(days) = args.trash_days {
        replica.set_trash_days(days)?;
    }
    if args.repo.is_some() && !place.exists() {
        std::fs::create_dir_all(place.parent().unwrap_or(&place)).map_err(failed)?;
        symlink(&path, &place).map_err(failed)?;
    }
    out.note(format_args!(
        "{}: replica {} ({}) in {}",
        args.folder.display(),
        replica.id,
        replica.name,
        path.display()
    ));
    Ok(Exit::Done)
}
