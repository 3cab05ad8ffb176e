//! Man pages and completions, from the same definitions as `--help`; and the README's picture of a list.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::{complete, manual, picture};

/// Write man pages, completions, and the picture of a list
///
/// For packagers and for the repository, where they lie ready made. What is not made any more is removed.
#[derive(clap::Args)]
pub struct Args {
    /// Directory to hold man, completions and docs
    pub dir: PathBuf,
}

/// The shells, and the file names under which they look for completions.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "maildex.bash"), (Shell::Zsh, "_maildex"), (Shell::Fish, "maildex.fish")];

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let command = visible(&Cli::command());
    let pages = manual::pages(&command);
    write_all(&args.dir.join("man"), &pages, out)?;
    let completions = SHELLS.map(|(shell, name)| (name.to_string(), complete::script(shell, &command)));
    write_all(&args.dir.join("completions"), &completions, out)?;
    write_all(&args.dir.join("docs"), &[("list.svg".to_string(), picture::list()?)], out)?;
    Ok(Exit::Done)
}

/// The definitions without hidden verbs, which `clap_complete` would offer.
fn visible(all: &Command) -> Command {
    let verbs = all.get_subcommands().filter(|verb| !verb.is_hide_set());
    Command::new("maildex")
        .version(env!("CARGO_PKG_VERSION"))
        .about(all.get_about().cloned().unwrap_or_default())
        .long_about(all.get_long_about().cloned().unwrap_or_default())
        .args(all.get_arguments().cloned())
        .subcommands(verbs.cloned().map(with_directories))
}

/// Of folders shells offer directories alone.
fn with_directories(verb: Command) -> Command {
    let verbs: Vec<String> = verb.get_subcommands().map(|verb| verb.get_name().to_string()).collect();
    let verb = verb.mut_args(complete::with_directories);
    verbs.into_iter().fold(verb, |verb, name| verb.mut_subcommand(name, with_directories))
}

/// Writes the files of a directory and removes those of an earlier time.
fn write_all(dir: &Path, files: &[(String, Vec<u8>)], out: &mut Output) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("{}: cannot create", dir.display()))?;
    for entry in fs::read_dir(dir).with_context(|| format!("{}: cannot list", dir.display()))? {
        let name = entry?.file_name();
        let is_made = files.iter().any(|(made, _)| name == **made);
        // Only what is named as our pages are.
        if !is_made
            && name
                .to_str()
                .is_some_and(|name| name.starts_with("maildex") && (name.ends_with(".1") || name.ends_with(".7")))
        {
            let path = dir.join(name);
            fs::remove_file(&path).with_context(|| format!("{}: cannot remove", path.display()))?;
            out.line(format_args!("{} removed", path.display()))?;
        }
    }
    for (name, contents) in files {
        let path = dir.join(name);
        fs::write(&path, contents).with_context(|| format!("{}: cannot write", path.display()))?;
        out.line(path.display())?;
    }
    Ok(())
}
