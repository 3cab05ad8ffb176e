//! What was measured: kept as a table of plain text, shown as tables and a chart.

mod chart;

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::measure::Taken;
use crate::tools::Kind;

/// The results, one a line; in docs/.
const RESULTS: &str = "performance.tsv";
/// The text around the tables.
const PAGE: &str = "performance.md";
const CHART: &str = "performance.svg";
const BEGIN: &str = "<!-- measured: begin (cargo compare writes this) -->";
const END: &str = "<!-- measured: end -->";

/// What one tool took for one line of the table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    pub key: String,
    pub tool: String,
    pub messages: u32,
    pub runs: usize,
    pub median_s: f64,
    pub min_s: f64,
    pub max_s: f64,
    pub peak_kib: u64,
    pub note: String,
}

impl Row {
    pub fn new(key: &str, messages: u32, taken: Taken) -> Row {
        let mut times: Vec<_> = taken.samples.iter().map(|sample| sample.time.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let at = |at: usize| times.get(at).copied().unwrap_or(0.0);
        let half = times.len() / 2;
        let median_s =
            if times.len() % 2 == 1 { at(half) } else { f64::midpoint(at(half.saturating_sub(1)), at(half)) };
        Row {
            key: key.into(),
            tool: taken.tool,
            messages,
            runs: times.len(),
            median_s,
            min_s: at(0),
            max_s: at(times.len().saturating_sub(1)),
            peak_kib: taken.samples.iter().map(|sample| sample.peak_kib).max().unwrap_or(0),
            note: if taken.stopped { "stopped: it took too long".into() } else { String::new() },
        }
    }

    pub fn single(key: &str, tool: &str, messages: u32, time_s: f64) -> Row {
        let (key, tool) = (key.into(), tool.into());
        Row { key, tool, messages, runs: 1, median_s: time_s, min_s: time_s, max_s: time_s, ..Row::default() }
    }

    pub fn bytes(tool: &str, messages: u32, bytes: u64) -> Row {
        Row { note: bytes.to_string(), ..Row::single("bytes", tool, messages, 0.0) }
    }

    fn was_measured(&self) -> bool {
        self.runs > 0 && self.median_s > 0.0
    }

    fn line(&self) -> String {
        let Row { key, tool, messages, runs, median_s, min_s, max_s, peak_kib, note } = self;
        format!("{key}\t{tool}\t{messages}\t{runs}\t{median_s:.6}\t{min_s:.6}\t{max_s:.6}\t{peak_kib}\t{note}")
    }

    fn parse(line: &str) -> Option<Row> {
        let words: Vec<_> = line.split('\t').collect();
        let [key, tool, messages, runs, median_s, min_s, max_s, peak_kib, note] = words[..] else { return None };
        Some(Row {
            key: key.into(),
            tool: tool.into(),
            messages: messages.parse().ok()?,
            runs: runs.parse().ok()?,
            median_s: median_s.parse().ok()?,
            min_s: min_s.parse().ok()?,
            max_s: max_s.parse().ok()?,
            peak_kib: peak_kib.parse().ok()?,
            note: note.into(),
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, min, max) = (time(self.median_s), time(self.min_s), time(self.max_s));
        let Row { key, tool, runs, peak_kib, note, .. } = self;
        write!(f, "{key:24} {tool:10} {median:>9} ({min} to {max}, {runs} runs, {} MB) {note}", peak_kib / 1024)
    }
}

/// Three figures are enough.
pub fn time(seconds: f64) -> String {
    let ms = seconds * 1000.0;
    match ms {
        ..9.995 => format!("{ms:.2} ms"),
        ..99.95 => format!("{ms:.1} ms"),
        ..999.5 => format!("{ms:.0} ms"),
        ..9_995.0 => format!("{seconds:.2} s"),
        _ => format!("{seconds:.1} s"),
    }
}

/// The lines of the main table, in its order.
const LINES: [(&str, &str); 16] = [
    ("build", "build"),
    ("build-cold", "build, empty page cache"),
    ("refresh-nothing", "refresh, nothing changed"),
    ("refresh-nothing-cold", "the same, empty page cache"),
    ("refresh-1-delivered", "refresh, 1 mail delivered"),
    ("refresh-1000-delivered", "refresh, 1000 delivered (a tenth in small folders)"),
    ("refresh-1-renamed", "refresh, 1 file renamed by others"),
    ("count-unseen", "count the unseen"),
    ("count-unseen-cold", "the same, empty page cache"),
    ("list-unseen", "paths of the unseen"),
    ("list-unseen-cold", "the same, empty page cache"),
    ("list-all", "one line for every mail"),
    ("list-all-cold", "the same, empty page cache"),
    ("show-1", "show one mail by UID"),
    ("flag-1", "set a flag on one mail"),
    ("flag-10000", "set a flag on 10,000 mails (a tenth in small folders)"),
];

/// All that was measured, in this run and earlier ones.
#[derive(Debug, Default)]
pub struct Results {
    /// What they were measured on, by size.
    machines: Vec<(u32, String)>,
    rows: Vec<Row>,
}

impl Results {
    pub fn read(docs: &Path) -> Result<Results> {
        let path = docs.join(RESULTS);
        if !path.exists() {
            return Ok(Results::default());
        }
        let mut results = Results::default();
        for line in fs::read_to_string(&path)?.lines() {
            if let Some((messages, machine)) = line.strip_prefix("# ").and_then(|line| line.split_once(": ")) {
                results.machines.push((messages.parse()?, machine.into()));
            } else if !line.starts_with("key\t") {
                results.rows.push(Row::parse(line).ok_or_else(|| format!("{}: {line}", path.display()))?);
            }
        }
        Ok(results)
    }

    /// Results of one size take the place of those from before: all of them, or of a part of the work the same part.
    pub fn replace(&mut self, messages: u32, rows: Vec<Row>, machine: &str) {
        let is_measured = |old: &Row| rows.iter().any(|row| row.key == old.key);
        self.rows.retain(|row| row.messages != messages || !is_measured(row));
        self.rows.extend(rows);
        self.rows.sort_by_key(|row| row.messages);
        self.machines.retain(|(size, _)| *size != messages);
        self.machines.push((messages, machine.into()));
        self.machines.sort_unstable();
    }

    pub fn write(&self, docs: &Path) -> Result<()> {
        let mut text = String::new();
        for (messages, machine) in &self.machines {
            writeln!(text, "# {messages}: {machine}")?;
        }
        text += "key\ttool\tmessages\truns\tmedian_s\tmin_s\tmax_s\tpeak_kib\tnote\n";
        for row in &self.rows {
            writeln!(text, "{}", row.line())?;
        }
        fs::write(docs.join(RESULTS), text)?;
        let page = fs::read_to_string(docs.join(PAGE))?;
        let (before, rest) = page.split_once(BEGIN).ok_or("docs/performance.md has no place for the tables")?;
        let (_, after) = rest.split_once(END).ok_or("docs/performance.md has no end of the tables")?;
        let chart = match self.sizes().into_iter().rfind(|&size| self.peers(size).len() >= 3) {
            Some(size) => {
                fs::write(docs.join(CHART), chart::draw(self, size)?)?;
                let what = format!("{} mails, warm: the limit, maildex, and its peers", thousands(size));
                format!("![{what}](performance.svg)\n\n")
            }
            None => String::new(),
        };
        Ok(fs::write(docs.join(PAGE), format!("{before}{BEGIN}\n\n{chart}{}\n{END}{after}", self.tables().trim_end()))?)
    }

    fn sizes(&self) -> Vec<u32> {
        let mut sizes: Vec<_> = self.rows.iter().map(|row| row.messages).collect();
        sizes.dedup();
        sizes
    }

    fn get(&self, key: &str, tool: &str, messages: u32) -> Option<&Row> {
        self.rows.iter().find(|row| row.key == key && row.tool == tool && row.messages == messages)
    }

    fn median_s(&self, key: &str, tool: &str, messages: u32) -> Option<f64> {
        self.get(key, tool, messages).filter(|row| row.was_measured()).map(|row| row.median_s)
    }

    fn peers(&self, messages: u32) -> Vec<&'static str> {
        let is_there = |name: &&str| self.rows.iter().any(|row| row.tool == *name && row.messages == messages);
        Kind::PEERS.iter().map(|kind| kind.name()).filter(is_there).collect()
    }

    /// The fastest of the peers at some work.
    fn fastest(&self, key: &str, messages: u32) -> Option<(&'static str, f64)> {
        let peers = self.peers(messages).into_iter();
        let times = peers.filter_map(|peer| Some((peer, self.median_s(key, peer, messages)?)));
        times.min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// The limit that a line of the main table is compared with.
    fn limit_s(&self, key: &str, messages: u32) -> Option<f64> {
        self.median_s(key, Kind::Limit.name(), messages)
    }

    /// All of it, as Markdown.
    pub fn tables(&self) -> String {
        let mut text = String::new();
        for size in self.sizes().into_iter().rev() {
            // Writing to a String cannot fail.
            let _ = self.table(&mut text, size);
        }
        text
    }

    fn table(&self, text: &mut String, size: u32) -> fmt::Result {
        let peers = self.peers(size);
        let has_mails = !self.rows.iter().any(|row| row.messages == size && row.key == "folders");
        writeln!(text, "### {} {}\n", thousands(size), if has_mails { "mails" } else { "folders" })?;
        if let Some((_, machine)) = self.machines.iter().find(|(messages, _)| *messages == size) {
            writeln!(text, "{machine}\n")?;
        }
        if LINES.iter().all(|(key, _)| self.get(key, Kind::Maildex.name(), size).is_none()) {
            return self.others(text, size);
        }
        write!(text, "| work | limit | maildex | to the limit | to the fastest |")?;
        peers.iter().try_for_each(|peer| write!(text, " {peer} |"))?;
        write!(text, "\n|---|---:|---:|---:|---:|")?;
        peers.iter().try_for_each(|_| write!(text, "---:|"))?;
        writeln!(text)?;
        for (key, title) in LINES {
            let Some(own) = self.get(key, Kind::Maildex.name(), size) else { continue };
            let limit = self.limit_s(key, size);
            let show = |seconds: Option<f64>| seconds.map_or_else(|| "-".into(), time);
            let spread = format!("{} ({} to {})", time(own.median_s), time(own.min_s), time(own.max_s));
            let to_limit = limit.map_or_else(|| "-".into(), |limit| format!("{:.2}", own.median_s / limit));
            let to_fastest = self
                .fastest(key, size)
                .map_or_else(|| "-".into(), |(peer, time)| format!("{:.3} ({peer})", own.median_s / time));
            write!(text, "| {title} | {} | {spread} | {to_limit} | {to_fastest} |", show(limit))?;
            for peer in &peers {
                let row = self.get(key, peer, size);
                let stopped = row.is_some_and(|row| row.note.starts_with("stopped"));
                let shown = if stopped { "stopped".into() } else { show(self.median_s(key, peer, size)) };
                write!(text, " {shown} |")?;
            }
            writeln!(text)?;
        }
        self.costs(text, size, &peers)?;
        self.others(text, size)
    }

    /// Bytes and memory.
    fn costs(&self, text: &mut String, size: u32, peers: &[&'static str]) -> fmt::Result {
        let bytes = |tool: &str| {
            let bytes: f64 = self.get("bytes", tool, size)?.note.parse().ok()?;
            Some(format!("{:.0}", bytes / f64::from(size)))
        };
        let peak = |key: &str, tool: &str| {
            let row = self.get(key, tool, size).filter(|row| row.was_measured())?;
            Some(format!("{:.0} MB", row.peak_kib as f64 / 1024.0))
        };
        let mut line = |title: &str, of: &dyn Fn(&str) -> Option<String>| -> fmt::Result {
            let show = |tool: &str| of(tool).unwrap_or_else(|| "-".into());
            if of(Kind::Maildex.name()).is_none() {
                return Ok(());
            }
            write!(text, "| {title} | | {} | | |", show(Kind::Maildex.name()))?;
            peers.iter().try_for_each(|peer| write!(text, " {} |", show(peer)))?;
            writeln!(text)
        };
        line("bytes on disk for a mail", &bytes)?;
        line("memory at the peak of a build, maps included", &|tool| peak("build", tool))?;
        line("the same of a listing", &|tool| peak("list-all", tool))?;
        line("memory of its own that a listing has", &|tool| {
            let row = self.get("private-memory", tool, size)?;
            Some(format!("{:.1} MB", row.peak_kib as f64 / 1024.0))
        })?;
        writeln!(text)
    }

    fn others(&self, text: &mut String, size: u32) -> fmt::Result {
        for (key, head) in [
            (
                "index",
                "| an index without its mails | median (fastest to slowest) | memory, maps included |\n|---|---:|---:|",
            ),
            (
                "folders",
                "| so many folders of 10 mails | median (fastest to slowest) | memory, maps included |\n|---|---:|---:|",
            ),
            ("limits", "| limit | median (fastest to slowest) |\n|---|---:|"),
            ("readers", "| at the same time | one read each | |\n|---|---:|---|"),
        ] {
            let rows: Vec<_> = self.rows.iter().filter(|row| row.key == key && row.messages == size).collect();
            if rows.is_empty() {
                continue;
            }
            writeln!(text, "{head}")?;
            for row in rows {
                let median = time(row.median_s);
                let peak = row.peak_kib / 1024;
                match key {
                    "index" | "folders" => {
                        let (min, max) = (time(row.min_s), time(row.max_s));
                        writeln!(text, "| {} | {median} ({min} to {max}) | {peak} MB |", row.tool)?;
                    }
                    "readers" => writeln!(text, "| {} | {median} | {} |", row.tool, row.note)?,
                    _ => writeln!(text, "| {} | {median} ({} to {}) |", row.tool, time(row.min_s), time(row.max_s))?,
                }
            }
            writeln!(text)?;
        }
        Ok(())
    }
}

pub fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The machine in one line: processor, memory, kernel, file system, versions.
pub fn machine(work: &Path, peers: &[Kind]) -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line[key.len()..].trim_start_matches([':', ' ', '\t', '=']).trim().trim_matches('"').to_string())
    };
    let print = |words: &[&str]| {
        let output = Command::new(words[0]).args(&words[1..]).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().last()?.trim().to_string())
    };
    let unknown = || "unknown".to_string();
    let cpu = after(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown);
    let cores = std::thread::available_parallelism()?;
    let kib: f64 = after(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0);
    let kernel = read("/proc/sys/kernel/osrelease").trim().to_string();
    let system = after(&read("/etc/os-release"), "PRETTY_NAME").unwrap_or_else(unknown);
    let disk = print(&["df", "--output=fstype,source", &work.display().to_string()]).unwrap_or_else(unknown);
    let load = read("/proc/loadavg").split_whitespace().next().unwrap_or("?").to_string();
    let date = print(&["date", "+%Y-%m-%d %H:%M"]).unwrap_or_else(unknown);
    let commit =
        print(&["git", "-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"]).unwrap_or_else(unknown);
    let versions: Vec<_> = peers.iter().map(|peer| peer.version()).collect();
    Ok(format!(
        "{cpu}, {cores} cores, {:.0} GB; {system}, Linux {kernel}, {}; load {load} at the beginning, {date}; maildex {commit}, \
         static; {}",
        kib / 1_048_576.0,
        disk.split_whitespace().collect::<Vec<_>>().join(" on "),
        if versions.is_empty() { "no peers".into() } else { versions.join(", ") },
    ))
}
