//! Other people's codecs, run by a harness in Python, each in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::figures::Figures;
use super::{Effort, Outcome};

/// Where the harness is, and what it is given.
pub(super) struct Peers {
    pub(super) python: PathBuf,
    /// The folder of `peers.py`.
    pub(super) folder: PathBuf,
    pub(super) base: PathBuf,
    pub(super) queries: PathBuf,
    pub(super) truth: PathBuf,
    /// For indexes and logs.
    pub(super) scratch: PathBuf,
}

impl Peers {
    /// The names of all codecs that the harness knows.
    pub(super) fn names(&self) -> Outcome<Vec<String>> {
        let program =
            "import sys; sys.path.insert(0, sys.argv[1]); import compression; print(*compression.CODECS)";
        let output = Command::new(&self.python).args(["-B", "-c", program]).arg(&self.folder).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?.split_whitespace().map(str::to_owned).collect())
    }

    /// Runs one of them.
    pub(super) fn run(&self, name: &str, effort: &Effort) -> Outcome<Figures> {
        let out = self.scratch.join("peer.jsonl");
        if out.exists() {
            std::fs::remove_file(&out)?;
        }
        let status = Command::new(&self.python)
            .arg("-B")
            .arg(self.folder.join("peers.py"))
            .args(["exact", "--bytes", "--peers", name])
            .args(["--k", &super::NEIGHBOURS.to_string(), "--repeat", &effort.repeats.to_string()])
            .args(["--min-seconds", &effort.seconds.to_string()])
            .args(["--build-threads", &effort.threads.to_string()])
            .arg("--base")
            .arg(&self.base)
            .arg("--queries")
            .arg(&self.queries)
            .arg("--gt")
            .arg(&self.truth)
            .arg("--out")
            .arg(&out)
            .arg("--workdir")
            .arg(self.scratch.join("peer"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()?;
        let lines = read(&out).map_err(|error| format!("{name} ended with {status}: {error}"))?;
        Ok(lines.into_iter().next().ok_or("no line")??)
    }
}

/// The lines of a file of the harness.
pub(super) fn read(path: &Path) -> Outcome<Vec<Result<Figures, String>>> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(Figures::of_peer).collect())
}
