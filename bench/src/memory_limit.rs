//! Searches where there is less memory than data: a fresh process in a cgroup, beside one that has all it wants.
//!
//! Both find the store's files out of the page cache, so that what they read is charged to them, and search once untimed.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use codegraph_vector::{NodeId, OpenOptions, PersistentVectorStore};

use crate::data::{self, Vectors, node};
use crate::report::{Goal, Report};
use crate::searching::{Kind, Outcome, micros, percentile, requests, timed};

/// Where cgroups of version 2 are.
const CGROUPS: &str = "/sys/fs/cgroup";
/// Percent of the vectors' bytes that the process may have.
const PERCENT: usize = 25;
/// Times that the 99th percentile may take of what it takes with all in memory.
const GOAL: f64 = 5.0;

/// A group that is gone when this is dropped.
struct Group(PathBuf);

impl Group {
    /// A new one below `parent` that may have so many bytes; why not, if it may not be set.
    fn new(parent: &Path, bytes: usize) -> Result<Self, String> {
        let say = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let controllers = parent.join("cgroup.subtree_control");
        let known = std::fs::read_to_string(&controllers)
            .map_err(|error| say("there are no cgroups of version 2 here", error))?;
        if !known.split_whitespace().any(|name| name == "memory") {
            return Err(format!("{} does not have the memory of groups below it", controllers.display()));
        }
        let path = parent.join(format!("cgv-bench-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| say("a cgroup cannot be made", error))?;
        let group = Self(path);
        std::fs::write(group.0.join("memory.max"), bytes.to_string())
            .map_err(|error| say("memory.max cannot be set", error))?;
        // Where there is no swap there is no such file.
        let _ = std::fs::write(group.0.join("memory.swap.max"), "0");
        Ok(group)
    }

    fn take(&self, process: u32) -> std::io::Result<()> {
        std::fs::write(self.0.join("cgroup.procs"), process.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group of no processes; one that stays does no harm.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Measures both, or says why it cannot be done here.
pub(crate) fn run(
    folder: &Path,
    base: &Vectors,
    queries: &Path,
    kind: &Kind,
    cgroup: Option<&Path>,
    report: &mut Report,
) -> Outcome<()> {
    let bytes = base.values.len() * size_of::<f32>() * PERCENT / 100;
    let group = match Group::new(cgroup.unwrap_or(Path::new(CGROUPS)), bytes) {
        Ok(group) => group,
        Err(why) => {
            println!("skipped, {why}; --cgroup names another group to make one in");
            return Ok(());
        }
    };
    let path = folder.join("limited");
    let rows = base.rows();
    kind.build(&path, base.dimension, rows, |at| node(at as NodeId, base.row(at).to_vec()))?.close()?;
    let free = search(&path, queries, None)?;
    let limited = search(&path, queries, Some(&group))?;
    let what = format!(
        "{rows} × {}: p99 of a search with {:.0} MB of memory ({PERCENT} % of the vectors) beside all in memory",
        base.dimension,
        bytes as f64 / 1e6
    );
    let figure = |times: [f64; 2]| format!("{}, p50 {}", micros(times[1]), micros(times[0]));
    report.ratio(&what, figure(limited), figure(free), limited[1] / free[1], &Goal::AtMost(GOAL));
    Ok(())
}

/// Has a process search that begins once it is in its group: p50 and p99, in microseconds.
fn search(store: &Path, queries: &Path, group: Option<&Group>) -> Outcome<[f64; 2]> {
    evict(store)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("limited-search")
        .arg("--dir")
        .arg(store)
        .arg("--queries")
        .arg(queries)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(group) = group {
        group.take(child.id())?;
    }
    writeln!(child.stdin.take().ok_or("no stdin")?, "go")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
    let status = child.wait()?;
    let figures: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match figures[..] {
        [p50, p99] if status.success() => Ok([p50, p99]),
        _ => Err(format!("the process that searched ended with {status}, and said {line:?}").into()),
    }
}

/// Waits for a word, searches, and prints the figures for the parent.
pub(crate) fn child(store: &Path, queries: &Path) -> Outcome<()> {
    std::io::stdin().lock().read_line(&mut String::new())?;
    let options = OpenOptions { must_exist: true, read_only: true, ..OpenOptions::default() };
    let store = PersistentVectorStore::open(store, options)?;
    let queries = data::load(queries)?;
    let (_, times) = timed(&store, &requests(&queries, usize::MAX))?;
    println!("{} {}", percentile(&times, 50), percentile(&times, 99));
    Ok(())
}

/// Takes all files of a folder, and of those in it, out of the page cache.
fn evict(folder: &Path) -> Outcome<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            evict(&path)?;
            continue;
        }
        let file = File::open(&path)?;
        // What was not written back yet would stay.
        file.sync_all()?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_group_to_be_had_it_is_said_why() {
        let folder = tempfile::tempdir().unwrap();
        let why = |parent: &Path| Group::new(parent, 1 << 20).err().unwrap();
        assert!(why(folder.path()).contains("no cgroups of version 2"));
        std::fs::write(folder.path().join("cgroup.subtree_control"), "cpu io\n").unwrap();
        assert!(why(folder.path()).contains("does not have the memory"));
        let mut report = Report::default();
        let base = data::make(10, 8, 1);
        run(folder.path(), &base, Path::new("q"), &Kind::default(), Some(folder.path()), &mut report)
            .unwrap();
        assert!(report.is_empty());
    }

    #[test]
    fn a_group_is_limited_and_taken_away() {
        // An ordinary folder that looks like one.
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cgroup.subtree_control"), "cpu memory\n").unwrap();
        let group = Group::new(folder.path(), 12_345).unwrap();
        let path = group.0.clone();
        assert_eq!(std::fs::read_to_string(path.join("memory.max")).unwrap(), "12345");
        group.take(77).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("cgroup.procs")).unwrap(), "77");
        for file in ["memory.max", "memory.swap.max", "cgroup.procs"] {
            std::fs::remove_file(path.join(file)).unwrap();
        }
        drop(group);
        assert!(!path.exists());
    }

    #[test]
    fn eviction_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("below")).unwrap();
        std::fs::write(folder.path().join("below/file"), "bytes").unwrap();
        evict(folder.path()).unwrap();
        assert_eq!(std::fs::read(folder.path().join("below/file")).unwrap(), b"bytes");
    }
}
