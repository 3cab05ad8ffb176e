//! Measures maildex, the limits of the machine, and every peer that is installed, on the same made-up folders in one run.
//!
//! `cargo compare -- --help` says how to call it; docs/performance.md has what came of it, and is written by it.

mod huge;
mod limits;
mod measure;
mod readers;
mod report;
mod tools;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use maildex::sample::Sample;

use limits::LIMIT;
use measure::{Cmd, Contestant, Turns, WORKER, race};
use report::{Results, Row};
use tools::{Kind, Tool, Work};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Measures maildex, the limits of the machine, and every peer that is installed, in turns
///
/// Makes folders of made-up mail, measures everything on them, and removes them. Nothing is installed: a peer that is not
/// there is left out, and named. With --write the results replace those of the same sizes in docs/performance.tsv, and
/// table and chart are made anew from all that is there.
#[derive(Parser)]
#[command(name = "cargo compare --")]
struct Args {
    /// Sizes of the folders
    #[arg(long, value_delimiter = ',', value_name = "N", default_value = "1000,10000,100000")]
    messages: Vec<u32>,
    /// Runs of everything that is quick; what is slow runs less often
    #[arg(long, value_name = "N", default_value_t = 11)]
    runs: usize,
    /// Seconds that each may take for one line of the table; a peer that needs longer runs once
    #[arg(long, value_name = "S", default_value_t = 1.5)]
    seconds: f64,
    /// Peers to compare with, all that are installed if not given; none: --peers ''
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    peers: Option<Vec<String>>,
    /// Also with an empty page cache, as root only; at sizes up to this one
    #[arg(long, value_name = "N", default_value_t = 0)]
    cold: u32,
    /// Where the folders are made, which must not be a memory file system
    #[arg(long, value_name = "DIR", default_value = "/var/tmp/maildex-compare")]
    work: PathBuf,
    /// In the place of folders: an index of so many messages without their mail
    #[arg(long, value_name = "N", conflicts_with_all = ["messages", "folders"])]
    index: Option<u32>,
    /// In the place of folders of some size: so many folders of 10 mails
    #[arg(long, value_name = "N", conflicts_with = "messages")]
    folders: Option<u32>,
    /// Leaves the made-up folders (DIR/sample.N) for the next run
    #[arg(long)]
    keep: bool,
    /// The program to measure, instead of building it
    #[arg(long, value_name = "FILE")]
    maildex: Option<PathBuf>,
    /// Lines of the table to measure, by their keys (build, flag-1, ...); all if not given
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    only: Vec<String>,
    /// Writes table and chart into docs/
    #[arg(long)]
    write: bool,
    /// Makes table and chart anew from docs/performance.tsv, without measuring
    #[arg(long)]
    render: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some(LIMIT) => return limits::main(&words[1..]),
        Some(WORKER) => return measure::worker(&words[1..]),
        _ => {}
    }
    match compare(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut results = Results::read(&docs)?;
    if args.render {
        return results.write(&docs);
    }
    fs::create_dir_all(&args.work)?;
    let maildex = match &args.maildex {
        Some(path) => path.clone(),
        None => build_maildex()?,
    };
    let peers: Vec<_> = Kind::PEERS.into_iter().filter(|kind| is_wanted(*kind, args.peers.as_deref())).collect();
    let cold = if args.cold > 0 && !measure::can_drop_caches() {
        eprintln!("compare: not root, so nothing is measured with an empty page cache");
        0
    } else {
        args.cold
    };
    let machine = report::machine(&args.work, &peers)?;
    eprintln!("{machine}");
    let begin = Instant::now();
    let work = args.work.join(format!("run.{}", std::process::id()));
    if let Some(count) = args.index.or(args.folders) {
        let measure = if args.index.is_some() { huge::index } else { huge::folders };
        let rows = measure(&maildex, &work, count);
        let _ = fs::remove_dir_all(&work);
        results.replace(count, rows?, &machine);
        return finish(args, &results, &docs);
    }
    for &messages in &args.messages {
        let mut size = Size { args, messages, cold: messages <= cold, rows: Vec::new() };
        let folder = args.work.join(format!("sample.{messages}"));
        let sample = make_sample(&folder, messages)?;
        let done = size.measure(&folder, &work, &maildex, &peers, &sample);
        let _ = fs::remove_dir_all(&work);
        if !args.keep {
            fs::remove_dir_all(&folder)?;
        }
        done?;
        results.replace(messages, size.rows, &machine);
        if args.write {
            results.write(&docs)?; // what is measured is not lost if a later size fails
        }
        eprintln!("{messages} messages: done after {:.0} s", begin.elapsed().as_secs_f64());
    }
    finish(args, &results, &docs)
}

