use maildex::lock::Behalf;
use maildex::lock::guard::Process;
use rustix::process::Signal;

use crate::cli::exit::Exit;
use crate::cli::lock::hold::Hold;
use crate::cli::output::Output;
use crate::cli::{setting, signals, waiting};

/// Holds the lock for another process; started by `lock acquire`
///
/// Prints the id of the lock when it has it, and then has nothing to do with whoever started it.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub hold: Hold,
    /// The process that the lock is for
    #[arg(long)]
    pid: i32,
    /// When that process started, in clock ticks after boot
    #[arg(long)]
    started: u64,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    // Until it has the lock it is part of `lock acquire`, and ends with it.
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    let process = Process::open(args.pid)?;
    let Some(behalf) = Behalf::of(args.pid).filter(|behalf| behalf.started == args.started) else {
        out.error(format_args!("process {}: has ended", args.pid), None);
        return Ok(Exit::Busy);
    };
    let folder = setting::open(&args.hold.folder)?;
    let lock = {
        let mut tell = waiting::tell(&args.hold.folder, out);
        folder.lock_for(&behalf, &args.hold.reason, args.hold.waiting.time, &mut tell)?
    };
    let dotlock = args.hold.dotlock(&folder)?;
    let mut listened = signals::listen(&[Signal::TERM, Signal::INT, Signal::HUP].map(Signal::as_raw))?;
    rustix::process::set_parent_process_death_signal(None)?;
    let _ = rustix::process::setsid();
    rustix::process::chdir("/")?;
    // If nobody hears it, nobody knows that he has the lock.
    out.line(lock.id())?;
    out.flush()?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    out.redirect(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    args.hold.watch(&folder, &process, dotlock, &mut listened, &mut |_| false, out)?;
    lock.release()?;
    Ok(Exit::Done)
}
