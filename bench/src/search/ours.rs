//! Ours, run by the `cgv` beside this program, as anybody would run it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{NEIGHBOURS, Outcome, Row, Summary};
use crate::beside::Input;
use crate::peers::Effort;

/// `cgv`, and where its stores are kept.
pub(super) struct Ours {
    program: PathBuf,
    homes: PathBuf,
    /// What every run is given.
    given: Vec<String>,
}

impl Ours {
    /// The one that was built with this program.
    pub(super) fn new(homes: &Path, input: &Input<'_>, more: &[String]) -> Outcome<Self> {
        let program = std::env::current_exe()?.with_file_name(format!("cgv{}", std::env::consts::EXE_SUFFIX));
        if !program.exists() {
            return Err(format!("there is no {}; build codegraph-vector-cli", program.display()).into());
        }
        let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("a path is not UTF-8");
        let mut given =
            vec!["--base".to_owned(), text(input.base)?, "--queries".to_owned(), text(input.queries)?];
        given.extend(["--gt".to_owned(), text(input.truth)?, "-k".to_owned(), NEIGHBOURS.to_string()]);
        given.extend(more.iter().cloned());
        Ok(Self { program, homes: homes.join("ours"), given })
    }

    /// Sweeps. The first time it builds, later it searches what was built.
    pub(super) fn run(&self, effort: &Effort) -> Outcome<Vec<Row>> {
        let mut command = self.command(&["search"]);
        command.args(&self.given).arg("--dir").arg(&self.homes);
        command.args(["--repeat", &effort.repeats.to_string(), "--min-seconds", &effort.seconds.to_string()]);
        match said(command)?.remove("rows") {
            Some(Value::Array(rows)) => rows.into_iter().map(Row::of_json).collect(),
            _ => Err("cgv said nothing of rows".into()),
        }
    }

    /// What systems are worth at equal recall, and their picture if one is asked for.
    pub(super) fn summary(
        &self,
        rows: &[&Row],
        scratch: &Path,
        svg: Option<(&Path, &str)>,
    ) -> Outcome<Vec<Summary>> {
        let path = scratch.join("rows.jsonl");
        let lines: String = rows.iter().map(|row| format!("{}\n", row.json())).collect();
        std::fs::write(&path, lines)?;
        let mut command = self.command(&["plot"]);
        command.arg(&path);
        if let Some((svg, title)) = svg {
            command.arg("--svg").arg(svg).args(["--title", title]);
        }
        match said(command)?.remove("summary") {
            Some(Value::Array(all)) => all.iter().map(Summary::of_json).collect(),
            _ => Err("cgv said nothing of a summary".into()),
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--json", "bench"]).args(words).stderr(std::process::Stdio::inherit());
        command
    }
}

/// The document that a command prints.
fn said(mut command: Command) -> Outcome<serde_json::Map<String, Value>> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("cgv ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