fn finish(args: &Args, results: &Results, docs: &Path) -> Result<()> {
    if args.write {
        return results.write(docs);
    }
    print!("{}", results.tables());
    Ok(())
}

fn is_wanted(kind: Kind, names: Option<&[String]>) -> bool {
    if names.is_some_and(|names| !names.iter().any(|name| name == kind.name())) {
        return false;
    }
    if !kind.is_installed() {
        let (program, package) = kind.program();
        eprintln!("compare: {} is left out: there is no {program}; Debian has it in {package}", kind.name());
    }
    kind.is_installed()
}

/// Builds the program as packages should have it: linked statically.
fn build_maildex() -> Result<PathBuf> {
    let root = env!("CARGO_MANIFEST_DIR");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let words = ["static", "--locked", "--bin", "maildex", "--message-format", "json"];
    let output = std::process::Command::new(cargo).current_dir(root).args(words).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next().ok_or_else(|| "cargo does not say where the program is".into())
}

/// Above this size only the beginning of each body is kept, or the mail would not stay in the page cache.
const WHOLE_BODIES: u32 = 200_000;
const BODY: usize = 1024;

/// The folder that all others are linked from.
fn make_sample(folder: &Path, messages: u32) -> Result<Sample> {
    let sample = Sample::new();
    let done = folder.join("done");
    if done.exists() {
        return Ok(sample);
    }
    eprintln!("making {messages} messages in {}", folder.display());
    for sub in ["new", "cur", "tmp"] {
        fs::create_dir_all(folder.join(sub))?;
    }
    let threads = std::thread::available_parallelism()?.get() as u32;
    let write_some = |thread: u32| -> std::io::Result<()> {
        for number in (thread..messages).step_by(threads as usize) {
            let mail = sample.mail(number);
            let header =
                memchr::memmem::find(&mail.text, b"\n\n").or_else(|| memchr::memmem::find(&mail.text, b"\r\n\r\n"));
            let body = if messages > WHOLE_BODIES { BODY } else { usize::MAX };
            let len = mail.text.len().min(header.unwrap_or(0).saturating_add(body));
            let name = OsStr::from_bytes(&mail.name);
            let mut file = fs::File::create(folder.join(mail.sub.as_str()).join(name))?;
            file.write_all(&mail.text[..len])?;
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(mail.received_s as u64))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || write_some(thread))).collect();
        all.into_iter().try_for_each(|one| one.join().expect("it does not panic"))
    })?;
    fs::write(done, "")?;
    Ok(sample)
}

/// Brings all mails into the page cache, and the directories of all tools.
fn warm(tools: &[Tool<'_>]) {
    for tool in tools {
        let cur = tool.mail().join("cur").display().to_string();
        limits::main(&["heads", &cur, "16", "as-listed", "all"].map(String::from));
    }
}

/// All that is measured at one size.
struct Size<'a> {
    args: &'a Args,
    messages: u32,
    cold: bool,
    rows: Vec<Row>,
}

