//! A table of ratios, and medians.

use std::fmt;

/// Rows of the table that a run prints.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<[String; 5]>,
}

/// What a ratio has to be.
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// The goal, and whether a ratio meets it.
    pub(crate) fn verdict(&self, ratio: f64) -> String {
        let (met, goal) = match self {
            Self::AtLeast(least) => (ratio >= *least, format!("≥ {least}")),
            Self::AtMost(most) => (ratio <= *most, format!("≤ {most}")),
        };
        format!("{goal} {}", if met { "met" } else { "**missed**" })
    }
}

impl Report {
    /// Adds what was measured: ours, the yardstick, their ratio, and the goal for it.
    pub(crate) fn ratio(&mut self, what: &str, ours: String, yardstick: String, ratio: f64, goal: &Goal) {
        let verdict = goal.verdict(ratio);
        self.rows.push([what.to_owned(), ours, yardstick, format!("{ratio:.2}"), verdict]);
        eprintln!("{}", self.rows.last().map(|row| row.join(" | ")).unwrap_or_default());
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | ours | yardstick | ratio | goal |\n| --- | --- | --- | --- | --- |")?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

/// The middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
