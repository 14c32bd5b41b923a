//! Where the foreign code is: Python's standard library, a dozen crates, or any folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use codegraph_vector_indexer::Language;
use serde_json::Value;

use super::Outcome;

/// The crates that are measured on: well-documented ones that this workspace depends on anyway. Never tune on them.
const CRATES: [&str; 12] = [
    "clap_builder",
    "crossbeam-channel",
    "hashbrown",
    "ignore",
    "indexmap",
    "memchr",
    "moka",
    "regex-automata",
    "roaring",
    "serde_json",
    "tokio",
    "ureq",
];

/// Folders that are never part of a corpus.
const NEVER: [&str; 4] = ["site-packages", "__pycache__", "node_modules", "target"];

/// Folders of tests.
const TESTS: [&str; 3] = ["test", "tests", "idle_test"];

/// As `cgv index` does by default.
const MAX_FILE_BYTES: usize = 4 << 20;

/// A file.
pub(crate) struct Source {
    /// Relative to the corpus, with `/`.
    pub(crate) path: String,
    pub(crate) language: Language,
    pub(crate) text: String,
}

/// Files that are searched together.
pub(crate) struct Corpus {
    /// What it is, versions included.
    pub(crate) name: String,
    /// In order of path.
    pub(crate) sources: Vec<Source>,
}

impl Corpus {
    /// `stdlib`, `stdlib-with-tests`, `crates`, or a folder; of one language only, if one is named.
    pub(crate) fn open(which: &str, language: Option<&str>) -> Outcome<Self> {
        let mut corpus = match which {
            "stdlib" => stdlib(false),
            "stdlib-with-tests" => stdlib(true),
            "crates" => crates(),
            folder => {
                let name = Path::new(folder).file_name().unwrap_or_default().to_string_lossy().into_owned();
                Ok(Self { name, sources: read(Path::new(folder), "", false)? })
            }
        }?;
        corpus.sources.retain(|source| language.is_none_or(|language| source.language.name() == language));
        if corpus.sources.is_empty() {
            return Err(format!("{which} has no source files").into());
        }
        Ok(corpus)
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> usize {
        self.sources.iter().map(|source| source.text.len()).sum()
    }
}

/// What a command prints.
fn output(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The folder of the standard library of the `python3` on the path, and its version.
fn stdlib_folder() -> Outcome<(PathBuf, String)> {
    let script = "import platform, sysconfig\nprint(sysconfig.get_paths()['stdlib'])\nprint(platform.python_version())";
    let text = output(Command::new("python3").args(["-c", script]))?;
    let mut lines = text.lines();
    let folder = lines.next().ok_or("python3 named no folder")?.into();
    Ok((folder, lines.next().unwrap_or_default().to_owned()))
}

fn stdlib(tests: bool) -> Outcome<Corpus> {
    let (folder, version) = stdlib_folder()?;
    let mut sources = read(&folder, "", tests)?;
    sources.retain(|source| source.language == Language::Python);
    let with = if tests { "tests included" } else { "without tests" };
    Ok(Corpus { name: format!("Python {version}'s standard library, {with}"), sources })
}

/// The sources of [`CRATES`], as cargo has them for this workspace.
fn crates() -> Outcome<Corpus> {
    let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    command.args(["metadata", "--format-version", "1", "--locked", "--manifest-path"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let metadata: Value = serde_json::from_str(&output(&mut command)?)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let (mut names, mut sources) = (Vec::new(), Vec::new());
    for name in CRATES {
        let package = packages.iter().find(|package| package["name"] == name);
        let package = package.ok_or_else(|| format!("this workspace has no {name}"))?;
        let versioned = format!("{name}-{}", package["version"].as_str().unwrap_or_default());
        let manifest = Path::new(package["manifest_path"].as_str().ok_or("a package without a manifest")?);
        let folder = manifest.with_file_name("src");
        sources.append(&mut read(&folder, &format!("{versioned}/src/"), false)?);
        names.push(versioned);
    }
    sources.retain(|source| source.language == Language::Rust);
    Ok(Corpus { name: format!("the crates {}", names.join(", ")), sources })
}

/// All source files below a folder, in order of path. Links, hidden files and what is not UTF-8 are left out.
fn read(folder: &Path, prefix: &str, tests: bool) -> Outcome<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![(folder.to_owned(), prefix.to_owned())];
    while let Some((folder, prefix)) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let left_out = NEVER.contains(&name.as_str()) || (!tests && TESTS.contains(&name.as_str()));
            let kind = entry.file_type()?;
            if name.starts_with('.') || left_out {
                continue;
            }
            if kind.is_dir() {
                folders.push((entry.path(), format!("{prefix}{name}/")));
            } else if kind.is_file()
                && let Some(language) = Language::of_path(Path::new(&name))
                && let Ok(text) = std::fs::read_to_string(entry.path())
                && text.len() <= MAX_FILE_BYTES
            {
                sources.push(Source { path: format!("{prefix}{name}"), language, text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}
