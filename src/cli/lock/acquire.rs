use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::Context;
use maildex::Error;
use maildex::lock::{Behalf, Holder, holder};

use crate::cli::exit::Exit;
use crate::cli::lock::hold::Hold;
use crate::cli::output::Output;
use crate::cli::setting;

const EXAMPLES: &str = "\
Examples:
  In a script, for as long as it runs:
    MAILDEX_LOCK=$(maildex lock acquire ~/Maildir --pid $$) && export MAILDEX_LOCK
    trap 'maildex lock release ~/Maildir' EXIT
    maildex build ~/Maildir";

/// Take the lock of a folder for a shell, and print its id
///
/// A small guard process holds the lock until that shell ends, however it ends, or until `maildex lock release`. With the
/// id in `MAILDEX_LOCK` (`export MAILDEX_LOCK=$(maildex lock acquire FOLDER --pid $$)`) verbs work under the lock, one at a
/// time. If the same shell has the lock already its id is printed again.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub hold: Hold,
    /// The process that the lock is for; if not given the one that runs this, if that is a shell
    #[arg(long, value_name = "PID")]
    pid: Option<i32>,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let folder = setting::open(&args.hold.folder)?;
    let Some(behalf) = for_whom(args.pid, out) else { return Ok(Exit::Usage) };
    match folder.given_lock() {
        Ok(Some(id)) => {
            out.line(id)?;
            return Ok(Exit::Done);
        }
        // To take it again is what this is for.
        Ok(None) | Err(Error::StaleLock { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if let Holder::Somebody(Some(owner)) = holder(folder.dir())?
        && owner.is_near()
        && owner.behalf.as_ref().is_some_and(|theirs| (theirs.pid, theirs.started) == (behalf.pid, behalf.started))
    {
        out.line(&owner.id)?;
        return Ok(Exit::Done);
    }
    // Its guard must outlive this process, and have nothing of it: so it is this program anew. It takes the lock itself,
    // says so in the pipe, and lets go of the pipe.
    let mut guard = Command::new("/proc/self/exe");
    guard.arg0("maildex").args(args.hold.for_guard(out)).args(["--pid", &behalf.pid.to_string()]);
    guard.args(["--started", &behalf.started.to_string()]);
    let mut guard = guard.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the guard")?;
    let mut id = String::new();
    guard.stdout.take().expect("it was asked for").read_to_string(&mut id).context("cannot hear the guard")?;
    if id.is_empty() {
        // It has said why.
        let status = guard.wait()?;
        return Ok(Exit::Code(status.code().unwrap_or(75) as u8));
    }
    out.line(id.trim_end())?;
    Ok(Exit::Done)
}

/// Which process the lock is for.
fn for_whom(pid: Option<i32>, out: &mut Output) -> Option<Behalf> {
    let hint = || Some("say for which process the lock is, in a script: --pid $$".to_string());
    let given = pid.is_some();
    let pid = pid.or_else(|| rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()));
    let Some(behalf) = pid.and_then(Behalf::of) else {
        out.error(format_args!("process {}: there is no such process", pid.unwrap_or(0)), hint());
        return None;
    };
    if !given && !behalf.lasts() {
        out.error(format_args!("process {} ({}): not a shell", behalf.pid, behalf.command), hint());
        return None;
    }
    Some(behalf)
}
