//! How much effort finds how much: measured at the build, stored with the index.
//!
//! Three kinds of queries are asked: held-out rows; mixtures of rows, which are as far from all rows as questions in
//! words often are; and real queries, as far as some are known. What is promised is what the worst of them had.

/// What was measured at one effort.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// Cells, or nodes in sight.
    pub ef: usize,
    /// Candidates that are worth being ranked anew: more would hardly find more.
    pub candidates: usize,
    /// The share of the true 10 nearest that were among the candidates: of the worst kind of queries.
    pub recall: f32,
    /// The share of rows that were looked at, on average.
    pub looked_at: f32,
}

/// Rungs of ever more effort.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    rungs: Vec<Rung>,
}

impl Calibration {
    /// The rungs, by rising effort.
    #[must_use]
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// The least effort that found `recall`; the greatest that was measured, if none did.
    #[must_use]
    pub fn for_recall(&self, recall: f32) -> Option<Rung> {
        self.rungs.iter().find(|rung| rung.recall >= recall).or(self.rungs.last()).copied()
    }
}
