//! `sync`: one mail root on several machines.

mod add_peer;
mod cut;
mod forget;
mod init;
mod run;
mod status;
mod undelete;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use maildex::sync::replica::Replica;
use maildex::sync::state::FolderId;

use crate::cli::exit::Exit;
use crate::cli::output::Output;

/// Not headed as other examples are, which a test pastes into a shell: these need the machines that they name.
const MACHINES: &str = include_str!("machines.txt");

/// Keep a mail root the same on several machines, through git
///
/// Each machine has a replica: the mail root, and a bare repository of git beside it. Replicas work offline, for as long as
/// one likes; when they meet, by way of a hub (any bare repository) or directly, mail, flags, moves, removals and UIDs are
/// joined, without asking and without conflicts. No UID ever comes to mean another mail: where two replicas have given one
/// number to two mails, both mails get new numbers.
#[derive(clap::Args)]
#[command(after_long_help = MACHINES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Init(init::Args),
    AddPeer(add_peer::Args),
    Run(run::Args),
    Status(status::Args),
    Undelete(undelete::Args),
    Cut(cut::Args),
    Forget(forget::Args),
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    match &args.verb {
        Verb::Init(args) => init::run(args, out),
        Verb::AddPeer(args) => add_peer::run(args, out),
        Verb::Run(args) => run::run(args, out),
        Verb::Status(args) => status::run(args, out),
        Verb::Undelete(args) => undelete::run(args, out),
        Verb::Cut(args) => cut::run(args, out),
        Verb::Forget(args) => forget::run(args, out),
    }
}

impl Args {
    /// The mail root that the verb is about.
    pub fn root(&self) -> &Path {
        match &self.verb {
            Verb::Init(args) => &args.folder,
            Verb::AddPeer(args) => &args.folder,
            Verb::Run(args) => &args.folder,
            Verb::Status(args) => &args.folder,
            Verb::Undelete(args) => &args.folder,
            Verb::Cut(args) => &args.folder,
            Verb::Forget(args) => &args.folder,
        }
    }
}

/// Where the repository of a mail root is, or the link to it.
fn place(root: &Path) -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let state = state.context("neither XDG_STATE_HOME nor HOME says where to keep things")?;
    let real = std::fs::canonicalize(root).map_err(|source| maildex::Error::Io {
        path: root.into(),
        doing: "cannot open",
        source,
    })?;
    Ok(state.join("maildex").join(FolderId::of(real.as_os_str().as_bytes()).to_string()))
}

/// The replica of a mail root.
pub(super) fn open(root: &Path) -> anyhow::Result<Replica> {
    let place = place(root)?;
    let path = std::fs::canonicalize(&place).unwrap_or(place);
    Ok(Replica::open(root, &path)?)
}

/// A folder below the mail root, for people.
fn folder_path(root: &Path, name: &[u8]) -> PathBuf {
    if name.is_empty() { root.to_path_buf() } else { root.join(OsStr::from_bytes(name)) }
}