impl Size<'_> {
    fn measure(&mut self, folder: &Path, work: &Path, maildex: &Path, peers: &[Kind], sample: &Sample) -> Result<()> {
        let kinds = [Kind::Limit, Kind::Maildex].into_iter().chain(peers.iter().copied());
        let mut tools = Vec::new();
        for kind in kinds {
            tools.push(Tool::new(kind, maildex, folder, work, self.messages, sample)?);
        }
        warm(&tools);
        self.machine(work, &tools[0])?;
        if self.cold {
            warm(&tools);
        }
        for work in Work::ALL {
            self.line(&mut tools, work)?;
        }
        if self.wants("readers") {
            let rows = readers::measure(maildex, tools[1].mail(), tools[0].mail(), self.messages)?;
            self.rows.extend(rows);
        }
        Ok(())
    }

    fn wants(&self, key: &str) -> bool {
        self.args.only.is_empty() || self.args.only.iter().any(|only| only == key)
    }

    fn turns(&self, cold: bool) -> Turns {
        Turns {
            runs: if cold { 2 } else { self.args.runs },
            budget: Duration::from_secs_f64(self.args.seconds),
            limit: Duration::from_mins(8),
            cold,
        }
    }

    /// One line of the table: all do this work in turns.
    fn line(&mut self, tools: &mut [Tool<'_>], work: Work) -> Result<()> {
        // Who refreshes must have built, measured or not.
        if !self.wants(work.key()) {
            if work == Work::Build {
                tools.iter_mut().try_for_each(|tool| tool.do_it(work))?;
            }
            return Ok(());
        }
        if work != Work::Build {
            // A time within the last two seconds proves nothing to those who look at times.
            std::thread::sleep(Duration::from_millis(2_100));
            tools.iter_mut().try_for_each(|tool| tool.do_it(Work::RefreshNothing))?;
        }
        self.race(tools, work, false)?;
        if work == Work::Build {
            for tool in tools.iter().filter(|tool| ![Kind::Limit, Kind::Mblaze].contains(&tool.kind)) {
                self.rows.push(Row::bytes(tool.kind.name(), self.messages, tool.index_bytes()?));
            }
        }
        let is_cold_work = [Work::Build, Work::RefreshNothing, Work::CountUnseen, Work::ListUnseen, Work::ListAll];
        if self.cold && is_cold_work.contains(&work) {
            self.race(tools, work, true)?;
            warm(tools);
        }
        Ok(())
    }

    fn race(&mut self, tools: &mut [Tool<'_>], work: Work, cold: bool) -> Result<()> {
        let key = if cold { format!("{}-cold", work.key()) } else { work.key().to_string() };
        let mut contestants = Vec::new();
        for tool in tools {
            // Cold, what took long warm would take the rest of the day.
            if cold && self.is_slow(work, tool.kind) {
                continue;
            }
            let mut first = tool.step(work)?;
            if first.is_none() {
                continue; // no work for this one
            }
            let name = tool.kind.name().to_string();
            let step = move || {
                if (work, cold, tool.kind) == (Work::Build, true, Kind::Limit) {
                    return tool.cold_heads();
                }
                let next = if first.is_some() { first.take() } else { tool.step(work)? };
                Ok(next.ok_or("it could do that before")?)
            };
            contestants.push(Contestant { tool: name, step: Box::new(step) });
        }
        let taken = race(contestants, self.turns(cold))?;
        let rows: Vec<_> = taken.into_iter().map(|taken| Row::new(&key, self.messages, taken)).collect();
        for row in &rows {
            eprintln!("  {row}");
        }
        self.rows.extend(rows);
        Ok(())
    }

    fn is_slow(&self, work: Work, kind: Kind) -> bool {
        let before = self.rows.iter().find(|row| row.key == work.key() && row.tool == kind.name());
        before.is_some_and(|row| row.median_s > 20.0)
    }

    /// The limits that belong to no line of the table.
    fn machine(&mut self, work: &Path, tool: &Tool<'_>) -> Result<()> {
        if !self.wants("limits") {
            return Ok(());
        }
        let own = std::env::current_exe()?.display().to_string();
        let dynamic = limits::dynamic_nothing(work)?.display().to_string();
        let cur = tool.mail().join("cur").display().to_string();
        let file = work.join("sync").display().to_string();
        let count = self.messages.to_string();
        let limit = |words: &[&str]| Cmd::new([own.as_str(), LIMIT].into_iter().chain(words.iter().copied()));
        let mut all = vec![
            ("start, static", limit(&["nothing"])),
            ("start, dynamic", Cmd::new([dynamic.as_str()])),
            ("getdents64 of cur/", limit(&["names", &cur])),
            ("open, read 4 KiB, close: 1 thread", limit(&["heads", &cur, "1", "as-listed", "all"])),
            ("open, read 4 KiB, close: 2 threads", limit(&["heads", &cur, "2", "as-listed", "all"])),
            ("open, read 4 KiB, close: 16 threads", limit(&["heads", &cur, "16", "as-listed", "all"])),
            ("a line of 110 bytes for each", limit(&["lines", &count])),
            ("100 writes of 4 KiB, each with fsync", limit(&["sync", &file, "100"])),
        ];
        let (cold, warm) = (self.cold, false);
        let mut race_all = |all: Vec<(&'static str, Cmd)>, cold: bool| -> Result<()> {
            let contestants = all.into_iter().map(|(what, cmd)| Contestant {
                tool: if cold { format!("{what}, cold") } else { what.to_string() },
                step: Box::new(move || Ok(cmd.clone())),
            });
            let taken = race(contestants.collect(), self.turns(cold))?;
            self.rows.extend(taken.into_iter().map(|taken| Row::new("limits", self.messages, taken)));
            Ok(())
        };
        race_all(all.clone(), warm)?;
        if cold {
            all.retain(|(what, _)| what.starts_with("open") || what.starts_with("getdents"));
            all.push(("open, read 4 KiB, close: 16 threads, by inode", limit(&["heads", &cur, "16", "inode", "all"])));
            race_all(all, true)?;
        }
        Ok(())
    }
}
