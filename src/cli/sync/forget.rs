use std::path::PathBuf;

use clap::error::ErrorKind;
use maildex::lock::Wait;
use maildex::ops::sync;
use maildex::sync::ReplicaId;

use super::run::patience;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::waiting::parse_wait;

const EXAMPLES: &str = "\
Examples:
  Who is late, and may be one that will not come back?
    maildex sync status ~/Maildir | grep late || echo nobody";

/// Wait no longer for a replica that will not come back
///
/// Until then history is kept for it. What it has told stays. It is forgotten here and in the peers that can be reached and
/// allow it; say so on each machine. Should it come back nothing is lost: it is heard, and waited for, as before.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail root, or the repository of a hub
    #[arg(value_name = "ROOT")]
    pub folder: PathBuf,
    /// Its id, as sync status and sync cut name it
    #[arg(value_name = "REPLICA")]
    replica: String,
    /// How long a peer may be silent before it is given up: 30, 2m, 1h, forever
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_wait)]
    timeout: Wait,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let Some(id) = ReplicaId::parse(args.replica.as_bytes()) else {
        let text = format!("{:?} is no id of a replica: those have 16 digits", args.replica);
        return Err(clap::Error::raw(ErrorKind::ValueValidation, text).into());
    };
    let is_hub = args.folder.join("HEAD").is_file() && args.folder.join("objects").is_dir();
    let failed = if is_hub {
        sync::forget_in_hub(&args.folder, id)?;
        Vec::new()
    } else {
        sync::forget(&super::open(&args.folder)?, id, patience(args.timeout))?
    };
    out.failed_all(&failed);
    Ok(Exit::Done)
}
