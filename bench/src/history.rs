//! A history: versions of one tree as commits, each indexed into the same store, beside an index of it from nothing.
//! Both have to be the same, row for row, and the former take the time that the difference takes.

use std::path::{Path, PathBuf};

use codegraph_vector::{CodeNode, OpenOptions, PersistentVectorStore};
use codegraph_vector_indexer::{EmbedderSpec, IndexOptions, IndexSummary, index_commit};
use codegraph_vector_testkit::repository::{Item, Repository};

use crate::beside::table;
use crate::index::{Took, middle, timed};
use crate::report::{Goal, Report};
use crate::retrieval::Outcome;

const REPEATS: usize = 3;

/// What a pass that changes little may take, about: opening the repository and the store, and two syncs.
const FLOOR_SECONDS: f64 = 0.05;

/// What is measured on.
#[derive(Default)]
pub(crate) struct Options {
    /// A repository, and revisions of it in order;
    pub(crate) repository: Option<PathBuf>,
    pub(crate) revisions: Vec<String>,
    /// or folders, each of which becomes a commit.
    pub(crate) folders: Vec<PathBuf>,
}

/// A commit, and what it is called.
struct Version {
    name: String,
    revision: String,
}

/// What a pass did, over all repeats.
struct Pass {
    summary: IndexSummary,
    kept: Vec<Took>,
    fresh: Vec<Took>,
}

/// Measures all of it; gives a table of the passes.
pub(crate) fn run(folder: &Path, options: &Options, report: &mut Report) -> Outcome<String> {
    let (root, versions) = versions(folder, options)?;
    if versions.len() < 2 {
        return Err(
            "a history has at least two versions: --repo PATH --revisions A,B or --folders A,B".into()
        );
    }
    let mut passes: Vec<Pass> = Vec::new();
    for repeat in 0..REPEATS {
        let kept = folder.join(format!("kept-{repeat}"));
        for (at, version) in versions.iter().enumerate() {
            let (summary, took) = timed(|| pass(&kept, &root, version))?;
            let fresh = folder.join(format!("fresh-{repeat}-{at}"));
            let (whole, took_fresh) = timed(|| pass(&fresh, &root, version))?;
            check_same(&kept, &fresh)?;
            std::fs::remove_dir_all(&fresh)?;
            eprintln!("{}: {:.2} s, {:.2} s from nothing", version.name, took.wall, took_fresh.wall);
            if repeat == 0 {
                let files = whole.files;
                passes.push(Pass {
                    summary: IndexSummary { files, ..summary },
                    kept: Vec::new(),
                    fresh: Vec::new(),
                });
            }
            passes[at].kept.push(took);
            passes[at].fresh.push(took_fresh);
        }
    }
    let mut rows = Vec::new();
    for (version, pass) in versions.iter().zip(&passes) {
        let Pass { summary, kept, fresh } = pass;
        let (kept, fresh) = (middle(kept), middle(fresh));
        let stored = summary.nodes_embedded + summary.nodes_reused;
        rows.push(vec![
            version.name.clone(),
            summary.files.to_string(),
            format!("{} + {}", summary.files_indexed, summary.files_removed),
            summary.nodes.to_string(),
            format!("{stored} ({})", summary.nodes_embedded),
            format!("{:.2} s, {:.2} s of CPU", kept.wall, kept.cpu),
            format!("{:.2} s, {:.2} s of CPU", fresh.wall, fresh.cpu),
        ]);
        if summary.since.is_some() {
            // As much of the time from nothing as there is of the nodes.
            let share = stored as f64 / summary.nodes.max(1) as f64;
            let asked = fresh.cpu * share + FLOOR_SECONDS;
            report.ratio(
                &format!("to {}, {:.1} % of its nodes stored anew", version.name, share * 100.0),
                format!("{:.2} s of CPU", kept.cpu),
                format!("{asked:.2} s: that share of {:.2} s, and {FLOOR_SECONDS} s", fresh.cpu),
                kept.cpu / asked,
                &Goal::AtMost(1.5),
            );
        }
    }
    let columns = [
        "version",
        "source files",
        "stored + removed",
        "nodes",
        "of files stored anew (embedded)",
        "into the kept store",
        "from nothing",
    ];
    Ok(table(&columns, rows))
}

/// The repository and its commits; made of folders if those are given.
fn versions(folder: &Path, options: &Options) -> Outcome<(PathBuf, Vec<Version>)> {
    if let Some(root) = &options.repository {
        let named = |revision: &String| Version { name: revision.clone(), revision: revision.clone() };
        return Ok((root.clone(), options.revisions.iter().map(named).collect()));
    }
    let root = folder.join("repository");
    let repository = Repository::make(&root, true);
    let mut versions = Vec::new();
    for version in &options.folders {
        let mut files = Vec::new();
        read_all(version, "", &mut files)?;
        let name = version.file_name().unwrap_or_default().to_string_lossy().into_owned();
        versions.push(Version { name, revision: repository.commit(files) });
    }
    Ok((root, versions))
}

/// All files below a folder, by their paths in it; links are left out.
fn read_all(folder: &Path, below: &str, files: &mut Vec<(String, Item)>) -> Outcome<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_all(&entry.path(), &path, files)?;
        } else if kind.is_file() {
            files.push((path, Item::File(std::fs::read(entry.path())?)));
        }
    }
    Ok(())
}

fn open(store: &Path) -> Outcome<PersistentVectorStore> {
    let embedder = EmbedderSpec::default().open(None)?;
    let (dimension, embedder) = (Some(embedder.dimension()), Some(embedder.id()));
    Ok(PersistentVectorStore::open(store, OpenOptions { dimension, embedder, ..OpenOptions::default() })?)
}

/// Opens a store, indexes a version into it, and closes it.
fn pass(store: &Path, root: &Path, version: &Version) -> Outcome<IndexSummary> {
    let store = open(store)?;
    let embedder = EmbedderSpec::default().open(Some(&store))?;
    let options = IndexOptions::default();
    let summary = index_commit(&store, root, &version.revision, &*embedder, &options, &mut |_| ())?;
    // As `cgv index` ends.
    store.maintain()?;
    store.close()?;
    if !summary.problems.is_empty() && summary.files_indexed == 0 && summary.since.is_none() {
        return Err(format!("nothing of {} could be stored: {:?}", version.name, summary.problems).into());
    }
    Ok(summary)
}

/// Compares two stores, row for row.
fn check_same(one: &Path, other: &Path) -> Outcome<()> {
    let rows = |store: &Path| -> Outcome<Vec<CodeNode>> {
        let store = open(store)?;
        let rows = store.snapshot()?.iter()?.collect::<Result<_, _>>()?;
        Ok(rows)
    };
    let (one, other) = (rows(one)?, rows(other)?);
    let differ = one.iter().zip(&other).find(|(one, other)| one != other);
    match differ {
        Some((one, other)) => Err(format!("a row differs: {one:?} {other:?}").into()),
        None if one.len() != other.len() => Err(format!("{} rows, not {}", one.len(), other.len()).into()),
        None => Ok(()),
    }
}
