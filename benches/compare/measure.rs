//! Runs a command and says how long it took and how much memory it had at most; and lets several run in turns.
//!
//! A small process of its own starts each command: memory at its peak is known of children only, and never counts less
//! than whoever started them had.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::Result;

/// The first argument of a process that runs one command for another.
pub const WORKER: &str = "run-one";

const LOCALE: &str = "C.UTF-8";

/// A command to be measured; its output is thrown away.
#[derive(Debug, Clone, Default)]
pub struct Cmd {
    pub words: Vec<String>,
    pub stdin: Option<PathBuf>,
    pub env: Vec<(&'static str, String)>,
}

impl Cmd {
    pub fn new<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Cmd {
        Cmd { words: words.into_iter().map(Into::into).collect(), ..Cmd::default() }
    }

    pub fn sh(line: impl Into<String>) -> Cmd {
        Cmd::new(["sh".into(), "-c".into(), line.into()])
    }

    pub fn reading(self, stdin: impl Into<PathBuf>) -> Cmd {
        Cmd { stdin: Some(stdin.into()), ..self }
    }

    /// Runs it without measuring, which must end well, and returns what it prints.
    pub fn output(&self) -> Result<String> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).envs(self.env.iter().cloned()).env("LC_ALL", LOCALE);
        command.stdin(match &self.stdin {
            Some(path) => Stdio::from(File::open(path)?),
            None => Stdio::null(),
        });
        let output = command.output().map_err(|error| format!("{}: {error}", self.words[0]))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{:?}: {}: {errors}", self.words, output.status).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub time: Duration,
    pub peak_kib: u64,
}

/// The process that runs one command: prints nanoseconds, peak memory in KiB, and the exit status.
pub fn worker(words: &[String]) -> ExitCode {
    let mut command = Command::new(&words[1]);
    command.args(&words[2..]).stdout(Stdio::null()).stderr(Stdio::null());
    command.stdin(match File::open(&words[0]) {
        Ok(file) => Stdio::from(file),
        Err(_) => return ExitCode::FAILURE,
    });
    let begin = Instant::now();
    let status = command.status();
    let time = begin.elapsed();
    let (Ok(status), Ok(usage)) = (status, getrusage(UsageWho::RUSAGE_CHILDREN)) else { return ExitCode::FAILURE };
    println!("{} {} {}", time.as_nanos(), usage.max_rss(), status.code().unwrap_or(-1));
    ExitCode::SUCCESS
}

/// Runs a command once, with everything that it has started ended when `limit` is over; `None` if it was.
pub fn run(cmd: &Cmd, limit: Duration) -> Result<Option<Sample>> {
    let stdin = cmd.stdin.clone().unwrap_or_else(|| "/dev/null".into());
    let mut child = Command::new(std::env::current_exe()?)
        .arg(WORKER)
        .arg(stdin)
        .args(&cmd.words)
        .envs(cmd.env.iter().cloned())
        .env("LC_ALL", LOCALE)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a child has a pid");
    let watch = thread::spawn(move || {
        let is_over = is_done.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if is_over {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        is_over
    });
    let mut text = String::new();
    child.stdout.take().expect("it is a pipe").read_to_string(&mut text)?;
    child.wait()?;
    drop(done);
    if watch.join().expect("it does not panic") {
        return Ok(None);
    }
    let numbers: Vec<i64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [ns, peak_kib, 0] => Ok(Some(Sample { time: Duration::from_nanos(ns as u64), peak_kib: peak_kib as u64 })),
        [_, _, status] => Err(format!("{:?} ended with {status}", cmd.words).into()),
        _ => Err(format!("{:?} could not be run", cmd.words).into()),
    }
}

/// One of those that do the same work in turns.
pub struct Contestant<'c> {
    pub tool: String,
    /// Prepares a run, which is not measured, and says what to run.
    pub step: Box<dyn FnMut() -> Result<Cmd> + 'c>,
}

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Turns {
    pub runs: usize,
    /// No contestant gets another turn after so much of its own time, preparations not counted; each has at least one.
    pub budget: Duration,
    /// Longer than this is not waited for.
    pub limit: Duration,
    /// With an empty page cache before each run.
    pub cold: bool,
}

/// What a contestant's runs took.
#[derive(Debug)]
pub struct Taken {
    pub tool: String,
    pub samples: Vec<Sample>,
    /// It did not end in time.
    pub stopped: bool,
}

/// All take turns, so that what disturbs the machine disturbs all of them. A first run of each is not counted, unless it
/// took so long that it is the only one.
pub fn race(contestants: Vec<Contestant<'_>>, turns: Turns) -> Result<Vec<Taken>> {
    let mut taken: Vec<_> = contestants
        .iter()
        .map(|contestant| Taken { tool: contestant.tool.clone(), samples: Vec::new(), stopped: false })
        .collect();
    let mut spent = vec![Duration::ZERO; contestants.len()];
    let mut contestants = contestants;
    let first = usize::from(turns.cold);
    for turn in first..=turns.runs {
        for (at, contestant) in contestants.iter_mut().enumerate() {
            let taken = &mut taken[at];
            if taken.stopped || (spent[at] > turns.budget && !taken.samples.is_empty()) {
                continue;
            }
            let cmd = (contestant.step)()?;
            if turns.cold {
                drop_caches()?;
            }
            let Some(sample) = run(&cmd, turns.limit)? else {
                taken.stopped = true;
                continue;
            };
            spent[at] += sample.time;
            if turn > 0 || spent[at] > turns.budget / 2 {
                taken.samples.push(sample);
            }
        }
    }
    Ok(taken)
}

/// Whether this process may empty the page cache.
pub fn can_drop_caches() -> bool {
    rustix::process::geteuid().is_root() && File::options().write(true).open(DROP_CACHES).is_ok()
}

const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Empties the page cache, directories and inodes included.
pub fn drop_caches() -> Result<()> {
    rustix::fs::sync();
    Ok(fs::write(DROP_CACHES, "3")?)
}
