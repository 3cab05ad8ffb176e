use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use maildex::Error;
use maildex::ops::cat::cat;
use maildex::query::message::MessageRef;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::reading;

/// Print mails as they are
#[derive(clap::Args)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// UIDs (3, 1:9,12), paths or base names
    #[arg(value_name = "MSG", required = true)]
    messages: Vec<OsString>,
    /// Do not look for changes first
    #[arg(long)]
    no_refresh: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let wanted = args.messages.iter().map(|text| MessageRef::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let mut folder = reading::open(&args.folder, !args.no_refresh, out)?;
    let mut bad = Vec::new();
    let copy = &mut |mut mail| {
        io::copy(&mut mail, out.stdout()).map(drop).map_err(|source| Error::Io {
            path: args.folder.clone(),
            doing: "cannot copy a mail",
            source,
        })
    };
    cat(&mut folder, &wanted, copy, &mut |error| bad.push(error))?;
    out.failed_all(&bad);
    Ok(Exit::Done)
}
